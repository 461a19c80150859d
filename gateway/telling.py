"""Systems that are told what happens: the feed, posted in batches, each signed and again until it is taken.

A subscriber has a cursor of its own in the store: up to where it has heard, and while a batch is under way where that
ends. It moves on only once the batch was taken. So nothing is left out, and what is told again, after a restart too, is
the same batch under the same id. It begins with what happens from its first start on. One that was away for longer than
events are kept (a week) is told `missed` first, and should look anew.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from connectors.base import Cursor
from connectors.calls import Subscriber
from gateway import metrics
from gateway.house import House
from gateway.log import log
from gateway.store.work import Event
from normalizer.errors import Refused, Unavailable

MISSED = "missed"
PAGE = 100  # events in a batch
PATIENCE = 1.0  # seconds between looks at a quiet feed
LONGEST_WAIT = timedelta(minutes=5)


async def tell(house: House, subscriber: Subscriber) -> None:
    """Until cancelled. Of several processes one tells; when it ends another goes on."""
    await house.locks.sole(f"events-{subscriber.settings.name}", partial(_tell, house, subscriber))


async def _tell(house: House, subscriber: Subscriber) -> None:
    name = f"events:{subscriber.settings.name}"
    failures = 0
    while True:
        page = await _page(house, name)
        if not page:
            await asyncio.sleep(PATIENCE)
            continue
        try:
            if wanted := [_told(one) for one in page if one.kind == MISSED or subscriber.wants(one.kind)]:
                await subscriber.tell(wanted, house.clock.now())
        except (Unavailable, Refused) as e:
            failures += 1
            metrics.events_told.labels(subscriber.settings.name, "failed").inc()
            log.warning("events are not taken", target=subscriber.settings.name, hint=e.reason, attempts=failures)
            wait = getattr(e, "wait", None) or timedelta(seconds=2 ** min(failures, 10))
            await asyncio.sleep(min(LONGEST_WAIT, wait).total_seconds())
        else:
            failures = 0
            metrics.events_told.labels(subscriber.settings.name, "taken").inc(len(page))
            await _move(house, name, str(page[-1].seq))


async def _page(house: House, name: str) -> list[Event]:
    """The batch under way, else the next one, kept as such; who is new begins with the present."""
    oldest, latest = await house.store.event_bounds()
    cursor = await house.store.cursor(name)
    if cursor is None:
        await _move(house, name, str(latest))
        return []
    heard, _, end = cursor.partition("-")
    after = int(heard)
    if after < oldest - 1:
        return [Event(oldest - 1, house.clock.now(), MISSED, "", "", 0)]
    page = await house.store.events(after, PAGE) if after < latest else []
    if end:
        return [event for event in page if event.seq <= int(end)]
    if page:
        await _move(house, name, f"{after}-{page[-1].seq}")
    return page


async def _move(house: House, name: str, cursor: str) -> None:
    await house.store.journal([], house.clock.now(), Cursor(name, cursor))


def _told(event: Event) -> Mapping[str, Any]:
    return {"id": event.seq, "event": event.kind, "at": event.at, "number": event.number, "thing": event.thing,
            "version": event.version}  # fmt: skip
