"""Every route declares what it asks for, and every role is let in exactly where it may."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from people import GOOD, Visitor
from serving import Gateway
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway import guard, settings, wire
from gateway.app import build
from gateway.clock import SystemClock
from gateway.limit import Limiter
from gateway.permissions import PERMISSIONS, ROLES
from gateway.register import Browser
from gateway.serve import ROLES as PARTS
from gateway.signin import SignIn

PUBLISHED = ("/api/openapi.json", "/api/docs")  # what the API is, not what is in it
BARE = Browser("127.0.0.1")


def flat(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """All of them; the API's among them."""
    for route in routes:
        if included := getattr(route, "original_router", None):  # FastAPI keeps an included router whole
            yield from flat(list(included.routes))
        elif isinstance(route, Mount) and not isinstance(route.app, StaticFiles):
            yield from flat(list(route.routes))
        elif not isinstance(route, Mount):
            yield route


async def declared(folder: Path) -> dict[tuple[str, str], str | None]:
    """What each method and path asks for."""
    house = await wire.house(settings.read(Gateway(folder).config))
    try:
        app = build(house, frozenset(PARTS), Limiter())
        return {
            (method, route.path): guard.declared(route)
            for route in flat(list(app.routes))
            if isinstance(route, Route)
            for method in sorted(route.methods or ()) if method not in ("HEAD", "OPTIONS")
        }  # fmt: skip
    finally:
        await house.store.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str | None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_SHOP_SECRET", "whsec_" + "A" * 32)
        patch.setenv("TEST_DESK_SECRET", "whsec_" + "A" * 32)
        return asyncio.run(declared(tmp_path_factory.mktemp("routes")))


def test_every_route_declares_what_it_asks_for(table: dict[tuple[str, str], str | None]) -> None:
    assert len(table) > 20
    assert ("GET", "/api/v1/tickets/{number}") in table
    assert ("GET", "/console/tickets/{number}") in table
    known = {*PERMISSIONS, guard.EVERYBODY, guard.SIGNED_IN}
    silent = [where for where, asks in table.items() if asks not in known and where[1] not in PUBLISHED]
    assert silent == []


def test_nothing_about_tickets_is_for_everybody(table: dict[tuple[str, str], str | None]) -> None:
    open_to_all = {path for (_, path), asks in table.items() if asks == guard.EVERYBODY}
    assert open_to_all == {
        "/", "/console", "/form/{account}", "/api/v1/schemas/{name}",
        "/console/signin", "/console/signin/code", "/console/first", "/console/signout",
        # A chat shows a conversation to whoever brings its key: test_webchat.py.
        "/chat/{account}", "/chat/{account}/", "/chat/{account}/widget.js", "/chat/{account}/visitors", "/chat/{account}/messages",
        "/chat/{account}/files/{message}/{place}",
    }  # fmt: skip


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("roles"), outbound="off") as running:
        yield running


@pytest.fixture(scope="module")
def people(gateway: Gateway) -> dict[str, str]:
    """A session's token for each role."""
    for role in ("admin", *(one for one in ROLES if one != "admin")):
        gateway.cli("users", "add", role, "--role", role, "--password-stdin", stdin=f"{GOOD}\n".encode())
    return {role: asyncio.run(_token(gateway, role)) for role in ROLES}


async def _token(gateway: Gateway, role: str) -> str:
    """Signed in, with a password of their own."""
    store = await wire.open_store(settings.read(gateway.config))
    try:
        signin = SignIn(store, SystemClock())
        session = await signin.session((await signin.sign_in(role, GOOD, BARE)).token)
        assert session
        return (await signin.change_password(session, GOOD, f"{GOOD} {role}", BARE)).token
    finally:
        await store.close()


def filled(path: str) -> str:
    for name in ("number", "envelope", "account", "name", "identity", "id"):
        path = path.replace("{" + name + "}", "nothing")
    return path


@pytest.mark.parametrize("role", [*ROLES, "nobody"])
def test_every_route_lets_in_exactly_who_may(
    table: dict[tuple[str, str], str | None], gateway: Gateway, people: dict[str, str], role: str
) -> None:
    """By the answer to a harmless request: not 401, 403 or the way to the sign-in page."""
    base = f"http://127.0.0.1:{gateway.http}"
    with Visitor(base) as visitor:
        visitor.client.follow_redirects = False
        headers = {"origin": base, "sec-fetch-site": "same-origin"}
        if role != "nobody":
            visitor.client.cookies.set("ticketgate", people[role], domain="127.0.0.1")
            headers["x-csrf-token"] = asyncio.run(_csrf(gateway, people[role]))
        wrong = []
        for (method, path), asks in table.items():
            if asks in (None, guard.EVERYBODY) or path == "/console/account/sessions":
                continue
            may = role != "nobody" and (asks == guard.SIGNED_IN or asks in ROLES[role])  # type: ignore[index]
            with visitor.client.stream(method, filled(path), headers=headers) as answer:
                if not answer.headers.get("content-type", "").startswith("text/event-stream"):  # that has no end
                    answer.read()
            if refused(answer) == may:
                wrong.append((method, path, asks, answer.status_code))
        assert wrong == []


def refused(answer: httpx.Response) -> bool:
    away = answer.status_code == 303 and answer.headers["location"].startswith("/console/signin")
    return away or (answer.status_code in (401, 403) and "not your password" not in answer.text
                    and "present password" not in answer.text.lower())  # fmt: skip


async def _csrf(gateway: Gateway, token: str) -> str:
    store = await wire.open_store(settings.read(gateway.config))
    try:
        return SignIn(store, SystemClock()).csrf(token)
    finally:
        await store.close()


def test_a_key_is_let_in_by_its_scopes_alone(table: dict[tuple[str, str], str | None], gateway: Gateway) -> None:
    (made,) = gateway.json("keys", "add", "reader", "--scope", "tickets:read")
    bearer = {"authorization": f"Bearer {made['secret (shown once)']}"}
    base = f"http://127.0.0.1:{gateway.http}"
    wrong = [
        (method, path, asks, answer.status_code)
        for (method, path), asks in table.items()
        if asks not in (None, guard.EVERYBODY, guard.SIGNED_IN)
        and (answer := httpx.request(method, base + filled(path), headers=bearer))
        and refused(answer) == (asks == "tickets:read")
    ]
    assert wrong == []


def test_a_wrong_key_is_not_made_good_by_a_cookie(gateway: Gateway, people: dict[str, str]) -> None:
    headers = {"authorization": "Bearer nothing", "cookie": f"ticketgate={people['admin']}"}
    assert httpx.get(f"http://127.0.0.1:{gateway.http}/api/v1/tickets", headers=headers).status_code == 401
