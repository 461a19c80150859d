"""/api/v1: the house itself, for programs: contacts, journal, quarantine, outbox, health, keys and the audit.

GET   /views                                        saved filters of tickets
GET   /contacts/{id}  .../messages                  who they are, and what was said on every channel
GET   /journal  /journal/{envelope}                 what came, and what became of it
GET   /quarantine  /quarantine/{id}                 what was set aside; POST .../retry lets it be processed again
GET   /outbox                                       what is owed; PATCH mends a reply, POST .../retry owes it again
GET   /health                                       every account, target, the rules, the disk and the clock
GET   /keys  POST /keys  DELETE /keys/{id}          API keys
GET   /audit                                        who did what
"""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from gateway.api_tickets import Page, Require
from gateway.health import signs
from gateway.house import House
from gateway.masking import masked
from gateway.permissions import PERMISSIONS, Who
from gateway.preview import preview
from gateway.problems import described
from gateway.store.work import Stage
from normalizer.canon import Contact, Message, public
from normalizer.errors import Rejected

Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str, Query(max_length=64, description="`next` of the page before")]


class Mended(BaseModel):
    """What is wrong with a reply that was refused, put right."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(default="", max_length=320)
    subject: str = Field(default="", max_length=500)
    text: str = Field(default="", max_length=20_000)


class Retried(BaseModel):
    retried: int


class NewKey(BaseModel):
    model_config = ConfigDict(extra="forbid")

    label: str = Field(min_length=1, max_length=100)
    scopes: list[str] = Field(min_length=1, max_length=len(PERMISSIONS))


class MadeKey(BaseModel):
    """`secret` cannot be shown again."""

    id: str
    secret: str


def router(house: House, require: Require) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["house"], responses=described(401, 403, 404, 409, 503))
    store = house.store
    Reader = Annotated[Who, Depends(require("tickets:read"))]  # noqa: N806 - types, as FastAPI wants them
    Journal = Annotated[Who, Depends(require("journal:read"))]  # noqa: N806
    Aside = Annotated[Who, Depends(require("quarantine:read"))]  # noqa: N806
    Retrier = Annotated[Who, Depends(require("quarantine:write"))]  # noqa: N806
    Outbox = Annotated[Who, Depends(require("outbox:read"))]  # noqa: N806
    Mender = Annotated[Who, Depends(require("outbox:write"))]  # noqa: N806
    Keeper = Annotated[Who, Depends(require("keys:write"))]  # noqa: N806
    Auditor = Annotated[Who, Depends(require("audit:read"))]  # noqa: N806

    async def known(identity: str) -> Contact:
        found = await store.contact(identity)
        if found is None:
            raise Rejected(f"no contact {identity}", status=404, code="not_found")
        return found

    async def told(who: Who, about: str, noun: Contact | Message) -> dict[str, Any]:
        whole = who.may("personal:read") if who.kind == "key" else await house.users.revealed(who, about)
        return public(noun) if whole else dict(masked(public(noun)))

    @routes.get("/contacts/{identity}")
    async def contact(identity: str, who: Reader) -> dict[str, Any]:
        """A contact; personal data masked without personal:read."""
        return await told(who, identity, await known(identity))

    @routes.get("/contacts/{identity}/messages", response_model=Page)
    async def trail(identity: str, who: Reader, after: After = "", limit: Limit = 50) -> Page:
        """What a contact said and was told on every channel, newest first."""
        await known(identity)
        found = await store.trail(identity, after, limit + 1)
        items = [{**await told(who, identity, message), "ticket": number} for message, number in found[:limit]]
        return _page(items, len(found) > limit)

    @routes.get("/views")
    async def views(who: Reader) -> list[dict[str, Any]]:
        """Saved filters of tickets, with how many each has; null where only reading them all could tell."""
        now = house.clock.now()
        return [
            {"view": name, "label": dict(view.label), "order": view.order,
             "count": await store.view_count(view, now, who.id)}
            for name, view in house.mind.views.items()
        ]  # fmt: skip

    @routes.get("/journal", response_model=Page)
    async def journal(
        _: Journal, after: After = "", limit: Limit = 50, connector: str = "", account: str = "", state: str = ""
    ) -> Page:
        """What came, newest first. `state`: waiting, done or aside."""
        found = await store.journal_page(after, limit + 1, connector, account, state)
        return _page([asdict(one) for one in found[:limit]], len(found) > limit)

    @routes.get("/journal/{envelope}")
    async def envelope(envelope: str, _: Journal) -> dict[str, Any]:
        """One envelope, with its transport facts and how its bytes look, masked."""
        one, whole = await store.journalled(envelope), await store.envelope(envelope)
        if one is None or whole is None:
            raise Rejected(f"no envelope {envelope}", status=404, code="not_found")
        seen = {"transport": dict(whole.transport), "preview": asdict(preview(whole.body))}
        return {**asdict(one), **dict(masked(seen))}

    @routes.get("/quarantine", response_model=Page)
    async def quarantine(
        _: Aside, after: After = "", limit: Limit = 50, code: str = "", stage: Stage | Literal[""] = "",
        connector: str = "", account: str = "", since: AwareDatetime | None = None,
        until: AwareDatetime | None = None, q: str = "",
    ) -> Page:  # fmt: skip
        """What was set aside, newest first. `stage`: door, journal or noted; `q`: words of what is kept of it."""
        found = await store.quarantine(
            after=after, limit=limit + 1, code=code, stage=stage, connector=connector, account=account, since=since,
            until=until, words=q,
        )  # fmt: skip
        items = [{**asdict(one), "body": None} for one in found[:limit]]
        return _page([dict(masked(item)) for item in items], len(found) > limit)

    @routes.get("/quarantine/{identity}")
    async def quarantined(identity: str, _: Aside) -> dict[str, Any]:
        """One thing that was set aside, with how its bytes look, masked."""
        one = await store.quarantined(identity)
        if one is None:
            raise Rejected(f"nothing with id {identity} is set aside", status=404, code="not_found")
        return dict(masked({**asdict(one), "body": None, "preview": asdict(preview(one.body))}))

    @routes.post("/quarantine/{identity}/retry", response_model=Retried)
    async def retry(identity: str, who: Retrier) -> Retried:
        """Process it again, with the same identity, after what stopped it was mended."""
        count = await store.retry_quarantined([identity], house.clock.now())
        if not count:
            raise Rejected(f"nothing with id {identity} can be retried", status=404, code="not_found")
        await house.users.note(who.source, "quarantine.retry", identity)
        house.work.ring()
        return Retried(retried=count)

    @routes.get("/outbox", response_model=Page)
    async def outbox(who: Outbox, after: After = "", limit: Limit = 50, state: str = "", ticket: str = "") -> Page:
        """What is owed to the outside: in one state, of one ticket, or all that is not sent."""
        of = await store.ticket(ticket) if ticket else None
        found = await store.outgoing(state, after, limit + 1, of.id if of else "")
        items = [
            {"id": one.outgoing.id, "kind": one.outgoing.kind, "target": one.outgoing.target, "ticket": one.number,
             "state": one.state, "due_at": one.outgoing.due_at, "attempts": one.outgoing.attempts,
             "settled_at": one.settled_at, "reason": masked(one.reason), "external_id": one.external_id,
             "url": one.url, "status": one.status}
            for one in found[:limit]
        ]  # fmt: skip
        return _page(items, len(found) > limit)

    @routes.patch("/outbox/{identity}", status_code=204)
    async def mend(identity: str, mended: Mended, who: Mender) -> None:
        """Mend a reply that was refused or held. It keeps its id; retry it then."""
        changes = {name: value for name, value in mended.model_dump().items() if value}
        if not await store.edit_outgoing(identity, changes):
            raise Rejected(f"no dead or held reply {identity}", status=404, code="not_found")
        await house.users.note(who.source, "outbox.mend", identity, fields=" ".join(sorted(changes)))

    @routes.post("/outbox/{identity}/retry", response_model=Retried)
    async def again(identity: str, who: Mender) -> Retried:
        """Owe it again, with the id it always had."""
        count = await store.retry_outgoing([identity], house.clock.now())
        if not count:
            raise Rejected(f"nothing dead or held has the id {identity}", status=404, code="not_found")
        await house.users.note(who.source, "outbox.retry", identity)
        house.owed.ring()
        return Retried(retried=count)

    @routes.get("/health")
    async def health(_: Journal) -> list[dict[str, Any]]:
        """How every account, target, the rules, the journal, the disk and the clock are."""
        return [asdict(sign) for sign in await signs(house)]

    @routes.get("/keys")
    async def keys(_: Keeper) -> list[dict[str, Any]]:
        """API keys, without their secrets."""
        return [asdict(key) for key in await store.list_keys()]

    @routes.post("/keys", status_code=201, response_model=MadeKey)
    async def add_key(wanted: NewKey, who: Keeper) -> MadeKey:
        """Make an API key. Nobody gives away what they may not do themselves."""
        if beyond := [scope for scope in wanted.scopes if not who.may(scope)]:
            what = ", ".join(sorted(beyond))
            raise Rejected(f"scopes: {what}: there is none such, or it is not yours", status=403, code="forbidden")
        identity, secret = await store.add_key(wanted.label, wanted.scopes, house.clock.now())
        await house.users.note(who.source, "key.add", identity, scopes=" ".join(wanted.scopes))
        return MadeKey(id=identity, secret=secret)

    @routes.delete("/keys/{identity}", status_code=204)
    async def end_key(identity: str, who: Keeper) -> None:
        """End an API key at once."""
        if not await store.revoke_key(identity):
            raise Rejected(f"no key {identity}", status=404, code="not_found")
        await house.users.note(who.source, "key.end", identity)

    @routes.get("/audit", response_model=Page)
    async def audit(_: Auditor, before: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Limit = 50) -> Page:
        """Who did what, newest first; before that seq."""
        found = await house.users.audited(before, limit + 1)
        items = [asdict(one) for one in found[:limit]]
        return Page(items=items, next=str(items[-1]["seq"]) if len(found) > limit else "")

    return routes


def _page(items: list[dict[str, Any]], more: bool) -> Page:
    return Page(items=items, next=str(items[-1]["id"]) if more else "")
