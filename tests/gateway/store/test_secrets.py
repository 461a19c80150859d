"""Nothing of a customer stands in the data folder for whoever finds the disk; what is erased is gone."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from stored import NOW, arrive, decided, followed, found, message, opened, outcome, server_now, step, stored, wanted

from engine import decision as decisions
from engine.decision import Case, Decision, Fired, Seen, Work
from gateway.crypto import SealedError
from gateway.store import redact
from gateway.store.store import Store
from gateway.store.work import Later, Limits, Never, Outcome
from normalizer.canon import (
    Address,
    Attachment,
    Contact,
    Envelope,
    Extracted,
    Feedback,
    HandoverStep,
    Identity,
    Kind,
    Message,
    Outgoing,
    Reply,
    Returned,
    Review,
    Sent,
    Source,
    Task,
    Ticket,
    digest,
)

WORDS = "SECRETWORD"


def secret(name: str) -> str:
    return f"{WORDS}-{name}-李雷"


def hits(folder: Path) -> Iterator[str]:
    """Where a marked word stands in clear, as UTF-8, UTF-16 or hex."""
    needles = [WORDS.encode(), WORDS.encode("utf-16-le"), WORDS.encode().hex().encode(), "李雷".encode()]
    for file in sorted(folder.rglob("*")):
        if WORDS in file.name:
            yield str(file)
        if file.is_file():
            content = file.read_bytes()
            yield from (f"{file.name}: {needle!r}" for needle in needles if needle in content)


async def test_nothing_of_a_customer_stands_in_clear(folder: Path) -> None:
    store = await opened(folder, limits=Limits(blob_over=1000))
    sender = secret("address")
    body = (secret("body") + " ").encode() * 10
    small = Envelope("email_smtp", "main", secret("key"), secret("lane"), NOW, body, {"remote": secret("remote")})
    large = Envelope("email_smtp", "main", secret("large"), secret("lane"), NOW, body * 100, {})
    await store.journal([small, large], NOW)
    await store.refuse("email_smtp", "main", "unverified", secret("reason"), body, {"remote": secret("remote")}, NOW)
    (claim,) = await store.claim(NOW, 1)
    await store.release(claim, secret("trouble"), NOW, timedelta())
    (claim,) = await store.claim(NOW, 1)
    said = message(
        claim, sender=sender, text=secret("text"), subject=secret("subject"), thread_key=secret("thread"),
        external_id=f"<{secret('id')}@x>", references=(secret("reference"),), claims={"phone": secret("phone")},
        attachments=(Attachment(secret("file.pdf"), "application/pdf", 3, "00"),), html=secret("html"),
    )  # fmt: skip
    made = outcome(claim, "20261123001", sender=sender)
    whose = Contact(made.contacts[0].id, (Identity("email", sender),), secret("name"), attributes={"a": secret("b")})
    before = replace(
        made.tickets[0], version=0, subject=secret("subject"), description=secret("text"),
        extracted={"phone": Extracted(secret("phone"), (0, 3))}, custom={"serial": secret("custom")},
    )  # fmt: skip
    fired = Fired("r", "b", "l", 1, 1, secret("because"), (Seen("text", "contains", "x", secret("text")),), ())
    decision = replace(decided(before, whose, said), fired=(fired,))
    ticket = replace(before, version=1)
    owed = made.outgoing[0]
    reply = replace(
        owed, content=replace(owed.content, to=Address("email", sender, secret("name")), text=secret("reply"))
    )
    steps = step("crm", "create", ticket, whose, said)
    whole = replace(
        made, messages=((said, ticket.id),), contacts=(whose,), tickets=(ticket,), decisions=(decision,),
        outgoing=(reply, steps),
    )  # fmt: skip
    assert await store.commit([whole], NOW) == [True]
    for one in await store.due(NOW, 10):
        settled = Sent(secret("external"), secret("url")) if one.outgoing.kind == "handover" else Never(secret("dead"))
        await store.settle(one, settled, NOW)
    (other, *_) = await store.claim(NOW, 5)
    await store.set_aside(other, "unreadable", secret("unreadable"), NOW)
    await store.add_key("shop", ["messages:write"], NOW)
    places = [folder, *([server.folder] if (server := server_now()) else [])]
    assert [hit for place in places for hit in hits(place)] == []
    await store.close()
    assert [hit for place in places for hit in hits(place)] == []
    assert (folder / "blobs").exists()


async def test_a_sealed_value_opens_nowhere_else(store: Store) -> None:
    """Swapping two rows' words, as somebody with the disk could, is seen."""
    await stored(store, "a", "20261123001", sender="a@example.cn")
    await stored(store, "b", "20261123002", sender="a@example.cn")
    swap = "UPDATE tickets SET sealed = (SELECT sealed FROM tickets WHERE seq = 1) WHERE seq = 2"
    await store.database.alone(lambda bare: bare.execute(swap))
    shown = await store.ticket("20261123002")
    assert shown
    assert (shown.subject, shown.description) == ("damaged", "damaged")
    (answer,) = await store.find([wanted(numbers=["20261123002"])], NOW)
    assert isinstance(answer, SealedError)  # nothing is decided on it


# ---- erasing ---------------------------------------------------------------------------------------------------------


async def test_an_erased_person_is_gone_and_the_ticket_stands(folder: Path, kind: str) -> None:
    store = await opened(folder, limits=Limits(blob_over=1000))
    big = Envelope("email_smtp", "main", "big", "lane", NOW, os.urandom(5000), {})
    await store.journal([big], NOW)
    (claim,) = await store.claim(NOW, 1)
    made = outcome(claim, "20261123001", targets=("crm",), text="my parcel is lost", subject="parcel")
    assert await store.commit([made], NOW) == [True]
    other = await stored(store, "b", "20261123002", sender="han@example.cn")
    (first, *_) = await store.due(NOW, 1)
    await store.settle(first, Later("li@example.cn is busy", NOW), NOW)
    ticket, whose = made.tickets[0], made.contacts[0]

    assert await store.erase_contact(whose.id, NOW) is True

    left = await store.ticket("20261123001")
    assert left is not None
    assert (left.subject, left.description, left.number, left.version) == ("erased", "erased", "20261123001", 2)
    assert left.group == ticket.group
    assert (await store.contact(whose.id)) == Contact(whose.id, name="erased")
    assert [(m.text, m.sender.address) for m in await store.messages(ticket.id)] == [("erased", "erased")]
    (decision,) = await store.decisions(ticket.id)
    assert decision.hash == made.decisions[0].hash  # the chain holds
    assert decision.case.message is not None
    assert decision.case.message.text == "erased"
    posted = {one.outgoing.kind: one for one in await store.outgoing(ticket=ticket.id)}
    assert {(one.state, one.reason) for one in posted.values()} == {("dead", "")}
    told = posted["handover"].outgoing.content
    assert isinstance(told, HandoverStep)
    assert told.message is not None
    assert (told.message.text, told.ticket.description, told.ticket.version) == ("erased", "erased", 1)
    assert (await store.envelope(big.id)).body == b"erased"  # type: ignore[union-attr]
    assert list((folder / "blobs").iterdir()) == []
    assert (await found(store, wanted("li@example.cn"))).contact is None
    assert (await store.ticket("20261123002")) == other.tickets[0]
    if kind == "sqlite":
        assert (folder / "ticketgate.db-wal").stat().st_size == 0  # no older page is left to open with the master key
    await store.close()


async def test_whoever_worked_on_the_ticket_meanwhile_has_lost(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await store.erase_contact(made.contacts[0].id, NOW)
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    stale = Outcome(claim, tickets=(replace(made.tickets[0], version=2),))
    assert await store.commit([stale], NOW) == [False]


async def test_an_erased_person_who_writes_again_is_a_new_one(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await store.erase_contact(made.contacts[0].id, NOW)
    again = await stored(store, "b", "20261123002")
    assert (await store.contact(again.contacts[0].id)) == again.contacts[0]
    assert (await found(store, wanted("li@example.cn"))).contact == again.contacts[0]
    assert (await store.ticket("20261123001")).subject == "erased"  # type: ignore[union-attr]


async def test_what_they_said_in_somebody_elses_ticket_goes_too(store: Store) -> None:
    made = await stored(store, "a", "20261123001")
    await arrive(store, "b")
    (claim,) = await store.claim(NOW, 1)
    said = message(claim, sender="han@example.cn", text="me too")
    han = Contact(digest("contact", "han"), (Identity("email", "han@example.cn"),), "韩梅梅")
    ticket = replace(made.tickets[0], version=2)
    then = decided(made.tickets[0], han, said, made.decisions[0].hash)
    joined = Outcome(
        claim, ((said, ticket.id),), (han,), (ticket,), (then,), (step("crm", "append", ticket, han, said),)
    )
    assert await store.commit([joined], NOW) == [True]

    await store.erase_contact(han.id, NOW)

    assert [m.text for m in await store.messages(ticket.id)] == ["my parcel is lost", "erased"]
    first, second = await store.decisions(ticket.id)
    assert first == made.decisions[0]
    assert (second.case.contact.name, second.hash) == ("erased", then.hash)
    shown = {one.outgoing.kind: one.state for one in await store.outgoing(ticket=ticket.id)}
    assert shown == {"reply": "waiting", "handover": "dead"}
    assert (await store.ticket(ticket.id)).subject == "parcel"  # type: ignore[union-attr]


def test_what_is_left_of_an_erased_person_says_nothing_that_was_said() -> None:
    words, wrong = secret("words"), {"result": secret("result")}
    said = Message("line", "line", "main", "1", Address("line", "U1"), NOW, reply_token=words, text=words)
    returned = Returned((Address("email", words),), diagnostic=words)
    whose = Contact("c1", name=words)
    ticket = Ticket(
        "t1", Source("line", "line", "main", "e1"), "c1", words, NOW, NOW, feedback=Feedback(1, NOW, words),
        tasks=(Task("k1", "call back", NOW, "rule:x", result=wrong),), review=Review(True, note=words),
    )  # fmt: skip
    case = Case(
        "feedback.received", NOW, ticket, whose, said, changed={"custom.serial": (words, words)},
        outside={"order.address": words}, tasks=(Work(result=wrong),), task=Work(result=wrong),
        feedback=decisions.Feedback(1, words),
    )  # fmt: skip
    made = Decision(case, "ab" * 32, "native", (), (), (), (), ticket)
    owed = Reply("r1", "line", "line", "main", "t1", "1", Address("line", words), words, words, "zh", reply_token=words)
    left = (
        redact.decision(made),
        redact.outgoing(Outgoing("r1", "reply", "line/main", "t1", NOW, owed)),
        redact.message(replace(said, returned=returned)),
    )
    assert WORDS not in repr(left)


async def album(store: Store) -> tuple[Outcome, list[str]]:
    """A message of two envelopes, and their ids."""
    await arrive(store, "a1", "a2", lane="a")
    (claim,) = await store.claim(NOW, 1)
    ((seq, further),) = await store.behind(claim, 9)
    made = outcome(replace(claim, further=(seq,)), "20261123001", gathered=(further.id,))
    assert await store.commit([made], NOW) == [True]
    return made, [claim.envelope.id, further.id]


async def test_all_envelopes_of_an_album_are_erased(store: Store) -> None:
    made, ids = await album(store)
    await store.erase_contact(made.contacts[0].id, NOW)
    assert [(await store.envelope(one)).body for one in ids] == [b"erased"] * 2  # type: ignore[union-attr]


async def test_all_envelopes_of_an_album_that_is_taken_back_are_destroyed(store: Store) -> None:
    made, ids = await album(store)
    await arrive(store, "gone")
    (claim,) = await store.claim(NOW, 1)
    named = made.messages[0][0].external_id
    gone = followed(claim, made.tickets[0], made.decisions[0].hash, external_id=named, kind=Kind.DELETE, revision="x")
    assert await store.commit([gone], NOW) == [True]
    assert [(await store.envelope(one)).body for one in ids] == [b"erased"] * 2  # type: ignore[union-attr]


async def test_erasing_nobody_says_so(store: Store) -> None:
    assert await store.erase_contact("nobody", NOW) is False
