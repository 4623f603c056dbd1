"""What the master keeps of each framework, agent, task, offer and operation. Data only; the rules are elsewhere."""

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message

from mesos_v1 import pb, states
from mesos_v1.resources import Resources

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


def machine_of(pid: str, info: pb.mesos.AgentInfo) -> Machine:
    """The machine of an agent that is reached by `slave(1)@<ip>:<port>`."""
    return Machine(info.hostname, pid.partition("@")[2].rpartition(":")[0])


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


class DeclineFilters:
    """What a framework refused, on which agent and in which role, and until when (seconds of the caller's clock).

    A refusal covers resources that are contained in what was refused: when there is more, it is offered in spite of it.
    """

    __slots__ = ("_refusals",)

    def __init__(self) -> None:
        self._refusals: defaultdict[tuple[str, str], list[tuple[Resources, float]]] = defaultdict(list)

    def refuse(self, agent_id: str, role: str, refused: Resources, expires: float) -> None:
        """Enter a refusal."""
        self._refusals[agent_id, role].append((refused, expires))

    def refuses(self, agent_id: str, role: str, offered: Resources, now: float) -> bool:
        """Whether an offer would be refused; refusals that are over are forgotten."""
        alive = [each for each in self._refusals.pop((agent_id, role), ()) if each[1] > now]
        if alive:
            self._refusals[agent_id, role] = alive
        return any(refused.contains(offered) for refused, _ in alive)

    def active(self, role: str, now: float) -> int:
        """How many refusals of a role are in force."""
        of_role = (refusals for key, refusals in self._refusals.items() if key[1] == role)
        return sum(expires > now for refusals in of_role for _, expires in refusals)

    def forget(self, *, agent_id: str | None = None, roles: Collection[str] | None = None) -> None:
        """Forget those of an agent, those of some roles, or (without either) all."""
        for key in list(self._refusals):
            if agent_id in {None, key[0]} and (roles is None or key[1] in roles):
                del self._refusals[key]


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
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    unreachable_tasks: OrderedDict[str, TaskRecord] = field(default_factory=OrderedDict)
    completed_tasks: deque[TaskRecord] = field(default_factory=deque)
    executors: dict[tuple[str, str], ExecutorRecord] = field(default_factory=dict)  # by agent and executor id
    operations: dict[bytes, OperationRecord] = field(default_factory=dict)
    filters: DeclineFilters = field(default_factory=DeclineFilters)
    inverse_filters: dict[str, float] = field(default_factory=dict)  # until when, by agent
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

    actor: str
    pid: str
    info: pb.mesos.AgentInfo
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
    operations: dict[bytes, OperationRecord] = field(default_factory=dict)
    available: Resources = field(default_factory=Resources)  # what nobody has
    allocated: dict[str, Resources] = field(default_factory=dict)  # what is offered or used, by framework
    inverse_statuses: dict[str, pb.allocator.InverseOfferStatus] = field(default_factory=dict)  # by framework
    pending_kills: dict[TaskKey, bytes | None] = field(default_factory=dict)
    disconnected_since: float | None = None

    @property
    def id(self) -> str:
        return self.info.id.value

    @property
    def machine(self) -> Machine:
        return machine_of(self.pid, self.info)

    @property
    def port(self) -> int:
        return int(self.pid.rpartition(":")[2])

    @property
    def printed(self) -> str:
        """The agent as Mesos prints it."""
        return f"{self.id} at {self.pid} ({self.info.hostname})"
