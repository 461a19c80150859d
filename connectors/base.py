"""What the gateway asks of every connector and helpdesk, and what they may ask of it.

    Connector   parse what came in, send what goes out
    Webhook     the channel calls us: greet, verify, key, lane, answer
    Listener    we hold a port open, or go and ask
    Resuming    ... and read on from where we stopped
    Responding  ... and waits a moment for our words
    Fetcher     media is left behind at the vendor
    Mailbox     has mail addresses of ours
    Examined    can be tried for real by `ticketgate doctor`
    Helpdesk    takes tickets
    Closable    holds connections open between sendings

A connector reads no clock and no environment: the moment is `request.received_at`, or the argument `now`, or what the
gateway's `Clock` says to a listener; its secrets are in its settings. A class may name in `unconfigured` the
settings by which payloads can be read though no account is configured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from normalizer.canon import Attachment, Envelope, HandoverStep, Message, Reply, Sent
from normalizer.errors import Where

Secret = Annotated[SecretStr, Field(min_length=1)]  # an empty one would prove anybody
Clock = Callable[[], datetime]  # the gateway's: what a listener stamps arrivals with

# Headers worth keeping with an arrival. A list of what may stay, not of what may not: any other might carry a secret.
KEPT_HEADERS = (
    "content-type", "user-agent", "accept-language", "origin", "webhook-id", "webhook-timestamp", "idempotency-key",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, read whole. `url` is the public one; header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    query: Mapping[str, str]
    remote: str  # the client's address as seen past trusted proxies
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Response:
    """What we answer. 204 with nothing, unless the channel wants more."""

    status: int = 204
    body: bytes = b""
    media_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a listener has read; kept in the same transaction as what it read."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known in a helpdesk of the ticket a step is about; `external_id` is empty before it was created."""

    external_id: str = ""
    url: str = ""


class Accept(Protocol):
    """The gateway's door. Once it returns the envelopes are durably ours; if it raises Unavailable they are not."""

    async def __call__(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None: ...


class Recall(Protocol):
    """What a cursor says, as `Accept` kept it last; empty if it never did."""

    async def __call__(self, name: str) -> str: ...


class Refuse(Protocol):
    """Keep what is turned away at the door, with its reason, in quarantine. Never raises."""

    async def __call__(
        self, connector: str, account: str, code: str, reason: str, body: bytes, facts: Mapping[str, str]
    ) -> None: ...


class AccountSettings(BaseModel):
    """What every account of every connector has. Unknown words are an error, so that a typo is seen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connector: str
    account: str


class AnsweredSettings(AccountSettings):
    """Of an account whose customers are answered by another one's mail."""

    reply_by: str = ""  # who answers for it: "support" (a mail account) or "connector/account"; empty: nobody

    @property
    def answering(self) -> tuple[str, str] | None:
        """The connector and account that carries replies to people who came this way."""
        connector, _, account = self.reply_by.rpartition("/")
        return (connector or "email_smtp", account) if account else None


class CalledSettings(AccountSettings):
    """What every account reached over HTTP has besides. The gateway keeps to `size_limit` and `rate`."""

    size_limit: int = Field(default=10 * 1024 * 1024, gt=0)  # octets of a request's body; more is 413
    rate: int = Field(default=0, ge=0)  # requests a minute from one remote address; 0: as many as they like


class HttpSettings(AnsweredSettings, CalledSettings):
    """Of an account that is called over HTTP and answers by mail."""


class Label(BaseModel):
    """Words that people see, in both languages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    zh: str
    en: str

    def __getitem__(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


class MediaSettings(BaseModel):
    """Which files are fetched from the vendor. The others are named in the message and marked as missing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_limit: int = Field(default=20 * 1024 * 1024, gt=0)  # octets of one file
    types: tuple[str, ...] = ("image/*", "audio/*", "video/*", "text/*", "application/*")  # media types, with *


class ChatSettings(CalledSettings):
    """Of a chat or social account: its customers are answered where they wrote."""

    conversation_hours: float = Field(default=24, ge=0)  # of silence, after which words begin a new ticket; 0: never
    media: MediaSettings = MediaSettings()
    allow_private: bool = False  # the vendor's API and media may stand in our own network

    @property
    def answering(self) -> tuple[str, str]:
        return (self.connector, self.account)


@runtime_checkable
class Connector(Protocol):
    """One channel's speech. Constructed as `Connector(settings)`; raises ConfigError if they cannot work."""

    name: ClassVar[str]
    Settings: ClassVar[type[AccountSettings]]
    settings: Any

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        """The messages in an envelope, none if nobody said anything. Pure. Raises Unreadable."""
        ...

    async def send(self, reply: Reply, now: datetime) -> Sent:
        """Deliver a reply; `now` is this attempt's. Raises Unavailable to be asked again, Refused to be left alone."""
        ...


@runtime_checkable
class Webhook(Connector, Protocol):
    """A channel that calls us at /in/{connector}/{account}."""

    def greet(self, request: Request) -> Response | None:
        """The answer to a handshake, or None if this is none."""
        ...

    def verify(self, request: Request) -> None:
        """Raise Rejected unless the caller proved who it is. Pure; fails closed."""
        ...

    def key(self, request: Request) -> str:
        """Equal on every redelivery, different otherwise."""
        ...

    def lane(self, request: Request) -> str:
        """The conversation this belongs to, as far as can be told cheaply."""
        ...

    def answer(self, request: Request) -> Response:
        """What the channel wants to hear once the bytes are safe."""
        ...


@runtime_checkable
class Responding(Webhook, Protocol):
    """A webhook whose answer may carry our words, if they are ready in time (WeChat's passive reply)."""

    async def respond(self, request: Request) -> Response:
        """In place of `answer`: wait for what `send` is given for this conversation, within the channel's patience."""
        ...


@runtime_checkable
class Listener(Connector, Protocol):
    """A connector that goes and asks, in one process at a time; or holds a port open, in each, by `doors`."""

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        """Run until cancelled. When `accept` has returned the envelopes are ours: acknowledge upstream."""
        ...


@runtime_checkable
class Resuming(Listener, Protocol):
    """A listener that reads on from where it stopped, by cursors of its own."""

    def resume(self, recall: Recall) -> None:
        """Called once, before `listen`."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried, what came of it, and what to do about it."""

    what: str
    found: str
    well: bool = True
    hint: str = ""

    @property
    def sign(self) -> str:
        return "ok" if self.well else "BAD"


@runtime_checkable
class Examined(Protocol):
    """An account that can be tried for real. Nothing is changed or sent."""

    async def examine(self, now: datetime) -> Sequence[Finding]: ...


@runtime_checkable
class Relaying(Protocol):
    """An account that may send by a relay, which can be tried for real. Nothing is sent."""

    async def try_relay(self, now: datetime) -> None: ...


@runtime_checkable
class Fetcher(Connector, Protocol):
    """A connector whose media is left behind at the vendor: `Attachment.remote` names it."""

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        """The same with content, size, sha256 and media type, or with `missing`. Raises Unavailable to be asked again.

        Refused: the vendor has it no more.
        """
        ...


@runtime_checkable
class Mailbox(Connector, Protocol):
    """A connector that speaks by mail. What is sent to its own addresses comes back in: nobody is answered there."""

    @property
    def sends(self) -> bool:
        """Whether mail can leave by it; otherwise it only receives."""
        ...

    def owns(self, address: str) -> bool:
        """Whether this is an address of the account: mail to it is mail to us, mail from it is ours."""
        ...


class HelpdeskSettings(BaseModel):
    """What every target has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    helpdesk: str  # the code: webhook, zendesk, ...
    name: str  # what rules call it: hand_over: crm


@runtime_checkable
class Helpdesk(Protocol):
    """A system that takes tickets. Constructed as `Helpdesk(settings)`."""

    name: ClassVar[str]
    Settings: ClassVar[type[HelpdeskSettings]]
    settings: Any

    async def file(self, step: HandoverStep, known_as: Known, now: datetime) -> Sent:
        """Take one step. The same step twice must leave one trace: its id is the idempotency key.

        `now` is this attempt's moment. Raises Unavailable to be asked again, Refused to be left alone.
        """
        ...


@runtime_checkable
class Closable(Protocol):
    """A connector or helpdesk that keeps connections open between sendings."""

    async def close(self) -> None: ...


def facts(request: Request) -> dict[str, str]:
    """The transport facts kept of an HTTP request: method, path, remote and the harmless headers by their names."""
    kept = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    return {"method": request.method, "path": urlsplit(request.url).path, "remote": request.remote, **kept}


def enclose(webhook: Webhook, request: Request) -> Envelope:
    """The envelope of a verified request. `parse` finds the request's content type in its transport facts."""
    return Envelope(
        connector=webhook.name,
        account=webhook.settings.account,
        key=webhook.key(request),
        lane=webhook.lane(request),
        received_at=request.received_at,
        body=request.body,
        transport=facts(request),
    )


def where(settings: AccountSettings | HelpdeskSettings, field: str = "") -> Where:
    """How errors name an account or target whose settings cannot work."""
    owner = (
        f"{settings.helpdesk}/{settings.name}"
        if isinstance(settings, HelpdeskSettings)
        else f"{settings.connector}/{settings.account}"
    )
    return Where(f"{owner}: {field}" if field else owner)
