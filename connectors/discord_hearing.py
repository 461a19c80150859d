"""Which of the events a bot is told concern us: in a server much is said, and most of it not to us."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import orjson

from connectors.discord_reading import THREADS
from connectors.nested import inside, listed, said
from connectors.vendor import Answer
from normalizer.canon import Envelope, digest
from normalizer.errors import Refused

EPOCH = 1420070400000  # Discord's, in milliseconds
REMEMBERED = 500  # channels in which we are spoken to

Ask = Callable[..., Awaitable[Answer]]
Object = Mapping[str, Any]


class Hearing:
    """One account's. `bot` is our own user id, known once we are let in."""

    def __init__(self, account: str, channels: Sequence[str], ask: Ask) -> None:
        self.account, self.channels, self._ask = account, frozenset(channels), ask
        self.bot = ""
        self.last = ""  # the latest message said to us
        self.spoken: dict[str, None] = {}  # channels in which we are spoken to, the latest last
        self._places: dict[str, Object] = {}

    async def concerns(self, name: str, one: Object, now: datetime) -> bool:
        """Whether it is said to us: directly, with our name, in answer to us, or in a channel where all is."""
        channel, direct = said(one, "channel_id"), not said(one, "guild_id")
        match name:
            case "INTERACTION_CREATE":
                return True
            case "MESSAGE_REACTION_ADD":
                return said(one, "message_author_id") == self.bot
            case "MESSAGE_DELETE" | "MESSAGE_DELETE_BULK":
                return direct or channel in self.spoken or await self._is_listed(channel, now)
            case "MESSAGE_CREATE" if not inside(one, "author").get("bot"):
                pass
            case "MESSAGE_UPDATE" if said(one, "edited_timestamp") and not inside(one, "author").get("bot"):
                pass
            case _:
                return False
        named = [said(who, "id") for who in listed(one, "mentions")]
        named.append(said(inside(one, "referenced_message", "author"), "id"))
        if direct or self.bot in named or await self._is_listed(channel, now):
            return True
        return channel in self.spoken and await self._is_thread(channel, now)

    async def envelope(self, name: str, one: Object, now: datetime) -> Envelope:
        channel, way = said(one, "channel_id"), {"method": "gateway", "bot": self.bot}
        if said(one, "guild_id") and await self._is_thread(channel, now):
            way["channel"] = "thread"
        body = orjson.dumps({"op": 0, "t": name, "d": one})
        return Envelope("discord", self.account, _key(name, one), channel or digest(body), now, body, way)

    def note(self, name: str, one: Object) -> None:
        """Where we are spoken to, and up to what: there we look for what we missed."""
        if name == "MESSAGE_CREATE":
            self.spoken.pop(said(one, "channel_id"), None)
            self.spoken[said(one, "channel_id")] = None
            self.spoken = dict.fromkeys(list(self.spoken)[-REMEMBERED:])
            self.last = max(self.last, said(one, "id"), key=_age)

    async def searched(self, now: datetime) -> list[str]:
        """Where something may have been said to us: listed channels and their threads, and where we were spoken to."""
        guilds = {said(await self.place(channel, now), "guild_id") for channel in self.channels} - {""}
        threads = []
        for guild in sorted(guilds):
            with suppress(Refused):
                answer = await self._ask("GET", f"/guilds/{guild}/threads/active", now)
                threads += [one for one in listed(answer.data, "threads") if said(one, "parent_id") in self.channels]
        return list(dict.fromkeys((*self.channels, *(said(one, "id") for one in threads), *self.spoken)))

    async def missed(self, channel: str, after: str, now: datetime) -> list[Object]:
        """The next hundred messages in a channel, oldest first; none where we may not read any more."""
        try:
            answer = await self._ask("GET", f"/channels/{channel}/messages?after={after}&limit=100", now)
        except Refused:
            return []
        guild = said(await self.place(channel, now), "guild_id")
        found = [one for one in answer.data if inside(one)] if isinstance(answer.data, list) else []
        whole = [{**one, "guild_id": guild} if guild else one for one in found]
        return sorted(whole, key=lambda one: _age(said(one, "id")))

    async def place(self, channel: str, now: datetime) -> Object:
        """What Discord says of a channel; nothing if we may not see it."""
        if channel not in self._places:
            try:
                self._places[channel] = inside((await self._ask("GET", f"/channels/{channel}", now)).data)
            except Refused:
                self._places[channel] = {}
        return self._places[channel]

    async def _is_listed(self, channel: str, now: datetime) -> bool:
        if channel in self.channels or not self.channels:
            return channel in self.channels
        return said(await self.place(channel, now), "parent_id") in self.channels

    async def _is_thread(self, channel: str, now: datetime) -> bool:
        return (await self.place(channel, now)).get("type") in THREADS


def snowflake(at: datetime) -> str:
    """The id that something said at this moment would have, or none before it."""
    return str(int(at.timestamp() * 1000) - EPOCH << 22)


def _age(named: str) -> tuple[int, str]:
    """Ids grow with time: https://docs.discord.com/developers/reference#snowflakes"""
    return len(named), named


def _key(name: str, one: Object) -> str:
    """Interactions bear the same key when they call us."""
    named = said(one, "id")
    match name:
        case "MESSAGE_UPDATE":
            return f"{named}:{said(one, 'edited_timestamp')}"
        case "MESSAGE_DELETE":
            return f"{named}:deleted"
        case "MESSAGE_CREATE" | "INTERACTION_CREATE":
            return named
    return digest(name, orjson.dumps(one))
