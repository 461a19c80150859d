"""A customer: what they are known by, and everything they asked across channels.

/console/contacts/{id}           GET
/console/contacts/{id}/reveal    POST: personal data whole, with a reason
"""

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import guard
from gateway.console.desk_words import DESK
from gateway.console.drawing import language_of, render, word
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import missing, reader, words
from gateway.console.rows import Words
from gateway.console.signin_words import SIGNIN
from gateway.console.ticket import said
from gateway.console.ticket_words import TICKET
from gateway.house import House
from normalizer.canon import Address, Contact, Message
from normalizer.errors import Rejected
from normalizer.identity import mask_name

ROWS = 50
MESSAGES = 30


def routes(house: House) -> list[Route]:
    at = "/console/contacts/{id}"
    return [Route(at, contact(house)), Route(f"{at}/reveal", reveal(house), methods=["POST"])]


def contact(house: House) -> Endpoint:
    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        found = await house.store.contact(asked.path_params["id"])
        if found is None:
            return missing(asked)
        told_by = replace(await words(house, asked, found.id), about=found)
        after = asked.query_params.get("after", "")
        theirs = await house.store.tickets(after=after, limit=ROWS + 1, contact=found.id)
        rows = [told_by.row(one, found) for one, _ in theirs[:ROWS]]
        here = f"/console/contacts/{found.id}"
        return render(
            asked, "contact.html", house, told_by.language, DESK[told_by.language]["contact"], d=DESK[told_by.language],
            w=TICKET[told_by.language], s=SIGNIN[told_by.language], called=told_by.contact(found),
            trail=[(said(told_by, message), number) for message, number in await trail(house, found)],
            known=known(told_by, found), facts=facts(told_by, found), rows=rows, here_at=here, revealed=told_by.reveal,
            channels=sorted({row.channel for row in rows}), first=here if after else "",
            older=f"{here}?after={theirs[ROWS - 1][0].number}" if len(theirs) > ROWS else "",
        )  # fmt: skip

    return endpoint


async def trail(house: House, found: Contact) -> list[tuple[Message, str]]:
    """What was said on every channel lately, each with its ticket's number."""
    return await house.store.trail(found.id, limit=MESSAGES)


def known(told_by: Words, found: Contact) -> list[tuple[str, str, str]]:
    """Each identity: its kind, its value, and what proved it."""
    d = DESK[told_by.language]
    return [
        (
            d["known"].get(one.kind, one.kind),
            told_by.address(Address(one.kind, one.value)),
            (d["proven"].format(one.proven_by) if one.proven_by else d["unproven"])
            + (" · " + d["bouncing"].format(one.bouncing) if one.bouncing else ""),
        )
        for one in found.identities
    ]


def facts(told_by: Words, found: Contact) -> list[tuple[str, str]]:
    d = DESK[told_by.language]
    told = [
        (d["name"], found.name if told_by.reveal else mask_name(found.name)),
        (d["tier"], told_by.code("tier", found.tier)),
        (d["locale"], found.locale),
        *((name, told_by.text(value)) for name, value in found.attributes.items()),
    ]
    return [(name, value) for name, value in told if value]


def reveal(house: House) -> Endpoint:
    """Show a contact's personal data, and that of their tickets, whole for a while; who and why is kept."""

    @needs("personal:read")
    async def endpoint(asked: Request) -> Response:
        found = await house.store.contact(asked.path_params["id"])
        if found is None:
            return missing(asked)
        back = f"/console/contacts/{found.id}"
        try:
            await house.users.reveal(await reader(asked), found.id, (await guard.fields(asked)).get("reason", ""))
        except Rejected as e:
            told = SIGNIN[language_of(asked)]["faults"].get(e.code, e.reason)
            return word(asked, e.status, told, back=back)
        return RedirectResponse(f"{back}?done=revealed", 303)

    return endpoint
