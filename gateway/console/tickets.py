"""The list of tickets: chosen by filters and one search box, following what happens; several changed at once.

/console/        GET
/console/bulk    POST: assign, or set a status
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.views import View
from gateway import guard
from gateway.acting import Acting
from gateway.console.drawing import language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import reader, words
from gateway.console.rows import Words
from gateway.console.ticket_words import TICKET
from gateway.house import House
from gateway.permissions import ROLES, Who
from normalizer.canon import Contact, Ticket
from normalizer.errors import Rejected

ROWS = 50
MOST_AT_ONCE = 100
FILTERS = {  # of the query, in the order of the page: which choice its values are of
    "status": "status", "priority": "priority", "group": "group", "assignee": "agent", "category": "category",
    "channel": "channel",
}  # fmt: skip
SETTABLE = ("new", "open", "waiting_customer", "waiting_third", "solved", "closed")
PICKED = "pick-"  # and the number of the ticket whose box is ticked


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of tickets, newest first, and the cursors of the pages beside it (empty: none)."""

    tickets: list[tuple[Ticket, Contact]]
    older: str = ""
    newer: str = ""


def routes(house: House, acting: Acting) -> list[Route]:
    return [
        Route("/console/", tickets(house)),
        Route("/console/bulk", bulk(house, acting), methods=["POST"]),
    ]


def tickets(house: House) -> Endpoint:
    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        return await drawn(house, asked)

    return endpoint


async def drawn(house: House, asked: Request, told: str = "", fault: str = "") -> Response:
    """The list as the query chooses it; with what became of a change."""
    told_by, who = await words(house, asked), await reader(asked)
    t, given = TICKET[told_by.language], asked.query_params
    q, chosen = given.get("q", "").strip(), {name: given[name] for name in FILTERS if given.get(name)}
    seen = seen_by(house, who)
    view = seen.get(given.get("view", "")) if not (q or chosen) else None
    after, before = given.get("after", ""), given.get("before", "")
    listing = await (viewed(house, who, view, after, before) if view else listed(house, q, chosen, after, before))
    where = {"view": view.name} if view else {"q": q, **chosen}
    return render(
        asked, "tickets.html", house, told_by.language, t["back"], w=t, q=q, chosen=chosen, view=view,
        rows=[told_by.row(one, contact) for one, contact in listing.tickets], choices=choices(told_by),
        tabs=await tabs(house, told_by, who, view, plain=not (q or chosen)), told=told, fault=fault, settable=SETTABLE,
        query=asked.url.query, first=link(where) if after or before else "",
        older=link(where, after=listing.older), newer=link(where, before=listing.newer),
    )  # fmt: skip


def seen_by(house: House, who: Who) -> dict[str, View]:
    """The views this reader's role shows, by name."""
    role = next((role for role, permissions in ROLES.items() if permissions == who.permissions), "")
    return {name: view for name, view in house.mind.views.items() if view.shown_to(role)}


async def tabs(house: House, told_by: Words, who: Who, view: View | None, *, plain: bool) -> list[dict[str, Any]]:
    """All tickets, then each view with how many it has."""
    seen = seen_by(house, who)
    counts = await asyncio.gather(*(house.store.view_count(one, told_by.now, who.id) for one in seen.values()))
    made = [
        {"name": one.name, "label": one.label.get(told_by.language) or one.name, "link": link({"view": one.name}),
         "current": one is view, "count": count}
        for one, count in zip(seen.values(), counts, strict=True)
    ]  # fmt: skip
    everything = {"name": "", "label": TICKET[told_by.language]["everything"], "link": "/console/", "count": None,
                  "current": plain and view is None}  # fmt: skip
    return [everything, *made]


async def viewed(house: House, who: Who, view: View, after: str, before: str) -> Listing:
    page = await house.store.view(
        view, house.mind.company, house.clock.now(), me=who.id, after=after, before=before, limit=ROWS
    )
    return Listing(list(page.tickets), older=page.next, newer=page.previous)


async def listed(house: House, q: str, chosen: dict[str, str], after: str, before: str) -> Listing:
    """One more than is shown is asked for, so that it is known whether there is another page."""
    if q:
        found = await house.store.search(q, after, ROWS + 1, chosen)
        return Listing(found[:ROWS], older=found[ROWS - 1][0].number if len(found) > ROWS else "")
    found = await house.store.tickets(after, ROWS + 1, before=before, **chosen)
    more = len(found) > ROWS
    if before:
        shown = found[-ROWS:]
        return Listing(shown, older=shown[-1][0].number if shown else "", newer=shown[0][0].number if more else "")
    shown = found[:ROWS]
    newer = shown[0][0].number if after and shown else ""
    return Listing(shown, older=shown[-1][0].number if more else "", newer=newer)


def link(where: Mapping[str, str], **cursor: str) -> str:
    """The list chosen so; empty if a cursor is meant and there is none."""
    if cursor and not any(cursor.values()):
        return ""
    return "/console/?" + urlencode({name: value for name, value in {**where, **cursor}.items() if value})


def choices(told_by: Words) -> dict[str, list[tuple[str, str]]]:
    """The values there are for each filter, by their labels."""
    known = told_by.mind.vocabulary.choices
    made = {
        name: [
            (code, told_by.channel(code) if name == "channel" else told_by.code(choice, code)) for code in known[choice]
        ]
        for name, choice in FILTERS.items()
    }
    made["priority"].reverse()
    made["assignee"] += sorted(told_by.people.items(), key=lambda one: one[1])
    return made


def bulk(house: House, acting: Acting) -> Endpoint:
    """The same change to each ticket that is ticked; what could not be changed is told by number."""

    @needs("tickets:write")
    async def endpoint(asked: Request) -> Response:
        given, who, t = await guard.fields(asked), await reader(asked), TICKET[language_of(asked)]
        changes = {name: given[name] for name in ("status", "group", "assignee") if given.get(name)}
        numbers = [name.removeprefix(PICKED) for name in given if name.startswith(PICKED)][:MOST_AT_ONCE]
        done, failed = 0, []
        for number in numbers if changes else ():
            try:
                await acting.update(who, number, changes)
                done += 1
            except Rejected as e:
                failed.append(f"{number} ({e.reason})")
        fault = t["bulk_failed"] + ", ".join(failed) if failed else ""
        return await drawn(house, asked, t["bulk_done"].format(done), fault)

    return endpoint
