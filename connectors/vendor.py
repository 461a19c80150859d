"""A chat vendor's HTTP API: questions and answers in JSON, access tokens, and files that were left behind there.

No URL and no error's text goes further than here, since either may hold a token.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urljoin

import httpx
import orjson

from connectors.base import MediaSettings
from connectors.calling import UNPACKED, Outside, judged, whole
from normalizer.canon import Attachment
from normalizer.errors import Refused, SendingError, Unavailable

TIMEOUT = 15.0  # seconds
LARGEST_ANSWER = 4 * 1024 * 1024  # octets
REDIRECTS = 3
REFUSED = "answered 401: our token or password is not taken"
EARLY = timedelta(minutes=5)  # how long before its end a token is asked for anew


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor said. `data` is its JSON; an empty object where it is none."""

    status: int
    data: Any
    headers: Mapping[str, str]


class Vendor:
    """Where a vendor's API is, and a client for it. `base` is the operator's, so it may stand anywhere."""

    def __init__(self, base: str, *, allow_private: bool = False) -> None:
        self.base = base.rstrip("/")
        self.allow_private = allow_private
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def ask(
        self,
        method: str,
        path: str,
        now: datetime,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        even: tuple[int, ...] = (),
    ) -> Answer:
        """One call. What is not 2xx raises Unavailable or Refused (calling.judged), but for the statuses in `even`."""
        wanted = {**(headers or {}), **UNPACKED}
        body = None if json is None else orjson.dumps(json)
        if body is not None:
            wanted["content-type"] = "application/json; charset=utf-8"
        try:
            asked = self._client(True).build_request(
                method, self.base + path, content=body, data=form, params=params, headers=wanted
            )
            response = await self._client(True).send(asked, auth=auth or httpx.USE_CLIENT_DEFAULT, stream=True)
            try:
                content = await whole(response, LARGEST_ANSWER)
            finally:
                await response.aclose()
        except httpx.InvalidURL:
            raise Refused("not a URL that can be called") from None
        except httpx.HTTPError as error:
            raise Unavailable(f"no answer: {type(error).__name__}") from None
        if not response.is_success and response.status_code not in even:
            raise judged(response, now)
        return Answer(response.status_code, _json(content), response.headers)

    async def download(
        self,
        attachment: Attachment,
        url: str,
        limits: MediaSettings,
        now: datetime,
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
    ) -> Attachment:
        """A file by its URL, which a stranger may have written: only the internet at large, a few redirects, as large
        and of such types as the account allows.

        Secrets go to the server of the first URL alone. Raises Unavailable (also where they are not taken), or Refused
        if it is not there any more.
        """
        secret: dict[str, Any] = {"headers": {**(headers or {}), **UNPACKED}, "auth": auth or httpx.USE_CLIENT_DEFAULT}
        server, proving = _server(url) if _callable(url) else None, bool(headers or auth)
        failed: SendingError | None = None
        try:
            for _ in range(REDIRECTS + 1):
                if not _callable(url):
                    return replace(attachment, missing="forbidden")
                if _server(url) != server:
                    secret, proving = {"headers": UNPACKED}, False
                async with self._client(False).stream("GET", url, **secret) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    if response.is_success:
                        return await _kept(response, attachment, limits)
                    refused = response.status_code == 401 and proving
                    failed = Unavailable(REFUSED) if refused else judged(response, now)
                    break
        except Refused:  # an address of the inside
            return replace(attachment, missing="forbidden")
        except httpx.InvalidURL:
            return replace(attachment, missing="forbidden")
        except httpx.HTTPError as error:
            raise Unavailable(f"no answer: {type(error).__name__}") from None
        if failed:
            raise failed
        return replace(attachment, missing="forbidden")

    def _client(self, api: bool) -> httpx.AsyncClient:
        """Two: the API stands where the operator says, a file wherever a stranger says."""
        if api not in self._clients:
            transport = Outside(allow_private=api or self.allow_private)
            self._clients[api] = httpx.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False)
        return self._clients[api]

    async def close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()


class Token:
    """An access token, asked for anew a little before it ends, and once the vendor says it is no good."""

    def __init__(self, ask: Callable[[datetime], Awaitable[tuple[str, timedelta]]]) -> None:
        self._ask = ask  # gives a token and how long it lives
        self._token, self._until = "", datetime.min.replace(tzinfo=UTC)
        self._lock = asyncio.Lock()

    async def get(self, now: datetime) -> str:
        """Raises what asking raises."""
        async with self._lock:
            if not self._token or now >= self._until:
                self._token, lives = await self._ask(now)
                self._until = now + max(lives - EARLY, lives / 2)
            return self._token

    def spoilt(self, token: str) -> None:
        """The vendor does not take this one any more; a newer one that was asked for meanwhile stays."""
        if token == self._token:
            self._token = ""


def filed(attachment: Attachment, content: bytes, media_type: str, limits: MediaSettings) -> Attachment:
    """The attachment with its content, or marked as missing if it is more or other than the account takes."""
    kind = media_type.partition(";")[0].strip().lower() or attachment.media_type
    if attachment.media_type not in ("", "application/octet-stream") and kind in ("", "application/octet-stream"):
        kind = attachment.media_type
    if not any(fnmatchcase(kind, allowed) for allowed in limits.types):
        return replace(attachment, media_type=kind, missing="forbidden")
    if len(content) > limits.size_limit:
        return replace(attachment, media_type=kind, size=max(attachment.size, len(content)), missing="oversized")
    sha256 = hashlib.sha256(content).hexdigest()
    return replace(attachment, media_type=kind, size=len(content), sha256=sha256, content=content)


def pieces(text: str, limit: int, measure: Callable[[str], int] = len) -> list[str]:
    """The text in pieces of at most `limit` by `measure`: cut between paragraphs, else lines, sentences, words.

    `limit` is at least what one character measures.
    """
    left, cut = text.strip(), []
    while left and measure(left) > limit:
        at = _fitting(left, limit, measure)
        cut.append(left[:at].rstrip())
        left = left[at:].lstrip()
    return [piece for piece in [*cut, left] if piece]


def utf16(text: str) -> int:
    """UTF-16 code units, in which Telegram and others count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _fitting(text: str, limit: int, measure: Callable[[str], int]) -> int:
    """How many characters to take: as many as fit, back to the best place to cut, if one is in the second half."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(text[:middle]) <= limit else (low, middle - 1)
    for marks in (("\n\n",), ("\n",), ("。", "！", "？", ". ", "! ", "? "), (" ", "，", "、")):
        best = max(text.rfind(mark, low // 2, low) + len(mark) for mark in marks)
        if best >= low // 2 + 1:
            return best
    return low


async def _kept(response: httpx.Response, attachment: Attachment, limits: MediaSettings) -> Attachment:
    said = response.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limits.size_limit:
        return replace(attachment, size=int(said), missing="oversized")
    content = await whole(response, limits.size_limit)
    return filed(attachment, content, response.headers.get("content-type", ""), limits)


def _callable(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _server(url: str) -> tuple[str, str, int | None]:
    """A port beside another may be somebody else's, and what is not encrypted anybody's."""
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port


def _json(content: bytes) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
