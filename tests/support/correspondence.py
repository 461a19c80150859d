"""Mails as people's programs and as machines write them: subjects and words from tests/normalizer/people/*.tsv, in the
dress of a dozen mail programs, with what these put into headers.

`people()` and `machines()` yield (name, raw). The machines here leave no trace in headers: they are to be known by
what they say.
"""

import base64
from collections.abc import Callable, Iterator
from email.header import Header
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent / "normalizer" / "people"
OURS = "support@example.com"

Dress = Callable[[str, str, str, int], bytes]


def lines(file: str) -> list[tuple[str, str]]:
    rows = (row.split("\t") for row in (HERE / file).read_text(encoding="utf-8").splitlines())
    return [(subject, text.replace("\\n", "\n")) for subject, text in rows]


def people() -> Iterator[tuple[str, bytes]]:
    """Each thing people wrote, sent with three programs, each time others."""
    for at, (subject, text) in enumerate(lines("people.tsv")):
        for step in range(3):
            dress = PEOPLE[(at + step * 5) % len(PEOPLE)]
            yield f"{at + 1} {dress.__name__} {subject}", dress("Jo Kowalski", subject, text, at)


def machines() -> Iterator[tuple[str, bytes]]:
    """Each automatic reply, by two programs that mark nothing."""
    for at, (subject, text) in enumerate(lines("machines.tsv")):
        for dress in (UNMARKED[at % 4], UNMARKED[(at + 1) % 4]):
            yield f"{at + 1} {dress.__name__} {subject}", dress("Lee", subject, text, at)


def marked() -> Iterator[tuple[str, bytes]]:
    """People's words under headers of machines: the header decides."""
    fields = ("Auto-Submitted: auto-replied", "Auto-Submitted: auto-replied (vacation)", "X-Autoreply: yes",
              "Precedence: auto_reply", "X-Autorespond: yes", "Return-Path: <>")  # fmt: skip
    for at, (subject, text) in enumerate(lines("people.tsv")[:60]):
        yield f"{at + 1} {fields[at % 6]}", _mail("Lee", subject, text, at, fields[at % 6])


def _mail(
    name: str, subject: str, text: str, at: int, *fields: str, charset: str = "utf-8", domain: str = "customer.example"
) -> bytes:
    try:
        body = text.encode(charset)
    except UnicodeEncodeError:
        body, charset = text.encode(), "utf-8"
    head = [
        f"From: {Header(name, 'utf-8').encode()} <person{at}@{domain}>",
        *(() if any(field.startswith("To:") for field in fields) else (f"To: Support <{OURS}>",)),
        f"Subject: {_coded(subject, charset)}",
        "Date: Tue, 06 Jan 2026 10:20:30 +0800",
        f"Message-ID: <{at}.{len(subject)}@{domain}>",
        *fields,
        "MIME-Version: 1.0",
        f"Content-Type: text/plain; charset={charset}",
        "Content-Transfer-Encoding: base64",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + base64.encodebytes(body).replace(b"\n", b"\r\n")


def _coded(subject: str, charset: str) -> str:
    if subject.isascii():
        return subject
    return f"=?{charset}?B?{base64.b64encode(subject.encode(charset)).decode()}?="


def outlook(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, f"Thread-Topic: {_coded(subject, 'utf-8')}", "Thread-Index: AdxkQ0==",
                 "Accept-Language: de-DE, en-US", "X-MS-Has-Attach:", "X-MS-TNEF-Correlator:",
                 "X-Mailer: Microsoft Outlook 16.0")  # fmt: skip


def exchange(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-MS-Exchange-Organization-AuthAs: Internal",
                 "X-MS-Exchange-Organization-SCL: -1", "X-MS-Exchange-MessageSentRepresentingType: 1",
                 "X-MS-Exchange-CrossTenant-FromEntityHeader: Hosted", "X-OriginatorOrg: customer.example",
                 "Auto-Submitted: no", f"Return-Path: <person{at}@customer.example>")  # fmt: skip


def gmail(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-Google-DKIM-Signature: v=1; a=rsa-sha256; d=1e100.net",
                 "X-Gm-Message-State: AOJu0Y", f"Return-Path: <person{at}@gmail.example>", domain="gmail.example")  # fmt: skip


def apple(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-Mailer: Apple Mail (2.3826.300.87)", "X-Universally-Unique-Identifier: 7A")


def iphone(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, f"{text}\n\nSent from my iPhone", at, "X-Mailer: iPhone Mail (22C152)")


def thunderbird(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "User-Agent: Mozilla Thunderbird", "Content-Language: en-GB")


def qq(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-QQ-SSF: 00400000000000F0", "X-QQ-mid: webmail", "X-Priority: 3",
                 "X-QQ-MIME: TCMime 1.0 by Tencent", "X-Mailer: QQMail 2.x", charset="gb18030", domain="qq.example")  # fmt: skip


def netease(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-Originating-IP: [192.0.2.9]", "X-CM-CTRLDATA: Wm9vdGVy",
                 "X-Mailer: Coremail Webmail Server Version 2024.1", "X-CM-TRANSID: wKgA", charset="gbk",
                 domain="163.example")  # fmt: skip


def foxmail(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, f"{text}\n\n\nperson@customer.example", at, "X-Priority: 3", "X-Has-Attach: no",
                 "X-Mailer: Foxmail 7.2.25.331[cn]", charset="gb18030")  # fmt: skip


def wecom(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-QQ-STYLE:", "X-QQ-mid: exmail", "X-Mailer: QQMail 2.x",
                 "Feedback-ID: exmail:customer.example:qybglogicsvr:qybglogicsvr5", charset="gb18030")  # fmt: skip


def dingtalk(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-Mailer: [Alimail-Mailagent][W4_7][v3ForWebDing][Chrome]",
                 "X-Alimail-AntiSpam: AC=PASS")  # fmt: skip


def notes(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "X-KeepSent: 8A1", "X-Mailer: HCL Notes Release 12.0.2")


def relayed(name: str, subject: str, text: str, at: int) -> bytes:
    """Through Amazon SES, which marks every mail with Feedback-ID."""
    return _mail(name, subject, text, at, "Feedback-ID: ::1.eu-west-1.abc=:AmazonSES",
                 "X-SES-Outgoing: 2026.01.06-54.240.1.1", "Return-Path: <0102@eu-west-1.amazonses.com>")  # fmt: skip


def google_group(name: str, subject: str, text: str, at: int) -> bytes:
    """Our own address is a group, which hands mail on."""
    return _mail(name, subject, text, at, f"X-Original-Sender: person{at}@customer.example", "Precedence: list",
                 f"Mailing-list: list {OURS}; contact support+owners@example.com", "List-ID: <support.example.com>",
                 "X-Google-Group-Id: 10101", f"List-Post: <https://groups.example/support/post>, <mailto:{OURS}>",
                 "List-Unsubscribe: <mailto:googlegroups-manage+1+unsubscribe@googlegroups.example>")  # fmt: skip


def mailman(name: str, subject: str, text: str, at: int) -> bytes:
    """Our own address is a list of Mailman's, with its name before the subject."""
    return _mail(name, f"[support] {subject}" if subject.isascii() else subject, text, at, "Precedence: list",
                 "X-BeenThere: support@example.com", "X-Mailman-Version: 3.3.8", "List-Id: Support <support.example.com>",
                 f"List-Post: <mailto:{OURS}>", "List-Help: <mailto:support-request@example.com?subject=help>",
                 "Sender: support-bounces@example.com", f"Return-Path: <support-bounces+x={at}@example.com>")  # fmt: skip


def forwarded(name: str, subject: str, text: str, at: int) -> bytes:
    """By a rule of another mailbox of ours."""
    return _mail(name, subject, text, at, "X-Forwarded-To: tickets@example.com", "X-Forwarded-For: old@example.com",
                 "Resent-From: old@example.com", "X-Auto-Response-Suppress: DR, RN, NRN")  # fmt: skip


def webmail(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at, "User-Agent: Roundcube Webmail/1.6.9", "X-Sender: person@customer.example",
                 "X-Priority: 3 (Normal)", "X-Autoreply: no")  # fmt: skip


def bare(name: str, subject: str, text: str, at: int) -> bytes:
    return _mail(name, subject, text, at)


PEOPLE: tuple[Dress, ...] = (
    outlook, exchange, gmail, apple, iphone, thunderbird, qq, netease, foxmail, wecom, dingtalk, notes, relayed,
    google_group, mailman, forwarded, webmail,
)  # fmt: skip
UNMARKED: tuple[Dress, ...] = (bare, qq, netease, outlook)
