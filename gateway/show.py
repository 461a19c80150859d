"""Tickets at a terminal."""

import sys
from collections.abc import Sequence
from typing import Any

import typer

from gateway.store.store import Store
from gateway.terminal import emit, moment
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


def masked(value: Any) -> Any:
    """The same with personal data in its texts masked."""
    if isinstance(value, dict):
        return {
            key: mask_name(part) if key == "name" and isinstance(part, str) else masked(part)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [masked(part) for part in value]
    return mask_text(value) if isinstance(value, str) else value
