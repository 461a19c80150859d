"""Mail over a real socket: what is taken, what is turned away, and what is said meanwhile."""

import asyncio
import base64
import errno
import logging
import os
import smtplib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
import uvloop

from connectors import smtp
from connectors.email_smtp import EmailSmtp
from connectors.mail_account import scan
from connectors.smtp import KEPT
from normalizer.canon import Envelope, Kind
from normalizer.errors import ConfigError, Unavailable

MAIL = (
    "From: 李雷 <Li@Example.NET>\r\nTo: support@example.com\r\nSubject: 发票\r\n"
    "Message-ID: <m1@example.net>\r\n\r\n你好\r\n"
).encode()
Opener = Callable[..., Any]


@pytest.fixture(
    scope="module", params=[asyncio.DefaultEventLoopPolicy, uvloop.EventLoopPolicy], ids=["asyncio", "uvloop"]
)
def event_loop_policy(request: pytest.FixtureRequest) -> Any:
    return request.param()


async def deliver(line: Any, mail: bytes = MAIL, **who: Any) -> str:
    await line.until_data(**who)
    stuffed = b"\r\n".join(b"." + each if each.startswith(b".") else each for each in mail.split(b"\r\n"))
    answer: str = await line.say(stuffed + b".\r\n")
    return answer


async def test_a_mail_becomes_an_envelope_byte_for_byte(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)

    answer = await deliver(line)

    (envelope,) = open_door.gateway.accepted
    assert answer == f"250 2.0.0 OK {envelope.id}\r\n"
    assert envelope.body == MAIL
    assert (envelope.connector, envelope.account, envelope.lane) == ("email_smtp", "support", "li@example.net")
    assert envelope.transport == {
        "mail_from": "li@example.net", "rcpt_to": "support@example.com", "helo": "client.example.net",
        "remote": "127.0.0.1", "tls": "", "auth_user": "", "return_path": "<li@example.net>",
    }  # fmt: skip


async def test_250_waits_until_the_house_has_the_mail(door: Opener, dial: Opener) -> None:
    open_door = await door()
    open_door.gateway.safe = asyncio.Event()
    line = await dial(open_door.port)
    await line.until_data()
    line.writer.write(MAIL + b".\r\n")

    answer = asyncio.create_task(line.answer())
    done, _ = await asyncio.wait([answer], timeout=0.2)
    assert not done

    open_door.gateway.safe.set()
    assert (await answer).startswith("250")


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (Unavailable("the store is busy"), "451"),
        (RuntimeError("secret inside"), "451"),
        (OSError(errno.ENOSPC, "no space left"), "452"),
        (Unavailable("database or disk is full"), "452"),
    ],
)
async def test_on_any_doubt_the_sender_keeps_the_mail(
    door: Opener, dial: Opener, trouble: Exception, code: str
) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    open_door.gateway.trouble = trouble

    answer = await deliver(line)

    assert answer.startswith(code)
    assert "secret" not in answer
    open_door.gateway.trouble = None
    assert (await deliver(line)).startswith("250")


async def test_a_fault_in_the_conversation_itself_bounces_nothing(door: Opener, dial: Opener) -> None:
    open_door = await door()
    open_door.gateway.refuse_trouble = RuntimeError("inside")
    line = await dial(open_door.port)
    await line.say("EHLO x")
    await line.say("MAIL FROM:<a@b.example>")

    assert (await line.say("RCPT TO:<nobody@example.com>")).startswith("451 4.3.0")


async def test_a_client_that_drops_in_the_middle_of_data_leaves_nothing(door: Opener, dial: Opener) -> None:
    open_door = await door()
    for ending in (b"", b"\r\n", b"\r\n.", b"\r\n.\r", b"\r\n.\n"):
        line = await dial(open_door.port)
        await line.until_data()
        line.writer.write(MAIL.rstrip() + ending)
        await line.writer.drain()
        line.writer.close()
    await asyncio.sleep(0.2)

    assert open_door.gateway.accepted == []
    assert (await deliver(await dial(open_door.port))).startswith("250")


async def test_many_mails_go_over_one_connection(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    for number in range(20):
        assert (await deliver(line, MAIL.replace(b"m1@", b"m%d@" % number))).startswith("250")

    assert len({envelope.key for envelope in open_door.gateway.accepted}) == 20


async def test_commands_after_the_end_of_data_wait_their_turn(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    await line.until_data()
    second = b"MAIL FROM:<b@example.net>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n" + MAIL + b".\r\nQUIT\r\n"
    line.writer.write(MAIL + b".\r\n" + second)

    answers = [(await line.answer())[:3] for _ in range(6)]

    assert answers == ["250", "250", "250", "354", "250", "221"]
    assert [envelope.transport["mail_from"] for envelope in open_door.gateway.accepted] == [
        "li@example.net", "b@example.net",
    ]  # fmt: skip


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r\n", b"\r.\r"])
async def test_no_second_mail_is_smuggled_in(door: Opener, dial: Opener, end: bytes) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    inner = b"MAIL FROM:<boss@example.com>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n" + MAIL

    await line.until_data()
    answer = await line.say(MAIL.rstrip() + end + inner + b".\r\n")

    assert answer.startswith("250")
    (envelope,) = open_door.gateway.accepted
    assert envelope.transport["mail_from"] == "li@example.net"
    assert b"boss@example.com" in envelope.body


async def test_lines_may_be_of_any_length(door: Opener, dial: Opener) -> None:
    open_door = await door()
    mail = MAIL + "中文".encode() * 300_000 + b"\r\n.dot\r\n"

    assert (await deliver(await dial(open_door.port), mail)).startswith("250")
    assert open_door.gateway.accepted[0].body == mail


async def test_an_empty_mail_is_a_mail(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    await line.until_data()

    assert (await line.say(b".\r\n")).startswith("250")
    assert open_door.gateway.accepted[0].body == b""


async def test_too_large_a_mail_is_refused_at_its_end_and_its_beginning_kept(door: Opener, dial: Opener) -> None:
    open_door = await door(size_limit=100_000)
    line = await dial(open_door.port)
    mail = MAIL + b"x" * 78 + b"\r\n" + b"0123456789\r\n" * 60_000

    assert (await deliver(line, mail)).startswith("552")
    assert open_door.gateway.accepted == []
    ((connector, account, code, _, body, facts),) = open_door.gateway.refused
    assert (connector, account, code) == ("email_smtp", "support", "oversized")
    assert mail.startswith(body)
    assert len(body) > KEPT - 10
    assert facts["mail_from"] == "li@example.net"
    assert (await deliver(line)).startswith("250")


async def test_a_large_mail_comes_again_later_while_others_fill_the_memory(
    door: Opener, dial: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "HELD", 1_000_000)
    open_door = await door()
    unfinished, line, large = await dial(open_door.port), await dial(open_door.port), MAIL + b"x" * 2_000_000 + b"\r\n"
    await unfinished.until_data()
    unfinished.writer.write(large)
    await asyncio.sleep(0.2)

    assert (await deliver(line, large)).startswith("452 4.3.1")
    assert (await deliver(line)).startswith("250")
    assert (await unfinished.say(b".\r\n")).startswith("250")
    assert (await deliver(line, large)).startswith("250")


async def test_a_mail_declared_too_large_is_refused_before_it_is_sent(door: Opener, dial: Opener) -> None:
    open_door = await door(size_limit=100_000)
    line = await dial(open_door.port)
    assert "SIZE 100000" in await line.say("EHLO x")

    assert (await line.say("MAIL FROM:<li@example.net> SIZE=100001")).startswith("552")
    assert [(row[2], row[5]["mail_from"]) for row in open_door.gateway.refused] == [("oversized", "li@example.net")]
    assert (await line.say("MAIL FROM:<li@example.net> SIZE=99999 BODY=8BITMIME")).startswith("250")


async def test_recipients_nobody_configured_are_refused_and_the_first_is_kept(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    await line.say("EHLO x")
    await line.say("MAIL FROM:<li@example.net>")

    for address in ("nobody@example.com", "support@other.example", "support"):
        assert (await line.say(f"RCPT TO:<{address}>")).startswith("550 5.1.1")
    assert (await line.say("DATA")).startswith("503")
    ((_, _, code, _, _, facts),) = open_door.gateway.refused
    assert (code, facts["rcpt_to"]) == ("unknown_recipient", "nobody@example.com")


async def test_of_each_mail_of_a_connection_a_recipient_nobody_configured_is_kept(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    await line.say("EHLO x")
    for n in range(2):  # a relay sends one mail after the other
        await line.say(f"MAIL FROM:<li{n}@example.net>")
        await line.say("RCPT TO:<nobody@example.com>")
        await line.say("RSET")
    kept = [facts["mail_from"] for (_, _, _, _, _, facts) in open_door.gateway.refused]
    assert kept == ["li0@example.net", "li1@example.net"]


@pytest.mark.parametrize("odd", ['"', "<" + "(" * 2000, "<" + "@a," * 1000])
async def test_what_is_no_address_is_said_to_be_none(
    door: Opener, dial: Opener, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = await dial((await door()).port)
    await line.say("EHLO x")
    assert (await line.say(f"MAIL FROM:{odd}")).startswith("553")
    assert (await line.say(f"VRFY {odd}")).startswith("502")
    assert caplog.records == []


async def test_who_guesses_addresses_is_hung_up_on(door: Opener, dial: Opener) -> None:
    line = await dial((await door()).port)
    await line.say("EHLO x")
    await line.say("MAIL FROM:<li@example.net>")
    answers = [await line.say(f"RCPT TO:<guess{n}@example.com>") for n in range(21)]

    assert all(answer.startswith("550") for answer in answers)
    assert (await line.answer()).startswith("421")
    assert await line.reader.read() == b""


@pytest.mark.parametrize(
    "recipient", ["support+x17@example.com", "Support@EXAMPLE.com", "any@shop.example", "支持@例子.cn"]
)
async def test_an_account_knows_its_addresses_in_every_form(
    door: Opener, dial: Opener, account: Opener, recipient: str
) -> None:
    addresses = ["support@example.com", "*@shop.example", "支持@例子.cn"]
    open_door = await door([account(addresses=addresses, door={"listen": ["127.0.0.1:0"]})])

    answer = await deliver(await dial(open_door.port))
    assert answer.startswith("250")
    line = await dial(open_door.port)
    await line.say("EHLO x")
    await line.say("MAIL FROM:<李@例子.cn> SMTPUTF8")
    assert (await line.say(f"RCPT TO:<{recipient}>")).startswith("250")


async def test_the_null_path_is_kept_as_it_is(door: Opener, dial: Opener) -> None:
    open_door = await door()

    assert (await deliver(await dial(open_door.port), sender="")).startswith("250")
    facts = open_door.gateway.accepted[0].transport
    assert (facts["mail_from"], facts["return_path"]) == ("", "<>")


async def test_octets_that_are_no_utf8_do_no_harm(door: Opener, dial: Opener) -> None:
    open_door = await door()
    line = await dial(open_door.port)
    await line.say(b"EHLO \xff\xfe\r\n")
    await line.say("MAIL FROM:<li@example.net>")
    await line.say("RCPT TO:<support@example.com>")
    await line.say("DATA")

    assert (await line.say(MAIL + b".\r\n")).startswith("250")
    assert open_door.gateway.accepted[0].transport["helo"].encode()


async def test_mail_to_two_accounts_is_one_envelope_to_the_first_configured(
    door: Opener, dial: Opener, account: Opener
) -> None:
    accounts = [
        account(account="support", door={"listen": ["127.0.0.1:0"]}),
        account(account="sales", addresses=["sales@example.com"], door="support"),
    ]
    open_door = await door(accounts)
    line = await dial(open_door.port)
    await line.until_data("li@example.net", "sales@example.com", "support@example.com")
    await line.say(MAIL + b".\r\n")
    await line.until_data("li@example.net", "sales@example.com")
    await line.say(MAIL + b".\r\n")

    assert [envelope.account for envelope in open_door.gateway.accepted] == ["support", "sales"]
    assert open_door.gateway.accepted[0].transport["rcpt_to"] == "sales@example.com support@example.com"


async def test_a_door_that_does_not_exist_is_a_configuration_error(account: Opener) -> None:
    with pytest.raises(ConfigError, match="account 'suport' has no door"):
        EmailSmtp.doors([account(door="suport")])


async def test_a_port_in_use_is_a_configuration_error(door: Opener, account: Opener) -> None:
    open_door = await door()
    with pytest.raises(ConfigError, match="cannot listen on"):
        await door([account(door={"listen": [f"127.0.0.1:{open_door.port}"]})])


async def test_it_listens_on_several_addresses_and_on_a_socket_file(door: Opener, tmp_path: Path) -> None:
    open_door = await door(listen=["127.0.0.1:0", f"unix:{tmp_path}/lmtp"])
    assert len(open_door.mailroom.bound) == 2
    reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/lmtp")
    assert (await reader.readline()).startswith(b"220")
    writer.close()


async def test_the_mail_servers_own_user_may_use_a_socket_file(door: Opener, tmp_path: Path, account: Opener) -> None:
    usual = os.umask(0o077)  # as the unit for systemd sets it
    try:
        await door(listen=["127.0.0.1:0", f"unix:{tmp_path}/lmtp"])
    finally:
        os.umask(usual)
    assert (tmp_path / "lmtp").stat().st_mode & 0o666 == 0o666

    with pytest.raises(ConfigError, match="unix:/path in a folder that is there"):
        await door([account(door={"listen": [f"unix:{tmp_path}/nowhere/lmtp"]})])


async def test_lmtp_answers_once_for_each_recipient(door: Opener, dial: Opener, account: Opener) -> None:
    open_door = await door(
        [account(addresses=["a@example.com", "b@example.com"], door={"listen": ["127.0.0.1:0"], "protocol": "lmtp"})]
    )
    line = await dial(open_door.port)
    assert (await line.say("EHLO x")).startswith("500")
    await line.until_data("li@example.net", "a@example.com", "b@example.com", hello="LHLO")
    line.writer.write(MAIL + b".\r\n")
    assert [(await line.answer())[:3] for _ in range(2)] == ["250", "250"]
    assert len(open_door.gateway.accepted) == 1

    open_door.gateway.trouble = Unavailable("busy")
    await line.until_data("li@example.net", "a@example.com", "b@example.com", hello="LHLO")
    line.writer.write(MAIL + b".\r\n")
    assert [(await line.answer())[:3] for _ in range(2)] == ["451", "451"]


async def test_python_can_send_by_lmtp(door: Opener) -> None:
    open_door = await door(protocol="lmtp")

    def send() -> dict[str, tuple[int, bytes]]:
        with smtplib.LMTP("127.0.0.1", open_door.port, local_hostname="client") as client:
            return client.sendmail("li@example.net", ["support@example.com"], MAIL)

    assert await asyncio.to_thread(send) == {}
    assert open_door.gateway.accepted[0].body == MAIL


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> dict[str, Any]:
    return {"certificate": str(certificate[0]), "key": str(certificate[1])}


async def secured(port: int, certificate: Path, **more: Any) -> aiosmtplib.SMTP:
    trust = ssl.create_default_context(cafile=certificate)
    client = aiosmtplib.SMTP(hostname="localhost", port=port, start_tls=True, tls_context=trust, timeout=10, **more)
    await client.connect()
    return client


async def test_starttls_and_smtputf8(door: Opener, tls: dict[str, Any], certificate: tuple[Path, Path]) -> None:
    open_door = await door(tls=tls, listen=["localhost:0"])
    client = await secured(open_door.port, certificate[0])
    mail = MAIL + b"." * 100 + b"\r\n" + b"x" * 5_000_000 + b"\r\n"
    await client.sendmail("李@例子.cn", ["support@example.com"], mail, mail_options=["SMTPUTF8"])
    await client.quit()

    (envelope,) = open_door.gateway.accepted
    assert envelope.body == mail
    assert (envelope.transport["tls"], envelope.transport["mail_from"]) == ("TLSv1.3", "李@例子.cn")


async def test_where_tls_is_required_nothing_is_said_in_the_clear(
    door: Opener, dial: Opener, tls: dict[str, Any], certificate: tuple[Path, Path]
) -> None:
    open_door = await door(tls={**tls, "required": True}, listen=["localhost:0"], users={"shop": "s3cret-word"})
    line = await dial(open_door.port)
    hello = await line.say("EHLO x")
    assert "STARTTLS" in hello
    assert "AUTH" not in hello
    assert (await line.say("MAIL FROM:<li@example.net>")).startswith("530")
    assert (await line.say("AUTH PLAIN AHNob3AAczNjcmV0LXdvcmQ=")).startswith("538")

    client = await secured(open_door.port, certificate[0])
    await client.sendmail("li@example.net", ["support@example.com"], MAIL)
    await client.quit()
    assert len(open_door.gateway.accepted) == 1


async def test_what_was_said_before_tls_is_forgotten(
    door: Opener, tls: dict[str, Any], certificate: tuple[Path, Path]
) -> None:
    open_door = await door(tls=tls, listen=["localhost:0"])

    def inject() -> bytes:
        with socket.create_connection(("localhost", open_door.port), 10) as plain:
            plain.recv(1000)
            plain.sendall(b"EHLO x\r\n")
            plain.recv(1000)
            plain.sendall(b"STARTTLS\r\nRSET\r\nNOOP\r\n")
            plain.recv(1000)
            trust = ssl.create_default_context(cafile=certificate[0])
            with trust.wrap_socket(plain, server_hostname="localhost") as wrapped:
                wrapped.sendall(b"EHLO y\r\n")
                return wrapped.recv(1000)

    try:
        first = await asyncio.to_thread(inject)
    except OSError:
        return  # the plain words broke the handshake: as good
    assert first.startswith(b"250-"), "the answer to EHLO y, not to what came before"


async def test_tls_is_not_begun_twice_and_what_is_no_tls_alarms_nobody(
    door: Opener, dial: Opener, tls: dict[str, Any], certificate: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    open_door = await door(tls=tls, listen=["localhost:0"])
    client = await secured(open_door.port, certificate[0])
    assert (await client.execute_command(b"STARTTLS")).code == 503
    await client.sendmail("li@example.net", ["support@example.com"], MAIL)
    await client.quit()

    line = await dial(open_door.port)
    assert (await line.say("STARTTLS")).startswith("220")
    line.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(10):
        await line.reader.read()
    assert len(open_door.gateway.accepted) == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_a_server_that_logged_in_says_beside_is_taken(door: Opener, dial: Opener) -> None:
    line = await dial((await door(users={"shop": "s3cret-word"}, auth_without_tls=True)).port)
    await line.say("EHLO x")
    assert (await line.say("auth plain " + base64.b64encode(b"\0shop\0s3cret-word").decode())).startswith("235")
    for sender in ("<li@example.net> AUTH=<>", "<li@example.net> SIZE=5 AUTH=li+40example.net"):
        assert (await line.say(f"MAIL FROM:{sender}")).startswith("250")
        await line.say("RSET")
    assert (await line.say("MAIL FROM:<li@example.net> SIZE=²")).startswith("501")


@pytest.mark.parametrize("method", ["plain", "login"])
async def test_users_log_in_with_their_secret(
    door: Opener, tls: dict[str, Any], certificate: tuple[Path, Path], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    terms = {"tls": tls, "listen": ["localhost:0"], "users": {"shop": "s3cret-word"}, "auth_required": True}
    open_door = await door(**terms)
    client = await secured(open_door.port, certificate[0])
    with pytest.raises(aiosmtplib.SMTPSenderRefused, match="Authentication required"):
        await client.sendmail("li@example.net", ["support@example.com"], MAIL)
    for user, word in (("shop", "wrong"), ("nobody", "s3cret-word"), ("shop", ""), ("nobody", "\0")):
        with pytest.raises((aiosmtplib.SMTPAuthenticationError, aiosmtplib.SMTPResponseException)):
            await getattr(client, f"auth_{method}")(user, word)
    await getattr(client, f"auth_{method}")("shop", "s3cret-word")
    await client.sendmail("li@example.net", ["support@example.com"], MAIL)
    await client.quit()

    assert open_door.gateway.accepted[0].transport["auth_user"] == "shop"
    for secret in ("s3cret-word", base64.b64encode(b"\0shop\0s3cret-word").decode()):
        assert secret not in caplog.text
        assert secret not in repr(open_door.mailroom.entrance)


async def test_login_in_the_clear_only_where_allowed(door: Opener, dial: Opener) -> None:
    open_door = await door(users={"shop": "s3cret-word"}, auth_without_tls=True)
    line = await dial(open_door.port)
    assert "AUTH LOGIN PLAIN" in await line.say("EHLO x")
    assert (await line.say("AUTH PLAIN " + base64.b64encode(b"\0shop\0s3cret-word").decode())).startswith("235")


async def test_too_many_connections_are_asked_to_come_later(door: Opener, dial: Opener) -> None:
    open_door = await door(connections_per_remote=2)
    lines = [await dial(open_door.port) for _ in range(3)]

    assert [line.greeting[:3] for line in lines] == ["220", "220", "421"]
    lines[0].writer.close()
    await asyncio.sleep(0.1)
    assert (await dial(open_door.port)).greeting.startswith("220")


async def test_silence_ends_a_conversation(door: Opener, dial: Opener) -> None:
    line = await dial((await door(timeout=0.3)).port)
    async with asyncio.timeout(5):
        assert (await line.reader.read()).startswith(b"421 4.4.2")


async def test_a_slow_line_is_not_a_silent_one(door: Opener, dial: Opener) -> None:
    line = await dial((await door(timeout=0.6)).port)
    await line.until_data()
    for piece in [b"Subject: slow\r\n", *[b"x\r\n"] * 10, b"."]:
        line.writer.write(piece)
        await asyncio.sleep(0.1)
    assert (await line.say(b"\r\n")).startswith("250")


async def test_who_does_not_listen_holds_no_place(door: Opener, dial: Opener) -> None:
    open_door = await door(timeout=0.5, connections=1)
    line = await dial(open_door.port)
    line.writer.transport.pause_reading()
    line.writer.write(b"EHLO x\r\n" * 100_000)
    for _ in range(200):
        if (greeting := (await dial(open_door.port)).greeting).startswith("220"):
            break
        await asyncio.sleep(0.1)
    assert greeting.startswith("220")


async def test_who_says_everything_at_once_and_no_more_is_answered(door: Opener, dial: Opener) -> None:
    open_door = await door()
    open_door.gateway.safe = asyncio.Event()
    line = await dial(open_door.port)
    mail = b"MAIL FROM:<li@example.net>\r\nRCPT TO:<support@example.com>\r\nDATA\r\n%b.\r\n"
    line.writer.write(b"EHLO x\r\n" + mail % MAIL + mail % MAIL.replace(b"m1@", b"m2@"))
    line.writer.write_eof()
    await asyncio.sleep(0.2)
    open_door.gateway.safe.set()

    async with asyncio.timeout(10):
        answers = (await line.reader.read()).splitlines()

    assert sum(answer.startswith(b"250 2.0.0 OK ") for answer in answers) == 2
    assert len(open_door.gateway.accepted) == 2


async def test_closing_the_door_says_so(opened: Opener, dial: Opener, account: Opener) -> None:
    room = account(door={"listen": ["127.0.0.1:0"]})
    async with opened([room]) as open_door:
        line = await dial(open_door.port)

    assert (await line.answer()).startswith("421")


async def test_nobodys_address_is_logged(door: Opener, dial: Opener, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    open_door = await door()
    line = await dial(open_door.port)
    await deliver(line)
    await line.say("secret words of a customer")

    assert "li@example.net" not in caplog.text
    assert "secret" not in caplog.text


def test_the_key_is_message_id_and_body_and_survives_another_servers_received_line() -> None:
    assert scan(b"Received: from x\r\n" + MAIL) == scan(MAIL)
    assert scan(MAIL)[0] != scan(MAIL + b"more")[0]
    assert scan(MAIL)[0] != scan(MAIL.replace(b"m1@", b"m2@"))[0]
    assert scan(MAIL)[1] == "li@example.net"
    without = MAIL.replace(b"Message-ID: <m1@example.net>\r\n", b"")
    assert scan(without)[0] != scan(without + b"more")[0]


@pytest.mark.parametrize("nothing", [b"<>", b"", b" < >", b"\r\n ", b"<1>", b"<@>", b"<@localhost>"])
def test_a_message_id_that_says_nothing_names_no_mail(nothing: bytes) -> None:
    li = MAIL.replace(b"<m1@example.net>", nothing).replace(b"\r\n\r\n", b"\r\nMIME-Version: 1.0\r\n\r\n")
    assert scan(li)[0] != scan(li.replace(b"Li@", b"Zhao@"))[0]
    folded = MAIL.replace(b"Message-ID: <m1", b"Message-ID:\r\n <m1")
    assert scan(folded)[0] == scan(MAIL)[0]


@pytest.mark.parametrize(
    "odd", [b"", b"\r\n", b"From:", b"From:\r\n\r\n", b"\xff" * 100, b"From: \r\n <a@b.example>\r\n\r\n"]
)
def test_the_door_reads_anything(odd: bytes) -> None:
    key, sender = scan(odd)
    assert key
    assert sender in ("", "a@b.example")


def envelope_of(account: EmailSmtp, now: Any, mail: bytes = MAIL, **facts: str) -> Envelope:
    return Envelope("email_smtp", "support", "k", "l", now, mail, {"return_path": "<li@example.net>", **facts})


def test_a_trusted_relay_proves_the_sender(account: Opener, now: Any) -> None:
    box = account(trusted_relays=["10.0.0.0/8"])

    assert [box.parse(envelope_of(box, now, remote=r))[0].proven for r in ("10.1.2.3", "11.1.2.3", "")] == [
        True,
        False,
        False,
    ]


def test_mail_that_does_not_name_us_is_not_answered(account: Opener, now: Any) -> None:
    box = account(aliases=["hello@example.com"])
    to = [b"support@example.com", b"hello@example.com", b"Support+7@example.com", b"friends@example.org"]
    mails = [MAIL.replace(b"support@example.com", name) for name in to]

    assert [box.parse(envelope_of(box, now, mail))[0].answerable for mail in mails] == [True, True, True, False]


def test_the_null_path_is_not_answered(account: Opener, now: Any) -> None:
    box = account()
    assert not box.parse(envelope_of(box, now, return_path="<>"))[0].answerable


def test_our_own_mail_coming_back_is_a_loop(account: Opener, now: Any) -> None:
    box = account()
    (message,) = box.parse(envelope_of(box, now, b"X-Ticketgate-Loop: example.com\r\n" + MAIL))

    assert (message.kind, message.answerable) == (Kind.LOOP, False)


def test_our_own_mail_is_known_by_its_message_id_where_the_mark_was_taken_away(account: Opener, now: Any) -> None:
    box = account()
    ours, theirs = (MAIL.replace(b"m1@example.net", b"0" * 32 + b"@" + domain) for domain in (b"example.com", b"x.net"))

    assert box.parse(envelope_of(box, now, ours))[0].kind is Kind.LOOP
    assert box.parse(envelope_of(box, now, theirs))[0].kind is Kind.MESSAGE


def test_a_group_that_bears_our_address_hands_us_a_persons_mail(account: Opener, now: Any) -> None:
    box = account()
    listed = b"List-Id: <support.example.com>\r\nPrecedence: list\r\n" + MAIL

    assert box.parse(envelope_of(box, now, listed))[0].kind is Kind.MESSAGE
    assert box.parse(envelope_of(box, now, listed.replace(b"<support.", b"<news.")))[0].kind is Kind.LIST


@pytest.mark.parametrize(("domains", "proven"), [("example.net", True), ("x.org example.net", True), ("x.org", False)])
def test_a_signature_found_at_the_door_proves_its_own_domain_only(
    account: Opener, now: Any, domains: str, proven: bool
) -> None:
    box = account()
    envelope = envelope_of(box, now)
    (message,) = box.parse(replace(envelope, transport={**envelope.transport, "dkim": domains}))

    assert message.proven is proven
    assert message.authentication == {"dkim": "pass"}


def test_what_the_trusted_server_found_goes_with_the_message_and_nobody_elses_words_do(
    account: Opener, now: Any
) -> None:
    box = account(trusted_authserv=["mx.example.com"])
    found = b"Authentication-Results: %b; spf=fail smtp.mailfrom=x.example; dmarc=fail header.from=x.example\r\n"

    ours, forged = (box.parse(envelope_of(box, now, found % by + MAIL))[0] for by in (b"mx.example.com", b"x.example"))
    assert (ours.authentication, forged.authentication) == ({"spf": "fail", "dmarc": "fail"}, {})
