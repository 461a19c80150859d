"""Where a message belongs: a new ticket, or one that is already there.

`lookups` says what the gateway must look for, `place` decides on what it found. Both pure; neither reads anything.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from engine.acting import answered, with_status
from engine.decision import Past, Trigger
from normalizer.canon import (
    Contact,
    Derived,
    Feedback,
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
CHOICE = "choice"  # the claim that a button brings: its code
SUBJECT = 40  # characters of the words a subject is made of
REOPENS = timedelta(days=7)  # how long after it was closed a ticket takes what answers it
# Said about what was said before, never a request of its own.
ABOUT = frozenset((Kind.EDIT, Kind.DELETE, Kind.REACTION, Kind.POSTBACK, Kind.DELIVERY_NOTICE, Kind.READ_RECEIPT))
DELETED = "deleted"  # the revision of a message that was taken back
BOUNCED = "bounced"  # the tag of a ticket whose customer our mail does not reach
LINKED = 3  # at most so many tickets that a message names and may not join

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
    keys: tuple[str, ...] = ()  # NUMBER-MAC, of the addresses it was written to
    returned: tuple[str, ...] = ()  # Message-IDs that stand in a bounce
    bounced: tuple[Identity, ...] = ()  # whom the bounce says our mail did not reach
    ours: bool = False  # the sender's address is one of ours: that everybody writes to it is no part in anything
    orders: bool = False  # whether rules ask what order earlier tickets were about
    latest: bool = False  # what the customer of `ticket` said last is wanted too
    said: str = ""  # id of a message of `ticket` that is wanted too
    deleted: str = ""  # id that news would have that the message was taken back


@dataclass(frozen=True, slots=True)
class Found:
    """What was there. `by_*` map what was asked to the ticket's id; `tickets` holds each of them once.

    An id that messages of several tickets bear (broken senders repeat theirs) names the latest in which the sender
    takes part; so does a thread that is named by an id which another message bore before this one.
    """

    placed_before: bool = False
    contact: Contact | None = None
    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    by_message_id: Mapping[str, str] = field(default_factory=dict)
    by_number: Mapping[str, str] = field(default_factory=dict)
    by_thread: str = ""
    by_key: str = ""  # of an address with a key that is right
    takes_part: frozenset[str] = frozenset()  # tickets found in which the sender wrote before, or was written to
    by_bounce: str = ""  # whose mail of ours came back, if it went to whom the bounce names
    owners: Mapping[str, Contact] = field(default_factory=dict)  # of the ticket by_bounce
    history: tuple[Past, ...] = ()  # the contact's tickets of the last 90 days, oldest first
    load: Mapping[str, int] = field(default_factory=dict)  # open tickets by "group:NAME" and "agent:NAME"
    previous: Mapping[str, str] = field(default_factory=dict)  # ticket id to the hash of its latest decision
    latest: Message | None = None  # what the customer said last, if that was wanted
    said: Message | None = None  # the message that was wanted
    taken_back: bool = False  # the message was taken back before it came

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

    trigger: Trigger  # ticket.created, message.received, feedback.received, outgoing.failed or contact.bounced
    ticket: Ticket
    contact: Contact
    is_new: bool
    by: str = ""  # what it was placed by, one of BY


# What a message was placed by, surest first; the last two made a new ticket.
BY = ("key", "in_reply_to", "references", "conversation", "number", "bounce", "ended", "stranger")


def lookups(message: Message, *, ours: bool = False) -> Wanted:
    """What to look for before this message can be placed. `ours`: its sender's address is one of ours."""
    itself = message.external_id if _changes(message) else ""
    answers = (itself, message.in_reply_to, *reversed(message.references))
    returned = message.returned if message.kind is Kind.BOUNCE else None
    return Wanted(
        message=message.id,
        identities=identities(message),
        message_ids=tuple(dict.fromkeys(id for id in answers if id)),
        numbers=tuple(dict.fromkeys(_NUMBER.findall(message.subject))),
        thread=_thread(message),
        own=message.external_id,
        scope=(message.channel, message.scope),
        keys=message.reply_keys,
        returned=returned.of if returned else (),
        bounced=tuple(map(identity, returned.recipients)) if returned else (),
        ours=ours,
        deleted="" if message.channel == "email" or message.kind is Kind.DELETE else _deletion(message),
    )


def identities(message: Message) -> tuple[Identity, ...]:
    """What the customer is known by; who has no address at all is known by this one message.

    What was said in our name elsewhere is the conversation of whom it was said to.
    """
    customer = message.to[0] if message.direction == "out" and message.to else message.sender
    if not customer.address:
        return (Identity("message", message.id),)
    return (identity(customer, message.connector if message.proven else ""),)


def _thread(message: Message) -> tuple[str, str, str, str] | None:
    if not message.thread_key:
        return None
    return (message.channel, message.connector, message.account, message.moved_from or message.thread_key)


def place(
    message: Message, found: Found, now: datetime, reopens: timedelta = REOPENS, silence: timedelta | None = None
) -> Placed:
    """The message in its place. `now` is the moment of a new ticket; whatever else is there comes from what was found.

    An open ticket that the message answers takes it, and one that was closed no longer than `reopens` ago is opened
    again; of others a new ticket becomes the follow-up. A conversation that was silent for `silence` is over: what is
    said then is a new request, unless we wait for the customer's answer. Mail joins a ticket only by the key of its
    address or from somebody who takes part: Message-IDs leak and numbers can be guessed. From a stranger it is a new
    ticket that is linked to those it names.
    """
    if message.kind is Kind.BOUNCE and (ticket := found.tickets.get(found.by_bounce)):
        return _bounced(message, found.standing(ticket), found)
    contact = _contact(message, found.contact)
    named = list(_named(message, found))
    joined = [(found.standing(ticket), by) for ticket, by, joins in named if joins]
    about = message.kind in ABOUT or message.direction == "out"
    for ticket, by in joined:
        if about or (_takes(ticket, now, reopens) and not (by == "conversation" and _over(ticket, message, silence))):
            return Placed(_trigger(message), _continued(ticket, message, now), contact, False, by)
    links = _links(
        [ticket for ticket, _ in joined], [found.standing(ticket) for ticket, _, joins in named if not joins]
    )
    by = "ended" if joined else "stranger" if named else ""
    return Placed("ticket.created", _opened(message, contact, now, links), contact, True, by)


def _takes(ticket: Ticket, now: datetime, reopens: timedelta) -> bool:
    """Whether something can be added: it is open, or was closed a short while ago."""
    if ticket.status.value not in ENDED:
        return True
    return ticket.status.value == Status.CLOSED and ticket.closed_at is not None and now - ticket.closed_at < reopens


def _over(ticket: Ticket, message: Message, silence: timedelta | None) -> bool:
    """Whether so long nobody said anything that this is another conversation."""
    if not silence or ticket.status.value == Status.WAITING_CUSTOMER:
        return False
    spoken = (ticket.captured_at, ticket.last_customer_at, ticket.last_agent_at)
    return message.received_at - max(at for at in spoken if at) >= silence


def _trigger(message: Message) -> Trigger:
    """What a message of a ticket that is there already triggers."""
    if message.kind is Kind.DELIVERY_NOTICE:
        return "outgoing.failed"
    if _is_agent(message):
        return "agent.replied"
    return "feedback.received" if score(message) else "message.received"


def _links(ended: list[Ticket], strange: list[Ticket]) -> tuple[Related, ...]:
    """A new ticket follows the ticket its sender took part in; others it names have to do with it, no more is known."""
    follows = [Related("follow_up_of", ticket.id) for ticket in ended[:1]]
    others = dict.fromkeys(ticket.id for ticket in strange if ticket.id not in {one.id for one in follows})
    return (*follows, *(Related("related", id) for id in list(others)[:LINKED]))


def _named(message: Message, found: Found) -> Iterator[tuple[Ticket, str, bool]]:
    """The tickets this names, surest first, each once: by what, and whether it may join it."""
    if not found.tickets:
        return
    wanted = lookups(message)
    ids = [(found.by_message_id.get(answer, ""), answer) for answer in wanted.message_ids]
    told = [(found.by_key, "key")]
    nearest = (message.in_reply_to, message.external_id)
    told += [(ticket, "in_reply_to" if answer in nearest else "references") for ticket, answer in ids]
    told.append((found.by_thread, "conversation"))
    told += [(found.by_number.get(number, ""), "number") for number in wanted.numbers]
    named: dict[str, str] = {}
    for ticket, by in told:
        if ticket in found.tickets:
            named.setdefault(ticket, by)
    for ticket, by in named.items():
        yield found.tickets[ticket], by, _joins(message, ticket, by, found)


def _joins(message: Message, ticket: str, by: str, found: Found) -> bool:
    """Whether what names the ticket is enough. Chat services vouch for their conversations, mail for nothing.

    In a form anybody may write anybody's address.
    """
    if by == "key" or (message.channel != "email" and by != "number"):
        return True
    return ticket in found.takes_part and (message.channel != "form" or message.proven)


def _bounced(message: Message, ticket: Ticket, found: Found) -> Placed:
    """News that mail of ours did not arrive: the address is marked, and the ticket, unless it may still arrive."""
    told, contact = message.returned, found.owners[found.by_bounce]
    if told is None or not told.final:
        return Placed("message.received", ticket, contact, False, "bounce")
    gone = {(one.kind, one.value) for one in map(identity, told.recipients)}
    return Placed("contact.bounced", marked_bounced(ticket), unreachable(contact, gone, told.status), False, "bounce")


def marked_bounced(ticket: Ticket) -> Ticket:
    return replace(ticket, tags=tuple(sorted({*ticket.tags, BOUNCED})))


def unreachable(contact: Contact, at: Collection[tuple[str, str]], status: str) -> Contact:
    """The contact with these of its addresses marked; all mail addresses if none is named."""
    marked = tuple(
        replace(one, bouncing=status or "5.0.0")
        if ((one.kind, one.value) in at if at else one.kind == "email")
        else one
        for one in contact.identities
    )
    return replace(contact, identities=marked)


def _contact(message: Message, known: Contact | None) -> Contact:
    said = identities(message)
    if known is None:
        known = Contact(id=digest("contact", said[0].kind, said[0].value))
    return replace(
        known,
        identities=_together(known.identities, said, heard=message.channel == "email" and message.kind in SPEAKING),
        name=known.name or (_name(message) if message.direction == "in" else ""),
        locale=known.locale or message.understanding.language,
    )


def _name(message: Message) -> str:
    return message.claims.get("name", "") or message.sender.name


def _together(known: tuple[Identity, ...], said: tuple[Identity, ...], *, heard: bool) -> tuple[Identity, ...]:
    """Each identity once; what was proven once stays so, and who is heard from an address is there again."""
    merged = {(i.kind, i.value): i for i in known}
    for i in said:
        old = merged.get((i.kind, i.value), i)
        bouncing = "" if heard else old.bouncing
        merged[i.kind, i.value] = Identity(i.kind, i.value, old.proven_by or i.proven_by, bouncing)
    return tuple(merged.values())


def _opened(message: Message, contact: Contact, now: datetime, related: tuple[Related, ...]) -> Ticket:
    said: Understanding = message.understanding
    return Ticket(
        id=ticket_of(message),
        source=Source(message.channel, message.connector, message.account, message.envelope),
        contact=contact.id,
        subject=message.subject.strip() or subject_of(message.text or message.full_text),
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
        related=related,
        last_customer_at=message.received_at if _is_customer(message) else None,
    )


def ticket_of(message: Message) -> str:
    """The id of the ticket that the first words of this message opened, whatever became of them since.

    Mail has no edits: its revision tells apart what bears the same Message-ID.
    """
    return digest("ticket", (replace(message, revision="") if _changes(message) else message).id)


def _deletion(message: Message) -> str:
    """The id of the news, if there is any, that it was taken back."""
    return replace(message, revision=DELETED).id


def _changes(message: Message) -> bool:
    """Whether it is about an earlier revision of itself, as its channel knows it."""
    return message.channel != "email" and message.kind in (Kind.EDIT, Kind.DELETE)


def subject_of(text: str) -> str:
    """The first words: the first sentence, if it is no longer than a subject may be."""
    first = next((part.strip() for part in _BREAK.split(text) if part.strip()), "")
    return first if len(first) <= SUBJECT else first[: SUBJECT - 1].rstrip() + "…"


def _custom(message: Message) -> dict[str, str]:
    """What the sender filled in, besides the ticket's type and his name."""
    return {name: value for name, value in message.claims.items() if name not in ("type", "name", CHOICE) and value}


def _continued(ticket: Ticket, message: Message, now: datetime) -> Ticket:
    """The ticket after one more message: nothing the customer said before is lost or overwritten."""
    if message.kind is Kind.DELETE and ticket.id == ticket_of(message):
        return replace(ticket, description="", subject="")  # what was found in it, the store knows
    if _is_agent(message):
        return answered(ticket, message.received_at)
    if not _is_customer(message):
        return ticket
    said = message.understanding
    if message.kind is Kind.POSTBACK and (choice := message.claims.get(CHOICE, "")):
        return _chosen(ticket, message, choice)
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


def score(message: Message) -> int:
    """How content the customer says to be by a button, 1 to 5; 0 if this says nothing of it."""
    code, _, value = message.claims.get(CHOICE, "").partition(":")
    return int(value) if message.kind is Kind.POSTBACK and code == "score" and value in list("12345") else 0


def _chosen(ticket: Ticket, message: Message, choice: str) -> Ticket:
    """What a button of ours makes of the ticket; those of operators change nothing by themselves."""
    at = message.received_at
    ticket = replace(ticket, last_customer_at=max(ticket.last_customer_at or at, at))
    status, ended = ticket.status.value, (Status.SOLVED, Status.CLOSED)
    if given := score(message):
        return replace(ticket, feedback=Feedback(given, at, by="channel"))
    if choice == "solved" and status != Status.CLOSED:
        confirmed = Status.CLOSED if status == Status.SOLVED else Status.SOLVED
        return with_status(ticket, Derived(confirmed, "channel"), at)
    if (choice == "unsolved" and status in ended) or status == Status.WAITING_CUSTOMER:
        return with_status(ticket, Derived(Status.OPEN, "channel"), at)
    return ticket


def _is_customer(message: Message) -> bool:
    return message.kind in SPEAKING and message.direction == "in" and message.author == "customer"


def _is_agent(message: Message) -> bool:
    """Whether one of us says something: a sign, a correction or a deletion is no answer."""
    speaks = message.kind in SPEAKING and message.kind not in (Kind.EDIT, Kind.POSTBACK)
    return speaks and (message.direction, message.author) == ("out", "agent")


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
    """A customer who writes again reopens what was ended (unless he only says thanks) and ends our waiting for him."""
    if ticket.status.value == Status.WAITING_CUSTOMER:
        return replace(ticket, status=Derived(Status.OPEN, "channel"))
    if ticket.status.value not in (Status.SOLVED, Status.CLOSED) or set(said.intents) == {"thanks"}:
        return ticket
    reopened = Derived(Status.OPEN, "channel")
    return replace(ticket, status=reopened, solved_at=None, closed_at=None, reopen_count=ticket.reopen_count + 1)


def _urged(ticket: Ticket, said: Understanding, at: datetime) -> Ticket:
    if "urge" not in said.intents:
        return ticket
    return replace(ticket, urge_count=ticket.urge_count + 1, last_urged_at=at)
