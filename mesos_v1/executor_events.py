"""The events of the executor API, read as those of the scheduler API are (Mesos: Executor HTTP API, "Events").

What an executor passes on unread (tasks, infos) stays in protobuf bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesos_v1 import _reading, pb
from mesos_v1 import values as v
from mesos_v1._reading import optional_id, text


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription with the agent stands; the infos are protobuf bytes. An old agent does not name the container."""

    executor_info: bytes
    framework_info: bytes
    agent_info: bytes
    container_id: v.ContainerId | None
    agent_id: v.AgentId
    framework_id: v.FrameworkId
    executor_id: v.ExecutorId


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a task, given as the protobuf bytes of its `TaskInfo`."""

    task: bytes
    task_id: v.TaskId


@dataclass(frozen=True, slots=True)
class LaunchGroup:
    """Start several tasks, each given as the protobuf bytes of its `TaskInfo`, or none of them."""

    tasks: tuple[bytes, ...]
    task_ids: tuple[v.TaskId, ...]


@dataclass(frozen=True, slots=True)
class Kill:
    """End a task within so many seconds; None to go by the task's own kill policy."""

    task_id: v.TaskId
    grace_period: float | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The scheduler has an update; it need not be kept any longer."""

    task_id: v.TaskId
    uuid: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """What the scheduler sent; best effort."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Shutdown:
    """End all tasks and then the executor, within its shutdown grace period."""


Error = _reading.Error
Heartbeat = _reading.Heartbeat
Unknown = _reading.Unknown

ExecutorEvent = (
    Subscribed | Launch | LaunchGroup | Kill | Acknowledged | Message | Shutdown | Error | Heartbeat | Unknown
)
"""Everything that an agent may send to an executor."""

Event = pb.executor.Event


def _subscribed(body: pb.executor.Event.Subscribed) -> Subscribed:
    return Subscribed(
        executor_info=body.executor_info.SerializePartialToString(),
        framework_info=body.framework_info.SerializePartialToString(),
        agent_info=body.agent_info.SerializePartialToString(),
        container_id=optional_id(body, "container_id"),
        agent_id=text(body.agent_info.id.value),
        framework_id=text(body.framework_info.id.value or body.executor_info.framework_id.value),
        executor_id=text(body.executor_info.executor_id.value),
    )


def _launch(task: pb.mesos.TaskInfo) -> Launch:
    return Launch(task.SerializePartialToString(), text(task.task_id.value))


def _launch_group(body: pb.executor.Event.LaunchGroup) -> LaunchGroup:
    launches = list(map(_launch, body.task_group.tasks))
    return LaunchGroup(tuple(each.task for each in launches), tuple(each.task_id for each in launches))


def _kill(body: pb.executor.Event.Kill) -> Kill:
    policy = body.kill_policy
    grace = policy.grace_period.nanoseconds / v.NANOS if policy.HasField("grace_period") else None
    return Kill(text(body.task_id.value), grace)


read: Callable[[pb.executor.Event], ExecutorEvent] = _reading.reader(
    Event.Type,
    {
        "SUBSCRIBED": _subscribed,
        "LAUNCH": lambda body: _launch(body.task),
        "LAUNCH_GROUP": _launch_group,
        "KILL": _kill,
        "ACKNOWLEDGED": lambda body: Acknowledged(text(body.task_id.value), body.uuid),
        "MESSAGE": lambda body: Message(body.data),
        "SHUTDOWN": Shutdown(),
    },
)
"""Return an event of the stream as a value; raises BadEvent if it lacks what its type promises."""
