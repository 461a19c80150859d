"""What rules want to know from elsewhere, asked before deciding (config/outside.yaml; see engine/outside.py).

Only what some rule of the trigger reads is asked, each address once, all at the same time, within a total budget: who
does not answer in time has not answered, and the default counts. Answers are kept for as long as they are declared to
hold, failures for a few seconds, so that somebody else's outage does not slow every message. Each answer, default or
not, is recorded with the decision.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from connectors.calling import Outside, get
from engine import facts
from engine.decision import Case, Fact
from engine.outside import LONGEST, Asked, Lookup, ask
from gateway import metrics
from gateway import settings as settings_files
from gateway.log import log
from gateway.mind import Mind
from normalizer.errors import ConfigError, SendingError

BUDGET = 2.0  # seconds, for all look-ups of a round together
LARGEST = 256 * 1024  # octets of an answer
KEPT = 10_000  # answers
AFTER_FAILURE = 10.0  # seconds in which who failed is not asked again

Key = tuple[str, str, str, str, str]  # what was asked, and what counted as the answer
Known = dict[str, Fact]


@dataclass(slots=True)
class LookUps:
    """Answers, by what was asked."""

    budget: float = BUDGET
    _kept: OrderedDict[Key, tuple[float, Fact]] = field(default_factory=OrderedDict)
    _clients: dict[bool, httpx.AsyncClient] = field(default_factory=dict)  # by whether our own network may be asked

    async def answers(self, mind: Mind, cases: Iterable[Case], outbound: bool = True) -> list[Known]:
        """What is known of each case from elsewhere; empty where no rule asks. Never raises: rules have defaults."""
        listed = list(cases)
        try:
            return await self._answers(mind, listed, outbound)
        except Exception as e:
            log.error("looking up failed in an unforeseen way", exc_info=e)
            return [{} for _ in listed]

    async def _answers(self, mind: Mind, listed: Sequence[Case], outbound: bool) -> list[Known]:
        wanted = [mind.ruleset.asks.get(case.trigger, ()) for case in listed]
        if not any(wanted):
            return [{} for _ in listed]
        lookups = mind.company.lookups
        questions = [
            ask(names, lookups, _facts(mind, case, names)) if outbound else []
            for case, names in zip(listed, wanted, strict=True)
        ]
        found = await self._asked(mind, {one for asked in questions for one in asked})
        return [
            dict[str, Fact]({name: lookups[name].default for name in names}) | {one.name: found[one] for one in asked}
            for names, asked in zip(wanted, questions, strict=True)
        ]

    async def _asked(self, mind: Mind, questions: set[Asked]) -> dict[Asked, Fact]:
        now = asyncio.get_running_loop().time()
        found: dict[Asked, Fact] = {}
        for one in questions:
            until, answer = self._kept.get(_key(one, mind.company.lookups[one.name]), (0.0, None))
            if until > now:
                found[one] = answer
        tasks = {one: asyncio.create_task(self._ask(mind, one)) for one in questions - found.keys()}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=self.budget)
        for one, task in tasks.items():
            lookup = mind.company.lookups[one.name]
            done = task.done() and not task.cancelled()
            answer, kept = task.result() if done else (lookup.default, AFTER_FAILURE)
            if not done:
                task.cancel()
                _count(one.name, "late")
            found[one] = answer
            self._keep(_key(one, lookup), answer, now + kept)
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return found

    async def _ask(self, mind: Mind, one: Asked) -> tuple[Fact, float]:
        """The answer and for how long it holds. Never raises: rules go on without."""
        lookup = mind.company.lookups[one.name]
        try:
            async with asyncio.timeout(lookup.patience):
                body = await get(self._open(lookup.private), one.url, _headers(mind, one.name, lookup), LARGEST)
            answer = lookup.answer(json.loads(body))
        except TimeoutError:
            _count(one.name, "late")
        except (SendingError, ConfigError, ValueError, RecursionError) as e:
            _count(one.name, "failed")
            reason = str(e) if isinstance(e, SendingError | ConfigError) else "answered no JSON"
            log.warning("look-up failed", look_up=one.name, reason=reason)
        else:
            _count(one.name, "answered")
            return answer, lookup.kept
        return lookup.default, AFTER_FAILURE

    def _open(self, private: bool) -> httpx.AsyncClient:
        if private not in self._clients:
            outside = Outside(allow_private=private)
            self._clients[private] = httpx.AsyncClient(transport=outside, trust_env=False, timeout=LONGEST)
        return self._clients[private]

    def _keep(self, key: Key, answer: Fact, until: float) -> None:
        self._kept[key] = until, answer
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


def _key(one: Asked, lookup: Lookup) -> Key:
    return one.name, one.url, lookup.pick, lookup.kind, json.dumps(lookup.default)


def _facts(mind: Mind, case: Case, names: Iterable[str]) -> Mapping[str, Any]:
    """The facts that these look-ups need, as they are before any rule."""
    wanted = {fact for name in names for fact in mind.company.lookups[name].of.values()}
    fields = [field for fact in sorted(wanted) if (field := facts.known(fact, mind.vocabulary))]
    read = {field.name: field.read(case, mind.company) for field in fields}
    return {fact: read.get(fact.removeprefix("ticket.")) for fact in wanted}


def _headers(mind: Mind, name: str, lookup: Lookup) -> Mapping[str, str]:
    configured = mind.configured
    resolved = settings_files.resolve(dict(lookup.headers), configured.document, configured.folder, ("outside", name))
    return {header: str(value) for header, value in resolved.items()}


def _count(name: str, outcome: str) -> None:
    metrics.look_ups.labels(name, outcome).inc()
