"""Conditions: what `when` may say, read from YAML into typed tests.

A mapping or list means all; `any`, `all`, `none` nest. A bare value is `is` (a code or its label, letters of any
case), a list is one of, `{list: NAME}` one of a word list. Each operator fits some kinds of fields, and is checked
when the rulebook is loaded.
"""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any as Anything

import re2  # type: ignore[import-untyped]

from engine import facts
from engine.calendar import duration, length, local, minutes
from engine.decision import Fact
from engine.facts import FILTERS, MENTIONS, SAME, WORDS, Field, Kind, Window
from engine.reading import Place, Reading, apart, suggestion
from engine.ruleset import All, Any, Check, Condition, Nothing, Test, Value
from engine.vocabulary import PRIORITIES
from engine.words import folded

RANKS = {code: rank for rank, code in enumerate(PRIORITIES)}

_EQUAL: tuple[Kind, ...] = (
    "choice", "rank", "text", "number", "flag", "language", "time", "date", "amount", "duration", "set",
)  # fmt: skip
_ORDERED: tuple[Kind, ...] = ("rank", "number", "time", "amount", "duration")
_DATED: tuple[Kind, ...] = ("time", "date")


@dataclass(frozen=True, slots=True)
class Operator:
    """`takes` says what may stand behind it: one value, one or a list, a list, a pair, true or false, or a pattern."""

    name: str
    kinds: tuple[Kind, ...]
    takes: str
    zh: str
    en: str
    example: str


OPERATORS: Mapping[str, Operator] = {
    o.name: o
    for o in (
        Operator("is", _EQUAL, "one", "等于", "is", "category: {is: complaint}"),
        Operator("is_not", _EQUAL, "one", "不等于", "is not", "status: {is_not: closed}"),
        Operator("in", _EQUAL, "list", "是其中之一", "is one of", "channel: {in: [telegram, sms]}"),
        Operator("not_in", _EQUAL, "list", "不在其中", "is none of", "language: {not_in: [zh, en]}"),
        Operator("at_least", _ORDERED, "one", "不低于", "is at least", "priority: {at_least: high}"),
        Operator("at_most", _ORDERED, "one", "不高于", "is at most", "sla.left: {at_most: 30m}"),
        Operator("more_than", _ORDERED, "one", "高于", "is more than", "extracted.amount: {more_than: 1000 CNY}"),
        Operator("less_than", _ORDERED, "one", "低于", "is less than", "message.length: {less_than: 5}"),
        Operator("between", (*_ORDERED, "date"), "pair", "介于", "is between", "clock.time: {between: [\"22:00\", \"06:00\"]}"),
        Operator("before", _DATED, "one", "早于", "is before", "clock.now: {before: 2026-11-11 20:00}"),
        Operator("after", _DATED, "one", "晚于", "is after", "clock.date: {after: 2026-11-11}"),
        Operator("within", ("date", "duration"), "length", "不超过", "is within", "custom.purchased_on: {within: 365d}"),
        Operator("has", ("set",), "one", "含有", "has", "tags: {has: refund}"),
        Operator("has_any", ("set",), "list", "含有其中之一", "has any of", "tags: {has_any: [refund, return]}"),
        Operator("has_all", ("set",), "list", "全部含有", "has all of", "tags: {has_all: [vip, refund]}"),
        Operator("starts_with", ("text", "date"), "some", "开头是", "starts with", "subject: {starts_with: [\"RE:\", \"FW:\"]}"),
        Operator("ends_with", ("text", "date"), "some", "结尾是", "ends with", "message.from: {ends_with: .edu.cn}"),
        Operator("matches", ("text",), "pattern", "匹配", "matches", "extracted.order_number: {matches: '^JD[0-9]{6}'}"),
        Operator("exists", (*_EQUAL, "words"), "flag", "有值", "is there", "extracted.order_number: {exists: true}"),
        Operator("says", ("words",), "words", "提到", "says", "says: [没收到, not received]"),
        Operator("says_all", ("words",), "words", "全部提到", "says all of", "says_all: [退款, 发票]"),
        Operator("says_none", ("words",), "words", "没有提到", "says none of", "says_none: {list: complaint-words}"),
    )
}  # fmt: skip
SAYS = ("says", "says_all", "says_none")
NESTS: Mapping[str, Callable[[tuple[Condition, ...]], Condition]] = {"any": Any, "all": All, "none": Nothing}
_SHOWN_WORDS, _SHOWN_CHARACTERS = 12, 160  # of one condition in a trace
_FLAGS = {
    **dict.fromkeys(("true", "yes", "on", "y", "1", "是", "对", "有"), "write true, without quotes"),
    **dict.fromkeys(("false", "no", "off", "n", "0", "否", "不是", "没有"), "write false, without quotes"),
}
SUGAR = ("history", "changed", "since", "during")  # keys of `when` that are no fields


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
            hint = apart(at.value) or "when: {category: complaint}"
            reading.fault(at, "type", "conditions are written as `field: value`", hint)
            return []


def _several(parts: list[Condition]) -> Condition:
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _entry(reading: Reading, at: Place, key: str) -> list[Condition]:
    if key in NESTS:
        return [NESTS[key](tuple(_parts(reading, at)))]
    if key in SAYS:
        return _says(reading, at, key)
    if key in _SUGARS:
        return _SUGARS[key](reading, at)
    found = facts.known(key, reading.vocabulary)
    if found is None:
        known = [*facts.names(reading.vocabulary), *reading.marks, *NESTS, *SAYS, *SUGAR]
        reading.unknown_key(at, "unknown-field", "field", key, known)
        return []
    if found.name.startswith("mark."):
        reading.marks_read.append((at, found.name))
    return _field(reading, at, found)


def _field(reading: Reading, at: Place, field: Field) -> list[Condition]:
    if not isinstance(at.value, dict) or _is_list(at):
        several = isinstance(at.value, list | dict)
        operator = ("has_any" if field.kind == "set" else "in") if several else _bare(field)
        return _operator(reading, at, field, operator)
    return [part for name in at.value for part in _operator(reading, at.down(name), field, name)]


def _is_list(at: Place) -> bool:
    """Whether a word list stands here: {list: NAME}."""
    return isinstance(at.value, dict) and set(at.value) == {"list"}


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
    if name == "within" and field.kind == "date":  # not longer ago than that, and not still to come
        field = facts.known(f"age.{field.name}", reading.vocabulary) or field
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
            return _several_values(reading, at, field)
        case "some":
            several = isinstance(at.value, list | dict)
            return _several_values(reading, at, field) if several else _text(reading, at, field)
        case "pair":
            if not isinstance(at.value, list) or len(at.value) != 2:
                reading.fault(at, "type", "between takes two values", "between: [1, 5]")
                return None
            low, high = (_scalar(reading, item, field) for item in at.items())
            if field.kind == "amount" and low and high and str(low)[-3:] != str(high)[-3:]:
                reading.fault(at, "type", "both sums are of one currency", "between: [100 CNY, 500 CNY]")
                return None
            return None if low is None or high is None else (low, high)  # type: ignore[return-value]
        case "flag":
            return _flag(reading, at)
        case "length":
            return _duration(reading, at)
        case _:
            return _pattern(reading, at)


def _several_values(reading: Reading, at: Place, field: Field) -> Fact:
    """One or more values, those of word lists among them; one wrong makes the whole wrong, but each is told."""
    if not at.value:
        reading.fault(at, "type", "a list needs values", "[a, b]")
        return None
    values = [_scalar(reading, item, field) for place in at.items() for item in reading.expanded(place)]
    return None if not values or None in values else tuple(values)  # type: ignore[arg-type]


def _text(reading: Reading, at: Place, field: Field) -> Fact:
    return str(at.value) if at.value is not None else _scalar(reading, at, field)


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
                hint = "{more_than: 100}" if str(value).startswith(("<", ">", "=")) else "write a number"
                reading.fault(at, "type", f"{field.name} is a number, not {value!r}", hint)
                return None
            return value
        case "flag":
            return _flag(reading, at)
        case "duration":
            return _duration(reading, at)
        case "amount":
            return _amount(reading, at, field)
        case "date":
            return _date(reading, at)
        case "time":
            if (minute := minutes(str(value))) is None:
                reading.fault(at, "type", f"{value!r} is no time of day", "09:30")
            return minute
        case _:
            return str(value)


def _duration(reading: Reading, at: Place) -> float | None:
    """Minutes: of a duration such as 2d, or written as a number."""
    if isinstance(at.value, int | float) and not isinstance(at.value, bool):
        return at.value
    text = str(at.value)
    if (found := duration(text.removeprefix("-"))) is None:
        reading.fault(at, "type", f"{at.value!r} is no duration", "30m, 4h or 2d")
        return None
    return found.total_seconds() / (-60 if text.startswith("-") else 60)


def _amount(reading: Reading, at: Place, field: Field) -> str | None:
    found = facts.amount(str(at.value))
    if found is None or not found[1]:
        reading.fault(at, "type", f"{field.name} is a sum with its currency, not {at.value!r}", "1000 CNY")
        return None
    return f"{found[0]:.12g} {found[1]}"


def _date(reading: Reading, at: Place) -> str | None:
    """A day or a moment, in the form in which it is compared."""
    found = local(str(at.value))
    if found is None:
        reading.fault(at, "type", f"{at.value!r} is no day", "2026-11-11 or 2026-11-11 20:00")
        return None
    return moment(found)


def moment(found: tuple[float, float]) -> str:
    day = date.fromordinal(int(found[0] // 1440)).isoformat()
    minute = int(found[0] % 1440)
    return day if found[1] - found[0] >= 1440 else f"{day} {minute // 60:02}:{minute % 60:02}"


def _flag(reading: Reading, at: Place) -> bool | None:
    if not isinstance(at.value, bool):
        hint = _FLAGS.get(str(at.value).strip().casefold(), "write true or false")
        reading.fault(at, "type", f"true or false, not {at.value!r}", hint)
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
    if not reading.mapping(at, ("same", *FILTERS, "within", "count"), "history"):
        return []
    same = _same(reading, at.down("same"))
    category, subcategory, status, priority = (_codes(reading, at, what) for what in FILTERS)
    window = Window(_within(reading, at), category, subcategory, status, priority, same)
    counted = Field(window.name, "number", "", "", lambda _c, _h: None)
    counts = at.down("count")
    if not isinstance(counts.value, dict):
        reading.fault(counts, "type", "history needs a count", "count: {at_least: 3}")
        return []
    parts = [part for name in counts.value for part in _operator(reading, counts.down(name), counted, name)]
    return [_windowed(part, window) for part in parts if isinstance(part, Test)]


def _same(reading: Reading, at: Place) -> tuple[str, ...]:
    """What counted tickets have in common with the present one, besides the contact."""
    if at.value is None:
        return ()
    for item in at.items():
        if item.value not in ("contact", *SAME):
            hint = suggestion(str(item.value), ("contact", *SAME))
            reading.fault(item, "unknown-value", f"same has no {item.value!r}", hint)
    return tuple(sorted({str(item.value) for item in at.items()} & set(SAME)))


def _changed(reading: Reading, at: Place) -> list[Condition]:
    """`changed: status`, `changed: {status: solved}`, `changed: {status: {from: open, to: solved}}`."""
    if not isinstance(at.value, dict):
        made = [_is_changed(reading, item, str(item.value)) for item in at.items()]
        return made if len(made) == 1 else [Any(tuple(made))] if made else []
    return [part for key in at.value for part in _changed_field(reading, at.down(key), key)]


def _is_changed(reading: Reading, at: Place, name: str) -> Condition:
    field = facts.known(f"changed.{name}", reading.vocabulary)
    if field is None:
        reading.fault(at, "unknown-field", f"nobody can change {name!r}", suggestion(name, facts.CHANGES))
        return All()
    return test(field, "is", True)


def _changed_field(reading: Reading, at: Place, name: str) -> list[Condition]:
    before, after = (facts.known(f"changed.{name}.{side}", reading.vocabulary) for side in ("from", "to"))
    if before is None or after is None:
        reading.unknown_key(at, "unknown-field", "field that people change", name, facts.CHANGES)
        return []
    if not isinstance(at.value, dict) or not set(at.value) & {"from", "to"}:
        return [_is_changed(reading, at, name), *_field(reading, at, after)]
    if not reading.mapping(at, ("from", "to"), "changed"):
        return []
    sides = [
        part
        for side, field in (("from", before), ("to", after))
        if side in at.value
        for part in _field(reading, at.down(side), field)
    ]
    return [_is_changed(reading, at, name), *sides]


def _since(reading: Reading, at: Place) -> list[Condition]:
    """`since: {last_customer_message: {more_than: 2d}}`."""
    if not reading.mapping(at, tuple(facts.EVENTS), "since"):
        return []
    fields = [(at.down(key), facts.known(f"since.{key}", reading.vocabulary)) for key in at.value]
    return [part for place, field in fields if field for part in _field(reading, place, field)]


def during(reading: Reading, at: Place) -> list[Condition]:
    """While a campaign runs, or one of several."""
    return _field(reading, at, facts.FIELDS["clock.campaigns"])


_SUGARS: Mapping[str, Callable[[Reading, Place], list[Condition]]] = {
    "history": _history, "changed": _changed, "since": _since, "during": during,
}  # fmt: skip


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
    if kind == "duration" and isinstance(value, int | float):
        return length(value)
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
            starts = _folded(wanted)
            return lambda found: isinstance(found, str) and folded(found).startswith(starts)
        case "ends_with":
            ends = _folded(wanted)
            return lambda found: isinstance(found, str) and folded(found).endswith(ends)
        case "matches":
            pattern = re2.compile(str(wanted), _quiet())
            return lambda found: isinstance(found, str) and pattern.search(found) is not None
        case "before" | "after" | "between" if kind == "date":
            return _dated(operator, wanted)
        case _:
            return (
                _in_currency(wanted, _compares(kind, operator, wanted))
                if kind == "amount"
                else _compares(kind, operator, wanted)
            )


def _folded(wanted: Fact) -> tuple[str, ...]:
    return tuple(folded(str(word)) for word in (wanted if isinstance(wanted, tuple) else (wanted,)))


def _dated(operator: str, wanted: Fact) -> Check:
    """A day is before what its first minute is before, and after what its last is after."""
    spans = [local(str(word)) or (0.0, 0.0) for word in (wanted if isinstance(wanted, tuple) else (wanted,))]
    start, end = spans[0][0], spans[-1][1]
    match operator:
        case "before":
            return lambda found: (at := _local(found)) is not None and at < start
        case "after":
            return lambda found: (at := _local(found)) is not None and at >= end
        case _:
            return lambda found: (at := _local(found)) is not None and start <= at < end


def _local(found: Value) -> float | None:
    span = local(found) if isinstance(found, str) else None
    return span[0] if span else None


def _in_currency(wanted: Fact, check: Check) -> Check:
    """Only sums of one currency can be compared."""
    bound = facts.amount(str(wanted[0] if isinstance(wanted, tuple) else wanted))
    assert bound is not None
    currency = bound[1]
    return lambda found: (
        isinstance(found, str) and (at := facts.amount(found)) is not None and at[1] == currency and check(found)
    )


def _wished(kind: Kind, wanted: Fact) -> frozenset[Anything]:
    listed = wanted if isinstance(wanted, tuple) else (wanted,)
    if kind == "language":  # `zh` means every Chinese, `zh-Hant` only that one
        return frozenset(str(word).lower() for word in listed)
    return frozenset(key for word in listed for key in facts.keys(kind, word))


def _overlaps(kind: Kind, wished: frozenset[Anything]) -> Check:
    match kind:
        case "choice" | "rank" | "number" | "flag" | "time" | "duration":
            return wished.__contains__  # a value that is not there is never wished
        case "words":
            return lambda found: bool(found) and not wished.isdisjoint(found)  # type: ignore[arg-type]
        case _:
            return lambda found: not wished.isdisjoint(facts.keys(kind, found))


def order(kind: Kind, value: Value) -> float | None:
    """A value as the number it is compared by; None where comparing takes more, as with sums and days."""
    if kind == "rank":
        return RANKS.get(value) if isinstance(value, str) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _compared(kind: Kind, value: Value) -> float | None:
    if kind == "amount":
        return found[0] if isinstance(value, str) and (found := facts.amount(value)) else None
    return order(kind, value)


def _compares(kind: Kind, operator: str, wanted: Fact) -> Check:
    if operator == "between":
        low, high = (_compared(kind, w) for w in wanted)  # type: ignore[union-attr]
        assert low is not None
        assert high is not None
        if kind == "time" and low > high:  # 22:00 to 06:00 runs over midnight
            return lambda found: (at := _compared(kind, found)) is not None and (at >= low or at <= high)
        return lambda found: (at := _compared(kind, found)) is not None and low <= at <= high
    bound = _compared(kind, wanted)
    assert bound is not None
    match operator:
        case "at_least":
            return lambda found: (at := _compared(kind, found)) is not None and at >= bound
        case "within":  # of a length of time
            return lambda found: (at := _compared(kind, found)) is not None and 0 <= at <= bound
        case "at_most":
            return lambda found: (at := _compared(kind, found)) is not None and at <= bound
        case "more_than" | "after":
            return lambda found: (at := _compared(kind, found)) is not None and at > bound
        case _:
            return lambda found: (at := _compared(kind, found)) is not None and at < bound
