"""Who wants to hear at once what happens: followers of the feed, woken together.

One reader asks the store, for all of them, and only while there is one. Nothing is kept for a follower: each reads at
its own pace, from what was read last or, if it fell behind or was away, from the store again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from gateway.log import log
from gateway.queue.bell import Bell
from gateway.store.store import Store
from gateway.store.work import Event
from normalizer.errors import Unavailable

HEARTBEAT = 15.0  # seconds of silence
PAGE = 200
RECENT = 1000
MOST = 200  # followers


class Hub:
    """`ring` whenever something may have happened; `close` ends every follower."""

    def __init__(self, store: Store, bell: Bell) -> None:
        self.store, self.bell = store, bell
        self.closed = False
        self.followers = 0
        self._recent: deque[Event] = deque(maxlen=RECENT)
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    def ring(self) -> None:
        self.bell.ring()

    def close(self) -> None:
        self.closed = True
        self._wake()

    @property
    def full(self) -> bool:
        return self.followers >= MOST

    async def follow(self, after: int) -> AsyncIterator[Event | None]:
        """What happened after this event, and what happens; None after each HEARTBEAT of silence."""
        with self._following():
            while not self.closed:
                changed = self._changed
                page = await self._after(after)
                for event in page:
                    yield event
                    after = event.seq
                if not page and not await _within(HEARTBEAT, changed):
                    yield None

    async def _after(self, seq: int) -> list[Event]:
        if self._recent and self._recent[0].seq <= seq + 1:
            return [event for event in self._recent if event.seq > seq]
        return await self.store.events(seq, PAGE)

    @contextmanager
    def _following(self) -> Iterator[None]:
        self.followers += 1
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        try:
            yield
        finally:
            self.followers -= 1
            if not self.followers and self._reader:
                self._reader.cancel()
                self._reader = None
                self._recent.clear()

    async def _read(self) -> None:
        last = -1
        while True:
            try:
                last = (await self.store.event_bounds())[1] if last < 0 else last
                page = await self.store.events(last, PAGE)
            except Unavailable as e:
                log.error("waiting for the store", role="events", hint=e.reason)
                page = []
            if page:
                last = page[-1].seq
                self._recent.extend(page)
                self._wake()
            else:
                await self.bell.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def _within(seconds: float, event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
