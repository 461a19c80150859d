"""A real PostgreSQL on a port of its own: it is stopped, killed and started again; databases are lent, and emptied.

Passwords go by MD5: every test has connections of its own, and SCRAM costs more than most tests.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from serving import STORE_PASSWORD, Gateway, free_port

from gateway.store import postgres as stores
from gateway.store import upgrade

CONFIG = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
max_connections = 60
shared_buffers = 32MB
fsync = {fsync}
log_line_prefix = '%m %p '
"""
STORE = """\
store: {{url: "postgresql://ticketgate@127.0.0.1:{port}/{database}", password: {{env: TEST_STORE_PASSWORD}}}}
"""
EMPTIED = """
SET session_replication_role = replica;
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', name);
  END LOOP;
  PERFORM setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S';
  INSERT INTO counters VALUES ('fence', 0);
END $$
"""
PASSWORD = STORE_PASSWORD
_numbers = itertools.count()


def programs() -> Path:
    """Debian keeps them out of the way, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else Path(shutil.which("postgres") or "/usr/bin/postgres").parent


@dataclass
class Postgres:
    """Its user `ticketgate` has a password, and may make databases. Started by root, it runs as `postgres`."""

    fsync: str = "off"  # where nothing is cut off but processes, the kernel keeps what they wrote
    port: int = field(default_factory=free_port)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="postgres-")))
    process: subprocess.Popen[bytes] | None = None
    _free: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        word = self.folder / "password"
        word.write_text(STORE_PASSWORD)
        word.chmod(0o644)
        self._run("initdb", "-D", str(self.data), "-U", "ticketgate", "-A", "md5", f"--pwfile={word}",
                  "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        settings = CONFIG.format(port=self.port, folder=self.folder, fsync=self.fsync)
        with (self.data / "postgresql.conf").open("a") as config:
            config.write(settings)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def _user(self) -> dict[str, Any]:
        if os.getuid():
            return {}
        found = pwd.getpwnam("postgres")
        return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([programs() / program, *arguments], cwd="/", capture_output=True, **self._user())
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> "Postgres":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [programs() / "postgres", "-D", str(self.data)], cwd="/", stdout=log, stderr=log,
                start_new_session=True, **self._user(),
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError), self.connect():
                return self
            time.sleep(0.02)
        raise AssertionError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()[-3000:]}")

    def kill(self) -> None:
        """All of it at once, as when its machine is gone; it recovers by its own log at the next start."""
        self._end(signal.SIGQUIT)

    def stop(self) -> None:
        """In order, as a service is restarted: whoever is connected is thrown out."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def __enter__(self) -> "Postgres":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://ticketgate:{STORE_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> "psycopg.Connection[Any]":
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def database(self) -> str:
        """A new one, by its name, with nothing in it."""
        name = f"test_{next(_numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        return name

    def drop(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def lent(self) -> str:
        """One that is set up, and holds nothing else; `give_back` makes it so for the next."""
        if self._free:
            return self._free.pop()
        name = self.database()
        database = stores.Postgres(self.url(name))
        database.transact("arrange", upgrade.make)
        database.end()
        return name

    def give_back(self, name: str) -> None:
        with self.connect(name) as connection:
            connection.execute(EMPTIED)
            made = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if made == (upgrade.REVISION,):
            self._free.append(name)


def stored_in(server: Postgres, gateway: Gateway) -> Gateway:
    """A gateway that did not start yet, with its store in a new database there."""
    told = STORE.format(port=server.port, database=server.database())
    gateway.config.write_text(told + gateway.config.read_text())
    return gateway
