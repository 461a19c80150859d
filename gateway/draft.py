"""One message in its place, and what is decided of it. Pure, all of it; it runs in a thread."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from engine import waiting
from engine.acknowledgement import THROTTLES
from engine.decide import TOO_MANY
from engine.decision import Acknowledge, Case, Decision, Fact, Feedback, Route, Work, sealed
from engine.routing import turn
from engine.thread import Found, Placed, place
from engine.words import Said
from gateway import ledger as ledgers
from gateway import notice, owing
from gateway.files import MEDIUM
from gateway.house import House
from gateway.ledger import Ledger
from gateway.mind import Spoken
from gateway.reading import Reading
from gateway.store.ledger import Entry, Recipient
from gateway.store.standing import carried_by
from gateway.store.work import Outcome
from normalizer.canon import Kind, Message, Task, Ticket, altered

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

LIMITS = {reason: code for code, reason in {**THROTTLES, "sender": TOO_MANY}.items()}


def no_request(message: Message) -> str:
    """The code of what is kept without a ticket, unless it belongs to one; empty for what asks for something."""
    if message.kind in NOT_A_REQUEST:
        return message.kind.value
    return "echo" if message.direction == "out" else ""


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
