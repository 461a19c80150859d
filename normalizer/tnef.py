"""winmail.dat (TNEF, MS-OXTNEF): what Outlook wraps files into for recipients it takes for Outlook.

The files and the plain text come out; rich text stays where it is. Total: what is broken gives what came before it.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from normalizer.charset import clean, decode

SIGNATURE = b"\x78\x9f\x3e\x22"
MAX_ATTRIBUTES = 5000
MAX_PROPERTIES = 1000
MAX_FILES = 200

_BODY, _CODEPAGE = 0x800C, 0x9007
_NEW_FILE, _FILE_DATA, _FILE_TITLE, _FILE_PROPERTIES = 0x9002, 0x800F, 0x8010, 0x9005
_LONG_NAME, _MEDIA_TYPE, _CONTENT_ID = 0x3707, 0x370E, 0x3712
_STRING, _UNICODE = 0x1E, 0x1F
_VARIABLE = frozenset({_STRING, _UNICODE, 0x0D, 0x102})
_SIZES = {0x02: 4, 0x03: 4, 0x04: 4, 0x05: 8, 0x06: 8, 0x07: 8, 0x0A: 4, 0x0B: 4, 0x14: 8, 0x40: 8, 0x48: 16}


@dataclass(slots=True)
class File:
    name: str = ""
    media_type: str = ""
    inline: bool = False
    content: bytes = b""


@dataclass(slots=True)
class Unwrapped:
    text: str = ""
    files: list[File] = field(default_factory=list)


def unwrap(raw: bytes) -> Unwrapped | None:
    """What is in it; None if it is no TNEF. Never raises."""
    if not raw.startswith(SIGNATURE):
        return None
    found, charset = Unwrapped(), ""
    for name, said in _attributes(raw):
        if name == _CODEPAGE and len(said) >= 4:
            charset = f"cp{struct.unpack_from('<I', said)[0]}"
        elif name == _BODY:
            found.text = _text(said, charset)
        elif name == _NEW_FILE and len(found.files) < MAX_FILES:
            found.files.append(File())
        elif found.files:
            _describe(found.files[-1], name, said, charset)
    return found


def _describe(file: File, name: int, said: bytes, charset: str) -> None:
    if name == _FILE_DATA:
        file.content = said
    elif name == _FILE_TITLE:
        file.name = file.name or _text(said, charset)
    elif name == _FILE_PROPERTIES:
        known = dict(_properties(said, charset))
        file.name = known.get(_LONG_NAME) or file.name
        file.media_type = known.get(_MEDIA_TYPE, "").lower()
        file.inline = bool(known.get(_CONTENT_ID))


def _text(said: bytes, charset: str) -> str:
    return clean(decode(said.rstrip(b"\0"), charset)[0])


def _attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Level, id and type, length, the data, a checksum; after the signature and a key of two bytes."""
    at = 6
    for _ in range(MAX_ATTRIBUTES):
        if at + 9 > len(raw):
            return
        _, name, _, length = struct.unpack_from("<BHHI", raw, at)
        at += 9
        yield name, raw[at : at + length]
        at += length + 2


def _properties(raw: bytes, charset: str) -> Iterator[tuple[int, str]]:
    """The texts among the MAPI properties, by id. Stops at what it does not know the length of."""
    at = 4
    for _ in range(MAX_PROPERTIES):
        if at + 4 > len(raw):
            return
        kind, name = struct.unpack_from("<HH", raw, at)
        at += 4
        if name >= 0x8000:  # named: a GUID, then a number or a name
            at = _past_name(raw, at)
        if kind in _VARIABLE:
            if at + 8 > len(raw):
                return
            count, length = struct.unpack_from("<II", raw, at)
            if count != 1:
                return
            said = raw[at + 8 : at + 8 + length]
            at += 8 + (length + 3) // 4 * 4
            if kind == _UNICODE:
                yield name, clean(said.decode("utf-16-le", "replace").rstrip("\0"))
            elif kind == _STRING:
                yield name, _text(said, charset)
        elif kind in _SIZES:
            at += _SIZES[kind]
        else:
            return


def _past_name(raw: bytes, at: int) -> int:
    if at + 24 > len(raw):
        return len(raw)
    kind, length = struct.unpack_from("<II", raw, at + 16)
    return at + 24 if kind == 0 else at + 24 + (length + 3) // 4 * 4
