"""What a stage needs to do its work: the rooms, wired together once by `wire.py`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from normalizer.enrich import Enricher

from connectors.base import Connector, Helpdesk
from engine.company import Company
from engine.decide import decide
from engine.decision import Case, Decision
from engine.ruleset import RuleSet
from engine.vocabulary import Vocabulary
from gateway.acknowledge import Templates
from gateway.clock import Clock
from gateway.settings import Configured
from gateway.store.store import Store
from normalizer.canon import Address, Contact, Message, Ticket

Account = tuple[str, str]  # connector, account


class Bell:
    """Wakes one kind of worker. Ringing is a hint: workers look by themselves every `patience` seconds too."""

    def __init__(self, patience: float = 1.0) -> None:
        self.patience = patience
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        """Until it rings, or patience ends."""
        try:
            async with asyncio.timeout(self.patience):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()


@dataclass(frozen=True, slots=True)
class Mind:
    """What decides: everything `ticketgate decide` needs, and nothing that is stored or sent."""

    configured: Configured
    connectors: Mapping[Account, Connector]
    enricher: Enricher
    company: Company
    vocabulary: Vocabulary
    ruleset: RuleSet
    templates: Templates

    def decide(self, case: Case) -> Decision:
        return decide(self.ruleset, self.company, case)

    def words(self, template: str, ticket: Ticket, contact: Contact) -> tuple[str, str, str]:
        """Language, subject and text of an acknowledgement."""
        return self.templates.render(template, ticket, contact, self.company, self.vocabulary)

    def way_back(self, message: Message) -> tuple[Account, Address] | None:
        """Which account speaks to this sender, and at what address; None if nobody can."""
        own = (message.connector, message.account)
        connector = self.connectors.get(own)
        via = connector.settings.answering if connector and hasattr(connector.settings, "answering") else own
        to = message.reply_to[0] if message.reply_to else message.sender
        if via is None or via not in self.connectors or not to.address:
            return None
        if via[0].startswith("email") and to.kind != "email":
            return None
        return via, to


@dataclass(slots=True)
class House:
    """A running gateway."""

    mind: Mind
    store: Store
    clock: Clock
    helpdesks: Mapping[str, Helpdesk]
    work: Bell = field(default_factory=Bell)  # something was journalled
    owed: Bell = field(default_factory=Bell)  # something is to be sent

    @property
    def configured(self) -> Configured:
        return self.mind.configured

    @property
    def outbound(self) -> bool:
        return self.configured.settings.outbound
