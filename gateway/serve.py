"""Running a house: its roles as tasks of one process, started together and stopped in order.

    accept     listeners and the HTTP door
    process    what waits becomes tickets
    dispatch   what is owed goes out
    console    the pages for people

Stopping: doors close first, what is under way is finished or left in the journal, the store is closed last. With worker
processes (worker.py) they do what waits; they stop after the doors, and the store is closed after them.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import uvicorn

from connectors.base import Closable, Listener, Resuming
from connectors.registry import Listening
from gateway import clock as clocks
from gateway import kernel, wire
from gateway.accept import Door
from gateway.alone import LEASING, ROLES, Locks, Role
from gateway.connection import Connection
from gateway.dispatch import dispatch
from gateway.front import Front
from gateway.holding import hold
from gateway.house import House
from gateway.indexing import index
from gateway.log import log
from gateway.running import again, alive, settle
from gateway.settings import Configured
from gateway.store.sweep import sweep
from gateway.telling import tell
from gateway.workers import Workers
from normalizer.errors import ConfigError, Unavailable, Where

TAKES_NOTHING = 60  # seconds


async def serve(configured: Configured, roles: frozenset[str], workers: Workers | None = None) -> bool:
    """Run until SIGINT or SIGTERM, or until it should start afresh: then True. Raises ConfigError if it cannot."""
    locks = wire.locks(configured)
    presences = [locks.presence(role) for role in ROLES if role in roles]
    try:
        alone = {presence.role for presence in presences if presence.enter()}
        house = await _house(configured, workers, locks)
        try:
            if await house.store.outbox_held():
                hint = "look at `ticketgate outbox list`, then `ticketgate outbox release`"
                log.warning("the outbox and all timers are held", hint=hint)
            await _take_over(house, alone)
            await _sweep(house)
            for presence in presences:
                presence.stay()
            stop = _stopped()
            wearing = asyncio.create_task(_worn(configured, stop))
            await run(house, roles, stop, asyncio.Event())
            wearing.cancel()
            return wearing.done()
        finally:
            await house.store.close()
    finally:
        for presence in presences:
            presence.leave()
        locks.close()


async def _house(configured: Configured, workers: Workers | None, locks: Locks) -> House:
    if workers is None:
        return await wire.house(configured, alone=locks)
    return await wire.house(configured, known=workers.mind, lines=workers.bells, workers=workers, alone=locks)


async def _take_over(house: House, alone: Collection[Role]) -> None:
    for role in LEASING:
        if role in alone:
            await house.store.take_over(role, house.clock.now())


async def _sweep(house: House) -> None:
    """A full disk is no reason not to start; the next start sweeps again."""
    try:
        count = await sweep(house.store.database, house.store.blobs, house.clock.now())
    except Unavailable as e:
        log.warning("what a crash left was not swept", hint=e.reason)
    else:
        if count:
            log.info("swept files that no message names", count=count)


async def _worn(configured: Configured, stop: asyncio.Event) -> None:
    """Stop in order once this process should start afresh."""
    await kernel.wear(configured)
    stop.set()


def _stopped() -> asyncio.Event:
    """Set on SIGINT and SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


async def run(house: House, roles: frozenset[str], stop: asyncio.Event, ready: asyncio.Event) -> None:
    """The tasks of these roles, until `stop`; a task that ends in trouble is started again, and said so."""
    subscribers = list(wire.subscribers(house.configured).values())
    server = _server(house, Front(house, roles, ready))
    door = Door(house)
    tasks = [asyncio.create_task(server.serve(sockets=[_bound(house.configured)])), asyncio.create_task(alive())]
    if "accept" in roles:
        tasks.extend(asyncio.create_task(_listen(listener, door)) for listener in wire.listeners(house))
    tasks.append(asyncio.create_task(again("rules", house.rules.follow)))
    tasks.append(asyncio.create_task(again("locks", house.locks.keep)))
    if line := house.bells.line:
        tasks.append(asyncio.create_task(again("bells", line.keep)))
    if "process" in roles:
        tasks.append(
            asyncio.create_task(house.workers.keep() if house.workers else again("process", partial(hold, house)))
        )
        tasks.append(asyncio.create_task(again("leases", lambda: free(house))))
        tasks.append(asyncio.create_task(again("timers", lambda: ring(house))))
        tasks.append(asyncio.create_task(again("index", lambda: index(house))))
    if "dispatch" in roles:
        tasks.append(asyncio.create_task(again("dispatch", lambda: dispatch(house))))
    if "dispatch" in roles and house.outbound:
        tasks.extend(asyncio.create_task(again("events", partial(tell, house, one))) for one in subscribers)
    stopping = asyncio.create_task(stop.wait())
    while not _stands(server, house) and not stop.is_set():
        await asyncio.sleep(0.01)
        _raise_first(tasks)
    settle()
    ready.set()
    log.info("serving", role=",".join(sorted(roles)), host=house.configured.settings.http.listen,
             ruleset=house.mind.ruleset.sha[:12], rules=len(house.mind.ruleset.rules))  # fmt: skip
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    ready.clear()
    house.hub.close()
    server.should_exit = True
    for task in [stopping, *tasks[1:]]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    if house.workers:
        await house.workers.end()
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    for holder in [*house.mind.connectors.values(), *house.helpdesks.values(), *house.calls.values(),
                   *subscribers]:  # fmt: skip
        if isinstance(holder, Closable):
            await holder.close()
    await house.look_ups.close()
    if line:
        await line.close()
    log.info("stopped")


def _stands(server: uvicorn.Server, house: House) -> bool:
    return server.started and (house.workers is None or house.workers.up)


async def free(house: House) -> None:
    """What a process had in hand when it died is free for the next, however it died and whoever is alive."""

    async def freed(holder: int) -> None:
        if many := await house.store.free(holder, house.clock.now()):
            log.warning("a process died over its work; it is done again", count=many)
            house.work.ring()

    while True:
        await house.locks.dead_holders(freed)
        await (house.workers.missed.wait() if house.workers else asyncio.sleep(1))


async def ring(house: House) -> None:
    """Timers whose moment has come enter by the journal. A clock that jumped holds them until it is settled."""
    held = False
    while True:
        jumped = abs(house.clock.jumped()) > clocks.JUMP
        if jumped and not held:
            log.warning("the clock jumped; timers are held until it is back or the gateway is restarted",
                        seconds=int(house.clock.jumped() / timedelta(seconds=1)))  # fmt: skip
        held = jumped
        if not held and await house.store.ring(house.clock.now(), 500):
            house.work.ring()
        await asyncio.sleep(1)


async def _listen(listener: Listening, door: Door) -> None:
    """A door stands open in every process; of those who would ask somebody, as at a mailbox, one does."""
    if isinstance(listener, Listener):
        settings = listener.settings
        name = f"listen-{settings.connector}-{quote(settings.account, safe='')}"
        await door.house.locks.sole(name, partial(_hear, listener, door))
    else:
        await _hear(listener, door)


async def _hear(listener: Listening, door: Door) -> None:
    """A port that cannot be had is a matter of configuration."""
    if isinstance(listener, Resuming):
        listener.resume(door.recall)
    try:
        await listener.listen(door.accept, door.refuse, door.house.clock.now)
    except OSError as e:
        name = getattr(listener, "name", type(listener).__name__)
        raise ConfigError(
            Where(name), f"cannot listen: {e.strerror or e}", "is another gateway running? choose another port"
        ) from e


def _raise_first(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            raise error


def _server(house: House, app: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", server_header=False, date_header=True,
        proxy_headers=False, ws="websockets-sansio", ws_max_size=256 * 1024, ws_per_message_deflate=False,
        timeout_graceful_shutdown=5, timeout_keep_alive=30, http=Connection,
    )  # fmt: skip
    return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: the whole house stops together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(configured: Configured) -> socket.socket:
    """The HTTP socket, bound before anything starts, so that a taken port is a clear error."""
    http = configured.settings.http
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # who takes nothing of what they are told is dropped, with all that waits
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKES_NOTHING * 1000)
    try:
        made.bind((http.host, http.port))
    except OSError as e:
        made.close()
        raise ConfigError(
            configured.document.where("http", "listen"), f"cannot listen on {http.listen}: {e.strerror}",
            "is another gateway running? choose another port",
        ) from e  # fmt: skip
    return made
