"""What a Telegram update says, as far as customers speak in it (core.telegram.org/bots/api#update).

    message, business_message            words, files, places: MESSAGE; where a group went that became a supergroup
    edited_message, edited_business_...  the same message once more: EDIT, its revision the time of the edit
    deleted_business_messages            DELETE
    callback_query                       a button was pressed: POSTBACK
    message_reaction                     REACTION

All else (posts in channels, who came and went, payments, polls) says nothing to us. Message ids are unique within a
chat, so the scope is bot and chat.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from connectors.reading import moment, words
from connectors.telegram_content import Place, content, in_group, number, own_phone, part, parts
from normalizer.canon import Address, Envelope, Kind, Message, digest
from normalizer.errors import Unreadable

Groups = Literal["all", "addressed", "none"]


@dataclass(frozen=True, slots=True)
class Bot:
    """Whose updates they are, and what of groups it listens to."""

    id: str
    username: str = ""
    groups: Groups = "all"
    agents: frozenset[str] = frozenset()  # user ids of colleagues

    def takes(self, said: Mapping[str, Any]) -> bool:
        """Whether a message is for us: any in a private chat, in groups as the account says."""
        if self.groups == "all" or not in_group(said):
            return True
        return self.groups == "addressed" and self._is_addressed(said)

    def _is_addressed(self, said: Mapping[str, Any]) -> bool:
        visible = words(said.get("text"), "text") or words(said.get("caption"), "caption")
        if number(part(part(said, "reply_to_message"), "from"), "id") == self.id:
            return True
        return bool(re.search(rf"@{re.escape(self.username)}\b", visible, re.IGNORECASE | re.ASCII))


def messages(bot: Bot, envelope: Envelope, update: Any) -> list[Message]:
    """What customers say in an update. Raises Unreadable."""
    if not isinstance(update, dict) or not number(update, "update_id"):
        raise Unreadable("no update: update_id is missing")
    for kind, read in _READERS.items():
        if update.get(kind) is not None:
            return read(bot, envelope, part(update, kind, needed=True))
    return []


def key_of(body: bytes) -> str:
    """What names an update however it comes: by webhook or asked for, with whatever white space.

    The number alone does not: after a week of silence Telegram begins to count somewhere else.
    """
    try:
        update = orjson.loads(body)
        return f"{number(update, 'update_id')}.{digest(orjson.dumps(update, option=orjson.OPT_SORT_KEYS))}"
    except (ValueError, TypeError):
        return digest(body)


def lane_of(body: bytes) -> str:
    """The chat an update is about; if it is about none, itself."""
    try:
        update = orjson.loads(body)
    except ValueError:
        return digest(body)
    said = next((inner for kind in _READERS if (inner := part(update, kind))), {})
    return number(part(said, "chat") or part(part(said, "message"), "chat"), "id") or key_of(body)


def _said(bot: Bot, envelope: Envelope, said: Mapping[str, Any]) -> list[Message]:
    place, sender = Place.of(said), part(said, "from")
    old, new = number(said, "migrate_from_chat_id"), number(said, "migrate_to_chat_id")
    if old or new:
        return [_moved(bot, envelope, place, said, old or place.chat, new or place.chat)]
    if sender.get("is_bot") is True or said.get("is_automatic_forward") is True or part(said, "sender_business_bot"):
        return []  # a machine, a channel's post in its group, or words of ours
    held = content(said)
    if held is None or not bot.takes(said):
        return []
    text, files = held
    # In a chat of somebody the bot works for, who is not the one the chat is with is that somebody.
    who = number(sender, "id")
    ours = who in bot.agents if in_group(said) else bool(place.business) and who != place.chat
    message = _message(bot, envelope, place, number(said, "message_id"), sender)
    return [
        replace(
            message,
            sent_at=moment(said.get("date")),
            text=text,
            full_text=text,
            attachments=files,
            claims=own_phone(said),
            in_reply_to=_answered(said),
            quoted=words(part(said, "quote").get("text"), "quote.text"),
            direction="out" if ours else "in",
            author="agent" if ours else "customer",
            to=((Address("telegram", place.chat),) if place.business else ()) if ours else message.to,
            album=words(said.get("media_group_id"), "media_group_id"),
        )
    ]


def _moved(bot: Bot, envelope: Envelope, place: Place, said: Mapping[str, Any], old: str, new: str) -> Message:
    """The last word in a group that becomes a supergroup, or the first there: the conversation goes on in the new chat.

    Both are told, since nothing says which of the two chats is read first.
    """
    message = _message(bot, envelope, place, number(said, "message_id"), part(said, "from"))
    text = "[群组已升级 the group became a supergroup]"
    return replace(
        message, thread_key=new, moved_from=old, direction="out", author="system", answerable=False,
        to=(message.sender,), text=text, full_text=text, sent_at=moment(said.get("date")),
    )  # fmt: skip


def _edited(bot: Bot, envelope: Envelope, said: Mapping[str, Any]) -> list[Message]:
    if part(said, "location"):
        return []  # somebody who shares where they are walks on
    at = said.get("edit_date")
    revision = number(said, "edit_date") or "edited"
    return [
        replace(message, kind=Kind.EDIT, revision=revision, sent_at=moment(at) or message.sent_at, album="")
        for message in _said(bot, envelope, said)
    ]


def _deleted(bot: Bot, envelope: Envelope, said: Mapping[str, Any]) -> list[Message]:
    place, sender, found = Place.of(said), part(said, "chat"), said.get("message_ids")
    gone = [one for one in found if isinstance(one, int)] if isinstance(found, list) else []
    return [
        replace(_message(bot, envelope, place, str(one), sender), kind=Kind.DELETE, revision="deleted", part=at)
        for at, one in enumerate(gone)
    ]


def _pressed(bot: Bot, envelope: Envelope, said: Mapping[str, Any]) -> list[Message]:
    """The message with the buttons comes along, though perhaps only its ids (date 0)."""
    under, code = part(said, "message"), words(said.get("data"), "data")
    if not (under and code):
        return []  # a game, or a message sent by way of another chat
    place, called = Place.of(under), words(said.get("id"), "id")
    message = _message(bot, envelope, place, called, part(said, "from"))
    asked = number(part(part(under, "reply_to_message"), "from"), "id")
    if in_group(under) and asked not in ("", message.sender.address):
        return []  # the question was for somebody else in the group
    label = _label(under, code)
    return [
        replace(
            message, kind=Kind.POSTBACK, text=label, full_text=label, claims={"choice": code},
            in_reply_to=number(under, "message_id"), reply_token=called,
        )
    ]  # fmt: skip


def _reacted(bot: Bot, envelope: Envelope, said: Mapping[str, Any]) -> list[Message]:
    """Signs have no ids: who put it to what, and when, is what it is."""
    place, who, to = Place.of(said), part(said, "user"), number(said, "message_id")
    if not who or who.get("is_bot") is True:
        return []  # a channel or an anonymous administrator
    signs = "".join(words(one.get("emoji"), "emoji") or "?" for one in parts(said, "new_reaction"))
    called = f"{to}.{number(who, 'id')}.{number(said, 'date')}"
    message = _message(bot, envelope, place, called, who)
    at = moment(said.get("date"))
    return [replace(message, kind=Kind.REACTION, text=signs, full_text=signs, in_reply_to=to, sent_at=at)]


_READERS: Mapping[str, Callable[[Bot, Envelope, Mapping[str, Any]], list[Message]]] = {
    "message": _said,
    "business_message": _said,
    "edited_message": _edited,
    "edited_business_message": _edited,
    "deleted_business_messages": _deleted,
    "callback_query": _pressed,
    "message_reaction": _reacted,
}
WANTED = tuple(_READERS)  # allowed_updates


def _message(bot: Bot, envelope: Envelope, place: Place, external_id: str, sender: Mapping[str, Any]) -> Message:
    who = number(sender, "id")
    if not (who and external_id):
        raise Unreadable(f"{place}: neither sender nor id may be missing")
    name = " ".join(words(sender.get(name), name) for name in ("first_name", "last_name")).strip()
    return Message(
        channel="telegram",
        connector=envelope.connector,
        account=envelope.account,
        scope=place.scope(bot.id),
        external_id=external_id,
        envelope=envelope.id,
        sender=Address("telegram", who, name),
        to=(Address("telegram", bot.id, bot.username),),
        received_at=envelope.received_at,
        thread_key=str(place),
        proven=True,
    )


def _answered(said: Mapping[str, Any]) -> str:
    """The message this answers. In a topic every message that answers none answers the one that opened it."""
    to = part(said, "reply_to_message")
    return "" if part(to, "forum_topic_created") else number(to, "message_id")


def _label(under: Mapping[str, Any], code: str) -> str:
    rows = part(under, "reply_markup").get("inline_keyboard")
    buttons = [button for row in rows if isinstance(row, list) for button in row] if isinstance(rows, list) else []
    mine = (
        button.get("text") for button in buttons if isinstance(button, dict) and button.get("callback_data") == code
    )
    return next((words(label, "text") for label in mine if isinstance(label, str)), code)
