"""The live rule set of a running gateway: put live, taken back, and followed by every process of an installation.

    changed -> read, checked, tested (vet.py) -> kept -> swapped as one whole
                                       |
                                       +-> refused: the old one goes on, and everybody can see why

With `rules: {source: files}` the folder is the truth: what is saved there goes live by itself, and nothing else does.
With `source: store` it is the store, which begins with what the folder holds. Either way each process looks once a
second; work in flight ends with the set it began with. Worker processes follow the store, where their gateway puts
what it has examined.
"""

import asyncio
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from engine.reading import Finding
from engine.ruleset import RuleSet
from gateway import bundle as bundles
from gateway import metrics
from gateway.bundle import Bundle
from gateway.clock import Clock
from gateway.log import log
from gateway.mind import Mind
from gateway.rulesets import FILES, RuleSets
from gateway.store.rulesets import Live
from gateway.vet import Examined, Unfit, Vetted, vet
from normalizer.errors import ConfigError, Rejected, Where

EVERY = 1.0  # seconds between two looks
AT_ONCE = 500  # rules let go at a time


@dataclass(frozen=True, slots=True)
class Refusal:
    """A set that was not let live."""

    sha: str  # empty if it could not even be read
    at: datetime
    who: str
    findings: tuple[Finding, ...]


class LiveRules:
    """What one process knows of it. `swap` is how the house changes its mind."""

    def __init__(
        self, mind: Mind, sets: RuleSets, clock: Clock, swap: Callable[[Mind], None], follows: bool = False
    ) -> None:
        """`follows`: another process of ours sees to it what is live in the store."""
        self.mind, self.sets, self.clock = mind, sets, clock
        self.follows = follows
        self.refusal: Refusal | None = None
        self.since = clock.now()
        self._swap = swap
        self._seq = 0  # of the live set we decide by
        self._stamp = bundles.stamp(mind.configured) if self.by_files else ()
        self._changing = asyncio.Lock()

    @property
    def by_files(self) -> bool:
        return self.mind.configured.settings.rules.source == "files" and not self.follows

    async def begin(self) -> None:
        """Note what this process starts with, if that is to be live: the folder's set, or the first one of a store."""
        if self.follows:
            return  # the first look tells
        known = await self.sets.live()
        if self.by_files:
            if known and known.sha != self.mind.bundle.sha and await self._went_on_with(known):
                return
            known = None
        differs = bool(known) and await asyncio.to_thread(self._differs)
        if differs:
            log.info("the folder holds other rules than the live set", path=str(self.mind.configured.rules),
                     hint="`ticketgate rules put` makes them live")  # fmt: skip
        live = known or await self.sets.put_live(self.mind.bundle, FILES, "start")
        self._seq = live.seq

    async def _went_on_with(self, known: Live) -> bool:
        """Whether the folder was changed for the worse while nobody looked, so that what was live goes on."""
        try:
            await self.vet(self.mind.bundle, FILES)
        except Unfit as e:
            if not (before := await self._running(known.sha)):
                return False
            refused, self.mind, self._seq = self.mind.bundle.sha, before, known.seq
            self._swap(before)
            self._refuse(refused, FILES, e.findings)
            return True
        return False

    async def _running(self, sha: str) -> Mind | None:
        """What decides by a set that was live; nothing if this version cannot read it."""
        try:
            bundle = await self.sets.bundle(sha, self.mind.bundle)
            made = await asyncio.to_thread(self.mind.with_bundle, bundle) if bundle else None
            return made.running() if made else None
        except ConfigError:
            return None

    def _differs(self) -> bool:
        """Whether the folder, with which the store once began, has gone on without it."""
        try:
            return bundles.read(self.mind.configured).sha != self.mind.bundle.sha
        except ConfigError:
            return False

    async def follow(self) -> None:
        """Look for a changed set, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.look()

    async def look(self) -> None:
        """Once: follow the folder, or the store."""
        async with self._changing:
            await (self._look_at_files() if self.by_files else self._look_at_store())

    async def put_live(self, bundle: Bundle, who: str, why: str, after: int | None = None) -> Live:
        """Raises Unfit, or Rejected (409): `read_only` where files are the truth, `conflict` if another was faster."""
        if self.by_files:
            raise read_only()
        vetted = await self.vet(bundle, who)
        async with self._changing:
            live = await self.sets.put_live(bundle, who, why, after)
            self._take(vetted, live.seq)
        return live

    async def take_back(self, who: str, why: str, sha: str = "", after: int | None = None) -> Live:
        """Put an earlier set live again: this one, or the one before. Raises what `put_live` does; 404 without one."""
        if self.by_files:
            raise read_only()
        name = await self.sets.named(sha) if sha else (await self.sets.undone()).sha
        return await self.put_live(await self.bundle(name), who, why, after)

    async def bundle(self, sha: str) -> Bundle:
        """Raises Rejected (404 `not_found`)."""
        found = await self.sets.bundle(sha, self.mind.bundle)
        if found is None:
            raise Rejected(f"no rule set {sha}", status=404, code="not_found")
        return found

    async def vet(self, bundle: Bundle, who: str) -> Vetted:
        """Raises Unfit, which is then in the audit."""
        try:
            today, known = self.clock.now().date().isoformat(), Examined(()) if self.follows else None
            return await asyncio.to_thread(_vetted, self.mind, bundle, today, known)
        except Unfit as e:
            metrics.rules_reloaded.labels("refused").inc()
            log.warning("a rule set may not go live", ruleset=bundle.sha[:12], by=who, where=str(e.findings[0]))
            await self.sets.refused(bundle.sha, who, str(e))
            raise

    async def _look_at_files(self) -> None:
        stamp = await asyncio.to_thread(bundles.stamp, self.mind.configured)
        if stamp == self._stamp:
            return
        await asyncio.sleep(EVERY / 4)  # whoever is saving several files gets done with it
        if stamp != await asyncio.to_thread(bundles.stamp, self.mind.configured):
            return
        await self._follow_files()
        self._stamp = stamp  # not before: while the store cannot do its part, it is tried again

    async def _follow_files(self) -> None:
        try:
            bundle = await asyncio.to_thread(bundles.read, self.mind.configured)
        except ConfigError as e:
            self._refuse("", FILES, (Finding(e.where, e.code, e.what, e.hint),))
            return
        if bundle.sha == self.mind.bundle.sha:
            self._well()
        elif vetted := await self._vetted(bundle, FILES):
            live = await self.sets.put_live(bundle, FILES, "changed")
            self._take(vetted, live.seq)

    async def _look_at_store(self) -> None:
        if self._seq == await self.sets.newest():
            return
        live = await self.sets.live()
        if live is None:
            return
        bundle = await self.bundle(live.sha)
        if bundle.sha == self.mind.bundle.sha:
            self._seq = live.seq
            self._well()
        elif vetted := await self._vetted(bundle, live.who):
            self._take(vetted, live.seq)
        else:
            self._seq = live.seq  # what does not fit this process will not fit it a second later

    async def _vetted(self, bundle: Bundle, who: str) -> Vetted | None:
        try:
            return await self.vet(bundle, who)
        except Unfit as e:
            self._refuse(bundle.sha, who, e.findings)
            return None

    def _refuse(self, sha: str, who: str, findings: tuple[Finding, ...]) -> None:
        self.refusal = Refusal(sha, self.clock.now(), who, findings)
        metrics.rules_refused.set(1)
        log.error("a changed rule set was refused; the old one goes on", where=str(findings[0]),
                  ruleset=self.mind.bundle.sha[:12])  # fmt: skip

    def _take(self, vetted: Vetted, seq: int) -> None:
        """From now on. One assignment: whoever has the old mind in hand goes on with it, whole."""
        old, self._seq = self.mind, seq
        self._well()
        if old.bundle.sha == vetted.mind.bundle.sha:
            return
        self.mind = vetted.mind
        self._swap(vetted.mind)
        self.since = self.clock.now()
        metrics.rules_reloaded.labels("live").inc()
        log.info("a changed rule set is live", ruleset=vetted.mind.bundle.sha[:12],
                 rules=len(vetted.mind.ruleset.rules), count=vetted.tests)  # fmt: skip
        _keep_until_done(asyncio.create_task(let_go(old.ruleset)))

    def _well(self) -> None:
        self.refusal = None
        metrics.rules_refused.set(0)


def _vetted(mind: Mind, bundle: Bundle, today: str, known: Examined | None) -> Vetted:
    """What nobody foresaw is a refusal too: everybody sees it, and the old set goes on."""
    try:
        return vet(mind, bundle, today, known)
    except Unfit:
        raise
    except Exception as e:
        log.exception("a rule set could not be examined", ruleset=bundle.sha[:12])
        what = f"it could not be examined: {type(e).__name__}"
        raise Unfit(bundle, (Finding(Where("rules"), "config", what, "see the log, and tell the makers"),)) from e


def read_only() -> Rejected:
    what = "the rules are read from files (rules: {source: files}); change them there, as in git"
    return Rejected(what, status=409, code="read_only")


async def let_go(ruleset: RuleSet) -> None:
    """Forget an old set a few rules at a time, once nobody works with it: all at once would be a pause."""
    rules, unused, loop = list(ruleset.rules), asyncio.Event(), asyncio.get_running_loop()
    told = weakref.finalize(ruleset, loop.call_soon_threadsafe, unused.set)
    del ruleset
    try:
        await unused.wait()
    finally:
        told.detach()
    while rules:
        del rules[-AT_ONCE:]
        await asyncio.sleep(0.005)


_under_way: set[asyncio.Task[None]] = set()


def _keep_until_done(task: asyncio.Task[None]) -> None:
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
