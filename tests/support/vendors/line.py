"""LINE's side: tokens, reply and push with its retry keys, content, and what the console would show.

https://developers.line.biz/en/reference/messaging-api/ and .../docs/messaging-api/retrying-api-request/
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import orjson
import starlette.requests
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Vendor

from connectors.base import Request

SECRET = "line-channel-secret-0123456789ab"
TOKEN = "line-long-lived-token-0123456789"
CHANNEL = "1650000000"
BOT = "U" + "0a" * 16
PERSON = "U" + "1b" * 16
URL = "https://help.example.com/in/line/main"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FILM = b"\0\0\0 ftypmp42" + b"\0" * 16


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = {TOKEN}  # that are good
        self.issued = 0
        self.used: set[str] = set()  # reply tokens
        self.keys: dict[str, list[dict[str, str]]] = {}  # retry keys of pushes, and what was sent by them
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.lost = False  # the next answer does not arrive, though the message does
        self.quota = 200
        self.processing = 0  # how often a film is still being prepared

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "data_api": self.url, "allow_private": True}

    def signed(self, *events: dict[str, Any], secret: str = SECRET) -> Request:
        """A batch as LINE would post it."""
        body = orjson.dumps({"destination": BOT, "events": list(events)})
        mac = base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()
        headers = {"content-type": "application/json; charset=utf-8", "user-agent": "LineBotWebhook/2.0"}
        return Request("POST", URL, {**headers, "x-line-signature": mac}, body, {}, "192.0.2.7", MOMENT)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/oauth2/v3/token", self.token, methods=["POST"]),
            Route("/v2/bot/message/reply", self.reply, methods=["POST"]),
            Route("/v2/bot/message/push", self.push, methods=["POST"]),
            Route("/v2/bot/message/{message}/content", self.content),
            Route("/v2/bot/message/{message}/content/transcoding", self.transcoding),
            Route("/v2/bot/info", self.told({"userId": BOT, "basicId": "@216ru", "displayName": "示例客服"})),
            Route("/v2/bot/channel/webhook/endpoint", self.told({"endpoint": URL, "active": True})),
            Route("/v2/bot/message/quota", self.told({"type": "limited", "value": 200})),
            Route("/v2/bot/message/quota/consumption", self.told({"totalUsage": 200})),
        ]

    async def token(self, request: starlette.requests.Request) -> Response:
        form = await request.form()
        if (form["grant_type"], form["client_id"], form["client_secret"]) != ("client_credentials", CHANNEL, SECRET):
            return JSONResponse({"error": "invalid_client"}, 400)
        self.issued += 1
        self.tokens.add(f"short-{self.issued}")
        return JSONResponse({"token_type": "Bearer", "access_token": f"short-{self.issued}", "expires_in": 900})

    async def reply(self, request: starlette.requests.Request) -> Response:
        said = orjson.loads(await request.body())
        if refused := self.unknown(request) or self.troubled():
            return refused
        self.asked.append(("reply", said))
        if said["replyToken"] in self.used:
            return JSONResponse({"message": "Invalid reply token"}, 400)
        self.used.add(said["replyToken"])
        return self.delivered(said["replyToken"], said["messages"])

    async def push(self, request: starlette.requests.Request) -> Response:
        said = orjson.loads(await request.body())
        if refused := self.unknown(request) or self.troubled():
            return refused
        self.asked.append(("push", said))
        key = request.headers["x-line-retry-key"]
        if key in self.keys:
            more = {"message": "The retry key is already accepted", "sentMessages": self.keys[key]}
            return JSONResponse(more, 409, headers={"x-line-accepted-request-id": "1"})
        if not self.quota:
            return JSONResponse({"message": "You have reached your monthly limit."}, 429)
        if said["to"][:1] not in "UCR":
            return JSONResponse({"message": "Failed to send messages"}, 400)
        self.quota -= 1
        self.keys[key] = [{"id": f"9{len(self.sent):017d}"}]
        return self.delivered(said["to"], said["messages"])

    def delivered(self, to: str, messages: list[dict[str, Any]]) -> Response:
        if len(messages) > 5 or any(len(one["text"]) > 5000 for one in messages):
            return JSONResponse({"message": "The request body has 1 error(s)"}, 400)
        ids = []
        for one in messages:
            ids.append({"id": f"9{len(self.sent):017d}", "quoteToken": "q"})
            self.sent.append({"to": to, "text": one["text"], "buttons": one.get("quickReply", {}).get("items", [])})
        if self.lost:
            self.lost = False
            return Response("", 500)
        return JSONResponse({"sentMessages": ids})

    async def content(self, request: starlette.requests.Request) -> Response:
        if refused := self.unknown(request):
            return refused
        match request.path_params["message"]:
            case "410":
                return JSONResponse({"message": "Gone"}, 410)
            case "202":
                return Response(status_code=202)
        return Response(FILM, media_type="video/mp4")

    async def transcoding(self, request: starlette.requests.Request) -> Response:
        self.processing -= 1
        return self.unknown(request) or JSONResponse({"status": "processing" if self.processing >= 0 else "succeeded"})

    def told(self, said: dict[str, Any]) -> Any:
        async def tell(request: starlette.requests.Request) -> Response:
            return self.unknown(request) or JSONResponse(said)

        return tell

    def unknown(self, request: starlette.requests.Request) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return None if token in self.tokens else JSONResponse({"message": "Authentication failed"}, 401)


def event(n: int, kind: str = "message", **more: Any) -> dict[str, Any]:
    """An event as they all are; a group's if it is told so."""
    return {
        "type": kind, "mode": "active", "timestamp": 1772443797000 + n, "source": {"type": "user", "userId": PERSON},
        "webhookEventId": f"01KJPS{n:020d}", "deliveryContext": {"isRedelivery": False}, "replyToken": f"{n:032x}", **more,
    }  # fmt: skip


def text(n: int, words: str, **more: Any) -> dict[str, Any]:
    return event(n, message={"id": f"5000{n:014d}", "type": "text", "quoteToken": "q3Plxr4", "text": words}, **more)
