"""Native, durable and a plain evaluator make the same of random rules and tickets; no order or name plays a part.

Short here; `make fuzz` takes 2,000 rule sets and 200,000 tickets (FUZZ_SETS, FUZZ_TICKETS).
"""

import os
import random
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from plain import naive
from random_rules import Rules, rulebook, ticket, written

from engine.company import Company
from engine.decide import decide
from engine.decision import OMITTED, Decision
from engine.kernels import durable, flat, native
from engine.kernels.choice import run_on
from engine.rulebook import examine
from engine.ruleset import RuleSet
from engine.trial import case
from engine.vocabulary import Vocabulary
from normalizer.canon import shape

SETS, TICKETS = int(os.environ.get("FUZZ_SETS", "80")), int(os.environ.get("FUZZ_TICKETS", "25"))
BLOCKS = max(1, SETS // 40)
NO_DURABLE = sys.version_info >= (3, 13)  # it cannot be imported there; everywhere else it must be

pytestmark = pytest.mark.timeout(3600)


@dataclass(slots=True)
class Told:
    """What a run came to."""

    tickets: int = 0
    fired: int = 0
    rounds: int = 0
    different: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    fallbacks: Counter[str] = field(default_factory=Counter)


def readable(rules: Rules, vocabulary: Vocabulary) -> RuleSet:
    """The rules as far as they can be read: what is at odds with itself is left out, as by the loader."""
    return examine({"one.yaml": written("one", rules)}, vocabulary)[0]


def kernels(ruleset: RuleSet, told: Told) -> dict[str, RuleSet]:
    """The same rules on every kernel there is, named alike so that whole decisions can be compared."""
    made = {"native": ruleset}
    if not NO_DURABLE:
        made["durable"] = run_on(ruleset, "durable", lambda reason: told.fallbacks.update([reason]))
        made["durable"].kernel.name = "native"
    return made


def in_one_go(decision: Decision) -> bytes:
    """What `record` puts together from its parts."""
    return shape(Decision).dump_json(decision, by_alias=True, exclude=OMITTED)


def run(seed: int, sets: int, tickets: int, vocabulary: Vocabulary, company: Company) -> Told:
    told = Told()
    for dice in (random.Random(f"{seed}/{i}") for i in range(sets)):
        ruleset = readable(rulebook(dice, vocabulary), vocabulary)
        every = kernels(ruleset, told)
        plain = naive(ruleset)
        for _ in range(tickets):
            given = ticket(dice, vocabulary)
            at = case(given, vocabulary)
            wanted = decide(plain, company, at)
            told.tickets += 1
            told.fired += len(wanted.fired)
            assert wanted.raw == in_one_go(replace(wanted, hash=""))
            told.rounds = max([told.rounds, *(f.round for f in wanted.fired)])
            for name, on in every.items():
                if decide(on, company, at).hash != wanted.hash:
                    told.different.append((name, seed, given))
    return told


@pytest.mark.parametrize("block", range(BLOCKS))
def test_every_kernel_decides_what_a_plain_evaluator_decides(
    block: int, vocabulary: Vocabulary, house: Company, record_property: Callable[[str, object], None]
) -> None:
    told = run(block, SETS // BLOCKS, TICKETS, vocabulary, house)
    record_property("tickets", told.tickets)
    assert told.different == []
    assert told.fired > told.tickets / 4  # rules do fire, and some wake others of their circle
    assert told.rounds > 1
    assert told.fallbacks["failed"] == 0
    assert told.fallbacks.total() <= told.tickets / 20  # what durable is tried on, it decides itself


@pytest.mark.parametrize(
    ("kernel", "place", "fault"),
    [
        ("native", (native, "bisect_right"), bisect_left),  # what reaches a bound exactly is missed
        ("native", (native._Index, "revisit"), lambda *_: []),  # a circle ends after one round
        ("durable", (flat, "ABSENT"), 0),  # a number that is not there counts as a low one
        ("durable", (flat, "place"), lambda bounds, at: -1 if at is None else 2 * bisect_left(bounds, at)),
        ("durable", (durable._Part, "_started"), lambda self, handle, fact: _first_only(self, handle, fact)),
    ],
)
def test_it_would_find_a_fault(
    kernel: str, place: tuple[object, str], fault: object, vocabulary: Vocabulary, house: Company,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if kernel == "durable" and NO_DURABLE:
        pytest.skip("durable_rules cannot be imported on Python 3.13")
    monkeypatch.setattr(*place, fault)
    told = run(0, 60, 20, vocabulary, house)
    assert {name for name, _, _ in told.different} == {kernel}


_started = durable._Part._started


def _first_only(part: durable._Part, handle: int, fact: str) -> list[int]:
    return _started(part, handle, fact)[:1]
