"""Task statuses as an agent and its built-in executors write them: states, reasons, sources, messages, word for word.

Pure builders of `TaskStatus`. Who decides *that* a status is due are the agent and the executors; here is only how each
one looks (recorded from Mesos 1.12: `custom_executor`, `command_task_lifecycle`, `health_checks`, …).
"""

from typing import Final

from mesos_v1 import pb

Status = pb.mesos.TaskStatus
Reason = pb.mesos.TaskStatus.Reason

TERMINAL: Final = frozenset(
    {
        pb.mesos.TASK_FINISHED,
        pb.mesos.TASK_FAILED,
        pb.mesos.TASK_KILLED,
        pb.mesos.TASK_ERROR,
        pb.mesos.TASK_LOST,
        pb.mesos.TASK_DROPPED,
        pb.mesos.TASK_GONE,
        pb.mesos.TASK_GONE_BY_OPERATOR,
    }
)

KILLED_BEFORE_DELIVERY: Final = "Killed before delivery to the executor"
GROUP_KILLED_BEFORE_DELIVERY: Final = (
    "A task within the task group was killed before delivery to the executor"
)
EXECUTOR_TERMINATED: Final = "Executor terminated"
NO_EXECUTOR: Final = "Cannot find executor"
LAUNCHED_DURING_RESTART: Final = "Task launched during agent restart"
UNKNOWN_TO_AGENT: Final = "Reconciliation: task unknown to the agent"
UNKNOWN_RESOURCES: Final = (
    "The checkpointed resources being used by the task or task group are unknown to the agent"
)
DRAINING: Final = "Task was received while agent was already draining"
COMMAND_TASK_REUSE: Final = "Cannot reuse an already existing executor for a command task"


def is_terminal(state: int) -> bool:
    """Whether a task in this state is over."""
    return state in TERMINAL


def agent_status(
    task_id: str,
    state: "pb.mesos.TaskState.ValueType",
    *,
    message: str,
    reason: "Reason.ValueType",
    uuid: bytes,
    timestamp: float,
    agent_id: str,
    executor_id: str | None = None,
) -> Status:
    """A status that the agent itself is the source of."""
    status = Status(
        state=state,
        message=message,
        source=Status.SOURCE_AGENT,
        reason=reason,
        uuid=uuid,
        timestamp=timestamp,
    )
    status.task_id.value = task_id
    status.agent_id.value = agent_id
    if executor_id is not None:
        status.executor_id.value = executor_id
    return status


def say_draining(
    status: Status, drain: pb.mesos.DrainConfig | None, framework: pb.mesos.FrameworkInfo
) -> None:
    """Tell in a status that its task ends because the agent drains (and is gone then), if that is so."""
    if drain is not None and status.state in {pb.mesos.TASK_KILLING, pb.mesos.TASK_KILLED}:
        status.reason = Status.REASON_AGENT_DRAINING
        if drain.mark_gone and partition_aware(framework):
            status.state = pb.mesos.TASK_GONE_BY_OPERATOR


def dropped(framework: pb.mesos.FrameworkInfo) -> "pb.mesos.TaskState.ValueType":
    """The state of a task that never started: TASK_LOST for a framework that is not partition-aware."""
    return pb.mesos.TASK_DROPPED if partition_aware(framework) else pb.mesos.TASK_LOST


def gone(framework: pb.mesos.FrameworkInfo) -> "pb.mesos.TaskState.ValueType":
    """The state of a task whose executor was not there any more after a restart of the agent."""
    return pb.mesos.TASK_GONE if partition_aware(framework) else pb.mesos.TASK_LOST


def partition_aware(framework: pb.mesos.FrameworkInfo) -> bool:
    """Whether the framework knows the states for partitions."""
    return has_capability(framework, pb.mesos.FrameworkInfo.Capability.PARTITION_AWARE)


def has_capability(framework: pb.mesos.FrameworkInfo, capability: int) -> bool:
    """Whether the framework has a capability."""
    return any(c.type == capability for c in framework.capabilities)


def executor_status(
    task: pb.mesos.TaskInfo,
    state: "pb.mesos.TaskState.ValueType",
    *,
    uuid: bytes,
    timestamp: float,
    executor_id: str,
    message: str = "",
    reason: "Reason.ValueType | None" = None,
) -> Status:
    """A status of a built-in executor; a task with a check has an (empty) check status in each of them."""
    status = Status(state=state, source=Status.SOURCE_EXECUTOR, uuid=uuid, timestamp=timestamp)
    status.task_id.value = task.task_id.value
    status.executor_id.value = executor_id
    if message:
        status.message = message
    if reason is not None:
        status.reason = reason
    if task.HasField("check"):
        status.check_status.CopyFrom(empty_check_status(task.check))
    return status


def empty_check_status(check: pb.mesos.CheckInfo) -> pb.mesos.CheckStatusInfo:
    """The result of a check that has not run yet: its kind and nothing else."""
    info = pb.mesos.CheckStatusInfo(type=check.type)
    if check.type == pb.mesos.CheckInfo.COMMAND:
        info.command.SetInParent()
    elif check.type == pb.mesos.CheckInfo.HTTP:
        info.http.SetInParent()
    elif check.type == pb.mesos.CheckInfo.TCP:
        info.tcp.SetInParent()
    return info


def follow_up(last: Status, *, uuid: bytes, timestamp: float, reason: "Reason.ValueType") -> Status:
    """The last status again because a (health) check has something new: same state, own reason and uuid."""
    status = Status()
    status.CopyFrom(last)
    status.uuid = uuid
    status.timestamp = timestamp
    status.reason = reason
    return status


def add_container(status: Status, *, container_id: str, ip: str, pid: int | None) -> None:
    """What the agent knows of the container, added to an executor's status on its way (MESOS-3545 and later).

    A container id that the executor has set (of a nested container) stays; then only a running one (with a pid) has an
    address.
    """
    container = status.container_status
    nested = container.HasField("container_id")
    if not nested:
        container.container_id.value = container_id
    elif pid is None:
        return
    if not container.network_infos:
        address = container.network_infos.add().ip_addresses.add()
        address.protocol = pb.mesos.NetworkInfo.IPv4
        address.ip_address = ip
    if pid is not None:
        container.executor_pid = pid
