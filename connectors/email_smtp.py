"""Mail, brought to our own port by SMTP or LMTP, and answered through a relay.

Mailroom   one door (a port or several) and the accounts whose addresses it serves
EmailSmtp  one account: its addresses, whose word it trusts, and the relay its replies leave by
"""

import asyncio
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.base import Accept, AccountSettings, Clock, Refuse, where
from connectors.mail_out import LOOP, Postbox, Relay, compose
from connectors.places import File, Listen, host_and_port
from connectors.smtp import Arrival, Conversation, Door, LocalConversation, Terms
from normalizer.addresses import address_list
from normalizer.canon import Envelope, Kind, Message, Reply, Sent, digest
from normalizer.errors import ConfigError, Refused
from normalizer.identity import email_address
from normalizer.mime import message

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_LOOP = re.compile(rb"^%b:\s*(\S+)" % LOOP.encode(), re.IGNORECASE | re.MULTILINE)
_ONE = re.compile(rb"\s*[^<>,;:()]*<([\w.+=-]+@[A-Za-z0-9.-]+)>\s*", re.ASCII)
_FROM = re.compile(rb"^from:((?:.*(?:\r?\n[ \t].*)*))", re.IGNORECASE | re.MULTILINE)


class Tls(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: File  # PEM, with the chain
    key: File
    required: bool = False  # no mail before STARTTLS


class Entrance(BaseModel):
    """Where mail comes in, and on what terms. Accounts may share one: `door: support` names the account that has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: tuple[Listen, ...] = ("127.0.0.1:2525",)  # host:port, [::]:port, :port or unix:/path
    protocol: Literal["smtp", "lmtp"] = "smtp"
    hostname: str = "localhost"  # how we greet
    tls: Tls | None = None
    users: Mapping[str, SecretStr] = Field(default_factory=dict)
    auth_required: bool = False
    auth_without_tls: bool = False  # LOGIN and PLAIN in the clear: only on a line nobody else hears
    size_limit: int = Field(default=25 * 1024 * 1024, gt=0)
    timeout: float = Field(default=300, gt=0)  # seconds of silence
    connections: int = Field(default=500, gt=0)
    connections_per_remote: int = Field(default=100, gt=0)
    recipients: int = Field(default=100, gt=0)  # of one mail (RFC 5321 4.5.3.1.8)


class EmailSmtpSettings(AccountSettings):
    addresses: tuple[str, ...] = Field(min_length=1)  # support@example.com, *@example.com
    aliases: tuple[str, ...] = ()  # other names customers write to, forwarded here: mail to them is mail to us
    door: Entrance | str | None = None  # none: this account only sends
    trusted_authserv: tuple[str, ...] = ()  # whose Authentication-Results count
    trusted_relays: tuple[IPv4Network | IPv6Network, ...] = ()  # servers that only pass on senders they have proven
    relay: Relay | None = None  # none: this account only receives
    sender: str = ""  # replies come from here; the first address if empty
    sender_name: str = ""
    bounces: str = ""  # MAIL FROM of replies; empty: <>, so that nobody answers them (RFC 3834 3.3)


class EmailSmtp:
    name: ClassVar[str] = "email_smtp"
    Settings: ClassVar[type[AccountSettings]] = EmailSmtpSettings

    def __init__(self, settings: EmailSmtpSettings) -> None:
        self.settings = settings
        self.addresses = frozenset(map(email_address, settings.addresses))
        self.sender = settings.sender or next((a for a in settings.addresses if not a.startswith("*")), "")
        self._named = self.addresses | frozenset(map(email_address, settings.aliases))
        self._own = self._named | {email_address(one) for one in (self.sender, settings.bounces) if one}
        self._domains = {address.rpartition("@")[2] for address in (*self.addresses, email_address(self.sender))}
        self._trusted = frozenset(name.lower() for name in settings.trusted_authserv)
        self._postbox = self._opened(settings.relay)

    def _opened(self, relay: Relay | None) -> Postbox | None:
        if relay and "@" not in self.sender:
            raise ConfigError(where(self.settings, "sender"), "no address to send from", "sender: support@example.com")
        return Postbox(relay, where(self.settings, "relay")) if relay else None

    def knows(self, recipient: str) -> bool:
        return matches(self.addresses, recipient)

    @property
    def sends(self) -> bool:
        return self._postbox is not None

    def owns(self, address: str) -> bool:
        return matches(self._own, address)

    def envelope(self, arrival: Arrival, received_at: datetime) -> Envelope:
        key, sender = scan(arrival.content)
        return Envelope(
            connector=self.name,
            account=self.settings.account,
            key=key,
            lane=sender or email_address(arrival.mail_from) or key,
            received_at=received_at,
            body=arrival.content,
            transport=arrival.facts(),
        )

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        path = envelope.transport.get("return_path", "")
        mail = message(
            # The last server writes Return-Path (RFC 5321 4.4), and that is us.
            b"Return-Path: %b\r\n%b" % (path.encode(), envelope.body) if path else envelope.body,
            connector=envelope.connector,
            account=envelope.account,
            received_at=envelope.received_at,
            envelope_id=envelope.id,
            channel="email",
            trusted=self._trusted,
        )
        return [self._judged(mail, envelope)]

    def _judged(self, mail: Message, envelope: Envelope) -> Message:
        """What only the account can tell: whether the way proves the sender, and whether it was written to us."""
        if self._ours(envelope.body):
            return replace(mail, kind=Kind.LOOP, answerable=False)
        # RFC 3834 2: no answer to mail that names us neither in To nor in Cc.
        named = any(matches(self._named, address.address) for address in (*mail.to, *mail.cc))
        proven = mail.proven or self._relayed(envelope.transport.get("remote", ""))
        return replace(mail, proven=proven, answerable=mail.answerable and named)

    def _relayed(self, remote: str) -> bool:
        with suppress(ValueError):
            return any(ip_address(remote) in network for network in self.settings.trusted_relays)
        return False

    def _ours(self, raw: bytes) -> bool:
        """Whether this is a reply of this house that came back."""
        mark = _LOOP.search(head_of(raw))
        return mark is not None and mark[1].decode("ascii", "replace").lower() in self._domains

    async def send(self, reply: Reply, now: datetime) -> Sent:
        if self._postbox is None:
            raise Refused(f"account {self.settings.account} has no relay to send by")
        mail = compose(reply, self.sender, self.settings.sender_name, now)
        await self._postbox.deliver(mail, self.settings.bounces)
        return Sent(external_id=str(mail["Message-ID"]).strip("<>"))

    async def close(self) -> None:
        if self._postbox:
            await self._postbox.close()

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        for mailroom in self.doors([self]):
            await mailroom.listen(accept, refuse, clock)

    @classmethod
    def doors(cls, accounts: Sequence["EmailSmtp"]) -> list["Mailroom"]:
        """One listener for every door, with all the accounts that share it, in the order configured."""
        named = {account.settings.account: account for account in accounts}
        shared: dict[str, list[EmailSmtp]] = {}
        for account in accounts:
            if owner := account._owner(named):
                shared.setdefault(owner, []).append(account)
        return [Mailroom(named[owner].settings.door, accounts) for owner, accounts in shared.items()]

    def _owner(self, named: Mapping[str, "EmailSmtp"]) -> str:
        """The account whose door this one uses; empty if none."""
        match self.settings.door:
            case None:
                return ""
            case Entrance():
                return self.settings.account
            case owner if owner in named and isinstance(named[owner].settings.door, Entrance):
                return owner
            case owner:
                raise ConfigError(where(self.settings, "door"), f"account {owner!r} has no door", "the settings of one")


class Mailroom:
    """A door and the accounts behind it. A mail to several of them goes to the one configured first."""

    def __init__(self, entrance: Any, accounts: Sequence[EmailSmtp]) -> None:
        self.entrance: Entrance = entrance
        self.accounts = accounts
        self.bound: list[str] = []  # where it listens, once it does; ports given as 0 are known then
        self.name = "email_smtp:" + ",".join(account.settings.account for account in accounts)

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        door = Door(self._terms(), Reception(self.accounts, accept, refuse, clock))
        speech = LocalConversation if self.entrance.protocol == "lmtp" else Conversation
        servers: list[asyncio.Server] = []
        try:
            for address in self.entrance.listen:
                servers.append(await self._open(address, lambda: speech(door)))  # noqa: PERF401, closed if a later one fails
            self.bound = [_shown(socket.getsockname()) for server in servers for socket in server.sockets]
            await asyncio.Event().wait()
        finally:
            self.bound = []
            for server in servers:
                server.close()
            door.close()

    def _terms(self) -> Terms:
        entrance = self.entrance
        shared = ("hostname", "size_limit", "timeout", "connections", "connections_per_remote", "recipients",
                  "auth_required", "auth_without_tls")  # fmt: skip
        return Terms(
            users={user: secret.get_secret_value().encode() for user, secret in entrance.users.items()},
            tls_context=self._tls_context(entrance.tls) if entrance.tls else None,
            tls_required=bool(entrance.tls and entrance.tls.required),
            **{name: getattr(entrance, name) for name in shared},
        )

    def _tls_context(self, tls: Tls) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(tls.certificate, tls.key)
        except (OSError, ssl.SSLError) as error:
            what = f"cannot use the certificate {tls.certificate} with {tls.key}: {error.strerror or error}"
            raise ConfigError(where(self.accounts[0].settings, "door.tls"), what, "PEM files, readable by us") from None
        return context

    async def _open(self, address: str, conversation: Any) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        try:
            if address.startswith("unix:"):
                return await loop.create_unix_server(conversation, address.removeprefix("unix:"))
            host, port = host_and_port(address)
            return await loop.create_server(conversation, host or None, port, backlog=1024)
        except (OSError, ValueError) as error:
            place = where(self.accounts[0].settings, "door.listen")
            what = f"cannot listen on {address}: {error}"
            raise ConfigError(place, what, "a free host:port, or a port above 1024 unless started as root") from None


class Reception:
    """The desk behind a door: mail becomes an envelope of the first account it names."""

    def __init__(self, accounts: Sequence[EmailSmtp], accept: Accept, refuse: Refuse, clock: Clock) -> None:
        self.accounts, self.accept, self.refuse, self.clock = accounts, accept, refuse, clock

    def knows(self, recipient: str) -> bool:
        return any(account.knows(recipient) for account in self.accounts)

    async def take(self, arrival: Arrival) -> str:
        envelope = self._first(arrival.rcpt_to).envelope(arrival, self.clock())
        await self.accept([envelope])
        return envelope.id

    async def turn_away(self, code: str, reason: str, arrival: Arrival) -> None:
        account = self._first(arrival.rcpt_to)
        await self.refuse(account.name, account.settings.account, code, reason, arrival.content, arrival.facts())

    def _first(self, recipients: Sequence[str]) -> EmailSmtp:
        named = (account for account in self.accounts if any(map(account.knows, recipients)))
        return next(named, self.accounts[0])


def matches(addresses: Iterable[str], recipient: str) -> bool:
    """Whether an address is one of these, itself, without its +suffix, or by `*@domain`."""
    local, _, domain = email_address(recipient).rpartition("@")
    return bool({f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}", f"*@{domain}"} & frozenset(addresses))


def head_of(raw: bytes) -> bytes:
    end = raw.find(b"\r\n\r\n", 0, 256 * 1024)
    if end < 0:
        bare = _HEAD_END.search(raw, 0, 256 * 1024)
        end = bare.start() if bare else 64 * 1024
    return raw[: end + 1]


def scan(raw: bytes) -> tuple[str, str]:
    """What the door must know of a mail without reading it: its key, and the sender's address (empty if none).

    The key is Message-ID and body, since broken senders repeat the one and servers add to the header above the other;
    without a Message-ID it is the whole mail.
    """
    head = head_of(raw)
    named, sender = _MESSAGE_ID.search(head), _FROM.search(head)
    body = raw[len(head) :].strip()
    key = f"{named[1].decode('utf-8', 'replace')} {digest(body)}" if named else digest(raw)
    return key, _sender(sender[1]) if sender else ""


def _sender(said: bytes) -> str:
    if plain := _ONE.fullmatch(said):  # nearly every From; the whole grammar takes five times as long
        return email_address(plain[1].decode())
    people = address_list(said, "")
    return people[0].address if people else ""


def _shown(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else f"unix:{name}"
