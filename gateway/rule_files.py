"""Rulebooks as files on disk: what `ticketgate rules` looks at, whether they are in use or not."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import check, rulebook
from engine import schema as schemas
from engine.decision import Mark
from engine.reading import Finding
from gateway import kernel, mind
from gateway.settings import Configured
from normalizer.errors import ConfigError, Where


def findings(
    known: Configured, folder: Path, *, today: str = "", hits: Mapping[str, int] | None = None, since: str = ""
) -> list[Finding]:
    """What is wrong in a folder of rulebooks and the templates beside them."""
    try:
        base, texts = mind.ground(known, folder), mind.rulebooks(folder)
    except ConfigError as e:  # nothing can be checked against what cannot be read itself
        return [Finding(e.where, e.code, e.what, e.hint)]
    found = check.check(
        texts, base.vocabulary, base.company, templates=templates(folder), today=today, hits=hits, since=since
    )
    if known.settings.kernel == "durable":
        found += kernel.findings(rulebook.examine(texts, base.vocabulary)[0])
    return [*found, *_unread(folder)]


def _unread(folder: Path) -> Iterator[Finding]:
    """Files that were meant as rulebooks, by their names, and are none."""
    for file in sorted(folder.iterdir()):
        named = file.name.casefold().removesuffix(".txt")
        if file.suffix != ".yaml" and named.endswith((".yaml", ".yml")) and file.is_file():
            hint = f"name it {named.rpartition('.')[0]}.yaml"
            yield Finding(Where(str(file)), "not-read", "only files that end in .yaml are read", hint, "warning")


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


def schema(known: Configured, folder: Path) -> dict[str, Any]:
    """The JSON Schema of rulebooks here, with the tags and marks that those of this folder make."""
    base = mind.ground(known, folder)
    ruleset, _ = rulebook.examine(mind.rulebooks(folder), base.vocabulary)
    tags = {tag for rule in ruleset.rules for tag in rule.tags}
    marks = {effect.name for rule in ruleset.rules for effect in rule.effects if isinstance(effect, Mark)}
    return schemas.schema(base.vocabulary, sorted(tags), sorted(marks))
