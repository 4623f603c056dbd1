"""An agent that was killed starts again: its frameworks, executors, tasks and updates from the checkpoint.

What happens to each executor then: a custom one is followed by its process id and has to subscribe again in time; a
built-in one takes its tasks' processes up again; one that was over waits for its acknowledgements only.
"""

from actors.runtime.state_machine import Machine
from mesos_v1 import pb
from playa.agent.books import ExecutorRecord, FrameworkRecord, Kind, TaskRecord
from playa.agent.context import AgentContext
from playa.agent.executors.launching import Launching
from playa.agent.executors.life import Executors
from playa.agent.executors.states import EXECUTOR, ExecutorState, TaskPhase
from playa.agent.messages import ContainerExited, RecoveredRun
from playa.agent.operations import Operations
from playa.agent.recovery.records import Recovered, RecoveredExecutor, RecoveredTask
from playa.agent.updates import statuses
from playa.agent.updates.streams import PendingUpdate


class Restoring:
    """The part of an agent that takes up what an agent before it left."""

    def __init__(
        self, context: AgentContext, launching: Launching, executors: Executors, operations: Operations
    ) -> None:
        self._context = context
        self._launching = launching
        self._executors = executors
        self._operations = operations

    def restore(self, recovered: Recovered) -> bool:
        """Fill the books; whether there are executors that have to come back by themselves."""
        self._operations.recover(recovered)
        if recovered.drain:
            self._context.drain = pb.mesos.DrainConfig.FromString(recovered.drain)
            self._context.drain_started = self._context.time()
        waiting = False
        for saved_framework in recovered.frameworks.values():
            info = pb.mesos.FrameworkInfo.FromString(saved_framework.info)
            limit = self._context.settings.max_completed_executors_per_framework
            framework = FrameworkRecord(info, limit)
            self._context.frameworks[framework.framework_id] = framework
            for saved in saved_framework.executors.values():
                waiting |= self._restore_executor(framework, saved)
            if framework.idle:
                self._executors.remove_framework(framework)
        return waiting

    def _restore_executor(self, framework: FrameworkRecord, saved: RecoveredExecutor) -> bool:
        kind = Kind(saved.kind)
        executor = ExecutorRecord(
            pb.mesos.ExecutorInfo.FromString(saved.info),
            framework.framework_id,
            saved.container_id,
            kind,
            for_command_task=kind is Kind.COMMAND,
            sandbox=saved.sandbox,
            checkpoint=True,
            pid=saved.pid,
            ever_sent=True,
            token=saved.token,
            life=Machine(EXECUTOR, ExecutorState.TERMINATED if saved.exited else None),
        )
        for task_id, task in saved.tasks.items():
            self._restore_task(framework, executor, task_id, task)
        if saved.exited and not executor.tasks:
            return False
        framework.executors[executor.executor_id] = executor
        if saved.exited:
            return False
        if kind is Kind.CUSTOM:
            if not saved.pid:
                self._never_started(framework, executor)
                return False
            self._launching.start_runner(framework, executor, [], started=saved.started)
            return True
        self._take_up_runs(framework, executor, saved)
        return False

    def _restore_task(
        self, framework: FrameworkRecord, executor: ExecutorRecord, task_id: str, saved: RecoveredTask
    ) -> None:
        updates = [pb.mesos.TaskStatus.FromString(data) for data in saved.updates]
        over = any(statuses.is_terminal(u.state) for u in updates)
        if over and all(u.uuid in saved.acknowledged for u in updates):
            return
        phase = TaskPhase.TERMINATED if over else TaskPhase.LAUNCHED
        task = TaskRecord(pb.mesos.TaskInfo.FromString(saved.info), phase)
        for status in updates:
            task.note(status)
        executor.tasks[task_id] = task
        framework.where[task_id] = executor
        pending = [
            PendingUpdate(framework.framework_id, task_id, u.uuid, data, statuses.is_terminal(u.state))
            for u, data in zip(updates, saved.updates, strict=True)
            if u.uuid not in saved.acknowledged
        ]
        self._context.streams.restore(framework.framework_id, task_id, saved.acknowledged, pending)

    def _never_started(self, framework: FrameworkRecord, executor: ExecutorRecord) -> None:
        """The agent was killed before the executor's process was there."""
        ended = ContainerExited(framework.framework_id, executor.executor_id, executor.container_id, None)
        self._executors.ended(ended)

    def _take_up_runs(
        self, framework: FrameworkRecord, executor: ExecutorRecord, saved: RecoveredExecutor
    ) -> None:
        runs = []
        for task_id, task in saved.tasks.items():
            record = executor.tasks.get(task_id)
            if record is None or record.phase is not TaskPhase.LAUNCHED:
                continue
            if not task.pid:
                self._executors.updating.from_agent(
                    framework,
                    task_id,
                    statuses.dropped(framework.info),
                    message=statuses.LAUNCHED_DURING_RESTART,
                    reason=pb.mesos.TaskStatus.REASON_AGENT_RESTARTED,
                    executor_id=executor.executor_id,
                )
                continue
            last = task.updates[-1] if task.updates else b""
            nested = pb.mesos.TaskStatus.FromString(last).container_status.container_id if last else None
            own = nested.value if nested is not None and nested.HasField("parent") else ""
            runs.append(RecoveredRun(task.info, own, task.pid, task.started, task.group, last))
        if runs:
            self._launching.start_runner(framework, executor, [], recovered=tuple(runs), started=1)
        else:
            self._never_started(framework, executor)
