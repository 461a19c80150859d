"""Asking LINE: two hosts, one access token, and what its answers mean."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.base import MediaSettings
from connectors.calling import named
from connectors.vendor import Answer, Token, Vendor
from normalizer.canon import Attachment
from normalizer.errors import Refused, Unavailable

UNKNOWN = "LINE does not take our access token, or channel id and secret: see the LINE Developers Console"


class Api:
    """With a long-lived token, or with those that channel id and secret are given for a quarter of an hour each."""

    def __init__(
        self, base: str, data_base: str, token: str, channel: tuple[str, str], *, allow_private: bool = False
    ) -> None:
        self.vendor = Vendor(base, allow_private=allow_private)
        self._data = Vendor(data_base, allow_private=allow_private)
        self._fixed, self._channel = token, channel
        self._token = Token(self._issued)

    async def ask(
        self,
        method: str,
        path: str,
        now: datetime,
        *,
        data: bool = False,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        even: tuple[int, ...] = (),
    ) -> Answer:
        """One call, and once more if the token was no good and another can be had. `data`: where files are."""
        vendor = self._data if data else self.vendor
        for _ in range(1 if self._fixed else 2):
            token = await self._token.get(now)
            wanted = {**(headers or {}), **_bearer(token)}
            answer = await vendor.ask(method, path, now, json=json, headers=wanted, even=(401, *even))
            if answer.status != 401:
                return answer
            self._token.spoilt(token)
        raise Unavailable(UNKNOWN)

    async def download(self, attachment: Attachment, path: str, limits: MediaSettings, now: datetime) -> Attachment:
        headers = _bearer(await self._token.get(now))
        return await self._data.download(attachment, self._data.base + path, limits, now, headers=headers)

    async def _issued(self, now: datetime) -> tuple[str, timedelta]:
        """https://developers.line.biz/en/reference/messaging-api/#issue-stateless-channel-access-token"""
        if self._fixed:
            return self._fixed, timedelta(days=365)
        form = dict(zip(("client_id", "client_secret"), self._channel, strict=True))
        answer = await self.vendor.ask(
            "POST", "/oauth2/v3/token", now, form={"grant_type": "client_credentials", **form}, even=(400, 401)
        )
        if answer.status >= 400:
            raise Unavailable(UNKNOWN)
        lives = answer.data.get("expires_in") if isinstance(answer.data, dict) else None
        return said(answer, "access_token"), timedelta(seconds=lives if isinstance(lives, int) else 60)

    async def close(self) -> None:
        await self.vendor.close()
        await self._data.close()


def said(answer: Answer, name: str) -> str:
    found = answer.data.get(name) if isinstance(answer.data, dict) else None
    return str(found) if isinstance(found, str | int) else ""


def first(answer: Answer) -> str:
    """The id of the first message sent."""
    sent = answer.data.get("sentMessages") if isinstance(answer.data, dict) else None
    return named(sent[0], ("id",)) if isinstance(sent, list) and sent else ""


def refused(answer: Answer) -> Refused:
    """LINE's words name no person. "Failed to send messages": nobody has that id, or they are no friend of ours."""
    words = said(answer, "message")[:200]
    return Refused(f"LINE answered {answer.status}: {words}", bounced=words.startswith("Failed to send"))


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
