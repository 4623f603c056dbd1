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
from typing import Any

from actors.runtime import Actor, ActorRef, receive
from mesos_v1 import pb
from mesos_v1.values import NANOS
from playa.agent import messages as m
from playa.agent.built_in import checks
from playa.agent.built_in.runs import End, Run
from playa.agent.containers.container_actor import PrepareFailed, fetch_uris, prepare
from playa.agent.containers.processes import PROCESSES, kept_status, start_time
from playa.agent.containers.sandbox import make_nested_sandbox
from playa.agent.executors.calls import unsupported
from playa.agent.statuses import Reason, State, Status, has_capability, is_terminal

_REAPING = 2.0
_OWN_PID = os.getpid()


class BuiltInExecutor(Actor):
    """The command executor, or the default executor, of one framework on one agent."""

    def __init__(self, spec: m.BuiltInSpec, agent: ActorRef[Any]) -> None:
        self._spec = spec
        self._container = spec.container
        self._sandbox = Path(spec.container.sandbox)
        self._agent = agent
        self._framework = pb.mesos.FrameworkInfo.FromString(spec.framework_info)
        self._runs: dict[str, Run] = {}
        self._unacknowledged: set[bytes] = set()
        self._launched_any = False
        self._shutting_down = False

    # --- Coming -----------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Make the sandbox ready and subscribe; or take up what ran before."""
        if not self._spec.recovered:
            self.run_in_background(self._prepare(), name="prepare")
            return
        self._launched_any = True
        for recovered in self._spec.recovered:
            self._recover(recovered)
        self._agent.tell(m.BuiltInSubscribed(self._container.run))

    def on_stop(self) -> None:
        """The agent died: what does not checkpoint dies with it."""
        if not self._container.checkpoint:
            self._kill_all()

    def on_failure(self, *_: object) -> None:
        """A bug here: the agent hears of it, and no process is left."""
        self._kill_all()

    async def _prepare(self) -> None:
        try:
            await prepare(self._container, self.in_thread)
        except PrepareFailed as error:
            self._agent.tell(m.ContainerLaunchFailed(self._container.run, str(error)))
            self.actor_ref.stop(block=False)
        else:
            self._agent.tell(m.BuiltInSubscribed(self._container.run))

    def _recover(self, recovered: m.RecoveredRun) -> None:
        task = pb.mesos.TaskInfo.FromString(recovered.task)
        run = self._add(task, recovered.container_id, recovered.group)
        if recovered.last_status:
            run.last = Status.FromString(recovered.last_status)
        file = run.status_file(self._spec)
        run.child = PROCESSES.adopt(
            recovered.pid, recovered.started, owner=self._container.owner, status_file=file
        )
        if run.child is None:
            self.actor_ref.tell(m.RunEnded(run.task_id, kept_status(file)))
        else:
            self._follow(run)

    def _add(self, task: pb.mesos.TaskInfo, container_id: str = "", group: tuple[str, ...] = ()) -> Run:
        sandbox = self._sandbox / "containers" / container_id if container_id else self._sandbox
        run = self._runs[task.task_id.value] = Run(task, sandbox, container_id, group)
        return run

    # --- Launching --------------------------------------------------------------------------------------------

    @receive
    def handle_launch_tasks(self, message: m.LaunchTasks) -> None:
        tasks = [pb.mesos.TaskInfo.FromString(task) for task in message.tasks]
        self._launched_any = True
        if not self._spec.groups:
            self._start(self._add(tasks[0]))
            return
        group = tuple(task.task_id.value for task in tasks)
        runs = [self._add(task, self.ids.uuid(), group) for task in tasks]
        for run in runs:
            self._update(run, pb.mesos.TASK_STARTING)
        self.run_in_background(self._prepare_group(runs), name="prepare")

    async def _prepare_group(self, runs: list[Run]) -> None:
        for run in runs:
            self.actor_ref.tell(m.RunPrepared(run.task_id, await self._prepare_nested(run)))

    async def _prepare_nested(self, run: Run) -> str | None:
        """Make the sandbox of a task of a group and fill it; why that failed, None if it did not."""
        task = run.task
        why = unsupported(task.container) if task.HasField("container") else None
        if why is not None:
            return why or "Only containers of type MESOS can be nested"
        try:
            user = task.command.user or self._container.user
            make_nested_sandbox(run.sandbox, self._sandbox, task, user)
            await fetch_uris(task.command, run.sandbox, run.container_id, self.in_thread)
        except OSError as error:
            return f"Failed to create nested sandbox: {error.strerror or error}"
        except PrepareFailed as error:
            return str(error)
        return None

    @receive
    def handle_run_prepared(self, message: m.RunPrepared) -> None:
        run = self._runs.get(message.task_id)
        if run is None:
            return
        if self._shutting_down or run.killing:
            self._finish(run, End(pb.mesos.TASK_KILLED))
        elif message.why is not None:
            self._finish(run, End(pb.mesos.TASK_FAILED, message.why))
        else:
            self._start(run)

    def _start(self, run: Run) -> None:
        run.start(self._spec)
        if run.child is not None:
            pid = run.child.pid
            self._agent.tell(m.ContainerStarted(self._container.run, run.task_id, pid, start_time(pid)))
        if not run.container_id:
            self._update(run, pb.mesos.TASK_STARTING)
        self._update(run, pb.mesos.TASK_RUNNING)
        if run.exec_failed:
            self.actor_ref.tell(m.RunEnded(run.task_id, 1 << 8))
            return
        self._follow(run)
        limit = run.task.max_completion_time.nanoseconds / NANOS
        if limit > 0:
            run.completion = self.timers.after(limit, m.CompletionOverdue(run.task_id))

    def _follow(self, run: Run) -> None:
        """Wait for its end, and begin its checks."""
        self.run_in_background(self._wait(run), name=f"wait {run.task_id}")
        if run.task.HasField("check"):
            run.plans[False] = checks.plan_of_check(run.task.check)
            run.check = checks.CheckJudge(run.task.check)
        if run.task.HasField("health_check"):
            run.plans[True] = checks.plan_of_health_check(run.task.health_check)
            run.health = checks.HealthJudge(
                grace_period=run.task.health_check.grace_period_seconds,
                consecutive_failures=run.task.health_check.consecutive_failures,
                started=self.clock.now(),
            )
        for health, plan in run.plans.items():
            self.timers.after(plan.delay, m.CheckDue(run.task_id, health))

    async def _wait(self, run: Run) -> None:
        if run.child is not None:
            self.actor_ref.tell(m.RunEnded(run.task_id, await run.child.wait()))

    # --- Checks -----------------------------------------------------------------------------------------------

    @receive
    def handle_check_due(self, message: m.CheckDue) -> None:
        run = self._runs.get(message.task_id)
        if run is not None and message.health in run.plans:
            plan = run.plans[message.health]
            self.run_in_background(self._check(run, message.health, plan), name="check")

    async def _check(self, run: Run, health: bool, plan: checks.Plan) -> None:
        c = self._container
        try:
            result = await checks.perform(
                plan, environment=dict(c.environment), directory=run.sandbox, owner=c.owner
            )
        except checks.CheckFailed as error:
            self.actor_ref.tell(m.CheckDone(run.task_id, health, None, str(error)))
        else:
            self.actor_ref.tell(m.CheckDone(run.task_id, health, result.SerializeToString()))

    @receive
    def handle_check_done(self, message: m.CheckDone) -> None:
        run = self._runs.get(message.task_id)
        if run is None or message.health not in run.plans or run.last is None:
            return
        result = None
        if message.result is not None:
            result = pb.mesos.CheckStatusInfo.FromString(message.result)
        if message.health:
            self._judge_health(run, ok=result is not None and checks.passed(result))
        elif run.check is not None and (news := run.check.result(result)) is not None:
            status = self._again(run, Status.REASON_TASK_CHECK_STATUS_UPDATED)
            status.check_status.CopyFrom(news)
            self._forward(run, status)
        plan = run.plans.get(message.health)
        if plan is not None:
            self.timers.after(plan.interval, m.CheckDue(run.task_id, message.health))

    def _judge_health(self, run: Run, *, ok: bool) -> None:
        verdict = run.health.result(ok=ok, now=self.clock.now()) if run.health is not None else None
        if verdict is None:
            return
        status = self._again(run, Status.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED)
        status.healthy = verdict.healthy
        self._forward(run, status)
        if verdict.kill:
            run.killed_unhealthy = True
            self._kill(run, None)

    # --- Killing ----------------------------------------------------------------------------------------------

    @receive
    def handle_kill_run(self, message: m.KillRun) -> None:
        run = self._runs.get(message.task_id)
        if run is not None and not self._shutting_down:
            self._kill(run, message.grace_period)

    def _kill(self, run: Run, asked: float | None) -> None:
        now, grace = self.clock.now(), run.grace_period(asked)
        if run.killing:
            if run.escalation is not None and run.kill_started + grace < run.kill_deadline:
                run.escalation.cancel()
                run.kill_deadline = max(run.kill_started + grace, now)
                run.escalation = self.timers.after(run.kill_deadline - now, m.Escalate(run.task_id))
            return
        run.killing = True
        run.stop_timers()
        capability = pb.mesos.FrameworkInfo.Capability.TASK_KILLING_STATE
        if not run.overran and has_capability(self._framework, capability):
            self._update(run, pb.mesos.TASK_KILLING)
        if run.child is not None:
            run.child.signal(signal.SIGTERM)
        run.kill_started, run.kill_deadline = now, now + grace
        run.escalation = self.timers.after(grace, m.Escalate(run.task_id))

    @receive
    def handle_escalate(self, message: m.Escalate) -> None:
        run = self._runs.get(message.task_id)
        if run is not None:
            run.kill()

    @receive
    def handle_completion_overdue(self, message: m.CompletionOverdue) -> None:
        run = self._runs.get(message.task_id)
        if run is not None and not run.killing:
            run.overran = True
            self._kill(run, 0.0)

    @receive
    def handle_shut_down(self, message: m.ShutDown) -> None:
        if self._shutting_down:
            return
        self._shutting_down = True
        if not self._runs:
            self._end()
        for run in list(self._runs.values()):
            own = None if self._spec.groups else max(message.grace_period - _REAPING, 0.0)
            self._kill(run, own)

    @receive
    def handle_destroy_container(self, message: m.DestroyContainer) -> None:
        self._kill_all()
        self._runs.clear()
        self._end(status=9)

    def _kill_all(self) -> None:
        for run in self._runs.values():
            run.kill()

    # --- Ending -----------------------------------------------------------------------------------------------

    @receive
    def handle_run_ended(self, message: m.RunEnded) -> None:
        run = self._runs.get(message.task_id)
        if run is not None:
            self._finish(run, run.end(message.status))

    def _finish(self, run: Run, end: End) -> None:
        run.stop_timers()
        self._update(run, *end)
        del self._runs[run.task_id]
        failed = end.state in {pb.mesos.TASK_FAILED, pb.mesos.TASK_KILLED}
        if failed and not self._shutting_down and not run.killing_group:
            for other in [self._runs[task_id] for task_id in run.group if task_id in self._runs]:
                other.killing_group = True
                if not other.killing:
                    self._kill(other, None)
        self._end_if_done()

    @receive
    def handle_update_handled(self, message: m.UpdateHandled) -> None:
        self._unacknowledged.discard(message.uuid)
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._launched_any and not self._runs and not self._unacknowledged:
            self._end()

    def _end(self, status: int = 0) -> None:
        self._agent.tell(m.ContainerExited(self._container.run, status))
        self.actor_ref.stop(block=False)

    # --- Updates ----------------------------------------------------------------------------------------------

    def _update(self, run: Run, state: State, text: str = "", reason: Reason | None = None) -> None:
        task = run.task
        status = Status(
            task_id=task.task_id,
            state=state,
            source=Status.SOURCE_EXECUTOR,
            uuid=self.ids.uuid_bytes(),
            timestamp=self.clock.time(),
            executor_id=pb.mesos.ExecutorID(value=self._container.run.executor_id),
            message=text or None,
            reason=reason,
            check_status=checks.empty_check_status(task.check) if task.HasField("check") else None,
        )
        if run.killed_unhealthy and is_terminal(state):
            status.healthy = False
        if run.container_id:
            container_id = status.container_status.container_id
            container_id.value = run.container_id
            container_id.parent.value = self._container.run.container_id
        self._forward(run, status)

    def _again(self, run: Run, reason: Reason) -> Status:
        """The last status again because a (health) check has something new: same state, own reason and uuid."""
        status = Status()
        if run.last is not None:
            status.CopyFrom(run.last)
        status.uuid = self.ids.uuid_bytes()
        status.timestamp = self.clock.time()
        status.reason = reason
        return status

    def _forward(self, run: Run, status: Status) -> None:
        run.last = status
        self._unacknowledged.add(status.uuid)
        pid: int | None = _OWN_PID if run.child is None else run.child.pid
        if run.container_id and (run.child is None or run.child.ended.done()):
            pid = None
        self._agent.tell(m.BuiltInUpdate(self._container.run, status.SerializeToString(), pid))
