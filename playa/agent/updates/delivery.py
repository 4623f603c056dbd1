"""Status updates on their way: from an executor or the agent itself, into the books, to the master until acknowledged.

An executor's update is acknowledged to the executor as soon as the agent has taken it in; that the scheduler has seen
it is known only later, and only the agent waits for that (Mesos documentation, "Executor HTTP API", ACKNOWLEDGED).
"""

import logging
from typing import Protocol

from mesos_v1 import pb
from playa.agent.books import ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.context import AgentContext
from playa.agent.executors.events import acknowledged
from playa.agent.executors.states import ExecutorEvent, ExecutorState, TaskEvent, TaskPhase
from playa.agent.messages import ResendDue, UpdateHandled
from playa.agent.recovery import checkpoint
from playa.agent.updates.statuses import add_container, agent_status, is_terminal, say_draining
from playa.agent.updates.streams import PendingUpdate
from playa.messages import AgentUpdate, UpdateAcknowledged

log = logging.getLogger(__name__)

_STATE_NAME = pb.mesos.TaskState.Name


class Updating:
    """The part of an agent that handles status updates."""

    def __init__(self, context: AgentContext, executors: "RemovesExecutors") -> None:
        self._context = context
        self._executors = executors
        self._timer_at: float | None = None

    def from_executor(
        self, framework: FrameworkRecord, executor_id: str, status: pb.mesos.TaskStatus, pid: int | None
    ) -> None:
        """An executor's update, already found to be well formed.

        Args:
            framework: Its framework.
            executor_id: Who sends it.
            status: The status; completed here (agent, timestamp, container).
            pid: Of the process that runs the task, None where there is none.
        """
        if framework.terminating:
            return
        context = self._context
        status.agent_id.value = context.agent_id
        status.source = pb.mesos.TaskStatus.SOURCE_EXECUTOR
        if not status.HasField("timestamp"):
            status.timestamp = context.time()
        say_draining(status, context.drain, framework.info)
        executor = framework.where.get(status.task_id.value)
        if executor is None:
            log.warning("no executor for the update of task %s: forwarded as it is", status.task_id.value)
            self._queue(framework, None, None, status)
            return
        task = executor.tasks[status.task_id.value]
        event = TaskEvent.TERMINAL if is_terminal(status.state) else TaskEvent.PROGRESS
        before = task.phase
        if task.life.on(event).ignored:
            dropped = _STATE_NAME(status.state)
            log.warning("task %s is %s: update %s is dropped", task.task_id, before.value, dropped)
        else:
            if before is TaskPhase.LAUNCHED:
                container = executor.container_id
                add_container(status, container_id=container, ip=context.ip, pid=pid)
            task.note(status)
            self._queue(framework, executor, task, status)
        self._handled(executor, status)

    def from_agent(
        self,
        framework: FrameworkRecord,
        task_id: str,
        state: "pb.mesos.TaskState.ValueType",
        *,
        message: str,
        reason: "pb.mesos.TaskStatus.Reason.ValueType",
        executor_id: str | None = None,
    ) -> None:
        """An update that the agent is the source of; nothing happens if the task is over already."""
        if framework.terminating:
            return
        context = self._context
        status = agent_status(
            task_id,
            state,
            message=message,
            reason=reason,
            uuid=context.uuid(),
            timestamp=context.time(),
            agent_id=context.agent_id,
            executor_id=executor_id,
        )
        say_draining(status, context.drain, framework.info)
        executor = framework.where.get(task_id)
        if executor is None:
            self._queue(framework, None, None, status)
            return
        task = executor.tasks[task_id]
        if not task.life.on(TaskEvent.TERMINAL).ignored:
            task.note(status)
            self._queue(framework, executor, task, status)

    def unknown_task(
        self,
        framework_id: str,
        task_id: str,
        state: "pb.mesos.TaskState.ValueType",
        *,
        message: str,
        reason: "pb.mesos.TaskStatus.Reason.ValueType",
    ) -> None:
        """An update for a task of a framework that may have nothing here at all."""
        context = self._context
        status = agent_status(
            task_id,
            state,
            message=message,
            reason=reason,
            uuid=context.uuid(),
            timestamp=context.time(),
            agent_id=context.agent_id,
        )
        update = PendingUpdate(framework_id, task_id, status.uuid, status.SerializeToString(), terminal=True)
        self._send_if_first(update)

    def acknowledged(self, message: UpdateAcknowledged) -> None:
        """The scheduler has seen an update: send the next one, or forget the task."""
        context = self._context
        done = context.streams.acknowledge(message.framework_id, message.task_id, message.uuid, context.now())
        if done is None:
            log.debug("task %s: an acknowledgement of another update", message.task_id)
            return
        framework = context.frameworks.get(message.framework_id)
        executor = framework.where.get(message.task_id) if framework is not None else None
        if executor is not None and executor.checkpoint:
            context.ledger.write(checkpoint.ACKNOWLEDGED, message.framework_id, message.task_id, message.uuid)
        if done.following is not None:
            self._send(done.following)
            self._arm()
        if not done.ended or framework is None or executor is None:
            return
        task = executor.tasks[message.task_id]
        if not task.life.on(TaskEvent.ACKNOWLEDGED).ignored:
            del executor.tasks[message.task_id]
            del framework.where[message.task_id]
            executor.completed.append(task)
        if executor.state is ExecutorState.TERMINATED and not executor.tasks:
            self._executors.remove(framework, executor)

    def resend(self) -> None:
        """The timer rang: send what has waited long enough."""
        self._timer_at = None
        for update in self._context.streams.due(self._context.now()):
            self._send(update)
        self._arm()

    def resume(self) -> None:
        """The master is there (again)."""
        for update in self._context.streams.resume(self._context.now()):
            self._send(update)
        self._arm()

    def pause(self) -> None:
        """The master is gone."""
        self._context.streams.pause()

    def _queue(
        self,
        framework: FrameworkRecord,
        executor: ExecutorRecord | None,
        task: TaskRecord | None,
        status: pb.mesos.TaskStatus,
    ) -> None:
        data = status.SerializeToString()
        task_id = status.task_id.value
        update = PendingUpdate(framework.framework_id, task_id, status.uuid, data, is_terminal(status.state))
        if executor is not None and executor.checkpoint and task is not None:
            self._context.ledger.write(checkpoint.UPDATE, framework.framework_id, task_id, data)
        self._send_if_first(update)

    def _send_if_first(self, update: PendingUpdate) -> None:
        if self._context.streams.add(update, self._context.now()) is not None:
            self._send(update)
            self._arm()

    def _send(self, update: PendingUpdate) -> None:
        framework = self._context.frameworks.get(update.framework_id)
        executor = framework.where.get(update.task_id) if framework is not None else None
        executor_id, latest = "", None
        if executor is not None:
            latest = executor.tasks[update.task_id].state
            executor_id = "" if executor.for_command_task else executor.executor_id
        if latest is None:
            latest = pb.mesos.TaskStatus.FromString(update.status).state
        self._context.to_master(
            AgentUpdate(
                agent_id=self._context.agent_id,
                framework_id=update.framework_id,
                executor_id=executor_id,
                status=update.status,
                latest_state=_STATE_NAME(latest),
            )
        )

    def _arm(self) -> None:
        deadline = self._context.streams.next_deadline()
        if deadline is None or (self._timer_at is not None and self._timer_at <= deadline):
            return
        self._timer_at = deadline
        self._context.after(max(deadline - self._context.now(), 0.0), ResendDue())

    def _handled(self, executor: ExecutorRecord, status: pb.mesos.TaskStatus) -> None:
        """Tell the executor that its update is in safe hands."""
        if executor.kind is Kind.CUSTOM:
            if executor.stream is not None:
                executor.stream.send_message(acknowledged(status))
        elif executor.runner is not None:
            self._context.tell(executor.runner, UpdateHandled(status.task_id.value, status.uuid))
        elif executor.for_command_task and is_terminal(status.state):
            executor.life.on(ExecutorEvent.EXITED)  # a simulated one: nothing else will end it


class RemovesExecutors(Protocol):
    """Who forgets an executor that has nothing left here (`Executors`)."""

    def remove(self, framework: FrameworkRecord, executor: ExecutorRecord) -> None:
        """Forget it."""
