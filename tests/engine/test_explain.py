"""Plain sentences about a decision."""

import re
from dataclasses import replace

import pytest

from engine.company import Company
from engine.decide import decide
from engine.explain import explain
from engine.ruleset import RuleSet
from engine.trial import case, trials
from engine.vocabulary import Vocabulary


@pytest.fixture
def told(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> dict[str, str]:
    given = {
        "language": "zh", "category": "投诉", "text": "还是没解决", "contact": {"tier": "normal"},
        "history": [{"category": "投诉", "ago": "2h"}, {"category": "投诉", "ago": "3h"}],
    }  # fmt: skip
    decision = decide(rules, house, case(given, vocabulary))
    return {language: "\n".join(explain(decision, language, vocabulary, house)) for language in ("zh", "en")}


def test_in_chinese(told: dict[str, str]) -> None:
    assert (
        "规则 third-complaint-in-a-day（24 小时内第 3 次投诉）：一级分类 等于 投诉，24h 内投诉工单 3 张 → 标记 churn_risk=high"
        in told["zh"]
    )
    assert "分派到 资深组（选待处理最少者）" in told["zh"]
    assert "技能组：无 → 资深组，由规则 seniors-for-churn-risk 决定，胜过 who-handles-it/complaints" in told["zh"]
    assert "首次响应承诺：2 小时内（最晚 3月4日（周三）14:00）" in told["zh"]


def test_in_english(told: dict[str, str]) -> None:
    assert "category is Complaint, 3 tickets (Complaint) within 24h -> mark churn_risk=high" in told["en"]
    assert (
        "group: nothing -> Senior desk, decided by rule seniors-for-churn-risk over who-handles-it/complaints"
        in told["en"]
    )
    assert "promised first response: within 2 hours (Wed 4 March, 14:00 (UTC+8) at the latest)" in told["en"]


def test_what_was_withheld_is_told(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    decision = decide(rules, house, case({"kind": "auto_reply", "answerable": False, "category": "咨询"}, vocabulary))
    assert "未执行：自动回复——该来件不可自动回复 (auto_reply)" in explain(decision, "zh", vocabulary)
    assert "withheld: acknowledge: not answerable (auto_reply)" in explain(decision, "en", vocabulary)


def test_nothing_fired_is_told(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    decision = decide(rules, house, case({"trigger": "contact.bounced"}, vocabulary))
    assert explain(decision, "zh", vocabulary)[0] == "没有规则触发"
    assert explain(decision, "en", vocabulary)[-1] == "promised first response: within 4 hours"


def test_every_example_can_be_told_without_holes(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    for trial in trials(rules.texts, vocabulary):
        decision = decide(rules, house, trial.case)
        for language in ("zh", "en"):
            sentences = explain(decision, language, vocabulary, house)
            assert len(sentences) >= max(1, len(decision.fired))
            assert not any(re.search(r"None|{\w*}|\(\)", sentence) for sentence in sentences), sentences
        assert explain(replace(decision, fired=()), "en", vocabulary)
