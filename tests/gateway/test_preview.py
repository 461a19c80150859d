"""Bytes as people look at them."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.preview import SHOWN, preview


def test_a_mail_is_shown_by_its_headers_and_words() -> None:
    raw = "From: =?gb2312?B?wO7A1w==?= <li@example.cn>\r\nTo: support@example.com\r\nSubject: =?utf-8?B?6YCA5qy+?=\r\n\r\n请退款\r\n"
    seen = preview(raw.encode())
    assert seen.kind == "mail"
    assert seen.text.strip() == "请退款"
    assert dict(seen.headers)["from"] == "李*(l***@example.cn)"
    assert dict(seen.headers)["subject"] == "退款"


def test_json_is_set_out_and_broken_json_is_text() -> None:
    assert preview(b'{"text":"\xe9\x80\x80"}').text == '{\n  "text": "退"\n}'
    assert preview(b'{"text":').kind == "text"


def test_what_is_no_text_is_hexadecimal_and_little_of_it() -> None:
    seen = preview(bytes(range(256)) * 40)
    assert (seen.kind, seen.cut) == ("binary", True)
    assert seen.text.splitlines()[2] == ("000020  20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f   !\"#$%&'()*+,-./")


def test_nothing_is_empty_and_much_is_cut() -> None:
    assert preview(b" \n").kind == "empty"
    long = preview(json.dumps(["x" * 100] * 1000).encode())
    assert long.cut
    assert len(long.text) == SHOWN


@settings(deadline=None)
@given(st.binary(max_size=3000) | st.text(max_size=500).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_comes_is_shown(body: bytes) -> None:
    assert len(preview(body).text) <= SHOWN


@settings(deadline=None)
@given(st.binary(max_size=1000))
def test_whatever_follows_a_header_is_shown(body: bytes) -> None:
    assert preview(b"From: a@b.cn\nSubject: x\n" + body).kind == "mail"
