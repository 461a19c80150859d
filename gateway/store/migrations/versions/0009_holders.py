"""Who took the lease of a lane, so that of one who died they can be freed while others work on."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("lanes", sa.Column("holder", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
