"""Where a message belongs: a new ticket, or one that is already there.

`lookups` says what the gateway must look for, `place` decides on what it found. Both pure; neither reads anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.decision import Past, Trigger
from normalizer.canon import Contact, Identity, Message, Ticket


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be looked up before a message can be placed."""

    message: str  # Message.id: was it placed before?
    identities: tuple[Identity, ...]
    message_ids: tuple[str, ...]  # external ids this answers, nearest first: In-Reply-To, then References from the end
    numbers: tuple[str, ...]  # ticket numbers standing in the subject
    thread: tuple[str, str, str, str] | None  # channel, connector, account, thread_key


@dataclass(frozen=True, slots=True)
class Found:
    """What was there. `by_*` map what was asked to the ticket's id; `tickets` holds each of them once."""

    placed_before: bool = False
    contact: Contact | None = None
    tickets: Mapping[str, Ticket] = field(default_factory=dict)
    by_message_id: Mapping[str, str] = field(default_factory=dict)
    by_number: Mapping[str, str] = field(default_factory=dict)
    by_thread: str = ""
    participants: Mapping[str, tuple[Identity, ...]] = field(default_factory=dict)  # of tickets found by number
    history: tuple[Past, ...] = ()  # the contact's tickets of the last 90 days, oldest first
    load: Mapping[str, int] = field(default_factory=dict)  # open tickets by "group:NAME" and "agent:NAME"
    previous: Mapping[str, str] = field(default_factory=dict)  # ticket id to the hash of its latest decision


@dataclass(frozen=True, slots=True)
class Placed:
    """A message in its place: the ticket as it stands before any rule, its contact, and what this triggers."""

    trigger: Trigger  # ticket.created or message.received
    ticket: Ticket
    contact: Contact
    is_new: bool
