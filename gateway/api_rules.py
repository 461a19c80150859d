"""/api/v1/rules: the rule set that decides, trying another one, and putting it live.

GET   /rules                             what is live, since when, and what was refused
GET   /rules/history                     what was live, put live by whom, and why
GET   /rules/sets/{name}  /rules/diff    the files of a set, and what changed between two
POST  /rules/check | try | effect        a draft: what is wrong, on a message, on recorded traffic
POST  /rules/live | rollback             put live, take back (operators; not where files are the truth)

A draft is the live set with some files changed; nothing of it is kept until it is put live.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from engine import findings as words
from gateway import bundle as bundles
from gateway import trying
from gateway.api_tickets import Require
from gateway.bundle import Bundle
from gateway.house import House
from gateway.masking import masked
from gateway.permissions import Who
from gateway.problems import described
from gateway.rule_diff import diff as differences
from gateway.store.rulesets import Live
from gateway.vet import Unfit
from normalizer.canon import public
from normalizer.errors import ConfigError, Rejected
from normalizer.identity import mask_text

CHANGES_TOLD = 1_000
Name = Annotated[str, Query(max_length=64, description="`live`, or the beginning of a set's name")]
Files = Annotated[
    dict[str, str | None],
    Field(max_length=500, description="`rules/NAME.yaml` and its text; null takes a file away. The rest is as live."),
]


class Draft(BaseModel):
    model_config = ConfigDict(extra="forbid")

    files: Files = {}


class Trial(Draft):
    text: str = Field(max_length=trying.LONGEST, description="A sentence, or a mail with its header")


class Since(Draft):
    days: float = Field(default=7, gt=0, le=90, description="How far back to look")
    simulate_load: bool = Field(default=False, description="Changed routing moves the load that later tickets see")


class ToBeLive(Draft):
    why: str = Field(min_length=1, max_length=500)
    after: int | None = Field(default=None, description="`seq` of what was live when you looked; 409 if it is not now")


class TakenBack(BaseModel):
    model_config = ConfigDict(extra="forbid")

    why: str = Field(min_length=1, max_length=500)
    set: str = Field(default="", max_length=64, description="The beginning of a set's name; else the one before")
    after: int | None = None


class WentLive(BaseModel):
    """That a set went live."""

    seq: int
    sha: str
    at: datetime
    who: str
    why: str


def router(house: House, require: Require) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/rules", tags=["rules"], responses=described(401, 403, 404, 409, 503))
    Reader = Annotated[Who, Depends(require("journal:read"))]  # noqa: N806 - types, as FastAPI wants them
    Looker = Annotated[Who, Depends(require("tickets:read"))]  # noqa: N806
    Operator = Annotated[Who, Depends(require("rules:write"))]  # noqa: N806
    rules = house.rules

    async def named(name: str) -> Bundle:
        return house.mind.bundle if name == "live" else await rules.bundle(await rules.sets.named(name))

    @routes.get("")
    async def live(_: Reader) -> dict[str, Any]:
        """What decides now, where it comes from, and what was refused."""
        now, refusal = await rules.sets.live(), rules.refusal
        return {
            "sha": house.mind.bundle.sha, "rules": len(house.mind.ruleset.rules), "since": rules.since,
            "source": house.configured.settings.rules.source, "kernel": house.mind.ruleset.kernel.name,
            "files": sorted(house.mind.bundle.files), "live": asdict(now) if now else None,
            "refused": {"sha": refusal.sha, "at": refusal.at, "who": refusal.who,
                        "findings": list(map(words.plain, refusal.findings))} if refusal else None,
        }  # fmt: skip

    @routes.get("/history", response_model=list[WentLive])
    async def history(
        _: Reader, before: Annotated[int, Query(ge=0, le=2**53)] = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50
    ) -> Sequence[Live]:
        """What was live, newest first; before that seq."""
        return await rules.sets.history(before, limit)

    @routes.get("/sets/{name}")
    async def texts(name: str, who: Reader) -> dict[str, Any]:
        """The files of a set; personal data in config/ masked for who may not put rules live."""
        found = await named(name)
        return {"sha": found.sha, "files": {file: _text(found, file, who) for file in sorted(found.files)}}

    @routes.get("/diff")
    async def diff(who: Reader, before: Name = "", after: Name = "live") -> list[dict[str, Any]]:
        """What changed between two sets, rule by rule; without `before`: from the one before to the live one."""
        was = await named(before or (await rules.sets.earlier()).sha)
        found = [asdict(one) for one in differences(was, await named(after))]
        return found if who.may("rules:write") else list(masked(found))

    @routes.post("/check", response_model=list[dict[str, Any]])
    async def check(draft: Draft, _: Reader) -> list[dict[str, object]]:
        """What is wrong in a draft: findings of the check, and examples that fail."""
        with _told():
            return list(map(words.plain, await trying.findings(house, trying.draft(house.mind.bundle, draft.files))))

    @routes.post("/try")
    async def attempt(trial: Trial, _: Looker) -> dict[str, Any]:
        """What a draft makes of a message: ticket, decision in sentences, and the acknowledgement as it would read."""
        with _told():
            tried = await trying.attempt(house, trying.draft(house.mind.bundle, trial.files), trial.text)
        return {
            "ticket": public(tried.decision.ticket), "decision": public(tried.decision), "zh": tried.zh,
            "en": tried.en, "acknowledgement": asdict(tried.acknowledgement) if tried.acknowledgement else None,
        }  # fmt: skip

    @routes.post("/effect")
    async def effect(draft: Since, _: Looker) -> dict[str, Any]:
        """How many of the recorded tickets a draft would change, and each with its fields before and after."""
        with _told():
            bundle = trying.draft(house.mind.bundle, draft.files)
            since = house.clock.now() - timedelta(days=draft.days)
            done = await trying.effect(house, bundle, since, simulated_load=draft.simulate_load)
        whole = dict(masked(done.public()))
        changes = whole.pop("samples")
        return {**whole, "changes": changes[:CHANGES_TOLD], "more": max(0, len(changes) - CHANGES_TOLD)}

    @routes.post("/live", response_model=WentLive)
    async def put_live(draft: ToBeLive, who: Operator) -> Live:
        """Check and test a draft, and put it live. 422 with every finding if it does not pass."""
        with _told():
            bundle = trying.draft(house.mind.bundle, draft.files)
            return await rules.put_live(bundle, who.source, draft.why, draft.after)

    @routes.post("/rollback", response_model=WentLive)
    async def rollback(wanted: TakenBack, who: Operator) -> Live:
        """Put an earlier set live again, checked and tested first."""
        with _told():
            return await rules.take_back(who.source, wanted.why, wanted.set, wanted.after)

    return routes


@contextmanager
def _told() -> Iterator[None]:
    """What does not pass is an answer of its own, with everything that is wrong."""
    try:
        yield
    except Unfit as e:
        raise Rejected("; ".join(map(str, e.findings[:20])), status=422, code="unfit") from None
    except ConfigError as e:
        raise Rejected(str(e), status=422, code="unfit") from None


def _text(bundle: Bundle, name: str, who: Who) -> str:
    try:
        text = bundle.text(name)
    except ConfigError:
        return f"({len(bundle.files[name])} bytes)"
    return text if name.startswith(bundles.RULES) or who.may("rules:write") else mask_text(text)
