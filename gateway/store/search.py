"""The search over sealed words: an index of keyed digests, and how it keeps up with what is committed.

A commit only tells what happened (feed.py). The index follows that feed a little later, a batch at a time: words are
read and taken apart in a reading thread, and written in one short transaction together with how far it came. So a mail
costs nothing more on its way, and a search first catches up with the latest. Tickets that were there before there was
an index are worked off backwards, newest first, in the same small steps.

SQLite keeps it as FTS5, of which only the index is made: `rowid` is the ticket's seq, and more words of a ticket are
added under the same rowid. PostgreSQL keeps an array of the same digests for each ticket, under a GIN index.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Text,
    bindparam,
    column,
    delete,
    or_,
    select,
    table,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from engine.facts import next_due
from gateway.crypto import Vault
from gateway.store import feed, terms
from gateway.store.damaged import UNOPENED
from gateway.store.dialect import Record, chunks, insert, one_of
from gateway.store.standing import codes
from gateway.store.tables import CODES, contacts, counters, decisions, events, messages, tickets
from gateway.store.tallies import shift_tallies
from gateway.store.words import Keys
from normalizer.canon import Ticket

T = TypeVar("T")

FOLLOWED = "indexed up to"  # seq of the last event whose words are in the index
BACKWARDS = "not indexed up to"  # seq of the newest of the tickets that came before the index; 0: none is left
ERASURES = "erasures"  # grows with each: what was read before one may not be written after it
AT_ONCE = 64
EXACT = 200  # tickets found by their very number or id; more are found by their words

spoken = table("spoken", column("rowid", BigInteger), column("spoken"), column("digests", ARRAY(Text)))

_marks = select(counters.c.name, counters.c.value).where(counters.c.name.in_((FOLLOWED, BACKWARDS, ERASURES)))
_happened = (
    select(events.c.seq, events.c.kind, events.c.ticket, events.c.thing)
    .where(events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)
_earlier = (
    select(tickets).where(tickets.c.seq <= bindparam("up_to")).order_by(tickets.c.seq.desc()).limit(bindparam("most"))
)
_tickets = select(tickets).where(one_of(tickets.c.seq))
_contacts = select(contacts).where(one_of(contacts.c.seq))
_messages = select(messages).where(one_of(messages.c.id))
_said = select(messages).where(one_of(messages.c.ticket))
_decided = select(decisions).where(one_of(decisions.c.ticket))
_add = "INSERT INTO spoken (rowid, digests) VALUES (?, ?)"
_merge = "INSERT INTO spoken (spoken, rank) VALUES ('merge', ?)"
_remove = "INSERT INTO spoken (spoken, rowid, digests) VALUES ('delete', ?, ?)"
_add_arrays = """
INSERT INTO spoken (rowid, digests) VALUES (%s, string_to_array(%s, ' ')) ON CONFLICT (rowid) DO UPDATE
   SET digests = ARRAY(SELECT unnest(spoken.digests) UNION SELECT unnest(excluded.digests))
 WHERE NOT spoken.digests @> excluded.digests
"""
_remove_arrays = delete(spoken).where(one_of(spoken.c.rowid))


@dataclass(frozen=True, slots=True)
class Batch:
    """Words read and taken apart, to be written if nobody else has come as far meanwhile."""

    marks: dict[str, int]
    many: int
    moved: tuple[str, int]  # the mark that moves, and to where
    digests: list[tuple[int, str]]  # by the ticket's seq
    found: tuple[Ticket, ...] = ()  # of earlier ones: their columns are made too
    seqs: tuple[int, ...] = ()


def following(connection: Connection, vault: Vault) -> Batch | None:
    """The words of what happened since the index last looked; None if nothing did."""
    marks = _read(connection)
    rows = connection.execute(_happened, {"after": marks[FOLLOWED], "most": AT_ONCE}).all()
    if not rows:
        return None
    reading = _Words(connection, vault)
    reading.tickets({row.ticket for row in rows if row.kind in (feed.CREATED, feed.UPDATED)})
    reading.messages(_messages, {row.thing for row in rows if row.kind == feed.ADDED})
    return Batch(marks, len(rows), (FOLLOWED, rows[-1].seq), reading.digests())


def earlier(connection: Connection, vault: Vault) -> Batch | None:
    """The words of some of the tickets that came before the index; None if none is left."""
    marks = _read(connection)
    if not marks[BACKWARDS]:
        return None
    rows = connection.execute(_earlier, {"up_to": marks[BACKWARDS], "most": AT_ONCE}).all()
    reading = _Words(connection, vault)
    found = reading.tickets({row.seq for row in rows})
    reading.messages(_said, found)
    moved = BACKWARDS, rows[-1].seq - 1 if len(rows) == AT_ONCE else 0
    return Batch(marks, len(rows), moved, reading.digests(), tuple(found.values()), tuple(found))


def write(connection: Connection, batch: Batch) -> bool:
    """False if it was not needed any more: somebody else came as far, or a person was erased meanwhile."""
    moved, value = batch.moved
    marks = _read(connection)
    if (marks[moved], marks[ERASURES]) != (batch.marks[moved], batch.marks[ERASURES]):
        return False
    _insert(connection, batch.digests)
    for seq, ticket in zip(batch.seqs, batch.found, strict=True):
        _complete(connection, seq, ticket)
    mark(connection, moved, value)
    return True


def _complete(connection: Connection, seq: int, ticket: Ticket) -> None:
    """The columns of a ticket that an older version wrote; whoever wrote it since has made them already."""
    before = connection.execute(select(tickets).where(tickets.c.seq == seq)).one()
    if before.version != ticket.version:
        return
    now = codes(ticket)
    connection.execute(update(tickets).where(tickets.c.seq == seq), {**now, "due_at": next_due(ticket)})
    old, new = tuple(before._mapping[name] for name in CODES), tuple(now.values())
    if old != new:
        shift_tallies(connection, {old: -1, new: 1})


def forget(connection: Connection, vault: Vault, seqs: Iterable[int]) -> None:
    """Take all words of these tickets out, those of earlier versions too; `remember` what is left afterwards."""
    mark(connection, ERASURES, _read(connection)[ERASURES] + 1)
    if in_arrays(connection):
        for these in chunks(seqs):
            connection.execute(_remove_arrays, {"these": these})
        return
    reading = _Words(connection, vault)
    found = reading.tickets(seqs)
    reading.messages(_said, found)
    reading.decisions(found)
    gone = reading.digests()
    _insert(connection, gone)  # FTS5 counts: no more may be taken out than was put in, and some may not be in yet
    _run(connection, _remove, gone)


def remember(connection: Connection, vault: Vault, seqs: Iterable[int]) -> None:
    """Put in what these tickets hold now."""
    reading = _Words(connection, vault)
    reading.messages(_said, reading.tickets(seqs))
    _insert(connection, reading.digests())


def in_arrays(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def overwriting(connection: Connection) -> None:
    """What is taken out on this connection is overwritten from now on, where that can be asked for."""
    if not in_arrays(connection):
        connection.exec_driver_sql("PRAGMA secure_delete = ON")


def tidy(connection: Connection, first: bool) -> bool:
    """One step of rewriting the index without what was taken out; False when nothing is left to do."""
    if in_arrays(connection):
        return False
    overwriting(connection)
    bare: Any = connection.connection.dbapi_connection
    before = bare.total_changes
    connection.exec_driver_sql(_merge, (-_PAGES if first else _PAGES,))
    return bool(bare.total_changes - before >= 2)  # as the documentation of FTS5 tells it


_PAGES = 500


def prune_events(connection: Connection, before: datetime) -> int:
    """Forget what was told before then, as far as its words are in the index."""
    return feed.prune(connection, before, _read(connection)[FOLLOWED])


def exact(connection: Connection, vault: Vault, text: str) -> list[int]:
    """The seqs of tickets with this very number, id or address, newest first."""
    meant = [[term] for term in vault.terms(terms.exactly(text))]
    statement = select(spoken.c.rowid).order_by(spoken.c.rowid.desc()).limit(EXACT)
    return list(connection.scalars(statement.where(_holds(connection, meant)))) if meant else []


def having_all(connection: Connection, vault: Vault, text: str) -> Select[Any] | None:
    """The seqs of tickets that hold all words of the text; None if there is no word in it."""
    asked = [vault.terms(all_of) for all_of in terms.asked(text)]
    return select(spoken.c.rowid).where(_holds(connection, asked)) if asked else None


def by_age() -> Any:
    """The seq in a statement of `having_all`, to order by and to compare with a ticket's."""
    return spoken.c.rowid


def _holds(connection: Connection, asked: Sequence[Sequence[str]]) -> ColumnElement[bool]:
    """All digests of one of these lists."""
    if in_arrays(connection):
        return or_(*(spoken.c.digests.contains(list(all_of)) for all_of in asked))
    match = " OR ".join(f"({' '.join(all_of)})" for all_of in asked)
    return spoken.c.spoken.op("MATCH", is_comparison=True)(match)


def _insert(connection: Connection, rows: Sequence[tuple[int, str]]) -> None:
    _run(connection, _add_arrays if in_arrays(connection) else _add, sorted(rows))


def _run(connection: Connection, statement: str, rows: Sequence[tuple[int, str]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, list(rows))


def _read(connection: Connection) -> dict[str, int]:
    return {FOLLOWED: 0, BACKWARDS: 0, ERASURES: 0} | dict(connection.execute(_marks).all())


def mark(connection: Connection, name: str, value: int) -> None:
    """Keep how far something came."""
    statement = insert(connection, counters)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}),
        {"name": name, "value": value},
    )


class _Words:
    """Terms of tickets, each with its contact, and of messages, by the ticket's seq. What cannot be opened has none."""

    def __init__(self, connection: Connection, vault: Vault) -> None:
        self.connection, self.vault, self.keys = connection, vault, Keys(vault)
        self.said: dict[int, list[str]] = {}

    def tickets(self, seqs: Iterable[int]) -> dict[int, Ticket]:
        rows = self._rows(_tickets, seqs)
        known = self._rows(_contacts, (row.contact for row in rows))
        self.keys.learn(known)
        whose = {row.seq: terms.of_contact(contact) for row, contact in opened(self.keys.contact, known)}
        found = {row.seq: ticket for row, ticket in opened(self.keys.ticket, rows)}
        for row in rows:
            ticket = found.get(row.seq)
            self._add(row.seq, [*(terms.of_ticket(ticket) if ticket else ()), *whose.get(row.contact, ())])
        return found

    def messages(self, statement: Select[Any], these: Iterable[Any]) -> None:
        rows = self._rows(statement, these)
        self.keys.fetch_of(self.connection, rows)
        for row, message in opened(self.keys.message, rows):
            self._add(row.ticket, terms.of_message(message))

    def decisions(self, seqs: Iterable[int]) -> None:
        """What tickets and contacts were at each decision."""
        rows = self._rows(_decided, seqs)
        self.keys.fetch_of(self.connection, rows)
        for row, made in opened(self.keys.decision, rows):
            self._add(row.ticket, terms.of_contact(made.case.contact))
            for ticket in (made.case.ticket, made.ticket):
                self._add(row.ticket, terms.of_ticket(ticket))

    def digests(self) -> list[tuple[int, str]]:
        return [(seq, " ".join(self.vault.terms(list(dict.fromkeys(said))))) for seq, said in self.said.items() if said]

    def _add(self, seq: int, said: list[str]) -> None:
        self.said.setdefault(seq, []).extend(said)

    def _rows(self, statement: Select[Any], these: Iterable[Any]) -> list[Record]:
        return [row for some in chunks(these) for row in self.connection.execute(statement, {"these": some})]


def opened(opening: Callable[[Record], T], rows: Iterable[Record]) -> Iterator[tuple[Record, T]]:
    """Each row with what it holds; without those that cannot be opened."""
    for row in rows:
        with suppress(*UNOPENED):
            yield row, opening(row)
