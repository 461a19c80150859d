"""What is owed to the outside, and what became of it.

    queued   behind an earlier one of the same target and ticket
    waiting  the next of its target and ticket; due at `due_at`, leased while somebody tries
    sent     taken
    dead     refused for good, until a person retries it; a dead `create` keeps what follows it back
    held     outbound was off when it was made, until a person retries it; a held step keeps what follows it back
    dropped  given up by a person: never sent. With a `create` goes what would have followed it

What became of it enters the journal in the same transaction, so that decisions hear of it like of anything else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import BindParameter, Connection, bindparam, func, select, update

from gateway.crypto import Vault
from gateway.store import feed, journal
from gateway.store.blobs import Blobs
from gateway.store.claim import next_fence
from gateway.store.dialect import Many, Record, chunks, insert, insert_new, one_of
from gateway.store.standing import Standing
from gateway.store.tables import (
    DEAD,
    DROPPED,
    FETCH,
    HELD,
    LONG_AGO,
    QUEUED,
    REPLY,
    SENT,
    WAITING,
    counters,
    known,
    meta,
    outgoing,
)  # fmt: skip
from gateway.store.words import Keys, outgoing_place, settlement_place
from gateway.store.work import Later, Limits, Never, Outcome, Owed, Settlement, Stuck
from normalizer.canon import MEDIA, Address, Call, Envelope, Fetch, HandoverStep, Outgoing, Reply, Sent, dump, load


def owe(connection: Connection, keys: Keys, standing: Standing, outcomes: Sequence[Outcome]) -> None:
    """Add what these outcomes owe; what is there already is left as it is."""
    rows = [
        _row(keys, standing, one, HELD if outcome.hold and one.kind != FETCH else QUEUED)
        for outcome in outcomes
        for one in outcome.outgoing
    ]
    _owe.run(connection, rows)
    go_on(connection, (row["ticket"] for row in rows))


_owe = insert_new(outgoing)


def _row(keys: Keys, standing: Standing, one: Outgoing, state: str) -> dict[str, Any]:
    stand = standing.tickets[one.ticket]
    step = one.content if isinstance(one.content, HandoverStep) else None
    return {
        "id": one.id,
        "kind": one.kind,
        "step": step.kind if step else REPLY if isinstance(one.content, Reply) else one.kind,
        "target": one.target,
        "ticket": stand.seq,
        "contact": keys.seq_of[stand.contact],
        "state": state,
        "due_at": one.due_at,
        "leased_until": LONG_AGO,
        "fence": 0,
        "attempts": 0,
        "tries": 0,
        "message": standing.seq_of(step.message) if step else None,
        "sealed": keys.seal(stand.contact, one, outgoing_place(one.id)),
    }


def hasten(connection: Connection, completed: Sequence[Mapping[str, int]], now: datetime) -> None:
    """What waited for the files of messages waits no longer. Each: a ticket's seq, `about`, and a message's, `said`."""
    _hasten.run(connection, [{**one, "moment": now} for one in completed])


_hasten = Many(
    update(outgoing)
    .where(
        outgoing.c.ticket == bindparam("about"), outgoing.c.message == bindparam("said"),
        outgoing.c.kind == "handover", (outgoing.c.state == QUEUED) | (outgoing.c.state == WAITING),
        outgoing.c.tries == 0,
    ).values(due_at=bindparam("moment"))
)  # fmt: skip
_other, _first = outgoing.alias("other"), outgoing.alias("first")
_before = (_other.c.ticket == outgoing.c.ticket) & (_other.c.target == outgoing.c.target)
_under_way = select(_other.c.seq).where(_before, _other.c.state == WAITING).exists()
_keeping_back = ((_other.c.state == DEAD) & (_other.c.step == "create")) | (
    (_other.c.state == HELD) & (_other.c.step != REPLY) & (_other.c.seq < outgoing.c.seq)
)
_kept_back = select(_other.c.seq).where(_before, _keeping_back).exists()
_first_of_each = (
    select(func.min(_first.c.seq))
    .where(one_of(_first.c.ticket), _first.c.state == QUEUED)
    .group_by(_first.c.target, _first.c.ticket)
)
_promote = update(outgoing).where(outgoing.c.seq.in_(_first_of_each), ~_under_way, ~_kept_back).values(state=WAITING)


def go_on(connection: Connection, of_tickets: Iterable[int]) -> None:
    """In each target of these tickets the first that is queued is next, unless something stands before it."""
    for these in chunks(of_tickets):
        connection.execute(_promote, {"these": these})


_now: BindParameter[datetime] = bindparam("now")
_waiting = outgoing.c.state == WAITING
_next_target = select(func.min(outgoing.c.target)).where(_waiting, outgoing.c.target > bindparam("after"))
_leased_there = (
    select(func.count())
    .select_from(outgoing)
    .where(outgoing.c.fence != 0, outgoing.c.target == bindparam("at"), outgoing.c.leased_until > _now)
)
_due = (
    select(outgoing.c.seq, outgoing.c.kind, outgoing.c.due_at)
    .where(
        _waiting, outgoing.c.target == bindparam("at"), outgoing.c.due_at <= _now, outgoing.c.leased_until <= _now
    )
    .order_by(outgoing.c.due_at, outgoing.c.seq)
    .limit(bindparam("most"))
)  # fmt: skip
_whole = (
    select(
        outgoing.c.seq, outgoing.c.id, outgoing.c.contact, outgoing.c.ticket, outgoing.c.target, outgoing.c.due_at,
        outgoing.c.attempts, outgoing.c.step, outgoing.c.message, outgoing.c.sealed, known.c.sealed.label("known_as"),
    )
    .outerjoin(known, (known.c.target == outgoing.c.target) & (known.c.ticket == outgoing.c.ticket))
    .where(one_of(outgoing.c.seq))
    .order_by(outgoing.c.due_at, outgoing.c.seq)
)  # fmt: skip
_one_at_a_time = select(counters.c.value).where(counters.c.name == "fence").with_for_update()
_lease = (
    update(outgoing)
    .where(one_of(outgoing.c.seq))
    .values(
        leased_until=bindparam("until"),
        fence=bindparam("with_fence"),
        attempts=outgoing.c.attempts + 1,
        tries=outgoing.c.tries + 1,
    )
)


_untold = (
    update(outgoing)
    .where(outgoing.c.fence != 0)
    .values(leased_until=bindparam("now"), fence=0, attempts=outgoing.c.attempts - 1, tries=outgoing.c.tries - 1)
)


def take_over(connection: Connection, now: datetime) -> None:
    """Free everything leased: whoever was sending is known to be gone."""
    leased = (outgoing.c.state == WAITING, outgoing.c.leased_until > now)
    connection.execute(update(outgoing).where(*leased).values(leased_until=now, fence=0))


def due(
    connection: Connection, limits: Limits, now: datetime, limit: int, *, outbound: bool = True,
    untold: Sequence[datetime] = (),
) -> list[tuple[Record, int]]:  # fmt: skip
    """Lease what is due, with its fence; nothing while the outbox is held, and files alone while outbound is off.

    Of each target no more than may be under way there at once: what hangs takes no other target's turn. Leases that
    were asked for `untold`, when the store went away before it could say of what, are free at once.
    """
    if untold:
        connection.execute(_untold.where(outgoing.c.leased_until.in_(untold)), {"now": now})
    if is_held(connection):
        return []
    connection.execute(_one_at_a_time)
    targets = [target for target in _targets(connection) if outbound or target.startswith(MEDIA)]
    due_there = [row for target in targets for row in _due_at(connection, limits, target, now)]
    first_due = sorted(due_there, key=lambda row: (row.due_at, row.seq))[:limit]
    if not first_due:
        return []
    rows = [row for these in chunks(r.seq for r in first_due) for row in connection.execute(_whole, {"these": these})]
    fence, until = next_fence(connection), now + limits.outgoing_lease
    for these in chunks(row.seq for row in rows):
        connection.execute(_lease, {"these": these, "until": until, "with_fence": fence})
    return [(row, fence) for row in rows]


def _targets(connection: Connection) -> Iterator[str]:
    """Whoever something waits for."""
    target = ""
    while found := connection.scalar(_next_target, {"after": target}):
        yield (target := found)


def _due_at(connection: Connection, limits: Limits, target: str, now: datetime) -> Sequence[Record]:
    """What is due there, as far as there is room for it. Replies go one by one: a crash can double one, not many."""
    there = {"at": target, "now": now}
    rows = connection.execute(_due, {**there, "most": limits.helpdesk_at_once}).all()
    if not rows:
        return []
    most = 1 if rows[0].kind in (REPLY, "notice") else limits.helpdesk_at_once
    return rows[: max(0, most - (connection.scalar(_leased_there, there) or 0))]


def owed(vault: Vault, one: Outgoing, row: Record, fence: int) -> Owed:
    called = load(Sent, vault.house.open(row.known_as, known_place(row.target, one.ticket))) if row.known_as else Sent()
    counted = Outgoing(one.id, one.kind, one.target, one.ticket, row.due_at, one.content, row.attempts + 1)
    return Owed(counted, fence, called.external_id, called.url)


_leased = select(outgoing.c.tries, outgoing.c.ticket).where(
    outgoing.c.id == bindparam("of"), outgoing.c.fence == bindparam("with_fence"), outgoing.c.state == WAITING
)
_settle = update(outgoing).where(outgoing.c.id == bindparam("of"))


def settle(
    connection: Connection, vault: Vault, blobs: Blobs, settled: Sequence[tuple[Owed, Settlement, datetime]]
) -> list[bool]:
    """What became of each attempt; False if its lease went to somebody else meanwhile."""
    return [_settle_one(connection, vault, blobs, *one) for one in settled]


def _settle_one(
    connection: Connection, vault: Vault, blobs: Blobs, owed: Owed, settlement: Settlement, now: datetime
) -> bool:
    one = owed.outgoing
    row = connection.execute(_leased, {"of": one.id, "with_fence": owed.fence}).first()
    if row is None:
        return False
    sealed = vault.house.seal(dump(_told(settlement)), settlement_place(one.id))
    changed: dict[str, Any] = {"leased_until": LONG_AGO, "fence": 0, "settlement": sealed}
    match settlement:
        case Later(_, due_at, _):
            connection.execute(_settle, {"of": one.id, "due_at": due_at, **changed})
            return True
        case Sent():
            connection.execute(_settle, {"of": one.id, "state": SENT, "settled_at": now, **changed})
            _remember(connection, vault, one, row.ticket, settlement)
        case Never():
            connection.execute(_settle, {"of": one.id, "state": DEAD, "settled_at": now, **changed})
    go_on(connection, [row.ticket])
    journal.enqueue(connection, vault, blobs, [news(one, settlement, row.tries, now)])
    kind = feed.SENT if isinstance(settlement, Sent) else feed.DEAD
    feed.tell(connection, [feed.event(kind, now, row.ticket, number(one), one.id)])
    return True


def number(one: Outgoing) -> str:
    """Of its ticket."""
    return one.content.ticket.number if isinstance(one.content, HandoverStep) else one.content.number


def _told(settlement: Settlement) -> Sent | Never:
    return Never(settlement.reason, status=settlement.status) if isinstance(settlement, Later) else settlement


def _remember(connection: Connection, vault: Vault, one: Outgoing, ticket: int, sent: Sent) -> None:
    if one.kind == "handover" and sent.external_id:
        sealed = vault.house.seal(dump(sent), known_place(one.target, one.ticket))
        statement = insert(connection, known)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["ticket", "target"], set_={"sealed": statement.excluded.sealed}
            ),
            {"target": one.target, "ticket": ticket, "sealed": sealed},
        )


def news(one: Outgoing, settlement: Sent | Never, tries: int, now: datetime) -> Envelope:
    """The outcome as an envelope of connector `outbox`."""
    outcome: Literal["sent", "dead"] = "sent" if isinstance(settlement, Sent) else "dead"
    told = {
        "outgoing": one.id,
        "kind": one.kind,
        "target": one.target,
        "ticket": one.ticket,
        "outcome": outcome,
        "external_id": settlement.external_id if isinstance(settlement, Sent) else "",
        "url": settlement.url if isinstance(settlement, Sent) else "",
        "reason": settlement.reason if isinstance(settlement, Never) else "",
        "bounced": isinstance(settlement, Never) and settlement.bounced,
        "status": settlement.status if isinstance(settlement, Never) else "",
        "address": one.content.to.address if isinstance(one.content, Reply) else "",
        "caused_by": one.content.trigger if isinstance(one.content, Call) else "",
        "message": one.content.message if isinstance(one.content, Fetch) else "",
        "index": one.content.index if isinstance(one.content, Fetch) else 0,
        "at": now,
    }
    key = f"{one.id}:{outcome}:{tries}"
    return Envelope("outbox", one.kind, key, f"ticket:{one.ticket}", now, orjson.dumps(told))


_to_retry = select(outgoing.c.id, outgoing.c.ticket)
_again = Many(update(outgoing).where(outgoing.c.id == bindparam("of")))


def retry(connection: Connection, ids: Sequence[str] | Stuck, now: datetime) -> int:
    """Dead or held ones are owed again, from now on, in their order."""
    if isinstance(ids, str):
        rows = list(connection.execute(_to_retry.where(outgoing.c.state == ids)))
    else:
        named = _to_retry.where(outgoing.c.state.in_((DEAD, HELD)), one_of(outgoing.c.id))
        rows = [row for these in chunks(ids) for row in connection.execute(named, {"these": these})]
    if rows:
        fresh = {"state": QUEUED, "due_at": now, "attempts": 0, "settled_at": None}
        _again.run(connection, [{"of": row.id, **fresh} for row in rows])
        go_on(connection, [row.ticket for row in rows])
    return len(rows)


_to_drop = select(outgoing.c.id, outgoing.c.ticket, outgoing.c.target, outgoing.c.step).where(
    outgoing.c.id == bindparam("of"), outgoing.c.state.in_((DEAD, HELD))
)
_following = select(outgoing.c.id).where(
    outgoing.c.ticket == bindparam("about"), outgoing.c.target == bindparam("at"),
    outgoing.c.state.in_((QUEUED, DEAD, HELD)),
)  # fmt: skip


def drop(connection: Connection, vault: Vault, ids: Sequence[str] | Stuck, by: str, now: datetime) -> list[str]:
    """Give up dead or held ones for good. Gives the ids of all that were dropped, with what cannot be without them."""
    if isinstance(ids, str):
        ids = list(connection.scalars(select(outgoing.c.id).where(outgoing.c.state == ids).order_by(outgoing.c.seq)))
    dropped: list[str] = []
    for identity in ids:
        if (row := connection.execute(_to_drop, {"of": identity}).first()) is None:
            continue
        gone = [row.id]
        if row.step == "create":
            about = {"about": row.ticket, "at": row.target}
            gone += [one for one in connection.scalars(_following, about) if one != row.id]
        for one in gone:
            why = vault.house.seal(dump(Never(f"dropped by {by}")), settlement_place(one))
            connection.execute(_settle, {"of": one, "state": DROPPED, "settled_at": now, "settlement": why})
        go_on(connection, [row.ticket])
        dropped += gone
    return dropped


_stuck = select(
    outgoing.c.seq, outgoing.c.id, outgoing.c.contact, outgoing.c.ticket, outgoing.c.step, outgoing.c.message,
    outgoing.c.sealed,
).where(outgoing.c.id == bindparam("of"), outgoing.c.state.in_((DEAD, HELD)))  # fmt: skip


def edit(connection: Connection, vault: Vault, identity: str, changes: Mapping[str, str]) -> bool:
    """Mend a reply that was refused or held: `to` (an address), `subject`, `text`. It keeps its id.

    False if there is no such reply, or it is on its way. What it was before stays in the decision that owed it.
    """
    row = connection.execute(_stuck, {"of": identity}).first()
    if row is None or row.step != REPLY:
        return False
    keys = Keys(vault).fetch_of(connection, [row])
    one = keys.outgoing(row)
    assert isinstance(one.content, Reply)
    reply = one.content
    to = Address(reply.to.kind, changes["to"], reply.to.name) if "to" in changes else reply.to
    subject, text = changes.get("subject", reply.subject), changes.get("text", reply.text)
    mended = replace(one, content=replace(reply, to=to, subject=subject, text=text))
    sealed = keys.seal(keys.id_of[row.contact], mended, outgoing_place(identity))
    connection.execute(_settle, {"of": identity, "sealed": sealed})
    return True


def hold(connection: Connection, held: bool) -> None:
    """Hold everything back, or let it go again: a restored backup must not send what was sent since."""
    if held:
        insert_new(meta).run(connection, [{"name": "outbox_held", "value": b"1"}])
    else:
        connection.execute(meta.delete().where(meta.c.name == "outbox_held"))


def is_held(connection: Connection) -> bool:
    return connection.scalar(select(meta.c.name).where(meta.c.name == "outbox_held")) is not None


def known_place(target: str, ticket: str) -> str:
    return f"known.sealed:{target}:{ticket}"
