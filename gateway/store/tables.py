"""The tables, once for every dialect. What stands here in clear is what may: codes, numbers, instants and hashes.

Words, names, addresses and foreign ids are inside `sealed` columns, or are keyed digests to look things up by
(`gateway/crypto.py`). Which data key opens a sealed column: the row's own `wrapped_key`; else its contact's.

Ids are digests, so an index over them is written all over the place, and each page written is synced. Rows therefore
know each other by `seq`, which grows; an id stands in one index only, that of its own table.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    event,
    false,
    text,
)  # fmt: skip
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn
from sqlalchemy.sql.compiler import DDLCompiler

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LONG_AGO = EPOCH


class Instant(TypeDecorator[datetime]):
    """Microseconds since 1970 in UTC: the same order and precision in every dialect."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=value)


metadata = MetaData()
Sequence = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts by itself only in an INTEGER PRIMARY KEY


@compiles(CreateColumn, "postgresql")
def _in_bytes(made: CreateColumn, compiler: DDLCompiler, **given: Any) -> str:
    """Text is compared byte by byte, as in SQLite, whatever language the database was made for."""
    told: str = compiler.visit_create_column(made, **given)  # type: ignore[no-untyped-call]
    return told.replace(" TEXT", ' TEXT COLLATE "C"', 1) if isinstance(made.element.type, Text) else told


def _id() -> Column[str]:
    return Column("id", Text, nullable=False, unique=True)


def _seq() -> Column[int]:
    return Column("seq", Sequence, primary_key=True, autoincrement=True)


def _ref(name: str, to: str, *, nullable: bool = False, primary_key: bool = False) -> Column[int]:
    return Column(name, BigInteger, ForeignKey(f"{to}.seq"), nullable=nullable, primary_key=primary_key)


def _looked_up(name: str, *columns: Column[Any]) -> Table:
    """A small table found only by its primary key: stored in it."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


meta = _looked_up("meta", Column("name", Text, primary_key=True), Column("value", LargeBinary, nullable=False))

counters = _looked_up("counters", Column("name", Text, primary_key=True), Column("value", BigInteger, nullable=False))

# ---- the journal -----------------------------------------------------------------------------------------------------

envelopes = Table(
    "envelopes", metadata, _seq(), _id(),
    Column("connector", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("blob", Text),  # name of the file that holds the body, if it is large
    Column("wrapped_key", LargeBinary),  # NULL: erased
    Column("sealed", LargeBinary),
    _partial("envelopes_by_blob", "blob", where="blob IS NOT NULL"),
    sqlite_autoincrement=True,
)  # fmt: skip

WAITING, DONE, ASIDE = "waiting", "done", "aside"
DOOR, JOURNAL, NOTED = "door", "journal", "noted"

work = Table(
    "work", metadata,
    Column("seq", Sequence, ForeignKey("envelopes.seq"), primary_key=True, autoincrement=False),
    Column("lane", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("redeliveries", Integer, nullable=False),
    Column("finished_at", Instant),
    Column("trouble", LargeBinary),  # sealed: why the latest attempt failed
    _partial("work_waiting", "lane", "seq", where="state = 'waiting'"),
)  # fmt: skip

# A lane stands here as long as something waits in it; `head` is the first of that.
lanes = _looked_up(
    "lanes",
    Column("lane", Text, primary_key=True),
    Column("head", BigInteger, nullable=False),
    Column("ready_at", Instant, nullable=False),  # end of the lease, or of the wait after a failure
    Column("fence", BigInteger, nullable=False),  # 0: nobody's
    Column("holder", BigInteger, nullable=False, server_default=text("0")),  # who took that lease
)
Index("lanes_by_head", lanes.c.head)

# Ids of envelopes that were pruned.
seen = _looked_up("seen", Column("digest", Text, primary_key=True), Column("until", Instant, nullable=False))

cursors = _looked_up("cursors", Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

idempotency = _looked_up(
    "idempotency",
    Column("digest", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

quarantine = Table(
    "quarantine", metadata, _seq(), _id(),
    Column("stage", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # reason and facts, and what was refused at the door
    Index("quarantine_by_code", "code", "seq"),
    _partial("quarantine_failed", "seq", where="stage <> 'noted'"),
    sqlite_autoincrement=True,
)  # fmt: skip

refusals = _looked_up(
    "refusals",
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("source", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# ---- what became of it -----------------------------------------------------------------------------------------------

contacts = Table(
    "contacts", metadata, _seq(), _id(),
    Column("changed_at", Instant, nullable=False),
    Column("digest", Text, nullable=False),  # of what is sealed: a contact that is the same is not written again
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)  # fmt: skip

identities = _looked_up("identities", Column("digest", Text, primary_key=True), _ref("contact", "contacts"))
Index("identities_by_contact", identities.c.contact)

# What tickets are chosen and counted by.
CODES = ("status", "priority", "category", "subcategory", "group", "assignee", "channel", "tier", "review")
_DUE = text("due_at IS NOT NULL")

tickets = Table(
    "tickets", metadata, _seq(), _id(),
    Column("number", Text, nullable=False, unique=True),
    Column("version", Integer, nullable=False),
    _ref("contact", "contacts"),
    Column("channel", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("priority", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("subcategory", Text, nullable=False),
    Column("group", Text, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("decided", Text, nullable=False),  # hash of its latest decision
    Column("sealed", LargeBinary, nullable=False),
    Column("tier", Text, nullable=False, server_default=""),
    Column("review", Boolean, nullable=False, server_default=false()),  # a person is asked to look
    Column("due_at", Instant),  # of an open one: the first promise that is not kept yet
    Index("tickets_by_contact", "contact", "created_at"),
    # Lists are chosen from these alone, in their order, without a look at the wide rows.
    Index("tickets_newest", "seq", *CODES),
    Index("tickets_due", "due_at", "seq", *CODES, sqlite_where=_DUE, postgresql_where=_DUE),
    sqlite_autoincrement=True,
)  # fmt: skip

# How many tickets there are of each combination of codes, kept with every commit: counting is adding up a few rows.
tallies = _looked_up(
    "tallies",
    *(Column(name, Boolean if name == "review" else Text, primary_key=True) for name in CODES),
    Column("many", BigInteger, nullable=False),
)

# Numbers given to tickets that are not committed yet.
numbers = _looked_up("numbers", Column("ticket", Text, primary_key=True), Column("number", Text, nullable=False))

loads = _looked_up("loads", Column("whose", Text, primary_key=True), Column("open", BigInteger, nullable=False))

messages = Table(
    "messages", metadata, _seq(), _id(),
    Column("envelope", BigInteger, nullable=False),  # its seq; the journal may be pruned before
    _ref("ticket", "tickets", nullable=True),
    _ref("contact", "contacts", nullable=True),
    Column("external", Text, nullable=False),  # keyed digest of the channel's id
    Column("direction", Text, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("wrapped_key", LargeBinary),  # of a message that belongs to no contact
    Column("sealed", LargeBinary, nullable=False),
    Index("messages_by_ticket", "ticket", "seq"),
    Index("messages_by_external", "external"),
    Index("messages_by_envelope", "envelope"),
    Index("messages_by_contact", "contact"),
    sqlite_autoincrement=True,
)  # fmt: skip

threads = _looked_up("threads", Column("digest", Text, primary_key=True), _ref("ticket", "tickets"))

participants = _looked_up(
    "participants", _ref("ticket", "tickets", primary_key=True), _ref("contact", "contacts", primary_key=True)
)
Index("participants_by_contact", participants.c.contact)

# Keyed digests of the addresses that wrote in a ticket, or were written to by who did: they take part without being
# contacts yet.
parties = _looked_up("parties", _ref("ticket", "tickets", primary_key=True), Column("digest", Text, primary_key=True))
Index("parties_by_digest", parties.c.digest)

# Every acknowledgement that was owed, or would have been but for a limit: keyed digests of whom, where and in what.
acknowledgements = Table(
    "acknowledgements", metadata, _seq(),
    Column("at", Instant, nullable=False),
    Column("code", Text, nullable=False),  # the limit that kept it back; empty: it is owed
    Column("address", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("thread", Text, nullable=False),
    Index("acknowledgements_by_at", "at", "code"),
    Index("acknowledgements_by_address", "address", "at"),
    Index("acknowledgements_by_domain", "domain", "at"),
    Index("acknowledgements_by_thread", "thread", "at"),
    sqlite_autoincrement=True,
)  # fmt: skip

decisions = Table(
    "decisions", metadata, _seq(),
    Column("hash", Text, nullable=False),
    Column("previous", Text, nullable=False),
    _ref("ticket", "tickets"),
    _ref("contact", "contacts"),
    Column("trigger", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("ruleset", Text, nullable=False),
    _ref("message", "messages", nullable=True),
    Column("sealed", LargeBinary, nullable=False),  # without the words of message and ticket
    Index("decisions_by_ticket", "ticket", "seq"),
    Index("decisions_by_time", "at", "seq"),
    sqlite_autoincrement=True,
)  # fmt: skip

# ---- what decides ----------------------------------------------------------------------------------------------------

# Everything that decided, by the name of its content: rulebooks, templates, taxonomy, people, calendars, word lists.
bundles = _looked_up(
    "bundles",
    Column("sha", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

# Which of them went live, in order; the last one is.
lives = Table(
    "lives", metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=False),
    Column("sha", Text, ForeignKey("bundles.sha"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("who", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # why
)  # fmt: skip

# Rulebooks alone, as they were kept up to revision 0005; nothing is added.
rulesets = _looked_up(
    "rulesets",
    Column("sha", Text, primary_key=True),
    Column("files", LargeBinary, nullable=False),  # zlib of JSON {name: text}
)

# ---- what people are told and look things up by ----------------------------------------------------------------------

# What happened, in the transaction in which it did. Followers ask for what came after the last they saw.
events = Table(
    "events", metadata, _seq(),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("ticket", BigInteger),  # its seq
    Column("number", Text, nullable=False),
    Column("thing", Text, nullable=False),  # id of the message, outgoing thing or row of the quarantine
    Column("version", Integer, nullable=False),
    sqlite_autoincrement=True,
)  # fmt: skip

# Keyed digests of the words of each ticket, by its seq (search.py). Nothing but the index is kept; more words of a
# ticket are added by inserting its seq again.
SPOKEN = (
    "CREATE VIRTUAL TABLE spoken USING fts5(digests, content='', columnsize=0, detail=none, tokenize='ascii')"
)  # fmt: skip


# In PostgreSQL an array of them, of which each stands in a GIN index.
SPOKEN_ARRAYS = (
    "CREATE TABLE spoken (rowid BIGINT PRIMARY KEY, digests TEXT[] NOT NULL)",
    "CREATE INDEX spoken_digests ON spoken USING gin (digests)",
)


@event.listens_for(metadata, "after_create")
def _make_spoken(_: MetaData, connection: Connection, **__: Any) -> None:
    for statement in SPOKEN_ARRAYS if connection.dialect.name == "postgresql" else [SPOKEN]:
        connection.exec_driver_sql(statement)


# ---- what is owed ----------------------------------------------------------------------------------------------------

REPLY, FETCH = "reply", "fetch"
QUEUED, SENT, DEAD, HELD, DROPPED = (
    "queued",
    "sent",
    "dead",
    "held",
    "dropped",
)  # and WAITING: the next of its target and ticket

outgoing = Table(
    "outgoing", metadata, _seq(), _id(),
    Column("kind", Text, nullable=False),
    Column("step", Text, nullable=False),  # create, append, update; reply (a notice too); call; fetch
    Column("target", Text, nullable=False),
    _ref("ticket", "tickets"),
    _ref("contact", "contacts"),
    Column("state", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("leased_until", Instant, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),  # since it was last set going
    Column("tries", Integer, nullable=False),  # ever
    Column("settled_at", Instant),
    _ref("message", "messages", nullable=True),
    Column("sealed", LargeBinary, nullable=False),  # a step without the words of message and ticket
    Column("settlement", LargeBinary),  # sealed: the latest reason, or what the other side called it
    _partial("outgoing_due", "target", "due_at", "seq", where="state = 'waiting'"),
    _partial("outgoing_leased", "target", "leased_until", where="fence <> 0"),
    Index("outgoing_by_ticket", "ticket", "target", "seq"),
    Index("outgoing_by_state", "ticket", "state", "target", "seq"),  # of thousands that are sent, the few that are not
    _partial("outgoing_replies", "ticket", where="kind = 'reply'"),
    _partial("outgoing_unsent", "state", "seq", where="state <> 'sent'"),
    sqlite_autoincrement=True,
)  # fmt: skip

known = _looked_up(
    "known",
    _ref("ticket", "tickets", primary_key=True),
    Column("target", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)

timers = _looked_up(
    "timers",
    _ref("ticket", "tickets", primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
)
Index("timers_due", timers.c.due_at)

# ---- who may call ----------------------------------------------------------------------------------------------------

api_keys = Table(
    "api_keys", metadata,
    Column("id", Text, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("label", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("revoked", Boolean, nullable=False),
)  # fmt: skip

# ---- people who use the console --------------------------------------------------------------------------------------

users = Table(
    "users", metadata,
    Column("id", Text, primary_key=True),
    Column("login", Text, nullable=False, unique=True),  # keyed digest of the name they sign in with
    Column("subject", Text, unique=True),  # keyed digest of issuer and subject, for who signs in elsewhere
    Column("role", Text, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("must_change", Boolean, nullable=False),  # the password was made by somebody else
    Column("created_at", Instant, nullable=False),
    Column("last_login_at", Instant),
    Column("password", LargeBinary),  # sealed: argon2 hash
    Column("totp", LargeBinary),  # sealed: secret of the second factor
    Column("totp_offered", LargeBinary),  # sealed: one that waits for its first code
    Column("totp_step", BigInteger, nullable=False),  # of the latest code that was taken: a code counts once
    Column("sealed", LargeBinary, nullable=False),  # names and language
)  # fmt: skip

recovery_codes = _looked_up(
    "recovery_codes",
    Column("user", Text, ForeignKey("users.id"), primary_key=True),
    Column("digest", Text, primary_key=True),
)

sessions = Table(
    "sessions", metadata,
    Column("digest", Text, primary_key=True),  # keyed, of the token
    Column("user", Text, ForeignKey("users.id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # browser and address
    Index("sessions_by_user", "user"),
)  # fmt: skip

knocks = _looked_up("knocks", Column("source", Text, primary_key=True), Column("spent_until", Instant, nullable=False))

reveals = _looked_up(
    "reveals",
    Column("who", Text, primary_key=True),  # a session's digest, or a key
    Column("about", Text, primary_key=True),
    Column("until", Instant, nullable=False),
)

audit = Table(
    "audit", metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=False),  # without gaps
    Column("at", Instant, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("hash", Text, nullable=False),  # keyed, over the row and the hash before it
    Index("audit_by_about", "about", "seq"),
    Index("audit_by_who", "who", "seq"),
)  # fmt: skip
