"""飞书 (Feishu, Lark): a bot people write to, alone or in groups; it is called, or holds a line itself.

feishu_events    what is posted: opened, proven, named
feishu_messages  whose message an event is
feishu_content   what a message says
feishu_api       saying something, and files people left
feishu_stream    the line we hold; feishu_frames what goes over it
here             the account: its door, what `ticketgate doctor` looks at

What is not answered within three seconds comes again, after 15 s, 5 min, 1 h and 6 h.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Self

import orjson
from pydantic import Field, SecretStr, model_validator

from connectors.base import Accept, AccountSettings, ChatSettings, Clock, Finding, Refuse, Request, Response
from connectors.feishu_api import Api
from connectors.feishu_events import CHALLENGE, Event, known, opened, prove
from connectors.feishu_messages import Groups, Reading, chat
from connectors.feishu_stream import Stream
from connectors.reading import word
from normalizer.canon import Attachment, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

TOAST = {"type": "success", "content": "已收到", "i18n": {"zh_cn": "已收到", "en_us": "Received"}}
RECEIVED = orjson.dumps({"toast": TOAST})


class FeishuSettings(ChatSettings):
    app_id: str
    app_secret: SecretStr
    encrypt_key: SecretStr | tuple[SecretStr, ...] = ()  # 加密策略: several while it is changed
    verification_token: SecretStr | tuple[SecretStr, ...] = ()
    bot: str = ""  # our open_id (`ticketgate doctor` tells it) or name, to know ourselves among those who are mentioned
    groups: Groups = "mentioned"  # what of groups is taken
    stream: bool = False  # call Feishu instead of being called
    api: str = Field(default="https://open.feishu.cn", pattern="^https?://")  # of Lark https://open.larksuite.com

    @model_validator(mode="after")
    def proven(self) -> Self:
        given = [*_secrets(self.encrypt_key), *_secrets(self.verification_token)]
        if not (given or self.stream) or not all(given):
            raise ValueError("give encrypt_key (better) or verification_token: 事件与回调 > 加密策略; or stream: true")
        return self


def _secrets(said: SecretStr | tuple[SecretStr, ...]) -> list[str]:
    return [one.get_secret_value() for one in ((said,) if isinstance(said, SecretStr) else said)]


class Feishu:
    name: ClassVar[str] = "feishu"
    Settings: ClassVar[type[AccountSettings]] = FeishuSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {
        "app_id": "", "app_secret": "", "verification_token": "none", "groups": "all",
    }  # fmt: skip

    def __init__(self, settings: FeishuSettings) -> None:
        self.settings = settings
        self._keys, self._tokens = _secrets(settings.encrypt_key), _secrets(settings.verification_token)
        secret = settings.app_secret.get_secret_value()
        self._api = Api(settings.api, settings.app_id, secret, allow_private=settings.allow_private)

    # At the door

    def greet(self, request: Request) -> Response | None:
        try:
            event = opened(request.body, self._keys)
        except Unreadable:
            return None
        # It bears no signature: who has the token, or can encrypt with our key, may see its own words again.
        if event.type != CHALLENGE or not (known(event.token, self._tokens) if self._tokens else event.sealed):
            return None
        return _json(orjson.dumps({"challenge": event.challenge}))

    def verify(self, request: Request) -> None:
        try:
            event = opened(request.body, self._keys)
        except Unreadable as error:
            status, code = (400, "malformed") if error.code == "malformed" else (401, "unverified")
            raise Rejected(error.reason, status=status, code=code) from None
        prove(request.headers, request.body, event, self._keys, self._tokens)

    def key(self, request: Request) -> str:
        return self._named(request.body)[0]

    def lane(self, request: Request) -> str:
        return self._named(request.body)[1]

    def _named(self, body: bytes) -> tuple[str, str]:
        """Key and lane: the event, and the conversation it stands in."""
        event = self._opened(body)
        return (digest("feishu", event.id), chat(event.said)) if event and event.id else (digest(body), "")

    def answer(self, request: Request) -> Response:
        return _json(self._told(request.body) or b"{}")

    def _told(self, body: bytes) -> bytes:
        """What who pressed a button sees."""
        event = self._opened(body)
        return RECEIVED if event and event.type == "card.action.trigger" else b""

    def _opened(self, body: bytes) -> Event | None:
        try:
            return opened(body, self._keys)
        except Unreadable:
            return None

    # Holding the line

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        if not self.settings.stream:
            await asyncio.Event().wait()  # we are called
        app = {"AppID": self.settings.app_id, "AppSecret": self.settings.app_secret.get_secret_value()}
        what = f"feishu/{self.settings.account}"
        await Stream(what, self._api.vendor, app, self._streamed, self._told).keep(accept, clock)

    def _streamed(self, body: bytes, clock: Clock) -> Envelope:
        return Envelope("feishu", self.settings.account, *self._named(body), clock(), body, {"method": "stream"})

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        event = opened(envelope.body, self._keys)
        reading = Reading(envelope, event, self.settings.app_id, self.settings.bot, self.settings.groups)
        return reading.messages()

    # The other way

    async def send(self, reply: Reply, now: datetime) -> Sent:
        return await self._api.say(reply, now)

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        return await self._api.fetch(attachment, self.settings.media, now)

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"feishu/{self.settings.account}"
        try:
            bot = await self._api.bot(now)
        except (Refused, Unavailable) as error:
            hint = "compare app_id and app_secret with 凭证与基础信息, and api with where the app lives"
            return [Finding(what, error.reason, False, hint)]
        name, id, active = word(bot, "app_name"), word(bot, "open_id"), word(bot, "activate_status") == "2"
        found = [
            Finding(what, f"bot {name} {id}", active, "" if active else "not switched on: 版本管理与发布, 管理后台")
        ]
        if self.settings.bot not in (id, name):
            ours = self.settings.bot
            found.append(
                Finding(f"{what} bot", ours or "not set", not ours, f"write bot: {id}, to tell it among mentions")
            )
        return found

    async def close(self) -> None:
        await self._api.close()


def _json(said: bytes) -> Response:
    return Response(200, said, "application/json; charset=utf-8")
