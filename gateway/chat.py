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
import re
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from connectors.webchat import Speaker, Webchat
from gateway import guard, http
from gateway.accept import Door
from gateway.chat_rooms import Rooms, Seat
from gateway.limit import Limiter
from gateway.store.conversation import Conversation, Entry, Talk
from normalizer.canon import Envelope, digest
from normalizer.errors import Rejected, Unavailable, Unreadable
from normalizer.identity import identity

HERE = Path(__file__).parent / "chat_widget"
HELLO_WITHIN = 10.0  # seconds
BEAT = 20.0  # seconds of silence after which a client hears that we are there
SLOW = 15.0  # seconds in which a client must take what it is told
LONGEST_WAIT = 25.0  # seconds of a long poll
THERE_STILL = 3.0  # seconds after which we look whether a client that waits is still there
LARGEST_FRAME = 64 * 1024
LOOKS_A_MINUTE = 120  # by one visitor or user, without a WebSocket
FRAMES_A_MINUTE = 600  # from one visitor or user, whatever is in them
AT_ONCE = 10  # connections to one conversation: tabs and devices
NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self' ws: wss:; img-src blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)
UNVERIFIED, FORBIDDEN, TOO_MANY, GOING = 4401, 4403, 4429, 1012
_KEY = re.compile(r"([A-Za-z0-9_-]{32})([0-9a-f]{32})", re.ASCII)
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp")  # as pictures; whatever else is only kept

Answer = Callable[[Request, Webchat], Awaitable[Response]]


class Chats:
    """Every web chat account's door."""

    def __init__(self, door: Door, limiter: Limiter) -> None:
        self.door, self.house, self.limiter = door, door.house, limiter
        self.settings = self.house.configured.settings.http
        self.rooms = Rooms(self.house.hub)
        self.seated: Counter[tuple[str, ...]] = Counter()
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
            WebSocketRoute(root + "/socket", self.socket),
        ]

    # Whom a browser may ask for

    def _opened(self, answer: Answer, *, anywhere: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint for the pages that may hold the widget; scripts alone are given to every page."""

        @guard.declares(guard.EVERYBODY)
        async def endpoint(asked: Request) -> Response:
            connector = self._account(asked)
            if connector is None:
                return http.problem(404, "not_found", f"there is no chat {asked.path_params['account']}")
            if not anywhere and not self._welcome(asked, connector):
                return http.problem(403, "forbidden", "this page may not; its origin must stand in `origins`")
            try:
                told = Response(status_code=204) if asked.method == "OPTIONS" else await answer(asked, connector)
            except Rejected as e:
                again = {"Retry-After": "60"} if e.status == 429 else {}
                told = http.problem(e.status, e.code, e.reason, again)
            except Unavailable:
                told = http.problem(503, "unavailable", "could not be stored just now; send it again")
            told.headers.update(_cors(asked))
            return told

        return endpoint

    def _account(self, asked: HTTPConnection) -> Webchat | None:
        found = self.house.mind.connectors.get((Webchat.name, asked.path_params["account"]))
        return found if isinstance(found, Webchat) else None

    def _welcome(self, asked: HTTPConnection, connector: Webchat) -> bool:
        """Our own pages and those of `origins`. An app has no origin, and no cookie of ours is of use to anybody."""
        origin = asked.headers.get("origin")
        if origin is None or origin in connector.settings.origins:
            return True
        ours = {asked.headers.get("host", ""), urlsplit(self.settings.public_url).netloc}
        return urlsplit(origin).netloc in ours - {""}  # by host alone: a proxy in front may speak TLS for us

    def _remote(self, asked: HTTPConnection) -> str:
        return http.remote(asked, self.settings.trusted_proxies)

    def _knocked(self, asked: HTTPConnection, connector: Webchat) -> None:
        """One more from this address. Raises Rejected (429)."""
        told, now = connector.settings, self.house.clock.now()
        source = (Webchat.name, told.account, self._remote(asked))
        if told.rate and not self.limiter.allows(source, told.rate, now):
            raise _too_many("too many from this address")

    def speaker(self, connector: Webchat, credential: str) -> Speaker:
        """Who that is. Raises Rejected."""
        if "." in credential:
            return connector.user(credential, self.house.clock.now())
        found = _KEY.fullmatch(credential)
        proof = self._proof(connector, found[1]) if found else ""
        if not (found and secrets.compare_digest(proof, found[2]) and connector.anonymous):
            raise Rejected("no key of this chat; ask for one, or sign a token")
        return connector.visitor(digest("visitor", connector.settings.account, found[1]))

    def _proof(self, connector: Webchat, chance: str) -> str:
        """That the gateway made this key, for this account."""
        return self.house.store.proof("chat visitor", connector.settings.account, chance)

    def _bearer(self, asked: Request, connector: Webchat) -> Speaker:
        kind, _, credential = asked.headers.get("authorization", "").partition(" ")
        return self.speaker(connector, credential.strip() if kind.lower() == "bearer" else "")

    def _reader(self, asked: Request, connector: Webchat) -> Speaker:
        """Who looks into their conversation, not too often. Raises Rejected."""
        speaker, now = self._bearer(asked, connector), self.house.clock.now()
        source = (Webchat.name, connector.settings.account, "looked", speaker.thread)
        if not self.limiter.allows(source, LOOKS_A_MINUTE, now):
            raise _too_many("asked too often; wait= lets an answer be waited for")
        return speaker

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
        self._knocked(asked, connector)
        chance = secrets.token_urlsafe(24)
        return _json({"key": chance + self._proof(connector, chance)}, 201)

    async def messages(self, asked: Request, connector: Webchat) -> Response:
        if asked.method == "POST":
            self._knocked(asked, connector)
            speaker = self._bearer(asked, connector)
            body = await self._whole(asked, connector)
            content_type = asked.headers.get("content-type", "")
            return _json({"id": await self._post(asked, connector, speaker, content_type, body)}, 202)
        return _json(await self._poll(asked, connector, self._reader(asked, connector)))

    async def _whole(self, asked: Request, connector: Webchat) -> bytes:
        try:
            return await http.whole(asked, min(connector.settings.size_limit, self.settings.max_body))
        except http.Oversized as e:
            await self._refuse(asked, connector, e, e.first)
            raise

    async def _post(
        self, asked: HTTPConnection, connector: Webchat, speaker: Speaker, content_type: str, body: bytes
    ) -> str:
        """The client's id of a message, once it is durably ours. Raises Rejected or Unavailable."""
        told, now = connector.settings, self.house.clock.now()
        if not self.limiter.allows((Webchat.name, told.account, "said", speaker.thread), told.messages_a_minute, now):
            raise _too_many("too many messages; it may be sent again in a minute")
        try:
            identity = await self._checked(connector, content_type, body)
        except Rejected as e:
            await self._refuse(asked, connector, e, body)
            raise
        await self.door.accept([connector.enclose(speaker, identity, content_type, body, now, self._remote(asked))])
        return identity

    async def _checked(self, connector: Webchat, content_type: str, body: bytes) -> str:
        """Taking a large form apart is work for the processor, and the door must go on answering."""
        if len(body) < LARGEST_FRAME:
            return connector.check(content_type, body)
        return await asyncio.to_thread(connector.check, content_type, body)

    async def _refuse(self, asked: HTTPConnection, connector: Webchat, e: Rejected, body: bytes) -> None:
        facts = {"path": asked.url.path, "remote": self._remote(asked)}
        await self.door.refuse(Webchat.name, connector.settings.account, e.code, e.reason, body, facts)

    async def _poll(self, asked: Request, connector: Webchat, speaker: Speaker) -> dict[str, Any]:
        """What is new since `after`; waited for if there is nothing."""
        after, wait = _number(asked, "after"), min(LONGEST_WAIT, _number(asked, "wait"))
        known = "after" in asked.query_params
        with self._seat(asked, connector, speaker) as seat:
            until = asyncio.get_running_loop().time() + wait
            while True:
                told = await self._look(connector, speaker, seat, after)
                if told.entries or not known or not await self._woken(asked, seat, until):
                    return self._shown(connector, told)

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
        speaker = self._reader(asked, connector)
        told = await self.house.store.conversation(_talk(connector, speaker))
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

    # Over a WebSocket

    @guard.declares(guard.EVERYBODY)
    async def socket(self, socket: WebSocket) -> None:
        connector = self._account(socket)
        if connector is None or not self._welcome(socket, connector):
            await socket.close(FORBIDDEN)
            return
        await socket.accept()
        try:
            self._knocked(socket, connector)
            async with asyncio.timeout(HELLO_WITHIN):
                hello = await _frame(socket)
            speaker = self.speaker(connector, str(hello.get("credential", "")))
            with self._seat(socket, connector, speaker) as seat:
                await self._both_ways(socket, connector, speaker, seat, hello)
        except Rejected as e:
            codes = {429: TOO_MANY, 403: FORBIDDEN}
            await _closed(socket, codes.get(e.status, UNVERIFIED), e.code)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            await _closed(socket, 1001, "gone")

    async def _both_ways(
        self, socket: WebSocket, connector: Webchat, speaker: Speaker, seat: Seat, hello: dict[str, Any]
    ) -> None:
        """Hear and tell, until either ends."""
        after = hello.get("after")
        telling = asyncio.create_task(
            self._tell(socket, connector, speaker, seat, after if isinstance(after, int) and after > 0 else 0)
        )
        hearing = asyncio.create_task(self._hear(socket, connector, speaker))
        try:
            done, _ = await asyncio.wait([telling, hearing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, hearing):
                task.cancel()
            await asyncio.gather(telling, hearing, return_exceptions=True)
        for task in done:
            task.result()

    async def _tell(self, socket: WebSocket, connector: Webchat, speaker: Speaker, seat: Seat, after: int) -> None:
        kind = "welcome"
        while not seat.closed:
            if speaker.until and speaker.until <= self.house.clock.now():
                raise Rejected("the token is over", code="expired")
            told = await self._look(connector, speaker, seat, after)
            after = told.cursor
            if told.entries or kind == "welcome":
                await _send(socket, {"type": kind, **self._shown(connector, told)})
            kind = "entries"
            if not await seat.wait(self._patience(speaker)):
                await _send(socket, {"type": "beat"})
        await _closed(socket, GOING, "come again")

    def _patience(self, speaker: Speaker) -> float:
        """Seconds until a client must hear something: that we are there, or that its token is over."""
        left = (speaker.until - self.house.clock.now()).total_seconds() if speaker.until else BEAT
        return max(0.0, min(BEAT, left))

    async def _hear(self, socket: WebSocket, connector: Webchat, speaker: Speaker) -> None:
        source = (Webchat.name, connector.settings.account, "frames", speaker.thread)
        while True:
            said = await _frame(socket)
            if not self.limiter.allows(source, FRAMES_A_MINUTE, self.house.clock.now()):
                raise _too_many("too many frames")
            if said.pop("type", None) != "message":
                continue
            name = said.get("id")
            try:
                self._knocked(socket, connector)
                body = orjson.dumps({**said, "attachments": []})  # files are posted
                await self._post(socket, connector, speaker, "application/json", body)
                await _send(socket, {"type": "sent", "id": name})
            except Rejected as e:
                await _send(socket, {"type": "refused", "id": name, "code": e.code, "detail": e.reason})
            except Unavailable:
                await _send(socket, {"type": "refused", "id": name, "code": "unavailable", "detail": "send it again"})

    # What is shown

    @contextmanager
    def _seat(self, asked: HTTPConnection, connector: Webchat, speaker: Speaker) -> Iterator[Seat]:
        """A place in the conversation, if there is room. Raises Rejected (429)."""
        told = connector.settings
        account = (told.account,)
        limits = {
            account: told.connections,
            (*account, "remote", self._remote(asked)): told.connections_per_remote,
            (*account, "thread", speaker.thread): AT_ONCE,
        }
        if any(self.seated[name] >= most for name, most in limits.items()):
            raise _too_many("too many connections")
        self.seated.update(limits.keys())
        try:
            with self.rooms.seat(self.house.store.named(identity(speaker.sender))) as seat:
                yield seat
        finally:
            self.seated.subtract(limits.keys())
            self.seated += Counter()  # forget who has none left

    async def _look(self, connector: Webchat, speaker: Speaker, seat: Seat, after: int) -> Conversation:
        told = await self.house.store.conversation(_talk(connector, speaker), after)
        seat.numbers = told.numbers
        return told

    def _shown(self, connector: Webchat, told: Conversation) -> dict[str, Any]:
        return {"cursor": told.cursor, "entries": [self._entry(connector, one) for one in told.entries]}

    def _entry(self, connector: Webchat, one: Entry) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": one.id, "at": one.at, "kind": one.kind, "number": one.number}
        shown["status" if one.kind == "status" else "text"] = one.text
        if one.kind == "said":
            shown["client"] = one.client
            shown["files"] = [{"name": f.name, "type": f.media_type, "size": f.size} for f in one.files]
        if one.choices:
            shown["choices"] = [{"code": choice.code, "label": choice.label} for choice in one.choices]
        if one.kind == "answer" and connector.settings.agents == "names":
            shown["by"] = self._called(one.by)
        return shown

    def _called(self, by: str) -> dict[str, str]:
        """What a colleague is called, in both languages; empty where people.yaml has no name for them."""
        code = by.partition(":")[2]
        names = {lang: self.house.mind.vocabulary.label("agent", code, lang) for lang in ("zh", "en")}
        return {lang: name for lang, name in names.items() if name != code}


def _talk(connector: Webchat, speaker: Speaker) -> Talk:
    told = connector.settings
    return Talk(told.channel, Webchat.name, told.account, speaker.thread, identity(speaker.sender))


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


def _cors(asked: Request) -> dict[str, str]:
    """For who was let in: this origin and no other, without cookies."""
    origin = asked.headers.get("origin")
    if origin is None:
        return {}
    told = {"Access-Control-Allow-Origin": origin, "Vary": "Accept-Encoding, Origin"}
    if asked.method == "OPTIONS":
        told |= {
            "Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": "600",
        }  # fmt: skip
    return told


def _too_many(reason: str) -> Rejected:
    return Rejected(reason, status=429, code="rate_limited")


def _number(asked: Request, name: str) -> int:
    """A number of the query; 0 for what is none."""
    said = asked.query_params.get(name, "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 19 else 0


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")


def _json(said: dict[str, Any], status: int = 200) -> Response:
    body = orjson.dumps(said, option=orjson.OPT_UTC_Z)
    return Response(body, status, headers=NO_STORE, media_type="application/json")


async def _frame(socket: WebSocket) -> dict[str, Any]:
    """What the client says; an empty object for what is none. Raises WebSocketDisconnect, Rejected."""
    text = await socket.receive_text()
    if len(text) > LARGEST_FRAME:
        raise Rejected("a frame is too large; files are posted", status=413, code="oversized")
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


async def _send(socket: WebSocket, said: dict[str, Any]) -> None:
    """Raises TimeoutError at a client that does not take it."""
    async with asyncio.timeout(SLOW):
        await socket.send_text(orjson.dumps(said, option=orjson.OPT_UTC_Z).decode())


async def _closed(socket: WebSocket, code: int, reason: str) -> None:
    try:
        async with asyncio.timeout(SLOW):
            await socket.close(code, reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return  # they went first
