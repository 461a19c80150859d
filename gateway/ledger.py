"""How many acknowledgements may still go out: to one address, in one thread, to one domain, in all.

A round opens the ledger with what counts so far, asks it before each decision and enters what became of it, so that the
limits hold within the round too. More than the storm's figure within a minute stops all of them, until nobody has asked
for nearly as many for a while, or a person says so (`ticketgate acknowledgements resume`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway import metrics
from gateway.house import House
from gateway.log import log
from gateway.settings import Acknowledgements
from gateway.store.ledger import Recipient, Standing, Storm
from normalizer.canon import Address, Message
from normalizer.identity import email_address

LONGER = timedelta(seconds=10)  # a storm's end is put off in steps of this


@dataclass(slots=True)
class Ledger:
    """Of one round."""

    limits: Acknowledgements
    standing: Standing
    now: datetime
    owed: Counter[tuple[str, str]] = field(default_factory=Counter)  # in this round, by what it counts against
    asked: int = 0
    storm: Storm = field(init=False)

    def __post_init__(self) -> None:
        self.storm = self.standing.storm

    def check(self, to: Recipient) -> str:
        """The limit that one more to them would overstep; empty if none."""
        limits, had, owed = self.limits, self.standing, self.owed
        if self.storm.rages(self.now) or _reached(limits.storm_a_minute, had.minute + owed["", "whole"]):
            self._rage()
            return "storm"
        in_thread = had.threads.get(to.thread, 0) + owed["thread", to.thread]
        figures = (
            ("address", limits.address_an_hour, had.addresses.get(to.address, 0) + owed["address", to.address]),
            ("thread", limits.thread_a_day if to.thread else 0, in_thread),
            ("domain", limits.domain_an_hour, had.domains.get(to.domain, 0) + owed["domain", to.domain]),
            ("whole", limits.whole_an_hour, had.hour + owed["", "whole"]),
        )  # fmt: skip
        return next((code for code, limit, many in figures if _reached(limit, many)), "")

    def enter(self, to: Recipient, code: str) -> None:
        """One was asked for; it is owed if no limit kept it back."""
        self.asked += 1
        if not code:
            named = (("address", to.address), ("thread", to.thread), ("domain", to.domain), ("", "whole"))
            self.owed.update(one for one in named if one[1])

    def _rage(self) -> None:
        """A storm begins, or goes on as long as it is asked for at more than half its figure."""
        until = self.now + timedelta(minutes=self.limits.storm_quiet)
        if not self.storm.rages(self.now):
            self.storm = Storm(self.now, until, self.standing.storm.resumed_at)
        elif 2 * (self.standing.wanted + self.asked) > self.limits.storm_a_minute:
            assert self.storm.until is not None
            if until - self.storm.until > LONGER:
                self.storm = Storm(self.storm.since, until, self.storm.resumed_at)


def _reached(limit: int, many: int) -> bool:
    return bool(limit) and many >= limit


def recipient(message: Message, to: Address) -> Recipient:
    """Whom an acknowledgement of this is for, as the ledger counts them."""
    address = email_address(to.address) if to.kind == "email" else to.address
    return Recipient(
        address, f"{message.connector}/{message.account}/{message.thread_key}" if message.thread_key else ""
    )


async def opened(house: House, recipients: Sequence[Recipient], now: datetime) -> Ledger:
    limits = house.configured.settings.acknowledgements
    standing = await house.store.acknowledged(recipients, now, _limited(limits)) if recipients else Standing()
    return Ledger(limits, standing, now)


def _limited(limits: Acknowledgements) -> set[str]:
    """What is to be counted."""
    figures = {
        "address": limits.address_an_hour, "thread": limits.thread_a_day, "domain": limits.domain_an_hour,
        "whole": limits.whole_an_hour, "storm": limits.storm_a_minute,
    }  # fmt: skip
    return {name for name, limit in figures.items() if limit}


async def closed(house: House, ledger: Ledger) -> None:
    """Keep what changed of the storm, and tell people."""
    if ledger.storm == ledger.standing.storm:
        return
    if ledger.storm.since != ledger.standing.storm.since:
        metrics.storms.inc()
        log.error(
            "a storm of acknowledgements: none goes out until it is over",
            count=ledger.standing.minute, hint="ticketgate acknowledgements resume, once you know why",
        )  # fmt: skip
    await house.store.keep_storm(ledger.storm)
