"""Address lists of mail headers (RFC 5322 3.4), read as people mean them and not as forgers wish.

The address in angle brackets is the address, whatever stands before it: `foo@bar.com <evil@x.com>` is evil@x.com.
"""

import re

from normalizer.canon import Address
from normalizer.charset import clean, decode
from normalizer.words import MAX_HEADER, decode_words
from normalizer.words import text as header_text

MAX_ADDRESSES = 1000

_SIMPLE = re.compile(r'\s*(?:"([^"\\=]*)"|([^"<>,;:()@=\\]*?))\s*<\s*([^\s<>,;:"()@=]+@[^\s<>,;:"()@=]+)\s*>\s*')
_CODED = re.compile(r'\s*"?(=\?[^?\s"]+\?[bBqQ]\?[^?\s"]*\?=)"?\s*<([^\s<>,;:"()@=]+@[^\s<>,;:"()@=]+)>\s*')
_BARE = re.compile(r"\s*([^\s<>,;:\"()@=]+@[^\s<>,;:\"()@=]+)\s*")
_TOKEN = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"?|\((?P<comment>[^()]*)|<(?P<angle>(?:"[^"]*"|[^<>"])*)>?|(?P<mark>[,;:)])'
    r'|(?P<space>\s+)|(?P<word>[^\s"(),;:<>]+)|(?P<other>.)',
    re.S,
)
_COMMENT = re.compile(r"\([^()]*\)")
_OBSOLETE = re.compile(r"\s*([.@])\s*")  # RFC 5322 4.4 allows spaces around these
_ESCAPED = re.compile(r"\\(.)", re.S)


def address_list(raw: bytes, hint: str = "") -> tuple[Address, ...]:
    """Every mailbox of a field, in order, groups taken apart. Text that names no address gives none."""
    value = _unfolded(raw, hint)
    if simple := _SIMPLE.fullmatch(value):
        return (_address(simple[1] or simple[2] or "", simple[3]),)
    if bare := _BARE.fullmatch(value):
        return (_address("", bare[1]),)
    if coded := _CODED.fullmatch(value):
        return (_address(_name(coded[1]), coded[2]),)
    return tuple(_parse(value))


def _unfolded(raw: bytes, hint: str) -> str:
    """Encoded-words stay coded: a comma inside one is no separator."""
    if b"=?" not in raw:
        return header_text(raw, hint)
    return clean(decode(b" ".join(raw[:MAX_HEADER].split()), "", hint)[0])


def _address(name: str, address: str) -> Address:
    # Lower case for comparing; a domain stays in its own script, for people. `identity` has its ASCII form.
    return Address("email", address.strip().rstrip(".").lower(), name.strip())


class _Mailbox:
    """What has been read of one mailbox."""

    __slots__ = ("angle", "comments", "words")

    def __init__(self) -> None:
        self.angle: str | None = None
        self.words: list[str] = []  # name, or a bare address; spaces kept
        self.comments: list[str] = []

    def address(self) -> Address | None:
        name = _name("".join(self.words))
        if self.angle is not None and self.angle.strip():
            return _address(name or _name(" ".join(self.comments)), _spec(self.angle))
        if "@" not in name:
            return None
        if "<" in name and ">" in name:  # name and address were encoded together
            inner, _, outer = name.rpartition("<")
            return _address(inner.strip().strip('"'), _spec(outer.partition(">")[0]))
        words = (_OBSOLETE.sub(r"\1", name) if " ." in name or ". " in name or " @" in name else name).split()
        spec = next(word for word in words if "@" in word)
        rest = " ".join(word for word in words if word is not spec)
        return _address(rest or _name(" ".join(self.comments)), _spec(spec))


def _name(coded: str) -> str:
    name = decode_words(coded) if "=?" in coded else coded
    return " ".join(clean(name).split())


def _spec(raw: str) -> str:
    """What an addr-spec says, without source routes, spaces and mailto:."""
    spec = decode_words(raw) if "=?" in raw else raw
    spec = "".join(_COMMENT.sub("", spec).split()).removeprefix("mailto:")
    if spec.startswith("@") and ":" in spec:
        spec = spec.partition(":")[2]  # RFC 5322 4.4: a route, to be ignored
    return spec


def _parse(value: str) -> list[Address]:
    found: list[Address] = []
    box, depth = _Mailbox(), 0
    for token in _TOKEN.finditer(value):
        kind = token.lastgroup
        said = token[0]
        if kind == "comment":
            depth += 1
            box.comments.append(token["comment"].strip())
        elif said == ")":
            depth = max(0, depth - 1)
        elif depth:
            box.comments.append(said)
        elif kind == "mark" and said in ",;":
            box = _finish(box, found)
        elif kind == "mark":  # a group's name ends here; in a bare address it is rubbish
            box.words.clear()
        elif kind == "quoted":
            box.words.append(_ESCAPED.sub(r"\1", token["quoted"]))
        elif kind == "angle":
            if box.angle is not None:
                box = _finish(box, found)
            box.angle = token["angle"]
        elif kind == "space":
            box.words.append(" ")
        elif kind == "word":
            box.words.append(said)
        if len(found) >= MAX_ADDRESSES:
            return found
    _finish(box, found)
    return found


def _finish(box: _Mailbox, found: list[Address]) -> _Mailbox:
    if (address := box.address()) is not None:
        found.append(address)
    return _Mailbox()
