"""A conversation over a WebSocket: JSON objects in text frames, both ways; docs/channels/app.md tells each.

> hello      who is there, and what they heard last
< welcome    the conversation, or what is new in it
> message    < sent, once it is durably ours; or refused
< entries    what is new          < beat    nothing is
"""

import asyncio
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.webchat import Speaker, Webchat
from gateway import guard
from gateway.chat_access import FRAMES_A_MINUTE, Access
from gateway.chat_rooms import Seat
from gateway.chat_talk import Talks
from normalizer.errors import Rejected, Unavailable

HELLO_WITHIN = 10.0  # seconds
BEAT = 20.0  # seconds of silence after which a client hears that we are there
SLOW = 15.0  # seconds in which a client must take what it is told
LARGEST_FRAME = 64 * 1024
UNVERIFIED, FORBIDDEN, TOO_MANY, GOING, AWAY = 4401, 4403, 4429, 1012, 1001


class Sockets:
    def __init__(self, access: Access, talks: Talks) -> None:
        self.house, self.access, self.talks = access.house, access, talks

    @guard.declares(guard.EVERYBODY)
    async def socket(self, socket: WebSocket) -> None:
        connector = self.access.account(socket)
        if connector is None or not self.access.welcome(socket, connector):
            await socket.close(FORBIDDEN)
            return
        await socket.accept()
        try:
            self.access.knocked(socket, connector)
            async with asyncio.timeout(HELLO_WITHIN):
                hello = await _frame(socket)
            speaker = self.access.speaker(connector, str(hello.get("credential", "")))
            with self.talks.seat(socket, connector, speaker) as seat:
                await self._both_ways(socket, connector, speaker, seat, hello)
        except Rejected as e:
            codes = {429: TOO_MANY, 403: FORBIDDEN}
            await _closed(socket, codes.get(e.status, UNVERIFIED), e.code)
        except (TimeoutError, WebSocketDisconnect, RuntimeError, Unavailable):
            await _closed(socket, AWAY, "gone")

    async def _both_ways(
        self, socket: WebSocket, connector: Webchat, speaker: Speaker, seat: Seat, hello: dict[str, Any]
    ) -> None:
        """Hear and tell, until either ends."""
        after = hello.get("after")
        telling = asyncio.create_task(
            self._tell(socket, connector, speaker, seat, after if isinstance(after, int) and after > 0 else 0)
        )
        hearing = asyncio.create_task(self._hear(socket, connector, speaker))
        try:
            done, _ = await asyncio.wait([telling, hearing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, hearing):
                task.cancel()
            await asyncio.gather(telling, hearing, return_exceptions=True)
        for task in done:
            task.result()

    async def _tell(self, socket: WebSocket, connector: Webchat, speaker: Speaker, seat: Seat, after: int) -> None:
        kind = "welcome"
        while not seat.closed:
            if speaker.until and speaker.until <= self.house.clock.now():
                raise Rejected("the token is over", code="expired")
            told = await self.talks.look(connector, speaker, seat, after)
            after = told.cursor
            if told.entries or kind == "welcome":
                await _send(socket, {"type": kind, **self.talks.shown(connector, told)})
            kind = "entries"
            if not await seat.wait(self._patience(speaker)):
                await _send(socket, {"type": "beat"})
        await _closed(socket, GOING, "come again")

    def _patience(self, speaker: Speaker) -> float:
        """Seconds until a client must hear something: that we are there, or that its token is over."""
        left = (speaker.until - self.house.clock.now()).total_seconds() if speaker.until else BEAT
        return max(0.0, min(BEAT, left))

    async def _hear(self, socket: WebSocket, connector: Webchat, speaker: Speaker) -> None:
        while True:
            said = await _frame(socket)
            self.access.often(connector, speaker, "frames", FRAMES_A_MINUTE)
            if said.pop("type", None) != "message":
                continue
            name = said.get("id")
            try:
                self.access.knocked(socket, connector)
                body = orjson.dumps({**said, "attachments": []})  # files are posted
                await self.talks.post(socket, connector, speaker, "application/json", body)
                await _send(socket, {"type": "sent", "id": name})
            except Rejected as e:
                await _send(socket, {"type": "refused", "id": name, "code": e.code, "detail": e.reason})
            except Unavailable:
                await _send(socket, {"type": "refused", "id": name, "code": "unavailable", "detail": "send it again"})


async def _frame(socket: WebSocket) -> dict[str, Any]:
    """What the client says; an empty object for what is none. Raises WebSocketDisconnect, Rejected."""
    try:
        text = await socket.receive_text()
    except KeyError:
        return {}  # octets
    if len(text) > LARGEST_FRAME:
        raise Rejected("a frame is too large; files are posted", status=413, code="oversized")
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


async def _send(socket: WebSocket, said: dict[str, Any]) -> None:
    """Raises TimeoutError at a client that does not take it."""
    async with asyncio.timeout(SLOW):
        await socket.send_text(orjson.dumps(said, option=orjson.OPT_UTC_Z).decode())


async def _closed(socket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(SLOW):
            await socket.close(code, reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return  # they went first
