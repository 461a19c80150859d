"""What every page of the console is drawn with: the templates, the headers, the language, and who is looking."""

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from gateway import guard
from gateway.console.words import PAGE
from gateway.house import House

HERE = Path(__file__).parent
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
pages = Jinja2Templates(HERE / "templates")


def render(
    asked: Request, name: str, house: House, language: str, title: str, status: int = 200, **more: Any
) -> Response:
    """A page of the console. Templates get `who` (None: nobody is signed in), and `csrf` for every form."""
    context = {
        "lang": language, "t": PAGE[language], "title": title, "company": house.configured.settings.company,
        "who": asked.scope.get(guard.WHO), "csrf": guard.csrf(asked), **more,
    }  # fmt: skip
    answer = pages.TemplateResponse(asked, name, context, status_code=status, headers=HEADERS)
    if guard.cookie(house) not in asked.cookies:
        keep(answer, house, guard.token(asked))
    return answer


def keep(answer: Response, house: House, token: str) -> None:
    """Let the browser bring this token along from now on; no script sees it, no other site sends it with a form."""
    answer.set_cookie(
        guard.cookie(house), token, path="/", httponly=True, samesite="lax", secure=guard.secure(house)
    )  # fmt: skip


def language_of(asked: Request) -> str:
    """As asked for by ?lang=, else as the user chose, else as the browser prefers."""
    asked_for = asked.query_params.get("lang", "")
    if asked_for in PAGE:
        return asked_for
    session = asked.scope.get(guard.SESSION)
    if session and session.user.language in PAGE:
        return str(session.user.language)
    return "zh" if asked.headers.get("accept-language", "zh").lower().startswith("zh") else "en"
