"""A ticket by hand: its type first, then the fields of that type.

/console/new           GET, POST
"""

import secrets
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from engine.company import TypeField
from gateway import guard
from gateway.acting import Acting
from gateway.api import valid
from gateway.console.drawing import language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import reader, words
from gateway.console.rows import Words
from gateway.console.ticket_words import TICKET
from gateway.house import House
from normalizer.errors import Rejected
from normalizer.identity import email_address, phone

CHANNELS = ("voice", "chat", "wechat", "email", "sms", "app", "form")
OWN = "field-"  # and the name of a field of the type

Given = Mapping[str, str]


def routes(house: House, acting: Acting) -> list[Route]:
    return [Route("/console/new", create(house, acting), methods=["GET", "POST"])]


def create(house: House, acting: Acting) -> Endpoint:
    @needs("tickets:write")
    async def endpoint(asked: Request) -> Response:
        told_by = await words(house, asked)
        if asked.method == "GET":
            return drawn(house, asked, told_by, asked.query_params)
        given = await guard.fields(asked)
        kind = house.mind.company.types.get(given.get("type", ""))
        wrong = dict(faults(given, kind.fields if kind else {}))
        if kind is None or wrong:
            return drawn(house, asked, told_by, given, wrong, 422)
        body = written(given, kind.fields)
        try:
            valid(body)
            outcome = await acting.create(await reader(asked), body, given.get("once", ""))
        except Rejected as e:
            return drawn(
                house, asked, told_by, given, {}, e.status, TICKET[told_by.language]["problem"].format(e.reason)
            )
        if outcome.tickets:
            return RedirectResponse(f"/console/tickets/{outcome.tickets[0]}?done=created", 303)
        return RedirectResponse("/console/?done=waiting", 303)

    return endpoint


def drawn(
    house: House, asked: Request, told_by: Words, given: Given, wrong: Mapping[str, str] | None = None,
    status: int = 200, fault: str = "",
) -> Response:  # fmt: skip
    language = language_of(asked)
    t = TICKET[language]
    types = house.mind.company.types
    chosen = given.get("type") or next(iter(types), "")
    kind = types.get(chosen)
    own = kind.fields if kind else {}
    fields = [
        {"name": OWN + name, "label": one.label.model_dump()[language] or name, "kind": one.kind,
         "required": one.required, "choices": one.choices}
        for name, one in own.items() if not (name == "phone" and one.kind == "phone")
    ]  # fmt: skip
    return render(
        asked, "create.html", house, language, t["new_title"], status, w=t, kind=chosen if kind else "", fields=fields,
        types=[(code, told_by.code("type", code)) for code in types], given=given, wrong=wrong or {}, fault=fault,
        faults=t["faults"], once=given.get("once") or secrets.token_hex(12),
        channels=[(code, told_by.channel(code)) for code in CHANNELS],
    )  # fmt: skip


def faults(given: Given, fields: Mapping[str, TypeField]) -> Iterator[tuple[str, str]]:
    """What is wrong with each field, as a key of the words."""
    if not given.get("text", "").strip():
        yield "text", "missing"
    numbered, mail = given.get("phone", "").strip(), given.get("email", "").strip()
    if not (numbered or mail) or (not numbered and fields.get("phone", TypeField()).required):
        yield "phone", "missing"
    for name, value, kind in (("phone", numbered, "phone"), ("email", mail, "email")):
        if value and not fits(value, kind):
            yield name, kind
    for name, one in fields.items():
        value = given.get(OWN + name, "").strip()
        if name == "phone" and one.kind == "phone":
            continue  # it is how the customer can be reached, asked for above
        if one.required and not value:
            yield OWN + name, "missing"
        elif value and not fits(value, one.kind, one.choices):
            yield OWN + name, one.kind


def fits(value: str, kind: str, choices: tuple[str, ...] = ()) -> bool:
    match kind:
        case "phone":
            return phone(value) is not None
        case "email":
            return "@" in value.strip("@ ") and "." in email_address(value).rpartition("@")[2] and " " not in value
        case "number":
            return value.replace(".", "", 1).replace("-", "", 1).isdigit()
        case "date":
            return _is_date(value)
        case "choice":
            return value in choices
        case _:
            return True


def _is_date(value: str) -> bool:
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def written(given: Given, fields: Mapping[str, TypeField]) -> bytes:
    """The message, as POST /api/v1/messages has it."""
    said = {name: given.get(name, "").strip() for name in ("name", "phone", "email", "subject", "text")}
    claims = {name: value for name in fields if (value := given.get(OWN + name, "").strip())}
    if said["phone"]:
        claims["phone"] = said["phone"]
    sender: dict[str, Any] = {name: said[name] for name in ("name", "phone", "email") if said[name]}
    channel = given.get("channel", "")
    return orjson.dumps({
        "from": sender, "text": said["text"], "subject": said["subject"],
        "channel": channel if channel in CHANNELS else CHANNELS[0], "claims": {"type": given["type"], **claims},
    })  # fmt: skip
