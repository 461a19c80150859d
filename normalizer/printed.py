"""The form `ticketgate normalize` prints, and `make score` measures: stable, documented here.

One JSON object per message: everything of `canon.Message` under its public names, and before it

    file         where it came from, as the caller named it
    message_id   of mail: the Message-ID without angle brackets (the same as `external_id`)

An edit or deletion that has an id of its own (WhatsApp's) is printed under it; `references` names what it changes.

So of a mail at least: file, message_id, in_reply_to, references, subject, from {kind, address, name}, to, cc, reply_to
(lists of the same), sent_at (RFC 3339, UTC, or null), full_text (the whole body), text (the visible reply), quoted,
signature, attachments [{name, media_type, size, sha256, inline}], kind, answerable, defects.
"""

from typing import Any

from normalizer.canon import Kind, Message, public

CHANGES = (Kind.EDIT, Kind.DELETE)


def printed(message: Message, file: str) -> dict[str, Any]:
    """A message as `ticketgate normalize` prints it."""
    named = {"file": file}
    if message.channel == "email":
        named["message_id"] = message.external_id
    said = {**named, **public(message)}
    if message.kind in CHANGES and message.references:
        said |= {"external_id": message.references[0], "references": [message.external_id]}
    return said
