"""Why a rule did not fire, condition by condition, in Chinese and English."""

from typing import Any

import pytest

from engine.company import Company
from engine.decide import decide
from engine.decision import Decision
from engine.rulebook import load
from engine.ruleset import RuleSet
from engine.trial import case
from engine.vocabulary import Vocabulary
from engine.why_not import WhyNot, names, near_misses, told, told_near, why_not

BOOK = """
rulebook: lanes
rules:
  - rule: third-complaint
    when: {category: complaint, history: {same: contact, category: complaint, within: 24h, count: {at_least: 3}}}
    then: {mark: {churn_risk: high}}
  - rule: senior
    when: {any: [{mark.churn_risk: high}, {contact.tier: vip}], none: [{message.length: {more_than: 100}}]}
    then: {route: senior, set: {priority: high}}
    layer: customer
  - rule: plain
    when: {category: complaint}
    then: {route: aftersales, set: {priority: low}}
  - rule: plainer
    when: {category: complaint}
    then: {set: {subject: x}}
    mode: shadow
  - rule: later
    on: message.received
    when: {category: complaint}
    then: {tag: again}
  - rule: festival
    valid: {from: 2020-01-01, until: 2020-01-02}
    when: {category: complaint}
    then: {tag: festival}
  - first: desk
    rules:
      - {rule: one, when: {category: complaint}, then: {tag: a}}
      - {rule: two, when: {language: zh}, then: {tag: b}}
"""
PAST = [{"category": "投诉", "ago": "2h"}]


@pytest.fixture
def lanes(vocabulary: Vocabulary) -> RuleSet:
    return load({"lanes.yaml": BOOK}, vocabulary)


def asked(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary, rule: str, **given: Any
) -> tuple[list[WhyNot], Decision]:
    made = decide(lanes, house, case({"language": "zh", "category": "投诉", "text": "又坏了", **given}, vocabulary))
    return why_not(lanes, house, made, rule), made


@pytest.mark.parametrize(
    ("rule", "state"),
    [
        ("third-complaint", "conditions"), ("senior", "conditions"), ("plain", "fired"), ("plainer", "shadow"),
        ("later", "trigger"), ("festival", "campaign"), ("desk/two", "row"),
    ],
)  # fmt: skip
def test_what_became_of_each_rule(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary, rule: str, state: str
) -> None:
    (found,), _ = asked(lanes, house, vocabulary, rule)
    assert found.state == state


def test_each_condition_tells_whether_it_held_and_what_was_there(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    found, made = asked(lanes, house, vocabulary, "third-complaint", history=PAST)
    assert told(found, made, "zh", vocabulary) == [
        "规则 third-complaint 未触发。",
        "  ✓ 一级分类 等于 投诉",
        "  ✗ 24h 内投诉工单 2 张（要求不低于 3）",
        "  差一点：只差 24h 内投诉工单 2 张（要求不低于 3）",
    ]
    assert told(found, made, "en", vocabulary)[1:3] == [
        "  ✓ category is Complaint",
        "  ✗ 2 tickets (Complaint) within 24h (wanted: is at least 3)",
    ]


def test_the_facts_are_those_after_the_rules_it_depends_on(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    (found,), _ = asked(lanes, house, vocabulary, "senior", history=PAST * 2, text="长" * 101)
    held = {(one.seen.field, one.held, one.within) for one in found.checked}
    assert held == {
        ("mark.churn_risk", True, "any"), ("contact.tier", False, "any"), ("message.length", True, "none"),
    }  # fmt: skip
    assert [one.field for one in found.missing] == ["message.length"]


def test_of_alternatives_the_nearest_is_what_was_missing(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    (found,), _ = asked(lanes, house, vocabulary, "senior")
    assert len(found.missing) == 1


def test_whoever_won_over_its_writes_is_told(lanes: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    found, made = asked(lanes, house, vocabulary, "plain", history=PAST * 2)
    assert "  技能组 被更高层的规则 senior 决定。" in told(found, made, "zh", vocabulary)
    assert "  group was decided by rule senior of a higher layer." in told(found, made, "en", vocabulary)


def test_a_row_names_the_one_before_it_and_a_first_tells_of_each(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    found, made = asked(lanes, house, vocabulary, "desk")
    assert [one.state for one in found] == ["fired", "row"]
    assert "规则 desk/two 的条件成立，但同组的 desk/one 排在前面，先触发了。" in told(found, made, "zh", vocabulary)


def test_a_rule_there_is_not_is_told(lanes: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    found, made = asked(lanes, house, vocabulary, "nothing")
    assert told(found, made, "en", vocabulary, "nothing") == ["there is no rule nothing."]


def test_a_rule_of_almost_that_name_is_proposed_and_a_later_one_is_told_to_be_later(
    lanes: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    found, made = asked(lanes, house, vocabulary, "third-complaints")
    assert told(found, made, "zh", vocabulary, "third-complaints", names(lanes)) == [
        "没有规则 third-complaints，是不是 third-complaint？"
    ]
    (later,) = told(found, made, "en", vocabulary, "brand-new", names(lanes), ["brand-new"])
    assert "it came later" in later


def test_a_word_that_was_said_only_to_deny_it_is_told(house: Company, vocabulary: Vocabulary) -> None:
    book = "rulebook: b\nrules:\n  - {rule: a, when: {says: [发票, 专票]}, then: {tag: a}}\n"
    rules = load({"b.yaml": book}, vocabulary)
    found, made = asked(rules, house, vocabulary, "a", text="我不需要发票")
    assert found[0].checked[0].denied == ("发票",)
    assert any("客户提到了 发票，但" in line for line in told(found, made, "zh", vocabulary))
    assert any("to deny it" in line for line in told(found, made, "en", vocabulary))
    silent, made = asked(rules, house, vocabulary, "a", text="我要退款")
    assert not any("客户提到了" in line for line in told(silent, made, "zh", vocabulary))


def test_the_nearest_to_firing_come_first(lanes: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    _, made = asked(lanes, house, vocabulary, "senior", history=PAST)
    near = near_misses(lanes, house, made)
    assert [one.rule.name for one in near] == ["third-complaint"]
    assert told_near(near, made, "zh", vocabulary) == [
        "最接近触发的规则：third-complaint，差 24h 内投诉工单 2 张（要求不低于 3）"
    ]


def test_every_rule_that_fired_is_told_to_have_fired(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    for text in ("还没退款", "物流显示已签收但未收到货", "服务太差，我要投诉"):
        made = decide(rules, house, case({"language": "zh", "category": "投诉", "text": text}, vocabulary))
        fired = {one.rule for one in made.fired}
        for rule in rules.rules:
            (found, *_) = [one for one in why_not(rules, house, made, rule.name) if one.rule.name == rule.name]
            assert (found.state in ("fired", "shadow")) == (rule.name in fired)
            if found.state == "conditions":
                assert found.missing


def test_a_count_that_was_too_low_tells_what_was_wanted(lanes: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    found, made = asked(lanes, house, vocabulary, "third-complaint", history=PAST)
    assert any("2 张（要求不低于 3）" in line for line in told(found, made, "zh", vocabulary))
    assert any(
        "2 tickets (Complaint) within 24h (wanted: is at least 3)" in line
        for line in told(found, made, "en", vocabulary)
    )


def test_a_rule_that_fired_in_vain_tells_why_nothing_was_done(house: Company, vocabulary: Vocabulary) -> None:
    book = """
rulebook: t
rules:
  - rule: thanks
    when: {language: {exists: true}, order_number: {exists: false}, says: [坏了, broken]}
    then: {acknowledge: received}
  - rule: invoice
    when: {says: [开票, 抬头]}
    then: {tag: invoice}
"""
    ruleset = load({"t.yaml": book.replace("order_number", "extracted.order_number")}, vocabulary)
    given = {"language": "zh", "text": "又坏了", "answerable": False}
    made = decide(ruleset, house, case(given, vocabulary))
    zh = told(why_not(ruleset, house, made, "thanks"), made, "zh", vocabulary)
    assert zh[0] == "规则 thanks 触发了。"
    assert "  ✓ 客户的语言 有值" in zh
    assert zh[-1] == "  但未执行：自动回复——该来件不可自动回复。"
    (_, failed, *_) = told(why_not(ruleset, house, made, "invoice"), made, "zh", vocabulary)
    assert failed == "  ✗ 提到 开票、抬头（实为 无）"
