"""The rulebooks that come with the project do what the source describes; their own examples say so too."""

import pytest

from engine.acknowledgement import VARIABLES, language, parts, plain, variables, variants
from engine.company import Company
from engine.decide import decide
from engine.decision import Acknowledge, HandOver
from engine.rulebook import findings
from engine.ruleset import RuleSet
from engine.trial import case, run_tests, trials
from engine.vocabulary import Vocabulary
from normalizer.canon import Choice, Kind
from normalizer.errors import ConfigError

EXAMPLE = "订单号5，物流显示已签收但未收到货"


def test_they_can_be_read(rulebooks: dict[str, str], vocabulary: Vocabulary) -> None:
    assert [str(finding) for finding in findings(rulebooks, vocabulary)] == []


def test_their_own_examples_hold(rules: RuleSet, house: Company) -> None:
    assert [str(failure) for failure in run_tests(rules, house)] == []


def test_each_rule_fires_in_an_example(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    fired = {f.rule for t in trials(rules.texts, vocabulary) for f in decide(rules, house, t.case).fired}
    assert {rule.name for rule in rules.rules} - fired == set()


def test_the_example_of_the_source(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    decision = decide(rules, house, case({"language": "zh", "category": "售后", "text": EXAMPLE}, vocabulary))
    ticket = decision.ticket
    assert ticket.category
    assert ticket.subcategory
    assert ticket.group
    assert vocabulary.label("category", ticket.category.value, "zh") == "售后"
    assert vocabulary.label("subcategory", ticket.subcategory.value, "zh", ticket.category.value) == "物流异常"
    assert (ticket.priority.value, vocabulary.label("priority", ticket.priority.value, "zh")) == ("normal", "中")
    assert ticket.group.value == "logistics"
    assert Acknowledge("received") in decision.effects
    assert HandOver(("all",)) in decision.effects
    told = variables(ticket, decision.case.contact, house, vocabulary, "zh")
    assert told["promise"] == "4 小时内"
    assert told["due"] == "3月4日（周三）16:00"


@pytest.mark.parametrize(
    "kind", sorted(set(Kind) - {Kind.MESSAGE, Kind.EDIT, Kind.POSTBACK, Kind.CALL, Kind.RECORDING})
)
def test_what_is_not_a_customer_speaking_is_never_answered(
    kind: Kind, rules: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    at = case({"kind": kind, "category": "售后", "contact": {"tier": "vip"}, "text": EXAMPLE}, vocabulary)
    decision = decide(rules, house, at)
    assert not any(isinstance(effect, Acknowledge) for effect in decision.effects)
    assert any(reason.startswith("acknowledge: ") for reason in decision.withheld)


def test_what_the_rules_would_answer_is_not_if_it_may_not_be(
    rules: RuleSet, house: Company, vocabulary: Vocabulary
) -> None:
    decision = decide(rules, house, case({"answerable": False, "category": "售后", "text": EXAMPLE}, vocabulary))
    assert "acknowledge: not answerable" in decision.withheld


@pytest.mark.parametrize(
    ("spoken", "answered"), [("zh", "zh"), ("zh-Hant", "zh"), ("en-GB", "en"), ("fr", "en"), ("", "zh")]
)
def test_the_answer_is_in_the_customers_language(spoken: str, answered: str, vocabulary: Vocabulary) -> None:
    at = case({"language": spoken}, vocabulary)
    assert language(at.ticket, at.contact) == answered


def test_templates_use_only_variables_there_are_and_promise_nothing_by_themselves(vocabulary: Vocabulary) -> None:
    import re
    from pathlib import Path

    folder = Path(__file__).parents[2] / "rules" / "templates"
    for path in folder.iterdir():
        text = path.read_text()
        assert text.startswith("subject: ")
        used = re.findall(r"{{ *(\w+)|{% if (\w+)", text)
        assert {a or b for a, b in used} <= set(VARIABLES), path.name
        plain = re.sub(r"{[{%].*?[%}]}|score:\d=", "", text)
        assert not re.search(r"\d|小时|分钟|\bhours?\b|\bminutes?\b", plain), f"{path.name} promises in fixed text"
        promising = {"promise"} if path.name.startswith("received") else set()
        if path.name.startswith(("received.", "received-vip.")):  # at night the promise is a day and hour itself
            promising.add("due")
        assert {"number", *promising} <= {a or b for a, b in used}
    assert all({"zh", "en"} <= languages for languages in vocabulary.templates.values())


def test_a_rendered_template_is_subject_and_words() -> None:
    assert parts("subject: Hello  there\n\nWords\nmore\n\n", "en") == ("en", "Hello there", "Words\nmore\n", ())
    assert parts("Just words", "zh") == ("zh", "", "Just words\n", ())
    assert parts("Note: these are words", "en").text == "Note: these are words\n"


def test_a_template_may_offer_buttons() -> None:
    said = parts("subject: 已处理\nchoices: solved=解决了，unsolved=还没有, 谢谢\n\n请确认", "zh")
    assert said == (
        "zh",
        "已处理",
        "请确认\n",
        (Choice("solved", "解决了"), Choice("unsolved", "还没有"), Choice("谢谢", "谢谢")),
    )


def test_a_chat_is_answered_by_the_nearest_template() -> None:
    assert variants("received", "sms") == ("received.sms", "received.chat", "received")
    assert variants("received", "email") == ("received.email", "received")
    assert [plain(name) for name in ("received.chat", "received.sms", "received", "v1.2")] == [
        "received",
        "received",
        "received",
        "v1.2",
    ]


@pytest.mark.parametrize(
    ("example", "line", "said"),
    [
        ("{name: x, given: {catgory: y}, expect: {priority: high}}", 3, "catgory"),
        ("{name: x, given: {category: nonsense}, expect: {priority: high}}", 3, "nonsense"),
        ("{name: x, given: {}, expect: {priorty: high}}", 3, "priorty"),
        ("{name: x, given: {}, expect: {group: nobody}}", 3, "nobody"),
        ("{name: x, given: {history: [{ago: soon}]}, expect: {}}", 3, "soon"),
        ("{name: x, given: {channel: pigeon}, expect: {}}", 3, "pigeon"),
        ("{name: x, given: {trigger: never}, expect: {}}", 3, "never"),
        ("{name: x, given: {kind: song}, expect: {}}", 3, "song"),
        ("{name: x, given: {contact: me}, expect: {}}", 3, "used"),
    ],
)
def test_an_example_that_cannot_be_read_is_told_at_its_place(
    example: str, line: int, said: str, vocabulary: Vocabulary
) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        trials({"t.yaml": f"rulebook: t\ntests:\n  - {example}\nrules: []"}, vocabulary)
    assert raised.value.where.line == line


def test_an_example_that_fails_says_what_came_instead(house: Company, vocabulary: Vocabulary) -> None:
    from engine.rulebook import load

    text = "rulebook: t\nrules: [{rule: a, then: {raise: high}}]\ntests:\n  - {name: n, given: {}, expect: {priority: 低, fired: [b], review: true}}"
    failures = run_tests(load({"t.yaml": text}, vocabulary), house)
    assert [str(failure) for failure in failures] == [
        "t.yaml:4:35: n: priority is 'high', not '低'",
        "t.yaml:4:48: n: fired is ['a'], not ['b']",
        "t.yaml:4:60: n: review is None, not True",
    ]
