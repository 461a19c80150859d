"""Business time and promises."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.calendar import Calendar, duration, minutes
from engine.company import Company
from engine.sla import promise, promised
from engine.trial import case
from engine.vocabulary import Vocabulary
from normalizer.canon import Derived, Milestone, Sla

YEAR = (datetime(2026, 1, 1), datetime(2027, 1, 1))  # noqa: DTZ001, Hypothesis wants them so
SHANGHAI = ZoneInfo("Asia/Shanghai")
NINE_TO_SIX = ((540, 720), (810, 1080))  # 09:00-12:00, 13:30-18:00
OFFICE = Calendar(
    "office", SHANGHAI, (NINE_TO_SIX,) * 5 + ((), ()), frozenset([date(2026, 10, 1)]), frozenset([date(2026, 10, 10)])
)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "worked", "due"),
    [
        ("2026-03-04 09:00", "2h", "2026-03-04 11:00"),
        ("2026-03-04 11:00", "2h", "2026-03-04 14:30"),  # over lunch
        ("2026-03-04 17:00", "2h", "2026-03-05 10:00"),  # over night
        ("2026-03-06 17:30", "4h", "2026-03-09 14:00"),  # over the weekend
        ("2026-03-07 12:00", "30m", "2026-03-09 09:30"),  # captured on a Saturday
        ("2026-09-30 17:00", "2h", "2026-10-02 10:00"),  # over a holiday
        ("2026-10-09 17:30", "1h", "2026-10-10 09:30"),  # a worked Saturday
        ("2026-03-04 12:00", "30m", "2026-03-04 14:00"),  # at noon the door just closed
        ("2026-03-04 17:00", "1h", "2026-03-04 18:00"),  # exactly until closing
        ("2026-03-04 03:00", "15h", "2026-03-05 18:00"),
    ],
)
def test_only_open_time_counts(start: str, worked: str, due: str) -> None:
    length = duration(worked)
    assert length is not None
    assert OFFICE.after(local(start), length) in (
        local(due),
        local(due.replace("09:00", "18:00").replace("-06 ", "-05 ")),
    )


@given(st.datetimes(*YEAR), st.integers(1, 6000))
def test_due_times_lie_in_open_hours_and_later_work_ends_later(start: datetime, worked: int) -> None:
    at = start.replace(tzinfo=UTC)
    due = OFFICE.after(at, timedelta(minutes=worked))
    assert due > at
    assert OFFICE.is_open(due - timedelta(microseconds=1))
    assert OFFICE.after(at, timedelta(minutes=worked + 1)) > due


@given(st.datetimes(*YEAR), st.integers(0, 6000))
def test_around_the_clock_is_plain_addition(start: datetime, worked: int) -> None:
    at = start.replace(tzinfo=UTC)
    assert Calendar("always", SHANGHAI).after(at, timedelta(minutes=worked)) == at + timedelta(minutes=worked)


def test_a_change_to_summer_time_costs_nobody_an_hour() -> None:
    berlin = Calendar("b", ZoneInfo("Europe/Berlin"), (((0, 1440),),) * 7)
    start = datetime(2026, 3, 28, 20, tzinfo=UTC)  # the night from 28 to 29 March has 23 hours
    assert berlin.after(start, timedelta(hours=10)) == start + timedelta(hours=10)


def test_a_holiday_is_closed_even_around_the_clock() -> None:
    always = Calendar("a", SHANGHAI, None, frozenset([date(2026, 3, 5)]))
    assert not always.is_open(local("2026-03-05 10:00"))
    assert always.after(local("2026-03-04 23:00"), timedelta(hours=2)) == local("2026-03-06 01:00")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("30m", 30),
        ("4h", 240),
        ("1h30m", 90),
        ("2d", 2880),
        (" 5 min ", 5),
        ("soon", None),
        ("4", None),
        ("4h!", None),
        ("", None),
    ],
)
def test_lengths_of_time_are_read(text: str, length: int | None) -> None:
    assert duration(text) == (None if length is None else timedelta(minutes=length))


@pytest.mark.parametrize(
    ("text", "minute"), [("09:30", 570), ("24:00", 1440), ("24:01", None), ("9:5", None), ("x", None)]
)
def test_times_of_day_are_read(text: str, minute: int | None) -> None:
    assert minutes(text) == minute


PRIORITIES = [("urgent", 30), ("high", 120), ("normal", 240), ("low", 480)]


@pytest.mark.parametrize(("priority", "expected"), PRIORITIES)
def test_the_first_response_follows_the_priority(
    priority: str, expected: int, house: Company, vocabulary: Vocabulary
) -> None:
    ticket = case({}, vocabulary).ticket
    sla = promised(house, ticket, "request", priority)
    assert sla is not None
    assert sla.milestones["first_response"].due - ticket.captured_at == timedelta(minutes=expected)


def test_a_raised_priority_moves_what_is_not_yet_met(house: Company, vocabulary: Vocabulary) -> None:
    ticket = case({}, vocabulary).ticket
    met = Milestone(ticket.captured_at + timedelta(hours=4), met_at=ticket.captured_at)
    open_ = Milestone(ticket.captured_at + timedelta(days=3))
    had = replace(ticket, sla=Sla("standard", "always", {"first_response": met, "solved": open_}))
    sla = promised(house, had, "request", "high")
    assert sla is not None
    assert sla.milestones["first_response"] is met
    assert sla.milestones["solved"].due - ticket.captured_at == timedelta(hours=24)
    assert promised(house, had, "request", "normal") is had.sla  # nothing changed, nothing moves


def test_a_chosen_policy_stays_and_another_type_brings_its_own(house: Company, vocabulary: Vocabulary) -> None:
    ticket = case({}, vocabulary).ticket
    chosen = replace(ticket, sla=promised(house, ticket, "request", "normal", "incident"))
    again, other = promised(house, chosen, "request", "high"), promised(house, ticket, "incident", "normal")
    assert again is not None
    assert other is not None
    assert (again.policy, other.policy) == ("incident", "incident")
    assert set(other.milestones) == {"first_response", "accepted", "located", "solved"}


@pytest.mark.parametrize(
    ("due", "zh", "en"),
    [
        (timedelta(hours=4), "4 小时内", "within 4 hours"),
        (timedelta(minutes=30), "30 分钟内", "within 30 minutes"),
        (timedelta(minutes=61), "1 小时 1 分钟内", "within 1 hour 1 minute"),
        (timedelta(days=2), "3月6日（周五）12:00 前", "by Fri 6 March, 12:00 (UTC+8)"),
        (timedelta(hours=4, seconds=7), "3月4日（周三）16:00 前", "by Wed 4 March, 16:00 (UTC+8)"),
    ],
)
def test_the_promise_is_told_from_the_due_time(
    due: timedelta, zh: str, en: str, house: Company, vocabulary: Vocabulary
) -> None:
    ticket = case({}, vocabulary).ticket
    ticket = replace(
        ticket,
        priority=Derived("normal", "default"),
        sla=Sla("x", "always", {"first_response": Milestone(ticket.captured_at + due)}),
    )
    told = [promise(ticket, house, language) for language in ("zh", "en")]
    assert [t and t.text for t in told] == [zh, en]


def test_without_a_milestone_nothing_is_promised(house: Company, vocabulary: Vocabulary) -> None:
    assert promise(case({}, vocabulary).ticket, house, "zh") is None
