"""What proves a caller, and that nothing else does."""

import random
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from pydantic import SecretStr

from connectors.signatures import sign, verify, verify_bearer, webhook_key
from normalizer.errors import ConfigError, Rejected, Where

SECRETS = [SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), SecretStr("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
KEYS = [webhook_key(secret, Where("settings")) for secret in SECRETS]
BODY = '{"text": "订单号5，未收到货", "from": "li@example.net"}'.encode()


def test_the_library_and_we_agree() -> None:
    moment = datetime.now(UTC)
    theirs = standardwebhooks.Webhook(SECRETS[0].get_secret_value())

    headers = sign(KEYS[0], "msg_1", moment, BODY)

    theirs.verify(BODY, headers)
    assert headers["webhook-signature"] == theirs.sign("msg_1", moment, BODY.decode())
    verify(KEYS[:1], headers, BODY, moment)


def test_both_secrets_live_while_one_replaces_the_other(now: datetime) -> None:
    for key in KEYS:
        verify(KEYS, sign(key, "msg_1", now, BODY), BODY, now)
    both = [sign(key, "msg_1", now, BODY) for key in KEYS]
    signatures = " ".join(headers["webhook-signature"] for headers in both)
    verify(KEYS[1:], {**both[0], "webhook-signature": "v1a,x " + signatures}, BODY, now)
    with pytest.raises(Rejected):
        verify(KEYS[1:], both[0], BODY, now)


@pytest.mark.parametrize(
    ("off", "fine"),
    [(timedelta(minutes=5), True), (timedelta(minutes=-5), True), (timedelta(minutes=5, seconds=1), False),
     (timedelta(minutes=-5, seconds=-1), False), (timedelta(days=365), False)],
)  # fmt: skip
def test_five_minutes_either_way(now: datetime, off: timedelta, fine: bool) -> None:
    headers = sign(KEYS[0], "msg_1", now, BODY)
    if fine:
        return verify(KEYS, headers, BODY, now + off)
    with pytest.raises(Rejected) as caught:
        verify(KEYS, headers, BODY, now + off)
    assert caught.value.code == "expired"
    return None


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_no_header_may_be_missing_or_empty(now: datetime, missing: str) -> None:
    headers = sign(KEYS[0], "msg_1", now, BODY)
    for broken in ({k: v for k, v in headers.items() if k != missing}, {**headers, missing: ""}):
        with pytest.raises(Rejected):
            verify(KEYS, broken, BODY, now)


def test_no_key_accepts_nothing(now: datetime) -> None:
    with pytest.raises(Rejected):
        verify([], sign(KEYS[0], "msg_1", now, BODY), BODY, now)
    with pytest.raises(Rejected):
        verify_bearer([], {"authorization": "Bearer "})


def test_of_ten_thousand_mutated_requests_none_is_accepted(now: datetime) -> None:
    dice = random.Random(7)
    headers = sign(KEYS[0], "msg_1", now, BODY)
    verify(KEYS, headers, BODY, now)
    for _ in range(10_000):
        changed, body = mutated(dice, headers, BODY)
        with pytest.raises(Rejected):
            verify(KEYS, changed, body, now)


def mutated(dice: random.Random, headers: dict[str, str], body: bytes) -> tuple[dict[str, str], bytes]:
    """One change, of the kinds an attacker or a bad proxy makes."""
    name = dice.choice([*headers, "body"])
    old = body.decode("latin-1") if name == "body" else headers[name]
    start = 3 if name == "webhook-signature" else 0  # a broken version is tried apart
    place = dice.randrange(start, len(old))
    letter = chr(dice.choice([c for c in range(33, 127) if chr(c) != old[place]]))
    new = dice.choice([
        old[:place] + letter + old[place + 1 :], old[:place] + old[place + 1 :], old[:place] + letter + old[place:],
        old[:place], old + letter, old.swapcase() if old.swapcase() != old else old + "x",
    ])  # fmt: skip
    return ({**headers}, new.encode("latin-1")) if name == "body" else ({**headers, name: new}, body)


@pytest.mark.parametrize("version", ["", "v0,", "v2,", "V1,", "v1a,", "v1;"])
def test_other_versions_do_not_count(now: datetime, version: str) -> None:
    headers = sign(KEYS[0], "msg_1", now, BODY)
    with pytest.raises(Rejected):
        verify(KEYS, {**headers, "webhook-signature": headers["webhook-signature"].replace("v1,", version)}, BODY, now)


def test_a_secret_shown_in_no_error() -> None:
    for bad in ("whsec_", "whsec_!!!!notbase64", "", "c2hvcnQ="):
        with pytest.raises(ConfigError) as caught:
            webhook_key(SecretStr(bad), Where("config/ticketgate.yaml", 3, 7))
        assert not bad or bad not in str(caught.value).replace("whsec_ and", "")
        assert "config/ticketgate.yaml:3:7" in str(caught.value)


@pytest.mark.parametrize(
    "offered",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic right",
        "right",
        "Bearer right x",
        "Bearer rightx",
        "Bearer Right",
    ],
)
def test_only_the_bearer_secret_is_accepted(offered: str) -> None:
    verify_bearer([b"right", b"other"], {"authorization": "bearer right"})
    with pytest.raises(Rejected):
        verify_bearer([b"right", b"other"], {"authorization": offered})
