"""A real gateway as a process of its own, and the people it talks with: a mail sink, a helpdesk, two senders."""

import asyncio
import contextlib
import copy
import itertools
import json
import os
import secrets
import signal
import smtplib
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import warm
from aiosmtpd.controller import Controller
from standardwebhooks.webhooks import Webhook

from gateway import settings, wire
from normalizer.canon import public

START_WITHIN = 30.0
STORE_PASSWORD = "not-for-everybody"
CONFIG = """\
company: 测试公司
time_zone: Asia/Shanghai
data: ./data
outbound: {outbound}
attempts: {attempts}
workers: {workers}
http: {{listen: "127.0.0.1:{http}"}}
signin: {{local: {local}}}
acknowledgements: {acknowledgements}
connectors:
  - connector: email_smtp
    account: support
    addresses: [{address}]
    door: {{listen: ["127.0.0.1:{smtp}"]}}
    trusted_relays: [127.0.0.0/8]
    relay: {{host: 127.0.0.1, port: {mail_sink}, tls: none}}
  - connector: webform
    account: contact
    reply_by: support
  - connector: webhook
    account: shop
    auth: {{standard_webhooks: [{{env: TEST_SHOP_SECRET}}]}}
    reply_by: support
    channel: chat
    map:
      each: messages
      external_id: id
      text: text
      sender: {{email: from, name: name}}
      thread_key: thread
{accounts}
helpdesks:
  - {{helpdesk: webhook, name: desk, url: "http://127.0.0.1:{desk}/tickets", secret: {{env: TEST_DESK_SECRET}}, allow_private: true}}
"""


def free_port() -> int:
    """One that nobody takes before it is bound.

    Below those the kernel gives to whoever connects, and in each process of a test run others.
    """
    first = 10_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = first + next(_ports) % 2_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


_ports = itertools.count(secrets.randbelow(2_000))


def secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()


@dataclass
class Gateway:
    """`ticketgate serve` on free ports with a data folder of its own. `mail_sink` and `desk` are ports to send to."""

    folder: Path
    mail_sink: int = 1
    desk: int = 1
    outbound: str = "on"
    address: str = "support@example.com"
    acknowledgements: str = "{domain_an_hour: 0, whole_an_hour: 0, storm_a_minute: 0}"
    attempts: int = 3
    workers: int = 0  # none: a fault point then ends the whole gateway
    accounts: tuple[Mapping[str, Any], ...] = ()  # more of them, as they stand in ticketgate.yaml
    local: str = "admin"  # role of who asks from this machine as long as there is no user; null: none
    smtp: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)
    shop_secret: str = field(default_factory=secret)
    desk_secret: str = field(default_factory=secret)
    process: subprocess.Popen[bytes] | warm.Process | None = None

    def __post_init__(self) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(
            CONFIG.format(
                outbound=self.outbound,
                address=self.address,
                acknowledgements=self.acknowledgements,
                attempts=self.attempts,
                workers=self.workers,
                local=self.local,
                http=self.http,
                smtp=self.smtp,
                mail_sink=self.mail_sink,
                desk=self.desk,
                accounts="\n".join(f"  - {json.dumps(account, ensure_ascii=False)}" for account in self.accounts),
            )
        )

    @property
    def config(self) -> Path:
        return self.folder / "ticketgate.yaml"

    @property
    def log(self) -> Path:
        return self.folder / "serve.log"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "TEST_SHOP_SECRET": self.shop_secret,
            "TEST_DESK_SECRET": self.desk_secret,
            "PYTHONUNBUFFERED": "1",
            "TEST_STORE_PASSWORD": STORE_PASSWORD,
        }

    def start(
        self, *, command: tuple[str, ...] = (), wait: bool = True, roles: str = "", environment: Mapping[str, str] = {}
    ) -> "Gateway":
        """Start it; `command` stands in place of its entry point (a broken variant, or one that is traced)."""
        arguments = ["serve", "--config", str(self.config), *(("--role", roles) if roles else ())]
        whole = {**os.environ, **self.environment, **environment}
        with self.log.open("ab") as log, open(os.devnull, "rb") as nothing:
            if command:
                self.process = subprocess.Popen(
                    [*command, *arguments], env=whole, stdin=nothing, stdout=log, stderr=log, start_new_session=True
                )
            else:
                self.process = warm.start(
                    arguments, environment=whole, stdin=nothing, stdout=log, stderr=log, session=True
                )
        if wait:
            self.wait_ready()
        return self

    def beside(self, roles: str, environment: Mapping[str, str] = {}) -> "Gateway":
        """One more process of the same installation, with an HTTP port of its own."""
        other = copy.copy(self)
        other.http, other.process = free_port(), None
        return other.start(
            roles=roles, environment={"TICKETGATE_HTTP__LISTEN": f"127.0.0.1:{other.http}", **environment}
        )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_WITHIN
        while time.monotonic() < deadline:
            if self.process and self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError(f"the gateway did not start:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """kill -9."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and its exit code."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGTERM)  # strace would not pass it on
        return self.process.wait(20)

    def __enter__(self) -> "Gateway":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def metric(self, name: str) -> float:
        lines = [line for line in self.get("/metrics").splitlines() if line.startswith(name + " ")]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    def settle(self, seconds: float = 60) -> None:
        """Wait until nothing waits, neither in the journal nor in the outbox."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.metric("ticketgate_waiting") and not self.metric("ticketgate_outbox_waiting"):
                time.sleep(0.1)  # outcomes of sending come back by the journal
                if not self.metric("ticketgate_waiting"):
                    return
            time.sleep(0.1)
        raise AssertionError(f"still waiting after {seconds} s:\n{self.log.read_text()[-4000:]}")

    def cli(self, *arguments: str, stdin: bytes = b"") -> str:
        """Output of `ticketgate ARGUMENTS --config ...`, which must succeed."""
        done = self._run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"{arguments}: {done.stderr.decode()}"
        return done.stdout.decode()

    def refused(self, *arguments: str, stdin: bytes = b"", fault: str = "") -> str:
        """What it says on standard error, and it must fail with no traceback; `fault` kills it there."""
        done = self._run(*arguments, stdin=stdin, fault=fault)
        assert done.returncode != 0
        assert b"Traceback" not in done.stderr
        return done.stderr.decode()

    def _run(self, *arguments: str, stdin: bytes = b"", fault: str = "") -> subprocess.CompletedProcess[bytes]:
        whole = {**os.environ, **self.environment, "TICKETGATE_FAULT": fault}
        return warm.run([*arguments, "--config", str(self.config)], environment=whole, stdin=stdin)

    def json(self, *arguments: str, stdin: bytes = b"") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.cli(*arguments, stdin=stdin).splitlines() if line.strip()]

    def tickets(self) -> list[dict[str, Any]]:
        """All tickets with their messages, read from the data folder while the gateway runs."""
        return asyncio.run(self._tickets())

    async def _tickets(self) -> list[dict[str, Any]]:
        os.environ.update(self.environment)
        store = await wire.open_store(settings.read(self.config))
        try:
            found = await store.tickets(limit=10_000)
            return [
                {**public(ticket), "messages": [public(message) for message in await store.messages(ticket.id)]}
                for ticket, _ in found
            ]
        finally:
            await store.close()

    def mail(self, raw: bytes, *, sender: str = "li@example.cn", to: str = "support@example.com") -> None:
        """One mail over real SMTP. Raises smtplib.SMTPException or OSError unless it was accepted."""
        with smtplib.SMTP("127.0.0.1", self.smtp, timeout=10) as client:
            client.sendmail(sender, [to], raw)

    def webhook(self, body: bytes, *, identity: str, signed: str | None = None) -> int:
        """POST to /in/webhook/shop as Standard Webhooks demand; the status."""
        headers = sign(signed or self.shop_secret, identity, body)
        return post(f"http://127.0.0.1:{self.http}/in/webhook/shop", body, headers)


def sign(key: str, identity: str, body: bytes) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "webhook-id": identity, "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key).sign(identity, now, body.decode()), "content-type": "application/json",
    }  # fmt: skip


def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
    asked = urllib.request.Request(url, body, dict(headers), method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        return e.code


class MailSink:
    """Where acknowledgements arrive: a real SMTP server that keeps every mail."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []
        self.refusing = ""
        self.refusing_recipients = ""
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.refusing_recipients:
            return self.refusing_recipients
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.refusing:
            return self.refusing
        self.mails.append(envelope.content)
        return "250 ok"

    def __enter__(self) -> "MailSink":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


class Desk:
    """A helpdesk that takes signed webhooks, keeps what it was sent, and can be told to fail."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []  # given first, one a request
        self.attempts: Counter[str] = Counter()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                desk.attempts[self.headers["webhook-id"]] += 1
                status, headers = desk.answers.pop(0) if desk.answers else (201, {})
                if status < 300:
                    desk.received.append(json.loads(body))
                    desk.headers.append(
                        {name.lower(): value for name, value in self.headers.items()} | {"body": body.decode()}
                    )
                answer = json.dumps({"id": f"D-{len(desk.received)}"}).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port

    def __enter__(self) -> "Desk":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
