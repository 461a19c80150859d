"""Real servers to talk with: our mail door, a relay, and an HTTP server that answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from connectors.base import Cursor
from connectors.email_smtp import EmailSmtp, Mailroom
from normalizer.canon import Address, Envelope, Reply

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.fixture
def now() -> datetime:
    return NOW


@dataclass
class Gateway:
    """Keeps what it is given, or raises what it is told to."""

    accepted: list[Envelope] = field(default_factory=list)
    refused: list[tuple[str, str, str, str, bytes, Mapping[str, str]]] = field(default_factory=list)
    trouble: Exception | None = None
    refuse_trouble: Exception | None = None
    safe: asyncio.Event | None = None

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        if self.safe:
            await self.safe.wait()
        if self.trouble:
            raise self.trouble
        self.accepted.extend(envelopes)

    async def refuse(
        self, connector: str, account: str, code: str, reason: str, body: bytes, facts: Mapping[str, str]
    ) -> None:
        if self.refuse_trouble:
            raise self.refuse_trouble
        self.refused.append((connector, account, code, reason, body, facts))


@dataclass
class Open:
    """A door that is open: where, and who stands behind it."""

    port: int
    gateway: Gateway
    mailroom: Mailroom


def mailbox(**more: Any) -> EmailSmtp:
    said = {"connector": "email_smtp", "account": "support", "addresses": ["support@example.com"]}
    return EmailSmtp(EmailSmtp.Settings.model_validate({**said, **more}))  # type: ignore[arg-type]


@asynccontextmanager
async def _opened(accounts: Sequence[EmailSmtp]) -> AsyncIterator[Open]:
    gateway = Gateway()
    (mailroom,) = EmailSmtp.doors(accounts)
    task = asyncio.create_task(mailroom.listen(gateway.accept, gateway.refuse, lambda: NOW))
    while not mailroom.bound and not task.done():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    if task.done():
        await task
    try:
        yield Open(int(mailroom.bound[0].rpartition(":")[2]), gateway, mailroom)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def opened() -> Callable[..., Any]:
    return _opened


@pytest.fixture
async def door() -> AsyncIterator[Callable[..., Any]]:
    """Opens a door on a free port: `await door(size_limit=...)`, or with `accounts=[...]`."""
    async with AsyncExitStack() as stack:

        async def open_door(accounts: Sequence[EmailSmtp] | None = None, **terms: Any) -> Open:
            entrance = {"listen": ["127.0.0.1:0"], **terms}
            return await stack.enter_async_context(_opened(accounts or [mailbox(door=entrance)]))

        yield open_door


class Line:
    """A client that says exactly what it is told to, octet for octet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> str:
        """One answer, all its lines."""
        lines = []
        async with asyncio.timeout(10):
            while line := await self.reader.readline():
                lines.append(line.decode())
                if line[3:4] != b"-":
                    break
        return "".join(lines)

    async def say(self, said: bytes | str) -> str:
        self.writer.write(said if isinstance(said, bytes) else said.encode() + b"\r\n")
        return await self.answer()

    async def until_data(self, sender: str = "li@example.net", *recipients: str, hello: str = "EHLO") -> None:
        assert (await self.say(f"{hello} client.example.net")).startswith("250")
        assert (await self.say(f"MAIL FROM:<{sender}>")).startswith("250")
        for recipient in recipients or ("support@example.com",):
            assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")
        assert (await self.say("DATA")).startswith("354")


@pytest.fixture
async def dial() -> AsyncIterator[Callable[[int], Any]]:
    writers: list[asyncio.StreamWriter] = []

    async def connect(port: int) -> Line:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        line = Line(reader, writer)
        line.greeting = await line.answer()  # type: ignore[attr-defined]
        return line

    yield connect
    for writer in writers:
        writer.close()


@dataclass
class RelayServer:
    """A relay that keeps what it gets, or answers as told: `answers["DATA"] = "451 later"`; DROP hangs up."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    connections: int = 0
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def _scripted(self, server: Any, step: str) -> str | None:
        answer = self.answers.get(step)
        if answer == "DROP":
            server.transport.abort()
        return answer

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        envelope.mail_from = address
        return await self._scripted(server, "MAIL") or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if answer := await self._scripted(server, "RCPT"):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if answer := await self._scripted(server, "DATA"):
            return answer
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


@pytest.fixture
async def relay(certificate: tuple[Path, Path]) -> AsyncIterator[RelayServer]:
    from aiosmtpd.smtp import AuthResult

    kept = RelayServer()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> Any:
        kept.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"open sesame", handled=False)

    def connected() -> SMTP:
        kept.connections += 1
        return SMTP(
            kept, hostname="relay.test", tls_context=context, authenticator=authenticate, enable_SMTPUTF8=True,
            loop=asyncio.get_running_loop(),
        )  # fmt: skip

    server = await asyncio.get_running_loop().create_server(connected, "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    yield kept
    server.close()


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpServer:
    """Answers every request with the next of `answers` (the last one stays): raw HTTP, or nothing and hangs up."""

    port: int = 0
    answers: list[bytes] = field(default_factory=lambda: [answer(200)])
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = head[0].split(" ")
                self.asked.append(Asked(method, path, headers, body))
                said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not said:
                    break
                writer.write(said)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
async def http() -> AsyncIterator[HttpServer]:
    kept = HttpServer()
    server = await asyncio.start_server(kept.converse, "127.0.0.1", 0)
    kept.port = server.sockets[0].getsockname()[1]
    yield kept
    server.close()


@pytest.fixture
def answered() -> Callable[..., bytes]:
    return answer


@pytest.fixture
def account() -> Callable[..., EmailSmtp]:
    return mailbox


@pytest.fixture
def reply() -> Reply:
    return Reply(
        id="0123456789abcdef0123456789abcdef",
        channel="email",
        connector="email_smtp",
        account="support",
        ticket="t1",
        number="20260302001",
        to=Address("email", "zhang@example.net", "张三"),
        subject="Re: 订单号5，物流显示已签收但未收到货，请尽快帮我查一下到底是怎么回事 [20260302001]",
        text="您好：\n\n您的工单 20260302001 已受理，我们将在4小时内回复。\n",
        language="zh",
        in_reply_to="abc@example.net",
        references=("first@example.net",),
    )
