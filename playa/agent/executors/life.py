"""The life of executors at an agent: subscribe, deliver, kill, shut down, and what follows from their end.

An executor over HTTP gets events on its stream, a built-in one messages; the agent treats both alike otherwise.
"""

import logging
import shutil
from contextlib import suppress

from actors.runtime import ActorDeadError, ChildFailed, receive
from mesos_v1 import pb
from mesos_v1.quantities import mesos_duration
from mesos_v1.values import NANOS
from playa.agent import messages as own
from playa.agent import statuses
from playa.agent.checkpoint import Entry
from playa.agent.executors.states import EXECUTOR, ExecutorEvent, ExecutorState, TaskEvent, TaskPhase
from playa.agent.records import AgentContext, ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.simulated_tasks import SimulatedTasks
from playa.agent.status_updates import StatusUpdates
from playa.agent.statuses import State, Status, Why
from playa.messages import (
    ExitedExecutor,
    FrameworkMessage,
    KillTask,
    ShutdownExecutor,
    ShutdownFramework,
)
from playa.web import RecordStream

log = logging.getLogger(__name__)

Event = pb.executor.Event
MOST_COMPLETED_FRAMEWORKS = 50


class Executors:
    """The part of an agent that looks after executors that are there."""

    def __init__(self, context: AgentContext) -> None:
        self._context = context
        self.updates = StatusUpdates(context, self.remove)
        self.simulation = SimulatedTasks(context, self.updates)

    @receive
    def handle_container_started(self, message: own.ContainerStarted) -> None:
        executor = self._context.executor(message.run)
        if executor is None:
            return
        if not message.task_id or executor.kind is Kind.COMMAND:
            executor.pid = message.pid
        container_id, process = executor.run.container_id, (message.pid, message.started)
        self._context.checkpoint(executor, Entry.STARTED, container_id, message.task_id, *process)
        if executor.state is ExecutorState.TERMINATING and executor.kind is Kind.CUSTOM:
            self._tell(executor, own.DestroyContainer())

    @receive
    def handle_built_in_subscribed(self, message: own.BuiltInSubscribed) -> None:
        executor = self._context.executor(message.run)
        if executor is not None:
            self.subscribe(executor)

    def subscribe(
        self,
        executor: ExecutorRecord,
        stream: RecordStream | None = None,
        call: "pb.executor.Call.Subscribe | None" = None,
    ) -> None:
        """An executor subscribes, the first time or again; one over HTTP has a stream and tells what it has unacknowledged."""
        unwanted = EXECUTOR[executor.state, ExecutorEvent.SUBSCRIBED].ignored
        if unwanted or executor.framework.terminating or self._context.terminating:
            log.info("executor %s subscribed while terminating; shutting it down", executor.executor_id)
            if stream is not None:
                stream.send_message(Event(type=Event.SHUTDOWN))
                stream.finish()
            return
        if executor.stream is not None and executor.stream is not stream:
            executor.stream.finish()
        executor.stream = stream
        executor.life.on(ExecutorEvent.SUBSCRIBED)
        if call is not None:
            self._catch_up(executor, call)
        if not executor.ever_sent and not executor.in_phase(TaskPhase.QUEUED):
            log.info("executor %s has nothing left to do: shut down", executor.executor_id)
            self.shut_down(executor)
            return
        if stream is not None:
            subscribed = Event.Subscribed(
                executor_info=executor.info,
                framework_info=executor.framework.info,
                agent_info=self._context.info,
                container_id=pb.mesos.ContainerID(value=executor.run.container_id),
            )
            executor.send(Event.SUBSCRIBED, subscribed=subscribed)
        self.deliver(executor)

    def _catch_up(self, executor: ExecutorRecord, call: "pb.executor.Call.Subscribe") -> None:
        """Take in what a re-subscribing executor still has, and find what was lost on the way to it."""
        for update in call.unacknowledged_updates:
            self.updates.from_executor(executor.framework, update.status, executor.pid or None)
        has = {task.task_id.value for task in call.unacknowledged_tasks}
        for task in executor.in_phase(TaskPhase.LAUNCHED):
            if task.state == pb.mesos.TASK_STAGING and task.task_id not in has:
                self.never_ran(executor, task)

    def never_ran(self, executor: ExecutorRecord, task: TaskRecord) -> None:
        """A task was on its way to its executor when the agent was killed."""
        state = statuses.dropped(executor.framework.info)
        self._end_task(executor, task.task_id, state, statuses.LAUNCHED_DURING_RESTART)

    def _end_task(self, executor: ExecutorRecord, task_id: str, state: State, why: Why) -> None:
        self.updates.from_agent(executor.framework, task_id, state, why, executor.executor_id)

    def deliver(self, executor: ExecutorRecord) -> None:
        """Send what is queued to an executor that is there: single tasks first, then groups."""
        if executor.state is not ExecutorState.RUNNING:
            return
        arrived, executor.arrived = executor.arrived, []
        groups, executor.groups = executor.groups, []
        grouped = {task_id for group in groups for task_id in group}
        for task in arrived:
            if task.phase is TaskPhase.QUEUED and task.task_id not in grouped:
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
        elif executor.kind is not Kind.CUSTOM:
            self._tell(executor, own.LaunchTasks(tuple(task.info.SerializeToString() for task in tasks)))
        elif group:
            executor.send(Event.LAUNCH_GROUP, launch_group={"task_group": {"tasks": [t.info for t in tasks]}})
        else:
            executor.send(Event.LAUNCH, launch={"task": tasks[0].info})

    def _tell(self, executor: ExecutorRecord, message: object) -> None:
        """Tell the container, or the built-in executor itself; one that has just ended does not need it any more."""
        if executor.runner is not None:
            with suppress(ActorDeadError):
                executor.runner.tell(message)

    @receive
    def handle_framework_message(self, message: FrameworkMessage) -> None:  # Mesos: best effort
        executor_id = message.executor_id
        executor = self._context.find_executor(message.framework_id, executor_id)
        if executor is None:
            log.warning("dropping a message for executor %s: it does not exist", executor_id)
        elif executor.state is not ExecutorState.RUNNING:
            log.warning("dropping a message for executor %s: it is %s", executor_id, executor.state.value)
        else:
            executor.send(Event.MESSAGE, message={"data": message.data})

    @receive
    def handle_kill_task(self, message: KillTask) -> None:
        task_id, framework = message.task_id, self._context.frameworks.get(message.framework_id)
        if framework is None or framework.terminating:
            log.warning("cannot kill task %s: its framework is not here", task_id)
            return
        executor = framework.executor_of_task.get(task_id)
        if executor is None:
            state = statuses.dropped(framework.info)
            self.updates.from_agent(framework, task_id, state, statuses.NO_EXECUTOR)
            return
        if executor.state in {ExecutorState.TERMINATING, ExecutorState.TERMINATED}:
            return
        phase = executor.tasks[task_id].phase
        if phase is TaskPhase.QUEUED:
            self._kill_queued(executor, task_id)
        elif phase is TaskPhase.LAUNCHED:
            self._kill_launched(executor, task_id, message.kill_policy)

    def _kill_queued(self, executor: ExecutorRecord, task_id: str) -> None:
        group = next((group for group in executor.groups if task_id in group), None)
        if group is not None:
            executor.groups.remove(group)
        why = statuses.KILLED_BEFORE_DELIVERY if group is None else statuses.GROUP_KILLED_BEFORE_DELIVERY
        for member in group or (task_id,):
            self._end_task(executor, member, pb.mesos.TASK_KILLED, why)

    def _kill_launched(self, executor: ExecutorRecord, task_id: str, kill_policy: bytes | None) -> None:
        policy = None if kill_policy is None else pb.mesos.KillPolicy.FromString(kill_policy)
        if executor.kind is Kind.SIMULATED:
            self.simulation.kill(executor, executor.tasks[task_id])
        elif executor.kind is Kind.CUSTOM:
            executor.send(Event.KILL, kill={"task_id": {"value": task_id}, "kill_policy": policy})
        else:
            grace = None  # of a command task its own: Mesos's command executor is not told of another
            if executor.kind is Kind.DEFAULT and policy is not None and policy.HasField("grace_period"):
                grace = policy.grace_period.nanoseconds / NANOS
            self._tell(executor, own.KillRun(task_id, grace))

    @receive
    def handle_heartbeat_executors(self, message: own.HeartbeatExecutors) -> None:
        for executor in self._context.executors():
            executor.send(Event.HEARTBEAT)

    @receive
    def handle_shutdown_executor(self, message: ShutdownExecutor) -> None:
        executor = self._context.find_executor(message.framework_id, message.executor_id)
        if executor is not None and not executor.framework.terminating:
            self.shut_down(executor)

    def shut_down(self, executor: ExecutorRecord) -> None:
        """Ask an executor to end, and see to it that it does."""
        if executor.life.on(ExecutorEvent.SHUTDOWN).ignored:
            return
        if executor.kind is Kind.SIMULATED:
            self.ended(executor, 0)
            return
        grace = executor.shutdown_grace_period(self._context.settings.executor_shutdown_grace_period)
        if not executor.send(Event.SHUTDOWN) and executor.kind is not Kind.CUSTOM:
            self._tell(executor, own.ShutDown(grace))
        self._context.after(grace, own.ShutdownOverdue(executor.run))

    @receive
    def handle_shutdown_overdue(self, message: own.ShutdownOverdue) -> None:
        executor = self._context.executor(message.run)
        if executor is not None and executor.state is ExecutorState.TERMINATING:
            log.info("executor %s did not end in time: killed", executor.executor_id)
            self._tell(executor, own.DestroyContainer())

    @receive
    def handle_registration_overdue(self, message: own.RegistrationOverdue) -> None:
        executor = self._context.executor(message.run)
        if executor is not None:
            limit = mesos_duration(self._context.settings.executor_registration_timeout)
            text, reason = "Executor did not register within", Status.REASON_EXECUTOR_REGISTRATION_TIMEOUT
            self._give_up(executor, pb.mesos.TASK_FAILED, Why(reason, f"{text} {limit}"))

    def reregistration_overdue(self) -> None:
        """After a restart of the agent: executors that did not come back in time are not waited for any longer."""
        limit = mesos_duration(self._context.settings.executor_reregistration_timeout)
        text = f"Executor did not reregister within {limit}"
        why = Why(Status.REASON_EXECUTOR_REREGISTRATION_TIMEOUT, text)
        for executor in self._context.executors():
            self._give_up(executor, statuses.gone(executor.framework.info), why)

    def _give_up(self, executor: ExecutorRecord, state: State, why: Why) -> None:
        if not executor.life.on(ExecutorEvent.REGISTRATION_TIMEOUT).ignored:
            executor.ending = state, why
            self._tell(executor, own.DestroyContainer())

    @receive
    def handle_container_launch_failed(self, message: own.ContainerLaunchFailed) -> None:
        executor = self._context.executor(message.run)
        if executor is not None:
            self.launch_failed(executor, message.why)

    def launch_failed(self, executor: ExecutorRecord, why: str) -> None:
        """There will be no executor: its tasks fail, with the reason why."""
        text = f"Failed to launch container: {why}"
        self.never_started(executor, Why(Status.REASON_CONTAINER_LAUNCH_FAILED, text))

    def never_started(self, executor: ExecutorRecord, why: Why) -> None:
        """There will be no executor: its tasks fail."""
        executor.ending = pb.mesos.TASK_FAILED, why
        self.ended(executor, None, ExecutorEvent.LAUNCH_FAILED)

    @receive
    def handle_child_failed(self, message: ChildFailed) -> None:
        """The actor of an executor's container failed (a bug of this cluster): its tasks fail, nothing else does."""
        log.error("%s failed: %s", message.name, message.error)
        for executor in self._context.executors():
            if executor.runner is None or executor.runner.name != message.name:
                continue
            if executor.state is ExecutorState.REGISTERING:
                self.launch_failed(executor, message.error)
            else:
                self.ended(executor, None)

    @receive
    def handle_container_exited(self, message: own.ContainerExited) -> None:
        executor = self._context.executor(message.run)
        if executor is not None:
            self.ended(executor, message.status)

    def ended(
        self, executor: ExecutorRecord, status: int | None, event: ExecutorEvent = ExecutorEvent.EXITED
    ) -> None:
        """An executor's process is over: FAILURE to the framework, then the end of each of its tasks."""
        if executor.life.on(event).ignored:
            return
        executor.runner = None
        if executor.stream is not None:
            executor.stream.finish()
            executor.stream = None
        self._context.checkpoint(executor, Entry.EXITED, executor.run.container_id)
        if not executor.for_command_task:
            run, status = executor.run, -1 if status is None else status
            self._context.to_master(
                ExitedExecutor(self._context.agent_id, run.framework_id, run.executor_id, status)
            )
        state, why = executor.ending or (pb.mesos.TASK_FAILED, statuses.EXECUTOR_TERMINATED)
        for phase in (TaskPhase.LAUNCHED, TaskPhase.QUEUED):
            for task in executor.in_phase(phase):
                self._end_task(executor, task.task_id, state, why)
        if executor.framework.terminating or self._context.terminating or not executor.tasks:
            self.remove(executor)

    def remove(self, executor: ExecutorRecord) -> None:
        """Forget an executor that is over; its sandbox stays for the time that the settings say."""
        framework = executor.framework
        if framework.executors.get(executor.executor_id) is executor:
            del framework.executors[executor.executor_id]
        for task_id in executor.tasks:
            framework.executor_of_task.pop(task_id, None)
        framework.completed.append(executor)
        if executor.sandbox:
            self._context.after(self._context.settings.gc_delay, own.CollectGarbage(executor.sandbox))
        self.remove_if_idle(framework)

    @receive
    def handle_collect_garbage(self, message: own.CollectGarbage) -> None:
        shutil.rmtree(message.sandbox, ignore_errors=True)

    def remove_if_idle(self, framework: FrameworkRecord) -> None:
        """Forget a framework that has nothing here any more."""
        context = self._context
        if framework.executors or context.frameworks.pop(framework.framework_id, None) is None:
            return
        context.completed_frameworks.append(framework)
        del context.completed_frameworks[:-MOST_COMPLETED_FRAMEWORKS]
        if framework.terminating:
            context.streams.drop(framework.framework_id)
        if framework.info.checkpoint:
            context.ledger.write(Entry.FRAMEWORK_GONE, framework.framework_id)
        context.less_is_here()

    @receive
    def handle_shutdown_framework(self, message: ShutdownFramework) -> None:
        framework = self._context.frameworks.get(message.framework_id)
        if framework is None or framework.terminating:
            return
        framework.terminating = True
        self._context.streams.drop(framework.framework_id)
        for executor in list(framework.executors.values()):
            if executor.state is ExecutorState.TERMINATED:
                self.remove(executor)
            else:
                self.shut_down(executor)
        self.remove_if_idle(framework)
