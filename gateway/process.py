"""What waits in the journal becomes tickets.

    claim a lane -> parse -> enrich -> look up -> place -> number -> decide -> commit

Work goes on in rounds. Each round takes in new envelopes, one of each free lane, beside what is still under way; so a
request with a thousand messages keeps nobody else waiting. Of messages that touch the same ticket, contact or thread
only the first goes in a round: the next one sees what it became. Reading and deciding run in a thread, since they are
work for the processor and the door must go on answering; everything below is pure. Each message is committed in one
transaction with its ticket, decision, outgoing things and timers; it can be killed anywhere and run again.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from engine import waiting
from engine.acknowledgement import THROTTLES
from engine.decide import TOO_MANY
from engine.decision import Acknowledge, Case, Decision, Fact, Feedback, Route, Work, sealed
from engine.routing import turn
from engine.thread import Found, Placed, Wanted, lookups, place
from engine.words import Said
from gateway import ledger as ledgers
from gateway import metrics, notice, owing
from gateway.crypto import SealedError
from gateway.faults import reach
from gateway.files import MEDIUM
from gateway.gather import gather
from gateway.house import House
from gateway.ledger import Ledger
from gateway.log import log
from gateway.mind import UNRENDERED, Mind, Spoken
from gateway.queue.bell import Bell
from gateway.store.ledger import Entry, Recipient
from gateway.store.standing import carried_by
from gateway.store.work import Claim, Outcome
from normalizer.canon import Kind, Message, Task, Ticket, altered
from normalizer.errors import Unavailable, Unreadable

BATCH = 128
ROUNDS_LOST = 8  # how often a lane may lose against another one before it is left to the next claim

# Kept, and added to a ticket they belong to, but nobody asked for anything: no ticket of their own.
NOT_A_REQUEST = frozenset(
    {
        Kind.AUTO_REPLY,
        Kind.BOUNCE,
        Kind.FEEDBACK_LOOP,
        Kind.READ_RECEIPT,
        Kind.LOOP,
        Kind.DELIVERY_NOTICE,
        Kind.REACTION,
        Kind.DELETE,
    }
)


def no_request(message: Message) -> str:
    """The code of what is kept without a ticket, unless it belongs to one; empty for what asks for something."""
    if message.kind in NOT_A_REQUEST:
        return message.kind.value
    return "echo" if message.direction == "out" else ""


LIMITS = {reason: code for code, reason in {**THROTTLES, "sender": TOO_MANY}.items()}


@dataclass(slots=True)
class Reading:
    """A claimed envelope, read: what is still to be placed, and what went wrong."""

    claim: Claim
    mind: Mind  # what decides, from its first message to its last, whatever goes live meanwhile
    messages: list[Message]
    told: notice.Notice | None = None
    trouble: Exception | None = None  # once all messages are placed the envelope is put aside for this
    lost: int = 0
    forget: bool = False  # some of it was taken back before it came: nobody may read it again
    begun: bool = False  # some of its messages are committed

    def wanted(self, share: int) -> list[Wanted]:
        if self.told:
            return [self.told.wanted()]
        return [lookups(message, ours=self.mind.is_ours(message.sender.address)) for message in self.messages[:share]]


async def work(house: House, stop: asyncio.Event) -> None:
    """Process what waits; once told to stop, no more than what is under way."""
    gc.set_threshold(10_000, 20, 20)  # nearly all that a mail makes goes by itself: looking for the rest can wait
    gc.freeze()  # rules, models and tables stay: walking them at each full collection costs 0.1 ms a mail
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


def read_all(mind: Mind, claims: Sequence[Claim]) -> list[Reading]:
    """Parse all, then enrich all: so what each works with stays in the processor's cache.

    Trouble with one is kept beside it and stops no other.
    """
    readings = [read(mind, claim) for claim in claims]
    try:
        enriched = iter(understood(mind, [message for reading in readings for message in reading.messages]))
        for reading in readings:
            reading.messages = [next(enriched) for _ in reading.messages]
    except Exception:
        for reading in readings:
            _understand(reading)
    return readings


def _understand(reading: Reading) -> None:
    """One alone, to see whether it is this one that cannot be understood."""
    try:
        reading.messages = understood(reading.mind, reading.messages)
    except Exception as e:
        reading.messages, reading.trouble = [], reading.trouble or e


def read(mind: Mind, claim: Claim) -> Reading:
    """Parse one envelope."""
    envelope = claim.envelope
    if envelope.connector == MEDIUM and not envelope.transport:  # erased before anybody looked at it
        return Reading(claim, mind, [])
    try:
        if told := notice.read(envelope):
            return Reading(claim, mind, [], told)
        connector = mind.connectors.get((envelope.connector, envelope.account))
        if connector is None:
            raise Unreadable(f"no account {envelope.connector}/{envelope.account} is configured any more")
        return Reading(claim, mind, list(connector.parse(envelope)))
    except Unreadable as e:
        return Reading(claim, mind, list(e.readable), trouble=e)
    except Exception as e:
        return Reading(claim, mind, [], trouble=e)


def understood(mind: Mind, messages: Sequence[Message]) -> list[Message]:
    """The messages with what machines can tell of them, and whether anybody can answer."""
    enriched = mind.enricher.enrich_all(messages)
    return [message if mind.way_back(message) else replace(message, answerable=False) for message in enriched]


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


async def look_up(house: House, drafts: Sequence["Draft"], now: datetime) -> None:
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


async def drafted(house: House, readings: Sequence[Reading], now: datetime) -> "list[Draft]":
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


def fail(reading: Reading, message: Message | None, error: Exception) -> None:
    """Go on without this message; the envelope is put aside for it in the end."""
    reading.trouble = reading.trouble or error
    reading.messages = [other for other in reading.messages if other is not message]


async def left(
    house: House, readings: Sequence[Reading], drafts: Sequence["Draft"], done: set[int], now: datetime
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


@dataclass(slots=True)
class Draft:
    """One message in its place (or a notice about a ticket), before deciding. `placed` None: nothing to decide."""

    reading: Reading
    message: Message | None
    found: Found
    placed: Placed | None
    last: bool  # with it the envelope is done
    news: notice.News | None = None
    outside: Mapping[str, Fact] = field(default_factory=dict)
    to: Recipient | None = field(init=False)
    said: Said | None = None  # of the rules' words
    made: Decision | None = None  # not sealed yet
    fired: Sequence[bytes] = ()  # as `sealed` takes it
    spoken: Spoken = field(default_factory=dict)
    trouble: Exception | None = None

    def __post_init__(self) -> None:
        self.to = addressee(self)

    def touches(self) -> set[object]:
        """Ticket, contact and the ids that tie a conversation together: what others of this round may not touch."""
        touched: set[object] = {self.placed.ticket.id, self.placed.contact.id} if self.placed else set()
        if said := self.message:
            names = (said.external_id, said.in_reply_to, said.thread_key, *said.references)
            touched.update((said.channel, said.scope, name) for name in names if name)
        return touched


def draft(reading: Reading, message: Message | None, found: Found, now: datetime) -> Draft:
    if reading.told:
        if (news := reading.told.news(found, now)) is None:
            return Draft(reading, None, found, None, True)
        return Draft(reading, news.message, found, news.placed, True, news)
    assert message is not None
    last = len(reading.messages) == 1 and not reading.trouble
    if found.placed_before or found.taken_back:
        reading.forget |= found.taken_back
        return Draft(reading, message, found, None, last)
    reopens = timedelta(days=reading.mind.configured.settings.reopen_within)
    placed = place(message, found, now, reopens, reading.mind.silence(message))
    if placed.is_new and no_request(message):
        return Draft(reading, message, found, None, last)
    return Draft(reading, message, found, placed, last)


def distinct(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts of a round: none touches what one before it does, or comes from an envelope whose turn was passed."""
    taken: set[object] = set()
    passed: set[int] = set()
    now: list[Draft] = []
    for one in drafts:
        touches = one.touches()
        if id(one.reading) in passed or touches & taken:
            passed.add(id(one.reading))
        else:
            now.append(one)
        taken |= touches
    return now


def in_turn(
    house: House, drafts: Sequence[Draft], numbers: dict[str, str], ledger: Ledger, now: datetime
) -> list[Outcome | Exception]:
    """The outcomes of a round. An exception is an answer too, so that one cannot spoil a batch.

    It goes step by step, since so what each works with stays in the processor's cache: rules' words are found in all
    messages; then decisions are made one after another, each knowing whom those before it gave work to; then they are
    put into words, and then sealed.
    """
    moved: Counter[str] = Counter()

    def decide(one: Draft) -> None:
        if moved:
            load = Counter(one.found.load)
            load.update(moved)
            one.found = altered(one.found, load={whose: many for whose, many in load.items() if many > 0})
        _decide(one, numbers, ledger, now)
        _move(moved, one)

    for step in (_hear, decide, _speak):
        for one in drafts:
            try:
                if one.trouble is None:
                    step(one)
            except Exception as e:
                one.trouble = e
    return [one.trouble or outcome(house, one) for one in drafts]


def _hear(draft: Draft) -> None:
    if draft.placed and draft.placed.trigger:
        draft.said = draft.reading.mind.ruleset.said(draft.message)


def _speak(draft: Draft) -> None:
    if draft.made:
        draft.made, draft.spoken = draft.reading.mind.spoken(draft.made)


def _decide(draft: Draft, numbers: dict[str, str], ledger: Ledger, now: datetime) -> None:
    """What the rules make of it; none if there is nothing to decide."""
    placed = draft.placed
    if placed is None:
        return
    if placed.is_new:
        draft.placed = placed = replace(placed, ticket=altered(placed.ticket, number=numbers[placed.ticket.id]))
    if not placed.trigger:
        return
    throttled = ledger.check(draft.to) if draft.to else ""
    weighing = case(placed, draft.message, draft, now, throttled)
    draft.made, draft.fired = draft.reading.mind.weighed(weighing, draft.said)
    if draft.to and (code := entered(draft.made)) is not None:
        ledger.enter(draft.to, code)


def _move(moved: Counter[str], draft: Draft) -> None:
    if draft.placed is None:
        return
    ticket = draft.made.ticket if draft.made else draft.placed.ticket
    moved.update(carried_by(ticket))
    if before := draft.found.tickets.get(ticket.id):
        moved.subtract(carried_by(before))
    for group, agent, number in turns(draft.made) if draft.made else ():
        for whose in (turn(group), turn(group, agent)):
            moved[whose] += number - draft.found.load.get(whose, 0)


def local_day(house: House, ticket: Ticket) -> str:
    return ticket.captured_at.astimezone(house.configured.settings.zone).strftime("%Y%m%d")


def addressee(draft: Draft) -> Recipient | None:
    """Whom the acknowledgement would be for, if there should be one."""
    if draft.message is None or draft.placed is None or not draft.placed.is_new or not draft.message.answerable:
        return None
    way = draft.reading.mind.way_back(draft.message)
    return ledgers.recipient(draft.message, way[1]) if way else None


def outcome(house: House, draft: Draft) -> Outcome | Exception:
    """Everything that is committed for one draft; an exception is an answer, so that one cannot spoil a batch."""
    try:
        return _outcome(house, draft)
    except Exception as e:
        return e


def _outcome(house: House, draft: Draft) -> Outcome:
    reading, message = draft.reading, draft.message
    forget = reading.forget and draft.last
    if draft.placed is None:
        if message is None or draft.found.placed_before or draft.found.taken_back:
            of_nobody = reading.claim.envelope.connector == MEDIUM  # a file of what was taken back meanwhile
            alone = replace(reading.claim, further=())  # what would have been gathered with it has its own turn
            return Outcome(alone, forget=of_nobody or forget, done=draft.last)
        noted = no_request(message)
        return Outcome(reading.claim, messages=((message, ""),), noted=noted, done=draft.last, forget=forget)
    placed, to = draft.placed, draft.to
    amended = (draft.news.amended,) if draft.news and draft.news.amended else ()
    if draft.made is None:  # news that changes the ticket, and nothing to decide
        return Outcome(reading.claim, tickets=(raised(placed.ticket),), amended=amended, done=True)
    before = draft.found.tickets.get(placed.ticket.id)
    made = sealed(draft.made, draft.fired)
    ticket = raised(made.ticket)
    entry = Entry(to, code) if to and (code := entered(made)) is not None else None
    return Outcome(
        reading.claim,
        messages=((message, ticket.id),) if message else (),
        contacts=(placed.contact,),
        tickets=(ticket,),
        decisions=(made,),
        outgoing=owing.outgoing(house, made, draft.spoken, ticket, draft.found.latest),
        timers=owing.timers(house, before, ticket),
        cancelled_timers=owing.cancelled(before, ticket),
        turns=turns(made),
        acknowledged=(entry,) if entry else (),
        amended=amended,
        completed=tuple(one.id for one in amended),
        done=draft.last,
        hold=not house.outbound,
        forget=forget,
    )


def case(placed: Placed, message: Message | None, draft: Draft, now: datetime, throttled: str = "") -> Case:
    """What the decision may look at, recorded with it."""
    found, news = draft.found, draft.news
    changed = news.changed if news else {}
    ticket, cancelled = waiting.ended(placed.ticket, placed.trigger, message, changed)
    return Case(
        trigger=placed.trigger,
        now=now,
        ticket=ticket,
        contact=placed.contact,
        message=message or (news.amended if news else None),
        proven=message.proven if message else False,
        history=found.history,
        load=found.load,
        previous=found.previous.get(placed.ticket.id, ""),
        by=news.by if news else "",
        outside=draft.outside,
        changed=changed,
        about=news.about if news else "",
        due=news.due if news else (),
        cancelled=cancelled,
        answerable=bool(found.latest and found.latest.answerable),
        placed_by=placed.by,
        throttled=throttled,
        milestone=news.about if news and placed.trigger.startswith("sla.") else "",
        tasks=tuple(map(_work, ticket.tasks)),
        task=next((_work(task) for task in ticket.tasks if news and task.id == news.about), None),
        feedback=Feedback(ticket.feedback.score, ticket.feedback.comment) if ticket.feedback else None,
    )


def _work(task: Task) -> Work:
    """A task as rules look at it."""
    return Work(task.type, task.status, task.group, task.assignee, task.result)


def turns(made: Decision) -> tuple[tuple[str, str, int], ...]:
    """Whose turn it was, if agents of the group take turns and one was chosen now."""
    agent, before = made.ticket.assignee, made.case.ticket.assignee
    for effect in made.effects:
        if isinstance(effect, Route) and effect.by == "round_robin" and agent and agent != before:
            return ((effect.group, agent.value, made.case.load.get(turn(effect.group), 0) + 1),)
    return ()


def entered(made: Decision) -> str | None:
    """The limit that kept an acknowledgement back; empty if it is owed; None if the rules wanted none."""
    if any(isinstance(effect, Acknowledge) for effect in made.effects):
        return ""
    kept = (reason.removeprefix("acknowledge: ") for reason in made.withheld if reason.startswith("acknowledge: "))
    return next((code for reason in kept if (code := LIMITS.get(reason))), None)


def raised(ticket: Ticket) -> Ticket:
    return altered(ticket, version=ticket.version + 1)


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
