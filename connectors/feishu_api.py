"""Feishu's API, as far as a bot needs it: an access token, saying something, files people left, who we are.

open.feishu.cn/document/server-docs/im-v1/message/create, .../reply, .../message/get-2 (files),
open.feishu.cn/document/server-docs/authentication-management/access-token/tenant_access_token_internal
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from connectors.base import MediaSettings
from connectors.calling import retry_after
from connectors.reading import within, word
from connectors.vendor import Answer, Token, Vendor, pieces
from normalizer.canon import Attachment, Reply, Sent
from normalizer.errors import Refused, Unavailable

# Of a text the request may have 150 KB, of a card 30 KB; a character is at most 4 octets of it, escaped or not.
TEXT, CARD = 30_000, 6_000
BUTTONS = 10

STALE = (99991661, 99991663, 99991664, 99991665, 99991668)  # the access token is no good any more
MENDABLE = (*STALE, 99991672, 230006, 230027)  # by the operator: it waits for them
BUSY = (99991400, 11232, 230020, 230049, 230101)
GONE = (230029, 230053)  # has left the company; has stopped the bot
UNANSWERABLE = (230011, 230019, 230110, 230071)  # the message was taken back: say it without quoting
WORDS = {
    230002: "the bot is not in this group any more",
    230006: "the app has no bot: switch on 机器人 in its features and publish a version",
    230013: "this person is outside of the app's 可用范围",
    230018: "this group lets bots say nothing",
    230022: "Feishu takes it for improper",
    230027: "the app lacks the permission 以应用的身份发消息 (im:message:send_as_bot)",
    230029: "this person has left the company",
    230035: "the bot may not say anything here",
    230053: "this person does not want to hear from the bot",
    232009: "the group is dissolved",
}
NOT_ALLOWED = "the app may not do this: are its permissions granted, and a version published since?"
_AT = re.compile(r"<(?=/?at\b)", re.IGNORECASE)  # would call somebody, or everybody
_MESSAGE = re.compile(r"om_[\w-]{1,120}", re.ASCII)


class Api:
    """Of one app."""

    def __init__(self, base: str, app_id: str, secret: str, *, allow_private: bool) -> None:
        self._app_id, self._secret = app_id, secret
        self.vendor = Vendor(base, allow_private=allow_private)
        self._token = Token(self._ask_token)

    async def say(self, reply: Reply, now: datetime) -> Sent:
        """Text, or a card with buttons. The same piece sent again within the hour is one message to Feishu."""
        buttons = reply.choices[:BUTTONS]
        rest = "".join(f"\n· {one.label}" for one in reply.choices[BUTTONS:])
        said = pieces(reply.text.strip() + rest, CARD if buttons else TEXT)
        sent = Sent()
        for number, piece in enumerate(said):
            last = number == len(said) - 1
            card: dict[str, Any] | None = {"elements": [_words(piece), _buttons(reply)]} if buttons and last else None
            content = card or {"text": _AT.sub("＜", piece)}
            body = {"msg_type": "interactive" if card else "text", "content": orjson.dumps(content).decode()}
            sent = await self._deliver(reply, {**body, "uuid": f"{reply.id[:40]}-{number}"}, now)
        return sent

    async def _deliver(self, reply: Reply, body: Mapping[str, Any], now: datetime) -> Sent:
        if _MESSAGE.fullmatch(reply.in_reply_to):
            path = f"/open-apis/im/v1/messages/{reply.in_reply_to}/reply"
            answer = await self._call("POST", path, now, body)
            if word(answer.data, "code") not in map(str, UNANSWERABLE):
                return _sent(answer, now)
        chat = reply.thread_key.partition("/")[0]
        to, kind = (chat, "chat_id") if chat.startswith("oc_") else (reply.to.address, _kind_of(reply.to.address))
        path = f"/open-apis/im/v1/messages?receive_id_type={kind}"
        return _sent(await self._call("POST", path, now, {**body, "receive_id": to}), now)

    async def _call(self, method: str, path: str, now: datetime, body: Any = None) -> Answer:
        """One question with our token; with a new one if Feishu does not take it. Errors are in the answer."""
        for again in (False, True):
            token = await self._token.get(now)
            headers = {"authorization": f"Bearer {token}"}
            answer = await self.vendor.ask(
                method, path, now, json=body, headers=headers, even=(400, 401, 403, 404, 429)
            )
            if word(answer.data, "code") not in map(str, STALE) or again:
                break
            self._token.spoilt(token)
        return answer

    async def _ask_token(self, now: datetime) -> tuple[str, timedelta]:
        path = "/open-apis/auth/v3/tenant_access_token/internal"
        said = {"app_id": self._app_id, "app_secret": self._secret}
        answer = await self.vendor.ask("POST", path, now, json=said, even=(400, 401, 403, 429))
        try:
            _judge(answer, now)
        except Refused as error:
            raise Unavailable(f"no access token: {error.reason}") from None
        token, lives = word(answer.data, "tenant_access_token"), word(answer.data, "expire")
        if not token:
            raise Unavailable("no access token in the answer")
        return token, timedelta(seconds=int(lives) if lives.isdecimal() else 1800)

    async def fetch(self, attachment: Attachment, limits: MediaSettings, now: datetime) -> Attachment:
        message, key, way = attachment.remote.split("/")
        path = f"/open-apis/im/v1/messages/{message}/resources/{key}?type={way}"
        for again in (False, True):
            headers = {"authorization": f"Bearer {await self._token.get(now)}"}
            try:
                return await self.vendor.download(attachment, self.vendor.base + path, limits, now, headers=headers)
            except Refused:  # 400, be it that the file is gone, the token old, or a permission missing
                if again:
                    raise
            answer = await self._call("GET", path, now)  # which says why, with a new token if need be
            if answer.status >= 300:
                _judge(answer, now)
        raise AssertionError

    async def bot(self, now: datetime) -> Mapping[str, Any]:
        """Who we are: app_name, open_id, activate_status."""
        answer = await self._call("GET", "/open-apis/bot/v3/info", now)
        _judge(answer, now)
        return within(answer.data, "bot")

    async def close(self) -> None:
        await self.vendor.close()


def _kind_of(id: str) -> str:
    return {"ou_": "open_id", "on_": "union_id"}.get(id[:3], "user_id")


def _words(text: str) -> dict[str, Any]:
    return {"tag": "div", "text": {"tag": "plain_text", "content": text}}


def _buttons(reply: Reply) -> dict[str, Any]:
    return {
        "tag": "action",
        "actions": [
            {
                "tag": "button",
                "text": {"tag": "plain_text", "content": one.label},
                "type": "default",
                "value": {"choice": one.code, "label": one.label, "thread": reply.thread_key},
            }
            for one in reply.choices[:BUTTONS]
        ],
    }


def _sent(answer: Answer, now: datetime) -> Sent:
    _judge(answer, now)
    return Sent(external_id=word(within(answer.data, "data"), "message_id"))


def _judge(answer: Answer, now: datetime) -> None:
    """Raise what an answer means that is not well."""
    said = word(answer.data, "code")
    code = int(said) if said.isdecimal() else -1
    if code == 0 and answer.status < 300:
        return
    if code in BUSY or answer.status == 429:
        wait = answer.headers.get("x-ogw-ratelimit-reset") or answer.headers.get("retry-after", "")
        raise Unavailable(f"answered {answer.status}, code {code}: too much at once", wait=retry_after(wait, now))
    if code in MENDABLE:
        raise Unavailable(f"code {code}: {WORDS.get(code, NOT_ALLOWED)}")
    if code < 0 and answer.status < 300:
        raise Unavailable("answered by somebody else than Feishu")
    why = WORDS.get(code, "see open.feishu.cn/search?q=" + said if code > 0 else "no answer of Feishu's")
    raise Refused(f"answered {answer.status}, code {code}: {why}", bounced=code in GONE)
