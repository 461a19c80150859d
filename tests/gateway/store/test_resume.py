"""A store that goes on from a copy: no number is given twice, whatever was given since, on whichever day."""

from datetime import datetime, timedelta

from stored import NOW

from gateway.store.numbers import TICKETS_A_SECOND
from gateway.store.store import Store

DAY, NEXT, LATER = "20261123", "20261124", "20261130"


async def given(store: Store, day: str, *names: str) -> list[int]:
    numbers = await store.numbers([(name, day) for name in names])
    return [int(numbers[name].removeprefix(day)) for name in names]


async def test_serials_go_on_behind_all_that_can_have_been_given_since(store: Store) -> None:
    assert await given(store, DAY, "a", "b") == [1, 2]
    skipped = await store.resume(NOW, NOW + timedelta(hours=3))
    assert skipped >= 3 * 3600 * TICKETS_A_SECOND
    assert await given(store, DAY, "c") == [skipped + 3]
    assert await given(store, DAY, "a") == [1]  # what was given before is kept


async def test_days_between_begin_behind_it_too_and_days_after_at_one(store: Store) -> None:
    await given(store, DAY, "a")
    skipped = await store.resume(NOW, NOW + timedelta(days=2))
    assert await given(store, NEXT, "b") == [skipped + 1]
    assert await given(store, "20261001", "c") == [skipped + 1]  # a mail of long ago, unreadable until now
    assert await given(store, LATER, "d") == [1]


async def test_restored_twice_from_one_backup_the_second_passes_what_the_first_gave(store: Store) -> None:
    """The later one skips more, by more than the earlier can have given until then."""
    first = await skipped_at(store, NOW + timedelta(seconds=10))
    second = await skipped_at(store, NOW + timedelta(seconds=70))
    assert second - first >= 60 * TICKETS_A_SECOND


async def skipped_at(store: Store, moment: datetime) -> int:
    return await store.resume(NOW, moment)


async def test_a_backup_of_what_was_restored_passes_days_before_the_first_restore_again(store: Store) -> None:
    first = await store.resume(NOW, NOW + timedelta(days=1))
    second = await store.resume(NOW + timedelta(days=3), NOW + timedelta(days=3, seconds=5))
    assert await given(store, DAY, "a") == [first + second + 1]
    assert await given(store, "20261126", "b") == [second + 1]
    assert await given(store, LATER, "c") == [1]
