"""What the gateway asks of every connector and helpdesk, and what they may ask of it.

    Connector   parse what came in, send what goes out
    Webhook     the channel calls us: greet, verify, key, lane, answer
    Listener    we hold a port open, or go and ask
    Fetcher     media is left behind at the vendor
    Helpdesk    takes tickets

A connector reads no clock and no environment: the moment is `request.received_at`, its secrets are in its settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from normalizer.canon import Attachment, Envelope, HandoverStep, Message, Reply, Sent


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


@runtime_checkable
class Connector(Protocol):
    """One channel's speech. Constructed as `Connector(settings)`; raises ConfigError if they cannot work."""

    name: ClassVar[str]
    Settings: ClassVar[type[AccountSettings]]
    settings: Any

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        """The messages in an envelope, none if nobody said anything. Pure. Raises Unreadable."""
        ...

    async def send(self, reply: Reply) -> Sent:
        """Deliver a reply. Raises Unavailable to be asked again, Refused to be left alone."""
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
class Listener(Connector, Protocol):
    """A connector that holds a port open, or goes and asks."""

    async def listen(self, accept: Accept, refuse: Refuse) -> None:
        """Run until cancelled. When `accept` has returned the envelopes are ours: acknowledge upstream."""
        ...


@runtime_checkable
class Fetcher(Connector, Protocol):
    """A connector whose media is left behind at the vendor."""

    async def fetch(self, attachment: Attachment) -> bytes: ...


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

    async def file(self, step: HandoverStep, known_as: Known) -> Sent:
        """Take one step. The same step twice must leave one trace: its id is the idempotency key.

        Raises Unavailable to be asked again, Refused to be left alone.
        """
        ...
