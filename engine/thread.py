"""Where a message belongs: a new ticket, or one that is already there.

`lookups` says what the gateway must look for, `place` decides on what it found. Both pure; neither reads anything.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.decision import Past, Trigger
from normalizer.canon import (
    Contact,
    Derived,
    Identity,
    Kind,
    Message,
    Related,
    Source,
    Status,
    Ticket,
    Understanding,
    digest,
)  # fmt: skip
from normalizer.identity import identity

SPEAKING = frozenset((Kind.MESSAGE, Kind.EDIT, Kind.POSTBACK, Kind.CALL, Kind.RECORDING))  # a customer says something
ENDED = frozenset((Status.CLOSED, Status.MERGED))  # nothing is added to these; a new ticket follows them up
SUBJECT = 40  # characters of the words a subject is made of

_NUMBER = re.compile(r"(?<!\d)20\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3,12}(?!\d)")
_BREAK = re.compile(r"[\n。！？!?；;]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be looked up before a message can be placed."""

    message: str  # Message.id: was it placed before?
    identities: tuple[Identity, ...]
    message_ids: tuple[str, ...]  # external ids this answers, nearest first: In-Reply-To, then References from the end
    numbers: tuple[str, ...]  # ticket numbers standing in the subject
    thread: tuple[str, str, str, str] | None  # channel, connector, account, thread_key
    ticket: str = ""  # news about this very ticket; then Found.contact is the ticket's
    own: str = ""  # what the channel calls the message itself
    scope: tuple[str, str] = ("email", "")  # channel, and within it what external ids are unique in


@dataclass(frozen=True, slots=True)
class Found:
    """What was there. `by_*` map what was asked to the ticket's id; `tickets` holds each of them once.

    An id that messages of several tickets bear (broken senders repeat theirs) names only a ticket in which the sender
    takes part; so does a thread that is named by an id which another message bore before this one.
    """

    placed_before: bool = False
    contact: Contact | None = None
    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    by_message_id: Mapping[str, str] = field(default_factory=dict)
    by_number: Mapping[str, str] = field(default_factory=dict)
    by_thread: str = ""
    participants: Mapping[str, tuple[Identity, ...]] = field(default_factory=dict)  # of tickets found by number
    history: tuple[Past, ...] = ()  # the contact's tickets of the last 90 days, oldest first
    load: Mapping[str, int] = field(default_factory=dict)  # open tickets by "group:NAME" and "agent:NAME"
    previous: Mapping[str, str] = field(default_factory=dict)  # ticket id to the hash of its latest decision

    def standing(self, ticket: Ticket) -> Ticket:
        """Where a ticket goes on: the one it was merged into, if it was."""
        passed: set[str] = set()
        while ticket.id not in passed and (target := merged_into(ticket)) in self.tickets:
            passed.add(ticket.id)
            ticket = self.tickets[target]
        return ticket


def merged_into(ticket: Ticket) -> str:
    """The ticket that this one was merged into; empty if it was not."""
    if ticket.status.value != Status.MERGED:
        return ""
    return next((related.id for related in ticket.related if related.kind == "duplicate_of"), "")


@dataclass(frozen=True, slots=True)
class Placed:
    """A message in its place: the ticket as it stands before any rule, its contact, and what this triggers."""

    trigger: Trigger  # ticket.created or message.received
    ticket: Ticket
    contact: Contact
    is_new: bool


def lookups(message: Message) -> Wanted:
    """What to look for before this message can be placed."""
    answers = (message.in_reply_to, *reversed(message.references))
    return Wanted(
        message=message.id,
        identities=identities(message),
        message_ids=tuple(dict.fromkeys(id for id in answers if id)),
        numbers=tuple(dict.fromkeys(_NUMBER.findall(message.subject))),
        thread=_thread(message),
        own=message.external_id,
        scope=(message.channel, message.scope),
    )


def identities(message: Message) -> tuple[Identity, ...]:
    """What the sender is known by; who has no address at all is known by this one message."""
    if not message.sender.address:
        return (Identity("message", message.id),)
    return (identity(message.sender, message.connector if message.proven else ""),)


def _thread(message: Message) -> tuple[str, str, str, str] | None:
    if not message.thread_key:
        return None
    return (message.channel, message.connector, message.account, message.thread_key)


def place(message: Message, found: Found, now: datetime) -> Placed:
    """The message in its place. `now` is the moment of a new ticket; whatever else is there comes from what was found.

    An open ticket that the message answers takes it; of closed ones a new ticket becomes the follow-up.
    """
    contact = _contact(message, found.contact)
    answered = [found.standing(ticket) for ticket in _answered(message, found)]
    current = next((ticket for ticket in answered if ticket.status.value not in ENDED), None)
    if current is not None:
        return Placed("message.received", _continued(current, message, now), contact, False)
    return Placed("ticket.created", _opened(message, contact, now, answered[0] if answered else None), contact, True)


def _answered(message: Message, found: Found) -> Iterator[Ticket]:
    """The tickets this may belong to, surest first: In-Reply-To, References from the end, conversation, number."""
    wanted = lookups(message)
    ids = [found.by_message_id.get(answer, "") for answer in wanted.message_ids]
    ids.append(found.by_thread)
    ids.extend(id for number in wanted.numbers if _takes_part(id := found.by_number.get(number, ""), wanted, found))
    for id in dict.fromkeys(ids):
        if id in found.tickets:
            yield found.tickets[id]


def _takes_part(ticket: str, wanted: Wanted, found: Found) -> bool:
    """A number can be guessed, so it counts only from somebody who takes part in that ticket."""
    known = {(i.kind, i.value) for i in found.participants.get(ticket, ())}
    return any((i.kind, i.value) in known for i in wanted.identities)


def _contact(message: Message, known: Contact | None) -> Contact:
    said = identities(message)
    if known is None:
        known = Contact(id=digest("contact", said[0].kind, said[0].value))
    return replace(
        known,
        identities=_together(known.identities, said),
        name=known.name or message.claims.get("name", "") or message.sender.name,
        locale=known.locale or message.understanding.language,
    )


def _together(known: tuple[Identity, ...], said: tuple[Identity, ...]) -> tuple[Identity, ...]:
    """Each identity once; what was proven once stays so."""
    merged = {(i.kind, i.value): i for i in known}
    for i in said:
        old = merged.get((i.kind, i.value))
        if old is None or (i.proven_by and not old.proven_by):
            merged[i.kind, i.value] = i
    return tuple(merged.values())


def _opened(message: Message, contact: Contact, now: datetime, follows: Ticket | None) -> Ticket:
    said: Understanding = message.understanding
    return Ticket(
        id=digest("ticket", message.id),
        source=Source(message.channel, message.connector, message.account, message.envelope),
        contact=contact.id,
        subject=message.subject.strip() or _subject(message.text or message.full_text),
        description=message.text or message.full_text,
        created_at=max(now, message.received_at),
        captured_at=message.received_at,
        type=message.claims.get("type") or "request",
        language=said.language,
        category=said.category,
        subcategory=said.subcategory,
        tags=tuple(sorted(set(said.tags))),
        sentiment=said.sentiment,
        extracted=dict(said.extracted),
        custom=_custom(message),
        urge_count=int("urge" in said.intents),
        last_urged_at=message.received_at if "urge" in said.intents else None,
        related=(Related("follow_up_of", follows.id),) if follows else (),
        last_customer_at=message.received_at if _is_customer(message) else None,
    )


def _subject(text: str) -> str:
    """The first words: the first sentence, if it is no longer than a subject may be."""
    first = next((part.strip() for part in _BREAK.split(text) if part.strip()), "")
    return first if len(first) <= SUBJECT else first[: SUBJECT - 1].rstrip() + "…"


def _custom(message: Message) -> dict[str, str]:
    """What the sender filled in, besides the ticket's type and his name."""
    return {name: value for name, value in message.claims.items() if name not in ("type", "name") and value}


def _continued(ticket: Ticket, message: Message, now: datetime) -> Ticket:
    """The ticket after one more message: nothing the customer said before is lost or overwritten."""
    if not _is_customer(message):
        return ticket
    said = message.understanding
    ticket = replace(
        ticket,
        tags=tuple(sorted({*ticket.tags, *said.tags})),
        sentiment=said.sentiment or ticket.sentiment,
        language=ticket.language or said.language,
        extracted={**said.extracted, **ticket.extracted},
        custom={**_custom(message), **ticket.custom},
        last_customer_at=max(ticket.last_customer_at or message.received_at, message.received_at),
    )
    return _urged(_woken(_better_understood(ticket, said), said), said, max(now, message.received_at))


def _is_customer(message: Message) -> bool:
    return message.kind in SPEAKING and message.direction == "in" and message.author == "customer"


def _better_understood(ticket: Ticket, said: Understanding) -> Ticket:
    """A category changes only when a machine is surer than before, and never if a person wrote it."""
    if said.category is None or _persons(ticket.category) or _persons(ticket.subcategory):
        return ticket
    if ticket.category and said.category.confidence <= ticket.category.confidence:
        return ticket
    return replace(ticket, category=said.category, subcategory=said.subcategory)


def _persons(derived: Derived | None) -> bool:
    return derived is not None and derived.source.startswith("person:")


def _woken(ticket: Ticket, said: Understanding) -> Ticket:
    """A customer who writes again reopens what was solved (unless he only says thanks) and ends our waiting for him."""
    if ticket.status.value == Status.WAITING_CUSTOMER:
        return replace(ticket, status=Derived(Status.OPEN, "channel"))
    if ticket.status.value != Status.SOLVED or set(said.intents) == {"thanks"}:
        return ticket
    reopened = Derived(Status.OPEN, "channel")
    return replace(ticket, status=reopened, solved_at=None, reopen_count=ticket.reopen_count + 1)


def _urged(ticket: Ticket, said: Understanding, at: datetime) -> Ticket:
    if "urge" not in said.intents:
        return ticket
    return replace(ticket, urge_count=ticket.urge_count + 1, last_urged_at=at)
