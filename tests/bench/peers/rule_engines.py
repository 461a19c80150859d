"""Other rule engines on the same rules and tickets: `rule_engines.py zen|rule_engine|durable RULES`.

Says `ready` once the rules are compiled and every answer has been checked, then a line for each "COUNT RUN" it reads.
Each engine gets the facts as a plain dictionary and gives the names of the rules that are true.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
import rulesets
from rulesets import Rule, Test

Engine = Callable[[rulesets.Ticket], set[str]]
FIELDS = ("category", "product", "domain", "order", "urges", "length", "text")
COMPARED = {"is": "==", "at_least": ">=", "at_most": "<="}


def zen(rules: list[Rule]) -> Engine:
    """A decision table that collects every row that is true: what zen-engine is quickest at."""
    import zen

    rows = [
        {"_id": rule.name, "rule": json.dumps(rule.name), **{t.field: _cell(t) for t in rule.tests}} for rule in rules
    ]
    at = {"position": {"x": 0, "y": 0}}
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": name, "name": name, "field": name} for name in FIELDS],
        "outputs": [{"id": "rule", "name": "rule", "field": "rule"}],
        "rules": rows,
    }
    graph = {
        "nodes": [
            {"id": "in", "name": "in", "type": "inputNode", **at},
            {"id": "table", "name": "table", "type": "decisionTableNode", **at, "content": table},
            {"id": "out", "name": "out", "type": "outputNode", **at},
        ],
        "edges": [
            {"id": "1", "sourceId": "in", "targetId": "table", "type": "edge"},
            {"id": "2", "sourceId": "table", "targetId": "out", "type": "edge"},
        ],
    }
    decision = zen.ZenEngine().create_decision(json.dumps(graph))
    return lambda ticket: {row["rule"] for row in decision.evaluate(ticket.facts)["result"]}


def _cell(test: Test) -> str:
    if test.how == "says":
        return " or ".join(f"contains($, {json.dumps(word, ensure_ascii=False)})" for word in test.value)
    value = json.dumps(test.value)
    return value if test.how == "is" else f"{COMPARED[test.how]} {value}"


def rule_engine(rules: list[Rule]) -> Engine:
    import rule_engine

    made = [(rule.name, rule_engine.Rule(" and ".join(map(_expression, rule.tests)))) for rule in rules]
    return lambda ticket: {name for name, rule in made if rule.matches(ticket.facts)}


def _expression(test: Test) -> str:
    if test.how == "says":
        return "(" + " or ".join(f"{json.dumps(word, ensure_ascii=False)} in text" for word in test.value) + ")"
    return f"{test.field} {COMPARED[test.how]} {json.dumps(test.value)}"


def durable(rules: list[Rule]) -> Engine:
    """Its low-level loop, without the Python around it. Words are given to it as flags, found off its clock."""
    import durable_rules_engine as engine

    handle = engine.create_ruleset("rules", json.dumps({rule.name: _durable(rule) for rule in rules}))
    facts: dict[int, dict[str, object]] = {}

    def decide(ticket: rulesets.Ticket) -> set[str]:
        fact = json.dumps(facts[id(ticket)])
        code, state = engine.assert_fact(handle, fact)
        if code == 1:
            return set()
        found, message = set(), engine.start_action_for_state(handle, state)[1]
        while message:
            found.add(message[2 : message.index('"', 2)])
            message = engine.complete_and_start_action(handle, state)
        engine.retract_fact(handle, fact)
        return found

    def flags(ticket: rulesets.Ticket) -> dict[str, object]:
        said = {
            f"says_{r.name}": 1
            for r in rules
            for t in r.tests
            if t.how == "says" and rulesets.true(t, ticket.facts["text"])
        }
        return {"sid": "1", "id": "1", **{k: v for k, v in ticket.facts.items() if k != "text"}, **said}

    def prepared(ticket: rulesets.Ticket) -> set[str]:
        facts[id(ticket)] = flags(ticket)
        return decide(ticket)

    decide.prepared = prepared  # type: ignore[attr-defined]
    return decide


def _durable(rule: Rule) -> dict[str, object]:
    return {"all": [{"m": {"$and": [_pattern(rule, test) for test in rule.tests]}}]}


def _pattern(rule: Rule, test: Test) -> dict[str, object]:
    match test.how:
        case "says":
            return {f"says_{rule.name}": 1}
        case "is":
            return {test.field: test.value}
        case "at_least":
            return {"$gte": {test.field: test.value}}
        case _:
            return {"$lte": {test.field: test.value}}


def main() -> None:
    name, count = sys.argv[1], int(sys.argv[2])
    rules = rulesets.rules(count)
    tickets = rulesets.tickets(rules, rulesets.TICKETS)
    since = time.process_time()
    engine = {"zen": zen, "rule_engine": rule_engine, "durable": durable}[name](rules)
    compiled = time.process_time() - since
    first = getattr(engine, "prepared", engine)
    for ticket in tickets:
        if first(ticket) != ticket.matches:
            sys.exit(f"{name} finds {sorted(first(ticket))}, not {sorted(ticket.matches)}")
    print("ready", flush=True)
    for line in sys.stdin:
        wanted = int(line.split()[0])
        since = time.process_time()
        for i in range(wanted):
            engine(tickets[i % len(tickets)])
        print(json.dumps({"seconds": time.process_time() - since, "compiled": compiled}), flush=True)


if __name__ == "__main__":
    main()
