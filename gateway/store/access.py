"""Who may call the API: keys of which only a keyed digest is kept."""

import os
import secrets
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select, update

from gateway.crypto import Vault
from gateway.store.tables import api_keys
from gateway.store.work import ApiKey

PREFIX = "tgk_"  # lets secret scanners recognise it


def add_key(connection: Connection, vault: Vault, label: str, scopes: Sequence[str], now: datetime) -> tuple[str, str]:
    """A new key's id and its secret, which nobody can be shown again."""
    identity, secret = os.urandom(8).hex(), PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        api_keys.insert(),
        {
            "id": identity, "digest": vault.digest("api key", secret), "label": label, "scopes": " ".join(scopes),
            "created_at": now, "revoked": False,
        },
    )  # fmt: skip
    return identity, secret


def key(connection: Connection, vault: Vault, secret: str) -> ApiKey | None:
    """The key with this secret, if it is known and not revoked."""
    known = api_keys.c.digest == vault.digest("api key", secret)
    row = connection.execute(select(api_keys).where(known, ~api_keys.c.revoked)).first()
    return ApiKey(row.id, row.label, tuple(row.scopes.split()), row.created_at, row.revoked) if row else None


def keys(connection: Connection) -> list[ApiKey]:
    rows = connection.execute(select(api_keys).order_by(api_keys.c.created_at))
    return [ApiKey(row.id, row.label, tuple(row.scopes.split()), row.created_at, row.revoked) for row in rows]


def revoke(connection: Connection, identity: str) -> bool:
    done = update(api_keys).where(api_keys.c.id == identity, ~api_keys.c.revoked).values(revoked=True)
    return connection.execute(done).rowcount > 0
