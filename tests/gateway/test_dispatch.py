"""What leaves the house, through a real gateway with several targets."""

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Desk, Gateway, MailSink


@pytest.fixture
def hanging() -> Iterator[int]:
    """The port of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:
        kept: list[socket.socket] = []

        def take() -> None:
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        for one in kept:
            one.close()


def mail(n: int) -> bytes:
    return (
        f"From: c{n}@example.cn\r\nTo: support@example.com\r\nMessage-ID: <d{n}@x>\r\n\r\nmy parcel {n} is lost\r\n"
    ).encode()


def test_a_helpdesk_that_hangs_delays_neither_the_other_one_nor_any_reply(tmp_path: Path, hanging: int) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        text = gateway.config.read_text()
        other = text[text.index("  - {helpdesk:") :].replace("name: desk", "name: asleep")
        gateway.config.write_text(text + other.replace(f":{desk.port}/", f":{hanging}/"))
        with gateway.start():
            for n in range(40):
                gateway.mail(mail(n))
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and (len(desk.received) < 40 or len(sink.mails) < 40):
                time.sleep(0.1)
            asleep = [row for row in gateway.json("outbox", "list") if row["to"] == "asleep"]
            assert (len(desk.received), len(sink.mails), len(asleep)) == (40, 40, 40)
            assert [row["last error"] for row in asleep] == [""] * 40  # nobody waited for it to give up


def test_what_was_held_goes_out_in_order_once_it_is_retried(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port, outbound="off")
        with gateway.start():
            gateway.mail(mail(1))
            gateway.settle()
            gateway.stop()
            gateway.config.write_text(gateway.config.read_text().replace("outbound: off", "outbound: on"))
            gateway.start()
            gateway.mail(mail(2).replace(b"c2@", b"c1@").replace(b"\r\n\r\n", b"\r\nIn-Reply-To: <d1@x>\r\n\r\n", 1))
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and not any(row["state"] == "queued" for row in left(gateway)):
                time.sleep(0.1)
            assert desk.received == []

            assert "will be sent again" in gateway.cli("outbox", "retry", "--state", "held")
            gateway.settle()
            assert [one["type"] for one in desk.received] == ["ticket.created", "message.added"]
            assert left(gateway) == []


def test_what_is_damaged_is_shown_as_such_and_what_is_owed_of_it_is_a_dead_letter(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port, outbound="off").start()
        for n in (1, 2):
            gateway.mail(mail(n))
            gateway.settle()
        gateway.stop()
        (second, first) = gateway.json("tickets")
        damaged(tmp_path / "data", first["number"])
        gateway.config.write_text(gateway.config.read_text().replace("outbound: off", "outbound: on"))

        assert [(row["number"], row["subject"]) for row in gateway.json("tickets")] == [
            (second["number"], second["subject"]), (first["number"], "damaged"),
        ]  # fmt: skip
        assert "damaged" in gateway.cli("tickets", first["number"])
        with gateway.start():
            assert "damaged" in gateway.get(f"/console/tickets/{first['number']}")
            assert second["number"] in gateway.get("/console/")
            gateway.cli("outbox", "retry", "--state", "held")
            gateway.settle()
            assert [one["data"]["ticket"]["number"] for one in desk.received] == [second["number"]]
            dead = [(row["ticket"], row["last error"]) for row in left(gateway)]
            assert dead == [(first["number"], "what was stored of it cannot be opened")]
            aside = {(row["code"], row["reason"].rpartition(": ")[2]) for row in gateway.json("quarantine", "list")}
            assert aside == {("poison", "the ticket or contact it belongs to")}  # the news of it


def damaged(folder: Path, number: str) -> None:
    with sqlite3.connect(folder / "ticketgate.db") as connection:
        connection.execute("UPDATE tickets SET sealed = zeroblob(80) WHERE number = ?", (number,))


def left(gateway: Gateway) -> list[dict[str, object]]:
    return gateway.json("outbox", "list")
