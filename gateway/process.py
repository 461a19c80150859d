"""What waits in the journal becomes tickets.

    claim a lane -> parse -> enrich -> look up -> place -> number -> decide -> commit

Work goes on in rounds. Each round takes in new envelopes, one of each free lane, beside what is still under way; so a
request with a thousand messages keeps nobody else waiting. Of messages that touch the same ticket, contact or thread
only the first goes in a round: the next one sees what it became. Reading (reading.py) and deciding (draft.py) run in a
thread, since they are work for the processor and the door must go on answering. Each message is committed in one
transaction with its ticket, decision, outgoing things and timers; it can be killed anywhere and run again.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from engine.decision import Decision
from gateway import ledger as ledgers
from gateway import metrics
from gateway.crypto import SealedError
from gateway.draft import Draft, case, distinct, draft, in_turn, local_day
from gateway.faults import reach
from gateway.gather import gather
from gateway.house import House
from gateway.log import log
from gateway.mind import UNRENDERED
from gateway.queue.bell import Bell
from gateway.reading import Reading, fail, read_all, understood
from gateway.store.work import Outcome
from normalizer.errors import Unavailable, Unreadable

BATCH = 128
ROUNDS_LOST = 8  # how often a lane may lose against another one before it is left to the next claim


async def work(house: House, stop: asyncio.Event) -> None:
    """Process what waits; once told to stop, no more than what is under way."""
    under_way: list[Reading] = []
    while under_way or not stop.is_set():
        fresh = [] if stop.is_set() else await take_in(house, BATCH - len(under_way))
        if not fresh and not under_way:
            await rung(house.work, stop)
            continue
        under_way = await one_round(house, [*under_way, *fresh])
        house.owed.ring()
        house.hub.ring()


async def rung(bell: Bell, stop: asyncio.Event) -> None:
    """Until it rings, or it is time to stop."""
    waiting = [asyncio.create_task(bell.wait()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


async def take_in(house: House, room: int) -> list[Reading]:
    """Claim what waits, as much as there is room for, and read it. What cannot be read at all is put aside."""
    claims = await house.store.claim(house.clock.now(), room, house.holder) if room > 0 else []
    if not claims:
        return []
    if len(claims) == room:
        house.work.ring()  # there may be more than one of us can take
    mind = house.mind
    readings = await asyncio.to_thread(read_all, mind, claims)
    reach("process.after_read")
    readings = [whole for reading in readings if (whole := await entire(house, reading))]
    return await going_on(house, readings)


async def entire(house: House, reading: Reading) -> Reading | None:
    """With the rest of the album that it begins; None, and given back, while that may still be coming in."""
    if len(reading.messages) != 1 or not reading.messages[0].album:
        return reading
    connector = reading.mind.connectors[reading.messages[0].connector, reading.messages[0].account]
    try:
        found = await gather(house.store, connector, reading.claim, house.clock.now())
        if found is None:
            return None
        claim, message = found
        return replace(reading, claim=claim, messages=understood(reading.mind, [message]))
    except Unavailable:
        raise
    except Exception as e:  # this one's alone: those claimed with it go on
        return replace(reading, messages=[], trouble=e)


async def going_on(house: House, readings: Sequence[Reading]) -> list[Reading]:
    """Those with something left to do; the others are put aside if there was trouble."""
    for reading in readings:
        if reading.trouble and not reading.messages:
            await put_aside(house, reading)
    return [reading for reading in readings if reading.messages or not reading.trouble]


async def one_round(house: House, readings: list[Reading]) -> list[Reading]:
    """Place and decide what comes next of each, commit it together; return those with more to do."""
    if not readings:
        return []
    now = house.clock.now()
    empty = [
        Outcome(reading.claim, noted="" if reading.begun else "nothing")
        for reading in readings if not reading.messages and not reading.told
    ]  # fmt: skip
    readings = [reading for reading in readings if reading.messages or reading.told]
    drafts = distinct(await drafted(house, readings, now))
    numbers = await house.store.numbers(
        [(d.placed.ticket.id, local_day(house, d.placed.ticket)) for d in drafts if d.placed and d.placed.is_new]
    )
    await look_up(house, drafts, now)
    ledger = await ledgers.opened(house, [d.to for d in drafts if d.to], now)
    outcomes = await asyncio.to_thread(lambda: in_turn(house, drafts, numbers, ledger, now))
    await ledgers.closed(house, ledger)
    made = [(d, made) for d, made in zip(drafts, outcomes, strict=True) if isinstance(made, Outcome)]
    committed = await house.store.commit([*empty, *(outcome for _, outcome in made)], now)
    for d, error in zip(drafts, outcomes, strict=True):
        if isinstance(error, Exception):
            fail(d.reading, d.message, error)
    done = {id(d) for (d, _), kept in zip(made, committed[len(empty) :], strict=True) if kept}
    count([one for d, one in made if id(d) in done], now)
    return await left(house, readings, drafts, done, now)


async def look_up(house: House, drafts: Sequence[Draft], now: datetime) -> None:
    """Ask elsewhere what rules want to know of these, if they want to know anything."""
    for mind in {id(d.reading.mind): d.reading.mind for d in drafts}.values():  # two, while one takes over
        if mind.ruleset.asks:
            asking = [
                (d, case(d.placed, d.message, d, now))
                for d in drafts if d.reading.mind is mind and d.placed and d.placed.trigger
            ]  # fmt: skip
            answers = await house.look_ups.answers(mind, [one for _, one in asking], house.outbound)
            for (d, _), known in zip(asking, answers, strict=True):
                d.outside = known


async def drafted(house: House, readings: Sequence[Reading], now: datetime) -> list[Draft]:
    """Every message that is to be placed, in its place as things stand now."""
    share = max(1, BATCH // max(1, len(readings)))
    wanted = [reading.wanted(share) for reading in readings]
    if any("order" in window.same for reading in readings for window in reading.mind.ruleset.windows):
        wanted = [[replace(one, orders=True) for one in each] for each in wanted]
    found = iter(await house.store.find([one for each in wanted for one in each], now))
    reach("process.after_find")
    drafts: list[Draft] = []
    for reading, each in zip(readings, wanted, strict=True):
        for message, answer in [
            (reading.messages[at] if reading.messages else None, next(found)) for at in range(len(each))
        ]:
            try:
                if isinstance(answer, SealedError):
                    raise answer
                drafts.append(draft(reading, message, answer, now))
            except Exception as e:
                fail(reading, message, e)
    return drafts


async def left(
    house: House, readings: Sequence[Reading], drafts: Sequence[Draft], done: set[int], now: datetime
) -> list[Reading]:
    """What there is still to do; who lost too often against other lanes comes again later."""
    again = []
    for reading in readings:
        tried = [d for d in drafts if d.reading is reading]
        kept = {id(d.message) for d in tried if id(d) in done}
        reading.messages = [message for message in reading.messages if id(message) not in kept]
        reading.begun = reading.begun or bool(kept)
        reading.lost += len(kept) < len(tried) and not reading.trouble
        finished = any(d.last and id(d) in done for d in tried)
        if not finished and reading.lost < ROUNDS_LOST:
            again.append(reading)
        elif not finished:
            await house.store.release(reading.claim, "lost against other lanes", now, timedelta(seconds=1))
    return await going_on(house, again)


async def put_aside(house: House, reading: Reading) -> None:
    """Unreadable: aside with its reason. Anything else: again a little later, until its attempts are used up."""
    envelope, now = reading.claim.envelope, house.clock.now()
    match reading.trouble:
        case Unreadable() as e:
            metrics.processed.labels(envelope.connector, "set_aside").inc()
            log.warning("set aside", envelope=envelope.id, connector=envelope.connector, code=e.code)
            await house.store.set_aside(reading.claim, e.code, e.reason, now)
        case error:
            metrics.processed.labels(envelope.connector, "failed").inc()
            log.error("processing failed", envelope=envelope.id, attempts=reading.claim.attempts, exc_info=error)
            reason = f"{type(error).__name__}: {error}"
            await house.store.release(reading.claim, reason, now, timedelta(seconds=2**reading.claim.attempts))
    house.hub.ring()


def count(outcomes: Sequence[Outcome], now: datetime) -> None:
    """The figures of a round, added up before they are told: each telling takes a lock and finds its labels."""
    fired: Counter[str] = Counter()
    for one in outcomes:
        envelope = one.claim.envelope
        metrics.processed.labels(envelope.connector, "done").inc()
        metrics.process_seconds.observe((now - envelope.received_at).total_seconds())
        for entry in one.acknowledged:
            if entry.code:
                metrics.withheld.labels(entry.code).inc()
        for made in one.decisions:
            fired.update([rule.rule for rule in made.fired])
            _count(made)
    for rule, times in fired.items():
        metrics.fired.labels(rule).inc(times)


def _count(made: Decision) -> None:
    for reason in made.withheld:
        if f": {UNRENDERED}" in reason:
            metrics.unrendered.inc()
            log.error("words for the customer withheld", ticket=made.ticket.number, where=reason)
    if made.case.trigger == "ticket.created":
        ticket = made.ticket
        category = ticket.category.value if ticket.category else "none"
        metrics.tickets.labels(ticket.source.channel, category, ticket.priority.value).inc()
