"""A gateway with worker processes: they do the work, die, are replaced, and end with it."""

import json
import os
import signal
import smtplib
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Gateway
from storm import Sender, chat, mail, with_work

pytestmark = pytest.mark.xdist_group("workers")
WORKERS = 2
POISONED = """
import os, signal
from gateway import events, reading
events.HEARTBEAT = 300.0
from gateway.queue import bell, pipe
pipe.Pipe.__init__.__defaults__ = (None, 300.0)  # who is not woken waits for long
bell.Here.__init__.__defaults__ = (300.0,)
plain = reading.read
def read(mind, claim):
    if b"poison" in claim.envelope.body:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(mind, claim)
reading.read = read
"""
HANGING = """
import os, signal
from pathlib import Path
from gateway import workers
workers.BEAT, workers.SILENT = 0.25, 8
from gateway.store import sqlite
plain, once = sqlite.reach, Path(__file__).with_name("hung")
def reach(name):
    if name == "commit.before_commit" and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGSTOP)
    plain(name)
sqlite.reach = reach
"""
STUCK = """
import ctypes
from pathlib import Path
from gateway import running
running.HANGS, running.BEAT = 2.0, 0.25
from gateway import accept
plain, once = accept.Door.accept, Path(__file__).with_name("stuck")
async def kept_and_never_told(self, *given, **more):
    await plain(self, *given, **more)
    if not once.exists():
        once.touch()
        ctypes.PyDLL(None).sleep(1000)  # and the interpreter's lock is not given back
accept.Door.accept = kept_and_never_told
"""
FAILING = """
from gateway import worker
from normalizer.errors import Unavailable
async def fail(self):
    raise Unavailable("nothing works today")
worker._Worker._work = fail
from gateway.cli import main
main()
"""


def logged(gateway: Gateway, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == event]


def pids(gateway: Gateway) -> dict[int, int]:
    """Those that are ready, by number, as the log tells."""
    return {line["worker"]: line["pid"] for line in logged(gateway, "a worker is ready")}


def until(there: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_up(gateway: Gateway) -> bool:
    return gateway.metric("ticketgate_workers") == WORKERS


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # Killed from outside again and again, an innocent envelope looks like one that kills: so many attempts.
    made = Gateway(tmp_path_factory.mktemp("gateway"), outbound="off", workers=WORKERS, attempts=10)
    with_work(made)
    with made as running:
        yield running


def test_workers_make_tickets_and_the_gateway_answers_for_all_of_them(gateway: Gateway) -> None:
    until(lambda: all_up(gateway))
    for n in range(40):
        mail(gateway, f"one-{n}", n)
    gateway.settle()
    tickets = gateway.tickets()
    assert len(tickets) == 40
    assert len({ticket["number"] for ticket in tickets}) == 40
    name = 'ticketgate_envelopes_processed_total{connector="email_smtp",outcome="done"}'
    until(lambda: gateway.metric(name) == 40)
    assert gateway.metric("ticketgate_process_seconds_count") >= 40


def test_each_worker_follows_a_changed_rule_set(gateway: Gateway) -> None:
    rules = gateway.folder / "rules" / "90-storm.yaml"
    rules.write_text(rules.read_text() + "  - {rule: seen, then: {tag: seen}}\n")
    until(lambda: {line.get("worker", 0) for line in logged(gateway, "a changed rule set is live")} == {0, 1, 2})
    for n in range(10):
        mail(gateway, f"seen-{n}", n)
    gateway.settle()
    tickets = [ticket for ticket in gateway.tickets() if "seen-" in ticket["messages"][0]["external_id"]]
    assert len(tickets) == 10
    assert all("seen" in ticket["tags"] for ticket in tickets)


def test_a_worker_that_is_killed_amid_traffic_loses_nothing_and_the_doors_stay_open(gateway: Gateway) -> None:
    until(lambda: all_up(gateway))
    senders = [Sender(gateway, send, f"kill-{send.__name__}") for send in (mail, chat)]
    answers: Counter[int] = Counter()
    over = threading.Event()
    threads = [threading.Thread(target=sender.run) for sender in senders]
    threads.append(threading.Thread(target=knock, args=(gateway, answers, over)))
    for thread in threads:
        thread.start()
    killed: set[int] = set()
    for _ in range(WORKERS):
        until(lambda: any(pid not in killed for pid in pids(gateway).values()))
        time.sleep(0.3)
        victim = next(pid for pid in pids(gateway).values() if pid not in killed)
        os.kill(victim, signal.SIGKILL)
        killed.add(victim)
    for sender in senders:
        sender.stop.set()
    over.set()
    for thread in threads:
        thread.join(30)
    gateway.settle()
    assert answers.keys() == {204}
    messages = Counter(
        m["external_id"] for ticket in gateway.tickets() for m in ticket["messages"] if m["direction"] == "in"
    )
    assert {sent for sender in senders for sent in sender.accepted} <= {
        one.removesuffix("@example.cn") for one in messages
    }
    assert max(messages.values()) == 1
    until(lambda: all_up(gateway))
    assert gateway.metric("ticketgate_workers_replaced_total") == WORKERS
    assert killed == {line["pid"] for line in logged(gateway, "a worker ended")}


def knock(gateway: Gateway, answers: Counter[int], over: threading.Event) -> None:
    """At the door, once each, and not again."""
    while not over.wait(0.03):
        n = answers.total()
        body = json.dumps({"messages": [{"id": f"knock-{n}", "text": "订单", "from": f"knock-{n}@example.cn"}]})
        answers[gateway.webhook(body.encode(), identity=f"knock-{n}")] += 1


def test_told_to_stop_all_end_in_order(gateway: Gateway) -> None:
    until(lambda: all_up(gateway))
    before = list(pids(gateway).values())
    accepted = []
    for n in range(30):
        mail(gateway, f"stop-{n}", n)
        accepted.append(f"stop-{n}")
    assert gateway.stop() == 0
    assert not any(map(alive, before))
    gateway.start(environment={"TICKETGATE_WORKERS": "0"})
    gateway.settle()
    messages = Counter(m["external_id"] for ticket in gateway.tickets() for m in ticket["messages"])
    assert all(messages[f"{one}@example.cn"] == 1 for one in accepted)


def test_without_their_gateway_workers_end_at_once_and_the_next_one_need_not_wait_for_them(tmp_path: Path) -> None:
    with Gateway(tmp_path, outbound="off", workers=WORKERS) as gateway:
        until(lambda: all_up(gateway))
        before = list(pids(gateway).values())
        for n in range(30):
            mail(gateway, f"parent-{n}", n)
        assert gateway.process
        os.kill(gateway.process.pid, signal.SIGKILL)
        gateway.process.wait()
        started = time.monotonic()
        until(lambda: not any(map(alive, before)), 2)
        gateway.start()
        gateway.settle(15)  # leases of the dead would have taken minutes
        assert len(gateway.tickets()) == 30
        assert time.monotonic() - started < 20


@contextmanager
def following(gateway: Gateway) -> Iterator[Counter[str]]:
    """What the API tells of what happens, by kind."""
    (row,) = gateway.json("keys", "add", "follower", "--scope", "events:read")
    headers = {"authorization": "Bearer " + next(v for name, v in row.items() if name.startswith("secret"))}
    heard: Counter[str] = Counter()

    def listen() -> None:
        with suppress(httpx.HTTPError), httpx.stream("GET", url, headers=headers, timeout=120) as feed:
            heard["following"] += 1
            heard.update(line.removeprefix("event: ") for line in feed.iter_lines() if line.startswith("event: "))

    url = f"http://127.0.0.1:{gateway.http}/api/v1/events"
    threading.Thread(target=listen, daemon=True).start()
    until(lambda: heard["following"])
    yield heard


@contextmanager
def changed(folder: Path, change: str, workers: int = WORKERS) -> Iterator[Gateway]:
    """A gateway whose every process begins with that change of its code."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(change)
    path = os.pathsep.join([str(site), str(Path(__file__).parents[2])])
    with Gateway(folder, outbound="off", workers=workers).start(environment={"PYTHONPATH": path}) as gateway:
        yield gateway


def test_a_worker_that_hangs_while_all_wait_for_it_is_killed_and_nothing_is_lost(tmp_path: Path) -> None:
    with changed(tmp_path, HANGING) as gateway:
        began = time.monotonic()
        for n in range(12):  # the door waits too: what is being written cannot be written over
            mail(gateway, f"good-{n}", n)
        gateway.settle(30)
        assert 1.5 < time.monotonic() - began < 20
        (hung,) = logged(gateway, "a worker hangs; it is killed")
        assert hung["pid"] in {line["pid"] for line in logged(gateway, "a worker ended")}
        until(lambda: all_up(gateway))
        assert len(gateway.tickets()) == 12


@pytest.mark.parametrize("workers", [0, WORKERS])
def test_a_gateway_that_hangs_ends_by_itself_says_where_and_nothing_is_lost(tmp_path: Path, workers: int) -> None:
    with changed(tmp_path, STUCK, workers) as gateway:
        ended = [*pids(gateway).values()]
        with suppress(OSError, smtplib.SMTPException):
            mail(gateway, "good", 1)
        assert gateway.process
        assert gateway.process.wait(20) == 1
        assert 'sitecustomize.py", line 12 in kept_and_never_told' in gateway.log.read_text()
        until(lambda: not any(map(alive, ended)))
        gateway.start()
        mail(gateway, "good", 1)
        gateway.settle()
        assert len(gateway.tickets()) == 1


def test_what_kills_its_worker_each_time_is_set_aside_alone_and_who_waits_is_woken(tmp_path: Path) -> None:
    with changed(tmp_path, POISONED) as gateway:
        with following(gateway) as events:
            for n in range(12):
                mail(gateway, f"poison-{n}" if n == 4 else f"good-{n}", n)
            gateway.settle(90)
            until(lambda: events["ticket.created"] == 11)
        assert len(gateway.tickets()) == 11
        (aside,) = [row for row in gateway.json("quarantine", "list") if row["code"] == "poison"]
        assert "3 attempts" in aside["reason"]


def test_if_no_worker_can_start_the_gateway_does_not_and_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(FAILING)
    gateway = Gateway(tmp_path, outbound="off", workers=WORKERS)
    env = {**os.environ, **gateway.environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, str(broken), "serve", "--config", str(gateway.config)],
        env=env,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert b"no worker process can start: nothing works today" in done.stderr
    assert b"Traceback" not in done.stderr
