"""What the master keeps of each framework, agent, task, offer and operation. Data only; the rules are elsewhere."""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import NamedTuple

from mesos_v1 import pb
from mesos_v1.resources import Resources

TERMINAL_TASK_STATES = frozenset(
    pb.mesos.TaskState.Value(name)
    for name in (
        "TASK_FINISHED",
        "TASK_FAILED",
        "TASK_KILLED",
        "TASK_ERROR",
        "TASK_LOST",
        "TASK_DROPPED",
        "TASK_GONE",
        "TASK_GONE_BY_OPERATOR",
    )
)
TERMINAL_OPERATION_STATES = frozenset(
    pb.mesos.OperationState.Value(name)
    for name in (
        "OPERATION_FINISHED",
        "OPERATION_FAILED",
        "OPERATION_ERROR",
        "OPERATION_DROPPED",
        "OPERATION_GONE_BY_OPERATOR",
    )
)

TaskKey = tuple[str, str]  # framework id, task id
ExecutorKey = tuple[str, str]  # framework id, executor id


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
        """The task's id."""
        return self.proto.task_id.value

    @property
    def framework_id(self) -> str:
        """Whose task it is."""
        return self.proto.framework_id.value

    @property
    def agent_id(self) -> str:
        """Where it is."""
        return self.proto.agent_id.value

    @property
    def executor_id(self) -> str | None:
        """Its executor; None for a command task, whose executor is the agent's business."""
        return self.proto.executor_id.value if self.proto.HasField("executor_id") else None

    @property
    def is_terminal(self) -> bool:
        """Whether its newest state is terminal (its resources are free again)."""
        return self.proto.state in TERMINAL_TASK_STATES


@dataclass(slots=True)
class ExecutorRecord:
    """An executor that a framework named; those of command tasks are the agent's business."""

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
class InverseOfferRecord:
    """An inverse offer that a framework has not answered."""

    id: str
    framework_id: str
    agent_id: str
    proto: pb.mesos.InverseOffer


@dataclass(slots=True)
class OperationRecord:
    """An operation that was applied or is on its way; forgotten when it is terminal and acknowledged."""

    proto: pb.mesos.Operation
    agent_id: str
    consumed: Resources
    is_speculative: bool
    orphan: bool = False

    @property
    def uuid(self) -> bytes:
        """By which master and agent know it."""
        return self.proto.uuid.value

    @property
    def id(self) -> str | None:
        """The framework's id of it, if it wants feedback."""
        return self.proto.info.id.value if self.proto.info.HasField("id") else None


@dataclass(slots=True)
class Framework:
    """A framework that is registered, or was."""

    info: pb.mesos.FrameworkInfo
    roles: tuple[str, ...]
    capabilities: frozenset[str]
    principal: str | None = None
    suppressed: set[str] = field(default_factory=set)
    offer_constraints: pb.scheduler.OfferConstraints | None = None
    stream_id: str | None = None
    active: bool = False
    recovered: bool = False
    registered_time: float = 0.0
    reregistered_time: float = 0.0
    unregistered_time: float = 0.0
    offers: dict[str, OfferRecord] = field(default_factory=dict)
    inverse_offers: dict[str, InverseOfferRecord] = field(default_factory=dict)
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    unreachable_tasks: OrderedDict[str, TaskRecord] = field(default_factory=OrderedDict)
    completed_tasks: deque[TaskRecord] = field(default_factory=deque)
    executors: dict[tuple[str, str], ExecutorRecord] = field(default_factory=dict)
    operations: dict[bytes, OperationRecord] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def id(self) -> str:
        """The framework's id."""
        return self.info.id.value

    @property
    def connected(self) -> bool:
        """Whether it has a subscription now."""
        return self.stream_id is not None

    @property
    def partition_aware(self) -> bool:
        """Whether it knows TASK_UNREACHABLE and its kin (else they are told as TASK_LOST)."""
        return "PARTITION_AWARE" in self.capabilities

    @property
    def refines_reservations(self) -> bool:
        """Whether it reads `Resource.reservations` (else `Resource.role` and `.reservation`)."""
        return "RESERVATION_REFINEMENT" in self.capabilities

    @property
    def multi_role(self) -> bool:
        """Whether it reads which role resources are allocated to (it has but one otherwise)."""
        return "MULTI_ROLE" in self.capabilities

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
    port: int
    path: str
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
    inverse_offers: dict[str, InverseOfferRecord] = field(default_factory=dict)
    operations: dict[bytes, OperationRecord] = field(default_factory=dict)
    pending_kills: dict[TaskKey, bytes | None] = field(default_factory=dict)
    disconnected_since: float | None = None

    @property
    def printed(self) -> str:
        """The agent as Mesos prints it."""
        return f"{self.id} at {self.pid} ({self.info.hostname})"
