"""What commands print: a table for people, JSON lines for programs; times and language as the terminal has them."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer


def moment(instant: Any) -> str:
    """An instant as people read it, in the machine's own time zone."""
    return str(instant.astimezone().strftime("%Y-%m-%d %H:%M:%S"))


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
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*[Text(str(cell)) for cell in row])  # a customer may write what rich takes for markup
    Console().print(table)


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
