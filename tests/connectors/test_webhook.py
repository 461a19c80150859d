"""Any system's JSON, read as the settings say."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jmespath
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from connectors.base import Request, enclose
from connectors.signatures import sign
from connectors.webhook import InboundWebhook, _walk
from engine.thread import identities
from normalizer.canon import Address
from normalizer.errors import ConfigError, Refused, Rejected, Unreadable

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))
MAP = {"text": "note", "sender": {"email": "buyer.mail", "phone": "buyer.tel", "name": "buyer.name"}}
SAID = {"note": "什么时候发货？", "buyer": {"mail": "Li@Example.net", "name": "李雷"}}


def webhook(**more: Any) -> InboundWebhook:
    said = {"connector": "webhook", "account": "shop", "auth": {"standard_webhooks": [SECRET]}, "map": MAP}
    return InboundWebhook(InboundWebhook.Settings.model_validate({**said, **more}))  # type: ignore[arg-type]


def mapped(**more: Any) -> InboundWebhook:
    return webhook(map={**MAP, **more})


def signed(now: datetime, said: Any, message_id: str = "msg_1") -> Request:
    body = said if isinstance(said, bytes) else orjson.dumps(said)
    headers = {"content-type": "application/json", **sign(KEY, message_id, now, body)}
    return Request("POST", "https://in.example.com/in/webhook/shop", headers, body, {}, "192.0.2.7", now)


def read(connector: InboundWebhook, now: datetime, said: Any, message_id: str = "msg_1") -> Any:
    request = signed(now, said, message_id)
    connector.verify(request)
    return connector.parse(enclose(connector, request))


@pytest.mark.parametrize("nobody", ["-", "null", "undefined", "N/A", "无"])
def test_two_people_of_whom_the_caller_knows_nothing_are_two(now: datetime, nobody: str) -> None:
    connector = mapped(sender={"email": "mail", "phone": "tel", "user": "uid", "name": "name"})
    li, zhao = ({"note": "在吗", "mail": nobody, "tel": nobody, "name": name} for name in ("李雷", "赵云"))

    (one,), (other,) = read(connector, now, li, "msg_1"), read(connector, now, zhao, "msg_2")

    assert identities(one) != identities(other)
    assert connector.lane(signed(now, li, "msg_1")) != connector.lane(signed(now, zhao, "msg_2"))
    (known,) = read(connector, now, {**li, "uid": "u-17"})
    assert known.sender == Address("user", "u-17", "李雷")
    assert connector.lane(signed(now, {**li, "uid": "u-17"})) == "u-17"


def test_what_the_settings_name_is_read(now: datetime) -> None:
    connector = mapped(
        external_id="id", subject="title", channel="via", sent_at="at", thread_key="thread", attachments="files",
        claims={"order_number": "order.no", "type": "kind"},
    )  # fmt: skip
    file = {"name": "a.txt", "media_type": "text/plain", "content": base64.b64encode("你好".encode()).decode()}
    more = {
        "id": 17,
        "title": "发货",
        "via": "wechat",
        "at": 1772443800,
        "thread": "t9",
        "files": [file],
        "order": {"no": 5},
    }

    (message,) = read(connector, now, {**SAID, **more})

    assert message.sender == Address("email", "li@example.net", "李雷")
    assert (message.text, message.subject, message.channel, message.thread_key) == (
        "什么时候发货？",
        "发货",
        "wechat",
        "t9",
    )
    assert (message.external_id, message.scope, message.proven) == ("17", "shop", True)
    assert message.sent_at == datetime.fromtimestamp(1772443800, UTC)
    assert message.claims == {"order_number": "5"}
    assert (message.attachments[0].name, message.attachments[0].content.decode()) == ("a.txt", "你好")
    assert message.defects == ()


def test_the_same_message_in_another_batch_is_the_same_message(now: datetime) -> None:
    connector = mapped(each="orders", external_id="id")
    a, b, c = ({**SAID, "id": f"m{n}", "note": f"words {n}"} for n in range(3))

    first = read(connector, now, {"orders": [a, b]}, "msg_1")
    second = read(connector, now, {"orders": [b, c]}, "msg_2")

    assert [message.part for message in first] == [0, 1]
    assert first[1].id == second[0].id
    assert len({message.id for message in (*first, *second)}) == 3
    assert first[0].envelope != second[0].envelope


def test_without_an_id_envelope_and_place_name_a_message(now: datetime) -> None:
    connector = mapped(each="orders")
    messages = read(connector, now, {"orders": [SAID, SAID]})

    assert len({message.id for message in messages}) == 2
    assert read(connector, now, {"orders": [SAID, SAID]}) == messages


def test_a_redelivery_has_the_key_of_the_first(now: datetime) -> None:
    later = now.replace(minute=59)
    connector = webhook()
    assert connector.key(signed(now, SAID)) == connector.key(signed(later, SAID)) == "msg_1"
    assert connector.key(signed(now, SAID, "msg_2")) == "msg_2"

    by_bearer = webhook(auth={"bearer": "open sesame"})
    assert by_bearer.key(signed(now, SAID)) == by_bearer.key(signed(later, SAID, "x"))
    assert by_bearer.key(signed(now, SAID)) != by_bearer.key(signed(now, {**SAID, "note": "other"}))


def test_the_lane_is_the_first_sender(now: datetime) -> None:
    connector = mapped(each="orders")
    assert connector.lane(signed(now, {"orders": [SAID, {"x": 1}]})) == "li@example.net"
    for said in ({"orders": []}, {"orders": [{}]}, {}, [], 5):
        assert connector.lane(signed(now, said)) == "msg_1"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"{'a': 1}", b"NaN", b"[" * 5000])
def test_what_is_no_json_is_turned_away_but_only_once_the_caller_is_known(now: datetime, body: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        webhook().verify(signed(now, body))
    assert (caught.value.status, caught.value.code) == (400, "malformed")
    stranger = Request("POST", "https://x/", {}, body, {}, "192.0.2.7", now)
    with pytest.raises(Rejected) as caught:
        webhook().verify(stranger)
    assert (caught.value.status, caught.value.code) == (401, "unverified")


def test_a_bearer_secret_may_be_one_of_two(now: datetime) -> None:
    connector = webhook(auth={"bearer": ["old secret", "new secret"]})
    for secret, fine in (("old secret", True), ("new secret", True), ("older secret", False), ("", False)):
        request = Request("POST", "https://x/", {"authorization": f"Bearer {secret}"}, b"{}", {}, "192.0.2.7", now)
        if fine:
            connector.verify(request)
        else:
            with pytest.raises(Rejected):
                connector.verify(request)


@pytest.mark.parametrize(
    "auth",
    [{}, {"bearer": ""}, {"bearer": []}, {"standard_webhooks": []}, {"bearer": "x", "standard_webhooks": [SECRET]}],
)
def test_an_account_without_a_secret_does_not_open(auth: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        webhook(auth=auth)


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"map": {**MAP, "text": "note["}}, "webhook/shop: map.text"),
        ({"map": {**MAP, "claims": {"order": "a..b"}}}, "webhook/shop: map.claims.order"),
        ({"map": {**MAP, "sender": {"email": "!"}}}, "webhook/shop: map.sender.email"),
        ({"auth": {"standard_webhooks": ["whsec_%%%"]}}, "webhook/shop: auth.standard_webhooks"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        webhook(**wrong)
    assert str(caught.value).startswith(place)
    assert caught.value.hint
    assert "%%%" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        5,
        None,
        {"note": "x"},
        {**SAID, "note": None},
        {**SAID, "note": {"a": 1}},
        {**SAID, "note": ["x"]},
        {**SAID, "note": True},
        {**SAID, "buyer": "li"},
        {**SAID, "buyer": {"mail": 5}, "note": ""},
        {**SAID, "note": "   "},
    ],
)
def test_what_does_not_fit_is_unreadable(now: datetime, said: Any) -> None:
    with pytest.raises(Unreadable):
        read(webhook(), now, said)


@pytest.mark.parametrize(
    "more",
    [
        {"text": "join(',', note)"},
        {"text": "sum(note)"},
        {"text": "unknown(note)"},
        {"text": "length(`5`)"},
        {"each": "note"},
        {"attachments": "note"},
        {"attachments": "[note]"},
        {"attachments": "[{content: note}]"},
        {"claims": {"a": "buyer"}},
        {"subject": "buyer"},
    ],
)
def test_expressions_that_do_not_fit_what_came_are_unreadable(now: datetime, more: dict[str, Any]) -> None:
    try:
        connector = mapped(**more)
    except ConfigError:
        return
    with pytest.raises(Unreadable):
        read(connector, now, SAID)


def test_odd_moments_are_marked_not_believed(now: datetime) -> None:
    connector = mapped(sent_at="at")
    moments = {"2026-03-02T17:30:00+08:00": now, 1772443800: now, 1772443800000: now, "1772443800": now}
    for said, wanted in moments.items():
        assert read(connector, now, {**SAID, "at": said})[0].sent_at == wanted
    ends = ("0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00", "9999-12-31T12:00:00Z")
    for odd in ("yesterday", "2026-03-02T17:30:00", 1e300, {}, [], "", True and "x", *ends):
        (message,) = read(connector, now, {**SAID, "at": odd})
        assert (message.sent_at, message.defects) == (None, ("sent_at",))


def test_two_numbers_of_28_digits_are_two_messages(now: datetime) -> None:
    connector = mapped(each="@", external_id="id", claims={"order_number": "id"})
    ids = ["2026112622001400000000000001", "2026112622001400000000000002"]
    body = b"[%b]" % b",".join(orjson.dumps({**SAID, "id": 0})[:-2] + number.encode() + b"}" for number in ids)
    messages = read(connector, now, body)
    assert [(said.external_id, said.claims["order_number"]) for said in messages] == [(one, one) for one in ids]


def test_a_mark_of_byte_order_before_json_is_no_fault(now: datetime) -> None:
    (message,) = read(webhook(), now, b"\xef\xbb\xbf" + orjson.dumps(SAID))
    assert message.text == SAID["note"]


def test_a_channel_nobody_knows_is_the_accounts_own(now: datetime) -> None:
    connector = webhook(map={**MAP, "channel": "via"}, channel="chat")
    assert [read(connector, now, {**SAID, "via": via})[0].channel for via in ("sms", "fax", None)] == [
        "sms",
        "chat",
        "chat",
    ]


def test_a_request_of_too_many_messages_is_unreadable(now: datetime) -> None:
    with pytest.raises(Unreadable, match="more than 1000"):
        read(mapped(each="[]"), now, [SAID] * 1001)


def test_what_is_readable_of_a_batch_goes_on_and_the_rest_is_named(now: datetime) -> None:
    connector = mapped(each="orders")
    orders = [SAID, {**SAID, "note": "words 1"}, {"note": "from nobody"}, SAID, {**SAID, "note": ["x"]}]

    with pytest.raises(Unreadable) as caught:
        read(connector, now, {"orders": orders})

    assert caught.value.reason == "message 3 of 5: no sender; message 5 of 5: text is list, not text"
    assert caught.value.code == "unreadable"
    assert [(message.part, message.text) for message in caught.value.readable] == [
        (0, "什么时候发货？"), (1, "words 1"), (3, "什么时候发货？"),
    ]  # fmt: skip


def test_once_mended_a_batch_has_the_ids_it_had(now: datetime) -> None:
    said = {"orders": [SAID, {**SAID, "note": None, "remark": "words 1"}, SAID]}
    with pytest.raises(Unreadable) as caught:
        read(mapped(each="orders"), now, said)
    mended = read(mapped(each="orders", text="note || remark"), now, said)

    assert [message.id for message in caught.value.readable] == [mended[0].id, mended[2].id]


def test_of_many_faults_the_first_are_told_and_the_rest_counted(now: datetime) -> None:
    with pytest.raises(Unreadable) as caught:
        read(mapped(each="[]"), now, [{}] * 1000)
    assert caught.value.reason.startswith("message 1 of 1000: neither text nor attachments; message 2 of 1000: ")
    assert caught.value.reason.endswith("; and 980 more")
    assert len(caught.value.reason) < 2000


async def test_a_webhook_has_no_way_back(reply: Any, now: datetime, request: Callable[..., Any]) -> None:
    with pytest.raises(Refused, match="reply_by"):
        await webhook().send(reply, now)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=500)
@given(said=values, path=st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
def test_the_short_way_along_a_plain_path_finds_what_jmespath_finds(said: Any, path: list[str]) -> None:
    assert _walk(tuple(path), said) == jmespath.search(".".join(path), said)
