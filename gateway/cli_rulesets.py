"""`ticketgate rules history|diff|replay|put|rollback|export`: rule sets in the data folder, and recorded traffic."""

import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli_rules import rules_app
from gateway.command import Config, Json, Lang, Limit, configured, now, whose, with_store
from gateway.terminal import emit, language, moment, progress, show
from normalizer.errors import ConfigError, TicketgateError, Where

if TYPE_CHECKING:
    from gateway.bundle import Bundle
    from gateway.live import LiveRules
    from gateway.replay import Replayed
    from gateway.replay_report import Names
    from gateway.rule_diff import Changed
    from gateway.settings import Configured
    from gateway.store.store import Store

__all__ = ["rules_app", "with_rules"]  # with what is added here

Reveal = Annotated[bool, typer.Option(help="Show names and addresses unmasked.")]
Why = Annotated[str, typer.Option("--why", help="Kept with it, for `rules history`.")]
Set = Annotated[str, typer.Argument(help="The beginning of a set's name, `live`, or a folder.")]
SHA = 12


@rules_app.command()
def history(config: Config = None, limit: Limit = 20, json: Json = False) -> None:
    """Which rule sets were live: when, put live by whom, and why; newest first. 规则上线记录"""
    known = configured(config)

    async def told(rules: "LiveRules") -> None:
        from gateway.rule_diff import diff

        found = await rules.sets.history(limit=limit + 1)
        rows = []
        for n, one in enumerate(found[:limit]):
            before = await rules.bundle(found[n + 1].sha) if n + 1 < len(found) else None
            changed = _summary(diff(before, await rules.bundle(one.sha))) if before else "the first"
            rows.append([one.sha[:SHA], moment(one.at), one.who, one.why, changed])
        show(
            ["set", "when", "who", "why", "changed"], rows, json, empty="nothing is live yet; `ticketgate serve` begins"
        )

    with_rules(known, told)


@rules_app.command()
def diff(
    before: Set = "",
    after: Set = "live",
    config: Config = None,
    reveal: Reveal = False,
    json: Json = False,
) -> None:
    """What changed from one rule set to another, rule by rule; from the one before to the live one without. 规则差异"""
    known = configured(config)

    async def told(rules: "LiveRules") -> None:
        from gateway.rule_diff import diff as differences

        was = await _bundle(rules, before or (await rules.sets.earlier()).sha)
        for one in differences(was, await _bundle(rules, after)):
            _tell(one, reveal=reveal, json=json)

    with_rules(known, told)


@rules_app.command()
def put(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Rulebooks, or what `rules export` wrote.")],
    why: Why = "",
    config: Config = None,
) -> None:
    """Check and test a rule set, and put it live (rules: {source: store}). Running gateways follow. 规则上线"""
    known = configured(config)

    async def done(rules: "LiveRules") -> None:
        from gateway import bundle as bundles

        live = await rules.put_live(bundles.of_folder(folder, rules.mind.bundle), whose(), why)
        typer.echo(f"{live.sha[:SHA]} is live: {len(rules.mind.ruleset.rules)} rules")

    with_rules(known, done)


@rules_app.command()
def rollback(
    name: Annotated[str, typer.Argument(metavar="[SET]", help="The set before the live one without.")] = "",
    why: Why = "",
    config: Config = None,
) -> None:
    """Put an earlier rule set live again, checked and tested first. 撤回规则"""
    known = configured(config)

    async def done(rules: "LiveRules") -> None:
        live = await rules.take_back(whose(), why or "rollback", name)
        typer.echo(f"{live.sha[:SHA]} is live again: {len(rules.mind.ruleset.rules)} rules")

    with_rules(known, done)


@rules_app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; made if it is not there.")],
    name: Annotated[str, typer.Option("--set", help="The beginning of a set's name.")] = "live",
    config: Config = None,
) -> None:
    """Write a rule set out as files: rules/ and config/. 导出规则"""
    known = configured(config)

    async def done(rules: "LiveRules") -> None:
        bundle = await _bundle(rules, name)
        typer.echo(f"{len(bundle.write(folder))} files of {bundle.sha[:SHA]} in {folder}")

    with_rules(known, done)


@rules_app.command()
def replay(
    since: Annotated[str, typer.Option(help="From when: 7d, 12h, or 2026-11-01.")] = "7d",
    until: Annotated[str, typer.Option(help="Until when, in the same words; now without.")] = "",
    rules: Annotated[str, typer.Option(help="A folder of rulebooks, or a set's name; what is live without.")] = "live",
    fail_if: Annotated[
        list[str] | None, typer.Option(help="Exit 1 if so: 'priority_lowered > 0', 'changed > 2%'. See docs.")
    ] = None,
    simulate_load: Annotated[bool, typer.Option(help="Changed routing moves the load that later tickets see.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report to this file.", show_default=False)] = None,
    config: Config = None,
    lang: Lang = "",
    reveal: Reveal = False,
    json: Json = False,
) -> None:
    """Decide recorded traffic again with another rule set: what would differ. Sends and stores nothing. 规则回放"""
    from gateway import criterion

    known = configured(config)
    criteria = [criterion.read(text) for text in fail_if or ()]
    at = now()
    first, last = _moment(since, at, known), _moment(until, at, known) if until else at

    async def told(live: "LiveRules") -> None:
        from gateway.replay import replay as again
        from gateway.replay_report import Names
        from gateway.replay_report import html as page

        bundle = await _bundle(live, rules)
        mind = live.mind if bundle.sha == live.mind.bundle.sha else live.mind.with_bundle(bundle)
        names = Names(mind.vocabulary, language(lang))
        with progress() as bar:
            done = await again(
                live.sets.store, mind, first, last, simulated_load=simulate_load,
                told=lambda n, of: bar("replay", n, of),
            )  # fmt: skip
        if html:
            html.write_text(page(done, names, moment, reveal=reveal), encoding="utf-8")
        _report(done, names, reveal=reveal, json=json)
        broken = [one.text for one in criteria if one.holds(done)]
        for text in broken:
            typer.echo(f"--fail-if {text}: it is so", err=True)
        if broken:
            raise typer.Exit(1)

    with_rules(known, told)


def _report(done: "Replayed", names: "Names", *, reveal: bool, json: bool) -> None:
    from gateway.masking import masked
    from gateway.replay_report import WORDS

    if json or not sys.stdout.isatty():
        whole = done.public()
        emit(whole if reveal else masked(whole))
        return
    w = WORDS[names.language]
    head = f"{len(done.changed_tickets)} / {len(done.tickets)} {w['differ']}" if done.changed else w["same"]
    typer.echo(f"{head}\n{w['of']} {done.decisions} {w['decisions']}; {done.identical} {w['identical']}")
    for many, what in ((done.erased, "erased"), (done.damaged, "damaged"), (done.failed, "failed")):
        if many:
            typer.echo(f"{many} {w[what]}")
    simulated = f" ({w['simulated']})" if done.simulated else ""
    if done.moves:
        moves = sorted(done.moves.items(), key=lambda item: (-item[1], item[0]))[:30]
        rows = [
            [names.field(name) + (simulated if name in done.simulated or "*" in done.simulated else ""),
             names.value(name, was), names.value(name, to), many]
            for (name, was, to), many in moves
        ]  # fmt: skip
        show([w["field"], w["before"], w["after"], w["count"]], rows, False)
    rules = {name: one for name, one in done.rules.items() if one["gained"] or one["lost"]}
    if rules:
        rows = [[name, one["before"], one["after"], one["gained"], one["lost"]] for name, one in rules.items()]
        show([w["rule"], w["before"], w["after"], w["gained"], w["lost"]], rows, False)


def _moment(text: str, at: datetime, known: "Configured") -> datetime:
    from engine.calendar import duration

    try:
        if (back := duration(text)) is not None:
            return at - back
        when = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ConfigError(
            Where("--since"), f"{text!r} is no moment", "7d, 12h, 2026-11-01 or 2026-11-01T09:30"
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=known.settings.zone)


def _summary(changed: "list[Changed]") -> str:
    told = []
    for kind in ("added", "removed", "changed", "reworded"):
        rules = [one.name for one in changed if one.kind == kind and one.what == "rule"]
        files = [one.name for one in changed if one.kind == kind and one.what == "file"]
        if names := [*rules, *files]:
            told.append(f"{kind} {', '.join(names[:3])}" + (f" and {len(names) - 3} more" if len(names) > 3 else ""))
    return "; ".join(told) or "nothing"


def _tell(one: "Changed", *, reveal: bool, json: bool) -> None:
    from normalizer.identity import mask_text

    lines = [line if reveal else mask_text(line) for line in one.lines]
    if json or not sys.stdout.isatty():
        emit({"what": one.what, "name": one.name, "kind": one.kind, "file": one.file, "lines": lines})
        return
    typer.secho(f"{one.what} {one.name}: {one.kind} ({one.file})", bold=True)
    for line in lines:
        typer.secho(f"  {line}", fg={"+": "green", "-": "red"}.get(line[:1]))


async def _bundle(rules: "LiveRules", name: str) -> "Bundle":
    """A folder's, or the set of that name; `live` is what decides now."""
    from gateway import bundle as bundles

    if folder := _folder(name):
        return bundles.of_folder(folder, rules.mind.bundle)
    if name == "live":
        return rules.mind.bundle
    return await rules.bundle(await rules.sets.named(name))


def _folder(name: str) -> Path | None:
    return Path(name) if Path(name).is_dir() else None


def with_rules(known: "Configured", use: "Callable[[LiveRules], Awaitable[None]]") -> None:
    """On the data folder, with what is live there. What does not pass is told whole."""
    from engine import findings
    from gateway import wire
    from gateway.clock import SystemClock
    from gateway.live import LiveRules
    from gateway.rulesets import RuleSets
    from gateway.vet import Unfit

    async def run(store: "Store") -> None:
        clock = SystemClock()
        mind = await wire.decided_by(known, store, clock)
        try:
            await use(LiveRules(mind, RuleSets(store, clock), clock, lambda _: None))
        except Unfit as e:
            for finding in e.findings:
                typer.echo(findings.line(finding, language("")), err=True)
            raise TicketgateError("this rule set may not go live; what was live goes on") from None

    with_store(known, run)
