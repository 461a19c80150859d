"""One row that cannot be opened is shown as damaged, and everything beside it as it is."""

from sqlalchemy import Connection, Table, select, update
from stored import NOW, arrive, message, stored, wanted

from engine.thread import Found
from gateway.crypto import SealedError
from gateway.store import tables
from gateway.store.store import Store
from gateway.store.work import Outcome
from normalizer.canon import Sent


async def damage(store: Store, table: Table, column: str = "sealed", which: int = 1) -> None:
    """Turn one bit of the nth row."""

    def turned(connection: Connection) -> None:
        seq = select(table.c.seq).order_by(table.c.seq).offset(which - 1).limit(1).scalar_subquery()
        value = connection.scalar(select(table.c[column]).where(table.c.seq == seq))
        assert value
        changed = {column: value[:-1] + bytes([value[-1] ^ 1])}
        assert connection.execute(update(table).where(table.c.seq == seq).values(changed)).rowcount == 1

    await store.database.write("arrange", turned)


async def two(store: Store) -> tuple[Outcome, Outcome]:
    return (
        await stored(store, "a", "20261123001", sender="a@example.cn", targets=("crm",)),
        await stored(store, "b", "20261123002", sender="b@example.cn", targets=("crm",)),
    )


async def test_a_damaged_ticket_is_listed_with_what_stands_in_clear(store: Store) -> None:
    first, second = await two(store)
    await damage(store, tables.tickets)
    (whole, _), (broken, whose) = await store.tickets()
    assert whole == second.tickets[0]
    assert (broken.id, broken.number, broken.subject) == (first.tickets[0].id, "20261123001", "damaged")
    assert (broken.group and broken.group.value, whose.name) == ("after_sales", "李雷")
    assert await store.ticket("20261123001") == broken


async def test_of_a_person_whose_key_is_lost_numbers_and_codes_are_left(store: Store) -> None:
    await two(store)
    await damage(store, tables.contacts, "wrapped_key")
    (_, known), (broken, lost) = await store.tickets()
    assert (known.name, lost.name, broken.subject) == ("李雷", "damaged", "damaged")
    assert [said.text for said in await store.messages(broken.id)] == ["damaged"]
    (decision,) = await store.decisions(broken.id)
    assert (decision.case.trigger, decision.case.contact.name, decision.fired) == ("ticket.created", "damaged", ())
    assert await store.contact(lost.id) == lost


async def test_a_damaged_message_leaves_the_others_of_its_ticket(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    said = message(claim, text="and where is the second one?")
    assert await store.commit([Outcome(claim, messages=((said, made.tickets[0].id),))], NOW) == [True]
    await damage(store, tables.messages)
    assert [one.text for one in await store.messages(made.tickets[0].id)] == ["damaged", said.text]


async def test_a_damaged_thing_in_the_outbox_is_listed_and_leased_as_damaged(store: Store) -> None:
    first, _ = await two(store)
    await damage(store, tables.outgoing, which=2)
    broken = next(one for one in await store.outgoing() if one.outgoing.id == first.outgoing[1].id)
    assert (broken.outgoing.target, broken.number, broken.state) == ("crm", "20261123001", "waiting")
    assert len(await store.outgoing()) == 4
    due = {owed.outgoing.id: owed.damaged for owed in await store.due(NOW, 10)}
    assert due == {first.outgoing[0].id: False, first.outgoing[1].id: True} | {
        identity: False for identity in due if identity not in {one.id for one in first.outgoing}
    }
    assert len(due) == 3


async def test_a_damaged_settlement_says_so_in_place_of_its_reason(store: Store) -> None:
    await stored(store, "a", "20261123001")
    (owed,) = await store.due(NOW, 1)
    await store.settle(owed, Sent("<x@y>"), NOW)
    await damage(store, tables.outgoing, "settlement")
    assert [one.reason for one in await store.outgoing("sent")] == ["damaged"]


async def test_a_damaged_row_of_the_quarantine_keeps_its_code(store: Store) -> None:
    for code in ("unverified", "expired"):
        await store.refuse("webhook", "main", code, "said the door", b"{}", {}, NOW)
    await damage(store, tables.quarantine)
    assert [(one.code, one.reason) for one in await store.quarantine()] == [
        ("expired", "said the door"), ("unverified", "damaged"),
    ]  # fmt: skip
    (_, broken) = await store.quarantine()
    assert await store.quarantined(broken.id) == broken


async def test_only_what_belongs_to_a_damaged_ticket_cannot_be_placed(store: Store) -> None:
    await two(store)
    await damage(store, tables.tickets)
    asked = [wanted("new@example.cn"), wanted(numbers=["20261123001"]), wanted("b@example.cn")]
    one, two_, three = await store.find(asked, NOW)
    assert isinstance(two_, SealedError)
    assert isinstance(one, Found)
    assert isinstance(three, Found)
    assert three.contact is not None
