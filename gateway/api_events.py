"""GET /api/v1/events: what happens, as server-sent events (WHATWG HTML, 9.2). Numbers, ids and codes, no words.

    id: 4711
    event: ticket.created
    data: {"at":"2026-11-23T09:00:00Z","number":"20261123001","thing":"","version":1}

A client that comes back names the last it saw (Last-Event-ID, or ?after=) and misses nothing of the last seven days; if
that is too old it hears `missed` first, and looks anew. Without, it hears what happens from now on. The stream ends by
itself from time to time, so that who may not follow any more does not; browsers come back at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query
from fastapi.responses import StreamingResponse

from gateway.events import Hub
from gateway.permissions import Who
from gateway.store.work import Event
from normalizer.errors import Rejected

LONGEST = 15 * 60.0  # seconds
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # a proxy that collects would keep them waiting
STILL_HERE = b": still here\n\n"


def router(hub: Hub, require: Callable[[str], Any]) -> APIRouter:
    """The feed. It has no end, so it does not stand among the calls that the OpenAPI document describes."""
    routes = APIRouter(prefix="/api/v1", tags=["events"])
    follower = require("events:read")

    @routes.get("/events", include_in_schema=False)
    async def events(
        _: Annotated[Who, Depends(follower)],
        last_event_id: Annotated[str, Header()] = "",
        after: Annotated[str, Query()] = "",
    ) -> StreamingResponse:
        if hub.full:
            raise Rejected("too many follow already", status=503, code="unavailable")
        seq, missed = await _start(hub, last_event_id or after)
        return StreamingResponse(stream(hub, seq, missed), media_type="text/event-stream", headers=HEADERS)

    return routes


async def _start(hub: Hub, named: str) -> tuple[int, bool]:
    """After which event to begin, and whether some before it are forgotten, or never were."""
    if named and not (named.isascii() and named.isdigit() and len(named) < 19):
        raise Rejected(f"{named[:40]!r} is the id of no event", status=422, code="invalid")
    oldest, latest = await hub.store.event_bounds()
    if not named:
        return latest, False
    seq = int(named)
    return (seq, False) if oldest - 1 <= seq <= latest else (latest, True)


async def stream(hub: Hub, seq: int, missed: bool) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    if missed:
        yield b"id: %d\nevent: missed\ndata: {}\n\n" % seq
    until = asyncio.get_running_loop().time() + LONGEST
    async for event in hub.follow(seq):
        yield told(event) if event else STILL_HERE
        if asyncio.get_running_loop().time() > until:
            return


def told(event: Event) -> bytes:
    said = {"at": event.at, "number": event.number, "thing": event.thing, "version": event.version}
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (
        event.seq, event.kind.encode(), orjson.dumps(said, option=orjson.OPT_UTC_Z),
    )  # fmt: skip
