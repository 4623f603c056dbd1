"""Status updates on their way: from an executor or the agent itself, into the records, to the master until acknowledged.

An executor's update is acknowledged to the executor as soon as the agent has taken it in; that the scheduler has seen
it is known only later, and only the agent waits for that (Mesos documentation, "Executor HTTP API", ACKNOWLEDGED).
"""

import logging
from collections.abc import Callable
from contextlib import suppress

from actors.runtime import ActorDeadError, receive
from mesos_v1 import pb
from playa.agent import statuses
from playa.agent.checkpoint import Entry
from playa.agent.executors.states import ExecutorEvent, ExecutorState, TaskEvent, TaskPhase
from playa.agent.messages import BuiltInUpdate, UpdateHandled
from playa.agent.records import AgentContext, ExecutorRecord, FrameworkRecord, Kind
from playa.agent.statuses import State, Status, Why, is_terminal
from playa.agent.update_streams import PendingUpdate, UpdateStreams
from playa.messages import AgentUpdate, UpdateAcknowledged

log = logging.getLogger(__name__)

Event = pb.executor.Event


class StatusUpdates:
    """The part of an agent that handles status updates; `remove` forgets an executor that has nothing left here."""

    def __init__(self, context: AgentContext, remove: Callable[[ExecutorRecord], None]) -> None:
        self._context = context
        self._remove = remove
        self.streams = context.streams = UpdateStreams(
            context.settings, context.after, self._send, of_operations=False
        )

    @receive
    def handle_built_in_update(self, message: BuiltInUpdate) -> None:
        framework = self._context.frameworks.get(message.run.framework_id)
        if framework is not None:
            self.from_executor(framework, Status.FromString(message.status), message.pid)

    def from_executor(self, framework: FrameworkRecord, status: Status, pid: int | None) -> None:
        """A well-formed update of an executor, to be completed here; `pid` is of the process that runs the task."""
        if framework.terminating:
            return
        context = self._context
        status.agent_id.value = context.agent_id
        status.source = Status.SOURCE_EXECUTOR
        if not status.HasField("timestamp"):
            status.timestamp = context.time()
        statuses.say_draining(status, context.drain, framework.info)
        executor = framework.executor_of_task.get(status.task_id.value)
        if executor is None:
            log.warning("no executor for the update of task %s: forwarded as it is", status.task_id.value)
            self._queue(framework.framework_id, None, status)
            return
        task = executor.tasks[status.task_id.value]
        before = task.phase
        if task.life.on(TaskEvent.TERMINAL if is_terminal(status.state) else TaskEvent.PROGRESS).ignored:
            state = pb.mesos.TaskState.Name(status.state)
            log.warning("task %s is %s: update %s is dropped", task.task_id, before.value, state)
        else:
            if before is TaskPhase.LAUNCHED:
                self._add_container(status, executor, pid)
            task.note(status)
            self._queue(framework.framework_id, executor, status)
        self._acknowledge_to(executor, status)

    def from_agent(
        self, framework: FrameworkRecord, task_id: str, state: State, why: Why, executor_id: str | None = None
    ) -> None:
        """An update that the agent is the source of; nothing happens if the task is over already."""
        if framework.terminating:
            return
        status = self._status(task_id, state, why)
        if executor_id is not None:
            status.executor_id.value = executor_id
        statuses.say_draining(status, self._context.drain, framework.info)
        executor = framework.executor_of_task.get(task_id)
        if executor is not None:
            task = executor.tasks[task_id]
            if task.life.on(TaskEvent.TERMINAL).ignored:
                return
            task.note(status)
        self._queue(framework.framework_id, executor, status)

    def unknown_task(self, framework_id: str, task_id: str) -> None:
        """Say to the master that a task is not here; its framework may have nothing here at all."""
        framework = self._context.frameworks.get(framework_id)
        state = statuses.dropped(None if framework is None else framework.info)
        self._queue(framework_id, None, self._status(task_id, state, statuses.UNKNOWN_TO_AGENT))

    @receive
    def handle_update_acknowledged(self, message: UpdateAcknowledged) -> None:
        framework_id, task_id = message.framework_id, message.task_id
        done = self.streams.acknowledge(framework_id, task_id, message.uuid)
        if done is None:
            log.debug("task %s: an acknowledgement of another update", task_id)
            return
        executor = self._context.executor_of(framework_id, task_id)
        if executor is None:
            return
        if executor.checkpoint:
            self._context.ledger.write(Entry.ACKNOWLEDGED, framework_id, task_id, message.uuid)
        if not done.terminal:
            return
        if not executor.tasks[task_id].life.on(TaskEvent.ACKNOWLEDGED).ignored:
            del executor.framework.executor_of_task[task_id]
            executor.completed.append(executor.tasks.pop(task_id))
        if executor.state is ExecutorState.TERMINATED and not executor.tasks:
            self._remove(executor)

    def _status(self, task_id: str, state: State, why: Why) -> Status:
        return Status(
            task_id=pb.mesos.TaskID(value=task_id),
            state=state,
            message=why.message,
            source=Status.SOURCE_AGENT,
            reason=why.reason,
            uuid=self._context.uuid(),
            timestamp=self._context.time(),
            agent_id=self._context.info.id,
        )

    def _add_container(self, status: Status, executor: ExecutorRecord, pid: int | None) -> None:
        """What the agent knows of the container. The id of a nested one stays, and that has an address only while it runs."""
        container = status.container_status
        if not container.HasField("container_id"):
            container.container_id.value = executor.run.container_id
        elif pid is None:
            return
        if not container.network_infos:
            container.network_infos.add().ip_addresses.add(
                protocol=pb.mesos.NetworkInfo.IPv4, ip_address=self._context.settings.ip
            )
        if pid is not None:
            container.executor_pid = pid

    def _queue(self, framework_id: str, executor: ExecutorRecord | None, status: Status) -> None:
        data, task_id = status.SerializeToString(), status.task_id.value
        if executor is not None and executor.checkpoint:
            self._context.ledger.write(Entry.UPDATE, framework_id, task_id, data)
        self.streams.add(PendingUpdate(framework_id, task_id, status.uuid, data, is_terminal(status.state)))

    def _send(self, update: PendingUpdate) -> None:
        executor = self._context.executor_of(update.framework_id, update.task_id)
        executor_id = "" if executor is None or executor.for_command_task else executor.executor_id
        task = None if executor is None else executor.tasks[update.task_id]
        latest = Status.FromString(update.status).state if task is None else task.state
        known, name = (self._context.agent_id, update.framework_id), pb.mesos.TaskState.Name(latest)
        self._context.to_master(AgentUpdate(*known, executor_id, update.status, name))

    def _acknowledge_to(self, executor: ExecutorRecord, status: Status) -> None:
        if executor.kind is Kind.CUSTOM:
            executor.send(Event.ACKNOWLEDGED, acknowledged={"task_id": status.task_id, "uuid": status.uuid})
        elif executor.runner is not None:
            with suppress(ActorDeadError):
                executor.runner.tell(UpdateHandled(status.uuid))
        elif executor.for_command_task and is_terminal(status.state):
            executor.life.on(ExecutorEvent.EXITED)  # a simulated one: nothing else will end it
