"""The door of web chat and in-app messages: /chat/{account}/..., for the widget, the hosted page, and apps.

GET  /                the hosted page: the widget and nothing else
GET  /widget.js       the widget, with the account's settings in it
POST /visitors        a key for somebody nobody knows; only its holder reads what is said with it
POST /messages        a message with its files, or without: 202 once it is durably ours
GET  /messages        the conversation, or what is new in it since ?after=, waited for up to ?wait= seconds
GET  /files/{m}/{n}   a file of a message of one's own
     /socket          the same conversation over a WebSocket: {"type": "hello"}, then messages; docs/channels/webchat.md

Whoever asks brings a key or a token, in Authorization: Bearer or in the hello, never in an address. What a client posts
bears an id of the client's, and may be posted until it is acknowledged. Everything shown has an id that stays.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from connectors.webchat import Speaker, Webchat
from gateway import guard, http
from gateway.accept import Door
from gateway.chat_access import Access, cors
from gateway.chat_rooms import Seat
from gateway.chat_socket import Sockets
from gateway.chat_talk import Talks, named
from gateway.limit import Limiter
from normalizer.canon import Envelope
from normalizer.errors import Rejected, Unavailable, Unreadable

HERE = Path(__file__).parent / "chat_widget"
LONGEST_WAIT = 25.0  # seconds of a long poll
THERE_STILL = 3.0  # seconds after which we look whether a client that waits is still there
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self' ws: wss:; img-src blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")  # as pictures; whatever else is only kept

Answer = Callable[[Request, Webchat], Awaitable[Response]]


class Chats:
    """Every web chat account's door."""

    def __init__(self, door: Door, limiter: Limiter) -> None:
        self.house = door.house
        self.access = Access(door.house, limiter)
        self.talks = Talks(door, self.access)
        self.sockets = Sockets(self.access, self.talks)
        self.script = (HERE / "widget.min.js").read_text("utf-8")
        self.page = (HERE / "page.html").read_text("utf-8")

    def routes(self) -> list[BaseRoute]:
        root = "/chat/{account}"
        return [
            Route(root, self._opened(self.hosted), methods=["GET"]),
            Route(root + "/", self._opened(self.hosted), methods=["GET"]),
            Route(root + "/widget.js", self._opened(self.widget, anywhere=True), methods=["GET"]),
            Route(root + "/visitors", self._opened(self.welcome), methods=["POST", "OPTIONS"]),
            Route(root + "/messages", self._opened(self.messages), methods=["GET", "POST", "OPTIONS"]),
            Route(root + "/files/{message}/{place}", self._opened(self.file), methods=["GET", "OPTIONS"]),
            WebSocketRoute(root + "/socket", self.sockets.socket),
        ]

    def _opened(self, answer: Answer, *, anywhere: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for the pages that may hold the widget; scripts alone are given to every page."""

        @guard.declares(guard.EVERYBODY)
        async def endpoint(asked: Request) -> Response:
            connector = self.access.account(asked)
            if connector is None:
                return http.problem(404, "not_found", f"there is no chat {asked.path_params['account']}")
            if not anywhere and not self.access.welcome(asked, connector):
                return http.problem(403, "forbidden", "this page may not; its origin must stand in `origins`")
            try:
                told = Response(status_code=204) if asked.method == "OPTIONS" else await answer(asked, connector)
            except Rejected as e:
                again = {"Retry-After": "60"} if e.status == 429 else {}
                told = http.problem(e.status, e.code, e.reason, again)
            except Unavailable:
                told = http.problem(503, "unavailable", "could not be stored just now; send it again")
            told.headers.update(cors(asked))
            return told

        return endpoint

    # Pages

    async def hosted(self, asked: Request, connector: Webchat) -> Response:
        if not asked.url.path.endswith("/"):
            return RedirectResponse(f"{asked.url.path.rpartition('/')[2]}/")  # the script stands beside the page
        told = connector.settings
        language = (
            "en" if asked.query_params.get("lang", asked.headers.get("accept-language", ""))[:2] == "en" else "zh"
        )
        page = self.page.replace("{language}", language).replace("{title}", _plain(told.title[language]))
        headers = {**NO_STORE, "Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "same-origin"}
        return Response(page, headers=headers, media_type="text/html")

    async def widget(self, asked: Request, connector: Webchat) -> Response:
        """The script with what it needs to know of the account: nothing in it is secret."""
        told = connector.settings
        known = {
            "account": told.account, "title": told.title.model_dump(), "intro": told.intro.model_dump(),
            "color": told.color, "on": _readable(told.color), "ask": told.ask, "files": told.files,
            "fileSize": told.media.size_limit, "size": told.size_limit, "types": told.media.types,
            "text": told.text_limit,
        }  # fmt: skip
        script = self.script.replace('"SETTINGS"', orjson.dumps(known).decode(), 1).encode()
        headers = {
            "Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "cross-origin", "Vary": "Accept-Encoding, Origin",
        }  # fmt: skip
        if "gzip" in asked.headers.get("accept-encoding", ""):
            script, headers["Content-Encoding"] = gzip.compress(script), "gzip"
        return Response(script, headers=headers, media_type="text/javascript")

    # Over HTTP

    async def welcome(self, asked: Request, connector: Webchat) -> Response:
        if not connector.anonymous:
            raise Rejected("users of this app are signed for", status=403, code="forbidden")
        self.access.knocked(asked, connector)
        return _json({"key": self.access.fresh(connector)}, 201)

    async def messages(self, asked: Request, connector: Webchat) -> Response:
        if asked.method == "POST":
            self.access.knocked(asked, connector)
            speaker = self.access.bearer(asked, connector)
            body = await self._whole(asked, connector)
            content_type = asked.headers.get("content-type", "")
            return _json({"id": await self.talks.post(asked, connector, speaker, content_type, body)}, 202)
        return _json(await self._poll(asked, connector, self.access.reader(asked, connector)))

    async def _whole(self, asked: Request, connector: Webchat) -> bytes:
        try:
            return await http.whole(asked, min(connector.settings.size_limit, self.access.settings.max_body))
        except http.Oversized as e:
            await self.talks.refuse(asked, connector, e, e.first)
            raise

    async def _poll(self, asked: Request, connector: Webchat, speaker: Speaker) -> dict[str, Any]:
        """What is new since `after`; waited for if there is nothing."""
        after, wait = _number(asked, "after"), min(LONGEST_WAIT, _number(asked, "wait"))
        known = "after" in asked.query_params
        with self.talks.seat(asked, connector, speaker) as seat:
            until = asyncio.get_running_loop().time() + wait
            while True:
                told = await self.talks.look(connector, speaker, seat, after)
                if told.entries or not known or not await self._woken(asked, seat, until):
                    return self.talks.shown(connector, told)

    async def _woken(self, asked: Request, seat: Seat, until: float) -> bool:
        """Whether something may have happened before then; False too if nobody waits for it any more."""
        while (left := until - asyncio.get_running_loop().time()) > 0 and not seat.closed:
            if await seat.wait(min(left, THERE_STILL)):
                return True
            if await asked.is_disconnected():
                break
        return False

    async def file(self, asked: Request, connector: Webchat) -> Response:
        """What they sent themselves: to be shown if it is a picture, else to be kept."""
        speaker = self.access.reader(asked, connector)
        told = await self.house.store.conversation(named(connector, speaker))
        place = asked.path_params["place"]
        entry = next((one for one in told.entries if one.id == asked.path_params["message"]), None)
        if entry is None or not place.isdecimal() or int(place) >= len(entry.files):
            raise Rejected("no such file in this conversation", status=404, code="not_found")
        known = entry.files[int(place)]
        envelope = await self.house.store.envelope(entry.envelope)
        content = _content(connector, envelope, known.sha256) if envelope else None
        if content is None:
            raise Rejected("the file is not kept any more", status=404, code="not_found")
        shown = known.media_type if known.media_type in SHOWN else "application/octet-stream"
        name = f"attachment; filename*=UTF-8''{quote(known.name[:200], safe='')}"
        headers = {**NO_STORE, "Content-Disposition": name, "Content-Security-Policy": "default-src 'none'; sandbox"}
        return Response(content, headers=headers, media_type=shown)


def _content(connector: Webchat, envelope: Envelope, sha256: str) -> bytes | None:
    try:
        said = connector.parse(envelope)
    except Unreadable:
        return None
    return next((one.content for message in said for one in message.attachments if one.sha256 == sha256), None)


def _readable(color: str) -> str:
    """Black or white, whichever stands out more on this (WCAG 2.2, relative luminance)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return "#000" if sum(p * q for p, q in zip(linear, (0.2126, 0.7152, 0.0722), strict=True)) > 0.179 else "#fff"


def _number(asked: Request, name: str) -> int:
    """A number of the query; 0 for what is none."""
    said = asked.query_params.get(name, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 19 else 0


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _json(said: dict[str, Any], status: int = 200) -> Response:
    body = orjson.dumps(said, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers=NO_STORE, media_type="application/json")
