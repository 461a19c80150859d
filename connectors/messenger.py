"""What Messenger and Instagram say of messages (`object: page`, `instagram`), made messages of ours.

    message        what customers say; with is_echo what a colleague or another program wrote in our name
    postback       a button, or an entry of the menu
    message_edit   what they said before, in other words
    reaction       a sign put to a message

As in https://developers.facebook.com/documentation/business-messaging/messenger-platform/webhooks/webhook-events and
.../instagram-messaging/webhooks. Everything else there (read, delivery, feed, handovers, ...) is no message.
"""

import mimetypes
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from connectors.nested import inside, listed, needed, said
from connectors.reading import kept, moment, words
from normalizer.canon import Address, Attachment, Envelope, Kind, Message
from normalizer.errors import Unreadable

CHOICE = "choice:"  # before the code in the payload of a button of ours
OURS = "ticketgate:"  # before our id in the metadata of what we send: it comes back with the echo
CHANGES = ("messages", "messaging_postbacks", "message_reactions", "message_edits", "standby")
FILES = {"image": "image/jpeg", "video": "video/mp4", "audio": "audio/mp4", "file": "application/octet-stream"}
CDN = ("fbsbx.com", "fbcdn.net", "cdninstagram.com")  # what stands there is a file, elsewhere a page
LIKES = ("369239263222822", "369239343222814", "369239383222810")  # the thumb in its three sizes
NAMES = {
    "share": "[分享 share]", "ig_post": "[分享的帖子 shared post]", "ig_reel": "[分享的视频 shared reel]",
    "reel": "[分享的视频 shared reel]", "story_mention": "[在快拍中提到你们 mentioned you in a story]",
    "ephemeral": "[限时消息 disappearing photo or video]", "template": "[卡片 card]", "fallback": "[链接 link]",
}  # fmt: skip

Make = Callable[[Envelope, int], Message | None]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a page or an Instagram account, as it came."""

    channel: Literal["messenger", "instagram"]
    page: str
    app: str  # the id of our own app, if it is known
    standby: bool  # another program has the conversation
    said: Any

    @property
    def at(self) -> str:
        return said(self.said, "timestamp")

    @property
    def customer(self) -> Address:
        """The one of the two who is not the page."""
        sender, recipient = (
            said(inside(self.said, side), "id") or said(inside(self.said, side), "user_ref")
            for side in ("sender", "recipient")
        )
        echo = inside(self.said, "message").get("is_echo") is True
        known_as = recipient if (sender == self.page or echo) and recipient != self.page else sender
        if not known_as:
            raise Unreadable("no sender")
        return Address(self.channel, known_as)


def parts(entry: Any, channel: Literal["messenger", "instagram"], app: str) -> Iterator[Make]:
    """For each event in an entry what makes a message of it, None if it is none, or raises Unreadable."""
    page = said(entry, "id")
    for one in listed(entry, "messaging"):
        yield partial(_message, Event(channel, page, app, False, one))
    for one in listed(entry, "standby"):
        yield partial(_message, Event(channel, page, app, True, one))
    for change in listed(entry, "changes"):  # Instagram with its own login tells of messages as of anything else
        value = inside(change, "value")
        if said(change, "field") in CHANGES and ("sender" in value or "recipient" in value):
            yield partial(_message, Event(channel, page, app, said(change, "field") == "standby", value))


def _message(event: Event, envelope: Envelope, part: int) -> Message | None:
    if not isinstance(event.said, dict):
        raise Unreadable(f"an event is {type(event.said).__name__}, not an object")
    for name, make in (("message", _said), ("postback", _clicked), ("message_edit", _edited), ("reaction", _marked)):
        if (found := event.said.get(name)) is not None:
            if not isinstance(found, dict):
                raise Unreadable(f"{name} is {type(found).__name__}, not an object")
            content = make(event, found)
            return _made(event, envelope, part, content) if content else None
    return None


def _made(event: Event, envelope: Envelope, part: int, content: dict[str, Any]) -> Message:
    customer, us = event.customer, Address(event.channel, event.page)
    ours = content.get("direction") == "out"
    return Message(
        **{"kind": Kind.MESSAGE, "full_text": content.get("text", ""), **content},
        channel=event.channel,
        connector=envelope.connector,
        account=envelope.account,
        scope=event.page,
        envelope=envelope.id,
        part=part,
        sender=us if ours else customer,
        to=(customer if ours else us,),
        received_at=envelope.received_at,
        sent_at=moment(event.at),
        thread_key=f"{event.page}:{customer.address}",
        answerable=not (ours or event.standby),
        proven=True,
    )


def _said(event: Event, message: Mapping[str, Any]) -> dict[str, Any] | None:
    mid, echo = needed(message, "mid"), message.get("is_echo") is True
    if echo and (said(message, "metadata").startswith(OURS) or (event.app and said(message, "app_id") == event.app)):
        return None  # our own words
    way = (
        {"direction": "out", "author": "agent"}
        if echo or said(inside(event.said, "sender"), "id") == event.page
        else {}
    )
    if message.get("is_deleted") is True:
        return {"external_id": mid, "revision": "deleted", "kind": Kind.DELETE, **way}
    files, lines = _attachments(message)
    if message.get("is_unsupported") is True:
        lines.append("[不支持的消息 unsupported message]")
    text, beside = words(message.get("text"), "text").strip(), "\n".join([*lines, *_story(message)])
    choice = said(inside(message, "quick_reply"), "payload")
    ours = choice.startswith(CHOICE)  # a button somebody else offered is what was said, no more
    return {
        "external_id": mid,
        "kind": Kind.POSTBACK if ours else Kind.MESSAGE,
        "text": text or beside or ("" if files else "[空消息 empty message]"),
        "quoted": beside if text else "",
        "attachments": files,
        "in_reply_to": said(inside(message, "reply_to"), "mid"),
        "claims": kept([("choice", choice.removeprefix(CHOICE))]) if ours else {},
        **way,
    }


def _clicked(event: Event, postback: Mapping[str, Any]) -> dict[str, Any]:
    code = said(postback, "payload").removeprefix(CHOICE)
    return {
        "external_id": said(postback, "mid") or f"postback:{event.customer.address}:{event.at}",
        "kind": Kind.POSTBACK,
        "text": said(postback, "title") or code or "[按钮 button]",
        "claims": kept([("choice", code)]),
    }


def _edited(event: Event, edit: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "external_id": needed(edit, "mid"),
        "revision": event.at or said(edit, "num_edit"),
        "kind": Kind.EDIT,
        "text": needed(edit, "text"),
    }


def _marked(event: Event, reaction: Mapping[str, Any]) -> dict[str, Any]:
    taken_back = said(reaction, "action") == "unreact"
    return {
        "external_id": f"reaction:{event.customer.address}:{event.at}:{needed(reaction, 'mid')}",
        "kind": Kind.REACTION,
        "text": "" if taken_back else said(reaction, "emoji") or said(reaction, "reaction"),
        "in_reply_to": needed(reaction, "mid"),
    }


def _story(message: Mapping[str, Any]) -> list[str]:
    story = inside(message, "reply_to", "story")
    return [f"[回复快拍 reply to a story] {said(story, 'url') or said(story, 'id')}"] if story else []


def _attachments(message: Mapping[str, Any]) -> tuple[tuple[Attachment, ...], list[str]]:
    """Files, and in words what is none."""
    files, lines = [], []
    for one in listed(message, "attachments"):
        sort, payload = said(one, "type"), inside(one, "payload")
        url, title = said(payload, "url") or said(one, "url"), said(payload, "title") or said(one, "title")
        if url and (sort in FILES or _on_cdn(url)):
            files.append(_file(sort, url))
            if said(payload, "sticker_id") in LIKES:
                lines.append("👍")
            elif sort not in FILES:
                lines.append(f"{NAMES.get(sort, f'[{sort}]')} {title}".strip())
        elif sort == "location":
            point = inside(payload, "coordinates")
            lines.append(" ".join(filter(None, ["[位置 location]", title, _point(point)])))
        else:
            title = title or " ".join(_titles(payload))
            lines.append(" ".join(filter(None, [NAMES.get(sort, f"[{sort or 'attachment'}]"), title, url])))
    return tuple(files), lines


def _point(point: Mapping[str, Any]) -> str:
    return ",".join(filter(None, (said(point, "lat"), said(point, "long"))))


def _titles(payload: Mapping[str, Any]) -> Iterator[str]:
    """What stands on a card."""
    yield from filter(None, (said(payload, name) for name in ("text", "intro_message")))
    for holder in (payload, inside(payload, "product"), inside(payload, "generic")):
        for element in listed(holder, "elements"):
            yield from filter(None, (said(element, name) for name in ("title", "subtitle")))


def _file(sort: str, url: str) -> Attachment:
    name = _path(url).rpartition("/")[2]
    known = mimetypes.guess_type(name)[0] if "." in name else None
    media_type = known or FILES.get(sort, "application/octet-stream")
    if not known:
        name = sort + (mimetypes.guess_extension(FILES.get(sort, "")) or "" if sort != "file" else "")
    return Attachment(name[:255], media_type, 0, "", remote=url)


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _on_cdn(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    return any(host == name or host.endswith(f".{name}") for name in CDN)
