"""Decision tables: a `first` written as a table, in the rulebook or in a spreadsheet beside it.

    - table: customs-delay
      when: {subcategory: customs}               for all its rows
      columns: [contact.country, priority, route, set.priority]
      rows:
        - [US, any, english, high]
        - ["CN, HK", ">= high", logistics, ""]
        - [any, any, front-desk, ""]

    - table: customs-delay
      file: customs.xlsx                         the first row of the sheet has the columns
      sheet: 2026                                left out: the first

A column is a fact, or an action (`route`, `tag`, `set.priority`, ...; `then.NAME` where a fact has that name). A cell
of a fact is a value, several (`a, b`), `any` (or nothing), a comparison (`>= 3`, `!= low`), a span (`2..5`), `none`
(there is no value) or what `when` may say; a cell of an action is what that action takes, or nothing.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import python_calamine
from python_calamine import CalamineWorkbook

from engine import conditions, effects, facts
from engine.reading import Place, Reading, suggestion
from normalizer.errors import ConfigError, Where
from normalizer.marked import Document, Path, plain

ENDING = ".xlsx"
MOST_BYTES = 10_000_000
MOST_ROWS, MOST_COLUMNS = 5_000, 100

ANY = ("", "any", "任意", "*", "-")
NONE = ("none", "无")
_COMPARISONS = {
    ">=": "at_least", "<=": "at_most", "!=": "is_not", ">": "more_than", "<": "less_than", "=": "is", "≥": "at_least",
    "≤": "at_most", "≠": "is_not",
}  # fmt: skip
_COMPARES = re.compile(r"(>=|<=|!=|[><=≥≤≠])\s*(.+)")
_SPAN = re.compile(r"(\S.*?)\s*\.\.\s*(\S.*)")
_LIST = re.compile(r"\s*[,，、]\s*")


def is_sheet(file: str) -> bool:
    return file.endswith(ENDING)


def text(raw: bytes, file: str) -> str:
    """A spreadsheet as the text that a rule set is made of: the cells of its sheets, and nothing else of it.

    So equal tables are equal text, whatever program saved them. Raises ConfigError.
    """
    if len(raw) > MOST_BYTES:
        raise ConfigError(Where(file), f"larger than {MOST_BYTES} bytes", "keep only the table in it", "too-large")
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
        sheets = {
            name: _cells(book.get_sheet_by_name(name).to_python(skip_empty_area=False), file, name)
            for name in book.sheet_names
        }
    except (python_calamine.CalamineError, OSError, ValueError) as e:
        raise ConfigError(Where(file), f"cannot be read as a spreadsheet: {e}", "save it as .xlsx", "sheet") from e
    return json.dumps({"sheets": sheets}, ensure_ascii=False)


def _cells(rows: Sequence[Sequence[Any]], file: str, sheet: str) -> list[list[Any]]:
    if len(rows) > MOST_ROWS or any(len(row) > MOST_COLUMNS for row in rows):
        raise ConfigError(
            Where(f"{file}:{sheet}"), f"more than {MOST_ROWS} rows or {MOST_COLUMNS} columns", "split it", "too-large"
        )
    return [[_cell(value) for value in row] for row in rows]


def _cell(value: Any) -> Any:
    match value:
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M") if (value.hour or value.minute) else value.date().isoformat()
        case date():
            return value.isoformat()
        case time():
            return value.strftime("%H:%M")
        case float() if value.is_integer():
            return int(value)
        case bool() | int() | float():
            return value
        case _:
            return str(value).strip()


@dataclass(frozen=True, slots=True)
class _Cell:
    """What stands in a cell, and where."""

    value: Any
    where: Where


@dataclass(frozen=True, slots=True)
class _Column:
    """A column by what it stands for: a fact of `when`, or an action of `then`, perhaps with a field within."""

    side: str  # when, then; empty: nothing there is
    path: tuple[str, ...]
    where: Where


def rows(reading: Reading, at: Place) -> Iterator[tuple[int, Place]]:
    """The rows of a table, each as a rule with `when` and `then`, with its number (in a sheet, that of its line)."""
    found = _from_sheet(reading, at) if "file" in at.value else _from_rulebook(reading, at)
    if not found:
        return
    header, body = found
    columns = [_column(reading, cell) for cell in header]
    for number, cells in body:
        if len(cells) != len(columns):
            where = cells[0].where if cells else at.where
            reading.tell(where, "table", f"a row of {len(cells)} cells under {len(columns)} columns", "one for each")
        yield number, _row(columns, cells, cells[0].where if cells else at.where)


Table = tuple[list[_Cell], list[tuple[int, list[_Cell]]]]


def _from_rulebook(reading: Reading, at: Place) -> Table | None:
    columns, listed = at.down("columns"), at.down("rows")
    if not isinstance(columns.value, list) or not columns.value:
        reading.fault(columns, "type", "a table has columns", "columns: [contact.country, route]")
        return None
    if not isinstance(listed.value, list) or not listed.value:
        reading.fault(listed, "type", "a table has rows", "rows: [[US, english], [any, front-desk]]")
        return None
    body = []
    for number, row in enumerate(listed.items(), 1):
        if not isinstance(row.value, list):
            reading.fault(row, "type", "a row is a list of cells", "[US, english]")
            continue
        body.append((number, [_Cell(cell.value, cell.where) for cell in row.items()]))
    return [_Cell(cell.value, cell.where) for cell in columns.items()], body


def _from_sheet(reading: Reading, at: Place) -> Table | None:
    for key in ("columns", "rows"):
        if key in at.value:
            reading.fault_key(at.down(key), "table", f"{key} stand in the file", f"leave out {key} or file")
    named = at.down("file")
    folder, slash, _ = named.where.file.rpartition("/")
    file = folder + slash + str(named.value)
    if file not in reading.sheets:
        near = [other.rpartition("/")[2] for other in reading.sheets]
        reading.fault(
            named, "unknown-file", f"there is no {named.value!r} beside it", suggestion(str(named.value), near)
        )
        return None
    sheets: Mapping[str, list[list[Any]]] = json.loads(reading.sheets[file])["sheets"]
    sheet = at.down("sheet")
    name = str(sheet.value) if sheet.value is not None else next(iter(sheets), "")
    if name not in sheets:
        reading.fault(sheet, "unknown-value", f"{named.value} has no sheet {name!r}", suggestion(name, sheets))
        return None
    return _sheet(reading, sheets[name], f"{file}:{name}", at)


def _sheet(reading: Reading, lines: list[list[Any]], file: str, at: Place) -> Table | None:
    """Columns up to the first empty one; empty lines and what stands beside the table are nobody's."""
    head = lines[0] if lines else []
    width = next((i for i, value in enumerate(head) if value == ""), len(head))
    body = [
        (number, [_Cell(_written(value), _in_sheet(file, number, i)) for i, value in enumerate(line[:width])])
        for number, line in enumerate(lines[1:], 2)
        if any(value != "" for value in line[:width])
    ]
    if not width or not body:
        reading.fault(at.down("file"), "table", "the sheet holds no table", "columns in its first line, rows below")
        return None
    return [_Cell(value, _in_sheet(file, 1, i)) for i, value in enumerate(head[:width])], body


def _written(value: Any) -> Any:
    return plain(value) if isinstance(value, str) and value else value


def _in_sheet(file: str, line: int, column: int) -> Where:
    letters = ""
    column += 1
    while column:
        column, left = divmod(column - 1, 26)
        letters = chr(ord("A") + left) + letters
    return Where(f"{file}:{letters}{line}")


def _column(reading: Reading, cell: _Cell) -> _Column:
    name = str(cell.value).strip()
    side, _, inner = name.partition(".")
    if side in ("when", "then") and inner:
        return _Column(side, (inner,) if side == "when" else _verb(inner), cell.where)
    key = name.partition(".")[0]
    reads = name in (*conditions.SAYS, *conditions.SUGAR) or facts.known(name, reading.vocabulary) is not None
    if reads:
        return _Column("when", (name,), cell.where)
    if key not in effects.VERBS:
        known = [*facts.names(reading.vocabulary), *conditions.SAYS, *effects.VERBS]
        reading.tell(cell.where, "unknown-field", f"unknown column {name!r}", suggestion(name, known))
        return _Column("", (name,), cell.where)
    return _Column("then", _verb(name), cell.where)


def _verb(name: str) -> tuple[str, ...]:
    """`set.priority` is the priority within `set`; `set.custom.model` the field custom.model."""
    verb, dot, inner = name.partition(".")
    return (verb, inner) if dot else (verb,)


def _row(columns: Sequence[_Column], cells: Sequence[_Cell], where: Where) -> Place:
    """A row as the rule it stands for; every part of it has its cell as its place."""
    value: dict[str, Any] = {"when": {}, "then": {}}
    places: dict[Path, Where] = {(): where, ("then",): where, ("when",): where}
    keys: dict[Path, Where] = {}
    for column, cell in zip(columns, cells, strict=False):
        wanted = _condition(cell.value) if column.side == "when" else _action(cell.value)
        if wanted is None or not column.side:
            continue
        into, path = value[column.side], (column.side, *column.path)
        for key in column.path[:-1]:
            into = into.setdefault(key, {})
            keys.setdefault((column.side, key), column.where)
        if isinstance(into, dict):
            into[column.path[-1]] = wanted
        places[path], keys[path] = cell.where, column.where
    return Place(Document(where.file, value, places, keys), (), value)


def _condition(cell: Any) -> Any:
    """What `when` says for a cell; None if it says nothing."""
    if cell is None:
        return None
    if not isinstance(cell, str):
        return cell
    said = cell.strip()
    if said.casefold() in ANY:
        return None
    if said.casefold() in NONE:
        return {"exists": False}
    if found := _COMPARES.fullmatch(said):
        return {_COMPARISONS[found[1]]: plain(found[2])}
    if found := _SPAN.fullmatch(said):
        return {"between": [plain(found[1]), plain(found[2])]}
    several = [plain(part) for part in _LIST.split(said) if part]
    return several if len(several) > 1 else plain(said)


def _action(cell: Any) -> Any:
    if cell is None or (isinstance(cell, str) and cell.strip() in ("", "-")):
        return None
    if not isinstance(cell, str):
        return cell
    several = [part for part in _LIST.split(cell.strip()) if part]
    return several if len(several) > 1 else cell.strip()
