"""An agent that was killed starts again: its frameworks, executors, tasks and updates from the checkpoint.

What happens to each executor then: a custom one is followed by its process id and has to subscribe again in time; a
built-in one takes its tasks' processes up again; one that was over waits for its acknowledgements only.
"""

from actors.runtime.state_machine import Machine
from mesos_v1 import pb
from playa.agent import statuses
from playa.agent.checkpoint import Recovered, RecoveredExecutor, RecoveredTask
from playa.agent.context import AgentContext
from playa.agent.executors.launching import Launching
from playa.agent.executors.life import Executors
from playa.agent.executors.states import EXECUTOR, ExecutorState, TaskPhase
from playa.agent.messages import ContainerExited, ExecutorRun, RecoveredRun
from playa.agent.operations import Operations
from playa.agent.records import ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.statuses import Status
from playa.agent.update_streams import PendingUpdate


class Recovery:
    """The part of an agent that takes up what an agent before it left."""

    def __init__(
        self, context: AgentContext, launching: Launching, executors: Executors, operations: Operations
    ) -> None:
        self._context = context
        self._launching = launching
        self._executors = executors
        self._operations = operations

    def recover(self, recovered: Recovered) -> bool:
        """Fill the records; whether there are executors that have to come back by themselves."""
        context = self._context
        self._operations.recover(recovered)
        if recovered.drain:
            context.drain = pb.mesos.DrainConfig.FromString(recovered.drain)
            context.drain_started = context.time()
        waiting = False
        for saved_framework in recovered.frameworks.values():
            info = pb.mesos.FrameworkInfo.FromString(saved_framework.info)
            framework = FrameworkRecord(info, context.settings.max_completed_executors_per_framework)
            context.frameworks[framework.framework_id] = framework
            for executor_id, saved in saved_framework.executors.items():
                waiting |= self._recover_executor(framework, executor_id, saved)
            self._executors.remove_if_idle(framework)
        return waiting

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
            self._launching.start_runner(executor, [], started=saved.started)
            return True
        runs = [] if kind is Kind.CUSTOM else self._still_running(executor, saved)
        if runs:
            self._launching.start_runner(executor, [], recovered=tuple(runs))
        else:  # the agent was killed before a process was there
            self._executors.ended(ContainerExited(executor.run, None))
        return False

    def _recover_task(self, executor: ExecutorRecord, task_id: str, saved: RecoveredTask) -> None:
        updates = [Status.FromString(data) for data in saved.updates]
        over = any(statuses.is_terminal(u.state) for u in updates)
        if over and all(u.uuid in saved.acknowledged for u in updates):
            return
        phase = TaskPhase.TERMINATED if over else TaskPhase.LAUNCHED
        task = TaskRecord(pb.mesos.TaskInfo.FromString(saved.info), phase)
        for status in updates:
            task.note(status)
        executor.add(task)
        framework_id = executor.run.framework_id
        pending = [
            PendingUpdate(framework_id, task_id, u.uuid, data, statuses.is_terminal(u.state))
            for u, data in zip(updates, saved.updates, strict=True)
            if u.uuid not in saved.acknowledged
        ]
        self._context.streams.restore(framework_id, task_id, saved.acknowledged, pending)

    def _still_running(self, executor: ExecutorRecord, saved: RecoveredExecutor) -> list[RecoveredRun]:
        """The tasks of a built-in executor that have a process; those that never had one are told to be over."""
        runs = []
        for task in executor.in_phase(TaskPhase.LAUNCHED):
            known = saved.tasks[task.task_id]
            if not known.pid:
                self._executors.never_ran(executor, task)
                continue
            last = known.updates[-1] if known.updates else b""
            nested = Status.FromString(last).container_status.container_id if last else None
            own = nested.value if nested is not None and nested.HasField("parent") else ""
            runs.append(RecoveredRun(known.info, own, known.pid, known.started, known.group, last))
        return runs
