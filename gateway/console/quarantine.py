"""What was set aside: by reason, with what it means and what to do; looked at, and processed again.

/console/quarantine              GET
/console/quarantine/retry        POST: those that are ticked
/console/quarantine/{id}         GET: the reason and the bytes, masked
/console/quarantine/{id}/retry   POST
"""

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import guard
from gateway.console.desk_words import DESK
from gateway.console.drawing import language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import missing, reader, words
from gateway.console.rows import Words, size
from gateway.console.tickets import PICKED
from gateway.house import House
from gateway.preview import preview
from gateway.store.work import SetAside, Stage
from normalizer.errors import Rejected

ROWS = 50
RETRIABLE = ("journal", "noted")
STAGES: tuple[Stage | Literal[""], ...] = ("", "journal", "door", "noted")


def routes(house: House) -> list[Route]:
    at = "/console/quarantine"
    return [
        Route(at, listed(house)),
        Route(f"{at}/retry", retry_these(house), methods=["POST"]),
        Route(f"{at}/{{id}}", one(house)),
        Route(f"{at}/{{id}}/retry", retry(house), methods=["POST"]),
    ]


def listed(house: House) -> Endpoint:
    @needs("quarantine:read")
    async def endpoint(asked: Request) -> Response:
        return await drawn(house, asked)

    return endpoint


async def drawn(house: House, asked: Request, told: str = "", fault: str = "") -> Response:
    told_by = await words(house, asked)
    d = DESK[told_by.language]
    given = asked.query_params
    code, stage, after = given.get("code", ""), _stage(given.get("stage", "")), given.get("after", "")
    source, q = given.get("source", ""), given.get("q", "")
    connector, _, account = source.partition("/")
    found = await house.store.quarantine(
        after=after, limit=ROWS + 1, code=code, stage=stage, connector=connector, account=account, words=q
    )
    here = "/console/quarantine?" + urlencode({"code": code, "stage": stage, "source": source, "q": q})
    older = f"{here}&after={found[ROWS - 1].id}" if len(found) > ROWS else ""
    return render(
        asked, "quarantine.html", house, told_by.language, d["quarantine"], d=d, code=code, stage=stage, stages=STAGES,
        told=told, fault=fault, q=q, source=source, sources=["/".join(one) for one in house.mind.connectors],
        rows=[row(told_by, one) for one in found[:ROWS]], older=older, first=here if after else "",
    )  # fmt: skip


def _stage(given: str) -> Stage | Literal[""]:
    return next((one for one in STAGES if one == given), "")


def row(told_by: Words, one: SetAside) -> dict[str, Any]:
    d = DESK[told_by.language]
    name, means, to_do = d["codes"].get(one.code, (one.code, "", ""))
    return {
        "id": one.id, "code": one.code, "name": name, "means": means, "to_do": to_do,
        "when": told_by.moment(one.received_at),
        "source": f"{one.connector}/{one.account}", "reason": told_by.text(one.reason), "size": size(one.size),
        "stage": one.stage, "stage_name": d["stages"].get(one.stage, one.stage), "retriable": one.stage in RETRIABLE,
        "attempts": d["attempts"].format(one.attempts) if one.attempts else "",
    }  # fmt: skip


def one(house: House) -> Endpoint:
    @needs("quarantine:read")
    async def endpoint(asked: Request) -> Response:
        found = await house.store.quarantined(asked.path_params["id"])
        if found is None:
            return missing(asked)
        told_by = await words(house, asked)
        d = DESK[told_by.language]
        return render(
            asked, "set_aside.html", house, told_by.language, d["quarantine"], d=d, row=row(told_by, found),
            **looked_at(told_by, found.body, found.facts),
        )  # fmt: skip

    return endpoint


def looked_at(told_by: Words, body: bytes, facts: Mapping[str, str]) -> dict[str, Any]:
    """How it came and what its bytes look like; masked like everything."""
    seen, names = preview(body), DESK[told_by.language]["heads_of"]
    return {
        "facts": [(name, told_by.text(value)) for name, value in facts.items() if value],
        "headers": [(names.get(name, name), told_by.text(value)) for name, value in seen.headers],
        "preview": told_by.text(seen.text), "cut": seen.cut,
    }  # fmt: skip


def retry(house: House) -> Endpoint:
    @needs("quarantine:write")
    async def endpoint(asked: Request) -> Response:
        identity = asked.path_params["id"]
        try:
            count = await again(house, asked, [identity])
        except Rejected:
            return await drawn(house, asked, fault=DESK[language_of(asked)]["not_retriable"])
        return RedirectResponse(f"/console/quarantine?done={'retried' if count else 'nothing'}", 303)

    return endpoint


def retry_these(house: House) -> Endpoint:
    @needs("quarantine:write")
    async def endpoint(asked: Request) -> Response:
        d, given = DESK[language_of(asked)], await guard.fields(asked)
        picked = [name.removeprefix(PICKED) for name in given if name.startswith(PICKED)]
        known = [found for one in picked if (found := await house.store.quarantined(one)) and found.stage in RETRIABLE]
        count = await again(house, asked, [one.id for one in known]) if known else 0
        if not count:
            return await drawn(house, asked, fault=d["nothing_retried"])
        return await drawn(house, asked, d["retried_count"].format(count))

    return endpoint


async def again(house: House, asked: Request, ids: list[str]) -> int:
    """Let them be processed again; who did it is kept."""
    count = await house.store.retry_quarantined(ids, house.clock.now())
    who = await reader(asked)
    for identity in ids if count else ():
        await house.users.note(who.source, "quarantine.retry", identity)
    house.work.ring()
    return count
