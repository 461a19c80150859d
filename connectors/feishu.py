"""飞书 (Feishu, Lark): a bot people write to, alone or in groups.

    im.message.receive_v1           what somebody says
    im.message.recalled_v1          takes back
    im.message.reaction.created_v1  answers with a face
    card.action.trigger             or with a button of ours
    message                         the same of the first version of events

Everything else that Feishu tells is nobody's message. What is not answered within three seconds comes again,
after 15 s, 5 min, 1 h and 6 h.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

import orjson
from pydantic import Field, SecretStr, model_validator

from connectors.base import AccountSettings, ChatSettings, Finding, Request, Response
from connectors.feishu_api import Api
from connectors.feishu_content import addressed, mentions, read
from connectors.feishu_events import CHALLENGE, Event, known, opened, prove
from connectors.reading import moment, within, word
from normalizer.canon import Address, Attachment, Envelope, Kind, Message, Reply, Sent, digest
from normalizer.charset import clean
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

RECEIVED = {
    "toast": {"type": "success", "content": "已收到", "i18n": {"zh_cn": "已收到", "en_us": "Received"}},
}


class FeishuSettings(ChatSettings):
    app_id: str
    app_secret: SecretStr
    encrypt_key: SecretStr | tuple[SecretStr, ...] = ()  # 加密策略: several while it is changed
    verification_token: SecretStr | tuple[SecretStr, ...] = ()
    bot: str = ""  # our open_id (`ticketgate doctor` tells it) or name, to know ourselves among those who are mentioned
    groups: Literal["mentioned", "all", "none"] = "mentioned"  # what of groups is taken
    api: str = Field(default="https://open.feishu.cn", pattern="^https?://")  # of Lark https://open.larksuite.com

    @model_validator(mode="after")
    def proven(self) -> Self:
        given = [*_secrets(self.encrypt_key), *_secrets(self.verification_token)]
        if not given or not all(given):
            raise ValueError("give encrypt_key (better) or verification_token: 事件与回调 > 加密策略")
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
        return _json({"challenge": event.challenge})

    def verify(self, request: Request) -> None:
        try:
            event = opened(request.body, self._keys)
        except Unreadable as error:
            status, code = (400, "malformed") if error.code == "malformed" else (401, "unverified")
            raise Rejected(error.reason, status=status, code=code) from None
        prove(request.headers, request.body, event, self._keys, self._tokens)

    def key(self, request: Request) -> str:
        event = self._opened(request.body)
        return digest("feishu", event.id) if event and event.id else digest(request.body)

    def lane(self, request: Request) -> str:
        event = self._opened(request.body)
        return _chat(event.said) if event else ""

    def answer(self, request: Request) -> Response:
        event = self._opened(request.body)
        return _json(RECEIVED if event and event.type == "card.action.trigger" else {})

    def _opened(self, body: bytes) -> Event | None:
        try:
            return opened(body, self._keys)
        except Unreadable:
            return None

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        event = opened(envelope.body, self._keys)
        readers: Mapping[str, Callable[[Envelope, Event], Message | None]] = {
            "im.message.receive_v1": self._said,
            "message": self._said,
            "im.message.recalled_v1": self._recalled,
            "im.message.reaction.created_v1": self._reaction,
            "card.action.trigger": self._pressed,
        }
        reader = readers.get(event.type)
        message = reader(envelope, event) if reader else None
        return [message] if message else []

    def _said(self, envelope: Envelope, event: Event) -> Message | None:
        said, sender = within(event.said, "message"), within(event.said, "sender")
        kind = word(said, "message_type", "msg_type")
        if word(sender, "sender_type") in ("app", "bot") or kind == "system" or not self._ours(said):
            return None
        id, group = word(said, "message_id"), word(said, "chat_type") not in ("p2p", "")
        who = _person(within(sender, "sender_id") or within(sender, "id"))
        if not (id and who.address):
            raise Unreadable("a message without message_id or sender_id")
        text, files = read(kind, said.get("content"), mentions(said.get("mentions"), self.settings.bot), id)
        parent, root = word(said, "parent_id"), word(said, "root_id")
        return self._message(
            envelope, event, id, who,
            sent_at=moment(word(said, "create_time")),
            in_reply_to=parent or root,
            references=(root,) if root and root != parent else (),
            thread_key=_conversation(word(said, "chat_id"), word(said, "thread_id"), who if group else None),
            text=text,
            full_text=text,
            attachments=files,
        )  # fmt: skip

    def _ours(self, said: Mapping[str, Any]) -> bool:
        """Whether it is meant for us: Feishu passes on more of a group if the app has the permission."""
        if word(said, "chat_type") in ("p2p", "") or self.settings.groups == "all":
            return True
        return self.settings.groups == "mentioned" and addressed(said.get("mentions"), self.settings.bot)

    def _recalled(self, envelope: Envelope, event: Event) -> Message:
        id, at = word(event.said, "message_id"), moment(word(event.said, "recall_time"))
        if not id:
            raise Unreadable("taken back, but no message_id says what")
        nobody = Address("feishu", "")  # Feishu does not say who it was
        # Nor in which conversation of a group it stood: its ticket is found by the message itself.
        told = {"sent_at": at, "in_reply_to": id}
        return self._message(envelope, event, id, nobody, kind=Kind.DELETE, revision="deleted", **told)

    def _reaction(self, envelope: Envelope, event: Event) -> Message | None:
        who, emoji = _person(within(event.said, "user_id")), word(within(event.said, "reaction_type"), "emoji_type")
        if not (who.address and emoji) or word(event.said, "operator_type") == "app":
            return None
        at, of = moment(word(event.said, "action_time")), word(event.said, "message_id")
        told = {"sent_at": at, "in_reply_to": of, "text": emoji, "full_text": emoji}
        return self._message(envelope, event, event.id or f"{of}/{who.address}", who, kind=Kind.REACTION, **told)

    def _pressed(self, envelope: Envelope, event: Event) -> Message | None:
        """A button under our words. What it bears came from us, since Feishu signed it."""
        value, who = within(event.said, "action", "value"), _person(within(event.said, "operator"))
        code = word(value, "choice")
        if not (code and who.address and event.id):
            return None
        label = clean(word(value, "label")) or code
        card = word(within(event.said, "context"), "open_message_id") or word(event.said, "open_message_id")
        thread = word(value, "thread") or _chat(event.said)
        told = {
            "in_reply_to": card,
            "thread_key": thread,
            "text": label,
            "full_text": label,
            "claims": {"choice": code},
        }
        return self._message(envelope, event, event.id, who, kind=Kind.POSTBACK, **told)

    def _message(self, envelope: Envelope, event: Event, id: str, who: Address, **more: Any) -> Message:
        scope = event.app or self.settings.app_id
        return Message(
            channel="feishu", connector=envelope.connector, account=envelope.account, envelope=envelope.id, scope=scope,
            external_id=id, sender=who, to=(Address("feishu", scope),), received_at=envelope.received_at, proven=True,
            **more,
        )  # fmt: skip

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


def _chat(said: Mapping[str, Any]) -> str:
    places = (within(said, "message"), said, within(said, "context"))
    return next(filter(None, (word(place, "chat_id", "open_chat_id") for place in places)), "")


def _person(ids: Mapping[str, Any]) -> Address:
    return Address("feishu", word(ids, "open_id", "union_id", "user_id"))


def _conversation(chat: str, topic: str, who: Address | None) -> str:
    """Alone with somebody all is one; in a group each topic, or what each person says."""
    return f"{chat}/{topic or who.address}" if who and chat else chat or (who.address if who else "")


def _json(said: Any) -> Response:
    return Response(200, orjson.dumps(said), "application/json; charset=utf-8")
