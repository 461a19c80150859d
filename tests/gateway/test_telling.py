"""What happens is told to subscribers: signed, in order, again until it is taken, and nothing twice under another id."""

import time
from pathlib import Path
from typing import Any

import pytest
from browsing import send
from serving import Desk, Gateway
from standardwebhooks.webhooks import Webhook

from gateway import settings, wire
from normalizer.errors import ConfigError

PATIENCE = 20.0  # seconds


def subscribed(folder: Path, board: Desk, *, kinds: str = "[]") -> Gateway:
    gateway = Gateway(folder)
    gateway.config.write_text(
        gateway.config.read_text()
        + f'events: [{{name: board, url: "http://127.0.0.1:{board.port}/hooks", secret: {{env: TEST_DESK_SECRET}},'
        + f" kinds: {kinds}, allow_private: true}}]\n"
    )
    return gateway


def events(board: Desk) -> list[dict[str, Any]]:
    return [event for batch in board.received for event in batch["data"]]


def wait_for(board: Desk, kind: str, count: int = 1) -> None:
    until = time.monotonic() + PATIENCE
    while sum(event["event"] == kind for event in events(board)) < count:
        assert time.monotonic() < until, [event["event"] for event in events(board)]
        time.sleep(0.1)


def mail(gateway: Gateway, name: str) -> None:
    send(gateway, f"{name}@example.cn", name, f"请问{name}", "请问营业时间？", f"told-{name}")


def test_a_subscriber_hears_of_each_ticket_signed_and_without_a_customers_word(tmp_path: Path) -> None:
    with Desk() as board, subscribed(tmp_path, board).start() as gateway:
        time.sleep(1.5)  # it begins with what happens from its first start on
        mail(gateway, "lilei")
        wait_for(board, "ticket.created")
        Webhook(gateway.desk_secret).verify(board.headers[0]["body"], board.headers[0])
        told = board.headers[0]["body"]
        assert "lilei" not in told
        assert "example.cn" not in told
        (created,) = [event for event in events(board) if event["event"] == "ticket.created"]
        assert created["number"].startswith("20")


def test_what_was_not_taken_is_told_again_under_the_same_id_also_after_a_restart(tmp_path: Path) -> None:
    with Desk() as board:
        board.answers = [(503, {"retry-after": "1"}), *[(500, {})] * 20]
        gateway = subscribed(tmp_path, board, kinds="[ticket.created]")
        with gateway.start():
            time.sleep(1.5)
            mail(gateway, "wangfang")
            gateway.get("/healthz")
            until = time.monotonic() + PATIENCE
            while not board.attempts:
                assert time.monotonic() < until
                time.sleep(0.1)
            (first,) = board.attempts
            mail(gateway, "sunli")  # more happens while the batch is not taken
            while gateway.metric("ticketgate_tickets") < 2:
                assert time.monotonic() < until + PATIENCE
                time.sleep(0.1)
            gateway.kill()
        board.answers.clear()
        with gateway.start():
            mail(gateway, "zhaolei")
            wait_for(board, "ticket.created", 3)
        assert board.attempts[first] > 1
        assert first in [batch["id"] for batch in board.received]
        seen = [event["id"] for event in events(board)]
        assert seen == sorted(set(seen))
        assert {event["event"] for event in events(board)} == {"ticket.created"}


def test_a_kind_that_there_is_not_stops_the_start(tmp_path: Path) -> None:
    with Desk() as board:
        gateway = subscribed(tmp_path, board, kinds="[ticket.vanished]")
        known = settings.read(gateway.config)
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("TEST_DESK_SECRET", gateway.desk_secret)
            with pytest.raises(ConfigError, match=r"no event is called 'ticket.vanished'"):
                wire.subscribers(known)
