"""The moment. The only place in the house that reads a clock."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

JUMP = timedelta(minutes=5)


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant in UTC, never earlier than one returned before."""
        ...

    def jumped(self) -> timedelta:
        """How far the wall clock has moved against the monotonic one since the start."""
        ...


@dataclass(slots=True)
class SystemClock:
    """The machine's clock, held at the latest instant seen when it jumps back, so that order is kept."""

    latest: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=lambda: time.time() - time.monotonic())

    def now(self) -> datetime:
        self.latest = max(self.latest, datetime.now(UTC))
        return self.latest

    def jumped(self) -> timedelta:
        return timedelta(seconds=time.time() - time.monotonic() - self._started)

    def settle(self) -> None:
        """Take the present difference as normal from here on."""
        self._started = time.time() - time.monotonic()
