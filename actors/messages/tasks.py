"""The life of tasks and their reconciliation: between task actors, scheduler and reconciler."""

from __future__ import annotations

from actors.runtime import message
from actors.tasks.states import TaskPhase
from mesos_v1.values import AgentId, ExecutorId, OperationId, TaskId, TaskStatus


@message
class KillTask:
    """Ask a task actor to end its task."""

    grace: float | None = None


@message
class MoveTask:
    """Ask a task actor to run its task elsewhere, if it is on that agent; it costs the task no attempt."""

    agent_id: AgentId
    reason: str


@message
class TaskChanged:
    """A task is in another phase, or there is news of it; what the author's `on_task_update` gets.

    Attributes:
        attempt: which one it is, counted from 1.
        state: the Mesos state last heard of, or "".
        agent_id: where the present attempt is, if it is anywhere.
    """

    task_id: TaskId
    attempt_id: TaskId
    attempt: int
    phase: TaskPhase
    state: str = ""
    reason: str = ""
    message: str = ""
    agent_id: AgentId | None = None
    executor_id: ExecutorId | None = None
    data: bytes = b""


@message
class TaskDone:
    """The outcome of a task, stored: finished, failed after the last attempt, or killed at the author's request.

    Attributes:
        attempts: how many were made.
        last_attempt: the number of the last one, which is higher when a task with this id has ended before.
    """

    task_id: TaskId
    name: str
    phase: TaskPhase
    attempts: int
    payload: bytes
    result: bytes = b""
    executor: str = ""
    state: str = ""
    reason: str = ""
    message: str = ""
    agent_id: AgentId | None = None
    executor_id: ExecutorId | None = None
    last_attempt: int = 1


@message
class BrokerRestarted:
    """The broker has started anew and knows no demand: whoever waits demands again."""


@message
class StartReconciliation:
    """Begin a round now: the subscription is new, or somebody asks for it."""


@message
class StopReconciliation:
    """There is no master to ask; the next subscription starts a round."""


@message
class ListTasks:
    """Ask the scheduler which attempts may exist on the cluster; answered by `TasksOnCluster`."""


@message
class TasksOnCluster:
    """The attempts that are thought to be on the cluster, with their agents where known."""

    tasks: tuple[tuple[TaskId, AgentId | None], ...]


@message
class Suspect:
    """Ask the reconciler for the truth about one attempt, soon."""

    attempt_id: TaskId
    agent_id: AgentId | None


@message
class TaskAnswered:
    """The master has said something about a task; the reconciler stops asking for it."""

    task_id: TaskId


@message
class UnknownTask:
    """The master knows a task of this framework that nobody here knows."""

    status: TaskStatus


@message
class OperationDone:
    """The outcome of an operation with an id: "finished", "failed" or "lost"."""

    operation_id: OperationId
    phase: str
