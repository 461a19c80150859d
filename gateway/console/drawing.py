"""What every page of the console is drawn with: the templates, the headers, the language, and who is looking.

A page asked for by htmx is drawn without its frame; everything works without scripts too, a page at a time.
"""

import time
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
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LANGUAGE = "ticketgate_language"  # the cookie
A_YEAR = 365 * 86400
STARTED = "ticketgate.started"
NAVIGATION = (  # the name of its words, its address, what it asks for, the key after g
    ("tickets", "/console/", "tickets:read", "t"),
    ("new", "/console/new", "tickets:write", "n"),
    ("quarantine", "/console/quarantine", "quarantine:read", "q"),
    ("outbox", "/console/outbox", "outbox:read", "o"),
    ("rules", "/console/rules", "journal:read", "r"),
    ("journal", "/console/journal", "journal:read", "j"),
    ("health", "/console/health", "journal:read", "h"),
)
pages = Jinja2Templates(HERE / "templates")
pages.env.trim_blocks = pages.env.lstrip_blocks = True


def render(
    asked: Request, name: str, house: House, language: str, title: str, status: int = 200, **more: Any
) -> Response:
    """A page of the console. Templates get `who` (None: nobody is signed in), and `csrf` for every form."""
    who = asked.scope.get(guard.WHO)
    places = [(word, path, key) for word, path, permission, key in NAVIGATION if who and who.may(permission)]
    told = PAGE[language]["done"].get(asked.query_params.get("done", ""), "")
    context = {
        "lang": language, "t": PAGE[language], "title": title, "company": house.configured.settings.company,
        "who": who, "csrf": guard.csrf(asked), "places": places, "here": _place(asked), "flash": told,
        "other": _other(asked, language), "partial": is_partial(asked), **more,
    }  # fmt: skip
    answer = pages.TemplateResponse(asked, name, context, status_code=status, headers=HEADERS)
    if started := asked.scope.get(STARTED):
        answer.headers["Server-Timing"] = f"page;dur={(time.perf_counter() - started) * 1000:.1f}"
    if guard.cookie(house) not in asked.cookies:
        keep(answer, house, guard.token(asked))
    if asked.query_params.get("lang", "") in PAGE:
        answer.set_cookie(LANGUAGE, language, A_YEAR, path="/console", samesite="lax", secure=guard.secure(house))
    return answer


def word(asked: Request, status: int, said: str, hint: str = "", back: str = "") -> Response:
    """A page that says one thing."""
    language = language_of(asked)
    return render(asked, "word.html", guard.house(asked), language, said, status, word=said, hint=hint, back=back)


def keep(answer: Response, house: House, token: str) -> None:
    """Let the browser bring this token along from now on; no script sees it, no other site sends it with a form."""
    answer.set_cookie(
        guard.cookie(house), token, path="/", httponly=True, samesite="lax", secure=guard.secure(house)
    )  # fmt: skip


def is_partial(asked: Request) -> bool:
    """htmx asks for what goes into a page that is there; after a lost history entry it wants the whole one."""
    return "hx-request" in asked.headers and "hx-history-restore-request" not in asked.headers


def language_of(asked: Request) -> str:
    """As asked for by ?lang=, else as this browser was told, else as the user chose, else as the browser prefers."""
    for asked_for in (asked.query_params.get("lang", ""), asked.cookies.get(LANGUAGE, "")):
        if asked_for in PAGE:
            return asked_for
    session = asked.scope.get(guard.SESSION)
    if session and session.user.language in PAGE:
        return str(session.user.language)
    return "zh" if asked.headers.get("accept-language", "zh").lower().startswith("zh") else "en"


def _place(asked: Request) -> str:
    """The navigation's entry this page belongs to."""
    path = asked.url.path
    inner = [place for _, place, _, _ in NAVIGATION if place != "/console/" and path.startswith(place)]
    return inner[0] if inner else "/console/" if path == "/console/" or path.startswith("/console/tickets") else ""


def _other(asked: Request, language: str) -> str:
    """The same page in the other language. What was posted is not asked for again: its ticket is, or the list."""
    wanted = "en" if language == "zh" else "zh"
    if asked.method == "GET":
        return "?" + asked.url.include_query_params(lang=wanted).query
    return f"/console/{'/'.join(asked.url.path.split('/')[2:4])}?lang={wanted}"
