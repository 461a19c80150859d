"""A rule set as a drawing: its stages from left to right, and which rules feed which.

As Mermaid, for places that draw it themselves, and as SVG, drawn here: stages are columns, names go down a column, and
an arrow goes from what writes something to what reads it. Rules of a circle stand in one frame.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from engine.ruleset import RuleSet, Unit
from engine.stages import circles

ROW, GAP, COLUMN, EDGE, HEAD = 34, 10, 90, 24, 46  # of the drawing
_LAYERS = ("#e8eef7", "#e9f5e6", "#fdf1d8", "#fbe3e0", "#efe5f7", "#e2f4f4")


@dataclass(frozen=True, slots=True)
class Arrow:
    """One unit writes something that the other reads."""

    start: str
    end: str
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """The units of each stage by name, who feeds whom, and who feeds each other."""

    stages: tuple[tuple[Unit, ...], ...]
    arrows: tuple[Arrow, ...]
    circles: tuple[frozenset[str], ...]
    layers: tuple[str, ...]


def graph(ruleset: RuleSet) -> Graph:
    units = [unit for stage in ruleset.stages for unit in stage.units]
    return Graph(
        tuple(stage.units for stage in ruleset.stages),
        tuple(_arrows(units)),
        tuple(frozenset(unit.name for unit in circle) for circle in circles(units)),
        ruleset.vocabulary.layers,
    )


def _arrows(units: Sequence[Unit]) -> Iterable[Arrow]:
    writers: defaultdict[str, list[str]] = defaultdict(list)
    for unit in units:
        for slot in unit.writes:
            writers[slot].append(unit.name)
            if slot.startswith("tag:"):
                writers["tags"].append(unit.name)
    for unit in units:
        fed: defaultdict[str, set[str]] = defaultdict(set)
        for slot in unit.reads:
            for writer in writers.get(slot, ()):
                if writer != unit.name:
                    fed[writer].add(slot.removeprefix("tag:"))
        yield from (Arrow(writer, unit.name, tuple(sorted(fed[writer]))) for writer in sorted(fed))


def mermaid(drawn: Graph) -> str:
    """As a Mermaid flowchart."""
    ids = {unit.name: f"r{i}" for i, unit in enumerate(unit for stage in drawn.stages for unit in stage)}
    lines = ["flowchart LR"]
    for number, stage in enumerate(drawn.stages, 1):
        lines.append(f'  subgraph s{number}["{number}"]')
        lines += [f'    {ids[unit.name]}["{_quoted(unit.name)}"]' for unit in stage]
        lines.append("  end")
    for arrow in drawn.arrows:
        lines.append(f'  {ids[arrow.start]} -->|"{_quoted(_short(arrow.slots))}"| {ids[arrow.end]}')
    for circle in drawn.circles:
        lines += [f"  style {ids[name]} stroke:#b3261e,stroke-width:2px" for name in sorted(circle)]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace("|", "&#124;")


def _short(slots: Sequence[str]) -> str:
    return ", ".join(slots[:3]) + (f" +{len(slots) - 3}" if len(slots) > 3 else "")


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    unit: Unit

    @property
    def middle(self) -> float:
        return self.y + ROW / 2


def svg(drawn: Graph) -> str:
    """As a drawing of its own, in the reader's colours: no script, no font, nothing from elsewhere."""
    boxes = _placed(drawn)
    width = max((box.x + box.width for box in boxes.values()), default=0) + EDGE
    height = max((box.y for box in boxes.values()), default=0) + ROW + EDGE
    circular = frozenset().union(*drawn.circles)
    body = [
        *(_heading(boxes, stage, number) for number, stage in enumerate(drawn.stages, 1)),
        *(_arrow(boxes[arrow.start], boxes[arrow.end], arrow) for arrow in drawn.arrows),
        *(_box(box, drawn.layers, name in circular) for name, box in boxes.items()),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" font-family="system-ui, sans-serif" font-size="13" role="img" '
        'aria-label="Rules by stage 规则与阶段">'
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5f6b7a"/></marker></defs>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def _placed(drawn: Graph) -> dict[str, _Box]:
    """Each unit's box: columns by stage; down a column near to what feeds it, so that arrows cross little."""
    feeders: defaultdict[str, list[str]] = defaultdict(list)
    for arrow in drawn.arrows:
        feeders[arrow.end].append(arrow.start)
    boxes: dict[str, _Box] = {}
    x: float = EDGE
    for stage in drawn.stages:
        width = max(_wide(unit.name) for unit in stage) + 20
        for row, unit in enumerate(sorted(stage, key=lambda unit: _height(unit, feeders, boxes))):
            boxes[unit.name] = _Box(x, HEAD + row * (ROW + GAP), width, unit)
        x += width + COLUMN
    return boxes


def _height(unit: Unit, feeders: Mapping[str, Sequence[str]], boxes: Mapping[str, _Box]) -> tuple[float, str]:
    """How far down what feeds it stands, on average; what nothing feeds comes by its name."""
    fed = [boxes[name].middle for name in feeders.get(unit.name, ()) if name in boxes]
    return (sum(fed) / len(fed) if fed else 1e9, unit.name)


def _wide(text: str) -> float:
    """About how wide a name is."""
    return sum(13 if character >= "\u2e80" else 7.6 for character in text)


def _heading(boxes: Mapping[str, _Box], stage: Sequence[Unit], number: int) -> str:
    at = min(boxes[unit.name].x for unit in stage)
    return f'<text x="{at:.0f}" y="28" fill="#5f6b7a">{number}</text>'


def _box(box: _Box, layers: Sequence[str], circular: bool) -> str:
    row = box.unit.rows[0]
    fill = _LAYERS[layers.index(row.layer) % len(_LAYERS)] if row.layer in layers else _LAYERS[0]
    edge = 'stroke="#b3261e" stroke-width="2"' if circular else 'stroke="#9aa5b1"'
    told = f"{box.unit.name} ({row.layer}){': ' + row.because if row.because else ''}"
    return (
        f'<g><title>{escape(told)}</title><rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" '
        f'height="{ROW}" rx="6" fill="{fill}" {edge}/>'
        f'<text x="{box.x + 10:.0f}" y="{box.middle + 5:.0f}" fill="#1c2430">{escape(box.unit.name)}</text></g>'
    )


def _arrow(start: _Box, end: _Box, arrow: Arrow) -> str:
    x, y = start.x + start.width, start.middle
    to_x, to_y = end.x, end.middle
    bend = COLUMN / 2 if to_x > x else COLUMN / 3  # within a stage, or back in a circle: round the right side
    if to_x > x:
        path = f"M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {to_x - bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    else:
        to_x = end.x + end.width
        path = f"M{x:.0f} {y:.0f}C{x + bend:.0f} {y:.0f} {to_x + bend:.0f} {to_y:.0f} {to_x:.0f} {to_y:.0f}"
    told = f"{arrow.start} → {arrow.end}: {', '.join(arrow.slots)}"
    return (
        f'<path d="{path}" fill="none" stroke="#5f6b7a" stroke-opacity=".55" marker-end="url(#head)">'
        f"<title>{escape(told)}</title></path>"
    )
