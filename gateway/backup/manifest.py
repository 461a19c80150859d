"""What a backup says about itself: its last part, so that it can be written in one pass."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import IO, Self

DATABASE = "ticketgate.db"
BLOBS, CONFIG, RULES = "blobs/", "config/", "rules/"
KEY = "master.key"
MANIFEST = "manifest.json"

Told = Callable[[str, int, int], None]  # what is under way, how much of it is done, of how much


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """`made_at` is before the copy was begun: everything accepted until then is in it."""

    version: str
    revision: str
    made_at: datetime
    tickets: int
    parts: tuple[Part, ...]
    left_out: tuple[str, ...] = ()  # what should have been in it, and why it is not

    @property
    def has_key(self) -> bool:
        return any(part.name == KEY for part in self.parts)

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def written(self) -> bytes:
        return json.dumps({**asdict(self), "made_at": self.made_at.isoformat()}, ensure_ascii=False).encode()

    @classmethod
    def read(cls, raw: bytes) -> Self:
        said = json.loads(raw)
        parts = tuple(Part(**part) for part in said.pop("parts"))
        made_at = datetime.fromisoformat(said.pop("made_at"))
        return cls(made_at=made_at, parts=parts, left_out=tuple(said.pop("left_out")), **said)

    def differences(self, found: Iterable[Part]) -> list[str]:
        """Names of parts that are missing, not as they were, or not named here."""
        named, there = {part.name: part for part in self.parts}, {part.name: part for part in found}
        return sorted(name for name in named.keys() | there.keys() if named.get(name) != there.get(name))


class Hashed:
    """A source that knows, once it was read, what part it was."""

    def __init__(self, source: IO[bytes], name: str, more: Callable[[int], None] = lambda _: None) -> None:
        self._source, self._name, self._hash, self._size, self._more = source, name, hashlib.sha256(), 0, more

    def read(self, size: int = -1) -> bytes:
        words = self._source.read(size)
        self._hash.update(words)
        self._size += len(words)
        self._more(len(words))
        return words

    @property
    def part(self) -> Part:
        return Part(self._name, self._size, self._hash.hexdigest())
