"""Answers and files of a stranger's server: how much of them is read, and who gets to see our secrets."""

import gzip
import tracemalloc
from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Vendor as Other
from vendor import speaking

from connectors.base import MediaSettings
from connectors.calling import public
from connectors.vendor import Vendor
from normalizer.canon import Attachment
from normalizer.errors import Unavailable

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PICTURE = Attachment("a.png", "image/png", 0, "")
SMALL = MediaSettings(size_limit=1024 * 1024)
ONCE = gzip.compress(b"\0" * 64 * 1024 * 1024)


class Side(Other):
    """Gives what it is told to, and keeps the headers it was asked with."""

    def __init__(self, body: bytes = b"picture", headers: Mapping[str, str] | None = None, elsewhere: str = "") -> None:
        super().__init__()
        self.body, self.headers, self.elsewhere = body, headers, elsewhere
        self.asked: list[Mapping[str, str]] = []

    def routes(self) -> list[BaseRoute]:
        return [Route("/file", self._file, methods=["GET", "POST"])]

    async def _file(self, asked: Request) -> Response:
        self.asked.append(asked.headers)
        return (
            RedirectResponse(self.elsewhere) if self.elsewhere else Response(self.body, 200, self.headers, "image/png")
        )


@pytest.mark.parametrize(("packed", "how"), [(ONCE, "gzip"), (gzip.compress(ONCE), "gzip, gzip")])
async def test_what_unfolds_to_more_than_we_take_is_not_unfolded(packed: bytes, how: str) -> None:
    side = Side(packed, {"content-encoding": how})
    async with speaking(side):
        vendor = Vendor(side.url, allow_private=True)
        tracemalloc.start()
        try:
            missing = (await vendor.download(PICTURE, f"{side.url}/file", SMALL, NOW)).missing
        except Unavailable:
            missing = "packed in layers"
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await vendor.close()
    assert missing == ("oversized" if how == "gzip" else "packed in layers")
    assert most < 8 * 1024 * 1024
    assert side.asked[0]["accept-encoding"] == "identity"


async def test_an_answer_packed_by_who_was_not_asked_to_is_read_all_the_same() -> None:
    side = Side(gzip.compress(b'{"ok": true}'), {"content-encoding": "gzip"})
    async with speaking(side):
        vendor = Vendor(side.url)
        assert (await vendor.ask("GET", "/file", NOW)).data == {"ok": True}
        await vendor.close()


async def test_a_secret_goes_to_no_other_port_of_the_same_host() -> None:
    there = Side()
    async with speaking(there):
        here = Side(elsewhere=f"{there.url}/file")
        async with speaking(here):
            vendor = Vendor(here.url, allow_private=True)
            secret = {"authorization": "Bearer secret"}
            got = await vendor.download(PICTURE, f"{here.url}/file", SMALL, NOW, headers=secret)
            await vendor.close()
    assert got.content == b"picture"
    assert [side.asked[0].get("authorization") for side in (here, there)] == ["Bearer secret", None]


INSIDE = ("fec0::1", "168.63.129.16", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_the_inside_is_known_in_whatever_way_it_is_written(address: str) -> None:
    assert not public(ip_address(address))
