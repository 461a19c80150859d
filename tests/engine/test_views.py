"""Views as operators write them, and what is said of mistakes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engine import views
from engine.company import FILES, company
from engine.views import View
from engine.vocabulary import Vocabulary
from normalizer.canon import Contact, Derived, Extracted, Identity, Milestone, Sla, Source, Ticket
from normalizer.errors import ConfigError

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ROLES = ("viewer", "agent")
CONFIG = Path(__file__).parents[2] / "config"
COMPANY = company({file: (CONFIG / file).read_text() for file in FILES})
CATEGORIES = {"complaint": {"zh": "投诉"}}
LABELS: dict[str, Any] = dict(COMPANY.labels)
VOCABULARY = Vocabulary(CATEGORIES, {}, lists=COMPANY.lists, **LABELS)
AGENT, OTHER = sorted(VOCABULARY.agents)[:2]
CONTACT = Contact("c", (Identity("email", "li@example.cn"),), "李雷", attributes={"city": "杭州"})
TICKET = Ticket("t", Source("email", "email_smtp", "main", "e"), "c", "refund", NOW, NOW)


def read(text: str) -> tuple[View, ...]:
    return views.load(text, "views.yaml", VOCABULARY, ROLES)


def one(when: str) -> View:
    (view,) = read(f"views:\n  - view: v\n    when: {when}\n")
    return view


def holds(when: str, me: str = "", **fields: object) -> bool:
    return one(when).holds(replace(TICKET, **fields), CONTACT, COMPANY, NOW, me)  # type: ignore[arg-type]


def test_the_views_that_come_along_are_read() -> None:
    text = (CONFIG / "views.yaml").read_text()
    known = views.load(text, "views.yaml", VOCABULARY, ("viewer", "agent", "operator", "admin"))
    assert [view.name for view in known] == ["mine", "unassigned", "urgent", "due-soon", "review", "vip", "closed"]
    assert all(view.label.keys() == {"zh", "en"} for view in known)


def test_an_empty_file_has_none() -> None:
    assert read("") == read("views: []\n") == ()


def test_me_is_whoever_looks() -> None:
    taken = {"assignee": Derived(AGENT, "person:x")}
    assert holds("{assignee: me}", AGENT, **taken)
    assert holds("{assignee: 我}", AGENT, **taken)
    assert holds(f"{{assignee: [me, {OTHER}]}}", AGENT, **taken)
    assert not holds("{assignee: me}", OTHER, **taken)
    assert not holds("{assignee: me}", "", **taken)
    assert not holds("{assignee: me}")
    assert holds("{assignee: {is_not: me}}", OTHER, **taken)
    assert not holds("{none: [{assignee: me}]}", AGENT, **taken)


def test_a_view_may_look_at_all_that_is_kept() -> None:
    assert holds("{contact.attributes.city: 杭州}")
    assert holds("{contact.identities: {has: li@example.cn}}")
    assert holds("{extracted.order_number: {starts_with: SF}}", extracted={"order_number": Extracted("SF1", (0, 3))})
    assert holds("{contact.tier: vip}", tier="vip")
    assert holds("{any: [{tags: 退款}, {subject: refund}]}")


def test_what_is_left_until_the_next_promise_is_in_minutes() -> None:
    sla = Sla("standard", "always", {"first_response": Milestone(NOW + timedelta(minutes=30))})
    assert holds("{sla.left: {at_most: 30}}", sla=sla)
    assert not holds("{sla.left: {less_than: 30}}", sla=sla)
    assert not holds("{sla.left: {exists: true}}", sla=sla, status=Derived("closed", "x"))
    assert not holds("{sla.left: {at_most: 30}}")


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("views:\n  - {view: a, when: {message.text: x}}\n", "2:22", "not kept with a ticket"),
        ("views:\n  - view: a\n    when:\n      any:\n        - says: [退款]\n", "5:11", "'says'"),
        ("views:\n  - {view: a, when: {clock.weekday: monday}}\n", "2:22", "'clock.weekday'"),
        ("views:\n  - {view: a, when: {history: {within: 1d, count: 1}}}\n", "2:22", "'history'"),
        ("views:\n  - {view: a, when: {colour: red}}\n", "2:22", "unknown field 'colour'"),
        ("views:\n  - {view: a, when: {status: nwe}}\n", "2:30", "did you mean 'new'"),
        ("views:\n  - {view: a, order: oldest}\n", "2:22", "newest"),
        ("views:\n  - {view: a, roles: [boss]}\n", "2:23", "no role 'boss'"),
        ("views:\n  - {view: a}\n  - {view: a}\n", "3:12", "twice"),
        ("views:\n  - {view: a, wen: {}}\n", "2:15", "did you mean 'when'"),
        ("views:\n  - {label: {zh: 甲}}\n", "2:5", "view must be a word"),
        ("vews: []\n", "1:1", "did you mean 'views'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_place(text: str, place: str, said: str) -> None:
    with pytest.raises(ConfigError) as e:
        read(text)
    assert str(e.value).startswith(f"views.yaml:{place}:"), str(e.value)
    assert said in str(e.value)
