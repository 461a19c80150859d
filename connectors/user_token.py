"""Who is using an app, as its backend says: a JSON Web Token (RFC 7519), HS256, by a secret it shares with us.

    {"alg": "HS256"} . {"sub": "u-1001", "exp": 1772444400, "name": "张三", "phone_number": "13812345678"}

Verified by joserfc. Pure: the moment is an argument. Only this one algorithm, only the compact form.
"""

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from normalizer.errors import Rejected

LONGEST = 4096  # characters
LONGEST_LIFE = timedelta(hours=24)  # what is stolen is of no use for long
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

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
    from joserfc import jwt  # imported by who gets a token
    from joserfc.errors import BadSignatureError
    from joserfc.jwk import OctKey

    if len(token) > LONGEST or not _COMPACT.fullmatch(token):
        raise Rejected("not a token of three parts, header.claims.signature")
    for key in keys:
        try:
            claims = jwt.decode(token, OctKey.import_key(key), algorithms=["HS256"]).claims
            break
        except BadSignatureError:
            continue
        except Exception:  # of what strangers write the library raises TypeError too
            raise Rejected("sign the token with HS256, as a compact JSON Web Token") from None
    else:
        raise Rejected("no secret of this account signed the token")
    if not _is_canonical(token.rpartition(".")[2]):
        raise Rejected("no secret of this account signed the token")
    try:
        return User.model_validate(claims)
    except ValueError:  # it is ours: whoever writes the app wants to know what it lacks
        raise Rejected("the token needs sub and exp; name, email and phone_number are text") from None


def _is_canonical(signature: str) -> bool:
    """Whether it is written in the one way that it is made: several texts decode to the same octets."""
    octets = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == signature
