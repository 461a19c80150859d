"""What is only noted is in quarantine too, and counts as no failure."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

FAILED = sa.text("stage <> 'noted'")


def upgrade() -> None:
    op.create_index("quarantine_failed", "quarantine", ["seq"], sqlite_where=FAILED, postgresql_where=FAILED)
