"""The parts of a mail, found in its bytes without copying or recursion over its length.

The standard library's parser walks line by line through every enclosing boundary and recurses on nesting; this one
searches for delimiters, so its cost is the length times the depth, and the depth is capped. What is malformed is
read the way mail programs read it, and noted as a defect.
"""

import binascii
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, takewhile
from urllib.parse import unquote_to_bytes

from normalizer.charset import clean, decode
from normalizer.words import base64, parameters, text

MAX_BYTES = 25 * 1024 * 1024
MAX_DEPTH = 50
MAX_PARTS = 200
MAX_FIELDS = 2000
MAX_HEADER_BLOCK = 1024 * 1024
MAX_PREAMBLE = 2000
MAX_BLANK = 200  # behind the last delimiter
MIN_BASE64_LINE = 40  # shorter lines may be words as well

_BLANK_LINE = re.compile(rb"\n\r*\n")
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.M)
_NO_FIELD = re.compile(rb"^(?![!-9;-~]+[ \t]*:)(?![ \t])(?!X-[^\n:]{1,60}:)[^\n]+", re.M)
_KNOWN_FIELD = re.compile(
    rb"^(?:from|to|cc|subject|date|message-id|mime-version|content-[a-z-]+|received|reply-to|return-path)"
    rb"[ \t]*:",
    re.M | re.I,
)
_UNFOLDED = re.compile(rb"\r?\n(?=charset=)|(?<=;)[ \t]{0,9}\r?\n(?=[a-z][a-z0-9*-]*=)", re.I)  # before a parameter
_ENVELOPE_LINE = re.compile(rb">?From [^\s:]")  # mbox's, before the header
_TORN_SUBJECT = re.compile(rb"^(subject[ \t]*:[^\n]*)((?:\n(?![!-9;-~]+[ \t]*:)[^\s][^\n]*)+)", re.M | re.I)
_REST_OF_HEADER = re.compile(
    rb"(?:[ \t]*\r?\n)*(?:(?:mime-version|content-[a-z-]+|x-[a-z-]+|from|reply-to|to|cc|subject|date|message-id)[ \t]*:"
    rb"[^\n]*\n(?:[ \t]+[^\s][^\n]*\n)*(?:\r?\n)?)+",
    re.I,
)
_DASHES = re.compile(rb"^--([ ]{0,70}[^\s][^\r\n]{0,199}?)[ \t]*\r?\n(?=[!-9;-~]+:)", re.M)
_PREAMBLE = re.compile(rb"\s*(?:This is a (?:multi-?part|MIME)[^\r\n]*\s*)?", re.I)
_REST = re.compile(rb"[ \t]*(?:\r*\n|\r|\Z)")  # of a delimiter's line
_REST_AND_PART = re.compile(rb"(?:--)?[ \t]*\r*\n(?=content-[a-z-]{1,40}[ \t]*:)", re.I)  # and a part below
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+*-]+/[a-z0-9!#$&^_.+*-]+")
_TYPE = re.compile(r"([a-z0-9!#$&^_.+*-]+)\s*[/\\]\s*([a-z0-9!#$&^_.+*-]+)(?![^\s,])")  # and what stands behind it
_NO_TOKEN = re.compile(r"[^a-z0-9!#$&^_.+*/-]+")
_BASE64_LINE = re.compile(rb"[ \t]*[A-Za-z0-9+/]+={0,3}[ \t]*\r?")
_BEHIND_PADDING = re.compile(rb"(?<=[A-Za-z0-9+/=]=)[ \t]++(?=[^\s=])")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_PADDED_LINE_END = re.compile(rb"=[ \t]+(?=\r?\n)")
_ENCODING = re.compile(rb"[^a-z0-9]+")
_TRIPLET = re.compile(r"%[89A-Fa-f][0-9A-Fa-f]")
_FILE_NAME = re.compile(r"[^\n]{1,200}\.[A-Za-z0-9]{2,5}")
_EXTENDED = re.compile(r"([\w-]{2,20})'[\w-]*'(.+)", re.S)
_MEANT = {
    "text": "text/plain", "plain": "text/plain", "plain/text": "text/plain", "text/*": "text/plain",
    "text/text": "text/plain", "text/txt": "text/plain", "text/ascii": "text/plain", "text/unknown": "text/plain",
    "application/text": "text/plain", "html": "text/html", "html/text": "text/html",
    "multipart": "multipart/mixed",
}  # fmt: skip
_SHORT = 200  # header values up to this length are worth remembering

Fields = Mapping[str, list[bytes]]


@dataclass(slots=True)
class Part:
    """One part: its header fields (names in lower case) and where its body lies in the mail."""

    fields: dict[str, list[bytes]]
    start: int
    end: int
    media_type: str = "text/plain"
    params: Mapping[str, str] = field(default_factory=dict)
    children: list["Part"] = field(default_factory=list)

    def first(self, name: str) -> bytes:
        """The first that says something."""
        return next(filter(None, self.fields.get(name, ())), b"")

    @property
    def disposition(self) -> tuple[str, Mapping[str, str]]:
        raw = self.first("content-disposition")
        return _parameters(raw) if raw else ("", {})


class Parts:
    """A mail taken apart. `defects` is filled on the way."""

    def __init__(self, raw: bytes) -> None:
        self.defects: list[str] = []
        if len(raw) > MAX_BYTES:
            raw = raw[:MAX_BYTES]
            self.defects.append("oversized")
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):  # saved as "Unicode"
            raw = raw.decode("utf-16", "replace").encode()
        self.raw = raw if b"\n" in raw else raw.replace(b"\r", b"\n")
        self.count = 0
        self.root = self._part(self._first_line(), len(self.raw), "text/plain")
        if "content-type" not in self.root.fields:
            self._mend_torn_header(self.root)
        if "content-type" not in self.root.fields or (
            "boundary" in self.root.params and not self.root.media_type.startswith("multipart/")
        ):
            self._recognise_multipart(self.root)
        self._open()

    def content(self, part: Part) -> bytes:
        """The body with its transfer encoding undone."""
        body = self.raw[part.start : part.end]
        for declared in part.fields.get("content-transfer-encoding", ()):
            match _ENCODING.sub(b"", declared.lower().partition(b";")[0].partition(b"(")[0]):
                case b"base64" | b"b":
                    return self._base64(part, body)
                case b"quotedprintable" | b"qp" | b"q":
                    return binascii.a2b_qp(
                        _PADDED_LINE_END.sub(b"=", body) if b"= " in body or b"=\t" in body else body
                    )
                case b"xuuencode" | b"uuencode" | b"xuue" | b"uue":
                    return uudecode(body) or (body if part.media_type.startswith("text/") else b"")
        return body

    def _base64(self, part: Part, body: bytes) -> bytes:
        """Base64, and what gateways wrote below it; a text that was only said to be coded, as it is."""
        if not body.translate(None, _BASE64):
            return base64(body)
        if not body.translate(None, _BASE64 + b"-_") and b"--" not in body and b"__" not in body:
            return base64(body.translate(_URL_SAFE))
        lines = _BEHIND_PADDING.sub(b"\n", body).split(b"\n")
        end = _coded_lines(lines)
        coded = base64(b"\n".join(lines[:end]))
        if not part.media_type.startswith("text/"):
            return coded if end else base64(body)
        if not coded or (end < 2 and decode(coded, part.params.get("charset", ""))[1]):
            return body
        below = b"\n".join(lines[end:])
        return coded + b"\n" + below if below.strip() else coded

    def _first_line(self) -> int:
        """Past blanks, blank lines and a byte order mark, if they stand before the header."""
        at = 3 if self.raw.startswith(b"\xef\xbb\xbf") else 0
        while at < len(self.raw) and self.raw[at] in b"\r\n \t":
            at += 1
        return at

    def _mend_torn_header(self, part: Part) -> None:
        """A header with empty lines in it, as scripts write that end lines twice: the rest stands in the body."""
        rest = _REST_OF_HEADER.match(self.raw, part.start, min(part.end, part.start + MAX_HEADER_BLOCK))
        if rest and b"content-type" in rest[0].lower():
            for name, value in islice(_fields(rest[0]), MAX_FIELDS):
                part.fields.setdefault(name.decode("ascii").lower(), []).append(value.strip())
            part.start = rest.end()
            self._declare(part)
            self._note("broken_header")

    def _recognise_multipart(self, part: Part) -> None:
        """A multipart whose type was lost on the way: it begins with a delimiter, or with what is said before one."""
        delimiter = _DASHES.search(self.raw, part.start, min(part.end, part.start + MAX_PREAMBLE))
        if not delimiter or self.raw[delimiter.end() : delimiter.end() + 8].lower() != b"content-":
            return
        if _PREAMBLE.fullmatch(self.raw, part.start, delimiter.start()):
            part.media_type, part.params = "multipart/mixed", {"boundary": delimiter[1].decode("latin-1")}
            self._note("wrong_boundary")

    def _open(self) -> None:
        """Take multiparts apart, outermost first."""
        todo = [(self.root, 0)]
        while todo:
            part, depth = todo.pop()
            if not part.media_type.startswith("multipart/"):
                continue
            if depth >= MAX_DEPTH or self.count >= MAX_PARTS:
                self._note("too_deep" if depth >= MAX_DEPTH else "too_many_parts")
                continue
            part.children = self._children(part)
            todo.extend((child, depth + 1) for child in reversed(part.children))

    def _children(self, part: Part) -> list[Part]:
        spans = self._spans(part)
        default = "message/rfc822" if part.media_type == "multipart/digest" else "text/plain"
        children: list[Part] = []
        for start, end in spans:
            if self.count >= MAX_PARTS:
                self._note("too_many_parts")
                break
            children.append(self._part(start, end, default))
        return children

    def _spans(self, part: Part) -> list[tuple[int, int]]:
        """Where the children lie. With a missing or wrong boundary, one that is really there is taken."""
        boundary = part.params.get("boundary", "").encode("utf-8", "surrogatepass").rstrip()
        spans = self._delimited(part, b"--" + boundary) if boundary else []
        bare = boundary.partition(b" (")[0].strip(b"'").removeprefix(b"--")
        if not spans and bare and bare != boundary:
            spans = self._delimited(part, b"--" + bare)
            self._note("wrong_boundary")
        if not spans and (seen := _DASHES.search(self.raw, part.start, part.end)):
            spans = self._delimited(part, b"--" + seen[1])
            self._note("wrong_boundary")
        if not spans:
            part.end = self._unclosed_end(b"--" + boundary + b"--", part.start, part.end) if boundary else part.end
            self._note("no_boundary")
        return spans

    def _delimited(self, part: Part, delimiter: bytes) -> list[tuple[int, int]]:
        """Where the parts between delimiters lie. What has a part's header below it is one, wherever it stands.

        Scripts forget the line end before a delimiter, write the last one between parts, and give a multipart
        within the boundary of the outer, so parts may follow behind the last.
        """
        spans: list[tuple[int, int]] = []
        raw, begun, at, closed = self.raw, -1, part.start, False
        while len(spans) <= MAX_PARTS and (at := raw.find(delimiter, at, part.end)) >= 0:
            after = at + len(delimiter)
            begins = at == part.start or raw[at - 1] in b"\r\n"
            last = begins and raw.startswith(b"--", after, part.end)
            line = _REST.match(raw, after, part.end) if begins else None
            if not line and (begins or raw[at - 1] != 45):
                line = _REST_AND_PART.match(raw, after, part.end)
            if not (line or last):
                at = after  # words of a line, or a longer boundary that begins or ends with this one
                continue
            if begun >= 0:
                spans.append((begun, _before_line_end(raw, begun, at)))
            closed = not line
            begun, at = (line.end(), line.end()) if line else (-1, after)
        if begun >= 0:
            end = self._unclosed_end(delimiter + b"--", begun, part.end)
            spans.append((begun, end))
            closed = end < part.end
        if not closed:
            self._note("unclosed_multipart")
        return spans

    def _unclosed_end(self, closing: bytes, begun: int, end: int) -> int:
        """Where the last part ends if nothing closes it: before what would, had it been given a line of its own."""
        start = max(begun, end - len(closing) - MAX_BLANK)
        tail = self.raw[start:end].rstrip()
        return start + len(tail) - len(closing) if tail.endswith(closing) else end

    def _part(self, start: int, end: int, default: str) -> Part:
        self.count += 1
        fields, body = self._header(start, end)
        part = Part(fields, body, end, default)
        self._declare(part)
        return part

    def _declare(self, part: Part) -> None:
        if declared := part.first("content-type"):
            part.media_type, part.params = _parameters(declared)
            part.media_type = _MEANT.get(part.media_type, part.media_type)
            if not _MEDIA_TYPE.fullmatch(part.media_type):
                part.media_type = _repaired(part.media_type, bool(part.params or part.disposition[0]))

    def _header(self, start: int, end: int) -> tuple[dict[str, list[bytes]], int]:
        """The fields, and where the body starts."""
        raw = self.raw
        if raw[start : start + 1] == b"\n" or raw[start : start + 2] == b"\r\n":
            return {}, start + 1 + (raw[start] == 13)
        blank = _BLANK_LINE.search(raw, start, end)
        block_end, body = (blank.start() + 1, blank.end()) if blank else (end, end)
        if block_end - start > MAX_HEADER_BLOCK:
            self._note("oversized_header")
        block = raw[start : min(block_end, start + MAX_HEADER_BLOCK)]
        found = _FIELD.findall(block) if len(block) < 65_536 else []
        said = sum([len(name) + len(value) for name, value in found]) + len(found) * len(b":\n")
        if said < len(block) and _NO_FIELD.search(block):  # or else nothing stands between the fields
            block = _UNFOLDED.sub(lambda end: b";".ljust(len(end[0])), block)
            block, body = self._odd_header(block, start, body)
            found = []
        fields: dict[str, list[bytes]] = {}
        for name, value in islice(found or _fields(block), MAX_FIELDS):
            fields.setdefault(name.decode("ascii").lower(), []).append(value.strip())
        return fields, body

    def _odd_header(self, block: bytes, start: int, body: int) -> tuple[bytes, int]:
        """A line that is no field: skipped if fields follow, else the body began without a blank line."""
        odd = _NO_FIELD.search(block)
        if not odd:
            return block, body
        at = odd.start()
        while _KNOWN_FIELD.search(block, at):
            following = _KNOWN_FIELD.search(block, at)
            assert following
            at = following.end()
            further = _NO_FIELD.search(block, at)
            if further is None:
                if not _ENVELOPE_LINE.match(block):
                    self._note("broken_header")
                return _TORN_SUBJECT.sub(lambda torn: torn[1] + torn[2].replace(b"\n", b"\n "), block), body
            at = further.start()
        self._note("missing_blank_line")
        return block[:at], start + at

    def _note(self, defect: str) -> None:
        if defect not in self.defects:
            self.defects.append(defect)


def _fields(block: bytes) -> Iterable[tuple[bytes, bytes]]:
    if len(block) < 65_536:
        return _FIELD.findall(block)
    return ((found[1], found[2]) for found in _FIELD.finditer(block))


def _before_line_end(raw: bytes, begun: int, at: int) -> int:
    """RFC 2046 5.1.1: the line end before a delimiter belongs to the delimiter."""
    if at > begun and raw[at - 1] == 10:
        at -= 1
    if at > begun and raw[at - 1] == 13:
        at -= 1
    return at


def _parameters(raw: bytes) -> tuple[str, dict[str, str]]:
    return _remembered(raw) if len(raw) <= _SHORT and b"oundary" not in raw and b"name" not in raw else parameters(raw)


_remembered = lru_cache(maxsize=512)(parameters)


def _repaired(media_type: str, file: bool) -> str:
    """`text`, `html` and the like, as software that never read RFC 2045 writes them."""
    named = _TYPE.match(media_type)
    media_type = f"{named[1]}/{named[2]}" if named else _NO_TOKEN.sub("", media_type)
    if _MEDIA_TYPE.fullmatch(media_type):
        return _MEANT.get(media_type, media_type)
    return _MEANT.get(media_type, "application/octet-stream" if file and media_type else "text/plain")


def _coded_lines(lines: list[bytes]) -> int:
    """How many lines are base64, stray bytes among them forgiven; a single one has whole quanta."""
    long = [at for at, line in enumerate(lines) if len(line) > MIN_BASE64_LINE and _BASE64_LINE.fullmatch(line)]
    end = long[-1] + 1 if long else 0
    while end < len(lines) and _BASE64_LINE.fullmatch(lines[end]) and (long or len(lines[end].strip()) % 4 == 0):
        end += 1  # the last line is shorter
    return end


def uudecode(raw: bytes) -> bytes:
    """What stands between `begin` and `end`, or as much as is well-formed."""
    begin = re.search(rb"^begin [0-7]{3,4} [^\n]*\n", raw, re.M)
    lines = raw[begin.end() if begin else 0 :].splitlines()
    return b"".join(_uu_line(line) for line in takewhile(lambda line: line.strip() not in (b"end", b"`"), lines))


def _uu_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # Some encoders leave garbage behind the length they state; the standard library forgives it likewise.
        length = (((line[0] - 32) & 63) * 4 + 5) // 3 if line else 0
    try:
        return binascii.a2b_uu(line[:length])
    except binascii.Error:
        return b""


def file_name(part: Part, hint: str = "") -> str:
    """The name a sender gave to a part, without folders, or an empty string. `hint`: the charset of raw bytes in it."""
    disposed, typed = part.disposition[1], part.params
    fields = part.first("content-disposition"), part.first("content-type")
    if hint and not (fields[0].isascii() and fields[1].isascii()):
        disposed, typed = (parameters(raw, hint)[1] for raw in fields)
    name = disposed.get("filename") or typed.get("name") or typed.get("filename") or disposed.get("name", "")
    if not name and (described := part.first("content-location")):
        located = text(described).rpartition("/")[2]
        name = located if "." in located else ""
    if not name and (described := part.first("content-description")):
        name = found if _FILE_NAME.fullmatch(found := text(described)) else ""
    if "%" in name:
        name = _unescaped(name)
    if name[:1] == name[-1:] == "'":
        name = name.strip("'")
    return name.replace("\\", "/").rpartition("/")[2].strip(" .\t") if name else ""


def _unescaped(name: str) -> str:
    """A name in the form of an address on the web, with or without RFC 2231's charset, where a plain one belongs."""
    extended = _EXTENDED.fullmatch(name)
    coded = extended[2] if extended else name
    if not extended and not _TRIPLET.search(name):
        return name
    said, defect = decode(unquote_to_bytes(coded), extended[1] if extended else "utf-8")
    return name if defect else clean(said)
