"""Systems of the company's own that we call: signed POSTs (www.standardwebhooks.com), again until they are taken.

    calls:                                # what rules call
      - {name: erp, url: "https://erp.example.com/hooks", secret: {env: ERP_SECRET}}
    events:                               # who is told what happens
      - {name: board, url: "https://board.example.com/hooks", secret: {env: BOARD_SECRET}, kinds: [ticket.created]}

{"$schema": "ticketgate/call/v1", "type": "ticket.call", "id": ..., "timestamp": ...,
 "data": {"target": ..., "rule": ..., "trigger": ..., "with": ..., "ticket": ..., "contact": ...}}
{"$schema": "ticketgate/events/v1", "type": "events", "id": ..., "timestamp": ...,
 "data": [{"id": 4711, "event": "ticket.created", "at": ..., "number": ..., "thing": ..., "version": ...}, ...]}
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import httpx
import orjson
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

from connectors.calling import Outside, judged, post
from connectors.signatures import sign, webhook_key
from normalizer.canon import Call, Sent, public
from normalizer.errors import Where

CALL, EVENTS = "ticketgate/call/v1", "ticketgate/events/v1"


class EndpointSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[a-z0-9_-]+$")
    url: HttpUrl
    secret: SecretStr  # whsec_...
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)  # what the other side wants besides
    timeout: float = Field(default=15, gt=0)  # seconds
    allow_private: bool = False  # it stands on this machine or in our own network


class CallSettings(EndpointSettings):
    pass


class SubscriberSettings(EndpointSettings):
    kinds: tuple[str, ...] = ()  # of events; none: all


class Endpoint:
    """A system that can be called."""

    section = ""

    def __init__(self, settings: EndpointSettings) -> None:
        self.settings = settings
        self._key = webhook_key(settings.secret, Where(f"{self.section} {settings.name}: secret"))
        self._client: httpx.AsyncClient | None = None

    async def post(self, identity: str, body: bytes, now: datetime) -> None:
        """One attempt. Raises Unavailable to be asked again, Refused to be left alone."""
        wanted = {name: value.get_secret_value() for name, value in self.settings.headers.items()}
        ours = {"content-type": "application/json", "user-agent": "Ticketgate/1", "idempotency-key": identity}
        headers = {**wanted, **ours, **sign(self._key, identity, now, body)}
        response, _ = await post(self._calling(), str(self.settings.url), body, headers)
        if not response.is_success and response.status_code != 409:  # it has it: an earlier answer was lost
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


class Callee(Endpoint):
    """What rules call."""

    section = "calls"
    Settings = CallSettings

    async def call(self, call: Call, now: datetime) -> Sent:
        """Deliver a call; `now` is this attempt's. Raises what `post` does."""
        await self.post(call.id, written(call), now)
        return Sent(call.id)


class Subscriber(Endpoint):
    """Who is told what happens."""

    section = "events"
    Settings = SubscriberSettings
    settings: SubscriberSettings

    def wants(self, kind: str) -> bool:
        return not self.settings.kinds or kind in self.settings.kinds

    async def tell(self, events: Sequence[Mapping[str, Any]], now: datetime) -> None:
        """These events, in their order; the same ones bear the same id on every attempt. Raises what `post` does."""
        identity = f"events-{events[0]['id']}-{events[-1]['id']}"
        whole = {"$schema": EVENTS, "type": "events", "id": identity, "timestamp": events[-1]["at"], "data": events}
        await self.post(identity, orjson.dumps(whole, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS), now)


def written(call: Call) -> bytes:
    """The body of a call: the same octets on every attempt."""
    said = {"target": call.target, "rule": call.rule, "trigger": call.trigger, "with": dict(call.given)}
    said |= {"ticket": public(call.ticket)} | ({"contact": public(call.contact)} if call.contact else {})
    whole = {"$schema": CALL, "type": "ticket.call", "id": call.id, "timestamp": call.at, "data": said}
    return orjson.dumps(whole, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)
