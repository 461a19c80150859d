"""Any system that can call us with JSON. What it sends is read by JMESPath expressions (jmespath.org) in the settings.

map:
  each: orders[]                # optional: one request may bring many
  text: note
  sender: {email: buyer.mail, name: buyer.name}
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, ClassVar, get_args

import jmespath  # type: ignore[import-untyped]
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.base import AccountSettings, HttpSettings, Request, Response, where
from connectors.reading import attachment, exact_json_of, from_base64, json_of, kept, moment, person, words
from connectors.signatures import verify, verify_bearer, webhook_key
from normalizer.canon import Address, Attachment, Channel, Envelope, Message, Reply, Sent, digest
from normalizer.errors import ConfigError, Refused, Rejected, Unreadable

MOST = 1000  # messages in one request
TOLD = 20  # of its faults
WAYS = ("email", "phone", "user")  # what a sender is known by, the best first

Search = Callable[[Any], Any]

_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


class Auth(BaseModel):
    """How callers prove themselves: one of the two, each with as many secrets as are in use during a change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    standard_webhooks: tuple[SecretStr, ...] = ()
    bearer: SecretStr | tuple[SecretStr, ...] = ()

    @model_validator(mode="after")
    def one_way(self) -> "Auth":
        if bool(self.standard_webhooks) == bool(self.bearer_secrets):
            raise ValueError("give either standard_webhooks (a list of secrets) or bearer (a secret)")
        if not all(secret.get_secret_value() for secret in (*self.standard_webhooks, *self.bearer_secrets)):
            raise ValueError("a secret is empty")
        return self

    @property
    def bearer_secrets(self) -> tuple[SecretStr, ...]:
        return (self.bearer,) if isinstance(self.bearer, SecretStr) else self.bearer


class SenderMap(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    email: str = ""
    phone: str = ""
    user: str = ""  # what the other system calls them
    name: str = ""


class Map(BaseModel):
    """JMESPath expressions, applied to the body, or to each element that `each` yields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    each: str = ""
    text: str
    sender: SenderMap
    external_id: str = ""  # what the other system never repeats; without it a redelivered batch is known as a whole
    subject: str = ""
    channel: str = ""  # one of the canon's channels; else the account's
    sent_at: str = ""
    thread_key: str = ""
    attachments: str = ""  # a list of {name, media_type, content: base64}
    claims: Mapping[str, str] = Field(default_factory=dict)


class WebhookSettings(HttpSettings):
    auth: Auth
    map: Map
    channel: Channel = "api"
    region: str = "CN"  # where phone numbers without + are
    trusted: bool = True  # the caller knows its customers: what it signs proves who they are


class InboundWebhook:
    name: ClassVar[str] = "webhook"
    Settings: ClassVar[type[AccountSettings]] = WebhookSettings

    def __init__(self, settings: WebhookSettings) -> None:
        self.settings = settings
        place = where(settings, "auth.standard_webhooks")
        self._keys = [webhook_key(secret, place) for secret in settings.auth.standard_webhooks]
        self._bearers = [secret.get_secret_value().encode() for secret in settings.auth.bearer_secrets]
        said = settings.map
        single = {name: getattr(said, name) for name in Map.model_fields if name not in ("sender", "claims")}
        self._map = self._compiled(single)
        self._sender = self._compiled(said.sender.model_dump(), "sender.")
        self._claims = self._compiled(said.claims, "claims.")

    def _compiled(self, expressions: Mapping[str, str], under: str = "") -> dict[str, Search]:
        return {name: self._compile(under + name, text) for name, text in expressions.items() if text}

    def _compile(self, name: str, expression: str) -> Search:
        if _PATH.fullmatch(expression):
            return partial(_walk, tuple(expression.split(".")))
        try:
            search: Search = jmespath.compile(expression).search
            return search
        except JMESPathError as error:
            what = f"not a JMESPath expression: {expression!r}: {str(error).splitlines()[0]}"
            raise ConfigError(where(self.settings, f"map.{name}"), what, "try it at jmespath.org") from None

    # At the door

    def greet(self, request: Request) -> Response | None:
        return None

    def verify(self, request: Request) -> None:
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        if self._keys:
            verify(self._keys, request.headers, request.body, request.received_at)
        else:
            verify_bearer(self._bearers, request.headers)
        try:
            json_of(request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None

    def key(self, request: Request) -> str:
        return request.headers["webhook-id"] if self._keys else digest(request.body)

    def lane(self, request: Request) -> str:
        """The first message's sender."""
        try:
            first = next(iter(self._said(request.body)))
            ways = ((name, self._search(f"sender.{name}", self._sender.get(name), first)) for name in WAYS)
            known = (person({name: words(found, name)}, self.settings.region) for name, found in ways if found)
            return next((one.address for one in known if one and one.address), "") or self.key(request)
        except (Unreadable, StopIteration):
            return self.key(request)

    def answer(self, request: Request) -> Response:
        return Response()

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        found = self._said(envelope.body)
        if "each" not in self._map:
            return [self._message(envelope, 0, found[0])]
        readable, faults = [], []
        for part, said in enumerate(found):
            try:
                readable.append(self._message(envelope, part, said))
            except Unreadable as error:
                faults.append(f"message {part + 1} of {len(found)}: {error.reason}")
        if faults:
            raise Unreadable(_listed(faults), readable=readable)
        return readable

    def _said(self, body: bytes) -> list[Any]:
        whole = exact_json_of(body)
        if "each" not in self._map:
            return [whole]
        found = self._find("each", whole)
        if not isinstance(found, list):
            raise Unreadable("each yields no list")
        if len(found) > MOST:
            raise Unreadable(f"more than {MOST} messages in one request")
        return found

    def _message(self, envelope: Envelope, part: int, said: Any) -> Message:
        text = self._words("text", said)
        files, sent = self._files(said), self._find("sent_at", said)
        if not (text or files):
            raise Unreadable("neither text nor attachments")
        return Message(
            channel=self._channel(said),
            connector=envelope.connector,
            account=envelope.account,
            scope=envelope.account,
            # The same message in another batch bears the same id; without one, this request is all that names it.
            external_id=self._words("external_id", said) or f"{envelope.id}.{part}",
            envelope=envelope.id,
            part=part,
            sender=self._person(said),
            received_at=envelope.received_at,
            sent_at=moment(sent),
            thread_key=self._words("thread_key", said),
            subject=self._words("subject", said),
            text=text,
            full_text=text,
            attachments=files,
            proven=self.settings.trusted,
            claims=kept((n, words(self._search(f"claims.{n}", path, said), n)) for n, path in self._claims.items()),
            defects=() if sent is None or moment(sent) else ("sent_at",),
        )

    def _find(self, name: str, said: Any) -> Any:
        return self._search(name, self._map.get(name), said)

    def _search(self, name: str, search: Search | None, said: Any) -> Any:
        try:
            return search(said) if search else None
        except (JMESPathError, TypeError, ValueError, AttributeError, RecursionError) as error:
            # A function was given what it cannot take: join on a number, and the like.
            raise Unreadable(f"map.{name} does not fit: {type(error).__name__}") from None

    def _words(self, name: str, said: Any) -> str:
        return words(self._find(name, said), name).strip()

    def _person(self, said: Any) -> Address:
        places = {name: (f"sender.{name}", path) for name, path in self._sender.items()}
        found = {name: words(self._search(at, path, said), at) for name, (at, path) in places.items()}
        if sender := person(found, self.settings.region):
            return sender
        raise Unreadable("no sender")

    def _channel(self, said: Any) -> Channel:
        found = self._words("channel", said)
        return next((channel for channel in get_args(Channel) if channel == found), self.settings.channel)

    def _files(self, said: Any) -> tuple[Attachment, ...]:
        found = self._find("attachments", said) or []
        if not isinstance(found, list):
            raise Unreadable("attachments yields no list")
        return tuple(map(self._file, islice(found, MOST)))

    def _file(self, said: Any) -> Attachment:
        if not isinstance(said, dict):
            raise Unreadable("an attachment is not an object with name, media_type and content")
        content = from_base64(words(said.get("content"), "content"), "content")
        return attachment(words(said.get("name"), "name"), words(said.get("media_type"), "media_type"), content)

    async def send(self, reply: Reply, now: datetime) -> Sent:
        raise Refused("a webhook has no way back: name a mail account in reply_by")


def _listed(faults: Sequence[str]) -> str:
    more = f"; and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
    return "; ".join(faults[:TOLD]) + more


def _walk(names: tuple[str, ...], said: Any) -> Any:
    """What the plainest expressions, `a.b.c`, mean; ten times as fast as asking the library."""
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return said
