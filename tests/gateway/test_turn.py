"""Whose turn it is to write: one at a time, given on at once, and never waited for without end."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.store import turn as turns
from gateway.store.turn import Turn
from normalizer.errors import Unavailable

HOLDING = """
import sys
from pathlib import Path
from gateway.store.turn import Turn
with Turn(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def turn(tmp_path: Path) -> Iterator[Turn]:
    made = Turn(tmp_path / "ticketgate.db")
    yield made
    made.close()


@contextmanager
def elsewhere(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process whose turn it is."""
    command = [sys.executable, "-c", HOLDING, str(folder / "ticketgate.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_it_is_never_the_turn_of_two_and_nobody_is_forgotten(tmp_path: Path) -> None:
    inside, most, served = 0, 0, [0] * 6

    def run(number: int) -> None:
        nonlocal inside, most
        mine = Turn(tmp_path / "ticketgate.db")
        for _ in range(100):
            with mine:
                inside += 1
                most = max(most, inside)
                time.sleep(0.0002)
                inside -= 1
            served[number] += 1
        mine.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, range(6)))
    assert most == 1
    assert served == [100] * 6


def test_it_is_given_on_as_soon_as_it_is_given_back(turn: Turn, tmp_path: Path) -> None:
    other, since = Turn(tmp_path / "ticketgate.db"), []

    def wait() -> None:
        with turn:
            since.append(time.monotonic())

    with other:
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.2)
        back = time.monotonic()
    waiting.join(5)
    other.close()
    assert since[0] - back < 0.5


def test_whoever_waits_too_long_for_a_process_that_hangs_is_told_and_comes_in_later(
    turn: Turn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.3)
    with elsewhere(tmp_path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        for _ in range(3):
            with pytest.raises(Unavailable, match="another process has been writing"), turn:
                raise AssertionError("it is not our turn")
        monkeypatch.setattr(turns, "PATIENCE", 10.0)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdin
        process.stdin.close()  # it gives the turn back
        with turn:
            pass


def test_a_turn_that_comes_after_nobody_waits_any_more_is_given_back(
    turn: Turn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "PATIENCE", 0.2)
    first, third = Turn(tmp_path / "ticketgate.db"), Turn(tmp_path / "ticketgate.db")
    with first, pytest.raises(Unavailable), turn:
        pass
    time.sleep(0.1)
    with third:
        pass
    first.close()
    third.close()


def test_a_process_that_is_killed_gives_its_turn_back(turn: Turn, tmp_path: Path) -> None:
    with elsewhere(tmp_path) as process:
        killing = threading.Timer(0.2, process.kill)
        killing.start()
        with turn:
            assert process.wait(5) == -signal.SIGKILL


def test_a_process_ends_although_one_of_its_threads_still_waits(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom gateway.store import turn\nturn.PATIENCE = 0.2\n"
        "one = turn.Turn(Path(sys.argv[1]))\ntry:\n    one.__enter__()\n"
        "except Exception as e:\n    print(type(e).__name__)\none.close()\n"
    )
    with elsewhere(tmp_path):
        command = [sys.executable, "-c", program, str(tmp_path / "ticketgate.db")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Unavailable\n", "")


def test_a_turn_that_cannot_be_had_is_told_at_once_and_the_next_one_can(
    turn: Turn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, failed = turns.fcntl.flock, threading.Event()

    def failing(file: int, how: int) -> None:
        if how == turns.fcntl.LOCK_EX and not failed.is_set():  # as of a network file system whose server is away
            failed.set()
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        lock(file, how)

    monkeypatch.setattr(turns.fcntl, "flock", failing)
    with elsewhere(tmp_path) as other:
        began = time.monotonic()
        with pytest.raises(OSError, match="No locks available"), turn:
            pass
        assert time.monotonic() - began < 5
        other.kill()
        with turn:
            assert failed.is_set()
    with turn:
        pass
