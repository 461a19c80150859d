"""How deciding grows with the rules, what reading them takes, and how long traffic waits while they are reloaded."""

import asyncio
import gc
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import deciding
import rulesets

from engine.decide import decide
from engine.rulebook import load
from gateway import settings, wire
from gateway.house import House
from gateway.settings import shipped

COUNTS = (10, 100, 1_000, 10_000)
TURNS, TICKETS = 5, 1_000
PATIENCE = 600.0  # seconds for a reload
SETTINGS = """\
company: Bench
time_zone: Asia/Shanghai
data: ./data
outbound: off
log_level: error
http: {listen: "127.0.0.1:8025"}
rules: {source: files, folder: ./rules}
"""


@dataclass(frozen=True, slots=True)
class Grown:
    """For so many rules; times in microseconds of CPU a ticket, reading in seconds of CPU."""

    rules: int
    reading: float
    true: float
    whole: float


@dataclass(frozen=True, slots=True)
class Reload:
    """The longest that the event loop was kept waiting, in milliseconds, beside a reload and beside nothing.

    `working` is the CPU this process used meanwhile: the rest of a wait is other processes' doing.
    """

    rules: int
    seconds: float
    longest: float
    working: float
    at_rest: float


def growth() -> list[Grown]:
    """Turn by turn through all sizes, the median of the turns."""
    sides = {count: deciding.prepared(count) for count in COUNTS}
    gc.collect()
    true: dict[int, list[float]] = {count: [] for count in COUNTS}
    whole: dict[int, list[float]] = {count: [] for count in COUNTS}
    for _ in range(TURNS):
        for count, (ruleset, at, cases) in sides.items():
            took = deciding.timed(lambda one, r=ruleset, a=at: deciding.found(r, a, one), cases, TICKETS)  # type: ignore[misc]
            true[count].append(took.seconds / took.count * 1e6)
            took = deciding.timed(lambda one, r=ruleset, a=at: decide(r, a, one), cases, TICKETS)  # type: ignore[misc]
            whole[count].append(took.seconds / took.count * 1e6)
    return [Grown(n, _reading(n), statistics.median(true[n]), statistics.median(whole[n])) for n in COUNTS]


def _reading(count: int) -> float:
    """From YAML to the index."""
    texts, words = deciding.written(rulesets.rules(count)), deciding.known()[1]
    since = time.process_time()
    load(texts, words)
    return time.process_time() - since


def reload(count: int = 10_000) -> Reload:
    """One rule of many is changed in a house that runs; its loop looks at the clock every millisecond meanwhile."""
    with tempfile.TemporaryDirectory(prefix="ticketgate-bench-") as folder:
        return asyncio.run(_reload(Path(folder), count))


async def _reload(folder: Path, count: int) -> Reload:
    texts = deciding.written(rulesets.rules(count))
    _furnish(folder, texts)
    async with _house(folder) as house:
        at_rest = await _gaps_while(asyncio.sleep(3))
        since, before = time.perf_counter(), house.mind.ruleset.sha
        (folder / "rules" / "0.yaml").write_text(texts["0.yaml"].replace('"t1"', '"changed"', 1))
        gaps = await _gaps_while(asyncio.wait_for(house.rules.look(), PATIENCE))
        seconds = time.perf_counter() - since
        if house.mind.ruleset.sha == before:
            raise SystemExit(f"the changed rules were refused: {house.rules.refusal}")
        gaps += await _gaps_while(asyncio.sleep(3))  # the old ones are let go
        longest, working = (max(each) * 1000 for each in zip(*gaps, strict=True))
        return Reload(count, seconds, longest, working, max(gap for gap, _ in at_rest) * 1000)


def _furnish(folder: Path, texts: dict[str, str]) -> None:
    shutil.copytree(shipped() / "rules" / "templates", folder / "rules" / "templates")
    for file in (shipped() / "config").glob("*.yaml"):
        shutil.copy(file, folder / file.name)
    (folder / "ticketgate.yaml").write_text(SETTINGS)
    for name, text in texts.items():
        (folder / "rules" / name).write_text(text)


@asynccontextmanager
async def _house(folder: Path) -> AsyncIterator[House]:
    house = await wire.house(settings.read(folder / "ticketgate.yaml"))
    gc.collect()
    gc.freeze()  # as the worker does when it begins
    try:
        yield house
    finally:
        await house.store.close()


async def _gaps_while(work: Awaitable[None]) -> list[tuple[float, float]]:
    """How long the loop was away, again and again, until this is done, and how much of it this process worked."""
    doing = asyncio.ensure_future(work)
    gaps, last, worked = [(0.0, 0.0)], time.perf_counter(), time.process_time()
    while not doing.done():
        await asyncio.sleep(0.001)
        now, used = time.perf_counter(), time.process_time()
        gaps.append((now - last - 0.001, used - worked))
        last, worked = now, used
    await doing
    return gaps


def table(grown: Sequence[Grown], reloaded: Reload) -> str:
    """Both as lines to be read."""
    lines = ["  rules   read, s   which are true, µs   whole decision, µs"]
    lines += [f"{one.rules:7,}   {one.reading:7.3f}   {one.true:18.1f}   {one.whole:18.1f}" for one in grown]
    return "\n".join([
        *lines,
        f"One of {reloaded.rules:,} rules changed in a running house: live after {reloaded.seconds:.1f} s; the loop waited at most "
        f"{reloaded.longest:.0f} ms, {reloaded.working:.0f} ms of it for this process ({reloaded.at_rest:.0f} ms with nothing to do).",
    ])  # fmt: skip
