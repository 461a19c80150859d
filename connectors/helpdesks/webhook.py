"""Any helpdesk that can be called: each step as one signed POST of canonical JSON (www.standardwebhooks.com).

{"$schema": "ticketgate/ticket/v1", "type": "ticket.created", "id": ..., "timestamp": ...,
 "data": {"ticket": ..., "contact": ..., "message": ..., "known_as": ...}}
"""

import json
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import httpx
import orjson
from pydantic import Field, HttpUrl, SecretStr

from connectors.base import HelpdeskSettings, Known, where
from connectors.calling import Outside, judged, named, post
from connectors.signatures import sign, webhook_key
from normalizer.canon import HandoverStep, Sent, public
from normalizer.errors import ConfigError

SCHEMA = "ticketgate/ticket/v1"
TYPES: Mapping[Literal["create", "append", "update"], str] = {
    "create": "ticket.created",
    "append": "message.added",
    "update": "ticket.updated",
}


class WebhookHelpdeskSettings(HelpdeskSettings):
    url: HttpUrl
    secret: SecretStr  # whsec_...
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)  # what the other side wants besides
    timeout: float = Field(default=15, gt=0)  # seconds
    ca_file: Path | None = None  # of a helpdesk with a certificate of the company's own
    allow_private: bool = False  # the helpdesk stands on this machine or in our own network


class WebhookHelpdesk:
    name: ClassVar[str] = "webhook"
    Settings: ClassVar[type[HelpdeskSettings]] = WebhookHelpdeskSettings

    def __init__(self, settings: WebhookHelpdeskSettings) -> None:
        self.settings = settings
        self._key = webhook_key(settings.secret, where(settings, "secret"))
        self._trust = self._trusted()
        self._client: httpx.AsyncClient | None = None

    def _trusted(self) -> ssl.SSLContext | None:
        try:
            return ssl.create_default_context(cafile=self.settings.ca_file) if self.settings.ca_file else None
        except (OSError, ssl.SSLError) as error:
            what = f"cannot use {self.settings.ca_file}: {error}"
            raise ConfigError(where(self.settings, "ca_file"), what, "a PEM file, readable by us") from None

    async def file(self, step: HandoverStep, known_as: Known, now: datetime) -> Sent:
        response, answer = await post(self._calling(), str(self.settings.url), *self._signed(step, known_as, now))
        if response.is_success:
            return _sent(answer, known_as)
        # It has the step already: an earlier attempt's answer was lost on the way.
        if response.status_code == 409 and step.id.encode() in answer:
            return _sent(answer, known_as)
        raise judged(response, now)

    def _signed(self, step: HandoverStep, known_as: Known, now: datetime) -> tuple[bytes, dict[str, str]]:
        body = written(step, known_as)
        wanted = {name: value.get_secret_value() for name, value in self.settings.headers.items()}
        ours = {"content-type": "application/json", "user-agent": "Ticketgate/1", "idempotency-key": step.id}
        return body, {**wanted, **ours, **sign(self._key, step.id, now, body)}

    def _calling(self) -> httpx.AsyncClient:
        if self._client is None:
            outside = Outside(allow_private=self.settings.allow_private, trust=self._trust)
            self._client = httpx.AsyncClient(transport=outside, timeout=self.settings.timeout, trust_env=False)
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def written(step: HandoverStep, known_as: Known) -> bytes:
    """The body of a step: the same octets on every attempt, so that its digest may serve as a key too."""
    said: dict[str, Any] = {"ticket": public(step.ticket)}
    if step.contact:
        said["contact"] = public(step.contact)
    if step.message:
        said["message"] = public(step.message)
    if known_as.external_id:
        said["known_as"] = {"id": known_as.external_id, "url": known_as.url}
    at = step.message.received_at if step.message else step.ticket.captured_at
    whole = {"$schema": SCHEMA, "type": TYPES[step.kind], "id": step.id, "timestamp": at, "data": said}
    return orjson.dumps(whole, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)


def _sent(answer: bytes, known_as: Known) -> Sent:
    try:
        found = json.loads(answer) if answer else None
    except (ValueError, RecursionError):
        found = None  # any 2xx will do
    return Sent(named(found, ("id",)) or known_as.external_id, named(found, ("url",)) or known_as.url)
