"""Discord's side: the HTTP API, signed interactions, and the Gateway as a WebSocket server.

https://docs.discord.com/developers/resources/message, .../events/gateway, .../topics/opcodes-and-status-codes
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Vendor
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from connectors.base import Request

TOKEN = "MTk4NjIyNDgzNDcxOTI1MjQ4.test.token"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
US, THEM, GUILD, SUPPORT, THREAD = "80351110224678912", "53908099506183680", "9001", "9100", "9200"
PICTURE = b"\x89PNG\r\n\x1a\n picture"


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.code = 0  # of Discord's own, with which a message is refused
        self.token, self.flags, self.gateway = TOKEN, 1 << 19, ""
        self.posted: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[tuple[str, dict[str, Any]]] = []  # to interactions
        self.nonces: dict[str, str] = {}
        self.history: dict[str, list[dict[str, Any]]] = {}  # channel -> messages
        self.threads: list[dict[str, Any]] = []  # active ones
        self.ended: set[str] = set()  # tokens of interactions
        self.renewed = 0

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/channels/{channel}/messages", self._post, methods=["POST"]),
            Route("/channels/{channel}/messages", self._messages, methods=["GET"]),
            Route("/channels/{channel}", self._channel),
            Route("/users/@me/channels", self._direct, methods=["POST"]),
            Route("/webhooks/{app}/{token:path}", self._under, methods=["POST"]),
            Route("/interactions/{id}/{token}/callback", self._callback, methods=["POST"]),
            Route("/attachments/refresh-urls", self._renew, methods=["POST"]),
            Route("/cdn/{name}", self._file),
            Route("/users/@me", lambda asked: self._told(asked, {"id": US, "username": "support"})),
            Route("/applications/@me", lambda asked: self._told(asked, {"flags": self.flags, "verify_key": PUBLIC})),
            Route("/guilds/{guild}/threads/active", lambda asked: self._told(asked, {"threads": self.threads})),
            Route("/gateway/bot", lambda asked: self._told(asked, self._door())),
        ]

    def _door(self) -> dict[str, Any]:
        return {"url": self.gateway, "shards": 1, "session_start_limit": {"total": 1000, "remaining": 999}}

    def _told(self, asked: Asked, said: Any) -> Response:
        if not asked.headers["user-agent"].startswith("DiscordBot ("):
            return JSONResponse({"code": 40333, "message": "internal network error"}, 403)
        if asked.headers.get("authorization") != f"Bot {self.token}":
            return JSONResponse({"message": "401: Unauthorized", "code": 0}, 401)
        return JSONResponse(said)

    async def _post(self, asked: Asked) -> Response:
        channel, said = asked.path_params["channel"], await asked.json()
        if refused := self.troubled():
            return refused
        if self.code:
            return JSONResponse({"message": "Cannot send", "code": self.code}, 403)
        if not 0 < len(said["content"]) <= 2000 or len(said.get("nonce", "")) > 25:
            return JSONResponse({"message": "Invalid Form Body", "code": 50035}, 400)
        if said.get("enforce_nonce") and said["nonce"] in self.nonces:
            return self._told(asked, {"id": self.nonces[said["nonce"]], "channel_id": channel})
        return self._taken(asked, channel, said)

    def _taken(self, asked: Asked, channel: str, said: dict[str, Any]) -> Response:
        self.posted.append((channel, said))
        self.sent.append({"to": channel, "text": said["content"]})
        named = str(1300000000000000000 + len(self.posted))
        self.nonces[said.get("nonce", named)] = named
        return self._told(asked, {"id": named, "channel_id": channel, "content": said["content"]})

    async def _under(self, asked: Asked) -> Response:
        if asked.path_params["token"] in self.ended:
            return JSONResponse({"message": "Invalid Webhook Token", "code": 50027}, 401)
        return self._taken(asked, "interaction", await asked.json())

    async def _callback(self, asked: Asked) -> Response:
        self.answers.append((asked.path_params["id"], await asked.json()))
        return Response(status_code=204)

    async def _messages(self, asked: Asked) -> Response:
        """Newest first, as Discord gives them, and without the server they are in."""
        after = int(asked.query_params["after"])
        there = [one for one in self.history.get(asked.path_params["channel"], []) if int(one["id"]) > after]
        oldest = sorted(there, key=lambda one: int(one["id"]))[: int(asked.query_params["limit"])]
        return self._told(asked, [{k: v for k, v in one.items() if k != "guild_id"} for one in reversed(oldest)])

    async def _channel(self, asked: Asked) -> Response:
        named = asked.path_params["channel"]
        if named not in (SUPPORT, THREAD, "9300"):
            return JSONResponse({"message": "Missing Access", "code": 50001}, 403)
        thread = {"type": 11, "parent_id": SUPPORT} if named == THREAD else {"type": 0, "parent_id": None}
        return self._told(asked, {"id": named, "guild_id": GUILD, **thread})

    async def _direct(self, asked: Asked) -> Response:
        if self.trouble:
            return self.troubled() or Response()
        return self._told(asked, {"id": f"7{(await asked.json())['recipient_id']}", "type": 1})

    async def _renew(self, asked: Asked) -> Response:
        self.renewed += 1
        (url,) = (await asked.json())["attachment_urls"]
        return self._told(asked, {"refreshed_urls": [{"original": url, "refreshed": url.replace("old", "new")}]})

    async def _file(self, asked: Asked) -> Response:
        if "authorization" in asked.headers or asked.path_params["name"].startswith("old"):
            return Response("This content is no longer available.", 404)
        return Response(PICTURE, media_type="image/png")

    def troubled(self) -> Response | None:
        if self.trouble == "429":
            return JSONResponse({"message": "You are being rate limited.", "retry_after": 64.57, "global": False}, 429)
        return super().troubled()


class Door:
    """The Gateway: keeps every event by its number, and tells those again that a resumed session missed."""

    def __init__(self) -> None:
        self.url = ""
        self.events: list[dict[str, Any]] = []
        self.heard: list[dict[str, Any]] = []  # what clients sent
        self.sessions = 0
        self.alive = False  # whether a session can be resumed
        self.acknowledges = True
        self.refuses = 0  # the code that identifying is answered with
        self.interval = 200
        self._sockets: set[ServerConnection] = set()

    def ops(self) -> list[int]:
        return [one["op"] for one in self.heard if one["op"] != 1]

    async def tell(self, name: str, one: dict[str, Any]) -> None:
        self.events.append({"op": 0, "t": name, "s": len(self.events) + 1, "d": one})
        for socket in list(self._sockets):
            await socket.send(json.dumps(self.events[-1]))

    async def say(self, op: int, said: Any = None) -> None:
        for socket in list(self._sockets):
            await socket.send(json.dumps({"op": op, "d": said}))

    async def cut(self) -> None:
        """No close frame: the line is dead."""
        for socket in list(self._sockets):
            socket.transport.abort()
            await socket.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        await socket.send(json.dumps({"op": 10, "d": {"heartbeat_interval": self.interval}}))
        try:
            with suppress(ConnectionClosed):
                async for raw in socket:
                    await self._answer(socket, json.loads(raw))
        finally:
            self._sockets.discard(socket)
            self.alive = self.alive and socket.close_code not in (1000, 1001)  # these end a session

    async def _answer(self, socket: ServerConnection, said: dict[str, Any]) -> None:
        self.heard.append(said)
        match said["op"]:
            case 1 if self.acknowledges:
                await socket.send(json.dumps({"op": 11}))
            case 2 if self.refuses or said["d"]["token"] != TOKEN:
                await socket.close(self.refuses or 4004)
            case 2:
                self.sessions, self.alive = self.sessions + 1, True
                self.events.clear()
                self._sockets.add(socket)
                us = {"id": US, "username": "support", "bot": True}
                ready = {"session_id": f"s{self.sessions}", "resume_gateway_url": self.url, "user": us}
                await self.tell("READY", ready)
            case 6 if self.alive and said["d"]["session_id"] == f"s{self.sessions}":
                for event in self.events[said["d"]["seq"] :]:
                    await socket.send(json.dumps(event))
                self._sockets.add(socket)
                await socket.send(json.dumps({"op": 0, "t": "RESUMED", "s": len(self.events), "d": {}}))
            case 6:
                await socket.send(json.dumps({"op": 9, "d": False}))


@asynccontextmanager
async def gateway() -> AsyncIterator[Door]:
    door = Door()
    async with serve(door._serve, "127.0.0.1", 0) as server:
        door.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield door
        await asyncio.gather(*(socket.close() for socket in door._sockets))


def message(named: str, content: str, **more: Any) -> dict[str, Any]:
    """https://docs.discord.com/developers/resources/message#message-object"""
    return {
        "id": named, "channel_id": "7100", "author": {"id": THEM, "username": "mason", "global_name": "Mason"},
        "content": content, "timestamp": "2026-03-02T09:29:59.000000+00:00", "edited_timestamp": None, "tts": False,
        "mention_everyone": False, "mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "type": 0,
        **more,
    }  # fmt: skip


def interaction(kind: int, said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """https://docs.discord.com/developers/interactions/receiving-and-responding#interaction-object"""
    return {
        "id": "1200000000000000001", "application_id": US, "type": kind, "token": "A_UNIQUE_TOKEN", "version": 1,
        "data": said, "guild_id": GUILD, "channel_id": SUPPORT, "channel": {"id": SUPPORT, "type": 0},
        "locale": "zh-CN", "member": {"user": {"id": THEM, "username": "mason"}, "roles": []}, **more,
    }  # fmt: skip


def signed(said: dict[str, Any], at: datetime = MOMENT, key: Ed25519PrivateKey = KEY) -> Request:
    body, timestamp = json.dumps(said, ensure_ascii=False).encode(), str(int(at.timestamp()))
    headers = {
        "content-type": "application/json",
        "x-signature-ed25519": key.sign(timestamp.encode() + body).hex(),
        "x-signature-timestamp": timestamp,
    }
    return Request("POST", "https://support.example.com/in/discord/community", headers, body, {}, "192.0.2.7", at)
