"""The words of a reply as HTML, for clients that show that first: the same words, nothing fetched from anywhere."""

import html
import re

_LINK = re.compile(r"https?://[^\s<>\"'，。；：！？、（）《》【】“”‘’]{1,2000}")
_TAIL = re.compile(r"[.,;:!?)\]}]+$")
_GAP = re.compile(r"\n[ \t]*\n\s*")


def as_html(text: str, language: str) -> str:
    """A whole document: a paragraph a paragraph, addresses of pages as links, everything else as it is written."""
    paragraphs = [part for part in _GAP.split(text.strip("\n")) if part.strip()]
    body = "\n".join(f"<p>{'<br>'.join(map(_line, part.splitlines()))}</p>" for part in paragraphs)
    spoken = f' lang="{html.escape(language)}"' if language else ""
    return f'<!DOCTYPE html>\n<html{spoken}>\n<head><meta charset="utf-8"></head>\n<body>\n{body}\n</body>\n</html>\n'


def _line(line: str) -> str:
    made, at = [], 0
    for found in _LINK.finditer(line):
        address = _TAIL.sub("", found[0])
        made.append(_plain(line[at : found.start()]))
        made.append(f'<a href="{html.escape(address)}">{html.escape(address)}</a>')
        at = found.start() + len(address)
    return "".join([*made, _plain(line[at:])])


def _plain(text: str) -> str:
    """Blanks at the beginning of a line stay, as those of a list."""
    bare = text.lstrip(" ")
    return "&nbsp;" * (len(text) - len(bare)) + html.escape(bare)
