"""What LINE posts: a batch of events, of which a few are somebody speaking.

https://developers.line.biz/en/reference/messaging-api/#webhook-event-objects. Everything may be missing or of a new
kind, and one strange event costs nothing beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from connectors.reading import attachment, json_of, kept, moment, words
from normalizer.canon import Address, Attachment, Envelope, Kind, Message
from normalizer.errors import Unreadable

# What stands in for a file that has neither name nor media type until it is fetched.
FILES = {"image": ("jpg", "image/jpeg"), "video": ("mp4", "video/mp4"), "audio": ("m4a", "audio/x-m4a")}
KINDS = {"message": Kind.MESSAGE, "messageEdited": Kind.EDIT, "unsend": Kind.DELETE, "postback": Kind.POSTBACK}

Event = Mapping[str, Any]


def posted(body: bytes) -> tuple[str, Sequence[Any]]:
    """Whom it is for, and the events. Raises Unreadable for what is no batch."""
    said = json_of(body)
    if not isinstance(said, dict) or not isinstance(said.get("events"), list):
        raise Unreadable("not a LINE webhook: it has no list of events", code="malformed")
    return words(_text(said, "destination"), "destination"), said["events"]


def data(code: str, label: str) -> str:
    """What a button of ours brings back; of the label LINE would tell nothing. At most 300 characters."""
    whole = orjson.dumps({"choice": code, "label": label}).decode()
    return whole if len(whole) <= 300 else code[:300]


def conversation(event: Any) -> str:
    """The group, the room, or the one person."""
    source = _object(event, "source")
    return _text(source, "groupId") or _text(source, "roomId") or _text(source, "userId")


def message(envelope: Envelope, part: int, event: Any, destination: str, groups: str) -> Message | None:
    """What somebody says or does; None for other news. Raises Unreadable."""
    if not isinstance(event, dict):
        raise Unreadable("an event is no object")
    kind = KINDS.get(_text(event, "type"))
    # In standby another module has the conversation: it answers, not we.
    if kind is None or _text(event, "mode") == "standby" or not _meant(event, groups):
        return None
    said = {Kind.DELETE: _unsent, Kind.POSTBACK: _pressed}.get(kind, _spoken)(event)
    if said is None:
        return None
    identity = said.pop("id") or _text(event, "webhookEventId") or f"{envelope.id}.{part}"
    where = conversation(event)
    return Message(
        channel="line",
        connector=envelope.connector,
        account=envelope.account,
        scope=destination,
        external_id=identity,
        revision={Kind.EDIT: _text(event, "timestamp"), Kind.DELETE: "deleted"}.get(kind, ""),
        kind=kind,
        envelope=envelope.id,
        part=part,
        # Members of a group who have not agreed to it have no id: the group speaks.
        sender=Address("line", _text(_object(event, "source"), "userId") or where or identity),
        to=(Address("line", destination),) if destination else (),
        received_at=envelope.received_at,
        sent_at=moment(event.get("timestamp")),
        thread_key=where,
        reply_token=_text(event, "replyToken"),
        proven=True,
        **said,
    )


def _spoken(event: Event) -> dict[str, Any]:
    said = _object(event, "message")
    kind, identity = _text(said, "type"), _text(said, "id")
    files = tuple(_files(said, kind, identity))
    text = _words(said, kind) if not files else ""
    return {"id": identity, "text": text, "full_text": text, "attachments": files,
            "in_reply_to": _text(said, "quotedMessageId")}  # fmt: skip


def _words(said: Event, kind: str) -> str:
    match kind:
        case "text":
            return _text(said, "text")
        case "sticker":  # with text it says what the person typed into it
            listed = said.get("keywords")
            meant = ", ".join(word for word in listed if isinstance(word, str)) if isinstance(listed, list) else ""
            return _text(said, "text") or f"[贴图 Sticker] {meant}".strip()
        case "location":
            at = f"{said.get('latitude')},{said.get('longitude')}"
            return " ".join(
                word for word in ("[位置 Location]", _text(said, "title"), _text(said, "address"), at) if word
            )
        case _:
            return f"[{kind or '?'}]"


def _files(said: Event, kind: str, identity: str) -> Iterator[Attachment]:
    if kind not in FILES and kind != "file":
        return
    ending, media_type = FILES.get(kind, ("", "application/octet-stream"))
    name = _text(said, "fileName") or (f"{identity}.{ending}" if ending else identity)
    provider = _object(said, "contentProvider")
    remote = _text(provider, "originalContentUrl") if _text(provider, "type") == "external" else identity
    size = said.get("fileSize")
    plain = attachment(name, media_type, b"")
    yield Attachment(plain.name, media_type, size if type(size) is int and size > 0 else 0, "", remote=remote)


def _unsent(event: Event) -> dict[str, Any] | None:
    identity = _text(_object(event, "unsend"), "messageId")
    return {"id": identity} if identity else None


def _pressed(event: Event) -> dict[str, Any] | None:
    """A button of ours, or one of the operator's own rich menu."""
    pressed = _object(event, "postback")
    params, said = _object(pressed, "params"), _text(pressed, "data")
    if "newRichMenuAliasId" in params:
        return None  # only the menu turned its page
    code, label = _ours(said) or (said, said)
    picked = {name: _text(params, name) for name in ("date", "time", "datetime")}
    text = " ".join(part for part in (label, *picked.values()) if part)
    return {"id": "", "text": text, "full_text": text, "claims": kept([("choice", code), *picked.items()])}


def _ours(said: str) -> tuple[str, str] | None:
    try:
        found = orjson.loads(said)
    except orjson.JSONDecodeError:
        return None
    code = _text(found, "choice")
    return (code, _text(found, "label") or code) if code else None


def _meant(event: Event, groups: str) -> bool:
    """Whether words in a group or room are for us; what is done to a message or button always is."""
    if _text(_object(event, "source"), "type") not in ("group", "room") or groups == "all":
        return True
    listed = _object(_object(event, "message"), "mention").get("mentionees")
    named = any(_object({"m": one}, "m").get("isSelf") is True for one in listed) if isinstance(listed, list) else False
    return groups == "mentioned" and (named or _text(event, "type") in ("unsend", "postback"))


def _object(said: Any, name: str) -> Mapping[str, Any]:
    found = said.get(name) if isinstance(said, dict) else None
    return found if isinstance(found, dict) else {}


def _text(said: Any, name: str) -> str:
    """A text or number; nothing for anything else."""
    found = said.get(name) if isinstance(said, dict) else None
    return words(found, name) if isinstance(found, str | int | float) and not isinstance(found, bool) else ""
