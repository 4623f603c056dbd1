"""One task: one actor, from the author's wish to the outcome, over all attempts.

The rules are the table in `states.py`. Two orders hold always: progress is stored before the update is acknowledged and before
the outcome is told, and an update of an attempt that is no longer the present one changes nothing (a living one is killed).

Duplicates are harmless: an update with the uuid that was taken in last is acknowledged again and otherwise ignored.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from actors import messages as m
from actors.messages import DRAINING, MOVED, ON_CLUSTER, TERMINAL_PHASES, TaskPhase
from actors.records import PROGRESS, TaskHistory, TaskProgress, Writes, attempt_id, demand_of, latest, shared
from actors.runtime import Actor, Backoff, DecodeError, Timer, message, receive, unpack
from actors.runtime.state_machine import Machine
from actors.states import EVENT_OF_STATE, TASK, TaskAction, TaskEvent
from mesos_v1 import events
from mesos_v1.states import TaskState, is_terminal
from mesos_v1.values import AgentId, ExecutorId, TaskStatus
from wire.results import RETRY_LABEL

P, E = TaskPhase, TaskEvent

NO_SANDBOX = "Failed to create executor directory"
"""What an agent says, with TASK_DROPPED, when it cannot make a sandbox: most often the task's user is not known there."""
KILL_AGAIN = Backoff(5.0, 2.0, 60.0)


class Note(NamedTuple):
    """What was last heard of the task."""

    state: str = ""
    reason: str = ""
    message: str = ""


NOTHING_HEARD = Note()


@message
class TaskDue:
    """The time for something has come, if the attempt is still the present one."""

    attempt: int
    event: TaskEvent


class TaskActor(Actor):
    """Brings one task to its end; see the head of this module."""

    def __init__(self, history: TaskHistory) -> None:
        super().__init__()
        self.spec = history.spec
        progress = latest(history)
        self.attempt = progress.attempt
        self.mesos_id = attempt_id(self.spec.task_id, self.attempt)
        self._life = Machine(TASK, progress.phase)
        self.failures = progress.failures
        self.losses = progress.losses
        self.agent_id: AgentId | None = shared(progress.agent_id)
        self.executor_id: ExecutorId | None = shared(progress.executor_id)
        self._last_uuid = progress.uuid
        self._writes: Writes[tuple[TaskStatus | None, m.TaskDone | None]] = Writes(self)
        self._result_id = ""  # the executor's own id of the message that is the result, to join both traces
        self._demanded = history.demanded
        self._due = progress.due
        self._setbacks = progress.setbacks
        self._timed_out = False
        self._moved = ""
        self._run_watched = False
        self._running_since = progress.running_since
        self._kills = 0
        self._grace: float | None = None
        self._timer: Timer | None = None
        self._note = NOTHING_HEARD
        self._result = b""
        if progress.phase in TERMINAL_PHASES:
            self._note = Note(progress.state, progress.reason, progress.message)
            self._result = progress.result

    def on_start(self) -> None:
        """Demand; or, with a history, continue where it ended.

        After a failure the broker may hold a demand for an attempt, or may just have launched it without this actor
        having heard of it: that attempt's number is not used again.
        """
        if self.phase in TERMINAL_PHASES:  # stored, but not delivered
            self.tell("scheduler", self._outcome(self.phase, self._result))
            return
        if self._demanded and self.phase in {P.WAITING, P.BACKING_OFF}:
            self.tell("offers", m.Withdraw(attempt_id(self.spec.task_id, self._demanded)))
            self.attempt = max(self.attempt, self._demanded)
            if self.phase is P.WAITING:
                self._next_attempt()
        if self.phase is P.WITHDRAWING:
            self._enter(E.WITHDRAWN)
        elif self.phase in _RESUME:
            _RESUME[self.phase](self)

    @property
    def phase(self) -> TaskPhase:
        return self._life.state

    @receive
    def handle_news_of_the_broker(
        self, news: m.Launched | m.NotLaunched | m.LaunchRefused | m.LaunchUncertain | m.Withdrawn
    ) -> None:
        if news.attempt_id != self.mesos_id:
            return
        if isinstance(news, m.Launched):
            self.agent_id, self.executor_id = news.agent_id, news.executor_id
        elif isinstance(news, m.NotLaunched):
            self._note = Note(message=news.reason)
        elif isinstance(news, m.LaunchRefused):
            self._note = Note(message=f"the master refuses its launch: {news.reason}")
        self._enter(_NEWS_OF_THE_BROKER[type(news)])

    @receive
    def handle_broker_restarted(self, _news: m.BrokerRestarted) -> None:
        self._enter(E.BROKER_RESTARTED)

    @receive
    def handle_cannot_launch(self, told: m.CannotLaunch) -> None:
        self._note = Note(message=told.reason)
        self._enter(E.FAILED_LAST)

    @receive
    def handle_kill_task(self, asked: m.KillTask) -> None:
        self._grace = asked.grace
        self._enter(E.KILL_ASKED)

    @receive
    def handle_move_task(self, asked: m.MoveTask) -> None:
        """End the attempt, to run the task elsewhere; no failure of the task's."""
        if asked.agent_id == self.agent_id:
            self._moved = asked.reason
            self._enter(E.MOVE_ASKED)

    @receive
    def handle_update(self, update: events.Update) -> None:
        status = update.status
        if status.task_id != self.mesos_id:
            self._old_attempt(status)
            return
        if status.uuid and status.uuid == self._last_uuid:
            self._acknowledge_again(status)
            return
        # What is the same already stays: tasks share the text.
        if status.agent_id is not None and status.agent_id != self.agent_id:
            self.agent_id = status.agent_id
        if status.executor_id is not None and status.executor_id != self.executor_id:
            self.executor_id = status.executor_id
        if _is_hearsay(status):
            return
        self._note = Note(status.state.value, status.reason, status.message)
        event, result = self._classify(status)
        self._enter(event, status=status, result=result)

    @receive
    def handle_stored(self, stored: m.Stored) -> None:
        status, done = self._writes.answered(stored) or (None, None)
        if status is not None:
            self._acknowledge(status)
        if done is not None and self._result_id:
            self.ref("scheduler").tell_caused(done, self._result_id)
        elif done is not None:
            self.tell("scheduler", done)

    @receive
    def handle_write_refused(self, refused: m.WriteRefused) -> None:
        """The result can never be stored: the task has failed, and that is stored instead."""
        status, done = self._writes.answered(refused) or (None, None)
        if done is not None:
            if done.phase is not P.FAILED:  # else it has a reason already
                self._note = Note(done.state, "", refused.reason)
            self._enter(E.RESULT_REFUSED, status=status)

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        """A KILL or an acknowledgement was not taken: KILL has its timer, and the agent sends the update again.

        If the master itself refuses it, doing it again may not help, and the author is told.
        """
        if failed.status:
            self.tell("scheduler", failed)

    @receive
    def handle_task_due(self, due: TaskDue) -> None:
        if due.attempt != self.attempt:
            return
        event = due.event
        if event is E.RUN_TIMED_OUT:
            self._timed_out = self._run_watched = self.phase is P.RUNNING
            if not self._run_watched:  # it counts from when the attempt runs again
                self._running_since = None
        elif event is E.LOST_RETRY:  # unreachable for too long; should it come back, it is killed
            if self.phase is not P.UNREACHABLE:
                return
            self._note = Note("TASK_UNREACHABLE", "", f"unreachable for {self.spec.unreachable_timeout:g} s")
            event = self._lost()
        self._enter(event)

    def _classify(self, status: TaskStatus) -> tuple[TaskEvent, bytes]:
        event = EVENT_OF_STATE[status.state]
        if event is E.FINISHED:
            if self.spec.executor and status.data:
                try:
                    self._result_id = unpack(status.data).id
                except DecodeError as error:
                    self._note = Note(status.state.value, "", f"the result cannot be read: {error}")
                    return self._failed(status), b""
            return event, status.data
        if event not in {E.FAILED_RETRY, E.LOST_RETRY}:
            return event, status.data
        killed = status.state is TaskState.TASK_KILLED
        unasked = self.phase not in {P.KILLING, P.WITHDRAWING}
        if self._moved and (killed or event is E.FAILED_RETRY) and unasked:
            why = DRAINING if status.reason == DRAINING else MOVED
            self._note = Note(status.state.value, why, f"moved: {self._moved}")
            return E.LOST_RETRY, b""
        no_sandbox = not killed and NO_SANDBOX in status.message
        if event is E.FAILED_RETRY or no_sandbox or (killed and self._timed_out):
            if self._timed_out:
                why = f"ran for longer than {self.spec.timeout:g} s"
                self._note = Note(status.state.value, "timeout", why)
            return self._failed(status), status.data
        if killed and unasked:
            said = f": {status.message}" if status.message else ""
            self._note = Note(status.state.value, status.reason, f"killed from outside{said}")
        return self._lost(), b""

    def _failed(self, status: TaskStatus) -> TaskEvent:
        never = status.label(RETRY_LABEL) == "false"
        if self.phase in ON_CLUSTER | {P.WAITING}:
            self._count(lost=False)
        return E.FAILED_LAST if never or self.failures >= self.spec.retry.attempts else E.FAILED_RETRY

    def _lost(self) -> TaskEvent:
        self._count(lost=True)
        return E.LOST_LAST if self.losses > self.spec.retry.losses else E.LOST_RETRY

    def _count(self, *, lost: bool) -> None:
        """Count a failure or a loss; where the policy says within which time, those before that no longer count."""
        within = self.spec.retry.within
        if within is None:
            self.failures += not lost
            self.losses += lost
            return
        now = self.clock.time()
        self._setbacks = (*(each for each in self._setbacks if now - each[0] < within), (now, lost))
        self.losses = sum(was_lost for _, was_lost in self._setbacks)
        self.failures = len(self._setbacks) - self.losses

    def _old_attempt(self, status: TaskStatus) -> None:
        """An attempt that was given up says something: end it if it lives, and let the agent forget it."""
        if not is_terminal(status.state) and status.state is not TaskState.TASK_UNREACHABLE:
            self.tell("connection", m.Kill(status.task_id, status.agent_id))
        self._acknowledge_again(status)

    def _enter(self, event: TaskEvent, *, status: TaskStatus | None = None, result: bytes = b"") -> None:
        before = self.phase
        phase, actions, ignored = self._life.on(event)
        if ignored:
            if status is not None:
                self._acknowledge_again(status)
            return
        if before is not phase:
            self._due = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        done: m.TaskDone | None = None
        for action in actions:
            if action is TaskAction.DONE:
                done = self._outcome(phase, result)
            else:
                _CARRY_OUT[action](self)
        # An answer that says what is known needs no record: after a restart all tasks get one at the same time.
        heard = status is not None and (status.uuid or before is not phase or self.spec.timeout)
        if heard or done is not None or phase in {P.BACKING_OFF, P.WITHDRAWING, P.KILLING}:
            self._store(status, done, result if phase in TERMINAL_PHASES else b"")
        if (before is not phase or status is not None) and phase not in TERMINAL_PHASES:
            self._tell_change(status)  # the outcome is reported by `TaskDone`, once it is stored

    def _store(self, status: TaskStatus | None, done: m.TaskDone | None, result: bytes) -> None:
        if status is not None and status.uuid:
            self._last_uuid = status.uuid
        progress = TaskProgress(
            self.attempt,
            self.phase,
            self.failures,
            self.losses,
            *self._note,
            result,
            self._last_uuid,
            self.agent_id,
            self.executor_id,
            killed=self.phase in {P.KILLING, P.KILLED, P.WITHDRAWING},
            running_since=self._running_since,
            due=self._due,
            setbacks=self._setbacks,
        )
        then = None if status is None and done is None else (status, done)
        self._writes.store(PROGRESS.record(self.spec.task_id, progress), then=then)

    def _acknowledge(self, status: TaskStatus) -> None:
        if status.uuid and status.agent_id is not None:
            self.tell("connection", m.Acknowledge(status.agent_id, status.task_id, status.uuid))

    def _acknowledge_again(self, status: TaskStatus) -> None:
        """Acknowledge an update that changes nothing; one that has come before may still wait to be stored, and so has to wait."""
        waiting = (before for before, _ in self._writes.waiting.values() if before is not None)
        if all(before.uuid != status.uuid for before in waiting):
            self._acknowledge(status)

    def _tell_change(self, status: TaskStatus | None = None) -> None:
        which = self.spec.task_id, self.mesos_id, self._attempts, self.phase
        data = status.data if status is not None else b""
        self.tell("scheduler", m.TaskChanged(*which, *self._note, self.agent_id, self.executor_id, data))

    def _outcome(self, phase: TaskPhase, result: bytes) -> m.TaskDone:
        spec = self.spec
        what = spec.task_id, spec.name, phase, self._attempts, spec.payload, result, spec.executor
        return m.TaskDone(*what, *self._note, self.agent_id, self.executor_id, self.attempt)

    @property
    def _attempts(self) -> int:
        return self.attempt - self.spec.first_attempt + 1

    def _demand(self) -> None:
        self.tell("offers", demand_of(self.spec, self.attempt))

    def _withdraw(self) -> None:
        self.tell("offers", m.Withdraw(self.mesos_id))

    def _kill(self) -> None:
        grace = self._grace
        self.tell("connection", m.Kill(self.mesos_id, self.agent_id, grace))
        patience = self.spec.kill_grace if grace is None else grace
        self._kills += 1
        self._set_timer(KILL_AGAIN.delay(self._kills) + patience, E.KILL_DUE)

    def _reconcile(self) -> None:
        self.tell("reconciler", m.Suspect(self.mesos_id, self.agent_id))
        self._await_news()

    def _await_news(self) -> None:
        self._set_timer(self.spec.launch_timeout, E.LAUNCH_TIMED_OUT)

    def _watch_run(self) -> None:
        if self.spec.timeout and not self._run_watched:
            self._run_watched = True
            now = self.clock.time()
            if self._running_since is None:
                self._running_since = now
            left = self.spec.timeout - (now - self._running_since)
            due = TaskDue(self.attempt, E.RUN_TIMED_OUT)
            self.timers.after(min(max(left, 0.0), self.spec.timeout), due)
        if (self._timed_out or self._moved) and self._timer is None:
            self._kill()  # it has come back from a partition, or has just begun: the KILL may not have reached it

    def _watch_partition(self) -> None:
        if self._timer is None:  # reconciliation tells it repeatedly
            longest = self.spec.unreachable_timeout
            self._wait_until_due(longest, longest, E.LOST_RETRY)

    def _back_off(self) -> None:
        retry, setbacks = self.spec.retry, max(1, self.failures + self.losses)
        wait = retry.delay(setbacks, self.ids.uniform(0.0, 1.0))
        self._wait_until_due(wait, retry.delay(setbacks, 1.0), E.RETRY_DUE)

    def _wait_until_due(self, wait: float, longest: float, event: TaskEvent) -> None:
        """Begin a wait; after a restart go on with it, no longer than it can be where somebody has set the clock."""
        now = self.clock.time()
        if self._due is None:
            self._due = now + wait
        self._set_timer(min(max(self._due - now, 0.0), longest), event)

    def _next_attempt(self) -> None:
        self.attempt += 1
        self.mesos_id = attempt_id(self.spec.task_id, self.attempt)
        self.agent_id = self.executor_id = None
        self._timed_out = self._run_watched = False
        self._running_since = None
        self._moved = ""
        self._kills = 0
        self._last_uuid = b""

    def _set_timer(self, seconds: float, event: TaskEvent) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.timers.after(seconds, TaskDue(self.attempt, event))


def _is_hearsay(status: TaskStatus) -> bool:
    """Whether the master says that the attempt has ended of itself, which its agent has yet to tell.

    What it answers to a RECONCILE, or says when an agent comes back, has neither the result nor the labels. The update that
    has them is not acknowledged (or it would be known here), so the agent sends it until it is; should the agent be lost,
    the next answer says so.
    """
    if status.uuid or status.reason not in _OF_THE_MASTER:
        return False
    by_itself = EVENT_OF_STATE[status.state] in {E.FINISHED, E.FAILED_RETRY}
    return by_itself or status.state is TaskState.TASK_KILLED


_OF_THE_MASTER = frozenset({"REASON_RECONCILIATION", "REASON_AGENT_REREGISTERED"})

_NEWS_OF_THE_BROKER: Mapping[type, TaskEvent] = {
    m.Launched: E.LAUNCHED,
    m.NotLaunched: E.NOT_LAUNCHED,
    m.LaunchRefused: E.FAILED_LAST,
    m.LaunchUncertain: E.LAUNCH_TIMED_OUT,
    m.Withdrawn: E.WITHDRAWN,
}
_RESUME: Mapping[TaskPhase, Callable[[TaskActor], None]] = {
    P.WAITING: TaskActor._demand,
    P.BACKING_OFF: TaskActor._back_off,
    P.KILLING: TaskActor._kill,
    P.LAUNCHING: TaskActor._await_news,
    P.RUNNING: TaskActor._watch_run,
}
_CARRY_OUT: Mapping[TaskAction, Callable[[TaskActor], None]] = {
    action: getattr(TaskActor, f"_{action.name.lower()}")
    for action in TaskAction
    if action is not TaskAction.DONE
}
