"""What the house tells itself by the journal: outcomes of sending, timers that rang, and what people did.

All are envelopes of internal connectors (`outbox` and `timer`, written by the store; `person`, by console and API),
each about one ticket.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from engine import acknowledgement
from engine.acting import Action, act, comment
from engine.decision import Fact
from engine.thread import Found, Placed, Wanted, marked_bounced, unreachable
from normalizer.canon import Contact, Envelope, External, Message, Milestone, Pending, Ticket, digest
from normalizer.errors import Unreadable
from normalizer.identity import email_address


@dataclasses.dataclass(frozen=True, slots=True)
class News:
    """A ticket with the news in it. `message` was said among ourselves; an empty trigger decides nothing."""

    placed: Placed
    message: Message | None = None
    by: str = ""
    changed: Mapping[str, tuple[Fact, Fact]] = field(default_factory=dict)
    about: str = ""
    due: tuple[Pending, ...] = ()


class Notice(Protocol):
    ticket: str

    def wanted(self) -> Wanted: ...

    def news(self, found: Found, now: datetime) -> News | None:
        """What it makes of the ticket; None if there is nothing to tell. Raises Unreadable if it cannot be done."""
        ...


@dataclass(frozen=True)
class Settled:
    """Something was sent, or refused for good."""

    outgoing: str
    kind: Literal["reply", "handover", "notice", "call"]
    target: str
    ticket: str
    outcome: Literal["sent", "dead"]
    external_id: str
    url: str
    reason: str
    at: datetime
    bounced: bool = False  # nobody is there: the contact's address is none
    status: str = ""  # of RFC 3463
    address: str = ""  # whom a reply was for
    caused_by: str = ""  # the trigger that a call came of

    def wanted(self) -> Wanted:
        return about(self.ticket, latest=self.outcome == "dead")

    def news(self, found: Found, now: datetime) -> News | None:
        ticket = found.tickets.get(self.ticket)
        if ticket is None or found.contact is None:
            return None
        if self.outcome == "dead":
            return self._failed(ticket, found.contact)
        if self.kind not in ("reply", "handover"):
            return None
        changed = self._acknowledged(ticket) if self.kind == "reply" else self._handed_over(ticket)
        return News(Placed("", changed, found.contact, False)) if changed != ticket else None

    def _failed(self, ticket: Ticket, contact: Contact) -> News | None:
        """What failed is told, unless it was itself to tell of a failure: that would go on for ever."""
        if self.kind == "notice" or self.caused_by in ("outgoing.failed", "contact.bounced"):
            return None
        if not (self.bounced and self.kind == "reply"):
            return News(Placed("outgoing.failed", ticket, contact, False), about=self.target)
        gone = {("email", email_address(self.address))} if self.address else ()
        marked = unreachable(contact, gone, self.status)
        return News(Placed("contact.bounced", marked_bounced(ticket), marked, False), about=self.target)

    def _acknowledged(self, ticket: Ticket) -> Ticket:
        if ticket.acked_at or self.outgoing != acknowledgement.identity(ticket.id):
            return ticket
        return replace(ticket, acked_at=self.at)

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
    name: str  # MILESTONE.missed, MILESTONE.near, wait:NAME
    ticket: str
    due_at: datetime

    def wanted(self) -> Wanted:
        return about(self.ticket, latest=True)

    def news(self, found: Found, now: datetime) -> News | None:
        """A wait is over, or a promise about to be broken, or broken: unless that has settled itself meanwhile."""
        ticket = found.tickets.get(self.ticket)
        if ticket is None or found.contact is None:
            return None
        if self.name.startswith(WAIT):
            return self._waited(ticket, found.contact)
        return self._promised(ticket, found.contact)

    def _waited(self, ticket: Ticket, contact: Contact) -> News | None:
        over = next((wait for wait in ticket.waits if wait.id == self.timer), None)
        if over is None:
            return None
        rest = replace(ticket, waits=tuple(wait for wait in ticket.waits if wait is not over))
        return News(Placed(f"timer.{over.name}", rest, contact, False), about=over.name, due=(over.then,))

    def _promised(self, ticket: Ticket, contact: Contact) -> News | None:
        """Unless it was kept, moved, or is a helpdesk's to keep, which does not tell us yet."""
        milestone, _, what = self.name.rpartition(".")
        watched = ticket.sla.milestones.get(milestone) if ticket.sla else None
        if ticket.sla is None or ticket.external or watched is None or watched.met_at or watched.missed:
            return None
        if what == "near":
            same = self.timer == promise_timer(ticket.id, self.name, watched.due)
            return News(Placed("sla.near", ticket, contact, False), about=milestone) if same else None
        if watched.due > self.due_at:
            return None
        milestones = {**ticket.sla.milestones, milestone: Milestone(watched.due, None, True)}
        missed = replace(ticket, sla=replace(ticket.sla, milestones=milestones))
        return News(Placed("sla.missed", missed, contact, False), about=milestone)


@dataclass(frozen=True)
class Done:
    """Somebody did something to the ticket."""

    action: Action

    @property
    def ticket(self) -> str:
        return self.action.ticket

    def wanted(self) -> Wanted:
        return about(self.ticket, latest=True)

    def news(self, found: Found, now: datetime) -> News | None:
        ticket = found.tickets.get(self.ticket)
        if ticket is None or found.contact is None:
            raise Unreadable("there is no such ticket", code="invalid")
        acted = act(self.action, ticket)
        placed = Placed(acted.trigger, acted.ticket, found.contact, False)
        return News(placed, comment(self.action, ticket), self.action.by, acted.changed, acted.about, acted.due)


ACTIONS = "action"  # the account of connector `person` by which people act; by hand made tickets come by another

_KINDS: dict[str, TypeAdapter[Any]] = {
    "outbox": TypeAdapter(Settled),
    "timer": TypeAdapter(Rang),
    f"person/{ACTIONS}": TypeAdapter(Done),
}


def read(envelope: Envelope) -> Notice | None:
    """The notice in an internal envelope; None for every other."""
    name = f"person/{envelope.account}" if envelope.connector == "person" else envelope.connector
    kind = _KINDS.get(name)
    if kind is None:
        return None
    notice: Notice = kind.validate_json(envelope.body)
    return notice


def about(ticket: str, *, latest: bool = False) -> Wanted:
    return Wanted(message="", identities=(), message_ids=(), numbers=(), thread=None, ticket=ticket, latest=latest)


WAIT = "wait:"  # how the name of a wait's timer begins


def promise_timer(ticket: str, name: str, due: datetime) -> str:
    """The id of the timer of a promise: another one once the promise moves."""
    return digest("timer", ticket, name, due.isoformat())
