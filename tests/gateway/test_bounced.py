"""Mail of ours that does not arrive: told by a bounce, or by the relay at once. Through a real gateway."""

from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest
from serving import Desk, Gateway, MailSink, post


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as made:
        yield made


@pytest.fixture
def gateway(tmp_path: Path, sink: MailSink) -> Iterator[Gateway]:
    with Desk() as desk, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port) as running:
        yield running


def mail(text: str, identity: str, sender: str = "li@example.cn", **headers: str) -> bytes:
    head = {"From": sender, "To": "support@example.com", "Subject": "parcel", "Message-ID": f"<{identity}>", **headers}
    return "".join(f"{name}: {value}\r\n" for name, value in head.items()).encode() + f"\r\n{text}\r\n".encode()


def bounce(of: bytes, to: str) -> bytes:
    """As Postfix reports it (RFC 3464)."""
    lost = message_from_bytes(of)
    return f"""\
From: MAILER-DAEMON@mx.example.cn (Mail Delivery System)\r
To: support@example.com\r
Subject: Undelivered Mail Returned to Sender\r
Message-ID: <bounce-1@mx.example.cn>\r
Auto-Submitted: auto-replied\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
I'm sorry to have to inform you that your message could not be delivered.\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.example.cn\r
\r
Final-Recipient: rfc822; {to}\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 no such user\r
\r
--b\r
Content-Type: text/rfc822-headers\r
\r
From: support@example.com\r
To: {to}\r
Message-ID: {lost["Message-ID"]}\r
\r
--b--\r
""".encode()


def triggers(gateway: Gateway, number: str) -> list[str]:
    return [decision["case"]["trigger"] for decision in gateway.json("explain", number)]


def test_a_bounce_marks_ticket_and_address_and_a_form_is_not_answered_there(gateway: Gateway, sink: MailSink) -> None:
    gateway.mail(mail("where is it", "1@example.cn"))
    gateway.settle()
    (acknowledged,) = sink.mails
    gateway.mail(bounce(acknowledged, "li@example.cn"), sender="")
    gateway.settle()

    (ticket,) = gateway.tickets()
    assert "bounced" in ticket["tags"]
    assert [message["kind"] for message in ticket["messages"]] == ["message", "bounce"]
    decisions = gateway.json("explain", ticket["number"])
    assert [one["case"]["trigger"] for one in decisions] == ["ticket.created", "contact.bounced"]
    assert decisions[1]["case"]["placed_by"] == "bounce"
    assert [one["bouncing"] for one in decisions[1]["case"]["contact"]["identities"]] == ["5.1.1"]

    form = b"email=li%40example.cn&message=hello"
    url = f"http://127.0.0.1:{gateway.http}/form/contact"
    assert post(url, form, {"content-type": "application/x-www-form-urlencoded"}) < 400
    gateway.settle()
    assert len(sink.mails) == 1
    newest = max(one["number"] for one in gateway.tickets())
    assert "mail to this address came back" in gateway.cli("explain", newest)

    gateway.mail(mail("another thing", "2@example.cn"))  # there again
    gateway.settle()
    assert len(sink.mails) == 2


def test_a_bounce_of_what_we_never_sent_to_them_changes_nothing(gateway: Gateway, sink: MailSink) -> None:
    gateway.mail(mail("where is it", "1@example.cn"))
    gateway.settle()
    gateway.mail(bounce(sink.mails[0], "somebody.else@example.cn"), sender="")
    gateway.settle()

    (ticket,) = gateway.tickets()
    assert "bounced" not in ticket["tags"]
    assert [(row["stage"], row["code"]) for row in gateway.json("quarantine", "list")] == [("noted", "bounce")]


def test_a_relay_that_knows_no_such_address_marks_it_too(gateway: Gateway, sink: MailSink) -> None:
    sink.refusing_recipients = "550 5.1.1 no such user"
    gateway.mail(mail("where is it", "1@example.cn"))
    gateway.settle()

    (ticket,) = gateway.tickets()
    assert "bounced" in ticket["tags"]
    assert triggers(gateway, ticket["number"]) == ["ticket.created", "contact.bounced"]
    (dead,) = gateway.json("outbox", "list", "--state", "dead")
    assert "5.1.1" in dead["last error"]


def test_an_answer_finds_its_ticket_by_the_address_alone_and_a_stranger_does_not(
    gateway: Gateway, sink: MailSink
) -> None:
    gateway.mail(mail("where is it", "1@example.cn"))
    gateway.settle()
    acknowledged = message_from_bytes(sink.mails[0])
    keyed = str(acknowledged["Reply-To"])
    assert keyed.startswith("support+20")

    by_key = mail("here I am", "3@home.example", "li@home.example", To=keyed, Subject="no number")
    gateway.mail(by_key, sender="li@home.example", to=keyed)
    leaked = {
        "In-Reply-To": str(acknowledged["Message-ID"]),
        "References": f"<1@example.cn> {acknowledged['Message-ID']}",
    }
    gateway.mail(mail("let me in", "4@evil.example", "eve@evil.example", **leaked), sender="eve@evil.example")
    gateway.settle()

    first, second = sorted(gateway.tickets(), key=lambda one: str(one["number"]))
    assert [message["text"].strip() for message in first["messages"]] == ["where is it", "here I am"]
    assert [message["text"].strip() for message in second["messages"]] == ["let me in"]
    assert [(one["kind"], one["id"]) for one in second["related"]] == [("related", first["id"])]
    (decision,) = gateway.json("explain", second["number"])
    assert decision["case"]["placed_by"] == "stranger"
