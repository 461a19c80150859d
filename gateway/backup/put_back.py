"""Making a data folder from a backup, in an empty folder.

    unpack     into FOLDER/restore.part; every chunk is authentic, every hash as the manifest has it
    prepare    opened as the store opens it: upgraded if it is older, outbox and timers held, serials skipped ahead
    put live   blob files first, the database last: with its rename, and not before, the folder is a data folder.
               On PostgreSQL its rows are written in one transaction, whose commit is that moment

Killed anywhere it can be run again; a gateway refuses to start on what is unfinished.
"""

import fcntl
import os
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast
from zoneinfo import ZoneInfo

from gateway.backup.manifest import BLOBS, CONFIG, DATABASE, KEY, MANIFEST, RULES, Hashed, Manifest, Part, Told
from gateway.backup.sealed import CHUNK, Keys, Opening
from gateway.crypto import KeyRing, sync_folder, write_key
from gateway.faults import reach
from gateway.store import carry, snapshot, upgrade
from gateway.store.database import Database
from gateway.store.store import Store
from normalizer.errors import ConfigError, Unavailable, Where

UNFINISHED = "restore.part"
BESIDE = "from-backup"  # settings and rules are put there, for a person to compare
HARMLESS = frozenset({"lost+found"})  # a fresh disk is an empty folder; so is one with locks of processes alone


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, how days are counted there, and whether the key that opened the data is to lie beside it.

    The database is a file in the folder, unless another is named; that must be empty.
    """

    folder: Path
    zone: ZoneInfo
    keep_key: bool
    database: Database | None = None


@dataclass(frozen=True, slots=True)
class Restored:
    manifest: Manifest
    skipped: int  # numbers, for each day until this one
    masters: tuple[bytes, ...]  # that open it


def verify(file: Path, keys: Keys, told: Told = lambda *_: None) -> Manifest:
    """What is in a backup, every byte of it read and found in order. Raises ConfigError, OSError as Unavailable."""
    with _trouble(file):
        return _unpacked(file, keys, None, told)


async def restore(file: Path, target: Target, keys: Keys, now: datetime, told: Told = lambda *_: None) -> Restored:
    """Raises ConfigError: not empty, damaged, another key, a newer version; Unavailable: no room."""
    if target.database:
        await target.database.read(partial(carry.refuse_filled, place=target.database.place))
    with _trouble(target.folder), _staging(target.folder) as staging:
        manifest = _unpacked(file, keys, staging, told)
        reach("restore.after_unpack")
        if now < manifest.made_at:
            raise ConfigError(
                Where(str(file)), f"made at {manifest.made_at:%Y-%m-%d %H:%M:%S} UTC, which is later than now",
                "set this machine's clock",
            )  # fmt: skip
        upgrade.check_known(manifest.revision, str(file))
        masters = _masters(staging, keys)
        skipped = await _prepared(staging, manifest, target, masters, now)
        reach("restore.before_live")
        await _put_live(staging, target, masters, told)
        reach("restore.after_live")
    return Restored(manifest, skipped, masters)


async def refuse_unfinished(folder: Path, database: Database | None = None) -> None:
    """A gateway that started here would begin anew, without the tickets that were to be restored.

    `database` is where they are if not in the folder; it is closed.
    """
    try:
        unfinished = (folder / UNFINISHED).exists()
        if unfinished and database:
            unfinished = not await database.read(upgrade.revision)
    finally:
        if database:
            await database.close()
    if unfinished and not (folder / DATABASE).exists():
        raise ConfigError(
            Where(str(folder)), "a restore into this folder was not finished", "run `ticketgate restore` again",
            code="unfinished-restore",
        )  # fmt: skip


@contextmanager
def _trouble(where: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tarfile.TarError) as e:
        raise Unavailable(f"{where}: {getattr(e, 'strerror', None) or e}") from e


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """FOLDER/restore.part, empty and ours alone. After trouble it goes, and what was moved out of it too."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = folder / UNFINISHED
    begun = staging.exists() and not (folder / DATABASE).exists()
    others = {path.name for path in folder.iterdir() if path.suffix != ".lock"} - HARMLESS
    if others - ({UNFINISHED, "blobs", KEY, BESIDE} if begun else set()):
        raise ConfigError(
            Where(str(folder)), f"not empty: {', '.join(sorted(others)[:3])}", "restore into a new folder, or move it"
        )
    staging.mkdir(exist_ok=True, mode=0o700)
    descriptor = os.open(staging, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(descriptor, folder)
        _clear(folder, staging)
        try:
            yield staging
        except BaseException:
            _clear(folder, staging)
            raise
        finally:
            shutil.rmtree(staging)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(Where(str(folder)), "another restore is writing here", "wait for it") from None


def _clear(folder: Path, staging: Path) -> None:
    """As if nothing had been begun. Never once the folder is live."""
    if (folder / DATABASE).exists():
        return
    for left in (folder / "blobs", folder / BESIDE, *staging.iterdir()):
        shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _unpacked(file: Path, keys: Keys, to: Path | None, told: Told) -> Manifest:
    """The parts, written below `to` if there is such, and compared with the manifest."""
    size, done = file.stat().st_size, 0

    def more(read: int) -> None:
        nonlocal done
        done += read
        told("open", done, size)

    with file.open("rb") as source:
        opening = Opening(source, file, keys, more)
        found, manifest = _parts(opening, file, to)
        opening.drain()
    if manifest is None or (wrong := manifest.differences(found)):
        what = f"not as they were: {', '.join(wrong[:3])}" if manifest else "without a manifest"
        raise ConfigError(
            Where(str(file)), f"its parts are {what}", "take another copy of this backup, or an older one"
        )
    return manifest


def _parts(opening: Opening, file: Path, to: Path | None) -> tuple[list[Part], Manifest | None]:
    found: list[Part] = []
    manifest: Manifest | None = None
    with tarfile.open(fileobj=cast("IO[bytes]", opening), mode="r|", bufsize=CHUNK) as tar:
        for info in tar:
            source = tar.extractfile(info)
            if source is None or not _known(info.name):
                raise ConfigError(Where(str(file)), f"holds something unknown: {info.name}", "was it made by another?")
            hashed = Hashed(source, info.name)
            if info.name == MANIFEST:
                manifest = Manifest.read(hashed.read())
            else:
                _copy(hashed, to / info.name if to else None)
                found.append(hashed.part)
    return found, manifest


def _known(name: str) -> bool:
    """Names we give; above all none that leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return False
    return name in (DATABASE, KEY, MANIFEST) or name.startswith((BLOBS, CONFIG, RULES))


def _copy(source: Hashed, to: Path | None) -> None:
    if to is None:
        while source.read(CHUNK):
            pass
        return
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
        while words := source.read(CHUNK):
            out.write(words)
        out.flush()
        os.fsync(out.fileno())


def _masters(staging: Path, keys: Keys) -> tuple[bytes, ...]:
    """Those that came with the backup, and those known here."""
    brought = KeyRing.known(None, staging / KEY) if (staging / KEY).exists() else []
    return tuple(dict.fromkeys([*brought, *keys.masters]))


async def _prepared(staging: Path, manifest: Manifest, target: Target, masters: Sequence[bytes], now: datetime) -> int:
    with closing(sqlite3.connect(staging / DATABASE)) as connection:
        snapshot.check(connection, staging / DATABASE)
    if not masters:
        raise ConfigError(
            Where(str(target.folder)), "no master key is known, neither here nor in the backup",
            "name the file that holds it: --key-file FILE", code="master-key",
        )  # fmt: skip
    store = await Store.open(staging, KeyRing(*masters), zone=target.zone)
    try:
        skipped = await store.resume(manifest.made_at, now)
        await store.database.scrub()
    finally:
        await store.close()
    with (staging / DATABASE).open("rb") as written:
        os.fsync(written.fileno())
    return skipped


async def _put_live(staging: Path, target: Target, masters: Sequence[bytes], told: Told) -> None:
    folder = target.folder
    for inner in (staging / "blobs", staging):
        sync_folder(inner)
    (staging / "blobs").replace(folder / "blobs")
    brought = [staging / name for name in (CONFIG, RULES) if (staging / name).exists()]
    for one in brought:
        (folder / BESIDE).mkdir(exist_ok=True, mode=0o700)
        one.replace(folder / BESIDE / one.name)
    if target.keep_key:
        write_key(folder / KEY, masters)
    sync_folder(folder)
    if target.database:
        filling = partial(carry.fill, target.database, staging / DATABASE, lambda done, all_: told("fill", done, all_))
        await target.database.aside(filling)
    else:
        (staging / DATABASE).replace(folder / DATABASE)
        sync_folder(folder)
