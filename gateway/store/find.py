"""What must be known before messages can be placed, looked up for a whole batch at once."""

import hmac
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, literal_column, select

from engine import acknowledgement
from engine.decision import Past
from engine.facts import order_of
from engine.thread import SPEAKING, Found, Wanted, merged_into
from gateway.crypto import SealedError, Vault
from gateway.store import damaged
from gateway.store.commit import external
from gateway.store.dialect import chunks, one_of
from gateway.store.tables import (
    contacts,
    identities,
    loads,
    messages,
    outgoing,
    participants,
    parties,
    threads,
    tickets,
)  # fmt: skip
from gateway.store.words import Keys
from normalizer.canon import Contact, Identity, Message, Ticket

HISTORY = timedelta(days=90)
SAID_LAST = 10  # messages looked through for the latest that a customer spoke
PAST_TICKETS = 500  # of one contact; a flood from one sender must not slow everybody's look-ups down
OUR_MESSAGE_ID = re.compile(r"<?([0-9a-f]{32})@")

_placed = select(messages.c.id).where(one_of(messages.c.id))
_owners = (
    select(identities.c.digest, contacts.c.id)
    .join(contacts, contacts.c.seq == identities.c.contact)
    .where(one_of(identities.c.digest))
)
_borne = (
    select(messages.c.external, tickets.c.id)
    .join(tickets, tickets.c.seq == messages.c.ticket)
    .where(one_of(messages.c.external))
    .order_by(messages.c.seq)
)
_replied = (
    select(outgoing.c.id, tickets.c.id.label("ticket"))
    .join(tickets, tickets.c.seq == outgoing.c.ticket)
    .where(one_of(outgoing.c.id), outgoing.c.kind == "reply")
)
_answers = (
    select(tickets.c.id, func.count().label("many"))
    .join(outgoing, outgoing.c.ticket == tickets.c.seq)
    .where(one_of(tickets.c.id), outgoing.c.kind == literal_column("'reply'"))  # written out: as the index says it
    .group_by(tickets.c.id)
)
_said_last = (
    select(messages.c.id, messages.c.contact, messages.c.wrapped_key, messages.c.sealed)
    .join(tickets, tickets.c.seq == messages.c.ticket)
    .where(tickets.c.id == bindparam("of"), messages.c.direction == "in")
    .order_by(messages.c.seq.desc())
    .limit(SAID_LAST)
)
_said = select(messages.c.id, messages.c.contact, messages.c.wrapped_key, messages.c.sealed).where(
    messages.c.id == bindparam("of")
)
_numbered = select(tickets.c.number, tickets.c.id).where(one_of(tickets.c.number))
_threads = (
    select(threads.c.digest, tickets.c.id)
    .join(tickets, tickets.c.seq == threads.c.ticket)
    .where(one_of(threads.c.digest))
)
_tickets = select(tickets.c.id, tickets.c.contact, tickets.c.decided, tickets.c.sealed).where(one_of(tickets.c.id))
_contacts = select(contacts.c.seq, contacts.c.id, contacts.c.wrapped_key, contacts.c.sealed).where(
    one_of(contacts.c.id)
)
_took_part = (
    select(tickets.c.id.label("ticket"), contacts.c.id.label("contact"))
    .select_from(participants)
    .join(tickets, tickets.c.seq == participants.c.ticket)
    .join(contacts, contacts.c.seq == participants.c.contact)
    .where(one_of(tickets.c.id))
    .order_by(participants.c.contact)
)
_parties = (
    select(parties.c.digest, tickets.c.id)
    .join(tickets, tickets.c.seq == parties.c.ticket)
    .where(one_of(parties.c.digest))
)
_loads = select(loads.c.whose, loads.c.open).where(loads.c.open > 0)

_past = tickets.alias("past")
_latest = (
    select(_past.c.seq)
    .where(_past.c.contact == contacts.c.seq, _past.c.created_at >= bindparam("since"))
    .order_by(_past.c.created_at.desc())
    .limit(PAST_TICKETS)
    .correlate(contacts)
)
_history = (
    select(
        contacts.c.id.label("contact"), tickets.c.id, tickets.c.created_at, tickets.c.category, tickets.c.subcategory,
        tickets.c.priority, tickets.c.status, tickets.c.assignee,
    )
    .select_from(contacts.join(tickets, tickets.c.seq.in_(_latest)))
    .where(one_of(contacts.c.id))
    .order_by(tickets.c.created_at, tickets.c.seq)
)  # fmt: skip


def find(connection: Connection, vault: Vault, wanted: Sequence[Wanted], now: datetime) -> list[Found | SealedError]:
    """What there is for each of `wanted`, all on one snapshot; SealedError where some of that cannot be opened."""

    def found(some: Sequence[Wanted]) -> list[Found | SealedError]:
        search = _Search(connection, vault)
        search.look(some, now)
        return [search.found(one) for one in some]

    return damaged.each(found, wanted, lambda _: SealedError("the ticket or contact it belongs to"))


class _Search:
    """The answers of a batch, by what was asked."""

    def __init__(self, connection: Connection, vault: Vault) -> None:
        self.connection, self.vault, self.keys = connection, vault, Keys(vault)
        self.history: Mapping[str, list[Past]] = defaultdict(list)
        self.part: dict[str, list[str]] = defaultdict(list)

    def look(self, wanted: Sequence[Wanted], now: datetime) -> None:
        self.placed = {
            row.id for row in self._all(_placed, (i for one in wanted for i in (one.message, one.deleted) if i))
        }
        self.owners = self._pairs(_owners, (self._identity(i) for one in wanted for i in one.identities))
        self.replied = self._replied({i for one in wanted for i in (*one.message_ids, *one.returned)})
        self.borne = self._borne(wanted)
        self.numbered = self._pairs(_numbered, (number for one in wanted for number in _numbers(one)))
        self.threads = self._pairs(_threads, (self._thread(one) for one in wanted if one.thread))
        self._tickets({one.ticket for one in wanted if one.ticket})
        self._parties(wanted)
        self._contacts(wanted)
        self._history(wanted, now)
        self.loads = dict(self.connection.execute(_loads).all())

    def found(self, one: Wanted) -> Found:
        contact = self._contact_of(one)
        by_message_id = {i: ticket for i in one.message_ids if (ticket := self._bearer(one, i, contact))}
        by_number = {number: self.numbered[number] for number in one.numbers if number in self.numbered}
        by_thread = self._by_thread(one, contact)
        by_key, by_bounce = self._by_key(one), self._by_bounce(one)
        asked = {*by_message_id.values(), *by_number.values(), by_thread, by_key, by_bounce, one.ticket}
        named = self._with_targets(asked & self.tickets.keys())
        return Found(
            placed_before=one.message in self.placed,
            contact=self.contacts.get(contact) if contact else None,
            tickets={ticket: self.tickets[ticket] for ticket in sorted(named)},
            by_message_id=by_message_id,
            by_number=by_number,
            by_thread=by_thread,
            by_key=by_key,
            takes_part=frozenset(ticket for ticket in sorted(named) if self._takes_part(one, contact, ticket)),
            by_bounce=by_bounce,
            owners={by_bounce: self.contacts[self.tickets[by_bounce].contact]} if by_bounce else {},
            history=tuple(self.history.get(contact, ())) if contact else (),
            load=self.loads,
            previous={ticket: self.decided[ticket] for ticket in sorted(named) if self.decided[ticket]},
            latest=self._latest(one.ticket) if one.latest else None,
            said=self._said(one.said) if one.said else None,
            taken_back=one.deleted in self.placed,
        )

    def _said(self, message: str) -> Message | None:
        rows = self.connection.execute(_said, {"of": message}).all()
        self.keys.fetch_of(self.connection, rows)
        return next(map(self.keys.message, rows), None)

    def _latest(self, ticket: str) -> Message | None:
        """What the customer said last in this ticket."""
        rows = self.connection.execute(_said_last, {"of": ticket}).all()
        self.keys.fetch_of(self.connection, rows)
        said = map(self.keys.message, rows)
        return next((one for one in said if one.kind in SPEAKING and one.author == "customer"), None)

    def _contact_of(self, one: Wanted) -> str | None:
        if one.ticket:
            return self.tickets[one.ticket].contact if one.ticket in self.tickets else None
        owners = (self.owners.get(self._identity(identity)) for identity in one.identities)
        return next((owner for owner in owners if owner), None)

    def _bearer(self, one: Wanted, external_id: str, contact: str | None) -> str:
        """The ticket of the message with this id: of several, the latest in which the sender takes part."""
        if external_id in self.replied:
            return self.replied[external_id]
        tickets = self.borne.get(external(self.vault, one.scope, external_id), [])
        if len(tickets) > 1:
            tickets = [ticket for ticket in tickets if self._takes_part(one, contact, ticket)]
        return tickets[-1] if tickets else ""

    def _by_thread(self, one: Wanted, contact: str | None) -> str:
        """The ticket of the conversation. What is named by an id that was used before may be a stranger's."""
        if not one.thread:
            return ""
        ticket, name = self.threads.get(self._thread(one), ""), one.thread[3]
        bearers = self.borne.get(external(self.vault, one.scope, name), [])
        if len(bearers) > 1 or (bearers and name == one.own):
            return next((t for t in reversed([*bearers, ticket]) if self._takes_part(one, contact, t)), "")
        return ticket

    def _by_key(self, one: Wanted) -> str:
        """The ticket whose key stands in an address: a stranger cannot make one, whoever holds one was given it."""
        for key in one.keys:
            number, _, mac = key.rpartition("-")
            ticket = self.numbered.get(number, "")
            if hmac.compare_digest(mac.encode(), reply_mac(self.vault, ticket).encode()) and ticket:
                return ticket
        return ""

    def _by_bounce(self, one: Wanted) -> str:
        """The ticket our mail was of that came back; to forge this one must know mail and address, and gains a mark."""
        if not (one.returned or one.bounced):
            return ""
        if ticket := self._by_key(one):
            return ticket
        for ticket in (self.replied[i] for i in one.returned if i in self.replied):
            if not one.bounced or any(ticket in self.party[self._identity(whom)] for whom in one.bounced):
                return ticket
        return ""

    def _takes_part(self, one: Wanted, contact: str | None, ticket: str) -> bool:
        """Whether the sender wrote in this ticket, or somebody who did wrote to them too."""
        if contact in self.part[ticket]:
            return True
        return not one.ours and any(ticket in self.party[self._identity(i)] for i in one.identities)

    def _parties(self, wanted: Sequence[Wanted]) -> None:
        """Of these senders, and whom bounces name: the tickets in which they are."""
        asked = {self._identity(i) for one in wanted for i in (*one.identities, *one.bounced)}
        self.party: dict[str, set[str]] = defaultdict(set)
        for digest, ticket in self._all(_parties, asked):
            self.party[digest].add(ticket)

    def _borne(self, wanted: Sequence[Wanted]) -> dict[str, list[str]]:
        """Tickets with a message of this id, by the id's digest, oldest message first."""
        asked = {external(self.vault, one.scope, i) for one in wanted for i in (*one.message_ids, one.own) if i}
        borne: dict[str, list[str]] = defaultdict(list)
        for digest, ticket in self._all(_borne, asked):
            if ticket not in borne[digest]:
                borne[digest].append(ticket)
        return borne

    def _replied(self, ids: set[str]) -> dict[str, str]:
        """Tickets of our own replies among these ids: the Message-ID of a reply holds its id."""
        ours = {match[1]: i for i in ids if (match := OUR_MESSAGE_ID.match(i))}
        return {ours[reply]: ticket for reply, ticket in self._pairs(_replied, ours).items()}

    def _tickets(self, asked: set[str]) -> None:
        borne = {ticket for tickets in self.borne.values() for ticket in tickets}
        named = {*borne, *self.replied.values(), *self.numbered.values(), *self.threads.values(), *asked}
        self.tickets: dict[str, Ticket] = {}
        self.decided: dict[str, str] = {}
        while named:
            rows = self._all(_tickets, named)
            self.keys.fetch_of(self.connection, rows)
            self.tickets.update({row.id: self.keys.ticket(row) for row in rows})
            self.decided.update({row.id: row.decided for row in rows})
            named = {merged_into(self.tickets[row.id]) for row in rows} - self.tickets.keys() - {""}

    def _with_targets(self, named: set[str]) -> set[str]:
        """These tickets, and those they were merged into."""
        while targets := {merged_into(self.tickets[ticket]) for ticket in named} & self.tickets.keys() - named:
            named |= targets
        return named

    def _contacts(self, wanted: Sequence[Wanted]) -> None:
        for row in self._all(_took_part, self.tickets):
            self.part[row.ticket].append(row.contact)
        rows = self._all(_contacts, {*self.owners.values(), *(t.contact for t in self.tickets.values())})
        self.keys.learn(rows)
        self.contacts: dict[str, Contact] = {row.id: self.keys.contact(row) for row in rows}

    def _history(self, wanted: Sequence[Wanted], now: datetime) -> None:
        for these in chunks(contact for one in wanted if (contact := self._contact_of(one))):
            for row in self.connection.execute(_history, {"these": these, "since": now - HISTORY}):
                past = Past(row.id, row.created_at, row.category, row.subcategory, row.priority, row.status,
                            assignee=row.assignee)  # fmt: skip
                self.history[row.contact].append(past)
        if any(one.orders for one in wanted):
            self._orders()
        self._acknowledged(now - acknowledgement.WITHIN)

    def _orders(self) -> None:
        """Tell of each earlier ticket the order that it is about, which stands among its sealed words."""
        rows = self._all(_tickets, {past.ticket for pasts in self.history.values() for past in pasts})
        self.keys.fetch_of(self.connection, rows)
        orders = {row.id: order_of(self.keys.ticket(row)) for row in rows}
        self.history = {
            contact: [replace(past, order=orders.get(past.ticket, "")) for past in pasts]
            for contact, pasts in self.history.items()
        }

    def _acknowledged(self, since: datetime) -> None:
        """Mark the tickets since then whose customer was told, or will be."""
        recent = {past.ticket for pasts in self.history.values() for past in pasts if past.at >= since}
        owed = {row.id: row.many for row in self._all(_answers, recent)} if recent else {}
        if owed:
            told = set(self._pairs(_replied, map(acknowledgement.identity, owed)).values())
            self.history = {
                contact: [self._answered(past, past.ticket in told, owed.get(past.ticket, 0)) for past in pasts]
                for contact, pasts in self.history.items()
            }

    def _answered(self, past: Past, acknowledged: bool, owed: int) -> Past:
        return replace(past, acknowledged=acknowledged, replies=owed - acknowledged) if owed else past

    def _identity(self, identity: Identity) -> str:
        return self.vault.digest("identity", identity.kind, identity.value)

    def _thread(self, one: Wanted) -> str:
        return self.vault.digest("thread", *(one.thread or ()))

    def _all(self, statement: Any, these: Iterable[str]) -> list[Any]:
        return [row for some in chunks(these) for row in self.connection.execute(statement, {"these": some})]

    def _pairs(self, statement: Any, these: Iterable[str]) -> dict[str, str]:
        return dict(tuple(row) for row in self._all(statement, these))


def _numbers(one: Wanted) -> Iterator[str]:
    yield from one.numbers
    yield from (key.rpartition("-")[0] for key in one.keys)


def reply_mac(vault: Vault, ticket: str) -> str:
    """80 bits that only this installation can make of a ticket's id."""
    return vault.digest("reply address", ticket)[:20]
