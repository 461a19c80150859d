"""DingTalk: messages as opensource.dingtalk.com/developerpedia and open.dingtalk.com/document/orgapp show them."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs
from vendor import speaking
from vendors.dingtalk import CLIENT, SECRET, SESSION, STAFF, Side, frame, posted, said

from connectors.base import Cursor, enclose
from connectors.dingtalk import Dingtalk, sign
from normalizer.canon import Address, Attachment, Choice, Envelope, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable


def dingtalk(**more: Any) -> Dingtalk:
    given = {"connector": "dingtalk", "account": "it", "client_id": CLIENT, "client_secret": SECRET}
    return Dingtalk(Dingtalk.Settings.model_validate({**given, **more}))  # type: ignore[arg-type]


def read(payload: Any, now: datetime, **more: Any) -> list[Message]:
    return list(dingtalk(**more).parse(Envelope("dingtalk", "it", "k", "", now, orjson.dumps(payload))))


def heard(now: datetime, payload: Any, **more: Any) -> Message:
    (message,) = read(payload, now, **more)
    return message


# Proof


def test_the_signature_is_that_of_the_documentation() -> None:
    mac = hmac.new(b"this is a secret", b"1577262236757\nthis is a secret", hashlib.sha256).digest()
    assert sign("1577262236757", "this is a secret") == base64.b64encode(mac).decode()


def test_an_hour_is_let_pass_and_no_more(now: datetime) -> None:
    request = posted(orjson.dumps(said()), now)
    for late in (timedelta(minutes=59), -timedelta(minutes=59)):
        dingtalk().verify(replace(request, received_at=now + late))
    for late in (timedelta(minutes=61), -timedelta(minutes=61)):
        with pytest.raises(Rejected, match="ago") as error:
            dingtalk().verify(replace(request, received_at=now + late))
        assert error.value.code == "expired"


def test_both_secrets_are_taken_while_one_is_changed_and_none_is_no_account(now: datetime) -> None:
    house = dingtalk(client_secret=["new", SECRET])
    house.verify(posted(orjson.dumps(said()), now, "new"))
    house.verify(posted(orjson.dumps(said()), now))
    with pytest.raises(Rejected):
        house.verify(posted(orjson.dumps(said()), now, "old"))
    for secret in ("", [], ["a", ""]):
        with pytest.raises(ValidationError, match="client_secret"):
            dingtalk(client_secret=secret)


def test_by_http_and_by_stream_it_is_one_message(now: datetime) -> None:
    house, body = dingtalk(), orjson.dumps(said())
    by_http = enclose(house, posted(body, now))
    by_stream = house._streamed(json.dumps(said()).encode(), lambda: now)
    assert (by_http.id, by_http.lane) == (by_stream.id, by_stream.lane) and by_http.lane == "cidep1x/Qz+7uP4g=="
    assert [message.id for message in house.parse(by_http)] == [message.id for message in house.parse(by_stream)]


# What is said

RECORD = [
    {"senderNick": "王芳", "msgType": "text", "content": "打不开"},
    {"senderNick": "李雷", "msgType": "picture", "downloadCode": "d"},
    {"senderNick": "王芳", "msgType": "unknownMsgType"},
]
TEXTS = [
    (said("chatRecord", {"summary": "群聊的聊天记录", "chatRecord": json.dumps(RECORD)}), "群聊的聊天记录\n王芳: 打不开\n李雷: [图片]\n王芳: [机器人收不到的消息]"),
    (said("interactiveCard", {"cardData": {"cardParamMap": {"content": "值班表"}}}), "[卡片] 值班表"),
    (said("interactiveCard", {}), "[卡片]"),
    (said("picture", None, errorCode=20001, errorMessage="超出配额"), "[图片] 超出配额"),
    (said("file", {"fileName": "a.txt", "fileId": "1", "spaceId": "2"}), "[文件]"),
    (said("markdown", {"title": "周报", "text": "# 周报"}), "# 周报"),
    (said("hologram", {}), "[hologram]"),
    (said("richText", {"richText": [{"text": "一"}, {"text": "\n"}, {"text": "二"}]}), "一\n二"),
    (said("text", {"content": "  "}), "[text]"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "text"), TEXTS, ids=[f"{one['msgtype']}-{n}" for n, (one, _) in enumerate(TEXTS)])
def test_every_kind_of_message_has_words(now: datetime, payload: Any, text: str) -> None:
    message = heard(now, payload)
    assert (message.text, message.attachments, message.sender) == (text, (), Address("dingtalk", STAFF, "张三"))


def test_our_name_is_left_out_but_not_that_of_others(now: datetime) -> None:
    asking = said("text", {"content": "@IT助手 @IT助手二号 看看 a@IT助手"}, conversationType="2", isInAtList=True)
    assert heard(now, asking, bot="IT助手").text == "@IT助手二号 看看 a"
    assert heard(now, asking).text == "@IT助手 @IT助手二号 看看 a@IT助手"
    alone = said("richText", {"richText": [{"text": "@IT助手"}]}, conversationType="2")
    assert heard(now, alone, bot="IT助手").text == "@IT助手"
    pieces = {"richText": [{"text": "@IT助手"}, {"text": "看图"}, {"type": "picture", "downloadCode": "d"}]}
    rich = said("richText", pieces, conversationType="2", isInAtList=True, atUsers=[{"dingtalkId": "$:1"}])
    assert heard(now, rich).text == "看图"  # who else should be meant
    assert heard(now, {**rich, "atUsers": [{"dingtalkId": "$:1"}, {"staffId": "2"}]}).text == "@IT助手看图"


def test_of_groups_only_what_is_meant_for_us_is_taken(now: datetime) -> None:
    def taken(groups: str, mentioned: bool | None) -> bool:
        more = {} if mentioned is None else {"isInAtList": mentioned}
        return bool(read(said(conversationType="2", **more), now, groups=groups))

    assert [taken("mentioned", one) for one in (True, None, False)] == [True, True, False]
    assert [taken("all", False), taken("none", True), bool(read(said(), now, groups="none"))] == [True, False, True]


def test_who_is_not_of_the_company_is_known_by_an_id_for_this_bot(now: datetime) -> None:
    message = heard(now, said(senderStaffId="", conversationType="2", isInAtList=True))
    assert message.sender.address == "$:LWCP_v1:$zhangPA==" and message.thread_key.endswith("|$:LWCP_v1:$zhangPA==")
    with pytest.raises(Unreadable):
        read(said(senderStaffId="", senderId=""), now)


def test_news_of_other_kinds_is_nobodys_message(now: datetime) -> None:
    for payload in (
        frame({"x": 1}, kind="EVENT", topic="*"),
        frame({"x": 1}, topic="/v1.0/card/instances/callback"),
        frame("{}", kind="SYSTEM", topic="ping"),
        {"EventType": "check_url"},
        {"encrypt": "1a3NBxmCFwkCJvfoQ7WhJHB"},
    ):
        assert read(payload, now) == []
    assert heard(now, frame(said())).text == "VPN 连不上"


def test_what_is_quoted_is_told_wherever_it_stands(now: datetime) -> None:
    replied = {"msgType": "text", "content": {"text": "请重启"}}
    for message in (
        heard(now, said("text", {"content": "好", "isReplyMsg": True, "repliedMsg": replied}, originalMsgId="m0")),
        heard(now, said("picture", {"downloadCode": "d", "repliedMsg": replied}, originalMsgId="m0")),
        heard(now, said(repliedMsg={**replied, "msgId": "m0"})),
    ):
        assert (message.in_reply_to, message.quoted) == ("m0", "请重启")
    assert heard(now, said(originalMsgId="m0")).in_reply_to == ""


# What we say


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    vendor = Side()
    async with speaking(vendor):
        yield vendor


@pytest.fixture
async def house(side: Side) -> AsyncIterator[Dingtalk]:
    account = dingtalk(**side.settings())
    yield account
    await account.close()


@pytest.fixture
def words() -> Reply:
    return Reply(
        "0123456789abcdef0123456789abcdef", "dingtalk", "dingtalk", "it", "t1", "20260302001", Address("dingtalk", STAFF),
        "", "您的工单 20260302001 已受理。", "zh", thread_key="cidep1x/Qz+7uP4g==",
    )  # fmt: skip


async def test_an_answer_goes_by_the_conversations_own_address_while_that_is_good(
    side: Side, house: Dingtalk, words: Reply, now: datetime
) -> None:
    fresh = replace(words, reply_token=side.session(now))
    await house.send(fresh, now)
    assert side.sent == [{"to": "session", "text": words.text, "at": None}] and side.tokens == []
    sent = await house.send(fresh, now + timedelta(minutes=90))
    assert side.sent[1:] == [{"to": [STAFF], "text": words.text, "robot": CLIENT}]
    assert sent.external_id == "processquerykey0002"

    side.answers = [(200, {"errcode": 300001, "errmsg": "session is expired"})]
    await house.send(fresh, now)
    assert side.sent[-1]["to"] == [STAFF]


async def test_no_other_address_is_called_whatever_a_message_says(
    side: Side, house: Dingtalk, words: Reply, now: datetime
) -> None:
    until = int((now + timedelta(hours=1)).timestamp() * 1000)
    urls = (
        "https://evil.example/robot/sendBySession?session=1", "http://oapi.dingtalk.com/robot/sendBySession",
        "https://oapi.dingtalk.com.evil.example/", "https://oapi.dingtalk.com@169.254.169.254/", "http://127.0.0.1:1/",
        "https://oapi.dingtalk.com:8443/", "file:///etc/passwd", "https://[", "",
    )  # fmt: skip
    for url in urls:
        message = heard(now, said(sessionWebhook=url, sessionWebhookExpiredTime=until))
        await house.send(replace(words, reply_token=message.reply_token), now)
    assert [one["to"] for one in side.sent] == [[STAFF]] * len(urls)


def test_the_vendors_own_addresses_are_good(now: datetime) -> None:
    message = heard(now, said())
    assert dingtalk()._api._session(message.reply_token, now) == SESSION


async def test_in_a_group_it_is_said_there_and_to_the_person(
    side: Side, house: Dingtalk, words: Reply, now: datetime
) -> None:
    choices = (Choice("solved", "已解决"), Choice("unsolved", "没解决"))
    group = replace(words, thread_key=f"cidG==|{STAFF}", choices=choices)
    await house.send(replace(group, reply_token=side.session(now)), now)
    await house.send(group, now)
    assert side.sent[0]["at"] == {"atUserIds": [STAFF]} and side.sent[1]["to"] == "cidG=="
    assert {one["text"] for one in side.sent} == {f"{words.text}\n· 已解决\n· 没解决"}


async def test_choices_are_links_that_say_what_was_chosen(
    side: Side, house: Dingtalk, words: Reply, now: datetime
) -> None:
    asking = replace(words, text="好了吗？[点](http://x) <b>\n请选", choices=(Choice("score:5", "5 分 [好]"),))
    for token in (side.session(now), ""):
        await house.send(replace(asking, reply_token=token), now)
    assert side.sent[0]["text"] == side.sent[1]["text"]
    before, _, link = side.sent[0]["text"].partition("](")
    assert before == "好了吗？［点］(http://x) ＜b>  \n请选\n\n- [5 分 ［好］"
    url = urlsplit(link.removesuffix(")"))
    clicked = heard(now, said("text", {"content": parse_qs(url.query)["content"][0]}))
    assert (url.scheme, url.netloc, url.path) == ("dtmd", "dingtalkclient", "/sendMessage")
    assert (clicked.kind, clicked.text, clicked.claims) == (Kind.POSTBACK, "5 分 [好]", {"choice": "score:5"})


async def test_long_words_go_in_pieces_each_of_which_dingtalk_takes(
    side: Side, house: Dingtalk, words: Reply, now: datetime
) -> None:
    await house.send(replace(words, text="很长的说明。\n" * 2000), now)
    assert len(side.sent) == 4 and "".join(one["text"] for one in side.sent).count("很长的说明。") == 2000
    side.sent.clear()
    await house.send(replace(words, text="🙂" * 5000), now)
    assert sum(len(one["text"]) for one in side.sent) == 5000


async def test_a_token_that_is_no_good_is_asked_for_anew_once(
    side: Side, house: Dingtalk, words: Reply, now: datetime
) -> None:
    await house.send(words, now)
    side.tokens.append("of-another-process")
    await house.send(words, now)
    assert len(side.sent) == 2 and len(side.tokens) == 3


async def test_answers_are_sorted(side: Side, house: Dingtalk, words: Reply, now: datetime) -> None:
    for status, answer, wanted, bounced in (
        (400, {"code": "staffId.notExisted", "message": ""}, Refused, True),
        (200, {"processQueryKey": "k", "invalidStaffIdList": [STAFF]}, Refused, True),
        (200, {"processQueryKey": "k", "flowControlledStaffIdList": [STAFF]}, Unavailable, False),
        (403, {"code": "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi", "message": ""}, Unavailable, False),
        (403, {"code": "Forbidden.AccessDenied.AccessTokenPermissionDenied", "message": ""}, Unavailable, False),
        (200, {}, Unavailable, False),
        (503, {"code": "ServiceUnavailable"}, Unavailable, False),
    ):
        side.answers = [(status, answer)]
        with pytest.raises(wanted) as error:
            await house.send(words, now)
        assert getattr(error.value, "bounced", False) is bounced and SECRET not in str(error.value)


async def test_a_wrong_secret_makes_answers_and_files_wait_for_the_right_one(
    side: Side, words: Reply, now: datetime
) -> None:
    house = dingtalk(**side.settings(), client_secret="wrong")
    with pytest.raises(Unavailable, match="invalidClientIdOrSecret"):
        await house.send(replace(words, reply_token=""), now)
    with pytest.raises(Unavailable):
        await house.fetch(Attachment("x", "image/png", 0, "", remote=f"{CLIENT} code"), now)
    await house.close()


async def test_who_is_not_of_the_company_cannot_be_answered_later(side: Side, words: Reply, now: datetime) -> None:
    with pytest.raises(Refused, match="hour and a half"):
        await dingtalk(**side.settings()).send(replace(words, to=Address("dingtalk", "$:LWCP_v1:$z==")), now)


async def test_files_are_fetched_by_the_code_of_the_message(side: Side, house: Dingtalk, now: datetime) -> None:
    (file,) = heard(now, said("picture", {"downloadCode": "mIof1", "pictureDownloadCode": "p"})).attachments
    side.files = {"mIof1": (b"\x89PNG", "image/png")}
    got = await house.fetch(file, now)
    assert (got.content, got.media_type, got.missing) == (b"\x89PNG", "image/png", "")
    with pytest.raises(Refused):
        await house.fetch(Attachment("x", "image/png", 0, "", remote=f"{CLIENT} gone"), now)
    outside = dingtalk(api=side.url)  # the address of the file is looked at like anybody's
    assert (await outside.fetch(file, now)).missing == "forbidden"
    await outside.close()


async def test_doctor_tries_the_secret(side: Side, house: Dingtalk, now: datetime) -> None:
    assert [one.well for one in await house.examine(now)] == [True]
    (finding,) = await dingtalk(**side.settings(), client_secret="wrong").examine(now)
    assert not finding.well and "invalidClientIdOrSecret" in finding.found


# Stream


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.held.FIRST_PAUSE", 0.05)


class Door:
    """Takes envelopes, or is told not to."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.full = False
        self.acknowledged_before: list[int] = []
        self.side: Side | None = None

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        if self.full:
            self.full = False
            raise Unavailable("the disk is full")
        self.acknowledged_before.append(len(self.side.acknowledged) if self.side else -1)
        self.taken.extend(envelopes)

    async def refuse(self, *_: Any) -> None:
        raise AssertionError


@asynccontextmanager
async def holding(side: Side, door: Door, now: datetime, **more: Any) -> AsyncIterator[Dingtalk]:
    account, door.side = dingtalk(**side.settings(), stream=True, **more), side
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


async def test_a_frame_is_acknowledged_once_the_house_has_it(
    side: Side, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    side.frames = [frame(said(msgId=f"m{n}"), f"f{n}") for n in range(3)]
    door = Door()
    async with holding(side, door, now) as account:
        await until(lambda: len(side.acknowledged) == 3)
        messages = [message for envelope in door.taken for message in account.parse(envelope)]
    assert [message.external_id for message in messages] == ["m0", "m1", "m2"] and door.acknowledged_before == [0, 1, 2]
    assert [(one["code"], one["headers"]["messageId"]) for one in side.acknowledged] == [
        (200, f"f{n}") for n in range(3)
    ]
    logged = "".join(one.getMessage() for one in caplog.records if not one.name.startswith("uvicorn"))
    assert "t/1+2=" not in logged and "t%2F1" not in logged and SECRET not in logged


@pytest.mark.usefixtures("impatient")
async def test_pings_are_answered_and_who_is_hung_up_on_calls_again(side: Side, now: datetime) -> None:
    ping = frame('{"opaque":"9f"}', "p1", "SYSTEM", "ping")
    side.frames = [ping, frame('{"reason":"persistent connection is timeout"}', "d1", "SYSTEM", "disconnect")]
    door = Door()
    async with holding(side, door, now):
        await until(lambda: len(side.acknowledged) == 2)
        side.frames = [frame(said())]
        await until(lambda: len(door.taken) == 1)
    assert side.acknowledged[0]["data"] == '{"opaque":"9f"}' and len(side.lines) == 2


@pytest.mark.usefixtures("impatient")
async def test_what_the_house_cannot_take_is_not_acknowledged_and_comes_again(side: Side, now: datetime) -> None:
    door = Door()
    door.full = True
    side.frames = [frame(said())]
    async with holding(side, door, now):
        await until(lambda: len(door.taken) == 1)
        await until(lambda: len(side.acknowledged) == 1)
    assert len(side.lines) == 2


@pytest.mark.usefixtures("impatient")
async def test_a_line_that_cannot_be_had_is_told_once(side: Side, now: datetime) -> None:
    with capture_logs() as logs:
        async with holding(side, Door(), now, client_secret="wrong"):
            await asyncio.sleep(0.5)
    told = [one for one in logs if one["log_level"] == "warning"]
    assert [one["hint"] for one in told] == ["answered 401"] and "wrong" not in str(told)
