"""Albums: one message of what came in many envelopes, whatever order and however long it takes."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ruled import drain, house_of, ruled, said
from stored import NOW, SECOND, opened

from connectors.telegram import Telegram
from connectors.telegram_updates import lane_of
from gateway import process
from gateway.gather import PATIENCE, QUIET, gather
from gateway.store.store import Store
from gateway.store.work import Claim
from normalizer.canon import Envelope, Message

BOT = Telegram(
    Telegram.Settings.model_validate({"connector": "telegram", "account": "support", **Telegram.unconfigured})
)  # type: ignore[arg-type]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await opened(tmp_path / "data")
    yield made
    await made.close()


def part(number: int, *, after: timedelta = timedelta(), album: str = "7", **more: Any) -> Envelope:
    person = {"id": 5, "is_bot": False, "first_name": "王芳"}
    photo = [{"file_id": f"photo{number}", "width": 90}]
    said = {"message_id": number, "from": person, "chat": {"id": 5, "type": "private"}, "date": 1772443800}
    update = {"update_id": number, "message": {**said, "media_group_id": album, "photo": photo, **more}}
    body = json.dumps(update).encode()
    return Envelope("telegram", "support", str(number), lane_of(body), NOW + after, body)


async def gathered(store: Store, after: timedelta) -> tuple[Claim, Message] | None:
    (claim,) = await store.claim(NOW + after, 1)
    return await gather(store, BOT, claim, NOW + after)


def photos(message: Message) -> list[str]:
    return [file.remote for file in message.attachments]


async def test_it_waits_until_nothing_more_came_in_for_a_while(store: Store) -> None:
    await store.journal([part(1)], NOW)
    assert await gathered(store, SECOND) is None
    await store.journal([part(2, after=SECOND, caption="破了")], NOW + SECOND)
    assert await gathered(store, QUIET) is None
    assert await store.claim(NOW + QUIET, 1) == []
    whole = await gathered(store, QUIET + SECOND)
    assert whole
    assert (photos(whole[1]), whole[1].text, whole[1].external_id) == (["photo1", "photo2"], "破了", "1")
    assert len(whole[0].further) == len(whole[1].gathered) == 1


async def test_a_part_that_came_twice_counts_once(store: Store) -> None:
    again = replace(part(2), key="another")
    await store.journal([part(1), part(2), again, replace(part(1), key="once more")], NOW)
    whole = await gathered(store, QUIET)
    assert whole and photos(whole[1]) == ["photo1", "photo2"]
    assert (whole[1].envelope, whole[1].gathered) == (part(1).id, (part(2).id,))


async def test_an_album_that_does_not_end_is_not_waited_for_for_ever(store: Store) -> None:
    parts = [part(n, after=timedelta(seconds=n)) for n in range(1, 17)]
    await store.journal(parts, NOW)
    whole = await gathered(store, SECOND + PATIENCE)
    assert whole and len(photos(whole[1])) == 16


async def test_parts_come_in_any_order_and_others_between_them_keep_their_turn(store: Store) -> None:
    between = part(3, album="another")
    broken = Envelope("telegram", "support", "x", part(1).lane, NOW, b"{")
    await store.journal([part(2), between, broken, part(1, caption="破了"), part(4, album="", text="在吗")], NOW)
    whole = await gathered(store, QUIET)
    assert whole
    claim, message = whole
    assert (photos(message), message.external_id, message.envelope) == (["photo1", "photo2"], "1", part(2).id)
    assert message.gathered == (part(1).id,) and len(claim.further) == 1


async def test_an_album_that_cannot_be_gathered_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of ours in it costs this album its attempt, and none of what was claimed together with it."""

    async def faulty(*_: Any) -> None:
        raise RuntimeError("a fault nobody foresaw")

    gateway = ruled(tmp_path)
    account = {"connector": "telegram", "account": "support", "polling": True, "token": {"env": "TEST_BOT"}}
    text = gateway.config.read_text().replace("helpdesks:\n", f"  - {json.dumps(account)}\nhelpdesks:\n")
    gateway.config.write_text(text)
    monkeypatch.setenv("TEST_BOT", "1:unconfigured")
    for name, value in gateway.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(process, "gather", faulty)
    async with house_of(gateway) as house:
        now = house.clock.now()
        await house.store.journal([replace(part(1), received_at=now)], now)
        await said(house, "订单5还没到")
        await drain(house)
        assert [ticket.description for ticket, _ in await house.store.tickets()] == ["订单5还没到"]
        states = {one.connector: one.state for one in await house.store.journal_page()}
        assert states["email_smtp"] == "done" and states["telegram"] != "done"
