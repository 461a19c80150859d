"""What the house tells itself by the journal: outcomes of sending, and timers that rang.

Both are envelopes of internal connectors (`outbox`, `timer`), about one ticket, written by the store.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from engine.thread import Found, Placed, Wanted
from normalizer.canon import Contact, Envelope, External, Milestone, Ticket


class Notice(Protocol):
    ticket: str

    def wanted(self) -> Wanted: ...

    def placed(self, found: Found, now: datetime) -> Placed | None:
        """The ticket with the news in it; None if there is nothing to tell. An empty trigger decides nothing."""
        ...


@dataclass(frozen=True)
class Settled:
    """Something was sent, or refused for good."""

    outgoing: str
    kind: Literal["reply", "handover"]
    target: str
    ticket: str
    outcome: Literal["sent", "dead"]
    external_id: str
    url: str
    reason: str
    at: datetime

    def wanted(self) -> Wanted:
        return about(self.ticket)

    def placed(self, found: Found, now: datetime) -> Placed | None:
        ticket = found.tickets.get(self.ticket)
        if ticket is None or found.contact is None:
            return None
        if self.outcome == "dead":
            return Placed("outgoing.failed", ticket, found.contact, False)
        changed = self._acknowledged(ticket) if self.kind == "reply" else self._handed_over(ticket)
        return news(changed, found.contact) if changed != ticket else None

    def _acknowledged(self, ticket: Ticket) -> Ticket:
        return ticket if ticket.acked_at else replace(ticket, acked_at=self.at)

    def _handed_over(self, ticket: Ticket) -> Ticket:
        others = tuple(external for external in ticket.external if external.system != self.target)
        known = next((external for external in ticket.external if external.system == self.target), None)
        new = External(self.target, self.external_id or (known.id if known else ""), self.url, ticket.version)
        if known and (known.id, known.url) == (new.id, new.url):
            return ticket
        return replace(ticket, external=(*others, new))


@dataclass(frozen=True)
class Rang:
    """A timer's moment has come."""

    timer: str
    name: str  # MILESTONE.missed
    ticket: str
    due_at: datetime

    def wanted(self) -> Wanted:
        return about(self.ticket)

    def placed(self, found: Found, now: datetime) -> Placed | None:
        """A broken promise, unless it was kept, moved, or is a helpdesk's to keep, which does not tell us yet."""
        ticket = found.tickets.get(self.ticket)
        milestone, _, _ = self.name.partition(".")
        if ticket is None or found.contact is None or ticket.sla is None or ticket.external:
            return None
        watched = ticket.sla.milestones.get(milestone)
        if watched is None or watched.met_at or watched.missed or watched.due > self.due_at:
            return None
        milestones = {**ticket.sla.milestones, milestone: Milestone(watched.due, None, True)}
        missed = replace(ticket, sla=replace(ticket.sla, milestones=milestones))
        return Placed("sla.missed", missed, found.contact, False)


_KINDS: dict[str, TypeAdapter[Any]] = {"outbox": TypeAdapter(Settled), "timer": TypeAdapter(Rang)}


def read(envelope: Envelope) -> Notice | None:
    """The notice in an internal envelope; None for every other."""
    kind = _KINDS.get(envelope.connector)
    if kind is None:
        return None
    notice: Notice = kind.validate_json(envelope.body)
    return notice


def about(ticket: str) -> Wanted:
    return Wanted(message="", identities=(), message_ids=(), numbers=(), thread=None, ticket=ticket)


def news(ticket: Ticket, contact: Contact) -> Placed:
    return Placed("", ticket, contact, False)
