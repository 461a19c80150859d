"""`ticketgate rules`: everything about rulebooks that needs no running gateway."""

from collections import Counter
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.command import Config, Json, Lang, configured, now, with_store
from gateway.terminal import emit, language
from normalizer.errors import TicketgateError

if TYPE_CHECKING:
    from engine.decision import Case, Decision
    from gateway.settings import Configured
    from gateway.store.store import Store

rules_app = typer.Typer(no_args_is_help=True, help="Rulebooks: check, test, draw, measure. 规则")

Folder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A folder of rulebooks; that in use without.")]


@rules_app.command("test")
def examples(
    folder: Folder = None,
    config: Config = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="What no example tries, rule by rule.")] = False,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Run every example of the rulebooks and of rules/tests. What fails exits 1. 测试规则"""
    from gateway import rule_tests

    known = configured(config)
    tried = rule_tests.set_up(known, folder or known.rules)
    report = rule_tests.report(tried, language(lang), coverage=coverage)
    for line in report.lines:
        if json:
            emit(line.plain)
        elif line.text:
            typer.echo(line.text)
    if not json:
        typer.echo(report.summary, err=True)
    if report.failed:
        raise typer.Exit(1)


@rules_app.command()
def check(
    folder: Folder = None,
    config: Config = None,
    since: Annotated[str, typer.Option(help="Also which rules did not fire in the last 30d, 12h, ...")] = "",
    lang: Lang = "",
    json: Json = False,
) -> None:
    """What is wrong in the rulebooks, at its place, with what to write instead. Errors exit 1. 检查规则"""
    from engine import findings
    from engine.check import errors
    from gateway import rule_files

    known = configured(config)
    hits = _hits(known, since) if since else None
    today = now().astimezone(UTC).date().isoformat()
    found = rule_files.findings(known, folder or known.rules, today=today, hits=hits, since=since)
    spoken = language(lang)
    for one in found:
        if json:
            emit(findings.plain(one))
        else:
            typer.echo(findings.line(one, spoken))
    wrong = len(errors(found))
    if not json:
        typer.echo(rule_files.summed(wrong, len(found) - wrong, spoken), err=True)
    if wrong:
        raise typer.Exit(1)


def _hits(known: "Configured", since: str) -> Counter[str]:
    """How often each rule fired in the last while."""
    return Counter(fired.rule for decision in _decided(known, since) for fired in decision.fired)


def _recorded(known: "Configured", since: str, most: int) -> "list[Case]":
    return [decision.case for decision in _decided(known, since, most)]


def _decided(known: "Configured", since: str, most: int = 0) -> "list[Decision]":
    """What was decided in the last while, or the first so many of it."""
    from engine.calendar import duration

    length = duration(since)
    if length is None:
        raise typer.BadParameter(f"{since!r} is no length of time; write 30d or 12h")
    made: list[Decision] = []

    async def read(store: "Store") -> None:
        until, after = now(), 0
        while not most or len(made) < most:
            page, after = await store.decided(until - length, until, after)
            if not page:
                return
            made.extend(page)

    with_store(known, read)
    return made[: most or None]


@rules_app.command()
def schema(folder: Folder = None, config: Config = None) -> None:
    """Print the JSON Schema of this deployment's rulebooks, for completion in an editor. 编辑器补全

    Save it beside them, and write on their first line: # yaml-language-server: $schema=rulebook.schema.json
    """
    import json as plain_json

    from gateway import rule_files

    known = configured(config)
    made = rule_files.schema(known, folder or known.rules)
    typer.echo(plain_json.dumps(made, ensure_ascii=False, indent=1))


@rules_app.command()
def graph(
    folder: Folder = None,
    config: Config = None,
    as_: Annotated[Literal["mermaid", "svg"], typer.Option("--as", help="mermaid, or svg.")] = "mermaid",
) -> None:
    """Draw the stages, and which rules feed which. 画出规则"""
    from engine import graph as graphs
    from engine import rulebook
    from gateway import mind

    known = configured(config)
    where = folder or known.rules
    drawn = graphs.graph(rulebook.load(mind.rulebooks(where), mind.ground(known, where).vocabulary))
    typer.echo(graphs.svg(drawn) if as_ == "svg" else graphs.mermaid(drawn), nl=False)


@rules_app.command()
def bench(
    folder: Folder = None,
    config: Config = None,
    tickets: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many to decide, each several times.")] = 500,
    slowest: Annotated[int, typer.Option(min=0, max=1_000, help="How many of the slowest rules to name.")] = 10,
    recorded: Annotated[str, typer.Option(help="Decide what was recorded in the last 7d, 12h, ... instead.")] = "",
    json: Json = False,
) -> None:
    """How many decisions a second these rules take here, and which of them are slow. 测速"""
    from gateway import rule_bench, rule_tests

    known = configured(config)
    tried = rule_tests.set_up(known, folder or known.rules)
    chosen = _recorded(known, recorded, tickets) if recorded else rule_bench.cases(tried, tickets)
    if not chosen:
        raise TicketgateError(f"nothing was decided in the last {recorded}")
    found = rule_bench.measure(tried, chosen, slowest)
    if json:
        emit(found)
        return
    typer.echo(
        f"{found.per_second:,.0f} decisions a second ({found.rules} rules, {found.tickets} tickets, {found.kernel}); "
        f"the slowest ticket {found.worst:.2f} ms"
    )
    for one in found.slow:
        typer.echo(f"{one.microseconds:8.2f} us  {one.where}: {one.rule} ({one.conditions} conditions)")
