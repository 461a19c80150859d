"""Lists of tickets: chosen, ordered, paged both ways, and counted without looking at each."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from stored import NOW, arrive, decided, kept, opened, promised, stored

from gateway.store import listing
from gateway.store.store import Store
from gateway.store.work import Outcome
from normalizer.canon import Derived, Review, Ticket

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import many


async def numbers(store: Store, after: str = "", **more: object) -> list[str]:
    return [ticket.number for ticket, _ in await store.tickets(after, **more)]  # type: ignore[arg-type]


async def changed(store: Store, ticket: Ticket, **fields: object) -> Ticket:
    """Its next version."""
    await arrive(store, f"change {ticket.id} {ticket.version}")
    (claim,) = await store.claim(NOW, 1)
    whose = await store.contact(ticket.contact)
    assert whose
    decision = decided(ticket, whose, None, (await store.decisions(ticket.id))[-1].hash, **fields)
    after = replace(decision.ticket, version=ticket.version + 1)
    assert await store.commit([Outcome(claim, tickets=(after,), decisions=(decision,))], NOW) == [True]
    return after


async def test_pages_go_both_ways(store: Store) -> None:
    for serial in range(1, 8):
        await kept(store, serial)
    assert await numbers(store, limit=3) == ["20261123007", "20261123006", "20261123005"]
    assert await numbers(store, "20261123005", limit=3) == ["20261123004", "20261123003", "20261123002"]
    assert await numbers(store, before="20261123004", limit=2) == ["20261123006", "20261123005"]
    assert await numbers(store, before="20261123007", limit=2) == []
    assert await numbers(store, "no such") == []


async def test_several_values_mean_one_of_them_and_a_dash_means_none(store: Store) -> None:
    await kept(store, 1, status=Derived("open", "x"), assignee=Derived("li", "x"))
    await kept(store, 2, status=Derived("closed", "x"))
    await kept(store, 3)
    assert await numbers(store, status=["open", "closed"]) == ["20261123002", "20261123001"]
    assert await numbers(store, assignee="-") == ["20261123003", "20261123002"]
    assert await numbers(store, assignee=["-", "li"], status="open") == ["20261123001"]
    with pytest.raises(ValueError, match="by 'colour'"):
        await numbers(store, colour="red")
    with pytest.raises(ValueError, match="no order 'oldest'"):
        await numbers(store, order="oldest")


async def test_what_needs_review_and_who_is_a_vip_can_be_chosen(store: Store) -> None:
    await kept(store, 1, tier="vip")
    reviewed = await kept(store, 2, review=Review(True, ("doubt",)))
    assert await numbers(store, tier="vip") == ["20261123001"]
    assert await numbers(store, review="yes") == ["20261123002"]
    await changed(store, reviewed, review=Review(False))
    assert await numbers(store, review="yes") == []


async def test_by_what_is_due_the_next_promise_comes_first_and_what_is_done_not_at_all(store: Store) -> None:
    await kept(store, 1, sla=promised(5))
    await kept(store, 2, sla=promised(2, met=True))
    urgent = await kept(store, 3, sla=promised(1))
    await kept(store, 4, sla=promised(-3), status=Derived("closed", "x"))
    await kept(store, 5)
    assert await numbers(store, order="due") == ["20261123003", "20261123002", "20261123001"]
    assert await numbers(store, "20261123003", order="due", limit=1) == ["20261123002"]
    assert await numbers(store, before="20261123001", order="due", limit=1) == ["20261123002"]
    await changed(store, urgent, status=Derived("solved", "x"))
    assert await numbers(store, order="due") == ["20261123002", "20261123001"]


async def test_counts_follow_every_commit(store: Store) -> None:
    first = await kept(store, 1, status=Derived("open", "x"), group=Derived("billing", "x"))
    await kept(store, 2, status=Derived("open", "x"))
    assert await store.tally() == {"open": 2}
    assert await store.tally("group", status="open") == {"billing": 1, "after_sales": 1}
    await changed(store, first, status=Derived("closed", "x"))
    assert await store.tally() == {"open": 1, "closed": 1}
    assert await store.tally("status", group="billing") == {"closed": 1}
    assert (await store.counts()).tickets == 2


async def test_a_commit_that_lost_counts_nothing(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await arrive(store, "late")
    (claim,) = await store.claim(NOW, 1)
    old = replace(made.tickets[0], status=Derived("closed", "x"))
    assert await store.commit([Outcome(claim, tickets=(old,))], NOW) == [False]
    assert await store.tally() == {"new": 1}


async def test_counts_are_what_a_look_at_every_ticket_would_say(store: Store) -> None:
    await many.fill(store, 500)
    for code in listing.CODES:
        told = await store.database.read(
            lambda c, code=code: dict(c.execute(text(f'SELECT "{code}", count(*) FROM tickets GROUP BY 1')).all())
        )  # type: ignore[misc]
        assert await store.tally(code) == {
            str(bool(value)) if code == "review" else value: n for value, n in told.items()
        }


@pytest.mark.only("sqlite")
async def test_lists_are_chosen_from_the_narrow_indexes(store: Store) -> None:
    """At a hundred thousand tickets a look at the wide rows would take a second."""
    await many.fill(store, 500)

    def plan(page: listing.Page, **filters: str) -> str:
        statement = listing.statement(page, listing.chosen(filters))
        sql = str(statement.compile(store.database._engine, compile_kwargs={"literal_binds": True}))
        with store.database._engine.connect() as connection:
            return " ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}"))

    assert "COVERING INDEX tickets_newest" in plan(listing.Page(), status="open", assignee="agent3")
    assert "TEMP B-TREE" not in plan(listing.Page(), status="open", assignee="agent3")
    assert "COVERING INDEX tickets_due" in plan(listing.Page(order="due"), status="open")
    assert "tickets_by_contact" in plan(listing.Page(), contact="x")


@pytest.mark.only("sqlite")
async def test_it_is_quick_with_many(folder: Path) -> None:
    """Far below what a page may take; docs/operating.md tells the figures with 100,000."""
    store = await opened(folder)
    await many.fill(store, 2000)
    slow = [(what, taken) for what, taken in await many.measure(store) if taken > 100]
    assert slow == []
    await store.close()
