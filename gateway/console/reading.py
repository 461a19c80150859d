"""Who reads a page, in what language, and whether personal data is shown them whole."""

from starlette.requests import Request
from starlette.responses import Response

from gateway import guard
from gateway.console.drawing import language_of, word
from gateway.console.rows import Words
from gateway.console.words import PAGE
from gateway.house import House
from gateway.permissions import Who
from normalizer.errors import Rejected


async def words(house: House, asked: Request, *about: str) -> Words:
    """Words for this reader; unmasked only if they were shown one of these (a ticket's or contact's id)."""
    who = await guard.who(asked)
    revealed = await house.users.revealed(who, *about)
    names = {user.id: user.name for user in await house.users.everybody()}
    return Words(house.mind, language_of(asked), house.clock.now(), revealed, names)


async def reader(asked: Request) -> Who:
    """Who was let in. Only behind `needs`."""
    found = await guard.who(asked)
    if found is None:
        raise Rejected("nobody is signed in", code="unverified")
    return found


def missing(asked: Request) -> Response:
    t = PAGE[language_of(asked)]
    return word(asked, 404, t["not_found"], t["not_found_hint"])
