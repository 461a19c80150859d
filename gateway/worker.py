"""A worker: a process beside the gateway that claims what waits and makes tickets of it, and nothing else.

Python lets one thread compute at a time; so that all cores work, a gateway has a few of these. Each has the store open
by itself, and is to the others what another machine would be: leases, fences and versions keep them apart. Which rule
set decides they learn from the store, where the gateway put it. A worker ends with its gateway, however that ends.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from gateway import kernel, log, metrics, settings, wire
from gateway import mind as minds
from gateway.figures import Changes
from gateway.holding import hold
from gateway.house import House
from gateway.mind import Mind
from gateway.queue.bell import Bell, Bells
from gateway.queue.pipe import Pipe
from gateway.running import again, fastest, settle, start
from gateway.settings import Configured
from gateway.workers import ALIVE, BEAT, BEGIN, FIGURES, OURS, READY, TROUBLE, Child, Workers, deaf
from normalizer.errors import ConfigError, Unavailable

EVERY = 0.25  # seconds at least between two reports of figures
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Ends:
    """What a worker holds of the lines to its gateway."""

    channel: socket.socket
    reports: socket.socket
    work: Pipe
    owed: Pipe
    happened: Pipe

    @property
    def files(self) -> list[int]:
        pipes = (self.work, self.owed, self.happened)
        return [self.channel.fileno(), self.reports.fileno(), *(file for one in pipes for file in one.files)]

    @classmethod
    def of(cls, files: Sequence[int]) -> "Ends":
        channel, reports, *pipes = files
        work, owed, happened = (Pipe((pipes[at], pipes[at + 1])) for at in (0, 2, 4))
        return cls(socket.socket(fileno=channel), socket.socket(fileno=reports), work, owed, happened)


def hired(configured: Configured, roles: frozenset[str]) -> Workers | None:
    """The workers of a gateway in these roles, still to begin; None if it does their work itself.

    Forks, and so must come before any thread, loop or connection. Raises ConfigError.
    """
    many = configured.settings.worker_count if "process" in roles else 0
    if not many:
        return None
    made = _prepared(configured)
    if threading.active_count() > 1:
        log.log.warning("threads run already; no worker processes beside them", count=threading.active_count())
        return None
    reports, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    telling.setblocking(False)
    pipes = (Pipe(), Pipe(), Pipe())
    children: dict[int, Child] = {}
    for number in range(1, many + 1):
        children[number] = _forked(configured, made, number, (telling, *pipes), [reports, *_channels(children)])
    spawn = partial(_spawned, configured, telling, pipes)
    bells = None if configured.settings.redis.url else Bells(*pipes)
    return Workers(children, reports, made, bells, spawn)


def _channels(children: dict[int, Child]) -> list[socket.socket]:
    return [child.channel for child in children.values()]


def _prepared(configured: Configured) -> Mind | None:
    """All that is to be shared is imported and read, and then left alone. What decides, if files say so."""
    made = minds.read(configured) if configured.settings.rules.source == "files" else None
    wire.helpdesks(configured)
    wire.calls(configured)
    fastest()
    gc.collect()
    gc.freeze()
    return made


def _forked(
    configured: Configured, made: Mind | None, number: int, lines: tuple[socket.socket, Pipe, Pipe, Pipe],
    outside: Sequence[socket.socket],
) -> Child:  # fmt: skip
    """`outside` is what only the gateway keeps open: a channel whose other end another worker has tells of no death."""
    here, there = socket.socketpair()
    with deaf():
        pid = os.fork()
        if not pid:
            for one in (here, *outside):
                one.close()
            _live(configured, made, number, Ends(there, *lines))
    there.close()
    return Child(number, pid, here, lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _spawned(configured: Configured, telling: socket.socket, pipes: tuple[Pipe, Pipe, Pipe], number: int) -> Child:
    """One that takes a dead one's place."""
    here, there = socket.socketpair()
    files = Ends(there, telling, *pipes).files
    told = [str(configured.document.file), str(number), *map(str, files)]
    env = {name: value for name, value in os.environ.items() if name != "TICKETGATE_FAULT"}  # it has come by
    with there, deaf():
        command = [sys.executable, "-m", "gateway.worker", *told]
        made = subprocess.Popen(command, pass_fds=files, env=env)  # noqa: S603, ourselves
    return Child(number, made.pid, here, made.wait)


def _live(configured: Configured, made: Mind | None, number: int, ends: Ends) -> NoReturn:
    """In the worker, to its end: nothing of what its parent was about to do happens here a second time."""
    code = 1
    try:
        log.configure(level=configured.settings.log_level, worker=number)
        for name in OURS:
            signal.signal(name, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
        if sys.platform == "linux":  # at once, even if we hear nothing
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if ends.channel.recv(1) == BEGIN:
            code = start(_Worker(configured, made, number, ends).run())
    except BaseException as e:
        log.log.error("a worker failed", exc_info=e)
    finally:
        os._exit(code)


class _Worker:
    """What one has of its own."""

    def __init__(self, configured: Configured, made: Mind | None, number: int, ends: Ends) -> None:
        self.configured, self.mind, self.number, self.ends = configured, made, number, ends
        by_redis = bool(configured.settings.redis.url)
        own = wire.bells(configured) if by_redis else Bells(ends.work, ends.owed, ends.happened)
        self.done = Heard(own.happened)
        self.bells = replace(own, happened=self.done)
        self.changes = Changes(metrics.registry)
        self.stop = asyncio.Event()

    async def run(self) -> int:
        """An exit code: 0 if there is nothing wrong."""
        asyncio.get_running_loop().add_reader(self.ends.channel, self._told)
        self.locks = wire.locks(self.configured)
        presence = self.locks.presence("process")
        try:
            presence.enter()
            presence.stay()
            await self._work()
        except (ConfigError, Unavailable) as e:
            log.log.error("a worker cannot start", where=str(getattr(e, "where", "")), hint=str(e))
            self._tell(TROUBLE, str(e).encode()[:1000])
            return 1
        finally:
            presence.leave()
            self.locks.close()
        return 0

    async def _work(self) -> None:
        house = await wire.house(self.configured, known=self.mind, lines=self.bells, worker=True, alone=self.locks)
        settle()
        try:
            self._tell(READY, b"")
            await self._until_stopped(house)
        finally:
            self._report()
            await house.look_ups.close()
            if self.bells.line:
                await self.bells.line.close()
            await house.store.close()

    async def _until_stopped(self, house: House) -> None:
        beside = [
            asyncio.create_task(again("rules", house.rules.follow)),
            asyncio.create_task(again("locks", house.locks.keep)),
            asyncio.create_task(self._report_always()),
            asyncio.create_task(self._live_on()),
            asyncio.create_task(self._wear()),
            *([asyncio.create_task(again("bells", line.keep))] if (line := self.bells.line) else []),
        ]
        try:
            await again("process", lambda: hold(house, self.stop), self.stop)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _told(self) -> None:
        """To stop in order; or nobody is there any more."""
        if not self.ends.channel.recv(1):
            os._exit(1)
        self.stop.set()

    async def _report_always(self) -> None:
        while True:
            await self.done.something.wait()
            self.done.something.clear()
            self._report()
            await asyncio.sleep(EVERY)

    async def _live_on(self) -> None:
        while True:
            self._tell(ALIVE, b"")
            await asyncio.sleep(BEAT)

    def _report(self) -> None:
        for report in self.changes.reports():
            if not self._tell(FIGURES, report):
                return

    def _tell(self, what: bytes, said: bytes) -> bool:
        """False if nobody listens just now: the next time, then."""
        try:
            self.ends.reports.send(bytes([self.number]) + what + said)
        except OSError:
            return False
        return True

    async def _wear(self) -> None:
        await kernel.wear(self.configured)
        self.stop.set()


class Heard:
    """A bell, and whether anything was done since the last report."""

    def __init__(self, bell: Bell) -> None:
        self.something = asyncio.Event()
        self._bell = bell

    def ring(self) -> None:
        self.something.set()
        self._bell.ring()

    async def wait(self) -> None:
        await self._bell.wait()


def main() -> None:
    """CONFIG NUMBER FILE...: in place of one that died."""
    config, number, *files = sys.argv[1:]
    ends = Ends.of([*map(int, files)])
    configured = settings.read(Path(config))
    _live(configured, None, int(number), ends)


if __name__ == "__main__":
    main()
