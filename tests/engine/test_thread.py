"""Where a message belongs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.thread import Found, Placed, lookups, place
from normalizer.canon import Address, Contact, Derived, Extracted, Identity, Kind, Message, Ticket, Understanding

NOW = datetime(2026, 3, 4, 4, 0, tzinfo=UTC)
NUMBER = "20260304001"


def message(**changes: Any) -> Message:
    plain = Message(
        channel="email", connector="email_smtp", account="support", external_id="<1@x>", received_at=NOW,
        sender=Address("email", "li@example.org", "李雷"), subject="快递", text="快递三天没动了。请查一下", envelope="env",
    )  # fmt: skip
    return replace(plain, **changes)


def opened(**changes: Any) -> Ticket:
    return replace(place(message(), Found(), NOW).ticket, id="t1", number=NUMBER, **changes)


def found(ticket: Ticket, **changes: Any) -> Found:
    return Found(tickets={ticket.id: ticket}, **changes)


def follow(ticket: Ticket, **said: Any) -> Placed:
    understanding = Understanding(**said)
    return place(message(external_id="<2@x>", in_reply_to="<1@x>", understanding=understanding), found(ticket, by_message_id={"<1@x>": "t1"}), NOW)  # fmt: skip


def test_what_answers_nothing_opens_a_ticket() -> None:
    placed = place(message(), Found(), NOW)
    assert (placed.trigger, placed.is_new) == ("ticket.created", True)
    assert placed.ticket.description == "快递三天没动了。请查一下"
    assert (placed.ticket.contact, placed.ticket.subject) == (placed.contact.id, "快递")
    assert placed.contact.identities == (Identity("email", "li@example.org"),)
    assert placed.contact.name == "李雷"


def test_the_same_message_makes_the_same_ticket_and_contact() -> None:
    one, two = place(message(), Found(), NOW), place(message(), Found(), NOW + timedelta(hours=1))
    assert (one.ticket.id, one.contact.id) == (two.ticket.id, two.contact.id)


def test_a_subject_is_made_of_the_first_words() -> None:
    assert place(message(subject=""), Found(), NOW).ticket.subject == "快递三天没动了"
    long = place(message(subject="", text="很长" * 50), Found(), NOW).ticket.subject
    assert (len(long), long[-1]) == (40, "…")
    assert place(message(subject="", text=" \n "), Found(), NOW).ticket.subject == ""


def test_what_the_sender_filled_in_becomes_type_and_fields() -> None:
    claims = {"type": "repair", "model": "X1", "name": "王五", "phone": ""}
    placed = place(message(claims=claims, sender=Address("phone", "+8613800000000")), Found(), NOW)
    assert (placed.ticket.type, dict(placed.ticket.custom), placed.contact.name) == ("repair", {"model": "X1"}, "王五")


def test_look_ups_go_from_the_nearest_to_the_oldest() -> None:
    wanted = lookups(
        message(
            in_reply_to="<3@x>",
            references=("<1@x>", "<2@x>", "<3@x>"),
            subject=f"Re: 工单 {NUMBER} 补充",
            thread_key="k",
        )
    )
    assert wanted.message_ids == ("<3@x>", "<2@x>", "<1@x>")
    assert wanted.numbers == (NUMBER,)
    assert wanted.thread == ("email", "email_smtp", "support", "k")


def test_only_a_number_that_can_be_one_is_looked_up() -> None:
    assert lookups(message(subject="order 120260304001 and 20261304001 and 2026030401")).numbers == ()


def test_a_reply_adds_to_its_ticket() -> None:
    placed = follow(opened())
    assert (placed.trigger, placed.is_new, placed.ticket.id) == ("message.received", False, "t1")


def test_a_reference_further_up_and_the_conversation_find_it_too() -> None:
    ticket = opened()
    by_reference = place(message(references=("<1@x>", "<9@x>")), found(ticket, by_message_id={"<1@x>": "t1"}), NOW)
    by_thread = place(message(thread_key="k"), found(ticket, by_thread="t1"), NOW)
    assert by_reference.ticket.id == by_thread.ticket.id == "t1"


def test_in_reply_to_is_surer_than_the_rest() -> None:
    near, far = opened(), replace(opened(), id="t2")
    both = Found(tickets={"t1": near, "t2": far}, by_message_id={"<1@x>": "t2", "<2@x>": "t1"}, by_thread="t2")
    assert place(message(in_reply_to="<2@x>", references=("<1@x>",)), both, NOW).ticket.id == "t1"


def test_a_number_counts_only_from_somebody_who_takes_part() -> None:
    ticket, subject = opened(), f"Re: {NUMBER}"
    by_number: Mapping[str, str] = {NUMBER: "t1"}
    mine = {"t1": (Identity("email", "li@example.org"),)}
    others = {"t1": (Identity("email", "somebody@example.org"),)}
    assert place(message(subject=subject), found(ticket, by_number=by_number, participants=mine), NOW).ticket.id == "t1"
    assert place(message(subject=subject), found(ticket, by_number=by_number, participants=others), NOW).is_new
    assert place(message(subject=subject), found(ticket, by_number=by_number), NOW).is_new


def test_a_closed_ticket_is_followed_up_by_a_new_one() -> None:
    for status in ("closed", "merged"):
        placed = follow(opened(status=Derived(status, "person:li")))
        assert placed.is_new
        assert [(r.kind, r.id) for r in placed.ticket.related] == [("follow_up_of", "t1")]


def test_an_open_ticket_goes_before_a_closed_one() -> None:
    closed, other = opened(status=Derived("closed", "x")), replace(opened(), id="t2")
    both = Found(tickets={"t1": closed, "t2": other}, by_message_id={"<1@x>": "t1"}, by_thread="t2")
    assert place(message(in_reply_to="<1@x>"), both, NOW).ticket.id == "t2"


def test_a_solved_ticket_is_reopened_unless_the_customer_only_says_thanks() -> None:
    solved = opened(status=Derived("solved", "person:li"), solved_at=NOW)
    again, thanks = follow(solved).ticket, follow(solved, intents=("thanks",)).ticket
    assert (again.status.value, again.reopen_count, again.solved_at) == ("open", 1, None)
    assert (thanks.status.value, thanks.reopen_count) == ("solved", 0)


def test_a_ticket_that_waits_for_the_customer_waits_no_longer() -> None:
    assert follow(opened(status=Derived("waiting_customer", "person:li"))).ticket.status.value == "open"


def test_an_automatic_reply_adds_nothing() -> None:
    solved = opened(status=Derived("solved", "person:li"))
    auto = message(in_reply_to="<1@x>", kind=Kind.AUTO_REPLY, understanding=Understanding(intents=("urge",)))
    assert place(auto, found(solved, by_message_id={"<1@x>": "t1"}), NOW).ticket == solved


def test_urging_is_counted() -> None:
    once = follow(opened(), intents=("urge",)).ticket
    twice = follow(replace(once, id="t1"), intents=("urge",)).ticket
    assert (once.urge_count, twice.urge_count, twice.last_urged_at) == (1, 2, NOW)
    assert place(message(understanding=Understanding(intents=("urge",))), Found(), NOW).ticket.urge_count == 1


def test_a_category_changes_only_when_surer_and_never_over_a_person() -> None:
    surer, less = Derived("complaint", "cues:1", 0.8), Derived("complaint", "cues:1", 0.3)
    machine, person = Derived("inquiry", "cues:1", 0.5), Derived("inquiry", "person:li", 0.5)
    changed = follow(opened(category=machine), category=surer, subcategory=Derived("refund", "cues:1")).ticket
    assert (changed.category, changed.subcategory) == (surer, Derived("refund", "cues:1"))
    assert follow(opened(category=machine), category=less).ticket.category == machine
    assert follow(opened(category=person), category=surer).ticket.category == person
    assert follow(opened(category=Derived("inquiry", "rule:a@1234")), category=surer).ticket.category is not surer


def test_what_was_found_before_stays_and_more_is_added() -> None:
    ticket = opened(extracted={"order_number": Extracted("5", (0, 1))}, tags=("a",), language="zh")
    more = {"order_number": Extracted("6", (0, 1)), "phone": Extracted("1", (0, 1))}
    after = follow(ticket, extracted=more, tags=("b",), language="en").ticket
    assert {name: e.value for name, e in after.extracted.items()} == {"order_number": "5", "phone": "1"}
    assert (after.tags, after.language) == (("a", "b"), "zh")


def test_a_known_contact_gains_identities_and_proof_but_keeps_its_name() -> None:
    known = Contact("c1", (Identity("phone", "+8613800000000"), Identity("email", "li@example.org")), name="李")
    placed = place(message(proven=True), Found(contact=known), NOW)
    assert placed.contact.id == placed.ticket.contact == "c1"
    assert placed.contact.name == "李"
    assert placed.contact.identities[1] == Identity("email", "li@example.org", "email_smtp")
    again = place(message(), Found(contact=placed.contact), NOW)
    assert again.contact.identities == placed.contact.identities  # what was proven once stays so


def test_a_sender_without_an_address_is_known_by_the_message() -> None:
    nobody = message(sender=Address("email", ""))
    assert lookups(nobody).identities == (Identity("message", nobody.id),)
    assert place(nobody, Found(), NOW).contact.id


def test_a_ticket_is_never_older_than_its_message() -> None:
    ticket = place(message(received_at=NOW), Found(), NOW - timedelta(days=1)).ticket
    assert ticket.captured_at <= ticket.created_at
