"""Asking Telegram for updates, so that none is lost: one is forgotten there only when it is on disk here.

    ask -> accept(updates, cursor) -> ask on, which makes Telegram forget them

The cursor says how far we have come. It is of use after a crash between the two, and only for some days: after a week
of silence Telegram begins to count somewhere else (core.telegram.org/bots/api#update), and an offset beyond that would
pass over what waits. Hence an offset is named once, to confirm; otherwise we ask for whatever waits.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import structlog

from connectors.base import Accept, Clock, Cursor, Recall
from connectors.reading import moment
from connectors.telegram_calls import Elsewhere
from connectors.telegram_updates import key_of, lane_of
from normalizer.canon import Envelope
from normalizer.errors import SendingError, Unavailable

WAIT = 50  # seconds that Telegram holds an answer back while there is none
OF_USE = timedelta(days=6)  # a cursor
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds
ELSEWHERE = "run deleteWebhook or leave out polling, and let no other program ask with this token"

Updates = Callable[[int, int], Awaitable[Sequence[Any]]]

log = structlog.get_logger("ticketgate")


class Polling:
    """One account's."""

    def __init__(self, connector: str, account: str, bot: str, updates: Updates) -> None:
        self._connector, self._account, self._updates = connector, account, updates
        self.cursor = f"{connector}/{account}/{bot}"
        self._trouble = ""

    async def keep(self, accept: Accept, clock: Clock, recall: Recall | None) -> None:
        """Ask until cancelled; after trouble again, each time later."""
        offset, pause = None, 0.0
        while True:
            try:
                offset = await self._begun(clock, recall) if offset is None else offset
                offset = await self._ask(offset, accept, clock)
            except SendingError as error:
                self._tell(error)
            except Exception as error:
                self._tell(Unavailable(f"unforeseen {type(error).__name__}"), error)
            else:
                self._well()
                pause = 0.0
                continue
            pause = min(LONGEST_PAUSE, pause * 2 or FIRST_PAUSE)
            await asyncio.sleep(pause)

    async def _begun(self, clock: Clock, recall: Recall | None) -> int:
        """Where an earlier run stopped; 0 if that is not known, or of no use any more."""
        last, _, kept_at = (await recall(self.cursor) if recall else "").partition(" ")
        at = moment(kept_at)
        return int(last) + 1 if last.isdecimal() and at and clock() - at < OF_USE else 0

    async def _ask(self, offset: int, accept: Accept, clock: Clock) -> int:
        """The offset to ask with next."""
        found = await self._updates(offset, WAIT)
        if not found:
            return 0
        last = max(one["update_id"] for one in found)
        await accept(
            [self._envelope(one, clock) for one in found], Cursor(self.cursor, f"{last} {clock().isoformat()}")
        )
        return int(last) + 1

    def _envelope(self, update: Any, clock: Clock) -> Envelope:
        # Plain json: it also writes what is no proper text, so that nothing Telegram sends holds up what is behind it.
        body = json.dumps(update).encode()
        way = {"method": "getUpdates"}
        return Envelope(self._connector, self._account, key_of(body), lane_of(body), clock(), body, way)

    def _tell(self, error: SendingError, cause: Exception | None = None) -> None:
        """Once, and again when it is something else."""
        if error.reason != self._trouble:
            hint = f"{error.reason}: {ELSEWHERE}" if isinstance(error, Elsewhere) else error.reason
            log.warning("Telegram gives no updates; asking again", connector=self._connector, account=self._account,
                        hint=hint, exc_info=cause)  # fmt: skip
        self._trouble = error.reason

    def _well(self) -> None:
        if self._trouble:
            log.info("Telegram gives updates again", connector=self._connector, account=self._account)
        self._trouble = ""
