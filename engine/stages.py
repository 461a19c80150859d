"""The order rules run in: each after every other that can write what it reads.

Units that feed each other in a circle belong together; the circles and single units are laid in levels, so that a
level reads nothing its own other units write (unless they are one circle). Names and places in files play no part.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from engine.ruleset import Stage, Unit


def stages(units: Sequence[Unit]) -> tuple[Stage, ...]:
    """The stages of these units, in order; the units of a stage are sorted by name."""
    feeds = _feeds(units)
    circles = _circles(feeds)
    at = {unit: i for i, circle in enumerate(circles) for unit in circle}
    levels: dict[int, int] = {}
    by_level: dict[int, list[int]] = defaultdict(list)
    for i, circle in enumerate(circles):  # what feeds a circle stands before it
        levels[i] = max((levels[at[f]] + 1 for unit in circle for f in feeds[unit] if at[f] != i), default=0)
        by_level[levels[i]].append(i)
    return tuple(_stage(units, [circles[i] for i in by_level[level]]) for level in sorted(by_level))


def circles(units: Sequence[Unit]) -> list[list[Unit]]:
    """The units that feed each other, circle by circle; a unit that stands alone is in none."""
    return [[units[i] for i in circle] for circle in _circles(_feeds(units)) if len(circle) > 1]


def _stage(units: Sequence[Unit], circles: Sequence[Sequence[int]]) -> Stage:
    members = sorted((units[i] for circle in circles for i in circle), key=lambda unit: unit.name)
    return Stage(tuple(members), any(len(circle) > 1 for circle in circles))


def _feeds(units: Sequence[Unit]) -> list[list[int]]:
    """For each unit the others that can write what it reads; `tags` read as a whole is fed by every tag."""
    writers: dict[str, list[int]] = defaultdict(list)
    for i, unit in enumerate(units):
        for slot in unit.writes:
            writers[slot].append(i)
            if slot.startswith("tag:"):
                writers["tags"].append(i)
    return [sorted({w for slot in unit.reads for w in writers.get(slot, ())} - {i}) for i, unit in enumerate(units)]


def _circles(feeds: Sequence[Sequence[int]]) -> list[list[int]]:
    """Strongly connected parts, what feeds before what is fed (Tarjan, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    open_units: list[int] = []
    is_open: set[int] = set()
    found: list[list[int]] = []
    for root in range(len(feeds)):
        todo: list[tuple[int, int]] = [] if root in index else [(root, 0)]
        while todo:
            unit, step = todo.pop()
            if step == 0:
                index[unit] = low[unit] = len(index)
                open_units.append(unit)
                is_open.add(unit)
            if step < len(feeds[unit]):
                todo.append((unit, step + 1))
                other = feeds[unit][step]
                if other not in index:
                    todo.append((other, 0))
                elif other in is_open:
                    low[unit] = min(low[unit], index[other])
                continue
            for other in feeds[unit]:
                if other in is_open:
                    low[unit] = min(low[unit], low[other])
            if low[unit] == index[unit]:
                found.append(_close(unit, open_units, is_open))
    return found


def _close(unit: int, open_units: list[int], is_open: set[int]) -> list[int]:
    at = open_units.index(unit)
    circle = open_units[at:]
    del open_units[at:]
    is_open.difference_update(circle)
    return circle


def levels(found: Sequence[Stage]) -> Mapping[str, int]:
    """The stage, from 1, that each unit runs in."""
    return {unit.name: i for i, stage in enumerate(found, 1) for unit in stage.units}
