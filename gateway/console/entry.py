"""The way into the console: each page says what it asks for, and who may not see it is shown where to go."""

import time
from collections.abc import Awaitable, Callable
from functools import wraps
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import guard
from gateway.console.drawing import STARTED, language_of, word
from gateway.console.signin_words import SIGNIN
from gateway.console.words import PAGE
from gateway.log import log
from normalizer.errors import Rejected, Unavailable

Endpoint = Callable[[Request], Awaitable[Response]]


def needs(permission: str) -> Callable[[Endpoint], Endpoint]:
    """Only for who has this permission (or guard.SIGNED_IN: any role)."""

    def around(endpoint: Endpoint) -> Endpoint:
        @guard.declares(permission)
        @wraps(endpoint)
        async def guarded(asked: Request) -> Response:
            asked.scope[STARTED] = time.perf_counter()
            try:
                await guard.admitted(asked, permission)
            except Rejected as e:
                return await turned_away(asked, e)
            return await _answered(asked, endpoint)

        return guarded

    return around


async def _answered(asked: Request, endpoint: Endpoint) -> Response:
    """What the endpoint says; whatever goes wrong is told in the console's own dress."""
    t = PAGE[language_of(asked)]
    try:
        return await endpoint(asked)
    except Rejected as e:
        missed = e.status == 404
        return word(
            asked, e.status, t["not_found" if missed else "cannot"], t["not_found_hint"] if missed else e.reason
        )
    except Unavailable:
        return word(asked, 503, t["unavailable"], t["unavailable_hint"])
    except Exception:
        log.exception("a page failed", path=asked.url.path)
        return word(asked, 500, t["failed"], t["failed_hint"])


async def turned_away(asked: Request, e: Rejected) -> Response:
    """To the sign-in page and back, or to a page that says why not."""
    house, language = guard.house(asked), language_of(asked)
    if e.status != 401:
        return refusal(asked, e.code, e.status)
    if house.configured.settings.signin.oidc is None and await house.signin.nobody():
        if guard.is_here(asked):
            return RedirectResponse("/console/first", 303)
        return refusal(asked, "nobody_yet", 403)
    found = await guard.session(asked)
    if found is None:
        back = asked.url.path + (f"?{asked.url.query}" if asked.url.query else "")
        to = (
            f"/console/signin?next={quote(back)}"
            if asked.method == "GET" and back != "/console/"
            else "/console/signin"
        )
    else:
        to = "/console/signin/code" if found.stage == "code" else "/console/account"
    return RedirectResponse(f"{to}{'&' if '?' in to else '?'}lang={language}", 303)


def refusal(asked: Request, code: str, status: int) -> Response:
    words = SIGNIN[language_of(asked)]["refused"]
    said, hint = words.get(code) or words["forbidden"]
    return word(asked, status, said, hint)
