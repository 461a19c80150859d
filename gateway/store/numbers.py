"""Ticket numbers: the local day and a serial of that day, in a short transaction of their own.

A number belongs to its ticket from the moment it is given: asking again gives it again, and if the ticket is never
committed the number is a gap.

A restored data folder does not know what was given since its backup, so each serial of a day until then goes on from
where no gateway can have come meanwhile, and stays there for numbers of those days that are given later.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, or_, select, update

from gateway.store.dialect import Many, chunks, insert_new, one_of
from gateway.store.tables import counters, numbers, tickets

_given = select(numbers.c.ticket, numbers.c.number).where(one_of(numbers.c.ticket))
_committed = select(tickets.c.id, tickets.c.number).where(one_of(tickets.c.id))

SERIAL, SKIPPED = "serial:", "skipped:"  # counters, by day: the last one given; where days until this one begin
TICKETS_A_SECOND = 1000  # more than any gateway gives numbers to, even if it does nothing else all day

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
    name = SERIAL + day
    _begin.run(connection, [{"name": name, "value": _skipped(connection, day)}])
    taken = (
        update(counters)
        .where(counters.c.name == name)
        .values(value=counters.c.value + many)
        .returning(counters.c.value)
    )
    return int(connection.execute(taken).scalar_one()) - many + 1


def _skipped(connection: Connection, day: str) -> int:
    """Where that day's serial begins: at 0, unless a backup was restored on it or later."""
    later = counters.c.name.between(SKIPPED + day, SKIPPED + "9")
    return connection.scalar(select(func.max(counters.c.value)).where(later)) or 0


def skip(connection: Connection, made_at: datetime, now: datetime, zone: ZoneInfo) -> int:
    """Go past every number that can have been given since `made_at`. Returns how many are skipped for each day.

    What one restored folder gives until another is restored from the same backup is passed as well: the later one
    skips more, by as many as the first can have given in the time between.
    """
    many = ((now - made_at) // timedelta(seconds=1) + 1) * TICKETS_A_SECOND
    until = max(now, made_at).astimezone(zone).strftime("%Y%m%d")
    begun = [counters.c.name.between(prefix, prefix + "9") for prefix in (SERIAL, SKIPPED)]
    connection.execute(update(counters).where(or_(*begun)).values(value=counters.c.value + many))
    _begin.run(connection, [{"name": SKIPPED + until, "value": many}])
    return many
