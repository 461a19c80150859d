"""Rules as typed values, checked and put in order: what the loader makes and the kernels run.

RuleSet > Stage > Unit > Rule      a unit is one rule, or the rows of one `first` or `table`, of which one fires
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import Literal, Protocol

from engine.company import Company
from engine.decision import Case, Effect, Fact, Trigger
from engine.facts import MENTIONS, WORDS, Follower, Kind, Reader, Standing, Window, spoken
from engine.vocabulary import Vocabulary
from engine.words import Lexicon, Said
from normalizer.canon import Derived, Message, Ticket
from normalizer.errors import Where

Value = Fact | frozenset[str]
Values = Mapping[str, Value]
Check = Callable[[Value], bool]


@dataclass(frozen=True, slots=True)
class Test:
    """One condition on one field. `reads` are the slots it depends on; `holds` is its meaning.

    `shown` is `wanted` as a trace shows it, `names` the words of a text test by their folded form.
    """

    field: str
    kind: Kind
    operator: str
    wanted: Fact
    reads: frozenset[str]
    holds: Check = attribute(compare=False, repr=False)
    window: Window | None = None
    shown: Fact = attribute(default=None, compare=False, repr=False)
    names: Mapping[str, str] = attribute(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple["Condition", ...] = ()


@dataclass(frozen=True, slots=True)
class Any:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """None of the parts may hold."""

    parts: tuple["Condition", ...]


Condition = Test | All | Any | Nothing


def tests(condition: Condition) -> Iterator[Test]:
    """The conditions as written."""
    if isinstance(condition, Test):
        yield condition
    else:
        for part in condition.parts:
            yield from tests(part)


def holds(condition: Condition, values: Values) -> bool:
    """The plain meaning of a condition; kernels must agree with it."""
    match condition:
        case Test():
            return condition.holds(values.get(condition.field))
        case All(parts):
            return all(holds(part, values) for part in parts)
        case Any(parts):
            return any(holds(part, values) for part in parts)
        case Nothing(parts):
            return not any(holds(part, values) for part in parts)


@dataclass(frozen=True, slots=True)
class Merged:
    """The value of a slot, the effect that says it whole, who wrote it and over whom."""

    value: Fact
    effect: Effect
    rule: str
    over: tuple[str, ...] = ()
    contested: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """One effect of one rule on one slot, with what decides between it and others.

    `alone` is what it comes to if nothing else writes the slot; None where that depends on what stood there.
    """

    slot: str
    rule: str
    layer: int
    conditions: int
    override: bool
    effect: Effect
    value: Fact = None
    alone: Merged | None = attribute(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, or one row of a `first` or `table` (then named `first/row`). In shadow it has effects, but no writes."""

    name: str
    rulebook: str
    layer: str
    rank: int  # the layer's place among the layers
    because: str
    when: Condition
    effects: tuple[Effect, ...]
    writes: tuple[Write, ...]
    on: tuple[Trigger, ...]
    override: bool
    where: Where = attribute(compare=False)
    tags: tuple[str, ...] = ()
    untags: tuple[str, ...] = ()
    mode: Literal["live", "shadow"] = "live"
    # the fields it looks at, of a text with the words; None if what stands there hardly comes again
    looks: tuple[tuple[str, frozenset[str] | None], ...] | None = attribute(default=None, compare=False, repr=False)

    def __hash__(self) -> int:
        return hash(self.name)  # looked up at each firing


@dataclass(frozen=True, slots=True)
class Unit:
    """What fires at most once: the first of its rows that is true."""

    name: str
    rows: tuple[Rule, ...]
    reads: frozenset[str]
    writes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Stage:
    """Units that fire together. `circular`: some feed each other, so a round may make others true."""

    units: tuple[Unit, ...]
    circular: bool


def _standing(ticket: Ticket) -> Standing:
    """What stood before any rule in the slots that windows look at."""

    def value(slot: str) -> Fact:
        if slot.startswith("custom."):
            return ticket.custom.get(slot.removeprefix("custom."))
        derived: Derived | None = getattr(ticket, slot)
        return derived.value if derived else None

    return value


class Kernel(Protocol):
    """The one question a kernel answers. Stages, rounds and merging are not its business."""

    name: str

    def true(
        self, stage: int, trigger: Trigger, values: Values, changed: frozenset[str] | None
    ) -> list[tuple[Unit, Rule]]:
        """The true rules of a stage, one a unit, by unit name.

        `changed` are the slots written since the last time this stage was asked (None: it was not); units that read
        none of them may be left out.
        """
        ...


@dataclass(frozen=True)
class RuleSet:
    """Everything that decides. `sha` names its content, whatever the order of files and rules."""

    sha: str
    rules: tuple[Rule, ...]
    stages: tuple[Stage, ...]
    vocabulary: Vocabulary = attribute(repr=False)
    lexicon: Lexicon = attribute(repr=False)
    readers: tuple[tuple[str, Reader], ...] = attribute(repr=False)  # only the fields that some rule reads
    windows: tuple[Window, ...]
    following: Mapping[str, tuple[tuple[str, Follower], ...]]  # slot -> facts to tell anew when it was written
    asks: Mapping[Trigger, tuple[str, ...]]  # trigger -> look-ups elsewhere that some rule reads
    reads: frozenset[str]  # slots that some rule reads
    kernel: Kernel = attribute(repr=False)
    texts: Mapping[str, str] = attribute(default_factory=dict, repr=False)  # the files it was read from

    @cached_property
    def layers(self) -> Mapping[str, int]:
        """Each layer with its rank."""
        return {name: rank for rank, name in enumerate(self.vocabulary.layers)}

    @cached_property
    def triggers(self) -> frozenset[str]:
        """What some rule waits for."""
        return frozenset(trigger for rule in self.rules for trigger in rule.on)

    def said(self, message: Message | None) -> Said | None:
        """The words of these rules that a message says; None if there is nothing to look for."""
        return self.lexicon.said(spoken(message)) if message and self.lexicon.words else None

    def facts(self, case: Case, company: Company, said: Said | None = None) -> dict[str, Value]:
        """The facts of a case that these rules look at. `said` is what its message says, if the caller knows."""
        values: dict[str, Value] = {name: read(case, company) for name, read in self.readers}
        if found := said or self.said(case.message):
            values[WORDS], values[MENTIONS] = found
        for window in self.windows:
            values[window.name] = window.count(case, company, _standing(case.ticket))
        return values
