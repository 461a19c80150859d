"""The HTTP door.

/in/{connector}/{account}   channels that call us
/form/{account}             the hosted form
/chat/{account}/...         web chat and in-app messages
/api/v1/...                 for programs, with API keys
/console/                   for people, with roles
/healthz /readyz /metrics   for whoever watches over it
"""

import asyncio

import starlette.requests
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.base import Webhook
from gateway import (
    api,
    api_events,
    api_house,
    api_rules,
    api_tickets,
    guard,
    http,
    metrics,
    problems,
    programs,
    workers,
)
from gateway.accept import Door
from gateway.acting import Acting
from gateway.chat import Chats
from gateway.console import form, page
from gateway.house import House
from gateway.limit import Limiter
from gateway.ready import Readiness
from normalizer.errors import Rejected, Unavailable

INBOUND = "/in/"


def build(house: House, roles: frozenset[str], ready: asyncio.Event) -> ASGIApp:
    """The application with the doors of these roles; `ready` is set once the process stands."""
    routes: list[BaseRoute] = []
    api_app = programs.application()
    door, limiter = Door(house, sends="dispatch" in roles), Limiter()
    if "accept" in roles:
        routes.extend(form.routes(door, limiter))
        routes.extend(Chats(door, limiter).routes())
        api_app.include_router(api.router(door))
        api_app.include_router(api_tickets.router(Acting(door), api.require(door)))
        api_app.include_router(api_house.router(house, api.require(door)))
        api_app.include_router(api_rules.router(house, api.require(door)))
    if "console" in roles:
        routes.append(Route("/", front))
        routes.extend(page.routes(house, Acting(door)))
    if roles & {"accept", "console"}:  # the console's pages follow it too
        api_app.include_router(api_events.router(house.hub, api.require(door)))
    routes += [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", measured), page.static()]
    app = Starlette(routes=[*routes, Mount("/", api_app)], exception_handlers=problems.HANDLERS)
    app.state.house, app.state.ready, api_app.state.house = house, ready, house
    app.state.readiness = Readiness(house.store)
    return Front(Inbound(door, limiter), app) if "accept" in roles else app


class Front:
    """What channels call goes straight to its door; people and programs to the application with all its machinery."""

    def __init__(self, inbound: "Inbound", others: ASGIApp) -> None:
        self.inbound, self.others = inbound, others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        called = scope["type"] == "http" and scope["path"].startswith(INBOUND)
        await (self.inbound if called else self.others)(scope, receive, send)


class Inbound:
    """What a channel posts: whole, verified, journalled, answered; in this order and nothing before it."""

    def __init__(self, door: Door, limiter: Limiter) -> None:
        self.door, self.limiter = door, limiter
        self.settings = door.house.configured.settings.http
        connectors = door.house.mind.connectors
        self.webhooks = {account: one for account, one in connectors.items() if isinstance(one, Webhook)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = starlette.requests.Request(scope, receive)
        try:
            answer = await self.answer(asked)
        except Rejected as e:
            answer = await problems.rejected(asked, e)
        except Unavailable as e:
            answer = await problems.unavailable(asked, e)
        except starlette.requests.ClientDisconnect:
            return  # nobody is there to be answered, and nothing was promised
        await answer(scope, receive, send)

    async def answer(self, asked: starlette.requests.Request) -> Response:
        if asked.method not in ("GET", "HEAD", "POST"):
            return http.problem(405, "method_not_allowed", "GET or POST", {"Allow": "GET, HEAD, POST"})
        name, _, account = asked.scope["path"].removeprefix(INBOUND).partition("/")
        connector = self.webhooks.get((name, account))
        if connector is None:
            return http.problem(404, "not_found", f"no account {name}/{account} takes webhooks here")
        now = self.door.house.clock.now()
        limit = min(self.settings.max_body, getattr(connector.settings, "size_limit", self.settings.max_body))
        rate = getattr(connector.settings, "rate", 0)
        if rate and not self.limiter.allows((name, account, self._remote(asked)), rate, now):
            return http.problem(429, "rate_limited", "too many from this address", {"Retry-After": "60"})
        try:
            body = await http.whole(asked, limit)
        except http.Oversized as e:
            await self.door.refuse(name, account, e.code, e.reason, e.first, {"remote": self._remote(asked)})
            raise
        return http.respond(await self.door.webhook(connector, http.request(asked, body, self.settings, now)))

    def _remote(self, asked: starlette.requests.Request) -> str:
        return http.remote(asked, self.settings.trusted_proxies)


@guard.declares(guard.EVERYBODY)
async def front(_: starlette.requests.Request) -> Response:
    return RedirectResponse("/console/")


@guard.declares(guard.EVERYBODY)
async def healthz(_: starlette.requests.Request) -> Response:
    return Response("ok\n", media_type="text/plain")


@guard.declares(guard.EVERYBODY)
async def readyz(asked: starlette.requests.Request) -> Response:
    """200 while the listeners stand and what comes in can be kept; 503 with the reason otherwise."""
    readiness: Readiness = asked.app.state.readiness
    if not asked.app.state.ready.is_set():
        return Response("starting\n", 503, media_type="text/plain")
    if trouble := await readiness.trouble():
        return Response(f"store: {trouble}\n", 503, media_type="text/plain")
    house: House = asked.app.state.house
    if house.workers and (trouble := house.workers.trouble()):
        return Response(f"workers: {trouble}\n", 503, media_type="text/plain")
    refused = "rules: a changed set was refused; the old one goes on\n" if house.rules.refusal else ""
    return Response(f"ready\n{refused}", media_type="text/plain")


@guard.declares(guard.EVERYBODY)
async def measured(asked: starlette.requests.Request) -> Response:
    house: House = asked.app.state.house
    counts = await house.store.counts()
    metrics.waiting.set(counts.waiting)
    oldest = counts.oldest_waiting
    metrics.oldest_waiting.set((house.clock.now() - oldest).total_seconds() if oldest else 0)
    metrics.set_aside.set(counts.set_aside)
    metrics.outbox_waiting.set(counts.outbox_waiting)
    metrics.outbox_dead.set(counts.outbox_dead)
    metrics.outbox_held.set(counts.outbox_held)
    metrics.tickets_stored.set(counts.tickets)
    now = house.clock.now()
    _, storm = await house.store.acknowledgements(now)
    metrics.storm.set(storm.rages(now))
    return Response(generate_latest(workers.whole), headers={"Content-Type": CONTENT_TYPE_LATEST})
