"""Who is answered, by which account, and who is not: ourselves above all."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from serving import Desk, Gateway, MailSink

from gateway import mind, settings
from gateway.mind import Mind
from normalizer.canon import Address, Message

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RELAY = "relay: {host: 127.0.0.1, port: 2526, tls: none}"
CONFIG = f"""\
connectors:
  - connector: email_smtp
    account: support
    addresses: [support@example.com, "*@help.example.com"]
    aliases: [hello@example.org]
    sender: desk@example.com
    bounces: bounces@example.net
    {RELAY}
  - {{connector: email_smtp, account: sales, addresses: [sales@example.com], {RELAY}}}
  - {{connector: email_smtp, account: inbox, addresses: [inbox@example.com]}}
  - {{connector: webform, account: contact, reply_by: support}}
  - {{connector: webform, account: dumb, reply_by: inbox}}
  - {{connector: webform, account: mute}}
"""

FORWARDED = (
    b"From: sales <support+sales@example.com>\r\nTo: support@example.com\r\nSubject: parcel\r\n"
    b"Message-ID: <own-1@example.com>\r\n\r\nplease look into this\r\n"
)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Mind:
    file = tmp_path_factory.mktemp("config") / "ticketgate.yaml"
    file.write_text(CONFIG)
    return mind.read(settings.read(file))


def said(connector: str, account: str, sender: str = "li@example.cn", kind: str = "email", **more: Any) -> Message:
    return Message("email", connector, account, "m1", Address(kind, sender), NOW, **more)


def test_a_customer_is_answered_by_the_account_written_to_or_the_one_that_answers_for_it(known: Mind) -> None:
    li = Address("email", "li@example.cn")
    assert known.way_back(said("email_smtp", "sales")) == (("email_smtp", "sales"), li)
    assert known.way_back(said("webform", "contact")) == (("email_smtp", "support"), li)
    assert known.way_back(said("webform", "contact", "+8613812345678", "phone")) is None


@pytest.mark.parametrize(
    "own",
    ["support@example.com", "Support+7@Example.com", "anybody@help.example.com", "hello@example.org",
     "desk@example.com", "bounces@example.net", "sales@example.com", "inbox@example.com"],
)  # fmt: skip
def test_nobody_is_answered_at_an_address_of_ours_whichever_account_has_it(known: Mind, own: str) -> None:
    for account in (("email_smtp", "support"), ("email_smtp", "sales"), ("webform", "contact")):
        assert known.way_back(said(*account, own)) is None
        assert known.way_back(said(*account, reply_to=(Address("email", own),)), automatic=False) is None


def test_a_machine_answers_the_one_who_wrote_and_a_person_where_it_was_asked_to(known: Mind) -> None:
    li, office = Address("email", "li@example.cn"), Address("email", "office@example.cn")
    mail = said("email_smtp", "sales", reply_to=(office,))
    assert known.way_back(mail) == (("email_smtp", "sales"), li)
    assert known.way_back(mail, automatic=False) == (("email_smtp", "sales"), office)


@pytest.mark.parametrize(
    "nobody",
    ["owner-news@example.cn", "news-request@example.cn", "MAILER-DAEMON@example.cn", "no-reply@example.cn",
     "noreply+7@example.cn", "do-not-reply@example.cn", "bounces+li=example.cn@example.com", "postmaster@example.cn"],
)  # fmt: skip
def test_no_machine_is_answered_by_a_machine(known: Mind, nobody: str) -> None:
    assert known.way_back(said("email_smtp", "sales", nobody)) is None
    assert known.way_back(said("webform", "contact", nobody)) is None
    assert known.way_back(said("email_smtp", "sales", nobody), automatic=False) is not None


def test_a_form_of_the_website_that_writes_in_our_name_is_answered_where_it_asks_to(known: Mind) -> None:
    to = Address("email", "li@example.cn")
    assert known.way_back(said("email_smtp", "sales", "support@example.com", reply_to=(to,))) == (
        ("email_smtp", "sales"),
        to,
    )


def test_without_a_relay_there_is_no_way_back(known: Mind) -> None:
    assert known.way_back(said("email_smtp", "inbox")) is None
    assert known.way_back(said("webform", "dumb")) is None
    assert known.way_back(said("webform", "mute")) is None


def test_mail_from_an_address_of_ours_becomes_a_ticket_that_owes_no_acknowledgement(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port) as gateway:
        gateway.mail(FORWARDED)
        gateway.settle()
        (ticket,) = gateway.tickets()
        assert not ticket["acked_at"]
        assert not ticket["messages"][0]["answerable"]
        assert sink.mails == []
        assert gateway.metric("ticketgate_outbox_dead") == 0
