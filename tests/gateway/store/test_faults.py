"""Fault points: known by name, reached by the code, deadly when asked for."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import stored
from stored import NOW, envelope, opened

from gateway.faults import POINTS

ROOT = Path(__file__).parents[3]


def reached() -> set[str]:
    """Every point named in the code: said outright, or before and after the commit of a verb."""
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "gateway").rglob("*.py"))
    verbs = set(re.findall(r"database\.write(?:_ready)?\(\s*\"(\w+)\"", code)) | set(
        re.findall(r"transact\(\s*\"(\w+)\"", code)
    )
    return set(re.findall(r"reach\(\"([\w.]+)\"\)", code)) | {
        f"{verb}.{when}" for verb in verbs for when in ("before_commit", "after_commit")
    }


@pytest.mark.only("sqlite")
def test_every_point_is_reached_by_the_code_and_none_is_unknown() -> None:
    assert reached() == set(POINTS)


KILLED = """
import asyncio
from pathlib import Path
import stored
from stored import NOW, arrive, envelope, opened, outcome

stored.elsewhere({database!r})

async def run():
    store = await opened(Path({folder!r}))
    await arrive(store, "first")
    (claim,) = await store.claim(NOW, 1)
    number = await store.numbers([("t", "20261123")])
    await store.commit([outcome(claim, "20261123001", timers=("x",))], NOW)
    await store.journal([envelope("big", body=b"x" * 300_000)], NOW)
    print("survived")

asyncio.run(run())
"""


@pytest.mark.parametrize(
    "point",
    ["journal.before_commit", "journal.after_commit:2", "claim.after_commit", "number.after_commit",
     "commit.before_commit", "commit.after_commit", "blob.before_sync", "blob.before_rename", "blob.after_sync"],
)  # fmt: skip
async def test_killed_there_the_folder_opens_again_and_the_work_can_be_done(point: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    environment = {**os.environ, "TICKETGATE_FAULT": point, "PYTHONPATH": str(ROOT / "tests" / "support")}
    command = [sys.executable, "-c", KILLED.format(folder=str(folder), database=stored.address(folder))]
    done = await asyncio.to_thread(subprocess.run, command, env=environment, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert b"survived" not in done.stdout
    store = await opened(folder)
    assert await store.journal([envelope("first")], NOW) == [point == "journal.before_commit"]
    done_before = len(await store.tickets())
    assert done_before == (1 if point in ("commit.after_commit", "journal.after_commit:2") or point[0] == "b" else 0)
    await store.close()


@pytest.mark.only("sqlite")
def test_an_unknown_point_is_refused() -> None:
    environment = {**os.environ, "TICKETGATE_FAULT": "nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", "import gateway.faults"], env=environment, cwd=ROOT, capture_output=True
    )
    assert b"names no known point" in done.stderr
