"""What traffic feels of a rule set that goes live: the longest time the loop had to wait meanwhile.

    python tests/bench/reloading.py 10000            so many rules; repeated three times

Prints how long it took, and the worst gaps between two beats of a loop that should beat every millisecond: in time of the
processor that this process itself used meanwhile, since what other processes take of a busy machine is not our pause.
"""

import asyncio
import sys
import time
from random import Random

from gateway import live, mind, settings, vet
from gateway.bundle import Bundle

CATEGORIES = ("inquiry", "complaint", "suggestion", "after_sales")
A_FILE = 1_000  # rules


def rulebooks(many: int) -> dict[str, bytes]:
    """Rules that test words, numbers and attributes; each tags and marks."""
    random = Random(1)
    lines = [_rule(random, n) for n in range(many)]
    files = [lines[start : start + A_FILE] for start in range(0, many, A_FILE)]
    return {
        f"rules/big{n}.yaml": "\n".join((f"rulebook: big{n}", "rules:", *some)).encode() for n, some in enumerate(files)
    }


def _rule(random: Random, n: int) -> str:
    category = random.choice(CATEGORIES)
    more = f"says: [词{n}, word{n}]" if n % 4 == 0 else (
        f"contact.attributes.a{n % 50}: v{n}, message.length: {{at_least: {n % 500}}}"
    )  # fmt: skip
    then = f"{{tag: t{n % 100}, mark: {{m{n}: v{n % 7}}}}}"
    return f"  - {{rule: r{n}, because: reason {n}, when: {{category: {category}, {more}}}, then: {then}}}"


class Beat:
    """A loop that should turn every millisecond."""

    def __init__(self) -> None:
        self.gaps: list[float] = []

    async def run(self) -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(0.001)
            now = time.process_time()
            self.gaps.append((now - last) * 1000)
            last = now

    def worst(self) -> str:
        told = ", ".join(f"{gap:.0f}" for gap in sorted(self.gaps, reverse=True)[:5])
        self.gaps.clear()
        return told


async def measure(many: int) -> None:
    beat = Beat()
    beating = asyncio.create_task(beat.run())
    present = await asyncio.to_thread(mind.read, settings.read())
    draft = present.bundle.with_changes(dict(rulebooks(many)))
    beat.gaps.clear()
    await asyncio.sleep(3)
    print(f"undisturbed: worst gaps {beat.worst()} ms")
    for _ in range(3):
        await once(present, draft, beat)
    beating.cancel()


async def once(present: mind.Mind, draft: Bundle, beat: Beat) -> None:
    started = time.perf_counter()
    vetted = await asyncio.to_thread(vet.vet, present, draft)
    took = time.perf_counter() - started
    print(f"{len(vetted.mind.ruleset.rules)} rules: live after {took:.1f} s; worst gaps {beat.worst()} ms", end="; ")
    ruleset = vetted.mind.ruleset
    del vetted
    going = asyncio.create_task(live.let_go(ruleset))
    del ruleset
    await going
    print(f"letting go: {beat.worst()} ms")


if __name__ == "__main__":
    asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
