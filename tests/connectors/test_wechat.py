"""微信公众号: sealed and plain callbacks, words within 5 seconds and later, tokens, files, and what the vendor refuses."""

import asyncio
import base64
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Gateway
from starlette.responses import JSONResponse, RedirectResponse, Response
from vendor import speaking
from vendors.wechat import APP_ID, CUSTOMER, KEY, MOMENT, OURS, SECRET, TOKEN, Side, message, signed
from wechatpy.crypto import PrpCrypto

from connectors.base import Request, enclose
from connectors.wechat import Wechat
from connectors.wechat_crypto import UNOPENED, aes_key, decrypt, encrypt, fields, signature
from normalizer.canon import Address, Attachment, Choice, Kind, Reply
from normalizer.errors import ConfigError, Refused, Rejected, Unavailable, Unreadable

HERE = Path(__file__).parent / "wechat"
ASKED = "我们已收到您的需求，工单编号为 20260302001。"


def account(**more: Any) -> Wechat:
    said = orjson.loads((HERE / "settings.json").read_bytes())
    return Wechat(Wechat.Settings.model_validate({**said, **more}))  # type: ignore[arg-type]


def reply(text: str = ASKED, **more: Any) -> Reply:
    said: dict[str, Any] = {
        "id": "0f" * 16, "channel": "wechat", "connector": "wechat", "account": "main", "ticket": "1f" * 16,
        "number": "20260302001", "subject": "", "language": "zh", "to": Address("wechat", CUSTOMER),
        "answering": MOMENT - timedelta(minutes=1),
    }  # fmt: skip
    return Reply(text=text, **{**said, **more})


@pytest.fixture
async def vendor() -> AsyncIterator[Side]:
    side = Side()
    async with speaking(side):
        yield side


# What is sealed


@given(st.text(max_size=400), st.from_regex(r"(wx|ww)[0-9a-f]{1,20}", fullmatch=True), st.binary(min_size=16, max_size=16))  # fmt: skip
def test_what_we_seal_another_implementation_opens_and_the_other_way_round(words: str, owner: str, head: bytes) -> None:
    said = words.encode("utf-8", "replace").decode()
    theirs, key = PrpCrypto(aes_key(KEY)), aes_key(KEY)

    assert theirs.decrypt(encrypt(key, said.encode(), owner, head), owner) == said
    assert decrypt(key, theirs.encrypt(said, owner).decode(), owner) == said.encode()


@given(st.lists(st.text(max_size=40), min_size=3, max_size=4))
def test_signatures_are_as_another_implementation_makes_them(parts: list[str]) -> None:
    plain = [part.encode("utf-8", "replace").decode() for part in parts]
    assert signature(*plain[:3], *plain[3:]) == signed(*plain)


@given(st.binary(max_size=200), st.integers(0, 300), st.integers(1, 255))
def test_whatever_is_wrong_with_what_is_sealed_the_reason_is_one(junk: bytes, place: int, by: int) -> None:
    key, sealed = aes_key(KEY), base64.b64decode(encrypt(aes_key(KEY), b"<xml/>" * 9, APP_ID, b"h" * 16))
    spoilt = bytearray(sealed)
    spoilt[len(sealed) - 1 - place % 32] ^= by  # the padding, and the owner
    for wrong in (junk, bytes(spoilt), sealed[:-16], sealed[:-1], b""):
        with pytest.raises(Unreadable, match=f"^{UNOPENED}$"):
            decrypt(key, base64.b64encode(wrong).decode(), APP_ID)
    for wrong_text in ("", "====", "ä", base64.b64encode(sealed).decode() + "\n"):
        with pytest.raises(Unreadable, match=f"^{UNOPENED}$"):
            decrypt(key, wrong_text, APP_ID)
    with pytest.raises(Unreadable, match=f"^{UNOPENED}$"):
        decrypt(key, base64.b64encode(sealed).decode(), APP_ID + "x")


HOSTILE = {
    "a file": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><Content>&a;</Content></xml>',
    "a DTD elsewhere": b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:1/x.dtd"><xml><Content>a</Content></xml>',
    "an empty DTD": b"<!DOCTYPE xml><xml><Content>a</Content></xml>",
    "laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><xml><Content>&b;</Content></xml>',
    "an unknown entity": b"<xml><Content>&a;</Content></xml>",
    "no end": b"<xml>" * 20_000,
    "an unknown encoding": b'<?xml version="1.0" encoding="nope"?><xml/>',
    "two roots": b"<xml/><xml/>",
    "nothing": b"",
    "JSON": b'{"MsgType": "text"}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_xml_is_not_read(name: str) -> None:
    with pytest.raises(Unreadable):
        fields(HOSTILE[name])
    house = account()
    with pytest.raises(Rejected):
        house.verify(replace(Side().signed(message(Content="a")), body=HOSTILE[name]))


def test_deep_xml_costs_nothing_but_its_length() -> None:
    assert fields(b"<xml><Content>a</Content>" + b"<a>" * 50_000 + b"</a>" * 50_000 + b"</xml>")["Content"] == "a"


# Who is let in


def test_the_check_of_the_url_is_answered_with_what_it_says() -> None:
    timestamp = str(int(MOMENT.timestamp()))
    query = {"signature": signed(TOKEN, timestamp, "n1"), "timestamp": timestamp, "nonce": "n1", "echostr": "5927 782"}
    asked = Request("GET", "http://127.0.0.1/in/wechat/main", {}, b"", query, "192.0.2.7", MOMENT)

    greeting = account().greet(asked)
    assert greeting is not None
    assert (greeting.status, greeting.body, greeting.media_type) == (200, b"5927 782", "text/plain; charset=utf-8")
    for wrong in ({**query, "nonce": "n2"}, {**query, "signature": ""}, {}):
        with pytest.raises(Rejected):
            account().greet(replace(asked, query=wrong))


def test_plain_requests_are_let_in_only_where_the_settings_say_so() -> None:
    plain, sealed = Side().signed(message(Content="你好"), plain=True), Side().signed(message(Content="你好"))
    house = account(mode="plain", encoding_aes_keys=[])
    house.verify(plain)
    assert [one.text for one in house.parse(enclose(house, plain))] == ["你好"]
    with pytest.raises(Rejected):
        house.verify(replace(plain, query={**plain.query, "nonce": "1"}))

    with pytest.raises(Rejected, match="not sealed"):
        account().verify(plain)
    both = account(mode="compatible")
    for request in (plain, sealed):
        both.verify(request)
        assert [one.text for one in both.parse(enclose(both, request))] == ["你好"]


def test_what_stands_open_beside_what_is_sealed_is_not_read() -> None:
    sealed = Side().signed(message(Content="你好"))
    beside = sealed.body.replace(b"</xml>", b"<MsgType>text</MsgType><Content>forged</Content></xml>")
    house = account(mode="compatible")
    house.verify(replace(sealed, body=beside))
    assert [one.text for one in house.parse(enclose(house, replace(sealed, body=beside)))] == ["你好"]


def test_a_new_token_and_key_are_taken_beside_the_old() -> None:
    other = "A" * 43
    house = account(tokens=["new", TOKEN], encoding_aes_keys=[other, KEY])
    request = Side().signed(message(Content="你好"))
    house.verify(request)
    assert [one.text for one in house.parse(enclose(house, request))] == ["你好"]


def test_a_key_that_is_none_stops_the_start() -> None:
    for wrong in ("short", "!" * 43):
        with pytest.raises(ConfigError, match="not an EncodingAESKey"):
            account(encoding_aes_keys=[wrong])
    with pytest.raises(ValueError, match="mode aes needs encoding_aes_keys"):
        account(encoding_aes_keys=[])


def test_asked_again_sealed_anew_it_is_one_message_and_one_envelope() -> None:
    house = account()
    for xml in (message(Content="你好"), message("event", id="", Event="CLICK", EventKey="HUMAN")):
        first = enclose(house, Side().signed(xml, nonce="1"))
        again = enclose(house, Side().signed(xml, MOMENT + timedelta(seconds=5), nonce="2"))
        assert (first.id, first.lane) == (again.id, again.lane) and first.body != again.body
        assert [one.id for one in house.parse(first)] == [one.id for one in house.parse(again)]


def test_events_say_nothing_but_the_menu_keys_that_are_for_people() -> None:
    house = account()
    said = {
        event: house.parse(enclose(house, Side().signed(message("event", id="", Event=event, EventKey=key))))
        for event, key in [("CLICK", "HUMAN"), ("subscribe", ""), ("SCAN", "1"), ("VIEW", "http://x"), ("LOCATION", "")]
    }
    assert {event: [one.text for one in messages] for event, messages in said.items() if messages} == {
        "CLICK": ["转人工"]
    }
    assert said["CLICK"][0].kind is Kind.POSTBACK
    other = house.parse(enclose(house, Side().signed(message("event", id="", Event="CLICK", EventKey="PRICES"))))
    assert other == []


# What we say


async def answered(house: Wechat, request: Request, *replies: Reply) -> bytes:
    """The answer to a request, while these replies are sent."""
    asked = asyncio.create_task(house.respond(request))
    await asyncio.sleep(0)
    for one in replies:
        await house.send(one, MOMENT)
    return (await asked).body


async def test_words_that_are_ready_in_time_go_back_in_the_answer_and_only_there(vendor: Side) -> None:
    house = account(**vendor.settings())
    request = vendor.signed(message(Content="你好"))
    body = await answered(house, request, reply("好的 ]]> <b>"))

    said = vendor.opened(body)
    assert (said["ToUserName"], said["FromUserName"], said["MsgType"]) == (CUSTOMER, OURS, "text")
    assert said["Content"] == "好的 ]]> <b>"
    again = vendor.signed(message(Content="你好"), MOMENT + timedelta(seconds=5), nonce="7")
    assert vendor.opened((await house.respond(again)).body, "7")["Content"] == "好的 ]]> <b>"
    assert vendor.sent == [] and not vendor.tokens
    await house.close()


async def test_a_plain_account_is_answered_plainly(vendor: Side) -> None:
    house = account(mode="plain", **vendor.settings())
    body = await answered(house, vendor.signed(message(Content="你好"), plain=True), reply())
    assert fields(body)["Content"] == ASKED
    await house.close()


async def test_two_repeated_requests_that_wait_hear_the_same(vendor: Side) -> None:
    house = account(**vendor.settings())
    first = asyncio.create_task(house.respond(vendor.signed(message(Content="你好"), nonce="1")))
    again = asyncio.create_task(house.respond(vendor.signed(message(Content="你好"), nonce="2")))
    await asyncio.sleep(0)
    await house.send(reply(), MOMENT)
    bodies = [(await one).body for one in (first, again)]
    assert [vendor.opened(body, nonce)["Content"] for body, nonce in zip(bodies, "12", strict=True)] == [ASKED] * 2
    assert vendor.sent == []
    await house.close()


async def test_what_is_late_or_too_long_or_for_somebody_else_goes_by_the_api(vendor: Side) -> None:
    house = account(passive_seconds=0.05, **vendor.settings())
    request = vendor.signed(message(Content="你好"))
    assert (await house.respond(request)).body == b"success"
    await house.send(reply("late"), MOMENT)
    other = vendor.signed(message(Content="你好", id="2"))
    assert await answered(house, other, reply("其他", to=Address("wechat", "oOther"))) == b"success"
    longer = vendor.signed(message(Content="你好", id="3"))
    assert await answered(house, longer, reply("字" * 700)) == b"success"
    assert [len(one["text"].encode()) for one in vendor.sent] == [4, 6, 2046, 54]
    await house.close()


async def test_nobody_waits_where_nothing_is_said_or_the_settings_say_so(vendor: Side) -> None:
    house = account(passive_seconds=4, **vendor.settings())
    async with asyncio.timeout(1):
        assert (await house.respond(vendor.signed(message("event", id="", Event="subscribe")))).body == b"success"
        none = account(passive_seconds=0, **vendor.settings())
        assert (await none.respond(vendor.signed(message(Content="你好")))).body == b"success"


async def test_choices_are_a_menu_and_links_where_no_menu_can_be(vendor: Side) -> None:
    house = account(**vendor.settings())
    asking = reply("解决了吗？", choices=(Choice("solved", "已解决"), Choice("unsolved", "<未解决>")))
    await house.send(asking, MOMENT)
    assert vendor.sent[0]["text"] == "解决了吗？"
    assert vendor.sent[0]["buttons"] == [
        {"id": "solved", "content": "已解决"}, {"id": "unsolved", "content": "<未解决>"},
    ]  # fmt: skip
    said = vendor.opened(await answered(house, vendor.signed(message(Content="你好")), asking))["Content"]
    assert said.startswith("解决了吗？\n\n")
    assert '<a href="weixin://bizmsgmenu?msgmenucontent=未解决&msgmenuid=unsolved">未解决</a>' in said
    await house.close()


async def test_after_48_hours_nobody_is_asked(vendor: Side) -> None:
    house = account(**vendor.settings())
    with pytest.raises(Refused, match="48 hours"):
        await house.send(reply(answering=MOMENT - timedelta(hours=49)), MOMENT)
    assert not vendor.asked
    await house.close()


async def test_an_account_without_a_secret_says_only_what_is_ready(vendor: Side) -> None:
    house = account(app_secret=None, **vendor.settings())
    with pytest.raises(Refused, match="within 5 seconds"):
        await house.send(reply(), MOMENT)
    assert vendor.opened(await answered(house, vendor.signed(message(Content="你好")), reply()))["Content"] == ASKED
    with pytest.raises(Refused, match="no app_secret"):
        await house.fetch(Attachment("voice.amr", "audio/amr", 0, "", remote="m1"), MOMENT)
    await house.close()


REFUSALS = {
    45015: (Refused, "48 hours"), 45047: (Refused, "5 messages"), 48001: (Refused, "unverified"),
    43004: (Refused, "follow"), 40003: (Refused, "no such user"), 99999: (Refused, "errcode 99999"),
    45009: (Unavailable, "too often"), -1: (Unavailable, "busy"), 40164: (Unavailable, "white list"),
}  # fmt: skip


@pytest.mark.parametrize("code", REFUSALS)
async def test_what_the_vendor_refuses_is_told_in_plain_words(code: int, vendor: Side) -> None:
    house = account(**vendor.settings())
    vendor.answer["send"] = code
    kind, words = REFUSALS[code]
    with pytest.raises(kind, match=words) as caught:
        await house.send(reply(), MOMENT)
    assert getattr(caught.value, "bounced", False) is (code in (43004, 40003))
    assert "hint" not in str(caught.value)
    await house.close()


async def test_a_stale_token_is_renewed_once_and_forced_only_if_the_vendor_gives_it_again(vendor: Side) -> None:
    house = account(**vendor.settings())
    await house.send(reply("1"), MOMENT)
    vendor.tokens.append("another program's")  # which is the stable one by now
    await house.send(reply("2"), MOMENT)
    assert ([one["text"] for one in vendor.sent], vendor.asked["token"], vendor.forced) == (["1", "2"], 2, 0)

    vendor.answer["send"] = 40001
    with pytest.raises(Unavailable, match="access token"):
        await house.send(reply("3"), MOMENT)
    assert (vendor.asked["send"], vendor.forced) == (5, 1)
    vendor.answer.clear()
    await house.send(reply("3"), MOMENT)
    assert len(vendor.sent) == 3
    await house.close()


# Files


async def test_files_are_fetched_by_their_ids_and_a_video_by_the_address_given_for_it(vendor: Side) -> None:
    house = account(**vendor.settings())
    vendor.media = {
        "v1": Response(b"#!AMR\n1234", media_type="audio/amr"),
        "film": JSONResponse({"video_url": f"{vendor.url}/cgi-bin/media/get?media_id=v2&access_token=token-0"}),
        "v2": Response(b"mp4", media_type="video/mp4"),
        "big": Response(b"x" * 2000, media_type="image/png"),
        "odd": Response(b"x", media_type="model/obj"),
    }
    fetched = await house.fetch(Attachment("voice.amr", "audio/amr", 0, "", remote="v1"), MOMENT)
    assert (fetched.content, fetched.media_type, fetched.size) == (b"#!AMR\n1234", "audio/amr", 10)
    assert (await house.fetch(Attachment("video.mp4", "video/mp4", 0, "", remote="film"), MOMENT)).content == b"mp4"
    assert (await house.fetch(Attachment("f", "", 0, "", remote="odd"), MOMENT)).missing == "forbidden"
    with pytest.raises(Refused, match="40007"):
        await house.fetch(Attachment("voice.amr", "audio/amr", 0, "", remote="no"), MOMENT)
    vendor.tokens.append("renewed")
    assert (await house.fetch(Attachment("voice.amr", "audio/amr", 0, "", remote="v1"), MOMENT)).content
    await house.close()

    small = account(media={"size_limit": 1000, "types": ["image/*"]}, **vendor.settings())
    assert (
        await small.fetch(Attachment("image.jpg", "image/jpeg", 0, "", remote="big"), MOMENT)
    ).missing == "oversized"
    vendor.tokens.append("renewed again")  # an error is JSON, which is not among the types, and is read all the same
    assert (await small.fetch(Attachment("v", "audio/amr", 0, "", remote="v1"), MOMENT)).missing == "forbidden"
    await small.close()


async def test_a_picture_whose_address_is_inside_is_not_fetched(vendor: Side) -> None:
    vendor.media = {"in": RedirectResponse("http://127.0.0.1:1/")}
    house = account(api=vendor.url)
    inside = Attachment("image.jpg", "image/jpeg", 0, "", remote=f"{vendor.url}/cgi-bin/media/get?media_id=in")
    assert (await house.fetch(inside, MOMENT)).missing == "forbidden"
    await house.close()


# The doctor


async def test_the_doctor_tells_the_ip_that_is_not_in_the_white_list(vendor: Side) -> None:
    house = account(**vendor.settings())
    assert [one.well for one in await house.examine(MOMENT)] == [True, True, True]
    vendor.answer["get"] = 48001
    found = await house.examine(MOMENT)
    assert [one.well for one in found] == [True, True, False] and "unverified" in found[2].found
    await house.close()

    house = account(**vendor.settings())
    vendor.answer["token"] = 40164
    (found_one,) = await house.examine(MOMENT)
    assert not found_one.well and "203.0.113.9" in found_one.hint
    assert vendor.sent == []
    await house.close()


# Through a gateway


async def test_a_question_is_a_ticket_and_its_acknowledgement_goes_back_in_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = Side()
    async with speaking(side):
        gateway = Gateway(tmp_path)
        for name, value in {"WX_SECRET": SECRET, "WX_TOKEN": TOKEN, "WX_KEY": KEY}.items():
            monkeypatch.setenv(name, value)
        secret = {
            "app_secret": {"env": "WX_SECRET"},
            "tokens": [{"env": "WX_TOKEN"}],
            "encoding_aes_keys": [{"env": "WX_KEY"}],
        }
        said = {"connector": "wechat", "account": "main", "app_id": APP_ID, **secret, **side.settings()}
        accounts = gateway.config.read_text().partition("helpdesks:")[0]
        gateway.config.write_text(f"{accounts}  - {orjson.dumps(said).decode()}\n")
        with await asyncio.to_thread(gateway.start):
            request = side.signed(message(Content="订单 20260301-7788 还没有发货"), datetime.now(UTC))

            def post() -> bytes:
                url = request.url.replace("http://127.0.0.1", f"http://127.0.0.1:{gateway.http}")
                asked = urllib.request.Request(url, request.body, {"content-type": "text/xml"})
                with urllib.request.urlopen(asked, timeout=10) as answer:
                    return bytes(answer.read())

            body = await asyncio.to_thread(post)
            again = await asyncio.to_thread(post)
            await asyncio.to_thread(gateway.settle)
            (ticket,) = await asyncio.to_thread(gateway.tickets)
    assert ticket["number"] in side.opened(body)["Content"]
    assert side.opened(again)["Content"] == side.opened(body)["Content"] and side.sent == []


def test_a_process_that_does_not_send_waits_for_nothing(tmp_path: Path, vendor: Side) -> None:
    secrets = {"tokens": TOKEN, "encoding_aes_keys": KEY}
    for name, secret in secrets.items():
        (tmp_path / name).write_text(secret)
    account = {"connector": "wechat", "account": "main", "app_id": APP_ID, "passive_seconds": 4.5}
    account |= {name: [{"file": name}] for name in secrets}
    with Gateway(tmp_path, accounts=(account,)).start(roles="accept") as gateway:
        asked = vendor.signed(message(Content="你好"), datetime.now(UTC))
        url = asked.url.replace("127.0.0.1/", f"127.0.0.1:{gateway.http}/")
        started = time.monotonic()
        answer = httpx.post(url, content=asked.body, headers=asked.headers, timeout=20)
        assert (answer.status_code, answer.text) == (200, "success")
        assert time.monotonic() - started < 3
