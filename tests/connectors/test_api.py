"""POST /api/v1/messages: what may be said, and the message it makes."""

import base64
from datetime import datetime
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from connectors.api import Api, NewMessage
from normalizer.canon import Address, Envelope
from normalizer.errors import Refused, Unreadable

SAID = {"from": {"phone": "13812345678", "name": "张三"}, "text": "订单号5，未收到货"}


@pytest.fixture
def api() -> Api:
    return Api(Api.Settings.model_validate({"connector": "api", "account": "main"}))  # type: ignore[arg-type]


def envelope(api: Api, now: datetime, said: Any, *, key: str = "k1", label: str = "shop") -> Envelope:
    return api.enclose(orjson.dumps(said), key=key, key_label=label, received_at=now, remote="192.0.2.7")


def test_the_examples_shown_are_taken(api: Api, now: datetime) -> None:
    for example in NewMessage.model_json_schema()["examples"]:
        (message,) = api.parse(envelope(api, now, example))
        assert message.text == example["text"]


def test_everything_said_is_in_the_message(api: Api, now: datetime) -> None:
    file = {"name": "a.txt", "media_type": "text/plain", "content": base64.b64encode(b"hello").decode()}
    said = {
        **SAID, "subject": "物流", "channel": "app", "external_id": "m1", "thread_key": "t1", "in_reply_to": "m0",
        "sent_at": "2026-03-02T17:30:00+08:00", "author": "customer", "language": "zh",
        "claims": {"order_number": "5"}, "attachments": [file],
    }  # fmt: skip

    (message,) = api.parse(envelope(api, now, said))

    assert message.sender == Address("phone", "+8613812345678", "张三")
    assert (message.channel, message.external_id, message.scope, message.thread_key) == ("app", "m1", "shop", "t1")
    assert (message.subject, message.in_reply_to, message.sent_at) == ("物流", "m0", now)
    assert message.claims == {"order_number": "5", "language": "zh"}
    assert message.attachments[0].content == b"hello"
    assert message.proven


def test_an_id_names_a_message_within_its_key(api: Api, now: datetime) -> None:
    said = {**SAID, "external_id": "m1"}
    first, again = envelope(api, now, said), envelope(api, now, said, key="k2")
    other = envelope(api, now, said, label="crm")

    assert first.id == again.id != other.id
    assert api.parse(first)[0].id != api.parse(other)[0].id
    assert envelope(api, now, SAID, key="k1").id != envelope(api, now, SAID, key="k2").id
    assert envelope(api, now, {**SAID, "external_id": "k1"}).key != envelope(api, now, SAID, key="k1").key
    assert api.parse(envelope(api, now, SAID))[0].external_id == envelope(api, now, SAID).id


def test_blanks_for_an_id_or_a_conversation_name_none(api: Api, now: datetime) -> None:
    said = {**SAID, "external_id": " ", "thread_key": " ", "in_reply_to": "\u3000"}
    one, other = (envelope(api, now, said, key=key) for key in ("k1", "k2"))

    assert one.id != other.id
    (first,), (second,) = api.parse(one), api.parse(other)
    assert first.id != second.id
    assert first.thread_key == first.in_reply_to == ""


def test_people_of_whom_a_program_knows_nothing_share_no_lane(api: Api, now: datetime) -> None:
    said = {**SAID, "from": {"phone": "无", "name": "张三"}}
    assert envelope(api, now, said, key="k1").lane != envelope(api, now, said, key="k2").lane


def test_the_lane_is_the_sender(api: Api, now: datetime) -> None:
    assert envelope(api, now, SAID).lane == "+8613812345678"


@pytest.mark.parametrize(
    "change",
    [{"text": ""}, {"text": None}, {"from": {}}, {"from": {"name": "x"}}, {"from": None}, {"from": {"email": " "}},
     {"channel": "fax"}, {"sent_at": "2026-03-02T17:30:00"},
     {"sent_at": "0001-01-01T00:00:00+08:00"}, {"sent_at": "9999-12-31T23:59:59-08:00"}, {"sent_at": "9999-12-31T12:00:00Z"},
     {"contact": "c1"}, {"claims": {"Bad Key": "x"}},
     {"claims": {"a": 1}}, {"attachments": [{"name": "a", "content": "%"}]}, {"author": "system"}],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_its_place(api: Api, now: datetime, change: dict[str, Any]) -> None:
    said = {**SAID, **change}
    with pytest.raises(ValidationError) as caught:
        NewMessage.model_validate(said)
    assert caught.value.errors()
    with pytest.raises(Unreadable):
        api.parse(Envelope("api", "main", "k", "l", now, orjson.dumps(said), {}))


async def test_the_api_has_no_way_back(api: Api, reply: Any, now: datetime) -> None:
    with pytest.raises(Refused, match="reply_by"):
        await api.send(reply, now)
