"""X-Twilio-Signature: base64 of an HMAC over the public URL and what was posted.

https://www.twilio.com/docs/usage/webhooks/webhooks-security. Pure; the tests compare with the library's own
RequestValidator, which would accept what is written otherwise than it was signed (see `pairs`) and fails with an
exception where this says no.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from urllib.parse import ParseResult, parse_qs, parse_qsl, urlparse

from normalizer.errors import Unreadable

ALGORITHMS = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
FIELDS = 1000  # of one form
# A form as Twilio writes it, and in no other way: names and values are signed as they mean, joined and without their
# `=` and `&`, so of several spellings of one form all would pass, and of forms with an `=` moved or lost.
_VALUE = rb"(?:[^%=&\x00-\x20\x7f-\xff]|%[0-9A-F]{2})*+"
_FORM = re.compile(rb"(?:[\w.-]++=" + _VALUE + rb"&)*+[\w.-]++=" + _VALUE)

# Of messages and of news of ours: https://www.twilio.com/docs/messaging/guides. There may be others; see `_moved`.
NAMES = frozenset((
    "AccountSid", "AddOns", "Address", "ApiVersion", "Body", "ButtonPayload", "ButtonText", "ChannelInstallSid",
    "ChannelMetadata", "ChannelPrefix", "ChannelStatusMessage", "ChannelToAddress", "ErrorCode", "ErrorMessage",
    "EventType", "Forwarded", "FrequentlyForwarded", "From", "FromCity", "FromCountry", "FromState", "FromZip",
    "Label", "Latitude", "ListDescription", "ListId", "ListTitle", "Longitude", "MediaContentType0",
    "MediaContentType1", "MediaUrl0", "MediaUrl1", "MessageSid", "MessageStatus", "MessageType",
    "MessagingServiceSid", "NumMedia", "NumSegments", "OptOutType", "OriginalRepliedMessageSender",
    "OriginalRepliedMessageSid", "ProfileName", "RawDlrDoneDate", "ReferralBody", "ReferralCtwaClid",
    "ReferralHeadline", "ReferralMediaContentType", "ReferralMediaId", "ReferralMediaUrl", "ReferralNumMedia",
    "ReferralSourceId", "ReferralSourceType", "ReferralSourceUrl", "SmsMessageSid", "SmsSid", "SmsStatus",
    "StructuredMessage", "To", "ToCity", "ToCountry", "ToState", "ToZip", "WaId",
))  # fmt: skip

Said = Iterable[tuple[str, str]] | bytes  # a form's names and values, or a body that is no form


def valid(auth_token: str, url: str, said: Said, signature: str, algorithm: str = "HMAC_SHA1") -> bool:
    """Whether Twilio signed this. `url` is the public one with its query; `said` the parameters in any order."""
    kind = ALGORITHMS.get(algorithm.upper())
    try:
        parsed = urlparse(url)
        ways = list(_ways(parsed))
    except ValueError:  # a host or port that is none
        return False
    if kind is None:
        return False
    if isinstance(said, bytes):
        hashes = parse_qs(parsed.query).get("bodySHA256", [""])
        if not _equal(hashlib.sha256(said).hexdigest(), hashes[0]):
            return False
        said = ()
    # Repeated names count once for each value, in the order of the values.
    words = "".join(name + value for name, value in sorted({(name, value) for name, value in said}))
    key = auth_token.encode()
    macs = [hmac.digest(key, (way + words).encode("utf-8", "surrogateescape"), kind) for way in ways]
    return bool(sum(_equal(base64.b64encode(mac).decode(), signature) for mac in macs))


def algorithm(headers: Mapping[str, str]) -> str:
    """Of a request, by the header that comes with the newer shared keys; their secrets are auth tokens to us."""
    parts = [part.partition("=") for part in headers.get("x-twilio-webhooks-signature-settings", "").split(",")]
    return next((said.strip() for name, _, said in parts if name.strip() == "algorithm" and said.strip()), "HMAC_SHA1")


def pairs(body: bytes) -> list[tuple[str, str]]:
    """The names and values of a posted form, octets that are no UTF-8 as surrogates. Raises Unreadable."""
    if not _FORM.fullmatch(body) or body.count(b"&") >= FIELDS:
        raise Unreadable("not a form as Twilio posts it: set the webhook to HTTP POST", code="malformed")
    form = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="surrogateescape")
    if _moved(form):
        raise Unreadable("not a form as Twilio posts it: the beginning of a name stands in a value", code="malformed")
    return form


def _moved(form: Sequence[tuple[str, str]]) -> bool:
    """Whether a value ends with the beginning of the name after it: 1Error and Code sign as 1 and ErrorCode do."""
    missing = NAMES - {name for name, _ in form}
    return any(
        len(known) > len(name) and known.endswith(name) and value.endswith(known[: -len(name)])
        for (_, value), (name, _) in pairwise(sorted(form))
        if name not in NAMES
        for known in missing
    )


def _ways(url: ParseResult) -> Iterator[str]:
    """With and without the port: which of them Twilio signs has changed over time. Raises ValueError."""
    port, default = url.port, 443 if url.scheme == "https" else 80
    yield url._replace(netloc=url.netloc.removesuffix(f":{port}") if port else url.netloc).geturl()
    yield url.geturl() if port else url._replace(netloc=f"{url.netloc}:{default}").geturl()


def _equal(ours: str, theirs: str) -> bool:
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogatepass"))
