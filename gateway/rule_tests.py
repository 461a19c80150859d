"""`ticketgate rules test`: the examples of rulebooks, those beside them, and scenarios that start from a raw message.

rules/tests/*.yaml      tests: [...], as in a rulebook; and
  - name: a parcel that never came
    end_to_end: {channel: email, file: mails/parcel.eml}     # or `raw:`; `now:` says when
    expect: {category: after_sales, group: logistics}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from engine import exam
from engine.decide import decide
from engine.exam import Result, Watching
from engine.reading import Place, Reading
from engine.trial import NOON, Trial, expected, from_raw, trials
from gateway import bundle as bundles
from gateway import mind
from gateway.attempt import Reader, first
from gateway.mind import Mind
from gateway.settings import Configured
from normalizer.errors import ConfigError, Unreadable, Where
from normalizer.marked import read

_RAW = ("name", "end_to_end", "expect")
_START = ("channel", "account", "file", "raw", "now")


def set_up(known: Configured, folder: Path) -> Mind:
    """What decides by the rulebooks of a folder. Raises ConfigError."""
    present = bundles.read(known)
    return mind.read(known, bundles.of_folder(folder, present) if folder != known.rules else present)


def run(tried: Mind) -> tuple[Watching, Iterator[Result]]:
    """What each example came to, and what they look at once all were run. Raises ConfigError at one that is none."""
    watching = exam.watching(tried.ruleset)
    return watching, _results(tried, watching)


def _results(tried: Mind, watching: Watching) -> Iterator[Result]:
    texts = {**tried.bundle.texts(bundles.RULES, ".yaml"), **tried.bundle.texts(bundles.TESTS, ".yaml")}
    ruleset = watching.watched()
    given = exam.run(ruleset, tried.company, trials(texts, tried.vocabulary))
    for result in (*given, *_scenarios(tried, watching, texts)):
        watching.count(result.decision)
        yield result


def _scenarios(tried: Mind, watching: Watching, texts: Mapping[str, str]) -> Iterator[Result]:
    for file, text in sorted(texts.items()):
        if "end_to_end" not in text:
            continue
        document = read(text, file)
        for at in Place(document, (), document.value).down("tests").items():
            if from_raw(at):
                yield _scenario(tried, watching, at)


def _scenario(tried: Mind, watching: Watching, at: Place) -> Result:
    reading = Reading(tried.vocabulary)
    reading.mapping(at, _RAW, "a scenario")
    name, start, expect = reading.word(at.down("name"), "name"), at.down("end_to_end"), expected(reading, at)
    reading.mapping(start, _START, "end_to_end")
    if reading.findings:
        raise reading.findings[0].error()
    given, clock = start.value, _Stopped(_moment(start))
    reader = Reader(tried.configured, str(given.get("channel", "email")), str(given.get("account", "")), tried, clock)
    try:
        messages = list(reader.messages(name, _raw(start)))
    except Unreadable as e:
        raise ConfigError(start.where, f"cannot be read as a message: {e.reason}", "is the channel right?") from e
    if len(messages) != 1:
        raise ConfigError(start.where, f"holds {len(messages)} messages", "a scenario is about one")
    case = first(messages[0], clock.now())
    decision = decide(watching.watched(), tried.company, case)
    return exam.judged(Trial(name, case, expect), decision, tried.ruleset, tried.company)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A clock that stands still."""

    at: datetime

    def now(self) -> datetime:
        return self.at

    def jumped(self) -> timedelta:
        return timedelta()


def _moment(start: Place) -> datetime:
    at = start.down("now")
    if at.value is None:
        return NOON
    try:
        moment: datetime | None = datetime.fromisoformat(str(at.value))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:  # without a zone it would be another moment on each machine
        raise ConfigError(at.where, f"{at.value!r} is no moment", "2026-03-04T12:00:00+08:00")
    return moment.astimezone(UTC)


def _raw(at: Place) -> bytes:
    """The bytes of a scenario; a file is found from the one that names it."""
    given = at.value
    if ("file" in given) == ("raw" in given):
        raise ConfigError(at.where, "end_to_end needs a file, or raw", "file: mails/parcel.eml")
    if "raw" in given:
        return str(given["raw"]).encode()
    file = Path(at.where.file).parent / str(given["file"])
    try:
        return file.read_bytes()
    except OSError as e:
        raise ConfigError(at.down("file").where, f"{file} cannot be read: {e.strerror}", "name it from here") from e


@dataclass(frozen=True, slots=True)
class Line:
    """Something to tell, as a person reads it and as a program does."""

    text: str
    plain: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Report:
    lines: tuple[Line, ...]
    summary: str
    failed: int


def report(tried: Mind, language: str, *, coverage: bool = False) -> Report:
    """Run everything and say what failed; with `coverage` what no example tries."""
    watching, results = run(tried)
    ran = list(results)
    lines = [line for result in ran for line in _told(result, language)]
    failed = sum(bool(result.missed) for result in ran)
    summary = _ZH_RAN if language == "zh" else _RAN
    told = [summary.format(ran=len(ran), failed=failed)]
    if coverage:
        untried, counted = _untried(watching, language)
        lines += untried
        told.append(counted)
    return Report(tuple(lines), "\n".join(told), failed)


_RAN, _ZH_RAN = "{ran} examples, {failed} failed", "{ran} 个样例，{failed} 个未通过"
_MISSED = "{where}: {name}: {field} is {found}, not {expected}{by}"
_ZH_MISSED = "{where}: {name}: {field} 是 {found}，应为 {expected}{by}"


def _told(result: Result, language: str) -> Iterator[Line]:
    for missed in result.missed:
        failure, over = missed.failure, ", ".join(missed.over)
        if language == "zh":
            by = f"（由 {missed.by} 写入" + (f"，盖过 {over}" if over else "") + "）" if missed.by else ""
        else:
            by = f" (written by {missed.by}" + (f", over {over}" if over else "") + ")" if missed.by else ""
        text = (_ZH_MISSED if language == "zh" else _MISSED).format(
            where=failure.where, name=failure.name, field=failure.field, found=_value(failure.found),
            expected=_value(failure.expected), by=by,
        )  # fmt: skip
        yield Line(text, {**_place(failure.where), "name": failure.name, "well": False, "field": failure.field,
                          "expected": failure.expected, "found": failure.found, "by": missed.by,
                          "over": missed.over})  # fmt: skip
    if not result.missed:
        at = result.trial.expect.where
        yield Line("", {**_place(at), "name": result.trial.name, "well": True})


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return "nothing" if value in (None, "") else str(value)


def _place(where: Where) -> dict[str, object]:
    return {"file": where.file, "line": where.line, "column": where.column}


def _untried(watching: Watching, language: str) -> tuple[list[Line], str]:
    """What no example tries, and how much was tried."""
    rules, branches = watching.ruleset.rules, list(watching.branches())
    zh, lines = language == "zh", []
    for rule in rules:
        fired = watching.fired.get(rule.name, 0)
        left = [b for b in branches if b.rule is rule and not (b.held and b.failed)]
        plain = {**_place(rule.where), "rule": rule.name, "fired": fired,
                 "never_held": [b.condition for b in left if not b.held],
                 "never_failed": [b.condition for b in left if not b.failed]}  # fmt: skip
        told = [("从未触发" if zh else "never fires")] if not fired else []
        told += [(f"从未成立：{b.condition}" if zh else f"never holds: {b.condition}") for b in left if not b.held]
        told += [(f"从未不成立：{b.condition}" if zh else f"never fails: {b.condition}") for b in left if not b.failed]
        lines.append(Line(f"{rule.where}: {rule.name}: {'; '.join(told)}" if told else "", plain))
    covered = sum(rule.name in watching.fired for rule in rules)
    sides, tried = 2 * len(branches), sum(b.held + b.failed for b in branches)
    if zh:
        return lines, f"触发过的规则 {covered}/{len(rules)}，条件的两面 {tried}/{sides}"
    return lines, f"{covered} of {len(rules)} rules fire, {tried} of {sides} sides of conditions are tried"
