"""Discord: what people write to a bot of ours, by the Gateway (`discord_gateway`) and by interactions.

Interactions come to /in/discord/ACCOUNT, signed, or by the Gateway where no address of ours can be called. Answers
leave by the HTTP API: where they wrote, or in a direct message. https://docs.discord.com/developers
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import Field, SecretStr

from connectors.base import (
    Accept,
    AccountSettings,
    ChatSettings,
    Clock,
    Finding,
    Recall,
    Refuse,
    Request,
    Response,
    where,
)
from connectors.discord_calls import Calls
from connectors.discord_gateway import Gateway
from connectors.discord_hearing import Hearing
from connectors.discord_reading import CLICK, COMMAND, FORM, HIDDEN, OURS, Reading, asked, person
from connectors.nested import inside, said
from connectors.reading import json_of
from connectors.signatures import SECONDS
from connectors.vendor import pieces
from normalizer.canon import Attachment, Choice, Envelope, Message, Reply, Sent, digest
from normalizer.errors import ConfigError, Refused, Rejected, SendingError, Unreadable

TEXT, BUTTONS, ROW, LABEL = 2000, 25, 5, 80  # characters of a message, buttons under it and in a row, characters on one
TOKEN_LIVES = timedelta(minutes=14)  # an interaction's; Discord says 15
GRANTED = 1 << 18 | 1 << 19  # flags of an application that may read what is said in channels
AUTOCOMPLETE = 4
ASKING = "请描述您的问题 How can we help?"
RECEIVED = "已收到，我们会在这里或私信回复您。\nThank you; we will answer you here or in a direct message."
NOT_OURS = "这里不处理该命令。\nNobody answers this command here."

_HEX = re.compile(
    r"[0-9a-f]+", re.ASCII
)  # in one way of writing it only, so that no second request looks like the first


class DiscordSettings(ChatSettings):
    token: SecretStr = Field(min_length=1)  # the bot's
    public_key: str = ""  # the application's, for interactions that call us
    gateway: bool = True  # whether to listen for messages; without it commands and forms are all there is
    channels: tuple[str, ...] = ()  # ids: all that is said there and in their threads; elsewhere only to the bot
    agents: tuple[str, ...] = ()  # user ids of colleagues: what they write is an agent's, not a customer's
    commands: tuple[str, ...] = ("ticket",)  # names of commands that ask us something
    api: str = "https://discord.com/api/v10"


class Discord:
    name: ClassVar[str] = "discord"
    Settings: ClassVar[type[AccountSettings]] = DiscordSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"token": "none"}

    def __init__(self, settings: DiscordSettings) -> None:
        self.settings = settings
        if not (settings.gateway or settings.public_key):
            hint = "leave out gateway: false, or give the public_key by which commands may call us"
            raise ConfigError(where(settings), "hears nothing", hint)
        self._key = self._public_key(settings.public_key) if settings.public_key else None
        token = settings.token.get_secret_value()
        self._calls = Calls(settings.api, token, allow_private=settings.allow_private)
        self._recall: Recall | None = None

    def _public_key(self, text: str) -> Ed25519PublicKey:
        try:
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
        except ValueError:
            hint = "General Information shows it: 64 hexadecimal digits"
            raise ConfigError(where(self.settings, "public_key"), "not an Ed25519 public key", hint) from None

    # At the door

    def greet(self, request: Request) -> Response | None:
        """Discord asks whether we are there, and now and then with a wrong signature whether we look at it."""
        with suppress(Unreadable):
            found = json_of(request.body)
            if isinstance(found, dict) and found.get("type") in (0, 1) and "event" not in found:
                self.verify(request)
                return _json({"type": 1}) if found["type"] == 1 else Response()
        return None

    def verify(self, request: Request) -> None:
        signature = request.headers.get("x-signature-ed25519", "")
        timestamp = request.headers.get("x-signature-timestamp", "")
        if not (self._key and _HEX.fullmatch(signature) and len(signature) == 128 and SECONDS.fullmatch(timestamp)):
            raise Rejected("X-Signature-Ed25519 or X-Signature-Timestamp missing or malformed")
        try:
            self._key.verify(bytes.fromhex(signature), timestamp.encode() + request.body)
        except InvalidSignature:
            raise Rejected("the signature does not match") from None

    def key(self, request: Request) -> str:
        found = _object(request.body)
        return said(found, "id") or digest(request.body)

    def lane(self, request: Request) -> str:
        who = said(person(_object(request.body)), "id")
        return f"@{who}" if who else self.key(request)

    def answer(self, request: Request) -> Response:
        found = _object(request.body)
        with suppress(Unreadable):
            return _json(self.answered(found)) if "data" in found and "event" not in found else Response()
        return Response()

    def answered(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """What an interaction is told within Discord's three seconds; of a command without words its form."""
        inner = inside(found, "data")
        if found.get("type") == CLICK:
            return {"type": 6}
        if found.get("type") == AUTOCOMPLETE:
            return {"type": 8, "data": {"choices": []}}
        if found.get("type") == COMMAND and said(inner, "name") not in self.settings.commands:
            return {"type": 4, "data": {"content": NOT_OURS, "flags": HIDDEN}}
        if found.get("type") in (COMMAND, FORM) and asked(found):
            return {"type": 4, "data": {"content": RECEIVED, "flags": HIDDEN}}
        field = {"type": 4, "custom_id": "text", "style": 2, "label": ASKING, "required": True, "max_length": 4000}
        rows = [{"type": 1, "components": [field]}]
        return {"type": 9, "data": {"custom_id": f"{OURS}:ask", "title": "工单 Ticket", "components": rows}}

    # By the Gateway

    def resume(self, recall: Recall) -> None:
        self._recall = recall

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        if not self.settings.gateway:
            await asyncio.Event().wait()
        hearing = Hearing(self.settings.account, self.settings.channels, self._calls.ask)
        token = self.settings.token.get_secret_value()
        gateway = Gateway(hearing, token, self._calls.ask, self.answered)
        await gateway.keep(accept, clock, self._recall)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        found = json_of(envelope.body)
        if not isinstance(found, dict):
            raise Unreadable("not a JSON object", code="malformed")
        bot = envelope.transport.get("bot", "")
        reading = Reading(envelope, self.settings.agents, self.settings.commands, bot)
        return [replace(message, part=part) for part, message in enumerate(reading.messages(found))]

    # Outward

    async def send(self, reply: Reply, now: datetime) -> Sent:
        """Under an interaction as long as its token lives, else in the channel; buttons stand under the last piece."""
        more = "".join(f"\n· {choice.label}" for choice in reply.choices[BUTTONS:])
        told, first = pieces(_open(reply.text + more), TEXT), ""
        for number, piece in enumerate(told, 1):
            wanted: dict[str, Any] = {"content": piece, "allowed_mentions": {"parse": []}}
            if number == len(told) and reply.choices:
                wanted["components"] = _rows(reply.to.address, reply.choices[:BUTTONS])
            sent = await self._under(reply, wanted, now) or await self._in_channel(reply, wanted, number, now)
            first = first or sent
        return Sent(first)

    async def _under(self, reply: Reply, wanted: Mapping[str, Any], now: datetime) -> str:
        if not (reply.reply_token and reply.answering and now - reply.answering < TOKEN_LIVES):
            return ""
        with suppress(Refused):  # the token has ended, or the interaction was never answered
            answer = await self._calls.ask(
                "POST", f"/webhooks/{reply.reply_token}", now, json={**wanted, "flags": HIDDEN}
            )
            return said(answer.data, "id")
        return ""

    async def _in_channel(self, reply: Reply, wanted: dict[str, Any], number: int, now: datetime) -> str:
        """The same nonce within a few minutes is the same message to Discord, so a crash repeats nothing."""
        key = reply.thread_key or "@"
        channel = await self._calls.direct(reply.to.address, now) if key.startswith("@") else key.partition(":")[0]
        nonced = {**wanted, "nonce": f"{reply.id[:22]}{number:03}", "enforce_nonce": True}
        if number == 1 and reply.in_reply_to.isdecimal() and not key.startswith("@"):
            nonced["message_reference"] = {"message_id": reply.in_reply_to, "fail_if_not_exists": False}
            nonced["allowed_mentions"] = {"parse": [], "replied_user": True}
        answer = await self._calls.ask("POST", f"/channels/{channel}/messages", now, json=nonced)
        return said(answer.data, "id")

    async def fetch(self, one: Attachment, now: datetime) -> Attachment:
        return await self._calls.file(one, self.settings.media, now)

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what, settings = f"{self.name}/{self.settings.account}", self.settings
        try:
            paths = ("/users/@me", "/applications/@me", "/gateway/bot")
            us, app, door = [inside((await self._calls.ask("GET", path, now)).data) for path in paths]
        except SendingError as error:
            return [Finding(what, error.reason, False, "Bot → Reset Token at discord.com/developers/applications")]
        flags, keyed = int(said(app, "flags") or 0), said(app, "verify_key")
        left = said(inside(door, "session_start_limit"), "remaining")
        found = [Finding(what, f"{said(us, 'username')}; {left} logins at the Gateway left today")]
        if settings.channels:
            may, hint = bool(flags & GRANTED), "Bot → Privileged Gateway Intents → Message Content Intent"
            told = "may read what is said in channels" if may else "sees only what is said to it"
            found.append(Finding(f"{what} content", told, may, "" if may else hint))
        if settings.public_key:
            same = keyed == settings.public_key
            found.append(Finding(f"{what} public_key", f"Discord has {keyed}", same, "" if same else "write that one"))
        return found

    async def close(self) -> None:
        await self._calls.close()


def _object(body: bytes) -> Mapping[str, Any]:
    with suppress(Unreadable):
        return inside(json_of(body))
    return {}


def _json(told: Mapping[str, Any]) -> Response:
    return Response(200, orjson.dumps(told), "application/json")


def _open(text: str) -> str:
    """Without links that hide where they lead, [words](https://elsewhere): who calls themselves so has us say it."""
    return text.replace("](", "]\\(")


def _rows(user: str, choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """https://docs.discord.com/developers/components/reference#button; the custom id says who may answer."""
    buttons = [
        {"type": 2, "style": 2, "label": choice.label[:LABEL], "custom_id": f"{OURS}:{user}:{choice.code}"[:100]}
        for choice in choices
    ]
    return [{"type": 1, "components": buttons[at : at + ROW]} for at in range(0, len(buttons), ROW)]
