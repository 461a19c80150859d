"""`ticketgate import mail`: old mail becomes tickets, once, as old as it is; and nobody hears of it."""

import json
import mailbox
import resource
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dovecot import letter
from serving import Desk, Gateway, MailSink

from gateway import mailfiles
from gateway.mailfiles import Found, Skipped

OLD = "Mon, 02 Mar 2026 17:29:55 +0800"


def found(*paths: Path, limit: int = mailfiles.LIMIT) -> list[Found | Skipped]:
    return [one for file in mailfiles.files(list(paths)) for one in mailfiles.mails(file, limit)]


def raws(*paths: Path) -> list[bytes]:
    return [one.raw for one in found(*paths) if isinstance(one, Found)]


def mbox(file: Path, *mails: bytes) -> Path:
    made = mailbox.mbox(file)
    for raw in mails:
        made.add(raw)
    made.close()
    return file


def test_an_mbox_is_cut_where_its_mails_begin(tmp_path: Path) -> None:
    mails = [letter(f"m{n}", f"words {n}\n\nFrom here on it is mine\n>From time to time\n") for n in range(5)]
    assert raws(mbox(tmp_path / "box", *mails))[2].endswith(b"\nFrom here on it is mine\nFrom time to time\n")
    assert [raw.count(b"Message-ID") for raw in raws(tmp_path / "box")] == [1] * 5


@pytest.mark.parametrize(
    ("line", "dated"),
    [
        (b"From li@example.cn Mon Mar  2 09:29:55 2026", datetime(2026, 3, 2, 9, 29, 55, tzinfo=UTC)),
        (b"From - Mon Mar 02 09:29:55 2026", datetime(2026, 3, 2, 9, 29, 55, tzinfo=UTC)),
        (b"From 1234@xxx Mon Mar 02 17:29:55 +0800 2026", datetime(2026, 3, 2, 9, 29, 55, tzinfo=UTC)),
        (b"From nobody knows when", None),
    ],
)
def test_every_kind_of_from_line_begins_a_mail(tmp_path: Path, line: bytes, dated: datetime | None) -> None:
    body = b"From: a@b.cn\r\nSubject: x\r\n\r\nhello\r\n\r\nFrom now on\r\n"
    (tmp_path / "box").write_bytes(line + b"\r\n" + body + b"\r\n")
    one, *more = found(tmp_path / "box")
    assert len(more) == (dated is None)  # without a time in the first one, any such line counts
    assert isinstance(one, Found)
    assert one.dated == dated
    assert one.raw.startswith(b"From: a@b.cn")


def test_a_maildir_with_folders_and_mails_in_a_folder_are_found(tmp_path: Path) -> None:
    box = mailbox.Maildir(tmp_path / "maildir")
    box.add(letter("inbox"))
    box.add_folder("Archive").add(letter("archived"))
    (tmp_path / "maildir" / "tmp" / "half").write_bytes(b"From: x")
    (tmp_path / "eml" / "deep").mkdir(parents=True)
    (tmp_path / "eml" / "deep" / "one.EML").write_bytes(letter("eml"))
    (tmp_path / "eml" / "unnamed").write_bytes(letter("unnamed"))
    (tmp_path / "eml" / "photo.jpg").write_bytes(b"\xff\xd8\xff")
    said = b"".join(raws(tmp_path))
    assert [f"<{name}@".encode() in said for name in ("inbox", "archived", "eml", "unnamed")] == [True] * 4
    skipped = {one.file.name for one in found(tmp_path) if isinstance(one, Skipped)}
    assert {"photo.jpg"} <= skipped
    assert "half" not in skipped


def test_a_mail_too_large_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    mbox(tmp_path / "box", letter("large", "y" * 70 + "\n" + ("x" * 70 + "\n") * 20_000), letter("small"))
    large, small = found(tmp_path / "box", limit=300_000)
    assert isinstance(large, Found) and isinstance(small, Found)
    assert (large.size > 1_000_000, len(large.raw) <= 64 * 1024 + 1024) == (True, True)
    assert b"<small@" in small.raw and small.size == 0


def test_memory_stays_bounded_whatever_the_size(tmp_path: Path) -> None:
    mail = b"From a@b.cn Mon Mar  2 09:29:55 2026\n" + letter("b", "z" * 20_000) + b"\n"
    with (tmp_path / "box").open("wb") as out:
        out.writelines(mail for _ in range(3000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(1 for _ in mailfiles.mails(tmp_path / "box")) == 3000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KB


def test_imported_mail_becomes_tickets_once_and_nobody_is_acknowledged(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path / "gateway", mail_sink=sink.port, desk=desk.port)
        old = tmp_path / "old"
        old.mkdir()
        mails = [letter(f"old{n}", f"第{n}封：订单还没有收到。", Date=OLD) for n in range(30)]
        mbox(old / "2026", *mails, letter("ours", sender="support@example.com"))
        (old / "again.eml").write_bytes(mails[7])
        (old / "junk.eml").write_bytes(b"\x00\x01 no mail at all")
        (old / "notes.txt").write_text("not for import")

        gateway.refused("import", "mail", str(old), fault="journal.after_commit:1")  # stopped on the way
        (first,) = gateway.json("import", "mail", str(old))
        (second,) = gateway.json("import", "mail", str(old))
        assert (first["mails"], first["new"] + first["known"], first["ours"], first["skipped"]) == (33, 32, 1, 1)
        assert (second["new"], second["known"], second["set_aside"]) == (0, 32, 0)
        with gateway:
            gateway.mail(mails[3])  # the same mail, brought by SMTP as well
            gateway.mail(letter("new", In_Reply_To="<old5@example.cn>", sender="客户 <old5@example.cn>"))
            gateway.settle()
            tickets = gateway.tickets()
            assert len(tickets) == 30
            assert {ticket["captured_at"] for ticket in tickets} == {"2026-03-02T09:29:55Z"}
            assert {ticket["number"][:8] for ticket in tickets} == {"20260302"}
            assert {ticket["source"]["connector"] for ticket in tickets} == {"import"}
            (answered,) = [ticket for ticket in tickets if len(ticket["messages"]) > 1]
            assert [message["external_id"] for message in answered["messages"]] == ["old5@example.cn", "new@example.cn"]
            (aside,) = gateway.json("quarantine", "list")
            assert "no mail" in json.dumps(aside)
        assert not [mail for mail in sink.mails if b"old5" not in mail]  # only who wrote just now may hear from us
