"""What the disk can do right now: one second of 50 KB writes, each followed by fdatasync."""

import os
import time
from pathlib import Path

ENOUGH = 100.0  # MB/s; below it durable figures are reported but not judged
PIECE = 50_000


def probe(folder: Path, seconds: float = 1.0) -> float:
    """MB/s of durable writes in this folder."""
    file, piece, written = folder / "probe", os.urandom(PIECE), 0
    handle = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    since = time.perf_counter()
    try:
        while (spent := time.perf_counter() - since) < seconds:
            os.write(handle, piece)
            os.fdatasync(handle)
            written += PIECE
    finally:
        os.close(handle)
        file.unlink()
    return written / spent / 1e6
