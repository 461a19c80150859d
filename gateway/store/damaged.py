"""What is shown of a row that cannot be opened: what stands in clear, and `damaged` where its words were.

Its key is lost, or its bytes were changed. A list shows it and goes on; nothing is ever decided or sent from it.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, select

from engine.decision import Case, Decision
from gateway.crypto import SealedError
from gateway.store.dialect import Record
from gateway.store.tables import FETCH, REPLY, contacts, tickets
from gateway.store.work import SetAside
from normalizer.canon import (
    Address,
    Attachment,
    Contact,
    Derived,
    Fetch,
    HandoverStep,
    Message,
    Outgoing,
    Reply,
    Source,
    Ticket,
)  # fmt: skip

T = TypeVar("T")
R = TypeVar("R")

DAMAGED = "damaged"
UNOPENED = (SealedError, ValueError)  # not to be opened; opened, and not what was kept


def each(open_all: Callable[[Sequence[R]], list[T]], rows: Sequence[R], instead: Callable[[R], T]) -> list[T]:
    """What all of them hold; if one cannot be opened, row by row, with something instead of each that cannot."""
    try:
        return open_all(rows)
    except UNOPENED:
        if len(rows) == 1:
            return [instead(rows[0])]
        return [one for row in rows for one in each(open_all, [row], instead)]


def contact(row: Record) -> Contact:
    return Contact(row.id, name=DAMAGED)


_ticket = select(tickets, contacts.c.id.label("whose")).join(contacts, contacts.c.seq == tickets.c.contact)


def ticket(connection: Connection, seq: int) -> Ticket:
    """One whose words cannot be opened."""
    row = connection.execute(_ticket.where(tickets.c.seq == seq)).one()
    return Ticket(
        row.id, Source(row.channel, "", "", ""), row.whose, DAMAGED, row.created_at, row.created_at, DAMAGED,
        row.number, category=_derived(row.category), subcategory=_derived(row.subcategory),
        priority=Derived(row.priority, DAMAGED), status=Derived(row.status, DAMAGED), group=_derived(row.group),
        assignee=_derived(row.assignee), version=row.version,
    )  # fmt: skip


def _derived(code: str) -> Derived | None:
    return Derived(code, DAMAGED) if code else None


def message(connection: Connection, row: Record) -> Message:
    """One of a ticket's."""
    of = ticket(connection, row.ticket)
    return Message(
        of.source.channel, "", "", row.id, Address("user", DAMAGED), row.received_at, direction=row.direction,
        subject=DAMAGED, text=DAMAGED, full_text=DAMAGED, answerable=False,
    )  # fmt: skip


def decision(connection: Connection, row: Record) -> Decision:
    of = ticket(connection, row.ticket)
    case = Case(row.trigger, row.at, of, Contact(of.contact, name=DAMAGED), previous=row.previous)
    return Decision(case, row.ruleset, DAMAGED, (), (), (), (DAMAGED,), of, row.hash)


def outgoing(connection: Connection, row: Record) -> Outgoing:
    of = ticket(connection, row.ticket)
    if row.step == FETCH:
        wanted = Fetch(row.id, "", "", of.id, of.number, "", 0, Attachment(DAMAGED, "", 0, ""))
        return Outgoing(row.id, "fetch", row.target, of.id, row.due_at, wanted, row.attempts)
    if row.step != REPLY:
        step = HandoverStep(row.id, row.target, row.step, of)
        return Outgoing(row.id, "handover", row.target, of.id, row.due_at, step, row.attempts)
    (connector, _, account), channel, to = row.target.partition("/"), of.source.channel, Address("user", DAMAGED)
    reply = Reply(row.id, channel, connector, account, of.id, of.number, to, DAMAGED, DAMAGED, "")
    return Outgoing(row.id, "reply", row.target, of.id, row.due_at, reply, row.attempts)


def set_aside(row: Record) -> SetAside:
    return SetAside(
        row.id, row.stage, row.connector, row.account, row.code, DAMAGED, row.received_at, row.size, row.attempts
    )
