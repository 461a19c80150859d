"""How the house is: every account, target, the rules, the disk and the clock, each with a word on what to do.

Read only and quick; `doctor` tries things for real, this tells how they have been.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from gateway.clock import JUMP
from gateway.house import House
from gateway.store.ledger import Storm
from gateway.store.pulse import Incoming, Pulse, Target
from gateway.store.work import Counts

State = Literal["ok", "warning", "bad"]
SILENT = 8  # times the usual gap between two arrivals
LEAST_SILENCE = timedelta(hours=1)
LATE = timedelta(minutes=5)  # that something may wait in the journal
ROOM = 1024**3


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that is looked at. `code` names what it says, for words in any language; `facts` are its figures."""

    kind: Literal["account", "target", "rules", "store", "disk", "clock", "outbound"]
    name: str
    state: State
    code: str
    facts: dict[str, str | int | float | None]


async def signs(house: House) -> list[Sign]:
    """Everything, in the order a message meets it."""
    now = house.clock.now()
    seen, counts = await house.store.pulse(now), await house.store.counts()
    told, storm = await house.store.acknowledgements(now)
    return [
        *_accounts(house, seen, now), _rules(house), _journal(counts, now), *_bells(house), _disk(house), _clock(house),
        _outbound(house, counts), _acknowledgements(told, storm, now), *_targets(house, seen),
    ]  # fmt: skip


def _accounts(house: House, seen: Pulse, now: datetime) -> Iterator[Sign]:
    known = {(one.connector, one.account): one for one in seen.incoming}
    for name, account in house.mind.connectors:
        yield _account(f"{name}/{account}", known.get((name, account)), now)


def _account(name: str, one: Incoming | None, now: datetime) -> Sign:
    if one is None:
        return Sign("account", name, "ok", "nothing_yet", {})
    silence = now - one.last
    silent = one.usual_gap is not None and silence > max(LEAST_SILENCE, SILENT * one.usual_gap)
    facts: dict[str, str | int | float | None] = {
        "last": one.last.isoformat(), "silence_seconds": int(silence.total_seconds()), "seen": one.seen,
        "usual_gap_seconds": int(one.usual_gap.total_seconds()) if one.usual_gap else None, "waiting": one.waiting,
        "failed": one.failed,
    }  # fmt: skip
    if one.failed:
        return Sign("account", name, "warning", "failed", facts)
    return Sign("account", name, "warning" if silent else "ok", "silent" if silent else "heard", facts)


def _rules(house: House) -> Sign:
    rules, refusal = house.mind.ruleset, house.rules.refusal
    facts: dict[str, str | int | float | None] = {
        "sha": rules.sha, "rules": len(rules.rules), "kernel": rules.kernel.name,
        "since": house.rules.since.isoformat(), "source": house.configured.settings.rules.source,
    }  # fmt: skip
    if refusal:
        facts |= {"refused_at": refusal.at.isoformat(), "trouble": str(refusal.findings[0]),
                  "findings": len(refusal.findings)}  # fmt: skip
    return Sign("rules", rules.sha[:12], "bad" if refusal else "ok", "refused" if refusal else "live", facts)


def _journal(counts: Counts, now: datetime) -> Sign:
    age = now - counts.oldest_waiting if counts.oldest_waiting else timedelta()
    facts: dict[str, str | int | float | None] = {
        "waiting": counts.waiting, "oldest_seconds": int(age.total_seconds()), "set_aside": counts.set_aside,
        "tickets": counts.tickets,
    }  # fmt: skip
    return Sign("store", "journal", "bad" if age > LATE else "ok", "late" if age > LATE else "keeping_up", facts)


def _bells(house: House) -> Iterator[Sign]:
    """Whether processes wake each other, where they are to."""
    if line := house.bells.line:
        yield Sign("store", "redis", "ok" if line.up else "warning", "rings" if line.up else "away", {})


def _disk(house: House) -> Sign:
    free = shutil.disk_usage(house.configured.data).free
    short = free < ROOM
    return Sign("disk", "data", "bad" if short else "ok", "short" if short else "room", {"free_bytes": free})


def _clock(house: House) -> Sign:
    jumped = house.clock.jumped()
    odd = abs(jumped) > JUMP
    return Sign("clock", "clock", "warning" if odd else "ok", "jumped" if odd else "steady",
                {"seconds": round(jumped.total_seconds(), 1)})  # fmt: skip


def _outbound(house: House, counts: Counts) -> Sign:
    off = not house.outbound
    return Sign(
        "outbound", "outbound", "warning" if off else "ok", "off" if off else "on", {"held": counts.outbox_held}
    )


def _acknowledgements(told: Mapping[str, int], storm: Storm, now: datetime) -> Sign:
    """Within the hour: how many were owed, and held back by each limit; and whether a storm stopped them."""
    rages = storm.rages(now)
    facts: dict[str, str | int | float | None] = {
        "acknowledged": told.get("sent", 0), "withheld": sum(told.values()) - told.get("sent", 0),
        "storm_until": storm.until.isoformat() if rages and storm.until else None,
    }  # fmt: skip
    return Sign("outbound", "acknowledgements", "bad" if rages else "ok", "storm" if rages else "answering", facts)


def _targets(house: House, seen: Pulse) -> Iterator[Sign]:
    known = {one.name: one for one in seen.targets}
    for name in sorted({*known, *house.helpdesks}):
        yield _target(name, known.get(name))


def _target(name: str, one: Target | None) -> Sign:
    if one is None:
        return Sign("target", name, "ok", "nothing_yet", {})
    facts: dict[str, str | int | float | None] = {
        "last_sent": one.last_sent.isoformat() if one.last_sent else None, "owed": one.owed, "dead": one.dead,
        "held": one.held, "trouble": one.trouble,
    }  # fmt: skip
    state: State = "bad" if one.dead else "warning" if one.trouble else "ok"
    return Sign("target", name, state, "dead" if one.dead else "failing" if one.trouble else "taking", facts)
