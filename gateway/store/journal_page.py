"""The journal as people look at it: what came, how far it is, and what became of it. Newest first, a page at a time."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection, select

from gateway.crypto import Vault
from gateway.store import damaged
from gateway.store import quarantine as aside
from gateway.store.commit import external
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import ASIDE, envelopes, lanes, messages, quarantine, tickets, work
from gateway.store.work import Journalled

_rows = (
    select(
        envelopes.c.seq, envelopes.c.id, envelopes.c.connector, envelopes.c.account, envelopes.c.received_at,
        envelopes.c.size, work.c.state, work.c.attempts, work.c.redeliveries, work.c.finished_at, work.c.lane,
        lanes.c.ready_at,
    )
    .join(work, work.c.seq == envelopes.c.seq)
    .outerjoin(lanes, (lanes.c.lane == work.c.lane) & (lanes.c.head == envelopes.c.seq))
    .order_by(envelopes.c.seq.desc())
)  # fmt: skip
_placed = (
    select(messages.c.envelope, tickets.c.number)
    .join(tickets, tickets.c.seq == messages.c.ticket)
    .where(one_of(messages.c.envelope))
    .order_by(messages.c.seq)
)
_aside = select(quarantine).where(one_of(quarantine.c.id))


def journal_page(
    connection: Connection, vault: Vault, after: str, limit: int, connector: str, account: str, state: str
) -> list[Journalled]:
    """`after` is the id of the last one of the page before; empty filters choose nothing out."""
    statement = _rows.limit(limit)
    for column, value in ((envelopes.c.connector, connector), (envelopes.c.account, account), (work.c.state, state)):
        statement = statement.where(column == value) if value else statement
    if after:
        place = select(envelopes.c.seq).where(envelopes.c.id == after).scalar_subquery()
        statement = statement.where(envelopes.c.seq < place)
    rows = connection.execute(statement).all()
    return _told(connection, vault, rows)


def journalled(connection: Connection, vault: Vault, identity: str) -> Journalled | None:
    rows = connection.execute(_rows.where(envelopes.c.id == identity)).all()
    return next(iter(_told(connection, vault, rows)), None)


def bearing(connection: Connection, vault: Vault, message_id: str) -> list[Journalled]:
    """Those in which a mail with this Message-ID was found, newest first, and as long as they are kept."""
    bare = message_id.strip("<>")
    named = [external(vault, ("email", ""), one) for one in (bare, f"<{bare}>")]
    seqs = select(messages.c.envelope).where(messages.c.external.in_(named))
    return _told(connection, vault, connection.execute(_rows.where(envelopes.c.seq.in_(seqs))).all())


def _told(connection: Connection, vault: Vault, rows: Sequence[Record]) -> list[Journalled]:
    numbers: dict[int, list[str]] = defaultdict(list)
    for these in chunks(row.seq for row in rows):
        for seq, number in connection.execute(_placed, {"these": these}):
            if number not in numbers[seq]:
                numbers[seq].append(number)
    reasons = _reasons(connection, vault, rows)
    return [
        Journalled(
            row.id, row.connector, row.account, row.received_at, row.size,
            "set_aside" if row.state == ASIDE else row.state, row.attempts, row.redeliveries, row.finished_at,
            row.lane[:8], tuple(numbers[row.seq]), *reasons.get(row.id, ("", "")),
        )
        for row in rows
    ]  # fmt: skip


def _reasons(connection: Connection, vault: Vault, rows: Sequence[Record]) -> dict[str, tuple[str, str]]:
    found = [row for these in chunks(r.id for r in rows) for row in connection.execute(_aside, {"these": these})]
    opened = damaged.each(lambda some: [aside.opened(vault, row) for row in some], found, damaged.set_aside)
    return {one.id: (one.code, one.reason) for one in opened}
