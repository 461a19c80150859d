"""Meta's side: the Graph API as far as messages go, with its limits and its errors, and webhooks signed as Meta signs."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from vendor import Dropped, Vendor

from connectors.base import Request

SECRET = "d41d8cd98f00b204e9800998ecf8427e"
URL = "https://help.example.com/in/meta/main"
PAGE, ACCOUNT, NUMBER, APP = "102030405060708", "17841400000000001", "106540352242922", "700800900"
TOKENS = {"EAApage-token": PAGE, "IGAAaccount-token": ACCOUNT, "EAAnumber-token": NUMBER}


def error(status: int, code: int, message: str, subcode: int = 0, **more: Any) -> JSONResponse:
    """As the Graph API says it."""
    said = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AbCdEf", **more}
    return JSONResponse({"error": {**said, **({"error_subcode": subcode} if subcode else {})}}, status)


def body_of(payload: Any) -> bytes:
    """JSON as Meta writes it: everything beyond ASCII and every slash escaped, and so it is signed."""
    return json.dumps(payload, separators=(",", ":")).replace("/", "\\/").encode()


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[dict[str, Any]] = []  # bodies of what was sent
        self.closed: set[str] = set()  # who wrote more than 24 hours ago
        self.gone: set[str] = set()  # who cannot be reached
        self.templates = {("ticket_update", "zh_CN"): 1}  # approved: how many parameters
        self.expired: set[str] = set()  # tokens
        self.media: dict[str, dict[str, Any]] = {}  # by id: content, mime_type, and what is said falsely of it
        self.fields = ["messages", "messaging_postbacks"]  # what the page and the webhooks are subscribed to
        self.answers: list[Response | None] = []  # given to the next calls that send, one each; None: as ever

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "instagram_api": self.url, "allow_private": True}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v25.0/{path:path}/messages", self.messages, methods=["POST"]),
            Route("/v25.0/{path:path}", self.read),
            Route("/files/{name}", self.file),
        ]

    def signed(self, payload: Any, secret: str = SECRET) -> Request:
        body = payload if isinstance(payload, bytes) else body_of(payload)
        mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-hub-signature-256": f"sha256={mac}"}
        return Request("POST", URL, headers, body, {}, "192.0.2.7", datetime(2026, 3, 2, 9, 30, tzinfo=UTC))

    def troubled(self) -> Response | None:
        match self.trouble:
            case "":
                return None
            case "429":
                usage = {PAGE: [{"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 3}]}
                limited = error(429, 130429, "(#130429) Rate limit hit")
                limited.headers["X-Business-Use-Case-Usage"] = json.dumps(usage)
                return limited
            case "500":
                return error(500, 131000, "Something went wrong")
            case "drop":
                return Dropped()
        return error(400, 100, "(#100) Invalid parameter")

    def speaker(self, asked: Asked) -> str | Response:
        """Whose token it is, or why not."""
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in TOKENS or token in self.expired:
            return error(401, 190, f"Error validating access token {token}: Session has expired")
        return TOKENS[token]

    async def messages(self, asked: Asked) -> Response:
        speaker, path = self.speaker(asked), asked.path_params["path"]
        if isinstance(speaker, Response):
            return speaker
        if path != (NUMBER if speaker == NUMBER else "me"):
            return error(400, 100, "Unsupported post request", 33)
        if refused := (self.answers.pop(0) if self.answers else None) or self.troubled():
            return refused
        said = await asked.json()
        answer = self.whatsapp(said) if speaker == NUMBER else self.messenger(said, speaker)
        if answer.status_code == 200:
            self.calls.append(said)
        return answer

    def whatsapp(self, said: dict[str, Any]) -> Response:
        to = said.get("to") or said.get("recipient", "")
        if said.get("messaging_product") != "whatsapp" or not to or to.startswith("+"):
            return error(400, 100, "(#100) Invalid parameter")
        if to in self.gone:
            return error(400, 131026, "(#131026) Message undeliverable")
        if said["type"] == "template":
            known = said["template"]
            values = [one["text"] for part in known["components"] for one in part["parameters"]]
            if self.templates.get((known["name"], known["language"]["code"])) != len(values):
                return error(404, 132001, "(#132001) Template name does not exist in the translation")
            text = " ".join(values)
        elif to in self.closed:
            return error(400, 131047, "(#131047) Re-engagement message", error_data={"details": "More than 24 hours"})
        elif said["type"] == "interactive":
            text = said["interactive"]["body"]["text"]
            if not self.interactive(said["interactive"]):
                return error(400, 131009, "(#131009) Parameter value is not valid")
        else:
            text = said["text"]["body"]
            if not 0 < len(text) <= 4096:
                return error(400, 100, "(#100) Param text['body'] must be at most 4096 characters long.")
        self.sent.append({"to": to, "text": text})
        sent = f"wamid.HBgL{len(self.sent)}"
        contacts = [{"input": to, "wa_id": to}]
        return JSONResponse({"messaging_product": "whatsapp", "contacts": contacts, "messages": [{"id": sent}]})

    def interactive(self, said: dict[str, Any]) -> bool:
        action = said["action"]
        if said["type"] == "button":
            titles = [one["reply"]["title"] for one in action["buttons"]]
            fit = len(titles) <= 3 and all(0 < len(title) <= 20 for title in titles)
            return fit and len(said["body"]["text"]) <= 1024
        rows = [row for section in action["sections"] for row in section["rows"]]
        lengths = all(len(row["title"]) <= 24 and len(row.get("description", "")) <= 72 for row in rows)
        return len(rows) <= 10 and lengths and len(action["button"]) <= 20 and len(said["body"]["text"]) <= 4096

    def messenger(self, said: dict[str, Any], speaker: str) -> Response:
        to, text, quick = said["recipient"]["id"], said["message"]["text"], said["message"].get("quick_replies", [])
        if to in self.gone:
            return error(400, 551, "(#551) This person isn't available right now.", 1545041)
        if to in self.closed and said.get("tag") != "HUMAN_AGENT":
            return error(400, 10, "(#10) This message is sent outside of allowed window.", 2018278)
        long = len(text.encode()) > 1000 if speaker == ACCOUNT else len(text) > 2000
        if long or len(quick) > 13 or any(len(one["title"]) > 20 for one in quick) or "messaging_type" not in said:
            return error(400, 100, "(#100) Length of param message[text] must be less than or equal to 2000")
        self.sent.append({"to": to, "text": text})
        return JSONResponse({"recipient_id": to, "message_id": f"m_{len(self.sent)}"})

    async def read(self, asked: Asked) -> Response:
        path = asked.path_params["path"]
        if asked.headers.get("authorization") == f"Bearer {APP}|{SECRET}":
            return self.app(path, asked.query_params)
        speaker = self.speaker(asked)
        if isinstance(speaker, Response):
            return speaker
        if path in self.media and asked.query_params.get("phone_number_id") == NUMBER == speaker:
            file = self.media[path]
            told = {
                "messaging_product": "whatsapp", "url": f"{self.url}/files/{path}", "mime_type": file["mime_type"],
                "sha256": hashlib.sha256(file["content"]).hexdigest(), "file_size": len(file["content"]), "id": path,
            }  # fmt: skip
            return JSONResponse({**told, **file.get("told", {})})
        if path == f"{PAGE}/subscribed_apps":
            return JSONResponse({"data": [{"id": APP, "name": "help desk", "subscribed_fields": self.fields}]})
        if path == speaker:
            named = {"name": "示例商城", "username": "example_shop", "display_phone_number": "+1 555-078-3881"}
            return JSONResponse({"id": speaker, **named, "quality_rating": "GREEN"})
        return error(400, 100, "Unsupported get request. Object does not exist", 33)

    def app(self, path: str, query: Any) -> Response:
        if path == "debug_token":
            token = query["input_token"]
            scopes = ["pages_messaging", "instagram_manage_messages", "whatsapp_business_messaging"]
            valid = token in TOKENS and token not in self.expired
            return JSONResponse({"data": {"app_id": APP, "is_valid": valid, "expires_at": 0, "scopes": scopes}})
        objects = ("page", "instagram", "whatsapp_business_account")
        fields = [{"name": name, "version": "v25.0"} for name in self.fields]
        told = [{"object": kind, "callback_url": URL, "active": True, "fields": fields} for kind in objects]
        return JSONResponse({"data": told})

    async def file(self, asked: Asked) -> Response:
        file = self.media[asked.path_params["name"]]
        wanted = None if file.get("open") else "Bearer EAAnumber-token"
        if asked.headers.get("authorization") != wanted:
            return Response(status_code=401)
        return Response(file["content"], media_type=file["mime_type"])
