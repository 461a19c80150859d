"""Views: lists of tickets that people open again and again, told by the conditions that rules have.

views:
  - view: my-urgent
    label: {zh: 我的紧急工单, en: My urgent tickets}
    when: {assignee: me, priority: {at_least: high}, status: [new, open]}
    order: due                           newest, or by what is due
    roles: [agent]                       who sees it; everybody, if left out

A view looks at what is kept of a ticket and its contact, so conditions on a message, the clock or a history have no
place in one. `me` is whoever looks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any as Anything

from engine import conditions, facts
from engine.company import Company
from engine.decision import Case, Fact
from engine.facts import Field
from engine.reading import Place, Reading, suggestion
from engine.ruleset import All, Any, Condition, Nothing, Test, holds, tests
from engine.vocabulary import Labels, Vocabulary
from normalizer.canon import Contact, Ticket
from normalizer.marked import read

FILE = "views.yaml"
KEYS = ("view", "label", "when", "order", "roles")
ORDERS = ("newest", "due")
ME = "me"
TIER = Field("contact.tier", "choice", "", "", lambda case, _: case.ticket.tier, "tier")  # as it counted when decided

_CONTACT = ("contact.tier", "contact.claimed_tier", "contact.name", "contact.locale", "contact.identities")
_OPEN = ("mark.", "custom.", "extracted.", "contact.attributes.")
_NOBODY = "\0"  # no agent's name


@dataclass(frozen=True, slots=True)
class View:
    name: str
    label: Labels
    when: Condition
    order: str = "newest"
    roles: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()

    def shown_to(self, role: str) -> bool:
        return not self.roles or role in self.roles

    def condition(self, me: str) -> Condition:
        """Its condition for this agent; what is `me` holds for nobody who is none."""
        return _personal(self.when, me or _NOBODY)

    def holds(self, ticket: Ticket, contact: Contact, company: Company, now: datetime, me: str = "") -> bool:
        """The plain meaning of a view; what the store chooses must agree with it."""
        case = Case("view", now, ticket, contact)
        values: Mapping[str, Fact] = {field.name: field.read(case, company) for field in self.fields}
        return holds(self.condition(me), values)


def load(text: str, file: str, vocabulary: Vocabulary, roles: Sequence[str]) -> tuple[View, ...]:
    """The views of a file. Raises ConfigError for what is wrong, at its file:line:column."""
    document = read(text, file)
    reading = Reading(replace(vocabulary, agents={**vocabulary.agents, ME: {"zh": "我", "en": "me"}}))
    at = Place(document, (), document.value if document.value is not None else {})
    listed: list[View] = []
    if reading.mapping(at, ("views",), "a file of views") and at.value:
        listed = [view for item in at.down("views").items() if (view := _view(reading, item, roles))]
        _unique(reading, at.down("views"))
    if reading.findings:
        raise min(reading.findings, key=lambda found: (found.where.line, found.where.column)).error()
    return tuple(listed)


def _view(reading: Reading, at: Place, roles: Sequence[str]) -> View | None:
    if at.value is None or not reading.mapping(at, KEYS, "a view"):
        return None
    name = reading.word(at.down("view"), "view")
    when: Condition = All()
    if "when" in at.value:
        _check(reading, at.down("when"))
        when = conditions.condition(reading, at.down("when"))
    order = str(at.value.get("order", "newest"))
    if order not in ORDERS:
        reading.fault(at.down("order"), "unknown-value", f"order has no {order!r}", suggestion(order, ORDERS))
    label = _label(reading, at.down("label"), name)
    return View(name, label, when, order, _roles(reading, at, roles), _fields(reading, when))


def _check(reading: Reading, at: Place) -> None:
    """Tell of every fact that a stored ticket does not have."""
    match at.value:
        case list():
            for item in at.items():
                _check(reading, item)
        case dict():
            for key in at.value:
                if key in conditions.NESTS:
                    _check(reading, at.down(key))
                else:
                    _check_fact(reading, at.down(key), key)
        case _:
            pass  # told where conditions are read


def _check_fact(reading: Reading, at: Place, key: str) -> None:
    field = facts.known(key, reading.vocabulary)
    elsewhere = key in (*conditions.SAYS, *conditions.SUGAR) or (field is not None and not _is_kept(field.name))
    if elsewhere:
        hint = "known: " + ", ".join(kept(reading.vocabulary))
        reading.fault_key(at, "not-kept", f"a view cannot look at {key!r}: it is not kept with a ticket", hint)


def kept(vocabulary: Vocabulary) -> list[str]:
    """The facts that a view may look at."""
    return [name for name in facts.names(vocabulary) if _is_kept(name)]


def _is_kept(name: str) -> bool:
    return name in facts.OF_TICKET or name in _CONTACT or name.startswith(_OPEN)


def _label(reading: Reading, at: Place, name: str) -> Labels:
    if at.value is None:
        return {}
    if not reading.mapping(at, ("zh", "en"), "label"):
        return {"en": name}
    return {language: reading.word(at.down(language), language) for language in at.value if language in ("zh", "en")}


def _roles(reading: Reading, at: Place, known: Sequence[str]) -> tuple[str, ...]:
    listed = [item for item in at.down("roles").items() if item.value is not None]
    for item in listed:
        if item.value not in known:
            reading.fault(item, "unknown-value", f"there is no role {item.value!r}", suggestion(str(item.value), known))
    return tuple(str(item.value) for item in listed)


def _fields(reading: Reading, when: Condition) -> tuple[Field, ...]:
    known = (facts.known(name, reading.vocabulary) for name in sorted({test.field for test in tests(when)}))
    return tuple(TIER if field.name == TIER.name else field for field in known if field)


def _unique(reading: Reading, at: Place) -> None:
    seen: set[Anything] = set()
    for item in at.items():
        name = item.value.get("view") if isinstance(item.value, dict) else None
        if name in seen:
            reading.fault(item.down("view"), "duplicate", f"view {name!r} stands here twice", "rename one")
        seen.add(name if isinstance(name, str) else id(item))


def _personal(condition: Condition, me: str) -> Condition:
    match condition:
        case Test(field="assignee", wanted=wanted):
            return _of_agent(condition, wanted, me)
        case Test():
            return condition
        case All(parts):
            return All(_each(parts, me))
        case Any(parts):
            return Any(_each(parts, me))
        case Nothing(parts):
            return Nothing(_each(parts, me))


def _each(parts: Iterable[Condition], me: str) -> tuple[Condition, ...]:
    return tuple(_personal(part, me) for part in parts)


def _of_agent(test: Test, wanted: Fact, me: str) -> Test:
    if wanted == ME:
        return conditions.test(facts.FIELDS["assignee"], test.operator, me)
    if isinstance(wanted, tuple) and ME in wanted:
        named = tuple(me if one == ME else one for one in wanted)
        return conditions.test(facts.FIELDS["assignee"], test.operator, named)
    return test
