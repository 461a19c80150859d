"""The demo: a fresh gateway, a mail server where customers read, a helpdesk that takes tickets; all real, on this machine.

prepare   settings and secrets in a temporary folder
send      each sample over real SMTP or HTTP, as its channel would
collect   what became of each, from the gateway's own store
show      a table; with --once, compared with what must have become of it
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import socket
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import aiosmtplib
import httpx
import typer
import uvicorn
from aiosmtpd.smtp import SMTP
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from connectors.signatures import sign, webhook_key
from gateway import serve, settings, wire
from gateway.alone import ROLES
from gateway.clock import SystemClock
from gateway.console.rows import Words
from gateway.demo.samples import SAMPLES, Sample
from gateway.demo.table import Line, disagreements, show
from gateway.house import House
from normalizer.canon import Contact, Message, Ticket
from normalizer.errors import ConfigError, TicketgateError, Where

PATIENCE = 30.0
SETTINGS = """\
company: {company}
time_zone: Asia/Shanghai
data: ./data
kernel: {kernel}
http: {{listen: "127.0.0.1:{http}"}}
signin: {{local: admin}}  # nobody's data is in it, and nobody but this machine sees it
connectors:
  - connector: email_smtp
    account: support
    addresses: [support@example.com]
    door: {{listen: ["127.0.0.1:{smtp}"]}}
    trusted_relays: [127.0.0.0/8]
    relay: {{host: 127.0.0.1, port: {relay}, tls: none}}
  - {{connector: webform, account: contact, reply_by: support}}
  - {{connector: webchat, account: web, secrets: [{{env: DEMO_CHAT_SECRET}}]}}
  - connector: webhook
    account: shop
    auth: {{standard_webhooks: [{{env: DEMO_SHOP_SECRET}}]}}
    reply_by: support
    channel: chat
    map: {{each: messages, external_id: id, text: text, sender: {{email: from, name: name}}, thread_key: thread}}
  - {{connector: api, account: api, reply_by: support}}
helpdesks:
  - {{helpdesk: webhook, name: desk, url: "http://127.0.0.1:{desk}/tickets", secret: {{env: DEMO_DESK_SECRET}}, allow_private: true}}
"""


@dataclass(slots=True)
class Stage:
    """Where the demo plays: ports, secrets, and what the outside got to see."""

    http: int
    smtp: int
    relay: int
    desk: int
    key: str = ""
    mails: int = 0
    handed: int = 0

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.http}"


async def run(*, once: bool, port: int, language: str, kernel: str = "native") -> None:
    """Play it. Raises TicketgateError (exit 1) if --once finds that something became of a sample that must not."""
    folder = Path(tempfile.mkdtemp(prefix="ticketgate-demo-"))
    try:
        await _play(folder, kernel, once=once, port=free() if once else port, language=language)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _play(folder: Path, kernel: str, *, once: bool, port: int, language: str) -> None:
    for name in [name for name in os.environ if name.startswith("TICKETGATE_")]:
        del os.environ[name]  # what is set for the real gateway must not send the demo into its data folder
    stage = Stage(port, free(), free(), free())
    os.environ |= {f"DEMO_{name}_SECRET": fresh_secret() for name in ("SHOP", "DESK", "CHAT")}
    company = "示例公司" if language == "zh" else "Example Ltd."
    file = folder / "ticketgate.yaml"
    ports = {name: getattr(stage, name) for name in ("http", "smtp", "relay", "desk")}
    file.write_text(SETTINGS.format(company=company, kernel=kernel, **ports))
    house = await wire.house(settings.read(file))
    stop, ready = asyncio.Event(), asyncio.Event()
    try:
        async with outside(stage):
            serving = asyncio.create_task(serve.run(house, frozenset(ROLES), stop, ready))
            await _up(serving, ready)
            await _open(stage.smtp)
            stage.key = (await house.store.add_key("demo", ["messages:write"], house.clock.now()))[1]
            lines = await _traffic(house, stage, language)
            show(lines, language)
            _summary(stage, language)
            wrong = disagreements(lines)
            if not once:
                await _stay(stage, serving, stop, language)
            stop.set()
            await serving
    finally:
        await house.store.close()
    if wrong:
        raise TicketgateError("not as it must be:\n  " + "\n  ".join(wrong))


async def _up(serving: "asyncio.Task[None]", ready: asyncio.Event) -> None:
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        serving.result()


async def _open(port: int) -> None:
    """Wait until somebody listens there."""
    for _ in range(500):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    raise ConfigError(Where("demo"), f"nobody listens on port {port}")


async def _traffic(house: House, stage: Stage, language: str) -> list[Line]:
    """Send everything, wait until all of it is settled, and look what became of each."""
    answers = []
    async with httpx.AsyncClient(timeout=10) as client:
        for sample in SAMPLES:
            answers.append(await send(stage, client, sample))
            if sample.becomes != "refused":
                await _settled(house, outbox=False)  # in order, so that the table is the same each time
    await _settled(house, outbox=True)
    found = await house.store.tickets(limit=200)
    said = [(ticket, contact, await house.store.messages(ticket.id)) for ticket, contact in found]
    return [await line(house, sample, answer, said, language) for sample, answer in zip(SAMPLES, answers, strict=True)]


async def send(stage: Stage, client: httpx.AsyncClient, sample: Sample) -> str:
    """The door's answer to one sample: its status and first word."""
    match sample.way:
        case "mail":
            return await _mail(stage, sample)
        case "form":
            browser = {"accept": "text/html", "origin": stage.base}
            fields = httpx.Response(200, content=sample.content).json()
            return str((await client.post(f"{stage.base}/form/contact", data=fields, headers=browser)).status_code)
        case "app":
            url, headers = "/form/contact", {"content-type": "application/json"}
        case "api":
            url, headers = (
                "/api/v1/messages",
                {"authorization": f"Bearer {stage.key}", "content-type": "application/json"},
            )
        case "chat":
            url, headers = "/chat/web/messages", {
                "authorization": f"Bearer {_token(sample)}", "content-type": "application/json",
            }  # fmt: skip
        case "webhook":
            secret = os.environ["DEMO_SHOP_SECRET"] if sample.signed else fresh_secret()
            key = webhook_key(SecretStr(secret), Where("demo"))
            url, headers = (
                "/in/webhook/shop",
                sign(key, sample.headers["webhook-id"], SystemClock().now(), sample.content),
            )
            headers["content-type"] = "application/json"
    answer = await client.post(stage.base + url, content=sample.content, headers=headers)
    return str(answer.status_code)


def _token(sample: Sample) -> str:
    """As the company's website would sign who is signed in there."""
    claims = {"sub": "demo", "phone_number": sample.sender, "exp": int(SystemClock().now().timestamp()) + 600}
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(os.environ["DEMO_CHAT_SECRET"]))


async def _mail(stage: Stage, sample: Sample) -> str:
    client = aiosmtplib.SMTP(hostname="127.0.0.1", port=stage.smtp, start_tls=False)
    async with client:
        try:
            _, said = await client.sendmail(sample.sender, [sample.to], sample.content)
        except aiosmtplib.SMTPRecipientsRefused as e:
            return str(e.recipients[0].code)
        except aiosmtplib.SMTPResponseException as e:
            return str(e.code)
    return "250" if said else "?"


async def _settled(house: House, *, outbox: bool) -> None:
    """Until nothing waits in the journal, and with `outbox` nothing is owed either."""
    quiet = 0
    async with asyncio.timeout(PATIENCE):
        while quiet < (3 if outbox else 1):
            counts = await house.store.counts()
            quiet = 0 if counts.waiting or (outbox and counts.outbox_waiting) else quiet + 1
            await asyncio.sleep(0.02)


async def line(
    house: House, sample: Sample, answer: str, said: Sequence[tuple[Ticket, Contact, Sequence[Message]]], language: str
) -> Line:
    """What became of one sample."""
    words = Words(house.mind, language, house.clock.now())
    start = Line(sample, answer, language)
    if sample.becomes == "refused":
        rows = await house.store.quarantine(limit=50)
        kept = next((row for row in rows if row.code == sample_code(sample)), None)
        return replace(start, became="refused", why=kept.code if kept else "not kept")
    found = next((one for one in said if any(m.sender.address == sample.sender for m in one[2])), None)
    if found is None:
        return replace(start, became="kept", why="auto_reply")
    ticket, contact, messages = found
    decisions = await house.store.decisions(ticket.id)
    replies = [
        one for one in await house.store.outgoing(state="sent", ticket=ticket.id) if one.outgoing.kind == "reply"
    ]
    decided = decisions[-1] if sample.becomes == "added" else decisions[0]
    row = words.row(replace(decided.ticket, number=ticket.number), contact)
    reply = replies[0].outgoing.content if replies else None
    return replace(
        start,
        became="added" if sample.becomes == "added" else "same" if sample.becomes == "same" else "ticket",
        messages=len(messages),
        row=row,
        ticket=replace(decided.ticket, number=ticket.number),
        reply=reply,
        attachments=sum(len(message.attachments) for message in messages),
        handed=bool(ticket.external),
        why=", ".join(fired.rule for fired in decided.fired),
        changed=", ".join(f"{w.field} {w.before}→{w.value}" for w in decided.written),
    )


def sample_code(sample: Sample) -> str:
    return {"550": "unknown_recipient", "401": "unverified", "403": "spam_trap"}[sample.answer]


@contextlib.asynccontextmanager
async def outside(stage: Stage) -> AsyncIterator[None]:
    """The customers' mail server and the helpdesk, on ports of their own."""

    class Mailboxes:
        async def handle_DATA(self, *_: object) -> str:  # noqa: N802
            stage.mails += 1
            return "250 thanks"

    async def take(asked: Request) -> JSONResponse:
        body = await asked.json()
        stage.handed += 1
        return JSONResponse({"id": f"DESK-{body['data']['ticket']['number']}"}, 201)

    loop = asyncio.get_running_loop()
    mailboxes = await loop.create_server(lambda: SMTP(Mailboxes(), loop=loop), "127.0.0.1", stage.relay)
    desk = uvicorn.Server(
        uvicorn.Config(Starlette(routes=[Route("/tickets", take, methods=["POST"])]), port=stage.desk, log_config=None)
    )
    desk.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(desk.serve())
    try:
        await _open(stage.desk)
        yield
    finally:
        desk.should_exit = True
        await running
        mailboxes.close()


async def _stay(stage: Stage, serving: "asyncio.Task[None]", stop: asyncio.Event, language: str) -> None:
    """Leave the console open until Ctrl-C."""
    import signal

    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    open_at = f"{stage.base}/console/?lang={language}"
    form, chat = f"{stage.base}/form/contact", f"{stage.base}/chat/web/"
    typer.echo(f"控制台：{open_at}   表单：{form}   在线客服：{chat}   按 Ctrl-C 结束" if language == "zh" else
               f"Console: {open_at}   Form: {form}   Chat: {chat}   Ctrl-C ends")  # fmt: skip
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)


def _summary(stage: Stage, language: str) -> None:
    typer.echo(
        f"客户收到 {stage.mails} 封确认邮件；客服系统收到 {stage.handed} 次签名的工单推送。" if language == "zh" else
        f"Customers got {stage.mails} acknowledgements by mail; the helpdesk took {stage.handed} signed steps."
    )  # fmt: skip


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fresh_secret() -> str:
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()
