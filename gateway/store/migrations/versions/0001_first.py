"""The tables of the first release."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "contacts",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "envelopes",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("blob", sa.Text(), nullable=True),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "envelopes_by_blob",
        "envelopes",
        ["blob"],
        unique=False,
        sqlite_where=sa.text("blob IS NOT NULL"),
        postgresql_where=sa.text("blob IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lanes",
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("head", sa.BigInteger(), nullable=False),
        sa.Column("ready_at", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("lane"),
        sqlite_with_rowid=False,
    )
    op.create_index("lanes_by_head", "lanes", ["head"], unique=False)
    op.create_table(
        "loads",
        sa.Column("whose", sa.Text(), nullable=False),
        sa.Column("open", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("whose"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "numbers",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("ticket"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("quarantine_by_code", "quarantine", ["code", "seq"], unique=False)
    op.create_table(
        "refusals",
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "source"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rulesets",
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("files", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "seen",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identities",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("contact", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.seq"],
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("identities_by_contact", "identities", ["contact"], unique=False)
    op.create_table(
        "tickets",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("contact", sa.BigInteger(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("subcategory", sa.Text(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("assignee", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("decided", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("number"),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.seq"],
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("tickets_by_contact", "tickets", ["contact", "created_at"], unique=False)
    op.create_table(
        "work",
        sa.Column("seq", Sequence, autoincrement=False, nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("redeliveries", sa.Integer(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.ForeignKeyConstraint(
            ["seq"],
            ["envelopes.seq"],
        ),
    )
    op.create_index(
        "work_waiting",
        "work",
        ["lane", "seq"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "known",
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "target"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("envelope", sa.BigInteger(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=True),
        sa.Column("contact", sa.BigInteger(), nullable=True),
        sa.Column("external", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.seq"],
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("messages_by_contact", "messages", ["contact"], unique=False)
    op.create_index("messages_by_envelope", "messages", ["envelope"], unique=False)
    op.create_index("messages_by_external", "messages", ["external"], unique=False)
    op.create_index("messages_by_ticket", "messages", ["ticket", "seq"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.BigInteger(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ruleset", sa.Text(), nullable=False),
        sa.Column("message", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["message"],
            ["messages.seq"],
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("decisions_by_ticket", "decisions", ["ticket", "seq"], unique=False)
    op.create_table(
        "outgoing",
        sa.Column("seq", Sequence, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.BigInteger(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("settlement", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["message"],
            ["messages.seq"],
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("outgoing_by_ticket", "outgoing", ["ticket", "target", "seq"], unique=False)
    op.create_index(
        "outgoing_due",
        "outgoing",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "outgoing_unsent",
        "outgoing",
        ["state", "seq"],
        unique=False,
        sqlite_where=sa.text("state <> 'sent'"),
        postgresql_where=sa.text("state <> 'sent'"),
    )
    op.create_table(
        "participants",
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("contact", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "contact"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sa.ForeignKeyConstraint(
            ["contact"],
            ["contacts.seq"],
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("participants_by_contact", "participants", ["contact"], unique=False)
    op.create_table(
        "threads",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "timers",
        sa.Column("ticket", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "id"),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["tickets.seq"],
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("timers_due", "timers", ["due_at"], unique=False)
    op.execute("INSERT INTO counters (name, value) VALUES ('fence', 0)")
