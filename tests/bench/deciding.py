"""Which rules are true of a ticket, and the whole decision, against other rule engines on the same rules.

Everything by CPU time, one process a side. All sides are checked to find the same rules before anything counts.
"""

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import installed
import rulesets
from sides import Failed, Side, Took, program

from engine.company import FILES, Company, company
from engine.decide import decide
from engine.decision import Case
from engine.rulebook import load
from engine.ruleset import RuleSet
from engine.trial import case
from engine.vocabulary import Vocabulary
from gateway.settings import shipped

FIELDS = {
    "category": "category", "product": "contact.attributes.product", "domain": "message.from.domain",
    "order": "extracted.order_number", "urges": "urge_count", "length": "message.length",
}  # fmt: skip
Opener = Callable[[Path], AbstractContextManager[Side]]


def true_rules(count: int, kernel: str = "native") -> Opener:
    """Facts read from the case, words found in its text, the kernel asked stage by stage."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Side]:
        ruleset, at, cases = prepared(count, kernel)
        yield lambda wanted, run: timed(lambda one: found(ruleset, at, one), cases, wanted)

    return opened


def found(ruleset: RuleSet, at: Company, one: Case) -> list[str]:
    values = ruleset.facts(one, at)
    return [
        rule.name
        for stage in range(len(ruleset.stages))
        for _, rule in ruleset.kernel.true(stage, one.trigger, values, None)
    ]


def decisions(count: int) -> Opener:
    """All of it: rounds, merging, trace, routing, promise, and the record with its hash."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Side]:
        ruleset, at, cases = prepared(count)
        yield lambda wanted, run: timed(lambda one: decide(ruleset, at, one), cases, wanted)

    return opened


def prepared(count: int, kernel: str = "native") -> tuple[RuleSet, Company, list[Case]]:
    """The rules, read from YAML as operators write it, and tickets. Raises Failed if they match what they must not."""
    from engine.kernels.choice import run_on

    rules = rulesets.rules(count)
    tickets = rulesets.tickets(rules, rulesets.TICKETS)
    at, words = known()
    ruleset = run_on(load(written(rules), words), kernel)  # type: ignore[arg-type]
    cases = [cased(ticket, words) for ticket in tickets]
    for ticket, one in zip(tickets, cases, strict=True):
        if frozenset(found(ruleset, at, one)) != ticket.matches:
            raise Failed(f"{sorted(found(ruleset, at, one))} are true, not {sorted(ticket.matches)}")
    gc.collect()
    gc.freeze()  # as the worker does when it begins
    return ruleset, at, cases


def known() -> tuple[Company, Vocabulary]:
    at = company({file: (shipped() / "config" / file).read_text("utf-8") for file in FILES})
    return at, Vocabulary(categories={name: {} for name in rulesets.CATEGORIES}, subcategories={})


def written(rules: list[rulesets.Rule]) -> dict[str, str]:
    """As rulebooks (JSON is YAML), 1,000 rules a file."""
    texts = {}
    for start in range(0, len(rules), 1000):
        listed = [
            {"rule": rule.name, "when": dict(map(_condition, rule.tests)), "then": {"tag": f"t{i % 50}"}}
            for i, rule in enumerate(rules[start : start + 1000])
        ]
        texts[f"{start}.yaml"] = json.dumps({"rulebook": f"b{start}", "rules": listed}, ensure_ascii=False, indent=1)
    return texts


def _condition(test: rulesets.Test) -> tuple[str, object]:
    if test.how == "says":
        return "says", list(test.value)
    return FIELDS[test.field], test.value if test.how == "is" else {test.how: test.value}


def cased(ticket: rulesets.Ticket, words: Vocabulary) -> Case:
    facts = ticket.facts
    given = {
        "category": facts["category"], "contact": {"attributes": {"product": facts["product"]}}, "language": "zh",
        "from": f"someone@{facts['domain']}", "extracted": {"order_number": facts["order"]},
        "urge_count": facts["urges"], "text": facts["text"],
    }  # fmt: skip
    return case(given, words)


def timed(each: Callable[[Case], object], cases: list[Case], count: int) -> Took:
    since = time.process_time()
    for i in range(count):
        each(cases[i % len(cases)])
    return Took(count, time.process_time() - since)


def peer(name: str, count: int) -> Opener:
    @contextmanager
    def opened(folder: Path) -> Iterator[Side]:
        script = Path(__file__).parent / "peers" / "rule_engines.py"
        with program([str(installed.rules_python()), str(script), name, str(count)], folder) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise Failed(f"{name}: {(folder / 'stderr').read_text()[-800:]}")

            def side(wanted: int, run: int) -> Took:
                process.stdin.write(f"{wanted} {run}\n")
                process.stdin.flush()
                said = json.loads(process.stdout.readline() or "{}")
                if "seconds" not in said:
                    raise Failed(f"{name}: {(folder / 'stderr').read_text()[-800:]}")
                return Took(wanted, said["seconds"], {"compiled": said["compiled"]})

            yield side

    return opened
