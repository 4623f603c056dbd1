"""Every call of the executor API as a plain function that returns a `Call`.

The ids of framework and executor are filled in just before sending (`with_ids`). Source: Mesos: Executor HTTP API, "Calls".
"""

from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1._reading import encodable, labels_proto
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, TaskId

Call = pb.executor.Call


def with_ids(call: pb.executor.Call, framework_id: FrameworkId, executor_id: ExecutorId) -> pb.executor.Call:
    """Set the ids that every call of an executor carries; return the same call."""
    call.framework_id.value = framework_id
    call.executor_id.value = executor_id
    return call


def subscribe(
    unacknowledged_tasks: Iterable[pb.mesos.TaskInfo] = (),
    unacknowledged_updates: Iterable[pb.mesos.TaskStatus] = (),
) -> pb.executor.Call:
    """Open the stream of events; after a lost connection, with the tasks and updates that are not acknowledged, in order."""
    updates = [Call.Update(status=status) for status in unacknowledged_updates]
    body = Call.Subscribe(unacknowledged_tasks=unacknowledged_tasks, unacknowledged_updates=updates)
    return Call(type=Call.SUBSCRIBE, subscribe=body)


def update(status: pb.mesos.TaskStatus) -> pb.executor.Call:
    """Report the status of a task; to be kept until ACKNOWLEDGED (see `status`)."""
    return Call(type=Call.UPDATE, update=Call.Update(status=status))


def message(data: bytes) -> pb.executor.Call:
    """Send bytes to the scheduler; best effort, never sent again by Mesos."""
    return Call(type=Call.MESSAGE, message=Call.Message(data=data))


def heartbeat() -> pb.executor.Call:
    """Show the agent that the executor lives."""
    return Call(type=Call.HEARTBEAT)


def status(
    task_id: TaskId,
    state: str,
    uuid: bytes,
    *,
    timestamp: float,
    message: str | None = None,
    data: bytes | None = None,
    reason: str | None = None,
    healthy: bool | None = None,
    labels: Iterable[tuple[str, str | None]] = (),
    agent_id: AgentId | None = None,
    executor_id: ExecutorId | None = None,
) -> pb.mesos.TaskStatus:
    """Make a status as an executor must send it: with a uuid, its source, and the time; ValueError for no such state or reason.

    Args:
        state: Such as `TASK_RUNNING`; the agent refuses TASK_STAGING.
        uuid: 16 random bytes, new for each status.
        timestamp: Unix time in seconds.
        message: For people; what went wrong, in one line. What UTF-8 cannot say of it becomes U+FFFD.
        reason: Such as `REASON_TASK_CHECK_STATUS_UPDATED`.
        healthy: The latest health check, if there are any.
    """
    return pb.mesos.TaskStatus(
        task_id=pb.mesos.TaskID(value=task_id),
        state=pb.mesos.TaskState.Value(state),
        source=pb.mesos.TaskStatus.SOURCE_EXECUTOR,
        uuid=uuid,
        timestamp=timestamp,
        message=encodable(message),
        data=data,
        reason=None if reason is None else pb.mesos.TaskStatus.Reason.Value(reason),
        healthy=healthy,
        labels=labels_proto(labels),
        agent_id=None if agent_id is None else pb.mesos.AgentID(value=agent_id),
        executor_id=None if executor_id is None else pb.mesos.ExecutorID(value=executor_id),
    )
