"""From settings to a house. The only place that chooses what is behind the ports."""

from base64 import b64decode
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from connectors import registry
from connectors.base import Helpdesk
from connectors.calls import Callee, Endpoint, Subscriber
from gateway import mind
from gateway import settings as settings_files
from gateway.alone import FolderLocks, Locks, opening, unusable
from gateway.backup import put_back
from gateway.bundle import Bundle
from gateway.clock import Clock, SystemClock
from gateway.crypto import KeyRing, new_key, write_key
from gateway.house import House
from gateway.log import log
from gateway.mind import Mind
from gateway.queue.bell import Bells
from gateway.rulesets import RuleSets
from gateway.settings import Configured
from gateway.store import feed
from gateway.store.database import Database
from gateway.store.sqlite import Sqlite
from gateway.store.store import FILE, Store
from gateway.store.vault import OTHER_MASTER
from gateway.store.work import Limits
from gateway.workers import Workers
from normalizer.errors import ConfigError, Where

if TYPE_CHECKING:
    from gateway.store.postgres import Postgres

KEY_FILE = "master.key"

E = TypeVar("E", bound=Endpoint)


async def house(
    configured: Configured, *, clock: Clock | None = None, known: Mind | None = None, lines: Bells | None = None,
    workers: Workers | None = None, worker: bool = False, alone: Locks | None = None,
) -> House:  # fmt: skip
    """A house with its store open (upgraded first, if it is older). Raises ConfigError.

    `known` is what was read already, `lines` are bells to use. A worker decides by what its gateway put live.
    """
    clock = clock or SystemClock()
    by_files = configured.settings.rules.source == "files" and not worker
    made = (known or mind.read(configured)) if by_files else None
    store = await open_store(configured)
    try:
        built = House(
            made or await live_mind(configured, store, clock, known), store, clock,
            alone or FolderLocks(configured.data), helpdesks(configured), calls(configured),
            lines or bells(configured), workers, worker,
        )  # fmt: skip
        await built.rules.begin()
    except BaseException:
        await store.close()
        raise
    return built


async def decided_by(configured: Configured, store: Store, clock: Clock) -> Mind:
    """What decides in this data folder. Raises ConfigError."""
    if configured.settings.rules.source == "files":
        return mind.read(configured)
    return await live_mind(configured, store, clock)


async def live_mind(configured: Configured, store: Store, clock: Clock, known: Mind | None = None) -> Mind:
    """By its live rule set, or by the files, with which a store begins; what is `known` is not read again.

    Raises ConfigError, also for a live set that does not fit the present settings or this version.
    """
    sets = RuleSets(store, clock)
    live = await sets.live()
    if known and (live is None or live.sha == known.bundle.sha):
        return known
    return mind.read(configured, await sets.bundle(live.sha, Bundle({})) if live else None)


async def open_store(configured: Configured) -> Store:
    """The data folder, alone: what the commands need that look into it."""
    try:
        await put_back.refuse_unfinished(configured.data, server(configured))
        async with opening(configured.data):
            return await _open_store(configured)
    except OSError as e:
        raise unusable(configured.data, e) from e


async def _open_store(configured: Configured) -> Store:
    folder = configured.data
    keys, made = keyring(configured)
    try:
        store = await _opened(configured, keys)
    except ConfigError as e:
        if not made or e.code != OTHER_MASTER:
            raise
        (folder / KEY_FILE).unlink()  # the one just made opens nothing here
        raise ConfigError(
            Where(str(folder / KEY_FILE)), "is missing, and the data is sealed with what was in it",
            "put your copy of it back there, or set master_key to it; without it nothing can be read", OTHER_MASTER,
        ) from None  # fmt: skip
    if made:
        log.warning(
            "made a master key; without it the data cannot be read",
            path=str(folder / KEY_FILE),
            hint="copy it to a safe place and set master_key: {env: NAME} or {file: PATH}",
        )
    return store


async def _opened(configured: Configured, keys: KeyRing) -> Store:
    return await Store.open(
        configured.data, keys, zone=configured.settings.zone, limits=Limits(attempts=configured.settings.attempts),
        database=database(configured),
    )  # fmt: skip


def database(configured: Configured) -> Database:
    """What the settings say the store stands on, not opened yet. Raises ConfigError."""
    return server(configured) or Sqlite(configured.data / FILE)


def server(configured: Configured) -> Database | None:
    """The database if it is no file in the data folder, not opened yet; to be closed. Raises ConfigError."""
    return _postgres(configured) if configured.settings.store.url else None


def locks(configured: Configured) -> Locks:
    """By which processes on one store know of each other. Raises ConfigError."""
    if not configured.settings.store.url:
        return FolderLocks(configured.data)
    shared = _postgres(configured)
    from gateway.store.advisory import AdvisoryLocks

    return AdvisoryLocks(shared)


def _postgres(configured: Configured) -> "Postgres":
    told = configured.settings.store
    try:
        from gateway.store.postgres import Postgres
    except ImportError as e:
        where = configured.document.where("store")
        raise ConfigError(where, f"PostgreSQL needs {e.name}", "pip install 'ticketgate[scale]'") from e
    return Postgres(told.url.get_secret_value(), told.password.get_secret_value() if told.password else "")


def bells(configured: Configured) -> Bells:
    """By Redis if one is set, else of this process alone. Raises ConfigError if what it needs is not installed."""
    told = configured.settings.redis
    if not told.url:
        return Bells()
    try:
        from gateway.queue import redis_line
    except ImportError as e:
        raise ConfigError(
            configured.document.where("redis"), "redis is not installed", "install ticketgate[scale]"
        ) from e
    return redis_line.bells(told.url.get_secret_value(), told.password.get_secret_value() if told.password else "")


def keyring(configured: Configured) -> tuple[KeyRing, bool]:
    """The master keys, from the settings or the data folder; True if one was made just now."""
    secret = configured.settings.master_key
    return KeyRing.load(secret.get_secret_value() if secret else None, configured.data / KEY_FILE)


def masters(configured: Configured) -> list[bytes]:
    """The same as bytes, for what is sealed beside the store; none is made. Raises ConfigError."""
    secret = configured.settings.master_key
    return KeyRing.known(secret.get_secret_value() if secret else None, configured.data / KEY_FILE)


async def rotate(configured: Configured) -> int:
    """Wrap every key anew. Returns how many. Killed anywhere, it can be run again: both keys open everything.

    A key in the data folder is replaced by a fresh one; one from the settings must be there already, before the old.
    """
    with closing(locks(configured)) as held, held.nobody() as alone:
        if not alone:
            raise ConfigError(Where(str(configured.data)), "a gateway is running on it", "stop it first, then rotate")
        async with opening(configured.data):
            return await _rotate(configured)


async def _rotate(configured: Configured) -> int:
    file = configured.data / KEY_FILE
    store = await _open_store(configured)
    try:
        if configured.settings.master_key is None:
            old = file.read_text(encoding="utf-8").split()
            write_key(file, [new_key(), *map(b64decode, old)])
        ring, _ = keyring(configured)
        count = await store.rotate(ring)
    finally:
        await store.close()
    if configured.settings.master_key is None:
        write_key(file, [b64decode(file.read_text(encoding="utf-8").split()[0])])
    return count


def helpdesks(configured: Configured) -> Mapping[str, Helpdesk]:
    made = mind.built(configured, "helpdesks", "helpdesk", registry.helpdesk)
    return {one.settings.name: one for one in made}


def calls(configured: Configured) -> Mapping[str, Callee]:
    """What rules may call, by name. Raises ConfigError."""
    return _named(configured, "calls", Callee)


def subscribers(configured: Configured) -> Mapping[str, Subscriber]:
    """Who is told what happens, by name. Raises ConfigError."""
    found = _named(configured, "events", Subscriber)
    for index, one in enumerate(found.values()):
        if unknown := sorted(set(one.settings.kinds) - set(feed.KINDS)):
            where = configured.document.where("events", index, "kinds")
            raise ConfigError(where, f"no event is called {unknown[0]!r}", "known: " + ", ".join(feed.KINDS))
    return found


def _named(configured: Configured, section: settings_files.Section, kind: type[E]) -> Mapping[str, E]:
    made: list[E] = mind.built(configured, section, "name", lambda *_: kind)
    if twice := [one.settings.name for one in made if sum(one.settings.name == o.settings.name for o in made) > 1]:
        raise ConfigError(configured.document.where(section), f"{twice[0]} stands here twice", "rename one")
    return {one.settings.name: one for one in made}


def listeners(house: House) -> list[registry.Listening]:
    """What is to be run while the doors are open; accounts that share a door are one."""
    return registry.listeners(list(house.mind.connectors.values()))
