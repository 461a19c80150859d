"""Look-ups elsewhere that rules may ask for: what is asked of whom, and what counts as the answer.

    outside:
      weather:
        url: https://weather.example.com/v1/alerts?city={city}
        of: {city: extracted.city}              a part of the address that is not known: nobody is asked
        pick: alerts[0].level                   JMESPath (jmespath.org); left out: the whole answer
        kind: text                              text, number or flag
        default: none                           where nobody answers in time
        timeout: 800ms
        cache: 10m

Rules read it as `outside.weather`. Who asks is the gateway, before deciding, and only what some rule of the trigger
reads; the answer is recorded with the decision, so that a replay asks nobody. Here is nothing but what is to be asked.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import jmespath  # type: ignore[import-untyped]
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from engine.calendar import duration

Answer = str | int | float | bool | None

LONGEST = 5.0  # seconds that one look-up may take
MOST_TEXT = 500  # characters of an answer

_PART = re.compile(r"\{(\w+)\}")
_MILLIS = re.compile(r"(\d+)\s*ms")


class Lookup(BaseModel):
    """One look-up as operators declare it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    of: dict[str, str] = Field(default_factory=dict)  # part of the address -> fact
    headers: dict[str, str | dict[Literal["env", "file"], str]] = Field(default_factory=dict, repr=False)
    pick: str = ""
    kind: Literal["text", "number", "flag"] = "text"
    default: Answer = None
    timeout: str = "1s"
    cache: str = "10m"
    private: bool = False  # may be an address of our own network

    @field_validator("url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or "{" in parts.netloc:
            raise ValueError("must be an http(s) address whose host is written out")
        return value

    @field_validator("pick")
    @classmethod
    def _expression(cls, value: str) -> str:
        try:
            if value:
                jmespath.compile(value)
        except JMESPathError as e:
            raise ValueError(f"is no JMESPath: {e}") from None
        return value

    @field_validator("timeout", "cache")
    @classmethod
    def _length(cls, value: str) -> str:
        if seconds(value) is None:
            raise ValueError(f"{value!r} is no duration; write 800ms, 2s or 10m")
        return value

    @model_validator(mode="after")
    def _parts(self) -> "Lookup":
        unknown = set(_PART.findall(self.url)) - set(self.of)
        if unknown:
            raise ValueError(f"url names {', '.join(sorted(unknown))}, of does not say what that is")
        return self

    @cached_property
    def patience(self) -> float:
        """Seconds to wait for the answer."""
        return min(LONGEST, seconds(self.timeout) or LONGEST)

    @cached_property
    def kept(self) -> float:
        """Seconds that an answer holds."""
        return seconds(self.cache) or 0.0

    def answer(self, found: Any) -> Answer:
        """What counts of an answer, as a fact of this kind; the default where it is of another."""
        picked = jmespath.search(self.pick, found) if self.pick else found
        match self.kind:
            case "flag":
                return picked if isinstance(picked, bool) else self.default
            case "number":
                return _number(picked, self.default)
            case _:
                return _text(picked, self.default)


class Outside(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    outside: dict[str, Lookup] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: equal addresses have equal answers for as long as they are kept."""

    name: str
    url: str


def ask(names: Iterable[str], lookups: Mapping[str, Lookup], known: Mapping[str, Any]) -> list[Asked]:
    """What is to be asked for these names; `known` has the facts they need. What lacks one is not asked."""
    asked = []
    for name in names:
        lookup = lookups[name]
        parts = {part: known.get(fact) for part, fact in lookup.of.items()}
        if all(value not in (None, "", ()) for value in parts.values()):
            asked.append(Asked(name, _address(lookup.url, parts)))
    return asked


def _address(url: str, parts: Mapping[str, Any]) -> str:
    return _PART.sub(lambda part: quote(_said(parts[part[1]]), safe=""), url)


def seconds(text: str) -> float | None:
    """A duration in seconds; `800ms` too."""
    if millis := _MILLIS.fullmatch(text.strip()):
        return int(millis[1]) / 1000
    length = duration(text)
    return length.total_seconds() if length is not None else None


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(picked: Any, default: Answer) -> Answer:
    if isinstance(picked, bool):
        return default
    try:
        number = float(picked)
    except (TypeError, ValueError):
        return default
    if number != number or number in (float("inf"), float("-inf")):
        return default
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _text(picked: Any, default: Answer) -> Answer:
    if picked is None:
        return default
    said: str = picked if isinstance(picked, str) else json.dumps(picked, ensure_ascii=False, sort_keys=True)
    return said[:MOST_TEXT]
