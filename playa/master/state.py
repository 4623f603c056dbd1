"""All that the master knows, in one place: frameworks, agents, tasks, offers, operations; and the ports through which it acts.

Mutable, but owned by one actor and changed only while it handles a message. Logic is functions over it.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from google.protobuf.message import Message

from mesos_v1 import pb, states
from mesos_v1.resources import Resources
from playa.master.agents.registry import Registry
from playa.master.allocation.allocator import Allocator
from playa.settings import ClusterSettings

VERSION = "1.12.0"
TERMINAL_TASK_STATES = frozenset(map(pb.mesos.TaskState.Value, states.TERMINAL_STATES))
TERMINAL_OPERATION_STATES = frozenset(
    pb.mesos.OperationState.Value(f"OPERATION_{name}")
    for name in ("FINISHED", "FAILED", "ERROR", "DROPPED", "GONE_BY_OPERATOR")
)

M = TypeVar("M", bound=Message)
TaskKey = tuple[str, str]  # framework id, task id
ExecutorKey = tuple[str, str]  # framework id, executor id


def new(cls: type[M], **fields: Any) -> M:
    """A protobuf message of plain values: dictionaries for messages, names for enums, None for what is not set."""
    return cls(**fields)


class Machine(NamedTuple):
    """A machine as maintenance knows it."""

    hostname: str
    ip: str


@dataclass(slots=True)
class TaskRecord:
    """A task that the master knows. `proto` is what the operator API shows."""

    proto: pb.mesos.Task
    resources: Resources

    @property
    def id(self) -> str:
        return self.proto.task_id.value

    @property
    def framework_id(self) -> str:
        return self.proto.framework_id.value

    @property
    def agent_id(self) -> str:
        return self.proto.agent_id.value

    @property
    def executor_id(self) -> str | None:
        """None for a command task, whose executor only the agent knows."""
        return self.proto.executor_id.value if self.proto.HasField("executor_id") else None

    @property
    def is_terminal(self) -> bool:
        """Whether its newest state is terminal (its resources are free again)."""
        return self.proto.state in TERMINAL_TASK_STATES


@dataclass(slots=True)
class ExecutorRecord:
    """An executor that a framework named; those of command tasks only the agent knows."""

    info: pb.mesos.ExecutorInfo
    agent_id: str
    resources: Resources


@dataclass(slots=True)
class OfferRecord:
    """An offer that a framework holds."""

    id: str
    framework_id: str
    agent_id: str
    role: str
    resources: Resources


@dataclass(slots=True)
class OperationRecord:
    """An operation that was applied or is on its way; forgotten when it is terminal and acknowledged."""

    proto: pb.mesos.Operation
    agent_id: str
    orphan: bool = False

    @property
    def uuid(self) -> bytes:
        return self.proto.uuid.value

    @property
    def id(self) -> str | None:
        """What the framework calls it, if it wants feedback."""
        return self.proto.info.id.value if self.proto.info.HasField("id") else None


@dataclass(slots=True)
class Framework:
    """A framework that is registered, or was."""

    info: pb.mesos.FrameworkInfo
    roles: tuple[str, ...]
    capabilities: frozenset[str]
    suppressed: set[str] = field(default_factory=set)
    offer_constraints: pb.scheduler.OfferConstraints | None = None
    stream_id: str | None = None
    active: bool = False
    recovered: bool = False
    registered_time: float = 0.0
    reregistered_time: float = 0.0
    unregistered_time: float = 0.0
    offers: dict[str, OfferRecord] = field(default_factory=dict)
    inverse_offers: dict[str, pb.mesos.InverseOffer] = field(default_factory=dict)
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    unreachable_tasks: OrderedDict[str, TaskRecord] = field(default_factory=OrderedDict)
    completed_tasks: deque[TaskRecord] = field(default_factory=deque)
    executors: dict[tuple[str, str], ExecutorRecord] = field(default_factory=dict)  # by agent and executor id
    operations: dict[bytes, OperationRecord] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def id(self) -> str:
        return self.info.id.value

    @property
    def connected(self) -> bool:
        return self.stream_id is not None

    @property
    def partition_aware(self) -> bool:
        """Whether it knows TASK_UNREACHABLE and its kin (else they are told as TASK_LOST)."""
        return "PARTITION_AWARE" in self.capabilities

    def operation_named(self, operation_id: str) -> OperationRecord | None:
        """The operation with the framework's own id for it."""
        return next((o for o in self.operations.values() if o.id == operation_id), None)


@dataclass(slots=True)
class Agent:
    """An agent that is registered."""

    id: str
    actor: str
    pid: str
    info: pb.mesos.AgentInfo
    machine: Machine
    total: Resources
    registered_time: float
    reregistered_time: float | None = None
    connected: bool = True
    active: bool = True
    drain_started: float | None = None
    missed_pings: int = 0
    pinged: bool = False
    tasks: dict[TaskKey, TaskRecord] = field(default_factory=dict)
    executors: dict[ExecutorKey, ExecutorRecord] = field(default_factory=dict)
    offers: dict[str, OfferRecord] = field(default_factory=dict)
    inverse_offers: dict[str, pb.mesos.InverseOffer] = field(default_factory=dict)
    operations: dict[bytes, OperationRecord] = field(default_factory=dict)
    pending_kills: dict[TaskKey, bytes | None] = field(default_factory=dict)
    disconnected_since: float | None = None

    @property
    def port(self) -> int:
        return int(self.pid.rpartition(":")[2])

    @property
    def printed(self) -> str:
        """The agent as Mesos prints it."""
        return f"{self.id} at {self.pid} ({self.info.hostname})"


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

    def operator_count(self) -> int:
        """How many there are; without any, no events are built."""

    def save(self) -> None:
        """Have the registry kept soon, as the registrar does: a new master will start with it."""


@dataclass(slots=True)
class MasterState:
    """Everything the master knows, and the ways in which it tells others."""

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
    draining: dict[str, pb.mesos.DrainInfo] = field(default_factory=dict)
    deactivated: set[str] = field(default_factory=set)
    quotas: dict[str, pb.quota.QuotaConfig] = field(default_factory=dict)
    offers: dict[str, OfferRecord] = field(default_factory=dict)
    inverse_offers: dict[str, pb.mesos.InverseOffer] = field(default_factory=dict)
    unavailability: dict[Machine, pb.mesos.Unavailability] = field(default_factory=dict)
    down_machines: set[Machine] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    _given_ids: Counter[str] = field(default_factory=Counter)

    def new_id(self, kind: str = "") -> str:
        """The next id for a framework: `<master id>-<nnnn>`; for an agent (`S`) or an offer (`O`): `<master id>-S<n>`."""
        number = self._given_ids[kind]
        self._given_ids[kind] += 1
        return f"{self.id}-{kind}{number}" if kind else f"{self.id}-{number:04d}"

    def send(self, framework: Framework, kind: str, **fields: Any) -> None:
        """Send an event to a framework, if it is connected; else it is lost, as in Mesos."""
        if framework.stream_id is not None:
            framework.counts[f"events/{kind}"] += 1
            framework.counts["events"] += 1
            event = new(pb.scheduler.Event, type=kind.upper(), **({kind: fields} if fields else {}))
            self.ports.to_stream(framework.stream_id, event)

    def publish(self, kind: str, fields: Callable[[], dict[str, Any]]) -> None:
        """Tell those who follow the operator API, if there are any."""
        if self.ports.operator_count():
            self.ports.to_operators(new(pb.master.Event, type=kind.upper(), **{kind: fields()}))

    def to_agent(self, agent: Agent, message: object) -> None:
        """Send to an agent, if it is connected; else it is lost."""
        if agent.connected:
            self.ports.to_agent(agent.actor, message)
