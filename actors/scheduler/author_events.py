"""What the hooks of an author's scheduler are given. Payloads and results are decoded when they are looked at."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from actors.messages import TaskDone
from actors.runtime import message, unpack
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, MasterInfo, TaskId


@message
class Registered:
    """The framework is subscribed: for the first time, or again.

    Attributes:
        resumed: tasks that were taken over from an earlier run of the scheduler.
    """

    framework_id: FrameworkId
    master: MasterInfo | None
    resumed: int = 0


@message
class MessageSource:
    """Which executor a framework message came from; `executor` is its name in the configuration, if it is ours."""

    agent_id: AgentId
    executor_id: ExecutorId
    executor: str


@message
class TaskFinished:
    """A task has finished; its outcome is stored and will be told again should the scheduler die in this hook.

    Attributes:
        data: the result as it came, packed; b"" when there is none.
    """

    task_id: TaskId
    name: str
    attempts: int
    payload_data: bytes
    data: bytes
    executor: str
    agent_id: AgentId | None
    executor_id: ExecutorId | None

    @property
    def payload(self) -> Any:
        """The payload that the task was launched with; None when there was none."""
        return unpack(self.payload_data).message if self.payload_data else None

    @property
    def result(self) -> Any:
        """What the executor returned; for a command task the raw bytes; None when there is nothing."""
        if not self.data:
            return None
        return unpack(self.data).message if self.executor else self.data


@message
class TaskFailure:
    """A task has failed for good, or was killed; `attempts` were made.

    Attributes:
        state: the Mesos state of the last attempt, such as "TASK_FAILED".
        reason: Mesos's reason, such as "REASON_COMMAND_EXECUTOR_FAILED", or "timeout".
        message: one line that says what went wrong.
        killed: whether the author asked for it.
    """

    task_id: TaskId
    name: str
    attempts: int
    payload_data: bytes
    executor: str
    state: str
    reason: str
    message: str
    agent_id: AgentId | None
    executor_id: ExecutorId | None
    killed: bool = False

    @property
    def payload(self) -> Any:
        """The payload that the task was launched with; None when there was none."""
        return unpack(self.payload_data).message if self.payload_data else None


_OF_FINISHED = attrgetter(
    "task_id", "name", "attempts", "payload", "result", "executor", "agent_id", "executor_id"
)
_OF_FAILED = attrgetter(
    *("task_id", "name", "attempts", "payload", "executor"),
    *("state", "reason", "message", "agent_id", "executor_id"),
)


def finished(done: TaskDone) -> TaskFinished:
    """Return the author's view of a finished task."""
    return TaskFinished(*_OF_FINISHED(done))


def failed(done: TaskDone, *, killed: bool) -> TaskFailure:
    """Return the author's view of a task that failed or was killed."""
    return TaskFailure(*(*_OF_FAILED(done), killed))
