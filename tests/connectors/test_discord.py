"""Discord: the Gateway through cut lines and ended sessions, interactions, and what its answers mean for us."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from serving import Desk, Gateway
from vendor import speaking
from vendors.discord import (
    GUILD,
    MOMENT,
    PICTURE,
    SUPPORT,
    THEM,
    THREAD,
    TOKEN,
    US,
    Door,
    Side,
    gateway,
    interaction,
    message,
    signed,
)

from connectors import discord_gateway
from connectors.base import Cursor, enclose
from connectors.discord import Discord, DiscordSettings
from normalizer.canon import Address, Attachment, Choice, Envelope, Reply
from normalizer.errors import ConfigError, Refused, Rejected, Unavailable

SETTINGS = json.loads((Path(__file__).parent / "discord" / "settings.json").read_text())
REPLY = Reply(
    id="0123456789abcdef0123456789abcdef", channel="discord", connector="discord", account="community", ticket="t1",
    number="20260302001", to=Address("discord", THEM), subject="", text="已受理", language="zh",
    thread_key=f"{SUPPORT}:{THEM}", in_reply_to="1100000000000000001", answering=MOMENT,
)  # fmt: skip


def opened(**more: Any) -> Discord:
    return Discord(DiscordSettings.model_validate({**SETTINGS, **more}))


@pytest.fixture
async def discord() -> AsyncIterator[tuple[Discord, Side]]:
    vendor = Side()
    async with speaking(vendor):
        house = opened(**vendor.settings(), allow_private=True)
        yield house, vendor
        await house.close()


# Interactions


def test_a_ping_is_answered_only_if_discord_signed_it() -> None:
    ping = {"type": 1, "id": "1", "application_id": US, "token": "x", "version": 1}
    answer = opened().greet(signed(ping))
    assert answer and json.loads(answer.body) == {"type": 1}
    news = opened().greet(signed({"version": 1, "application_id": US, "type": 0}))
    assert news and (news.status, news.body) == (204, b"")
    with pytest.raises(Rejected):
        opened().greet(signed(ping, key=Ed25519PrivateKey.generate()))
    with pytest.raises(Rejected):
        opened(public_key="").greet(signed(ping))


def test_the_signature_has_one_form_and_the_timestamp_is_no_part_of_the_body() -> None:
    whole = signed(interaction(2, {"name": "ticket"}))
    opened().verify(whole)
    loud = {**whole.headers, "x-signature-ed25519": whole.headers["x-signature-ed25519"].upper()}
    shifted = {**whole.headers, "x-signature-timestamp": whole.headers["x-signature-timestamp"] + "{"}
    for forged in (replace(whole, headers=loud), replace(whole, headers=shifted, body=whole.body[1:])):
        with pytest.raises(Rejected):
            opened().verify(forged)


def test_what_cannot_work_is_said_at_the_start() -> None:
    with pytest.raises(ConfigError, match="64 hexadecimal digits"):
        opened(public_key="abc")
    with pytest.raises(ConfigError, match="hears nothing"):
        opened(public_key="", gateway=False)


def test_news_of_an_application_are_no_messages() -> None:
    house, asked = opened(), signed({"version": 1, "type": 1, "event": {"type": "ENTITLEMENT_CREATE", "data": {}}})
    assert house.greet(asked) is None
    assert house.answer(asked).status == 204
    assert house.parse(enclose(house, asked)) == []


@pytest.mark.parametrize(
    ("asked", "told", "messages"),
    [
        (interaction(2, {"name": "ticket", "type": 1, "options": [{"name": "q", "type": 3, "value": "help"}]}), 4, 1),
        (interaction(2, {"name": "ticket", "type": 1}), 9, 0),  # a form to write in
        (interaction(2, {"name": "ban", "type": 1, "options": [{"name": "q", "type": 3, "value": "help"}]}), 4, 0),
        (interaction(3, {"custom_id": f"ticketgate:{THEM}:score:5"}), 6, 1),
        (interaction(3, {"custom_id": "ticketgate:someone else:solved"}), 6, 0),
        (interaction(3, {"custom_id": "click_one"}), 6, 0),
        (interaction(4, {"name": "ticket"}), 8, 0),
    ],
)
def test_an_interaction_is_answered_at_once(asked: dict[str, Any], told: int, messages: int) -> None:
    house, request = opened(), signed(asked)
    assert json.loads(house.answer(request).body)["type"] == told
    assert len(house.parse(enclose(house, request))) == messages


def test_a_button_under_an_answer_that_one_person_sees_belongs_to_their_direct_message() -> None:
    house, custom = opened(), {"custom_id": f"ticketgate:{THEM}:solved"}
    keys = [
        house.parse(enclose(house, signed(interaction(3, custom, message={"id": "1", "flags": flags}))))[0].thread_key
        for flags in (0, 64)
    ]
    assert keys == [f"{SUPPORT}:{THEM}", f"@{THEM}"]


# Sending


async def test_an_answer_quotes_what_it_answers_and_is_posted_once_however_often_it_is_tried(
    discord: tuple[Discord, Side],
) -> None:
    house, vendor = discord
    choices = tuple(Choice(f"score:{score}", f"{score} 分" + "好" * 90) for score in range(1, 7))
    sent = [await house.send(replace(REPLY, choices=choices, text="句子。" * 800), MOMENT) for _ in range(2)]
    assert sent[0] == sent[1]
    assert [(channel, len(one["content"]) <= 2000) for channel, one in vendor.posted] == [(SUPPORT, True)] * 2
    first, last = (one for _, one in vendor.posted)
    assert first["message_reference"] == {"message_id": REPLY.in_reply_to, "fail_if_not_exists": False}
    assert first["allowed_mentions"]["parse"] == []
    rows = [[button["custom_id"] for button in row["components"]] for row in last["components"]]
    assert [len(row) for row in rows] == [5, 1]
    assert rows[0][0] == f"ticketgate:{THEM}:score:1"
    assert {len(button["label"]) for row in last["components"] for button in row["components"]} == {80}


async def test_who_calls_themselves_a_link_makes_none_of_our_words(discord: tuple[Discord, Side]) -> None:
    house, vendor = discord
    await house.send(replace(REPLY, text="谢谢您，[免费领取](https://evil.example)！"), MOMENT)
    assert [one["content"] for _, one in vendor.posted] == ["谢谢您，[免费领取]\\(https://evil.example)！"]


async def test_a_person_is_answered_in_a_direct_message(discord: tuple[Discord, Side]) -> None:
    house, vendor = discord
    for _ in range(2):
        await house.send(replace(REPLY, thread_key=f"@{THEM}"), MOMENT)
    assert [channel for channel, _ in vendor.posted] == [f"7{THEM}"]
    assert "message_reference" not in vendor.posted[0][1]


async def test_a_command_is_answered_where_it_was_given_as_long_as_that_is_possible(
    discord: tuple[Discord, Side],
) -> None:
    house, vendor = discord
    command = replace(REPLY, thread_key=f"@{THEM}", reply_token=f"{US}/A_TOKEN")
    await house.send(command, MOMENT + timedelta(minutes=13))
    await house.send(command, MOMENT + timedelta(minutes=16))
    vendor.ended.add("A_TOKEN")
    await house.send(replace(command, id="fe" * 16), MOMENT)
    assert [channel for channel, _ in vendor.posted] == ["interaction", f"7{THEM}", f"7{THEM}"]
    assert vendor.posted[0][1]["flags"] == 64


@pytest.mark.parametrize(("code", "bounced"), [(50007, True), (50278, True), (50013, False), (50001, False)])
async def test_who_cannot_be_written_to_is_refused(discord: tuple[Discord, Side], code: int, bounced: bool) -> None:
    house, vendor = discord
    vendor.code = code
    with pytest.raises(Refused, match=str(code)) as refused:
        await house.send(replace(REPLY, thread_key=f"@{THEM}"), MOMENT)
    assert refused.value.bounced is bounced


async def test_a_wrong_token_loses_nothing_and_a_limit_is_waited_for(discord: tuple[Discord, Side]) -> None:
    house, vendor = discord
    vendor.trouble = "429"
    with pytest.raises(Unavailable) as limited:
        await house.send(REPLY, MOMENT)
    assert limited.value.wait == timedelta(seconds=64.57)
    vendor.trouble, vendor.token = "", "another"
    with pytest.raises(Unavailable, match="token"):
        await house.send(REPLY, MOMENT)


async def test_a_link_that_has_ended_is_renewed(discord: tuple[Discord, Side]) -> None:
    house, vendor = discord
    for name in ("new.png", "old.png"):
        left = Attachment("a.png", "image/png", 0, "", remote=f"{vendor.url}/cdn/{name}")
        assert (await house.fetch(left, MOMENT)).content == PICTURE
    assert vendor.renewed == 1


async def test_doctor_tells_what_is_lacking(discord: tuple[Discord, Side]) -> None:
    house, vendor = discord
    assert [one.well for one in await house.examine(MOMENT)] == [True, True, True]
    vendor.flags = 0
    other = opened(**vendor.settings(), public_key="00" * 32)
    assert [one.well for one in await other.examine(MOMENT)] == [True, False, False]
    await other.close()
    vendor.token = "another"
    assert [one.well for one in await house.examine(MOMENT)] == [False]


# The Gateway


@dataclass
class Journal:
    """What is kept, once for each key; and where we stopped."""

    kept: dict[str, Envelope] = field(default_factory=dict)
    came: list[str] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    trouble: Exception | None = None

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        if self.trouble:
            raise self.trouble
        self.came += [one.key for one in envelopes]
        self.kept |= {one.key: one for one in envelopes if one.key not in self.kept}
        if cursor:
            self.cursors[cursor.name] = cursor.value

    async def recall(self, name: str) -> str:
        return self.cursors.get(name, "")

    async def refuse(self, *_: Any) -> None: ...


@dataclass
class Line:
    """Both sides of the Gateway, and what stands between restarts of ours."""

    side: Side
    door: Door
    journal: Journal = field(default_factory=Journal)

    @asynccontextmanager
    async def listening(self, **more: Any) -> AsyncIterator[Discord]:
        house = opened(**self.side.settings(), allow_private=True, **more)
        house.resume(self.journal.recall)
        task = asyncio.create_task(house.listen(self.journal.accept, self.journal.refuse, lambda: MOMENT))
        try:
            yield house
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await house.close()

    async def say(self, *named: str, **more: Any) -> None:
        for one in named:
            self.side.history.setdefault(more.get("channel_id", "7100"), []).append(message(one, one, **more))
            await self.door.tell("MESSAGE_CREATE", message(one, one, **more))

    async def has(self, *keys: str) -> None:
        await until(lambda: list(self.journal.kept) == list(keys))


async def until(so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.fixture
async def line(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setattr(discord_gateway, "FIRST_PAUSE", 0.01)
    side = Side()
    async with gateway() as door, speaking(side):
        side.gateway = door.url
        yield Line(side, door)


async def test_nothing_is_lost_or_taken_twice_over_cut_lines_and_restarts(line: Line) -> None:
    async with line.listening():
        await until(lambda: line.door.sessions == 1)
        await line.say("101", "102")
        await line.has("101", "102")
        await line.door.cut()
        await line.say("103")
        await line.has("101", "102", "103")
    await line.say("104", "105")
    async with line.listening():
        await line.say("106")
        await line.has("101", "102", "103", "104", "105", "106")
    assert line.journal.came == ["101", "102", "103", "104", "105", "106"]
    assert line.door.ops() == [2, 6, 6]
    assert line.door.heard[0]["d"]["intents"] & 1 << 15


async def test_what_was_said_while_there_was_no_session_is_fetched(line: Line) -> None:
    first, *missed = [str(named) for named in range(1_500_000_000_000_000_101, 1_500_000_000_000_000_352)]
    in_support, elsewhere, in_thread, last = (f"15000000000000004{number:02}" for number in range(4))
    async with line.listening():
        await until(lambda: line.door.sessions == 1)
        await line.say(first)
        await line.has(first)
    line.door.alive = False
    await line.say(*missed)  # more than two answers hold
    await line.say(in_support, channel_id=SUPPORT)
    await line.say(elsewhere, channel_id="9300", guild_id=GUILD)
    await line.say(in_thread, channel_id=THREAD, guild_id=GUILD)  # begun meanwhile
    line.side.threads = [{"id": THREAD, "parent_id": SUPPORT}, {"id": "9400", "parent_id": "9300"}]
    async with line.listening():
        await until(lambda: line.door.sessions == 2)
        await line.say(last)
        await until(lambda: last in line.journal.kept)
    assert sorted(line.journal.kept) == [
        first,
        *missed,
        in_support,
        in_thread,
        last,
    ]  # the last by both ways, under one key
    assert [key for key in line.journal.came if key in missed] == missed
    (kept,) = opened().parse(line.journal.kept[in_support])
    (thread,) = opened().parse(line.journal.kept[in_thread])
    assert (kept.thread_key, thread.thread_key) == (f"{SUPPORT}:{THEM}", THREAD)
    assert line.door.ops() == [2, 6, 2]


async def test_what_cannot_be_kept_is_told_again(line: Line) -> None:
    async with line.listening():
        await until(lambda: line.door.sessions == 1)
        line.journal.trouble = Unavailable("the disk is full")
        await line.say("101")
        await until(lambda: 6 in line.door.ops())
        line.journal.trouble = None
        await line.has("101")


@pytest.mark.parametrize("op", [7, 9])
async def test_asked_to_connect_again_we_do(line: Line, op: int) -> None:
    async with line.listening():
        await until(lambda: line.door.sessions == 1)
        await line.say("101")
        await line.has("101")
        await line.door.say(op, True)
        await until(lambda: line.door.ops() == [2, 6])
        await line.door.say(op, False)
        await until(lambda: line.door.ops() == [2, 6, 6] if op == 7 else line.door.sessions == 2)


async def test_a_line_that_acknowledges_nothing_is_given_up(line: Line) -> None:
    async with line.listening():
        await until(lambda: line.door.sessions == 1)
        line.door.acknowledges = False
        await until(lambda: line.door.ops() == [2, 6])


@pytest.mark.parametrize(("code", "hint"), [(4004, "token"), (4014, "Message Content Intent")])
async def test_why_discord_lets_nobody_in_is_said_once_and_without_the_token(
    line: Line, code: int, hint: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    line.door.refuses = code
    async with line.listening():
        await until(lambda: bool(line.door.ops()))
        await asyncio.sleep(0.2)
    told = capsys.readouterr().out + caplog.text
    assert hint in told
    assert TOKEN not in told
    assert line.door.ops() == [2]


async def test_in_a_server_only_what_is_said_to_us_is_taken(line: Line) -> None:
    elsewhere = {"channel_id": "9300", "guild_id": GUILD}
    async with line.listening() as house:
        await until(lambda: line.door.sessions == 1)
        await line.say("101", **elsewhere)
        await line.say("102", mentions=[{"id": US}], **elsewhere)
        await line.say("103", referenced_message={"author": {"id": US}}, **elsewhere)
        await line.say("104", channel_id=SUPPORT, guild_id=GUILD)
        await line.say("105", channel_id=THREAD, guild_id=GUILD)
        await line.say("106", author={"id": "5", "bot": True}, channel_id=SUPPORT, guild_id=GUILD)
        await line.door.tell("MESSAGE_UPDATE", message("102", "x", mentions=[{"id": US}], **elsewhere))  # a preview
        await line.door.tell("MESSAGE_DELETE", {"id": "102", **elsewhere})
        await line.door.tell("MESSAGE_DELETE", {"id": "9", "channel_id": "9999", "guild_id": GUILD})
        await line.door.tell("MESSAGE_REACTION_ADD", {"user_id": THEM, "message_author_id": "5", **elsewhere})
        await line.door.tell("TYPING_START", elsewhere)
        await line.say("107", mentions="unheard of")
        await line.say("108")
        await line.has("102", "103", "104", "105", "102:deleted", "107", "108")
        (in_thread,) = house.parse(line.journal.kept["105"])
    assert in_thread.thread_key == THREAD


async def test_an_interaction_that_comes_by_the_gateway_is_kept_and_answered(line: Line) -> None:
    asked = interaction(2, {"name": "ticket", "type": 1, "options": [{"name": "q", "type": 3, "value": "help"}]})
    async with line.listening() as house:
        await until(lambda: line.door.sessions == 1)
        await line.door.tell("INTERACTION_CREATE", asked)
        await until(lambda: bool(line.side.answers))
        (kept,) = house.parse(line.journal.kept[asked["id"]])
    ((named, answer),) = line.side.answers
    assert (named, answer["type"], kept.text) == (asked["id"], 4, "help")
    request = signed(asked)
    assert house.key(request) == asked["id"]
    assert house.parse(enclose(house, request))[0].id == kept.id


async def test_a_direct_message_becomes_a_ticket_that_is_acknowledged_there(tmp_path: Path) -> None:
    side = Side()
    (tmp_path / "token").write_text(TOKEN)
    with Desk() as desk:
        async with gateway() as door, speaking(side):
            side.gateway = door.url
            account = {"connector": "discord", "account": "community", "token": {"file": "token"}, **side.settings()}
            ours = Gateway(tmp_path, desk=desk.port)
            written = f"  - {json.dumps(account)}\nhelpdesks:\n"
            ours.config.write_text(ours.config.read_text().replace("helpdesks:\n", written))
            await asyncio.to_thread(ours.start)
            try:
                await until(lambda: door.sessions == 1)
                await door.tell("MESSAGE_CREATE", message("1100000000000000001", "订单5没收到货"))
                await until(lambda: bool(side.posted))
            finally:
                await asyncio.to_thread(ours.kill)
            (ticket,) = await asyncio.to_thread(ours.tickets)
    ((channel, answer),) = side.posted
    assert channel == f"7{THEM}"
    assert ticket["number"] in answer["content"]
