"""`ticketgate users` and `ticketgate audit`: the people who use the console, and what was done by whom."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.command import Config, Json, Limit, configured, whose, with_store
from gateway.permissions import ROLES, Role
from gateway.terminal import ONE_TIME, moment, show
from normalizer.errors import TicketgateError

if TYPE_CHECKING:
    from gateway.store.store import Store
    from gateway.users import Users

users_app = typer.Typer(no_args_is_help=True, help="People who use the console. 用户")
audit_app = typer.Typer(no_args_is_help=True, help="Who did what. 审计")

Login = Annotated[str, typer.Argument(metavar="NAME", help="Login name, or id.")]
FromInput = Annotated[bool, typer.Option("--password-stdin", help="Read it from standard input instead of making one.")]


@users_app.command("add")
def add(
    login: Annotated[str, typer.Argument(metavar="NAME", help="To sign in with.")],
    role: Annotated[Role, typer.Option(help="What they may do: see docs/people.md.")] = "agent",
    name: Annotated[str, typer.Option(help="What others see; the login name without.")] = "",
    password_stdin: FromInput = False,
    config: Config = None,
) -> None:
    """Make a user. They change the one-time password at their first sign-in."""
    given = _read() if password_stdin else ""

    async def added(users: "Users") -> None:
        user, password = await users.add(login, name, role, by=whose(), password=given)
        row = [user.id, user.login, user.role, *([] if given else [password])]
        show(["id", "login", "role", *([] if given else [ONE_TIME])], [row], False)

    _with_users(config, added)


@users_app.command("list")
def listed(config: Config = None, json: Json = False) -> None:
    """Everybody who may sign in."""

    async def told(users: "Users") -> None:
        rows = [
            [u.id, u.login, u.name, u.role, "yes" if u.totp else "", "openid" if u.elsewhere else "",
             moment(u.last_login_at) if u.last_login_at else "", "disabled" if u.disabled else ""]
            for u in await users.everybody()
        ]  # fmt: skip
        columns = ["id", "login", "name", "role", "second factor", "by way of", "last signed in", "state"]
        show(columns, rows, json, empty="nobody yet; `ticketgate users add NAME --role admin` makes the first")

    _with_users(config, told)


@users_app.command("role")
def role(login: Login, role: Annotated[Role, typer.Argument(help=", ".join(ROLES))], config: Config = None) -> None:
    """Give another role. Their sessions end."""

    async def given(users: "Users") -> None:
        await users.give_role((await users.find(login)).id, role, by=whose())
        typer.echo(f"{login} is {role} now")

    _with_users(config, given)


@users_app.command("disable")
def disable(login: Login, config: Config = None) -> None:
    """Let somebody in no more; they are out at once."""

    async def disabled(users: "Users") -> None:
        await users.disable((await users.find(login)).id, by=whose())
        typer.echo(f"{login} is disabled")

    _with_users(config, disabled)


@users_app.command("enable")
def enable(login: Login, config: Config = None) -> None:
    """Let somebody in again."""

    async def enabled(users: "Users") -> None:
        await users.enable((await users.find(login)).id, by=whose())
        typer.echo(f"{login} may sign in again")

    _with_users(config, enabled)


@users_app.command("password")
def password(login: Login, password_stdin: FromInput = False, config: Config = None) -> None:
    """Give a one-time password to who forgot theirs. Their sessions end."""
    given = _read() if password_stdin else ""

    async def reset(users: "Users") -> None:
        user = await users.find(login)
        fresh = await users.reset_password(user.id, by=whose(), password=given)
        if given:
            typer.echo(f"{login} has a one-time password now")
        else:
            show(["login", ONE_TIME], [[user.login, fresh]], False)

    _with_users(config, reset)


@users_app.command("totp-reset")
def totp_reset(login: Login, config: Config = None) -> None:
    """Take a lost second factor away."""

    async def reset(users: "Users") -> None:
        await users.reset_totp((await users.find(login)).id, by=whose())
        typer.echo(f"{login} signs in without a second factor until they enrol another")

    _with_users(config, reset)


@users_app.command("remove")
def remove(login: Login, config: Config = None) -> None:
    """Forget somebody. What they did stays in the audit, by their id."""

    async def removed(users: "Users") -> None:
        await users.remove((await users.find(login)).id, by=whose())
        typer.echo(f"{login} is removed")

    _with_users(config, removed)


@audit_app.command("list")
def audit_list(
    config: Config = None,
    limit: Limit = 50,
    before: Annotated[int, typer.Option(help="Continue before this number.")] = 0,
    who: Annotated[str, typer.Option(help="What this user did.")] = "",
    about: Annotated[str, typer.Option(help="What was done to this user, ticket or contact (by id).")] = "",
    json: Json = False,
) -> None:
    """Who did what, newest first."""

    async def told(users: "Users") -> None:
        people = {one.id: one.login for one in await users.everybody()}
        ids = {login: identity for identity, login in people.items()}
        by = f"person:{ids.get(who, who)}" if who and ":" not in who else who
        rows = [
            [r.seq, moment(r.at), _named(r.who, people), r.what, _named(r.about, people),
             "; ".join(f"{name}: {value}" for name, value in r.detail.items())]
            for r in await users.audited(before=before, limit=limit, who=by, about=ids.get(about, about))
        ]  # fmt: skip
        show(["seq", "when", "who", "what", "about", "detail"], rows, json, empty="nothing yet")

    _with_users(config, told)


@audit_app.command("verify")
def audit_verify(
    has: Annotated[str, typer.Option(help="A hash noted earlier, that must be in it.")] = "",
    config: Config = None,
) -> None:
    """Prove that no row was changed or left out. Note the hash: with it, a later check also finds an older copy."""

    async def verified(users: "Users") -> None:
        found = await users.verify_audit(has)
        for wrong in found.wrong:
            typer.echo(wrong, err=True)
        if found.wrong:
            raise typer.Exit(1)
        typer.echo(f"{found.rows} rows, whole; the newest hash is {found.head or 'none'}")

    _with_users(config, verified)


def _with_users(config: Path | None, use: "Callable[[Users], Awaitable[None]]") -> None:
    from gateway.clock import SystemClock
    from gateway.users import Users

    async def run(store: "Store") -> None:
        await use(Users(store, SystemClock()))

    with_store(configured(config), run)


def _read() -> str:
    given = sys.stdin.readline().rstrip("\r\n")
    if not given:
        raise TicketgateError("no password on standard input; write one line there")
    return given


def _named(what: str, people: dict[str, str]) -> str:
    """With the login name, while somebody has that id."""
    login = people.get(what.removeprefix("person:"))
    return f"{what} ({login})" if login else what
