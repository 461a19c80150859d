"""Mail that a service takes in for us and posts to us: SendGrid Inbound Parse, Mailgun routes, Postmark inbound.

    sendgrid   form; the mail in `email` (Inbound Parse, "POST the raw, full MIME message"); ECDSA, or a password
    mailgun    form; the mail in `body-mime` (a route whose URL ends with `mime`); HMAC
    postmark   JSON; the mail in `RawEmail` ("Include raw email content in JSON payload"); a password

What a service made of a mail is not looked at: the raw one is read as any other (mail_account.py). The whole request is
kept. All of them ask again if they are answered by anything but 200.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import ClassVar, Literal, Self

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors import forms
from connectors.base import AccountSettings, Request, Response, where
from connectors.mail_account import MailAccount, MailSettings, scan
from connectors.reading import json_of
from connectors.signatures import SECONDS
from normalizer.canon import Envelope, Message, digest
from normalizer.errors import ConfigError, Rejected, Unreadable

# They sign once and ask again for hours (Mailgun 8, SendGrid 72): after an outage the signature is that old. A request
# played again by somebody else in that time is a redelivery, since its key is of what was signed.
OLDEST, AHEAD = {"sendgrid": timedelta(days=4), "mailgun": timedelta(days=1)}, timedelta(minutes=5)

SIGNATURE, TIMESTAMP = "x-twilio-email-event-webhook-signature", "x-twilio-email-event-webhook-timestamp"
RAW = {
    "sendgrid": "no `email` in it: in Inbound Parse switch on «POST the raw, full MIME message»",
    "mailgun": "no `body-mime` in it: let the route's URL end with mime",
    "postmark": "no `RawEmail` in it: switch on «Include raw email content in JSON payload»",
}


class Basic(BaseModel):
    """Name and password in the URL the service is given: https://name:password@desk.example.com/in/..."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str = Field(min_length=1, pattern="^[^:]+$")
    password: SecretStr = Field(min_length=8)


class EmailServiceSettings(MailSettings):
    provider: Literal["sendgrid", "mailgun", "postmark"]
    public_keys: tuple[str, ...] = ()  # sendgrid: of the security policy, base64; several while they are changed
    signing_keys: tuple[SecretStr, ...] = ()  # mailgun: the HTTP webhook signing key; several while it is changed
    basic: Basic | None = None  # postmark, and sendgrid without a security policy
    size_limit: int = Field(default=60 * 1024 * 1024, gt=0)  # octets of a request's body; more is 413
    rate: int = Field(default=0, ge=0)  # requests a minute from one remote address; 0: as many as they like

    @model_validator(mode="after")
    def proven(self) -> Self:
        ways = {
            "public_keys": bool(self.public_keys),
            "basic": bool(self.basic),
            "signing_keys": bool(self.signing_keys),
        }
        may = {"sendgrid": {"public_keys", "basic"}, "mailgun": {"signing_keys"}, "postmark": {"basic"}}[self.provider]
        given = {name for name, there in ways.items() if there}
        if len(given) != 1 or not given <= may:
            raise ValueError(f"{self.provider} proves itself by one of: {', '.join(sorted(may))}; give just that")
        if not all(key.get_secret_value() for key in self.signing_keys):
            raise ValueError("signing_keys: one is empty")
        return self


@dataclass(frozen=True, slots=True)
class Posted:
    """What a service posts, as far as we read it. `raw` None: it was not told to send the mail itself."""

    raw: bytes | None
    return_path: str = ""
    recipients: tuple[str, ...] = ()
    token: str = ""  # what is signed, and its signature: mailgun only
    timestamp: str = ""
    signature: str = ""


class EmailService(MailAccount):
    name: ClassVar[str] = "email_service"
    Settings: ClassVar[type[AccountSettings]] = EmailServiceSettings
    settings: EmailServiceSettings

    def __init__(self, settings: EmailServiceSettings) -> None:
        super().__init__(settings)
        self._public = [self._public_key(key) for key in settings.public_keys]
        self._signing = [key.get_secret_value().encode() for key in settings.signing_keys]
        basic = settings.basic
        self._login = f"{basic.username}:{basic.password.get_secret_value()}".encode() if basic else b""

    def _public_key(self, text: str) -> ec.EllipticCurvePublicKey:
        try:
            key = load_der_public_key(base64.b64decode(text, validate=True))
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey):
            hint = "as SendGrid shows it: MFkwEwYHKoZIzj0..."
            raise ConfigError(where(self.settings, "public_keys"), "not a public key of an elliptic curve", hint)
        return key

    # At the door

    def greet(self, request: Request) -> Response | None:
        return None

    def verify(self, request: Request) -> None:
        if len(request.body) > self.settings.size_limit:
            raise Rejected(f"larger than {self.settings.size_limit} octets", status=413, code="oversized")
        if self._public:
            self._verify_sendgrid(request)
        elif self._signing:
            self._verify_mailgun(request)
        else:
            self._verify_basic(request.headers.get("authorization", ""))
        try:
            self._posted(request.headers.get("content-type", ""), request.body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None

    def _verify_basic(self, header: str) -> None:
        scheme, _, offered = header.partition(" ")
        # Compared as text, since several texts decode to the same bytes.
        known = hmac.compare_digest(offered.strip().encode("utf-8", "replace"), base64.b64encode(self._login))
        if not (self._login and known and scheme.lower() == "basic"):
            raise Rejected("wrong or missing name and password")

    def _verify_sendgrid(self, request: Request) -> None:
        """ECDSA with SHA-256 over the timestamp and the body as it came."""
        timestamp = request.headers.get(TIMESTAMP, "")
        signature = _canonical(request.headers.get(SIGNATURE, ""))
        if not (signature and SECONDS.fullmatch(timestamp)):
            raise Rejected(f"{SIGNATURE} or {TIMESTAMP} missing or malformed")
        said = timestamp.encode() + request.body
        if not any(_signed(key, signature, said) for key in self._public):
            raise Rejected("no signature matches")
        self._verify_moment(timestamp, request.received_at)

    def _verify_mailgun(self, request: Request) -> None:
        """HMAC-SHA256 over timestamp and token, in hexadecimal. It says nothing of the mail: see `key`."""
        try:
            posted = self._posted(request.headers.get("content-type", ""), request.body)
        except Unreadable as error:
            raise Rejected(f"unsigned: {error.reason}") from None
        if not (posted.token and SECONDS.fullmatch(posted.timestamp) and posted.signature.isascii()):
            raise Rejected("timestamp, token or signature missing or malformed")
        said = (posted.timestamp + posted.token).encode()
        expected = [hmac.new(key, said, hashlib.sha256).hexdigest() for key in self._signing]
        if not sum(hmac.compare_digest(one, posted.signature) for one in expected):
            raise Rejected("no signature matches")
        self._verify_moment(posted.timestamp, request.received_at)

    def _verify_moment(self, timestamp: str, now: datetime) -> None:
        signed_at = datetime.fromtimestamp(int(timestamp), UTC)
        if not now - OLDEST[self.settings.provider] <= signed_at <= now + AHEAD:
            raise Rejected("signed too long ago, or in the future", code="expired")

    def key(self, request: Request) -> str:
        """Of the mail; Mailgun's is the token: good once, whatever mail somebody puts beside it a second time."""
        posted = self._found(request)
        if posted and posted.token:
            return digest("mailgun", posted.token)
        return scan(posted.raw)[0] if posted and posted.raw else digest(request.body)

    def lane(self, request: Request) -> str:
        posted = self._found(request)
        return (scan(posted.raw)[1] if posted and posted.raw else "") or self.key(request)

    def _found(self, request: Request) -> Posted | None:
        with suppress(Unreadable):
            return self._posted(request.headers.get("content-type", ""), request.body)
        return None

    def answer(self, request: Request) -> Response:
        return Response(200)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        posted = self._posted(envelope.transport.get("content-type", ""), envelope.body)
        if not posted.raw:
            raise Unreadable(RAW[self.settings.provider])
        told = {"return_path": posted.return_path, "rcpt_to": " ".join(posted.recipients)}
        way = {**envelope.transport, **{name: said for name, said in told.items() if said}}
        return [self.read(replace(envelope, transport=way), posted.raw)]

    def _posted(self, content_type: str, body: bytes) -> Posted:
        """Raises Unreadable (code `malformed`)."""
        read = {"sendgrid": sendgrid, "mailgun": mailgun, "postmark": postmark}[self.settings.provider]
        return _remembered(read, content_type, body) if len(body) < 256 * 1024 else read(content_type, body)


def sendgrid(content_type: str, body: bytes) -> Posted:
    """https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook"""
    fields = forms.octets(content_type, body)
    envelope = _json(fields.get("envelope", b""))
    to = envelope.get("to")
    recipients = tuple(_plain(one) for one in to if isinstance(one, str)) if isinstance(to, list) else ()
    return Posted(fields.get("email"), _plain(envelope.get("from")), recipients)


def mailgun(content_type: str, body: bytes) -> Posted:
    """https://documentation.mailgun.com/docs/mailgun/user-manual/receive-forward-store/receive-http"""
    fields = forms.octets(content_type, body)
    text = {name: value.decode("utf-8", "replace") for name, value in fields.items() if name != "body-mime"}
    said = [text.get(name, "") for name in ("token", "timestamp", "signature")]
    recipients = tuple(_plain(one) for one in text.get("recipient", "").split(",") if one.strip())
    return Posted(fields.get("body-mime"), _plain(text.get("sender")), recipients, *said)


def postmark(content_type: str, body: bytes) -> Posted:
    """https://postmarkapp.com/developer/webhooks/inbound-webhook"""
    said = json_of(body)
    raw = said.get("RawEmail") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(raw, str | None):
        raise Unreadable("not the JSON object of a mail", code="malformed")
    recipient = _plain(said.get("OriginalRecipient"))
    return Posted(raw.encode("utf-8", "replace") if raw else None, "", (recipient,) if recipient else ())


_remembered = lru_cache(maxsize=16)(lambda read, content_type, body: read(content_type, body))


def _json(raw: bytes) -> Mapping[str, object]:
    with suppress(orjson.JSONDecodeError):
        said = orjson.loads(raw)
        return said if isinstance(said, dict) else {}
    return {}


def _plain(address: object) -> str:
    """An address of the transport on one line, without anything that would end a header field."""
    return "".join(str(address).split()).strip("<>")[:320] if isinstance(address, str) and address.isprintable() else ""


def _canonical(encoded: str) -> bytes:
    """What it is the base64 of; nothing if another text would be the usual one for it."""
    with suppress(binascii.Error, ValueError):
        decoded = base64.b64decode(encoded, validate=True)
        return decoded if base64.b64encode(decoded).decode() == encoded else b""
    return b""


def _signed(key: ec.EllipticCurvePublicKey, signature: bytes, said: bytes) -> bool:
    try:
        key.verify(signature, said, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
