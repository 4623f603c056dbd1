"""The life of executors at an agent: subscribe, deliver, kill, shut down, and what follows from their end.

The state table is in `executor_states`; here is what each step does. An executor over HTTP gets events on its stream, a
built-in one messages; the agent treats both alike otherwise.
"""

import logging

from mesos_v1 import pb
from mesos_v1.quantities import mesos_duration
from playa.agent.books import Ending, ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.containers.garbage import Garbage
from playa.agent.context import AgentContext
from playa.agent.executors import events
from playa.agent.executors.states import EXECUTOR, ExecutorEvent, ExecutorState, TaskEvent, TaskPhase
from playa.agent.messages import (
    ContainerExited,
    ContainerLaunchFailed,
    ContainerStarted,
    DestroyContainer,
    KillRun,
    LaunchTasks,
    RegistrationOverdue,
    ShutDown,
    ShutdownOverdue,
)
from playa.agent.recovery import checkpoint
from playa.agent.simulation import SimulatedTasks
from playa.agent.updates import statuses
from playa.agent.updates.delivery import RemovesExecutors, Updating
from playa.messages import ExecutorMessage, ExitedExecutor, KillTask
from playa.web import RecordStream

log = logging.getLogger(__name__)

Reason = pb.mesos.TaskStatus.Reason


class Executors(RemovesExecutors):
    """The part of an agent that looks after executors that are there."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self.updating = Updating(context, self)
        self.simulation = SimulatedTasks(context, self.updating)
        self.garbage = Garbage(context)

    # --- Coming -----------------------------------------------------------------------------------------------

    def started(self, message: ContainerStarted) -> None:
        """Its process runs."""
        executor = self._context.executor(message.framework_id, message.executor_id, message.container_id)
        if executor is None:
            return
        if not message.task_id or executor.kind is Kind.COMMAND:
            executor.pid = message.pid
        if executor.checkpoint:
            self._context.ledger.write(
                checkpoint.STARTED,
                message.framework_id,
                message.executor_id,
                message.container_id,
                message.task_id,
                message.pid,
                message.started,
            )
        if executor.state is ExecutorState.TERMINATING and executor.kind is Kind.CUSTOM:
            self.destroy(executor)

    def subscribe(
        self,
        framework: FrameworkRecord,
        executor: ExecutorRecord,
        stream: RecordStream | None,
        call: "pb.executor.Call.Subscribe | None" = None,
    ) -> None:
        """An executor subscribes, the first time or again.

        Args:
            framework: Its framework.
            executor: Itself.
            stream: Where its events go; None for a built-in one.
            call: What it has unacknowledged; None for a built-in one.
        """
        unwanted = EXECUTOR[executor.state, ExecutorEvent.SUBSCRIBED].ignored
        if unwanted or framework.terminating or self._context.terminating:
            log.info("executor %s subscribes but is to end: shut down", executor.executor_id)
            if stream is not None:
                stream.send_message(events.SHUTDOWN)
                stream.finish()
            return
        if executor.stream is not None and executor.stream is not stream:
            executor.stream.finish()
        executor.stream = stream
        executor.life.on(ExecutorEvent.SUBSCRIBED)
        if call is not None:
            self._catch_up(framework, executor, call)
        if not executor.ever_sent and not executor.in_phase(TaskPhase.QUEUED):
            log.info("executor %s has nothing left to do: shut down", executor.executor_id)
            self.shut_down(framework, executor)
            return
        if stream is not None:
            info, container_id = self._context.info, executor.container_id
            stream.send_message(events.subscribed(executor.info, framework.info, info, container_id))
        self.deliver(executor)

    def _catch_up(
        self, framework: FrameworkRecord, executor: ExecutorRecord, call: "pb.executor.Call.Subscribe"
    ) -> None:
        """Take in what a re-subscribing executor still has, and find what was lost on the way to it."""
        for update in call.unacknowledged_updates:
            self.updating.from_executor(framework, executor.executor_id, update.status, executor.pid or None)
        has = {task.task_id.value for task in call.unacknowledged_tasks}
        for task in executor.in_phase(TaskPhase.LAUNCHED):
            if task.state == pb.mesos.TASK_STAGING and task.task_id not in has:
                self.updating.from_agent(
                    framework,
                    task.task_id,
                    statuses.dropped(framework.info),
                    message=statuses.LAUNCHED_DURING_RESTART,
                    reason=Reason.REASON_AGENT_RESTARTED,
                    executor_id=executor.executor_id,
                )

    def deliver(self, executor: ExecutorRecord) -> None:
        """Send what is queued to an executor that is there: single tasks first, then groups."""
        if executor.state is not ExecutorState.RUNNING:
            return
        groups, executor.groups = executor.groups, []
        grouped = {task_id for group in groups for task_id in group}
        for task in executor.in_phase(TaskPhase.QUEUED):
            if task.task_id not in grouped:
                self._send_tasks(executor, [task], group=False)
        for group in groups:
            tasks = [executor.tasks[task_id] for task_id in group if task_id in executor.tasks]
            if tasks:
                self._send_tasks(executor, tasks, group=True)

    def _send_tasks(self, executor: ExecutorRecord, tasks: list[TaskRecord], *, group: bool) -> None:
        executor.ever_sent = True
        for task in tasks:
            task.life.on(TaskEvent.DELIVERED)
        if executor.kind is Kind.SIMULATED:
            self.simulation.launch(executor, tasks)
        elif executor.stream is not None:
            executor.stream.send_message(events.launch([task.info for task in tasks], group=group))
        elif executor.runner is not None:
            self._context.tell(
                executor.runner, LaunchTasks(tuple(task.info.SerializeToString() for task in tasks))
            )

    # --- Running ----------------------------------------------------------------------------------------------

    def message_to_framework(self, framework: FrameworkRecord, executor_id: str, data: bytes) -> None:
        """A framework message from an executor."""
        if self._context.connected and not framework.terminating:
            self._context.to_master(
                ExecutorMessage(self._context.agent_id, framework.framework_id, executor_id, data)
            )

    def message_to_executor(self, framework_id: str, executor_id: str, data: bytes) -> None:
        """A framework message to an executor; lost unless it is there (Mesos: best effort)."""
        framework = self._context.frameworks.get(framework_id)
        executor = self._context.executor(framework_id, executor_id)
        if framework is None or executor is None or framework.terminating:
            log.warning("dropping a message for executor %s: it does not exist", executor_id)
        elif executor.state is not ExecutorState.RUNNING:
            log.warning("dropping a message for executor %s: it is %s", executor_id, executor.state.value)
        elif executor.stream is not None:
            executor.stream.send_message(events.message(data))

    def kill(self, message: KillTask) -> None:
        """The master wants a task killed.

        A command task has its own kill policy: Mesos's command executor is not told of another.
        """
        framework = self._context.frameworks.get(message.framework_id)
        if framework is None or framework.terminating:
            log.warning("cannot kill task %s: its framework is not here", message.task_id)
            return
        executor = framework.where.get(message.task_id)
        if executor is None:
            self.updating.from_agent(
                framework,
                message.task_id,
                statuses.dropped(framework.info),
                message=statuses.NO_EXECUTOR,
                reason=Reason.REASON_EXECUTOR_TERMINATED,
            )
            return
        task = executor.tasks[message.task_id]
        if executor.state in {ExecutorState.TERMINATING, ExecutorState.TERMINATED}:
            return
        if task.phase is TaskPhase.QUEUED:
            self._kill_queued(framework, executor, task)
        elif task.phase is TaskPhase.LAUNCHED:
            self._kill_launched(executor, task, message.kill_policy)

    def _kill_queued(self, framework: FrameworkRecord, executor: ExecutorRecord, task: TaskRecord) -> None:
        group = executor.group_of(task.task_id)
        text = statuses.KILLED_BEFORE_DELIVERY if group is None else statuses.GROUP_KILLED_BEFORE_DELIVERY
        if group is not None:
            executor.groups.remove(group)
        for task_id in group or (task.task_id,):
            self.updating.from_agent(
                framework,
                task_id,
                pb.mesos.TASK_KILLED,
                message=text,
                reason=Reason.REASON_TASK_KILLED_DURING_LAUNCH,
                executor_id=executor.executor_id,
            )

    def _kill_launched(self, executor: ExecutorRecord, task: TaskRecord, kill_policy: bytes | None) -> None:
        policy = None if kill_policy is None else pb.mesos.KillPolicy.FromString(kill_policy)
        if executor.kind is Kind.SIMULATED:
            self.simulation.kill(executor, task)
        elif executor.stream is not None:
            executor.stream.send_message(events.kill(task.task_id, policy))
        elif executor.runner is not None:
            grace = None
            if executor.kind is Kind.DEFAULT and policy is not None and policy.HasField("grace_period"):
                grace = policy.grace_period.nanoseconds / 1e9
            self._context.tell(executor.runner, KillRun(task.task_id, grace))

    def heartbeat(self) -> None:
        """HEARTBEAT to every executor over HTTP."""
        for framework in self._context.frameworks.values():
            for executor in framework.executors.values():
                if executor.stream is not None and not executor.stream.closing:
                    executor.stream.send_message(events.HEARTBEAT)

    # --- Going ------------------------------------------------------------------------------------------------

    def shut_down(self, framework: FrameworkRecord, executor: ExecutorRecord) -> None:
        """Ask an executor to end, and see to it that it does."""
        if executor.life.on(ExecutorEvent.SHUTDOWN).ignored:
            return
        grace = self._context.settings.executor_shutdown_grace_period
        if executor.info.HasField("shutdown_grace_period"):
            grace = executor.info.shutdown_grace_period.nanoseconds / 1e9
        if executor.kind is Kind.SIMULATED:
            self.ended(
                ContainerExited(framework.framework_id, executor.executor_id, executor.container_id, 0)
            )
            return
        if executor.stream is not None:
            executor.stream.send_message(events.SHUTDOWN)
        elif executor.kind is not Kind.CUSTOM and executor.runner is not None:
            self._context.tell(executor.runner, ShutDown(grace))
        overdue = ShutdownOverdue(framework.framework_id, executor.executor_id, executor.container_id)
        self._context.after(grace, overdue)

    def shutdown_overdue(self, message: ShutdownOverdue) -> None:
        """The grace period is over."""
        executor = self._context.executor(message.framework_id, message.executor_id, message.container_id)
        if executor is not None and executor.state is ExecutorState.TERMINATING:
            log.info("executor %s did not end in time: killed", executor.executor_id)
            self.destroy(executor)

    def registration_overdue(self, message: RegistrationOverdue) -> None:
        """The time to subscribe is over."""
        executor = self._context.executor(message.framework_id, message.executor_id, message.container_id)
        if executor is None or executor.life.on(ExecutorEvent.REGISTRATION_TIMEOUT).ignored:
            return
        limit = mesos_duration(self._context.settings.executor_registration_timeout)
        executor.ending = Ending(
            pb.mesos.TASK_FAILED,
            Reason.REASON_EXECUTOR_REGISTRATION_TIMEOUT,
            f"Executor did not register within {limit}",
        )
        self.destroy(executor)

    def reregistration_overdue(self) -> None:
        """After a restart of the agent: executors that did not come back in time are not waited for any longer."""
        limit = mesos_duration(self._context.settings.executor_reregistration_timeout)
        for framework in list(self._context.frameworks.values()):
            for executor in list(framework.executors.values()):
                if executor.life.on(ExecutorEvent.REGISTRATION_TIMEOUT).ignored:
                    continue
                executor.ending = Ending(
                    statuses.gone(framework.info),
                    Reason.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
                    f"Executor did not reregister within {limit}",
                )
                self.destroy(executor)

    def destroy(self, executor: ExecutorRecord) -> None:
        """Kill all of an executor now."""
        if executor.runner is not None:
            self._context.tell(executor.runner, DestroyContainer())

    def launch_failed(self, message: ContainerLaunchFailed) -> None:
        """There will be no executor: its tasks fail, with the reason why."""
        executor = self._context.executor(message.framework_id, message.executor_id, message.container_id)
        if executor is None:
            return
        executor.ending = Ending(
            pb.mesos.TASK_FAILED,
            Reason.REASON_CONTAINER_LAUNCH_FAILED,
            f"Failed to launch container: {message.why}",
        )
        self.ended(
            ContainerExited(message.framework_id, message.executor_id, message.container_id, None),
            ExecutorEvent.LAUNCH_FAILED,
        )

    def crashed(self, executor: ExecutorRecord, why: str) -> None:
        """The actor of an executor's container failed (a bug of this cluster): its tasks fail, the others go on."""
        names = (executor.framework_id, executor.executor_id, executor.container_id)
        if executor.state is ExecutorState.REGISTERING:
            self.launch_failed(ContainerLaunchFailed(*names, why))
        else:
            self.ended(ContainerExited(*names, None))

    def ended(self, message: ContainerExited, event: ExecutorEvent = ExecutorEvent.EXITED) -> None:
        """An executor's process is over: FAILURE to the framework, then the end of each of its tasks."""
        framework = self._context.frameworks.get(message.framework_id)
        executor = self._context.executor(message.framework_id, message.executor_id, message.container_id)
        if framework is None or executor is None or executor.life.on(event).ignored:
            return
        executor.runner = None
        if executor.stream is not None:
            executor.stream.finish()
            executor.stream = None
        if executor.checkpoint:
            self._context.ledger.write(
                checkpoint.EXITED, message.framework_id, message.executor_id, message.container_id
            )
        if not executor.for_command_task:
            status = -1 if message.status is None else message.status
            self._context.to_master(
                ExitedExecutor(self._context.agent_id, framework.framework_id, executor.executor_id, status)
            )
        self._end_tasks(framework, executor)
        if framework.terminating or self._context.terminating or not executor.tasks:
            self.remove(framework, executor)

    def _end_tasks(self, framework: FrameworkRecord, executor: ExecutorRecord) -> None:
        ending = executor.ending or Ending(
            None, Reason.REASON_EXECUTOR_TERMINATED, statuses.EXECUTOR_TERMINATED
        )
        state = ending.state if ending.state is not None else pb.mesos.TASK_FAILED
        for phase in (TaskPhase.LAUNCHED, TaskPhase.QUEUED):
            for task in executor.in_phase(phase):
                self.updating.from_agent(
                    framework,
                    task.task_id,
                    state,
                    message=ending.message,
                    reason=ending.reason,
                    executor_id=executor.executor_id,
                )

    def remove(self, framework: FrameworkRecord, executor: ExecutorRecord) -> None:
        """Forget an executor that is over; its sandbox stays for the time that the settings say."""
        if framework.executors.get(executor.executor_id) is executor:
            del framework.executors[executor.executor_id]
        for task_id in executor.tasks:
            framework.where.pop(task_id, None)
        framework.completed.append(executor)
        if executor.sandbox:
            self.garbage.add(executor.sandbox)
        if framework.idle:
            self.remove_framework(framework)

    def remove_framework(self, framework: FrameworkRecord) -> None:
        """Forget a framework that has nothing here any more."""
        context = self._context
        if context.frameworks.pop(framework.framework_id, None) is None:
            return
        context.completed_frameworks.append(framework)
        del context.completed_frameworks[:-50]
        if framework.terminating:
            context.streams.drop(framework.framework_id)
        if framework.info.checkpoint:
            context.ledger.write(checkpoint.FRAMEWORK_GONE, framework.framework_id)
        context.less_is_here()

    def shut_down_framework(self, framework: FrameworkRecord) -> None:
        """The framework is over: end its executors, say nothing more to it."""
        if framework.terminating:
            return
        framework.terminating = True
        self._context.streams.drop(framework.framework_id)
        for executor in list(framework.executors.values()):
            if executor.state is ExecutorState.TERMINATED:
                self.remove(framework, executor)
            else:
                self.shut_down(framework, executor)
        if framework.idle:
            self.remove_framework(framework)
