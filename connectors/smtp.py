"""The conversation with whoever brings us mail: aiosmtpd's, with a quicker reader and our own answers.

    MAIL, RCPT   size and recipients are checked before a byte of the mail is sent
    DATA         read in large pieces, ended by CRLF.CRLF and nothing else
    250          only after the desk has the mail for good; 451 or 452 on any doubt

LMTP (RFC 2033) is the same conversation, with LHLO and one answer for each recipient.
"""

import asyncio
import errno
import hmac
import logging
import re
import ssl
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import MISSING, SMTP, AuthResult, LoginPassword, Session, TLSSetupException
from aiosmtpd.smtp import Envelope as Transaction

# aiosmtpd logs every command at INFO and unknown ones at WARNING: customers' addresses, and their words when a
# conversation is out of step.
logging.getLogger("mail.log").setLevel(logging.ERROR)
log = logging.getLogger(__name__)

END = b"\r\n.\r\n"
PIECE = 256 * 1024  # what the reader holds before the sender is asked to pause (twice this) or a piece is taken away
KEPT = 64 * 1024  # of a mail too large to take
HELD = 256 * 1024 * 1024  # of mails at one door that are not whole yet; beyond, only small ones
SMALL = 4 * PIECE
UNKNOWN_RECIPIENTS = 20  # in one connection; more is somebody guessing addresses

TOO_MUCH = "452 4.3.1 Too much is being sent at once, try again later"
_ADDRESS = re.compile(r"<([\w!#$%&'*+/=?^`{|}~.-]+@[A-Za-z0-9.-]+)>(.*)", re.ASCII | re.DOTALL)
_SIZE = re.compile(r"\sSIZE=([0-9]{1,20})(?:\s|$)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One mail and how it came. Addresses are as the sender wrote them; `mail_from` is empty for the null path."""

    content: bytes = field(repr=False)
    mail_from: str
    rcpt_to: tuple[str, ...]
    helo: str
    remote: str
    tls: str  # TLSv1.3, or empty
    auth_user: str

    def facts(self) -> dict[str, str]:
        said = {
            "mail_from": self.mail_from, "rcpt_to": " ".join(self.rcpt_to), "helo": self.helo, "remote": self.remote,
            "tls": self.tls, "auth_user": self.auth_user, "return_path": f"<{self.mail_from}>",
        }  # fmt: skip
        return {name: _clean(value) for name, value in said.items()}


class Desk(Protocol):
    """Who stands behind the conversation and takes the mail."""

    def knows(self, recipient: str) -> bool: ...

    async def take(self, arrival: Arrival) -> str:
        """Keep the mail for good and say what it is called, or raise."""
        ...

    async def turn_away(self, code: str, reason: str, arrival: Arrival) -> None: ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What a door demands of those who come."""

    hostname: str
    size_limit: int
    timeout: float
    connections: int
    connections_per_remote: int
    recipients: int
    users: Mapping[str, bytes]
    tls_context: ssl.SSLContext | None = None
    tls_required: bool = False
    auth_required: bool = False
    auth_without_tls: bool = False


class Door:
    """An open port: its terms, the desk behind it and who is talking there."""

    def __init__(self, terms: Terms, desk: Desk) -> None:
        self.terms, self.desk = terms, desk
        self.talking: dict[Conversation, str] = {}
        self._remotes: Counter[str] = Counter()
        self.held = 0  # octets of mails that are not whole yet

    def enter(self, conversation: "Conversation", remote: str) -> bool:
        full = len(self.talking) >= self.terms.connections
        if full or self._remotes[remote] >= self.terms.connections_per_remote:
            return False
        self.talking[conversation] = remote
        self._remotes[remote] += 1
        return True

    def leave(self, conversation: "Conversation") -> None:
        remote = self.talking.pop(conversation, None)
        if remote is not None:
            self._remotes[remote] -= 1
            self._remotes += Counter()  # forgets those at nought

    def close(self) -> None:
        for conversation in list(self.talking):
            conversation.dismiss()

    # The hooks aiosmtpd looks for by name.

    async def handle_EHLO(  # noqa: N802
        self, server: "Conversation", session: Session, _: Transaction, hostname: str, lines: list[str]
    ) -> list[str]:
        session.host_name = hostname
        offered = [line for line in lines if line.strip() != "250-AUTH"]  # no users, no AUTH
        offered.insert(1, "250-ENHANCEDSTATUSCODES")
        return ["\r\n".join(offered)]  # one packet instead of seven

    async def handle_RCPT(  # noqa: N802
        self, server: "Conversation", _: Session, transaction: Transaction, address: str, options: list[str]
    ) -> str:
        if not self.desk.knows(address):
            return await server.unknown(address)
        if len(transaction.rcpt_tos) >= self.terms.recipients:
            return "452 4.5.3 Too many recipients, send the others in another mail"
        transaction.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        # Not aiosmtpd's 500 with the error's text: a fault of ours must not bounce the mail, nor tell of the inside.
        theirs = isinstance(error, TLSSetupException)  # scanners' commonest
        log.log(logging.DEBUG if theirs else logging.ERROR, "mail conversation failed: %s", type(error).__name__)
        return "451 4.3.0 Something went wrong here, try again later"

    def authenticate(self, _: SMTP, __: Session, ___: Transaction, mechanism: str, offered: Any) -> AuthResult:
        assert isinstance(offered, LoginPassword)
        secret = self.terms.users.get(offered.login.decode("utf-8", "replace"))
        right = hmac.compare_digest(secret or b"\0", offered.password) and secret is not None
        return AuthResult(success=right, handled=False, auth_data=offered if right else None)


class Hold:
    """What one mail takes of the memory for those that are not whole yet; given back at the end."""

    def __init__(self, door: Door) -> None:
        self.door, self.mine, self.full = door, 0, False

    def more(self, octets: int) -> bool:
        """Whether there is room for these too. Once there was none, nothing of the mail is held."""
        self.full = self.full or (self.mine > SMALL and self.door.held - self.mine > HELD)
        self._change(-self.mine if self.full else octets)
        return not self.full

    def _change(self, octets: int) -> None:
        self.mine += octets
        self.door.held += octets

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        self._change(-self.mine)


class Conversation(SMTP):
    """One connection."""

    commands: ClassVar[list[str]] = []
    command_size_limit = 4096  # RFC 4954 lets AUTH be longer than 512
    line_length_limit = PIECE  # the reader's buffer; lines of a mail may be of any length (Chinese senders need it)

    def __init__(self, door: Door) -> None:
        terms = door.terms
        self.door = door
        self.command_size_limits = defaultdict(lambda: self.command_size_limit)  # the class's own is shared by all
        super().__init__(
            door,
            data_size_limit=terms.size_limit,
            enable_SMTPUTF8=True,
            hostname=terms.hostname,
            ident="Ticketgate",
            tls_context=terms.tls_context,
            timeout=terms.timeout,
            auth_required=terms.auth_required,
            auth_require_tls=not terms.auth_without_tls,
            auth_exclude_mechanism=() if terms.users else ("LOGIN", "PLAIN"),
            authenticator=door.authenticate,
            command_call_limit={"AUTH": 10, "*": sys.maxsize},
            loop=asyncio.get_running_loop(),
        )
        self._unknown = 0
        self._turned_away = False  # a recipient of this mail

    def __dir__(self) -> list[str]:
        # aiosmtpd looks through all its attributes, twice, for every connection; these are the ones it seeks.
        return self.commands

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        upgraded = self in self.door.talking  # by STARTTLS
        if upgraded or self.door.enter(self, _remote(transport)):
            super().connection_made(transport)
        else:
            _hang_up(transport, b"421 4.7.0 Too many connections, try again later\r\n")

    def connection_lost(self, error: Exception | None) -> None:
        if self in self.door.talking:
            self.door.leave(self)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._reset_timeout()  # with whatever is heard: a slow line is no dead one
        super().data_received(data)

    def eof_received(self) -> bool | None:
        if self not in self.door.talking:
            return None
        if self._tls_protocol:
            return super().eof_received()
        # Programs that say all at once and no more wait for the answers; aiosmtpd would drop what is not read yet.
        return asyncio.StreamReaderProtocol.eof_received(self)

    async def handle_exception(self, error: Exception) -> str:
        if not isinstance(error, asyncio.IncompleteReadError):
            return await super().handle_exception(error)
        self.dismiss()  # at the end of what they say; what is answered then goes nowhere
        return "421 4.4.2 Nothing more to hear"

    def _timeout_cb(self) -> None:
        self.dismiss("4.4.2 Nothing heard for too long")

    def dismiss(self, why: str = "4.3.2 Closing down") -> None:
        """Hang up; what was not answered will be sent again."""
        if self.transport is not None:
            _hang_up(self.transport, f"421 {why}, try again later\r\n".encode())

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        self._turned_away = False
        if self.door.terms.tls_required and not self._tls_protocol:
            await self.push("530 5.7.0 Must issue a STARTTLS command first")
            return
        declared = _SIZE.search(arg or "")
        if declared and self.session and self.session.host_name and int(declared[1]) > self.door.terms.size_limit:
            arrival = self._arrival(b"", mail_from=(arg or "").partition("<")[2].partition(">")[0])
            await self.door.desk.turn_away("oversized", f"declared as {declared[1]} octets", arrival)
        await super().smtp_MAIL(arg)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if self._tls_protocol:
            await self.push("503 5.5.1 TLS is on already")
        else:
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802
        mechanism, _, response = (arg or "").partition(" ")
        await super().smtp_AUTH(f"{mechanism.upper()} {response}".strip())

    async def challenge_auth(self, *challenge: Any, **more: Any) -> Any:
        try:
            return await super().challenge_auth(*challenge, **more)
        except ValueError:  # the reader's: longer than it holds
            self.dismiss("5.5.6 Line too long")
            return MISSING

    async def unknown(self, address: str) -> str:
        """The answer to a recipient we do not know; the first of each mail is kept."""
        self._unknown += 1
        if not self._turned_away:
            self._turned_away = True
            arrival = self._arrival(b"", rcpt_to=(address,))
            await self.door.desk.turn_away("unknown_recipient", "no account has this address", arrival)
        if self._unknown > UNKNOWN_RECIPIENTS:
            self.loop.call_soon(self.dismiss)
        return "550 5.1.1 No such mailbox here"

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        if await self.check_helo_needed() or await self.check_auth_needed("DATA"):
            return
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push("503 5.5.1 Error: need RCPT command")
        elif arg:
            await self.push("501 5.5.4 Syntax: DATA")
        else:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            await self._data(len(self.envelope.rcpt_tos))

    async def _data(self, recipients: int) -> None:
        with Hold(self.door) as hold:
            size, content = await read_content(self._reader, self.door.terms.size_limit, hold.more)
        full = hold.full and size <= self.door.terms.size_limit
        status = TOO_MUCH if full else await self._status(size, self._arrival(content))
        self._set_post_data_state()  # type: ignore[no-untyped-call]
        await self.push("\r\n".join([status] * self.answers(recipients)))

    def answers(self, recipients: int) -> int:
        return 1

    async def _status(self, size: int, arrival: Arrival) -> str:
        if size > self.door.terms.size_limit:
            await self.door.desk.turn_away("oversized", f"larger than {self.door.terms.size_limit} octets", arrival)
            return "552 5.3.4 Message too big"
        try:
            # RFC 5321 4.2.5: a 250 after DATA hands us the responsibility, so the desk comes first.
            return f"250 2.0.0 OK {await self.door.desk.take(arrival)}"
        except Exception as error:
            log.warning("mail not taken: %s", type(error).__name__)
            return "452 4.3.1 No room" if _disk_full(error) else "451 4.3.0 Cannot take it now, try again later"

    def _arrival(
        self, content: bytes, *, mail_from: str | None = None, rcpt_to: tuple[str, ...] | None = None
    ) -> Arrival:
        assert self.session is not None
        assert self.envelope is not None
        return Arrival(
            content=content,
            mail_from=(self.envelope.mail_from or "").strip("<>") if mail_from is None else mail_from,
            rcpt_to=tuple(self.envelope.rcpt_tos) if rcpt_to is None else rcpt_to,
            helo=self.session.host_name or "",
            remote=_remote(self.transport),
            tls=_tls(self.transport),
            auth_user=self._user(),
        )

    def _user(self) -> str:
        offered = self.session.auth_data if self.session else None
        return offered.login.decode("utf-8", "replace") if isinstance(offered, LoginPassword) else ""

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        # The plain form, nearly every one, needs no RFC 5322 grammar (0.3 ms an address).
        plain = _ADDRESS.match(arg)
        try:
            return (plain[1], plain[2]) if plain else super()._getaddr(arg)
        except (LookupError, RecursionError):  # the grammar's own, over a lone quote or a thousand parentheses
            return None, None

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        if not all(map(str.isascii, params)):
            return None
        # RFC 4954 5: who offers AUTH takes MAIL's AUTH= too. Whom it names does not matter here.
        return super()._getparams([one for one in params if not one.startswith("AUTH=")])


class LocalConversation(LMTP, Conversation):
    """LMTP: greeted with LHLO, answered once for each recipient (RFC 2033 4.2)."""

    def answers(self, recipients: int) -> int:
        return recipients


for kind in (Conversation, LocalConversation):
    kind.commands = [name for name in dir(kind) if name.startswith(("smtp_", "auth_"))]


async def read_content(
    reader: asyncio.StreamReader, limit: int, more: Callable[[int], bool] = lambda _: True
) -> tuple[int, bytes]:
    """The size of a mail as sent after DATA, and the mail, its dots unstuffed (RFC 5321 4.5.2).

    Only CRLF.CRLF ends it: a lone LF or CR never does, so nobody smuggles a second mail past the server before us.
    What follows stays in the reader. Of a mail over the limit the first 64 KB come back, and nothing of one for which
    `more` says that there is no room for so many octets more.
    """
    # RFC 5321 4.1.1.4: the CRLF that ends the DATA command may be the one that begins CRLF.CRLF.
    reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]
    pieces: list[bytes] = []
    size, ended = -len(END), False
    while not ended:
        piece, ended = await _piece(reader)
        if size <= max(limit, KEPT):
            pieces.append(piece)
            if not more(len(piece)):
                pieces.clear()
        size += len(piece)
    whole = b"".join(pieces)[: KEPT if size > limit else -3]
    return size, whole.replace(b"\r\n.", b"\r\n")[2:]


async def _piece(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    try:
        return await reader.readuntil(END), True
    except asyncio.LimitOverrunError as over:
        # What cannot hold the end; its first octets, if they are there, stay behind.
        return await reader.readexactly(over.consumed), False


def _hang_up(transport: asyncio.BaseTransport, last_words: bytes) -> None:
    writing = cast(asyncio.WriteTransport, transport)  # uvloop's are none by name
    if writing.get_write_buffer_size():  # they do not listen, and closing would wait until they do
        writing.abort()
    else:
        writing.write(last_words)
        writing.close()


def _remote(transport: asyncio.BaseTransport | None) -> str:
    peer = transport.get_extra_info("peername") if transport else None
    return str(peer[0]) if isinstance(peer, tuple) else "local"


def _tls(transport: asyncio.BaseTransport | None) -> str:
    secured = transport.get_extra_info("ssl_object") if transport else None
    return secured.version() or "" if secured else ""


def _clean(said: str) -> str:
    """Octets that are no UTF-8 come from aiosmtpd as lone surrogates, which no store takes."""
    return said.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _disk_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "disk is full" in str(error):  # as SQLite says it
            return True
        error = error.__cause__ or error.__context__
    return False
