"""The journal is pruned: what is done and old goes, but stays known, so that a late redelivery makes nothing twice.

An idempotency key means its body for as long as the envelope it named is known.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, select

from gateway.store.dialect import insert_new, one_of
from gateway.store.tables import DONE, envelopes, idempotency, quarantine, seen, work
from gateway.store.work import Limits

AT_ONCE = 500

_know = insert_new(seen)
_gone = delete(work).where(one_of(work.c.seq)), delete(envelopes).where(one_of(envelopes.c.seq))


def prune(connection: Connection, limits: Limits, before: datetime, now: datetime) -> tuple[int, list[str]]:
    """How many of the oldest went, at most AT_ONCE, and the blob files that nobody speaks of any more."""
    old = (
        select(envelopes.c.seq, envelopes.c.id, envelopes.c.blob)
        .join(work, work.c.seq == envelopes.c.seq)
        .where(work.c.state == DONE, work.c.finished_at < before)
        .order_by(envelopes.c.seq)
        .limit(AT_ONCE)
    )
    rows = connection.execute(old).all()
    _know.run(connection, [{"digest": row.id, "until": now + limits.seen_for} for row in rows])
    for statement in _gone:
        connection.execute(statement, {"these": [row.seq for row in rows]})
    connection.execute(delete(quarantine).where(one_of(quarantine.c.id)), {"these": [row.id for row in rows]})
    connection.execute(delete(seen).where(seen.c.until < now))
    connection.execute(delete(idempotency).where(idempotency.c.at < before - limits.seen_for))
    return len(rows), unspoken(connection, [row.blob for row in rows if row.blob])


def unspoken(connection: Connection, blobs: list[str]) -> list[str]:
    """Those of them that no envelope has any more."""
    spoken = select(envelopes.c.blob).where(one_of(envelopes.c.blob)).distinct()
    return sorted(set(blobs) - set(connection.scalars(spoken, {"these": blobs}).all())) if blobs else []
