"""kill -9 amid chats: LINE, WhatsApp and Telegram post in batches, repeat what was not answered and much that was.

`--kills 100` for fifty kills.
"""

import json
import random
import threading
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from serving import Desk, Gateway, post
from vendor import Vendor, beside, side
from vendors.line import SECRET as LINE_SECRET
from vendors.line import TOKEN as LINE_TOKEN
from vendors.meta import NUMBER
from vendors.telegram import SECRET as TELEGRAM_SECRET
from vendors.telegram import TOKEN as TELEGRAM_TOKEN

HERE = Path(__file__).parents[1] / "connectors"
CUSTOMERS = 12  # of each channel

Event = dict[str, Any]


def line(customer: int, number: int) -> Event:
    return {
        "type": "message", "webhookEventId": f"E{customer:03}{number:022}", "timestamp": int(time.time() * 1000),
        "source": {"type": "user", "userId": f"U{customer:032x}"}, "mode": "active", "replyToken": f"{customer:016x}{number:016x}",
        "deliveryContext": {"isRedelivery": False},
        "message": {"type": "text", "id": f"{customer:03}{number:03}", "quoteToken": "q", "text": f"第{number}句，订单{customer}"},
    }  # fmt: skip


def whatsapp(customer: int, number: int) -> Event:
    return {
        "from": f"86138123{customer:05}", "id": f"wamid.{customer}.{number}", "timestamp": str(int(time.time())),
        "type": "text", "text": {"body": f"第{number}句，订单{customer}"},
    }  # fmt: skip


def telegram(customer: int, number: int) -> Event:
    chat = {"id": 7000 + customer, "type": "private", "first_name": f"客户{customer}"}
    said = {"message_id": number + 1, "date": int(time.time()), "text": f"第{number}句，订单{customer}"}
    return {"update_id": customer * 100 + number, "message": {**said, "chat": chat, "from": {**chat, "is_bot": False}}}


def batch_of_meta(*messages: Event) -> Event:
    value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": NUMBER}, "messages": list(messages)}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}],
    }


class Channel:
    """What its customers say, in an order of its own, and how it posts it."""

    def __init__(self, code: str, account: str, said: Callable[[int, int], Event], batch: int, lines: int) -> None:
        self.code, self.account, self.batch = code, account, batch
        self.vendor: Vendor = side(code)
        self.waiting = [said(customer, number) for number in range(lines) for customer in range(CUSTOMERS)]
        self.interrupted = 0

    def request(self, events: list[Event]) -> Any:
        vendor: Any = self.vendor
        match self.code:
            case "line":
                return vendor.signed(*events)
            case "meta":
                return vendor.signed(batch_of_meta(*events))
            case _:
                return vendor.signed(events[0])

    def batches(self, dice: random.Random) -> Iterator[list[Event]]:
        """What is new in batches, and again and again what was told before, in others."""
        said: list[Event] = []
        for start in range(0, len(self.waiting), self.batch):
            fresh = self.waiting[start : start + self.batch]
            yield fresh
            said += fresh
            if dice.random() < 0.5:
                yield [dice.choice(said) for _ in range(min(self.batch, len(said)))]


def keep_posting(gateway: Gateway, channel: Channel, dice: random.Random) -> None:
    """As vendors do: until it is taken."""
    url = f"http://127.0.0.1:{gateway.http}/in/{channel.code}/{channel.account}"
    for events in channel.batches(dice):
        request = channel.request(events)
        while True:
            try:
                if post(url, request.body, request.headers) in (200, 204):
                    break
            except (OSError, urllib.error.URLError):
                channel.interrupted += 1
            time.sleep(0.05)
        time.sleep(dice.uniform(0, 0.1))


@pytest.mark.timeout(900)
def test_chats_lose_and_double_nothing_however_often_the_gateway_is_killed(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    kills = max(3, int(request.config.getoption("--kills")) // 2)
    lines = 4 + kills  # that each customer says
    channels = opened(tmp_path, lines)
    with ExitStack() as stack:
        desk = stack.enter_context(Desk())
        for channel in channels:
            stack.enter_context(beside(channel.vendor))
        gateway = Gateway(tmp_path, desk=desk.port, attempts=10, accounts=tuple(map(settings, channels)))
        with gateway:
            storm(gateway, channels, kills)
            tickets = gateway.tickets()
            owed = gateway.json("outbox", "list", "--state", "sent", "--limit", "10000")
            assert gateway.json("outbox", "list") == []

    assert sum(one.interrupted for one in channels) >= kills  # it was killed amid the posting
    said = Counter((m["channel"], m["scope"], m["external_id"]) for ticket in tickets for m in ticket["messages"])
    assert len(said) == CUSTOMERS * lines * len(channels)
    assert max(said.values()) == 1
    assert len(tickets) == CUSTOMERS * len(channels)
    assert {len(ticket["messages"]) for ticket in tickets} == {lines}
    assert len([one for one in owed if one["what"] == "reply"]) == len(tickets)
    told = acknowledged(channels, [ticket["number"] for ticket in tickets])
    assert len(told) == len(tickets)
    assert sum(told.values()) - len(told) <= kills * len(channels)
    created = {one["data"]["ticket"]["id"] for one in desk.received if one["type"] == "ticket.created"}
    assert len(created) == len(tickets)


def opened(folder: Path, lines: int) -> list[Channel]:
    """The channels, and their secrets in files of this folder."""
    known = json.loads((HERE / "meta" / "settings.json").read_text())
    secrets = {"line": LINE_SECRET, "meta": known["app_secrets"][0], "telegram": TELEGRAM_SECRET}
    tokens = {"line": LINE_TOKEN, "meta": known["phone_numbers"][NUMBER], "telegram": TELEGRAM_TOKEN}
    for code, secret in secrets.items():
        (folder / f"{code}.secret").write_text(secret)
        (folder / f"{code}.token").write_text(tokens[code])
    return [
        Channel("line", "main", line, 5, lines), Channel("meta", "main", whatsapp, 4, lines),
        Channel("telegram", "support", telegram, 1, lines),
    ]  # fmt: skip


def settings(channel: Channel) -> Event:
    secret, token = {"file": f"{channel.code}.secret"}, {"file": f"{channel.code}.token"}
    own: dict[str, Event] = {
        "line": {"channel_secrets": [secret], "channel_access_token": token},
        "meta": {"app_secrets": [secret], "verify_token": secret, "phone_numbers": {NUMBER: token}},
        "telegram": {"token": token, "secrets": [secret]},
    }
    return {"connector": channel.code, "account": channel.account, **own[channel.code], **channel.vendor.settings()}


def storm(gateway: Gateway, channels: list[Channel], kills: int) -> None:
    """All post at once while the gateway is killed; returns when everything was taken and worked on."""
    dice = random.Random(kills)
    posting = [
        threading.Thread(target=keep_posting, args=(gateway, one, random.Random(one.code)), daemon=True)
        for one in channels
    ]
    for thread in posting:
        thread.start()
    for _ in range(kills):
        time.sleep(dice.uniform(0.1, 1.2))
        gateway.kill()
        gateway.start()
    for thread in posting:
        thread.join(120)
        assert not thread.is_alive(), "not everything was taken"
    gateway.settle(120)


def acknowledged(channels: list[Channel], numbers: list[str]) -> Counter[str]:
    """How often each number was told by its vendor."""
    texts = [sent["text"] for channel in channels for sent in channel.vendor.sent]
    return Counter(number for text in texts for number in numbers if number in text)
