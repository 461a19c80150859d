"""How many tickets there are of each combination of codes, kept with every commit."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from gateway.store.dialect import Insert, Many, insert
from gateway.store.tables import CODES, tallies


def shift_tallies(connection: Connection, by: Mapping[tuple[Any, ...], int]) -> None:
    """Count tickets by their codes: so many more, or fewer, of each."""
    moved = sorted((counted, many) for counted, many in by.items() if many)
    _tallies.run(connection, [{**dict(zip(CODES, counted, strict=True)), "many": many} for counted, many in moved])


def _tally(connection: Connection) -> Insert:
    statement = insert(connection, tallies)
    more = tallies.c.many + statement.excluded.many
    return statement.on_conflict_do_update(index_elements=list(CODES), set_={"many": more})


_tallies = Many(_tally)
