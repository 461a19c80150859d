"""Slack: what people write to an app of ours, by the Events API, buttons and slash commands; answers by its Web API.

In a channel every message that opens a thread is a conversation of its own, and we answer in its thread; in a direct
message the conversation is the person. https://docs.slack.dev
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import orjson
from pydantic import Field, SecretStr

from connectors import mrkdwn
from connectors.base import AccountSettings, ChatSettings, Finding, Request, Response, Secret
from connectors.nested import inside, said
from connectors.reading import json_of
from connectors.signatures import SECONDS, WINDOW
from connectors.slack_reading import OURS, Reading, posted
from connectors.vendor import Answer, Vendor, pieces
from normalizer.canon import Attachment, Choice, Envelope, Message, Reply, Sent, digest
from normalizer.errors import Refused, Rejected, SendingError, Unavailable, Unreadable

TEXT, BUTTONS, LABEL = 3000, 25, 75  # characters of a section's text, buttons in a row, characters on a button
SCOPES = ("chat:write", "files:read")  # without which nothing works; and one of *:history
RECEIVED = "已收到，我们会私信回复您。\nThank you; we will answer you in a direct message."
EMPTY = "请在命令后面写上您的问题。\nPlease write your question after the command."

GONE = frozenset(("channel_not_found", "user_not_found", "user_disabled", "is_archived", "cannot_dm_bot"))
BUSY = frozenset(
    ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout")
)
# Of our token, app or workspace: for an engineer to mend, and nothing is to be lost meanwhile.
MENDABLE = frozenset((
    "invalid_auth", "not_authed", "token_expired", "token_revoked", "account_inactive", "missing_scope",
    "no_permission", "not_allowed_token_type", "access_denied", "accesslimited", "ekm_access_denied",
    "org_login_required", "team_access_not_granted", "team_added_to_org", "two_factor_setup_required",
    "enterprise_is_restricted", "messages_tab_disabled", "message_limit_exceeded",
))  # fmt: skip


class SlackSettings(ChatSettings):
    token: SecretStr = Field(min_length=1)  # the bot's: xoxb-...
    signing_secrets: tuple[Secret, ...] = Field(min_length=1)  # several while one is being changed
    agents: tuple[str, ...] = ()  # user ids of colleagues: what they write is an agent's, not a customer's
    api: str = "https://slack.com/api"


class Slack:
    name: ClassVar[str] = "slack"
    Settings: ClassVar[type[AccountSettings]] = SlackSettings
    unconfigured: ClassVar[Mapping[str, Any]] = {"token": "none", "signing_secrets": ["none"]}

    def __init__(self, settings: SlackSettings) -> None:
        self.settings = settings
        self._vendor = Vendor(settings.api, allow_private=settings.allow_private)
        self._bearer = {"authorization": f"Bearer {settings.token.get_secret_value()}"}

    # At the door

    def greet(self, request: Request) -> Response | None:
        """The address is proven to be ours by a challenge, signed like anything else."""
        with suppress(Unreadable):
            found = json_of(request.body) if b"url_verification" in request.body else {}
            if said(found, "type") == "url_verification":
                self.verify(request)
                return Response(200, said(found, "challenge").encode())
        return None

    def verify(self, request: Request) -> None:
        timestamp = request.headers.get("x-slack-request-timestamp", "")
        offered = request.headers.get("x-slack-signature", "").encode("utf-8", "surrogatepass")
        if not (SECONDS.fullmatch(timestamp) and offered):
            raise Rejected("X-Slack-Signature or X-Slack-Request-Timestamp missing or malformed")
        secrets = [secret.get_secret_value() for secret in self.settings.signing_secrets]
        expected = [signature(secret, timestamp, request.body).encode() for secret in secrets]
        if not sum(hmac.compare_digest(one, offered) for one in expected):
            raise Rejected("no signature matches")
        if abs(datetime.fromtimestamp(int(timestamp), UTC) - request.received_at) > WINDOW:
            raise Rejected("signed too long ago, or in the future", code="expired")

    def key(self, request: Request) -> str:
        """Retries bear the same event_id; clicks and commands are not tried again."""
        with suppress(Unreadable):
            found = posted(request.body)
            if named := said(found, "event_id") or said(found, "trigger_id"):
                return named
        return digest(request.body)

    def lane(self, request: Request) -> str:
        tried = Envelope(self.name, self.settings.account, "", "", request.received_at, request.body)
        with suppress(Unreadable):
            return next((one.thread_key for one in self.parse(tried) if one.thread_key), "") or self.key(request)
        return self.key(request)

    def answer(self, request: Request) -> Response:
        """A command's answer is shown to who gave it, and to nobody else."""
        with suppress(Unreadable):
            found = posted(request.body)
            if said(found, "command"):
                told = {"response_type": "ephemeral", "text": RECEIVED if said(found, "text") else EMPTY}
                return Response(200, orjson.dumps(told), "application/json")
        return Response(200)

    # Behind the journal

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        found = Reading(envelope, posted(envelope.body), self.settings.agents).messages()
        return [replace(message, part=part) for part, message in enumerate(found)]

    # Outward

    async def send(self, reply: Reply, now: datetime) -> Sent:
        """Buttons stand under the last piece."""
        channel, _, thread = (reply.thread_key or reply.to.address).partition(":")
        more = "".join(f"\n· {choice.label}" for choice in reply.choices[BUTTONS:])
        told = pieces(reply.text + more, TEXT, lambda text: len(mrkdwn.escaped(text)))
        first: Mapping[str, Any] = {}
        for number, piece in enumerate(told, 1):
            text = mrkdwn.escaped(piece)
            wanted = {"channel": channel, "text": text, "thread_ts": thread or reply.reply_token, "unfurl_links": False,
                      "metadata": {"event_type": "ticketgate_reply", "event_payload": {"id": reply.id}}}  # fmt: skip
            if number == len(told) and reply.choices:
                wanted["blocks"] = _blocks(text, reply.to.address, reply.choices)
            written = {name: value for name, value in wanted.items() if value != ""}
            answer = await self._call("chat.postMessage", now, direct=not thread, json=written)
            first = first or answer.data
        return Sent(str(first.get("ts", "")))

    async def fetch(self, one: Attachment, now: datetime) -> Attachment:
        """Our token goes to Slack's own hosts alone."""
        url = one.remote
        if "/" not in url:  # of a channel shared with another company an event names no more than the id
            file = inside((await self._call("files.info", now, form={"file": url})).data, "file")
            url = said(file, "url_private")
            one = replace(one, name=said(file, "name") or one.name, media_type=said(file, "mimetype"))
        if not self._own(url):
            return replace(one, missing="forbidden")
        kept = await self._vendor.download(one, url, self.settings.media, now, headers=self._bearer)
        if kept.media_type == "text/html" != one.media_type:
            raise Unavailable("Slack shows a login page in place of the file: the app needs the scope files:read")
        return kept

    def _own(self, url: str) -> bool:
        with suppress(httpx.InvalidURL):
            api, file = httpx.URL(self._vendor.base), httpx.URL(url)
            return file.scheme == api.scheme and file.host in (api.host, f"files.{api.host}")
        return False

    async def examine(self, now: datetime) -> Sequence[Finding]:
        what = f"{self.name}/{self.settings.account}"
        try:
            answer = await self._call("auth.test", now)
        except SendingError as error:
            return [Finding(what, error.reason, False, "OAuth & Permissions at api.slack.com/apps shows the bot token")]
        granted = {scope.strip() for scope in answer.headers.get("x-oauth-scopes", "").split(",")}
        lacking = [scope for scope in SCOPES if scope not in granted]
        lacking += [] if any(scope.endswith(":history") for scope in granted) else ["channels:history or im:history"]
        told = f"{said(answer.data, 'user')} in {said(answer.data, 'team')}"
        hint = f"add {', '.join(lacking)} under OAuth & Permissions and install the app again" if lacking else ""
        return [Finding(what, told), Finding(f"{what} scopes", ", ".join(sorted(granted)), not lacking, hint)]

    async def _call(self, method: str, now: datetime, *, direct: bool = False, **wanted: Any) -> Answer:
        """Most of what goes wrong Slack says with 200."""
        answer = await self._vendor.ask("POST", f"/{method}", now, headers=self._bearer, **wanted)
        if isinstance(answer.data, dict) and answer.data.get("ok") is True:
            return answer
        error = str(answer.data.get("error") or "") if isinstance(answer.data, dict) else ""
        if error in BUSY or error in MENDABLE or not error:
            raise Unavailable(f"{method}: {error or 'no answer in JSON'}")
        raise Refused(f"{method}: {error}", bounced=direct and error in GONE)

    async def close(self) -> None:
        await self._vendor.close()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    mac = hmac.new(secret.encode(), b"v0:%b:%b" % (timestamp.encode(), body), hashlib.sha256)
    return f"v0={mac.hexdigest()}"


def _blocks(text: str, user: str, choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """https://docs.slack.dev/reference/block-kit/block-elements/button-element; the action id says who may answer"""
    buttons = [
        {"type": "button", "action_id": f"{OURS}:{user}:{number}", "value": choice.code,
         "text": {"type": "plain_text", "text": choice.label[:LABEL]}}
        for number, choice in enumerate(choices[:BUTTONS])
    ]  # fmt: skip
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": text}},
        {"type": "actions", "elements": buttons},
    ]
