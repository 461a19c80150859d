"""Meta's Graph API: a question with a token, and every error sorted by its code: later, never, or the window is closed.

Codes as in https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes and
https://developers.facebook.com/documentation/business-messaging/messenger-platform/error-codes.
HTTP's status says little.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from connectors.calling import LONGEST_WAIT, retry_after
from connectors.nested import inside, said
from connectors.vendor import Answer, Vendor
from normalizer.errors import Refused, SendingError, Unavailable

TOLD = 200  # characters of the vendor's words

TOKEN = frozenset((102, 190, 463, 467))
# Ours to mend: permissions, a number not registered, payment, a locked account. What we owe waits until it is.
CONFIGURATION = frozenset((3, 10, 33, 200, 230, 298, 299, 368, 131005, 131031, 131037, 131042, 131045, 133010))
BUSY = frozenset((1, 2, 1200, 131000, 131016, 131057, 133004))
RATE = {  # how long to wait where the vendor does not say
    4: timedelta(minutes=1), 17: timedelta(minutes=1), 32: timedelta(minutes=1), 341: timedelta(minutes=10),
    613: timedelta(minutes=1), 80006: timedelta(minutes=1), 80007: timedelta(minutes=1), 130429: timedelta(seconds=10),
    131048: timedelta(hours=1), 131056: timedelta(seconds=10),
}  # fmt: skip
CLOSED, CLOSED_PARTS = frozenset((131047,)), frozenset((2018065, 2018278, 2534022))  # code, subcode
GONE, GONE_PARTS = frozenset((551, 131026)), frozenset((1545041, 2018001, 2018108, 2534014))
MEND = timedelta(minutes=15)


class WindowClosed(Refused):
    """The customer wrote too long ago: free words are not taken until they write again."""


class Graph:
    """The API of one version at one address."""

    def __init__(self, vendor: Vendor, version: str) -> None:
        self.vendor, self.version = vendor, version

    async def ask(
        self,
        method: str,
        path: str,
        token: str,
        now: datetime,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The answer's JSON object. Raises Unavailable, Refused or WindowClosed."""
        headers = {"authorization": f"Bearer {token}"}
        answer = await self.vendor.ask(
            method,
            f"/{self.version}{path}",
            now,
            json=json,
            params=params,
            headers=headers,
            even=tuple(range(400, 600)),
        )
        if answer.status < 300 and not inside(answer.data, "error"):
            return inside({"": answer.data}, "")
        raise judged(answer, now, token)


def judged(answer: Answer, now: datetime, token: str) -> SendingError:
    """What an error of the API means for us. The token does not stand in it, though the vendor may quote it."""
    error = inside(answer.data, "error")
    code, part = (_number(error.get(name)) for name in ("code", "error_subcode"))
    words = said(inside(error, "error_data"), "details") or said(error, "message")
    told = (
        f"{code}{f'/{part}' if part else ''}: {words.replace(token, '...')[:TOLD]}"
        if error
        else f"answered {answer.status}"
    )
    if code in CLOSED or part in CLOSED_PARTS:
        return WindowClosed(f"the customer wrote too long ago for free words ({told})")
    if code in GONE or part in GONE_PARTS:
        return Refused(f"does not reach the customer ({told})", bounced=True)
    if code in TOKEN:
        return Unavailable(
            f"the access token has expired or was revoked ({code}): put a new one in the settings", wait=MEND
        )
    if code in CONFIGURATION:
        return Unavailable(f"the app or account may not do this: see to it at Meta ({told})", wait=MEND)
    if code in RATE or answer.status == 429:
        return Unavailable(f"too many calls ({told})", wait=_wait(answer, now) or RATE.get(code))
    if code in BUSY or error.get("is_transient") is True or answer.status >= 500:
        return Unavailable(told, wait=_wait(answer, now))
    return Refused(told)


def _wait(answer: Answer, now: datetime) -> timedelta | None:
    """Retry-After, or the minutes in the usage header that Meta sends instead."""
    try:
        usage = orjson.loads(answer.headers.get("x-business-use-case-usage", ""))
    except orjson.JSONDecodeError:
        usage = {}
    uses = [use for many in usage.values() if isinstance(many, list) for use in many] if isinstance(usage, dict) else []
    minutes = [_number(use.get("estimated_time_to_regain_access")) for use in uses if isinstance(use, dict)]
    if longest := max(minutes, default=0):
        return min(timedelta(minutes=longest), LONGEST_WAIT)
    return retry_after(answer.headers.get("retry-after", ""), now)


def _number(found: Any) -> int:
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**9 else 0
