"""Bells between a gateway and its worker processes: pipes. A ring is a byte, and who hears it takes them all."""

import asyncio
import os
from contextlib import suppress

from gateway.queue.bell import PATIENCE

ALL = 65536  # what a pipe holds


class Pipe:
    """Of those who wait one hears a ring, and who is busy none; a ring that nobody heard yet takes no second one."""

    def __init__(self, files: tuple[int, int] | None = None, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.files = files or os.pipe()
        self._hearing, self._ringing = self.files
        for file in self.files:
            os.set_blocking(file, False)

    def ring(self) -> None:
        with suppress(OSError):  # it is full of rings, or whoever heard them is gone
            os.write(self._ringing, b"!")

    async def wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while not self._heard():
                    await self._something()

    def _heard(self) -> bool:
        try:
            return bool(os.read(self._hearing, ALL))
        except BlockingIOError:  # another was faster
            return False

    async def _something(self) -> None:
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._hearing, rung.set)
        try:
            await rung.wait()
        finally:
            loop.remove_reader(self._hearing)
