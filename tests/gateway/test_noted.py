"""Mail that asks for nothing: kept, visible, no failure; and to be processed again. Through a real gateway."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Desk, Gateway, MailSink

from gateway.draft import NOT_A_REQUEST
from normalizer.canon import REASONS

HERE = Path(__file__).parent


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as made:
        yield made


@pytest.fixture
def gateway(tmp_path: Path, sink: MailSink) -> Iterator[Gateway]:
    with Desk() as desk, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port) as running:
        yield running


def mail(text: str, identity: str, *headers: str) -> bytes:
    head = ("From: li@example.cn", "To: support@example.com", f"Message-ID: <{identity}>", *headers)
    return "\r\n".join([*head, "", text, ""]).encode()


def noted(gateway: Gateway) -> list[tuple[str, str]]:
    return [(row["stage"], row["code"]) for row in gateway.json("quarantine", "list")]


def test_every_kind_that_asks_for_nothing_has_a_published_code() -> None:
    assert {kind.value for kind in NOT_A_REQUEST} <= REASONS.keys()


def test_an_automatic_reply_is_shown_and_alarms_nobody(gateway: Gateway) -> None:
    gateway.mail(mail("I am away", "away@x", "Subject: Out of Office", "Auto-Submitted: auto-replied"))
    gateway.mail(mail("no such user", "back@x", "Subject: failure notice", "X-Failed-Recipients: a@b.cn"))
    gateway.settle()

    assert noted(gateway) == [("noted", "bounce"), ("noted", "auto_reply")]
    assert gateway.metric("ticketgate_set_aside") == 0
    assert gateway.tickets() == []


def test_processed_again_with_nothing_mended_it_is_shown_once_as_before(gateway: Gateway) -> None:
    gateway.mail(mail("I am away", "away@x", "Subject: Out of Office", "Auto-Submitted: auto-replied"))
    gateway.settle()
    (before,) = gateway.json("quarantine", "list")

    for _ in range(2):
        assert "1 of 1" in gateway.cli("quarantine", "retry", before["id"])
        gateway.settle()
        assert gateway.json("quarantine", "list") == [before]
    assert gateway.tickets() == []


def test_what_a_wrong_recogniser_put_away_becomes_a_ticket_once_it_is_mended(gateway: Gateway, sink: MailSink) -> None:
    gateway.stop()
    gateway.start(command=(sys.executable, str(HERE / "takes_people_for_machines.py")))
    gateway.mail(mail("my parcel is lost", "lost@x", "Subject: parcel"))
    gateway.settle()
    assert (gateway.tickets(), noted(gateway)) == ([], [("noted", "auto_reply")])
    gateway.stop()

    gateway.start()
    assert "1 of 1" in gateway.cli("quarantine", "retry", "--code", "auto_reply")
    gateway.settle()
    (ticket,) = gateway.tickets()
    assert [message["kind"] for message in ticket["messages"]] == ["message"]
    assert len(sink.mails) == 1
    assert noted(gateway) == []


def test_an_alarm_that_a_machine_sends_is_a_ticket_and_is_not_answered(gateway: Gateway, sink: MailSink) -> None:
    alarm = mail("disk of db-1 is full", "alarm@x", "Subject: PROBLEM db-1", "Auto-Submitted: auto-generated")
    gateway.mail(alarm)
    gateway.settle()

    (ticket,) = gateway.tickets()
    assert ticket["messages"][0]["kind"] == "auto_generated"
    assert ticket["acked_at"] is None
    assert sink.mails == []
    assert noted(gateway) == []


def test_an_envelope_that_holds_two_requests_is_not_shown_as_one_without_any(gateway: Gateway) -> None:
    said = b'{"id": "%d", "text": "where is my order?", "from": "two%d@example.cn"}'
    assert gateway.webhook(b'{"messages": [%s, %s]}' % (said % (1, 1), said % (2, 2)), identity="two") == 204
    gateway.settle()

    assert len(gateway.tickets()) == 2
    assert noted(gateway) == []


def test_an_envelope_that_holds_no_message_is_shown_too(gateway: Gateway) -> None:
    assert gateway.webhook(b'{"messages": []}', identity="empty") == 204
    gateway.settle()

    assert noted(gateway) == [("noted", "nothing")]
    assert (
        gateway.json("quarantine", "list", "--account", "webhook/shop", "--words", "no message")[0]["code"] == "nothing"
    )
    assert gateway.json("quarantine", "list", "--account", "email_smtp") == []
    assert gateway.json("quarantine", "list", "--until", "2020-01-01") == []
    assert gateway.metric("ticketgate_set_aside") == 0
