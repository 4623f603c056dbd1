"""The life of an executor, of a task and of a task's update stream at the agent: three tables.

Rules of this file: a table maps (state, event) to the next state; a pair that is not in its table is an event to be
ignored in that state (the agent logs it, nothing changes). Everything that *happens* on the way (processes, messages)
is the agent's business; here is only what may follow what.

Executor: REGISTERING from the start of its container until it subscribes; a shutdown or a missed registration makes it
TERMINATING; only the end of its container makes it TERMINATED.

Task: QUEUED until its executor is there, LAUNCHED when sent to it, TERMINATED by the first terminal update, COMPLETED
when the scheduler has acknowledged that.

Update stream: one update of a task in flight at a time, the next only when it is acknowledged; the stream ends with
the acknowledgement of a terminal update (Mesos, "Task State Reconciliation" and the agent's status update manager).
"""

from enum import Enum
from typing import Final


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


EXECUTOR: Final[dict[tuple[ExecutorState, ExecutorEvent], ExecutorState]] = {
    (ExecutorState.REGISTERING, ExecutorEvent.SUBSCRIBED): ExecutorState.RUNNING,
    (ExecutorState.REGISTERING, ExecutorEvent.SHUTDOWN): ExecutorState.TERMINATING,
    (ExecutorState.REGISTERING, ExecutorEvent.REGISTRATION_TIMEOUT): ExecutorState.TERMINATING,
    (ExecutorState.REGISTERING, ExecutorEvent.LAUNCH_FAILED): ExecutorState.TERMINATED,
    (ExecutorState.REGISTERING, ExecutorEvent.EXITED): ExecutorState.TERMINATED,
    (ExecutorState.RUNNING, ExecutorEvent.SUBSCRIBED): ExecutorState.RUNNING,
    (ExecutorState.RUNNING, ExecutorEvent.SHUTDOWN): ExecutorState.TERMINATING,
    (ExecutorState.RUNNING, ExecutorEvent.EXITED): ExecutorState.TERMINATED,
    (ExecutorState.TERMINATING, ExecutorEvent.LAUNCH_FAILED): ExecutorState.TERMINATED,
    (ExecutorState.TERMINATING, ExecutorEvent.EXITED): ExecutorState.TERMINATED,
}


def after(state: ExecutorState, event: ExecutorEvent) -> ExecutorState | None:
    """The executor's next state, or None when the event means nothing in this state."""
    return EXECUTOR.get((state, event))


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


TASK: Final[dict[tuple[TaskPhase, TaskEvent], TaskPhase]] = {
    (TaskPhase.QUEUED, TaskEvent.DELIVERED): TaskPhase.LAUNCHED,
    (TaskPhase.QUEUED, TaskEvent.TERMINAL): TaskPhase.TERMINATED,
    (TaskPhase.LAUNCHED, TaskEvent.PROGRESS): TaskPhase.LAUNCHED,
    (TaskPhase.LAUNCHED, TaskEvent.TERMINAL): TaskPhase.TERMINATED,
    (TaskPhase.TERMINATED, TaskEvent.ACKNOWLEDGED): TaskPhase.COMPLETED,
}


class StreamState(Enum):
    """Where a task's stream of status updates is."""

    IDLE = "IDLE"
    IN_FLIGHT = "IN_FLIGHT"
    ENDED = "ENDED"


class StreamEvent(Enum):
    """What can happen to a stream; the acknowledgements are of the update that is in flight."""

    UPDATE = "UPDATE"
    ACKNOWLEDGED_LAST = "ACKNOWLEDGED_LAST"
    ACKNOWLEDGED_MORE = "ACKNOWLEDGED_MORE"
    ACKNOWLEDGED_TERMINAL = "ACKNOWLEDGED_TERMINAL"
    RETRY = "RETRY"


STREAM: Final[dict[tuple[StreamState, StreamEvent], StreamState]] = {
    (StreamState.IDLE, StreamEvent.UPDATE): StreamState.IN_FLIGHT,
    (StreamState.IN_FLIGHT, StreamEvent.UPDATE): StreamState.IN_FLIGHT,
    (StreamState.IN_FLIGHT, StreamEvent.RETRY): StreamState.IN_FLIGHT,
    (StreamState.IN_FLIGHT, StreamEvent.ACKNOWLEDGED_MORE): StreamState.IN_FLIGHT,
    (StreamState.IN_FLIGHT, StreamEvent.ACKNOWLEDGED_LAST): StreamState.IDLE,
    (StreamState.IN_FLIGHT, StreamEvent.ACKNOWLEDGED_TERMINAL): StreamState.ENDED,
}
