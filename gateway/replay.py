"""Recorded traffic decided again by another rule set: what would have been different. Nothing is sent or written.

Each decision is made again on the very facts that were recorded with it, so only the rules differ: no model runs and
nothing is looked up. Of who was erased the words are gone; they are counted. With `simulated_load` a changed routing
moves the load that later decisions see, as it would have; what may depend on that is marked `simulated`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engine.decision import Case, Decision
from engine.facts import OPEN
from engine.outcome import Difference, differences, direction, outcome
from gateway.mind import Mind
from gateway.store.damaged import DAMAGED
from gateway.store.enclosed import ERASED
from gateway.store.store import Store
from normalizer.canon import Ticket

PAGE = 200
SAMPLES = 5  # kept of each kind of difference

Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Change:
    """A decision that would have come out differently."""

    number: str  # of the ticket
    at: datetime
    trigger: str
    fields: Mapping[str, Difference]
    gained: tuple[str, ...]  # rules that would have fired, and did not
    lost: tuple[str, ...]  # rules that fired, and would not have

    def public(self) -> dict[str, Any]:
        return {
            "number": self.number, "at": self.at, "trigger": self.trigger, "gained": self.gained, "lost": self.lost,
            "fields": {name: {"before": was, "after": now} for name, (was, now) in self.fields.items()},
        }  # fmt: skip


@dataclass(slots=True)
class Replayed:
    """What became of it, counted; of each kind of difference some samples."""

    ruleset: str
    since: datetime
    until: datetime
    named: frozenset[str] = frozenset()  # rules of the set that decides again
    simulated: tuple[str, ...] = ()  # fields that follow the simulated load; `*` for all
    decisions: int = 0  # that were decided again
    identical: int = 0  # byte for byte: same rules, same kernel, same outcome
    erased: int = 0
    damaged: int = 0
    failed: int = 0
    skipped: int = 0  # the oldest, if there were more than were to be replayed
    changed: int = 0  # decisions
    tickets: set[str] = field(default_factory=set)  # numbers of those decided again
    changed_tickets: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)  # FIELD_changed, FIELD_added, priority_raised, ...
    moves: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # field, before, after
    fired: Counter[tuple[str, str]] = field(default_factory=Counter)  # rule; before, after, gained or lost
    changes: list[Change] = field(default_factory=list)  # samples, or all that were asked for

    @property
    def rules(self) -> dict[str, dict[str, int]]:
        """How often each rule fired before and after, gained and lost; those with a difference first."""
        names = {rule for rule, _ in self.fired}
        table = {rule: {how: self.fired[rule, how] for how in ("before", "after", "gained", "lost")} for rule in names}
        return dict(sorted(table.items(), key=lambda item: (-item[1]["gained"] - item[1]["lost"], item[0])))

    @property
    def fields(self) -> dict[str, int]:
        """How many decisions would differ in each field, most first."""
        found = Counter(
            {name.removesuffix("_changed"): n for name, n in self.counts.items() if name.endswith("_changed")}
        )
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ruleset": self.ruleset, "since": self.since, "until": self.until, "simulated": self.simulated,
            "decisions": self.decisions, "tickets": len(self.tickets), "identical": self.identical,
            "erased": self.erased, "damaged": self.damaged, "failed": self.failed, "skipped": self.skipped,
            "changed": self.changed, "changed_tickets": len(self.changed_tickets),
            "counts": dict(sorted(self.counts.items())), "fields": self.fields, "rules": self.rules,
            "moves": [
                {"field": name, "before": was, "after": now, "decisions": n}
                for (name, was, now), n in sorted(self.moves.items(), key=lambda item: (-item[1], item[0]))
            ],
            "samples": [change.public() for change in self.changes],
        }  # fmt: skip


async def replay(
    store: Store, mind: Mind, since: datetime, until: datetime, *, simulated_load: bool = False, keep_all: bool = False,
    most: int = 0, told: Told = lambda done, of: None,
) -> Replayed:  # fmt: skip
    """Decide again what was decided in that time, of more than `most` the newest. `told` hears how far it is."""
    many, after = await store.decided_count(since, until)
    replayed = Replayed(mind.ruleset.sha, since, until, frozenset(rule.name for rule in mind.ruleset.rules))
    if most and many > most:
        replayed.skipped = many - most
        after, many = after + replayed.skipped, most
    again = Again(mind, replayed, simulated_load, keep_all)
    done = 0
    while True:
        page, after = await store.decided(since, until, after, PAGE)
        if not page:
            return again.replayed
        await asyncio.to_thread(again.page, page)
        done += len(page)
        told(done, many)


class Again:
    """Decides recorded cases again, in their order, and counts what differs."""

    def __init__(self, mind: Mind, replayed: Replayed, simulated_load: bool, keep_all: bool = False) -> None:
        self.mind, self.replayed, self.keep_all = mind, replayed, keep_all
        self.load = Load() if simulated_load else None
        self._kept: Counter[str] = Counter()
        if simulated_load:
            reads_load = any(name.startswith("load.") for name, _ in mind.ruleset.readers)
            replayed.simulated = ("*",) if reads_load else ("assignee", "group")

    def page(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self.one(decision)

    def one(self, decision: Decision) -> None:
        replayed = self.replayed
        if decision.kernel == DAMAGED:
            replayed.damaged += 1
            return
        if is_erased(decision):
            replayed.erased += 1
            return
        replayed.decisions += 1
        replayed.tickets.add(decision.ticket.number)
        try:
            made = self.mind.decide(self.load.case(decision.case) if self.load else decision.case)[0]
        except Exception:  # counted: the set would have lost this one
            replayed.failed += 1
            return
        if self.load:
            self.load.move(decision, made)
        if made.hash == decision.hash:
            replayed.identical += 1
        self._compare(decision, made)

    def _compare(self, was: Decision, made: Decision) -> None:
        before, after = {one.rule for one in was.fired}, {one.rule for one in made.fired}
        for how, rules in (("before", before), ("after", after), ("gained", after - before), ("lost", before - after)):
            self.replayed.fired.update((rule, how) for rule in rules)
        fields = {} if made.hash == was.hash else differences(outcome(was), outcome(made))
        if not fields and before == after:
            return
        change = Change(
            was.ticket.number, was.case.now, was.case.trigger, fields,
            tuple(sorted(after - before)), tuple(sorted(before - after)),
        )  # fmt: skip
        self._count(change)

    def _count(self, change: Change) -> None:
        replayed = self.replayed
        kinds = list(_kinds(change))
        replayed.counts.update(kinds)
        replayed.moves.update(
            (name, _short(was), _short(now)) for name, (was, now) in change.fields.items() if not _continuous(name)
        )
        if change.fields:
            replayed.changed += 1
            replayed.changed_tickets.add(change.number)
        wanted = [*kinds, *change.gained, *change.lost]
        if self.keep_all or any(self._kept[kind] < SAMPLES for kind in wanted):
            self._kept.update(wanted)
            replayed.changes.append(change)


class Load:
    """The recorded load, moved by what would have been routed elsewhere, as long as it would have been open."""

    def __init__(self) -> None:
        self._shift: Counter[str] = Counter()
        self._where: dict[str, tuple[frozenset[str], frozenset[str]]] = {}  # ticket: where it was, where it would be

    def case(self, case: Case) -> Case:
        load = {whose: max(0, case.load.get(whose, 0) + self._shift[whose]) for whose in {*case.load, *self._shift}}
        return replace(case, load=load)

    def move(self, was: Decision, made: Decision) -> None:
        ticket = was.ticket.id
        _, there = self._where.get(ticket, (frozenset(), _whose(was.case.ticket)))
        if _whose(made.ticket) != _whose(was.case.ticket):  # these rules route it now; else it stays where it is
            there = _whose(made.ticket)
        here = _whose(was.ticket)
        if was.ticket.status.value not in OPEN:
            here = there = frozenset()
        self._forget(ticket)
        if here != there:
            self._where[ticket] = (here, there)
            self._shift.update(there - here)
            self._shift.subtract(here - there)

    def _forget(self, ticket: str) -> None:
        here, there = self._where.pop(ticket, (frozenset[str](), frozenset[str]()))
        self._shift.update(here - there)
        self._shift.subtract(there - here)


def is_erased(decision: Decision) -> bool:
    return decision.case.contact.name == ERASED and decision.ticket.subject == ERASED


def _whose(ticket: Ticket) -> frozenset[str]:
    """Whose load it is, in the words of `Case.load`."""
    of_group = (f"group:{ticket.group.value}",) if ticket.group else ()
    return frozenset((*of_group, *((f"agent:{ticket.assignee.value}",) if ticket.assignee else ())))


def _kinds(change: Change) -> Iterator[str]:
    for name, difference in change.fields.items():
        yield f"{name}_changed"
        if how := direction(name, difference):
            yield f"{name}_{how}"


def _continuous(name: str) -> bool:
    """Fields with a value of their own in nearly every ticket: counting each is no use."""
    return name.startswith(("due.", "custom.")) or name == "subject"


def _short(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
