"""What changed between two rule sets: rule by rule, wherever in the files each stands; then the rest, file by file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Literal

from gateway import bundle as bundles
from gateway.bundle import Bundle
from normalizer import marked
from normalizer.errors import ConfigError

Kind = Literal["added", "removed", "changed", "reworded"]
KINDS = ("rule", "first", "table")


@dataclass(frozen=True, slots=True)
class Changed:
    """One rule or file. `reworded`: the words differ, as in a comment, and what they mean does not."""

    what: Literal["rule", "file"]
    name: str
    kind: Kind
    file: str
    lines: tuple[str, ...]  # the differences, as `diff -u` tells them


@dataclass(frozen=True, slots=True)
class _Written:
    """A rule as it stands in a file: what it means, and its lines."""

    file: str
    meaning: Any
    lines: tuple[str, ...]


def diff(before: Bundle, after: Bundle) -> list[Changed]:
    """Rules by name, then files by name. What only moved to another place is the same."""
    was, now = _taken_apart(before), _taken_apart(after)
    rules = [
        one
        for name in sorted({*was[0], *now[0]})
        if (one := _rule(name, was[0].get(name), now[0].get(name))) is not None
    ]
    files = [
        Changed("file", name, _kind(was[1].get(name), now[1].get(name)), name,
                _lines(_text(was[1].get(name)), _text(now[1].get(name))))
        for name in sorted({*was[1], *now[1]}) if was[1].get(name) != now[1].get(name)
    ]  # fmt: skip
    return rules + files


def _rule(name: str, was: _Written | None, now: _Written | None) -> Changed | None:
    kind = _kind(was and was.meaning, now and now.meaning)
    lines = _lines(was.lines if was else (), now.lines if now else ())
    if was and now and was.meaning == now.meaning:
        if not lines:
            return None
        kind = "reworded"
    where = now or was
    return Changed("rule", name, kind, where.file if where else "", lines)


def _kind(was: Any, now: Any) -> Kind:
    return "added" if was is None else "removed" if now is None else "changed"


def _lines(was: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(unified_diff(was, now, lineterm="", n=2))[2:]  # without the two lines that would name files


def _text(content: bytes | None) -> tuple[str, ...]:
    try:
        return tuple((content or b"").decode().splitlines())
    except UnicodeDecodeError:
        return (f"({len(content or b'')} bytes)",)


def _taken_apart(bundle: Bundle) -> tuple[dict[str, _Written], dict[str, bytes]]:
    """Rules by name, and what is left of the files."""
    rules: dict[str, _Written] = {}
    files = dict(bundle.files)
    for name in bundle.within(bundles.RULES, ".yaml"):
        try:
            document = marked.read(bundle.text(name), name)
        except ConfigError:  # a draft: compared as a file
            continue
        lines = bundle.text(name).splitlines()
        spoken_for: set[int] = set()
        for rule, written, first, last in _rules(document, lines):
            rules[rule] = written
            spoken_for.update(range(first, last))
        files[name] = "\n".join(line for n, line in enumerate(lines) if n not in spoken_for).encode()
    return rules, files


def _rules(document: marked.Document, lines: list[str]) -> Iterator[tuple[str, _Written, int, int]]:
    """Name, rule, first line and the one after its last, counted from 0."""
    book: Mapping[str, Any] = document.value if isinstance(document.value, dict) else {}
    listed = book.get("rules")
    if not isinstance(listed, list):
        return
    head = {name: book.get(name) for name in ("rulebook", "layer")}
    starts = [document.where("rules", n).line - 1 for n in range(len(listed))]
    below = [document.key(name).line - 1 for name in book]
    for n, (value, start) in enumerate(zip(listed, starts, strict=True)):
        end = min([line for line in (*starts[n + 1 :], *below) if line > start], default=len(lines))
        while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        yield (
            _name(value, document.file, n),
            _Written(document.file, [head, value], tuple(lines[start:end])),
            start,
            end,
        )


def _name(value: Any, file: str, n: int) -> str:
    named = next((value[kind] for kind in KINDS if kind in value), None) if isinstance(value, dict) else None
    return str(named) if named else f"{file}#{n + 1}"
