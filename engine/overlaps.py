"""Rules that get in each other's way: found by an index, proved by `solve`, and shown by a ticket.

A rule that is true whenever another is covers it. To find what may cover a rule, each rule hangs under the rarest of
the keys (a value of a field, a word) of which the covered one must have one too; only those are reasoned about.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any as Anything

from engine.company import Company
from engine.conditions import test
from engine.decide import decide
from engine.decision import Acknowledge, Mark, Route, Set, Tag, Untag, UseSla
from engine.facts import FIELDS, MENTIONS, WORDS
from engine.ruleset import All, Condition, Nothing, Rule, RuleSet, Unit, Write
from engine.solve import Clause, Literal, World, by_fields, clauses, covers, pinned, possible
from engine.trial import case
from engine.witness import givens
from engine.words import folded
from normalizer.errors import ConfigError

ABOVE = 30  # rows of a `first` that are taken into account for those below
PAIRS = 40  # rules that are compared each with each
NEAR = 6  # of more, with so many of the next
TRIED = 100  # tickets made to show that two rules contest a field

Key = tuple[Hashable, ...]


@dataclass(eq=False)
class Row:
    """A rule as it can fire: on its triggers, on its condition, and not if a row above it does."""

    rule: Rule
    unit: Unit
    above: tuple[Rule, ...]
    world: World
    steady: bool  # what it reads is settled when it is asked: neither in a circle, nor written by itself

    @property
    def name(self) -> str:
        return self.rule.name

    @cached_property
    def own(self) -> tuple[Clause, ...] | None:
        """The clauses of its condition, whatever stands above it."""
        return clauses(triggered(self.rule))

    @cached_property
    def fields(self) -> tuple[frozenset[str], ...]:
        """What each of its clauses looks at."""
        return tuple(frozenset(by_fields(clause)) for clause in self.own or ())

    @cached_property
    def narrow(self) -> tuple[Clause, ...] | None:
        """The clauses on which alone it fires; without the rows above, if those are too many."""
        exact = clauses(self._exact) if self._exact is not None else None
        return exact if exact is not None else self.own

    @cached_property
    def opposite(self) -> tuple[Clause, ...] | None:
        """The clauses on which it does not fire; None if that cannot be said."""
        return clauses(self._exact, False) if self._exact is not None else None

    @cached_property
    def _exact(self) -> Condition | None:
        if len(self.above) > ABOVE:
            return None
        own = triggered(self.rule)
        return All((own, Nothing(tuple(triggered(rule) for rule in self.above)))) if self.above else own

    def within(self, other: "Row") -> bool:
        """Whether the other fires whenever this one does."""
        if self.narrow is None or other.opposite is None:
            return False
        return covers(other.opposite, self.narrow, self.world)


def rows(unit: Unit, world: World, *, steady: bool) -> list[Row]:
    return [Row(rule, unit, unit.rows[:i], world, steady) for i, rule in enumerate(unit.rows)]


def triggered(rule: Rule) -> Condition:
    """The condition of a rule, its triggers among it."""
    return All((test(FIELDS["trigger"], "in", rule.on), rule.when))


class Covering:
    """Which rows may cover a row."""

    def __init__(self, listed: Iterable[Row]) -> None:
        self._under: defaultdict[Key, list[Row]] = defaultdict(list)
        offered = [(row, [list(_keys(clause)) for clause in row.own or ()]) for row in listed]
        use = Counter(key for _, each in offered for needs in each for need in needs for key in need)
        for row, each in offered:
            for needs in each:
                for key in min(needs, key=lambda need: sum(use[key] for key in need), default=((),)):
                    self._under[key].append(row)

    def candidates(self, row: Row) -> Iterator[Row]:
        """Rows of other units that look at nothing which this one does not; others can hardly cover it."""
        if not row.own:
            return
        looked = row.fields[0]
        seen: set[int] = set()
        for key in ((), *_looked_up(row.own[0])):
            for other in self._under.get(key, ()):
                if id(other) not in seen and other.unit is not row.unit:
                    seen.add(id(other))
                    if any(fields <= looked for fields in other.fields):
                        yield other


def _keys(clause: Clause) -> Iterator[tuple[Key, ...]]:
    """For each test but the trigger's the keys of which a covered clause has one."""
    for literal in clause:
        tested, wanted = literal
        if tested.field == "trigger":
            continue
        if pins := pinned((literal,)).get(tested.field):
            yield tuple((tested.field, value) for value in pins)
        elif wanted and tested.operator in ("says", "has", "has_any", "is", "in") and tested.kind in ("words", "set"):
            yield tuple((tested.field, word) for word in _words(literal))
        else:
            yield ((tested.field,),)


def _looked_up(clause: Clause) -> Iterator[Key]:
    for name, values in pinned(clause).items():
        if values:
            yield (name, min(values, key=repr))
    for literal in clause:
        tested, wanted = literal
        yield (tested.field,)
        if tested.field == WORDS:
            yield (MENTIONS,)
        if wanted and tested.kind in ("words", "set") and tested.operator != "exists":
            every = tested.operator in ("has_all", "says_all")
            for word in _words(literal)[: None if every else 1]:
                yield (tested.field, word)
                if tested.field == WORDS:
                    yield (MENTIONS, word)


def _words(literal: Literal) -> list[str]:
    wanted = literal.test.wanted
    return sorted(folded(str(word)) for word in (wanted if isinstance(wanted, tuple) else (wanted,)))


def wish(write: Write) -> Hashable:
    """What a write wants its slot to be, if only one wish can come true; None if several may."""
    match write.effect:
        case Set() | Mark() | Acknowledge() | UseSla():
            return write.value
        case Route():
            return write.effect if write.effect.group or write.effect.assignee else None
        case Tag() | Untag():
            return write.effect.verb
        case _:
            return None


Wish = tuple[Row, Write]


@dataclass(frozen=True, slots=True)
class Overruled:
    """A row whose write of a slot never counts as long as `by` writes it; `same` layer, or a higher one."""

    row: Row
    by: Row
    slot: str
    same: bool


@dataclass(frozen=True, slots=True)
class Contest:
    """Two rows that fire together on this ticket, with nothing but their names to decide between them."""

    row: Row
    other: Row
    slot: str
    given: Mapping[str, Anything]


def wishes(listed: Iterable[Row]) -> dict[str, list[Wish]]:
    """Who writes what, for the slots of which there are different wishes."""
    found: defaultdict[str, list[Wish]] = defaultdict(list)
    for row in listed:
        for write in row.rule.writes:
            if wish(write) is not None:
                found[write.slot].append((row, write))
    return {slot: made for slot, made in found.items() if len({wish(write) for _, write in made}) > 1}


def overruled(made: Mapping[str, Sequence[Wish]]) -> Iterator[Overruled]:
    """Writes that never count, since another rule that fires whenever theirs does beats them."""
    for slot, listed in made.items():
        steady = sorted(((row, write) for row, write in listed if row.steady), key=_last_written)
        written = {row.name: write for row, write in steady}
        covering = _by_weight(steady)
        told: set[frozenset[str]] = set()
        for row, write in steady:
            for other in _heavier(covering, row, write):
                beaten = _beaten(write, written[other.name])
                pair = frozenset((row.name, other.name))
                if beaten and pair not in told and row.within(other):
                    told.add(pair)
                    yield Overruled(row, other, slot, write.layer == written[other.name].layer)
                    break


def _by_weight(listed: Iterable[Wish]) -> dict[tuple[int, int], Covering]:
    """The rows that write a slot, by layer and number of conditions: only the heavier can beat the lighter."""
    by_weight: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
    for row, write in listed:
        weight = (0, 0) if isinstance(write.effect, Untag) else (write.layer + 1, write.conditions)
        by_weight[weight].append(row)
    return {weight: Covering(some) for weight, some in by_weight.items()}


def _heavier(covering: Mapping[tuple[int, int], Covering], row: Row, write: Write) -> Iterator[Row]:
    for weight, some in covering.items():
        if weight >= (write.layer + 1, write.conditions) or weight == (0, 0):
            yield from some.candidates(row)


def _last_written(made: Wish) -> tuple[str, int, int]:
    """Of two that contradict each other, the one that stands further down is told."""
    at = made[0].rule.where
    return at.file, -at.line, -at.column


def _beaten(write: Write, other: Write) -> bool:
    """Whether the other write wins, or wins but for its name."""
    if write.slot.startswith("tag:"):
        return isinstance(write.effect, Tag) and isinstance(other.effect, Untag)
    if wish(write) == wish(other):
        return False
    return (other.layer, other.conditions) >= (write.layer, write.conditions)


@dataclass(slots=True)
class Contests:
    """Looking for rules that fire together with equal right to a field; `cut` once enough was tried."""

    ruleset: RuleSet
    company: Company
    tried: int = 0
    cut: bool = False
    told: set[tuple[str, str]] = field(default_factory=set)  # row, slot: one is enough

    def found(self, made: Mapping[str, Sequence[Wish]], known: frozenset[frozenset[str]]) -> Iterator[Contest]:
        """`known` are pairs of which it is told already that they contradict each other."""
        for slot, listed in made.items():
            if slot.startswith("tag:"):
                continue
            equals: defaultdict[tuple[int, int], list[Wish]] = defaultdict(list)
            for row, write in listed:
                equals[write.layer, write.conditions].append((row, write))
            for group in equals.values():
                for one, other in pairs(group):
                    if self.cut:
                        return
                    if frozenset((one.name, other.name)) in known or (other.name, slot) in self.told:
                        continue
                    if (given := self._shown(one, other, slot)) is not None:
                        self.told.add((other.name, slot))
                        yield Contest(other, one, slot, given)

    def _shown(self, one: Row, other: Row, slot: str) -> Mapping[str, Anything] | None:
        if one.narrow is None or other.narrow is None:
            return None
        for clause in (a + b for a in one.narrow[:4] for b in other.narrow[:4]):
            if not possible(clause, one.world):
                continue
            for given in givens(clause, self.ruleset.vocabulary, self.company):
                if self.tried >= TRIED:
                    self.cut = True
                    return None
                self.tried += 1
                if self._contested(given, one, other, slot):
                    return given
        return None

    def _contested(self, given: Mapping[str, Anything], one: Row, other: Row, slot: str) -> bool:
        """Whether both fire on this ticket and only a name decides: by deciding it."""
        try:
            made = decide(self.ruleset, self.company, case(given, self.ruleset.vocabulary))
        except ConfigError:
            return False
        fired = {fired.rule for fired in made.fired}
        both = {one.name, other.name}
        return both <= fired and any(
            written.contested and written.field == slot and both <= {written.rule, *written.over}
            for written in made.written
        )


def pairs(listed: Sequence[Wish]) -> Iterator[tuple[Row, Row]]:
    """Rows with different wishes that may be true together. Of many that nothing tells apart, only neighbours."""
    seen: set[tuple[int, int]] = set()
    for group in _apart(sorted(listed, key=lambda made: made[0].name), frozenset()):
        for i, (one, write) in enumerate(group):
            last = len(group) if len(group) <= PAIRS else i + 1 + NEAR
            for other, also in group[i + 1 : last]:
                at = (id(one), id(other))
                if at not in seen and one.unit is not other.unit and wish(write) != wish(also):
                    seen.add(at)
                    yield one, other


def _apart(listed: Sequence[Wish], used: frozenset[str]) -> Iterator[Sequence[Wish]]:
    """Groups of rows that are not told apart by a value one of their fields must have."""
    if len(listed) <= PAIRS:
        yield listed
        return
    pins = [_pins(row) for row, _ in listed]
    fields = Counter(name for found in pins for name in found if name not in used)
    name, count = fields.most_common(1)[0] if fields else ("", 0)
    if count * 2 < len(listed):
        yield listed
        return
    free = [made for made, found in zip(listed, pins, strict=True) if name not in found]
    by_value: defaultdict[Anything, list[Wish]] = defaultdict(list)
    for made, found in zip(listed, pins, strict=True):
        for value in found.get(name, ()):
            by_value[value].append(made)
    for group in by_value.values():
        yield from _apart([*group, *free[:PAIRS]], used | {name})
    if len(free) > 1:
        yield from _apart(free, used | {name})


def _pins(row: Row) -> Mapping[str, frozenset[Anything]]:
    """The fields that must have one of so many values for this row to fire."""
    each = [pinned(clause) for clause in row.own or ((),)]
    common = set(each[0]).intersection(*each[1:]) - {"trigger"}
    return {name: frozenset().union(*(found[name] for found in each)) for name in common}
