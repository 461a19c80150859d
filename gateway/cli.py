"""`ticketgate`: one command for everything a person does at a terminal.

Commands print a table for people and JSON lines with --json, always when piped. They exit 0 when all went well, 1 when
something failed, 2 when they were called wrongly. What each needs is imported when it runs, so that they start quickly.
"""

import asyncio
import os
import sys
from collections.abc import Collection
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway.cli_import import import_app
from gateway.cli_people import audit_app, users_app
from gateway.cli_rulesets import rules_app, with_rules
from gateway.command import Config, Json, Lang, Limit, configured, now, whose, with_store
from gateway.terminal import SECRET, emit, language, moment, show
from normalizer.canon import REASONS, Status
from normalizer.errors import ConfigError, TicketgateError

if TYPE_CHECKING:
    from gateway.live import LiveRules
    from gateway.settings import Configured
    from gateway.store.store import Store

app = typer.Typer(
    name="ticketgate", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Every channel in, one ticket out. 工单网关：所有渠道进，一张工单出。",
)  # fmt: skip
quarantine_app = typer.Typer(no_args_is_help=True, help="What was set aside, and why. 隔离区")
outbox_app = typer.Typer(no_args_is_help=True, help="What is owed to the outside. 发件箱")
acknowledgements_app = typer.Typer(no_args_is_help=True, help="Limits, and the storm that stops them. 自动回复")
keys_app = typer.Typer(no_args_is_help=True, help="API keys, and the master key. 密钥")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(outbox_app, name="outbox")
app.add_typer(acknowledgements_app, name="acknowledgements")
app.add_typer(keys_app, name="keys")
app.add_typer(users_app, name="users")
app.add_typer(audit_app, name="audit")
app.add_typer(rules_app, name="rules")
app.add_typer(import_app, name="import")


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"ticketgate {version('ticketgate')}")
        raise typer.Exit


@app.callback()
def ticketgate(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it and exit.")] = False,
) -> None: ...


Stuck = Literal["dead", "held"]
INTERNAL = ("media", "outbox", "timer")  # connectors of what the house tells itself
State = Literal["queued", "waiting", "held", "dead", "sent", "dropped"]
Progress = Literal["waiting", "done", "aside"]
Account = Annotated[str, typer.Option(help="CONNECTOR, or CONNECTOR/ACCOUNT.")]
Stage = Literal["door", "journal", "noted"]


def main() -> None:
    """The console script. Errors a person can mend are one line, not a traceback."""
    _writable()
    try:
        app()
    except ConfigError as e:
        sys.stderr.write(f"{e.where}: error: {e.what}" + (f"\n  hint: {e.hint}" if e.hint else "") + "\n")
        sys.exit(1)
    except TicketgateError as e:
        sys.stderr.write(f"error: {e}\n")
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as e:
        sys.stderr.write(f"error: {e}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _writable() -> None:
    """Standard output and error may be of a charset that has not every letter we print."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.encoding.lower() != "utf-8":
            stream.reconfigure(errors="backslashreplace")


@app.command()
def serve(
    config: Config = None,
    role: Annotated[str, typer.Option(help="accept,process,dispatch,console in any mix.")] = "",
) -> None:
    """Run the gateway. 启动网关"""
    from gateway import kernel, log, settings, worker
    from gateway import serve as server
    from gateway.alone import ROLES
    from gateway.running import start

    configured = settings.read(config)
    log.configure(level=configured.settings.log_level)
    roles = frozenset(part.strip() for part in role.split(",") if part.strip()) or frozenset(ROLES)
    if unknown := roles - set(ROLES):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: roles are {', '.join(ROLES)}")
    workers = worker.hired(configured, roles)
    if start(server.serve(configured, roles, workers)):
        kernel.afresh()


@app.command()
def demo(
    once: Annotated[bool, typer.Option(help="Check what became of each message, then end.")] = False,
    port: Annotated[int, typer.Option(help="Where the console opens.")] = 8025,
    kernel: Annotated[str, typer.Option(help="What evaluates the rules: native or durable.")] = "native",
    lang: Lang = "",
) -> None:
    """Send real sample mails, forms and webhooks through a fresh gateway, and show what became of them. 演示"""
    from gateway import log
    from gateway.demo import run as demonstration
    from gateway.running import start

    log.configure(level="error")
    start(demonstration.run(once=once, port=port, kernel=kernel, language=language(lang)))


@app.command()
def doctor(config: Config = None, json: Json = False) -> None:
    """Test settings, rules, data folder and every account for real. 体检"""
    from gateway import doctor as doctors
    from gateway import log

    log.configure(level="warning", json=False)
    findings = asyncio.run(doctors.examine(config))
    show(["", "what", "found", "hint"], [[f.sign, f.what, f.found, f.hint] for f in findings], json)
    if any(not finding.well for finding in findings):
        raise typer.Exit(1)


@app.command()
def normalize(
    channel: Annotated[str, typer.Argument(help="email, form, webhook, api, ... or a connector's name.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Raw messages; standard input without.")] = None,
    config: Config = None,
    account: Annotated[str, typer.Option(help="Whose settings to read them by; the first one without.")] = "",
) -> None:
    """Print each message that raw input holds, one JSON object a line. Stores nothing. 解析"""
    from gateway import attempt

    reader = attempt.Reader(configured(config), channel, account)
    for file, raw in attempt.inputs(files):
        for line in reader.printed(file, raw):
            emit(line)


@app.command()
def decide(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(help="[CHANNEL] [FILE...]; without a channel: messages as normalize prints them."),
    ] = None,
    config: Config = None,
    account: Annotated[str, typer.Option(help="Whose settings to read them by; the first one without.")] = "",
    explain: Annotated[bool, typer.Option(help="Plain sentences instead of JSON.")] = False,
    lang: Lang = "",
) -> None:
    """Print what the rules decide about each message, with the trace. Stores and sends nothing. 试跑规则"""
    from gateway import attempt

    channel, files = attempt.split(arguments or [])
    decider = attempt.Decider(configured(config), channel, account)
    for file, raw in attempt.inputs(files):
        for decision in decider.decided(file, raw):
            if explain:
                typer.echo(decider.explained(decision, language(lang)))
            else:
                emit(decision.printed)


@app.command()
def explain(
    number: Annotated[str, typer.Argument(help="A ticket's number.")],
    config: Config = None,
    lang: Lang = "",
    reveal: Annotated[bool, typer.Option(help="Show names and addresses unmasked.")] = False,
    json: Json = False,
    why_not: Annotated[
        str, typer.Option(help="About this rule alone: each condition, whether it held, and what was there.")
    ] = "",
) -> None:
    """Why a ticket is as it is: every decision, rule by rule. 为什么"""
    from gateway import show as shows
    from gateway.reasons import Reasons

    async def told(rules: "LiveRules") -> None:
        if reveal:
            from gateway.users import Users

            await Users(rules.sets.store, rules.clock).note(whose(), "revealed", number)
        shown = shows.Shown(rules.sets.store, language(lang), json=json, reveal=reveal)
        if why_not:
            await shown.why_not(number, Reasons(rules), why_not)
        else:
            await shown.decisions(number, Reasons(rules))

    with_rules(configured(config), told)


@app.command()
def tickets(
    number: Annotated[str, typer.Argument(help="One ticket's number; all without.")] = "",
    config: Config = None,
    limit: Limit = 50,
    after: Annotated[str, typer.Option(help="Continue after this number.")] = "",
    status: Annotated[str, typer.Option(help="Of these alone: " + ", ".join(Status))] = "",
    group: str = "",
    reveal: Annotated[bool, typer.Option(help="Show names and addresses unmasked.")] = False,
    json: Json = False,
) -> None:
    """List tickets, newest first, or show one. 工单"""
    from gateway import show as shows
    from gateway.clock import SystemClock
    from gateway.users import Users

    _one_of("status", status, list(Status))

    async def listed(store: "Store") -> None:
        if reveal:
            await Users(store, SystemClock()).note(whose(), "revealed", number)
        if number:
            await shows.ticket(store, number, json=json, reveal=reveal)
        else:
            chosen = {name: value for name, value in (("status", status), ("group", group)) if value}
            rows = await store.tickets(after=after, limit=limit, **chosen)
            show(
                *shows.tickets(rows, reveal=reveal), json, empty="no tickets yet; `make demo` shows what they look like"
            )

    with_store(configured(config), listed)


@app.command()
def journal(
    name: Annotated[
        str, typer.Argument(metavar="[ID]", help="The id in our answer (250 2.0.0 OK ID), or a mail's Message-ID.")
    ] = "",
    config: Config = None,
    limit: Limit = 50,
    after: Annotated[str, typer.Option(help="Continue after this id.")] = "",
    state: Annotated[Progress | None, typer.Option(help="How far it is; aside: see `quarantine`.")] = None,
    account: Account = "",
    json: Json = False,
) -> None:
    """List what came, newest first; or follow one mail to its ticket and what is owed for it. 进件日志"""
    from gateway import show as shows

    connector, of = _known_account(account)

    async def listed(store: "Store") -> None:
        if name:
            await shows.followed(store, name, json=json)
            return
        rows = await store.journal_page(after, limit, connector, of, state or "")
        show(shows.JOURNAL, shows.journal(rows), json, empty="nothing came yet")

    with_store(configured(config), listed)


@app.command()
def migrate(config: Config = None) -> None:
    """Upgrade the data folder (a backup is made first). `serve` does the same at its start. 升级数据"""
    with_store(configured(config), lambda store: _told(f"data folder is at revision {store.revision}"))


Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="Sealed with the passphrase in it.", show_default=False)
]
KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="Master keys of that time, if not those of today.", show_default=False)
]


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file; or a folder, for a file named by the moment.")],
    config: Config = None,
    with_config: Annotated[bool, typer.Option("--with-config", help="Settings and rulebooks too.")] = False,
    with_key: Annotated[bool, typer.Option("--with-key", help="The master key too; needs a passphrase.")] = False,
    passphrase_file: Passphrase = None,
    key_file: KeyFile = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read FILE to its end instead; nothing is made.")] = False,
    json: Json = False,
) -> None:
    """Put the data folder into one sealed file, while the gateway runs. 备份

    The master key is not in it: without the key, kept elsewhere, a backup opens to nobody. `--with-key` puts it in,
    and then the passphrase alone opens everything.
    """
    from gateway import cli_backup as commands

    known = configured(config)
    if verify:
        commands.verify(known, file, passphrase_file, key_file, json=json)
    else:
        wanted = commands.Wanted(config=with_config, key=with_key)
        commands.backup(known, file, wanted, passphrase_file, key_file, now(), json=json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What `ticketgate backup` made.")],
    into: Annotated[Path, typer.Option("--into", help="The data folder to be: new, or empty.")],
    config: Config = None,
    passphrase_file: Passphrase = None,
    key_file: KeyFile = None,
    json: Json = False,
) -> None:
    """Make a data folder from a backup. Nothing is sent from it until `ticketgate outbox release`. 恢复"""
    from gateway import cli_backup as commands

    commands.restore(configured(config), file, into, passphrase_file, key_file, now(), json=json)


@quarantine_app.command("list")
def quarantine_list(
    config: Config = None,
    limit: Limit = 50,
    after: str = "",
    code: str = "",
    stage: Annotated[
        Stage | None, typer.Option(help="door: refused; journal: ours and failed; noted: no failure, as bounces.")
    ] = None,
    account: Account = "",
    since: Annotated[datetime | None, typer.Option(help="Received at this moment or later (local time).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Received before this moment.")] = None,
    words: Annotated[str, typer.Option(help="All of these stand in its reason, how it came, or what was kept.")] = "",
    json: Json = False,
) -> None:
    """What was refused at the door, could not be read, or asks for nothing and made no ticket; with its reason."""
    _one_of("code", code, REASONS)
    connector, of = _known_account(account)
    known = configured(config)

    async def listed(store: "Store") -> None:
        rows = await store.quarantine(
            after=after, limit=limit, code=code, stage=stage or "", connector=connector, account=of, words=words,
            since=_local(since, known), until=_local(until, known),
        )  # fmt: skip
        show(
            ["id", "when", "stage", "from", "code", "reason", "size"],
            [[r.id, moment(r.received_at), r.stage, f"{r.connector}/{r.account}", r.code, r.reason, r.size]
             for r in rows],
            json, empty="nothing is set aside",
        )  # fmt: skip

    with_store(known, listed)


@quarantine_app.command("show")
def quarantine_show(
    identity: Annotated[str, typer.Argument(metavar="ID")],
    config: Config = None,
    json: Annotated[bool, typer.Option("--json", help="One object with everything, the bytes in base64.")] = False,
) -> None:
    """The bytes that were set aside, as they came; how they came, on standard error."""
    from gateway import show as shows

    async def shown(store: "Store") -> None:
        row = await store.quarantined(identity)
        if row is None:
            raise TicketgateError(f"nothing with id {identity} is set aside")
        shows.set_aside(row, json=json)

    with_store(configured(config), shown)


@quarantine_app.command("retry")
def quarantine_retry(
    identities: Annotated[list[str] | None, typer.Argument(metavar="[ID...]")] = None,
    config: Config = None,
    code: Annotated[str, typer.Option(help="All that is ours and has this code.")] = "",
) -> None:
    """Process them again, with the same identity, after what stopped them was mended."""
    if bool(identities) == bool(code):
        raise typer.BadParameter("give either IDs or --code")
    _one_of("code", code, REASONS)

    async def retried(store: "Store") -> None:
        count = await (store.retry_quarantined(identities, now()) if identities else store.retry_code(code))
        typer.echo(f"{count} of {len(identities) if identities else count} will be processed again")
        if identities and count < len(set(identities)):
            raise TicketgateError(
                "the others are not set aside, or are under way already: `ticketgate quarantine list`"
            )

    with_store(configured(config), retried)


@outbox_app.command("list")
def outbox_list(
    config: Config = None,
    limit: Limit = 50,
    after: str = "",
    state: Annotated[State | None, typer.Option(help="All that is not sent without.")] = None,
    json: Json = False,
) -> None:
    """What waits, is held (outbound: off) or was refused for good."""
    from gateway import show as shows

    async def listed(store: "Store") -> None:
        rows = await store.outgoing(state=state or "", after=after, limit=limit)
        show(shows.OUTGOING, shows.outgoing(rows), json, empty="nothing is owed")

    with_store(configured(config), listed)


@outbox_app.command("retry")
def outbox_retry(
    identities: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="All of --state without.")] = None,
    config: Config = None,
    state: Annotated[Stuck, typer.Option(help="Which ones, if no ID is given: dead or held.")] = "dead",
) -> None:
    """Owe again what was refused for good or held, each with the idempotency key it always had."""
    known = configured(config)

    async def retried(store: "Store") -> None:
        count = await store.retry_outgoing(identities or state, now())
        typer.echo(f"{count} will be sent again")
        if count and not known.settings.outbound:
            typer.echo("but not before `outbound: on` is set and the gateway started again", err=True)
        if identities and count < len(set(identities)):
            raise TicketgateError("the others are neither dead nor held: `ticketgate outbox list`")

    with_store(known, retried)


@outbox_app.command("drop")
def outbox_drop(
    identities: Annotated[list[str] | None, typer.Argument(metavar="[ID...]")] = None,
    config: Config = None,
    state: Annotated[Stuck | None, typer.Option(help="All that are dead or held, instead of IDs.")] = None,
) -> None:
    """Give up what was refused or is held: it is never sent. The audit knows who did it. 放弃发送

    With the first step of a ticket for a helpdesk goes what would have followed it there.
    """
    if bool(identities) == bool(state):
        raise typer.BadParameter("give either IDs or --state")

    async def dropped(store: "Store") -> None:
        gone = await store.drop_outgoing(identities or state or [], whose(), now())
        typer.echo(f"{len(gone)} will never be sent")
        if missing := set(identities or ()) - set(gone):
            raise TicketgateError(f"nothing dead or held has the id {', '.join(sorted(missing))}")

    with_store(configured(config), dropped)


@outbox_app.command("hold")
def outbox_hold(
    config: Config = None,
    as_of: Annotated[
        datetime | None,
        typer.Option(help="The store was put back to that moment by other means than ours: skip numbers given since."),
    ] = None,
) -> None:
    """Let nothing go out and no timer ring, until released. What is accepted meanwhile becomes tickets as ever."""
    known = configured(config)
    moment = _local(as_of, known)
    if moment and moment > now():
        raise typer.BadParameter("--as-of is later than now")

    async def hold(store: "Store") -> None:
        await store.hold_outbox()
        typer.echo("held: nothing goes out and no timer rings until `ticketgate outbox release`")
        if moment:
            typer.echo(f"numbers of each day until today go on {await store.resume(moment, now())} further")

    with_store(known, hold)


@outbox_app.command("release")
def outbox_release(config: Config = None) -> None:
    """Let go what was held back, as after a restore. Look through `outbox list` first."""

    async def release(store: "Store") -> None:
        was = await store.outbox_held()
        await store.hold_outbox(False)
        counts = await store.counts()
        typer.echo(f"released: {counts.outbox_waiting} wait to be sent" if was else "nothing was held back")

    with_store(configured(config), release)


@acknowledgements_app.command("show")
def acknowledgements_show(config: Config = None, json: Json = False) -> None:
    """How many went out within the hour, how many each limit held back, and whether a storm stopped them."""

    async def shown(store: "Store") -> None:
        told, storm = await store.acknowledgements(now())
        rows = [[name, many] for name, many in told.items()]
        until = moment(storm.until) if storm.rages(now()) and storm.until else ""
        show(["within the hour", "acknowledgements"], [*rows, *([["stopped until", until]] if until else [])], json,
             empty="nobody was acknowledged within the hour")  # fmt: skip

    with_store(configured(config), shown)


@acknowledgements_app.command("resume")
def acknowledgements_resume(config: Config = None) -> None:
    """Let acknowledgements go again after a storm stopped them. What was held back meanwhile stays so. 恢复自动回复"""

    async def resumed(store: "Store") -> None:
        raged = await store.resume_acknowledgements(whose(), now())
        typer.echo("acknowledgements go out again" if raged else "nothing had stopped them")

    with_store(configured(config), resumed)


@keys_app.command("add")
def keys_add(
    label: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="messages:write (if none is given), tickets:read, personal:read, ...")
    ] = None,
    config: Config = None,
) -> None:
    """Make an API key. Its secret is shown once."""
    from gateway.permissions import PERMISSIONS

    scopes = scope or ["messages:write"]
    if unknown := set(scopes) - set(PERMISSIONS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: scopes are {', '.join(PERMISSIONS)}")

    async def added(store: "Store") -> None:
        identity, secret = await store.add_key(label, scopes, now())
        show(["id", "label", "scopes", SECRET], [[identity, label, " ".join(scopes), secret]], False)

    with_store(configured(config), added)


@keys_app.command("list")
def keys_list(config: Config = None, json: Json = False) -> None:
    """The API keys there are, without their secrets."""

    async def listed(store: "Store") -> None:
        rows = [
            [k.id, k.label, " ".join(k.scopes), moment(k.created_at), "revoked" if k.revoked else ""]
            for k in await store.list_keys()
        ]
        show(
            ["id", "label", "scopes", "made", "state"],
            rows,
            json,
            empty="no keys; `ticketgate keys add LABEL` makes one",
        )

    with_store(configured(config), listed)


@keys_app.command("revoke")
def keys_revoke(identity: Annotated[str, typer.Argument(metavar="ID")], config: Config = None) -> None:
    """End an API key at once."""

    async def revoked(store: "Store") -> None:
        if not await store.revoke_key(identity):
            raise TicketgateError(f"no key {identity}; `ticketgate keys list` shows them")
        typer.echo(f"revoked {identity}")

    with_store(configured(config), revoked)


@keys_app.command("rotate")
def keys_rotate(config: Config = None) -> None:
    """Change the master key: wrap every key of the data folder anew. Stop the gateway first.

    A key that lies in the data folder is replaced by a fresh one. If master_key is set, write the new key before the
    old one there (a comma between), run this, then remove the old one.
    """
    from gateway import wire

    known = configured(config)
    count = asyncio.run(wire.rotate(known))
    typer.echo(f"{count} keys are wrapped anew")


def _one_of(option: str, word: str, known: Collection[str]) -> None:
    """A word nobody knows would choose nothing, which reads as if all were well."""
    if word and word not in known:
        raise typer.BadParameter(f"{word!r} is none of {', '.join(known)}", param_hint=f"--{option}")


def _known_account(written: str) -> tuple[str, str]:
    """Connector and account, empty if any. Raises BadParameter if there is no such connector."""
    from connectors import registry

    connector, _, account = written.partition("/")
    _one_of("account", connector, sorted({*registry.known("ticketgate.connectors"), *INTERNAL}))
    return connector, account


def _local(at: datetime | None, known: "Configured") -> datetime | None:
    """A moment as written on the command line: in the deployment's time zone."""
    return at.replace(tzinfo=known.settings.zone) if at else None


async def _told(text: str) -> None:
    typer.echo(text)
