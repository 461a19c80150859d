"""Whose turn it is to write, among all processes on one SQLite file.

SQLite itself lets who waits sleep and look again, up to a tenth of a second each time and without any order. Here the
kernel wakes whoever waits, as soon as the one before has committed, and gives the turn back when a process dies. For
one that hangs nobody waits longer than for a transaction that is long.
"""

import fcntl
import os
import threading
from pathlib import Path

from normalizer.errors import Unavailable

FILE = "writing.lock"
PATIENCE = 30.0  # seconds; the longest transaction there is erases what one customer said in years


class Turn:
    """Beside a database file; entered by the one thread that writes.

    Raises Unavailable if it does not come, OSError if the file cannot be locked.
    """

    def __init__(self, database: Path) -> None:
        self._file = os.open(database.with_name(FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # The kernel's wait has no end, so another thread has it. It may outlive us: nobody waits for that one.
        self._queuing = threading.Thread(target=self._queue, name="store-turn", daemon=True)
        self._called, self._granted = threading.Semaphore(0), threading.Event()
        self._between = threading.Lock()
        self._asked = self._wanted = False
        self._trouble: OSError | None = None  # why it did not come

    def __enter__(self) -> None:
        with self._between:
            if not self._asked:
                if self._free():
                    return
                self._ask()
            self._wanted = True
        if not self._granted.wait(PATIENCE):
            self._give_up()
        self._granted.clear()
        if self._trouble:
            raise self._trouble

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)
        self._file = -1
        self._called.release()

    def _free(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _ask(self) -> None:
        self._asked = True
        if not self._queuing.is_alive():
            self._queuing.start()
        self._called.release()

    def _queue(self) -> None:
        while self._called.acquire() and self._file >= 0:
            trouble = self._waited()
            with self._between:
                self._asked = False
                if self._wanted:
                    self._wanted, self._trouble = False, trouble
                    self._granted.set()
                elif self._file >= 0 and not trouble:
                    fcntl.flock(self._file, fcntl.LOCK_UN)

    def _waited(self) -> OSError | None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as e:
            return e
        return None

    def _give_up(self) -> None:
        """Unless it came in this very moment."""
        with self._between:
            if self._wanted:
                self._wanted = False
                raise Unavailable(f"the database: another process has been writing for {PATIENCE:.0f} s")
