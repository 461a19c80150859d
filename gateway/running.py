"""How a process of ours runs: its loop, and its workers, which are started again when they fail."""

import asyncio
import faulthandler
import gc
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from gateway.log import log
from normalizer.errors import Unavailable

PAUSE_AFTER_TROUBLE = 1.0
HANGS = 60.0  # seconds in which a loop does not come round
BEAT = 5.0  # seconds between two signs of its life
STDERR = 2

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


async def alive() -> None:
    """End the process, with exit code 1 and a word on stderr about where each thread stood, once its loop hangs.

    What it took in is kept and what it had in hand is done again, but as long as it only hangs nobody begins anew. The
    watch is the interpreter's own and needs no lock of it: a native call that never returns does not stop it either.
    """
    try:
        while True:
            faulthandler.dump_traceback_later(HANGS, exit=True, file=STDERR)
            await asyncio.sleep(BEAT)
    finally:
        faulthandler.cancel_dump_traceback_later()


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
