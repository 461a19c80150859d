"""Slack: what is said once and what is said twice, where answers stand, and what Slack's errors mean for us."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from serving import Desk, Gateway, post
from vendor import speaking
from vendors.slack import MOMENT, PICTURE, SECRET, TOKEN, Side, event, signed

from connectors.base import MediaSettings, enclose
from connectors.slack import EMPTY, Slack, SlackSettings, signature
from normalizer.canon import Address, Attachment, Choice, Kind, Message, Reply
from normalizer.errors import Refused, Rejected, Unavailable

SETTINGS = json.loads((Path(__file__).parent / "slack" / "settings.json").read_text())
REPLY = Reply(
    id="0f" * 16, channel="slack", connector="slack", account="acme", ticket="t1", number="20260302001",
    to=Address("slack", "U123ABC456"), subject="", text="已受理 & <b>处理中</b>", language="zh",
    thread_key="C123ABC456:1772443799.000200",
)  # fmt: skip
SAID = {
    "type": "message", "channel": "C123ABC456", "user": "U123ABC456", "text": "没收到货", "ts": "1772443799.000200",
}  # fmt: skip


def opened(**more: Any) -> Slack:
    return Slack(SlackSettings.model_validate({**SETTINGS, **more}))


def read(said: dict[str, Any], **more: Any) -> list[Message]:
    house = opened()
    return list(house.parse(enclose(house, signed(event(said, **more)))))


@pytest.fixture
async def slack() -> AsyncIterator[tuple[Slack, Side]]:
    vendor = Side()
    async with speaking(vendor):
        house = opened(**vendor.settings(), allow_private=True)
        yield house, vendor
        await house.close()


def test_the_signature_is_that_of_the_documentation() -> None:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    fields = {
        "token": "xyzz0WbapA4vBCDEFasx0q6G", "team_id": "T1DC2JH3J", "team_domain": "testteamnow",
        "channel_id": "G8PSS9T3V", "channel_name": "foobar", "user_id": "U2CERLKJA", "user_name": "roadrunner",
        "command": "/webhook-collect", "text": "",
        "response_url": "https://hooks.slack.com/commands/T1DC2JH3J/397700885554/96rGlfmibIGlgcZRskXaIFfN",
        "trigger_id": "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    }  # fmt: skip
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signature(SECRET, "1531420618", urlencode(fields).encode()) == expected


def test_the_challenge_is_answered_only_if_slack_signed_it() -> None:
    challenge = {"type": "url_verification", "token": "XXYYZZ", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMm"}
    asked = signed(challenge)
    answer = opened().greet(asked)
    assert answer and (answer.status, answer.body) == (200, challenge["challenge"].encode())
    with pytest.raises(Rejected):
        opened().greet(replace(asked, headers={}))
    with pytest.raises(Rejected):
        opened().greet(signed(challenge, secret="a guess"))


def test_a_mention_that_comes_as_two_events_in_any_order_is_one_message() -> None:
    both = [
        read({**SAID, "text": "<@U0LAN0Z89> help"}, event_id="Ev1"),
        read({**SAID, "text": "<@U0LAN0Z89> help", "type": "app_mention"}, event_id="Ev2"),
    ]
    assert len({message.id for (message,) in both}) == 1
    assert {message.text for (message,) in both} == {"help"}
    house = opened()
    assert len({house.lane(signed(event({**SAID, "type": kind}))) for kind in ("message", "app_mention")}) == 1


def test_a_retry_is_known_by_its_event_id_whatever_else_changed() -> None:
    house = opened()
    first, again = signed(event(SAID)), signed(event(SAID, event_context="another"), MOMENT + timedelta(minutes=1))
    assert house.key(first) == house.key(again) == "Ev123ABC456"
    assert house.key(signed(event(SAID, event_id="Ev9"))) != house.key(first)


def test_in_a_direct_message_the_conversation_is_the_person_also_in_a_thread_and_by_a_command() -> None:
    (plain,) = read({**SAID, "channel": "D1"})
    (aside,) = read({**SAID, "channel": "D1", "thread_ts": "1772443700.000100"})
    house = opened()
    form = urlencode({"command": "/ticket", "user_id": "U123ABC456", "team_id": "T1", "text": "x", "trigger_id": "1.2"})
    (command,) = house.parse(enclose(house, signed(form.encode())))
    assert {plain.thread_key, aside.thread_key, command.thread_key} == {"U123ABC456"}
    assert (plain.reply_token, aside.reply_token) == ("", "1772443700.000100")


@pytest.mark.parametrize(
    "news",
    [
        {"subtype": "channel_join"},
        {"subtype": "bot_message", "bot_id": "B1"},
        {"bot_id": "B1"},
        {"user": "USLACKBOT"},
        {"hidden": True, "message": {"ts": "1.2", "reply_count": 2}},  # message_replied lacks its subtype
        {"subtype": "message_replied", "message": {"ts": "1.2"}},
        {"subtype": "message_changed", "message": SAID, "previous_message": SAID},  # Slack looked at a link
        {"subtype": "message_deleted", "deleted_ts": "1.2", "previous_message": {"user": "U1", "bot_id": "B1"}},
        {"type": "member_joined_channel"},
        {"type": "app_mention", "user": ""},  # it names nobody who said it
        {"subtype": "file_share", "user": "", "files": [{"id": "F1", "name": "a.txt"}]},
        {"subtype": "thread_broadcast", "user": None},
        {"subtype": "me_message", "user": "", "text": ""},
    ],
)
def test_nobody_says_anything_in_news(news: dict[str, Any]) -> None:
    assert read({**SAID, **news}) == []


def test_a_message_taken_back_under_which_a_thread_goes_on_is_deleted() -> None:
    tombstone = {"subtype": "tombstone", "user": "USLACKBOT", "ts": SAID["ts"], "text": "This message was deleted."}
    changed = {"type": "message", "subtype": "message_changed", "channel": "C123ABC456", "event_ts": "1772443800.0001"}
    (gone,) = read({**changed, "message": tombstone, "previous_message": SAID})
    (plain,) = read(SAID)
    assert (gone.kind, gone.external_id, gone.scope) == (Kind.DELETE, plain.external_id, plain.scope)
    assert (gone.text, gone.sender, gone.thread_key) == ("", plain.sender, plain.thread_key)


def test_what_is_handed_on_is_read_and_a_preview_is_not() -> None:
    shared = [{"is_share": True, "text": "下单 &amp; 付款"}, {"title": "A page", "text": "its text"}]
    (message,) = read({**SAID, "text": "", "attachments": shared})
    assert message.text == "下单 & 付款"


def test_a_button_answers_for_nobody_but_whom_it_was_for() -> None:
    house, action = opened(), {"type": "button", "value": "solved", "action_ts": "1.2"}
    ours = [{**action, "action_id": f"ticketgate:{whose}:0"} for whose in ("U1", "U2")] + [{**action, "action_id": "x"}]
    click = {"type": "block_actions", "user": {"id": "U1"}, "channel": {"id": "C1"}, "actions": ours}
    assert [message.claims for message in house.parse(enclose(house, signed(click)))] == [{"choice": "solved"}]


def test_a_command_without_words_is_told_how_and_makes_no_message() -> None:
    house, asked = opened(), signed(b"command=%2Fticket&text=+&user_id=U1&trigger_id=1.2")
    told = json.loads(house.answer(asked).body)
    assert (told["text"], told["response_type"]) == (EMPTY, "ephemeral")
    assert house.parse(enclose(house, asked)) == []


async def test_an_answer_stands_in_the_thread_with_its_buttons_and_nothing_in_it_is_markup(
    slack: tuple[Slack, Side],
) -> None:
    house, vendor = slack
    choices = (Choice("solved", "已解决"), Choice("unsolved", "没有" * 50))
    sent = await house.send(replace(REPLY, choices=choices), MOMENT)
    (posted,) = vendor.posted
    assert sent.external_id == "1772443801.000001"
    assert (posted["channel"], posted["thread_ts"]) == ("C123ABC456", "1772443799.000200")
    assert posted["text"] == "已受理 &amp; &lt;b&gt;处理中&lt;/b&gt;"
    buttons = posted["blocks"][1]["elements"]
    assert [(one["value"], len(one["text"]["text"])) for one in buttons] == [("solved", 3), ("unsolved", 75)]
    assert posted["metadata"]["event_payload"] == {"id": REPLY.id}


async def test_a_long_answer_to_a_person_comes_in_pieces_into_the_thread_they_asked_in(
    slack: tuple[Slack, Side],
) -> None:
    house, vendor = slack
    aside = replace(
        REPLY, thread_key="U123ABC456", reply_token="1.2", text="<句子。>" * 900, choices=(Choice("a", "A"),)
    )
    await house.send(aside, MOMENT)
    assert len(vendor.posted) > 2
    assert all(len(one["text"]) <= 3000 and one["thread_ts"] == "1.2" for one in vendor.posted)
    assert ["blocks" in one for one in vendor.posted] == [False] * (len(vendor.posted) - 1) + [True]
    assert {one["channel"] for one in vendor.posted} == {"U123ABC456"}


OUTCOMES = {
    "invalid_auth": Unavailable, "missing_scope": Unavailable, "ratelimited": Unavailable, "fatal_error": Unavailable,
    "account_inactive": Unavailable, "not_in_channel": Refused, "msg_too_long": Refused, "news_to_us": Refused,
}  # fmt: skip


@pytest.mark.parametrize("error", OUTCOMES)
async def test_what_an_engineer_can_mend_is_tried_again_and_the_rest_is_refused(
    slack: tuple[Slack, Side], error: str
) -> None:
    house, vendor = slack
    vendor.error = error
    with pytest.raises(OUTCOMES[error], match=error):
        await house.send(REPLY, MOMENT)


async def test_who_is_gone_is_known_in_direct_messages_and_not_by_a_channel_that_is_gone(
    slack: tuple[Slack, Side],
) -> None:
    house, vendor = slack
    vendor.error = "channel_not_found"
    for key, bounced in (("U123ABC456", True), (REPLY.thread_key, False)):
        with pytest.raises(Refused) as refused:
            await house.send(replace(REPLY, thread_key=key), MOMENT)
        assert refused.value.bounced is bounced


async def test_files_are_fetched_with_our_token_from_slack_alone(slack: tuple[Slack, Side]) -> None:
    house, vendor = slack
    left = Attachment("a.png", "image/png", 0, "", remote=f"{vendor.url}/files-pri/a.png")
    assert (await house.fetch(left, MOMENT)).content == PICTURE
    by_id = await house.fetch(Attachment("", "application/octet-stream", 0, "", remote="F123ABC456"), MOMENT)
    assert (by_id.name, by_id.media_type, by_id.content) == ("order.png", "image/png", PICTURE)
    asked = len(vendor.tokens)
    for stranger in ("https://evil.example/a.png", "http://files.slack.com.evil.example/", "https://[bad/"):
        assert (await house.fetch(replace(left, remote=stranger), MOMENT)).missing == "forbidden"
    assert len(vendor.tokens) == asked
    with pytest.raises(Refused):
        await house.fetch(replace(left, remote="F404"), MOMENT)
    small = opened(**vendor.settings(), allow_private=True, media=MediaSettings(size_limit=8).model_dump())
    assert (await small.fetch(left, MOMENT)).missing == "oversized"
    await small.close()


async def test_a_page_to_log_in_by_is_not_taken_for_the_file(slack: tuple[Slack, Side]) -> None:
    house, vendor = slack
    vendor.scopes = "chat:write"
    with pytest.raises(Unavailable, match="files:read"):
        await house.fetch(Attachment("a.png", "image/png", 0, "", remote=f"{vendor.url}/files-pri/a.png"), MOMENT)


async def test_doctor_tells_who_we_are_and_which_scopes_are_lacking(slack: tuple[Slack, Side]) -> None:
    house, vendor = slack
    us, _ = await house.examine(MOMENT)
    assert (us.well, us.found) == (True, "support in Example")
    vendor.scopes = "chat:write"
    _, scopes = await house.examine(MOMENT)
    assert (scopes.well, "files:read" in scopes.hint, "im:history" in scopes.hint) == (False, True, True)
    vendor.token = "another"
    assert [one.well for one in await house.examine(MOMENT)] == [False]
    assert vendor.posted == []


async def test_a_question_becomes_one_ticket_that_is_acknowledged_in_its_thread(tmp_path: Path) -> None:
    vendor = Side()
    with Desk() as desk:
        async with speaking(vendor):
            (tmp_path / "token").write_text(TOKEN)
            (tmp_path / "secret").write_text(SECRET)
            account = {"connector": "slack", "account": "acme", "token": {"file": "token"}}
            account |= {"signing_secrets": [{"file": "secret"}], "allow_private": True}
            gateway = Gateway(tmp_path, desk=desk.port)
            written = f"  - {json.dumps({**account, **vendor.settings()})}\nhelpdesks:\n"
            gateway.config.write_text(gateway.config.read_text().replace("helpdesks:\n", written))
            before, (ticket,), answers = await asyncio.to_thread(asked, gateway, vendor.url)
    assert answers == [200, 200, 200, 401, 200]
    (question, further), left = before, ticket["messages"]
    assert (question["text"], further["text"]) == ("订单5没收到货", "已经三天了")
    assert [file["size"] for file in further["attachments"]] == [len(PICTURE)]
    assert [(one["text"], one["attachments"]) for one in left] == [("订单5没收到货", []), ("", []), ("", [])]
    assert [(one["channel"], one["thread_ts"]) for one in vendor.posted] == [("C123ABC456", SAID["ts"])]
    assert ticket["number"] in vendor.posted[0]["text"]


def asked(gateway: Gateway, url: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[int]]:
    """The first messages, all tickets, and what Slack was answered. A question, told twice; a picture in its thread, taken back; and what nobody signed."""
    now = datetime.now(UTC)
    question = {**SAID, "text": "<@U0LAN0Z89> 订单5没收到货"}
    picture = {"id": "F1", "name": "a.png", "mimetype": "image/png", "url_private": f"{url}/files-pri/a.png"}
    further = {**SAID, "text": "已经三天了", "ts": "1772443900.000200", "thread_ts": SAID["ts"]}
    further |= {"subtype": "file_share", "files": [picture]}
    back = {"type": "message", "subtype": "message_deleted", "channel": SAID["channel"], "deleted_ts": further["ts"]}
    requests = [
        signed(event(question), now),
        signed(event({**question, "type": "app_mention"}, event_id="Ev2"), now),
        signed(event(further, event_id="Ev3"), now),
        signed(event(further, event_id="Ev4"), now, secret="a guess"),
        signed(event({**back, "previous_message": further}, event_id="Ev5"), now),
    ]
    with gateway:
        door = f"http://127.0.0.1:{gateway.http}/in/slack/acme"
        answers = [post(door, one.body, dict(one.headers)) for one in requests[:-1]]
        gateway.settle()
        (ticket,) = gateway.tickets()
        answers.append(post(door, requests[-1].body, dict(requests[-1].headers)))
        gateway.settle()
        return ticket["messages"], gateway.tickets(), answers
