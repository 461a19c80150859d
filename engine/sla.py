"""Promises: when the first answer and the solution are due, and how a customer is told.

Due times count from the moment the message was captured, in the open hours of the policy's calendar.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.calendar import duration
from engine.company import Company
from engine.vocabulary import WEEKDAYS
from normalizer.canon import Milestone, Sla, Ticket

_NOTHING, _DAY = timedelta(), timedelta(hours=24)
_WEEKDAYS = tuple(WEEKDAYS.values())


def promised(
    company: Company,
    before: Ticket,
    type: str,
    priority: str,
    chosen: str = "",
    lengths: Mapping[str, str] | None = None,
) -> Sla | None:
    """The SLA of a ticket of this type and priority; `before` is how it stood, `chosen` a policy that a rule named.

    `lengths` are times that rules promised besides, by milestone. Kept as it is unless one of these changed; what was
    met or missed keeps the due time it had.
    """
    name = chosen or _standing(company, before, type)
    policy, had = company.policies.get(name), before.sla
    own = {**(had.lengths if had else {}), **(lengths or {})}
    same = had is None or (had.policy == name and before.priority.value == priority)
    if had is not None and own == had.lengths and (policy is None or same):
        return had
    if policy is None and not own:
        return had
    calendar = policy.calendar if policy else company.business
    found = {**(company.lengths[name, priority] if policy else {}), **_lengths(own)}
    return Sla(name if policy else "", calendar, _milestones(company, calendar, found, before), own)


def _lengths(own: Mapping[str, str]) -> dict[str, timedelta]:
    return {milestone: duration(text) or timedelta() for milestone, text in own.items()}


def _standing(company: Company, before: Ticket, type: str) -> str:
    """The policy in force: the one of the ticket, unless its type changed; else its type's."""
    if before.sla and before.type == type:
        return before.sla.policy
    known = company.types.get(type) or company.types.get("request") or next(iter(company.types.values()), None)
    return known.sla if known else ""


def _milestones(
    company: Company, calendar: str, lengths: Mapping[str, timedelta], before: Ticket
) -> dict[str, Milestone]:
    had = before.sla.milestones if before.sla else {}
    made = {}
    for milestone, length in lengths.items():
        old = had.get(milestone)
        kept = old and (old.met_at or old.missed)
        made[milestone] = (
            old if old and kept else Milestone(company.calendars[calendar].after(before.captured_at, length))
        )
    return made


def nearly(company: Company, ticket: Ticket, milestone: str) -> datetime:
    """When a promise counts as near: once so much of its time has passed as the policy says."""
    assert ticket.sla is not None
    policy = company.policies.get(ticket.sla.policy)
    due = ticket.sla.milestones[milestone].due
    return ticket.captured_at + (due - ticket.captured_at) * (policy.near if policy else 80) / 100


@dataclass(frozen=True, slots=True)
class Promise:
    """What the customer is told: `text` fits into a sentence (4 小时内 / within 4 hours), `due` is the local time."""

    text: str
    due: str
    is_length: bool  # a length of time (4 小时内), not already the due time itself


def promise(ticket: Ticket, company: Company, language: str) -> Promise | None:
    """The promise of a first answer; None if there is no such milestone.

    A length is promised when it is the time that will really pass; when closed hours lie between, the day and hour.
    """
    milestone = ticket.sla.milestones.get("first_response") if ticket.sla else None
    if milestone is None:
        return None
    local = milestone.due.astimezone(company.zone)
    due = _moment(local, language)
    passing = milestone.due - ticket.captured_at
    if _NOTHING < passing <= _DAY and not passing.seconds % 60 and (text := length(passing, language)):
        return Promise(text, due, True)
    return Promise(f"{due} 前" if language.startswith("zh") else f"by {due}", due, False)


def length(passing: timedelta, language: str) -> str:
    """`4 小时内`, `within 4 hours`: a time that fits into a sentence."""
    hours, rest = divmod(int(passing.total_seconds()) // 60, 60)
    if language.startswith("zh"):
        return "".join([f" {hours} 小时" if hours else "", f" {rest} 分钟" if rest else ""]).strip() + "内"
    parts = [_plural(hours, "hour")] * bool(hours) + [_plural(rest, "minute")] * bool(rest)
    return f"within {' '.join(parts)}"


def _plural(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _moment(local: datetime, language: str) -> str:
    weekday = _WEEKDAYS[local.weekday()]
    if language.startswith("zh"):
        return f"{local.month}月{local.day}日（{weekday['zh']}）{local:%H:%M}"
    return f"{weekday['en']} {local.day} {local:%B}, {local:%H:%M} ({_zone(local)})"


def _zone(local: datetime) -> str:
    minutes = int((local.utcoffset() or timedelta()).total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
