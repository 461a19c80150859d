"""What a decision owes to the outside and to the clock. Ids are digests of what each is, so each happens once."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta

from connectors.base import Fetcher
from engine.acknowledgement import Words
from engine.decision import COMPLETED, Acknowledge, Answer, AskFor, CallOut, Decision, HandOver, Notify
from engine.sla import nearly
from gateway import acknowledge
from gateway.files import fetch_of, left_behind
from gateway.house import House
from gateway.mind import Spoken
from gateway.notice import WAIT, promise_timer
from gateway.store.work import Timer
from normalizer.canon import MEDIA, Address, Call, Fetch, HandoverStep, Message, Outgoing, Reply, Ticket, digest

FILES_FIRST = timedelta(minutes=1)  # so long a helpdesk waits for the files of what it is told
PERSON = "person"  # the connector of what colleagues do
NOBODY = ("email", "none")  # the account of what nobody can send: a dead letter tells it
OPT_OUT = "opt_out"  # the claim of who said STOP: not all vendors keep us from writing to them all the same
UNTOLD = frozenset(("api", "import"))  # whoever brought these asks for what was said, or wants nothing said


def outgoing(
    house: House, made: Decision, spoken: Spoken, ticket: Ticket, latest: Message | None
) -> tuple[Outgoing, ...]:
    """The decision's effects that leave the house. `latest` is what the customer said last, before this."""
    owed: list[Outgoing] = list(_files(house, made, ticket))
    patience = FILES_FIRST if owed else timedelta()
    counted: dict[tuple[str, str], int] = {}
    for effect in made.effects:
        match effect:
            case Acknowledge() | Answer() | AskFor():
                owed.extend(_words(house, made, effect.verb, spoken, ticket, latest))
            case HandOver(targets):
                for target in targets if "all" not in targets else tuple(house.helpdesks):
                    step = handover(target, made, ticket)
                    owed.append(Outgoing(step.id, "handover", target, ticket.id, made.case.now + patience, step))
            case Notify() | CallOut():
                number = counted[effect.verb, effect.rule] = counted.get((effect.verb, effect.rule), 0) + 1
                owed.extend(_told(house, made, effect, ticket, number))
            case _:
                pass
    owed.extend(_said(house, made, ticket, latest))
    return tuple(owed)


def _files(house: House, made: Decision, ticket: Ticket) -> Iterator[Outgoing]:
    """What was left behind at the vendor, before its URLs die."""
    message = made.case.message
    if message is None or made.case.trigger == COMPLETED:
        return
    wanted = [(index, one) for index, one in enumerate(message.attachments) if left_behind(one)]
    account = (message.connector, message.account)
    if not wanted or not isinstance(house.mind.connectors.get(account), Fetcher):
        return
    for index, one in wanted:
        fetch = Fetch(fetch_of(message, index), *account, ticket.id, ticket.number, message.id, index, one)
        yield Outgoing(fetch.id, "fetch", MEDIA + "/".join(account), ticket.id, made.case.now, fetch)


def _said(house: House, made: Decision, ticket: Ticket, latest: Message | None) -> Iterator[Outgoing]:
    """What a colleague says to the customer, by the way the customer spoke last; a dead letter if there is none."""
    said = made.case.message
    if made.case.trigger != "agent.replied" or said is None or said.connector != PERSON:
        return
    identity, now = digest("said", said.id), made.case.now
    stopped = latest and latest.claims.get(OPT_OUT) == "stop"
    via = house.mind.way_back(latest, automatic=False) if latest and not stopped else None
    if latest and via:
        language = latest.understanding.language or ticket.language
        words = Words(language, f"Re: {ticket.subject} [{ticket.number}]", said.text.strip() + "\n")
        reply = replace(acknowledge.reply(words, ticket, latest, *via, identity, now), automatic=False)
    elif ticket.source.channel not in UNTOLD:
        reply = Reply(
            identity, ticket.source.channel, *NOBODY, ticket.id, ticket.number, Address("", ""), ticket.subject,
            said.text, ticket.language, automatic=False, made_at=now,
        )  # fmt: skip
    else:
        return
    yield Outgoing(reply.id, "reply", f"{reply.connector}/{reply.account}", ticket.id, now, reply)


def _words(
    house: House, made: Decision, verb: str, spoken: Spoken, ticket: Ticket, latest: Message | None
) -> Iterator[Outgoing]:
    """Words for the customer, by the way that spoke."""
    said = made.case.message
    answered = said if said and said.author == "customer" and said.direction == "in" else latest
    if verb not in spoken or answered is None or (via := house.mind.way_back(answered)) is None:
        return
    identity = "" if verb == "acknowledge" else digest(verb, ticket.id, ticket.version)
    reply = acknowledge.reply(spoken[verb], ticket, answered, *via, identity, made.case.now)
    yield Outgoing(reply.id, "reply", "/".join(via[0]), ticket.id, made.case.now, reply)


def handover(target: str, made: Decision, ticket: Ticket) -> HandoverStep:
    """Create the ticket over there, or add what was said since, or tell its new fields."""
    message = made.case.message
    known = any(external.system == target for external in ticket.external)
    if made.case.trigger == "ticket.created" or (made.case.due and not known):
        return HandoverStep(digest("create", target, ticket.id), target, "create", ticket, made.case.contact, message)
    if message:
        return HandoverStep(digest("append", target, message.id), target, "append", ticket, made.case.contact, message)
    return HandoverStep(
        digest("update", target, ticket.id, ticket.version), target, "update", ticket, made.case.contact
    )


def _told(house: House, made: Decision, effect: Notify | CallOut, ticket: Ticket, number: int) -> Iterator[Outgoing]:
    """Mails to people of ours, and signed calls."""
    name = (effect.verb, ticket.id, ticket.version, effect.rule, number)
    if isinstance(effect, CallOut):
        yield _call(made, effect.target, effect.rule, dict(effect.given), ticket, digest(*name))
        return
    for target in effect.calls:
        yield _call(made, target, effect.rule, {"text": effect.text}, ticket, digest(*name, target))
    via = _mailbox(house, ticket)
    for address in effect.addresses:
        mail = _notice(house, effect, ticket, via, address, digest(*name, address))
        dated = replace(mail, made_at=made.case.now)
        yield Outgoing(mail.id, "notice", "/".join(via), ticket.id, made.case.now, dated)


def _call(made: Decision, target: str, rule: str, given: Mapping[str, str], ticket: Ticket, identity: str) -> Outgoing:
    case = made.case
    call = Call(identity, target, rule, case.trigger, case.now, ticket.number, ticket, case.contact, given)
    return Outgoing(identity, "call", f"call/{target}", ticket.id, case.now, call)


def _mailbox(house: House, ticket: Ticket) -> tuple[str, str]:
    """The mail account that notices go by: the ticket's own, if it can send, else the first that can."""
    sending = sorted(account for account, one in house.mind.mailboxes.items() if one.sends)
    own = (ticket.source.connector, ticket.source.account)
    return own if own in sending else next(iter(sending), NOBODY)


def _notice(house: House, effect: Notify, ticket: Ticket, via: tuple[str, str], address: str, identity: str) -> Reply:
    """Number, reason and link: who may see the rest looks at the console."""
    settings = house.configured.settings
    chinese = settings.language == "zh"
    priority = house.mind.vocabulary.label("priority", ticket.priority.value, settings.language)
    link = f"{settings.http.public_url.rstrip('/')}/console/tickets/{ticket.number}" if settings.http.public_url else ""
    lines = [effect.text, ""]
    lines += [f"工单 {ticket.number}，优先级 {priority}" if chinese else f"Ticket {ticket.number}, priority {priority}"]
    lines += [f"规则 {effect.rule}" if chinese else f"Rule {effect.rule}", link]
    return Reply(
        id=identity,
        channel="email",
        connector=via[0],
        account=via[1],
        ticket=ticket.id,
        number=ticket.number,
        to=Address("email", address),
        subject=f"[{ticket.number}] {effect.text}",
        text="\n".join(lines).strip() + "\n",
        language=settings.language,
    )


def timers(house: House, before: Ticket | None, ticket: Ticket) -> tuple[Timer, ...]:
    """One for each promise that is new or moved, at the moment it would be broken; one for each wait that began.

    That a promise is near is watched only if some rule asks for it.
    """
    had = before.sla.milestones if before and before.sla else {}
    made: list[Timer] = []
    for name, milestone in ticket.sla.milestones.items() if ticket.sla else ():
        old = had.get(name)
        if milestone.met_at or milestone.missed or (old and old.due == milestone.due):
            continue
        moments = {"missed": milestone.due}
        if "sla.near" in house.mind.ruleset.triggers:
            moments["near"] = nearly(house.mind.company, ticket, name)
        for what, at in moments.items():
            called = f"{name}.{what}"
            made.append(Timer(promise_timer(ticket.id, called, milestone.due), called, ticket.id, at))
    begun = {wait.id for wait in before.waits} if before else set()
    waits = [Timer(w.id, WAIT + w.name, ticket.id, w.due_at) for w in ticket.waits if w.id not in begun]
    return (*made, *waits)


def cancelled(before: Ticket | None, ticket: Ticket) -> tuple[str, ...]:
    """The timers of waits that ended."""
    left = {wait.id for wait in ticket.waits}
    return tuple(wait.id for wait in before.waits if wait.id not in left) if before else ()
