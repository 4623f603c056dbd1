"""The executors that Mesos brings: the command executor (one command) and the default executor (groups of tasks).

Real ones are programs of their own; here they are actors inside the cluster, so that a command task costs one process
and not two. To a framework they look the same (recorded: `command_task_lifecycle`, `kill_task`, `health_checks`,
`task_group_on_the_default_executor`).

Each task is a `Run`; its process, its checks and its fetching are awaited in the background and come back as messages, so that
all decisions are made in handlers. When no task is left and all updates are acknowledged, the executor ends with status 0.

Checks and health checks are done alike (`perform`) and judged differently. As documented in Mesos, "Task Health Checking" and
"Checks": failures in the grace period before the first success do not count, a task is to be killed after so many failures in a
row, and a check's result is told only when it changed.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import aiohttp

from actors.runtime import Actor, ActorRef, Timer, receive
from mesos_v1 import pb
from mesos_v1.values import NANOS
from playa.agent import messages as m
from playa.agent.checkpoint import RecoveredTask
from playa.agent.containers.container_actor import Container, PrepareFailed, fetch_uris, prepare
from playa.agent.containers.processes import PROCESSES, Child, Command, kept_status, start_time, wait_status
from playa.agent.containers.sandbox import make_nested_sandbox, open_output
from playa.agent.executors.calls import unsupported
from playa.agent.executors.environment import nested_environment, task_environment
from playa.agent.statuses import Reason, State, Status, has_capability, is_terminal

_REAPING: Final = 2.0
Result = pb.mesos.CheckStatusInfo
_CheckInfo = pb.mesos.CheckInfo
_HealthCheck = pb.mesos.HealthCheck
AnyCheck: TypeAlias = _CheckInfo | _HealthCheck
_LOOPBACK: Final = {pb.mesos.NetworkInfo.IPv4: "127.0.0.1", pb.mesos.NetworkInfo.IPv6: "::1"}


class CheckFailed(Exception):  # noqa: N818 - a result
    """A check that gave no result: it timed out, could not start, or was refused a connection."""


def passed(result: Result) -> bool:
    """Whether a result means health: exit code 0, HTTP status 200 to 399, a TCP connection."""
    if result.type == _CheckInfo.COMMAND:
        return result.command.exit_code == 0
    if result.type == _CheckInfo.HTTP:
        return 200 <= result.http.status_code < 400
    return result.tcp.succeeded


class HealthJudge:
    """Counts failures of one task's health check; `deadly` says that there were too many in a row."""

    def __init__(self, check: _HealthCheck, started: float) -> None:
        self.check = check
        self._grace_until = started + check.grace_period_seconds
        self._initializing = True
        self._failures = 0

    @property
    def deadly(self) -> bool:
        return self._failures >= self.check.consecutive_failures

    def judge(self, result: Result | None, now: float) -> Status | None:
        """What is new in the task's status with a result (None: there was none); None when there is nothing to tell."""
        healthy = result is not None and passed(result)
        if healthy:
            known = not self._initializing and not self._failures
            self._initializing, self._failures = False, 0
            if known:
                return None
        elif self._initializing and self.check.grace_period_seconds > 0 and now <= self._grace_until:
            return None
        else:
            self._failures += 1
        return Status(reason=Status.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED, healthy=healthy)


class CheckJudge:
    """Remembers the last result of one task's check."""

    deadly = False

    def __init__(self, check: _CheckInfo) -> None:
        self.check = check
        self._last = empty_check_status(check)

    def judge(self, result: Result | None, _now: float) -> Status | None:
        """What is new in the task's status with a result (None: there was none); None if nothing changed."""
        result = empty_check_status(self.check) if result is None else result
        if result == self._last:
            return None
        self._last = result
        return Status(reason=Status.REASON_TASK_CHECK_STATUS_UPDATED, check_status=result)


def empty_check_status(check: _CheckInfo) -> Result:
    """The result of a check that has not run yet: its kind and nothing else."""
    empty = Result(type=check.type)
    getattr(empty, _CheckInfo.Type.Name(check.type).lower()).SetInParent()
    return empty


async def perform(check: AnyCheck, environment: Mapping[str, str], directory: Path, owner: str) -> Result:
    """Do a check once. Raises CheckFailed when it gives no result."""
    result = Result(type=_CheckInfo.Type.ValueType(check.type))
    try:
        async with asyncio.timeout(check.timeout_seconds or None):
            if check.type == _CheckInfo.HTTP:
                result.http.status_code = await _http(url_of(check))
            elif check.type == _CheckInfo.TCP:
                result.tcp.succeeded = await _tcp(_host(check.tcp), check.tcp.port)
            else:
                command = check.command.command if isinstance(check, _CheckInfo) else check.command
                result.command.exit_code = await _command(command, environment, directory, owner)
    except TimeoutError:
        raise CheckFailed(f"timed out after {check.timeout_seconds} seconds") from None
    except (OSError, aiohttp.ClientError) as error:
        raise CheckFailed(str(error)) from error
    return result


async def _command(
    info: pb.mesos.CommandInfo, environment: Mapping[str, str], directory: Path, owner: str
) -> int:
    own = {v.name: v.value for v in info.environment.variables}
    child = PROCESSES.spawn(Command.of(info, {**environment, **own}, directory), owner=owner)
    try:
        status = await child.wait()
    finally:
        child.kill()
    if status is None or not os.WIFEXITED(status):
        raise CheckFailed("the check's command was killed")
    return os.WEXITSTATUS(status)


def url_of(check: AnyCheck) -> str:
    """What an HTTP check asks for; only a health check has a scheme and a protocol."""
    host = _host(check.http)
    shown = f"[{host}]" if ":" in host else host
    return f"{getattr(check.http, 'scheme', '') or 'http'}://{shown}:{check.http.port}{check.http.path}"


def _host(part: object) -> str:
    return _LOOPBACK[getattr(part, "protocol", pb.mesos.NetworkInfo.IPv4)]


async def _http(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url, ssl=False) as response:
        return response.status


async def _tcp(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


class End(NamedTuple):
    """How a task ended, as its last status tells it."""

    state: State
    message: str = ""
    reason: Reason | None = None


@dataclass(slots=True, eq=False)
class Run:
    """One run of a task's command, from its start (or from what an agent before left running) to its end."""

    task: pb.mesos.TaskInfo
    sandbox: Path
    container_id: str  # of its own container; empty when it runs in its executor's
    group: tuple[str, ...]  # the ids of the tasks that end with it
    child: Child | None = None
    killing: bool = False
    killed_unhealthy: bool = False  # because its health check failed too often
    overran: bool = False  # because it used up its max_completion_time
    killing_group: bool = False  # its end ends nobody else any more
    kill_started: float = 0.0
    last: Status | None = None
    escalation: Timer | None = None
    completion: Timer | None = None
    checks: dict[bool, CheckJudge | HealthJudge] = field(default_factory=dict)  # True: its health check

    @property
    def task_id(self) -> str:
        return self.task.task_id.value

    def start(self, container: Container) -> Child | None:
        """Start the process, if that is possible; why it is not is in the sandbox's stderr."""
        task, c = self.task, container
        if self.container_id:
            environment = nested_environment(task, c.settings, str(self.sandbox))
        else:
            environment = task_environment(c.environment, task)
        command = Command.of(task.command, environment, self.sandbox, task.command.user or c.user)
        try:
            file = self.status_file(c)
            self.child = PROCESSES.spawn(
                command, owner=c.owner, survives=c.outlives, remember=c.checkpoint, status_file=file
            )
        except OSError as error:
            with suppress(OSError), open_output(self.sandbox, "stderr") as err:
                err.write(f"Failed to execute command: {error.strerror or error}\n".encode())
        return self.child

    def status_file(self, container: Container) -> Path | None:
        """Where the wait status of a process is kept that may outlive the cluster."""
        if not container.outlives:
            return None
        folder = Path(container.owner) / "meta" / "statuses"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / (self.container_id or container.run.container_id)

    def grace_period(self, asked: float | None) -> float:
        """How long it may take to end: as asked for, else its own policy, else 3 s."""
        if asked is not None:
            return asked
        if self.task.kill_policy.HasField("grace_period"):
            return self.task.kill_policy.grace_period.nanoseconds / NANOS
        return 3.0

    def stop_timers(self) -> None:
        """Nothing is due any more."""
        for timer in (self.escalation, self.completion):
            if timer is not None:
                timer.cancel()
        self.escalation = self.completion = None
        self.checks.clear()

    def kill(self) -> None:
        """Kill its process now."""
        if self.child is not None:
            self.child.kill()

    def end(self, status: int | None) -> End:
        """How it ended, from its process's wait status (None: nobody could know it)."""
        if status is None and not self.killing:
            return End(pb.mesos.TASK_FAILED, "Failed to get exit status for Command")
        told = f"Command {wait_status(9 if status is None else status)}"
        if self.overran:
            return End(pb.mesos.TASK_FAILED, told, Status.REASON_MAX_COMPLETION_TIME_REACHED)
        if self.killing:
            return End(pb.mesos.TASK_KILLED, told)
        return End(pb.mesos.TASK_FINISHED if status == 0 else pb.mesos.TASK_FAILED, told)


class BuiltInExecutor(Actor):
    """The command executor, or the default executor, of one framework on one agent."""

    def __init__(self, container: Container, agent: ActorRef[Any]) -> None:
        self._container = container
        self._agent = agent
        self._groups = container.executor.type == pb.mesos.ExecutorInfo.DEFAULT
        self._runs: dict[str, Run] = {}
        self._unacknowledged: set[bytes] = set()
        self._launched_any = False
        self._shutting_down = False

    # --- Coming -----------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Make the sandbox ready and subscribe; or take up what ran before."""
        if not self._container.recovered:
            self.run_in_background(self._prepare(), name="prepare")
            return
        self._launched_any = True
        for recovered in self._container.recovered:
            self._recover(recovered)
        self._agent.tell(m.BuiltInSubscribed(self._container.run))

    def on_stop(self) -> None:
        """The agent died: what does not checkpoint dies with it."""
        if not self._container.checkpoint:
            self._kill_all()

    def on_failure(self, *_: object) -> None:
        """A bug here: no process is left."""
        self._kill_all()

    async def _prepare(self) -> None:
        try:
            await prepare(self._container, self.in_thread)
        except PrepareFailed as error:
            self._agent.tell(m.ContainerLaunchFailed(self._container.run, str(error)))
            self.actor_ref.stop(block=False)
        else:
            self._agent.tell(m.BuiltInSubscribed(self._container.run))

    def _recover(self, saved: RecoveredTask) -> None:
        last = Status.FromString(saved.updates[-1]) if saved.updates else None
        nested = pb.mesos.ContainerID() if last is None else last.container_status.container_id
        container_id = nested.value if nested.HasField("parent") else ""
        run = self._add(pb.mesos.TaskInfo.FromString(saved.info), container_id, saved.group)
        run.last = last
        file = run.status_file(self._container)
        run.child = PROCESSES.adopt(saved.pid, saved.started, owner=self._container.owner, status_file=file)
        if run.child is None:
            self.actor_ref.tell(m.RunEnded(run.task_id, kept_status(file)))
        else:
            self._follow(run, run.child)

    def _add(self, task: pb.mesos.TaskInfo, container_id: str = "", group: tuple[str, ...] = ()) -> Run:
        sandbox = self._container.sandbox
        if container_id:
            sandbox = sandbox / "containers" / container_id
        run = self._runs[task.task_id.value] = Run(task, sandbox, container_id, group)
        return run

    # --- Launching --------------------------------------------------------------------------------------------

    @receive
    def handle_launch_tasks(self, message: m.LaunchTasks) -> None:
        tasks = [pb.mesos.TaskInfo.FromString(task) for task in message.tasks]
        self._launched_any = True
        if not self._groups:
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
            make_nested_sandbox(run.sandbox, self._container.sandbox, task, user)
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
        child = run.start(self._container)
        if child is not None:
            started = start_time(child.pid)
            self._agent.tell(m.ContainerStarted(self._container.run, run.task_id, child.pid, started))
        if not run.container_id:
            self._update(run, pb.mesos.TASK_STARTING)
        self._update(run, pb.mesos.TASK_RUNNING)
        if child is None:  # a program that is not there "ran" and exited with 1, as from Mesos's launcher
            self.actor_ref.tell(m.RunEnded(run.task_id, 1 << 8))
            return
        self._follow(run, child)
        limit = run.task.max_completion_time.nanoseconds / NANOS
        if limit > 0:
            run.completion = self.timers.after(limit, m.CompletionOverdue(run.task_id))

    def _follow(self, run: Run, child: Child) -> None:
        """Wait for its end, and begin its checks."""
        self.run_in_background(self._wait(run, child), name=f"wait {run.task_id}")
        if run.task.HasField("check"):
            run.checks[False] = CheckJudge(run.task.check)
        if run.task.HasField("health_check"):
            run.checks[True] = HealthJudge(run.task.health_check, self.clock.now())
        for health, judge in run.checks.items():
            self.timers.after(judge.check.delay_seconds, m.CheckDue(run.task_id, health))

    async def _wait(self, run: Run, child: Child) -> None:
        self.actor_ref.tell(m.RunEnded(run.task_id, await child.wait()))

    # --- Checks -----------------------------------------------------------------------------------------------

    @receive
    def handle_check_due(self, message: m.CheckDue) -> None:
        run = self._runs.get(message.task_id)
        if run is not None and message.health in run.checks:
            check = run.checks[message.health].check
            self.run_in_background(self._check(run, message.health, check), name="check")

    async def _check(self, run: Run, health: bool, check: AnyCheck) -> None:
        c = self._container
        try:
            result = await perform(check, c.environment, run.sandbox, c.owner)
        except CheckFailed as error:
            self.actor_ref.tell(m.CheckDone(run.task_id, health, None, str(error)))
        else:
            self.actor_ref.tell(m.CheckDone(run.task_id, health, result.SerializeToString()))

    @receive
    def handle_check_done(self, message: m.CheckDone) -> None:
        run = self._runs.get(message.task_id)
        judge = None if run is None else run.checks.get(message.health)
        if run is None or judge is None or run.last is None:
            return
        result = None if message.result is None else Result.FromString(message.result)
        news = judge.judge(result, self.clock.now())
        if news is not None:
            self._tell_news(run, news)
            if judge.deadly:
                run.killed_unhealthy = True
                self._kill(run, None)
        if run.checks:
            self.timers.after(judge.check.interval_seconds, m.CheckDue(run.task_id, message.health))

    # --- Killing ----------------------------------------------------------------------------------------------

    @receive
    def handle_kill_run(self, message: m.KillRun) -> None:
        run = self._runs.get(message.task_id)
        if run is not None and not self._shutting_down:
            self._kill(run, message.grace_period)

    def _kill(self, run: Run, asked: float | None) -> None:
        now, grace = self.clock.now(), run.grace_period(asked)
        if run.killing:
            due = max(run.kill_started + grace, now)
            if run.escalation is not None and due < run.escalation.due:
                run.escalation.cancel()
                run.escalation = self.timers.after(due - now, m.Escalate(run.task_id))
            return
        run.killing = True
        run.stop_timers()
        capability = pb.mesos.FrameworkInfo.Capability.TASK_KILLING_STATE
        if not run.overran and has_capability(self._container.framework, capability):
            self._update(run, pb.mesos.TASK_KILLING)
        if run.child is not None:
            run.child.signal(signal.SIGTERM)
        run.kill_started = now
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
            self._kill(run, None if self._groups else max(message.grace_period - _REAPING, 0.0))

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
        task, executor = run.task, self._container.run
        status = Status(
            task_id=task.task_id,
            state=state,
            source=Status.SOURCE_EXECUTOR,
            executor_id=pb.mesos.ExecutorID(value=executor.executor_id),
            message=text or None,
            reason=reason,
            check_status=empty_check_status(task.check) if task.HasField("check") else None,
        )
        if run.killed_unhealthy and is_terminal(state):
            status.healthy = False
        if run.container_id:
            container_id = status.container_status.container_id
            container_id.value = run.container_id
            container_id.parent.value = executor.container_id
        self._forward(run, status)

    def _tell_news(self, run: Run, news: Status) -> None:
        """The last status again because a (health) check has something new: same state, own reason and uuid."""
        assert run.last is not None
        status = Status()
        status.CopyFrom(run.last)
        if news.HasField("check_status"):
            status.ClearField("check_status")
        status.MergeFrom(news)
        self._forward(run, status)

    def _forward(self, run: Run, status: Status) -> None:
        status.uuid, status.timestamp = self.ids.uuid_bytes(), self.clock.time()
        run.last = status
        self._unacknowledged.add(status.uuid)
        pid: int | None = os.getpid() if run.child is None else run.child.pid
        if run.container_id and (run.child is None or run.child.ended.done()):
            pid = None
        self._agent.tell(m.BuiltInUpdate(self._container.run, status.SerializeToString(), pid))
