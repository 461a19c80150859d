"""What connectors read alike: JSON, files in base64, people, and the many ways to write a moment."""

import base64
import binascii
import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from normalizer.canon import Address, Attachment
from normalizer.charset import clean
from normalizer.errors import Unreadable
from normalizer.identity import email_address
from normalizer.identity import phone as phone_number
from normalizer.moments import utc

_MEDIA_TYPE = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,128}", re.ASCII)
_SURROGATES = re.compile("[\ud800-\udfff]")
# What programs and people write where they know nothing.
_NOTHING = re.compile(r"\W*|null|none|nil|nan|undefined|unknown|anonymous|n/a|无|没有|未知|匿名", re.IGNORECASE)
_BEYOND = re.compile(rb"[0-9]{20}")  # of 64 bits


def json_of(body: bytes) -> Any:
    """What JSON says, after a byte order mark if there is one. Raises Unreadable (code `malformed`)."""
    try:
        return orjson.loads(body.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"not JSON: {error.msg} at line {error.lineno}", code="malformed") from None


def exact_json_of(body: bytes) -> Any:
    """The same with numbers beyond 64 bits to their last digit. Rounded, two orders of 28 digits would be one."""
    found = json_of(body)
    if not _BEYOND.search(body):
        return found
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # thousands of digits, or nested deeper than we are let
        return found


def words(found: Any, name: str) -> str:
    """Text, or a number as text; nothing for null. Anything else is not what was promised."""
    match found:
        case None:
            return ""
        case str():
            return clean(_SURROGATES.sub("\ufffd", found))
        case bool() | list() | dict():
            raise Unreadable(f"{name} is {type(found).__name__}, not text")
        case _:
            return str(found)


def attachment(name: str, media_type: str, content: bytes) -> Attachment:
    """A file as it came; of a path only the last part is a name."""
    plain = clean(_SURROGATES.sub("\ufffd", name)).replace("\\", "/").replace("\n", " ").rpartition("/")[2].strip()
    kind = media_type.partition(";")[0].strip().lower()
    return Attachment(
        name=plain[:255],
        media_type=kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
    )


def from_base64(encoded: str, name: str) -> bytes:
    """The octets of standard or URL-safe base64, with or without padding, line ends or a data: URL's head."""
    plain = "".join((encoded.partition(",")[2] if encoded.startswith("data:") else encoded).split())
    plain = plain.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(f"{name} is not base64") from None


def is_nobody(found: str) -> bool:
    """Whether what should name somebody stands for nobody."""
    return _NOTHING.fullmatch(found.strip()) is not None


def person(said: Mapping[str, str], region: str = "CN") -> Address | None:
    """The address somebody is known by: e-mail before phone before a user's name in the other system.

    None if nothing is said. The address is empty if all that is said stands for nothing (`-`, `null`, 无): it would
    make one person of all who have it.
    """
    name = said.get("name", "").strip()
    given = {way: found for way in ("email", "phone", "user") if (found := said.get(way, "").strip())}
    meant = {way: found for way, found in given.items() if not is_nobody(found)}
    if email := meant.get("email"):
        return Address("email", email_address(email), name)
    if phone := meant.get("phone"):
        return Address("phone", phone_number(phone, region) or phone, name)
    return Address("user", meant.get("user", ""), name) if given else None


def moment(found: Any) -> datetime | None:
    """An instant from RFC 3339 text, or from seconds or milliseconds since 1970. None if it is none of these."""
    try:
        if isinstance(found, str) and not found.strip().isdecimal():
            said = datetime.fromisoformat(found.strip())
            return utc(said) if said.tzinfo else None  # whose noon it was nobody knows
        seconds = float(found)
        return utc(datetime.fromtimestamp(seconds / 1000 if abs(seconds) > 1e11 else seconds, UTC))
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def within(said: Any, *names: str) -> Mapping[str, Any]:
    """The JSON object at the end of these names; an empty one where there is none."""
    for name in names:
        said = said.get(name) if isinstance(said, dict) else None
    return said if isinstance(said, dict) else {}


def word(said: Any, *names: str) -> str:
    """The first text or whole number that is not empty under one of these names of a JSON object, as text."""
    found = (said.get(name) for name in names) if isinstance(said, dict) else ()
    return next(
        (str(one) for one in found if one != "" and isinstance(one, str | int) and not isinstance(one, bool)), ""
    )


def kept(said: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Claims without the empty ones."""
    return {name: value for name, value in said if value}
