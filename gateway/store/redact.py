"""What is left of a noun once its person is erased: codes, instants and hashes, and `erased` where words were."""

from dataclasses import replace
from typing import TypeVar

from engine.decision import Decision, Fact, Fired, Work, Written
from gateway.store.enclosed import ERASED
from normalizer.canon import (
    Address,
    Attachment,
    Call,
    Contact,
    Fetch,
    HandoverStep,
    Message,
    Outgoing,
    Reply,
    Task,
    Ticket,
)

T = TypeVar("T", Task, Work)

WORDY = ("subject", "description", "solution", "custom.")


def contact(whole: Contact) -> Contact:
    return Contact(whole.id, name=ERASED)


def ticket(whole: Ticket) -> Ticket:
    return replace(
        whole,
        subject=ERASED,
        description=ERASED,
        solution=ERASED if whole.solution else "",
        extracted={},
        custom={},
        marks={},
        feedback=replace(whole.feedback, comment=_said(whole.feedback.comment)) if whole.feedback else None,
        tasks=tuple(_done(task) for task in whole.tasks),
        review=replace(whole.review, note=_said(whole.review.note)) if whole.review else None,
    )


def message(whole: Message) -> Message:
    return replace(
        whole,
        external_id=ERASED,
        sender=_address(whole.sender),
        to=(),
        cc=(),
        reply_to=(),
        in_reply_to="",
        references=(),
        thread_key="",
        reply_token="",
        returned=None,
        subject=ERASED,
        text=ERASED,
        full_text=ERASED,
        quoted="",
        signature="",
        html="",
        attachments=(),
        claims={},
        understanding=replace(whole.understanding, extracted={}),
    )


TAKEN_BACK = "taken_back"  # the defect that is left of a message its sender deleted


def taken_back(whole: Message) -> Message:
    """What is left of a message that its sender deleted: whose it was, and when."""
    return replace(
        whole,
        reply_token="",
        subject="",
        text="",
        full_text="",
        quoted="",
        signature="",
        html="",
        attachments=(),
        claims={},
        defects=(*whole.defects, TAKEN_BACK),
        understanding=replace(whole.understanding, extracted={}),
    )


def decision(whole: Decision) -> Decision:
    """Its hash stays that of what was decided, so that the chain still holds."""
    case = whole.case
    return replace(
        whole,
        case=replace(
            case,
            ticket=ticket(case.ticket),
            contact=contact(case.contact),
            message=message(case.message) if case.message else None,
            changed={name: _change(name, *facts) for name, facts in case.changed.items()},
            outside={name: _fact(value) for name, value in case.outside.items()},
            tasks=tuple(_done(task) for task in case.tasks),
            task=_done(case.task) if case.task else None,
            feedback=replace(case.feedback, comment=_said(case.feedback.comment)) if case.feedback else None,
        ),
        fired=tuple(_fired(fired) for fired in whole.fired),
        written=tuple(_written(written) for written in whole.written),
        ticket=ticket(whole.ticket),
        raw=b"",
    )


def outgoing(whole: Outgoing) -> Outgoing:
    match whole.content:
        case Reply() as reply:
            left: Reply | HandoverStep | Call | Fetch = replace(
                reply,
                to=_address(reply.to),
                subject=ERASED,
                text=ERASED,
                in_reply_to="",
                references=(),
                thread_key="",
                reply_token="",
            )
        case HandoverStep() as step:
            left = replace(
                step,
                ticket=ticket(step.ticket),
                contact=contact(step.contact) if step.contact else None,
                message=message(step.message) if step.message else None,
            )
        case Call() as call:
            left = replace(
                call,
                ticket=ticket(call.ticket),
                contact=contact(call.contact) if call.contact else None,
                given=dict.fromkeys(call.given, ERASED),
            )
        case Fetch() as fetch:
            left = replace(fetch, attachment=Attachment(ERASED, fetch.attachment.media_type, 0, ""))
    return replace(whole, content=left)


def _address(whole: Address) -> Address:
    return Address(whole.kind, ERASED, ERASED if whole.name else "")


def _said(words: str) -> str:
    return ERASED if words else ""


def _done(task: T) -> T:
    """What came of it, in somebody's words."""
    return replace(task, result=dict.fromkeys(task.result, ERASED))


def _change(name: str, was: Fact, now: Fact) -> tuple[Fact, Fact]:
    return (_fact(was), _fact(now)) if name.startswith(WORDY) else (was, now)


def _fired(whole: Fired) -> Fired:
    seen = tuple(replace(seen, found=_fact(seen.found)) for seen in whole.seen)
    return replace(whole, because=ERASED, seen=seen)


def _written(whole: Written) -> Written:
    if not whole.field.startswith(WORDY):
        return whole
    return replace(whole, value=_fact(whole.value), before=_fact(whole.before))


def _fact(value: Fact) -> Fact:
    return ERASED if isinstance(value, str | tuple) and value else value
