"""Tasks that are no processes: for tests of scale, where what counts is the messages.

A simulated agent takes tasks, sends the updates that a real one would, and ends each task after a while. What happens
to a task is in its labels:

* `simulate.duration`: seconds until it ends; without it the agent's setting, where 0 means: when it is killed.
* `simulate.state`: how it ends (`TASK_FINISHED` unless said otherwise).
* `simulate.data`: the data of its last status; `simulate.echo` = `true` gives back the task's own data.
* `simulate.message`: the message of its last status.

All tasks of an agent share one timer.
"""

import heapq
import itertools
from typing import TYPE_CHECKING

from mesos_v1 import pb
from playa.agent.books import ExecutorRecord, FrameworkRecord, TaskRecord
from playa.agent.context import AgentContext
from playa.agent.executors.states import TaskPhase
from playa.agent.messages import SimulatedDue

if TYPE_CHECKING:
    from playa.agent.updates.delivery import Updating


class SimulatedTasks:
    """The running simulated tasks of one agent."""

    def __init__(self, context: AgentContext, updating: "Updating") -> None:
        self._context = context
        self._updating = updating
        self._ends: list[tuple[float, int, FrameworkRecord, ExecutorRecord, TaskRecord]] = []
        self._order = itertools.count()
        self._timer_at: float | None = None

    def launch(self, executor: ExecutorRecord, tasks: list[TaskRecord]) -> None:
        """Run tasks: TASK_STARTING for those of the agent's own executors, TASK_RUNNING, and an end in due time."""
        context = self._context
        framework = context.frameworks[executor.framework_id]
        for task in tasks:
            if not task.info.HasField("executor"):
                self._update(framework, executor, task, pb.mesos.TASK_STARTING)
            self._update(framework, executor, task, pb.mesos.TASK_RUNNING)
            seconds = _duration(task, context.settings.simulated_task_duration)
            if seconds is not None:
                entry = (context.now() + seconds, next(self._order), framework, executor, task)
                heapq.heappush(self._ends, entry)
        self._arm()

    def due(self) -> None:
        """The timer rang: end what is over."""
        self._timer_at = None
        now = self._context.now()
        while self._ends and self._ends[0][0] <= now:
            _, _, framework, executor, task = heapq.heappop(self._ends)
            if task.phase is TaskPhase.LAUNCHED:
                self._finish(framework, executor, task)
        self._arm()

    def kill(self, executor: ExecutorRecord, task: TaskRecord) -> None:
        """End a task because it is to be killed."""
        framework = self._context.frameworks[executor.framework_id]
        self._update(framework, executor, task, pb.mesos.TASK_KILLED, message="Simulated task was killed")

    def _finish(self, framework: FrameworkRecord, executor: ExecutorRecord, task: TaskRecord) -> None:
        labels = _labels(task)
        name = labels.get("simulate.state", "TASK_FINISHED")
        state = (
            pb.mesos.TaskState.Value(name) if name in pb.mesos.TaskState.keys() else pb.mesos.TASK_FAILED  # noqa: SIM118
        )
        data = (
            task.info.data
            if labels.get("simulate.echo") == "true"
            else labels.get("simulate.data", "").encode()
        )
        self._update(framework, executor, task, state, data=data, message=labels.get("simulate.message", ""))

    def _update(
        self,
        framework: FrameworkRecord,
        executor: ExecutorRecord,
        task: TaskRecord,
        state: "pb.mesos.TaskState.ValueType",
        *,
        data: bytes = b"",
        message: str = "",
    ) -> None:
        status = pb.mesos.TaskStatus(
            task_id=task.info.task_id,
            state=state,
            source=pb.mesos.TaskStatus.SOURCE_EXECUTOR,
            uuid=self._context.uuid(),
            timestamp=self._context.time(),
            executor_id=executor.info.executor_id,
        )
        if data:
            status.data = data
        if message:
            status.message = message
        self._updating.from_executor(framework, executor.executor_id, status, None)

    def _arm(self) -> None:
        if not self._ends:
            return
        at = self._ends[0][0]
        if self._timer_at is None or at < self._timer_at:
            self._timer_at = at
            self._context.after(max(at - self._context.now(), 0.0), SimulatedDue())


def _labels(task: TaskRecord) -> dict[str, str]:
    return {label.key: label.value for label in task.info.labels.labels}


def _duration(task: TaskRecord, default: float) -> float | None:
    if task.info.HasField("labels"):
        text = _labels(task).get("simulate.duration")
        if text is not None:
            try:
                return max(float(text), 0.0)
            except ValueError:
                return 0.0
    return default or None
