"""How every account and target has been lately, from the newest rows: bounded, however much there is."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from gateway.crypto import SealedError, Vault
from gateway.store.tables import DEAD, HELD, JOURNAL, SENT, WAITING, envelopes, outgoing, quarantine, work
from gateway.store.words import settlement_place

LATELY = 20_000  # rows
ENOUGH = 10  # arrivals to speak of a rhythm
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Incoming:
    """What an account brought of the newest envelopes; `usual_gap` is the mean time between two of them."""

    connector: str
    account: str
    last: datetime
    seen: int
    usual_gap: timedelta | None
    waiting: int
    failed: int  # set aside within a day


@dataclass(frozen=True, slots=True)
class Target:
    """How sending to one target goes."""

    name: str
    last_sent: datetime | None
    owed: int
    dead: int
    held: int
    trouble: str  # why the latest attempt failed, as far as something still waits or is dead


@dataclass(frozen=True, slots=True)
class Pulse:
    incoming: tuple[Incoming, ...]
    targets: tuple[Target, ...]


def pulse(connection: Connection, vault: Vault, now: datetime) -> Pulse:
    return Pulse(_incoming(connection, now), _targets(connection, vault))


def _incoming(connection: Connection, now: datetime) -> tuple[Incoming, ...]:
    newest = select(envelopes.c.seq, envelopes.c.connector, envelopes.c.account, envelopes.c.received_at)
    lately = newest.order_by(envelopes.c.seq.desc()).limit(LATELY).subquery()
    rows = connection.execute(
        select(
            lately.c.connector, lately.c.account, func.count().label("seen"),
            func.min(lately.c.received_at).label("first"), func.max(lately.c.received_at).label("last"),
        ).group_by(lately.c.connector, lately.c.account)
    )  # fmt: skip
    waits = select(envelopes.c.connector, envelopes.c.account, func.count()).join(work, work.c.seq == envelopes.c.seq)
    waiting = _counts(connection, waits.where(work.c.state == WAITING), envelopes)
    aside = select(quarantine.c.connector, quarantine.c.account, func.count())
    failed = _counts(connection, aside.where(quarantine.c.stage == JOURNAL, quarantine.c.at > now - DAY), quarantine)
    return tuple(
        Incoming(
            row.connector, row.account, row.last, row.seen, _gap(row.first, row.last, row.seen),
            waiting[row.connector, row.account], failed[row.connector, row.account],
        )
        for row in sorted(rows, key=lambda row: (row.connector, row.account))
    )  # fmt: skip


def _gap(first: datetime, last: datetime, seen: int) -> timedelta | None:
    """The mean time between two; of few nothing can be said."""
    return (last - first) / (seen - 1) if seen >= ENOUGH else None


def _counts(connection: Connection, statement: Any, table: Any) -> Counter[tuple[str, str]]:
    grouped = statement.group_by(table.c.connector, table.c.account)
    return Counter({(connector, account): count for connector, account, count in connection.execute(grouped)})


def _targets(connection: Connection, vault: Vault) -> tuple[Target, ...]:
    unsent = select(outgoing.c.target, outgoing.c.state, func.count()).where(outgoing.c.state != SENT)
    owed: dict[str, Counter[str]] = {}
    for target, state, count in connection.execute(unsent.group_by(outgoing.c.target, outgoing.c.state)):
        owed.setdefault(target, Counter())[state] = count
    newest = select(outgoing.c.target, outgoing.c.settled_at).where(outgoing.c.state == SENT)
    lately = newest.order_by(outgoing.c.seq.desc()).limit(LATELY).subquery()
    sent = dict(
        connection.execute(select(lately.c.target, func.max(lately.c.settled_at)).group_by(lately.c.target)).all()
    )
    troubles = _troubles(connection, vault)
    return tuple(
        Target(
            name, sent.get(name), sum(states.values()) - states[DEAD] - states[HELD], states[DEAD], states[HELD],
            troubles.get(name, ""),
        )
        for name in sorted(owed.keys() | sent.keys())
        for states in [owed.get(name, Counter())]
    )  # fmt: skip


def _troubles(connection: Connection, vault: Vault) -> dict[str, str]:
    stuck = select(outgoing.c.id, outgoing.c.target, outgoing.c.settlement).where(
        outgoing.c.state.in_((WAITING, DEAD)), outgoing.c.settlement.is_not(None)
    )
    told: dict[str, str] = {}
    for row in connection.execute(stuck.order_by(outgoing.c.seq.desc()).limit(200)):
        if row.target not in told:
            try:
                said = json.loads(vault.house.open(row.settlement, settlement_place(row.id)))
                told[row.target] = said.get("reason", "")
            except (SealedError, ValueError):
                told[row.target] = ""
    return told
