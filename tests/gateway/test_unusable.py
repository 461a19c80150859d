"""A data folder that cannot be used: what is said about it, and that nothing is made worse."""

import os
import smtplib
import sqlite3
import time
import urllib.error
from pathlib import Path

import pytest
from serving import Gateway

from gateway.store.tables import contacts, envelopes

PAGE = 4096


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


def database(gateway: Gateway) -> Path:
    return gateway.folder / "data" / "ticketgate.db"


def test_a_lost_master_key_is_asked_for_and_none_is_made_in_its_place(gateway: Gateway) -> None:
    gateway.cli("tickets")
    key = gateway.folder / "data" / "master.key"
    kept = key.rename(gateway.folder / "kept.key")
    assert f"{key}: error: is missing" in gateway.refused("tickets")
    assert f"{key}: error: is missing" in gateway.refused("serve")
    assert not key.exists()
    kept.rename(key)
    gateway.cli("tickets")


def test_a_data_folder_that_is_a_file_is_a_clear_word(gateway: Gateway) -> None:
    file = gateway.folder / "data"
    file.write_text("")
    for command in ("tickets", "serve"):
        assert f"{file}: error: the data folder cannot be used: File exists" in gateway.refused(command)


def test_what_is_no_database_is_a_clear_word(gateway: Gateway) -> None:
    database(gateway).parent.mkdir()
    database(gateway).write_bytes(b"no database " * PAGE)
    for command in ("tickets", "serve"):
        assert f"{database(gateway)} is damaged (SQLITE_NOTADB)" in gateway.refused(command)
    gateway.refused("doctor")


def test_while_the_journal_is_damaged_senders_come_again_and_it_is_not_ready(gateway: Gateway) -> None:
    damage(gateway, envelopes.name)
    with gateway.start():
        for _ in range(2):
            with pytest.raises(smtplib.SMTPDataError, match=r"4\.3\.0"):
                gateway.mail(b"Subject: a\r\n\r\nb")
        assert "is damaged (SQLITE_CORRUPT)" in not_ready(gateway)
        assert gateway.log.read_text().count("the database file is damaged") == 1


def test_what_meets_a_damaged_page_is_set_aside_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, attempts=1)
    damage(gateway, contacts.name)
    with gateway.start():
        gateway.mail(b"From: li@example.cn\r\nMessage-ID: <page@x>\r\nSubject: a\r\n\r\nb")
        gateway.settle()
        assert [row["code"] for row in gateway.json("quarantine", "list")] == ["poison"]
        assert "the database file is damaged" in gateway.log.read_text()


def damage(gateway: Gateway, table: str) -> None:
    """A new data folder with a page that the disk has lost: the root of that table."""
    gateway.cli("tickets")
    with sqlite3.connect(database(gateway)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    connection.close()
    with database(gateway).open("r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(os.urandom(PAGE))


def not_ready(gateway: Gateway) -> str:
    """What it says once it has tried again."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            gateway.get("/readyz")
        except urllib.error.HTTPError as e:
            return e.read().decode()
        time.sleep(0.2)
    raise AssertionError("it says that it is ready")
