"""Calling other systems over HTTP: nobody's inside, no redirects, and every answer sorted into done, later or never."""

import asyncio
import logging
import socket
import ssl
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx

from normalizer.errors import Refused, SendingError, Unavailable

# httpx logs every URL at INFO, and some carry a token.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

ANSWER = 64 * 1024  # of an answer; more is not read
LONGEST_WAIT = timedelta(days=1)
# What is packed in layers unfolds to a million times its size, so that answers are asked for as they are.
UNPACKED = {"accept-encoding": "identity"}
_NAT64 = IPv6Network("64:ff9b::/96")
_AZURE = IPv4Address("168.63.129.16")  # its host, which tells what only the machine itself may know


class Outside(httpx.AsyncBaseTransport):
    """Resolves a host once, refuses addresses of the inside, and connects to the very address it looked at.

    So a name that says something else the second time (DNS rebinding) gains nothing. TLS still checks the name.
    """

    def __init__(self, *, allow_private: bool = False, trust: ssl.SSLContext | None = None) -> None:
        self.allow_private = allow_private
        self._inner = httpx.AsyncHTTPTransport(verify=trust or True, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        if not self.allow_private:
            address = await outside(host, request.url.port or 443)
            request.extensions = {**request.extensions, "sni_hostname": host}
            request.url = request.url.copy_with(host=address)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def outside(host: str, port: int) -> str:
    """An address of the host. Raises ConnectError if it has none, Refused if one is of the inside."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpx.ConnectError(f"cannot find {host}: {error}") from None
    addresses = [ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    for address in addresses:
        if not public(address):
            raise Refused(f"{host} is at {address}, inside: set allow_private if that is meant")
    return str(addresses[0])


def public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is of the internet at large, seen through the ways IPv6 has of saying an IPv4 address."""
    if isinstance(address, IPv6Address):
        if hidden := address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[0]:
            return public(hidden)
        if address in _NAT64:
            return public(IPv4Address(int(address) & 0xFFFFFFFF))
        if address.is_site_local:  # RFC 3879: nobody's any more, yet routed within some houses
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and address != _AZURE


async def post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]
) -> tuple[httpx.Response, bytes]:
    """The answer to a POST and the first 64 KB of its body. Raises Unavailable if there is none."""
    try:
        async with client.stream("POST", url, content=body, headers={**headers, **UNPACKED}) as response:
            return response, (await whole(response, ANSWER))[:ANSWER]
    except httpx.InvalidURL:
        raise Refused("not a URL that can be called") from None
    except httpx.HTTPError as error:
        # Neither the URL nor the error's text, which may quote it.
        raise Unavailable(f"no answer: {type(error).__name__}") from None


async def get(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], most: int) -> bytes:
    """The body of a 200, of `most` octets at most. Raises Refused for another answer, Unavailable if there is none."""
    try:
        async with client.stream("GET", url, headers={**headers, **UNPACKED}) as response:
            if response.status_code != 200:
                raise Refused(f"answered {response.status_code}")
            body = await whole(response, most)
    except httpx.InvalidURL:
        raise Refused("not a URL that can be called") from None
    except httpx.HTTPError as error:
        raise Unavailable(f"no answer: {type(error).__name__}") from None
    if len(body) > most:
        raise Refused(f"answered more than {most} octets")
    return body


async def whole(response: httpx.Response, most: int) -> bytes:
    """The body of an answer that is streamed, or one octet more than `most` of it; more is not even unpacked.

    Raises httpx.HTTPError; for what is packed otherwise than once by gzip too.
    """
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("identity", "", "gzip", "x-gzip"):
        raise httpx.DecodingError("packed in a way nobody asked for")
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in packed else None
    read = bytearray()
    async for piece in response.aiter_raw():
        try:
            read += unpacking.decompress(piece, most + 1 - len(read)) if unpacking else piece
        except zlib.error:
            raise httpx.DecodingError("no gzip, though it says so") from None
        if len(read) > most:
            break
    return bytes(read[: most + 1])


def judged(response: httpx.Response, now: datetime) -> SendingError:
    """What an answer that is not 2xx means for us."""
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        return Unavailable(f"answered {status}", wait=retry_after(response.headers.get("retry-after", ""), now))
    if 300 <= status < 400:
        return Refused(f"answered {status}: redirects are not followed, write the final address")
    return Refused(f"answered {status}")


def retry_after(said: str, now: datetime) -> timedelta | None:
    """RFC 9110 10.2.3: seconds or a date. At most a day; nothing for what is neither."""
    try:
        wait = timedelta(seconds=int(said)) if said.strip().isdecimal() else _until(said, now)
    except (ValueError, OverflowError, TypeError):
        return None
    return max(timedelta(), min(wait, LONGEST_WAIT))


def _until(said: str, now: datetime) -> timedelta:
    date = parsedate_to_datetime(said)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) - now


def named(found: object, keys: Sequence[str]) -> str:
    """The first of these keys of a JSON object that holds a name or number."""
    values = (found.get(key) for key in keys) if isinstance(found, dict) else ()
    return next((str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)), "")
