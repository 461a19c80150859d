"""Replies as mail: how they read to clients and machines, and what a relay's answers mean."""

import asyncio
import email
import email.policy
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest

from connectors.mail_out import compose
from normalizer.canon import Address, Reply
from normalizer.errors import ConfigError, Refused, Unavailable

Opener = Callable[..., Any]


def sent(relay: Any) -> Any:
    (mail,) = relay.mails
    return email.message_from_bytes(mail[2], policy=email.policy.default)


@pytest.fixture
def sender(account: Opener, relay: Any, certificate: tuple[Path, Path]) -> Opener:
    def make(**more: Any) -> Any:
        way = {"host": "localhost", "port": relay.port, "ca_file": str(certificate[0]), "timeout": 5, **more}
        return account(sender_name="示例客服", relay=way)

    return make


async def test_a_reply_arrives_as_it_should_read(sender: Opener, relay: Any, reply: Reply, now: datetime) -> None:
    box = sender()
    result = await box.send(reply, now)
    await box.close()

    mail = sent(relay)
    assert relay.mails[0][:2] == ("<>", ["zhang@example.net"])
    assert str(make_header(decode_header(mail["Subject"]))) == reply.subject
    assert mail.get_content() == reply.text.replace("\n", "\r\n") or mail.get_content() == reply.text
    assert mail["From"].addresses[0].display_name == "示例客服"
    assert mail["From"].addresses[0].addr_spec == "support@example.com"
    assert mail["To"].addresses[0].display_name == "张三"
    assert mail["Date"].datetime == now
    assert mail["Message-ID"] == f"<{reply.id}@example.com>" == f"<{result.external_id}>"
    assert mail["In-Reply-To"] == "<abc@example.net>"
    assert mail["References"].split() == ["<first@example.net>", "<abc@example.net>"]
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["X-Ticketgate-Loop"] == "example.com"
    assert mail["Precedence"] is None
    assert relay.mails[0][2].isascii()


def test_every_attempt_is_the_same_mail(reply: Reply, now: datetime) -> None:
    once, again = (compose(reply, "support@example.com", "", now).as_bytes() for _ in range(2))

    assert once == again


def test_long_message_ids_are_left_whole(reply: Reply, now: datetime) -> None:
    long = f"<{'a' * 120}@{'b' * 60}.example>"
    mail = compose(
        replace(reply, in_reply_to=long, references=(long, "2@x", "<2@x>")), "s@example.com", "", now
    ).as_bytes()

    assert f"In-Reply-To: {long}\r\n".encode() in mail
    assert f"References: {long}\r\n <2@x>\r\n".encode() in mail
    assert b"=?utf-8?" not in mail.split(b"References")[1].split(b"X-Ticketgate")[0].lower()


def test_a_persons_own_words_are_not_marked_automatic(reply: Reply, now: datetime) -> None:
    assert compose(replace(reply, automatic=False), "s@example.com", "", now)["Auto-Submitted"] is None


@pytest.mark.parametrize("evil", ["x\r\nBcc: all@example.com", "x\nBcc: all@example.com", "x\rBcc: all@example.com"])
def test_nobody_slips_a_header_in(reply: Reply, now: datetime, evil: str) -> None:
    mail = compose(
        replace(reply, subject=evil, in_reply_to=evil, references=(evil,), to=Address("email", "a@b.example", evil)),
        "s@example.com", "", now,
    )  # fmt: skip

    read = email.message_from_bytes(mail.as_bytes())
    assert read["Bcc"] is None
    assert read["In-Reply-To"] is None


@pytest.mark.parametrize("address", ["", "nobody", "a@", "@b", "a b@c.example>", "a@b\r\nRCPT TO:<c@d>", "a@b@c"])
async def test_what_is_no_address_is_refused(
    sender: Opener, relay: Any, reply: Reply, now: datetime, address: str
) -> None:
    with pytest.raises(Refused):
        await sender().send(replace(reply, to=Address("email", address)), now)
    assert relay.mails == []


async def test_addresses_in_chinese(sender: Opener, relay: Any, reply: Reply, now: datetime) -> None:
    box = sender()
    await box.send(replace(reply, to=Address("email", "li@例子.cn")), now)
    await box.send(replace(reply, to=Address("email", "李@例子.cn")), now)

    assert [mail[1] for mail in relay.mails] == [["li@xn--fsqu00a.cn"], ["李@xn--fsqu00a.cn"]]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("451 4.3.0 later", Unavailable),
        ("450 4.2.1 <zhang@example.net> busy", Unavailable),
        ("421 4.3.2 bye", Unavailable),
        ("550 5.1.1 <zhang@example.net> unknown", Refused),
        ("552 5.2.2 full", Refused),
        ("DROP", Unavailable),
    ],
)
async def test_what_a_relays_answer_means(
    sender: Opener, relay: Any, reply: Reply, now: datetime, step: str, answer: str, error: type[Exception]
) -> None:
    box = sender()
    relay.answers[step] = answer
    with pytest.raises(error) as caught:
        await box.send(reply, now)
    assert "zhang@example.net" not in str(caught.value)

    relay.answers.clear()
    await box.send(reply, now)  # the next one is none the worse
    await box.close()
    assert len(relay.mails) == 1


async def test_no_relay_is_unavailable(account: Opener, reply: Reply, now: datetime, unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable):
        await account(relay={"host": "127.0.0.1", "port": unused_tcp_port, "tls": "none"}).send(reply, now)


async def test_an_account_without_relay_refuses(account: Opener, reply: Reply, now: datetime) -> None:
    with pytest.raises(Refused, match="no relay"):
        await account().send(reply, now)


async def test_logging_in(
    sender: Opener, relay: Any, reply: Reply, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    box = sender(username="support", password="open sesame")
    await box.send(reply, now)
    assert relay.logins == [(b"support", b"open sesame")]

    wrong = sender(username="support", password="hush hush")
    with pytest.raises(Unavailable, match="login") as caught:
        await wrong.send(reply, now)
    for secret in ("hush hush", "open sesame"):
        assert secret not in str(caught.value) + repr(caught.value) + caplog.text + repr(wrong.settings)


async def test_a_relay_nobody_vouches_for_gets_nothing(
    account: Opener, relay: Any, reply: Reply, now: datetime
) -> None:
    with pytest.raises(Unavailable):
        await account(relay={"host": "localhost", "port": relay.port}).send(reply, now)
    assert relay.mails == []


async def test_one_connection_carries_many_replies(sender: Opener, relay: Any, reply: Reply, now: datetime) -> None:
    box = sender()
    await asyncio.gather(*(box.send(replace(reply, id=f"{n:032x}"), now) for n in range(10)))
    await box.close()

    assert (len(relay.mails), relay.connections) == (10, 1)


def test_a_missing_certificate_is_a_configuration_error(account: Opener) -> None:
    with pytest.raises(ConfigError, match="/nowhere"):
        account(relay={"host": "localhost", "ca_file": "/nowhere"})


def test_an_account_that_sends_needs_an_address(account: Opener) -> None:
    with pytest.raises(ConfigError, match="no address to send from"):
        account(addresses=["*@example.com"], relay={"host": "localhost"})
