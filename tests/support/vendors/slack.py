"""Slack's side: the Web API's chat.postMessage, files.info and auth.test, files behind a token, and signed posts.

https://docs.slack.dev/reference/methods/chat.postMessage, .../files.info, .../auth.test; most errors come with 200.
"""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Vendor

from connectors.base import Request

TOKEN = "xoxb-1234-5678-test"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"  # of the documentation's example
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SCOPES = "chat:write,files:read,channels:history,im:history"
PICTURE = b"\x89PNG\r\n\x1a\n picture"


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.error = ""  # what Slack says with 200 in place of ok
        self.token, self.scopes = TOKEN, SCOPES
        self.posted: list[dict[str, Any]] = []
        self.tokens: list[tuple[str, str]] = []  # (path, what it was called with)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/chat.postMessage", self._post, methods=["POST"]),
            Route("/files.info", self._file_info, methods=["POST"]),
            Route("/auth.test", self._auth_test, methods=["POST"]),
            Route("/files-pri/{name}", self._file),
        ]

    async def _post(self, asked: Asked) -> Response:
        if refused := self.troubled() or self._refused(asked):
            return refused
        said = await asked.json()
        if not said.get("text"):
            return JSONResponse({"ok": False, "error": "no_text"})
        blocks = said.get("blocks", [])
        if any(len(block["text"]["text"]) > 3000 for block in blocks if block["type"] == "section"):
            return JSONResponse({"ok": False, "error": "invalid_blocks"})
        self.posted.append(said)
        self.sent.append({"to": said["channel"], "text": said["text"]})
        ts = f"1772443801.{len(self.posted):06}"
        return JSONResponse({"ok": True, "channel": said["channel"], "ts": ts, "message": {"text": said["text"]}})

    async def _file_info(self, asked: Asked) -> Response:
        if refused := self._refused(asked):
            return refused
        named = (await asked.form()).get("file")
        if named != "F123ABC456":
            return JSONResponse({"ok": False, "error": "file_not_found"})
        file = {"id": named, "name": "order.png", "mimetype": "image/png", "url_private": f"{self.url}/files-pri/a.png"}
        return JSONResponse({"ok": True, "file": file})

    async def _auth_test(self, asked: Asked) -> Response:
        if refused := self._refused(asked):
            return refused
        said = {"ok": True, "team": "Example", "user": "support", "team_id": "T123ABC456", "bot_id": "B123ABC456"}
        return JSONResponse(said, headers={"x-oauth-scopes": self.scopes})

    async def _file(self, asked: Asked) -> Response:
        """Who may not read a file is shown a page to log in by, with 200."""
        if self._refused(asked) or "files:read" not in self.scopes:
            return Response("<html>Sign in to Example</html>", media_type="text/html")
        return Response(PICTURE, media_type="image/png")

    def _refused(self, asked: Asked) -> Response | None:
        offered = asked.headers.get("authorization", "")
        self.tokens.append((asked.url.path, offered))
        if offered != f"Bearer {self.token}":
            return JSONResponse({"ok": False, "error": "invalid_auth"})
        return JSONResponse({"ok": False, "error": self.error}) if self.error else None

    def troubled(self) -> Response | None:
        if self.trouble == "429":
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": "30"})
        return super().troubled()


def event(said: dict[str, Any], **more: Any) -> dict[str, Any]:
    """In the wrapper of https://docs.slack.dev/apis/events-api."""
    return {
        "token": "XXYYZZ", "team_id": "T123ABC456", "api_app_id": "A123ABC456", "event": said, "type": "event_callback",
        "authorizations": [{"team_id": "T123ABC456", "user_id": "U0LAN0Z89", "is_bot": True}],
        "event_id": "Ev123ABC456", "event_time": 1772443799, **more,
    }  # fmt: skip


def signed(said: dict[str, Any] | bytes, at: datetime = MOMENT, secret: str = SECRET) -> Request:
    """As Slack posts it: events as JSON, clicks as JSON in a form; bytes are a form already."""
    form = isinstance(said, bytes) or said.get("type") == "block_actions"
    if isinstance(said, bytes):
        body = said
    else:
        body = json.dumps(said, ensure_ascii=False).encode()
        body = urlencode({"payload": body}).encode() if form else body
    timestamp = str(int(at.timestamp()))
    mac = hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/x-www-form-urlencoded" if form else "application/json",
        "x-slack-request-timestamp": timestamp,
        "x-slack-signature": f"v0={mac}",
    }
    return Request("POST", "https://support.example.com/in/slack/acme", headers, body, {}, "192.0.2.7", at)
