"""DKIM signatures checked by ourselves: what holds proves the sender's domain, and nothing else does."""

import asyncio
import base64
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from dkim import sign

from connectors import mail_proof
from connectors.mail_proof import proof, signers

MAIL = (
    b"From: Jo <jo@customer.example>\r\nTo: support@example.com\r\nSubject: kettle\r\n"
    b"Message-ID: <1@customer.example>\r\n\r\nIt leaks.\r\n"
)


@pytest.fixture(scope="module")
def key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def txt(key: RSAPrivateKey) -> Any:
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    return lambda name, timeout: record if name.startswith(b"s._domainkey.") else None


def signed(key: RSAPrivateKey, domain: bytes = b"customer.example", selector: bytes = b"s", **more: Any) -> bytes:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    made: bytes = sign(MAIL, selector, domain, pem, **more)
    return made + MAIL


def test_a_signature_that_holds_names_its_domain(key: RSAPrivateKey, txt: Any) -> None:
    assert signers(signed(key), txt) == ("customer.example",)
    assert asyncio.run(proof(signed(key), txt)) == {"dkim": "customer.example"}


def test_two_signatures_are_two_domains(key: RSAPrivateKey, txt: Any) -> None:
    both = signed(key, b"relay.example").removesuffix(MAIL) + signed(key)
    assert set(signers(both, txt)) == {"relay.example", "customer.example"}


def test_a_changed_mail_is_signed_by_nobody(key: RSAPrivateKey, txt: Any) -> None:
    assert signers(signed(key).replace(b"leaks", b"works"), txt) == ()
    assert signers(signed(key).replace(b"jo@customer", b"al@customer"), txt) == ()


def test_a_signature_over_a_part_of_the_body_does_not_count(key: RSAPrivateKey, txt: Any) -> None:
    assert signers(signed(key, length=True), txt) == ()


def test_without_a_key_in_the_dns_or_without_a_signature_nothing_is_proven(key: RSAPrivateKey, txt: Any) -> None:
    assert signers(signed(key, selector=b"other"), txt) == ()
    assert signers(MAIL, txt) == ()


@pytest.mark.parametrize(
    "field", [b"", b"v=1", b"v=1; a=rsa-sha256; d=\xff; s=s; h=from; bh=; b=", b"x" * 10_000, b"=;=;"]
)
def test_hostile_signatures_are_no_proof_and_no_error(field: bytes, txt: Any) -> None:
    assert signers(b"DKIM-Signature: " + field + b"\r\n" + MAIL, txt) == ()


def test_a_name_server_that_does_not_answer_delays_nobody_for_long(
    key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asleep(name: bytes, timeout: float) -> bytes | None:
        time.sleep(0.5)
        return None

    monkeypatch.setattr(mail_proof, "PATIENCE", 0.1)

    async def timed() -> float:
        begun = asyncio.get_running_loop().time()
        assert await proof(signed(key), asleep) == {}
        return asyncio.get_running_loop().time() - begun

    assert asyncio.run(timed()) < 0.45
