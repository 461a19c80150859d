"""The gateway on PostgreSQL: kill -9, and a server that is stopped, killed and started again under load."""

import asyncio
import threading
import time
from pathlib import Path

import pytest
from postgres import Postgres, stored_in
from serving import Desk, Gateway, MailSink
from storm import Sender, chat, mail, storm
from tallied import count, lost

WITHIN = 10.0  # seconds after the server is back


@pytest.fixture
def restarts(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--restarts"))


def test_nothing_accepted_is_lost_or_doubled_however_often_the_gateway_is_killed(
    postgres: Postgres, tmp_path: Path
) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = stored_in(postgres, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port, attempts=10))
        seen = storm(gateway, 3)
        gateway.settle(120)
        gateway.stop()
        ledger = asyncio.run(count(gateway))
        assert len(seen.accepted) > 3
        assert not lost(seen.accepted, ledger)
        assert [external for external, times in ledger.messages.items() if times > 1] == []
        assert seen.commented <= ledger.comments.keys()
        assert ledger.tickets == len(ledger.messages) == len(set(ledger.numbers))
        assert (ledger.undecided, ledger.unacknowledged) == ([], [])
        assert ledger.aside >= seen.kept_aside


@pytest.mark.timeout(3600)
def test_nothing_is_lost_or_doubled_when_the_server_goes_and_all_goes_on_once_it_is_back(
    tmp_path: Path, restarts: int
) -> None:
    """In turns it is stopped in order and killed at once; what was accepted stands on a disk that is synced."""
    with Postgres(fsync="on") as server, MailSink() as sink, Desk() as desk:
        gateway = stored_in(server, Gateway(tmp_path, mail_sink=sink.port, desk=desk.port, attempts=10))
        senders = [Sender(gateway, send, f"{send.__name__}x{n}") for n in range(2) for send in (mail, chat)]
        threads = [threading.Thread(target=sender.run, daemon=True) for sender in senders]
        with gateway:
            for thread in threads:
                thread.start()
            waited = [away(server, senders, n) for n in range(restarts)]
            for sender in senders:
                sender.stop.set()
            for thread in threads:
                thread.join(30)
            gateway.settle(120)
            gateway.stop()
        ledger = asyncio.run(count(gateway))
        accepted = {one for sender in senders for one in sender.accepted}
        print(f"{restarts} restarts, {len(accepted)} accepted, working again after {max(waited):.1f} s at most")
        assert max(waited) < WITHIN, waited
        assert not lost(accepted, ledger)
        assert [external for external, times in ledger.messages.items() if times > 1] == []
        assert ledger.tickets == len(ledger.messages) == len(set(ledger.numbers))
        assert (ledger.undecided, ledger.unacknowledged) == ([], [])
        assert [one for one in gateway.json("quarantine", "list") if one["stage"] != "noted"] == []


def away(server: Postgres, senders: list[Sender], n: int) -> float:
    """Seconds from when the server is back until each sender has something accepted again."""
    until_each(senders)
    server.kill() if n % 2 else server.stop()
    time.sleep(0.5)
    server.start()
    return until_each(senders)


def until_each(senders: list[Sender]) -> float:
    """Seconds until each of them has had five more accepted."""
    before, begun = [len(sender.accepted) for sender in senders], time.monotonic()
    while any(len(sender.accepted) < had + 5 for sender, had in zip(senders, before, strict=True)):
        assert time.monotonic() < begun + 60
        time.sleep(0.02)
    return time.monotonic() - begun
