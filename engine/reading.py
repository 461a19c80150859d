"""Reading rulebooks: places in a YAML document, and what was found wrong there.

Nothing raises while reading. A fault becomes a `Finding` with its place, its code and what to write instead, so that
one look finds everything; only `rulebook.load` turns the first of them into a ConfigError.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

from engine.meant import MEANT
from engine.vocabulary import Vocabulary
from normalizer.errors import ConfigError, Where
from normalizer.marked import Document, Path

# Marks that people take for those of YAML: [退款，退钱] is one word.
_GLUE = re.compile("[，、；“”‘’「」『』【】]")
_GLUED_COLON = re.compile(r"[\w.]+(?:：\s*|:)\S")  # says:退款 is a word, no condition
_ELSEWHERE = {"category": "subcategory", "subcategory": "category"}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a rulebook. `hint` says what to write instead, `findings.told` says both in a language.

    An error keeps a rulebook from going live, a warning does not. `given` is a ticket that shows it, as an example's.
    """

    where: Where
    code: str
    what: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.where}: {self.code} {self.what}" + (f" ({self.hint})" if self.hint else "")

    def error(self) -> ConfigError:
        return ConfigError(self.where, self.what, self.hint, self.code)


@dataclass(frozen=True, slots=True)
class Place:
    """A value and where it stands."""

    document: Document
    path: Path
    value: Any

    @property
    def where(self) -> Where:
        return self.document.where(*self.path)

    @property
    def key(self) -> Where:
        return self.document.key(*self.path)

    def down(self, key: str) -> "Place":
        """The value under a key; None, at this very place, if there is none."""
        if not isinstance(self.value, dict) or key not in self.value:
            return Place(self.document, self.path, None)
        return Place(self.document, (*self.path, key), self.value[key])

    def items(self) -> Iterator["Place"]:
        listed = self.value if isinstance(self.value, list) else [self.value]
        if listed is not self.value:
            yield self
            return
        for i, item in enumerate(listed):
            yield Place(self.document, (*self.path, i), item)


@dataclass(slots=True)
class Reading:
    """One look over all rulebooks: what was found wrong, and what only the whole can be checked for."""

    vocabulary: Vocabulary
    findings: list[Finding] = field(default_factory=list)
    lexicon: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)  # that some rule writes, as `mark.NAME`
    marks_read: list[tuple[Place, str]] = field(default_factory=list)
    sheets: dict[str, str] = field(default_factory=dict)  # tables that stand beside the rulebooks, by file

    def fault(self, at: Place, code: str, what: str, hint: str = "") -> None:
        self.findings.append(Finding(at.where, code, what, hint))

    def tell(self, where: Where, code: str, what: str, hint: str = "") -> None:
        """The same, at a place that is in no YAML."""
        self.findings.append(Finding(where, code, what, hint))

    def fault_key(self, at: Place, code: str, what: str, hint: str = "") -> None:
        """The same, at the key that the value stands under."""
        self.findings.append(Finding(at.key, code, what, hint))

    def unknown_key(self, at: Place, code: str, what: str, word: str, known: Iterable[str]) -> None:
        self.fault_key(at, code, f"unknown {what} {word!r}", suggestion(word, known))

    def mapping(self, at: Place, allowed: Sequence[str], what: str) -> bool:
        """Whether this is a mapping; keys it may not have are told."""
        if not isinstance(at.value, dict):
            hint = apart(at.value) or f"known: {', '.join(allowed)}"
            self.fault(at, "type", f"{what} is written as `key: value`", hint)
            return False
        for key in at.value:
            if key not in allowed:
                self.unknown_key(at.down(key), "unknown-key", f"key in {what}", key, allowed)
        return True

    def word(self, at: Place, what: str) -> str:
        """A name or text; empty, and told, if it is not one."""
        if at.value is None or isinstance(at.value, dict | list | bool) or not str(at.value).strip():
            self.fault(at, "type", f"{what} must be a word", f"{what}: NAME")
            return ""
        return str(at.value).strip()

    def code(self, at: Place, choice: str, word: str, what: str) -> str | None:
        """The code of this choice that a word stands for; None, and told, if there is none."""
        found = self.vocabulary.code(choice, word)
        if found is None:
            self.fault(at, "unknown-value", f"{what} has no {word!r}", self._meant(choice, word))
        return found

    def _meant(self, choice: str, word: str) -> str:
        """What was meant by a word that this choice has not: one of another choice, or the nearest."""
        other = _ELSEWHERE.get(choice, "")
        if other and (code := self.vocabulary.code(other, word)):
            return f"it is a {other}: write {other}: {code}"
        if choice == "group" and (code := self.vocabulary.code("agent", word)):
            return f"it is an agent: write route: {{assignee: {code}}}"
        return suggestion(word, self.vocabulary.words(choice))

    def codes(self, at: Place, choice: str, what: str) -> tuple[str, ...]:
        found = [self.code(item, choice, str(item.value), what) for item in at.items()]
        return tuple(code for code in found if code)

    def words(self, at: Place, what: str) -> list[str]:
        """Words to look for: one, a list, `{list: NAME}` or `{words: [...]}`."""
        if not isinstance(at.value, dict):
            return [word for item in at.items() if (word := self.word(item, what))]
        if not self.mapping(at, ("list", "words", "denied"), what):
            return []
        listed = [word for item in at.down("list").items() if item.value is not None for word in self._list(item)]
        written = at.down("words")
        words = listed if written.value is None else [*listed, *self.words(written, what)]
        if not words and at.down("list").value is None:
            self.fault(at, "type", f"{what} needs words", "{list: NAME} or {words: [...]}")
        return words

    def expanded(self, at: Place) -> list[Place]:
        """This value, or each word of the word list that it names: {list: NAME}."""
        if not isinstance(at.value, dict) or set(at.value) != {"list"}:
            return [at]
        named = [word for item in at.down("list").items() for word in self._list(item)]
        return [Place(at.document, at.path, word) for word in named]

    def _list(self, at: Place) -> tuple[str, ...]:
        lists = self.vocabulary.lists
        if str(at.value) not in lists:
            self.fault(at, "unknown-list", f"unknown word list {at.value!r}", suggestion(str(at.value), lists))
        return lists.get(str(at.value), ())


def suggestion(word: str, known: Iterable[str]) -> str:
    """The word that was meant: the one people call so, the nearest, or some of the known ones."""
    words = list(dict.fromkeys(known))
    narrow = unicodedata.normalize("NFKC", word).strip().casefold()
    if meant := next((one for one in MEANT.get(narrow, ()) if one in words), ""):
        return f"did you mean {meant!r}?"
    if _GLUED_COLON.match(word):
        return "write `: `, narrow and with a space after it"
    if _GLUE.search(word) or "," in narrow:
        return "write [A, B]: narrow comma, a space after it"
    near = get_close_matches(narrow, words, n=3, cutoff=0.6)
    if alike := next((one for one in near if _alike(narrow, one)), ""):
        return f"did you mean {alike!r}?"
    shown = ", ".join(words[:12]) + (", ..." if len(words) > 12 else "")
    return f"known: {shown}" if shown else "there are none"


def _alike(word: str, known: str) -> bool:
    """Whether two words are near without the end they share: big-words is not meant by legal-words."""
    mine, _, end = word.rpartition("-")
    other, _, ending = known.rpartition("-")
    return not (mine and other and end == ending) or bool(get_close_matches(mine, [other], cutoff=0.6))


def apart(value: Any) -> str:
    """The hint for words that would be a key and its value, if there were a space between: says:退款, says：退款."""
    glued = isinstance(value, str) and _GLUED_COLON.match(value)
    return "write `: `, narrow and with a space after it" if glued else ""


def glued(where: Where, word: str) -> Finding | None:
    """A warning about words with marks that were meant to part or to quote them: they are found only with them."""
    if not _GLUE.search(word):
        return None
    hint = "write [A, B]: narrow commas, narrow quotation marks or none"
    return Finding(where, "one-word", f"{word!r} is one word, with its marks", hint, "warning")
