"""Twilio: its own validator agrees on every signature, and its library sends, late, from pools, and to who said STOP."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Gateway
from twilio.request_validator import RequestValidator
from vendor import speaking
from vendors.twilio import ACCOUNT, PICTURE, TOKEN, URL, Side

from connectors.base import enclose
from connectors.twilio import Twilio, TwilioSettings
from connectors.twilio_signature import pairs, valid
from gateway import settings
from gateway.attempt import Reader
from normalizer.canon import Address, Attachment, Choice, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

HERE = Path(__file__).parent / "twilio"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SETTINGS = json.loads((HERE / "settings.json").read_text())
SAID = {"MessageSid": "SM1", "SmsStatus": "received", "From": "+14155550123", "To": "+14155550100", "Body": "Hello"}
POOL = "MG" + "0b" * 16


def account(**more: Any) -> Twilio:
    return Twilio(TwilioSettings.model_validate({**SETTINGS, **more}))


@asynccontextmanager
async def answering(**more: Any) -> AsyncIterator[tuple[Side, Twilio]]:
    side = Side()
    async with speaking(side):
        house = account(**{**side.settings(), **more})
        yield side, house
        await house.close()


def reply(**more: Any) -> Reply:
    to = Address("phone", "+14155550123")
    made = Reply(
        "0f" * 16, "sms", "twilio", "main", "t", "20260302001", to, "", "Hello", "en", written_to="+14155550100"
    )
    return replace(made, **more)


def heard(**said: str) -> list[Message]:
    house = account()
    return list(house.parse(enclose(house, Side().signed({**SAID, **said}))))


# Who calls

HOSTS = st.sampled_from(["help.example.com", "help.example.com:8443", "help.example.com:443", "10.0.0.1:80", "[::1]"])
QUERIES = st.sampled_from(["", "?a=1&b=2", "?empty=", "?q=%E5%8D%95", "?bodySHA256=" + "0" * 64])
URLS = st.builds("{}://{}/in/twilio/main{}".format, st.sampled_from(["http", "https"]), HOSTS, QUERIES)
WORDS = st.text(st.characters(codec="utf-8"), max_size=30)
NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True)
FORMS = st.lists(st.tuples(NAMES, WORDS), min_size=1, max_size=8)


class Multi(dict[str, list[str]]):
    """A form in which names may be repeated, as Django and Flask give it to the validator."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def multi(form: list[tuple[str, str]]) -> Multi:
    return Multi({name: [value for other, value in form if other == name] for name, _ in form})


@given(URLS, FORMS, st.sampled_from(["HMAC_SHA1", "HMAC_SHA256"]), st.data())
def test_twilios_validator_and_ours_say_the_same(
    url: str, form: list[tuple[str, str]], kind: str, data: st.DataObject
) -> None:
    theirs = RequestValidator(TOKEN)
    signature = theirs.compute_signature(url, multi(form), kind)
    other_url, other = data.draw(URLS | st.just(url)), data.draw(FORMS | st.permutations(form))

    assert valid(TOKEN, url, form, signature, kind)
    assert theirs.validate(url, multi(form), signature, kind)
    said = theirs.validate(other_url, multi(other), signature, kind)
    if "[" not in url + other_url:  # the library cuts an address of IPv6 at its first colon
        assert valid(TOKEN, other_url, other, signature, kind) == said
    assert not valid("another", url, form, signature, kind)
    assert pairs(urlencode(form).encode()) == form


@given(URLS, st.binary(max_size=50), st.booleans())
def test_a_json_body_is_proved_by_its_hash_in_the_url(url: str, body: bytes, spoilt: bool) -> None:
    body = b"{" + body.decode("latin-1").encode() + b"}"
    url = url.partition("?")[0] + "?x=1&bodySHA256=" + sha256(body).hexdigest()
    signature = RequestValidator(TOKEN).compute_signature(url, {})
    body += b" " if spoilt else b""

    assert valid(TOKEN, url, body, signature) is not spoilt
    assert RequestValidator(TOKEN).validate(url, body.decode(), signature) is not spoilt


@pytest.mark.parametrize("url", ["https://[", "https://h:x/", "https://h:99999999/", ""])
def test_a_url_that_is_none_is_signed_by_nobody(url: str) -> None:
    assert not valid(TOKEN, url, [("a", "b")], RequestValidator(TOKEN).compute_signature("https://h/", {"a": "b"}))
    assert not valid(TOKEN, URL, b"{}", RequestValidator(TOKEN).compute_signature(URL, {}))  # no hash in the URL


@pytest.mark.parametrize("spelling", [b"BodyHello", b"Body=Hell%6F&", b"Body=Hell=o", b"Body=%2b", b"&Body=Hello", b""])
def test_a_form_spelt_as_twilio_does_not_is_turned_away_though_it_signs_alike(spelling: bytes) -> None:
    request = Side().signed({"Body": "Hello"})
    with pytest.raises(Rejected, match="HTTP POST"):
        account().verify(replace(request, body=spelling))


def test_a_name_whose_beginning_stands_in_the_value_before_it_is_turned_away_though_it_signs_alike() -> None:
    said = Side().signed({"ErrorCode": "30003", "ChannelToAddress": "+1415555XXXX"})
    moved = said.body.removeprefix(b"Error") + b"Error"
    assert valid(
        TOKEN, URL, [("Code", "30003"), ("ChannelToAddress", "+1415555XXXXError")], said.headers["x-twilio-signature"]
    )
    account().verify(said)
    with pytest.raises(Rejected, match="beginning of a name"):
        account().verify(replace(said, body=moved))


def test_either_token_lets_in_while_they_are_changed_and_a_shared_key_says_its_algorithm() -> None:
    for token in SETTINGS["auth_tokens"]:
        account().verify(Side().signed(SAID, token=token))
    with pytest.raises(Rejected):
        account().verify(Side().signed(SAID, token="the one before"))

    request = Side().signed(SAID)
    newer = RequestValidator(TOKEN).compute_signature(URL, SAID, "HMAC_SHA256")
    named = {"x-twilio-webhooks-signature-settings": "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"}
    account().verify(replace(request, headers={**request.headers, **named, "x-twilio-signature": newer}))
    for kind in ("HMAC_SHA1", "NONE", ""):
        broken = {"x-twilio-signature": newer, "x-twilio-webhooks-signature-settings": f"algorithm={kind}"}
        with pytest.raises(Rejected):
            account().verify(replace(request, headers=broken))


# What they say


def test_a_message_has_one_key_by_whatever_url_it_comes_and_news_of_ours_one_for_each_status() -> None:
    house, side = account(), Side()
    keys = [house.key(side.signed({**SAID, **more})) for more in ({}, {"NewParameter": "x"}, {"SmsStatus": "sent"})]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("status", ["accepted", "queued", "sending", "sent", "delivered", "read", "canceled", "x"])
def test_news_that_is_no_failure_is_no_message(status: str) -> None:
    assert heard(MessageStatus=status) == []


@pytest.mark.parametrize(
    ("said", "opted"),
    [({"Body": " stopall "}, "stop"), ({"Body": "STOP it"}, ""), ({"Body": "停", "OptOutType": "STOP"}, "stop"),
     ({"Body": "help"}, "help"), ({"Body": "help", "From": "whatsapp:+14155550123"}, ""), ({"Body": "yes"}, ""),
     ({"Body": "Stop", "From": "whatsapp:+14155550123"}, "stop"), ({"Body": "start"}, "start")],
)  # fmt: skip
def test_who_says_stop_is_heard_and_not_answered(said: dict[str, str], opted: str) -> None:
    (message,) = heard(**said)
    assert (message.kind, message.claims.get("opt_out", ""), message.answerable) == (Kind.MESSAGE, opted, not opted)


def test_a_failure_is_told_of_the_customers_conversation() -> None:
    inward = heard(From="whatsapp:+8613812345678", To="whatsapp:+14155550100")[0]
    (news,) = heard(
        MessageStatus="failed", ErrorCode="63016", To="whatsapp:+8613812345678", From="whatsapp:+14155550100"
    )

    assert (news.kind, news.thread_key) == (Kind.DELIVERY_NOTICE, inward.thread_key)
    assert news.returned and news.returned.of == ("SM1",) and "24 hours" in news.returned.diagnostic


def test_what_we_write_to_ourselves_and_what_has_no_id_makes_no_message() -> None:
    assert heard(From="+14155550100", To="+14155550199") == []
    with pytest.raises(Unreadable):
        heard(MessageSid="")
    with pytest.raises(Unreadable):
        heard(From="")


def test_of_a_batch_in_json_what_can_be_read_goes_on() -> None:
    house = account()
    body = json.dumps([{"data": {"messageSid": "SM1", "from": "+1", "body": "a"}}, {"data": {}}]).encode()
    with pytest.raises(Unreadable) as caught:
        house.parse(enclose(house, replace(Side().signed(SAID), body=body)))
    assert [message.text for message in caught.value.readable] == ["a"]


def test_normalize_takes_whatsapps_messages_as_twilio_posts_them() -> None:
    config = settings.read(Path(__file__).parents[2] / "config" / "ticketgate.yaml")
    _, _, body = (HERE / "location.http").read_bytes().partition(b"\n\n")
    (printed,) = Reader(config, "whatsapp").printed("location", body + b"\n")
    assert (printed["connector"], printed["from"]["address"]) == ("twilio", "+8613812345678")


# Answering


async def test_a_reply_leaves_from_the_number_written_to_and_from_a_pool_by_the_pool() -> None:
    async with answering() as (side, house):
        await house.send(reply(), MOMENT)
        await house.send(reply(written_to="+14155550199"), MOMENT)
        await house.send(reply(channel="whatsapp"), MOMENT)
        await house.send(reply(written_to=""), MOMENT)

    ways = [(one["To"], one.get("From"), one.get("MessagingServiceSid")) for one in side.asked]
    assert ways == [
        ("+14155550123", "+14155550100", None),
        ("+14155550123", "+14155550199", POOL),
        ("whatsapp:+14155550123", "whatsapp:+14155550100", None),
        ("+14155550123", None, POOL),
    ]
    assert {one["StatusCallback"] for one in side.asked} == {URL}


async def test_long_words_go_in_pieces_and_choices_as_words() -> None:
    async with answering() as (side, house):
        sent = await house.send(reply(text="句子。" * 900, choices=(Choice("solved", "已解决"),)), MOMENT)

    assert [len(one["Body"]) for one in side.asked] == [1599, 1107]
    assert side.asked[-1]["Body"].endswith("\n· 已解决")
    assert sent.external_id == "SM" + "0" * 32  # the first piece's


@pytest.mark.parametrize(
    ("code", "kind", "bounced"),
    [(21610, Refused, True), (21211, Refused, True), (21606, Refused, False), (20429, Unavailable, False)],
)
async def test_an_error_is_sorted_by_its_code_and_names_nobody(code: int, kind: type[Any], bounced: bool) -> None:
    async with answering() as (side, house):
        side.code = code
        with pytest.raises(kind) as caught:
            await house.send(reply(), MOMENT)
    assert str(code) in caught.value.reason and "+1415" not in caught.value.reason
    assert getattr(caught.value, "bounced", False) is bounced


async def test_whatsapp_after_24_hours_goes_by_the_template_or_not_at_all() -> None:
    late = reply(channel="whatsapp", answering=MOMENT - timedelta(hours=24, seconds=1))
    async with answering() as (side, house):
        with pytest.raises(Refused, match="24 hours"):
            await house.send(late, MOMENT)
        side.code = 63016  # it knows better than we
        with pytest.raises(Refused, match="24 hours"):
            await house.send(reply(channel="whatsapp"), MOMENT)
    async with answering(content_sid="HX1") as (side, house):
        side.code = 63016
        await house.send(late, MOMENT)
        await house.send(reply(channel="whatsapp"), MOMENT)

    assert [one.get("ContentSid") for one in side.asked] == ["HX1", None, "HX1"]
    assert [one["text"] for one in side.sent] == ['{"1":"20260302001"}'] * 2


async def test_a_wrong_token_is_told_without_it() -> None:
    async with answering(auth_tokens=["wrong-token"]) as (_, house):
        with pytest.raises(Unavailable, match="20003: the account SID, token or key is wrong") as caught:
            await house.send(reply(), MOMENT)
        (finding,) = await house.examine(MOMENT)
    assert not finding.well
    assert "wrong-token" not in repr(caught.value) + repr(finding)


# Media


async def test_a_file_is_fetched_with_the_password_which_goes_no_further() -> None:
    async with answering() as (side, house):
        at = f"{side.url}/2010-04-01/Accounts/{ACCOUNT}/Messages/MM1/Media/ME1"
        got = await house.fetch(Attachment("ME1.png", "image/png", 0, "", remote=at), MOMENT)
        strangers = at.replace("127.0.0.1", "localhost")  # another origin than `api`
        with pytest.raises(Refused, match="401"):
            await house.fetch(Attachment("ME1.png", "image/png", 0, "", remote=strangers), MOMENT)
        nowhere = await house.fetch(Attachment("x", "image/png", 0, "", remote="file:///etc/passwd"), MOMENT)
        small = account(**side.settings(), media={"size_limit": 9})
        large = await small.fetch(Attachment("ME1.png", "image/png", 0, "", remote=at), MOMENT)
        await small.close()

    assert (got.content, got.size, got.media_type, got.missing) == (PICTURE, len(PICTURE), "image/png", "")
    assert side.elsewhere == ["", ""]
    assert (nowhere.missing, large.missing) == ("forbidden", "oversized")


# ticketgate doctor


async def test_the_doctor_looks_at_account_numbers_and_pool() -> None:
    async with answering(numbers=["+14155550100", "+14155550101", "+14155550102"]) as (side, house):
        side.numbers = [{"phone_number": "+14155550100", "sms_url": URL + "#rc=3", "sms_method": "POST"},
                        {"phone_number": "+14155550101", "sms_url": "https://demo.twilio.com", "sms_method": "POST"}]  # fmt: skip
        found = await house.examine(MOMENT)

    assert [(one.what.removeprefix("twilio/main "), one.well) for one in found] == [
        ("account", True), ("number ...0100", True), ("number ...0101", False), ("number ...0102", True),
        ("messaging service", False),
    ]  # fmt: skip
    assert side.sent == []


# By a real gateway


def traffic(side: Side, gateway: Gateway) -> tuple[list[int], list[dict[str, Any]]]:
    """The same message twice, as when Twilio tries the fallback URL, and then a forged one."""
    request = Side().signed({**SAID, "Body": "My order 10023 has not arrived"})
    bodies = [request.body, request.body, request.body.replace(b"10023", b"10024")]
    with gateway:
        url = f"http://127.0.0.1:{gateway.http}/in/twilio/main"
        answers = [httpx.post(url, content=body, headers=dict(request.headers)) for body in bodies]
        deadline = time.monotonic() + 30
        while not side.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        tickets = gateway.tickets()
        stop = Side().signed({**SAID, "MessageSid": "SM2", "Body": "STOP"})
        httpx.post(url, content=stop.body, headers=dict(stop.headers)).raise_for_status()
        (key,) = gateway.json("keys", "add", "desk", "--scope", "tickets:write", "--scope", "tickets:read")
        comments = f"http://127.0.0.1:{gateway.http}/api/v1/tickets/{tickets[0]['number']}/comments"
        bearer = {"authorization": f"Bearer {key['secret (shown once)']}"}
        httpx.post(comments, json={"text": "One more thing", "public": True}, headers=bearer).raise_for_status()
        dead: list[dict[str, Any]] = []
        while not dead and time.monotonic() < deadline:
            dead = gateway.json("outbox", "list", "--state", "dead", "--json")
        assert [(one["what"], "STOP" in one["last error"]) for one in dead] == [("reply", True)]
    assert answers[0].content.endswith(b"<Response/>")
    return [answer.status_code for answer in answers], tickets


async def test_a_text_message_becomes_one_ticket_and_is_acknowledged_from_the_number_it_was_sent_to(
    tmp_path: Path,
) -> None:
    side = Side()
    async with speaking(side):
        gateway = Gateway(tmp_path)
        (tmp_path / "token").write_text(TOKEN)
        mine = json.dumps({**SETTINGS, **side.settings(), "auth_tokens": [{"file": "token"}]})
        said = gateway.config.read_text().replace("connectors:\n", f"connectors:\n  - {mine}\n")
        gateway.config.write_text(said.replace("http: {", 'http: {public_url: "https://help.example.com", '))
        statuses, tickets = await asyncio.to_thread(traffic, side, gateway)

    assert statuses == [200, 200, 401]
    assert [ticket["source"]["channel"] for ticket in tickets] == ["sms"]
    (acknowledged,) = side.asked
    assert (acknowledged["From"], acknowledged["To"]) == ("+14155550100", "+14155550123")
    assert tickets[0]["number"] in acknowledged["Body"]
