"""durable_rules is given only what it takes safely; what is beyond is said, and decided by the native kernel."""

import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from plain import naive

from engine.company import Company
from engine.decide import decide
from engine.decision import Case
from engine.kernels import durable
from engine.kernels.choice import run_on
from engine.kernels.durable import Durable, Unavailable
from engine.rulebook import load
from engine.ruleset import RuleSet
from engine.trial import case
from engine.vocabulary import Vocabulary

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 13), reason="durable_rules cannot be imported on Python 3.13")


class Both:
    """The same rules on durable_rules and by plain evaluation."""

    def __init__(self, vocabulary: Vocabulary, company: Company) -> None:
        self.vocabulary, self.company = vocabulary, company
        self.told: Counter[str] = Counter()

    def of(self, *rules: dict[str, Any]) -> "Both":
        text = json.dumps({"rulebook": "t", "rules": rules}, ensure_ascii=False)
        native = load({"t.yaml": text}, self.vocabulary)
        self.plain = naive(native)
        self.durable = run_on(native, "durable", lambda reason: self.told.update([reason]))
        self.kernel.name = "native"  # so that decisions can be compared by their hash
        return self

    @property
    def kernel(self) -> Durable:
        assert isinstance(self.durable.kernel, Durable)
        return self.durable.kernel

    def agree(self, given: dict[str, Any]) -> list[str]:
        """Both decide alike; gives the rules that fired."""
        at = case(given, self.vocabulary)
        decision = decide(self.durable, self.company, at)
        assert decision.hash == decide(self.plain, self.company, at).hash
        return [fired.rule for fired in decision.fired]


@pytest.fixture
def both(vocabulary: Vocabulary, house: Company) -> Both:
    return Both(vocabulary, house)


def words(count: int) -> list[dict[str, Any]]:
    return [{"rule": f"r{i:04}", "when": {"says": f"word{i}x"}, "then": {"tag": f"t{i % 7}"}} for i in range(count)]


def test_more_tests_than_one_node_may_have_are_spread_over_several_sets(both: Both) -> None:
    both.of(*words(1_200))  # 512 under one node hang
    for i in (0, 1, 199, 200, 511, 512, 1_199):
        assert both.agree({"text": f"word{i}x and word{(i + 3) % 1_200}x"}) == sorted(
            {f"r{i:04}", f"r{(i + 3) % 1_200:04}"}
        )
    assert both.told == Counter()


def test_rules_with_the_same_condition_are_one_to_the_library(both: Both) -> None:
    same = [{"rule": f"r{i:03}", "when": {"category": "complaint"}, "then": {"tag": "a"}} for i in range(300)]
    both.of(*same)  # 256 at one node crash
    assert len(both.agree({"category": "complaint"})) == 300
    assert both.agree({"category": "inquiry"}) == []


def test_a_fact_with_more_true_tests_than_it_keeps_is_decided_by_the_native_kernel(both: Both) -> None:
    both.of(*words(150))
    everything = " ".join(f"word{i}x" for i in range(150))
    assert len(both.agree({"text": everything})) == 150
    assert both.told == Counter(wide=1)
    assert both.agree({"text": "word7x"}) == ["r0007"]  # the next one it decides itself
    assert both.told == Counter(wide=1)


def test_many_bounds_that_hold_at_once_stay_within_what_it_keeps(both: Both) -> None:
    bounds = [
        {"rule": f"r{i:03}", "when": {"message.length": {"at_least": i}}, "then": {"tag": "a"}} for i in range(150)
    ]
    both.of(*bounds)
    for length in (0, 1, 64, 65, 149, 150, 400):
        assert len(both.agree({"text": "x" * length})) == min(length + 1, 150)
    assert both.told == Counter()


def test_a_rule_of_too_many_alternatives_is_told_with_its_place(both: Both) -> None:
    parts = [{"any": [{"tags": f"a{i}"}, {"mark.m": f"b{i}"}, {"category": "complaint"}]} for i in range(9)]
    both.of(
        {"rule": "wide", "when": parts, "then": {"tag": "x"}},
        {"rule": "plain", "when": {"category": "inquiry"}, "then": {"mark": {"m": "b0"}}},
    )
    (left,) = both.kernel.outside
    assert str(left) == "t.yaml:1:29: kernel wide is decided by the native kernel: it comes to 513 alternatives" or (
        left.unit == "wide" and "alternatives" in left.why and left.where.line == 1
    )
    assert both.told == Counter(compiled=1)
    assert both.agree({"tags": [f"a{i}" for i in range(9)]}) == ["wide"]
    assert both.agree({"category": "inquiry"}) == ["plain"]


def test_a_failure_of_the_library_costs_no_decision(both: Both) -> None:
    both.of(*words(3))
    engine = durable.library()
    for index in both.kernel._indexes:
        for part in index["ticket.created"].parts:
            for handle in part._handles:
                engine.delete_ruleset(handle)  # behind its back: from now on the handle is nothing
            part._handles.clear()
    assert both.agree({"text": "word1x"}) == ["r0001"]
    assert both.told == Counter(failed=1)
    assert both.agree({"text": "word2x"}) == ["r0002"]  # by a new handle
    assert both.told == Counter(failed=1)


def test_threads_that_ask_at_the_same_time_do_not_meet(both: Both) -> None:
    both.of(*words(60), {"rule": "z", "when": {"tags": "t1"}, "then": {"raise": "high"}})
    given = [{"text": f"word{i}x word{i + 1}x"} for i in range(58)] * 20

    def asked(one: dict[str, Any]) -> list[str]:
        return both.agree(one)

    was = sys.getswitchinterval()
    sys.setswitchinterval(0.00001)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(asked, given))
    finally:
        sys.setswitchinterval(was)
    assert all(f"r{i % 58:04}" in fired for i, fired in enumerate(found))
    assert both.told == Counter()


def test_texts_numbers_and_flags_of_every_make_reach_it_as_whole_numbers(both: Both) -> None:
    both.of(
        {"rule": "quote", "when": {"extracted.order_number": 'O"1\\'}, "then": {"tag": "a"}},
        {"rule": "long", "when": {"subject": {"is": "x" * 70_000}}, "then": {"tag": "b"}},
        {"rule": "small", "when": {"category.confidence": {"at_least": 1e-7}}, "then": {"tag": "c"}},
        {"rule": "absent", "when": {"none": [{"category.confidence": {"at_most": 1}}]}, "then": {"tag": "d"}},
        {"rule": "always", "then": {"tag": "e"}},
        {"rule": "never", "when": {"any": [{"all": [{"category": "inquiry"}, {"category": "complaint"}]}]}, "then": {"tag": "f"}},
    )  # fmt: skip
    assert both.agree({"extracted": {"order_number": 'o"1\\'}}) == ["absent", "always", "quote"]
    assert both.agree({"subject": "x" * 70_000}) == ["absent", "always", "long"]
    assert both.agree({"category": "inquiry", "confidence": 1e-7}) == ["always", "small"]
    assert both.agree({"category": "inquiry", "confidence": 1e-8}) == ["always"]
    assert both.told == Counter()


def test_without_the_library_it_says_what_to_install(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset = both.of(*words(1)).plain
    monkeypatch.setitem(sys.modules, "durable_rules_engine", None)
    with pytest.raises(Unavailable, match=r"extra `durable`, Python before 3\.13"):
        run_on(RuleSet(**{**_fields(ruleset), "kernel": _Other()}), "durable")


class _Other:
    name = "other"


def _fields(ruleset: RuleSet) -> dict[str, Any]:
    return {name: getattr(ruleset, name) for name in RuleSet.__dataclass_fields__}


@pytest.fixture(params=["native", "durable"])
def hostile(request: pytest.FixtureRequest, vocabulary: Vocabulary) -> RuleSet:
    patterns = ["(a*)*b", "(a|a)*c", "(.*a){20}", "^(([a-z])+.)+[A-Z]([a-z])+$", "(x+x+)+y"]
    rules = [
        {"rule": f"p{i}", "when": {"message.text": {"matches": p}}, "then": {"tag": "a"}}
        for i, p in enumerate(patterns)
    ]
    return run_on(load({"t.yaml": json.dumps({"rulebook": "t", "rules": rules})}, vocabulary), request.param)


def test_patterns_that_hang_others_slow_no_decision(hostile: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    """Each of these takes a backtracking matcher longer than anybody lives; RE2 takes time by the length alone."""
    at: Case = case({"text": "a" * 30 + "x" * 50_000}, vocabulary)
    since = time.process_time()
    decide(hostile, house, at)
    assert time.process_time() - since < 2
