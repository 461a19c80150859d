"""`rules check`: what it finds, at its place and nothing else; that it never cries wolf; that it is quick."""

import os
import random
import time
from pathlib import Path
from typing import Any as Anything

import pytest
import random_rules
from dicing import book, rules, ticket
from wrongs import WRONG, found_in, wrong

from engine.check import check, errors, promises
from engine.company import Company
from engine.decide import decide
from engine.findings import CODES, line, plain, told
from engine.rulebook import findings, load
from engine.trial import case
from engine.vocabulary import Vocabulary

SETS = int(os.environ.get("EXAMPLES", "60"))  # random rule sets a test tries


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_a_wrong_rulebook_has_this_finding_and_no_other(file: Path, vocabulary: Vocabulary, house: Company) -> None:
    text, code, words, line_, column = wrong(file)
    (found,) = found_in(file, text, vocabulary, house)
    assert (found.code, found.where.line, found.where.column) == (code, line_, column), str(found)
    assert words in found.what
    assert found.severity == CODES[code].severity


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_every_finding_reads_in_chinese_too(file: Path, vocabulary: Vocabulary, house: Company) -> None:
    (found,) = found_in(file, wrong(file)[0], vocabulary, house)
    zh = told(found, "zh")
    assert zh.what != found.what and not zh.what.endswith(found.what)
    assert any(character >= "\u2e80" for character in zh.what)
    assert plain(found)["message"] == {"zh": zh.what, "en": found.what}


@pytest.mark.parametrize("file", [f for f in WRONG if f.stem.startswith("contested")], ids=lambda file: file.stem)
def test_a_contested_field_comes_with_a_ticket_on_which_it_is(
    file: Path, vocabulary: Vocabulary, house: Company
) -> None:
    text = wrong(file)[0]
    (found,) = check({"test.yaml": text}, vocabulary, house)
    decision = decide(load({"test.yaml": text}, vocabulary), house, case(found.given, vocabulary))
    assert len(decision.fired) == 2
    assert [written.contested for written in decision.written if written.contested]
    assert "given: {" in line(found, "en")


def test_the_rulebooks_that_come_along_have_no_errors(
    rulebooks: dict[str, str], vocabulary: Vocabulary, house: Company
) -> None:
    templates = {path.name: path.read_text() for path in (Path(__file__).parents[2] / "rules/templates").iterdir()}
    assert check(rulebooks, vocabulary, house, templates=templates) == []


def test_a_narrower_rule_with_more_conditions_contradicts_nobody(vocabulary: Vocabulary, house: Company) -> None:
    listed = [
        {"rule": "general", "when": {"category": "complaint"}, "then": {"route": "complaints"}},
        {"rule": "special", "when": {"category": "complaint", "says": ["refund"]}, "then": {"route": "refund"}},
    ]
    assert check({"t.yaml": book("t", listed)}, vocabulary, house) == []


def test_only_the_priority_of_the_ticket_is_always_there(vocabulary: Vocabulary, house: Company) -> None:
    listed = [
        {"rule": "a", "when": {"changed.priority.to": {"exists": False}}, "then": {"tag": "a"}},
        {"rule": "b", "when": {"changed.priority.to": {"at_least": "low"}}, "then": {"tag": "b"}},
    ]
    assert check({"t.yaml": book("t", listed)}, vocabulary, house) == []


def test_a_category_that_a_rule_sets_alone_may_stand_with_any_subcategory(
    vocabulary: Vocabulary, house: Company
) -> None:
    listed = [
        {"rule": "ask", "when": {"says": ["how"]}, "then": {"set": {"category": "inquiry"}}},
        {"rule": "odd", "when": {"category": "inquiry", "subcategory": "refund"}, "then": {"tag": "odd"}},
    ]
    assert check({"t.yaml": book("t", listed)}, vocabulary, house) == []


@pytest.mark.parametrize("proof", ["message.proven: true", "contact.tier: vip", "contact.proven: true"])
def test_an_address_with_proof_may_name_a_customer(proof: str, vocabulary: Vocabulary, house: Company) -> None:
    rule = f"  - rule: boss\n    when: {{message.from: vip@example.com, {proof}}}\n    then: {{route: senior}}\n"
    assert check({"t.yaml": f"rulebook: t\nrules:\n{rule}"}, vocabulary, house) == []


def test_what_is_wrong_in_one_rule_says_nothing_about_the_others(vocabulary: Vocabulary, house: Company) -> None:
    listed = [
        {"rule": "a", "when": {"categry": "x"}, "then": {"route": "senior"}},
        {"rule": "b", "when": {"status": {"in": ["open"], "is": "solved"}}, "then": {"route": "refund"}},
    ]
    assert [f.code for f in check({"t.yaml": book("t", listed)}, vocabulary, house)] == ["unknown-field", "impossible"]


def test_a_rule_that_never_fired_is_told_if_one_knows(vocabulary: Vocabulary, house: Company) -> None:
    text = book("t", [{"rule": "a", "then": {"tag": "a"}}, {"rule": "b", "then": {"tag": "b"}}])
    (found,) = check({"t.yaml": text}, vocabulary, house, hits={"a": 3}, since="30d")
    assert (found.code, found.severity) == ("dead", "warning")
    assert "'b'" in found.what and "30d" in found.what
    assert told(found, "zh").what == "'b' 在 30d 内一次也没有触发"


@pytest.mark.parametrize(
    ("text", "promise"),
    [
        ("我们将在 4 小时内回复。", "4 小时内"),
        ("客服会在两个工作日内联系您", "两个工作日内"),
        ("半小时之内", "半小时之内"),
        ("We will answer within 2 hours.", "within 2 hours"),
        ("You hear from us in two business days", "in two business days"),
        ("within the next 24 hours", "within the next 24 hours"),
    ],
)
def test_a_promise_in_fixed_words_is_told(text: str, promise: str) -> None:
    (found,) = promises("received.zh.liquid", f"subject: x\n\n  {text}\n")
    assert promise in found.what
    assert (found.where.line, found.code) == (3, "fixed-promise")
    assert told(found, "zh").what == f"承诺 '{promise}' 写死在模板里"


@pytest.mark.parametrize(
    "text", ["{{ promise }}", "24 小时客服热线 400-800", "{% if x == 'within 2 hours' %}y{% endif %}", "in an e-mail", "7 天无理由退货"]
)  # fmt: skip
def test_what_is_no_promise_is_not_told(text: str) -> None:
    assert list(promises("received.zh.liquid", text)) == []


# Soundness: what is said never to happen does not happen, over random rules and tickets.


@pytest.mark.parametrize("seed", range(4))
def test_what_is_called_impossible_never_fires_and_what_always_holds_does(
    seed: int, vocabulary: Vocabulary, house: Company
) -> None:
    dice, told_of = random.Random(seed), 0
    for number in range(SETS):
        other = bool(number % 2)
        text = book("one", random_rules.rulebook(dice, vocabulary) if other else rules(dice))
        if findings({"one.yaml": text}, vocabulary):
            continue
        ruleset = load({"one.yaml": text}, vocabulary)
        named = [(one, one.what.split("'")[1]) for one in check({"one.yaml": text}, vocabulary, house)]
        never = {n for f, n in named if f.code in ("impossible", "unreachable") and "a branch" not in f.what}
        ever = {n for f, n in named if f.code == "always-true" and "/" not in n}
        told_of += len(never) + len(ever)
        on = {rule.name: rule.on for rule in ruleset.rules}
        for _ in range(12):
            given = random_rules.ticket(dice, vocabulary) if other else ticket(dice)
            if other:  # a subcategory is one of its category
                given.pop("subcategory", None)
            decision = decide(ruleset, house, case(given, vocabulary))
            fired = {f.rule for f in decision.fired}
            assert never.isdisjoint(fired), (text, never & fired)
            assert {name for name in ever if decision.case.trigger in on[name]} <= fired, text
    assert told_of > SETS / 4


@pytest.mark.parametrize("seed", range(2))
def test_of_two_rules_of_which_one_never_counts_it_never_does(
    seed: int, vocabulary: Vocabulary, house: Company
) -> None:
    dice, told_of = random.Random(seed), 0
    for _ in range(SETS):
        text = book("one", rules(dice))
        ruleset = load({"one.yaml": text}, vocabulary)
        found = [f for f in check({"one.yaml": text}, vocabulary, house) if f.code in ("conflict", "shadowed")]
        told_of += len(found)
        pairs = [tuple(f.what.split("'")[1:4:2]) for f in found]
        for _ in range(12 if pairs else 0):
            fired = {f.rule for f in decide(ruleset, house, case(ticket(dice), vocabulary)).fired}
            assert [(loser, winner) for loser, winner in pairs if loser in fired and winner not in fired] == [], text
    assert told_of > 5


def test_every_witness_fires_both_rules_and_is_contested(vocabulary: Vocabulary, house: Company) -> None:
    dice = random.Random(11)
    shown = 0
    for _ in range(60):
        text = book("one", [_random(dice, i) for i in range(6)])
        ruleset = load({"one.yaml": text}, vocabulary)
        for one in check({"one.yaml": text}, vocabulary, house):
            if one.given:
                shown += 1
                decision = decide(ruleset, house, case(one.given, vocabulary))
                names = set(one.what.split("'")[1:4:2])
                assert names <= {f.rule for f in decision.fired}
                assert any(w.contested for w in decision.written)
    assert shown > 50


def _random(dice: random.Random, number: int) -> dict[str, Anything]:
    conditions = [
        {"category": dice.choice(["complaint", "inquiry", "after_sales"])},
        {"says": [dice.choice(["退款", "refund", "物流"])]},
        {"channel": dice.choice(["email", "form", "sms"])},
        {"contact.tier": "vip"},
        {"message.length": {dice.choice(["more_than", "less_than"]): dice.randrange(40)}},
        {"tags": dice.choice(["a", "b"])},
        {"clock.time": {"at_least": "18:00"}},
        {"mark.m": dice.choice(["x", "y"])},
    ]
    then: dict[str, Anything] = {"route": dice.choice(["senior", "refund", "logistics"])}
    return {
        "rule": f"r{number}",
        "when": dice.sample(conditions, 2),
        "then": {**then, "mark": {"m": dice.choice("xy")}},
    }


# Speed.


def many(count: int) -> str:
    """Rules as a big house has them: mostly apart, some alike, some wrong."""
    dice = random.Random(count)
    groups = ["senior", "refund", "logistics", "technical", "billing", "complaints"]
    listed = []
    for i in range(count):
        when = [
            {"category": dice.choice(["complaint", "inquiry", "after_sales"])},
            {"says": [f"word{dice.randrange(count)}", f"term{dice.randrange(count)}"]},
            {"extracted.product": f"p{dice.randrange(max(2, count // 10))}"},
            {"message.length": {"at_least": dice.randrange(100)}},
        ]
        then = {"route": dice.choice(groups), "tag": f"t{i % 97}", "mark": {f"m{i % 50}": dice.choice("xy")}}
        listed.append({"rule": f"rule-{i}", "when": dice.sample(when, dice.randrange(1, 4)), "then": then})
    return book("many", listed)


def test_a_thousand_rules_are_checked_in_about_a_second(vocabulary: Vocabulary, house: Company) -> None:
    text = many(1_000)
    started = time.process_time()
    found = check({"many.yaml": text}, vocabulary, house)
    took = time.process_time() - started
    assert found and not [one for one in errors(found) if one.code not in ("conflict",)]
    assert took < 4, f"{took:.2f} s"  # a machine that is busy with other things takes longer than one that is not
