"""Discord's HTTP API: calls with the bot's token, and what is meant by what it answers."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from connectors.base import MediaSettings
from connectors.nested import said
from connectors.vendor import Answer, Vendor
from normalizer.canon import Attachment
from normalizer.errors import Refused, SendingError, Unavailable

JUDGED = (400, 401, 403, 404, 429)  # answers whose code tells more
GONE = (50007, 50278, 10013)  # cannot send to this user, no server in common any more, no such user
ENDED = 50027  # an interaction's token; any other 401 is about ours
LONGEST_WAIT = 86400.0  # seconds
# https://docs.discord.com/developers/reference#user-agent: who names none of this form may be blocked.
AGENT = "DiscordBot (https://ticketgate.example, 1)"


class Calls:
    def __init__(self, api: str, token: str, *, allow_private: bool) -> None:
        self._vendor = Vendor(api, allow_private=allow_private)
        self._bearer = {"authorization": f"Bot {token}", "user-agent": AGENT}
        self._direct: dict[str, str] = {}  # user -> channel

    async def ask(self, method: str, path: str, now: datetime, *, json: Any = None) -> Answer:
        """Raises Unavailable or Refused, with Discord's own code and words."""
        answer = await self._vendor.ask(method, path, now, json=json, headers=self._bearer, even=JUDGED)
        if answer.status in JUDGED:
            raise judged(answer)
        return answer

    async def direct(self, user: str, now: datetime) -> str:
        """The channel of the direct message with somebody; there is one, however often it is asked for."""
        if user not in self._direct:
            answer = await self.ask("POST", "/users/@me/channels", now, json={"recipient_id": user})
            self._direct[user] = said(answer.data, "id")
        return self._direct[user]

    async def file(self, one: Attachment, limits: MediaSettings, now: datetime) -> Attachment:
        """Links to files are good for a day; then Discord gives new ones."""
        try:
            return await self._vendor.download(one, one.remote, limits, now)
        except Refused:
            renewed = await self.ask("POST", "/attachments/refresh-urls", now, json={"attachment_urls": [one.remote]})
            urls = renewed.data.get("refreshed_urls") if isinstance(renewed.data, dict) else None
            url = said(urls[0], "refreshed") if isinstance(urls, list) and urls else ""
            return await self._vendor.download(one, url, limits, now)

    async def close(self) -> None:
        await self._vendor.close()


def judged(answer: Answer) -> SendingError:
    """https://docs.discord.com/developers/topics/opcodes-and-status-codes#json"""
    told = said(answer.data, "code")
    code = int(told) if told.isdecimal() else 0
    reason = f"answered {answer.status}, code {code}: {said(answer.data, 'message')[:200]}"
    if answer.status == 429:
        wait = said(answer.data, "retry_after") or answer.headers.get("retry-after", "")
        with suppress(ValueError, OverflowError):
            return Unavailable(reason, wait=timedelta(seconds=min(LONGEST_WAIT, max(0.0, float(wait)))))
        return Unavailable(reason)
    if answer.status == 401 and code != ENDED:  # for an engineer to mend, and nothing is to be lost meanwhile
        return Unavailable(f"{reason}: the bot's token is wrong")
    return Refused(reason, bounced=code in GONE)
