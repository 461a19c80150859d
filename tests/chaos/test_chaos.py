"""Kill -9 wherever it hurts. Accepted and lost 0, duplicate tickets 0, numbers unique, rules skipped 0."""

import asyncio
import re
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from serving import Desk, Gateway, MailSink
from storm import FAULTS, OF_WORKERS, storm, with_work
from tallied import count, lost

HERE = Path(__file__).parent


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("workers", [0, 2])
def test_nothing_accepted_is_lost_or_doubled_however_often_it_is_killed(
    tmp_path: Path, kills: int, workers: int
) -> None:
    kills = kills // 2 if workers else kills
    with MailSink() as sink, Desk() as desk:
        # Killed from outside at the same point again and again, an innocent envelope looks like one that kills.
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port, attempts=10, workers=workers)
        with_work(gateway)
        seen = storm(gateway, kills, points=OF_WORKERS if workers else FAULTS)
        gateway.settle(max(120, 4 * kills))
        time.sleep(2.5)  # the last waits are over, and what rang is journalled
        gateway.settle(120)
        gateway.stop()
        ledger = asyncio.run(count(gateway))

        assert len(seen.accepted) > kills  # there was a storm
        assert ("a worker ended" in gateway.log.read_text()) == bool(workers)
        assert not lost(seen.accepted, ledger)
        assert [external for external, times in ledger.messages.items() if times > 1] == []
        assert seen.commented
        assert seen.commented <= ledger.comments.keys()
        assert max(ledger.comments.values()) == 1
        assert ledger.tickets == len(ledger.messages)  # every one of them is a request of its own
        assert len(set(ledger.numbers)) == len(ledger.numbers) == ledger.tickets
        assert ledger.undecided == []
        assert ledger.unacknowledged == []
        assert ledger.aside >= seen.kept_aside > 0
        acknowledged = Counter(re.findall(rb"(?im)^message-id: *(\S+)", b"\n".join(sink.mails)))
        assert len(acknowledged) == ledger.tickets
        assert sum(acknowledged.values()) - len(acknowledged) <= seen.kills  # at most one twice for each kill
        assert len({one["data"]["ticket"]["id"] for one in desk.received}) == ledger.tickets
        assert ledger.worked  # and of these each has one task, one call, and waited once
        assert [number for number, did in ledger.worked.items() if did != {"tasks": 1, "rang": 1, "waits": 0}] == []
        calls = Counter(one["id"] for one in desk.received if one["type"] == "ticket.call")
        assert len(calls) == len(ledger.worked)
        assert sum(calls.values()) - len(calls) <= seen.kills * 8  # under way at once when it was killed
        if kills >= 4 * len(FAULTS) and not workers:  # each had two turns
            assert set(FAULTS) <= set(seen.points)


@pytest.mark.timeout(600)
def test_the_storm_catches_a_gateway_that_answers_before_the_commit(tmp_path: Path) -> None:
    with MailSink() as sink, Desk() as desk:
        gateway = Gateway(tmp_path, mail_sink=sink.port, desk=desk.port)
        seen = storm(gateway, 6, command=(sys.executable, str(HERE / "answers_too_early.py")))
        gateway.stop()
        assert lost(seen.accepted, asyncio.run(count(gateway)))


def test_a_sync_of_the_journal_precedes_every_answer(tmp_path: Path) -> None:
    """kill -9 cannot see a missing fsync, so the system calls are looked at themselves."""
    answers, unsynced = traced(tmp_path, sys.executable, "-m", "gateway")
    assert answers == 20
    assert unsynced == []


def test_the_trace_catches_a_database_that_does_not_sync(tmp_path: Path) -> None:
    answers, unsynced = traced(tmp_path, sys.executable, str(HERE / "syncs_too_little.py"))
    assert answers == 20
    assert len(unsynced) > 10


def traced(folder: Path, *entry: str) -> tuple[int, list[str]]:
    """Ten mails and ten webhooks, one after the other, at the door alone, which syncs for nothing else."""
    trace = folder / "strace"
    calls = "trace=fsync,fdatasync,sendto,sendmsg,write,writev"
    gateway = Gateway(folder, outbound="off")
    gateway.start(command=("strace", "-f", "-s", "64", "-e", calls, "-o", str(trace), *entry), roles="accept")
    try:
        for n in range(10):
            gateway.mail(b"From: a%d@example.cn\r\nTo: support@example.com\r\n\r\nhello %d\r\n" % (n, n))
            body = b'{"messages": [{"id": "%d", "text": "hello", "from": "a@example.cn"}]}' % n
            assert gateway.webhook(body, identity=f"h{n}") == 204
    finally:
        gateway.stop()
    return answers_without_sync(trace.read_text(errors="replace"))


def answers_without_sync(trace: str) -> tuple[int, list[str]]:
    """How many answers promised something, and those that no finished sync preceded since the one before."""
    answers, unsynced, synced = 0, [], False
    for line in trace.splitlines():
        if re.search(r"f(data)?sync(\(\d+\)| resumed>\)) += 0", line):
            synced = True
        elif re.search(r'"(250 2\.0\.0|HTTP/1\.1 204)', line):
            answers += 1
            if not synced:
                unsynced.append(line)
            synced = False
    return answers, unsynced


def test_the_trace_reader_sees_a_missing_sync() -> None:
    good = '1 fdatasync(9) = 0\n2 sendto(5, "250 2.0.0 OK 1\\r\\n", 8) = 8\n'
    assert answers_without_sync(good) == (1, [])
    assert answers_without_sync(good + '2 sendto(5, "250 2.0.0 OK 1\\r\\n", 8) = 8\n')[1]


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))
