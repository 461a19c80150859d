"""What the outbox owes, until it is taken or refused.

    due -> send | file | call -> settle(sent | later | never)

Dispatch never decides. Its outcomes enter by the journal, like everything that can change a decision.
"""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.base import Fetcher, Known
from gateway import files, metrics
from gateway.faults import reach
from gateway.house import House
from gateway.log import log
from gateway.owing import NOBODY
from gateway.store.work import Later, Never, Owed, Settlement
from normalizer.canon import MISSING, Call, Fetch, HandoverStep, Outgoing, Reply, Sent
from normalizer.errors import Refused, Unavailable

AT_A_TIME = 32  # leased in one transaction
LONGEST_WAIT = timedelta(hours=1)
PAUSE = 1.0  # seconds until a store that is away is asked again
LONGEST_ATTEMPT = 90.0  # seconds; well within the lease


def backoff(outgoing: Outgoing) -> timedelta:
    """Double each time, at most an hour; the spread comes from the id, so tests need no dice."""
    spread = int(outgoing.id[-2:], 16) / 255
    return min(LONGEST_WAIT, timedelta(seconds=2 ** min(outgoing.attempts, 12) * (1 + spread)))


async def dispatch(house: House) -> None:
    """Send what is due, until cancelled. How much of it goes to one target at once, the store says."""
    under_way: set[asyncio.Task[None]] = set()
    try:
        while True:
            owed = await _due(house)
            for one in owed:
                task = asyncio.create_task(deliver(house, one))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                task.add_done_callback(lambda _: house.owed.ring())
            if not owed:
                await house.owed.wait()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _due(house: House) -> list[Owed]:
    """What is under way goes on while the store is away: nothing is due then."""
    try:
        return await house.store.due(house.clock.now(), AT_A_TIME, outbound=house.outbound)
    except Unavailable as e:
        log.error("waiting for the store", role="dispatch", hint=e.reason)
        return []


async def deliver(house: House, owed: Owed) -> None:
    """One attempt, and what became of it."""
    outgoing = owed.outgoing
    settlement = await attempt(house, owed)
    now = house.clock.now()
    if isinstance(settlement, Later) and outgoing.attempts >= house.configured.settings.outgoing_attempts:
        told = f"gave up after {outgoing.attempts} attempts: {settlement.reason}"
        settlement = Never(told, status=settlement.status)
    await _settled(house, owed, settlement, now)
    outcome = type(settlement).__name__.lower()
    metrics.settled.labels(outgoing.target, outcome).inc()
    level = log.info if isinstance(settlement, Sent) else log.warning
    level("outgoing " + outcome, outgoing=outgoing.id, target=outgoing.target, attempts=outgoing.attempts)
    house.work.ring()
    house.hub.ring()


async def _settled(house: House, owed: Owed, settlement: Settlement, now: datetime) -> None:
    """Told as soon as the store can be told, as long as the lease lasts: what was sent must not be sent again."""
    while True:
        try:
            await house.store.settle(owed, settlement, now)
            return
        except Unavailable:
            if house.clock.now() > now + house.store.limits.outgoing_lease:
                raise
            await asyncio.sleep(PAUSE)


async def attempt(house: House, owed: Owed) -> Settlement:
    """Hand it to whoever takes it. What nobody foresaw is tried again like an outage, and logged."""
    outgoing, now = owed.outgoing, house.clock.now()
    try:
        async with asyncio.timeout(LONGEST_ATTEMPT):
            return await _send(house, owed, now)
    except TimeoutError:
        return Later(f"no answer within {LONGEST_ATTEMPT:.0f} seconds", now + backoff(outgoing))
    except Unavailable as e:
        return Later(e.reason, now + (e.wait or backoff(outgoing)), e.status)
    except Refused as e:
        return Never(e.reason, e.bounced, e.status)
    except Exception as e:
        log.error("sending failed in an unforeseen way", outgoing=outgoing.id, target=outgoing.target, exc_info=e)
        return Later(f"unforeseen {type(e).__name__}", now + backoff(outgoing))


async def _send(house: House, owed: Owed, now: datetime) -> Sent:
    if owed.damaged:
        raise Refused("what was stored of it cannot be opened")
    match owed.outgoing.content:
        case Reply() as reply:
            connector = house.mind.connectors.get((reply.connector, reply.account))
            if (reply.connector, reply.account) == NOBODY:
                raise Refused(
                    "no account of ours can send it: none reaches them, they said STOP, or wrote nothing to be answered"
                )
            if connector is None:
                raise Refused(f"no account {reply.connector}/{reply.account} is configured any more")
            if owed.outgoing.kind == "reply":  # what a colleague answers to a notice is no customer's word
                reply = replace(reply, key=house.store.reply_key(reply.ticket, reply.number))
            return await connector.send(reply, now)
        case HandoverStep() as step:
            helpdesk = house.helpdesks.get(step.target)
            if helpdesk is None:
                raise Refused(f"no helpdesk {step.target} is configured any more")
            return await helpdesk.file(step, Known(owed.external_id, owed.url), now)
        case Fetch() as fetch:
            return await _fetch(house, fetch, now)
        case Call() as call:
            callee = house.calls.get(call.target)
            if callee is None:
                raise Refused(f"nothing to call is named {call.target} any more")
            reach("call.before")
            sent = await callee.call(call, now)
            reach("call.after")
            return sent


async def _fetch(house: House, fetch: Fetch, now: datetime) -> Sent:
    """The file enters by the journal, before we say that we have it."""
    connector = house.mind.connectors.get((fetch.connector, fetch.account))
    if not isinstance(connector, Fetcher):
        raise Refused(f"no account {fetch.connector}/{fetch.account} is configured any more", status="gone")
    try:
        found = await connector.fetch(fetch.attachment, now)
    except Refused as e:
        raise Refused(e.reason, status="gone") from None
    if found.missing:
        raise Refused(MISSING[found.missing], status=found.missing)
    await house.store.journal([files.fetched(fetch, found, now)], now)
    reach("fetch.after_journal")
    return Sent()
