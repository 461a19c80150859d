"""企业微信 and 微信客服: what is listed there, reading on from a durable place, answers, and what the vendor refuses."""

import asyncio
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from serving import Gateway
from starlette.responses import Response
from vendor import speaking
from vendors.wecom import (
    AGENT,
    COLLEAGUE,
    CORP_ID,
    CUSTOMER,
    KEY,
    KFID,
    MOMENT,
    SECRET,
    TOKEN,
    Side,
    callback,
    event,
    item,
    message,
)  # fmt: skip
from wechatpy.crypto import PrpCrypto
from wechatpy.utils import WeChatSigner

from connectors.base import Cursor, Request
from connectors.wechat_crypto import aes_key
from connectors.wecom import Wecom
from normalizer.canon import Address, Attachment, Choice, Envelope, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

HERE = Path(__file__).parent / "wecom"
TEXT = "我们已收到您的需求，工单编号为 20260302001。"


def account(**more: Any) -> Wecom:
    said = orjson.loads((HERE / "settings.json").read_bytes())
    return Wecom(Wecom.Settings.model_validate({**said, **more}))  # type: ignore[arg-type]


def reply(text: str = TEXT, **more: Any) -> Reply:
    said: dict[str, Any] = {
        "id": "0f" * 16, "channel": "wecom", "connector": "wecom", "account": "main", "ticket": "1f" * 16,
        "number": "20260302001", "subject": "您的需求", "language": "zh", "to": Address("wecom", CUSTOMER),
        "answering": MOMENT - timedelta(minutes=1), "written_to": KFID,
    }  # fmt: skip
    return Reply(text=text, **{**said, **more})


def to_colleague(text: str = TEXT, **more: Any) -> Reply:
    return reply(text, to=Address("wecom", COLLEAGUE), written_to=str(AGENT), **more)


def listed(*items: Any) -> list[Message]:
    """The messages in what sync_msg lists."""
    body = orjson.dumps({"errcode": 0, "msg_list": items})
    return list(account().parse(Envelope("wecom", "main", "k", "", MOMENT, body)))


@pytest.fixture
async def vendor() -> AsyncIterator[Side]:
    side = Side()
    async with speaking(side):
        yield side


# Who is let in


def test_the_check_of_the_url_is_answered_with_what_is_sealed_in_it() -> None:
    timestamp = str(int(MOMENT.timestamp()))
    for words in ("5927782489442352469", "?" * 33, ">" * 30):  # some of which hold a + in base64
        sealed = PrpCrypto(aes_key(KEY)).encrypt(words, CORP_ID).decode()
        signer = WeChatSigner()
        signer.add_data(TOKEN, timestamp, "n1", sealed)
        query = {"msg_signature": signer.signature, "timestamp": timestamp, "nonce": "n1", "echostr": sealed}
        for offered in (query, {**query, "echostr": sealed.replace("+", " ")}):
            asked = Request("GET", "http://127.0.0.1/in/wecom/main", {}, b"", offered, "192.0.2.7", MOMENT)
            greeting = account().greet(asked)
            assert greeting is not None and greeting.body == words.encode()
        for wrong in ({**query, "echostr": sealed[:-4]}, {**query, "nonce": "n2"}, {}):
            with pytest.raises(Rejected):
                account().greet(Request("GET", "http://127.0.0.1/", {}, b"", wrong, "192.0.2.7", MOMENT))


def test_what_is_not_sealed_is_not_let_in() -> None:
    sealed = Side().signed(message(Content="你好"))
    open_ = Request("POST", sealed.url, {}, message(Content="你好").encode(), sealed.query, "192.0.2.7", MOMENT)
    with pytest.raises(Rejected, match="not sealed"):
        account().verify(open_)


def test_settings_say_who_writes() -> None:
    with pytest.raises(ValueError, match="write agent_id"):
        account(agent_id=None, customer_service=False)


# What 微信客服 lists

SAID = {
    "text": (item(content="快递到哪里了"), "快递到哪里了", None),
    "picture": (item("image", media_id="m1"), "", "m1"),
    "voice": (item("voice", media_id="m2"), "", "m2"),
    "file": (item("file", media_id="m3"), "", "m3"),
    "place": (
        item("location", latitude=23.106021, longitude=113.320348, name="广州塔", address="海珠区"),
        "[位置] 广州塔 海珠区 23.106021,113.320348",
        None,
    ),
    "link": (item("link", title="标题", desc="", url="https://example.com"), "标题\nhttps://example.com", None),
    "card": (item("business_card", userid="zhang"), "[名片] zhang", None),
    "order": (item("channels_shop_order", order_id="300", product_titles="杯子"), "[订单] 300 杯子", None),
    "kind of tomorrow": (item("hologram", x=1), "[hologram]", None),
}


@pytest.mark.parametrize("name", SAID)
def test_what_customers_send_is_said(name: str) -> None:
    sent, text, media = SAID[name]
    (said,) = listed(sent)
    assert (said.text, said.external_id, said.sender.address) == (text, "4Jc1", CUSTOMER)
    assert (said.thread_key, said.to[0].address, said.sent_at) == (
        f"{KFID}:{CUSTOMER}", KFID, datetime(2026, 3, 2, 9, 29, 58, tzinfo=UTC),
    )  # fmt: skip
    assert [one.remote for one in said.attachments] == ([media] if media else [])


def test_a_menu_answered_is_a_button_and_a_colleague_speaks_for_us() -> None:
    pressed, ours = listed(item(content="已解决", menu_id="solved"), item(id="b", origin=5, content="您好"))
    assert (pressed.kind, pressed.text, pressed.claims) == (Kind.POSTBACK, "已解决", {"choice": "solved"})
    assert (ours.direction, ours.author, ours.sender.address) == ("out", "agent", COLLEAGUE)
    assert ours.thread_key == pressed.thread_key


def test_events_take_back_or_tell_what_was_not_delivered_and_else_say_nothing() -> None:
    back, failed = listed(
        event("enter_session", scene="123"),
        event("user_recall_msg", recall_msgid="4Jc1"),
        event("msg_send_fail", fail_msgid="0f" * 16, fail_type=10),
        event("session_status_change", change_type=1),
    )
    assert (back.kind, back.external_id, back.revision, back.scope) == (Kind.DELETE, "4Jc1", "deleted", KFID)
    assert failed.kind is Kind.DELIVERY_NOTICE and failed.returned is not None
    assert (failed.returned.of, failed.returned.status, failed.returned.diagnostic) == (
        ("0f" * 16,), "10", "they refused it",
    )  # fmt: skip
    assert failed.thread_key == back.thread_key


WRONG: tuple[Any, ...] = (None, True, -1, 1e308, "", "x" * 300, [], {}, [None])


def spoilt(said: Any) -> Iterator[Any]:
    """Every way to spoil one place of it."""
    yield from WRONG
    for name in said if isinstance(said, dict) else ():
        yield {key: value for key, value in said.items() if key != name}
        yield from ({**said, name: change} for change in spoilt(said[name]))


def test_a_spoilt_item_is_unreadable_or_a_message_and_takes_no_other_with_it() -> None:
    good = item(id="good", content="好")
    items = [sent for sent, _, _ in SAID.values()]
    items += [event("user_recall_msg", recall_msgid="a"), event("msg_send_fail", fail_msgid="b", fail_type=6)]
    for wrong in (change for one in items for change in spoilt(one)):
        try:
            messages = listed(wrong, good)
        except Unreadable as error:
            messages = list(error.readable)
        assert messages[-1].external_id == "good"
    for body in (b"{", b"[]", b'{"msg_list": 1}', b"{}"):
        with suppress(Unreadable):
            account().parse(Envelope("wecom", "main", "k", "", MOMENT, body))


# Reading on


class House:
    """Takes what is handed in, with the place, in one go; or not at all."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.places: dict[str, str] = {}
        self.trouble = 0

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        if self.trouble:
            self.trouble -= 1
            raise Unavailable("no room")
        self.envelopes += envelopes
        if cursor:
            self.places[cursor.name] = cursor.value

    async def recall(self, name: str) -> str:
        return self.places.get(name, "")

    async def refuse(self, *_: Any) -> None: ...

    async def until(self, many: int) -> list[str]:
        """The keys of what was handed in, once there are so many."""
        for _ in range(500):
            if len(self.envelopes) >= many:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)
        return [envelope.key for envelope in self.envelopes]


@asynccontextmanager
async def listening(house: House, wecom: Wecom) -> AsyncIterator[None]:
    wecom.resume(house.recall)
    task = asyncio.create_task(wecom.listen(house.accept, house.refuse, lambda: MOMENT))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await wecom.close()


async def test_a_callback_wakes_the_reader_which_goes_on_where_it_stopped(vendor: Side) -> None:
    house, wecom = House(), account(**vendor.settings())
    vendor.page = 2
    async with listening(house, wecom):
        await asyncio.sleep(0.1)
        vendor.items = [item(id=f"m{n}", content=str(n)) for n in range(5)]
        vendor.valid = "t1"
        request = vendor.signed(callback("t1"))
        assert wecom.answer(request).status == 200 and wecom.parse(envelope(wecom, request)) == []
        assert await house.until(5) == ["m0", "m1", "m2", "m3", "m4"]
    assert {envelope.lane for envelope in house.envelopes} == {CUSTOMER}
    said = [message for one in house.envelopes for message in wecom.parse(one)]
    assert [one.text for one in said] == list("01234")
    assert {one.sender.name for one in said} == {"张三"} and vendor.asked["names"] == 1
    assert house.places == {f"wecom/main/{KFID}": "5"}
    assert [poll.get("token", "") for poll in vendor.polls[1:]] == ["t1"] * 3

    vendor.items += [item(id="m5", content="5")]  # while nobody reads, and whose callback is lost
    async with listening(house, account(**vendor.settings())):
        assert await house.until(6) == ["m0", "m1", "m2", "m3", "m4", "m5"]
    assert vendor.polls[-1]["cursor"] == "5"


def envelope(wecom: Wecom, request: Request) -> Envelope:
    return Envelope("wecom", "main", wecom.key(request), wecom.lane(request), MOMENT, request.body)


async def test_a_page_that_was_not_taken_is_read_again_and_a_lost_callback_costs_nothing(vendor: Side) -> None:
    house, wecom = House(), account(poll_seconds=1, **vendor.settings())
    vendor.items = [item(id="m0", content="0")]
    house.trouble = 1
    async with listening(house, wecom):
        await asyncio.sleep(0.1)
        assert (house.envelopes, house.places) == ([], {})
        assert await house.until(1) == ["m0"]


async def test_a_callbacks_token_that_has_expired_is_dropped(vendor: Side) -> None:
    house, wecom = House(), account(open_kfids=[KFID], **vendor.settings())
    vendor.items, vendor.valid = [item(id="m0", content="0")], "newer"
    wecom.answer(vendor.signed(callback("older")))
    async with listening(house, wecom):
        assert await house.until(1) == ["m0"]
    assert [poll.get("token") for poll in vendor.polls] == ["older", None]
    assert vendor.asked["list"] == 0


async def test_a_callback_for_an_account_that_is_not_ours_to_read_is_left_alone(vendor: Side) -> None:
    house, wecom = House(), account(open_kfids=["wkOther"], **vendor.settings())
    vendor.items = [item(id="m0", content="0")]
    for kfid in (KFID, "wkOther"):
        wecom.answer(vendor.signed(callback("", kfid)))
    async with listening(house, wecom):
        while not vendor.polls:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
    assert {poll["open_kfid"] for poll in vendor.polls} == {"wkOther"}


async def test_names_that_cannot_be_had_keep_nobody_waiting(vendor: Side) -> None:
    house, wecom = House(), account(**vendor.settings())
    vendor.items, vendor.answer["names"] = [item(id="m0", content="0")], 48002
    async with listening(house, wecom):
        assert await house.until(1) == ["m0"]
    assert [message.sender.name for message in wecom.parse(house.envelopes[0])] == [""]


async def test_an_account_read_first_begins_with_the_last_hour(vendor: Side) -> None:
    then = int(MOMENT.timestamp())
    vendor.items = [item(id=f"{hours}", content="x", at=then - 3600 * hours + 60) for hours in (60, 2, 1)]
    house = House()
    async with listening(house, account(**vendor.settings())):
        assert await house.until(1) == ["1"]
    assert house.places == {f"wecom/main/{KFID}": "3"}


# Answers


async def test_customers_are_answered_by_the_account_they_wrote_to_under_our_id(vendor: Side) -> None:
    house = account(**vendor.settings())
    sent = await house.send(reply(choices=(Choice("solved", "已解决"), Choice("unsolved", "未解决"))), MOMENT)
    assert sent.external_id == "0f" * 16
    (told,) = vendor.sent
    assert (told["to"], told["from"], told["id"], told["text"]) == (CUSTOMER, KFID, "0f" * 16, TEXT)
    assert told["buttons"][0] == {"type": "click", "click": {"id": "solved", "content": "已解决"}}

    await house.send(reply("字" * 700, written_to="", thread_key=f"{KFID}:{CUSTOMER}"), MOMENT)
    assert [len(one["text"].encode()) for one in vendor.sent[1:]] == [2046, 54]
    assert len({one["id"] for one in vendor.sent}) == 2  # the first piece bears the reply's, on every attempt
    with pytest.raises(Refused, match="48 hours"):
        await house.send(reply(answering=MOMENT - timedelta(hours=49)), MOMENT)
    await house.close()


async def test_colleagues_are_answered_by_the_app_with_buttons_on_a_card(vendor: Side) -> None:
    house = account(**vendor.settings())
    assert (await house.send(to_colleague(answering=MOMENT - timedelta(days=9)), MOMENT)).external_id == "app-1"
    await house.send(to_colleague("解决了吗？", choices=(Choice("solved", "已解决"),)), MOMENT)
    assert [(one["to"], one["text"]) for one in vendor.sent] == [(COLLEAGUE, TEXT), (COLLEAGUE, "解决了吗？")]
    assert vendor.sent[1]["buttons"] == [{"text": "已解决", "style": 1, "key": "solved 已解决"}]

    vendor.unseen = {COLLEAGUE}
    with pytest.raises(Refused) as caught:
        await house.send(to_colleague(), MOMENT)
    assert caught.value.bounced
    await house.close()
    with pytest.raises(Refused, match="neither"):
        await account(customer_service=False, **vendor.settings()).send(reply(), MOMENT)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [(95001, Refused, "5 messages"), (95018, Refused, "colleague"), (60020, Unavailable, "trusted IPs"),
     (45009, Unavailable, "too often"), (40058, Refused, "40058")],
)  # fmt: skip
async def test_what_the_vendor_refuses_is_told_in_plain_words(
    code: int, kind: type[Exception], words: str, vendor: Side
) -> None:
    house = account(**vendor.settings())
    vendor.answer["send"] = code
    with pytest.raises(kind, match=words):
        await house.send(reply(), MOMENT)
    await house.close()


async def test_a_stale_token_is_renewed_once_for_words_and_files(vendor: Side) -> None:
    house = account(**vendor.settings())
    vendor.media["m1"] = Response(b"%PDF", media_type="application/pdf")
    await house.send(reply(), MOMENT)
    vendor.token = "access-1"
    await house.send(reply("again"), MOMENT)
    vendor.token = "access-2"
    fetched = await house.fetch(Attachment("file", "application/octet-stream", 0, "", remote="m1"), MOMENT)
    assert (fetched.content, fetched.media_type, vendor.asked["token"]) == (b"%PDF", "application/pdf", 3)
    await house.close()


async def test_the_doctor_tries_the_token_the_app_and_the_accounts(vendor: Side) -> None:
    house = account(**vendor.settings())
    assert [one.well for one in await house.examine(MOMENT)] == [True, True, True]
    await house.close()
    house = account(**vendor.settings())
    vendor.answer["token"] = 60020
    (found,) = await house.examine(MOMENT)
    assert not found.well and "203.0.113.9" in found.hint
    assert vendor.sent == []
    await house.close()


# Through a gateway


async def test_what_a_callback_tells_of_becomes_a_ticket_and_is_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = Side()
    async with speaking(side):
        for name, value in {"WW_SECRET": SECRET, "WW_TOKEN": TOKEN, "WW_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        secrets = {
            "secret": {"env": "WW_SECRET"},
            "tokens": [{"env": "WW_TOKEN"}],
            "encoding_aes_keys": [{"env": "WW_KEY"}],
        }
        said = {"connector": "wecom", "account": "main", "corp_id": CORP_ID, "customer_service": True, **secrets}
        gateway = Gateway(tmp_path)
        accounts = gateway.config.read_text().partition("helpdesks:")[0]
        gateway.config.write_text(f"{accounts}  - {orjson.dumps({**said, **side.settings()}).decode()}\n")
        with await asyncio.to_thread(gateway.start):
            now = datetime.now(UTC)
            side.items = [item(id="m0", content="快递到哪里了", at=int(now.timestamp()))]
            side.valid = "t1"
            request = side.signed(callback("t1"), now)
            url = request.url.replace("http://127.0.0.1", f"http://127.0.0.1:{gateway.http}")
            for _ in range(2):  # the vendor may say it twice
                await asyncio.to_thread(urllib.request.urlopen, urllib.request.Request(url, request.body), None, 10)
            for _ in range(400):
                if side.sent:
                    break
                await asyncio.sleep(0.05)
            await asyncio.to_thread(gateway.settle)
            (ticket,) = await asyncio.to_thread(gateway.tickets)
    assert [one["to"] for one in side.sent] == [CUSTOMER] and ticket["number"] in side.sent[0]["text"]
