"""A Telegram bot (core.telegram.org/bots/api): it is called by webhook, or asks by long polling.

telegram_updates   what an update says
telegram_calls     calls to the Bot API
telegram_polling   going and asking
here               the account: its door, what it sends and fetches, what `ticketgate doctor` looks at
"""

import asyncio
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from telegram import WebhookInfo

from connectors.base import Accept, AccountSettings, ChatSettings, Clock, Finding, Recall, Refuse, Request, Response
from connectors.reading import json_of
from connectors.telegram_calls import Calls, keyboard
from connectors.telegram_content import Place
from connectors.telegram_polling import Polling
from connectors.telegram_updates import WANTED, Bot, Groups, key_of, lane_of, messages
from connectors.vendor import Vendor, pieces, utf16
from normalizer.canon import Attachment, Envelope, Message, Reply, Sent
from normalizer.errors import Refused, Rejected, SendingError

LONGEST = 4096  # UTF-16 units of a text
HEADER = "x-telegram-bot-api-secret-token"
MANY = 100  # updates that wait; more is a sign of trouble
RECENT = timedelta(hours=1)

_SECRET = re.compile(r"[A-Za-z0-9_-]{16,256}", re.ASCII)
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}", re.ASCII)
_MESSAGE_ID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)


class TelegramSettings(ChatSettings):
    token: SecretStr  # of @BotFather
    secrets: tuple[SecretStr, ...] = ()  # secret_token of the webhook; several while it is changed
    polling: bool = False  # go and ask instead of being called
    username: str = ""  # the bot's, without @
    groups: Groups = "all"  # what of groups is taken: all it can see, what is addressed to it, nothing
    agents: frozenset[int] = frozenset()  # user ids of colleagues: what they write in a group is an agent's word
    api: str = Field(default="https://api.telegram.org", pattern="^https?://")  # or your own Bot API server

    @field_validator("token")
    @classmethod
    def whole(cls, token: SecretStr) -> SecretStr:
        if not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("not a bot's token: write it as @BotFather gave it, 123456:ABC...")
        return token

    @model_validator(mode="after")
    def reachable(self) -> Self:
        if not (self.secrets or self.polling):
            raise ValueError("give secrets (as in setWebhook's secret_token), or polling: true")
        if not all(_SECRET.fullmatch(secret.get_secret_value()) for secret in self.secrets):
            raise ValueError("secrets: each is 16 to 256 of A-Z a-z 0-9 _ and -")
        if self.groups == "addressed" and not self.username:
            raise ValueError("groups: addressed needs the bot's username")
        return self


class Telegram:
    name: ClassVar[str] = "telegram"
    Settings: ClassVar[type[AccountSettings]] = TelegramSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"token": "1:unconfigured", "polling": True}

    def __init__(self, settings: TelegramSettings) -> None:
        self.settings = settings
        self._secrets = [secret.get_secret_value().encode() for secret in settings.secrets]
        bot_id = settings.token.get_secret_value().partition(":")[0]
        agents = frozenset(map(str, settings.agents))
        self.bot = Bot(bot_id, settings.username.removeprefix("@"), settings.groups, agents)
        self._recall: Recall | None = None
        self._calls = Calls(settings.api, settings.token.get_secret_value())
        self._files = Vendor(settings.api, allow_private=settings.allow_private)

    # At the door

    def greet(self, request: Request) -> Response | None:
        return None

    def verify(self, request: Request) -> None:
        offered = request.headers.get(HEADER, "").encode("utf-8", "surrogatepass")
        # Every secret is compared, so that the time taken does not tell which was nearly right.
        if not sum(hmac.compare_digest(secret, offered) for secret in self._secrets):
            raise Rejected("wrong or missing secret token")

    def key(self, request: Request) -> str:
        return key_of(request.body)

    def lane(self, request: Request) -> str:
        return lane_of(request.body)

    def answer(self, request: Request) -> Response:
        return Response()

    # Going and asking

    def resume(self, recall: Recall) -> None:
        self._recall = recall

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        if not self.settings.polling:
            await asyncio.Event().wait()  # we are called
        polling = Polling(self.name, self.settings.account, self.bot.id, self._calls.updates)
        await polling.keep(accept, clock, self._recall)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        return messages(self.bot, envelope, json_of(envelope.body))

    async def send(self, reply: Reply, now: datetime) -> Sent:
        place = Place.named(reply.thread_key or reply.to.address)
        if reply.reply_token:
            await self._heard(reply.reply_token)
        buttons, spelt = keyboard(reply.choices)
        texts = pieces("\n\n".join(filter(None, (reply.text.strip(), spelt))), LONGEST, utf16)
        answering = int(reply.in_reply_to) if _MESSAGE_ID.fullmatch(reply.in_reply_to) else None
        first = ""
        for at, text in enumerate(texts):
            said = await self._calls.say(
                place, text, None if at else answering, buttons if at == len(texts) - 1 else None
            )
            first = first or said
        return Sent(external_id=first)

    async def _heard(self, pressed: str) -> None:
        try:
            await self._calls.heard(pressed)
        except Refused:  # it stopped by itself
            return

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        limits = self.settings.media
        if attachment.size > limits.size_limit:
            return replace(attachment, missing="oversized")
        try:
            file = await self._calls.file(attachment.remote)
        except Refused as error:
            if "too big" in error.reason:  # for bots: 20 MB
                return replace(attachment, missing="oversized")
            raise
        if file.file_path is None:
            raise Refused("Telegram has no such file any more")
        return await self._files.download(attachment, file.file_path, limits, now)

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"{self.name}/{self.settings.account}"
        try:
            me, hook = await self._calls.me(), await self._calls.webhook()
        except SendingError as error:
            return [Finding(what, error.reason, False, "see @BotFather for the token, and whether we may call `api`")]
        sees = "all of its groups" if me.can_read_all_group_messages else "of groups what is addressed to it"
        return [
            Finding(what, f"@{me.username} is {me.id} and sees {sees}"),
            *self._webhook(f"{what} webhook", hook, now),
        ]

    def _webhook(self, what: str, hook: WebhookInfo, now: datetime) -> Iterator[Finding]:
        path = f"/in/{self.name}/{self.settings.account}"
        if self.settings.polling:
            hint = "run deleteWebhook: until then Telegram gives us nothing" if hook.url else ""
            yield Finding(what, "is set" if hook.url else "none, as polling demands", not hook.url, hint)
        else:
            well = urlsplit(hook.url).path.endswith(path)
            yield Finding(
                what,
                "is set" if hook.url else "none",
                well,
                "" if well else f"run setWebhook with a url that ends with {path}",
            )
            missing = [kind for kind in WANTED if hook.allowed_updates and kind not in hook.allowed_updates]
            if missing:
                yield Finding(
                    f"{what} updates",
                    f"without {', '.join(missing)}",
                    False,
                    "name them in setWebhook's allowed_updates",
                )
        if hook.pending_update_count > MANY:
            yield Finding(f"{what} waiting", f"{hook.pending_update_count} updates", False, "is the gateway reachable?")
        if hook.last_error_date and now - hook.last_error_date.astimezone(UTC) < RECENT:
            yield Finding(
                f"{what} error", hook.last_error_message or "unknown", False, "as Telegram saw it within the last hour"
            )

    async def close(self) -> None:
        await self._calls.close()
        await self._files.close()
