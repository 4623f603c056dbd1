"""Tasks come in: to an executor that is there, or with an executor that has to be started first.

What an agent refuses and in which words: resources it does not have, a command task whose executor id is taken, an
executor that is on its way out, a container that needs an isolator which is not here.
"""

import logging

from mesos_v1 import pb
from playa.agent.books import Ending, ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.built_in_executor import BuiltInExecutor
from playa.agent.container_actor import ContainerActor
from playa.agent.context import AgentContext
from playa.agent.executors import tokens
from playa.agent.executors.calls import command_executor, unsupported
from playa.agent.executors.environment import ExecutorPlace, executor_environment
from playa.agent.executors.life import Executors
from playa.agent.executors.states import ExecutorEvent, ExecutorState
from playa.agent.messages import (
    BuiltInSpec,
    ContainerExited,
    ContainerLaunchFailed,
    ContainerSpec,
    RecoveredRun,
    RegistrationOverdue,
)
from playa.agent.operations import Operations
from playa.agent.recovery import checkpoint
from playa.agent.updates import statuses

log = logging.getLogger(__name__)

Reason = pb.mesos.TaskStatus.Reason
_UNKNOWN_CONTAINER = "Abnormal executor termination: unknown container"


class Launching:
    """The part of an agent that takes tasks in."""

    def __init__(self, context: AgentContext, executors: Executors, operations: Operations) -> None:
        self._context = context
        self._executors = executors
        self._operations = operations

    def framework(self, info: pb.mesos.FrameworkInfo) -> FrameworkRecord:
        """The record of a framework, made if it has nothing here yet."""
        context = self._context
        framework = context.frameworks.get(info.id.value)
        if framework is None:
            limit = context.settings.max_completed_executors_per_framework
            framework = context.frameworks[info.id.value] = FrameworkRecord(info, limit)
            if self._checkpoints(info):
                context.ledger.write(checkpoint.FRAMEWORK, info.id.value, info.SerializeToString())
        return framework

    def update_framework(self, info: pb.mesos.FrameworkInfo) -> None:
        """The framework changed what it says of itself."""
        framework = self._context.frameworks.get(info.id.value)
        if framework is not None:
            framework.info = info
            if self._checkpoints(info):
                self._context.ledger.write(
                    checkpoint.FRAMEWORK, framework.framework_id, info.SerializeToString()
                )

    def run(
        self,
        framework_info: pb.mesos.FrameworkInfo,
        tasks: list[pb.mesos.TaskInfo],
        executor_info: pb.mesos.ExecutorInfo | None,
    ) -> None:
        """Take one task in, or the tasks of a group.

        Args:
            framework_info: Whose they are.
            tasks: One task, or all of a group.
            executor_info: The group's executor; None for a single task.
        """
        if self._context.terminating:
            return
        framework = self.framework(framework_info)
        if framework.terminating:
            return
        first = tasks[0]
        by_command = executor_info is None and not first.HasField("executor")
        if executor_info is None:
            made_up = command_executor(framework.framework_id, first) if by_command else first.executor
            info = made_up
        else:
            info = executor_info
        if not info.HasField("framework_id"):
            info.framework_id.value = framework.framework_id
        executor = framework.executors.get(info.executor_id.value)
        why = self._why_dropped(tasks, executor, by_command=by_command)
        if why is not None:
            self._drop(framework, tasks, info.executor_id.value, *why)
            return
        if executor is not None and executor.state in {
            ExecutorState.TERMINATING,
            ExecutorState.TERMINATED,
        }:
            text = f"Executor {executor.state.value.lower()}"
            self._drop(framework, tasks, None, Reason.REASON_EXECUTOR_TERMINATED, text)
            return
        fresh = executor is None
        if executor is None:
            kind = self._kind(info, by_command=by_command)
            executor = self._add(framework, info, kind, for_command_task=by_command)
        self._enqueue(framework, executor, tasks, group=executor_info is not None)
        if fresh:
            self._start(framework, executor, tasks)
        else:
            for task in tasks:
                self._operations.link_volumes(executor.sandbox, list(task.resources))
            self._executors.deliver(executor)

    def _why_dropped(
        self, tasks: list[pb.mesos.TaskInfo], executor: ExecutorRecord | None, *, by_command: bool
    ) -> "tuple[Reason.ValueType, str] | None":
        if self._context.drain is not None:
            return Reason.REASON_AGENT_DRAINING, statuses.DRAINING
        if any(self._operations.unknown_to_agent(list(task.resources)) for task in tasks):
            return Reason.REASON_RESOURCES_UNKNOWN, statuses.UNKNOWN_RESOURCES
        if by_command and executor is not None:
            return Reason.REASON_TASK_INVALID, statuses.COMMAND_TASK_REUSE
        return None

    def _drop(
        self,
        framework: FrameworkRecord,
        tasks: list[pb.mesos.TaskInfo],
        executor_id: str | None,
        reason: "Reason.ValueType",
        text: str,
    ) -> None:
        for task in tasks:
            self._executors.updating.from_agent(
                framework,
                task.task_id.value,
                statuses.dropped(framework.info),
                message=text,
                reason=reason,
                executor_id=executor_id,
            )
        if framework.idle:
            self._executors.remove_framework(framework)

    def _kind(self, info: pb.mesos.ExecutorInfo, *, by_command: bool) -> Kind:
        if self._context.settings.simulate:
            return Kind.SIMULATED
        if by_command:
            return Kind.COMMAND
        return Kind.DEFAULT if info.type == pb.mesos.ExecutorInfo.DEFAULT else Kind.CUSTOM

    def _checkpoints(self, info: pb.mesos.FrameworkInfo) -> bool:
        settings = self._context.settings
        return info.checkpoint and settings.checkpoint and not settings.simulate

    def _add(
        self, framework: FrameworkRecord, info: pb.mesos.ExecutorInfo, kind: Kind, *, for_command_task: bool
    ) -> ExecutorRecord:
        context = self._context
        executor = ExecutorRecord(
            info,
            framework.framework_id,
            context.actor.ids.uuid(),
            kind,
            for_command_task,
            checkpoint=self._checkpoints(framework.info),
        )
        framework.executors[executor.executor_id] = executor
        if kind is not Kind.SIMULATED:
            sandbox = context.layout.sandbox(
                context.agent_id, framework.framework_id, executor.executor_id, executor.container_id
            )
            executor.sandbox = str(sandbox)
            if context.key:
                claims = {
                    "fid": executor.framework_id,
                    "eid": executor.executor_id,
                    "cid": executor.container_id,
                }
                executor.token = tokens.sign(context.key, claims)
        if executor.checkpoint:
            context.ledger.write(
                checkpoint.EXECUTOR,
                framework.framework_id,
                executor.executor_id,
                info.SerializeToString(),
                executor.container_id,
                kind.value,
                executor.sandbox,
                executor.token,
            )
        return executor

    def _enqueue(
        self,
        framework: FrameworkRecord,
        executor: ExecutorRecord,
        tasks: list[pb.mesos.TaskInfo],
        *,
        group: bool,
    ) -> None:
        ids = tuple(task.task_id.value for task in tasks) if group else ()
        for task in tasks:
            record = TaskRecord(task)
            executor.tasks[record.task_id] = record
            framework.where[record.task_id] = executor
            if executor.checkpoint:
                self._context.ledger.write(
                    checkpoint.TASK,
                    framework.framework_id,
                    executor.executor_id,
                    record.task_id,
                    task.SerializeToString(),
                    ids,
                )
        if group:
            executor.groups.append(ids)

    def _start(
        self, framework: FrameworkRecord, executor: ExecutorRecord, tasks: list[pb.mesos.TaskInfo]
    ) -> None:
        if executor.kind is Kind.SIMULATED:
            self._executors.subscribe(framework, executor, None)
            return
        if executor.info.HasField("container") and self._refuse_container(executor):
            return
        self.start_runner(framework, executor, tasks)
        timeout = self._context.settings.executor_registration_timeout
        overdue = RegistrationOverdue(framework.framework_id, executor.executor_id, executor.container_id)
        self._context.after(timeout, overdue)

    def _refuse_container(self, executor: ExecutorRecord) -> bool:
        why = unsupported(executor.info.container)
        if why is None:
            return False
        names = (executor.framework_id, executor.executor_id, executor.container_id)
        if why:
            self._executors.launch_failed(ContainerLaunchFailed(*names, why))
        else:
            executor.ending = Ending(None, Reason.REASON_EXECUTOR_TERMINATED, _UNKNOWN_CONTAINER)
            self._executors.ended(ContainerExited(*names, None), ExecutorEvent.LAUNCH_FAILED)
        return True

    def start_runner(
        self,
        framework: FrameworkRecord,
        executor: ExecutorRecord,
        tasks: list[pb.mesos.TaskInfo],
        *,
        recovered: tuple[RecoveredRun, ...] = (),
        started: int = 0,
    ) -> None:
        """Start the actor of an executor's container, or of a built-in executor.

        Args:
            framework: Its framework.
            executor: The executor; with a pid it runs already.
            tasks: The tasks it starts with, for their volumes and (a command task) their URIs.
            recovered: For a built-in executor: what it ran before the agent was started again.
            started: The start time of its process, for one that runs already.
        """
        context = self._context
        spec = self._spec(framework, executor, tasks, started)
        agent = context.actor.actor_ref
        name = f"{context.actor.name}/{executor.executor_id}/{executor.container_id}"
        if executor.kind is Kind.CUSTOM:
            executor.runner = context.actor.spawn(ContainerActor, spec, agent, name=name)
        else:
            built_in = BuiltInSpec(
                container=spec,
                framework_info=framework.info.SerializeToString(),
                groups=executor.kind is Kind.DEFAULT,
                ip=context.ip,
                agent_wide=self._agent_wide(),
                recovered=recovered,
            )
            executor.runner = context.actor.spawn(BuiltInExecutor, built_in, agent, name=name)

    def _agent_wide(self) -> tuple[tuple[str, str], ...]:
        settings = self._context.settings
        return (*(settings.executor_environment or ()), *settings.environment)

    def _spec(
        self,
        framework: FrameworkRecord,
        executor: ExecutorRecord,
        tasks: list[pb.mesos.TaskInfo],
        started: int,
    ) -> ContainerSpec:
        context, info = self._context, executor.info
        settings = context.settings
        grace = settings.executor_shutdown_grace_period
        if info.HasField("shutdown_grace_period"):
            grace = info.shutdown_grace_period.nanoseconds / 1e9
        place = ExecutorPlace(
            framework_id=framework.framework_id,
            executor_id=executor.executor_id,
            agent_id=context.agent_id,
            agent_pid=context.pid,
            agent_endpoint=f"{context.ip}:{context.port}",
            ip=context.ip,
            sandbox=executor.sandbox,
            checkpoint=executor.checkpoint,
            recovery_timeout=settings.recovery_timeout,
            subscription_backoff_max=settings.executor_reregistration_timeout,
            shutdown_grace_period=grace,
            domain_socket=context.domain_socket,
            token=executor.token,
        )
        environment = executor_environment(
            place, agent_wide=self._agent_wide(), command=info.command.environment
        )
        resources = [*info.resources, *(r for task in tasks for r in task.resources)]
        return ContainerSpec(
            framework_id=framework.framework_id,
            executor_id=executor.executor_id,
            container_id=executor.container_id,
            sandbox=executor.sandbox,
            command=info.command.SerializeToString(),
            environment=tuple(sorted(environment.items())),
            user=info.command.user or framework.info.user,
            volumes=self._operations.volumes_of(resources),
            owner=context.owner,
            checkpoint=executor.checkpoint,
            outlives=executor.checkpoint and bool(settings.work_dir),
            pid=executor.pid if started else 0,
            started=started,
        )
