"""Why a rule did not do on a recorded case what somebody expected of it.

    fired       it did; which of its writes counted, and what won over the others
    shadow      it would have, and is on trial
    trigger     it is not asked on this occasion
    row         another row of the same `first` or `table` came before it
    campaign    its campaign, its days or its share of the contacts leave this case out
    conditions  some do not hold: each with what was there

Told from the facts as the rule saw them: after every rule that can write what it reads. Pure.
"""

# ruff: noqa: E501
# Tables read better a row a line.

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from engine import trace
from engine.company import Company
from engine.decide import played
from engine.decision import Case, Decision, Seen, Written
from engine.explain import Teller
from engine.facts import MENTIONS, WORDS
from engine.merge import set_by_person
from engine.ruleset import All, Any, Condition, Nothing, Rule, RuleSet, Test, Unit, Values, holds
from engine.vocabulary import Vocabulary

State = Literal["fired", "shadow", "trigger", "row", "campaign", "conditions"]
Nest = Literal["all", "any", "none"]
CAMPAIGN = frozenset(("clock.campaigns", "clock.now", "contact.bucket"))  # what during, valid and share look at


@dataclass(frozen=True, slots=True)
class Checked:
    """A condition as it was checked, and whether it held; `within` the nearest any or none it stands in."""

    seen: Seen
    held: bool
    within: Nest = "all"
    depth: int = 0
    denied: tuple[str, ...] = ()  # of the words asked for, those that the customer said and did not want


@dataclass(frozen=True, slots=True)
class Lost:
    """A write of the rule that did not count, and what did."""

    field: str
    to: str  # the rule; empty for a person
    by: Literal["person", "layer", "conditions", "name", "raised"]


@dataclass(frozen=True, slots=True)
class WhyNot:
    """What became of one rule. `missing` are the fewest conditions that would have had to hold as well."""

    rule: Rule
    state: State
    checked: tuple[Checked, ...] = ()
    missing: tuple[Seen, ...] = ()
    before: str = ""  # the row that came first
    lost: tuple[Lost, ...] = ()
    withheld: tuple[str, ...] = ()  # of what it wanted, with why


def why_not(ruleset: RuleSet, company: Company, decision: Decision, name: str) -> list[WhyNot]:
    """About a rule, or each row of a `first` or `table`; empty if there is no such."""
    return [
        _of_row(unit, row, values, ruleset, decision)
        for unit, values in _units(ruleset, company, decision.case)
        for row in unit.rows
        if name in (row.name, unit.name)
    ]


def names(ruleset: RuleSet) -> list[str]:
    """What can be asked for: each rule and row, and each `first` and `table` as a whole."""
    found = ((unit.name, *(row.name for row in unit.rows)) for stage in ruleset.stages for unit in stage.units)
    return sorted({name for inner in found for name in inner})


def near_misses(ruleset: RuleSet, company: Company, decision: Decision, most: int = 3) -> list[WhyNot]:
    """The rules that were nearest to firing and did not: those that lack the fewest conditions, by name."""
    fired = {one.rule for one in decision.fired}
    found = [
        told
        for unit, values in _units(ruleset, company, decision.case)
        for row in unit.rows
        if row.name not in fired and decision.case.trigger in row.on and not holds(row.when, values)
        if (told := _of_row(unit, row, values, ruleset, decision)).state == "conditions"
        if len(told.missing) < len([one for one in told.checked if one.within == "all"])  # something held
    ]
    return sorted(found, key=lambda one: (len(one.missing), one.rule.name))[:most]


def _units(ruleset: RuleSet, company: Company, case: Case) -> Iterator[tuple[Unit, Values]]:
    for stage, values in played(ruleset, company, case):
        for unit in stage.units:
            yield unit, values


def _of_row(unit: Unit, row: Rule, values: Values, ruleset: RuleSet, decision: Decision) -> WhyNot:
    checked = tuple(_checked(row.when, values))
    if any(one.rule == row.name for one in decision.fired):
        state: State = "shadow" if row.mode == "shadow" else "fired"
        verbs = () if state == "shadow" else tuple(f"{effect.verb}: " for effect in row.effects)
        withheld = tuple(reason for reason in decision.withheld if verbs and reason.startswith(verbs))
        return WhyNot(row, state, checked, lost=tuple(_lost(row, ruleset, decision)), withheld=withheld)
    if decision.case.trigger not in row.on:
        return WhyNot(row, "trigger", checked)
    if holds(row.when, values):
        first = next((other.name for other in unit.rows if other.name in {one.rule for one in decision.fired}), "")
        return WhyNot(row, "row", checked, before=first)
    missing = _missing(row.when, values)
    outside = bool(missing) and all(test.field in CAMPAIGN for test in missing)
    seen = tuple(trace.checked(test, values.get(test.field)) for test in missing)
    return WhyNot(row, "campaign" if outside else "conditions", checked, seen)


def _checked(condition: Condition, values: Values, within: Nest = "all", depth: int = 0) -> Iterator[Checked]:
    match condition:
        case Test():
            held = condition.holds(values.get(condition.field))
            seen = trace.checked(condition, values.get(condition.field))
            yield Checked(seen, held, within, depth, () if held else _denied(condition, values))
        case All(parts):
            for part in parts:
                yield from _checked(part, values, within, depth)
        case Any(parts):
            for part in parts:
                yield from _checked(part, values, "any", depth + 1)
        case Nothing(parts):
            for part in parts:
                yield from _checked(part, values, "none", depth + 1)


def _denied(test: Test, values: Values) -> tuple[str, ...]:
    """The words of a test that were said, but only to deny them."""
    said, meant = values.get(MENTIONS), values.get(WORDS)
    if test.field != WORDS or not isinstance(said, frozenset) or not isinstance(meant, frozenset):
        return ()
    return tuple(sorted(test.names[word] for word in said - meant if word in test.names))


def _missing(condition: Condition, values: Values) -> list[Test]:
    """The fewest tests that would have had to come out otherwise."""
    match condition:
        case Test():
            return [] if condition.holds(values.get(condition.field)) else [condition]
        case All(parts):
            return [test for part in parts for test in _missing(part, values)]
        case Any(parts):
            return min((_missing(part, values) for part in parts), key=len, default=[])
        case Nothing(parts):
            return [test for part in parts for test in _in_the_way(part, values)]


def _in_the_way(condition: Condition, values: Values) -> list[Test]:
    """The fewest tests that hold and would have to fail, for this not to hold."""
    match condition:
        case Test():
            return [condition] if condition.holds(values.get(condition.field)) else []
        case All(parts) if holds(condition, values):
            return min((_in_the_way(part, values) for part in parts), key=len, default=[])
        case Any(parts):
            return [test for part in parts for test in _in_the_way(part, values)]
        case Nothing(parts) if holds(condition, values):
            return min((_missing(part, values) for part in parts), key=len, default=[])
        case _:
            return []


def _lost(row: Rule, ruleset: RuleSet, decision: Decision) -> Iterator[Lost]:
    """Writes that did not count, each with what did."""
    ticket = decision.case.ticket
    for slot in sorted({write.slot for write in row.writes}):
        if set_by_person(slot, ticket) and not row.override:
            yield Lost(slot, "", "person")
    rules = {rule.name: rule for rule in ruleset.rules}
    for written in decision.written:
        if row.name in written.over and not set_by_person(written.field, ticket):
            yield Lost(written.field, written.rule, _by(row, rules.get(written.rule), written))


def _by(row: Rule, winner: Rule | None, written: Written) -> Literal["layer", "conditions", "name", "raised"]:
    if winner is None or written.field in ("priority", "escalation_level"):
        return "raised" if winner and not any(w.effect.verb == "set" for w in winner.writes) else "layer"
    if winner.rank != row.rank:
        return "layer"
    mine = max((write.conditions for write in row.writes), default=0)
    theirs = max((write.conditions for write in winner.writes), default=0)
    return "conditions" if theirs > mine else "name"


_ZH: Mapping[str, str] = {
    "fired": "规则 {rule} 触发了。", "shadow": "规则 {rule} 的条件成立，但它只是试运行（mode: shadow），未执行。",
    "trigger": "规则 {rule} 不在此时机（{trigger}）检查，只在 {on}。", "row": "规则 {rule} 的条件成立，但同组的 {before} 排在前面，先触发了。",
    "row alone": "规则 {rule} 以现在的规则会触发，当时的规则没有。",
    "campaign": "规则 {rule} 不适用于此单：不在活动期、有效日期或灰度比例之内。", "conditions": "规则 {rule} 未触发。", "held": "  ✓ {seen}", "failed": "  ✗ {seen}",
    "any": "（任一）", "none": "（都不）", "withheld": "  但未执行：{reason}。", "missing": "  差一点：只差 {seen}", "missing more": "  还差 {n} 个条件：{seen}",
    "lost person": "  {field} 由人工设置，规则不改（除非写 override: person）。", "lost layer": "  {field} 被更高层的规则 {to} 决定。",
    "lost conditions": "  {field} 由条件更多的规则 {to} 决定。", "lost name": "  {field} 与规则 {to} 并列，按名称取了后者，请核对。",
    "lost raised": "  {field} 被规则 {to} 进一步改动。", "near": "最接近触发的规则：{rule}，差 {seen}", "unknown": "没有规则 {rule}。", "join": "，",
    "unknown near": "没有规则 {rule}，是不是 {near}？", "later": "作此决定的规则集里没有规则 {rule}，它是后来才有的；`ticketgate rules replay` 可看它对以前的工单会怎样。",
    "denied": "；客户提到了 {words}，但说的是不要或不是（要照样算上，写 denied: include）",
}  # fmt: skip
_EN: Mapping[str, str] = {
    "fired": "rule {rule} fired.", "shadow": "rule {rule} held, but it is on trial (mode: shadow) and does nothing.",
    "trigger": "rule {rule} is not asked on {trigger}, only on {on}.", "row": "rule {rule} held, but {before} stands before it and fired.",
    "row alone": "rule {rule} would fire by these rules; those of then had it otherwise.",
    "campaign": "rule {rule} leaves this case out: outside its campaign, its days or its share of the contacts.", "conditions": "rule {rule} did not fire.", "held": "  ✓ {seen}", "failed": "  ✗ {seen}",
    "any": " (any of)", "none": " (none of)", "withheld": "  but this was withheld: {reason}.", "missing": "  a near miss: only this was lacking: {seen}", "missing more": "  {n} conditions were lacking: {seen}",
    "lost person": "  {field} was set by a person, which no rule changes (but one with override: person).", "lost layer": "  {field} was decided by rule {to} of a higher layer.",
    "lost conditions": "  {field} was decided by rule {to}, which has more conditions.", "lost name": "  {field}: rule {to} weighs as much, and only its name came first; please check.",
    "lost raised": "  {field} was moved further by rule {to}.", "near": "nearest to firing: rule {rule}, which lacks {seen}", "unknown": "there is no rule {rule}.", "join": ", ",
    "unknown near": "there is no rule {rule}; did you mean {near}?", "later": "the rules that decided this had no rule {rule}: it came later; `ticketgate rules replay` tells what it would have done to earlier tickets.",
    "denied": "; the customer said {words}, but to deny it (denied: include counts it all the same)",
}  # fmt: skip


def told(
    found: list[WhyNot],
    decision: Decision,
    language: str,
    vocabulary: Vocabulary,
    name: str = "",
    known: Collection[str] = (),
    present: Collection[str] = (),
) -> list[str]:
    """Sentences about each rule, Chinese or English: every condition with ✓ or ✗ and what was there, then the verdict.

    Of a `name` that the set that decided has not: `known` are the names it has, `present` those of the live one.
    """
    words = _ZH if language.startswith("zh") else _EN
    teller = Teller(language, vocabulary, decision.ticket, decision.case)
    if not found:
        if name in present:
            return [words["later"].format(rule=name)]
        near = get_close_matches(name, known, n=1)
        return [words["unknown near" if near else "unknown"].format(rule=name, near="".join(near))]
    return [line for one in found for line in _told(one, decision, words, teller)]


def told_near(found: list[WhyNot], decision: Decision, language: str, vocabulary: Vocabulary) -> list[str]:
    """One sentence for each near miss."""
    words = _ZH if language.startswith("zh") else _EN
    teller = Teller(language, vocabulary, decision.ticket, decision.case)
    return [
        words["near"].format(
            rule=one.rule.name, seen=words["join"].join(teller.seen(seen, wanted=True) for seen in one.missing)
        )
        for one in found
    ]


def _told(one: WhyNot, decision: Decision, words: Mapping[str, str], teller: Teller) -> Iterator[str]:
    key = "row alone" if one.state == "row" and not one.before else one.state
    on = words["join"].join(one.rule.on)
    yield words[key].format(rule=one.rule.name, trigger=decision.case.trigger, on=on, before=one.before)
    for checked in one.checked:
        well = checked.held != (checked.within == "none")
        nest = words[checked.within] if checked.within != "all" else ""
        denied = words["denied"].format(words=words["join"].join(checked.denied)) if checked.denied else ""
        yield words["held" if well else "failed"].format(seen=teller.seen(checked.seen, wanted=True)) + nest + denied
    for reason in one.withheld:
        yield words["withheld"].format(reason=teller.withheld(reason))
    for lost in one.lost:
        yield words[f"lost {lost.by}"].format(field=teller.field(lost.field), to=lost.to)
    if one.state == "conditions":
        lacking = "missing" if len(one.missing) == 1 else "missing more"
        yield words[lacking].format(
            seen=words["join"].join(teller.seen(seen, wanted=True) for seen in one.missing), n=len(one.missing)
        )
