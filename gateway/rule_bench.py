"""`ticketgate rules bench`: how many decisions a second these rules take on this machine, and which rules are slow."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.decide import decide
from engine.decision import Case
from engine.ruleset import Rule, RuleSet, Values, holds, tests
from engine.trial import case, trials
from gateway import bundle as bundles
from gateway.mind import Mind

ROUNDS = 7  # of which the median counts


@dataclass(frozen=True, slots=True)
class Slow:
    """A rule, and what looking at it costs by itself, without the index that spares most of it."""

    rule: str
    where: str
    conditions: int
    microseconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    tickets: int
    rules: int
    kernel: str
    per_second: float
    worst: float  # milliseconds of the slowest ticket
    slow: tuple[Slow, ...]


def cases(known: Mind, count: int) -> list[Case]:
    """Tickets to decide: those of the examples, and made ones that say words of the lists."""
    texts = {**known.bundle.texts(bundles.RULES, ".yaml"), **known.bundle.texts(bundles.TESTS, ".yaml")}
    given = [trial.case for trial in trials(texts, known.vocabulary)]
    made = _made(known)
    while len(given) < count:
        given.append(next(made))
    return given[:count]


def _made(known: Mind) -> Iterator[Case]:
    dice = random.Random(20260304)  # noqa: S311 (the same tickets each time, not a secret)
    words = [word for words in known.company.lists.values() for word in words] or ["hello"]
    categories = [*known.vocabulary.categories]
    while True:
        text = " ".join(dice.choice(words) for _ in range(dice.randrange(1, 12)))
        given = {"text": text, "language": dice.choice(["zh", "en"]), "category": dice.choice(categories)}
        yield case(given, known.vocabulary)


def measure(known: Mind, tried: Sequence[Case], slowest: int) -> Measured:
    """Decide these tickets, several times."""
    rounds = sorted(_seconds(known, tried) for _ in range(ROUNDS))
    worst = max(_seconds(known, [one]) for one in tried)
    return Measured(
        tickets=len(tried),
        rules=len(known.ruleset.rules),
        kernel=known.ruleset.kernel.name,
        per_second=len(tried) / rounds[len(rounds) // 2],
        worst=worst * 1000,
        slow=tuple(_slow(known, tried, slowest)),
    )


def _seconds(known: Mind, tried: Sequence[Case]) -> float:
    started = time.perf_counter()
    for one in tried:
        decide(known.ruleset, known.company, one)
    return time.perf_counter() - started


def _slow(known: Mind, tried: Sequence[Case], count: int) -> Iterator[Slow]:
    """The rules whose conditions cost most, on the facts of these tickets."""
    ruleset: RuleSet = known.ruleset
    facts = [ruleset.facts(one, known.company) for one in tried[:100]]
    found = []
    for rule in ruleset.rules:
        took = min(_asked(rule, facts) for _ in range(ROUNDS)) / max(1, len(facts)) * 1e6
        found.append(Slow(rule.name, str(rule.where), sum(1 for _ in tests(rule.when)), took))
    yield from sorted(found, key=lambda one: -one.microseconds)[:count]


def _asked(rule: Rule, facts: Sequence[Values]) -> float:
    started = time.perf_counter()
    for values in facts:
        holds(rule.when, values)
    return time.perf_counter() - started
