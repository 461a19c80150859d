"""What somebody takes back is gone wherever it stands, and what they did not take back stays."""

import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update
from stored import NOW, arrive, decided, followed, found, message, opened, outcome, step, stored, wanted

from gateway.store.sqlite import BUSY_MS
from gateway.store.store import Store
from gateway.store.tables import messages
from gateway.store.work import Claim, Outcome
from normalizer.canon import Call, Extracted, Kind, Message, Outgoing, Understanding, digest

PHONE, ORDER = "13800001111", "SO2026112399"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = await opened(tmp_path / "data")
    yield made
    await made.close()


async def claimed(store: Store, key: str) -> Claim:
    await arrive(store, key)
    (claim,) = await store.claim(NOW, 1)
    return claim


async def taken_back(store: Store, key: str, said: Message, within: Outcome) -> None:
    """News that it was, which found its way to the ticket of `within`."""
    claim = await claimed(store, key)
    ticket = await store.ticket(within.tickets[0].id)
    assert ticket
    (*_, latest) = await store.decisions(ticket.id)
    gone = followed(claim, ticket, latest.hash, external_id=said.external_id, kind=Kind.DELETE, revision="deleted",
                    subject="", text="", full_text="")  # fmt: skip
    assert await store.commit([gone], NOW) == [True]


def understood(**values: str) -> Understanding:
    return Understanding(extracted={name: Extracted(value, (0, 9)) for name, value in values.items()})


async def test_it_is_gone_from_its_own_ticket_wherever_the_news_went(store: Store) -> None:
    first = await stored(store, "a", "20261123001", text="my password is hunter2", subject="")
    other = await stored(store, "b", "20261123002")
    await taken_back(store, "c", first.messages[0][0], other)
    ticket = await store.ticket("20261123001")
    assert ticket and (ticket.description, [one.text for one in await store.messages(ticket.id)]) == ("", [""])
    left = await store.ticket("20261123002")
    assert left and left.description == "my parcel is lost"


async def test_what_was_found_in_it_is_gone_too_unless_it_was_said_before(store: Store) -> None:
    made = await stored(store, "a", "20261123001", understanding=understood(order_number=ORDER))
    claim = await claimed(store, "b")
    both = understood(order_number=ORDER, phone=PHONE)
    said = message(claim, text=f"call {PHONE} about {ORDER}", understanding=both)
    knowing = replace(made.tickets[0], extracted=both.extracted, version=2)
    then = decided(replace(knowing, version=1), made.contacts[0], said, made.decisions[0].hash)
    owed = Call("call1", "erp", "rule", "message.received", NOW, knowing.number, knowing, made.contacts[0], {})
    outgoing = (
        step("crm", "append", knowing, made.contacts[0], said),
        Outgoing("call1", "call", "call/erp", knowing.id, NOW, owed),
    )
    whole = Outcome(claim, ((said, knowing.id),), made.contacts, (knowing,), (then,), outgoing)
    assert await store.commit([whole], NOW) == [True]

    await taken_back(store, "c", said, made)

    ticket = await store.ticket(knowing.id)
    assert ticket and {name: one.value for name, one in ticket.extracted.items()} == {"order_number": ORDER}
    kept = [*await store.decisions(ticket.id), *(one.outgoing for one in await store.outgoing(ticket=ticket.id))]
    assert PHONE not in repr(kept)
    assert (len(await store.search(PHONE)), len(await store.search(ORDER))) == (0, 1)


async def test_what_else_came_with_it_is_not_lost_and_its_bytes_go_once_all_is_told(store: Store) -> None:
    claim = await claimed(store, "batch")
    made = replace(outcome(claim, "20261123001", reply=False), done=False)
    assert await store.commit([made], NOW) == [True]
    await taken_back(store, "gone", made.messages[0][0], made)
    batch = await store.envelope(claim.envelope.id)
    assert batch and batch.body == b"hello"  # whoever goes on after a crash reads it again

    ticket = await store.ticket("20261123001")
    assert ticket
    (*_, latest) = await store.decisions(ticket.id)
    rest = followed(claim, ticket, latest.hash, external_id="<2@example.cn>", text="and this")
    assert await store.commit([rest], NOW) == [True]
    batch = await store.envelope(claim.envelope.id)
    assert batch and batch.body == b"erased"


async def test_what_belongs_to_no_ticket_is_gone_as_well(store: Store) -> None:
    claim = await claimed(store, "echo")
    said = message(claim, text="ours, elsewhere", direction="out", author="agent")
    assert await store.commit([Outcome(claim, ((said, ""),), noted="echo")], NOW) == [True]
    claim = await claimed(store, "gone")
    gone = message(claim, external_id=said.external_id, kind=Kind.DELETE, revision="deleted", text="")
    assert await store.commit([Outcome(claim, ((gone, ""),), noted="delete")], NOW) == [True]
    kept = await found(store, replace(wanted(), said=said.id))
    assert kept.said and kept.said.text == ""


async def test_that_it_was_taken_back_before_it_came_is_found(store: Store) -> None:
    claim = await claimed(store, "gone")
    gone = message(claim, external_id="<late@example.cn>", kind=Kind.DELETE, revision="deleted", text="")
    assert await store.commit([Outcome(claim, ((gone, ""),), noted="delete")], NOW) == [True]
    late = replace(gone, kind=Kind.MESSAGE, revision="")
    asked = replace(wanted(said=late.id), deleted=replace(late, revision="deleted").id)
    assert (await found(store, asked)).taken_back
    assert not (await found(store, replace(asked, deleted=digest("other")))).taken_back


@pytest.mark.parametrize("quoting", ["{}", "You wrote: {}", "You wrote: {:.60}…", "> {}\n\nthank you"])
async def test_our_words_quote_it_no_longer(store: Store, quoting: str) -> None:
    said = "my identity card is 110101199001011234 and I live in the third house behind the old mill"
    made = await stored(store, "a", "20261123001", text=said)
    (owed,) = await store.outgoing(ticket=made.tickets[0].id)
    held = replace(owed.outgoing.content, subject="Re: " + said[:39].rstrip() + "…", text=quoting.format(said))
    claim = await claimed(store, "b")
    (*_, latest) = await store.decisions(made.tickets[0].id)
    more = followed(claim, made.tickets[0], latest.hash, external_id="<2@example.cn>")
    more = replace(more, outgoing=(Outgoing("said1", "reply", "email_smtp/main", more.tickets[0].id, NOW, replace(held, id="said1")),))  # fmt: skip
    assert await store.commit([more], NOW) == [True]
    await taken_back(store, "c", made.messages[0][0], made)
    assert "identity" not in repr([one.outgoing.content for one in await store.outgoing(ticket=made.tickets[0].id)])


async def test_an_answer_quotes_it_no_longer_and_what_is_damaged_holds_nothing_up(store: Store) -> None:
    made = await stored(store, "a", "20261123001", text="my password is hunter2")
    for key, quoted in (("b", "my password is"), ("c", "something else")):
        claim = await claimed(store, key)
        ticket = await store.ticket("20261123001")
        assert ticket
        (*_, latest) = await store.decisions(ticket.id)
        assert await store.commit([followed(claim, ticket, latest.hash, quoted=quoted)], NOW) == [True]
    damage = update(messages).where(messages.c.envelope == made.claim.seq + 2).values(sealed=b"x")
    await store.database.write("damage", lambda connection: connection.execute(damage))
    await taken_back(store, "d", made.messages[0][0], made)
    said = await store.messages(made.tickets[0].id)
    assert [(one.text, one.quoted) for one in said[:2]] == [("", ""), ("my parcel is lost", "")]


@pytest.mark.only("sqlite")
async def test_no_older_page_holds_it(store: Store, tmp_path: Path) -> None:
    made = await stored(store, "a", "20261123001", text="my password is hunter2")
    folder = tmp_path / "data"
    with closing(sqlite3.connect(folder / "ticketgate.db")) as reading:
        ((sealed,),) = reading.execute("SELECT sealed FROM messages").fetchall()
    await taken_back(store, "b", made.messages[0][0], made)
    kept = b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())
    assert sealed[-64:] not in kept


@pytest.mark.only("sqlite")
async def test_nobody_waits_for_a_long_look_that_keeps_older_pages(store: Store, tmp_path: Path) -> None:
    made = await stored(store, "a", "20261123001")
    with closing(sqlite3.connect(tmp_path / "data" / "ticketgate.db", isolation_level=None)) as reading:
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM messages").fetchall()
        begun = time.monotonic()
        await taken_back(store, "b", made.messages[0][0], made)
        assert time.monotonic() - begun < BUSY_MS / 1000 / 2
