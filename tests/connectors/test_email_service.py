"""Mail posted by services: who is let in, and that it is read as any other mail."""

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlencode

import pytest

from connectors.base import Request, enclose
from connectors.email_service import SIGNATURE, TIMESTAMP, EmailService, EmailServiceSettings
from connectors.email_smtp import EmailSmtp, EmailSmtpSettings
from normalizer.canon import Envelope
from normalizer.errors import ConfigError, Rejected, Unreadable

HERE = Path(__file__).parent / "email_service"
MOMENT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
PROVIDERS = ("sendgrid", "mailgun", "postmark")
MAIL = b"From: li@example.cn\r\nTo: support@example.com\r\nMessage-ID: <m1@example.cn>\r\nSubject: hi\r\n\r\nhello\r\n"


def account(provider: str, **more: Any) -> EmailService:
    own = HERE / f"{provider}.settings.json"
    said = json.loads((own if own.exists() else HERE / "settings.json").read_text())
    return EmailService(EmailServiceSettings.model_validate({**said, **more}))


def captured(provider: str) -> Request:
    head, _, body = (HERE / f"{provider}.http").read_bytes().partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    headers = dict(line.split(": ", 1) for line in lines)
    if provider != "postmark":
        body = body.replace(b"\n", b"\r\n")
    return Request("POST", first.split()[1], headers, body, {}, "192.0.2.7", MOMENT)


def mailgun(raw: bytes, token: str = "t" * 50, at: datetime = MOMENT, key: str = "mailgun-signing-k3y") -> Request:
    timestamp = str(int(at.timestamp()))
    signature = hmac.new(key.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    fields = {"timestamp": timestamp, "token": token, "signature": signature, "body-mime": raw,
              "sender": "li@example.cn", "recipient": "support@example.com"}  # fmt: skip
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Request("POST", "https://desk/in", headers, urlencode(fields).encode(), {}, "192.0.2.7", at)


def rejects(house: EmailService, request: Request) -> bool:
    try:
        house.verify(request)
    except Rejected:
        return True
    return False


def mutated(provider: str, dice: random.Random) -> Request:
    """The captured request with one thing changed that its proof covers."""
    whole = captured(provider)
    name = {"sendgrid": dice.choice((SIGNATURE, TIMESTAMP, "body")), "mailgun": "body", "postmark": "authorization"}[
        provider
    ]
    if name != "body":
        return replace(
            whole, headers={**whole.headers, name: twisted(whole.headers[name].encode(), dice).decode("latin-1")}
        )
    if provider == "sendgrid":
        return replace(whole, body=twisted(whole.body, dice))
    field = dice.choice((b"timestamp", b"token", b"signature"))
    start = whole.body.index(b'name="%b"\r\n\r\n' % field) + len(field) + 11
    end = whole.body.index(b"\r\n", start)
    return replace(whole, body=whole.body[:start] + twisted(whole.body[start:end], dice) + whole.body[end:])


def twisted(said: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(said))
    match dice.randrange(4):
        case 0:
            new = said[:at] + bytes([said[at] ^ (1 << dice.randrange(7))]) + said[at + 1 :]
        case 1:
            new = said[:at] + said[at + 1 :]
        case 2:
            new = said[:at] + bytes([dice.randrange(33, 127)]) + said[at:]
        case _:
            new = said[:at]
    return new if new.strip() != said.strip() and new.lower() != said.lower() else said + b"x"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_was_changed_on_the_way_is_not_let_in(provider: str, request: pytest.FixtureRequest) -> None:
    house, dice = account(provider), random.Random(provider)
    assert not rejects(house, captured(provider))
    assert all(rejects(house, mutated(provider, dice)) for _ in range(request.config.getoption("--mutations")))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nothing_unsigned_is_let_in(provider: str) -> None:
    house, whole = account(provider), captured(provider)
    bare = {"content-type": whole.headers["content-type"]}
    if provider == "mailgun":
        whole = replace(whole, body=whole.body.replace(b'"signature"', b'"signatur"'))
    assert rejects(house, replace(whole, headers=bare))
    assert rejects(house, replace(whole, headers={}))
    assert rejects(house, replace(whole, headers={**bare, "authorization": "Basic Og=="}))


@pytest.mark.parametrize(("provider", "late"), [("sendgrid", timedelta(days=5)), ("mailgun", timedelta(days=2))])
def test_a_signature_lasts_as_long_as_the_service_tries_and_no_longer(provider: str, late: timedelta) -> None:
    house, whole = account(provider), captured(provider)
    house.verify(replace(whole, received_at=MOMENT + timedelta(hours=9)))
    for at in (MOMENT + late, MOMENT - timedelta(minutes=6)):
        with pytest.raises(Rejected) as refused:
            house.verify(replace(whole, received_at=at))
        assert refused.value.code == "expired"


def test_a_token_of_mailgun_is_good_for_one_mail_only() -> None:
    house = account("mailgun")
    first, stolen = mailgun(MAIL), mailgun(MAIL.replace(b"hello", b"send me the money back"))
    house.verify(stolen)  # the signature says nothing of the mail
    assert enclose(house, first).id == enclose(house, stolen).id  # so the journal has it already
    assert enclose(house, first).id != enclose(house, mailgun(MAIL, token="u" * 50)).id


def test_octets_no_charset_knows_come_through_every_form() -> None:
    raw = MAIL + bytes(range(256))
    house = account("mailgun")
    for request in (mailgun(raw), multipart(mailgun(raw))):
        house.verify(request)
        assert house._posted(request.headers["content-type"], request.body).raw == raw


def multipart(request: Request) -> Request:
    parts = [part.partition(b"=") for part in request.body.split(b"&")]
    body = b"".join(
        b'--xYz\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        % (name, unquote_to_bytes(value.replace(b"+", b" ")))
        for name, _, value in parts
    )
    return replace(request, headers={"content-type": "multipart/form-data; boundary=xYz"}, body=body + b"--xYz--\r\n")


def test_several_keys_are_good_while_they_are_changed() -> None:
    house = account("mailgun", signing_keys=["old-key-old-key", "new-key-new-key"])
    for key in ("old-key-old-key", "new-key-new-key"):
        assert not rejects(house, mailgun(MAIL, key=key))
    assert rejects(house, mailgun(MAIL, key="other-key"))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_service_that_was_not_told_to_send_the_mail_itself_is_set_aside_with_what_to_switch_on(provider: str) -> None:
    field = {"sendgrid": b'"email"', "mailgun": b'"body-mime"', "postmark": b'"RawEmail"'}[provider]
    house, whole = (
        account(
            provider,
            **({"public_keys": (), "basic": {"username": "u", "password": "p" * 8}} if provider == "sendgrid" else {}),
        ),
        captured(provider),
    )
    if provider == "sendgrid":
        whole = replace(
            whole, headers={**whole.headers, "authorization": "Basic " + base64.b64encode(b"u:" + b"p" * 8).decode()}
        )
    without = replace(whole, body=whole.body.replace(field, b'"text"'))
    house.verify(without)
    with pytest.raises(Unreadable, match=r"switch on|let the route"):
        house.parse(enclose(house, without))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_mail_by_smtp_is_the_same_message(provider: str) -> None:
    house = account(provider)
    (message,) = house.parse(enclose(house, captured(provider)))
    by_smtp = EmailSmtp(
        EmailSmtpSettings.model_validate(
            {"connector": "email_smtp", "account": "s", "addresses": ["support@example.com"]}
        )
    )
    text = (HERE / f"{provider}.http").read_text()
    if provider == "postmark":
        raw = json.loads(text.partition("\n\n")[2])["RawEmail"].encode()
    else:
        raw = text[text.index("Return-Path") : text.rindex("\n--")].encode()
    envelope = Envelope("email_smtp", "s", "k", "l", MOMENT, raw)
    (other,) = by_smtp.parse(envelope)
    assert message.id == other.id
    assert message.answerable


def wrong_settings() -> Iterator[dict[str, Any]]:
    basic = {"username": "u", "password": "p" * 8}
    yield {"provider": "mailgun", "signing_keys": []}
    yield {"provider": "mailgun", "signing_keys": [""]}
    yield {"provider": "mailgun", "signing_keys": ["x"], "basic": basic}
    yield {"provider": "postmark"}
    yield {"provider": "postmark", "public_keys": ["x"]}
    yield {"provider": "sendgrid"}
    yield {"provider": "sendgrid", "signing_keys": ["x"]}
    yield {"provider": "postmark", "basic": {"username": "u", "password": ""}}


@pytest.mark.parametrize("wrong", list(wrong_settings()), ids=str)
def test_an_account_without_a_proof_does_not_start(wrong: dict[str, Any]) -> None:
    base = {"connector": "email_service", "account": "a", "addresses": ["support@example.com"]}
    with pytest.raises(ValueError, match=r"proves itself|empty|at least 8"):
        EmailServiceSettings.model_validate({**base, **wrong})


def test_a_key_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="not a public key"):
        account("sendgrid", public_keys=["AAAA"])
