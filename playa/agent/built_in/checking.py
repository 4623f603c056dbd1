"""The checks of a built-in executor's tasks: when each is due, what its result leads to.

A part of `BuiltInExecutor`, which owns the timers and the background work; the judging itself is in `checks`.
"""

from collections.abc import Callable

from actors.runtime import Actor
from mesos_v1 import pb
from playa.agent.built_in.checks import CheckFailed, Plan, passed, perform
from playa.agent.built_in.runs import Run
from playa.agent.messages import CheckDone, CheckDue, ContainerSpec
from playa.agent.updates import statuses

Reason = pb.mesos.TaskStatus.Reason


class Checking:
    """Does the checks of an executor's tasks.

    Args:
        actor: The executor.
        container: Its container, for the environment of check commands.
        forward: Sends a status of a run to the agent.
        kill: Ends a run whose health check failed too often.
    """

    def __init__(
        self,
        actor: Actor,
        container: ContainerSpec,
        forward: Callable[[Run, pb.mesos.TaskStatus], None],
        kill: Callable[[Run], None],
    ) -> None:
        self._actor = actor
        self._container = container
        self._forward = forward
        self._kill = kill

    def begin(self, run: Run) -> None:
        """Plan the checks of a task whose process runs."""
        run.plan_checks(self._actor.clock.now())
        for health, plan in run.plans.items():
            self._actor.timers.after(plan.delay, CheckDue(run.task_id, health))

    def due(self, run: Run, message: CheckDue) -> None:
        """Time for a check, unless the task is on its way out."""
        if message.health in run.plans:
            plan = run.plans[message.health]
            self._actor.run_in_background(self._perform(run, message.health, plan), name="check")

    async def _perform(self, run: Run, health: bool, plan: Plan) -> None:
        c = self._container
        try:
            result = await perform(
                plan, environment=dict(c.environment), directory=run.sandbox, owner=c.owner
            )
        except CheckFailed as error:
            self._actor.actor_ref.tell(CheckDone(run.task_id, health, None, str(error)))
        else:
            self._actor.actor_ref.tell(CheckDone(run.task_id, health, result.SerializeToString()))

    def done(self, run: Run, message: CheckDone) -> None:
        """A result: judge it, tell what is new, do it again later."""
        if message.health not in run.plans or run.last is None:
            return
        result = None
        if message.result is not None:
            result = pb.mesos.CheckStatusInfo.FromString(message.result)
        if message.health:
            self._judge_health(run, run.last, result)
        else:
            self._judge_check(run, run.last, result)
        plan = run.plans.get(message.health)
        if plan is not None:
            self._actor.timers.after(plan.interval, CheckDue(run.task_id, message.health))

    def _judge_check(
        self, run: Run, last: pb.mesos.TaskStatus, result: pb.mesos.CheckStatusInfo | None
    ) -> None:
        news = run.check.result(result) if run.check is not None else None
        if news is not None:
            status = self._again(last, Reason.REASON_TASK_CHECK_STATUS_UPDATED)
            status.check_status.CopyFrom(news)
            self._forward(run, status)

    def _judge_health(
        self, run: Run, last: pb.mesos.TaskStatus, result: pb.mesos.CheckStatusInfo | None
    ) -> None:
        ok = result is not None and passed(result)
        verdict = run.health.result(ok=ok, now=self._actor.clock.now()) if run.health is not None else None
        if verdict is None:
            return
        status = self._again(last, Reason.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED)
        status.healthy = verdict.healthy
        self._forward(run, status)
        if verdict.kill:
            run.killed_unhealthy = True
            self._kill(run)

    def _again(self, last: pb.mesos.TaskStatus, reason: "Reason.ValueType") -> pb.mesos.TaskStatus:
        actor = self._actor
        return statuses.follow_up(
            last, uuid=actor.ids.uuid_bytes(), timestamp=actor.clock.time(), reason=reason
        )
