"""Ticket numbers: the local day and a serial of that day, in a short transaction of their own.

A number belongs to its ticket from the moment it is given: asking again gives it again, and if the ticket is never
committed the number is a gap.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, select, update

from gateway.store.dialect import Many, chunks, insert_new, one_of
from gateway.store.tables import counters, numbers, tickets

_given = select(numbers.c.ticket, numbers.c.number).where(one_of(numbers.c.ticket))
_committed = select(tickets.c.id, tickets.c.number).where(one_of(tickets.c.id))

_begin, _give = insert_new(counters), Many(numbers.insert())


def number(connection: Connection, wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Numbers by ticket id. `wanted` holds ticket ids with their local day as YYYYMMDD."""
    given: dict[str, str] = {}
    for these in chunks(ticket for ticket, _ in wanted):
        given.update(connection.execute(_given, {"these": these}).all())
        given.update(connection.execute(_committed, {"these": these}).all())
    days: dict[str, list[str]] = {}
    for ticket, day in dict(wanted).items():
        if ticket not in given:
            days.setdefault(day, []).append(ticket)
    for day, unnumbered in days.items():
        first = _serials(connection, day, len(unnumbered))
        fresh = {ticket: f"{day}{first + n:03d}" for n, ticket in enumerate(unnumbered)}
        _give.run(connection, [{"ticket": t, "number": number} for t, number in fresh.items()])
        given.update(fresh)
    return given


def _serials(connection: Connection, day: str, many: int) -> int:
    """The first of `many` serials of that day."""
    name = f"serial:{day}"
    _begin.run(connection, [{"name": name, "value": 0}])
    taken = (
        update(counters)
        .where(counters.c.name == name)
        .values(value=counters.c.value + many)
        .returning(counters.c.value)
    )
    return int(connection.execute(taken).scalar_one()) - many + 1
