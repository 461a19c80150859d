"""The canon: what the house carries from room to room.

    Envelope   what arrived, byte for byte, before anyone tries to read it
    Message    one person saying one thing (from, to, time, channel)
    Contact    a customer across channels
    Ticket     the customer's request
    Outgoing   a thing owed to the outside: a reply, or one hand-over step

Everything here is a frozen value. Instants are aware datetimes in UTC; their public form is RFC 3339. Ids are digests
of what a thing is, so making a thing twice makes it once. `dump` and `load` are the one way to and from JSON, and
the published JSON Schemas are generated from these classes.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, computed_field

T = TypeVar("T")

Channel = Literal[
    "email", "form", "chat", "app", "api", "import", "telegram", "sms", "whatsapp", "messenger", "instagram",
    "wechat", "wecom", "feishu", "dingtalk", "line", "slack", "discord", "voice",
]  # fmt: skip

REASONS: Mapping[str, str] = {
    # Why something was set aside. One published list: docs/reference/reasons.md is generated from it.
    "unverified": "The signature, token or key is wrong or missing.",
    "expired": "The signature is right but older or newer than the allowed window.",
    "forbidden": "The key is valid but may not do this.",
    "unknown_recipient": "No configured account has this address.",
    "oversized": "Larger than the configured limit.",
    "rate_limited": "Too many requests from one source.",
    "spam_trap": "The hidden field no person sees was filled in.",
    "malformed": "The body is not what the connector's format demands.",
    "invalid": "The form or request lacks a required field or has a wrong one.",
    "conflict": "It contradicts what came before: an idempotency key used otherwise, or a ticket that changed.",
    "unreadable": "No message can be made of these bytes.",
    "poison": "Processing failed repeatedly; set aside so that others go on.",
    # No failure: it was understood, nobody asks for anything in it, and it belongs to no ticket. Codes as in Kind.
    "nothing": "It holds no message: an empty batch, or news of a kind that nobody says anything in.",
    "auto_reply": "An automatic reply, such as out of office.",
    "bounce": "Mail of ours, or in our name, came back.",
    "feedback_loop": "A provider reports that somebody marked mail as spam.",
    "read_receipt": "Somebody opened a mail.",
    "loop": "What we sent came back to us.",
    "delivery_notice": "A channel tells what became of something sent.",
    "reaction": "Somebody put a sign to a message.",
    "delete": "Somebody took a message back that is not here.",
    "echo": "Said in our name elsewhere: by a colleague in the vendor's own inbox, or by another program.",
}

MISSING: Mapping[str, str] = {
    # Why a file that was left behind at a vendor is not here.
    "oversized": "Larger than the account's media.size_limit.",
    "forbidden": "Of a media type that the account's media.types does not list, or at an address nobody may call.",
    "gone": "The vendor does not have it any more, or would not give it.",
}


class Priority(StrEnum):
    """How soon: shown as 低/中/高/紧急 or P4 to P1. Compare by `rank`, never as text."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"

    @property
    def rank(self) -> int:
        return list(Priority).index(self)

    def step(self, by: int) -> "Priority":
        """`by` steps up (or down, if negative), stopping at the ends."""
        return list(Priority)[max(0, min(3, self.rank + by))]


class Status(StrEnum):
    NEW = "new"
    OPEN = "open"
    WAITING_CUSTOMER = "waiting_customer"
    WAITING_THIRD = "waiting_third"
    SOLVED = "solved"
    CLOSED = "closed"
    MERGED = "merged"


class Kind(StrEnum):
    """What a message is. Only MESSAGE, EDIT, POSTBACK, CALL and RECORDING are a customer speaking."""

    MESSAGE = "message"
    EDIT = "edit"
    DELETE = "delete"
    REACTION = "reaction"
    POSTBACK = "postback"
    CALL = "call"
    RECORDING = "recording"
    READ_RECEIPT = "read_receipt"
    AUTO_REPLY = "auto_reply"
    AUTO_GENERATED = "auto_generated"  # a machine speaks first: alarms, notices of shops (RFC 3834 5)
    BOUNCE = "bounce"
    FEEDBACK_LOOP = "feedback_loop"
    LIST = "list"
    INVITATION = "invitation"  # a calendar speaks for a person: come, moved, cancelled
    LOOP = "loop"
    DELIVERY_NOTICE = "delivery_notice"


def digest(*parts: str | bytes | int) -> str:
    """32 hex digits naming these parts, each prefixed by its length so that no two lists collide."""
    sha = hashlib.sha256()
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        sha.update(b"%d:" % len(raw))
        sha.update(raw)
    return sha.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Envelope:
    """The bytes as they came in, kept before anyone tries to read them. Unique on (connector, account, key)."""

    connector: str
    account: str
    key: str  # what the channel itself never repeats: update_id, MessageSid, Message-ID and digest of the body
    lane: str  # the cheap conversation key known at the door: one lane is processed in order
    received_at: datetime
    body: bytes = field(repr=False)
    transport: Mapping[str, str] = field(default_factory=dict)  # SMTP path, HTTP method, remote address, ...

    @property
    def id(self) -> str:
        return digest("envelope", self.connector, self.account, self.key)


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody can be reached. `address` is normalised (see identity.py); `name` is as written."""

    kind: str  # email, phone, user; of chat services the channel's word: telegram, wechat, line, ...
    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message. `content` travels only between parse and use; it is not in the public form.

    What was left behind at the vendor has `remote` and no sha256 until it is fetched; `missing` says why it never was.
    """

    name: str
    media_type: str
    size: int  # octets; 0 if not known yet
    sha256: str
    inline: bool = False
    remote: str = ""  # what the vendor calls it: a media id or a URL, never one that holds a secret of ours
    missing: str = ""  # oversized, forbidden, gone: code of MISSING
    told: str = ""  # the media type the vendor told before it was fetched, if it is another one
    content: Annotated[bytes, Field(exclude=True)] = field(default=b"", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Derived:
    """A value somebody concluded, and who: `rule:vip-lane@3fa9`, `cues:1c7e`, `person:li`, `channel`."""

    value: str
    source: str
    confidence: float = 1.0
    alternatives: tuple[str, ...] = ()
    contested: bool = False


@dataclass(frozen=True, slots=True)
class Extracted:
    """A thing found in a message. `span` is start and end in characters of `Message.text`; (0, 0): in the subject."""

    value: str
    span: tuple[int, int]
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Understanding:
    """What a message seems to be about, as far as machines can tell. Derived; made again at will."""

    language: str = ""  # BCP 47: zh, zh-Hant, en, ...
    category: Derived | None = None
    subcategory: Derived | None = None
    tags: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()  # urge, human, thanks, cancel
    sentiment: Derived | None = None  # negative, neutral, positive
    extracted: Mapping[str, Extracted] = field(default_factory=dict)  # order_number, phone, email, amount, ...


@dataclass(frozen=True, slots=True)
class Returned:
    """What a bounce says: whom mail of ours did not reach, why, and which mail that was.

    Of a read receipt and a complaint: who read or complained, and of which mail.
    """

    recipients: tuple[Address, ...] = ()
    status: str = ""  # RFC 3463: 5.1.1; empty if it does not tell
    final: bool = True  # False: it is still being tried, or it was delivered after all
    of: tuple[str, ...] = ()  # Message-IDs that stand in it, ours among them
    diagnostic: str = ""  # why, in the words of the server that refused it


@lru_cache(maxsize=1024)
def _message_id(channel: str, scope: str, external_id: str, revision: str) -> str:
    """Asked for a dozen times on a message's way."""
    return digest("message", channel, scope, external_id, revision)


@dataclass(frozen=True, slots=True)
class Message:
    """One touch: one person saying one thing.

    The id digests the channel, the channel's own scope (bot, page, number; empty for mail), its id and revision, so
    the same words redelivered in another batch, by another way or to two of our addresses are one message.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(validate_by_name=True, validate_by_alias=True)

    channel: Channel
    connector: str
    account: str
    external_id: str  # Message-ID, update_id, wamid, ...; of envelope and part where the channel gives none
    sender: Annotated[Address, Field(alias="from")]
    received_at: datetime
    envelope: str = ""  # Envelope.id
    part: int = 0
    scope: str = ""
    revision: str = ""
    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    reply_to: tuple[Address, ...] = ()
    sent_at: datetime | None = None  # the sender's claim
    direction: Literal["in", "out"] = "in"
    author: Literal["customer", "agent", "system", "bot"] = "customer"
    kind: Kind = Kind.MESSAGE
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    thread_key: str = ""
    moved_from: Annotated[str, Field(exclude=True)] = ""  # the conversation's thread_key until now
    album: Annotated[str, Field(exclude=True)] = ""  # of files that were sent as one, each in an envelope of its own
    gathered: Annotated[
        tuple[str, ...], Field(exclude_if=lambda of: not of)
    ] = ()  # ids of an album's further envelopes
    reply_token: str = ""  # what the channel wants back with an answer, of use for a short while: a token, a session
    reply_keys: tuple[str, ...] = ()  # in an address of ours it was written to: NUMBER-MAC; only the store can check it
    returned: Returned | None = None  # of a bounce, a read receipt, a complaint
    subject: str = ""
    text: str = ""  # the visible words, what rules see
    full_text: str = ""
    quoted: str = ""
    signature: str = ""
    html: str = ""
    attachments: tuple[Attachment, ...] = ()
    visibility: Literal["public", "internal"] = "public"  # internal: among colleagues, never for the customer
    answerable: bool = True  # may it be acknowledged
    proven: bool = False  # the sender's identity is proven (signed channel, DKIM/DMARC, trusted relay)
    authentication: Annotated[Mapping[str, str], Field(exclude_if=lambda found: not found)] = field(
        default_factory=dict
    )  # what our own mail server found (RFC 8601): spf, dkim, dmarc, each pass, fail, ...
    claims: Mapping[str, str] = field(default_factory=dict)  # what the sender filled in: type, order_number, phone, ...
    defects: tuple[str, ...] = ()
    understanding: Understanding = Understanding()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def id(self) -> str:
        return _message_id(self.channel, self.scope, self.external_id, self.revision)


@dataclass(frozen=True, slots=True)
class Identity:
    """One way to know a contact by, and what proved it (empty: nobody has)."""

    kind: str
    value: str
    proven_by: str = ""
    bouncing: str = ""  # the status mail to it came back with, until they write from there again


@dataclass(frozen=True, slots=True)
class Contact:
    """A customer across channels."""

    id: str
    identities: tuple[Identity, ...] = ()
    name: str = ""
    tier: str = "normal"  # config/people.yaml lists tiers: normal, vip, ...
    locale: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Milestone:
    """A promise with its due time (`first_response`, `solved`, ...)."""

    due: datetime
    met_at: datetime | None = None
    missed: bool = False


@dataclass(frozen=True, slots=True)
class Sla:
    policy: str
    calendar: str
    milestones: Mapping[str, Milestone] = field(default_factory=dict)
    lengths: Mapping[str, str] = field(default_factory=dict)  # what rules promised instead of the policy: solved, 2h


@dataclass(frozen=True, slots=True)
class Pending:
    """What a rule wants done once something happens: `effects` as in a decision, with the rule's weight."""

    rule: str
    effects: tuple[Mapping[str, Any], ...]
    layer: str = ""
    conditions: int = 0
    override: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """A person is asked to look. While under review acknowledgement and hand-over go on, unless held."""

    needed: bool
    reasons: tuple[str, ...] = ()
    group: str = ""
    hold: tuple[str, ...] = ()  # acknowledge, hand_over, reply, ...
    by: str = ""  # who gave the verdict, when, and in what words
    at: datetime | None = None
    verdict: Literal["", "approved", "rejected"] = ""
    note: str = ""
    held: tuple[Pending, ...] = ()  # done if approved
    approved: tuple[Pending, ...] = ()  # what rules want done upon either verdict
    rejected: tuple[Pending, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """A piece of work on a ticket, opened by a rule, done or given up by a person."""

    id: str
    title: str
    created_at: datetime
    created_by: str  # rule:parcel-lost@3fa9
    type: str = ""
    group: str = ""
    assignee: str = ""
    due_at: datetime | None = None
    status: Literal["open", "doing", "done", "cancelled"] = "open"
    ended_at: datetime | None = None
    ended_by: str = ""
    result: Mapping[str, str] = field(default_factory=dict)  # what came of it, by name


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An answer proposed to whoever works on the ticket; the customer has not seen it."""

    text: str
    source: str  # the rule
    answer: str = ""  # name of the file in answers/, if it is one of those


@dataclass(frozen=True, slots=True)
class Wait:
    """Until `due_at`, unless something happens before; then what is pending is done. `id` is the timer's."""

    id: str
    name: str
    due_at: datetime
    unless: tuple[str, ...]
    then: Pending


@dataclass(frozen=True, slots=True)
class Quality:
    """A mark on what an agent wrote."""

    mark: str
    message: str
    by: str  # the agent
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Feedback:
    """How content the customer is, 1 to 5."""

    score: int
    at: datetime
    comment: str = ""
    by: str = ""  # who told us


@dataclass(frozen=True, slots=True)
class Source:
    channel: Channel
    connector: str
    account: str
    envelope: str


RelatedKind = Literal["duplicate_of", "merged", "follow_up_of", "parent", "child", "similar", "related"]


@dataclass(frozen=True, slots=True)
class Related:
    """`duplicate_of` the one this was merged into; `merged` is that one's word for it."""

    kind: RelatedKind
    id: str


@dataclass(frozen=True, slots=True)
class External:
    """The ticket in somebody else's system."""

    system: str
    id: str
    url: str = ""
    synced_version: int = 0


@dataclass(frozen=True, slots=True)
class Ticket:
    """The customer's request. Changed only by `replace`; `version` grows with every commit."""

    id: str
    source: Source
    contact: str
    subject: str
    created_at: datetime
    captured_at: datetime
    description: str = ""  # original words, never rewritten
    number: str = ""  # YYYYMMDD and at least three digits, given by the store at the first commit
    type: str = "request"
    language: str = ""
    category: Derived | None = None
    subcategory: Derived | None = None
    tags: tuple[str, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    sentiment: Derived | None = None
    priority: Derived = Derived("normal", "default")
    status: Derived = Derived("new", "default")
    escalation_level: int = 0
    group: Derived | None = None
    assignee: Derived | None = None
    required_skills: tuple[str, ...] = ()
    tier: str = "normal"  # the contact's, at decision time, if its identity was proven
    extracted: Mapping[str, Extracted] = field(default_factory=dict)
    custom: Mapping[str, str] = field(default_factory=dict)
    sla: Sla | None = None
    acked_at: datetime | None = None
    first_response_at: datetime | None = None
    solved_at: datetime | None = None
    closed_at: datetime | None = None
    solution: str = ""
    urge_count: int = 0
    last_urged_at: datetime | None = None
    last_customer_at: datetime | None = None  # when the customer last said something
    last_agent_at: datetime | None = None  # when we last answered in words of our own
    reopen_count: int = 0
    review: Review | None = None
    related: tuple[Related, ...] = ()
    external: tuple[External, ...] = ()
    tasks: tuple[Task, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    waits: tuple[Wait, ...] = ()
    quality: tuple[Quality, ...] = ()
    feedback: Feedback | None = None
    human: Derived | None = None  # a person has it: rules neither answer nor close
    replied_at: tuple[datetime, ...] = ()  # when rules answered the customer, within the hour before the last time
    version: int = 0
    ruleset: str = ""  # sha256 of the set that decided last


@dataclass(frozen=True, slots=True)
class Choice:
    """A button under words for the customer. What they choose comes back as a POSTBACK with the claim `choice`."""

    code: str  # solved, unsolved, human, score:5, or an operator's own
    label: str


@dataclass(frozen=True, slots=True)
class Reply:
    """Words for the customer, by the way that spoke. `id` is the idempotency key; every attempt bears it."""

    id: str
    channel: Channel
    connector: str
    account: str
    ticket: str
    number: str
    to: Address
    subject: str
    text: str
    language: str
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    thread_key: str = ""
    automatic: bool = True
    made_at: datetime | None = None  # when it was decided: the date it bears on every attempt
    choices: tuple[Choice, ...] = ()
    answering: datetime | None = None  # when they wrote what this answers: channels let us speak for so long only
    written_to: str = ""  # the address of ours they wrote to: page, number, bot; where an account has several
    reply_token: str = ""  # of the message this answers
    key: str = ""  # NUMBER-MAC: what a reply address of ours bears, so that an answer finds its ticket by any client


@dataclass(frozen=True, slots=True)
class HandoverStep:
    """One step of telling a helpdesk: create the ticket, append a message, set fields. `id` is its idempotency key."""

    id: str
    target: str
    kind: Literal["create", "append", "update"]
    ticket: Ticket
    contact: Contact | None = None
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A system of the company's is told of a ticket, as a rule wants it. `id` is its idempotency key."""

    id: str
    target: str
    rule: str
    trigger: str
    at: datetime
    number: str
    ticket: Ticket
    contact: Contact | None = None
    given: Mapping[str, str] = field(default_factory=dict)  # what the rule says besides


MEDIA = "media/"  # how the target of a fetch begins, before connector/account


@dataclass(frozen=True, slots=True)
class Fetch:
    """A file left behind at a vendor is to be fetched. `id` is the idempotency key, and that of its envelope."""

    id: str
    connector: str
    account: str
    ticket: str
    number: str
    message: str  # Message.id
    index: int  # which of the message's attachments
    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Sent:
    """What the other side called it."""

    external_id: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A thing owed to the outside, in the outbox until it is sent, or refused for good."""

    id: str  # the content's id
    kind: Literal["reply", "handover", "notice", "call", "fetch"]  # a notice is a reply's words, to one of us
    target: str  # connector/account of a reply, name of a helpdesk: things to one target and ticket keep their order
    ticket: str
    due_at: datetime
    content: Reply | Call | HandoverStep | Fetch
    attempts: int = 0


_shapes: dict[Any, TypeAdapter[Any]] = {}


def shape(kind: Any) -> TypeAdapter[Any]:
    """The pydantic adapter of a class of the canon: its validator, serializer and JSON Schema. Made once."""
    if kind not in _shapes:
        _shapes[kind] = TypeAdapter(kind)
    return _shapes[kind]


@cache
def _fields(kind: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], Mapping[str, int]]:
    names = [field.name for field in fields(kind)]
    return attrgetter(*names), {name: at for at, name in enumerate(names)}


def altered(value: T, **changes: Any) -> T:
    """`dataclasses.replace` in half its time, for the nouns of many fields that each mail makes anew."""
    kind: Any = type(value)
    read, places = _fields(kind)
    parts = list(read(value))
    for name, changed in changes.items():
        parts[places[name]] = changed
    made: T = kind(*parts)
    return made


def dump(value: Any) -> bytes:
    """The public JSON of a value of the canon."""
    return shape(type(value)).dump_json(value, by_alias=True)


def public(value: Any) -> dict[str, Any]:
    """The same as plain Python values."""
    plain: dict[str, Any] = shape(type(value)).dump_python(value, mode="json", by_alias=True)
    return plain


def load(kind: type[T], raw: bytes | str) -> T:
    """The value again. Raises pydantic.ValidationError (a ValueError) for anything else."""
    value: T = shape(kind).validate_json(raw)
    return value
