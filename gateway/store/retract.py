"""Somebody takes their words back: the message, its files, and what quoted them say nothing any more.

The rows stay, as when a person is erased (erase.py), and so does the key of whoever said it. The envelopes it came in
are destroyed, once all that they held stands in rows of their own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, select, update

from engine.thread import subject_of, ticket_of
from gateway.files import envelope_of
from gateway.store import outbox, redact, search
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import (
    DROPPED,
    HELD,
    QUEUED,
    WAITING,
    decisions,
    envelopes,
    messages,
    outgoing,
    tickets,
    work,
)  # fmt: skip
from gateway.store.words import Keys, decision_place, kept, message_place, outgoing_place, ticket_place
from normalizer.canon import Call, Fetch, HandoverStep, Message, Outgoing, Reply, Ticket

QUOTED = 8  # characters
SHORTENED = "…"

_said = select(messages).where(messages.c.external == bindparam("external"))
_tickets = select(tickets).where(one_of(tickets.c.seq))
_decided = select(decisions).where(decisions.c.ticket == bindparam("of"))
_owed = select(outgoing).where(outgoing.c.ticket == bindparam("of"))
_seqs = select(envelopes.c.seq).where(one_of(envelopes.c.id))
_under_way = select(work.c.seq).where(one_of(work.c.seq), work.c.state == WAITING)
_gone = update(envelopes).where(one_of(envelopes.c.seq)).values(wrapped_key=None, sealed=None, blob=None)
_trouble = update(work).where(one_of(work.c.seq)).values(trouble=None)
_several = (
    select(messages.c.envelope)
    .where(one_of(messages.c.envelope))
    .group_by(messages.c.envelope)
    .having(func.count() > 1)
)
_in_tickets = select(messages).where(one_of(messages.c.ticket))
_in_them = select(messages).where(one_of(messages.c.envelope))


@dataclass(frozen=True, slots=True)
class _Words:
    """What was taken back, as others may quote it."""

    texts: tuple[str, ...]
    found: frozenset[str]  # numbers and names that were found in it or filled in with it, and in nothing that is left
    messages: frozenset[str]  # ids
    opened: frozenset[str]  # ids of the tickets that it opened

    def quoted(self, ticket: Ticket) -> bool:
        """Whether a ticket, as it once was, may say any of it."""
        held = {*(one.value for one in ticket.extracted.values()), *ticket.custom.values()}
        return ticket.id in self.opened or not held.isdisjoint(self.found)

    def without(self, ticket: Ticket) -> Ticket:
        """The ticket, which goes on, without them."""
        opened = ticket.id in self.opened
        return replace(
            ticket,
            subject="" if opened and ticket.subject in map(subject_of, self.texts) else ticket.subject,
            description="" if opened else ticket.description,
            extracted={name: one for name, one in ticket.extracted.items() if one.value not in self.found},
            custom={name: value for name, value in ticket.custom.items() if value not in self.found},
        )

    def cited(self, quoted: str) -> bool:
        """Whether what a message answers, as its channel quotes it, is of these words."""
        flat = " ".join(quoted.split())
        return bool(flat) and any(flat in " ".join(text.split()) for text in self.texts)

    def unsaid(self, ours: str) -> str:
        """Our words without what they quote of theirs: a line of it, or so much that it is no chance."""
        for said in (flat for one in self.texts if (flat := " ".join(one.split()))):
            ours = "\n".join(SHORTENED if line.strip() == said else line for line in ours.split("\n"))
            ours = ours.replace(said, SHORTENED) if len(said) >= QUOTED else ours
            ours = _uncut(ours, said)
        for one in (*map(subject_of, self.texts), *self.found):
            ours = ours.replace(one, SHORTENED) if len(one) >= QUOTED else ours
        return ours


def _uncut(ours: str, said: str) -> str:
    """Without the beginning of what they said before `…`, where it was too long to be quoted whole."""
    parts = ours.split(SHORTENED)
    for n, part in enumerate(parts[:-1]):
        start = part.rfind(said[:QUOTED])
        if len(said) > QUOTED and start >= 0 and said.startswith(" ".join(part[start:].split())):
            parts[n] = part[:start]
    return SHORTENED.join(parts)


def retract(connection: Connection, keys: Keys, external: str, now: datetime) -> None:
    """Forget what the messages said that the channel calls so, in whatever tickets they stand.

    Files of theirs that are still to be fetched are not any more, and what waited for them goes on.
    """
    rows = _rows(connection, keys, _said, {"external": external})
    said = [
        (row, one)
        for row, one in search.opened(keys.message, rows)
        if one.kind != "delete" and redact.TAKEN_BACK not in one.defects
    ]
    if not said:
        return
    search.overwriting(connection)  # the key of what stood there is not destroyed
    concerned = sorted({row.ticket for row, _ in said if row.ticket})
    search.forget(connection, keys.vault, concerned)
    _write(connection, messages, (
        {"of": row.seq, "sealed": keys.of_message(row).seal(kept(redact.taken_back(one)), message_place(row.id))}
        for row, one in said
    ))  # fmt: skip
    taken = {row.seq for row, _ in said}
    left = _left(connection, keys, concerned)
    words = _words([one for _, one in said], [one for _, one in left])
    _write(connection, messages, (
        {"of": row.seq, "sealed": keys.of_message(row).seal(kept(replace(one, quoted="")), message_place(row.id))}
        for row, one in left if words.cited(one.quoted)
    ))  # fmt: skip
    _ended(connection, keys, concerned, words)
    for ticket in concerned:
        _decisions(connection, keys, ticket, taken, words)
        _outgoing(connection, keys, ticket, words)
    outbox.hasten(connection, [{"about": row.ticket, "said": row.seq} for row, _ in said if row.ticket], now)
    search.remember(connection, keys.vault, concerned)
    _destroy(connection, said)


def _words(said: Sequence[Message], left: Iterable[Message]) -> _Words:
    texts = dict.fromkeys(text for one in said for text in (one.text, one.full_text, one.subject) if text)
    found = {value for one in said for value in _found(one)} - {value for one in left for value in _found(one)}
    opened = {ticket_of(one) for one in said}
    return _Words(tuple(texts), frozenset(found), frozenset(one.id for one in said), frozenset(opened))


def _found(one: Message) -> Iterator[str]:
    yield from (each.value for each in one.understanding.extracted.values() if each.value)
    yield from (value for value in one.claims.values() if value)


def _left(connection: Connection, keys: Keys, concerned: Sequence[int]) -> list[tuple[Record, Message]]:
    """What these tickets still hold."""
    rows = [row for these in chunks(concerned) for row in _rows(connection, keys, _in_tickets, {"these": these})]
    return list(search.opened(keys.message, rows))


def _ended(connection: Connection, keys: Keys, concerned: Sequence[int], words: _Words) -> None:
    """The tickets themselves. Whoever works on one as it was has lost."""
    fresh = []
    for these in chunks(concerned):
        for row, ticket in search.opened(keys.ticket, _rows(connection, keys, _tickets, {"these": these})):
            if (left := words.without(ticket)) != ticket:
                left = replace(left, version=ticket.version + 1)
                sealed = keys.seal(left.contact, left, ticket_place(row.id))
                fresh.append({"of": row.seq, "version": left.version, "sealed": sealed})
    _write(connection, tickets, fresh)


def _decisions(connection: Connection, keys: Keys, ticket: int, taken: set[int], words: _Words) -> None:
    """Those about it, and those that were made on a ticket which said it, as if the person were erased."""
    fresh = []
    for row, whole in search.opened(keys.decision, _rows(connection, keys, _decided, {"of": ticket})):
        if row.message in taken or words.quoted(whole.case.ticket) or words.quoted(whole.ticket):
            sealed = keys.seal(keys.id_of[row.contact], redact.decision(whole), decision_place(row.hash))
            fresh.append({"of": row.seq, "sealed": sealed})
    _write(connection, decisions, fresh)


def _outgoing(connection: Connection, keys: Keys, ticket: int, words: _Words) -> None:
    fresh, given_up = [], []
    for row, whole in search.opened(keys.outgoing, _rows(connection, keys, _owed, {"of": ticket})):
        if isinstance(whole.content, Fetch) and whole.content.message in words.messages:
            given_up.append(row)
        if (left := _told(whole, words)) is not whole:
            sealed = keys.seal(keys.id_of[row.contact], left, outgoing_place(row.id))
            fresh.append({"of": row.seq, "sealed": sealed})
    _write(connection, outgoing, fresh)
    pending = [row for row in given_up if row.state in (QUEUED, WAITING, HELD)]
    _write(connection, outgoing, ({"of": row.seq, "state": DROPPED, "fence": 0} for row in pending))
    outbox.go_on(connection, [row.ticket for row in pending])


def _told(whole: Outgoing, words: _Words) -> Outgoing:
    match whole.content:
        case HandoverStep() as step if words.quoted(step.ticket):
            return replace(whole, content=replace(step, ticket=words.without(step.ticket)))
        case Call() as call if words.quoted(call.ticket):
            return replace(whole, content=replace(call, ticket=words.without(call.ticket)))
        case Reply() as reply:
            left = replace(reply, subject=words.unsaid(reply.subject), text=words.unsaid(reply.text))
            return whole if left == reply else replace(whole, content=left)
        case Fetch() as fetch if fetch.message in words.messages:
            return redact.outgoing(whole)
        case _:
            return whole


def _destroy(connection: Connection, said: Sequence[tuple[Record, Message]]) -> None:
    """What is still being worked on may hold what stands nowhere else: `emptied` has it at its end."""
    ids = [envelope_of(one, i) for _, one in said for i, file in enumerate(one.attachments) if file.remote]
    ids += [further for _, one in said for further in one.gathered]
    files = connection.scalars(_seqs, {"these": ids}).all() if ids else ()
    came = {*(row.envelope for row, _ in said), *files}
    waiting = {seq for these in chunks(came) for seq in connection.scalars(_under_way, {"these": these})}
    destroy(connection, came - waiting)


def emptied(connection: Connection, keys: Keys, done: Iterable[int]) -> list[int]:
    """Of these envelopes, which are done, those of which something was taken back before they were."""
    several = [seq for these in chunks(done) for seq in connection.scalars(_several, {"these": these})]
    rows = [row for these in chunks(several) for row in _rows(connection, keys, _in_them, {"these": these})]
    said = search.opened(keys.message, rows)
    return sorted({row.envelope for row, one in said if redact.TAKEN_BACK in one.defects})


def destroy(connection: Connection, these: Iterable[int]) -> None:
    """The bytes of these envelopes, by their seq, can be opened by nobody any more."""
    for some in chunks(these):
        connection.execute(_gone, {"these": some})
        connection.execute(_trouble, {"these": some})


def _rows(connection: Connection, keys: Keys, statement: Any, given: dict[str, Any]) -> Sequence[Record]:
    rows = connection.execute(statement, given).all()
    keys.fetch_of(connection, rows)
    return rows


def _write(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    if made := list(rows):
        connection.execute(update(table).where(table.c.seq == bindparam("of")), made)
