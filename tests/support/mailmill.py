"""Mails without end, from a seed: made of everything senders put into mails, and then damaged.

`mails(count, seed)` yields raw mails; the same seed yields the same. One in forty is a bomb: deep, wide or long.
"""

import base64
import random
import zlib
from collections.abc import Callable, Iterator

WORDS = ("退款", "订单 20260103", "kettle", "Größe", "返金", "주문", "заказ", "déjà", "\u200b", "😀", "🇨🇳", "a" * 70, "é",
         "\ufeff", "\u202e", "=?", "?=", "<", ">", "@", "\x00", "&nbsp;", "-- ", "> ", "From ", "写道：", "wrote:", "自动回复")  # fmt: skip
CHARSETS = ("utf-8", "gb2312", "gbk", "gb18030", "hz", "big5", "big5-hkscs", "iso-2022-jp", "shift_jis", "euc-kr", "utf-7",
            "utf-16", "iso-8859-1", "windows-1251", "koi8-r", "us-ascii", "x-unknown", "", "utf8mb4", "\"utf-8", "base64")  # fmt: skip
ENCODINGS = ("7bit", "8bit", "base64", "quoted-printable", "binary", "x-uuencode", "bogus", "")
TYPES = ("text/plain", "text/html", "text/plain", "text/calendar", "image/png", "application/pdf", "application/ms-tnef",
         "application/zip", "message/rfc822", "message/delivery-status", "multipart/mixed", "multipart/alternative",
         "multipart/related", "multipart/signed", "multipart/report", "multipart/encrypted", "application/pkcs7-mime",
         "text", "TEXT/PLAIN; ", "/", "multipart/", "")  # fmt: skip
FIELDS = ("From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Reply-To", "Return-Path",
          "Auto-Submitted", "List-Id", "Authentication-Results", "X-Failed-Recipients", "Received", "Content-Type", "",
          "From", "Subject", "X" * 300, "Sender", "DKIM-Signature", "Content-Disposition", "Bcc", "Precedence")  # fmt: skip


def mails(count: int, seed: int) -> Iterator[bytes]:
    dice = random.Random(seed)
    for at in range(count):
        if at % 40 == 39:
            yield dice.choice(BOMBS)(dice)
            continue
        raw = mail(dice)
        for _ in range(dice.choice((0, 1, 1, 2, 5))):
            raw = dice.choice(DAMAGE)(dice, raw)
        yield raw


def mail(dice: random.Random) -> bytes:
    end = dice.choice((b"\r\n", b"\r\n", b"\n", b"\r"))
    head = [b"%b: %b" % (name.encode(), field(dice)) for name in dice.choices(FIELDS, k=dice.randrange(0, 14))]
    return end.join(head) + end + part(dice, end, 0)


def field(dice: random.Random) -> bytes:
    text = said(dice, 3)
    match dice.randrange(8):
        case 0:
            return text.encode(dice.choice(("utf-8", "gb18030", "utf-16")), "replace")
        case 1:
            coded = base64.b64encode(text.encode()).decode()[: dice.randrange(1, 80)]
            return f"=?{dice.choice(CHARSETS)}?{dice.choice('BbQqX')}?{coded}?=".encode()
        case 2:
            return f'"{text}" <a{dice.randrange(9)}@b.example>, c@d, <>, g: x@y; (c(c)c'.encode()
        case 3:
            return f"<{dice.randrange(10**9)}@x> <{text}>".encode()
        case 4:
            return b"Mon, 5 Jan %d 25:61:00 +%d" % (dice.randrange(-1, 10**6), dice.randrange(10**5))
        case 5:
            return (
                b"auto-replied"
                if dice.random() < 0.5
                else b"x; dmarc=pass (" + text.encode() + b"; dkim=pass header.d=x"
            )
        case 6:
            return dice.randbytes(dice.randrange(60))
        case _:
            return f"{text};\r\n\tname*0*=utf-8''%e9%80; name*1={text}; filename=\"{text}".encode()


def part(dice: random.Random, end: bytes, depth: int) -> bytes:
    media_type, encoding, charset = dice.choice(TYPES), dice.choice(ENCODINGS), dice.choice(CHARSETS)
    boundary = dice.choice((b"b", b"----=_x", b"", b"b b", b"\xff", b"=_" * 40))
    head = f"Content-Type: {media_type}; charset={charset}".encode()
    if media_type.startswith("multipart") or dice.random() < 0.1:
        head += b'; boundary="%b"' % boundary
    if dice.random() < 0.3:
        head += (
            end
            + b"Content-Disposition: "
            + dice.choice((b"attachment", b"inline", b"x"))
            + b"; filename="
            + field(dice)
        )
    head += end + b"Content-Transfer-Encoding: " + encoding.encode() + end + end
    if media_type.startswith("multipart") and depth < 6:
        inner = (end + b"--" + boundary + end).join(part(dice, end, depth + 1) for _ in range(dice.randrange(4)))
        return head + b"--" + boundary + end + inner + end + b"--" + boundary + dice.choice((b"--", b"")) + end
    if media_type == "message/rfc822" and depth < 6:
        return head + mail(dice)
    return head + content(dice, encoding, charset)


def content(dice: random.Random, encoding: str, charset: str) -> bytes:
    text = dice.choice(
        ("{}", "<p>{}</p><blockquote>{}", "{}\n\nOn Mon, 5 Jan 2026, x wrote:\n> {}", "begin 644 a\n{}\nend\n")
    )
    text = text.format(*(said(dice, 30) for _ in range(2)))
    try:
        raw = text.encode(charset or "utf-8", "replace")
    except (LookupError, ValueError):
        raw = text.encode("utf-8", "surrogatepass")
    return base64.encodebytes(raw) if encoding == "base64" else raw


def said(dice: random.Random, most: int) -> str:
    return dice.choice((" ", "", "\n", "\n> ")).join(dice.choices(WORDS, k=dice.randrange(most + 1)))


# Damage


def _flip(dice: random.Random, raw: bytes) -> bytes:
    spoilt = bytearray(raw)
    for _ in range(min(len(raw), 20)):
        spoilt[dice.randrange(len(spoilt))] = dice.randrange(256)
    return bytes(spoilt)


def _cut(dice: random.Random, raw: bytes) -> bytes:
    return raw[: dice.randrange(len(raw) + 1)]


def _drop(dice: random.Random, raw: bytes) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + raw[at + dice.randrange(200) :]


def _repeat(dice: random.Random, raw: bytes) -> bytes:
    at = dice.randrange(len(raw) + 1)
    return raw[:at] + raw[at : at + 100] * dice.randrange(50) + raw[at:]


def _splice(dice: random.Random, raw: bytes) -> bytes:
    other = mail(dice)
    return raw[: dice.randrange(len(raw) + 1)] + other[dice.randrange(len(other) + 1) :]


def _ends(dice: random.Random, raw: bytes) -> bytes:
    return raw.replace(b"\n", dice.choice((b"\r", b"\n\n", b"\r\r\n", b"", b"\n ")))


DAMAGE: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _cut, _drop, _repeat, _splice, _ends)


# Bombs


def _deep(dice: random.Random) -> bytes:
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(dice.randrange(3000))
    )


def _deep_mails(dice: random.Random) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\n" * dice.randrange(5000) + b"\r\nend"


def _wide(dice: random.Random) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * dice.randrange(100_000)


def _crowd(dice: random.Random) -> bytes:
    to = b",\r\n ".join(b"Name %d <p%d@x.example>" % (n, n) for n in range(100_000))
    return b"From: a@b.example\r\nTo: " + to + b"\r\n\r\nhello"


def _header(dice: random.Random) -> bytes:
    return (
        b"X-Same: 1\r\n" * dice.randrange(200_000)
        + b"Subject: "
        + b"=?utf-8?B?" * dice.randrange(50_000)
        + b"\r\n\r\nx"
    )


def _long_line(dice: random.Random) -> bytes:
    return b"Subject: x\r\n\r\n" + dice.choice((b"a", b"> ", b"On 2020 ", b"<div>", b"=", b"(", b"@")) * 1_000_000


def _lines(dice: random.Random) -> bytes:
    line = dice.choice(
        (b"> a", b"On 5 Jan 2026 9:10 <a@b> x:", b"From: a", b"-- ", b"Best regards,", b"_" * 30, b"| |", b"\xe7")
    )
    return b"Subject: x\r\n\r\n" + (line + b"\n") * 100_000


def _packed(dice: random.Random) -> bytes:
    zipped = base64.encodebytes(b"PK\x03\x04" + zlib.compress(bytes(50_000_000)))
    kind = b"Content-Type: application/zip; name=a.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return kind + zipped


def _markup(dice: random.Random) -> bytes:
    return (
        b"Content-Type: text/html\r\n\r\n"
        + dice.choice((b"<blockquote>", b"<!--", b"<a ", b"&amp", b"<p style='")) * 200_000
    )


def _tnef(dice: random.Random) -> bytes:
    body = b"\x78\x9f\x3e\x22" + dice.randbytes(200_000)
    return b"Content-Type: application/ms-tnef; name=winmail.dat\r\n\r\n" + body


BOMBS: tuple[Callable[[random.Random], bytes], ...] = (
    _deep, _deep_mails, _wide, _crowd, _header, _long_line, _lines, _packed, _markup, _tnef,
)  # fmt: skip
