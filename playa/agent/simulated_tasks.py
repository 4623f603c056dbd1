"""Tasks that are no processes: for tests of scale, where what counts is the messages.

What happens to a task is in its labels:

* `simulate.duration`: seconds until it ends; without it the agent's setting, where 0 means: when it is killed.
* `simulate.state`: how it ends (`TASK_FINISHED` unless said otherwise).
* `simulate.data`: the data of its last status; `simulate.echo` = `true` gives back the task's own data.
* `simulate.message`: the message of its last status.
"""

import itertools
from typing import Any

from actors.runtime import receive
from mesos_v1 import pb
from playa.agent.executors.states import TaskPhase
from playa.agent.messages import SimulatedDue
from playa.agent.records import AgentContext, ExecutorRecord, TaskRecord
from playa.agent.status_updates import StatusUpdates
from playa.agent.statuses import State, Status


class SimulatedTasks:
    """The simulated tasks of one agent."""

    def __init__(self, context: AgentContext, updates: StatusUpdates) -> None:
        self._context = context
        self._updates = updates
        self._numbers = itertools.count()
        self._running: dict[int, tuple[ExecutorRecord, TaskRecord]] = {}

    def launch(self, executor: ExecutorRecord, tasks: list[TaskRecord]) -> None:
        """Run tasks: TASK_STARTING for those of the agent's own executors, TASK_RUNNING, and an end in due time."""
        for task in tasks:
            if not task.info.HasField("executor"):
                self._update(executor, task, pb.mesos.TASK_STARTING)
            self._update(executor, task, pb.mesos.TASK_RUNNING)
            seconds = _duration(task, self._context.settings.simulated_task_duration)
            if seconds is not None:
                number = next(self._numbers)
                self._running[number] = executor, task
                self._context.after(seconds, SimulatedDue(number))

    @receive
    def handle_simulated_due(self, message: SimulatedDue) -> None:
        executor, task = self._running.pop(message.number)
        if task.phase is not TaskPhase.LAUNCHED:
            return
        labels = _labels(task)
        try:
            state = pb.mesos.TaskState.Value(labels.get("simulate.state", "TASK_FINISHED"))
        except ValueError:
            state = pb.mesos.TASK_FAILED
        echo = labels.get("simulate.echo") == "true"
        data = task.info.data if echo else labels.get("simulate.data", "").encode()
        self._update(executor, task, state, data=data or None, message=labels.get("simulate.message") or None)

    def kill(self, executor: ExecutorRecord, task: TaskRecord) -> None:
        """End a task because it is to be killed."""
        self._update(executor, task, pb.mesos.TASK_KILLED, message="Simulated task was killed")

    def _update(self, executor: ExecutorRecord, task: TaskRecord, state: State, **more: Any) -> None:
        status = Status(
            task_id=task.info.task_id,
            state=state,
            source=Status.SOURCE_EXECUTOR,
            uuid=self._context.uuid(),
            timestamp=self._context.time(),
            executor_id=executor.info.executor_id,
            **more,
        )
        self._updates.from_executor(executor.framework, status, None)


def _labels(task: TaskRecord) -> dict[str, str]:
    return {label.key: label.value for label in task.info.labels.labels}


def _duration(task: TaskRecord, default: float) -> float | None:
    text = _labels(task).get("simulate.duration")
    try:
        return (default or None) if text is None else max(float(text), 0.0)
    except ValueError:
        return 0.0
