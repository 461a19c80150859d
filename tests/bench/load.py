"""The load: 50 connections that stay open, each saying the next thing as soon as it was answered.

    load.py smtp PORT COUNT RUN [--attachment]
    load.py http PORT COUNT RUN --path /in/webhook/shop

A process of its own, the same for both sides. Everything is built and signed before the clock starts. Prints one
JSON object: how many were answered as they should be, in how many seconds, the slowest answers, and the share of one
core this process itself used (near 1 it would be measuring itself).
"""

import argparse
import asyncio
import base64
import gc
import hashlib
import hmac
import json
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import cast

import corpus
import uvloop

CONNECTIONS = 50
SECRET = b"ticketgate-bench-secret-32-bytes"
PATIENCE = 120  # seconds for a whole run


class Tally:
    """What all connections share: what is still to be said, and how it was answered."""

    def __init__(self, todo: deque[tuple[bytes, ...]]) -> None:
        self.todo = todo
        self.left = len(todo)
        self.answers: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.done = asyncio.Event()

    def answered(self, code: bytes, since: float) -> None:
        self.answers[code.decode("ascii", "replace")] += 1
        self.seconds.append(time.perf_counter() - since)
        self.left -= 1
        if self.left == 0:
            self.done.set()


class Talk(asyncio.Protocol):
    """One connection. `ready` is set once it may begin."""

    def __init__(self, tally: Tally) -> None:
        self.tally = tally
        self.ready = asyncio.Event()
        self.heard = b""
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.tally.left:
            self.tally.answers["lost"] += 1
            self.tally.done.set()

    def start(self) -> None:
        raise NotImplementedError


class Mailing(Talk):
    """EHLO once, then MAIL, RCPT, DATA and the mail, one command at a time as most senders do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.steps: tuple[bytes, ...] = (b"EHLO bench.example.net\r\n",)
        self.step = 0

    def data_received(self, data: bytes) -> None:
        self.heard += data
        if not self.heard.endswith(b"\r\n"):
            return
        last = self.heard[self.heard.rfind(b"\r\n", 0, -2) + 2 if self.heard.count(b"\n") > 1 else 0 :]
        if last[3:4] == b"-":
            return
        self.heard = b""
        self._answered(last[:3])

    def _answered(self, code: bytes) -> None:
        if self.step < len(self.steps) and code < b"400":
            self.transport.write(self.steps[self.step])
            self.step += 1
        elif self.ready.is_set():
            self.tally.answered(code, self.since)
            if code < b"400":
                self.start()
            else:
                self.transport.close()
        else:
            self.ready.set()

    def start(self) -> None:
        if not self.tally.todo:
            return
        self.since = time.perf_counter()
        self.steps, self.step = self.tally.todo.popleft(), 1
        self.transport.write(self.steps[0])


class Calling(Talk):
    """Requests on a connection kept alive."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.ready.set()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        head, end, rest = self.heard.partition(b"\r\n\r\n")
        if not end or len(rest) < _length(head):
            return
        self.heard = b""
        self.tally.answered(head[9:12], self.since)
        self.start()

    def start(self) -> None:
        if not self.tally.todo:
            return
        self.since = time.perf_counter()
        self.transport.write(self.tally.todo.popleft()[0])


KINDS: Mapping[str, type[Talk]] = {"smtp": Mailing, "http": Calling}


def _length(head: bytes) -> int:
    low = head.lower()
    at = low.find(b"content-length:")
    return int(low[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def smtp_steps(count: int, run: int, *, attachment: bool) -> deque[tuple[bytes, ...]]:
    """MAIL, RCPT, DATA and the dot-stuffed text of each mail."""
    recipient = b"RCPT TO:<%s>\r\n" % corpus.RECIPIENT.encode()
    return deque(
        (b"MAIL FROM:<%s>\r\n" % mail.sender.encode(), recipient, b"DATA\r\n", _stuffed(mail.raw))
        for mail in corpus.mails(count, run, attachment=attachment)
    )


def _stuffed(raw: bytes) -> bytes:
    return raw.replace(b"\r\n.", b"\r\n..") + b".\r\n"  # RFC 5321 4.5.2


def http_requests(count: int, run: int, path: str) -> deque[tuple[bytes, ...]]:
    """Whole requests, signed as Standard Webhooks demands."""
    now = str(int(time.time())).encode()
    return deque((_request(key.encode(), now, body, path.encode()),) for key, body in corpus.bodies(count, run))


def _request(key: bytes, now: bytes, body: bytes, path: bytes) -> bytes:
    signature = base64.b64encode(hmac.digest(SECRET, b"%s.%s.%s" % (key, now, body), hashlib.sha256))
    return (
        b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
        b"webhook-id: %s\r\nwebhook-timestamp: %s\r\nwebhook-signature: v1,%s\r\n\r\n%s"
    ) % (path, len(body), key, now, signature, body)


async def run(kind: type[Talk], port: int, todo: deque[tuple[bytes, ...]]) -> dict[str, object]:
    """Say all of it over CONNECTIONS connections; the clock runs from the first word to the last answer."""
    tally = Tally(todo)
    loop = asyncio.get_running_loop()
    talks = [(await loop.create_connection(lambda: kind(tally), "127.0.0.1", port))[1] for _ in range(CONNECTIONS)]
    await asyncio.gather(*(talk.ready.wait() for talk in talks))
    began, used = time.time(), time.process_time()
    since = time.perf_counter()
    for talk in talks:
        talk.start()
    async with asyncio.timeout(PATIENCE):
        await tally.done.wait()
    seconds = time.perf_counter() - since
    slowest = sorted(tally.seconds)
    return {
        "answers": dict(tally.answers),
        "began": began,
        "seconds": seconds,
        "p50_ms": _at(slowest, 0.5),
        "p99_ms": _at(slowest, 0.99),
        "load_cores": round((time.process_time() - used) / seconds, 3),
    }


def _at(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2) if ordered else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("protocol", choices=list(KINDS))
    parser.add_argument("port", type=int)
    parser.add_argument("count", type=int)
    parser.add_argument("run", type=int)
    parser.add_argument("--attachment", action="store_true")
    parser.add_argument("--path", default="/")
    asked = parser.parse_args()
    if asked.protocol == "smtp":
        todo = smtp_steps(asked.count, asked.run, attachment=asked.attachment)
    else:
        todo = http_requests(asked.count, asked.run, asked.path)
    gc.collect()
    gc.freeze()
    print(json.dumps(uvloop.run(run(KINDS[asked.protocol], asked.port, todo))))


if __name__ == "__main__":
    main()
