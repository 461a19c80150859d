"""Deciding: stages, rounds and merging, then routing, promises and the outcome.

    facts -> [stage: true rules fire together, their writes merge, again until none is left] -> ticket, effects, trace

The kernel only says which rules are true. A rule fires at most once per decision, so a decision always ends; the
outcome depends on the set of rules and facts, never on any order.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any as Anything

from engine import acknowledgement, trace
from engine.acting import with_status
from engine.calendar import duration
from engine.company import Company
from engine.decision import (
    Acknowledge,
    Answer,
    AskFor,
    AskReview,
    Case,
    Close,
    Decision,
    Effect,
    Fact,
    Fired,
    Grade,
    Human,
    LinkTo,
    Notify,
    OpenTask,
    Promise,
    Route,
    Set,
    Suggest,
    Suppress,
    Tag,
    Untag,
    UseSla,
    WaitFor,
    Written,
    effects_of,
    plain,
    sealed,
)
from engine.effects import unnamed
from engine.facts import tier
from engine.merge import before, merge, who_held, who_suppressed, writes
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
from engine.thread import SPEAKING, identities
from engine.words import Said, folded
from normalizer.canon import (
    Contact,
    Derived,
    Message,
    Pending,
    Quality,
    Related,
    Review,
    Status,
    Suggestion,
    Task,
    Ticket,
    Wait,
    altered,
    digest,
)  # fmt: skip

TOO_MANY = f"{acknowledgement.MOST} acknowledgements within an hour to this customer"
TOO_MANY_REPLIES = f"{acknowledgement.MOST} automatic answers within an hour to this customer"
TO_CUSTOMER = ("acknowledge", "reply", "ask_for")
ENDED = (Status.SOLVED, Status.CLOSED, Status.MERGED)

_FOLLOWING = {
    "category": "category.confidence",
    "subcategory": "subcategory.confidence",
    "review": "review.needed",
}


def decide(ruleset: RuleSet, company: Company, case: Case) -> Decision:
    """What these rules make of this case. Pure; equal arguments give a decision with an equal hash."""
    return sealed(*weighed(ruleset, company, case))


def weighed(ruleset: RuleSet, company: Company, case: Case, said: Said | None = None) -> tuple[Decision, list[bytes]]:
    """The same before it is sealed, and as JSON the rules that fired: for who has more to do before.

    `said` is what `ruleset.said` found in the case's message, if that was asked before.
    """
    board = _Board(ruleset, company, case, ruleset.facts(case, company, said))
    board.take_due()
    for number, stage in enumerate(ruleset.stages, 1):
        _run(board, stage, number, ruleset.kernel)
    return _outcome(board, company)


def played(ruleset: RuleSet, company: Company, case: Case) -> Iterator[tuple[Stage, dict[str, Value]]]:
    """Stage by stage, the facts as its rules saw them last: for who asks why a rule did not fire."""
    board = _Board(ruleset, company, case, ruleset.facts(case, company))
    board.take_due()
    for number, stage in enumerate(ruleset.stages, 1):
        before = dict(board.values)
        _run(board, stage, number, ruleset.kernel)
        yield stage, board.values if stage.circular else before


@dataclass(slots=True)
class _Board:
    """What has been written so far; the facts follow it."""

    ruleset: RuleSet
    company: Company
    case: Case
    values: dict[str, Value]
    writes: defaultdict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    merged: dict[str, Merged] = field(default_factory=dict)
    fired: list[trace.Told] = field(default_factory=list)
    added: set[str] = field(default_factory=set)  # tags
    gone: set[str] = field(default_factory=set)  # folded
    contested: set[str] = field(default_factory=set)  # slots that were, while others could read them
    held: list[Pending] = field(default_factory=list)

    def take_due(self) -> None:
        """What rules wanted done once this happens is written before any rule is asked."""
        for number, pending in enumerate(self.case.due, 1):
            rank = self.ruleset.layers.get(pending.layer, 0)
            made = effects_of(pending)
            later = writes(pending.rule, rank, pending.conditions, pending.override, made, f" then {number}")
            self.fired.append(trace.told(Fired(pending.rule, "", pending.layer, 0, 0, "", (), made)))
            self._write(later, _words(made, Tag), _words(made, Untag))

    def write(self, rules: list[Rule]) -> frozenset[str]:
        """Add the writes of rules that fired together; gives the slots they wrote."""
        written = [write for rule in rules for write in rule.writes]
        tags, untags = [tag for rule in rules for tag in rule.tags], [tag for rule in rules for tag in rule.untags]
        return self._write(written, tags, untags)

    def _write(self, written: Iterable[Write], tags: Iterable[str], untags: Iterable[str]) -> frozenset[str]:
        touched: set[str] = set()
        for write in written:
            touched.add(write.slot)
            self.writes[write.slot].append(write)
        tagged = bool(tags or untags)
        self.added.update(tags)
        self.gone.update(map(folded, untags))
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

    def pending(self, write: Write, made: tuple[Effect, ...] | None = None) -> Pending:
        """What a rule wants done later, with its weight: its own effect, or these."""
        layer = next((name for name, rank in self.ruleset.layers.items() if rank == write.layer), "")
        wanted = plain((unnamed(write.effect),) if made is None else made)
        return Pending(write.rule, wanted, layer, write.conditions, write.override)

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


def _words(made: Iterable[Effect], kind: type[Tag] | type[Untag]) -> list[str]:
    return [tag for effect in made if isinstance(effect, Tag | Untag) and type(effect) is kind for tag in effect.tags]


def _outcome(board: _Board, company: Company) -> tuple[Decision, list[bytes]]:
    before_rules = board.case.ticket
    withheld = _stopped(board)
    merged = board.merged
    slots = sorted(merged.items())
    tags = board.tags()
    changes: dict[str, Anything] = {"tier": tier(board.case, company), "ruleset": board.ruleset.sha}
    for slot, at in slots:
        _change(board, changes, slot, at)
    if board.added or board.gone:
        changes["tags"] = tags
    if board.held and "review" not in changes and before_rules.review:
        changes["review"] = replace(before_rules.review, held=_sorted(before_rules.review.held, board.held))
    assigned, nobody = _routed(board, company, changes)
    changes["sla"] = _promised(board, company, changes)
    ticket = altered(before_rules, **changes)
    ticket, effects, unable = _done(board, company, slots, ticket)
    fired = sorted(board.fired, key=_by_place)
    made = Decision(
        case=board.case,
        ruleset=board.ruleset.sha,
        kernel=board.ruleset.kernel.name,
        fired=tuple([one for one, _ in fired]),
        written=(*trace.written([one for one in slots if one[0] not in unable], before_rules), *assigned),
        effects=(*effects, *_tagging(before_rules.tags, tags)),
        withheld=(*withheld, *unable.values(), *nobody),
        ticket=ticket,
    )
    return made, [raw for _, raw in fired]


def _promised(board: _Board, company: Company, changes: dict[str, Anything]) -> Anything:
    ticket, merged = board.case.ticket, board.merged
    chosen = merged.get("sla")
    lengths = {
        at.effect.milestone: at.effect.within for at in merged.values() if isinstance(at.effect, Promise)
    }  # fmt: skip
    return promised(
        company,
        ticket,
        changes.get("type", ticket.type),
        changes["priority"].value if "priority" in changes else ticket.priority.value,
        chosen.effect.policy if chosen and isinstance(chosen.effect, UseSla) else "",
        lengths,
    )


def without(decision: Decision, verb: str, reason: str) -> Decision:
    """The decision, not sealed yet, without its words for the customer, which cannot be given for this reason."""
    effects = tuple(effect for effect in decision.effects if effect.verb != verb)
    ticket, was = decision.ticket, decision.case.ticket
    if verb != "acknowledge":
        ticket = replace(ticket, replied_at=was.replied_at)
    if verb == "ask_for" and "status" not in {written.field for written in decision.written}:
        ticket = replace(ticket, status=was.status)
    return replace(decision, effects=effects, ticket=ticket, withheld=(*decision.withheld, f"{verb}: {reason}"))


def _by_place(told: trace.Told) -> tuple[int, int, str]:
    fired, _ = told
    return (fired.stage, fired.round, fired.rule)


def _source(board: _Board, rule: str) -> str:
    return f"rule:{rule}@{board.ruleset.sha[:4]}"


def _change(board: _Board, changes: dict[str, Anything], slot: str, merged: Merged) -> None:
    """What a slot's value makes of the ticket; tags and the route are seen to as a whole."""
    ticket = board.case.ticket
    if slot.startswith("tag:"):
        return
    match slot:
        case "category" | "subcategory" | "priority":
            changes[slot] = Derived(str(merged.value), _source(board, merged.rule), contested=merged.contested)
        case "type" | "subject" | "escalation_level":
            changes[slot] = merged.value
        case "review":
            changes[slot] = _reviewed(board, merged, ticket.review)
        case "human":
            changes[slot] = Derived(_reason(merged.effect), _source(board, merged.rule))
        case _ if slot.startswith("mark."):
            changes["marks"] = {**changes.get("marks", ticket.marks), slot.removeprefix("mark."): str(merged.value)}
        case _ if slot.startswith("custom."):
            changes["custom"] = {
                **changes.get("custom", ticket.custom),
                slot.removeprefix("custom."): str(merged.value),
            }


def _reason(effect: Effect) -> str:
    return effect.reason if isinstance(effect, Human | Close) else ""


def _reviewed(board: _Board, merged: Merged, current: Review | None) -> Review:
    """A review that goes on keeps what it held before."""
    assert isinstance(merged.effect, AskReview)
    asked = [(w, w.effect) for w in board.writes["review"] if isinstance(w.effect, AskReview)]
    kept = current if current and current.needed else Review(True)
    reasons = tuple(sorted({*(effect.reason for _, effect in asked), *(current.reasons if current else ())}))
    approved = [board.pending(w, effect.approved) for w, effect in asked if effect.approved]
    rejected = [board.pending(w, effect.rejected) for w, effect in asked if effect.rejected]
    return Review(
        True, reasons, merged.effect.group, tuple(dict.fromkeys((*kept.hold, *merged.effect.hold))),
        held=_sorted(kept.held, board.held), approved=_sorted(kept.approved, approved),
        rejected=_sorted(kept.rejected, rejected),
    )  # fmt: skip


def _sorted(before: Iterable[Pending], now: Iterable[Pending]) -> tuple[Pending, ...]:
    """Both, each once, in an order of their own."""
    together = {(one.rule, str(one.effects)): one for one in (*before, *now)}
    return tuple(together[key] for key in sorted(together))


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
    chosen = choose(company, route, board.case.load, current, board.case.history)
    if route.by or route.assignee or current not in company.members.get(route.group, ()):
        changes["assignee"] = Derived(chosen.agent, source) if chosen.agent else None
    told = [Written("assignee", chosen.agent, current or None, merged.rule)] if chosen.agent else []
    return told, [chosen.nobody] if chosen.nobody else []


def _stopped(board: _Board) -> list[str]:
    """Take out what is suppressed, held or a person's to do; gives what that was, and why.

    What is left of a slot is merged again, as if nobody had written the rest.
    """
    ticket = board.case.ticket
    reviewed = ticket.review is not None and ticket.review.needed
    if not (board.merged.keys() & {"suppress", "review", "human"} or ticket.human or reviewed):
        return []
    stops = _stops(board)
    told: list[str] = []
    for slot in sorted(board.merged):
        written = board.writes[slot]
        stopped = [(write, reason) for write in written if (reason := stops(write))]
        if not stopped:
            continue
        told += [f"{write.effect.verb}: {reason}" for write, reason in stopped]
        board.held += [board.pending(write) for write, reason in stopped if reason.startswith(HELD)]
        left = [write for write in written if not stops(write)]
        again = merge(slot, left, board.case.ticket) if left else None
        if again is None:
            del board.merged[slot]
        else:
            board.merged[slot] = again
    return list(dict.fromkeys(told))


HELD = "held for "


def _stops(board: _Board) -> Callable[[Write], str]:
    """Why a write does not happen; empty if it does."""
    suppress, review = board.merged.get("suppress"), board.merged.get("review")
    no = suppress.effect.what if suppress and isinstance(suppress.effect, Suppress) else ()
    later = review.effect.hold if review and isinstance(review.effect, AskReview) else ()
    goes_on = board.case.ticket.review
    still = goes_on.hold if goes_on and goes_on.needed else ()
    had, has = board.case.ticket.human, board.merged.get("human")
    human = has.rule if has else had.source.removeprefix("rule:").partition("@")[0] if had else ""

    def stops(write: Write) -> str:
        verb = write.effect.verb
        if verb in TO_CUSTOMER and _unanswerable(board, verb):
            return ""  # that is the better reason, and told later
        if verb in no:
            return f"suppressed by rule {who_suppressed(board.writes['suppress'], verb)}"
        if human and (_ends(write.effect) or verb in ("reply", "ask_for") or (had and verb == "acknowledge")):
            return f"a person has it, by {human}"
        if verb in later:
            return f"{HELD}review by rule {who_held(board.writes['review'], verb)}"
        return f"{HELD}the review that goes on" if verb in still else ""

    return stops


def _ends(effect: Effect) -> bool:
    return isinstance(effect, Close) or (isinstance(effect, Set) and effect.field == "status" and effect.value in ENDED)


def _done(
    board: _Board, company: Company, slots: Iterable[tuple[str, Merged]], ticket: Ticket
) -> tuple[Ticket, list[Effect], dict[str, str]]:
    """What the effects that are no fields make of the ticket; those that remain; those that cannot be, with why."""
    kept: list[Effect] = []
    unable: dict[str, str] = {}
    for slot, merged in slots:
        if slot in ("suppress",) or slot.startswith("tag:"):
            continue
        ticket, effect, reason = _do(board, company, slot, merged, ticket)
        if reason:
            unable[slot] = f"{merged.effect.verb}: {reason}"
        elif effect is not None:
            kept.append(effect)
    ended = ticket.waits and ticket.status.value in (Status.CLOSED, Status.MERGED)
    return (replace(ticket, waits=()) if ended else ticket), kept, unable


def _do(
    board: _Board, company: Company, slot: str, merged: Merged, ticket: Ticket
) -> tuple[Ticket, Effect | None, str]:
    """One effect: the ticket after it, the effect as it is told, and why it cannot be."""
    case, effect, source = board.case, merged.effect, _source(board, merged.rule)
    if effect.verb in TO_CUSTOMER and (reason := _unanswerable(board, effect.verb)):
        return ticket, None, reason
    match effect:
        case Set("status") | Close():
            ended = with_status(ticket, Derived(str(merged.value), source, contested=merged.contested), case.now)
            return replace(ended, solution=ended.solution or _reason(effect)), effect, ""
        case Answer():
            return _replied(ticket, case), effect, ""
        case AskFor(fields):
            return _asked(board, company, ticket, fields, source)
        case Suggest():
            text = effect.text or company.answer(effect.answer, acknowledgement.language(ticket, _OF_US))
            made = Suggestion(text, source, effect.answer)
            suggestions = tuple(dict.fromkeys((*ticket.suggestions, made)))
            return replace(ticket, suggestions=suggestions), effect, ""
        case Notify():
            return ticket, *_notified(company, effect)
        case OpenTask():
            task = _task(case, company, slot, effect, source)
            return replace(ticket, tasks=(*ticket.tasks, task)), effect, ""
        case WaitFor():
            return _waiting(board, slot, effect, ticket), effect, ""
        case LinkTo():
            return _linked(case, ticket, effect)
        case Grade(mark):
            if case.message is None or case.message.author != "agent":
                return ticket, None, "no agent's reply"
            graded = Quality(mark, case.message.id, case.by, source, case.now)
            return replace(ticket, quality=(*ticket.quality, graded)), effect, ""
    return ticket, effect, ""


_OF_US = Contact("")  # who reads it works here: only the ticket's own language counts


def _replied(ticket: Ticket, case: Case) -> Ticket:
    recent = [at for at in ticket.replied_at if case.now - at < acknowledgement.WITHIN]
    return replace(ticket, replied_at=(*recent, case.now))


def _asked(
    board: _Board, company: Company, ticket: Ticket, fields: tuple[str, ...], source: str
) -> tuple[Ticket, Effect | None, str]:
    """Only what the ticket lacks is asked for; then it waits for the customer, unless somebody said otherwise."""
    required = company.required(ticket.type) if "missing" in fields else ()
    there = {*(name for name, said in ticket.custom.items() if said), *ticket.extracted}
    wanted = dict.fromkeys((*required, *(name for name in fields if name != "missing")))
    lacking = tuple(name for name in wanted if name not in there)
    if not lacking:
        return ticket, None, "nothing is missing"
    ticket = _replied(ticket, board.case)
    persons = ticket.status.source.startswith("person:") or ticket.status.value in ENDED
    if "status" not in board.merged and not persons:
        ticket = replace(ticket, status=Derived(Status.WAITING_CUSTOMER, source))
    return ticket, AskFor(lacking), ""


def _notified(company: Company, effect: Notify) -> tuple[Effect | None, str]:
    """With the mail addresses of everybody who is to be told."""
    agents = {*effect.agents, *(name for group in effect.groups for name in company.members.get(group, ()))}
    mails = {company.people.agents[name].email for name in agents} | set(effect.addresses)
    addresses = tuple(sorted(mails - {""}))
    if not addresses and not effect.calls:
        return None, "nobody of them has a mail address"
    return replace(effect, addresses=addresses), ""


def _task(case: Case, company: Company, slot: str, effect: OpenTask, source: str) -> Task:
    length = duration(effect.due) if effect.due else None
    due = company.calendars[company.business].after(case.now, length) if length else None
    identity = digest("task", case.ticket.id, case.ticket.version, slot)
    return Task(identity, effect.title, case.now, source, effect.type, effect.group, effect.assignee, due)


def _waiting(board: _Board, slot: str, effect: WaitFor, ticket: Ticket) -> Ticket:
    """A wait of the same name begins anew; two that begin in one decision both run, whoever is called how."""
    case = board.case
    identity = digest("wait", ticket.id, case.ticket.version, slot)
    (write,) = board.writes[slot]
    due = case.now + timedelta(seconds=effect.seconds)
    wait = Wait(identity, effect.name, due, effect.unless, board.pending(write, effect.then))
    anew = {one.id for one in case.ticket.waits if one.name == effect.name}
    return replace(ticket, waits=(*(one for one in ticket.waits if one.id not in anew), wait))


def _linked(case: Case, ticket: Ticket, effect: LinkTo) -> tuple[Ticket, Effect | None, str]:
    """To the latest earlier ticket that fits, as it was found before deciding."""
    category, subcategory = (one.value if one else "" for one in (ticket.category, ticket.subcategory))
    fitting = [
        past
        for past in case.history
        if past.ticket != ticket.id
        and (effect.to == "previous" or past.category == category)
        and (effect.to != "same_subcategory" or past.subcategory == subcategory)
    ]
    if not fitting:
        return ticket, None, "no earlier ticket"
    latest = max(fitting, key=lambda past: (past.at, past.ticket))
    related = Related(effect.kind, latest.ticket)
    linked = ticket if related in ticket.related else replace(ticket, related=(*ticket.related, related))
    return linked, replace(effect, ticket=latest.ticket), ""


def _tagging(before: Iterable[str], after: Iterable[str]) -> list[Effect]:
    """Tags as one effect, and what was taken away as another."""
    had, has = set(before), set(after)
    told: list[Effect] = [Tag(tuple(sorted(has - had)))] if has - had else []
    return [*told, Untag(tuple(sorted(had - has)))] if had - has else told


def _unanswerable(board: _Board, verb: str) -> str:
    """Why the customer may not be answered, whatever the rules say (RFC 3834: never answer automatic mail)."""
    case, message = board.case, board.case.message
    if (message is None or message.author == "agent") and not case.answerable:
        return "no message to answer"
    if verb == "acknowledge":
        released = any(isinstance(e, Acknowledge) for pending in case.due for e in effects_of(pending))
        if case.trigger != "ticket.created" and not released:
            return "only once, when the ticket is new"
        if case.ticket.acked_at is not None:
            return "already acknowledged"
    if message is not None and message.author != "agent":
        if message.kind not in SPEAKING or message.author != "customer" or message.direction != "in":
            return f"not answerable ({message.kind})"
        if not message.answerable:
            return "not answerable"
    if message is not None and _unreachable(case.contact, message):
        return acknowledgement.BOUNCING
    if verb == "acknowledge":
        too_many = acknowledgement.too_many(case.history, case.now)
        return TOO_MANY if too_many else acknowledgement.THROTTLES.get(case.throttled, "")
    if case.throttled == "storm":
        return acknowledgement.THROTTLES["storm"]
    return TOO_MANY_REPLIES if acknowledgement.too_many_replies(case.history, case.ticket, case.now) else ""


def _unreachable(contact: Contact, message: Message) -> bool:
    said = {(one.kind, one.value) for one in identities(message)}
    return any(one.bouncing and (one.kind, one.value) in said for one in contact.identities)
