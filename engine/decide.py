"""Deciding: stages, rounds and merging, then routing, promises and the outcome.

    facts -> [stage: true rules fire together, their writes merge, again until none is left] -> ticket, effects, trace

The kernel only says which rules are true. A rule fires at most once per decision, so a decision always ends; the
outcome depends on the set of rules and facts, never on any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any as Anything

from engine.company import Company
from engine.decision import (
    Acknowledge, AskReview, Case, Decision, Effect, Fact, Fired, HandOver, Route, Seen, Suppress, Tag, Untag, UseSla,
    Written,
    sealed,
)  # fmt: skip
from engine.facts import WORDS, tier
from engine.merge import Merged, before, merge, who_held, who_suppressed
from engine.routing import choose
from engine.ruleset import Any, Condition, Kernel, Nothing, Rule, RuleSet, Stage, Test, Value, Write, holds
from engine.sla import promised
from engine.words import folded
from engine.thread import SPEAKING
from normalizer.canon import Derived, Review, Ticket

_SHOWN_WORDS, _SHOWN_CHARACTERS = 12, 160  # of one condition in a trace


def decide(ruleset: RuleSet, company: Company, case: Case) -> Decision:
    """What these rules make of this case. Pure; equal arguments give a decision with an equal hash."""
    board = _Board(ruleset, case, ruleset.facts(case, company))
    for number, stage in enumerate(ruleset.stages, 1):
        _run(board, stage, number, ruleset.kernel)
    return sealed(_outcome(board, company))


@dataclass(slots=True)
class _Board:
    """What has been written so far; the facts follow it."""

    ruleset: RuleSet
    case: Case
    values: dict[str, Value]
    writes: dict[str, list[Write]] = field(default_factory=dict)
    merged: dict[str, Merged] = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)

    def write(self, rules: list[Rule]) -> frozenset[str]:
        """Add the writes of rules that fired together; gives the slots they wrote."""
        touched: set[str] = set()
        for rule in rules:
            for write in rule.writes:
                self.writes.setdefault(write.slot, []).append(write)
                touched.add(write.slot)
        for slot in touched:
            if (merged := merge(slot, self.writes[slot], self.case.ticket)) is not None:
                self.merged[slot] = merged
        for slot in touched & self.merged.keys():
            self._follow(slot)
        return frozenset(touched)

    def _follow(self, slot: str) -> None:
        merged, values = self.merged[slot], self.values
        if slot.startswith("tag:"):
            values["tags"] = self.tags()
        elif slot == "group":
            assert isinstance(merged.effect, Route)
            if merged.value or merged.effect.assignee:
                values["group"], values["assignee"] = merged.value, merged.effect.assignee or None
        elif slot == "review":
            values["review.needed"] = True
        else:
            values[slot] = merged.value
        if slot in ("category", "subcategory"):
            values[f"{slot}.confidence"] = 1.0
            self._recount(slot)

    def _recount(self, slot: str) -> None:
        for window in self.ruleset.windows:
            if slot in window.slots:
                self.values[window.name] = window.count(self.case, self.value("category"), self.value("subcategory"))

    def value(self, slot: str) -> Fact:
        return self.merged[slot].value if slot in self.merged else before(slot, self.case.ticket)

    def tags(self) -> tuple[str, ...]:
        """Before + tags - untags, sorted: the order of writing plays no part."""
        added = {t for w in self._of_tags() if w.effect.verb == "tag" for t in w.effect.tags}
        gone = {folded(t) for w in self._of_tags() if w.effect.verb == "untag" for t in w.effect.tags}
        return tuple(sorted(t for t in {*self.case.ticket.tags, *added} if folded(t) not in gone))

    def _of_tags(self) -> list[Anything]:
        return [w for slot, writes in self.writes.items() if slot.startswith("tag:") for w in writes]


def _run(board: _Board, stage: Stage, number: int, kernel: Kernel) -> None:
    """One stage: rounds of what is true and has not fired, until nothing is."""
    done: set[str] = set()
    changed: frozenset[str] | None = None
    for turn in range(1, len(stage.units) + 2):
        true = kernel.true(number - 1, board.case.trigger, board.values, changed)
        rules = [rule for unit, rule in true if unit.name not in done]
        if not rules:
            return
        done.update(unit.name for unit, _ in true)
        board.fired.extend(_fired(rule, number, turn, board.values) for rule in rules)
        changed = board.write(rules)
        if not stage.circular:
            return


def _fired(rule: Rule, stage: int, turn: int, values: Mapping[str, Value]) -> Fired:
    return Fired(
        rule.name, rule.rulebook, rule.layer, stage, turn, rule.because, tuple(_seen(rule.when, values)), rule.effects
    )


def _seen(condition: Condition, values: Mapping[str, Value]) -> list[Seen]:
    """The conditions as they were checked; of an `any` those that held."""
    match condition:
        case Test():
            return [_checked(condition, values.get(condition.field))]
        case Any(parts):
            return [seen for part in parts if holds(part, values) for seen in _seen(part, values)]
        case Nothing(parts):
            return [
                replace(seen, operator=f"not {seen.operator}") for part in parts for seen in _seen_all(part, values)
            ]
        case _:
            return [seen for part in condition.parts for seen in _seen(part, values)]


def _seen_all(condition: Condition, values: Mapping[str, Value]) -> list[Seen]:
    if isinstance(condition, Test):
        return [_checked(condition, values.get(condition.field))]
    return [seen for part in condition.parts for seen in _seen_all(part, values)]


def _checked(test: Test, found: Value) -> Seen:
    wanted = test.wanted
    if test.kind == "words":
        wished = wanted if isinstance(wanted, tuple) else ()
        said = found if isinstance(found, frozenset) else frozenset()
        return Seen(WORDS, test.operator, _short(wanted), tuple(w for w in wished if folded(w) in said))
    assert not isinstance(found, frozenset)
    return Seen(test.field, test.operator, _short(wanted), _short(found))


def _short(value: Fact) -> Fact:
    if isinstance(value, tuple) and len(value) > _SHOWN_WORDS:
        return (*value[:_SHOWN_WORDS], f"+{len(value) - _SHOWN_WORDS}")
    if isinstance(value, str) and len(value) > _SHOWN_CHARACTERS:
        return value[:_SHOWN_CHARACTERS] + "…"
    return value


def _outcome(board: _Board, company: Company) -> Decision:
    effects, withheld = _effects(board)
    ticket, assigned, nobody = _routed(board, company, _written_ticket(board, company))
    chosen = board.merged.get("sla")
    policy = chosen.effect.policy if chosen and isinstance(chosen.effect, UseSla) else ""
    ticket = replace(ticket, sla=promised(company, board.case.ticket, ticket, policy))
    return Decision(
        case=board.case,
        ruleset=board.ruleset.sha,
        kernel=board.ruleset.kernel.name,
        fired=tuple(sorted(board.fired, key=lambda f: (f.stage, f.round, f.rule))),
        written=(*_trace(board), *assigned),
        effects=effects,
        withheld=(*withheld, *nobody),
        ticket=ticket,
    )


def _source(board: _Board, rule: str) -> str:
    return f"rule:{rule}@{board.ruleset.sha[:4]}"


def _derived(board: _Board, slot: str, current: Derived | None) -> Derived | None:
    merged = board.merged.get(slot)
    if merged is None or not isinstance(merged.value, str):
        return current
    return Derived(merged.value, _source(board, merged.rule), contested=merged.contested)


def _written_ticket(board: _Board, company: Company) -> Ticket:
    ticket, merged = board.case.ticket, board.merged
    priority = _derived(board, "priority", ticket.priority)
    status = _derived(board, "status", ticket.status)
    assert priority and status
    return replace(
        ticket,
        category=_derived(board, "category", ticket.category),
        subcategory=_derived(board, "subcategory", ticket.subcategory),
        priority=priority,
        status=status,
        type=str(board.value("type")),
        subject=str(board.value("subject")),
        tags=board.tags() if any(slot.startswith("tag:") for slot in merged) else ticket.tags,
        marks={**ticket.marks, **_named(board, "mark.")},
        custom={**ticket.custom, **_named(board, "custom.")},
        escalation_level=int(str(board.value("escalation_level"))),
        review=_reviewed(board, ticket.review),
        tier=tier(board.case, company),
        ruleset=board.ruleset.sha,
    )


def _named(board: _Board, prefix: str) -> dict[str, str]:
    return {slot.removeprefix(prefix): str(m.value) for slot, m in board.merged.items() if slot.startswith(prefix)}


def _reviewed(board: _Board, current: Review | None) -> Review | None:
    merged = board.merged.get("review")
    if merged is None or not isinstance(merged.effect, AskReview):
        return current
    asked = {w.effect.reason for w in board.writes["review"] if isinstance(w.effect, AskReview)}
    reasons = tuple(sorted({*asked, *(current.reasons if current else ())}))
    return Review(True, reasons, merged.effect.group, merged.effect.hold)


def _routed(board: _Board, company: Company, ticket: Ticket) -> tuple[Ticket, list[Written], list[str]]:
    """The ticket with its group and agent, who that was, or why nobody."""
    merged = board.merged.get("group")
    if merged is None or not isinstance(merged.effect, Route):
        return ticket, [], []
    route, source = merged.effect, _source(board, merged.rule)
    skills = tuple(sorted({*ticket.required_skills, *route.skills}))
    if not (route.group or route.assignee):
        return replace(ticket, required_skills=skills), [], []
    current = ticket.assignee.value if ticket.assignee else ""
    chosen = choose(company, route, board.case.load, current)
    group = Derived(route.group, source, contested=merged.contested) if route.group else ticket.group
    stays = not route.by and not route.assignee and current in company.members.get(route.group, ())
    agent = ticket.assignee if stays else Derived(chosen.agent, source) if chosen.agent else None
    routed = replace(ticket, group=group, assignee=agent, required_skills=skills)
    told = [Written("assignee", chosen.agent, current or None, merged.rule)] if chosen.agent else []
    return routed, told, [chosen.nobody] if chosen.nobody else []


def _trace(board: _Board) -> list[Written]:
    """Who wrote each field in the end. Tags are told one by one."""
    return [
        Written(
            "tags" if slot.startswith("tag:") else slot,
            _told(slot, merged),
            before(slot, board.case.ticket),
            merged.rule,
            merged.over,
            merged.contested,
        )
        for slot, merged in sorted(board.merged.items())
    ]


def _told(slot: str, merged: Merged) -> Fact:
    return f"{'+' if merged.value else '-'}{slot.removeprefix('tag:')}" if slot.startswith("tag:") else merged.value


def _effects(board: _Board) -> tuple[tuple[Effect, ...], list[str]]:
    """The merged effects, and what was asked for but will not happen, with its reason."""
    kept: list[Effect] = []
    withheld: list[str] = []
    for slot, merged in sorted(board.merged.items()):
        if slot.startswith("tag:"):
            continue
        reason = _withheld(board, merged.effect)
        if reason:
            withheld.append(reason)
        elif not isinstance(merged.effect, Suppress):
            kept.append(merged.effect)
    return (*kept, *_tagging(board)), withheld


def _tagging(board: _Board) -> list[Effect]:
    """Tags as one effect, and what was taken away as another."""
    had, has = set(board.case.ticket.tags), set(board.tags())
    told: list[Effect] = [Tag(tuple(sorted(has - had)))] if has - had else []
    return [*told, Untag(tuple(sorted(had - has)))] if had - has else told


def _withheld(board: _Board, effect: Effect) -> str:
    if not isinstance(effect, Acknowledge | HandOver):
        return ""
    what = effect.verb
    if reason := _unanswerable(board.case) if isinstance(effect, Acknowledge) else "":
        return f"{what}: {reason}"
    suppress, review = board.merged.get("suppress"), board.merged.get("review")
    if suppress and isinstance(suppress.effect, Suppress) and what in suppress.effect.what:
        return f"{what}: suppressed by rule {who_suppressed(board.writes['suppress'], what)}"
    if review and isinstance(review.effect, AskReview) and what in review.effect.hold:
        return f"{what}: held for review by rule {who_held(board.writes['review'], what)}"
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
    return "" if case.message.answerable else "not answerable"
