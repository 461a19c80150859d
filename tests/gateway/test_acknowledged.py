"""Mail that answers itself and says nothing of it: a loop that ends by itself."""

from email import message_from_bytes
from pathlib import Path

from serving import Desk, Gateway, MailSink


def answer(n: int, sender: str = "robot@example.cn") -> bytes:
    """What a plain autoresponder writes: no reference, nothing that marks it."""
    return (
        f"From: {sender}\r\nTo: support@example.com\r\nSubject: Thank you\r\nMessage-ID: <auto-{n}.{sender}>\r\n\r\n"
        "We have received your message and will answer soon.\r\n"
    ).encode()


def test_an_autoresponder_that_answers_each_acknowledgement_gets_three_and_the_tickets_say_why(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port) as gateway:
        gateway.mail(answer(0))
        for n in range(1, 6):
            gateway.settle()
            if len(sink.mails) < n:
                break
            gateway.mail(answer(n))
        assert len(sink.mails) == 3

        gateway.mail(answer(9, "someone@example.cn"))
        gateway.settle()
        assert [message_from_bytes(mail)["To"] for mail in sink.mails[3:]] == ["someone@example.cn"]

        tickets = sorted((ticket for ticket in gateway.tickets()), key=lambda ticket: str(ticket["number"]))
        assert [bool(ticket["acked_at"]) for ticket in tickets] == [True, True, True, False, True]
        (decision,) = gateway.json("explain", tickets[3]["number"], "--json")
        assert decision["withheld"] == ["acknowledge: 3 acknowledgements within an hour to this customer"]
        assert [past["acknowledged"] for past in decision["case"]["history"]] == [True, True, True]


def test_messages_that_wait_together_are_counted_too(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        with gateway.start(roles="accept"):
            for n in range(8):
                gateway.mail(answer(n))
            gateway.stop()
            gateway.start().settle()
            assert len(gateway.tickets()) == 8
            assert len(sink.mails) == 3
