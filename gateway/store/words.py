"""Nouns to sealed words and back, each under its contact's key.

`Keys` holds the data keys one transaction needs, and nothing longer: a key that was destroyed is not remembered here.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from engine.decision import Decision
from gateway.crypto import DataKey, SealedError, Vault
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import contacts
from normalizer.canon import Contact, Message, Outgoing, Ticket, dump, load

T = TypeVar("T")

_keys = select(contacts.c.id, contacts.c.wrapped_key).where(one_of(contacts.c.id))


class Keys:
    """Data keys by contact."""

    def __init__(self, vault: Vault) -> None:
        self.vault = vault
        self.wrapped: dict[str, bytes] = {}
        self._keys: dict[str, DataKey] = {}

    def fetch(self, connection: Connection, ids: Iterable[str | None]) -> "Keys":
        """Learn the keys of these contacts, as far as they exist."""
        for these in chunks(identity for identity in ids if identity and identity not in self.wrapped):
            self.wrapped.update(connection.execute(_keys, {"these": these}).tuples().all())
        return self

    def make(self, contact: str) -> DataKey:
        """A new contact's key; any older one is forgotten."""
        self._keys[contact], self.wrapped[contact] = self.vault.ring.new_data_key(contact_key_place(contact))
        return self._keys[contact]

    def of(self, contact: str) -> DataKey:
        """Raises SealedError if there is none."""
        if contact not in self._keys:
            if contact not in self.wrapped:
                raise SealedError(contact_key_place(contact))
            self._keys[contact] = self.vault.ring.data_key(self.wrapped[contact], contact_key_place(contact))
        return self._keys[contact]

    def seal(self, contact: str, value: Any, place: str) -> bytes:
        return self.of(contact).seal(dump(value), place)

    def open(self, contact: str, kind: type[T], sealed: bytes, place: str) -> T:
        return load(kind, self.of(contact).open(sealed, place))

    def contact(self, row: Record) -> Contact:
        return self.open(row.id, Contact, row.sealed, contact_place(row.id))

    def ticket(self, row: Record) -> Ticket:
        return self.open(row.contact, Ticket, row.sealed, ticket_place(row.id))

    def message(self, row: Record) -> Message:
        key = self.of(row.contact) if row.contact else self.own(row)
        return load(Message, key.open(row.sealed, message_place(row.id)))

    def own(self, row: Record) -> DataKey:
        return self.vault.ring.data_key(row.wrapped_key, message_key_place(row.id))

    def decision(self, row: Record) -> Decision:
        return self.open(row.contact, Decision, row.sealed, decision_place(row.hash))

    def outgoing(self, row: Record) -> Outgoing:
        return self.open(row.contact, Outgoing, row.sealed, outgoing_place(row.id))


def contact_key_place(identity: str) -> str:
    return f"contacts.wrapped_key:{identity}"


def contact_place(identity: str) -> str:
    return f"contacts.sealed:{identity}"


def ticket_place(identity: str) -> str:
    return f"tickets.sealed:{identity}"


def message_key_place(identity: str) -> str:
    return f"messages.wrapped_key:{identity}"


def message_place(identity: str) -> str:
    return f"messages.sealed:{identity}"


def decision_place(hash_: str) -> str:
    return f"decisions.sealed:{hash_}"


def outgoing_place(identity: str) -> str:
    return f"outgoing.sealed:{identity}"


def settlement_place(identity: str) -> str:
    return f"outgoing.settlement:{identity}"
