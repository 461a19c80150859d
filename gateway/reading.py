"""A claimed envelope, read: what is still to be placed of it, and what went wrong.

Work for the processor, and pure: it runs in a thread.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.thread import Wanted, lookups
from gateway import notice
from gateway.files import MEDIUM
from gateway.mind import Mind
from gateway.store.work import Claim
from normalizer.canon import Message
from normalizer.errors import Unreadable


@dataclass(slots=True)
class Reading:
    """A claimed envelope, read: what is still to be placed, and what went wrong."""

    claim: Claim
    mind: Mind  # what decides, from its first message to its last, whatever goes live meanwhile
    messages: list[Message]
    told: notice.Notice | None = None
    trouble: Exception | None = None  # once all messages are placed the envelope is put aside for this
    lost: int = 0
    forget: bool = False  # some of it was taken back before it came: nobody may read it again
    begun: bool = False  # some of its messages are committed

    def wanted(self, share: int) -> list[Wanted]:
        if self.told:
            return [self.told.wanted()]
        return [lookups(message, ours=self.mind.is_ours(message.sender.address)) for message in self.messages[:share]]


def read_all(mind: Mind, claims: Sequence[Claim]) -> list[Reading]:
    """Parse all, then enrich all: so what each works with stays in the processor's cache.

    Trouble with one is kept beside it and stops no other.
    """
    readings = [read(mind, claim) for claim in claims]
    try:
        enriched = iter(understood(mind, [message for reading in readings for message in reading.messages]))
        for reading in readings:
            reading.messages = [next(enriched) for _ in reading.messages]
    except Exception:
        for reading in readings:
            _understand(reading)
    return readings


def _understand(reading: Reading) -> None:
    """One alone, to see whether it is this one that cannot be understood."""
    try:
        reading.messages = understood(reading.mind, reading.messages)
    except Exception as e:
        reading.messages, reading.trouble = [], reading.trouble or e


def read(mind: Mind, claim: Claim) -> Reading:
    """Parse one envelope."""
    envelope = claim.envelope
    if envelope.connector == MEDIUM and not envelope.transport:  # erased before anybody looked at it
        return Reading(claim, mind, [])
    try:
        if told := notice.read(envelope):
            return Reading(claim, mind, [], told)
        connector = mind.connectors.get((envelope.connector, envelope.account))
        if connector is None:
            raise Unreadable(f"no account {envelope.connector}/{envelope.account} is configured any more")
        return Reading(claim, mind, list(connector.parse(envelope)))
    except Unreadable as e:
        return Reading(claim, mind, list(e.readable), trouble=e)
    except Exception as e:
        return Reading(claim, mind, [], trouble=e)


def understood(mind: Mind, messages: Sequence[Message]) -> list[Message]:
    """The messages with what machines can tell of them, and whether anybody can answer."""
    enriched = mind.enricher.enrich_all(messages)
    return [message if mind.way_back(message) else replace(message, answerable=False) for message in enriched]


def fail(reading: Reading, message: Message | None, error: Exception) -> None:
    """Go on without this message; the envelope is put aside for it in the end."""
    reading.trouble = reading.trouble or error
    reading.messages = [other for other in reading.messages if other is not message]
