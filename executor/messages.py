"""What the actors of an executor tell each other, and what they are called.

The events of the agent are told as `mesos_v1.executor_events` reads them, and are registered here so that they can be traced.
"""

from typing import Any, Self, get_args

from actors.runtime import Actor, Immutable, carrier, message, redacted, register
from mesos_v1 import executor_calls, pb
from mesos_v1 import executor_events as events
from mesos_v1.hiding import hidden
from mesos_v1.states import TaskState
from mesos_v1.values import ExecutorId, TaskId
from wire.results import RETRY_LABEL

MAX_MESSAGE = 2000

EXECUTOR, CONNECTION, MESSAGES, AUTHOR, TRACE, TASK = (
    "executor", "agent", "messages", "author", "trace", "task:"
)  # fmt: skip
"""What the actors are called; a task's, with its id behind."""

_WITHOUT_SECRETS: dict[type, Any] = {  # for traces
    events.Launch: {"task": lambda task: hidden(pb.mesos.TaskInfo, task, redacted)},
    events.LaunchGroup: {"tasks": lambda tasks: [hidden(pb.mesos.TaskInfo, it, redacted) for it in tasks]},
}
for _event in get_args(events.ExecutorEvent):
    register(_event, redact=_WITHOUT_SECRETS.get(_event, {}))


@message
class SendUpdate:
    """Send a status update (a TaskStatus), and keep it until it is acknowledged."""

    task_id: TaskId
    uuid: bytes
    status: bytes = carrier(lambda status: hidden(pb.mesos.TaskStatus, status, redacted))

    @classmethod
    def of(
        cls,
        actor: Actor,
        executor_id: ExecutorId,
        task_id: TaskId,
        state: TaskState,
        message: str = "",
        *,
        data: bytes = b"",
        retry: bool = True,
    ) -> Self:
        """Make it, with the actor's clock and ids. A long message is cut; ``retry=False`` keeps from another attempt."""
        uuid = actor.ids.uuid_bytes()
        status = executor_calls.status(
            task_id,
            state.value,
            uuid,
            timestamp=actor.clock.time(),
            message=(message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…") or None,
            data=data or None,
            labels=() if retry else ((RETRY_LABEL, "false"),),
            executor_id=executor_id,
        )
        return cls(task_id, uuid, status.SerializeToString())


@message
class SendMessage:
    """Send a framework message to the scheduler, best effort."""

    data: bytes


@message
class SendReliably:
    """Send a framework message to the scheduler until it is acknowledged."""

    data: bytes = carrier(redacted)


@message
class Leave:
    """The executor is about to end: no way back. Answered with `Left` once the calls on their way are answered."""


@message
class AgentLost:
    """The agent is gone, and is being looked for."""

    reason: str


@message
class AgentBack:
    """There is a subscription, the first one or again."""


@message
class AgentGone:
    """There is no agent any more, and none will come: the executor has to end."""

    reason: str


@message
class Left:
    """Every call was answered, or will never be."""


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
class StopAuthor:
    """Run the author's `on_stop`."""


@message
class AuthorStopped:
    """`on_stop` is done, whatever came of it."""


@message
class CallHook:
    """Call a hook of the author's, unless it has not been started or has been stopped."""

    name: str
    argument: Immutable


@message
class Trouble:
    """Something is wrong between executor and agent that no task shows."""

    reason: str


@message
class ForAuthor:
    """A message of the scheduler, for the author's `on_message`; one with a number is answered by `Heard`."""

    message: Immutable
    number: int = 0


@message
class Heard:
    """The author has had that message and all before it; or it cannot be read, and why."""

    number: int
    refusal: str = ""


@message
class EndRequested:
    """End gracefully (a signal)."""

    reason: str


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
    """End the task within `grace` seconds; None for what its own kill policy says."""

    grace: float | None


@message
class TaskEnded:
    """A task has reported its last state."""

    task_id: TaskId
    state: str


@message
class ShipSoon:
    """A task has ended: its trace should be seen soon, and not be lost if the executor ends suddenly."""


@message
class FinishShipping:
    """Ship what is left; answered when it is done."""
