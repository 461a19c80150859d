"""The people who use the console, as rows. Names, password hashes and second factors are sealed by the house's key."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import orjson
from sqlalchemy import Connection, delete, func, select, update

from gateway.crypto import Vault
from gateway.permissions import Role
from gateway.store.dialect import Record
from gateway.store.tables import recovery_codes, reveals, sessions, users


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. Without a password hash they sign in elsewhere (OpenID Connect), or not at all."""

    id: str
    login: str
    name: str
    role: Role
    created_at: datetime
    language: str = ""
    disabled: bool = False
    must_change: bool = False
    last_login_at: datetime | None = None
    elsewhere: bool = False  # known by the subject of an OpenID provider
    password: str = field(default="", repr=False)  # argon2 hash
    totp: str = field(default="", repr=False)  # secret in base32
    totp_offered: str = field(default="", repr=False)


def identity() -> str:
    return os.urandom(8).hex()


def add(connection: Connection, vault: Vault, user: User, subject: tuple[str, str] | None = None) -> bool:
    """False if somebody has this login name already. `subject` is issuer and subject of who signs in elsewhere."""
    login = _login(vault, user.login, subject)
    if connection.scalar(select(users.c.id).where(users.c.login == login)):
        return False
    row = {
        "id": user.id, "login": login, "subject": _subject(vault, subject) if subject else None, "role": user.role,
        "disabled": user.disabled, "must_change": user.must_change, "created_at": user.created_at, "totp_step": 0,
        "password": _sealed(vault, "password", user.id, user.password), "sealed": _words(vault, user),
    }  # fmt: skip
    connection.execute(users.insert(), row)
    return True


def change(connection: Connection, vault: Vault, user: User) -> None:
    """Everything but its login name and its latest code."""
    values = {
        "role": user.role, "disabled": user.disabled, "must_change": user.must_change,
        "last_login_at": user.last_login_at, "sealed": _words(vault, user),
        **{name: _sealed(vault, name, user.id, getattr(user, name)) for name in ("password", "totp", "totp_offered")},
    }  # fmt: skip
    connection.execute(update(users).where(users.c.id == user.id).values(**values))


def remove(connection: Connection, identity: str) -> None:
    """With their sessions. What they did stays in the audit."""
    of = select(sessions.c.digest).where(sessions.c.user == identity)
    connection.execute(delete(reveals).where(reveals.c.who.in_(of)))
    for table in (sessions, recovery_codes):
        connection.execute(delete(table).where(table.c.user == identity))
    connection.execute(delete(users).where(users.c.id == identity))


def user(connection: Connection, vault: Vault, identity: str) -> User | None:
    row = connection.execute(select(users).where(users.c.id == identity)).first()
    return opened(vault, row) if row else None


def by_login(connection: Connection, vault: Vault, login: str) -> User | None:
    row = connection.execute(select(users).where(users.c.login == _login(vault, login, None))).first()
    return opened(vault, row) if row else None


def by_subject(connection: Connection, vault: Vault, subject: tuple[str, str]) -> User | None:
    row = connection.execute(select(users).where(users.c.subject == _subject(vault, subject))).first()
    return opened(vault, row) if row else None


def everybody(connection: Connection, vault: Vault) -> list[User]:
    return [opened(vault, row) for row in connection.execute(select(users).order_by(users.c.created_at, users.c.id))]


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(users)) or 0


def administrators(connection: Connection) -> list[str]:
    """Ids of those who can manage users now."""
    can = select(users.c.id).where(users.c.role == "admin", ~users.c.disabled)
    return list(connection.scalars(can))


def take_step(connection: Connection, identity: str, step: int) -> bool:
    """Count the code of this time step; False if it, or a later one, was counted before (RFC 6238 5.2)."""
    taken = update(users).where(users.c.id == identity, users.c.totp_step < step).values(totp_step=step)
    return connection.execute(taken).rowcount > 0


def keep_recovery(connection: Connection, vault: Vault, identity: str, codes: Sequence[str]) -> None:
    """These, instead of any there were."""
    connection.execute(delete(recovery_codes).where(recovery_codes.c.user == identity))
    if codes:
        rows = [{"user": identity, "digest": vault.digest("recovery code", identity, code)} for code in codes]
        connection.execute(recovery_codes.insert(), rows)


def take_recovery(connection: Connection, vault: Vault, identity: str, code: str) -> bool:
    """Use one up; False if it is none of theirs, or was used."""
    used = delete(recovery_codes).where(
        recovery_codes.c.user == identity, recovery_codes.c.digest == vault.digest("recovery code", identity, code)
    )
    return connection.execute(used).rowcount > 0


def opened(vault: Vault, row: Record) -> User:
    words = orjson.loads(vault.house.open(row.sealed, f"users.sealed:{row.id}"))

    def secret(name: str) -> str:
        sealed = getattr(row, name)
        return vault.house.open(sealed, f"users.{name}:{row.id}").decode() if sealed else ""

    return User(
        row.id, words["login"], words["name"], row.role, row.created_at, words["language"], row.disabled,
        row.must_change, row.last_login_at, elsewhere=row.subject is not None, password=secret("password"),
        totp=secret("totp"), totp_offered=secret("totp_offered"),
    )  # fmt: skip


def _words(vault: Vault, user: User) -> bytes:
    words = {"login": user.login, "name": user.name, "language": user.language}
    return vault.house.seal(orjson.dumps(words), f"users.sealed:{user.id}")


def _sealed(vault: Vault, name: str, identity: str, value: str) -> bytes | None:
    return vault.house.seal(value.encode(), f"users.{name}:{identity}") if value else None


def _login(vault: Vault, login: str, subject: tuple[str, str] | None) -> str:
    """Who signs in elsewhere takes nobody's login name here."""
    return vault.digest("login elsewhere", *subject) if subject else vault.digest("login", login)


def _subject(vault: Vault, subject: tuple[str, str]) -> str:
    return vault.digest("openid subject", *subject)
