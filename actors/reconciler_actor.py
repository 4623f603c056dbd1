"""Finds out what happened to tasks: Mesos's documented algorithm ("Reconciliation"), one round at a time.

All attempts that may be on the cluster are asked about; those that the master has not answered for again, with truncated
exponential waits, until each has answered or is no longer in question. Rounds begin with every subscription and
periodically; single suspects (a launch that nothing was heard of) join the round, or make one of their own. Now and then the
question is implicit, which brings up unknown tasks: they are reported, and killed only if the settings say so.

The gate: a run that takes tasks over from an earlier one launches nothing before its first round is over, so that what is only
thought to be lost does not run twice. The scheduler keeps the broker from launching; here it is found out for how long.
"""

import logging
from dataclasses import dataclass

from actors import messages as m
from actors.framework_settings import Composition, seconds
from actors.runtime import Actor, Backoff, Timer, message, receive, setting
from mesos_v1.states import is_terminal
from mesos_v1.values import AgentId, TaskId

logger = logging.getLogger("actors.reconciler")


@dataclass(frozen=True, slots=True)
class ReconcilerSettings:
    """How often the truth is asked for."""

    period: float = seconds(900.0, help="Time between two rounds, in seconds.")
    first_wait: float = seconds(5.0, help="Wait before asking again about tasks without an answer.")
    longest_wait: float = seconds(120.0, help="Upper bound of these waits; they double.")
    batch: int = setting(5000, help="Most tasks asked about in one call.")
    implicit_every: int = setting(
        4, help="In every n-th round an implicit reconciliation is sent, too; 0: never."
    )
    unknown_tasks: str = setting("report", help='What to do with unknown tasks: "report" or "kill".')
    launch_gate: bool = setting(
        True,
        help="Whether a run that takes tasks over from an earlier one launches nothing before the master has answered for each "
        "that may be on the cluster.",
    )
    launch_gate_timeout: float = seconds(60.0, help="How long launches wait for that at most.")

    def __post_init__(self) -> None:
        """Refuse an unknown policy (ValueError)."""
        if self.unknown_tasks not in {"report", "kill"}:
            raise ValueError(f'unknown_tasks must be "report" or "kill", not "{self.unknown_tasks}"')


@message
class AskAgain:
    """The wait is over: ask about those that have not answered."""

    round: int


@message
class RoundDue:
    """Time for the periodical round."""

    series: int


@message
class GateOverdue:
    """Launches have waited for long enough."""


class ReconcilerActor(Actor):
    """Asks the master about tasks; see the head of this module."""

    Settings = ReconcilerSettings

    def __init__(self, composition: Composition, settings: ReconcilerSettings) -> None:
        self.settings = settings
        self.round = 0
        self.unanswered: dict[TaskId, AgentId | None] = {}
        self._active = False
        self._series = 0
        self._waits = 0
        self._listing = False
        self._timer: Timer | None = None
        self._gated = False
        self._held_back = 0  # so many tasks keep the gate closed, as was said in the log

    def on_start(self) -> None:
        """Announce itself, also after a restart."""
        self.tell("scheduler", m.ActorStarted("reconciler"))

    @receive
    def handle_start_reconciliation(self, asked: m.StartReconciliation) -> None:
        """Begin a round now, in place of the one that runs; those that it waited for are in the new one too."""
        if asked.gated and not self._gated:
            self._gated = True
            if self.settings.launch_gate:
                self.timers.after(self.settings.launch_gate_timeout, GateOverdue())
            else:
                self._open_gate()
        self._active = True
        self._series += 1
        self.timers.after(self.settings.period, RoundDue(self._series))
        self._begin()

    @receive
    def handle_stop_reconciliation(self, _asked: m.StopReconciliation) -> None:
        self._active = False
        self._series += 1
        self._end()

    @receive
    def handle_round_due(self, due: RoundDue) -> None:
        if due.series != self._series or not self._active:
            return
        self.timers.after(self.settings.period, RoundDue(self._series))
        if not self.unanswered:
            self._begin()

    @receive
    def handle_tasks_on_cluster(self, listed: m.TasksOnCluster) -> None:
        """Ask about them all (a new round), or about those of them that have not answered yet."""
        if not self._active or not self._listing:
            return
        self._listing = False
        tasks = dict(listed.tasks)
        if self._waits:
            tasks = {task: agent for task, agent in tasks.items() if task in self.unanswered}
        self.unanswered = tasks
        if self._gated and tasks and not self._held_back:
            self._held_back = len(tasks)
            logger.info(
                "launches wait until the master has answered for %s of an earlier run", _tasks(len(tasks))
            )
        self._ask()

    @receive
    def handle_suspect(self, suspect: m.Suspect) -> None:
        """Ask about one attempt at once; it is asked about again with the others until it has answered."""
        if not self._active:
            return  # the round of the next subscription asks about it
        self.unanswered[suspect.attempt_id] = suspect.agent_id
        self.tell("connection", m.Reconcile(((suspect.attempt_id, suspect.agent_id),)))
        if self._timer is None and not self._listing:
            self._waits = 1
            self._wait()

    @receive
    def handle_task_answered(self, answer: m.TaskAnswered) -> None:
        self.unanswered.pop(answer.task_id, None)
        if not self.unanswered and self._timer is not None:
            self._round_over()

    @receive
    def handle_gate_overdue(self, _due: GateOverdue) -> None:
        if self._gated:
            waited = self.settings.launch_gate_timeout
            of = _tasks(len(self.unanswered))
            logger.warning(
                "launches go on after %g s, although the master has not answered for %s", waited, of
            )
            self._open_gate()

    def _round_over(self) -> None:
        self._end()
        if self._gated:
            if self._held_back:
                logger.info("launches go on: the master has answered for %s", _tasks(self._held_back))
            self._open_gate()

    def _open_gate(self) -> None:
        self._gated = False
        self.tell("scheduler", m.OpenGate())

    @receive
    def handle_ask_again(self, due: AskAgain) -> None:
        if due.round == self.round and self._active:
            self._timer = None
            self._list()

    @receive
    def handle_unknown_task(self, unknown: m.UnknownTask) -> None:
        status = unknown.status
        if self.settings.unknown_tasks == "kill" and not is_terminal(status.state):
            logger.warning("killing the unknown task %s (%s)", status.task_id, status.state.value)
            self.tell("connection", m.Kill(status.task_id, status.agent_id))

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        """The question did not arrive; it is put again when its wait is over, or with the next subscription."""
        logger.debug("reconciliation: %s", failed.reason)

    def _begin(self) -> None:
        self._end()
        self.round += 1
        every = self.settings.implicit_every
        if every and self.round % every == 0:
            self.tell("connection", m.Reconcile())
        self._list()

    def _list(self) -> None:
        self._listing = True
        self.tell("scheduler", m.ListTasks())

    def _ask(self) -> None:
        if not self.unanswered:
            self._round_over()
            return
        tasks = tuple(self.unanswered.items())
        size = self.settings.batch
        for at in range(0, len(tasks), size):
            self.tell("connection", m.Reconcile(tasks[at : at + size]))
        self._waits += 1
        self._wait()

    def _wait(self) -> None:
        waits = Backoff(self.settings.first_wait, 2.0, self.settings.longest_wait)
        self._timer = self.timers.after(waits.delay(self._waits), AskAgain(self.round))

    def _end(self) -> None:
        """Stop asking; whether all have answered is another matter."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waits = 0
        self._listing = False
        self.unanswered.clear()


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number:,} tasks"
