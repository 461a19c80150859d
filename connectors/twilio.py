"""SMS, MMS and WhatsApp by Twilio.

    twilio_signature    who called
    twilio_post         what they say
    twilio_api          asking Twilio

Twilio has no way to quote a message and no idempotency key for what is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors import twilio_post
from connectors.base import AccountSettings, ChatSettings, Finding, Request, Response
from connectors.twilio_api import API, Asking, TooLate, asked, client
from connectors.twilio_signature import algorithm, pairs, valid
from connectors.vendor import Vendor, pieces, utf16
from normalizer.canon import Attachment, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, SendingError, Unreadable

LONGEST = 1600  # error 21617: "some special characters such as emojis will be counted as multiple characters"
WINDOW = timedelta(hours=24)  # of WhatsApp, from the customer's last words
NUMBERS = "console.twilio.com: Phone Numbers > Manage > Active numbers"


class ApiKey(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    sid: str = Field(pattern="^SK[0-9a-fA-F]{32}$")
    secret: SecretStr


class TwilioSettings(ChatSettings):
    account_sid: str = Field(pattern="^AC[0-9a-fA-F]{32}$")
    auth_tokens: tuple[SecretStr, ...] = Field(min_length=1)  # what Twilio signs with; the first is also our password
    api_key: ApiKey | None = None  # our name and password in its place
    numbers: tuple[str, ...] = ()  # ours outside a pool: +8613..., short codes
    messaging_service_sid: str = ""  # the pool
    content_sid: str = ""  # template for WhatsApp after 24 hours; its variable 1 is the ticket's number
    webhook_url: str = ""  # the public URL of this account; without it failures are not heard of
    api: str = API
    size_limit: int = Field(default=1024 * 1024, gt=0)

    @model_validator(mode="after")
    def proven(self) -> Self:
        if not all(token.get_secret_value() for token in self.auth_tokens):
            raise ValueError("auth_tokens: one is empty")
        return self


class Twilio:
    name: ClassVar[str] = "twilio"
    Settings: ClassVar[type[AccountSettings]] = TwilioSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"account_sid": "AC" + "0" * 32, "auth_tokens": ["none"]}

    def __init__(self, settings: TwilioSettings) -> None:
        self.settings = settings
        self._tokens = [token.get_secret_value() for token in settings.auth_tokens]
        key = settings.api_key
        self._login = (key.sid, key.secret.get_secret_value()) if key else (settings.account_sid, self._tokens[0])
        self._vendor = Vendor("", allow_private=settings.allow_private)

    # At the door

    def greet(self, request: Request) -> Response | None:
        return None

    def verify(self, request: Request) -> None:
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        try:
            said = request.body if twilio_post.is_json(request.body) else pairs(request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code=error.code) from None
        offered, kind = request.headers.get("x-twilio-signature", ""), algorithm(request.headers)
        if not sum(valid(token, request.url, said, offered, kind) for token in self._tokens):
            raise Rejected(
                "no signature matches: is http.public_url what Twilio calls, and the auth token the primary?"
            )

    def key(self, request: Request) -> str:
        """Of what is signed. I-Twilio-Idempotency-Token is not, nor does it say that a fallback URL is tried."""
        said = twilio_post.first(request.body)
        sid = "" if twilio_post.is_json(request.body) else twilio_post.sid(said)
        return digest("twilio", sid, twilio_post.status(said)) if sid else digest(request.body)

    def lane(self, request: Request) -> str:
        return twilio_post.customer(twilio_post.first(request.body)) or self.key(request)

    def answer(self, request: Request) -> Response:
        return Response(200, b'<?xml version="1.0" encoding="UTF-8"?><Response/>', "text/xml; charset=utf-8")

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        readable, faults = [], []
        for part, said in enumerate(twilio_post.posted(envelope.body)):
            try:
                readable.extend(twilio_post.messages(envelope, part, said))
            except Unreadable as error:
                faults.append(error.reason)
        others = [message for message in readable if message.sender.address not in self.settings.numbers]
        if faults:
            raise Unreadable(faults[0], readable=others)
        return others

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        url = attachment.remote
        login = self._login if _is_theirs(url, self.settings.api) else None
        return await self._vendor.download(attachment, url, self.settings.media, now, auth=login)

    # Answering

    async def send(self, reply: Reply, now: datetime) -> Sent:
        prefix = "" if reply.channel == "sms" else f"{reply.channel}:"
        way = {"to": prefix + reply.to.address, **self._sender(reply, prefix)}
        if reply.channel == "whatsapp" and reply.answering and now - reply.answering > WINDOW:
            return await self._late(way, reply, now)
        sids = []
        for piece in pieces(_worded(reply), LONGEST, utf16):
            try:
                sids.append(await self._create(now, **way, body=piece))
            except TooLate:
                return await self._late(way, reply, now)
        return Sent(sids[0] if sids else "")

    async def _late(self, way: Mapping[str, str], reply: Reply, now: datetime) -> Sent:
        if not self.settings.content_sid:
            raise TooLate
        number = orjson.dumps({"1": reply.number}).decode()
        return Sent(await self._create(now, **way, content_sid=self.settings.content_sid, content_variables=number))

    def _sender(self, reply: Reply, prefix: str) -> dict[str, str]:
        """From the number they wrote to; one of the pool goes out by the pool, whose opt-outs then count."""
        settings, number = self.settings, reply.written_to
        way = {"status_callback": settings.webhook_url} if settings.webhook_url else {}
        if settings.messaging_service_sid and number not in settings.numbers:
            way["messaging_service_sid"] = settings.messaging_service_sid
        elif not (number or settings.numbers):
            raise Refused("no number to send from: set numbers or messaging_service_sid")
        else:
            number = number or settings.numbers[0]
        return way | ({"from_": prefix + number} if number else {})

    async def _create(self, now: datetime, **said: str) -> str:
        library = await self._library(now)
        return str((await asked(library.messages.create_async(**said))).sid or "")

    async def _library(self, now: datetime) -> Any:
        asking = Asking(self._vendor, self.settings.api, now)
        return await asyncio.to_thread(client, self._login, self.settings.account_sid, asking)

    async def close(self) -> None:
        await self._vendor.close()

    # Trying it

    async def examine(self, now: datetime) -> Sequence[Finding]:
        library = await self._library(now)
        what = f"{self.name}/{self.settings.account}"
        return [replace(finding, what=f"{what} {finding.what}") async for finding in self._examined(library)]

    async def _examined(self, library: Any) -> AsyncIterator[Finding]:
        settings = self.settings
        try:
            account = await asked(library.api.v2010.accounts(settings.account_sid).fetch_async())
        except SendingError as error:
            yield Finding("account", error.reason, False, "account_sid, auth_tokens, api_key: see console.twilio.com")
            return
        yield Finding("account", str(account.status), account.status == "active")
        if not settings.webhook_url:
            yield Finding("webhook_url", "not set", False, "the public URL of this account: failures are told there")
        for number in settings.numbers:
            yield await self._number(library, number)
        if settings.messaging_service_sid:
            yield await self._service(library, settings.messaging_service_sid)

    async def _number(self, library: Any, number: str) -> Finding:
        what = f"number ...{number[-4:]}"
        try:
            found = await asked(library.incoming_phone_numbers.list_async(phone_number=number, limit=1))
        except SendingError as error:
            return Finding(what, error.reason, False, NUMBERS)
        if not found:
            return Finding(what, "not among the account's numbers; a WhatsApp sender is set under Messaging > Senders")
        return self._called(what, found[0].sms_url, found[0].sms_method)

    async def _service(self, library: Any, sid: str) -> Finding:
        try:
            service = await asked(library.messaging.v1.services(sid).fetch_async())
        except SendingError as error:
            return Finding("messaging service", error.reason, False, "messaging_service_sid: MG and 32 digits")
        if service.use_inbound_webhook_on_number:
            return Finding("messaging service", "leaves it to each number's own webhook")
        return self._called("messaging service", service.inbound_request_url, service.inbound_method)

    def _called(self, what: str, url: str | None, method: str | None) -> Finding:
        plain = (url or "").partition("#")[0]  # after it stand Twilio's connection overrides
        well = bool(plain) and plain == (self.settings.webhook_url or plain) and method == "POST"
        return Finding(what, f"{method} {plain or 'nothing'}", well, "" if well else "set it to POST and webhook_url")


def _worded(reply: Reply) -> str:
    """Buttons are for approved templates only: the choices are words."""
    return "\n".join([reply.text.strip(), *(f"· {choice.label}" for choice in reply.choices)])


def _is_theirs(url: str, api: str) -> bool:
    """Whether a file's URL is one that gets our password: Twilio's, or where the operator says Twilio is."""
    try:
        asked_for, ours = urlsplit(url), urlsplit(api)
        same = (asked_for.scheme, asked_for.netloc) == (ours.scheme, ours.netloc)
        return same or (asked_for.scheme == "https" and (asked_for.hostname or "").endswith(".twilio.com"))
    except ValueError:
        return False
