"""What becomes of a slot that several rules wrote: a function of the set of writes, never of their order.

A person's value stays; else the highest layer, the most conditions, the first name (then marked contested) decides.
Priority and escalation are lowered, then raised; an untag takes away what anyone tagged; what can be added up (tags,
reasons of review, targets) is; tasks, notices, calls, waits and suggestions have each a slot of their own.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from engine.decision import (
    Acknowledge,
    Answer,
    AskFor,
    AskReview,
    CallOut,
    Close,
    Effect,
    Escalate,
    Fact,
    Grade,
    HandOver,
    LinkTo,
    Lower,
    Mark,
    Notify,
    OpenTask,
    Promise,
    Raise,
    Route,
    Set,
    Suggest,
    Suppress,
    Tag,
    Untag,
    UseSla,
    WaitFor,
)  # fmt: skip
from engine.effects import HOLDABLE, own_slots
from engine.ruleset import Merged, Write
from normalizer.canon import Derived, Priority, Ticket

T = TypeVar("T", bound=Hashable)


def before(slot: str, ticket: Ticket) -> Fact:
    """What stood in a slot before any rule."""
    if reader := _BEFORE.get(slot):
        return reader(ticket)
    head, _, name = slot.partition(".")
    if head == "mark":
        return ticket.marks.get(name)
    return ticket.custom.get(name) if head == "custom" else None


def _of(derived: Derived | None) -> Fact:
    return derived.value if derived else None


_BEFORE: dict[str, Callable[[Ticket], Fact]] = {
    "category": lambda t: _of(t.category),
    "subcategory": lambda t: _of(t.subcategory),
    "priority": lambda t: t.priority.value,
    "status": lambda t: t.status.value,
    "group": lambda t: _of(t.group),
    "type": lambda t: t.type,
    "subject": lambda t: t.subject,
    "escalation_level": lambda t: t.escalation_level,
    "review": lambda t: bool(t.review and t.review.needed),
    "sla": lambda t: t.sla.policy if t.sla else None,
}


_PERSONAL = frozenset(("category", "subcategory", "priority", "status", "group"))


def set_by_person(slot: str, ticket: Ticket) -> bool:
    """Whether a person put the value there; only a rule that says `override: person` may change it."""
    match slot:
        case "category" | "subcategory" | "priority" | "status":
            return _persons(getattr(ticket, slot))
        case "group":
            return _persons(ticket.group) or _persons(ticket.assignee)
        case _:
            return False


def _persons(derived: Derived | None) -> bool:
    return derived is not None and derived.source.startswith("person:")


def merge(slot: str, writes: Sequence[Write], ticket: Ticket) -> Merged | None:
    """The value of a slot after these writes; None if none of them may change it."""
    if slot in _PERSONAL and set_by_person(slot, ticket):
        writes = [write for write in writes if write.override]
        if not writes:
            return None
    if len(writes) == 1 and (alone := writes[0].alone) is not None:
        return alone
    head = slot.partition(":")[0].partition(".")[0]
    return _MERGES.get(head, _strongest)(writes, ticket)


def _strongest(writes: Sequence[Write], _: Ticket) -> Merged:
    won, over, contested = winner(writes, lambda write: write.value)
    return Merged(won.value, won.effect, won.rule, over, contested)


def winner(writes: Sequence[Write], value: Callable[[Write], T]) -> tuple[Write, tuple[str, ...], bool]:
    """The write that decides, the rules it beat (those that wanted another value), and whether only its name did."""
    won = strongest(writes)
    wanted = value(won)
    beaten = [write for write in writes if value(write) != wanted]
    if not beaten:
        return won, (), False
    contested = any(w.layer == won.layer and w.conditions == won.conditions for w in beaten)
    return won, tuple(sorted({write.rule for write in beaten})), contested


def strongest(writes: Sequence[Write]) -> Write:
    """Highest layer, then most conditions, then first by name."""
    if len(writes) == 1:
        return writes[0]
    return min(writes, key=lambda write: (-write.layer, -write.conditions, write.rule))


def alone(effect: Effect, rule: str) -> Merged | None:
    """What a single write comes to, where that does not depend on what stood there."""
    match effect:
        case Raise() | Lower() | Escalate() | AskReview():
            return None
        case Route():
            return Merged(effect.group or None, effect, rule) if effect.group or effect.assignee else None
        case Tag() | Untag():
            return Merged(effect.verb == "tag", effect, rule)
        case HandOver() | Suppress() | AskFor():
            return None
        case _:
            return Merged(value_of(effect), effect, rule)


def value_of(effect: Effect) -> Fact:
    """What competing writes of one slot are told apart by."""
    match effect:
        case Set(_, value) | Mark(_, value):
            return value
        case Acknowledge(template):
            return template
        case UseSla(policy):
            return policy
        case Route():
            return effect.group
        case Close():
            return "closed"
        case Promise(_, within):
            return within
        case _:
            return _told(effect)


def _told(effect: Effect) -> str:
    """What a reader is told of an effect that nothing competes with."""
    match effect:
        case Answer(answer) | Suggest(answer):
            return answer or effect.verb
        case OpenTask(title):
            return title
        case CallOut(target):
            return target
        case Notify():
            return ", ".join((*effect.groups, *effect.agents, *effect.addresses, *effect.calls))
        case WaitFor():
            return effect.name
        case Grade(mark):
            return mark
        case LinkTo(to):
            return to
        case _:
            return effect.verb


def writes(
    rule: str, rank: int, conditions: int, override: bool, made: Sequence[Effect], later: str = ""
) -> tuple[Write, ...]:
    """What each effect of a rule wants of which slot, and with what weight."""
    return tuple(
        Write(slot, rule, rank, conditions, override, effect, value_of(effect), alone(effect, rule))
        for slot, effect in own_slots(rule, made, later)
    )


def _priority(writes: Sequence[Write], ticket: Ticket) -> Merged:
    """The value set, then the lowest `lower`, then the highest `raise`."""
    sets = [write for write in writes if isinstance(write.effect, Set)]
    base = Priority(ticket.priority.value)
    if not sets:
        return _moved(base, writes, _first(writes))
    won, over, _ = winner(sets, lambda write: write.value)
    top = {w.value for w in sets if (w.layer, w.conditions) == (won.layer, won.conditions)}
    ends = {_moved(Priority(str(value)), writes, won.rule).value for value in top}
    ended = _moved(Priority(str(won.value)), writes, won.rule)
    return replace(ended, over=tuple(sorted({*over, *ended.over})), contested=len(ends) > 1)


def _moved(base: Priority, writes: Sequence[Write], rule: str) -> Merged:
    lowered = [(_lowered(base, w.effect), w.rule) for w in writes if isinstance(w.effect, Lower)]
    at, by, over = base, rule, set[str]()
    if lowered and (low := min(lowered, key=lambda pair: (pair[0].rank, pair[1])))[0].rank < at.rank:
        over.add(by)
        at, by = low
    raised = [(_raised(at, w.effect), w.rule) for w in writes if isinstance(w.effect, Raise)]
    if raised and (high := min(raised, key=lambda pair: (-pair[0].rank, pair[1])))[0].rank > at.rank:
        over.add(by)
        at, by = high
    return Merged(str(at), Set("priority", str(at)), by, tuple(sorted(over - {by})))


def _first(writes: Sequence[Write]) -> str:
    return min(write.rule for write in writes)


def _lowered(base: Priority, effect: Lower) -> Priority:
    return base.step(-effect.by) if effect.by else min(base, Priority(effect.value), key=lambda p: p.rank)


def _raised(base: Priority, effect: Raise) -> Priority:
    return base.step(effect.by) if effect.by else max(base, Priority(effect.value), key=lambda p: p.rank)


def _tag(writes: Sequence[Write], _: Ticket) -> Merged:
    untagging = [write for write in writes if isinstance(write.effect, Untag)]
    won = strongest(untagging or writes)
    over = tuple(sorted({w.rule for w in writes if isinstance(w.effect, Tag)})) if untagging else ()
    return Merged(not untagging, won.effect, won.rule, over)


def _escalation(writes: Sequence[Write], ticket: Ticket) -> Merged:
    steps = [(write.effect.by, write.rule) for write in writes if isinstance(write.effect, Escalate)]
    by, rule = min(steps, key=lambda pair: (-pair[0], pair[1]))
    over = tuple(sorted(name for step, name in steps if step < by))
    return Merged(ticket.escalation_level + by, Escalate(by), rule, over)


def _route(writes: Sequence[Write], _: Ticket) -> Merged | None:
    """One route wins whole; routes that name neither group nor agent only add the skills that are needed."""
    routes = [(write, write.effect) for write in writes if isinstance(write.effect, Route)]
    placed = [write for write, route in routes if route.group or route.assignee]
    added = {skill for _, route in routes if not (route.group or route.assignee) for skill in route.skills}
    if not placed:
        return Merged(None, Route(skills=tuple(sorted(added))), _first(writes)) if added else None
    won, over, contested = winner(placed, lambda write: write.effect)
    assert isinstance(won.effect, Route)
    route = replace(won.effect, skills=tuple(sorted({*won.effect.skills, *added})))
    return Merged(route.group or None, route, won.rule, over, contested)


def _review(writes: Sequence[Write], _: Ticket) -> Merged:
    asked = [(write, write.effect) for write in writes if isinstance(write.effect, AskReview)]
    grouped = [write for write, review in asked if review.group]
    won, over, contested = winner(grouped or [write for write, _ in asked], lambda write: _group(write.effect))
    held = {name for _, review in asked for name in review.hold}
    hold = tuple(name for name in HOLDABLE if name in held)
    reasons = "; ".join(sorted({review.reason for _, review in asked}))
    named = sorted(asked, key=lambda pair: pair[0].rule)
    approved = tuple(dict.fromkeys(effect for _, review in named for effect in review.approved))
    rejected = tuple(dict.fromkeys(effect for _, review in named for effect in review.rejected))
    return Merged(True, AskReview(reasons, _group(won.effect), hold, approved, rejected), won.rule, over, contested)


def _group(effect: Effect) -> str:
    return effect.group if isinstance(effect, AskReview) else ""


def _hand_over(writes: Sequence[Write], _: Ticket) -> Merged:
    targets = sorted({t for w in writes if isinstance(w.effect, HandOver) for t in w.effect.targets})
    named = ("all",) if "all" in targets else tuple(targets)
    return Merged(named, HandOver(named), _first(writes))


def _suppress(writes: Sequence[Write], _: Ticket) -> Merged:
    what = {name for w in writes if isinstance(w.effect, Suppress) for name in w.effect.what}
    kept = tuple(name for name in HOLDABLE if name in what)
    return Merged(kept, Suppress(kept), _first(writes))


def _ask_for(writes: Sequence[Write], _: Ticket) -> Merged:
    fields = tuple(sorted({field for w in writes if isinstance(w.effect, AskFor) for field in w.effect.fields}))
    return Merged(fields, AskFor(fields), _first(writes))


_MERGES: dict[str, Callable[[Sequence[Write], Ticket], Merged | None]] = {
    "priority": _priority,
    "tag": _tag,
    "escalation_level": _escalation,
    "group": _route,
    "review": _review,
    "hand_over": _hand_over,
    "suppress": _suppress,
    "ask_for": _ask_for,
}


def who_suppressed(writes: Iterable[Write], what: str) -> str:
    """The first rule, by name, that suppressed this."""
    return min(w.rule for w in writes if isinstance(w.effect, Suppress) and what in w.effect.what)


def who_held(writes: Iterable[Write], what: str) -> str:
    return min(w.rule for w in writes if isinstance(w.effect, AskReview) and what in w.effect.hold)
