"""Options and fixtures of all tests."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import warm
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from postgres import Postgres


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cold", action="store_true", help="start every gateway as operators do, with all its imports")
    parser.addoption("--kills", default=8, help="how often the storm kills the gateway")
    parser.addoption("--mails", default=600, help="how many broken mails the reader is given")
    parser.addoption(
        "--mutations", type=int, default=300, help="how many changed requests each service's door is shown"
    )
    parser.addoption("--flood", default=60, help="mails of one sender that the flood test sends")
    parser.addoption("--restarts", default=2, help="how often PostgreSQL is stopped or killed under load")
    parser.addoption("--imap-kills", default=3, help="how often the mailbox's server is killed")
    parser.addoption("--redis-kills", default=2, help="how often Redis is killed under load")
    parser.addoption("--imap-mails", default=90, help="how many mails arrive meanwhile")


@pytest.fixture(scope="session", autouse=True)
def warm_starts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Gateways and commands that tests start need not import anything."""
    with warm.ready(cold=request.config.getoption("--cold")):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server, for whoever makes a database of their own in it."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost signed by itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    return certificate_file, key_file
