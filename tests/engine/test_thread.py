"""Where a message belongs."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.thread import Found, Placed, lookups, place
from normalizer.canon import (
    Address,
    Contact,
    Derived,
    Extracted,
    Identity,
    Kind,
    Message,
    Related,
    Returned,
    Ticket,
    Understanding,
)  # fmt: skip

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
    return Found(tickets={ticket.id: ticket}, **{"takes_part": frozenset({ticket.id}), **changes})


BOTH = frozenset({"t1", "t2"})


def linked(placed: Placed) -> list[tuple[str, str]]:
    return [(one.kind, one.id) for one in placed.ticket.related]


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


def test_a_conversation_that_moved_is_looked_for_where_it_was() -> None:
    assert lookups(message(thread_key="new", moved_from="old")).thread == lookups(message(thread_key="old")).thread


def test_in_reply_to_is_surer_than_the_rest() -> None:
    near, far = opened(), replace(opened(), id="t2")
    both = Found(tickets={"t1": near, "t2": far}, by_message_id={"<1@x>": "t2", "<2@x>": "t1"}, by_thread="t2",
                 takes_part=BOTH)  # fmt: skip
    assert place(message(in_reply_to="<2@x>", references=("<1@x>",)), both, NOW).ticket.id == "t1"


def test_a_number_counts_only_from_somebody_who_takes_part() -> None:
    ticket, subject = opened(), f"Re: {NUMBER}"
    by_number: Mapping[str, str] = {NUMBER: "t1"}
    assert place(message(subject=subject), found(ticket, by_number=by_number), NOW).ticket.id == "t1"
    stranger = place(message(subject=subject), found(ticket, by_number=by_number, takes_part=frozenset()), NOW)
    assert (stranger.is_new, stranger.by, linked(stranger)) == (True, "stranger", [("related", "t1")])


@pytest.mark.parametrize("channel", ["email", "telegram"])
def test_message_ids_leak_so_they_count_in_mail_only_from_somebody_who_takes_part(channel: Any) -> None:
    said = message(channel=channel, in_reply_to="<1@x>", references=("<0@x>", "<1@x>"), thread_key="<0@x>")
    ids = {"<0@x>": "t1", "<1@x>": "t1"}
    placed = place(said, found(opened(), by_message_id=ids, by_thread="t1", takes_part=frozenset()), NOW)
    assert (placed.is_new, placed.by) == ((True, "stranger") if channel == "email" else (False, "in_reply_to"))


def test_in_a_form_anybody_may_write_anybodys_address() -> None:
    there = found(opened(), by_number={NUMBER: "t1"})
    form = message(channel="form", connector="webform", subject=NUMBER)
    assert linked(place(form, there, NOW)) == [("related", "t1")]
    assert place(replace(form, proven=True), there, NOW).ticket.id == "t1"


def test_the_key_of_its_address_is_enough_from_anywhere() -> None:
    placed = place(message(reply_keys=(f"{NUMBER}-aa",)), found(opened(), by_key="t1", takes_part=frozenset()), NOW)
    assert (placed.is_new, placed.ticket.id, placed.by) == (False, "t1", "key")


def test_of_two_tickets_the_one_its_sender_takes_part_in_is_joined_and_a_strangers_is_linked() -> None:
    mine, other = opened(), replace(opened(), id="t2")
    both = Found(
        tickets={"t1": mine, "t2": other}, by_message_id={"<2@x>": "t2"}, by_number={NUMBER: "t1"},
        takes_part=frozenset({"t1"}),
    )  # fmt: skip
    said = message(in_reply_to="<2@x>", subject=NUMBER)
    assert place(said, both, NOW).ticket.id == "t1"
    closed = replace(both, tickets={"t1": replace(mine, status=Derived("closed", "x")), "t2": other})
    assert linked(place(said, closed, NOW)) == [("follow_up_of", "t1"), ("related", "t2")]


def test_what_answers_a_merged_ticket_goes_to_the_one_it_was_merged_into() -> None:
    merged = opened(status=Derived("merged", "person:li"), related=(Related("duplicate_of", "t2"),))
    target = replace(opened(), id="t2")
    both = Found(tickets={"t1": merged, "t2": target}, by_message_id={"<1@x>": "t1"}, takes_part=frozenset({"t1"}))
    assert place(message(in_reply_to="<1@x>"), both, NOW).ticket.id == "t2"
    strange = place(message(in_reply_to="<1@x>"), replace(both, takes_part=frozenset()), NOW)
    assert (strange.is_new, linked(strange)) == (True, [("related", "t2")])


@pytest.mark.parametrize(("days", "reopened"), [(6.9, True), (7.1, False)])
def test_a_ticket_closed_lately_is_opened_again(days: float, reopened: bool) -> None:
    closed = opened(status=Derived("closed", "person:li"), solved_at=NOW, closed_at=NOW - timedelta(days=days))
    placed = follow(closed)
    assert placed.is_new is not reopened
    if reopened:
        after = placed.ticket
        assert (after.status.value, after.reopen_count, after.closed_at, after.solved_at) == ("open", 1, None, None)
    assert follow(closed, intents=("thanks",)).ticket.status.value == ("closed" if reopened else "new")


def bounce(**said: Any) -> Message:
    return message(
        kind=Kind.BOUNCE, external_id="<b@x>", sender=Address("email", "mailer-daemon@example.org"),
        returned=Returned((Address("email", "Li@Example.org"),), "5.1.1", of=("1@x",), **said),
    )  # fmt: skip


def test_a_bounce_marks_the_address_and_the_ticket_until_its_owner_writes_again() -> None:
    owner = Contact("c1", (Identity("email", "li@example.org"), Identity("email", "li@example.cn")))
    placed = place(bounce(), found(opened(), by_bounce="t1", owners={"t1": owner}), NOW)
    assert (placed.trigger, placed.is_new, placed.ticket.tags) == ("contact.bounced", False, ("bounced",))
    assert [one.bouncing for one in placed.contact.identities] == ["5.1.1", ""]

    form = replace(message(), channel="form")
    assert place(form, Found(contact=placed.contact), NOW).contact.identities[0].bouncing == "5.1.1"
    again = place(message(), Found(contact=placed.contact), NOW).contact
    assert [one.bouncing for one in again.identities] == ["", ""]


def test_news_of_a_delay_marks_nobody_and_a_bounce_of_nothing_we_know_is_no_ticket_of_ours() -> None:
    owner = Contact("c1", (Identity("email", "li@example.org"),))
    late = place(bounce(final=False), found(opened(), by_bounce="t1", owners={"t1": owner}), NOW)
    assert (late.trigger, late.ticket.tags, late.contact) == ("message.received", (), owner)
    assert place(bounce(), Found(), NOW).is_new


_ids = st.sampled_from(["1@x", "2@x", "3@x", "9@x"])


@given(
    answers=_ids, references=st.lists(_ids, max_size=4), key=st.sampled_from(["", f"{NUMBER}-{'0' * 20}"]),
    subject=st.sampled_from(["", NUMBER, f"Re: Re: [{NUMBER}] {NUMBER}"]),
    status=st.sampled_from(["new", "open", "solved", "closed", "merged"]), thread=_ids,
    known=st.dictionaries(_ids, st.sampled_from(["t1", "t2"])), kind=st.sampled_from(list(Kind)),
)  # fmt: skip
def test_a_stranger_never_gets_into_a_ticket(
    answers: str, references: list[str], key: str, subject: str, status: str, thread: str, known: dict[str, str],
    kind: Kind,
) -> None:  # fmt: skip
    """Whatever they know but a right key: it is never among what was found for them."""
    one = opened(status=Derived(status, "x"), closed_at=NOW, related=(Related("duplicate_of", "t2"),))
    there = Found(
        tickets={"t1": one, "t2": replace(opened(), id="t2")}, by_message_id=known, by_number={NUMBER: "t1"},
        by_thread=known.get(thread, ""), takes_part=frozenset(),
    )  # fmt: skip
    said = message(
        external_id="evil@x", in_reply_to=answers, references=tuple(references), reply_keys=(key,) if key else (),
        subject=subject, thread_key=thread, kind=kind,
    )  # fmt: skip
    placed = place(said, there, NOW)
    assert placed.is_new
    assert placed.ticket.id not in there.tickets
    assert {one.kind for one in placed.ticket.related} <= {"related"}


def test_a_closed_ticket_is_followed_up_by_a_new_one() -> None:
    for status in ("closed", "merged"):
        placed = follow(opened(status=Derived(status, "person:li")))
        assert placed.is_new
        assert [(r.kind, r.id) for r in placed.ticket.related] == [("follow_up_of", "t1")]


def test_an_open_ticket_goes_before_a_closed_one() -> None:
    closed, other = opened(status=Derived("closed", "x")), replace(opened(), id="t2")
    both = Found(tickets={"t1": closed, "t2": other}, by_message_id={"<1@x>": "t1"}, by_thread="t2", takes_part=BOTH)
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


# Conversations


def chat(text: str = "在吗", after: timedelta = timedelta(), **changes: Any) -> Message:
    plain = Message(
        channel="telegram", connector="telegram", account="bot", scope="bot", external_id=f"{after}{text}", envelope="env",
        received_at=NOW + after, sender=Address("telegram", "7", "李雷"), to=(Address("telegram", "bot"),), text=text,
        thread_key="7", proven=True,
    )  # fmt: skip
    return replace(plain, **changes)


def talk(first: Ticket, said: Message, silence: timedelta | None = timedelta(hours=24)) -> Placed:
    return place(said, Found(tickets={"t1": first}, by_thread="t1"), said.received_at, silence=silence)


def conversation(**changes: Any) -> Ticket:
    return replace(place(chat(), Found(), NOW).ticket, id="t1", number=NUMBER, **changes)


def test_a_conversation_is_one_ticket_until_it_was_silent_for_long() -> None:
    first = conversation()
    assert talk(first, chat("还在吗", timedelta(hours=23))).ticket.id == "t1"
    later = talk(first, chat("另一件事", timedelta(hours=24)))
    assert later.is_new and later.by == "ended" and linked(later) == [("follow_up_of", "t1")]
    assert talk(first, chat("另一件事", timedelta(days=300)), None).ticket.id == "t1"


def test_what_either_side_says_keeps_a_conversation_going() -> None:
    answered = conversation(last_agent_at=NOW + timedelta(hours=20))
    assert not talk(answered, chat("好的", timedelta(hours=43))).is_new
    assert talk(answered, chat("好的", timedelta(hours=44))).is_new


def test_whom_we_wait_for_may_take_their_time() -> None:
    waiting = conversation(status=Derived("waiting_customer", "person:li"))
    placed = talk(waiting, chat("订单号10023", timedelta(days=9)))
    assert (placed.ticket.id, placed.ticket.status.value) == ("t1", "open")


@pytest.mark.parametrize("kind", [Kind.EDIT, Kind.DELETE, Kind.REACTION, Kind.POSTBACK, Kind.DELIVERY_NOTICE])
def test_what_is_said_about_old_words_stays_with_them(kind: Kind) -> None:
    closed = conversation(status=Derived("closed", "person:li"), closed_at=NOW)
    assert talk(closed, chat("好", timedelta(days=60), kind=kind)).ticket.id == "t1"


def choose(code: str, **changes: Any) -> Placed:
    return talk(conversation(**changes), chat("按钮", timedelta(hours=1), kind=Kind.POSTBACK, claims={"choice": code}))


def test_a_customer_confirms_by_a_button_that_it_is_solved() -> None:
    solved = choose("solved", status=Derived("solved", "person:li"), solved_at=NOW)
    assert (solved.ticket.status, solved.trigger) == (Derived("closed", "channel"), "message.received")
    assert solved.ticket.closed_at == NOW + timedelta(hours=1)
    assert choose("solved").ticket.status == Derived("solved", "channel")


def test_a_customer_says_by_a_button_that_it_is_not_solved() -> None:
    again = choose("unsolved", status=Derived("solved", "person:li"), solved_at=NOW).ticket
    assert (again.status.value, again.reopen_count, again.solved_at) == ("open", 1, None)


def test_a_score_by_a_button_is_feedback_and_reopens_nothing() -> None:
    placed = choose("score:4", status=Derived("closed", "person:li"), closed_at=NOW)
    assert placed.trigger == "feedback.received" and placed.ticket.feedback
    assert (placed.ticket.feedback.score, placed.ticket.status.value) == (4, "closed")


@pytest.mark.parametrize("code", ["score:9", "score:", "score:x", "menu:3", ""])
def test_other_buttons_change_nothing_by_themselves(code: str) -> None:
    placed = choose(code)
    assert placed.trigger == "message.received" and placed.ticket.feedback is None
    assert placed.ticket.status == conversation().status and "choice" not in placed.ticket.custom


def test_a_button_is_believed_only_where_it_is_one() -> None:
    typed = talk(conversation(), chat("score:1", timedelta(hours=1), claims={"choice": "solved"}))
    assert (typed.trigger, typed.ticket.status.value) == ("message.received", "new")


def test_what_a_colleague_says_elsewhere_answers_the_customer() -> None:
    echo = chat(
        "您好，已查到",
        timedelta(hours=1),
        direction="out",
        author="agent",
        sender=Address("telegram", "bot"),
        to=(Address("telegram", "7"),),
    )
    placed = talk(conversation(), echo)
    assert (placed.trigger, placed.ticket.id) == ("agent.replied", "t1")
    assert placed.ticket.first_response_at == NOW + timedelta(hours=1)
    assert placed.contact.id == conversation().contact


def test_what_could_not_be_delivered_is_told_to_the_rules() -> None:
    assert talk(conversation(), chat("", timedelta(hours=1), kind=Kind.DELIVERY_NOTICE)).trigger == "outgoing.failed"


@pytest.mark.parametrize("kind", [Kind.REACTION, Kind.EDIT, Kind.DELETE])
def test_a_sign_or_correction_of_a_colleague_is_no_answer(kind: Kind) -> None:
    ours = message(channel="slack", kind=kind, direction="out", author="agent", thread_key="k")
    placed = place(ours, found(opened(), by_thread="t1"), NOW)
    assert (placed.trigger, placed.ticket.first_response_at) == ("message.received", None)


@pytest.mark.parametrize("kind", [Kind.EDIT, Kind.DELETE])
def test_an_edit_belongs_to_the_ticket_of_what_it_changes_whatever_the_conversation_is_about_now(kind: Kind) -> None:
    old, new = opened(), replace(opened(), id="t2", number="20260304002")
    said = message(channel="line", external_id="5", kind=kind, revision="x", thread_key="k")
    assert lookups(said).message_ids == ("5",)
    both = Found(tickets={"t1": old, "t2": new}, by_message_id={"5": "t1"}, by_thread="t2", takes_part=BOTH)
    placed = place(said, both, NOW)
    assert (placed.ticket.id, placed.by) == ("t1", "in_reply_to")
