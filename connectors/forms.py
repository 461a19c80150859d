"""A posted form: multipart/form-data, urlencoded, or JSON with files in base64. Read whole, within limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from connectors.reading import attachment, from_base64, json_of, words
from normalizer.canon import Attachment
from normalizer.errors import Unreadable

FIELDS = 100
FILES = 50


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
    match kind:
        case b"multipart/form-data":
            return _multipart(options.get(b"boundary", b""), body)
        case b"application/x-www-form-urlencoded":
            return _urlencoded(body)
        case b"application/json":
            return _json(body)
    raise _malformed("send multipart/form-data, application/x-www-form-urlencoded or application/json")


def octets(content_type: str, body: bytes) -> Mapping[str, bytes]:
    """The fields of a form as the octets they came as, files among them. Raises Unreadable (code `malformed`)."""
    kind, options = parse_options_header(content_type)
    match kind:
        case b"multipart/form-data":
            posted = _parsed(options.get(b"boundary", b""), body).octets
            pairs = [(name.decode("utf-8", "replace"), value) for name, value in posted]
        case b"application/x-www-form-urlencoded":
            parts = body.split(b"&", FIELDS)
            if len(parts) > FIELDS:
                raise _malformed("not a urlencoded form of at most 100 fields")
            said = [part.replace(b"+", b" ").partition(b"=") for part in parts]
            pairs = [(unquote_to_bytes(name).decode("utf-8", "replace"), unquote_to_bytes(v)) for name, _, v in said]
        case _:
            raise _malformed("send multipart/form-data or application/x-www-form-urlencoded")
    return dict(reversed(pairs))


_remembered = lru_cache(maxsize=16)(_read)  # the door asks for key, lane and answer one after the other


def _malformed(reason: str) -> Unreadable:
    return Unreadable(reason, code="malformed")


def _urlencoded(body: bytes) -> Posted:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS, errors="replace")
    except ValueError:
        raise _malformed("not a urlencoded form of at most 100 fields") from None
    return Posted(_first(pairs))


def _first(pairs: list[tuple[str, str]]) -> dict[str, str]:
    return {name: words(value, name) for name, value in reversed(pairs)}


def _json(body: bytes) -> Posted:
    said = json_of(body)
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


class _Parts:
    """What MultipartParser calls back; a part is a file if it has a file name."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.files: list[Attachment] = []
        self.octets: list[tuple[bytes, bytes]] = []
        self.ended = False
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._content = bytearray()

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
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self.octets.append((options.get(b"name", b""), bytes(self._content)))
        if (filename := options.get(b"filename")) is None:
            self.pairs.append((name, self._content.decode("utf-8", "replace")))
        elif filename or self._content:  # an empty file field has neither
            kind = self._headers.get(b"content-type", b"").decode("latin-1")
            self.files.append(attachment(filename.decode("utf-8", "replace"), kind, bytes(self._content)))
        if len(self.pairs) > FIELDS or len(self.files) > FILES:
            raise _malformed("more than 100 fields or 50 files")

    def on_end(self) -> None:
        self.ended = True


def _multipart(boundary: bytes, body: bytes) -> Posted:
    parts = _parsed(boundary, body)
    return Posted(_first(parts.pairs), tuple(parts.files))


def _parsed(boundary: bytes, body: bytes) -> _Parts:
    parts = _Parts()
    names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "end")
    try:
        parser = MultipartParser(boundary, {f"on_{name}": getattr(parts, f"on_{name}") for name in names})  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise _malformed(f"not a multipart form: {type(error).__name__}") from None
    if not parts.ended:
        raise _malformed("the multipart form breaks off")
    return parts
