"""Against a real Dovecot that goes away and comes back; and against a server that says what none should."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from dovecot import PASSWORD, USER, Dovecot, letter
from scripted_imap import ScriptedImap

from connectors import email_imap
from connectors.base import Cursor
from connectors.email_imap import EmailImap, EmailImapSettings, Place
from normalizer.canon import Envelope
from normalizer.errors import Unavailable, Unreadable

NOW = datetime.now(UTC)
SOON = 20  # seconds; what is waited for takes a fraction of one

Opens = Callable[..., Dovecot]


@dataclass
class Journal:
    """Keeps mails once each, and cursors with them, as the store does."""

    kept: dict[str, Envelope] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    brought: int = 0  # mails handed in, those again that are there already
    trouble: Exception | None = None
    ahead: timedelta = timedelta()

    async def accept(self, envelopes: Sequence[Envelope], cursor: Cursor | None = None) -> None:
        if self.trouble:
            raise self.trouble
        self.brought += len(envelopes)
        self.kept.update({envelope.id: envelope for envelope in envelopes if envelope.id not in self.kept})
        if cursor:
            self.cursors[cursor.name] = cursor.value

    async def recall(self, name: str) -> str:
        return self.cursors.get(name, "")

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    @property
    def keys(self) -> set[str]:
        return {envelope.key.partition("@")[0].strip("<") for envelope in self.kept.values()}

    async def holds(self, *identities: str) -> None:
        await until(lambda: set(identities) <= self.keys)

    async def settled(self) -> None:
        """Wait until nothing more is to be marked or moved."""
        await until(lambda: all('"owed":[]' in value for value in self.cursors.values()))


async def until(well: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not well():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)


@pytest.fixture
def server(certificate: tuple[Path, Path]) -> Iterator[Opens]:
    with ExitStack() as stack:
        yield lambda **more: stack.enter_context(Dovecot(certificate, **more))


@pytest.fixture
def dovecot(server: Opens) -> Dovecot:
    return server()


def account(dovecot: Dovecot, **more: Any) -> EmailImap:
    said = {
        "connector": "email_imap", "account": "support", "addresses": ["support@example.com"], "host": "localhost",
        "port": dovecot.imaps, "ca_file": str(dovecot.certificate[0]), "username": USER, "password": PASSWORD,
    }  # fmt: skip
    said |= {"password": ""} if "oauth" in more else {}
    return EmailImap(EmailImapSettings.model_validate({**said, **more}))


@asynccontextmanager
async def reading(journal: Journal, *accounts: EmailImap) -> AsyncIterator[None]:
    async def nobody(*_: Any) -> None: ...

    for one in accounts:
        one.resume(journal.recall)
    tasks = [asyncio.create_task(one.listen(journal.accept, nobody, journal.now)) for one in accounts]
    try:
        yield
        assert not [task for task in tasks if task.done()]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_is_there_and_what_comes_later_is_taken_in_once_and_at_once(dovecot: Dovecot) -> None:
    dovecot.mail(letter("first"))
    journal = Journal()
    async with reading(journal, account(dovecot, poll=600)):
        await journal.holds("first")
        for n in range(3):
            await asyncio.sleep(0.3)
            started = time.monotonic()
            dovecot.mail(letter(f"pushed{n}"))
            await journal.holds(f"pushed{n}")
            assert time.monotonic() - started < 3  # IDLE: Dovecot itself waits half a second for more
    async with reading(journal, account(dovecot)):
        dovecot.mail(letter("last"))
        await journal.holds("last")
    assert (journal.brought, len(journal.kept)) == (5, 5)


async def test_a_mail_between_looking_and_idling_is_not_slept_over(dovecot: Dovecot, monkeypatch: Any) -> None:
    journal, slipped = Journal(), []
    idle = email_imap.Folder.wait

    def wait(self: Any, seconds: float) -> None:
        if len(slipped) < 3:  # after the search, before IDLE
            slipped.append(f"slip{len(slipped)}")
            dovecot.mail(letter(slipped[-1]))
        idle(self, seconds)

    monkeypatch.setattr(email_imap.Folder, "wait", wait)
    async with reading(journal, account(dovecot)):
        await journal.holds("slip0", "slip1", "slip2")


async def test_nothing_is_touched_unless_it_is_asked_for(dovecot: Dovecot) -> None:
    dovecot.mail(letter("untouched"))
    with dovecot.client() as other:
        other.select_folder("INBOX")  # takes \Recent away
    before = dovecot.flags()
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await journal.holds("untouched")
    assert dovecot.flags() == before == [()]


async def test_others_may_read_and_mark_as_they_like(dovecot: Dovecot) -> None:
    dovecot.mail(letter("seen"))
    with dovecot.client() as other:
        other.select_folder("INBOX")
        other.add_flags(other.search("ALL"), [rb"\Seen"])
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await journal.holds("seen")


async def test_a_mail_is_marked_and_moved_only_once_it_is_ours(dovecot: Dovecot) -> None:
    dovecot.mail(letter("mine"))
    journal = Journal(trouble=Unavailable("the disk is full"))
    mine = account(dovecot, mark=r"\Seen", move_to="已收")
    async with reading(journal, mine):
        await asyncio.sleep(0.5)
        assert len(dovecot.flags()) == 1
        assert rb"\Seen" not in dovecot.flags()[0]
        journal.trouble = None
        await journal.holds("mine")
        await until(lambda: dovecot.flags() == [])
    assert [rb"\Seen" in flags for flags in dovecot.flags("已收")] == [True]


async def test_what_a_crash_left_unmarked_is_marked_later(dovecot: Dovecot) -> None:
    dovecot.mail(letter("owed"))
    mine, journal = account(dovecot, mark="$Ticketgate"), Journal()
    folder = await asyncio.to_thread(lambda: mine.open("INBOX", NOW, read_only=True))
    watch = email_imap.Watch(mine, "INBOX", journal.accept, journal.now)
    journal.cursors[watch.cursor] = Place(folder.validity, 1, "", owed=(1,)).kept
    async with reading(journal, mine):
        await until(lambda: dovecot.flags()[0].count(b"$Ticketgate") == 1)
        await journal.settled()
    assert journal.brought == 0


async def test_new_uids_bring_everything_again_and_double_nothing(dovecot: Dovecot) -> None:
    for n in range(30):
        dovecot.mail(letter(f"kept{n}"))
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await journal.holds(*(f"kept{n}" for n in range(30)))
    dovecot.kill()
    dovecot.forget_uids()
    for n in range(5):
        dovecot.mail(letter(f"new{n}"))
    dovecot.start()
    async with reading(journal, account(dovecot)):
        await journal.holds(*(f"new{n}" for n in range(5)))
        dovecot.mail(letter("after"))
        await journal.holds("after")
    assert (journal.brought, len(journal.kept)) == (66, 36)


async def test_what_others_delete_or_move_meanwhile_stops_nothing(dovecot: Dovecot, monkeypatch: Any) -> None:
    for n in range(20):
        dovecot.mail(letter(f"m{n}"))
    fetch = email_imap.Folder.fetch

    def robbed(self: Any, uids: Any, first: int = 0) -> Any:
        monkeypatch.undo()
        with dovecot.client() as other:
            other.select_folder("INBOX")
            other.delete_messages([3, 4])
            other.expunge()
            other.create_folder("Elsewhere")
            other.move([7], "Elsewhere")
        self.client.noop()
        return fetch(self, uids, first)

    monkeypatch.setattr(email_imap.Folder, "fetch", robbed)
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await journal.holds("m19")
        dovecot.mail(letter("next"))
        await journal.holds("next")
    assert len(journal.kept) == 18
    assert all(envelope.body for envelope in journal.kept.values())


async def test_a_folder_that_has_been_waited_for_for_days_is_caught_up(dovecot: Dovecot) -> None:
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await asyncio.sleep(0.3)
    day = 24 * 3600
    for n in range(300):
        dovecot.mail(letter(f"d{n}"), arrived=time.time() + n % 9 * day)
    journal.ahead = timedelta(days=9)
    async with reading(journal, account(dovecot)):
        await until(lambda: len(journal.kept) == 300)
    assert journal.brought == 300


async def test_a_new_account_begins_some_days_back(dovecot: Dovecot) -> None:
    dovecot.mail(letter("ancient"), arrived=time.time() - 40 * 24 * 3600)
    dovecot.mail(letter("recent"))
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await journal.holds("recent")
        dovecot.mail(letter("ancient-moved-here"), arrived=time.time() - 30 * 24 * 3600)
        await journal.holds("ancient-moved-here")
    assert "ancient" not in journal.keys
    whole = Journal()
    async with reading(whole, account(dovecot, since="all")):
        await whole.holds("ancient", "recent", "ancient-moved-here")


async def test_an_old_folder_and_nothing_new_is_an_empty_one(dovecot: Dovecot) -> None:
    dovecot.mail(letter("ancient"), arrived=time.time() - 40 * 24 * 3600)
    journal = Journal()
    async with reading(journal, account(dovecot)):
        await until(lambda: bool(journal.cursors))
        dovecot.mail(letter("first"))
        await journal.holds("first")
    assert journal.brought == 1


async def test_several_folders_are_read_beside_each_other(dovecot: Dovecot) -> None:
    with dovecot.client() as other:
        other.create_folder("投诉")
        other.select_folder("投诉")
        other.append("投诉", letter("complaint"))
    dovecot.mail(letter("asked"))
    journal = Journal()
    async with reading(journal, account(dovecot, folders=["INBOX", "投诉"])):
        await journal.holds("complaint", "asked")
        with dovecot.client() as other:
            other.append("投诉", letter("another"))
        await journal.holds("another")
    assert len(journal.cursors) == 2


async def test_a_server_without_idle_is_asked_again_and_again(server: Opens) -> None:
    with server(capability="IMAP4rev1 UIDPLUS") as dovecot:
        journal = Journal()
        async with reading(journal, account(dovecot, poll=0.1)):
            dovecot.mail(letter("asked-for"))
            await journal.holds("asked-for")
            dovecot.mail(letter("again"))
            await journal.holds("again")


async def test_without_move_it_is_copied_and_only_ours_are_expunged(server: Opens) -> None:
    dovecot = server(capability="IMAP4rev1 IDLE UIDPLUS")
    dovecot.mail(letter("theirs"), arrived=time.time() - 40 * 24 * 3600)  # before our time
    with dovecot.client() as other:
        other.select_folder("INBOX")
        other.delete_messages(other.search("ALL"))  # marked by somebody else, to be expunged when he likes
    journal = Journal()
    async with reading(journal, account(dovecot, move_to="Done")):
        dovecot.mail(letter("moves"))
        await journal.holds("moves")
        await journal.settled()
    assert len(dovecot.flags("Done")) == 1
    assert [rb"\Deleted" in flags for flags in dovecot.flags()] == [True]
    assert journal.brought == 1


async def test_starttls_is_spoken_too(dovecot: Dovecot) -> None:
    dovecot.mail(letter("secret"))
    journal = Journal()
    async with reading(journal, account(dovecot, port=dovecot.imap, tls="starttls")):
        await journal.holds("secret")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "guess"}, "refuses the login: "),
        ({"ca_file": None}, "its certificate is not trusted: "),
        ({"host": "127.0.0.1"}, "its certificate is not trusted: "),
        ({"folders": ["Nowhere"]}, "Nowhere: "),
        ({"port": 1}, "localhost:1: Connection refused"),
    ],
)
async def test_what_is_wrong_is_said_once_in_words_and_tried_again_ever_later(
    dovecot: Dovecot, wrong: dict[str, Any], said: str
) -> None:
    journal, waits = Journal(), []
    watch = email_imap.Watch.__dict__["_next_wait"]

    def counted(self: Any, before: float, error: Unavailable) -> float:
        waits.append(watch(self, before, error))
        return waits[-1] / 100

    email_imap.Watch._next_wait = counted  # type: ignore[method-assign]
    try:
        with structlog.testing.capture_logs() as logs:
            async with reading(journal, account(dovecot, **wrong)):
                await until(lambda: len(waits) >= 2)
    finally:
        email_imap.Watch._next_wait = watch  # type: ignore[method-assign]
    (told,) = [line["hint"] for line in logs]
    assert said in told
    assert PASSWORD not in told
    assert waits[0] >= (60 if "refuses" in said or "certificate" in said else 0.5)
    (finding,) = [one for one in await account(dovecot, **wrong).examine(NOW) if not one.well]
    assert said in finding.found


async def test_doctor_tells_what_the_server_can(dovecot: Dovecot) -> None:
    dovecot.mail(letter("tomorrow"), arrived=time.time() + 24 * 3600)
    found = {one.found: one.well for one in await account(dovecot, move_to="Done").examine(NOW)}
    assert any("lets support in" in said and well for said, well in found.items())
    assert any("at once" in said and well for said, well in found.items())
    assert any("yet to come" in said and not well for said, well in found.items())
    assert any("is not there yet" in said and well for said, well in found.items())


async def test_a_mail_too_large_is_set_aside_in_part_and_stays_where_it_is(dovecot: Dovecot) -> None:
    dovecot.mail(letter("large", "x" * 70 + "\n" + ("y" * 70 + "\n") * 3000))
    dovecot.mail(letter("small"))
    mine, journal = account(dovecot, size_limit=100_000, mark=r"\Seen"), Journal()
    async with reading(journal, mine):
        await journal.holds("large", "small")
        await until(lambda: sum(rb"\Seen" in flags for flags in dovecot.flags()) == 1)
    (large,) = [envelope for envelope in journal.kept.values() if "large" in envelope.key]
    assert len(large.body) == 64 * 1024
    with pytest.raises(Unreadable) as why:
        mine.parse(large)
    assert why.value.code == "oversized"


async def test_oauth_tokens_are_fetched_used_and_fetched_again(
    server: Opens, http: Any, answered: Callable[..., bytes]
) -> None:
    good = b'{"active": "true", "user": "support"}'
    http.answers = [answered(200, good, content_type="application/json")]
    with server(tokens=http.port) as dovecot:
        dovecot.mail(letter("token"))
        said = b'{"access_token": "abc", "expires_in": 3600}'
        tokens = await asyncio.start_server(
            lambda r, w: _answer(r, w, answered(200, said, connection="close")), "127.0.0.1", 0
        )
        url = f"http://127.0.0.1:{tokens.sockets[0].getsockname()[1]}/token"
        journal = Journal()
        oauth = {"token_url": url, "client_id": "gate", "client_secret": "s3cret", "refresh_token": "r"}
        async with reading(journal, account(dovecot, oauth=oauth)):
            await journal.holds("token")
        tokens.close()
        assert b"token=abc" in http.asked[0].body


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(
        next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")).split(b":")[1]
    )
    assert b"grant_type=refresh_token" in await reader.readexactly(length)
    writer.write(said)
    await writer.drain()
    writer.close()


# A server that says what none should


def scripted(server: ScriptedImap, **more: Any) -> EmailImap:
    return EmailImap(EmailImapSettings.model_validate({
        "connector": "email_imap", "account": "odd", "addresses": ["support@example.com"], "host": "127.0.0.1",
        "port": server.port, "tls": "none", "username": "u", "password": "p", "since": "all", **more,
    }))  # fmt: skip


async def test_a_mail_that_breaks_the_connection_blocks_no_other() -> None:
    mails = {uid: letter(f"p{uid}") for uid in range(1, 13)}
    async with ScriptedImap(mails, breaks={5}, refuses={8}, void={9}) as server:
        journal, mine = Journal(), scripted(server, poll=0.05)
        async with reading(journal, mine):
            await journal.holds(*(f"p{uid}" for uid in mails if uid not in (5, 8, 9)))
            await until(lambda: len(journal.kept) == 12)
            aside = [envelope for envelope in journal.kept.values() if not envelope.body]
            assert len(aside) == 3
            for envelope in aside:
                with pytest.raises(Unreadable, match="does not give mail"):
                    mine.parse(envelope)
            server.mend()
            server.mails[13] = letter("p13")
            await journal.holds("p13")
            journal.ahead = timedelta(minutes=20)
            await journal.holds("p5", "p8", "p9")


async def test_without_uidvalidity_all_is_read_again_and_known_again() -> None:
    async with ScriptedImap({1: letter("v1"), 2: letter("v2")}, validity=0) as server:
        journal = Journal()
        for _ in range(2):
            async with reading(journal, scripted(server, poll=0.05)):
                await until(lambda: server.polls > 2)
            server.polls = 0
        assert len(journal.kept) == 2


async def test_binary_literals_and_wrong_sizes_are_read() -> None:
    raw = letter("eight") + b"\x00\xff" * 10
    async with ScriptedImap({1: raw, 2: letter("next")}, literal8=True, sizes=3) as server:
        journal = Journal()
        async with reading(journal, scripted(server)):
            await journal.holds("eight", "next")
        assert raw in [envelope.body for envelope in journal.kept.values()]


async def test_a_server_that_falls_silent_is_left_and_asked_anew() -> None:
    async with ScriptedImap({1: letter("silent")}, silent_first=True) as server:
        journal = Journal()
        async with reading(journal, scripted(server, timeout=0.3)):
            await journal.holds("silent")


def test_a_password_in_clear_needs_a_server_that_takes_it() -> None:
    with pytest.raises(ValueError, match="either password or oauth"):
        EmailImapSettings.model_validate({"connector": "email_imap", "account": "a", "addresses": ["a@b.cn"],
                                          "host": "h", "username": "u"})  # fmt: skip


def test_a_cursor_nobody_can_read_is_none() -> None:
    place = Place(1, 2, "2026-01-01", (3,), (4,))
    assert Place.of(place.kept) == place
    assert [Place.of(kept) for kept in ("", "x", "[]", "{}", '{"validity": 1}')] == [None] * 5
