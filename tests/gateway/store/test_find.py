"""Numbers and look-ups."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from stored import NOW, arrive, contact, followed, found, opened, outcome, stored, wanted

from engine.decision import sealed
from engine.thread import Found
from gateway.store.store import Store
from normalizer.canon import Address, Derived, Identity


async def test_numbers_are_the_day_and_a_serial(store: Store) -> None:
    assert await store.numbers([("a", "20231027"), ("b", "20231027"), ("c", "20231028")]) == {
        "a": "20231027001", "b": "20231027002", "c": "20231028001",
    }  # fmt: skip


async def test_a_ticket_keeps_its_number(store: Store) -> None:
    first = await store.numbers([("a", "20231027")])
    assert await store.numbers([("b", "20231028"), ("a", "20231028")]) == {"b": "20231028001", **first}


async def test_a_ticket_keeps_its_number_once_it_is_committed(store: Store) -> None:
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    identity = outcome(claim, "").tickets[0].id
    number = (await store.numbers([(identity, "20261123")]))[identity]
    assert await store.commit([outcome(claim, number)], NOW) == [True]
    assert await store.numbers([(identity, "20261124")]) == {identity: number}


async def test_the_serial_grows_beyond_three_digits_without_wrapping(store: Store) -> None:
    many = await store.numbers([(f"t{n}", "20231027") for n in range(1001)])
    assert sorted(many.values(), key=int)[-2:] == ["202310271000", "202310271001"] or "20231027999" in many.values()
    assert len(set(many.values())) == 1001
    assert (await store.numbers([("last", "20231027")]))["last"] == "202310271002"


async def test_numbers_are_never_given_twice_whoever_asks(folder: Path) -> None:
    """Two stores on one file, as a gateway and a command beside it."""
    one, two = await opened(folder), await opened(folder)
    asked = [(one if n % 2 else two).numbers([(f"t{n}", f"2023102{n % 3}")]) for n in range(60)]
    given = [number for answer in await asyncio.gather(*asked) for number in answer.values()]
    assert len(set(given)) == 60
    assert all(re.fullmatch(r"2023102\d\d{3}", number) for number in given)
    await one.close()
    await two.close()


async def test_nothing_is_found_in_an_empty_store(store: Store) -> None:
    answer = await found(
        store, wanted(said="x", answers=["<a@b>"], numbers=["20231027001"], thread=("a", "b", "c", "d"))
    )
    assert answer.contact is None
    assert answer.tickets == answer.by_message_id == answer.by_number == {}
    assert (answer.by_thread, answer.placed_before, answer.history) == ("", False, ())


async def test_a_contact_is_found_by_any_identity_with_its_history(store: Store) -> None:
    await stored(store, "old", "20260101001")
    made = await stored(store, "a", "20261123001")
    answer = await found(store, wanted("li@example.cn"))
    assert answer.contact == contact()
    assert [past.ticket for past in answer.history][-1] == made.tickets[0].id
    assert len(answer.history) == 2
    assert (await found(store, wanted("nobody@example.cn"))).contact is None


async def test_history_looks_back_ninety_days(store: Store) -> None:
    await stored(store, "a", "20261123001")
    (answer,) = await store.find([wanted("li@example.cn")], NOW + timedelta(days=91))
    assert isinstance(answer, Found)
    assert answer.history == ()


async def test_history_tells_whom_the_last_hour_acknowledged(store: Store) -> None:
    await stored(store, "a", "20261123001")
    await stored(store, "b", "20261123002", reply=False)
    for later, told in ((timedelta(minutes=59), [True, False]), (timedelta(minutes=61), [False, False])):
        (answer,) = await store.find([wanted("li@example.cn")], NOW + later)
        assert isinstance(answer, Found)
        assert [past.acknowledged for past in answer.history] == told


async def test_load_counts_open_tickets_by_group_and_agent(store: Store) -> None:
    first = await stored(store, "a", "20261123001", sender="a@example.cn")
    await stored(store, "b", "20261123002", sender="b@example.cn")
    assert (await found(store, wanted())).load == {"group:after_sales": 2}
    await arrive(store, "c")
    (claim,) = await store.claim(NOW, 1)
    taken = replace(first.tickets[0], assignee=Derived("wang", "person:wang"))
    change = followed(claim, taken, first.decisions[0].hash, sender="a@example.cn")
    assert await store.commit([change], NOW) == [True]
    assert (await found(store, wanted())).load == {"group:after_sales": 2, "agent:wang": 1}
    await arrive(store, "d")
    (claim,) = await store.claim(NOW, 1)
    closed = replace(change.tickets[0], status=Derived("closed", "person:wang"))
    done = followed(claim, closed, change.decisions[0].hash, sender="a@example.cn")
    assert await store.commit([done], NOW) == [True]
    assert (await found(store, wanted())).load == {"group:after_sales": 1}


async def test_a_ticket_is_found_by_what_is_answered(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    ticket = made.tickets[0]
    answer = await found(store, wanted(answers=["<nothing@x>", "<a@example.cn>"]))
    assert answer.by_message_id == {"<a@example.cn>": ticket.id}
    assert answer.tickets == {ticket.id: ticket}
    assert answer.previous == {ticket.id: made.decisions[0].hash}


async def test_a_ticket_is_found_by_its_number_with_who_took_part(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    other = followed(claim, made.tickets[0], made.decisions[0].hash, sender="han@example.cn")
    assert await store.commit([other], NOW) == [True]
    answer = await found(store, wanted(numbers=["20261123001"]))
    ticket = made.tickets[0].id
    assert answer.by_number == {"20261123001": ticket}
    for sender in ("li@example.cn", "han@example.cn"):
        assert (await found(store, wanted(sender, numbers=["20261123001"]))).takes_part == {ticket}
    assert answer.takes_part == frozenset()


async def test_a_thread_leads_to_its_latest_ticket(store: Store) -> None:
    await stored(store, "a", "20261123001", sender="a@example.cn", thread_key="room 7")
    second = await stored(store, "b", "20261123002", sender="b@example.cn", thread_key="room 7")
    answer = await found(store, wanted(thread=("email", "email_smtp", "main", "room 7")))
    assert answer.by_thread == second.tickets[0].id
    assert (await found(store, wanted(thread=("email", "email_smtp", "other", "room 7")))).by_thread == ""


async def test_news_about_a_ticket_finds_it_with_its_contact(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    answer = await found(store, wanted(ticket=made.tickets[0].id))
    assert (answer.contact, answer.tickets) == (contact(), {made.tickets[0].id: made.tickets[0]})


async def test_a_batch_is_looked_up_with_a_few_statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import event

    await stored(store, "a", "20261123001")
    said: list[str] = []
    event.listen(store.database._reading, "before_cursor_execute", lambda *given: said.append(given[2]))
    many = [wanted(f"{n}@example.cn", answers=[f"<{n}@x>"], numbers=[f"{n}"]) for n in range(200)]
    await store.find([*many, wanted("li@example.cn")], NOW)
    assert len(said) < 20


async def test_lists_go_on_after_the_last_one_shown(store: Store) -> None:
    for n in range(1, 6):
        await stored(store, f"{n}", f"2026112300{n}", sender=f"{n}@example.cn")
    first = await store.tickets(limit=3)
    assert [ticket.number[-1] for ticket, _ in first] == ["5", "4", "3"]
    rest = await store.tickets(after=first[-1][0].number, limit=3)
    assert [ticket.number[-1] for ticket, _ in rest] == ["2", "1"]
    assert [one.identities[0].value for _, one in rest] == ["2@example.cn", "1@example.cn"]


async def test_lists_can_be_narrowed(store: Store) -> None:
    await stored(store, "a", "20261123001", sender="a@example.cn", group="sales")
    await stored(store, "b", "20261123002", sender="b@example.cn")
    assert [ticket.number for ticket, _ in await store.tickets(group="sales", status="")] == ["20261123001"]
    assert len(await store.tickets(status="new")) == 2
    with pytest.raises(ValueError, match="colour"):
        await store.tickets(colour="red")


async def test_of_a_long_conversation_the_latest_can_be_had(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    ticket, latest = made.tickets[0], made.decisions[0].hash
    for key in ("b", "c"):
        await arrive(store, key)
        (claim,) = await store.claim(NOW, 1)
        then = followed(claim, ticket, latest, text=key)
        assert await store.commit([then], NOW) == [True]
        ticket, latest = then.tickets[0], then.decisions[0].hash
    assert [one.text for one in await store.messages(ticket.id, limit=2, latest=True)] == ["b", "c"]
    assert [one.case.message.text for one in await store.decisions(ticket.id, limit=2, latest=True)] == ["b", "c"]  # type: ignore[union-attr]


async def test_a_ticket_shows_what_was_said_and_decided(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    ticket = made.tickets[0]
    assert await store.ticket("20261123001") == await store.ticket(ticket.id) == ticket
    said = made.messages[0][0]
    assert await store.messages(ticket.id) == [said]
    assert [await store.message(of, said.id) for of in (ticket.id, "another")] == [said, None]
    (decision,) = await store.decisions(ticket.id)
    assert decision == made.decisions[0] == sealed(decision)  # words and all, and the hash is still right
    assert await store.contact(ticket.contact) == contact()
    progress = await store.status_of(made.claim.envelope.id)
    assert progress is not None
    assert (progress.state, progress.tickets) == ("done", ("20261123001",))
    assert await store.ticket("nothing") is await store.status_of("nothing") is None


async def test_who_writes_and_who_is_written_to_takes_part_and_nobody_else(store: Store) -> None:
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    plain = outcome(claim, "20261123001")
    (said, ticket) = plain.messages[0]
    colleague = replace(said, cc=(Address("email", "Han@Example.CN"),))
    assert await store.commit([replace(plain, messages=((colleague, ticket),))], NOW) == [True]

    for sender, part in (("li@example.cn", True), ("han@example.cn", True), ("wu@example.cn", False)):
        for asked in (wanted(sender, numbers=["20261123001"]), wanted(sender, answers=["<a@example.cn>"])):
            answer = await found(store, asked)
            assert (ticket in answer.tickets, ticket in answer.takes_part) == (True, part), sender


async def test_a_right_key_names_its_ticket_and_a_wrong_one_nothing(store: Store) -> None:
    one = (await stored(store, "a", "20261123001")).tickets[0]
    other = (await stored(store, "b", "20261123002", sender="b@example.cn")).tickets[0]
    right = store.reply_key(one.id, one.number)
    wrong = [
        store.reply_key(other.id, one.number), "20261123009-" + right[-20:], "20261123001-" + "0" * 20, "20261123001-",
        right[:-1], "-" + right[-20:], "", "20261123001-ü",
    ]  # fmt: skip
    for key in wrong:
        assert (await found(store, replace(wanted("x@x.cn"), keys=(key,)))).by_key == "", key
    answer = await found(store, replace(wanted("x@x.cn"), keys=(*wrong, right)))
    assert (answer.by_key, answer.takes_part) == (one.id, frozenset())


async def test_a_bounce_names_the_ticket_of_our_mail_if_it_went_to_whom_it_says(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    ours, ticket = made.outgoing[0].id, made.tickets[0]
    assert made.outgoing[0].kind == "reply"
    for whom, known in (("li@example.cn", True), ("", True), ("wu@example.cn", False)):
        asked = replace(wanted("mailer-daemon@example.cn"), returned=("<x@y>", f"<{ours}@example.com>"))
        asked = replace(asked, bounced=(Identity("email", whom),) if whom else ())
        answer = await found(store, asked)
        assert answer.by_bounce == (ticket.id if known else "")
        assert answer.owners == ({ticket.id: contact()} if known else {})


async def test_that_everybody_writes_to_us_makes_nobody_of_us_take_part(store: Store) -> None:
    await arrive(store, "a")
    (claim,) = await store.claim(NOW, 1)
    plain = outcome(claim, "20261123001")
    (said, ticket) = plain.messages[0]
    to_us = replace(said, to=(Address("email", "support@example.com"),))
    assert await store.commit([replace(plain, messages=((to_us, ticket),))], NOW) == [True]
    asked = wanted("support@example.com", answers=["<a@example.cn>"])
    assert (await found(store, asked)).takes_part == {ticket}
    assert (await found(store, replace(asked, ours=True))).takes_part == frozenset()
