"""Who else works in this data folder. A lock that is given back when a process dies, however it dies.

Leases protect against a worker that is slow or gone, but they take minutes to run out. A process that starts and finds
nobody else in its role knows that every lease there is belongs to the dead, and takes over at once. Every role holds
keys in memory, so nobody may be in any of them while the master key is changed.

Of those who take leases of lanes each has a name, so that of one who died they are free at once, whoever else is alive.

The kernel keeps the locks of one machine, as files in the data folder; PostgreSQL those of all machines that share a
database (store/advisory.py).
"""

import asyncio
import fcntl
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

from normalizer.errors import ConfigError, Where

Leasing = Literal["process", "dispatch"]
Role = Literal["accept", "console"] | Leasing
LEASING: tuple[Leasing, ...] = ("process", "dispatch")
ROLES: tuple[Role, ...] = ("accept", "process", "dispatch", "console")
HOLDER = "holder-"
PATIENCE = 1.0  # seconds between two tries to be the only one


class Presence(Protocol):
    """Held by every process in a role for as long as it lives."""

    role: Role

    def enter(self) -> bool:
        """Come in; True if nobody else is in this role, so that what was leased in it may be taken over."""

    def stay(self) -> None:
        """Let others of this role in, once the taking over is done."""

    def leave(self) -> None: ...


class Locks(ABC):
    """Those of one process, until `close`."""

    @abstractmethod
    def presence(self, role: Role) -> Presence: ...

    @abstractmethod
    def holder(self) -> AbstractAsyncContextManager[int]:
        """A name by which to take leases of lanes, and the proof that who took them lives. They stay afterwards."""

    @abstractmethod
    async def dead_holders(self, free: Callable[[int], Awaitable[None]]) -> None:
        """Call `free` for each that is gone, and forget it."""

    @abstractmethod
    async def sole(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        """Run `body` once no other process runs one of this name; they wait until it ends, however it ends.

        Should another have come in meanwhile, as after the server that keeps the locks was away, it is cancelled and
        begun anew once it is alone again.
        """

    @abstractmethod
    async def keep(self) -> None:
        """Until cancelled: see to it that what is held stays so."""

    @abstractmethod
    def close(self) -> None: ...

    @contextmanager
    def nobody(self) -> Iterator[bool]:
        """Whether no process is in any role; if so, none comes in before the end."""
        presences = [self.presence(role) for role in ROLES]
        try:
            yield all(presence.enter() for presence in presences)
        finally:
            for presence in presences:
                presence.leave()


def fresh_holder() -> int:
    """A name nobody has; 0 is nobody's."""
    return secrets.randbits(62) | 1


class FolderLocks(Locks):
    """Files in the data folder, locked by the kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def presence(self, role: Role) -> Presence:
        return _Present(self.folder, role)

    @asynccontextmanager
    async def holder(self) -> AsyncIterator[int]:
        with _Holder(self.folder) as number:
            yield number

    async def dead_holders(self, free: Callable[[int], Awaitable[None]]) -> None:
        for holder in _dead_holders(self.folder):
            await free(holder)

    async def sole(self, name: str, body: Callable[[], Awaitable[None]]) -> None:
        file = _lock_file(self.folder, name)
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    await asyncio.sleep(PATIENCE)
            await body()
        finally:
            os.close(file)

    async def keep(self) -> None:
        await asyncio.Event().wait()

    def close(self) -> None:
        pass


class _Present:
    def __init__(self, folder: Path, role: Role) -> None:
        self.role: Role = role
        self._file = _lock_file(folder, role)

    def enter(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._file, fcntl.LOCK_SH)
            return False
        return True

    def stay(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def leave(self) -> None:
        os.close(self._file)


class _Holder:
    def __init__(self, folder: Path) -> None:
        self.number = fresh_holder()
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


def _dead_holders(folder: Path) -> Iterator[int]:
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


@asynccontextmanager
async def opening(folder: Path) -> AsyncIterator[None]:
    """One process at a time: a folder that is being made, upgraded or given new keys is opened by others after that."""
    file = _lock_file(folder, "opening")
    try:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def unusable(folder: Path, e: OSError) -> ConfigError:
    """The data folder, or what is in it, cannot be made, read or written."""
    what = f"the data folder cannot be used: {e.strerror or e}"
    hint = f"a folder that belongs to who runs this (uid {os.geteuid()}), on a disk with room; or set data: FOLDER"
    return ConfigError(Where(str(e.filename or folder)), what, hint)


def _lock_file(folder: Path, name: str) -> int:
    """Raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        raise unusable(folder, e) from e
