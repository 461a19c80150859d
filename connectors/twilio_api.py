"""Asking Twilio: its own library over the house's HTTP client, and its error codes sorted by what we do about them."""

from collections.abc import Awaitable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from connectors.vendor import Vendor
from normalizer.errors import Refused, Unavailable

API = "https://api.twilio.com"
# https://www.twilio.com/docs/api/errors
OUTSIDE_WINDOW = 63016
GONE = frozenset((21211, 21610, 21614, 63003, 63024))
BUSY = frozenset((14107, 20429, 20500, 20503, 21611, 30001, 63018, 63038))
MENDABLE = frozenset((20003, 20005))  # by the operator: it waits for them
WHY: Mapping[int, str] = {
    20003: "the account SID, token or key is wrong",
    20005: "the account is suspended or closed",
    20404: "it is not there",
    21211: "no such number",
    21408: "messages to that country are not switched on",
    21606: "not a number of ours that can send",
    21610: "the customer has said STOP",
    21612: "no way from our number to theirs",
    21614: "not a mobile number",
    30003: "the telephone is switched off or out of reach",
    30004: "blocked",
    30005: "nobody has that number",
    30006: "a landline, or a carrier out of reach",
    30007: "the carrier took it for spam",
    63003: "not on WhatsApp",
    63016: "WhatsApp's 24 hours since the customer last wrote are over: set content_sid to a template",
    63024: "nobody has that number",
}
_ANSWERED = tuple(status for status in range(400, 500) if status not in (408, 425, 429))  # with a code of its own


class TooLate(Refused):
    """WhatsApp's window is closed; a template may still go out."""

    def __init__(self) -> None:
        super().__init__(WHY[OUTSIDE_WINDOW])


class Asking:
    """An HTTP client as Twilio's library wants one, for one moment. All its hosts are `api` unless that is Twilio's."""

    is_async = True

    def __init__(self, vendor: Vendor, api: str, now: datetime) -> None:
        self.vendor, self.api, self.now = vendor, api.rstrip("/"), now

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        **_: Any,  # its timeouts and redirects: the house has its own
    ) -> Any:
        """What Twilio says, errors with a code too. Raises Unavailable and Refused for the others."""
        from twilio.http.response import Response

        asked = urlsplit(url)
        whole = url if self.api == API or not (asked.hostname or "").endswith(".twilio.com") else self.api + asked.path
        answer = await self.vendor.ask(
            method, whole, self.now, form=data, params=params, headers=headers, auth=auth, even=_ANSWERED
        )
        said = answer.data if isinstance(answer.data, dict) else {}
        return Response(answer.status, orjson.dumps(said).decode(), answer.headers)


def client(login: tuple[str, str], account_sid: str, asking: Asking) -> Any:
    """Twilio's. Slow the first time: its library takes most of a second to load."""
    from twilio.rest import Client

    # An empty environment would be the process's.
    made = Client(*login, account_sid, http_client=asking, environment={"TWILIO_REGION": ""})
    assert made.messages is not None  # loads the rest of it
    return made


async def asked(question: Awaitable[Any]) -> Any:
    """What the library gives. Raises Unavailable, Refused or TooLate, without Twilio's words, which name numbers."""
    from twilio.base.exceptions import TwilioException

    try:
        return await question
    except TwilioException as error:
        found = getattr(error, "code", 0)
        code = found if isinstance(found, int) else 0
    if code == OUTSIDE_WINDOW:
        raise TooLate
    why = f"Twilio's error {code}: " + WHY.get(code, f"see https://www.twilio.com/docs/api/errors/{code}")
    if code in BUSY or code in MENDABLE:
        raise Unavailable(why)
    raise Refused(why, bounced=code in GONE, status=str(code) if code in GONE else "")
