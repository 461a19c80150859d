"""The few places where SQLite and PostgreSQL say the same thing in different words, and statements for many rows."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    CursorResult,
    Row,
    Table,
    Text,
    TypeDecorator,
    bindparam,
)  # fmt: skip
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

MANY = 500  # values looked for at a time
AT_ONCE = 64  # rows of one INSERT
_ROW = re.compile(r"\bVALUES (\([^()]*\))")

Record = Row[*tuple[Any, ...]]
Insert = sqlite.Insert | postgresql.Insert
Take = Sequence[tuple[str, Callable[[Any], Any] | None]]


def insert(connection: Connection, table: Table) -> Insert:
    """INSERT that may say ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement as the driver takes it.

    SQLite's INSERT repeats `row` for each of its rows; PostgreSQL's takes an `array` for each column.
    """

    sql: str
    constants: dict[str, Any]
    take: Take
    row: str = ""
    arrays: bool = False

    def parameters(self, rows: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
        given = [self.constants | row for row in rows] if self.constants else rows
        return [tuple([prepare(row[name]) if prepare else row[name] for name, prepare in self.take]) for row in given]

    def of_many(self, rows: int) -> str:
        return self.sql.replace(f"VALUES {self.row}", "VALUES " + ", ".join([self.row] * rows), 1)


class Many:
    """One statement run for many rows, compiled once a dialect and set of columns.

    SQLAlchemy's own way prepares every row anew, which costs several times what the insert itself does. `statement` is
    made for the connection's dialect; each row names the same columns or parameters as the first. An INSERT takes many
    rows at once: SQLite's driver lets other threads in before each statement, and getting back may take longer than the
    statement; PostgreSQL is on the other end of a line.
    """

    def __init__(self, statement: UpdateBase | Callable[[Connection], UpdateBase]) -> None:
        self._statement = statement
        self._prepared: dict[tuple[str, ...], Prepared] = {}
        self._of_many: dict[tuple[str, int], str] = {}

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Nothing for no rows."""
        if not rows:
            return
        one = self.prepared(connection, tuple(rows[0]))
        if one.row or one.arrays:
            for _ in self.portions(connection, one, rows):
                pass
        else:
            connection.exec_driver_sql(one.sql, one.parameters(rows))

    def portions(
        self, connection: Connection, one: Prepared, rows: Sequence[dict[str, Any]]
    ) -> Iterator[tuple[Sequence[dict[str, Any]], CursorResult[Any]]]:
        """The rows by powers of two, so that there are few statements to know, and what came of each."""
        if one.arrays:
            for first in range(0, len(rows), MANY):
                portion = rows[first : first + MANY]
                columns = tuple(map(list, zip(*one.parameters(portion), strict=True)))
                yield portion, connection.exec_driver_sql(one.sql, columns)
            return
        at = 0
        while at < len(rows):
            size = min(AT_ONCE, 1 << (len(rows) - at).bit_length() - 1)
            portion = rows[at : at + size]
            at += size
            if (one.sql, size) not in self._of_many:
                self._of_many[one.sql, size] = one.of_many(size)
            given = tuple(chain.from_iterable(one.parameters(portion)))
            yield portion, connection.exec_driver_sql(self._of_many[one.sql, size], given)

    def prepared(self, connection: Connection, names: tuple[str, ...]) -> Prepared:
        known = (connection.dialect.name, *names)
        if known not in self._prepared:
            made = self._statement if isinstance(self._statement, UpdateBase) else self._statement(connection)
            compiled = made.compile(dialect=connection.dialect, column_keys=list(names))
            assert isinstance(compiled, SQLCompiler)
            order = compiled.positiontup or ()
            take = [(name, compiled.binds[name].type.bind_processor(connection.dialect)) for name in order]
            constants = {name: compiled.params[name] for name in order if name not in names}
            row, sql = (_ROW.search(str(compiled)) if made.is_insert else None), str(compiled)
            if row and connection.dialect.name == "postgresql":
                kind = connection.dialect.type_compiler_instance.process
                arrays = ", ".join(f"%s::{kind(compiled.binds[name].type)}[]" for name in order)
                sql = sql.replace(row[0], f"SELECT * FROM unnest({arrays})", 1)  # noqa: S608 - parameters
                self._prepared[known] = Prepared(sql, constants, take, arrays=True)
            else:
                self._prepared[known] = Prepared(sql, constants, take, row[1] if row else "")
        return self._prepared[known]


class Placed:
    """Inserts rows that have an id, and tells the places they got."""

    def __init__(self, table: Table) -> None:
        self._insert = Many(partial(_placing, table))

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
        """seq by id."""
        if not rows:
            return {}
        one = self._insert.prepared(connection, tuple(rows[0]))
        return dict(chain.from_iterable(_places(*each) for each in self._insert.portions(connection, one, rows)))


def _placing(table: Table, connection: Connection) -> UpdateBase:
    plain = table.insert()
    return plain.returning(table.c.id, table.c.seq) if connection.dialect.name == "postgresql" else plain


def _places(portion: Sequence[dict[str, Any]], result: CursorResult[Any]) -> Iterator[tuple[str, int]]:
    """As it says; else SQLite's only writer numbered the rows of one statement in their order, without gaps."""
    if result.returns_rows:
        yield from ((row.id, row.seq) for row in result)
    else:
        first = result.lastrowid - len(portion) + 1
        yield from ((row["id"], first + n) for n, row in enumerate(portion))


def insert_new(table: Table) -> Many:
    """Insert the rows that are not there yet; leave the others as they are."""
    return Many(lambda connection: insert(connection, table).on_conflict_do_nothing())


def one_of(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """column IN (:these), a list in one parameter, so that it is one statement however many it looks for."""
    return _OneOf(column, bindparam("these", type_=_Listed(column.type)))


class _Listed(TypeDecorator[Sequence[Any]]):
    """A list of values of a column: JSON in SQLite, an array in PostgreSQL."""

    impl = Text
    cache_ok = True

    def __init__(self, of: TypeEngine[Any]) -> None:
        super().__init__()
        self.of = of

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(postgresql.ARRAY(self.of) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        return list(value or ()) if dialect.name == "postgresql" else orjson.dumps(value).decode()


class _OneOf(FunctionElement[bool]):
    """SQLAlchemy's own way writes the statement anew each time, with a parameter for each."""

    inherit_cache = True
    type = Boolean()

    def self_group(self, against: Any = None) -> "_OneOf":
        """A condition as it stands: SQLite would be told to compare it with 1, and could use no index for it."""
        return self


@compiles(_OneOf, "sqlite")
def _in_sqlite(one: _OneOf, compiler: SQLCompiler, **given: Any) -> str:
    column, these = (compiler.process(clause, **given) for clause in one.clauses)
    return f"{column} IN (SELECT value FROM json_each({these}))"  # noqa: S608 - a parameter


@compiles(_OneOf, "postgresql")
def _in_postgresql(one: _OneOf, compiler: SQLCompiler, **given: Any) -> str:
    column, these = (compiler.process(clause, **given) for clause in one.clauses)
    return f"{column} = ANY ({these})"


def chunks(values: Iterable[T]) -> Iterator[list[T]]:
    """At most MANY at a time, each once; nothing for nothing."""
    rest = iter(dict.fromkeys(values))
    while chunk := list(islice(rest, MANY)):
        yield chunk
