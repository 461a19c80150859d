"""Tickets at a terminal."""

import sys
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from engine.decision import Decision
from gateway.masking import masked, masked_words
from gateway.reasons import Reasons
from gateway.store.store import Store
from gateway.store.work import Journalled, Posted, SetAside
from gateway.terminal import emit, moment, show
from normalizer.canon import Contact, Ticket, public
from normalizer.errors import TicketgateError
from normalizer.identity import mask_name, mask_text

COLUMNS = ["number", "received", "channel", "customer", "subject", "category", "priority", "group", "status"]


def tickets(found: Sequence[tuple[Ticket, Contact | None]], *, reveal: bool) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a list of tickets."""
    return COLUMNS, [_row(ticket, contact, reveal) for ticket, contact in found]


def _row(ticket: Ticket, contact: Contact | None, reveal: bool) -> list[Any]:
    name = contact.name if contact else ""
    category = "/".join(part.value for part in (ticket.category, ticket.subcategory) if part)
    return [
        ticket.number, moment(ticket.captured_at), ticket.source.channel, name if reveal else mask_name(name),
        ticket.subject if reveal else mask_text(ticket.subject), category, ticket.priority.value,
        ticket.group.value if ticket.group else "", ticket.status.value,
    ]  # fmt: skip


async def ticket(store: Store, number: str, *, json: bool, reveal: bool) -> None:
    """One ticket with its messages. Masked unless revealed."""
    found = await store.ticket(number)
    if found is None:
        raise TicketgateError(f"no ticket {number}; `ticketgate tickets` lists them")
    said = await store.messages(found.id)
    if json or not sys.stdout.isatty():
        whole = {**public(found), "messages": [public(message) for message in said]}
        emit(whole if reveal else masked(whole))
        return
    columns, (row,) = tickets([(found, await store.contact(found.contact))], reveal=reveal)
    for name, value in zip(columns, row, strict=True):
        typer.echo(f"{name:<10} {value}")
    for message in said:
        text = message.text if reveal else mask_text(message.text)
        typer.echo(f"\n{moment(message.received_at)} {message.channel} {message.kind}\n{text}")


@dataclass(frozen=True, slots=True)
class Shown:
    """Decisions at a terminal: JSON lines or plain sentences, masked unless revealed."""

    store: Store
    language: str
    json: bool
    reveal: bool

    async def decisions(self, number: str, reasons: Reasons) -> None:
        """Every decision about a ticket; in sentences also which rules were nearest to firing."""
        for decision in await self._of(number):
            if self._plain:
                mind = await reasons.mind(decision.ruleset)
                near = await reasons.near(decision, self.language)
                self._say("\n".join((*mind.explain(decision, self.language), *near)) + "\n", decision)
            else:
                whole = public(decision)
                emit(whole if self.reveal else masked(whole))

    async def why_not(self, number: str, reasons: Reasons, rule: str) -> None:
        """Of each decision about a ticket, why this rule did not do what was expected of it."""
        for decision in await self._of(number):
            lines = await reasons.why_not(decision, rule, self.language)
            if self._plain:
                self._say(f"{decision.case.trigger}\n" + "\n".join(lines) + "\n", decision)
            else:
                told = lines if self.reveal else [masked_words(line, decision.case.contact) for line in lines]
                emit({"decision": decision.hash, "trigger": decision.case.trigger, "rule": rule, "told": told})

    @property
    def _plain(self) -> bool:
        return not self.json and sys.stdout.isatty()

    async def _of(self, number: str) -> Sequence[Decision]:
        found = await self.store.ticket(number)
        if found is None:
            raise TicketgateError(f"no ticket {number}; `ticketgate tickets` lists them")
        return await self.store.decisions(found.id)

    def _say(self, told: str, decision: Decision) -> None:
        typer.echo(told if self.reveal else masked_words(told, decision.case.contact))


JOURNAL = ["id", "when", "from", "state", "attempts", "tickets", "code", "reason"]
OUTGOING = ["id", "state", "what", "to", "ticket", "attempts", "due", "last error"]


def journal(rows: Sequence[Journalled]) -> list[list[Any]]:
    """Rows of JOURNAL."""
    return [
        [r.id, moment(r.received_at), f"{r.connector}/{r.account}", r.state, r.attempts, " ".join(r.tickets), r.code,
         r.reason] for r in rows
    ]  # fmt: skip


def outgoing(rows: Sequence[Posted]) -> list[list[Any]]:
    """Rows of OUTGOING."""
    return [
        [r.outgoing.id, r.state, r.outgoing.kind, r.outgoing.target, r.number, r.outgoing.attempts,
         moment(r.outgoing.due_at), r.reason] for r in rows
    ]  # fmt: skip


async def followed(store: Store, name: str, *, json: bool) -> None:
    """One mail or request, by the id in our answer to it or by its Message-ID: what became of it, and what is owed."""
    found = await store.journalled(name)
    rows = [found] if found else await store.bearing(name)
    if not rows:
        raise TicketgateError(
            f"nothing journalled has the id or Message-ID {name}. What is waiting or unreadable is found by id alone "
            "(`ticketgate journal --state waiting`), what was refused or set aside by `ticketgate quarantine list`"
        )
    numbers = list(dict.fromkeys(number for row in rows for number in row.tickets))
    owed = [(number, outgoing(await _owed(store, number))) for number in numbers]
    if json or not sys.stdout.isatty():
        for row, line in zip(rows, journal(rows), strict=True):
            things = [dict(zip(OUTGOING, one, strict=True)) for n, those in owed if n in row.tickets for one in those]
            emit({**dict(zip(JOURNAL, line, strict=True)), "outgoing": things})
        return
    show(JOURNAL, journal(rows), json)
    if numbers:
        typer.echo("")
        show(OUTGOING, [one for _, those in owed for one in those], json, empty="nothing was owed for it")
        typer.echo("\n" + "\n".join(f"ticketgate explain {number}" for number in numbers))


async def _owed(store: Store, number: str) -> Sequence[Posted]:
    found = await store.ticket(number)
    return await store.outgoing(ticket=found.id) if found else []


def set_aside(row: SetAside, *, json: bool) -> None:
    """The bytes on standard output, so that they can be kept; everything else on standard error, or all as JSON."""
    about = {
        "id": row.id, "received": moment(row.received_at), "stage": row.stage, "from": f"{row.connector}/{row.account}",
        "code": row.code, "reason": row.reason, "size": row.size, "attempts": row.attempts,
    }  # fmt: skip
    if json:
        emit({**about, "facts": row.facts, "body": b64encode(row.body).decode()})
        return
    for name, value in [*about.items(), *row.facts.items()]:
        typer.echo(f"{name}: {value}", err=True)
    sys.stdout.buffer.write(row.body)
