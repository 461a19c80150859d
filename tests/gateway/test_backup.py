"""Backup while mail pours in, restore, and everything that can go wrong with either."""

import asyncio
import contextlib
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import storm
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Desk, Gateway, MailSink
from sqlalchemy import create_engine
from stored import MASTER, opened, stored

from gateway.backup import put_back, sealed, take
from gateway.backup.manifest import Manifest
from gateway.backup.sealed import Keys
from gateway.store import snapshot, upgrade
from gateway.store.snapshot import File
from gateway.store.store import FILE
from normalizer.errors import ConfigError

KEYS = Keys((MASTER,))
ZONE = ZoneInfo("Asia/Shanghai")
SECRET_WORD = "unverwechselbar"


@contextlib.contextmanager
def pouring(gateway: Gateway) -> Iterator[list[storm.Sender]]:
    """Two that send mail and two that send chat, for as long as this lasts."""
    senders = [
        storm.Sender(gateway, send, f"{send.__name__}{n}") for n in range(2) for send in (storm.mail, storm.chat)
    ]
    threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
    for thread in threads:
        thread.start()
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stop.set()
        for thread in threads:
            thread.join(20)


def accepted(senders: list[storm.Sender]) -> set[str]:
    return {identity for sender in senders for identity in list(sender.accepted)}


def wait_for(senders: list[storm.Sender], more: int) -> None:
    enough, deadline = len(accepted(senders)) + more, time.monotonic() + 60
    while len(accepted(senders)) < enough:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def named(tickets: list[dict[str, Any]]) -> set[str]:
    """What the senders called the messages these tickets hold."""
    said = {message["external_id"] for ticket in tickets for message in ticket["messages"]}
    return {external.strip("<>").removesuffix("@example.cn") for external in said}


@pytest.mark.timeout(300)
def test_what_was_accepted_before_a_backup_is_there_after_it_and_nothing_goes_out_or_is_numbered_twice(
    tmp_path: Path,
) -> None:
    file = tmp_path / "night.backup"
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path / "house", mail_sink=sink.port, desk=desk.port)
        with gateway.start():
            with pouring(gateway) as senders:
                wait_for(senders, 40)
                while not gateway.metric("ticketgate_tickets"):
                    time.sleep(0.05)
                before = accepted(senders)
                gateway.cli("backup", str(file))
                wait_for(senders, 30)
            gateway.settle()
            gateway.stop()
        lived = {ticket["number"]: ticket["id"] for ticket in gateway.tickets()}
        lost = gateway.folder / "data.lost"
        (gateway.folder / "data").rename(lost)

        told = gateway.json(
            "restore", str(file), "--into", str(gateway.folder / "data"), "--key-file", str(lost / "master.key")
        )
        assert 0 < told[0]["tickets"] < len(lived)  # what was not yet worked on is in its journal
        quiet = len(desk.received), len(sink.mails)
        with gateway.start():
            for n in range(5):
                storm.mail(gateway, f"after-{n}", n)
            while gateway.metric("ticketgate_waiting"):
                time.sleep(0.1)
            time.sleep(1.5)  # dispatch looks every second
            assert (len(desk.received), len(sink.mails)) == quiet
            assert "held" in gateway.log.read_text()

            there = gateway.tickets()
            assert before <= named(there)
            assert {f"after-{n}" for n in range(5)} <= named(there)
            numbers = [ticket["number"] for ticket in there]
            assert len(set(numbers)) == len(numbers)
            assert [t["number"] for t in there if lived.get(t["number"], t["id"]) != t["id"]] == []
            fresh = [t["number"] for t in there if named([t]) & {f"after-{n}" for n in range(5)}]
            assert not set(fresh) & lived.keys()

            assert "wait to be sent" in gateway.cli("outbox", "release")
            gateway.settle()
            assert len(desk.received) > quiet[0]
        of_ticket: dict[str, set[str]] = defaultdict(set)
        for one, headers in zip(desk.received, desk.headers, strict=True):
            if one["type"] == "ticket.created":
                of_ticket[one["data"]["ticket"]["id"]].add(headers["webhook-id"])
        assert {ticket["id"] for ticket in there} <= of_ticket.keys()
        assert [ids for ids in of_ticket.values() if len(ids) > 1] == []  # a helpdesk that knows ids makes none twice
        acknowledged = re.findall(rb"(?im)^message-id: *(\S+)", b"\n".join(sink.mails))
        assert len(set(acknowledged)) <= len({*lived.values(), *(ticket["id"] for ticket in there)})


@pytest.mark.parametrize("point", ["backup.after_copy", "backup.before_rename", "backup.after_rename"])
def test_a_backup_killed_anywhere_is_whole_or_not_there(house: Gateway, tmp_path: Path, point: str) -> None:
    file = tmp_path / "a.backup"
    house.refused("backup", str(file), fault=point)
    if point == "backup.after_rename":
        house.cli("backup", str(file), "--verify")
    else:
        assert not file.exists()
        house.cli("backup", str(file))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("a.backup")] == ["a.backup"]


@pytest.mark.parametrize("point", ["restore.after_unpack", "restore.before_live", "restore.after_live"])
def test_a_restore_killed_anywhere_is_finished_by_the_next_one(house: Gateway, tmp_path: Path, point: str) -> None:
    file, data = tmp_path / "a.backup", house.folder / "data"
    house.cli("backup", str(file))
    data.rename(tmp_path / "lost")
    restoring = ("restore", str(file), "--into", str(data), "--key-file", str(tmp_path / "lost" / "master.key"))
    house.refused(*restoring, fault=point)
    if point == "restore.after_live":
        assert "not empty" in house.refused(*restoring)
    else:
        assert "was not finished" in house.refused("tickets")
        house.cli(*restoring)
        assert not (data / put_back.UNFINISHED).exists()
    assert len(house.tickets()) == 3


def test_no_word_stands_in_clear_and_the_master_key_is_not_in_it(house: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    key = (house.folder / "data" / "master.key").read_bytes().strip()
    (house.folder / "keys.env").write_bytes(b"MASTER=" + key)
    (told,) = house.json("backup", str(file), "--with-config")
    assert told["left out"] == "config/keys.env: the master key is in it"
    assert not told["key inside"]
    raw = file.read_bytes()
    for word in (SECRET_WORD.encode(), b"example.cn", b"SQLite format 3", b"email_smtp", key):
        assert word not in raw
    assert file.stat().st_mode & 0o777 == 0o600
    assert "sealed under itself" in house.refused("backup", str(tmp_path / "b"), "--with-key")


def test_with_key_and_passphrase_a_backup_opens_on_a_machine_that_knows_nothing(house: Gateway, tmp_path: Path) -> None:
    file, words = tmp_path / "a.backup", tmp_path / "words"
    words.write_text("vier gute alte worte\n")
    sealing = ("--passphrase-file", str(words))
    house.cli("backup", str(file), "--with-key", "--with-config", *sealing)
    elsewhere = Gateway(tmp_path / "elsewhere")
    data = elsewhere.folder / "data"
    assert "sealed with a passphrase" in elsewhere.refused("restore", str(file), "--into", str(data))
    elsewhere.cli("restore", str(file), "--into", str(data), *sealing)
    assert len(elsewhere.tickets()) == 3
    assert (data / "from-backup" / "config" / "ticketgate.yaml").read_text() == house.config.read_text()
    words.write_text("another")
    assert "passphrase is wrong" in elsewhere.refused("backup", str(file), "--verify", *sealing)


def test_another_master_key_is_named_and_nothing_is_left_behind(house: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    house.cli("backup", str(file))
    elsewhere = Gateway(tmp_path / "elsewhere")
    elsewhere.cli("keys", "list")  # a data folder with a key of its own
    target = tmp_path / "target"
    assert "sealed with another master key" in elsewhere.refused("restore", str(file), "--into", str(target))
    assert not target.exists() or list(target.iterdir()) == []
    house.cli("keys", "rotate")
    assert "sealed with another master key" in house.refused("backup", str(file), "--verify")


def test_a_store_put_back_by_other_means_is_held_and_its_numbers_skipped(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    assert "later than now" in gateway.refused("outbox", "hold", "--as-of", "2099-01-01 00:00:00")
    yesterday = f"{datetime.now(ZONE) - timedelta(days=1):%Y-%m-%d %H:%M:%S}"
    told = gateway.cli("outbox", "hold", "--as-of", yesterday)
    (skipped,) = re.findall(r"go on (\d+) further", told)
    assert int(skipped) >= 24 * 3600 * 1000
    assert "released" in gateway.cli("outbox", "release")


def test_without_room_no_backup_is_made_and_it_says_so(house: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "backup", str(file), "--config", str(house.config)],
        env={**os.environ, **house.environment}, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )  # fmt: skip
    assert done.returncode == 1
    assert "no backup was made" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("a.backup")] == []


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tickets, one of them with a large body."""
    gateway = Gateway(tmp_path_factory.mktemp("house"), outbound="off")
    with gateway.start():
        for n in (1, 2, 9):
            storm.mail(gateway, f"{SECRET_WORD}-{n}", n)
        gateway.settle()
        gateway.stop()
    return gateway.folder / "data"


@pytest.fixture
def house(data: Path, tmp_path: Path) -> Gateway:
    """A stopped gateway with these."""
    gateway = Gateway(tmp_path / "house", outbound="off")
    shutil.copytree(data, gateway.folder / "data")
    return gateway


# ---- one file, read again and again ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    made = folder / "a.backup"

    async def data() -> None:
        store = await opened(folder / "data")
        await stored(store, "a", "20261123001", timers=("solved.missed",))
        await store.close()

    asyncio.run(data())
    take.take(
        take.Source(folder / "data", File(folder / "data" / FILE)), made, KEYS, datetime(2026, 11, 23, 10, tzinfo=UTC)
    )
    return made.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("changed") / "a.backup"


def verified(place: Path, raw: bytes) -> Manifest:
    place.write_bytes(raw)
    return put_back.verify(place, KEYS)


def test_the_file_is_in_order_as_it_is(place: Path, whole: bytes) -> None:
    assert verified(place, whole).tickets == 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.one_of(st.integers(0, 400), st.integers(min_value=0)), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_noticed(place: Path, whole: bytes, at: int, bit: int) -> None:
    raw = bytearray(whole)
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(ConfigError, match=r"damaged|another|passphrase|not a backup"):
        verified(place, bytes(raw))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.one_of(st.integers(0, 400), st.integers(min_value=0)))
def test_a_file_cut_short_anywhere_is_noticed(place: Path, whole: bytes, at: int) -> None:
    with pytest.raises(ConfigError, match=r"cut short|not a backup"):
        verified(place, whole[: at % len(whole)])


def test_what_was_added_or_moved_is_noticed(place: Path, whole: bytes) -> None:
    with pytest.raises(ConfigError, match="damaged"):
        verified(place, whole + b"x")
    with pytest.raises(ConfigError, match=r"damaged|added"):
        verified(place, whole + whole[-2000:])


def test_chunks_cannot_change_places_or_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "CHUNK", 10)
    file = tmp_path / "small"
    with file.open("wb") as out:
        sealing = sealed.Sealing(out, KEYS)
        sealing.write(b"first.....second....third.....")
        sealing.finish()
    raw = file.read_bytes()
    size = 10 + sealed.TAG
    head, chunks = raw[: -3 * size], [raw[-3 * size : -2 * size], raw[-2 * size : -size], raw[-size:]]

    def read(*those: bytes) -> bytes:
        file.write_bytes(head + b"".join(those))
        with file.open("rb") as source:
            return sealed.Opening(source, file, KEYS).read(100)

    assert read(*chunks) == b"first.....second....third....."
    with pytest.raises(ConfigError, match="damaged"):
        read(chunks[1], chunks[0], chunks[2])
    with pytest.raises(ConfigError, match="damaged"):
        read(chunks[0], chunks[2])
    with pytest.raises(ConfigError, match="cut short after byte"):
        read(chunks[0], chunks[1])
    with pytest.raises(ConfigError, match="was added after byte"):
        read(*chunks, chunks[0])


async def test_a_backup_of_a_newer_version_or_of_the_future_is_refused(
    tmp_path: Path, whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.backup"
    file.write_bytes(whole)
    later = datetime(2026, 11, 24, tzinfo=UTC)
    target = put_back.Target(tmp_path / "data", ZONE, keep_key=True)

    def older(found: str, _: Path) -> None:
        raise ConfigError(sealed.Where(str(file)), f"made by a newer Ticketgate (revision {found})")

    with monkeypatch.context() as known:
        known.setattr(upgrade, "check_known", older)
        with pytest.raises(ConfigError, match="newer Ticketgate"):
            await put_back.restore(file, target, KEYS, later)
    assert list(target.folder.iterdir()) == []
    with pytest.raises(ConfigError, match="later than now"):
        await put_back.restore(file, target, KEYS, datetime(2026, 11, 22, tzinfo=UTC))
    done = await put_back.restore(file, target, KEYS, later)
    assert done.skipped == (14 * 3600 + 1) * 1000


async def test_a_backup_of_an_older_version_is_upgraded_on_the_way(tmp_path: Path) -> None:
    file, old, new = tmp_path / "old.backup", tmp_path / "old", tmp_path / "new"
    old.mkdir()
    with create_engine(f"sqlite:///{old / FILE}").begin() as connection:
        script = Config()
        script.set_main_option("script_location", str(upgrade.SCRIPTS))
        script.attributes["connection"] = connection
        command.upgrade(script, "0001")
    made = take.take(take.Source(old, File(old / FILE)), file, KEYS, datetime(2026, 11, 23, tzinfo=UTC))
    assert made.revision == "0001" != upgrade.REVISION
    await put_back.restore(file, put_back.Target(new, ZONE, keep_key=True), KEYS, datetime(2026, 11, 24, tzinfo=UTC))
    assert snapshot.read(new / FILE, upgrade.revision) == upgrade.REVISION
    assert sorted(path.name for path in new.iterdir()) == ["blobs", "master.key", FILE]


async def test_timers_and_outbox_wait_until_released(tmp_path: Path, whole: bytes) -> None:
    file, folder = tmp_path / "a.backup", tmp_path / "data"
    file.write_bytes(whole)
    later = datetime(2026, 11, 24, tzinfo=UTC)
    await put_back.restore(file, put_back.Target(folder, ZONE, keep_key=True), KEYS, later)
    store = await opened(folder)
    try:
        assert await store.ring(later, 10) == 0
        assert await store.due(later, 10) == []
        assert await store.next_due() is None
        await store.hold_outbox(False)
        assert len(await store.due(later, 10)) == 1
        assert await store.ring(later, 10) == 1
    finally:
        await store.close()


def test_a_large_body_whose_file_is_gone_is_said_and_the_rest_is_saved(house: Gateway, tmp_path: Path) -> None:
    file = tmp_path / "a.backup"
    (blob,) = (house.folder / "data" / "blobs").iterdir()
    blob.unlink()
    assert "the data folder is damaged" in house.refused("backup", str(file))
    house.cli("backup", str(file), "--verify")
