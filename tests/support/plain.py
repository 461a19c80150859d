"""The plain reading of what kernels and lexicon promise: look at everything, skip nothing."""

from collections.abc import Sequence
from dataclasses import replace

from engine.ruleset import Rule, RuleSet, Stage, Unit, Values, holds
from engine.words import denied, fold, folded, stands_alone


class Naive:
    """Every unit, every row, every condition."""

    def __init__(self, found: Sequence[Stage], name: str = "native") -> None:
        self.stages, self.name = found, name  # of the kernel it stands for, so that decisions have one hash

    def true(self, stage: int, trigger: str, values: Values, changed: frozenset[str] | None) -> list[tuple[Unit, Rule]]:
        true = []
        for unit in self.stages[stage].units:
            row = next((row for row in unit.rows if trigger in row.on and holds(row.when, values)), None)
            if row is not None:
                true.append((unit, row))
        return true


class NaiveLexicon:
    """Each word looked for by itself."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def said(self, text: str) -> tuple[frozenset[str], frozenset[str]]:
        flat = fold(text)
        meant, mentioned = set(), set()
        for word in map(folded, self.words):
            at = flat.find(word)
            while at >= 0:
                if stands_alone(flat, at, at + len(word)):
                    mentioned.add(word)
                    if not denied(flat, at, at + len(word)):
                        meant.add(word)
                at = flat.find(word, at + 1)
        return frozenset(meant), frozenset(mentioned)


def naive(ruleset: RuleSet) -> RuleSet:
    return replace(
        ruleset, kernel=Naive(ruleset.stages, ruleset.kernel.name), lexicon=NaiveLexicon(ruleset.lexicon.words)
    )  # type: ignore[arg-type]
