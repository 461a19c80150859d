"""Signing in, and what people do to their own account.

    sign_in -> code -> a session    password, then the second factor if there is one; a fresh token at every step
    first                           the first administrator, while there is nobody

A name nobody has takes as long to be refused as a wrong password.
"""

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import pyotp
from sqlalchemy import Connection

from gateway import passwords
from gateway.permissions import ROLES, Role, Who
from gateway.register import Browser, Register, by_code, by_name, by_remote
from gateway.store import people, sessions
from gateway.store.people import User
from gateway.store.sessions import Session
from gateway.users import checked_name, normal
from normalizer.errors import Rejected

STEP = 30  # seconds a code lasts (RFC 6238)
RECOVERY_CODES = 10


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The token for the cookie, and what is still owed before anything may be done."""

    token: str
    stage: sessions.Stage
    user: User


class SignIn(Register):
    """What somebody does who comes in."""

    _any = False

    async def sign_in(self, login: str, password: str, browser: Browser) -> SignedIn:
        """Raises Rejected (401 `wrong_password`) or TooMany."""
        login = normal(login)
        await self.knock(by_name(login), by_remote(browser.remote))
        user = await self.read(partial(people.by_login, vault=self.vault, login=login))
        right = await passwords.matches(password, user.password if user else "")
        if user is None or not right or user.disabled:
            await self.write(partial(self.failed, about=user.id if user else "", browser=browser, how="password"))
            raise Rejected("no such name and password", status=401, code="wrong_password")
        fresh = await passwords.hashed(password) if passwords.is_stale(user.password) else user.password
        return await self.write(partial(self._let_in, user=user, fresh=fresh, browser=browser))

    def _let_in(self, connection: Connection, user: User, fresh: str, browser: Browser) -> SignedIn:
        now = self.clock.now()
        current = self.current(connection, user)
        sessions.forgive(connection, self.vault, by_name(user.login))
        sessions.give_back(connection, self.vault, by_remote(browser.remote))
        if current.totp:
            return SignedIn(self.start(connection, current, "code", browser), "code", current)
        entered = replace(current, password=fresh, last_login_at=now)
        self.wrote(connection, f"person:{user.id}", "signed_in", user.id, how="password", remote=browser.remote)
        people.change(connection, self.vault, entered)
        return SignedIn(self.start(connection, entered, "in", browser), "in", entered)

    async def code(self, session: Session, code: str, browser: Browser) -> SignedIn:
        """The second factor: six digits of the moment, or a recovery code. The session goes on under a new token."""
        await self.knock(by_code(session.user.id), by_remote(browser.remote))
        done = await self.write(partial(self._code, session=session, code=code, browser=browser))
        if done is None:
            raise Rejected("this code is not the one, or was used", status=401, code="wrong_code")
        return done

    def _code(self, connection: Connection, session: Session, code: str, browser: Browser) -> SignedIn | None:
        user = self.current(connection, session.user)
        how = self._second_factor(connection, user, code)
        if how is None:
            self.failed(connection, user.id, browser, "code")
            return None
        self.wrote(connection, f"person:{user.id}", "signed_in", user.id, how=how, remote=browser.remote)
        entered = replace(user, last_login_at=self.clock.now())
        people.change(connection, self.vault, entered)
        sessions.forgive(connection, self.vault, by_code(user.id))
        sessions.give_back(connection, self.vault, by_remote(browser.remote))
        sessions.end(connection, session.digest)
        return SignedIn(self.start(connection, entered, "in", browser), "in", entered)

    def _second_factor(self, connection: Connection, user: User, code: str) -> str | None:
        """What the code was; None if it was nothing. Either kind counts once."""
        digits = re.sub(r"[\s-]", "", code)
        step = matching_step(user.totp, digits, self.clock.now())
        if step is not None:
            return "totp" if people.take_step(connection, user.id, step) else None
        return "recovery" if people.take_recovery(connection, self.vault, user.id, digits.lower()) else None

    async def elsewhere(
        self, subject: tuple[str, str], login: str, name: str, role: Role | None, browser: Browser
    ) -> SignedIn:
        """Signed in by an OpenID provider. Raises Rejected (403): no role for them, or disabled here."""
        try:
            return await self.write(
                partial(self._elsewhere, subject=subject, login=login, name=name, role=role, browser=browser)
            )
        except Rejected:
            await self.write(partial(self.failed, about="", browser=browser, how="openid"))
            raise

    def _elsewhere(
        self,
        connection: Connection,
        subject: tuple[str, str],
        login: str,
        name: str,
        role: Role | None,
        browser: Browser,
    ) -> SignedIn:
        if role is None:
            raise Rejected("the provider gives you no role here", status=403, code="no_role")
        now = self.clock.now()
        found = people.by_subject(connection, self.vault, subject)
        user = found or User(people.identity(), login, name, role, now, elsewhere=True)
        if user.disabled:
            raise Rejected("this user is disabled", status=403, code="disabled")
        who = f"person:{user.id}"
        if found is None:
            self.wrote(connection, who, "user_added", user.id, role=role, how="openid")
            people.add(connection, self.vault, user, subject)
        if user.role != role:
            self.wrote(connection, who, "role_changed", user.id, role=role, was=user.role, how="openid")
            sessions.end_all(connection, user.id)
        self.wrote(connection, who, "signed_in", user.id, how="openid", remote=browser.remote)
        entered = replace(user, name=name, role=role, last_login_at=now)
        people.change(connection, self.vault, entered)
        return SignedIn(self.start(connection, entered, "in", browser), "in", entered)

    async def nobody(self) -> bool:
        """Whether there is no user yet."""
        if not self._any:
            self._any = await self.read(people.count) > 0
        return not self._any

    async def first(self, login: str, name: str, password: str, browser: Browser) -> SignedIn:
        """The first administrator. Raises Rejected (409 `not_first`) if there is somebody already."""
        login = checked_name(login)
        passwords.check(password, login, name)
        kept = await passwords.hashed(password)

        def made(connection: Connection) -> SignedIn:
            user = User(people.identity(), login, name or login, "admin", self.clock.now(), password=kept)
            self.wrote(connection, f"person:{user.id}", "first_administrator", user.id, remote=browser.remote)
            if people.count(connection):
                raise Rejected("there is an administrator already", status=409, code="not_first")
            people.add(connection, self.vault, user)
            return SignedIn(self.start(connection, user, "in", browser), "in", user)

        return await self.write(made)

    async def session(self, token: str) -> Session | None:
        """Of this token, at whatever stage. That it was seen is noted once a minute."""
        now = self.clock.now()
        found = await self.read(partial(sessions.session, vault=self.vault, token=token, now=now))
        if found and now - found.last_seen_at >= sessions.SEEN_EVERY:
            await self.write(partial(sessions.seen, found=found.digest, now=now))
        return found

    async def sessions(self, user: User) -> list[Session]:
        return await self.read(partial(sessions.of_user, vault=self.vault, user=user, now=self.clock.now()))

    async def sign_out(self, session: Session) -> None:
        def ended(connection: Connection) -> None:
            sessions.end(connection, session.digest)
            self.wrote(connection, f"person:{session.user.id}", "signed_out", session.user.id)

        await self.write(ended)

    async def end_others(self, session: Session) -> int:
        """Returns how many."""

        def ended(connection: Connection) -> int:
            self.wrote(connection, f"person:{session.user.id}", "other_sessions_ended", session.user.id)
            return sessions.end_all(connection, session.user.id, but=session.digest)

        return await self.write(ended)

    def digest(self, token: str) -> str:
        """What a session is known by; the token itself is with the browser alone."""
        return sessions.digest(self.vault, token)

    def csrf(self, token: str) -> str:
        return sessions.csrf(self.vault, token)

    async def change_password(self, session: Session, old: str, new: str, browser: Browser) -> SignedIn:
        """Every session ends; this browser goes on under a new token. Raises Rejected: wrong old one, weak new one."""
        user = session.user
        await self.knock(by_name(user.login), by_remote(browser.remote))
        if not await passwords.matches(old, user.password):
            await self.write(partial(self.failed, about=user.id, browser=browser, how="password"))
            raise Rejected("this is not your password", status=401, code="wrong_password")
        passwords.check(new, user.login, user.name)
        if passwords.normal(new) == passwords.normal(old):
            raise Rejected("this is the password you have", status=422, code="same_password")
        kept = await passwords.hashed(new)

        def changed(connection: Connection) -> SignedIn:
            self.wrote(connection, f"person:{user.id}", "password_changed", user.id)
            current = replace(self.current(connection, user), password=kept, must_change=False)
            people.change(connection, self.vault, current)
            sessions.forgive(connection, self.vault, by_name(user.login))
            sessions.end_all(connection, user.id)
            return SignedIn(self.start(connection, current, "in", browser), "in", current)

        return await self.write(changed)

    async def offer_totp(self, user: User) -> str:
        """A secret for an authenticator, in force once its first code was given. The same one until then."""

        def offered(connection: Connection) -> str:
            current = self.current(connection, user)
            secret = current.totp_offered or pyotp.random_base32()
            people.change(connection, self.vault, replace(current, totp_offered=secret))
            return secret

        return await self.write(offered)

    async def enrol_totp(self, session: Session, code: str, browser: Browser) -> tuple[str, ...]:
        """Put the offered secret in force. Returns the recovery codes, which nobody can be shown again."""
        await self.knock(by_code(session.user.id), by_remote(browser.remote))
        codes = tuple(_recovery_code() for _ in range(RECOVERY_CODES))

        def enrolled(connection: Connection) -> bool:
            user = self.current(connection, session.user)
            step = matching_step(user.totp_offered, re.sub(r"\s", "", code), self.clock.now())
            if step is None or not people.take_step(connection, user.id, step):
                return False
            self.wrote(connection, f"person:{user.id}", "totp_enrolled", user.id)
            people.change(connection, self.vault, replace(user, totp=user.totp_offered, totp_offered=""))
            people.keep_recovery(connection, self.vault, user.id, [one.replace("-", "") for one in codes])
            sessions.forgive(connection, self.vault, by_code(user.id))
            sessions.end_all(connection, user.id, but=session.digest)
            return True

        if not await self.write(enrolled):
            raise Rejected("this code is not the one of the moment", status=422, code="wrong_code")
        return codes

    async def drop_totp(self, session: Session, password: str, browser: Browser) -> None:
        """Give up one's own second factor. The password is asked for again."""
        user = session.user
        await self.knock(by_name(user.login), by_remote(browser.remote))
        if not await passwords.matches(password, user.password):
            await self.write(partial(self.failed, about=user.id, browser=browser, how="password"))
            raise Rejected("this is not your password", status=401, code="wrong_password")

        def dropped(connection: Connection) -> None:
            self.wrote(connection, f"person:{user.id}", "totp_reset", user.id)
            self.without_totp(connection, self.current(connection, user), but=session.digest)

        await self.write(dropped)

    async def speak(self, user: User, language: str) -> None:
        """Their language from now on."""

        def spoken(connection: Connection) -> None:
            people.change(connection, self.vault, replace(self.current(connection, user), language=language))

        await self.write(spoken)


def who_is(session: Session) -> Who:
    user = session.user
    return Who("person", user.id, user.name, ROLES[user.role], session.digest)


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """Which time step the code is of: this one, or one before or after, for clocks differ; None if it is of none."""
    if not secret or not re.fullmatch(r"\d{6}", code):
        return None
    step = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(secret)
    found = [near for near in (step - 1, step, step + 1) if secrets.compare_digest(totp.generate_otp(near), code)]
    return found[0] if found else None


def _recovery_code() -> str:
    """65 bits, in groups that can be copied from paper."""
    return "-".join("".join(secrets.choice(passwords.ALPHABET) for _ in range(4)) for _ in range(3))
