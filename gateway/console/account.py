"""My account: password, second factor, language, and where one is signed in.

/console/account             everything; with a one-time password only the form to change it
/console/account/password    POST   /console/account/language   POST
/console/account/sessions    POST: end the others
/console/account/totp        GET offers a secret, POST puts it in force and shows the recovery codes
/console/account/totp/drop   POST
"""

import segno
from markupsafe import Markup
from pyotp import TOTP
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import guard
from gateway.console.asking import entered, page, twice
from gateway.console.entry import Endpoint, needs, turned_away
from gateway.console.words import PAGE
from gateway.house import House
from gateway.store.sessions import Session
from normalizer.errors import Rejected


def routes(house: House) -> list[Route]:
    return [
        Route("/console/account", account(house)),
        Route("/console/account/password", password(house), methods=["POST"]),
        Route("/console/account/language", language(house), methods=["POST"]),
        Route("/console/account/sessions", sessions(house), methods=["POST"]),
        Route("/console/account/totp", totp(house), methods=["GET", "POST"]),
        Route("/console/account/totp/drop", drop(house), methods=["POST"]),
    ]


def account(house: House) -> Endpoint:
    @guard.declares(guard.SIGNED_IN)
    async def endpoint(asked: Request) -> Response:
        session = await own(asked)
        if isinstance(session, Response):
            return session
        return await drawn(house, asked, session, asked.query_params.get("done", ""))

    return endpoint


def password(house: House) -> Endpoint:
    @guard.declares(guard.SIGNED_IN)
    async def endpoint(asked: Request) -> Response:
        session = await own(asked)
        if isinstance(session, Response):
            return session
        given = await guard.fields(asked)
        try:
            await guard.check_ours(asked)
            twice(given)
            done = await house.signin.change_password(
                session, given.get("old", ""), given.get("new", ""), guard.browser(asked)
            )  # fmt: skip
        except Rejected as e:
            return await drawn(house, asked, session, wrong=e)
        return entered(house, done, "/console/account?done=password_done")

    return endpoint


def language(house: House) -> Endpoint:
    @needs(guard.SIGNED_IN)
    async def endpoint(asked: Request) -> Response:
        chosen = (await guard.fields(asked)).get("language", "")
        if session := await guard.session(asked):
            await house.signin.speak(session.user, chosen if chosen in PAGE else "")
        return RedirectResponse("/console/account?done=language_done", 303)

    return endpoint


def sessions(house: House) -> Endpoint:
    @needs(guard.SIGNED_IN)
    async def endpoint(asked: Request) -> Response:
        if session := await guard.session(asked):
            await house.signin.end_others(session)
        return RedirectResponse("/console/account?done=others_done", 303)

    return endpoint


def totp(house: House) -> Endpoint:
    """The secret as a picture and in letters; then the first code."""

    @needs(guard.SIGNED_IN)
    async def endpoint(asked: Request) -> Response:
        session = await guard.session(asked)
        if session is None or session.user.totp or not session.user.password:
            return RedirectResponse("/console/account", 303)
        secret = await house.signin.offer_totp(session.user)
        qr, letters = picture(house, session, secret), " ".join(_groups(secret))
        if asked.method == "GET":
            return page(asked, "totp.html", "totp_title", qr=qr, secret=letters)
        try:
            codes = await house.signin.enrol_totp(
                session, (await guard.fields(asked)).get("code", ""), guard.browser(asked)
            )  # fmt: skip
        except Rejected as e:
            return page(asked, "totp.html", "totp_title", e, qr=qr, secret=letters)
        return page(asked, "recovery.html", "recovery", codes=codes)

    return endpoint


def drop(house: House) -> Endpoint:
    @needs(guard.SIGNED_IN)
    async def endpoint(asked: Request) -> Response:
        session = await guard.session(asked)
        if session is None:
            return RedirectResponse("/console/account", 303)
        given = (await guard.fields(asked)).get("old", "")
        try:
            await house.signin.drop_totp(session, given, guard.browser(asked))
        except Rejected as e:
            return await drawn(house, asked, session, wrong=e)
        return RedirectResponse("/console/account?done=totp_dropped", 303)

    return endpoint


async def own(asked: Request) -> Session | Response:
    """The session of who is signed in, though perhaps with a one-time password; else where to go."""
    session = await guard.session(asked)
    if session is None or session.stage != "in":
        return await turned_away(asked, Rejected("sign in"))
    await guard.who(asked)
    return session


async def drawn(
    house: House, asked: Request, session: Session, done: str = "", wrong: Rejected | None = None
) -> Response:
    if wrong and wrong.code == "wrong_password":
        wrong = Rejected(wrong.reason, status=wrong.status, code="not_your_password")
    zone = house.configured.settings.zone
    rows = [
        (one.agent, one.remote, one.created_at.astimezone(zone), one.last_seen_at.astimezone(zone),
         one.digest == session.digest)
        for one in await house.signin.sessions(session.user)
        if one.stage == "in"
    ]  # fmt: skip
    return page(asked, "account.html", "account", wrong, user=session.user, rows=rows, done=done)


def picture(house: House, session: Session, secret: str) -> Markup:
    """A QR code as SVG, for authenticators: black on white, whatever the page is."""
    company = house.configured.settings.company
    address = TOTP(secret).provisioning_uri(name=session.user.login, issuer_name=f"Ticketgate {company}".strip())
    drawn = segno.make(address, error="m").svg_inline(omitsize=True, border=4, dark="#000", light="#fff")
    return Markup(drawn)  # noqa: S704 - drawn from squares, no word of anybody in it


def _groups(secret: str) -> list[str]:
    return [secret[n : n + 4] for n in range(0, len(secret), 4)]
