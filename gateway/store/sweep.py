"""Files that a crash left between writing them and the row that would have named them."""

import math
import re
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from gateway.store.blobs import Blobs
from gateway.store.database import Database
from gateway.store.dialect import chunks
from gateway.store.prune import unspoken

LEFT_FOR = timedelta(hours=1)  # a younger one may be about to be named
_OURS = re.compile(r"[0-9a-f]{32}(?:\.[0-9a-f]{8}\.new)?|[0-9a-f]{8}\.try")


async def sweep(database: Database, blobs: Blobs, now: datetime) -> int:
    """Remove old files that no row names. Returns how many went."""
    before = (now - LEFT_FOR).timestamp()
    count = 0
    for names in chunks(await database.aside(partial(_files, blobs.folder))):
        count += await database.write("prune", partial(_remove, blobs=blobs, names=names, before=before))
    return count


def _files(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if _OURS.fullmatch(file.name)]


def _remove(connection: Connection, blobs: Blobs, names: list[str], before: float) -> int:
    """While nobody else can write a row; whoever writes one later looks whether its file is there."""
    gone = [name for name in unspoken(connection, names) if _changed(blobs.folder / name) < before]
    if gone:
        blobs.remove(*gone)
    return len(gone)


def _changed(file: Path) -> float:
    """The moment it was written; never, if it is gone already."""
    try:
        return file.stat().st_mtime
    except FileNotFoundError:
        return math.inf
