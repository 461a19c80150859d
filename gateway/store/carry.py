"""All rows of a store, from one database to another: a copy of PostgreSQL in a SQLite file, and the way back.

Both have the same tables, so this is all that a backup needs, and a move from one to the other. The words to search by
are not carried: each keeps them its own way, and makes them anew from the newest ticket backwards (search.py).
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, create_engine, delete, func, inspect, select, text
from sqlalchemy.pool import NullPool

from gateway.store import search, shared, snapshot, upgrade
from gateway.store.database import Database
from gateway.store.tables import counters, events, metadata, tickets
from normalizer.errors import ConfigError, Where

AT_ONCE = 500

Told = Callable[[int, int], None]  # so many of all rows


class Server:
    """A database that is no file, as a backup sees it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def there(self) -> bool:
        return bool(self._database.look(upgrade.revision))

    @property
    def place(self) -> str:
        return self._database.place

    def copy(self, to: Path, told: Told) -> None:
        """As it stands at one moment, in a SQLite file. Raises Unavailable, OSError, ConfigError if it is older."""

        def copied(source: Connection) -> None:
            found = upgrade.revision(source)
            if found != upgrade.REVISION:
                hint = "run `ticketgate migrate` first"
                raise ConfigError(Where(self.place), f"at revision {found}, not {upgrade.REVISION}", hint)
            os.close(os.open(to, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600))
            made = create_engine("sqlite+pysqlite://", creator=lambda: _whole(to), poolclass=NullPool)
            with made.begin() as target:
                upgrade.make(target)
                carry(source, target, told)

        self._database.look(copied)

    def blobs(self) -> list[str]:
        return self._database.look(snapshot.blobs_named)


def fill(database: Database, file: Path, told: Told) -> None:
    """What is in a SQLite file into an empty database, in one transaction. Raises ConfigError if it is not empty."""

    def filled(target: Connection) -> None:
        refuse_filled(target, database.place)
        upgrade.make(target)
        snapshot.read(file, lambda source: carry(source, target, told))
        shared.forget(target)

    database.transact("arrange", filled)


def refuse_filled(connection: Connection, place: str) -> None:
    if upgrade.revision(connection):
        raise ConfigError(Where(place), "there is a store in it already", "restore into a new, empty database")


def carry(source: Connection, target: Connection, told: Told) -> None:
    """All rows, into tables as they were made. What is numbered goes on behind the last number ever given."""
    tables = [table for table in metadata.sorted_tables if inspect(source).has_table(table.name)]
    done, whole = 0, sum(source.scalar(select(func.count()).select_from(table)) or 0 for table in tables)
    target.execute(delete(counters))
    reading = source.execution_options(yield_per=AT_ONCE)
    for table in tables:
        for rows in reading.execute(select(table)).mappings().partitions():
            target.execute(table.insert(), [dict(row) for row in rows])
            told(done := done + len(rows), whole)
    for name, last in _numbered(source).items():
        _number(target, name, last)
    for mark, latest in ((search.BACKWARDS, tickets), (search.FOLLOWED, events)):
        search.mark(target, mark, target.scalar(select(func.max(latest.c.seq))) or 0)


def _whole(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file)
    for pragma in ("journal_mode = OFF", "synchronous = OFF"):  # one that does not end is thrown away
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _numbered(connection: Connection) -> dict[str, int]:
    """The last number ever given, by table."""
    if connection.dialect.name == "sqlite":
        return dict(connection.execute(text("SELECT name, seq FROM sqlite_sequence")).all())
    sequences = text("SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = current_schema()")
    return {name.removesuffix("_seq_seq"): last for name, last in connection.execute(sequences) if last}


def _number(connection: Connection, table: str, last: int) -> None:
    given = {"name": table, "last": last}
    if connection.dialect.name == "sqlite":
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), given)
        connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), given)
    else:
        connection.execute(text("SELECT setval(CAST(:name || '_seq_seq' AS regclass), :last)"), given)
