"""How the house is: every account, target, the rules, the journal, the disk and the clock, and what to do.

/console/health     GET
"""

from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.console.desk_words import DESK
from gateway.console.drawing import render
from gateway.console.entry import Endpoint, needs
from gateway.console.reading import words
from gateway.console.rows import Words, size
from gateway.health import Sign, signs
from gateway.house import House

WORST = ("bad", "warning", "ok")
KINDS = ("account", "target", "rules", "store", "outbound", "disk", "clock")


def routes(house: House) -> list[Route]:
    return [Route("/console/health", health(house))]


def health(house: House) -> Endpoint:
    @needs("journal:read")
    async def endpoint(asked: Request) -> Response:
        told_by = await words(house, asked)
        d = DESK[told_by.language]
        found = await signs(house)
        worst = min((sign.state for sign in found), key=WORST.index, default="ok")
        groups = [(d["kinds_of"][kind], [card(told_by, sign) for sign in found if sign.kind == kind]) for kind in KINDS]
        return render(
            asked, "health.html", house, told_by.language, d["health"], d=d, worst=worst,
            groups=[(name, cards) for name, cards in groups if cards],
        )  # fmt: skip

    return endpoint


def card(told_by: Words, sign: Sign) -> dict[str, Any]:
    """A sign in words: how it is, what to do, and its figures."""
    d = DESK[told_by.language]
    said, to_do = d["signs"].get(f"{sign.kind}.{sign.code}", (sign.code, ""))
    figures = [(d["figures"].get(name, name), figure(told_by, name, value)) for name, value in sign.facts.items()]
    return {
        "name": d["named"].get(sign.name, sign.name), "state": sign.state, "said": said, "to_do": to_do,
        "figures": [(name, value) for name, value in figures if value != ""],
    }  # fmt: skip


def figure(told_by: Words, name: str, value: Any) -> str:
    if value is None or value == "":
        return ""
    if name.endswith("_seconds"):
        return told_by.span(float(value), 2)
    if name.endswith("_bytes"):
        return size(int(value))
    if name in ("last", "last_sent", "since", "refused_at", "storm_until"):
        return f"{told_by.moment(datetime.fromisoformat(value)).absolute}"
    if name == "sha":
        return str(value)[:12]
    if name == "seconds":
        return f"{timedelta(seconds=float(value)).total_seconds():.1f} s"
    return told_by.text(str(value))
