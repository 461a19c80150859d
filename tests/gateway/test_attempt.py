"""`ticketgate normalize` and `decide`: how people try a mail or a rule, and how the project is measured."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import warm
from serving import Gateway

from gateway import captured
from normalizer.errors import Rejected

EXAMPLE = (
    "From: =?gb2312?B?wO7A1w==?= <lilei@example.cn>\r\nTo: support@example.com\r\nSubject: parcel\r\n"
    "Message-ID: <try-1@example.cn>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n订单号5，物流显示已签收但未收到货\r\n"
).encode()


def ticketgate(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return warm.run(arguments, environment={**os.environ, **warm.UNBUFFERED}, stdin=stdin)


def lines(*arguments: str, stdin: bytes = b"") -> list[dict[str, object]]:
    done = ticketgate(*arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_mail_is_printed_as_one_object_with_the_stated_fields(tmp_path: Path) -> None:
    file = tmp_path / "one.eml"
    file.write_bytes(EXAMPLE)
    (printed,) = lines("normalize", "email", str(file))
    assert printed["file"] == str(file)
    assert printed["message_id"] == "try-1@example.cn"
    assert printed["from"] == {"kind": "email", "address": "lilei@example.cn", "name": "李雷"}
    wanted = {"in_reply_to", "references", "subject", "to", "cc", "reply_to", "sent_at", "full_text", "text", "quoted",
              "signature", "attachments", "kind", "answerable", "defects"}  # fmt: skip
    assert wanted <= set(printed)


@pytest.mark.parametrize(
    "raw", [b"", b"\x00\xff\xfe", b"\r\n\r\n", b"From", b"Content-Type: multipart/mixed\r\n\r\n--"]
)
def test_every_mail_however_broken_is_one_object(raw: bytes) -> None:
    assert len(lines("normalize", "email", stdin=raw)) == 1


def test_decide_takes_a_mail_or_what_normalize_printed_and_decides_the_same() -> None:
    (from_mail,) = lines("decide", "email", "-", stdin=EXAMPLE)
    (message,) = lines("normalize", "email", "-", stdin=EXAMPLE)
    (from_message,) = lines("decide", "-", stdin=json.dumps(message).encode())

    assert from_mail["ticket"]["category"]["value"] == "after_sales"
    assert from_mail["ticket"]["subcategory"]["value"] == "logistics"
    assert from_mail["ticket"]["priority"]["value"] == "normal"
    assert "4 小时" in from_mail["acknowledgement"]["text"]
    assert [rule["rule"] for rule in from_mail["fired"]] == [rule["rule"] for rule in from_message["fired"]]


@pytest.mark.parametrize("odd", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+08:00", "2026-03-02T09:30:00"])
def test_a_message_received_at_no_instant_is_refused_with_a_hint(odd: str) -> None:
    (message,) = lines("normalize", "email", "-", stdin=EXAMPLE)
    done = ticketgate("decide", "-", stdin=json.dumps({**message, "received_at": odd}).encode())
    assert done.returncode == 1
    assert b"received_at" in done.stderr
    assert b"Traceback" not in done.stderr


def test_decide_explains_in_both_languages() -> None:
    for language in ("zh", "en"):
        done = ticketgate("decide", "email", "-", "--explain", "--lang", language, stdin=EXAMPLE)
        assert done.returncode == 0
        assert "物流" in done.stdout.decode() or "ogistics" in done.stdout.decode()


def test_forms_webhooks_and_api_bodies_can_be_tried() -> None:
    (form,) = lines("normalize", "form", "-", stdin=b'{"email": "a@example.cn", "message": "hello"}')
    (api,) = lines("normalize", "api", "-", stdin=b'{"from": {"email": "a@example.cn"}, "text": "hello"}')
    assert form["channel"] == "form"
    assert api["channel"] == "api"
    (wrong,) = lines("normalize", "api", "-", stdin=b"[]")
    assert wrong["unreadable"]


def test_of_a_batch_the_readable_messages_are_printed_and_then_what_is_wrong_with_the_others(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    said = [{"id": "m0", "text": "没收到", "from": "a@example.cn"}, {"id": "m1", "text": "from nobody"}]
    batch = json.dumps({"messages": said}).encode()

    printed = [json.loads(line) for line in gateway.cli("normalize", "webhook", "-", stdin=batch).splitlines()]
    assert printed[0]["text"] == "没收到"
    assert printed[1]["reason"] == "message 2 of 2: no sender"
    assert "message 2 of 2: no sender" in gateway.refused("decide", "webhook", "-", stdin=batch)


def test_a_missing_file_or_unknown_channel_is_a_clear_word() -> None:
    missing = ticketgate("normalize", "email", "/nowhere/x.eml")
    assert missing.returncode == 1
    assert b"/nowhere/x.eml" in missing.stderr
    unknown = ticketgate("normalize", "emial", "-", stdin=EXAMPLE)
    assert unknown.returncode == 1
    assert b"email" in unknown.stderr


def test_hundreds_of_files_in_one_call_are_quick(tmp_path: Path) -> None:
    for n in range(300):
        (tmp_path / f"{n:03}.eml").write_bytes(EXAMPLE.replace(b"try-1", b"try-%d" % n))
    started = time.monotonic()
    printed = lines("normalize", "email", *map(str, sorted(tmp_path.glob("*.eml"))))
    assert [one["file"] for one in printed] == [str(tmp_path / f"{n:03}.eml") for n in range(300)]
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("line", ["POST http://[::1 HTTP/1.1", "GET /in/meta/main?hub.mode=subscribe HTTP/1.1"])
def test_a_captured_request_that_brings_nothing_is_refused(line: str) -> None:
    with pytest.raises(Rejected):
        captured.request(f"{line}\r\nHost: x\r\n\r\n".encode(), datetime.now(UTC))
