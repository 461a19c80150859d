"""One SQLite file. Writing begins with BEGIN IMMEDIATE, so a transaction never finds out at its end that it may not.

Between processes whoever writes waits for its turn (turn.py); SQLite's own patience is the net beneath. What was
written ahead goes into the file beside whoever writes next. SQLite would do it at the end of a commit, within the turn:
that is the net here too, for a log that grew all the same, since only there can it be begun anew without a pause.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from gateway.crypto import sync_folder
from gateway.faults import reach
from gateway.log import log
from gateway.store.database import READERS, Damaged, Database
from gateway.store.turn import Turn
from normalizer.errors import Unavailable

T = TypeVar("T")

BUSY_MS = 5_000
CHECKPOINT_AFTER = 5_000  # rows changed by this process: some 6 MB
LARGEST_LOG = 16_000  # pages of 4 KB
# Errors that pass by themselves; after any other one the connection is thrown away.
FULL = "SQLITE_FULL"
PASSING = (FULL, "SQLITE_BUSY", "SQLITE_LOCKED")
JOURNAL = "journal"  # what the door writes
DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")  # and longer names that begin with the former


class Sqlite(Database):
    """The file; it is made if there is none."""

    elsewhere = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        _own(path)
        self._engine = engine(path, "BEGIN IMMEDIATE")
        self._reading = engine(path, "BEGIN", readers=READERS)
        self._connection: Connection | None = None
        self._turn = Turn(path)
        self._beside = ThreadPoolExecutor(1, "store-checkpoint")
        self._checkpoint: Future[Any] = self._beside.submit(int)
        self._changed = 0  # rows, when the last checkpoint began
        self._told = False  # that it is damaged

    @property
    def place(self) -> str:
        return str(self.path)

    async def about(self) -> tuple[str, str]:
        return f"SQLite {sqlite3.sqlite_version}, {self.path}", ""

    def transact(self, name: str, work: Callable[[Connection], T]) -> T:
        try:
            return self._transacted(name, work)
        except Damaged as e:
            if name == JOURNAL:
                self.closed = e.reason
            raise

    def _transacted(self, name: str, work: Callable[[Connection], T]) -> T:
        with self._kept() as connection:
            with self._turn, connection.begin():
                result = work(connection)
                reach(f"{name}.before_commit")
            reach(f"{name}.after_commit")
            self._tidy(connection)
        return result

    def look(self, work: Callable[[Connection], T]) -> T:
        with self.guarded(), self._reading.begin() as connection:
            return work(connection)

    def bare(self, work: Callable[[Any], T]) -> T:
        with self._kept() as connection:
            return work(connection.connection.dbapi_connection)

    async def scrub(self, *, wait: bool = True) -> None:
        """The write-ahead log is emptied; without `wait` not while somebody reads."""
        await self.alone(partial(self._emptied, _truncate if wait else _truncate_at_once))

    def _emptied(self, truncate: Callable[[sqlite3.Connection], None], bare: sqlite3.Connection) -> None:
        self._checkpoint.result()  # one under way would be in its way
        truncate(bare)

    async def back_up(self, folder: Path, revision: str, moment: datetime) -> None:
        """A whole copy of the file as it stands, durable before this returns."""
        await self.alone(lambda bare: _copy(bare, folder, revision, moment))

    def _tidy(self, connection: Connection) -> None:
        """Let the checkpoint begin that is due, unless the one before is under way."""
        changed = getattr(connection.connection.dbapi_connection, "total_changes", 0)
        if not 0 <= changed - self._changed < CHECKPOINT_AFTER and self._checkpoint.done():
            self._changed = changed
            self._checkpoint = self._beside.submit(_checkpoint, self.path)

    def end(self) -> None:
        self._beside.shutdown()
        self._drop()
        self._reading.dispose()
        self._engine.dispose()
        self._turn.close()

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as e:
            name = error_name(e)
            raise Unavailable(f"the database: {name}{', no room on its disk' if name == FULL else ''}") from e
        except DatabaseError as e:
            if not error_name(e).startswith(DAMAGED):
                raise
            raise Damaged(self._damaged(error_name(e))) from e

    def _damaged(self, name: str) -> str:
        """What is wrong, for who asks again or looks. Logged once: everything that comes by may meet it."""
        if not self._told:
            self._told = True
            log.error("the database file is damaged", path=str(self.path), code=name)
        return f"{self.path} is damaged ({name}): stop the gateway and restore a backup (docs/operating.md, Restore)"

    @contextmanager
    def _kept(self) -> Iterator[Connection]:
        """The writer's own connection; a broken one is thrown away, so that the next transaction has a fresh one."""
        with self.guarded():
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
        "temp_store = MEMORY", "cache_size = -16000", f"wal_autocheckpoint = {LARGEST_LOG}",
        "journal_size_limit = 67108864",
    ):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _own(path: Path) -> None:
    """The file exists and is its owner's alone, before anything is in it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def error_name(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlite_errorname", type(error.orig).__name__))


def _checkpoint(path: Path) -> None:
    """As much as can be had without keeping anybody waiting. Trouble is for who writes: the disk tells them too."""
    with suppress(sqlite3.Error), closing(_connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _truncate(bare: sqlite3.Connection) -> None:
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _truncate_at_once(bare: sqlite3.Connection) -> None:
    """Unless somebody reads at this moment: whoever writes must not wait for a long look."""
    (patience,) = bare.execute("PRAGMA busy_timeout").fetchone()
    bare.execute("PRAGMA busy_timeout = 0")
    try:
        _truncate(bare)
    finally:
        bare.execute(f"PRAGMA busy_timeout = {patience}")


def _copy(bare: sqlite3.Connection, folder: Path, revision: str, moment: datetime) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = folder / f"ticketgate-{revision}-{moment:%Y%m%dT%H%M%S%fZ}.db"
    copy.touch(mode=0o600, exist_ok=False)
    target = sqlite3.connect(copy)
    try:
        bare.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    finally:
        target.close()
    sync_folder(folder)
