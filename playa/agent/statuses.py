"""What the agent's own task statuses say, word for word as recorded from Mesos 1.12, and what the states mean to a framework."""

from typing import Final, NamedTuple, TypeAlias

from mesos_v1 import pb
from mesos_v1.states import TERMINAL_STATES

Status = pb.mesos.TaskStatus
State: TypeAlias = pb.mesos.TaskState.ValueType
Reason: TypeAlias = pb.mesos.TaskStatus.Reason.ValueType

_TERMINAL: Final = frozenset(map(pb.mesos.TaskState.Value, TERMINAL_STATES))


class Why(NamedTuple):
    """Why the agent ends a task."""

    reason: Reason
    message: str


_IN_LAUNCH: Final = Status.REASON_TASK_KILLED_DURING_LAUNCH
KILLED_BEFORE_DELIVERY: Final = Why(_IN_LAUNCH, "Killed before delivery to the executor")
GROUP_KILLED_BEFORE_DELIVERY: Final = Why(
    _IN_LAUNCH, "A task within the task group was killed before delivery to the executor"
)
EXECUTOR_TERMINATED: Final = Why(Status.REASON_EXECUTOR_TERMINATED, "Executor terminated")
UNKNOWN_CONTAINER: Final = Why(
    Status.REASON_EXECUTOR_TERMINATED, "Abnormal executor termination: unknown container"
)
NO_EXECUTOR: Final = Why(Status.REASON_EXECUTOR_TERMINATED, "Cannot find executor")
LAUNCHED_DURING_RESTART: Final = Why(Status.REASON_AGENT_RESTARTED, "Task launched during agent restart")
UNKNOWN_TO_AGENT: Final = Why(Status.REASON_RECONCILIATION, "Reconciliation: task unknown to the agent")
UNKNOWN_RESOURCES: Final = Why(
    Status.REASON_RESOURCES_UNKNOWN,
    "The checkpointed resources being used by the task or task group are unknown to the agent",
)
DRAINING: Final = Why(Status.REASON_AGENT_DRAINING, "Task was received while agent was already draining")
COMMAND_TASK_REUSE: Final = Why(
    Status.REASON_TASK_INVALID, "Cannot reuse an already existing executor for a command task"
)


def is_terminal(state: int) -> bool:
    """Whether a task in this state is over."""
    return state in _TERMINAL


def say_draining(
    status: Status, drain: pb.mesos.DrainConfig | None, framework: pb.mesos.FrameworkInfo
) -> None:
    """Tell in a status that its task ends because the agent drains (and is gone then), if that is so."""
    if drain is not None and status.state in {pb.mesos.TASK_KILLING, pb.mesos.TASK_KILLED}:
        status.reason = Status.REASON_AGENT_DRAINING
        if drain.mark_gone and _partition_aware(framework):
            status.state = pb.mesos.TASK_GONE_BY_OPERATOR


def dropped(framework: pb.mesos.FrameworkInfo | None) -> State:
    """The state of a task that never started: TASK_LOST for a framework that is not partition-aware."""
    return pb.mesos.TASK_DROPPED if framework is None or _partition_aware(framework) else pb.mesos.TASK_LOST


def gone(framework: pb.mesos.FrameworkInfo) -> State:
    """The state of a task whose executor was not there any more after a restart of the agent."""
    return pb.mesos.TASK_GONE if _partition_aware(framework) else pb.mesos.TASK_LOST


def _partition_aware(framework: pb.mesos.FrameworkInfo) -> bool:
    return has_capability(framework, pb.mesos.FrameworkInfo.Capability.PARTITION_AWARE)


def has_capability(framework: pb.mesos.FrameworkInfo, capability: int) -> bool:
    """Whether the framework has a capability."""
    return any(c.type == capability for c in framework.capabilities)
