"""How a process of ours runs: its loop, and its workers, which are started again when they fail."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gateway.log import log
from normalizer.errors import Unavailable

PAUSE_AFTER_TROUBLE = 1.0

T = TypeVar("T")


def start(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest loop there is."""
    with asyncio.Runner(loop_factory=fastest()) as runner:
        return runner.run(main)


def fastest() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def settle() -> None:
    """All that stays is there: from now on nearly all that is made goes by itself.

    Looking for the rest can wait, and walking rules, models and tables at each full collection costs 0.1 ms a mail.
    """
    gc.set_threshold(10_000, 20, 20)
    gc.freeze()


async def again(role: str, start: Callable[[], Awaitable[None]], stop: asyncio.Event | None = None) -> None:
    """Keep a worker running. A store that is unavailable (disk full) is waited for."""
    while stop is None or not stop.is_set():
        try:
            await start()
            if stop and stop.is_set():
                return
        except Unavailable as e:
            log.error("waiting for the store", role=role, hint=e.reason)
        except Exception as e:
            log.error("worker failed; starting it again", role=role, exc_info=e)
        await asyncio.sleep(PAUSE_AFTER_TROUBLE)
