"""What passes between the store and those who work with it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from engine.decision import Decision
from gateway.store.ledger import Entry
from normalizer.canon import Contact, Envelope, Message, Outgoing, Sent, Ticket


@dataclass(frozen=True, slots=True)
class Claim:
    """An envelope to work on, and the lease on its lane. Nobody else works in that lane until it ends."""

    envelope: Envelope
    lane: str  # the lane's keyed digest
    fence: int  # grows with every lease of the lane; commit refuses an older one
    attempts: int  # this one included
    seq: int = 0  # the envelope's place in the journal
    further: tuple[int, ...] = ()  # places of others in the lane that are worked on, and done, together with it


@dataclass(frozen=True, slots=True)
class Timer:
    """A moment somebody waits for; when due it enters by the journal as an envelope of connector `timer`."""

    id: str  # digest of what it is, so setting it twice sets it once
    name: str  # first_response.near, first_response.missed, ...
    ticket: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claimed envelope: everything committed together, or nothing."""

    claim: Claim
    messages: tuple[tuple[Message, str], ...] = ()  # with the id of the ticket each belongs to
    contacts: tuple[Contact, ...] = ()  # new or changed
    tickets: tuple[Ticket, ...] = ()  # `version` already raised by one: version 1 is inserted, version n replaces n-1
    decisions: tuple[Decision, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()  # one with an id that is there already is left as it is
    timers: tuple[Timer, ...] = ()
    cancelled_timers: tuple[str, ...] = ()  # ids
    done: bool = True  # False: the envelope holds more messages; the claim goes on
    noted: str = ""  # code of canon.REASONS: a message that belongs to no ticket is shown in quarantine, as no failure
    turns: tuple[tuple[str, str, int], ...] = ()  # group, agent, and which turn of the group that is
    acknowledged: tuple[Entry, ...] = ()  # what the ledger is to keep
    forget: bool = False  # the envelope's bytes are of nobody's any more: they are destroyed
    amended: tuple[Message, ...] = ()  # messages that are there, as they are now: their files were fetched
    completed: tuple[str, ...] = ()  # ids of messages whose hand-over waits for files no longer
    hold: bool = False  # outbound is off: outgoing things are kept as `held` and never become due by themselves


@dataclass(frozen=True, slots=True)
class Later:
    """To be tried again at `due_at`."""

    reason: str
    due_at: datetime
    status: str = ""  # of RFC 3463, if mail was refused with one


@dataclass(frozen=True, slots=True)
class Never:
    """Refused for good: a dead letter. `bounced`: because nobody has that address."""

    reason: str
    bounced: bool = False
    status: str = ""


Settlement = Sent | Later | Never
Stuck = Literal["dead", "held"]  # until a person retries it
Stage = Literal["door", "journal", "noted"]


@dataclass(frozen=True, slots=True)
class Owed:
    """An outgoing thing whose moment has come, leased to us, and what the target calls its ticket so far."""

    outgoing: Outgoing
    fence: int
    external_id: str = ""
    url: str = ""
    damaged: bool = False  # it cannot be opened, so it must not be sent


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row of the quarantine: refused at the door; journalled but unreadable or poisonous; or only noted."""

    id: str
    stage: Stage
    connector: str
    account: str
    code: str  # one of canon.REASONS
    reason: str
    received_at: datetime
    size: int
    attempts: int = 0
    facts: dict[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)  # at most the first 64 KB of what was refused at the door


@dataclass(frozen=True, slots=True)
class Limits:
    """Figures of the store that settings may change."""

    blob_over: int = 256 * 1024  # bodies larger than this go to blob files
    refused_body: int = 64 * 1024
    refused_per_source_an_hour: int = 200
    attempts: int = 3
    lease: timedelta = timedelta(seconds=60)
    outgoing_lease: timedelta = timedelta(minutes=5)  # longer than an attempt and its settling may take
    helpdesk_at_once: int = 8  # steps under way at one helpdesk; replies of an account go one by one
    seen_for: timedelta = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The caller's promise that this key means this body. The envelope's own key must be made of scope and key."""

    scope: str  # whose key it is: the API key's id
    key: str
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Journalled:
    """An envelope in the journal as people see it, without its bytes."""

    id: str
    connector: str
    account: str
    received_at: datetime
    size: int
    state: Literal["waiting", "done", "set_aside"]
    attempts: int
    redeliveries: int
    finished_at: datetime | None
    lane: str  # the beginning of its lane's digest: equal for one conversation
    tickets: tuple[str, ...]  # numbers of those its messages are in
    code: str  # why it was set aside or noted, if it was
    reason: str


@dataclass(frozen=True, slots=True)
class Posted:
    """A thing in the outbox as people see it."""

    outgoing: Outgoing
    number: str  # of its ticket
    state: Literal["queued", "waiting", "sent", "dead", "held", "dropped"]
    settled_at: datetime | None
    reason: str  # why the latest attempt failed
    external_id: str
    url: str
    status: str = ""  # the status of RFC 3463 that came with the reason


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key, without its secret, which nobody knows."""

    id: str
    label: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an envelope has come, and the numbers of the tickets its messages are in."""

    state: Literal["waiting", "done", "set_aside"]
    tickets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Figures for metrics and health."""

    waiting: int
    oldest_waiting: datetime | None
    set_aside: int
    outbox_waiting: int
    outbox_dead: int
    outbox_held: int
    tickets: int


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: numbers and codes, no words."""

    seq: int
    at: datetime
    kind: str  # one of feed.KINDS
    number: str  # of the ticket
    thing: str  # id of the message, outgoing thing or row of the quarantine
    version: int  # of the ticket
