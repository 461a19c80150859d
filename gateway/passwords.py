"""Passwords: how they are kept (argon2id, RFC 9106), and which are refused (NIST SP 800-63B 5.1.1.2).

Length is what counts; no rule asks for digits or signs. Refused are those that everybody tries first.
"""

import asyncio
import re
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from normalizer.errors import Rejected

SHORTEST, LONGEST = 12, 256
# Of the lists of leaked passwords, what remains of the first places at this length. Lower case, without spaces.
WORST = frozenset(
    [
        "1q2w3e4r5t6y",
        "1qaz2wsx3edc",
        "1qaz2wsx3edc4rfv",
        "zaq12wsxcde3",
        "qazwsxedcrfv",
        "qwerty123456",
        "qwertyuiop12",
        "qwertyuiop123",
        "qwertyuiop[]",
        "qwertyuiopasdfghjkl",
        "qwertyuiopasdfghjklzxcvbnm",
        "asdfghjkl123",
        "q1w2e3r4t5y6",
        "a1b2c3d4e5f6",
        "1a2b3c4d5e6f",
        "password1234",
        "password12345",
        "password123456",
        "passwordpassword",
        "p@ssw0rd1234",
        "p@ssword1234",
        "passw0rd1234",
        "mypassword123",
        "admin1234567",
        "administrator",
        "administrator1",
        "adminadmin123",
        "admin@123456",
        "root12345678",
        "welcome12345",
        "welcome123456",
        "letmein12345",
        "letmeinplease",
        "changeme1234",
        "changemenow1",
        "iloveyou1234",
        "iloveyouforever",
        "woaini1314520",
        "woaini5201314",
        "5201314woaini",
        "woaiwojia1314",
        "football1234",
        "baseball1234",
        "superman1234",
        "sunshine1234",
        "princess1234",
        "trustno1trustno1",
        "123456789abc",
        "abc123456789",
        "abcd12345678",
        "a123456789012",
        "qq1234567890",
        "correcthorsebatterystaple",
        "ticketgate123",
    ]
)
ROWS = ("0123456789012345678901234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm")
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is read as something else

_hasher = PasswordHasher()  # 64 MiB, 3 passes, 4 lanes
_threads = ThreadPoolExecutor(2, "argon2")  # at most so many times that memory, however many knock


def normal(password: str) -> str:
    """The same password however a keyboard composed it."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, *names: str) -> None:
    """Raises Rejected (422, `weak_password` with what is wrong) unless it will do; names are the user's own."""
    password = normal(password)
    if len(password) < SHORTEST:
        raise _weak("short", f"at least {SHORTEST} characters; a few words will do")
    if len(password) > LONGEST:
        raise _weak("long", f"at most {LONGEST} characters")
    bare = re.sub(r"\s", "", password.casefold())
    own = {normal(name).casefold() for name in (*names, "ticketgate") if name}
    if bare in WORST or _repeats(bare) or any(bare in row or bare in row[::-1] for row in ROWS):
        raise _weak("common", "one of those everybody tries first; a few words of your own will do")
    if any(bare.strip("0123456789!@#$%^&*.-_") == name for name in own):
        raise _weak("own_name", "more than a name with digits around it; a few words of your own will do")


def one_time() -> str:
    """A password to be handed over and changed at the first sign-in: 99 bits, easy to read out."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(5)) for _ in range(4))


async def hashed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, normal(password))


async def matches(password: str, kept: str) -> bool:
    """Whether it is the one. With nothing kept it takes as long, and is not."""
    right = await asyncio.get_running_loop().run_in_executor(_threads, _verify, kept or _nobodys(), normal(password))
    return right and bool(kept)


def is_stale(kept: str) -> bool:
    """Whether it was hashed with less effort than is usual now."""
    return _hasher.check_needs_rehash(kept)


def _verify(kept: str, password: str) -> bool:
    try:
        return _hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))


def _repeats(bare: str) -> bool:
    """A short piece over and over."""
    return any(bare == (bare[:n] * len(bare))[: len(bare)] for n in range(1, 5))


def _weak(how: str, what: str) -> Rejected:
    return Rejected(f"this password will not do: {what}", status=422, code=f"weak_password_{how}")
