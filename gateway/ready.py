"""Whether messages can be kept just now: tried for real, but seldom, however many ask."""

import asyncio
import time

from gateway.store.room import try_out
from gateway.store.store import Store
from normalizer.errors import Unavailable

PAUSE = 3.0  # seconds between two trials
PATIENCE = 5.0  # seconds for one


class Readiness:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._turn = asyncio.Lock()
        self._again_at = 0.0
        self._reason = ""

    async def trouble(self) -> str:
        """Why nothing can be kept; empty if all is well. At most PAUSE seconds old."""
        async with self._turn:
            if time.monotonic() >= self._again_at:
                self._reason = await self._tried()
                self._again_at = time.monotonic() + PAUSE
            return self._reason

    async def _tried(self) -> str:
        try:
            async with asyncio.timeout(PATIENCE):
                await try_out(self.store.database, self.store.blobs)
        except Unavailable as e:
            return e.reason
        except TimeoutError:
            return f"nothing was written within {PATIENCE:.0f} s"
        return ""
