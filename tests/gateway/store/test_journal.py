"""Into the journal: durable, once, together."""

import asyncio
import os
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stored import NOW, SECOND, arrive, envelope, opened, outcome

from connectors.base import Cursor
from gateway.store.store import FILE, Store
from gateway.store.work import Idempotency, Limits
from normalizer.errors import Rejected, Unavailable


async def scalar(store: Store, sql: str) -> Any:
    return await store.database.read(lambda connection: connection.exec_driver_sql(sql).scalar())


async def test_a_new_envelope_is_new_and_its_redelivery_is_counted(store: Store) -> None:
    assert await store.journal([envelope("a"), envelope("b")], NOW) == [True, True]
    assert await store.journal([envelope("b"), envelope("c"), envelope("c")], NOW) == [False, True, False]
    assert await scalar(store, "SELECT count(*) FROM envelopes") == 3
    assert await scalar(store, "SELECT sum(redeliveries) FROM work") == 2


async def test_an_envelope_comes_back_as_it_went_in(store: Store) -> None:
    whole = envelope("a", body=bytes(range(256)) * 40)
    await store.journal([whole], NOW)
    assert await store.envelope(whole.id) == whole


async def test_lone_surrogates_and_nul_are_kept(store: Store) -> None:
    odd = envelope("k\udcff\x00", lane="l\ud800", body=b"\x00\xff")
    assert await store.journal([odd], NOW) == [True]
    assert await store.envelope(odd.id) == odd
    assert await store.journal([odd], NOW) == [False]


async def test_it_is_there_after_opening_again(folder: Path) -> None:
    first = await opened(folder)
    await arrive(first, "a")
    await first.close()
    second = await opened(folder)
    assert (await second.claim(NOW, 1))[0].envelope == envelope("a")
    await second.close()


async def test_callers_at_the_same_time_share_a_transaction(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions: list[str] = []
    plain = store.database.transact

    def counted(name: str, work: Any) -> Any:
        transactions.append(name)
        return plain(name, work)

    monkeypatch.setattr(store.database, "transact", counted)
    answers = await asyncio.gather(*(store.journal([envelope(f"{n}")], NOW) for n in range(200)))
    assert answers == [[True]] * 200
    assert transactions.count("journal") < 10


async def test_one_bad_caller_fails_alone(store: Store) -> None:
    bad = envelope("bad", body="not bytes")  # type: ignore[arg-type]
    calls = [
        store.journal([envelope("a")], NOW),
        store.journal([bad, envelope("b")], NOW),
        store.journal([envelope("c")], NOW),
    ]
    first, second, third = await asyncio.gather(*calls, return_exceptions=True)
    assert first == third == [True]
    assert isinstance(second, TypeError)
    assert await store.envelope(envelope("b").id) is None  # all of a caller's envelopes are kept, or none


async def test_a_caller_that_goes_away_cancels_nothing(store: Store) -> None:
    calls = [asyncio.create_task(store.journal([envelope(f"{n}")], NOW)) for n in range(10)]
    await asyncio.sleep(0)
    calls[3].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert [answer for n, answer in enumerate(answers) if n != 3] == [[True]] * 9
    assert await store.journal([envelope("3")], NOW) == [False]  # it was committed with the others


async def test_a_cursor_moves_with_what_was_read(store: Store) -> None:
    assert await store.cursor("imap/main") is None
    await store.journal([envelope("a")], NOW, Cursor("imap/main", "7"))
    await store.journal([], NOW, Cursor("imap/main", "9"))
    assert await store.cursor("imap/main") == "9"


async def test_an_idempotency_key_means_one_body(store: Store) -> None:
    def call(body: bytes) -> Any:
        return store.journal([envelope("key 1")], NOW, idempotency=Idempotency("caller", "key 1", body))

    assert await call(b"one") == [True]
    assert await call(b"one") == [False]
    with pytest.raises(Rejected) as refused:
        await call(b"another")
    assert (refused.value.status, refused.value.code) == (409, "conflict")


async def test_a_pruned_envelope_is_still_known(store: Store) -> None:
    await arrive(store, "a", "b")
    (first, _) = await store.claim(NOW, 2)
    assert await store.commit([outcome(first, "20261123001")], NOW) == [True]
    assert await store.prune(NOW + SECOND, NOW + SECOND) == 1
    assert await store.prune(NOW + SECOND, NOW + SECOND) == 0
    assert await store.envelope(envelope("a").id) is None
    assert await store.journal([envelope("a"), envelope("b")], NOW) == [False, False]


async def test_an_idempotency_key_means_one_body_for_as_long_as_its_envelope_is_known(store: Store) -> None:
    def call(body: bytes, now: datetime) -> Any:
        return store.journal([envelope("key 1")], now, idempotency=Idempotency("caller", "key 1", body))

    assert await call(b"one", NOW) == [True]
    (claim,) = await store.claim(NOW, 1)
    await store.commit([outcome(claim, "20261123001")], NOW)
    later = NOW + timedelta(days=300)
    assert await store.prune(NOW + SECOND, later) == 1
    await store.prune(later, later)
    with pytest.raises(Rejected):
        await call(b"another", later)  # else it was taken for the one, and gone
    assert await call(b"one", later) == [False]


async def test_what_was_pruned_is_forgotten_after_the_horizon(folder: Path) -> None:
    store = await opened(folder, limits=Limits(seen_for=10 * SECOND))
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    await store.commit([outcome(claim, "20261123001")], NOW)
    await store.prune(NOW + SECOND, NOW + SECOND)
    await store.prune(NOW + SECOND, NOW + 20 * SECOND)
    assert await store.journal([envelope("a")], NOW) == [True]
    await store.close()


# ---- large bodies ----------------------------------------------------------------------------------------------------

LARGE = os.urandom(300_000)


def files(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").iterdir())


async def test_a_large_body_lies_in_a_file_and_equal_ones_share_it(store: Store, folder: Path) -> None:
    both = [envelope("a", body=LARGE), envelope("b", body=LARGE)]
    await store.journal(both, NOW)
    assert len(files(folder)) == 1
    assert [claim.envelope for claim in await store.claim(NOW, 2)] == both


async def test_the_file_is_synced_and_in_its_folder_before_the_row(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system is told, in order: the file's bytes, its name, the folder, and only then the transaction."""
    said: list[str] = []
    plain_sync, plain_replace, plain_transact = os.fsync, Path.replace, store.database.transact

    def sync(descriptor: int) -> None:
        said.append("sync folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "sync file")
        plain_sync(descriptor)

    def replace(path: Path, target: Path) -> Path:
        said.append("rename")
        return plain_replace(path, target)

    def transact(name: str, work: Any) -> Any:
        said.append(name)
        return plain_transact(name, work)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(store.database, "transact", transact)
    await store.journal([envelope("a", body=LARGE)], NOW)
    assert said == ["sync file", "rename", "sync folder", "journal"]


async def test_a_file_that_went_away_before_the_row_is_written_again(store: Store, folder: Path) -> None:
    await store.journal([envelope("a", body=LARGE)], NOW)
    plain = store.blobs.keep

    def keep(body: bytes) -> tuple[str, bytes]:
        kept = plain(body)
        store.blobs.remove(kept[0])  # as erasing the other envelope would, between file and row
        return kept

    store.blobs.keep = keep  # type: ignore[method-assign]
    await store.journal([envelope("b", body=LARGE)], NOW)
    assert (await store.envelope(envelope("b").id)).body == LARGE  # type: ignore[union-attr]


async def test_a_damaged_file_sets_the_envelope_aside_and_stops_no_other(store: Store, folder: Path) -> None:
    await store.journal([envelope("a", body=LARGE), envelope("b")], NOW)
    files(folder)[0].write_bytes(b"x" * 100)
    assert [claim.envelope.key for claim in await store.claim(NOW, 5)] == ["b"]
    (aside,) = await store.quarantine()
    assert (aside.id, aside.code) == (envelope("a", body=LARGE).id, "unreadable")


# ---- trouble ---------------------------------------------------------------------------------------------------------


async def limit_pages(store: Store, pages: int) -> None:
    await store.database.alone(lambda bare: bare.execute(f"PRAGMA max_page_count = {pages}").fetchall())


@pytest.mark.only("sqlite")
async def test_a_full_disk_is_unavailable_and_passes(store: Store) -> None:
    await arrive(store, "before")
    await limit_pages(store, 1)  # SQLite takes the present size for the least
    big = [envelope(f"{n}", body=os.urandom(100_000)) for n in range(5)]
    for _ in range(2):
        with pytest.raises(Unavailable, match="SQLITE_FULL"):
            await store.journal(big, NOW)
    assert [claim.envelope.key for claim in await store.claim(NOW, 9)] == ["before"]
    await limit_pages(store, 1_000_000)
    assert await store.journal(big, NOW) == [True] * 5


async def test_a_full_disk_under_a_blob_is_unavailable_and_passes(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Unavailable):
            await store.journal([envelope("a", body=LARGE)], NOW)
    assert list(store.blobs.folder.iterdir()) == []
    assert await store.journal([envelope("a", body=LARGE)], NOW) == [True]


@pytest.mark.only("sqlite")
async def test_a_database_locked_by_another_is_unavailable_and_passes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.sqlite.BUSY_MS", 50)
    store = await opened(folder)
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting: Sequence[Any] = await asyncio.gather(
        *(store.journal([envelope(f"{n}")], NOW) for n in range(5)), return_exceptions=True
    )
    assert all(isinstance(answer, Unavailable) for answer in waiting)
    other.execute("ROLLBACK")
    other.close()
    assert await store.journal([envelope("0")], NOW) == [True]
    await store.close()


async def test_a_closing_store_finishes_what_it_took(folder: Path) -> None:
    store = await opened(folder)
    calls = [asyncio.create_task(store.journal([envelope(f"{n}")], NOW)) for n in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*calls) == [[True]] * 20
    with pytest.raises(Unavailable):
        await store.journal([envelope("late")], NOW)
