"""One HTTP connection: uvicorn's, which by itself waits for ever and keeps a head of any size.

    HEAD     octets of a request that are not its body: line and headers, trailers, extensions of chunks
    PATIENCE seconds for a head, counted from its first octet or the connection's beginning; and of silence in a body

Whoever goes beyond is told so (431, 408), if nothing was answered yet, and hung up on.
"""

import asyncio
from http import HTTPStatus

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD = 64 * 1024
PATIENCE = 60.0


class Connection(HttpToolsProtocol):
    patience = PATIENCE

    _expecting = True  # the next octets are theirs to say
    _began = False  # a request, ever
    _unread = 0  # octets since something was made of them
    _since = 0.0
    _impatience: asyncio.TimerHandle | None = None
    _answering: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._got_on()
        self._look_again(self.patience)

    def connection_lost(self, exc: Exception | None) -> None:
        self._look_no_more()
        if self._answering:  # of several requests said in one go uvicorn tells only the last that nobody is there
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self._look_no_more()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > HEAD:
            self._hang_up(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._expecting = self._began = True
        self._got_on()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._got_on()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._got_on()
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._expecting = False
        self._got_on()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _got_on(self) -> None:
        self._unread, self._since = 0, self.loop.time()

    def _look_again(self, after: float) -> None:
        self._impatience = self.loop.call_later(after, self._look)

    def _look_no_more(self) -> None:
        if self._impatience:
            self._impatience.cancel()

    def _look(self) -> None:
        """Whether they have kept us waiting; not while it is we who do not read."""
        waited = self.loop.time() - self._since
        if not self._expecting or self.flow.read_paused:
            self._look_again(self.patience)
        elif waited < self.patience:
            self._look_again(self.patience - waited)
        else:
            self._hang_up(HTTPStatus.REQUEST_TIMEOUT)

    def _hang_up(self, status: HTTPStatus) -> None:
        if self._answerable and not self.transport.is_closing():
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()

    @property
    def _answerable(self) -> bool:
        """Whether an answer would be taken for that to what they are saying, and not to what they said before."""
        said = self.cycle
        unheard = said is None or said.response_complete or (said.more_body and not said.response_started)
        return self._began and not self.pipeline and unheard
