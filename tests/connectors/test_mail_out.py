"""Replies as mail: how they read to clients and machines, and what a relay's answers mean."""

import asyncio
import base64
import email
import email.policy
import re
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import dkim
import pytest
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from connectors.mail_html import as_html
from connectors.mail_out import BUSY, GREYLISTED, compose, posted
from connectors.mail_signing import Dkim, Signer
from normalizer.canon import Address, Reply
from normalizer.errors import ConfigError, Refused, Unavailable, Where

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
    plain, html = (mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))
    assert plain == reply.text
    assert "<p>您的工单 20260302001 已受理，我们将在4小时内回复。</p>" in html
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
    decided = replace(reply, made_at=now)
    moments = (now, now + timedelta(hours=7))
    once, again = (compose(decided, "support@example.com", "示例客服", moment).as_bytes() for moment in moments)

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
    for at_once, each, opened in ((1, 100, 1), (3, 100, 3), (1, 4, 3)):
        relay.mails.clear()
        relay.connections = 0
        box = sender(connections=at_once, mails_per_connection=each)
        await asyncio.gather(*(box.send(replace(reply, id=f"{n:032x}"), now) for n in range(10)))
        await box.close()

        assert (len(relay.mails), relay.connections) == (10, opened)


def test_a_missing_certificate_is_a_configuration_error(account: Opener) -> None:
    with pytest.raises(ConfigError, match="/nowhere"):
        account(relay={"host": "localhost", "ca_file": "/nowhere"})


def test_an_account_that_sends_needs_an_address(account: Opener) -> None:
    with pytest.raises(ConfigError, match="no address to send from"):
        account(addresses=["*@example.com"], relay={"host": "localhost"})


def test_answers_come_back_with_the_tickets_key(reply: Reply, now: datetime) -> None:
    mail = compose(reply, "support@example.com", "示例客服", now, "support+20260302001-ab@example.com")
    assert mail["Reply-To"].addresses[0].addr_spec == "support+20260302001-ab@example.com"
    assert mail["From"].addresses[0].addr_spec == "support@example.com"
    assert compose(reply, "s@example.com", "", now, "s@example.com")["Reply-To"] is None


@pytest.mark.parametrize(
    ("said", "status", "wait", "bounced"),
    [
        ("550 5.1.1 no such user", "5.1.1", None, True),
        ("550 no such user", "", None, True),
        ("552 5.2.2 mailbox full", "5.2.2", None, True),
        ("550 5.7.1 we do not like you", "5.7.1", None, False),
        ("550 4.1.1 contradicts itself", "", None, True),
        ("450 4.7.1 Greylisted, see you in 300 seconds", "4.7.1", GREYLISTED, False),
        ("451 4.7.1 Please try again later", "4.7.1", GREYLISTED, False),
        ("451 graylisted", "", GREYLISTED, False),
        ("421 4.3.2 too busy", "4.3.2", BUSY, False),
        ("450 4.2.1 busy", "4.2.1", None, False),
    ],
)
async def test_what_is_kept_of_a_refusal(
    sender: Opener, relay: Any, reply: Reply, now: datetime, said: str, status: str, wait: Any, bounced: bool
) -> None:
    relay.answers["RCPT"] = said
    with pytest.raises((Unavailable, Refused)) as caught:
        await sender().send(reply, now)
    error = caught.value
    assert (error.status, getattr(error, "wait", None), getattr(error, "bounced", False)) == (status, wait, bounced)


async def test_a_person_hears_of_bounces_and_a_machine_does_not(
    account: Opener, relay: Any, certificate: tuple[Path, Path], reply: Reply, now: datetime
) -> None:
    way = {"host": "localhost", "port": relay.port, "ca_file": str(certificate[0])}
    keyed = replace(reply, key="20260302001-" + "0" * 20)
    boxes = [
        account(relay=way),
        account(relay=way, bounces="b@example.com"),
        account(relay=way, bounces="b+{key}@example.com"),
    ]
    for box in boxes:
        for one in (keyed, replace(keyed, automatic=False)):
            await box.send(one, now)
        await box.close()
    paths = [mail[0] for mail in relay.mails]
    assert paths[:2] == ["<>", "support@example.com"]
    assert paths[2:4] == ["b@example.com"] * 2
    assert paths[4:] == [f"b+{keyed.key}@example.com"] * 2
    assert boxes[2].owns(f"b+{keyed.key}@example.com")
    assert boxes[2].owns("b@example.com")


def pem(key: Any) -> str:
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


KEYS = {"rsa": pem(rsa.generate_private_key(65537, 2048)), "ed25519": pem(ed25519.Ed25519PrivateKey.generate())}


@pytest.mark.parametrize("international", [False, True])
@pytest.mark.parametrize("kind", KEYS)
async def test_what_arrives_bears_signatures_that_hold(
    account: Opener, relay: Any, certificate: tuple[Path, Path], reply: Reply, now: datetime, kind: str,
    international: bool,
) -> None:  # fmt: skip
    way = {"host": "localhost", "port": relay.port, "ca_file": str(certificate[0])}
    box = account(relay=way, sender_name="示例客服", dkim=[{"selector": "s1", "key": KEYS[kind]}])
    to = Address("email", "李@例子.cn" if international else "li@example.cn", "李雷")
    await box.send(replace(reply, to=to, text=reply.text + "很长" * 2000), now)
    await box.close()
    ((_, _, raw),) = relay.mails

    def found(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"s1._domainkey.example.com."
        return str(box.signers[0].record).encode()

    assert b"c=relaxed/relaxed" in raw
    assert dkim.verify(raw, dnsfunc=found)
    assert not dkim.verify(raw.replace(b"Subject: ", b"Subject: x", 1), dnsfunc=found)


def test_two_keys_make_two_signatures(reply: Reply, now: datetime) -> None:
    signers = [Signer(Dkim(selector=kind, key=key), "example.com", Where("x")) for kind, key in KEYS.items()]
    raw = posted(compose(reply, "s@example.com", "", now), "", signers).raw
    assert raw.count(b"DKIM-Signature:") == 2
    for at in range(2):
        assert dkim.DKIM(raw).verify(at, dnsfunc=lambda name, timeout=5: next(
            one.record.encode() for one in signers if name.startswith(one.selector)))  # fmt: skip


@pytest.mark.parametrize("wrong", ["", "no key", pem(ec.generate_private_key(ec.SECP256R1())), KEYS["rsa"][:400]])
def test_what_is_no_key_stops_the_start_and_is_not_told(account: Opener, wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"dkim\[0\].key") as caught:
        account(dkim=[{"selector": "s1", "key": wrong}])
    assert not wrong or wrong not in str(caught.value)


def test_html_says_the_same_and_fetches_nothing() -> None:
    made = as_html(
        '你好 <b>&\n  - 一\n\n见 https://example.com/a?b=1&c="2。\n\n<script>alert(1)</script> http://x.cn/).', "zh"
    )
    assert '<html lang="zh">' in made
    assert "<p>你好 &lt;b&gt;&amp;<br>&nbsp;&nbsp;- 一</p>" in made
    assert '<a href="https://example.com/a?b=1&amp;c=">https://example.com/a?b=1&amp;c=</a>&quot;2。' in made
    assert "&lt;script&gt;" in made
    assert '<a href="http://x.cn/">http://x.cn/</a>).' in made
    assert not re.search(r"<(?!/?(?:html|head|meta|body|p|br|a)\b|!DOCTYPE)", made)


@given(
    subject=st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=2000),
)
def test_whatever_is_said_arrives_whole_in_short_lines(subject: str, name: str, text: str) -> None:
    reply = Reply(
        "0" * 32, "email", "email_smtp", "support", "t1", "1", Address("email", "a@b.cn", name), subject, text, "zh"
    )
    now = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    raw = compose(reply, "support@example.com", "客服", now).as_bytes()

    head, _, _ = raw.partition(b"\r\n\r\n")
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert all(len(line) <= 76 for line in head.split(b"\r\n") if b"=?" in line)
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", raw)
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert [name.lower() for name in read].count("to") == 1
    assert read["To"].addresses[0].addr_spec == "a@b.cn"
    assert {"Bcc", "Cc"}.isdisjoint(list(read))


class Bearer:
    """A relay that takes one access token (XOAUTH2), and mail from whoever showed it."""

    def __init__(self, token: str) -> None:
        self.token, self.shown, self.mails = token, list[bytes](), list[bytes]()

    async def auth_XOAUTH2(self, server: Any, args: list[str]) -> Any:  # noqa: N802
        said = base64.b64decode(args[1])
        self.shown.append(said)
        right = said == f"user=support\1auth=Bearer {self.token}\1\1".encode()
        return AuthResult(success=right, handled=False, auth_data=said)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope.content)
        return "250 OK"


async def test_a_relay_is_shown_an_access_token_that_is_fetched_anew_once_it_is_refused(
    account: Opener, http: Any, answered: Callable[..., bytes], certificate: tuple[Path, Path], reply: Reply, now: datetime
) -> None:  # fmt: skip
    kept = Bearer("second")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    loop = asyncio.get_running_loop()
    # TLS from the first octet: aiosmtpd is told that AUTH is safe.
    server = await loop.create_server(
        lambda: SMTP(kept, hostname="relay.test", auth_require_tls=False, loop=loop), "127.0.0.1", 0, ssl=context
    )  # fmt: skip
    http.answers = [
        answered(200, b'{"access_token": "%b", "expires_in": 3600}' % token, content_type="application/json")
        for token in (b"first", b"second")
    ]
    box = account(relay={
        "host": "localhost", "port": server.sockets[0].getsockname()[1], "tls": "implicit", "username": "support",
        "ca_file": str(certificate[0]),
        "oauth": {"token_url": f"http://127.0.0.1:{http.port}/token", "client_id": "c", "refresh_token": "r"},
    })  # fmt: skip
    try:
        with pytest.raises(Unavailable, match="login") as caught:
            await box.send(reply, now)
        assert "first" not in str(caught.value)
        for n in range(2):
            await box.send(replace(reply, id=f"{n:032x}"), now)
        assert len(kept.mails) == 2
        assert len(http.asked) == 2
    finally:
        await box.close()
        server.close()


@pytest.mark.parametrize("wrong", [{"password": "x", "username": "u"}, {}])
def test_a_token_takes_the_place_of_a_password(account: Opener, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="oauth needs username"):
        account(relay={"host": "x", "oauth": {"token_url": "https://x", "client_id": "c"}, **wrong})
