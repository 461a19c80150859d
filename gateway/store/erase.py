"""A person is erased: the key of everything they said is destroyed, and so are those of the envelopes it came in.

Rows stay, for numbers, chains and figures to hold; what is left of them (redact.py) is sealed under a new key. Backups
made earlier still hold the old one: docs say how long to keep them.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, select, update

from gateway.crypto import Vault
from gateway.store import redact
from gateway.store.blobs import Blobs
from gateway.store.dialect import chunks, one_of
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
    quarantine,
    tickets,
    work,
)  # fmt: skip
from gateway.store.words import Keys, contact_place, decision_place, message_place, outgoing_place, ticket_place
from normalizer.canon import Envelope, HandoverStep, Outgoing


def erase(connection: Connection, vault: Vault, contact: str, now: datetime) -> list[str] | None:
    """The names of blob files that nobody speaks of any more; None if there is no such contact."""
    row = connection.execute(select(contacts).where(contacts.c.id == contact).with_for_update()).first()
    if row is None:
        return None
    erasing = _Erasing(connection, vault, contact, now)
    erasing.rewrite(row)
    connection.execute(delete(identities).where(identities.c.contact == contact))
    return erasing.destroy_envelopes()


class _Erasing:
    def __init__(self, connection: Connection, vault: Vault, contact: str, now: datetime) -> None:
        self.connection, self.contact, self.now = connection, contact, now
        self.old, self.new = Keys(vault).fetch(connection, [contact]), Keys(vault)
        self.new.make(contact)
        self.envelopes: set[str] = set()

    def rewrite(self, row: Any) -> None:
        left = redact.contact(self.old.contact(row))
        self.connection.execute(
            update(contacts).where(contacts.c.id == self.contact),
            {
                "changed_at": self.now,
                "wrapped_key": self.new.wrapped[self.contact],
                "sealed": self.new.seal(self.contact, left, contact_place(self.contact)),
            },
        )
        self._tickets()
        self._messages()
        self._decisions()
        self._outgoing()

    def _tickets(self) -> None:
        fresh = []
        for row in self._rows(tickets, tickets.c.contact == self.contact):
            left = redact.ticket(self.old.ticket(row))
            left = replace(left, version=left.version + 1)  # whoever works on the old one has lost
            fresh.append({"of": row.seq, "version": left.version, "changed_at": self.now,
                          "sealed": self.new.seal(self.contact, left, ticket_place(row.id))})  # fmt: skip
        self._update(tickets, fresh)

    def _messages(self) -> None:
        fresh = []
        for row in self._rows(messages, messages.c.contact == self.contact):
            left = redact.message(self.old.message(row))
            self.envelopes.add(row.envelope)
            fresh.append({"of": row.seq, "sealed": self.new.seal(self.contact, left, message_place(row.id))})
        self._update(messages, fresh)

    def _decisions(self) -> None:
        """Those sealed under its key, and those about its messages in other people's tickets."""
        fresh = []
        for row in self._rows(decisions, self._concerns(decisions)):
            whole = self._keys(row).decision(row)
            if row.contact == self.contact or whole.case.contact.id == self.contact:
                fresh.append(
                    {"of": row.seq, "sealed": self._seal(row, redact.decision(whole), decision_place(row.hash))}
                )
        self._update(decisions, fresh)

    def _outgoing(self) -> None:
        fresh = []
        for row in self._rows(outgoing, self._concerns(outgoing)):
            whole = self._keys(row).outgoing(row)
            if row.contact == self.contact or _about(whole, self.contact):
                state = DEAD if row.state in (WAITING, QUEUED, HELD) else row.state
                fresh.append({"of": row.seq, "state": state, "settlement": None,
                              "sealed": self._seal(row, redact.outgoing(whole), outgoing_place(row.id))})  # fmt: skip
                self.envelopes.update(_told_of(row))
        self._update(outgoing, fresh)

    def _concerns(self, table: Table) -> Any:
        others = select(participants.c.ticket).where(participants.c.contact == self.contact)
        own = select(tickets.c.id).where(tickets.c.contact == self.contact)
        return table.c.ticket.in_(others.union(own))

    def _keys(self, row: Any) -> Keys:
        return self.old.fetch(self.connection, [row.contact] if row.contact != self.contact else ())

    def _seal(self, row: Any, left: Any, place: str) -> bytes:
        keys = self.new if row.contact == self.contact else self.old
        return keys.seal(row.contact, left, place)

    def destroy_envelopes(self) -> list[str]:
        blobs = [blob for some in chunks(self.envelopes) for blob in self._destroy(some) if blob]
        return [blob for blob in dict.fromkeys(blobs) if not self._spoken_of(blob)]

    def _destroy(self, these: list[str]) -> list[str | None]:
        given = {"these": these}
        rows = self.connection.execute(
            select(envelopes.c.seq, envelopes.c.blob).where(one_of(envelopes.c.id)), given
        ).all()
        gone = update(envelopes).where(one_of(envelopes.c.id)).values(wrapped_key=None, sealed=None, blob=None)
        self.connection.execute(gone, given)
        seqs = {"these": [row.seq for row in rows]}
        self.connection.execute(update(work).where(one_of(work.c.seq)).values(trouble=None), seqs)
        self.connection.execute(delete(quarantine).where(one_of(quarantine.c.id)), given)
        return [row.blob for row in rows]

    def _spoken_of(self, blob: str) -> bool:
        return self.connection.scalar(select(envelopes.c.seq).where(envelopes.c.blob == blob).limit(1)) is not None

    def _rows(self, table: Table, which: Any) -> Sequence[Any]:
        return self.connection.execute(select(table).where(which)).all()

    def _update(self, table: Table, rows: list[dict[str, Any]]) -> None:
        if rows:
            self.connection.execute(update(table).where(table.c.seq == bindparam("of")), rows)


def _told_of(row: Any) -> Iterable[str]:
    """Ids of the envelopes that told what became of it: what the other side answered may quote an address."""
    for tries in range(1, row.tries + 1):
        for outcome in ("sent", "dead"):
            yield Envelope("outbox", row.kind, f"{row.id}:{outcome}:{tries}", "", row.due_at, b"").id


def scrub(bare: sqlite3.Connection, blobs: Blobs, names: Iterable[str]) -> None:
    """Nothing of what was overwritten stays in the write-ahead log, nor any file without a row."""
    for name in names:
        blobs.remove(name)
    bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _about(whole: Outgoing, contact: str) -> bool:
    step = whole.content
    return isinstance(step, HandoverStep) and step.contact is not None and step.contact.id == contact
