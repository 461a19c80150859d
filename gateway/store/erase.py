"""A person is erased: the key of everything they said is destroyed, and so are those of the envelopes it came in.

Rows stay, for numbers, chains and figures to hold; what is left of them (redact.py) is sealed under a new key. Backups
made earlier still hold the old one: docs say how long to keep them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, CompoundSelect, Connection, Table, bindparam, delete, select, update

from gateway.crypto import Vault
from gateway.files import envelope_of
from gateway.store import redact, search
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.prune import unspoken
from gateway.store.tables import (
    DEAD,
    HELD,
    QUEUED,
    WAITING,
    contacts,
    decisions,
    envelopes,
    identities,
    messages,
    outgoing,
    participants,
    parties,
    quarantine,
    tickets,
    work,
)  # fmt: skip
from gateway.store.words import Keys, contact_place, decision_place, message_place, outgoing_place, ticket_place
from normalizer.canon import Envelope, HandoverStep, Message, Outgoing


def erase(connection: Connection, vault: Vault, contact: str, now: datetime) -> list[str] | None:
    """The names of blob files that nobody speaks of any more; None if there is no such contact."""
    row = connection.execute(select(contacts).where(contacts.c.id == contact).with_for_update()).first()
    if row is None:
        return None
    erasing = _Erasing(connection, vault, row, now)
    concerned = erasing.tickets_concerned()
    search.forget(connection, vault, concerned)
    erasing.rewrite(row)
    search.remember(connection, vault, concerned)
    known = connection.scalars(select(identities.c.digest).where(identities.c.contact == row.seq)).all()
    for these in chunks(known):
        connection.execute(delete(parties).where(one_of(parties.c.digest)), {"these": these})
    connection.execute(delete(identities).where(identities.c.contact == row.seq))
    return erasing.destroy_envelopes()


class _Erasing:
    def __init__(self, connection: Connection, vault: Vault, row: Record, now: datetime) -> None:
        self.connection, self.contact, self.seq, self.now = connection, row.id, row.seq, now
        self.old, self.new = Keys(vault).fetch(connection, [row.id]), Keys(vault)
        self.wrapped = self.new.make(row.id)
        self.envelopes: set[int] = set()

    def tickets_concerned(self) -> list[int]:
        """Its own, and those of others in which it took part."""
        return list(self.connection.scalars(select(tickets.c.seq).where(tickets.c.seq.in_(self._in_tickets()))))

    def rewrite(self, row: Record) -> None:
        left = redact.contact(self.old.contact(row))
        sealed = self.new.seal(self.contact, left, contact_place(self.contact))
        fresh = {"changed_at": self.now, "digest": "", "wrapped_key": self.wrapped, "sealed": sealed}
        self._update(contacts, [{"of": row.seq, **fresh}])
        self._tickets()
        self._messages()
        self._decisions()
        self._outgoing()

    def _tickets(self) -> None:
        fresh = []
        for row in self._rows(tickets, tickets.c.contact == self.seq):
            left = redact.ticket(self.old.ticket(row))
            left = replace(left, version=left.version + 1)  # whoever works on the old one has lost
            sealed = self.new.seal(self.contact, left, ticket_place(row.id))
            fresh.append({"of": row.seq, "version": left.version, "changed_at": self.now, "sealed": sealed})
        self._update(tickets, fresh)

    def _messages(self) -> None:
        fresh = []
        for row in self._rows(messages, messages.c.contact == self.seq):
            left = redact.message(self.old.message(row))
            self.envelopes.add(row.envelope)
            self.envelopes.update(self._fetched(self.old.message(row)))
            fresh.append({"of": row.seq, "sealed": self.new.seal(self.contact, left, message_place(row.id))})
        self._update(messages, fresh)

    def _fetched(self, message: Message) -> Sequence[int]:
        """The envelopes that its files came in, and the further ones of an album."""
        ids = [envelope_of(message, index) for index, one in enumerate(message.attachments) if one.remote]
        ids += message.gathered
        return self.connection.scalars(_seqs, {"these": ids}).all() if ids else ()

    def _decisions(self) -> None:
        """Those sealed under its key, and those about its messages in other people's tickets."""
        fresh = []
        for row in self._rows(decisions, self._concerns(decisions)):
            whole = self.old.decision(row)
            if row.contact == self.seq or whole.case.contact.id == self.contact:
                left = redact.decision(whole)
                fresh.append({"of": row.seq, "sealed": self._seal(row, left, decision_place(row.hash))})
        self._update(decisions, fresh)

    def _outgoing(self) -> None:
        fresh = []
        for row in self._rows(outgoing, self._concerns(outgoing)):
            whole = self.old.outgoing(row)
            if row.contact == self.seq or _about(whole, self.contact):
                state = DEAD if row.state in (WAITING, QUEUED, HELD) else row.state
                sealed = self._seal(row, redact.outgoing(whole), outgoing_place(row.id))
                fresh.append({"of": row.seq, "state": state, "settlement": None, "sealed": sealed})
                self.envelopes.update(self._told_of(row))
        self._update(outgoing, fresh)

    def _told_of(self, row: Record) -> Sequence[int]:
        """The envelopes that told what became of it: what the other side answered may quote an address."""
        ids = {"these": list(_news_of(row))}
        return self.connection.scalars(_seqs, ids).all() if ids["these"] else ()

    def _concerns(self, table: Table) -> ColumnElement[bool]:
        return cast("ColumnElement[bool]", table.c.ticket.in_(self._in_tickets()))

    def _in_tickets(self) -> CompoundSelect[Any]:
        others = select(participants.c.ticket).where(participants.c.contact == self.seq)
        return others.union(select(tickets.c.seq).where(tickets.c.contact == self.seq))

    def _seal(self, row: Record, left: Any, place: str) -> bytes:
        keys, contact = (self.new, self.contact) if row.contact == self.seq else (self.old, self.old.id_of[row.contact])
        return keys.seal(contact, left, place)

    def destroy_envelopes(self) -> list[str]:
        blobs = [blob for some in chunks(self.envelopes) for blob in self._destroy(some) if blob]
        return unspoken(self.connection, blobs)

    def _destroy(self, these: list[int]) -> list[str | None]:
        given = {"these": these}
        rows = self.connection.execute(_blobs, given).all()
        self.connection.execute(_gone, given)
        self.connection.execute(update(work).where(one_of(work.c.seq)).values(trouble=None), given)
        self.connection.execute(delete(quarantine).where(one_of(quarantine.c.id)), {"these": [row.id for row in rows]})
        return [row.blob for row in rows]

    def _rows(self, table: Table, which: ColumnElement[bool]) -> Sequence[Record]:
        rows = self.connection.execute(select(table).where(which)).all()
        self.old.fetch_of(self.connection, rows)
        return rows

    def _update(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            self.connection.execute(update(table).where(table.c.seq == bindparam("of")), rows)


_seqs = select(envelopes.c.seq).where(one_of(envelopes.c.id))
_blobs = select(envelopes.c.id, envelopes.c.blob).where(one_of(envelopes.c.seq))
_gone = update(envelopes).where(one_of(envelopes.c.seq)).values(wrapped_key=None, sealed=None, blob=None)


def _news_of(row: Record) -> Iterable[str]:
    for tries in range(1, row.tries + 1):
        for outcome in ("sent", "dead"):
            yield Envelope("outbox", row.kind, f"{row.id}:{outcome}:{tries}", "", row.due_at, b"").id


def _about(whole: Outgoing, contact: str) -> bool:
    step = whole.content
    return isinstance(step, HandoverStep) and step.contact is not None and step.contact.id == contact
