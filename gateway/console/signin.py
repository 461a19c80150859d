"""Coming in: the sign-in pages and the first administrator.

/console/signin         name and password, or by way of an OpenID provider
/console/signin/code    the second factor
/console/first          the first administrator, on this machine, while there is nobody
/console/signout        POST
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import guard, oidc
from gateway.console import account
from gateway.console import elsewhere as away
from gateway.console.asking import FRONT, entered, page, safe, twice
from gateway.console.entry import Endpoint, refusal
from gateway.house import House
from normalizer.errors import Rejected


def routes(house: House) -> list[Route]:
    """Raises ConfigError if an OpenID provider is configured and cannot be used."""
    both = ["GET", "POST"]
    configured = house.configured
    elsewhere = oidc.provider(configured.settings.signin.oidc, configured.document.where("signin", "oidc"))
    return [
        Route("/console/signin", signin(house), methods=both),
        Route("/console/signin/code", code(house), methods=both),
        Route("/console/first", first(house), methods=both),
        Route("/console/signout", signout(house), methods=["POST"]),
        *account.routes(house),
        *(away.routes(house, elsewhere) if elsewhere else []),
    ]


def signin(house: House) -> Endpoint:
    """Name and password."""

    @guard.declares(guard.EVERYBODY)
    async def endpoint(asked: Request) -> Response:
        provider = house.configured.settings.signin.oidc
        if provider is None and await house.signin.nobody():
            return RedirectResponse("/console/first", 303)
        onward = safe(asked.query_params.get("next", ""))
        if asked.method == "GET":
            if await guard.who(asked):
                return RedirectResponse(onward, 303)
            return page(asked, "signin.html", "sign_in", next=onward, provider=provider)
        given = await guard.fields(asked)
        onward = safe(given.get("next", ""))
        try:
            await guard.check_ours(asked)
            done = await house.signin.sign_in(
                given.get("login", ""), given.get("password", ""), guard.browser(asked)
            )  # fmt: skip
        except Rejected as e:
            login = given.get("login", "")
            return page(asked, "signin.html", "sign_in", e, next=onward, login=login, provider=provider)
        return entered(house, done, onward)

    return endpoint


def code(house: House) -> Endpoint:
    """The second factor of a session that has given its password."""

    @guard.declares(guard.EVERYBODY)
    async def endpoint(asked: Request) -> Response:
        session = await guard.session(asked)
        onward = safe((await guard.fields(asked)).get("next", "") or asked.query_params.get("next", ""))
        if session is None or session.stage != "code":
            return RedirectResponse("/console/signin", 303)
        if asked.method == "GET":
            return page(asked, "code.html", "code_title", next=onward)
        try:
            await guard.check_ours(asked)
            done = await house.signin.code(session, (await guard.fields(asked)).get("code", ""), guard.browser(asked))
        except Rejected as e:
            return page(asked, "code.html", "code_title", e, next=onward)
        return entered(house, done, onward)

    return endpoint


def first(house: House) -> Endpoint:
    """The first administrator."""

    @guard.declares(guard.EVERYBODY)
    async def endpoint(asked: Request) -> Response:
        if not await house.signin.nobody():
            return RedirectResponse("/console/signin", 303)
        if not guard.is_here(asked):
            return refusal(asked, "nobody_yet", 403)
        if asked.method == "GET":
            return page(asked, "first.html", "first_title")
        given = await guard.fields(asked)
        try:
            await guard.check_ours(asked)
            twice(given)
            done = await house.signin.first(
                given.get("login", ""), given.get("name", ""), given.get("new", ""), guard.browser(asked)
            )  # fmt: skip
        except Rejected as e:
            kept = {"login": given.get("login", ""), "shown": given.get("name", "")}
            return page(asked, "first.html", "first_title", e, **kept)
        return entered(house, done, FRONT)

    return endpoint


def signout(house: House) -> Endpoint:
    """Out, at whatever stage of coming in."""

    @guard.declares(guard.EVERYBODY)
    async def endpoint(asked: Request) -> Response:
        session = await guard.session(asked)
        try:
            await guard.check_ours(asked)
        except Rejected as e:
            return refusal(asked, e.code, e.status)
        if session:
            await house.signin.sign_out(session)
        answer = RedirectResponse("/console/signin", 303)
        answer.delete_cookie(guard.cookie(house), path="/", secure=guard.secure(house), httponly=True, samesite="lax")
        return answer

    return endpoint
