"""企业微信: colleagues write to an app of the company's own, customers to 微信客服.

app     each message comes in a callback; answers go out by message/send
微信客服   a callback only tells that there is something: it is then read by kf/sync_msg, from where it was read last.
        The place is kept in one transaction with what was read; it is also looked for without a callback, so that
        none that is lost costs a message. Answers: at most 5 within 48 hours after they wrote
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from connectors import wecom_kf
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
    Secret,
    where,
)
from connectors.reading import json_of
from connectors.vendor import Vendor
from connectors.wechat_api import Api, Coded, token_of
from connectors.wechat_crypto import Seal, fields
from connectors.wechat_replies import app_bodies, bodies, clicked_served
from connectors.wechat_words import external_id, message, word
from connectors.wecom_sync import Sync
from normalizer.canon import Attachment, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, SendingError, Unreadable

WINDOW = timedelta(hours=48)  # in which customers may be written to, after they wrote


class WecomSettings(ChatSettings):
    corp_id: str = Field(min_length=1)  # 企业ID: ww...
    secret: SecretStr  # of the app, or of 微信客服
    tokens: tuple[Secret, ...] = Field(min_length=1)  # several while it is changed
    encoding_aes_keys: tuple[SecretStr, ...] = Field(min_length=1)  # several while it is changed
    agent_id: int | None = None  # AgentId of the app that colleagues write to
    customer_service: bool = False  # 微信客服
    open_kfids: tuple[str, ...] = ()  # 客服帐号 that are read; empty: all that the secret may see
    poll_seconds: float = Field(default=300, ge=1)  # how often they are read without a callback
    backlog_hours: float = Field(default=1, ge=0, le=72)  # how old messages may be when the account is read first
    size_limit: int = Field(default=256 * 1024, gt=0)  # octets of a request's body; more is 413
    api: str = "https://qyapi.weixin.qq.com"

    @model_validator(mode="after")
    def somebody_writes(self) -> Self:
        if self.agent_id is None and not self.customer_service:
            raise ValueError("write agent_id (an app's), or customer_service: true (微信客服), or both")
        return self


class Wecom:
    name: ClassVar[str] = "wecom"
    Settings: ClassVar[type[AccountSettings]] = WecomSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {
        "corp_id": "ww", "secret": "none", "tokens": ["none"], "encoding_aes_keys": ["A" * 43], "agent_id": 1,
    }  # fmt: skip
    settings: WecomSettings

    def __init__(self, settings: WecomSettings) -> None:
        self.settings = settings
        place = where(settings, "encoding_aes_keys")
        self._seal = Seal(settings.tokens, settings.encoding_aes_keys, settings.corp_id, place)
        self._fields = lru_cache(maxsize=64)(self._read)
        self._api = Api(Vendor(settings.api, allow_private=settings.allow_private), self._new_token)
        backlog = timedelta(hours=settings.backlog_hours)
        self._sync = Sync(self._api, settings.account, settings.open_kfids, settings.poll_seconds, backlog)

    # At the door

    def greet(self, request: Request) -> Response | None:
        """The URL is checked by a GET: say what is sealed in `echostr`."""
        if request.method != "GET":
            return None
        sealed = request.query.get("echostr", "").replace(" ", "+")  # where somebody forgot to encode the +
        self._seal.verify(request.query, request.received_at, sealed, name="msg_signature")
        try:
            return Response(200, self._seal.open(sealed))
        except Unreadable as error:
            raise Rejected(error.reason) from None

    def verify(self, request: Request) -> None:
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        try:
            sealed = fields(request.body).get("Encrypt", "")
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None
        if not sealed:
            raise Rejected("not sealed: no Encrypt in it")
        self._seal.verify(request.query, request.received_at, sealed, name="msg_signature")
        try:
            self._fields(request.body)
        except Unreadable as error:
            raise Rejected(error.reason) from None

    def _read(self, body: bytes) -> Mapping[str, str]:
        """The fields of what was said, unsealed. Raises Unreadable."""
        outer = fields(body)
        return fields(self._seal.open(outer["Encrypt"])) if outer.get("Encrypt") else outer

    def key(self, request: Request) -> str:
        try:
            field = self._fields(request.body)
        except Unreadable:
            return digest(request.body)
        return external_id(field) or digest(*(part for pair in sorted(field.items()) for part in pair))

    def lane(self, request: Request) -> str:
        try:
            field = self._fields(request.body)
        except Unreadable:
            return self.settings.account
        return word(field, "FromUserName") or self.settings.account

    def answer(self, request: Request) -> Response:
        """Besides, whoever reads 微信客服 here is woken."""
        with suppress(Unreadable):
            field = self._fields(request.body)
            if self.settings.customer_service and field.get("Event") == "kf_msg_or_event":
                self._sync.told(word(field, "OpenKfId"), word(field, "Token"))
        return Response(200)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        if envelope.body.lstrip()[:1] in (b"{", b"["):
            return self._served(envelope, json_of(envelope.body))
        field = self._fields(envelope.body)
        found = message(envelope, field, "wecom", {}, word(field, "AgentID"))
        return [found] if found else []

    def _served(self, envelope: Envelope, said: Any) -> Sequence[Message]:
        """Of 微信客服: one item, or the list as the vendor gives it."""
        items = said.get("msg_list") if isinstance(said, dict) and "msg_list" in said else [said]
        if not isinstance(items, list):
            raise Unreadable("msg_list is no list")
        found, faults = [], []
        for item in items:
            try:
                found.append(wecom_kf.message(envelope, item))
            except Unreadable as error:
                faults.append(error.reason)
        messages = [one for one in found if one]
        if faults:
            raise Unreadable("; ".join(faults[:20]), readable=messages)
        return messages

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        return await self._api.fetch(attachment, self.settings.media, now)

    # 微信客服

    def resume(self, recall: Recall) -> None:
        self._sync.recall = recall

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        """Where there is no 微信客服 nothing is read."""
        await (self._sync.listen(accept, clock) if self.settings.customer_service else asyncio.Event().wait())

    # Answers

    async def send(self, reply: Reply, now: datetime) -> Sent:
        ours = reply.written_to or reply.thread_key.partition(":")[0]
        if self.settings.agent_id is not None and ours in ("", str(self.settings.agent_id)):
            return await self._send_by_app(reply, self.settings.agent_id, now)
        if not self.settings.customer_service or not ours:
            raise Refused("they wrote neither to this app nor to 微信客服")
        if reply.answering and now - reply.answering > WINDOW:
            raise Refused("they last wrote more than 48 hours ago: nobody may write to them until they write again")
        ids = []
        for n, body in enumerate(bodies(reply, clicked_served)):
            named = digest(reply.id, n) if n else reply.id  # the same on every attempt
            asking = {"touser": reply.to.address, "open_kfid": ours, "msgid": named[:32], **body}
            answer = await self._api.call("POST", "/cgi-bin/kf/send_msg", now, asking)
            ids.append(str(answer.get("msgid") or named))
        return Sent(external_id=ids[0] if ids else "")

    async def _send_by_app(self, reply: Reply, agent_id: int, now: datetime) -> Sent:
        answer: dict[str, Any] = {}
        for body in app_bodies(reply):
            asking = {"touser": reply.to.address, "agentid": agent_id, **body}
            answer = await self._api.call("POST", "/cgi-bin/message/send", now, asking)
            if reply.to.address.lower() in str(answer.get("invaliduser", "")).lower().split("|"):
                raise Refused("no such colleague, or one the app may not see", bounced=True)
        return Sent(external_id=str(answer.get("msgid", "")))

    async def _new_token(self, now: datetime) -> tuple[str, timedelta]:
        params = {"corpid": self.settings.corp_id, "corpsecret": self.settings.secret.get_secret_value()}
        return token_of(await self._api.raw("GET", "/cgi-bin/gettoken", now, params=params))

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"wecom/{self.settings.account}"
        try:
            await self._api.token.get(now)
        except Coded as error:
            return [error.told(f"{what} access token")]
        except SendingError as error:
            return [Finding(f"{what} access token", error.reason, False)]
        found = [Finding(f"{what} access token", "ok")]
        if self.settings.agent_id is not None:
            agent = {"agentid": str(self.settings.agent_id)}
            found.append(await self._api.tried(f"{what} app", "GET", "/cgi-bin/agent/get", now, params=agent))
        if self.settings.customer_service:
            listing = {"offset": 0, "limit": 100}
            found.append(await self._api.tried(f"{what} 微信客服", "POST", "/cgi-bin/kf/account/list", now, listing))
        return found

    async def close(self) -> None:
        await self._api.vendor.close()
