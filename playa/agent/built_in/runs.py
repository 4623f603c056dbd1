"""One run of a command: what a built-in executor knows of a task's process, and how its end is told. Pure.

States, messages and their precedence are the command executor's and the default executor's (recorded:
`command_task_lifecycle`, `kill_task`, `health_checks`, `task_group_on_the_default_executor`).
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mesos_v1 import pb
from playa.agent.built_in.checks import CheckJudge, HealthJudge, Plan, plan_of_check, plan_of_health_check
from playa.agent.containers.processes import Child
from playa.agent.words import wait_status

DEFAULT_GRACE_PERIOD: Final = 3.0
UNKNOWN_STATUS: Final = "Failed to get exit status for Command"


@dataclass(slots=True)
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
        plans: Its check and its health check.
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
    last: pb.mesos.TaskStatus | None = None
    escalation: Any = None
    completion: Any = None
    plans: dict[bool, Plan] = field(default_factory=dict)
    health: HealthJudge | None = None
    check: CheckJudge | None = None

    @property
    def task_id(self) -> str:
        """The task's id."""
        return self.task.task_id.value

    @property
    def pid(self) -> int | None:
        """Its process, None when there is none."""
        return None if self.child is None or self.child.ended.done() else self.child.pid

    def grace_period(self, asked: float | None) -> float:
        """How long it may take to end: as asked for, else its own policy, else 3 s."""
        if asked is not None:
            return asked
        if self.task.kill_policy.HasField("grace_period"):
            return self.task.kill_policy.grace_period.nanoseconds / 1e9
        return DEFAULT_GRACE_PERIOD

    def plan_checks(self, now: float) -> None:
        """Set up its check and its health check."""
        if self.task.HasField("check"):
            self.plans[False] = plan_of_check(self.task.check)
            self.check = CheckJudge(self.task.check)
        if self.task.HasField("health_check"):
            health = self.task.health_check
            self.plans[True] = plan_of_health_check(health)
            self.health = HealthJudge(
                grace_period=health.grace_period_seconds,
                consecutive_failures=health.consecutive_failures,
                started=now,
            )

    def stop_timers(self) -> None:
        """Nothing is due any more."""
        for timer in (self.escalation, self.completion):
            if timer is not None:
                timer.cancel()
        self.escalation = self.completion = None
        self.plans.clear()


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended, as its last status tells it."""

    state: "pb.mesos.TaskState.ValueType"
    message: str
    reason: "pb.mesos.TaskStatus.Reason.ValueType | None" = None


def end_of(run: Run, status: int | None) -> End:
    """How a run ended, from its process's wait status (None: nobody could know it)."""
    if status is None and not run.killing:
        return End(pb.mesos.TASK_FAILED, UNKNOWN_STATUS)
    if run.overran:
        state, reason = pb.mesos.TASK_FAILED, pb.mesos.TaskStatus.REASON_MAX_COMPLETION_TIME_REACHED
        return End(state, _told(status), reason)
    if run.killing:
        return End(pb.mesos.TASK_KILLED, _told(status))
    succeeded = status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0
    return End(pb.mesos.TASK_FINISHED if succeeded else pb.mesos.TASK_FAILED, _told(status))


def _told(status: int | None) -> str:
    return f"Command {wait_status(9 if status is None else status)}"
