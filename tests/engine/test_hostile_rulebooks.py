"""Rulebooks and patterns written to hurt: refused at once, within bounds, and told at their place."""

import time
import tracemalloc

import pytest

from engine.check import check
from engine.company import Company
from engine.decide import decide
from engine.reading import Place
from engine.rulebook import load
from engine.trial import case, trials
from engine.vocabulary import Vocabulary
from normalizer.errors import ConfigError
from normalizer.marked import read

HEAD = "rulebook: t\nrules:\n"
RULE = "  - rule: a\n    then: {tag: x}\n"
QUADRATIC = (
    HEAD
    + "  - rule: a\n    when: {says: &a ["
    + "x, " * 2000
    + "x]}\n    then: {tag: x}\n"
    + "tests: ["
    + "*a, " * 2000
    + "*a]\n"
)

HOSTILE = {  # name -> text, code and words of what is told
    "a billion laughs": ("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)), "bomb", "values once aliases"),
    "aliases by the thousand": (QUADRATIC, "bomb", "values once aliases"),
    "an alias of itself": ("a: &a [*a]\n", "yaml", "*a stands for nothing"),
    "nested 10,000 deep": ("rulebook: t\nrules: " + "[" * 10_000, "yaml", "nested deeper than 40"),
    "mappings nested 10,000 deep": ("{a: " * 10_000, "yaml", "nested deeper than 40"),
    "conditions nested deep": (HEAD + "  - rule: a\n    when: " + "{all: [" * 60 + "]}" * 60, "yaml", "nested deeper than 40"),
    "three million characters": ("# " + "x" * 3_000_000, "too-large", "larger than 2000000 characters"),
    "a NUL": (HEAD + "  - rule: a\0b\n    then: {tag: x}\n", "yaml", "not YAML"),
    "a control character": (HEAD + "  - rule: a\x07\n", "yaml", "not YAML"),
    "half a surrogate": (HEAD + "  - rule: a\udc80\n", "yaml", "not YAML"),
    "one key a thousand times": ("rulebook: t\n" * 1_000, "duplicate-key", "stands here twice"),
    "a merge key": (HEAD + "  - &r {rule: a, then: {tag: x}}\n  - {<<: *r, rule: b}\n", "yaml", "merge keys"),
    "a tag that would run": ("rulebook: !!python/object/apply:os.system [ls]\n", "yaml", "tags such as"),
    "a mapping as a key": ("? {a: b}\n: c\n", "yaml", "a key must be a word"),
    "two documents": (HEAD + RULE + "---\n" + HEAD + RULE, "yaml", "a second document"),
    "a number without an end": (HEAD + f"  - rule: a\n    when: {{message.length: {{at_least: {'9' * 5_000}}}}}\n    then: {{tag: x}}\n", "type", "is a number, not"),
    "a number beyond all numbers": (HEAD + "  - rule: a\n    when: {message.length: {at_least: 1e999}}\n    then: {tag: x}\n", "type", "is a number, not '1e999'"),
    "a name of a megabyte": (HEAD + f"  - rule: {'x' * 1_000_000}\n    then: {{tag: x}}\n", "", ""),
    "a pattern too large": (HEAD + "  - rule: a\n    when: {message.text: {matches: '((a{1,100}){1,100}){1,100}'}}\n    then: {tag: x}\n", "pattern", "not a pattern of RE2"),
    "an any of two thousand": (HEAD + "  - rule: a\n    when: {any: [" + "{all: [{tags: a}, {tags: b}]}, " * 2_000 + "{tags: c}]}\n    then: {tag: x}\n", "", ""),
    "clauses that multiply": (HEAD + "  - rule: a\n    when:\n" + "      - any: [{tags: a}, {tags: b}, {tags: c}]\n" * 100 + "    then: {tag: x}\n", "", ""),
    "choices that multiply": (HEAD + "  - rule: a\n    when:\n" + "".join(f"      - tags: {{has_any: [{', '.join(f'{c}{i}' for c in 'abcdefgh')}]}}\n" for i in range(40)) + "      - none: {tags: {has_all: [zz]}}\n    then: {tag: x}\n", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_refused_at_once_and_takes_no_room(name: str, vocabulary: Vocabulary, house: Company) -> None:
    text, code, words = HOSTILE[name]
    started = time.process_time()
    found = check({"t.yaml": text}, vocabulary, house)
    took = time.process_time() - started
    tracemalloc.start()
    check({"t.yaml": text}, vocabulary, house)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if code:
        assert [one.code for one in found][:1] == [code], found[:1]
        assert words in found[0].what
        assert found[0].where.file == "t.yaml"
    assert took < 1, f"{took:.2f} s"
    assert peak < 50_000_000, f"{peak:,} bytes"


@pytest.mark.parametrize("length", ["9999999d", "99999999999999999999d", "9" * 5_000 + "d"])
@pytest.mark.parametrize(
    "rule",
    [
        "then: {wait: {for: LENGTH, then: {tag: x}}}",
        "then: {task: {title: a, due: LENGTH}}",
        "then: {sla: {milestones: {solved: LENGTH}}}",
        "{when: {history: {within: LENGTH, count: {at_least: 1}}}, then: {tag: x}}",
    ],
)
def test_a_time_beyond_all_calendars_is_refused(rule: str, length: str, vocabulary: Vocabulary, house: Company) -> None:
    inner = rule.replace("LENGTH", length).removeprefix("{").removesuffix("}" if rule.startswith("{") else "")
    found = check({"t.yaml": f"{HEAD}  - {{rule: a, {inner}}}\n"}, vocabulary, house)
    assert [one.code for one in found] == ["type"]


def test_a_task_due_in_three_years_of_open_time_stops_no_ticket(vocabulary: Vocabulary, house: Company) -> None:
    ruleset = load({"t.yaml": HEAD + "  - rule: a\n    then: {task: {title: a, due: 3650d}}\n"}, vocabulary)
    assert decide(ruleset, house, case({}, vocabulary)).ticket.tasks[0].due_at


def test_to_raise_by_less_than_nothing_is_refused(vocabulary: Vocabulary, house: Company) -> None:
    (found,) = check({"t.yaml": HEAD + "  - rule: a\n    then: {raise: -1}\n"}, vocabulary, house)
    assert (found.code, found.hint) == ("type", "lower: {priority: +1}")


PATTERNS = [
    "(a*)*b",
    "(x+x+)+y",
    "(a|a)*c",
    "(.*)*$",
    "([a-z]+)*[0-9]",
    "^(([a-z])+.)+[A-Z]([a-z])+$",
    "(a?){200}a{200}",
]


def test_patterns_that_stall_others_slow_no_decision(vocabulary: Vocabulary, house: Company) -> None:
    rules = "".join(
        f"  - rule: r{i}\n    when: {{message.text: {{matches: '{pattern}'}}}}\n    then: {{tag: t{i}}}\n"
        for i, pattern in enumerate(PATTERNS)
    )
    ruleset = load({"t.yaml": HEAD + rules}, vocabulary)
    for text in ("a" * 30_000, "x" * 30_000, "abc " * 8_000):
        started = time.process_time()
        decide(ruleset, house, case({"text": text}, vocabulary))
        assert time.process_time() - started < 2


@pytest.mark.parametrize("text", ["test: []\n", "- {name: a}\n", "nothing\n", ""])
def test_a_file_of_examples_that_has_none_is_told(text: str, vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError, match=r"tests/t\.yaml"):
        trials({"tests/t.yaml": text}, vocabulary)


def test_the_time_of_an_example_does_not_hang_on_the_zone_of_the_machine(vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError, match=r"no instant; write 2026-03-04T10:00:00\+08:00"):
        case({"now": "2026-03-04 10:00"}, vocabulary, Place(read("a: b", "t.yaml"), (), None))
