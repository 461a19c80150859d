"""The two sides of each pair: started as real processes, given the same load, stopped by their own id."""

import base64
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

import corpus
import installed
import load
import psycopg
from postgres import Postgres
from redis_server import RedisServer

from gateway.store.postgres import OURS, TURN

HERE = Path(__file__).parent
PATIENCE = 120.0  # seconds for a start, and for the last ticket of a run

# `outbound: off` keeps acknowledgements in the outbox: made and stored, sent to nobody. So the relay is never called.
SETTINGS = """\
company: Bench
time_zone: Asia/Shanghai
data: ./data
outbound: off
acknowledgements: {{domain_an_hour: 0, whole_an_hour: 0, storm_a_minute: 0}}
log_level: warning
http: {{listen: "127.0.0.1:{http}"}}
connectors:
  - connector: email_smtp
    account: support
    addresses: [support@example.com]
    door: {{listen: ["127.0.0.1:{smtp}"]}}
    relay: {{host: 127.0.0.1, port: 9, tls: none}}
  - connector: webhook
    account: shop
    auth: {{standard_webhooks: [{{env: BENCH_SECRET}}]}}
    reply_by: support
    map:
      external_id: id
      sender: {{user: user.id, email: user.email, name: user.name}}
      subject: subject
      text: text
      sent_at: sent_at
"""
ALONE = {"TICKETGATE_WORKERS": "0"}
WEBHOOK_PATH = "/in/webhook/shop"


class Failed(Exception):
    """A side did not do what it was asked: there is nothing to compare."""


@dataclass(frozen=True, slots=True)
class Took:
    """One run: how many in how many seconds, and what else is worth keeping."""

    count: int
    seconds: float
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.count / self.seconds


Side = Callable[[int, int], Took]  # count, run
Ask = Callable[[str], tuple[int, ...]]  # a question of one row, in SQL


@dataclass(frozen=True, slots=True)
class Gate:
    """A running Ticketgate."""

    smtp: int
    http: int
    database: Path | str  # a file of SQLite, or the address of PostgreSQL


@contextmanager
def program(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process for as long as the block lasts. Its complaints go to FOLDER/stderr."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "stderr").open("w") as complaints:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **(env or {})}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def free_port() -> int:
    with closing(socket.socket()) as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def wait_for(there: Callable[[], bool], process: subprocess.Popen[str], folder: Path) -> None:
    """Until it is there. Raises Failed with the end of its complaints if it dies or takes too long."""
    until = time.monotonic() + PATIENCE
    while not there():
        if process.poll() is not None or time.monotonic() > until:
            raise Failed(f"{process.args!r} did not start: {(folder / 'stderr').read_text()[-800:]}")
        time.sleep(0.05)


def listening(port: int) -> bool:
    with closing(socket.socket()) as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def ready(port: int) -> bool:
    with suppress(OSError, urllib.error.URLError):
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200)
    return False


@contextmanager
def ticketgate(folder: Path, roles: str, more: Mapping[str, str] = {}) -> Iterator[Gate]:
    """`ticketgate serve` on a fresh data folder."""
    gate = Gate(free_port(), free_port(), folder / "data" / "ticketgate.db")
    folder.mkdir(parents=True)
    (folder / "ticketgate.yaml").write_text(SETTINGS.format(smtp=gate.smtp, http=gate.http))
    with serving(folder, roles, more=more) as process:
        wait_for(lambda: ready(gate.http), process, folder)
        yield gate


@contextmanager
def serving(folder: Path, roles: str, port: int = 0, more: Mapping[str, str] = {}) -> Iterator[subprocess.Popen[str]]:
    """A process in these roles on that folder; its HTTP on another port than the settings say, if one is given."""
    command = [str(Path(sys.executable).with_name("ticketgate")), "serve", "--config", "ticketgate.yaml"]
    env = {"BENCH_SECRET": "whsec_" + base64.b64encode(load.SECRET).decode(), **more}
    if port:
        env["TICKETGATE_HTTP__LISTEN"] = f"127.0.0.1:{port}"
    with program([*command, *(["--role", roles] if roles else [])], folder, env) as process:
        yield process


@contextmanager
def smtp_accept(folder: Path) -> Iterator[Side]:
    with ticketgate(folder, "accept") as gate:
        yield lambda count, run: answered("smtp", gate.smtp, count, run)


@contextmanager
def webhook_accept(folder: Path) -> Iterator[Side]:
    with ticketgate(folder, "accept") as gate:
        yield lambda count, run: answered("http", gate.http, count, run, "--path", WEBHOOK_PATH)


@contextmanager
def smtp_end_to_end(folder: Path) -> Iterator[Side]:
    with ticketgate(folder, "") as gate:
        yield lambda count, run: ticketed(gate, "smtp", gate.smtp, count, run)


@contextmanager
def smtp_end_to_end_shared(folder: Path) -> Iterator[Side]:
    """A second process in role `process` beside the first, which does everything; neither has workers."""
    with (
        ticketgate(folder, "", ALONE) as gate,
        serving(folder, "process", other := free_port(), ALONE) as second,
    ):
        wait_for(lambda: ready(other), second, folder)
        yield lambda count, run: ticketed(gate, "smtp", gate.smtp, count, run)


def scaled(workers: int) -> Callable[[Path], AbstractContextManager[Side]]:
    """So many processes in role `process` on PostgreSQL, woken by Redis.

    They sleep while the mails come in at a door of their own: its work, and the load's, is not on their clock.
    """

    @contextmanager
    def opened(folder: Path) -> Iterator[Side]:
        with Postgres(fsync="on") as postgres, RedisServer() as redis, ExitStack() as running:
            gate = Gate(free_port(), free_port(), postgres.url(postgres.database()))
            folder.mkdir(parents=True)
            (folder / "ticketgate.yaml").write_text(SETTINGS.format(smtp=gate.smtp, http=gate.http))
            servers = {"TICKETGATE_STORE": str(gate.database), "TICKETGATE_REDIS": redis.url, **ALONE}
            processes = []
            for roles, port in (("accept", gate.http), *(("process", free_port()) for _ in range(workers))):
                processes.append(running.enter_context(serving(folder, roles, port, servers)))
                wait_for(partial(ready, port), processes[-1], folder)
            yield lambda count, run: _drained(gate, processes[1:], count, run)

    return opened


def _drained(gate: Gate, workers: Sequence[subprocess.Popen[str]], count: int, run: int) -> Took:
    """From waking them to the last ticket stored with its acknowledgement."""
    with asking(gate.database) as ask:
        before = there(ask)
        with _asleep(str(gate.database), workers):
            taken = answered("smtp", gate.smtp, count, run)
        began = time.time()
        return Took(count, _stored(ask, before, count) - began, taken.facts)


@contextmanager
def _asleep(database: str, workers: Sequence[subprocess.Popen[str]]) -> Iterator[None]:
    """Stopped, and not in the middle of writing, for which the door would wait."""
    question = f"SELECT pg_try_advisory_xact_lock({OURS}, {TURN})"
    try:
        while True:
            for worker in workers:
                worker.send_signal(signal.SIGSTOP)
            with psycopg.connect(database) as connection:
                if (connection.execute(question).fetchone() or (False,))[0]:
                    break
            for worker in workers:
                worker.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        yield
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGCONT)


@contextmanager
def large_end_to_end(folder: Path) -> Iterator[Side]:
    with ticketgate(folder, "") as gate:
        yield lambda count, run: ticketed(gate, "smtp", gate.smtp, count, run, "--attachment")


@contextmanager
def webhook_end_to_end(folder: Path) -> Iterator[Side]:
    with ticketgate(folder, "") as gate:
        yield lambda count, run: ticketed(gate, "http", gate.http, count, run, "--path", WEBHOOK_PATH)


@contextmanager
def aiosmtpd(folder: Path) -> Iterator[Side]:
    port = free_port()
    with program([sys.executable, str(HERE / "peers" / "aiosmtpd_sink.py"), str(port)], folder) as process:
        wait_for(lambda: listening(port), process, folder)
        yield lambda count, run: answered("smtp", port, count, run)


@contextmanager
def uvicorn(folder: Path) -> Iterator[Side]:
    port = free_port()
    with program([sys.executable, str(HERE / "peers" / "uvicorn_bare.py"), str(port)], folder) as process:
        wait_for(lambda: listening(port), process, folder)
        yield lambda count, run: answered("http", port, count, run)


@contextmanager
def node_red(folder: Path) -> Iterator[Side]:
    """Its answer comes after its ticket is stored, so being answered is being done."""
    port, flow = free_port(), HERE / "peers" / "node_red" / "settings.js"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    env = {
        "PORT": str(port),
        "DATABASE": str(folder / "tickets.sqlite3"),
        "SECRET": base64.b64encode(load.SECRET).decode(),
        "NODE_ENV": "production",
    }
    command = ["node", str(installed.node_red()), "--userDir", str(folder), "--settings", str(flow)]
    with program(command, folder, env) as process:
        wait_for(lambda: listening(port) and _has_tables(folder / "tickets.sqlite3"), process, folder)
        yield lambda count, run: answered("http", port, count, run, "--path", "/in/shop")


@contextmanager
def helpdesk(folder: Path) -> Iterator[Side]:
    yield from _helpdesk(folder, attachment=False)


@contextmanager
def large_helpdesk(folder: Path) -> Iterator[Side]:
    yield from _helpdesk(folder, attachment=True)


def _helpdesk(folder: Path, *, attachment: bool) -> Iterator[Side]:
    command = [str(installed.helpdesk_python()), str(HERE / "peers" / "django_helpdesk.py"), str(folder)]
    with program(command, folder) as process:
        if _says(process) != "ready":
            raise Failed(f"django-helpdesk did not start: {(folder / 'stderr').read_text()[-800:]}")
        yield lambda count, run: _mailbox(process, folder, count, run, attachment=attachment)


def _mailbox(process: subprocess.Popen[str], folder: Path, count: int, run: int, *, attachment: bool) -> Took:
    """Its own way in: mails lying in a local mailbox folder. Writing them there is not on its clock."""
    box = folder / f"mailbox-{run}"
    box.mkdir()
    for n, mail in enumerate(corpus.mails(count, run, attachment=attachment)):
        (box / f"{n:06d}").write_bytes(mail.raw)
    assert process.stdin is not None
    process.stdin.write(f"{box}\n")
    process.stdin.flush()
    said = json.loads(_says(process) or "{}")
    if said.get("tickets") != count:
        raise Failed(f"django-helpdesk made {said.get('tickets')} of {count}: {(folder / 'stderr').read_text()[-800:]}")
    return Took(count, said["seconds"], {"pragmas": said["pragmas"]})


def _says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def answered(protocol: str, port: int, count: int, run: int, *more: str) -> Took:
    """The load, until everything is answered as it should be. Raises Failed if anything is refused."""
    command = [sys.executable, str(HERE / "load.py"), protocol, str(port), str(count), str(run), *more]
    loading = subprocess.run(command, text=True, capture_output=True, check=False)
    if loading.returncode != 0:
        raise Failed(f"the load broke off: {loading.stderr.strip()[-500:]}")
    said = json.loads(loading.stdout)
    if sum(n for code, n in said["answers"].items() if code.startswith("2")) != count:
        raise Failed(f"answers were not all as they should be: {said['answers']}")
    return Took(count, said["seconds"], said)


def ticketed(gate: Gate, protocol: str, port: int, count: int, run: int, *more: str) -> Took:
    """The load, until its last ticket is stored with its acknowledgement in the outbox: from the first word said."""
    with asking(gate.database) as ask:
        before = there(ask)
        taken = answered(protocol, port, count, run, *more)
        ended = _stored(ask, before, count)
    return Took(count, ended - taken.facts["began"], taken.facts)


def _stored(ask: Ask, before: tuple[int, int], wanted: int) -> float:
    """When that many were seen. They are asked for 50 times a second."""
    until = time.monotonic() + PATIENCE
    while (done := finished(ask, before)) < wanted:
        if time.monotonic() > until:
            raise Failed(f"{done} of {wanted} tickets with their acknowledgements after {PATIENCE:.0f} s")
        time.sleep(0.02)
    return time.time()


def there(ask: Ask) -> tuple[int, int]:
    """The last ticket and the last thing owed, by their places."""
    newest = "(SELECT coalesce(max(seq), 0) FROM {})"
    tickets, owed = ask(f"SELECT {newest.format('tickets')}, {newest.format('outgoing')}")
    return tickets, owed


def finished(ask: Ask, since: tuple[int, int]) -> int:
    """Tickets stored since, as far as their acknowledgements are too. Those before are not counted each time again."""
    tickets = f"SELECT count(*) FROM tickets WHERE seq > {since[0]}"
    replies = f"SELECT count(*) FROM outgoing WHERE seq > {since[1]} AND kind = 'reply'"
    return min(ask(f"SELECT ({tickets}), ({replies})"))


@contextmanager
def asking(database: Path | str) -> Iterator[Ask]:
    """One row of numbers for each question. Read only, beside the running gateway."""
    opened: Any = (
        psycopg.connect(database, autocommit=True)
        if isinstance(database, str)
        else sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    )
    with closing(opened) as connection:
        yield lambda question: tuple(map(int, connection.execute(question).fetchone()))


def _has_tables(database: Path) -> bool:
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'tickets'").fetchone())
    return False
