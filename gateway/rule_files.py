"""Rulebooks as files on disk: what `ticketgate rules` looks at, whether they are in use or not."""

from collections.abc import Mapping
from pathlib import Path

from engine import check
from engine.reading import Finding
from gateway import mind
from gateway.settings import Configured
from normalizer.errors import ConfigError


def findings(
    known: Configured, folder: Path, *, today: str = "", hits: Mapping[str, int] | None = None, since: str = ""
) -> list[Finding]:
    """What is wrong in a folder of rulebooks and the templates beside them."""
    try:
        base, texts = mind.ground(known, folder), mind.rulebooks(folder)
    except ConfigError as e:  # nothing can be checked against what cannot be read itself
        return [Finding(e.where, e.code, e.what, e.hint)]
    return check.check(
        texts, base.vocabulary, base.company, templates=templates(folder), today=today, hits=hits, since=since
    )


def templates(folder: Path) -> dict[str, str]:
    """The acknowledgements beside these rulebooks, file by file."""
    return {str(file): file.read_text(encoding="utf-8") for file in sorted((folder / "templates").glob("*.liquid"))}


def summed(errors: int, warnings: int, language: str) -> str:
    """What was found, in one line."""
    if language == "zh":
        return f"{errors} 个错误，{warnings} 个警告" if errors or warnings else "没有问题"
    if not errors and not warnings:
        return "nothing is wrong"
    return f"{errors} {'error' if errors == 1 else 'errors'}, {warnings} {'warning' if warnings == 1 else 'warnings'}"
