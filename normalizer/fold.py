"""One form for comparing texts: case, width and simplified/traditional characters folded away, offsets kept.

`fold(text)` has the length of `text`, so a place found in one is the place in the other. Punctuation stays as it is.
"""

import re
from functools import cache
from typing import Any

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_WIDTHS = {
    chr(wide): chr(wide - 0xFEE0) for wide in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
}
_FORMS = _WIDTHS | {
    "’": "'",
    "‘": "'",
    "´": "'",
    "\u00a0": " ",
    "\u3000": " ",
    "－": "-",
    "＃": "#",
    "＠": "@",
    "＋": "+",
    "．": ".",
}
_FORM = re.compile(f"[{''.join(map(re.escape, _FORMS))}]")


def fold(text: str) -> str:
    """The text as it is compared. Same length; idempotent."""
    if text.isascii():
        return text.lower()
    lowered = _lower(_FORM.sub(lambda found: _FORMS[found[0]], text))
    return simplified(lowered) if _HAN.search(lowered) else lowered


def simplified(text: str) -> str:
    """Traditional Chinese characters as simplified ones, as many as before."""
    simple = _converter().convert(text)
    return simple if len(simple) == len(text) else "".join(map(_simple_character, text))


def _lower(text: str) -> str:
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)  # İ has no single small letter


def _simple_character(character: str) -> str:
    simple = _converter().convert(character)
    return simple if len(simple) == 1 else character


@cache
def _converter() -> Any:
    import opencc  # its tables are read at the first Chinese text

    return opencc.OpenCC("t2s")
