"""Who is using an app, as its backend says: a JSON Web Token (RFC 7519), HS256, by a secret it shares with us.

    {"alg": "HS256"} . {"sub": "u-1001", "exp": 1772444400, "name": "张三", "phone_number": "13812345678"}

Pure: the moment is an argument. Only this one algorithm, only the compact form; the tests compare with joserfc.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, StringConstraints

from normalizer.errors import Rejected

LONGEST = 4096  # characters
LONGEST_LIFE = timedelta(hours=24)  # what is stolen is of no use for long
_SIGNED = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

Said = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class User(BaseModel):
    """Named as in OpenID Connect; what else a token tells is left alone."""

    model_config = ConfigDict(frozen=True)

    sub: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    exp: float
    nbf: float = 0
    name: Said = ""
    email: Said = ""
    phone_number: Said = ""

    @property
    def until(self) -> datetime:
        """The end of the token; long ago for a moment there is none of."""
        return datetime.fromtimestamp(self.exp if 0 < self.exp < 2**35 else 0, UTC)


def user(token: str, keys: Sequence[bytes], now: datetime) -> User:
    """Whom a token is about. Raises Rejected: `unverified`, or `expired` if only its time is over."""
    said = _signed(token, keys)
    if said.until <= now or said.nbf > now.timestamp():
        raise Rejected("the token is over, or not valid yet; ask the app for a new one", code="expired")
    if said.until - now > LONGEST_LIFE:
        raise Rejected("the token is valid for more than 24 hours; sign one with an earlier exp")
    return said


def _signed(token: str, keys: Sequence[bytes]) -> User:
    signed, _, offered = token.rpartition(".") if len(token) <= LONGEST else ("", "", "")
    if not _SIGNED.fullmatch(signed):
        raise Rejected("not a token of three parts, header.claims.signature")
    # Compared as text, since several texts decode to the same octets.
    macs = [_base64url(hmac.digest(key, signed.encode(), hashlib.sha256)) for key in keys]
    if not sum(hmac.compare_digest(mac, offered.encode("utf-8", "surrogatepass")) for mac in macs):
        raise Rejected("no secret of this account signed the token")
    try:
        header, claims = (orjson.loads(_octets(part)) for part in signed.split("."))
        if header["alg"] != "HS256":
            raise Rejected("sign the token with HS256")
        return User.model_validate(claims)
    except (ValueError, TypeError, KeyError):  # it is ours: whoever writes the app wants to know what it lacks
        raise Rejected("the token needs sub and exp; name, email and phone_number are text") from None


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def _octets(encoded: str) -> bytes:
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
