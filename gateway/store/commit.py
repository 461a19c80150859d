"""What became of claimed envelopes, written in one transaction.

All that fit are written together, one statement a table. Should another process still have been quicker somewhere (only
PostgreSQL lets it), each is tried alone behind a savepoint, so that only the one that lost stays behind.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, update
from sqlalchemy.exc import IntegrityError

from gateway.crypto import Vault
from gateway.store import claim as leases
from gateway.store import outbox
from gateway.store.dialect import insert, insert_new
from gateway.store.standing import Standing
from gateway.store.tables import (
    contacts,
    decisions,
    identities,
    loads,
    messages,
    participants,
    threads,
    tickets,
    timers,
)  # fmt: skip
from gateway.store.words import Keys, contact_place, decision_place, message_key_place, message_place, ticket_place
from gateway.store.work import Limits, Outcome
from normalizer.canon import Message, Ticket, dump


def commit(
    connection: Connection, vault: Vault, limits: Limits, outcomes: Sequence[Outcome], now: datetime
) -> list[bool]:
    """Which of them were committed. One that lost against another lane changes nothing."""
    try:
        with connection.begin_nested():
            return _together(connection, vault, limits, outcomes, now)
    except IntegrityError:
        return [_alone(connection, vault, limits, outcome, now) for outcome in outcomes]


def _alone(connection: Connection, vault: Vault, limits: Limits, outcome: Outcome, now: datetime) -> bool:
    try:
        with connection.begin_nested():
            return _together(connection, vault, limits, [outcome], now)[0]
    except IntegrityError:
        return False


def _together(
    connection: Connection, vault: Vault, limits: Limits, outcomes: Sequence[Outcome], now: datetime
) -> list[bool]:
    standing = Standing.read(connection, vault, outcomes)
    fit = [standing.admits(outcome) for outcome in outcomes]
    _Writing(connection, standing, [o for o, fits in zip(outcomes, fit, strict=True) if fits], now).write()
    done = [o.claim for o, fits in zip(outcomes, fit, strict=True) if fits and o.done]
    leases.finish(connection, done, now, now + limits.seen_for)
    going_on = [o.claim for o, fits in zip(outcomes, fit, strict=True) if fits and not o.done]
    leases.extend(connection, going_on, now + limits.lease)
    return fit


class _Writing:
    """The rows of outcomes that fit."""

    def __init__(self, connection: Connection, standing: Standing, outcomes: Sequence[Outcome], now: datetime) -> None:
        self.connection, self.standing, self.outcomes, self.now = connection, standing, outcomes, now
        self.keys = Keys(standing.vault)

    def write(self) -> None:
        self.keys.fetch(self.connection, self._contacts_named())
        self._contacts()
        self._tickets()
        self._messages()
        self._decisions()
        self._loads()
        self._timers()
        outbox.owe(self.connection, self.keys, self.standing, self.outcomes)

    def _contacts_named(self) -> list[str | None]:
        standing = self.standing
        return [
            *(contact.id for outcome in self.outcomes for contact in outcome.contacts),
            *(stand.contact for stand in standing.tickets.values()),
            *(standing.speaker(o, message, ticket) for o in self.outcomes for message, ticket in o.messages),
        ]

    def _contacts(self) -> None:
        latest = {contact.id: contact for outcome in self.outcomes for contact in outcome.contacts}
        new = [identity for identity in latest if identity not in self.keys.wrapped]
        for identity in new:
            self.keys.make(identity)
        rows = {
            identity: {
                "id": identity,
                "changed_at": self.now,
                "wrapped_key": self.keys.wrapped[identity],
                "sealed": self.keys.seal(identity, contact, contact_place(identity)),
            }
            for identity, contact in latest.items()
        }
        self._run(contacts.insert(), [rows[identity] for identity in new])
        self._run(_changed_contact, [_changed(row) for identity, row in rows.items() if identity not in new])
        insert_new(
            self.connection,
            identities,
            [
                {"digest": self.standing.digest(identity), "contact": contact.id}
                for contact in latest.values()
                for identity in contact.identities
            ],
        )

    def _tickets(self) -> None:
        written = [ticket for outcome in self.outcomes for ticket in outcome.tickets]
        self._run(tickets.insert(), [self._ticket(ticket) for ticket in written if ticket.version == 1])
        self._run(_changed_ticket, [_changed(self._ticket(ticket)) for ticket in written if ticket.version > 1])

    def _ticket(self, ticket: Ticket) -> dict[str, Any]:
        return {
            "id": ticket.id,
            "number": ticket.number,
            "version": ticket.version,
            "contact": ticket.contact,
            "channel": ticket.source.channel,
            "status": ticket.status.value,
            "priority": ticket.priority.value,
            "category": ticket.category.value if ticket.category else "",
            "subcategory": ticket.subcategory.value if ticket.subcategory else "",
            "group": ticket.group.value if ticket.group else "",
            "assignee": ticket.assignee.value if ticket.assignee else "",
            "created_at": ticket.created_at,
            "changed_at": self.now,
            "decided": self.standing.tickets[ticket.id].decided,
            "sealed": self.keys.seal(ticket.contact, ticket, ticket_place(ticket.id)),
        }

    def _messages(self) -> None:
        rows, followed, took_part = [], {}, []
        for outcome in self.outcomes:
            for message, ticket in outcome.messages:
                speaker = self.standing.speaker(outcome, message, ticket)
                rows.append(self._message(outcome, message, ticket, speaker))
                if ticket and message.thread_key:
                    followed[thread(self.standing.vault, message)] = ticket
                if ticket and speaker and message.direction == "in":
                    took_part.append({"ticket": ticket, "contact": speaker})
        self._run(messages.insert(), rows)
        insert_new(self.connection, participants, took_part)
        statement = insert(self.connection, threads)
        latest = statement.on_conflict_do_update(index_elements=["digest"], set_={"ticket": statement.excluded.ticket})
        self._run(latest, [{"digest": digest, "ticket": ticket} for digest, ticket in followed.items()])

    def _message(self, outcome: Outcome, message: Message, ticket: str, speaker: str | None) -> dict[str, Any]:
        wrapped = None
        if speaker:
            key = self.keys.of(speaker)
        else:
            key, wrapped = self.keys.vault.ring.new_data_key(message_key_place(message.id))
        return {
            "id": message.id,
            "envelope": outcome.claim.envelope.id,
            "ticket": ticket or None,
            "contact": speaker,
            "external": external(self.standing.vault, message.external_id),
            "direction": message.direction,
            "received_at": message.received_at,
            "wrapped_key": wrapped,
            "sealed": key.seal(dump(message), message_place(message.id)),
        }

    def _decisions(self) -> None:
        made = [decision for outcome in self.outcomes for decision in outcome.decisions]
        rows = [
            {
                "hash": decision.hash,
                "previous": decision.case.previous,
                "ticket": decision.ticket.id,
                "contact": decision.ticket.contact,
                "trigger": decision.case.trigger,
                "at": decision.case.now,
                "ruleset": decision.ruleset,
                "sealed": self.keys.seal(decision.ticket.contact, decision, decision_place(decision.hash)),
            }
            for decision in made
        ]
        self._run(decisions.insert(), rows)

    def _loads(self) -> None:
        moved = [{"whose": whose, "open": by} for whose, by in sorted(self.standing.loads.items()) if by]
        statement = insert(self.connection, loads)
        self._run(
            statement.on_conflict_do_update(
                index_elements=["whose"], set_={"open": loads.c.open + statement.excluded.open}
            ),
            moved,
        )

    def _timers(self) -> None:
        set_ = [timer for outcome in self.outcomes for timer in outcome.timers]
        rows = [{"id": t.id, "name": t.name, "ticket": t.ticket, "due_at": t.due_at} for t in set_]
        insert_new(self.connection, timers, rows)
        cancelled = [{"of": timer} for outcome in self.outcomes for timer in outcome.cancelled_timers]
        self._run(delete(timers).where(timers.c.id == bindparam("of")), cancelled)

    def _run(self, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
        if rows:
            self.connection.execute(statement, rows)


# The columns to set are those of the rows given.
_changed_contact = update(contacts).where(contacts.c.id == bindparam("of"))
_changed_ticket = update(tickets).where(tickets.c.id == bindparam("of"))
FOR_GOOD = frozenset({"wrapped_key", "number", "created_at"})


def _changed(row: dict[str, Any]) -> dict[str, Any]:
    return {"of": row.pop("id"), **{name: value for name, value in row.items() if name not in FOR_GOOD}}


def thread(vault: Vault, message: Message) -> str:
    return vault.digest("thread", message.channel, message.connector, message.account, message.thread_key)


def external(vault: Vault, external_id: str) -> str:
    return vault.digest("external", external_id)
