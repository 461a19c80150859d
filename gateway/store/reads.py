"""What people and the API may look at, a page at a time: `after` names the last one of the page before.

Tickets, outgoing things and what was set aside come newest first; what was said and decided in a ticket in its order.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Column, Connection, ScalarSelect, Select, Table, func, select

from engine.decision import Decision
from gateway.crypto import Vault
from gateway.store import damaged, outbox, whole
from gateway.store import quarantine as aside
from gateway.store.dialect import Record
from gateway.store.tables import (
    ASIDE,
    DEAD,
    DROPPED,
    HELD,
    NOTED,
    QUEUED,
    SENT,
    WAITING,
    contacts,
    cursors,
    decisions,
    envelopes,
    lanes,
    messages,
    outgoing,
    quarantine,
    tallies,
    tickets,
    timers,
    work,
)  # fmt: skip
from gateway.store.words import Keys, settlement_place
from gateway.store.work import Counts, Posted, Progress, SetAside
from normalizer.canon import Contact, Message, Outgoing, Ticket

Decided = tuple[list[Decision], int]  # some decisions, and the place of the last of them


def contacts_of(keys: Keys, rows: Sequence[Record]) -> list[Contact]:
    return damaged.each(lambda some: [keys.contact(row) for row in some], rows, damaged.contact)


def tickets_of(connection: Connection, keys: Keys, rows: Sequence[Record]) -> list[Ticket]:
    return damaged.each(
        lambda some: [keys.ticket(row) for row in some], rows, lambda row: damaged.ticket(connection, row.seq)
    )


def _seq_of(table: Table, identity: str) -> ScalarSelect[Any]:
    return select(table.c.seq).where(table.c.id == identity).scalar_subquery()


def ticket(connection: Connection, vault: Vault, name: str) -> Ticket | None:
    """By id or number."""
    rows = connection.execute(select(tickets).where((tickets.c.id == name) | (tickets.c.number == name))).all()
    return next(iter(tickets_of(connection, Keys(vault).fetch_of(connection, rows), rows)), None)


def contact(connection: Connection, vault: Vault, identity: str) -> Contact | None:
    rows = connection.execute(select(contacts).where(contacts.c.id == identity)).all()
    return next(iter(contacts_of(Keys(vault).fetch(connection, [identity]), rows)), None)


def messages_of(
    connection: Connection, vault: Vault, ticket_id: str, after: str, limit: int, *, latest: bool = False
) -> list[Message]:
    statement = (_newest if latest else _oldest)(messages, messages.c.id, after, limit)
    rows = connection.execute(statement.where(messages.c.ticket == _seq_of(tickets, ticket_id))).all()
    return _messages(connection, vault, rows[::-1] if latest else rows)


def message_of(connection: Connection, vault: Vault, ticket_id: str, identity: str) -> Message | None:
    here = messages.c.ticket == _seq_of(tickets, ticket_id)
    rows = connection.execute(select(messages).where(messages.c.id == identity, here)).all()
    return next(iter(_messages(connection, vault, rows)), None)


def _messages(connection: Connection, vault: Vault, rows: Sequence[Record]) -> list[Message]:
    keys = Keys(vault).fetch_of(connection, rows)
    return damaged.each(
        lambda some: [keys.message(row) for row in some], rows, lambda row: damaged.message(connection, row)
    )


def trail(connection: Connection, vault: Vault, contact_id: str, before: str, limit: int) -> list[tuple[Message, str]]:
    """What a contact said and was told on every channel, newest first, each with its ticket's number, if it has one."""
    statement = _newest(messages, messages.c.id, before, limit).add_columns(tickets.c.number)
    statement = statement.outerjoin(tickets, tickets.c.seq == messages.c.ticket)
    rows = connection.execute(statement.where(messages.c.contact == _seq_of(contacts, contact_id))).all()
    keys = Keys(vault).fetch_of(connection, rows)
    said = damaged.each(
        lambda some: [keys.message(row) for row in some], rows, lambda row: damaged.message(connection, row)
    )
    return [(message, row.number or "") for message, row in zip(said, rows, strict=True)]


def decisions_of(
    connection: Connection, vault: Vault, ticket_id: str, after: str, limit: int, *, latest: bool = False
) -> list[Decision]:
    statement = (_newest if latest else _oldest)(decisions, decisions.c.hash, after, limit)
    rows = connection.execute(statement.where(decisions.c.ticket == _seq_of(tickets, ticket_id))).all()
    return damaged.each(
        lambda some: whole.decisions(connection, vault, some), rows[::-1] if latest else rows,
        lambda row: damaged.decision(connection, row),
    )  # fmt: skip


def decided(connection: Connection, vault: Vault, since: datetime, until: datetime, after: int, limit: int) -> Decided:
    """What was decided in that time about whatever ticket, in order; after that seq."""
    chosen = select(decisions).where(decisions.c.at >= since, decisions.c.at < until, decisions.c.seq > after)
    rows = connection.execute(chosen.order_by(decisions.c.seq).limit(limit)).all()
    made = damaged.each(
        lambda some: whole.decisions(connection, vault, some), rows, lambda row: damaged.decision(connection, row)
    )
    return made, rows[-1].seq if rows else after


def decided_count(connection: Connection, since: datetime, until: datetime) -> tuple[int, int]:
    """How many decisions were made in that time, and the seq just before the first of them."""
    within = select(func.count(), func.min(decisions.c.seq)).where(decisions.c.at >= since, decisions.c.at < until)
    many, first = connection.execute(within).one()
    return many, (first or 1) - 1


def list_outgoing(
    connection: Connection, vault: Vault, state: str, after: str, limit: int, ticket_id: str
) -> list[Posted]:
    """In one state; without, whatever is not sent. With a ticket's id, its own."""
    statement = _newest(outgoing, outgoing.c.id, after, limit).add_columns(tickets.c.number)
    statement = statement.join(tickets, tickets.c.seq == outgoing.c.ticket)
    if ticket_id:
        statement = statement.where(outgoing.c.ticket == _seq_of(tickets, ticket_id))
    if state or not ticket_id:
        statement = statement.where(outgoing.c.state == state if state else outgoing.c.state.not_in((SENT, DROPPED)))
    rows = connection.execute(statement).all()
    things = damaged.each(
        lambda some: whole.outgoing(connection, vault, some), rows, lambda row: damaged.outgoing(connection, row)
    )
    return [_posted(vault, one, row) for one, row in zip(things, rows, strict=True)]


def _posted(vault: Vault, one: Outgoing, row: Any) -> Posted:
    told = _settled(vault, row) if row.settlement else {}
    return Posted(
        replace(one, attempts=row.attempts, due_at=row.due_at), row.number, row.state, row.settled_at,
        told.get("reason", ""), told.get("external_id", ""), told.get("url", ""), told.get("status", ""),
    )  # fmt: skip


def _settled(vault: Vault, row: Record) -> dict[str, str]:
    try:
        told: dict[str, str] = json.loads(vault.house.open(row.settlement, settlement_place(row.id)))
    except damaged.UNOPENED:
        return {"reason": damaged.DAMAGED}
    return told


def list_quarantine(
    connection: Connection, vault: Vault, after: str, limit: int, chosen: aside.Chosen
) -> list[SetAside]:
    """Without the bytes. For words, which are sealed, rows are opened one by one: so many of the newest."""
    if not chosen.words:
        return _opened(vault, connection.execute(_chosen(chosen, after, limit)).all())
    rows = connection.execute(_chosen(chosen, after, aside.LOOKED_AT)).all()
    found = (one for one in _opened(vault, rows, whole=True) if aside.says(one, chosen.words))
    return [replace(one, body=b"") for one in islice(found, limit)]


def _chosen(chosen: aside.Chosen, after: str, limit: int) -> Select[Any]:
    statement = _newest(quarantine, quarantine.c.id, after, limit)
    for name in ("code", "stage", "connector", "account"):
        if value := getattr(chosen, name):
            statement = statement.where(quarantine.c[name] == value)
    if chosen.since:
        statement = statement.where(quarantine.c.received_at >= chosen.since)
    return statement.where(quarantine.c.received_at < chosen.until) if chosen.until else statement


def _opened(vault: Vault, rows: Sequence[Record], *, whole: bool = False) -> list[SetAside]:
    return damaged.each(lambda some: [aside.opened(vault, row, whole=whole) for row in some], rows, damaged.set_aside)


def quarantined(connection: Connection, vault: Vault, identity: str) -> SetAside | None:
    """With what was kept of it; the bytes of a journalled one are its envelope's."""
    rows = connection.execute(select(quarantine).where(quarantine.c.id == identity)).all()
    return next(iter(_opened(vault, rows, whole=True)), None)


def envelope_row(connection: Connection, identity: str) -> Any:
    return connection.execute(select(envelopes).where(envelopes.c.id == identity)).first()


def progress(connection: Connection, identity: str) -> Progress | None:
    """How far an envelope has come, and the tickets its messages are in."""
    state = select(work.c.seq, work.c.state).join(envelopes, envelopes.c.seq == work.c.seq)
    found = connection.execute(state.where(envelopes.c.id == identity)).first()
    if found is None:
        return None
    in_tickets = (
        select(tickets.c.number)
        .join(messages, messages.c.ticket == tickets.c.seq)
        .where(messages.c.envelope == found.seq)
        .group_by(tickets.c.seq)
        .order_by(tickets.c.seq)
    )
    return Progress("set_aside" if found.state == ASIDE else found.state, tuple(connection.scalars(in_tickets)))


def cursor(connection: Connection, name: str) -> str | None:
    return connection.scalar(select(cursors.c.value).where(cursors.c.name == name))


def next_due(connection: Connection) -> datetime | None:
    """The earliest moment anything waits for; in the past if it waits already, None if nothing does."""
    held = outbox.is_held(connection)
    moments = [
        connection.scalar(select(func.min(lanes.c.ready_at))),
        None if held else connection.scalar(select(func.min(timers.c.due_at))),
        None if held else _next_outgoing(connection),
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def _next_outgoing(connection: Connection) -> datetime | None:
    waiting = select(outgoing.c.due_at, outgoing.c.leased_until).where(outgoing.c.state == WAITING)
    soonest = waiting.order_by(outgoing.c.due_at).limit(100)  # more than can be leased at a time
    return min((max(row.due_at, row.leased_until) for row in connection.execute(soonest)), default=None)


def counts(connection: Connection) -> Counts:
    """Figures for metrics and health."""
    oldest = connection.scalar(
        select(envelopes.c.received_at).where(envelopes.c.seq == select(func.min(lanes.c.head)).scalar_subquery())
    )
    unsent = select(outgoing.c.state, func.count()).where(outgoing.c.state != SENT).group_by(outgoing.c.state)
    owed: dict[str, int] = dict(connection.execute(unsent).all())
    return Counts(
        waiting=_count(connection, select(func.count()).select_from(work).where(work.c.state == WAITING)),
        oldest_waiting=oldest,
        set_aside=_count(connection, select(func.count()).select_from(quarantine).where(quarantine.c.stage != NOTED)),
        outbox_waiting=owed.get(WAITING, 0) + owed.get(QUEUED, 0),
        outbox_dead=owed.get(DEAD, 0),
        outbox_held=owed.get(HELD, 0),
        tickets=_count(connection, select(func.sum(tallies.c.many))),
    )


def _count(connection: Connection, statement: Select[int]) -> int:
    return connection.scalar(statement) or 0


def _newest(table: Table, name: Column[str], after: str, limit: int) -> Select[Any]:
    statement = select(table).order_by(table.c.seq.desc()).limit(limit)
    return statement.where(table.c.seq < _place(table, name, after)) if after else statement


def _oldest(table: Table, name: Column[str], after: str, limit: int) -> Select[Any]:
    statement = select(table).order_by(table.c.seq).limit(limit)
    return statement.where(table.c.seq > _place(table, name, after)) if after else statement


def _place(table: Table, name: Column[str], value: str) -> ScalarSelect[Any]:
    return select(table.c.seq).where(name == value).scalar_subquery()
