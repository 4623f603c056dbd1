"""The states of tasks and operations, and which of them are the end of the story.

The sets are Mesos's own (Mesos: Task State Reasons; High Availability Framework Guide; and the comments on
`TASK_LOST` for partition awareness). What a scheduler does in each state is not decided here.
"""

from enum import StrEnum


class TaskState(StrEnum):
    """The state of a task, named as in the API. A state from the future reads as TASK_UNKNOWN."""

    TASK_STAGING = "TASK_STAGING"
    TASK_STARTING = "TASK_STARTING"
    TASK_RUNNING = "TASK_RUNNING"
    TASK_KILLING = "TASK_KILLING"
    TASK_FINISHED = "TASK_FINISHED"
    TASK_FAILED = "TASK_FAILED"
    TASK_KILLED = "TASK_KILLED"
    TASK_ERROR = "TASK_ERROR"
    TASK_LOST = "TASK_LOST"
    TASK_DROPPED = "TASK_DROPPED"
    TASK_UNREACHABLE = "TASK_UNREACHABLE"
    TASK_GONE = "TASK_GONE"
    TASK_GONE_BY_OPERATOR = "TASK_GONE_BY_OPERATOR"
    TASK_UNKNOWN = "TASK_UNKNOWN"

    @classmethod
    def _missing_(cls, _value: object) -> "TaskState":
        return cls.TASK_UNKNOWN


class OperationState(StrEnum):
    """The state of an offer operation, named as in the API. A state from the future reads as OPERATION_UNSUPPORTED."""

    OPERATION_UNSUPPORTED = "OPERATION_UNSUPPORTED"
    OPERATION_PENDING = "OPERATION_PENDING"
    OPERATION_FINISHED = "OPERATION_FINISHED"
    OPERATION_FAILED = "OPERATION_FAILED"
    OPERATION_ERROR = "OPERATION_ERROR"
    OPERATION_DROPPED = "OPERATION_DROPPED"
    OPERATION_UNREACHABLE = "OPERATION_UNREACHABLE"
    OPERATION_GONE_BY_OPERATOR = "OPERATION_GONE_BY_OPERATOR"
    OPERATION_RECOVERING = "OPERATION_RECOVERING"
    OPERATION_UNKNOWN = "OPERATION_UNKNOWN"

    @classmethod
    def _missing_(cls, _value: object) -> "OperationState":
        return cls.OPERATION_UNSUPPORTED


TERMINAL_STATES = frozenset(
    {
        TaskState.TASK_FINISHED,
        TaskState.TASK_FAILED,
        TaskState.TASK_KILLED,
        TaskState.TASK_ERROR,
        TaskState.TASK_LOST,
        TaskState.TASK_DROPPED,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
    }
)
"""States that a task does not leave. TASK_LOST is among them for a framework without PARTITION_AWARE; the master
may still hear of such a task again when its agent comes back, and then kills it."""

PARTITION_STATES = frozenset(
    {
        TaskState.TASK_DROPPED,
        TaskState.TASK_UNREACHABLE,
        TaskState.TASK_GONE,
        TaskState.TASK_GONE_BY_OPERATOR,
        TaskState.TASK_UNKNOWN,
    }
)
"""States that only a framework with the PARTITION_AWARE capability sees; others see TASK_LOST instead."""

RECOVERABLE_STATES = frozenset({TaskState.TASK_UNREACHABLE, TaskState.TASK_UNKNOWN})
"""Neither running nor over: the task may come back (or never have been); reconcile, and decide by policy."""

LIVE_STATES = frozenset(
    {TaskState.TASK_STAGING, TaskState.TASK_STARTING, TaskState.TASK_RUNNING, TaskState.TASK_KILLING}
)
"""The task is on its agent, on its way there, or being killed there."""

NEVER_RAN_STATES = frozenset({TaskState.TASK_ERROR, TaskState.TASK_DROPPED})
"""The task was refused or dropped before it was started: starting another is always safe."""

TERMINAL_OPERATION_STATES = frozenset(
    {
        OperationState.OPERATION_FINISHED,
        OperationState.OPERATION_FAILED,
        OperationState.OPERATION_ERROR,
        OperationState.OPERATION_DROPPED,
        OperationState.OPERATION_GONE_BY_OPERATOR,
    }
)
"""States that an operation does not leave."""


def is_terminal(state: TaskState) -> bool:
    """Whether a task in `state` will never change again."""
    return state in TERMINAL_STATES


def is_live(state: TaskState) -> bool:
    """Whether a task in `state` holds resources on an agent that can be reached."""
    return state in LIVE_STATES


def without_partition_awareness(state: TaskState) -> TaskState:
    """Return what a framework that is not PARTITION_AWARE is told instead of `state`."""
    return TaskState.TASK_LOST if state in PARTITION_STATES else state


def is_terminal_operation(state: OperationState) -> bool:
    """Whether an operation in `state` will never change again."""
    return state in TERMINAL_OPERATION_STATES
