"""What Discord tells, as messages: Gateway events, bare messages, and interactions (commands, forms, clicks).

https://docs.discord.com/developers/resources/message, .../interactions/receiving-and-responding. Nothing comes of what
bots say, ourselves among them, of pins, joins and boosts, and of commands and buttons that are not ours.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.nested import inside, listed, said
from connectors.reading import attachment, moment
from normalizer.canon import Address, Attachment, Envelope, Kind, Message

OURS = "ticketgate"  # how the custom ids of our buttons and forms begin
COMMAND, CLICK, FORM = 2, 3, 5  # types of interactions
ON_MESSAGE, FILE = 3, 11  # types of a command, and of an option
SPOKEN = (0, 19)  # types of messages: said, and said in answer; the others are Discord's own news
THREADS = (10, 11, 12)  # types of channels
HIDDEN = 1 << 6  # flag of a message that only one person sees
FORWARD = 1  # type of a reference
UNREADABLE = "[无法显示的内容 content that cannot be shown here]"

Object = Mapping[str, Any]


def is_interaction(found: Object) -> bool:
    return bool(said(found, "token")) and found.get("type") in (COMMAND, CLICK, FORM) and "data" in found


def person(found: Object) -> Object:
    """Who did it: in a server they are a member."""
    return inside(found, "member", "user") or inside(found, "user") or inside(found, "author")


def asked(found: Object) -> str:
    """The words of a command or a form; a file among a command's options is named by its id, and stands elsewhere."""
    inner = inside(found, "data")
    if inner.get("type") == ON_MESSAGE:
        told = [said(one, "content") for one in inside(inner, "resolved", "messages").values()]
    else:
        told = [said(one, "value") for one in _below(inner) if one.get("type") != FILE]
    return "\n".join(filter(None, told))


@dataclass(frozen=True, slots=True)
class Reading:
    """One envelope's."""

    envelope: Envelope
    agents: Sequence[str] = ()  # user ids of colleagues
    commands: Sequence[str] = ()  # names of ours
    bot: str = ""  # our own user id

    def messages(self, found: Object) -> Iterator[Message]:
        if found.get("op") == 0 and said(found, "t"):
            return self._event(said(found, "t"), inside(found, "d"))
        return self._interaction(found) if is_interaction(found) else self._event("MESSAGE_CREATE", found)

    def _event(self, name: str, one: Object) -> Iterator[Message]:
        match name:
            case "INTERACTION_CREATE" if is_interaction(one):
                yield from self._interaction(one)
            case "MESSAGE_CREATE":
                yield from self._spoken(one)
            case "MESSAGE_UPDATE" if revision := said(one, "edited_timestamp"):
                yield from self._spoken(one, kind=Kind.EDIT, revision=revision)
            case "MESSAGE_DELETE" if named := said(one, "id"):
                yield self._deleted(one, named)
            case "MESSAGE_DELETE_BULK":
                yield from (self._deleted(one, named) for named in listed(one, "ids") if isinstance(named, str))
            case "MESSAGE_REACTION_ADD" if said(one, "user_id") and not inside(one, "member", "user").get("bot"):
                yield self._reaction(one)

    def _spoken(self, one: Object, **more: Any) -> Iterator[Message]:
        named, author, about = said(one, "id"), inside(one, "author"), inside(one, "message_reference")
        machine = author.get("bot") or author.get("system") or said(one, "webhook_id")
        if not (named and said(author, "id") and said(one, "channel_id")) or machine:
            return
        if one.get("type", 0) not in SPOKEN:
            return
        files = tuple(_file(file) for file in listed(one, "attachments") if isinstance(file, dict))
        text = "\n".join(filter(None, (self._readable(said(one, "content")), *_besides(one))))
        text = text or ("" if files else UNREADABLE)
        answered = "" if about.get("type") == FORWARD else said(about, "message_id")
        yield self._message(
            one, author, named, sent_at=moment(said(one, "timestamp")), text=text, full_text=text, attachments=files,
            in_reply_to=answered, thread_key=self._conversation(one, said(author, "id")), **more,
        )  # fmt: skip

    def _readable(self, content: str) -> str:
        """Without the mention of us at its beginning, if there is more."""
        for us in (f"<@{self.bot}>", f"<@!{self.bot}>") if self.bot else ():
            content = content.removeprefix(us).strip() or content
        return content

    def _deleted(self, one: Object, named: str) -> Message:
        """Discord does not say whose it was; what it was is known by its id."""
        return self._message(one, {}, named, kind=Kind.DELETE, revision="deleted")

    def _reaction(self, one: Object) -> Message:
        user, sign = said(one, "user_id"), said(inside(one, "emoji"), "name")
        under = said(one, "message_id")
        return self._message(
            one, inside(one, "member", "user") or {"id": user}, f"{under}:{sign}:{user}", kind=Kind.REACTION, text=sign,
            in_reply_to=under, thread_key=self._conversation(one, user),
        )  # fmt: skip

    def _interaction(self, one: Object) -> Iterator[Message]:
        who, named = person(one), said(one, "id")
        if not (said(who, "id") and named):
            return
        if one.get("type") == CLICK:
            yield from self._clicked(one, who, named)
        elif text := asked(one) if self._is_ours(one) else "":
            # The bot may not be in that channel: it is answered where it was given, and goes on in a direct message.
            token = f"{said(one, 'application_id')}/{said(one, 'token')}" if said(one, "guild_id") else ""
            yield self._message(
                one, who, named, text=text, full_text=text, attachments=_resolved(one), reply_token=token,
                thread_key=f"@{said(who, 'id')}",
            )  # fmt: skip

    def _is_ours(self, one: Object) -> bool:
        inner = inside(one, "data")
        return said(inner, "custom_id").startswith(OURS) or said(inner, "name") in self.commands

    def _clicked(self, one: Object, who: Object, named: str) -> Iterator[Message]:
        """In a channel everybody sees our buttons: only who was asked can answer."""
        clicked, under = said(inside(one, "data"), "custom_id"), inside(one, "message")
        ours, _, rest = clicked.partition(":")
        asked_of, _, code = rest.partition(":")
        if ours == OURS and code and asked_of == said(who, "id"):
            flags = under.get("flags")
            # Shown to this person alone, under a command: that conversation goes on in a direct message.
            hidden = isinstance(flags, int) and flags & HIDDEN
            key = f"@{said(who, 'id')}" if hidden else self._conversation(one, said(who, "id"))
            label = next((said(button, "label") for button in _below(under) if button.get("custom_id") == clicked), "")
            yield self._message(
                one, who, named, kind=Kind.POSTBACK, text=label or code, full_text=label or code,
                claims={"choice": code}, in_reply_to=said(under, "id"), thread_key=key,
            )  # fmt: skip

    def _conversation(self, one: Object, user: str) -> str:
        """A thread's is everybody's in it; elsewhere each person has one of their own, in each channel."""
        channel = said(one, "channel_id") or said(inside(one, "channel"), "id")
        if not said(one, "guild_id"):
            return f"@{user}"
        thread = self.envelope.transport.get("channel") == "thread" or inside(one, "channel").get("type") in THREADS
        return channel if thread else f"{channel}:{user}"

    def _message(self, one: Object, who: Object, named: str, **more: Any) -> Message:
        envelope, user = self.envelope, said(who, "id")
        if user in self.agents:
            more |= {"direction": "out", "author": "agent"}
        us = said(one, "application_id") or self.bot
        return Message(
            channel="discord",
            connector=envelope.connector,
            account=envelope.account,
            scope=said(one, "channel_id") or said(inside(one, "channel"), "id"),
            external_id=named,
            envelope=envelope.id,
            sender=Address("discord", user, said(who, "global_name") or said(who, "username")),
            to=(Address("discord", us),) if us else (),
            received_at=envelope.received_at,
            proven=True,
            **more,
        )


def _besides(one: Object) -> Iterator[str]:
    """What stands beside the words: what is handed on of others', stickers, polls. Previews of links are nobody's."""
    for shot in listed(one, "message_snapshots"):
        yield said(inside(shot, "message"), "content")
    for sticker in listed(one, "sticker_items"):
        yield f"[贴纸 sticker] {said(sticker, 'name')}".strip()
    if question := said(inside(one, "poll", "question"), "text"):
        yield f"[投票 poll] {question}"


def _below(found: Object, depth: int = 5) -> Iterator[Object]:
    """A command's options and a message's or form's components, each before what it holds."""
    for one in (*listed(found, "options"), *listed(found, "components"), inside(found, "component")):
        if depth and inside(one):
            yield one
            yield from _below(one, depth - 1)


def _resolved(one: Object) -> tuple[Attachment, ...]:
    resolved = inside(one, "data", "resolved")
    files = [*inside(resolved, "attachments").values()]
    files += [file for shown in inside(resolved, "messages").values() for file in listed(shown, "attachments")]
    return tuple(_file(file) for file in files if isinstance(file, dict))


def _file(file: Object) -> Attachment:
    named, size = attachment(said(file, "filename"), said(file, "content_type"), b""), file.get("size")
    size = size if isinstance(size, int) and size > 0 else 0
    return replace(named, size=size, sha256="", remote=said(file, "url"))
