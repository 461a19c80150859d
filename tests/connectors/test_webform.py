"""The hosted form: what is taken, what must be mended, and what a person or an app is told."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from connectors import forms
from connectors.base import Request, enclose
from connectors.webform import Incomplete, Webform
from normalizer.canon import Address, Reply
from normalizer.errors import Refused, Rejected, Unreadable

FILLED = {
    "name": "张三",
    "email": "Zhang@Example.net",
    "phone": "138 1234 5678",
    "order_number": "5",
    "message": "物流显示已签收但未收到货",
}
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[2] / "gateway/console/templates"),
    autoescape=True,
    undefined=StrictUndefined,
)
HOME = "https://help.example.com/form/main"


def webform(**more: Any) -> Webform:
    return Webform(Webform.Settings.model_validate({"connector": "webform", "account": "main", **more}))  # type: ignore[arg-type]


@pytest.fixture
def form() -> Webform:
    return webform(types={"refund": {"zh": "退款", "en": "Refund"}})


def multipart(values: Mapping[str, str], *files: tuple[str, str, bytes]) -> tuple[str, bytes]:
    parts = [
        f'--b0und\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in values.items()
    ]
    parts += [
        f'--b0und\r\nContent-Disposition: form-data; name="attachments"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, kind, content in files
    ]
    return "multipart/form-data; boundary=b0und", b"".join(parts) + b"--b0und--\r\n"


def request(now: datetime, content_type: str, body: bytes, **headers: str) -> Request:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", HOME, {"content-type": content_type, **said}, body, {}, "192.0.2.7", now)


def as_json(now: datetime, said: Any, **headers: str) -> Request:
    return request(now, "application/json", orjson.dumps(said), **headers)


def test_a_filled_form_is_a_message_however_it_is_sent(form: Webform, now: datetime) -> None:
    photo = ("破损 照片.jpg", "image/jpeg", bytes(range(256)) * 4 + b"\r\n--b0un\r\n")
    file = {"name": photo[0], "media_type": photo[1], "content": base64.b64encode(photo[2]).decode()}
    ways = [
        request(now, *multipart({**FILLED, "lang": "zh", "submission": "0123456789"}, photo)),
        as_json(now, {**FILLED, "lang": "zh", "submission": "0123456789", "attachments": [file]}),
    ]
    for way in ways:
        form.verify(way)
        (message,) = form.parse(enclose(form, way))
        assert message.sender == Address("email", "zhang@example.net", "张三")
        assert message.text == FILLED["message"]
        assert message.claims == {
            "email": "Zhang@Example.net",
            "phone": "138 1234 5678",
            "order_number": "5",
            "language": "zh",
        }
        (attachment,) = message.attachments
        assert (attachment.name, attachment.media_type, attachment.content) == photo
        assert not message.proven
    assert form.key(ways[0]) == form.key(ways[1])
    assert form.lane(ways[0]) == "zhang@example.net"


def test_urlencoded_works_too_and_a_phone_is_enough(form: Webform, now: datetime) -> None:
    body = urlencode({"phone": "13812345678", "message": "你好 & 谢谢"}).encode()
    way = request(now, "application/x-www-form-urlencoded; charset=UTF-8", body)

    form.verify(way)

    (message,) = form.parse(enclose(form, way))
    assert message.sender == Address("phone", "+8613812345678")
    assert (message.text, form.lane(way)) == ("你好 & 谢谢", "+8613812345678")


def part(name: str, content: bytes, more: bytes = b"") -> bytes:
    return b'--b0und\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n%b\r\n' % (name.encode(), more, content)


URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b0und"
GBK = {"name": "张三".encode("gbk"), "message": "你好，我要退货".encode("gbk"), "phone": b"13812345678"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, "name=张三&message=你好，我要退货&phone=13812345678".encode()),
        (URLENCODED + "; charset=GBK", urlencode(GBK).encode()),
        (URLENCODED, urlencode({"_charset_": "gbk", **GBK}).encode()),
        (URLENCODED, urlencode(GBK).encode()),
        (MULTIPART, b"".join(part(*one) for one in GBK.items()) + b"--b0und--"),
        (MULTIPART, b"".join(part(*one, b"\r\nContent-Type: text/plain; charset=gbk") for one in GBK.items()) + b"--b0und--"),
        (MULTIPART, b"".join(part(*one) for one in [*GBK.items(), ("_charset_", b"gb2312")]) + b"--b0und--"),
    ],
    ids=["as curl sends it", "by content type", "by field", "unsaid", "parts", "parts that say so", "parts and a field"],
)  # fmt: skip
def test_chinese_is_read_in_whatever_charset_a_form_is_posted(
    form: Webform, now: datetime, content_type: str, body: bytes
) -> None:
    way = request(now, content_type, body)
    form.verify(way)
    (message,) = form.parse(enclose(form, way))
    assert (message.sender.name, message.text) == ("张三", "你好，我要退货")


def test_other_words_posted_in_gbk_are_another_sending(form: Webform, now: datetime) -> None:
    ways = [request(now, URLENCODED, urlencode({**GBK, "message": said.encode("gbk")}).encode()) for said in "退换"]
    assert form.key(ways[0]) != form.key(ways[1])


@pytest.mark.parametrize(
    "said",
    [
        b"; filename=\"=?utf-8?B?5Y+R56WoLnBkZg==?=\"; filename*=utf-8''%E5%8F%91%E7%A5%A8.pdf",
        b"; filename*=utf-8''%E5%8F%91%E7%A5%A8.pdf",
        b'; filename="%b"' % "发票.pdf".encode("gbk"),
        "; filename=发票.pdf".encode(),
    ],
    ids=["as .NET writes it", "as older Python does", "in GBK", "without quotes"],
)
def test_a_chinese_file_name_is_read_however_the_client_writes_it(form: Webform, now: datetime, said: bytes) -> None:
    body = part("phone", b"13812345678") + part("message", b"x") + part("attachments", b"%PDF", said) + b"--b0und--"
    (message,) = form.parse(enclose(form, request(now, MULTIPART, body)))
    assert [(one.name, one.content) for one in message.attachments] == [("发票.pdf", b"%PDF")]


def test_one_sending_is_one_whoever_clicks_twice(form: Webform, now: datetime) -> None:
    once = {**FILLED, "submission": "page-0001"}
    first, late = as_json(now, once), as_json(now + timedelta(hours=1), once)
    assert form.key(first) == form.key(late)
    assert form.key(first) != form.key(as_json(now, {**once, "message": "另一个问题"}))
    assert form.key(first) != form.key(as_json(now, {**once, "submission": "page-0002"}))


def test_without_a_page_the_same_words_within_the_minute_are_one(form: Webform, now: datetime) -> None:
    assert form.key(as_json(now, FILLED)) == form.key(as_json(now + timedelta(seconds=20), FILLED))
    assert form.key(as_json(now, FILLED)) != form.key(as_json(now + timedelta(minutes=1), FILLED))
    by_app = [as_json(now + timedelta(minutes=n), FILLED, idempotency_key="app-00000001") for n in range(2)]
    assert form.key(by_app[0]) == form.key(by_app[1])


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({"message": ""}, {"message": "required"}),
        ({"message": "  "}, {"message": "required"}),
        ({"email": "zhang"}, {"email": "email"}),
        ({"email": "", "phone": ""}, {"email": "contact"}),
        ({"email": "", "phone": "12"}, {"phone": "phone"}),
        ({"phone": "12"}, {}),
        ({"type": "nonsense"}, {"type": "type"}),
        ({"type": "refund"}, {}),
        ({"message": "长" * 50_001}, {"message": "too_long"}),
        ({"colour": "x" * 1001}, {"colour": "too_long"}),
    ],
)
def test_what_must_be_mended_is_said_field_by_field(
    form: Webform, now: datetime, change: dict[str, str], problems: dict[str, str]
) -> None:
    way = as_json(now, {**FILLED, **change})
    if not problems:
        return form.verify(way)
    with pytest.raises(Incomplete) as caught:
        form.verify(way)
    assert caught.value.problems == problems
    assert (caught.value.status, caught.value.code) == (422, "invalid")
    return None


def test_programs_that_fill_in_everything_are_caught(form: Webform, now: datetime) -> None:
    with pytest.raises(Rejected) as caught:
        form.verify(as_json(now, {**FILLED, "website": "http://spam.example"}))
    assert caught.value.code == "spam_trap"


def test_too_many_files_and_too_many_octets(now: datetime) -> None:
    form = webform(attachments=1, size_limit=1000)
    with pytest.raises(Incomplete) as caught:
        form.verify(request(now, *multipart(FILLED, ("a", "text/plain", b"a"), ("b", "text/plain", b"b"))))
    assert caught.value.problems == {"attachments": "too_many"}
    with pytest.raises(Rejected) as rejected:
        form.verify(request(now, *multipart(FILLED, ("a", "text/plain", b"a" * 1000))))
    assert (rejected.value.status, rejected.value.code) == (413, "oversized")


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [("https://help.example.com", True), ("https://www.example.com", True), ("https://evil.example", False),
     ("null", False), ("http://[", False), ("http://help.example.com", True), (None, True)],
)  # fmt: skip
def test_only_our_pages_may_post(now: datetime, origin: str | None, welcome: bool) -> None:
    form = webform(origins=["https://www.example.com"])
    way = as_json(now, FILLED, **({"origin": origin} if origin else {}))
    if welcome:
        return form.verify(way)
    with pytest.raises(Rejected) as caught:
        form.verify(way)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")
    return None


def test_a_browser_that_vouches_for_the_page_is_believed(form: Webform, now: datetime) -> None:
    form.verify(as_json(now, FILLED, origin="null", sec_fetch_site="same-origin"))
    with pytest.raises(Rejected):
        form.verify(as_json(now, FILLED, origin="null", sec_fetch_site="cross-site"))


def test_a_page_elsewhere_is_told_it_may_and_others_are_not(now: datetime) -> None:
    form = webform(origins=["https://www.example.com"])
    ask = replace(as_json(now, FILLED, origin="https://www.example.com"), method="OPTIONS")
    told = form.greet(ask)
    assert told is not None
    assert told.headers["access-control-allow-origin"] == "https://www.example.com"
    stranger = form.greet(replace(ask, headers={"origin": "https://evil.example"}))
    assert stranger is not None
    assert "access-control-allow-origin" not in stranger.headers
    assert form.greet(as_json(now, FILLED)) is None


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("text/plain", b"hello"), ("", b"{}"), ("application/json", b"{"), ("application/json", b"[]"),
     ("application/json", b'{"message": {"a": 1}}'), ("application/json", b'{"attachments": "x"}'),
     ("application/json", b'{"attachments": [1]}'), ("application/json", b'{"attachments": [{"content": "%"}]}'),
     ("multipart/form-data", b"--x"), ("multipart/form-data; boundary=b0und", b"--b0und\r\nContent-Dis"),
     ("multipart/form-data; boundary=b0und", b"nothing"), ("application/x-www-form-urlencoded", b"a=1&" * 200)],
)  # fmt: skip
def test_what_is_no_form_is_malformed(form: Webform, now: datetime, content_type: str, body: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        form.verify(request(now, content_type, body))
    assert (caught.value.status, caught.value.code) == (400, "malformed")


@settings(max_examples=500, deadline=None)
@given(
    body=st.binary(max_size=300).map(lambda body: b"--b\r\n" + body) | st.binary(max_size=300),
    kind=st.sampled_from(["multipart/form-data; boundary=b", "application/json", "application/x-www-form-urlencoded"]),
)
def test_reading_a_form_gives_a_form_or_unreadable(body: bytes, kind: str) -> None:
    with suppress(Unreadable):
        forms.read(kind, body)


def test_an_app_gets_json_and_a_browser_its_page(form: Webform, now: datetime) -> None:
    way = as_json(now, FILLED)
    told = form.answer(way)
    envelope = enclose(form, way).id
    assert (told.status, orjson.loads(told.body)) == (202, {"envelope": envelope, "reference": envelope[:8]})

    browser = request(now, *multipart(FILLED), accept="text/html,*/*", accept_language="en-GB")
    sent_on = form.answer(browser)
    assert (sent_on.status, sent_on.headers["location"]) == (303, f"?sent={enclose(form, browser).id[:8]}&lang=en")


def test_paths_and_controls_in_file_names_are_dropped(form: Webform, now: datetime) -> None:
    for name in ("../../etc/passwd", "C:\\fakepath\\passwd", "/etc/passwd"):
        way = as_json(now, {**FILLED, "attachments": [{"name": name, "content": ""}]})
        (message,) = form.parse(enclose(form, way))
        assert message.attachments[0].name == "passwd"
        assert message.attachments[0].media_type == "application/octet-stream"


async def test_a_form_has_no_way_back_but_may_name_one(form: Webform, reply: Reply, now: datetime) -> None:
    with pytest.raises(Refused, match="reply_by"):
        await form.send(reply, now)
    assert form.settings.answering is None
    assert webform(reply_by="support").settings.answering == ("email_smtp", "support")
    assert webform(reply_by="other/box").settings.answering == ("other", "box")


# The page


class Page(HTMLParser):
    """The things on a page that a person or a browser acts on."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def named(self, name: str) -> dict[str, str | None]:
        return next(attributes for _, attributes in self.tags if attributes.get("name") == name)


def shown(now: datetime, **headers: str) -> Request:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("GET", HOME, said, b"", {}, "192.0.2.7", now)


@pytest.mark.parametrize(
    ("wish", "language"),
    [("zh-CN,en;q=0.8", "zh"), ("en-US,en;q=0.9", "en"), ("fr,en;q=0.5", "en"), ("ja", "zh"), ("", "zh")],
)
def test_the_page_speaks_the_visitors_language(form: Webform, now: datetime, wish: str, language: str) -> None:
    page = form.page(shown(now, accept_language=wish), "s" * 16)
    html = TEMPLATES.get_template("form.html").render(page)

    assert page["language"] == language
    assert ("提交" in html) == (language == "zh")
    assert form.language(replace(shown(now, accept_language=wish), query={"lang": "en"})) == "en"


def test_every_field_has_its_label_and_nothing_comes_from_elsewhere(form: Webform, now: datetime) -> None:
    page = Page(TEMPLATES.get_template("form.html").render(form.page(shown(now), "fresh-page-0001")))

    labels = {attributes["for"] for tag, attributes in page.tags if tag == "label"}
    for name in form.settings.fields:
        assert f"f-{name}" in labels
    assert page.named("submission")["value"] == "fresh-page-0001"
    assert "required" in page.named("message")
    assert not any(tag in ("script", "img", "iframe", "style") for tag, _ in page.tags)
    assert all(str(attributes["href"]).startswith("/static/") for tag, attributes in page.tags if tag == "link")
    assert not any("//" in str(value) for _, attributes in page.tags for value in attributes.values())


def test_a_form_to_be_mended_keeps_what_was_filled_in_and_says_what_is_wrong(form: Webform, now: datetime) -> None:
    evil = '"><script>alert(1)</script>'
    way = request(
        now, *multipart({**FILLED, "name": evil, "message": "", "type": "refund", "lang": "en"}), accept="text/html"
    )
    with pytest.raises(Incomplete) as caught:
        form.verify(way)

    html = TEMPLATES.get_template("form.html").render(form.page(way, "fresh-page-0002", caught.value.problems))

    page = Page(html)
    assert "<script>" not in html
    assert page.named("name")["value"] == evil
    assert page.named("email")["value"] == FILLED["email"]
    assert page.named("message")["aria-invalid"] == "true"
    assert ("option", {"value": "refund", "selected": None}) in page.tags
    assert "Please fill this in." in page.words


def test_a_problem_with_a_field_nobody_sees_is_shown_too(form: Webform, now: datetime) -> None:
    way = as_json(now, {**FILLED, "colour": "x" * 2000})
    page = form.page(way, "fresh-page-0003", {"colour": "too_long"})

    assert "colour" in TEMPLATES.get_template("form.html").render(page)


def test_the_page_after_sending_shows_the_reference(form: Webform, now: datetime) -> None:
    sent = replace(shown(now), query={"sent": "0a1b2c3d", "lang": "en"})
    page = form.thanks(sent)
    assert page is not None

    html = TEMPLATES.get_template("form_thanks.html").render(page)

    assert "0a1b2c3d" in html
    assert "Thank you" in html
    for other in ({}, {"sent": "<script>"}, {"sent": ""}):
        assert form.thanks(replace(sent, query=other)) is None
