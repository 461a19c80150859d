"""Locks that PostgreSQL keeps for all machines: advisory ones, held by a connection that does nothing else.

When the connection ends, so do they: at once if a process dies or the server stops, half a minute after a machine was
cut off. While the server is away nobody holds anything. Once it is back every process takes again what it had, within
SETTLED seconds; who looks sooner waits that long, so that it does not take a living one for dead.
"""

import asyncio
import contextlib
import threading
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg

from gateway.alone import PATIENCE, Locks, Presence, Role, fresh_holder
from gateway.log import log
from gateway.store.postgres import OURS, Postgres
from normalizer.errors import Unavailable

BEAT = 1.0  # seconds between two looks whether the connection is there
SETTLED = 10.0  # seconds after the server started

TRY, GIVE_BACK = "SELECT pg_try_advisory_lock(%s)", "SELECT pg_advisory_unlock(%s)"
SHARE, GIVE_BACK_SHARED = "SELECT pg_advisory_lock_shared(%s)", "SELECT pg_advisory_unlock_shared(%s)"
AGE = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8"
MADE = "SELECT to_regclass('lanes') IS NOT NULL"
LEASED = "SELECT EXISTS (SELECT FROM lanes WHERE fence <> 0) OR EXISTS (SELECT FROM outgoing WHERE fence <> 0)"
DEAD = """
SELECT array_agg(DISTINCT holder) FROM lanes WHERE fence <> 0 AND holder <> 0 AND holder NOT IN (
    SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks
     WHERE locktype = 'advisory' AND objsubid = 1 AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""


class AdvisoryLocks(Locks):
    """Called from the loop's thread and others; one at a time is served."""

    def __init__(self, database: Postgres) -> None:
        self._database = database
        self._mutex = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        self._kept: set[int] = set()  # shared: what says that we live
        self._epoch = 0  # grows whenever all that was held is gone

    def presence(self, role: Role) -> Presence:
        return _Present(self, role)

    @asynccontextmanager
    async def holder(self) -> AsyncIterator[int]:
        number = fresh_holder()
        await asyncio.to_thread(self.share, number)
        try:
            yield number
        finally:
            await asyncio.to_thread(self.unshare, number)

    async def dead_holders(self, free: Callable[[int], Awaitable[None]]) -> None:
        for holder in await asyncio.to_thread(self._dead):
            await free(holder)

    async def sole(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        key = _key(f"sole:{name}")
        while True:
            epoch = await self._taken(key)
            working, watching = asyncio.ensure_future(body()), asyncio.create_task(self._gone(epoch))
            try:
                await asyncio.wait([working, watching], return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
                log.warning("the lock on it is lost; beginning anew", name=name)
            finally:
                for task in (working, watching):
                    task.cancel()
                await asyncio.gather(working, watching, return_exceptions=True)
                await asyncio.to_thread(self.give_back, GIVE_BACK, key)

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            with contextlib.suppress(Unavailable):  # whoever needs the store says so
                await asyncio.to_thread(self.ask, "SELECT 1")

    def close(self) -> None:
        with self._mutex:
            self._lose()

    def ask(self, sql: str, *key: int) -> Any:
        """The one value, on a new connection if the old one is lost. Raises Unavailable."""
        with self._mutex, self._database.guarded():
            known = self._connection is not None
            try:
                return self._asked(sql, key)
            except psycopg.OperationalError:
                self._lose()
                if known:
                    return self._asked(sql, key)
                raise

    def _asked(self, sql: str, key: tuple[int, ...]) -> Any:
        found = self._connected().execute(sql, key).fetchone()
        return found[0] if found else None

    def share(self, key: int) -> None:
        """Hold it beside others from now on, through every loss of the connection."""
        with self._mutex:
            self.ask(SHARE, key)
            self._kept.add(key)

    def unshare(self, key: int) -> None:
        with self._mutex:
            self._kept.discard(key)
            self.give_back(GIVE_BACK_SHARED, key)

    def give_back(self, sql: str, key: int) -> None:
        """Unless it is gone already, with the connection."""
        with self._mutex, contextlib.suppress(Unavailable):
            if self._connection is not None:
                self.ask(sql, key)

    @contextmanager
    def nobody(self) -> Iterator[bool]:
        self.settled()
        with super().nobody() as alone:
            yield alone

    def leased(self) -> bool:
        """Whether there is anything to take over."""
        return bool(self.ask(MADE) and self.ask(LEASED))

    def settled(self) -> None:
        """Wait until whoever lives has had the time to come back after the server was away."""
        while (rest := SETTLED - float(self.ask(AGE))) > 0:
            time.sleep(min(rest, PATIENCE))

    def _connected(self) -> "psycopg.Connection[Any]":
        if self._connection is None:
            connection = self._database.connect()
            connection.autocommit = True
            connection.execute("SET lock_timeout = 0")
            for key in self._kept:
                connection.execute(SHARE, (key,))
            self._connection = connection
        return self._connection

    def _lose(self) -> None:
        self._epoch += 1
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _dead(self) -> list[int]:
        return (self.ask(DEAD) or []) if float(self.ask(AGE)) > SETTLED else []

    async def _taken(self, key: int) -> int:
        while True:
            if (epoch := await asyncio.to_thread(self._tried, key)) is not None:
                return epoch
            await asyncio.sleep(PATIENCE)

    def _tried(self, key: int) -> int | None:
        with self._mutex, contextlib.suppress(Unavailable):
            if self.ask(TRY, key):
                return self._epoch
        return None

    async def _gone(self, epoch: int) -> None:
        while True:
            if self._epoch != epoch:
                return
            await asyncio.sleep(BEAT / 2)


class _Present:
    def __init__(self, locks: AdvisoryLocks, role: Role) -> None:
        self.role: Role = role
        self._locks, self._key, self._alone = locks, _key(f"role:{role}"), False

    def enter(self) -> bool:
        if self._locks.leased():
            self._locks.settled()
        self._alone = bool(self._locks.ask(TRY, self._key))
        if not self._alone:
            self._locks.share(self._key)
        return self._alone

    def stay(self) -> None:
        if self._alone:
            self._locks.share(self._key)
            self._locks.give_back(GIVE_BACK, self._key)
            self._alone = False

    def leave(self) -> None:
        if self._alone:
            self._locks.give_back(GIVE_BACK, self._key)
        else:
            self._locks.unshare(self._key)


def _key(name: str) -> int:
    return OURS << 32 | zlib.crc32(name.encode())
