"""Who asks, and whether they may: one answer for every route, the API's and the console's.

    who        a program by its key, a person by their session; None for anybody else
    admitted   the same, with a permission, or Rejected: 401 nobody, 403 forbidden, 403 forged
    declared   which permission a route asks for; every route declares one, and a test holds it

Whoever comes with a cookie and wants to change something must also show that a page of ours asked: the same origin,
and the token that follows from the cookie (in the field `csrf`, or the header X-CSRF-Token).
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from gateway import http
from gateway.house import House
from gateway.permissions import ROLES, Who
from gateway.register import Browser
from gateway.signin import who_is
from gateway.store.sessions import Session
from normalizer.errors import Rejected

EVERYBODY = "everybody"  # no sign-in needed
SIGNED_IN = "signed in"  # any role
SAFE = ("GET", "HEAD", "OPTIONS")
LARGEST_FORM = 2 * 1024 * 1024  # a rulebook of thousands of rules
WHO, SESSION, TOKEN, FIELDS = (f"ticketgate.{name}" for name in ("who", "session", "token", "fields"))

E = TypeVar("E", bound=Callable[..., Any])


def declares(permission: str) -> Callable[[E], E]:
    """Marks an endpoint with what it asks for."""

    def marked(endpoint: E) -> E:
        vars(endpoint).update(permission=permission)
        return endpoint

    return marked


def declared(route: BaseRoute) -> str | None:
    """A permission, EVERYBODY or SIGNED_IN; None if the route declares nothing."""
    endpoints: list[Any] = [route.endpoint] if isinstance(route, Route) else []
    if isinstance(route, APIRoute):
        endpoints += [needed.call for needed in route.dependant.dependencies]
    found = (getattr(endpoint, "permission", None) for endpoint in endpoints)
    return next((one for one in found if isinstance(one, str)), None)


async def who(asked: Request) -> Who | None:
    """A program by its key, a person by their session; looked up once a request."""
    if WHO not in asked.scope:
        asked.scope[WHO] = await _program(asked) or await _person(asked) or await _local(asked)
    found: Who | None = asked.scope[WHO]
    return found


async def session(asked: Request) -> Session | None:
    """The browser's session, at whatever stage; looked up once a request."""
    if SESSION not in asked.scope:
        token = asked.cookies.get(cookie(house(asked)), "")
        asked.scope[SESSION] = await house(asked).signin.session(token) if token else None
    found: Session | None = asked.scope[SESSION]
    return found


async def admitted(asked: Request, permission: str) -> Who:
    """Who asks, if they may. Raises Rejected."""
    found = await who(asked)
    if found is None:
        raise Rejected("sign in, or give a valid key in Authorization: Bearer", code="unverified")
    if permission != SIGNED_IN and not found.may(permission):
        lacks = "this key lacks the scope" if found.kind == "key" else "your role does not have the permission"
        raise Rejected(f"{lacks} {permission}", status=403, code="forbidden")
    if found.kind == "person":
        await check_ours(asked)
    return found


async def check_ours(asked: Request) -> None:
    """A page of ours asked for this change, not somebody else's. Raises Rejected (403 `forged`)."""
    if asked.method in SAFE:
        return
    if asked.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise _forged("another site sent it")
    ours = {asked.headers.get("host", ""), urlsplit(house(asked).configured.settings.http.public_url).netloc}
    if (origin := asked.headers.get("origin")) is not None and urlsplit(origin).netloc not in ours - {""}:
        raise _forged("it comes from another origin; behind a proxy, http.public_url says what ours is")
    offered = asked.headers.get("x-csrf-token") or (await fields(asked)).get("csrf", "")
    if not secrets.compare_digest(offered.encode(), csrf(asked).encode()):
        raise _forged("the page it was sent from is too old; load it again")


async def fields(asked: Request) -> Mapping[str, str]:
    """What a form brought, without files; nothing for another kind of body, which is left unread."""
    if FIELDS not in asked.scope:
        kind = asked.headers.get("content-type", "").partition(";")[0].strip().lower()
        found: dict[str, str] = {}
        if kind == "application/x-www-form-urlencoded":
            body = await http.whole(asked, LARGEST_FORM)
            found = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=200))
        elif kind == "multipart/form-data":
            found = {name: value for name, value in (await asked.form()).items() if isinstance(value, str)}
        asked.scope[FIELDS] = found
    kept: Mapping[str, str] = asked.scope[FIELDS]
    return kept


def csrf(asked: Request) -> str:
    """What our forms bring along in the field `csrf`."""
    return house(asked).signin.csrf(token(asked))


def token(asked: Request) -> str:
    """The cookie's; for a browser without one a fresh one, which the answer must set."""
    if TOKEN not in asked.scope:
        asked.scope[TOKEN] = asked.cookies.get(cookie(house(asked))) or secrets.token_urlsafe(32)
    found: str = asked.scope[TOKEN]
    return found


def cookie(house: House) -> str:
    """The cookie's name. With https the prefix lets no other host or path of ours set it."""
    return "__Host-ticketgate" if secure(house) else "ticketgate"


def secure(house: House) -> bool:
    return house.configured.settings.http.public_url.lower().startswith("https:")


def browser(asked: Request) -> Browser:
    remote = http.remote(asked, house(asked).configured.settings.http.trusted_proxies)
    return Browser(remote, asked.headers.get("user-agent", ""))


def is_here(asked: Request) -> bool:
    """Asked by a browser on this machine.

    A proxy on this machine would make everybody look local, and so would a foreign name that resolves to us: what was
    forwarded, or asked for by another name, does not count.
    """
    forwarded = {"x-forwarded-for", "forwarded", "x-real-ip", "via"} & set(asked.headers.keys())
    named_local = (asked.url.hostname or "") in ("localhost", "127.0.0.1", "::1")
    return named_local and not forwarded and http.is_local(asked.client.host if asked.client else "")


def house(asked: Request) -> House:
    found: House = asked.app.state.house
    return found


async def _program(asked: Request) -> Who | None:
    kind, _, secret = asked.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer":
        return None
    key = await house(asked).store.key(secret.strip())
    return Who("key", key.id, key.label, frozenset(key.scopes)) if key else None


async def _person(asked: Request) -> Who | None:
    """A wrong key is not made good by a cookie."""
    if "authorization" in asked.headers:
        return None
    found = await session(asked)
    return who_is(found) if found and found.stage == "in" and not found.user.must_change else None


async def _local(asked: Request) -> Who | None:
    """As long as there is no user, signin.local says what a browser on this machine may do.

    The API knows a browser by the cookie that the console gave it; a program needs a key, local or not.
    """
    role = house(asked).configured.settings.signin.local
    browsing = cookie(house(asked)) in asked.cookies or asked.url.path.startswith("/console")
    if role is None or "authorization" in asked.headers or not browsing or not is_here(asked):
        return None
    if not await house(asked).signin.nobody():
        return None
    return Who("person", "local", "local", ROLES[role], house(asked).signin.digest(token(asked)))


def _forged(why: str) -> Rejected:
    return Rejected(f"this was not asked for by a page of ours: {why}", status=403, code="forged")
