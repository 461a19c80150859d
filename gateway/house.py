"""What a stage needs to do its work: the rooms, wired together once by `wire.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.base import Helpdesk
from connectors.calls import Callee
from gateway.alone import Locks
from gateway.clock import Clock
from gateway.events import Hub
from gateway.live import LiveRules
from gateway.look_up import LookUps
from gateway.mind import Mind
from gateway.queue.bell import Bell, Bells
from gateway.rulesets import RuleSets
from gateway.settings import Configured
from gateway.signin import SignIn
from gateway.store.store import Store
from gateway.users import Users
from gateway.workers import Workers


@dataclass(slots=True)
class House:
    """A running gateway."""

    mind: Mind
    store: Store
    clock: Clock
    locks: Locks
    helpdesks: Mapping[str, Helpdesk]
    calls: Mapping[str, Callee] = field(default_factory=dict)
    bells: Bells = field(default_factory=Bells)
    workers: Workers | None = None  # who process instead of us
    follows: bool = False  # which rule set decides another process says, by the store
    holder: int = 0  # by which leases are ours
    hub: Hub = field(init=False)  # something happened
    look_ups: LookUps = field(default_factory=LookUps)  # answers from elsewhere
    users: Users = field(init=False)
    signin: SignIn = field(init=False)
    rules: LiveRules = field(init=False)  # which rule set decides, and changing it

    def __post_init__(self) -> None:
        self.hub = Hub(self.store, self.bells.happened)
        self.users, self.signin = Users(self.store, self.clock), SignIn(self.store, self.clock)
        self.rules = LiveRules(self.mind, RuleSets(self.store, self.clock), self.clock, self._think, self.follows)

    def _think(self, mind: Mind) -> None:
        self.mind = mind

    @property
    def work(self) -> Bell:
        return self.bells.work

    @property
    def owed(self) -> Bell:
        return self.bells.owed

    @property
    def configured(self) -> Configured:
        return self.mind.configured

    @property
    def outbound(self) -> bool:
        return self.configured.settings.outbound
