"""What people do to a ticket, and what it is afterwards."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.acting import Acted, Action, act, comment
from engine.thread import Found, place
from normalizer.canon import Address, Derived, Message, Milestone, Related, Review, Sla, Status, Ticket
from normalizer.errors import Unreadable

NOW = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
SAID = Message("email", "email_smtp", "support", "1@x", Address("email", "li@example.org"), NOW, text="快递三天没动了")


def ticket(**changes: Any) -> Ticket:
    promises = {name: Milestone(NOW + timedelta(hours=4)) for name in ("first_response", "accepted", "solved")}
    made = place(SAID, Found(), NOW).ticket
    return replace(made, id="t1", version=3, sla=Sla("standard", "always", promises), **changes)


def done(verb: Any, before: Ticket | None = None, **told: Any) -> Acted:
    action = Action("a1", verb, "t1", "person:li", NOW + timedelta(minutes=5), **told)
    return act(action, before or ticket())


def refused(verb: Any, before: Ticket | None = None, **told: Any) -> str:
    with pytest.raises(Unreadable) as e:
        done(verb, before, **told)
    return e.value.code


def test_what_a_person_sets_bears_the_persons_name() -> None:
    acted = done("update", changes={"priority": "urgent", "group": "senior", "category": "complaint"})
    assert acted.trigger == "ticket.updated"
    assert acted.ticket.priority == Derived("urgent", "person:li")
    assert acted.changed == {
        "priority": ("normal", "urgent"), "group": (None, "senior"), "category": (None, "complaint"),
    }  # fmt: skip


def test_a_new_category_takes_the_old_subcategory_away() -> None:
    before = ticket(category=Derived("after_sales", "cues:1"), subcategory=Derived("refund", "cues:1"))
    assert done("update", before, changes={"category": "complaint"}).ticket.subcategory is None
    both = done("update", before, changes={"category": "complaint", "subcategory": "attitude"}).ticket
    assert both.subcategory == Derived("attitude", "person:li")


def test_an_empty_value_takes_away_but_never_the_priority() -> None:
    before = ticket(assignee=Derived("wang", "rule:x"), group=Derived("front-desk", "rule:x"))
    assert done("update", before, changes={"assignee": ""}).ticket.assignee is None
    assert refused("update", before, changes={"priority": ""}) == "invalid"


def test_tags_are_added_and_taken_away_or_said_whole() -> None:
    before = ticket(tags=("doubtful", "refund"))
    assert done("update", before, changes={"tags": "+vip -doubtful"}).ticket.tags == ("refund", "vip")
    assert done("update", before, changes={"tags": "only, these"}).ticket.tags == ("only", "these")


def test_solving_keeps_the_promise_and_reopening_is_counted() -> None:
    solved = done("update", changes={"status": "solved", "solution": "补发"}).ticket
    assert solved.solved_at == NOW + timedelta(minutes=5)
    assert solved.sla and solved.sla.milestones["solved"].met_at == solved.solved_at
    again = done("update", solved, changes={"status": "open"}).ticket
    assert (again.solved_at, again.closed_at, again.reopen_count) == (None, None, 1)
    closed = done("update", solved, changes={"status": "closed"}).ticket
    assert closed.closed_at is not None
    assert closed.solved_at == solved.solved_at


def test_an_old_version_is_a_conflict_and_nothing_is_done() -> None:
    assert refused("update", changes={"status": "open"}, version=2) == "conflict"
    assert done("update", changes={"status": "open"}, version=3).ticket.status.value == "open"


def test_nobody_takes_a_ticket_from_somebody_else() -> None:
    claimed = done("claim").ticket
    assert (claimed.assignee, claimed.status.value) == (Derived("li", "person:li"), "open")
    assert claimed.sla and claimed.sla.milestones["accepted"].met_at
    assert done("claim", claimed).ticket == claimed
    assert refused("claim", ticket(assignee=Derived("wang", "person:wang"))) == "conflict"


def test_a_comment_for_colleagues_is_internal_and_one_for_the_customer_is_the_first_response() -> None:
    told = Action("a1", "comment", "t1", "person:li", NOW, text="先查物流")
    words = comment(told, ticket())
    assert words is not None
    assert (words.visibility, words.direction, words.author, words.text) == ("internal", "out", "agent", "先查物流")
    assert act(told, ticket()).ticket.first_response_at is None
    public = act(replace(told, public=True), ticket())
    assert public.trigger == "agent.replied"
    assert public.ticket.first_response_at == NOW
    assert refused("comment", text="  ") == "invalid"


def test_a_merged_ticket_says_where_it_went_and_takes_nothing_but_comments() -> None:
    merged = done("merge", other="t2").ticket
    assert merged.status.value == "merged"
    assert merged.related == (Related("duplicate_of", "t2"),)
    assert done("absorb", other="t9").ticket.related == (Related("merged", "t9"),)
    assert refused("update", merged, changes={"status": "open"}) == "invalid"
    assert refused("merge", other="t1") == "invalid"
    assert done("comment", merged, text="看新单").ticket.status.value == "merged"


def test_what_is_said_to_a_merged_ticket_goes_to_where_it_went() -> None:
    target = replace(ticket(), id="t2")
    gone = done("merge", other="t2").ticket
    answer = replace(SAID, external_id="2@x", in_reply_to="1@x")
    found = Found(tickets={"t1": gone, "t2": target}, by_message_id={"1@x": "t1"}, takes_part=frozenset({"t1"}))
    assert place(answer, found, NOW).ticket.id == "t2"
    circle = replace(target, status=Derived(Status.MERGED, "x"), related=(Related("duplicate_of", "t1"),))
    assert place(answer, replace(found, tickets={"t1": gone, "t2": circle}), NOW).is_new


def test_a_verdict_ends_the_review_and_puts_right_what_was_wrong() -> None:
    doubtful = ticket(review=Review(True, ("unsure",), "front-desk"))
    acted = done("review", doubtful, verdict="approved", text="是投诉", changes={"category": "complaint"})
    assert acted.trigger == "review.decided"
    assert acted.ticket.review == Review(
        False, ("unsure",), "front-desk", (), "person:li", NOW + timedelta(minutes=5), "approved", "是投诉"
    )
    assert acted.ticket.category == Derived("complaint", "person:li")
    assert acted.changed["review"] == (True, False)
    assert refused("review", acted.ticket, verdict="approved") == "conflict"
    assert refused("review", doubtful) == "invalid"


@pytest.mark.parametrize(
    "changes", [{"status": "merged"}, {"status": "gone"}, {"number": "1"}, {"version": "9"}, {"contact": "x"}]
)
def test_what_no_person_may_write_is_refused(changes: dict[str, str]) -> None:
    assert refused("update", changes=changes) == "invalid"
