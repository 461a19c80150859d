"""`--fail-if`: a condition on the counts of a replay.

    priority_lowered > 0
    changed > 2% and not (group_changed == 0 or rule.vip-lane.lost > 0)

    condition   any { "or" any }          any   one { "and" one }          one   ["not"] ( "(" condition ")" | test )
    test        sum OPERATOR sum          sum   value { ("+" | "-") value }      OPERATOR   > >= < <= == !=
    value       NUMBER | NUMBER% | COUNT  NUMBER% is that share of all decisions; blanks stand around + and -

COUNT is decisions, tickets, changed, changed_tickets, identical, erased, damaged, failed; FIELD_changed, FIELD_added,
FIELD_removed of any field; priority_raised, priority_lowered; due.MILESTONE_later, due.MILESTONE_earlier; and
rule.NAME.before, .after, .gained, .lost. Nothing else is known, so nothing else can be done with it.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

from engine.decision import Effect
from engine.outcome import FIELDS, IN_THE_TICKET
from gateway.replay import Replayed
from normalizer.errors import ConfigError, Where

LONGEST, DEEPEST = 2_000, 30
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?)(?P<share>%)?(?![\w.])|(?P<sign>>=|<=|==|!=|[()<>])|(?P<word>[^\s()<>=!%]+))"
)
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_TOTALS = ("decisions", "tickets", "changed", "changed_tickets", "identical", "erased", "damaged", "failed")
_OF_RULE = re.compile(r"rule\.(?P<rule>.+)\.(?P<how>before|after|gained|lost)")
_OF_FIELD = re.compile(r"(?P<field>.+?)_(changed|added|removed|raised|lowered|earlier|later)")
_VERBS = {str(kind.__dataclass_fields__["verb"].default) for kind in get_args(Effect)} - IN_THE_TICKET
_FIELDS = frozenset((*FIELDS, *_VERBS, "withheld"))
_OPEN = ("mark.", "custom.", "due.")

Value = Callable[[Mapping[str, float]], float]
Truth = Callable[[Mapping[str, float]], bool]


@dataclass(frozen=True, slots=True)
class Criterion:
    """A condition that was read; `holds` says whether it is so after a replay."""

    text: str
    names: frozenset[str]
    truth: Truth

    def holds(self, replayed: Replayed) -> bool:
        """Raises ConfigError for a rule that neither set has."""
        return self.truth({name: _count(self.text, name, replayed) for name in {*self.names, "decisions"}})


def read(text: str) -> Criterion:
    """Raises ConfigError, at its column, for what is no condition."""
    reader = _Reader(text)
    truth = reader.condition(0)
    reader.end()
    return Criterion(text, frozenset(reader.names), truth)


def _count(text: str, name: str, replayed: Replayed) -> float:
    if name in ("tickets", "changed_tickets"):
        return len(getattr(replayed, name))
    if name in _TOTALS:
        return float(getattr(replayed, name))
    if found := _OF_RULE.fullmatch(name):
        if found["rule"] not in replayed.rules and found["rule"] not in replayed.named:
            raise ConfigError(Where("--fail-if"), f"no rule {found['rule']!r} in either set", text)
        return replayed.fired[found["rule"], found["how"]]
    return replayed.counts[name]


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.names = text, set[str]()
        if len(text) > LONGEST:
            raise ConfigError(Where("--fail-if"), f"longer than {LONGEST} characters", "changed > 0")
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, column
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                rest = text[at:].lstrip()
                raise self._fault(len(text) - len(rest) + 1, f"{rest[:20]!r} is no part of a condition")
            kind = "share" if found["share"] else str(found.lastgroup)
            self.tokens.append((kind, found.group(0).strip(), found.end() - len(found.group(0).lstrip()) + 1))
            at = found.end()
        self.at = 0

    def condition(self, depth: int) -> Truth:
        if depth > DEEPEST:
            raise self._fault(self._column(), f"nested deeper than {DEEPEST}")
        parts = [self._all(depth)]
        while self._take("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else lambda counts: any(part(counts) for part in parts)

    def _all(self, depth: int) -> Truth:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda counts: all(part(counts) for part in parts)

    def _one(self, depth: int) -> Truth:
        if self._take("not"):
            inner = self._one(depth + 1) if depth <= DEEPEST else self.condition(depth)
            return lambda counts: not inner(counts)
        if self._take("("):
            inner = self.condition(depth + 1)
            if not self._take(")"):
                raise self._fault(self._column(), "a ) is missing")
            return inner
        return self._test()

    def _test(self) -> Truth:
        left = self._sum()
        kind, sign, column = self._next()
        if sign not in _COMPARE or kind != "sign":
            raise self._fault(column, f"{sign or 'the end'!r} stands where one of {' '.join(_COMPARE)} should")
        right, compare = self._sum(), _COMPARE[sign]
        return lambda counts: compare(left(counts), right(counts))

    def _sum(self) -> Value:
        total = self._value()
        while (sign := self._peek()) in ("+", "-"):
            self._next()
            total = _added(total, self._value(), 1 if sign == "+" else -1)
        return total

    def _value(self) -> Value:
        kind, text, column = self._next()
        if kind == "number":
            number = float(text)
            return lambda _: number
        if kind == "share":
            share = float(text.rstrip("%")) / 100
            return lambda counts: share * counts["decisions"]
        if kind != "word" or not self._known(text):
            raise self._fault(column, f"{text or 'the end'!r} is no count")
        self.names.add(text)
        return lambda counts: counts[text]

    def _known(self, name: str) -> bool:
        if name in _TOTALS or _OF_RULE.fullmatch(name):
            return True
        found = _OF_FIELD.fullmatch(name)
        return bool(found and (found["field"] in _FIELDS or found["field"].startswith(_OPEN)))

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise self._fault(self._column(), f"{self.tokens[self.at][1]!r} is left over")

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _next(self) -> tuple[str, str, int]:
        token = self.tokens[self.at] if self.at < len(self.tokens) else ("end", "", self._column())
        self.at += 1
        return token

    def _take(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self.at += 1
        return True

    def _column(self) -> int:
        return self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text) + 1

    def _fault(self, column: int, what: str) -> ConfigError:
        hint = "such as: priority_lowered > 0, changed > 2%, rule.NAME.lost > 0, group_changed > 0 and not failed > 0"
        return ConfigError(Where("--fail-if", 1, column), what, hint)


def _added(left: Value, right: Value, sign: int) -> Value:
    return lambda counts: left(counts) + sign * right(counts)
