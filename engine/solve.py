"""Whether conditions can hold, and on what: the reasoning behind `rules check`.

A condition is taken apart into clauses: tests that must, or must not, hold together. On one field the truth of tests
changes only at the values they name; so a few representatives (those values, what lies between and beside them, nothing
at all) stand for all there are. What fits none of them fits nothing: "cannot hold" is never said of what can. What is
not understood (a pattern, an operator of another kind) is taken to be possible.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice, pairwise, product
from math import inf, isfinite
from typing import Any as Anything
from typing import NamedTuple

from engine import facts
from engine.calendar import local
from engine.conditions import moment
from engine.facts import MENTIONS, WORDS
from engine.ruleset import All, Any, Condition, Nothing, Test, Value
from engine.vocabulary import PRIORITIES, STATUSES, WEEKDAYS, Vocabulary
from engine.words import folded

MOST = 64  # clauses of one condition; what has more is not reasoned about
_CHOICES = 128  # ways to satisfy the sets of one clause
_MINUTES = (1440.0, 1440.0 * 3_652_059)  # of the days there are, year 1 to 9999
FRESH = "zq7x"  # a word that nobody wrote


class Literal(NamedTuple):
    """A test, and whether it must hold or must not."""

    test: Test
    wanted: bool


Clause = tuple[Literal, ...]


class Fit(NamedTuple):
    """Whether tests on one field can come out as wanted; `shown` is whether `value` does it."""

    possible: bool
    value: Anything = None
    shown: bool = False


NEVER, UNKNOWN = Fit(False), Fit(True)

_COUNTS = frozenset(
    ("message.length", "message.attachments.count", "urge_count", "reopen_count", "escalation_level")
)  # whole numbers from 0
_CLOSED: Mapping[str, tuple[str, ...]] = {
    "priority": tuple(PRIORITIES),
    "status": tuple(STATUSES),
    "clock.weekday": tuple(WEEKDAYS),
}  # always one of these
_ANY = frozenset(("is", "in", "has", "has_any", "says"))
_NONE = frozenset(("is_not", "not_in", "says_none"))
_EVERY = frozenset(("has_all", "says_all"))
_BOUNDS = frozenset(("at_least", "at_most", "more_than", "less_than", "between"))
_EQUALS = frozenset(("is", "is_not", "in", "not_in", "exists"))
_UNDERSTOOD: Mapping[str, frozenset[str]] = {
    "choice": _EQUALS,
    "flag": _EQUALS,
    "language": _EQUALS,
    "rank": _EQUALS | _BOUNDS,
    "number": _EQUALS | _BOUNDS,
    "time": _EQUALS | _BOUNDS | {"before", "after"},
    "duration": _EQUALS | _BOUNDS | {"within"},
    "date": frozenset(("before", "after", "between")),
    "text": _EQUALS | {"starts_with", "ends_with"},
    "set": _ANY | _NONE | _EVERY | {"exists"},
    "words": _ANY | _NONE | _EVERY | {"exists"},
}


@dataclass(frozen=True, slots=True)
class World:
    """What can stand together: which subcategories each category has, and which of either a rule sets alone."""

    vocabulary: Vocabulary
    loose_categories: frozenset[str] = field(default_factory=frozenset)
    loose_subcategories: frozenset[str] = field(default_factory=frozenset)

    def pair(self, categories: Iterable[str], subcategories: Iterable[str]) -> bool:
        """Whether some of these categories can stand with some of these subcategories."""
        subs = frozenset(subcategories)
        return not self.loose_subcategories.isdisjoint(subs) or any(
            code in self.loose_categories or not subs.isdisjoint(self.vocabulary.subcategories.get(code, ()))
            for code in categories
        )


def clauses(condition: Condition, wanted: bool = True) -> tuple[Clause, ...] | None:
    """The condition, or its opposite, as clauses of which one must come out; None if there are too many."""
    match condition:
        case Test():
            return ((Literal(condition, wanted),),)
        case All(parts):
            return _both(parts, wanted) if wanted else _either(parts, wanted)
        case Any(parts):
            return _either(parts, wanted) if wanted else _both(parts, wanted)
        case Nothing(parts):
            return _both(parts, not wanted) if wanted else _either(parts, not wanted)


def _both(parts: Sequence[Condition], wanted: bool) -> tuple[Clause, ...] | None:
    found: tuple[Clause, ...] = ((),)
    for part in parts:
        inner = clauses(part, wanted)
        if inner is None or len(found) * len(inner) > MOST:
            return None
        found = tuple(one + other for one in found for other in inner)
    return found


def _either(parts: Sequence[Condition], wanted: bool) -> tuple[Clause, ...] | None:
    found: list[Clause] = []
    for part in parts:
        inner = clauses(part, wanted)
        if inner is None or len(found) + len(inner) > MOST:
            return None
        found += inner
    return tuple(found)


def possible(clause: Clause, world: World) -> bool:
    return impossible(clause, world) is None


def impossible(clause: Clause, world: World) -> Clause | None:
    """The tests of a clause that can never come out together; None if all may."""
    by_field = by_fields(clause)
    for literals in by_field.values():
        if not fit(literals).possible:
            return literals
    if "category" in by_field and "subcategory" in by_field:
        return _apart(by_field["category"], by_field["subcategory"], world)
    return None


def _apart(category: Clause, subcategory: Clause, world: World) -> Clause | None:
    categories, subs = pinned(category).get("category"), pinned(subcategory).get("subcategory")
    if categories is None or subs is None or world.pair(map(str, categories), map(str, subs)):
        return None
    return category + subcategory


def by_fields(clause: Clause) -> dict[str, Clause]:
    """The tests by their field; what is said and what is mentioned belong together."""
    found: defaultdict[str, list[Literal]] = defaultdict(list)
    for literal in clause:
        name = literal.test.field
        found[WORDS if name == MENTIONS else name].append(literal)
    return {name: tuple(literals) for name, literals in found.items()}


@lru_cache(maxsize=65536)
def _fit(literals: Clause) -> Fit:
    kind = literals[0].test.kind
    understood = _UNDERSTOOD.get(kind, frozenset[str]())
    known = tuple(one for one in literals if one.test.operator in understood)
    if not known:
        return UNKNOWN
    fits = _fit_words if kind == "words" else _fit_set if kind == "set" else _fit_one
    found = fits(known)
    if not found.possible or len(known) == len(literals):
        return found
    shown = found.shown and all(test.holds(found.value) == wanted for test, wanted in literals)
    return Fit(True, found.value, shown)


def fit(literals: Clause) -> Fit:
    """A value on which all these tests, of one field, come out as wanted."""
    if len(literals) == 1 and literals[0].wanted and literals[0].test.operator in ("is", "in", "says"):
        wanted = literals[0].test.wanted
        first = wanted[0] if isinstance(wanted, tuple) else wanted
        if literals[0].test.kind in ("choice", "rank", "text", "language") and first:
            return Fit(True, first, True)
    return _fit(literals)


def _fit_one(literals: Clause) -> Fit:
    for value in _representatives(literals):
        if all(test.holds(value) == wanted for test, wanted in literals):
            return Fit(True, value, True)
    return NEVER


def _representatives(literals: Clause) -> Iterator[Value]:
    test = literals[0].test
    named = [value for one in literals for value in _named(one.test)]
    if test.field in _CLOSED:
        yield from _CLOSED[test.field]
        return
    match test.kind:
        case "flag":
            yield from (True, False, None)
        case "number" | "time" | "duration":
            yield from _numbers(test, named)
        case "date":
            yield from _dates(named)
        case "text":
            yield from _texts(literals, named)
        case "rank":
            yield from (*PRIORITIES, None)
        case _:
            yield from (*named, None, FRESH)


def _named(test: Test) -> Sequence[Anything]:
    if test.operator == "exists":
        return ()
    return test.wanted if isinstance(test.wanted, tuple) else (test.wanted,)


def _numbers(test: Test, named: Sequence[Anything]) -> Iterator[Value]:
    at = sorted({value for value in named if isinstance(value, int | float) and isfinite(value)})
    low, high, whole, always = _domain(test)
    beside = _whole(at, int(low)) if whole else _between(at, low, high)
    for value in sorted(beside, key=lambda value: (abs(value - (at[0] if at else 0)), value)):
        if low <= value <= high:
            yield value
    if not always:
        yield None


def _domain(test: Test) -> tuple[float, float, bool, bool]:
    """Lowest and highest value of a number, whether it is a whole one, and whether it is always there."""
    if test.kind == "time":
        return 0, 1439, True, test.field == "clock.time"
    if test.field == "contact.bucket":
        return 0, 99, True, True
    if test.window or test.field in _COUNTS or test.field.startswith("load."):
        return 0, inf, True, bool(test.window)
    return (0, 1, False, False) if test.field.endswith(".confidence") else (-inf, inf, False, False)


def _whole(at: Sequence[float], low: int) -> set[float]:
    return {low, *(int(value) + step for value in at for step in (-1, 0, 1, 2))}


def _between(at: Sequence[float], low: float, high: float) -> set[float]:
    """The numbers named, those between them, and one below and above."""
    ends = [value for value in (low, high) if isfinite(value)]
    points = sorted({*at, *ends, *([at[0] - 1, at[-1] + 1] if at else [0.0])})
    return {*points, *((a + b) / 2 for a, b in pairwise(points))}


def _dates(named: Sequence[Anything]) -> Iterator[Value]:
    """The first and last minute of each day named, and those beside them."""
    spans = [span for value in named if (span := local(str(value)))]
    for at in sorted({edge + step for span in spans for edge in span for step in (-1, 0, 1)}):
        if _MINUTES[0] <= at < _MINUTES[1]:
            yield moment((at, at + 1))
    yield None


def _texts(literals: Clause, named: Sequence[Anything]) -> Iterator[Value]:
    starts = [str(w) for one in literals if one.test.operator == "starts_with" for w in _named(one.test)]
    ends = [str(w) for one in literals if one.test.operator == "ends_with" for w in _named(one.test)]
    yield from (one for literal in literals if literal.test.operator in _EQUALS for one in _named(literal.test))
    for start in ("", *starts):
        for end in ("", *ends):
            yield start + FRESH + end
    yield from ("", None, *named)


@dataclass(slots=True)
class _Members:
    """What a set must have, must have one of, and must not have; by folded word."""

    every: dict[str, str] = field(default_factory=dict)  # folded -> as written
    any: list[dict[str, str]] = field(default_factory=list)
    none: set[str] = field(default_factory=set)
    missing: list[set[str]] = field(default_factory=list)  # not all of these
    empty: bool | None = None
    asked: int = 0  # how often `exists` was; asked both ways, it is not reasoned about

    def take(self, test: Test, wanted: bool) -> None:
        words = {folded(str(word)): str(word) for word in _named(test)}
        if test.operator == "exists":
            self.empty, self.asked = (test.wanted is False) == wanted, self.asked + 1
        elif (test.operator in _ANY) == wanted and test.operator in _ANY | _NONE:
            self.any.append(words)
        elif test.operator in _ANY | _NONE:
            self.none.update(words)
        elif wanted:
            self.every.update(words)
        else:
            self.missing.append(set(words))

    def sets(self) -> tuple[list[dict[str, str]], bool]:
        """The smallest sets that may do (what must be there, and one of each choice), and whether these are all."""
        every, none = self.every, self.none
        if not none.isdisjoint(every) or (self.empty and (every or self.any)):
            return [], self.asked <= 1
        offered = [
            [one for one in choice.items() if one[0] not in none]
            for choice in self.any
            if every.keys().isdisjoint(choice)
        ]
        chosen = list(islice(product(*offered), _CHOICES))
        made = [{**every, **dict(one)} for one in chosen]
        if self.empty is False:
            made = [one or {FRESH: FRESH} for one in made]
        kept = [one for one in made if not any(words <= one.keys() for words in self.missing)]
        return kept, len(chosen) < _CHOICES and self.asked <= 1


def _fit_set(literals: Clause) -> Fit:
    members = _Members()
    for test, wanted in literals:
        members.take(test, wanted)
    sets, all_of_them = members.sets()
    for made in sets:
        value = tuple(made.values())
        if all(test.holds(value) == wanted for test, wanted in literals):
            return Fit(True, value, True)
    return NEVER if all_of_them else UNKNOWN


class Said(NamedTuple):
    """Words that are said, and those that are mentioned only to be denied."""

    meant: tuple[str, ...]
    denied: tuple[str, ...] = ()


def _fit_words(literals: Clause) -> Fit:
    """Words meant are mentioned too; a word may be mentioned without being meant, never the reverse."""
    meant, mentioned = _Members(), _Members()
    for test, wanted in literals:
        (meant if test.field == WORDS else mentioned).take(test, wanted)
    meant.none |= mentioned.none
    firsts, all_firsts = meant.sets()
    seconds, all_seconds = mentioned.sets()
    if (not firsts and all_firsts) or (not seconds and all_seconds):
        return NEVER
    for first, second in islice(product(firsts, seconds), _CHOICES):
        value = _said(first, second, meant.none)
        both = {WORDS: frozenset(map(folded, value.meant))}
        both[MENTIONS] = both[WORDS] | frozenset(map(folded, value.denied))
        if all(test.holds(both[test.field]) == wanted for test, wanted in literals):
            return Fit(True, value, True)
    return UNKNOWN


def _said(first: Mapping[str, str], second: Mapping[str, str], unmeant: set[str]) -> Said:
    meant = {**first, **{word: raw for word, raw in second.items() if word not in unmeant}}
    return Said(tuple(meant.values()), tuple(raw for word, raw in second.items() if word in unmeant))


def pinned(clause: Clause) -> dict[str, frozenset[Anything]]:
    """The fields that must have one of so many values for this clause to come out, and those values."""
    found: dict[str, frozenset[Anything]] = {}
    for test, wanted in clause:
        if not _pins(test, wanted):
            continue
        values = frozenset(key for value in _named(test) for key in _key(test.kind, value))
        found[test.field] = found[test.field] & values if test.field in found else values
    return found


def _pins(test: Test, wanted: bool) -> bool:
    if test.kind in ("set", "words") or test.kind not in _UNDERSTOOD:
        return False
    return test.operator in ("is", "in") if wanted else test.operator in ("is_not", "not_in")


def _key(kind: str, value: Anything) -> Iterable[Anything]:
    if kind == "language":
        return (str(value).lower().partition("-")[0],)
    return facts.keys("text", value) if kind == "text" else (value,)


def covers(wider: Sequence[Clause], narrower: Sequence[Clause], world: World) -> bool:
    """Whether the narrower comes out only where the wider does not fail; `wider` are the clauses of its opposite."""
    return all(not possible(one + other, world) for one in narrower for other in wider)
