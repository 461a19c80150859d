"""What the house tells itself by the journal: outcomes of sending, timers that rang, and what people did.

All are envelopes of internal connectors (`outbox` and `timer`, written by the store; `person`, by console and API),
each about one ticket.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any, Literal, Protocol, cast

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from engine import acknowledgement
from engine.acting import Action, act, comment
from engine.decision import COMPLETED, Fact
from engine.thread import Found, Placed, Wanted, marked_bounced, unreachable
from gateway.files import MEDIUM, left_behind
from normalizer.canon import (
    Attachment,
    Contact,
    Envelope,
    External,
    Message,
    Milestone,
    Pending,
    Ticket,
    digest,
)  # fmt: skip
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
    amended: Message | None = None  # one that is there, as it is now


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
    kind: Literal["reply", "handover", "notice", "call", "fetch"]
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
    message: str = ""  # whose file was to be fetched
    index: int = 0

    def wanted(self) -> Wanted:
        return about(self.ticket, latest=self.outcome == "dead", said=self.message)

    def news(self, found: Found, now: datetime) -> News | None:
        ticket = found.tickets.get(self.ticket)
        if ticket is None or found.contact is None:
            return None
        if self.outcome == "dead" and self.kind == "fetch":
            lost = found.said and replace(_file(found.said, self.index), missing=self.status or "gone")
            return _completed(found, ticket, self.index, lost) if lost else None
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
class Fetched:
    """A file that was left behind at a vendor is here: the body of its envelope."""

    ticket: str
    message: str
    index: int
    media_type: str
    size: int
    sha256: str

    def wanted(self) -> Wanted:
        return about(self.ticket, said=self.message)

    def news(self, found: Found, now: datetime) -> News | None:
        ticket = found.tickets.get(self.ticket)
        if ticket is None or found.said is None or len(found.said.attachments) <= self.index:
            return None  # taken back or erased meanwhile
        had = _file(found.said, self.index)
        told = had.told or (had.media_type if had.media_type != self.media_type else "")
        kept = replace(
            had, media_type=self.media_type, size=self.size, sha256=self.sha256, missing="", told=told
        )  # fmt: skip
        return _completed(found, ticket, self.index, kept)


def _file(message: Message, index: int) -> Attachment:
    return message.attachments[index] if index < len(message.attachments) else Attachment("", "", 0, "")


def _completed(found: Found, ticket: Ticket, index: int, now: Attachment) -> News | None:
    """The message with the file as it is now; once none is waited for any more it is complete."""
    if found.said is None or found.contact is None:
        return None
    files = tuple(now if i == index else one for i, one in enumerate(found.said.attachments))
    amended = replace(found.said, attachments=files)
    trigger = "" if any(map(left_behind, files)) else COMPLETED
    return News(Placed(trigger, ticket, found.contact, False), amended=amended)


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


_MEDIUM: TypeAdapter[Fetched] = TypeAdapter(Fetched)


def read(envelope: Envelope) -> Notice | None:
    """The notice in an internal envelope; None for every other."""
    if envelope.connector == MEDIUM:
        return cast(Notice, _MEDIUM.validate_python(dict(envelope.transport)))
    name = f"person/{envelope.account}" if envelope.connector == "person" else envelope.connector
    kind = _KINDS.get(name)
    if kind is None:
        return None
    notice: Notice = kind.validate_json(envelope.body)
    return notice


def about(ticket: str, *, latest: bool = False, said: str = "") -> Wanted:
    return Wanted(
        message="", identities=(), message_ids=(), numbers=(), thread=None, ticket=ticket, latest=latest, said=said
    )


WAIT = "wait:"  # how the name of a wait's timer begins


def promise_timer(ticket: str, name: str, due: datetime) -> str:
    """The id of the timer of a promise: another one once the promise moves."""
    return digest("timer", ticket, name, due.isoformat())
