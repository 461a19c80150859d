"""HTTP connections of those who say too much before they come to the point, or nothing at all."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocket
from uvicorn.server import ServerState
from websockets.asyncio.client import connect

from gateway.connection import Connection

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Impatient(Connection):
    patience = 0.6


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """Takes longer than the other side may."""
    if scope["type"] == "websocket":
        socket = WebSocket(scope, receive, send)
        await socket.accept()
        await asyncio.sleep(1)
        await socket.send_text("here")
        await socket.close()
        return
    body = await Request(scope, receive).body()
    await asyncio.sleep(1)
    await PlainTextResponse(f"{len(body)}")(scope, receive, send)


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(slow, log_config=None, lifespan="off", ws="websockets-sansio")
    config.load()
    made = partial(Impatient, config=config, server_state=ServerState(), app_state={})
    server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def heard(port: int, *pieces: bytes) -> str:
    """All that is answered to these pieces, said a moment apart, until the other side hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(10):
            for piece in pieces:
                if not answer.done():
                    writer.write(piece)
                    await asyncio.sleep(0.1)
            return (await answer).decode()
    finally:
        writer.close()


@pytest.mark.parametrize("within", [HEAD, CHUNKED + b"1\r\nx\r\n0\r\n"], ids=["head", "trailers"])
async def test_headers_without_end_are_refused_before_they_fill_the_memory(port: int, within: bytes) -> None:
    assert (await heard(port, within + b"X: ", b"y" * 70_000)).startswith("HTTP/1.1 431 ")


async def test_who_says_nothing_is_hung_up_on_without_a_word(port: int) -> None:
    assert await heard(port) == ""


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD, *[b"X: y\r\n"] * 9],
        [HEAD + b"Content-Length: 2\r\n\r\n", b"{"],
        [CHUNKED, b"1\r\nx\r\n", *[b"0"] * 9],
    ],
    ids=["a header now and then", "half a body", "half a chunk"],
)
async def test_who_does_not_come_to_the_point_hears_408(port: int, pieces: list[bytes]) -> None:
    assert (await heard(port, *pieces)).startswith("HTTP/1.1 408 ")


async def test_a_slow_body_is_no_silent_one_and_our_own_slowness_is_nobodys_fault(port: int) -> None:
    slowly = [HEAD + b"Connection: close\r\nContent-Length: 9\r\n\r\n", *[b"x"] * 9]
    answer = await heard(port, *slowly)
    assert answer.startswith("HTTP/1.1 200 ")
    assert answer.endswith("\r\n9")


async def test_what_became_a_web_socket_is_left_alone(port: int) -> None:
    async with connect(f"ws://127.0.0.1:{port}/") as socket:
        assert await socket.recv() == "here"
