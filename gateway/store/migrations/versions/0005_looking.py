"""Lists are chosen from narrow indexes, counted by tallies, followed by events and searched by keyed digests."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

CODES = ("status", "priority", "category", "subcategory", "group", "assignee", "channel", "tier", "review")
DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("tickets", sa.Column("tier", sa.Text(), server_default="", nullable=False))
    op.add_column("tickets", sa.Column("review", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("tickets", sa.Column("due_at", sa.BigInteger()))
    op.create_index("tickets_newest", "tickets", ["seq", *CODES])
    op.create_index("tickets_due", "tickets", ["due_at", "seq", *CODES], sqlite_where=DUE, postgresql_where=DUE)
    op.create_table(
        "tallies",
        *(sa.Column(name, sa.Boolean() if name == "review" else sa.Text(), nullable=False) for name in CODES),
        sa.Column("many", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(*CODES),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ticket", sa.BigInteger()),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("thing", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    tickets = sa.table("tickets", sa.column("seq"), *map(sa.column, CODES))
    tallies = sa.table("tallies", *map(sa.column, (*CODES, "many")))
    counters = sa.table("counters", sa.column("name"), sa.column("value"))
    each = [tickets.c[name] for name in CODES]
    op.execute(tallies.insert().from_select([*CODES, "many"], sa.select(*each, sa.func.count()).group_by(*each)))
    newest = sa.select(sa.literal("not indexed up to"), sa.func.coalesce(sa.func.max(tickets.c.seq), 0))
    op.execute(counters.insert().from_select(["name", "value"], newest))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE spoken USING fts5(digests, content='', columnsize=0, detail=none, tokenize='ascii')"
        )
