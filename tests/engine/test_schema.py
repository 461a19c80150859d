"""The JSON Schema of rulebooks: it takes what the loader takes, and refuses what an editor should underline."""

from pathlib import Path
from typing import Any

import pytest
from dicing import book, rules
from jsonschema import Draft202012Validator
from random_rules import Dice, rulebook

from engine.rulebook import findings
from engine.schema import schema
from engine.vocabulary import Vocabulary
from normalizer.marked import read

ROOT = Path(__file__).parents[2]
RULEBOOKS = sorted([*(ROOT / "rules").glob("*.yaml"), *(ROOT / "rules" / "examples").glob("*.yaml")])
REFUSED = {
    "a field": "{when: {categry: complaint}, then: {tag: x}}",
    "a code": "{when: {category: complain}, then: {tag: x}}",
    "a code in a list": "{when: {category: [complaint, inquiri]}, then: {tag: x}}",
    "an operator": "{when: {category: {is_nott: complaint}}, then: {tag: x}}",
    "an operator of another kind": "{when: {category: {at_least: complaint}}, then: {tag: x}}",
    "text for a number": "{when: {message.length: {at_least: many}}, then: {tag: x}}",
    "a nested field": "{when: {any: [{chanel: email}]}, then: {tag: x}}",
    "an action": "{then: {rout: senior}}",
    "a group": "{then: {route: seniors}}",
    "a group in a mapping": "{then: {route: {group: seniors}}}",
    "a template": "{then: {acknowledge: recieved}}",
    "a word list": "{when: {says: {list: refund-word}}, then: {tag: x}}",
    "a priority": "{then: {set: {priority: hihg}}}",
    "a key": "{wen: {category: complaint}, then: {tag: x}}",
    "a layer": "{layer: costumer, then: {tag: x}}",
    "a trigger": "{on: ticket.create, then: {tag: x}}",
    "an answer": "{then: {reply: course-fak}}",
    "an answer to suggest": "{then: {suggest: {answer: course-fak}}}",
    "a field to ask for": "{then: {ask_for: [serial_nummer]}}",
    "whom to notify": "{then: {notify: seniors}}",
    "a group to notify": "{then: {notify: {groups: [seniors]}}}",
    "what to call": "{then: {call: {tarket: erp}}}",
    "whose task": "{then: {task: {title: a, group: seniors}}}",
    "when a task is due": "{then: {task: {title: a, due: soon}}}",
    "what ends a wait": "{then: {wait: {for: 1h, unless: customer_speeks, then: {tag: x}}}}",
    "a wait for nothing": "{then: {wait: {for: 1h}}}",
    "what to link": "{then: {link: same_categry}}",
    "how to route": "{then: {route: {group: senior, by: least_busy}}}",
    "what to hold": "{then: {review: {group: senior, hold: [acknowlege]}}}",
    "no then": "{when: {category: complaint}}",
}  # fmt: skip


@pytest.fixture(scope="session")
def validator(vocabulary: Vocabulary) -> Draft202012Validator:
    made = schema(vocabulary, ["logistics"], ["churn_risk"])
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def faults(validator: Draft202012Validator, value: Any) -> list[str]:
    return [error.message for error in validator.iter_errors(value)]


@pytest.mark.parametrize("file", RULEBOOKS, ids=lambda file: file.name)
def test_the_rulebooks_that_come_along_fit_it(file: Path, validator: Draft202012Validator) -> None:
    assert faults(validator, read(file.read_text(), file.name).value) == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_misspelt_does_not(name: str, validator: Draft202012Validator, vocabulary: Vocabulary) -> None:
    text = f"rulebook: t\nrules: [{REFUSED[name].replace('{', '{rule: r, ', 1)}]"
    assert findings({"t.yaml": text}, vocabulary)
    assert faults(validator, read(text, "t.yaml").value)


@pytest.mark.parametrize("seed", range(40))
def test_what_the_loader_takes_it_takes(seed: int, validator: Draft202012Validator, vocabulary: Vocabulary) -> None:
    for made in (rulebook(Dice(seed), vocabulary), rules(Dice(seed))):
        text = book("t", made)
        if not findings({"t.yaml": text}, vocabulary):
            assert faults(validator, read(text, "t.yaml").value) == []


def test_it_completes_what_is_there(vocabulary: Vocabulary) -> None:
    made = schema(vocabulary, ["logistics"], ["churn_risk"])
    assert {"complaint", "投诉", "Complaint"} <= set(made["$defs"]["of.category"]["enum"])
    assert "mark.churn_risk" in made["$defs"]["when"]["anyOf"][0]["properties"]
    assert made["$defs"]["actions"]["properties"]["acknowledge"]["enum"] == sorted(vocabulary.templates)
    assert "原话" in made["$defs"]["when"]["anyOf"][0]["properties"]["description"]["description"]


def proposed(made: dict[str, Any], part: dict[str, Any]) -> set[str]:
    """What an editor would complete there, as it follows the schema."""
    if "$ref" in part:
        part = made["$defs"][part["$ref"].rpartition("/")[2]]
    below = [*part.get("anyOf", ()), *([part["items"]] if "items" in part else ())]
    return {*part.get("enum", ()), *part.get("properties", ())}.union(*(proposed(made, one) for one in below))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("reply", {"received", "course-faq"}),
        ("suggest", {"course-faq", "answer", "text"}),
        ("ask_for", {"missing"}),
        ("notify", {"senior", "groups", "agents", "addresses", "calls", "text"}),
        ("notify.groups", {"senior"}),
        ("call", {"target", "with"}),
        ("task", {"title", "type", "group", "assignee", "due"}),
        ("task.group", {"senior"}),
        ("wait", {"for", "unless", "then", "name"}),
        ("wait.unless", {"customer_speaks", "agent_replies", "ticket_updated", "task_done"}),
        ("wait.then", {"close", "set"}),
        ("review", {"senior", "group", "reason", "hold", "approved", "rejected"}),
        ("review.hold", {"acknowledge", "task"}),
        ("review.rejected", {"close"}),
        ("link.kind", {"duplicate_of", "follow_up_of"}),
        ("route.by", {"least_loaded", "round_robin", "sticky"}),
    ],
)
def test_it_completes_what_stands_behind_an_action(path: str, words: set[str], vocabulary: Vocabulary) -> None:
    made = schema(vocabulary)
    part = made["$defs"]["actions"]["properties"][path.partition(".")[0]]
    if key := path.partition(".")[2]:
        part = next(
            one["properties"][key] for one in (part, *part.get("anyOf", ())) if key in one.get("properties", ())
        )
    assert words <= proposed(made, part)
