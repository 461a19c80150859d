"""What a Telegram message holds, and where it stands (core.telegram.org/bots/api#message).

Read by hand rather than by the library's types: those take all of an update or nothing, and a new kind of entity must
not cost us the words beside it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.reading import attachment, words
from normalizer.canon import Attachment
from normalizer.errors import Unreadable

NAMELESS = {  # what a file is called and is, unless its sender says otherwise; the first that is there counts
    "animation": ("animation.mp4", "video/mp4"),
    "audio": ("audio.mp3", "audio/mpeg"),
    "document": ("document", "application/octet-stream"),
    "video": ("video.mp4", "video/mp4"),
    "video_note": ("video_note.mp4", "video/mp4"),
    "voice": ("voice.ogg", "audio/ogg"),
    "live_photo": ("live_photo.mp4", "video/mp4"),
}

DEEPEST = 150  # of a rich text's JSON; Telegram's own go down to 16 levels of a few parts each


def part(said: Any, name: str, *, needed: bool = False) -> Mapping[str, Any]:
    """An object in an object; an empty one for whatever else is there, unless it is needed."""
    found = said.get(name) if isinstance(said, dict) else None
    if isinstance(found, dict):
        return found
    if needed:
        raise Unreadable(f"{name} is {type(found).__name__}, not an object")
    return {}


def number(said: Any, name: str) -> str:
    """A whole number in an object, as text; empty for whatever else is there."""
    found = said.get(name) if isinstance(said, dict) else None
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def parts(said: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = said.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class Place:
    """A conversation: a chat, in it a forum's topic, or a chat of somebody the bot works for. `str` is thread_key."""

    chat: str
    topic: str = ""
    business: str = ""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Place":
        chat = number(part(said, "chat"), "id")
        if not chat:
            raise Unreadable("a message without chat.id")
        topic = number(said, "message_thread_id") if said.get("is_topic_message") is True else ""
        return cls(chat, topic, words(said.get("business_connection_id"), "business_connection_id"))

    @classmethod
    def named(cls, thread_key: str) -> "Place":
        rest, _, business = thread_key.partition("@")
        chat, _, topic = rest.partition(":")
        return cls(chat, topic, business)

    def __str__(self) -> str:
        topic = f":{self.topic}" if self.topic else ""
        return self.chat + topic + (f"@{self.business}" if self.business else "")

    def scope(self, bot: str) -> str:
        """Within what a bot's message ids are unique."""
        return f"{bot}/{self.chat}" + (f"@{self.business}" if self.business else "")


def in_group(said: Mapping[str, Any]) -> bool:
    return part(said, "chat").get("type") in ("group", "supergroup")


def content(said: Mapping[str, Any]) -> tuple[str, tuple[Attachment, ...]] | None:
    """Text and files. None: nobody says anything in it, it tells what happened in the chat."""
    if text := words(said.get("text"), "text"):
        return text, ()
    if file := _file(said):
        return words(said.get("caption"), "caption"), (file,)
    return next(((line(inner), ()) for kind, line in _LINES.items() if (inner := part(said, kind))), None)


def _file(said: Mapping[str, Any]) -> Attachment | None:
    """The file of a message. Of a photo the largest size."""
    if sizes := parts(said, "photo"):
        return _remote(max(sizes, key=lambda size: int(number(size, "width") or 0)), "photo.jpg", "image/jpeg")
    kind = next((kind for kind in NAMELESS if part(said, kind)), "")
    return _remote(part(said, kind), *NAMELESS[kind]) if kind else None


def _remote(file: Mapping[str, Any], name: str, media_type: str) -> Attachment:
    called = words(file.get("file_id"), "file_id")
    if not called:
        raise Unreadable("a file without file_id")
    name = words(file.get("file_name"), "file_name") or name
    media_type = words(file.get("mime_type"), "mime_type") or media_type
    size = max(0, int(number(file, "file_size") or 0))
    return replace(attachment(name, media_type, b""), size=size, sha256="", remote=called)


def own_phone(said: Mapping[str, Any]) -> dict[str, str]:
    """Telegram vouches for a number that somebody shares as their own."""
    contact, digits = (
        part(said, "contact"),
        words(part(said, "contact").get("phone_number"), "phone_number").lstrip("+"),
    )
    own = number(contact, "user_id") == number(part(said, "from"), "id") != ""
    return {"phone": f"+{digits}"} if own and digits.isdecimal() else {}


def _line(label: str, *said: Any) -> str:
    return " ".join([label, *filter(None, (words(one, label) for one in said))])


def _place(said: Mapping[str, Any]) -> str:
    """A location, or a venue, which has one."""
    at = part(said, "location") or said
    degrees = ",".join(words(at.get(name), name) for name in ("latitude", "longitude"))
    return _line("[位置 location]", said.get("title"), said.get("address"), degrees)


def _contact(said: Mapping[str, Any]) -> str:
    return _line("[联系人 contact]", said.get("first_name"), said.get("last_name"), said.get("phone_number"))


def _poll(said: Mapping[str, Any]) -> str:
    options = " / ".join(words(option.get("text"), "option") for option in parts(said, "options"))
    return _line("[投票 poll]", said.get("question"), options)


# What is no text is told in a line, so that nobody's message is empty. A venue bears a location too.
_LINES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "sticker": lambda said: _line("[贴纸 sticker]", said.get("emoji")),
    "venue": _place,
    "location": _place,
    "contact": _contact,
    "poll": _poll,
    "dice": lambda said: _line(f"[{words(said.get('emoji'), 'emoji')}]", said.get("value")),
    "rich_message": lambda said: _line("[富文本 rich message]", "".join(_written(said)).strip()),
}


def _written(rich: Any, depth: int = DEEPEST) -> Iterator[str]:
    """The words in a text of many parts."""
    if depth and isinstance(rich, list):
        for one in rich:
            yield one if isinstance(one, str) else "".join(_written(one, depth - 1))
    if depth and isinstance(rich, dict):
        for name, inner in rich.items():
            if isinstance(inner, dict | list):
                yield from _written(inner, depth - 1)
            elif name == "text" and isinstance(inner, str):
                yield inner + "\n" * ("type" in rich)
