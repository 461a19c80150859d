"""Mail that we go and fetch: a thread and a connection for each folder of a mailbox.

EmailImap  one account (mail_account.py) and the folders it reads
Watch      one folder: connect, read what is new, wait, and begin again after any trouble
Place      how far it has read; kept in one transaction with the mails

What is new is told by UID alone, never by flags: whoever else reads the mailbox changes nothing for us. A mail is
marked or moved only when it is on disk here. If the server gives its mails new UIDs (UIDVALIDITY), all are read again,
and the journal knows those it has.
"""

import asyncio
import re
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

import orjson
import structlog
from pydantic import Field, model_validator

from connectors.base import Accept, AccountSettings, Clock, Cursor, Finding, Recall, Refuse
from connectors.imap import HEAD, Folder, Server, connect, hang_up, told
from connectors.mail_account import MailAccount, MailSettings, scan
from connectors.oauth import Tokens
from normalizer.canon import Envelope, Message, digest
from normalizer.errors import Unavailable, Unreadable

SLICE = 500  # mails whose sizes are asked for at a time
TRIES = 3  # of a mail whose fetching breaks off, before others go first
PASSED_AGAIN = timedelta(minutes=15)  # when those are tried again
MOST_PASSED = 1000
MOST_OWED = 10_000
FIRST_WAIT, LONGEST_SHORT_WAIT, LONGEST_WAIT = 0.5, 5.0, 300.0  # seconds between attempts to connect
LASTING = timedelta(seconds=30)  # a connection that broke later than that was a good one
NEVER_READ = "never read"

T = TypeVar("T")

_DIGITS = re.compile(r"\d+")

log = structlog.get_logger("ticketgate")


class EmailImapSettings(MailSettings, Server):
    folders: tuple[str, ...] = Field(default=("INBOX",), min_length=1)
    since: date | Literal["all"] | Annotated[int, Field(ge=0)] = (
        7  # where a new account begins: days back, a date, or all
    )
    mark: str = ""  # a flag set on mails once they are ours: \Seen, or a word of your own; none: nothing is touched
    move_to: str = ""  # the folder they are then moved to
    idle: float = Field(default=300, gt=0, le=1740)  # seconds between two IDLEs (RFC 2177: under 30 minutes)
    poll: float = Field(default=30, gt=0)  # seconds between two looks where the server has no IDLE
    size_limit: int = Field(default=25 * 1024 * 1024, gt=0)  # octets; of larger ones the beginning is set aside

    @model_validator(mode="after")
    def elsewhere(self) -> Self:
        if self.move_to in self.folders:
            raise ValueError(f"move_to: {self.move_to!r} is a folder that is read; write another one")
        if len(set(self.folders)) != len(self.folders):
            raise ValueError("folders: one stands there twice")
        return self

    @property
    def read_only(self) -> bool:
        return not (self.mark or self.move_to)


class EmailImap(MailAccount):
    name: ClassVar[str] = "email_imap"
    Settings: ClassVar[type[AccountSettings]] = EmailImapSettings
    settings: EmailImapSettings

    def __init__(self, settings: EmailImapSettings) -> None:
        super().__init__(settings)
        self._tokens = Tokens(settings.oauth, settings.timeout) if settings.oauth else None
        self._recall: Recall | None = None

    def envelope(self, raw: bytes, folder: str, uid: int, received_at: datetime, **more: str) -> Envelope:
        key, sender = scan(raw)
        transport = {"folder": folder, "uid": str(uid), **more}
        return Envelope(self.name, self.settings.account, key, sender or key, received_at, raw, transport)

    def parse(self, envelope: Envelope) -> Sequence[Message]:
        if why := envelope.transport.get("unfetched"):
            raise Unreadable(why)
        if size := envelope.transport.get("size"):
            raise Unreadable(f"{size} octets, over the limit; the whole mail is in the mailbox", code="oversized")
        return super().parse(envelope)

    def resume(self, recall: Recall) -> None:
        self._recall = recall

    async def listen(self, accept: Accept, refuse: Refuse, clock: Clock) -> None:
        watches = [Watch(self, folder, accept, clock) for folder in self.settings.folders]
        async with asyncio.TaskGroup() as group:
            for watch in watches:
                group.create_task(watch.keep(self._recall))

    def open(self, folder: str, now: datetime, *, read_only: bool) -> Folder:
        """A folder over a connection of its own. Raises Unavailable."""
        client = connect(self.settings, self._token(now))
        try:
            return Folder(client, self.settings, folder, read_only=read_only)
        except BaseException:
            hang_up(client)
            raise

    def _token(self, now: datetime) -> str:
        return self._tokens.token(now) if self._tokens else ""

    def refused(self) -> None:
        """The login was refused: a token may have been taken back before its time."""
        if self._tokens:
            self._tokens.forget()

    async def examine(self, now: datetime) -> Sequence[Finding]:
        return await asyncio.to_thread(lambda: list(self._examined(now)))

    def _examined(self, now: datetime) -> Iterator[Finding]:
        what, settings = f"{self.name}/{self.settings.account}", self.settings
        try:
            client = connect(settings, self._token(now))
        except Unavailable as error:
            yield Finding(what, error.reason, False, "mend it here or there; mail waits on the server meanwhile")
            return
        try:
            yield Finding(what, f"{settings} lets {settings.username} in")
            if settings.tls == "none" and settings.host not in ("localhost", "127.0.0.1", "::1"):
                yield Finding(f"{what} tls", "none: name, password and mail go in clear", False, "tls: implicit")
            yield from self._folders(client, what, now)
            yield from _capabilities(client, what, bool(settings.move_to))
        except Unavailable as error:
            yield Finding(what, error.reason, False, "see the server's log")
        finally:
            hang_up(client)

    def _folders(self, client: Any, what: str, now: datetime) -> Iterator[Finding]:
        settings = self.settings
        for name in settings.folders:
            try:
                folder = Folder(client, settings, name, read_only=True)
            except Unavailable as error:
                yield Finding(f"{what} {name}", error.reason, False, "ticketgate reads folders: [INBOX, ...]")
                continue
            yield Finding(f"{what} {name}", f"UIDVALIDITY {folder.validity}" if folder.validity else "UIDs do not last",
                          hint="" if folder.validity else "all of it is read again after each connection")  # fmt: skip
            yield from _clock(client, f"{what} {name} clock", now)
        with told(f"{settings}"):
            if settings.move_to and not client.folder_exists(settings.move_to):
                yield Finding(f"{what} {settings.move_to}", "is not there yet", hint="it is made when it is needed")


def _capabilities(client: Any, what: str, moving: bool) -> Iterator[Finding]:
    with told(what):
        idle, move, uidplus = (client.has_capability(name) for name in ("IDLE", "MOVE", "UIDPLUS"))
    yield Finding(f"{what} IDLE", "mail is here at once" if idle else "none: it is asked every `poll` seconds")
    if moving and not (move or uidplus):
        yield Finding(
            f"{what} move_to",
            "neither MOVE nor UIDPLUS",
            False,
            "moved mails stay, marked as deleted; use mark instead",
        )


def _clock(client: Any, what: str, now: datetime) -> Iterator[Finding]:
    """The server's clock, as far as the newest mail tells: none can have come in tomorrow."""
    with told(what):
        client.normalise_times = False
        newest = [
            one.get(b"INTERNALDATE") for one in client.fetch(client.search(["UID", "*"]), ["INTERNALDATE"]).values()
        ]
    if ahead := [at for at in newest if at and at.tzinfo and at > now + timedelta(minutes=5)]:
        yield Finding(what, f"the newest mail came in at {ahead[0].isoformat()}, which is yet to come", False,
                      "one of the two clocks is wrong")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """How far a folder has been read."""

    validity: int = 0
    uid: int = 0
    since: str = ""  # the day it began with, empty: with all; from there it is read again under a new UIDVALIDITY
    owed: tuple[int, ...] = ()  # ours already, to be marked or moved
    passed: tuple[int, ...] = ()  # not to be fetched, tried again from time to time

    @classmethod
    def of(cls, kept: str) -> "Place | None":
        """As `kept` says; None if it says nothing."""
        try:
            said = orjson.loads(kept)
            place = cls(int(said["validity"]), int(said["uid"]), str(said["since"]))
            return replace(place, owed=tuple(said["owed"]), passed=tuple(said["passed"]))
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def kept(self) -> str:
        return orjson.dumps(self).decode()


class Watch:
    """One folder of one account, read by a thread of its own."""

    def __init__(self, account: EmailImap, folder: str, accept: Accept, clock: Clock) -> None:
        self.account, self.folder, self.accept, self.clock = account, folder, accept, clock
        settings = account.settings
        # Another server or user is another mailbox, whatever the account is called.
        where = digest("imap", settings.host, settings.username, folder)[:16]
        self.cursor = f"{account.name}/{settings.account}/{where}"
        self.place: Place | None = None
        self._open: Folder | None = None
        self._stop, self._trouble = threading.Event(), NEVER_READ
        self._well_since: datetime | None = None
        self._taken = False  # mails, since the last trouble
        self._short = 0  # how often in a row it was well for a moment only
        self._broken: dict[int, int] = {}  # mails whose fetching broke off, and how often
        self._passed_at: datetime | None = None
        self._unsettled = ""
        self._loop: asyncio.AbstractEventLoop

    async def keep(self, recall: Recall | None) -> None:
        """Watch until cancelled."""
        self.place, self._loop = await self._begun(recall), asyncio.get_running_loop()
        ended = asyncio.Event()
        thread = threading.Thread(target=self._work, args=(ended,), name=self.cursor, daemon=True)
        thread.start()
        try:
            await ended.wait()
        finally:
            self._stop.set()
            if self._open:
                self._open.wake()
            with suppress(TimeoutError):  # connecting may take a while longer; nothing it finds is taken any more
                async with asyncio.timeout(2):
                    await ended.wait()

    async def _begun(self, recall: Recall | None) -> Place | None:
        """Where an earlier run stopped."""
        while recall:
            try:
                return Place.of(await recall(self.cursor))
            except Unavailable as error:
                self._say(log.warning, "waiting for the store", hint=error.reason)
                await asyncio.sleep(1)
        return None

    def _work(self, ended: asyncio.Event) -> None:
        wait = 0.0
        try:
            while not self._stop.wait(wait):
                try:
                    with self._opened() as folder:
                        self._follow(folder)
                except Unavailable as error:
                    wait = self._next_wait(wait, error)
                except CancelledError:
                    return
                except Exception as error:
                    wait = self._next_wait(wait, Unavailable(f"{type(error).__name__} while reading"))
                    log.error("reading a mailbox failed", exc_info=error, folder=self.folder)
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(ended.set)

    def _next_wait(self, before: float, error: Unavailable) -> float:
        """Twice as long each time; told once, and again when it is something else."""
        if self._stop.is_set():
            return 0.0
        if error.wait:
            self.account.refused()
        if _DIGITS.sub("", error.reason) != _DIGITS.sub("", self._trouble):  # some servers tell the time with it
            self._say(log.warning, "mailbox cannot be read; trying again", hint=error.reason)
        first = error.wait.total_seconds() if error.wait else FIRST_WAIT
        if self._trouble and not self._taken:
            wait = max(first, min(LONGEST_WAIT, before * 2))
        else:  # it was well: soon again, but not at once if it never lasts
            self._short = 0 if self._well_since and self.clock() > self._well_since + LASTING else self._short + 1
            wait = max(first, min(LONGEST_SHORT_WAIT, FIRST_WAIT * self._short))
        self._trouble, self._well_since, self._taken = error.reason, None, False
        return wait

    def _well(self) -> None:
        if self._trouble and self._trouble != NEVER_READ:
            self._say(log.info, "mailbox is read again")
        if self._trouble:
            self._trouble, self._well_since = "", self.clock()

    def _say(self, how: Any, what: str, **more: str) -> None:
        how(what, connector=self.account.name, account=self.account.settings.account, folder=self.folder, **more)

    @contextmanager
    def _opened(self) -> Iterator[Folder]:
        settings = self.account.settings
        try:
            folder = self.account.open(self.folder, self.clock(), read_only=settings.read_only)
        except Unavailable:
            self._broken = dict.fromkeys(self._broken, 1)  # the server was away: that was no mail's fault
            raise
        self._open = folder
        try:
            if self._stop.is_set():
                raise Unavailable("stopped")
            yield folder
        finally:
            self._open = None
            hang_up(folder.client)

    def _follow(self, folder: Folder) -> None:
        """Read what is new, settle what is owed, wait; until there is trouble."""
        again = self._begin(folder)
        self._settle(folder)
        while not self._stop.is_set():
            self._read(folder, again)
            again = None
            self._try_passed(folder)
            self._well()
            if folder.idles:
                folder.wait(self.account.settings.idle)
            elif not self._stop.wait(self.account.settings.poll):
                folder.knock()

    def _begin(self, folder: Folder) -> list[int] | None:
        """Where to read on. UIDs to be read before all others: on the first visit, or when the old ones are void."""
        place = self.place
        if place and place.validity == folder.validity != 0:
            return None
        if place and place.validity != folder.validity:
            self._say(log.warning, "the server gave its mails new UIDs; all are read again, known ones are known")
        since = place.since if place else self._since()
        uids = folder.since(date.fromisoformat(since)) if since else []
        if uids or not since:
            before = uids[0] - 1 if uids else 0
        else:
            before = folder.next_uid - 1 if folder.next_uid else max(folder.newer(0), default=0)
        self._keep([], Place(folder.validity, before, since))
        return uids

    def _since(self) -> str:
        match self.account.settings.since:
            case "all":
                return ""
            case int(days):
                return (self.clock().date() - timedelta(days=days + 1)).isoformat()  # its calendar may be behind ours
            case day:
                return str(day)

    def _read(self, folder: Folder, chosen: list[int] | None) -> None:
        """All that is new, in batches; `chosen` instead, if there are such."""
        assert self.place
        uids = folder.newer(self.place.uid)
        if chosen:
            uids = sorted({*chosen, *(uid for uid in uids if uid > chosen[-1])})
        for at in range(0, len(uids), SLICE):
            for batch, oversized in folder.batches(uids[at : at + SLICE], self.account.settings.size_limit):
                careful = oversized or any(uid in self._broken for uid in batch)
                for part in [[uid] for uid in batch] if careful else [batch]:
                    self._take(folder, part, oversized)
                    if self._stop.is_set():
                        return

    def _take(self, folder: Folder, uids: list[int], oversized: bool) -> None:
        """A batch into the journal, with the place behind it; those the server will not give are passed over."""
        assert self.place
        hopeless = len(uids) == 1 and self._broken.get(uids[0], 0) >= TRIES
        mails = {} if hopeless else self._fetched(folder, uids, oversized)
        given_up = [uid for uid in uids if uid not in mails and (hopeless or folder.there(uid))]
        envelopes = [self._envelope(folder, uid, raw, oversized) for uid, raw in mails.items()]
        envelopes += [self._passed(folder, uid) for uid in given_up]
        place = replace(
            self.place, uid=max(self.place.uid, *uids),
            owed=(*self.place.owed, *self._to_settle(mails, oversized))[-MOST_OWED:],
            passed=(*self.place.passed, *given_up)[-MOST_PASSED:],
        )  # fmt: skip
        self._passed_at = self.clock() if given_up else self._passed_at
        self._keep(envelopes, place)
        for uid in uids:
            self._broken.pop(uid, None)
        self._settle(folder)

    def _fetched(self, folder: Folder, uids: list[int], oversized: bool) -> Mapping[int, bytes]:
        try:
            return folder.fetch(uids, HEAD if oversized else 0)
        except Unavailable:
            if not self._stop.is_set():
                for uid in uids:  # next time each by itself, to see which it is
                    self._broken[uid] = self._broken.get(uid, 0) + 1
            raise

    def _envelope(self, folder: Folder, uid: int, raw: bytes, oversized: bool) -> Envelope:
        limit = self.account.settings.size_limit
        if oversized or len(raw) > limit:
            size = f"more than {limit}" if oversized else str(len(raw))
            return self.account.envelope(raw[:HEAD], folder.name, uid, self.clock(), size=size)
        return self.account.envelope(raw, folder.name, uid, self.clock())

    def _passed(self, folder: Folder, uid: int) -> Envelope:
        key = f"{folder.name} {folder.validity} {uid}"
        why = f"the server does not give mail {uid} of {folder.name}; it is tried again every quarter of an hour"
        transport = {"folder": folder.name, "uid": str(uid), "unfetched": why}
        settings = self.account.settings
        return Envelope(self.account.name, settings.account, key, key, self.clock(), b"", transport)

    def _to_settle(self, mails: Mapping[int, bytes], oversized: bool) -> list[int]:
        """Mails of which we have only a part stay as they are: the mailbox has the whole."""
        return [] if self.account.settings.read_only or oversized else list(mails)

    def _settle(self, folder: Folder) -> None:
        """Mark and move what is ours. A crash in between leaves it owed, and it is done again."""
        assert self.place
        if not self.place.owed:
            return
        settings, owed = self.account.settings, self.place.owed
        try:
            if settings.mark:
                folder.mark(owed, settings.mark)
            if settings.move_to:
                folder.move(owed, settings.move_to)
        except Unavailable as error:  # reading goes on, and it stays owed
            if error.reason != self._unsettled:
                self._say(log.warning, "mails that are ours cannot be marked or moved", hint=error.reason)
            self._unsettled = error.reason
        else:
            self._unsettled = ""
            self._keep([], replace(self.place, owed=()))

    def _try_passed(self, folder: Folder) -> None:
        assert self.place
        now = self.clock()
        if not self.place.passed or (self._passed_at and now < self._passed_at + PASSED_AGAIN):
            return
        if self._passed_at is None:  # of an earlier run of the gateway, which tried just before it ended
            self._passed_at = now
            return
        self._passed_at = now
        for uid in self.place.passed:
            others = tuple(one for one in self.place.passed if one != uid)
            self.place = replace(self.place, passed=(*others, uid))  # should it break off, others are first next time
            mails = folder.fetch([uid])
            if mails or not folder.there(uid):
                envelopes = [self._envelope(folder, uid, raw, False) for raw in mails.values()]
                owed = (*self.place.owed, *self._to_settle(mails, False))
                self._keep(envelopes, replace(self.place, passed=others, owed=owed))
        self._settle(folder)

    def _keep(self, envelopes: Sequence[Envelope], place: Place) -> None:
        """Into the journal, together. Raises Unavailable; then the place is as it was."""
        if self._stop.is_set():
            raise Unavailable("stopped")
        self._run(self.accept(envelopes, Cursor(self.cursor, place.kept)))
        self.place, self._taken = place, self._taken or bool(envelopes)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the gateway's loop do it, and wait."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
