"""DKIM signatures (RFC 6376, RFC 8463) of what we send, if the account has keys: RSA or Ed25519, relaxed/relaxed.

Two keys, one of each kind, make two signatures: who cannot read the newer kind reads the older.
"""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from normalizer.errors import ConfigError, Where

LEAST_BITS = 1024  # RFC 8301 3.2: shorter ones prove nothing


class Dkim(BaseModel):
    """One key, by secret reference: PEM as openssl makes it. The domain is the sender's, if none is named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    selector: str = Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9._-]+$")
    key: SecretStr
    domain: str = ""


class Signer:
    """Signs with one key. Raises ConfigError if there is none in what it is given."""

    def __init__(self, settings: Dkim, domain: str, place: Where) -> None:
        self.selector, self.domain = settings.selector.encode(), (settings.domain or domain).encode()
        self._key = _parsed(settings.key.get_secret_value(), place)

    def sign(self, mail: bytes) -> bytes:
        """The header field to put before the mail, which has CRLF."""
        from dkim import DKIM  # 60 ms to load, and most accounts have no key

        ed25519 = isinstance(self._key, Ed25519PrivateKey)
        signing: Any = DKIM(mail, signature_algorithm=b"ed25519-sha256" if ed25519 else b"rsa-sha256", linesep=b"\r\n")
        made: bytes = signing.sign(self.selector, self.domain, self._private(), canonicalize=(b"relaxed", b"relaxed"))
        return made

    def _private(self) -> bytes:
        """The key as dkimpy reads it."""
        if isinstance(self._key, Ed25519PrivateKey):
            return base64.b64encode(self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    @property
    def place(self) -> str:
        """The name the record stands at."""
        return f"{self.selector.decode()}._domainkey.{self.domain.decode()}"

    @property
    def record(self) -> str:
        """The TXT record by which others check the signatures."""
        public = self._key.public_key()
        if isinstance(self._key, Ed25519PrivateKey):
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def _parsed(pem: str, place: Where) -> RSAPrivateKey | Ed25519PrivateKey:
    hint = "a private key in PEM: openssl genrsa 2048, or openssl genpkey -algorithm ed25519"
    try:
        key = load_pem_private_key(pem.strip().encode() + b"\n", password=None)
    except (ValueError, TypeError) as error:  # neither tells the key
        raise ConfigError(
            place, f"this is no private key without a passphrase ({type(error).__name__})", hint
        ) from None
    if isinstance(key, RSAPrivateKey) and key.key_size < LEAST_BITS:
        raise ConfigError(place, f"a key of {key.key_size} bits proves nothing", hint)
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ConfigError(place, "DKIM knows RSA and Ed25519 keys only", hint)
    return key
