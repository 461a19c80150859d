"""Ticketgate against its peers, pair by pair: `make bench`, or `bench.py [NAME ...] [--json FILE]`.

These figures are ratios. Both sides run alternately in one go on the same machine, and the median of the ratios
counts; a disk that is too slow at the moment is reported and nothing is judged. See docs/benchmarks.md.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import deciding
import disk
import growing
import normalizing
import sides
from installed import Missing, cache
from rich.console import Console
from rich.table import Table
from sides import Failed, Side, Took

Opener = Callable[[Path], AbstractContextManager[Side]]


@dataclass(frozen=True, slots=True)
class Bench:
    """Two sides and what their ratio should be."""

    what: str
    unit: str
    ours: Opener
    peer_name: str
    peer: Opener
    must: float
    goal: float
    warm: int  # so many before anything counts; says how many a run needs to last
    stores: bool = True  # whether the disk has a say


@dataclass(frozen=True, slots=True)
class Pair:
    ours: float
    peer: float
    ratio: float
    ours_facts: dict[str, object]
    peer_facts: dict[str, object]


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    what: str
    unit: str
    peer_name: str
    ours: float
    peer: float
    ratio: float
    lowest: float
    highest: float
    must: float
    goal: float
    disk_before: float
    disk_after: float
    verdict: str
    pairs: tuple[Pair, ...]


GROWTH = "growth"
BENCHES = {
    "smtp_accept": Bench("SMTP accept, durable", "mails/s", sides.smtp_accept,
                         "aiosmtpd doing nothing", sides.aiosmtpd, 0.60, 0.80, 500),
    "webhook_accept": Bench("signed webhook accept, durable", "requests/s", sides.webhook_accept,
                            "uvicorn doing nothing", sides.uvicorn, 0.25, 0.40, 2000),
    "smtp_end_to_end": Bench("5 KB mail to ticket", "mails/s", sides.smtp_end_to_end,
                             "django-helpdesk 2.6.1", sides.helpdesk, 8, 12, 50),
    "large_end_to_end": Bench("1 MB mail to ticket", "mails/s", sides.large_end_to_end,
                              "django-helpdesk 2.6.1", sides.large_helpdesk, 1, 3, 8),
    "webhook_end_to_end": Bench("signed webhook to ticket", "requests/s", sides.webhook_end_to_end,
                                "Node-RED 4.1", sides.node_red, 2, 4, 500),
    "smtp_end_to_end_shared": Bench("5 KB mail to ticket, work shared by two processes", "mails/s",
                                    sides.smtp_end_to_end_shared, "django-helpdesk 2.6.1", sides.helpdesk, 8, 12, 50),
    "scaled": Bench("5 KB mails that wait to tickets, 2 workers, PostgreSQL and Redis", "mails/s", sides.scaled(2),
                    "the same with 1 worker", sides.scaled(1), 1.6, 1.9, 200),
    "normalize": Bench("normalize 5 KB mail", "mails/s", normalizing.ours,
                       "stdlib compat32 decoding", normalizing.stdlib, 0.40, 0.60, 200, stores=False),
    "understand": Bench("normalize and understand it", "mails/s", normalizing.understood,
                        "stdlib compat32 decoding", normalizing.stdlib, 0, 0, 200, stores=False),
    "rules_zen": Bench("which of 1,000 rules are true", "tickets/s", deciding.true_rules(1000),
                       "zen-engine 2.1.3", deciding.peer("zen", 1000), 10, 20, 200, stores=False),
    "rules_rule_engine": Bench("which of 1,000 rules are true", "tickets/s", deciding.true_rules(1000),
                               "rule-engine 5.1.0", deciding.peer("rule_engine", 1000), 20, 100, 20, stores=False),
    "rules_durable": Bench("which of 1,000 rules are true", "tickets/s", deciding.true_rules(1000),
                           "durable_rules 2.0.28, low level", deciding.peer("durable", 1000), 1, 2, 2000, stores=False),
    "rules_growth": Bench("which of 10,000 rules are true", "tickets/s", deciding.true_rules(10_000),
                          "the same of 100 rules", deciding.true_rules(100), 0, 0, 2000, stores=False),
    "decide": Bench("a whole decision by 1,000 rules, recorded", "tickets/s", deciding.decisions(1000),
                    "zen-engine 2.1.3, which are true", deciding.peer("zen", 1000), 0, 0, 200, stores=False),
    "decide_growth": Bench("a whole decision by 10,000 rules", "tickets/s", deciding.decisions(10_000),
                           "the same by 100 rules", deciding.decisions(100), 0.667, 0.8, 1000, stores=False),
}  # fmt: skip


def measure(name: str, bench: Bench, pairs: int, seconds: float, folder: Path) -> Result:
    """A B A B ...; each run long enough to last about `seconds`."""
    with bench.ours(folder / "ours") as ours, bench.peer(folder / "peer") as peer:
        counts = [enough(side, bench.warm, seconds) for side in (ours, peer)]
        before = disk.probe(folder)
        seen = []
        for run in range(10, 10 + pairs):
            seen.append(pair(ours(counts[0], run), peer(counts[1], run)))
            print(f"  {name}: {seen[-1].ours:,.0f} / {seen[-1].peer:,.0f} = {seen[-1].ratio:.2f}", file=sys.stderr)
        return result(name, bench, seen, before, disk.probe(folder))


def against_itself(bench: Bench) -> Bench:
    return replace(bench, ours=bench.peer, must=1.0, goal=1.0)


def enough(side: Side, warm: int, seconds: float) -> int:
    """How many last that long, found by warming up twice: the first ones are slow on either side."""
    side(warm, 1)
    return max(warm, int(side(warm, 2).rate * seconds))


def pair(ours: Took, peer: Took) -> Pair:
    return Pair(ours.rate, peer.rate, ours.rate / peer.rate, dict(ours.facts), dict(peer.facts))


def result(name: str, bench: Bench, pairs: Sequence[Pair], before: float, after: float) -> Result:
    ratios = [p.ratio for p in pairs]
    ratio = statistics.median(ratios)
    return Result(
        name, bench.what, bench.unit, bench.peer_name, statistics.median(p.ours for p in pairs),
        statistics.median(p.peer for p in pairs), ratio, min(ratios), max(ratios), bench.must, bench.goal,
        before, after, verdict(ratio, bench, min(before, after)), tuple(pairs),
    )  # fmt: skip


def verdict(ratio: float, bench: Bench, probe: float) -> str:
    if not bench.must:
        return "no bar"
    if bench.stores and probe < disk.ENOUGH:
        return "not judged: disk too slow now"
    if ratio < bench.must:
        return "below what it must"
    return "reaches the goal" if ratio >= bench.goal else "reaches what it must"


def show(results: Sequence[Result], first: str) -> None:
    """The table for people."""
    table = Table("", first, "peer", "ratio", "must", "goal", "disk MB/s", "verdict", title="Median of paired runs")
    for r in results:
        table.add_row(
            r.what, f"{r.ours:,.0f} {r.unit}", f"{r.peer:,.0f} {r.unit}\n{r.peer_name}",
            f"{r.ratio:.2f}\n{r.lowest:.2f} to {r.highest:.2f}", f"{r.must:g}", f"{r.goal:g}",
            f"{r.disk_before:.0f}, {r.disk_after:.0f}", r.verdict,
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    print(f"The load itself took at most {busiest_load(results):.0%} of a core.")


def report(results: Sequence[Result], left_out: dict[str, str], at: float, grown: dict[str, object]) -> str:
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": len(os.sched_getaffinity(0)),
    }
    return json.dumps(
        {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)), "machine": machine,
         "results": [asdict(r) for r in results], "left_out": left_out, **grown}, indent=1,
    )  # fmt: skip


def busiest_load(results: Sequence[Result]) -> float:
    """The share of a core the load itself took at most; near 1 it would have been measuring itself."""
    facts = [facts for r in results for p in r.pairs for facts in (p.ours_facts, p.peer_facts)]
    return max((float(str(found.get("load_cores", 0))) for found in facts), default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"one or more of {', '.join([*BENCHES, GROWTH])}; all if none"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured there")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="about how long each run lasts")
    parser.add_argument("--noise", action="store_true", help="peers against themselves: how far from 1 equals are now")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*BENCHES, GROWTH}:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; known: {', '.join([*BENCHES, GROWTH])}")
    place = cache() / "runs"  # not /tmp, which is often memory: there every disk is quick
    place.mkdir(parents=True, exist_ok=True)
    at, results, left_out, failed = time.time(), [], {}, False
    for name in [name for name in asked.names or BENCHES if name != GROWTH]:
        print(f"{name}: {BENCHES[name].what} against {BENCHES[name].peer_name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            try:
                bench = against_itself(BENCHES[name]) if asked.noise else BENCHES[name]
                results.append(measure(name, bench, asked.pairs, asked.seconds, Path(folder)))
            except (Missing, Failed) as e:
                left_out[name] = str(e)
                failed |= isinstance(e, Failed)
    if results:
        show(results, "the peer itself" if asked.noise else "Ticketgate")
    grown: dict[str, object] = {}
    if GROWTH in asked.names or not asked.names:
        sizes, reloaded = growing.growth(), growing.reload()
        print(growing.table(sizes, reloaded))
        grown = {"growth": [asdict(one) for one in sizes], "reload": asdict(reloaded)}
    for name, why in left_out.items():
        print(f"{name} was not measured: {why}")
    if asked.json:
        asked.json.write_text(report(results, left_out, at, grown))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
