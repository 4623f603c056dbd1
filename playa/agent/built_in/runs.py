"""One run of a command: a task's process, from its start (or from what an agent before left running) to how its end is told.

States, messages and their precedence are the command executor's and the default executor's (recorded:
`command_task_lifecycle`, `kill_task`, `health_checks`, `task_group_on_the_default_executor`).
"""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from actors.runtime import Timer
from mesos_v1 import pb
from mesos_v1.values import NANOS
from playa.agent.built_in.checks import CheckJudge, HealthJudge, Plan
from playa.agent.containers.processes import PROCESSES, Child, Command, wait_status
from playa.agent.containers.sandbox import open_output
from playa.agent.executors.environment import nested_environment, task_environment
from playa.agent.messages import BuiltInSpec
from playa.agent.statuses import Reason, State, Status

DEFAULT_GRACE_PERIOD: Final = 3.0
UNKNOWN_STATUS: Final = "Failed to get exit status for Command"


@dataclass(slots=True, eq=False)
class Run:
    """One task of a built-in executor.

    Attributes:
        task: The task.
        sandbox: Where it runs.
        container_id: Of its own container; empty when it runs in its executor's.
        group: The ids of the tasks that end with it.
        child: Its process, while there is one.
        exec_failed: It could not be started: it ends as if it had exited with status 1.
        killing: It was told to end.
        killed_unhealthy: Because its health check failed too often.
        overran: Because it used up its max_completion_time.
        killing_group: Its end ends nobody else any more.
        kill_started: When it was told to end.
        kill_deadline: When it is to be killed.
        last: Its newest status.
        escalation: The timer for that.
        completion: The timer of its max_completion_time.
        plans: Its check (False) and its health check (True), while they are done.
    """

    task: pb.mesos.TaskInfo
    sandbox: Path
    container_id: str = ""
    group: tuple[str, ...] = ()
    child: Child | None = None
    exec_failed: bool = False
    killing: bool = False
    killed_unhealthy: bool = False
    overran: bool = False
    killing_group: bool = False
    kill_started: float = 0.0
    kill_deadline: float = 0.0
    last: Status | None = None
    escalation: Timer | None = None
    completion: Timer | None = None
    plans: dict[bool, Plan] = field(default_factory=dict)
    health: HealthJudge | None = None
    check: CheckJudge | None = None

    @property
    def task_id(self) -> str:
        return self.task.task_id.value

    def start(self, spec: BuiltInSpec) -> None:
        """Start the process; a program that is not there "ran" and exited with 1, as from Mesos's launcher."""
        task, c = self.task, spec.container
        if self.container_id:
            environment = nested_environment(
                task, sandbox=str(self.sandbox), ip=spec.ip, agent_wide=spec.agent_wide
            )
        else:
            environment = task_environment(dict(c.environment), task)
        command = Command.of(task.command, environment, self.sandbox, task.command.user or c.user)
        try:
            self.child = PROCESSES.spawn(
                command,
                owner=c.owner,
                survives=c.outlives,
                remember=c.checkpoint,
                status_file=self.status_file(spec),
            )
        except OSError as error:
            self.exec_failed = True
            with suppress(OSError), open_output(self.sandbox, "stderr") as err:
                err.write(f"Failed to execute command: {error.strerror or error}\n".encode())

    def status_file(self, spec: BuiltInSpec) -> Path | None:
        """Where the wait status of a process is kept that may outlive the cluster."""
        c = spec.container
        if not c.outlives:
            return None
        folder = Path(c.owner) / "meta" / "statuses"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / (self.container_id or c.run.container_id)

    def grace_period(self, asked: float | None) -> float:
        """How long it may take to end: as asked for, else its own policy, else 3 s."""
        if asked is not None:
            return asked
        if self.task.kill_policy.HasField("grace_period"):
            return self.task.kill_policy.grace_period.nanoseconds / NANOS
        return DEFAULT_GRACE_PERIOD

    def stop_timers(self) -> None:
        """Nothing is due any more."""
        for timer in (self.escalation, self.completion):
            if timer is not None:
                timer.cancel()
        self.escalation = self.completion = None
        self.plans.clear()

    def kill(self) -> None:
        """Kill its process now."""
        if self.child is not None:
            self.child.kill()

    def end(self, status: int | None) -> "End":
        """How it ended, from its process's wait status (None: nobody could know it)."""
        if status is None and not self.killing:
            return End(pb.mesos.TASK_FAILED, UNKNOWN_STATUS)
        told = f"Command {wait_status(9 if status is None else status)}"
        if self.overran:
            return End(pb.mesos.TASK_FAILED, told, Status.REASON_MAX_COMPLETION_TIME_REACHED)
        if self.killing:
            return End(pb.mesos.TASK_KILLED, told)
        succeeded = status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
        return End(pb.mesos.TASK_FINISHED if succeeded else pb.mesos.TASK_FAILED, told)


class End(NamedTuple):
    """How a task ended, as its last status tells it."""

    state: State
    message: str = ""
    reason: Reason | None = None
