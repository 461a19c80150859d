"""Whose request it is, past proxies we trust and only those."""

from ipaddress import ip_network

import pytest
from starlette.requests import Request

from gateway.http import is_local, remote

PROXIES = [ip_network("10.0.0.0/8")]


def asked(client: str, forwarded: str = "") -> Request:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    return Request({"type": "http", "client": (client, 1), "headers": headers, "method": "GET", "path": "/"})


@pytest.mark.parametrize(
    ("client", "forwarded", "is_from"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9"),  # anybody can write that header
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "127.0.0.1, 198.51.100.7", "198.51.100.7"),  # what stands before it the client wrote itself
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "nonsense", "nonsense"),
    ],
)
def test_only_trusted_proxies_are_believed(client: str, forwarded: str, is_from: str) -> None:
    assert remote(asked(client, forwarded), PROXIES) == is_from


def test_what_is_no_address_is_not_local() -> None:
    assert is_local("127.0.0.1")
    assert is_local("::1")
    assert not is_local("nonsense")
    assert not is_local("203.0.113.9")
