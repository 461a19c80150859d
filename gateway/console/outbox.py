"""What is owed to the outside: its states, why something failed, and sending it again.

/console/outbox               GET
/console/outbox/retry         POST: those that are ticked
/console/outbox/{id}          GET
/console/outbox/{id}/retry    POST: send again, or release
"""

from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import guard
from gateway.console.desk_words import DESK
from gateway.console.drawing import language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import missing, reader, words
from gateway.console.ticket import posted
from gateway.console.tickets import PICKED
from gateway.house import House
from gateway.store import posted as posts
from gateway.store.work import Posted

ROWS = 50
STATES = ("", "dead", "held", "waiting", "queued", "sent")
STUCK = ("dead", "held")


def routes(house: House) -> list[Route]:
    at = "/console/outbox"
    return [
        Route(at, listed(house)),
        Route(f"{at}/retry", retry_these(house), methods=["POST"]),
        Route(f"{at}/{{id}}", one(house)),
        Route(f"{at}/{{id}}/retry", retry(house), methods=["POST"]),
    ]


def listed(house: House) -> Endpoint:
    @needs("outbox:read")
    async def endpoint(asked: Request) -> Response:
        return await drawn(house, asked)

    return endpoint


async def drawn(house: House, asked: Request, told: str = "", fault: str = "") -> Response:
    told_by = await words(house, asked)
    d, wanted = DESK[told_by.language], asked.query_params.get("state", "")
    state, after = wanted if wanted in STATES else "", asked.query_params.get("after", "")
    found = await house.store.outgoing(state=state, after=after, limit=ROWS + 1)
    here = f"/console/outbox?state={state}"
    return render(
        asked, "outbox.html", house, told_by.language, d["outbox"], d=d, state=state, states=STATES, told=told,
        fault=fault, rows=[posted(told_by, one) for one in found[:ROWS]], first=here if after else "",
        older=f"{here}&after={found[ROWS - 1].outgoing.id}" if len(found) > ROWS else "",
    )  # fmt: skip


def one(house: House) -> Endpoint:
    @needs("outbox:read")
    async def endpoint(asked: Request) -> Response:
        found = await found_by(house, asked.path_params["id"])
        if found is None:
            return missing(asked)
        told_by = await words(house, asked, found.outgoing.ticket)
        d = DESK[told_by.language]
        return render(
            asked, "posted.html", house, told_by.language, d["outbox"], d=d, row=posted(told_by, found),
            stuck=found.state in STUCK, revealed=told_by.reveal,
        )  # fmt: skip

    return endpoint


async def found_by(house: House, identity: str) -> Posted | None:
    return await house.store.database.read(partial(posts.posted, vault=house.store.vault, identity=identity))


def retry(house: House) -> Endpoint:
    @needs("outbox:write")
    async def endpoint(asked: Request) -> Response:
        count = await again(house, asked, [asked.path_params["id"]])
        return RedirectResponse(f"/console/outbox?done={'resent' if count else 'nothing'}", 303)

    return endpoint


def retry_these(house: House) -> Endpoint:
    @needs("outbox:write")
    async def endpoint(asked: Request) -> Response:
        given = await guard.fields(asked)
        picked = [name.removeprefix(PICKED) for name in given if name.startswith(PICKED)]
        count = await again(house, asked, picked) if picked else 0
        return await drawn(house, asked, DESK[language_of(asked)]["resent_count"].format(count))

    return endpoint


async def again(house: House, asked: Request, ids: list[str]) -> int:
    """Owe them again; who did it is kept."""
    count = await house.store.retry_outgoing(ids, house.clock.now())
    who = await reader(asked)
    for identity in ids if count else ():
        await house.users.note(who.source, "outbox.retry", identity)
    house.owed.ring()
    return count
