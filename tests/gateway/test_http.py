"""Whose request it is, past proxies we trust and only those; and how much is read at once."""

import asyncio
from ipaddress import ip_network

import pytest
from starlette.requests import Request

from gateway import http
from gateway.http import is_local, remote
from normalizer.errors import Unavailable

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


def posted(*pieces: bytes, ended: asyncio.Event | None = None) -> Request:
    """A request whose body comes in pieces, and ends when it is told to."""
    left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]

    async def receive() -> dict[str, object]:
        if left:
            return left.pop(0)
        if ended:
            await ended.wait()
        return {"type": "http.request", "body": b"", "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)


async def test_a_large_body_comes_again_later_while_others_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HELD", 150_000)
    large, small, end = [b"x" * 70_000] * 3, [b"x" * 60_000], asyncio.Event()
    under_way = asyncio.create_task(http.whole(posted(*large, ended=end), 1_000_000))
    await asyncio.sleep(0)

    with pytest.raises(Unavailable):
        await http.whole(posted(*large), 1_000_000)
    assert len(await http.whole(posted(*small), 1_000_000)) == 60_000

    end.set()
    assert len(await under_way) == 210_000
    assert len(await http.whole(posted(*large), 1_000_000)) == 210_000
