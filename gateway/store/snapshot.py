"""A copy of the database while others write to it: as it stood at one moment, whole, in one file.

The copy reads one snapshot of the write-ahead log from beginning to end, so no writer waits for it and no write makes
it begin anew. It goes in small steps and rests between them: the disk is the writers' first. Meanwhile the log cannot
be folded back into the database; it grows by what is written during the copy and shrinks again afterwards.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, create_engine, func, select
from sqlalchemy.pool import NullPool

from gateway.store.tables import envelopes, tickets
from normalizer.errors import ConfigError, Where

T = TypeVar("T")

PAGES = 256  # at a time: 1 MB
REST = 0.5  # of what a step took
LONGEST_REST = 0.05


class File:
    """A database that is a file, as a backup sees it."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @property
    def there(self) -> bool:
        return self.file.exists()

    @property
    def place(self) -> str:
        return str(self.file.parent)

    def copy(self, to: Path, told: Callable[[int, int], None]) -> None:
        copy(self.file, to, told)

    def blobs(self) -> list[str]:
        return read(self.file, blobs_named)


def copy(file: Path, to: Path, told: Callable[[int, int], None]) -> None:
    """`told(done, all)` hears of every step, in pages. Raises OSError, sqlite3.Error; ConfigError if damaged."""
    os.close(os.open(to, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600))
    with closing(_connect(file)) as source:
        source.execute("PRAGMA busy_timeout = 5000")
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on the snapshot is ours
        with closing(sqlite3.connect(to, isolation_level=None)) as target:
            target.execute("PRAGMA synchronous = OFF")  # a copy that does not end is thrown away
            source.backup(target, pages=PAGES, progress=_resting(told))
            target.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
            check(target, file)


def check(connection: sqlite3.Connection, file: Path) -> None:
    """Raises ConfigError unless every page of it is in order."""
    found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        raise ConfigError(Where(str(file)), f"the database is damaged: {found[0]}", "restore the latest backup")


def read(file: Path, work: Callable[[Connection], T]) -> T:
    """Look into a copy, or into the database itself, on a connection that changes neither."""
    made = create_engine("sqlite+pysqlite://", creator=lambda: _connect(file), poolclass=NullPool)
    with made.connect() as connection:
        return work(connection)


def _connect(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)


def _resting(told: Callable[[int, int], None]) -> Callable[[int, int, int], None]:
    last = time.monotonic()

    def after_step(_: int, remaining: int, pages: int) -> None:
        nonlocal last
        told(pages - remaining, pages)
        time.sleep(min(LONGEST_REST, REST * (time.monotonic() - last)))
        last = time.monotonic()

    return after_step


def blobs_named(connection: Connection) -> list[str]:
    """The files that hold large bodies."""
    named = select(envelopes.c.blob).where(envelopes.c.blob.is_not(None)).distinct().order_by(envelopes.c.blob)
    return [name for name in connection.scalars(named) if name]


def tickets_in(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(tickets)) or 0
