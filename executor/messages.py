"""What the actors of an executor tell each other.

The events of the agent are told as `mesos_v1.executor_events` reads them (``Launch``, ``Kill``, …): they are immutable
values, and are registered here so that they can be traced.
"""

from __future__ import annotations

from actors.runtime import Immutable, carrier, message, redacted, register
from executor.connection.states import Event
from mesos_v1 import executor_events, pb
from mesos_v1.hiding import hidden
from mesos_v1.values import TaskId


def without_secrets_in_task(info: bytes) -> bytes:
    """For traces: a serialized `TaskInfo` without environments and secrets."""
    return hidden(pb.mesos.TaskInfo, info, redacted)


def without_secrets_in_status(status: bytes) -> bytes:
    """For traces: a serialized `TaskStatus` whose data holds no secrets."""
    return hidden(pb.mesos.TaskStatus, status, redacted)


for _event in (
    executor_events.Subscribed,
    executor_events.Kill,
    executor_events.Acknowledged,
    executor_events.Message,
    executor_events.Shutdown,
    executor_events.Error,
    executor_events.Heartbeat,
    executor_events.Unknown,
):
    register(_event)
register(executor_events.Launch, redact={"task": without_secrets_in_task})
register(
    executor_events.LaunchGroup,
    redact={"tasks": lambda tasks: [without_secrets_in_task(task) for task in tasks]},
)


# -- to the connection -----------------------------------------------------------------------------------------------


@message
class SendUpdate:
    """Send a status update, and keep it until it is acknowledged.

    Attributes:
        status: A TaskStatus.
    """

    task_id: TaskId
    uuid: bytes
    status: bytes = carrier(without_secrets_in_status)


@message
class SendMessage:
    """Send a framework message to the scheduler, best effort."""

    data: bytes


@message
class Leave:
    """The executor is about to end: no way back. Answered with `Left` once the calls on their way are answered."""


# -- from the connection to the executor -----------------------------------------------------------------------------


@message
class AgentLost:
    """The agent is gone, and is being looked for."""

    reason: str


@message
class AgentGone:
    """There is no agent any more, and none will come: the executor has to end.

    Attributes:
        refused: The agent does not want this executor.
    """

    reason: str
    refused: bool


@message
class Left:
    """Every call was answered, or will never be."""


# -- within the connection -------------------------------------------------------------------------------------------


@message
class Happened:
    """Something happened to the subscription.

    Attributes:
        attempt: To which one: what belongs to an old one is ignored.
    """

    attempt: int
    event: Event
    reason: str = ""


@message
class Arrived:
    """An event came.

    Attributes:
        event: One of `mesos_v1.executor_events`.
    """

    attempt: int
    event: Immutable


@message
class RecoveryOver:
    """The agent did not come back in time."""


@message
class CallEnded:
    """A call has its answer, or will never have one.

    Attributes:
        uuid: Of the update that it carried; empty for any other call.
        status: HTTP status; 0 when the connection broke.
        text: The answer's body, or how it broke.
    """

    attempt: int
    uuid: bytes
    status: int
    text: str


@message
class ResendDue:
    """An update that did not get through is to be sent again, if it still has to be."""

    attempt: int
    uuid: bytes


@message
class HeartbeatDue:
    """It is time for a HEARTBEAT call."""


# -- executor and author ---------------------------------------------------------------------------------------------


@message
class StartAuthor:
    """Run the author's `on_start`."""


@message
class AuthorStarted:
    """`on_start` is done."""


@message
class AuthorFailed:
    """`on_start` raised."""

    reason: str


@message
class StillStarting:
    """It is time to look whether `on_start` is done."""


@message
class StopAuthor:
    """Run the author's `on_stop`."""


@message
class AuthorStopped:
    """`on_stop` is done, whatever came of it."""


@message
class ForAuthor:
    """A message of the scheduler, for the author's `on_message`."""

    message: Immutable


@message
class EndRequested:
    """End gracefully (a signal)."""

    reason: str


@message
class PhaseOver:
    """The time for a part of the ending is over.

    Attributes:
        phase: Which one.
    """

    phase: str


# -- executor and tasks ----------------------------------------------------------------------------------------------


@message
class StartTask:
    """Run the task."""


@message
class RefuseTask:
    """The task cannot be run."""

    reason: str
    retry: bool = True


@message
class KillTask:
    """End the task.

    Attributes:
        grace: Seconds that it may take; None for what its own kill policy says.
    """

    grace: float | None


@message
class TaskEnded:
    """A task has reported its last state."""

    task_id: TaskId
    state: str


# -- within a task ---------------------------------------------------------------------------------------------------


@message
class Returned:
    """Its function returned."""

    result: Immutable


@message
class Raised:
    """Its function raised."""

    reason: str
    retry: bool = True


@message
class Cancelled:
    """Its coroutine ended by cancellation."""


@message
class GraceOver:
    """It did not end in time."""


@message
class SendToFramework:
    """Its function sends a message to the scheduler."""

    message: Immutable


@message
class Progress:
    """Its function reports how far it is."""

    message: Immutable


@message
class ProgressDue:
    """The newest report may be sent now."""


# -- the trace -------------------------------------------------------------------------------------------------------


@message
class ShipDue:
    """It is time to ship what is new."""


@message
class ShipSoon:
    """A task has ended: its trace should be seen soon, and not be lost if the executor ends suddenly."""


@message
class FinishShipping:
    """Ship what is left; answered when it is done."""
