"""Bells: "there is work". They say no more: whose turn it is, and whether it was done, the store says.

    accept  --work-->  process  --owed-->  dispatch
    everybody  --happened-->  whoever shows it to people

A ring may get lost, and one may come for nothing: who waits looks by itself every `patience` seconds too.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

PATIENCE = 1.0  # seconds


class Bell(Protocol):
    """Of the workers that wait for `work` or `owed` one is enough to be woken; for `happened` it is everybody."""

    def ring(self) -> None:
        """Never fails, and never waits."""

    async def wait(self) -> None:
        """Until it rings, or patience ends. A ring from before counts."""


class Here:
    """Heard in this process alone."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        try:
            async with asyncio.timeout(self.patience):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()


class Line(Protocol):
    """What bells need that are heard elsewhere."""

    server: str  # where
    up: bool  # whether they are, just now

    async def keep(self) -> None:
        """Keep it up, until cancelled. What becomes of it, good or bad, is no trouble of who rings or waits."""

    async def try_out(self) -> str:
        """Ring and hear. Returns which server did; raises Unavailable."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bells:
    """Those of one process, and what they hang on."""

    work: Bell = field(default_factory=Here)  # something was journalled
    owed: Bell = field(default_factory=Here)  # something is to be sent
    happened: Bell = field(default_factory=Here)  # the feed went on
    line: Line | None = None
