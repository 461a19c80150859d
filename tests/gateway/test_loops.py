"""Mail that would go round and round, and floods: through real gateways and real SMTP."""

import email
import smtplib
from collections import Counter
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from serving import Desk, Gateway, MailSink, free_port

MARKS = ("auto-submitted", "x-ticketgate-loop", "x-auto-response-suppress", "precedence")


class Relay:
    """Carries mail to the gateway that has its domain; a `rude` one takes away whatever tells a machine's mail."""

    def __init__(self, *, rude: bool) -> None:
        self.rude, self.carried, self.doors = rude, list[Message](), dict[str, int]()
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content)
        self.carried.append(mail)
        sender = envelope.mail_from
        if self.rude:
            sender = email.utils.parseaddr(mail["From"])[1]
            mail.replace_header("Message-ID", f"<rewritten-{len(self.carried)}@relay.example>")
            for mark in MARKS:
                del mail[mark]
        for recipient in envelope.rcpt_tos:
            with smtplib.SMTP("127.0.0.1", self.doors[recipient.rpartition("@")[2]], timeout=30) as client:
                client.sendmail(sender, [recipient], mail.as_bytes())
        return "250 carried"

    def __enter__(self) -> "Relay":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


@pytest.fixture(params=[False, True], ids=["honest", "rude"])
def relay(request: pytest.FixtureRequest) -> Iterator[Relay]:
    with Relay(rude=request.param) as made:
        yield made


def mail(sender: str, to: str, identity: str, **headers: str) -> bytes:
    head = {"From": sender, "To": to, "Subject": "parcel", "Message-ID": f"<{identity}>", **headers}
    return (
        "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in head.items()).encode() + b"\r\nWhere?\r\n"
    )


def test_two_gateways_that_acknowledge_each_other_stop(tmp_path: Path, relay: Relay) -> None:
    with Desk() as desk:
        one, two = (
            Gateway(tmp_path / name, mail_sink=relay.port, desk=desk.port, address=f"support@{name}.example")
            for name in ("one", "two")
        )
        relay.doors = {"one.example": one.smtp, "two.example": two.smtp}
        with one.start(), two.start():
            one.mail(mail("support@two.example", "support@one.example", "first@two.example"),
                     sender="support@two.example", to="support@one.example")  # fmt: skip
            for gateway in (one, two, one, two):
                gateway.settle()
            sent = Counter(str(email.utils.parseaddr(one["From"])[1]) for one in relay.carried)
    assert sent["support@one.example"] >= 1
    assert max(sent.values()) <= 2


@pytest.mark.timeout(900)  # of a thousand, on a busy machine
def test_a_flood_from_one_sender_brings_three_acknowledgements(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    many = int(pytestconfig.getoption("--flood"))
    with MailSink() as sink, Desk() as desk, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port) as gateway:
        with smtplib.SMTP("127.0.0.1", gateway.smtp, timeout=60) as client:
            for n in range(many):
                raw = mail("li@example.cn", "support@example.com", f"{n}@example.cn")
                client.sendmail("li@example.cn", ["support@example.com"], raw)
        gateway.settle(60 + many)
        assert len(sink.mails) == 3
        assert gateway.metric("ticketgate_tickets") == many
        newest = max((ticket["number"] for ticket in gateway.tickets()), key=int)
        (decision,) = gateway.json("explain", newest)
        # After 500 tickets the customer's history no longer knows the first three; the ledger does.
        assert decision["withheld"] in (
            ["acknowledge: 3 acknowledgements within an hour to this customer"],
            ["acknowledge: as many acknowledgements to this address within an hour as are allowed"],
        )


def test_a_storm_stops_all_acknowledgements_and_is_told_until_somebody_says_so(tmp_path: Path) -> None:
    limits = "{storm_a_minute: 5, domain_an_hour: 0}"
    with (
        MailSink() as sink,
        Desk() as desk,
        Gateway(tmp_path, mail_sink=sink.port, desk=desk.port, acknowledgements=limits) as gateway,
    ):
        for n in range(9):
            gateway.mail(mail(f"c{n}@example.cn", "support@example.com", f"{n}@example.cn"))
        gateway.settle()
        assert len(sink.mails) == 5
        assert gateway.metric("ticketgate_acknowledgement_storm") == 1
        assert "a storm of acknowledgements" in gateway.log.read_text()
        told = {row["within the hour"]: row["acknowledgements"] for row in gateway.json("acknowledgements", "show")}
        assert (told["sent"], told["storm"]) == (5, 4)

        assert "go out again" in gateway.cli("acknowledgements", "resume")
        gateway.mail(mail("late@example.cn", "support@example.com", "late@example.cn"))
        gateway.settle()
        assert len(sink.mails) == 6
        assert gateway.metric("ticketgate_acknowledgement_storm") == 0
        assert "acknowledgements.resume" in gateway.cli("audit", "list")
