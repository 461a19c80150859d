"""What every mail account has, whichever way its mail comes in: addresses, whose word it trusts, a relay, one reading.

    email_smtp      it is brought to our own port
    email_imap      we go and fetch it
    email_service   a service takes it in for us, and calls

The same mail by two of these is one message, since all read it alike.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import Field

from connectors.base import AccountSettings, where
from connectors.mail_keys import SEPARATOR, bare, keyed, keys
from connectors.mail_out import LOOP, Postbox, Relay, compose, posted
from connectors.mail_signing import Dkim, Signer
from normalizer.addresses import address_list
from normalizer.canon import Envelope, Kind, Message, Reply, Sent, altered, digest
from normalizer.errors import ConfigError, Refused
from normalizer.identity import email_address
from normalizer.mime import message
from normalizer.proof import aligned

_KEY_PLACE = re.compile(r"[+=_.-]*\{key\}")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r?\n[ \t]+)*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
_NAMES = re.compile(rb"[^<>\s@]\s*@")  # RFC 5322 3.6.4: something stands before its @
_LOOP = re.compile(rb"^%b:\s*(\S+)" % LOOP.encode(), re.IGNORECASE | re.MULTILINE)
_ONE = re.compile(rb"\s*[^<>,;:()]*<([\w.+=-]+@[A-Za-z0-9.-]+)>\s*", re.ASCII)
_REPLY_ID = re.compile(r"[0-9a-f]{32}@(.+)")
_FROM = re.compile(rb"^from:((?:.*(?:\r?\n[ \t].*)*))", re.IGNORECASE | re.MULTILINE)


class MailSettings(AccountSettings):
    addresses: tuple[str, ...] = Field(min_length=1)  # support@example.com, *@example.com
    aliases: tuple[str, ...] = ()  # other names customers write to, forwarded here: mail to them is mail to us
    trusted_authserv: tuple[str, ...] = ()  # whose Authentication-Results count
    relay: Relay | None = None  # none: this account only receives
    sender: str = ""  # replies come from here; the first address if empty
    sender_name: str = ""
    # MAIL FROM of replies; empty: <> of acknowledgements, so that nobody answers them (RFC 3834 3.3), and the sender of
    # what people write. With {key} in it, what comes back finds its ticket: bounces+{key}@example.com
    bounces: str = ""
    html: bool = True  # replies say the same in HTML too
    dkim: tuple[Dkim, ...] = ()  # keys that sign what is sent
    # Between our address and the ticket's key in Reply-To; empty: no keys. Without a word of it: + where mail comes in
    # by a door of ours, none elsewhere, since not every server takes support+anything@ for support@.
    reply_key: str | None = Field(default=None, pattern=f"^{SEPARATOR}$")


class MailAccount:
    """One account. Whoever inherits says how its mail comes in."""

    settings: Any  # MailSettings, and what the way in needs besides

    def __init__(self, settings: MailSettings) -> None:
        self.settings = settings
        self.addresses = frozenset(map(email_address, settings.addresses))
        self.sender = settings.sender or next((a for a in settings.addresses if not a.startswith("*")), "")
        self._named = self.addresses | frozenset(map(email_address, settings.aliases))
        self._own = self._named | {email_address(one) for one in (self.sender, self._bounces("")) if one}
        self._exact = frozenset(one for one in self._own if not one.startswith("*"))  # colleagues share the domain
        self.separator = self._separator()
        self._taken = self.addresses | {email_address(one) for one in (self._bounces(""),) if one}
        self._domains = {address.rpartition("@")[2] for address in (*self.addresses, email_address(self.sender))}
        self._trusted = frozenset(name.lower() for name in settings.trusted_authserv)
        self._postbox = self._opened(settings.relay)
        domain = email_address(self.sender).rpartition("@")[2]
        self.signers = [Signer(one, domain, where(settings, f"dkim[{n}].key")) for n, one in enumerate(settings.dkim)]

    async def try_relay(self, now: datetime) -> None:
        """Connect to the relay, log in and leave. Raises Unavailable."""
        if self._postbox:
            await self._postbox.try_out(now)

    def _opened(self, relay: Relay | None) -> Postbox | None:
        if relay and "@" not in self.sender:
            raise ConfigError(where(self.settings, "sender"), "no address to send from", "sender: support@example.com")
        return Postbox(relay, where(self.settings, "relay")) if relay else None

    def knows(self, recipient: str) -> bool:
        return matches(self._taken, recipient) or matches(self._taken, bare(recipient, self.separator))

    def _separator(self) -> str:
        """Between an address and its key; `door` is how mail comes in by SMTP."""
        usual = "+" if getattr(self.settings, "door", None) else ""
        return usual if self.settings.reply_key is None else str(self.settings.reply_key)

    def _bounces(self, key: str) -> str:
        """MAIL FROM of what is about the ticket with this key."""
        bounces = str(self.settings.bounces)
        return bounces.replace("{key}", key) if key else _KEY_PLACE.sub("", bounces)

    @property
    def _answered_at(self) -> str:
        """Where answers come in: at the sender's address, if that is one of ours; else at the first there is."""
        named = (one for one in self.settings.addresses if not one.startswith("*"))
        return self.sender if matches(self.addresses, self.sender) else next(named, self.sender)

    @property
    def sends(self) -> bool:
        return self._postbox is not None

    def _is_own(self, address: str) -> bool:
        return matches(self._exact, address)

    def owns(self, address: str) -> bool:
        return matches(self._own, address) or matches(self._own, bare(address, self.separator))

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        return [self.read(envelope, envelope.body)]

    def read(self, envelope: Envelope, raw: bytes) -> Message:
        """The message of a mail that came in this envelope."""
        path = envelope.transport.get("return_path", "")
        mail = message(
            # The last server writes Return-Path (RFC 5321 4.4), and that is us.
            b"Return-Path: %b\r\n%b" % (path.encode(), raw) if path else raw,
            connector=envelope.connector,
            account=envelope.account,
            received_at=envelope.received_at,
            envelope_id=envelope.id,
            channel="email",
            trusted=self._trusted,
            ours=self._is_own,
        )
        return self._judged(mail, envelope, raw)

    def _judged(self, mail: Message, envelope: Envelope, raw: bytes) -> Message:
        """What only the account can tell: whether the way proves the sender, and whether it was written to us."""
        if self._ours(raw) or self._named_by_us(mail.external_id):
            return replace(mail, kind=Kind.LOOP, answerable=False)
        # RFC 3834 2: no answer to mail that names us neither in To nor in Cc.
        to = [address.address for address in (*mail.to, *mail.cc)]
        named = any(matches(self._named, one) or matches(self._named, bare(one, self.separator)) for one in to)
        proven = mail.proven or self.vouched(envelope) or _signed(mail, envelope)
        found = {"dkim": "pass"} if envelope.transport.get("dkim") else {}
        ours = [one for one in (*envelope.transport.get("rcpt_to", "").split(), *to) if self.owns(one)]
        return altered(
            mail,
            proven=proven,
            authentication={**mail.authentication, **found},
            answerable=mail.answerable and named,
            reply_keys=keys(ours, self.separator or "+"),
        )

    def vouched(self, envelope: Envelope) -> bool:
        """Whether the way it came by proves the sender, whatever the mail says."""
        return False

    def _ours(self, raw: bytes) -> bool:
        """Whether this is a reply of this house that came back."""
        mark = _LOOP.search(head_of(raw))
        return mark is not None and mark[1].decode("ascii", "replace").lower() in self._domains

    def _named_by_us(self, message_id: str) -> bool:
        """The same where a server took our mark away: by a Message-ID as `compose` makes them."""
        named = _REPLY_ID.fullmatch(message_id)
        return named is not None and named[1].lower() in self._domains

    async def send(self, reply: Reply, now: datetime) -> Sent:
        if self._postbox is None:
            raise Refused(f"account {self.settings.account} has no relay to send by")
        answers = keyed(self._answered_at, reply.key, self.separator)
        mail = compose(reply, self.sender, self.settings.sender_name, now, answers, html=self.settings.html)
        bounces = self._bounces(reply.key) or ("" if reply.automatic else self.sender)
        await self._postbox.deliver(posted(mail, bounces, self.signers), now)
        return Sent(external_id=str(mail["Message-ID"]).strip("<>"))

    async def close(self) -> None:
        if self._postbox:
            await self._postbox.close()


def _signed(mail: Message, envelope: Envelope) -> bool:
    """Whether the sender's own domain signed it, as we found out at the door (mail_proof)."""
    domain = email_address(mail.sender.address).rpartition("@")[2]
    return bool(domain) and any(aligned(one, domain) for one in envelope.transport.get("dkim", "").split())


@lru_cache(maxsize=4096)
def matches(addresses: frozenset[str], recipient: str) -> bool:
    """Whether an address is one of these, itself, without its +suffix, or by `*@domain`."""
    local, _, domain = email_address(recipient).rpartition("@")
    return bool({f"{local}@{domain}", f"{local.partition('+')[0]}@{domain}", f"*@{domain}"} & addresses)


def head_of(raw: bytes) -> bytes:
    end = raw.find(b"\r\n\r\n", 0, 256 * 1024)
    if end < 0:
        bare = _HEAD_END.search(raw, 0, 256 * 1024)
        end = bare.start() if bare else 64 * 1024
    return raw[: end + 1]


def scan(raw: bytes) -> tuple[str, str]:
    """What the door must know of a mail without reading it: its key, and the sender's address (empty if none).

    The key is Message-ID and body, since broken senders repeat the one and servers add to the header above the other;
    without a Message-ID, or with one that others will use too (`<>`, `<1>`, `<@localhost>`), it is the whole mail.
    """
    head = head_of(raw)
    named, sender = _MESSAGE_ID.search(head), _FROM.search(head)
    body = raw[len(head) :].strip()
    identity = named[1] if named and _NAMES.search(named[1]) else b""
    key = f"{identity.decode('utf-8', 'replace')} {digest(body)}" if identity else digest(raw)
    return key, _sender(sender[1]) if sender else ""


def _sender(said: bytes) -> str:
    if plain := _ONE.fullmatch(said):  # nearly every From; the whole grammar takes five times as long
        return email_address(plain[1].decode())
    people = address_list(said, "")
    return people[0].address if people else ""
