"""`ticketgate rules`: everything about rulebooks that needs no running gateway."""

from datetime import UTC
from pathlib import Path
from typing import Annotated

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
