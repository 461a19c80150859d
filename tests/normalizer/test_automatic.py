"""Machines are recognised, people are not taken for machines, and proof counts only from our own server."""

import pytest
from correspondence import OURS, machines, marked, people

from normalizer.canon import Kind
from normalizer.mime import parse_mail
from normalizer.proof import aligned, proven, verdicts

PERSON = {
    "From": "jane@customer.example",
    "To": "support@example.com",
    "Subject": "Refund",
    "Message-ID": "<1@c.example>",
}


def kind(body: str = "Where is my refund?", **fields: str) -> Kind:
    return read(body, **fields)[0]


def read(body: str = "Where is my refund?", **fields: str) -> tuple[Kind, bool]:
    head = PERSON | {name.replace("_", "-"): value for name, value in fields.items()}
    mail = parse_mail("".join(f"{name}: {value}\n" for name, value in head.items()).encode() + b"\n" + body.encode())
    return mail.kind, mail.answerable


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"Auto_Submitted": "auto-replied"}, Kind.AUTO_REPLY),
        ({"Auto_Submitted": "auto-replied; owner-email=a@b.c"}, Kind.AUTO_REPLY),
        ({"Auto_Submitted": "auto-notified"}, Kind.AUTO_REPLY),
        ({"Auto_Submitted": 'auto-generated; owner-email="a@b.c"'}, Kind.AUTO_GENERATED),
        ({"Auto_Submitted": "Auto-Generated (cron)", "Precedence": "bulk"}, Kind.AUTO_GENERATED),
        ({"Auto_Submitted": "auto-generated", "Subject": "Out of Office: back on Monday"}, Kind.AUTO_REPLY),
        ({"Auto_Submitted": "auto-generated", "X_Autoreply": "yes"}, Kind.AUTO_REPLY),
        ({"Auto_Submitted": "auto-generated", "Return_Path": "<>"}, Kind.AUTO_REPLY),
        ({"Auto_Submitted": "auto-generated", "Subject": "Read: Refund"}, Kind.READ_RECEIPT),
        (
            {"Auto_Submitted": "auto-generated", "From": "MAILER-DAEMON@c.example", "Subject": "Undelivered Mail"},
            Kind.BOUNCE,
        ),
        ({"X_Autoreply": "yes"}, Kind.AUTO_REPLY),
        ({"Precedence": "auto_reply"}, Kind.AUTO_REPLY),
        ({"Subject": "自动回复：退款"}, Kind.AUTO_REPLY),
        ({"Subject": "自動回覆: 退款"}, Kind.AUTO_REPLY),
        ({"Subject": "Automatic reply: Refund"}, Kind.AUTO_REPLY),
        ({"Subject": "Out of Office: back on Monday"}, Kind.AUTO_REPLY),
        ({"Subject": "Abwesenheitsnotiz: Refund"}, Kind.AUTO_REPLY),
        ({"Return_Path": "<>"}, Kind.AUTO_REPLY),
        ({"List_Id": "<news.customer.example>"}, Kind.LIST),
        ({"Precedence": "bulk"}, Kind.LIST),
        ({"X_Ticketgate_Loop": "yes"}, Kind.LOOP),
        ({"From": "MAILER-DAEMON@c.example", "Subject": "Undelivered Mail Returned to Sender"}, Kind.BOUNCE),
        ({"From": "Mail Delivery System <postmaster@c.example>", "Subject": "failure notice"}, Kind.BOUNCE),
        ({"X_Failed_Recipients": "a@b.c"}, Kind.BOUNCE),
        ({"Content_Type": "multipart/report; report-type=delivery-status; boundary=b"}, Kind.BOUNCE),
        ({"Content_Type": "multipart/report; report-type=feedback-report; boundary=b"}, Kind.FEEDBACK_LOOP),
        ({"Content_Type": "multipart/report; report-type=disposition-notification; boundary=b"}, Kind.READ_RECEIPT),
    ],
)
def test_a_machine_is_recognised_and_never_answered(fields: dict[str, str], what: Kind) -> None:
    assert read(**fields) == (what, False)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Auto_Submitted": "no"},
        {"Subject": "Your automatic reply was no help"},
        {"Subject": "自动回复里的链接打不开"[4:]},
        {"Subject": "I was out of the office when the parcel came"},
        {"Subject": "退信问题咨询"},
        {"Subject": "Undeliverable address on my parcel"},
        {"Subject": "Delivery failure: my parcel did not come"},
        {"Precedence": "first-class"},
        {"Return_Path": "<jane@customer.example>"},
        {"Subject": "Vacation rental booking"},
    ],
)
def test_a_person_is_not_taken_for_a_machine(fields: dict[str, str]) -> None:
    assert read(**fields) == (Kind.MESSAGE, True)


def test_a_person_who_answers_a_machine_is_heard_but_sets_off_no_loop() -> None:
    assert read(Subject="Re: 自动答复: 退款") == (Kind.MESSAGE, False)
    assert read("我在休假，会尽快回复您。", Subject="Re: 自动答复: 退款") == (Kind.AUTO_REPLY, False)


def test_people_are_heard_whatever_they_write_about_and_whatever_program_they_use() -> None:
    taken = [name for name, raw in people() if parse_mail(raw, ours=OURS.__eq__).kind is not Kind.MESSAGE]
    assert len(list(people())) >= 400
    assert taken == []


def test_machines_that_mark_nothing_are_known_by_what_they_say() -> None:
    missed = [name for name, raw in machines() if parse_mail(raw).kind is not Kind.AUTO_REPLY]
    assert len(list(machines())) >= 100
    assert missed == []


@pytest.mark.parametrize(
    ("subject", "opening"),
    [
        ("Mail delivery failed: returning message to sender", "This message was created automatically by mail delivery software.\n\nA message that you sent could not be delivered."),
        ("Delivery failure notification", "Your message with Subject: Re: kettle\ncould not be delivered to the following recipients:"),
        ("Returned Mail - Error During Delivery", "------ Failed Recipients ------"),
        ("non remis (delivery failed)", "*****\nVotre message n'a pas pu etre delivre a"),
        ("Delivery Failure", "Could not deliver message to the following recipient(s):"),
    ],
)  # fmt: skip
def test_a_bounce_is_known_by_its_opening_whoever_sends_it(subject: str, opening: str) -> None:
    body = f"{opening}\n\njo@customer.example\n"
    assert read(body, Subject=subject, From="gateway@customer.example") == (Kind.BOUNCE, False)
    assert read(body, Subject=f"Fwd: {subject}")[0] is Kind.MESSAGE
    assert read(f"I got this, what now?\n\n{body}", Subject=subject)[0] is Kind.MESSAGE


def test_a_header_that_says_so_outweighs_any_words() -> None:
    assert Kind.MESSAGE not in {parse_mail(raw).kind for _, raw in marked()}


def test_a_list_of_our_own_name_is_a_way_to_us() -> None:
    fields = {"List_Id": "<support.example.com>", "List_Post": f"<mailto:{OURS}>", "Precedence": "list"}
    assert kind(**fields) is Kind.LIST
    head = PERSON | {name.replace("_", "-"): value for name, value in fields.items()}
    raw = "".join(f"{name}: {value}\n" for name, value in head.items()).encode() + b"\nhello"
    assert parse_mail(raw, ours=OURS.__eq__).kind is Kind.MESSAGE
    assert parse_mail(raw.replace(b"Precedence: list", b"Precedence: bulk"), ours=OURS.__eq__).kind is Kind.LIST


def test_our_own_automatic_answer_is_a_loop() -> None:
    raw = f"From: {OURS}\nTo: {OURS}\nSubject: x\nAuto-Submitted: auto-replied\n\nx".encode()
    assert parse_mail(raw, ours=OURS.__eq__).kind is Kind.LOOP
    assert parse_mail(raw).kind is Kind.AUTO_REPLY


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "REPLY", "COUNTER"])
def test_a_calendar_that_speaks_gets_no_answer(method: str) -> None:
    said = f"text/calendar; charset=utf-8; method={method}"
    assert read("BEGIN:VCALENDAR", Content_Type=said) == (Kind.INVITATION, False)
    assert read("BEGIN:VCALENDAR", Content_Type="text/calendar") == (Kind.MESSAGE, True)


def test_asking_for_no_automatic_answer_is_a_wish_not_a_machine() -> None:
    assert read(X_Auto_Response_Suppress="All") == (Kind.MESSAGE, False)
    assert read(X_Auto_Response_Suppress="DR, RN") == (Kind.MESSAGE, True)


def test_nobody_waits_behind_a_no_reply_address() -> None:
    assert read(From="no-reply@shop.example") == (Kind.MESSAGE, False)
    assert read(From="") == (Kind.MESSAGE, False)


def test_a_bounce_somebody_forwards_is_theirs_but_not_answered() -> None:
    body = "please help\n> Reporting-MTA: dns; mx\n> Final-Recipient: rfc822; a@b.c\n"
    assert read(body, Subject="Fwd: Returned mail: see transcript") == (Kind.MESSAGE, False)


SENDER = "jane@mail.customer.example"
SERVER = frozenset({"mx.example.com"})


@pytest.mark.parametrize(
    ("results", "is_proven"),
    [
        ([b"mx.example.com; dmarc=pass (p=none) header.from=mail.customer.example"], True),
        ([b"mx.example.com 1; spf=pass; dkim=pass (2048 bit) header.d=customer.example header.s=s"], True),
        ([b"mx.example.com; dkim=pass header.i=@mail.customer.example"], True),
        ([b"mx.example.com; dkim=pass header.d=bulk.example"], False),
        ([b"mx.example.com; dkim=pass header.d=example"], False),
        ([b"mx.example.com; dmarc=fail header.from=mail.customer.example"], False),
        ([b"mx.example.com; spf=pass smtp.mailfrom=mail.customer.example"], False),
        ([b"evil.example; dmarc=pass header.from=mail.customer.example"], False),
        ([b"(mx.example.com) evil.example; dmarc=pass header.from=mail.customer.example"], False),
        ([b"mx.example.com; dkim=fail (; dmarc=pass header.from=mail.customer.example)"], False),
        ([b"mx.example.com; none", b"mx.example.com; dmarc=pass header.from=mail.customer.example"], False),
        ([], False),
    ],
)
def test_a_sender_is_proven_by_our_own_server_only(results: list[bytes], is_proven: bool) -> None:
    assert proven(results, SENDER, SERVER) is is_proven


def test_nothing_is_proven_where_nobody_is_trusted() -> None:
    assert not proven([b"mx.example.com; dmarc=pass header.from=mail.customer.example"], SENDER, frozenset())


@pytest.mark.parametrize(
    ("results", "found"),
    [
        (
            [b"mx.example.com; spf=softfail smtp.mailfrom=a@b.example; dkim=none; dmarc=fail (p=reject) header.from=b.example"],
            {"spf": "softfail", "dkim": "none", "dmarc": "fail"},
        ),
        (
            [b"mx.example.com;\r\n\tdkim=fail header.d=list.example;\r\n\tdkim=pass header.d=b.example;\r\n\tSPF=Pass"],
            {"dkim": "pass", "spf": "pass"},
        ),
        ([b"mx.example.com; dkim=pass header.d=b.example; dkim=fail header.d=c.example"], {"dkim": "pass"}),
        ([b"mx.example.com; iprev=pass; auth=pass; spf=hardfail; dmarc"], {}),
        ([b"evil.example; spf=pass; dkim=pass; dmarc=pass"], {}),
        ([b"mx.example.com; spf=fail", b"mx.example.com; spf=pass; dmarc=pass"], {"spf": "fail"}),
        ([b"mx.example.com; none"], {}),
    ],
)  # fmt: skip
def test_what_our_own_server_found_is_known_method_by_method(results: list[bytes], found: dict[str, str]) -> None:
    assert verdicts(results, SERVER) == found
    assert verdicts(results, frozenset()) == {}


def test_a_public_suffix_signs_for_nobody() -> None:
    assert aligned("customer.com.cn", "mail.customer.com.cn")
    assert not aligned("com.cn", "customer.com.cn")
    assert not aligned("cn", "customer.cn")
