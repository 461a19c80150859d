"""Whether there is room for what may come: a small file and a row, written as durably as a message would be."""

import os
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from gateway.store.blobs import Blobs
from gateway.store.database import Database
from gateway.store.dialect import insert
from gateway.store.tables import meta
from normalizer.errors import Unavailable

TRIED = 64 * 1024


async def try_out(database: Database, blobs: Blobs) -> None:
    """Raises Unavailable, with the reason, if nothing could be kept just now."""
    await database.aside(partial(_file, blobs.folder))
    await database.write("arrange", _row)
    if database.closed:
        raise Unavailable(database.closed)


def _file(folder: Path) -> None:
    file = folder / f"{os.urandom(4).hex()}.try"
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(b"\0" * TRIED)
            out.flush()
            os.fsync(out.fileno())
    finally:
        file.unlink()


def _row(connection: Connection) -> None:
    statement = insert(connection, meta)
    fresh = statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    connection.execute(fresh, {"name": "tried", "value": os.urandom(8)})
