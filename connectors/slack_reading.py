"""What Slack posts, as messages: events (https://docs.slack.dev/reference/events/message), clicks and commands.

Nothing comes of what bots say, ourselves among them, of who joins and leaves, and of news about messages.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from connectors import forms, mrkdwn
from connectors.nested import inside, listed, said
from connectors.reading import attachment, json_of, moment
from normalizer.canon import Address, Attachment, Envelope, Kind, Message
from normalizer.errors import Unreadable

OURS = "ticketgate"  # how the action ids of our buttons begin
SAID = ("", "file_share", "thread_broadcast", "me_message")  # subtypes in which a person speaks

Object = Mapping[str, Any]


def posted(body: bytes) -> Object:
    """Events come as JSON, commands as a form, clicks as JSON in a form. Raises Unreadable."""
    if body.lstrip()[:1] == b"{":
        found = json_of(body)
    else:
        fields = forms.read("application/x-www-form-urlencoded", body).values
        found = json_of(fields["payload"].encode("utf-8", "replace")) if "payload" in fields else fields
    if not isinstance(found, dict):
        raise Unreadable("not a JSON object", code="malformed")
    return found


@dataclass(frozen=True, slots=True)
class Reading:
    """One envelope's."""

    envelope: Envelope
    found: Object
    agents: tuple[str, ...]  # user ids of colleagues

    def messages(self) -> Iterator[Message]:
        if said(self.found, "command"):
            return self._command()
        return (
            self._clicked() if self.found.get("type") == "block_actions" else self._event(inside(self.found, "event"))
        )

    def _event(self, event: Object) -> Iterator[Message]:
        match said(event, "type"), said(event, "subtype"):
            case (("message" | "app_mention"), subtype) if subtype in SAID:
                yield from self._spoken(event, said(event, "channel"))
            case "message", "message_changed":
                yield from self._changed(event, inside(event, "message"), inside(event, "previous_message"))
            case "message", "message_deleted":
                yield from self._deleted(event, said(event, "deleted_ts"))
            case "reaction_added", _ if said(event, "user"):
                yield self._reaction(event, inside(event, "item"))

    def _spoken(self, one: Object, channel: str, **more: Any) -> Iterator[Message]:
        """The same message comes as `message` and as `app_mention`: it has one ts. News of a thread are `hidden`."""
        user, ts, thread = said(one, "user"), said(one, "ts"), said(one, "thread_ts")
        if said(one, "bot_id") or user == "USLACKBOT" or one.get("hidden") is True or "message" in one:
            return
        if not user and (said(one, "subtype") or said(one, "type") == "app_mention"):
            return  # a file, an action or a mention is some user's, or nobody's words
        files = [file for file in _objects(one, "files") if said(file, "mode") not in ("tombstone", "hidden_by_limit")]
        told = [self._readable(said(one, "text")), *_handed_on(one), *map(_elsewhere, files)]
        text = "\n".join(filter(None, told))
        # In a direct message too somebody may write in a thread: that is where they look for the answer.
        aside = thread if channel.startswith("D") and thread != ts else ""
        yield self._message(
            channel, user, ts or self.envelope.id, ts, text=text, full_text=text, reply_token=aside,
            thread_key=_conversation(channel, user, thread or ts),
            attachments=tuple(_file(file) for file in files if not _elsewhere(file)), **more,
        )  # fmt: skip

    def _changed(self, event: Object, now: Object, before: Object) -> Iterator[Message]:
        """Slack says so as well when it has looked at a link, or counts answers: then nobody wrote anything."""
        revision = said(inside(now, "edited"), "ts")
        if said(now, "subtype") == "tombstone":  # taken back, while the thread under it goes on
            yield from self._deleted(event, said(now, "ts"))
        elif revision and revision != said(inside(before, "edited"), "ts") and said(now, "subtype") in SAID:
            yield from self._spoken(now, said(event, "channel"), kind=Kind.EDIT, revision=revision)

    def _deleted(self, event: Object, ts: str) -> Iterator[Message]:
        before, channel = inside(event, "previous_message"), said(event, "channel")
        user = said(before, "user")
        if ts and user and not said(before, "bot_id"):
            key = _conversation(channel, user, said(before, "thread_ts") or ts)
            when = said(event, "event_ts")
            yield self._message(channel, user, ts, when, kind=Kind.DELETE, revision="deleted", thread_key=key)

    def _reaction(self, event: Object, item: Object) -> Message:
        user, sign, ts, channel = said(event, "user"), said(event, "reaction"), said(item, "ts"), said(item, "channel")
        return self._message(
            channel, user, f"{ts}:{sign}:{user}", said(event, "event_ts"), kind=Kind.REACTION, text=f":{sign}:",
            in_reply_to=ts, thread_key=_conversation(channel, user, ts),
        )  # fmt: skip

    def _clicked(self) -> Iterator[Message]:
        """In a channel everybody sees our buttons: only who was asked can answer."""
        user, under = said(inside(self.found, "user"), "id"), inside(self.found, "message")
        channel = said(inside(self.found, "channel"), "id")
        ts = said(under, "ts") or said(inside(self.found, "container"), "message_ts")
        for action in listed(self.found, "actions"):
            if said(action, "action_id").startswith(f"{OURS}:{user}:"):
                when, label = said(action, "action_ts"), said(inside(action, "text"), "text")
                yield self._message(
                    channel, user, f"{ts}:{when}", when, kind=Kind.POSTBACK, text=label, full_text=label,
                    claims={"choice": said(action, "value")}, in_reply_to=ts,
                    thread_key=_conversation(channel, user, said(under, "thread_ts") or ts),
                )  # fmt: skip

    def _command(self) -> Iterator[Message]:
        """The app may be no member of the channel it was given in: it is answered, and goes on, in a direct message."""
        user, text = said(self.found, "user_id"), self._readable(said(self.found, "text"))
        if text and user:
            named = said(self.found, "trigger_id") or self.envelope.id
            yield self._message("", user, named, "", text=text, full_text=text, thread_key=user)

    def _readable(self, text: str) -> str:
        """Without the mention of us at its beginning, if there is more."""
        plain = text.strip()
        for us in filter(None, (said(one, "user_id") for one in listed(self.found, "authorizations"))):
            plain = plain.removeprefix(f"<@{us}>").strip() or plain
        return mrkdwn.words(plain)

    def _message(self, channel: str, user: str, named: str, ts: str, **more: Any) -> Message:
        found, envelope = self.found, self.envelope
        team = said(found, "team_id") or said(inside(found, "team"), "id") or said(found, "enterprise_id")
        us = next((said(one, "user_id") for one in listed(found, "authorizations")), "") or said(found, "api_app_id")
        if user in self.agents:
            more |= {"direction": "out", "author": "agent"}
        return Message(
            channel="slack",
            connector=envelope.connector,
            account=envelope.account,
            scope=f"{team}/{channel}",  # a ts is unique within its channel
            external_id=named,
            envelope=envelope.id,
            sender=Address("slack", user),
            to=(Address("slack", us),) if us else (),
            received_at=envelope.received_at,
            sent_at=_moment(ts),
            proven=True,
            **more,
        )


def _objects(found: Object, name: str) -> list[Object]:
    return [one for one in listed(found, name) if inside(one)]


def _conversation(channel: str, user: str, first: str) -> str:
    """A direct message is the person, wherever it is begun: Slack takes a user for a channel, too."""
    if channel.startswith("D"):
        return user
    return f"{channel}:{first}" if channel else ""


def _moment(ts: str) -> datetime | None:
    with suppress(ValueError):
        return moment(float(ts))
    return None


def _handed_on(one: Object) -> list[str]:
    """What others wrote and this person shows us; previews of links are nobody's words."""
    shared = [kept for kept in _objects(one, "attachments") if kept.get("is_share") or kept.get("is_msg_unfurl")]
    return [mrkdwn.words(said(kept, "text") or said(kept, "fallback")) for kept in shared]


def _elsewhere(file: Object) -> str:
    """A link to a file that is not at Slack, such as one of Google Drive."""
    if said(file, "mode") != "external" and not file.get("is_external"):
        return ""
    return f"[文件 file] {said(file, 'title') or said(file, 'name')} {said(file, 'url_private')}".strip()


def _file(file: Object) -> Attachment:
    """https://docs.slack.dev/reference/objects/file-object; of another company's channel only the id is told."""
    named, size = attachment(said(file, "name"), said(file, "mimetype"), b""), file.get("size")
    remote = said(file, "url_private_download") or said(file, "url_private") or said(file, "id")
    return replace(named, size=size if isinstance(size, int) and size > 0 else 0, sha256="", remote=remote)
