"""What the store stands on: a SQLite file (sqlite.py) or PostgreSQL (postgres.py), chosen in wire.py.

Every verb of the store is a synchronous function over a `Connection`; here it is run whole, in one transaction and one
hop to a thread. One transaction writes at a time, in this process and in all others that share the database, and sees
all that those before it committed. So whoever writes may look first, and what it saw still holds when it commits.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from normalizer.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

READERS = 3


class Damaged(Unavailable):
    """The file itself is: again later will not do, except for what lies elsewhere in it."""


class Database(ABC):
    """One thread that writes, a few that read. Raises Unavailable wherever disk or server does not do its part."""

    elsewhere = True  # not in the data folder, which several machines may share then

    def __init__(self) -> None:
        self.closed = ""  # why nothing can be journalled until somebody mends it, once that was found out
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")

    async def write(self, name: str, work: Callable[[Connection], T]) -> T:
        """Run in the writing thread, committed when this returns. `name` is that of its fault points."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.transact, name, work)

    async def write_ready(self, name: str, ready: Callable[[], R], work: Callable[[Connection, R], T]) -> T:
        """The same. What can be made ready without the database is, before it is our turn: others wait for that."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._ready, name, ready, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run in a reading thread, all of it on one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.look, work)

    async def aside(self, work: Callable[[], T]) -> T:
        """Run beside the database: files, and opening what was read."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._guarded, work)

    async def alone(self, work: Callable[[Any], T]) -> T:
        """Run in the writing thread on the driver's own connection, outside any transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.bare, work)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self.end)
        self._writer.shutdown()
        self._readers.shutdown()

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it is, for who reads a message about it."""

    @abstractmethod
    async def about(self) -> tuple[str, str]:
        """Which it is, and what is wrong with how it is set up, if anything. Raises Unavailable."""

    @abstractmethod
    def transact(self, name: str, work: Callable[[Connection], T]) -> T:
        """The work in a transaction. It may be run again if nothing of the first time was kept."""

    @abstractmethod
    def look(self, work: Callable[[Connection], T]) -> T:
        """The work on one snapshot, which it cannot change."""

    @abstractmethod
    def bare(self, work: Callable[[Any], T]) -> T: ...

    @abstractmethod
    async def scrub(self, *, wait: bool = True) -> None:
        """What was overwritten is not kept any longer, as far as that is in our hands. Without `wait` nobody waits."""

    @abstractmethod
    async def back_up(self, folder: Path, revision: str, moment: datetime) -> None:
        """Before it is upgraded from that revision: a copy in the folder, or a word about who has to make one."""

    @abstractmethod
    def end(self) -> None:
        """Close all connections, from the writing thread."""

    @abstractmethod
    def unavailable(self) -> AbstractContextManager[None]:
        """Trouble with the database, as the house says it: again later."""

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """The same of the database and of files beside it."""
        try:
            with self.unavailable():
                yield
        except OSError as e:
            raise Unavailable(f"the data folder: {type(e).__name__} {e.errno}, {e.strerror}") from e

    def _ready(self, name: str, ready: Callable[[], R], work: Callable[[Connection, R], T]) -> T:
        made = ready()
        return self.transact(name, lambda connection: work(connection, made))

    def _guarded(self, work: Callable[[], T]) -> T:
        with self.guarded():
            return work()
