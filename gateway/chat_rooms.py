"""Who looks at which conversation, and is woken when something may have happened in it.

One follower of the feed for all of them, and only while somebody looks. A seat that is woken looks into the store:
being woken for nothing does no harm, and what another process did counts like our own doing.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Set
from contextlib import contextmanager

from gateway.events import Hub
from gateway.log import log
from gateway.store import feed
from gateway.store.work import Event
from normalizer.errors import Unavailable

TOGETHER = 0.03  # seconds in which events are gathered, so that a burst is one look-up


class Seat:
    """Somebody's place in a conversation. `closed`: the house is closing."""

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.numbers: Set[str] = frozenset()  # of the tickets seen from it
        self.closed = False
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, seconds: float) -> bool:
        """Until woken, or for so long: then False."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class Rooms:
    """The seats of this process."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self._seats: defaultdict[str, set[Seat]] = defaultdict(set)
        self._tasks: list[asyncio.Task[None]] = []
        self._happened: list[Event] = []
        self._something = asyncio.Event()

    @contextmanager
    def seat(self, whose: str) -> Iterator[Seat]:
        """A seat for who has this identity (`Store.named`). It is woken once by itself: what came before counts too."""
        made = Seat(whose)
        made.wake()
        self._seats[whose].add(made)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._again(self._follow)), asyncio.create_task(self._again(self._look))]
        try:
            yield made
        finally:
            self._seats[whose].discard(made)
            if not self._seats[whose]:
                del self._seats[whose]
            if not self._seats:
                for task in self._tasks:
                    task.cancel()
                self._tasks = []

    async def _again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever goes wrong, who is seated goes on hearing."""
        while not self.hub.closed:
            try:
                await work()
            except Unavailable as e:
                log.error("waiting for the store", role="chat", hint=e.reason)
            except Exception as e:
                log.error("worker failed; starting it again", role="chat", exc_info=e)
            await asyncio.sleep(0 if self.hub.closed else 1)

    async def _follow(self) -> None:
        latest = (await self.hub.store.event_bounds())[1]
        self._wake(self._everybody())  # who came before we listened
        async for event in self.hub.follow(latest):
            if event and event.number:
                self._happened.append(event)
                self._something.set()
        for seat in self._everybody():
            seat.closed = True
        self._wake(self._everybody())

    async def _look(self) -> None:
        while True:
            await self._something.wait()
            await asyncio.sleep(TOGETHER)
            self._something.clear()
            happened, self._happened = self._happened, []
            numbers = {event.number for event in happened}
            self._wake(seat for seat in self._everybody() if seat.numbers & numbers)
            said = [event.thing for event in happened if event.kind == feed.ADDED]
            for whose in await self.hub.store.concerned(sorted(numbers), said) & self._seats.keys():
                self._wake(self._seats[whose])

    def _everybody(self) -> list[Seat]:
        return [seat for seats in self._seats.values() for seat in seats]

    @staticmethod
    def _wake(seats: Iterable[Seat]) -> None:
        for seat in seats:
            seat.wake()
