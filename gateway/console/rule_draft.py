"""A draft of one file of the rule set: edited, checked, tried on a message and on recorded traffic, put live.

/console/rules/edit?file=NAME    GET: as it is in force
/console/rules/check             POST: what is wrong in it as it would be, for the editor: {here: [...], listed: HTML}
/console/rules/schema.json       GET: what the editor completes from
/console/rules/try               POST: what would become of a message
/console/rules/effect            POST: what would have become of recorded traffic
/console/rules/live              POST

Nothing of a draft is kept here: it is the one file that the form carries, laid over the set in force.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine import findings, schema
from engine.reading import Finding
from gateway import bundle as bundles
from gateway import guard, trying, vet
from gateway.bundle import Bundle
from gateway.console import rules
from gateway.console.drawing import HEADERS, is_partial, language_of, pages, render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import missing, reader, words
from gateway.console.rows import Words
from gateway.console.rules import AT, is_rulebook, readable, said_of, standing
from gateway.console.rules_words import RULES
from gateway.console.ticket_words import TICKET
from gateway.house import House
from gateway.replay import Replayed
from gateway.trying import Tried
from normalizer.errors import ConfigError, Rejected

CHANGES = 50  # shown
DAYS = {"1d": 1, "7d": 7, "30d": 30}
BEGINNING = """\
rulebook: {0}
about:
layer: base

rules:
  - rule: {0}-first
    because:
    when:
      says: []
    then:
      tag:
"""


def routes(house: House) -> list[Route]:
    return [
        Route(f"{AT}/edit", edit(house)),
        Route(f"{AT}/check", check(house), methods=["POST"]),
        Route(f"{AT}/schema.json", completion(house)),
        Route(f"{AT}/try", tried(house), methods=["POST"]),
        Route(f"{AT}/effect", effect(house), methods=["POST"]),
        Route(f"{AT}/live", live(house), methods=["POST"]),
    ]


def edit(house: House) -> Endpoint:
    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        name = full_name(asked.query_params.get("file", ""))
        if name is None or not readable(name, await reader(asked)):
            return missing(asked)
        return await editing(house, asked, {"file": name, "text": text_of(house.mind.bundle, name)})

    return endpoint


def full_name(name: str) -> str | None:
    """A file of the set; a new rulebook may be called by its bare name. None for what no set holds."""
    full = name if "/" in name else bundles.RULES + name
    return full if bundles.is_named(full) and full.endswith((".yaml", ".liquid")) else None


def text_of(bundle: Bundle, name: str) -> str:
    """As it is in force; a new rulebook begins with a rule to be filled in."""
    if name in bundle.files:
        return bundle.text(name)
    return BEGINNING.format(name.rpartition("/")[2].removesuffix(".yaml")) if is_rulebook(name) else ""


async def editing(
    house: House, asked: Request, given: Mapping[str, str], status: int = 200, *,
    wrong: list[dict[str, Any]] | None = None, **more: Any,
) -> Response:  # fmt: skip
    """The page of a draft: the editor, what is wrong, and what it would do."""
    told_by = await words(house, asked)
    r = RULES[told_by.language]
    name, text = given["file"], given.get("text", "").replace("\r\n", "\n")
    if wrong is None:
        wrong = await found_in(house, name, text, told_by.language)
    return render(
        asked, "rule_edit.html", house, told_by.language, name, status, r=r, file=name, text=text, given=given,
        findings=wrong,
        base=given.get("base") or await house.rules.sets.newest(),
        tiers=[(code, told_by.code("tier", code)) for code in house.mind.vocabulary.tiers],
        **standing(house, await reader(asked)), **more,
    )  # fmt: skip


async def found_in(house: House, name: str, text: str, language: str) -> list[dict[str, Any]]:
    """What is wrong in the set with this file in it."""
    try:
        bundle = laid_over(house.mind.bundle, name, text)
    except ConfigError as e:
        return [written(Finding(e.where, e.code, e.what, e.hint), language)]
    found = await trying.findings(house, bundle)
    mine = sorted(found, key=lambda one: (one.where.file != name, one.severity != "error"))
    return [written(one, language) for one in mine]


def laid_over(bundle: Bundle, name: str, text: str) -> Bundle:
    """The set with this file as it is to be; without it, if nothing is left of it. Raises ConfigError."""
    changed = trying.draft(bundle, {name: text.replace("\r\n", "\n") if text.strip() else None})
    return Bundle(changed.files)  # findings name the file, wherever the set was read


def written(one: Finding, language: str) -> dict[str, Any]:
    said = findings.told(one, language)
    return {"file": one.where.file, "line": one.where.line, "column": one.where.column, "code": one.code,
            "severity": one.severity, "message": said.what, "hint": said.hint}  # fmt: skip


async def drafted(house: House, asked: Request) -> Mapping[str, str]:
    """What the form carries. Raises Rejected (404) for a file this person may not see."""
    given = await guard.fields(asked)
    name = full_name(given.get("file", ""))
    if name is None or not readable(name, await reader(asked)):
        raise Rejected("no such file", status=404, code="not_found")
    return {**given, "file": name}


def check(house: House) -> Endpoint:
    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        given, language = await drafted(house, asked), language_of(asked)
        found = await found_in(house, given["file"], given.get("text", ""), language)
        listed = pages.get_template("rule_findings.html").render(r=RULES[language], findings=found, file=given["file"])
        here = [one for one in found if one["file"] == given["file"]]
        return JSONResponse({"here": here, "listed": listed}, headers=HEADERS)

    return endpoint


def tried(house: House) -> Endpoint:
    """What would become of a sentence or a mail."""

    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        given, told_by = await drafted(house, asked), await words(house, asked)
        try:
            bundle = laid_over(house.mind.bundle, given["file"], given.get("text", ""))
            made = await trying.attempt(house, bundle, given.get("said", ""), given.get("tier", ""))
        except (ConfigError, Rejected) as e:
            return await part(house, asked, given, "tried", {"fault": fault_of(e, told_by.language)})
        return await part(house, asked, given, "tried", outcome(told_by, made))

    return endpoint


def fault_of(e: ConfigError | Rejected, language: str) -> str:
    if isinstance(e, ConfigError):
        return findings.line(Finding(e.where, e.code, e.what, e.hint), language)
    return str(RULES[language]["refusals"].get(e.code, e.reason))


def outcome(told_by: Words, made: Tried) -> dict[str, Any]:
    """The ticket in a few words, the rules that made it so, and what the customer would read."""
    ticket, decision = made.decision.ticket, made.decision
    lines = made.zh if told_by.language == "zh" else made.en
    category = ticket.category.value if ticket.category else ""
    chips = [
        ("", told_by.label("category", ticket.category)),
        ("", told_by.label("subcategory", ticket.subcategory, category)),
        (ticket.priority.value, told_by.label("priority", ticket.priority)),
        ("", told_by.label("group", ticket.group)), ("", told_by.label("agent", ticket.assignee)),
        ("review", TICKET[told_by.language]["review"] if ticket.review and ticket.review.needed else ""),
        *(("", tag) for tag in ticket.tags),
    ]  # fmt: skip
    return {
        "chips": [{"kind": kind, "words": said} for kind, said in chips if said],
        "fired": lines[: len(decision.fired)], "became": lines[len(decision.fired) :], "words": made.acknowledgement,
    }  # fmt: skip


def effect(house: House) -> Endpoint:
    """What would have come of recorded traffic."""

    @needs("tickets:read")
    async def endpoint(asked: Request) -> Response:
        given, told_by = await drafted(house, asked), await words(house, asked)
        days = DAYS.get(given.get("since", ""), DAYS["7d"])
        try:
            bundle = laid_over(house.mind.bundle, given["file"], given.get("text", ""))
            done = await trying.effect(house, bundle, told_by.now - timedelta(days=days))
        except ConfigError as e:
            return await part(house, asked, given, "effect", {"fault": fault_of(e, told_by.language)})
        return await part(house, asked, given, "effect", await changes(house, told_by, done))

    return endpoint


async def changes(house: House, told_by: Words, done: Replayed) -> dict[str, Any]:
    shown = [change for change in done.changes if change.fields][:CHANGES]
    rows = []
    for change in shown:
        ticket = await house.store.ticket(change.number)
        contact = await house.store.contact(ticket.contact) if ticket else None
        rows.append({
            "number": change.number, "subject": told_by.row(ticket, contact).subject if ticket else "",
            "changes": [_changed(told_by, name, was, now) for name, (was, now) in change.fields.items()],
        })  # fmt: skip
    return {
        "total": done.decisions, "changed": len(done.changed_tickets), "erased": done.erased, "rows": rows,
        "fields": [(_field(told_by, name), count) for name, count in done.fields.items()],
        "more": max(0, len([change for change in done.changes if change.fields]) - len(shown)),
    }  # fmt: skip


def _changed(told_by: Words, name: str, was: Any, now: Any) -> dict[str, str]:
    return {"field": _field(told_by, name), "before": _value(told_by, name, was), "after": _value(told_by, name, now)}


def _field(told_by: Words, name: str) -> str:
    return str(RULES[told_by.language]["fields"].get(name, name))


def _value(told_by: Words, name: str, value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_value(told_by, name, one) for one in value)
    choice = {"assignee": "agent"}.get(name, name)
    return told_by.text(told_by.code(choice, str(value))) if value not in (None, "", False) else ""


async def part(house: House, asked: Request, given: Mapping[str, str], name: str, value: dict[str, Any]) -> Response:
    """A part of the page for htmx; without scripts the whole page with it."""
    if not is_partial(asked):
        return await editing(house, asked, given, tried=value if name == "tried" else None,
                             effect=value if name == "effect" else None)  # fmt: skip
    language = language_of(asked)
    return render(
        asked, f"rule_{name}.html", house, language, given["file"], 200, r=RULES[language], tried=value, effect=value
    )


def completion(house: House) -> Endpoint:
    """The JSON Schema of a rulebook with this deployment's words."""

    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        return JSONResponse(schema.schema(house.mind.vocabulary), headers=HEADERS)

    return endpoint


def live(house: House) -> Endpoint:
    @needs("rules:write")
    async def endpoint(asked: Request) -> Response:
        given, language = await drafted(house, asked), language_of(asked)
        r, why = RULES[language], given.get("why", "").strip()
        if not why:
            return await editing(house, asked, given, 422, fault=r["why_needed"])
        try:
            bundle = laid_over(house.mind.bundle, given["file"], given.get("text", ""))
            if bundle.sha == house.mind.bundle.sha:
                return await editing(house, asked, given, 422, fault=r["unchanged"])
            done = await house.rules.put_live(bundle, (await reader(asked)).source, why, _seq(given.get("base", "")))
        except vet.Unfit as e:
            found = [written(one, language) for one in e.findings]
            fault = r["not_live"].format(said_of(e.findings, language))
            return await editing(house, asked, given, 422, fault=fault, wrong=found)
        except ConfigError as e:
            return await editing(house, asked, given, 422, fault=r["not_live"].format(e.what))
        except Rejected as e:
            return await editing(house, asked, given, e.status, fault=r["refusals"].get(e.code, e.reason))
        return await rules.drawn(house, asked, told=r["live_done"].format(done.sha[:12]))

    return endpoint


def _seq(base: str) -> int | None:
    return int(base) if base.isdecimal() and len(base) < 10 else None
