"""Rules: which are in force, what was changed by whom and why, and going back to an earlier version.

/console/rules         GET
/console/rules/back    POST
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine import findings
from engine.reading import Finding
from gateway import bundle as bundles
from gateway import guard, vet
from gateway.bundle import Bundle
from gateway.console.drawing import language_of, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import reader, words
from gateway.console.rows import Words
from gateway.console.rules_words import RULES
from gateway.house import House
from gateway.permissions import Who
from gateway.rule_diff import Changed, diff
from gateway.store.rulesets import Live
from normalizer import marked
from normalizer.errors import Rejected

AT = "/console/rules"
ROWS, NAMED, LONGEST_DIFF = 20, 5, 20_000


def routes(house: House) -> list[Route]:
    return [Route(AT, listed(house)), Route(f"{AT}/back", back(house), methods=["POST"])]


def listed(house: House) -> Endpoint:
    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        return await drawn(house, asked)

    return endpoint


async def drawn(house: House, asked: Request, told: str = "", fault: str = "", status: int = 200) -> Response:
    told_by = await words(house, asked)
    r, who = RULES[told_by.language], await reader(asked)
    before = asked.query_params.get("before", "")
    found = await house.rules.sets.history(int(before) if before.isdecimal() and len(before) < 10 else 0, ROWS + 1)
    refusal = house.rules.refusal
    return render(
        asked, "rules.html", house, told_by.language, r["rules"], status, r=r, told=told, fault=fault,
        refused=said_of(refusal.findings, told_by.language) if refusal else "",
        live=_live(told_by, house, [] if before else found[:1]), books=list(_files(house, who)),
        history=await _history(told_by, house, found), **standing(house, who),
        older=f"{AT}?before={found[ROWS - 1].seq}" if len(found) > ROWS else "", first=AT if before else "",
    )  # fmt: skip


def standing(house: House, who: Who) -> dict[str, Any]:
    """Whether rules can be put live by this person; `folder` is where they are changed instead."""
    return {"may_write": who.may("rules:write"), "folder": str(house.configured.rules) if house.rules.by_files else ""}


def _live(told_by: Words, house: House, latest: Sequence[Live]) -> dict[str, Any]:
    mind = house.mind
    known = [one for one in latest if one.sha == mind.bundle.sha]
    by, why = (told_by.person(known[0].who), known[0].why) if known else ("", "")
    return {"version": mind.bundle.sha[:12], "rules": len(mind.ruleset.rules), "by": by, "why": why,
            "when": told_by.moment(known[0].at if known else house.rules.since)}  # fmt: skip


def _files(house: House, who: Who) -> Iterator[dict[str, Any]]:
    """The texts of the set that this person may see, rulebooks first."""
    mind = house.mind
    count = Counter(rule.where.file for rule in mind.ruleset.rules)
    named = sorted(mind.bundle.files, key=lambda name: (not is_rulebook(name), name))
    for name in named:
        if readable(name, who):
            about, layer = _head(mind.bundle, name) if is_rulebook(name) else ("", "")
            yield {"file": name, "about": about, "layer": layer, "rules": count.get(mind.bundle.place(name), "")}


def is_rulebook(name: str) -> bool:
    return re.fullmatch(r"rules/[^/]+\.yaml", name) is not None


def readable(name: str, who: Who) -> bool:
    """Rulebooks, examples and templates; the company's own data, which names people, only for who may change it."""
    if not name.endswith((".yaml", ".liquid")):
        return False
    return name.startswith(bundles.RULES) or who.may("rules:write")


def _head(bundle: Bundle, name: str) -> tuple[str, str]:
    book = marked.read(bundle.text(name), name).value
    found = book if isinstance(book, dict) else {}
    return str(found.get("about", "")), str(found.get("layer", "base"))


async def _history(told_by: Words, house: House, found: Sequence[Live]) -> list[dict[str, Any]]:
    """Each with what it changed; the last of `found` is only there to be compared with, if there are more."""
    sets = {one.sha: await house.rules.sets.bundle(one.sha, house.mind.bundle) for one in found}
    rows = []
    for one, earlier in zip(found[:ROWS], [*found[1:], None], strict=False):
        was, now = sets[earlier.sha] if earlier else None, sets[one.sha]
        changes = await asyncio.to_thread(diff, was, now) if was and now else []
        rows.append({
            "sha": one.sha, "version": one.sha[:12], "live": one.sha == house.mind.bundle.sha,
            "by": told_by.person(one.who), "why": one.why, "when": told_by.moment(one.at),
            "what": summed(changes, told_by.language) if earlier else "", "diff": _told(changes),
        })  # fmt: skip
    return rows


def summed(changes: Sequence[Changed], language: str) -> str:
    """Such as: changed parcel-not-received, added new-year."""
    r = RULES[language]
    kinds = {kind: [one.name for one in changes if one.kind == kind] for kind in ("added", "changed", "removed")}
    said = [r[kind].format(_few(names)) for kind, names in kinds.items() if names]
    return ("；" if language == "zh" else "; ").join(said) or r["same"]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f", ... ({len(names)})" if len(names) > NAMED else "")


def _told(changes: Sequence[Changed]) -> str:
    return "\n".join("\n".join((f"# {one.file}: {one.name}", *one.lines)) for one in changes)[:LONGEST_DIFF]


def said_of(found: Sequence[Finding], language: str) -> str:
    """The first of them, and how many more there are."""
    first = findings.line(found[0], language)
    return f"{first} (+{len(found) - 1})" if len(found) > 1 else first


def back(house: House) -> Endpoint:
    """An earlier set again. It is checked and tested like any other."""

    @needs("rules:write")
    async def endpoint(asked: Request) -> Response:
        given, language = await guard.fields(asked), language_of(asked)
        r = RULES[language]
        try:
            done = await house.rules.take_back(
                (await reader(asked)).source, given.get("why", "").strip(), given.get("version", "")
            )
        except vet.Unfit as e:
            return await drawn(house, asked, fault=r["not_live"].format(said_of(e.findings, language)), status=422)
        except Rejected as e:
            return await drawn(house, asked, fault=r["refusals"].get(e.code, e.reason), status=e.status)
        return await drawn(house, asked, told=r["back_done"].format(done.sha[:12]))

    return endpoint
