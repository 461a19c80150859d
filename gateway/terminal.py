"""What commands print: a table for people, JSON lines for programs; times in the zone of the settings."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


ONCE = "(shown once)"
SECRET, ONE_TIME = f"secret {ONCE}", f"one-time password {ONCE}"
WHOLE = frozenset(["id", "number", "ticket", SECRET, ONE_TIME])  # what people copy: never cut or broken
ZONE: ContextVar[tzinfo | None] = ContextVar("ZONE", default=None)  # of the settings, once they are read


def moment(instant: Any) -> str:
    """An instant as people read it, in the time zone in which they write moments: the deployment's."""
    return str(instant.astimezone(ZONE.get()).strftime("%Y-%m-%d %H:%M:%S"))


def language(asked: str) -> str:
    """zh or en: as asked, else by LANG, else English."""
    word = (asked or os.environ.get("LC_ALL") or os.environ.get("LANG") or "en").lower()
    return "zh" if word.startswith("zh") else "en"


def emit(value: Any) -> None:
    """One JSON line."""
    import orjson

    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def show(columns: list[str], rows: list[list[Any]], json: bool, empty: str = "nothing here") -> None:
    """A table for people, JSON lines for programs."""
    if json or not sys.stdout.isatty():
        for row in rows:
            emit(dict(zip((column or "well" for column in columns), row, strict=True)))
        return
    if not rows:
        typer.echo(empty)
        return
    from rich.console import Console

    console = Console()
    if _narrow(columns, rows, console.width):
        _one_below_the_other(columns, rows)
    else:
        console.print(_table(columns, rows))


def _table(columns: list[str], rows: list[list[Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in WHOLE, overflow="fold")
    for row in rows:
        table.add_row(*[Text(str(cell)) for cell in row])  # a customer may write what rich takes for markup
    return table


def _narrow(columns: list[str], rows: list[list[Any]], width: int) -> bool:
    """Whether a table of that width would cut what people copy, or leave hardly a word on a line."""
    longest = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    wanted = [most if name in WHOLE else min(most, 8) for name, most in zip(columns, longest, strict=True)]
    return sum(wanted) + 2 * len(columns) > width


def _one_below_the_other(columns: list[str], rows: list[list[Any]]) -> None:
    for n, row in enumerate(rows):
        said = [(name, str(cell)) for name, cell in zip(columns, row, strict=True) if str(cell)]
        typer.echo(("\n" if n else "") + "\n".join(f"{name:<{max(map(len, columns))}}  {cell}" for name, cell in said))


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each thing under way, on a terminal; `told(what, done, of)` moves it. Nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    bars: dict[str, TaskID] = {}
    with Progress(console=Console(stderr=True)) as shown:

        def told(what: str, done: int, of: int) -> None:
            if what not in bars:
                bars[what] = shown.add_task(what)
            shown.update(bars[what], completed=done, total=of)

        yield told
