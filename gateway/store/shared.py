"""A database elsewhere and the data folder belong together: the files of large bodies are in the folder.

Both hold the same mark, so that a machine that does not have the folder of the others is told, not left without files.
"""

import os
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, delete, select

from gateway.crypto import sync_folder
from gateway.store.database import Database
from gateway.store.tables import meta
from normalizer.errors import ConfigError, Where

FILE, NAME = "store.id", "folder"


async def join(database: Database, folder: Path) -> None:
    """Raises ConfigError if the folder is another one than the database knows."""
    if (known := await database.read(_mark)) is None:
        known = await database.write("arrange", partial(_keep, mark=_made(folder)))
    if _read(folder) != known:
        raise ConfigError(
            Where(str(folder)), f"not the data folder of {database.place}: its {FILE} is missing or another one",
            "mount the folder that the other machines have; after a restore, copy the folder too",
        )  # fmt: skip


def forget(connection: Connection) -> None:
    """The next folder is the one."""
    connection.execute(delete(meta).where(meta.c.name == NAME))


def _mark(connection: Connection) -> bytes | None:
    return connection.scalar(select(meta.c.value).where(meta.c.name == NAME))


def _keep(connection: Connection, mark: bytes) -> bytes:
    """The one there is, if somebody was faster."""
    if (known := _mark(connection)) is not None:
        return known
    connection.execute(meta.insert(), {"name": NAME, "value": mark})
    return mark


def _made(folder: Path) -> bytes:
    """Durable before the database knows it."""
    if (known := _read(folder)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mark, fresh = os.urandom(16), folder / f"{FILE}.{os.getpid()}.new"
    fresh.write_text(mark.hex() + "\n", encoding="ascii")
    fresh.replace(folder / FILE)
    sync_folder(folder)
    return mark


def _read(folder: Path) -> bytes | None:
    try:
        return bytes.fromhex((folder / FILE).read_text(encoding="ascii").strip())
    except (FileNotFoundError, ValueError):
        return None
