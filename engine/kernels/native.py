"""The kernel of the house: which rules of a stage are true on these facts, by an index.

Every unit hangs under the keys of which at least one must be there for it to be true: a value of a field, a word that
was said, or a bound that a number must reach. One look-up per indexed field gives the candidates; only those are
evaluated. What no key is necessary for is always a candidate.
"""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any as Anything

from engine.conditions import order
from engine.decision import Trigger
from engine.facts import Kind, keys
from engine.ruleset import All, Any, Check, Condition, Nothing, Rule, Stage, Test, Unit, Value, Values

Key = tuple[str, Kind, Anything]  # field, kind, value
Need = frozenset[Key]  # one of these must be there
_Known = dict[Hashable, tuple[str, Check]]

_BY_VALUE = frozenset(("is", "in", "has", "has_any", "says"))
_BY_ALL = frozenset(("has_all", "says_all"))
_FROM, _UP_TO = "\x00from", "\x00up to"  # stand in for the value of a key that is a bound


class Native:
    """Indexes built once for each stage and trigger."""

    name = "native"

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._indexes: list[dict[Trigger, _Index]] = [{} for _ in stages]
        for i, stage in enumerate(stages):
            for trigger in {on for unit in stage.units for row in unit.rows for on in row.on}:
                self._indexes[i][trigger] = _Index(stage, trigger)

    def true(
        self, stage: int, trigger: Trigger, values: Values, changed: frozenset[str] | None
    ) -> list[tuple[Unit, Rule]]:
        index = self._indexes[stage].get(trigger)
        if index is None:
            return []
        return index.true(values) if changed is None else index.revisit(values, changed)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """`sure` are the rows as they are to be looked at where a key led here: what the key has shown is left out."""

    unit: Unit
    rows: tuple[tuple["_Eval", Rule], ...]
    sure: tuple[tuple["_Eval", Rule], ...]


class _Index:
    def __init__(self, stage: Stage, trigger: Trigger) -> None:
        self._known: _Known = {}  # equal tests of different rules are one: they stay in the processor's cache
        self.candidates = [c for unit in stage.units if (c := _candidate(unit, trigger, self._known)) is not None]
        self.always: list[int] = []
        self.tables: dict[tuple[str, Kind], dict[Anything, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.bounds: dict[tuple[str, Kind, str], list[tuple[float, int]]] = defaultdict(list)
        self.readers: dict[str, list[int]] = defaultdict(list)
        self._file()
        self._known = {}
        # most units are one rule of plain tests: these lie ready, since each step to them may miss the cache
        self._plain = [_plain(candidate) for candidate in self.candidates]
        self._answers = [(candidate.unit, candidate.sure[0][1]) for candidate in self.candidates]
        self._tables = [(field, kind, dict(table)) for (field, kind), table in self.tables.items()]
        self._bounds = [
            (field, kind, side == _FROM, [b for b, _ in listed], [i for _, i in listed])
            for (field, kind, side), listed in ((at, sorted(found)) for at, found in self.bounds.items())
        ]

    def _file(self) -> None:
        needs = [_unit_needs(candidate) for candidate in self.candidates]
        use = Counter(key for offered in needs for need in offered for key in need)
        for i in reversed(range(len(needs))):
            offered = needs.pop()  # all at once at the end would be a pause for other threads
            for slot in self.candidates[i].unit.reads:
                self.readers[slot].append(i)
            if not offered:
                self.always.append(i)
                continue
            chosen = _cheapest(offered, use)
            self.candidates[i] = _surely(self.candidates[i], chosen, self._known)
            for field, kind, value in chosen:
                if isinstance(value, tuple):
                    self.bounds[field, kind, value[0]].append((value[1], i))
                else:
                    self.tables[field, kind][value].append(i)

    def true(self, values: Values) -> list[tuple[Unit, Rule]]:
        found = set(self.always)
        for field, kind, table in self._tables:
            value = values.get(field)
            if value is None:
                continue
            if kind in ("choice", "rank", "flag", "number", "time"):
                if hit := table.get(value):
                    found.update(hit)
                continue
            for key in keys(kind, value):
                if hit := table.get(key):
                    found.update(hit)
        for field, kind, lower, limits, listed in self._bounds:
            if (at := order(kind, values.get(field))) is not None:
                found.update(listed[: bisect_right(limits, at)] if lower else listed[bisect_left(limits, at) :])
        hits, plain, get = [], self._plain, values.get
        for i in sorted(found) if len(found) > 1 else found:
            if (tests := plain[i]) is None:
                hits += _first(self.candidates[i].unit, self.candidates[i].sure, values)
                continue
            for field, holds in tests:
                if not holds(get(field)):
                    break
            else:
                hits.append(self._answers[i])
        return hits

    def revisit(self, values: Values, changed: frozenset[str]) -> list[tuple[Unit, Rule]]:
        found = {i for slot in changed for i in self.readers.get(slot, ())}
        if any(slot.startswith("tag:") for slot in changed):
            found.update(self.readers.get("tags", ()))
        candidates = [self.candidates[i] for i in sorted(found)]
        return [hit for candidate in candidates for hit in _first(candidate.unit, candidate.rows, values)]


def _first(unit: Unit, rows: Iterable[tuple["_Eval", Rule]], values: Values) -> list[tuple[Unit, Rule]]:
    """The first of these rows that is true, if one is."""
    for evaluate, rule in rows:
        if evaluate(values):
            return [(unit, rule)]
    return []


def _plain(candidate: _Candidate) -> tuple[tuple[str, Check], ...] | None:
    """The tests that are all there is to look at; None if there is more to it."""
    if len(candidate.sure) == 1 and isinstance(evaluate := candidate.sure[0][0], _Tests):
        return evaluate.tests
    return None


def _cost(key: Key, use: Mapping[Key, int]) -> int:
    return 50 * use[key] if isinstance(key[2], tuple) else use[key]  # a bound is reached more often than a word is said


def _cheapest(offered: Sequence[Need], use: Mapping[Key, int]) -> Need:
    """What fewest others need; equals are told apart by their words, so that no order plays a part."""
    if len(offered) == 1:
        return offered[0]
    costs = [sum(_cost(key, use) for key in need) for need in offered]
    least = min(costs)
    cheapest = [need for need, cost in zip(offered, costs, strict=True) if cost == least]
    return cheapest[0] if len(cheapest) == 1 else min(cheapest, key=_words)


def _words(need: Need) -> list[str]:
    return sorted(map(repr, need))


def _candidate(unit: Unit, trigger: Trigger, known: _Known) -> _Candidate | None:
    rows = tuple((_compiled(row.when, known), row) for row in unit.rows if trigger in row.on)
    return _Candidate(unit, rows, rows) if rows else None


def _surely(candidate: _Candidate, key: Need, known: _Known) -> _Candidate:
    """The candidate without the test that this key answers."""
    if len(candidate.rows) > 1 or not isinstance(when := candidate.rows[0][1].when, All):
        return candidate
    left = tuple(part for part in when.parts if not _answered(part, key))
    return replace(candidate, sure=((_compiled(All(left), known), candidate.rows[0][1]),))


def _answered(condition: Condition, key: Need) -> bool:
    return isinstance(condition, Test) and condition.operator in _BY_VALUE and next(_test_needs(condition)) == key


def _unit_needs(candidate: _Candidate) -> list[Need]:
    """A unit with several rows needs what any of them needs."""
    each = [list(_needs(row.when)) for _, row in candidate.rows]
    if not all(each):
        return []
    if len(each) == 1:
        return each[0]
    return [frozenset().union(*map(_fewest, each))]


def _fewest(offered: Sequence[Need]) -> Need:
    return min(offered, key=lambda need: (len(need), _words(need)))


def _needs(condition: Condition) -> Iterator[Need]:
    """The sets of keys of which one must be there if the condition is to hold."""
    match condition:
        case Test():
            yield from _test_needs(condition)
        case All(parts):
            for part in parts:
                yield from _needs(part)
        case Any(parts):
            each = [list(_needs(part)) for part in parts]
            if each and all(each):
                yield frozenset().union(*map(_fewest, each))
        case Nothing():
            return


def _test_needs(test: Test) -> Iterator[Need]:
    wanted: Sequence[Value] = test.wanted if isinstance(test.wanted, tuple) else (test.wanted,)
    if test.operator in _BY_VALUE:
        yield frozenset(_key(test, word) for word in wanted)
    elif test.operator in _BY_ALL:
        for word in wanted:
            yield frozenset([_key(test, word)])
    elif test.operator in ("at_least", "more_than") and (bound := order(test.kind, test.wanted)) is not None:
        yield frozenset([(test.field, test.kind, (_FROM, bound))])
    elif test.operator in ("at_most", "less_than") and (bound := order(test.kind, test.wanted)) is not None:
        yield frozenset([(test.field, test.kind, (_UP_TO, bound))])


def _key(test: Test, word: Value) -> Key:
    if test.kind == "language":
        return (test.field, test.kind, str(word).lower())
    (key,) = keys(test.kind, word)
    return (test.field, test.kind, key)


class _Eval:
    """A condition as one call; small classes instead of closures, so that profiles tell them apart."""

    __slots__ = ()

    def __call__(self, values: Values) -> bool:
        raise NotImplementedError


class _Tests(_Eval):
    """Tests of which all must hold."""

    __slots__ = ("tests",)

    def __init__(self, tests: Iterable[Test], known: _Known) -> None:
        self.tests = tuple([known.setdefault(_meaning(test), (test.field, test.holds)) for test in tests])

    def __call__(self, values: Values) -> bool:
        for field, holds in self.tests:  # noqa: SIM110, a generator costs more than the loop
            if not holds(values.get(field)):
                return False
        return True


class _Every(_Eval):
    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[_Eval]) -> None:
        self.parts = tuple(parts)

    def __call__(self, values: Values) -> bool:
        for part in self.parts:  # noqa: SIM110
            if not part(values):
                return False
        return True


class _Some(_Eval):
    __slots__ = ("parts", "wanted")

    def __init__(self, parts: Iterable[_Eval], wanted: bool) -> None:
        self.parts, self.wanted = tuple(parts), wanted

    def __call__(self, values: Values) -> bool:
        for part in self.parts:
            if part(values):
                return self.wanted
        return not self.wanted


def _meaning(test: Test) -> Hashable:
    return test.field, test.kind, test.operator, test.wanted


def _compiled(condition: Condition, known: _Known) -> _Eval:
    match condition:
        case Test():
            return _Tests([condition], known)
        case All(parts):
            tests = _Tests((part for part in parts if isinstance(part, Test)), known)
            nested = [_compiled(part, known) for part in parts if not isinstance(part, Test)]
            return _Every([tests, *nested]) if nested else tests
        case Any(parts):
            return _Some([_compiled(part, known) for part in parts], True)
        case Nothing(parts):
            return _Some([_compiled(part, known) for part in parts], False)
