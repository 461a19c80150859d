"""What the forms of signing in and of the account have in common."""

from collections.abc import Mapping
from math import ceil
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import guard
from gateway.console.drawing import keep, language_of, render
from gateway.console.signin_words import SIGNIN
from gateway.house import House
from gateway.register import TooMany
from gateway.signin import SignedIn
from normalizer.errors import Rejected

FRONT = "/console/"


def page(asked: Request, name: str, title: str, wrong: Rejected | None = None, **more: Any) -> Response:
    """A form; with what was wrong about the last try, under the status that says so."""
    language = language_of(asked)
    words = SIGNIN[language]
    answer = render(
        asked, name, guard.house(asked), language, words[title], wrong.status if wrong else 200, s=words,
        fault=fault(words, wrong) if wrong else "", **more,
    )  # fmt: skip
    if isinstance(wrong, TooMany):
        answer.headers["Retry-After"] = str(ceil(wrong.wait.total_seconds()))
    return answer


def fault(words: Mapping[str, Any], wrong: Rejected) -> str:
    """What was wrong, in their language."""
    minutes = ceil(wrong.wait.total_seconds() / 60) if isinstance(wrong, TooMany) else 0
    return str(words["faults"].get(wrong.code, wrong.reason)).format(minutes)


def entered(house: House, done: SignedIn, onward: str) -> Response:
    """The browser gets its new token, and goes on to where it wanted, or to what is still owed."""
    if done.stage == "code":
        onward = f"/console/signin/code?{urlencode({'next': onward})}"
    elif done.user.must_change:
        onward = "/console/account"
    answer = RedirectResponse(onward, 303)
    keep(answer, house, done.token)
    return answer


def safe(onward: str) -> str:
    """A page of the console to go on to, and nothing else."""
    ours = onward.startswith(FRONT) and "\\" not in onward and "//" not in onward and onward.isprintable()
    return onward if ours else FRONT


def twice(given: Mapping[str, str]) -> None:
    """Raises Rejected unless the new password was typed the same way both times."""
    if given.get("new", "") != given.get("again", ""):
        raise Rejected("the two are not the same", status=422, code="not_again")
