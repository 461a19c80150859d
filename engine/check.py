"""`rules check`: everything that can be said about rulebooks without a ticket.

    check(texts, vocabulary, company) -> findings, by file and place

Errors keep a set from going live: what cannot be read, what can never hold, what contradicts itself. Warnings are what
an operator should look at. Nothing is guessed: "never" is said only of what `solve` rules out, and two rules are said
to contest a field only with a ticket on which they do. Pure and quick enough to be asked at every pause of typing.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any as Anything

from engine import conditions, rulebook, solve, trial
from engine.company import Company
from engine.conditions import SAYS
from engine.decision import AskReview, Effect, Escalate, Lower, Raise, Set, WaitFor
from engine.effects import own_slots
from engine.facts import FIELDS
from engine.overlaps import TRIED, Contests, Overruled, Row, overruled, rows, triggered, wishes
from engine.reading import Finding, glued, suggestion
from engine.ruleset import All, Any, Condition, Nothing, Rule, RuleSet, Test, Unit, tests
from engine.solve import Clause, World, clauses, covers, impossible, pinned, possible
from engine.spelling import spelled
from engine.stages import circles
from engine.vocabulary import Vocabulary
from engine.words import folded
from normalizer.errors import ConfigError, Where
from normalizer.marked import Document, Path

_PROMISE = re.compile(
    r"(?:\d+(?:\.\d+)?|[一二两三四五六七八九十半]+)\s*个?(?:工作)?(?:分钟|小时|钟头|天|日|周)\s*之?以?内"
    r"|\b(?:with)?in\s+(?:the\s+next\s+)?(?:\d+(?:\.\d+)?|an?|one|two|three|four|five|six|eight|twelve|half\s+an)"
    r"[\s-]*(?:business|working)?\s*(?:minute|hour|day|week)s?\b"
    r"|\b(?:\d+)\s*(?:business|working)\s+(?:hour|day)s?\b",
    re.I,
)
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.S)
_MONOTONE = frozenset(("at_least", "more_than", "exists"))  # once true, no raise makes them false
_RISING = frozenset(("priority", "escalation_level"))
_NEGATIVE = frozenset(("is_not", "not_in", "says_none"))
_ADDRESSED = frozenset(("message.from", "message.from.domain", "contact.identities"))


def check(
    texts: Mapping[str, str],
    vocabulary: Vocabulary,
    company: Company,
    *,
    templates: Mapping[str, str] | None = None,
    today: str = "",
    hits: Mapping[str, int] | None = None,
    since: str = "",
) -> list[Finding]:
    """What is wrong in these rulebooks (file -> text), and what should be looked at.

    `templates` are acknowledgements (file -> text), looked through for promises. `today` (2026-11-25) tells what is
    over. `hits` says how often each rule fired in the last while, which `since` names.
    """
    documents: dict[str, Document] = {}
    ruleset, found = rulebook.examine(texts, vocabulary, documents)
    found = [*found, *_examples(texts, vocabulary, found)]
    looking = _Look(documents, ruleset, company, _broken(texts, ruleset, found))
    found.extend(company.doubts)
    found.extend(one for document in documents.values() for one in _glued(document))
    for part in (_conditions, _firsts, _circles, _overlaps, _unproven, _timers):
        found.extend(part(looking))
    if hits is not None:
        found.extend(_dead(looking, hits, since))
    if today:
        found.extend(_over(looking, today))
    for file, text in (templates or {}).items():
        found.extend(promises(file, text))
    return sorted(set(found), key=lambda f: (f.where.file, f.where.line, f.where.column, f.severity, f.what))


def _glued(document: Document) -> Iterator[Finding]:
    """Words and tags with marks in them that were meant to part them."""
    rules = document.value.get("rules") if isinstance(document.value, dict) else None
    todo: list[tuple[Path, Anything]] = [(("rules",), rules)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, dict):
            todo.extend(((*path, key), inner) for key, inner in value.items())
        elif isinstance(value, list):
            todo.extend(((*path, i), inner) for i, inner in enumerate(value))
        elif isinstance(value, str) and not _WORDY.isdisjoint(path) and (one := glued(document.where(*path), value)):
            yield one


def errors(found: Iterable[Finding]) -> list[Finding]:
    """Those that keep a rulebook from going live."""
    return [one for one in found if one.severity == "error"]


_WORDY = frozenset({*SAYS, "tag", "untag"})  # under these stand words


@dataclass(slots=True)
class _Places:
    """Where rules and their parts stand; a file is looked through only if something is told of it."""

    documents: Mapping[str, Document]
    paths: dict[str, dict[Where, Path]] = field(default_factory=dict)

    def of(self, rule: Rule, part: str = "", name: str = "") -> Where:
        """The place of a rule; or of its `part` (when, then), there of the last key that is `name`."""
        file = rule.where.file
        document = self.documents.get(file)
        if document is None or not part:
            return rule.where
        if file not in self.paths:
            self.paths[file] = {document.where(*path): path for path in _rule_paths(document.value)}
        path = self.paths[file].get(rule.where)
        value = None if path is None else _down(document.value, path)
        if path is None or not isinstance(value, dict) or part not in value:
            return rule.where
        inner = _last_key(value[part], (*path, part), name) if name else None
        return document.key(*(inner or (*path, part)))


def _rule_paths(value: Anything) -> Iterator[Path]:
    listed = value.get("rules") if isinstance(value, dict) else None
    for i, item in enumerate(listed if isinstance(listed, list) else ()):
        yield ("rules", i)
        for key in ("rules", "rows"):
            inner = item.get(key) if isinstance(item, dict) else None
            for j in range(len(inner) if isinstance(inner, list) else 0):
                yield ("rules", i, key, j)


def _down(value: Anything, path: Path) -> Anything:
    for key in path:
        value = value[key]
    return value


def _last_key(value: Anything, path: Path, name: str) -> Path | None:
    """The path of the last key of this name; a field may be written with `ticket.` before it."""
    found: Path | None = None
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.removeprefix("ticket.") == name:
                found = (*path, key)
            found = _last_key(inner, (*path, key), name) or found
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            found = _last_key(inner, (*path, i), name) or found
    return found


class _Look:
    """One look over a rule set: its rows, circles and places."""

    def __init__(
        self, documents: Mapping[str, Document], ruleset: RuleSet, company: Company, broken: frozenset[str]
    ) -> None:
        self.ruleset, self.company = ruleset, company
        self.places = _Places(documents)
        self.whole = not broken
        self.units = [
            unit
            for stage in ruleset.stages
            for unit in stage.units
            if broken.isdisjoint((unit.name, *(row.name for row in unit.rows)))
        ]
        self.world = _world(ruleset)
        self.circles = circles(self.units)

    @cached_property
    def rows(self) -> list[Row]:
        circular = {unit.name for circle in self.circles for unit in circle}
        made = [
            row
            for unit in self.units
            for row in rows(unit, self.world, steady=unit.name not in circular and unit.reads.isdisjoint(unit.writes))
        ]
        return [row for row in made if _live(row.rule)]

    def at(self, rule: Rule, part: str = "", name: str = "") -> Where:
        return self.places.of(rule, part, name)


def _live(rule: Rule) -> bool:
    """Whether it writes anything: in shadow it does not."""
    return rule.mode == "live"


def _world(ruleset: RuleSet) -> World:
    sets = [{e.field: e.value for e in rule.effects if isinstance(e, Set)} for rule in ruleset.rules]
    return World(
        ruleset.vocabulary,
        frozenset(made["category"] for made in sets if "category" in made and "subcategory" not in made),
        frozenset(made["subcategory"] for made in sets if "subcategory" in made),
    )


def _broken(texts: Mapping[str, str], ruleset: RuleSet, found: Sequence[Finding]) -> frozenset[str]:
    """Rules that were not read whole: nothing is concluded from what is left of them."""
    if not found:
        return frozenset()
    starts: defaultdict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for rule in ruleset.rules:
        starts[rule.where.file].append((rule.where.line, rule.where.column, rule.name))
    broken = set[str]()
    for one in found:
        before = [s for s in starts.get(one.where.file, ()) if s[:2] <= (one.where.line, one.where.column)]
        if before:
            broken.add(max(before)[2])
            broken.add(max(before)[2].rpartition("/")[0])
    return frozenset(broken | {""})


def _examples(texts: Mapping[str, str], vocabulary: Vocabulary, found: Sequence[Finding]) -> Iterator[Finding]:
    """What is wrong with the examples of files that can be read."""
    unreadable = {
        one.where.file for one in found if one.where.line == 0 or one.code in ("yaml", "bomb", "duplicate-key")
    }
    for file, text in texts.items():
        if file in unreadable or "tests:" not in text:
            continue
        try:
            trial.trials({file: text}, vocabulary)
        except ConfigError as e:
            yield Finding(e.where, "example" if e.code == "config" else e.code, e.what, e.hint)


def _conditions(look: _Look) -> Iterator[Finding]:
    """What can never hold, and what always does."""
    for unit in look.units:
        for rule in unit.rows:
            every = list(tests(rule.when))
            if not every:
                continue
            whole = clauses(rule.when)
            if whole is not None and (finding := _never(look, rule, whole)):
                yield finding
                continue
            yield from _branches(look, rule, rule.when)
            opposite = clauses(rule.when, False)
            if opposite is not None and all(impossible(clause, look.world) for clause in opposite):
                yield _told(look.at(rule, "when"), "always-true", f"the condition of {rule.name!r} always holds",
                            "leave `when` out, or write what was meant")  # fmt: skip


def _never(look: _Look, rule: Rule, whole: Sequence[Clause]) -> Finding | None:
    why = [impossible(clause, look.world) for clause in whole]
    if not all(why):
        return None
    culprit = next((one for one in why if one), ())
    place = look.at(rule, "when", _key_of(culprit[-1].test)) if culprit else look.at(rule, "when")
    what = f"{rule.name!r} can never hold: {_spelled(culprit)}" if culprit else f"{rule.name!r} can never hold"
    return Finding(place, "impossible", what, "one of these must go")


def _branches(look: _Look, rule: Rule, condition: Condition) -> Iterator[Finding]:
    """Parts of an `any` that can never hold."""
    if isinstance(condition, Any):
        for part in condition.parts:
            inner = clauses(part)
            if inner and len(condition.parts) > 1 and all(why := [impossible(one, look.world) for one in inner]):
                culprit = why[0] or ()
                place = look.at(rule, "when", _key_of(culprit[-1].test))
                yield Finding(place, "impossible", f"a branch of {rule.name!r} can never hold: {_spelled(culprit)}",
                              "one of these must go")  # fmt: skip
    if isinstance(condition, All | Any):
        for part in condition.parts:
            yield from _branches(look, rule, part)


def _key_of(test: Test) -> str:
    """The key that a test is written under."""
    if test.window:
        return "history"
    return test.operator if test.kind == "words" and test.operator != "exists" else test.field


def _spelled(clause: Clause) -> str:
    """Tests as they are written in a rulebook."""
    return ", ".join(dict.fromkeys(spelled(test, wanted) for test, wanted in clause))


def _told(where: Where, code: str, what: str, hint: str, given: Mapping[str, Anything] | None = None) -> Finding:
    return Finding(where, code, what, hint, "warning", given or {})


def _firsts(look: _Look) -> Iterator[Finding]:
    """Rows that never have their turn, and rows that feed each other."""
    for unit in look.units:
        if len(unit.rows) < 2:
            continue
        yield from _feeding(look, unit)
        listed = rows(unit, look.world, steady=True)
        for i, row in enumerate(listed):
            if i and row.own and (above := _covered(row, listed[:i])) is not None:
                what = f"{row.name!r} never has its turn"
                names = ", ".join(repr(other.name) for other in above)
                yield _told(look.at(row.rule), "unreachable", f"{what}: {names} above it takes all of its tickets",
                            "move it up, or make the one above narrower")  # fmt: skip


def _covered(row: Row, above: Sequence[Row]) -> Sequence[Row] | None:
    """The row above that leaves nothing to this one, or all of them together."""
    assert row.own is not None
    if not any(possible(clause, row.world) for clause in row.own):
        return None
    for other in above[-200:]:
        if (
            _shares(row, other)
            and (opposite := clauses(triggered(other.rule), False))
            and covers(opposite, row.own, row.world)
        ):
            return (other,)
    left = row.narrow if row.narrow is not row.own else None
    return above if left is not None and not any(possible(clause, row.world) for clause in left) else None


def _shares(row: Row, other: Row) -> bool:
    """Whether the other looks at nothing that this one does not: else it can hardly cover it."""
    looked = {test.field for test in tests(row.rule.when)}
    return all(test.field in looked for test in tests(other.rule.when))


def _feeding(look: _Look, unit: Unit) -> Iterator[Finding]:
    for i, row in enumerate(unit.rows):
        written = {write.slot for write in row.writes}
        if any(slot.startswith("tag:") for slot in written):
            written.add("tags")
        for j, other in enumerate(unit.rows):
            read_ = {slot for test in tests(other.when) for slot in test.reads}
            if i != j and (fed := sorted(written & read_)):
                what = f"{row.name!r} writes {_slot(fed[0])}, which {other.name!r} of the same {unit.name!r} looks at"
                yield Finding(
                    look.at(row, "then"), "rows-feed", what, "only one row fires: make them rules of their own"
                )
                break


def _slot(slot: str) -> str:
    return slot.replace("tag:", "tag ")


def _circles(look: _Look) -> Iterator[Finding]:
    """In a circle: what is denied there may become true a round later, and a value may still rise."""
    for circle in look.circles:
        writers: defaultdict[str, list[Rule]] = defaultdict(list)
        for unit in circle:
            for row in unit.rows:
                for write in row.writes:
                    writers[write.slot].append(row)
                    if write.slot.startswith("tag:"):
                        writers["tags"].append(row)
        for unit in circle:
            for row in unit.rows:
                yield from _in_circle(look, unit, row, writers)


def _in_circle(look: _Look, unit: Unit, row: Rule, writers: Mapping[str, Sequence[Rule]]) -> Iterator[Finding]:
    for test, wanted in _polar(row.when, True):
        for slot in sorted(test.reads):
            others = [rule for rule in writers.get(slot, ()) if rule not in unit.rows]
            if not others:
                continue
            place, other = look.at(row, "when", _key_of(test)), others[0]
            if slot not in _RISING and _denies(test) == wanted:
                asked = spelled(test, wanted)
                what = f"{row.name!r} asks for {asked}, and {other.name!r} of its circle writes {_slot(slot)}"
                yield Finding(place, "negation-in-circle", what, "ask for something that is there")
            elif (rising := _rising(slot, others)) and not (wanted and test.operator in _MONOTONE):
                what = f"{row.name!r} reads {slot}, which {rising.name!r} of its circle may still change"
                yield _told(place, "read-early", what, "read what the other reads instead, or a mark")


def _rising(slot: str, others: Iterable[Rule]) -> Rule | None:
    """The first of these rules that moves a value up or down."""
    moves = (rule for rule in others if any(isinstance(effect, Raise | Lower | Escalate) for effect in rule.effects))
    return next(moves, None) if slot in _RISING else None


def _denies(test: Test) -> bool:
    return test.operator in _NEGATIVE or (test.operator == "exists" and test.wanted is False)


def _polar(condition: Condition, wanted: bool) -> Iterator[solve.Literal]:
    if isinstance(condition, Test):
        yield solve.Literal(condition, wanted)
        return
    for part in condition.parts:
        yield from _polar(part, wanted != isinstance(condition, Nothing))


def _overlaps(look: _Look) -> Iterator[Finding]:
    """Rules that contradict, cover or may contest each other."""
    made = wishes(look.rows)
    pairs = set[frozenset[str]]()
    for one in overruled(made):
        pairs.add(frozenset((one.row.name, one.by.name)))
        yield _overruled(look, one)
    if not look.whole:
        return
    contests = Contests(look.ruleset, look.company)
    for found in contests.found(made, frozenset(pairs)):
        names = f"{found.row.name!r} and {found.other.name!r} ({found.other.rule.where})"
        what = f"{names} may both write {_slot(found.slot)}, and only their names decide"
        place = look.at(found.row.rule, "then")
        yield _told(place, "contested", what, "put one into a higher layer, or give it more conditions", found.given)
    if contests.cut:
        what = f"{TRIED} tickets were tried; further pairs of rules were not looked at"
        yield _told(look.rows[0].rule.where, "contested", what, "mend those found first")


def _overruled(look: _Look, one: Overruled) -> Finding:
    row, by, slot = one.row, one.by, _slot(one.slot)
    place = look.at(row.rule, "then")
    if one.same and not one.slot.startswith("tag:"):
        what = f"{row.name!r} and {by.name!r} ({by.rule.where}) write different things to {slot} on the same tickets"
        return Finding(place, "conflict", what, "keep one, or put one into a higher layer")
    what = f"what {row.name!r} writes to {slot} never counts: {by.name!r} ({by.rule.where}) always beats it"
    return _told(place, "shadowed", what, "take one away, or make the other narrower")


def _unproven(look: _Look) -> Iterator[Finding]:
    """Rules that know a VIP by what anybody may claim."""
    claimed = {folded(value) for _, value in look.company.tier_of}
    for unit in look.units:
        for rule in unit.rows:
            for clause in clauses(rule.when) or ():
                named = [test for test, wanted in clause if wanted and _claims(test, claimed)]
                if named and not any(_proves(one) for one in clause):
                    yield _told(look.at(rule, "when", named[0].field), "unproven",
                                f"{rule.name!r} knows a customer by {named[0].field}, which anybody may claim",
                                "ask contact.tier, or also message.proven: true")  # fmt: skip
                    break


def _claims(test: Test, identities: set[str]) -> bool:
    listed = test.wanted if isinstance(test.wanted, tuple) else (test.wanted,)
    if test.field == "contact.claimed_tier":
        return test.operator in ("is", "in") and any(tier != "normal" for tier in listed)
    return test.field in _ADDRESSED and any(folded(str(one)) in identities for one in listed)


def _proves(literal: solve.Literal) -> bool:
    test, wanted = literal
    proof = pinned((literal,)).get(test.field)
    if test.field in ("message.proven", "contact.proven"):
        return proof is not None and False not in proof
    return test.field == "contact.tier" and wanted and proof is not None and "normal" not in proof


def _dead(look: _Look, hits: Mapping[str, int], since: str) -> Iterator[Finding]:
    for unit in look.units:
        for rule in unit.rows:
            if not hits.get(rule.name):
                yield _told(look.at(rule), "dead", f"{rule.name!r} did not fire once in {since}",
                            "is it still wanted? `rules test` shows whether it can fire")  # fmt: skip


def _over(look: _Look, today: str) -> Iterator[Finding]:
    """What can hold, but not from today on."""
    past = tuple(
        sorted(
            n
            for n, c in look.company.campaigns.items()
            if c.end.astimezone(look.company.zone).date().isoformat() <= today
        )
    )
    now = [solve.Literal(conditions.test(FIELDS["clock.now"], "before", today), False)]
    now += [solve.Literal(conditions.test(FIELDS["clock.campaigns"], "has", name), False) for name in past]
    for unit in look.units:
        for rule in unit.rows:
            timed = any(one.field in ("clock.now", "clock.campaigns") for one in tests(rule.when))
            whole = clauses(rule.when) if timed else None
            if not whole or not any(possible(clause, look.world) for clause in whole):
                continue
            if not any(possible((*clause, *now), look.world) for clause in whole):
                key = "during" if any(one.field == "clock.campaigns" for one in tests(rule.when)) else "valid"
                yield _told(look.at(rule, key), "expired", f"the time of {rule.name!r} is over",
                            "take it away, or give it a later day")  # fmt: skip


def _timers(look: _Look) -> Iterator[Finding]:
    """Rules on the end of a wait that no rule begins."""
    begun = {name for rule in look.ruleset.rules for name in _waits(rule.name, rule.effects)}
    for rule in (row for unit in look.units for row in unit.rows) if look.whole else ():
        for timer in (one.removeprefix("timer.") for one in rule.on if one.startswith("timer.")):
            if timer not in begun:
                hint = suggestion(timer, sorted(begun)) if begun else f"wait: {{for: 15m, name: {timer}, then: ...}}"
                what = f"no rule waits under the name {timer!r}"
                yield _told(look.at(rule, "on"), "unknown-timer", what, hint)


def _waits(rule: str, made: Iterable[Effect]) -> Iterator[str]:
    """The names of the waits of a rule, and of those that only a verdict or another wait begins."""
    for _, effect in own_slots(rule, made):
        match effect:
            case WaitFor():
                yield effect.name
                yield from _waits(rule, effect.then)
            case AskReview():
                yield from _waits(rule, (*effect.approved, *effect.rejected))


def promises(file: str, text: str) -> Iterator[Finding]:
    """Promises written out in an acknowledgement: they stay when the SLA changes."""
    plain = _LIQUID.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    for found in _PROMISE.finditer(plain):
        line = plain.count("\n", 0, found.start()) + 1
        column = found.start() - (plain.rfind("\n", 0, found.start()) + 1) + 1
        yield Finding(Where(file, line, column), "fixed-promise", f"the promise {found[0]!r} is written as fixed text",
                      "write {{ promise }}: it is computed from the SLA")  # fmt: skip
