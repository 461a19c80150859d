"""Whose message an event of Feishu's is.

    im.message.receive_v1           what somebody says
    im.message.recalled_v1          takes back
    im.message.reaction.created_v1  answers with a face
    card.action.trigger             or with a button of ours
    message                         the same of the first version of events

Everything else that Feishu tells is nobody's message.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from connectors.feishu_content import addressed, mentions, read
from connectors.feishu_events import Event
from connectors.reading import moment, within, word
from normalizer.canon import Address, Envelope, Kind, Message
from normalizer.charset import clean
from normalizer.errors import Unreadable

Groups = Literal["mentioned", "all", "none"]


@dataclass(frozen=True, slots=True)
class Reading:
    """One event, by the account's `app`, `bot` and `groups`."""

    envelope: Envelope
    event: Event
    app: str
    bot: str
    groups: Groups

    def messages(self) -> Sequence[Message]:
        """Raises Unreadable."""
        readers: Mapping[str, Callable[[], Message | None]] = {
            "im.message.receive_v1": self._said,
            "message": self._said,
            "im.message.recalled_v1": self._recalled,
            "im.message.reaction.created_v1": self._reaction,
            "card.action.trigger": self._pressed,
        }
        reader = readers.get(self.event.type)
        message = reader() if reader else None
        return [message] if message else []

    def _said(self) -> Message | None:
        said, sender = within(self.event.said, "message"), within(self.event.said, "sender")
        kind = word(said, "message_type", "msg_type")
        if word(sender, "sender_type") in ("app", "bot") or kind == "system" or not self._ours(said):
            return None
        id, group = word(said, "message_id"), word(said, "chat_type") not in ("p2p", "")
        who = _person(within(sender, "sender_id") or within(sender, "id"))
        if not (id and who.address):
            raise Unreadable("a message without message_id or sender_id")
        text, files = read(kind, said.get("content"), mentions(said.get("mentions"), self.bot, group), id)
        parent, root = word(said, "parent_id"), word(said, "root_id")
        return self._message(
            id, who,
            sent_at=moment(word(said, "create_time")),
            in_reply_to=parent or root,
            references=(root,) if root and root != parent else (),
            thread_key=_conversation(word(said, "chat_id"), word(said, "thread_id"), who if group else None),
            text=text,
            full_text=text,
            attachments=files,
        )  # fmt: skip

    def _ours(self, said: Mapping[str, Any]) -> bool:
        """Whether it is meant for us: Feishu passes on more of a group if the app has the permission."""
        if word(said, "chat_type") in ("p2p", "") or self.groups == "all":
            return True
        return self.groups == "mentioned" and addressed(said.get("mentions"), self.bot)

    def _recalled(self) -> Message:
        id, at = word(self.event.said, "message_id"), moment(word(self.event.said, "recall_time"))
        if not id:
            raise Unreadable("taken back, but no message_id says what")
        nobody = Address("feishu", "")  # Feishu does not say who it was
        # Nor in which conversation of a group it stood: its ticket is found by the message itself.
        told = {"sent_at": at, "in_reply_to": id}
        return self._message(id, nobody, kind=Kind.DELETE, revision="deleted", **told)

    def _reaction(self) -> Message | None:
        said = self.event.said
        who, emoji = _person(within(said, "user_id")), word(within(said, "reaction_type"), "emoji_type")
        if not (who.address and emoji) or word(said, "operator_type") == "app":
            return None
        at, of = moment(word(said, "action_time")), word(said, "message_id")
        told = {"sent_at": at, "in_reply_to": of, "text": emoji, "full_text": emoji}
        return self._message(self.event.id or f"{of}/{who.address}", who, kind=Kind.REACTION, **told)

    def _pressed(self) -> Message | None:
        """A button under our words. What it bears came from us, since Feishu vouches for it."""
        said = self.event.said
        value, who = within(said, "action", "value"), _person(within(said, "operator"))
        code, label = word(value, "choice"), clean(word(value, "label"))
        if not (code and who.address and self.event.id):
            return None
        return self._message(
            self.event.id, who,
            kind=Kind.POSTBACK,
            in_reply_to=word(within(said, "context"), "open_message_id"),
            thread_key=word(value, "thread") or chat(said),
            text=label or code,
            full_text=label or code,
            claims={"choice": code},
        )  # fmt: skip

    def _message(self, id: str, who: Address, **more: Any) -> Message:
        scope, kept = self.event.app or self.app, self.envelope
        return Message(
            channel="feishu", connector=kept.connector, account=kept.account, envelope=kept.id, scope=scope,
            external_id=id, sender=who, to=(Address("feishu", scope),), received_at=kept.received_at, proven=True,
            **more,
        )  # fmt: skip


def chat(said: Mapping[str, Any]) -> str:
    places = (within(said, "message"), said, within(said, "context"))
    return next(filter(None, (word(place, "chat_id", "open_chat_id") for place in places)), "")


def _person(ids: Mapping[str, Any]) -> Address:
    return Address("feishu", word(ids, "open_id", "union_id", "user_id"))


def _conversation(chat: str, topic: str, who: Address | None) -> str:
    """Alone with somebody all is one; in a group each topic, or what each person says."""
    return f"{chat}/{topic or who.address}" if who and chat else chat or (who.address if who else "")
