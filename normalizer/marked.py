"""YAML as people here write it, with the place of every value.

YAML 1.2's core schema: `no`, `on`, `12:30` and `2026-01-01` are text, only `true` and `false` are booleans. Duplicate
keys, tags, merge keys, bombs and bottomless nesting are refused with their line and column. One pass over libyaml's
events, no recursion, so hostile input costs no more than its length.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from normalizer.errors import ConfigError, Where
from normalizer.slips import Stop, slip, unreadable

Path = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

MAX_CHARACTERS = 2_000_000
MAX_DEPTH = 40
MAX_NODES = 500_000  # counted after aliases are expanded

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as plain values; `where` tells the place of any of them, `key` that of a mapping's key."""

    file: str
    value: Any
    places: Mapping[Path, Where] = field(repr=False)
    keys: Mapping[Path, Where] = field(default_factory=dict, repr=False)

    def where(self, *path: str | int) -> Where:
        """The place of the value at this path, or of the nearest thing around it."""
        for end in range(len(path), -1, -1):
            if found := self.places.get(path[:end]):
                return found
        return Where(self.file)

    def key(self, *path: str | int) -> Where:
        """The place of the key that the value at this path stands under."""
        return self.keys.get(path) or self.where(*path)


@dataclass(slots=True)
class _Open:
    """A mapping or sequence whose end has not come yet."""

    made: dict[str, Any] | list[Any]
    path: Path
    anchor: str | None
    key: str | None = None

    def next_path(self) -> Path:
        if isinstance(self.made, list):
            return (*self.path, len(self.made))
        return self.path if self.key is None else (*self.path, self.key)


def read(text: str, file: str) -> Document:
    """Read one YAML document. Raises ConfigError with the place of the first fault; an empty file is None."""
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(Where(file), f"larger than {MAX_CHARACTERS} characters", "split it", "too-large")
    try:
        return _Reader(file).read(text)
    except yaml.MarkedYAMLError as e:
        raise _not_yaml(text, file, e) from e
    except (yaml.YAMLError, UnicodeEncodeError) as e:  # half a surrogate is no text
        if found := unreadable(text):
            place = Where(file, found.line, found.column)
            raise ConfigError(place, f"not YAML: {found.what}", found.hint, "yaml") from e
        raise ConfigError(Where(file), f"not YAML: {e}", "save it as UTF-8 text", "yaml") from e


def _not_yaml(text: str, file: str, e: yaml.MarkedYAMLError) -> ConfigError:
    """What the parser stumbled over, as the slip it was if that can be told."""
    mark, begun = e.problem_mark or e.context_mark, e.context_mark or e.problem_mark
    if not mark or not begun:
        return ConfigError(Where(file), f"not YAML: {e.problem or e.context}", "check indentation and quotes", "yaml")
    if found := slip(text, Stop(mark.line, mark.column, e.problem or "", e.context or "", begun.line)):
        return ConfigError(Where(file, found.line, found.column), f"not YAML: {found.what}", found.hint, "yaml")
    place = Where(file, mark.line + 1, mark.column + 1)
    return ConfigError(place, f"not YAML: {e.problem or e.context}", "check indentation and quotes", "yaml")


def model(kind: type[M], document: Document) -> M:
    """The document as a pydantic model. Raises ConfigError for the first fault, at its place."""
    try:
        return kind.model_validate(document.value if document.value is not None else {})
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        path = tuple(first["loc"])
        name = ".".join(str(part) for part in path) or "the file"
        known = ", ".join(kind.model_fields) if first["type"] == "extra_forbidden" and len(path) == 1 else ""
        raise ConfigError(document.where(*path), f"{name}: {first['msg']}", known and f"known: {known}") from e


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[Path, Where] = {}
        self.keys: dict[Path, Where] = {}
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.stack: list[_Open] = []
        self.nodes = 0
        self.result: Any = None
        self.documents = 0

    def read(self, text: str) -> Document:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            self._take(event)
        return Document(self.file, self.result, self.places, self.keys)

    def _take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise self._fault(event, "a second document in one file", "remove the line ---")
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self.stack.pop()
                self._keep(done.made, done.anchor)
                self._put(done.made, event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.AliasEvent():
                if event.anchor not in self.anchors:
                    raise self._fault(event, f"*{event.anchor} stands for nothing", "write &name before it is used")
                value, weight = self.anchors[event.anchor]
                self._mark(event)
                self._count(weight, event)
                self._put(value, event)
            case _:
                pass

    def _open(self, event: Any) -> None:
        self._refuse_tag(event)
        if len(self.stack) >= MAX_DEPTH:
            raise self._fault(event, f"nested deeper than {MAX_DEPTH}", "flatten it")
        self._refuse_as_key(event)
        self._mark(event)
        self._count(1, event)
        made: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Open(made, self._path(), event.anchor))

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        self._count(1, event)
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.made, dict) and top.key is None:
            self._key(top, event)
            return
        self._mark(event)
        value = event.value if event.style else plain(event.value)
        self._keep(value, event.anchor)
        self._put(value, event)

    def _key(self, top: _Open, event: Any) -> None:
        key = event.value
        if key == "<<" and not event.style:
            raise self._fault(event, "merge keys (<<) are not part of YAML 1.2", "write the values out")
        if key in top.made:
            raise self._fault(event, f"{key!r} stands here twice", "keep one", "duplicate-key")
        top.key = key
        self._mark(event)
        self.keys[self._path()] = self.places[self._path()]

    def _put(self, value: Any, event: Any) -> None:
        if not self.stack:
            self.result = value
            return
        top = self.stack[-1]
        if isinstance(top.made, list):
            top.made.append(value)
        elif top.key is None:
            self._refuse_as_key(event)
        else:
            top.made[top.key] = value
            top.key = None

    def _refuse_as_key(self, event: Any) -> None:
        top = self.stack[-1] if self.stack else None
        if top and isinstance(top.made, dict) and top.key is None:
            raise self._fault(event, "a key must be a word", "quote it")

    def _refuse_tag(self, event: Any) -> None:
        if event.tag and event.tag != "!":
            raise self._fault(event, f"tags such as {event.tag} are not used here", "remove it")

    def _keep(self, value: Any, anchor: str | None) -> None:
        if anchor:
            self.anchors[anchor] = (value, _weight(value))

    def _count(self, weight: int, event: Any) -> None:
        self.nodes += weight
        if self.nodes > MAX_NODES:
            raise self._fault(event, f"more than {MAX_NODES} values once aliases are expanded", "write it out", "bomb")

    def _path(self) -> Path:
        return self.stack[-1].next_path() if self.stack else ()

    def _mark(self, event: Any) -> None:
        """Keep where this is; a mapping's key is the place of its value too, until the value has one of its own."""
        mark = event.start_mark
        self.places[self._path()] = Where(self.file, mark.line + 1, mark.column + 1)

    def _fault(self, event: Any, what: str, hint: str, code: str = "yaml") -> ConfigError:
        mark = event.start_mark
        return ConfigError(Where(self.file, mark.line + 1, mark.column + 1), what, hint, code)


def plain(text: str) -> str | int | float | bool | None:
    """What an unquoted YAML 1.2 scalar means."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in ("true", "True", "TRUE"):
        return True
    if text in ("false", "False", "FALSE"):
        return False
    if _INTEGER.fullmatch(text):
        # a leading zero is an order number or a phone, not a number
        return text if len(text.lstrip("+-")) > 1 and text.lstrip("+-").startswith("0") else int(text)
    if _FLOAT.fullmatch(text):
        return found if isfinite(found := float(text)) else text
    return text


def _weight(value: Any) -> int:
    """How many values hang under this one; bounded, since anchors that hold anchors multiply."""
    count, todo = 0, [value]
    while todo and count <= MAX_NODES:
        count += 1
        at = todo.pop()
        if isinstance(at, dict):
            todo.extend(at.values())
        elif isinstance(at, list):
            todo.extend(at)
    return count
