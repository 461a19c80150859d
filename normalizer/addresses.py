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
_BARE = re.compile(r"\s*([^\s<>,;:\"()@=，；、]+@[^\s<>,;:\"()@=，；、]+)\s*")
_TOKEN = re.compile(
    r'(?P<spec>"(?:[^"\\]|\\.)*"@[^\s"(),;:<>]+)|"(?P<quoted>(?:[^"\\]|\\.)*)"?|\((?P<comment>(?:\\.|[^()\\])*)|<(?P<angle>(?:"[^"]*"|[^<>"])*)>?|(?P<mark>[,;:)，；、])'
    r'|(?P<space>\s+)|(?P<word>[^\s"(),;:<>，；、]+)|(?P<other>.)',
    re.S,
)
_COMMENT = re.compile(r"\([^()]*\)")
_OBSOLETE = re.compile(r"\s*([.@])\s*")  # RFC 5322 4.4 allows spaces around these
_GROUP = re.compile(r":[^;]*;\s*\Z")
_SCHEME = re.compile(r"(?:mailto|smtp):", re.I)
_ESCAPED = re.compile(r"\\(.)", re.S)


def address_list(raw: bytes, hint: str = "") -> tuple[Address, ...]:
    """Every mailbox of a field, in order, groups taken apart. Text that names no address gives none."""
    value = _unfolded(raw, hint)
    if "＜" in value:
        value = value.replace("＜", "<").replace("＞", ">")
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
    return Address("email", _unquoted(address.strip()).rstrip(".").lower(), _unquoted(name.strip()))


def _unquoted(said: str) -> str:
    """Without Outlook's quotes around addresses it knows no name of, or those that were encoded with a name."""
    return said.strip(said[0]) if len(said) > 2 and said[0] == said[-1] and said[0] in "'\"" else said


class _Mailbox:
    """What has been read of one mailbox."""

    __slots__ = ("after", "angle", "at", "comments", "quoted", "spec", "words")

    def __init__(self) -> None:
        self.angle: str | None = None
        self.words: list[str] = []  # name, or a bare address; spaces kept
        self.comments: list[str] = []
        self.quoted: set[str] = set()  # words that are no address if another one is
        self.spec = ""  # an address with a quoted local part, if no angle follows
        self.at = False  # whether a word may be an address
        self.after = 0  # how many words stood before the angle

    def has_address(self) -> bool:
        return self.angle is not None or bool(self.spec) or self.at

    def say(self, word: str) -> None:
        self.words.append(word)
        self.at = self.at or "@" in (decode_words(word) if "=?" in word else word)

    def addresses(self) -> list[Address]:
        name = _name("".join(self.words))
        if self.angle is not None and self.angle.strip():
            if _GROUP.search(self.angle):
                return []  # nobody is named: <undisclosed-recipients:;>
            return [_address(name or _name(" ".join(self.comments)), _spec(self.angle))]
        if self.spec:
            return [_address(_name(" ".join(self.comments)), self.spec)]
        if "@" not in name:
            return []
        if "<" in name and ">" in name:  # name and address were encoded together
            inner, _, outer = name.rpartition("<")
            return [_address(inner.strip().strip('"'), _spec(outer.partition(">")[0]))]
        words = (_OBSOLETE.sub(r"\1", name) if " ." in name or ". " in name or " @" in name else name).split()
        alike = len({word in self.quoted for word in words}) == 1
        if len(words) > 1 and alike and all("@" in word.strip("@") for word in words):  # somebody forgot the commas
            return [_address("", _spec(word)) for word in words]
        whole = [word for word in words if "@" in word[1:-1]]
        whole = [word for word in whole if word not in self.quoted] or whole
        here = words.index(whole[0] if whole else next(word for word in words if "@" in word))
        rest = " ".join(words[:here] + words[here + 1 :]).strip(",;，；、")
        return [_address(rest or _name(" ".join(self.comments)), _spec(_bare(words[here])))]


def _name(coded: str) -> str:
    name = decode_words(coded) if "=?" in coded else coded
    return " ".join(clean(name).split())


def _bare(word: str) -> str:
    """An address out of square brackets; those of a domain that is an IP address stay."""
    return word.strip("[]") if word[:1] == "[" else word


def _spec(raw: str) -> str:
    """What an addr-spec says, without source routes, spaces and mailto:."""
    spec = clean(decode_words(raw)) if "=?" in raw else raw
    if spec[:1] != '"':
        spec = _SCHEME.sub("", "".join(_COMMENT.sub("", spec).split()))
    if spec.startswith("@") and ":" in spec:
        spec = spec.partition(":")[2]  # RFC 5322 4.4: a route, to be ignored
    return spec


def _parse(value: str) -> list[Address]:
    found: list[Address] = []
    if value.count("(") > value.count(")"):  # nothing says where the comment ends
        value = value.replace("(", " ").replace(")", " ")
    box, depth = _Mailbox(), 0
    no_group, named = value.rfind(";"), value.rfind("<")  # a colon between them is one of a name
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
        elif kind == "mark" and said != ":" and (box.has_address() or not box.words):
            box = _finish(box, found)
        elif kind == "mark" and (said != ":" or no_group < token.start() < named):  # of a name nobody quoted
            box.words.append(said)
        elif kind == "mark":  # a group's name ends here; in a bare address it is rubbish
            box.words.clear()
            box.at = False
        elif kind == "quoted":
            quoted = _ESCAPED.sub(r"\1", token["quoted"])
            box.say(quoted)
            box.quoted.update(quoted.split())
        elif kind == "angle":
            if box.angle:
                box = _next(box, found)
            box.angle, box.after = token["angle"], len(box.words)
        elif kind == "spec":
            box.spec = said
            box.say(said)
        elif kind == "space":
            box.words.append(" ")
        elif kind == "word":
            box.say(said)
        if len(found) >= MAX_ADDRESSES:
            return found
    _finish(box, found)
    return found


def _finish(box: _Mailbox, found: list[Address]) -> _Mailbox:
    found.extend(box.addresses()[: MAX_ADDRESSES - len(found)])
    return _Mailbox()


def _next(box: _Mailbox, found: list[Address]) -> _Mailbox:
    """Somebody forgot the comma: the words behind an address are the name of the next one, if it had a name before."""
    following = _Mailbox()
    if box.after:
        for word in box.words[box.after :]:
            following.say(word)
        del box.words[box.after :]
    _finish(box, found)
    return following
