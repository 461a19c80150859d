"""The journal by the page, a contact's trail, how accounts and targets are, and mending what was refused."""

from datetime import timedelta

from stored import NOW, arrive, contact, stored

from gateway.store.store import Store
from gateway.store.work import Later, Never
from normalizer.canon import Reply, Sent


async def test_the_journal_tells_what_became_of_each_newest_first(store: Store) -> None:
    made = await stored(store, "done", "20261123001")
    await arrive(store, "bad")
    (claim,) = await store.claim(NOW, 1)
    await store.set_aside(claim, "unreadable", "no words in it", NOW)
    await arrive(store, "waits")
    await arrive(store, "waits")

    page = await store.journal_page()
    assert [one.state for one in page] == ["waiting", "set_aside", "done"]
    assert [one.redeliveries for one in page] == [1, 0, 0]
    assert (page[1].code, page[1].reason) == ("unreadable", "no words in it")
    assert page[2].tickets == (made.tickets[0].number,)
    assert [one.id for one in await store.journal_page(after=page[0].id, limit=1)] == [page[1].id]
    assert [one.id for one in await store.journal_page(state="aside")] == [page[1].id]
    assert await store.journal_page(account="other") == []
    assert await store.journalled(page[2].id) == page[2]
    assert await store.journalled("nothing") is None


async def test_a_contacts_trail_goes_over_all_tickets_newest_first(store: Store) -> None:
    for n in range(3):
        await stored(store, f"m{n}", f"2026112300{n}")
    await stored(store, "other", "20261123009", sender="wang@example.cn")

    trail = await store.trail(contact().id)
    assert [number for _, number in trail] == ["20261123002", "20261123001", "20261123000"]
    assert trail[0][0].external_id == "<m2@example.cn>"
    assert [number for _, number in await store.trail(contact().id, before=trail[0][0].id, limit=1)] == ["20261123001"]


async def test_a_refused_reply_is_mended_and_keeps_its_id(store: Store) -> None:
    await stored(store, "a", "20261123001")
    (owed,) = await store.due(NOW, 10)
    assert not await store.edit_outgoing(owed.outgoing.id, {"to": "li@new.example.cn"})  # it is on its way
    await store.settle(owed, Never("no such mailbox"), NOW)

    assert await store.edit_outgoing(owed.outgoing.id, {"to": "li@new.example.cn", "text": "got it!"})
    await store.retry_outgoing([owed.outgoing.id], NOW)
    (again,) = await store.due(NOW, 10)
    reply = again.outgoing.content
    assert isinstance(reply, Reply)
    assert (again.outgoing.id, reply.to.address, reply.text) == (owed.outgoing.id, "li@new.example.cn", "got it!")
    assert reply.subject == "Re: parcel"
    assert not await store.edit_outgoing("nothing", {})


async def test_the_pulse_tells_of_accounts_and_targets(store: Store) -> None:
    for n in range(10):
        made = await stored(store, f"m{n}", f"202611230{n:02}", reply=False, targets=["crm"] if n < 2 else [])
    assert made
    first, second = await store.due(NOW, 10)
    await store.settle(first, Sent("D-1"), NOW + timedelta(minutes=1))
    await store.settle(second, Later("HTTP 503", NOW + timedelta(minutes=5)), NOW)
    await arrive(store, "waits")

    seen = await store.pulse(NOW)
    (mail,) = [one for one in seen.incoming if one.connector == "email_smtp"]
    assert (mail.account, mail.seen, mail.waiting, mail.failed, mail.last) == ("main", 11, 1, 0, NOW)
    (crm,) = seen.targets
    assert (crm.name, crm.last_sent, crm.owed, crm.dead, crm.trouble) == (
        "crm", NOW + timedelta(minutes=1), 1, 0, "HTTP 503",
    )  # fmt: skip


async def test_an_empty_store_has_a_pulse_too(store: Store) -> None:
    seen = await store.pulse(NOW)
    assert (seen.incoming, seen.targets) == ((), ())
    assert await store.journal_page() == []
