"""At every opening: a new data folder is made, an older one backed up and upgraded, a newer one refused.

Alembic is imported only when there is something to upgrade; a new folder is made from the tables directly, and a test
holds both ways to be equal.
"""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text

from gateway.crypto import sync_folder
from gateway.store.database import Database
from gateway.store.tables import counters, metadata
from normalizer.errors import ConfigError, Where

SCRIPTS = Path(__file__).parent / "migrations"
REVISION = "0008"  # of the tables as they stand in tables.py


def revision(connection: Connection) -> str:
    """That of the data folder; empty for a new one."""
    there = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
    if not connection.scalar(text(there)):
        return ""
    return connection.scalar(text("SELECT version_num FROM alembic_version")) or ""


def make(connection: Connection) -> None:
    """Nothing yet, unless somebody else has just made it."""
    if revision(connection):
        return
    metadata.create_all(connection)
    connection.execute(counters.insert(), {"name": "fence", "value": 0})
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})


async def upgrade(database: Database, folder: Path, moment: datetime | None = None) -> None:
    """Raises ConfigError if a newer Ticketgate made the folder."""
    found = await database.read(revision)
    if not found:
        await database.write("arrange", make)
    elif found != REVISION:
        check_known(found, folder)
        await database.alone(lambda bare: back_up(bare, folder / "backup", found, moment or datetime.now(UTC)))
        await database.write("arrange", _run_scripts)


def back_up(bare: sqlite3.Connection, folder: Path, found: str, moment: datetime) -> Path:
    """A whole copy of the database as it stands, durable before this returns."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    copy = folder / f"ticketgate-{found}-{moment:%Y%m%dT%H%M%S%fZ}.db"
    copy.touch(mode=0o600, exist_ok=False)
    target = sqlite3.connect(copy)
    try:
        bare.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it
    finally:
        target.close()
    sync_folder(folder)
    return copy


def check_known(found: str, folder: Path) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    if found not in known:
        raise ConfigError(
            Where(str(folder)),
            f"made by a newer Ticketgate (revision {found}; this one knows up to {REVISION})",
            "install that version or a later one, or use another data folder",
        )


def _run_scripts(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
