"""From a customer's message to a ticket, through a real gateway: SMTP, HTTP, a mail sink and a helpdesk."""

import json
import re
import smtplib
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgres import stored_in
from serving import Desk, Gateway, MailSink, sign

EXAMPLE = "订单号5，物流显示已签收但未收到货"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str:
    """What it stands on; all else is anew for each."""
    return str(request.param)


@pytest.fixture(scope="module")
def sink(store: str) -> Iterator[MailSink]:
    with MailSink() as made:
        yield made


@pytest.fixture(scope="module")
def desk(store: str) -> Iterator[Desk]:
    with Desk() as made:
        yield made


@pytest.fixture(scope="module")
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, store: str, sink: MailSink, desk: Desk
) -> Iterator[Gateway]:
    made = Gateway(tmp_path_factory.mktemp("gateway"), mail_sink=sink.port, desk=desk.port, workers=2)
    if store == "postgresql":
        stored_in(request.getfixturevalue("postgres"), made)
    with made as running:
        yield running


def written(text: str, *, sender: str, identity: str = "", subject: str = "问题", **headers: str) -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = f"李雷 <{sender}>", "support@example.com", subject
    if identity:
        made["Message-ID"] = f"<{identity}>"
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made.as_bytes()


def tickets_of(gateway: Gateway, sender: str) -> list[dict[str, Any]]:
    """The whole tickets with messages of this sender."""
    gateway.settle()
    return [
        one for one in gateway.tickets() if any(message["from"]["address"] == sender for message in one["messages"])
    ]


def test_the_example_becomes_an_after_sales_ticket_with_a_promise_of_four_hours(
    gateway: Gateway, sink: MailSink, desk: Desk
) -> None:
    gateway.mail(written(EXAMPLE, sender="example@example.cn", identity="main-1@example.cn"))

    (ticket,) = tickets_of(gateway, "example@example.cn")
    assert ticket["category"]["value"] == "after_sales"
    assert ticket["subcategory"]["value"] == "logistics"
    assert ticket["priority"]["value"] == "normal"
    assert ticket["group"]["value"] == "logistics"
    assert re.fullmatch(r"20\d{6}\d{3,}", ticket["number"])
    assert ticket["acked_at"]
    (mail,) = [m for m in map(message_from_bytes, sink.mails) if "example@example.cn" in str(m["To"])]
    words = (
        next(part for part in mail.walk() if part.get_content_type() == "text/plain").get_payload(decode=True).decode()
    )
    assert ticket["number"] in words
    assert "4 小时" in words
    assert "2 小时" not in words
    assert mail["In-Reply-To"] == "<main-1@example.cn>"
    assert mail["References"] == "<main-1@example.cn>"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert ticket["number"] in str(make_header(decode_header(mail["Subject"])))
    (filed,) = [one for one in desk.received if one["data"]["ticket"]["number"] == ticket["number"]]
    assert filed["$schema"] == "ticketgate/ticket/v1"
    assert filed["type"] == "ticket.created"
    assert filed["data"]["message"]["text"] == EXAMPLE
    assert ticket["external"][0]["system"] == "desk"


def test_the_same_mail_twice_is_one_message_and_one_ticket(gateway: Gateway) -> None:
    mail = written("发票怎么开？", sender="twice@example.cn", identity="twice-1@example.cn")
    gateway.mail(mail)
    gateway.mail(mail)
    gateway.mail(b"Received: from elsewhere by us; Fri, 27 Oct 2023 09:30:00 +0800\r\n" + mail)

    (ticket,) = tickets_of(gateway, "twice@example.cn")
    assert len(ticket["messages"]) == 1


def test_a_message_redelivered_in_another_batch_is_one_message(gateway: Gateway) -> None:
    first = {"id": "b-1", "text": "我要投诉客服态度差", "from": "batch@example.cn", "name": "韩", "thread": "t-1"}
    second = {**first, "id": "b-2", "text": "怎么还不处理，快点"}
    for identity, said in (("batch-1", [first]), ("batch-2", [first, second]), ("batch-2", [first, second])):
        assert gateway.webhook(json.dumps({"messages": said}).encode(), identity=identity) == 204
        gateway.settle()

    (ticket,) = tickets_of(gateway, "batch@example.cn")
    assert [message["external_id"] for message in ticket["messages"]] == ["b-1", "b-2"]
    assert ticket["urge_count"] == 1


def test_a_batch_with_two_messages_of_one_thread_makes_one_ticket(gateway: Gateway) -> None:
    said = [{"id": f"two-{n}", "text": "订单没收到", "from": "two@example.cn", "thread": "two"} for n in range(3)]
    assert gateway.webhook(json.dumps({"messages": said}).encode(), identity="two-batch") == 204

    (ticket,) = tickets_of(gateway, "two@example.cn")
    assert len(ticket["messages"]) == 3


def test_an_auto_reply_is_kept_but_makes_no_ticket_and_gets_no_answer(gateway: Gateway, sink: MailSink) -> None:
    gateway.mail(
        written("我在休假", sender="away@example.cn", identity="away-1@example.cn", Auto_Submitted="auto-replied")
    )

    assert tickets_of(gateway, "away@example.cn") == []
    assert not any(b"away@example.cn" in mail for mail in sink.mails)
    done = 'ticketgate_envelopes_processed_total{connector="email_smtp",outcome="done"}'
    deadline = time.monotonic() + 10  # what workers count is told a moment later
    while not gateway.metric(done) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gateway.metric(done)


def test_a_reply_joins_its_ticket_and_urging_raises_it(gateway: Gateway, desk: Desk) -> None:
    gateway.mail(written(EXAMPLE, sender="urge@example.cn", identity="urge-1@example.cn"))
    gateway.settle()
    gateway.mail(
        written(
            "怎么还没人处理？请尽快！",
            sender="urge@example.cn",
            identity="urge-2@example.cn",
            In_Reply_To="<urge-1@example.cn>",
        )
    )

    (ticket,) = tickets_of(gateway, "urge@example.cn")
    assert len(ticket["messages"]) == 2
    assert ticket["priority"]["value"] == "high"
    steps = [one["type"] for one in desk.received if one["data"]["ticket"]["number"] == ticket["number"]]
    assert steps == ["ticket.created", "message.added"]


def test_an_unknown_recipient_is_refused_with_550_and_kept(gateway: Gateway) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        gateway.mail(written("有人吗", sender="lost@example.cn"), to="nobody@example.com")
    assert next(iter(refused.value.recipients.values()))[0] == 550
    assert "unknown_recipient" in codes(gateway)


def test_a_wrong_signature_is_refused_with_401_and_kept_with_its_reason(gateway: Gateway) -> None:
    body = b'{"messages": [{"id": "x", "text": "give me money", "from": "evil@example.net"}]}'
    assert gateway.webhook(body, identity="evil", signed="whsec_" + "A" * 32) == 401

    (row,) = [row for row in gateway.json("quarantine", "list", "--json") if row["code"] == "unverified"]
    assert "signature" in row["reason"]
    assert gateway.cli("quarantine", "show", row["id"]).encode() == body


def test_broken_json_is_refused_with_400(gateway: Gateway) -> None:
    assert gateway.webhook(b'{"messages": [', identity="broken") == 400
    assert "malformed" in codes(gateway)


def test_an_oversized_mail_gets_552_and_an_oversized_request_413(gateway: Gateway) -> None:
    huge = written("x" * 70, sender="huge@example.cn") + (b"y" * 75 + b"\r\n") * 360_000
    with pytest.raises(smtplib.SMTPResponseException) as refused:
        gateway.mail(huge)
    assert refused.value.smtp_code == 552
    assert gateway.webhook(b'{"messages": ["' + b"z" * 11_000_000 + b'"]}', identity="huge") == 413
    assert codes(gateway).count("oversized") == 2


def codes(gateway: Gateway) -> list[str]:
    return [row["code"] for row in gateway.json("quarantine", "list", "--json", "--limit", "1000")]


def test_the_form_takes_a_browser_and_an_app(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.http}/form/contact"
    page = httpx.get(url, headers={"accept-language": "zh-CN"})
    assert page.status_code == 200
    assert "问题描述" in page.text
    submission = re.search(r'name="submission" value="([^"]+)"', page.text)
    assert submission
    filled = {"name": "陈晨", "email": "form@example.cn", "message": "建议增加夜间模式", "submission": submission[1]}
    for _ in range(2):  # a double click
        sent = httpx.post(
            url,
            data=filled,
            files={"attachments": ("图.png", b"\x89PNG", "image/png")},
            headers={"accept": "text/html"},
        )
        assert sent.status_code == 303
    assert httpx.post(url, json={"email": "form-app@example.cn", "message": "How do I pay?"}).status_code == 202

    (ticket,) = tickets_of(gateway, "form@example.cn")
    assert ticket["category"]["value"] == "suggestion"
    assert ticket["messages"][0]["attachments"][0]["name"] == "图.png"
    assert len(tickets_of(gateway, "form-app@example.cn")) == 1


def test_the_form_comes_back_with_its_faults_and_keeps_what_was_filled_in(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.http}/form/contact?lang=en"
    answer = httpx.post(
        url,
        data={"email": "not an address", "message": "<b>hello</b>", "submission": "s-12345678"},
        headers={"accept": "text/html"},
    )
    assert answer.status_code == 422
    assert "&lt;b&gt;hello&lt;/b&gt;" in answer.text
    assert 'value="not an address"' in answer.text


def test_a_robot_in_the_hidden_field_is_refused_and_the_form_is_rate_limited(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.http}/form/contact"
    assert httpx.post(url, json={"email": "bot@example.net", "message": "x", "website": "y"}).status_code == 403
    statuses = [httpx.post(url, json={"email": "flood@example.net", "message": f"{n}"}).status_code for n in range(25)]
    assert statuses[-1] == 429
    assert {"spam_trap", "rate_limited"} <= set(codes(gateway))


def test_the_api_wants_a_key_with_the_scope_and_keeps_its_promise_of_idempotency(gateway: Gateway) -> None:
    secret = api_key(gateway, "messages:write")
    url = f"http://127.0.0.1:{gateway.http}/api/v1/messages"
    said = {"from": {"email": "api@example.cn"}, "text": "订单 20231025-7 要求退款"}
    assert httpx.post(url, json=said).status_code == 401
    bearer = {"authorization": f"Bearer {secret}", "idempotency-key": "once-1"}
    first = httpx.post(url, json=said, headers={**bearer, "prefer": "wait=10"})
    again = httpx.post(url, json=said, headers=bearer)
    other = httpx.post(url, json={**said, "text": "something else"}, headers=bearer)

    assert first.status_code == again.status_code == 202
    assert first.json()["envelope"] == again.json()["envelope"]
    assert first.json()["tickets"]
    assert other.status_code == 409
    assert other.headers["content-type"] == "application/problem+json"
    assert (
        httpx.get(f"http://127.0.0.1:{gateway.http}{first.json()['status_url']}", headers=bearer).json()["state"]
        == "done"
    )
    assert (
        httpx.get(
            f"http://127.0.0.1:{gateway.http}/api/v1/tickets/{first.json()['tickets'][0]}", headers=bearer
        ).status_code
        == 403
    )
    reader = {"authorization": f"Bearer {api_key(gateway, 'tickets:read')}"}
    got = httpx.get(f"http://127.0.0.1:{gateway.http}/api/v1/tickets/{first.json()['tickets'][0]}", headers=reader)
    assert got.json()["subcategory"]["value"] == "refund"
    assert len(tickets_of(gateway, "api@example.cn")) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b'{"text": "no sender"}', 422), (b'{"from": {"email": "a@b.cn"}, "text": ""}', 422)],
)
def test_a_bad_api_message_gets_a_problem_that_names_the_field(gateway: Gateway, body: bytes, status: int) -> None:
    headers = {"authorization": f"Bearer {api_key(gateway, 'messages:write')}"}
    answer = httpx.post(f"http://127.0.0.1:{gateway.http}/api/v1/messages", content=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def api_key(gateway: Gateway, scope: str) -> str:
    (row,) = gateway.json("keys", "add", "test", "--scope", scope)
    return next(value for name, value in row.items() if name.startswith("secret"))


def test_explain_and_the_console_tell_why(gateway: Gateway) -> None:
    gateway.mail(written(EXAMPLE, sender="why@example.cn", identity="why-1@example.cn"))
    (ticket,) = tickets_of(gateway, "why@example.cn")

    (decision,) = gateway.json("explain", ticket["number"])
    assert decision["fired"]
    page = httpx.get(f"http://127.0.0.1:{gateway.http}/console/tickets/{ticket['number']}?lang=zh")
    assert page.status_code == 200
    assert decision["fired"][0]["rule"] in page.text
    assert "why@example.cn" not in page.text  # masked
    listed = httpx.get(f"http://127.0.0.1:{gateway.http}/console/?lang=en").text
    assert ticket["number"] in listed
    assert "After-sales" in listed


def test_the_console_shows_itself_to_nobody_else(gateway: Gateway) -> None:
    url = f"http://127.0.0.1:{gateway.http}/console/"
    assert httpx.get(url, headers={"x-forwarded-for": "203.0.113.9"}).status_code == 403
    assert httpx.get(url, headers={"host": "evil.example"}).status_code == 403


def test_neither_the_log_nor_the_data_folder_holds_a_customers_words_in_clear(gateway: Gateway) -> None:
    secretive = {
        "text": "紫色长颈鹿 violet-giraffe-4711",
        "sender": "purple.giraffe@zoo-example.cn",
        "subject": "长颈鹿的秘密",
    }
    gateway.mail(
        written(
            secretive["text"],
            sender=secretive["sender"],
            identity="giraffe-id@zoo-example.cn",
            subject=secretive["subject"],
        )
    )
    gateway.webhook(
        json.dumps(
            {"messages": [{"id": "giraffe-ext", "text": secretive["text"], "from": secretive["sender"]}]}
        ).encode(),
        identity="giraffe-hook",
    )
    assert tickets_of(gateway, secretive["sender"])
    time.sleep(0.5)

    markers = ["紫色长颈鹿", "violet-giraffe-4711", "purple.giraffe", "zoo-example", "长颈鹿的秘密", "giraffe-ext"]
    files = [file for file in (gateway.folder / "data").rglob("*") if file.is_file()] + [gateway.log]
    assert len(files) > 2
    for file in files:
        content = file.read_bytes()
        for marker in markers:
            for encoding in ("utf-8", "gb18030", "utf-16-le"):
                assert marker.encode(encoding) not in content, (file, marker)
        assert gateway.shop_secret.encode() not in content


def test_every_reply_and_webhook_bears_the_same_key_on_every_attempt(gateway: Gateway, desk: Desk) -> None:
    desk.answers.extend([(503, {"Retry-After": "1"}), (500, {})])
    gateway.mail(written(EXAMPLE, sender="again@example.cn", identity="again-1@example.cn"))
    (ticket,) = tickets_of(gateway, "again@example.cn")

    assert ticket["external"]
    (step,) = [one["id"] for one in desk.received if one["data"]["ticket"]["number"] == ticket["number"]]
    assert desk.attempts[step] == 3
    index = next(n for n, one in enumerate(desk.received) if one["id"] == step)
    headers = desk.headers[index]
    assert headers["idempotency-key"] == headers["webhook-id"] == step
    from standardwebhooks.webhooks import Webhook

    Webhook(gateway.desk_secret).verify(headers["body"], headers)


def test_a_refusal_for_good_is_a_dead_letter_until_it_is_retried(gateway: Gateway, desk: Desk) -> None:
    desk.answers.append((422, {}))
    gateway.mail(written(EXAMPLE, sender="dead@example.cn", identity="dead-1@example.cn"))
    (ticket,) = tickets_of(gateway, "dead@example.cn")
    assert ticket["external"] == []
    (dead,) = gateway.json("outbox", "list", "--state", "dead", "--json")
    assert dead["ticket"] == ticket["number"]

    gateway.cli("outbox", "retry")
    (ticket,) = tickets_of(gateway, "dead@example.cn")
    assert ticket["external"][0]["system"] == "desk"
    assert gateway.json("outbox", "list", "--state", "dead", "--json") == []


def test_a_redelivery_signed_anew_is_known_by_its_id(gateway: Gateway) -> None:
    body = json.dumps({"messages": [{"id": "re-1", "text": "退款", "from": "re@example.cn"}]}).encode()
    for _ in range(2):
        headers = sign(gateway.shop_secret, "re-hook", body)
        assert (
            httpx.post(f"http://127.0.0.1:{gateway.http}/in/webhook/shop", content=body, headers=headers).status_code
            == 204
        )
    assert len(tickets_of(gateway, "re@example.cn")) == 1
    assert 'ticketgate_envelopes_redelivered_total{account="shop",connector="webhook"}' in gateway.get("/metrics")


def test_ready_and_healthy_say_so(gateway: Gateway) -> None:
    assert gateway.get("/healthz") == "ok\n"
    assert gateway.get("/readyz") == "ready\n"
    document = json.loads(gateway.get("/api/openapi.json"))
    assert "/api/v1/messages" in document["paths"]


def test_a_stop_is_clean_and_quick(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, outbound="off").start()
    gateway.mail(written(EXAMPLE, sender="stop@example.cn"))
    started = time.monotonic()
    assert gateway.stop() == 0
    assert time.monotonic() - started < 8
    assert "Traceback" not in gateway.log.read_text()
