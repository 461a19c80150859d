"""`ticketgate rules`: everything about rulebooks that needs no running gateway."""

from pathlib import Path
from typing import Annotated

import typer

from gateway.command import Config, Json, Lang, configured
from gateway.terminal import emit

rules_app = typer.Typer(no_args_is_help=True, help="Rulebooks: check, test, draw, measure. 规则")

Folder = Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A folder of rulebooks; that in use without.")]


@rules_app.command()
def check(folder: Folder = None, config: Config = None, lang: Lang = "", json: Json = False) -> None:
    """What is wrong in the rulebooks, at its place, with what to write instead. 检查规则"""
    from engine import rulebook
    from gateway import mind

    known = configured(config)
    where = folder or known.rules
    base = mind.ground(known, where)
    found = rulebook.findings(mind.rulebooks(where), base.vocabulary)
    for one in found:
        if json:
            at = one.where
            emit({"file": at.file, "line": at.line, "column": at.column, "code": one.code, "message": one.what,
                  "hint": one.hint})  # fmt: skip
        else:
            typer.echo(one)
    if not json:
        typer.echo(f"{len(found)} errors", err=True)
    if found:
        raise typer.Exit(1)
