"""Decisions and hand-over steps made whole again: their words stand once, with the message and the ticket.

Whoever is erased there is erased here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from engine.decision import COMPLETED, Decision
from gateway.crypto import Vault
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import REPLY, messages, tickets
from gateway.store.words import Keys
from normalizer.canon import Attachment, HandoverStep, Message, Outgoing, Ticket

_messages = select(messages.c.seq, messages.c.id, messages.c.contact, messages.c.wrapped_key, messages.c.sealed).where(
    one_of(messages.c.seq)
)
_tickets = select(tickets.c.seq, tickets.c.id, tickets.c.contact, tickets.c.sealed).where(one_of(tickets.c.seq))


def decisions(connection: Connection, vault: Vault, rows: Sequence[Record]) -> list[Decision]:
    words = _Words(connection, Keys(vault).fetch_of(connection, rows), rows)
    return [words.decision(row) for row in rows]


def outgoing(connection: Connection, vault: Vault, rows: Sequence[Record]) -> list[Outgoing]:
    words = _Words(connection, Keys(vault).fetch_of(connection, rows), [row for row in rows if row.step != REPLY])
    return [words.outgoing(row) for row in rows]


def as_told(message: Message) -> Message:
    """The message as it was before its files were fetched."""
    if not any(one.remote for one in message.attachments):
        return message
    return replace(message, attachments=tuple(_as_told(one) for one in message.attachments))


def _as_told(one: Attachment) -> Attachment:
    if not one.remote:
        return one
    return replace(one, media_type=one.told or one.media_type, sha256="", missing="", told="")


class _Words:
    """What these rows left with others."""

    def __init__(self, connection: Connection, keys: Keys, rows: Sequence[Record]) -> None:
        self.connection, self.keys = connection, keys
        said = self._rows(_messages, (row.message for row in rows if row.message))
        self.messages = {row.seq: keys.message(row) for row in said}
        asked = self._rows(_tickets, (row.ticket for row in rows))
        self.descriptions = {row.seq: keys.ticket(row).description for row in asked}

    def decision(self, row: Record) -> Decision:
        bare = self.keys.decision(row)
        said = self.messages.get(row.message)
        if said and bare.case.trigger != COMPLETED:
            said = as_told(said)
        case = replace(bare.case, ticket=self._described(bare.case.ticket, row), message=said)
        return replace(bare, case=case, ticket=self._described(bare.ticket, row), hash=row.hash)

    def outgoing(self, row: Record) -> Outgoing:
        bare = self.keys.outgoing(row)
        match bare.content:
            case HandoverStep() as step:
                ticket = self._described(step.ticket, row)
                return replace(bare, content=replace(step, ticket=ticket, message=self.messages.get(row.message)))
            case _:
                return bare

    def _described(self, bare: Ticket, row: Record) -> Ticket:
        return replace(bare, description=self.descriptions[row.ticket])

    def _rows(self, statement: Any, seqs: Iterable[int]) -> list[Record]:
        rows = [row for these in chunks(seqs) for row in self.connection.execute(statement, {"these": these})]
        self.keys.fetch_of(self.connection, rows)
        return rows
