"""Whose turn it is to write, among all processes on one SQLite file.

SQLite itself lets who waits sleep and look again, up to a tenth of a second each time and without any order. Here the
kernel wakes whoever waits, as soon as the one before has committed, and gives the turn back when a process dies.
"""

import fcntl
import os
from pathlib import Path

FILE = "writing.lock"


class Turn:
    """Beside a database file; entered by the thread that writes."""

    def __init__(self, database: Path) -> None:
        self._file = os.open(database.with_name(FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._file)
