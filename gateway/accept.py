"""The door: nothing is promised to a channel before its bytes are durably ours.

    greet? -> verify -> journal(envelope) -> answer

The caller waits for one durable insert and nothing else. What is refused is kept too, with its reason.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from connectors.base import Cursor, Request, Responding, Response, Webhook, enclose, facts
from gateway import metrics
from gateway.house import House
from gateway.log import log
from gateway.store.work import Idempotency
from normalizer.canon import Envelope
from normalizer.errors import Rejected, Unavailable


class Door:
    """Where listeners and webhooks hand in what they got: `Accept`, `Recall` and `Refuse` of connectors/base.py.

    `sends`: whether this process dispatches too, so that words of ours may come to be in the answer to a request.
    """

    def __init__(self, house: House, *, sends: bool = True) -> None:
        self.house, self.sends = house, sends

    async def accept(
        self, envelopes: Sequence[Envelope], cursor: Cursor | None = None, *, idempotency: Idempotency | None = None
    ) -> None:
        """Return once the envelopes are durably ours; raise Unavailable if they are not."""
        started = time.perf_counter()
        fresh = await self.house.store.journal(envelopes, self.house.clock.now(), cursor, idempotency=idempotency)
        metrics.accept_seconds.observe(time.perf_counter() - started)
        for envelope, new in zip(envelopes, fresh, strict=True):
            (metrics.accepted if new else metrics.redelivered).labels(envelope.connector, envelope.account).inc()
        if envelopes:
            metrics.last_accepted.labels(envelopes[0].connector, envelopes[0].account).set_to_current_time()
        self.house.work.ring()

    async def recall(self, name: str) -> str:
        """What a cursor says; empty if there is none."""
        return await self.house.store.cursor(name) or ""

    async def refuse(
        self, connector: str, account: str, code: str, reason: str, body: bytes, facts: Mapping[str, str]
    ) -> None:
        """Keep what is turned away. Never raises: a full disk must not turn a refusal into an acceptance."""
        metrics.refused.labels(connector, account, code).inc()
        try:
            await self.house.store.refuse(connector, account, code, reason, body, facts, self.house.clock.now())
        except Unavailable:
            log.error("refused without keeping it", connector=connector, account=account, code=code)
        else:
            log.info("refused", connector=connector, account=account, code=code, size=len(body))
            self.house.hub.ring()

    async def webhook(self, connector: Webhook, request: Request) -> Response:
        """The whole duty towards a channel that calls us. Raises Rejected (kept first) or Unavailable."""
        settings = connector.settings
        if greeting := connector.greet(request):
            return greeting
        try:
            connector.verify(request)
            envelope = enclose(connector, request)
        except Rejected as e:
            await self.refuse(settings.connector, settings.account, e.code, e.reason, request.body, facts(request))
            raise
        await self.accept([envelope])
        if self.sends and _responding(connector):
            return await connector.respond(request)
        return connector.answer(request)


def _responding(connector: Webhook) -> TypeGuard[Responding]:
    """Asked at each request; a protocol's own check takes as long as verifying three signatures."""
    kind = type(connector)
    if kind not in _kinds:
        _kinds[kind] = isinstance(connector, Responding)
    return _kinds[kind]


_kinds: dict[type[Webhook], bool] = {}
