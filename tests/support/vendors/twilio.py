"""Twilio's side: Messages, accounts, numbers, services, and media behind a password that redirect elsewhere.

https://www.twilio.com/docs/messaging/api/message-resource, .../api/media-resource, .../docs/api/errors
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import starlette.requests
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from twilio.request_validator import RequestValidator
from vendor import Vendor

from connectors.base import Request

ACCOUNT = "AC" + "0a" * 16
TOKEN = "twilio-token-0123456789abcdef"
URL = "https://help.example.com/in/twilio/main"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0" * 24


class Side(Vendor):
    def __init__(self) -> None:
        super().__init__()
        self.code = 0  # of the error that sending a body is answered with
        self.asked: list[dict[str, str]] = []
        self.numbers: list[dict[str, Any]] = []
        self.elsewhere: list[str] = []  # the Authorization with which the media's other host was asked

    def settings(self) -> dict[str, Any]:
        return {"api": self.url, "allow_private": True}

    def signed(
        self, said: Mapping[str, str] | Sequence[tuple[str, str]], url: str = URL, token: str = TOKEN
    ) -> Request:
        """A request as Twilio would make it."""
        form = list(said.items()) if isinstance(said, Mapping) else list(said)
        signature = RequestValidator(token).compute_signature(url, dict(form))
        headers = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature}
        query = dict(parse_qsl(urlsplit(url).query))
        return Request("POST", url, headers, urlencode(form).encode(), query, "192.0.2.7", MOMENT)

    def routes(self) -> list[BaseRoute]:
        account = "/2010-04-01/Accounts/{sid}"
        return [
            Route(account + "/Messages.json", self.create, methods=["POST"]),
            Route(account + ".json", self.account),
            Route(account + "/IncomingPhoneNumbers.json", self.listed),
            Route("/v1/Services/{sid}", self.service),
            Route(account + "/Messages/{message}/Media/{media}", self.media),
            Route("/elsewhere/{media}", self.content),
        ]

    async def create(self, request: starlette.requests.Request) -> Response:
        if refused := self.unknown(request) or self.troubled():
            return refused
        form = {name: str(value) for name, value in (await request.form()).items()}
        self.asked.append(form)
        if self.code and "Body" in form:
            return wrong(self.code, f"something about {form['To']}")
        if len(form.get("Body", "")) > 1600:
            return wrong(21617, "The concatenated message body exceeds the 1600 character limit")
        sid = f"SM{len(self.sent):032x}"
        self.sent.append({"to": form["To"], "text": form.get("Body") or form.get("ContentVariables")})
        return JSONResponse({"sid": sid, "status": "queued", "account_sid": ACCOUNT, **form}, 201)

    async def account(self, request: starlette.requests.Request) -> Response:
        return self.unknown(request) or JSONResponse({"sid": ACCOUNT, "status": "active", "type": "Full"})

    async def listed(self, request: starlette.requests.Request) -> Response:
        wanted = request.query_params.get("PhoneNumber", "")
        found = [number for number in self.numbers if number["phone_number"] == wanted]
        return self.unknown(request) or JSONResponse({"incoming_phone_numbers": found, "next_page_uri": None})

    async def service(self, request: starlette.requests.Request) -> Response:
        if request.path_params["sid"] != "MG" + "0b" * 16:
            return wrong(20404, "The requested resource was not found", 404)
        return JSONResponse({"sid": request.path_params["sid"], "use_inbound_webhook_on_number": False,
                             "inbound_request_url": URL, "inbound_method": "GET"})  # fmt: skip

    async def media(self, request: starlette.requests.Request) -> Response:
        if refused := self.unknown(request):
            return refused
        elsewhere = self.url.replace("127.0.0.1", "localhost") + "/elsewhere/" + request.path_params["media"]
        return RedirectResponse(elsewhere, 307)

    async def content(self, request: starlette.requests.Request) -> Response:
        self.elsewhere.append(request.headers.get("authorization", ""))
        return Response(PICTURE, media_type="image/png")

    def unknown(self, request: starlette.requests.Request) -> Response | None:
        known = "Basic " + base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        return None if request.headers.get("authorization") == known else wrong(20003, "Authenticate", 401)


def wrong(code: int, words: str, status: int = 400) -> Response:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return JSONResponse({"code": code, "message": words, "more_info": more, "status": status}, status)
