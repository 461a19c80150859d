"""durable_rules as the kernel, held to the part of it that was found exact.

Each stage becomes rule sets of flat conjunctions over whole numbers (see flat.py); a fact goes in, the rules it starts
come out, the fact goes again. One fixed sid, one thread at a time for a handle, nothing else of the library. What it
cannot take safely is said when the rules are compiled and is decided by the native kernel, as is a single fact it
cannot take; `told` hears of both.

The limits, from its sources (2.0.28) and from trying: over 64 waiting tests are error 303, 512 tests under one node
hang, 256 rules at one node crash, 255 properties of one fact are the end, names are known by a 32-bit hash only.
"""

import importlib
import json
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any as Anything

from engine.decision import Trigger
from engine.kernels.flat import Atom, Columns, Conjunction, TooLarge, columns, flat
from engine.kernels.native import Native
from engine.ruleset import Rule, Stage, Unit, Values
from normalizer.errors import Where

Told = Callable[[str], None]  # why a question went to the native kernel: a code for a metric

UNDER_ONE = 200  # tests under one node; it hangs at 512
RULES = 500  # in one set; it refuses 4,096
PRESENT = 120  # properties that every fact has; at 255 it ends, with sid and id
RAISED = 60  # flags of one fact
WAITING = 60  # tests that may be true side by side along one path; it stops at 64

_SID = '{"sid":"1","id":"1","a":1'
_ALWAYS = "a"
_TAKEN = ("sid", "id", "$s", _ALWAYS)


class Unavailable(Exception):
    """The library is not there, or not for this Python."""


class Failed(Exception):
    """It answered something that cannot be."""


@dataclass(frozen=True, slots=True)
class Outside:
    """A unit that the native kernel decides, since durable_rules cannot take it safely."""

    unit: str
    where: Where
    why: str

    def __str__(self) -> str:
        return f"{self.where}: kernel {self.unit} is decided by the native kernel: {self.why}"


def left_out(stages: Iterable[Stage]) -> list[Outside]:
    """What of these rules it would leave to the native kernel; nothing is loaded for that."""
    units = {unit.name: unit for stage in stages for unit in stage.units}
    found = [_whether_outside(units[name]) for name in sorted(units)]
    return [outside for outside in found if outside]


def _whether_outside(unit: Unit) -> Outside | None:
    on = columns(row.when for row in unit.rows)
    try:
        for row in unit.rows:
            flat(row.when, on)
    except TooLarge as e:
        return Outside(unit.name, unit.rows[0].where, str(e))
    return None


def library() -> Anything:
    """The engine inside durable_rules, without the Python around it. Raises Unavailable."""
    try:
        return importlib.import_module("durable_rules_engine")
    except ImportError as e:
        raise Unavailable("durable_rules is not installed here (extra `durable`, Python before 3.13)") from e


class _Loaded:
    """What this process has loaded into the library, which keeps 2.5 MB of each handle that is given up."""

    sets = 0


def loads() -> int:
    """The rule sets this process has loaded into the library; nothing but its end gives all their memory back."""
    return _Loaded.sets


class Durable:
    """One handle for each thread that asks at the same time; `outside` are the units left to the native kernel."""

    name = "durable"

    def __init__(self, stages: Sequence[Stage], told: Told = lambda _: None) -> None:
        self._engine = library()
        self._stages = stages
        self._told = told
        self._spare: Native | None = None
        self._indexes: list[dict[Trigger, _Index]] = [{} for _ in stages]
        handles: list[int] = []
        for i, stage in enumerate(stages):
            for trigger in sorted({on for unit in stage.units for row in unit.rows for on in row.on}):
                self._indexes[i][trigger] = _Index(stage, trigger, self._engine, handles)
        found = {o.unit: o for stage in self._indexes for index in stage.values() for o in index.outside}
        self.outside = tuple(found[name] for name in sorted(found))
        for _ in self.outside:
            told("compiled")
        weakref.finalize(self, _delete, self._engine, handles)
        _Loaded.sets += 1

    def true(
        self, stage: int, trigger: Trigger, values: Values, changed: frozenset[str] | None
    ) -> list[tuple[Unit, Rule]]:
        index = self._indexes[stage].get(trigger)
        if index is None:
            return []
        try:
            return index.true(values)
        except _Wide:
            self._told("wide")
        except Exception:  # it has one class of error for everything, and none of them may stop a decision
            self._told("failed")
        return self._native().true(stage, trigger, values, None)

    def _native(self) -> Native:
        if self._spare is None:
            self._spare = Native(self._stages)
        return self._spare


def _delete(engine: Anything, handles: Iterable[int]) -> None:
    for handle in handles:
        engine.delete_ruleset(handle)


class _Wide(Exception):
    """More of this fact's tests are true at the same time than the library can keep."""


class _Index:
    """One stage for one trigger: parts for the library, and what is left for the native kernel."""

    def __init__(self, stage: Stage, trigger: Trigger, engine: Anything, handles: list[int]) -> None:
        self.outside: list[Outside] = []
        self.units = stage.units
        rows = [
            (u, r, row) for u, unit in enumerate(stage.units) for r, row in enumerate(unit.rows) if trigger in row.on
        ]
        self.columns = columns(row.when for _, _, row in rows)
        self._owners: dict[Conjunction, list[tuple[int, int]]] = defaultdict(list)
        left = {u for u, unit_rows in _by_unit(rows).items() if not self._take(u, unit_rows)}
        self.parts = tuple(_parts(self._owners, self.columns, engine, handles))
        kept = tuple(unit for u, unit in enumerate(stage.units) if u in left)
        self._left = Native([Stage(kept, stage.circular)]) if kept else None
        self._trigger = trigger

    def _take(self, u: int, rows: Sequence[tuple[int, Rule]]) -> bool:
        unit = self.units[u]
        try:
            found = [(conjunction, (u, r)) for r, row in rows for conjunction in flat(row.when, self.columns)]
        except TooLarge as e:
            self.outside.append(Outside(unit.name, unit.rows[0].where, str(e)))
            return False
        for conjunction, owner in found:
            self._owners[conjunction].append(owner)
        return True

    def true(self, values: Values) -> list[tuple[Unit, Rule]]:
        numbers, up = self.columns.number(values)
        first: dict[int, int] = {}  # the first row that is true, by unit
        for part in self.parts:
            for owners in part.ask(numbers, up):
                for u, r in owners:
                    first[u] = min(r, first.get(u, r))
        hits = [(self.units[u], self.units[u].rows[first[u]]) for u in sorted(first)]
        if self._left is not None:
            hits += self._left.true(0, self._trigger, values, None)
            hits.sort(key=lambda hit: hit[0].name)
        return hits


def _by_unit(rows: Iterable[tuple[int, int, Rule]]) -> dict[int, list[tuple[int, Rule]]]:
    found: dict[int, list[tuple[int, Rule]]] = defaultdict(list)
    for u, r, row in rows:
        found[u].append((r, row))
    return found


@dataclass(slots=True)
class _Node:
    """The tests under one node of the rete to be, and what may be true side by side there and below."""

    below: dict[Atom, "_Node"] = field(default_factory=dict)
    values: set[int] = field(default_factory=set)  # columns of which one value is tested at a time
    others: int = 0
    flagged: int = 0
    waiting: int = 0  # of what stands below, the most along one path, flags aside
    flags: int = 0  # the most nodes along one path that test flags

    def seen(self, path: Sequence[Atom], on: Columns) -> None:
        """The rete grows by this path."""
        if not path:
            return
        atom, rest = path[0], path[1:]
        if atom not in self.below:
            self.below[atom] = _Node()
            if _raised(atom, on):
                self.flagged = 1
            elif atom[1] == "$eq":
                self.values.add(atom[0])
            else:
                self.others += 1
        child = self.below[atom]
        child.seen(rest, on)
        self.waiting = max(self.waiting, child.worst)
        self.flags = max(self.flags, child.flags + child.flagged)

    @property
    def worst(self) -> int:
        return len(self.values) + self.others + self.waiting

    def widest(self) -> int:
        return max([len(self.below), *(child.widest() for child in self.below.values())])


class _Growing:
    """A rule set while it is put together, within all limits."""

    def __init__(self, on: Columns) -> None:
        self.on = on
        self.root = _Node()
        self.kept: list[Conjunction] = []
        self.present: set[int] = set()
        self.hashes = {_hash(name): name for name in _TAKEN}
        self.raised = RAISED  # flags that a fact may have

    def take(self, conjunction: Conjunction, path: Sequence[Atom]) -> bool:
        """Whether it still fits; if not, this one is full."""
        names = {column: _name(column) for column, _, _ in path}
        if any(self.hashes.get(_hash(name), name) != name for name in names.values()):
            return False
        present = self.present | {atom[0] for atom in path if not _raised(atom, self.on)}
        self.root.seen(path, self.on)
        if len(present) > PRESENT or len(self.kept) == RULES or self.root.worst > WAITING or not self._narrow(path):
            return False
        self.kept.append(conjunction)
        self.present = present
        self.raised = min(RAISED, (WAITING - self.root.worst) // max(1, self.root.flags + self.root.flagged))
        self.hashes.update({_hash(name): name for name in names.values()})
        return True

    def _narrow(self, path: Sequence[Atom]) -> bool:
        node = self.root
        for atom in path:
            if len(node.below) > UNDER_ONE:
                return False
            node = node.below[atom]
        return True


def _parts(
    owners: dict[Conjunction, list[tuple[int, int]]], on: Columns, engine: Anything, handles: list[int]
) -> Iterator["_Part"]:
    """As few rule sets as the limits allow."""
    use = Counter(atom for conjunction in owners for atom in conjunction)
    paths = {conjunction: _path(conjunction, on, use) for conjunction in owners}
    growing = _Growing(on)
    for conjunction in sorted(owners, key=lambda c: [(use[a], a) for a in paths[c]], reverse=True):
        if not growing.take(conjunction, paths[conjunction]):
            yield _Part(growing, paths, owners, engine, handles)
            growing = _Growing(on)
            if not growing.take(conjunction, paths[conjunction]):
                raise Failed(f"{conjunction} fits no rule set")
    if growing.kept:
        yield _Part(growing, paths, owners, engine, handles)


def _path(conjunction: Conjunction, on: Columns, use: Counter[Atom]) -> tuple[Atom, ...]:
    """The order its tests are made in: what is shared first, flags after values, what is mostly true last."""
    return tuple(sorted(conjunction, key=lambda atom: (_rank(atom, on), -use[atom], atom)))


def _rank(atom: Atom, on: Columns) -> int:
    if _raised(atom, on):
        return 1
    return 0 if atom[1] == "$eq" and atom[0] not in on.flags else 2


def _raised(atom: Atom, on: Columns) -> bool:
    """A flag that is wanted up; where it is down the fact does not have it."""
    return atom[0] in on.flags and atom[1:] == ("$eq", 1)


def _name(column: int) -> str:
    return f"a{column}"


def _hash(name: str) -> int:
    """FNV-1a, 32 bits: all that the library knows of a name."""
    at = 2166136261
    for byte in name.encode():
        at = (at ^ byte) * 16777619 & 0xFFFFFFFF
    return at


class _Part:
    """One rule set of the library, with a handle for each thread that asks at the same time."""

    def __init__(
        self,
        growing: _Growing,
        paths: dict[Conjunction, tuple[Atom, ...]],
        owners: dict[Conjunction, list[tuple[int, int]]],
        engine: Anything,
        handles: list[int],
    ) -> None:
        on = growing.on
        self._engine, self._handles = engine, handles
        self._idle: list[int] = []
        self._owners = [owners[conjunction] for conjunction in growing.kept]
        self._present = [(column, f',"{_name(column)}":') for column in sorted(growing.present)]
        wanted = {atom[0] for c in growing.kept for atom in c if _raised(atom, on)} - growing.present
        self._flags = {column: f',"{_name(column)}":1' for column in wanted}
        self._raised = growing.raised
        self._all_flagged = all(any(_raised(atom, on) and atom[0] in wanted for atom in c) for c in growing.kept)
        self._text = json.dumps({f"r{i}": _rule(paths[c]) for i, c in enumerate(growing.kept)})
        self._idle.append(self._made())

    def ask(self, numbers: Mapping[int, int], up: set[int]) -> Iterable[list[tuple[int, int]]]:
        """Whose conjunctions are true. Raises _Wide for a fact that it cannot take."""
        raised = [self._flags[column] for column in sorted(up) if column in self._flags]
        if self._all_flagged and not raised:
            return ()
        if len(raised) > self._raised:
            raise _Wide
        present = [f"{text}{numbers.get(column, 0)}" for column, text in self._present]
        handle = self._idle.pop() if self._idle else self._made()
        started = self._started(handle, "".join((_SID, *present, *raised, "}")))
        self._idle.append(handle)  # what one holds after a failure nobody knows, so then it is not used again
        return map(self._owners.__getitem__, started)

    def _started(self, handle: int, fact: str) -> list[int]:
        engine = self._engine
        code, state = engine.assert_fact(handle, fact)
        if code == 1:  # nothing is true of it, and it was not kept
            return []
        started = engine.start_action_for_state(handle, state) if code == 0 else None
        if not started:
            raise Failed(f"a fact was answered by {code}")
        found, message = [], started[1]
        while message:
            found.append(int(message[3 : message.index('"', 3)]))  # {"r12":{"m":...
            message = engine.complete_and_start_action(handle, state)
        if engine.retract_fact(handle, fact)[0] != 0:
            raise Failed("a fact could not be taken back")
        return found

    def _made(self) -> int:
        handle: int = self._engine.create_ruleset("ticketgate", self._text)
        self._handles.append(handle)
        return handle


def _rule(path: Sequence[Atom]) -> dict[str, Anything]:
    tests = [_written(atom) for atom in path] or [{_ALWAYS: 1}]
    return {"all": [{"m": tests[0] if len(tests) == 1 else {"$and": tests}}]}


def _written(atom: Atom) -> dict[str, Anything]:
    column, comparison, number = atom
    return {_name(column): number} if comparison == "$eq" else {comparison: {_name(column): number}}
