"""Examples that operators write under `tests:` in a rulebook, and running them.

    tests:
      - name: a parcel that never came
        given: {category: after_sales, text: 物流显示已签收但未收到货, language: zh}
        expect: {subcategory: logistics, group: logistics, priority: normal, acknowledged: received, fired: [...]}

`given` states what the machine understood; no classifier runs. `expect` names what must be so after deciding.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, get_args

from engine.acknowledgement import language as answer_language
from engine.calendar import duration
from engine.company import Company
from engine.decide import decide
from engine.decision import (
    Acknowledge,
    Answer,
    AskFor,
    CallOut,
    Case,
    Decision,
    Fact,
    Feedback,
    Grade,
    HandOver,
    LinkTo,
    Notify,
    OpenTask,
    Past,
    Suggest,
    WaitFor,
    Work,
)  # fmt: skip
from engine.facts import BUCKETS, EVENTS, bucket
from engine.reading import Place, Reading, suggestion
from engine.ruleset import RuleSet
from engine.sla import promise
from engine.table import is_sheet
from engine.vocabulary import TRIGGERS, Vocabulary
from normalizer.canon import (
    Address,
    Attachment,
    Channel,
    Contact,
    Derived,
    Extracted,
    Identity,
    Kind,
    Message,
    Milestone,
    Review,
    Sla,
    Source,
    Ticket,
    Understanding,
)  # fmt: skip
from normalizer.errors import ConfigError, Where
from normalizer.marked import read
from normalizer.proof import METHODS

NOON = datetime(
    2026, 3, 4, 4, 0, tzinfo=UTC
)  # a Wednesday, 12:00 in Shanghai: when an example happens that says nothing

GIVEN = (
    "trigger", "now", "channel", "connector", "account", "text", "subject", "language", "category", "subcategory",
    "confidence", "tags", "marks", "priority", "status", "type", "sentiment", "intents", "extracted", "custom",
    "group", "assignee", "kind", "answerable", "attachments", "from", "to", "contact", "history", "load", "urge_count",
    "acknowledged_before", "by", "changed", "since", "sla", "milestone", "tasks", "task", "feedback", "outside", "cc",
    "escalation_level", "reopen_count", "tier", "review", "spf", "dkim", "dmarc",
)  # fmt: skip
EXPECT = (
    "category", "subcategory", "priority", "status", "type", "group", "assignee", "tags", "no_tags", "acknowledged",
    "handed_over", "review", "fired", "fired_exactly", "not_fired", "first_response", "promise", "policy",
    "escalation_level", "subject", "contested", "shadow", "replied", "asked_for", "suggested", "notified", "called",
    "tasks", "waits", "human", "linked", "quality",
)  # fmt: skip


_CODED = {name: name for name in ("category", "subcategory", "priority", "status", "type", "group", "policy")} | {
    "assignee": "agent",
    "review": "group",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that did not come out as expected."""

    where: Where
    name: str
    field: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        return f"{self.where}: {self.name}: {self.field} is {self.found!r}, not {self.expected!r}"


@dataclass(frozen=True, slots=True)
class Trial:
    """An example as a case, with what must come of it."""

    name: str
    case: Case
    expect: Place


def run_tests(ruleset: RuleSet, company: Company) -> list[Failure]:
    """Every example that stands in the rulebooks of this set; what failed, in the order of the files.

    Raises ConfigError, at its place, for an example that cannot be read.
    """
    return [
        failure
        for trial in trials(ruleset.texts, ruleset.vocabulary)
        for failure in failures(trial, decide(ruleset, company, trial.case), company, ruleset.vocabulary)
    ]


def trials(texts: Mapping[str, str], vocabulary: Vocabulary) -> list[Trial]:
    """The examples of these rulebooks."""
    reading = Reading(vocabulary)
    made = []
    for file in sorted(file for file in texts if not is_sheet(file)):
        document = read(texts[file], file)
        whole = Place(document, (), document.value)
        if not (isinstance(whole.value, dict) and "rulebook" in whole.value):
            reading.mapping(whole, ("tests",), "a file of examples")  # a misspelt `tests` would try nothing
        listed = whole.down("tests")
        made += [_trial(reading, item) for item in listed.items() if listed.value is not None and not from_raw(item)]
    if reading.findings:
        raise reading.findings[0].error()
    return made


def from_raw(at: Place) -> bool:
    """Whether an example starts from a raw message (`end_to_end`) instead of what was understood."""
    return isinstance(at.value, dict) and "end_to_end" in at.value


def _trial(reading: Reading, at: Place) -> Trial:
    if not reading.mapping(at, ("name", "given", "expect"), "an example"):
        raise reading.findings[0].error()
    name = reading.word(at.down("name"), "name")
    given, expect = at.down("given"), expected(reading, at)
    reading.mapping(given, GIVEN, "given")
    if reading.findings:
        raise reading.findings[0].error()
    return Trial(name, case(given.value or {}, reading.vocabulary, given), expect)


def expected(reading: Reading, at: Place) -> Place:
    """What an example expects; what there is not goes to the reading."""
    expect = at.down("expect")
    if reading.mapping(expect, _expectable(expect), "expect"):
        _check_expect(reading, expect)
    return expect


def _expectable(at: Place) -> tuple[str, ...]:
    """The expectations there are, with the marks and custom fields that this example names."""
    named = at.value if isinstance(at.value, dict) else {}
    return (*EXPECT, *(key for key in named if key.startswith(("mark.", "custom."))))


def _check_expect(reading: Reading, at: Place) -> None:
    for name, choice in _CODED.items():
        if name in at.value and at.value[name] not in (None, "none", True, False):
            reading.code(at.down(name), choice, str(at.value[name]), name)


def case(given: Mapping[str, Any], vocabulary: Vocabulary, at: Place | None = None) -> Case:
    """A case out of what an example gives; everything else is as plain as can be."""
    try:
        return _case(given, vocabulary)
    except (TypeError, ValueError, AttributeError, KeyError) as e:
        raise ConfigError(at.where if at else Where("given"), f"cannot be used: {e}", "see docs/rules.md") from e


def _case(given: Mapping[str, Any], vocabulary: Vocabulary) -> Case:
    now = datetime.fromisoformat(given["now"]) if "now" in given else NOON
    if now.tzinfo is None:
        raise ValueError(f"now: {now.isoformat()} is no instant; write {now.isoformat()}+08:00")
    now = now.astimezone(UTC)
    who = given.get("contact") or {}
    contact = _contact(who, str(given.get("from", "customer@example.org")))
    proven = bool(who.get("proven", "tier" in who))
    message = _message(given, contact, now, proven, vocabulary)
    trigger = str(given.get("trigger", "ticket.created"))
    if trigger not in TRIGGERS and not trigger.startswith("timer."):
        raise ValueError(f"unknown trigger {trigger!r}: {suggestion(trigger, TRIGGERS)}")
    return Case(
        trigger=trigger,
        now=now,
        ticket=_ticket(given, message, contact, now, vocabulary),
        contact=contact,
        message=message,
        proven=proven,
        history=tuple(_past(entry, i, now, vocabulary) for i, entry in enumerate(given.get("history") or ())),
        load={str(key): int(value) for key, value in (given.get("load") or {}).items()},
        by=str(given.get("by", "")),
        changed={str(key): _change(value) for key, value in (given.get("changed") or {}).items()},
        milestone=str(given.get("milestone", "")),
        tasks=tuple(_work(entry, vocabulary) for entry in given.get("tasks") or ()),
        task=_work(given["task"], vocabulary) if given.get("task") else None,
        feedback=_feedback(given.get("feedback")),
        outside={str(key): value for key, value in (given.get("outside") or {}).items()},
    )


def _change(value: Any) -> tuple[Fact, Fact]:
    """`[open, solved]` or `{from: open, to: solved}`."""
    if isinstance(value, dict):
        return value.get("from"), value.get("to")
    before, after = value
    return before, after


def _work(entry: Mapping[str, Any], vocabulary: Vocabulary) -> Work:
    known = ("type", "status", "group", "assignee", "result")
    if unknown := [key for key in entry if key not in known]:
        raise ValueError(f"a task has no {unknown[0]!r}: {suggestion(str(unknown[0]), known)}")
    return Work(
        str(entry.get("type", "")),
        _code(vocabulary, "task_status", entry.get("status", "open")),
        _code(vocabulary, "group", entry["group"]) if entry.get("group") else "",
        _code(vocabulary, "agent", entry["assignee"]) if entry.get("assignee") else "",
        {str(key): str(value) for key, value in (entry.get("result") or {}).items()},
    )


def _feedback(given: Any) -> Feedback | None:
    if given is None:
        return None
    said = given if isinstance(given, dict) else {"score": given}
    return Feedback(int(said["score"]), str(said.get("comment", "")))


def _contact(who: Mapping[str, Any], address: str) -> Contact:
    identities = (Identity("email", address),)
    attributes = {str(k): str(v) for k, v in (who.get("attributes") or {}).items()}
    return Contact(
        _in_bucket(who["bucket"]) if "bucket" in who else "contact",
        identities,
        str(who.get("name", "")),
        str(who.get("tier", "normal")),
        str(who.get("locale", "")),
        attributes,
    )


def _in_bucket(wanted: Any) -> str:
    """The name of some contact that is in this hundredth."""
    if wanted not in range(BUCKETS):
        raise ValueError(f"contact.bucket is 0 to {BUCKETS - 1}, not {wanted!r}")
    return next(name for n in count() if bucket(name := f"contact-{n}") == wanted)


def _code(vocabulary: Vocabulary, choice: str, word: object) -> str:
    code = vocabulary.code(choice, str(word))
    if code is None:
        raise ValueError(f"{choice} has no {word!r}: {suggestion(str(word), vocabulary.words(choice))}")
    return code


def _list(given: object) -> tuple[str, ...]:
    listed = given if isinstance(given, list) else [] if given is None else [given]
    return tuple(str(item) for item in listed)


def _derived(given: Mapping[str, Any], name: str, vocabulary: Vocabulary) -> Derived | None:
    if given.get(name) is None:
        return None
    confidence = float(given.get("confidence", 1.0)) if name in ("category", "subcategory") else 1.0
    return Derived(_code(vocabulary, name, given[name]), "given", confidence)


def _message(
    given: Mapping[str, Any], contact: Contact, now: datetime, proven: bool, vocabulary: Vocabulary
) -> Message:
    channel: Channel = given.get("channel", "email")
    if channel not in get_args(Channel):
        raise ValueError(f"unknown channel {channel!r}: {suggestion(str(channel), get_args(Channel))}")
    return Message(
        channel=channel,
        connector=str(given.get("connector", "email_smtp")),
        account=str(given.get("account", "support")),
        external_id="example",
        sender=Address("email", contact.identities[0].value, contact.name),
        received_at=now,
        to=tuple(Address("email", address) for address in _list(given.get("to"))),
        cc=tuple(Address("email", address) for address in _list(given.get("cc"))),
        kind=Kind(given.get("kind", "message")),
        subject=str(given.get("subject", "")),
        text=str(given.get("text", "")),
        answerable=bool(given.get("answerable", True)),
        proven=proven,
        authentication={name: _code(vocabulary, "authentication", given[name]) for name in METHODS if name in given},
        attachments=tuple(Attachment(n, "application/octet-stream", 1, "") for n in _list(given.get("attachments"))),
        understanding=Understanding(
            language=str(given.get("language", "")),
            category=_derived(given, "category", vocabulary),
            subcategory=_derived(given, "subcategory", vocabulary),
            intents=_list(given.get("intents")),
            sentiment=_derived(given, "sentiment", vocabulary),
            extracted=_extracted(given),
        ),
    )


def _extracted(given: Mapping[str, Any]) -> dict[str, Extracted]:
    return {str(k): Extracted(str(v), (0, 0)) for k, v in (given.get("extracted") or {}).items()}


def _ticket(
    given: Mapping[str, Any], message: Message, contact: Contact, now: datetime, vocabulary: Vocabulary
) -> Ticket:
    said = message.understanding
    before = given.get("acknowledged_before", False)
    events = given.get("since") or {}
    if unknown := [name for name in events if name not in EVENTS]:
        raise ValueError(f"since has no {unknown[0]!r}: {suggestion(str(unknown[0]), EVENTS)}")
    at = {name: now - _length(f"since.{name}", ago) for name, ago in events.items()}
    return Ticket(
        id="example",
        source=Source(message.channel, message.connector, message.account, ""),
        contact=contact.id,
        subject=message.subject or message.text[:40],
        description=message.text,
        created_at=at.get("created", now),
        captured_at=at.get("received", at.get("created", now)),
        type=str(given.get("type", "request")),
        language=said.language,
        category=said.category,
        subcategory=said.subcategory,
        tags=_list(given.get("tags")),
        marks={str(k): str(v) for k, v in (given.get("marks") or {}).items()},
        sentiment=said.sentiment,
        priority=_derived(given, "priority", vocabulary) or Derived("normal", "default"),
        status=_derived(given, "status", vocabulary) or Derived("new", "default"),
        group=_derived(given, "group", vocabulary),
        assignee=Derived(str(given["assignee"]), "given") if given.get("assignee") else None,
        extracted=dict(said.extracted),
        custom={str(k): str(v) for k, v in (given.get("custom") or {}).items()},
        urge_count=int(given.get("urge_count", 0)),
        acked_at=at.get("acknowledged", now if before else None),
        last_customer_at=at.get("last_customer_message"),
        last_agent_at=at.get("last_agent_reply"),
        first_response_at=at.get("first_response"),
        last_urged_at=at.get("last_urged"),
        solved_at=at.get("solved"),
        closed_at=at.get("closed"),
        escalation_level=int(given.get("escalation_level", 0)),
        reopen_count=int(given.get("reopen_count", 0)),
        tier=_code(vocabulary, "tier", given["tier"]) if given.get("tier") else "normal",
        sla=_sla(given.get("sla"), now),
        review=_review(given.get("review"), vocabulary),
    )


def _length(name: str, text: object) -> timedelta:
    length = duration(str(text).removeprefix("-"))
    if length is None:
        raise ValueError(f"{name}: {text!r} is no duration; write 2h or 3d")
    return -length if str(text).startswith("-") else length


def _sla(given: Mapping[str, Any] | None, now: datetime) -> Sla | None:
    """`sla: {policy: standard, first_response: {left: 30m, met: false, missed: false}}`."""
    if given is None:
        return None
    milestones = {
        str(name): Milestone(
            now + _length(f"sla.{name}.left", one.get("left", "1h")),
            now if one.get("met") else None,
            bool(one.get("missed")),
        )
        for name, one in given.items()
        if name not in ("policy", "calendar")
    }
    return Sla(str(given.get("policy", "standard")), str(given.get("calendar", "always")), milestones)


def _review(given: Any, vocabulary: Vocabulary) -> Review | None:
    """`review: true`, or `{verdict: approved, group: risk, reasons: [...]}`."""
    if given in (None, False):
        return None
    said = given if isinstance(given, dict) else {}
    verdict = _code(vocabulary, "verdict", said["verdict"]) if said.get("verdict") else ""
    group = _code(vocabulary, "group", said["group"]) if said.get("group") else ""
    judged: Literal["", "approved", "rejected"] = "approved" if verdict == "approved" else "rejected" if verdict else ""
    return Review(not verdict, _list(said.get("reasons")), group, verdict=judged)


def _past(entry: Mapping[str, Any], number: int, now: datetime, vocabulary: Vocabulary) -> Past:
    known = ("ago", "category", "subcategory", "status", "priority", "order", "acknowledged")
    if unknown := [key for key in entry if key not in known]:
        raise ValueError(f"history has no {unknown[0]!r}: {suggestion(str(unknown[0]), known)}")
    codes: dict[str, Any] = {
        what: _code(vocabulary, what, entry[what])
        for what in ("category", "subcategory", "status", "priority")
        if entry.get(what)
    }
    at = now - max(_length("history", entry.get("ago", "1h")), timedelta())
    return Past(
        f"past-{number}", at, acknowledged=bool(entry.get("acknowledged")), order=str(entry.get("order", "")), **codes
    )


def failures(trial: Trial, decision: Decision, company: Company, vocabulary: Vocabulary) -> Iterator[Failure]:
    """What did not come out as the example expects."""
    for name in trial.expect.value:
        at = trial.expect.down(name)
        expected = at.value
        if name in _CODED and expected is not None:
            expected = vocabulary.code(_CODED[name], str(expected)) or expected
        found, good = _compare(name, expected, decision, company)
        if not good:
            yield Failure(at.key, trial.name, name, at.value, found)


def _compare(name: str, expected: Any, decision: Decision, company: Company) -> tuple[Any, bool]:
    found = outcome(decision, company, name)
    match name:
        case "tags" | "fired" | "shadow":
            return found, set(_list(expected)) <= set(found)
        case "no_tags" | "not_fired":
            return found, set(_list(expected)).isdisjoint(found)
        case "fired_exactly":
            return found, set(_list(expected)) == set(found)
        case (
            "handed_over" | "asked_for" | "suggested" | "notified" | "called" | "tasks" | "waits" | "linked" | "quality"
        ):
            return found, bool(found) == expected if isinstance(expected, bool) else set(_list(expected)) == set(found)
        case "review":
            return found, (found is not None) == expected if isinstance(expected, bool) else found == str(expected)
        case "acknowledged" | "replied":
            no = expected in (False, None, "no", "none")
            return found, (found == "") if no else bool(found) if expected is True else found == str(expected)
        case "escalation_level":
            return found, found == expected
        case "first_response":
            return found, found == duration(str(expected))
        case _:
            return found, _same(found, expected)


def _same(found: Any, expected: Any) -> bool:
    if expected is None or expected == "none":
        return found in (None, "")
    return str(found).lower() == str(expected).lower() if isinstance(expected, bool) else str(found) == str(expected)


def outcome(decision: Decision, company: Company, name: str) -> Any:
    """What came of a decision, by the names that `expect` uses."""
    ticket = decision.ticket
    head, _, rest = name.partition(".")
    match head:
        case "mark":
            return ticket.marks.get(rest)
        case "custom":
            return ticket.custom.get(rest)
        case _:
            return _OUTCOMES[name](decision, company, ticket)


def _value(derived: Derived | None) -> str | None:
    return derived.value if derived else None


def _template(decision: Decision, _c: Company, _t: Ticket) -> str:
    return next((effect.template for effect in decision.effects if isinstance(effect, Acknowledge)), "")


def _targets(decision: Decision, _c: Company, _t: Ticket) -> tuple[str, ...]:
    return next((effect.targets for effect in decision.effects if isinstance(effect, HandOver)), ())


def _notified(decision: Decision, _c: Company, _t: Ticket) -> list[str]:
    """Groups and agents, and addresses where there is neither; systems too."""
    told = [effect for effect in decision.effects if isinstance(effect, Notify)]
    return [
        name for e in told for name in (*e.groups, *e.agents, *e.calls, *(() if e.groups + e.agents else e.addresses))
    ]


def _first_response(_d: Decision, _c: Company, ticket: Ticket) -> timedelta | None:
    milestone = ticket.sla.milestones.get("first_response") if ticket.sla else None
    return milestone.due - ticket.captured_at if milestone else None


def _promise(decision: Decision, company: Company, ticket: Ticket) -> str:
    told = promise(ticket, company, answer_language(ticket, decision.case.contact))
    return told.text if told else ""


_OUTCOMES: Mapping[str, Callable[[Decision, Company, Ticket], Any]] = {
    "category": lambda _d, _c, t: _value(t.category),
    "subcategory": lambda _d, _c, t: _value(t.subcategory),
    "priority": lambda _d, _c, t: t.priority.value,
    "status": lambda _d, _c, t: t.status.value,
    "type": lambda _d, _c, t: t.type,
    "subject": lambda _d, _c, t: t.subject,
    "group": lambda _d, _c, t: _value(t.group),
    "assignee": lambda _d, _c, t: _value(t.assignee),
    "escalation_level": lambda _d, _c, t: t.escalation_level,
    "tags": lambda _d, _c, t: t.tags,
    "no_tags": lambda _d, _c, t: t.tags,
    "fired": lambda d, _c, _t: _names(d),
    "shadow": lambda d, _c, _t: _names(d, mode="shadow"),
    "not_fired": lambda d, _c, _t: _names(d),
    "fired_exactly": lambda d, _c, _t: _names(d, rows=False),
    "acknowledged": _template,
    "handed_over": _targets,
    "review": lambda _d, _c, t: t.review.group if t.review and t.review.needed else None,
    "policy": lambda _d, _c, t: t.sla.policy if t.sla else None,
    "first_response": _first_response,
    "promise": _promise,
    "contested": lambda d, _c, _t: any(w.contested for w in d.written),
    "replied": lambda d, _c, _t: "".join(e.answer for e in d.effects if isinstance(e, Answer)),
    "asked_for": lambda d, _c, _t: [name for e in d.effects if isinstance(e, AskFor) for name in e.fields],
    "suggested": lambda d, _c, _t: [e.answer or e.text for e in d.effects if isinstance(e, Suggest)],
    "notified": _notified,
    "called": lambda d, _c, _t: [e.target for e in d.effects if isinstance(e, CallOut)],
    "tasks": lambda d, _c, _t: [e.title for e in d.effects if isinstance(e, OpenTask)],
    "waits": lambda d, _c, _t: [e.name for e in d.effects if isinstance(e, WaitFor)],
    "human": lambda _d, _c, t: t.human is not None,
    "linked": lambda d, _c, _t: [e.to for e in d.effects if isinstance(e, LinkTo)],
    "quality": lambda d, _c, _t: [e.mark for e in d.effects if isinstance(e, Grade)],
}


def _names(decision: Decision, rows: bool = True, mode: str = "live") -> list[str]:
    """Rules that fired, or would have in shadow; a row of a `first` or `table` also by the name of the whole."""
    fired = [f.rule for f in decision.fired if f.mode == mode]
    return [*fired, *(name.rpartition("/")[0] for name in fired if "/" in name)] if rows else fired
