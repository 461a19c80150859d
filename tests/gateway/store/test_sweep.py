"""Files that a crash left are swept, and none that a row names or may come to name."""

import os
from pathlib import Path

from stored import NOW, SECOND, envelope

from gateway.store.store import Store
from gateway.store.sweep import LEFT_FOR, sweep

LARGE = b"x" * 300_000
LATER = NOW + LEFT_FOR + SECOND


def written_at_now(*files: Path) -> None:
    for file in files:
        os.utime(file, (NOW.timestamp(), NOW.timestamp()))


def names(store: Store) -> set[str]:
    return {file.name for file in store.blobs.folder.iterdir()}


async def test_only_old_files_that_no_row_names_are_swept(store: Store) -> None:
    await store.journal([envelope("named", body=LARGE)], NOW)
    (named,) = names(store)
    orphan, _ = store.blobs.keep(b"y" * 300_000)
    for name in (f"{orphan}.0123abcd.new", "0123abcd.try", "not-ours.txt"):
        (store.blobs.folder / name).write_bytes(b"half")
    written_at_now(*store.blobs.folder.iterdir())
    young, _ = store.blobs.keep(b"z" * 300_000)
    os.utime(store.blobs.folder / young, (LATER.timestamp(), LATER.timestamp()))

    assert await sweep(store.database, store.blobs, NOW) == 0
    assert await sweep(store.database, store.blobs, LATER) == 3
    assert names(store) == {named, young, "not-ours.txt"}
    assert (await store.claim(NOW, 1))[0].envelope.body == LARGE


async def test_what_was_swept_is_written_again_when_it_comes_again(store: Store) -> None:
    orphan, _ = store.blobs.keep(LARGE)
    written_at_now(store.blobs.folder / orphan)
    assert await sweep(store.database, store.blobs, LATER) == 1
    await store.journal([envelope("again", body=LARGE)], NOW)
    assert names(store) == {orphan}
