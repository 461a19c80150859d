"""Asking the rules that made a recorded decision again: why not that one, and which were nearest."""

import asyncio

from engine.decision import Decision
from engine.why_not import names, near_misses, told, told_near, why_not
from gateway.live import LiveRules
from gateway.mind import Mind
from normalizer.errors import ConfigError


class Reasons:
    """Of one data folder. A set that this version cannot read any more is answered for by the live one."""

    def __init__(self, rules: LiveRules) -> None:
        self.rules = rules
        self._minds: dict[str, Mind] = {rules.mind.ruleset.sha: rules.mind}

    async def why_not(self, decision: Decision, rule: str, language: str) -> list[str]:
        """Sentences about a rule, each condition with what was there."""
        mind = await self.mind(decision.ruleset)
        found = why_not(mind.ruleset, mind.company, decision, rule)
        known, present = ((), ()) if found else (names(mind.ruleset), names(self.rules.mind.ruleset))
        return told(found, decision, language, mind.vocabulary, rule, known, present)

    async def near(self, decision: Decision, language: str) -> list[str]:
        """The rules that were nearest to firing, and what they lack."""
        mind = await self.mind(decision.ruleset)
        return told_near(near_misses(mind.ruleset, mind.company, decision), decision, language, mind.vocabulary)

    async def mind(self, sha: str) -> Mind:
        """What decided by the set of that name."""
        if sha not in self._minds:
            bundle = await self.rules.sets.bundle(sha, self.rules.mind.bundle)
            try:
                made = await asyncio.to_thread(self.rules.mind.with_bundle, bundle) if bundle else self.rules.mind
            except ConfigError:
                made = self.rules.mind
            self._minds[sha] = made
        return self._minds[sha]
