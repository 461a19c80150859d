"""Replies as mail: written so that every client threads them and no machine answers them, and left with a relay."""

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Literal

import aiosmtplib
import idna
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.places import File
from normalizer.canon import Reply
from normalizer.errors import ConfigError, Refused, Unavailable, Where

LOOP = "X-Ticketgate-Loop"

_ID = re.compile(r"<?([!-;=?-~]{1,900})>?")  # printable ASCII without spaces: nothing else can be a Message-ID
_PLAIN = re.compile(r"[^\s@<>()\[\]\\,;:\"]{1,128}@[^\s@<>()\[\]\\,;:\"]{1,255}")  # quoted local parts: nobody has one
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
    timeout: float = Field(default=60, gt=0)


class ReplyPolicy(EmailPolicy):
    """CRLF, 7 bit, and Message-IDs left whole: the library would cut long ones into encoded-words."""

    def fold(self, name: str, value: str) -> str:
        if name.lower() in ("message-id", "in-reply-to", "references"):
            return f"{name}: " + "\r\n ".join(value.split()) + "\r\n"
        return str(super().fold(name, value))

    def fold_binary(self, name: str, value: str) -> bytes:
        return self.fold(name, value).encode("utf-8" if self.utf8 else "ascii", "surrogateescape")


POLICY = ReplyPolicy(linesep="\r\n", cte_type="7bit")


def compose(reply: Reply, sender: str, sender_name: str, now: datetime, answers: str = "") -> EmailMessage:
    """The mail of a reply. The same on every attempt but for its date. Raises Refused if nobody can be written to."""
    try:
        origin, recipient = _address(sender, sender_name), _address(reply.to.address, reply.to.name)
        international = not (origin.addr_spec + recipient.addr_spec).isascii()
        mail = EmailMessage(policy=POLICY.clone(utf8=True) if international else POLICY)
        mail["From"], mail["To"] = origin, recipient
        if answers and answers != sender:
            mail["Reply-To"] = _address(answers, sender_name)
    except (ValueError, IndexError, MessageError) as error:
        raise Refused(f"not an address to write to: {type(error).__name__}") from None
    mail["Subject"] = " ".join(reply.subject.split())
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = f"<{reply.id}@{origin.domain}>"
    _thread(mail, reply)
    _discourage(mail, reply, origin.domain)
    mail.set_content(reply.text)
    return mail


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
    """One connection to the relay, opened when there is mail and kept for the next."""

    def __init__(self, relay: Relay, place: Where) -> None:
        self.relay = relay
        self._context = self._trust(place)
        self._turn = asyncio.Lock()
        self._open: aiosmtplib.SMTP | None = None

    def _trust(self, place: Where) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.relay.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(place, f"cannot use {self.relay.ca_file}: {error}", "ca_file: a PEM file") from None

    async def deliver(self, mail: EmailMessage, bounces: str) -> None:
        """Hand one mail over. Raises Unavailable or Refused; neither tells the address or the password."""
        async with self._turn:
            try:
                await self._deliver(await self._connection(), mail, bounces)
            except BaseException:
                self._drop()  # whatever state it was in, the next one starts afresh
                raise

    async def _connection(self) -> aiosmtplib.SMTP:
        if self._open is not None and await self._alive(self._open):
            return self._open
        self._drop()
        self._open = self._client()
        try:
            await self._open.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            # Not the reply's fault: once the password is right, everything held up goes out.
            raise Unavailable(f"the relay refuses our login: {_said(error)}") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Unavailable(f"cannot talk to the relay: {_said(error)}") from None
        return self._open

    def _client(self) -> aiosmtplib.SMTP:
        relay = self.relay
        return aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.username or None,
            password=relay.password.get_secret_value() or None,
            use_tls=relay.tls == "implicit",
            start_tls=relay.tls == "starttls",
            tls_context=self._context,
            timeout=relay.timeout,
            local_hostname="ticketgate.local",
        )

    async def _alive(self, connection: aiosmtplib.SMTP) -> bool:
        try:
            return (await connection.noop(timeout=10)).code == 250
        except (aiosmtplib.SMTPException, OSError):
            return False

    async def _deliver(self, connection: aiosmtplib.SMTP, mail: EmailMessage, bounces: str) -> None:
        try:
            # Our own flattening: the library's would fold the Message-IDs after all.
            recipient = mail["To"].addresses[0].addr_spec
            options = [] if (mail["From"].addresses[0].addr_spec + recipient).isascii() else ["SMTPUTF8"]
            await connection.sendmail(bounces, [recipient], mail.as_bytes(), mail_options=options)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            raise _judged(refused.recipients[0], bounced=True) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _judged(error) from None
        except aiosmtplib.SMTPNotSupported as error:
            raise Refused(f"the relay cannot carry it: {_said(error)}") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Unavailable(f"the relay broke off: {_said(error)}") from None

    def _drop(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    async def close(self) -> None:
        async with self._turn:
            if self._open is not None:
                with suppress(aiosmtplib.SMTPException, OSError):
                    await self._open.quit(timeout=5)
            self._drop()


def _judged(error: aiosmtplib.SMTPResponseException, *, bounced: bool = False) -> Unavailable | Refused:
    """RFC 5321 4.2.1: 4yz may be tried again, 5yz may not."""
    said = f"the relay says: {_said(error)}"
    return Refused(said, bounced=bounced) if 500 <= error.code < 600 else Unavailable(said)


def _said(error: Exception) -> str:
    """What went wrong, on one line, without anybody's address."""
    code = f"{error.code} " if isinstance(error, aiosmtplib.SMTPResponseException) else f"{type(error).__name__} "
    words = " ".join(str(getattr(error, "message", error)).split())
    return (code + _ANYBODY.sub("<address>", words))[:300]
