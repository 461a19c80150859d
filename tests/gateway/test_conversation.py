"""A conversation on a chat channel, through a real gateway: one ticket, one acknowledgement, whatever the vendor repeats."""

import random
import time
from pathlib import Path
from typing import Any

from serving import Desk, Gateway, post
from vendor import beside
from vendors.line import PERSON, SECRET, TOKEN, Side

LINES = [f"第{n}句：订单10023还没到" for n in range(1, 31)]
SECRET_WORDS = "身份证110101199001011234"


def event(number: int, **said: Any) -> dict[str, Any]:
    return {
        "type": "message", "webhookEventId": f"E{number:025}", "timestamp": int(time.time() * 1000) + number,
        "source": {"type": "user", "userId": PERSON}, "replyToken": f"{number:032x}", "mode": "active",
        "deliveryContext": {"isRedelivery": False}, **said,
    }  # fmt: skip


def text(number: int, words: str) -> dict[str, Any]:
    return event(number, message={"id": str(1000 + number), "type": "text", "quoteToken": "q", "text": words})


def send(gateway: Gateway, vendor: Side, *events: dict[str, Any]) -> int:
    request = vendor.signed(*events)
    return post(f"http://127.0.0.1:{gateway.http}/in/line/main", request.body, request.headers)


def gateway(folder: Path, vendor: Side, desk: Desk) -> Gateway:
    (folder / "secret").write_text(SECRET)
    (folder / "token").write_text(TOKEN)
    account = {
        "connector": "line",
        "account": "main",
        "channel_secrets": [{"file": "secret"}],
        "channel_access_token": {"file": "token"},
    }
    return Gateway(folder, desk=desk.port, accounts=({**account, **vendor.settings()},))


def test_thirty_lines_are_one_ticket_and_what_is_taken_back_is_gone(tmp_path: Path) -> None:
    side, dice = Side(), random.Random(30)
    with beside(side), Desk() as desk, gateway(tmp_path, side, desk) as running:
        first = [text(n, words) for n, words in enumerate(LINES[:15])]
        assert send(running, side, *first) in (200, 204)
        running.kill()
        running.start()
        rest = [text(n, words) for n, words in enumerate(LINES[15:], 15)]
        for one in rest:
            assert send(running, side, one) in (200, 204)
        again = [*first, *rest]
        dice.shuffle(again)
        for start in range(0, 30, 7):  # redelivered, in another order and in other batches
            assert send(running, side, *again[start : start + 7]) in (200, 204)
        running.settle()

        (ticket,) = running.tickets()
        assert sorted(message["text"] for message in ticket["messages"]) == sorted(LINES)
        owed = running.json("outbox", "list", "--state", "sent", "--json")
        assert len([one for one in owed if one["what"] == "reply"]) == 1
        assert len(side.sent) in (1, 2)  # a kill between sending and saying so may double one
        assert ticket["number"] in side.sent[0]["text"]
        assert [one["type"] for one in desk.received].count("ticket.created") == 1

        folder = tmp_path / "captured"
        folder.mkdir()  # one that is here already, and one that was missed
        (folder / "1.http").write_bytes(written(side.signed(*first)))
        (folder / "2.json").write_bytes(side.signed(text(80, "补发的一句")).body)
        assert running.json("import", "requests", "line/main", str(folder)) == [
            {"files": 2, "new": 1, "known": 1, "skipped": 0}
        ]
        assert running.json("import", "requests", "line/main", str(folder))[0]["known"] == 2
        running.settle()
        assert [message["text"] for message in running.tickets()[0]["messages"]].count("补发的一句") == 1
        assert len(running.tickets()[0]["messages"]) == 31

        send(running, side, text(90, SECRET_WORDS))
        running.settle()
        assert SECRET_WORDS in seen(running)
        send(running, side, event(91, type="unsend", unsend={"messageId": "1090"}))
        running.settle()
        assert SECRET_WORDS not in seen(running)
        (ticket,) = running.tickets()
        (left,) = [message for message in ticket["messages"] if "taken_back" in message["defects"]]
        assert (left["text"], left["external_id"], left["from"]["address"]) == ("", "1090", PERSON)
        assert sum(message["text"] in LINES for message in ticket["messages"]) == 30


def test_the_first_words_taken_back_are_gone_from_the_ticket_too(tmp_path: Path) -> None:
    side = Side()
    with beside(side), Desk() as desk, gateway(tmp_path, side, desk) as running:
        send(running, side, text(1, SECRET_WORDS))
        running.settle()
        assert running.tickets()[0]["subject"] == SECRET_WORDS
        send(running, side, text(3, "在吗"))
        send(running, side, event(2, type="unsend", unsend={"messageId": "1001"}))
        send(running, side, event(5, type="unsend", unsend={"messageId": "1004"}))  # overtakes what it is about
        running.settle()
        send(running, side, text(4, SECRET_WORDS), text(6, "还在吗"))
        running.settle()
        assert "110101199001011234" not in seen(running)
        (ticket,) = running.tickets()
        assert (ticket["description"], len(ticket["messages"])) == ("", 5)
        assert [one["data"]["message"]["kind"] for one in desk.received[2:4]] == ["delete", "delete"]
        assert running.json("rules", "replay", "--json")[0]["changed"] == 0


def written(request: Any) -> bytes:
    head = [
        f"{request.method} {request.url} HTTP/1.1",
        *(f"{name.title()}: {value}" for name, value in request.headers.items()),
    ]
    return "\r\n".join([*head, "", ""]).encode() + request.body


def seen(gateway: Gateway) -> str:
    """Everything that can be had of the ticket, unmasked."""
    (ticket,) = gateway.tickets()
    told = gateway.cli("explain", ticket["number"], "--reveal", "--json")
    told += gateway.cli("tickets", ticket["number"], "--reveal", "--json")
    told += gateway.cli("rules", "replay", "--json")
    return told + gateway.cli("outbox", "list", "--state", "sent", "--json")


def test_a_picture_taken_back_before_it_was_fetched_is_never_kept(tmp_path: Path) -> None:
    side = Side()
    picture = event(
        1, message={"id": "202", "type": "image", "contentProvider": {"type": "line"}}
    )  # not ready for long
    with beside(side), Desk() as desk, gateway(tmp_path, side, desk) as running:
        send(running, side, picture)
        until(lambda: len(side.sent) == 1)
        send(running, side, event(2, type="unsend", unsend={"messageId": "202"}))
        until(lambda: [one["type"] for one in desk.received] == ["ticket.created", "message.added"])
        running.settle()
        assert running.json("outbox", "list") == []
        (ticket,) = running.tickets()
        assert [message["attachments"] for message in ticket["messages"]] == [[], []]


def until(true: Any, within: float = 30) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)
