"""Deciding: stages, rounds and merging, then routing, promises and the outcome.

    facts -> [stage: true rules fire together, their writes merge, again until none is left] -> ticket, effects, trace

The kernel only says which rules are true. A rule fires at most once per decision, so a decision always ends; the
outcome depends on the set of rules and facts, never on any order.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any as Anything

from engine import acknowledgement, trace
from engine.company import Company
from engine.decision import (
    Acknowledge,
    AskReview,
    Case,
    Decision,
    Effect,
    Fact,
    Fired,
    Route,
    Suppress,
    Tag,
    Untag,
    UseSla,
    Written,
    sealed,
)
from engine.facts import tier
from engine.merge import before, merge, who_held, who_suppressed
from engine.routing import choose
from engine.ruleset import (
    Kernel,
    Merged,
    Rule,
    RuleSet,
    Stage,
    Value,
    Write,
)
from engine.sla import promised
from engine.thread import SPEAKING
from engine.words import folded
from normalizer.canon import Derived, Review

TOO_MANY = f"{acknowledgement.MOST} acknowledgements within an hour to this customer"

_FOLLOWING = {
    "category": "category.confidence",
    "subcategory": "subcategory.confidence",
    "review": "review.needed",
}


def decide(ruleset: RuleSet, company: Company, case: Case) -> Decision:
    """What these rules make of this case. Pure; equal arguments give a decision with an equal hash."""
    board = _Board(ruleset, company, case, ruleset.facts(case, company))
    for number, stage in enumerate(ruleset.stages, 1):
        _run(board, stage, number, ruleset.kernel)
    return sealed(_outcome(board, company))


@dataclass(slots=True)
class _Board:
    """What has been written so far; the facts follow it."""

    ruleset: RuleSet
    company: Company
    case: Case
    values: dict[str, Value]
    writes: defaultdict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    merged: dict[str, Merged] = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)
    added: set[str] = field(default_factory=set)  # tags
    gone: set[str] = field(default_factory=set)  # folded
    contested: set[str] = field(default_factory=set)  # slots that were, while others could read them

    def write(self, rules: list[Rule]) -> frozenset[str]:
        """Add the writes of rules that fired together; gives the slots they wrote."""
        touched: set[str] = set()
        tagged = False
        for rule in rules:
            for write in rule.writes:
                touched.add(write.slot)
                self.writes[write.slot].append(write)
            if rule.tags or rule.untags:
                tagged = True
                self.added.update(rule.tags)
                self.gone.update(map(folded, rule.untags))
        for slot in touched:
            if (merged := merge(slot, self.writes[slot], self.case.ticket)) is not None:
                if merged.contested and slot in self.ruleset.reads:
                    self.contested.add(slot)
                elif slot in self.contested:
                    merged = replace(merged, contested=True)
                self.merged[slot] = merged
                if slot in self.values or slot in _FOLLOWING or slot == "group" or slot in self.ruleset.following:
                    self._follow(slot, merged)
        if tagged and "tags" in self.values:
            self.values["tags"] = self.tags()
        return frozenset(touched)

    def _follow(self, slot: str, merged: Merged) -> None:
        """Facts that depend on a slot, as its value now is."""
        values = self.values
        if slot == "group":
            assert isinstance(merged.effect, Route)
            if merged.effect.group or merged.effect.assignee:
                values["group"], values["assignee"] = merged.value, merged.effect.assignee or None
            return
        if slot in values:
            values[slot] = merged.value
        if slot in _FOLLOWING:
            values[_FOLLOWING[slot]] = True if slot == "review" else 1.0
        for name, follow in self.ruleset.following.get(slot, ()):
            values[name] = follow(self.case, self.company, self.value)

    def value(self, slot: str) -> Fact:
        return self.merged[slot].value if slot in self.merged else before(slot, self.case.ticket)

    def tags(self) -> tuple[str, ...]:
        """Before + tags - untags, sorted: the order of writing plays no part."""
        tags = self.added.union(self.case.ticket.tags)
        return tuple(sorted(tag for tag in tags if folded(tag) not in self.gone) if self.gone else sorted(tags))


def _run(board: _Board, stage: Stage, number: int, kernel: Kernel) -> None:
    """One stage: rounds of what is true and has not fired, until nothing is."""
    done: set[str] = set()
    changed: frozenset[str] | None = None
    for turn in range(1, len(stage.units) + 2):
        true = kernel.true(number - 1, board.case.trigger, board.values, changed)
        rules = [rule for unit, rule in true if unit.name not in done]
        if not rules:
            return
        board.fired.extend([trace.fired(rule, number, turn, board.values) for rule in rules])
        changed = board.write(rules)
        if not stage.circular:
            return
        done.update(unit.name for unit, _ in true)


def _outcome(board: _Board, company: Company) -> Decision:
    before_rules, merged = board.case.ticket, board.merged
    slots = sorted(merged.items())
    tags = board.tags()
    effects, withheld = _effects(board, slots)
    changes: dict[str, Anything] = {"tier": tier(board.case, company), "ruleset": board.ruleset.sha}
    for slot, at in slots:
        _change(board, changes, slot, at)
    if board.added or board.gone:
        changes["tags"] = tags
    assigned, nobody = _routed(board, company, changes)
    chosen = merged.get("sla")
    changes["sla"] = promised(
        company,
        before_rules,
        changes.get("type", before_rules.type),
        changes["priority"].value if "priority" in changes else before_rules.priority.value,
        chosen.effect.policy if chosen and isinstance(chosen.effect, UseSla) else "",
    )
    return Decision(
        case=board.case,
        ruleset=board.ruleset.sha,
        kernel=board.ruleset.kernel.name,
        fired=tuple(sorted(board.fired, key=_by_place)),
        written=(*trace.written(slots, before_rules), *assigned),
        effects=(*effects, *_tagging(before_rules.tags, tags)),
        withheld=(*withheld, *nobody),
        ticket=replace(before_rules, **changes),
    )


def unacknowledged(decision: Decision, reason: str) -> Decision:
    """The decision without its acknowledgement, which cannot be given for this reason."""
    effects = tuple(effect for effect in decision.effects if not isinstance(effect, Acknowledge))
    return sealed(replace(decision, effects=effects, withheld=(*decision.withheld, f"acknowledge: {reason}")))


def _by_place(fired: Fired) -> tuple[int, int, str]:
    return (fired.stage, fired.round, fired.rule)


def _source(board: _Board, rule: str) -> str:
    return f"rule:{rule}@{board.ruleset.sha[:4]}"


def _change(board: _Board, changes: dict[str, Anything], slot: str, merged: Merged) -> None:
    """What a slot's value makes of the ticket; tags and the route are seen to as a whole."""
    ticket = board.case.ticket
    if slot.startswith("tag:"):
        return
    match slot:
        case "category" | "subcategory" | "priority" | "status":
            changes[slot] = Derived(str(merged.value), _source(board, merged.rule), contested=merged.contested)
        case "type" | "subject" | "escalation_level":
            changes[slot] = merged.value
        case "review":
            changes[slot] = _reviewed(board, merged, ticket.review)
        case _ if slot.startswith("mark."):
            changes["marks"] = {**changes.get("marks", ticket.marks), slot.removeprefix("mark."): str(merged.value)}
        case _ if slot.startswith("custom."):
            changes["custom"] = {
                **changes.get("custom", ticket.custom),
                slot.removeprefix("custom."): str(merged.value),
            }


def _reviewed(board: _Board, merged: Merged, current: Review | None) -> Review:
    assert isinstance(merged.effect, AskReview)
    asked = {w.effect.reason for w in board.writes["review"] if isinstance(w.effect, AskReview)}
    reasons = tuple(sorted({*asked, *(current.reasons if current else ())}))
    return Review(True, reasons, merged.effect.group, merged.effect.hold)


def _routed(board: _Board, company: Company, changes: dict[str, Anything]) -> tuple[list[Written], list[str]]:
    """Group and agent of the ticket; gives who that was, or why nobody."""
    merged = board.merged.get("group")
    if merged is None or not isinstance(merged.effect, Route):
        return [], []
    ticket, route, source = board.case.ticket, merged.effect, _source(board, merged.rule)
    changes["required_skills"] = tuple(sorted({*ticket.required_skills, *route.skills}))
    if not (route.group or route.assignee):
        return [], []
    if route.group:
        changes["group"] = Derived(route.group, source, contested=merged.contested)
    current = ticket.assignee.value if ticket.assignee else ""
    chosen = choose(company, route, board.case.load, current)
    if route.by or route.assignee or current not in company.members.get(route.group, ()):
        changes["assignee"] = Derived(chosen.agent, source) if chosen.agent else None
    told = [Written("assignee", chosen.agent, current or None, merged.rule)] if chosen.agent else []
    return told, [chosen.nobody] if chosen.nobody else []


def _effects(board: _Board, slots: Iterable[tuple[str, Merged]]) -> tuple[list[Effect], list[str]]:
    """The merged effects but tags, and what was asked for but will not happen, with its reason."""
    kept: list[Effect] = []
    withheld: list[str] = []
    for slot, merged in slots:
        if slot in ("acknowledge", "hand_over") and (reason := _withheld(board, slot)):
            withheld.append(f"{slot}: {reason}")
        elif slot != "suppress" and not slot.startswith("tag:"):
            kept.append(merged.effect)
    return kept, withheld


def _tagging(before: Iterable[str], after: Iterable[str]) -> list[Effect]:
    """Tags as one effect, and what was taken away as another."""
    had, has = set(before), set(after)
    told: list[Effect] = [Tag(tuple(sorted(has - had)))] if has - had else []
    return [*told, Untag(tuple(sorted(had - has)))] if had - has else told


def _withheld(board: _Board, what: str) -> str:
    """Why this will not happen; empty if it will."""
    if what == "acknowledge" and (reason := _unanswerable(board.case)):
        return reason
    suppress, review = board.merged.get("suppress"), board.merged.get("review")
    if suppress and isinstance(suppress.effect, Suppress) and what in suppress.effect.what:
        return f"suppressed by rule {who_suppressed(board.writes['suppress'], what)}"
    if review and isinstance(review.effect, AskReview) and what in review.effect.hold:
        return f"held for review by rule {who_held(board.writes['review'], what)}"
    return ""


def _unanswerable(case: Case) -> str:
    """Why this case may not be acknowledged, whatever the rules say (RFC 3834: never answer automatic mail)."""
    if case.message is None:
        return "no message to answer"
    if case.trigger != "ticket.created":
        return "only once, when the ticket is new"
    if case.ticket.acked_at is not None:
        return "already acknowledged"
    if case.message.kind not in SPEAKING or case.message.author != "customer" or case.message.direction != "in":
        return f"not answerable ({case.message.kind})"
    if not case.message.answerable:
        return "not answerable"
    return TOO_MANY if acknowledgement.too_many(case.history, case.now) else ""
