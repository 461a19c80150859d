"""Lanes: one at a time, in order, and whoever lost the lease changes nothing."""

import asyncio
import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from stored import (
    NOW,
    SECOND,
    arrive,
    decided,
    envelope,
    followed,
    found,
    give_back,
    message,
    opened,
    outcome,
    stored,
    wanted,
)

from gateway.store import claim
from gateway.store.store import Store
from gateway.store.work import Claim, Limits, Outcome
from normalizer.errors import Rejected

LEASE = Limits().lease


def keys(claims: list[Claim]) -> list[str]:
    return [claim.envelope.key for claim in claims]


async def test_one_envelope_a_lane_oldest_first(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    await arrive(store, "b1", lane="b")
    await arrive(store, "a3", lane="a")
    claims = await store.claim(NOW, 10)
    assert keys(claims) == ["a1", "b1"]
    assert [claim.attempts for claim in claims] == [1, 1]
    assert await store.claim(NOW, 10) == []


async def test_a_lane_goes_on_in_the_order_of_arrival(store: Store) -> None:
    await arrive(store, "a1", "a2", "a3", lane="a")
    order = []
    while claims := await store.claim(NOW, 10):
        order += keys(claims)
        assert await store.commit([Outcome(claims[0])], NOW) == [True]
    assert order == ["a1", "a2", "a3"]
    assert (await store.counts()).waiting == 0


async def test_at_most_as_many_as_asked_for(store: Store) -> None:
    await arrive(store, "a", "b", "c")
    assert keys(await store.claim(NOW, 2)) == ["a", "b"]
    assert keys(await store.claim(NOW, 2)) == ["c"]


async def test_a_lease_that_ran_out_and_was_taken_over_cannot_commit(store: Store) -> None:
    await arrive(store, "a")
    (late,) = await store.claim(NOW, 1)
    after = NOW + LEASE + SECOND
    (now_theirs,) = await store.claim(after, 1)
    assert now_theirs.fence > late.fence
    assert now_theirs.attempts == 2
    assert await store.commit([outcome(late, "20261123001")], after) == [False]
    assert await store.release(late, "too late", after, SECOND) is False
    assert await store.set_aside(late, "unreadable", "too late", after) is False
    assert await store.commit([outcome(now_theirs, "20261123001")], after) == [True]
    assert len(await store.tickets()) == 1


async def test_a_finished_claim_cannot_commit_again(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    (claim,) = await store.claim(NOW, 1)
    assert await store.commit([Outcome(claim)], NOW) == [True]
    assert await store.commit([Outcome(claim)], NOW) == [False]
    assert keys(await store.claim(NOW, 1)) == ["a2"]


async def test_of_a_holder_that_died_the_lanes_are_free_and_of_others_they_are_not(store: Store) -> None:
    await arrive(store, "a", "b", "c")
    (dead,) = await store.claim(NOW, 1, holder=7)
    (alive,) = await store.claim(NOW, 1, holder=8)
    (of_both,) = await store.claim(NOW, 1, holder=7)
    assert await store.commit([outcome(of_both, "20261123001")], NOW) == [True]
    assert await store.free(7, NOW) == 1
    (again,) = await store.claim(NOW, 10, holder=9)
    assert (again.envelope, again.attempts) == (dead.envelope, 2)
    assert await store.commit([outcome(dead, "20261123002")], NOW) == [False]
    assert await store.commit([outcome(alive, "20261123003")], NOW) == [True]
    assert await store.free(8, NOW) == 0


async def test_a_lane_that_is_held_goes_on_later_as_if_it_had_never_been_claimed(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    (claim,) = await store.claim(NOW, 1)
    assert await store.hold(claim, NOW + SECOND * 2) is True
    assert await store.hold(claim, NOW + SECOND * 9) is False  # it is not ours any more
    assert await store.claim(NOW + SECOND, 1) == []
    (again,) = await store.claim(NOW + SECOND * 2, 1)
    assert (again.envelope, again.attempts) == (claim.envelope, 1)


async def test_what_waits_behind_in_the_lane_can_be_done_together(store: Store) -> None:
    await arrive(store, "a1", "a2", "a3", "a4", lane="a")
    await arrive(store, "b1", lane="b")
    claims = await store.claim(NOW, 2)
    behind = await store.behind(claims[0], 2)
    assert [envelope.key for _, envelope in behind] == ["a2", "a3"]
    further = (behind[1][0],)
    assert await store.commit([Outcome(replace(claims[0], further=further))], NOW) == [True]
    assert keys(await store.claim(NOW, 2)) == ["a2"]
    assert (await store.counts()).waiting == 3


async def test_an_envelope_with_more_messages_keeps_its_lease(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    (claim,) = await store.claim(NOW, 1)
    later = NOW + LEASE - SECOND
    assert await store.commit([Outcome(claim, done=False)], later) == [True]
    assert await store.claim(NOW + LEASE + SECOND, 1) == []  # the lease began anew
    assert await store.commit([Outcome(claim)], later) == [True]
    assert keys(await store.claim(later, 1)) == ["a2"]


async def test_a_failed_attempt_waits_and_its_lane_with_it(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    (claim,) = await store.claim(NOW, 1)
    assert await store.release(claim, "no luck", NOW, 5 * SECOND) is True
    assert await store.claim(NOW + 4 * SECOND, 1) == []
    assert await store.next_due() == NOW + 5 * SECOND
    (again,) = await store.claim(NOW + 5 * SECOND, 1)
    assert (again.envelope.key, again.attempts) == ("a1", 2)


async def test_after_three_claims_it_is_poison_and_the_lane_goes_on(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    for attempt in (1, 2, 3):
        (claim,) = await store.claim(NOW, 1)
        assert claim.attempts == attempt
        await store.release(claim, f"failed at 李雷 {attempt}", NOW, timedelta())
    assert keys(await store.claim(NOW, 1)) == ["a2"]
    (aside,) = await store.quarantine()
    assert (aside.code, aside.stage, aside.attempts) == ("poison", "journal", 3)
    assert aside.reason == "3 attempts: failed at 李雷 3"
    assert (await store.status_of(aside.id)).state == "set_aside"  # type: ignore[union-attr]


async def test_a_process_that_dies_each_time_is_poison_too(store: Store) -> None:
    await arrive(store, "a")
    now = NOW
    for _ in range(3):
        assert len(await store.claim(now, 1)) == 1
        now += LEASE + SECOND
    assert await store.claim(now, 1) == []
    assert [aside.code for aside in await store.quarantine()] == ["poison"]


async def test_what_is_set_aside_stops_nobody_and_can_be_retried(store: Store) -> None:
    await arrive(store, "a1", "a2", lane="a")
    (claim,) = await store.claim(NOW, 1)
    assert await store.set_aside(claim, "unreadable", "no message in it", NOW) is True
    (second,) = await store.claim(NOW, 1)
    assert second.envelope.key == "a2"
    (aside,) = await store.quarantine(code="unreadable")
    assert (await store.quarantined(aside.id)).body == b"hello"  # type: ignore[union-attr]
    assert await store.retry_quarantined([aside.id, "nothing"], NOW) == 1
    assert await store.quarantine() == []
    assert await store.claim(NOW, 1) == []  # the lane is still leased
    assert await store.commit([Outcome(second)], NOW) == [True]
    (again,) = await store.claim(NOW, 1)
    assert (again.envelope, again.attempts) == (claim.envelope, 1)


async def test_what_was_refused_at_the_door_cannot_be_retried(store: Store) -> None:
    await store.refuse("webhook", "main", "unverified", "bad signature", b"x", {"remote": "192.0.2.1"}, NOW)
    (aside,) = await store.quarantine()
    with pytest.raises(Rejected) as refused:
        await store.retry_quarantined([aside.id], NOW)
    assert refused.value.code == "forbidden"


@pytest.mark.only("sqlite")
async def test_a_long_queue_costs_a_claim_nothing(store: Store) -> None:
    """No scan of what waits: SQLite answers by index, however long the queue."""
    await arrive(store, *(f"{n}" for n in range(300)), lane="flood")
    from gateway.store import claim as leases

    sql = str(leases._ready.compile(store.database._engine, compile_kwargs={"literal_binds": False}))
    plan = await store.database.alone(lambda bare: bare.execute(f"EXPLAIN QUERY PLAN {sql}", (0, 10, 0)).fetchall())
    steps = [row[3] for row in plan]
    assert steps[0].startswith("SCAN lanes USING INDEX lanes_by_head"), steps
    assert all(step.startswith("SEARCH") for step in steps[1:]), steps


# ---- commits that lose -----------------------------------------------------------------------------------------------


async def test_of_two_that_change_one_ticket_the_second_loses(store: Store) -> None:
    first = await stored(store, "first", "20261123001")
    before, previous = first.tickets[0], first.decisions[0].hash
    await arrive(store, "a", "b", "c")
    one, two, other = await store.claim(NOW, 3)
    outcomes = [
        followed(one, before, previous),
        followed(two, before, previous),
        outcome(other, "20261123002", sender="han@example.cn"),
    ]
    assert await store.commit(outcomes, NOW) == [True, False, True]
    assert len(await store.messages(before.id)) == 2
    now_there = await found(store, wanted(ticket=before.id))
    again = followed(two, now_there.tickets[before.id], now_there.previous[before.id])
    assert await store.commit([again], NOW) == [True]  # it still had its lease


async def test_decisions_of_a_ticket_must_chain(store: Store) -> None:
    first = await stored(store, "first", "20261123001")
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    assert await store.commit([followed(claim, first.tickets[0], "0" * 64)], NOW) == [False]
    assert await store.commit([followed(claim, first.tickets[0], first.decisions[0].hash)], NOW) == [True]
    chain = await store.decisions(first.tickets[0].id)
    assert [decision.case.previous for decision in chain] == ["", chain[0].hash]


async def test_a_message_is_placed_once_whichever_way_it_came(store: Store) -> None:
    await arrive(store, "a", "b")
    one, two = await store.claim(NOW, 2)
    made = outcome(one, "20261123001")
    same = replace(made, claim=two, contacts=(), tickets=(), decisions=(), outgoing=())
    assert await store.commit([made], NOW) == [True]
    assert await store.commit([same], NOW) == [False]
    assert (await found(store, wanted(said=made.messages[0][0].id))).placed_before


async def test_two_lanes_that_make_one_contact_under_two_ids_do_not(store: Store) -> None:
    await arrive(store, "a", "b")
    one, two = await store.claim(NOW, 2)
    first, second = outcome(one, "20261123001"), outcome(two, "20261123002")
    stranger = replace(second.contacts[0], id="f" * 32)
    kept = replace(second.tickets[0], contact=stranger.id)
    remade = decided(replace(kept, version=0), stranger, second.messages[0][0])
    second = replace(second, contacts=(stranger,), tickets=(kept,), decisions=(remade,))
    assert await store.commit([first, second], NOW) == [True, False]


async def test_a_number_used_twice_loses_and_the_rest_is_kept(store: Store) -> None:
    """Only the database sees this one: the batch is done again one by one."""
    await arrive(store, "a", "b", "c")
    one, two, three = await store.claim(NOW, 3)
    outcomes = [
        outcome(one, "20261123001", sender="a@example.cn"),
        outcome(two, "20261123001", sender="b@example.cn"),
        outcome(three, "20261123003", sender="c@example.cn"),
    ]
    assert await store.commit(outcomes, NOW) == [True, False, True]
    assert [ticket.number for ticket, _ in await store.tickets()] == ["20261123003", "20261123001"]


async def test_a_message_that_belongs_nowhere_is_kept_all_the_same(store: Store) -> None:
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    bounce = message(claim, sender="mailer@example.cn")
    assert await store.commit([Outcome(claim, messages=((bounce, ""),))], NOW) == [True]
    assert (await found(store, wanted(said=bounce.id))).placed_before


# ---- any order of things ---------------------------------------------------------------------------------------------


class Lanes(RuleBasedStateMachine):
    """Whatever workers do, each lane goes in order, each envelope is finished once, and nobody shares a lane."""

    claims = Bundle("claims")

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        limits = Limits(attempts=1000)
        self.store = self.loop.run_until_complete(opened(Path(self.folder.name) / "data", limits=limits))
        self.now: datetime = NOW
        self.waiting: dict[str, list[str]] = {}
        self.leased: dict[str, tuple[int, datetime]] = {}
        self.tried: set[str] = set()
        self.count = 0

    @rule(lane=st.sampled_from("abc"))
    def journal(self, lane: str) -> None:
        self.count += 1
        key = f"{lane}{self.count}"
        assert self.loop.run_until_complete(self.store.journal([envelope(key, lane=lane)], self.now)) == [True]
        self.waiting.setdefault(lane, []).append(key)

    @rule(target=claims, limit=st.integers(1, 3))
    def claim(self, limit: int) -> object:
        free = [lane for lane in self.waiting if self.waiting[lane] and self._free(lane)]
        got = self.loop.run_until_complete(self.store.claim(self.now, limit))
        heads = sorted((self.waiting[lane][0] for lane in free), key=lambda key: int(key[1:]))
        assert keys(got) == self._batch(heads[:limit])
        self.tried.update(keys(got))
        for one in got:
            self.leased[one.envelope.lane] = (one.fence, self.now + LEASE)
        return multiple(*got)

    def _batch(self, heads: list[str]) -> list[str]:
        """One that was tried before is tried alone."""
        return (
            heads[:1] if heads and heads[0] in self.tried else list(takewhile(lambda key: key not in self.tried, heads))
        )

    def _free(self, lane: str) -> bool:
        return lane not in self.leased or self.leased[lane][1] <= self.now

    @rule(claim=consumes(claims))
    def commit(self, claim: Claim) -> None:
        lane = claim.envelope.lane
        ours = self.leased.get(lane, (0, self.now))[0] == claim.fence
        assert self.loop.run_until_complete(self.store.commit([Outcome(claim)], self.now)) == [ours]
        if ours:
            assert self.waiting[lane].pop(0) == claim.envelope.key
            del self.leased[lane]

    @rule(claim=consumes(claims), wait=st.integers(0, 90))
    def release(self, claim: Claim, wait: int) -> None:
        lane = claim.envelope.lane
        ours = self.leased.get(lane, (0, self.now))[0] == claim.fence
        done = self.loop.run_until_complete(self.store.release(claim, "again", self.now, timedelta(seconds=wait)))
        assert done == ours
        if ours:
            self.leased[lane] = (0, self.now + timedelta(seconds=wait))

    @rule(seconds=st.integers(1, 70))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "store"):
            counts = self.loop.run_until_complete(self.store.counts())
            assert counts.waiting == sum(map(len, self.waiting.values()))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.loop.run_until_complete(self.store.close())
            self.loop.close()
            give_back(Path(self.folder.name) / "data")
            self.folder.cleanup()


class LanesInPostgresql(Lanes):
    """The same there."""


TestLanes, TestLanesInPostgresql = Lanes.TestCase, LanesInPostgresql.TestCase
TestLanes.kind, TestLanesInPostgresql.kind = "sqlite", "postgresql"
for case, many in ((TestLanes, 15), (TestLanesInPostgresql, 6)):
    case.settings = settings(
        max_examples=many, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )


async def test_no_more_is_claimed_at_once_than_fits_into_memory_but_always_something(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "MOST_OCTETS", 100)
    sizes = (40, 40, 40, 300, 10)
    await store.journal([envelope(str(n), lane=str(n), body=b"x" * size) for n, size in enumerate(sizes)], NOW)
    claimed = [[one.envelope.key for one in await store.claim(NOW, 64)] for _ in range(4)]
    assert claimed == [["0", "1"], ["2"], ["3"], ["4"]]
