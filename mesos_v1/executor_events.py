"""The events of the executor API, read: protobuf in, one of a closed union of immutable values out.

What an executor passes on unread (tasks, infos) stays in protobuf bytes. A type that this version does not know becomes
`Unknown`; an event that lacks what its type promises raises `BadEvent`. Source: Mesos: Executor HTTP API, "Events".
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesos_v1 import pb
from mesos_v1 import values as v
from mesos_v1._texts import text
from mesos_v1.errors import BadEvent

__all__ = [
    "Acknowledged",
    "BadEvent",
    "Error",
    "ExecutorEvent",
    "Heartbeat",
    "Kill",
    "Launch",
    "LaunchGroup",
    "Message",
    "Shutdown",
    "Subscribed",
    "Unknown",
    "read",
]


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


@dataclass(frozen=True, slots=True)
class Error:
    """The agent refuses the executor and closes the connection."""

    message: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The connection lives."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that this version of the schema does not know."""

    type_name: str


ExecutorEvent = (
    Subscribed | Launch | LaunchGroup | Kill | Acknowledged | Message | Shutdown | Error | Heartbeat | Unknown
)
"""Everything that an agent may send to an executor."""

Event = pb.executor.Event


def read(event: pb.executor.Event) -> ExecutorEvent:
    """Return an event of the stream as a value.

    Raises:
        BadEvent: It lacks what its type promises.
    """
    rule = _RULES.get(event.type)
    if rule is None:
        return Unknown(Event.Type.Name(event.type))
    field, reader = rule
    if field and not event.HasField(field):  # type: ignore[arg-type]  # the stub wants a literal
        raise BadEvent(f"an event {Event.Type.Name(event.type)} without '{field}'")
    return reader(event)


def _subscribed(event: pb.executor.Event) -> Subscribed:
    body = event.subscribed
    return Subscribed(
        executor_info=body.executor_info.SerializePartialToString(),
        framework_info=body.framework_info.SerializePartialToString(),
        agent_info=body.agent_info.SerializePartialToString(),
        container_id=v.ContainerId(text(body.container_id.value)) if body.HasField("container_id") else None,
        agent_id=v.AgentId(text(body.agent_info.id.value)),
        framework_id=v.FrameworkId(
            text(body.framework_info.id.value or body.executor_info.framework_id.value)
        ),
        executor_id=v.ExecutorId(text(body.executor_info.executor_id.value)),
    )


def _launch(event: pb.executor.Event) -> Launch:
    task = event.launch.task
    return Launch(task.SerializePartialToString(), v.TaskId(text(task.task_id.value)))


def _launch_group(event: pb.executor.Event) -> LaunchGroup:
    tasks = event.launch_group.task_group.tasks
    return LaunchGroup(
        tuple(task.SerializePartialToString() for task in tasks),
        tuple(v.TaskId(text(task.task_id.value)) for task in tasks),
    )


def _kill(event: pb.executor.Event) -> Kill:
    policy = event.kill.kill_policy
    grace = policy.grace_period.nanoseconds / v.NANOS if policy.HasField("grace_period") else None
    return Kill(v.TaskId(text(event.kill.task_id.value)), grace)


def _acknowledged(event: pb.executor.Event) -> Acknowledged:
    return Acknowledged(v.TaskId(text(event.acknowledged.task_id.value)), event.acknowledged.uuid)


def _message(event: pb.executor.Event) -> Message:
    return Message(event.message.data)


def _error(event: pb.executor.Event) -> Error:
    return Error(text(event.error.message))


_RULES: dict[int, tuple[str, Callable[[pb.executor.Event], ExecutorEvent]]] = {
    Event.SUBSCRIBED: ("subscribed", _subscribed),
    Event.LAUNCH: ("launch", _launch),
    Event.LAUNCH_GROUP: ("launch_group", _launch_group),
    Event.KILL: ("kill", _kill),
    Event.ACKNOWLEDGED: ("acknowledged", _acknowledged),
    Event.MESSAGE: ("message", _message),
    Event.SHUTDOWN: ("", lambda _: Shutdown()),
    Event.ERROR: ("error", _error),
    Event.HEARTBEAT: ("", lambda _: Heartbeat()),
}
