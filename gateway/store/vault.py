"""The keys of a data folder: made with it, kept in it wrapped by the master."""

from pathlib import Path

from sqlalchemy import Connection, select

from gateway.crypto import DataKey, KeyRing, SealedError, Vault, new_key
from gateway.store.rotate import HOUSE_KEYS, house_place
from gateway.store.tables import meta
from normalizer.errors import ConfigError, Where

OTHER_MASTER = "master-key"


def unlock(connection: Connection, ring: KeyRing, folder: Path) -> Vault:
    """The folder's vault. Raises ConfigError if none of our masters opens it."""
    wrapped = dict(connection.execute(select(meta.c.name, meta.c.value).where(meta.c.name.in_(HOUSE_KEYS))).all())
    try:
        keys = {name: ring.unwrap(value, house_place(name)) for name, value in wrapped.items()}
    except SealedError:
        raise ConfigError(
            Where(str(folder)),
            "the master key is not the one this data folder was sealed with",
            "set master_key to that one; without it nothing in the folder can be read",
            code=OTHER_MASTER,
        ) from None
    return Vault(ring, DataKey.of(keys["house_key"]), keys["index_key"])


def has_keys(connection: Connection) -> bool:
    return connection.scalar(select(meta.c.name).where(meta.c.name == "house_key")) is not None


def make_keys(connection: Connection, ring: KeyRing) -> None:
    """The keys of a new folder, unless somebody else has just made them."""
    if not has_keys(connection):
        fresh = [{"name": name, "value": ring.wrap(new_key(), house_place(name))} for name in HOUSE_KEYS]
        connection.execute(meta.insert(), fresh)
