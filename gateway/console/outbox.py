"""What is owed to the outside: its states, why something failed, and sending it again.

/console/outbox               GET
/console/outbox/retry         POST: those that are ticked
/console/outbox/{id}          GET
/console/outbox/{id}/retry    POST: send again, or release
/console/outbox/{id}/edit     POST: another address, subject or text, and send again
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
STATES = ("", "dead", "held", "waiting", "queued", "sent", "dropped")
STUCK = ("dead", "held")


def routes(house: House) -> list[Route]:
    at = "/console/outbox"
    return [
        Route(at, listed(house)),
        Route(f"{at}/retry", retry_these(house), methods=["POST"]),
        Route(f"{at}/{{id}}", one(house)),
        Route(f"{at}/{{id}}/retry", retry(house), methods=["POST"]),
        Route(f"{at}/{{id}}/edit", edit(house), methods=["POST"]),
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
        return await shown(house, asked, found)

    return endpoint


async def shown(house: House, asked: Request, found: Posted, status: int = 200, fault: str = "") -> Response:
    """One thing owed; a stuck reply can be edited by who was shown its ticket unmasked."""
    told_by = await words(house, asked, found.outgoing.ticket)
    d, stuck, who = DESK[told_by.language], found.state in STUCK, await reader(asked)
    typed = await guard.fields(asked) if fault else {}
    return render(
        asked, "posted.html", house, told_by.language, d["outbox"], status, d=d, row=posted(told_by, found),
        stuck=stuck, revealed=told_by.reveal, fault=fault, typed=typed,
        editable=stuck and told_by.reveal and who.may("outbox:write"),
    )  # fmt: skip


def edit(house: House) -> Endpoint:
    """Mend what was refused, and owe it again."""

    @needs("outbox:write")
    async def endpoint(asked: Request) -> Response:
        identity, given, who = asked.path_params["id"], await guard.fields(asked), await reader(asked)
        found = await found_by(house, identity)
        if found is None:
            return missing(asked)
        if not await house.users.revealed(who, found.outgoing.ticket):
            return await shown(house, asked, found, 403, DESK[language_of(asked)]["edit_masked"])
        changes = {name: given[name].strip() for name in ("to", "subject", "text") if given.get(name, "").strip()}
        if not await house.store.edit_outgoing(identity, changes):
            return await shown(house, asked, found, 409, DESK[language_of(asked)]["edit_failed"])
        await house.users.note(who.source, "outbox.mend", identity, fields=" ".join(sorted(changes)))
        await again(house, asked, [identity])
        return RedirectResponse(f"/console/outbox/{identity}?done=edited", 303)

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
