"""Nouns to sealed words and back, each under its contact's key.

`Keys` holds the data keys one transaction needs, and nothing longer: a key that was destroyed is not remembered here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from engine.decision import Decision, record
from gateway.crypto import DataKey, SealedError, Squeezed, Vault
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import contacts
from gateway.store.work import Outcome
from normalizer.canon import Contact, HandoverStep, Message, Outgoing, Ticket, load, shape

T = TypeVar("T")

_by_id = select(contacts.c.seq, contacts.c.id, contacts.c.wrapped_key).where(one_of(contacts.c.id))
_by_seq = select(contacts.c.seq, contacts.c.id, contacts.c.wrapped_key).where(one_of(contacts.c.seq))


Words = Mapping[int, Squeezed]  # by the id() of what they are of, while that is held


def in_words(outcomes: Sequence[Outcome]) -> Words:
    """All that is to be sealed of these outcomes."""
    nouns = (
        noun
        for one in outcomes
        for noun in (
            *one.contacts, *one.tickets, *one.decisions, *one.outgoing, *one.amended,
            *(message for message, _ in one.messages),
        )
    )  # fmt: skip
    return {id(noun): Squeezed.of(kept(noun)) for noun in nouns}


class Keys:
    """Data keys by contact's id. Rows name their contact by seq; `id_of` and `seq_of` tell the one from the other."""

    def __init__(self, vault: Vault, words: Words | None = None) -> None:
        self.vault = vault
        self._words = words or {}
        self.id_of: dict[int, str] = {}
        self.seq_of: dict[str, int] = {}
        self._wrapped: dict[str, bytes] = {}
        self._keys: dict[str, DataKey] = {}

    def fetch(self, connection: Connection, ids: Iterable[str]) -> "Keys":
        """Learn the keys of these contacts, as far as they exist."""
        for these in chunks(identity for identity in ids if identity not in self._wrapped):
            self.learn(connection.execute(_by_id, {"these": these}))
        return self

    def fetch_of(self, connection: Connection, rows: Iterable[Record]) -> "Keys":
        """Learn those of the contacts these rows belong to."""
        for these in chunks(row.contact for row in rows if row.contact and row.contact not in self.id_of):
            self.learn(connection.execute(_by_seq, {"these": these}))
        return self

    def learn(self, rows: Iterable[Record]) -> None:
        for row in rows:
            self.place(row.id, row.seq)
            self._wrapped[row.id] = row.wrapped_key

    def place(self, identity: str, seq: int) -> None:
        self.id_of[seq], self.seq_of[identity] = identity, seq

    def make(self, contact: str) -> bytes:
        """A new key, wrapped for its row; any older one of this contact is forgotten."""
        self._keys[contact], self._wrapped[contact] = self.vault.ring.new_data_key(contact_key_place(contact))
        return self._wrapped[contact]

    def of(self, contact: str) -> DataKey:
        """Raises SealedError if there is none."""
        if contact not in self._keys:
            if contact not in self._wrapped:
                raise SealedError(contact_key_place(contact))
            self._keys[contact] = self.vault.ring.data_key(self._wrapped[contact], contact_key_place(contact))
        return self._keys[contact]

    def seal(self, contact: str, value: Any, place: str) -> bytes:
        return self.of(contact).seal(self.kept(value), place)

    def kept(self, value: Any) -> Squeezed:
        """What is sealed of a noun, made before or now."""
        return self._words.get(id(value)) or Squeezed.of(kept(value))

    def open(self, contact: int, kind: type[T], sealed: bytes, place: str) -> T:
        return load(kind, self.of(self.id_of[contact]).open(sealed, place))

    def contact(self, row: Record) -> Contact:
        return load(Contact, self.of(row.id).open(row.sealed, contact_place(row.id)))

    def ticket(self, row: Record) -> Ticket:
        return self.open(row.contact, Ticket, row.sealed, ticket_place(row.id))

    def message(self, row: Record) -> Message:
        return load(Message, self.of_message(row).open(row.sealed, message_place(row.id)))

    def of_message(self, row: Record) -> DataKey:
        return self.of(self.id_of[row.contact]) if row.contact else self.own(row)

    def own(self, row: Record) -> DataKey:
        return self.vault.ring.data_key(row.wrapped_key, message_key_place(row.id))

    def decision(self, row: Record) -> Decision:
        """Without the words, as `outgoing` is: whole.py fills them in."""
        return self.open(row.contact, Decision, row.sealed, decision_place(row.hash))

    def outgoing(self, row: Record) -> Outgoing:
        return self.open(row.contact, Outgoing, row.sealed, outgoing_place(row.id))


# The words stand with the message and the ticket.
_STEP: Mapping[str, Any] = {"content": {"message": True, "ticket": {"description"}}}


def kept(value: Any) -> bytes:
    """What is sealed of a noun: what cannot be told from the rest of it, or from another."""
    match value:
        case Decision():
            return value.raw or record(replace(value, hash=""))
        case Outgoing(content=HandoverStep()):
            return shape(Outgoing).dump_json(value, by_alias=True, exclude=_STEP)
        case _:
            return shape(type(value)).dump_json(value, by_alias=True, round_trip=True)


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
