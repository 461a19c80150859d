"""Whole rule sets, which of them went live, and decisions by their moment."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "bundles",
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lives",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["sha"], ["bundles.sha"]),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("decisions_by_time", "decisions", ["at", "seq"])
