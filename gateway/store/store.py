"""The store: a few verbs, each one transaction.

    journal, refuse                 the door
    claim, release, set_aside       work on what waits, a lane at a time
    find, numbers, commit           what placing needs, and what became of it
    due, settle, ring               what is owed, and when
    everything else                 looking, and what people do by hand

All SQL is in synchronous functions over a `sqlalchemy.Connection`, one file a verb, written once for SQLite and
PostgreSQL (docs/decisions/0003-sql-in-sync-functions.md). Here each is run whole by the database's one writing thread,
or a reading one: a single hop for a transaction.

Every verb raises Unavailable if the disk or the file does not do its part; the store recovers by itself once it does.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from connectors.base import Cursor
from engine.company import Company
from engine.decision import Decision
from engine.thread import Found, Wanted
from engine.views import View
from gateway.crypto import KeyRing, SealedError, Vault
from gateway.store import (
    access,
    audit,
    damaged,
    enclosed,
    erase,
    feed,
    ledger,
    listing,
    outbox,
    reads,
    search,
    shared,
    timers,
    upgrade,
    viewing,
    whole,
)
from gateway.store import claim as leases
from gateway.store import numbers as serials
from gateway.store import quarantine as aside
from gateway.store import vault as vaults
from gateway.store.blobs import Blobs
from gateway.store.commit import commit
from gateway.store.conversation import Conversation, Talk, concerned, conversation
from gateway.store.database import Database
from gateway.store.dialect import Record
from gateway.store.find import find, reply_mac
from gateway.store.journal import Arrival, journal, sealed
from gateway.store.journal_page import bearing, journal_page, journalled
from gateway.store.ledger import Recipient, Standing, Storm
from gateway.store.listing import Filters, Page
from gateway.store.prune import prune, unspoken
from gateway.store.pulse import Pulse, pulse
from gateway.store.rotate import rotate
from gateway.store.search import Batch
from gateway.store.sqlite import Sqlite
from gateway.store.together import Together
from gateway.store.viewing import Viewed
from gateway.store.words import in_words
from gateway.store.work import (
    ApiKey,
    Claim,
    Counts,
    Event,
    Idempotency,
    Journalled,
    Limits,
    Outcome,
    Owed,
    Posted,
    Progress,
    SetAside,
    Settlement,
    Stage,
    Stuck,
)  # fmt: skip
from normalizer.canon import Contact, Envelope, Identity, Kind, Message, Ticket
from normalizer.errors import Unavailable

FILE = "ticketgate.db"


class Store:
    """One data folder and its database, open. Made by `Store.open`, ended by `close`."""

    revision = upgrade.REVISION

    def __init__(self, database: Database, vault: Vault, blobs: Blobs, zone: ZoneInfo, limits: Limits) -> None:
        self.database, self.vault, self.blobs, self.zone, self.limits = database, vault, blobs, zone, limits
        self._journal: Together[Arrival, list[bool]] = Together(self._journal_batch)
        self._refuse: Together[aside.Refusal, bool] = Together(self._refuse_batch)
        self._untold: list[datetime] = []  # until when that is leased of which we may not have been told
        self._settle: Together[tuple[Owed, Settlement, datetime], bool] = Together(self._settle_batch)

    @classmethod
    async def open(
        cls, folder: Path, keys: KeyRing, *, zone: ZoneInfo, limits: Limits | None = None,
        database: Database | None = None,
    ) -> "Store":  # fmt: skip
        """Make the data folder, or upgrade it after a backup. Raises ConfigError: a newer one, a wrong master key.

        The database is a file in the folder, unless another is given; blob files are in the folder always.
        """
        database = database or Sqlite(folder / FILE)
        try:
            await upgrade.upgrade(database, folder)
            if database.elsewhere:
                await shared.join(database, folder)
            if not await database.read(vaults.has_keys):
                await database.write("arrange", partial(vaults.make_keys, ring=keys))
            vault = await database.read(partial(vaults.unlock, ring=keys, folder=folder))
            return cls(database, vault, Blobs(folder / "blobs", vault), zone, limits or Limits())
        except BaseException:
            await database.close()
            raise

    async def close(self) -> None:
        """Finish what callers wait for, then close the file."""
        for together in (self._journal, self._refuse, self._settle):
            await together.close()
        await self.database.close()

    # ---- the door ----------------------------------------------------------------------------------------------------

    async def journal(
        self,
        envelopes: Sequence[Envelope],
        now: datetime,
        cursor: Cursor | None = None,
        *,
        idempotency: Idempotency | None = None,
    ) -> list[bool]:
        """Once this returns they are durably ours; True for each new one, False for one redelivered.

        All of them are kept, or none. Raises Rejected (409, `conflict`) if the idempotency key meant another body.
        """
        if not envelopes and cursor is None:
            return []
        large = [envelope for envelope in envelopes if len(envelope.body) > self.limits.blob_over]
        blobs = {one.id: await self.database.aside(partial(self.blobs.keep, one.body)) for one in large}
        return await self._journal(Arrival(tuple(envelopes), now, cursor, idempotency, blobs))

    async def refuse(
        self, connector: str, account: str, code: str, reason: str, body: bytes, facts: Mapping[str, str], now: datetime
    ) -> bool:
        """Keep what was turned away; False if its source is over its quota for this hour, and it was only counted."""
        return await self._refuse(aside.Refusal(connector, account, code, reason, body, facts, now))

    async def cursor(self, name: str) -> str | None:
        """How far a listener has read."""
        return await self.database.read(partial(reads.cursor, name=name))

    # ---- work --------------------------------------------------------------------------------------------------------

    async def claim(self, now: datetime, limit: int, holder: int = 0) -> list[Claim]:
        """The oldest waiting envelope of each free lane, oldest first, leased to this holder for `limits.lease`."""
        leased = await self.database.write(
            "claim", partial(leases.claim, vault=self.vault, limits=self.limits, now=now, limit=limit, holder=holder)
        )
        if not leased:
            return []
        opened = await self.database.aside(lambda: [self._opened(row) for row, _, _ in leased])
        claims = []
        for (row, fence, attempts), (envelope, trouble) in zip(leased, opened, strict=True):
            if trouble:
                await self._put_aside(row.seq, (row.lane, fence), "unreadable", trouble, now)
            else:
                claims.append(Claim(envelope, row.lane, fence, attempts, row.seq))
        return claims

    async def release(self, claim: Claim, reason: str, now: datetime, wait: timedelta) -> bool:
        """A failed attempt: again after `wait`. False if the lease is not ours any more."""
        return await self.database.write(
            "release", partial(leases.release, vault=self.vault, claim=claim, reason=reason, now=now, wait=wait)
        )

    async def hold(self, claim: Claim, until: datetime) -> bool:
        """Not yet: again at `until`, as if it had never been claimed. False if the lease is not ours any more."""
        return await self.database.write("hold", partial(leases.hold, claim=claim, until=until))

    async def behind(self, claim: Claim, limit: int) -> list[tuple[int, Envelope]]:
        """What waits in the lane after this, oldest first, with its place in the journal; whatever can be opened."""
        rows = await self.database.read(partial(leases.behind, claim=claim, limit=limit))
        opened = await self.database.aside(lambda: [self._opened(row) for row in rows])
        return [(row.seq, envelope) for row, (envelope, trouble) in zip(rows, opened, strict=True) if not trouble]

    async def set_aside(self, claim: Claim, code: str, reason: str, now: datetime) -> bool:
        """No message can be made of it. False if the lease is not ours any more."""
        return await self._put_aside(claim.seq, (claim.lane, claim.fence), code, reason, now)

    async def _put_aside(self, seq: int, lease: tuple[str, int], code: str, reason: str, now: datetime) -> bool:
        return await self.database.write(
            "set_aside",
            partial(leases.set_aside, vault=self.vault, seq=seq, lease=lease, code=code, reason=reason, now=now),
        )

    async def find(self, wanted: Sequence[Wanted], now: datetime) -> list[Found | SealedError]:
        """What is there for each, all on one snapshot; SealedError where some of that cannot be opened."""
        return await self.database.read(partial(find, vault=self.vault, wanted=wanted, now=now)) if wanted else []

    async def numbers(self, wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
        """Numbers by ticket id, for ticket ids with their local day as YYYYMMDD. Given once, kept for ever."""
        return await self.database.write("number", partial(serials.number, wanted=wanted)) if wanted else {}

    async def commit(self, outcomes: Sequence[Outcome], now: datetime) -> list[bool]:
        """All in one transaction. False for each that lost: nothing of it was kept, and its lease stays as it was."""
        if not outcomes:
            return []
        kept = await self.database.write_ready(
            "commit", partial(in_words, outcomes),
            lambda connection, words: commit(connection, self.vault, self.limits, outcomes, words, now),
        )  # fmt: skip
        if any(message.kind is Kind.DELETE for outcome in outcomes for message, _ in outcome.messages):
            await self.database.scrub(wait=False)
        return kept

    # ---- what is owed, and when --------------------------------------------------------------------------------------

    async def due(self, now: datetime, limit: int, *, outbound: bool = True) -> list[Owed]:
        """What is to be sent now, leased for `limits.outgoing_lease`; in order for each target and ticket.

        Without `outbound` only files that were left behind at vendors: nothing leaves the house by them.
        """
        until, untold = now + self.limits.outgoing_lease, self._untold
        try:
            leased = await self.database.write(
                "due",
                partial(outbox.due, limits=self.limits, now=now, limit=limit, outbound=outbound, untold=untold),
            )
            told = await self.database.read(partial(self._owed, leased=leased)) if leased else []
        except Unavailable:
            self._untold = [*untold, until]
            raise
        self._untold = []
        return told

    def _owed(self, connection: Any, leased: Sequence[tuple[Record, int]]) -> list[Owed]:
        fences = {row.seq: fence for row, fence in leased}

        def opened(rows: Sequence[Record]) -> list[Owed]:
            things = whole.outgoing(connection, self.vault, rows)
            return [outbox.owed(self.vault, one, row, fences[row.seq]) for one, row in zip(things, rows, strict=True)]

        return damaged.each(
            opened, [row for row, _ in leased],
            lambda row: Owed(damaged.outgoing(connection, row), fences[row.seq], damaged=True),
        )  # fmt: skip

    async def settle(self, owed: Owed, settlement: Settlement, now: datetime) -> bool:
        """What became of an attempt; its outcome is journalled with it. False if the lease is not ours any more."""
        return await self._settle((owed, settlement, now))

    async def ring(self, now: datetime, limit: int) -> int:
        """Put due timers into the journal. Returns how many."""
        return await self.database.write(
            "ring", partial(timers.ring, vault=self.vault, blobs=self.blobs, now=now, limit=limit)
        )

    async def next_due(self) -> datetime | None:
        """The earliest moment anything waits for; in the past if something waits now."""
        return await self.database.read(reads.next_due)

    async def retry_outgoing(self, ids: Sequence[str] | Stuck, now: datetime) -> int:
        """Owe these dead or held ones again, or all that are dead or held, each with the id it always had."""
        return await self.database.write("arrange", partial(outbox.retry, ids=ids, now=now))

    async def drop_outgoing(self, ids: Sequence[str] | Stuck, by: str, now: datetime) -> list[str]:
        """Give up these dead or held ones, or all that are dead or held, for good; the audit knows. Gives their ids."""

        def dropped(connection: Connection) -> list[str]:
            gone = outbox.drop(connection, self.vault, ids, by, now)
            for one in gone:
                audit.append(connection, self.vault, now, who=by, what="outbox.drop", about=one)
            return gone

        return await self.database.write("arrange", dropped)

    async def edit_outgoing(self, identity: str, changes: Mapping[str, str]) -> bool:
        """Mend a dead or held reply: to, subject, text; it keeps its id. False if there is none."""
        return await self.database.write(
            "arrange", partial(outbox.edit, vault=self.vault, identity=identity, changes=changes)
        )

    async def hold_outbox(self, held: bool = True) -> None:
        """Let nothing become due, neither what is owed nor any timer, until told otherwise."""
        await self.database.write("arrange", partial(outbox.hold, held=held))

    async def outbox_held(self) -> bool:
        """Whether nothing becomes due, neither what is owed nor any timer: so a restored backup begins."""
        return await self.database.read(outbox.is_held)

    async def resume(self, made_at: datetime, now: datetime) -> int:
        """Go on from a copy of that moment: nothing due until a person says so, no number given twice.

        Returns how many numbers are skipped for each day.
        """
        return await self.database.write("arrange", partial(_resume, made_at=made_at, now=now, zone=self.zone))

    async def take_over(self, role: Literal["process", "dispatch"], now: datetime) -> None:
        """Free what this role had leased before. Only for who knows that nobody else in this role is alive."""
        freeing = leases.take_over if role == "process" else outbox.take_over
        await self.database.write("arrange", partial(freeing, now=now))

    async def free(self, holder: int, now: datetime, *, tried: bool = True) -> int:
        """Free the lanes leased to a holder that is known to be gone, or to have let go of them. Returns how many.

        Not `tried`: it was not what it worked on that stopped it, and does not count as an attempt.
        """
        return await self.database.write("arrange", partial(leases.free, holder=holder, now=now, tried=tried))

    # ---- looking -----------------------------------------------------------------------------------------------------

    async def counts(self) -> Counts:
        return await self.database.read(reads.counts)

    async def tickets(
        self,
        after: str = "",
        limit: int = 50,
        *,
        before: str = "",
        order: str = "newest",
        **filters: str | Sequence[str],
    ) -> list[tuple[Ticket, Contact]]:
        """With their contacts, newest first or by what is due; after that number, or just before it.

        Filters: listing.FILTERS; several values mean one of them, "-" means none.
        """
        page = Page(after, before, limit, order)
        return await self.database.read(partial(listing.list_tickets, vault=self.vault, page=page, filters=filters))

    async def search(
        self, text: str, after: str = "", limit: int = 50, filters: Filters | None = None
    ) -> list[tuple[Ticket, Contact]]:
        """Tickets that hold all these words: first those with exactly this number or id, then newest first."""
        await self.catch_up()
        return await self.database.read(
            partial(listing.find, vault=self.vault, text=text, after=after, limit=limit, filters=filters or {})
        )

    async def view(
        self, view: View, company: Company, now: datetime, *, me: str = "", after: str = "", before: str = "",
        limit: int = 50,
    ) -> Viewed:  # fmt: skip
        """A page of a view, for the agent who looks; after that number, or just before it."""
        when, page = view.condition(me), Page(after, before, limit, view.order)
        holding = partial(_holding, view, company, now, me)
        return await self.database.read(
            partial(viewing.view, vault=self.vault, when=when, holds=holding, page=page, now=now)
        )

    async def view_count(self, view: View, now: datetime, me: str = "") -> int | None:
        """How many tickets it has; None if only reading them all could tell."""
        return await self.database.read(partial(viewing.count, when=view.condition(me), now=now))

    async def tally(self, by: str = "status", **filters: str | Sequence[str]) -> dict[str, int]:
        """How many tickets there are of each code of one kind (tables.CODES), of those that the filters choose."""
        return await self.database.read(partial(listing.tally, by=by, filters=filters))

    async def ticket(self, name: str) -> Ticket | None:
        """By id or number."""
        return await self.database.read(partial(reads.ticket, vault=self.vault, name=name))

    async def contact(self, identity: str) -> Contact | None:
        return await self.database.read(partial(reads.contact, vault=self.vault, identity=identity))

    async def messages(self, ticket: str, after: str = "", limit: int = 1000, *, latest: bool = False) -> list[Message]:
        """What was said in a ticket, in order; after that message id, or the `latest` so many."""
        return await self.database.read(
            partial(reads.messages_of, vault=self.vault, ticket_id=ticket, after=after, limit=limit, latest=latest)
        )

    async def message(self, ticket: str, identity: str) -> Message | None:
        """One of a ticket's messages, however many it has."""
        return await self.database.read(
            partial(reads.message_of, vault=self.vault, ticket_id=ticket, identity=identity)
        )

    async def trail(self, contact: str, before: str = "", limit: int = 50) -> list[tuple[Message, str]]:
        """What a contact said and was told on every channel, newest first, with numbers of tickets; before that id."""
        return await self.database.read(
            partial(reads.trail, vault=self.vault, contact_id=contact, before=before, limit=limit)
        )

    async def pulse(self, now: datetime) -> Pulse:
        """How every account and target has been lately."""
        return await self.database.read(partial(pulse, vault=self.vault, now=now))

    async def journal_page(
        self, after: str = "", limit: int = 50, connector: str = "", account: str = "", state: str = ""
    ) -> list[Journalled]:
        """What came, newest first; after that envelope. `state`: waiting, done or aside."""
        return await self.database.read(
            partial(
                journal_page, vault=self.vault, after=after, limit=limit, connector=connector, account=account,
                state=state,
            )
        )  # fmt: skip

    async def journalled(self, identity: str) -> Journalled | None:
        """One envelope of the journal, without its bytes, which `envelope` gives."""
        return await self.database.read(partial(journalled, vault=self.vault, identity=identity))

    async def bearing(self, message_id: str) -> list[Journalled]:
        """What came with a mail of this Message-ID in it, newest first; none of what could not be read."""
        return await self.database.read(partial(bearing, vault=self.vault, message_id=message_id))

    async def decisions(
        self, ticket: str, after: str = "", limit: int = 1000, *, latest: bool = False
    ) -> list[Decision]:
        """What was decided about a ticket, in order; after that hash, or the `latest` so many."""
        return await self.database.read(
            partial(reads.decisions_of, vault=self.vault, ticket_id=ticket, after=after, limit=limit, latest=latest)
        )

    async def decided(
        self, since: datetime, until: datetime, after: int = 0, limit: int = 200
    ) -> tuple[list[Decision], int]:
        """What was decided in that time, in order, after that place; and the place of the last."""
        return await self.database.read(
            partial(reads.decided, vault=self.vault, since=since, until=until, after=after, limit=limit)
        )

    async def decided_count(self, since: datetime, until: datetime) -> tuple[int, int]:
        """How many decisions that were, and the place before the first."""
        return await self.database.read(partial(reads.decided_count, since=since, until=until))

    async def outgoing(self, state: str = "", after: str = "", limit: int = 50, ticket: str = "") -> list[Posted]:
        """In that state, or all that is not sent; or a ticket's own. Newest first; after that id."""
        return await self.database.read(
            partial(reads.list_outgoing, vault=self.vault, state=state, after=after, limit=limit, ticket_id=ticket)
        )

    async def quarantine(
        self, after: str = "", limit: int = 50, code: str = "", stage: Stage | Literal[""] = "", connector: str = "",
        account: str = "", since: datetime | None = None, until: datetime | None = None, words: str = "",
    ) -> list[SetAside]:  # fmt: skip
        """Newest first, without the bytes; after that id. All, or those that all of the others choose.

        `words` stand in its reason, in how it came, or in what was kept of what was refused at the door.
        """
        chosen = aside.Chosen(code, stage, connector, account, since, until, words)
        return await self.database.read(
            partial(reads.list_quarantine, vault=self.vault, after=after, limit=limit, chosen=chosen)
        )

    async def quarantined(self, identity: str) -> SetAside | None:
        """With its bytes: all of them if it was ours, the first ones if it was refused at the door."""
        found = await self.database.read(partial(reads.quarantined, vault=self.vault, identity=identity))
        return await self._with_bytes(found) if found and found.stage != "door" else found

    async def _with_bytes(self, one: SetAside) -> SetAside:
        envelope = await self.envelope(one.id)
        return replace(one, body=envelope.body, facts=dict(envelope.transport)) if envelope else one

    async def retry_quarantined(self, ids: Sequence[str], now: datetime) -> int:
        """Let them be processed again, with no attempts counted. Raises Rejected for what was refused at the door."""
        return await self.database.write("arrange", partial(aside.retry, ids=ids))

    async def retry_code(self, code: str) -> int:
        """The same for all that is ours and was set aside or noted with this code."""
        return await self.database.write("arrange", partial(aside.retry_code, code=code))

    async def envelope(self, identity: str) -> Envelope | None:
        row = await self.database.read(partial(reads.envelope_row, identity=identity))
        return (await self.database.aside(lambda: self._opened(row)))[0] if row else None

    async def acknowledged(
        self, recipients: Sequence[Recipient], now: datetime, counted: Set[str] = ledger.COUNTED
    ) -> Standing:
        """How many acknowledgements were owed lately, to these and in all, of what is to be counted."""
        return await self.database.read(
            partial(ledger.standing, vault=self.vault, recipients=recipients, now=now, counted=counted)
        )

    async def acknowledgements(self, now: datetime) -> tuple[dict[str, int], Storm]:
        """Within the hour: how many were owed, and held back by each limit; and whether a storm stops them."""
        return await self.database.read(lambda c: (ledger.counts(c, now), ledger.read_storm(c)))

    async def keep_storm(self, storm: Storm) -> None:
        await self.database.write("arrange", partial(ledger.write_storm, storm=storm))

    async def resume_acknowledgements(self, by: str, now: datetime) -> bool:
        """Let them go again; the audit knows. False if nothing stopped them."""

        def resumed(connection: Connection) -> bool:
            audit.append(connection, self.vault, now, who=by, what="acknowledgements.resume")
            return ledger.resume(connection, now)

        return await self.database.write("arrange", resumed)

    def reply_key(self, ticket: str, number: str) -> str:
        """What an address of ours bears so that mail to it finds this ticket: NUMBER-MAC."""
        return f"{number}-{reply_mac(self.vault, ticket)}"

    def proof(self, kind: str, *parts: str) -> str:
        """What only this installation can say of these words."""
        return self.vault.digest(kind, *parts)

    def named(self, identity: Identity) -> str:
        """What `concerned` calls an identity."""
        return self.vault.digest("identity", identity.kind, identity.value)

    async def conversation(self, talk: Talk, after: int = 0) -> Conversation:
        """What its customer may see of a conversation; what is new since that event, or all."""
        return await self.database.read(partial(conversation, vault=self.vault, talk=talk, after=after))

    async def concerned(self, numbers: Sequence[str], said: Sequence[str]) -> set[str]:
        """Whose tickets these are, and who said these messages: what `named` gives of their identities."""
        return await self.database.read(partial(concerned, numbers=numbers, said=said))

    async def status_of(self, envelope: str) -> Progress | None:
        """How far an envelope has come; None if there is no such."""
        return await self.database.read(partial(reads.progress, identity=envelope))

    def _opened(self, row: Record) -> tuple[Envelope, str]:
        """The envelope, and what is wrong with its bytes if it cannot be worked on."""
        try:
            return enclosed.opened(self.vault.ring, self.blobs, row), "" if row.wrapped_key else enclosed.ERASED
        except (SealedError, FileNotFoundError) as e:
            damaged = Envelope(row.connector, row.account, "", "", row.received_at, b"")
            return damaged, f"the stored bytes cannot be opened: {type(e).__name__}"

    # ---- following what happens --------------------------------------------------------------------------------------

    async def events(self, after: int, limit: int = 500) -> list[Event]:
        """What happened after this event, in order. What is older than a week is forgotten."""
        return await self.database.read(partial(feed.after, seq=after, limit=limit))

    async def event_bounds(self) -> tuple[int, int]:
        """The oldest event that is kept, and the latest; (1, 0) if there is none."""
        return await self.database.read(feed.bounds)

    async def prune_events(self, before: datetime) -> int:
        """Forget what was told before then, if its words are in the index. Returns how many."""
        gone = 0
        while many := await self.database.write("prune", partial(search.prune_events, before=before)):
            gone += many
        return gone

    async def catch_up(self) -> bool:
        """Bring the words of what happened lately into the search index, a batch; False if it was complete."""
        return await self._index(search.following)

    async def index_earlier(self) -> int:
        """The same for tickets that were there before the index. Returns how many; call until 0."""
        batch = await self.database.read(partial(search.earlier, vault=self.vault))
        if batch is None:
            return 0
        await self.database.write("index", partial(search.write, batch=batch))
        return batch.many

    async def _index(self, reading: Callable[..., Batch | None]) -> bool:
        batch = await self.database.read(partial(reading, vault=self.vault))
        return batch is not None and await self.database.write("index", partial(search.write, batch=batch))

    # ---- by hand -----------------------------------------------------------------------------------------------------

    async def add_key(self, label: str, scopes: Sequence[str], now: datetime) -> tuple[str, str]:
        """A new API key's id, and its secret, which cannot be shown again."""
        return await self.database.write(
            "arrange", partial(access.add_key, vault=self.vault, label=label, scopes=scopes, now=now)
        )

    async def key(self, secret: str) -> ApiKey | None:
        """The API key with this secret, unless it is revoked."""
        return await self.database.read(partial(access.key, vault=self.vault, secret=secret))

    async def list_keys(self) -> list[ApiKey]:
        return await self.database.read(access.keys)

    async def revoke_key(self, identity: str) -> bool:
        return await self.database.write("arrange", partial(access.revoke, identity=identity))

    async def erase_contact(self, identity: str, now: datetime) -> bool:
        """Destroy the keys of everything a person said; reads say `erased` from then on. False if there is no such."""
        blobs = await self.database.write("erase", partial(erase.erase, vault=self.vault, contact=identity, now=now))
        if blobs is not None:
            await self._tidy()
        await self._remove(blobs or ())
        await self.database.scrub()
        return blobs is not None

    async def _tidy(self) -> None:
        """Rewrite the search index without what was taken out, in small steps that others can go between."""
        first = True
        while await self.database.write("index", partial(search.tidy, first=first)) or first:
            first = False

    async def prune(self, before: datetime, now: datetime) -> int:
        """Forget the bytes of what was done before then, not that it came. Returns how many went; call until 0."""
        count, blobs = await self.database.write("prune", partial(prune, limits=self.limits, before=before, now=now))
        await self._remove(blobs)
        return count

    async def _remove(self, names: Sequence[str]) -> None:
        """Files of which nobody speaks, while nobody else can write a row that does."""
        if names:
            await self.database.write("prune", lambda connection: self.blobs.remove(*unspoken(connection, list(names))))

    async def rotate(self, new: KeyRing) -> int:
        """Wrap every key anew by the current master of `new`. Returns how many."""
        count = await self.database.write("rotate", partial(rotate, old=self.vault.ring, new=new))
        self.vault.ring = new
        return count

    # ---- what concurrent callers share -------------------------------------------------------------------------------

    async def _journal_batch(self, arrivals: Sequence[Arrival]) -> list[list[bool] | Exception]:
        return await self.database.write_ready(
            "journal", partial(sealed, self.vault, arrivals),
            lambda connection, rows: journal(connection, self.vault, self.blobs, arrivals, rows),
        )  # fmt: skip

    async def _refuse_batch(self, refused: Sequence[aside.Refusal]) -> list[bool]:
        return await self.database.write(
            "refuse", partial(aside.refuse, vault=self.vault, limits=self.limits, refusals_=refused)
        )

    async def _settle_batch(self, settled: Sequence[tuple[Owed, Settlement, datetime]]) -> list[bool]:
        return await self.database.write(
            "settle", partial(outbox.settle, vault=self.vault, blobs=self.blobs, settled=settled)
        )


def _resume(connection: Connection, made_at: datetime, now: datetime, zone: ZoneInfo) -> int:
    outbox.hold(connection, held=True)
    return serials.skip(connection, made_at, now, zone)


def _holding(view: View, company: Company, now: datetime, me: str, ticket: Ticket, contact: Contact) -> bool:
    return view.holds(ticket, contact, company, now, me)
