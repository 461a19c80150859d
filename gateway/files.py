"""Files that customers sent and vendors kept: what is owed to fetch one, and the envelope in which it comes."""

from datetime import datetime

from normalizer.canon import Attachment, Envelope, Fetch, Message, digest

MEDIUM = "media"  # the connector of their envelopes


def left_behind(one: Attachment) -> bool:
    """Whether the file is still to be fetched."""
    return bool(one.remote) and not one.sha256 and not one.missing


def fetch_of(message: Message, index: int) -> str:
    """The id of what is owed to fetch a file of a message."""
    return digest("fetch", message.id, index)


def fetched(fetch: Fetch, found: Attachment, now: datetime) -> Envelope:
    """The envelope that a file comes in."""
    told = {"ticket": fetch.ticket, "message": fetch.message, "index": fetch.index, "media_type": found.media_type,
            "size": found.size, "sha256": found.sha256}  # fmt: skip
    transport = {name: str(value) for name, value in told.items()}
    return Envelope(MEDIUM, fetch.connector, fetch.id, f"ticket:{fetch.ticket}", now, found.content, transport)


def envelope_of(message: Message, index: int) -> str:
    """The id of the envelope that a fetched file of a message lies in."""
    return Envelope(MEDIUM, message.connector, fetch_of(message, index), "", message.received_at, b"").id
