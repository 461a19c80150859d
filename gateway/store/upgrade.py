"""At every opening: a new data folder is made, an older one backed up and upgraded, a newer one refused.

Alembic is imported only when there is something to upgrade; a new folder is made from the tables directly, and a test
holds both ways to be equal.
"""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from gateway.store.database import Database
from gateway.store.tables import counters, metadata
from normalizer.errors import ConfigError, Where

SCRIPTS = Path(__file__).parent / "migrations"
REVISION = "0009"  # of the tables as they stand in tables.py


def revision(connection: Connection) -> str:
    """That of the database; empty for a new one."""
    if not inspect(connection).has_table("alembic_version"):
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
        check_known(found, database.place)
        await database.back_up(folder / "backup", found, moment or datetime.now(UTC))
        await database.write("arrange", run_scripts)


def check_known(found: str, place: str) -> None:
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    if found not in known:
        raise ConfigError(
            Where(place),
            f"made by a newer Ticketgate (revision {found}; this one knows up to {REVISION})",
            "install that version or a later one, or use another data folder or database",
        )


def run_scripts(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
