"""Whose turn it is: the oldest waiting envelope of each lane that nobody works in.

A lease on a lane carries a fence that grows with every claim; whoever comes back with an older one has lost the lane.
Attempts are counted here, before any work, so that one which kills the process counts too.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, takewhile

from sqlalchemy import Connection, bindparam, delete, func, select, update

from gateway.crypto import Vault
from gateway.store import quarantine
from gateway.store.dialect import Record, chunks, one_of
from gateway.store.tables import ASIDE, DONE, LONG_AGO, WAITING, counters, envelopes, lanes, work
from gateway.store.work import Claim, Limits

MOST_OCTETS = 32 * 1024 * 1024  # of bodies claimed at once

_ready = (
    select(
        lanes.c.lane, lanes.c.head.label("seq"), work.c.attempts, work.c.trouble,
        envelopes.c.id, envelopes.c.connector, envelopes.c.account, envelopes.c.received_at, envelopes.c.size,
        envelopes.c.blob, envelopes.c.wrapped_key, envelopes.c.sealed,
    )
    .join(work, work.c.seq == lanes.c.head)
    .join(envelopes, envelopes.c.seq == lanes.c.head)
    .where(lanes.c.ready_at <= bindparam("now"))
    .order_by(lanes.c.head)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True, of=lanes)
)  # fmt: skip
_count = update(work).where(one_of(work.c.seq)).values(attempts=work.c.attempts + 1)
_uncount = update(work).where(one_of(work.c.seq)).values(attempts=work.c.attempts - 1)
_behind = (
    select(
        envelopes.c.seq, envelopes.c.id, envelopes.c.connector, envelopes.c.account, envelopes.c.received_at,
        envelopes.c.size, envelopes.c.blob, envelopes.c.wrapped_key, envelopes.c.sealed,
    )
    .join(work, work.c.seq == envelopes.c.seq)
    .where(work.c.lane == bindparam("in_lane"), work.c.state == WAITING, work.c.seq > bindparam("after"))
    .order_by(work.c.seq)
    .limit(bindparam("most"))
)  # fmt: skip
_lease = update(lanes).where(one_of(lanes.c.lane)).values(ready_at=bindparam("until"), fence=bindparam("with_fence"))
_take = _lease.values(holder=bindparam("by"))
_finish = update(work).where(one_of(work.c.seq)).values(state=bindparam("as_state"), finished_at=bindparam("at"))
_next = (
    select(func.min(work.c.seq))
    .where(work.c.lane == lanes.c.lane, work.c.state == WAITING)
    .correlate(lanes)
    .scalar_subquery()
)
_advance = update(lanes).where(one_of(lanes.c.lane)).values(head=func.coalesce(_next, 0), ready_at=LONG_AGO, fence=0)
_forget = delete(lanes).where(one_of(lanes.c.lane), lanes.c.head == 0)
_held = select(lanes.c.lane, lanes.c.fence).where(one_of(lanes.c.lane)).with_for_update()


def claim(
    connection: Connection, vault: Vault, limits: Limits, now: datetime, limit: int, holder: int
) -> list[tuple[Record, int, int]]:
    """Lease lanes: the heads' rows with fence and attempts. What was tried too often is set aside on the way."""
    while True:
        rows = connection.execute(_ready, {"now": now, "most": limit}).all()
        poison = [row for row in rows if row.attempts >= limits.attempts]
        if not poison:
            return _lease_all(connection, _batch(rows), now + limits.lease, holder)
        for row in poison:
            reason = f"{row.attempts} attempts: {quarantine.trouble(vault, row) or 'the process died each time'}"
            quarantine.keep_journalled(connection, vault, row, "poison", reason, now)
        _end(connection, [row.seq for row in poison], ASIDE, now)
        advance(connection, [row.lane for row in poison])


def _batch(rows: Sequence[Record]) -> Sequence[Record]:
    """As many as fit into memory; one at least.

    One that failed before is worked on alone: should it kill the process again, nothing else is blamed for it.
    """
    if rows and rows[0].attempts:
        return rows[:1]
    octets = accumulate(row.size for row in rows)
    fit = takewhile(lambda one: not one[0].attempts and one[1] <= MOST_OCTETS, zip(rows, octets, strict=True))
    return [row for row, _ in fit] or rows[:1]


def take_over(connection: Connection, now: datetime) -> None:
    """Free every leased lane: whoever worked there is known to be gone."""
    connection.execute(update(lanes).where(lanes.c.fence != 0).values(ready_at=now, fence=0))


def free(connection: Connection, holder: int, now: datetime, *, tried: bool = True) -> int:
    """Free every lane that this one leased: it is known to be gone. Returns how many."""
    leased = (lanes.c.holder == holder, lanes.c.fence != 0)
    if not tried:
        for these in chunks(connection.scalars(select(lanes.c.head).where(*leased)).all()):
            connection.execute(_uncount, {"these": these})
    return connection.execute(update(lanes).where(*leased).values(ready_at=now, fence=0)).rowcount


def _lease_all(
    connection: Connection, rows: Sequence[Record], until: datetime, holder: int
) -> list[tuple[Record, int, int]]:
    if not rows:
        return []
    fence = next_fence(connection)
    for these in chunks(row.lane for row in rows):
        connection.execute(_take, {"these": these, "until": until, "with_fence": fence, "by": holder})
    for these in chunks(row.seq for row in rows):
        connection.execute(_count, {"these": these})
    return [(row, fence, row.attempts + 1) for row in rows]


def lease(connection: Connection, of_lanes: Iterable[str], until: datetime, fence: int) -> None:
    """Nobody else works in these lanes until then; a fence of 0 is nobody's lease."""
    for these in chunks(of_lanes):
        connection.execute(_lease, {"these": these, "until": until, "with_fence": fence})


def next_fence(connection: Connection) -> int:
    """A fence nobody had before."""
    last = connection.scalar(select(counters.c.value).where(counters.c.name == "fence").with_for_update()) or 0
    connection.execute(update(counters).where(counters.c.name == "fence").values(value=last + 1))
    return last + 1


def held(connection: Connection, leases: Sequence[tuple[str, int]]) -> list[bool]:
    """Which of these leases (lane and fence) are still good."""
    fence: dict[str, int] = {}
    for these in chunks(lane for lane, _ in leases):
        fence.update(connection.execute(_held, {"these": these}).all())
    return [fence.get(lane) == of_lease for lane, of_lease in leases]


def finish(connection: Connection, claims: Sequence[Claim], now: datetime) -> None:
    """Done; their lanes go on."""
    if claims:
        done = [seq for claim in claims for seq in (claim.seq, *claim.further)]
        _end(connection, done, DONE, now)
        advance(connection, [claim.lane for claim in claims])


def extend(connection: Connection, claims: Sequence[Claim], until: datetime) -> None:
    """More to do on these: their leases begin anew."""
    for fence in {claim.fence for claim in claims}:
        lease(connection, [claim.lane for claim in claims if claim.fence == fence], until, fence)


def _end(connection: Connection, envelopes: Iterable[int], state: str, now: datetime) -> None:
    for these in chunks(envelopes):
        connection.execute(_finish, {"these": these, "as_state": state, "at": now})


def advance(connection: Connection, of_lanes: Sequence[str]) -> None:
    """Free these lanes, each for the next that waits in it."""
    for these in chunks(of_lanes):
        connection.execute(_advance, {"these": these})
        connection.execute(_forget, {"these": these})


def release(connection: Connection, vault: Vault, claim: Claim, reason: str, now: datetime, wait: timedelta) -> bool:
    """A failed attempt: the lane is free again, but not before `wait` is over."""
    if not all(held(connection, [(claim.lane, claim.fence)])):
        return False
    lease(connection, [claim.lane], now + wait, 0)
    quarantine.remember(connection, vault, claim, reason)
    return True


def hold(connection: Connection, claim: Claim, until: datetime) -> bool:
    """Not yet: the lane is free again at `until`, and this was no attempt."""
    if not all(held(connection, [(claim.lane, claim.fence)])):
        return False
    lease(connection, [claim.lane], until, 0)
    connection.execute(_uncount, {"these": [claim.seq]})
    return True


def behind(connection: Connection, claim: Claim, limit: int) -> Sequence[Record]:
    """The rows of what waits in the lane after a claimed envelope, oldest first."""
    return connection.execute(_behind, {"in_lane": claim.lane, "after": claim.seq, "most": limit}).all()


def set_aside(
    connection: Connection, vault: Vault, seq: int, lease: tuple[str, int], code: str, reason: str, now: datetime
) -> bool:
    """It is ours, but no message can be made of it: a person looks, its lane goes on."""
    if not all(held(connection, [lease])):
        return False
    row = connection.execute(_whole.where(envelopes.c.seq == seq)).one()
    quarantine.keep_journalled(connection, vault, row, code, reason, now)
    _end(connection, [seq], ASIDE, now)
    advance(connection, [lease[0]])
    return True


_whole = select(
    envelopes.c.seq, envelopes.c.id, envelopes.c.connector, envelopes.c.account, envelopes.c.received_at,
    envelopes.c.size, work.c.attempts,
).join(work, work.c.seq == envelopes.c.seq)  # fmt: skip
