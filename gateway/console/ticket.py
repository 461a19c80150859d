"""One ticket: what was said, why it is as it is, who did what, and what can be done with it.

/console/tickets/{number}                                   GET
/console/tickets/{number}/reveal                            POST: personal data whole, with a reason
/console/tickets/{number}/files/{message}/{sha256}          GET: an attachment, taken from what arrived
"""

import secrets
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from engine.decision import Decision, Fact
from gateway import attached, guard
from gateway.console.drawing import language_of, render, word
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import missing, reader, words
from gateway.console.rows import Words, size
from gateway.console.signin_words import SIGNIN
from gateway.console.ticket_words import TICKET
from gateway.console.tickets import SETTABLE, choices
from gateway.files import left_behind
from gateway.house import House
from gateway.store.work import Posted
from normalizer.canon import Attachment, Call, Contact, Fetch, HandoverStep, Message, Task, Ticket, Wait
from normalizer.errors import Rejected

PROPERTIES = ("status", "priority", "group", "assignee", "category", "subcategory", "type", "tags")
ENDED = ("merged",)


def routes(house: House) -> list[Route]:
    at = "/console/tickets/{number}"
    return [
        Route(at, ticket(house)),
        Route(f"{at}/reveal", reveal(house), methods=["POST"]),
        Route(f"{at}/files/{{message}}/{{sha256}}", file(house)),
    ]


def ticket(house: House) -> Endpoint:
    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        found = await house.store.ticket(asked.path_params["number"])
        return await drawn(house, asked, found) if found else missing(asked)

    return endpoint


async def drawn(
    house: House, asked: Request, found: Ticket, status: int = 200, fault: str = "", conflicts: tuple[str, ...] = (),
    typed: Mapping[str, str] | None = None,
) -> Response:  # fmt: skip
    """The page of a ticket. What somebody `typed` stays in its fields when it could not be done."""
    store = house.store
    contact = await store.contact(found.contact)
    told_by = replace(await words(house, asked, found.id, found.contact), about=contact)
    t = TICKET[told_by.language]
    decisions = await store.decisions(found.id, latest=True)
    now = properties(found)
    return render(
        asked, "ticket.html", house, told_by.language, f"{found.number} {told_by.text(found.subject)}", status,
        w=t, s=SIGNIN[told_by.language], revealed=told_by.reveal, row=told_by.row(found, contact),
        facts=list(_facts(told_by, found)), found=_found(told_by, found), custom=_custom(told_by, found),
        clocks=list(told_by.clocks(found)), person=_person(told_by, contact), review=found.review, holds=t["holds"],
        messages=[said(told_by, one) for one in await store.messages(found.id, latest=True)],
        decisions=[_decision(told_by, one) for one in reversed(decisions)],
        acts=[act for one in reversed(decisions) for act in _acts(told_by, one)],
        related=[_related(t, one.kind, other) for one in found.related if (other := await store.ticket(one.id))],
        others=[told_by.row(one, contact) for one, _ in await store.tickets(contact=found.contact, limit=6)
                if one.id != found.id][:5],
        external=[(one.system, one.id, safe_link(one.url)) for one in found.external],
        tasks=[_task(told_by, one) for one in found.tasks], waits=[_wait(told_by, found, one) for one in found.waits],
        suggestions=[told_by.text(one.text) for one in found.suggestions], human=found.human,
        left=_left(told_by, found),
        outbox=[posted(told_by, one) for one in await store.outgoing(ticket=found.id)],
        choices=choices(told_by), inner=_inner(told_by), types=_labelled(told_by, "type"), settable=SETTABLE,
        now=now, values={**now, **(typed or {})}, typed=typed or {}, properties=PROPERTIES,
        ended=found.status.value in ENDED, labels=_labels(told_by), once=secrets.token_hex(8),
        fault=fault, conflicts=conflicts,
    )  # fmt: skip


def properties(ticket: Ticket) -> dict[str, str]:
    """What people set, as the form has it."""
    derived = {name: getattr(ticket, name) for name in PROPERTIES if name not in ("type", "tags")}
    values = {name: one.value if one else "" for name, one in derived.items()}
    return {**values, "type": ticket.type, "tags": " ".join(ticket.tags)}


def _labels(told_by: Words) -> dict[str, dict[str, str]]:
    """What people call the values of each property."""
    made: dict[str, dict[str, str]] = defaultdict(dict)
    made.update({name: dict(pairs) for name, pairs in choices(told_by).items()})
    made["type"] = dict(_labelled(told_by, "type"))
    made["subcategory"] = dict(_labelled(told_by, "subcategory"))
    return made


def _facts(told_by: Words, ticket: Ticket) -> Iterator[tuple[str, Any]]:
    """Names and values that are there; an instant as a Moment."""
    t = TICKET[told_by.language]
    names = t["facts"]
    yield names["channel"], told_by.channel(ticket.source.channel)
    yield names["created"], told_by.moment(ticket.created_at)
    instants = {"acked": ticket.acked_at, "first": ticket.first_response_at, "solved": ticket.solved_at,
                "closed": ticket.closed_at}  # fmt: skip
    yield from ((names[name], told_by.moment(at)) for name, at in instants.items() if at)
    others = {
        "urged": t["times"].format(ticket.urge_count) if ticket.urge_count else "",
        "reopened": t["times"].format(ticket.reopen_count) if ticket.reopen_count else "",
        "escalation": t["levels"].format(ticket.escalation_level) if ticket.escalation_level else "",
        "skills": ", ".join(told_by.code("skill", skill) for skill in ticket.required_skills),
        "sentiment": told_by.label("sentiment", ticket.sentiment),
        "language": ticket.language,
    }
    yield from ((names[name], value) for name, value in others.items() if value)


def _found(told_by: Words, ticket: Ticket) -> list[tuple[str, str]]:
    known = told_by.mind.vocabulary.fields
    return [
        (known[name].get(told_by.language, name) if name in known else name, told_by.text(one.value))
        for name, one in ticket.extracted.items()
    ]


def _custom(told_by: Words, ticket: Ticket) -> list[tuple[str, str]]:
    known = told_by.mind.vocabulary.fields
    return [
        (known.get(name, {}).get(told_by.language, name), told_by.text(value)) for name, value in ticket.custom.items()
    ]


def _task(told_by: Words, task: Task) -> dict[str, Any]:
    return {
        "id": task.id, "title": told_by.text(task.title), "status": task.status, "ended": task.ended_at is not None,
        "whose": told_by.code("agent", task.assignee) or told_by.code("group", task.group),
        "due": told_by.moment(task.due_at) if task.due_at else None,
    }  # fmt: skip


def _wait(told_by: Words, ticket: Ticket, wait: Wait) -> dict[str, Any]:
    """What is waited for, what ends it before, and what is done then."""
    t = TICKET[told_by.language]
    return {
        "name": wait.name, "due": told_by.moment(wait.due_at), "then": told_by.later(wait.then, ticket),
        "unless": " / ".join(t["unless"][name] for name in wait.unless),
    }  # fmt: skip


def _left(told_by: Words, ticket: Ticket) -> list[tuple[str, str]]:
    """Marks on agents' replies, and what the customer thinks."""
    t = TICKET[told_by.language]
    made = [(t["quality"], f"{told_by.text(one.mark)} · {told_by.person(one.by)}") for one in ticket.quality]
    if ticket.feedback:
        said = " ".join((t["score"].format(ticket.feedback.score), told_by.text(ticket.feedback.comment)))
        made.append((t["feedback"], said.strip()))
    return made


def _person(told_by: Words, contact: Contact | None) -> dict[str, Any] | None:
    if contact is None:
        return None
    return {"id": contact.id, "name": told_by.contact(contact), "tier": told_by.code("tier", contact.tier),
            "plain": contact.tier == "normal"}  # fmt: skip


def said(told_by: Words, message: Message) -> dict[str, Any]:
    t = TICKET[told_by.language]
    ours = message.sender.kind == "user" and message.author == "agent"
    return {
        "id": message.id,
        "when": told_by.moment(message.received_at),
        "channel": told_by.channel(message.channel),
        "sender": told_by.person(message.sender.address) if ours else told_by.address(message.sender),
        "author": t.get(message.author, message.author),
        "kind": "" if message.kind.value == "message" else t["kinds"].get(message.kind.value, message.kind.value),
        "out": message.direction == "out",
        "internal": message.visibility == "internal",
        "text": told_by.text(message.text),
        "quoted": told_by.text(message.quoted),
        "signature": told_by.text(message.signature),
        "files": [_file(told_by, one) for one in message.attachments],
    }


def _file(told_by: Words, one: Attachment) -> dict[str, str]:
    return {
        "name": told_by.text(one.name) or one.media_type, "size": size(one.size) if one.size else "",
        "sha256": one.sha256, "state": one.missing or ("fetching" if left_behind(one) else ""),
    }  # fmt: skip


def _decision(told_by: Words, decision: Decision) -> dict[str, Any]:
    """Its sentences: first one for each rule that fired, then what came of it and what was withheld."""
    lines, t = told_by.why(decision), TICKET[told_by.language]
    fired = len(decision.fired)
    return {
        "when": told_by.moment(decision.case.now),
        "trigger": _trigger(t, decision.case.trigger),
        "ruleset": decision.ruleset[:12],
        "fired": lines[:fired],
        "became": lines[fired:],
    }


def _trigger(t: Mapping[str, Any], trigger: str) -> str:
    """What set the rules off; of a wait with its name."""
    kind, _, name = trigger.partition(".")
    return f"{t['triggers'][kind]}（{name}）" if kind == "timer" else str(t["triggers"].get(trigger, trigger))


def _acts(told_by: Words, decision: Decision) -> Iterator[dict[str, Any]]:
    """What somebody did, with each field's value before and after."""
    case, t = decision.case, TICKET[told_by.language]
    if not case.by:
        return
    changed = [
        t["set"].format(t["fields"].get(name, name), _value(told_by, name, before), _value(told_by, name, after))
        for name, (before, after) in case.changed.items()
        if name != "review"
    ]
    review = decision.ticket.review
    if case.trigger == "review.decided" and review and review.verdict:
        changed.insert(0, " ".join(part for part in (t["verdicts"][review.verdict], told_by.text(review.note)) if part))
    yield {
        "who": told_by.person(case.by),
        "when": told_by.moment(case.now),
        "what": t["triggers"].get(case.trigger, case.trigger),
        "changed": changed,
    }


def _value(told_by: Words, name: str, value: Fact) -> str:
    if value in (None, "", ()):
        return str(TICKET[told_by.language]["nothing"])
    if isinstance(value, tuple):
        return " ".join(value)
    choice = "agent" if name == "assignee" else name
    if choice in told_by.mind.vocabulary.choices:
        return told_by.code(choice, str(value))
    return told_by.text(str(value))


def _related(t: Mapping[str, Any], kind: str, other: Ticket) -> dict[str, str]:
    return {"kind": t["relations"].get(kind, kind), "number": other.number}


def _labelled(told_by: Words, choice: str) -> list[tuple[str, str]]:
    return [(code, told_by.code(choice, code)) for code in told_by.mind.vocabulary.choices[choice]]


def _inner(told_by: Words) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """The subcategories of each category."""
    inner = told_by.mind.vocabulary.subcategories

    def pairs(category: str) -> list[tuple[str, str]]:
        return [(code, told_by.code("subcategory", code, category)) for code in inner[category]]

    return [(category, told_by.code("category", category), pairs(category)) for category in inner if inner[category]]


def posted(told_by: Words, one: Posted) -> dict[str, Any]:
    """A thing in the outbox, in words."""
    content = one.outgoing.content
    made = {
        "id": one.outgoing.id, "number": one.number, "state": one.state, "target": one.outgoing.target,
        "when": told_by.moment(one.settled_at or one.outgoing.due_at), "attempts": one.outgoing.attempts,
        "reason": told_by.text(one.reason), "external": one.external_id, "url": safe_link(one.url),
    }  # fmt: skip
    if isinstance(content, HandoverStep):
        return {**made, "kind": content.kind, "to": content.target, "subject": "", "text": ""}
    if isinstance(content, Call):
        return {**made, "kind": "call", "to": content.target, "subject": content.rule, "text": ""}
    if isinstance(content, Fetch):
        file = told_by.text(content.attachment.name) or content.attachment.media_type
        return {**made, "kind": "fetch", "to": "", "subject": file, "text": ""}
    subject, text = told_by.text(content.subject), told_by.text(content.text)
    return {**made, "kind": one.outgoing.kind, "to": told_by.address(content.to), "subject": subject, "text": text,
            "address": content.to.address if told_by.reveal else ""}  # fmt: skip


def safe_link(url: str) -> str:
    """What another system calls its page, if a browser may open it."""
    return url if url.startswith(("https://", "http://")) else ""


def reveal(house: House) -> Endpoint:
    """Show a ticket's personal data whole for a while; who and why is kept."""

    @needs("personal:read")
    async def endpoint(asked: Request) -> Response:
        found = await house.store.ticket(asked.path_params["number"])
        if found is None:
            return missing(asked)
        try:
            await house.users.reveal(
                await reader(asked), found.id, (await guard.fields(asked)).get("reason", ""), found.number
            )
        except Rejected as e:
            words_ = SIGNIN[language_of(asked)]["faults"]
            return await drawn(house, asked, found, e.status, words_.get(e.code, e.reason))
        return RedirectResponse(f"/console/tickets/{found.number}?done=revealed", 303)

    return endpoint


def file(house: House) -> Endpoint:
    """An attachment as it came. It is personal data: only while the ticket is shown unmasked, and it is audited."""

    @needs("personal:read")
    async def endpoint(asked: Request) -> Response:
        t, who = TICKET[language_of(asked)], await reader(asked)
        found = await house.store.ticket(asked.path_params["number"])
        if found is None:
            return missing(asked)
        back = f"/console/tickets/{found.number}"
        if not await house.users.revealed(who, found.id, found.contact):
            return word(asked, 403, t["reveal_first"], back=back)
        held = await house.store.message(found.id, asked.path_params["message"])
        wanted = asked.path_params["sha256"]
        known = next((one for one in held.attachments if one.sha256 == wanted), None) if held else None
        if held is None or known is None:
            return missing(asked)
        content = await attached.content(house, held, known)
        if content is None:
            return word(asked, 410, t["gone"], back=back)
        await house.users.note(who.source, "downloaded", found.id, sha256=wanted)
        return Response(content, media_type="application/octet-stream", headers=attached.headers(known.name))

    return endpoint
