"""The master's whole state in one place, and the ways in which its logic tells others.

Mutable, but owned by one actor and changed only while it handles a message. Logic is functions over it.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mesos_v1 import pb
from playa.master.agents.registry import Registry
from playa.master.allocation.allocator import Allocator
from playa.master.ports import Ports
from playa.master.records import Agent, Framework, Machine, OfferRecord, new
from playa.settings import ClusterSettings

VERSION = "1.12.0"


@dataclass(slots=True)
class MasterState:
    """Everything the master knows (see `records` for the parts), and the ways in which it tells others."""

    settings: ClusterSettings
    ports: Ports
    id: str
    info: pb.mesos.MasterInfo
    registry: Registry
    start_time: float
    frameworks: dict[str, Framework] = field(default_factory=dict)
    completed_frameworks: OrderedDict[str, Framework] = field(default_factory=OrderedDict)
    agents: dict[str, Agent] = field(default_factory=dict)
    recovered_agents: dict[str, pb.mesos.AgentInfo] = field(default_factory=dict)
    unreachable_tasks: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    quotas: dict[str, pb.quota.QuotaConfig] = field(default_factory=dict)
    offers: dict[str, OfferRecord] = field(default_factory=dict)
    inverse_offers: dict[str, pb.mesos.InverseOffer] = field(default_factory=dict)
    unavailability: dict[Machine, pb.mesos.Unavailability] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    allocator: Allocator = field(init=False)
    unreachable_agents: dict[str, float] = field(init=False)  # these five are the registry's
    gone_agents: dict[str, float] = field(init=False)
    draining: dict[str, pb.mesos.DrainInfo] = field(init=False)
    deactivated: set[str] = field(init=False)
    down_machines: set[Machine] = field(init=False)
    _given_ids: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        known = self.registry
        self.unreachable_agents, self.gone_agents = known.unreachable, known.gone
        self.draining, self.deactivated = known.draining, known.deactivated
        self.down_machines = known.down_machines
        self.allocator = Allocator(
            self.frameworks,
            self.agents,
            dict(self.settings.weights) | known.weights,
            self.settings.min_allocatable_resources,
            self.settings.allocation_interval,
        )

    def inverse_offers_of(self, holder: Framework | Agent) -> list[pb.mesos.InverseOffer]:
        """Those that a framework or an agent has; there are few."""
        inverse = self.inverse_offers.values()
        return [each for each in inverse if holder.id in {each.framework_id.value, each.agent_id.value}]

    def new_id(self, kind: str = "") -> str:
        """The next id for a framework: `<master id>-<nnnn>`; for an agent (`S`) or an offer (`O`): `<master id>-S<n>`."""
        number = self._given_ids[kind]
        self._given_ids[kind] += 1
        return f"{self.id}-{kind}{number}" if kind else f"{self.id}-{number:04d}"

    def send(self, framework: Framework, kind: str, **fields: Any) -> bool:
        """Send an event to a framework, if it is connected; else it is lost, as in Mesos. Returns which."""
        if framework.stream_id is not None:
            framework.counts[f"events/{kind}"] += 1
            framework.counts["events"] += 1
            event = new(pb.scheduler.Event, type=kind.upper(), **({kind: fields} if fields else {}))
            self.ports.to_stream(framework.stream_id, event)
        return framework.connected

    def publish(self, kind: str, fields: Callable[[], dict[str, Any]]) -> None:
        """Tell those who follow the operator API, if there are any."""
        if self.ports.operator_count():
            self.ports.to_operators(new(pb.master.Event, type=kind.upper(), **{kind: fields()}))

    def to_agent(self, to: Agent | str, message: object) -> bool:
        """Send to an agent (or the one with an id), if it is there and connected; else it is lost. Returns which."""
        agent = self.agents.get(to) if isinstance(to, str) else to
        if agent is None or not agent.connected:
            return False
        self.ports.to_agent(agent.actor, message)
        return True

    def count_valid(self, what: str, valid: bool) -> None:
        """Count something as valid or invalid."""
        self.counts[f"{'' if valid else 'in'}valid_{what}"] += 1
