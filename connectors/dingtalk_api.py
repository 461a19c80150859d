"""DingTalk's API, as far as a bot needs it: a conversation's own address for answers, or robotCode and access token.

open.dingtalk.com/document/orgapp: robot-reply-and-send-messages, chatbots-send-one-on-one-chat-messages-in-batches,
the-robot-sends-a-group-message, download-the-file-content-of-the-robot-receiving-message, obtain-the-access-token
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from connectors.base import MediaSettings
from connectors.calling import retry_after
from connectors.dingtalk_content import chosen
from connectors.reading import moment, word
from connectors.vendor import Answer, Token, Vendor, pieces
from normalizer.canon import Attachment, Reply, Sent
from normalizer.errors import Refused, Unavailable

# Octets of words as they stand in JSON: msgParam may have 15,000, some of them for links (help.dingtalk.io/open/
# development/the-robot-sends-a-group-message).
TEXT = 12_000
HOSTS = ("oapi.dingtalk.com", "api.dingtalk.com")  # where a conversation's address may be
SOON = timedelta(seconds=30)  # so long before its end that address is not used any more
PATIENCE = timedelta(minutes=1)  # with somebody who was told too much
BUSY = ("Throttling", "QpsLimit", "ServiceUnavailable", "SystemError", "system.error", "InternalError")
MENDABLE = ("AccessTokenPermissionDenied", "InvalidAuthentication", "robot.notExisted")  # by the operator: it waits
GONE = ("staffId.notExisted", "user.notExisted", "UserNotExist")
WORDS = {
    "Forbidden.AccessDenied.AccessTokenPermissionDenied": "the app lacks 企业内机器人发送消息权限",
    "robot.notExisted": "there is no such robot: is `robot` its robotCode?",
    "chat.disband": "the group is dissolved",
}
PLAIN = str.maketrans("[]<", "［］＜")  # what would become links, pictures or tags in markdown


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation as `thread_key` names it: alone with somebody, or a group and who spoke in it."""

    id: str
    who: str = ""

    @classmethod
    def named(cls, thread: str) -> "Place":
        id, _, who = thread.partition("|")
        return cls(id, who)

    def __str__(self) -> str:
        return f"{self.id}|{self.who}" if self.who else self.id


class Api:
    """Of one app."""

    def __init__(self, base: str, client_id: str, secret: str, robot: str, *, allow_private: bool) -> None:
        self._client_id, self._secret, self._robot = client_id, secret, robot
        self.vendor = Vendor(base, allow_private=allow_private)
        self._sessions = Vendor("")  # asked by whole addresses, of which `_session` has looked at the host
        self._token = Token(self._ask_token)

    async def say(self, reply: Reply, now: datetime) -> Sent:
        place, sent = Place.named(reply.thread_key), Sent()
        # What is clicked in a group is said without @, so that we would never hear of it.
        links = () if place.who else reply.choices
        rest = "".join(f"\n· {one.label}" for one in reply.choices if one not in links)
        said = pieces(reply.text.strip() + rest, TEXT, lambda text: len(orjson.dumps(text)))
        for number, piece in enumerate(said):
            last = number == len(said) - 1
            message = _links(reply, piece) if links and last else {"msgtype": "text", "text": {"content": piece}}
            sent = await self._answered(reply, place, message, now) or await self._pushed(reply, place, message, now)
        return sent

    async def _answered(self, reply: Reply, place: Place, message: Mapping[str, Any], now: datetime) -> Sent | None:
        """Said by the conversation's own address; None if there is none, or it does not take it any more."""
        url = self._session(reply.reply_token, now)
        if not url:
            return None
        named_so = place.who and not place.who.startswith("$:")
        body = {**message, "at": {"atUserIds": [place.who]}} if named_so else message
        try:
            answer = await self._sessions.ask("POST", url, now, json=body, even=(400, 401, 403, 404))
        except Refused:
            return None
        if answer.status < 300 and word(answer.data, "errcode") == "0":
            return Sent()
        return None

    def _session(self, token: str, now: datetime) -> str:
        until, _, url = token.partition(" ")
        try:
            ends, parts, ours = moment(until), urlsplit(url), urlsplit(self.vendor.base)
        except ValueError:  # no address
            return ""
        known = (parts.scheme == "https" and parts.netloc in HOSTS) or parts[:2] == ours[:2]
        return url if ends and now < ends - SOON and known else ""

    async def _pushed(self, reply: Reply, place: Place, message: Mapping[str, Any], now: datetime) -> Sent:
        kind = str(message["msgtype"])
        said = {
            "robotCode": reply.written_to or self._robot,
            "msgKey": {"text": "sampleText", "markdown": "sampleMarkdown"}[kind],
            "msgParam": orjson.dumps(message[kind]).decode(),
        }
        if place.who:
            return self._taken(
                await self._call("groupMessages/send", {**said, "openConversationId": place.id}, now), now
            )
        who = reply.to.address
        if who.startswith("$:"):
            raise Refused("not of this company: DingTalk lets a bot answer them only for an hour and a half")
        return self._taken(await self._call("oToMessages/batchSend", {**said, "userIds": [who]}, now), now, who)

    def _taken(self, answer: Answer, now: datetime, who: str = "") -> Sent:
        _judge(answer, now)
        if who and who in (answer.data.get("invalidStaffIdList") or ()):
            raise Refused("nobody of this company has that id any more", bounced=True)
        if who and who in (answer.data.get("flowControlledStaffIdList") or ()):
            raise Unavailable("this person was told too much at once", wait=PATIENCE)
        return Sent(external_id=word(answer.data, "processQueryKey"))

    async def _call(self, what: str, body: Any, now: datetime) -> Answer:
        """One question with our token; with a new one if DingTalk does not take it. Errors are in the answer."""
        for again in (False, True):
            token = await self._token.get(now)
            headers = {"x-acs-dingtalk-access-token": token}
            path = f"/v1.0/robot/{what}"
            answer = await self.vendor.ask(
                "POST", path, now, json=body, headers=headers, even=(400, 401, 403, 404, 429)
            )
            if (answer.status != 401 and word(answer.data, "code") != "InvalidAuthentication") or again:
                break
            self._token.spoilt(token)
        return answer

    async def token(self, now: datetime) -> str:
        return await self._token.get(now)

    async def _ask_token(self, now: datetime) -> tuple[str, timedelta]:
        said = {"appKey": self._client_id, "appSecret": self._secret}
        answer = await self.vendor.ask(
            "POST", "/v1.0/oauth2/accessToken", now, json=said, even=(400, 401, 403, 404, 429)
        )
        try:
            _judge(answer, now)
        except Refused as error:
            raise Unavailable(f"no access token: {error.reason}") from None
        token, lives = word(answer.data, "accessToken"), word(answer.data, "expireIn")
        if not token:
            raise Unavailable("no access token in the answer")
        return token, timedelta(seconds=int(lives) if lives.isdecimal() else 1800)

    async def fetch(self, attachment: Attachment, limits: MediaSettings, now: datetime) -> Attachment:
        robot, _, code = attachment.remote.partition(" ")
        said = {"downloadCode": code, "robotCode": robot or self._robot}
        answer = await self._call("messageFiles/download", said, now)
        _judge(answer, now)
        return await self.vendor.download(attachment, word(answer.data, "downloadUrl"), limits, now)

    async def close(self) -> None:
        await self.vendor.close()
        await self._sessions.close()


def _links(reply: Reply, text: str) -> dict[str, Any]:
    """Words with links under them; who clicks one says it."""
    lines = [text.translate(PLAIN).replace("\n", "  \n"), ""]
    for one in reply.choices:
        said = quote(chosen(one.label, one.code), safe="")
        lines.append(f"- [{one.label.translate(PLAIN)}](dtmd://dingtalkclient/sendMessage?content={said})")
    return {"msgtype": "markdown", "markdown": {"title": text.partition("\n")[0][:40], "text": "\n".join(lines)}}


def _judge(answer: Answer, now: datetime) -> None:
    """Raise what an answer means that is not well."""
    code = word(answer.data, "code")
    if answer.status < 300 and not code and isinstance(answer.data, dict) and answer.data:
        return
    what = f"answered {answer.status}, code {code or 'none'}"
    if answer.status == 429 or any(one in code for one in BUSY):
        raise Unavailable(f"{what}: too much at once", wait=retry_after(answer.headers.get("retry-after", ""), now))
    if any(one in code for one in MENDABLE):
        raise Unavailable(f"{what}: {WORDS.get(code, 'see to the app at DingTalk')}")
    if answer.status < 300 and not code:
        raise Unavailable("answered by somebody else than DingTalk")
    raise Refused(f"{what}: {WORDS[code]}" if code in WORDS else what, bounced=any(one in code for one in GONE))
