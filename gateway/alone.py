"""Who else works in this data folder. A lock the kernel gives back when a process dies, however it dies.

Leases protect against a worker that is slow or gone, but they take minutes to run out. A process that starts and finds
nobody else in its role knows that every lease there is belongs to the dead, and takes over at once. Every role holds
keys in memory, so nobody may be in any of them while the master key is changed.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Literal

Leasing = Literal["process", "dispatch"]
Role = Literal["accept", "console"] | Leasing
LEASING: tuple[Leasing, ...] = ("process", "dispatch")
ROLES: tuple[Role, ...] = ("accept", "process", "dispatch", "console")


class Presence:
    """Held by every process in a role for as long as it lives."""

    def __init__(self, folder: Path, role: Role) -> None:
        self.role: Role = role
        self._file = _lock_file(folder, role)

    def enter(self) -> bool:
        """Come in; True if nobody else is in this role, so that what was leased in it may be taken over."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._file, fcntl.LOCK_SH)
            return False
        return True

    def stay(self) -> None:
        """Let others of this role in, once the taking over is done."""
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def leave(self) -> None:
        os.close(self._file)


@contextmanager
def nobody(folder: Path) -> Iterator[bool]:
    """Whether no process is in any role; if so, none comes in before the end."""
    presences = [Presence(folder, role) for role in ROLES]
    try:
        yield all(presence.enter() for presence in presences)
    finally:
        for presence in presences:
            presence.leave()


@asynccontextmanager
async def opening(folder: Path) -> AsyncIterator[None]:
    """One process at a time: a folder that is being made, upgraded or given new keys is opened by others after that."""
    file = _lock_file(folder, "opening")
    try:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


@asynccontextmanager
async def sole(folder: Path, name: str) -> AsyncIterator[None]:
    """Once no other process is in this; they wait until it ends, however it ends."""
    file = _lock_file(folder, name)
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(1)
        yield
    finally:
        os.close(file)


def _lock_file(folder: Path, name: str) -> int:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
