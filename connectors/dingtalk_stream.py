"""DingTalk's Stream mode: we call DingTalk and hold the line, so that no address of ours need be open to the internet.

    open -> endpoint and ticket -> WebSocket -> frame -> accept -> acknowledge, once it is on disk

What is not acknowledged comes again, maybe over another line. opensource.dingtalk.com/developerpedia/docs/learn/stream
"""

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import orjson
import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from connectors.base import Accept, Clock
from connectors.dingtalk_content import TOPIC
from connectors.reading import within, word
from connectors.vendor import Vendor
from normalizer.canon import Envelope
from normalizer.errors import SendingError, Unavailable

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0  # seconds
LARGEST = 4 * 1024 * 1024  # octets of a frame

# At DEBUG it logs the address, which holds the ticket.
logging.getLogger("websockets").setLevel(logging.INFO)

log = structlog.get_logger("ticketgate")


class Stream:
    """One account's line."""

    def __init__(
        self, what: str, vendor: Vendor, client_id: str, secret: str, envelope: Callable[[bytes, Clock], Envelope]
    ) -> None:
        self._what, self._vendor, self._client_id, self._secret = what, vendor, client_id, secret
        self._envelope = envelope
        self._trouble, self._pause = "", 0.0

    async def keep(self, accept: Accept, clock: Clock) -> None:
        """Hold the line until cancelled; after trouble call again, each time later."""
        while True:
            self._pause = min(LONGEST_PAUSE, self._pause * 2 or FIRST_PAUSE)
            try:
                await self._hold(accept, clock)
                self._pause = FIRST_PAUSE  # DingTalk hangs up from time to time and wants to be called again
            except SendingError as error:
                self._tell(error.reason)
            except (OSError, WebSocketException) as error:
                self._tell(f"the line broke: {type(error).__name__}")
            except Exception as error:
                self._tell(f"unforeseen {type(error).__name__}", error)
            await asyncio.sleep(self._pause)

    async def _hold(self, accept: Accept, clock: Clock) -> None:
        async with connect(await self._open(clock), max_size=LARGEST, proxy=None) as line:
            self._well()
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

    def _tell(self, reason: str, cause: Exception | None = None) -> None:
        """Once, and again when it is something else."""
        if reason != self._trouble:
            log.warning("no line to DingTalk; calling again", account=self._what, hint=reason, exc_info=cause)
        self._trouble = reason

    def _well(self) -> None:
        if self._trouble:
            log.info("the line to DingTalk is open again", account=self._what)
        self._trouble, self._pause = "", FIRST_PAUSE
