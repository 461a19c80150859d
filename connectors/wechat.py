"""微信公众号 (and 小程序客服): messages and events come by callback.

within 5 seconds   what we say goes back in the answer to the request (wechat_passive.py)
later              by the customer-service API: at most 5 times within 48 hours after they wrote, and from verified
                   accounts only
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from connectors.base import AccountSettings, ChatSettings, Finding, Request, Response, Secret, where
from connectors.vendor import Vendor
from connectors.wechat_api import Api, Coded, token_of
from connectors.wechat_crypto import Seal, element, fields
from connectors.wechat_passive import Passive
from connectors.wechat_replies import LONGEST, bodies, clicked, octets, passive_words
from connectors.wechat_words import external_id, message, said, word
from normalizer.canon import Attachment, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, SendingError, Unreadable

WINDOW = timedelta(hours=48)  # in which they may be written to, after they wrote


class WechatSettings(ChatSettings):
    app_id: str = Field(min_length=1)  # AppID: wx...
    app_secret: SecretStr | None = None  # without it only passive replies are sent, and no files fetched but pictures
    tokens: tuple[Secret, ...] = Field(min_length=1)  # several while it is changed
    encoding_aes_keys: tuple[SecretStr, ...] = ()  # several while it is changed; the first one seals answers
    mode: Literal["aes", "plain", "compatible"] = "aes"  # 安全模式, 明文模式, 兼容模式
    passive_seconds: float = Field(default=3.5, ge=0, le=4.5)  # how long an answer is waited for; 0: not at all
    menu: Mapping[str, str] = Field(default_factory=dict)  # keys of menu buttons that are for people, with their labels
    size_limit: int = Field(default=256 * 1024, gt=0)  # octets of a request's body; more is 413
    api: str = "https://api.weixin.qq.com"

    @model_validator(mode="after")
    def sealed(self) -> Self:
        if self.mode != "plain" and not self.encoding_aes_keys:
            raise ValueError(f"mode {self.mode} needs encoding_aes_keys; without any write mode: plain (明文模式)")
        return self


class Wechat:
    name: ClassVar[str] = "wechat"
    Settings: ClassVar[type[AccountSettings]] = WechatSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"app_id": "wx", "tokens": ["none"], "mode": "plain"}
    settings: WechatSettings

    def __init__(self, settings: WechatSettings) -> None:
        self.settings = settings
        place = where(settings, "encoding_aes_keys")
        self._seal = Seal(settings.tokens, settings.encoding_aes_keys, settings.app_id, place)
        self._fields = lru_cache(maxsize=64)(self._read)
        self._waiting = Passive()
        self._rejected_token = ""
        self._api = Api(Vendor(settings.api, allow_private=settings.allow_private), self._new_token)

    # At the door

    def greet(self, request: Request) -> Response | None:
        """The URL is checked by a GET: echo what it says, if it is signed."""
        if request.method != "GET":
            return None
        self._seal.verify(request.query, request.received_at)
        return Response(200, request.query.get("echostr", "").encode("utf-8", "replace"))

    def verify(self, request: Request) -> None:
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        try:
            outer = fields(request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None
        sealed = self._sealed(outer)
        if self.settings.mode == "aes" and not sealed:
            raise Rejected("not sealed: switch on 安全模式, or write mode: compatible")
        if not sealed:
            return self._seal.verify(request.query, request.received_at)
        self._seal.verify(request.query, request.received_at, sealed, name="msg_signature")
        try:
            self._fields(request.body)
        except Unreadable as error:
            raise Rejected(error.reason) from None

    def _sealed(self, outer: Mapping[str, str]) -> str:
        return "" if self.settings.mode == "plain" else outer.get("Encrypt", "")

    def _read(self, body: bytes) -> Mapping[str, str]:
        """The fields of what was said, unsealed. Raises Unreadable."""
        outer = fields(body)
        sealed = self._sealed(outer)
        return fields(self._seal.open(sealed)) if sealed else outer

    def key(self, request: Request) -> str:
        try:
            return external_id(self._fields(request.body)) or digest(request.body)
        except Unreadable:
            return digest(request.body)

    def lane(self, request: Request) -> str:
        try:
            return word(self._fields(request.body), "FromUserName") or self.settings.account
        except Unreadable:
            return self.settings.account

    def answer(self, request: Request) -> Response:
        return Response(200, b"success")

    async def respond(self, request: Request) -> Response:
        """What `send` is given for them within `passive_seconds`; `success` if that is nothing."""
        try:
            field = self._fields(request.body)
        except Unreadable:
            return self.answer(request)
        if not self.settings.passive_seconds or said(field, self.settings.menu) is None:
            return self.answer(request)
        words = await self._waiting.words(self.key(request), self.lane(request), self.settings.passive_seconds)
        return self._passive(request, field, words) if words else self.answer(request)

    def _passive(self, request: Request, field: Mapping[str, str], words: str) -> Response:
        """https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Passive_user_reply_message.html"""
        xml = element({
            "ToUserName": field.get("FromUserName", ""), "FromUserName": field.get("ToUserName", ""),
            "CreateTime": int(request.received_at.timestamp()), "MsgType": "text", "Content": words,
        })  # fmt: skip
        if self._sealed(fields(request.body)):
            xml = self._seal.answer(xml, request.query.get("timestamp", "0"), request.query.get("nonce", ""))
        return Response(200, xml.encode("utf-8", "replace"), "application/xml; charset=utf-8")

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        field = self._fields(envelope.body)
        found = message(envelope, field, "wechat", self.settings.menu, word(field, "ToUserName"))
        return [found] if found else []

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        if self.settings.app_secret is None and not attachment.remote.startswith("http"):
            raise Refused("no app_secret: files cannot be fetched")
        return await self._api.fetch(attachment, self.settings.media, now)

    # Answers

    async def send(self, reply: Reply, now: datetime) -> Sent:
        words = passive_words(reply)
        if octets(words) <= LONGEST and self._waiting.offer(reply.to.address, words):
            return Sent()
        if reply.answering and now - reply.answering > WINDOW:
            raise Refused("they last wrote more than 48 hours ago: nobody may write to them until they write again")
        if self.settings.app_secret is None:
            raise Refused("no app_secret: only what is ready within 5 seconds of their message can be said")
        for body in bodies(reply, clicked):
            await self._api.call("POST", "/cgi-bin/message/custom/send", now, {"touser": reply.to.address, **body})
        return Sent()  # the vendor names it nothing

    async def _new_token(self, now: datetime) -> tuple[str, timedelta]:
        """The stable one, which others of the company's programs share; a new one only if that is not taken any more.

        https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/getStableAccessToken.html
        """
        token, lives = await self._stable_token(now, force=False)
        if token == self._rejected_token:
            token, lives = await self._stable_token(now, force=True)
        self._rejected_token = token  # it is asked for again before its time only when it was rejected
        return token, lives

    async def _stable_token(self, now: datetime, *, force: bool) -> tuple[str, timedelta]:
        secret = self.settings.app_secret
        if secret is None:
            raise Refused("no app_secret is set")
        who = {"appid": self.settings.app_id, "secret": secret.get_secret_value()}
        asking = {"grant_type": "client_credential", **who, "force_refresh": force}
        return token_of(await self._api.raw("POST", "/cgi-bin/stable_token", now, asking))

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"wechat/{self.settings.account}"
        if self.settings.app_secret is None:
            hint = "set app_secret to answer later than 5 seconds and to fetch files"
            return [Finding(what, "no app_secret: passive replies only", hint=hint)]
        try:
            await self._api.token.get(now)
        except Coded as error:
            return [error.told(f"{what} access token")]
        except SendingError as error:
            return [Finding(f"{what} access token", error.reason, False)]
        quota = {"cgi_path": "/cgi-bin/message/custom/send"}
        return [
            Finding(f"{what} access token", "ok"),
            await self._api.tried(f"{what} API", "GET", "/cgi-bin/getcallbackip", now),
            await self._api.tried(f"{what} answering", "POST", "/cgi-bin/openapi/quota/get", now, quota),
        ]

    async def close(self) -> None:
        self._waiting.close()
        await self._api.vendor.close()
