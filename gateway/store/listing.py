"""Lists of tickets, a page at a time, and how many there are.

Rows are wide and sealed; so a page is first chosen from an index that holds all codes in the list's order, and only its
own rows are read. Cursors are numbers of tickets: a page begins after one, or ends before one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, tuple_

from gateway.crypto import Vault
from gateway.store import reads, search
from gateway.store.dialect import chunks, one_of
from gateway.store.tables import CODES, contacts, tallies, tickets
from gateway.store.words import Keys
from normalizer.canon import Contact, Ticket

FILTERS = (*CODES, "contact")
FEW = 20_000
NONE = "-"  # chooses those that have none: `assignee="-"`

ORDERS = ("newest", "due")
Filters = Mapping[str, str | Sequence[str]]

_rows = select(tickets).where(one_of(tickets.c.seq))
_contacts = select(contacts).where(one_of(contacts.c.seq))


@dataclass(frozen=True, slots=True)
class Page:
    """`after` and `before` are numbers or ids of tickets: what follows one in the list's order, or goes before one."""

    after: str = ""
    before: str = ""
    limit: int = 50
    order: str = "newest"

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ValueError(f"tickets have no order {self.order!r}; there is {', '.join(ORDERS)}")


def list_tickets(connection: Connection, vault: Vault, page: Page, filters: Filters) -> list[tuple[Ticket, Contact]]:
    """With their contacts. `due`: those with a promise to keep, the most urgent first."""
    return opened(connection, vault, seqs(connection, page, chosen(filters)))


def seqs(connection: Connection, page: Page, where: Sequence[ColumnElement[bool]]) -> list[int]:
    """The places of the tickets on this page, in its order."""
    found = list(connection.scalars(statement(page, where)))
    return found[::-1] if page.before else found


def statement(page: Page, where: Sequence[ColumnElement[bool]]) -> Select[Any]:
    some = select(tickets.c.seq).where(*where).limit(page.limit)
    return _newest(some, page) if page.order == "newest" else _due(some, page)


def _newest(statement: Select[Any], page: Page) -> Select[Any]:
    if page.before:
        return statement.where(tickets.c.seq > place(page.before)).order_by(tickets.c.seq)
    if page.after:
        statement = statement.where(tickets.c.seq < place(page.after))
    return statement.order_by(tickets.c.seq.desc())


def _due(statement: Select[Any], page: Page) -> Select[Any]:
    statement = statement.where(tickets.c.due_at.is_not(None))
    key = tuple_(tickets.c.due_at, tickets.c.seq)
    if page.before:
        statement = statement.where(key < tuple_(_due_of(page.before), place(page.before)))
        return statement.order_by(tickets.c.due_at.desc(), tickets.c.seq.desc())
    if page.after:
        statement = statement.where(key > tuple_(_due_of(page.after), place(page.after)))
    return statement.order_by(tickets.c.due_at, tickets.c.seq)


def place(name: str) -> Any:
    """The seq of a ticket, by number or id, within a statement."""
    other = tickets.alias("cursor")
    return select(other.c.seq).where((other.c.number == name) | (other.c.id == name)).limit(1).scalar_subquery()


def _due_of(name: str) -> Any:
    other = tickets.alias("cursor")
    return select(other.c.due_at).where((other.c.number == name) | (other.c.id == name)).limit(1).scalar_subquery()


def chosen(filters: Filters) -> list[ColumnElement[bool]]:
    """Conditions on `tickets`. An empty filter chooses nothing out; several values mean one of them; see NONE."""
    return [_chosen(name, value) for name, value in filters.items() if value]


def _chosen(name: str, value: str | Sequence[str]) -> ColumnElement[bool]:
    if name == "contact":
        whose = select(contacts.c.seq).where(contacts.c.id == value).scalar_subquery()
        return tickets.c.contact == whose
    if name not in CODES:
        raise ValueError(f"tickets cannot be chosen by {name!r}; by {', '.join(FILTERS)}")
    return _is(tickets.c[name], name, value)


def _is(column: ColumnElement[Any], name: str, value: str | Sequence[str]) -> ColumnElement[bool]:
    if name == "review":
        return column == (value not in ("false", "no", NONE))
    listed = [value] if isinstance(value, str) else list(value)
    wanted = ["" if one == NONE else one for one in listed]
    return column == wanted[0] if len(wanted) == 1 else column.in_(wanted)


def opened(connection: Connection, vault: Vault, places: Sequence[int]) -> list[tuple[Ticket, Contact]]:
    """The tickets at these places, in this order, with their contacts."""
    rows = {row.seq: row for some in chunks(places) for row in connection.execute(_rows, {"these": some})}
    keys = Keys(vault)
    known: dict[int, Contact] = {}
    for some in chunks(row.contact for row in rows.values()):
        found = connection.execute(_contacts, {"these": some}).all()
        keys.learn(found)
        known.update(zip((row.seq for row in found), reads.contacts_of(keys, found), strict=True))
    ordered = [rows[seq] for seq in places if seq in rows]
    whole = reads.tickets_of(connection, keys, ordered)
    return [(one, known[row.contact]) for one, row in zip(whole, ordered, strict=True)]


def find(
    connection: Connection, vault: Vault, text: str, after: str, limit: int, filters: Filters
) -> list[tuple[Ticket, Contact]]:
    """Tickets that hold all words of the text, newest first; before them those with exactly this number or id."""
    where = chosen(filters)
    named = _named(connection, vault, text, where)
    at = connection.scalar(select(place(after))) if after else None
    if after and at is None:
        return []
    first = [seq for seq in named if at is None or (at in named and seq < at)]
    if len(first) >= limit:
        return opened(connection, vault, first[:limit])
    statement = search.having_all(connection, vault, text)
    if statement is not None:
        age = search.by_age()
        if at is not None and at not in named:
            statement = statement.where(age < at)
        statement = _among(connection, statement, filters)
        statement = statement.order_by(age.desc()).limit(limit - len(first) + len(named))
        first += [seq for seq in connection.scalars(statement) if seq not in named]
    return opened(connection, vault, first[:limit])


def _among(connection: Connection, statement: Select[Any], filters: Filters) -> Select[Any]:
    """Of what has the words, what the filters choose: few are gathered first, of many the first are soon found."""
    where, age = chosen(filters), search.by_age()
    if not where:
        return statement
    if filters.get("contact") or count(connection, counted(filters)) < FEW:
        return statement.where((age + 0).in_(select(tickets.c.seq).where(*where)))
    return statement.join(tickets, tickets.c.seq == age).where(*where)


def _named(connection: Connection, vault: Vault, text: str, where: Sequence[ColumnElement[bool]]) -> list[int]:
    """Of this number, or with exactly this id; newest first."""
    candidates = {"these": search.exact(connection, vault, text)}
    named = (tickets.c.number == text.strip().lstrip("#")) | one_of(tickets.c.seq)
    statement = select(tickets.c.seq).where(named, *where).order_by(tickets.c.seq.desc())
    return list(connection.scalars(statement, candidates))


def tally(connection: Connection, by: str, filters: Filters) -> dict[str, int]:
    """How many tickets there are of each code of one kind, of those that the filters choose; none for "none"."""
    if by not in CODES:
        raise ValueError(f"tickets cannot be counted by {by!r}; by {', '.join(CODES)}")
    statement = select(tallies.c[by], func.sum(tallies.c.many)).where(*counted(filters)).group_by(tallies.c[by])
    return {str(code): int(many) for code, many in connection.execute(statement) if many}


def count(connection: Connection, where: Sequence[ColumnElement[bool]]) -> int:
    """How many, by conditions on `tallies`."""
    return int(connection.scalar(select(func.coalesce(func.sum(tallies.c.many), 0)).where(*where)) or 0)


def size(connection: Connection, where: Sequence[ColumnElement[bool]]) -> int:
    """How many, by conditions on `tickets`: a walk over the narrow index."""
    return int(connection.scalar(select(func.count(tickets.c.seq)).where(*where)) or 0)


def counted(filters: Filters) -> list[ColumnElement[bool]]:
    """Conditions on `tallies`."""
    for name in filters:
        if name not in CODES:
            raise ValueError(f"tickets cannot be counted by {name!r}; by {', '.join(CODES)}")
    return [_is(tallies.c[name], name, value) for name, value in filters.items() if value]
