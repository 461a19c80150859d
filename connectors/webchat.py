"""A chat on the company's own pages and in its apps: what may be said in it, and who says it.

The gateway's door (gateway/chat.py) holds the connections. It knows a visitor by a key it made, which proves nothing
but that they are the same again; a user of an app by a token that the app's backend signed (user_token.py).

There is nothing to send: the door shows a conversation as the store has it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from connectors import forms, user_token
from connectors.base import AccountSettings, ChatSettings, Finding, Label
from connectors.reading import is_nobody, kept, person
from normalizer.canon import Address, Attachment, Envelope, Kind, Message, Reply, Sent, digest
from normalizer.errors import Rejected, Unreadable

LONGEST: Mapping[str, int] = {"choice": 100, "name": 100, "email": 254, "phone": 40, "page": 500, "lang": 35}
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who is at the other end: `thread` names the conversation, which only they may see."""

    thread: str
    sender: Address
    proven: bool = False
    until: datetime | None = None  # the end of their token

    @property
    def facts(self) -> dict[str, str]:
        """As an envelope keeps it."""
        said = {"kind": self.sender.kind, "address": self.sender.address, "name": self.sender.name}
        return {"thread": self.thread, **said, "proven": "yes" if self.proven else ""}

    @classmethod
    def kept(cls, facts: Mapping[str, str]) -> "Speaker":
        """The one that an envelope was posted by; nobody for a file that never came through the door."""
        sender = Address(facts.get("kind") or "chat", facts.get("address", ""), facts.get("name", ""))
        return cls(facts.get("thread", ""), sender, facts.get("proven") == "yes")


class WebchatSettings(ChatSettings):
    channel: Literal["chat", "app"] = "chat"
    title: Label = Label(zh="在线客服", en="Chat with us")
    intro: Label = Label(zh="您好，请问有什么可以帮您？", en="Hello, how can we help you?")
    color: str = Field(default="#0b57d0", pattern=r"^#[0-9a-fA-F]{6}$")
    ask: tuple[Literal["name", "email", "phone"], ...] = ()  # what a visitor may tell before the first message
    agents: Literal["team", "names"] = "team"  # how those who answer are called
    origins: tuple[str, ...] = ()  # of pages elsewhere that may hold the widget: https://www.example.com
    secrets: tuple[SecretStr, ...] = ()  # by which an app signs who its user is; several while one is changed
    region: str = "CN"  # where phone numbers without + are
    size_limit: int = Field(default=25 * 1024 * 1024, gt=0)
    rate: int = Field(default=120, ge=0)
    messages_a_minute: int = Field(default=20, gt=0)  # of one visitor or user
    text_limit: int = Field(default=5000, gt=0)  # characters of one message
    files: int = Field(default=5, ge=0, le=forms.FILES)  # of one message
    connections: int = Field(default=2000, gt=0)  # at a time
    connections_per_remote: int = Field(default=100, gt=0)

    @field_validator("origins")
    @classmethod
    def _scheme_and_host(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write scheme and host alone: https://www.example.com")
        return value

    @field_validator("secrets")
    @classmethod
    def _hard_to_guess(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        """RFC 7518 3.2: a key as long as the hash."""
        if any(len(secret.get_secret_value().encode()) < 32 for secret in value):
            raise ValueError("a secret is shorter than 32 characters; `openssl rand -base64 48` makes one")
        return value


class Webchat:
    name: ClassVar[str] = "webchat"
    Settings: ClassVar[type[AccountSettings]] = WebchatSettings

    def __init__(self, settings: WebchatSettings) -> None:
        self.settings = settings
        self._keys = [secret.get_secret_value().encode() for secret in settings.secrets]

    # At the door

    @property
    def anonymous(self) -> bool:
        """Whether somebody may write whom no app vouches for."""
        return self.settings.channel == "chat"

    def visitor(self, identity: str) -> Speaker:
        """Somebody known by a key of the gateway's; `identity` names the key and cannot be turned back into it."""
        return Speaker(identity, Address("chat", identity))

    def user(self, token: str, now: datetime) -> Speaker:
        """Whom a token is about: one conversation, on whatever device. Raises Rejected, `unverified` or `expired`."""
        said = user_token.user(token, self._keys, now)
        if is_nobody(said.sub):  # all of them would read each other's conversation
            raise Rejected(f"the token's sub is {said.sub!r}, which names nobody: write the user's id")
        known = {"name": said.name, "email": said.email, "phone": said.phone_number, "user": said.sub}
        sender = person(known, self.settings.region)
        assert sender is not None, "a token has a sub"
        return Speaker(f"user:{said.sub}", sender, True, said.until)

    def check(self, content_type: str, body: bytes) -> str:
        """The client's id of a message that may be posted. Raises Rejected for one that never will be."""
        try:
            posted = forms.read(content_type, body)
        except Unreadable as error:
            raise Rejected(error.reason, status=400, code="malformed") from None
        values, told = posted.values, self.settings
        if not _ID.fullmatch(values.get("id", "")):
            raise _wrong("id: 8 to 64 letters, digits, - or _ that the client never uses for another message")
        if not (values.get("text", "").strip() or values.get("choice") or posted.files):
            raise _wrong("text: nothing is said")
        longest = {"text": told.text_limit, **LONGEST}
        if long := [name for name, most in longest.items() if len(values.get(name, "")) > most]:
            raise _wrong(f"{long[0]}: longer than {longest[long[0]]} characters")
        if len(posted.files) > told.files:
            raise _wrong(f"no more than {told.files} files with one message")
        for file in posted.files:
            self._check_file(file)
        return values["id"]

    def _check_file(self, file: Attachment) -> None:
        media = self.settings.media
        if file.size > media.size_limit:
            raise Rejected(f"a file is larger than {media.size_limit} octets", status=413, code="oversized")
        if not any(fnmatchcase(file.media_type, pattern) for pattern in media.types):
            raise _wrong(f"no files of type {file.media_type}")

    def enclose(
        self, speaker: Speaker, identity: str, content_type: str, body: bytes, received_at: datetime, remote: str = ""
    ) -> Envelope:
        """The envelope of a message that `check` let pass under this id; posted again it has the same key."""
        facts = {"content-type": content_type, "remote": remote, **speaker.facts}
        key = digest(speaker.thread, identity)
        return Envelope(self.name, self.settings.account, key, speaker.thread, received_at, body, facts)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        posted = forms.read(envelope.transport.get("content-type", ""), envelope.body)
        values = {name: value.strip() for name, value in posted.values.items()}
        text, choice = values.get("text", ""), values.get("choice", "")
        if not (text or choice or posted.files):
            raise Unreadable("neither words nor files")
        speaker = Speaker.kept(envelope.transport)
        sender = speaker.sender
        return [
            Message(
                channel=self.settings.channel,
                connector=envelope.connector,
                account=envelope.account,
                scope=f"{envelope.account}/{speaker.thread}",
                external_id=values.get("id") or envelope.key,
                envelope=envelope.id,
                sender=Address(sender.kind, sender.address, sender.name or values.get("name", "")),
                received_at=envelope.received_at,
                kind=Kind.POSTBACK if choice else Kind.MESSAGE,
                thread_key=speaker.thread,
                text=text or choice,
                full_text=text or choice,
                attachments=posted.files,
                proven=speaker.proven,
                claims=self._claims(values),
            )
        ]

    def _claims(self, values: Mapping[str, str]) -> dict[str, str]:
        """What a visitor filled in: a claim, never a proof."""
        said = {name: values.get(name, "") for name in ("choice", "name", "email", "phone", "page")}
        return kept({**said, "language": values.get("lang", "")}.items())

    async def send(self, reply: Reply, now: datetime) -> Sent:
        """The words are in the store, where the door finds them."""
        return Sent(reply.id)

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what, told = f"webchat/{self.settings.account}", self.settings
        plain = [origin for origin in told.origins if origin.startswith("http:") and "//127.0.0.1" not in origin]
        found = [Finding(what, f"pages of {', '.join(told.origins) or 'this gateway alone'} may hold the widget")]
        if plain:
            found.append(Finding(what, f"{plain[0]} is not encrypted", False, "serve the page by https"))
        if not (self.anonymous or self._keys):
            found.append(Finding(what, "no app can prove its users", False, "secrets: [{env: CHAT_SECRET}]"))
        return found


def _wrong(reason: str) -> Rejected:
    return Rejected(reason, status=422, code="invalid")
