"""The console's pages about tickets: what came in, what was decided, and why. Personal data is masked."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from gateway import guard
from gateway.console.drawing import HERE, language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.rows import Words
from gateway.console.signin_words import SIGNIN
from gateway.console.words import PAGE
from gateway.house import House
from normalizer.canon import Ticket
from normalizer.errors import Rejected

ROWS = 50


def routes(house: House) -> list[Route | Mount]:
    return [
        Route("/console/", tickets(house)),
        Route("/console/tickets/{number}", ticket(house)),
        Route("/console/tickets/{number}/reveal", reveal(house), methods=["POST"]),
    ]


def static() -> Mount:
    return Mount("/static", StaticFiles(directory=HERE / "static"))


def tickets(house: House) -> Endpoint:
    """The list, newest first."""

    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        language = language_of(asked)
        after = asked.query_params.get("after", "")
        found = await house.store.tickets(after=after, limit=ROWS + 1)
        words = Words(house.mind, language)
        return render(
            asked, "tickets.html", house, language, PAGE[language]["tickets"],
            tickets=[words.row(one, contact) for one, contact in found[:ROWS]], after=after,
            next=found[ROWS - 1][0].number if len(found) > ROWS else "", counts=await house.store.counts(),
        )  # fmt: skip

    return endpoint


def ticket(house: House) -> Endpoint:
    """One ticket: its facts, its decisions in plain sentences, its messages."""

    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        language = language_of(asked)
        found = await house.store.ticket(asked.path_params["number"])
        if found is None:
            return missing(house, asked)
        who = await guard.who(asked)
        revealed = await house.users.revealed(who, found.id, found.contact)
        words = Words(house.mind, language, reveal=revealed)
        contact = await house.store.contact(found.contact)
        row = words.row(found, contact)
        decisions = [
            {
                "when": words.when(d.case.now),
                "trigger": d.case.trigger,
                "ruleset": d.ruleset[:12],
                "lines": words.why(d),
            }
            for d in await house.store.decisions(found.id)
        ]
        messages = [
            {"when": words.when(m.received_at), "channel": words.channel(m.channel), "sender": words.address(m.sender),
             "kind": m.kind.value, "text": words.text(m.text), "attachments": words.attachments(m)}
            for m in await house.store.messages(found.id)
        ]  # fmt: skip
        return render(asked, "ticket.html", house, language, found.number, row=row, facts=_facts(words, found, row),
                      decisions=decisions, messages=messages, s=SIGNIN[language], revealed=revealed)  # fmt: skip

    return endpoint


def reveal(house: House) -> Endpoint:
    """Show a ticket's personal data whole for a while; who and why is kept."""

    @needs("personal:read")
    async def endpoint(asked: Request) -> Response:
        found = await house.store.ticket(asked.path_params["number"])
        who = await guard.who(asked)
        if found is None or who is None:
            return missing(house, asked)
        try:
            await house.users.reveal(who, found.id, (await guard.fields(asked)).get("reason", ""), found.number)
        except Rejected as e:
            language = language_of(asked)
            return render(asked, "word.html", house, language, str(e.status), e.status,
                          word=SIGNIN[language]["faults"]["reason_missing"], hint="")  # fmt: skip
        return RedirectResponse(f"/console/tickets/{found.number}?lang={language_of(asked)}", 303)

    return endpoint


def missing(house: House, asked: Request) -> Response:
    language = language_of(asked)
    t = PAGE[language]
    return render(asked, "word.html", house, language, "404", 404, word=t["not_found"], hint=t["not_found_hint"])


def _facts(words: Words, ticket: Ticket, row: Any) -> list[tuple[str, str]]:
    names = PAGE[words.language]["facts"]
    values = {
        "contact": row.contact,
        "channel": row.channel,
        "category": " / ".join(part for part in (row.category, row.subcategory) if part),
        "priority": row.priority,
        "status": row.status,
        "group": " · ".join(part for part in (row.group, row.assignee) if part),
        "tags": ", ".join(ticket.tags),
        "sla": words.promises(ticket),
        "acked": words.when(ticket.acked_at),
        "external": ", ".join(f"{one.system} {one.id}" for one in ticket.external),
        "extracted": words.text(", ".join(f"{name}: {found.value}" for name, found in ticket.extracted.items())),
        "review": ", ".join(ticket.review.reasons) if ticket.review else "",
        "related": ", ".join(f"{one.kind} {one.id}" for one in ticket.related),
    }
    return [(names[name], value) for name, value in values.items() if value]
