"""The HTTP door.

/in/{connector}/{account}   channels that call us
/form/{account}             the hosted form
/api/v1/...                 for programs, with API keys
/console/                   for people on this machine
/healthz /readyz /metrics   for whoever watches over it
"""

from collections.abc import Awaitable, Callable
from typing import Any

import starlette.requests
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from connectors.base import Webhook
from gateway import api, http, metrics
from gateway.accept import Door
from gateway.console import form, page
from gateway.house import House
from gateway.limit import Limiter
from normalizer.errors import Rejected, Unavailable

Endpoint = Callable[[starlette.requests.Request], Awaitable[Response]]
TRY_AGAIN = {"Retry-After": "5"}


def build(house: House, roles: frozenset[str]) -> Starlette:
    """The application with the doors of these roles. What channels call stands first, before the API's machinery."""
    routes: list[BaseRoute] = []
    programs = FastAPI(
        title="Ticketgate", version="1", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        exception_handlers=PROBLEMS,
    )  # fmt: skip
    if "accept" in roles:
        door, limiter = Door(house), Limiter()
        routes.append(Route("/in/{connector}/{account}", inbound(door, limiter), methods=["GET", "POST"]))
        routes.extend(form.routes(door, limiter))
        programs.include_router(api.router(door))
    if "console" in roles:
        routes.append(Route("/", lambda _: RedirectResponse("/console/")))
        routes.extend(page.routes(house))
    routes += [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", measured), page.static()]
    app = Starlette(routes=[*routes, Mount("/", programs)], exception_handlers=PROBLEMS)
    app.state.house = house
    return app


def inbound(door: Door, limiter: Limiter) -> Endpoint:
    """What a channel posts: whole, verified, journalled, answered; in this order and nothing before it."""
    house, settings = door.house, door.house.configured.settings.http
    webhooks = {account: one for account, one in house.mind.connectors.items() if isinstance(one, Webhook)}

    async def endpoint(asked: starlette.requests.Request) -> Response:
        name, account = asked.path_params["connector"], asked.path_params["account"]
        connector = webhooks.get((name, account))
        if connector is None:
            return http.problem(404, "not_found", f"no account {name}/{account} takes webhooks here")
        now = house.clock.now()
        limit = min(settings.max_body, getattr(connector.settings, "size_limit", settings.max_body))
        rate = getattr(connector.settings, "rate", 0)
        if rate and not limiter.allows((name, account, http.remote(asked, settings.trusted_proxies)), rate, now):
            return http.problem(429, "rate_limited", "too many from this address", {"Retry-After": "60"})
        try:
            body = await http.whole(asked, limit)
        except http.Oversized as e:
            remote = http.remote(asked, settings.trusted_proxies)
            await door.refuse(name, account, e.code, e.reason, e.first, {"remote": remote})
            raise
        return http.respond(await door.webhook(connector, http.request(asked, body, settings, now)))

    return endpoint


async def healthz(_: starlette.requests.Request) -> Response:
    return Response("ok\n", media_type="text/plain")


async def readyz(asked: starlette.requests.Request) -> Response:
    """200 while the store answers and the listeners stand; 503 with the reason otherwise."""
    house: House = asked.app.state.house
    if not asked.app.state.ready.is_set():
        return Response("starting\n", 503, media_type="text/plain")
    try:
        await house.store.counts()
    except Unavailable as e:
        return Response(f"store: {e.reason}\n", 503, media_type="text/plain")
    return Response("ready\n", media_type="text/plain")


async def measured(asked: starlette.requests.Request) -> Response:
    house: House = asked.app.state.house
    counts = await house.store.counts()
    metrics.waiting.set(counts.waiting)
    oldest = counts.oldest_waiting
    metrics.oldest_waiting.set((house.clock.now() - oldest).total_seconds() if oldest else 0)
    metrics.set_aside.set(counts.set_aside)
    metrics.outbox_waiting.set(counts.outbox_waiting)
    metrics.outbox_dead.set(counts.outbox_dead)
    metrics.tickets_stored.set(counts.tickets)
    return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _rejected(_: starlette.requests.Request, e: Exception) -> Response:
    assert isinstance(e, Rejected)
    return http.problem(e.status, e.code, e.reason)


async def _unavailable(_: starlette.requests.Request, e: Exception) -> Response:
    """Nothing was kept; the caller must come again."""
    assert isinstance(e, Unavailable)
    return http.problem(503, "unavailable", "could not be stored just now; send it again", TRY_AGAIN)


PROBLEMS: dict[int | type[Exception], Any] = {Rejected: _rejected, Unavailable: _unavailable}
