"""The ledger of acknowledgements: what counts, for how long, within a round too, and what a storm is."""

from dataclasses import replace
from datetime import timedelta

from stored import NOW, arrive, outcome

from gateway.ledger import Ledger
from gateway.settings import Acknowledgements
from gateway.store.ledger import Entry, Recipient, Standing, Storm
from gateway.store.store import Store

LI, WU = Recipient("li@example.cn", "room"), Recipient("wu@example.cn")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


async def entered(store: Store, key: str, *entries: Entry, at: timedelta = timedelta()) -> None:
    await arrive(store, key)
    (claim,) = await store.claim(NOW + at, 1)
    made = outcome(claim, f"20261123{int(key):03d}", sender=f"c{key}@example.cn", reply=False)
    assert await store.commit([replace(made, acknowledged=entries)], NOW + at) == [True]


async def test_what_was_owed_counts_by_address_domain_thread_and_in_all(store: Store) -> None:
    await entered(store, "1", Entry(LI), Entry(WU), Entry(LI, "storm"))
    had = await store.acknowledged([LI, WU, Recipient("x@other.cn")], NOW + MINUTE / 2)
    assert had.addresses == {"li@example.cn": 1, "wu@example.cn": 1, "x@other.cn": 0}
    assert had.domains == {"example.cn": 2, "other.cn": 0}
    assert (had.threads, had.hour, had.minute, had.wanted) == ({"room": 1}, 2, 2, 3)
    told, _ = await store.acknowledgements(NOW)
    assert told == {"sent": 2, "storm": 1}
    had = await store.acknowledged([LI], NOW + MINUTE / 2, {"address"})
    assert had.addresses and not (had.domains or had.threads or had.hour or had.minute or had.wanted)


async def test_what_is_older_counts_no_more(store: Store) -> None:
    await entered(store, "1", Entry(LI))
    for after, address, thread, minute in ((2 * MINUTE, 1, 1, 0), (HOUR + MINUTE, 0, 1, 0), (25 * HOUR, 0, 0, 0)):
        had = await store.acknowledged([LI], NOW + after)
        assert (had.addresses["li@example.cn"], had.threads["room"], had.minute) == (address, thread, minute)
    await entered(store, "2", Entry(WU), at=49 * HOUR)
    assert await store.database.read(lambda c: c.exec_driver_sql("SELECT count(*) FROM acknowledgements").scalar()) == 1


async def test_no_address_stands_in_the_ledger(store: Store) -> None:
    await entered(store, "1", Entry(LI))
    (row,) = await store.database.read(lambda c: c.exec_driver_sql("SELECT * FROM acknowledgements").all())
    assert not any("li" in str(value) or "example" in str(value) or "room" in str(value) for value in row)


def asked(ledger: Ledger, *recipients: Recipient) -> list[str]:
    codes = []
    for one in recipients:
        codes.append(ledger.check(one))
        ledger.enter(one, codes[-1])
    return codes


def test_limits_hold_within_a_round_too() -> None:
    limits = Acknowledgements(address_an_hour=2, thread_a_day=1, domain_an_hour=4, whole_an_hour=5)
    made = Ledger(limits, Standing(addresses={"wu@example.cn": 1}), NOW)
    assert asked(made, LI, LI, replace(LI, thread="hall"), replace(LI, thread="yard")) == ["", "thread", "", "address"]
    assert asked(made, WU, WU) == ["", "address"]
    others = [Recipient(f"c{n}@example.cn") for n in range(2)] + [Recipient(f"c@{n}.cn") for n in range(2)]
    assert asked(made, *others) == ["", "domain", "", "whole"]


def test_nothing_is_limited_where_the_figure_is_nought() -> None:
    none = Acknowledgements(
        address_an_hour=0, thread_a_day=0, domain_an_hour=0, whole_an_hour=0, storm_a_minute=0
    )  # fmt: skip
    assert set(asked(Ledger(none, Standing(hour=10**6, minute=10**6), NOW), *[LI] * 1000)) == {""}


def test_a_storm_stops_everything_goes_on_while_it_is_asked_for_and_ends_by_itself() -> None:
    limits = Acknowledgements(storm_a_minute=4, storm_quiet=10)
    people = [Recipient(f"c@{n}.cn") for n in range(6)]
    made = Ledger(limits, Standing(), NOW)
    assert asked(made, *people) == ["", "", "", "", "storm", "storm"]
    assert made.storm == Storm(NOW, NOW + 10 * MINUTE)

    busy = Ledger(limits, Standing(wanted=3, storm=made.storm), NOW + 9 * MINUTE)
    assert asked(busy, people[0]) == ["storm"]
    assert busy.storm == Storm(NOW, NOW + 19 * MINUTE)
    quiet = Ledger(limits, Standing(wanted=1, storm=made.storm), NOW + 9 * MINUTE)
    assert (asked(quiet, people[0]), quiet.storm) == (["storm"], made.storm)
    over = Ledger(limits, Standing(storm=made.storm), NOW + 10 * MINUTE)
    assert asked(over, people[0]) == [""]


async def test_a_person_ends_a_storm_and_what_was_before_no_longer_counts(store: Store) -> None:
    await entered(store, "1", Entry(LI), Entry(WU))
    await store.keep_storm(Storm(NOW, NOW + HOUR))
    assert (await store.acknowledged([LI], NOW)).storm.rages(NOW)
    assert await store.resume_acknowledgements("terminal:li", NOW + timedelta(seconds=1))
    had = await store.acknowledged([LI], NOW + timedelta(seconds=2))
    assert (had.storm.rages(NOW + timedelta(seconds=2)), had.minute, had.hour) == (False, 0, 2)
    assert not await store.resume_acknowledgements("terminal:li", NOW + MINUTE)
