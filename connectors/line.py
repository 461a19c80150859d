"""LINE: what people write to an official account, and answers by reply token or push.

https://developers.line.biz/en/reference/messaging-api/. A reply costs nothing, but its token is good once and for about
a minute; later words are pushed, of which a plan has so many a month. What a batch says: line_events.py.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, SecretStr, model_validator

from connectors import line_events
from connectors.base import AccountSettings, ChatSettings, Finding, Request, Response
from connectors.calling import retry_after
from connectors.line_api import Api, first, refused, said
from connectors.vendor import pieces, utf16
from normalizer.canon import Attachment, Choice, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, SendingError, Unavailable, Unreadable

LONGEST, AT_ONCE = 5000, 5  # UTF-16 code units of a text message; messages of one call
BUTTONS, LABEL = 13, 20
FRESH = timedelta(seconds=50)  # "must be used within one minute after receiving the webhook"
PREPARING = timedelta(seconds=5)  # until a film may be there
REMEMBERED = 1000  # reply tokens
_MESSAGE_ID = re.compile(r"\w{1,64}", re.ASCII)


class LineSettings(ChatSettings):
    channel_secrets: tuple[SecretStr, ...] = Field(min_length=1)  # what LINE signs with; several while it is changed
    channel_access_token: SecretStr | None = None  # a long-lived one
    channel_id: str = ""  # in its place: short-lived tokens are asked for with it and the first secret
    groups: Literal["all", "mentioned", "none"] = "all"  # of what is said in groups and rooms
    api: str = "https://api.line.me"
    data_api: str = "https://api-data.line.me"

    @model_validator(mode="after")
    def whole(self) -> Self:
        if not all(secret.get_secret_value() for secret in self.channel_secrets):
            raise ValueError("channel_secrets: one is empty")
        if bool(self.channel_access_token) == bool(self.channel_id):
            raise ValueError("give either channel_access_token or channel_id")
        return self


class Line:
    name: ClassVar[str] = "line"
    Settings: ClassVar[type[AccountSettings]] = LineSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"channel_secrets": ["none"], "channel_access_token": "none"}

    def __init__(self, settings: LineSettings) -> None:
        self.settings = settings
        self._keys = [secret.get_secret_value().encode() for secret in settings.channel_secrets]
        token = settings.channel_access_token
        self._api = Api(
            settings.api,
            settings.data_api,
            token.get_secret_value() if token else "",
            (settings.channel_id, settings.channel_secrets[0].get_secret_value()),
            allow_private=settings.allow_private,
        )
        self._spent: dict[str, str] = {}  # reply token -> the reply it was tried for

    # At the door

    def greet(self, request: Request) -> Response | None:
        return None

    def verify(self, request: Request) -> None:
        """https://developers.line.biz/en/docs/messaging-api/verify-webhook-signature/"""
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        offered = request.headers.get("x-line-signature", "").encode("utf-8", "surrogatepass")
        macs = [base64.b64encode(hmac.digest(key, request.body, hashlib.sha256)) for key in self._keys]
        if not sum(hmac.compare_digest(mac, offered) for mac in macs):
            raise Rejected("no signature matches: is channel_secrets the secret of this channel?")
        try:
            line_events.posted(request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None

    def key(self, request: Request) -> str:
        """Of the events' ids: a redelivered batch says so within, and is another body."""
        destination, events = _posted(request.body)
        ids = [event.get("webhookEventId") if isinstance(event, dict) else None for event in events]
        known = bool(ids) and all(isinstance(one, str) and one for one in ids)
        return digest("line", destination, *map(str, ids)) if known else digest(request.body)

    def lane(self, request: Request) -> str:
        destination, events = _posted(request.body)
        places = {line_events.conversation(event) for event in events}
        return (places.pop() if len(places) == 1 else destination) or self.settings.account

    def answer(self, request: Request) -> Response:
        return Response(200)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        destination, events = line_events.posted(envelope.body)
        readable, faults = [], []
        for part, event in enumerate(events):
            try:
                found = line_events.message(envelope, part, event, destination, self.settings.groups)
            except Unreadable as error:
                faults.append(f"event {part + 1}: {error.reason}")
            else:
                readable.extend([found] if found else [])
        if faults:
            raise Unreadable("; ".join(faults[:20]), readable=readable)
        return readable

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        if not _MESSAGE_ID.fullmatch(attachment.remote):  # in the sender's own keeping; our token goes nowhere else
            return await self._api.vendor.download(attachment, attachment.remote, self.settings.media, now)
        content = f"/v2/bot/message/{attachment.remote}/content"
        if attachment.media_type.startswith(("audio/", "video/")):
            answer = await self._api.ask("GET", content + "/transcoding", now, data=True)
            if said(answer, "status") == "processing":
                raise Unavailable("LINE is still preparing it", wait=PREPARING)
        got = await self._api.download(attachment, content, self.settings.media, now)
        if not (got.size or got.missing):  # 202
            raise Unavailable("LINE is still preparing it", wait=PREPARING)
        return got

    # Answering

    async def send(self, reply: Reply, now: datetime) -> Sent:
        """The first five by the reply token as long as it is good, all others by push."""
        worded = _worded(reply)
        calls = [worded[at : at + AT_ONCE] for at in range(0, len(worded), AT_ONCE)]
        sent = []
        for n, messages in enumerate(calls):
            replied = await self._reply(reply, messages, now) if n == 0 else None
            sent.append(replied if replied is not None else await self._push(reply, n, messages, now))
        return Sent(next((identity for identity in sent if identity), ""))

    async def _reply(self, reply: Reply, messages: Sequence[Any], now: datetime) -> str | None:
        """The first message's id; None if the token is no good any more.

        A token is good once. That it is not, in time, and was not tried for another reply, says that an attempt of
        this very one got through whose answer was lost.
        """
        token = reply.reply_token
        if not (token and reply.answering and now - reply.answering <= FRESH):
            return None
        before = self._spent.get(token)
        if before not in (None, reply.id):
            return None
        if len(self._spent) >= REMEMBERED:
            self._spent.clear()
        self._spent[token] = reply.id
        answer = await self._api.ask(
            "POST", "/v2/bot/message/reply", now, json={"replyToken": token, "messages": messages}, even=(400,)
        )
        if answer.status != 400:
            return first(answer)
        if "reply token" not in said(answer, "message").lower():
            raise refused(answer)
        return "" if before else None

    async def _push(self, reply: Reply, n: int, messages: Sequence[Any], now: datetime) -> str:
        """The retry key lets LINE know an attempt again for a day: 409 says that it got through."""
        key = digest("line", reply.id, n)
        headers = {"X-Line-Retry-Key": "-".join((key[:8], key[8:12], key[12:16], key[16:20], key[20:]))}
        pushed = {"to": reply.thread_key or reply.to.address, "messages": messages}
        answer = await self._api.ask(
            "POST", "/v2/bot/message/push", now, json=pushed, headers=headers, even=(400, 403, 409, 429)
        )
        if answer.status in (400, 403):
            raise refused(answer)
        if answer.status == 429 and "monthly" in said(answer, "message").lower():
            raise Refused("LINE: this month's push messages are used up: see the account's plan")
        if answer.status == 429:
            raise Unavailable("answered 429", wait=retry_after(answer.headers.get("retry-after", ""), now))
        return first(answer)

    async def close(self) -> None:
        await self._api.close()

    # Trying it

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"{self.name}/{self.settings.account}"
        return [replace(finding, what=f"{what} {finding.what}") async for finding in self._examined(now)]

    async def _examined(self, now: datetime) -> AsyncIterator[Finding]:
        try:
            bot = await self._api.ask("GET", "/v2/bot/info", now)
        except SendingError as error:
            yield Finding("access token", error.reason, False, "LINE Developers Console > Messaging API")
            return
        yield Finding("access token", f"lets us speak for {said(bot, 'displayName')} {said(bot, 'basicId')}")
        try:
            hook = await self._api.ask("GET", "/v2/bot/channel/webhook/endpoint", now)
            quota = await self._api.ask("GET", "/v2/bot/message/quota", now)
            used = await self._api.ask("GET", "/v2/bot/message/quota/consumption", now)
        except SendingError as error:
            yield Finding("webhook", error.reason, False, "LINE Developers Console > Messaging API > Webhook URL")
            return
        ours = said(hook, "endpoint").endswith(f"/in/line/{self.settings.account}")
        well = ours and isinstance(hook.data, dict) and hook.data.get("active") is True
        found = f"{said(hook, 'endpoint') or 'none'}, {'on' if well else 'off, or not this account'}"
        yield Finding("webhook", found, well, "" if well else "set Webhook URL and switch on Use webhook")
        yield _left(said(quota, "value"), said(used, "totalUsage"))


def _left(value: str, used: str) -> Finding:
    """Of this month's push messages; no value is no limit."""
    spent = value.isdecimal() and used.isdecimal() and int(used) >= int(value)
    found = f"{used or '?'} of {value or 'any number'}"
    return Finding("push messages this month", found, not spent, "only replies leave until next month" if spent else "")


def _worded(reply: Reply) -> list[dict[str, Any]]:
    """As text messages, with buttons under the last; choices beyond what LINE shows are words."""
    more = [f"· {choice.label}" for choice in reply.choices[BUTTONS:]]
    parts = pieces("\n".join([reply.text.strip(), *more]), LONGEST, utf16)
    messages: list[dict[str, Any]] = [{"type": "text", "text": part} for part in parts]
    buttons = [_button(choice) for choice in reply.choices[:BUTTONS]]
    if buttons and messages:
        messages[-1]["quickReply"] = {"items": [{"type": "action", "action": button} for button in buttons]}
    return messages


def _button(choice: Choice) -> dict[str, str]:
    label = choice.label if utf16(choice.label) <= LABEL else pieces(choice.label, LABEL - 1, utf16)[0] + "…"
    brings = line_events.data(choice.code, choice.label)
    return {"type": "postback", "label": label, "data": brings, "displayText": choice.label[:300]}


def _posted(body: bytes) -> tuple[str, Sequence[Any]]:
    with suppress(Unreadable):
        return line_events.posted(body)
    return "", ()
