"""Who else works in this data folder. A lock the kernel gives back when a process dies, however it dies.

Leases protect against a worker that is slow or gone, but they take minutes to run out. A process that starts and finds
nobody else in its role knows that every lease there is belongs to the dead, and takes over at once. Every role holds
keys in memory, so nobody may be in any of them while the master key is changed.

Of those who take leases of lanes each has a name, so that of one who died they are free at once, whoever else is alive.
"""

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Literal

Leasing = Literal["process", "dispatch"]
Role = Literal["accept", "console"] | Leasing
LEASING: tuple[Leasing, ...] = ("process", "dispatch")
ROLES: tuple[Role, ...] = ("accept", "process", "dispatch", "console")
HOLDER = "holder-"


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


class Holder:
    """The name by which a process takes leases of lanes, and the proof that it lives. Entered once, as a context."""

    def __init__(self, folder: Path) -> None:
        self.number = secrets.randbits(62) | 1  # 0: nobody
        self._name = f"{HOLDER}{self.number}"
        self._folder = folder

    def __enter__(self) -> int:
        self._file = _lock_file(self._folder, self._name)
        while not _locked(self._file, self._path):  # between making and locking it somebody took it for a dead one's
            os.close(self._file)
            self._file = _lock_file(self._folder, self._name)
        return self.number

    def __exit__(self, *_: object) -> None:
        """Its leases stay, and whoever looks next frees them."""
        os.close(self._file)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._name}.lock"


def dead_holders(folder: Path) -> Iterator[int]:
    """Those that are gone; each is forgotten once the next is asked for."""
    for path in folder.glob(f"{HOLDER}*.lock"):
        with suppress(FileNotFoundError):  # another process was faster
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                if _locked(file, path):
                    yield int(path.stem.removeprefix(HOLDER))
                    path.unlink()
            finally:
                os.close(file)


def _locked(file: int, path: Path) -> bool:
    """Whether it is ours now, and still has that name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(file).st_ino == path.stat().st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


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
