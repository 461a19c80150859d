"""`ticketgate backup` and `ticketgate restore`, as a person meets them."""

import asyncio
import os
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway import wire
from gateway.backup import put_back, take
from gateway.backup.manifest import BLOBS, Manifest, Told
from gateway.backup.sealed import Keys
from gateway.crypto import KeyRing
from gateway.settings import Configured
from gateway.store.carry import Server
from gateway.store.snapshot import File
from gateway.store.store import FILE
from gateway.terminal import moment, progress, show
from normalizer.errors import ConfigError, TicketgateError, Where

POLITE = 10  # the gateway's work goes first


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be in it beside the data."""

    config: bool
    key: bool


def backup(
    known: Configured,
    file: Path,
    wanted: Wanted,
    passphrase: Path | None,
    key: Path | None,
    now: datetime,
    *,
    json: bool,
) -> None:
    if wanted.key and passphrase is None:
        raise ConfigError(
            Where("--with-key"), "the master key would be sealed under itself", "add --passphrase-file FILE"
        )
    if file.is_dir():
        file /= f"ticketgate-{now:%Y%m%dT%H%M%SZ}.backup"
    keys = Keys(_masters(known, key), _passphrase(passphrase))
    server = wire.server(known)
    source = take.Source(
        known.data, Server(server) if server else File(known.data / FILE),
        known.folder if wanted.config else None, known.rules if wanted.config else None, wanted.key,
    )  # fmt: skip
    os.nice(POLITE)
    started = time.perf_counter()
    try:
        with progress() as told:
            made = take.take(source, file, keys, now, told)
    finally:
        if server:
            asyncio.run(server.close())
    _show(file, made, json, seconds=round(time.perf_counter() - started, 1))
    if missing := [one for one in made.left_out if one.startswith(BLOBS)]:
        raise TicketgateError(f"{file} was made, but the data folder is damaged: {missing[0]} ({len(missing)} in all)")


def verify(known: Configured, file: Path, passphrase: Path | None, key: Path | None, *, json: bool) -> None:
    started = time.perf_counter()
    with progress() as told:
        found = put_back.verify(file, _opening(known, passphrase, key), told)
    _show(file, found, json, seconds=round(time.perf_counter() - started, 1))


def restore(
    known: Configured, file: Path, into: Path, passphrase: Path | None, key: Path | None, now: datetime, *, json: bool
) -> None:
    target = put_back.Target(
        into, known.settings.zone, keep_key=known.settings.master_key is None, database=wire.server(known)
    )
    keys = _opening(known, passphrase, key)
    with progress() as told:
        done = asyncio.run(_restored(file, target, keys, now, told))
    columns = ["folder", "as of", "tickets", "outbox", "numbers skipped", "then"]
    held = "held, and every timer"
    then = "set data: to the folder, start, look at `ticketgate outbox list`, then `ticketgate outbox release`"
    manifest = done.manifest
    show(columns, [[str(into), moment(manifest.made_at), manifest.tickets, held, done.skipped, then]], json)
    if not target.keep_key and not set(done.masters) & set(wire.masters(known)):
        raise TicketgateError(
            "restored, but master_key of the settings does not open it: add the key of that time to it"
        )


async def _restored(file: Path, target: put_back.Target, keys: Keys, now: datetime, told: Told) -> put_back.Restored:
    try:
        return await put_back.restore(file, target, keys, now, told)
    finally:
        if target.database:
            await target.database.close()


def _show(file: Path, manifest: Manifest, json: bool, seconds: float) -> None:
    columns = ["file", "as of", "version", "revision", "tickets", "parts", "bytes", "key inside", "left out", "seconds"]
    row = [
        str(file), moment(manifest.made_at), manifest.version, manifest.revision, manifest.tickets,
        len(manifest.parts), file.stat().st_size, manifest.has_key, "; ".join(manifest.left_out), seconds,
    ]  # fmt: skip
    show(columns, [row], json)


def _opening(known: Configured, passphrase: Path | None, key: Path | None) -> Keys:
    """Whatever is known here; on a new machine that may be no more than a passphrase."""
    try:
        return Keys(_masters(known, key), _passphrase(passphrase))
    except ConfigError:
        if key is not None or known.settings.master_key is not None or (known.data / wire.KEY_FILE).exists():
            raise
        return Keys((), _passphrase(passphrase))


def _masters(known: Configured, key: Path | None) -> tuple[bytes, ...]:
    return tuple(KeyRing.known(None, key) if key else wire.masters(known))


def _passphrase(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        words = file.read_bytes().strip()
    except OSError as e:
        raise ConfigError(Where(str(file)), f"the passphrase cannot be read: {e.strerror}", "name another file") from e
    if not words:
        raise ConfigError(Where(str(file)), "no passphrase in it", "five random words or more")
    return words
