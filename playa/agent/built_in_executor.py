"""The executors that Mesos brings: the command executor (one command) and the default executor (groups of tasks).

Real ones are programs of their own; here they are actors inside the cluster, so that a command task costs one process
and not two. To a framework they look the same: TASK_STARTING before TASK_RUNNING, exit codes and signals as states
and messages, kill policies, checks, and a group that ends when one of its tasks fails.

Theory of operation: each task is a `Run`; its process, its checks and its fetching are awaited in the background and come back
as messages, so that all decisions are made in handlers. Updates go to the agent, which acknowledges them; when no task is
left and everything is acknowledged, the executor ends with status 0.
"""

import os
import signal
from pathlib import Path
from types import TracebackType
from typing import Any

from actors.runtime import Actor, ActorRef, receive
from mesos_v1 import pb
from playa.agent.built_in.checking import Checking
from playa.agent.built_in.runs import Run, end_of
from playa.agent.built_in.starting import start, status_file, take_up
from playa.agent.container_actor import PrepareFailed, fetch_uris, furnish
from playa.agent.containers.nested import furnish_nested
from playa.agent.containers.proc import start_time
from playa.agent.containers.processes import kept_status
from playa.agent.messages import (
    BuiltInSpec,
    BuiltInSubscribed,
    BuiltInUpdate,
    CheckDone,
    CheckDue,
    CompletionOverdue,
    ContainerExited,
    ContainerLaunchFailed,
    ContainerStarted,
    DestroyContainer,
    Escalate,
    KillRun,
    LaunchTasks,
    RecoveredRun,
    RunEnded,
    RunPrepared,
    ShutDown,
    UpdateHandled,
)
from playa.agent.updates import statuses
from playa.agent.words import exited

Reason = pb.mesos.TaskStatus.Reason
_REAPING = 2.0
_OWN_PID = os.getpid()


class BuiltInExecutor(Actor):
    """The command executor, or the default executor, of one framework on one agent."""

    def __init__(self, spec: BuiltInSpec, agent: ActorRef[Any]) -> None:
        super().__init__()
        self._spec = spec
        self._container = spec.container
        self._sandbox = Path(spec.container.sandbox)
        self._agent = agent
        self._framework = pb.mesos.FrameworkInfo.FromString(spec.framework_info)
        self._runs: dict[str, Run] = {}
        self._unacknowledged: set[bytes] = set()
        self._launched_any = False
        self._shutting_down = False
        self._checking = Checking(self, self._container, self._forward, lambda run: self._kill(run, None))

    # --- Coming -----------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Make the sandbox ready and subscribe; or take up what ran before."""
        if self._spec.recovered:
            self._launched_any = True
            for recovered in self._spec.recovered:
                self._recover(recovered)
            self._subscribe()
            return
        info = pb.mesos.CommandInfo.FromString(self._container.command)
        try:
            furnish(self._container)
        except PrepareFailed as error:
            self._refuse(str(error))
            return
        if info.uris:
            self.run_in_background(self._fetch_first(info), name="fetch")
        else:
            self._subscribe()

    def on_stop(self) -> None:
        """The agent died: what does not checkpoint dies with it."""
        if not self._container.checkpoint:
            self._kill_all()

    def on_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """A bug here: the agent hears of it, and no process is left."""
        self._kill_all()

    async def _fetch_first(self, info: pb.mesos.CommandInfo) -> None:
        try:
            await fetch_uris(info, self._sandbox, self._container.container_id, self.in_thread)
        except PrepareFailed as error:
            self._refuse(str(error))
        else:
            self._subscribe()

    def _subscribe(self) -> None:
        c = self._container
        self._agent.tell(BuiltInSubscribed(c.framework_id, c.executor_id, c.container_id))

    def _refuse(self, why: str) -> None:
        c = self._container
        self._agent.tell(ContainerLaunchFailed(c.framework_id, c.executor_id, c.container_id, why))
        self.actor_ref.stop(block=False)

    def _recover(self, recovered: RecoveredRun) -> None:
        task = pb.mesos.TaskInfo.FromString(recovered.task)
        nested = self._sandbox / "containers" / recovered.container_id
        run = Run(
            task,
            nested if recovered.container_id else self._sandbox,
            recovered.container_id,
            recovered.group,
        )
        if recovered.last_status:
            run.last = pb.mesos.TaskStatus.FromString(recovered.last_status)
        self._runs[run.task_id] = run
        take_up(run, self._spec, recovered)
        if run.child is None:
            status = kept_status(status_file(run, self._spec))
            self.actor_ref.tell(RunEnded(run.task_id, status))
        else:
            self._follow(run)

    # --- Launching --------------------------------------------------------------------------------------------

    @receive
    def handle_launch_tasks(self, message: LaunchTasks) -> None:
        """Run a command task, or a group."""
        tasks = [pb.mesos.TaskInfo.FromString(task) for task in message.tasks]
        self._launched_any = True
        if self._spec.groups:
            self._launch_group(tasks)
        else:
            task = tasks[0]
            run = self._runs[task.task_id.value] = Run(task, self._sandbox)
            self._start(run)

    def _launch_group(self, tasks: list[pb.mesos.TaskInfo]) -> None:
        group = tuple(task.task_id.value for task in tasks)
        runs = []
        for task in tasks:
            container_id = self.ids.uuid()
            run = Run(task, self._sandbox / "containers" / container_id, container_id, group)
            self._runs[run.task_id] = run
            runs.append(run)
            self._update(run, pb.mesos.TASK_STARTING)
        if any(task.command.uris for task in tasks):
            self.run_in_background(self._prepare(runs), name="fetch")
            return
        for run in runs:
            self.handle_run_prepared(
                RunPrepared(run.task_id, furnish_nested(self._sandbox, run, self._container.user))
            )

    async def _prepare(self, runs: list[Run]) -> None:
        for run in runs:
            why = furnish_nested(self._sandbox, run, self._container.user)
            if why is None:
                try:
                    await fetch_uris(run.task.command, run.sandbox, run.container_id, self.in_thread)
                except PrepareFailed as error:
                    why = str(error)
            self.actor_ref.tell(RunPrepared(run.task_id, why))

    @receive
    def handle_run_prepared(self, message: RunPrepared) -> None:
        """A task of a group can start, or cannot."""
        run = self._runs.get(message.task_id)
        if run is None:
            return
        if self._shutting_down or run.killing:
            self._finish(run, pb.mesos.TASK_KILLED, "")
        elif message.why is not None:
            self._finish(run, pb.mesos.TASK_FAILED, message.why)
        else:
            self._start(run)

    def _start(self, run: Run) -> None:
        task, c = run.task, self._container
        start(run, self._spec)
        if run.child is not None:
            pid = run.child.pid
            self._agent.tell(
                ContainerStarted(
                    c.framework_id, c.executor_id, c.container_id, run.task_id, pid, start_time(pid)
                )
            )
        if not run.container_id:
            self._update(run, pb.mesos.TASK_STARTING)
        self._update(run, pb.mesos.TASK_RUNNING)
        if run.exec_failed:
            self.actor_ref.tell(RunEnded(run.task_id, exited(1)))
            return
        self._follow(run)
        limit = task.max_completion_time.nanoseconds / 1e9
        if limit > 0:
            run.completion = self.timers.after(limit, CompletionOverdue(run.task_id))

    def _follow(self, run: Run) -> None:
        """Wait for its end, and begin its checks."""
        self.run_in_background(self._wait(run), name=f"wait {run.task_id}")
        self._checking.begin(run)

    async def _wait(self, run: Run) -> None:
        if run.child is not None:
            self.actor_ref.tell(RunEnded(run.task_id, await run.child.wait()))

    # --- Checks -----------------------------------------------------------------------------------------------

    @receive
    def handle_check_due(self, message: CheckDue) -> None:
        """Time for a check."""
        run = self._runs.get(message.task_id)
        if run is not None:
            self._checking.due(run, message)

    @receive
    def handle_check_done(self, message: CheckDone) -> None:
        """A check has a result."""
        run = self._runs.get(message.task_id)
        if run is not None:
            self._checking.done(run, message)

    # --- Killing ----------------------------------------------------------------------------------------------

    @receive
    def handle_kill_run(self, message: KillRun) -> None:
        """The framework wants a task killed."""
        run = self._runs.get(message.task_id)
        if run is not None and not self._shutting_down:
            self._kill(run, message.grace_period)

    def _kill(self, run: Run, asked: float | None) -> None:
        now, grace = self.clock.now(), run.grace_period(asked)
        if run.killing:
            if run.escalation is not None and run.kill_started + grace < run.kill_deadline:
                run.escalation.cancel()
                run.kill_deadline = max(run.kill_started + grace, now)
                run.escalation = self.timers.after(run.kill_deadline - now, Escalate(run.task_id))
            return
        run.killing = True
        run.stop_timers()
        capability = pb.mesos.FrameworkInfo.Capability.TASK_KILLING_STATE
        if not run.overran and statuses.has_capability(self._framework, capability):
            self._update(run, pb.mesos.TASK_KILLING)
        if run.child is not None:
            run.child.signal(signal.SIGTERM)
        run.kill_started, run.kill_deadline = now, now + grace
        run.escalation = self.timers.after(grace, Escalate(run.task_id))

    @receive
    def handle_escalate(self, message: Escalate) -> None:
        """The grace period is over."""
        run = self._runs.get(message.task_id)
        if run is not None and run.child is not None:
            run.child.kill()

    @receive
    def handle_completion_overdue(self, message: CompletionOverdue) -> None:
        """It has had all the time it may have."""
        run = self._runs.get(message.task_id)
        if run is not None and not run.killing:
            run.overran = True
            self._kill(run, 0.0)

    @receive
    def handle_shut_down(self, message: ShutDown) -> None:
        """The agent wants this executor to end."""
        if self._shutting_down:
            return
        self._shutting_down = True
        if not self._runs:
            self._end()
        for run in list(self._runs.values()):
            own = None if self._spec.groups else max(message.grace_period - _REAPING, 0.0)
            self._kill(run, own)

    @receive
    def handle_destroy_container(self, message: DestroyContainer) -> None:
        """Kill all of it now."""
        self._kill_all()
        self._runs.clear()
        self._end(status=9)

    def _kill_all(self) -> None:
        for run in self._runs.values():
            if run.child is not None:
                run.child.kill()

    # --- Ending -----------------------------------------------------------------------------------------------

    @receive
    def handle_run_ended(self, message: RunEnded) -> None:
        """A task's process is over."""
        run = self._runs.get(message.task_id)
        if run is not None:
            end = end_of(run, message.status)
            self._finish(run, end.state, end.message, end.reason)

    def _finish(
        self,
        run: Run,
        state: "pb.mesos.TaskState.ValueType",
        text: str,
        reason: "Reason.ValueType | None" = None,
    ) -> None:
        run.stop_timers()
        self._update(run, state, text, reason)
        del self._runs[run.task_id]
        failed = state in {pb.mesos.TASK_FAILED, pb.mesos.TASK_KILLED}
        if failed and run.group and not self._shutting_down and not run.killing_group:
            self._kill_group(run.group)
        self._end_if_done()

    def _kill_group(self, group: tuple[str, ...]) -> None:
        for task_id in group:
            other = self._runs.get(task_id)
            if other is None:
                continue
            other.killing_group = True
            if not other.killing:
                self._kill(other, None)

    @receive
    def handle_update_handled(self, message: UpdateHandled) -> None:
        """The agent has an update."""
        self._unacknowledged.discard(message.uuid)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._launched_any and not self._runs and not self._unacknowledged:
            self._end()

    def _end(self, status: int = 0) -> None:
        c = self._container
        self._agent.tell(ContainerExited(c.framework_id, c.executor_id, c.container_id, status))
        self.actor_ref.stop(block=False)

    # --- Updates ----------------------------------------------------------------------------------------------

    def _update(
        self,
        run: Run,
        state: "pb.mesos.TaskState.ValueType",
        text: str = "",
        reason: "Reason.ValueType | None" = None,
    ) -> None:
        status = statuses.executor_status(
            run.task,
            state,
            uuid=self.ids.uuid_bytes(),
            timestamp=self.clock.time(),
            executor_id=self._container.executor_id,
            message=text,
            reason=reason,
        )
        if run.killed_unhealthy and statuses.is_terminal(state):
            status.healthy = False
        if run.container_id:
            container_id = status.container_status.container_id
            container_id.value = run.container_id
            container_id.parent.value = self._container.container_id
        self._forward(run, status)

    def _forward(self, run: Run, status: pb.mesos.TaskStatus) -> None:
        run.last = status
        self._unacknowledged.add(status.uuid)
        c = self._container
        pid = run.pid
        if pid is None and not run.container_id:
            pid = run.child.pid if run.child is not None else _OWN_PID
        self._agent.tell(
            BuiltInUpdate(c.framework_id, c.executor_id, c.container_id, status.SerializeToString(), pid)
        )
