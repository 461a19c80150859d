"""Running the examples of rulebooks: what did not come out as expected, who wrote it, and what no example tries.

A rule is covered if it fires in some example. A condition is covered if it was looked at and held once, and once did
not: only then would a change of it be noticed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from engine.company import Company
from engine.decide import decide
from engine.decision import Decision, Trigger, Written
from engine.ruleset import Kernel, Rule, RuleSet, Unit, Values, tests
from engine.spelling import spelled
from engine.trial import Failure, Trial, failures
from normalizer.errors import Where

_WRITTEN: Mapping[str, tuple[str, ...]] = {
    "acknowledged": ("acknowledge",),
    "handed_over": ("hand_over",),
    "no_tags": ("tags",),
    "policy": ("sla",),
    "first_response": ("sla", "priority"),
    "promise": ("sla", "priority"),
}  # what an expectation is about, where rules write it under another name


@dataclass(frozen=True, slots=True)
class Missed:
    """An expectation that did not come true. `by` is the rule that wrote what was found, `over` those it beat."""

    failure: Failure
    by: str = ""
    over: tuple[str, ...] = ()

    @property
    def where(self) -> Where:
        return self.failure.where

    def __str__(self) -> str:
        beaten = f", over {', '.join(self.over)}" if self.over else ""
        return f"{self.failure}" + (f" (written by {self.by}{beaten})" if self.by else "")


@dataclass(frozen=True, slots=True)
class Result:
    """An example and what came of it."""

    trial: Trial
    decision: Decision
    missed: tuple[Missed, ...]


def run(ruleset: RuleSet, company: Company, trials: Iterable[Trial]) -> Iterator[Result]:
    """Decide each example."""
    for trial in trials:
        yield judged(trial, decide(ruleset, company, trial.case), ruleset, company)


def judged(trial: Trial, decision: Decision, ruleset: RuleSet, company: Company) -> Result:
    """An example whose decision is made."""
    found = failures(trial, decision, company, ruleset.vocabulary)
    return Result(trial, decision, tuple(_missed(failure, decision.written) for failure in found))


def _missed(failure: Failure, written: Iterable[Written]) -> Missed:
    names = _WRITTEN.get(failure.field, (failure.field,))
    by = next((one for one in written if one.field in names), None)
    return Missed(failure, by.rule, by.over) if by else Missed(failure)


class Branch(NamedTuple):
    """A condition of a rule, and whether it ever held and ever did not."""

    rule: Rule
    condition: str
    held: bool
    failed: bool


@dataclass(slots=True)
class Watching:
    """A kernel that notes how the conditions come out which another one is asked about."""

    kernel: Kernel
    ruleset: RuleSet
    name: str
    fired: dict[str, int] = field(default_factory=dict)
    seen: dict[tuple[str, int], set[bool]] = field(default_factory=dict)

    def true(
        self, stage: int, trigger: Trigger, values: Values, changed: frozenset[str] | None
    ) -> list[tuple[Unit, Rule]]:
        for unit in self.ruleset.stages[stage].units:
            for row in unit.rows:
                if trigger in row.on:
                    for i, test in enumerate(tests(row.when)):
                        self.seen.setdefault((row.name, i), set()).add(test.holds(values.get(test.field)))
        return self.kernel.true(stage, trigger, values, changed)

    def watched(self) -> RuleSet:
        """The same rules, watched."""
        return replace(self.ruleset, kernel=self)

    def count(self, decision: Decision) -> None:
        for one in decision.fired:
            self.fired[one.rule] = self.fired.get(one.rule, 0) + 1

    def branches(self) -> Iterator[Branch]:
        for rule in self.ruleset.rules:
            for i, test in enumerate(tests(rule.when)):
                seen = self.seen.get((rule.name, i), set())
                yield Branch(rule, spelled(test), True in seen, False in seen)


def watching(ruleset: RuleSet) -> Watching:
    return Watching(ruleset.kernel, ruleset, ruleset.kernel.name)
