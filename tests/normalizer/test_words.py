"""Header words, parameters, address lists: what senders write, and what they mean."""

import encodings.aliases

import pytest
import webencodings.labels  # type: ignore[import-untyped]

from normalizer.addresses import address_list
from normalizer.charset import codec, decode
from normalizer.words import base64, parameters, text


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"plain", "plain"),
        (b"=?utf-8?B?6YCA5qy+?=", "退款"),
        (b"=?UTF-8?q?=e9=80=80=E6=AC=BE?=", "退款"),
        (b"=?utf-8?B?6YCA5q?= =?utf-8?B?y+?=", "退款"),
        (b"Re: =?gb2312?B?zcu/7g==?= no. 5", "Re: 退款 no. 5"),
        (b"=?gbk?B?zcu/7g?=", "退款"),
        (b"=?x-unknown?Q?abc?=", "abc"),
        (b"=?utf-8*en?Q?a_b?=", "a b"),
        (b"=?utf-8?Q?cut off", "=?utf-8?Q?cut off"),
        (b"a =?b= c", "a =?b= c"),
        ("原样".encode(), "原样"),
        ("退款退货".encode("gbk"), "退款退货"),
        (b"one\r\n two\r\n\tthree", "one two three"),
        (b"=?utf-8?Q?one=0D=0ABcc:_two?=", "one Bcc: two"),
        (b"=?utf-8?Q?why?=E5=8F=91?= =?utf-8?Q?=3F?= E5", "why?发? E5"),
        (b"=?utf-8?Q?Don=C2=92t?=", "Don\u2019t"),
    ],
)
def test_an_unstructured_field_reads_as_people_read_it(raw: bytes, read: str) -> None:
    assert text(raw) == read


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b'a/b; name="x.pdf"', "x.pdf"),
        (b"a/b; name=x.pdf; y=1", "x.pdf"),
        (b"a/b; name*=utf-8''%E5%8F%91.pdf", "发.pdf"),
        (b"a/b; name*=GBK''%B7%A2.pdf", "发.pdf"),
        (b"a/b; name*0=one; name*1=two; name*2*=%20x", "onetwo x"),
        (b'a/b; name="=?utf-8?B?5Y+RLnBkZg==?="', "发.pdf"),
        ('a/b; name="发.pdf"'.encode(), "发.pdf"),
        (b'a/b; name="a \\"b\\".txt"', 'a "b".txt'),
        (b'a/b; name="open', "open"),
        (b"a/b;; ; name = x", "x"),
        (b"a/b name=x.pdf", "x.pdf"),
        (b"a/b (a comment); name=x.pdf", "x.pdf"),
        (b"a/b, name=x.pdf", "x.pdf"),
        (b"a/b; name*0*=utf-8''%E5%8F%; name*1*=91.pdf", "发.pdf"),
        (b"a/b; name*0=utf-8'zh'%E5%8F%91; name*1*=%20.pdf", "发 .pdf"),
    ],
)
def test_a_file_name_is_found_however_it_is_written(raw: bytes, name: str) -> None:
    assert parameters(raw) == ("a/b", parameters(raw)[1])
    assert parameters(raw)[1]["name"] == name


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b"foo@bar.com <evil@x.com>", [("evil@x.com", "foo@bar.com")]),
        (b'"foo@bar.com" <evil@x.com>', [("evil@x.com", "foo@bar.com")]),
        (b"<evil@x.com> foo@bar.com", [("evil@x.com", "foo@bar.com")]),
        (b'"Doe, Jane" <Jane@X.com>, c@d.e (Cee)', [("jane@x.com", "Doe, Jane"), ("c@d.e", "Cee")]),
        (b"=?utf-8?B?5byg5LyfLA==?= <z@e.cn>, <y@e.cn>", [("z@e.cn", "张伟,"), ("y@e.cn", "")]),
        (b"=?utf-8?B?5byg5LyfIDx6QGUuY24+?=", [("z@e.cn", "张伟")]),
        (b"staff: a@b.c, d@e.f; g@h.i", [("a@b.c", ""), ("d@e.f", ""), ("g@h.i", "")]),
        (b"undisclosed-recipients:;", []),
        (b"<undisclosed-recipients:;>, <Undisclosed-Recipient:@b.c;>", []),
        (b"no address", []),
        (b'"Not support@shop.example" eve@x.example', [("eve@x.example", "Not support@shop.example")]),
        (b'"a@b.c" "d@e.f"', [("a@b.c", ""), ("d@e.f", "")]),
        (b"Ray, Jane <a@b.c>, Rick, d@e.f", [("a@b.c", "Ray, Jane"), ("d@e.f", "Rick")]),
        (b"=?utf-8?Q?=22Ray=2C_Jane=22?= <a@b.c>", [("a@b.c", "Ray, Jane")]),
        (b"Jane (Support <a@b.c>", [("a@b.c", "Jane Support")]),
        (b"Jane (she \\) said) <'a@b.c'>, <\"d@e.f\">", [("a@b.c", "Jane"), ("d@e.f", "")]),
        (b"Shop: Returns <a@b.c>", [("a@b.c", "Shop: Returns")]),
        (b'"Ray, Jane" <<a@b.c>>', [("a@b.c", "Ray, Jane")]),
        (b"mailto:a@b.c", [("a@b.c", "")]),
        (b"a @ b . c", [("a@b.c", "")]),
        (b"<@relay.x,@y:a@b.c>", [("a@b.c", "")]),
        ("王 <wang@例子.cn>".encode("gbk"), [("wang@例子.cn", "王")]),
        (b"", []),
        (
            "张伟＜a@b.c＞；d@e.f，李娜 <g@h.i>、j@k.l".encode(),
            [("a@b.c", "张伟"), ("d@e.f", ""), ("g@h.i", "李娜"), ("j@k.l", "")],
        ),
        ("张伟，销售部 <a@b.c>".encode(), [("a@b.c", "张伟，销售部")]),
        (b"Jane <a@b.c> Rick <d@e.f>", [("a@b.c", "Jane"), ("d@e.f", "Rick")]),
        (b"a@b.c d@e.f", [("a@b.c", ""), ("d@e.f", "")]),
        (b"@jane a@b.c", [("a@b.c", "@jane")]),
        (b"Jane [a@b.c]", [("a@b.c", "Jane")]),
        (b"a@[192.0.2.1]", [("a@[192.0.2.1]", "")]),
        (b"\"'a@b.c'\" <a@b.c>", [("a@b.c", "a@b.c")]),
        (b"Jane <SMTP:a@b.c>", [("a@b.c", "Jane")]),
        (b'"jane doe"@b.c, <"jane doe"@d.e>', [('"jane doe"@b.c', ""), ('"jane doe"@d.e', "")]),
        (b'"foo@bar.com"@x.com <evil@x.com>', [("evil@x.com", '"foo@bar.com"@x.com')]),
        (b"Jo <=?utf-8?q?jo=00=0A?=@example.net>", [("jo@example.net", "Jo")]),
    ],
)
def test_an_address_list_names_who_is_really_meant(raw: bytes, read: list[tuple[str, str]]) -> None:
    assert [(found.address, found.name) for found in address_list(raw)] == read


@pytest.mark.parametrize(
    ("raw", "label", "read", "defect"),
    [
        ("退款".encode("gb18030"), "gb2312", "退款", ""),
        ("退款申请已经提交".encode(), "gb2312", "退款申请已经提交", "wrong_charset"),
        ("退款申请已经提交".encode("gbk"), "us-ascii", "退款申请已经提交", "wrong_charset"),
        ("退款申请已经提交".encode("gbk"), "iso-8859-1", "退款申请已经提交", "wrong_charset"),
        ("café".encode("latin-1"), "iso-8859-1", "café", ""),
        ("café".encode(), "latin1", "café", "wrong_charset"),
        (b"plain", "no-such-charset", "plain", "unknown_charset"),
        ("退款申请".encode("hz"), "hz-gb-2312", "退款申请", ""),
        (b"+kABrPg-", "utf-7", "退款", ""),
        ("退款".encode("utf-16"), "utf-16", "退款", ""),
        ("返品".encode("iso2022_jp"), "", "返品", ""),
        ("退款".encode("gbk"), "windows-1252", "退款", "wrong_charset"),
        ("DEVOLUÇÃO E RECLAMAÇÃO".encode("latin-1"), "iso-8859-1", "DEVOLUÇÃO E RECLAMAÇÃO", ""),
        ("Où est-il ?".encode("latin-1"), "utf-8", "Où est-il ?", "wrong_charset"),
        (
            "您的訂單已經取消，退款三天內入帳".encode("big5"),
            "gb2312",
            "您的訂單已經取消，退款三天內入帳",
            "wrong_charset",
        ),
        ("您的订单已经取消，退款三天内入账".encode("gbk"), "big5", "您的订单已经取消，退款三天内入账", "wrong_charset"),
        ("您的訂單已經取消，退款三天內入帳".encode("gbk"), "gb2312", "您的訂單已經取消，退款三天內入帳", ""),
        ("주문한 물건이 아직 오지 않았습니다".encode("euc-kr"), "", "주문한 물건이 아직 오지 않았습니다", ""),
        ("退款 order".encode(), "utf-16", "退款 order", "wrong_charset"),
        (b"\x1b$)A\x0eMK?n\x0f ok", "iso-2022-cn", "退款 ok", ""),
        (b"\x1b$B-!\x1b(B 5\x1b$B\x7cb\x1b(B", "iso-2022-jp", "① 5髙", ""),
        (b"\x1b$B-!\x1b(B 5", "", "① 5", ""),
        ("注文が届きません".encode(), "iso-2022-jp", "注文が届きません", "wrong_charset"),
        ("注文が届きません".encode("cp932"), "iso-2022-jp", "注文が届きません", "wrong_charset"),
        (b"a cup\x8a", "iso-2022-jp", "a cup\ufffd", "bad_bytes"),
        (b"ok \xed\xa0\xbd\xed\xb8\x80", "utf-8", "ok 😀", "wrong_charset"),
    ],
)
def test_false_labels_do_no_harm(raw: bytes, label: str, read: str, defect: str) -> None:
    assert decode(raw, label) == (read, defect)


LABELS = {
    *encodings.aliases.aliases,
    *encodings.aliases.aliases.values(),
    *webencodings.labels.LABELS,
    "idna",
    "undefined",
    "punycode",
}


@pytest.mark.parametrize("raw", [b"\x1b$)A", b"\xcd\xcb \x1b$)A\x0eMK\x0f", b"+ADw- ~{<:", b"\xff\xfe\x00", b"x"])
def test_no_label_that_python_or_the_web_knows_makes_bytes_raise(raw: bytes) -> None:
    for label in LABELS:
        assert isinstance(decode(raw, label)[0], str)


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("windows-936", "gb18030"), ("gb18030-2022", "gb18030"), ("x-big5-eten", "big5hkscs"), ("zh_CN.UTF-8", "utf-8"),
        ("win-1251", "cp1251"), ("x-8859-2", "iso8859-2"), ("iso-2022-jp-dos", "iso2022_jp_ext"), ("unknown-8bit", ""),
    ],
)  # fmt: skip
def test_labels_nobody_registered_are_known_by_their_kin(label: str, known: str) -> None:
    assert codec(label) == known


def test_labels_that_are_no_charset_are_unknown() -> None:
    assert [codec(label) for label in ("base64", "zlib", "", "???", "unicode_escape")] == ["", "", "", "", ""]


def test_base64_is_read_as_far_as_it_goes() -> None:
    assert base64(b"aGVsbG8") == b"hello"
    assert base64(b"aGVs bG8=\n-- trailer") == b"hello" + base64(b"--trailer".replace(b"-", b""))
    assert base64(b"YQ==YQ==") == b"aa"
    assert base64(b"a") == b""
