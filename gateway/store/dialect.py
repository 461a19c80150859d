"""The few places where SQLite and PostgreSQL say the same thing in different words, and statements for many rows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Table, Text, TypeDecorator, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

MANY = 500  # values looked for at a time

Record = Row[*tuple[Any, ...]]
Insert = sqlite.Insert | postgresql.Insert
Take = Sequence[tuple[str, Callable[[Any], Any] | None]]


def insert(connection: Connection, table: Table) -> Insert:
    """INSERT that may say ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


class Many:
    """One statement run for many rows, compiled once a dialect and set of columns.

    SQLAlchemy's own way prepares every row anew, which costs several times what the insert itself does. `statement` is
    made for the connection's dialect; each row names the same columns or parameters as the first.
    """

    def __init__(self, statement: UpdateBase | Callable[[Connection], UpdateBase]) -> None:
        self._statement = statement
        self._compiled: dict[tuple[str, ...], tuple[str, dict[str, Any], Take]] = {}

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Nothing for no rows."""
        if not rows:
            return
        sql, constants, take = self._sql(connection, tuple(rows[0]))
        if constants:
            rows = [constants | row for row in rows]
        given = [tuple([prepare(row[name]) if prepare else row[name] for name, prepare in take]) for row in rows]
        connection.exec_driver_sql(sql, given)

    def _sql(self, connection: Connection, names: tuple[str, ...]) -> tuple[str, dict[str, Any], Take]:
        known = (connection.dialect.name, *names)
        if known not in self._compiled:
            made = self._statement if isinstance(self._statement, UpdateBase) else self._statement(connection)
            compiled = made.compile(dialect=connection.dialect, column_keys=list(names))
            assert isinstance(compiled, SQLCompiler)
            order = compiled.positiontup or ()
            take = [(name, compiled.binds[name].type.bind_processor(connection.dialect)) for name in order]
            self._compiled[known] = str(compiled), {n: compiled.params[n] for n in order if n not in names}, take
        return self._compiled[known]


class Placed:
    """Inserts rows that have an id, and tells the places they got.

    Two statements for many rows; RETURNING makes SQLAlchemy put each row into the text of the statement.
    """

    def __init__(self, table: Table) -> None:
        self._insert = Many(table.insert())
        self._places = select(table.c.id, table.c.seq).where(one_of(table.c.id))

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
        """seq by id."""
        self._insert.run(connection, rows)
        ids = chunks(row["id"] for row in rows)
        return {row.id: row.seq for these in ids for row in connection.execute(self._places, {"these": these})}


def insert_new(table: Table) -> Many:
    """Insert the rows that are not there yet; leave the others as they are."""
    return Many(lambda connection: insert(connection, table).on_conflict_do_nothing())


def one_of(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """column IN (:these), a list in one parameter, so that it is one statement however many it looks for."""
    return column.op("IN", is_comparison=True)(_Each(bindparam("these", type_=_Listed), type_=column.type))


class _Listed(TypeDecorator[Sequence[Any]]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> str:
        return orjson.dumps(value).decode()


class _Each(FunctionElement[Any]):
    """What a list holds. SQLAlchemy's own way writes the statement anew each time, with a parameter for each."""

    inherit_cache = True

    def __init__(self, these: ColumnElement[Any], type_: TypeEngine[Any]) -> None:
        super().__init__(these)
        self.type = type_


@compiles(_Each, "sqlite")
def _each_in_sqlite(each: _Each, compiler: SQLCompiler, **given: Any) -> str:
    return f"(SELECT value FROM json_each({compiler.process(each.clauses, **given)}))"  # noqa: S608 - a parameter


@compiles(_Each, "postgresql")
def _each_in_postgresql(each: _Each, compiler: SQLCompiler, **given: Any) -> str:
    listed, kind = compiler.process(each.clauses, **given), compiler.dialect.type_compiler_instance.process(each.type)
    return f"(SELECT CAST(value AS {kind}) FROM json_array_elements_text(CAST({listed} AS JSON)))"  # noqa: S608 - a parameter


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """At most MANY at a time, each once; nothing for nothing."""
    rest = iter(dict.fromkeys(values))
    while chunk := list(islice(rest, MANY)):
        yield chunk
