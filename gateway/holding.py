"""Doing what waits, under a name by which its leases are known to be ours."""

import asyncio

from gateway.house import House
from gateway.log import log
from gateway.process import work
from gateway.running import PAUSE_AFTER_TROUBLE
from gateway.store.database import Damaged
from normalizer.errors import Unavailable


async def hold(house: House, stop: asyncio.Event | None = None) -> None:
    """Until cancelled or told to stop. If the store goes away, until it is back, and all of it is let go of."""
    async with house.locks.holder() as house.holder:
        try:
            await work(house, stop or asyncio.Event())
        except Damaged:
            raise  # what met it was tried, and is set aside in the end, so that others go on
        except Unavailable as e:
            log.error("waiting for the store", role="process", hint=e.reason)
            await _let_go(house)


async def _let_go(house: House) -> None:
    while True:
        try:
            await house.store.free(house.holder, house.clock.now(), tried=False)
            return
        except Unavailable:
            await asyncio.sleep(PAUSE_AFTER_TROUBLE)
