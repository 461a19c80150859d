"""/api/v1/tickets: what people do at the console, for programs. The same verbs, checks and permissions.

GET   /tickets                      newest first, by cursor
POST  /tickets                      a ticket by hand
GET   /tickets/{number}             with ETag: its version
PATCH /tickets/{number}             fields, with If-Match
POST  /tickets/{number}/claim | comments | merge | links | review | feedback
GET   /tickets/{number}/tasks
PATCH /tickets/{number}/tasks/{task}
GET   /tickets/{number}/messages | decisions
GET   /tickets/{number}/messages/{message}/files/{sha256}
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from engine.acting import Link
from engine.decision import Decision
from gateway import attached, http
from gateway.acting import Acting, Outcome
from gateway.api import account, valid
from gateway.house import House
from gateway.masking import masked
from gateway.permissions import Who
from gateway.problems import described
from gateway.programs import new_message
from normalizer.canon import Contact, Message, Ticket, public
from normalizer.errors import Rejected

Version = Annotated[str, Header(alias="If-Match", description="The ETag of the ticket as you saw it.")]
Require = Callable[[str], Any]
PROBLEMS = described(401, 403, 404, 409, 412, 503)
Changes = Annotated[dict[str, str], Field(max_length=50, description="A field's name and value; empty takes it away.")]


class Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=20_000)
    public: bool = Field(default=False, description="It is sent to the customer; otherwise it is among colleagues.")


class Other(BaseModel):
    model_config = ConfigDict(extra="forbid")

    into: str = Field(description="Number of the ticket that goes on.")


class Linked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    other: str = Field(description="Number of the other ticket.")
    kind: Link = "related"


class Judged(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: Literal["approved", "rejected"]
    note: str = Field(default="", max_length=2_000)
    changes: Changes = {}


class Score(BaseModel):
    model_config = ConfigDict(extra="forbid")

    score: int = Field(ge=1, le=5)
    comment: str = Field(default="", max_length=2_000)


class Became(BaseModel):
    """What became of it: `done` with the numbers of its tickets, or `waiting` (202) if work on it has not ended yet."""

    envelope: str
    state: str
    tickets: list[str]


FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}
LATER: dict[int | str, dict[str, Any]] = {202: {"model": Became, "description": "It is ours, and not worked on yet"}}


class Page(BaseModel):
    """A page; `next` is the cursor of the following one, empty at the end."""

    items: list[dict[str, Any]]
    next: str


def router(acting: Acting, require: Require) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/tickets", tags=["tickets"], responses=PROBLEMS)
    store = acting.house.store
    Reader = Annotated[Who, Depends(require("tickets:read"))]  # noqa: N806 - a type, as FastAPI wants it
    Revealed = Annotated[Who, Depends(require("personal:read"))]  # noqa: N806
    Writer = Annotated[Who, Depends(require("tickets:write"))]  # noqa: N806

    @routes.get("", response_model=Page)
    async def listed(
        who: Reader,
        after: Annotated[str, Query(max_length=40, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        q: Annotated[str, Query(max_length=200, description="Words, a number, an address: all must be there")] = "",
        view: Annotated[str, Query(max_length=60, description="A saved filter of GET /api/v1/views")] = "",
        status: str = "", priority: str = "", category: str = "", group: str = "", assignee: str = "",
        channel: str = "",
    ) -> Page:  # fmt: skip
        """Tickets, newest first or as the view orders them. `q` and the filters go together; a view stands alone."""
        chosen = {"status": status, "priority": priority, "category": category, "group": group,
                  "assignee": assignee, "channel": channel}  # fmt: skip
        chosen = {name: value for name, value in chosen.items() if value}
        if view and (q or chosen):
            raise Rejected("view: stands alone, without q and other filters", status=422, code="invalid")
        found, cursor = await _found(acting.house, who, q, view, chosen, after, limit)
        return Page(items=[await told(acting, who, ticket, ticket) for ticket, _ in found], next=cursor)

    @routes.post(
        "",
        status_code=201,
        response_model=Became,
        openapi_extra=new_message(),
        responses={**described(409, 413), **LATER},
    )
    async def create(
        asked: Request, answer: Response, who: Writer, key: Annotated[str, Header(alias="Idempotency-Key")] = ""
    ) -> Became:
        """A ticket by hand: what a customer told somebody here, in the words of POST /api/v1/messages."""
        body = await http.whole(asked, account(acting.door).settings.size_limit)
        valid(body)
        return _answered(await acting.create(who, body, key), answer)

    @routes.get("/{number}")
    async def one(number: str, answer: Response, who: Reader) -> dict[str, Any]:
        """A ticket as helpdesks get it; personal data masked without personal:read."""
        ticket = await acting.ticket(number)
        answer.headers["ETag"] = etag(ticket)
        return await told(acting, who, ticket, ticket)

    @routes.patch("/{number}", response_model=Became, responses=LATER)
    async def change(
        number: str, changes: Changes, answer: Response, who: Writer, if_match: Version = ""
    ) -> Became:  # fmt: skip
        """Set status, priority, category, subcategory, group, assignee, type, subject, tags, human, custom.NAME."""
        return _answered(await acting.update(who, number, changes, await version(acting, number, if_match)), answer)

    @routes.post("/{number}/claim", response_model=Became, responses=LATER)
    async def claim(number: str, answer: Response, who: Writer, if_match: Version = "") -> Became:
        """Take a ticket that nobody has."""
        return _answered(await acting.claim(who, number, await version(acting, number, if_match)), answer)

    @routes.post("/{number}/comments", status_code=201, response_model=Became, responses=LATER)
    async def comment(
        number: str, words: Words, answer: Response, who: Writer,
        key: Annotated[str, Header(alias="Idempotency-Key", max_length=255)] = "",
    ) -> Became:  # fmt: skip
        """Say something beside the ticket."""
        said = await acting.comment(who, number, words.text, public=words.public, key=key)
        return _answered(said, answer)

    @routes.post("/{number}/merge", response_model=Became, responses=LATER)
    async def merge(number: str, other: Other, answer: Response, who: Writer, if_match: Version = "") -> Became:
        """End this ticket and go on in another."""
        seen = await version(acting, number, if_match)
        return _answered(await acting.merge(who, number, other.into, seen), answer)

    @routes.post("/{number}/links", status_code=201, response_model=Became, responses=LATER)
    async def link(number: str, linked: Linked, answer: Response, who: Writer) -> Became:
        """Two tickets have to do with each other."""
        return _answered(await acting.link(who, number, linked.other, linked.kind), answer)

    @routes.post("/{number}/review", response_model=Became, responses=LATER)
    async def review(number: str, judged: Judged, answer: Response, who: Writer, if_match: Version = "") -> Became:
        """A verdict on what the rules were unsure of."""
        seen = await version(acting, number, if_match)
        return _answered(await acting.review(who, number, judged.verdict, judged.note, judged.changes, seen), answer)

    @routes.get("/{number}/tasks")
    async def tasks(number: str, who: Reader) -> dict[str, Any]:
        """The pieces of work that rules opened, in order; they stand in the ticket too."""
        ticket = await acting.ticket(number)
        return _paged((await told(acting, who, ticket, ticket))["tasks"], "id", False)

    @routes.patch("/{number}/tasks/{task}", response_model=Became, responses=LATER)
    async def work(number: str, task: str, changes: Changes, answer: Response, who: Writer) -> Became:
        """Take a task up, end it or give it up: status (open, doing, done, cancelled), group, assignee, result.NAME."""
        return _answered(await acting.task(who, number, task, changes), answer)

    @routes.post("/{number}/feedback", status_code=201, response_model=Became, responses=LATER)
    async def feedback(
        number: str, scored: Score, answer: Response, who: Writer,
        key: Annotated[str, Header(alias="Idempotency-Key", max_length=255)] = "",
    ) -> Became:  # fmt: skip
        """What the customer thinks of how they were served."""
        return _answered(await acting.feedback(who, number, scored.score, scored.comment, key), answer)

    @routes.get("/{number}/messages")
    async def messages(
        number: str, who: Reader, after: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 100
    ) -> dict[str, Any]:
        """What was said, in order."""
        ticket = await acting.ticket(number)
        found = await store.messages(ticket.id, after, limit + 1)
        return _paged([await told(acting, who, ticket, one) for one in found[:limit]], "id", len(found) > limit)

    @routes.get("/{number}/messages/{message}/files/{sha256}", response_class=Response, responses=FILE | described(410))
    async def file(number: str, message: str, sha256: str, who: Revealed) -> Response:
        """An attachment as it came; its sha256 stands in the message. Audited; people must reveal the ticket first."""
        ticket = await acting.ticket(number)
        if who.kind == "person" and not await acting.house.users.revealed(who, ticket.id):
            raise Rejected("show the ticket unmasked first, with a reason", status=403, code="forbidden")
        said = await store.message(ticket.id, message)
        known = next((one for one in said.attachments if one.sha256 == sha256), None) if said else None
        if said is None or known is None:
            raise Rejected("no such file", status=404, code="not_found")
        content = await attached.content(acting.house, said, known)
        if content is None:
            raise Rejected("it is not kept any more", status=410, code="gone")
        await acting.house.users.note(who.source, "downloaded", ticket.id, sha256=sha256)
        return Response(content, media_type="application/octet-stream", headers=attached.headers(known.name))

    @routes.get("/{number}/decisions")
    async def decisions(
        number: str, who: Reader, after: str = "", limit: Annotated[int, Query(ge=1, le=200)] = 100
    ) -> dict[str, Any]:
        """What was decided and why, in order."""
        ticket = await acting.ticket(number)
        found = await store.decisions(ticket.id, after, limit + 1)
        return _paged([await told(acting, who, ticket, one) for one in found[:limit]], "hash", len(found) > limit)

    return routes


async def told(acting: Acting, who: Who, ticket: Ticket, noun: Ticket | Message | Decision) -> dict[str, Any]:
    """As it is for who may see personal data: a key with that scope, a person who gave a reason; else masked."""
    told: dict[str, Any] = public(noun)
    whole = who.may("personal:read") if who.kind == "key" else await acting.house.users.revealed(who, ticket.id)
    return told if whole else masked(told)


async def _found(
    house: House, who: Who, q: str, view: str, chosen: Mapping[str, str], after: str, limit: int
) -> tuple[Sequence[tuple[Ticket, Contact]], str]:
    """A page of tickets with their contacts, and the cursor of the next."""
    if view:
        if (wanted := house.mind.views.get(view)) is None:
            raise Rejected(f"view: no {view!r}; there are {', '.join(house.mind.views)}", status=422, code="invalid")
        page = await house.store.view(
            wanted, house.mind.company, house.clock.now(), me=who.id, after=after, limit=limit
        )
        return page.tickets, page.next
    if q:
        found = await house.store.search(q, after, limit + 1, dict(chosen))
    else:
        found = await house.store.tickets(after, limit + 1, **chosen)
    return found[:limit], found[limit - 1][0].number if len(found) > limit else ""


def etag(ticket: Ticket) -> str:
    return f'"{ticket.version}"'


async def version(acting: Acting, number: str, if_match: str) -> int | None:
    """The version in an If-Match; 412 if it is not the present one any more (RFC 9110 13.1.1)."""
    if not if_match or if_match == "*":
        return None
    ticket = await acting.ticket(number)
    if etag(ticket) not in [part.strip().removeprefix("W/") for part in if_match.split(",")]:
        raise Rejected(f"the ticket is at version {ticket.version} now", status=412, code="conflict")
    return ticket.version


def _answered(outcome: Outcome, answer: Response) -> Became:
    if outcome.state == "waiting":
        answer.status_code = 202
    return Became(envelope=outcome.envelope, state=outcome.state, tickets=list(outcome.tickets))


def _paged(items: list[dict[str, Any]], name: str, more: bool) -> dict[str, Any]:
    return {"items": items, "next": items[-1][name] if more else ""}
