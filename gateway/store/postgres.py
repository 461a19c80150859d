"""PostgreSQL, by psycopg in the same threads (docs/decisions/0028-postgresql.md).

Whoever writes waits for the turn, a lock that PostgreSQL gives to one transaction at a time, in the order they asked,
and takes back when it ends, however it ends. Statements of a transaction see what was committed before each of them, so
all that was committed before it had the turn. Reading waits for nobody: it has a snapshot.

A connection that was lost while nothing was under way is replaced before it is used. Lost during a transaction, nobody
knows at its COMMIT whether it was kept: that is Unavailable, and whoever asked asks again, as after a crash.
"""

import re
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, InternalError, OperationalError
from sqlalchemy.pool import QueuePool

from gateway.faults import reach
from gateway.log import log
from gateway.store.database import READERS, Database
from normalizer.errors import ConfigError, Unavailable, Where

T = TypeVar("T")

OURS = 0x7467  # the first half of every advisory lock of ours; locks are counted by database
TURN = 1
TRIES = 5
SAY_EVERY = 30.0  # seconds
ROLLED_BACK = ("40001", "40P01")  # serialization failure, deadlock: nothing was kept, so it can be run again
OLDEST = 140000  # server_version_num

# A machine that vanished without a word gives back what it held after half a minute. Whoever asked for the turn waits
# no longer than most senders do. Nothing is promised before it is on the server's disk, whatever the server's default.
SESSION = """
SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '2min'; SET idle_session_timeout = 0;
SET statement_timeout = 0; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
SET client_min_messages = 'error';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'
"""
OPTIONS = {
    "connect_timeout": "5", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
    "tcp_user_timeout": "20000", "application_name": "ticketgate",
}  # fmt: skip


class Postgres(Database):
    """A database of its own on a server. `url` is libpq's, with several hosts too; connections are made when needed."""

    def __init__(self, url: str, password: str = "") -> None:
        super().__init__()
        self.url, self._password, self._said = url, password, -SAY_EVERY
        self._engine = engine(self.connect, 1)
        self._reading = engine(lambda: self.connect(reading=True), READERS)
        event.listen(self._engine, "begin", _take_turn)

    @property
    def place(self) -> str:
        return without_password(self.url)

    async def about(self) -> tuple[str, str]:
        asked = (
            "SELECT current_setting('server_version'), current_setting('fsync'), current_setting('full_page_writes')"
        )
        version, *safe = await self.read(lambda connection: connection.exec_driver_sql(asked).one())
        wrong = "" if safe == ["on", "on"] else "fsync or full_page_writes is off: a power cut loses what was accepted"
        return f"PostgreSQL {version.split()[0]}, {self.place}", wrong

    def connect(self, *, reading: bool = False) -> "psycopg.Connection[Any]":
        """Raises psycopg.OperationalError."""
        secret = {"password": self._password} if self._password else {}
        try:
            connection = psycopg.connect(psycopg.conninfo.make_conninfo(self.url, **OPTIONS, **secret), autocommit=True)
        except psycopg.OperationalError as e:
            self._say(str(e))
            raise
        _check(connection, self.place)
        connection.execute(SESSION)
        connection.autocommit = False
        connection.adapters.register_dumper(str, _Text)
        connection.prepared_max = 500  # every INSERT is there for a few numbers of rows
        if reading:
            connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True
        else:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        return connection

    def _say(self, why: str) -> None:
        """Now and then; those who asked are told less, since they may be anybody."""
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            log.warning("PostgreSQL cannot be reached", where=self.place, hint=" ".join(why.split())[:500])

    def transact(self, name: str, work: Callable[[Connection], T]) -> T:
        with self.guarded():
            for left in reversed(range(TRIES)):
                try:
                    return self._transact(name, work)
                except DBAPIError as e:
                    if not left or state_of(e) not in ROLLED_BACK:
                        raise
            raise AssertionError

    def _transact(self, name: str, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            result = work(connection)
            reach(f"{name}.before_commit")
        reach(f"{name}.after_commit")
        return result

    def look(self, work: Callable[[Connection], T]) -> T:
        """A second time if the connection is lost: nothing was changed."""
        with self.guarded():
            try:
                return self._look(work)
            except DBAPIError as e:
                if not e.connection_invalidated:
                    raise
                return self._look(work)

    def _look(self, work: Callable[[Connection], T]) -> T:
        with self._reading.begin() as connection:
            return work(connection)

    def bare(self, work: Callable[[Any], T]) -> T:
        with self.guarded(), self._engine.connect() as connection:
            own: psycopg.Connection[Any] = connection.connection.dbapi_connection  # type: ignore[assignment]
            own.autocommit = True
            try:
                return work(own)
            finally:
                own.autocommit = False

    async def scrub(self, *, wait: bool = True) -> None:
        """Rows that were replaced are given free; the server's log and backups hold them as long as they are kept."""
        if wait:
            await self.aside(self._vacuum)

    def _vacuum(self) -> None:
        with self.connect() as connection:
            connection.autocommit = True
            connection.execute(f"VACUUM {', '.join(KEEPING_WORDS)}")

    async def back_up(self, folder: Path, revision: str, moment: datetime) -> None:
        log.warning(
            "upgrading the PostgreSQL database; no backup of it is made here",
            revision=revision, hint="should it go wrong, restore your own (pg_dump, or ticketgate backup)",
        )  # fmt: skip

    def end(self) -> None:
        self._engine.dispose()
        self._reading.dispose()

    @contextmanager
    def unavailable(self) -> Iterator[None]:
        try:
            yield
        except (OperationalError, InterfaceError) as e:
            raise Unavailable(f"the database: {said(e)}") from e
        except InternalError as e:
            if state_of(e)[:2] != "25" and not e.connection_invalidated:
                raise
            raise Unavailable(f"the database: {said(e)}") from e  # a standby that only reads, or it took too long
        except psycopg.OperationalError as e:
            raise Unavailable(f"the database: {type(e).__name__}") from e


KEEPING_WORDS = ("contacts", "envelopes", "messages", "tickets", "decisions", "outgoing", "spoken")


def engine(connect: Callable[[], "psycopg.Connection[Any]"], most: int) -> Engine:
    """`hide_parameters`: what a statement was given may be a customer's words, and errors are logged."""
    made = create_engine(
        "postgresql+psycopg://", creator=connect, paramstyle="format", hide_parameters=True, poolclass=QueuePool,
        pool_size=most, max_overflow=0, use_native_hstore=False,
    )  # fmt: skip
    event.listen(made, "checkout", _alive)
    return made


def _check(connection: "psycopg.Connection[Any]", place: str) -> None:
    """Raises ConfigError for a server that is too old, or a database in which not every character can be kept."""
    if connection.info.server_version < OLDEST:
        raise ConfigError(
            Where(place), f"PostgreSQL {connection.info.server_version // 10000} is too old", "14 or newer"
        )
    if (found := connection.info.parameter_status("server_encoding")) != "UTF8":
        raise ConfigError(Where(place), f"its encoding is {found}", "CREATE DATABASE ... ENCODING 'UTF8'")


def _take_turn(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", (OURS, TURN))


def _alive(own: "psycopg.Connection[Any]", *_: Any) -> None:
    """Nothing is to be read from a connection at rest, unless the server said farewell."""
    asked = select.poll()
    asked.register(own.fileno(), select.POLLIN)
    if asked.poll(0):
        raise DisconnectionError


class _Text(StrDumperUnknown):
    """PostgreSQL has no character 0. Who looks for one finds nothing, as with any other that is not there."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\x00", "\ufffd"))


def state_of(error: DBAPIError) -> str:
    """Its SQLSTATE."""
    return getattr(error.orig, "sqlstate", None) or ""


def said(error: DBAPIError) -> str:
    """Of what kind it is; its words may quote what was written."""
    return " ".join(one for one in (type(error.orig).__name__, state_of(error)) if one)


def without_password(url: str) -> str:
    return re.sub(
        r"(://[^/@:]*):[^/@]*@|(?<=[?&])password=[^&]*&?", lambda found: f"{found[1]}@" if found[1] else "", url
    )
