"""`ticketgate import`: what customers said before, from files, into the journal.

The same file again brings nothing twice, so an import that was stopped is simply started again.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.command import Config, Json, Lang, configured, now, with_store
from gateway.terminal import emit, language, progress

if TYPE_CHECKING:
    from connectors.base import Mailbox
    from connectors.imported import Imported
    from gateway.mailfiles import Found
    from gateway.store.store import Store
    from normalizer.canon import Envelope

import_app = typer.Typer(no_args_is_help=True, help="Bring in what customers said before. 导入")

BATCH_MAILS, BATCH_OCTETS = 200, 8 * 1024 * 1024  # journalled in one transaction

Told = Callable[[str, int, int], None]


@import_app.callback()
def bring() -> None:
    """Bring in what customers said before. 导入"""


@dataclass(slots=True)
class Tally:
    """What became of the mails. Those `set_aside` are in quarantine, with the others that are new."""

    files: int = 0
    mails: int = 0
    new: int = 0
    known: int = 0  # were there already
    ours: int = 0  # written by one of our own addresses: left out
    set_aside: int = 0  # of the new ones: too large, or no mail
    skipped: int = 0  # files that are no mail, or cannot be read


@import_app.command()
def mail(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="mbox, Maildir, .eml, or folders of them.")],
    config: Config = None,
    lang: Lang = "",
    json: Json = False,
) -> None:
    """Import mail: every customer's mail becomes a message, as old as it is. Nobody is acknowledged. 导入邮件"""
    from gateway import mailfiles

    if missing := [str(path) for path in paths if not path.exists()]:
        raise typer.BadParameter(f"there is no {', '.join(missing)}")
    known = configured(config)
    tally = Tally()

    async def brought(store: "Store") -> None:
        from connectors.imported import Imported
        from gateway import mind

        accounts = mind.connectors(known)
        importer = next(one for one in accounts.values() if isinstance(one, Imported))
        reader = Importing(importer, _mailboxes(accounts.values()), tally, mailfiles.LIMIT)
        with progress() as told:
            for batch in reader.batches(paths, told):
                fresh = await store.journal(batch, now())
                reader.count(batch, fresh)

    with_store(known, brought)
    if json or not sys.stdout.isatty():
        emit(asdict(tally))
    else:
        _say(tally, language(lang))
    if tally.skipped and not tally.mails:
        raise typer.Exit(1)


@import_app.command()
def requests(
    account: Annotated[str, typer.Argument(metavar="CONNECTOR/ACCOUNT", help="Whose requests they are: line/main")],
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files of one request each, or folders.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Bring in requests that a channel posted and a proxy kept, as if they came now. 重放请求

    What is here already is not made twice. Customers are acknowledged as usual.
    """
    from connectors.base import Webhook
    from gateway import captured, mind

    known = configured(config)
    name, _, own = account.partition("/")
    connector = mind.connectors(known).get((name, own))
    if not isinstance(connector, Webhook):
        raise typer.BadParameter(f"no account {account} that takes webhooks is configured")
    if missing := [str(path) for path in paths if not path.exists()]:
        raise typer.BadParameter(f"there is no {', '.join(missing)}")
    told = dict.fromkeys(("files", "new", "known", "skipped"), 0)

    async def brought(store: "Store") -> None:
        for found in captured.envelopes(connector, paths, now()):
            told["files"] += 1
            if isinstance(found, captured.Skipped):
                told["skipped"] += 1
                typer.echo(f"{found.file}: skipped: {found.why}", err=True)
            else:
                (fresh,) = await store.journal([found[1]], now())
                told["new" if fresh else "known"] += 1

    with_store(known, brought)
    if json or not sys.stdout.isatty():
        emit(told)
    else:
        typer.echo("{files} requests: {new} new, {known} known, {skipped} skipped".format(**told))
    if told["skipped"] and told["skipped"] == told["files"]:
        raise typer.Exit(1)


def _mailboxes(connectors: Iterable[object]) -> "list[Mailbox]":
    from connectors.base import Mailbox

    return [one for one in connectors if isinstance(one, Mailbox)]


SAID = {
    "zh": (
        "{mails} 封邮件，来自 {files} 个文件：新增 {new}，已有 {known}，我方发出 {ours}",
        "{set_aside} 封进入隔离区：ticketgate quarantine list", "跳过 {skipped} 个文件",
        "网关会把它们变成工单；网关在运行时立即开始",
    ),
    "en": (
        "{mails} mails in {files} files: {new} new, {known} known, {ours} our own",
        "{set_aside} set aside: ticketgate quarantine list", "{skipped} files skipped",
        "the gateway makes tickets of them, at once if it is running",
    ),
}  # fmt: skip


def _say(tally: Tally, language: str) -> None:
    shown = (True, tally.set_aside, tally.skipped, tally.new)
    for line, wanted in zip(SAID[language], shown, strict=True):
        if wanted:
            typer.echo(line.format(**asdict(tally)))


class Importing:
    """Mails from files as envelopes, in batches."""

    def __init__(self, importer: "Imported", mailboxes: "list[Mailbox]", tally: Tally, limit: int) -> None:
        self.importer, self.mailboxes, self.tally, self.limit = importer, mailboxes, tally, limit

    def batches(self, paths: Sequence[Path], told: Told) -> "Iterator[list[Envelope]]":
        from gateway import mailfiles

        files = list(mailfiles.files(list(paths)))
        whole, done, batch, size = sum(map(_size, files)), 0, [], 0
        for file in files:
            self.tally.files += 1
            for found in mailfiles.mails(file, self.limit):
                if isinstance(found, mailfiles.Skipped):
                    self.tally.skipped += 1
                    typer.echo(f"{found.file}: skipped: {found.why}", err=True)
                    continue
                told("mail", done + found.read, whole)
                if envelope := self._envelope(found):
                    batch.append(envelope)
                    size += len(envelope.body)
                if len(batch) >= BATCH_MAILS or size >= BATCH_OCTETS:
                    yield batch
                    batch, size = [], 0
            done += _size(file)
        if batch:
            yield batch
        told("mail", whole, whole)

    def _envelope(self, found: "Found") -> "Envelope | None":
        """None for a mail one of us wrote: it asks us for nothing."""
        moment = now()
        self.tally.mails += 1
        envelope = self.importer.envelope(found.raw, found.file.name, _dated(found.dated, moment), found.size)
        if any(mailbox.owns(envelope.lane) for mailbox in self.mailboxes):
            self.tally.ours += 1
            return None
        return envelope

    def count(self, batch: "Sequence[Envelope]", fresh: Sequence[bool]) -> None:
        from connectors.imported import is_mail

        for envelope, new in zip(batch, fresh, strict=True):
            self.tally.new += new
            self.tally.known += not new
            self.tally.set_aside += new and ("size" in envelope.transport or not is_mail(envelope.body))


def _dated(said: datetime | None, moment: datetime) -> datetime:
    """When the mail came in, as far as it tells; what is yet to come is a wrong clock's word."""
    return said if said and said <= moment else moment


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
