"""Files that customers send and vendors keep: fetched first, kept like what came in, and told to nobody before."""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Desk, Gateway, post
from vendor import beside
from vendors.telegram import SECRET, TOKEN, Side

from gateway import reading
from gateway.store.enclosed import ERASED
from gateway.store.work import Claim
from normalizer.canon import Envelope

PHOTO = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 1200  # larger than what stays in the row
CHAT = {"id": 5511223344, "first_name": "张三", "type": "private"}


@pytest.fixture
def vendor() -> Iterator[Side]:
    with beside(Side()) as side:
        assert isinstance(side, Side)
        yield side


@pytest.fixture
def desk() -> Iterator[Desk]:
    with Desk() as desk:
        yield desk


def gateway(folder: Path, vendor: Side, desk: Desk, **more: Any) -> Gateway:
    (folder / "token").write_text(TOKEN)
    (folder / "secret").write_text(SECRET)
    account = {
        "connector": "telegram",
        "account": "support",
        "token": {"file": "token"},
        "secrets": [{"file": "secret"}],
    }
    return Gateway(
        folder, desk=desk.port, accounts=({**account, **vendor.settings(), **more.pop("account", {})},), **more
    )


def send(gateway: Gateway, number: int, **said: Any) -> int:
    message = {"message_id": number, "from": {**CHAT, "is_bot": False}, "chat": CHAT, "date": int(time.time()), **said}
    headers = {"content-type": "application/json", "x-telegram-bot-api-secret-token": SECRET}
    body = json.dumps({"update_id": number, "message": message}).encode()
    return post(f"http://127.0.0.1:{gateway.http}/in/telegram/support", body, headers)


def photo(name: str) -> list[dict[str, Any]]:
    return [{"file_id": name, "file_unique_id": name, "file_size": len(PHOTO), "width": 9, "height": 9}]


def files(gateway: Gateway) -> list[dict[str, Any]]:
    return [one for ticket in gateway.tickets() for message in ticket["messages"] for one in message["attachments"]]


def triggers(gateway: Gateway) -> list[str]:
    (ticket,) = gateway.tickets()
    return [one["case"]["trigger"] for one in gateway.json("explain", ticket["number"], "--reveal", "--json")]


def test_a_picture_is_fetched_before_anybody_is_told_of_it(tmp_path: Path, vendor: Side, desk: Desk) -> None:
    vendor.files["p1"] = PHOTO
    with gateway(tmp_path, vendor, desk) as running:
        assert send(running, 1, photo=photo("p1"), caption="包装破了，见图") == 204
        running.settle()
        (file,) = files(running)
        assert (file["sha256"], file["size"], file["missing"]) == (hashlib.sha256(PHOTO).hexdigest(), len(PHOTO), "")
        assert triggers(running) == ["ticket.created", "message.completed"]
        told = [
            one["data"]["message"]["attachments"][0]["sha256"]
            for one in desk.received
            if one["type"] == "ticket.created"
        ]
        assert told == [file["sha256"]]
        assert len(vendor.sent) == 1
        assert TOKEN not in running.log.read_text()
        ticket = running.tickets()[0]
        path = f"tickets/{ticket['number']}/messages/{ticket['messages'][0]['id']}/files/{file['sha256']}"
        assert [
            downloaded(running, path, scopes) for scopes in (("tickets:read", "personal:read"), ("tickets:read",))
        ] == [
            PHOTO,
            403,
        ]
        replayed = running.json("rules", "replay", "--json")
        assert [one for one in replayed if one.get("number") == ticket["number"]] == []


def test_files_are_fetched_although_nothing_may_leave_the_house(tmp_path: Path, vendor: Side, desk: Desk) -> None:
    vendor.files["p1"] = PHOTO
    with gateway(tmp_path, vendor, desk, outbound="off") as running:
        send(running, 1, photo=photo("p1"))
        until(lambda: [one["sha256"] for one in files(running)] == [hashlib.sha256(PHOTO).hexdigest()])
    assert vendor.sent == [] and desk.received == []


def test_what_cannot_be_had_is_said_and_holds_nothing_up(tmp_path: Path, vendor: Side, desk: Desk) -> None:
    vendor.files["large"] = PHOTO
    with gateway(tmp_path, vendor, desk, account={"media": {"size_limit": 1000}}) as running:
        send(running, 1, photo=photo("large"), caption="太大")
        send(running, 2, photo=[{**photo("lost")[0], "file_size": 9}], caption="没了")
        running.settle()
        assert [one["missing"] for one in files(running)] == ["oversized", "gone"]
        assert triggers(running).count("message.completed") == 2
        told = {
            one["data"]["message"]["text"]: one["data"]["message"]["attachments"][0]["missing"] for one in desk.received
        }
        assert told == {"太大": "oversized", "没了": "gone"}


def test_killed_between_fetching_and_saying_so_a_file_is_kept_once(tmp_path: Path, vendor: Side, desk: Desk) -> None:
    vendor.files["p1"] = PHOTO
    running = gateway(tmp_path, vendor, desk)
    running.start(environment={"TICKETGATE_FAULT": "fetch.after_journal"})  # it ends by itself
    send(running, 1, photo=photo("p1"), caption="见图")
    assert running.process and running.process.wait(30) != 0
    with running.start():
        running.settle()
        assert [one["sha256"] for one in files(running)] == [hashlib.sha256(PHOTO).hexdigest()]
        assert triggers(running) == ["ticket.created", "message.completed"]
    assert [one["type"] for one in desk.received].count("ticket.created") == 1


def test_a_file_that_was_erased_before_anybody_looked_at_it_is_nothing() -> None:
    gone = Envelope("media", "telegram", ERASED, ERASED, datetime.now(UTC), ERASED.encode())  # as the store opens it
    decides_nothing: Any = None
    nothing = reading.read(decides_nothing, Claim(gone, "lane", 1, 1))
    assert (nothing.messages, nothing.told, nothing.trouble) == ([], None, None)


def downloaded(gateway: Gateway, path: str, scopes: tuple[str, ...]) -> bytes | int:
    """What a program with a key of these scopes gets."""
    (made,) = gateway.json("keys", "add", "helpdesk", *(part for scope in scopes for part in ("--scope", scope)))
    answer = httpx.get(
        f"http://127.0.0.1:{gateway.http}/api/v1/{path}",
        headers={"authorization": f"Bearer {made['secret (shown once)']}"},
    )
    return answer.content if answer.status_code == 200 else answer.status_code


def until(true: Any, within: float = 20) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)
