"""Discord's Gateway: a WebSocket that tells what is said, and tells again what we missed.

    hello -> identify, or resume where we stopped -> events, each on disk before the next is looked at; heartbeats

The cursor holds session and sequence number; Discord keeps a session for some minutes only. When it has ended we begin
a new one, and ask for the messages after the last we had, in the channels where we are spoken to.
https://docs.discord.com/developers/events/gateway
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from connectors.base import Accept, Clock, Cursor, Recall
from connectors.discord_hearing import Ask, Hearing, Object, snowflake
from connectors.nested import inside, listed, said
from normalizer.canon import digest
from normalizer.errors import SendingError, Unavailable, Unreadable

# At DEBUG it writes down what is sent, our token among it.
logging.getLogger("websockets").setLevel(logging.WARNING)

INTENTS = 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13  # messages and reactions, in servers and direct
CONTENT = 1 << 15  # what is said in a server though not to us; Discord must have granted it
RESUMABLE = 4000  # closed with 1000 the session would be over
SESSION_OVER = (4007, 4009)
LARGEST = 16 * 1024 * 1024  # octets of one event
HELLO_WITHIN = 30  # seconds
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds
UNKEPT = 200  # events that are none of ours, after which the cursor is kept all the same
FATAL: Mapping[int, str] = {
    4004: "the bot's token is wrong: Bot → Reset Token",
    4010: "wrong shard",
    4011: "the bot is in more servers than one connection may serve",
    4012: "Discord does not speak this version any more",
    4013: "wrong intents",
    4014: "switch on Bot → Privileged Gateway Intents → Message Content Intent, or leave out channels",
}

log = structlog.get_logger("ticketgate")


class Gateway:
    """One account's. `answered` is what an interaction is told."""

    def __init__(self, hearing: Hearing, token: str, ask: Ask, answered: Callable[[Object], Object]) -> None:
        self.hearing, self._token, self._ask, self._answered = hearing, token, ask, answered
        self.cursor = f"discord/{hearing.account}"
        self._session = self._url = ""
        self._seq = self._kept = 0
        self._acknowledged, self._pause, self._trouble = True, 0.0, ""
        self._spread = int(digest("discord", hearing.account)[:4], 16) / 0xFFFF  # in place of chance

    async def keep(self, accept: Accept, clock: Clock, recall: Recall | None) -> None:
        """Listen until cancelled; after trouble again, each time later."""
        while True:
            try:
                if recall:
                    self._remember(await recall(self.cursor))
                    recall = None
                await self._connection(accept, clock)
            except ConnectionClosed as error:
                self._closed(error.rcvd.code if error.rcvd else 0)
            except SendingError as error:
                self._tell(error.reason)
            except (OSError, WebSocketException, TimeoutError) as error:
                self._tell(f"no connection: {type(error).__name__}")
            except Exception as error:
                self._tell(f"unforeseen {type(error).__name__}", error)
            await asyncio.sleep(self._pause * (1 + self._spread / 4))
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)

    def _closed(self, code: int) -> None:
        if code in FATAL:
            self._tell(f"closed with {code}: {FATAL[code]}")
            self._pause = LONGEST_PAUSE
        if code in FATAL or code in SESSION_OVER:
            self._session = ""

    async def _connection(self, accept: Accept, clock: Clock) -> None:
        """Ends by raising, mostly ConnectionClosed."""
        url = (self._session and self._url) or said((await self._ask("GET", "/gateway/bot", clock())).data, "url")
        address = f"{url.rstrip('/')}/?v=10&encoding=json"
        async with connect(address, max_size=LARGEST, ping_interval=None, proxy=None) as socket:
            events: asyncio.Queue[Object] = asyncio.Queue()
            tasks = [asyncio.create_task(self._work(events, socket, accept, clock))]
            try:
                hello = orjson.loads(await asyncio.wait_for(socket.recv(), HELLO_WITHIN))
                every = float(said(inside(hello, "d"), "heartbeat_interval") or 45000) / 1000
                await self._begin(socket)
                tasks.append(asyncio.create_task(self._beat(socket, every)))
                while True:
                    await self._heard(socket, orjson.loads(await socket.recv()), events)
            finally:
                await socket.close(RESUMABLE)
                await _ended(tasks)

    async def _work(
        self, events: asyncio.Queue[Object], socket: ClientConnection, accept: Accept, clock: Clock
    ) -> None:
        """Beside the reading, so that heartbeats are heard however long it takes."""
        try:
            while True:
                await self._dispatched(await events.get(), accept, clock)
        finally:
            await socket.close(RESUMABLE)

    async def _begin(self, socket: ClientConnection) -> None:
        self._acknowledged = True
        if self._session:
            await _send(socket, 6, {"token": self._token, "session_id": self._session, "seq": self._seq})
            return
        us = {"os": "linux", "browser": "ticketgate", "device": "ticketgate"}
        intents = INTENTS | CONTENT if self.hearing.channels else INTENTS
        await _send(socket, 2, {"token": self._token, "intents": intents, "properties": us})

    async def _beat(self, socket: ClientConnection, every: float) -> None:
        """A connection that does not acknowledge is dead, whatever TCP thinks."""
        await asyncio.sleep(every * self._spread)
        while self._acknowledged:
            self._acknowledged = False
            await _send(socket, 1, self._seq or None)
            await asyncio.sleep(every)
        await socket.close(RESUMABLE)

    async def _heard(self, socket: ClientConnection, event: Object, events: asyncio.Queue[Object]) -> None:
        match event.get("op"):
            case 0:
                events.put_nowait(event)
            case 1:
                await _send(socket, 1, self._seq or None)
            case 7:
                await socket.close(RESUMABLE)
            case 9:
                self._session = self._session if event.get("d") is True else ""
                self._pause = max(self._pause, FIRST_PAUSE * (1 + 4 * self._spread))
                await socket.close(RESUMABLE)
            case 11:
                self._acknowledged = True

    async def _dispatched(self, event: Object, accept: Accept, clock: Clock) -> None:
        """What cannot be kept is not counted, so that Discord tells it again."""
        name, one, number = said(event, "t"), inside(event, "d"), event.get("s")
        seq = number if isinstance(number, int) else self._seq
        if name == "READY":
            self.hearing.bot = said(inside(one, "user"), "id")
            await self._catch_up(accept, clock)
            self._session, self._url = said(one, "session_id"), said(one, "resume_gateway_url")
        ours = await self._is_ours(name, one, clock)
        if ours:
            self.hearing.note(name, one)
        if ours or name == "READY" or seq - self._kept >= UNKEPT:
            kept = [await self.hearing.envelope(name, one, clock())] if ours else []
            await accept(kept, Cursor(self.cursor, self._state(seq)))
            self._kept = seq
        self._seq = seq
        if name in ("READY", "RESUMED"):
            self._well()
        if name == "INTERACTION_CREATE":
            await self._answer(one, clock)

    async def _is_ours(self, name: str, one: Object, clock: Clock) -> bool:
        """What cannot be read is kept, and told of there; else it would be told us again for ever."""
        try:
            return await self.hearing.concerns(name, one, clock())
        except Unreadable:
            return True

    async def _catch_up(self, accept: Accept, clock: Clock) -> None:
        """What was said between two sessions."""
        hearing, caught = self.hearing, list[Object]()
        for channel in await hearing.searched(clock()) if hearing.last else ():
            after = hearing.last
            while found := await self._missed(channel, after, clock):
                ours = [one for one in found if await self._is_ours("MESSAGE_CREATE", one, clock)]
                await accept([await hearing.envelope("MESSAGE_CREATE", one, clock()) for one in ours])
                caught += ours
                after = said(found[-1], "id")
        for one in caught:
            hearing.note("MESSAGE_CREATE", one)
        hearing.last = hearing.last or snowflake(clock())

    async def _missed(self, channel: str, after: str, clock: Clock) -> list[Object]:
        while True:
            try:
                return await self.hearing.missed(channel, after, clock())
            except Unavailable as error:
                if error.wait is None:
                    raise
                await asyncio.sleep(error.wait.total_seconds())

    async def _answer(self, one: Object, clock: Clock) -> None:
        path = f"/interactions/{said(one, 'id')}/{said(one, 'token')}/callback"
        try:
            await self._ask("POST", path, clock(), json=self._answered(one))
        except (SendingError, Unreadable) as error:  # they see that it failed; what they said is here
            log.warning("Discord took no answer to an interaction", account=self.hearing.account, hint=error.reason)

    def _state(self, seq: int) -> str:
        hearing = self.hearing
        told = {"session": self._session, "url": self._url, "seq": seq, "bot": hearing.bot, "last": hearing.last}
        return orjson.dumps({**told, "spoken": list(hearing.spoken)}).decode()

    def _remember(self, state: str) -> None:
        found, hearing = inside(orjson.loads(state or "{}")), self.hearing
        self._session, self._url = said(found, "session"), said(found, "url")
        self._seq = self._kept = int(said(found, "seq") or 0)
        hearing.bot, hearing.last = said(found, "bot"), said(found, "last")
        hearing.spoken = dict.fromkeys(map(str, listed(found, "spoken")))

    def _tell(self, reason: str, cause: Exception | None = None) -> None:
        """Once, and again when it is something else."""
        if reason != self._trouble:
            log.warning("Discord's Gateway is not heard; connecting again", connector="discord",
                        account=self.hearing.account, hint=reason, exc_info=cause)  # fmt: skip
        self._trouble = reason

    def _well(self) -> None:
        if self._trouble:
            log.info("Discord's Gateway is heard again", connector="discord", account=self.hearing.account)
        self._trouble, self._pause = "", 0.0


async def _send(socket: ClientConnection, op: int, told: Any) -> None:
    await socket.send(orjson.dumps({"op": op, "d": told}).decode())


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel them. Raises what one of them ended by."""
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionClosed):
            raise outcome
