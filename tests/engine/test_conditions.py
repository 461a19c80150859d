"""What conditions mean: every operator and every family of facts, on a case where it holds and on one where it does not."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from rule_samples import example, named, with_weather

from engine.company import Company
from engine.conditions import OPERATORS
from engine.decide import decide
from engine.facts import FIELDS, OPEN_FIELDS, bucket
from engine.rulebook import load
from engine.trial import case
from engine.vocabulary import TRIGGERS, Vocabulary
from normalizer.errors import ConfigError
from normalizer.marked import read

LATE = "2026-11-12T00:30:00+08:00"
DURING = "2026-11-11T12:00:00+08:00"


def fires(vocabulary: Vocabulary, house: Company, when: Any, given: Mapping[str, Any], on: str = "") -> bool:
    """Whether a rule with this condition is true on this case."""
    trigger = on or str(given.get("trigger", "ticket.created"))
    makes = {"rule": "makes", "on": trigger, "when": {"says": "zzz"}, "then": {"mark": {"churn_risk": "x"}}}
    rule = {"rule": "r", "on": trigger, "when": when, "then": {"tag": "hit"}}
    text = yaml.safe_dump({"rulebook": "b", "rules": [makes, rule]}, allow_unicode=True)
    decision = decide(load({"t.yaml": text}, vocabulary), house, case({**given, "trigger": trigger}, vocabulary))
    return [one.rule for one in decision.fired] == ["r"]


# by operator: the example of the reference holds on the first, and not on the second
OPERATOR_CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "is": ({"category": "complaint"}, {"category": "inquiry"}),
    "is_not": ({"status": "open"}, {"status": "closed"}),
    "in": ({"channel": "sms"}, {"channel": "email"}),
    "not_in": ({"language": "fr"}, {"language": "en-US"}),
    "at_least": ({"priority": "urgent"}, {"priority": "normal"}),
    "at_most": ({"sla": {"first_response": {"left": "30m"}}, "status": "open"}, {"sla": {"first_response": {"left": "31m"}}, "status": "open"}),
    "more_than": ({"extracted": {"amount": "1000.01 CNY"}}, {"extracted": {"amount": "5000.00 USD"}}),
    "less_than": ({"text": "1234"}, {"text": "12345"}),
    "between": ({"now": "2026-03-04T23:30:00+08:00"}, {"now": "2026-03-04T21:59:00+08:00"}),
    "before": ({"now": "2026-11-11T19:59:00+08:00"}, {"now": "2026-11-11T20:00:00+08:00"}),
    "after": ({"now": "2026-11-12T00:00:00+08:00"}, {"now": "2026-11-11T23:59:00+08:00"}),
    "within": ({"custom": {"purchased_on": "2025-06-01"}}, {"custom": {"purchased_on": "2024-06-01"}}),
    "has": ({"tags": ["Refund"]}, {"tags": ["other"]}),
    "has_any": ({"tags": ["return"]}, {"tags": []}),
    "has_all": ({"tags": ["refund", "vip", "x"]}, {"tags": ["vip"]}),
    "starts_with": ({"subject": "fw: parcel"}, {"subject": "about RE: it"}),
    "ends_with": ({"from": "li@pku.edu.cn"}, {"from": "li@pku.edu"}),
    "matches": ({"extracted": {"order_number": "JD123456"}}, {"extracted": {"order_number": "XJD123456"}}),
    "exists": ({"extracted": {"order_number": "1"}}, {}),
    "says": ({"text": "包裹没收到"}, {"text": "包裹收到了"}),
    "says_all": ({"text": "退款，还有发票"}, {"text": "退款，不需要发票"}),
    "says_none": ({"text": "请问几点营业"}, {"text": "我要投诉"}),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_the_example_of_an_operator_means_what_it_says(name: str, vocabulary: Vocabulary, house: Company) -> None:
    when = read(OPERATORS[name].example, "example").value
    holds, fails = OPERATOR_CASES[name]
    assert fires(vocabulary, house, when, {"text": "hi", **holds})
    assert not fires(vocabulary, house, when, {"text": "hi", **fails})


# a case on which every example of the reference holds
FULL: dict[str, Any] = {
    "text": "ABC 退款", "subject": "ABC", "language": "zh", "tags": ["x"], "channel": "email", "category": "inquiry",
    "subcategory": "account", "priority": "high", "status": "new", "type": "request", "sentiment": "negative",
    "group": "front-desk", "assignee": "wang-min", "intents": ["urge"], "attachments": ["A.png"], "to": ["A@x"],
    "cc": ["A@x"], "connector": "A", "account": "A", "from": "A@EXAMPLE.CN", "escalation_level": 1, "urge_count": 1,
    "reopen_count": 1, "acknowledged_before": True, "by": "person:A", "milestone": "accepted",
    "trigger": "ticket.created", "now": "2026-03-02T10:00:00+08:00", "kind": "message",
    "contact": {"tier": "normal", "name": "A", "locale": "zh", "proven": True, "bucket": 5, "attributes": {"plan": "A", "country": "CN"}},
    "custom": {"model": "A", "purchased_on": "2026-02-03"}, "marks": {"churn_risk": "A"},
    "extracted": {"order_number": "A1", "amount": "100 CNY"}, "load": {"group:refund": 1, "agent:xu-na": 1},
    "since": {"last_customer_message": "1h"}, "changed": {"status": ["new", "open"]},
    "sla": {"policy": "standard", "first_response": {"left": "1h"}},
    "tasks": [{"type": "refund-check", "group": "billing"}],
    "task": {"type": "A", "status": "open", "group": "front-desk", "assignee": "wang-min", "result": {"approved": "A"}},
    "feedback": {"score": 5, "comment": "A"}, "outside": {"weather": "A"},
    "review": {"verdict": "approved", "group": "front-desk", "reasons": ["A"]},
    "spf": "pass", "dkim": "pass", "dmarc": "pass",
}  # fmt: skip
# what one such case cannot be at the same time
ELSE: dict[str, dict[str, Any]] = {
    "review.needed": {"review": True},
    "clock.holiday": {"now": "2026-10-01T10:00:00+08:00"},
    "clock.campaigns": {"now": DURING},
    "clock.weekday": {"now": "2026-03-02T10:00:00+08:00"},
    "message.direction": {},
}
NOT_GIVEN = ("required_skills", "related.kinds", "helpdesks", "message.defects")  # no example can state these


@pytest.mark.parametrize("name", [*FIELDS, *OPEN_FIELDS])
def test_the_example_of_a_fact_holds_where_it_should(name: str, vocabulary: Vocabulary, house: Company) -> None:
    words = with_weather(vocabulary)
    field = FIELDS[name] if name in FIELDS else named(OPEN_FIELDS[name], words)
    when, given = read(example(field, words), "example").value, {**FULL, **ELSE.get(name, {})}
    assert fires(words, house, when, given) is (name not in NOT_GIVEN)
    assert fires(words, house, {"none": when}, given) is (name in NOT_GIVEN)


@pytest.mark.parametrize("trigger", [*TRIGGERS, "timer.call-back"])
def test_rules_run_on_every_trigger_that_there_is_and_on_no_other(
    trigger: str, vocabulary: Vocabulary, house: Company
) -> None:
    assert fires(vocabulary, house, {"trigger": trigger}, {"text": "hi"}, on=trigger)
    assert not fires(vocabulary, house, {"trigger": "ticket.create"}, {"text": "hi"}, on=trigger)


@pytest.mark.parametrize(
    ("when", "holds", "fails"),
    [
        # what people changed
        ({"changed": "status"}, {"changed": {"status": ["open", "solved"]}}, {"changed": {"priority": ["low", "high"]}}),
        ({"changed": ["status", "priority"]}, {"changed": {"priority": ["low", "high"]}}, {}),
        ({"changed": {"status": "solved"}}, {"changed": {"status": ["open", "solved"]}}, {"changed": {"status": ["solved", "open"]}}),
        ({"changed": {"status": {"from": "open", "to": "solved"}}}, {"changed": {"status": ["open", "solved"]}}, {"changed": {"status": ["new", "solved"]}}),
        ({"changed": {"status": {"from": "open", "to": {"is_not": "solved"}}}}, {"changed": {"status": ["open", "closed"]}}, {"changed": {"status": ["open", "solved"]}}),
        ({"changed": {"priority": {"to": {"at_least": "high"}}}}, {"changed": {"priority": ["low", "urgent"]}}, {"changed": {"priority": ["low", "normal"]}}),
        ({"changed": {"assignee": {"from": "wang-min", "to": {"is_not": "xu-na"}}}}, {"changed": {"assignee": ["wang-min", None]}}, {"status": "open"}),
        ({"changed": {"custom.model": "X"}}, {"changed": {"custom.model": ["Y", "X"]}}, {"changed": {"custom.model": ["X", "Y"]}}),
        # how long ago
        ({"since": {"last_customer_message": {"more_than": "2d"}}}, {"since": {"last_customer_message": "49h"}}, {"since": {"last_customer_message": "2d"}}),
        ({"since": {"last_agent_reply": {"within": "1h"}}}, {"since": {"last_agent_reply": "60m"}}, {"since": {"last_agent_reply": "61m"}}),
        ({"since": {"last_agent_reply": {"exists": False}}}, {}, {"since": {"last_agent_reply": "1m"}}),
        ({"since": {"created": {"at_least": 90}}}, {"since": {"created": "1h30m"}}, {"since": {"created": "89m"}}),
        # history
        ({"history": {"within": "2d", "status": "solved", "count": {"at_least": 1}}}, {"history": [{"status": "solved", "ago": "1d"}]}, {"history": [{"status": "open", "ago": "1d"}]}),
        ({"history": {"within": "2d", "priority": ["high", "urgent"], "count": {"between": [1, 2]}}}, {"history": [{"priority": "urgent", "ago": "1d"}]}, {"history": [{"priority": "low", "ago": "1d"}]}),
        ({"history": {"same": "order", "within": "7d", "count": {"more_than": 1}}}, {"extracted": {"order_number": "A1"}, "history": [{"order": "A1"}]}, {"extracted": {"order_number": "A1"}, "history": [{"order": "A2"}]}),
        ({"history": {"same": ["contact", "order"], "within": "7d", "count": {"at_least": 2}}}, {"custom": {"order_number": "A1"}, "history": [{"order": "A1"}]}, {"history": [{"order": ""}]}),
        ({"history": {"same": "category", "within": "7d", "count": {"is": 2}}}, {"category": "inquiry", "history": [{"category": "inquiry"}, {"category": "complaint"}]}, {"history": [{"category": "inquiry"}]}),
        ({"history": {"within": "7d", "count": {"not_in": [1, 2]}}}, {"history": [{}, {}]}, {"history": [{}]}),
        # word lists and folding, for any text or choice
        ({"subject": {"list": "fraud-words"}}, {"subject": "诈骗"}, {"subject": "发票"}),
        ({"subject": {"starts_with": {"list": "fraud-words"}}}, {"subject": "诈骗电话"}, {"subject": "电话诈骗"}),
        ({"tags": {"has_any": [{"list": "fraud-words"}, "extra"]}}, {"tags": ["extra"]}, {"tags": ["other"]}),
        ({"says": {"list": "fraud-words"}}, {"text": "我的卡被盗刷了"}, {"text": "不是诈骗"}),
        ({"says": {"list": ["fraud-words"], "denied": "include"}}, {"text": "不是诈骗"}, {"text": "是的"}),
        # sums
        ({"extracted.amount": {"between": ["100 CNY", "200 CNY"]}}, {"extracted": {"amount": "200.00 CNY"}}, {"extracted": {"amount": "150.00 USD"}}),
        ({"extracted.amount": "99.5 元"}, {"extracted": {"amount": "99.50 CNY"}}, {"extracted": {"amount": "99.50 USD"}}),
        ({"extracted.amount": {"is_not": "1 CNY"}}, {}, {"extracted": {"amount": "1.00 CNY"}}),
        ({"extracted.amount": {"at_most": "¥1,000"}}, {"extracted": {"amount": "1000 CNY"}}, {"extracted": {"amount": "1000.01 CNY"}}),
        # days
        ({"custom.purchased_on": {"before": "2026-01-01"}}, {"custom": {"purchased_on": "2025年12月31日"}}, {"custom": {"purchased_on": "soon"}}),
        ({"custom.purchased_on": {"within": "30d"}}, {"custom": {"purchased_on": "2026/2/10"}}, {"custom": {"purchased_on": "2026-04-01"}}),
        ({"custom.purchased_on": {"between": ["2026-01-01", "2026-01-31"]}}, {"custom": {"purchased_on": "2026-01-31"}}, {"custom": {"purchased_on": "2026-02-01"}}),
        ({"clock.date": {"ends_with": "-11-11"}}, {"now": DURING}, {"now": LATE}),
        ({"clock.time": {"before": "09:00"}}, {"now": "2026-03-04T08:59:00+08:00"}, {"now": "2026-03-04T09:00:00+08:00"}),
        ({"clock.time": {"after": "18:00"}}, {"now": "2026-03-04T18:01:00+08:00"}, {"now": "2026-03-04T18:00:00+08:00"}),
        ({"during": "双十一"}, {"now": DURING}, {"now": LATE}),
        ({"none": {"during": ["618", "double-11"]}}, {"now": LATE}, {"now": "2026-06-20T23:59:00+08:00"}),
        # people, promises, tasks
        ({"load.on_shift.front-desk": {"at_most": 0}}, {"now": "2026-03-07T10:00:00+08:00"}, {"now": "2026-03-04T15:00:00+08:00"}),
        ({"sla.first_response.left": {"less_than": "0m"}}, {"sla": {"first_response": {"left": "-1m"}}}, {"sla": {"first_response": {"left": "1m"}}}),
        ({"sla.first_response.missed": True}, {"sla": {"first_response": {"left": "-1m"}}}, {"sla": {"first_response": {"left": "5m", "met": True}}}),
        ({"sla.milestone": "solved"}, {"milestone": "solved", "sla": {"solved": {}}}, {"milestone": "first_response"}),
        ({"task.open": {"more_than": 1}}, {"tasks": [{}, {"status": "doing"}, {"status": "done"}]}, {"tasks": [{}, {"status": "done"}]}),
        ({"task.open.type.refund": 1}, {"tasks": [{"type": "refund"}, {"type": "other"}]}, {"tasks": [{"type": "refund", "status": "cancelled"}]}),
        ({"task.open.group.billing": {"at_least": 1}}, {"tasks": [{"group": "billing"}]}, {"tasks": [{"group": "refund"}]}),
        ({"task.status": "done", "task.result.approved": "yes"}, {"task": {"status": "done", "result": {"approved": "yes"}}}, {"task": {"status": "done"}}),
        ({"feedback.score": {"at_most": 2}}, {"feedback": 2}, {"feedback": 3}),
        ({"feedback.satisfied": False}, {"feedback": {"score": 1}}, {}),
        ({"contact.country": "US"}, {"contact": {"locale": "en-US"}}, {"contact": {"locale": "en"}}),
        ({"by": {"starts_with": "person:"}}, {"by": "person:li"}, {"by": "key:ab"}),
    ],
    ids=str,
)  # fmt: skip
def test_a_condition_holds_and_does_not(
    when: Any, holds: dict[str, Any], fails: dict[str, Any], vocabulary: Vocabulary, house: Company
) -> None:
    assert fires(vocabulary, house, when, {"text": "hi", **holds})
    assert not fires(vocabulary, house, when, {"text": "hi", **fails})


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "(x+x+)+y", "([a-z]+)*$"])
def test_no_pattern_takes_longer_than_its_text(pattern: str, vocabulary: Vocabulary, house: Company) -> None:
    began = time.monotonic()
    fires(vocabulary, house, {"message.text": {"matches": pattern}}, {"text": "ax" * 20_000 + "!"})
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("pattern", ["(?=x)y", r"(a)\1", "(?<!x)y", "a{1,100000}"])
def test_a_pattern_that_could_be_slow_is_refused(pattern: str, vocabulary: Vocabulary, house: Company) -> None:
    with pytest.raises(ConfigError) as raised:
        fires(vocabulary, house, {"message.text": {"matches": pattern}}, {"text": "x"})
    assert raised.value.code == "pattern"


def test_a_contact_is_in_one_hundredth_for_ever() -> None:
    assert [bucket(f"contact-{n}") for n in range(5)] == [bucket(f"contact-{n}") for n in range(5)]
    spread = [sum(bucket(f"c{n}") < 10 for n in range(10_000))]
    assert 800 < spread[0] < 1200
