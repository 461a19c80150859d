"""Bells that ring in other processes too, on other machines: each is a stream in one Redis.

A ring is an entry. Of those who wait for work it wakes one, by a consumer group, read without acknowledgement: what is
to be done stands in the store and is leased there. Who is busy hears nothing, so that somebody idle does. Of what
happened it wakes everybody. Without Redis they are bells of their own process, whose patience makes good the rest.
See docs/decisions/0029-a-ring-carries-nothing.md.
"""

import asyncio
import contextlib
from typing import Any, Protocol
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from gateway.log import log
from gateway.queue.bell import PATIENCE, Bells, Here
from normalizer.errors import Unavailable

FAILURES = (RedisError, OSError, TimeoutError)
EVERY = 1.0  # seconds between two looks whether Redis is there
LONGEST = 2.0  # seconds that Redis may take to answer
APART = 0.01  # seconds from one ring to the next; those between are one
KEPT = 100  # rings, about: each says the same
GROUP = "workers"
RING: dict[Any, Any] = {"ring": ""}  # an entry without a field there is not
TRIAL = "ticketgate:trial"
THERE, GONE = "BUSYGROUP", "NOGROUP"


class RedisLine:
    """The connection. `up` as far as known; a change is logged once, however many notice."""

    def __init__(self, url: str, password: str = "") -> None:
        self.server = server(url)
        self.redis = Redis.from_url(
            url, password=password or None, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=PATIENCE + LONGEST,
            socket_connect_timeout=LONGEST,
        )  # fmt: skip
        self.up = False
        self._told = False

    async def keep(self) -> None:
        """Look after it, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Once: is it there? What was lost must pass a whole trial, since a Redis that is full still answers a ping."""
        try:
            async with asyncio.timeout(LONGEST):
                await (self.redis.ping() if self.up else self._ring_and_hear())
        except FAILURES as e:
            self.lost(e)
        else:
            self._found()

    async def try_out(self) -> str:
        try:
            await self._ring_and_hear()
        except FAILURES as e:
            raise Unavailable(f"{self.server}: {str(e) or type(e).__name__}") from e
        return self.server

    async def _ring_and_hear(self) -> None:
        """All that bells do there. Raises one of FAILURES."""
        async with self.redis.pipeline(transaction=False) as trial:
            trial.xgroup_create(TRIAL, GROUP, mkstream=True)
            trial.xadd(TRIAL, RING, maxlen=KEPT)
            trial.xreadgroup(GROUP, GROUP, {TRIAL: ">"}, noack=True)
            trial.xread({TRIAL: "0"}, count=1)
            trial.xrevrange(TRIAL, count=1)
            for answer in await trial.execute(raise_on_error=False):
                if isinstance(answer, Exception) and not _says(answer, THERE):
                    raise answer

    def lost(self, error: Exception) -> None:
        self.up = False
        if not self._told:
            self._told = True
            hint = "nothing is lost: who waits for work looks by itself; once it is back it is used again"
            log.warning("redis is away", host=self.server, error_type=type(error).__name__, hint=hint)

    def _found(self) -> None:
        self.up = True
        if self._told:
            self._told = False
            log.info("redis is back", host=self.server)

    async def close(self) -> None:
        self.up = False
        with contextlib.suppress(*FAILURES):
            await self.redis.aclose()


class Ear(Protocol):
    async def hear(self, patience: float) -> None:
        """Until it rings, or patience ends. Raises one of FAILURES."""


class Some:
    """Of all who wait with such an ear the one that waits longest hears it; nobody, if nobody waits, until one does."""

    def __init__(self, line: RedisLine, key: str) -> None:
        self.line, self.key = line, key

    async def hear(self, patience: float) -> None:
        try:
            await self.line.redis.xreadgroup(
                GROUP, GROUP, {self.key: ">"}, count=KEPT * 2, block=int(patience * 1000), noack=True
            )
        except ResponseError as e:
            if not _says(e, GONE):
                raise
            await self._begin()

    async def _begin(self) -> None:
        """A new Redis, or an emptied one. What was rung before it is heard as one ring: now."""
        try:
            await self.line.redis.xgroup_create(self.key, GROUP, mkstream=True)
        except ResponseError as e:
            if not _says(e, THERE):  # another was faster
                raise


class All:
    """Everybody hears it."""

    def __init__(self, line: RedisLine, key: str) -> None:
        self.line, self.key = line, key
        self._last = b""

    async def hear(self, patience: float) -> None:
        try:
            self._last = await self._next(patience) if self._last else await self._newest()
        except FAILURES:
            self._last = b""  # another Redis may count from elsewhere
            raise

    async def _newest(self) -> bytes:
        found: Any = await self.line.redis.xrevrange(self.key, count=1)
        return bytes(found[0][0]) if found else b"0-0"

    async def _next(self, patience: float) -> bytes:
        found: Any = await self.line.redis.xread({self.key: self._last}, block=int(patience * 1000))
        return bytes(found[0][1][-1][0]) if found else self._last


class Stream:
    """A bell: rung there, heard by its ear."""

    def __init__(self, line: RedisLine, key: str, ear: Ear, patience: float = PATIENCE) -> None:
        self.line, self.key, self.ear, self.patience = line, key, ear, patience
        self._here = Here(patience)
        self._rung = False
        self._ringing: asyncio.Task[None] | None = None

    def ring(self) -> None:
        if not self.line.up:
            self._here.ring()
            return
        self._rung = True
        if self._ringing is None:
            self._ringing = asyncio.create_task(self._ring())

    async def _ring(self) -> None:
        try:
            while self._rung:
                self._rung = False
                await self.line.redis.xadd(self.key, RING, maxlen=KEPT)
                await asyncio.sleep(APART)
        except FAILURES as e:
            self.line.lost(e)
            self._here.ring()
        finally:
            self._ringing = None

    async def wait(self) -> None:
        if self.line.up:
            try:
                await self.ear.hear(self.patience)
            except FAILURES as e:
                self.line.lost(e)
            else:
                return
        await self._here.wait()


def bells(url: str, password: str = "") -> Bells:
    """Those of one process on this Redis; it need not be there yet."""
    line = RedisLine(url, password)
    work, owed, happened = (f"ticketgate:{name}" for name in ("work", "owed", "happened"))
    return Bells(
        Stream(line, work, Some(line, work)), Stream(line, owed, Some(line, owed)),
        Stream(line, happened, All(line, happened)), line,
    )  # fmt: skip


def server(url: str) -> str:
    """Which server that is, without what is secret in its address."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else parts.path


def _says(error: Exception, code: str) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith(code)
