"""Words in mail headers: encoded-words (RFC 2047), parameters (RFC 2231), and what senders write instead of them.

Everything is lenient and linear: a header is never an error, only less or more clear.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from normalizer.charset import clean, decode

MAX_BASE64_TEXTS = 1000  # joined in one part
MAX_HEADER = 65_536  # of one field, in bytes; what comes after is not read

_PRINTABLE = bytes(range(32, 127))
_FOLD = re.compile(rb"(?:[\r\n]+[ \t]*)+")
_OPENING = re.compile(r"=\?([^?\s*=]*)(?:\*[^?\s]*)?\?([bBqQ])\?")
_FURTHER = re.compile(r"\?(?:=[0-9A-F]{2})[^\s?]*\?=")
_SPACES = re.compile(r"\s+")
_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/=]+")
_PARAMETER = re.compile(rb';[;\s]*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^;]*))', re.S)
_VALUE = re.compile(rb"\s*\"?([^\s=;,\"(]+)\"?(?=[\s,(])[\s,]*")  # before a parameter that no semicolon precedes
_COMMENT = re.compile(rb"\([^()]*\)")
_SECTION = re.compile(r"([^*]+)\*(?:(\d{1,3})(\*?))?")


def text(raw: bytes, hint: str = "") -> str:
    """An unstructured field as people read it. `hint` is the charset of raw 8-bit bytes, if something suggests one."""
    plain_ascii = len(raw) < 200 and b"=" not in raw and raw.isascii() and not raw.translate(None, _PRINTABLE)
    if plain_ascii and not (hint and (b"+" in raw or b"~" in raw)):
        return raw.decode("ascii").strip()
    flat = _FOLD.sub(b" ", raw[:MAX_HEADER]).strip()
    if b"=?" in flat and flat.isascii():
        hint = ""  # an encoded-word says its own charset, which may be UTF-7 too
    plain = decode(flat, "", hint)[0]
    said = clean(decode_words(plain) if "=?" in plain else plain)
    lines = said.splitlines()
    return said if len(lines) < 2 else " ".join(lines)  # a field is one line, whatever was coded in it


def decode_words(value: str) -> str:
    """Decode encoded-words anywhere in a text; the bytes of neighbours in one charset are joined before decoding."""
    out: list[str] = []
    run: list[_Word] = []
    at = 0
    for word in _words(value):
        between = value[at : word.start]
        if run and (word.charset != run[0].charset or between.strip()):
            out.append(_decoded(run, value))
            run = []
        if not at or between.strip():  # space between two encoded-words is not part of the text
            out.append(between)
        run.append(word)
        at = word.end
    if run:
        out.append(_decoded(run, value))
    out.append(value[at:])
    return "".join(out)


class _Word(NamedTuple):
    """An encoded-word and where it stands."""

    start: int
    end: int
    charset: str
    base64: bool
    coded: str


def _words(value: str) -> Iterator[_Word]:
    at = 0
    while opening := _OPENING.search(value, at):
        end = _end(value, opening.end(), opening[2] in "bB")
        if end < 0:
            if _SPACES.search(value, opening.end()):
                return
            end = len(value)  # cut off by somebody's length limit
        at = end + 2
        coded = value[opening.end() : end]
        yield _Word(opening.start(), at, opening[1].lower() or "utf-8", opening[2] in "bB", coded)


def _end(value: str, start: int, base64: bool) -> int:
    """Where an encoded-word ends. A question mark that was left as it is may stand before a coded byte."""
    end = value.find("?=", start)
    while end >= 0 and not base64 and (further := _FURTHER.match(value, end)):
        end = further.end() - 2
    return end


def _decoded(run: list[_Word], value: str) -> str:
    """The characters of words in one charset; what was written if they are none."""
    said, defect = decode(b"".join(_texts(run)), run[0].charset)
    unreadable = defect == "wrong_charset" and _UNREADABLE.search(said)
    return value[run[0].start : run[-1].end] if unreadable else said


def _texts(run: list[_Word]) -> Iterator[bytes]:
    """The bytes of each word. Base64 cut where no quantum ends goes on in the next word."""
    held = ""
    for at, word in enumerate(run):
        coded = held + word.coded
        held = ""
        if word.base64 and len(coded) % 4 and "=" not in coded and run[at + 1 : at + 2] and run[at + 1].base64:
            held = coded
        elif word.base64:
            yield base64(coded.encode("utf-8", "surrogatepass"))
        else:
            yield binascii.a2b_qp(coded.encode("utf-8", "surrogatepass"), header=True)


def base64(raw: bytes) -> bytes:
    """Base64 as far as it goes: stray bytes skipped, missing padding added, several texts in a row joined."""
    try:
        decoded = binascii.a2b_base64(raw)
    except binascii.Error:
        return b"".join(_base64_texts(raw))
    # The decoder stops at padding; more may stand behind it.
    padded = raw.find(b"=")
    return decoded if padded < 0 or not raw[padded:].strip(b"=\r\n \t") else b"".join(_base64_texts(raw))


def _base64_texts(raw: bytes) -> Iterator[bytes]:
    letters = _NOT_BASE64.sub(b"", raw)
    texts = letters.split(b"=", MAX_BASE64_TEXTS)
    for coded in (*texts[:-1], texts[-1].replace(b"=", b"")):
        whole = coded[: len(coded) - 1] if len(coded) % 4 == 1 else coded
        yield binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def parameters(raw: bytes, hint: str = "") -> tuple[str, dict[str, str]]:
    """The value in lower case and its parameters: RFC 2231 sections joined, encoded-words and raw bytes decoded."""
    head, rest = _head(raw[:MAX_HEADER])
    value = (_COMMENT.sub(b"", head) if b"(" in head else head).decode("latin-1").strip().lower()
    if not rest:
        return value, {}
    found: dict[str, bytes] = {}
    for name, quoted, bare in _PARAMETER.findall(rest):
        said = _unquoted(quoted) if quoted else bare.strip()
        found.setdefault(name.decode("latin-1").lower(), said)
    return value, _joined(found, hint)


def _head(raw: bytes) -> tuple[bytes, bytes]:
    """The value, and the parameters with the semicolon before them, which some senders leave out."""
    head = raw.partition(b";")[0]
    if b"=" not in head:
        return head, raw[len(head) :]
    value = _VALUE.match(head)
    return (value[1], b";" + raw[value.end() :]) if value else (b"", b";" + raw)


def _unquoted(quoted: bytes) -> bytes:
    """Without the backslashes that quote a quote; a lone backslash is one of a Windows path."""
    return quoted.replace(b'\\"', b'"').replace(b"\\\\", b"\\") if b"\\" in quoted else quoted


def _joined(found: Mapping[str, bytes], hint: str) -> dict[str, str]:
    joined: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, bytes]]] = {}
    for name, said in found.items():
        if "*" not in name:
            joined.setdefault(name, _parameter_text(said, hint))
        elif section := _SECTION.fullmatch(name):
            number, coded = int(section[2] or 0), not section[2] or bool(section[3])
            sections.setdefault(section[1], []).append((number, coded, said))
    for name, pieces in sections.items():
        joined[name] = _extended(sorted(pieces, key=lambda piece: piece[0]))
    return joined


def _parameter_text(said: bytes, hint: str) -> str:
    if said.isascii() and b"=?" not in said:
        return clean(_FOLD.sub(b" ", said).decode("ascii").strip())
    return text(said, hint)


def _extended(pieces: list[tuple[int, bool, bytes]]) -> str:
    """RFC 2231: `utf-8'en'%e5%8f%91`, in sections of which each says whether it is coded."""
    charset, raw, run = "", b"", b""
    says = any(coded for _, coded, _ in pieces)  # which charset, be it in a section that does not say it is coded
    for at, (_, coded, said) in enumerate(pieces):
        if says and at == 0 and said.count(b"'") >= 2:
            label, _, said = said.split(b"'", 2)
            charset, coded = label.decode("latin-1"), True
        if coded:
            run += said  # a section may end within a triplet
        else:
            raw, run = raw + unquote_to_bytes(run) + said, b""
    raw += unquote_to_bytes(run)
    whole = clean(decode(_FOLD.sub(b" ", raw), charset)[0])
    return decode_words(whole) if "=?" in whole else whole
