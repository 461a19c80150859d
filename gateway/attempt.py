"""Trying a message or a rule: `ticketgate normalize` and `ticketgate decide`. Nothing is stored, nothing is sent.

What is printed here is how people and programs measure the project, so its form is stable: docs/reference/printed.md.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import orjson

from connectors import registry
from connectors.base import AccountSettings, Connector
from engine.decision import Acknowledge, Case, Decision
from engine.thread import Found, place
from gateway import mind
from gateway.clock import Clock, SystemClock
from gateway.mind import Mind
from gateway.settings import Configured
from normalizer import mime
from normalizer.canon import Channel, Envelope, Kind, Message, digest, load, public
from normalizer.errors import ConfigError, Unreadable, Where
from normalizer.moments import utc
from normalizer.printed import printed

# A channel's usual connector, where the words differ.
CONNECTOR_OF = {
    "email": "email_smtp", "form": "webform", "sms": "twilio", "whatsapp": "meta", "messenger": "meta",
    "instagram": "meta", "chat": "webchat", "app": "webchat",
}  # fmt: skip
FORM = "application/x-www-form-urlencoded"
SAMPLE_NUMBER = "00000000001"  # the number an acknowledgement bears that is only shown
MAX_INPUT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Tried:
    """A decision about one message, and how it is printed."""

    decision: Decision
    printed: dict[str, Any]


def inputs(files: list[Path] | None) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each file; of standard input, called `-`, if there is none. Raises ConfigError."""
    for file in files or [Path("-")]:
        if str(file) == "-":
            yield "-", sys.stdin.buffer.read(MAX_INPUT)
            continue
        try:
            yield str(file), file.read_bytes()
        except OSError as e:
            raise ConfigError(Where(str(file)), f"cannot be read: {e.strerror}") from e


def split(arguments: list[str]) -> tuple[str, list[Path]]:
    """A leading channel or connector, and the files after it. A file named like a channel needs ./ before it."""
    first = arguments[0] if arguments else ""
    known = {*get_args(Channel), *registry.known("ticketgate.connectors")}
    is_channel = first in known
    return (first if is_channel else ""), [Path(name) for name in arguments[is_channel:]]


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """As the customer would read it, with a sample number."""

    template: str
    language: str
    subject: str
    text: str


CHATS = frozenset(get_args(Channel)) - {"email", "form", "api", "import"}
DONE_NOT_SAID = frozenset((Kind.POSTBACK, Kind.EDIT, Kind.DELETE, Kind.REACTION))


def is_said(message: Message) -> bool:
    """Whether somebody outside says something new in it: of a chat nothing else is printed.

    What is clicked, edited, taken back or marked is no message in the vendors' words, except in WhatsApp's.
    """
    if message.channel not in CHATS:
        return True
    done = message.kind in DONE_NOT_SAID and message.channel != "whatsapp"
    return message.direction == "in" and message.kind is not Kind.DELIVERY_NOTICE and not done


class Reader:
    """Reads what one channel's bytes say, by the settings of one of its accounts."""

    def __init__(
        self,
        configured: Configured,
        channel: str,
        account: str = "",
        known: Mind | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.mind = known or mind.read(configured)
        self.clock = clock or SystemClock()
        # A mail says all there is to say about itself; whose address it was written to is asked only of an account.
        self.connector = None if channel == "email" and not account else self._connector(channel, account)
        # Meta posts WhatsApp's messages as JSON, Twilio as forms; an account says whose they are.
        self.of_forms = self._connector("sms", "") if channel == "whatsapp" and not account else self.connector

    def messages(self, file: str, raw: bytes) -> Iterator[Message]:
        """The messages in these bytes, understood; none if nobody said anything. Ends in Unreadable if some cannot."""
        try:
            yield from map(self.mind.enricher.enrich, self._parsed(digest("try", file, raw), raw))
        except Unreadable as e:
            yield from map(self.mind.enricher.enrich, e.readable)
            raise

    def _parsed(self, key: str, raw: bytes) -> Sequence[Message]:
        now = self.clock.now()
        if self.connector is None:
            return [mime.message(raw, connector="email_smtp", account="", received_at=now, envelope_id=key)]
        kind = content_type(raw)
        connector = self.of_forms if self.of_forms and kind == FORM else self.connector
        settings, transport = connector.settings, {"content-type": kind}
        return connector.parse(Envelope(settings.connector, settings.account, key, "", now, raw, transport))

    def printed(self, file: str, raw: bytes) -> Iterator[dict[str, Any]]:
        """One object for each message; what cannot be read gives one that says why."""
        try:
            for message in self.messages(file, raw):
                if is_said(message):
                    yield printed(message, file)
        except Unreadable as e:
            yield {"file": file, "unreadable": e.code, "reason": e.reason}

    def _connector(self, channel: str, account: str) -> Connector:
        wanted = CONNECTOR_OF.get(channel, channel)
        known = self.mind.connectors.items()
        accounts = [one for (name, owner), one in known if name == wanted and account in ("", owner)]
        if accounts:
            return next((one for one in accounts if getattr(one.settings, "channel", "") == channel), accounts[0])
        if account:
            raise ConfigError(Where("--account"), f"no account {wanted}/{account} is configured", _known(self.mind))
        kind = registry.connector(wanted, Where(channel))
        build: Callable[[AccountSettings], Connector] = kind
        try:
            said = {"connector": wanted, "account": "try", **getattr(kind, "unconfigured", {})}
            if wanted != channel and "channel" in kind.Settings.model_fields:
                said["channel"] = channel
            return build(kind.Settings.model_validate(said))
        except ValueError as e:
            raise ConfigError(
                Where(channel),
                f"{wanted} needs settings to be read by",
                f"configure one; there are {_known(self.mind)}",
            ) from e


class Decider:
    """What the rules would decide about a message nobody has seen before."""

    def __init__(self, configured: Configured, channel: str, account: str = "") -> None:
        self.reader = Reader(configured, channel, account) if channel else None
        self.mind = self.reader.mind if self.reader else mind.read(configured)
        self.clock = SystemClock()

    def decided(self, file: str, raw: bytes) -> Iterator[Tried]:
        """One for each message. Ends in Unreadable or ConfigError at what is none."""
        for message in self.reader.messages(file, raw) if self.reader else canonical(file, raw):
            decision = self.decide(message)
            yield Tried(decision, {"file": file, **public(decision), "acknowledgement": self.words(decision)})

    def decide(self, message: Message) -> Decision:
        return self.mind.decide(first(message, self.clock.now()))[0]

    def words(self, decision: Decision) -> dict[str, str] | None:
        letter = acknowledgement(self.mind, decision)
        return {"template": letter.template, "subject": letter.subject, "text": letter.text} if letter else None

    def explained(self, tried: Tried, language: str) -> str:
        lines = self.mind.explain(tried.decision, language)
        words = tried.printed["acknowledgement"]
        letter = f"\n\n  {words['subject']}\n\n  " + words["text"].replace("\n", "\n  ") if words else ""
        return f"{tried.printed['file']}\n" + "\n".join(f"  {line}" for line in lines) + letter + "\n"


def acknowledgement(mind: Mind, decision: Decision) -> Acknowledgement | None:
    """What the decision says to the customer; None if it says nothing."""
    template = next((effect.template for effect in decision.effects if isinstance(effect, Acknowledge)), "")
    ticket = replace(decision.ticket, number=SAMPLE_NUMBER)
    if not template:
        return None
    words = mind.words(template, ticket, decision.case.contact)
    return Acknowledgement(template, words.language, words.subject, words.text)


def first(message: Message, now: datetime, tier: str = "") -> Case:
    """The case of a message from somebody nobody has heard of before, or who is of this tier."""
    now = max(now, message.received_at)
    placed = place(message, Found(), now)
    contact = replace(placed.contact, tier=tier) if tier else placed.contact
    return Case(placed.trigger, now, placed.ticket, contact, message, message.proven)


def canonical(file: str, raw: bytes) -> Iterator[Message]:
    """Messages as `ticketgate normalize` prints them: JSON lines, one object, or a list."""
    for number, line in enumerate(_objects(raw), 1):
        try:
            yield _dated(load(Message, line))
        except ValueError as e:
            raise ConfigError(Where(file, number, 1), f"is no canonical message: {str(e).splitlines()[0]}",
                              "give a channel first, such as: decide email FILE") from e  # fmt: skip


def _dated(message: Message) -> Message:
    if message.received_at.tzinfo is None or utc(message.received_at) is None:
        raise ValueError(f"received_at: {message.received_at.isoformat()} is no instant; write 2026-03-02T09:30:00Z")
    return message


def content_type(raw: bytes) -> str:
    """What a file most likely is, where a request would have said so."""
    start = raw.lstrip()[:1]
    if start in (b"{", b"["):
        return "application/json"
    if raw.startswith(b"--") and b"\r\n" in raw[:200]:
        boundary = raw[2 : raw.index(b"\r\n")].decode("latin-1")
        return f"multipart/form-data; boundary={boundary}"
    return FORM if b"=" in raw[:200] and start != b"<" else "application/octet-stream"


def _objects(raw: bytes) -> list[bytes]:
    try:
        whole = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return [line for line in raw.splitlines() if line.strip()]
    return [orjson.dumps(one) for one in (whole if isinstance(whole, list) else [whole])]


def _known(known: Mind) -> str:
    return ", ".join("/".join(key) for key in known.connectors) or "none"
