"""Taking a backup, while a gateway runs or not.

    copy       the database as it stands, beside the file that is to be
    seal       copy, blob files, settings if asked for, manifest: one tar in one sealed stream, FILE.part
    put live   synced, renamed to FILE, folder synced

Killed anywhere it leaves no FILE; what it did leave is overwritten by the next one.
"""

import base64
import fcntl
import io
import os
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, BinaryIO, cast

from sqlalchemy import Connection

from gateway.backup.manifest import BLOBS, CONFIG, DATABASE, KEY, MANIFEST, RULES, Hashed, Manifest, Part, Told
from gateway.backup.sealed import CHUNK, Keys, Sealing
from gateway.crypto import sync_folder
from gateway.faults import reach
from gateway.store import snapshot, upgrade
from gateway.store.carry import Server
from gateway.store.snapshot import File
from normalizer.errors import ConfigError, Unavailable, Where

LARGEST_SETTING = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be backed up. `config` and `rules` are folders, or None if they are not wanted."""

    data: Path
    database: File | Server
    config: Path | None = None
    rules: Path | None = None
    key: bool = False  # the master keys too; only sensible under a passphrase


def take(source: Source, file: Path, keys: Keys, now: datetime, told: Told = lambda *_: None) -> Manifest:
    """What is in the backup, once FILE is durable. Raises ConfigError; Unavailable if there is no room."""
    if file.exists():
        raise ConfigError(
            Where(str(file)), "there is a file already", "choose another name; backups are never replaced"
        )
    if not source.database.there:
        raise ConfigError(Where(source.database.place), "no data of Ticketgate: nothing to back up", "--config FILE")
    try:
        with _unfinished(file) as (out, part, copy):
            manifest = _sealed(source, copy, out, keys, now, told)
            copy.unlink()
            reach("backup.before_rename")
            part.replace(file)
            sync_folder(file.absolute().parent)
            reach("backup.after_rename")
            return manifest
    except OSError as e:
        raise Unavailable(f"{file}: no backup was made: {e.strerror or e}") from e
    except sqlite3.Error as e:
        raise Unavailable(f"{file}: no backup was made: the database said {e}") from e


@contextmanager
def _unfinished(file: Path) -> Iterator[tuple[BinaryIO, Path, Path]]:
    """FILE.part, ours alone, and the place of the copy; neither is there afterwards."""
    part, copy = file.with_name(file.name + ".part"), file.with_name(file.name + ".part-db")
    descriptor = os.open(part, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(Where(str(file)), "another backup is being written there", "wait for it") from None
        out.truncate()
        try:
            yield out, part, copy
        finally:
            for left in (part, copy, copy.with_name(copy.name + "-journal"), copy.with_name(copy.name + "-wal")):
                left.unlink(missing_ok=True)


def _sealed(source: Source, copy: Path, out: BinaryIO, keys: Keys, now: datetime, told: Told) -> Manifest:
    source.database.copy(copy, lambda done, whole: told("copy", done, whole))
    reach("backup.after_copy")
    revision, tickets, blobs = snapshot.read(copy, _figures)
    sealing = Sealing(out, keys)
    with tarfile.open(fileobj=cast("IO[bytes]", sealing), mode="w|", bufsize=CHUNK, format=tarfile.PAX_FORMAT) as tar:
        packing = _Packing(tar, now, _size(source.data, copy, blobs), told)
        packing.file(DATABASE, copy)
        for name in blobs:
            packing.blob(source, name)
        for prefix, folder in ((CONFIG, source.config), (RULES, source.rules)):
            if folder:
                packing.settings(prefix, folder, source.data, keys)
        if source.key:
            packing.words(KEY, b"".join(base64.b64encode(raw) + b"\n" for raw in keys.masters))
        manifest = Manifest(
            version("ticketgate"), revision, now, tickets, tuple(packing.parts), tuple(packing.left_out)
        )
        packing.words(MANIFEST, manifest.written())
    sealing.finish()
    return manifest


@dataclass(slots=True)
class _Packing:
    """Parts on their way into the tar."""

    tar: tarfile.TarFile
    now: datetime
    all: int
    told: Told
    parts: list[Part] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    done: int = 0

    def file(self, name: str, path: Path) -> None:
        with path.open("rb") as source:
            self._add(name, source, os.fstat(source.fileno()).st_size)

    def words(self, name: str, words: bytes) -> None:
        self._add(name, io.BytesIO(words), len(words))

    def blob(self, source: Source, name: str) -> None:
        """One that is gone was pruned or erased since the copy was made; or else the data folder is damaged."""
        try:
            self.file(BLOBS + name, source.data / "blobs" / name)
        except FileNotFoundError:
            if name in source.database.blobs():
                self.left_out.append(f"{BLOBS}{name}: the file is missing in the data folder")

    def settings(self, prefix: str, folder: Path, data: Path, keys: Keys) -> None:
        """The files below a folder. One with the master key in it stays outside: nothing carries what opens it."""
        for path in _settings(folder, data):
            name = prefix + path.relative_to(folder).as_posix()
            if path.stat().st_size > LARGEST_SETTING:
                self.left_out.append(f"{name}: too large for a setting")
            elif any(base64.b64encode(raw) in path.read_bytes() for raw in keys.masters):
                self.left_out.append(f"{name}: the master key is in it")
            else:
                self.file(name, path)

    def _add(self, name: str, source: BinaryIO, size: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = size, 0o600, int(self.now.timestamp())
        hashed = Hashed(source, name, self._more)
        self.tar.addfile(info, hashed)
        if name != MANIFEST:
            self.parts.append(hashed.part)

    def _more(self, size: int) -> None:
        self.done += size
        self.told("seal", min(self.done, self.all), self.all)


def _settings(folder: Path, data: Path) -> Iterator[Path]:
    """Without the data folder, unfinished backups and hidden files."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        ours = path.resolve().is_relative_to(data.resolve()) or path.suffix in (".part", ".part-db")
        if path.is_file() and not hidden and not ours:
            yield path


def _size(data: Path, copy: Path, blobs: list[str]) -> int:
    there = (data / "blobs" / name for name in blobs)
    return copy.stat().st_size + sum(blob.stat().st_size for blob in there if blob.exists())


def _figures(connection: Connection) -> tuple[str, int, list[str]]:
    return upgrade.revision(connection), snapshot.tickets_in(connection), snapshot.blobs_named(connection)
