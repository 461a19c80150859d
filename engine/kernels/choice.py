"""Which kernel runs a rule set."""

from dataclasses import replace
from typing import Literal

from engine.kernels.durable import Durable, Told
from engine.kernels.native import Native
from engine.ruleset import RuleSet

Name = Literal["native", "durable"]


def run_on(ruleset: RuleSet, kernel: Name, told: Told = lambda _: None) -> RuleSet:
    """The same rules on this kernel. Raises durable.Unavailable."""
    if ruleset.kernel.name == kernel:
        return ruleset
    made = Durable(ruleset.stages, told) if kernel == "durable" else Native(ruleset.stages)
    return replace(ruleset, kernel=made)
