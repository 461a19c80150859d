"""People and programs act on tickets: checked, journalled like everything else, and waited for.

    checked -> journal(envelope of connector `person`) -> what became of it

The ticket changes only when the envelope is worked on, so an action has its place in the order of things, survives a
crash, and is decided on by rules like any other news.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.person import Person
from engine.acting import CHANGEABLE, INVERSE, Action, Link, Verb, act
from engine.vocabulary import Vocabulary
from gateway.accept import Door
from gateway.house import House
from gateway.notice import ACTIONS
from gateway.permissions import Who
from gateway.store.work import Idempotency
from normalizer.canon import Envelope, Ticket, digest, dump
from normalizer.errors import Rejected, Unreadable

PATIENCE = 10.0  # seconds an action is waited for
_CHOICES = {
    "status": "status", "priority": "priority", "category": "category", "group": "group", "assignee": "agent",
    "type": "type",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an action: `done` with the ticket's number, `waiting` still, or `set_aside` with a code."""

    envelope: str
    state: str
    tickets: tuple[str, ...] = ()
    code: str = ""
    reason: str = ""


class Acting:
    """The verbs of people. Every one raises Rejected: 404 no such ticket, 409 it changed, 422 it cannot be done."""

    def __init__(self, door: Door) -> None:
        self.door, self.house = door, door.house

    async def ticket(self, name: str) -> Ticket:
        """By number or id."""
        found = await self.house.store.ticket(name)
        if found is None:
            raise Rejected(f"no ticket {name}", status=404, code="not_found")
        return found

    async def update(self, who: Who, name: str, changes: Mapping[str, str], version: int | None = None) -> Outcome:
        """Fields get values; an empty one takes away. Codes or labels; `tags: +vip -doubtful` adds and takes away."""
        ticket = await self.ticket(name)
        known = _known(changes, self.house.mind.vocabulary, ticket)
        return await self._do(ticket, self._action(who, ticket, "update", version=version, changes=known))

    async def claim(self, who: Who, name: str, version: int | None = None) -> Outcome:
        ticket = await self.ticket(name)
        return await self._do(ticket, self._action(who, ticket, "claim", version=version))

    async def comment(self, who: Who, name: str, text: str, *, public: bool = False, key: str = "") -> Outcome:
        ticket = await self.ticket(name)
        return await self._do(ticket, self._action(who, ticket, "comment", text=text, public=public), key)

    async def merge(self, who: Who, name: str, into: str, version: int | None = None) -> Outcome:
        """This ticket ends; what is said in it from now on goes to the other."""
        ticket, other = await self.ticket(name), await self.ticket(into)
        if other.status.value == "merged":
            raise Rejected(f"{other.number} was itself merged into another", status=422, code="invalid")
        merged = self._action(who, ticket, "merge", version=version, other=other.id)
        return await self._do(ticket, merged, absorbing=self._action(who, other, "absorb", other=ticket.id))

    async def link(self, who: Who, name: str, other: str, kind: Link = "related") -> Outcome:
        """Two tickets have to do with each other; each says so."""
        ticket, linked = await self.ticket(name), await self.ticket(other)
        ours = self._action(who, ticket, "link", other=linked.id, link=kind)
        theirs = self._action(who, linked, "link", other=ticket.id, link=INVERSE.get(kind, "related"))
        return await self._do(ticket, ours, absorbing=theirs)

    async def review(
        self, who: Who, name: str, verdict: str, note: str = "", changes: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> Outcome:  # fmt: skip
        """A verdict on what the rules were unsure of; `changes` put right what they got wrong."""
        if verdict not in ("approved", "rejected"):
            raise Rejected("verdict: approved or rejected", status=422, code="invalid")
        ticket = await self.ticket(name)
        known = _known(changes or {}, self.house.mind.vocabulary, ticket)
        judged = self._action(who, ticket, "review", version=version, text=note, changes=known)
        return await self._do(ticket, replace(judged, verdict="approved" if verdict == "approved" else "rejected"))

    async def task(self, who: Who, name: str, task: str, changes: Mapping[str, str]) -> Outcome:
        """A task of the ticket is taken up, done or given up: status, group, assignee, result.NAME."""
        ticket = await self.ticket(name)
        known = _known_of_task(changes, self.house.mind.vocabulary)
        return await self._do(ticket, self._action(who, ticket, "task", other=task, changes=known))

    async def feedback(self, who: Who, name: str, score: int, comment: str = "", key: str = "") -> Outcome:
        """How content the customer is, 1 to 5."""
        ticket = await self.ticket(name)
        return await self._do(ticket, self._action(who, ticket, "feedback", score=score, text=comment), key)

    async def create(self, who: Who, body: bytes, key: str = "") -> Outcome:
        """A ticket by hand: `body` as in POST /api/v1/messages, what a customer told who writes it down."""
        connector = next(one for one in self.house.mind.connectors.values() if isinstance(one, Person))
        envelope = connector.enclose(
            body, key=key or secrets.token_hex(16), key_label=who.source, received_at=self.house.clock.now()
        )
        await self.door.accept([envelope], idempotency=Idempotency(who.id, key, body) if key else None)
        return await self.became(envelope.id)

    async def became(self, envelope: str, patience: float = PATIENCE) -> Outcome:
        """Once it is worked on, or patience ends."""
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            found = await self.house.store.status_of(envelope)
            state = found.state if found else "waiting"
            if state != "waiting" or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.01)
        if state != "set_aside":
            return Outcome(envelope, state, found.tickets if found else ())
        why = await self.house.store.quarantined(envelope)
        code, reason = (why.code, why.reason) if why else ("unreadable", "")
        return Outcome(envelope, state, (), code, reason)

    def _action(self, who: Who, ticket: Ticket, verb: Verb, **more: Any) -> Action:
        return Action(secrets.token_hex(16), verb, ticket.id, who.source, self.house.clock.now(), **more)

    async def _do(self, ticket: Ticket, action: Action, key: str = "", absorbing: Action | None = None) -> Outcome:
        """Journal it, with the other side of it, and wait. What cannot be done now is not even journalled."""
        try:
            act(action, ticket)
        except Unreadable as e:
            raise Rejected(e.reason, status=409 if e.code == "conflict" else 422, code=e.code) from None
        envelopes = [enclosed(one, self.house) for one in (action, absorbing) if one]
        once = Idempotency(action.by, key, dump(replace(action, id="", at=ticket.created_at))) if key else None
        if once:
            envelopes = [replace(envelopes[0], key=digest("once", action.by, key)), *envelopes[1:]]
        await self.door.accept(envelopes, idempotency=once)
        outcome, *_ = [await self.became(envelope.id) for envelope in envelopes]
        if outcome.state == "set_aside":
            raise Rejected(outcome.reason, status=409 if outcome.code == "conflict" else 422, code=outcome.code)
        return replace(outcome, tickets=(ticket.number,))


def enclosed(action: Action, house: House) -> Envelope:
    """An action as it lies in the journal."""
    return Envelope("person", ACTIONS, action.id, f"ticket:{action.ticket}", action.at, b'{"action":%b}' % dump(action))


def _known(changes: Mapping[str, str], vocabulary: Vocabulary, ticket: Ticket) -> dict[str, str]:
    """The changes in codes. Raises Rejected (422) for a field or value there is not, with what there is."""
    known: dict[str, str] = {}
    for name, value in changes.items():
        if name.startswith("custom."):
            field = name.removeprefix("custom.")
            if field not in vocabulary.fields:
                raise _unknown(name, vocabulary.fields)
            known[name] = value
        elif name == "subcategory":
            category = changes.get("category") or (ticket.category.value if ticket.category else "")
            known[name] = _code(name, value, vocabulary.subcategories.get(known.get("category", category), {}))
        elif name in _CHOICES:
            known[name] = _code(name, value, vocabulary.choices[_CHOICES[name]])
        elif name in CHANGEABLE:
            known[name] = value
        else:
            raise _unknown(name, (*CHANGEABLE, "custom.NAME"))
    return known


def _known_of_task(changes: Mapping[str, str], vocabulary: Vocabulary) -> dict[str, str]:
    """The same of a task."""
    choices = {"group": "group", "assignee": "agent"}
    return {
        name: _code(name, value, vocabulary.choices[choices[name]]) if name in choices else value
        for name, value in changes.items()
    }


def _code(name: str, value: str, labels: Mapping[str, Mapping[str, str]]) -> str:
    """The code of a code or label; empty for empty."""
    if not value or value in labels:
        return value
    for code, said in labels.items():
        if value.casefold() in {label.casefold() for label in said.values()}:
            return code
    raise Rejected(f"{name}: no {value!r}; there are {', '.join(labels)}", status=422, code="invalid")


def _unknown(name: str, there: Sequence[str] | Mapping[str, object]) -> Rejected:
    return Rejected(f"{name} cannot be changed; {', '.join(there)} can", status=422, code="invalid")
