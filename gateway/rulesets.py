"""The rule sets of one data folder: kept, put live, found again. What `vet.py` has not passed is not to be put live."""

import json
import zlib
from collections.abc import Sequence
from functools import partial

from gateway.bundle import Bundle, of_rulebooks, unpack
from gateway.clock import Clock
from gateway.store import audit, rulesets
from gateway.store.rulesets import Live
from gateway.store.store import Store
from normalizer.errors import Rejected

FILES = "files"  # who puts a set live where the folder is the truth
REFUSED = "rules.refused"


class RuleSets:
    """Every method raises Unavailable if the store cannot do its part."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock, self.vault = store, clock, store.vault

    async def put_live(self, bundle: Bundle, who: str, why: str, after: int | None = None) -> Live:
        """Raises Rejected (409 `conflict`) if another set went live since `after`, the `seq` of one that was live."""
        if await self._packed(bundle.sha) is None:
            packed = await self.store.database.aside(bundle.pack)
            keep = partial(rulesets.keep, vault=self.vault, sha=bundle.sha, packed=packed, now=self.clock.now())
            await self.store.database.write("arrange", keep)
        put = partial(
            rulesets.put_live, vault=self.vault, sha=bundle.sha, now=self.clock.now(), who=who, why=why, after=after
        )
        done = await self.store.database.write("arrange", put)
        if done is None:
            raise Rejected("another rule set went live meanwhile; look at it first", status=409, code="conflict")
        return done

    async def live(self) -> Live | None:
        return await self.store.database.read(partial(rulesets.live, vault=self.vault))

    async def newest(self) -> int:
        """`seq` of what is live; 0 if nothing ever was."""
        return await self.store.database.read(rulesets.newest)

    async def history(self, before: int = 0, limit: int = 50) -> Sequence[Live]:
        """What went live, newest first; before that seq."""
        return await self.store.database.read(partial(rulesets.history, vault=self.vault, before=before, limit=limit))

    async def bundle(self, sha: str, base: Bundle) -> Bundle | None:
        """A set by its whole name. Of one that decided before whole sets were kept the rest is taken from `base`."""
        if (packed := await self._packed(sha)) is not None:
            return await self.store.database.aside(partial(unpack, packed))
        old = await self.store.database.read(partial(rulesets.rulebooks, sha=sha))
        return of_rulebooks(json.loads(zlib.decompress(old)), base) if old else None

    async def named(self, name: str) -> str:
        """The whole name for `live`, or for the beginning of one. Raises Rejected (404 `not_found`)."""
        if name == "live":
            latest = await self.live()
            if latest is None:
                raise Rejected("nothing is live yet; `ticketgate serve` begins", status=404, code="not_found")
            return latest.sha
        found = await self.store.database.read(partial(rulesets.beginning_with, prefix=name.lower()))
        if len(found) != 1 or len(name) < 4:
            what = "several rule sets begin" if len(found) > 1 else "no rule set begins"
            raise Rejected(f"{what} with {name}; `ticketgate rules history` lists them", status=404, code="not_found")
        return found[0]

    async def earlier(self) -> Live:
        """What was live just before, to compare with. Raises Rejected (404 `not_found`)."""
        history = await self.history(limit=2)  # a set that is live already does not go live again
        if len(history) < 2:
            raise _none_before()
        return history[1]

    async def undone(self) -> Live:
        """What to go back to: as an editor undoes, so that going back twice goes back by two.

        Raises Rejected (404 `not_found`).
        """
        standing: list[Live] = []
        for one in reversed(await self.history(limit=200)):
            again = next((at for at, other in enumerate(standing) if other.sha == one.sha), len(standing))
            standing[again:] = [one]
        if len(standing) < 2:
            raise _none_before()
        return standing[-2]

    async def refused(self, sha: str, who: str, reason: str) -> None:
        """Put into the audit that a set was not let live."""

        note = partial(
            audit.append, vault=self.vault, now=self.clock.now(), who=who, what=REFUSED, about=sha,
            detail={"why": reason},
        )  # fmt: skip
        await self.store.database.write("arrange", note)

    async def _packed(self, sha: str) -> bytes | None:
        return await self.store.database.read(partial(rulesets.kept, vault=self.vault, sha=sha))


def _none_before() -> Rejected:
    return Rejected("no other rule set was live before", status=404, code="not_found")
