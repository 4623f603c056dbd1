"""How executors come to be: with the first tasks for them, or taken up again after their agent was killed.

Of executors from before the agent was killed a custom one is followed by its process id and has to subscribe again in time; a
built-in one takes its tasks' processes up again; one that was over waits for its acknowledgements only.
"""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from actors.runtime import receive
from actors.runtime.state_machine import Machine
from mesos_v1 import pb
from playa.agent import statuses
from playa.agent.checkpoint import Entry, RecoveredExecutor, RecoveredFramework, RecoveredTask
from playa.agent.containers.container_actor import Container, ContainerActor
from playa.agent.containers.sandbox import sandbox_path
from playa.agent.executors import tokens
from playa.agent.executors.built_in import BuiltInExecutor
from playa.agent.executors.calls import command_executor, unsupported
from playa.agent.executors.environment import executor_environment
from playa.agent.executors.life import Executors
from playa.agent.executors.states import EXECUTOR, TASK, ExecutorState, TaskPhase
from playa.agent.messages import ExecutorRun, RegistrationOverdue
from playa.agent.operations import Operations
from playa.agent.records import AgentContext, ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.statuses import Status, Why
from playa.agent.update_streams import PendingUpdate
from playa.messages import RunTask, RunTaskGroup, UpdateFramework

Tasks = list[pb.mesos.TaskInfo]


class Launching:
    """The part of an agent that takes tasks in, and takes up what an agent before it left."""

    def __init__(self, context: AgentContext, executors: Executors, operations: Operations) -> None:
        self._context = context
        self._executors = executors
        self._operations = operations

    @receive
    def handle_update_framework(self, message: UpdateFramework) -> None:
        info = pb.mesos.FrameworkInfo.FromString(message.framework_info)
        framework = self._context.frameworks.get(info.id.value)
        if framework is not None:
            framework.info = info
            self._checkpoint_framework(framework)

    def _add_framework(self, info: pb.mesos.FrameworkInfo) -> FrameworkRecord:
        completed = deque[ExecutorRecord](maxlen=self._context.settings.max_completed_executors_per_framework)
        framework = self._context.frameworks[info.id.value] = FrameworkRecord(info, completed)
        return framework

    def _checkpoint_framework(self, framework: FrameworkRecord) -> None:
        if self._checkpoints(framework):
            data = framework.info.SerializeToString()
            self._context.ledger.write(Entry.FRAMEWORK, framework.framework_id, data)

    @receive
    def handle_run_task(self, message: RunTask) -> None:
        self._run(message.framework_info, [pb.mesos.TaskInfo.FromString(message.task)], None)

    @receive
    def handle_run_task_group(self, message: RunTaskGroup) -> None:
        group = pb.mesos.TaskGroupInfo.FromString(message.task_group)
        executor = pb.mesos.ExecutorInfo.FromString(message.executor)
        self._run(message.framework_info, list(group.tasks), executor)

    def _run(self, framework_info: bytes, tasks: Tasks, group_executor: pb.mesos.ExecutorInfo | None) -> None:
        """Take one task in, or with an executor of their own all tasks of a group."""
        if self._context.terminating:
            return
        from_master = pb.mesos.FrameworkInfo.FromString(framework_info)
        framework = self._context.frameworks.get(from_master.id.value)
        if framework is None:
            framework = self._add_framework(from_master)
            self._checkpoint_framework(framework)
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
        if self._context.drain is not None:
            self._drop(framework, tasks, statuses.DRAINING, info.executor_id.value)
        elif any(self._operations.unknown_to_agent(task.resources) for task in tasks):
            self._drop(framework, tasks, statuses.UNKNOWN_RESOURCES, info.executor_id.value)
        elif by_command and executor is not None:
            self._drop(framework, tasks, statuses.COMMAND_TASK_REUSE, info.executor_id.value)
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

    def _drop(
        self, framework: FrameworkRecord, tasks: Tasks, why: Why, executor_id: str | None = None
    ) -> None:
        state = statuses.dropped(framework.info)
        for task in tasks:
            self._executors.updates.from_agent(framework, task.task_id.value, state, why, executor_id)
        self._executors.remove_if_idle(framework)

    def _checkpoints(self, framework: FrameworkRecord) -> bool:
        settings = self._context.settings
        return framework.info.checkpoint and settings.checkpoint and not settings.simulate

    def _add_executor(
        self, framework: FrameworkRecord, info: pb.mesos.ExecutorInfo, *, by_command: bool
    ) -> ExecutorRecord:
        context = self._context
        run = ExecutorRun(framework.framework_id, info.executor_id.value, context.actor.ids.uuid())
        kind, sandbox, token = Kind.SIMULATED, "", ""
        if not context.settings.simulate:
            default = Kind.DEFAULT if info.type == pb.mesos.ExecutorInfo.DEFAULT else Kind.CUSTOM
            kind = Kind.COMMAND if by_command else default
            sandbox = str(sandbox_path(context.work_dir, context.agent_id, run))
            token = tokens.token_of(context.key, run) if context.key else ""
        executor = framework.executors[run.executor_id] = ExecutorRecord(
            info, framework, run, kind, by_command, sandbox, self._checkpoints(framework), token
        )
        saved = (info.SerializeToString(), run.container_id, kind.value, sandbox, token)
        context.checkpoint(executor, Entry.EXECUTOR, *saved)
        return executor

    def _enqueue(self, executor: ExecutorRecord, tasks: Tasks, *, group: bool) -> None:
        ids = tuple(task.task_id.value for task in tasks) if group else ()
        for task in tasks:
            executor.add(TaskRecord(task))
            data = task.SerializeToString() if executor.checkpoint else b""
            self._context.checkpoint(executor, Entry.TASK, task.task_id.value, data, ids)
        if group:
            executor.groups.append(ids)

    def _start(self, executor: ExecutorRecord, tasks: Tasks) -> None:
        if executor.kind is Kind.SIMULATED:
            self._executors.subscribe(executor)
            return
        why = unsupported(executor.info.container) if executor.info.HasField("container") else None
        if why:
            self._executors.launch_failed(executor, why)
        elif why is not None:
            self._executors.never_started(executor, statuses.UNKNOWN_CONTAINER)
        else:
            self._start_runner(executor, tasks)
            timeout = self._context.settings.executor_registration_timeout
            self._context.after(timeout, RegistrationOverdue(executor.run))

    def _start_runner(
        self,
        executor: ExecutorRecord,
        tasks: Tasks,
        recovered: Iterable[RecoveredTask] = (),
        started: int = 0,
    ) -> None:
        """Start the actor of an executor's container, or of a built-in executor; `tasks` have volumes for it."""
        context, info = self._context, executor.info
        container = Container(
            run=executor.run,
            executor=info,
            framework=executor.framework.info,
            settings=context.settings,
            sandbox=Path(executor.sandbox),
            environment=executor_environment(
                executor, context.settings, context.agent_id, context.port, context.domain_socket
            ),
            volumes=self._operations.volumes_of([*info.resources, *(r for t in tasks for r in t.resources)]),
            owner=str(context.work_dir),
            checkpoint=executor.checkpoint,
            pid=executor.pid if started else 0,
            started=started,
            recovered=tuple(recovered),
        )
        name = f"{context.actor.name}/{executor.executor_id}/{executor.run.container_id}"
        runner = ContainerActor if executor.kind is Kind.CUSTOM else BuiltInExecutor
        executor.runner = context.actor.spawn(runner, container, context.actor.actor_ref, name=name)

    def recover(self, saved: RecoveredFramework) -> bool:
        """Take a framework up again; whether there are executors that have to come back by themselves."""
        framework = self._add_framework(pb.mesos.FrameworkInfo.FromString(saved.info))
        waiting = [self._recover_executor(framework, *each) for each in saved.executors.items()]
        self._executors.remove_if_idle(framework)
        return any(waiting)

    def _recover_executor(
        self, framework: FrameworkRecord, executor_id: str, saved: RecoveredExecutor
    ) -> bool:
        kind = Kind(saved.kind)
        executor = ExecutorRecord(
            pb.mesos.ExecutorInfo.FromString(saved.info),
            framework,
            ExecutorRun(framework.framework_id, executor_id, saved.container_id),
            kind,
            for_command_task=kind is Kind.COMMAND,
            sandbox=saved.sandbox,
            checkpoint=True,
            token=saved.token,
            life=Machine(EXECUTOR, ExecutorState.TERMINATED if saved.exited else None),
            pid=saved.pid,
            ever_sent=True,
        )
        for task_id, task in saved.tasks.items():
            self._recover_task(executor, task_id, task)
        if saved.exited and not executor.tasks:
            return False
        framework.executors[executor_id] = executor
        if saved.exited:
            return False
        if kind is Kind.CUSTOM and saved.pid:
            self._start_runner(executor, [], started=saved.started)
            return True
        runs = [] if kind is Kind.CUSTOM else self._still_running(executor, saved)
        if runs:
            self._start_runner(executor, [], recovered=runs)
        else:  # the agent was killed before a process was there
            self._executors.ended(executor, None)
        return False

    def _recover_task(self, executor: ExecutorRecord, task_id: str, saved: RecoveredTask) -> None:
        updates = [Status.FromString(data) for data in saved.updates]
        over = any(statuses.is_terminal(u.state) for u in updates)
        if over and all(u.uuid in saved.acknowledged for u in updates):
            return
        life = Machine(TASK, TaskPhase.TERMINATED if over else TaskPhase.LAUNCHED)
        task = TaskRecord(pb.mesos.TaskInfo.FromString(saved.info), life)
        for status in updates:
            task.note(status)
        executor.add(task)
        for u, data in zip(updates, saved.updates, strict=True):
            if u.uuid not in saved.acknowledged:
                terminal = statuses.is_terminal(u.state)
                pending = PendingUpdate(executor.run.framework_id, task_id, u.uuid, data, terminal)
                self._context.streams.add(pending, saved.acknowledged)

    def _still_running(self, executor: ExecutorRecord, saved: RecoveredExecutor) -> list[RecoveredTask]:
        """The tasks of a built-in executor that have a process; those that never had one are told to be over."""
        launched = executor.in_phase(TaskPhase.LAUNCHED)
        for task in launched:
            if not saved.tasks[task.task_id].pid:
                self._executors.never_ran(executor, task)
        return [known for task in launched if (known := saved.tasks[task.task_id]).pid]
