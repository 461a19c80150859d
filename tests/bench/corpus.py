"""The mails and webhook bodies everything is measured with: made, not collected, and the same on every machine.

Half of the customers write Chinese, half English; a third of the mails have an HTML twin, some are GB18030.
"""

import base64
import json
import quopri
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

SEED = 20231027
VARIETY = 200  # different texts; what differs from mail to mail beyond them is who writes, and the Message-ID
MAIL_SIZE = 5_000
BODY_SIZE = 1_000
ATTACHMENT_SIZE = 750_000  # 1 MB once in base64
RECIPIENT = "support@example.com"
MARK = b"@@@@@@@@@@@@"  # where a mail's own 12 digits go

CHINESE = (
    "订单号{n}，物流显示已签收但未收到货，请帮忙核实一下。",
    "我在{d}号下的订单{n}到现在还没有发货，客服电话一直打不通。",
    "收到的商品有划痕，包装也破了，申请退款或者换货。",
    "发票抬头开错了，麻烦重新开一张增值税普通发票，金额是{n}元。",
    "登录的时候一直提示验证码错误，换了浏览器也不行。",
    "请问这款产品支持七天无理由退货吗？运费由谁承担？",
    "建议你们在应用里增加深色模式，晚上看着太刺眼了。",
    "系统从今天上午十点开始无法打开，整个部门都没法办公，非常着急。",
    "上次反映的问题已经过去{d}天了，没有人联系我，我要投诉。",
    "会员积分少了{n}分，页面上也查不到扣除的记录。",
    "我的手机号换了，想修改账户绑定的号码，需要提供什么材料？",
    "导出报表时总是失败，错误代码是E{n}，截图我稍后补上。",
)
ENGLISH = (
    "My order {n} shows as delivered, but nothing has arrived at my address.",
    "I was charged twice for invoice {n} and would like one of the payments refunded.",
    "The export button fails with error E{n} every time I try to download the report.",
    "Could you tell me whether the warranty covers accidental damage to the screen?",
    "I have been waiting for {d} days and nobody has answered my last two messages.",
    "The parcel was damaged in transit; the box was open and one item is missing.",
    "It would be great if the mobile app had a dark mode for working at night.",
    "Since this morning nobody in our office can sign in, and we cannot work at all.",
    "Please change the billing address on our account before the next invoice is issued.",
    "The replacement part you sent does not fit model {n}, please send the right one.",
    "How do I reset two-factor authentication after losing my old phone?",
    "Thank you for the quick help last time, your colleague was very kind.",
)
SUBJECTS = {
    "zh": ("物流显示已签收但未收到货", "申请退款", "发票开错了", "无法登录", "产品咨询", "投诉：一直没有人处理"),
    "en": (
        "Parcel not received",
        "Refund request",
        "Wrong invoice",
        "Cannot sign in",
        "Question",
        "Complaint: no answer",
    ),
}


@dataclass(frozen=True, slots=True)
class Mail:
    sender: str
    raw: bytes


def mails(count: int, run: int, *, attachment: bool = False) -> Iterator[Mail]:
    """`count` mails, each from another customer with a Message-ID of its own; another `run`, other customers."""
    texts = templates(attachment=attachment)
    for n in range(count):
        digits = b"%04d%08d" % (run, n)
        yield Mail(f"customer{digits.decode()}@example.net", texts[n % len(texts)].replace(MARK, digits))


def templates(*, attachment: bool = False) -> list[bytes]:
    """The mails before they get their numbers."""
    random = Random(SEED)
    variety = 8 if attachment else VARIETY
    return [_mail(random, "zh" if n % 2 == 0 else "en", n, attachment=attachment) for n in range(variety)]


def bodies(count: int, run: int) -> Iterator[tuple[str, bytes]]:
    """`count` webhook bodies of about 1 KB with their delivery ids, each from another customer."""
    random = Random(SEED)
    words = [text(random, language, BODY_SIZE - 250) for language in ("zh", "en") * (VARIETY // 2)]
    for n in range(count):
        digits = f"{run:04d}{n:08d}"
        body = {
            "id": f"msg-{digits}",
            "user": {
                "id": f"u{digits}",
                "name": random.choice(("张伟", "李娜", "Ann Lee", "Tom Fox")),
                "email": f"customer{digits}@example.net",
            },
            "subject": random.choice(SUBJECTS["zh" if n % 2 == 0 else "en"]),
            "text": words[n % VARIETY],
            "sent_at": "2026-11-02T09:00:00Z",
        }
        yield f"msg_{digits}", json.dumps(body, ensure_ascii=False).encode()


def text(random: Random, language: str, size: int) -> str:
    """Sentences of a customer until they fill `size` bytes of UTF-8."""
    sentences: list[str] = []
    room = size
    while room > 0:
        template = random.choice(CHINESE if language == "zh" else ENGLISH)
        sentences.append(template.format(n=random.randint(10_000, 99_999), d=random.randint(1, 30)))
        room -= len(sentences[-1].encode()) + 1
    paragraphs = ["".join(f"{s} " for s in sentences[i : i + 4]).strip() for i in range(0, len(sentences), 4)]
    return "\n\n".join(paragraphs)


def _mail(random: Random, language: str, n: int, *, attachment: bool) -> bytes:
    with_html = n % 3 == 0
    charset = "gb18030" if language == "zh" and n % 4 == 0 else "utf-8"
    words = text(random, language, _room(language, charset, with_html)) + _signature(language)
    body = _alternative(words, charset, n) if with_html else _part(words, "plain", charset)
    if attachment:
        body = _mixed(body, random.randbytes(ATTACHMENT_SIZE), n)
    return _headers(random, language) + body


def _room(language: str, charset: str, with_html: bool) -> int:
    """How many bytes of UTF-8 leave a mail of about MAIL_SIZE once headers, base64 and the HTML twin are added."""
    room = (MAIL_SIZE - 700) / (4 / 3 if language == "zh" else 1.05)
    return int(room / (2.15 if with_html else 1) * (1.5 if charset == "gb18030" else 1))


def _headers(random: Random, language: str) -> bytes:
    name = random.choice(("王芳", "刘洋", "陈静") if language == "zh" else ("Ann Lee", "Tom Fox", "Eva Berg"))
    lines = (
        b"Return-Path: <customer%s@example.net>" % MARK,
        b"Received: from mx.example.net ([192.0.2.7]) by mail.example.com; Mon, 2 Nov 2026 09:00:00 +0800",
        b"From: %s <customer%s@example.net>" % (_word(name), MARK),
        b"To: %s" % RECIPIENT.encode(),
        b"Subject: %s" % _word(random.choice(SUBJECTS[language])),
        b"Message-ID: <%s@example.net>" % MARK,
        b"Date: Mon, 2 Nov 2026 09:00:00 +0800",
        b"X-Mailer: Foxmail 7.2.25.213[cn]",
        b"MIME-Version: 1.0",
    )
    return b"\r\n".join(lines) + b"\r\n"


def _signature(language: str) -> str:
    return "\n\n-- \n王先生\n上海某某有限公司" if language == "zh" else "\n\n-- \nKind regards\nExample Ltd"


def _word(words: str) -> bytes:
    """An encoded-word, where one is needed (RFC 2047)."""
    return words.encode() if words.isascii() else b"=?utf-8?B?%s?=" % base64.b64encode(words.encode())


def _part(words: str, subtype: str, charset: str) -> bytes:
    coded = words.encode(charset)
    ascii_only = words.isascii()
    body = quopri.encodestring(coded) if ascii_only else base64.encodebytes(coded)
    how = "quoted-printable" if ascii_only else "base64"
    head = f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {how}\r\n\r\n"
    return head.encode() + _crlf(body.rstrip(b"\n") + b"\n")


def _alternative(words: str, charset: str, n: int) -> bytes:
    html = "<html><body>" + "".join(f"<p>{line}</p>\n" for line in words.splitlines() if line) + "</body></html>"
    return _multipart("alternative", n, _part(words, "plain", charset), _part(html, "html", charset))


def _mixed(body: bytes, content: bytes, n: int) -> bytes:
    head = (
        b'Content-Type: application/pdf; name="invoice.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="invoice.pdf"\r\n\r\n'
    )
    return _multipart("mixed", n, body, head + _crlf(base64.encodebytes(content)))


def _multipart(subtype: str, n: int, *parts: bytes) -> bytes:
    boundary = f"{subtype}-{n:04d}".encode()
    head = b'Content-Type: multipart/%s; boundary="%s"\r\n\r\n' % (subtype.encode(), boundary)
    return head + b"".join(b"--%s\r\n%s\r\n" % (boundary, part) for part in parts) + b"--%s--\r\n" % boundary


def _crlf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
