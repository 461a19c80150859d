"""Into the journal: the one door for everything that can change a decision.

What callers bring at the same time is one transaction. An envelope that is there already, or was and has been pruned
since, counts as redelivered. Each new one queues in its lane.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from connectors.base import Cursor
from gateway.crypto import Vault
from gateway.store.blobs import Blobs
from gateway.store.dialect import Many, Placed, chunks, insert, insert_new, one_of
from gateway.store.enclosed import sealed_row
from gateway.store.tables import LONG_AGO, WAITING, cursors, envelopes, idempotency, lanes, seen, work
from gateway.store.work import Idempotency
from normalizer.canon import Envelope
from normalizer.errors import Rejected


@dataclass(frozen=True, slots=True)
class Arrival:
    """What one caller brings: all of it is kept, or nothing."""

    envelopes: Sequence[Envelope]
    now: datetime
    cursor: Cursor | None = None
    idempotency: Idempotency | None = None
    blobs: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # by Envelope.id


_known = select(envelopes.c.id).where(one_of(envelopes.c.id))
_pruned = select(seen.c.digest).where(one_of(seen.c.digest))
_redelivered = Many(
    update(work)
    .where(work.c.seq == select(envelopes.c.seq).where(envelopes.c.id == bindparam("redelivered")).scalar_subquery())
    .values(redeliveries=work.c.redeliveries + 1)
)
_enclose, _queue, _line_up = Placed(envelopes), Many(work.insert()), insert_new(lanes)


Rows = Mapping[str, dict[str, Any]]  # by Envelope.id


def sealed(vault: Vault, arrivals: Sequence[Arrival]) -> Rows:
    """The rows of all envelopes, new or not."""
    named = ((envelope.id, envelope, arrival) for arrival in arrivals for envelope in arrival.envelopes)
    return {identity: sealed_row(vault, one, identity, arrival.blobs.get(identity)) for identity, one, arrival in named}


def journal(
    connection: Connection, vault: Vault, blobs: Blobs, arrivals: Sequence[Arrival], rows: Rows
) -> list[list[bool] | Exception]:
    """For each arrival which of its envelopes are new; Rejected for one that contradicts its idempotency key."""
    refused = [_conflict(connection, vault, arrival) for arrival in arrivals]
    kept = [arrival for arrival, error in zip(arrivals, refused, strict=True) if error is None]
    fresh = iter(_keep(connection, vault, blobs, kept, rows))
    _move_cursors(connection, kept)
    return [next(fresh) if error is None else error for error in refused]


def enqueue(connection: Connection, vault: Vault, blobs: Blobs, brought: Sequence[Envelope]) -> None:
    """Envelopes the house writes to itself, within another verb's transaction."""
    arrival = Arrival(brought, LONG_AGO)
    _keep(connection, vault, blobs, [arrival], sealed(vault, [arrival]))


def _keep(
    connection: Connection, vault: Vault, blobs: Blobs, arrivals: Sequence[Arrival], rows: Rows
) -> list[list[bool]]:
    ids = [[envelope.id for envelope in arrival.envelopes] for arrival in arrivals]
    there = _there(connection, [identity for group in ids for identity in group])
    fresh: dict[str, tuple[Envelope, Arrival]] = {}
    answers: list[list[bool]] = []
    again: list[str] = []
    for arrival, group in zip(arrivals, ids, strict=True):
        answer = []
        for envelope, identity in zip(arrival.envelopes, group, strict=True):
            new = identity not in there
            there.add(identity)
            answer.append(new)
            if new:
                fresh[identity] = envelope, arrival
            else:
                again.append(identity)
        answers.append(answer)
    _insert(connection, vault, blobs, fresh, rows)
    _redelivered.run(connection, [{"redelivered": identity} for identity in again])
    return answers


def _there(connection: Connection, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for these in chunks(ids):
        found.update(connection.scalars(_known, {"these": these}))
        found.update(connection.scalars(_pruned, {"these": these}))
    return found


def _insert(
    connection: Connection, vault: Vault, blobs: Blobs, fresh: dict[str, tuple[Envelope, Arrival]], rows: Rows
) -> None:
    if not fresh:
        return
    for identity, (envelope, arrival) in fresh.items():
        blob = arrival.blobs.get(identity)
        if blob and not blobs.has(blob[0]):  # erased with another envelope since it was written for this one
            blobs.write(*blob, envelope.body)
    placed = _enclose.run(connection, [rows[identity] for identity in fresh])
    seqs = sorted((seq, identity) for identity, seq in placed.items())
    lane_of = {identity: vault.digest("lane", envelope.lane) for identity, (envelope, _) in fresh.items()}
    queued = [{"seq": seq, "lane": lane_of[identity]} for seq, identity in seqs]
    _queue.run(connection, [{**row, "state": WAITING, "attempts": 0, "redeliveries": 0} for row in queued])
    heads = [{"lane": row["lane"], "head": row["seq"], "ready_at": LONG_AGO, "fence": 0} for row in queued]
    _line_up.run(connection, heads)


def _conflict(connection: Connection, vault: Vault, arrival: Arrival) -> Rejected | None:
    asked = arrival.idempotency
    if asked is None:
        return None
    digest, body = vault.digest("idempotency", asked.scope, asked.key), vault.digest("body", asked.body)
    before = connection.scalar(select(idempotency.c.body).where(idempotency.c.digest == digest))
    if before is None:
        connection.execute(idempotency.insert(), {"digest": digest, "body": body, "at": arrival.now})
    if before in (None, body):
        return None
    return Rejected("this idempotency key was used for another request", status=409, code="conflict")


def _move_cursors(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    moved = [{"name": a.cursor.name, "value": a.cursor.value} for a in arrivals if a.cursor]
    if moved:
        statement = insert(connection, cursors)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value}), moved
        )
