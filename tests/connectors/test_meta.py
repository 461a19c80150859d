"""Meta's particulars. Payloads in tests/connectors/meta/ are written after the pages that the connector's files cite.

Instagram's are those of https://developers.facebook.com/documentation/business-messaging/instagram-messaging/webhooks and
https://developers.facebook.com/documentation/instagram-platform/webhooks/examples (apps with Instagram's own login).
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from serving import Gateway, post
from vendor import speaking
from vendors.meta import ACCOUNT, APP, NUMBER, PAGE, SECRET, TOKENS, Side, body_of, error

from connectors.base import Request, enclose
from connectors.graph import WindowClosed
from connectors.meta import Meta, MetaSettings
from normalizer.canon import Address, Attachment, Channel, Choice, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

FOLDER = Path(__file__).parent / "meta"
URL = "https://help.example.com/in/meta/main"
SAID = json.loads((FOLDER / "settings.json").read_text())
SENDERS = {"whatsapp": NUMBER, "messenger": PAGE, "instagram": ACCOUNT}


def opened(**more: Any) -> Meta:
    return Meta(MetaSettings.model_validate({**SAID, **more}))


@pytest.fixture(scope="module")
def served() -> Iterator[Side]:
    """One server for all of these tests: to start and stop it takes longer than any of them."""
    vendor, loop, ready = Side(), asyncio.new_event_loop(), threading.Event()
    over = asyncio.Event()

    async def serve() -> None:
        async with speaking(vendor):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield vendor
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


@pytest.fixture
def side(served: Side) -> Side:
    vars(served).update(vars(Side()), url=served.url)  # nothing was sent yet, nothing is wrong
    return served


@pytest.fixture
async def meta(side: Side) -> AsyncIterator[Meta]:
    house = opened(**side.settings())
    yield house
    await house.close()


def reply(channel: Channel, now: datetime, **more: Any) -> Reply:
    to = Address("phone", "+8613812345678", "张三") if channel == "whatsapp" else Address(channel, "6543210987654321")
    said = Reply(
        id="0f" * 16, channel=channel, connector="meta", account="main", ticket="1f" * 16, number="20260302001", to=to,
        subject="您的需求已收到", text="我们已收到您的需求。", language="zh", thread_key=f"{SENDERS[channel]}:{to.address}",
        written_to=SENDERS[channel], answering=now - timedelta(minutes=1),
    )  # fmt: skip
    return replace(said, **more)


def choices(*labels: str) -> tuple[Choice, ...]:
    return tuple(Choice(f"c{n}", label) for n, label in enumerate(labels))


# At the door


def asked(**query: str) -> Request:
    hub = {f"hub.{name}": value for name, value in query.items()}
    return Request("GET", URL, {}, b"", hub, "192.0.2.7", datetime(2026, 3, 2, 9, 30, tzinfo=UTC))


def test_the_handshake_is_answered_with_the_challenge_as_plain_text() -> None:
    answer = opened().greet(asked(mode="subscribe", verify_token="open-sesame-2026", challenge="<b>1158201444</b>"))
    assert answer is not None
    assert (answer.status, answer.body) == (200, b"<b>1158201444</b>")
    assert answer.media_type.startswith("text/plain")


@pytest.mark.parametrize("token", ["", "open-sesame", "Open-sesame-2026", "ключ", "\udcff"])
def test_a_wrong_verify_token_is_forbidden(token: str) -> None:
    with pytest.raises(Rejected) as caught:
        opened().greet(asked(mode="subscribe", verify_token=token, challenge="1"))
    assert caught.value.status == 403


def test_a_visitor_who_is_no_handshake_is_rejected_for_want_of_a_signature() -> None:
    house = opened()
    assert house.greet(asked()) is None
    with pytest.raises(Rejected):
        house.verify(asked())


def test_the_signature_is_over_the_bytes_as_they_came_by_any_secret_in_use() -> None:
    """The digest as `openssl dgst -sha256 -hmac 0cc175b9c0f1b6a831c399e269772661` tells it."""
    body = b'{"object":"page","entry":[],"name":"\\u5f20\\/\\u4e09"}'
    mac = "sha256=0f5075a6faff534288c346ab2770ee88f75e7d52fdea750cf04a0c00cb03cbfd"
    request = Request("POST", URL, {"x-hub-signature-256": mac}, body, {}, "192.0.2.7", datetime.now(UTC))
    house = opened()
    house.verify(request)
    for other in (json.dumps(json.loads(body)).encode(), body + b" "):
        with pytest.raises(Rejected):
            house.verify(replace(request, body=other))
    with pytest.raises(Rejected):
        opened(app_secrets=[SECRET]).verify(request)


def test_a_request_of_one_conversation_has_its_lane_and_others_the_accounts(now: datetime) -> None:
    lanes = [opened().lane(captured(name, now)) for name in ("messenger", "instagram_login", "whatsapp")]
    assert lanes == [f"{PAGE}:6543210987654321", f"{ACCOUNT}:1000200030004000", "main"]


# What came in


def captured(name: str, now: datetime) -> Request:
    return replace(Side().signed(batch(FOLDER / f"{name}.http")), received_at=now)


def read(payload: Any, now: datetime, **more: Any) -> list[Message]:
    house = opened(**more)
    return list(house.parse(enclose(house, replace(Side().signed(payload), received_at=now))))


def everything() -> Iterator[tuple[str, Any]]:
    """(object, entry with one thing in it) for all that is in the fixtures."""
    for path in sorted(FOLDER.glob("*.http")):
        whole = json.loads(path.read_bytes().partition(b"\n\n")[2])
        for entry in whole["entry"]:
            for one in entry.get("messaging", ()):
                yield whole["object"], {**entry, "messaging": [one]}
            for change in entry.get("changes", ()):
                many = [(k, v) for k in ("messages", "statuses", "message_echoes") for v in change["value"].get(k, ())]
                bare = {k: v for k, v in change["value"].items() if k in ("messaging_product", "metadata", "contacts")}
                for key, one in many:
                    yield whole["object"], {**entry, "changes": [{**change, "value": {**bare, key: [one]}}]}


def test_in_whatever_batches_and_order_it_comes_again_each_message_is_the_same(now: datetime) -> None:
    whole = [message for path in sorted(FOLDER.glob("*.http")) for message in read(batch(path), now)]
    single = [message for kind, entry in everything() for message in read({"object": kind, "entry": [entry]}, now)]
    for kind in ("page", "whatsapp_business_account"):
        entries = [entry for of, entry in everything() if of == kind]
        turned = read({"object": kind, "entry": [*reversed(entries), *entries]}, now)
        assert {message.id for message in turned} <= {message.id for message in whole}
        assert len(turned) == 2 * len({message.id for message in turned})
    logins = [message for message in whole if message.external_id == "aWd_11"]  # not under `messaging`
    assert {message.id for message in single} | {message.id for message in logins} == {message.id for message in whole}


def batch(path: Path) -> bytes:
    return path.read_bytes().partition(b"\n\n")[2]


def test_one_faulty_part_does_not_stop_the_others(now: datetime) -> None:
    (_, whatsapp), *_ = [one for one in everything() if one[0] == "whatsapp_business_account"]
    broken: list[Any] = [
        {**whatsapp, "changes": "x"},
        {"changes": [{"value": {"messages": [{"type": "text"}, 7]}}]},
        None,
    ]
    with pytest.raises(Unreadable) as caught:
        read({"object": "whatsapp_business_account", "entry": [*broken, whatsapp]}, now)
    assert len(caught.value.readable) == 1
    assert caught.value.reason.count(";") == 2


def test_what_is_edited_or_taken_back_names_what_was_said(now: datetime) -> None:
    edit, gone, _, _ = read(batch(FOLDER / "whatsapp_changes.http"), now)
    first, second, *_ = read(batch(FOLDER / "whatsapp.http"), now)
    assert (edit.kind, edit.external_id, edit.scope) == (Kind.EDIT, first.external_id, first.scope)
    assert (gone.kind, gone.external_id, gone.revision) == (Kind.DELETE, second.external_id, "deleted")
    assert edit.id != first.id
    assert (gone.text, gone.attachments) == ("", ())


def echo(**more: Any) -> Any:
    message = {"mid": "m_77", "text": "我们已收到您的需求", "is_echo": True, **more}
    said = {
        "sender": {"id": PAGE},
        "recipient": {"id": "6543210987654321"},
        "timestamp": 1772443740123,
        "message": message,
    }
    return {"object": "page", "entry": [{"id": PAGE, "time": 1772443740123, "messaging": [said]}]}


def test_of_our_own_words_the_echo_says_nothing_and_a_colleagues_are_an_agents(now: datetime) -> None:
    assert read(echo(app_id=int(APP)), now) == []
    assert read(echo(metadata=f"ticketgate:{'0f' * 16}"), now, app_id="") == []
    (message,) = read(echo(app_id=263902037430900), now)
    assert (message.direction, message.author, message.to[0].address) == ("out", "agent", "6543210987654321")
    assert message.thread_key == f"{PAGE}:6543210987654321"


def test_what_another_program_holds_is_heard_and_not_answered(now: datetime) -> None:
    whole = json.loads(batch(FOLDER / "messenger.http"))
    entry = {"id": PAGE, "standby": whole["entry"][0]["messaging"][:1]}
    (heard,) = read({"object": "page", "entry": [entry]}, now)
    (same, *_) = read(whole, now)
    assert (heard.id, heard.answerable, same.answerable) == (same.id, False, True)


@pytest.mark.parametrize("body", [{"text": None}, {"text": {"body": ""}}, {}])
def test_a_message_without_its_words_is_still_that_persons_message(body: Any, now: datetime) -> None:
    whole = json.loads(batch(FOLDER / "whatsapp.http"))
    (said, *_) = whole["entry"][0]["changes"][0]["value"]["messages"]
    empty = {**{key: value for key, value in said.items() if key != said["type"]}, "type": "text", **body}
    whole["entry"] = [{"changes": [{"field": "messages", "value": {"messages": [empty]}}]}]
    (message,) = read(whole, now)
    assert (message.external_id, message.sender.address) == (said["id"], f"+{said['from']}")
    assert message.text == "[空消息 empty message]"


def test_what_was_said_before_a_number_came_to_us_is_nothing_new(now: datetime) -> None:
    whole = json.loads(batch(FOLDER / "whatsapp.http"))
    for change in whole["entry"][0]["changes"]:
        change["field"] = "history"
    assert read(whole, now) == []


@pytest.mark.parametrize("secrets", [{"app_secrets": []}, {"app_secrets": [""]}, {"verify_token": ""}])
def test_settings_without_secrets_do_not_start(secrets: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        opened(**secrets)


# Sending


async def test_up_to_three_short_choices_are_buttons_and_they_quote_what_they_answer(
    meta: Meta, side: Side, now: datetime
) -> None:
    said = reply("whatsapp", now, choices=choices("已解决", "未解决", "找人工"), in_reply_to="wamid.HBgNasked=")
    sent = await meta.send(said, now)
    (call,) = side.calls
    assert sent.external_id == "wamid.HBgL1"
    assert call["context"] == {"message_id": "wamid.HBgNasked="}
    assert [one["reply"]["id"] for one in call["interactive"]["action"]["buttons"]] == ["c0", "c1", "c2"]


async def test_more_or_longer_choices_are_a_list_and_what_finds_no_room_is_words(
    meta: Meta, side: Side, now: datetime
) -> None:
    labels = [f"第 {n} 种情况：收到的商品与描述不符，需要换货或者退款" for n in range(12)]
    await meta.send(reply("whatsapp", now, choices=choices(*labels)), now)
    rows = side.calls[0]["interactive"]["action"]["sections"][0]["rows"]
    assert [row["id"] for row in rows] == [f"c{n}" for n in range(10)]
    assert all(
        row["title"].endswith("…") and row["description"] == label for row, label in zip(rows, labels, strict=False)
    )
    assert side.sent[0]["text"].splitlines()[1:] == [f"- {label}" for label in labels[10:]]


@pytest.mark.parametrize(("channel", "measure"), [("whatsapp", 4096), ("messenger", 2000), ("instagram", 1000)])
async def test_long_words_leave_in_pieces_with_the_buttons_under_the_last(
    meta: Meta, side: Side, now: datetime, channel: Channel, measure: int
) -> None:
    text = "您好，这是一段很长的说明。😀" * 500
    await meta.send(reply(channel, now, text=text, choices=choices("已解决", "未解决")), now)
    assert "".join(one["text"] for one in side.sent) == text
    assert len(side.sent) > len(text) / measure
    buttons = ["interactive" in call or "quick_replies" in call.get("message", {}) for call in side.calls]
    assert buttons == [*[False] * (len(buttons) - 1), True]


async def test_pieces_that_were_taken_are_not_said_again(meta: Meta, side: Side, now: datetime) -> None:
    long = reply("messenger", now, text="一" * 2000 + "二" * 2000 + "三")
    side.answers = [None, error(400, 613, "Calls to this api have exceeded the rate limit.")]
    with pytest.raises(Unavailable):
        await meta.send(long, now)
    sent = await meta.send(long, now)
    assert [one["text"][:1] for one in side.sent] == ["一", "二", "三"]
    assert sent.external_id == "m_3"


async def test_groups_and_people_who_hide_their_number_are_answered(meta: Meta, side: Side, now: datetime) -> None:
    *_, asked, _ = read(batch(FOLDER / "whatsapp.http"), now)
    await meta.send(reply("whatsapp", now, to=asked.sender, thread_key=asked.thread_key), now)
    await meta.send(reply("whatsapp", now, to=asked.sender, thread_key=f"{NUMBER}:{asked.sender.address}"), now)
    group, person = side.calls
    assert (group["recipient_type"], group["to"]) == ("group", "Y2FwaV9ncm91cDox")
    assert (person["recipient"], "to" in person) == ("US.13491208655302741918", False)


async def test_a_quick_reply_comes_back_as_the_choice(meta: Meta, side: Side, now: datetime) -> None:
    await meta.send(reply("messenger", now, choices=choices("已解决")), now)
    (call,) = side.calls
    assert (call["recipient"], call["messaging_type"]) == ({"id": "6543210987654321"}, "RESPONSE")
    message = {
        "mid": "m_9",
        "text": "已解决",
        "quick_reply": {"payload": call["message"]["quick_replies"][0]["payload"]},
    }
    event = {"sender": {"id": "6543210987654321"}, "recipient": {"id": PAGE}, "timestamp": 1, "message": message}
    (clicked,) = read({"object": "page", "entry": [{"id": PAGE, "messaging": [event]}]}, now)
    assert (clicked.kind, clicked.claims) == (Kind.POSTBACK, {"choice": "c0"})


# The window


@pytest.mark.parametrize("known_late", [True, False])
async def test_after_a_day_the_template_is_said_instead(
    meta: Meta, side: Side, now: datetime, known_late: bool
) -> None:
    side.closed.add("8613812345678")  # a number kept by a shop's own system may know better than we when they wrote
    late = {"answering": now - timedelta(hours=24) if known_late else None}
    await meta.send(reply("whatsapp", now, **late), now)
    (call,) = side.calls
    assert call["template"]["name"] == "ticket_update"
    assert side.sent == [{"to": "8613812345678", "text": "20260302001"}]


async def test_without_a_template_in_their_language_it_is_refused_in_words(
    meta: Meta, side: Side, now: datetime
) -> None:
    with pytest.raises(WindowClosed, match="24 hours ago, and no template is set"):
        await meta.send(reply("whatsapp", now, language="en", answering=now - timedelta(days=2)), now)
    assert side.calls == []


DAYS = {(0, True): "RESPONSE", (0, False): "RESPONSE", (3, False): "MESSAGE_TAG"}  # days ago, automatic


async def test_people_may_answer_for_seven_days_where_meta_granted_it(side: Side, now: datetime) -> None:
    for granted, days, automatic in product((True, False), (0, 3, 8), (True, False)):
        house = opened(**side.settings(), human_agent=granted)
        said = reply("instagram", now, automatic=automatic, answering=now - timedelta(days=days))
        wanted = DAYS.get((days, automatic)) if granted or days == 0 else None
        side.calls.clear()
        with suppress(WindowClosed):
            await house.send(said, now)
        await house.close()
        assert [call["messaging_type"] for call in side.calls] == ([wanted] if wanted else [])


# What the API refuses

CODES: list[tuple[Any, type[Exception], dict[str, Any]]] = [
    ((400, 131026, "Message undeliverable"), Refused, {"bounced": True}),
    ((400, 551, "not available", 1545041), Refused, {"bounced": True}),
    ((400, 100, "No matching user found", 2018001), Refused, {"bounced": True}),
    ((400, 10, "outside of allowed window", 2018278), WindowClosed, {"bounced": False}),
    ((400, 100, "Invalid parameter access_token=EAApage-token"), Refused, {"bounced": False}),
    ((400, 131056, "pair rate limit"), Unavailable, {"wait": timedelta(seconds=10)}),
    ((403, 4, "Application request limit reached"), Unavailable, {"wait": timedelta(minutes=1)}),
    ((400, 80007, "Rate limit issues"), Unavailable, {"wait": timedelta(minutes=1)}),
    ((400, 190, "Malformed access token EAApage-token"), Unavailable, {"wait": timedelta(minutes=15)}),
    ((403, 10, "Permission denied"), Unavailable, {"wait": timedelta(minutes=15)}),
    ((400, 2, "Service temporarily unavailable"), Unavailable, {"wait": None}),
]


async def test_codes_say_whether_to_ask_again(meta: Meta, side: Side, now: datetime) -> None:
    for said, outcome, more in CODES:
        side.answers = [error(*said)]
        with pytest.raises(outcome) as caught:
            await meta.send(reply("messenger", now), now)
        assert {name: getattr(caught.value, name) for name in more} == more, said
        assert "EAApage-token" not in str(caught.value)


async def test_the_wait_is_as_long_as_the_usage_header_says(meta: Meta, side: Side, now: datetime) -> None:
    side.trouble = "429"
    with pytest.raises(Unavailable) as caught:
        await meta.send(reply("whatsapp", now), now)
    assert caught.value.wait == timedelta(minutes=3)


async def test_a_page_without_a_token_is_named(meta: Meta, side: Side, now: datetime) -> None:
    with pytest.raises(Refused, match="no access token for 999: add it to pages"):
        await meta.send(reply("messenger", now, written_to="999"), now)


# Files

LEFT = Attachment("image.jpg", "image/jpeg", 0, "", remote=f"{NUMBER}/1003383421387256")


def kept(side: Side, content: bytes = b"\xff\xd8\xff" * 50, **told: Any) -> None:
    side.media["1003383421387256"] = {"content": content, "mime_type": "image/jpeg", "told": told}


async def test_a_file_is_fetched_by_its_id_with_the_numbers_token(meta: Meta, side: Side, now: datetime) -> None:
    kept(side)
    got = await meta.fetch(LEFT, now)
    assert (got.size, got.missing, len(got.sha256)) == (150, "", 64)


async def test_what_is_told_to_be_too_large_is_not_even_fetched(meta: Meta, side: Side, now: datetime) -> None:
    kept(side, file_size=str(30 * 1024 * 1024), url="http://127.0.0.1:1/")
    assert (await meta.fetch(LEFT, now)).missing == "oversized"


async def test_a_damaged_file_is_fetched_again_and_a_lost_one_is_not(meta: Meta, side: Side, now: datetime) -> None:
    kept(side, sha256="0" * 64)
    with pytest.raises(Unavailable):
        await meta.fetch(LEFT, now)
    side.media.clear()
    with pytest.raises(Refused):
        await meta.fetch(LEFT, now)


async def test_files_of_the_content_network_are_fetched_without_any_token(
    meta: Meta, side: Side, now: datetime
) -> None:
    side.media["cup.jpg"] = {"content": b"\xff\xd8\xff", "mime_type": "image/jpeg", "open": True}
    got = await meta.fetch(Attachment("cup.jpg", "image/jpeg", 0, "", remote=f"{side.url}/files/cup.jpg"), now)
    assert (got.size, got.missing) == (3, "")


# Doctor


async def test_doctor_finds_all_well_and_sends_nothing(meta: Meta, side: Side, now: datetime) -> None:
    findings = await meta.examine(now)
    assert [finding for finding in findings if not finding.well] == []
    assert len(findings) == 10
    assert side.sent == []


async def test_doctor_tells_of_dead_tokens_and_missing_fields_and_shows_no_token(
    meta: Meta, side: Side, now: datetime
) -> None:
    side.expired, side.fields = set(TOKENS), ["feed"]
    findings = await meta.examine(now)
    assert {finding.what for finding in findings if not finding.well} == {finding.what for finding in findings}
    assert not [token for token in TOKENS if token in str(findings)]


# End to end


async def test_a_question_in_whatsapp_becomes_one_ticket_and_is_acknowledged_there(tmp_path: Path, side: Side) -> None:
    gateway = Gateway(tmp_path)
    account = {**{k: v for k, v in SAID.items() if k != "templates"}, **side.settings()}
    for name, value in {"secret": SECRET, "token": "EAAnumber-token"}.items():
        (tmp_path / name).write_text(value)
    account |= {"app_secrets": [{"file": "secret"}], "verify_token": {"file": "secret"}, "pages": {}, "instagram": {}}
    account["phone_numbers"] = {NUMBER: {"file": "token"}}
    more = f"  - {json.dumps(account)}\nhelpdesks:\n"
    gateway.config.write_text(gateway.config.read_text().replace("helpdesks:\n", more))
    whole = json.loads(batch(FOLDER / "whatsapp.http"))
    value = whole["entry"][0]["changes"][0]["value"]
    value["messages"] = value["messages"][:1]
    value["messages"][0] |= {"timestamp": str(int(datetime.now(UTC).timestamp()))}
    alone = {"object": whole["object"], "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]}
    doubled = {**alone, "entry": alone["entry"] * 2}
    with await asyncio.to_thread(gateway.start):
        url = f"http://127.0.0.1:{gateway.http}/in/meta/main"
        for payload in (alone, doubled, alone):
            assert await asyncio.to_thread(post, url, body_of(payload), side.signed(payload).headers) == 200
        assert await asyncio.to_thread(post, url, body_of(alone), {"x-hub-signature-256": "sha256=" + "0" * 64}) == 401
        for _ in range(200):
            if side.sent:
                break
            await asyncio.sleep(0.05)
        (ticket,) = await asyncio.to_thread(gateway.tickets)
    (told,) = side.sent
    (heard,) = [message for message in ticket["messages"] if message["direction"] == "in"]
    assert heard["text"] == "你好，我的订单 20260228001 还没发货"
    assert told["to"] == "8613812345678"
    assert ticket["number"] in told["text"]
