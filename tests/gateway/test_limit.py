"""How often one source may knock."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.limit import WINDOW, Limiter

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(st.lists(st.floats(min_value=0, max_value=20), max_size=200), st.integers(min_value=1, max_value=20))
def test_nobody_gets_more_than_twice_the_rate_in_any_minute_and_the_quiet_always_get_in(
    gaps: list[float], rate: int
) -> None:
    limiter, now, passed = Limiter(), NOON, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        if limiter.allows(("form", "203.0.113.9"), rate, now):
            passed.append(now)
        recent = [at for at in passed if at > now - WINDOW]
        assert len(recent) <= 2 * rate
        if gap >= 2 * WINDOW.total_seconds():
            assert passed[-1] == now


def test_one_source_does_not_use_up_anothers_minute() -> None:
    limiter = Limiter()
    assert [limiter.allows(("a",), 2, NOON) for _ in range(3)] == [True, True, False]
    assert limiter.allows(("b",), 2, NOON)


def test_a_refused_knock_does_not_keep_the_door_shut() -> None:
    limiter = Limiter()
    for second in range(120):
        limiter.allows(("a",), 1, NOON + timedelta(seconds=second))
    assert limiter.allows(("a",), 1, NOON + timedelta(minutes=4))
