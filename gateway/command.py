"""What every command has: its common options, the settings, and the open data folder."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.terminal import ZONE

if TYPE_CHECKING:
    from gateway.settings import Configured
    from gateway.store.store import Store

Config = Annotated[Path | None, typer.Option("--config", help="The settings file.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="JSON lines instead of a table (always when piped).")]
Lang = Annotated[str, typer.Option("--lang", help="zh or en; else by LANG.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000)]


def configured(config: Path | None) -> "Configured":
    """The settings; what goes wrong on the way to them is logged in words, not JSON, since a person is waiting."""
    from gateway import log, settings

    log.configure(level="warning", json=False)
    known = settings.read(config)
    ZONE.set(known.settings.zone)
    return known


def with_store(known: "Configured", use: "Callable[[Store], Awaitable[None]]") -> None:
    """Run `use(store)` on the open data folder; a running gateway does not mind."""
    from gateway import wire

    async def run() -> None:
        store = await wire.open_store(known)
        try:
            await use(store)
        finally:
            await store.close()

    asyncio.run(run())


def now() -> datetime:
    from gateway.clock import SystemClock

    return SystemClock().now()


def whose() -> str:
    """Who is at the terminal, as the audit tells it."""
    try:
        return f"terminal:{getpass.getuser()}"
    except (OSError, KeyError):  # a container may know no names
        return f"terminal:{os.getuid()}"
