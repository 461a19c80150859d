"""What became of claimed envelopes, written in one transaction.

All that fit are written together, one statement a table. Should another process still have been quicker somewhere (only
PostgreSQL lets it), each is tried alone behind a savepoint, so that only the one that lost stays behind.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.exc import IntegrityError

from engine.facts import next_due
from engine.thread import SPEAKING
from gateway.crypto import Squeezed, Vault
from gateway.store import claim as leases
from gateway.store import feed, ledger, outbox, quarantine, retract
from gateway.store.dialect import Insert, Many, Placed, chunks, insert, insert_new, one_of
from gateway.store.standing import Stand, Standing, codes
from gateway.store.tables import (
    contacts,
    decisions,
    identities,
    loads,
    messages,
    numbers,
    participants,
    parties,
    threads,
    tickets,
    timers,
)  # fmt: skip
from gateway.store.tallies import shift_tallies
from gateway.store.words import (
    Keys,
    Words,
    contact_place,
    decision_place,
    message_key_place,
    message_place,
    ticket_place,
)
from gateway.store.work import Limits, Outcome
from normalizer import identity as known_by
from normalizer.canon import Identity, Kind, Message, Ticket

PARTIES = 100  # of one mail: a list of thousands is no conversation


def commit(
    connection: Connection, vault: Vault, limits: Limits, outcomes: Sequence[Outcome], words: Words, now: datetime
) -> list[bool]:
    """Which of them were committed. One that lost against another lane changes nothing."""
    try:
        with connection.begin_nested():
            return _together(connection, vault, limits, outcomes, words, now)
    except IntegrityError:
        return [_alone(connection, vault, limits, outcome, words, now) for outcome in outcomes]


def _alone(connection: Connection, vault: Vault, limits: Limits, outcome: Outcome, words: Words, now: datetime) -> bool:
    try:
        with connection.begin_nested():
            return _together(connection, vault, limits, [outcome], words, now)[0]
    except IntegrityError:
        return False


def _together(
    connection: Connection, vault: Vault, limits: Limits, outcomes: Sequence[Outcome], words: Words, now: datetime
) -> list[bool]:
    standing = Standing.read(connection, vault, outcomes)
    fit = [standing.admits(outcome) for outcome in outcomes]
    _Writing(connection, standing, [o for o, fits in zip(outcomes, fit, strict=True) if fits], words, now).write()
    done = [o.claim for o, fits in zip(outcomes, fit, strict=True) if fits and o.done]
    leases.finish(connection, done, now)
    going_on = [o.claim for o, fits in zip(outcomes, fit, strict=True) if fits and not o.done]
    leases.extend(connection, going_on, now + limits.lease)
    forgotten = [o.claim.seq for o, fits in zip(outcomes, fit, strict=True) if fits and o.forget]
    emptied = retract.emptied(connection, Keys(vault), [claim.seq for claim in done])
    retract.destroy(connection, [*forgotten, *emptied])
    return fit


class _Writing:
    """The rows of outcomes that fit."""

    def __init__(
        self, connection: Connection, standing: Standing, outcomes: Sequence[Outcome], words: Words, now: datetime
    ) -> None:
        self.connection, self.standing, self.outcomes, self.now = connection, standing, outcomes, now
        self.keys = Keys(standing.vault, words)
        self.said = list(self._said())

    def write(self) -> None:
        self.keys.fetch(self.connection, self._contacts_named())
        self._contacts()
        self._tickets()
        self._messages()
        self._amend()
        self._decisions()
        self._loads()
        self._timers()
        self._tell()
        outbox.owe(self.connection, self.keys, self.standing, self.outcomes)
        completed = [
            {"about": self._seq(outcome.tickets[0].id), "said": self.standing.messages[one]}
            for outcome in self.outcomes
            for one in outcome.completed
        ]
        outbox.hasten(self.connection, completed, self.now)
        self._retract()
        entries = [entry for outcome in self.outcomes for entry in outcome.acknowledged]
        ledger.enter(self.connection, self.standing.vault, entries, self.now)
        quarantine.note(self.connection, self.standing.vault, [o for o in self.outcomes if o.noted], self.now)

    def _contacts_named(self) -> Iterator[str]:
        for outcome in self.outcomes:
            yield from (contact.id for contact in outcome.contacts)
        for stand in self.standing.tickets.values():
            yield stand.contact
        yield from (speaker for *_, speaker in self.said if speaker)

    def _said(self) -> Iterator[tuple[Outcome, Message, str, str | None]]:
        """Every message with its outcome, its ticket's id and its speaker's."""
        for outcome in self.outcomes:
            for message, ticket in outcome.messages:
                yield outcome, message, ticket, self.standing.speaker(outcome, message, ticket)

    def _contacts(self) -> None:
        latest = {contact.id: contact for outcome in self.outcomes for contact in outcome.contacts}
        words = {identity: self.keys.kept(contact) for identity, contact in latest.items()}
        self._new_contacts({i: w for i, w in words.items() if i not in self.keys.seq_of})
        self._changed_contacts({i: w for i, w in words.items() if i in self.keys.seq_of})
        named = [
            {"digest": self.standing.digest(identity), "contact": self.keys.seq_of[contact.id]}
            for contact in latest.values()
            for identity in contact.identities
        ]
        _identities.run(self.connection, named)

    def _new_contacts(self, words: dict[str, Squeezed]) -> None:
        rows = [
            {"id": identity, "wrapped_key": self.keys.make(identity), **self._contact(identity, said)}
            for identity, said in words.items()
        ]
        for identity, seq in _new_contacts.run(self.connection, rows).items():
            self.keys.place(identity, seq)

    def _changed_contacts(self, words: dict[str, Squeezed]) -> None:
        before: dict[str, str] = {}
        for these in chunks(words):
            before.update(self.connection.execute(_digests, {"these": these}).all())
        rows = [
            {"of": self.keys.seq_of[identity], **self._contact(identity, said)}
            for identity, said in words.items()
            if before[identity] != self._digest(identity, said)
        ]
        _changed_contact.run(self.connection, rows)

    def _contact(self, identity: str, words: Squeezed) -> dict[str, Any]:
        return {
            "changed_at": self.now,
            "digest": self._digest(identity, words),
            "sealed": self.keys.of(identity).seal(words, contact_place(identity)),
        }

    def _digest(self, identity: str, words: Squeezed) -> str:
        return self.standing.vault.digest("contact", identity, words.words)

    def _tickets(self) -> None:
        written = [ticket for outcome in self.outcomes for ticket in outcome.tickets]
        new = [{"id": ticket.id, **self._ticket(ticket)} for ticket in written if ticket.version == 1]
        for identity, seq in _new_tickets.run(self.connection, new).items():
            self.standing.tickets[identity].seq = seq
        _numbered.run(self.connection, [{"of": row["id"]} for row in new])
        changed = [ticket for ticket in written if ticket.version > 1]
        _changed_ticket.run(
            self.connection, [{"of": self._seq(ticket.id), **self._ticket(ticket)} for ticket in changed]
        )

    def _seq(self, ticket: str) -> int:
        return self.standing.tickets[ticket].seq

    def _ticket(self, ticket: Ticket) -> dict[str, Any]:
        return {
            "number": ticket.number,
            "version": ticket.version,
            "contact": self.keys.seq_of[ticket.contact],
            **codes(ticket),
            "due_at": next_due(ticket),
            "created_at": ticket.created_at,
            "changed_at": self.now,
            "decided": self.standing.tickets[ticket.id].decided,
            "sealed": self.keys.seal(ticket.contact, ticket, ticket_place(ticket.id)),
        }

    def _messages(self) -> None:
        rows = [self._message(*one) for one in self.said]
        self.standing.messages.update(_messages.run(self.connection, rows))
        took_part = {
            (self._seq(ticket), self.keys.seq_of[speaker])
            for _, message, ticket, speaker in self.said
            if ticket and speaker and message.direction == "in" and message.kind in SPEAKING
        }
        _participants.run(self.connection, [{"ticket": t, "contact": c} for t, c in sorted(took_part)])
        written_to = {
            (self._seq(ticket), self.standing.digest(one))
            for _, message, ticket, _ in self.said
            if ticket and message.kind in SPEAKING
            for one in parties_of(message)
        }
        _parties.run(self.connection, [{"ticket": t, "digest": d} for t, d in sorted(written_to)])
        followed = {
            thread(self.standing.vault, message): self._seq(ticket)
            for _, message, ticket, _ in self.said
            if ticket and message.thread_key
        }
        _threads.run(self.connection, [{"digest": digest, "ticket": ticket} for digest, ticket in followed.items()])

    def _message(self, outcome: Outcome, message: Message, ticket: str, speaker: str | None) -> dict[str, Any]:
        identity, wrapped = self.standing.ids[id(message)], None
        if speaker:
            key = self.keys.of(speaker)
        else:
            key, wrapped = self.keys.vault.ring.new_data_key(message_key_place(identity))
        return {
            "id": identity,
            "envelope": outcome.claim.seq,
            "ticket": self._seq(ticket) if ticket else None,
            "contact": self.keys.seq_of[speaker] if speaker else None,
            "external": external(self.standing.vault, (message.channel, message.scope), message.external_id),
            "direction": message.direction,
            "received_at": message.received_at,
            "wrapped_key": wrapped,
            "sealed": key.seal(self.keys.kept(message), message_place(identity)),
        }

    def _amend(self) -> None:
        """Messages as they are now that files of theirs were fetched."""
        amended = {message.id: message for outcome in self.outcomes for message in outcome.amended}
        for these in chunks(amended):
            rows = self.connection.execute(_told, {"these": these}).all()
            self.keys.fetch_of(self.connection, rows)
            _amended.run(
                self.connection,
                [
                    {
                        "of": row.id,
                        "sealed": self.keys.of_message(row).seal(
                            self.keys.kept(amended[row.id]), message_place(row.id)
                        ),
                    }
                    for row in rows
                ],
            )

    def _decisions(self) -> None:
        made = [decision for outcome in self.outcomes for decision in outcome.decisions]
        rows = [
            {
                "hash": decision.hash,
                "previous": decision.case.previous,
                "ticket": self._seq(decision.ticket.id),
                "contact": self.keys.seq_of[decision.ticket.contact],
                "trigger": decision.case.trigger,
                "at": decision.case.now,
                "ruleset": decision.ruleset,
                "message": self.standing.seq_of(decision.case.message),
                "sealed": self.keys.seal(decision.ticket.contact, decision, decision_place(decision.hash)),
            }
            for decision in made
        ]
        _decisions.run(self.connection, rows)

    def _retract(self) -> None:
        """Forget what was taken back."""
        for _, message, _, _ in self.said:
            if message.kind is Kind.DELETE:
                named = external(self.standing.vault, (message.channel, message.scope), message.external_id)
                retract.retract(self.connection, self.keys, named, self.now)

    def _loads(self) -> None:
        moved = [{"whose": whose, "open": by} for whose, by in sorted(self.standing.loads.items()) if by]
        _loads.run(self.connection, moved)
        shift_tallies(self.connection, self.standing.tally)

    def _tell(self) -> None:
        """What happened to tickets, for whoever follows."""
        written = [
            feed.event(
                feed.CREATED if ticket.version == 1 else feed.UPDATED, self.now, self._seq(ticket.id), ticket.number,
                version=ticket.version,
            )
            for outcome in self.outcomes
            for ticket in outcome.tickets
        ]  # fmt: skip
        added = [self._added(message, self.standing.tickets[ticket]) for _, message, ticket, _ in self.said if ticket]
        feed.tell(self.connection, [*written, *added])

    def _added(self, message: Message, to: Stand) -> dict[str, Any]:
        thing = self.standing.ids[id(message)]
        return feed.event(feed.ADDED, self.now, to.seq, to.number, thing, to.version)

    def _timers(self) -> None:
        rows = [
            {"id": timer.id, "name": timer.name, "ticket": self._seq(timer.ticket), "due_at": timer.due_at}
            for outcome in self.outcomes
            for timer in outcome.timers
        ]
        _timers.run(self.connection, rows)
        cancelled = [
            {"of": self._seq(ticket.id), "cancelled": timer}
            for outcome in self.outcomes
            for ticket in outcome.tickets
            for timer in outcome.cancelled_timers
        ]
        _cancel.run(self.connection, cancelled)


def parties_of(message: Message) -> Iterator[Identity]:
    """Who takes part by this mail: who wrote it, and whom it was written to."""
    if message.channel == "email":
        people = (message.sender, *message.reply_to, *message.to, *message.cc)
        yield from {known_by.identity(one): None for one in people[:PARTIES] if one.kind == "email" and one.address}


def _follow(connection: Connection) -> Insert:
    statement = insert(connection, threads)
    return statement.on_conflict_do_update(index_elements=["digest"], set_={"ticket": statement.excluded.ticket})


def _shift(connection: Connection) -> Insert:
    statement = insert(connection, loads)
    more = loads.c.open + statement.excluded.open
    return statement.on_conflict_do_update(index_elements=["whose"], set_={"open": more})


_new_contacts, _new_tickets, _messages = Placed(contacts), Placed(tickets), Placed(messages)
_decisions = Many(decisions.insert())
_identities, _participants, _timers = insert_new(identities), insert_new(participants), insert_new(timers)
_parties = insert_new(parties)
_threads, _loads = Many(_follow), Many(_shift)
# The columns to set are those of the rows given.
_changed_contact = Many(update(contacts).where(contacts.c.seq == bindparam("of")))
_told = select(messages.c.id, messages.c.contact, messages.c.wrapped_key).where(one_of(messages.c.id))
_amended = Many(update(messages).where(messages.c.id == bindparam("of")))
_changed_ticket = Many(update(tickets).where(tickets.c.seq == bindparam("of")))
_numbered = Many(delete(numbers).where(numbers.c.ticket == bindparam("of")))
_cancel = Many(delete(timers).where(timers.c.ticket == bindparam("of"), timers.c.id == bindparam("cancelled")))
_digests = select(contacts.c.id, contacts.c.digest).where(one_of(contacts.c.id))


def thread(vault: Vault, message: Message) -> str:
    return vault.digest("thread", message.channel, message.connector, message.account, message.thread_key)


def external(vault: Vault, scope: tuple[str, str], external_id: str) -> str:
    """Message-IDs are unique in the world; what other channels call a message, only within the channel's own scope."""
    within = () if scope == ("email", "") else scope
    return vault.digest("external", *within, external_id)
