"""A posted form: multipart/form-data, urlencoded, or JSON with files in base64. Read whole, within limits.

Its words are in the charset it names: of a part, in a field `_charset_` (RFC 7578 4.6), or in the content type. Where
it names none they are UTF-8, or what they look like: pages in GBK post GBK.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from connectors.reading import attachment, exact_json_of, from_base64, words
from normalizer.canon import Attachment
from normalizer.charset import decode
from normalizer.errors import Unreadable
from normalizer.words import parameters

FIELDS = 100
FILES = 50

_BETWEEN = "\n--\n"


@dataclass(frozen=True, slots=True)
class Posted:
    """What was filled in. Of a field given twice the first counts."""

    values: Mapping[str, str]
    files: tuple[Attachment, ...] = ()


def read(content_type: str, body: bytes) -> Posted:
    """Raises Unreadable (code `malformed`) for what is no form."""
    return _remembered(content_type, body) if len(body) < 64 * 1024 else _read(content_type, body)


def _read(content_type: str, body: bytes) -> Posted:
    kind, options = parse_options_header(content_type)
    charset = options.get(b"charset", b"").decode("latin-1")
    match kind:
        case b"multipart/form-data":
            return _multipart(options.get(b"boundary", b""), body, charset)
        case b"application/x-www-form-urlencoded":
            pairs = _pairs(body)
            return Posted(_first(pairs, [_charset(pairs) or charset] * len(pairs)))
        case b"application/json":
            return _json(body)
    raise _malformed("send multipart/form-data, application/x-www-form-urlencoded or application/json")


def begun(content_type: str, body: bytes) -> Mapping[str, str]:
    """What was filled in before a multipart form broke off, such as one that was too large; nothing of another form."""
    kind, options = parse_options_header(content_type)
    parts = _Parts()
    if kind == b"multipart/form-data":
        with suppress(FormParserError, ValueError, Unreadable):
            parts.parser(options.get(b"boundary", b"")).write(body)
    fields = [part for part in parts.whole if part.filename is None]
    return _first([(part.name, part.content) for part in fields], [part.charset for part in fields])


def octets(content_type: str, body: bytes) -> Mapping[str, bytes]:
    """The fields of a form as the octets they came as, files among them. Raises Unreadable (code `malformed`)."""
    kind, options = parse_options_header(content_type)
    match kind:
        case b"multipart/form-data":
            pairs = [(part.name, part.content) for part in _parsed(options.get(b"boundary", b""), body)]
        case b"application/x-www-form-urlencoded":
            pairs = _pairs(body)
        case _:
            raise _malformed("send multipart/form-data or application/x-www-form-urlencoded")
    return dict(reversed(pairs))


_remembered = lru_cache(maxsize=16)(_read)  # the door asks for key, lane and answer one after the other


def _malformed(reason: str) -> Unreadable:
    return Unreadable(reason, code="malformed")


def _pairs(body: bytes) -> list[tuple[str, bytes]]:
    """Names and values of a urlencoded form, whose octets need not be ASCII (URL Standard 5.1)."""
    parts = body.split(b"&", FIELDS)
    if len(parts) > FIELDS:
        raise _malformed(f"a urlencoded form of more than {FIELDS} fields")
    said = [part.replace(b"+", b" ").partition(b"=") for part in parts if part]
    return [(unquote_to_bytes(name).decode("utf-8", "replace"), unquote_to_bytes(value)) for name, _, value in said]


def _charset(pairs: Iterable[tuple[str, bytes]]) -> str:
    """What the field `_charset_` says, which browsers fill in."""
    return next((value.decode("latin-1").strip() for name, value in pairs if name == "_charset_"), "")


def _first(pairs: Sequence[tuple[str, bytes]], charsets: Sequence[str]) -> dict[str, str]:
    texts = _texts([value for _, value in pairs], charsets)
    return {name: words(text, name) for (name, _), text in zip(reversed(pairs), reversed(texts), strict=True)}


def _texts(values: Sequence[bytes], charsets: Sequence[str]) -> list[str]:
    """As text. What names no charset and is no UTF-8 is looked at together: a name alone is too short to tell by."""
    odd = [at for at, value in enumerate(values) if not charsets[at] and not _is_utf8(value)]
    together = decode(_BETWEEN.encode().join(values[at] for at in odd))[0].split(_BETWEEN)
    told = dict(zip(odd, together, strict=True)) if len(together) == len(odd) else {}
    return [told.get(at, decode(value, charsets[at])[0]) for at, value in enumerate(values)]


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _json(body: bytes) -> Posted:
    said = exact_json_of(body)
    if not isinstance(said, dict) or len(said) > FIELDS:
        raise _malformed("not a JSON object of at most 100 fields")
    files = said.pop("attachments", None) or []
    if not isinstance(files, list) or len(files) > FILES:
        raise _malformed("attachments is not a list of at most 50 files")
    return Posted({name: words(value, name) for name, value in said.items()}, tuple(map(_file, files)))


def _file(said: object) -> Attachment:
    if not isinstance(said, dict):
        raise _malformed("an attachment is not an object with name, media_type and content")
    content = from_base64(words(said.get("content"), "content"), "content")
    return attachment(words(said.get("name"), "name"), words(said.get("media_type"), "media_type"), content)


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a multipart form; a file if it has a file name, be it an empty one."""

    name: str
    filename: str | None
    kind: bytes
    content: bytes

    @property
    def charset(self) -> str:
        return parameters(self.kind)[1].get("charset", "")


class _Parts:
    """What MultipartParser calls back."""

    def __init__(self) -> None:
        self.whole: list[_Part] = []
        self.ended = False
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._content = bytearray()

    def parser(self, boundary: bytes) -> MultipartParser:
        names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "end")
        return MultipartParser(boundary, {f"on_{name}": getattr(self, f"on_{name}") for name in names})  # type: ignore[arg-type]

    def on_part_begin(self) -> None:
        self._headers, self._content = {}, bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def on_part_end(self) -> None:
        # .NET and older Python code names as mail does (RFC 2047 and 2231).
        said = parameters(self._headers.get(b"content-disposition", b""))[1]
        kind = self._headers.get(b"content-type", b"")
        self.whole.append(_Part(said.get("name", ""), said.get("filename"), kind, bytes(self._content)))
        if len(self.whole) > FIELDS + FILES:
            raise _malformed(f"more than {FIELDS} fields or {FILES} files")

    def on_end(self) -> None:
        self.ended = True


def _multipart(boundary: bytes, body: bytes, charset: str) -> Posted:
    parts = _parsed(boundary, body)
    fields = [part for part in parts if part.filename is None]
    files = [part for part in parts if part.filename or (part.content and part.filename is not None)]
    if len(fields) > FIELDS or len(files) > FILES:
        raise _malformed(f"more than {FIELDS} fields or {FILES} files")
    pairs = [(part.name, part.content) for part in fields]
    charset = _charset(pairs) or charset
    return Posted(_first(pairs, [part.charset or charset for part in fields]), tuple(map(_attached, files)))


def _attached(part: _Part) -> Attachment:
    return attachment(part.filename or "", part.kind.decode("latin-1"), part.content)


def _parsed(boundary: bytes, body: bytes) -> list[_Part]:
    parts = _Parts()
    try:
        parser = parts.parser(boundary)
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise _malformed(f"not a multipart form: {type(error).__name__}") from None
    if not parts.ended:
        raise _malformed("the multipart form breaks off")
    return parts.whole
