"""When a rule counts and for whom: campaigns, validity, shadow, canary, and what a person set."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from engine.company import FILES, Company, company
from engine.decide import decide
from engine.decision import Decision
from engine.explain import explain
from engine.rulebook import load
from engine.trial import case, run_tests
from engine.vocabulary import Vocabulary
from normalizer.canon import Derived
from normalizer.errors import ConfigError


def decided(vocabulary: Vocabulary, house: Company, *rules: dict[str, Any], **given: Any) -> Decision:
    text = yaml.safe_dump({"rulebook": "b", "rules": list(rules)}, allow_unicode=True)
    return decide(load({"t.yaml": text}, vocabulary), house, case({"text": "hi", **given}, vocabulary))


def names(decision: Decision) -> list[str]:
    return [one.rule for one in decision.fired]


TAGS: dict[str, Any] = {"rule": "r", "then": {"tag": "hit"}}


@pytest.mark.parametrize(
    ("now", "runs"),
    [
        ("2026-10-31T19:59:59+08:00", False),
        ("2026-10-31T20:00:00+08:00", True),
        ("2026-11-11T23:59:59+08:00", True),
        ("2026-11-12T00:00:00+08:00", False),
        ("2026-11-11T16:00:00+00:00", False),  # already the 12th where the house stands
    ],
)
def test_a_rule_of_a_campaign_counts_from_its_first_minute_to_the_end_of_its_last_day(
    now: str, runs: bool, vocabulary: Vocabulary, house: Company
) -> None:
    assert bool(names(decided(vocabulary, house, {**TAGS, "during": "双十一"}, now=now))) is runs
    assert bool(names(decided(vocabulary, house, {**TAGS, "during": ["618", "double-11"]}, now=now))) is runs


@pytest.mark.parametrize(
    ("valid", "now", "counts"),
    [
        ({"from": "2026-11-01", "until": "2026-11-11"}, "2026-11-01T00:00:00+08:00", True),
        ({"from": "2026-11-01", "until": "2026-11-11"}, "2026-10-31T23:59:00+08:00", False),
        ({"from": "2026-11-01", "until": "2026-11-11"}, "2026-11-11T23:59:00+08:00", True),
        ({"from": "2026-11-01", "until": "2026-11-11"}, "2026-11-12T00:00:00+08:00", False),
        ({"until": "2026-11-11 18:00"}, "2026-11-11T18:00:30+08:00", True),
        ({"until": "2026-11-11 18:00"}, "2026-11-11T18:01:00+08:00", False),
        ({"from": "2026-11-11"}, "2030-01-01T00:00:00+08:00", True),
    ],
)
def test_a_rule_is_valid_until_its_last_day_is_over(
    valid: dict[str, str], now: str, counts: bool, vocabulary: Vocabulary, house: Company
) -> None:
    assert bool(names(decided(vocabulary, house, {**TAGS, "valid": valid}, now=now))) is counts


def test_a_first_and_a_table_are_valid_as_a_whole(vocabulary: Vocabulary, house: Company) -> None:
    first = {"first": "f", "valid": {"until": "2020-01-01"}, "rules": [{"then": {"tag": "x"}}]}
    rows = {"table": "t", "during": "618", "columns": ["tag"], "rows": [["y"]]}
    assert names(decided(vocabulary, house, first, rows)) == []
    assert names(decided(vocabulary, house, first, rows, now="2026-06-18T12:00:00+08:00")) == ["t/1"]


def test_a_shadow_tells_what_it_would_have_done_and_does_nothing(vocabulary: Vocabulary, house: Company) -> None:
    shadow = {"rule": "s", "mode": "shadow", "then": {"set": {"priority": "urgent"}, "tag": "x", "route": "senior"}}
    decision = decided(vocabulary, house, shadow, {"rule": "r", "when": {"tags": "x"}, "then": {"tag": "y"}})
    (fired,) = decision.fired
    assert (fired.rule, fired.mode, len(fired.effects)) == ("s", "shadow", 3)
    assert (decision.written, decision.effects, decision.ticket.tags, decision.ticket.group) == ((), (), (), None)
    assert decision.ticket.priority.value == "normal"
    assert explain(decision, "zh", vocabulary)[0].startswith("试运行（未执行）：规则 s")
    assert explain(decision, "en", vocabulary)[0].startswith("in shadow, not done: rule s")


def test_a_shadow_changes_no_other_decision_even_in_a_circle(vocabulary: Vocabulary, house: Company) -> None:
    rules: list[dict[str, Any]] = [
        {"rule": "x", "when": {"none": {"tags": "b"}}, "then": {"tag": "a"}},
        {"rule": "y", "when": {"tags": "a"}, "then": {"tag": "c"}},
    ]
    shadow = {"rule": "s", "mode": "shadow", "when": {"tags": "c"}, "then": [{"tag": "b"}, {"untag": "a"}]}
    alone, beside = decided(vocabulary, house, *rules), decided(vocabulary, house, *rules, shadow)
    assert replace(alone.ticket, ruleset="") == replace(beside.ticket, ruleset="")
    live = [(f.rule, f.stage, f.round) for f in beside.fired if f.mode == "live"]
    assert live == [(f.rule, f.stage, f.round) for f in alone.fired]
    assert "s" in names(beside)
    made_live = decided(vocabulary, house, *rules, {**shadow, "mode": "live"})
    assert made_live.ticket.tags != alone.ticket.tags  # so the shadow could have changed it


def test_a_canary_counts_for_its_share_of_the_contacts_always_the_same_ones(
    vocabulary: Vocabulary, house: Company
) -> None:
    canary = {**TAGS, "mode": "canary", "share": "10%"}
    assert [n for n in range(100) if names(decided(vocabulary, house, canary, contact={"bucket": n}))] == list(
        range(10)
    )


def test_a_canary_weighs_what_it_will_weigh_when_it_is_live(vocabulary: Vocabulary, house: Company) -> None:
    """Whom a rule is for is no condition of its own: two equals stay contested."""
    rules = [{"rule": "b", "then": {"route": "senior"}}, {"rule": "a", "then": {"route": "refund"}}]
    for more in ({}, {"mode": "canary", "share": "99%"}, {"valid": {"until": "2099-01-01"}}):
        decision = decided(vocabulary, house, {**rules[0], **more}, rules[1], contact={"bucket": 1})
        assert [(one.rule, one.contested) for one in decision.written] == [("a", True)]


def test_what_a_person_set_stays_unless_the_rule_says_override(vocabulary: Vocabulary, house: Company) -> None:
    for override, priority in (({}, "low"), ({"override": "person"}, "urgent")):
        rule = {"rule": "r", "then": {"set": {"priority": "urgent"}}, **override}
        text = yaml.safe_dump({"rulebook": "b", "rules": [rule]})
        at = case({"text": "hi"}, vocabulary)
        at = replace(at, ticket=replace(at.ticket, priority=Derived("low", "person:li")))
        assert decide(load({"t.yaml": text}, vocabulary), house, at).ticket.priority.value == priority


def test_what_follows_from_a_field_is_told_anew_once_a_rule_wrote_it(vocabulary: Vocabulary, house: Company) -> None:
    fills = {"rule": "fills", "then": {"set": {"custom.purchased_on": "2026-03-01", "status": "open"}}}
    warranty = {"rule": "warranty", "when": {"custom.purchased_on": {"within": "7d"}}, "then": {"tag": "warranty"}}
    counted = {
        "rule": "counted",
        "when": {"history": {"within": "1d", "status": "open", "count": {"is": 1}}},
        "then": {"tag": "one"},
    }
    assert names(decided(vocabulary, house, fills, warranty, counted)) == ["fills", "counted", "warranty"]
    assert names(decided(vocabulary, house, warranty, counted)) == []


def test_a_custom_number_is_compared_as_one_also_when_a_rule_wrote_it(vocabulary: Vocabulary, house: Company) -> None:
    words = replace(vocabulary, fields={**vocabulary.fields, "pieces": {}}, field_kinds={"pieces": "number"})
    fills = {"rule": "fills", "then": {"set": {"custom.pieces": "12"}}}
    many = {"rule": "many", "when": {"custom.pieces": {"at_least": 9}}, "then": {"tag": "many"}}
    assert names(decided(words, house, fills, many)) == ["fills", "many"]
    assert names(decided(words, house, many, custom={"pieces": "12"})) == ["many"]
    assert names(decided(words, house, many, custom={"pieces": "a dozen"})) == []


def test_examples_can_expect_a_shadow_and_do_not_count_it_as_fired(vocabulary: Vocabulary, house: Company) -> None:
    text = yaml.safe_dump(
        {
            "rulebook": "b",
            "rules": [{"rule": "s", "mode": "shadow", "then": {"tag": "x"}}, TAGS],
            "tests": [{"name": "n", "given": {"text": "hi"}, "expect": {"shadow": "s", "not_fired": ["s"], "fired_exactly": ["r"]}}],
        }
    )  # fmt: skip
    assert run_tests(load({"t.yaml": text}, vocabulary), house) == []
    failing = text.replace("shadow: s", "shadow: r")
    assert [f.field for f in run_tests(load({"t.yaml": failing}, vocabulary), house)] == ["shadow"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"history": [{"agoo": "2h"}]}, "ago"),
        ({"since": {"craeted": "2h"}}, "created"),
        ({"tasks": [{"kind": "x"}]}, "type"),
        ({"contact": {"bucket": 100}}, "0 to 99"),
        ({"since": {"created": "soon"}}, "no duration"),
        ({"feedback": {"comment": "x"}}, "score"),
    ],
)
def test_an_example_that_cannot_be_meant_is_told(given: dict[str, Any], says: str, vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError) as raised:
        case(given, vocabulary)
    assert says in str(raised.value)


def test_calendars_and_shifts_say_where_they_are_wrong() -> None:
    good = {"people.yaml": "groups: {a: {}}\n", "types.yaml": "policies: {}\ntypes: {}\n"}
    wrong = {
        "calendars.yaml": [
            ("campaigns:\n  x: {from: 2026-11-11, until: 2026-11-01}\n", "calendars.yaml:2:32"),
            ("campaigns:\n  x: {from: soon, until: 2026-11-01}\n", "calendars.yaml:2:13"),
        ],
        "people.yaml": [
            ("groups: {a: {}}\nagents:\n  li: {groups: [a], shift: night}\n", "people.yaml:3:28"),
            ("groups: {a: {}}\nshifts:\n  day: {hours: {monday: 18:00-09:00}}\n", "people.yaml:3:25"),
        ],
        "outside.yaml": [
            ("outside:\n  w: {url: 'ftp://x/'}\n", "outside.yaml:2:12"),
            ("outside:\n  w: {url: 'http://x/', pick: 'a[['}\n", "outside.yaml:2:31"),
            ("outside:\n  w: {url: 'http://x/{city}'}\n", "outside.yaml:2:6"),
        ],
    }
    for file, texts in wrong.items():
        for text, place in texts:
            with pytest.raises(ConfigError) as raised:
                company({**dict.fromkeys(FILES, ""), **good, file: text})
            assert str(raised.value.where) == place, text


def test_what_happened_is_told_in_plain_words(vocabulary: Vocabulary, house: Company) -> None:
    rule = {
        "rule": "r",
        "when": [
            {"since": {"last_customer_message": {"more_than": "2d"}}},
            {"history": {"same": "order", "within": "7d", "count": {"at_least": 2}}},
            {"during": "double-11"},
        ],
        "then": {"tag": "x"},
    }
    given = {"now": "2026-11-11T12:00:00+08:00", "since": {"last_customer_message": "3d"}, "history": [{"order": "A1"}]}
    decision = decided(vocabulary, house, rule, extracted={"order_number": "A1"}, **given)
    zh, en = explain(decision, "zh", vocabulary)[0], explain(decision, "en", vocabulary)[0]
    assert "距离 客户上次发言 高于 2d（实为 3d），7d 内同订单的工单 2 张，正在进行的活动 含有 双十一" in zh
    assert "since.last_customer_message is more than 2d (found 3d), 2 tickets of the same order within 7d" in en
