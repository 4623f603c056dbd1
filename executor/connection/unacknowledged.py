"""What the agent may not know yet: tasks and updates that no ACKNOWLEDGED has confirmed. Pure bookkeeping.

Both go into every SUBSCRIBE (Executor HTTP API, "SUBSCRIBE"): a task counts as acknowledged when at least one of its
updates is; an update when its own uuid is.
"""

from __future__ import annotations

from mesos_v1.values import TaskId


class Unacknowledged:
    """Tasks (TaskInfo) and updates (TaskStatus), as bytes, in the order in which they came."""

    def __init__(self) -> None:
        self._tasks: dict[TaskId, bytes] = {}
        self._updates: dict[bytes, tuple[TaskId, bytes]] = {}

    @property
    def tasks(self) -> tuple[bytes, ...]:
        """The tasks that the agent may not know to have been launched."""
        return tuple(self._tasks.values())

    @property
    def updates(self) -> tuple[bytes, ...]:
        """The updates that the agent may not have."""
        return tuple(status for _, status in self._updates.values())

    def launched(self, task_id: TaskId, task: bytes) -> None:
        """The agent has launched a task."""
        self._tasks.setdefault(task_id, task)

    def updated(self, task_id: TaskId, uuid: bytes, status: bytes) -> None:
        """An update was made (whether or not it could be sent)."""
        self._updates[uuid] = (task_id, status)

    def acknowledged(self, task_id: TaskId, uuid: bytes) -> bool:
        """The agent has confirmed an update; False when it is not one of those waiting."""
        self._tasks.pop(task_id, None)
        return self._updates.pop(uuid, None) is not None

    def withdraw(self, uuid: bytes) -> None:
        """Forget an update that the agent will never take."""
        self._updates.pop(uuid, None)

    def update(self, uuid: bytes) -> bytes | None:
        """The update of that uuid, if it still waits."""
        found = self._updates.get(uuid)
        return found[1] if found else None
