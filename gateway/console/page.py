"""The console's one page for now: what came in, what was decided, and why. Only for this machine; data masked."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from gateway import http
from gateway.console.rows import Words
from gateway.console.words import PAGE
from gateway.house import House
from normalizer.canon import Ticket

HERE = Path(__file__).parent
ROWS = 50
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
pages = Jinja2Templates(HERE / "templates")
Endpoint = Callable[[Request], Awaitable[Response]]


def routes(house: House) -> list[Route | Mount]:
    return [
        Route("/console/", tickets(house)),
        Route("/console/tickets/{number}", ticket(house)),
    ]


def static() -> Mount:
    return Mount("/static", StaticFiles(directory=HERE / "static"))


def tickets(house: House) -> Endpoint:
    """The list, newest first."""

    async def endpoint(asked: Request) -> Response:
        language = language_of(asked)
        if not_here := _elsewhere(house, asked, language):
            return not_here
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

    async def endpoint(asked: Request) -> Response:
        language = language_of(asked)
        if not_here := _elsewhere(house, asked, language):
            return not_here
        t, words = PAGE[language], Words(house.mind, language)
        found = await house.store.ticket(asked.path_params["number"])
        if found is None:
            return render(
                asked, "word.html", house, language, "404", 404, word=t["not_found"], hint=t["not_found_hint"]
            )
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
                      decisions=decisions, messages=messages)  # fmt: skip

    return endpoint


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


def language_of(asked: Request) -> str:
    """As asked for by ?lang=, else as the browser prefers."""
    asked_for = asked.query_params.get("lang", "")
    if asked_for in PAGE:
        return asked_for
    return "zh" if asked.headers.get("accept-language", "zh").lower().startswith("zh") else "en"


def render(
    asked: Request, name: str, house: House, language: str, title: str, status: int = 200, **more: Any
) -> Response:
    context = {
        "lang": language, "t": PAGE[language], "title": title, "company": house.configured.settings.company, **more
    }  # fmt: skip
    return pages.TemplateResponse(asked, name, context, status_code=status, headers=HEADERS)


def _elsewhere(house: House, asked: Request, language: str) -> Response | None:
    """There are no users yet, so nobody but a browser on this machine may look.

    A proxy on this machine would make everybody look local, and so would a foreign name that resolves to us: what was
    forwarded, or asked for by another name, does not count.
    """
    forwarded = {"x-forwarded-for", "forwarded", "x-real-ip", "via"} & set(asked.headers.keys())
    named_local = (asked.url.hostname or "") in ("localhost", "127.0.0.1", "::1")
    if named_local and not forwarded and http.is_local(asked.client.host if asked.client else ""):
        return None
    t = PAGE[language]
    return render(asked, "word.html", house, language, "403", 403, word=t["only_here"], hint=t["only_here_hint"])
