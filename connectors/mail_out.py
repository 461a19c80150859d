"""Replies as mail: written so that every client threads them and no machine answers them, and left with a relay."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Literal, Self

import aiosmtplib
import idna
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from connectors.mail_html import as_html
from connectors.mail_signing import Signer
from connectors.oauth import OAuth, Tokens
from connectors.places import File
from normalizer.canon import Reply
from normalizer.errors import ConfigError, Refused, Unavailable, Where

LOOP = "X-Ticketgate-Loop"

_ID = re.compile(r"<?([!-;=?-~]{1,900})>?")  # printable ASCII without spaces: nothing else can be a Message-ID
_PLAIN = re.compile(r"[^\s@<>()\[\]\\,;:\"]{1,128}@[^\s@<>()\[\]\\,;:\"]{1,255}")  # quoted local parts: nobody has one
_OF_ADDRESS = "12"  # RFC 3463 3.2, 3.3: status of the address, and of the mailbox
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?!\S)")
_GREY = re.compile(r"gr[ae]y-?list|4\.7\.1 .{0,80}(?:try|later|again)", re.IGNORECASE)
GREYLISTED, BUSY = timedelta(minutes=5), timedelta(minutes=1)
_ANYBODY = re.compile(r"[^\s<>]+@[^\s<>]+")


class Relay(BaseModel):
    """The server that carries our mail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=587, gt=0, lt=65536)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: File | None = None  # of a relay with a certificate of the company's own
    username: str = ""
    password: SecretStr = SecretStr("")
    oauth: OAuth | None = None  # in place of the password: XOAUTH2
    timeout: float = Field(default=60, gt=0)
    connections: int = Field(default=2, gt=0, le=50)
    mails_per_connection: int = Field(default=100, gt=0)

    @model_validator(mode="after")
    def one_way(self) -> Self:
        if self.oauth and (self.password.get_secret_value() or not self.username):
            raise ValueError("oauth needs username, and takes the place of password")
        return self


class ReplyPolicy(EmailPolicy):
    """CRLF, 7 bit, and Message-IDs left whole: the library would cut long ones into encoded-words."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() in ("message-id", "in-reply-to", "references"):
            return f"{name}: " + "\r\n ".join(value.split()) + "\r\n"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")


POLICY = ReplyPolicy(linesep="\r\n", cte_type="7bit", max_line_length=76)  # RFC 2047 2: lines of 76


def compose(
    reply: Reply, sender: str, sender_name: str, now: datetime, answers: str = "", *, html: bool = True
) -> EmailMessage:
    """The mail of a reply, the same on every attempt. Raises Refused if nobody can be written to.

    `answers` is where answers go, if not to the sender; `html`: it says the same in HTML too.
    """
    try:
        origin, recipient = _address(sender, sender_name), _address(reply.to.address, reply.to.name)
        international = not (origin.addr_spec + recipient.addr_spec).isascii()
        mail = EmailMessage(policy=POLICY.clone(utf8=True) if international else POLICY)
        mail["From"], mail["To"] = origin, recipient
        if answers and answers != sender:
            mail["Reply-To"] = _address(answers, sender_name)
    except (ValueError, IndexError, MessageError) as error:
        raise Refused(f"not an address to write to: {type(error).__name__}", status="5.1.3") from None
    mail["Subject"] = " ".join(reply.subject.split())
    mail["Date"] = format_datetime(reply.made_at or now)
    mail["Message-ID"] = f"<{reply.id}@{origin.domain}>"
    _thread(mail, reply)
    _discourage(mail, reply, origin.domain)
    mail.set_content(reply.text)
    if html:
        mail.add_alternative(as_html(reply.text, reply.language), subtype="html")
        mail.set_boundary(f"=_{reply.id}")  # the library would throw dice
    return mail


@dataclass(frozen=True, slots=True)
class Posted:
    """A mail as it goes to the relay."""

    bounces: str  # MAIL FROM; empty: <>
    recipient: str
    raw: bytes
    international: bool  # it needs a relay that knows SMTPUTF8


def posted(mail: EmailMessage, bounces: str, signers: Sequence[Signer] = ()) -> Posted:
    """The mail with its signatures."""
    # Our own flattening: the library's would fold the Message-IDs after all.
    raw = mail.as_bytes()
    signed = b"".join(signer.sign(raw) for signer in signers) + raw
    sender, recipient = (mail[name].addresses[0].addr_spec for name in ("From", "To"))
    return Posted(bounces, recipient, signed, not (sender + recipient + bounces).isascii())


def _address(address: str, name: str) -> Address:
    if not _PLAIN.fullmatch(address):
        raise ValueError(address)
    local, _, domain = address.rpartition("@")
    ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    return Address(" ".join(name.split()), local, ascii_domain)


def _thread(mail: EmailMessage, reply: Reply) -> None:
    answered = _bracketed(reply.in_reply_to)
    if _ID.fullmatch(answered):
        mail["In-Reply-To"] = answered
    # RFC 5322 3.6.4; the first and the last ones are what clients thread by, and some cut long headers.
    thread = dict.fromkeys(map(_bracketed, (*reply.references, reply.in_reply_to)))
    named = [name for name in thread if _ID.fullmatch(name)]
    if named:
        mail["References"] = " ".join(named if len(named) <= 20 else [named[0], *named[-19:]])


def _bracketed(identity: str) -> str:
    """The canon names mails by what stands between the angle brackets."""
    return identity if identity.startswith("<") else f"<{identity}>"


def _ids(said: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(f"<{found[1]}>" for name in said if (found := _ID.fullmatch(name))))


def _discourage(mail: EmailMessage, reply: Reply, domain: str) -> None:
    """Ask machines not to answer (RFC 3834 5), and know our own mail should it come back."""
    mail[LOOP] = domain
    if reply.language:
        mail["Content-Language"] = reply.language
    if reply.automatic:
        mail["Auto-Submitted"] = "auto-replied"
        mail["X-Auto-Response-Suppress"] = "All"


class Postbox:
    """A few connections to the relay, opened when there is mail and kept for the next."""

    def __init__(self, relay: Relay, place: Where) -> None:
        self.relay = relay
        self._context = self._trust(place)
        self._tokens = Tokens(relay.oauth, relay.timeout) if relay.oauth else None
        self._room = asyncio.Semaphore(relay.connections)
        self._free: list[_Line] = []

    def _trust(self, place: Where) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.relay.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(place, f"cannot use {self.relay.ca_file}: {error}", "ca_file: a PEM file") from None

    async def deliver(self, mail: Posted, now: datetime) -> None:
        """Hand one mail over. Raises Unavailable or Refused; neither tells the address or the password."""
        async with self._room:
            line = await self._line(now)
            try:
                await _hand_over(line.smtp, mail)
            except BaseException:
                line.smtp.close()  # whatever state it was in, the next one starts afresh
                raise
            line.carried += 1
            if line.carried < self.relay.mails_per_connection:
                self._free.append(line)
            else:
                await _quit(line.smtp)

    async def try_out(self, now: datetime) -> None:
        """Connect, log in and leave. Raises Unavailable."""
        line = await self._line(now)
        await _quit(line.smtp)

    async def _line(self, now: datetime) -> "_Line":
        while self._free:
            line = self._free.pop()
            if await _alive(line.smtp):
                return line
            line.smtp.close()
        smtp = self._client(now)
        try:
            await smtp.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            # Not the reply's fault: once the password is right, everything held up goes out.
            if self._tokens:
                self._tokens.forget()
            raise Unavailable(f"the relay refuses our login: {_said(error)}", status=_status(error)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Unavailable(f"cannot talk to the relay: {_said(error)}", wait=_wait(error)) from None
        return _Line(smtp)

    def _client(self, now: datetime) -> aiosmtplib.SMTP:
        relay, tokens = self.relay, self._tokens

        async def token() -> str:
            assert tokens is not None
            return await asyncio.to_thread(tokens.token, now)

        return aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.username or None,
            password=relay.password.get_secret_value() or None,
            oauth_token_generator=token if tokens else None,
            use_tls=relay.tls == "implicit",
            start_tls=relay.tls == "starttls",
            tls_context=self._context,
            timeout=relay.timeout,
            local_hostname="ticketgate.local",
        )

    async def close(self) -> None:
        while self._free:
            await _quit(self._free.pop().smtp)


@dataclass(slots=True)
class _Line:
    """A connection that is open, and how many mails it carried."""

    smtp: aiosmtplib.SMTP
    carried: int = 0


async def _alive(connection: aiosmtplib.SMTP) -> bool:
    try:
        return (await connection.noop(timeout=10)).code == 250
    except (aiosmtplib.SMTPException, OSError):
        return False


async def _quit(connection: aiosmtplib.SMTP) -> None:
    with suppress(aiosmtplib.SMTPException, OSError):
        await connection.quit(timeout=5)
    connection.close()


async def _hand_over(connection: aiosmtplib.SMTP, mail: Posted) -> None:
    options = ["SMTPUTF8"] if mail.international else []
    try:
        await connection.sendmail(mail.bounces, [mail.recipient], mail.raw, mail_options=options)
    except aiosmtplib.SMTPRecipientsRefused as refused:
        raise _judged(refused.recipients[0], of_recipient=True) from None
    except aiosmtplib.SMTPResponseException as error:
        raise _judged(error) from None
    except aiosmtplib.SMTPNotSupported as error:
        raise Refused(f"the relay cannot carry it: {_said(error)}", status="5.6.7") from None
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        raise Unavailable(f"the relay broke off: {_said(error)}") from None


def _judged(error: aiosmtplib.SMTPResponseException, *, of_recipient: bool = False) -> Unavailable | Refused:
    """RFC 5321 4.2.1: 4yz may be tried again, 5yz may not. A recipient refused for no matter of policy is not there."""
    said, status = f"the relay says: {_said(error)}", _status(error)
    if not 500 <= error.code < 600:
        return Unavailable(said, wait=_wait(error), status=status)
    return Refused(said, bounced=of_recipient and (not status or status[2] in _OF_ADDRESS), status=status)


def _status(error: aiosmtplib.SMTPResponseException) -> str:
    """The enhanced status (RFC 3463) at the beginning of the answer, if there is one of its class."""
    found = _ENHANCED.match(str(error.message))
    return found[1] if found and found[1][0] == str(error.code)[0] else ""


def _wait(error: Exception) -> timedelta | None:
    """How long to leave the relay alone: who is greylisted is taken only after minutes, 421 is said by who is busy."""
    if not isinstance(error, aiosmtplib.SMTPResponseException):
        return None
    if _GREY.search(str(error.message)):
        return GREYLISTED
    return BUSY if error.code == 421 else None


def _said(error: Exception) -> str:
    """What went wrong, on one line, without anybody's address."""
    code = f"{error.code} " if isinstance(error, aiosmtplib.SMTPResponseException) else f"{type(error).__name__} "
    words = " ".join(str(getattr(error, "message", error)).split())
    return (code + _ANYBODY.sub("<address>", words))[:300]
