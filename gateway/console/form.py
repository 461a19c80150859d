"""The hosted form at /form/{account}: drawn here, decided by the connector, journalled by the door like any webhook."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.webform import Incomplete, Webform
from gateway import guard, http
from gateway.accept import Door
from gateway.console.drawing import HEADERS, pages
from gateway.limit import Limiter
from normalizer.errors import Rejected

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(door: Door, limiter: Limiter) -> list[Route]:
    return [Route("/form/{account}", endpoint(door, limiter), methods=["GET", "POST", "OPTIONS"])]


def endpoint(door: Door, limiter: Limiter) -> Endpoint:
    """GET and HEAD draw the page, POST takes what was filled in; a form with faults comes back with its values kept."""
    house = door.house
    settings = house.configured.settings.http

    @guard.declares(guard.EVERYBODY)
    async def form(asked: Request) -> Response:
        account = asked.path_params["account"]
        connector = house.mind.connectors.get(("webform", account))
        if not isinstance(connector, Webform):
            return http.problem(404, "not_found", f"there is no form {account}")
        remote = http.remote(asked, settings.trusted_proxies)
        limit = connector.settings.size_limit
        now = house.clock.now()
        try:
            body = await http.whole(asked, limit)
        except http.Oversized as e:
            await door.refuse("webform", account, e.code, e.reason, e.first, {"remote": remote})
            return again(asked, connector, http.request(asked, e.first, settings, now), e, attachments="too_large")
        request = http.request(asked, body, settings, now)
        if asked.method in ("GET", "HEAD"):
            return drawn(asked, connector, request)
        rate = connector.settings.rate
        if asked.method == "POST" and rate and not limiter.allows(("webform", account, remote), rate, now):
            await door.refuse(
                "webform", account, "rate_limited", "too many from this address", body, {"remote": remote}
            )
            late = Rejected("too many from this address", status=429, code="rate_limited")
            return again(asked, connector, request, late, submit="too_often")
        try:
            return http.respond(await door.webhook(connector, request))
        except Incomplete as e:
            return again(asked, connector, request, e, **e.problems)

    return form


def again(asked: Request, connector: Webform, request: Any, e: Rejected, **problems: str) -> Response:
    """For a person the page once more, with what was filled in and what is wrong with it; for a program the error."""
    headers = {"Retry-After": "60"} if e.status == 429 else {}
    if connector.by_browser(request):
        answer = page(asked, "form.html", connector.page(request, fresh(), problems), e.status)
        answer.headers.update(headers)
        return answer
    more = {"problems": problems} if isinstance(e, Incomplete) else {}
    return http.problem(e.status, e.code, e.reason, headers, **more)


def drawn(asked: Request, connector: Webform, request: Any) -> Response:
    if thanks := connector.thanks(request):
        return page(asked, "form_thanks.html", thanks)
    return page(asked, "form.html", connector.page(request, fresh()))


def fresh() -> str:
    """Names one sending of the form, so that a double click sends once."""
    return secrets.token_urlsafe(16)


def page(asked: Request, name: str, context: dict[str, Any], status: int = 200) -> Response:
    return pages.TemplateResponse(asked, name, context, status_code=status, headers=HEADERS)
