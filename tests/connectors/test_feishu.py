"""Feishu: events as open.feishu.cn/document shows them, and a bot's words."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from serving import Gateway, post
from structlog.testing import capture_logs
from vendor import speaking
from vendors.feishu import (
    APP,
    BOT,
    ENCRYPT_KEY,
    SECRET,
    VERIFICATION_TOKEN,
    Side,
    encrypted,
    framed,
    posted,
    said,
    sealed,
)

from connectors.base import Cursor, Request, enclose
from connectors.feishu import Feishu
from connectors.feishu_events import decrypt, signature
from connectors.feishu_frames import DATA, Frame, decode, encode
from normalizer.canon import Address, Attachment, Choice, Envelope, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

HEARD = "im.message.receive_v1"
PLAIN = {"encrypt_key": [], "verification_token": VERIFICATION_TOKEN}


def feishu(**more: Any) -> Feishu:
    given = {"connector": "feishu", "account": "it", "app_id": APP, "app_secret": SECRET, "encrypt_key": ENCRYPT_KEY}
    return Feishu(Feishu.Settings.model_validate({**given, **more}))  # type: ignore[arg-type]


def asked(body: bytes, now: datetime) -> Request:
    return Request("POST", "https://help.example.com/in/feishu/it", {}, body, {}, "192.0.2.7", now)


def read(payload: Any, now: datetime, **more: Any) -> list[Message]:
    house = feishu(**more)
    return list(house.parse(Envelope("feishu", "it", "k", "", now, orjson.dumps(payload))))


def heard(now: datetime, event: Any, **more: Any) -> Message:
    (message,) = read(posted(HEARD, event), now, **more)
    return message


def mention(key: str, name: str, open_id: str, **more: str) -> dict[str, Any]:
    return {"key": key, "name": name, "id": {"open_id": open_id}, **more}


# Proof


def test_the_worked_example_of_the_documentation_is_opened() -> None:
    """Encrypt Key `test key` (open.feishu.cn, 事件解密)."""
    raw = base64.b64decode("P37w+VZImNgPEO1RBhJ6RtKl7n6zymIbEG1pReEzghk=")
    assert decrypt(raw, "test key") == b"hello world"


def test_a_signature_is_the_digest_of_time_nonce_key_and_body() -> None:
    digest_of_1234 = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"
    assert signature("1", "2", "3", b"4") == digest_of_1234


@pytest.mark.parametrize("sealing", [True, False])
def test_the_address_is_confirmed_only_to_who_knows_the_token(now: datetime, sealing: bool) -> None:
    house = feishu(verification_token=VERIFICATION_TOKEN)
    challenge = {"challenge": "ajls384kdjx98XX", "token": VERIFICATION_TOKEN, "type": "url_verification"}
    body = encrypted(challenge) if sealing else orjson.dumps(challenge)
    answer = house.greet(asked(body, now))
    assert answer and orjson.loads(answer.body) == {"challenge": "ajls384kdjx98XX"}

    forged = {**challenge, "token": "x"}
    body = encrypted(forged) if sealing else orjson.dumps(forged)
    assert house.greet(asked(body, now)) is None
    with pytest.raises(Rejected):
        house.verify(asked(body, now))


def test_without_a_token_only_what_is_encrypted_with_our_key_is_greeted(now: datetime) -> None:
    challenge = {"challenge": "c", "token": "whatever", "type": "url_verification"}
    assert feishu().greet(asked(encrypted(challenge), now))
    assert feishu().greet(asked(encrypted(challenge, "another"), now)) is None
    assert feishu().greet(asked(orjson.dumps(challenge), now)) is None
    assert read(challenge, now) == []


def test_without_an_encrypt_key_the_token_inside_is_the_proof(now: datetime) -> None:
    house = feishu(**PLAIN)
    payload = posted(HEARD, said())
    house.verify(asked(orjson.dumps(payload), now))
    for token in ("", VERIFICATION_TOKEN + "x", None, 7):
        payload["header"]["token"] = token
        with pytest.raises(Rejected):
            house.verify(asked(orjson.dumps(payload), now))


@pytest.mark.parametrize("more", [{"encrypt_key": []}, {"encrypt_key": ""}, {"encrypt_key": ["a", ""]}])
def test_an_account_that_nothing_could_prove_does_not_start(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="encrypt_key"):
        feishu(**more)


def test_both_keys_are_taken_while_one_is_changed(now: datetime) -> None:
    house = feishu(encrypt_key=["new", ENCRYPT_KEY])
    for key in ("new", ENCRYPT_KEY):
        request = sealed(encrypted(posted(HEARD, said()), key), now, key)
        house.verify(request)
        assert [message.text for message in house.parse(enclose(house, request))] == ["打印机连不上"]
    with pytest.raises(Rejected, match="key"):
        house.verify(sealed(encrypted(posted(HEARD, said()), "old"), now, "old"))
    with pytest.raises(Unreadable, match="encrypt_key"):
        house.parse(Envelope("feishu", "it", "k", "", now, encrypted({}, "old")))


def test_a_digest_that_was_prolonged_is_no_proof(now: datetime) -> None:
    """SHA-256 lets who has seen one signature make that of a longer body, which then has octets of padding in it."""
    body = encrypted(posted(HEARD, said()))
    longer = body + b"\x80" + b"\0" * 40 + orjson.dumps(posted(HEARD, said()))
    with pytest.raises(Rejected):
        feishu().verify(sealed(longer, now))


def test_a_redelivery_is_known_however_it_was_encrypted(now: datetime) -> None:
    house = feishu()
    requests = [sealed(encrypted(posted(HEARD, said())), now + timedelta(hours=h)) for h in (0, 1, 6)]
    assert len({request.body for request in requests}) == 3
    assert len({house.key(request) for request in requests}) == 1
    assert {house.lane(request) for request in requests} == {"oc_5ce6d572455d361153b7xx51da133945"}
    assert len({message.id for request in requests for message in house.parse(enclose(house, request))}) == 1


# What is said

TEXTS = [
    ("text", {"text": "hello"}, "hello"),
    ("share_chat", {"chat_id": "oc_0dd200d32fda"}, "[群名片] oc_0dd200d32fda"),
    ("share_user", {"user_id": "ou_0dd200d32"}, "[名片] ou_0dd200d32"),
    ("hongbao", {"text": "[红包]"}, "[红包]"),
    ("share_calendar_event", {"summary": "例会", "start_time": "1608265395000"}, "[日程] 例会"),
    ("video_chat", {"topic": "视频通话消息", "start_time": "1623124523829"}, "[视频通话] 视频通话消息"),
    ("vote", {"topic": "午饭", "options": ["面", "饭"]}, "[投票] 午饭 面 饭"),
    ("folder", {"file_key": "75235e0c", "file_name": "资料"}, "[文件夹] 资料"),
    (
        "todo",
        {"task_id": "a", "summary": {"title": "", "content": [[{"tag": "text", "text": "多吃水果"}]]}},
        "[任务] 多吃水果",
    ),
    (
        "interactive",
        {"title": "报警", "elements": [[{"tag": "text", "text": "磁盘满"}, {"tag": "a", "href": "http://x", "text": "看"}]]},
        "[卡片] 报警\n磁盘满[看](http://x)",
    ),
    ("post", {"zh_cn": {"title": "标题", "content": [[{"tag": "text", "text": "一"}, {"tag": "md", "text": "**二**"}]]}}, "标题\n一**二**"),
    ("location", {"name": "", "longitude": 121.4, "latitude": 31.2}, "[位置] 31.2,121.4"),
    ("hologram", {"text": "新的一种"}, "[hologram] 新的一种"),
    ("file", {"file_key": "../../x"}, "[file]"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "content", "text"), TEXTS, ids=[f"{kind}-{n}" for n, (kind, *_) in enumerate(TEXTS)])
def test_every_kind_of_message_has_words(now: datetime, kind: str, content: Any, text: str) -> None:
    message = heard(now, said(kind, content))
    assert (message.text, message.attachments) == (text, ())


def test_names_stand_for_mentions_and_ours_is_left_out(now: datetime) -> None:
    ours, other = mention("@_user_1", "IT助手", BOT), mention("@_user_12", "王芳", "ou_w")
    asking = said(
        "text", {"text": "@_user_1 @_user_12 @_all 都看看 @_user_3"}, chat_type="group", mentions=[ours, other]
    )
    assert heard(now, asking, bot=BOT).text == "@王芳 @所有人 都看看 @_user_3"
    assert heard(now, asking, bot="IT助手").text == "@王芳 @所有人 都看看 @_user_3"
    assert heard(now, asking).text == "@IT助手 @王芳 @所有人 都看看 @_user_3"
    single = said("text", {"text": "@_user_1 看看"}, chat_type="group", mentions=[ours])
    assert heard(now, single).text == "看看"  # who else should be meant
    assert heard(now, single, bot="ou_other", groups="all").text == "@IT助手 看看"
    alone = said("text", {"text": "@_user_1"}, chat_type="group", mentions=[{**ours, "mentioned_type": "bot"}])
    assert heard(now, alone).text == "@IT助手"


def test_of_groups_only_what_is_meant_for_us_is_taken(now: datetime) -> None:
    ours, other = mention("@_user_1", "IT助手", BOT), mention("@_user_1", "王芳", "ou_w", mentioned_type="user")

    def taken(mentions: list[Any], **more: Any) -> bool:
        event = said("text", {"text": "@_user_1 hi"}, chat_type="group", mentions=mentions)
        return bool(read(posted(HEARD, event), now, **more))

    assert [taken([ours], bot=BOT), taken([other], bot=BOT), taken([], bot=BOT)] == [True, False, False]
    assert [taken([ours]), taken([other]), taken([])] == [True, False, False]
    assert [taken([], groups="all"), taken([ours], groups="none")] == [True, False]


def test_in_a_group_everybody_has_a_conversation_of_their_own_and_a_topic_is_one(now: datetime) -> None:
    group = {"chat_type": "group", "chat_id": "oc_g"}
    assert heard(now, said(**group), groups="all").thread_key == "oc_g/ou_84aad35d084aa403a838cf73ee18467"
    assert heard(now, said(**group, thread_id="omt_t"), groups="all").thread_key == "oc_g/omt_t"
    answer = heard(now, said(parent_id="om_p", root_id="om_r"))
    assert (answer.in_reply_to, answer.references) == ("om_p", ("om_r",))


def test_machines_and_news_are_nobodys_message(now: datetime) -> None:
    for sender_type in ("app", "bot"):
        event = said()
        event["sender"]["sender_type"] = sender_type
        assert read(posted(HEARD, event), now) == []
    for kind in ("im.message.message_read_v1", "im.chat.member.bot_added_v1", "im.message.reaction.deleted_v1", ""):
        assert read(posted(kind, {"chat_id": "oc_1"}), now) == []
    assert read(posted(HEARD, said("system", {"template": "{from_user} invited"})), now) == []


def test_what_is_taken_back_names_the_message(now: datetime) -> None:
    first = heard(now, said())
    (gone,) = read(posted("im.message.recalled_v1", {"message_id": first.external_id, "chat_id": "oc_1"}), now)
    assert (gone.external_id, gone.scope, gone.in_reply_to) == (first.external_id, APP, first.external_id)
    assert (gone.kind, gone.revision) == (Kind.DELETE, "deleted") and gone.id != first.id


def test_the_first_version_of_events_says_the_same(now: datetime) -> None:
    """As open.feishu.cn/document/ukTMukTMukTM/uMTNxYjLzUTM24yM1EjN shows them."""

    def earlier(**more: Any) -> Message:
        event = {
            "type": "message", "app_id": APP, "tenant_key": "x", "root_id": "", "parent_id": "", "open_chat_id": "oc_1",
            "chat_type": "private", "open_id": "ou_1", "employee_id": "x", "union_id": "x", "open_message_id": "om_1",
            "is_mention": False, **more,
        }  # fmt: skip
        posted = {"uuid": "u", "token": "t", "ts": "1550038110.478493", "type": "event_callback", "event": event}
        (message,) = read(posted, now)
        return message

    text = earlier(msg_type="text", text='消息 <b> <at open_id="y">@张三</at>')
    assert (text.text, text.thread_key, text.external_id) == ("消息 <b> @张三", "oc_1", "om_1")
    assert text.sent_at and text.sent_at.isoformat() == "2019-02-13T06:08:30+00:00"
    rich = earlier(msg_type="post", title="测试", text="<p>一</p><figure><img src='x'/></figure>", image_keys=["k-1"])
    assert (rich.text, [file.remote for file in rich.attachments]) == ("测试\n一", ["om_1/k-1/image"])
    assert earlier(msg_type="image", image_key="k-2").attachments[0].remote == "om_1/k-2/image"
    listed = [{"msg_type": "image", "image_key": "k"}, {"msg_type": "text", "text": "文本1"}]
    assert earlier(msg_type="merge_forward", msg_list=listed).text == "[合并转发]\n[image]\n文本1"


def test_what_looks_like_a_tag_is_what_they_wrote(now: datetime) -> None:
    assert heard(now, said("text", {"text": "<p>报错 <at x> </p>"})).text == "<p>报错 <at x> </p>"


def test_a_message_of_nobody_is_set_aside(now: datetime) -> None:
    event = said()
    event["sender"]["sender_id"] = {}
    with pytest.raises(Unreadable):
        read(posted(HEARD, event), now)


# What we say


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    vendor = Side()
    async with speaking(vendor):
        yield vendor


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.held.FIRST_PAUSE", 0.05)


@pytest.fixture
async def house(side: Side) -> AsyncIterator[Feishu]:
    account = feishu(**side.settings())
    yield account
    await account.close()


@pytest.fixture
def words() -> Reply:
    to, thread = Address("feishu", "ou_84aad35d084aa403a838cf73ee18467"), "oc_5ce6d572455d361153b7xx51da133945"
    return Reply(
        "0123456789abcdef0123456789abcdef", "feishu", "feishu", "it", "t1", "20260302001", to, "", "您的工单已受理。", "zh",
        in_reply_to="om_first", thread_key=thread,
    )  # fmt: skip


async def test_an_answer_quotes_and_is_said_once_however_often_it_is_sent(
    side: Side, house: Feishu, words: Reply, now: datetime
) -> None:
    sent = [await house.send(words, now), await house.send(words, now + timedelta(minutes=1))]
    assert sent[0] == sent[1] and sent[0].external_id == "om_sent" + "0" * 28
    assert [(one["to"], one["text"]) for one in side.sent] == [("om_first", "您的工单已受理。")]
    assert len(side.tokens) == 1


async def test_without_a_message_to_answer_it_goes_to_the_conversation_or_the_person(
    side: Side, house: Feishu, words: Reply, now: datetime
) -> None:
    alone = replace(words, in_reply_to="", thread_key="")
    asked = [
        replace(words, in_reply_to=""), replace(words, in_reply_to="om_1/../../x"), replace(alone, thread_key="oc_g/ou_1"),
        alone, replace(alone, to=Address("feishu", "on_1")), replace(alone, to=Address("feishu", "e33ggbyz")),
    ]  # fmt: skip
    for number, reply in enumerate(asked):
        await house.send(replace(reply, id=f"{number}" * 32), now)
    chat, person = words.thread_key, words.to.address
    assert [one["to"] for one in side.sent] == [
        f"chat_id:{chat}", f"chat_id:{chat}", "chat_id:oc_g", f"open_id:{person}", "union_id:on_1", "user_id:e33ggbyz",
    ]  # fmt: skip


async def test_what_was_taken_back_is_answered_without_quoting(
    side: Side, house: Feishu, words: Reply, now: datetime
) -> None:
    side.codes = [230011]
    await house.send(words, now)
    assert [one["to"] for one in side.sent] == ["chat_id:oc_5ce6d572455d361153b7xx51da133945"]


async def test_choices_are_buttons_that_bear_their_code_and_conversation(
    side: Side, house: Feishu, words: Reply, now: datetime
) -> None:
    many = tuple(Choice(f"score:{n}", f"{n} 分") for n in range(12))
    await house.send(replace(words, choices=many), now)
    (card,) = side.sent
    buttons = card["content"]["elements"][1]["actions"]
    assert len(buttons) == 10 and card["text"] == "您的工单已受理。\n· 10 分\n· 11 分"

    event = {
        "operator": {"open_id": "ou_1"},
        "action": buttons[5] | {"tag": "button"},
        "context": {"open_chat_id": "oc_x"},
    }
    (chosen,) = read(posted("card.action.trigger", event), now)
    assert (chosen.kind, chosen.claims, chosen.text) == (Kind.POSTBACK, {"choice": "score:5"}, "5 分")
    assert chosen.thread_key == words.thread_key
    answer = house.answer(sealed(encrypted(posted("card.action.trigger", event)), now))
    assert orjson.loads(answer.body)["toast"]["i18n"]["en_us"] == "Received"


async def test_no_words_of_a_customer_call_everybody(side: Side, house: Feishu, words: Reply, now: datetime) -> None:
    await house.send(replace(words, text='您说：<at user_id="all">所有人</at> <b>5<6</b>'), now)
    assert side.sent[0]["text"] == '您说：＜at user_id="all">所有人＜/at> <b>5<6</b>'


async def test_long_words_go_in_pieces_each_of_which_feishu_takes(
    side: Side, house: Feishu, words: Reply, now: datetime
) -> None:
    await house.send(replace(words, text="很长的说明。\n" * 9000, choices=(Choice("solved", "已解决"),)), now)
    assert len(side.sent) == 11 and "elements" in side.sent[-1]["content"] and "elements" not in side.sent[0]["content"]
    assert len({body["uuid"] for _, _, body in side.asked}) == 11


async def test_a_token_that_is_no_good_is_asked_for_anew_once(
    side: Side, house: Feishu, words: Reply, now: datetime
) -> None:
    await house.send(words, now)
    side.tokens.append("t-of-another-process")
    await house.send(replace(words, id="f" * 32), now)
    assert len(side.sent) == 2 and len(side.tokens) == 3
    await house.send(replace(words, id="e" * 32), now + timedelta(hours=1, minutes=56))
    assert len(side.tokens) == 4


async def test_codes_are_sorted(side: Side, house: Feishu, words: Reply, now: datetime) -> None:
    for code, wanted, bounced in (
        (230002, Refused, False), (230013, Refused, False), (230029, Refused, True), (230053, Refused, True),
        (99991400, Unavailable, False), (230020, Unavailable, False), (230001, Refused, False),
        (99991672, Unavailable, False), (230027, Unavailable, False),
    ):  # fmt: skip
        side.codes = [code]
        with pytest.raises(wanted, match=str(code)) as error:
            await house.send(words, now)
        assert getattr(error.value, "bounced", False) is bounced


async def test_a_wrong_secret_makes_answers_and_files_wait_for_the_right_one(
    side: Side, words: Reply, now: datetime
) -> None:
    house = feishu(**{**side.settings(), "app_secret": "wrong"})
    with pytest.raises(Unavailable, match="no access token"):
        await house.send(words, now)
    with pytest.raises(Unavailable):
        await house.fetch(Attachment("x", "image/png", 0, "", remote="om_1/key/image"), now)
    await house.close()


async def test_feishus_own_wait_is_kept(side: Side, house: Feishu, words: Reply, now: datetime) -> None:
    side.trouble = "429"
    with pytest.raises(Unavailable) as error:
        await house.send(words, now)
    assert error.value.wait == timedelta(seconds=52)


async def test_files_are_fetched_from_the_message_they_stand_in(side: Side, house: Feishu, now: datetime) -> None:
    (file,) = heard(now, said("image", {"image_key": "img_v2_1"})).attachments
    side.files = {file.remote: (b"\x89PNG\r\n", "image/png")}
    got = await house.fetch(file, now)
    assert (got.media_type, got.size, got.content, got.missing) == ("image/png", 6, b"\x89PNG\r\n", "")

    with pytest.raises(Refused):
        await house.fetch(Attachment("x", "image/png", 0, "", remote="om_1/gone/image"), now)
    side.readable = False
    with pytest.raises(Unavailable, match="99991672"):  # it waits for whoever grants the permission
        await house.fetch(file, now)
    side.readable = True
    small = feishu(**side.settings(), media={"size_limit": 5})
    assert (await small.fetch(file, now)).missing == "oversized"
    picky = feishu(**side.settings(), media={"types": ["application/pdf"]})
    assert (await picky.fetch(file, now)).missing == "forbidden"
    await small.close()
    await picky.close()


async def test_doctor_tells_who_we_are_and_what_is_wrong(side: Side, house: Feishu, now: datetime) -> None:
    well = await house.examine(now)
    assert [(one.found, one.well) for one in well] == [(f"bot IT助手 {BOT}", True), ("not set", True)]
    side.active = 1
    assert [one.well for one in await feishu(**side.settings(), bot="ou_other").examine(now)] == [False, False]
    wrong = feishu(**side.settings(), app_secret="wrong")
    (finding,) = await wrong.examine(now)
    assert not finding.well and "10014" in finding.found and "wrong" not in finding.found


# Holding the line


class Door:
    """Takes envelopes, or is told not to."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.full = False

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        if self.full:
            self.full = False
            raise Unavailable("the disk is full")
        self.taken.extend(envelopes)

    async def refuse(self, *_: Any) -> None:
        raise AssertionError


@asynccontextmanager
async def holding(side: Side, door: Door, now: datetime, **more: Any) -> AsyncIterator[Feishu]:
    account = feishu(**side.settings(), stream=True, encrypt_key=[], **more)
    task = asyncio.create_task(account.listen(door.accept, door.refuse, lambda: now))
    try:
        yield account
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await account.close()


async def until(there: Any) -> None:
    async with asyncio.timeout(10):
        while not there():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_a_frame_is_written_as_feishus_library_writes_it() -> None:
    """Written by lark_oapi.ws.pb of oapi-sdk-python."""
    wanted = (
        "0801108094ebdc031896e6ff0f20012a0d0a047479706512056576656e74"
        "421d7b22736368656d61223a22322e30222c226e223a22e9a39ee4b9a6227d"
    )
    headers, payload = {"type": "event"}, '{"schema":"2.0","n":"飞书"}'.encode()
    frame = Frame(DATA, 33551126, 1, 1_000_000_000, headers, payload=payload)
    assert (encode(frame), decode(encode(frame))) == (bytes.fromhex(wanted), frame)


@given(st.binary(max_size=200))
def test_no_octets_break_the_reader_of_frames(raw: bytes) -> None:
    with suppress(ValueError):
        decode(raw)
    frame = Frame(DATA, 7, 2**63, 5, {"type": "event", "": "飞"}, b"e", b"k", raw, b"l")
    assert decode(encode(frame)) == frame


@pytest.mark.usefixtures("impatient")
async def test_over_a_line_an_event_is_answered_once_the_house_has_it(
    side: Side, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    pressed = {"operator": {"open_id": "ou_1"}, "action": {"value": {"choice": "solved"}}}
    side.frames = [
        *framed(posted(HEARD, said("text", {"text": "长" * 900}), "e1"), 1, parts=3),
        *framed(posted("card.action.trigger", pressed, "e2"), 2),
    ]
    door = Door()
    door.full = True  # at first: answered by 500, it comes again
    async with holding(side, door, now) as account:
        await until(lambda: not side.frames)
        messages = [message for envelope in door.taken for message in account.parse(envelope)]
    assert sorted(message.text[:6] for message in messages) == ["solved", "长长长长长长"]
    codes = [(one.log, orjson.loads(one.payload)["code"]) for one in side.answered]
    assert codes == [(1, 500), (2, 200), (1, 200)] and side.lines == 2
    toast = orjson.loads(base64.b64decode(orjson.loads(side.answered[1].payload)["data"]))["toast"]
    assert toast["content"] == "已收到" and side.answered[1].headers["message_id"] == "m-2"
    assert (side.pings[0].service, side.pings[0].headers) == (33554678, {"type": "ping"})
    logged = "".join(one.getMessage() for one in caplog.records if not one.name.startswith("uvicorn"))
    assert "t-1" not in logged and SECRET not in logged


def test_by_the_line_and_by_http_it_is_one_message(now: datetime) -> None:
    house, payload = feishu(), posted(HEARD, said())
    by_http = enclose(house, sealed(encrypted(payload), now))
    by_line = house._streamed(orjson.dumps(payload), lambda: now)
    assert (by_http.id, by_http.lane) == (by_line.id, by_line.lane)
    assert [message.id for message in house.parse(by_http)] == [message.id for message in house.parse(by_line)]


def test_an_account_that_only_holds_a_line_lets_nobody_in_by_http(now: datetime) -> None:
    house, body = feishu(stream=True, encrypt_key=[]), orjson.dumps(posted(HEARD, said()))
    challenge = orjson.dumps({"challenge": "c", "token": "", "type": "url_verification"})
    for request in (asked(body, now), sealed(body, now, ""), asked(challenge, now)):
        assert house.greet(request) is None
        with pytest.raises(Rejected, match="prove"):
            house.verify(request)


@pytest.mark.usefixtures("impatient")
async def test_a_line_that_cannot_be_had_is_told_once(side: Side, now: datetime) -> None:
    with capture_logs() as logs:
        async with holding(side, Door(), now, app_secret="wrong"):
            await asyncio.sleep(0.5)
    assert [one["hint"] for one in logs if one["log_level"] == "warning"] == [
        "no line: code 1000040344, is 使用长连接接收事件 chosen?"
    ]


async def test_a_colleague_who_writes_to_the_bot_has_a_ticket_and_is_told(side: Side, tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    secrets = {"app_secret": SECRET, "encrypt_key": ENCRYPT_KEY}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    account = {"connector": "feishu", "account": "it", "app_id": APP, **{name: {"file": name} for name in secrets}}
    more = f"  - {orjson.dumps({**account, **side.settings()}).decode()}\nhelpdesks:\n"
    gateway.config.write_text(gateway.config.read_text().replace("helpdesks:\n", more))
    request = side.signed(posted(HEARD, said("text", {"text": "打印机连不上，提示脱机"})), datetime.now(UTC))
    with await asyncio.to_thread(gateway.start):
        url = f"http://127.0.0.1:{gateway.http}/in/feishu/it"
        assert [await asyncio.to_thread(post, url, request.body, request.headers) for _ in range(2)] == [200, 200]
        for _ in range(200):
            if side.sent:
                break
            await asyncio.sleep(0.05)
        (ticket,) = await asyncio.to_thread(gateway.tickets)
    (told,) = side.sent
    assert [message["text"] for message in ticket["messages"] if message["direction"] == "in"] == [
        "打印机连不上，提示脱机"
    ]
    assert ticket["number"] in told["text"]
