"""Albums: what was sent as one comes in many envelopes, and nothing says which is the last of them.

An envelope with a part of an album holds its lane until nothing more of the album came in for a while; then all of it
that waits there becomes one message, and the envelopes are done together. The waiting is the lane's, in the store, so
it outlives us, and whatever was said afterwards keeps its place behind. A part that comes even later is a message of
its own in the same conversation.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from connectors.base import Connector
from gateway.store.store import Store
from gateway.store.work import Claim
from normalizer.canon import Message
from normalizer.errors import Unreadable

QUIET = timedelta(seconds=2)  # without another part: it was the last
PATIENCE = timedelta(seconds=15)  # with an album that does not end
MOST = 30  # envelopes looked at; Telegram's albums have ten parts


async def gather(store: Store, connector: Connector, claim: Claim, now: datetime) -> tuple[Claim, Message] | None:
    """The claim on all of an album, and its one message. None, and the claim is given back, while it may be coming in.

    Raises Unreadable if the claimed envelope holds no message.
    """
    parts = {message.id: (claim.seq, message) for message in connector.parse(claim.envelope)}
    if not parts:
        raise Unreadable("no message")
    _, first = next(iter(parts.values()))
    for seq, envelope in await store.behind(claim, MOST):
        if (envelope.connector, envelope.account) != (first.connector, first.account):
            continue
        with suppress(Exception):  # its own turn comes, and tells
            for one in connector.parse(envelope):
                if _album(one) == _album(first):
                    parts.setdefault(one.id, (seq, one))
    said = [one for _, one in parts.values()]
    ready = min(max(one.received_at for one in said) + QUIET, first.received_at + PATIENCE)
    if now < ready:
        await store.hold(claim, ready)
        return None
    return replace(claim, further=tuple(seq for seq, _ in parts.values() if seq != claim.seq)), joined(said)


def joined(parts: list[Message]) -> Message:
    """An album as one message: the words, files and sender of its parts, in the order they were sent."""
    said = sorted(parts, key=lambda one: (one.sent_at or one.received_at, len(one.external_id), one.external_id))
    text = "\n".join(dict.fromkeys(one.text for one in said if one.text))
    claimed = parts[0].envelope
    return replace(
        said[0],
        envelope=claimed,
        received_at=min(one.received_at for one in said),
        text=text,
        full_text=text,
        attachments=tuple(file for one in said for file in one.attachments),
        in_reply_to=next((one.in_reply_to for one in said if one.in_reply_to), ""),
        gathered=tuple(one.envelope for one in parts if one.envelope != claimed),
    )


def _album(one: Message) -> tuple[object, ...]:
    return (one.channel, one.scope, one.sender, one.album)
