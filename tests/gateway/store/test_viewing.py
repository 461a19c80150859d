"""Views over a real store: what SQL chooses and what rows are asked for agree with the plain meaning."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import NOW, kept, opened, promised

from engine import views
from engine.company import FILES, company
from engine.views import View
from engine.vocabulary import Vocabulary
from gateway.store import viewing
from gateway.store.store import Store
from normalizer.canon import Derived, Extracted, Review, Sla

sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import many

CONFIG = Path(__file__).parents[3] / "config"
COMPANY = company({file: (CONFIG / file).read_text() for file in FILES})
CATEGORIES = {"complaint": {"zh": "投诉"}, "inquiry": {"zh": "咨询"}}
LABELS: dict[str, Any] = dict(COMPANY.labels)
VOCABULARY = Vocabulary(CATEGORIES, {}, lists=COMPANY.lists, **LABELS)
ME, OTHER = sorted(VOCABULARY.agents)[:2]


def one(when: str, order: str = "newest") -> View:
    (view,) = views.load(f"views: [{{view: v, when: {when}, order: {order}}}]", "views.yaml", VOCABULARY, ())
    return view


async def numbers(store: Store, view: View, **more: Any) -> list[str]:
    page = await store.view(view, COMPANY, NOW, **more)
    return [ticket.number[-3:] for ticket, _ in page.tickets]


async def some(store: Store) -> None:
    """Seven tickets, no two alike."""
    await kept(store, 1, assignee=Derived(ME, "x"), priority=Derived("urgent", "x"), sla=promised(1))
    await kept(store, 2, assignee=Derived(OTHER, "x"), status=Derived("closed", "x"), sla=promised(-1))
    await kept(store, 3, category=Derived("complaint", "x"), tags=("退款",), sla=promised(5))
    await kept(store, 4, review=Review(True), group=None, tier="vip")
    await kept(store, 5, priority=Derived("low", "x"), extracted={"order_number": Extracted("SF1", (0, 3))})
    await kept(store, 6, status=Derived("solved", "x"), assignee=Derived(ME, "x"), urge_count=3)
    await kept(store, 7, category=Derived("inquiry", "x"), sla=promised(-2), priority=Derived("high", "x"))


@pytest.mark.parametrize(
    ("when", "found", "counted"),
    [
        ("{assignee: me}", ["006", "001"], True),
        ("{assignee: {exists: false}, status: [new, open]}", ["007", "005", "004", "003"], True),
        ("{priority: {at_least: high}}", ["007", "001"], True),
        ("{category: {is_not: complaint}, priority: normal}", ["006", "004", "002"], True),
        ("{review.needed: true}", ["004"], True),
        ("{contact.tier: vip}", ["004"], True),
        ("{sla.left: {at_most: 90}}", ["007", "001"], True),
        ("{none: [{sla.left: {at_most: 90}}]}", ["006", "005", "004", "003", "002"], True),
        ("{tags: 退款}", ["003"], False),
        ("{any: [{tags: 退款}, {priority: urgent}]}", ["003", "001"], False),
        ("{none: [{tags: 退款}], assignee: {exists: false}}", ["007", "005", "004"], False),
        ("{extracted.order_number: {starts_with: sf}}", ["005"], False),
        ("{urge_count: {at_least: 3}}", ["006"], False),
    ],
)
async def test_it_holds_what_its_condition_says(store: Store, when: str, found: list[str], counted: bool) -> None:
    await some(store)
    assert await numbers(store, one(when), me=ME) == found
    assert await store.view_count(one(when), NOW, ME) == (len(found) if counted else None)


async def test_by_what_is_due_the_most_urgent_comes_first(store: Store) -> None:
    await some(store)
    assert await numbers(store, one("{sla.left: {exists: true}}", "due")) == ["007", "001", "003"]


async def test_pages_go_both_ways_through_what_only_rows_can_tell(store: Store) -> None:
    for serial in range(1, 31):
        await kept(store, serial, tags=("odd",) if serial % 2 else ())
    view, seen, after = one("{tags: odd}"), [], ""
    while True:
        page = await store.view(view, COMPANY, NOW, after=after, limit=4)
        seen.append([ticket.number[-3:] for ticket, _ in page.tickets])
        assert not page.cut
        if not page.next:
            break
        after = page.next
    assert [number for page in seen for number in page] == [f"{n:03d}" for n in range(29, 0, -2)]
    back = await store.view(view, COMPANY, NOW, before=f"20261123{int(seen[2][0]):03d}", limit=4)
    assert [ticket.number[-3:] for ticket, _ in back.tickets] == seen[1]
    assert back.previous == f"20261123{seen[1][0]}"


async def test_a_needle_in_a_haystack_is_looked_for_in_steps_and_said_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewing, "MOST_READ", 100)
    await kept(store, 1, tags=("needle",))
    await many.fill(store, 250)
    view, pages, after = one("{tags: needle}"), 0, ""
    while True:
        page = await store.view(view, COMPANY, NOW, after=after)
        pages += 1
        if not page.next:
            break
        assert page.cut and not page.tickets
        after = page.next
    assert pages == 3
    assert [ticket.number for ticket, _ in page.tickets] == ["20261123001"]


def conditions() -> st.SearchStrategy[str]:
    tests = st.sampled_from(
        ["{assignee: me}", "{assignee: {exists: true}}", "{status: [new, closed]}", "{status: {is_not: new}}",
         "{priority: {less_than: high}}", "{priority: {between: [low, normal]}}", "{category: complaint}",
         "{category: {not_in: [inquiry, complaint]}}", "{review.needed: false}", "{review.needed: {is_not: true}}",
         "{contact.tier: {not_in: [vip]}}", "{sla.left: {more_than: 0}}", "{sla.left: {between: [-100, 100]}}",
         "{sla.left: {is: 60}}", "{sla.left: {exists: false}}", "{tags: 退款}", "{urge_count: {at_most: 0}}",
         "{group: {exists: false}}", "{channel: email}", "{contact.name: 李雷}"]
    )  # fmt: skip
    return st.recursive(
        tests, lambda inner: st.tuples(st.sampled_from(("any", "all", "none")), st.lists(inner, min_size=1, max_size=3)).map(
            lambda made: f"{{{made[0]}: [{', '.join(made[1])}]}}"
        ), max_leaves=6,
    )  # fmt: skip


@pytest.fixture(scope="module")
def seven() -> Iterator[tuple[asyncio.Runner, Store]]:
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:

        async def filled() -> Store:
            store = await opened(Path(folder))
            await some(store)
            return store

        store = runner.run(filled())
        yield runner, store
        runner.run(store.close())


@given(when=conditions(), me=st.sampled_from([ME, OTHER, ""]))
@settings(max_examples=150, deadline=None)
def test_what_the_store_chooses_is_what_the_condition_means(
    seven: tuple[asyncio.Runner, Store], when: str, me: str
) -> None:
    runner, store = seven
    view = one(when)

    async def tried() -> None:
        every = await store.tickets()
        meant = [ticket.number for ticket, contact in every if view.holds(ticket, contact, COMPANY, NOW, me)]
        page = await store.view(view, COMPANY, NOW, me=me)
        assert [ticket.number for ticket, _ in page.tickets] == meant
        assert await store.view_count(view, NOW, me) in (None, len(meant))

    runner.run(tried())


async def test_a_promise_is_measured_from_now(store: Store) -> None:
    await kept(store, 1, sla=Sla("s", "c", promised(3).milestones))
    view = one("{sla.left: {at_most: 60}}")
    assert await numbers(store, view) == []
    page = await store.view(view, COMPANY, NOW + timedelta(hours=2))
    assert len(page.tickets) == 1
