"""Who else works in this data folder. A lock the kernel gives back when a process dies, however it dies.

Leases protect against a worker that is slow or gone, but they take a minute to run out. A process that starts and finds
nobody else in its role knows that every lease there is belongs to the dead, and takes over at once.
"""

import fcntl
import os
from pathlib import Path
from typing import Literal

Leasing = Literal["process", "dispatch"]
LEASING: tuple[Leasing, ...] = ("process", "dispatch")


class Presence:
    """Held by every process in a role for as long as it lives."""

    def __init__(self, folder: Path, role: Leasing) -> None:
        self.role: Leasing = role
        self._file = os.open(folder / f"{role}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

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
