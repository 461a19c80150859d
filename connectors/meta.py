"""Meta: Messenger, Instagram and WhatsApp, whose messages one app of a company's brings to one address.

    object: page, instagram              connectors/messenger.py
    object: whatsapp_business_account    connectors/whatsapp.py

Every POST is signed with the app's secret. A batch may hold anything of any of our pages and numbers, in any order, and
some of it again in the next one: messages have ids of their own, so it is enough to know a request by its bytes.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from pydantic import Field, SecretStr, model_validator

from connectors import messenger, meta_examined, meta_out, whatsapp
from connectors.base import AccountSettings, ChatSettings, Finding, Request, Response
from connectors.graph import Graph, WindowClosed
from connectors.nested import listed, needed, said
from connectors.reading import json_of
from connectors.vendor import Vendor
from normalizer.canon import Attachment, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, Unavailable, Unreadable

MOST = 1000  # messages in one request
TOLD = 20  # of its faults
WINDOW = timedelta(hours=24)  # after the customer's last word, for free words
HUMAN_WINDOW = timedelta(days=7)  # for a person's, in Messenger and Instagram
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)


class MetaSettings(ChatSettings):
    app_secrets: tuple[SecretStr, ...] = Field(min_length=1)  # several while it is changed
    verify_token: SecretStr  # what the app's dashboard was told
    app_id: str = ""  # knows our own echoes, and lets doctor ask what the app is subscribed to
    pages: Mapping[str, SecretStr] = {}  # page id: its access token
    instagram: Mapping[str, SecretStr] = {}  # id of the professional account: access token of its page, or its own
    phone_numbers: Mapping[str, SecretStr] = {}  # phone number id (not the number): a system user's access token
    templates: Mapping[str, meta_out.Template] = {}  # WhatsApp, after 24 hours, by language: zh, en
    human_agent: bool = False  # Meta granted Human Agent: people may answer for 7 days in Messenger and Instagram
    version: str = Field(default="v25.0", pattern=r"^v\d{1,3}\.\d{1,2}$")  # of the Graph API
    api: str = "https://graph.facebook.com"
    instagram_api: str = ""  # https://graph.instagram.com for accounts that logged in with Instagram; else as `api`

    @model_validator(mode="after")
    def secret(self) -> Self:
        if not all(one.get_secret_value() for one in (*self.app_secrets, self.verify_token)):
            raise ValueError("app_secrets or verify_token: one is empty")
        return self


class Meta:
    name: ClassVar[str] = "meta"
    Settings: ClassVar[type[AccountSettings]] = MetaSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"app_secrets": ["none"], "verify_token": "none"}
    settings: MetaSettings

    def __init__(self, settings: MetaSettings) -> None:
        self.settings = settings
        self._secrets = [secret.get_secret_value().encode() for secret in settings.app_secrets]
        self._vendor = Vendor(settings.api, allow_private=settings.allow_private)
        self._begun: dict[str, list[str]] = {}  # replies of which some pieces were taken: what Meta calls these
        self._instagram = Vendor(settings.instagram_api or settings.api, allow_private=settings.allow_private)

    # At the door

    def greet(self, request: Request) -> Response | None:
        """https://developers.facebook.com/docs/graph-api/webhooks/getting-started, verification requests."""
        if request.method != "GET" or request.query.get("hub.mode") != "subscribe":
            return None
        offered = request.query.get("hub.verify_token", "").encode("utf-8", "replace")
        if not hmac.compare_digest(offered, self.settings.verify_token.get_secret_value().encode()):
            raise Rejected("wrong verify token", status=403)
        return Response(200, request.query.get("hub.challenge", "").encode("utf-8", "replace"))

    def verify(self, request: Request) -> None:
        """X-Hub-Signature-256 over the bytes as they came (the same page, event notifications)."""
        offered = request.headers.get("x-hub-signature-256", "")
        if not _SIGNATURE.fullmatch(offered):
            raise Rejected("X-Hub-Signature-256 missing or malformed")
        macs = [f"sha256={hmac.new(key, request.body, hashlib.sha256).hexdigest()}" for key in self._secrets]
        # All are compared, so that the time taken does not tell which secret was nearly right.
        if not sum(hmac.compare_digest(mac, offered) for mac in macs):
            raise Rejected("no signature matches: is this the app's secret?")

    def key(self, request: Request) -> str:
        return digest(request.body)

    def lane(self, request: Request) -> str:
        """The conversation, if there is just one in it."""
        here = Envelope(self.name, self.settings.account, "", "", request.received_at, request.body)
        try:
            threads = {message.thread_key for message in self.parse(here)}
        except Unreadable as error:
            threads = {message.thread_key for message in error.readable}
        return threads.pop() if len(threads) == 1 else self.settings.account

    def answer(self, request: Request) -> Response:
        return Response(200, b"EVENT_RECEIVED")

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        readable: list[Message] = []
        faults: list[str] = []
        for part, make in enumerate(self._parts(envelope.body, faults)):
            if part == MOST:
                faults.append(f"more than {MOST} messages in one request")
                break
            try:
                message = make(envelope, part)
            except Unreadable as error:
                faults.append(f"message {part + 1}: {error.reason}")
            else:
                readable.extend([message] if message else ())
        if faults:
            more = f"; and {len(faults) - TOLD} more" if len(faults) > TOLD else ""
            raise Unreadable("; ".join(faults[:TOLD]) + more, readable=readable)
        return readable

    def _parts(self, body: bytes, faults: list[str]) -> Iterator[messenger.Make]:
        """What makes a message of each part. What cannot even be divided is noted in `faults`."""
        whole = json_of(body)
        kind = needed(whole, "object")
        for entry in listed(whole, "entry"):
            try:
                match kind:
                    case "whatsapp_business_account":
                        yield from whatsapp.parts(entry)
                    case "page":
                        yield from messenger.parts(entry, "messenger", self.settings.app_id)
                    case "instagram":
                        yield from messenger.parts(entry, "instagram", self.settings.app_id)
            except Unreadable as error:
                faults.append(f"entry: {error.reason}")

    # Sending

    async def send(self, reply: Reply, now: datetime) -> Sent:
        late = now - reply.answering if reply.answering else timedelta()
        if reply.channel != "whatsapp":
            human = late >= WINDOW and self.settings.human_agent and not reply.automatic
            if late >= (HUMAN_WINDOW if human else WINDOW):
                raise WindowClosed(_over(human, automatic=reply.automatic))
            return await self._say(reply, meta_out.messenger(reply, human=human), now)
        known = self._template(reply.language)
        try:
            if late >= WINDOW:
                raise WindowClosed(
                    "the customer wrote more than 24 hours ago, and no template is set for their language"
                )
            return await self._say(reply, meta_out.whatsapp(reply), now)
        except WindowClosed:
            if known is None:
                raise
        return await self._say(reply, [meta_out.template(reply, known)], now)

    async def _say(self, reply: Reply, bodies: Sequence[Mapping[str, Any]], now: datetime) -> Sent:
        if not bodies:
            raise Refused("there is nothing to say")
        ours, token = self._ours(reply)
        path = f"/{ours}/messages" if reply.channel == "whatsapp" else "/me/messages"
        taken = self._begun.pop(reply.id, [])
        for body in bodies[len(taken) :]:
            try:
                answer = await self._graph(reply.channel).ask("POST", path, token, now, json=body)
            except Unavailable:
                if taken:
                    self._begun[reply.id] = taken
                raise
            taken.append(said(answer, "message_id") or said(next(iter(listed(answer, "messages")), {}), "id"))
        return Sent(taken[-1])

    def _ours(self, reply: Reply) -> tuple[str, str]:
        """The page, account or number that speaks, and its token."""
        where = {"whatsapp": "phone_numbers", "instagram": "instagram"}.get(reply.channel, "pages")
        tokens: Mapping[str, SecretStr] = getattr(self.settings, where)
        ours = (
            reply.written_to or reply.thread_key.partition(":")[0] or (next(iter(tokens)) if len(tokens) == 1 else "")
        )
        if ours not in tokens:
            raise Refused(f"no access token for {ours or 'this conversation'}: add it to {where}")
        return ours, tokens[ours].get_secret_value()

    def _graph(self, channel: str) -> Graph:
        return Graph(self._instagram if channel == "instagram" else self._vendor, self.settings.version)

    def _template(self, language: str) -> meta_out.Template | None:
        known = self.settings.templates
        return known.get(language) or known.get(language.partition("-")[0])

    # Files

    async def fetch(self, attachment: Attachment, now: datetime) -> Attachment:
        """By URL, or of WhatsApp by the id: the URL got for it lives five minutes and wants the token too."""
        if attachment.remote.startswith(("https://", "http://")):
            return await self._vendor.download(attachment, attachment.remote, self.settings.media, now)
        number, _, media = attachment.remote.partition("/")
        if number not in self.settings.phone_numbers or not media.isalnum():
            raise Refused(f"no access token for {number}: add it to phone_numbers")
        token = self.settings.phone_numbers[number].get_secret_value()
        about = await self._graph("whatsapp").ask("GET", f"/{media}", token, now, params={"phone_number_id": number})
        size = int(said(about, "file_size")) if said(about, "file_size").isdecimal() else 0
        if size > self.settings.media.size_limit:
            return replace(attachment, size=size, missing="oversized")
        bearer = {"authorization": f"Bearer {token}"}
        got = await self._vendor.download(attachment, said(about, "url"), self.settings.media, now, headers=bearer)
        if got.content and not _same(said(about, "sha256"), got.content):
            raise Unavailable("the file arrived damaged")
        return got

    async def examine(self, now: datetime) -> Sequence[Finding]:
        return [finding async for finding in meta_examined.findings(self.settings, self._graph, now)]

    async def close(self) -> None:
        await self._vendor.close()
        await self._instagram.close()


def _same(told: str, content: bytes) -> bool:
    """Whether the SHA-256 is as told, in hexadecimal digits or base64; or nothing was told."""
    ours = hashlib.sha256(content).digest()
    return not told or told.lower() == ours.hex() or told == b64encode(ours).decode()


def _over(human: bool, *, automatic: bool) -> str:
    if human:
        return "the customer wrote more than 7 days ago: nobody may write until they do"
    if automatic:
        return "the customer wrote more than 24 hours ago: nothing automatic may be said until they write again"
    return "the customer wrote more than 24 hours ago: people may still answer for 7 days if Meta grants Human Agent"
