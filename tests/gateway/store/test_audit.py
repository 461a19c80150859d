"""The audit shows what was done to it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from stored import NOW, SECOND, opened

from gateway.store import audit
from gateway.store.store import FILE, Store


async def written(store: Store, rows: int = 5) -> None:
    def write(connection: Connection) -> None:
        for n in range(rows):
            audit.append(
                connection, store.vault, NOW + n * SECOND, who="person:1", what="revealed", about=f"ticket-{n}",
                detail={"reason": f"reason {n}"},
            )  # fmt: skip

    await store.database.write("people", write)


async def verified(store: Store, has: str = "") -> audit.Verified:
    return await store.database.read(partial(audit.verify, vault=store.vault, has=has))


async def test_an_untouched_one_is_whole(store: Store) -> None:
    assert (await verified(store)) == audit.Verified(0, "")
    await written(store)
    found = await verified(store)
    assert (found.rows, found.wrong) == (5, ())
    assert (await verified(store, has=found.head)).wrong == ()


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        ("UPDATE audit SET who = 'person:2' WHERE seq = 3", "row 3 was changed"),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1", "row 1 was changed"),
        ("UPDATE audit SET sealed = (SELECT sealed FROM audit WHERE seq = 2) WHERE seq = 4", "row 4 was changed"),
        ("DELETE FROM audit WHERE seq = 3", "rows 3 to 3 are gone"),
        ("DELETE FROM audit WHERE seq = 1", "rows 1 to 1 are gone"),
        ("DELETE FROM audit WHERE seq > 3", "it ends at 3, it ended at 5"),
        ("DELETE FROM audit", "it ends at 0, it ended at 5"),
        ("DELETE FROM meta WHERE name = 'audit_head'", "it ends at 5, it ended at 0"),
        (
            "UPDATE meta SET value = sealed FROM audit WHERE seq = 1 AND name = 'audit_head'",
            "not those that were written last",
        ),
        (
            "INSERT INTO audit SELECT 6, at, who, what, about, sealed, hash FROM audit WHERE seq = 5",
            "row 6 was changed",
        ),
        ("DELETE FROM audit WHERE seq = 2; UPDATE audit SET seq = seq - 1 WHERE seq > 2", "row 2 was changed"),
    ],
)
async def test_a_changed_or_removed_row_shows(store: Store, tampering: str, told: str) -> None:
    await written(store)

    def tamper(connection: Connection) -> None:
        for statement in tampering.split(";"):
            connection.execute(text(statement))

    await store.database.write("people", tamper)
    assert told in " / ".join((await verified(store)).wrong)


@pytest.mark.only("sqlite")
async def test_an_older_copy_shows_to_who_noted_a_hash(folder: Path) -> None:
    store = await opened(folder)
    await written(store)
    await store.close()
    older = (folder / FILE).read_bytes()
    store = await opened(folder)
    await written(store)
    noted = (await verified(store)).head
    await store.close()
    (folder / FILE).write_bytes(older)  # closed, it is one file
    store = await opened(folder)
    assert (await verified(store)).wrong == ()
    assert "is not in it" in (await verified(store, has=noted)).wrong[0]
    await store.close()


async def test_rows_come_newest_first_by_page_and_by_whom(store: Store) -> None:
    await written(store)
    rows: Callable[..., partial[list[audit.Audited]]] = partial(partial, audit.rows, vault=store.vault)
    first = await store.database.read(rows(limit=2))
    assert [row.about for row in first] == ["ticket-4", "ticket-3"]
    rest = await store.database.read(rows(before=first[-1].seq))
    assert [row.detail["reason"] for row in rest] == ["reason 2", "reason 1", "reason 0"]
    assert len(await store.database.read(rows(about="ticket-1"))) == 1
    assert await store.database.read(rows(who="person:2")) == []
