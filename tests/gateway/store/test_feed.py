"""The feed of what happened: told in the transaction in which it did, and forgotten after a week."""

from datetime import timedelta

from stored import NOW, SECOND, arrive, envelope, followed, outcome, stored

from gateway.store.store import Store
from gateway.store.work import Never, Outcome
from normalizer.canon import Sent


async def kinds(store: Store, after: int = 0) -> list[tuple[str, str]]:
    return [(event.kind, event.number) for event in await store.events(after)]


async def test_a_new_ticket_its_message_and_what_became_of_the_reply(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("desk",))
    assert await kinds(store) == [("ticket.created", "20261123001"), ("message.added", "20261123001")]
    added = (await store.events(1))[0]
    assert (added.thing, added.version) == (made.messages[0][0].id, 1)
    reply, step = sorted(await store.due(NOW, 10), key=lambda owed: owed.outgoing.kind, reverse=True)
    await store.settle(reply, Sent("1"), NOW)
    await store.settle(step, Never("no such field"), NOW)
    sent, dead = await store.events(2)
    assert (sent.kind, sent.number, sent.thing) == ("outgoing.sent", "20261123001", reply.outgoing.id)
    assert (dead.kind, dead.number, dead.thing) == ("outgoing.dead", "20261123001", step.outgoing.id)


async def test_a_later_message_updates_its_ticket(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    await store.commit([followed(claim, made.tickets[0], made.decisions[0].hash)], NOW)
    assert await kinds(store, 2) == [("ticket.updated", "20261123001"), ("message.added", "20261123001")]


async def test_what_was_not_committed_is_not_told(store: Store) -> None:
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    await store.release(claim, "again", NOW, timedelta())
    assert await store.commit([outcome(claim, "20261123001")], NOW) == [False]
    assert await store.commit([Outcome(claim)], NOW) == [False]
    assert await store.event_bounds() == (1, 0)


async def test_what_is_set_aside_is_told_whether_at_the_door_or_later(store: Store) -> None:
    await store.refuse("email_smtp", "main", "unverified", "why", b"x", {}, NOW)
    await store.journal([envelope("a")], NOW)
    (claim,) = await store.claim(NOW, 1)
    await store.set_aside(claim, "unreadable", "why", NOW)
    ids = {one.id for one in await store.quarantine()}
    assert {(event.kind, event.thing) for event in await store.events(0)} == {("quarantined", one) for one in ids}
    assert len(ids) == 2


async def test_after_a_week_it_is_forgotten_and_counting_goes_on(store: Store) -> None:
    await stored(store, "a", "20261123001")
    await store.catch_up()
    assert await store.prune_events(NOW) == 0
    assert await store.prune_events(NOW + SECOND) == 2
    await stored(store, "b", "20261123002", sender="han@example.org")
    assert await store.event_bounds() == (3, 4)
