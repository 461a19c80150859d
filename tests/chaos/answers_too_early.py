"""A gateway broken on purpose: it answers before the commit. The storm must catch it."""

import asyncio
from collections.abc import Sequence

from connectors.base import Cursor
from gateway.accept import Door
from gateway.cli import main
from normalizer.canon import Envelope

honest = Door.accept
later: set[asyncio.Task[None]] = set()


async def hasty(self: Door, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
    async def after_a_while() -> None:
        await asyncio.sleep(0.3)
        await honest(self, envelopes, cursor)

    later.add(asyncio.create_task(after_a_while()))


Door.accept = hasty  # type: ignore[method-assign]
main()
