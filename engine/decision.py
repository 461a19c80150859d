"""What a decision looks at, what rules may do, and the record of what was decided and why.

Case      everything a decision may look at; recorded, so that it can be made again
Effect    what a rule may do (operators call it an action, 动作): a closed union
Decision  the case, the rules that fired with the values they saw, and the merged outcome
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, computed_field
from pydantic_core import to_json

from normalizer.canon import Contact, Message, Pending, RelatedKind, Ticket, altered, digest, dump, shape

Trigger = (
    str  # ticket.created, message.received, ticket.updated, timer.NAME, sla.near, sla.missed, outgoing.failed, ...
)
Fact = str | int | float | bool | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier ticket of the same contact, as far as `history` windows look at it."""

    ticket: str
    at: datetime
    category: str = ""
    subcategory: str = ""
    priority: str = "normal"
    status: str = "new"
    acknowledged: bool = False  # sent or owed; looked up for tickets of the last hour only
    order: str = ""  # number of the order it is about; looked up only if some rule asks for `same: order`
    replies: int = 0  # other automatic answers, sent or owed; of the last hour's tickets only
    assignee: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """A task of the ticket, as far as rules look at it."""

    type: str = ""
    status: str = "open"  # open, doing, done, cancelled
    group: str = ""
    assignee: str = ""
    result: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the customer said of how he was served: 1 to 5, and in words."""

    score: int
    comment: str = ""


COMPLETED: Trigger = "message.completed"  # its files were fetched


@dataclass(frozen=True, slots=True)
class Case:
    """Everything a decision may look at. `ticket` is as placed: understanding copied in, no rule applied yet."""

    trigger: Trigger
    now: datetime
    ticket: Ticket
    contact: Contact
    message: Message | None = None
    proven: bool = False  # whether the contact's identity was proven this time; a tier counts only then
    history: tuple[Past, ...] = ()
    load: Mapping[str, int] = field(default_factory=dict)  # open tickets by "group:NAME" and "agent:NAME"
    previous: str = ""  # hash of the ticket's decision before this one
    by: str = ""  # who acted, if a person or program did: person:li, key:ab12
    changed: Mapping[str, tuple[Fact, Fact]] = field(default_factory=dict)  # what they changed: field, before, after
    milestone: str = ""  # the promise that is near or was missed: first_response, solved, ...
    tasks: tuple[Work, ...] = ()  # of this ticket
    task: Work | None = None  # that changed
    feedback: Feedback | None = None
    outside: Mapping[str, Fact] = field(default_factory=dict)  # what was looked up elsewhere before deciding, by name
    placed_by: str = ""  # what led the message to its ticket: one of thread.BY
    throttled: str = ""  # which limit an acknowledgement would overstep: one of acknowledgement.THROTTLES
    about: str = ""  # which of several: the task's id, the milestone, the timer's name, the target that failed
    due: tuple[Pending, ...] = ()  # what rules wanted done once this happens
    cancelled: tuple[str, ...] = ()  # names of the waits that this ended
    answerable: bool = False  # without a message of its own: whether the customer's latest may be answered

    @computed_field  # type: ignore[prop-decorator]
    @property
    def said(self) -> tuple[str, str]:
        """The message's id and the digest of its words, which stand for it in the record."""
        message = self.message
        return (message.id, digest(message.subject, message.text)) if message else ("", "")


@dataclass(frozen=True, slots=True)
class Set:
    """A field gets a value: category, subcategory, type, status, subject, custom.NAME."""

    field: str
    value: str
    verb: Literal["set"] = "set"


@dataclass(frozen=True, slots=True)
class Raise:
    """To at least this priority, or up by `by` steps."""

    field: Literal["priority"] = "priority"
    value: str = ""
    by: int = 0
    verb: Literal["raise"] = "raise"


@dataclass(frozen=True, slots=True)
class Lower:
    """To at most this priority, or down by `by` steps."""

    field: Literal["priority"] = "priority"
    value: str = ""
    by: int = 0
    verb: Literal["lower"] = "lower"


@dataclass(frozen=True, slots=True)
class Tag:
    tags: tuple[str, ...]
    verb: Literal["tag"] = "tag"


@dataclass(frozen=True, slots=True)
class Untag:
    tags: tuple[str, ...]
    verb: Literal["untag"] = "untag"


@dataclass(frozen=True, slots=True)
class Mark:
    name: str
    value: str
    verb: Literal["mark"] = "mark"


@dataclass(frozen=True, slots=True)
class Route:
    """To a group, and there to an agent if `by` says how; an empty assignee waits to be claimed."""

    group: str = ""
    assignee: str = ""
    skills: tuple[str, ...] = ()
    by: Literal["", "least_loaded", "round_robin", "sticky"] = ""
    verb: Literal["route"] = "route"


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """Tell the customer that it arrived, once per ticket, with this template."""

    template: str
    verb: Literal["acknowledge"] = "acknowledge"


Holdable = Literal[
    "acknowledge", "reply", "ask_for", "suggest", "notify", "hand_over", "call", "task", "wait", "link", "close",
    "quality",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class AskReview:
    """A person should look; what is held waits for the verdict, and each verdict may have effects of its own."""

    reason: str
    group: str = ""
    hold: tuple[Holdable, ...] = ()
    approved: "tuple[AnyEffect, ...]" = ()
    rejected: "tuple[AnyEffect, ...]" = ()
    verb: Literal["review"] = "review"


@dataclass(frozen=True, slots=True)
class HandOver:
    """Tell these helpdesks; `all` is every configured one."""

    targets: tuple[str, ...]
    verb: Literal["hand_over"] = "hand_over"


@dataclass(frozen=True, slots=True)
class UseSla:
    """Promise by this policy instead of the ticket type's."""

    policy: str
    verb: Literal["sla"] = "sla"


@dataclass(frozen=True, slots=True)
class Promise:
    """Promise this milestone within this time, whatever the policy says."""

    milestone: str
    within: str  # 30m, 4h, 2d
    verb: Literal["promise"] = "promise"


@dataclass(frozen=True, slots=True)
class Escalate:
    by: int = 1
    verb: Literal["escalate"] = "escalate"


@dataclass(frozen=True, slots=True)
class Suppress:
    """Beats what it names, whatever the layer."""

    what: tuple[Holdable, ...]
    verb: Literal["suppress"] = "suppress"


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the customer by the way that spoke: with a template, or with one of answers/."""

    answer: str
    verb: Literal["reply"] = "reply"


@dataclass(frozen=True, slots=True)
class AskFor:
    """Ask the customer for these fields, or for what the ticket type requires (`missing`); once merged, what lacks."""

    fields: tuple[str, ...] = ("missing",)
    verb: Literal["ask_for"] = "ask_for"


@dataclass(frozen=True, slots=True)
class Suggest:
    """Propose an answer (one of answers/, or these words) to whoever works on the ticket."""

    answer: str = ""
    text: str = ""
    verb: Literal["suggest"] = "suggest"


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell people of ours by mail, or a system by a signed call. `rule` is who wants it, once merged."""

    text: str
    groups: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    rule: str = ""
    verb: Literal["notify"] = "notify"


@dataclass(frozen=True, slots=True)
class CallOut:
    """Call a system of the company's: one of `calls:` in the settings."""

    target: str
    given: tuple[tuple[str, str], ...] = ()
    rule: str = ""
    verb: Literal["call"] = "call"


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A piece of work for a group or an agent, due in so much open time."""

    title: str
    type: str = ""
    group: str = ""
    assignee: str = ""
    due: str = ""  # 4h
    rule: str = ""
    verb: Literal["task"] = "task"


@dataclass(frozen=True, slots=True)
class Human:
    """A person takes over: rules neither answer nor close any more."""

    reason: str
    verb: Literal["human"] = "human"


@dataclass(frozen=True, slots=True)
class WaitFor:
    """After so much time, unless one of these happens before, do the rest. `name` empty: the rule's."""

    seconds: int
    unless: tuple[str, ...]
    then: "tuple[AnyEffect, ...]"
    name: str = ""
    rule: str = ""
    verb: Literal["wait"] = "wait"


@dataclass(frozen=True, slots=True)
class LinkTo:
    """Tie the ticket to the customer's latest earlier one, of any kind or of the same category."""

    to: Literal["previous", "same_category", "same_subcategory"] = "previous"
    kind: RelatedKind = "related"
    ticket: str = ""  # which that is, once merged
    verb: Literal["link"] = "link"


@dataclass(frozen=True, slots=True)
class Close:
    reason: str
    verb: Literal["close"] = "close"


@dataclass(frozen=True, slots=True)
class Grade:
    """A mark on the reply of an agent that set this off."""

    mark: str
    verb: Literal["quality"] = "quality"


Effect = (
    Set | Raise | Lower | Tag | Untag | Mark | Route | Acknowledge | AskReview | HandOver | UseSla | Promise | Escalate
    | Suppress | Answer | AskFor | Suggest | Notify | CallOut | OpenTask | Human | WaitFor | LinkTo | Close | Grade
)  # fmt: skip
AnyEffect = Annotated[Effect, Field(discriminator="verb")]


@cache
def _effects() -> TypeAdapter[tuple[Effect, ...]]:
    """Asked for once: the hash of so large a union takes as long as writing its values."""
    return shape(tuple[AnyEffect, ...])


def plain(effects: tuple[Effect, ...]) -> tuple[Mapping[str, Any], ...]:
    """Effects as a ticket keeps them until they are due."""
    shown: list[Mapping[str, Any]] = _effects().dump_python(effects, mode="json")
    return tuple(shown)


def effects_of(pending: Pending) -> tuple[Effect, ...]:
    """The effects again. Raises pydantic.ValidationError for what is none."""
    return _effects().validate_python(pending.effects)


@dataclass(frozen=True, slots=True)
class Seen:
    """One condition as it was checked: the field, what the rule wants, what was there."""

    field: str
    operator: str
    wanted: Fact
    found: Fact


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that was true, when, because of what, and what it wanted."""

    rule: str
    rulebook: str
    layer: str
    stage: int
    round: int
    because: str
    seen: tuple[Seen, ...]
    effects: tuple[AnyEffect, ...]
    mode: Literal["live", "shadow"] = "live"  # shadow: it would have done this, and did nothing


@dataclass(frozen=True, slots=True)
class Written:
    """Who wrote a field in the end, and over whom. `contested`: only the name decided between equals."""

    field: str
    value: Fact
    before: Fact
    rule: str
    over: tuple[str, ...] = ()
    contested: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, by which rules, on which facts. `ticket` is the outcome, SLA and routing included."""

    case: Case
    ruleset: str
    kernel: str
    fired: tuple[Fired, ...]
    written: tuple[Written, ...]
    # merged: at most one acknowledge, one route, one review; what was suppressed is gone
    effects: tuple[AnyEffect, ...]
    withheld: tuple[str, ...]  # "acknowledge: suppressed by rule automatic-mail", "acknowledge: not answerable", ...
    ticket: Ticket
    hash: str = ""  # of everything above and, by case.previous, of all before it
    # What the hash is of. It travels only from here to the store and is not in the public form.
    raw: Annotated[bytes, Field(exclude=True)] = field(default=b"", repr=False, compare=False)

    @property
    def id(self) -> str:
        return self.hash[:32]


# The words stand with the message and the ticket; a record that repeated them would be mostly that.
OMITTED: Mapping[str, Any] = {"case": {"message": True, "ticket": {"description"}}, "ticket": {"description"}}

_WRITTEN = tuple[Written, ...]
_RECORD = (
    b'{"case":%b,"ruleset":%b,"kernel":%b,"fired":[%b],"written":%b,"effects":%b,"withheld":%b,"ticket":%b,"hash":%b}'
)


def record(decision: Decision, fired: Iterable[bytes] = ()) -> bytes:
    """What is kept of a decision, and what its hash is of: everything but the words, for which `case.said` stands.

    It is the decision's JSON. `fired` is that of the rules that fired, if the caller has it: the same rules see the
    same things in many tickets, and are a third of the work.
    """
    return _RECORD % (
        _json(shape(Case), decision.case, OMITTED["case"]),
        to_json(decision.ruleset),
        to_json(decision.kernel),
        b",".join(fired or map(dump, decision.fired)),
        _json(shape(_WRITTEN), decision.written),
        _json(_effects(), decision.effects),
        to_json(decision.withheld),
        _json(shape(Ticket), decision.ticket, OMITTED["ticket"]),
        to_json(decision.hash),
    )


def _json(kind: TypeAdapter[Any], value: Any, omitted: Any = None) -> bytes:
    return kind.serializer.to_json(value, by_alias=True, exclude=omitted)


def sealed(decision: Decision, fired: Iterable[bytes] = ()) -> Decision:
    """The decision with its hash, which chains it to the ticket's previous one. `fired` as `record` takes it."""
    raw = record(replace(decision, hash="") if decision.hash else decision, fired)
    return altered(decision, hash=hashlib.sha256(raw).hexdigest(), raw=raw)
