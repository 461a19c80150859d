"""/api/v1: for the company's own programs, with scoped keys. The OpenAPI document is at /api/openapi.json.

Who is signed in to the console may ask too, with the permissions of their role.

POST /api/v1/messages             202 with the envelope's id and where to ask what became of it
GET  /api/v1/messages/{envelope}  what became of it
     /api/v1/tickets/...          api_tickets.py
GET  /api/v1/schemas/{name}       the JSON Schema of a noun
"""

import asyncio
import re
import secrets
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ValidationError

from connectors.api import Api, NewMessage
from gateway import guard, http
from gateway.accept import Door
from gateway.permissions import PERMISSIONS, Who
from gateway.problems import described
from gateway.programs import new_message
from gateway.store.work import Idempotency
from normalizer.canon import Contact, Envelope, Message, Ticket, shape
from normalizer.errors import Rejected

SCOPES = tuple(PERMISSIONS)
SCHEMAS = {"ticket": Ticket, "message": Message, "contact": Contact}
LONGEST_WAIT = 30.0
LONGEST_KEY = 255


class Accepted(BaseModel):
    """It is durably ours. What became of it is told only to who waited for it (Prefer: wait=5)."""

    envelope: str
    status_url: str
    state: str = "waiting"
    tickets: list[str] = []


class State(BaseModel):
    """What became of an envelope: waiting, done or set_aside."""

    envelope: str
    state: str
    tickets: list[str]


def router(door: Door) -> APIRouter:
    """The API's routes. Errors are problem+json (RFC 9457)."""
    routes = APIRouter(prefix="/api/v1", tags=["messages"], responses=described(401, 403, 404))
    writer = allowed(door, "messages:write")

    @routes.post(
        "/messages",
        status_code=202,
        response_model=Accepted,
        openapi_extra=new_message(),
        responses=described(409, 413, 503),
    )
    async def create(
        asked: Request,
        who: Annotated[Who, Depends(writer)],
        idempotency_key: Annotated[str, Header(json_schema_extra={"maxLength": LONGEST_KEY})] = "",
        prefer: Annotated[str, Header()] = "",
    ) -> Any:
        """Hand in what a customer said. The same Idempotency-Key with another body is a conflict (409)."""
        body = b""
        try:
            body = await http.whole(asked, account(door).settings.size_limit)
            envelope = await _handed_in(door, asked, who, body, idempotency_key)
        except Rejected as e:
            await refuse(door, asked, e, e.first if isinstance(e, http.Oversized) else body)
            raise
        answer = Accepted(envelope=envelope.id, status_url=f"/api/v1/messages/{envelope.id}")
        if wait := _wait(prefer):
            await _placed(door, envelope.id, wait)
            return answer.model_copy(update=(await _state(door, envelope.id)).model_dump())
        return answer

    @routes.get("/messages/{envelope}", response_model=State)
    async def state(envelope: str, _: Annotated[Who, Depends(writer)]) -> State:
        """What became of a message that was handed in."""
        return await _state(door, envelope)

    @routes.get("/schemas/{name}")
    @guard.declares(guard.EVERYBODY)
    async def schema(name: str) -> dict[str, Any]:
        """The JSON Schema of ticket, message or contact."""
        if name not in SCHEMAS:
            raise Rejected(f"no schema {name}; there are {', '.join(SCHEMAS)}", status=404, code="not_found")
        return shape(SCHEMAS[name]).json_schema(by_alias=True, mode="serialization")

    return routes


def allowed(door: Door, permission: str) -> Any:
    """A dependency that lets in who may, and gives who it is. What is refused of a program is kept, without its key."""

    @guard.declares(permission)
    async def check(asked: Request) -> Who:
        try:
            return await guard.admitted(asked, permission)
        except Rejected as e:
            if asked.method == "POST" and e.code != "forged":
                await refuse(door, asked, e, await http.beginning(asked))
            raise

    return check


def require(door: Door) -> Callable[[str], Any]:
    """Makes the dependency that a route has on a permission; it gives who asks."""
    return partial(allowed, door)


def account(door: Door) -> Api:
    """The account of connector `api` that the keys belong to: the first one configured."""
    return next(one for one in door.house.mind.connectors.values() if one.name == Api.name and isinstance(one, Api))


async def refuse(door: Door, asked: Request, e: Rejected, body: bytes) -> None:
    """Keep what a program handed in and was turned away, without its key."""
    facts = {"method": asked.method, "path": asked.url.path, "remote": _remote(door, asked)}
    await door.refuse("api", account(door).settings.account, e.code, e.reason, body, facts)


def _remote(door: Door, asked: Request) -> str:
    return http.remote(asked, door.house.configured.settings.http.trusted_proxies)


async def _handed_in(door: Door, asked: Request, who: Who, body: bytes, idempotency_key: str) -> Envelope:
    """The message, once it is durably ours. Raises Rejected or Unavailable."""
    if len(idempotency_key) > LONGEST_KEY:
        raise Rejected(f"Idempotency-Key: longer than {LONGEST_KEY} characters", status=422, code="invalid")
    valid(body)
    envelope = account(door).enclose(
        body, key=idempotency_key or secrets.token_hex(16), key_label=who.name,
        received_at=door.house.clock.now(), remote=_remote(door, asked),
    )  # fmt: skip
    once = Idempotency(who.id, idempotency_key, body) if idempotency_key else None
    await door.accept([envelope], idempotency=once)
    return envelope


def valid(body: bytes) -> NewMessage:
    try:
        return NewMessage.model_validate_json(body)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        malformed = first["type"] == "json_invalid"
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise Rejected(
            f"{where}: {first['msg']}", status=400 if malformed else 422, code="malformed" if malformed else "invalid"
        ) from None


def _wait(prefer: str) -> float:
    """Seconds of `Prefer: wait=N` (RFC 7240 4.3); names in any case, values with quotes or without (2)."""
    found = re.search(r"\bwait\s*=\s*\"?(\d{1,300})\b", prefer, re.ASCII | re.IGNORECASE)
    return min(LONGEST_WAIT, float(found[1])) if found else 0.0


async def _placed(door: Door, envelope: str, wait: float) -> None:
    """Until it is no longer waiting, or patience ends."""
    deadline = asyncio.get_running_loop().time() + wait
    while asyncio.get_running_loop().time() < deadline:
        found = await door.house.store.status_of(envelope)
        if found and found.state != "waiting":
            return
        await asyncio.sleep(0.02)


async def _state(door: Door, envelope: str) -> State:
    found = await door.house.store.status_of(envelope)
    if found is None:
        raise Rejected("no such message was handed in", status=404, code="not_found")
    return State(envelope=envelope, state=found.state, tickets=list(found.tickets))
