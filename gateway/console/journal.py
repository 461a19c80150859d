"""The journal as people look at it: everything that came, how far it is, and what became of it.

/console/journal          GET
/console/journal/{id}     GET: how it came, and its bytes, masked
"""

from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.console.desk_words import DESK
from gateway.console.drawing import render
from gateway.console.entry import Endpoint, needs
from gateway.console.quarantine import looked_at
from gateway.console.reading import missing, words
from gateway.console.rows import Words, size
from gateway.house import House
from gateway.store.work import Journalled

ROWS = 50
STATES = ("", "waiting", "done", "aside")


def routes(house: House) -> list[Route]:
    return [Route("/console/journal", listed(house)), Route("/console/journal/{id}", one(house))]


def listed(house: House) -> Endpoint:
    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        told_by = await words(house, asked)
        given = asked.query_params
        state, after = given.get("state", ""), given.get("after", "")
        source = given.get("source", "")
        connector, _, account = source.partition("/")
        found = await house.store.journal_page(
            after, ROWS + 1, connector, account, state if state in STATES else ""
        )  # fmt: skip
        here = "/console/journal?" + urlencode({"state": state, "source": source})
        sources = sorted("/".join(account) for account in house.mind.connectors)
        return render(
            asked, "journal.html", house, told_by.language, DESK[told_by.language]["journal"],
            d=DESK[told_by.language], rows=[row(told_by, one) for one in found[:ROWS]], state=state, states=STATES,
            source=source, sources=sources, first=here if after else "",
            older=f"{here}&after={found[ROWS - 1].id}" if len(found) > ROWS else "",
        )  # fmt: skip

    return endpoint


def row(told_by: Words, one: Journalled) -> dict[str, Any]:
    d = DESK[told_by.language]
    return {
        "id": one.id, "when": told_by.moment(one.received_at), "source": f"{one.connector}/{one.account}",
        "size": size(one.size), "state": one.state, "state_name": d["work"].get(one.state, one.state),
        "tickets": one.tickets, "code": d["codes"].get(one.code, (one.code, "", ""))[0],
        "reason": told_by.text(one.reason), "attempts": d["attempts"].format(one.attempts) if one.attempts > 1 else "",
        "again": d["redelivered"].format(one.redeliveries) if one.redeliveries else "", "lane": one.lane,
    }  # fmt: skip


def one(house: House) -> Endpoint:
    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        identity = asked.path_params["id"]
        found, envelope = await house.store.journalled(identity), await house.store.envelope(identity)
        if found is None or envelope is None:
            return missing(asked)
        told_by = await words(house, asked)
        d = DESK[told_by.language]
        return render(
            asked, "envelope.html", house, told_by.language, d["journal"], d=d, row=row(told_by, found),
            **looked_at(told_by, envelope.body, envelope.transport),
        )  # fmt: skip

    return endpoint
