"""Handing over to any system that can be called: what it is sent, and what its answers mean."""

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson
import pytest
import standardwebhooks

from connectors.base import Known
from connectors.calling import public, retry_after
from connectors.helpdesks.webhook import WebhookHelpdesk
from connectors.signatures import verify, webhook_key
from normalizer.canon import Address, Contact, HandoverStep, Identity, Message, Sent, Source, Ticket
from normalizer.errors import ConfigError, Refused, Unavailable, Where

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Maker = Callable[..., WebhookHelpdesk]


@pytest.fixture
async def crm(http: Any) -> AsyncIterator[Maker]:
    made: list[WebhookHelpdesk] = []

    def make(**more: Any) -> WebhookHelpdesk:
        said = {
            "helpdesk": "webhook", "name": "crm", "url": f"http://127.0.0.1:{http.port}/hook?token=t0ken-in-url",
            "secret": SECRET, "allow_private": True, "timeout": 5, **more,
        }  # fmt: skip
        made.append(WebhookHelpdesk(WebhookHelpdesk.Settings.model_validate(said)))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for helpdesk in made:
        await helpdesk.close()


@pytest.fixture
def step(now: datetime) -> HandoverStep:
    contact = Contact("c1", (Identity("email", "li@example.net"),), "李雷")
    source = Source("email", "email_smtp", "support", "e1")
    ticket = Ticket("t1", source, "c1", "物流", now, now, "订单号5，未收到货", number="20260302001")
    message = Message(
        "email", "email_smtp", "support", "<1@x>", Address("email", "li@example.net", "李雷"), now, text="订单号5"
    )
    return HandoverStep("5" * 32, "crm", "create", ticket, contact, message)


async def test_a_step_is_one_signed_post(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, answered: Any
) -> None:
    http.answers = [answered(201, b'{"id": 4711, "url": "https://crm.example/4711"}')]

    sent = await crm(headers={"X-Team": "logistics"}).file(step, Known(), now)

    assert sent == Sent("4711", "https://crm.example/4711")
    (asked,) = http.asked
    verify([webhook_key(standard(), Where("x"))], asked.headers, asked.body, now)
    assert asked.headers["idempotency-key"] == asked.headers["webhook-id"] == step.id
    assert asked.headers["x-team"] == "logistics"
    said = orjson.loads(asked.body)
    assert (said["$schema"], said["type"], said["id"]) == ("ticketgate/ticket/v1", "ticket.created", step.id)
    assert said["data"]["ticket"]["number"] == "20260302001"
    assert said["data"]["contact"]["name"] == "李雷"
    assert said["data"]["message"]["from"]["address"] == "li@example.net"


def standard() -> Any:
    from pydantic import SecretStr

    return SecretStr(SECRET)


async def test_receivers_can_check_it_with_the_standard_library(crm: Maker, http: Any, step: HandoverStep) -> None:
    moment = datetime.now().astimezone()
    await crm().file(step, Known(), moment)

    standardwebhooks.Webhook(SECRET).verify(http.asked[0].body, http.asked[0].headers)


@pytest.mark.parametrize(
    ("kind", "said"), [("create", "ticket.created"), ("append", "message.added"), ("update", "ticket.updated")]
)
async def test_later_steps_say_what_the_ticket_is_called(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, kind: Any, said: str
) -> None:
    from dataclasses import replace

    sent = await crm().file(replace(step, kind=kind), Known("4711", "https://crm.example/4711"), now)

    body = orjson.loads(http.asked[0].body)
    assert (body["type"], body["data"]["known_as"]["id"]) == (said, "4711")
    assert sent == Sent("4711", "https://crm.example/4711")


async def test_every_attempt_is_the_same_but_for_its_moment(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, answered: Any
) -> None:
    http.answers = [answered(503), answered(200)]
    helpdesk = crm()
    with pytest.raises(Unavailable):
        await helpdesk.file(step, Known(), now)
    await helpdesk.file(step, Known(), now + timedelta(hours=1))

    first, second = http.asked
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 3600
    assert http.connections == 1


@pytest.mark.parametrize(
    ("status", "headers", "error", "wait"),
    [
        (429, {"retry_after": "120"}, Unavailable, 120),
        (503, {"retry_after": "7"}, Unavailable, 7),
        (500, {}, Unavailable, None),
        (502, {}, Unavailable, None),
        (408, {}, Unavailable, None),
        (400, {}, Refused, None),
        (401, {}, Refused, None),
        (404, {}, Refused, None),
        (409, {}, Refused, None),
        (410, {}, Refused, None),
        (422, {}, Refused, None),
        (301, {"location": "http://elsewhere/"}, Refused, None),
        (307, {"location": "http://elsewhere/"}, Refused, None),
    ],
)
async def test_what_an_answer_means(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, answered: Any,
    status: int, headers: dict[str, str], error: type[Exception], wait: int | None,
) -> None:  # fmt: skip
    http.answers = [answered(status, b"", **headers)]
    with pytest.raises(error) as caught:
        await crm().file(step, Known(), now)
    assert str(status) in str(caught.value)
    assert getattr(caught.value, "wait", None) == (timedelta(seconds=wait) if wait else None)
    assert len(http.asked) == 1


async def test_a_conflict_that_names_our_step_is_done(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, answered: Any
) -> None:
    http.answers = [answered(409, orjson.dumps({"id": "4711", "duplicate_of": step.id}))]

    assert await crm().file(step, Known(), now) == Sent("4711")


@pytest.mark.parametrize(
    "body", [b"", b"ok", b"[]", b"null", b'{"id": null}', b'{"id": true}', b"[" * 100_000, b"\xff"]
)
async def test_any_2xx_will_do(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, answered: Any, body: bytes
) -> None:
    http.answers = [answered(200, body)]
    assert await crm().file(step, Known("k1"), now) == Sent("k1")


async def test_a_dropped_connection_silence_and_no_server_are_unavailable(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, unused_tcp_port: int
) -> None:
    http.answers = [b""]
    with pytest.raises(Unavailable):
        await crm().file(step, Known(), now)
    http.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n"]
    with pytest.raises(Unavailable):
        await crm(timeout=0.2).file(step, Known(), now)
    http.answers = [b"nonsense\r\n\r\n"]
    with pytest.raises(Unavailable):
        await crm().file(step, Known(), now)
    with pytest.raises(Unavailable):
        await crm(url=f"http://127.0.0.1:{unused_tcp_port}/").file(step, Known(), now)
    with pytest.raises(Unavailable):
        await crm(url="http://nobody.invalid/", allow_private=False).file(step, Known(), now)


async def test_an_endless_answer_is_not_read_to_its_end(
    crm: Maker, http: Any, step: HandoverStep, now: datetime
) -> None:
    http.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 200_000]
    assert await crm().file(step, Known(), now) == Sent()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]"]
)
async def test_the_inside_is_not_called_unless_meant(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, host: str
) -> None:
    helpdesk = crm(url=f"http://{host}:{http.port}/", allow_private=False)
    with pytest.raises(Refused, match="inside"):
        await helpdesk.file(step, Known(), now)
    assert http.connections == 0


async def test_a_name_that_changes_its_address_gains_nothing(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First an address outside, then, when asked again, one inside: it is asked only once."""
    answers = iter(["192.0.2.1", "127.0.0.1", "127.0.0.1"])

    async def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr("connectors.calling.public", lambda address: str(address) == "192.0.2.1")
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebinding)
    with pytest.raises(Unavailable):
        await crm(url=f"http://rebind.example:{http.port}/", allow_private=False, timeout=0.3).file(step, Known(), now)
    assert http.connections == 0


@pytest.mark.parametrize(
    "inside",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "ff02::1",
    ],
)
def test_addresses_of_the_inside_are_known(inside: str) -> None:
    assert not public(ip_address(inside))


@pytest.mark.parametrize("outside", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_outside_are_known(outside: str) -> None:
    assert public(ip_address(outside))


async def test_tls_checks_the_name_though_the_address_is_called(
    certificate: tuple[Path, Path], step: HandoverStep, now: datetime, monkeypatch: pytest.MonkeyPatch, http: Any
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    server = await asyncio.start_server(http.converse, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr("connectors.calling.public", lambda address: True)
    for host, fine in (("localhost", True), ("127.0.0.1", False)):
        said = {"helpdesk": "webhook", "name": "crm", "url": f"https://{host}:{port}/", "secret": SECRET}
        settings = WebhookHelpdesk.Settings.model_validate({**said, "ca_file": str(certificate[0])})
        helpdesk = WebhookHelpdesk(settings)  # type: ignore[arg-type]
        if fine:
            await helpdesk.file(step, Known(), now)
            assert http.asked[0].headers["host"] == f"localhost:{port}"
        else:
            with pytest.raises(Unavailable):
                await helpdesk.file(step, Known(), now)
        await helpdesk.close()
    server.close()


async def test_no_secret_and_no_url_in_any_log_or_error(
    crm: Maker, http: Any, step: HandoverStep, now: datetime, answered: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    helpdesk = crm(headers={"Authorization": "Bearer s3cret-bearer"})
    seen = repr(helpdesk.settings.secret) + repr(helpdesk.settings.headers)
    for said in (answered(200), answered(404, b"s3cret-bearer"), answered(500), b""):
        http.answers = [said]
        try:
            await helpdesk.file(step, Known(), now)
        except (Refused, Unavailable) as error:
            seen += (
                str(error)
                + repr(error)
                + repr(error.__cause__)
                + repr(error.__context__ if not error.__suppress_context__ else "")
            )
    for secret in (SECRET, "s3cret-bearer", "t0ken-in-url"):
        assert secret not in seen + caplog.text


def test_a_broken_secret_is_a_configuration_error(crm: Maker) -> None:
    with pytest.raises(ConfigError, match="webhook/crm: secret"):
        crm(secret="whsec_nonsense!")


def test_how_long_to_wait(now: datetime) -> None:
    assert retry_after("120", now) == timedelta(seconds=120)
    assert retry_after(format_datetime(now + timedelta(minutes=3), usegmt=False), now) == timedelta(minutes=3)
    assert retry_after("Mon, 02 Mar 2026 09:31:00 GMT", now) == timedelta(minutes=1)
    assert retry_after("Mon, 02 Mar 2020 09:31:00 GMT", now) == timedelta(0)
    assert retry_after("999999999", now) == timedelta(days=1)
    for odd in ("", "soon", "-5", "1e9", "٣", "9" * 400):
        assert retry_after(odd, now) in (None, timedelta(days=1), timedelta(seconds=3))
