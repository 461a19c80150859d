"""A line to a vendor that we hold open: called again after any trouble, each time later; what is wrong is told once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import structlog
from websockets.exceptions import WebSocketException

from normalizer.errors import SendingError

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds

# At DEBUG it logs the address, which holds the ticket.
logging.getLogger("websockets").setLevel(logging.INFO)

log = structlog.get_logger("ticketgate")


class Held:
    """One account's line."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._trouble, self._pause = "", 0.0

    async def keep(self, hold: Callable[[], Awaitable[None]]) -> None:
        """Hold the line until cancelled. `hold` calls, says `well` once it is through, and returns when that ends."""
        while True:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            try:
                await hold()
                self._pause = FIRST_PAUSE
            except SendingError as error:
                self._tell(error.reason)
            except (OSError, WebSocketException) as error:
                self._tell(f"the line broke: {type(error).__name__}")
            except Exception as error:
                self._tell(f"unforeseen {type(error).__name__}", error)
            await asyncio.sleep(self._pause)

    def well(self) -> None:
        if self._trouble:
            log.info("the line is open again", account=self._account)
        self._trouble, self._pause = "", FIRST_PAUSE

    def _tell(self, reason: str, cause: Exception | None = None) -> None:
        """Once, and again when it is something else."""
        if reason != self._trouble:
            log.warning("no line; calling again", account=self._account, hint=reason, exc_info=cause)
        self._trouble = reason
