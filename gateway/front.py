"""The HTTP door: what is asked most goes straight to where it is answered.

/in/{connector}/{account}     channels that call us
/healthz /readyz /metrics     whoever watches over it
everything else               the application (app.py), made once somebody asks for it: it is large, and where
                              nobody does, as beside a worker, it need not be there
"""

import asyncio

import starlette.requests
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from connectors.base import Webhook
from gateway import http, metrics, workers
from gateway.accept import Door
from gateway.house import House
from gateway.limit import Limiter
from gateway.ready import Readiness

INBOUND = "/in/"


class Front:
    """With the doors of these roles; `ready` is set once the process stands."""

    def __init__(self, house: House, roles: frozenset[str], ready: asyncio.Event) -> None:
        self.house, self.roles = house, roles
        self.limiter = Limiter()
        door = Door(house, sends="dispatch" in roles)
        self.inbound = Inbound(door, self.limiter) if "accept" in roles else None
        self._watching = {
            "/healthz": healthz,
            "/readyz": Ready(house, ready).answer,
            "/metrics": Measured(house).answer,
        }
        self._application: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"] if scope["type"] == "http" else ""
        if self.inbound and path.startswith(INBOUND):
            await self.inbound(scope, receive, send)
        elif path in self._watching and scope["method"] in ("GET", "HEAD"):
            answer = await http.answered(self._watching[path]())
            await answer(scope, receive, send)
        else:
            await (self._application or await self._made())(scope, receive, send)

    async def _made(self) -> ASGIApp:
        async with self._making:
            if self._application is None:
                self._application = await asyncio.to_thread(self._make)
            return self._application

    def _make(self) -> ASGIApp:
        from gateway.app import build

        return build(self.house, self.roles, self.limiter)


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
            answer = await http.answered(self.answer(asked))
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


async def healthz() -> Response:
    return Response("ok\n", media_type="text/plain")


class Ready:
    """200 while the listeners stand and what comes in can be kept; 503 with the reason otherwise."""

    def __init__(self, house: House, ready: asyncio.Event) -> None:
        self.house, self.ready, self.readiness = house, ready, Readiness(house.store)

    async def answer(self) -> Response:
        trouble = await self._trouble()
        refused = "rules: a changed set was refused; the old one goes on\n" if self.house.rules.refusal else ""
        said = f"{trouble}\n" if trouble else f"ready\n{refused}"
        return Response(said, 503 if trouble else 200, media_type="text/plain")

    async def _trouble(self) -> str:
        if not self.ready.is_set():
            return "starting"
        if trouble := await self.readiness.trouble():
            return f"store: {trouble}"
        if self.house.workers and (trouble := self.house.workers.trouble()):
            return f"workers: {trouble}"
        return ""


class Measured:
    """What Prometheus asks for, those figures with it that stand in the store."""

    def __init__(self, house: House) -> None:
        self.house = house

    async def answer(self) -> Response:
        counts, now = await self.house.store.counts(), self.house.clock.now()
        oldest = counts.oldest_waiting
        metrics.waiting.set(counts.waiting)
        metrics.oldest_waiting.set((now - oldest).total_seconds() if oldest else 0)
        metrics.set_aside.set(counts.set_aside)
        metrics.outbox_waiting.set(counts.outbox_waiting)
        metrics.outbox_dead.set(counts.outbox_dead)
        metrics.outbox_held.set(counts.outbox_held)
        metrics.tickets_stored.set(counts.tickets)
        _, storm = await self.house.store.acknowledgements(now)
        metrics.storm.set(storm.rages(now))
        if line := self.house.bells.line:
            metrics.redis_connected.labels(line.server).set(line.up)
        return Response(generate_latest(workers.whole), headers={"Content-Type": CONTENT_TYPE_LATEST})
