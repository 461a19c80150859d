"""HTML to the text a person sees: one pass over its tags, no tree, linear whatever the nesting.

Quotations (blockquote) become lines that begin with `> `, so that one set of rules finds the visible reply in text
and HTML alike. Tree builders were measured and left: inscriptis takes four to six times as long, and lexbor almost a
minute for a hundred thousand nested elements.
"""

import re
from html import unescape
from itertools import pairwise

MAX_CHARACTERS = 2_000_000
MAX_QUOTES = 20

# What stands between tags, and of each tag: end mark, name, attributes. Comments and declarations have no name. A value
# in quotes may have a `>` in it, not a `<`: where the closing quote was forgotten the text goes on.
_TAG = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(/?)([a-zA-Z][^\s>/]*)([^>=]*+(?:=(?:\s*+(?:\"[^\"<]*+\"|'[^'<]*+'))?+[^>=]*+)*+)(?:>|\Z)"
    r"|<[!?][^>]*(?:>|\Z)",
    re.S,
)
_RAW = frozenset({"style", "script", "title", "template", "noscript", "svg", "select", "textarea"})
_BREAKING = frozenset({
    "address", "article", "aside", "blockquote", "body", "center", "dd", "div", "dl", "dt", "fieldset", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "html", "includetail", "li", "main", "nav",
    "ol", "p", "pre", "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_SPACED = frozenset({"p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "blockquote", "pre"})
_HIDING = frozenset({"div", "span", "p", "td", "tr", "table", "font"})
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all|max-height\s*:\s*0(?![\d.])", re.I)
_META_CHARSET = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([a-zA-Z0-9_.:-]{2,40})", re.I)
_NEWLINES = re.compile(r"\n{3,}")
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]{1,16})"|'([^']{1,16})'|([^\s"'>]{1,16}))""", re.I)
_NO_EMOJI = re.compile(
    r"[\w\s!-~\u00a0-\u00a8\u00aa-\u00ad\u00af-\u203b\u204a-\u2116\u2c00-\u303c\u303f-\u3296\u3300-\ufe0e\uff00-\uffff]"
)
# Where a line may break, and what fills the preview of a mailing: nobody sees it, and rules would stumble over it.
_UNSEEN = re.compile(r"[\u00ad\u200b\u2060\ufeff]|(?<![^\W\d_])\u200c|\u200c(?![^\W\d_])")
_COMMAND = re.compile(r"<<|<(param|comment)>.*?(?:</\1>|\Z)|<nl>|<lt>|</?[a-z0-9-]{1,60}>", re.S | re.I)
_SAID_BY = {"<<": "<", "<lt>": "<", "<nl>": "\n"}
_LINE_ENDS = re.compile(r"\n+")


def html_to_text(html: str) -> str:
    """What the page says, its lines as a browser would break them, quotations marked with `> `."""
    pieces = _TAG.split(html[:MAX_CHARACTERS])
    if len(pieces) == 1:
        return unescape(pieces[0]).strip("\n")  # plain text, said to be HTML
    writer = _Writer()
    writer.say(pieces[0])
    for at in range(1, len(pieces), 4):
        name = (pieces[at + 1] or "").lower()
        if name:
            writer.tag(name, bool(pieces[at]), pieces[at + 2])
        writer.say(pieces[at + 3])
    return writer.text()


def declared_charset(raw: bytes) -> str:
    """The charset a page names in its head, or an empty string."""
    found = _META_CHARSET.search(raw[:4096])
    return found[1].decode("ascii") if found else ""


def enriched(text: str) -> str:
    """What text/enriched (RFC 1896) says: without its commands; one line end is a blank, more are one less."""
    flat = _LINE_ENDS.sub(lambda ends: "\n" * (len(ends[0]) - 1) or " ", text[:MAX_CHARACTERS].strip("\n"))
    return _COMMAND.sub(lambda command: _SAID_BY.get(command[0].lower(), ""), flat).strip()


class _Writer:
    """Collects text in lines; knows how deep in quotations, preformatted and invisible text it is."""

    __slots__ = ("depth", "line", "lines", "preformatted", "quotes", "unseen")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self.quotes = self.preformatted = 0
        self.unseen, self.depth = "", 0  # the element that hides what is in it, and how often it was opened within

    def tag(self, name: str, closing: bool, attributes: str) -> None:
        if self.unseen:
            self._unseen(name, closing, attributes)
        elif name == "br":
            self._end_line(force=True)
        elif name in ("td", "th"):
            self.line.append(" ")
        elif name == "img":
            self.line.append(_emoji(attributes))
        elif name in _RAW and not closing and not attributes.endswith("/"):
            self.unseen, self.depth = name, 1
        elif name in _BREAKING:
            self._close(name) if closing else self._open(name)
        if not closing and not self.unseen and name in _HIDING and "style" in attributes and _HIDDEN.search(attributes):
            self.unseen, self.depth = name, 1

    def say(self, said: str) -> None:
        if self.unseen or not said:
            return
        if not self.preformatted:
            self.line.append(said)
            return
        lines = said.split("\n")
        for line, _ in pairwise(lines):
            self.line.append(line)
            self._end_line(force=True)
        self.line.append(lines[-1])

    def text(self) -> str:
        self._end_line()
        return _NEWLINES.sub("\n\n", "\n".join(self.lines)).strip("\n")

    def _unseen(self, name: str, closing: bool, attributes: str) -> None:
        if name != self.unseen:
            return
        if closing:
            self.depth -= 1
        elif name not in _RAW and not attributes.endswith("/"):
            self.depth += 1
        if self.depth == 0:
            self.unseen = ""

    def _open(self, name: str) -> None:
        self._end_line()
        if name in _SPACED:
            self._gap()
        match name:
            case "blockquote":
                self.quotes += 1
            case "pre":
                self.preformatted += 1
            case "li":
                self.line.append("- ")
            case "hr":
                self.lines.append("-" * 20)

    def _close(self, name: str) -> None:
        self._end_line()
        if name == "blockquote":
            self.quotes = max(0, self.quotes - 1)
        elif name == "pre":
            self.preformatted = max(0, self.preformatted - 1)
        if name in _SPACED:
            self._gap()

    def _end_line(self, force: bool = False) -> None:
        line = "".join(self.line)
        self.line.clear()
        if "&" in line:
            line = unescape(line)
        if not line.isascii():
            line = _UNSEEN.sub("", line)
        line = line.rstrip() if self.preformatted else " ".join(line.split())
        if line or force:
            self.lines.append(f"{'> ' * min(self.quotes, MAX_QUOTES)}{line}".rstrip() if self.quotes else line)

    def _gap(self) -> None:
        if self.lines and self.lines[-1].strip("> "):
            self.lines.append(">" if self.quotes else "")
        elif self.lines and not self.quotes:
            self.lines[-1] = ""


def _emoji(attributes: str) -> str:
    """What an image stands for, if that is an emoji: programs draw them as images so that everybody sees the same."""
    said = _ALT.search(attributes) if "alt" in attributes or "ALT" in attributes else None
    alt = unescape(said[1] or said[2] or said[3]) if said else ""
    return "" if _NO_EMOJI.search(alt) else alt
