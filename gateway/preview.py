"""What bytes look like to a person: a mail's headers and words, JSON set out, else hexadecimal. Never raises."""

import re
from dataclasses import dataclass

import orjson

from normalizer import mime
from normalizer.charset import clean, decode
from normalizer.identity import mask

READ = 64 * 1024  # of the bytes
SHOWN = 8 * 1024  # characters
DUMPED = 1024  # bytes in hexadecimal

_HEADER = re.compile(rb"\A(?:[!-9;-~]+:[^\n]*\n(?:[ \t][^\n]*\n)*){2,}")
_TEXT = re.compile("[^\x00-\x08\x0e-\x1f\x7f-\x9f]*")


@dataclass(frozen=True, slots=True)
class Preview:
    """`kind` is mail, json, text, binary or empty; `headers` are a mail's own, decoded, with people masked."""

    kind: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False  # there is more than is shown


def preview(body: bytes) -> Preview:
    if not body.strip():
        return Preview("empty", "")
    start = body[:READ]
    cut = len(body) > READ
    if _HEADER.match(start.replace(b"\r\n", b"\n")):
        return _mail(start, cut)
    if start.lstrip()[:1] in (b"{", b"["):
        try:
            set_out = orjson.dumps(orjson.loads(start), option=orjson.OPT_INDENT_2).decode()
            return _shortened("json", set_out, cut)
        except (orjson.JSONDecodeError, RecursionError, UnicodeDecodeError):
            pass
    text, _ = decode(start, "", "")
    if _TEXT.fullmatch(text):
        return _shortened("text", clean(text), cut)
    return Preview("binary", _hexadecimal(start[:DUMPED]), cut=len(body) > DUMPED)


def _mail(raw: bytes, cut: bool) -> Preview:
    read = mime.parse_mail(raw)
    said = {
        "from": mask(read.sender), "to": ", ".join(map(mask, read.to)), "cc": ", ".join(map(mask, read.cc)),
        "subject": read.subject,
        "date": read.sent_at.isoformat() if read.sent_at else "", "message-id": read.message_id,
        "attachments": ", ".join(f"{one.name or one.media_type} ({one.size})" for one in read.attachments),
        "kind": str(read.kind), "defects": ", ".join(read.defects),
    }  # fmt: skip
    shown = _shortened("mail", read.full_text, cut)
    return Preview("mail", shown.text, tuple((name, value[:300]) for name, value in said.items() if value), shown.cut)


def _shortened(kind: str, text: str, cut: bool) -> Preview:
    return Preview(kind, text[:SHOWN], cut=cut or len(text) > SHOWN)


def _hexadecimal(raw: bytes) -> str:
    lines = []
    for at in range(0, len(raw), 16):
        piece = raw[at : at + 16]
        shown = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in piece)
        lines.append(f"{at:06x}  {piece.hex(' '):<47}  {shown}")
    return "\n".join(lines)
