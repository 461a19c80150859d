"""What bounces, receipts and complaints tell of our mail: whom it did not reach, why, and which mail it was."""

import pytest

from normalizer.canon import Address, Kind, Returned
from normalizer.mime import Mail, parse_mail

OUR_MAIL = "Message-ID: <0f1e2d@example.com>\r\nFrom: support@example.com\r\nTo: jo@customer.example\r\nSubject: x\r\n"


def report(kind: str, fields: str, words: str = "see below", given_back: str = OUR_MAIL) -> Mail:
    part = {"delivery-status": "delivery-status", "feedback-report": "feedback-report"}.get(kind, kind)
    return parse_mail(
        f"From: MAILER-DAEMON@mx.example\r\nSubject: report\r\nMessage-ID: <r@mx.example>\r\n"
        f"Content-Type: multipart/report; report-type={kind}; boundary=b\r\n\r\n"
        f"--b\r\n\r\n{words}\r\n--b\r\nContent-Type: message/{part}\r\n\r\n{fields}\r\n"
        f"--b\r\nContent-Type: message/rfc822\r\n\r\n{given_back}\r\nhello\r\n--b--\r\n".encode()
    )


def bounce(words: str, *head: str) -> Mail:
    fields = ("From: MAILER-DAEMON@mx.example", "Subject: failure notice", "Message-ID: <r@mx.example>", *head)
    return parse_mail("\n".join([*fields, "", words, ""]).encode())


def test_a_delivery_report_names_recipient_status_and_our_mail() -> None:
    mail = report(
        "delivery-status",
        "Reporting-MTA: dns; mx.example\r\n\r\n"
        "Original-Recipient: rfc822;Jo@customer.example\r\nFinal-Recipient: rfc822; jo.real@inner.example\r\n"
        "Action: failed\r\nStatus: 5.1.1 (unknown)\r\nDiagnostic-Code: smtp; 550 5.1.1 no\r\n such user\r\n",
    )
    assert (mail.kind, mail.answerable) == (Kind.BOUNCE, False)
    assert mail.returned == Returned(
        (Address("email", "jo@customer.example"),), "5.1.1", True, ("0f1e2d@example.com",), "550 5.1.1 no such user"
    )


def test_of_several_recipients_those_that_failed_count() -> None:
    groups = "".join(
        f"\r\nFinal-Recipient: rfc822; r{n}@c.example\r\nAction: {done}\r\nStatus: {n}.0.0\r\n"
        for n, done in ((5, "failed"), (4, "delayed"), (2, "delivered"))
    )
    mail = report("delivery-status", f"Reporting-MTA: dns; mx\r\n{groups}")
    assert mail.kind is Kind.BOUNCE
    assert mail.returned is not None
    assert mail.returned.recipients == (Address("email", "r5@c.example"),)
    assert (mail.returned.status, mail.returned.final) == ("5.0.0", True)


def test_what_is_still_being_tried_is_not_final() -> None:
    fields = "Final-Recipient: rfc822; jo@c.example\r\nAction: delayed\r\nStatus: 4.4.1\r\n"
    found = report("delivery-status", fields).returned
    assert found is not None
    assert (found.status, found.final) == ("4.4.1", False)


def test_a_report_of_success_is_no_bounce() -> None:
    mail = report("delivery-status", "Final-Recipient: rfc822; jo@c.example\r\nAction: delivered\r\nStatus: 2.0.0\r\n")
    assert (mail.kind, mail.answerable) == (Kind.DELIVERY_NOTICE, False)


def test_a_read_receipt_tells_who_and_what() -> None:
    mail = report(
        "disposition-notification",
        "Final-Recipient: rfc822; jo@c.example\r\nOriginal-Message-ID: <first@example.com>\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n",
    )
    assert mail.kind is Kind.READ_RECEIPT
    assert mail.returned is not None
    assert mail.returned.of == ("first@example.com", "0f1e2d@example.com")
    assert mail.returned.recipients == (Address("email", "jo@c.example"),)


def test_a_disposition_of_a_filter_that_rejects_is_a_bounce() -> None:
    """RFC 5429 2.2: what Sieve's reject sends."""
    fields = (
        "Final-Recipient: rfc822; jo@customer.example\r\nDisposition: automatic-action/MDN-sent-automatically; deleted"
    )
    mail = parse_mail(
        f"From: postmaster@customer.example\r\nSubject: Automatically rejected mail\r\nMessage-ID: <r@c>\r\n"
        f"Auto-Submitted: auto-replied (rejected)\r\n"
        f"Content-Type: multipart/report; report-type=disposition-notification; boundary=b\r\n\r\n--b\r\n\r\n"
        f"Your message to <jo@customer.example> was automatically rejected:\r\nQuota exceeded\r\n--b\r\n"
        f"Content-Type: message/disposition-notification\r\n\r\n{fields}\r\n\r\n--b--\r\n".encode()
    )
    assert mail.kind is Kind.BOUNCE
    assert mail.returned is not None
    assert (mail.returned.recipients[0].address, mail.returned.status) == ("jo@customer.example", "5.2.2")


def test_a_complaint_names_whom_the_mail_was_sent_to() -> None:
    mail = report("feedback-report", "Feedback-Type: abuse\r\nUser-Agent: fbl/1\r\nVersion: 1\r\n")
    assert mail.kind is Kind.FEEDBACK_LOOP
    assert mail.returned is not None
    assert mail.returned.recipients == (Address("email", "jo@customer.example"),)
    assert mail.returned.of == ("0f1e2d@example.com",)


@pytest.mark.parametrize(
    ("words", "final", "status"),
    [
        ("Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message.\n\n"
         "<jo@customer.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n", True, "5.1.1"),
        ("抱歉，您的邮件被退回来了。\n收件人：jo@customer.example\n退信原因：550 User not found\n", True, "5.0.0"),
        ("Warning: your message to jo@customer.example is delayed, will keep trying.\n451 4.4.1 timeout\n",
         False, "4.4.1"),
        ("The following address failed:\n\n  jo@customer.example\n    mailbox is full\n", True, "5.2.2"),
        ("<jo@customer.example>: Name service error for customer.example: Host not found\n", True, "5.1.2"),
        ("Unable to deliver to\n<jo@customer.example>:\nThis user doesn't exist here.\n", True, "5.1.1"),
        ("Undeliverable: jo@customer.example\nExceeded maximum delivery attempts.\n", True, "5.4.7"),
        ("Undeliverable: jo@customer.example\nIt seems nobody reads this.\n", True, ""),
    ],
)  # fmt: skip
def test_mail_systems_that_use_words_are_understood(words: str, final: bool, status: str) -> None:
    found = bounce(words).returned
    assert found is not None
    assert found.recipients == (Address("email", "jo@customer.example"),)
    assert (found.final, found.status) == (final, status)


def test_our_message_id_is_found_where_only_our_header_is_quoted() -> None:
    found = bounce(f"could not be delivered: jo@customer.example\n\n--- header ---\n{OUR_MAIL}").returned
    assert found is not None
    assert found.of == ("0f1e2d@example.com",)


def test_the_recipient_is_the_one_we_wrote_to_where_nothing_else_is_said() -> None:
    found = report("delivery-status", "Reporting-MTA: dns; mx.example\r\n", "report unavailable").returned
    assert found is not None
    assert [one.address for one in found.recipients] == ["jo@customer.example"]


def test_failed_recipients_in_the_header_count() -> None:
    found = bounce("nothing said", "X-Failed-Recipients: a@c.example, b@c.example").returned
    assert found is not None
    assert [one.address for one in found.recipients] == ["a@c.example", "b@c.example"]


def test_a_person_reports_nothing() -> None:
    assert parse_mail(b"From: jo@c.example\nSubject: hi\n\nFinal-Recipient: rfc822; a@b.example\n").returned is None
