"""A conversation from its customer's side, by whatever way they came: what they post is kept, what is new is shown."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import HTTPConnection

from connectors.webchat import Speaker, Webchat
from gateway.accept import Door
from gateway.chat_access import Access, too_many
from gateway.chat_rooms import Rooms, Seat
from gateway.store.conversation import Conversation, Entry, Talk
from normalizer.errors import Rejected
from normalizer.identity import identity

AT_ONCE = 10  # connections to one conversation: tabs and devices
LARGE = 64 * 1024  # octets


class Talks:
    """All of them, of every account."""

    def __init__(self, door: Door, access: Access) -> None:
        self.door, self.house, self.access = door, door.house, access
        self.rooms = Rooms(self.house.hub)
        self.seated: Counter[tuple[str, ...]] = Counter()

    async def post(
        self, asked: HTTPConnection, connector: Webchat, speaker: Speaker, content_type: str, body: bytes
    ) -> str:
        """The client's id of a message, once it is durably ours. Raises Rejected or Unavailable."""
        self.access.often(connector, speaker, "messages", connector.settings.messages_a_minute)
        try:
            identity = await self._checked(connector, content_type, body)
        except Rejected as e:
            await self.refuse(asked, connector, e, body)
            raise
        remote, now = self.access.remote(asked), self.house.clock.now()
        await self.door.accept([connector.enclose(speaker, identity, content_type, body, now, remote)])
        return identity

    async def _checked(self, connector: Webchat, content_type: str, body: bytes) -> str:
        """Taking a large form apart is work for the processor, and the door must go on answering."""
        if len(body) < LARGE:
            return connector.check(content_type, body)
        return await asyncio.to_thread(connector.check, content_type, body)

    async def refuse(self, asked: HTTPConnection, connector: Webchat, e: Rejected, body: bytes) -> None:
        facts = {"path": asked.url.path, "remote": self.access.remote(asked)}
        await self.door.refuse(Webchat.name, connector.settings.account, e.code, e.reason, body, facts)

    @contextmanager
    def seat(self, asked: HTTPConnection, connector: Webchat, speaker: Speaker) -> Iterator[Seat]:
        """A place in the conversation, if there is room. Raises Rejected (429)."""
        told = connector.settings
        account = (told.account,)
        limits = {
            account: told.connections,
            (*account, "remote", self.access.remote(asked)): told.connections_per_remote,
            (*account, "thread", speaker.thread): AT_ONCE,
        }
        if any(self.seated[name] >= most for name, most in limits.items()):
            raise too_many("too many connections")
        self.seated.update(limits.keys())
        try:
            with self.rooms.seat(self.house.store.named(identity(speaker.sender))) as seat:
                yield seat
        finally:
            self.seated.subtract(limits.keys())
            self.seated += Counter()  # forget who has none left

    async def look(self, connector: Webchat, speaker: Speaker, seat: Seat, after: int) -> Conversation:
        told = await self.house.store.conversation(named(connector, speaker), after)
        seat.numbers = told.numbers
        return told

    def shown(self, connector: Webchat, told: Conversation) -> dict[str, Any]:
        return {"cursor": told.cursor, "entries": [self._entry(connector, one) for one in told.entries]}

    def _entry(self, connector: Webchat, one: Entry) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": one.id, "at": one.at, "kind": one.kind, "number": one.number}
        shown["status" if one.kind == "status" else "text"] = one.text
        if one.kind == "said":
            shown["client"] = one.client
            shown["files"] = [{"name": f.name, "type": f.media_type, "size": f.size} for f in one.files]
        if one.choices:
            shown["choices"] = [{"code": choice.code, "label": choice.label} for choice in one.choices]
        if one.kind == "answer" and connector.settings.agents == "names":
            shown["by"] = self._called(one.by)
        return shown

    def _called(self, by: str) -> dict[str, str]:
        """What a colleague is called, in both languages; empty where people.yaml has no name for them."""
        code = by.partition(":")[2]
        names = {lang: self.house.mind.vocabulary.label("agent", code, lang) for lang in ("zh", "en")}
        return {lang: name for lang, name in names.items() if name != code}


def named(connector: Webchat, speaker: Speaker) -> Talk:
    told = connector.settings
    return Talk(told.channel, Webchat.name, told.account, speaker.thread, identity(speaker.sender))
