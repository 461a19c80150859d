"""A vendor's side of a chat channel: a real HTTP server that keeps to the vendor's documented API and fails as told.

Each of tests/support/vendors/NAME.py has a class `Side(Vendor)`: `routes()`, `settings()` (what of settings.json points
here) and, where requests are signed, `signed(payload) -> Request` as the vendor would post it.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

TROUBLES = ("", "400", "429", "500", "drop")


class Vendor:
    """What a vendor's server has in common with others."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []  # what customers were told by it, oldest first: at least {"to", "text"}
        self.trouble = ""  # how calls that send are answered: one of TROUBLES; "" well
        self.url = ""

    def routes(self) -> list[BaseRoute]:
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What of an account's settings points here."""
        return {"api": self.url}

    def troubled(self) -> Response | None:
        """What a sending call is answered instead, by a vendor in trouble; vendors with words of their own override."""
        match self.trouble:
            case "":
                return None
            case "429":
                return Response("slow down", 429, headers={"Retry-After": "7"})
            case "drop":
                return Dropped()
            case status:
                return Response("no", int(status))


class Dropped(Response):
    """Promises more than it sends and hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        raise ConnectionResetError


def side(name: str) -> Any:
    """The vendor's side of a connector."""
    return import_module(f"vendors.{name}").Side()


@asynccontextmanager
async def speaking(vendor: Vendor) -> AsyncIterator[str]:
    """Its server on a free port; gives the address."""
    app = Starlette(routes=vendor.routes())
    # Its own log would tell the URLs it was asked for, which hold tokens; what is tested is ours.
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="off"))
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        vendor.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield vendor.url
    finally:
        server.should_exit = True
        await task


@contextmanager
def beside(vendor: Vendor) -> Iterator[Vendor]:
    """The same in a thread of its own, for tests that wait without asyncio."""
    opened, closing = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with speaking(vendor):
            opened.set()
            await closing.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    try:
        assert opened.wait(10)
        yield vendor
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join(10)
        loop.close()
