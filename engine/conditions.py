"""Conditions: what `when` may say, read from YAML into typed tests.

A mapping or list means all; `any`, `all`, `none` nest. A bare value is `is` (a code or its label, letters of any
case), a list is one of. Each operator fits some kinds of fields, and is checked when the rulebook is loaded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any as Anything

import re2  # type: ignore[import-untyped]

from engine import facts
from engine.calendar import duration, minutes
from engine.decision import Fact
from engine.facts import MENTIONS, WORDS, Field, Kind, Window
from engine.reading import Place, Reading
from engine.ruleset import All, Any, Check, Condition, Nothing, Test, Value
from engine.vocabulary import PRIORITIES
from engine.words import folded

RANKS = {code: rank for rank, code in enumerate(PRIORITIES)}

_EQUAL: tuple[Kind, ...] = ("choice", "rank", "text", "number", "flag", "language", "time", "set")
_ORDERED: tuple[Kind, ...] = ("rank", "number", "time")


@dataclass(frozen=True, slots=True)
class Operator:
    """`takes` says what may stand behind it: one value, a list, a pair, true or false, or a pattern."""

    name: str
    kinds: tuple[Kind, ...]
    takes: str
    zh: str
    en: str


OPERATORS: Mapping[str, Operator] = {
    o.name: o
    for o in (
        Operator("is", _EQUAL, "one", "等于", "is"),
        Operator("is_not", _EQUAL, "one", "不等于", "is not"),
        Operator("in", _EQUAL, "list", "是其中之一", "is one of"),
        Operator("not_in", _EQUAL, "list", "不在其中", "is none of"),
        Operator("at_least", _ORDERED, "one", "不低于", "is at least"),
        Operator("at_most", _ORDERED, "one", "不高于", "is at most"),
        Operator("more_than", _ORDERED, "one", "高于", "is more than"),
        Operator("less_than", _ORDERED, "one", "低于", "is less than"),
        Operator("between", _ORDERED, "pair", "介于", "is between"),
        Operator("has", ("set",), "one", "含有", "has"),
        Operator("has_any", ("set",), "list", "含有其中之一", "has any of"),
        Operator("has_all", ("set",), "list", "全部含有", "has all of"),
        Operator("starts_with", ("text",), "one", "开头是", "starts with"),
        Operator("ends_with", ("text",), "one", "结尾是", "ends with"),
        Operator("matches", ("text",), "pattern", "匹配", "matches"),
        Operator("exists", (*_EQUAL, "words"), "flag", "有值", "is there"),
        Operator("says", ("words",), "words", "提到", "says"),
        Operator("says_all", ("words",), "words", "全部提到", "says all of"),
        Operator("says_none", ("words",), "words", "没有提到", "says none of"),
    )
}
SAYS = ("says", "says_all", "says_none")
NESTS: Mapping[str, Callable[[tuple[Condition, ...]], Condition]] = {"any": Any, "all": All, "none": Nothing}
_SHOWN_WORDS, _SHOWN_CHARACTERS = 12, 160  # of one condition in a trace
LATER = ("changed", "since", "during", "denied")


def condition(reading: Reading, at: Place) -> Condition:
    """The condition written at this place; findings go to the reading, and what was wrong is left out."""
    return All(tuple(_parts(reading, at)))


def _parts(reading: Reading, at: Place) -> list[Condition]:
    match at.value:
        case dict():
            return [part for key in at.value for part in _entry(reading, at.down(key), key)]
        case list():
            return [_several(_parts(reading, item)) for item in at.items()]
        case _:
            reading.fault(at, "type", "conditions are written as `field: value`", "when: {category: complaint}")
            return []


def _several(parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _entry(reading: Reading, at: Place, key: str) -> list[Condition]:
    if key in NESTS:
        return [NESTS[key](tuple(_parts(reading, at)))]
    if key in SAYS:
        return _says(reading, at, key)
    if key == "history":
        return _history(reading, at)
    if key in LATER:
        reading.fault_key(at, "not-yet", f"{key!r} is not available yet", "leave it out")
        return []
    found = facts.known(key, reading.vocabulary)
    if found is None:
        known = [*facts.names(reading.vocabulary), *reading.marks, *NESTS, *SAYS, "history"]
        reading.unknown_key(at, "unknown-field", "field", key, known)
        return []
    if found.name.startswith("mark."):
        reading.marks_read.append((at, found.name))
    return _field(reading, at, found)


def _field(reading: Reading, at: Place, field: Field) -> list[Condition]:
    if not isinstance(at.value, dict):
        operator = ("has_any" if field.kind == "set" else "in") if isinstance(at.value, list) else _bare(field)
        return _operator(reading, at, field, operator)
    return [part for name in at.value for part in _operator(reading, at.down(name), field, name)]


def _bare(field: Field) -> str:
    return "has" if field.kind == "set" else "is"


def _operator(reading: Reading, at: Place, field: Field, name: str) -> list[Condition]:
    if name in SAYS and field.name in ("message.text", "message.subject"):
        return _says(reading, at, name)
    operator = OPERATORS.get(name)
    fitting = [o.name for o in OPERATORS.values() if field.kind in o.kinds]
    if operator is None:
        reading.unknown_key(at, "unknown-operator", "operator", name, fitting)
        return []
    if field.kind not in operator.kinds:
        reading.fault_key(at, "type", f"{name} does not fit {field.name} ({field.kind})", f"use {', '.join(fitting)}")
        return []
    wanted = _wanted(reading, at, field, operator)
    return [] if wanted is None else [test(field, name, wanted)]


def _wanted(reading: Reading, at: Place, field: Field, operator: Operator) -> Fact:
    match operator.takes:
        case "one":
            if isinstance(at.value, list | dict):
                reading.fault(at, "type", f"{operator.name} takes one value", "use `in` or `has_any` for several")
                return None
            return _scalar(reading, at, field)
        case "list":
            listed = at.items() if isinstance(at.value, list) else [at]
            values = [_scalar(reading, item, field) for item in listed]
            # one wrong item makes the whole condition wrong, but each is told
            return None if not values or None in values else tuple(values)  # type: ignore[arg-type]
        case "pair":
            if not isinstance(at.value, list) or len(at.value) != 2:
                reading.fault(at, "type", "between takes two values", "between: [1, 5]")
                return None
            low, high = (_scalar(reading, item, field) for item in at.items())
            return None if low is None or high is None else (low, high)  # type: ignore[return-value]
        case "flag":
            return _flag(reading, at)
        case _:
            return _pattern(reading, at)


def _scalar(reading: Reading, at: Place, field: Field) -> Fact:
    value = at.value
    if value is None or isinstance(value, list | dict):
        reading.fault(at, "type", f"{field.name} needs a value here", "write one word or number")
        return None
    if field.choice:
        return reading.code(at, field.choice, str(value), field.name)
    match field.kind:
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                reading.fault(at, "type", f"{field.name} is a number, not {value!r}", "write a number")
                return None
            return value
        case "flag":
            return _flag(reading, at)
        case "time":
            if (minute := minutes(str(value))) is None:
                reading.fault(at, "type", f"{value!r} is no time of day", "09:30")
            return minute
        case _:
            return str(value)


def _flag(reading: Reading, at: Place) -> bool | None:
    if not isinstance(at.value, bool):
        reading.fault(at, "type", f"true or false, not {at.value!r}", "write true or false")
        return None
    return at.value


def _pattern(reading: Reading, at: Place) -> str | None:
    try:
        re2.compile(str(at.value), _quiet())
    except re2.error as e:
        reason = e.args[0].decode() if e.args and isinstance(e.args[0], bytes) else str(e)
        reading.fault(at, "pattern", f"not a pattern of RE2: {reason}", "no look-around, no back-references")
        return None
    return str(at.value)


def _quiet() -> Anything:
    options = re2.Options()
    options.log_errors = False
    return options


def _says(reading: Reading, at: Place, operator: str) -> list[Condition]:
    words, name = reading.words(at, operator), WORDS
    if isinstance(at.value, dict) and "denied" in at.value:
        if at.value["denied"] != "include":
            reading.fault(at.down("denied"), "unknown-value", "denied is 'include' or left out", "denied: include")
        name = MENTIONS
    if not words:
        return []
    reading.lexicon.update(words)
    field = Field(name, "words", "", "", lambda _c, _h: None)
    return [test(field, operator, tuple(words))]


def _history(reading: Reading, at: Place) -> list[Condition]:
    allowed = ("same", "category", "subcategory", "within", "count")
    if not reading.mapping(at, allowed, "history"):
        return []
    if at.value.get("same", "contact") != "contact":
        reading.fault(at.down("same"), "unknown-value", "same can only be contact", "same: contact")
    window = Window(_within(reading, at), _codes(reading, at, "category"), _codes(reading, at, "subcategory"))
    counted = Field(window.name, "number", "", "", lambda _c, _h: None)
    counts = at.down("count")
    if not isinstance(counts.value, dict):
        reading.fault(counts, "type", "history needs a count", "count: {at_least: 3}")
        return []
    parts = [part for name in counts.value for part in _operator(reading, counts.down(name), counted, name)]
    return [_windowed(part, window) for part in parts if isinstance(part, Test)]


def _windowed(part: Test, window: Window) -> Test:
    return replace(part, reads=window.slots, window=window)


def _within(reading: Reading, at: Place) -> int:
    within = at.down("within")
    length = duration(str(within.value)) if within.value is not None else None
    if length is None:
        reading.fault(within, "type", "history needs a window", "within: 24h")
    return int(length.total_seconds()) if length else 0


def _codes(reading: Reading, at: Place, choice: str) -> tuple[str, ...]:
    if choice not in at.value:
        return ()
    below = at.down(choice)
    listed = below.items() if isinstance(below.value, list) else [below]
    codes = [reading.code(item, choice, str(item.value), choice) for item in listed]
    return tuple(sorted(code for code in codes if code))


def test(field: Field, operator: str, wanted: Fact) -> Test:
    """The typed test of an operator on a field."""
    names = {folded(word): word for word in wanted} if field.kind == "words" and isinstance(wanted, tuple) else {}
    return Test(
        field.name,
        field.kind,
        operator,
        wanted,
        _reads(field, operator, wanted),
        check(field.kind, operator, wanted),
        shown=shown(field.kind, wanted),
        names=names,
    )


def shown(kind: Kind, value: Fact) -> Fact:
    """A value as a trace shows it: the first of many words, the beginning of a long text, minutes as time of day."""
    if isinstance(value, tuple):
        words = tuple(str(shown(kind, item)) for item in value[:_SHOWN_WORDS])
        return (*words, f"+{len(value) - _SHOWN_WORDS}") if len(value) > _SHOWN_WORDS else words
    if isinstance(value, str):
        return value if len(value) <= _SHOWN_CHARACTERS else value[:_SHOWN_CHARACTERS] + "…"
    if kind == "time" and isinstance(value, int):
        return f"{value // 60:02}:{value % 60:02}"
    return value


def _reads(field: Field, operator: str, wanted: Fact) -> frozenset[str]:
    if field.slot != "tags":
        return frozenset([field.slot] if field.slot else [])
    if operator == "exists":
        return frozenset(["tags"])
    listed = wanted if isinstance(wanted, tuple) else (str(wanted),)
    return frozenset(f"tag:{folded(tag)}" for tag in listed)


def check(kind: Kind, operator: str, wanted: Fact) -> Check:
    """The meaning of an operator: what a found value must be. A value that is not there fits only what says not."""
    match operator:
        case "is" | "in" | "has" | "has_any" | "says":
            return _overlaps(kind, _wished(kind, wanted))
        case "is_not" | "not_in" | "says_none":
            overlaps = _overlaps(kind, _wished(kind, wanted))
            return lambda found: not overlaps(found)
        case "has_all" | "says_all":
            wished = _wished(kind, wanted)
            return lambda found: wished <= set(facts.keys(kind, found))
        case "exists":
            return lambda found: (found not in (None, "", (), frozenset())) is wanted
        case "starts_with":
            start = folded(str(wanted))
            return lambda found: isinstance(found, str) and folded(found).startswith(start)
        case "ends_with":
            end = folded(str(wanted))
            return lambda found: isinstance(found, str) and folded(found).endswith(end)
        case "matches":
            pattern = re2.compile(str(wanted), _quiet())
            return lambda found: isinstance(found, str) and pattern.search(found) is not None
        case _:
            return _compares(kind, operator, wanted)


def _wished(kind: Kind, wanted: Fact) -> frozenset[Anything]:
    listed = wanted if isinstance(wanted, tuple) else (wanted,)
    if kind == "language":  # `zh` means every Chinese, `zh-Hant` only that one
        return frozenset(str(word).lower() for word in listed)
    return frozenset(key for word in listed for key in facts.keys(kind, word))


def _overlaps(kind: Kind, wished: frozenset[Anything]) -> Check:
    match kind:
        case "choice" | "rank" | "number" | "flag" | "time":
            return lambda found: found is not None and found in wished
        case "words":
            return lambda found: bool(found) and not wished.isdisjoint(found)  # type: ignore[arg-type]
        case _:
            return lambda found: not wished.isdisjoint(facts.keys(kind, found))


def order(kind: Kind, value: Value) -> float | None:
    """A value as the number it is compared by."""
    if kind == "rank":
        return RANKS.get(value) if isinstance(value, str) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _compares(kind: Kind, operator: str, wanted: Fact) -> Check:
    if operator == "between":
        low, high = (order(kind, w) for w in wanted)  # type: ignore[union-attr]
        assert low is not None
        assert high is not None
        if kind == "time" and low > high:  # 22:00 to 06:00 runs over midnight
            return lambda found: (at := order(kind, found)) is not None and (at >= low or at <= high)
        return lambda found: (at := order(kind, found)) is not None and low <= at <= high
    bound = order(kind, wanted)
    assert bound is not None
    match operator:
        case "at_least":
            return lambda found: (at := order(kind, found)) is not None and at >= bound
        case "at_most":
            return lambda found: (at := order(kind, found)) is not None and at <= bound
        case "more_than":
            return lambda found: (at := order(kind, found)) is not None and at > bound
        case _:
            return lambda found: (at := order(kind, found)) is not None and at < bound
