"""A ticket on which conditions hold, written as an example's `given`: what a person can run to see it happen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, product
from typing import Any

from engine.company import Company
from engine.decision import Case
from engine.facts import FIELDS, WORDS, Window
from engine.solve import FRESH, Clause, Said, by_fields, fit
from engine.trial import NOON, case
from engine.vocabulary import Vocabulary
from normalizer.marked import plain

_PLAIN = {
    "category": "category", "subcategory": "subcategory", "category.confidence": "confidence",
    "subcategory.confidence": "confidence", "tags": "tags", "priority": "priority", "status": "status", "type": "type",
    "subject": "subject", "message.subject": "subject", "description": "text", "message.text": "text",
    "language": "language", "message.language": "language", "channel": "channel", "message.channel": "channel",
    "connector": "connector", "account": "account", "sentiment": "sentiment", "message.sentiment": "sentiment",
    "message.intents": "intents", "group": "group", "assignee": "assignee", "urge_count": "urge_count",
    "message.kind": "kind", "message.answerable": "answerable", "message.from": "from", "message.to": "to",
    "contact.identities": "from", "trigger": "trigger", "escalation_level": "escalation_level",
    "reopen_count": "reopen_count", "message.spf": "spf", "message.dkim": "dkim", "message.dmarc": "dmarc",
}  # fmt: skip
_CONTACT = {
    "contact.tier": "tier", "contact.claimed_tier": "tier", "contact.proven": "proven", "message.proven": "proven",
    "contact.name": "name", "contact.locale": "locale",
}  # fmt: skip
_NESTED = {
    "mark.": "marks",
    "custom.": "custom",
    "extracted.": "extracted",
    "load.group.": "load",
    "load.agent.": "load",
}
_DAYS = 15  # looked at for a moment that fits
_TIMES = (720, 180, 570, 1200, 1410)
_MOMENTS = 2_000


def givens(clause: Clause, vocabulary: Vocabulary, company: Company) -> Iterator[dict[str, Any]]:
    """What may make a clause hold, plainest first. None is promised to: other rules may change what is looked at."""
    found: dict[str, Any] = {}
    windows: list[tuple[Window, int]] = []
    clock: list[Clause] = []
    for name, literals in by_fields(clause).items():
        if name.startswith("clock."):
            clock.append(literals)
            continue
        fitting = fit(literals)
        if not fitting.possible or not fitting.shown:
            return
        if literals[0].test.window:
            windows.append((literals[0].test.window, int(fitting.value or 0)))
        elif not _put(found, name, fitting.value):
            return
    if clock:
        moment = _moment(tuple(one for literals in clock for one in literals), vocabulary, company)
        if moment is None:
            return
        found["now"] = moment.astimezone(company.zone).isoformat()
    yield from _with_history(found, windows)


def _put(found: dict[str, Any], name: str, value: Any) -> bool:
    """Whether an example can say this."""
    if value is None or value == FRESH or value in ((), "", Said(())):
        return True  # left out, and so not there, or something plain
    if name == WORDS:
        words = " / ".join(
            [*value.meant, *(f"不是{word}" if _chinese(word) else f"not a {word}" for word in value.denied)]
        )
        found["text"] = f"{found['text']} {words}" if "text" in found else words
        return True
    if name in _PLAIN:
        listed = list(value) if isinstance(value, tuple) else value
        key = _PLAIN[name]
        found[key] = f"{value} {found[key]}" if key == "text" and key in found else listed
        return True
    return _put_deeper(found, name, value)


def _put_deeper(found: dict[str, Any], name: str, value: Any) -> bool:
    if name in _CONTACT:
        found.setdefault("contact", {})[_CONTACT[name]] = value
        return True
    if name == "message.from.domain":
        found["from"] = f"someone@{value}"
        return True
    if name == "message.length":
        found.setdefault("text", "x" * int(value))
        return True
    if name == "message.attachments.count":
        found["attachments"] = [f"{i}.pdf" for i in range(int(value))]
        return True
    if name.startswith("contact.attributes."):
        attributes = found.setdefault("contact", {}).setdefault("attributes", {})
        attributes[name.removeprefix("contact.attributes.")] = value
        return True
    for prefix, key in _NESTED.items():
        if name.startswith(prefix):
            inner = name.removeprefix(prefix)
            found.setdefault(key, {})[f"{prefix[5:-1]}:{inner}" if key == "load" else inner] = value
            return True
    return False


def _chinese(word: str) -> bool:
    return any(character >= "\u2e80" for character in word)


def _with_history(found: dict[str, Any], windows: Sequence[tuple[Window, int]]) -> Iterator[dict[str, Any]]:
    """The present ticket may be one of those counted, or not."""
    for less in product(*((0, 1) if count else (0,) for _, count in windows)):
        past = [
            entry
            for (window, count), off in zip(windows, less, strict=True)
            for entry in [_past(window)] * min(count - off, 50)
        ]
        yield {**found, **({"history": past} if past else {})}


def _past(window: Window) -> dict[str, str]:
    entry = {"ago": f"{max(1, window.within // 120)}m"}
    if window.category:
        entry["category"] = window.category[0]
    if window.subcategory:
        entry["subcategory"] = window.subcategory[0]
    return entry


def _moment(clause: Clause, vocabulary: Vocabulary, company: Company) -> datetime | None:
    """A moment on which these tests of the clock come out as wanted."""
    bare = case({}, vocabulary)
    for at in islice(_moments(clause, company), _MOMENTS):
        then = replace(bare, now=at)
        if all(test.holds(_read(test.field, then, company)) == wanted for test, wanted in clause):
            return at
    return None


def _read(name: str, then: Case, company: Company) -> Any:
    known = FIELDS.get(name)
    return known.read(then, company) if known else None


def _moments(clause: Clause, company: Company) -> Iterator[datetime]:
    named = [w for test, _ in clause for w in (test.wanted if isinstance(test.wanted, tuple) else (test.wanted,))]
    start = NOON.astimezone(company.zone).date()
    days = [*_dates(named), *(start + timedelta(days=n) for n in range(_DAYS))]
    days += sorted(company.calendars[company.business].holidays)[:5]
    minutes = [at for at in named if isinstance(at, int) and not isinstance(at, bool) and 0 <= at <= 1440]
    times = [*_TIMES, *((at + step) % 1440 for at in minutes for step in (0, -1, 1))]
    for at in times:
        for day in days:
            yield datetime.combine(day, time(at // 60, at % 60), company.zone).astimezone(UTC)


def _dates(named: Sequence[object]) -> Iterator[date]:
    for value in named:
        try:
            yield date.fromisoformat(str(value))
        except ValueError:
            continue


def shown(given: Mapping[str, Any]) -> str:
    """A `given` on one line, as it is written in a rulebook."""
    return f"given: {_flow(given)}"


def _flow(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{" + ", ".join(f"{_flow(key)}: {_flow(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str():
            return value if _bare(value) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case _:
            return str(value)


def _bare(word: str) -> bool:
    """Whether a word needs no quotes inside of { }."""
    return bool(word) and word[0].isalpha() and plain(word) == word and not set(word) & set(",:{}[]#&*!|>'\"%@`\n")
