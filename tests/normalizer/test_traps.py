"""Traps of charsets, encoded-words, file names and addresses that senders in East Asia and elsewhere set."""

import base64
import re
from pathlib import Path

import pytest

from normalizer.canon import Kind
from normalizer.mime import parse_mail

ROOT = Path(__file__).parents[2]
PHRASES = {
    "gb2312": "退款还没有到账", "gbk": "退款還沒有到賬", "gb18030": "退款𠀀到账", "hz-gb-2312": "退款还没有到账",
    "big5": "退款還沒有入帳", "big5-hkscs": "退款仲未到喎㗎", "iso-2022-jp": "返金がまだです", "shift_jis": "返金がまだです①",
    "euc-jp": "返金がまだです", "euc-kr": "환불이 안 됐어요", "iso-2022-kr": "환불이 안 됐어요", "utf-7": "退款 für Öl",
    "utf-16": "退款", "koi8-r": "возврат денег", "windows-1251": "возврат денег", "windows-1252": "Größe €5",
    "iso-8859-15": "Größe €5", "windows-1258": "hoàn tiền",
}  # fmt: skip
PYTHON = {"hz-gb-2312": "hz", "big5-hkscs": "big5hkscs", "shift_jis": "cp932", "windows-1258": "utf-8"}


def mail(fields: bytes, body: bytes = b"x") -> bytes:
    return b"From: jo@c.example\r\nMessage-ID: <1@c>\r\n" + fields + b"\r\n\r\n" + body


def part(content_type: str, body: bytes, encoding: str = "base64") -> bytes:
    fields = f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: {encoding}".encode()
    return mail(fields, base64.encodebytes(body) if encoding == "base64" else body)


@pytest.mark.parametrize("charset", [one for one in PHRASES if one != "windows-1258"])
def test_bodies_are_read_in_the_charset_they_are_in(charset: str) -> None:
    raw = PHRASES[charset].encode(PYTHON.get(charset, charset))
    assert parse_mail(part(f'text/plain; charset="{charset}"', raw)).text == PHRASES[charset]


@pytest.mark.parametrize("charset", [one for one in PHRASES if one not in ("windows-1258", "utf-16")])
def test_subjects_are_read_in_the_charset_they_are_in(charset: str) -> None:
    raw = PHRASES[charset].encode(PYTHON.get(charset, charset))
    coded = f"Subject: =?{charset}?B?{base64.b64encode(raw).decode()}?=".encode()
    assert parse_mail(mail(coded)).subject == PHRASES[charset]


@pytest.mark.parametrize(
    ("label", "real"),
    [("gb2312", "gbk"), ("gb2312", "utf-8"), ("us-ascii", "gb18030"), ("iso-8859-1", "gbk"), ("utf-8", "gbk")],
)
def test_false_labels_fool_nobody(label: str, real: str) -> None:
    said = "您好，我在上个月二十七号下的订单到现在还没有发货，请尽快处理退款。"
    assert parse_mail(part(f"text/plain; charset={label}", said.encode(real))).text == said


@pytest.mark.parametrize("charset", ["utf-8", "gb18030", "big5", "hz", "utf-7", "iso-2022-jp"])
def test_raw_headers_are_read_as_the_body_is(charset: str) -> None:
    said = {"big5": "退款還沒有入帳", "iso-2022-jp": "返金がまだです"}.get(charset, "退款还没有到账")
    raw = b"Subject: " + said.encode("big5hkscs" if charset == "big5" else charset)
    body = f"\r\nContent-Type: text/plain; charset={charset}".encode()
    assert parse_mail(mail(raw + body, said.encode(charset))).subject == said


def test_a_character_split_between_encoded_words_is_whole() -> None:
    raw = "退款到账".encode()
    words = b" ".join(b"=?utf-8?B?%b?=" % base64.b64encode(raw[at : at + 4]) for at in range(0, len(raw), 4))
    assert parse_mail(mail(b"Subject: " + words)).subject == "退款到账"


@pytest.mark.parametrize(
    "name",
    [
        "filename*=UTF-8''%E5%8F%91%E7%A5%A8.pdf",
        "filename*0*=UTF-8''%E5%8F%91; filename*1*=%E7%A5%A8.pdf",
        "filename*0*=UTF-8''%E5; filename*1*=%8F%91%E7%A5%A8; filename*2=.pdf",
        "filename*=GB2312''%B7%A2%C6%B1.pdf",
        'filename="=?utf-8?B?5Y+R56WoLnBkZg==?="',
        "filename==?utf-8?B?5Y+R56WoLnBkZg==?=",
        'filename="=?gb2312?B?t6LGsS5wZGY=?="',
        'filename="发票.pdf"',
        'filename="C:\\\\temp\\\\发票.pdf"',
        'filename="../../发票.pdf"',
    ],
)
def test_file_names_are_read_however_they_are_written(name: str) -> None:
    fields = f"Content-Type: application/pdf\r\nContent-Disposition: attachment; {name}".encode()
    assert [one.name for one in parse_mail(mail(fields)).attachments] == ["发票.pdf"]


@pytest.mark.parametrize(
    ("written", "address", "name"),
    [
        ("support@bank.example <evil@x.example>", "evil@x.example", "support@bank.example"),
        ('"support@bank.example" <evil@x.example>', "evil@x.example", "support@bank.example"),
        ("=?utf-8?B?c3VwcG9ydEBiYW5rLmV4YW1wbGU=?= <evil@x.example>", "evil@x.example", "support@bank.example"),
        ('"a\\"@bank.example" <evil@x.example>', "evil@x.example", 'a"@bank.example'),
        ("evil@x.example (support@bank.example)", "evil@x.example", "support@bank.example"),
        ("<@bank.example:evil@x.example>", "evil@x.example", ""),
        ("jo@例子.example", "jo@例子.example", ""),
        ("Jo (the (kind) one) <jo@c.example>", "jo@c.example", "Jo"),
    ],
)
def test_whoever_from_pretends_to_be_the_address_counts(written: str, address: str, name: str) -> None:
    read = parse_mail(f"From: {written}\r\nMessage-ID: <1@c>\r\n\r\nx".encode())
    assert (read.sender.address, read.sender.name) == (address, name)


def test_groups_are_taken_apart() -> None:
    read = parse_mail(mail("To: 客服: a@c.example, B <b@c.example>;, undisclosed: ;, d@c.example".encode()))
    assert [one.address for one in read.to] == ["a@c.example", "b@c.example", "d@c.example"]


def test_every_defect_and_kind_of_mail_is_explained() -> None:
    told = (ROOT / "docs" / "reference" / "mail.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "normalizer").glob("*.py"))
    defects = set(re.findall(r'(?:_note\(|defects\.append\()"(\w+)"', sources))
    assert "too_deep" in defects
    assert {one for one in defects if f"| `{one}` |" not in told} == set()
    for kind in set(Kind) - {Kind.EDIT, Kind.DELETE, Kind.REACTION, Kind.POSTBACK, Kind.CALL, Kind.RECORDING}:
        assert f"| `{kind.value}`" in told
