"""Changing the master key: every key it wraps is wrapped anew, in one transaction; no words are touched.

Crash-safe together with a key file that names both: a ring of (new, old) opens whatever either has wrapped.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Table, bindparam, select, update

from gateway.crypto import KeyRing
from gateway.store.enclosed import key_place
from gateway.store.tables import contacts, envelopes, messages, meta
from gateway.store.words import contact_key_place, message_key_place

AT_ONCE = 1000
PLACES: tuple[tuple[Table, Callable[[str], str]], ...] = (
    (envelopes, key_place),
    (contacts, contact_key_place),
    (messages, message_key_place),
)


def rotate(connection: Connection, old: KeyRing, new: KeyRing) -> int:
    """How many keys were wrapped anew."""
    count = _house(connection, old, new)
    for table, place in PLACES:
        last = ""
        while rows := _some(connection, table, last):
            fresh = [
                {"of": row.id, "wrapped_key": new.wrap(old.unwrap(row.wrapped_key, place(row.id)), place(row.id))}
                for row in rows
            ]
            connection.execute(update(table).where(table.c.id == bindparam("of")), fresh)
            last, count = rows[-1].id, count + len(rows)
    return count


def _house(connection: Connection, old: KeyRing, new: KeyRing) -> int:
    rows = connection.execute(select(meta).where(meta.c.name.in_(HOUSE_KEYS))).all()
    fresh = [
        {"of": r.name, "value": new.wrap(old.unwrap(r.value, house_place(r.name)), house_place(r.name))} for r in rows
    ]
    connection.execute(update(meta).where(meta.c.name == bindparam("of")), fresh)
    return len(rows)


def _some(connection: Connection, table: Table, last: str) -> list[Any]:
    statement = select(table.c.id, table.c.wrapped_key).where(table.c.id > last, table.c.wrapped_key.is_not(None))
    return list(connection.execute(statement.order_by(table.c.id).limit(AT_ONCE)))


HOUSE_KEYS = ("house_key", "index_key")


def house_place(name: str) -> str:
    return f"meta.value:{name}"
