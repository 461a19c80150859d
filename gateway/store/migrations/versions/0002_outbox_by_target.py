"""What is due is looked for a target at a time, so that one which hangs holds up no other."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WAITING = sa.text("state = 'waiting'")
LEASED = sa.text("fence <> 0")


def upgrade() -> None:
    op.drop_index("outgoing_due", "outgoing")
    op.create_index(
        "outgoing_due", "outgoing", ["target", "due_at", "seq"], sqlite_where=WAITING, postgresql_where=WAITING
    )
    op.create_index(
        "outgoing_leased", "outgoing", ["target", "leased_until"], sqlite_where=LEASED, postgresql_where=LEASED
    )
