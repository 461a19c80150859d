"""What each action makes of a ticket: answers, questions, tasks, waits, reviews, and what beats what."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from engine.acting import Action, act
from engine.company import Company
from engine.decide import decide
from engine.decision import Answer, AskFor, CallOut, Case, Close, Decision, Notify, effects_of, plain
from engine.effects import VERBS
from engine.explain import explain
from engine.reading import Place, Reading
from engine.routing import choose, turn
from engine.rulebook import load
from engine.ruleset import RuleSet
from engine.trial import NOON, case
from engine.vocabulary import Vocabulary
from engine.waiting import ended
from normalizer.canon import Derived, Milestone, Pending, Sla, dump
from normalizer.canon import load as read_back
from normalizer.errors import Unreadable
from normalizer.marked import read

FAQ = {"rule": "faq", "then": {"reply": "course-faq"}}
FIFTEEN = {
    "rule": "quiet",
    "then": {"wait": {"for": "15m", "unless": ["customer_speaks", "agent_replies"], "then": {"close": "quiet"}}},
}
FRAUD = {
    "rule": "fraud",
    "layer": "risk",
    "then": {
        "review": {
            "group": "senior", "hold": ["acknowledge", "task"],
            "approved": {"route": "refund"}, "rejected": {"close": "false alarm"},
        }
    },
}  # fmt: skip


def rules_of(vocabulary: Vocabulary, *rules: dict[str, Any]) -> RuleSet:
    return load({"t.yaml": json.dumps({"rulebook": "t", "rules": rules})}, vocabulary)


@pytest.fixture
def run(vocabulary: Vocabulary, house: Company) -> Any:
    def decided(*rules: dict[str, Any], of: Any = None, at: dict[str, Any] | None = None, **given_: Any) -> Decision:
        made = case(given_, vocabulary)
        made = replace(made, ticket=replace(made.ticket, **(of or {})), **(at or {}))
        return decide(rules_of(vocabulary, *rules), house, made)

    return decided


def later(decision: Decision, trigger: str, due: tuple[Pending, ...] = (), **more: Any) -> Case:
    """The next thing that happens to this ticket, an hour later, nothing said."""
    raised = replace(decision.ticket, version=decision.ticket.version + 1)
    ticket = more.pop("ticket", raised)
    return replace(
        decision.case, trigger=trigger, now=NOON + timedelta(hours=1), ticket=ticket, message=None, due=due,
        answerable=True, previous=decision.hash, **more,
    )  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_every_action_can_be_written_as_its_example_says(name: str, vocabulary: Vocabulary, run: Any) -> None:
    text = f"{name}: {VERBS[name].example}"
    document = read(text, "example.yaml")
    reading = Reading(vocabulary)
    effects = VERBS[name].read(reading, Place(document, (name,), document.value[name]), "why")
    assert (reading.findings, bool(effects)) == ([], True)
    decision = run({"rule": "example", "on": "agent.replied", "then": document.value}, trigger="agent.replied")
    for language in ("zh", "en"):
        assert not any("{" in sentence for sentence in explain(decision, language, vocabulary))
    assert plain(tuple(effects)) == plain(effects_of(Pending("example", plain(tuple(effects)))))


def test_an_answer_is_given_once_whatever_the_layer_and_never_to_a_machine(run: Any) -> None:
    twice = run(FAQ, {"rule": "other", "layer": "risk", "then": {"reply": "answer"}})
    assert [effect for effect in twice.effects if effect.verb == "reply"] == [Answer("answer")]
    assert twice.ticket.replied_at == (NOON,)
    machine = run(FAQ, kind="auto_reply", answerable=False)
    assert (machine.effects, machine.withheld) == ((), ("reply: not answerable (auto_reply)",))


def test_answers_are_throttled_like_acknowledgements(run: Any) -> None:
    recent = [NOON - timedelta(minutes=m) for m in (50, 40, 30)]
    assert run(FAQ, of={"replied_at": tuple(recent[:2])}).effects == (Answer("course-faq"),)
    silent = run(FAQ, of={"replied_at": tuple(recent)})
    assert silent.withheld == ("reply: 3 automatic answers within an hour to this customer",)
    old = run(FAQ, of={"replied_at": tuple(at - timedelta(hours=1) for at in recent)})
    assert old.ticket.replied_at == (NOON,)


def test_only_what_is_missing_is_asked_for_and_the_ticket_waits(run: Any) -> None:
    ask = {"rule": "ask", "then": {"ask_for": "missing"}}
    asked = run(ask, type="repair", custom={"model": "X1"})
    assert asked.effects == (AskFor(("address", "phone")),)
    assert asked.ticket.status.value == "waiting_customer"
    complete = run(ask, type="repair", custom={"model": "X1", "address": "a"}, extracted={"phone": "1"})
    assert complete.withheld == ("ask_for: nothing is missing",)
    assert complete.ticket.status.value == "new"
    persons = run(ask, type="repair", of={"status": Derived("open", "person:li")})
    assert persons.ticket.status.value == "open"


def test_a_wait_is_kept_with_the_ticket_and_ends_with_what_happens(run: Any, vocabulary: Vocabulary) -> None:
    decision = run(FIFTEEN)
    (wait,) = decision.ticket.waits
    assert (wait.name, wait.due_at - NOON) == ("quiet", timedelta(minutes=15))
    assert effects_of(wait.then) == (Close("quiet"),)
    speaks = decision.case.message
    assert ended(decision.ticket, "message.received", speaks, {}) == (replace(decision.ticket, waits=()), ("quiet",))
    assert ended(decision.ticket, "agent.replied", None, {})[1] == ("quiet",)
    assert ended(decision.ticket, "ticket.updated", None, {})[1] == ()


def test_what_was_waited_for_is_done_and_explained(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    before = run(FIFTEEN)
    (wait,) = before.ticket.waits
    rings = later(before, "timer.quiet", (wait.then,))
    after = decide(rules_of(vocabulary, {"rule": "on", "on": "timer.quiet", "then": {"tag": "rang"}}), house, rings)
    assert (after.ticket.status.value, after.ticket.closed_at, after.ticket.solution) == ("closed", rings.now, "quiet")
    assert [fired.rule for fired in after.fired] == ["quiet", "on"]
    assert explain(after, "zh", vocabulary)[0] == "等待期满（quiet），规则 quiet → 关闭（quiet）"
    assert after.ticket.waits == ()


def test_a_wait_of_the_same_name_begins_anew(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    before = run(FIFTEEN)
    again = decide(
        rules_of(vocabulary, {**FIFTEEN, "on": "message.received"}), house, later(before, "message.received")
    )
    (wait,) = again.ticket.waits
    assert wait.due_at == again.case.now + timedelta(minutes=15)
    assert wait.id != before.ticket.waits[0].id


def test_a_review_holds_and_its_verdict_releases_or_drops(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    rules = ({"rule": "ack", "then": {"acknowledge": "received", "task": "call back"}}, FRAUD)
    held = run(*rules)
    assert {effect.verb for effect in held.effects} == {"review"}
    assert held.withheld == ("acknowledge: held for review by rule fraud", "task: held for review by rule fraud")
    for verdict, verbs, status in (
        ("approved", {"acknowledge", "task", "route"}, "new"),
        ("rejected", {"set"}, "closed"),
    ):
        judged = act(Action("a", "review", held.ticket.id, "person:li", NOON, verdict=verdict), held.ticket)
        assert judged.ticket.review and not judged.ticket.review.held
        after = decide(
            rules_of(vocabulary, *rules), house, later(held, judged.trigger, judged.due, ticket=judged.ticket)
        )
        assert after.ticket.status.value == status
        assert {effect.verb for effect in after.effects} == ({"close"} if verdict == "rejected" else verbs)
        assert bool(after.ticket.tasks) == (verdict == "approved")
        told = explain(after, "en", vocabulary)
        assert any(line.startswith(f"review {verdict}, rule ") for line in told)


def test_suppress_beats_every_layer_and_what_is_left_is_merged_again(run: Any) -> None:
    rules = (
        {"rule": "closes", "layer": "risk", "then": {"close": "done", "call": "erp", "wait": {"for": "1h", "then": {"tag": "x"}}}},
        {"rule": "opens", "then": {"set": {"status": "open"}}},
        {"rule": "no", "then": {"suppress": ["close", "call", "wait"]}},
    )  # fmt: skip
    decision = run(*rules)
    assert decision.ticket.status.value == "open"  # the risk layer's close is gone, so the other write stands
    assert decision.ticket.waits == ()
    assert [effect.verb for effect in decision.effects] == ["set"]
    assert decision.withheld == (
        "call: suppressed by rule no", "close: suppressed by rule no", "wait: suppressed by rule no",
    )  # fmt: skip


def test_where_a_person_has_it_rules_neither_answer_nor_close(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    human = {"rule": "person", "then": {"human": "asked for one"}}
    rules = (human, FAQ, {"rule": "ack", "then": {"acknowledge": "received", "close": "x"}})
    at_once = run(*rules)
    assert {effect.verb for effect in at_once.effects} == {"acknowledge", "human"}
    assert at_once.ticket.human and at_once.ticket.human.value == "asked for one"
    assert at_once.ticket.status.value == "new"
    solved = {"rule": "solves", "on": "message.received", "then": {"set": {"status": "solved"}, "reply": "course-faq"}}
    after = decide(rules_of(vocabulary, solved), house, later(at_once, "message.received"))
    assert (after.ticket.status.value, after.effects) == ("new", ())
    assert after.withheld == ("reply: a person has it, by person", "set: a person has it, by person")
    over = act(Action("a", "update", "t", "person:li", NOON, changes={"human": ""}), after.ticket).ticket
    assert over.human is None


def test_tasks_notices_calls_and_waits_happen_all(run: Any, house: Company) -> None:
    then = {
        "task": {"title": "look", "group": "senior", "due": "4h"},
        "call": "erp",
        "notify": "duty@example.com",
        "wait": {"for": "1h", "then": {"tag": "late"}},
    }
    decision = run({"rule": "a", "then": then}, {"rule": "b", "layer": "risk", "then": [then, {"task": "another"}]})
    assert sorted(task.title for task in decision.ticket.tasks) == ["another", "look", "look"]
    assert len({task.id for task in decision.ticket.tasks}) == 3
    assert sorted(wait.name for wait in decision.ticket.waits) == ["a", "b"]
    calls = [effect for effect in decision.effects if isinstance(effect, CallOut)]
    assert [effect.rule for effect in calls] == ["a", "b"]
    notices = [effect for effect in decision.effects if isinstance(effect, Notify)]
    assert [effect.addresses for effect in notices] == [("duty@example.com",)] * 2
    due = next(task.due_at for task in decision.ticket.tasks if task.due_at)
    assert due == house.calendars[house.business].after(NOON, timedelta(hours=4))


def test_nobody_with_an_address_cannot_be_notified(run: Any) -> None:
    assert run({"rule": "a", "then": {"notify": "senior"}}).withheld == ("notify: nobody of them has a mail address",)


def test_a_task_is_done_once(run: Any) -> None:
    ticket = run({"rule": "a", "then": {"task": "look"}}).ticket
    done = Action("1", "task", ticket.id, "person:li", NOON, other=ticket.tasks[0].id, changes={"status": "done"})
    after = act(done, ticket)
    assert (after.trigger, after.about) == ("task.updated", ticket.tasks[0].id)
    assert after.changed["task.status"] == ("open", "done")
    assert after.ticket.tasks[0].ended_by == "person:li"
    with pytest.raises(Unreadable, match="done already"):
        act(done, after.ticket)


def test_feedback_is_one_to_five(run: Any) -> None:
    ticket = run().ticket
    said = act(Action("1", "feedback", ticket.id, "person:li", NOON, score=2, text="slow"), ticket)
    assert said.trigger == "feedback.received"
    assert said.ticket.feedback and said.ticket.feedback.score == 2
    with pytest.raises(Unreadable):
        act(Action("1", "feedback", ticket.id, "person:li", NOON, score=6), ticket)


def test_suggestions_stand_on_the_ticket_in_its_language(run: Any) -> None:
    (zh,) = run({"rule": "a", "then": {"suggest": "course-faq"}}, language="zh").ticket.suggestions
    (en,) = run({"rule": "a", "then": {"suggest": "course-faq"}}, language="en").ticket.suggestions
    assert zh.text.startswith("课程打不开")
    assert en.text.startswith("When a course")
    assert en.answer == "course-faq"


def test_a_link_goes_to_the_latest_ticket_that_fits(run: Any) -> None:
    link = {"rule": "a", "then": {"link": "same_category"}}
    history = [{"category": "inquiry", "ago": "1h"}, {"category": "complaint", "ago": "3h"}]
    linked = run(link, category="complaint", history=history)
    assert [(related.kind, related.id) for related in linked.ticket.related] == [("related", "past-1")]
    assert run(link, category="suggestion", history=history).withheld == ("link: no earlier ticket",)


def test_a_mark_of_quality_needs_an_agents_reply(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    rude = {"rule": "rude", "on": "agent.replied", "then": {"quality": "impolite"}}
    assert run(rude, trigger="agent.replied").withheld == ("quality: no agent's reply",)
    before = run(rude)
    assert before.case.message
    said = replace(before.case.message, author="agent", direction="out")
    marked = decide(
        rules_of(vocabulary, rude), house, replace(before.case, trigger="agent.replied", message=said, by="person:li")
    )
    assert [(one.mark, one.by) for one in marked.ticket.quality] == [("impolite", "person:li")]


def test_a_promise_of_a_rule_outlives_a_change_of_priority(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    before = run({"rule": "a", "then": {"sla": {"milestones": {"located": "30m"}}}})
    assert before.ticket.sla and before.ticket.sla.milestones["located"] == Milestone(NOON + timedelta(minutes=30))
    assert before.ticket.sla.milestones["first_response"].due == NOON + timedelta(hours=4)
    urgent = {"rule": "b", "on": "message.received", "then": {"set": {"priority": "urgent"}}}
    after = decide(rules_of(vocabulary, urgent), house, later(before, "message.received")).ticket
    assert isinstance(after.sla, Sla)
    assert after.sla.milestones["located"].due == NOON + timedelta(minutes=30)
    assert after.sla.milestones["first_response"].due == NOON + timedelta(minutes=30)


def test_turns_go_round_and_customers_stay_with_whom_they_know(house: Company, run: Any) -> None:
    members = house.members["logistics"]
    load: dict[str, int] = {}
    took = []
    for number in range(1, 5):
        route = run({"rule": "a", "then": {"route": {"group": "logistics", "by": "round_robin"}}}, load=load)
        took.append(agent := route.ticket.assignee.value)
        load |= {turn("logistics"): number, turn("logistics", agent): number}
    assert took == [*members, *members]
    sticky = run(
        {"rule": "a", "then": {"route": {"group": "logistics", "by": "sticky"}}}, history=[{"ago": "2h"}, {"ago": "4h"}]
    )
    assert sticky.ticket.assignee.value == members[0]  # nobody knows him: the least loaded
    route = next(effect for effect in sticky.effects if effect.verb == "route")
    known = [replace(past, assignee=members[1]) for past in sticky.case.history[1:]]
    assert choose(house, route, {f"agent:{members[1]}": 9}, "", known).agent == members[1]


def test_what_a_review_holds_stays_held_until_the_verdict(run: Any, vocabulary: Vocabulary, house: Company) -> None:
    later_task = {"rule": "more", "on": "message.received", "then": {"task": "look again"}}
    held = run(FRAUD)
    rules = rules_of(vocabulary, FRAUD, later_task)
    after = decide(rules, house, later(held, "message.received"))
    assert (after.effects, after.withheld) == ((), ("task: held for the review that goes on",))
    judged = act(Action("a", "review", "t", "person:li", NOON, verdict="approved"), after.ticket)
    released = decide(rules, house, later(after, judged.trigger, judged.due, ticket=judged.ticket))
    assert [task.title for task in released.ticket.tasks] == ["look again"]


def test_what_is_due_is_decided_again_from_the_record_byte_for_byte(
    run: Any, vocabulary: Vocabulary, house: Company
) -> None:
    rules = rules_of(vocabulary, {"rule": "ack", "then": {"acknowledge": "received"}}, FRAUD, FIFTEEN)
    held = run({"rule": "ack", "then": {"acknowledge": "received", "task": "look"}}, FRAUD, FIFTEEN)
    judged = act(Action("a", "review", "t", "person:li", NOON, verdict="approved"), held.ticket)
    made = decide(rules, house, later(held, judged.trigger, judged.due, ticket=judged.ticket))
    again = read_back(Decision, dump(made))
    assert [fired.stage for fired in again.fired] == [0] * len(judged.due)
    assert decide(rules, house, again.case).hash == made.hash


def test_a_rule_named_like_the_second_wait_of_another_takes_nothing_from_it(run: Any) -> None:
    waits = [{"wait": {"for": length, "name": length, "then": {"tag": length}}} for length in ("1h", "2h")]
    other = {"rule": "a 2", "then": [{"task": "three"}, {"wait": {"for": "3h", "then": {"tag": "3h"}}}]}
    made = run({"rule": "a", "then": [*waits, {"task": "one"}, {"task": "two"}]}, other)
    assert sorted(task.title for task in made.ticket.tasks) == ["one", "three", "two"]
    assert sorted(wait.name for wait in made.ticket.waits) == ["1h", "2h", "a 2"]
    assert {one.field for one in made.written} == {"task", "wait"}


def test_two_waits_of_one_name_that_begin_together_both_run(run: Any) -> None:
    waits = [{"rule": rule, "then": {"wait": {"for": "1h", "name": "n", "then": {"tag": rule}}}} for rule in ("a", "b")]
    made = run(*waits)
    assert [(one.name, one.then.rule) for one in made.ticket.waits] == [("n", "a"), ("n", "b")]
    again = run(*waits, of={"waits": made.ticket.waits, "version": 1})
    assert [one.then.rule for one in again.ticket.waits] == ["a", "b"]
    assert {one.id for one in again.ticket.waits}.isdisjoint(one.id for one in made.ticket.waits)


def test_what_ends_one_wait_does_not_end_another_of_its_name(run: Any) -> None:
    waits = [
        {"rule": rule, "then": {"wait": {"for": "1h", "name": "n", "unless": unless, "then": {"tag": rule}}}}
        for rule, unless in (("a", "agent_replies"), ("b", "customer_speaks"))
    ]
    left, gone = ended(run(*waits).ticket, "agent.replied", None, {})
    assert ([one.then.rule for one in left.waits], gone) == (["b"], ("n",))
