"""Customers in a web chat, without a browser: by HTTP as the fallback does, or over a WebSocket."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Gateway
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

SITE = "https://www.example.com"
SECRET = "9f8b1f6c2d7e4a5b9f8b1f6c2d7e4a5b"  # of the tests alone
ACCOUNTS = f"""\
  - {{connector: webchat, account: web, origins: ["{SITE}"], agents: names, messages_a_minute: 12}}
  - {{connector: webchat, account: app, channel: app, secrets: [{{file: chat.secret}}]}}
"""


def with_chat(folder: Path, more: str = "", **settings: Any) -> Gateway:
    """A gateway with a web chat for visitors and one for the users of an app; not started yet."""
    made = Gateway(folder, **settings)
    (folder / "chat.secret").write_text(SECRET)
    text = made.config.read_text()
    made.config.write_text(text.replace("helpdesks:\n", ACCOUNTS + more + "helpdesks:\n"))
    return made


def agent_of(gateway: Gateway) -> httpx.Client:
    """Somebody who answers, by the API."""
    (made,) = gateway.json("keys", "add", "desk", "--scope", "tickets:read", "--scope", "tickets:write")
    bearer = {"authorization": f"Bearer {made['secret (shown once)']}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{gateway.http}/api/v1", headers=bearer, timeout=20)


@dataclass
class Customer:
    """Somebody who chats. `credential` is a visitor's key or a user's token."""

    gateway: Gateway
    account: str = "web"
    credential: str = ""
    origin: str = SITE
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.gateway.http}/chat/{self.account}"

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.credential}"} if self.credential else {}
        headers |= {"origin": self.origin} if self.origin else {}
        return httpx.request(method, self.base + path, headers=headers | self.headers, timeout=40, **more)

    def come(self) -> "Customer":
        self.credential = self.ask("POST", "/visitors").json()["key"]
        return self

    def say(self, text: str, identity: str, **more: Any) -> httpx.Response:
        return self.ask("POST", "/messages", json={"id": identity, "text": text, **more})

    def seen(self, after: int = 0, wait: int = 0) -> dict[str, Any]:
        answer = self.ask("GET", f"/messages?after={after}&wait={wait}")
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def until(self, enough: Callable[[list[dict[str, Any]]], Any], seconds: float = 20) -> list[dict[str, Any]]:
        """The whole conversation, once it is as it should be."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            told = self.seen()
            entries: list[dict[str, Any]] = told["entries"]
            if enough(entries):
                return entries
            self.seen(told["cursor"], wait=5)
        raise AssertionError(f"the conversation is {entries}")

    @contextmanager
    def socket(self, after: int = 0) -> Iterator["Line"]:
        url = self.base.replace("http:", "ws:") + "/socket"
        with connect(url, origin=self.origin or None, open_timeout=10) as line:  # type: ignore[arg-type]
            made = Line(line)
            made.tell(type="hello", credential=self.credential, after=after)
            yield made


@dataclass
class Line:
    """An open WebSocket."""

    socket: ClientConnection

    def tell(self, **said: Any) -> None:
        self.socket.send(json.dumps(said))

    def hear(self, kind: str = "", seconds: float = 20) -> dict[str, Any]:
        """The next frame, or the next of this kind."""
        while True:
            told: dict[str, Any] = json.loads(self.socket.recv(timeout=seconds))
            if kind in ("", told["type"]):
                return told

    def entry(self, kind: str, text: str = "") -> dict[str, Any]:
        """The next entry of this kind with this text in it."""
        while True:
            for one in self.hear("entries")["entries"]:
                if one["kind"] == kind and text in one.get("text", one.get("status", "")):
                    found: dict[str, Any] = one
                    return found

    def ends(self, seconds: float = 30) -> tuple[int, str]:
        """Code and reason with which it is closed, whatever is said before."""
        with pytest.raises(ConnectionClosed) as closed:
            self.hear("nothing", seconds)
        assert closed.value.rcvd
        return closed.value.rcvd.code, closed.value.rcvd.reason


def kinds(entries: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in entries]
