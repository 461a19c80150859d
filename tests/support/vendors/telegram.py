"""Telegram's Bot API, as far as we call it (core.telegram.org/bots/api): its errors, limits, queue of updates and files."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Vendor

from connectors.base import Request

TOKEN = "7012345678:AAEhBP0av28j-xBq5cWkzq0d9pYgVtTest"
SECRET = "wH3nTh3B0tIsCalled_by-Telegram"
BLOCKED, GONE, OLD_GROUP, NEW_GROUP = 403403, 404404, -4004, -1004004
LARGE = 20 * 1024 * 1024


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.updates: list[dict[str, Any]] = []  # the queue of what was not confirmed
        self.webhook = ""
        self.allowed: list[str] = []
        self.failing: list[Response] = []  # given first, one a call of getUpdates
        self.files: dict[str, bytes] = {}
        self.pressed: list[str] = []
        self.more = asyncio.Event()
        self.patience = 0.1  # seconds of a long poll, however many were asked for
        self._last = 100

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "allow_private": True}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/bot{token}/{method}", self._called, methods=["GET", "POST"]),
            Route("/file/bot{token}/{path:path}", self._file, methods=["GET"]),
        ]

    def troubled(self) -> Response | None:
        match self.trouble:
            case "400":
                return failed(400, "Bad Request: message text is empty")
            case "429":
                return failed(429, "Too Many Requests: retry after 7", retry_after=7)
            case "500":
                return failed(500, "Internal Server Error")
            case _:
                return super().troubled()

    def signed(self, update: Any) -> Request:
        headers = {"content-type": "application/json", "x-telegram-bot-api-secret-token": SECRET}
        url = "https://desk.example.com/in/telegram/support"
        moment = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        return Request("POST", url, headers, json.dumps(update).encode(), {}, "149.154.167.197", moment)

    def add(self, **said: Any) -> None:
        """One more update for who asks."""
        self._last += 1
        self.updates.append({"update_id": self._last, **said})
        self.more.set()

    async def _called(self, asked: Asked) -> Response:
        if asked.path_params["token"] != TOKEN:
            return failed(401, "Unauthorized")
        said = {name: value for name, value in (await asked.form()).items() if isinstance(value, str)}
        method = asked.path_params["method"].lower()
        self.calls.append((method, said))
        methods = {
            "sendmessage": self._send, "answercallbackquery": self._press, "getupdates": self._updates,
            "getme": self._me, "getwebhookinfo": self._webhook, "getfile": self._find,
        }  # fmt: skip
        return await methods[method](said) if method in methods else failed(404, "Not Found")

    async def _send(self, said: dict[str, str]) -> Response:
        if trouble := self.troubled():
            return trouble
        chat, text = int(said["chat_id"]), said["text"]
        if chat == BLOCKED:
            return failed(403, "Forbidden: bot was blocked by the user")
        if chat == GONE:
            return failed(400, "Bad Request: chat not found")
        if chat == OLD_GROUP:
            return failed(
                400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=NEW_GROUP
            )
        if len(text.encode("utf-16-le")) // 2 > 4096:
            return failed(400, "Bad Request: message is too long")
        markup = json.loads(said.get("reply_markup", "{}"))
        buttons = [button for row in markup.get("inline_keyboard", []) for button in row]
        if not all(1 <= len(button["callback_data"].encode()) <= 64 for button in buttons):
            return failed(400, "Bad Request: BUTTON_DATA_INVALID")
        self.sent.append({"to": said["chat_id"], "text": text, "buttons": buttons, "said": said})
        told = 9000 + len(self.sent)
        return done({"message_id": told, "date": 1772443800, "chat": {"id": chat, "type": "private"}})

    async def _press(self, said: dict[str, str]) -> Response:
        if said["callback_query_id"] in self.pressed:
            return failed(400, "Bad Request: query is too old and response timeout expired or query ID is invalid")
        self.pressed.append(said["callback_query_id"])
        return done(True)

    async def _updates(self, said: dict[str, str]) -> Response:
        if self.failing:
            return self.failing.pop(0)
        if self.webhook:
            return failed(409, "Conflict: can't use getUpdates method while webhook is active")
        offset = int(said.get("offset", 0))
        # An offset far beyond the end of the queue is none; else it makes all before it forgotten.
        if self.updates and offset <= self.updates[-1]["update_id"] + 10:
            self.updates = [one for one in self.updates if one["update_id"] >= offset]
        if not self.updates:
            self.more.clear()
            try:
                await asyncio.wait_for(self.more.wait(), min(float(said.get("timeout", 0)), self.patience))
            except TimeoutError:
                return done([])
        return done(self.updates[:100])

    async def _me(self, said: dict[str, str]) -> Response:
        me = {"id": 7012345678, "is_bot": True, "first_name": "客服", "username": "desk_bot"}
        return done({**me, "can_read_all_group_messages": False})

    async def _webhook(self, said: dict[str, str]) -> Response:
        told = {"url": self.webhook, "has_custom_certificate": False, "pending_update_count": len(self.updates)}
        return done({**told, "allowed_updates": self.allowed} if self.allowed else told)

    async def _find(self, said: dict[str, str]) -> Response:
        content = self.files.get(said["file_id"])
        if content is None:
            return failed(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        if len(content) > LARGE:
            return failed(400, "Bad Request: file is too big")
        told = {"file_id": said["file_id"], "file_unique_id": "u", "file_size": len(content)}
        return done({**told, "file_path": f"photos/{said['file_id']}.jpg"})

    async def _file(self, asked: Asked) -> Response:
        name = asked.path_params["path"].removeprefix("photos/").removesuffix(".jpg")
        if asked.path_params["token"] != TOKEN or name not in self.files:
            return failed(404, "Not Found")
        return Response(self.files[name], media_type="application/octet-stream")


def done(result: Any) -> Response:
    return Response(json.dumps({"ok": True, "result": result}), media_type="application/json")


def failed(status: int, description: str, **parameters: int) -> Response:
    told = {"ok": False, "error_code": status, "description": description}
    return JSONResponse(told | ({"parameters": parameters} if parameters else {}), status)
