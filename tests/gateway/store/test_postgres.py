"""What is PostgreSQL's own: setting up, lost connections, many who write, locks between machines, and carrying all of
it to SQLite and back.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import postgres as servers
import pytest
from sqlalchemy import Connection, select, text
from stored import LATER, LATER_SCRIPT, MASTER, NOW, arrive, envelope, outcome, stored

from gateway.backup import put_back, take
from gateway.backup.sealed import Keys
from gateway.crypto import KeyRing
from gateway.store import advisory, audit, carry, numbers, postgres, snapshot, upgrade
from gateway.store import claim as leases
from gateway.store.advisory import AdvisoryLocks
from gateway.store.postgres import Postgres
from gateway.store.store import FILE, Store
from gateway.store.tables import metadata
from normalizer.errors import ConfigError, Unavailable

pytestmark = pytest.mark.only("postgresql")
ZONE = ZoneInfo("Asia/Shanghai")
LATE = NOW + timedelta(days=1)


@pytest.fixture
def empty(postgres: servers.Postgres) -> Iterator[str]:
    """The address of a database in which nothing is."""
    name = postgres.database()
    yield postgres.url(name)
    postgres.drop(name)


async def at(url: str, folder: Path) -> Store:
    return await Store.open(folder, KeyRing(MASTER), zone=ZONE, database=Postgres(url))


def of(store: Store) -> Postgres:
    assert isinstance(store.database, Postgres)
    return store.database


# ---- setting up ------------------------------------------------------------------------------------------------------


async def test_several_that_begin_at_once_on_an_empty_database_make_one_store(empty: str, tmp_path: Path) -> None:
    made = await asyncio.gather(*(at(empty, tmp_path / "data") for _ in range(4)))
    await arrive(made[0], "a")
    assert [claim.envelope.key for claim in await made[3].claim(NOW, 5)] == ["a"]
    for store in made:
        await store.close()


async def test_an_older_one_is_upgraded_once_whoever_begins_and_a_newer_one_refused(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await at(empty, tmp_path / "data")
    made = await stored(store, "a", "20261123001")
    await store.close()
    scripts = tmp_path / "migrations"
    scripts.mkdir()
    for part in upgrade.SCRIPTS.rglob("*.py"):
        copy = scripts / part.relative_to(upgrade.SCRIPTS)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(part.read_text())
    (scripts / "versions" / f"{LATER}_later.py").write_text(LATER_SCRIPT)
    with monkeypatch.context() as newer:
        newer.setattr(upgrade, "SCRIPTS", scripts)
        newer.setattr(upgrade, "REVISION", LATER)
        both = await asyncio.gather(*(at(empty, tmp_path / "data") for _ in range(2)))
        assert [await store.ticket("20261123001") for store in both] == [made.tickets[0]] * 2
        assert await both[0].database.read(lambda c: c.scalar(text("SELECT later FROM tickets"))) is None
        for store in both:
            await store.close()
    with pytest.raises(
        ConfigError, match=f"made by a newer Ticketgate .revision {LATER}; this one .* {upgrade.REVISION}"
    ):
        await at(empty, tmp_path / "data")


async def test_a_machine_with_another_data_folder_is_told_so(empty: str, tmp_path: Path) -> None:
    store = await at(empty, tmp_path / "shared")
    await store.journal([envelope("a", body=b"x" * 400_000)], NOW)
    await store.close()
    with pytest.raises(ConfigError, match="not the data folder of postgresql://ticketgate@127") as refused:
        await at(empty, tmp_path / "own")
    assert "not-for-everybody" not in str(refused.value)
    store = await at(empty, tmp_path / "shared")
    assert len(await store.claim(NOW, 1)) == 1
    await store.close()


async def test_text_is_compared_by_its_bytes_whatever_language_the_database_is_for(store: Store) -> None:
    """So that what is listed, and where a cursor goes on, is the same as in SQLite."""
    told = "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_collation k ON k.oid = attcollation"
    other = f"{told} WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND collname <> 'C' AND relname NOT IN ('alembic_version', 'spoken')"
    assert await store.database.read(lambda c: c.scalar(text(other))) == 0


async def test_it_promises_nothing_before_it_is_on_disk_whatever_the_server_is_used_to(store: Store) -> None:
    def setting(bare: Any) -> Any:
        bare.execute("ALTER DATABASE " + bare.info.dbname + " SET synchronous_commit = off")
        with of(store).connect() as fresh:
            return fresh.execute("SHOW synchronous_commit").fetchone()

    assert await store.database.alone(setting) == ("on",)
    await store.database.alone(lambda bare: bare.execute(f"ALTER DATABASE {bare.info.dbname} RESET synchronous_commit"))


async def test_claims_listings_and_the_outbox_are_answered_by_indexes(store: Store) -> None:
    """However long the queue: a plan that had to look at every row would show as a Seq Scan that nothing forbids."""
    statement = str(leases._ready.compile(of(store)._engine))

    def plan(connection: Connection) -> str:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = connection.exec_driver_sql(
            "EXPLAIN " + statement.replace("FOR UPDATE OF lanes SKIP LOCKED", ""), (1 << 50, 10)
        )
        return "\n".join(row[0] for row in rows)

    told = await store.database.write("arrange", plan)
    assert "lanes_by_head" in told
    assert "Seq Scan" not in told


async def test_who_looks_for_a_character_that_cannot_be_kept_finds_nothing(store: Store) -> None:
    await stored(store, "a", "20261123001")
    assert await store.ticket("2026\x00") is None
    assert await store.envelope("\x00") is None
    assert await store.search("\x00") == []
    assert await store.concerned(["\x00"], ["\x00"]) == set()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@db/x", "postgresql://u@db/x"),
        ("postgresql://u:secret@a:1,b:2/x?sslmode=require", "postgresql://u@a:1,b:2/x?sslmode=require"),
        ("postgresql://db/x?password=secret&sslmode=require", "postgresql://db/x?sslmode=require"),
        ("postgresql:///x?host=/run/db", "postgresql:///x?host=/run/db"),
    ],
)
def test_no_message_shows_the_password(url: str, shown: str) -> None:
    assert Postgres(url).place == shown


# ---- when it goes away -----------------------------------------------------------------------------------------------


def thrown_out(store: Store) -> None:
    """All its connections, as a server does that is stopped."""
    with of(store).connect() as other:
        other.autocommit = True
        ours = "pid <> pg_backend_pid() AND datname = current_database()"
        other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")


async def test_a_connection_lost_at_rest_is_not_even_noticed(store: Store) -> None:
    await stored(store, "a", "20261123001")
    for _ in range(3):
        thrown_out(store)
        await asyncio.sleep(0.1)
        assert await store.ticket("20261123001")
        assert await store.journal([envelope("a")], NOW) == [False]


async def test_lost_in_the_middle_nothing_is_kept_and_the_next_goes_on(store: Store) -> None:
    def cut(connection: Connection) -> None:
        numbers.number(connection, [("t", "20261123")])
        thrown_out(store)
        numbers.number(connection, [("u", "20261123")])

    with pytest.raises(Unavailable, match="the database"):
        await store.database.write("arrange", cut)
    assert await store.numbers([("v", "20261123")]) == {"v": "20261123001"}


async def test_what_the_server_rolled_back_is_done_again(store: Store) -> None:
    tries: list[int] = []

    def crossed(connection: Connection) -> dict[str, str]:
        given = numbers.number(connection, [("t", "20261123")])
        tries.append(1)
        if len(tries) < 3:
            connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"))
        return given

    assert await store.database.write("arrange", crossed) == {"t": "20261123001"}
    assert len(tries) == 3


async def test_an_answer_lost_at_the_commit_is_no_yes(postgres: servers.Postgres, folder: Path, store: Store) -> None:
    """It was kept, or not; who is told neither sends it again, and it is known."""
    url = of(store).url
    with Severing(postgres.port) as line:
        other = await at(url.replace(f":{postgres.port}/", f":{line.port}/"), folder)
        line.sever_at = b"COMMIT\x00"
        with pytest.raises(Unavailable, match="the database"):
            await other.journal([envelope("a")], NOW)
        assert await other.journal([envelope("a"), envelope("b")], NOW) == [False, True]
        await other.close()


class Severing:
    """Between a client and the server: passes on what is said, and once it says `sever_at`, nothing comes back."""

    def __init__(self, port: int) -> None:
        self._to, self.sever_at = port, b""
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]

    def __enter__(self) -> "Severing":
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()

    def _take(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, server = self._door.accept()[0], socket.create_connection(("127.0.0.1", self._to))
                severed = threading.Event()
                threading.Thread(target=self._forth, args=(client, server, severed), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client, severed), daemon=True).start()

    def _forth(self, client: socket.socket, server: socket.socket, severed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while said := client.recv(65536):
                if self.sever_at and self.sever_at in said:
                    self.sever_at = b""
                    severed.set()
                server.sendall(said)
        server.close()

    def _back(self, server: socket.socket, client: socket.socket, severed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while said := server.recv(65536):
                if severed.is_set():
                    break
                client.sendall(said)
        client.shutdown(socket.SHUT_RDWR)
        client.close()


async def test_who_gets_no_turn_is_told_so_and_the_next_has_it(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SESSION", postgres.SESSION.replace("'30s'", "'100ms'"))
    other = await at(of(store).url, folder)
    begun, done = threading.Event(), threading.Event()

    def slow(_: Connection) -> None:
        begun.set()
        done.wait(20)

    writing = asyncio.create_task(store.database.write("arrange", slow))
    await asyncio.to_thread(begun.wait, 20)
    with pytest.raises(Unavailable, match="LockNotAvailable"):
        await other.journal([envelope("a")], NOW)
    done.set()
    await writing
    assert await other.journal([envelope("a")], NOW) == [True]
    await other.close()


# ---- several who write -----------------------------------------------------------------------------------------------


async def test_of_several_who_write_each_sees_all_before_it_and_who_follows_misses_nothing(
    store: Store, folder: Path
) -> None:
    """Numbers without gaps, a whole chain, an unbroken feed: what one that writes alone gives in SQLite."""
    others = [await at(of(store).url, folder) for _ in range(3)]
    stopping = asyncio.Event()
    followed: list[int] = []

    async def follow() -> None:
        while not stopping.is_set() or await store.events(followed[-1] if followed else 0):
            followed.extend(event.seq for event in await store.events(followed[-1] if followed else 0))
            await asyncio.sleep(0)

    async def write(one: Store, name: int) -> None:
        for n in range(12):
            key = f"{name}-{n}"
            await one.journal([envelope(key)], NOW)
            given = await one.numbers([(key, "20261123")])
            for claim in await one.claim(NOW, 1):
                made = outcome(claim, given[key], sender=f"{claim.envelope.key}@example.cn")
                assert await one.commit([made], NOW) == [True]
            note: Callable[[Connection], None] = partial(
                audit.append, vault=one.vault, now=NOW, who=f"person:{name}", what="tried"
            )
            await one.database.write("people", note)

    following = asyncio.create_task(follow())
    await asyncio.gather(*(write(one, name) for name, one in enumerate([store, *others])))
    stopping.set()
    await following
    everything = await store.events(0, 10_000)
    assert followed == [event.seq for event in everything]
    assert len(everything) == 2 * 48
    assert (await store.database.read(partial(audit.verify, vault=store.vault))).wrong == ()
    assert sorted((await store.numbers([(f"{n}-{m}", "20261123") for n in range(4) for m in range(12)])).values()) == [
        f"20261123{n:03d}" for n in range(1, 49)
    ]
    assert sum((await store.tally()).values()) == (await store.counts()).tickets == 48
    for one in others:
        await one.close()


# ---- who else works here ---------------------------------------------------------------------------------------------


@pytest.fixture
async def machines(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[AdvisoryLocks, AdvisoryLocks]]:
    monkeypatch.setattr(advisory, "SETTLED", 0.0)
    both = AdvisoryLocks(of(store)), AdvisoryLocks(of(store))
    yield both
    for one in both:
        one.close()


async def test_who_is_first_in_a_role_takes_over_and_who_comes_later_not(
    machines: tuple[AdvisoryLocks, AdvisoryLocks],
) -> None:
    here, there = (one.presence("process") for one in machines)
    assert here.enter()
    here.stay()
    assert not there.enter()
    with machines[1].nobody() as alone:
        assert not alone
    here.leave()
    there.leave()
    with machines[0].nobody() as alone:
        assert alone


async def test_what_somebody_holds_is_theirs_again_after_the_connection_was_lost(
    store: Store, machines: tuple[AdvisoryLocks, AdvisoryLocks]
) -> None:
    here, there = machines
    keeping = asyncio.create_task(here.keep())
    async with here.holder() as ours, there.holder() as theirs:
        await arrive(store, "a", "b")
        for holder in (ours, theirs):
            assert await store.claim(NOW, 1, holder)
        thrown_out(store)
        await asyncio.sleep(2 * advisory.BEAT)
        assert await dead(there) == []
    assert sorted(await dead(there)) == sorted([ours, theirs])
    keeping.cancel()


async def dead(locks: AdvisoryLocks) -> list[int]:
    found: list[int] = []

    async def free(holder: int) -> None:
        found.append(holder)

    await locks.dead_holders(free)
    return found


async def test_the_leases_of_one_that_died_are_found_and_no_others(
    store: Store, machines: tuple[AdvisoryLocks, AdvisoryLocks]
) -> None:
    here, there = machines
    await arrive(store, "a", "b")
    async with here.holder() as ours:
        assert await store.claim(NOW, 1, ours)
        async with there.holder() as theirs:
            assert await store.claim(NOW, 1, theirs)
            assert await dead(here) == []
        assert await dead(here) == [theirs]
        assert await store.free(theirs, NOW) == 1
        assert await dead(here) == []


async def test_what_only_one_may_do_is_done_by_the_next_when_its_lock_is_lost(
    store: Store, machines: tuple[AdvisoryLocks, AdvisoryLocks]
) -> None:
    done: list[str] = []

    def body(name: str) -> Callable[[], Any]:
        async def run() -> None:
            done.append(name)
            try:
                await asyncio.Event().wait()
            finally:
                done.append(f"{name} ended")

        return run

    here, there = machines
    keeping = [asyncio.create_task(one.keep()) for one in machines]
    first = asyncio.create_task(here.sole("telling", body("here")))
    await until(lambda: done == ["here"])
    second = asyncio.create_task(there.sole("telling", body("there")))
    await asyncio.sleep(1.5)
    assert done == ["here"]
    thrown_out(store)
    await until(lambda: len(done) == 3)
    assert done[1] == "here ended" or done[1] == "there"
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    for task in keeping:
        task.cancel()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        for _ in range(1000):
            if true():
                return
            await asyncio.sleep(0.05)


# ---- carried -------------------------------------------------------------------------------------------------------


def rows(connection: Connection) -> dict[str, list[Any]]:
    """All there is, but for what each makes anew."""
    own = ("indexed up to", "not indexed up to", "folder")
    return {
        table.name: sorted(
            repr(tuple(row))
            for row in connection.execute(select(table))
            if table.name not in ("counters", "meta") or row.name not in own
        )
        for table in metadata.sorted_tables
    }


async def test_a_backup_of_it_becomes_a_sqlite_folder_or_another_database_with_all_that_was_in_it(
    store: Store, folder: Path, empty: str, tmp_path: Path
) -> None:
    made = await stored(store, "a", "20261123001", targets=("crm",), timers=("solved.missed",))
    large = envelope("big", body=b"x" * 400_000)
    await store.journal([large], NOW)
    await store.prune(LATE, LATE)
    file, keys = tmp_path / "a.backup", Keys((MASTER,), b"")
    taken = await asyncio.to_thread(take.take, take.Source(folder, carry.Server(of(store))), file, keys, NOW)
    assert (taken.tickets, taken.left_out) == (1, ())
    before = await store.database.read(rows)

    await put_back.restore(file, put_back.Target(tmp_path / "file", ZONE, keep_key=True), keys, LATE)
    server = Postgres(empty)
    there = put_back.Target(tmp_path / "there", ZONE, keep_key=True, database=server)
    await put_back.restore(file, there, keys, LATE)
    assert sorted(path.name for path in there.folder.iterdir()) == ["blobs", "master.key"]
    with pytest.raises(ConfigError, match="there is a store in it already"):
        await put_back.restore(
            file, put_back.Target(tmp_path / "again", ZONE, keep_key=True, database=server), keys, LATE
        )
    await server.close()

    for one in (await Store.open(tmp_path / "file", KeyRing(MASTER), zone=ZONE), await at(empty, there.folder)):
        after = await one.database.read(rows)
        assert {name for name in before if before[name] != after[name]} == {"counters", "meta"}  # skipped, and held
        assert await one.outbox_held()
        assert await one.envelope(large.id) == large
        while await one.index_earlier():
            pass
        assert [ticket.number for ticket, _ in await one.search("parcel")] == ["20261123001"]
        assert await one.journal([envelope("a"), envelope("c")], NOW) == [False, True]
        newest = await one.database.read(lambda c: c.scalar(text("SELECT max(seq) FROM envelopes")))
        assert newest == 3  # the first was pruned, and its place is nobody's
        assert await one.ticket("20261123001") == made.tickets[0]
        await one.close()


async def test_a_server_killed_while_it_is_filled_is_empty_and_can_be_filled(
    store: Store, folder: Path, empty: str, tmp_path: Path
) -> None:
    await stored(store, "a", "20261123001")
    copy, server = tmp_path / FILE, Postgres(empty)
    carry.Server(of(store)).copy(copy, lambda *_: None)

    def dies(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        carry.fill(server, copy, dies)
    assert await server.read(upgrade.revision) == ""
    carry.fill(server, copy, lambda *_: None)
    assert await server.read(rows) == snapshot.read(copy, rows)
    await server.close()
