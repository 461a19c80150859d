"""What stops a start, and how it says so: file, line, column, and what to write instead."""

import os
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import warm
from serving import Gateway

ROOT = Path(__file__).parent.parent.parent


def started(gateway: Gateway, **environment: str) -> subprocess.CompletedProcess[str]:
    """`ticketgate serve` that is expected to end by itself."""
    whole = {**os.environ, **gateway.environment, **environment}
    done = warm.run(["serve", "--config", str(gateway.config)], environment=whole, timeout=30)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def edited(gateway: Gateway, old: str, new: str) -> tuple[Gateway, int]:
    """The settings with one thing changed, and the line it is in."""
    text = gateway.config.read_text()
    assert old in text
    gateway.config.write_text(text.replace(old, new))
    return gateway, text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("time_zone: Asia/Shanghai", "time_zone: Asia/Shanghay", "Asia/Shanghai"),
        ("company: 测试公司", "company: 测试公司\ncompany: again", "stands here twice"),
        ("data: ./data", "dta: ./data", "known: company"),
        ("connector: webform", "connector: webfrom", "webform?"),
        ("reply_by: support\n  - connector: webhook", "reply_by: suport\n  - connector: webhook", "support"),
        ("external_id: id", "external_id: '[['", "JMESPath"),
        ("{env: TEST_SHOP_SECRET}", "whsec_c2VjcmV0", "{env: NAME}"),
        ("{env: TEST_SHOP_SECRET}", "{env: NOT_SET_ANYWHERE}", "NOT_SET_ANYWHERE"),
        ("addresses: [support@example.com]", "addresses: []", "addresses"),
    ],
)
def test_a_mistake_in_the_settings_stops_the_start_and_says_where(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    gateway, line = edited(Gateway(tmp_path), old, new)
    ended = started(gateway)
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    if "JMESPath" not in says:
        assert any(f"ticketgate.yaml:{n}:" in ended.stderr for n in (line, line + 1)), ended.stderr
    assert "c2VjcmV0" not in ended.stderr


def test_a_rulebook_with_a_mistake_stops_the_start_with_file_line_column_and_hint(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", rules)
    wrong = rules / "wrong.yaml"
    wrong.write_text(
        "rulebook: wrong\nlayer: base\nrules:\n  - rule: typo\n    when: {categry: complaint}\n    then: {tag: x}\n"
    )
    gateway, _ = edited(Gateway(tmp_path), "company:", f"rules: {rules}\ncompany:")
    ended = started(gateway)
    assert ended.returncode == 1
    assert "wrong.yaml:5:12" in ended.stderr
    assert "category" in ended.stderr.partition("hint:")[2]


def test_a_template_with_an_unknown_variable_stops_the_start(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    shutil.copytree(ROOT / "rules", rules)
    template = rules / "templates" / "received.zh.liquid"
    template.write_text(template.read_text() + "{{ nmber }}\n")
    ended = started(edited(Gateway(tmp_path), "company:", f"rules: {rules}\ncompany:")[0])
    assert ended.returncode == 1
    assert "received.zh.liquid:" in ended.stderr
    assert "number" in ended.stderr


def test_a_taken_port_is_a_clear_word(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", gateway.http))
        squatter.listen()
        ended = started(gateway)
    assert ended.returncode == 1
    assert "another gateway" in ended.stderr


def test_a_taken_mail_port_is_a_clear_word(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", gateway.smtp))
        squatter.listen()
        ended = started(gateway)
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr


def test_the_wrong_master_key_is_a_clear_word(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off").start()
    gateway.stop()
    (tmp_path / "data" / "master.key").write_text("A" * 43 + "=\n")
    ended = started(gateway)
    assert ended.returncode == 1
    assert "master" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_first_start_makes_a_master_key_and_says_what_to_do(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off").start()
    gateway.stop()
    key = tmp_path / "data" / "master.key"
    assert key.stat().st_mode & 0o077 == 0
    assert "copy it to a safe place" in gateway.log.read_text()
    assert key.read_text().strip() not in gateway.log.read_text()


def test_with_outbound_off_nothing_leaves_and_it_is_kept_as_held(tmp_path: Path) -> None:
    with Gateway(tmp_path, outbound="off") as gateway:
        gateway.mail(
            b"From: a@example.cn\r\nTo: support@example.com\r\nMessage-ID: <off@x>\r\n\r\nmy parcel is lost\r\n"
        )
        gateway.settle()
        states = {row["state"] for row in gateway.json("outbox", "list", "--json")}
        assert states == {"held"}


OPENS = """
import asyncio, sys
from pathlib import Path
from gateway import settings, wire
from gateway.clock import SystemClock

known = settings.read(Path(sys.argv[1]))

async def opened():
    store = await wire.open_store(known)
    await store.add_key("somebody", [], SystemClock().now())
    await store.close()

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(opened())
"""


def test_a_new_data_folder_opened_by_several_at_once_is_made_once(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS, str(gateway.config)], env={**os.environ, **gateway.environment}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(6)
    ]  # fmt: skip
    for one in started:
        assert one.stdout
        assert one.stdout.readline() == "ready\n"
    for one in started:  # whatever is slow is loaded, so that all come to the folder together
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    ended = [("".join(one.communicate(timeout=120)), one.returncode) for one in started]
    assert [status for _, status in ended] == [0] * 6, ended
    assert sum("made a master key" in said for said, _ in ended) == 1
    assert len(gateway.json("keys", "list")) == 6


def test_what_a_crash_left_is_swept_at_the_next_start(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off").start(environment={"TICKETGATE_FAULT": "blob.after_sync"})
    large = b"From: a@example.cn\r\nTo: support@example.com\r\nMessage-ID: <big@x>\r\n\r\n" + b"word " * 80_000
    with pytest.raises((OSError, smtplib.SMTPException)):
        gateway.mail(large)
    assert gateway.process
    assert gateway.process.wait(10) == -signal.SIGKILL
    (left,) = (tmp_path / "data" / "blobs").iterdir()
    os.utime(left, (left.stat().st_mtime - 7200,) * 2)

    with gateway.start():
        assert list((tmp_path / "data" / "blobs").iterdir()) == []
        assert '"count": 1, "event": "swept files that no message names"' in gateway.log.read_text()
        gateway.mail(large)
        gateway.settle()
        assert len(gateway.tickets()) == 1
