"""Mails to messages: one mail is one message whatever way it came, and no bytes make the reader stumble."""

import base64
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from normalizer.canon import Kind
from normalizer.dates import date
from normalizer.mime import Mail, message, parse_mail, unflow

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
PLAIN = (
    b"From: Jane <jane@customer.example>\r\nTo: support@example.com\r\nSubject: Parcel\r\n"
    b"Date: Mon, 5 Jan 2026 09:30:00 +0800\r\nMessage-ID: <1@customer.example>\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nWhere is it? \r\n\r\n"
)
SAMPLES = [path.read_bytes() for path in sorted((Path(__file__).parent / "mails").glob("*.eml"))]


def received(raw: bytes, connector: str = "email_smtp") -> str:
    return message(raw, connector=connector, account="support", received_at=NOON).id


def test_the_same_mail_by_smtp_and_by_imap_is_one_message() -> None:
    travelled = b"Received: from a by b; Mon, 5 Jan 2026 01:30:01 +0000\r\nDelivered-To: sales@example.com\r\n" + PLAIN
    relayed = travelled.replace(b"\r\n", b"\n").replace(b"it? \n\n", b"it?\n")
    assert received(PLAIN) == received(travelled) == received(relayed, "email_imap")


def test_a_sender_who_repeats_message_ids_loses_no_mail() -> None:
    assert received(PLAIN) != received(PLAIN.replace(b"Where is it?", b"It came, thanks."))


def test_a_mail_without_message_id_gets_one_of_its_own_bytes() -> None:
    bare = PLAIN.replace(b"Message-ID: <1@customer.example>\r\n", b"")
    assert parse_mail(bare).message_id == parse_mail(bare).message_id
    assert parse_mail(bare).message_id != parse_mail(bare + b"!").message_id
    assert "missing_message_id" in parse_mail(bare).defects


@pytest.mark.parametrize("raw", [b"", b"\r\n", b"\0", b"\xff\xfe", b"hello", b":", b"From:", b"--\n", b"\n\n\n"])
def test_bytes_that_are_hardly_a_mail_are_read_nonetheless(raw: bytes) -> None:
    assert isinstance(parse_mail(raw), Mail)


def test_everything_a_message_needs_is_there() -> None:
    made = message(PLAIN, connector="email_smtp", account="support", received_at=NOON, envelope_id="e1")
    assert (made.channel, made.external_id, made.envelope) == ("email", "1@customer.example", "e1")
    assert (made.sender.address, made.sender.name) == ("jane@customer.example", "Jane")
    assert made.sent_at == datetime(2026, 1, 5, 1, 30, tzinfo=UTC)
    assert (made.kind, made.answerable, made.proven) == (Kind.MESSAGE, True, False)


def test_only_our_own_server_proves_a_sender() -> None:
    passed = b"Authentication-Results: mx.example.com; dmarc=pass header.from=customer.example\r\n" + PLAIN
    assert not parse_mail(passed).proven
    assert parse_mail(passed, trusted=frozenset({"mx.example.com"})).proven


def test_the_envelope_knows_the_null_path_better_than_the_header() -> None:
    assert parse_mail(PLAIN, return_path="").kind is Kind.AUTO_REPLY
    assert parse_mail(PLAIN, return_path="jane@customer.example").kind is Kind.MESSAGE


def test_a_forwarded_mail_without_a_word_speaks_for_itself() -> None:
    head, boundary = PLAIN.split(b"Content-Type")[0], b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    inner = b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: old\r\n\r\nthe kettle is broken\r\n--b--\r\n"
    mail = parse_mail(head + boundary + inner)
    assert mail.text == "the kettle is broken"
    assert [attached.name for attached in mail.attachments] == ["old.eml"]


FORM = "A new message from your site:\n\nFrom: Jo <jo@example.net>\nSubject: chair\nDate: 2026-01-02\n\nIt broke."
QUOTED = "Bob <bob@example.com>\nSent: Monday, 5 January 2026 09:30\nTo: Jane\nSubject: chair\n\nWhich one?"


@pytest.mark.parametrize(
    ("head", "said", "visible"),
    [
        ("Subject: Contact form\r\n", FORM, FORM),
        ("Subject: 留言\r\n", "姓名：李雷\n发件人：li@example.cn\n主题：椅子\n\n坏了，请换。", None),
        ("Subject: Contact form\r\n", f"The red one.\n\nFrom: {QUOTED}", "The red one."),
        ("Subject: chair\r\nIn-Reply-To: <0@example.com>\r\n", FORM, "A new message from your site:"),
        ("Subject: 回复：chair\r\n", FORM, "A new message from your site:"),
        ("Subject: AW: chair\r\n", FORM, "A new message from your site:"),
    ],
)
def test_a_form_that_was_filled_in_is_no_quotation_in_a_mail_that_answers_nothing(
    head: str, said: str, visible: str | None
) -> None:
    raw = PLAIN.replace(b"Subject: Parcel\r\n", head.encode()).split(b"\r\n\r\n")[0] + f"\r\n\r\n{said}".encode()
    assert parse_mail(raw).text == (said if visible is None else visible)


def mixed(head: bytes, *parts: bytes, kind: bytes = b"mixed") -> bytes:
    """A mail of these parts; `head` holds fields beyond those of every mail."""
    start = PLAIN.split(b"Subject")[0] + head + b"Message-ID: <2@customer.example>\r\n"
    body = b"".join(b"--b\r\n%s\r\n" % part for part in parts)
    return start + b"Content-Type: multipart/%s; boundary=b\r\n\r\n%s--b--\r\n" % (kind, body)


WORDS = b"Content-Type: text/plain\r\n\r\nPlease see below."
SHOP = (
    b"Subject: Your order\r\nFrom: shop@shop.example\r\nContent-Type: multipart/mixed; boundary=i\r\n\r\n"
    b"--i\r\n\r\nThe kettle comes on Friday.\r\n> when?\r\n"
    b"--i\r\nContent-Type: application/pdf; name=bill.pdf\r\n\r\n%PDF\r\n--i--\r\n"
)


@pytest.mark.parametrize(
    ("head", "attached"),
    [
        (b"Subject: FW: Your order\r\n", b"Content-Type: message/rfc822\r\nContent-Disposition: attachment"),
        (b"Subject: kettle\r\nX-Forwarded-Message-Id: <9@shop.example>\r\n", b"Content-Type: message/rfc822"),
        (b"Subject: kettle\r\n", b'Content-Type: message/rfc822; name="Forwarded Message.eml"'),
        ("Subject: 转发：订单\r\n".encode(), b"Content-Type: application/octet-stream; name=1.eml"),
    ],
)
def test_a_mail_handed_on_as_a_file_is_read_like_one_handed_on_in_the_text(head: bytes, attached: bytes) -> None:
    mail = parse_mail(mixed(head, WORDS, attached + b"\r\n\r\n" + SHOP))
    assert mail.text == "Please see below.\n\nThe kettle comes on Friday."
    assert "> when?" in mail.quoted
    assert [file.name for file in mail.attachments][1:] == ["bill.pdf"]
    assert (mail.sender.address, mail.kind) == ("jane@customer.example", Kind.MESSAGE)


def test_an_attached_mail_that_nobody_hands_on_is_a_file() -> None:
    mail = parse_mail(mixed(b"Subject: our terms\r\n", WORDS, b"Content-Type: message/rfc822\r\n\r\n" + SHOP))
    assert (mail.full_text, mail.text) == ("Please see below.", "Please see below.")
    assert [file.name for file in mail.attachments] == ["Your order.eml"]


def test_what_a_bounce_gives_back_is_quoted() -> None:
    failed = b"Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; x@y.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    told = b"Content-Type: text/plain\r\n\r\nIt could not be delivered."
    mail = parse_mail(
        mixed(b"Subject: failed\r\n", told, failed, b"Content-Type: message/rfc822\r\n\r\n" + SHOP, kind=b"report")
    )
    assert (mail.kind, mail.text) == (Kind.BOUNCE, "It could not be delivered.")
    assert "The kettle comes on Friday." in mail.quoted
    assert "The kettle comes on Friday." in mail.full_text
    assert "bill.pdf" not in [file.name for file in mail.attachments]


def test_a_report_without_a_word_for_people_says_what_it_says_to_programs() -> None:
    status = b"Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; a@b.c\r\nStatus: 5.1.1"
    mail = parse_mail(mixed(b"Subject: Undeliverable\r\n", status, b"Content-Type: message/rfc822\r\n\r\n" + SHOP))
    assert mail.text == "Final-Recipient: rfc822; a@b.c\nStatus: 5.1.1"
    assert [file.name for file in mail.attachments] == ["Your order.eml"]


def test_what_is_read_of_mails_in_mails_is_capped() -> None:
    long = b"Content-Type: message/rfc822\r\n\r\nSubject: long\r\n\r\n" + b"word " * 150_000
    mail = parse_mail(mixed(b"Subject: Fwd: long\r\n", WORDS, *[long] * 20))
    assert len(mail.full_text) < 1.1 * 1024 * 1024
    assert len(mail.attachments) == 20
    deep = SHOP
    for at in range(30):
        deep = mixed(b"Subject: Fwd: deep\r\n", WORDS, b"Content-Type: message/rfc822\r\n\r\n%s" % deep)
        deep = (
            deep.replace(b"=b\r", b"=b%d\r" % at, 1)
            .replace(b"--b\r", b"--b%d\r" % at)
            .replace(b"--b--", b"--b%d--" % at)
        )
    assert parse_mail(deep).full_text.count("Please see below.") == 11


ENRICHED = b"Content-Type: text/enriched\r\n\r\n<bold>Please</bold> see\r\n<color><param>red</param>below.</color>"


@pytest.mark.parametrize(
    ("other", "kept"),
    [
        (ENRICHED, 0),
        (ENRICHED.replace(b"below", b"above"), 1),
        (b"Content-Type: text/x-amp-html\r\n\r\n<html amp4email><p>Please see below, now.</p></html>", 0),
        (ENRICHED.replace(b"enriched", b"enriched; name=fair-copy.txt"), 1),
    ],
)
def test_the_text_once_more_in_another_form_is_no_file_unless_it_says_something_else(other: bytes, kept: int) -> None:
    mail = parse_mail(mixed(b"Subject: twice\r\n", WORDS, other, kind=b"alternative"))
    assert (mail.text, len(mail.attachments)) == ("Please see below.", kept)


def test_enriched_text_is_read_where_there_is_no_other() -> None:
    assert parse_mail(mixed(b"Subject: once\r\n", ENRICHED, kind=b"alternative")).text == "Please see below."
    assert parse_mail(b"Subject: once\r\n" + ENRICHED).text == "Please see below."


@pytest.mark.parametrize(
    "content_type",
    [
        b"text/plain charset=gbk", b"text/plain, charset=gbk", b"text/plain (x); charset=gbk", b"plain/text; charset=gbk",
        b"text / plain; charset=gbk", b"text\\plain; charset=gbk", b"text/plain Content-Language: zh\\r\\n",
        b"text/plain;\r\ncharset=gbk", b"text/plain\r\ncharset=gbk",
    ],
)  # fmt: skip
def test_a_text_whose_type_is_written_wrong_is_the_text(content_type: bytes) -> None:
    mail = parse_mail(PLAIN.replace(b"text/plain; charset=utf-8", content_type).replace(b"it?", "它？".encode("gbk")))
    assert (mail.text, mail.attachments) == ("Where is 它？", ())


CODED = base64.encodebytes("我的包裹在哪里？请尽快帮我查一下，谢谢。".encode())


@pytest.mark.parametrize(
    ("encoding", "body", "read"),
    [
        (b'"BASE64" (x)', CODED, "我的包裹在哪里？请尽快帮我查一下，谢谢。"),
        (b"8bit\r\nContent-Transfer-Encoding: base64", CODED, "我的包裹在哪里？请尽快帮我查一下，谢谢。"),
        (
            b"base64",
            CODED + b"\r\nThis mail was scanned.",
            "我的包裹在哪里？请尽快帮我查一下，谢谢。\n\nThis mail was scanned.",
        ),
        (b"base64", b"5ZOq6YeM77yf\r\n\r\nThis mail was scanned.", "哪里？\n\nThis mail was scanned."),
        (b"base64", b"d2hlcmUgaXMgaXQ/Cg== This mail was scanned.", "where is it?\n\nThis mail was scanned."),
        (b"base64", b"Dear shop, where is it?\r\nJane", "Dear shop, where is it?\nJane"),
        (b"base64", "包裹在哪里？".encode(), "包裹在哪里？"),
        (b"base64", b"YT4_Yj4-\r\n", "a>?b>>"),
        (b"quoted-printable", b"one=  \r\nword", "oneword"),
        (b"x-uuencode", b"Dear shop, where is it?", "Dear shop, where is it?"),
    ],
)
def test_a_text_is_read_in_the_encoding_it_is_in(encoding: bytes, body: bytes, read: str) -> None:
    head = PLAIN.partition(b"\r\n\r\n")[0]
    mail = parse_mail(head + b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body)
    assert (mail.full_text.strip(), mail.defects) == (read, ())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b'attachment filename="a.pdf"', "a.pdf"),
        (b"attachment; filename='a b.pdf'", "a b.pdf"),
        (b'attachment; filename="%E5%8F%91%20a.pdf"', "发 a.pdf"),
        (b"attachment; filename=\"GBK''%B7%A2.pdf\"", "发.pdf"),
        (b'attachment; filename="100%25 a%20b.pdf"', "100%25 a%20b.pdf"),
        (b'attachment; filename="%E5%8F.pdf"', "%E5%8F.pdf"),
    ],
)
def test_files_are_called_what_their_senders_meant(written: bytes, meant: str) -> None:
    file = b"Content-Type: application/pdf\r\nContent-Disposition: " + written + b"\r\n\r\n%PDF"
    assert parse_mail(mixed(b"Subject: file\r\n", WORDS, file)).attachments[0].name == meant


def test_the_name_of_a_file_is_found_in_the_other_field() -> None:
    typed = b"Content-Type: image/jpeg; filename=a.jpg\r\nContent-Disposition: inline\r\n\r\nx"
    disposed = b"Content-Type: image/jpeg\r\nContent-Disposition: attachment; name=b.jpg\r\n\r\nx"
    mail = parse_mail(mixed(b"Subject: file\r\n", WORDS, typed, disposed))
    assert [file.name for file in mail.attachments] == ["a.jpg", "b.jpg"]


def test_raw_bytes_in_the_name_of_a_file_are_of_the_charset_of_the_text() -> None:
    korean = b"Content-Type: text/plain; charset=euc-kr\r\n\r\n" + "첨부 파일을 확인해 주세요".encode("euc-kr")
    file = b'Content-Type: application/pdf; name="' + "주문을 못 받았습니다.pdf".encode("euc-kr") + b'"\r\n\r\n%PDF'
    assert parse_mail(mixed(b"", korean, file)).attachments[0].name == "주문을 못 받았습니다.pdf"


HTML = b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<p>words</p>"


@pytest.mark.parametrize(
    ("raw", "subject", "words"),
    [
        (b"Subject: s\r\n\r\n" + HTML, "s", "words"),
        (b"Message-ID: <1@b.c>\r\n\r\n   \r\n\r\nSubject: s\r\n" + HTML, "s", "words"),
        (b"Subject: s\r\n\r\n\r\nX-Mailer: PHP\r\nReply-To: a@b.c\r\n" + HTML, "s", "words"),
        (b"From: a@b.c\r\n\r\nSubject: s\r\n\r\n" + HTML.replace(b"\r\n", b"\r\n\r\n", 1), "s", "words"),
        (b"Subject: s\r\nContent-Type: text/plain\r\n\r\nContent-Type: text/html", "s", "Content-Type: text/html"),
        (b"Subject: s\r\n\r\nTo: the shop\r\n\r\nwords", "s", "To: the shop\n\nwords"),
        (b"Subject: a long\none\r\nFrom: a@b.c\r\n\r\nwords", "a long one", "words"),
        (b"Subject:\r\nSubject: s\r\n\r\nwords", "s", "words"),
        ("Subject: s\r\nX-Größe: 7\r\nFrom: a@b.c\r\n\r\nwords".encode(), "s", "words"),
        (b"Subject: s\r\nX-Our Shop: 7\r\n\r\nwords", "s", "words"),
        (b" Subject: s\r\nFrom: a@b.c\r\n\r\nwords", "s", "words"),
        ("Subject: 退款\r\n\r\n词".encode("utf-16"), "退款", "词"),
    ],
)
def test_a_torn_header_is_mended(raw: bytes, subject: str, words: str) -> None:
    mail = parse_mail(raw)
    assert (mail.subject, mail.text) == (subject, words)


@pytest.mark.parametrize("boundary", [b"'c'", b"c (x)", b"--c"])
def test_a_boundary_written_wrong_is_found(boundary: bytes) -> None:
    head = b"Subject: s\r\nContent-Type: multipart/mixed; boundary=" + boundary
    assert parse_mail(head + b"\r\n\r\n--c\r\n\r\nwords\r\n--c--\r\n").text == "words"


@pytest.mark.parametrize("content_type", [b'multipart/mixed; boundary=" c"', b"text/html; boundary=c"])
def test_parts_are_found_where_a_boundary_says_that_there_are_some(content_type: bytes) -> None:
    delimiter = b"-- c" if b'" c"' in content_type else b"--c"
    parts = b"\r\n\r\n%s\r\nContent-Type: text/html\r\n\r\n<p>words\r\n%s--\r\n" % (delimiter, delimiter)
    assert parse_mail(b"Subject: s\r\nContent-Type: " + content_type + parts).text == "words"


DIGITS = b"Content-Type: text/csv; name=1.csv\r\n\r\n1,2"
GLUED = b"--c\r\n\r\nwords%s--c%s\r\n" + DIGITS + b"%s--c--\r\n"


@pytest.mark.parametrize(
    ("body", "words", "files"),
    [
        (GLUED % (b"", b"", b""), "words", [b"1,2"]),
        (GLUED % (b"\r\n", b"--", b"\r\n"), "words", [b"1,2"]),
        (b"MIME mail--c\r\n" + DIGITS + b"--c-- \r\n\r\n", "", [b"1,2"]),
        (b"--c\r\n\r\nwords\r\na --c in\r\nthem--c--", "words\na --c in\nthem", []),
        (b"--c\r\n\r\nwords--c--\r\nand more", "words--c--\nand more", []),
        (b"--c\r\n\r\nwords\r\n--c--\r\nnobody reads this--c--", "words", []),
        (b"words--c--", "words", []),
    ],
)
def test_a_delimiter_without_a_line_of_its_own_is_one_where_a_part_begins_or_all_ends(
    body: bytes, words: str, files: list[bytes]
) -> None:
    mail = parse_mail(b"Subject: s\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" + body)
    assert (mail.full_text.strip(), [file.content for file in mail.attachments]) == (words, files)


@pytest.mark.parametrize(("end", "cut"), [(b"--c--", False), (b"\r\n--c--", False), (b"", True)])
def test_a_mail_with_its_last_delimiter_was_not_cut(end: bytes, cut: bool) -> None:
    mail = parse_mail(b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nwords" + end)
    assert (mail.text, "unclosed_multipart" in mail.defects) == ("words", cut)


def test_a_dash_more_makes_another_boundary() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=--b\r\n\r\n----b\r\n" + WORDS + b"\r\n----b--\r\n"
    assert parse_mail(mixed(b"", inner, b"Content-Type: text/plain\r\n\r\nBye.")).full_text == "Please see below.\nBye."


@pytest.mark.parametrize("boundary", [b"", b"; boundary=never"])
def test_a_part_that_nothing_divides_is_read_as_text(boundary: bytes) -> None:
    undivided = b"Content-Type: multipart/alternative" + boundary + b"\r\n\r\nPlease see above."
    assert parse_mail(mixed(b"", WORDS, undivided)).full_text == "Please see below.\nPlease see above."


NAMED = b"Content-Type: text/plain; charset=utf-8; name=body.txt\r\n\r\nPlease see below."
PAGE = b"Content-Type: text/html\r\n\r\n<p>Please see below.</p>"
INVITATION = (
    b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\n"
    b"SUMMARY;LANGUAGE=en:Please see\\, all \r\n of you\r\nLOCATION:Room 5\r\nDESCRIPTION:one\\ntwo\r\nBEGIN:VALARM\r\n"
    b"DESCRIPTION:REMINDER\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR"
)


def test_a_type_that_is_none_is_text_unless_it_is_one_of_a_file() -> None:
    assert parse_mail(b"Subject: s\r\nContent-Type: letter\r\n\r\nwords").text == "words"
    file = parse_mail(mixed(b"", WORDS, b'Content-Type: letter;\r\nname="a.doc"\r\n\r\nx')).attachments[0]
    assert (file.name, file.media_type) == ("a.doc", "application/octet-stream")


def test_a_text_called_an_attachment_that_has_no_name_is_read_where_there_is_no_other() -> None:
    attached = b"Content-Type: text/plain\r\nContent-Disposition: attachment%s\r\n\r\nwords"
    assert parse_mail(mixed(b"", attached % b"")).text == "words"
    assert parse_mail(mixed(b"", attached % b"; filename=a.txt")).text == ""
    assert parse_mail(mixed(b"", WORDS, attached % b"")).text == "Please see below."


def test_a_file_behind_an_inner_multipart_with_the_boundary_of_the_outer_is_kept() -> None:
    inner = b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nwords\r\n--b\r\n" + PAGE + b"\r\n--b--"
    file = b"Content-Type: application/pdf; name=bill.pdf\r\n\r\n%PDF"
    mail = parse_mail(mixed(b"", inner, b"", file) + b"not a part: the last delimiter is above")
    assert [attached.name for attached in mail.attachments] == ["bill.pdf"]
    assert "words" in mail.text
    assert "not a part" not in mail.text


@pytest.mark.parametrize(
    ("raw", "read", "files"),
    [
        (b"Subject: s\r\n" + NAMED, "Please see below.", ["body.txt"]),
        (mixed(b"", NAMED), "Please see below.", ["body.txt"]),
        (mixed(b"", NAMED, kind=b"alternative"), "Please see below.", []),
        (mixed(b"", NAMED, PAGE), "Please see below.", ["body.txt"]),
        (mixed(b"", WORDS, PAGE), "Please see below.", []),
        (mixed(b"", PAGE, WORDS.replace(b"below", b"above")), "Please see below.\nPlease see above.", []),
        (b"Subject: s\r\n" + INVITATION, "Please see, all of you\nRoom 5\none\ntwo", [""]),
        (mixed(b"", WORDS, INVITATION), "Please see below.", [""]),
        (b"Subject: s\r\n\r\n<!DOCTYPE html>\r\n<html><p>Please <b>see</b> below.</html>", "Please see below.", []),
        (b"Subject: s\r\n\r\n<div>Please see below.</div>\r\n", "Please see below.", []),
        (b"Subject: s\r\n\r\n<div>x</div>\r\nwhat is wrong with that?", "<div>x</div>\nwhat is wrong with that?", []),
        (mixed(b"", WORDS + b"&nbsp;", PAGE + b"&nbsp;", kind=b"alternative"), "Please see below.", []),
        (b"Subject: s\r\nContent-Type: text/html\r\n\r\nPlease\r\nsee a &lt; b", "Please\nsee a < b", []),
        (b"Subject: s\r\n\r\nThis is a multi-part message in MIME format.\r\n--=x\r\n" + WORDS + b"\r\n--=x--", "Please see below.", []),
        (b"Subject: s\r\n\r\nlook:\r\n--=x\r\n" + WORDS, f"look:\n--=x\n{WORDS.decode()}".replace("\r", ""), []),
    ],
)  # fmt: skip
def test_the_words_are_found_where_programs_put_them(raw: bytes, read: str, files: list[str]) -> None:
    mail = parse_mail(raw)
    assert (mail.full_text.strip(), [file.name for file in mail.attachments]) == (read, files)


def test_what_pgp_signed_is_read_without_the_armour() -> None:
    signed = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -- one\ntwo\n"
        "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\nfooter"
    )
    assert parse_mail(b"Subject: s\n\n" + signed.encode()).full_text == "-- one\ntwo\nfooter"
    cut = signed.partition("\n-----BEGIN PGP SIGNATURE")[0]
    assert parse_mail(b"Subject: s\n\n" + cut.encode()).full_text == cut


@pytest.mark.parametrize(
    "said",
    [
        "Your mail program does not support HTML.",
        "您的邮件客户端不支持HTML格式，请升级。",
        "如果您无法正常查看本邮件，请点击这里",
        "[cid:image001.png@01DB]\n\u200b",
    ],
)
def test_html_is_read_when_the_text_part_says_only_that_there_is_html(said: str) -> None:
    text = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + said.encode()
    assert parse_mail(mixed(b"", text, PAGE, kind=b"alternative")).text == "Please see below."


def test_html_shows_emoji_that_are_images_and_hides_what_nobody_sees() -> None:
    page = '<p>退&#8203;款 <img src="x" alt="😀"> <img alt="logo.png"><img alt=\'我\'><span style="max-height:0px">preview</span>&zwnj; &zwnj; می\u200cخواهم</p>'
    assert parse_mail(b"Content-Type: text/html; charset=utf-8\r\n\r\n" + page.encode()).text == "退款 😀 می\u200cخواهم"


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ('<p title="a > b">one</p>', "one"),
        ('<a href="x>one</a> <b class="y">two</b>', "one two"),
        ("<p title=Bob's>it's</p>", "it's"),
        ("<p title='>' data-x=\">\">one", "one"),
    ],
)
def test_html_ends_its_tags_where_browsers_see_the_end(page: str, shown: str) -> None:
    assert parse_mail(b"Content-Type: text/html\r\n\r\n" + page.encode()).text == shown


def test_no_name_of_a_file_has_lines() -> None:
    file = b'Content-Type: a/b; name="=?utf-8?Q?a=0Ab.pdf?="\r\n\r\nx'
    assert parse_mail(mixed(b"", WORDS, file)).attachments[0].name == "a b.pdf"


def test_a_file_without_a_name_is_called_as_it_is_described() -> None:
    parts = [
        b"Content-Type: image/png\r\nContent-Description: " + said + b"\r\n\r\nx" for said in (b"scan 1.png", b"a scan")
    ]
    assert [file.name for file in parse_mail(mixed(b"", WORDS, *parts)).attachments] == ["scan 1.png", ""]


GROUP = (
    b"From: \"'Jane Doe' via Support\" <support@example.com>\r\nReply-To: jane@customer.example\r\n"
    b"List-ID: <support.example.com>\r\nSubject: s\r\n%s\r\nwords"
)


@pytest.mark.parametrize("field", [b"", b"X-Original-From: Jane Doe <jane@customer.example>\r\n"])
def test_whoever_writes_by_a_group_of_ours_is_the_sender_but_not_proven(field: bytes) -> None:
    passed = b"Authentication-Results: mx.example.com; dmarc=pass header.from=example.com\r\n" + GROUP % field
    mail = parse_mail(passed, trusted={"mx.example.com"}, ours="support@example.com".__eq__)
    assert (mail.sender.address, mail.sender.name, mail.proven) == ("jane@customer.example", "Jane Doe", False)
    assert parse_mail(passed).sender.address == "support@example.com"  # a list of others may say what it likes


def test_what_is_beyond_the_caps_is_noted_and_the_rest_is_read() -> None:
    parts = b"".join(b"--b\r\n\r\npart\r\n" for _ in range(500))
    many = parse_mail(b"Subject: many\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + parts)
    assert "too_many_parts" in many.defects
    assert many.text.startswith("part")
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(100))
    assert "too_deep" in parse_mail(b"Subject: deep\r\n" + deep + b"\r\nbottom").defects


def test_text_stays_free_of_what_databases_refuse() -> None:
    mail = parse_mail(b"Subject: a\0b\r\n\r\nbe\0fore\x08 after\r\n")
    assert mail.subject == "ab"
    assert mail.text == "before after"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Mon, 5 Jan 2026 09:30:00 +0800", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("5 Jan 2026 09:30 -0000 (UTC)", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
        ("Mon, 5 Jan 26 09:30:00 GMT", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
        ("2026-01-05T09:30:00+08:00", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("yesterday", None),
        ("31 Feb 2026 09:30:00 +0000", None),
        ("1 Jan 0001 00:00:00 +2300", None),
        ("Mon Jan 05 2026 09:30:00 GMT+0800 (China Standard Time)", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("Mon, 5 Jan 2026 09:30:00 +08:00", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("Mon, 5 Jan 2026 9:30:00 PM +0800", datetime(2026, 1, 5, 13, 30, tzinfo=UTC)),
        ("Mon, 5 Jan 2026 09:30:00.125 +0800", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("Mon, 5 Jan 2026 23:59:60 +0000", datetime(2026, 1, 5, 23, 59, 59, tzinfo=UTC)),
        ("Mon, 5 Jan 126 09:30:00 +0800", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("Mon, 5 Jan 2026 09:30:00 JST", datetime(2026, 1, 5, 0, 30, tzinfo=UTC)),
        ("2026/1/5 09:30:00", datetime(2026, 1, 5, 9, 30, tzinfo=UTC)),
        ("周一, 5 一月 2026 09:30:00 +0800", datetime(2026, 1, 5, 1, 30, tzinfo=UTC)),
        ("2026年1月5日 下午 1:30 +0800", datetime(2026, 1, 5, 5, 30, tzinfo=UTC)),
        ("5/1/2026 09:30", None),
    ],
)
def test_dates_are_utc_or_nothing(written: str, meant: datetime | None) -> None:
    assert date(written) == meant


def test_flowed_lines_are_joined_within_their_quote() -> None:
    assert unflow("one \ntwo\n> a \n> b\n-- \nme") == "one two\n> a b\n-- \nme"


@settings(deadline=None)  # what a first text loads takes longer
@given(st.binary(max_size=2000))
def test_no_bytes_raise(raw: bytes) -> None:
    parse_mail(raw)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(SAMPLES), st.data())
def test_spoilt_mails_are_read_in_no_time(raw: bytes, data: st.DataObject) -> None:
    spoilt = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, max(0, len(spoilt) - 1)))
        length = data.draw(st.integers(0, 40))
        spoilt[at : at + length] = data.draw(st.one_of(st.binary(max_size=40), st.just(bytes(raw[at : at + 200]))))
    begun = time.perf_counter()
    mail = parse_mail(bytes(spoilt))
    assert time.perf_counter() - begun < 2
    assert replace(mail, defects=()) == replace(parse_mail(bytes(spoilt)), defects=())


HOSTILE = {
    "encoded words without end": b"Subject: " + b"=?a?b?" * 20_000 + b"\n\nx",
    "nested comments": b"From: " + b"(" * 50_000 + b"\n\nx",
    "quotes": b"From: " + b'"' * 50_001 + b"\n\nx",
    "addresses": b"To: " + b"a@b," * 50_000 + b"\n\nx",
    "parameters": b"Content-Type: text/plain" + b"; a*0*=x" * 10_000 + b"\n\nx",
    "delimiters in one line": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"\r--b" * 200_000 + b"\n",
    "a long delimiter": b"Content-Type: multipart/mixed; boundary=%s\n\n" % (b"a" * 60_000) + b"a" * 10_000_000,
    "delimiters of dashes": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"---b--\ncontent-" * 200_000,
    "no colon": b"x\n" * 300_000,
    "short fields": b"a:\n" * 300_000,
    "blank lines": b"\n" * 2_000_000,
    "carriage returns": b"Subject: x\n" + b"\r" * 1_000_000,
    "attributions": b"\n" + b"On 2020 x\n" * 50_000,
    "signatures": b"\n" + (b"-- \n" + b"x\n" * 20) * 5_000,
    "header blocks": b"\n" + b"From: a\n" * 50_000,
    "tags": b"Content-Type: text/html\n\n" + b"<div><blockquote>" * 50_000,
    "open comment": b"Content-Type: text/html\n\n" + b"<!--" * 200_000,
    "open tags": b"Content-Type: text/html\n\n" + b"<a " * 200_000,
    "base64": b"Content-Transfer-Encoding: base64\n\n" + b"=A" * 4_000_000,
    "uuencode": b"\n" + b"begin 644 a\n" * 50_000,
    "numbers": b"Message-ID: <" + b"a " * 50_000 + b">\n\n" + b"order 1 " * 100_000,
    "references": b"References: " + b"<a@b> " * 50_000 + b"\n\nx",
    "authentication": b"Authentication-Results: " + b"(" * 60_000 + b"\n\nx",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mails_cost_no_more_than_their_length(name: str) -> None:
    begun = time.process_time()
    parse_mail(HOSTILE[name], trusted=frozenset({"mx.example.com"}))
    assert time.process_time() - begun < 2
