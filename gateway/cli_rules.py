"""`ticketgate rules`: everything about rulebooks that needs no running gateway."""

from datetime import UTC
from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.command import Config, Json, Lang, configured, now
from gateway.terminal import emit, language

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
def check(folder: Folder = None, config: Config = None, lang: Lang = "", json: Json = False) -> None:
    """What is wrong in the rulebooks, at its place, with what to write instead. Errors exit 1. 检查规则"""
    from engine import findings
    from engine.check import errors
    from gateway import rule_files

    known = configured(config)
    found = rule_files.findings(known, folder or known.rules, today=now().astimezone(UTC).date().isoformat())
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
    json: Json = False,
) -> None:
    """How many decisions a second these rules take here, and which of them are slow. 测速"""
    from gateway import rule_bench, rule_tests

    known = configured(config)
    found = rule_bench.measure(rule_tests.set_up(known, folder or known.rules), tickets, slowest)
    if json:
        emit(found)
        return
    typer.echo(
        f"{found.per_second:,.0f} decisions a second ({found.rules} rules, {found.tickets} tickets, {found.kernel}); "
        f"the slowest ticket {found.worst:.2f} ms"
    )
    for one in found.slow:
        typer.echo(f"{one.microseconds:8.2f} us  {one.where}: {one.rule} ({one.conditions} conditions)")
