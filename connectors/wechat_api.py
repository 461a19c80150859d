"""The API of 微信 and of 企业微信: one access token, answers with `errcode`, and files by media id.

What an errcode means for us is in one table. Tokens stand in URLs, so no URL is ever told.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import urlencode

import orjson

from connectors.base import Finding, MediaSettings
from connectors.vendor import Token, Vendor, filed
from normalizer.canon import Attachment
from normalizer.errors import Refused, SendingError, Unavailable

STALE = frozenset((40001, 40014, 42001))  # the token is no good; 企业微信 means the secret by 40001
BUSY = {-1: 5, 45009: 600, 45011: 60, 45033: 60, 6000: 5}  # system or account busy, daily or minute's limit: seconds
MENDABLE = {  # by the operator: it waits for them
    40013: "no such appid or corpid",
    40125: "wrong app_secret",
    40164: "this server's IP is not in the account's IP white list",
    60020: "this server's IP is not among the app's trusted IPs",
    41002: "no appid",
    41004: "no secret",
}
GONE = {  # nobody is there any more
    40003: "no such user here",
    43004: "they do not follow the account any more",
    43019: "they are on the account's black list",
    40031: "no such user",
    60111: "no such user",
    81013: "no such user, or one the app may not see",
    82001: "no such user, or one the app may not see",
    95032: "they do not take messages",
}
NEVER = {
    45015: "they last wrote more than 48 hours ago: nobody may write to them until they write again",
    45047: "5 messages were sent since they last wrote: no more may be sent until they write again",
    48001: "the account may not send customer-service messages (unverified): only what is ready within 5 seconds",
    48002: "the account has no permission for this",
    76022: "the account may not send customer-service messages (unverified): only what is ready within 5 seconds",
    48004: "this API is closed to the account: see mp.weixin.qq.com",
    40200: "this kind of account (a test account) has no menus, so nothing with choices can be sent late",
    45002: "longer than the vendor takes",
    95000: "no such open_kfid",
    95001: "5 messages were sent since they last wrote: no more may be sent until they write again",
    95002: "they last wrote more than 48 hours ago: nobody may write to them until they write again",
    95004: "no such open_kfid",
    95013: "the conversation has ended",
    95016: "the conversation's state does not allow it",
    95017: "the conversation's state does not allow it",
    95007: "the callback's token has expired",
    95018: "the conversation is with a colleague in 企业微信, or has ended: only they can write",
}  # fmt: skip
T = TypeVar("T")

ANYTHING = ("*",)
LATER = timedelta(minutes=10)
_IP = re.compile(r"(?:ip: ?|invalid ip )([0-9a-fA-F.:]{3,45})", re.IGNORECASE)


class Coded(Exception):
    """An answer with an errcode."""

    def __init__(self, code: int, ip: str = "") -> None:
        super().__init__(code)
        self.code, self.ip = code, ip  # the address we were seen at, if that was the trouble

    @property
    def judged(self) -> SendingError:
        """What it means for us."""
        code = self.code
        if code in BUSY:
            return Unavailable(f"busy, or asked too often (errcode {code})", wait=timedelta(seconds=BUSY[code]))
        if code in STALE:
            return Unavailable(f"the access token, or the secret, is not taken (errcode {code})", wait=LATER)
        if code in MENDABLE:
            return Unavailable(f"{MENDABLE[code]} (errcode {code})", wait=LATER)
        if code in GONE:
            return Refused(f"{GONE[code]} (errcode {code})", bounced=True)
        return Refused(f"{NEVER.get(code, 'refused')} (errcode {code})")

    def told(self, what: str) -> Finding:
        """What an operator does about it."""
        known = self.code in NEVER or self.code in MENDABLE
        hint = f"we were seen at {self.ip}: add it there" if self.ip else "" if known else "see the vendor's 全局返回码"
        return Finding(what, self.judged.reason, False, hint)


class Api:
    """One account's. `ask` gives a new token and how long it lives."""

    def __init__(self, vendor: Vendor, ask: Callable[[datetime], Awaitable[tuple[str, timedelta]]]) -> None:
        self.vendor = vendor
        self.token = Token(ask)

    async def call(self, method: str, path: str, now: datetime, json: Any = None) -> dict[str, Any]:
        """The answer. A token that is stale is renewed once. Raises Unavailable or Refused, in plain words."""
        try:
            return await self.coded(method, path, now, json)
        except Coded as error:
            raise error.judged from None

    async def coded(
        self, method: str, path: str, now: datetime, json: Any = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The same, but for errcodes, which are Coded."""
        return await self._renewing(lambda token: self.raw(method, path, now, json, {**(params or {}), **token}), now)

    async def raw(
        self, method: str, path: str, now: datetime, json: Any = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """One call as it stands. Raises Coded for an errcode, Unavailable and Refused for HTTP's own troubles."""
        answer = await self.vendor.ask(method, path, now, json=json, params=params)
        if not isinstance(answer.data, dict):
            raise Unavailable("the answer is no JSON object")
        return checked(answer.data)

    async def fetch(self, attachment: Attachment, limits: MediaSettings, now: datetime) -> Attachment:
        """A file by its media id, or by its URL if that is what it has."""
        if attachment.remote.startswith(("http://", "https://")):
            return await self.vendor.download(attachment, attachment.remote, limits, now)
        try:
            return await self._renewing(lambda token: self._media(attachment, limits, now, token), now)
        except Coded as error:
            raise error.judged from None

    async def _media(
        self, attachment: Attachment, limits: MediaSettings, now: datetime, token: Mapping[str, str]
    ) -> Attachment:
        """Errors come as JSON in place of the file; so does the address of a video."""
        url = f"{self.vendor.base}/cgi-bin/media/get?{urlencode({**token, 'media_id': attachment.remote})}"
        taken = MediaSettings(size_limit=limits.size_limit, types=ANYTHING)  # so that an error is read, not forbidden
        got = await self.vendor.download(attachment, url, taken, now)
        if not got.sha256:
            return got
        instead = _json(got) if got.media_type in ("application/json", "text/plain") else {}
        checked(instead)
        address = instead.get("video_url")
        if address and attachment.media_type.startswith("video/"):
            return await self.vendor.download(attachment, str(address), limits, now)
        return filed(attachment, got.content, got.media_type, limits)

    async def _renewing(self, call: Callable[[Mapping[str, str]], Awaitable[T]], now: datetime) -> T:
        token = await self.token.get(now)
        try:
            return await call({"access_token": token})
        except Coded as error:
            if error.code not in STALE:
                raise
        self.token.spoilt(token)
        return await call({"access_token": await self.token.get(now)})

    async def tried(
        self,
        what: str,
        method: str,
        path: str,
        now: datetime,
        json: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> Finding:
        """A call for `ticketgate doctor`."""
        try:
            await self.coded(method, path, now, json, params)
        except Coded as error:
            return error.told(what)
        except SendingError as error:
            return Finding(what, error.reason, False)
        return Finding(what, "ok")


def checked(data: dict[str, Any]) -> dict[str, Any]:
    """The answer again. Raises Coded if it is an error."""
    code = data.get("errcode", 0)
    if not isinstance(code, int):
        raise Unavailable("the answer's errcode is no number")
    if code:
        found = _IP.search(str(data.get("errmsg", "")))
        raise Coded(code, found[1].removeprefix("::ffff:") if found else "")
    return data


def token_of(data: Mapping[str, Any]) -> tuple[str, timedelta]:
    """The token and how long it lives."""
    token, lives = data.get("access_token"), data.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(lives, int):
        raise Unavailable("the answer holds no access token")
    return token, timedelta(seconds=lives)


def _json(got: Attachment) -> dict[str, Any]:
    try:
        said = orjson.loads(got.content)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}
