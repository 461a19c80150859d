"""What a decision tells of itself: the rules that fired with what they saw, and who wrote each field in the end.

Most mails look alike to the rules, so what was told once is kept for the next that looks the same.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from engine.conditions import shown
from engine.decision import Fact, Fired, Seen, Written
from engine.facts import WORDS
from engine.merge import before
from engine.ruleset import Any, Condition, Merged, Nothing, Rule, Test, Value, holds, tests
from normalizer.canon import Ticket, dump

Told = tuple[Fired, bytes]  # and the same as JSON, for the record

_KEPT = 4_096
_NONE: frozenset[str] = frozenset()


def fired(rule: Rule, stage: int, turn: int, values: Mapping[str, Value]) -> Told:
    """That this rule was true on these facts, and the conditions as they were checked."""
    if rule.looks is None:
        return told(_fired(rule, stage, turn, values))
    found = [
        values.get(field) if words is None else (values.get(field) or _NONE) & words  # type: ignore[operator]
        for field, words in rule.looks
    ]
    return _fired_again(rule, stage, turn, tuple(found))


def told(fired: Fired) -> Told:
    return fired, dump(fired)


def written(slots: Iterable[tuple[str, Merged]], ticket: Ticket) -> list[Written]:
    """Who wrote each of these slots in the end. Tags are told one by one."""
    return [_written(slot, merged, before(slot, ticket)) for slot, merged in slots]


def _written(slot: str, merged: Merged, was: Fact) -> Written:
    field, value = slot, merged.value
    if slot.startswith("tag:"):
        field, value = "tags", f"{'+' if merged.value else '-'}{slot.removeprefix('tag:')}"
    elif "@" in slot:
        field = re.split("[~ @]", slot, maxsplit=1)[0]
    return _written_again(field, value, was, merged.rule, merged.over, merged.contested)


_written_again = lru_cache(_KEPT, typed=True)(Written)


@lru_cache(_KEPT)
def _fired_again(rule: Rule, stage: int, turn: int, found: tuple[Value, ...]) -> Told:
    fields = [field for field, _ in rule.looks or ()]
    return told(_fired(rule, stage, turn, dict(zip(fields, found, strict=True))))


def _fired(rule: Rule, stage: int, turn: int, values: Mapping[str, Value]) -> Fired:
    seen = tuple(_seen(rule.when, values))
    return Fired(rule.name, rule.rulebook, rule.layer, stage, turn, rule.because, seen, rule.effects, rule.mode)


def _seen(condition: Condition, values: Mapping[str, Value]) -> list[Seen]:
    """The conditions as they were checked; of an `any` those that held."""
    if isinstance(condition, Test):
        return [checked(condition, values.get(condition.field))]
    if isinstance(condition, Nothing):
        return [checked(test, values.get(test.field), "not ") for test in tests(condition)]
    parts = condition.parts
    if isinstance(condition, Any):
        parts = tuple(part for part in parts if holds(part, values))
    return [seen for part in parts for seen in _seen(part, values)]


def checked(test: Test, found: Value, negated: str = "") -> Seen:
    """A condition with what was there."""
    operator = negated + test.operator
    if isinstance(found, frozenset):
        return Seen(WORDS, operator, test.shown, tuple(sorted([test.names[w] for w in found if w in test.names])))
    if test.kind == "words":
        return Seen(WORDS, operator, test.shown, ())
    return Seen(test.field, operator, test.shown, shown(test.kind, found))
