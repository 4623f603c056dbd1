"""The states of tasks and operations, and which of them a task does not leave (Mesos: High Availability Framework Guide)."""

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
    TaskState[f"TASK_{name}"]
    for name in ["FINISHED", "FAILED", "KILLED", "ERROR", "LOST", "DROPPED", "GONE", "GONE_BY_OPERATOR"]
)
"""States that a task does not leave. TASK_LOST is among them for a framework without PARTITION_AWARE; the master
may still hear of such a task again when its agent comes back, and then kills it."""


def is_terminal(state: TaskState) -> bool:
    """Whether a task in `state` will never change again."""
    return state in TERMINAL_STATES
