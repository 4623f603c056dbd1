"""One offer operation with an id: one actor, from the wish (or the author's own ACCEPT) to its outcome.

Storing news, acknowledging and telling the author are the scheduler's business, in that order; this actor sees to it that an
outcome comes at all: an ACCEPT that was lost, an agent that is away, an update that never came. What the author asked for
without an offer in hand waits with the broker, and is sent again when it came to nothing: each time under an id of its own,
as a task's attempts, so that late news of an old attempt cannot be mistaken for news of this one.
"""

from collections.abc import Callable, Mapping

from actors import messages as m
from actors.records import (
    ENDED_PHASES,
    PHASE_OF_STATE,
    OperationHistory,
    OperationPhase,
    attempt_id,
    split_attempt_id,
)
from actors.runtime import Actor, Backoff, Timer, message, receive
from actors.runtime.state_machine import Machine
from actors.states import OPERATION, OperationAction, OperationEvent
from mesos_v1 import events
from mesos_v1.states import OperationState
from mesos_v1.values import OperationId, OperationStatus, TaskId

WAITS = Backoff(10.0, 2.0, 300.0)
AGAIN = Backoff(1.0, 2.0, 60.0)  # the waits before what came to nothing is sent again

OFFERS_GONE = "Operation attempted with invalid offers"
"""What the master says, with OPERATION_ERROR, of an ACCEPT whose offers it had taken back: nothing is wrong with the operation."""
_FREES = frozenset({m.ChangeKind.UNRESERVE, m.ChangeKind.DESTROY_VOLUME})

E = OperationEvent


@message
class OperationDue:
    """The time for something has come, if nothing has happened since."""

    event: OperationEvent
    asked: int


class OperationActor(Actor):
    """Brings one operation to its outcome; see the head of this module."""

    def __init__(self, history: OperationHistory) -> None:
        self.operation_id, self.spec, self.agent_id = history.operation_id, history.spec, history.agent_id
        self.attempt = 1 if self.spec is not None else 0
        self._intent = history.intent
        self._life = Machine(OPERATION, OperationPhase.SENT if self.spec is None else OperationPhase.WAITING)
        if history.intent is not None and (split := split_attempt_id(history.intent.attempt_id)) is not None:
            self.attempt = split[1]
            self._life = Machine(OPERATION, OperationPhase.SENT)
        self._said = history.status
        self._said_state, self._why = "", ""
        self._asked = 0
        self._waits = 0
        self._retries = 0
        self._timer: Timer | None = None

    @property
    def mesos_id(self) -> OperationId:
        """The id by which Mesos knows it, or its present attempt."""
        if self.spec is None:
            return self.operation_id
        return OperationId(attempt_id(TaskId(self.operation_id), self.attempt))

    def on_start(self) -> None:
        """Demand; or wait for news; or take in what was stored and not delivered."""
        if self._life.state is OperationPhase.WAITING:
            self._demand()
        elif self._said is not None and PHASE_OF_STATE[self._said.state] in ENDED_PHASES:
            self._take_in(self._said)
        else:
            self._wait()

    @receive
    def handle_news_of_the_broker(
        self, news: m.Launched | m.NotLaunched | m.LaunchRefused | m.LaunchUncertain | m.Withdrawn
    ) -> None:
        if news.attempt_id != TaskId(self.mesos_id):
            return
        if isinstance(news, m.Launched):
            self._intent, self.agent_id = news, news.agent_id
        elif isinstance(news, m.LaunchRefused):
            self._why = f"the master refuses it: {news.reason}"
        elif isinstance(news, m.Withdrawn):
            self._why = "cancelled"
        self._enter(_NEWS_OF_THE_BROKER[type(news)])

    @receive
    def handle_broker_restarted(self, _news: m.BrokerRestarted) -> None:
        self._why = "cancelled" if self._life.state is OperationPhase.WITHDRAWING else ""
        self._enter(E.BROKER_RESTARTED)

    @receive
    def handle_cancel_operation(self, _asked: m.CancelOperation) -> None:
        self._why = "cancelled" if self._life.state is OperationPhase.BACKING_OFF else self._why
        self._enter(E.CANCELLED)

    @receive
    def handle_update_operation_status(self, update: events.UpdateOperationStatus) -> None:
        if update.status.operation_id == self.mesos_id:  # else of an attempt that was given up
            self._take_in(update.status)

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        if isinstance(failed.call, m.Accept):
            self._enter(E.UNCERTAIN if failed.uncertain else E.NOT_SENT)

    @receive
    def handle_subscribed(self, _news: m.Subscribed) -> None:
        self._enter(E.RESUBSCRIBED)

    @receive
    def handle_operation_due(self, due: OperationDue) -> None:
        if due.asked == self._asked:
            self._enter(due.event)

    def _take_in(self, status: OperationStatus) -> None:
        if status.agent_id is not None:
            self.agent_id = status.agent_id
        self._said_state, self._why = status.state.value, status.message
        phase = PHASE_OF_STATE[status.state]
        event = OperationEvent[phase.name]
        if self.spec is not None:
            if phase is OperationPhase.LOST or status.message.startswith(OFFERS_GONE):
                event = E.LOST_RETRY
            if status.state is OperationState.OPERATION_GONE_BY_OPERATOR:
                event = self._gone_with_its_agent()
        self._enter(event)

    def _gone_with_its_agent(self) -> OperationEvent:
        """What it means that an operator has declared the agent gone for good."""
        assert self.spec is not None
        if self.spec.change.kind in _FREES:
            return E.FINISHED  # there is nothing left to free
        makes = self.spec.change.kind in {m.ChangeKind.RESERVE, m.ChangeKind.CREATE_VOLUME}
        return E.LOST_RETRY if makes and self.spec.agent_id is None else E.FAILED

    def _enter(self, event: OperationEvent) -> None:
        before = self._life.state
        phase, actions, ignored = self._life.on(event)
        if ignored:
            return
        if before is not phase:
            self._waits = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for action in actions:
            _CARRY_OUT[action](self)

    def _demand(self) -> None:
        assert self.spec is not None
        spec, me = self.spec, TaskId(self.operation_id)
        what = spec.role, spec.resources, 0, "", b"", spec.hosts, spec.attributes
        where = {"agent_id": spec.agent_id, "change": spec.change}
        self.tell("offers", m.Demand(me, TaskId(self.mesos_id), spec.order, *what, **where))  # type: ignore[arg-type]

    def _withdraw(self) -> None:
        self.tell("offers", m.Withdraw(TaskId(self.mesos_id)))

    def _next_attempt(self) -> None:
        self.attempt += 1
        self._intent = None

    def _back_off(self) -> None:
        self._retries += 1
        self._set_timer(AGAIN.delay(self._retries), E.RETRY_DUE)

    def _reconcile(self) -> None:
        self.tell("connection", m.ReconcileOperations(((self.mesos_id, self.agent_id),)))

    def _wait(self) -> None:
        self._waits += 1
        self._set_timer(WAITS.delay(self._waits), E.OVERDUE)

    def _set_timer(self, seconds: float, event: OperationEvent) -> None:
        self._asked += 1
        self._timer = self.timers.after(seconds, OperationDue(event, self._asked))

    def _done(self) -> None:
        phase, intent = self._life.state, self._intent
        finished = phase is OperationPhase.FINISHED and intent is not None
        self.tell(
            "scheduler",
            m.OperationDone(
                self.operation_id,
                phase.value,
                self.attempt,
                intent.holding if finished and intent is not None else None,
                self.agent_id,
                intent.hostname if intent is not None else "",
                self._said_state,
                self._why,
            ),
        )


_NEWS_OF_THE_BROKER: Mapping[type, OperationEvent] = {
    m.Launched: E.LAUNCHED,
    m.NotLaunched: E.NOT_SENT_RETRY,
    m.LaunchRefused: E.FAILED,
    m.LaunchUncertain: E.UNCERTAIN,
    m.Withdrawn: E.WITHDRAWN,
}
_CARRY_OUT: Mapping[OperationAction, Callable[[OperationActor], None]] = {
    action: getattr(OperationActor, f"_{action.name.lower()}") for action in OperationAction
}
