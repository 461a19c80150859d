"""The bytes of an attachment, from the envelope it came in. Personal data: that somebody had them is audited."""

import asyncio
import hashlib
from urllib.parse import quote

from gateway.files import envelope_of
from gateway.house import House
from normalizer.canon import Attachment, Envelope, Message
from normalizer.errors import Unreadable


async def content(house: House, message: Message, file: Attachment) -> bytes | None:
    """A file's bytes, of the envelope it came in; None if they are not kept any more."""
    if file.remote:
        fetched = await house.store.envelope(envelope_of(message, message.attachments.index(file)))
        whole = fetched and hashlib.sha256(fetched.body).hexdigest() == file.sha256
        return fetched.body if fetched and whole else None
    envelope = await house.store.envelope(message.envelope)
    return await asyncio.to_thread(_read_again, house, envelope, file.sha256) if envelope else None


def _read_again(house: House, envelope: Envelope, sha256: str) -> bytes | None:
    """The attachment's bytes, by reading what arrived again; None if they are not kept any more."""
    connector = house.mind.connectors.get((envelope.connector, envelope.account))
    if connector is None or not envelope.body:
        return None
    try:
        said = connector.parse(envelope)
    except Unreadable:
        return None
    return next((one.content for message in said for one in message.attachments if one.sha256 == sha256), None)


def headers(name: str) -> dict[str, str]:
    """RFC 6266: a file to be kept, never shown."""
    plain = "".join(c if (c.isascii() and c.isalnum()) or c in "._-" else "_" for c in name)[:100] or "file"
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name[:200], safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "no-store",
    }
