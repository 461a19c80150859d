"""What is owed to a ticket is found by what it is: thousands of messages in one conversation slow nothing down."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    replies = sa.text("kind = 'reply'")
    op.create_index(
        "outgoing_replies", "outgoing", ["ticket"], unique=False, sqlite_where=replies, postgresql_where=replies
    )
    op.create_index("outgoing_by_state", "outgoing", ["ticket", "state", "target", "seq"], unique=False)
