"""Statements for many rows: whatever their number, each row is there once and is told its own place."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from gateway.store import sqlite
from gateway.store.dialect import AT_ONCE, Placed, insert_new, one_of
from gateway.store.store import Store
from gateway.store.tables import LONG_AGO, contacts, envelopes, lanes, messages, tickets, work


def envelope(n: int) -> dict[str, Any]:
    return {"id": f"{n:032x}", "connector": "api", "account": "app", "received_at": LONG_AGO, "size": n, "blob": None,
            "wrapped_key": b"key", "sealed": b"words"}  # fmt: skip


@pytest.mark.parametrize("rows", [0, 1, 2, 3, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7])
async def test_each_of_many_rows_is_told_the_place_it_got(store: Store, rows: int) -> None:
    def work(connection: Connection) -> tuple[dict[str, int], dict[str, int]]:
        table = Placed(envelopes)
        table.run(connection, [envelope(n) for n in range(500, 510)])  # places do not begin at 1
        told = table.run(connection, [envelope(n) for n in range(rows)])
        there = connection.execute(select(envelopes.c.id, envelopes.c.seq).where(envelopes.c.size < 500)).all()
        return told, {row.id: row.seq for row in there}

    told, there = await store.database.write("journal", work)
    assert told == there
    assert len(told) == rows


@pytest.mark.parametrize("rows", [1, 7, AT_ONCE, AT_ONCE + 1])
async def test_of_many_rows_those_that_are_there_already_are_left_as_they_were(store: Store, rows: int) -> None:
    def heads(first: int, head: int) -> list[dict[str, Any]]:
        return [{"lane": f"{n:032x}", "head": head, "ready_at": LONG_AGO, "fence": 0} for n in range(first, rows)]

    def work(connection: Connection) -> tuple[int, int]:
        line_up = insert_new(lanes)
        line_up.run(connection, heads(rows // 2, 1))
        line_up.run(connection, heads(0, 2))
        counted = select(func.count().filter(lanes.c.head == 1), func.count().filter(lanes.c.head == 2))
        row = connection.execute(counted).one()
        return row[0], row[1]

    assert await store.database.write("journal", work) == (rows - rows // 2, rows // 2)


@pytest.mark.only("sqlite")
@pytest.mark.parametrize("column", [tickets.c.id, contacts.c.id, messages.c.external, lanes.c.lane, work.c.seq])
async def test_many_are_looked_for_by_an_index_also_beside_another_condition(store: Store, column: Any) -> None:
    def plan(connection: Connection) -> str:
        asked = select(column).where(one_of(column), column.is_not(None))
        sql = str(asked.compile(dialect=connection.dialect))
        return str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", ('["a"]',)).all())

    told = await store.database.read(plan)
    assert f"SEARCH {column.table.name} USING" in told
    assert f"SCAN {column.table.name}" not in told


@pytest.mark.only("sqlite")
async def test_what_is_written_ahead_goes_into_the_file_while_writing_goes_on(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_AFTER", 200)
    rows = insert_new(lanes)

    def work(connection: Connection, first: int) -> None:
        made = range(first, first + 50)
        rows.run(connection, [{"lane": f"{n:032x}", "head": n, "ready_at": LONG_AGO, "fence": 0} for n in made])

    file = folder / "ticketgate.db"
    before = file.stat().st_size
    for first in range(0, 10_000, 50):
        await store.database.write("journal", partial(work, first=first))
    assert file.stat().st_size > before + 500_000  # 16,000 pages are not reached by far
