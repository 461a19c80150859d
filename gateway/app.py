"""The application: what people and programs meet, with all its machinery.

/form/{account}             the hosted form
/chat/{account}/...         web chat and in-app messages
/api/v1/...                 for programs, with API keys
/console/                   for people, with roles
"""

import starlette.requests
from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gateway import api, api_events, api_house, api_rules, api_tickets, guard, problems, programs
from gateway.accept import Door
from gateway.acting import Acting
from gateway.chat import Chats
from gateway.console import form, page
from gateway.house import House
from gateway.limit import Limiter


def build(house: House, roles: frozenset[str], limiter: Limiter) -> Starlette:
    """The application with what these roles have in it."""
    routes: list[BaseRoute] = []
    api_app = programs.application()
    door = Door(house)
    if "accept" in roles:
        routes.extend(form.routes(door, limiter))
        routes.extend(Chats(door, limiter).routes())
        api_app.include_router(api.router(door))
        api_app.include_router(api_tickets.router(Acting(door), api.require(door)))
        api_app.include_router(api_house.router(house, api.require(door)))
        api_app.include_router(api_rules.router(house, api.require(door)))
    if "console" in roles:
        routes.extend(Route(path, front) for path in ("/", "/console"))
        routes.extend(page.routes(house, Acting(door)))
    if roles & {"accept", "console"}:  # the console's pages follow it too
        api_app.include_router(api_events.router(house.hub, api.require(door)))
    routes.append(page.static())
    app = Starlette(routes=[*routes, Mount("/", api_app)], exception_handlers=problems.HANDLERS)
    app.state.house = api_app.state.house = house
    return app


@guard.declares(guard.EVERYBODY)
async def front(_: starlette.requests.Request) -> Response:
    return RedirectResponse("/console/")
