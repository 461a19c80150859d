"""No order plays a part: files, rules and facts shuffled, rules renamed, and the index against a plain evaluator."""

import json
import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any as Anything

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plain import naive

from engine.company import Company
from engine.decide import decide
from engine.decision import Decision, WaitFor
from engine.rulebook import load
from engine.ruleset import RuleSet, Unit
from engine.stages import stages
from engine.trial import case
from engine.vocabulary import Vocabulary
from normalizer.canon import Pending, Ticket

MANY = settings(
    max_examples=int(os.environ.get("EXAMPLES", "100")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TAGS, MARKS, WORDS_SAID = ["a", "b", "c"], ["m", "n"], ["退款", "refund", "物流", "没收到", "vip"]
CATEGORIES = ["complaint", "inquiry", "after_sales"]

leaf = st.one_of(
    st.builds(lambda c: {"category": c}, st.sampled_from(CATEGORIES)),
    st.builds(lambda c: {"category": {"not_in": c}}, st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=2)),
    st.builds(lambda c: {"category": {"exists": c}}, st.booleans()),
    st.builds(lambda x, op: {"category.confidence": {op: x}}, st.sampled_from([0.2, 0.5, 1.0]), st.sampled_from(["less_than", "at_least", "at_most", "more_than"])),
    st.builds(lambda s: {"subcategory": s}, st.sampled_from(["refund", "logistics"])),
    st.builds(lambda t: {"tags": t}, st.sampled_from(TAGS)),
    st.builds(lambda t, op: {"tags": {op: t}}, st.lists(st.sampled_from(TAGS), min_size=1, max_size=2), st.sampled_from(["has_any", "has_all", "not_in"])),
    st.builds(lambda t: {"tags": {"exists": t}}, st.booleans()),
    st.builds(lambda m, v: {f"mark.{m}": v}, st.sampled_from(MARKS), st.sampled_from(["x", "y"])),
    st.builds(lambda w, op: {op: w}, st.lists(st.sampled_from(WORDS_SAID), min_size=1, max_size=3), st.sampled_from(["says", "says_all", "says_none"])),
    st.builds(lambda w: {"says": {"words": [w], "denied": "include"}}, st.sampled_from(WORDS_SAID)),
    st.builds(lambda p, op: {"priority": {op: p}}, st.sampled_from(["low", "high", "urgent"]), st.sampled_from(["at_least", "at_most", "is", "is_not", "less_than"])),
    st.builds(lambda a, b: {"message.length": {"between": [min(a, b), max(a, b)]}}, st.integers(0, 20), st.integers(0, 20)),
    st.builds(lambda lang: {"language": lang}, st.sampled_from(["zh", "en", "zh-Hant"])),
    st.builds(lambda g: {"group": g}, st.sampled_from(["senior", "logistics"])),
    st.builds(lambda n, c: {"history": {"category": c, "within": "24h", "count": {"at_least": n}}}, st.integers(1, 3), st.sampled_from(CATEGORIES)),
    st.builds(lambda t: {"contact.tier": t}, st.sampled_from(["vip", "normal"])),
    st.just({"review.needed": True}),
    st.just({"escalation_level": {"at_least": 1}}),
    st.just({"subject": {"starts_with": ["RE", "FW"]}}),
    st.builds(lambda d, op: {"custom.purchased_on": {op: d}}, st.sampled_from(["2026-01-01", "2026-03-01"]), st.sampled_from(["before", "after", "is"])),
    st.builds(lambda d: {"custom.purchased_on": {"within": d}}, st.sampled_from(["30d", "365d"])),
    st.builds(lambda s, n: {"history": {"status": s, "same": ["category"], "within": "2d", "count": {"at_least": n}}}, st.sampled_from(["open", "solved"]), st.integers(1, 2)),
    st.just({"changed": {"status": {"to": "solved"}}}),
    st.just({"extracted.amount": {"between": ["10 CNY", "1000 CNY"]}}),
)  # fmt: skip
conditions = st.recursive(
    leaf,
    lambda inner: st.builds(
        lambda how, parts: {how: parts},
        st.sampled_from(["any", "all", "none"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=4,
)
whens = st.lists(conditions, max_size=3)
thens = st.fixed_dictionaries(
    {},
    optional={
        "set": st.fixed_dictionaries({}, optional={
            "category": st.sampled_from(CATEGORIES), "status": st.sampled_from(["open", "solved"]), "type": st.sampled_from(["repair", "request"]), "custom.purchased_on": st.sampled_from(["2026-02-20", "2025-01-01"]), "custom.model": st.sampled_from(["p", "q"]),
        }).filter(bool),
        "raise": st.sampled_from([{"priority": "high"}, {"priority": 1}, {"priority": "urgent"}]),
        "tag": st.sampled_from(["a", "b"]),
        "untag": st.just("c"),
        "mark": st.sampled_from([{"m": "x"}, {"m": "y"}, {"n": "x"}]),
        "route": st.sampled_from(["senior", {"group": "logistics", "by": "least_loaded"}, {"skills": ["english"]}]),
        "acknowledge": st.sampled_from(["received", "received-vip"]),
        "review": st.sampled_from([{"group": "senior", "hold": ["acknowledge"]}, {"group": "front-desk"}, {"group": "senior", "hold": ["task", "reply"], "approved": {"tag": "a"}, "rejected": {"close": "x"}}]),
        "hand_over": st.sampled_from(["crm", "all"]),
        "suppress": st.sampled_from(["acknowledge", ["acknowledge", "hand_over"], ["task", "close"], ["reply", "wait"]]),
        "reply": st.sampled_from(["course-faq", "answer"]),
        "ask_for": st.sampled_from(["missing", ["model", "phone"]]),
        "suggest": st.sampled_from(["course-faq", {"text": "t"}]),
        "notify": st.sampled_from(["duty@example.com", {"calls": "erp"}]),
        "call": st.sampled_from(["erp", {"target": "erp", "with": {"x": "y"}}]),
        "task": st.sampled_from(["t", {"title": "u", "group": "senior", "due": "4h"}]),
        "wait": st.builds(lambda then, unless: {"for": "15m", "unless": unless, "then": then}, st.sampled_from([{"close": "x"}, {"set": {"status": "solved"}}]), st.sampled_from([["customer_speaks"], []])),
        "human": st.just("h"),
        "link": st.sampled_from(["previous", "same_category"]),
        "escalate": st.integers(1, 3),
        "sla": st.sampled_from(["standard", "incident"]),
    },
).filter(bool)  # fmt: skip
other_thens = st.one_of(
    thens,
    st.builds(lambda p: {"set": {"priority": p}}, st.sampled_from(["low", "normal", "high"])),
    st.builds(lambda p: {"lower": {"priority": p}}, st.sampled_from(["low", "normal", 1])),
    st.just({"untag": "a"}),
    st.just({"tag": "c"}),
)
layers = st.sampled_from(["base", "base", "customer", "risk"])
counts = st.sampled_from(
    [*[{}] * 8, {"mode": "shadow"}, {"mode": "canary", "share": "50%"}, {"during": "double-11"}, {"valid": {"until": "2026-06-30"}}]
)  # fmt: skip
cells: dict[str, st.SearchStrategy[Anything]] = {
    "category": st.sampled_from(["complaint", "complaint, inquiry", "any", "!= inquiry", "none"]),
    "tags": st.sampled_from([*TAGS, "any"]),
    "message.length": st.sampled_from([">= 5", "2..9", "< 3", 0, ""]),
    "tag": st.sampled_from(["a", "b", ""]),
    "set.priority": st.sampled_from(["low", "high", ""]),
}


@st.composite
def rule_dicts(draw: st.DrawFn) -> list[dict[str, Anything]]:
    made: list[dict[str, Anything]] = [
        {"rule": "marks", "because": "so that every mark is made", "when": {"says": "zzz"}, "then": [{"mark": {m: "x"}} for m in MARKS]}
    ]  # fmt: skip
    for i in range(draw(st.integers(1, 7))):
        more = draw(counts)
        if draw(st.integers(0, 9)) == 0:
            columns = draw(st.lists(st.sampled_from(sorted(cells)), min_size=2, max_size=4, unique=True))
            rows = draw(st.lists(st.tuples(*(cells[column] for column in columns)).map(list), min_size=1, max_size=3))
            made.append(
                {"table": f"t{i}", "because": "b", "layer": draw(layers), "columns": columns, "rows": rows, **more}
            )
        elif draw(st.integers(0, 4)) == 0:
            rows = draw(st.lists(st.fixed_dictionaries({"when": whens, "then": other_thens}), min_size=1, max_size=3))
            made.append({"first": f"f{i}", "because": "b", "layer": draw(layers), "rules": rows, **more})
        else:
            made.append(
                {
                    "rule": f"r{i}",
                    "because": "b",
                    "layer": draw(layers),
                    "when": draw(whens),
                    "then": draw(other_thens),
                    **more,
                }
            )
    return made


cases = st.fixed_dictionaries(
    {"text": st.lists(st.sampled_from(["退款", "不是退款", "refund", "包裹没收到", "物流", "VIP", "zzz", "，", " hi "]), max_size=4).map("".join)},
    optional={
        "category": st.sampled_from(CATEGORIES),
        "confidence": st.sampled_from([0.2, 0.5, 0.9]),
        "subcategory": st.sampled_from(["refund", "logistics"]),
        "language": st.sampled_from(["zh", "en", "zh-Hant", "en-US"]),
        "tags": st.lists(st.sampled_from(TAGS), max_size=2, unique=True),
        "marks": st.sampled_from([{"m": "x"}, {"n": "y"}]),
        "priority": st.sampled_from(["low", "high"]),
        "group": st.just("senior"),
        "status": st.sampled_from(["open", "solved"]),
        "now": st.sampled_from(["2026-03-04T12:00:00+08:00", "2026-11-11T12:00:00+08:00"]),
        "custom": st.sampled_from([{"purchased_on": "2026-03-01"}, {"purchased_on": "2024-01-01"}]),
        "extracted": st.sampled_from([{"amount": "100.00 CNY"}, {"amount": "100.00 USD"}]),
        "changed": st.just({"status": ["open", "solved"]}),
        "subject": st.sampled_from(["Re: x", "parcel"]),
        "contact": st.sampled_from([{"tier": "vip", "bucket": 7}, {"tier": "vip", "proven": False, "bucket": 77}]),
        "history": st.lists(st.fixed_dictionaries({"category": st.sampled_from(CATEGORIES), "ago": st.sampled_from(["2h", "30h"]), "status": st.sampled_from(["open", "solved"])}), max_size=3),
    },
)  # fmt: skip


def book(name: str, rules: Sequence[Mapping[str, Anything]]) -> str:
    return json.dumps({"rulebook": name, "rules": rules}, ensure_ascii=False)


def values_of(decision: Decision) -> Anything:
    """What was decided, without who decided it."""
    ticket = replace(decision.ticket, ruleset="", **nameless(decision.ticket))
    for name in ("category", "subcategory", "priority", "status", "group", "assignee"):
        derived = getattr(ticket, name)
        ticket = replace(ticket, **{name: derived and replace(derived, source="")})
    effects = sorted(str(replace(e, rule="", name="") if isinstance(e, WaitFor) else replace(e, rule="") if hasattr(e, "rule") else e) for e in decision.effects)  # fmt: skip
    return ticket, effects, len(decision.withheld), len(decision.fired)


def nameless(ticket: Ticket) -> dict[str, Anything]:
    """What rules left on a ticket, without their names: in no order, since theirs is by name."""

    def bare(pending: Iterable[Pending]) -> tuple[str, ...]:
        return tuple(sorted(str(replace(one, rule="")) for one in pending))

    waits = sorted(str((wait.due_at, wait.unless, bare([wait.then]))) for wait in ticket.waits)
    tasks = sorted(str(replace(task, id="", created_by="")) for task in ticket.tasks)
    suggested = sorted(str(replace(one, source="")) for one in ticket.suggestions)
    changed: dict[str, Anything] = {"waits": waits, "tasks": tasks, "suggestions": suggested}
    for name in ("human",):
        derived = getattr(ticket, name)
        changed[name] = derived and replace(derived, source="")
    if review := ticket.review:
        left = {name: bare(getattr(review, name)) for name in ("held", "approved", "rejected")}
        changed["review"] = replace(review, **left)
    return changed


@MANY
@given(rule_dicts(), st.lists(cases, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_shuffling_files_and_rules_changes_nothing(
    vocabulary: Vocabulary, house: Company, made: list[dict[str, Anything]], given_: list[dict[str, Anything]], dice: random.Random
) -> None:  # fmt: skip
    one = load({"z.yaml": book("one", made)}, vocabulary)
    shuffled = [dict(dice.sample(list(rule.items()), len(rule))) for rule in dice.sample(made, len(made))]
    again = load({"a.yaml": book("one", shuffled)}, vocabulary)
    assert one.sha == again.sha
    for facts in given_:
        there = dict(dice.sample(list(facts.items()), len(facts)))
        assert decide(one, house, case(facts, vocabulary)).hash == decide(again, house, case(there, vocabulary)).hash


@MANY
@given(rule_dicts(), st.lists(cases, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_splitting_into_files_changes_no_value(
    vocabulary: Vocabulary, house: Company, made: list[dict[str, Anything]], given_: list[dict[str, Anything]], dice: random.Random
) -> None:  # fmt: skip
    whole = load({"one.yaml": book("one", made)}, vocabulary)
    files = dice.sample([f"{i}.yaml" for i in range(len(made))], len(made))
    texts = {file: book(f"book{i}", [rule]) for i, (file, rule) in enumerate(zip(files, made, strict=True))}
    split = load(texts, vocabulary)
    for facts in given_:
        one, two = (decide(rules, house, case(facts, vocabulary)) for rules in (whole, split))
        assert values_of(one) == values_of(two)


@MANY
@given(rule_dicts(), st.lists(cases, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_renaming_rules_changes_nothing_but_what_is_contested(
    vocabulary: Vocabulary, house: Company, made: list[dict[str, Anything]], given_: list[dict[str, Anything]], dice: random.Random
) -> None:  # fmt: skip
    names = [f"n{i}" for i in range(len(made))]
    dice.shuffle(names)
    renamed = [
        {**rule, next(key for key in ("first", "table", "rule") if key in rule): name}
        for rule, name in zip(made, names, strict=True)
    ]
    one, two = (load({"one.yaml": book("one", rules)}, vocabulary) for rules in (made, renamed))
    for facts in given_:
        first, second = (decide(rules, house, case(facts, vocabulary)) for rules in (one, two))
        assert any(w.contested for w in first.written) == any(w.contested for w in second.written)
        if not any(w.contested for w in first.written):
            assert values_of(first) == values_of(second)


@MANY
@given(rule_dicts(), st.lists(cases, min_size=1, max_size=4))
def test_the_index_finds_what_looking_at_every_rule_finds(
    vocabulary: Vocabulary, house: Company, made: list[dict[str, Anything]], given_: list[dict[str, Anything]]
) -> None:
    indexed = load({"one.yaml": book("one", made)}, vocabulary)
    for facts in given_:
        at = case(facts, vocabulary)
        assert decide(indexed, house, at).hash == decide(naive(indexed), house, at).hash


def test_the_index_agrees_on_the_default_rulebooks(rules: RuleSet, house: Company, vocabulary: Vocabulary) -> None:
    dice = random.Random(7)
    words = [word for words in house.lists.values() for word in words]
    for _ in range(300):
        text = "".join(dice.choice([*words, "不是", "没有", " ", "，"]) for _ in range(dice.randrange(8)))
        at = case(
            {"text": text, "language": dice.choice(["zh", "en", ""]), "category": dice.choice([*CATEGORIES, None])},
            vocabulary,
        )
        assert decide(rules, house, at).hash == decide(naive(rules), house, at).hash


@MANY
@given(rule_dicts())
def test_a_rule_runs_after_every_other_that_can_write_what_it_reads(
    vocabulary: Vocabulary, made: list[dict[str, Anything]]
) -> None:
    """Against the plain meaning: a path of feeding both ways is a circle, one way is an order."""
    units = [unit for stage in load({"one.yaml": book("one", made)}, vocabulary).stages for unit in stage.units]
    at = {unit.name: i for i, stage in enumerate(stages(units)) for unit in stage.units}
    circular = [stage.circular for stage in stages(units)]

    def feeds(a: Unit, b: Unit) -> bool:
        tags = {slot for slot in a.writes if slot.startswith("tag:")}
        return a.name != b.name and (bool(a.writes & b.reads) or bool(tags and "tags" in b.reads))

    reach = {(a.name, b.name): feeds(a, b) for a in units for b in units}
    for middle in units:
        for a in units:
            for b in units:
                reach[a.name, b.name] |= reach[a.name, middle.name] and reach[middle.name, b.name]
    for a in units:
        for b in units:
            if a.name != b.name and reach[a.name, b.name]:
                together = reach[b.name, a.name]
                assert at[a.name] == at[b.name] if together else at[a.name] < at[b.name]
                assert not together or circular[at[a.name]]


def chain(vocabulary: Vocabulary, *rules: Mapping[str, Anything]) -> RuleSet:
    return load({"one.yaml": book("one", rules)}, vocabulary)


def test_rules_of_a_circle_see_only_what_was_written_in_earlier_rounds(vocabulary: Vocabulary, house: Company) -> None:
    rules = chain(
        vocabulary,
        {"rule": "x", "when": {"tags": "go"}, "then": {"tag": "a"}},
        {"rule": "y", "when": {"tags": "a"}, "then": {"tag": "b"}},
        {"rule": "z", "when": {"any": [{"tags": "b"}, {"tags": "start"}]}, "then": {"tag": "go"}},
    )
    fired = decide(rules, house, case({"tags": ["start"]}, vocabulary)).fired
    assert [(f.rule, f.round) for f in fired] == [("z", 1), ("x", 2), ("y", 3)]
    assert len({f.stage for f in fired}) == 1


def test_what_has_fired_stays_even_if_its_condition_no_longer_holds(vocabulary: Vocabulary, house: Company) -> None:
    rules = chain(
        vocabulary,
        {"rule": "x", "when": {"none": {"tags": "b"}}, "then": {"tag": "a"}},
        {"rule": "y", "when": {"tags": "a"}, "then": {"tag": "b"}},
    )
    assert decide(rules, house, case({}, vocabulary)).ticket.tags == ("a", "b")


def test_a_first_picks_once_after_all_that_it_reads(vocabulary: Vocabulary, house: Company) -> None:
    rules = chain(
        vocabulary,
        {
            "first": "a",
            "rules": [{"when": {"tags": "late"}, "then": {"route": "senior"}}, {"then": {"route": "front-desk"}}],
        },
        {"rule": "z", "then": {"tag": "late"}},
    )
    decision = decide(rules, house, case({}, vocabulary))
    assert decision.ticket.group is not None
    assert decision.ticket.group.value == "senior"
    assert [f.rule for f in decision.fired] == ["z", "a/1"]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_equal_writes_are_decided_by_name_and_marked(
    names: tuple[str, str], vocabulary: Vocabulary, house: Company
) -> None:
    rules = chain(
        vocabulary, *({"rule": n, "then": {"route": g}} for n, g in zip(names, ["senior", "logistics"], strict=True))
    )
    decision = decide(rules, house, case({}, vocabulary))
    (written,) = decision.written
    assert (written.rule, written.over, written.contested) == ("a", ("b",), True)
    assert decision.ticket.group is not None
    assert decision.ticket.group.contested
