"""Tasks come in: to an executor that is there, or with an executor that has to be started first.

What an agent refuses and in which words: resources it does not have, a command task whose executor id is taken, an
executor that is on its way out, a container that needs an isolator which is not here.
"""

from mesos_v1 import pb
from playa.agent import messages as own
from playa.agent import statuses
from playa.agent.built_in.built_in_executor import BuiltInExecutor
from playa.agent.checkpoint import Entry
from playa.agent.containers.container_actor import ContainerActor
from playa.agent.containers.sandbox import sandbox_path
from playa.agent.context import AgentContext
from playa.agent.executors import tokens
from playa.agent.executors.calls import command_executor, unsupported
from playa.agent.executors.environment import agent_wide, executor_environment
from playa.agent.executors.life import Executors
from playa.agent.executors.states import ExecutorState
from playa.agent.operations import Operations
from playa.agent.records import ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.statuses import Status, Why

Tasks = list[pb.mesos.TaskInfo]


class Launching:
    """The part of an agent that takes tasks in."""

    def __init__(self, context: AgentContext, executors: Executors, operations: Operations) -> None:
        self._context = context
        self._executors = executors
        self._operations = operations

    def update_framework(self, info: pb.mesos.FrameworkInfo) -> None:
        """A framework changed what it says of itself."""
        framework = self._context.frameworks.get(info.id.value)
        if framework is not None:
            framework.info = info
            self._checkpoint_framework(framework)

    def _framework(self, info: pb.mesos.FrameworkInfo) -> FrameworkRecord:
        context = self._context
        framework = context.frameworks.get(info.id.value)
        if framework is None:
            limit = context.settings.max_completed_executors_per_framework
            framework = context.frameworks[info.id.value] = FrameworkRecord(info, limit)
            self._checkpoint_framework(framework)
        return framework

    def _checkpoint_framework(self, framework: FrameworkRecord) -> None:
        if self._checkpoints(framework.info):
            data = framework.info.SerializeToString()
            self._context.ledger.write(Entry.FRAMEWORK, framework.framework_id, data)

    def run(
        self,
        framework_info: pb.mesos.FrameworkInfo,
        tasks: Tasks,
        group_executor: pb.mesos.ExecutorInfo | None = None,
    ) -> None:
        """Take one task in, or with an executor of their own all tasks of a group."""
        if self._context.terminating:
            return
        framework = self._framework(framework_info)
        if framework.terminating:
            return
        by_command = group_executor is None and not tasks[0].HasField("executor")
        if by_command:
            info = command_executor(framework.framework_id, tasks[0])
        else:
            info = group_executor or tasks[0].executor
        if not info.HasField("framework_id"):
            info.framework_id.value = framework.framework_id
        executor = framework.executors.get(info.executor_id.value)
        why = self._why_dropped(tasks, executor, by_command=by_command)
        if why is not None:
            self._drop(framework, tasks, why, info.executor_id.value)
        elif executor is None:
            executor = self._add_executor(framework, info, by_command=by_command)
            self._enqueue(executor, tasks, group=group_executor is not None)
            self._start(executor, tasks)
        elif executor.state in {ExecutorState.TERMINATING, ExecutorState.TERMINATED}:
            text = f"Executor {executor.state.value.lower()}"
            self._drop(framework, tasks, Why(Status.REASON_EXECUTOR_TERMINATED, text))
        else:
            self._enqueue(executor, tasks, group=group_executor is not None)
            for task in tasks:
                self._operations.link_volumes(executor.sandbox, task.resources)
            self._executors.deliver(executor)

    def _why_dropped(self, tasks: Tasks, executor: ExecutorRecord | None, *, by_command: bool) -> Why | None:
        if self._context.drain is not None:
            return statuses.DRAINING
        if any(self._operations.unknown_to_agent(task.resources) for task in tasks):
            return statuses.UNKNOWN_RESOURCES
        return statuses.COMMAND_TASK_REUSE if by_command and executor is not None else None

    def _drop(
        self, framework: FrameworkRecord, tasks: Tasks, why: Why, executor_id: str | None = None
    ) -> None:
        state = statuses.dropped(framework.info)
        for task in tasks:
            self._executors.updates.from_agent(framework, task.task_id.value, state, why, executor_id)
        self._executors.remove_if_idle(framework)

    def _checkpoints(self, info: pb.mesos.FrameworkInfo) -> bool:
        settings = self._context.settings
        return info.checkpoint and settings.checkpoint and not settings.simulate

    def _add_executor(
        self, framework: FrameworkRecord, info: pb.mesos.ExecutorInfo, *, by_command: bool
    ) -> ExecutorRecord:
        context = self._context
        run = own.ExecutorRun(framework.framework_id, info.executor_id.value, context.actor.ids.uuid())
        kind, sandbox, token = Kind.SIMULATED, "", ""
        if not context.settings.simulate:
            default = Kind.DEFAULT if info.type == pb.mesos.ExecutorInfo.DEFAULT else Kind.CUSTOM
            kind = Kind.COMMAND if by_command else default
            sandbox = str(sandbox_path(context.work_dir, context.agent_id, run))
            token = tokens.token_of(context.key, run) if context.key else ""
        executor = framework.executors[run.executor_id] = ExecutorRecord(
            info, framework, run, kind, by_command, sandbox, self._checkpoints(framework.info), token
        )
        if executor.checkpoint:
            context.ledger.write(
                Entry.EXECUTOR,
                run.framework_id,
                run.executor_id,
                info.SerializeToString(),
                run.container_id,
                kind.value,
                sandbox,
                token,
            )
        return executor

    def _enqueue(self, executor: ExecutorRecord, tasks: Tasks, *, group: bool) -> None:
        ids = tuple(task.task_id.value for task in tasks) if group else ()
        run = executor.run
        for task in tasks:
            executor.add(TaskRecord(task))
            if executor.checkpoint:
                data, task_id = task.SerializeToString(), task.task_id.value
                self._context.ledger.write(Entry.TASK, run.framework_id, run.executor_id, task_id, data, ids)
        if group:
            executor.groups.append(ids)

    def _start(self, executor: ExecutorRecord, tasks: Tasks) -> None:
        if executor.kind is Kind.SIMULATED:
            self._executors.subscribe(executor)
            return
        why = unsupported(executor.info.container) if executor.info.HasField("container") else None
        if why is not None:
            if why:
                self._executors.launch_failed(own.ContainerLaunchFailed(executor.run, why))
            else:
                self._executors.never_started(executor, statuses.UNKNOWN_CONTAINER)
            return
        self.start_runner(executor, tasks)
        timeout = self._context.settings.executor_registration_timeout
        self._context.after(timeout, own.RegistrationOverdue(executor.run))

    def start_runner(
        self,
        executor: ExecutorRecord,
        tasks: Tasks,
        *,
        recovered: tuple[own.RecoveredRun, ...] = (),
        started: int = 0,
    ) -> None:
        """Start the actor of an executor's container, or of a built-in executor.

        Args:
            executor: The executor; with a pid it runs already.
            tasks: The tasks it starts with, for their volumes and (a command task) their URIs.
            recovered: For a built-in executor: what it ran before the agent was started again.
            started: The start time of its process, for one that runs already.
        """
        context = self._context
        spec = self._spec(executor, tasks, started)
        agent = context.actor.actor_ref
        name = f"{context.actor.name}/{executor.executor_id}/{executor.run.container_id}"
        if executor.kind is Kind.CUSTOM:
            executor.runner = context.actor.spawn(ContainerActor, spec, agent, name=name)
        else:
            built_in = own.BuiltInSpec(
                container=spec,
                framework_info=executor.framework.info.SerializeToString(),
                groups=executor.kind is Kind.DEFAULT,
                ip=context.settings.ip,
                agent_wide=tuple(agent_wide(context.settings).items()),
                recovered=recovered,
            )
            executor.runner = context.actor.spawn(BuiltInExecutor, built_in, agent, name=name)

    def _spec(self, executor: ExecutorRecord, tasks: Tasks, started: int) -> own.ContainerSpec:
        context, info = self._context, executor.info
        settings = context.settings
        environment = executor_environment(
            executor,
            settings,
            agent_id=context.agent_id,
            port=context.port,
            domain_socket=context.domain_socket,
        )
        return own.ContainerSpec(
            run=executor.run,
            sandbox=executor.sandbox,
            command=info.command.SerializeToString(),
            environment=tuple(sorted(environment.items())),
            user=info.command.user or executor.framework.info.user,
            volumes=self._operations.volumes_of([*info.resources, *(r for t in tasks for r in t.resources)]),
            owner=str(context.work_dir),
            checkpoint=executor.checkpoint,
            outlives=executor.checkpoint and bool(settings.work_dir),
            pid=executor.pid if started else 0,
            started=started,
        )
