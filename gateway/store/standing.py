"""How things stand when outcomes are to be committed, and which of them still fit.

An outcome was worked out on what was found a little earlier. It fits if its lease is still its own, each ticket is at
the version it replaces, its decision follows the ticket's latest one, and nobody made its message or contact meanwhile.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from engine.facts import OPEN
from engine.routing import turn
from gateway.crypto import Vault
from gateway.store.claim import held
from gateway.store.dialect import chunks, one_of
from gateway.store.tables import CODES, contacts, identities, loads, messages, tickets
from gateway.store.work import Outcome
from normalizer.canon import Contact, Identity, Message, Ticket

_tickets = (
    select(
        tickets.c.seq, tickets.c.id, tickets.c.number, tickets.c.version, tickets.c.decided,
        contacts.c.id.label("contact"), *(tickets.c[name] for name in CODES),
    )
    .join(contacts, contacts.c.seq == tickets.c.contact)
    .where(one_of(tickets.c.id))
)  # fmt: skip
_messages = select(messages.c.id, messages.c.seq).where(one_of(messages.c.id))
_turns = select(loads.c.whose, loads.c.open).where(one_of(loads.c.whose)).order_by(loads.c.whose).with_for_update()
_contacts = select(contacts.c.id).where(one_of(contacts.c.id))
_owners = (
    select(identities.c.digest, contacts.c.id)
    .join(contacts, contacts.c.seq == identities.c.contact)
    .where(one_of(identities.c.digest))
)


@dataclass(slots=True)
class Stand:
    """A ticket as far as commits must know it."""

    seq: int  # 0: not there yet
    version: int
    decided: str
    contact: str
    number: str
    codes: tuple[Any, ...]  # what it is counted by

    @property
    def carried_by(self) -> frozenset[str]:
        """Whose load it counts to, while it is open."""
        status, *_ = self.codes
        return carriers(status, self.codes[_GROUP], self.codes[_ASSIGNEE])


@dataclass(slots=True)
class Standing:
    vault: Vault
    held: dict[int, bool]  # by id() of the outcome
    tickets: dict[str, Stand]
    messages: dict[str, int]  # seq by id; 0: not there yet
    contacts: set[str]
    owners: dict[str, str]  # contact by digest of identity
    ids: dict[int, str]  # of messages, by id() of the message: each is a digest, made once here
    loads: Counter[str] = field(default_factory=Counter)
    tally: Counter[tuple[Any, ...]] = field(default_factory=Counter)  # by codes: how many more there are
    digests: dict[tuple[str, str], str] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)  # as `loads` has them

    @classmethod
    def read(cls, connection: Connection, vault: Vault, outcomes: Sequence[Outcome]) -> "Standing":
        ids = {id(message): message.id for outcome in outcomes for message, _ in outcome.messages}
        made = cls(vault, {}, {}, {}, set(), {}, ids)
        amended = (message.id for outcome in outcomes for message in outcome.amended)
        leases = held(connection, [(outcome.claim.lane, outcome.claim.fence) for outcome in outcomes])
        made.held = {id(outcome): ours for outcome, ours in zip(outcomes, leases, strict=True)}
        for these in chunks(ticket for outcome in outcomes for ticket in _spoken_of(outcome)):
            for row in connection.execute(_tickets, {"these": these}):
                counted = tuple(row._mapping[name] for name in CODES)
                made.tickets[row.id] = Stand(row.seq, row.version, row.decided, row.contact, row.number, counted)
        for these in chunks((*ids.values(), *amended)):
            made.messages.update(connection.execute(_messages, {"these": these}).all())
        for these in chunks(contact.id for outcome in outcomes for contact in outcome.contacts):
            made.contacts.update(connection.scalars(_contacts, {"these": these}))
        for these in chunks(made.digest(one) for outcome in outcomes for one in _identities(outcome)):
            made.owners.update(connection.execute(_owners, {"these": these}).all())
        wanted = {whose for o in outcomes for group, agent, _ in o.turns for whose in (turn(group), turn(group, agent))}
        for these in chunks(sorted(wanted)):  # who comes second waits here, and then fits no more
            made.turns.update(connection.execute(_turns, {"these": these}).all())
        return made

    def digest(self, identity: Identity) -> str:
        name = identity.kind, identity.value
        if name not in self.digests:
            self.digests[name] = self.vault.digest("identity", *name)
        return self.digests[name]

    def admits(self, outcome: Outcome) -> bool:
        """Whether it fits; if so, the ones after it are measured against what it leaves behind."""
        fits = (
            self.held[id(outcome)]
            and all(self.ids[id(message)] not in self.messages for message, _ in outcome.messages)
            and all(self._version(ticket.id) == ticket.version - 1 for ticket in outcome.tickets)
            and self._follows(outcome)
            and all(self._is_new(contact) for contact in outcome.contacts if contact.id not in self.contacts)
            and all(self.turns.get(turn(group), 0) == number - 1 for group, _, number in outcome.turns)
        )
        if fits:
            self._take(outcome)
        return fits

    def _version(self, ticket: str) -> int:
        return self.tickets[ticket].version if ticket in self.tickets else 0

    def _follows(self, outcome: Outcome) -> bool:
        latest: dict[str, str] = {}
        written = {ticket.id for ticket in outcome.tickets}
        for decision in outcome.decisions:
            ticket = decision.ticket.id
            if ticket not in written:
                raise ValueError("a decision is committed with its ticket")
            stand = self.tickets.get(ticket)
            if decision.case.previous != latest.get(ticket, stand.decided if stand else ""):
                return False
            latest[ticket] = decision.hash
        return True

    def _is_new(self, contact: Contact) -> bool:
        """A known one may name an identity that is another's; a new one that does was made from an old look-up."""
        return all(self.digest(identity) not in self.owners for identity in contact.identities)

    def _take(self, outcome: Outcome) -> None:
        self.messages.update((self.ids[id(message)], 0) for message, _ in outcome.messages)
        for contact in outcome.contacts:
            self.contacts.add(contact.id)
            for identity in contact.identities:
                self.owners.setdefault(self.digest(identity), contact.id)
        for ticket in outcome.tickets:
            self._stand(ticket)
        for decision in outcome.decisions:
            self.tickets[decision.ticket.id].decided = decision.hash
        for group, agent, number in outcome.turns:
            for whose in (turn(group), turn(group, agent)):
                self.loads[whose] += number - self.turns.get(whose, 0)
                self.turns[whose] = number

    def _stand(self, ticket: Ticket) -> None:
        before = self.tickets.get(ticket.id)
        seq, decided = (before.seq, before.decided) if before else (0, "")
        stand = Stand(seq, ticket.version, decided, ticket.contact, ticket.number, tuple(codes(ticket).values()))
        self.loads.update(stand.carried_by)
        self.tally[stand.codes] += 1
        if before:
            self.loads.subtract(before.carried_by)
            self.tally[before.codes] -= 1
        self.tickets[ticket.id] = stand

    def seq_of(self, message: Message | None) -> int | None:
        """The place of a message that is committed with what speaks of it."""
        return self.messages[self.id_of(message)] if message else None

    def id_of(self, message: Message) -> str:
        return self.ids.get(id(message)) or message.id

    def speaker(self, outcome: Outcome, message: Message, ticket: str) -> str | None:
        """The contact a message is of: the decision's, the ticket's, or whoever has the sender's identity."""
        for decision in outcome.decisions:
            if decision.case.message and self.id_of(decision.case.message) == self.ids[id(message)]:
                return decision.case.contact.id
        if ticket:
            return self.tickets[ticket].contact
        return self.owners.get(self.digest(_sender(message)))


def codes(ticket: Ticket) -> dict[str, Any]:
    """The columns of CODES, in their order."""
    return {
        "status": ticket.status.value,
        "priority": ticket.priority.value,
        "category": ticket.category.value if ticket.category else "",
        "subcategory": ticket.subcategory.value if ticket.subcategory else "",
        "group": ticket.group.value if ticket.group else "",
        "assignee": ticket.assignee.value if ticket.assignee else "",
        "channel": ticket.source.channel,
        "tier": ticket.tier,
        "review": bool(ticket.review and ticket.review.needed),
    }


_GROUP, _ASSIGNEE = CODES.index("group"), CODES.index("assignee")


def carriers(status: str, group: str, assignee: str) -> frozenset[str]:
    if status not in OPEN:
        return frozenset()
    return frozenset(({f"group:{group}"} if group else set()) | ({f"agent:{assignee}"} if assignee else set()))


def carried_by(ticket: Ticket) -> frozenset[str]:
    """Whose load a ticket counts to."""
    group, assignee = (one.value if one else "" for one in (ticket.group, ticket.assignee))
    return carriers(ticket.status.value, group, assignee)


def _spoken_of(outcome: Outcome) -> list[str]:
    return [
        *(ticket.id for ticket in outcome.tickets),
        *(decision.ticket.id for decision in outcome.decisions),
        *(ticket for _, ticket in outcome.messages if ticket),
        *(one.ticket for one in outcome.outgoing),
        *(timer.ticket for timer in outcome.timers),
    ]


def _identities(outcome: Outcome) -> list[Identity]:
    alone = [_sender(message) for message, ticket in outcome.messages if not ticket]
    return [*(identity for contact in outcome.contacts for identity in contact.identities), *alone]


def _sender(message: Message) -> Identity:
    return Identity(message.sender.kind, message.sender.address)
