"""What is owed: in order, each thing until it is taken or refused for good."""

from dataclasses import replace
from datetime import timedelta
from functools import partial

import orjson
from stored import NOW, SECOND, arrive, found, opened, step, stored, wanted

from gateway.store import audit
from gateway.store.store import Store
from gateway.store.work import Later, Limits, Never, Outcome, Owed
from normalizer.canon import Envelope, Sent, Ticket


def names(owed: list[Owed]) -> list[str]:
    return [f"{one.outgoing.target}:{getattr(one.outgoing.content, 'kind', 'reply')}" for one in owed]


async def owe(store: Store, ticket: Ticket, *steps: tuple[str, str], hold: bool = False) -> Ticket:
    """Add steps to a ticket, each by an envelope of its own. Returns the ticket as it is then."""
    for target, kind in steps:
        await arrive(store, f"{target}-{kind}-{ticket.version}")
        claim = next(c for c in await store.claim(NOW, 5) if c.envelope.connector != "outbox")
        ticket = replace(ticket, version=ticket.version + 1)
        owed = step(target, kind, ticket)
        assert await store.commit([Outcome(claim, tickets=(ticket,), outgoing=(owed,), hold=hold)], NOW) == [True]
    return ticket


async def news(store: Store) -> list[Envelope]:
    return [claim.envelope for claim in await store.claim(NOW, 50) if claim.envelope.connector == "outbox"]


async def test_what_is_due_is_leased_and_settled_once(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    (owed,) = await store.due(NOW, 10)
    assert owed.outgoing == replace(made.outgoing[0], attempts=1)
    assert await store.due(NOW, 10) == []
    assert await store.settle(owed, Sent("<x@y>"), NOW) is True
    assert await store.settle(owed, Sent("<x@y>"), NOW) is False
    assert await store.due(NOW + timedelta(days=1), 10) == []


async def test_a_step_has_the_words_and_the_ticket_as_it_was(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False, text="where is it? " * 300)
    await owe(store, made.tickets[0], ("desk", "update"))
    owed = next(one for one in await store.due(NOW, 10) if one.outgoing.target == "crm")
    assert owed.outgoing == replace(made.outgoing[0], attempts=1)


async def test_a_thing_owed_twice_is_owed_once(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    again = Outcome(claim, tickets=(replace(made.tickets[0], version=2),), outgoing=made.outgoing)
    assert await store.commit([again], NOW) == [True]
    assert len(await store.outgoing()) == 1


async def test_a_lease_that_ran_out_cannot_settle(store: Store) -> None:
    await stored(store, "a", "20261123001")
    (late,) = await store.due(NOW, 1)
    after = NOW + Limits().outgoing_lease + SECOND
    (theirs,) = await store.due(after, 1)
    assert theirs.outgoing.attempts == 2
    assert await store.settle(late, Sent(), after) is False
    assert await store.settle(theirs, Sent(), after) is True


async def test_steps_of_one_target_and_ticket_keep_their_order(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm", "desk"), reply=False)
    await owe(store, made.tickets[0], ("crm", "append"), ("crm", "update"))
    first = await store.due(NOW, 10)
    assert names(first) == ["crm:create", "desk:create"]
    await store.settle(first[0], Later("busy", NOW + 10 * SECOND), NOW)
    assert await store.due(NOW, 10) == []
    (again,) = await store.due(NOW + 10 * SECOND, 10)
    await store.settle(again, Sent("42", "http://crm/42"), NOW)
    (second,) = await store.due(NOW + 10 * SECOND, 10)
    assert names([second]) == ["crm:append"]
    assert (second.external_id, second.url) == ("42", "http://crm/42")
    await store.settle(second, Never("no such ticket"), NOW)
    assert names(await store.due(NOW + 10 * SECOND, 10)) == ["crm:update"]  # a dead append keeps nothing back


async def test_a_dead_create_keeps_the_rest_back_until_it_is_retried(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False)
    await owe(store, made.tickets[0], ("crm", "append"))
    (create,) = await store.due(NOW, 10)
    await store.settle(create, Never("bad token"), NOW)
    assert await store.due(NOW, 10) == []
    assert [(one.state, one.reason) for one in await store.outgoing("dead")] == [("dead", "bad token")]
    assert await store.retry_outgoing("dead", NOW) == 1
    (again,) = await store.due(NOW, 10)
    assert (again.outgoing.id, again.outgoing.attempts) == (create.outgoing.id, 1)
    await store.settle(again, Sent("42"), NOW)
    assert names(await store.due(NOW, 10)) == ["crm:append"]


async def test_a_dead_reply_keeps_nothing_back(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    (reply,) = await store.due(NOW, 1)
    await store.settle(reply, Never("mailbox gone"), NOW)
    second = replace(made.outgoing[0], id="e" * 32, content=replace(made.outgoing[0].content, id="e" * 32))
    await arrive(store, "b")
    claim = next(c for c in await store.claim(NOW, 5) if c.envelope.key == "b")
    await store.commit([Outcome(claim, tickets=(replace(made.tickets[0], version=2),), outgoing=(second,))], NOW)
    assert [one.outgoing.id for one in await store.due(NOW, 5)] == ["e" * 32]


async def test_what_became_of_it_enters_the_journal(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",))
    reply, create = await store.due(NOW, 10)
    await store.settle(reply, Later("busy", NOW + SECOND), NOW)
    assert await news(store) == []
    await store.settle(create, Sent("42", "http://crm/42"), NOW)
    (told,) = await news(store)
    assert (told.account, told.key, told.lane) == (
        "handover", f"{create.outgoing.id}:sent:1", f"ticket:{made.tickets[0].id}",
    )  # fmt: skip
    assert orjson.loads(told.body) == {
        "outgoing": create.outgoing.id, "kind": "handover", "target": "crm", "ticket": made.tickets[0].id,
        "outcome": "sent", "external_id": "42", "url": "http://crm/42", "reason": "", "at": "2026-11-23T09:00:00+00:00",
        "bounced": False, "caused_by": "", "status": "", "address": "", "message": "", "index": 0,
    }  # fmt: skip


async def test_each_death_is_told_though_it_was_retried(store: Store) -> None:
    await stored(store, "a", "20261123001")
    for _ in range(2):
        (reply,) = await store.due(NOW, 1)
        await store.settle(reply, Never("mailbox gone"), NOW)
        (told,) = await store.claim(NOW, 5)
        assert orjson.loads(told.envelope.body)["outcome"] == "dead"
        await store.commit([Outcome(told)], NOW)
        await store.retry_outgoing("dead", NOW)


async def test_while_held_nothing_is_due(store: Store) -> None:
    await stored(store, "a", "20261123001")
    await store.hold_outbox()
    assert await store.due(NOW, 10) == []
    await store.hold_outbox(False)
    assert len(await store.due(NOW, 10)) == 1


async def test_what_was_made_with_outbound_off_waits_for_a_person(store: Store) -> None:
    made = await stored(store, "a", "20261123001", hold=True)
    assert await store.due(NOW, 10) == []
    counts = await store.counts()
    assert (counts.outbox_waiting, counts.outbox_held) == (0, 1)
    assert await store.retry_outgoing("dead", NOW) == 0
    assert await store.retry_outgoing([made.outgoing[0].id], NOW) == 1
    assert len(await store.due(NOW, 10)) == 1


async def sent_one_by_one(store: Store) -> list[str]:
    """The names of all that goes out, each taken before the next is asked for."""
    order = []
    while owed := await store.due(NOW, 10):
        order.extend(names(owed))
        for one in owed:
            await store.settle(one, Sent("42"), NOW)
    return order


async def test_nothing_overtakes_a_step_that_was_held(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False, hold=True)
    ticket = await owe(store, made.tickets[0], ("crm", "append"), hold=True)
    await owe(store, ticket, ("crm", "update"), ("desk", "append"))  # outbound is on again
    assert await sent_one_by_one(store) == ["desk:append"]
    assert await store.retry_outgoing("held", NOW) == 2
    assert await sent_one_by_one(store) == ["crm:create", "crm:append", "crm:update"]


async def test_a_held_step_keeps_back_what_follows_it_and_nothing_before_it(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False)
    ticket = await owe(store, made.tickets[0], ("crm", "append"), hold=True)
    await owe(store, ticket, ("crm", "update"))
    assert await sent_one_by_one(store) == ["crm:create"]
    assert await store.retry_outgoing("held", NOW) == 1
    assert await sent_one_by_one(store) == ["crm:append", "crm:update"]


async def test_held_ones_that_are_retried_by_name_still_go_in_order(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False, hold=True)
    await owe(store, made.tickets[0], ("crm", "append"), hold=True)
    append, create = [one.outgoing.id for one in await store.outgoing("held")]
    assert await store.retry_outgoing([append], NOW) == 1
    assert await sent_one_by_one(store) == []
    assert await store.retry_outgoing([create], NOW) == 1
    assert await sent_one_by_one(store) == ["crm:create", "crm:append"]


async def test_a_held_reply_keeps_nothing_back(store: Store) -> None:
    made = await stored(store, "a", "20261123001", hold=True)
    second = replace(made.outgoing[0], id="e" * 32, content=replace(made.outgoing[0].content, id="e" * 32))
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    await store.commit([Outcome(claim, tickets=(replace(made.tickets[0], version=2),), outgoing=(second,))], NOW)
    assert [one.outgoing.id for one in await store.due(NOW, 5)] == ["e" * 32]


async def test_the_list_shows_what_is_not_sent_with_its_ticket(store: Store) -> None:
    await stored(store, "a", "20261123001", sender="a@example.cn")
    await stored(store, "b", "20261123002", sender="b@example.cn")
    (first,) = await store.due(NOW, 2)
    await store.settle(first, Sent(), NOW)
    (second,) = await store.due(NOW, 2)
    await store.settle(second, Later("greylisted", NOW + SECOND), NOW)
    (shown,) = await store.outgoing()
    assert (shown.number, shown.state, shown.reason, shown.outgoing.attempts) == (
        "20261123002", "waiting", "greylisted", 1,
    )  # fmt: skip
    assert [one.number for one in await store.outgoing("sent")] == ["20261123001"]


async def test_timers_ring_once_by_the_journal(store: Store) -> None:
    made = await stored(store, "a", "20261123001", timers=("solved.missed", "first_response.missed"))
    assert await store.ring(NOW, 10) == 0
    due = NOW + timedelta(hours=1)
    assert await store.ring(due, 10) == 2
    assert await store.ring(due, 10) == 0
    (claim,) = await store.claim(due, 10)
    ticket = made.tickets[0].id
    assert (claim.envelope.connector, claim.envelope.lane) == ("timer", f"ticket:{ticket}")
    told = orjson.loads(claim.envelope.body)
    assert told == {**told, "ticket": ticket, "due_at": "2026-11-23T10:00:00+00:00"}
    assert told["timer"] in {timer.id for timer in made.timers}


async def test_a_promise_that_moves_back_to_a_moment_at_which_its_timer_rang_rings_again(store: Store) -> None:
    made = await stored(store, "a", "20261123001", timers=("solved.missed",))
    due = NOW + timedelta(hours=1)
    assert await store.ring(due, 10) == 1  # it was later by then: nobody was told
    (claim,) = await store.claim(due, 10)
    back = Outcome(claim, tickets=(replace(made.tickets[0], version=2),), timers=made.timers)
    assert await store.commit([back], due) == [True]
    assert await store.ring(due + timedelta(minutes=1), 10) == 1
    (again,) = await store.claim(due + timedelta(minutes=1), 10)
    assert orjson.loads(again.envelope.body) == orjson.loads(claim.envelope.body)


async def test_a_timer_set_twice_is_one_and_a_cancelled_one_none(store: Store) -> None:
    made = await stored(store, "a", "20261123001", timers=("solved.missed",))
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    ticket = replace(made.tickets[0], version=2)
    assert await store.commit([Outcome(claim, tickets=(ticket,), timers=made.timers)], NOW) == [True]
    await arrive(store, "c")
    (claim,) = await store.claim(NOW, 1)
    gone = Outcome(claim, tickets=(replace(ticket, version=3),), cancelled_timers=(made.timers[0].id,))
    assert await store.commit([gone], NOW) == [True]
    assert await store.ring(NOW + timedelta(days=1), 10) == 0


async def test_next_due_is_the_earliest_moment(store: Store) -> None:
    assert await store.next_due() is None
    await stored(store, "a", "20261123001", timers=("solved.missed",))
    assert await store.next_due() == NOW
    (reply,) = await store.due(NOW, 1)
    assert await store.next_due() == NOW + Limits().outgoing_lease
    await store.settle(reply, Later("busy", NOW + timedelta(hours=2)), NOW)
    assert await store.next_due() == NOW + timedelta(hours=1)
    await arrive(store, "b")
    assert (await store.next_due() or NOW) < NOW


async def test_our_own_reply_is_found_by_its_message_id(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    answered = f"<{made.outgoing[0].id}@mail.example.com>"
    assert (await found(store, wanted(answers=[answered]))).by_message_id == {answered: made.tickets[0].id}


async def test_an_outage_of_one_target_leaves_the_others_their_turn(tmp_path: object) -> None:
    from pathlib import Path

    store = await opened(Path(str(tmp_path)) / "data")
    for n in range(5):
        await stored(store, f"{n}", f"2026112300{n}", sender=f"{n}@example.cn", targets=("down", "up"), reply=False)
    for owed in await store.due(NOW, 50):
        answer = Sent() if owed.outgoing.target == "up" else Later("down", NOW + timedelta(hours=1))
        await store.settle(owed, answer, NOW)
    assert [one.outgoing.target for one in await store.outgoing()] == ["down"] * 5
    await store.close()


async def test_a_target_that_hangs_takes_no_other_targets_turn(store: Store) -> None:
    for n in range(12):
        await stored(store, f"{n}", f"2026112300{n}", sender=f"{n}@example.cn", targets=("hangs",), reply=False)
    await stored(store, "x", "20261123999", sender="x@example.cn", targets=("well",), reply=False)
    taken = await store.due(NOW, 10)
    assert sorted(names(taken)) == ["hangs:create"] * 8 + ["well:create"]
    assert await store.due(NOW, 10) == []
    await store.settle(taken[0], Later("no answer", NOW + timedelta(hours=1)), NOW)
    assert names(await store.due(NOW, 10)) == ["hangs:create"]


async def test_replies_of_an_account_are_leased_one_by_one(store: Store) -> None:
    for n in range(3):
        await stored(store, f"{n}", f"2026112300{n}", sender=f"{n}@example.cn", targets=("crm",))
    assert sorted(names(await store.due(NOW, 10))) == ["crm:create"] * 3 + ["email_smtp/main:reply"]
    assert await store.due(NOW, 10) == []


async def test_what_a_dead_process_had_leased_gives_its_place_back_with_its_lease(store: Store) -> None:
    for n in range(2):
        await stored(store, f"{n}", f"2026112300{n}", sender=f"{n}@example.cn")
    (first,) = await store.due(NOW, 10)
    (again,) = await store.due(NOW + Limits().outgoing_lease, 10)
    assert again.outgoing.id == first.outgoing.id


async def test_a_dropped_step_is_never_sent_and_keeps_nothing_back(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False)
    ticket = await owe(store, made.tickets[0], ("crm", "append"), hold=True)
    await owe(store, ticket, ("crm", "update"))
    assert await sent_one_by_one(store) == ["crm:create"]
    (append,) = [one.outgoing.id for one in await store.outgoing("held")]
    assert await store.drop_outgoing([append], "terminal:li", NOW) == [append]
    assert await sent_one_by_one(store) == ["crm:update"]

    (row,) = await store.outgoing("dropped")
    assert (row.outgoing.id, row.reason, row.settled_at) == (append, "dropped by terminal:li", NOW)
    assert await store.outgoing() == []
    assert await store.retry_outgoing([append], NOW) == 0
    assert await store.drop_outgoing([append, "f" * 32], "terminal:li", NOW) == []


async def test_with_a_dropped_beginning_goes_what_would_have_followed_it_there(store: Store) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), reply=False, hold=True)
    ticket = await owe(store, made.tickets[0], ("crm", "append"))
    await owe(store, ticket, ("desk", "update"))
    assert len(await store.drop_outgoing("held", "terminal:li", NOW)) == 2
    assert await sent_one_by_one(store) == ["desk:update"]


async def test_the_audit_knows_who_dropped_what(store: Store) -> None:
    made = await stored(store, "a", "20261123001", hold=True)
    await store.drop_outgoing([made.outgoing[0].id], "terminal:li", NOW)
    (row, *_) = await store.database.read(partial(audit.rows, vault=store.vault))
    assert (row.who, row.what, row.about) == ("terminal:li", "outbox.drop", made.outgoing[0].id)
