"""What is particular to Telegram (core.telegram.org/bots/api): its queue of updates, chats, buttons, files and limits."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from serving import Gateway
from telegram import Message as Theirs
from telegram import Update
from vendor import speaking
from vendors import telegram as theirs

from connectors import telegram_polling
from connectors.base import Cursor, enclose
from connectors.telegram import Telegram
from connectors.telegram_calls import keyboard
from connectors.vendor import utf16
from normalizer.canon import Address, Attachment, Choice, Envelope, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable

FOLDER = Path(__file__).parent / "telegram"
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
WANG = {"id": 5511223344, "is_bot": False, "first_name": "王芳"}
OLGA = {"id": 6600112233, "is_bot": False, "first_name": "Olga"}
CHAT = {"id": 5511223344, "first_name": "王芳", "type": "private"}
GROUP = {"id": -1001876543210, "title": "大客户群", "type": "supergroup"}


def bot(**more: Any) -> Telegram:
    said = json.loads((FOLDER / "settings.json").read_text())
    return Telegram(Telegram.Settings.model_validate({**said, **more}))  # type: ignore[arg-type]


def parsed(house: Telegram, update: Any) -> Sequence[Message]:
    return house.parse(enclose(house, theirs.Side().signed({"update_id": 1, **update})))


def written(text: str = "订单还没有发货", **more: Any) -> dict[str, Any]:
    return {"message": {"message_id": 7, "from": WANG, "chat": CHAT, "date": 1772443800, "text": text, **more}}


def reply(**more: Any) -> Reply:
    to = Address("telegram", "5511223344")
    whole = Reply("0f" * 16, "telegram", "telegram", "support", "1f" * 16, "20260302001", to, "", "已收到。", "zh")
    return replace(whole, **more)


@asynccontextmanager
async def at_telegram(**more: Any) -> AsyncIterator[tuple[Telegram, theirs.Side]]:
    side = theirs.Side()
    async with speaking(side):
        house = bot(**side.settings(), **more)
        yield house, side
        await house.close()


# What an update says


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.http")), ids=lambda path: path.stem)
def test_the_library_reads_the_same_in_it(path: Path) -> None:
    body = path.read_bytes().partition(b"\n\n")[2]
    read = bot().parse(Envelope("telegram", "support", "k", "l", NOW, body))
    update = Update.de_json(json.loads(body))
    said = update.effective_message
    for one in (one for one in read if one.kind in (Kind.MESSAGE, Kind.EDIT)):
        assert isinstance(said, Theirs) and said.from_user
        assert (one.external_id, one.thread_key.partition(":")[0].partition("@")[0]) == (
            str(said.id),
            str(said.chat.id),
        )
        assert (one.sender.address, one.sender.name) == (str(said.from_user.id), said.from_user.full_name)
        assert one.sent_at == (said.edit_date or said.date)
        assert said.text is None or one.text == said.text
        assert one.text == (said.caption or "") or not said.effective_attachment or one.text.startswith("[")
        files = (
            said.effective_attachment if isinstance(said.effective_attachment, tuple) else [said.effective_attachment]
        )
        assert not one.attachments or one.attachments[0].remote in [getattr(file, "file_id", "") for file in files]


def test_an_update_is_known_by_what_it_says_besides_its_number() -> None:
    house, side = bot(), theirs.Side()
    one = side.signed({"update_id": 7, **written("第一条")})
    spaced = replace(one, body=json.dumps(json.loads(one.body), indent=2, ensure_ascii=False).encode())
    restarted = side.signed({"update_id": 7, **written("一周以后", message_id=8)})

    assert house.key(one) == house.key(spaced) != house.key(restarted)


def test_the_same_message_in_another_update_is_the_same_and_its_edit_another_revision() -> None:
    house, side = bot(), theirs.Side()
    first, again = (house.parse(enclose(house, side.signed({"update_id": n, **written()})))[0] for n in (7, 99))
    edit = {"edited_message": {**written("改好了")["message"], "edit_date": 1772443900}}
    (edited,) = parsed(house, edit)

    assert first.id == again.id != edited.id
    assert (edited.kind, edited.external_id, edited.revision) == (Kind.EDIT, first.external_id, "1772443900")


def test_two_chats_number_their_messages_alike() -> None:
    (here,), (there,) = (parsed(bot(), written(chat={**GROUP, "id": chat})) for chat in (-1, -2))
    assert here.external_id == there.external_id and here.id != there.id


@pytest.mark.parametrize(
    ("groups", "said", "taken"),
    [
        ("all", {"chat": GROUP}, True),
        ("none", {"chat": GROUP}, False),
        ("none", {}, True),
        ("addressed", {}, True),
        ("addressed", {"chat": GROUP}, False),
        ("addressed", {"chat": GROUP, "text": "@Desk_Bot 订单在哪"}, True),
        ("addressed", {"chat": GROUP, "text": "/status@desk_bot"}, True),
        ("addressed", {"chat": GROUP, "text": "@desk_bot_2 订单在哪"}, False),
        ("addressed", {"chat": GROUP, "reply_to_message": {"message_id": 3, "from": {"id": 7012345678}}}, True),
        ("addressed", {"chat": GROUP, "reply_to_message": {"message_id": 3, "from": WANG}}, False),
    ],
)
def test_of_groups_it_takes_what_the_account_says(groups: str, said: dict[str, Any], taken: bool) -> None:
    assert bool(parsed(bot(groups=groups), written(**said))) is taken


@pytest.mark.parametrize(("chat", "asked", "counts"), [(GROUP, WANG, True), (GROUP, OLGA, False), (CHAT, OLGA, True)])
def test_a_button_in_a_group_counts_only_from_whom_it_was_for(chat: Any, asked: Any, counts: bool) -> None:
    under = {"message_id": 9, "chat": chat, "date": 1772443800, "reply_to_message": {"message_id": 7, "from": asked}}
    said = parsed(bot(), {"callback_query": {"id": "4382", "from": WANG, "message": under, "data": "solved"}})
    assert [one.claims for one in said] == [{"choice": "solved"}] * counts


def test_what_a_colleague_writes_in_a_group_is_an_agents_word() -> None:
    house = bot(agents=[WANG["id"]])
    (group,), (private,) = parsed(house, written(chat=GROUP)), parsed(house, written())
    assert [(one.direction, one.author) for one in (group, private)] == [("out", "agent"), ("in", "customer")]


def test_a_rich_text_is_read_as_deep_as_telegrams_go_and_no_deeper() -> None:
    house = bot()
    envelope = enclose(house, theirs.Side().signed({"update_id": 1, **written("", rich_message={"text": "@"})}))
    for depth, words in ((60, "[富文本 rich message] 好"), (900, "[富文本 rich message]")):
        nest = "[" * depth + '"好"' + "]" * depth
        (message,) = house.parse(replace(envelope, body=envelope.body.replace(b'"@"', nest.encode())))
        assert message.text == words


def test_who_walks_about_sharing_the_place_says_it_once() -> None:
    there = {**written(), "location": {"latitude": 31.2, "longitude": 121.4, "live_period": 900}}
    said = {key: value for key, value in {**written()["message"], **there}.items() if key != "text"}
    assert [one.text for one in parsed(bot(), {"message": said})] == ["[位置 location] 31.2,121.4"]
    assert parsed(bot(), {"edited_message": {**said, "edit_date": 1772443860}}) == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"secrets": []}, "give secrets"),
        ({"secrets": ["short"]}, "16 to 256"),
        ({"secrets": ["with blanks is not allowed"]}, "16 to 256"),
        ({"token": "bot7012345678:AAE"}, "BotFather"),
        ({"groups": "addressed", "username": ""}, "username"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_reason(more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        bot(**more)


@pytest.mark.parametrize(
    "offered", [{}, {"x-telegram-bot-api-secret-token": ""}, {"x-telegram-bot-api-secret-token": theirs.SECRET}]
)
def test_without_a_secret_nobody_is_let_in(offered: dict[str, str]) -> None:
    asked = replace(theirs.Side().signed({"update_id": 1, **written()}), headers=offered)
    with pytest.raises(Rejected):
        bot(secrets=[], polling=True).verify(asked)


# Sending


async def test_a_long_text_goes_in_pieces_the_first_quoting_the_last_with_buttons() -> None:
    text = "\n\n".join("问题已经解决 😀。" * 60 for _ in range(12))
    choices = (Choice("solved", "已解决"), Choice("unsolved", "未解决"), Choice("x" * 65, "一个很长的编码"))
    async with at_telegram() as (house, side):
        sent = await house.send(reply(text=text, in_reply_to="417", choices=choices), NOW)

    pieces, saids = [one["text"] for one in side.sent], [one["said"] for one in side.sent]
    assert len(pieces) > 1 and all(utf16(piece) <= 4096 for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join((text + "· 一个很长的编码").split())
    assert [json.loads(said.get("reply_parameters", "{}")) for said in saids][1:] == [{}] * (len(saids) - 1)
    assert json.loads(saids[0]["reply_parameters"]) == {"message_id": 417, "allow_sending_without_reply": True}
    assert [[b["callback_data"] for b in one["buttons"]] for one in side.sent[-2:]] == [[], ["solved", "unsolved"]]
    assert sent.external_id == "9001" and "parse_mode" not in saids[0]


async def test_it_answers_in_the_topic_and_in_the_name_it_was_written_to() -> None:
    async with at_telegram() as (house, side):
        await house.send(reply(thread_key="-1001876543210:33"), NOW)
        await house.send(reply(thread_key="6600112233@kq7Zb1"), NOW)
        await house.send(reply(), NOW)

    said = [
        (one["to"], one["said"].get("message_thread_id"), one["said"].get("business_connection_id"))
        for one in side.sent
    ]
    assert said == [("-1001876543210", "33", None), ("6600112233", None, "kq7Zb1"), ("5511223344", None, None)]


async def test_a_group_that_became_a_supergroup_is_answered_there() -> None:
    async with at_telegram() as (house, side):
        await house.send(reply(thread_key=str(theirs.OLD_GROUP), in_reply_to="417"), NOW)
    assert [(one["to"], one["said"].get("reply_parameters")) for one in side.sent] == [(str(theirs.NEW_GROUP), None)]


@pytest.mark.parametrize(("chat", "why"), [(theirs.BLOCKED, "blocked by the user"), (theirs.GONE, "not found")])
async def test_who_cannot_be_reached_any_more_is_marked(chat: int, why: str) -> None:
    async with at_telegram() as (house, _):
        with pytest.raises(Refused, match=why) as caught:
            await house.send(reply(thread_key=str(chat)), NOW)
    assert caught.value.bounced


async def test_it_waits_as_long_as_telegram_asks() -> None:
    async with at_telegram() as (house, side):
        side.trouble = "429"
        with pytest.raises(Unavailable) as caught:
            await house.send(reply(), NOW)
    assert caught.value.wait == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("trouble", "why"), [("500", "no answer: Internal Server Error"), ("drop", "no answer: RemoteProtocolError")]
)
async def test_an_outage_is_told_by_its_kind(trouble: str, why: str) -> None:
    async with at_telegram() as (house, side):
        side.trouble = trouble
        with pytest.raises(Unavailable, match=why):
            await house.send(reply(), NOW)


async def test_a_button_stops_turning_when_it_is_answered_however_late() -> None:
    async with at_telegram() as (house, side):
        for _ in range(2):  # the second time it is too old
            await house.send(reply(reply_token="4382bfdwdsb323b2d9", in_reply_to="4382bfdwdsb323b2d9"), NOW)
    assert side.pressed == ["4382bfdwdsb323b2d9"] and len(side.sent) == 2


async def test_a_token_taken_back_is_an_outage_and_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with at_telegram(token="7012345678:AAE-taken-back") as (house, _):
        with pytest.raises(Unavailable) as caught:
            await house.send(reply(), NOW)
        (finding,) = await house.examine(NOW)
    assert not finding.well
    assert "taken-back" not in str(caught.value) + repr(caught.value.__context__) + str(finding) + caplog.text


def test_buttons_stand_beside_each_other_as_far_as_they_can_be_read() -> None:
    scores = [Choice(f"score:{n}", "★" * n) for n in range(1, 6)]
    markup, spelt = keyboard([*scores, Choice("human", "请人工客服尽快与我联系，谢谢"), Choice("", "无")])
    assert markup
    assert [len(row) for row in markup.inline_keyboard] == [5, 1] and spelt == "· 无"


# Files

PHOTO = Attachment("photo.jpg", "image/jpeg", 0, "", remote="AgACAgIAAxkBAAIBx")


async def test_a_file_is_fetched_and_no_url_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with at_telegram() as (house, side):
        side.files[PHOTO.remote] = b"\xff\xd8 a photo"
        fetched = await house.fetch(PHOTO, NOW)
    assert (fetched.content, fetched.media_type, fetched.size, fetched.missing) == (
        b"\xff\xd8 a photo",
        "image/jpeg",
        10,
        "",
    )
    assert theirs.TOKEN.partition(":")[2] not in caplog.text + repr(fetched)


@pytest.mark.parametrize(
    ("more", "size", "missing"),
    [
        ({}, theirs.LARGE + 1, "oversized"),
        ({"size_limit": 100}, 101, "oversized"),
        ({"types": ["audio/*"]}, 9, "forbidden"),
    ],
)
async def test_a_file_over_a_limit_is_marked(more: dict[str, Any], size: int, missing: str) -> None:
    async with at_telegram(media=more) as (house, side):
        side.files[PHOTO.remote] = bytes(size)
        assert (await house.fetch(PHOTO, NOW)).missing == missing


async def test_a_file_telegram_has_no_more_is_refused() -> None:
    async with at_telegram() as (house, _):
        with pytest.raises(Refused, match="file_id"):
            await house.fetch(PHOTO, NOW)


# Going and asking


@dataclass
class Journal:
    """The gateway's door: knows envelopes by their keys, keeps cursors with them, may be in trouble."""

    side: theirs.Side
    seen: dict[str, Envelope] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)  # how many Telegram still had, at each acceptance
    trouble: int = 0
    now: datetime = NOW

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        self.waiting.append(len(self.side.updates))
        if self.trouble:
            self.trouble -= 1
            raise Unavailable("disk full")
        assert cursor
        self.seen.update({envelope.key: envelope for envelope in envelopes})
        self.cursors[cursor.name] = cursor.value

    async def recall(self, name: str) -> str:
        return self.cursors.get(name, "")

    async def refuse(self, *_: Any) -> None:
        raise AssertionError

    @asynccontextmanager
    async def asked_by(self, house: Telegram) -> AsyncIterator[None]:
        house.resume(self.recall)
        task = asyncio.create_task(house.listen(self.accept, self.refuse, lambda: self.now))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telegram_polling, "FIRST_PAUSE", 0.01)


async def test_telegram_forgets_an_update_only_when_it_is_on_disk_here() -> None:
    async with at_telegram(polling=True) as (house, side):
        journal = Journal(side, trouble=2)
        side.add(**written("一", message_id=1))
        side.add(**written("二", message_id=2))
        async with journal.asked_by(house):
            await journal.until(lambda: not side.updates)
            side.add(**written("三", message_id=3))
            await journal.until(lambda: len(journal.seen) == 3 and not side.updates)

    assert journal.waiting[:3] == [2, 2, 2]  # while each acceptance was still under way
    assert journal.cursors == {"telegram/support/7012345678": f"103 {NOW.isoformat()}"}
    texts = [message.text for envelope in journal.seen.values() for message in house.parse(envelope)]
    assert texts == ["一", "二", "三"]


async def test_the_same_update_by_webhook_and_by_asking_is_one_envelope() -> None:
    async with at_telegram(polling=True) as (house, side):
        journal = Journal(side)
        side.add(**written("你好 😀"))
        called = enclose(house, side.signed(side.updates[0]))
        async with journal.asked_by(house):
            await journal.until(lambda: bool(journal.seen))
    (asked,) = journal.seen.values()
    assert (asked.id, asked.lane) == (called.id, called.lane)


@pytest.mark.parametrize(("age", "offset"), [(timedelta(hours=1), 71), (timedelta(days=8), 0)])
async def test_it_goes_on_where_it_stopped_unless_telegram_counts_elsewhere_by_now(age: timedelta, offset: int) -> None:
    async with at_telegram(polling=True) as (house, side):
        journal = Journal(side, cursors={"telegram/support/7012345678": f"70 {(NOW - age).isoformat()}"})
        async with journal.asked_by(house):
            await journal.until(lambda: bool(side.calls))
    assert side.calls[0][1].get("offset", "0") == str(offset)


async def test_after_a_silence_it_asks_for_whatever_waits_so_that_a_new_count_passes_nothing_over() -> None:
    async with at_telegram(polling=True) as (house, side):
        journal = Journal(side)
        side.add(**written("以前"))
        async with journal.asked_by(house):
            await journal.until(lambda: not side.updates and len(side.calls) > 3)
            side._last = 7  # it counts from a lower number
            side.add(**written("以后", message_id=8))
            await journal.until(lambda: len(journal.seen) == 2)


async def test_a_webhook_in_the_way_is_told_once_with_the_remedy() -> None:
    async with at_telegram(polling=True) as (house, side):
        journal = Journal(side)
        side.webhook = "https://old.example.com/"
        side.failing = [theirs.failed(502, "Bad Gateway")]
        with structlog.testing.capture_logs() as logs:
            async with journal.asked_by(house):
                await journal.until(lambda: len(side.calls) > 4)
                side.webhook = ""
                side.add(**written())
                await journal.until(lambda: bool(journal.seen))
    told = [one["hint"] for one in logs if one["log_level"] == "warning"]
    assert len(told) == 2 and "deleteWebhook" in told[1]
    assert "again" in logs[-1]["event"]
    assert theirs.TOKEN.partition(":")[2] not in str(logs)


async def test_what_the_library_cannot_read_holds_nothing_up() -> None:
    async with at_telegram(polling=True) as (house, side):
        journal = Journal(side)
        side.updates = [{"update_id": 1, "message": "broken"}, {"update_id": 2, **written("好的 \ud83d")}]
        async with journal.asked_by(house):
            await journal.until(lambda: len(journal.seen) == 2 and not side.updates)


# Doctor


async def test_doctor_tells_a_webhook_that_is_missing_or_incomplete_and_changes_nothing() -> None:
    async with at_telegram() as (house, side):
        bad = await house.examine(NOW)
        side.webhook, side.allowed = "https://desk.example.com/in/telegram/support", ["message"]
        lacking = await house.examine(NOW)
        side.allowed = []
        well = await house.examine(NOW)
        side.updates = [{"update_id": n} for n in range(101)]
        full = await house.examine(NOW)

    assert [finding.well for finding in bad] == [True, False] and "/in/telegram/support" in bad[1].hint
    assert "callback_query" in lacking[-1].found and not lacking[-1].well
    assert all(finding.well for finding in well) and "@desk_bot" in well[0].found
    assert [finding.well for finding in full] == [True, True, False]
    assert {method for method, _ in side.calls} == {"getme", "getwebhookinfo"}


async def test_doctor_tells_that_a_webhook_is_in_the_way_of_asking() -> None:
    async with at_telegram(polling=True) as (house, side):
        side.webhook = "https://desk.example.com/in/telegram/support"
        findings = await house.examine(NOW)
    assert not findings[1].well and "deleteWebhook" in findings[1].hint


# Through a real gateway


def account(folder: Path, side: theirs.Side, **more: Any) -> Gateway:
    """A gateway with this bot, in a folder of its own."""
    (folder / "token").write_text(theirs.TOKEN)
    (folder / "secret").write_text(theirs.SECRET)
    said = {"connector": "telegram", "account": "support", "token": {"file": "token"}, "secrets": [{"file": "secret"}]}
    gateway = Gateway(folder)
    written = f"  - {json.dumps({**said, **side.settings(), **more})}\nhelpdesks: []\n"
    gateway.config.write_text(gateway.config.read_text().partition("helpdesks:\n")[0] + written)
    return gateway


def picture(number: int, **more: Any) -> dict[str, Any]:
    photo = [{"file_id": f"photo{number}", "file_unique_id": f"u{number}", "width": 90, "height": 90}]
    said = {"message_id": number, "from": WANG, "chat": CHAT, "date": 1772443800 + number, "photo": photo}
    return {"message": {**said, "media_group_id": "13876543210987654", **more}}


async def test_an_album_is_one_message_and_a_group_one_conversation_though_we_are_killed_amid_it(
    tmp_path: Path,
) -> None:
    side = theirs.Side()
    side.files = {f"photo{n}": b"\xff\xd8" + bytes([n]) for n in (1, 2, 3)}
    old, new = {**GROUP, "id": -4004, "type": "group"}, {**GROUP, "id": -1004004}
    there = {"message_id": 1, "date": 1772443810, "from": OLGA}
    async with speaking(side):
        for update in (
            picture(1), picture(2, caption="包装破了，见图"), picture(3), written("订单 20260301-77", message_id=4),
            written("Where is my parcel?", chat=old, **{"from": OLGA}),
            {"message": {**there, "chat": old, "message_id": 8, "migrate_to_chat_id": new["id"]}},
            {"message": {**there, "chat": new, "migrate_from_chat_id": old["id"]}},
            written("Anybody there?", chat=new, message_id=2, **{"from": OLGA}),
        ):  # fmt: skip
            side.add(**update)
        gateway = account(tmp_path, side, polling=True)
        tickets = await asyncio.to_thread(killed_amid, gateway, lambda: not side.updates)

    told = [[one for one in ticket["messages"] if one["direction"] == "in"] for ticket in tickets]
    (album, further), group = sorted(told, key=lambda said: said[0]["text"], reverse=True)
    assert [one["text"] for one in (album, further)] == ["包装破了，见图", "订单 20260301-77"]
    assert [one["external_id"] for one in (album, further)] == ["1", "4"]
    assert [(file["size"], file["missing"]) for file in album["attachments"]] == [(3, "")] * 3
    assert len({file["sha256"] for file in album["attachments"]}) == 3
    assert [one["text"] for one in group] == ["Where is my parcel?", "Anybody there?"]
    assert {one["to"]: len(one["text"]) > 0 for one in side.sent} == {"5511223344": True, str(new["id"]): True}
    assert len(side.sent) == 2
    quoted = {one["to"]: json.loads(one["said"].get("reply_parameters", "{}")).get("message_id") for one in side.sent}
    assert quoted == {"5511223344": 1, str(new["id"]): None}  # ids of the old group mean nothing in the new one
    assert theirs.TOKEN.partition(":")[2] not in gateway.log.read_text()


def killed_amid(gateway: Gateway, confirmed: Callable[[], bool]) -> list[dict[str, Any]]:
    """Killed as soon as Telegram has forgotten all of it, and begun again."""
    with gateway:
        until = time.monotonic() + 10
        while not confirmed() and time.monotonic() < until:
            time.sleep(0.01)
        gateway.kill()
        assert confirmed()
        gateway.start()
        gateway.settle()
        return gateway.tickets()
