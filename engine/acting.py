"""What people, and programs in their name, do to a ticket, and what it is afterwards. Pure: who and when are told.

update     fields get values: status, priority, category, group, assignee, ...
claim      who acts takes a ticket that nobody has
comment    words beside the ticket, for colleagues or (public) for the customer
merge      this ticket ends and goes on in another; `absorb` is the other's side of it
link       two tickets have to do with each other
review     a person's verdict on what the rules were unsure of; what rules wanted done upon it is then due
task       a task is taken up, done or given up
feedback   how content the customer is
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from engine.decision import Fact, Trigger
from normalizer.canon import (
    Address,
    Derived,
    Feedback,
    Message,
    Milestone,
    Pending,
    Related,
    RelatedKind,
    Status,
    Task,
    Ticket,
)  # fmt: skip
from normalizer.errors import Unreadable

Verb = Literal["update", "claim", "comment", "merge", "absorb", "link", "review", "task", "feedback"]
Link = Literal["related", "duplicate_of", "follow_up_of", "parent", "child", "similar"]
Verdict = Literal["", "approved", "rejected"]

INVERSE: Mapping[str, Link] = {"parent": "child", "child": "parent"}  # every other link reads the same from either side
PLAIN = ("subject", "type", "solution")
DERIVED = ("status", "priority", "category", "subcategory", "group", "assignee")
CHANGEABLE = (*PLAIN, *DERIVED, "tags", "human")  # and custom.NAME
TASK = ("status", "group", "assignee")  # what may be changed of a task, and result.NAME
RESULT = "result."


@dataclass(frozen=True, slots=True)
class Action:
    """One thing somebody does to one ticket. `id` names it, so that doing it twice does it once."""

    id: str
    verb: Verb
    ticket: str
    by: str  # person:li, key:ab12
    at: datetime
    version: int | None = None  # of the ticket as who acts saw it; None: as it is now
    changes: Mapping[str, str] = field(default_factory=dict)  # an empty value takes away; tags: "+vip -doubtful"
    text: str = ""
    public: bool = False
    other: str = ""  # the other ticket's id, or the task's
    link: Link = "related"
    verdict: Verdict = ""
    score: int = 0


@dataclass(frozen=True, slots=True)
class Acted:
    """The ticket afterwards, what that triggers, and each field that changed with what it was and is.

    `about` is which of several (a task's id), `due` what rules wanted done once this happens.
    """

    trigger: Trigger
    ticket: Ticket
    changed: Mapping[str, tuple[Fact, Fact]]
    about: str = ""
    due: tuple[Pending, ...] = ()


def act(action: Action, ticket: Ticket) -> Acted:
    """Do it. Raises Unreadable: `conflict` if the ticket is not what who acts saw, `invalid` if it cannot be done."""
    if action.version is not None and action.version != ticket.version:
        raise Unreadable(
            f"the ticket changed meanwhile: version {ticket.version}, not {action.version}", code="conflict"
        )
    if ticket.status.value == Status.MERGED and action.verb != "comment":
        raise _invalid("the ticket was merged into another")
    trigger, after = _ACTS[action.verb](action, ticket)
    about = action.other if action.verb == "task" else ""
    return Acted(trigger, after, changed(ticket, after), about, _due(action, ticket))


def _due(action: Action, ticket: Ticket) -> tuple[Pending, ...]:
    """What waited for this verdict: released if it is good, dropped if not."""
    if action.verb != "review" or ticket.review is None:
        return ()
    review = ticket.review
    return (*review.held, *review.approved) if action.verdict == "approved" else review.rejected


def comment(action: Action, ticket: Ticket) -> Message | None:
    """The words of a comment as a message of the ticket, in no customer's name."""
    if action.verb != "comment":
        return None
    return Message(
        channel=ticket.source.channel,
        connector="person",
        account="action",
        scope="action",
        external_id=action.id,
        sender=Address("user", action.by),
        received_at=action.at,
        direction="out",
        author="agent",
        visibility="public" if action.public else "internal",
        text=action.text,
        full_text=action.text,
        answerable=False,
        proven=True,
    )


def changed(before: Ticket, after: Ticket) -> dict[str, tuple[Fact, Fact]]:
    """The fields that differ, as facts."""
    told = [*((name, _value(before, name), _value(after, name)) for name in CHANGEABLE if name != "human")]
    names = sorted({*before.custom, *after.custom})
    told += [(f"custom.{name}", before.custom.get(name), after.custom.get(name)) for name in names]
    told.append(("review", bool(before.review and before.review.needed), bool(after.review and after.review.needed)))
    told.append(("human", _value(before, "human"), _value(after, "human")))
    told.append(("feedback.score", _score(before), _score(after)))
    told += _changed_tasks(before, after)
    return {name: (old, new) for name, old, new in told if old != new}


def _score(ticket: Ticket) -> Fact:
    return ticket.feedback.score if ticket.feedback else None


def _changed_tasks(before: Ticket, after: Ticket) -> list[tuple[str, Fact, Fact]]:
    was = {task.id: task for task in before.tasks}
    pairs = [(was[task.id], task) for task in after.tasks if task.id in was and was[task.id] != task]
    return [(f"task.{name}", getattr(old, name), getattr(new, name)) for old, new in pairs for name in TASK]


def _value(ticket: Ticket, name: str) -> Fact:
    found = getattr(ticket, name)
    return found.value if isinstance(found, Derived) else found


def _update(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    for name, value in action.changes.items():
        ticket = _set(action, ticket, name, value.strip())
    return "ticket.updated", ticket


def _set(action: Action, ticket: Ticket, name: str, value: str) -> Ticket:
    if name.startswith("custom."):
        others = {field: had for field, had in ticket.custom.items() if field != name.removeprefix("custom.")}
        return replace(ticket, custom={**others, **({name.removeprefix("custom."): value} if value else {})})
    if name not in CHANGEABLE:
        raise _invalid(f"{name} cannot be changed; {', '.join(CHANGEABLE)} and custom.NAME can")
    if name in PLAIN:
        return _with(ticket, name, value)
    if name == "tags":
        return replace(ticket, tags=_tags(ticket.tags, value))
    if name == "status":
        return _status(action, ticket, value)
    if name == "human":
        return replace(ticket, human=Derived(value, action.by) if value else None)
    derived = Derived(value, action.by) if value else None
    if derived is None and name == "priority":
        raise _invalid("a ticket has a priority")
    ticket = _with(ticket, name, derived)
    if name == "category":
        ticket = ticket if "subcategory" in action.changes else replace(ticket, subcategory=None)
    return _met(ticket, "accepted", action.at) if name == "assignee" and derived else ticket


def _with(ticket: Ticket, name: str, value: object) -> Ticket:
    changes: dict[str, Any] = {name: value}
    return replace(ticket, **changes)


def _tags(had: tuple[str, ...], wanted: str) -> tuple[str, ...]:
    """`+vip -doubtful` adds and takes away; without signs the tags are these."""
    words = wanted.replace(",", " ").split()
    added = {word[1:] for word in words if word.startswith("+")}
    gone = {word[1:] for word in words if word.startswith("-")}
    plain = {word for word in words if word[0] not in "+-"}
    return tuple(sorted((plain or set(had)) - gone | added))


def _status(action: Action, ticket: Ticket, value: str) -> Ticket:
    """A status with the moments that go with it. Merging has a verb of its own."""
    if value not in list(map(str, Status)) or value == Status.MERGED:
        raise _invalid(f"no status {value!r} can be set")
    return with_status(ticket, Derived(value, action.by), action.at)


def with_status(ticket: Ticket, status: Derived, at: datetime) -> Ticket:
    """The ticket in this status from this moment on, with the moments and promises that go with it."""
    was, now = Status(ticket.status.value), Status(status.value)
    ended = (Status.SOLVED, Status.CLOSED)
    ticket = replace(ticket, status=status)
    if now in ended:
        solved = _met(replace(ticket, solved_at=ticket.solved_at or at), "solved", at)
        return replace(solved, closed_at=(ticket.closed_at or at) if now is Status.CLOSED else None)
    if was in ended:
        return replace(ticket, solved_at=None, closed_at=None, reopen_count=ticket.reopen_count + 1)
    return ticket


def _claim(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    me = action.by.partition(":")[2]
    if ticket.assignee and ticket.assignee.value != me:
        raise Unreadable(f"{ticket.assignee.value} has it already", code="conflict")
    opened = Derived(Status.OPEN, action.by) if ticket.status.value == Status.NEW else ticket.status
    mine = replace(ticket, assignee=Derived(me, action.by), status=opened)
    return "ticket.updated", _met(mine, "accepted", action.at)


def _comment(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    if not action.text.strip():
        raise _invalid("a comment needs words")
    if not action.public:
        return "ticket.updated", ticket
    return "agent.replied", answered(ticket, action.at)


def answered(ticket: Ticket, at: datetime) -> Ticket:
    """The ticket after one of us said something to the customer."""
    told = replace(ticket, first_response_at=ticket.first_response_at or at, last_agent_at=at)
    return _met(told, "first_response", at)


def _merge(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    merged = replace(_linked(ticket, "duplicate_of", action.other), status=Derived(Status.MERGED, action.by))
    return "ticket.updated", replace(merged, closed_at=action.at)


def _absorb(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    return "ticket.updated", _linked(ticket, "merged", action.other)


def _link(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    if action.link not in get_args(Link):
        raise _invalid(f"no link is called {action.link!r}")
    return "ticket.updated", _linked(ticket, action.link, action.other)


def _linked(ticket: Ticket, kind: RelatedKind, other: str) -> Ticket:
    if not other or other == ticket.id:
        raise _invalid("another ticket is needed")
    related = Related(kind, other)
    return ticket if related in ticket.related else replace(ticket, related=(*ticket.related, related))


def _review(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    if ticket.review is None or not ticket.review.needed:
        raise Unreadable("nobody asks for a review of this ticket", code="conflict")
    if not action.verdict:
        raise _invalid("a verdict is approved or rejected")
    judged = replace(
        ticket.review, needed=False, by=action.by, at=action.at, verdict=action.verdict, note=action.text,
        held=(), approved=(), rejected=(),
    )  # fmt: skip
    _, ticket = _update(action, replace(ticket, review=judged))
    return "review.decided", ticket


def _task(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    """The task as it is from now on. What has ended stays so."""
    task = next((one for one in ticket.tasks if one.id == action.other), None)
    if task is None:
        raise _invalid("the ticket has no such task")
    if task.status in ("done", "cancelled"):
        raise Unreadable(f"the task is {task.status} already", code="conflict")
    changed = _of_task(action, task)
    tasks = tuple(changed if one is task else one for one in ticket.tasks)
    return "task.updated", replace(ticket, tasks=tasks)


def _of_task(action: Action, task: Task) -> Task:
    if unknown := [name for name in action.changes if name not in TASK and not name.startswith(RESULT)]:
        raise _invalid(f"{unknown[0]} of a task cannot be changed; {', '.join(TASK)} and result.NAME can")
    changes: dict[str, Any] = {name: action.changes[name].strip() for name in TASK if name in action.changes}
    said = {name.removeprefix(RESULT): value for name, value in action.changes.items() if name.startswith(RESULT)}
    status = changes.get("status", task.status)
    if status not in ("open", "doing", "done", "cancelled"):
        raise _invalid(f"a task is open, doing, done or cancelled, not {status!r}")
    ended = status in ("done", "cancelled")
    changes |= {"ended_at": action.at if ended else None, "ended_by": action.by if ended else ""}
    return replace(task, **changes, result={**task.result, **said})


def _feedback(action: Action, ticket: Ticket) -> tuple[Trigger, Ticket]:
    if not 1 <= action.score <= 5:
        raise _invalid("a score is 1, 2, 3, 4 or 5")
    return "feedback.received", replace(
        ticket, feedback=Feedback(action.score, action.at, action.text.strip(), action.by)
    )


def _met(ticket: Ticket, milestone: str, at: datetime) -> Ticket:
    """The ticket with a promise kept, if it was made and still stands."""
    known = ticket.sla.milestones.get(milestone) if ticket.sla else None
    if ticket.sla is None or known is None or known.met_at or known.missed:
        return ticket
    milestones = {**ticket.sla.milestones, milestone: Milestone(known.due, at)}
    return replace(ticket, sla=replace(ticket.sla, milestones=milestones))


def _invalid(reason: str) -> Unreadable:
    return Unreadable(reason, code="invalid")


_ACTS: Mapping[Verb, Callable[[Action, Ticket], tuple[Trigger, Ticket]]] = {
    "update": _update, "claim": _claim, "comment": _comment, "merge": _merge, "absorb": _absorb, "link": _link,
    "review": _review, "task": _task, "feedback": _feedback,
}  # fmt: skip
