"""What people do to a ticket. Each is a form of its page, checked here, done by `acting`, and told on the page again.

POST /console/tickets/{number}/update | claim | comment | merge | link | review | task | human

A form bears what its reader saw. If somebody changed the same field meanwhile, nothing is done: the page shows how it
stands now and keeps what was typed. Changes to other fields do not stand in each other's way.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from engine.acting import Link
from gateway import guard
from gateway.acting import Acting, Outcome
from gateway.console.drawing import language_of
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import missing, reader
from gateway.console.ticket import PROPERTIES, drawn, properties
from gateway.console.ticket_words import TICKET
from gateway.house import House
from gateway.permissions import Who
from normalizer.canon import Ticket
from normalizer.errors import Rejected

Given = Mapping[str, str]
Act = Callable[[Acting, Who, Ticket, Given], Awaitable[Outcome | None]]
TRIES = 3
SEEN = "seen-"  # and a field's name: its value as the reader saw it


class Clash(Exception):
    """Somebody changed these fields meanwhile."""

    def __init__(self, *fields: str) -> None:
        self.fields = fields


def routes(house: House, acting: Acting) -> list[Route]:
    acts: Mapping[str, tuple[Act, str]] = {
        "update": (_update, "saved"), "claim": (_claim, "claimed"), "comment": (_comment, "commented"),
        "merge": (_merge, "merged"), "link": (_link, "linked"), "review": (_review, "reviewed"),
        "task": (_task, "saved"), "human": (_human, "saved"),
    }  # fmt: skip
    return [
        Route(f"/console/tickets/{{number}}/{verb}", endpoint(house, acting, act, done), methods=["POST"], name=verb)
        for verb, (act, done) in acts.items()
    ]


def endpoint(house: House, acting: Acting, act: Act, done: str) -> Endpoint:
    @needs("tickets:write")
    async def acted(asked: Request) -> Response:
        found = await house.store.ticket(asked.path_params["number"])
        if found is None:
            return missing(asked)
        given, who = await guard.fields(asked), await reader(asked)
        try:
            outcome = await act(acting, who, found, given)
        except Clash as clash:
            now = await acting.ticket(found.id)
            return await drawn(house, asked, now, 409, conflicts=clash.fields, typed=given)
        except Rejected as e:
            now = await acting.ticket(found.id)
            return await drawn(house, asked, now, e.status, told(e, given, language_of(asked)), typed=given)
        code = "nothing" if outcome is None else "waiting" if outcome.state == "waiting" else done
        to = given["into"].strip() if done == "merged" and code == "merged" else found.number
        return RedirectResponse(f"/console/tickets/{to}?done={code}", 303)

    return acted


def told(e: Rejected, given: Given, language: str) -> str:
    """Why it was not done, in the reader's words where there are such."""
    t: Mapping[str, Any] = TICKET[language]
    other = (given.get("into") or given.get("other") or "").strip()
    known = {
        "not_found": t["problems"]["bad_number"].format(other),
        "conflict": t["conflict"],
        "self": t["problems"]["self"],
        "empty": t["problems"]["empty"],
    }
    return str(t["problem"]).format(known.get(e.code, e.reason))


async def _update(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    """Only what the reader changed; None if that is nothing."""
    changes = {
        name: given[name].strip()
        for name in PROPERTIES
        if name in given and given[name].strip() != given.get(SEEN + name, "")
    }
    return await unless_clashing(
        acting, ticket, changes, given, lambda now: acting.update(who, now.id, changes, now.version)
    )


async def unless_clashing(
    acting: Acting, ticket: Ticket, changes: Given, given: Given, act: Callable[[Ticket], Awaitable[Outcome]]
) -> Outcome | None:
    """Do it to the ticket as it is now, unless a field of `changes` is not as the reader saw it. Raises Clash."""
    if not changes:
        return None
    for _ in range(TRIES):
        now = properties(ticket)
        if clashing := [
            name for name in changes if SEEN + name in given and now[name] not in (given[SEEN + name], changes[name])
        ]:
            raise Clash(*clashing)
        try:
            return await act(ticket)
        except Rejected as e:
            if e.code != "conflict":
                raise
        ticket = await acting.ticket(ticket.id)
    raise Clash(*changes)


async def _claim(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    try:
        return await acting.claim(who, ticket.id)
    except Rejected as e:
        if e.code == "conflict":
            raise Clash("assignee") from None
        raise


async def _comment(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    text = given.get("text", "").strip()
    if not text:
        raise Rejected("write something", status=422, code="empty")
    return await acting.comment(who, ticket.id, text, public=given.get("for") == "all", key=given.get("once", ""))


async def _merge(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    return await acting.merge(who, ticket.id, await _other(acting, ticket, given.get("into", "")))


async def _link(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    kind = given.get("kind", "related")
    if kind not in get_args(Link):
        raise Rejected(f"no link {kind}", status=422, code="invalid")
    return await acting.link(who, ticket.id, await _other(acting, ticket, given.get("other", "")), cast(Link, kind))


async def _other(acting: Acting, ticket: Ticket, number: str) -> str:
    other = await acting.ticket(number.strip())
    if other.id == ticket.id:
        raise Rejected("it is this ticket itself", status=422, code="self")
    return other.id


async def _task(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    return await acting.task(who, ticket.id, given.get("task", ""), {"status": given.get("status", "")})


async def _human(acting: Acting, who: Who, ticket: Ticket, _: Given) -> Outcome | None:
    """The rules may answer and close again."""
    return await acting.update(who, ticket.id, {"human": ""})


async def _review(acting: Acting, who: Who, ticket: Ticket, given: Given) -> Outcome | None:
    """A verdict, with what the reviewer puts right."""
    if not (ticket.review and ticket.review.needed):
        raise Clash()
    changes = {name: given[f"fix-{name}"] for name in ("category", "priority", "group") if given.get(f"fix-{name}")}
    note = given.get("note", "").strip()
    return await acting.review(who, ticket.id, given.get("verdict", ""), note, changes)
