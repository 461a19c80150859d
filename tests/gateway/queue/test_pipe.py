"""Bells between a gateway and its workers."""

import asyncio
import os
import time

from gateway.queue.pipe import Pipe


async def test_of_those_who_wait_one_hears_a_ring_and_another_the_next() -> None:
    bell = Pipe(patience=30)
    theirs = Pipe((os.dup(bell.files[0]), os.dup(bell.files[1])), patience=30)  # as another process has it
    waiting = [asyncio.create_task(one.wait()) for one in (bell, theirs)]
    await asyncio.sleep(0.01)
    bell.ring()
    done, rest = await asyncio.wait(waiting, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(rest)) == (1, 1)
    await asyncio.sleep(0.05)
    assert not any(task.done() for task in rest)
    bell.ring()
    await asyncio.wait_for(rest.pop(), 5)


async def test_rings_from_before_count_as_one() -> None:
    bell = Pipe(patience=0.2)
    for _ in range(3):
        bell.ring()
    started = time.monotonic()
    await bell.wait()
    assert time.monotonic() - started < 0.15
    await bell.wait()  # until patience ends
    assert time.monotonic() - started >= 0.2


async def test_ringing_never_waits_however_full_it_is() -> None:
    bell = Pipe(patience=30)
    for _ in range(100_000):
        bell.ring()
    await asyncio.wait_for(bell.wait(), 5)


async def test_nobody_hears_a_ring_after_the_last_process_is_gone() -> None:
    bell = Pipe()
    os.close(bell.files[0])
    bell.ring()
