"""Feishu's long connection (长连接): we call Feishu and hold the line, so that no address of ours need be open.

    endpoint -> URL -> WebSocket -> frame -> accept -> the same frame back with code 200, once it is on disk

What is not answered by 200 comes again. Spoken as Feishu's own libraries do (github.com/larksuite/oapi-sdk-python, ws);
open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/request-url-configuration-case
"""

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from connectors.base import Accept, Clock
from connectors.feishu_frames import CONTROL, DATA, Frame, decode, encode
from connectors.held import Held
from connectors.reading import within, word
from connectors.vendor import Vendor
from normalizer.canon import Envelope
from normalizer.errors import Refused, Unavailable

EVERY = 120  # seconds between pings, if Feishu does not say
LARGEST = 4 * 1024 * 1024  # octets of a frame
MOST_PARTS, MOST_WAITING = 100, 100  # frames of one event; events of which frames are missing
BUSY = ("1", "1000040343", "1000040350")  # system busy, internal error, too many lines


class Stream:
    """One account's line. `envelope` and `answer` are of an event's JSON."""

    def __init__(
        self,
        account: str,
        vendor: Vendor,
        credentials: Mapping[str, str],
        envelope: Callable[[bytes, Clock], Envelope],
        answer: Callable[[bytes], bytes],
    ) -> None:
        self._vendor, self._credentials = vendor, credentials
        self._envelope, self._answer = envelope, answer
        self._held, self._every = Held(account), float(EVERY)
        self._parts: dict[str, dict[int, bytes]] = {}

    async def keep(self, accept: Accept, clock: Clock) -> None:
        """Hold the line until cancelled."""
        await self._held.keep(lambda: self._hold(accept, clock))

    async def _hold(self, accept: Accept, clock: Clock) -> None:
        url = await self._open(clock)
        said = parse_qs(urlsplit(url).query).get("service_id", [""])[0]
        self._parts.clear()
        async with connect(url, max_size=LARGEST, proxy=None, close_timeout=2) as line:
            self._held.well()
            pinging = asyncio.create_task(self._ping(line, int(said) if said.isdecimal() else 0))
            try:
                async for raw in line:
                    if isinstance(raw, bytes):
                        await self._heard(line, raw, accept, clock)
            finally:
                pinging.cancel()
                await asyncio.gather(pinging, return_exceptions=True)

    async def _open(self, clock: Clock) -> str:
        """Where to call. Raises SendingError."""
        answer = await self._vendor.ask("POST", "/callback/ws/endpoint", clock(), json=dict(self._credentials))
        code, data = word(answer.data, "code"), within(answer.data, "data")
        if code != "0":
            kind = Unavailable if code in BUSY else Refused
            raise kind(f"no line: code {code or 'none'}, is 使用长连接接收事件 chosen?")
        self._configure(within(data, "ClientConfig"))
        url = word(data, "URL")
        scheme = urlsplit(url).scheme
        if scheme != "wss" and not (scheme == "ws" and self._vendor.base.startswith("http:")):
            raise Unavailable("no address to call in the answer")
        return url

    def _configure(self, said: Mapping[str, object]) -> None:
        every = word(said, "PingInterval")
        if every.isdecimal() and int(every):
            self._every = float(every)

    async def _ping(self, line: ClientConnection, service: int) -> None:
        ping = encode(Frame(CONTROL, service, headers={"type": "ping"}))
        with suppress(ConnectionClosed):
            while True:
                await line.send(ping)
                await asyncio.sleep(self._every)

    async def _heard(self, line: ClientConnection, raw: bytes, accept: Accept, clock: Clock) -> None:
        began = asyncio.get_running_loop().time()
        try:
            frame = decode(raw)
            kind = frame.headers.get("type", "")
            whole = self._whole(frame) if frame.method == DATA and kind == "event" else None
        except ValueError:  # no frame of theirs
            return
        if frame.method == CONTROL and kind == "pong" and frame.payload:
            with suppress(orjson.JSONDecodeError):
                self._configure(within(orjson.loads(frame.payload)))
        if whole is None:
            return
        said: dict[str, object] = {"code": 200}
        try:
            await accept([self._envelope(whole, clock)])
        except Unavailable:
            said = {"code": 500}  # it comes again
        else:
            if told := self._answer(whole):
                said["data"] = base64.b64encode(told).decode()
        took = int((asyncio.get_running_loop().time() - began) * 1000)
        headers = {**frame.headers, "biz_rt": str(took)}
        await line.send(encode(replace(frame, headers=headers, payload=orjson.dumps(said))))

    def _whole(self, frame: Frame) -> bytes | None:
        """The event, once its last part is here. Raises ValueError."""
        many, at = int(frame.headers.get("sum", "1")), int(frame.headers.get("seq", "0"))
        if many <= 1:
            return frame.payload
        id = frame.headers.get("message_id", "")
        parts = self._parts.setdefault(id, {})
        parts[at] = frame.payload
        if len(parts) < many <= MOST_PARTS:
            if len(self._parts) > MOST_WAITING:
                del self._parts[next(iter(self._parts))]
            return None
        del self._parts[id]
        return b"".join(parts[n] for n in sorted(parts)) if len(parts) == many else None
