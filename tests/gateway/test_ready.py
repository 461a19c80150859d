"""Whether it says ready is whether it could keep a message."""

import asyncio
import resource
import smtplib
import sys
import time
import urllib.error
from pathlib import Path

import pytest
from serving import Gateway
from stored import opened

from gateway import ready
from gateway.ready import Readiness
from gateway.store.turn import Turn

MAIL = b"From: a@example.cn\r\nTo: support@example.com\r\nMessage-ID: <full@x>\r\n\r\nmy parcel is lost\r\n"
QUIET = ("sh", "-c", 'exec "$0" -m gateway "$@" 2>/dev/null', sys.executable)  # a log file could not grow either


def answers(gateway: Gateway, status: int) -> str:
    """What /readyz says once it answers so."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            found, said = 200, gateway.get("/readyz")
        except urllib.error.HTTPError as e:
            found, said = e.code, e.read().decode()
        if found == status:
            return said
        time.sleep(0.2)
    raise AssertionError(f"still {found}: {said}")


def test_without_room_it_is_not_ready_and_with_room_it_is_again(tmp_path: Path) -> None:
    with Gateway(tmp_path, outbound="off").start(command=QUIET) as gateway:
        assert gateway.process
        room = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (512, room[1]))  # no file may grow beyond that
        assert answers(gateway, 503).startswith("store: the data")
        with pytest.raises(smtplib.SMTPException):
            gateway.mail(MAIL)
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, room)
        assert answers(gateway, 200) == "ready\n"
        gateway.mail(MAIL)
        gateway.settle()
        assert len(gateway.tickets()) == 1


async def test_however_many_ask_it_is_tried_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await opened(tmp_path / "data")
    tried = 0

    async def counted(*_: object) -> None:
        nonlocal tried
        tried += 1

    monkeypatch.setattr(ready, "try_out", counted)
    readiness = Readiness(store)
    assert set(await asyncio.gather(*[readiness.trouble() for _ in range(50)])) == {""}
    assert tried == 1
    await store.close()


async def test_a_trial_leaves_nothing_behind(tmp_path: Path) -> None:
    store = await opened(tmp_path / "data")
    assert await Readiness(store).trouble() == ""
    assert list(store.blobs.folder.iterdir()) == []
    await store.close()


async def test_while_a_process_hangs_over_its_turn_to_write_it_is_not_ready_and_says_so_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready, "PATIENCE", 0.3)
    monkeypatch.setattr(ready, "PAUSE", 0.0)
    store = await opened(tmp_path / "data")
    readiness, other = Readiness(store), Turn(tmp_path / "data" / "ticketgate.db")
    with other:
        assert await readiness.trouble() == "nothing was written within 0 s"
    monkeypatch.setattr(ready, "PATIENCE", 20.0)
    assert await readiness.trouble() == ""
    other.close()
    await store.close()
