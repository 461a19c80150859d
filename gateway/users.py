"""The people who use the console: made, changed and removed by an administrator or at the terminal; and the audit.

`by` is Who.source of who does it, or TERMINAL.
"""

import re
import unicodedata
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from gateway import passwords
from gateway.permissions import Role, Who
from gateway.register import Register, by_name
from gateway.store import audit, people, sessions
from gateway.store.people import User
from normalizer.errors import Rejected

TERMINAL = "terminal"
NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,64}")


class Users(Register):
    """What administrators do to people, and what is shown to whom."""

    async def add(self, login: str, name: str, role: Role, *, by: str, password: str = "") -> tuple[User, str]:
        """A user, and the one-time password they must change at their first sign-in (the given one, or a fresh one)."""
        login = checked_name(login)
        if password:
            passwords.check(password, login, name)
        given = password or passwords.one_time()
        kept = await passwords.hashed(given)
        user = User(
            people.identity(), login, name or login, role, self.clock.now(), must_change=True, password=kept
        )  # fmt: skip

        def added(connection: Connection) -> None:
            self.wrote(connection, by, "user_added", user.id, role=role)
            if not people.add(connection, self.vault, user):
                raise Rejected(f"somebody is called {login} already", status=409, code="name_taken")

        await self.write(added)
        return user, given

    async def everybody(self) -> list[User]:
        return await self.read(partial(people.everybody, vault=self.vault))

    async def find(self, login: str) -> User:
        """By login name or id. Raises Rejected (404 `no_user`)."""
        found = next((one for one in await self.everybody() if normal(login) == one.login or login == one.id), None)
        if found is None:
            raise Rejected(f"no user {login}; `ticketgate users list` shows them", status=404, code="no_user")
        return found

    async def give_role(self, identity: str, role: Role, *, by: str) -> None:
        """Their sessions end, so that nothing goes on with the old one."""

        def given(connection: Connection) -> None:
            user = self.user(connection, identity)
            self.wrote(connection, by, "role_changed", identity, role=role, was=user.role)
            self.keep_one(connection, identity, stays=role == "admin")
            people.change(connection, self.vault, replace(user, role=role))
            sessions.end_all(connection, identity)

        await self.write(given)

    async def disable(self, identity: str, *, by: str) -> None:
        """They are out at once."""

        def disabled(connection: Connection) -> None:
            self.wrote(connection, by, "user_disabled", identity)
            self.keep_one(connection, identity)
            people.change(connection, self.vault, replace(self.user(connection, identity), disabled=True))
            sessions.end_all(connection, identity)

        await self.write(disabled)

    async def enable(self, identity: str, *, by: str) -> None:
        def enabled(connection: Connection) -> None:
            self.wrote(connection, by, "user_enabled", identity)
            people.change(connection, self.vault, replace(self.user(connection, identity), disabled=False))

        await self.write(enabled)

    async def reset_password(self, identity: str, *, by: str, password: str = "") -> str:
        """A one-time password instead of theirs; their sessions end."""
        user = await self.find(identity)
        if password:
            passwords.check(password, user.login, user.name)
        given = password or passwords.one_time()
        kept = await passwords.hashed(given)

        def reset(connection: Connection) -> None:
            self.wrote(connection, by, "password_reset", user.id)
            current = replace(self.user(connection, user.id), password=kept, must_change=True)
            people.change(connection, self.vault, current)
            sessions.forgive(connection, self.vault, by_name(user.login))
            sessions.end_all(connection, user.id)

        await self.write(reset)
        return given

    async def reset_totp(self, identity: str, *, by: str) -> None:
        """Take a lost second factor away."""

        def reset(connection: Connection) -> None:
            self.wrote(connection, by, "totp_reset", identity)
            self.without_totp(connection, self.user(connection, identity))

        await self.write(reset)

    async def remove(self, identity: str, *, by: str) -> None:
        """Their name is gone; what they did stays in the audit by their id."""

        def removed(connection: Connection) -> None:
            self.wrote(connection, by, "user_removed", identity)
            self.user(connection, identity)
            self.keep_one(connection, identity)
            people.remove(connection, identity)

        await self.write(removed)

    async def reveal(self, who: Who, about: str, reason: str, number: str = "") -> None:
        """Show them this ticket or contact (by id) whole for 15 minutes.

        Raises Rejected: 403 without the permission, 422 `reason_missing` without a reason.
        """
        if not who.may("personal:read"):
            raise Rejected("you may not see personal data unmasked", status=403, code="forbidden")
        reason = " ".join(reason.split())
        if len(reason) < 3:
            raise Rejected("say why you need it", status=422, code="reason_missing")

        def shown(connection: Connection) -> None:
            self.wrote(connection, who.source, "revealed", about, reason=reason[:500], number=number)
            sessions.reveal(connection, who.session or who.source, about, self.clock.now())

        await self.write(shown)

    async def revealed(self, who: Who | None, *about: str) -> bool:
        """Whether personal data of this ticket (or one of these) is to be shown whole to who asks, now."""
        if who is None or not who.may("personal:read") or not about:
            return False
        whose = who.session or who.source
        return await self.read(partial(sessions.revealed, who=whose, about=about, now=self.clock.now()))

    async def note(self, who: str, what: str, about: str = "", **detail: str) -> None:
        """Put something else people did into the audit."""
        await self.write(lambda connection: self.wrote(connection, who, what, about, **detail))

    async def audited(self, before: int = 0, limit: int = 50, who: str = "", about: str = "") -> list[audit.Audited]:
        """Newest first; before that seq; by or about somebody."""
        return await self.read(partial(audit.rows, vault=self.vault, before=before, limit=limit, who=who, about=about))

    async def verify_audit(self, has: str = "") -> audit.Verified:
        return await self.read(partial(audit.verify, vault=self.vault, has=has))


def normal(login: str) -> str:
    """A login name as it is compared: Li and li are one."""
    return unicodedata.normalize("NFKC", login).casefold().strip()


def checked_name(login: str) -> str:
    """Raises Rejected (422 `bad_name`)."""
    login = normal(login)
    if not NAME.fullmatch(login):
        raise Rejected("a login name has 1 to 64 characters and no spaces", status=422, code="bad_name")
    return login
