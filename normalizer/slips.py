"""What people get wrong in YAML, told as they see it: a parser names what it expected, seldom what was written.

`slip` looks at the line where reading stopped and at those right above, since many a slip is noticed a line late. What
it does not know is left to the parser's own words.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

LINES = 3  # not blank, that are looked at: the one where reading stopped, and those above


class Slip(NamedTuple):
    """What is wrong, where (both from 1), and what to write instead."""

    line: int
    column: int
    what: str
    hint: str


class Stop(NamedTuple):
    """Where and why reading stopped; lines and columns from 0, `begun` is the line of what was being read."""

    line: int
    column: int
    problem: str
    context: str
    begun: int


_UNREADABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_TAB = re.compile(r"^ *(?:- *)?(?P<at>\t)")
_BLANK = re.compile("^ *(?P<at>[\u00a0\u1680\u2000-\u200d\u202f\u205f\u3000\ufeff])")
_COLON = re.compile(r"^\s*(?:- +)?[^\s:：'\"#\[{]{1,40}(?P<at>：)")
_FLOW_COLON = re.compile(r"[{,]\s*[A-Za-z_][\w.]*\s?(?P<at>：)")
_FLOW_COMMA = re.compile(r"(?P<at>[，；、])\s*(?:[A-Za-z_][\w.]*: |\{)")
_BRACKET = re.compile(r"(?:^|[:,\-]) *(?P<at>[｛［【])")
_DASH = re.compile(r"^ *(?P<at>[－—–‒−•·●▪])")
_GLUED_DASH = re.compile(r"^ *(?P<at>-)[^\s-]")
_GLUED_COLON = re.compile(r"^ *(?:- +)?[A-Za-z_][\w.]*(?P<at>:)[^\s:/]")
_SIGN = re.compile(r"^ *(?:- +)?(?:[^\s:'\"#\[{]+: +)?(?P<at>[@`%!*&|>?])")
_SECOND = re.compile(r"^ *(?:- +)?[^\s:'\"#]+: +(?P<at>[^\s\"'\[{][^#]*?: )")
_KEY = re.compile(r"^(?P<before> *(?:- +)?)(?P<key>[^\s:'\"#\[{-][^\s:]*):(?: |$)")


def unreadable(text: str) -> Slip | None:
    """The first character that no YAML may hold."""
    if not (found := _UNREADABLE.search(text)):
        return None
    before = text[: found.start()]
    line, column = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    return Slip(line, column, f"the character U+{ord(found[0]):04X} cannot be read", "delete it; save it as UTF-8 text")


def slip(text: str, stop: Stop) -> Slip | None:
    """What was meant otherwise where reading stopped."""
    lines = text.split("\n")
    if "quoted scalar" in stop.context:
        return _here(stop, f"the quotation mark of line {stop.begun + 1} is not closed", "close it in its line")
    for number in _above(lines, stop.line):
        for pattern, tell in _SLIPS:
            if found := pattern.search(lines[number]):
                return Slip(number + 1, found.start("at") + 1, *tell(found["at"]))
    return _of_this_line(lines, stop)


def _of_this_line(lines: list[str], stop: Stop) -> Slip | None:
    line = lines[stop.line] if stop.line < len(lines) else ""
    if (sign := _SIGN.search(line)) and sign.start("at") <= stop.column:
        what = f"a value cannot begin with {sign['at']}"
        return Slip(stop.line + 1, sign.start("at") + 1, what, "put it in quotes")
    if "flow" in stop.context:
        bracket = "[" if "sequence" in stop.context else "{"
        what = f"the {bracket} of line {stop.begun + 1} is not closed, or a comma is missing"
        return _here(stop, what, f"close it with {']' if bracket == '[' else '}'}, in its line")
    if "mapping values" in stop.problem and (second := _SECOND.search(line)):
        return Slip(
            stop.line + 1, second.start("at") + 1, "a second `: ` in one line", "put what follows the first in quotes"
        )
    if line[stop.column : stop.column + 1] in ("]", "}"):
        return _here(stop, f"a {line[stop.column]} that nothing began", "take it away, or write its beginning")
    if "expected" in stop.problem or "mapping values" in stop.problem:
        return _misplaced(lines, stop)
    return None


def _misplaced(lines: list[str], stop: Stop) -> Slip | None:
    """A line that begins in a column where nothing above it does: the nearest columns to begin in."""
    columns: dict[int, str] = {}
    for number in range(min(stop.line, len(lines)) - 1, -1, -1):
        if found := _KEY.match(lines[number]):
            columns.setdefault(len(found["before"]), f"`{found['key']}` in line {number + 1}")
    line = lines[stop.line] if stop.line < len(lines) else ""
    mine = len(line) - len(line.lstrip(" "))
    if not columns or mine in columns:
        return None
    nearest = min(abs(column - mine) for column in columns)
    fitting = sorted(column for column in columns if abs(column - mine) == nearest)
    hint = " or ".join(f"with {column} spaces like {columns[column]}" for column in fitting)
    return Slip(stop.line + 1, mine + 1, f"this line begins with {mine} spaces, like none above", f"begin it {hint}")


def _above(lines: list[str], line: int) -> Iterator[int]:
    """The line itself and those above it, as far as they are not blank."""
    left = LINES
    for number in range(min(line, len(lines) - 1), -1, -1):
        if lines[number].strip(" "):
            yield number
            left -= 1
        if not left:
            return


def _here(stop: Stop, what: str, hint: str) -> Slip:
    return Slip(stop.line + 1, stop.column + 1, what, hint)


_SLIPS: tuple[tuple[re.Pattern[str], Callable[[str], tuple[str, str]]], ...] = (
    (_TAB, lambda _: ("a tab where spaces belong", "replace it with spaces")),
    (_BLANK, lambda at: (f"a blank that is no space, U+{ord(at):04X}", "replace it with spaces")),
    (_COLON, lambda at: (f"a full-width colon {at}", "write `: `, narrow and with a space after it")),
    (_FLOW_COLON, lambda at: (f"a full-width colon {at}", "write `: `, narrow and with a space after it")),
    (_FLOW_COMMA, lambda at: (f"a full-width {at} between entries", "write `, `, narrow and with a space after it")),
    (_BRACKET, lambda at: (f"a full-width bracket {at}", "write a narrow one, [ or {, and close it so")),
    (_DASH, lambda at: (f"{at} before an entry of a list", "write `- `, a hyphen and a space")),
    (_GLUED_DASH, lambda _: ("no space after the hyphen", "write `- `, a hyphen and a space")),
    (_GLUED_COLON, lambda _: ("no space after the colon", "write `: `, narrow and with a space after it")),
)
