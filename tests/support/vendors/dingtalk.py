"""DingTalk's side: posts what people say, holds lines of Stream mode, and takes what a bot says.

open.dingtalk.com/document/orgapp, opensource.dingtalk.com/developerpedia/docs/learn/stream/protocol
"""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import orjson
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from vendor import Vendor

from connectors.base import Request
from connectors.dingtalk import sign

CLIENT, SECRET, STAFF = "dingz5ve7hqg3x9pbc6gk", "Jd9-xW2kRt7QpLm4vYb8NsHf3cZg6TqA", "042212345297"
URL = "https://help.example.com/in/dingtalk/it"
SESSION = "https://oapi.dingtalk.com/robot/sendBySession?session=79b48e0c4d4b"
TOPIC = "/v1.0/im/bot/messages/get"


def said(kind: str = "text", content: Any = None, **more: Any) -> dict[str, Any]:
    """What somebody says to the bot alone, or as `more` says otherwise."""
    words = {"text": content or {"content": "VPN 连不上"}} if kind == "text" else {"content": content}
    return {
        "conversationId": "cidep1x/Qz+7uP4g==", "chatbotCorpId": "dingcorp6741", "chatbotUserId": "$:LWCP_v1:$botihY/",
        "msgId": "msgYk2+8sQ1Pw==", "senderNick": "张三", "isAdmin": True, "senderStaffId": STAFF,
        "sessionWebhookExpiredTime": 1772449200000, "createAt": 1772443799765, "senderCorpId": "dingcorp6741",
        "conversationType": "1", "senderId": "$:LWCP_v1:$zhangPA==", "sessionWebhook": SESSION, "robotCode": CLIENT,
        "msgtype": kind, **words, **more,
    }  # fmt: skip


def posted(body: bytes, at: datetime, secret: str = SECRET) -> Request:
    timestamp = str(int(at.timestamp() * 1000))
    headers = {
        "content-type": "application/json; charset=utf-8",
        "timestamp": timestamp,
        "sign": sign(timestamp, secret),
    }
    return Request("POST", URL, headers, body, {}, "192.0.2.7", at)


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []
        self.asked: list[tuple[str, Any]] = []  # path and body of what was said
        self.answers: list[tuple[int, Any]] = []  # what the next sayings are answered with, then as `trouble` says
        self.files: dict[str, tuple[bytes, str]] = {}
        self.frames: list[Any] = []  # what a line brings; it is brought again until it is acknowledged
        self.acknowledged: list[Any] = []
        self.lines: list[WebSocket] = []

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1.0/oauth2/accessToken", self._give_token, methods=["POST"]),
            Route("/v1.0/robot/oToMessages/batchSend", self._batch, methods=["POST"]),
            Route("/v1.0/robot/groupMessages/send", self._group, methods=["POST"]),
            Route("/v1.0/robot/messageFiles/download", self._where, methods=["POST"]),
            Route("/v1.0/gateway/connections/open", self._open, methods=["POST"]),
            Route("/robot/sendBySession", self._session, methods=["POST"]),
            Route("/file/{code}", self._file),
            WebSocketRoute("/connect", self._line),
        ]

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "allow_private": True}

    def signed(self, payload: Any, at: datetime) -> Request:
        return posted(orjson.dumps(payload), at)

    def session(self, at: datetime, minutes: int = 90) -> str:
        """What of a message lets its conversation be answered here."""
        until = int((at + timedelta(minutes=minutes)).timestamp() * 1000)
        return f"{until} {self.url}/robot/sendBySession?session=79b4"

    async def _give_token(self, asked: Asked) -> Response:
        if await asked.json() != {"appKey": CLIENT, "appSecret": SECRET}:
            return JSONResponse({"code": "invalidClientIdOrSecret", "message": "无效的clientId或者clientSecret"}, 400)
        self.tokens.append(f"fw8ef8we8f76e6f7s8dxxxx{len(self.tokens):04}")
        return JSONResponse({"accessToken": self.tokens[-1], "expireIn": 7200})

    def _refusal(self, asked: Asked) -> Response | None:
        if not self.tokens or asked.headers.get("x-acs-dingtalk-access-token") != self.tokens[-1]:
            return JSONResponse({"code": "InvalidAuthentication", "message": "不合法的access_token"}, 401)
        if self.answers:
            status, body = self.answers.pop(0)
            return JSONResponse(body, status)
        return self.troubled()

    async def _batch(self, asked: Asked) -> Response:
        return await self._take(asked, "userIds")

    async def _group(self, asked: Asked) -> Response:
        return await self._take(asked, "openConversationId")

    async def _take(self, asked: Asked, to: str) -> Response:
        body = await asked.json()
        self.asked.append((asked.url.path, body))
        if refused := self._refusal(asked):
            return refused
        said = json.loads(body["msgParam"])
        if len(body["msgParam"].encode()) > 15_000:
            return JSONResponse({"code": "invalidParameter", "message": "too long"}, 400)
        text = said["content"] if body["msgKey"] == "sampleText" else said["text"]
        self.sent.append({"to": body[to], "text": text, "robot": body["robotCode"]})
        key = f"processquerykey{len(self.sent):04}"
        return JSONResponse({"processQueryKey": key, "invalidStaffIdList": [], "flowControlledStaffIdList": []})

    async def _session(self, asked: Asked) -> Response:
        body = await asked.json()
        self.asked.append((asked.url.path, body))
        if self.answers:
            status, answer = self.answers.pop(0)
            return JSONResponse(answer, status)
        if troubled := self.troubled():
            return troubled
        text = body["text"]["content"] if body["msgtype"] == "text" else body["markdown"]["text"]
        self.sent.append({"to": "session", "text": text, "at": body.get("at")})
        return JSONResponse({"errcode": 0, "errmsg": "ok"})

    async def _where(self, asked: Asked) -> Response:
        if refused := self._refusal(asked):
            return refused
        body = await asked.json()
        if body["robotCode"] != CLIENT or body["downloadCode"] not in self.files:
            return JSONResponse({"code": "invalidParameter.downloadCode", "message": "downloadCode 有误或已过期"}, 400)
        return JSONResponse({"downloadUrl": f"{self.url}/file/{body['downloadCode']}"})

    async def _file(self, asked: Asked) -> Response:
        assert "x-acs-dingtalk-access-token" not in asked.headers
        content, media_type = self.files[asked.path_params["code"]]
        return Response(content, media_type=media_type)

    async def _open(self, asked: Asked) -> Response:
        body = await asked.json()
        if (body["clientId"], body["clientSecret"]) != (CLIENT, SECRET):
            return JSONResponse({"code": "authFailed", "message": "鉴权失败"}, 401)
        assert body["subscriptions"] == [{"type": "CALLBACK", "topic": TOPIC}]
        return JSONResponse({"endpoint": self.url.replace("http", "ws") + "/connect", "ticket": "t/1+2="})

    async def _line(self, line: WebSocket) -> None:
        if line.query_params.get("ticket") != "t/1+2=":
            await line.close()
            return
        await line.accept()
        self.lines.append(line)
        try:
            for frame in list(self.frames):
                await line.send_text(json.dumps(frame))
                acknowledged = await asyncio.wait_for(line.receive_json(), 0.5)
                self.acknowledged.append(acknowledged)
                self.frames.remove(frame)
            while True:
                await line.receive_text()
        except (WebSocketDisconnect, TimeoutError):
            return


def frame(payload: Any, message: str = "frame-1", kind: str = "CALLBACK", topic: str = TOPIC) -> dict[str, Any]:
    headers = {
        "appId": "56", "connectionId": "c-1", "contentType": "application/json", "messageId": message,
        "time": "1772443800000", "topic": topic,
    }  # fmt: skip
    data = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return {"specVersion": "1.0", "type": kind, "headers": headers, "data": data}
