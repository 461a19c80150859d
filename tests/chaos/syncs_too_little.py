"""A gateway broken on purpose: SQLite with synchronous=NORMAL does not sync the WAL at a commit. The trace must see it."""

import sqlite3
from pathlib import Path

from gateway.cli import main
from gateway.store import sqlite

honest = sqlite._connect


def careless(path: Path) -> sqlite3.Connection:
    connection = honest(path)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


sqlite._connect = careless
main()
