"""One thing of the outbox, by its id."""

from sqlalchemy import Connection, select

from gateway.crypto import Vault
from gateway.store.reads import list_outgoing
from gateway.store.tables import outgoing, tickets
from gateway.store.work import Posted

MOST = 1000  # of one ticket


def posted(connection: Connection, vault: Vault, identity: str) -> Posted | None:
    """Found among those of its ticket, which are few."""
    of = select(tickets.c.id).join(outgoing, outgoing.c.ticket == tickets.c.seq).where(outgoing.c.id == identity)
    ticket = connection.scalar(of)
    if ticket is None:
        return None
    theirs = list_outgoing(connection, vault, "", "", MOST, ticket)
    return next((one for one in theirs if one.outgoing.id == identity), None)
