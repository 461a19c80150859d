"""The console: every page people open, and what it is drawn with. Each says what it asks for (`entry.needs`)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from gateway import guard
from gateway.acting import Acting
from gateway.console import (
    actions,
    contact,
    create,
    health,
    journal,
    outbox,
    quarantine,
    rule_draft,
    rules,
    signin,
    ticket,
    tickets,
)  # fmt: skip
from gateway.console.drawing import HERE
from gateway.console.entry import needs
from gateway.console.reading import missing
from gateway.house import House


def routes(house: House, acting: Acting) -> list[BaseRoute]:
    return [
        *tickets.routes(house, acting),
        *ticket.routes(house),
        *actions.routes(house, acting),
        *create.routes(house, acting),
        *contact.routes(house),
        *quarantine.routes(house),
        *outbox.routes(house),
        *rules.routes(house),
        *rule_draft.routes(house),
        *journal.routes(house),
        *health.routes(house),
        *signin.routes(house),
        Route("/console/{path:path}", nowhere, methods=["GET", "POST"]),
    ]


def static() -> Mount:
    return Mount("/static", StaticFiles(directory=HERE / "static"))


@needs(guard.SIGNED_IN)
async def nowhere(asked: Request) -> Response:
    return missing(asked)
