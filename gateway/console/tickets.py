"""The list of tickets: chosen by filters and one search box, following what happens; several changed at once.

/console/        GET
/console/bulk    POST: assign, or set a status
"""

from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import guard
from gateway.acting import Acting
from gateway.console.drawing import language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import reader, words
from gateway.console.rows import Words
from gateway.console.ticket_words import TICKET
from gateway.house import House
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
    told_by = await words(house, asked)
    t, given = TICKET[told_by.language], asked.query_params
    chosen = {name: given[name] for name in FILTERS if given.get(name)}
    q = given.get("q", "").strip()
    listing = await listed(house, q, chosen, given.get("after", ""))
    return render(
        asked, "tickets.html", house, told_by.language, TICKET[told_by.language]["back"], w=t, q=q, chosen=chosen,
        rows=[told_by.row(one, contact) for one, contact in listing.tickets], choices=choices(told_by),
        first=link(q, chosen) if given.get("after") else "", told=told, fault=fault,
        older=link(q, chosen, after=listing.older) if listing.older else "", settable=SETTABLE,
        newer=link(q, chosen, before=listing.newer) if listing.newer else "",
    )  # fmt: skip


async def listed(house: House, q: str, chosen: dict[str, str], after: str) -> Listing:
    if q:
        found = await house.store.ticket(q)
        contact = await house.store.contact(found.contact) if found else None
        return Listing([(found, contact)] if found and contact else [])
    found_ones = await house.store.tickets(after=after, limit=ROWS + 1, **chosen)
    return Listing(found_ones[:ROWS], found_ones[ROWS - 1][0].number if len(found_ones) > ROWS else "")


def link(q: str, chosen: dict[str, str], **more: str) -> str:
    query = {"q": q, **chosen, **more}
    return "/console/?" + urlencode({name: value for name, value in query.items() if value})


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
