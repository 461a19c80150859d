"""Keys in addresses: `support+20231027001-9f86d081884c7d659a2f@example.com` is support@, and names its ticket.

The key is the ticket's number and a code that only this installation can make of it. It comes back from every mail
client, whatever that does to Message-IDs. Whether it is right only the store can tell.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from normalizer.identity import email_address

_KEY = re.compile(r"20\d{6}\d{3,12}-[0-9a-f]{20}$", re.ASCII)
SEPARATOR = r"[+=_.-]{0,3}"  # what may stand between an address and its key; empty: there are no keys
MOST = 4  # of one mail


def keyed(address: str, key: str, separator: str) -> str:
    """The address with a key in it; as it is without key or separator, or without room (RFC 5321 4.5.3.1.1)."""
    local, at, domain = address.rpartition("@")
    with_key = f"{local}{separator}{key}"
    return f"{with_key}{at}{domain}" if key and separator and local and len(with_key.encode()) <= 64 else address


def bare(address: str, separator: str) -> str:
    """The address without the key in it."""
    return _taken_apart(address, separator)[0]


def keys(addresses: Iterable[str], separator: str) -> tuple[str, ...]:
    """The keys in these addresses, each once."""
    found = (_taken_apart(one, separator)[1] for one in addresses)
    return tuple(dict.fromkeys(filter(None, found)))[:MOST]


@lru_cache(maxsize=4096)
def _taken_apart(address: str, separator: str) -> tuple[str, str]:
    local, at, domain = email_address(address).rpartition("@")
    found = _KEY.search(local)
    if not separator or not found or not (before := local[: found.start()]).endswith(separator):
        return f"{local}{at}{domain}", ""
    return f"{before.removesuffix(separator)}{at}{domain}", found[0]
