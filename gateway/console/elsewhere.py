"""Signing in by way of an OpenID provider: the way there and the way back.

What is remembered in between is sealed in a cookie of its own, so that it belongs to this browser and to nobody else.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import guard
from gateway.console.asking import entered, page, safe
from gateway.console.entry import Endpoint
from gateway.crypto import SealedError, Vault
from gateway.house import House
from gateway.oidc import WITHIN, Pending, Provider
from normalizer.errors import Rejected

BACK = "/console/signin/oidc/back"
PLACE = "cookie:oidc"


def routes(house: House, provider: Provider) -> list[Route]:
    return [
        Route("/console/signin/oidc", leave(house, provider)),
        Route(BACK, back(house, provider)),
    ]


def leave(house: House, provider: Provider) -> Endpoint:
    @guard.declares(guard.EVERYBODY)
    async def endpoint(asked: Request) -> Response:
        onward = safe(asked.query_params.get("next", ""))
        try:
            url, pending = await provider.begin(address(house, asked), onward, house.clock.now())
        except Rejected as e:
            return page(asked, "signin.html", "sign_in", e, next=onward, provider=provider.settings)
        answer = RedirectResponse(url, 303)
        answer.set_cookie(
            name(house), sealed(house.store.vault, pending), max_age=int(WITHIN.total_seconds()), path="/",
            httponly=True, samesite="lax", secure=guard.secure(house),
        )  # fmt: skip
        return answer

    return endpoint


def back(house: House, provider: Provider) -> Endpoint:
    """A GET from another site by nature: the state in the sealed cookie shows that this browser began it."""

    @guard.declares(guard.EVERYBODY)
    async def endpoint(asked: Request) -> Response:
        pending = opened(house.store.vault, asked.cookies.get(name(house), ""))
        try:
            known = await provider.finish(pending, asked.query_params, address(house, asked), house.clock.now())
            done = await house.signin.elsewhere(
                known.subject, known.login, known.name, known.role, guard.browser(asked)
            )  # fmt: skip
        except Rejected as e:
            answer = page(asked, "signin.html", "sign_in", e, next="/console/", provider=provider.settings)
        else:
            answer = entered(house, done, pending.onward if pending else "/console/")
        answer.delete_cookie(name(house), path="/", secure=guard.secure(house), httponly=True, samesite="lax")
        return answer

    return endpoint


def address(house: House, asked: Request) -> str:
    """Where the provider sends the browser back to; it must be registered there."""
    public = house.configured.settings.http.public_url.rstrip("/")
    return (public or f"{asked.url.scheme}://{asked.url.netloc}") + BACK


def name(house: House) -> str:
    return f"{guard.cookie(house)}-oidc"


def sealed(vault: Vault, pending: Pending) -> str:
    return urlsafe_b64encode(vault.house.seal(orjson.dumps(asdict(pending)), PLACE)).decode()


def opened(vault: Vault, cookie: str) -> Pending | None:
    try:
        return Pending(**orjson.loads(vault.house.open(urlsafe_b64decode(cookie), PLACE)))
    except (SealedError, ValueError, TypeError):
        return None
