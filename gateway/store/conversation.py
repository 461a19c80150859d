"""A conversation as its customer may see it: what they said in it, what they were told, and how it stands.

Never seen: what colleagues say among themselves, what the same customer said elsewhere, and anything of anybody else,
though they be in the same ticket.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import orjson
from sqlalchemy import Connection, bindparam, func, select

from gateway.crypto import Vault
from gateway.store import damaged, feed
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import SENT, decisions, events, identities, messages, outgoing, threads, tickets
from gateway.store.words import Keys, decision_place
from normalizer.canon import Attachment, Choice, Identity, Message, Reply, digest

MOST = 200  # entries of each kind, the newest
MOST_TICKETS = 20
MOST_EVENTS = 20_000  # looked through for what changed; who was away for longer sees everything anew

T = TypeVar("T")

Entries = Literal["said", "answer", "notice", "status"]


@dataclass(frozen=True, slots=True)
class Talk:
    """Which conversation: whose, and by what name."""

    channel: str
    connector: str
    account: str
    thread: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class Entry:
    """`said` by the customer, an `answer` of a colleague, a `notice` of the gateway's, a new `status` of a ticket."""

    id: str
    at: datetime
    kind: Entries
    number: str  # of the ticket
    text: str = ""  # of a status its code
    client: str = ""  # what the customer's own side called it
    by: str = ""  # who answered: person:ID or key:ID
    choices: tuple[Choice, ...] = ()
    files: tuple[Attachment, ...] = ()
    envelope: str = ""  # that its files came in
    told_by: tuple[str, str] = ("", "")  # kind and thing of the event that told of it


@dataclass(frozen=True, slots=True)
class Conversation:
    """Its entries in order, and the event up to which that is all."""

    entries: tuple[Entry, ...] = ()
    cursor: int = 0
    numbers: frozenset[str] = frozenset()  # of its tickets


_contact = select(identities.c.contact).where(identities.c.digest == bindparam("digest"))
_spoken_in = (
    select(messages.c.ticket, func.max(messages.c.seq).label("last"))
    .where(messages.c.contact == bindparam("contact"), messages.c.direction == "in", messages.c.ticket.is_not(None))
    .group_by(messages.c.ticket)
    .order_by(func.max(messages.c.seq).desc())
    .limit(MOST_TICKETS)
)
_thread = select(threads.c.ticket).where(threads.c.digest == bindparam("digest"))
_tickets = select(tickets.c.seq, tickets.c.number, tickets.c.contact).where(one_of(tickets.c.seq))
_messages = select(messages).where(one_of(messages.c.ticket)).order_by(messages.c.seq.desc()).limit(2 * MOST)
_replies = (
    select(outgoing)
    .where(one_of(outgoing.c.ticket), outgoing.c.kind == "reply", outgoing.c.state == SENT)
    .order_by(outgoing.c.seq.desc())
    .limit(MOST)
)
_decisions = (
    select(decisions.c.hash, decisions.c.contact, decisions.c.ticket, decisions.c.at, decisions.c.sealed)
    .where(one_of(decisions.c.ticket))
    .order_by(decisions.c.seq)
)
_changes = select(events.c.kind, events.c.thing, events.c.number, events.c.version).where(
    events.c.seq > bindparam("after"), one_of(events.c.ticket)
)


def conversation(connection: Connection, vault: Vault, talk: Talk, after: int) -> Conversation:
    """All of it (the newest of it, if it is long), or what is new or different since the event `after`."""
    cursor = feed.bounds(connection)[1]
    known = _Reading(connection, vault, talk)
    found = sorted(known.entries(), key=lambda one: (one.at, one.id))
    numbers = frozenset(known.numbers.values())
    if 0 < after <= cursor and cursor - after <= MOST_EVENTS:
        news = _news(connection, known.numbers, after)
        found = [one for one in found if one.told_by in news]
    return Conversation(tuple(found), cursor, numbers)


def _news(connection: Connection, numbers: Mapping[int, str], after: int) -> set[tuple[str, str]]:
    rows = [row for these in chunks(numbers) for row in connection.execute(_changes, {"these": these, "after": after})]
    return {(row.kind, row.thing) if row.thing else _changed(row.number, row.version) for row in rows}


def _changed(number: str, version: int) -> tuple[str, str]:
    """How the event is called that told of a ticket's new version."""
    return feed.UPDATED, f"{number}:{version}"


class _Reading:
    """One conversation's tickets, and what of them is its customer's to see."""

    def __init__(self, connection: Connection, vault: Vault, talk: Talk) -> None:
        self.connection, self.vault, self.talk, self.keys = connection, vault, talk, Keys(vault)
        whose = vault.digest("identity", talk.identity.kind, talk.identity.value)
        self.contact = connection.scalar(_contact, {"digest": whose})
        said = self._said(self._tickets())
        self.numbers = {seq: number for seq, number in self.all_numbers.items() if any(self._own(m) for m in said[seq])}
        self.said = {seq: said[seq] for seq in self.numbers}

    def entries(self) -> Iterator[Entry]:
        for seq, spoken in self.said.items():
            yield from self._spoken(seq, spoken)
        yield from self._told()
        yield from self._statuses()

    def _tickets(self) -> Sequence[Record]:
        """Those its customer spoke in lately, and the one it goes on in."""
        found: list[int] = []
        if self.contact is not None:
            found = [row.ticket for row in self.connection.execute(_spoken_in, {"contact": self.contact})]
        talk = self.talk
        called = self.vault.digest("thread", talk.channel, talk.connector, talk.account, talk.thread)
        found += self.connection.scalars(_thread, {"digest": called})
        rows = self._all(_tickets, found)
        self.all_numbers: dict[int, str] = {row.seq: row.number for row in rows}
        self.owners: dict[int, int] = {row.seq: row.contact for row in rows}
        return rows

    def _said(self, of: Sequence[Record]) -> dict[int, list[Message]]:
        """What was said in each of these tickets, in order; without what cannot be opened."""
        said: dict[int, list[Message]] = {row.seq: [] for row in of}
        for row in reversed(self._all(_messages, said)):
            said[row.ticket] += self._opened(self.keys.message, row)
        return said

    def _own(self, message: Message) -> bool:
        return message.direction == "in" and self._named(message)

    def _named(self, one: Message | Reply) -> bool:
        """Of this very conversation."""
        talk = self.talk
        return (one.connector, one.account, one.thread_key) == (talk.connector, talk.account, talk.thread)

    def _spoken(self, seq: int, spoken: Sequence[Message]) -> Iterator[Entry]:
        for message in filter(self._own, spoken):
            yield Entry(
                message.id, message.received_at, "said", self.numbers[seq], message.text, message.external_id,
                files=message.attachments, envelope=message.envelope, told_by=(feed.ADDED, message.id),
            )  # fmt: skip

    def _told(self) -> Iterator[Entry]:
        """What was sent to this conversation, by the gateway itself or in the words of a colleague."""
        wrote = {
            digest("said", message.id): message.sender.address for spoken in self.said.values() for message in spoken
        }
        for row in self._all(_replies, self.numbers):
            for one in self._opened(self.keys.outgoing, row):
                reply = one.content
                if isinstance(reply, Reply) and self._named(reply):
                    yield Entry(
                        one.id, row.settled_at, "notice" if reply.automatic else "answer", reply.number,
                        reply.text.strip(),
                        by=wrote.get(one.id, ""), choices=reply.choices, told_by=(feed.SENT, one.id),
                    )  # fmt: skip

    def _statuses(self) -> Iterator[Entry]:
        """Each time the status of a ticket of theirs became another."""
        before: dict[int, str] = {}
        own = [seq for seq in self.numbers if self.owners[seq] == self.contact]
        for row in self._all(_decisions, own):
            for decided in self._opened(self._decided, row):
                status = decided["status"]["value"]
                if status != before.get(row.ticket):
                    number = self.numbers[row.ticket]
                    told_by = _changed(number, decided["version"] + 1)
                    yield Entry(row.hash[:32], row.at, "status", number, status, told_by=told_by)
                before[row.ticket] = status

    def _decided(self, row: Record) -> Any:
        """The ticket of a decision; all of a decision would take fifty times as long to read."""
        opened = self.keys.of(self.keys.id_of[row.contact]).open(row.sealed, decision_place(row.hash))
        return orjson.loads(opened)["ticket"]

    def _opened(self, open_one: Callable[[Record], T], row: Record) -> Sequence[T]:
        """Nothing of what is damaged or erased."""
        try:
            return [open_one(row)]
        except damaged.UNOPENED:
            return []

    def _all(self, statement: Any, these: Iterable[int]) -> list[Record]:
        rows = [row for some in chunks(these) for row in self.connection.execute(statement, {"these": some})]
        if "contact" in statement.selected_columns:
            self.keys.fetch_of(self.connection, rows)
        return rows


_by_number = (
    select(identities.c.digest, tickets.c.number)
    .join(tickets, tickets.c.contact == identities.c.contact)
    .where(one_of(tickets.c.number))
)
_by_message = (
    select(identities.c.digest)
    .join(messages, messages.c.contact == identities.c.contact)
    .where(one_of(messages.c.id))
)  # fmt: skip


def concerned(connection: Connection, numbers: Iterable[str], said: Iterable[str]) -> set[str]:
    """The digests of the identities of whose tickets these are, and who said these messages."""
    found = [row.digest for these in chunks(numbers) for row in connection.execute(_by_number, {"these": these})]
    found += [digest for these in chunks(said) for digest in connection.scalars(_by_message, {"these": these})]
    return set(found)
