"""What people do is one transaction each, its audit included: the ground under `users.py` and `signin.py`.

What is wrong is raised as Rejected, with a code the pages have words for.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from gateway.clock import Clock
from gateway.store import audit, people, sessions
from gateway.store.people import User
from gateway.store.sessions import Quota
from gateway.store.store import Store
from normalizer.errors import Rejected

T = TypeVar("T")


class TooMany(Rejected):
    """Tried too often; `wait` until the next try."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("tried too often; wait a while", status=429, code="too_many")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody signs in."""

    remote: str
    agent: str = ""


class Register:
    """The people of one house, and what they did."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self.vault = store, clock, store.vault

    async def knock(self, *quotas: Quota) -> None:
        wait = await self.write(partial(sessions.knock, vault=self.vault, quotas=quotas, now=self.clock.now()))
        if wait > timedelta():
            raise TooMany(wait)

    def start(self, connection: Connection, user: User, stage: sessions.Stage, browser: Browser) -> str:
        return sessions.start(connection, self.vault, user.id, stage, browser.agent, browser.remote, self.clock.now())

    def failed(self, connection: Connection, about: str, browser: Browser, how: str) -> None:
        """What was typed is not kept: it may be a password in the wrong field."""
        self.wrote(connection, "", "sign_in_failed", about, how=how, remote=browser.remote)

    def wrote(self, connection: Connection, who: str, what: str, about: str, **detail: str) -> None:
        audit.append(connection, self.vault, self.clock.now(), who=who, what=what, about=about, detail=detail)

    def user(self, connection: Connection, identity: str) -> User:
        user = people.user(connection, self.vault, identity)
        if user is None:
            raise Rejected(f"no user {identity}", status=404, code="no_user")
        return user

    def current(self, connection: Connection, user: User) -> User:
        """As they are now, not when they were first looked at. Raises Rejected if they may not come in any more."""
        current = self.user(connection, user.id)
        if current.disabled:
            raise Rejected("this user is disabled", status=403, code="disabled")
        return current

    def keep_one(self, connection: Connection, identity: str, stays: bool = False) -> None:
        if not stays and people.administrators(connection) == [identity]:
            raise Rejected("this is the last administrator; make another one first", status=409, code="last_admin")

    def without_totp(self, connection: Connection, user: User, but: str = "") -> None:
        """Their second factor is gone; their sessions end, except perhaps the one with digest `but`."""
        people.change(connection, self.vault, replace(user, totp="", totp_offered=""))
        people.keep_recovery(connection, self.vault, user.id, ())
        sessions.forgive(connection, self.vault, by_code(user.id))
        sessions.end_all(connection, user.id, but=but)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return await self.store.database.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return await self.store.database.write("people", work)


def by_name(login: str) -> Quota:
    return Quota("name", login, burst=10, every=timedelta(minutes=5))


def by_remote(remote: str) -> Quota:
    return Quota("remote", remote, burst=30, every=timedelta(minutes=1))


def by_code(user: str) -> Quota:
    return Quota("code", user, burst=5, every=timedelta(minutes=5))
