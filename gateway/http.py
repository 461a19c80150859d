"""HTTP requests as connectors want them, and our errors as clients want them (RFC 9457)."""

from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

import orjson
import starlette.requests
import starlette.responses

from connectors.base import Request, Response
from gateway.settings import Http
from normalizer.errors import Rejected, Unavailable

KEPT_OF_OVERSIZED = 64 * 1024
DRAINED = 64 * 1024 * 1024
HELD = 256 * 1024 * 1024  # of bodies that are being read at once; beyond, only small ones
SMALL = 64 * 1024
TRY_AGAIN = {"Retry-After": "5"}


class Oversized(Rejected):
    """The body is over the limit; `first` is what was read of it."""

    def __init__(self, limit: int, first: bytes) -> None:
        super().__init__(f"larger than {limit} bytes", status=413, code="oversized")
        self.first = first


async def answered(answer: Awaitable[starlette.responses.Response]) -> starlette.responses.Response:
    """The answer, or why there is none."""
    try:
        return await answer
    except (Rejected, Unavailable) as e:
        return refusal(e)


def refusal(e: Rejected | Unavailable) -> starlette.responses.Response:
    """Of what is unavailable nothing was kept; the caller must come again."""
    if isinstance(e, Rejected):
        return problem(e.status, e.code, e.reason)
    return problem(503, "unavailable", "could not be stored just now; send it again", TRY_AGAIN)


async def whole(asked: starlette.requests.Request, limit: int) -> bytes:
    """The body. Raises Oversized if it is too large; what is over is read a while and thrown away.

    A client that is still writing hears no answer but a reset connection, and would come again and again.
    Raises Unavailable for a large one while others hold too much.
    """
    parts: list[bytes] = []
    size = 0
    with _Hold() as hold:
        async for part in asked.stream():
            size += len(part)
            if size <= limit or size - len(part) < KEPT_OF_OVERSIZED:
                hold.more(len(part))
                parts.append(part)
            if size > limit + DRAINED:
                break
    if size > limit:
        raise Oversized(limit, b"".join(parts)[:KEPT_OF_OVERSIZED])
    return b"".join(parts) if len(parts) != 1 else parts[0]


class _Hold:
    """What one request holds of the memory for bodies that are not whole yet; given back at the end."""

    everybody = 0

    def __init__(self) -> None:
        self.mine = 0

    def more(self, octets: int) -> None:
        if self.mine > SMALL and _Hold.everybody - self.mine > HELD:
            raise Unavailable("too much is being read at once")
        self.mine += octets
        _Hold.everybody += octets

    def __enter__(self) -> "_Hold":
        return self

    def __exit__(self, *_: object) -> None:
        _Hold.everybody -= self.mine


async def beginning(asked: starlette.requests.Request) -> bytes:
    """The first 64 KB of a body that is not wanted, read as far as `whole` does. Never too large."""
    try:
        return await whole(asked, KEPT_OF_OVERSIZED)
    except Oversized as e:
        return e.first


def request(asked: starlette.requests.Request, body: bytes, http: Http, now: datetime) -> Request:
    """The request by its public URL and the client's own address."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in asked.scope["headers"]}
    base = http.public_url.rstrip("/") or f"{asked.scope['scheme']}://{headers.get('host', http.listen)}"
    # As it was sent: signatures of URLs are of these very octets.
    query = b"?" + asked.scope["query_string"] if asked.scope["query_string"] else b""
    return Request(
        method=asked.method,
        url=base + (asked.scope["raw_path"] + query).decode("latin-1"),
        headers=headers,
        body=body,
        query=dict(asked.query_params) if query else {},
        remote=remote(asked, http.trusted_proxies),
        received_at=now,
    )


def remote(asked: starlette.requests.HTTPConnection, proxies: Sequence[IPv4Network | IPv6Network]) -> str:
    """The client's address: the last one in X-Forwarded-For that is not a trusted proxy of ours."""
    client = asked.scope.get("client")
    address: str = client[0] if client else ""
    if not _trusted(address, proxies):
        return address
    hops = [hop.strip() for hop in asked.headers.get("x-forwarded-for", "").split(",") if hop.strip()]
    while hops and _trusted(address, proxies):
        address = hops.pop()
    return address


def is_local(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _trusted(address: str, proxies: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        return any(ip_address(address) in proxy for proxy in proxies)
    except ValueError:
        return False


def respond(answer: Response) -> starlette.responses.Response:
    if not answer.body and not answer.headers:
        return _bare(answer.status)
    return starlette.responses.Response(
        answer.body, answer.status, dict(answer.headers), media_type=answer.media_type if answer.body else None
    )


@cache
def _bare(status: int) -> starlette.responses.Response:
    return starlette.responses.Response(status_code=status)


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> starlette.responses.Response:
    """An error in the form of RFC 9457; `code` is one of canon.REASONS or a word of the API."""
    body = {
        "type": f"urn:ticketgate:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "detail": detail,
        **more,
    }
    return starlette.responses.Response(
        orjson.dumps(body), status, dict(headers or {}), media_type="application/problem+json"
    )
