"""Where a request that an operator's settings name may go: the open internet, not our own network.

A name is resolved once, judged, and then spoken to by that very address, so that it cannot mean another one a moment
later. Redirects are not followed: they could lead anywhere.
"""

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from connectors.calling import UNPACKED, whole
from normalizer.errors import Refused, Unavailable

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
MOST_BYTES = 256 * 1024  # of an answer


@dataclass(frozen=True, slots=True)
class Way:
    """An address with its host as the number that was judged, and the name it must prove to be and be asked as."""

    url: str
    host: str
    name: str


async def way(url: str, private: bool = False) -> Way:
    """How to get there. Raises Refused if it is an address of our own network, Unavailable if nobody knows it."""
    parts = urlsplit(url)
    name = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as e:
        raise Unavailable(f"nobody knows {name}") from e
    addresses = [str(where[0]).partition("%")[0] for *_, where in found]
    if not private and (inside := [address for address in addresses if not is_public(address)]):
        raise Refused(f"{name} is an address of our own network ({inside[0]}); private: true allows that")
    number = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return Way(urlunsplit((parts.scheme, f"{number}:{port}", parts.path or "/", parts.query, "")), parts.netloc, name)


def is_public(address: str) -> bool:
    """Whether an address is somebody's on the open internet; one that only wraps another is judged by that."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip in NAT64:
        return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
    wrapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    if wrapped is not None:
        return is_public(str(wrapped))
    return ip.is_global and not ip.is_multicast


async def get(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], private: bool = False) -> bytes:
    """The body of a 200. Raises Refused for any other answer, Unavailable if there is none."""
    to = await way(url, private)
    extensions: dict[str, Any] = {"sni_hostname": to.name}
    try:
        asked = client.stream("GET", to.url, headers={**headers, **UNPACKED, "Host": to.host}, extensions=extensions)
        async with asked as answer:
            if answer.status_code != 200:
                raise Refused(f"answered {answer.status_code}")
            body = await whole(answer, MOST_BYTES)
    except httpx.HTTPError as e:
        raise Unavailable(type(e).__name__) from e
    if len(body) > MOST_BYTES:
        raise Refused(f"answered more than {MOST_BYTES} bytes")
    return body
