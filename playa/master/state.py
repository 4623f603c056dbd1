"""The master's whole state in one place, and the ports through which its logic acts.

Mutable, but owned by one actor and changed only while it handles a message. Logic is functions over it.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from mesos_v1 import pb
from playa.master.allocation.allocator import Allocator
from playa.master.records import (
    Agent,
    Framework,
    InverseOfferRecord,
    Machine,
    OfferRecord,
)
from playa.master.registration.registry import Registry
from playa.settings import ClusterSettings

VERSION = "1.12.0"


class Ports(Protocol):
    """All that the logic needs of the world."""

    def now(self) -> float:
        """Unix time, in seconds."""

    def uuid_bytes(self) -> bytes:
        """16 random bytes."""

    def later(self, seconds: float, message: object) -> None:
        """Have the actor handle a message after a while."""

    def to_agent(self, actor: str, message: object) -> None:
        """Send to an agent; may be lost."""

    def to_stream(self, stream_id: str, event: pb.scheduler.Event) -> None:
        """Send an event to a scheduler's subscription."""

    def close_stream(self, stream_id: str) -> None:
        """End a subscription after what was sent before."""

    def to_operators(self, event: pb.master.Event) -> None:
        """Send an event to all who subscribed to the operator API."""

    def has_operators(self) -> bool:
        """Whether there are any, so that nobody builds events for nobody."""

    def save(self) -> None:
        """Have the registry kept soon, as the registrar does: a new master will start with it."""


@dataclass(slots=True)
class MasterState:
    """Everything the master knows. See `records` for the parts."""

    settings: ClusterSettings
    ports: Ports
    id: str
    info: pb.mesos.MasterInfo
    registry: Registry
    start_time: float
    allocator: Allocator = field(default_factory=Allocator)
    frameworks: dict[str, Framework] = field(default_factory=dict)
    completed_frameworks: OrderedDict[str, Framework] = field(default_factory=OrderedDict)
    agents: dict[str, Agent] = field(default_factory=dict)
    recovered_agents: dict[str, pb.mesos.AgentInfo] = field(default_factory=dict)
    unreachable_agents: OrderedDict[str, float] = field(default_factory=OrderedDict)
    unreachable_tasks: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    gone_agents: OrderedDict[str, float] = field(default_factory=OrderedDict)
    removed_agents: OrderedDict[str, None] = field(default_factory=OrderedDict)
    draining: dict[str, pb.mesos.DrainInfo] = field(default_factory=dict)
    deactivated: set[str] = field(default_factory=set)
    quotas: dict[str, pb.quota.QuotaConfig] = field(default_factory=dict)
    offers: dict[str, OfferRecord] = field(default_factory=dict)
    inverse_offers: dict[str, InverseOfferRecord] = field(default_factory=dict)
    unavailability: dict[Machine, pb.mesos.Unavailability] = field(default_factory=dict)
    down_machines: set[Machine] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    next_framework: int = 0
    next_agent: int = 0
    next_offer: int = 0

    def framework(self, framework_id: str) -> Framework | None:
        """A registered framework."""
        return self.frameworks.get(framework_id)

    def new_framework_id(self) -> str:
        """The next id for a framework: `<master id>-<nnnn>`."""
        number = self.next_framework
        self.next_framework += 1
        return f"{self.id}-{number:04d}"

    def new_agent_id(self) -> str:
        """The next id for an agent: `<master id>-S<n>`."""
        number = self.next_agent
        self.next_agent += 1
        return f"{self.id}-S{number}"

    def new_offer_id(self) -> str:
        """The next id for an offer or inverse offer: `<master id>-O<n>`."""
        number = self.next_offer
        self.next_offer += 1
        return f"{self.id}-O{number}"

    def send(self, framework: Framework, event: pb.scheduler.Event) -> None:
        """Send an event to a framework, if it is connected; else it is lost, as in Mesos."""
        if framework.stream_id is not None:
            name = pb.scheduler.Event.Type.Name(event.type).lower()
            framework.counts[f"events/{name}"] += 1
            framework.counts["events"] += 1
            self.ports.to_stream(framework.stream_id, event)

    def publish(self, make: Callable[[], pb.master.Event]) -> None:
        """Tell those who follow the operator API, if there are any."""
        if self.ports.has_operators():
            self.ports.to_operators(make())

    def to_agent(self, agent: Agent, message: object) -> None:
        """Send to an agent, if it is connected; else it is lost."""
        if agent.connected:
            self.ports.to_agent(agent.actor, message)
