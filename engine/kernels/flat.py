"""Conditions as a plain rete may safely have them: conjunctions of comparisons of whole numbers.

    category: complaint           c3 == 1          a value by its number among those that some rule wants
    priority: {at_least: high}    c4 >= 5          a bound by its place among all bounds of that field
    says: [退款, 退钱]              c9 == 1          words, sets, texts, patterns: a flag, found here
    any: [A, B]                   two conjunctions, one for each
    none: [A]                     the conjunctions under which A does not hold

So no text, fraction, list or null is left, and nothing that depends on how anybody else reads one.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any as Anything
from typing import Literal

from engine.conditions import order
from engine.facts import Kind, keys
from engine.ruleset import All, Any, Check, Condition, Nothing, Test, Value, Values, tests

Comparison = Literal["$eq", "$neq", "$lt", "$lte", "$gt", "$gte"]
Atom = tuple[int, Comparison, int]  # column, comparison, number
Conjunction = frozenset[Atom]

MOST = 64  # conjunctions that one condition may come to
LONGEST = 24  # comparisons in one conjunction
ABSENT = -1  # the place of a number that is not there; a value that nobody wants, or none, is 0

_SINGLE: frozenset[Kind] = frozenset(("choice", "rank", "number", "flag", "time", "duration"))
_ONE_OF = frozenset(("is", "in", "has", "has_any", "says"))
_NONE_OF = frozenset(("is_not", "not_in", "says_none"))
_BOUNDED = frozenset(("at_least", "at_most", "more_than", "less_than", "between"))
_FEW = 4  # values that become conjunctions of their own; more are one flag


class TooLarge(Exception):
    """What a condition would come to is beyond what is safe."""


@dataclass(slots=True)
class Columns:
    """Numbers that stand for the facts, each with how it is found."""

    count: int = 0
    flags: set[int] = field(default_factory=set)
    _choices: dict[tuple[str, Kind], tuple[int, dict[Anything, int]]] = field(default_factory=dict)
    _places: dict[tuple[str, Kind], tuple[int, list[float]]] = field(default_factory=dict)
    _keyed: dict[tuple[str, Kind], dict[Anything, list[int]]] = field(default_factory=dict)
    _known: dict[Anything, int] = field(default_factory=dict)  # the flags there are, by what they tell
    _checks: list[tuple[int, str, Check]] = field(default_factory=list)

    def number(self, values: Values) -> tuple[dict[int, int], set[int]]:
        """The facts as numbers, by column, where they are not 0; and the flags that are up."""
        numbers: dict[int, int] = {}
        for (name, _), (column, codes) in self._choices.items():
            if (value := values.get(name)) is not None and (code := codes.get(value)):
                numbers[column] = code
        for (name, kind), (column, bounds) in self._places.items():
            numbers[column] = place(bounds, order(kind, values.get(name)))
        up: set[int] = set()
        for (name, kind), table in self._keyed.items():
            for key in keys(kind, values.get(name)):
                up.update(table.get(key, ()))
        up.update([column for column, name, holds in self._checks if holds(values.get(name))])
        numbers.update(dict.fromkeys(up, 1))
        return numbers, up

    def new(self) -> int:
        self.count += 1
        return self.count - 1

    def choice(self, test: Test, value: Anything) -> tuple[int, int]:
        column, codes = self._choices.get((test.field, test.kind)) or (self.new(), {})
        self._choices[test.field, test.kind] = column, codes
        return column, codes.setdefault(value, len(codes) + 1)

    def bounded(self, every: Iterable[Test]) -> None:
        """Know all bounds before any of them is placed."""
        found: dict[tuple[str, Kind], set[float]] = defaultdict(set)
        for test in every:
            if test.operator in _BOUNDED and (bounds := _bounds(test)) is not None:
                found[test.field, test.kind].update(bounds)
        self._places = {at: (self.new(), sorted(bounds)) for at, bounds in found.items()}

    def placed(self, test: Test, bound: float) -> tuple[int, int]:
        column, bounds = self._places[test.field, test.kind]
        return column, place(bounds, bound)

    def overlap(self, test: Test, wanted: frozenset[Anything]) -> int:
        """A flag: one of these keys is there."""
        at = (test.field, test.kind, wanted)
        if at not in self._known:
            self._known[at] = column = self._flag()
            table = self._keyed.setdefault((test.field, test.kind), {})
            for key in wanted:
                table.setdefault(key, []).append(column)
        return self._known[at]

    def check(self, test: Test) -> int:
        """A flag: the test holds."""
        if test not in self._known:
            self._known[test] = column = self._flag()
            self._checks.append((column, test.field, test.holds))
        return self._known[test]

    def _flag(self) -> int:
        column = self.new()
        self.flags.add(column)
        return column


def place(bounds: Sequence[float], at: float | None) -> int:
    """Odd on a bound, even between two: comparing places is comparing numbers."""
    if at is None or isnan(at):
        return ABSENT
    i = bisect_left(bounds, at)
    return 2 * i + 1 if i < len(bounds) and bounds[i] == at else 2 * i


def columns(conditions: Iterable[Condition]) -> Columns:
    """Columns that know all bounds of these conditions."""
    made = Columns()
    made.bounded(test for condition in conditions for test in tests(condition))
    return made


def flat(condition: Condition, on: Columns, holds: bool = True) -> list[Conjunction]:
    """The conjunctions of which one is true just if the condition holds (or does not). Raises TooLarge."""
    match condition:
        case Test():
            return _test(condition, on) if holds else _not(condition, on)
        case All(parts):
            each = [flat(part, on, holds) for part in parts]
            return _both(each) if holds else _either(each)
        case Any(parts):
            each = [flat(part, on, holds) for part in parts]
            return _either(each) if holds else _both(each)
        case Nothing(parts):
            each = [flat(part, on, not holds) for part in parts]
            return _both(each) if holds else _either(each)


def _both(each: Sequence[list[Conjunction]]) -> list[Conjunction]:
    made: list[Conjunction] = [frozenset()]
    for alternatives in each:
        made = _fewest({one | other for one in made for other in alternatives if _possible(one | other)})
    return made


def _either(each: Sequence[list[Conjunction]]) -> list[Conjunction]:
    return _fewest({conjunction for alternatives in each for conjunction in alternatives})


def _fewest(found: set[Conjunction]) -> list[Conjunction]:
    """Without those that say more than another does."""
    if len(found) > 4 * MOST:
        raise TooLarge(f"it comes to {len(found)} alternatives")
    kept = [one for one in found if not any(other < one for other in found)]
    if len(kept) > MOST:
        raise TooLarge(f"it comes to {len(kept)} alternatives")
    if any(len(one) > LONGEST for one in kept):
        raise TooLarge(f"an alternative has more than {LONGEST} comparisons")
    return sorted(kept, key=sorted)


def _possible(conjunction: Conjunction) -> bool:
    wanted = dict[int, int]()
    for column, comparison, number in conjunction:
        if comparison == "$eq" and wanted.setdefault(column, number) != number:
            return False
    return not any(c == "$neq" and wanted.get(column) == number for column, c, number in conjunction)


def _one(*atoms: Atom) -> Conjunction:
    return frozenset(atoms)


def _test(test: Test, on: Columns) -> list[Conjunction]:
    if test.operator in _BOUNDED and _bounds(test) is not None:
        return _within(test, on)
    if test.operator in _ONE_OF:
        return _one_of(test, on)
    if test.operator in _NONE_OF:
        return _none_of(test, on)
    return [_one((on.check(test), "$eq", 1))]


def _not(test: Test, on: Columns) -> list[Conjunction]:
    if test.operator in _BOUNDED and _bounds(test) is not None:
        return _without(test, on)
    if test.operator in _ONE_OF:
        return _none_of(test, on)
    if test.operator in _NONE_OF:
        return _one_of(test, on)
    return [_one((on.check(test), "$eq", 0))]


def _one_of(test: Test, on: Columns) -> list[Conjunction]:
    wanted = _wanted(test)
    if test.kind in _SINGLE and len(wanted) <= _FEW:
        chosen = [on.choice(test, value) for value in wanted]
        return [_one((column, "$eq", number)) for column, number in chosen]
    return [_one((on.overlap(test, wanted), "$eq", 1))]


def _none_of(test: Test, on: Columns) -> list[Conjunction]:
    wanted = _wanted(test)
    if test.kind in _SINGLE and len(wanted) <= _FEW:
        chosen = [on.choice(test, value) for value in wanted]
        return [frozenset((column, "$neq", number) for column, number in chosen)]
    return [_one((on.overlap(test, wanted), "$eq", 0))]


def _wanted(test: Test) -> frozenset[Anything]:
    listed: Sequence[Value] = test.wanted if isinstance(test.wanted, tuple) else (test.wanted,)
    if test.kind == "language":  # `zh` means every Chinese
        return frozenset(str(word).lower() for word in listed)
    return frozenset(key for word in listed for key in keys(test.kind, word))


def _bounds(test: Test) -> list[float] | None:
    """What a comparison compares with; None if it cannot be placed."""
    listed: Sequence[Value] = test.wanted if isinstance(test.wanted, tuple) else (test.wanted,)
    found = [order(test.kind, value) for value in listed]
    return [bound for bound in found if bound is not None] if None not in found else None


def _within(test: Test, on: Columns) -> list[Conjunction]:
    at = [on.placed(test, bound) for bound in _bounds(test) or ()]
    (column, low), (_, high) = at[0], at[-1]
    match test.operator:
        case "at_least":
            return [_one((column, "$gte", low))]
        case "more_than":
            return [_one((column, "$gt", low))]
        case "at_most":
            return [_one((column, "$lte", high), (column, "$gte", 0))]
        case "less_than":
            return [_one((column, "$lt", high), (column, "$gte", 0))]
        case _ if test.kind == "time" and low > high:  # over midnight
            return [_one((column, "$gte", low)), _one((column, "$lte", high), (column, "$gte", 0))]
        case _:
            return [_one((column, "$gte", low), (column, "$lte", high))]


def _without(test: Test, on: Columns) -> list[Conjunction]:
    at = [on.placed(test, bound) for bound in _bounds(test) or ()]
    (column, low), (_, high) = at[0], at[-1]
    match test.operator:
        case "at_least":
            return [_one((column, "$lt", low))]
        case "more_than":
            return [_one((column, "$lte", low))]
        case "at_most":
            return [_one((column, "$lt", 0)), _one((column, "$gt", high))]
        case "less_than":
            return [_one((column, "$lt", 0)), _one((column, "$gte", high))]
        case _ if test.kind == "time" and low > high:
            return [_one((column, "$lt", 0)), _one((column, "$lt", low), (column, "$gt", high))]
        case _:
            return [_one((column, "$lt", low)), _one((column, "$gt", high))]
