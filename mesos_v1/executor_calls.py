"""Every call of the executor API as a plain function that returns a `Call`.

The ids of framework and executor are filled in just before sending (`with_ids`). Source: Mesos: Executor HTTP API, "Calls".
"""

from collections.abc import Iterable

from mesos_v1 import _texts, pb
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
    """Open the stream of events; after a lost connection, say what the agent may not know.

    Args:
        unacknowledged_tasks: Tasks of which no update was acknowledged yet.
        unacknowledged_updates: Updates that were sent and not acknowledged, in order.
    """
    call = Call(type=Call.SUBSCRIBE)
    call.subscribe.SetInParent()
    call.subscribe.unacknowledged_tasks.extend(unacknowledged_tasks)
    for update_status in unacknowledged_updates:
        call.subscribe.unacknowledged_updates.add().status.CopyFrom(update_status)
    return call


def update(status: pb.mesos.TaskStatus) -> pb.executor.Call:
    """Report the status of a task; to be kept until ACKNOWLEDGED (see `status`)."""
    call = Call(type=Call.UPDATE)
    call.update.status.CopyFrom(status)
    return call


def message(data: bytes) -> pb.executor.Call:
    """Send bytes to the scheduler; best effort, never sent again by Mesos."""
    call = Call(type=Call.MESSAGE)
    call.message.data = data
    return call


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
    """Make a status as an executor must send it: with a uuid, its source, and the time.

    Args:
        state: Such as `TASK_RUNNING`; the agent refuses TASK_STAGING.
        uuid: 16 random bytes, new for each status.
        timestamp: Unix time in seconds.
        message: For people; what went wrong, in one line. What UTF-8 cannot say of it becomes U+FFFD.
        data: For the scheduler.
        reason: Such as `REASON_TASK_CHECK_STATUS_UPDATED`.
        healthy: The latest health check, if there are any.

    Raises:
        ValueError: No such state or reason.
    """
    proto = pb.mesos.TaskStatus(
        state=pb.mesos.TaskState.Value(state),
        source=pb.mesos.TaskStatus.SOURCE_EXECUTOR,
        uuid=uuid,
        timestamp=timestamp,
    )
    proto.task_id.value = task_id
    if message is not None:
        proto.message = _texts.encodable(message)
    if data is not None:
        proto.data = data
    if reason is not None:
        proto.reason = pb.mesos.TaskStatus.Reason.Value(reason)
    if healthy is not None:
        proto.healthy = healthy
    for key, value in labels:
        label = proto.labels.labels.add(key=_texts.encodable(key))
        if value is not None:
            label.value = _texts.encodable(value)
    if agent_id is not None:
        proto.agent_id.value = agent_id
    if executor_id is not None:
        proto.executor_id.value = executor_id
    return proto
