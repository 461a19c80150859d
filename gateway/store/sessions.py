"""Who is signed in, how often somebody tried to, and whose personal data is shown whole to whom.

A session is found by the keyed digest of its token; the token itself is with the browser alone.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import orjson
from sqlalchemy import Connection, delete, or_, select, update

from gateway.crypto import Vault
from gateway.store import people
from gateway.store.dialect import Record, insert
from gateway.store.people import User
from gateway.store.tables import knocks, reveals, sessions

Stage = Literal["code", "in"]
CODE_WITHIN = timedelta(minutes=10)  # from the password to the second factor
IDLE = timedelta(hours=8)
LONGEST = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=1)  # a session in use is written at most this often
REVEALED_FOR = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which somebody is signed in; at stage `code` their second factor is still owed."""

    digest: str
    user: User
    stage: Stage
    created_at: datetime
    last_seen_at: datetime
    agent: str
    remote: str


@dataclass(frozen=True, slots=True)
class Quota:
    """`burst` tries at once, then one more `every` so often. It stands in the store, so a restart forgives nothing."""

    kind: str
    source: str
    burst: int
    every: timedelta


def start(connection: Connection, vault: Vault, user: str, stage: Stage, agent: str, remote: str, now: datetime) -> str:
    """A new session's token. What has run out is swept away."""
    sweep(connection, now)
    token = secrets.token_urlsafe(32)
    found = digest(vault, token)
    words = orjson.dumps({"agent": agent[:200], "remote": remote})
    row = {
        "digest": found, "user": user, "stage": stage, "created_at": now, "last_seen_at": now,
        "sealed": vault.house.seal(words, f"sessions.sealed:{found}"),
    }  # fmt: skip
    connection.execute(sessions.insert(), row)
    return token


def session(connection: Connection, vault: Vault, token: str, now: datetime) -> Session | None:
    """The one with this token, unless it has run out or its user was disabled."""
    row = connection.execute(select(sessions).where(sessions.c.digest == digest(vault, token))).first()
    if row is None or _over(row, now):
        return None
    user = people.user(connection, vault, row.user)
    return _opened(vault, row, user) if user and not user.disabled else None


def of_user(connection: Connection, vault: Vault, user: User, now: datetime) -> list[Session]:
    """Where somebody is signed in, the latest seen first."""
    chosen = select(sessions).where(sessions.c.user == user.id).order_by(sessions.c.last_seen_at.desc())
    return [_opened(vault, row, user) for row in connection.execute(chosen) if not _over(row, now)]


def seen(connection: Connection, found: str, now: datetime) -> None:
    connection.execute(update(sessions).where(sessions.c.digest == found).values(last_seen_at=now))


def end(connection: Connection, found: str) -> None:
    connection.execute(delete(sessions).where(sessions.c.digest == found))
    connection.execute(delete(reveals).where(reveals.c.who == found))


def end_all(connection: Connection, user: str, but: str = "") -> int:
    """Every session of somebody, except perhaps one. Returns how many."""
    ended = list(connection.scalars(select(sessions.c.digest).where(sessions.c.user == user, sessions.c.digest != but)))
    for one in ended:
        end(connection, one)
    return len(ended)


def sweep(connection: Connection, now: datetime) -> None:
    """What has run out, of all three kinds."""
    over = or_(
        sessions.c.last_seen_at < now - IDLE,
        sessions.c.created_at < now - LONGEST,
        (sessions.c.stage == "code") & (sessions.c.created_at < now - CODE_WITHIN),
    )
    connection.execute(delete(sessions).where(over))
    connection.execute(delete(knocks).where(knocks.c.spent_until < now))
    connection.execute(delete(reveals).where(reveals.c.until < now))


def digest(vault: Vault, token: str) -> str:
    return vault.digest("session", token)


def csrf(vault: Vault, token: str) -> str:
    """What a form must bring along with the cookie: it follows from the token, and tells nothing of it."""
    return vault.digest("csrf", token)


def knock(connection: Connection, vault: Vault, quotas: Sequence[Quota], now: datetime) -> timedelta:
    """Count one try against each quota. If one is used up, count none, and return how long to wait.

    GCRA: a quota is one instant, up to which it is spent.
    """
    sources = {_knocking(vault, quota): quota for quota in quotas}
    found = select(knocks).where(knocks.c.source.in_(sources)).with_for_update()
    spent = {row.source: row.spent_until for row in connection.execute(found)}
    fresh = {source: max(spent.get(source, now), now) + quota.every for source, quota in sources.items()}
    waits: list[timedelta] = [fresh[source] - now - quota.burst * quota.every for source, quota in sources.items()]
    if any(wait > timedelta() for wait in waits):
        return max(waits)
    for source, until in fresh.items():
        put = insert(connection, knocks).values(source=source, spent_until=until)
        connection.execute(put.on_conflict_do_update(index_elements=["source"], set_={"spent_until": until}))
    return timedelta()


def forgive(connection: Connection, vault: Vault, quota: Quota) -> None:
    """It was really them: the quota is whole again."""
    connection.execute(delete(knocks).where(knocks.c.source == _knocking(vault, quota)))


def give_back(connection: Connection, vault: Vault, quota: Quota) -> None:
    """This try was a good one and does not count; earlier ones from there do."""
    of = knocks.c.source == _knocking(vault, quota)
    spent = connection.scalar(select(knocks.c.spent_until).where(of).with_for_update())
    if spent is not None:
        connection.execute(update(knocks).where(of).values(spent_until=spent - quota.every))


def reveal(connection: Connection, who: str, about: str, now: datetime) -> None:
    until = now + REVEALED_FOR
    put = insert(connection, reveals).values(who=who, about=about, until=until)
    connection.execute(put.on_conflict_do_update(index_elements=["who", "about"], set_={"until": until}))


def revealed(connection: Connection, who: str, about: Sequence[str], now: datetime) -> bool:
    """Whether this session (or key) was shown one of these tickets or contacts whole less than 15 minutes ago."""
    shown = select(reveals.c.about).where(reveals.c.who == who, reveals.c.about.in_(about), reveals.c.until > now)
    return connection.scalar(shown.limit(1)) is not None


def _over(row: Record, now: datetime) -> bool:
    patience = CODE_WITHIN if row.stage == "code" else LONGEST
    return bool(now - row.created_at > patience or now - row.last_seen_at > IDLE)


def _opened(vault: Vault, row: Record, user: User) -> Session:
    words = orjson.loads(vault.house.open(row.sealed, f"sessions.sealed:{row.digest}"))
    return Session(row.digest, user, row.stage, row.created_at, row.last_seen_at, words["agent"], words["remote"])


def _knocking(vault: Vault, quota: Quota) -> str:
    return vault.digest("knock", quota.kind, quota.source)
