"""Who takes part in a ticket without being a contact, and the ledger of acknowledgements."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "parties",
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "digest"),
        sa.ForeignKeyConstraint(["ticket"], ["tickets.seq"]),
        sqlite_with_rowid=False,
    )
    op.create_index("parties_by_digest", "parties", ["digest"], unique=False)
    op.create_table(
        "acknowledgements",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("acknowledgements_by_at", "acknowledgements", ["at", "code"], unique=False)
    for name in ("address", "domain", "thread"):
        op.create_index(f"acknowledgements_by_{name}", "acknowledgements", [name, "at"], unique=False)
