"""Named places where a test may pull the plug.

`TICKETGATE_FAULT=commit.before_commit` kills this process there, without ceremony, the first time it comes by;
`commit.before_commit:3` the third time. Without that variable `reach` returns at once.
"""

import os
import signal

POINTS: tuple[str, ...] = (
    "blob.before_sync", "blob.before_rename", "blob.after_rename", "blob.after_sync",
    "journal.before_commit", "journal.after_commit",
    "refuse.before_commit", "refuse.after_commit",
    "claim.before_commit", "claim.after_commit",
    "release.before_commit", "release.after_commit",
    "hold.before_commit", "hold.after_commit",
    "number.before_commit", "number.after_commit",
    "process.after_read", "process.after_find",
    "commit.before_commit", "commit.after_commit",
    "set_aside.before_commit", "set_aside.after_commit",
    "due.before_commit", "due.after_commit",
    "call.before", "call.after", "fetch.after_journal",
    "settle.before_commit", "settle.after_commit",
    "ring.before_commit", "ring.after_commit",
    "index.before_commit", "index.after_commit",
    "erase.before_commit", "erase.after_commit",
    "prune.before_commit", "prune.after_commit",
    "rotate.before_commit", "rotate.after_commit",
    "arrange.before_commit", "arrange.after_commit",
    "people.before_commit", "people.after_commit",
    "backup.after_copy", "backup.before_rename", "backup.after_rename",
    "restore.after_unpack", "restore.before_live", "restore.after_live",
)  # fmt: skip


def _wanted(text: str) -> tuple[str, int]:
    point, _, times = text.partition(":")
    if point and point not in POINTS:
        raise ValueError(f"TICKETGATE_FAULT names no known point: {point!r}")
    return point, int(times or 1)


_point, _left = _wanted(os.environ.get("TICKETGATE_FAULT", ""))


def reach(point: str) -> None:
    """Die here if the environment says so."""
    if _point and point == _point:
        _count_down()


def _count_down() -> None:
    global _left
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
