"""钉钉 (DingTalk): a bot people write to, alone or in groups with @; by HTTP, or by Stream without an address of ours.

dingtalk_content  what a message says
dingtalk_api      saying something, and files people left
dingtalk_stream   the line we hold
here              the account: its door, whose message it is, what `ticketgate doctor` looks at

By HTTP DingTalk proves that it knows the app's secret, and when; not what it says: its signature leaves the body out.
"""

import asyncio
import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors.base import Accept, AccountSettings, ChatSettings, Clock, Finding, Refuse, Request, Response
from connectors.dingtalk_api import Api, Place
from connectors.dingtalk_content import CHOSEN, read, unwrapped
from connectors.dingtalk_stream import Stream
from connectors.reading import json_of, moment, word
from normalizer.canon import Address, Attachment, Envelope, Kind, Message, Reply, Sent, digest
from normalizer.charset import clean
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

WINDOW = timedelta(hours=1)
TAKEN = b'{"msgtype":"empty"}'  # the answer might be words of ours; it is none

_MILLISECONDS = re.compile(r"[0-9]{13}", re.ASCII)


class DingtalkSettings(ChatSettings):
    client_id: str  # AppKey
    client_secret: SecretStr | tuple[SecretStr, ...]  # AppSecret: several while it is changed, the new one first
    robot: str = ""  # robotCode; if it is not the client_id
    bot: str = ""  # what it is called, to leave @ and that name out of what people say in groups
    groups: Literal["mentioned", "all", "none"] = "mentioned"  # what of groups is taken
    stream: bool = False  # call DingTalk instead of being called
    api: str = Field(default="https://api.dingtalk.com", pattern="^https?://")

    @field_validator("client_secret")
    @classmethod
    def given(cls, said: SecretStr | tuple[SecretStr, ...]) -> SecretStr | tuple[SecretStr, ...]:
        if not all(_secrets(said)) or not _secrets(said):
            raise ValueError("client_secret is empty: 凭证与基础信息 > Client Secret")
        return said


def _secrets(said: SecretStr | tuple[SecretStr, ...]) -> list[str]:
    return [one.get_secret_value() for one in ((said,) if isinstance(said, SecretStr) else said)]


class Dingtalk:
    name: ClassVar[str] = "dingtalk"
    Settings: ClassVar[type[AccountSettings]] = DingtalkSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"client_id": "", "client_secret": "none", "groups": "all"}

    def __init__(self, settings: DingtalkSettings) -> None:
        self.settings = settings
        self._secrets = _secrets(settings.client_secret)
        robot, secret = settings.robot or settings.client_id, self._secrets[0]
        self._api = Api(settings.api, settings.client_id, secret, robot, allow_private=settings.allow_private)

    # At the door

    def greet(self, request: Request) -> Response | None:
        return None

    def verify(self, request: Request) -> None:
        timestamp = request.headers.get("timestamp", "")
        offered = request.headers.get("sign", "").encode("utf-8", "surrogatepass")
        if not _MILLISECONDS.fullmatch(timestamp):
            raise Rejected("timestamp or sign missing or malformed")
        if not sum(hmac.compare_digest(sign(timestamp, secret).encode(), offered) for secret in self._secrets):
            raise Rejected("sign is wrong: is client_secret that of the app?")
        if abs(datetime.fromtimestamp(int(timestamp) / 1000, UTC) - request.received_at) > WINDOW:
            raise Rejected("signed too long ago, or in the future", code="expired")
        try:
            json_of(request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None

    def key(self, request: Request) -> str:
        return self._named(request.body)[0]

    def lane(self, request: Request) -> str:
        return self._named(request.body)[1]

    def _named(self, body: bytes) -> tuple[str, str]:
        """Key and lane: the message, and the conversation it stands in."""
        try:
            said = unwrapped(json_of(body)) or {}
        except Unreadable:
            said = {}
        id, conversation = word(said, "msgId"), word(said, "conversationId")
        key = digest("dingtalk", id) if id else digest(body)
        return key, conversation or key

    def answer(self, request: Request) -> Response:
        return Response(200, TAKEN, "application/json; charset=utf-8")

    # Holding the line

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        if not self.settings.stream:
            await asyncio.Event().wait()  # we are called
        what = f"{self.name}/{self.settings.account}"
        client, secret = self.settings.client_id, self._secrets[0]
        await Stream(what, self._api.vendor, client, secret, self._streamed).keep(accept, clock)

    def _streamed(self, body: bytes, clock: Clock) -> Envelope:
        key, lane = self._named(body)
        return Envelope(self.name, self.settings.account, key, lane, clock(), body, {"method": "stream"})

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        said = unwrapped(json_of(envelope.body))
        if said is None or not self._ours(said):
            return []
        id, who = word(said, "msgId"), _person(said)
        if not (id and who.address):
            raise Unreadable("a message without msgId or sender")
        content, alone = read(said, self.settings.bot), word(said, "conversationType") != "2"
        place = Place(word(said, "conversationId") or who.address, "" if alone else who.address)
        pressed = CHOSEN.fullmatch(content.text)
        text = pressed["label"] if pressed else content.text
        robot = word(said, "robotCode") or self.settings.robot or self.settings.client_id
        message = Message(
            channel="dingtalk", connector=envelope.connector, account=envelope.account, envelope=envelope.id,
            scope=robot, external_id=id, sender=who, to=(Address("dingtalk", robot),),
            received_at=envelope.received_at, sent_at=moment(said.get("createAt")), proven=True,
            kind=Kind.POSTBACK if pressed else Kind.MESSAGE,
            claims={"choice": pressed["code"]} if pressed else {},
            in_reply_to=content.answers, thread_key=str(place), reply_token=_session(said),
            text=text, full_text=text, quoted=content.quoted, attachments=content.files,
        )  # fmt: skip
        return [message]

    def _ours(self, said: Mapping[str, Any]) -> bool:
        """DingTalk passes on of a group what mentions us, and what a scene of its own adds."""
        if word(said, "conversationType") != "2" or self.settings.groups == "all":
            return True
        return self.settings.groups == "mentioned" and said.get("isInAtList") is not False

    # The other way

    async def send(self, reply: Reply, now: datetime) -> Sent:
        return await self._api.say(reply, now)

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        return await self._api.fetch(attachment, self.settings.media, now)

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"dingtalk/{self.settings.account}"
        try:
            await self._api.token(now)
        except (Refused, Unavailable) as error:
            hint = "compare client_id and client_secret with 凭证与基础信息"
            return [Finding(what, error.reason, False, hint)]
        way = "by Stream: 消息接收模式 must say so too" if self.settings.stream else f"by HTTP at /in/{what}"
        return [Finding(what, f"an access token was given; messages come {way}")]

    async def close(self) -> None:
        await self._api.close()


def sign(timestamp: str, secret: str) -> str:
    """open.dingtalk.com/document/orgapp/receive-message: HMAC-SHA256 of time and secret, by the secret, in base64."""
    mac = hmac.digest(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256)
    return base64.b64encode(mac).decode()


def _person(said: Mapping[str, Any]) -> Address:
    """By the id the company knows them by; who is not of the company has only one for this bot."""
    return Address("dingtalk", word(said, "senderStaffId", "senderId"), clean(word(said, "senderNick")))


def _session(said: Mapping[str, Any]) -> str:
    """Until when, and where, this conversation may be answered without a token."""
    until, url = word(said, "sessionWebhookExpiredTime"), word(said, "sessionWebhook")
    return f"{until} {url}" if until and url else ""
