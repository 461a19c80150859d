"""The search index, kept up with what is committed, and the feed of events, kept short; beside all other work.

It takes a share of the time, however much there is to do: a folder of an older version is indexed in minutes while mail
goes on, and in a storm the index comes a little later.
"""

import asyncio
import time
from datetime import datetime

from gateway.house import House
from gateway.log import log
from gateway.store import feed

IDLE = 1.0  # seconds between looks; a search catches up by itself
SHARE = 8  # it rests so many times as long as it worked


async def index(house: House) -> None:
    """Follow what happens, and work off what came before the index; until cancelled."""
    pruned: datetime | None = None
    earlier = 0
    while True:
        started = time.perf_counter()
        if pruned is None or house.clock.now() - pruned > feed.KEPT / 168:
            pruned = house.clock.now()
            await house.store.prune_events(pruned - feed.KEPT)
        busy = await house.store.catch_up()
        if not busy and (done := await house.store.index_earlier()):
            if not earlier:
                log.info("indexing the tickets that were there before the search index")
            earlier, busy = earlier + done, True
        elif not busy and earlier:
            log.info("every ticket can be searched now", tickets=earlier)
            earlier = 0
        await asyncio.sleep((time.perf_counter() - started) * SHARE if busy else IDLE)
