"""Mail, brought to our own port by SMTP or LMTP, and answered through a relay.

Mailroom   one door (a port or several) and the accounts whose addresses it serves
EmailSmtp  one account (mail_account.py) and the door its mail comes in by
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.base import Accept, AccountSettings, Clock, Refuse, where
from connectors.mail_account import MailAccount, MailSettings, scan
from connectors.mail_proof import proof
from connectors.places import File, Listen, host_and_port
from connectors.smtp import Arrival, Conversation, Door, LocalConversation, Terms
from normalizer.canon import Envelope
from normalizer.errors import ConfigError
from normalizer.identity import email_address


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


class EmailSmtpSettings(MailSettings):
    door: Entrance | str | None = None  # none: this account only sends
    check_dkim: bool = False  # ask the DNS ourselves, where no server in front of us says what it found
    trusted_relays: tuple[IPv4Network | IPv6Network, ...] = ()  # servers that only pass on senders they have proven


class EmailSmtp(MailAccount):
    name: ClassVar[str] = "email_smtp"
    Settings: ClassVar[type[AccountSettings]] = EmailSmtpSettings
    settings: EmailSmtpSettings

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

    def vouched(self, envelope: Envelope) -> bool:
        if not self.settings.trusted_relays:
            return False
        with suppress(ValueError):
            remote = ip_address(envelope.transport.get("remote", ""))
            return any(remote in network for network in self.settings.trusted_relays)
        return False

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
                return await _open_socket_file(address.removeprefix("unix:"), conversation)
            host, port = host_and_port(address)
            return await loop.create_server(conversation, host or None, port, backlog=1024)
        except (OSError, ValueError) as error:
            place = where(self.accounts[0].settings, "door.listen")
            what = f"cannot listen on {address}: {error}"
            hint = "a free host:port, or a port above 1024 unless started as root"
            if address.startswith("unix:"):
                hint = "unix:/path in a folder that is there, and that we may write to"
            raise ConfigError(place, what, hint) from None


async def _open_socket_file(path: str, conversation: Any) -> asyncio.Server:
    """For everybody on this machine, as a port of it would be: the mail server is another user than we are.

    Who must not bring mail is kept out of its folder.
    """
    server = await asyncio.get_running_loop().create_unix_server(conversation, path, backlog=1024)
    await asyncio.to_thread(Path(path).chmod, 0o666)
    return server


class Reception:
    """The desk behind a door: mail becomes an envelope of the first account it names."""

    def __init__(self, accounts: Sequence[EmailSmtp], accept: Accept, refuse: Refuse, clock: Clock) -> None:
        self.accounts, self.accept, self.refuse, self.clock = accounts, accept, refuse, clock

    def knows(self, recipient: str) -> bool:
        return any(account.knows(recipient) for account in self.accounts)

    async def take(self, arrival: Arrival) -> str:
        account = self._first(arrival.rcpt_to)
        envelope = account.envelope(arrival, self.clock())
        if account.settings.check_dkim and (found := await proof(arrival.content)):
            envelope = replace(envelope, transport={**envelope.transport, **found})
        await self.accept([envelope])
        return envelope.id

    async def turn_away(self, code: str, reason: str, arrival: Arrival) -> None:
        account = self._first(arrival.rcpt_to)
        await self.refuse(account.name, account.settings.account, code, reason, arrival.content, arrival.facts())

    def _first(self, recipients: Sequence[str]) -> EmailSmtp:
        named = (account for account in self.accounts if any(map(account.knows, recipients)))
        return next(named, self.accounts[0])


def _shown(name: Any) -> str:
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else f"unix:{name}"
