"""One offer operation with an id: one actor, from its ACCEPT to its outcome, with reconciliation when nothing is heard.

Storing, telling and acknowledging are the scheduler's business, in that order; this actor sees to it that an outcome comes at
all: an ACCEPT that was lost, an agent that is away, an update that never came.
"""

from actors import messages as m
from actors.records import PHASE_OF_STATE
from actors.runtime import Actor, Backoff, Timer, message, receive
from actors.runtime.state_machine import Machine
from actors.states import OPERATION, OperationAction, OperationEvent
from mesos_v1 import events
from mesos_v1.values import AgentId, OperationId

WAITS = Backoff(10.0, 2.0, 300.0)

E = OperationEvent


@message
class OperationOverdue:
    """Nothing was heard of the operation since."""

    asked: int


class OperationActor(Actor):
    """Brings one operation to its outcome; see the head of this module."""

    def __init__(self, operation_id: OperationId, agent_id: AgentId | None) -> None:
        self.operation_id = operation_id
        self.agent_id = agent_id
        self._life = Machine(OPERATION)
        self._asked = 0
        self._waits = 0
        self._timer: Timer | None = None

    def on_start(self) -> None:
        """Wait for news."""
        self._wait()

    @receive
    def handle_update_operation_status(self, update: events.UpdateOperationStatus) -> None:
        if update.status.agent_id is not None:
            self.agent_id = update.status.agent_id
        self._enter(OperationEvent[PHASE_OF_STATE[update.status.state].name])

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        if isinstance(failed.call, m.Accept):
            self._enter(E.UNCERTAIN if failed.uncertain else E.NOT_SENT)

    @receive
    def handle_subscribed(self, _news: m.Subscribed) -> None:
        self._enter(E.RESUBSCRIBED)

    @receive
    def handle_operation_overdue(self, due: OperationOverdue) -> None:
        if due.asked == self._asked:
            self._enter(E.OVERDUE)

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
            match action:
                case OperationAction.RECONCILE:
                    self.tell("connection", m.ReconcileOperations(((self.operation_id, self.agent_id),)))
                case OperationAction.WAIT:
                    self._wait()
                case OperationAction.DONE:
                    self.tell("scheduler", m.OperationDone(self.operation_id, phase.value))

    def _wait(self) -> None:
        self._asked += 1
        self._waits += 1
        self._timer = self.timers.after(WAITS.delay(self._waits), OperationOverdue(self._asked))
