"""Somebody takes their words back: the message, its files, and what quoted them say nothing any more.

The rows stay, as when a person is erased (erase.py), and so does the key of whoever said it. The envelopes it came in
are destroyed; a batch that held other messages too is destroyed with it, since those stand in rows of their own.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select, update

from engine.decision import Decision
from gateway.files import envelope_of
from gateway.store import outbox, redact, search
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.enclosed import ERASED
from gateway.store.tables import DROPPED, HELD, QUEUED, WAITING, decisions, envelopes, messages, outgoing
from gateway.store.words import Keys, decision_place, kept, message_place, outgoing_place
from normalizer.canon import Fetch, HandoverStep, Message, Outgoing, Reply, Ticket

QUOTED = 8  # characters

_said = select(messages).where(messages.c.external == bindparam("external"), messages.c.ticket == bindparam("of"))
_decided = select(decisions).where(decisions.c.ticket == bindparam("of"))
_owed = select(outgoing).where(outgoing.c.ticket == bindparam("of"))
_seqs = select(envelopes.c.seq).where(one_of(envelopes.c.id))
_gone = update(envelopes).where(one_of(envelopes.c.seq)).values(wrapped_key=None, sealed=None, blob=None)


def retract(connection: Connection, keys: Keys, ticket: int, external: str, under_way: int, now: datetime) -> None:
    """Forget what the messages of this ticket said that the channel calls so. `under_way`: the envelope being read.

    Files of theirs that are still to be fetched are not any more, and what waited for them goes on.
    """
    rows = _rows(connection, keys, _said, {"of": ticket, "external": external})
    said = [(row, keys.message(row)) for row in rows]
    said = [(row, one) for row, one in said if one.kind != "delete" and redact.TAKEN_BACK not in one.defects]
    if not said:
        return
    search.forget(connection, keys.vault, [ticket])
    _write(connection, messages, (
        {"of": row.seq, "sealed": keys.of_message(row).seal(kept(redact.taken_back(one)), message_place(row.id))}
        for row, one in said
    ))  # fmt: skip
    words = [one.text for _, one in said if one.text]
    taken = {row.seq for row, _ in said}
    identities = {one.id for _, one in said}
    _decisions(connection, keys, ticket, taken, words)
    _outgoing(connection, keys, ticket, words, identities)
    outbox.hasten(connection, [{"about": ticket, "said": seq} for seq in taken], now)
    search.remember(connection, keys.vault, [ticket])
    _destroy(connection, said, under_way)


def _decisions(connection: Connection, keys: Keys, ticket: int, taken: set[int], words: Sequence[str]) -> None:
    fresh = []
    for row in _rows(connection, keys, _decided, {"of": ticket}):
        whole = keys.decision(row)
        left = redact.decision(whole) if row.message in taken else _unquoted(whole, words)
        if left is not whole:
            sealed = keys.seal(keys.id_of[row.contact], left, decision_place(row.hash))
            fresh.append({"of": row.seq, "sealed": sealed})
    _write(connection, decisions, fresh)


def _unquoted(whole: Decision, words: Sequence[str]) -> Decision:
    before, after = _named(whole.case.ticket, words), _named(whole.ticket, words)
    if (before, after) == (whole.case.ticket, whole.ticket):
        return whole
    return replace(whole, case=replace(whole.case, ticket=before), ticket=after, raw=b"")


def _named(ticket: Ticket, words: Sequence[str]) -> Ticket:
    """The ticket without a subject that was made of these words."""
    quoted = bool(ticket.subject) and any(said.lstrip().startswith(ticket.subject.rstrip("…")) for said in words)
    return replace(ticket, subject=ERASED, extracted={}) if quoted else ticket


def _outgoing(connection: Connection, keys: Keys, ticket: int, words: Sequence[str], messages: Collection[str]) -> None:
    fresh, given_up = [], []
    for row in _rows(connection, keys, _owed, {"of": ticket}):
        whole = keys.outgoing(row)
        if isinstance(whole.content, Fetch) and whole.content.message in messages:
            given_up.append(row)
        if (left := _told(whole, words, messages)) is not whole:
            sealed = keys.seal(keys.id_of[row.contact], left, outgoing_place(row.id))
            fresh.append({"of": row.seq, "sealed": sealed})
    _write(connection, outgoing, fresh)
    pending = [row for row in given_up if row.state in (QUEUED, WAITING, HELD)]
    _write(connection, outgoing, ({"of": row.seq, "state": DROPPED, "fence": 0} for row in pending))
    outbox.go_on(connection, [row.ticket for row in pending])


def _told(whole: Outgoing, words: Sequence[str], messages: Collection[str]) -> Outgoing:
    match whole.content:
        case HandoverStep() as step:
            ticket = _named(step.ticket, words)
            return whole if ticket == step.ticket else replace(whole, content=replace(step, ticket=ticket))
        case Reply() as reply if (text := _unsaid(reply.text, words)) != reply.text:
            return replace(whole, content=replace(reply, text=text))
        case Fetch() as fetch if fetch.message in messages:
            return redact.outgoing(whole)
        case _:
            return whole


def _unsaid(text: str, words: Sequence[str]) -> str:
    """Our words without what they quote of theirs: a line of it, or so much that it is no chance."""
    for said in (flat for one in words if (flat := " ".join(one.split()))):
        text = "\n".join("…" if line.strip() == said else line for line in text.split("\n"))
        text = text.replace(said, "…") if len(said) >= QUOTED else text
    return text


def _destroy(connection: Connection, said: Sequence[tuple[Record, Message]], under_way: int) -> None:
    ids = [envelope_of(one, i) for _, one in said for i, file in enumerate(one.attachments) if file.remote]
    ids += [further for _, one in said for further in one.gathered]
    files = connection.scalars(_seqs, {"these": ids}).all() if ids else ()
    destroy(connection, {*(row.envelope for row, _ in said), *files} - {under_way})


def destroy(connection: Connection, envelopes: Iterable[int]) -> None:
    """The bytes of these, by their seq, can be opened by nobody any more."""
    for these in chunks(envelopes):
        connection.execute(_gone, {"these": these})


def _rows(connection: Connection, keys: Keys, statement: Any, given: dict[str, Any]) -> Sequence[Record]:
    rows = connection.execute(statement, given).all()
    keys.fetch_of(connection, rows)
    return rows


def _write(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    if made := list(rows):
        connection.execute(update(table).where(table.c.seq == bindparam("of")), made)
