"""What a person types into the one search box, and the tickets it finds."""

import asyncio
import string
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, update
from stored import MASTER, NOW, arrive, decided, followed, give_back, opened, stored

from engine.words import fold
from gateway.crypto import KeyRing
from gateway.store import search, terms
from gateway.store.store import Store
from gateway.store.tables import messages, tickets
from gateway.store.work import Outcome
from normalizer.canon import Attachment, Contact, External, Extracted, Identity, Ticket, Understanding


async def numbers(store: Store, text: str, **more: object) -> list[str]:
    return [ticket.number for ticket, _ in await store.search(text, **more)]  # type: ignore[arg-type]


async def spoken(store: Store, serial: int, *texts: str, **fields: object) -> Outcome:
    """A ticket with these messages, each from li@example.cn."""
    made = await stored(store, f"key{serial}", f"20261123{serial:03d}", text=texts[0], **fields)
    ticket, previous = made.tickets[0], made.decisions[0].hash
    for n, text in enumerate(texts[1:]):
        await arrive(store, f"key{serial}-{n}")
        (claim,) = await store.claim(NOW, 1)
        more = followed(claim, ticket, previous, text=text)
        assert await store.commit([more], NOW) == [True]
        ticket, previous = more.tickets[0], more.decisions[0].hash
    return made


async def written(store: Store, ticket: Ticket, whose: Contact, previous: str, key: str = "later") -> None:
    """Another version of a ticket, with nothing said."""
    await arrive(store, key)
    (claim,) = await store.claim(NOW, 1)
    made = decided(replace(ticket, version=ticket.version), whose, None, previous)
    kept = replace(made.ticket, version=ticket.version + 1)
    assert await store.commit([Outcome(claim, (), (whose,), (kept,), (made,))], NOW) == [True]


async def test_all_words_must_be_there(store: Store) -> None:
    await spoken(store, 1, "The parcel never arrived")
    await spoken(store, 2, "The parcel was damaged")
    assert await numbers(store, "PARCEL") == ["20261123002", "20261123001"]
    assert await numbers(store, "parcel arrived") == ["20261123001"]
    assert await numbers(store, "parcel arrived damaged") == []


async def test_chinese_is_found_by_any_two_characters_that_stand_together(store: Store) -> None:
    await spoken(store, 1, "物流显示已签收但未收到货")
    assert await numbers(store, "未收到货") == ["20261123001"]
    assert await numbers(store, "签收") == ["20261123001"]
    assert await numbers(store, "物流 收到货") == ["20261123001"]
    assert await numbers(store, "货到") == []


async def test_case_width_and_traditional_characters_do_not_matter(store: Store) -> None:
    await spoken(store, 1, "退款申請 ＯＲＤＥＲ Straße")
    for asked in ("退款申请", "order", "ORDER", "strasse", "申請"):
        assert await numbers(store, asked) == ["20261123001"], asked


async def test_words_may_stand_in_different_messages_of_a_ticket(store: Store) -> None:
    await spoken(store, 1, "发票抬头开错了", "please send it to Hangzhou")
    assert await numbers(store, "发票 hangzhou") == ["20261123001"]


@pytest.mark.parametrize(
    "asked",
    ["li@example.cn", "example.cn", "李雷", "雷", "<key1@example.cn>", "key1@example.cn", "20261123001", "#20261123001",
     "SF1234567890", "sf1234567890", "138 1234 5678", "13812345678", "+86 138 1234 5678", "5678", "invoice.pdf"],
)  # fmt: skip
async def test_what_a_person_may_have_in_hand_finds_it(store: Store, asked: str) -> None:
    extracted = {"order_number": Extracted("SF1234567890", (0, 3)), "phone": Extracted("+8613812345678", (0, 3))}
    files = (Attachment("invoice.pdf", "application/pdf", 3, "00"),)
    await spoken(store, 1, "see there", attachments=files, understanding=Understanding(extracted=extracted))
    await stored(store, "b", "20261123002", sender="han@example.org", text="other")
    assert "20261123001" in await numbers(store, asked)


async def test_an_id_of_a_helpdesk_finds_it(store: Store) -> None:
    made = await spoken(store, 1, "hello")
    handed = replace(made.tickets[0], external=(External("desk", "DESK-77"),))
    await written(store, handed, made.contacts[0], made.decisions[0].hash)
    assert await numbers(store, "desk-77") == ["20261123001"]


async def test_a_number_found_exactly_comes_first(store: Store) -> None:
    await spoken(store, 1, "hello")
    await spoken(store, 2, "it is about 20261123001 again")
    assert await numbers(store, "20261123001") == ["20261123001", "20261123002"]


async def test_pages_follow_each_other_without_gap_or_double(store: Store) -> None:
    await spoken(store, 1, "refund", external_id="<refund>")
    for serial in range(2, 9):
        await spoken(store, serial, "refund please")
    seen: list[str] = []
    while page := await numbers(store, "refund", after=seen[-1] if seen else "", limit=3):
        seen += page
    assert seen == ["20261123001", *(f"20261123{n:03d}" for n in range(8, 1, -1))]


async def test_it_goes_with_filters(store: Store) -> None:
    await spoken(store, 1, "refund", group="after_sales")
    await spoken(store, 2, "refund", group="billing")
    assert await numbers(store, "refund", filters={"group": "billing"}) == ["20261123002"]
    assert await numbers(store, "20261123001", filters={"group": "billing"}) == []


async def test_nothing_asked_finds_nothing(store: Store) -> None:
    await spoken(store, 1, "refund")
    for asked in ("", "   ", "?!", "。", '"', "* OR *", "NEAR("):
        assert await numbers(store, asked) in ([], None), asked


@pytest.mark.only("sqlite")
async def test_who_was_erased_is_found_by_nothing_and_their_digests_are_gone(store: Store, folder: Path) -> None:
    made = await spoken(store, 1, "my quarrelsome neighbour", "another quarrel")
    renamed = replace(made.contacts[0], name="Quintilian", identities=(Identity("email", "li@example.cn"),))
    latest = await store.ticket("20261123001")
    assert latest
    decisions = await store.decisions(latest.id)
    await written(store, latest, renamed, decisions[-1].hash)
    await spoken(store, 2, "quarrelsome as well", sender="han@example.org")
    assert await numbers(store, "quarrelsome") == ["20261123002", "20261123001"]
    (term,) = store.vault.terms(["neighbour"])
    assert leaf(term) in dump(folder)
    assert await store.erase_contact(made.contacts[0].id, NOW)
    assert await numbers(store, "quarrelsome") == ["20261123002"]
    assert leaf(term) not in dump(folder)
    for asked in ("neighbour", "quarrel", "Quintilian", "li@example.cn"):
        assert await numbers(store, asked) == [], asked
    assert await numbers(store, "20261123001") == ["20261123001"]


def leaf(term: str) -> bytes:
    """A digest as the index holds it on disk: without what it shares with the one before it."""
    return term[3:].encode()


def dump(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


async def test_the_words_of_others_stay_when_one_of_them_is_erased(store: Store) -> None:
    made = await spoken(store, 1, "my broken kettle")
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    ticket = made.tickets[0]
    other = followed(claim, ticket, made.decisions[0].hash, sender="han@example.org", text="my broken lamp")
    assert await store.commit([other], NOW) == [True]
    await store.catch_up()
    assert await store.erase_contact(made.contacts[0].id, NOW)
    found = [await numbers(store, asked) for asked in ("kettle", "lamp", "han@example.org")]
    assert found[0] == []


async def test_what_was_read_before_an_erasure_is_not_written_after_it(store: Store) -> None:
    made = await spoken(store, 1, "quarrelsome")
    batch = await store.database.read(lambda c: search.following(c, store.vault))
    assert batch
    assert await store.erase_contact(made.contacts[0].id, NOW)
    assert not await store.database.write("index", lambda c: search.write(c, batch))
    assert await numbers(store, "quarrelsome") == []


async def test_a_new_master_key_finds_the_same(folder: Path) -> None:
    store = await opened(folder)
    await spoken(store, 1, "refund")
    assert await numbers(store, "refund") == ["20261123001"]
    await store.rotate(KeyRing(b"n" * 32, MASTER))
    await store.close()
    store = await opened(folder, b"n" * 32)
    assert await numbers(store, "refund") == ["20261123001"]
    await spoken(store, 2, "refund")
    assert await numbers(store, "refund") == ["20261123002", "20261123001"]
    await store.close()


async def test_pruning_the_journal_keeps_the_index(store: Store) -> None:
    await spoken(store, 1, "refund")
    later = NOW + timedelta(days=30)
    assert await store.prune(later, later)
    assert await store.prune_events(later) == 0, "their words are not in the index yet"
    assert await numbers(store, "refund") == ["20261123001"]
    assert await store.prune_events(later) > 0
    assert await numbers(store, "refund") == ["20261123001"]


async def test_tickets_of_an_older_folder_are_indexed_and_counted_backwards(folder: Path) -> None:
    store = await opened(folder)
    for serial in range(1, 151):
        await spoken(store, serial, f"refund number{serial}")
    await store.database.write("arrange", as_before)
    assert await numbers(store, "refund", limit=1000) == []
    assert await store.index_earlier() == 64
    assert (await numbers(store, "refund", limit=1000)) == [f"20261123{n:03d}" for n in range(150, 86, -1)]
    while await store.index_earlier():
        pass
    assert len(await numbers(store, "refund", limit=1000)) == 150
    assert await numbers(store, "number7") == ["20261123007"]
    assert await store.tally("tier") == {"normal": 150}
    assert [t.number for t, _ in await store.tickets(tier="normal", limit=1)] == ["20261123150"]
    await store.close()


def as_before(connection: Connection) -> None:
    """As the migration leaves a folder of an older version."""
    emptied = (
        "DELETE FROM spoken" if search.in_arrays(connection) else "INSERT INTO spoken (spoken) VALUES ('delete-all')"
    )
    for statement in f"""
        DELETE FROM events; {emptied}; DELETE FROM tallies; UPDATE tickets SET tier = '', review = false, due_at = NULL;
        INSERT INTO tallies SELECT status, priority, category, subcategory, "group", assignee, channel, tier, review,
            count(*) FROM tickets GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
        INSERT INTO counters SELECT 'not indexed up to', max(seq) FROM tickets
        """.split(";"):
        connection.exec_driver_sql(statement)


WORDS = st.text(st.sampled_from(string.ascii_letters + "0123456789 ,.-_@退款发票物流申請李雷Ａéß\u200b\n"), max_size=80)


@pytest.mark.only("sqlite")
@given(WORDS, st.data())
def test_every_piece_of_a_text_is_asked_for_by_terms_it_has(text: str, data: st.DataObject) -> None:
    """Any run of whole words, or of at least two Chinese characters, is found by what the text was indexed with."""
    flat = fold(text)
    runs = list(terms.RUN.finditer(flat))
    if not runs:
        assert terms.asked(text) == []
        return
    first = data.draw(st.integers(0, len(runs) - 1))
    last = data.draw(st.integers(first, len(runs) - 1))
    piece = flat[runs[first].start() : runs[last].end()]
    assert set(terms.asked(piece)[0]) <= set(terms.terms(text)), piece


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS)
@settings(max_examples=20, deadline=None)
def test_the_index_finds_what_holds_the_terms_and_nothing_else(texts: Sequence[str], asked: str) -> None:
    async def tried(folder: Path) -> None:
        store = await opened(folder)
        try:
            for n, text in enumerate(texts, 1):
                await spoken(store, n, text)
            wanted = terms.asked(asked)
            had = [any(set(some) <= at_hand(text, n) for some in wanted) for n, text in enumerate(texts, 1)]
            expected = [f"20261123{n:03d}" for n in range(len(texts), 0, -1) if had[n - 1]]
            exactly = set(terms.exactly(asked))
            found = await numbers(store, asked)
            assert [one for one in found if one in expected or not exactly] == expected
        finally:
            await store.close()
            give_back(folder)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(tried(Path(folder)))


def at_hand(text: str, serial: int) -> set[str]:
    """All terms of a ticket that `spoken` makes."""
    fixed = ("parcel", f"20261123{serial:03d}", f"<key{serial}@example.cn>", "li@example.cn", "李雷")
    return {term for part in (*fixed, text, *"李雷") for term in terms.terms(part)}


async def test_a_ticket_that_cannot_be_opened_does_not_stop_the_index(store: Store) -> None:
    await spoken(store, 1, "refund")
    await spoken(store, 2, "refund")

    def spoil(connection: Connection) -> None:
        for table in (tickets, messages):
            connection.execute(update(table).where(table.c.seq == 1).values(sealed=b"x"))

    await store.database.write("arrange", spoil)
    assert await numbers(store, "refund") == ["20261123002"]
    assert not await store.catch_up()
