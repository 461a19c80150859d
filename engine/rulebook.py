"""Rulebooks: YAML that operators write, read into a checked, ordered set of rules.

rulebook: aftersales                 one file, one rulebook
about: Parcels, refunds.
layer: base                          base < campaign < customer < risk
rules:
  - rule: parcel-not-received        when it holds, then it acts
    because: ...
    when: {category: after_sales, says: [未收到]}
    then: {tag: logistics}
  - first: who-handles-it            of its rows, the first that holds
    rules: [{when: ..., then: ...}, {then: ...}]
  - table: customs-delay             the same as a table, see table.py
    columns: [contact.country, route]
    rows: [[US, english], [any, logistics]]
tests: [...]                         examples, see trial.py
"""

import gc
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any as Anything
from typing import Literal

from engine import conditions, effects, facts, table
from engine.calendar import local
from engine.decision import Effect, Tag, Trigger, Untag
from engine.kernels.native import Native
from engine.merge import writes
from engine.reading import Finding, Place, Reading, suggestion
from engine.ruleset import All, Condition, Rule, RuleSet, Stage, Test, Unit, tests
from engine.stages import stages
from engine.vocabulary import TRIGGERS, Vocabulary
from engine.words import Lexicon
from normalizer.errors import ConfigError
from normalizer.marked import Document, read

BOOK_KEYS = ("rulebook", "about", "layer", "rules", "tests")
_UNIT_KEYS = ("because", "when", "on", "layer", "override", "during", "valid", "mode", "share")
RULE_KEYS = ("rule", "then", *_UNIT_KEYS)
FIRST_KEYS = ("first", "rules", *_UNIT_KEYS)
TABLE_KEYS = ("table", "columns", "rows", "file", "sheet", *_UNIT_KEYS)
ROW_KEYS = ("rule", "because", "when", "then")
MODES = ("live", "shadow", "canary")
_RECURRING: frozenset[facts.Kind] = frozenset(
    ("choice", "rank", "flag", "language", "words")
)  # few values, none private


def load(texts: Mapping[str, str], vocabulary: Vocabulary) -> RuleSet:
    """The rules of these files (name -> text). Raises ConfigError for the first finding, at its file:line:column."""
    ruleset, found = examine(texts, vocabulary)
    if found:
        raise found[0].error()
    return ruleset


def findings(texts: Mapping[str, str], vocabulary: Vocabulary) -> list[Finding]:
    """Everything that is wrong in these files, by file and place."""
    return examine(texts, vocabulary)[1]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Nothing that is made here is garbage, and to look for some takes as long as the work itself."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_uncollected()
def examine(
    texts: Mapping[str, str], vocabulary: Vocabulary, documents: dict[str, Document] | None = None
) -> tuple[RuleSet, list[Finding]]:
    """The rules as far as they can be read, and what is wrong. `documents` gets what each file was read as."""
    reading = Reading(vocabulary)
    units: list[Unit] = []
    books: dict[str, Place] = {}
    for file in sorted(texts):
        if table.is_sheet(file):
            reading.sheets[file] = texts[file]
    for file in sorted(texts.keys() - reading.sheets.keys()):
        if document := _document(texts[file], file, reading):
            if documents is not None:
                documents[file] = document
            units.extend(_book(reading, document, books))
    _unwritten_marks(reading)
    units = _unique(reading, units)
    ruleset = assemble(units, reading.lexicon, vocabulary, texts)
    return ruleset, sorted(set(reading.findings), key=lambda f: (f.where.file, f.where.line, f.where.column, f.what))


def assemble(
    units: Iterable[Unit], lexicon: Iterable[str], vocabulary: Vocabulary, texts: Mapping[str, str] | None = None
) -> RuleSet:
    """Units as a rule set: ordered, named by its content, indexed."""
    ordered = stages(sorted(units, key=lambda unit: unit.name))
    rules = tuple(sorted((row for s in ordered for unit in s.units for row in unit.rows), key=lambda rule: rule.name))
    every = [test for rule in rules for test in tests(rule.when)]
    read_fields = sorted({test.field for test in every} & _readable(every, vocabulary))
    known = [(name, facts.known(name, vocabulary)) for name in read_fields]
    windows = tuple(sorted({test.window for test in every if test.window}))
    return RuleSet(
        sha=_sha(ordered, vocabulary),
        rules=rules,
        stages=ordered,
        vocabulary=vocabulary,
        lexicon=Lexicon(lexicon),
        readers=tuple((name, field.read) for name, field in known if field),
        windows=windows,
        following=_following(windows, [field for _, field in known if field]),
        asks=_asks(rules),
        reads=frozenset(slot for test in every for slot in test.reads),
        kernel=Native(ordered),
        texts=dict(texts or {}),
    )


def _following(
    windows: Iterable[facts.Window], fields: Iterable[facts.Field]
) -> dict[str, tuple[tuple[str, facts.Follower], ...]]:
    """What must be told anew when a slot was written, by slot."""
    found: dict[str, list[tuple[str, facts.Follower]]] = defaultdict(list)
    for window in windows:
        for slot in window.slots:
            found[slot].append((window.name, window.count))
    for field in fields:
        if field.follow and field.slot:
            found[field.slot].append((field.name, field.follow))
    return {slot: tuple(followers) for slot, followers in found.items()}


def _asks(rules: Iterable[Rule]) -> dict[Trigger, tuple[str, ...]]:
    """The look-ups that rules of each trigger read."""
    found: dict[Trigger, set[str]] = defaultdict(set)
    for rule in rules:
        read = {t.field.removeprefix(facts.OUTSIDE) for t in tests(rule.when) if t.field.startswith(facts.OUTSIDE)}
        for trigger in rule.on if read else ():
            found[trigger] |= read
    return {trigger: tuple(sorted(names)) for trigger, names in found.items()}


def _readable(every: Iterable[Test], vocabulary: Vocabulary) -> set[str]:
    return {t.field for t in every if not t.window and facts.known(t.field, vocabulary)}


def _sha(ordered: Iterable[Stage], vocabulary: Vocabulary) -> str:
    """Of what the rules mean: neither file names, nor order, nor comments, nor examples."""
    units = sorted((unit for stage in ordered for unit in stage.units), key=lambda unit: unit.name)
    made = hashlib.sha256(_dumped(list(vocabulary.layers)))
    for unit in units:  # one by one: all at once would let nobody else have a turn
        made.update(_dumped([unit.name, [_plain(row) for row in unit.rows]]))
    return made.hexdigest()


def _dumped(value: Anything) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()


def _plain(rule: Rule) -> list[Anything]:
    written = [asdict(effect) for effect in rule.effects]
    return [
        rule.name,
        rule.rulebook,
        rule.layer,
        rule.because,
        _shape(rule.when),
        written,
        rule.on,
        rule.override,
        rule.mode,
    ]


def _shape(condition: Condition) -> list[Anything]:
    if isinstance(condition, Test):
        return [condition.field, condition.operator, condition.wanted]
    return [type(condition).__name__, [_shape(part) for part in condition.parts]]


def _document(text: str, file: str, reading: Reading) -> Document | None:
    try:
        return read(text, file)
    except ConfigError as e:
        reading.findings.append(Finding(e.where, e.code, e.what, e.hint))
        return None


@dataclass(frozen=True, slots=True)
class _Head:
    """What a rule has from what it stands in."""

    rulebook: str
    layer: str
    rank: int
    on: tuple[str, ...] = ("ticket.created",)
    override: bool = False
    because: str = ""
    mode: Literal["live", "shadow"] = "live"
    only: tuple[Condition, ...] = ()  # when it is valid, and for whom: no conditions of its own


def _book(reading: Reading, document: Document, books: dict[str, Place]) -> Iterator[Unit]:
    at = Place(document, (), document.value)
    if at.value is None or not reading.mapping(at, BOOK_KEYS, "a rulebook"):
        return
    name = reading.word(at.down("rulebook"), "rulebook")
    if name in books:
        first = books[name].where.file
        reading.fault(at.down("rulebook"), "duplicate", f"rulebook {name!r} stands in {first} too", "rename one")
    books.setdefault(name, at.down("rulebook"))
    layer = _layer(reading, at, "base")
    rules = at.down("rules")
    if not isinstance(rules.value, list):
        reading.fault(rules, "type", "rules is a list", "rules: [{rule: NAME, then: ...}]")
        return
    for item in rules.items():
        unit = _unit(reading, item, _Head(name, layer, reading.vocabulary.layers.index(layer)))
        if unit:
            yield unit


def _layer(reading: Reading, at: Place, otherwise: str) -> str:
    layer = at.down("layer")
    if layer.value is None:
        return otherwise
    if layer.value in reading.vocabulary.layers:
        return str(layer.value)
    hint = suggestion(str(layer.value), reading.vocabulary.layers)
    reading.fault(layer, "unknown-layer", f"unknown layer {layer.value!r}", hint)
    return otherwise


def _unit(reading: Reading, at: Place, head: _Head) -> Unit | None:
    if not isinstance(at.value, dict):
        reading.fault(at, "type", "a rule is written as `key: value`", "- rule: NAME")
        return None
    if "table" in at.value:
        return _table(reading, at, head)
    return _first(reading, at, head) if "first" in at.value else _single(reading, at, head)


def _single(reading: Reading, at: Place, head: _Head) -> Unit | None:
    _keys(reading, at, RULE_KEYS, "a rule")
    name = reading.word(at.down("rule"), "rule")
    return make_unit(name, [_rule(reading, at, name, _headed(reading, at, head), All())]) if name else None


def _first(reading: Reading, at: Place, head: _Head) -> Unit | None:
    _keys(reading, at, FIRST_KEYS, "a first")
    name = reading.word(at.down("first"), "first")
    rows = at.down("rules")
    if not isinstance(rows.value, list) or not rows.value:
        reading.fault(rows, "type", "first has a list of rules", "rules: [{when: ..., then: ...}]")
        return None
    head = _headed(reading, at, head)
    guard = conditions.condition(reading, at.down("when")) if "when" in at.value else All()
    made = [row for i, item in enumerate(rows.items(), 1) if (row := _row(reading, item, f"{name}/{i}", head, guard))]
    return make_unit(name, made) if name and made else None


def _table(reading: Reading, at: Place, head: _Head) -> Unit | None:
    _keys(reading, at, TABLE_KEYS, "a table")
    name = reading.word(at.down("table"), "table")
    head = _headed(reading, at, head)
    guard = conditions.condition(reading, at.down("when")) if "when" in at.value else All()
    rows = table.rows(reading, at)
    made = [_rule(reading, row, f"{name}/{number}", head, guard) for number, row in rows]
    return make_unit(name, made) if name and made else None


def _row(reading: Reading, at: Place, name: str, head: _Head, guard: Condition) -> Rule | None:
    if not isinstance(at.value, dict):
        reading.fault(at, "type", "a row is written as `key: value`", "- {when: ..., then: ...}")
        return None
    _keys(reading, at, ROW_KEYS, "a row of first")
    if "rule" in at.value:
        name = f"{name.rpartition('/')[0]}/{reading.word(at.down('rule'), 'rule')}"
    return _rule(reading, at, name, head, guard)


def _keys(reading: Reading, at: Place, allowed: tuple[str, ...], what: str) -> None:
    for key in at.value:
        if key not in allowed:
            reading.unknown_key(at.down(key), "unknown-key", f"key in {what}", key, allowed)


def _headed(reading: Reading, at: Place, head: _Head) -> _Head:
    layer = _layer(reading, at, head.layer)
    return replace(
        head,
        layer=layer,
        rank=reading.vocabulary.layers.index(layer),
        on=_triggers(reading, at.down("on")),
        override=_override(reading, at.down("override")),
        because=_because(reading, at),
        mode="shadow" if at.value.get("mode") == "shadow" else "live",
        only=(*_during(reading, at), *_valid(reading, at.down("valid")), *_canary(reading, at)),
    )


def _during(reading: Reading, at: Place) -> list[Condition]:
    return conditions.during(reading, at.down("during")) if "during" in at.value else []


def _valid(reading: Reading, at: Place) -> list[Condition]:
    """`valid: {from: 2026-11-01, until: 2026-11-11}`: from the first minute of the one to the last of the other."""
    if at.value is None or not reading.mapping(at, ("from", "until"), "valid"):
        return []
    spans = {key: _day(reading, at.down(key)) for key in ("from", "until") if key in at.value}
    if not spans:
        reading.fault(at, "type", "valid needs a day", "valid: {from: 2026-11-01, until: 2026-11-11}")
    start, end = spans.get("from"), spans.get("until")
    if start and end and end[1] <= start[0]:
        reading.fault(at.down("until"), "impossible", "it ends before it begins", "until is the last day")
    span = (conditions.moment(start) if start else "0001-01-01", conditions.moment(end) if end else "9999-12-31")
    return [conditions.test(facts.FIELDS["clock.now"], "between", span)]


def _day(reading: Reading, at: Place) -> tuple[float, float] | None:
    found = local(str(at.value))
    if found is None:
        reading.fault(at, "type", f"{at.value!r} is no day", "2026-11-11 or 2026-11-11 20:00")
    return found


def _canary(reading: Reading, at: Place) -> list[Condition]:
    """For a share of the contacts, the same ones in every rule and for ever."""
    mode, share = at.down("mode"), at.down("share")
    if mode.value is not None and mode.value not in MODES:
        reading.fault(mode, "unknown-value", f"there is no mode {mode.value!r}", suggestion(str(mode.value), MODES))
    if mode.value != "canary":
        if share.value is not None:
            reading.fault(share, "type", "share belongs to a canary", "mode: canary")
        return []
    text = str(share.value).removesuffix("%").strip()
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 99):
        reading.fault(share, "type", "a canary needs a share of the contacts, 1% to 99%", "share: 10%")
        return []
    return [conditions.test(facts.FIELDS["contact.bucket"], "less_than", int(text))]


def _triggers(reading: Reading, at: Place) -> tuple[str, ...]:
    if at.value is None:
        return ("ticket.created",)
    names = [str(item.value) for item in at.items()]
    for item in at.items():
        if item.value not in TRIGGERS and not str(item.value).startswith("timer."):
            hint = suggestion(str(item.value), TRIGGERS)
            reading.fault(item, "unknown-trigger", f"unknown trigger {item.value!r}", hint)
    return tuple(sorted(set(names)))


def _override(reading: Reading, at: Place) -> bool:
    if at.value is not None and at.value != "person":
        reading.fault(at, "unknown-value", f"override can only be person, not {at.value!r}", "override: person")
    return bool(at.value == "person")


def _because(reading: Reading, at: Place) -> str:
    return reading.word(at.down("because"), "because") if "because" in at.value else ""


def _rule(reading: Reading, at: Place, name: str, head: _Head, guard: Condition) -> Rule:
    because = _because(reading, at) or head.because
    when = conditions.condition(reading, at.down("when")) if "when" in at.value else All()
    condition = All((*_inner(guard), *_inner(when)))
    made = effects.effects(reading, at.down("then"), because or name)
    return make_rule(
        name, condition, made, head.layer, head.rank, rulebook=head.rulebook, because=because, on=head.on,
        override=head.override, at=at, mode=head.mode, only=head.only,
    )  # fmt: skip


def _inner(condition: Condition) -> tuple[Condition, ...]:
    return condition.parts if isinstance(condition, All) else (condition,)


def make_rule(
    name: str,
    when: Condition,
    made: tuple[Effect, ...],
    layer: str,
    rank: int,
    *,
    rulebook: str,
    because: str,
    on: tuple[str, ...],
    override: bool,
    at: Place,
    mode: Literal["live", "shadow"] = "live",
    only: tuple[Condition, ...] = (),
) -> Rule:
    """A rule with its writes: what each effect wants of which slot, and with what weight. In shadow it has none."""
    count = sum(1 for _ in tests(when))
    wanted = writes(name, rank, count, override, made)
    when = All((*only, *_inner(when))) if only else when
    if mode == "shadow":
        return Rule(
            name, rulebook, layer, rank, because, when, made, (), on, override, at.where, mode=mode, looks=_looks(when)
        )
    tags = tuple(tag for effect in made if isinstance(effect, Tag) for tag in effect.tags)
    untags = tuple(tag for effect in made if isinstance(effect, Untag) for tag in effect.tags)
    return Rule(
        name, rulebook, layer, rank, because, when, made, wanted, on, override, at.where,
        tags, untags, looks=_looks(when),
    )  # fmt: skip


def _looks(when: Condition) -> tuple[tuple[str, frozenset[str] | None], ...] | None:
    every = list(tests(when))
    if not all(test.kind in _RECURRING for test in every):
        return None
    words: dict[str, frozenset[str] | None] = {}
    for test in every:
        words[test.field] = (words.get(test.field) or frozenset()).union(test.names) if test.names else None
    return tuple(words.items())


def make_unit(name: str, rows: Iterable[Rule]) -> Unit:
    listed = tuple(rows)
    reads = frozenset(slot for row in listed for test in tests(row.when) for slot in test.reads)
    return Unit(name, listed, reads, frozenset(write.slot for row in listed for write in row.writes))


def _unique(reading: Reading, units: Iterable[Unit]) -> list[Unit]:
    kept: dict[str, Unit] = {}
    taken: dict[str, Rule] = {}
    for unit in units:
        for name, row in [(unit.name, unit.rows[0]), *((row.name, row) for row in unit.rows if row.name != unit.name)]:
            if name in taken:
                what = f"rule {name!r} stands at {taken[name].where} too"
                reading.findings.append(Finding(row.where, "duplicate", what, "rename one"))
            taken.setdefault(name, row)
        kept.setdefault(unit.name, unit)
    return list(kept.values())


def _unwritten_marks(reading: Reading) -> None:
    for at, name in reading.marks_read:
        if name not in reading.marks:
            reading.unknown_key(at, "unknown-field", "mark: no rule makes", name, sorted(reading.marks))
