"""Following what happens by server-sent events, through a real gateway."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Gateway

MAIL = "From: 张三 <zhang@example.cn>\r\nTo: support@example.com\r\nSubject: 退款 {n}\r\nMessage-ID: <{n}@example.cn>\r\n\r\n我要退款\r\n"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), outbound="off") as running:
        yield running


def key(gateway: Gateway, *scopes: str) -> str:
    (row,) = gateway.json("keys", "add", "test", *(part for scope in scopes for part in ("--scope", scope)))
    return next(value for name, value in row.items() if name.startswith("secret"))


@pytest.fixture(scope="module")
def secret(gateway: Gateway) -> str:
    return key(gateway, "events:read", "tickets:read")


class Heard:
    """What a follower hears, in a thread of its own."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer, self.lines = answer, queue.Queue[str]()
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(httpx.HTTPError):
            for line in self.answer.iter_lines():
                self.lines.put(line)
        self.ended.set()

    def event(self, within: float = 10) -> tuple[int, str, dict[str, Any]]:
        """The next one: its id, kind and data."""
        told: dict[str, str] = {}
        deadline = time.monotonic() + within
        while line := self.lines.get(timeout=max(0.01, deadline - time.monotonic())) or not told:
            if isinstance(line, str):
                name, _, value = line.partition(": ")
                told |= {name: value} if name in ("id", "event", "data") else {}
        return int(told["id"]), told["event"], json.loads(told["data"])


@contextmanager
def following(gateway: Gateway, secret: str, **asked: str) -> Iterator[Heard]:
    headers = {"authorization": f"Bearer {secret}", **asked}
    with httpx.stream("GET", f"http://127.0.0.1:{gateway.http}/api/v1/events", headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Heard(answer)


def send(gateway: Gateway, n: str) -> None:
    gateway.mail(MAIL.format(n=n).encode())


def test_a_follower_hears_of_a_mail_at_once_and_no_word_of_it(gateway: Gateway, secret: str) -> None:
    with following(gateway, secret) as heard:
        send(gateway, "first")
        identity, kind, told = heard.event()
        assert kind == "ticket.created"
        assert set(told) == {"at", "number", "thing", "version"}
        assert told["number"] == gateway.tickets()[0]["number"]
        assert heard.event()[:2] == (identity + 1, "message.added")


def test_who_comes_back_misses_nothing(gateway: Gateway, secret: str) -> None:
    with following(gateway, secret) as heard:
        send(gateway, "second")
        last, _, _ = heard.event()
    gateway.settle()
    send(gateway, "third")
    gateway.settle()
    with following(gateway, secret, **{"last-event-id": str(last)}) as heard:
        ids = [heard.event()[0] for _ in range(3)]
        assert ids == [last + 1, last + 2, last + 3]


def test_who_was_away_too_long_is_told_to_look_anew(gateway: Gateway, secret: str) -> None:
    with following(gateway, secret, **{"last-event-id": "99999999"}) as heard:
        assert heard.event()[1] == "missed"


@pytest.mark.parametrize(("scopes", "status"), [((), 401), (("tickets:read",), 403)])
def test_only_who_may_follow_does(gateway: Gateway, scopes: tuple[str, ...], status: int) -> None:
    headers = {"authorization": f"Bearer {key(gateway, *scopes)}"} if scopes else {}
    assert httpx.get(f"http://127.0.0.1:{gateway.http}/api/v1/events", headers=headers).status_code == status


def test_no_event_has_such_an_id(gateway: Gateway, secret: str) -> None:
    headers = {"authorization": f"Bearer {secret}", "last-event-id": "one"}
    assert httpx.get(f"http://127.0.0.1:{gateway.http}/api/v1/events", headers=headers).status_code == 422


def test_followers_do_not_keep_a_gateway_from_stopping(tmp_path: Path) -> None:
    with Gateway(tmp_path) as gateway, following(gateway, key(gateway, "events:read")) as heard:
        began = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - began < 4, "it waited for its followers"
        assert heard.ended.wait(2)
