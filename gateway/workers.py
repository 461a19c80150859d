"""The worker processes of a gateway, as seen from it: begun, heard, replaced when they die, stopped after the doors.

    channel   to each: begin, and stop. Its end, seen from either side, is the other's death
    reports   from all of them: ready, alive, figures, trouble
    bells     between all of them

The first ones are forked before the gateway has any thread, loop or connection: what was imported and read is shared.
Those that take a dead one's place are started afresh, since nothing may be forked later.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from gateway import metrics
from gateway.figures import Together
from gateway.log import log
from gateway.mind import Mind
from gateway.queue.bell import Bells, Here
from normalizer.errors import ConfigError, Where

BEGIN, STOP = b"b", b"s"  # what a worker is told
READY, ALIVE, FIGURES, TROUBLE = b"r", b"a", b"f", b"t"  # how its reports begin, after its number
LARGEST = 200_000  # octets of a report
SOON, LATE = 0.1, 30.0  # seconds until one that died is replaced: the first time, and at the most
WELL = 60.0  # seconds of life after which a death is the first again
PAUSE = 30.0  # seconds without any worker that are no trouble yet: the doors keep what comes in
PATIENCE = 15.0  # seconds for what is under way when all are to stop
BEAT = 5.0  # seconds between two reports of one that does nothing else
SILENT = 12  # beats: who says nothing so long hangs. What it holds, others wait for
OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # the gateway tells its workers, whoever else is sent these


@dataclass(frozen=True, slots=True)
class Child:
    number: int
    pid: int
    channel: socket.socket
    wait: Callable[[], int]  # for its exit code; blocks
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class Workers:
    """They process what waits; the gateway does everything else. `spawn` makes another one, by its number."""

    children: dict[int, Child]
    reports: socket.socket  # each whole
    mind: Mind | None  # what was read before they were forked, where files say what decides
    bells: Bells | None  # between them and us, unless another line has them
    spawn: Callable[[int], Child]
    missed: Here = field(default_factory=Here)  # rung when one has ended
    _ready: set[int] = field(default_factory=set)
    _failed: dict[int, str] = field(default_factory=dict)  # why those that never were ready ended
    _deaths: dict[int, int] = field(default_factory=dict)
    _silent: dict[int, int] = field(default_factory=dict)  # beats since it was heard
    _down: float | None = field(default_factory=time.monotonic)  # since when none is ready
    _stopping: bool = False
    _following: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def up(self) -> bool:
        return bool(self._ready)

    def trouble(self) -> str:
        """Why nothing is processed; empty if it is, or will be in a moment."""
        gone = self._down is not None and time.monotonic() - self._down > PAUSE
        return "no worker process is running; see the log" if gone else ""

    async def keep(self) -> None:
        """Begin, and look after them until cancelled. Raises ConfigError if not one of the first can start."""
        self.reports.setblocking(False)
        asyncio.get_running_loop().add_reader(self.reports, self._hear)
        many = len(self.children)
        for child in list(self.children.values()):
            self._begin(child)
        while not self.up:
            if len(self._failed) == many:
                why = "; ".join(sorted(set(self._failed.values())))
                raise ConfigError(Where("workers"), f"no worker process can start: {why}", "see the log")
            await asyncio.sleep(0.01)
        while True:
            await asyncio.sleep(BEAT)
            self._hear()
            self._end_silent()

    async def end(self) -> None:
        """Let each finish what is under way; none of them is left when this returns."""
        self._stopping = True
        for child in self.children.values():
            with suppress(OSError):
                child.channel.send(STOP)
        if self._following:
            await asyncio.wait(self._following, timeout=PATIENCE)
        for child in self.children.values():
            os.kill(child.pid, signal.SIGKILL)
        await asyncio.gather(*self._following)
        asyncio.get_running_loop().remove_reader(self.reports)
        self.reports.close()

    def _begin(self, child: Child) -> None:
        self.children[child.number] = child
        with suppress(OSError):  # it is dead already
            child.channel.send(BEGIN)
        task = asyncio.create_task(self._follow(child))
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, child: Child) -> None:
        """Until it has ended; and then, unless all are to stop, until another is in its place."""
        child.channel.setblocking(False)
        with suppress(OSError):
            await asyncio.get_running_loop().sock_recv(child.channel, 1)
        code = await asyncio.to_thread(child.wait)
        child.channel.close()
        self._missed(child, code)
        pause = self._pause(child, code)
        while not self._stopping:
            await asyncio.sleep(pause)
            if self._replaced(child.number):
                return
            pause = LATE

    def _end_silent(self) -> None:
        """Beats are counted and no time: where all were stopped for a while, nobody is blamed for it."""
        for number in self._ready:
            self._silent[number] = beats = self._silent.get(number, 0) + 1
            if beats > SILENT:
                pid = self.children[number].pid
                log.error("a worker hangs; it is killed", worker=number, pid=pid, seconds=int(beats * BEAT))
                os.kill(pid, signal.SIGKILL)

    def _replaced(self, number: int) -> bool:
        """False if no process can be had just now."""
        try:
            if not self._stopping:
                self._begin(self.spawn(number))
        except OSError as e:
            log.error("a worker cannot be started", worker=number, exc_info=e)
            return False
        return True

    def _missed(self, child: Child, code: int) -> None:
        self._hear()  # what it said before
        whole.forget(child.number)
        del self.children[child.number]
        if child.number not in self._ready:
            self._failed.setdefault(child.number, f"it ended with {code}")
        self._ready.discard(child.number)
        self._count()
        self.missed.ring()
        if not self._stopping:
            metrics.workers_replaced.inc()
            hint = "another takes its place; what it had in hand is done again"
            told = log.warning if code else log.info
            told("a worker ended", worker=child.number, pid=child.pid, status=code, hint=hint)

    def _pause(self, child: Child, code: int) -> float:
        """How long until another takes its place. One that ended by itself (0) only wants to begin afresh."""
        if not code:
            return 0.0
        lasted = time.monotonic() - child.since > WELL
        self._deaths[child.number] = deaths = 1 if lasted else self._deaths.get(child.number, 0) + 1
        return float(min(LATE, SOON * 2 ** (deaths - 1)))

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while report := self.reports.recv(LARGEST):
                self._heard(report[0], report[1:2], report[2:])

    def _heard(self, worker: int, what: bytes, said: bytes) -> None:
        self._silent[worker] = 0
        if what == FIGURES:
            whole.hear(worker, said)
        elif what == TROUBLE:
            self._failed[worker] = said.decode()
        elif what == READY and worker in self.children:
            self._ready.add(worker)
            self._failed.pop(worker, None)
            self._count()
            log.info("a worker is ready", worker=worker, pid=self.children[worker].pid)

    def _count(self) -> None:
        metrics.workers.set(len(self._ready))
        self._down = None if self._ready else self._down or time.monotonic()


whole = Together(metrics.registry)  # our own figures and theirs


@contextmanager
def deaf() -> Iterator[None]:
    """What is sent meanwhile arrives afterwards; who is made meanwhile is born deaf too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
