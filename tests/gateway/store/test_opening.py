"""Opening a data folder: a new one, an older one, a newer one, one of another key."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from stored import LATER, LATER_SCRIPT, MASTER, NOW, arrive, envelope, opened, stored

from gateway.crypto import KeyRing
from gateway.store import upgrade
from gateway.store.store import FILE, Store
from gateway.store.tables import metadata
from normalizer.errors import ConfigError

NOW_AT = upgrade.REVISION


def schema(file: Path) -> dict[str, object]:
    """Indexes and virtual tables as they were made; of tables the columns, since an added one is told differently."""
    with sqlite3.connect(file) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {
            name: connection.execute(f'PRAGMA table_xinfo("{name}")').fetchall()
            if kind == "table" and "VIRTUAL" not in sql
            else " ".join(sql.split())
            for kind, name, sql in rows
            if name != "alembic_version"
        }


def ours_is(_: object, name: str | None, kind: str, *__: object) -> bool:
    """The tables in which FTS5 keeps its index are its own."""
    return not (kind == "table" and str(name).startswith("spoken"))


@pytest.mark.only("sqlite")
async def test_a_new_folder_is_its_owners_alone(store: Store, folder: Path) -> None:
    assert stat.S_IMODE(os.stat(folder / FILE).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert store.revision == upgrade.REVISION


@pytest.mark.only("sqlite")
async def test_it_writes_as_it_promises(store: Store) -> None:
    def pragma(name: str) -> object:
        return lambda bare: bare.execute(f"PRAGMA {name}").fetchone()[0]

    assert await store.database.alone(pragma("journal_mode")) == "wal"
    assert await store.database.alone(pragma("synchronous")) == 2  # FULL
    assert await store.database.alone(pragma("foreign_keys")) == 1


@pytest.mark.only("sqlite")
async def test_tables_and_migrations_make_the_same(store: Store, folder: Path, tmp_path: Path) -> None:
    migrated = tmp_path / "migrated.db"
    with create_engine(f"sqlite:///{migrated}").begin() as connection:
        upgrade.run_scripts(connection)
        ours = MigrationContext.configure(connection, opts={"include_object": ours_is})
        assert compare_metadata(ours, metadata) == []
    assert schema(migrated) == schema(folder / FILE)


@pytest.mark.only("sqlite")
async def test_an_older_folder_is_backed_up_and_upgraded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened(folder)
    made = await stored(store, "a", "20261123001")
    await store.close()
    scripts = tmp_path / "migrations"
    shutil.copytree(upgrade.SCRIPTS, scripts)
    (scripts / "versions" / f"{LATER}_later.py").write_text(LATER_SCRIPT)
    with monkeypatch.context() as newer:
        newer.setattr(upgrade, "SCRIPTS", scripts)
        newer.setattr(upgrade, "REVISION", LATER)
        store = await opened(folder)
        assert await store.ticket("20261123001") == made.tickets[0]
        await store.close()
    with sqlite3.connect(folder / FILE) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (LATER,)
        assert connection.execute("SELECT later FROM tickets").fetchone() == (None,)
    (backup,) = (folder / "backup").iterdir()
    assert backup.name.startswith(f"ticketgate-{NOW_AT}-")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with sqlite3.connect(backup) as connection:
        assert connection.execute("SELECT number FROM tickets").fetchall() == [("20261123001",)]
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (NOW_AT,)
    with pytest.raises(ConfigError, match="made by a newer Ticketgate"):  # the code as it is now
        await opened(folder)


@pytest.mark.only("sqlite")
async def test_a_failed_upgrade_leaves_the_folder_as_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await opened(folder)).close()
    before = schema(folder / FILE)
    scripts = tmp_path / "migrations"
    shutil.copytree(upgrade.SCRIPTS, scripts)
    (scripts / "versions" / f"{LATER}_later.py").write_text(LATER_SCRIPT + "    raise RuntimeError('half way')\n")
    with monkeypatch.context() as newer:
        newer.setattr(upgrade, "SCRIPTS", scripts)
        newer.setattr(upgrade, "REVISION", LATER)
        with pytest.raises(RuntimeError, match="half way"):
            await opened(folder)
    assert schema(folder / FILE) == before
    await (await opened(folder)).close()


async def test_another_master_key_is_refused_in_words(folder: Path) -> None:
    store = await opened(folder)
    await arrive(store, "a")
    await store.close()
    with pytest.raises(ConfigError, match="the master key is not the one"):
        await opened(folder, b"x" * 32)
    store = await opened(folder)
    assert len(await store.claim(NOW, 1)) == 1
    await store.close()


async def test_the_master_key_can_be_changed(folder: Path) -> None:
    new = b"n" * 32
    store = await opened(folder)
    made = await stored(store, "a", "20261123001")
    await arrive(store, "b")
    ring = KeyRing(new, MASTER)
    assert await store.rotate(ring) > 3
    await store.close()
    with pytest.raises(ConfigError):
        await opened(folder, MASTER)
    store = await opened(folder, new)
    assert await store.ticket("20261123001") == made.tickets[0]
    assert await store.messages(made.tickets[0].id) == [made.messages[0][0]]
    assert [claim.envelope.key for claim in await store.claim(NOW, 5)] == ["b"]
    assert await store.journal([envelope("a"), envelope("c")], NOW) == [False, True]  # digests survived
    await store.close()


async def test_killed_half_way_a_change_of_key_can_be_done_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both keys in the ring open whatever either has wrapped."""
    store = await opened(folder)
    await stored(store, "a", "20261123001")
    await store.rotate(KeyRing(b"n" * 32, MASTER))
    await store.close()
    store = await opened(folder, b"n" * 32, MASTER)  # the key file still holds both
    await store.rotate(KeyRing(b"n" * 32, MASTER))
    assert await store.ticket("20261123001") is not None
    await store.close()


@pytest.mark.only("sqlite")
def test_opening_does_not_import_alembic(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from pathlib import Path; from stored import opened;"
        f"asyncio.run(opened(Path({str(tmp_path / 'data')!r})));"
        "assert 'alembic' not in sys.modules; import os; os._exit(0)"
    )
    support = Path(__file__).parents[2] / "support"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(support)}, cwd=Path(__file__).parents[3], timeout=60
    )
    assert done.returncode == 0
