"""DingTalk's Stream mode: we call DingTalk and hold the line, so that no address of ours need be open to the internet.

    open -> endpoint and ticket -> WebSocket -> frame -> accept -> acknowledge, once it is on disk

What is not acknowledged comes again, maybe over another line. opensource.dingtalk.com/developerpedia/docs/learn/stream
"""

from collections.abc import Callable
from urllib.parse import quote, urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect

from connectors.base import Accept, Clock
from connectors.dingtalk_content import TOPIC
from connectors.held import Held
from connectors.reading import within, word
from connectors.vendor import Vendor
from normalizer.canon import Envelope
from normalizer.errors import Unavailable

LARGEST = 4 * 1024 * 1024  # octets of a frame


class Stream:
    """One account's line."""

    def __init__(
        self, what: str, vendor: Vendor, client_id: str, secret: str, envelope: Callable[[bytes, Clock], Envelope]
    ) -> None:
        self._vendor, self._client_id, self._secret = vendor, client_id, secret
        self._envelope = envelope
        self._held = Held(what)

    async def keep(self, accept: Accept, clock: Clock) -> None:
        """Hold the line until cancelled. DingTalk hangs up from time to time and wants to be called again."""
        await self._held.keep(lambda: self._hold(accept, clock))

    async def _hold(self, accept: Accept, clock: Clock) -> None:
        async with connect(await self._open(clock), max_size=LARGEST, proxy=None, close_timeout=2) as line:
            self._held.well()
            async for frame in line:
                if await self._heard(line, frame, accept, clock) == "disconnect":
                    return

    async def _open(self, clock: Clock) -> str:
        """Where to call. Raises SendingError."""
        subscriptions = [{"type": "CALLBACK", "topic": TOPIC}]
        said = {"clientId": self._client_id, "clientSecret": self._secret, "subscriptions": subscriptions}
        answer = await self._vendor.ask("POST", "/v1.0/gateway/connections/open", clock(), json=said)
        endpoint, ticket = word(answer.data, "endpoint"), word(answer.data, "ticket")
        scheme = urlsplit(endpoint).scheme
        if not ticket or (scheme != "wss" and not (scheme == "ws" and self._vendor.base.startswith("http:"))):
            raise Unavailable("no endpoint and ticket in the answer")
        return f"{endpoint}?ticket={quote(ticket, safe='')}"

    async def _heard(self, line: ClientConnection, frame: str | bytes, accept: Accept, clock: Clock) -> str:
        """Take what a frame brings, then acknowledge it; its topic. What the house cannot take now comes again."""
        try:
            said = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return ""
        head, data = within(said, "headers"), word(said, "data")
        topic, message = word(head, "topic"), word(head, "messageId")
        answer = data if topic == "ping" else orjson.dumps({"response": None}).decode()
        if word(said, "type") == "CALLBACK" and topic == TOPIC:
            try:
                await accept([self._envelope(data.encode(), clock)])
            except Unavailable:
                return topic
        headers = {"contentType": "application/json", "messageId": message}
        await line.send(orjson.dumps({"code": 200, "headers": headers, "message": "OK", "data": answer}).decode())
        return topic
