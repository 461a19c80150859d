"""The few places where SQLite and PostgreSQL say the same thing in different words."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")

MANY = 500  # values in one IN (...): SQLite binds at most 32,766

Record = Row[*tuple[Any, ...]]
Insert = sqlite.Insert | postgresql.Insert


def insert(connection: Connection, table: Table) -> Insert:
    """INSERT that may say ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert those rows that are not there yet; leave the others as they are."""
    if rows:
        connection.execute(insert(connection, table).on_conflict_do_nothing(), rows)


def one_of(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """column IN (:these)"""
    return column.in_(bindparam("these", expanding=True))


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """At most MANY at a time, each once; nothing for nothing."""
    rest = iter(dict.fromkeys(values))
    while chunk := list(islice(rest, MANY)):
        yield chunk
