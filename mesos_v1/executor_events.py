"""The events of the executor API, read: protobuf in, one of a closed union of immutable values out.

What an executor passes on unread (tasks, infos) stays in protobuf bytes. A type that this version does not know becomes
`Unknown`; an event that lacks what its type promises raises `BadEvent`. Source: Mesos: Executor HTTP API, "Events".
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesos_v1 import _reading, pb
from mesos_v1 import values as v
from mesos_v1._reading import optional_id, reader
from mesos_v1._texts import text


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription with the agent stands.

    Attributes:
        executor_info: Protobuf bytes of the `ExecutorInfo` (as are the next two of theirs).
        container_id: Of the executor; None when an old agent does not say.
    """

    executor_info: bytes
    framework_info: bytes
    agent_info: bytes
    container_id: v.ContainerId | None
    agent_id: v.AgentId
    framework_id: v.FrameworkId
    executor_id: v.ExecutorId


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a task.

    Attributes:
        task: Protobuf bytes of the `TaskInfo`.
    """

    task: bytes
    task_id: v.TaskId


@dataclass(frozen=True, slots=True)
class LaunchGroup:
    """Start several tasks, or none of them.

    Attributes:
        tasks: Protobuf bytes of the `TaskInfo` of each.
    """

    tasks: tuple[bytes, ...]
    task_ids: tuple[v.TaskId, ...]


@dataclass(frozen=True, slots=True)
class Kill:
    """End a task.

    Attributes:
        grace_period: Seconds that it may take; None to go by the task's own kill policy.
    """

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
        agent_id=v.AgentId(text(body.agent_info.id.value)),
        framework_id=v.FrameworkId(
            text(body.framework_info.id.value or body.executor_info.framework_id.value)
        ),
        executor_id=v.ExecutorId(text(body.executor_info.executor_id.value)),
    )


def _launch(body: pb.executor.Event.Launch) -> Launch:
    return Launch(body.task.SerializePartialToString(), v.TaskId(text(body.task.task_id.value)))


def _launch_group(body: pb.executor.Event.LaunchGroup) -> LaunchGroup:
    tasks = body.task_group.tasks
    return LaunchGroup(
        tuple(task.SerializePartialToString() for task in tasks),
        tuple(v.TaskId(text(task.task_id.value)) for task in tasks),
    )


def _kill(body: pb.executor.Event.Kill) -> Kill:
    policy = body.kill_policy
    grace = policy.grace_period.nanoseconds / v.NANOS if policy.HasField("grace_period") else None
    return Kill(v.TaskId(text(body.task_id.value)), grace)


read: Callable[[pb.executor.Event], ExecutorEvent] = reader(
    Event.Type,
    {
        "SUBSCRIBED": _subscribed,
        "LAUNCH": _launch,
        "LAUNCH_GROUP": _launch_group,
        "KILL": _kill,
        "ACKNOWLEDGED": lambda body: Acknowledged(v.TaskId(text(body.task_id.value)), body.uuid),
        "MESSAGE": lambda body: Message(body.data),
    },
    {"SHUTDOWN": Shutdown(), "HEARTBEAT": Heartbeat()},
)
"""Return an event of the stream as a value; raises BadEvent if it lacks what its type promises."""
