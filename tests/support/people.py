"""People for tests: a house's register on a clock that stands still, and a browser that fills in forms."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import httpx
import pyotp
from stored import opened

from gateway.register import Browser
from gateway.signin import SignIn
from gateway.users import Users

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
GOOD = "four calling birds"
BETTER = "three french hens"
HERE = Browser("192.0.2.1", "Firefox")


@dataclass
class Still:
    """A clock that moves when told to."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def jumped(self) -> timedelta:
        return timedelta()

    def pass_(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class People:
    """The people of one data folder."""

    users: Users
    signin: SignIn
    clock: Still

    async def admin(self, name: str = "root") -> str:
        """The first administrator's token."""
        return (await self.signin.first(name, "Root", GOOD, HERE)).token

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).at(self.clock.at)


@asynccontextmanager
async def register(folder: Path, clock: Still | None = None) -> AsyncIterator[People]:
    store = await opened(folder)
    moment = clock or Still()
    try:
        yield People(Users(store, moment), SignIn(store, moment), moment)
    finally:
        await store.close()


@dataclass
class Visitor:
    """A browser: keeps cookies, follows redirects, sends forms with the token that stood in them."""

    base: str
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=self.base, follow_redirects=True, timeout=30, headers={"accept-language": "en"}
        )

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def send(self, page: str, action: str = "", **fields: str) -> httpx.Response:
        """Open a page and send its form (that of `action`, else its own) filled in."""
        shown = self.get(page)
        return self.post(action or page, csrf=csrf(shown.text), **fields)

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self.client.post(path, data=fields, headers={"origin": self.base, "sec-fetch-site": "same-origin"})

    def sign_in(self, login: str, password: str) -> httpx.Response:
        return self.send("/console/signin", login=login, password=password)

    @property
    def token(self) -> str:
        return str(self.client.cookies["ticketgate"])


def csrf(html: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', html)
    assert found, f"no form here: {html[:2000]}"
    return unescape(found[1])


def recovery_codes(html: str) -> Iterator[str]:
    return (found[1] for found in re.finditer(r"<li><code>([a-z0-9-]+)</code>", html))
