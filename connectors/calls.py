"""Systems of the company's own that rules call: one signed POST each (www.standardwebhooks.com), again until taken.

    calls:
      - {name: erp, url: "https://erp.example.com/hooks", secret: {env: ERP_SECRET}}

{"$schema": "ticketgate/call/v1", "type": "ticket.call", "id": ..., "timestamp": ...,
 "data": {"target": ..., "rule": ..., "trigger": ..., "with": ..., "ticket": ..., "contact": ...}}
"""

from collections.abc import Mapping
from datetime import datetime

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

from connectors.calling import Outside, judged, post
from connectors.signatures import sign, webhook_key
from normalizer.canon import Call, Sent, public
from normalizer.errors import Where

SCHEMA = "ticketgate/call/v1"


class CallSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[a-z0-9_-]+$")
    url: HttpUrl
    secret: SecretStr  # whsec_...
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)  # what the other side wants besides
    timeout: float = Field(default=15, gt=0)  # seconds
    allow_private: bool = False  # it stands on this machine or in our own network


class Callee:
    """A system that can be called."""

    Settings = CallSettings

    def __init__(self, settings: CallSettings) -> None:
        self.settings = settings
        self._key = webhook_key(settings.secret, Where(f"calls {settings.name}: secret"))
        self._client: httpx.AsyncClient | None = None

    async def call(self, call: Call, now: datetime) -> Sent:
        """Deliver a call; `now` is this attempt's. Raises Unavailable to be asked again, Refused to be left alone."""
        body = written(call)
        wanted = {name: value.get_secret_value() for name, value in self.settings.headers.items()}
        ours = {"content-type": "application/json", "user-agent": "Ticketgate/1", "idempotency-key": call.id}
        headers = {**wanted, **ours, **sign(self._key, call.id, now, body)}
        response, _ = await post(self._calling(), str(self.settings.url), body, headers)
        if response.is_success or response.status_code == 409:  # it has it: an earlier answer was lost on the way
            return Sent(call.id)
        raise judged(response, now)

    def _calling(self) -> httpx.AsyncClient:
        if self._client is None:
            outside = Outside(allow_private=self.settings.allow_private)
            self._client = httpx.AsyncClient(transport=outside, timeout=self.settings.timeout, trust_env=False)
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def written(call: Call) -> bytes:
    """The body of a call: the same octets on every attempt."""
    said = {"target": call.target, "rule": call.rule, "trigger": call.trigger, "with": dict(call.given)}
    said |= {"ticket": public(call.ticket)} | ({"contact": public(call.contact)} if call.contact else {})
    whole = {"$schema": SCHEMA, "type": "ticket.call", "id": call.id, "timestamp": call.at, "data": said}
    return orjson.dumps(whole, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)
