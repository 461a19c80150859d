"""A view's tickets: what its conditions say of columns is asked of the database, the rest of each row it gives.

Rows are read in the list's order until the page is full, and no more than MOST_READ of them: then the page says so, and
goes on from where it stopped when asked for the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, false, not_, or_, true

from engine.ruleset import All, Condition, Nothing, Test
from engine.ruleset import Any as AnyOf
from engine.vocabulary import PRIORITIES
from gateway.crypto import Vault
from gateway.store import listing
from gateway.store.listing import Page
from gateway.store.tables import tallies, tickets
from normalizer.canon import Contact, Ticket

MOST_READ = 400
AT_ONCE = 100

COLUMNS = {name: name for name in ("status", "priority", "category", "subcategory", "group", "assignee", "channel")} | {
    "contact.tier": "tier"
}
Holds = Callable[[Ticket, Contact], bool]


@dataclass(frozen=True, slots=True)
class Viewed:
    """A page of a view. `next` and `previous` are cursors; empty where there is no more."""

    tickets: tuple[tuple[Ticket, Contact], ...]
    next: str = ""
    previous: str = ""
    cut: bool = False  # MOST_READ rows were read and the page is not full: more may come after `next`


@dataclass(frozen=True, slots=True)
class Asked:
    """What SQL can say of a condition: what must hold, and whether that is all of it."""

    where: ColumnElement[bool]
    exact: bool


def view(connection: Connection, vault: Vault, when: Condition, holds: Holds, page: Page, now: datetime) -> Viewed:
    """The tickets for which the condition holds, in the page's order and after (or before) its cursor."""
    asked = ask(when, tickets.c, now)
    found: list[tuple[Ticket, Contact]] = []
    at, read, more = replace(page, limit=AT_ONCE), 0, True
    while more and read < MOST_READ and len(found) <= page.limit:
        some = listing.opened(connection, vault, listing.seqs(connection, at, [asked.where]))
        more = len(some) == AT_ONCE
        read += len(some)
        ordered = some[::-1] if page.before else some
        found.extend(one for one in ordered if asked.exact or holds(*one))
        if ordered:
            at = _beyond(at, ordered[-1][0].number)
    return _viewed(page, found, at, more)


def _beyond(page: Page, number: str) -> Page:
    return replace(page, before=number) if page.before else replace(page, after=number)


def _viewed(page: Page, found: list[tuple[Ticket, Contact]], at: Page, more: bool) -> Viewed:
    shown = found[: page.limit]
    full = len(found) > page.limit
    last = shown[-1][0].number if full else (at.before or at.after if more else "")
    cut = more and not full
    if page.before:
        nearest = shown[0][0].number if shown else page.before
        return Viewed(tuple(shown[::-1]), next=nearest, previous=last, cut=cut)
    return Viewed(tuple(shown), next=last, previous=shown[0][0].number if page.after and shown else "", cut=cut)


def count(connection: Connection, when: Condition, now: datetime) -> int | None:
    """How many tickets a view has; None if that cannot be told without reading them."""
    counted = ask(when, tallies.c, now)
    if counted.exact:
        return listing.count(connection, [counted.where])
    asked = ask(when, tickets.c, now)
    return listing.size(connection, [asked.where]) if asked.exact else None


def ask(when: Condition, columns: Any, now: datetime) -> Asked:
    """The condition over columns of `tickets` or `tallies`: what SQL lets through is never too little."""
    match when:
        case Test():
            return _test(when, columns, now)
        case All(parts):
            asked = [ask(part, columns, now) for part in parts]
            return Asked(and_(true(), *(one.where for one in asked)), all(one.exact for one in asked))
        case AnyOf(parts):
            asked = [ask(part, columns, now) for part in parts]
            return Asked(or_(false(), *(one.where for one in asked)), all(one.exact for one in asked))
        case Nothing(parts):
            asked = [ask(part, columns, now) for part in parts]
            sure = [not_(one.where) for one in asked if one.exact]
            return Asked(and_(true(), *sure), all(one.exact for one in asked))


def _test(test: Test, columns: Any, now: datetime) -> Asked:
    known: ColumnElement[bool] | None = None
    if test.field in COLUMNS:
        known = _code(test, columns[COLUMNS[test.field]])
    elif test.field == "review.needed":
        known = _flag(test, columns["review"])
    elif test.field == "sla.left" and "due_at" in columns:
        known = _left(test, columns["due_at"], now)
        if known is not None and test.operator != "exists":  # so that what says not holds where there is none
            known = and_(columns["due_at"].is_not(None), known)
    return Asked(true(), False) if known is None else Asked(known, True)


def _code(test: Test, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
    wanted = _listed(test.wanted)
    match test.operator:
        case "is" | "in":
            return column.in_(wanted)
        case "is_not" | "not_in":
            return column.not_in(wanted)
        case "exists":
            return column != "" if test.wanted else column == ""
        case _ if test.kind == "rank":
            return column.in_([code for code in PRIORITIES if test.holds(code)])
        case _:
            return None


def _flag(test: Test, column: ColumnElement[Any]) -> ColumnElement[bool] | None:
    if test.operator == "exists":  # it always is
        return true() if test.wanted else false()
    return column.in_([value for value in (True, False) if test.holds(value)])


def _left(test: Test, column: ColumnElement[Any], now: datetime) -> ColumnElement[bool] | None:
    def moment(minutes: Any) -> datetime:
        return now + timedelta(minutes=min(max(float(minutes), -_FAR), _FAR))

    match test.operator:
        case "exists":
            return column.is_not(None) if test.wanted else column.is_(None)
        case "at_most":
            return column <= moment(test.wanted)
        case "less_than":
            return column < moment(test.wanted)
        case "at_least":
            return column >= moment(test.wanted)
        case "more_than":
            return column > moment(test.wanted)
        case "between":
            low, high = _listed(test.wanted)
            return and_(column >= moment(low), column <= moment(high))
        case _:
            return None


_FAR = 60.0 * 24 * 366 * 50  # minutes: beyond any promise


def _listed(wanted: Any) -> Sequence[Any]:
    return wanted if isinstance(wanted, tuple) else (wanted,)
