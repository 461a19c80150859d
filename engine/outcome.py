"""What a decision came to, field by field, so that two decisions about one case can be compared.

Who decided (rule set, kernel, the rule behind each value) is left out: only what people would notice counts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from engine.decision import Acknowledge, Decision, Effect, Fact, HandOver
from normalizer.canon import Derived, Priority, Ticket

Outcome = Mapping[str, Fact]
Difference = tuple[Fact, Fact]  # before, after

# What these do shows in the ticket.
IN_THE_TICKET = frozenset(
    ("set", "raise", "lower", "tag", "untag", "mark", "route", "sla", "escalate", "review", "suppress")
)
FIELDS = (
    "category", "subcategory", "priority", "status", "type", "subject", "group", "assignee", "tags", "tier",
    "escalation_level", "required_skills", "policy", "review",
)  # fmt: skip


def outcome(decision: Decision) -> Outcome:
    """Every field that has a value, every effect that leaves the ticket, and what was withheld."""
    ticket = decision.ticket
    told: dict[str, Fact] = {name: value for name, value in _fields(ticket) if value not in (None, "", ())}
    told |= {f"mark.{name}": value for name, value in ticket.marks.items()}
    told |= {f"custom.{name}": value for name, value in ticket.custom.items()}
    if ticket.sla:
        told |= {f"due.{name}": at.due.isoformat() for name, at in ticket.sla.milestones.items()}
    told |= _outgoing(decision.effects)
    if decision.withheld:
        told["withheld"] = tuple(sorted(decision.withheld))
    return told


def differences(before: Outcome, after: Outcome) -> dict[str, Difference]:
    """Fields that are not the same, by name."""
    names = sorted({*before, *after})
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def direction(field: str, difference: Difference) -> str:
    """added, removed; of a priority raised or lowered, of a promise earlier or later; else empty."""
    before, after = difference
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if field == "priority":
        return "raised" if Priority(str(after)).rank > Priority(str(before)).rank else "lowered"
    if field.startswith("due."):
        return "later" if str(after) > str(before) else "earlier"
    return ""


def _fields(ticket: Ticket) -> Iterator[tuple[str, Fact]]:
    for name in FIELDS:
        match name:
            case "policy":
                yield name, ticket.sla.policy if ticket.sla else None
            case "review":
                yield name, _review(ticket)
            case _:
                value = getattr(ticket, name)
                yield name, str(value.value) if isinstance(value, Derived) else value


def _review(ticket: Ticket) -> Fact:
    review = ticket.review
    if review is None or not review.needed:
        return None
    held = f", holds {' and '.join(review.hold)}" if review.hold else ""
    return f"{review.group or 'anyone'}{held}"


def _outgoing(effects: Iterable[Effect]) -> dict[str, Fact]:
    """By verb, what is done besides changing the ticket."""
    told: dict[str, list[str]] = {}
    for effect in effects:
        if effect.verb not in IN_THE_TICKET:
            told.setdefault(effect.verb, []).append(_plain(effect))
    return {verb: each[0] if len(each) == 1 else tuple(sorted(each)) for verb, each in told.items()}


def _plain(effect: Effect) -> str:
    match effect:
        case Acknowledge(template):
            return template
        case HandOver(targets):
            return " ".join(targets)
        case _:
            given: dict[str, Any] = asdict(effect)
            return " ".join(f"{name}={value}" for name, value in given.items() if name != "verb" and value)
