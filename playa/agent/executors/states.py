"""The life of an executor and of a task at the agent.

Executor: REGISTERING from the start of its container until it subscribes; a shutdown or a missed registration makes it
TERMINATING; only the end of its container makes it TERMINATED.

Task: QUEUED until its executor is there, LAUNCHED when sent to it, TERMINATED by the first terminal update, COMPLETED
when the scheduler has acknowledged that.
"""

from enum import Enum

from actors.runtime.state_machine import Table


class ExecutorState(Enum):
    """Where an executor is."""

    REGISTERING = "REGISTERING"
    RUNNING = "RUNNING"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"


class ExecutorEvent(Enum):
    """What can happen to an executor."""

    SUBSCRIBED = "SUBSCRIBED"
    SHUTDOWN = "SHUTDOWN"
    REGISTRATION_TIMEOUT = "REGISTRATION_TIMEOUT"
    LAUNCH_FAILED = "LAUNCH_FAILED"
    EXITED = "EXITED"


S, E = ExecutorState, ExecutorEvent

EXECUTOR = Table[ExecutorState, ExecutorEvent, None](
    "an executor",
    S.REGISTERING,
    E,
    [
        ((S.REGISTERING, S.RUNNING), E.SUBSCRIBED, S.RUNNING),
        ((S.REGISTERING, S.RUNNING), E.SHUTDOWN, S.TERMINATING),
        (S.REGISTERING, E.REGISTRATION_TIMEOUT, S.TERMINATING),
        ((S.REGISTERING, S.TERMINATING), E.LAUNCH_FAILED, S.TERMINATED),
        ((S.REGISTERING, S.RUNNING, S.TERMINATING), E.EXITED, S.TERMINATED),
    ],
    ignored=[
        (S.RUNNING, (E.REGISTRATION_TIMEOUT, E.LAUNCH_FAILED), "it has subscribed"),
        (S.TERMINATING, (E.SUBSCRIBED, E.SHUTDOWN, E.REGISTRATION_TIMEOUT), "it is to end"),
        (S.TERMINATED, E, "it is over"),
    ],
    ends={S.TERMINATED},
)


class TaskPhase(Enum):
    """Where a task is, from the agent's point of view."""

    QUEUED = "QUEUED"
    LAUNCHED = "LAUNCHED"
    TERMINATED = "TERMINATED"
    COMPLETED = "COMPLETED"


class TaskEvent(Enum):
    """What can happen to a task at the agent."""

    DELIVERED = "DELIVERED"
    PROGRESS = "PROGRESS"
    TERMINAL = "TERMINAL"
    ACKNOWLEDGED = "ACKNOWLEDGED"


P, T = TaskPhase, TaskEvent

TASK = Table[TaskPhase, TaskEvent, None](
    "a task at its agent",
    P.QUEUED,
    T,
    [
        (P.QUEUED, T.DELIVERED, P.LAUNCHED),
        (P.LAUNCHED, T.PROGRESS, P.LAUNCHED),
        ((P.QUEUED, P.LAUNCHED), T.TERMINAL, P.TERMINATED),
        (P.TERMINATED, T.ACKNOWLEDGED, P.COMPLETED),
    ],
    ignored=[
        (P.QUEUED, T.PROGRESS, "its executor does not have it"),
        ((P.QUEUED, P.LAUNCHED), T.ACKNOWLEDGED, "its end has not been told"),
        (set(P) - {P.QUEUED}, T.DELIVERED, "it was delivered, or has ended before"),
        ((P.TERMINATED, P.COMPLETED), (T.PROGRESS, T.TERMINAL), "it has ended"),
        (P.COMPLETED, T.ACKNOWLEDGED, "once is enough"),
    ],
    ends={P.COMPLETED},
)
