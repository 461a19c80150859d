"""One SQLite file, one thread that writes, a few that read.

Every verb of the store is a synchronous function over a `Connection`; here it is run whole, in one transaction and one
hop to a thread. Writing begins with BEGIN IMMEDIATE, so a transaction never finds out at its end that it may not write.
Between processes whoever writes waits for its turn (turn.py); SQLite's own patience is the net beneath.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from gateway.faults import reach
from gateway.store.turn import Turn
from normalizer.errors import Unavailable

T = TypeVar("T")

READERS = 3
BUSY_MS = 5_000
# Errors that pass by themselves; after any other one the connection is thrown away.
PASSING = ("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_LOCKED")


class Database:
    """The file and its threads. Raises Unavailable wherever the disk or the file does not do its part."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _own(path)
        self._engine = engine(path, "BEGIN IMMEDIATE")
        self._reading = engine(path, "BEGIN", readers=READERS)
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._readers = ThreadPoolExecutor(READERS, "store-reader")
        self._connection: Connection | None = None
        self._turn = Turn(path)

    async def write(self, name: str, work: Callable[[Connection], T]) -> T:
        """Run in the writing thread, committed when this returns. `name` is that of its fault points."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self.transact, name, work)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run in a reading thread, all of it on one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._look, work)

    async def aside(self, work: Callable[[], T]) -> T:
        """Run beside the database: files, and opening what was read."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, _guarded, work)

    async def alone(self, work: Callable[[Any], T]) -> T:
        """Run in the writing thread on the bare connection, outside any transaction."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, self._bare, work)

    def transact(self, name: str, work: Callable[[Connection], T]) -> T:
        with self._kept() as connection:
            with self._turn, connection.begin():
                result = work(connection)
                reach(f"{name}.before_commit")
            reach(f"{name}.after_commit")
        return result

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writer, self._drop)
        self._writer.shutdown()
        self._readers.shutdown()
        self._reading.dispose()
        self._engine.dispose()
        self._turn.close()

    def _bare(self, work: Callable[[Any], T]) -> T:
        with self._kept() as connection:
            return work(connection.connection.dbapi_connection)

    def _look(self, work: Callable[[Connection], T]) -> T:
        with unavailable(), self._reading.begin() as connection:
            return work(connection)

    @contextmanager
    def _kept(self) -> Iterator[Connection]:
        """The writer's own connection; a broken one is thrown away, so that the next transaction has a fresh one."""
        with unavailable():
            if self._connection is None:
                self._connection = self._engine.connect()
            try:
                yield self._connection
            except DBAPIError as e:
                if isinstance(e, OperationalError) and error_name(e) not in PASSING:
                    self._drop()
                raise

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def engine(path: Path, begin: str, readers: int = 0) -> Engine:
    """`hide_parameters`: what a statement was given may be a customer's words, and errors are logged."""
    pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": readers} if readers else {"poolclass": NullPool}
    made = create_engine("sqlite+pysqlite://", creator=lambda: _connect(path), hide_parameters=True, **pool)

    @event.listens_for(made, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return made


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
    for pragma in (
        f"busy_timeout = {BUSY_MS}", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON",
        "temp_store = MEMORY", "cache_size = -16000", "wal_autocheckpoint = 4000", "journal_size_limit = 67108864",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _own(path: Path) -> None:
    """The file exists and is its owner's alone, before anything is in it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _guarded(work: Callable[[], T]) -> T:
    with unavailable():
        return work()


def error_name(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlite_errorname", type(error.orig).__name__))


@contextmanager
def unavailable() -> Iterator[None]:
    """Trouble with the disk or the file, as the house says it: again later."""
    try:
        yield
    except OperationalError as e:
        raise Unavailable(f"the database: {error_name(e)}") from e
    except OSError as e:
        raise Unavailable(f"the data folder: {type(e).__name__} {e.errno}") from e
