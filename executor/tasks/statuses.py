"""Status updates as an executor makes them: values in, TaskStatus bytes out. Pure.

Source: Executor HTTP API, "UPDATE": an update needs state, task id, a uuid of its own and SOURCE_EXECUTOR (an agent
refuses it otherwise: see the recording custom_executor).
"""

from __future__ import annotations

from mesos_v1 import executor_calls
from mesos_v1.states import TaskState
from mesos_v1.values import ExecutorId, TaskId

MAX_RESULT = 1024 * 1024
"""Most bytes of data in a status update. Mesos sets no limit of its own, but the update passes agent, master
and scheduler as one message, and is kept until it is acknowledged."""

MAX_MESSAGE = 2000
NO_RETRY = "mesostic.retry"


def status(
    task_id: TaskId,
    executor_id: ExecutorId,
    state: TaskState,
    *,
    uuid: bytes,
    timestamp: float,
    message: str = "",
    data: bytes = b"",
    retry: bool = True,
) -> bytes:
    """Make an update.

    Args:
        uuid: 16 random bytes.
        timestamp: Seconds since 1970.
        message: For people; cut where it is long.
        retry: False adds the label ``mesostic.retry=false``, which keeps the scheduler side from another attempt.
    """
    return executor_calls.status(
        task_id,
        state.value,
        uuid,
        timestamp=timestamp,
        message=(message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 1] + "…") or None,
        data=data or None,
        labels=() if retry else ((NO_RETRY, "false"),),
        executor_id=executor_id,
    ).SerializeToString()
