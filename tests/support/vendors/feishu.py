"""Feishu's side: posts events as its documentation shows them, and takes what a bot says.

open.feishu.cn/document/server-docs/event-subscription-guide/..., .../im-v1/message/create, reply, get-2
"""

import base64
import hashlib
import os
from datetime import datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from vendor import Vendor

from connectors.base import Request
from connectors.feishu_events import signature
from connectors.feishu_frames import CONTROL, DATA, Frame, decode, encode

ENCRYPT_KEY, VERIFICATION_TOKEN = "kudryavka", "v8Xo3nqJd0aQyKfS5bR1tLw7"
APP, SECRET, BOT = "cli_a5d611a9b1fd500b", "Yc2Pq9vKx7LmT4nWb8RsJf", "ou_b07b07b07b07b07b07b07b07b07b07b0"
URL = "https://help.example.com/in/feishu/it"


def posted(kind: str, event: Any, event_id: str = "5e3702a84e847582be8db7fb73283c02") -> dict[str, Any]:
    """An event of the second version."""
    head = {
        "event_id": event_id, "event_type": kind, "create_time": "1772443800000", "token": VERIFICATION_TOKEN,
        "app_id": APP, "tenant_key": "2ca1d211f64f6438",
    }  # fmt: skip
    return {"schema": "2.0", "header": head, "event": event}


def said(kind: str = "text", content: Any = None, **more: Any) -> dict[str, Any]:
    """What somebody says to the bot alone, or as `more` says otherwise."""
    ids = {
        "union_id": "on_8ed6aa67826108097d9ee143816345",
        "user_id": "e33ggbyz",
        "open_id": "ou_84aad35d084aa403a838cf73ee18467",
    }
    message = {
        "message_id": "om_5ce6d572455d361153b7cb51da133945", "create_time": "1772443799000",
        "update_time": "1772443799000", "chat_id": "oc_5ce6d572455d361153b7xx51da133945", "chat_type": "p2p",
        "message_type": kind, "content": orjson.dumps(content or {"text": "打印机连不上"}).decode(), **more,
    }  # fmt: skip
    sender = {"sender_id": ids, "sender_type": "user", "tenant_key": "2ca1d211f64f6438"}
    return {"sender": sender, "message": message}


def encrypted(payload: Any, key: str = ENCRYPT_KEY, iv: bytes = b"") -> bytes:
    plain, iv = orjson.dumps(payload), iv or os.urandom(16)
    padding = 16 - len(plain) % 16
    cipher = Cipher(algorithms.AES(hashlib.sha256(key.encode()).digest()), modes.CBC(iv)).encryptor()
    raw = iv + cipher.update(plain + bytes([padding]) * padding) + cipher.finalize()
    return orjson.dumps({"encrypt": base64.b64encode(raw).decode()})


def sealed(body: bytes, at: datetime, key: str = ENCRYPT_KEY, url: str = URL) -> Request:
    """A body as it is posted, with its signature."""
    timestamp, nonce = str(int(at.timestamp())), "1f2e3d4c5b"
    headers = {
        "content-type": "application/json; charset=utf-8", "x-lark-request-timestamp": timestamp,
        "x-lark-request-nonce": nonce, "x-lark-signature": signature(timestamp, nonce, key, body),
    }  # fmt: skip
    return Request("POST", url, headers, body, {}, "192.0.2.7", at)


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.asked: list[tuple[str, str, Any]] = []  # method, path, body
        self.readable = True  # whether the app may read messages, and so files in them
        self.codes: list[int] = []  # what the next sayings are answered with, 0 as `trouble` says
        self.files: dict[str, tuple[bytes, str]] = {}
        self.once: dict[str, str] = {}  # uuid to the message it became
        self.active = 2
        self.frames: list[Frame] = []  # what a line brings; it is brought again until it is answered by 200
        self.answered: list[Frame] = []
        self.pings: list[Frame] = []
        self.lines = 0

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/open-apis/auth/v3/tenant_access_token/internal", self._give_token, methods=["POST"]),
            Route("/open-apis/im/v1/messages", self._create, methods=["POST"]),
            Route("/open-apis/im/v1/messages/{message}/reply", self._reply, methods=["POST"]),
            Route("/open-apis/im/v1/messages/{message}/resources/{key}", self._file),
            Route("/open-apis/bot/v3/info", self._bot),
            Route("/callback/ws/endpoint", self._endpoint, methods=["POST"]),
            WebSocketRoute("/ws/v2", self._line),
        ]

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "allow_private": True}

    def signed(self, payload: Any, at: datetime) -> Request:
        return sealed(encrypted(payload), at)

    async def _give_token(self, asked: Asked) -> Response:
        said = await asked.json()
        if said != {"app_id": APP, "app_secret": SECRET}:
            return JSONResponse({"code": 10014, "msg": "app secret invalid"}, 400)
        self.tokens.append(f"t-g1044qeGEDXTB6NDJOGV4JQCYDGHRBARFTGT{len(self.tokens):04}")
        return JSONResponse({"code": 0, "msg": "ok", "tenant_access_token": self.tokens[-1], "expire": 7200})

    def _stranger(self, asked: Asked) -> Response | None:
        if self.tokens and asked.headers.get("authorization") == f"Bearer {self.tokens[-1]}":
            return None
        return JSONResponse({"code": 99991663, "msg": "Invalid access token for authorization."}, 400)

    async def _create(self, asked: Asked) -> Response:
        body = await asked.json()
        return await self._take(asked, body, f"{asked.query_params['receive_id_type']}:{body['receive_id']}")

    async def _reply(self, asked: Asked) -> Response:
        return await self._take(asked, await asked.json(), asked.path_params["message"])

    async def _take(self, asked: Asked, body: dict[str, Any], to: str) -> Response:
        self.asked.append((asked.method, asked.url.path, body))
        if refused := self._stranger(asked) or self.troubled():
            return refused
        if code := self.codes.pop(0) if self.codes else 0:
            return JSONResponse({"code": code, "msg": "no"}, 400)
        content = orjson.loads(body["content"])
        text = content["text"] if body["msg_type"] == "text" else content["elements"][0]["text"]["content"]
        if len(body["uuid"]) > 50 or len(orjson.dumps(body)) > (150_000 if body["msg_type"] == "text" else 30_000):
            return JSONResponse({"code": 230025, "msg": "The length of the message content reaches its limit."}, 400)
        if body["uuid"] not in self.once:
            self.once[body["uuid"]] = f"om_sent{len(self.sent):028}"
            self.sent.append({"to": to, "text": text, "content": content})
        return JSONResponse({"code": 0, "msg": "success", "data": {"message_id": self.once[body["uuid"]]}})

    def troubled(self) -> Response | None:
        if self.trouble == "429":
            wait = {"x-ogw-ratelimit-limit": "100", "x-ogw-ratelimit-reset": "52"}
            return JSONResponse({"code": 99991400, "msg": "request trigger frequency limit"}, 429, headers=wait)
        return super().troubled()

    async def _file(self, asked: Asked) -> Response:
        if refused := self._stranger(asked):
            return refused
        if not self.readable:
            return JSONResponse(
                {"code": 99991672, "msg": "Access denied. One of the following scopes is required"}, 400
            )
        wanted = f"{asked.path_params['message']}/{asked.path_params['key']}/{asked.query_params['type']}"
        if wanted not in self.files:
            return JSONResponse({"code": 234003, "msg": "File not in msg."}, 400)
        content, media_type = self.files[wanted]
        return Response(content, media_type=media_type)

    async def _bot(self, asked: Asked) -> Response:
        if refused := self._stranger(asked):
            return refused
        bot = {"activate_status": self.active, "app_name": "IT助手", "open_id": BOT}
        return JSONResponse({"code": 0, "msg": "ok", "bot": bot})

    async def _endpoint(self, asked: Asked) -> Response:
        if await asked.json() != {"AppID": APP, "AppSecret": SECRET}:
            return JSONResponse({"code": 1000040344, "msg": "no credential"})
        url = self.url.replace("http", "ws") + "/ws/v2?device_id=7&service_id=33554678&access_key=k-9&ticket=t-1"
        config = {"PingInterval": 120, "ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30}
        return JSONResponse({"code": 0, "msg": "", "data": {"URL": url, "ClientConfig": config}})

    async def _line(self, line: WebSocket) -> None:
        await line.accept()
        self.lines += 1
        try:
            for frame in list(self.frames):
                await line.send_bytes(encode(frame))
                if int(frame.headers["seq"]) + 1 < int(frame.headers["sum"]):
                    continue
                while (answer := decode(await line.receive_bytes())).method == CONTROL:
                    self.pings.append(answer)
                    pong = Frame(CONTROL, answer.service, headers={"type": "pong"}, payload=b'{"PingInterval":90}')
                    await line.send_bytes(encode(pong))
                self.answered.append(answer)
                if orjson.loads(answer.payload)["code"] == 200:
                    self.frames = [one for one in self.frames if one.log != frame.log]
            if not self.frames:
                await line.receive_bytes()
            await line.close()
        except WebSocketDisconnect:
            return


def framed(payload: Any, number: int = 1, parts: int = 1) -> list[Frame]:
    """The frames that bring an event."""
    whole = orjson.dumps(payload)
    size = -(-len(whole) // parts)
    headers = {"type": "event", "message_id": f"m-{number}", "trace_id": "tr", "sum": str(parts)}
    return [
        Frame(DATA, 33554678, number, number, {**headers, "seq": str(n)}, payload=whole[n * size : (n + 1) * size])
        for n in range(parts)
    ]
