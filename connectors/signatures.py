"""Proving who called, and proving it is we who call.

    Standard Webhooks   HMAC-SHA256 over `id.timestamp.body`, five minutes either way (www.standardwebhooks.com)
    bearer              a shared secret in the Authorization header

Pure: the moment is an argument. Several secrets may live at once, so that they can be changed without an outage. The
library `standardwebhooks` reads the clock itself, hence these lines; the tests compare with it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from normalizer.errors import ConfigError, Rejected, Where

WINDOW = timedelta(minutes=5)
SECONDS = re.compile(r"[0-9]{1,11}", re.ASCII)


def webhook_key(secret: SecretStr, place: Where) -> bytes:
    """The key in a secret: base64 after `whsec_`, which may be missing. Raises ConfigError, which does not show it."""
    encoded = secret.get_secret_value().removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < 16:
        hint = "whsec_ and at least 24 base64 characters, as `openssl rand -base64 32` makes"
        raise ConfigError(place, "not a Standard Webhooks secret", hint)
    return key


def sign(key: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers that prove a request to be ours."""
    timestamp = str(int(at.timestamp()))
    mac = _mac(key, message_id, timestamp, body)
    return {"webhook-id": message_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{mac.decode()}"}


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Raise Rejected unless the headers (names in lower case) sign this body with one of the keys, at about `now`."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    offered = _offered(headers.get("webhook-signature", ""))
    if not (message_id and message_id.isascii() and SECONDS.fullmatch(timestamp) and offered):
        raise Rejected("webhook-id, webhook-timestamp or webhook-signature missing or malformed")
    expected = [_mac(key, message_id, timestamp, body) for key in keys]
    # Every pair is compared, so that the time taken does not tell which secret was nearly right.
    if not sum(hmac.compare_digest(ours, theirs) for ours in expected for theirs in offered):
        raise Rejected("no signature matches")
    if abs(datetime.fromtimestamp(int(timestamp), UTC) - now) > WINDOW:
        raise Rejected("signed too long ago, or in the future", code="expired")


def verify_bearer(secrets: Sequence[bytes], headers: Mapping[str, str]) -> None:
    """Raise Rejected unless Authorization carries one of the secrets."""
    scheme, _, offered = headers.get("authorization", "").partition(" ")
    token = offered.strip().encode("utf-8", "surrogatepass")
    known = sum(hmac.compare_digest(secret, token) for secret in secrets)
    if scheme.lower() != "bearer" or not known:
        raise Rejected("wrong or missing bearer secret")


def _mac(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    """As it stands in the header: base64. Compared as text, since several texts decode to the same bytes."""
    mac = hmac.digest(key, b"%b.%b.%b" % (message_id.encode(), timestamp.encode(), body), hashlib.sha256)
    return base64.b64encode(mac)


def _offered(header: str) -> list[bytes]:
    """The v1 signatures of a header; at most ten, since each is work."""
    parts = [part.partition(",") for part in header.split()[:10]]
    return [mac.encode("utf-8", "surrogatepass") for version, _, mac in parts if version == "v1"]
