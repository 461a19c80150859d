"""LINE: replies while their token is good, pushes once, buttons, films that take a while, and batches cut otherwise."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Gateway
from vendor import speaking
from vendors.line import BOT, CHANNEL, FILM, PERSON, SECRET, TOKEN, Side, event, text

from connectors.base import enclose
from connectors.line import Line, LineSettings
from normalizer.canon import Address, Attachment, Choice, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

HERE = Path(__file__).parent / "line"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SETTINGS = json.loads((HERE / "settings.json").read_text())
GROUP = {"type": "group", "groupId": "C" + "2c" * 16, "userId": PERSON}


def account(**more: Any) -> Line:
    return Line(LineSettings.model_validate({**SETTINGS, **more}))


@asynccontextmanager
async def answering(**more: Any) -> AsyncIterator[tuple[Side, Line]]:
    side = Side()
    async with speaking(side):
        house = account(**{**side.settings(), **more})
        yield side, house
        await house.close()


def reply(n: int = 1, **more: Any) -> Reply:
    to = Address("line", PERSON)
    made = Reply(f"{n:032x}", "line", "line", "main", "t", "20260302001", to, "", "您好", "zh", reply_token="0f" * 16,
                 thread_key=PERSON, answering=MOMENT)  # fmt: skip
    return replace(made, **more)


def heard(house: Line, *events: dict[str, Any]) -> list[Message]:
    return list(house.parse(enclose(house, Side().signed(*events))))


# At the door


def test_the_consoles_verify_button_is_answered_with_200_and_either_secret_lets_in() -> None:
    house = account()
    for secret in SETTINGS["channel_secrets"]:
        request = Side().signed(secret=secret)  # no events
        house.verify(request)
        assert house.answer(request).status == 200
    with pytest.raises(Rejected):
        house.verify(Side().signed(secret="another"))


def test_a_redelivery_is_recognised_though_its_body_says_that_it_is_one() -> None:
    house, again = account(), {"deliveryContext": {"isRedelivery": True}}
    first, second = Side().signed(text(1, "hi"), text(2, "ho")), Side().signed(text(1, "hi", **again), text(2, "ho"))

    assert first.body != second.body
    assert house.key(first) == house.key(second) != house.key(Side().signed(text(1, "hi")))


def test_events_in_other_batches_and_another_order_are_the_same_messages() -> None:
    house, said = account(), [text(1, "a"), text(2, "b", source=GROUP), event(3, "postback", postback={"data": "x"})]
    once = [message.id for message in heard(house, *said)]
    cut = [message.id for one in reversed(said) for message in heard(house, one)]

    assert sorted(once) == sorted(cut)
    assert len(set(once)) == 3


def test_a_batch_of_one_conversation_is_its_lane() -> None:
    house = account()
    assert house.lane(Side().signed(text(1, "a"), text(2, "b"))) == PERSON
    assert house.lane(Side().signed(text(1, "a"), text(2, "b", source=GROUP))) == BOT


def test_one_strange_event_costs_nothing_beside_it() -> None:
    house, request = account(), Side().signed(text(1, "a"))
    body = json.dumps({"destination": BOT, "events": [7, json.loads(request.body)["events"][0], None]}).encode()
    with pytest.raises(Unreadable, match=r"event 1: .*; event 3: ") as caught:
        house.parse(enclose(house, replace(request, body=body)))
    assert [message.text for message in caught.value.readable] == ["a"]


@pytest.mark.parametrize(("groups", "heard_of"), [("all", 3), ("mentioned", 2), ("none", 1)])
def test_in_groups_all_is_heard_or_what_mentions_us_or_nothing(groups: str, heard_of: int) -> None:
    us = {"mentionees": [{"index": 0, "length": 3, "type": "user", "isSelf": True}]}
    named = event(3, source=GROUP, message={"id": "3", "type": "text", "text": "@us", "mention": us})
    assert len(heard(account(groups=groups), text(1, "a"), text(2, "b", source=GROUP), named)) == heard_of


def test_what_is_unsent_is_another_revision_of_what_was_said() -> None:
    said, gone = heard(account(), text(1, "a"), event(2, "unsend", unsend={"messageId": f"5000{1:014d}"}))
    assert (gone.kind, gone.external_id, gone.scope) == (Kind.DELETE, said.external_id, said.scope)
    assert gone.revision == "deleted"


# Answering


async def test_a_reply_in_time_costs_nothing_later_ones_and_second_ones_are_pushed_to_the_conversation() -> None:
    async with answering() as (side, house):
        replied = await house.send(reply(1, thread_key=GROUP["groupId"]), MOMENT + timedelta(seconds=49))
        await house.send(reply(2, thread_key=GROUP["groupId"]), MOMENT + timedelta(seconds=49))
        await house.send(reply(3, reply_token="1e" * 16), MOMENT + timedelta(seconds=51))

    assert [(way, said.get("to")) for way, said in side.asked] == [
        ("reply", None), ("push", GROUP["groupId"]), ("push", PERSON),
    ]  # fmt: skip
    assert replied.external_id == "9" + "0" * 17


@pytest.mark.parametrize("token", ["0f" * 16, ""])
async def test_a_message_whose_answer_was_lost_is_not_sent_again(token: str) -> None:
    async with answering() as (side, house):
        side.lost = True
        with pytest.raises(Unavailable):
            await house.send(reply(reply_token=token), MOMENT)
        sent = await house.send(reply(reply_token=token), MOMENT + timedelta(seconds=5))

    assert len(side.sent) == 1
    assert sent.external_id == ("" if token else "9" + "0" * 17)  # a push's comes with the 409


async def test_a_token_somebody_else_used_is_followed_by_a_push() -> None:
    async with answering() as (side, house):
        side.used.add("0f" * 16)
        await house.send(reply(), MOMENT)
    assert [way for way, _ in side.asked] == ["reply", "push"]


async def test_long_words_go_five_messages_a_call() -> None:
    async with answering() as (side, house):
        await house.send(reply(text="句" * 27_000), MOMENT)

    assert [(way, len(said["messages"])) for way, said in side.asked] == [("reply", 5), ("push", 1)]
    assert sum(len(one["text"]) for one in side.sent) == 27_000


async def test_choices_are_buttons_which_bring_back_code_and_label() -> None:
    long = "这个标签比一个按钮能显示的二十个字符还要长一些"
    choices = (Choice("solved", "已解决"), Choice("long", long), *(Choice(f"c{n}", f"第 {n} 个") for n in range(12)))
    async with answering() as (side, house):
        await house.send(reply(choices=choices), MOMENT)
        (sent,) = side.sent
    pressed = [event(n, "postback", postback={"data": one["action"]["data"]}) for n, one in enumerate(sent["buttons"])]
    back = heard(account(), *pressed)

    assert sent["text"] == "您好\n· 第 11 个"  # LINE shows thirteen
    assert max(len(one["action"]["label"]) for one in sent["buttons"]) == 20
    assert [(one.claims["choice"], one.text) for one in back[:2]] == [("solved", "已解决"), ("long", long)]
    assert len(back) == 13


async def test_a_full_quota_and_a_stranger_are_refused_in_plain_words() -> None:
    async with answering() as (side, house):
        with pytest.raises(Refused, match="Failed to send") as caught:
            await house.send(reply(reply_token="", thread_key="x"), MOMENT)
        assert caught.value.bounced
        side.quota = 0
        with pytest.raises(Refused, match="used up"):
            await house.send(reply(2, reply_token=""), MOMENT)
        side.trouble = "429"
        with pytest.raises(Unavailable) as slow:
            await house.send(reply(3, reply_token=""), MOMENT)
    assert slow.value.wait == timedelta(seconds=7)


async def test_short_lived_tokens_are_asked_for_anew_and_a_bad_one_is_told_without_it() -> None:
    async with answering(channel_access_token=None, channel_id=CHANNEL) as (side, house):
        await house.send(reply(1), MOMENT)
        await house.send(reply(2), MOMENT)
        side.tokens.clear()  # revoked before its time
        await house.send(reply(3), MOMENT)
        await house.send(reply(4), MOMENT + timedelta(minutes=14))
    assert (side.issued, len(side.sent)) == (3, 4)

    async with answering(channel_access_token="spoilt-token") as (side, house):
        with pytest.raises(Unavailable, match="access token") as caught:
            await house.send(reply(), MOMENT)
        (finding,) = await house.examine(MOMENT)
    assert not finding.well
    assert "spoilt-token" not in repr(caught.value) + repr(finding)


def test_one_way_to_a_token_must_be_given() -> None:
    for more in ({"channel_access_token": None}, {"channel_id": CHANNEL}, {"channel_secrets": [""]}):
        with pytest.raises(ValueError, match=r"give either|is empty"):
            account(**more)


# Media


async def test_a_film_is_waited_for_and_fetched_with_the_token_which_strangers_do_not_get() -> None:
    film = Attachment("1.mp4", "video/mp4", 0, "", remote="1")
    async with answering() as (side, house):
        side.processing = 1
        with pytest.raises(Unavailable, match="preparing"):
            await house.fetch(film, MOMENT)
        got = await house.fetch(film, MOMENT)
        with pytest.raises(Unavailable, match="preparing"):
            await house.fetch(replace(film, media_type="image/jpeg", remote="202"), MOMENT)
        with pytest.raises(Refused, match="410"):
            await house.fetch(replace(film, remote="410"), MOMENT)
        with pytest.raises(Refused, match="401"):  # the sender's own server
            await house.fetch(replace(film, remote=f"{side.url}/v2/bot/message/1/content"), MOMENT)
        elsewhere = await house.fetch(replace(film, media_type="image/jpeg", remote="x/../1"), MOMENT)

    assert (got.content, got.media_type, got.missing) == (FILM, "video/mp4", "")
    assert elsewhere.missing == "forbidden"  # nothing that a stranger wrote becomes a path of the API


# ticketgate doctor


async def test_the_doctor_looks_at_token_webhook_and_quota() -> None:
    async with answering() as (side, house):
        found = await house.examine(MOMENT)
    assert [(one.what.removeprefix("line/main "), one.well) for one in found] == [
        ("access token", True), ("webhook", True), ("push messages this month", False),
    ]  # fmt: skip
    assert side.sent == []


# By a real gateway


def traffic(side: Side, gateway: Gateway) -> list[dict[str, Any]]:
    """Two messages in one batch, and again each in a batch of its own, in another order."""
    said = [text(1, "收到的商品破损"), text(2, "订单 10023")]
    with gateway:
        for events in (said, said[1:], said[:1]):
            request = side.signed(*events)
            url = f"http://127.0.0.1:{gateway.http}/in/line/main"
            assert httpx.post(url, content=request.body, headers=dict(request.headers)).status_code == 200
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (gateway.metric("ticketgate_waiting") or not side.asked):
            time.sleep(0.05)
        return gateway.tickets()


async def test_one_conversation_in_many_batches_becomes_one_ticket_and_is_answered_by_its_reply_token(
    tmp_path: Path,
) -> None:
    side = Side()
    async with speaking(side):
        gateway = Gateway(tmp_path)
        secrets = {"channel_secrets": [{"file": "secret"}], "channel_access_token": {"file": "token"}}
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "token").write_text(TOKEN)
        mine = json.dumps({**SETTINGS, **side.settings(), **secrets})
        gateway.config.write_text(gateway.config.read_text().replace("connectors:\n", f"connectors:\n  - {mine}\n"))
        tickets = await asyncio.to_thread(traffic, side, gateway)

    (ticket,) = tickets
    assert sorted(message["text"] for message in ticket["messages"] if message["direction"] == "in") == [
        "收到的商品破损", "订单 10023",
    ]  # fmt: skip
    ((way, acknowledged),) = side.asked
    assert (way, acknowledged["replyToken"]) == ("reply", f"{1:032x}")
    assert ticket["number"] in acknowledged["messages"][0]["text"]
