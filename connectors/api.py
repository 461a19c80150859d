"""POST /api/v1/messages: a message from a program of the company's own, with an API key.

The gateway knows the keys and keeps the answers by Idempotency-Key; here is what may be said and what it means.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors.base import AccountSettings, HttpSettings
from connectors.reading import attachment, from_base64, kept, person, words
from normalizer.canon import Address, Attachment, Channel, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Unreadable
from normalizer.moments import utc

Short = Annotated[str, StringConstraints(max_length=300)]
Claim = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class From(BaseModel):
    """Who speaks: an e-mail address, a phone number, or a user of the calling program. At least one of the three."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    email: Short = ""
    phone: Short = ""
    user: Short = ""
    name: Short = ""

    @model_validator(mode="after")
    def reachable(self) -> "From":
        if not (self.email.strip() or self.phone.strip() or self.user.strip()):
            raise ValueError("give email, phone or user")
        return self


class File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Short
    media_type: Short = "application/octet-stream"
    content: str = Field(description="Base64")

    @model_validator(mode="after")
    def readable(self) -> "File":
        try:
            from_base64(self.content, "content")
        except Unreadable as error:
            raise ValueError(error.reason) from None
        return self


class NewMessage(BaseModel):
    """What a customer said, as another program tells it."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
        json_schema_extra={
            "examples": [
                {
                    "from": {"phone": "13812345678", "name": "张三"},
                    "text": "订单号5，物流显示已签收但未收到货",
                    "channel": "app",
                    "external_id": "app-20231027-000123",
                    "claims": {"order_number": "5"},
                },
                {
                    "from": {"email": "john@example.com", "name": "John Smith"},
                    "subject": "Invoice for order 10023",
                    "text": "Please send me an invoice for order 10023.",
                    "sent_at": "2023-10-27T09:30:00+08:00",
                },
            ]
        },
    )

    sender: From = Field(alias="from")
    text: str = Field(default="", max_length=200_000, description="The words, as plain text")
    subject: Short = ""
    channel: Channel = Field(default="api", description="Where the customer said it")
    external_id: Short = Field(default="", description="What the calling program never uses twice")
    thread_key: Short = Field(default="", description="The conversation it belongs to, if the program has such")
    in_reply_to: Short = Field(default="", description="The external_id of the message it answers")
    sent_at: AwareDatetime | None = None
    author: Literal["customer", "agent"] = "customer"
    language: str = Field(default="", max_length=35, description="BCP 47: zh, en, ...")
    claims: Mapping[Claim, Short] = Field(
        default_factory=dict, max_length=50, description="What is known besides: type, order_number, phone, ..."
    )
    attachments: tuple[File, ...] = Field(default=(), max_length=50)

    @field_validator("sent_at")
    @classmethod
    def told_by_a_clock(cls, value: datetime | None) -> datetime | None:
        """In UTC."""
        moment = utc(value) if value else None
        if value and moment is None:
            raise ValueError("no clock says so")
        return moment

    @field_validator("external_id", "thread_key", "in_reply_to")
    @classmethod
    def names_something(cls, value: str) -> str:
        """Blanks alone are no name: with them the messages of all would be one."""
        return value if value.strip() else ""

    @model_validator(mode="after")
    def something(self) -> "NewMessage":
        if not (self.text.strip() or self.attachments):
            raise ValueError("give text or attachments")
        return self


class ApiSettings(HttpSettings):
    size_limit: int = Field(default=25 * 1024 * 1024, gt=0)
    region: str = "CN"  # where phone numbers without + are
    trusted: bool = True  # whoever has a key knows its customers: its word proves who they are


class Api:
    name: ClassVar[str] = "api"
    Settings: ClassVar[type[AccountSettings]] = ApiSettings

    def __init__(self, settings: ApiSettings) -> None:
        self.settings = settings

    def enclose(self, body: bytes, *, key: str, key_label: str, received_at: datetime, remote: str = "") -> Envelope:
        """The envelope of a request that `NewMessage` has found valid.

        `key` is what makes it once: its Idempotency-Key, else something fresh; an `external_id` in the message goes
        before both. `key_label` names the API key: two programs may use the same ids.
        """
        said = NewMessage.model_validate_json(body)
        named = digest(key_label, "message", said.external_id) if said.external_id else digest(key_label, "key", key)
        return Envelope(
            connector=self.name,
            account=self.settings.account,
            key=named,
            lane=self._sender(said).address or named,
            received_at=received_at,
            body=body,
            transport={"api_key": key_label, "remote": remote, "content-type": "application/json"},
        )

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        said = _read(envelope.body)
        text = words(said.text, "text")
        return [
            Message(
                channel=said.channel,
                connector=envelope.connector,
                account=envelope.account,
                scope=envelope.transport.get("api_key", ""),
                external_id=said.external_id or envelope.id,
                envelope=envelope.id,
                sender=self._sender(said),
                received_at=envelope.received_at,
                sent_at=said.sent_at,
                author=said.author,
                in_reply_to=said.in_reply_to,
                thread_key=said.thread_key,
                subject=words(said.subject, "subject"),
                text=text,
                full_text=text,
                attachments=tuple(map(_file, said.attachments)),
                proven=self.settings.trusted,
                claims=kept(({**said.claims, "language": said.language}).items()),
            )
        ]

    def _sender(self, said: NewMessage) -> Address:
        sender = person(said.sender.model_dump(), self.settings.region)
        assert sender is not None, "From.reachable saw to it"
        return sender

    async def send(self, reply: Reply, now: datetime) -> Sent:
        raise Refused(f"{self.name} has no way back: name a mail account in reply_by")


def _read(body: bytes) -> NewMessage:
    try:
        return NewMessage.model_validate_json(body)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())
        raise Unreadable("; ".join(faults)[:500]) from None


def _file(file: File) -> Attachment:
    return attachment(file.name, file.media_type, from_base64(file.content, "content"))
