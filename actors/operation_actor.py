"""One offer operation with an id: one actor, from its ACCEPT to its outcome, with reconciliation when nothing is heard.

The rules are the table in `operation_states`. Storing, telling and acknowledging are the scheduler's business, in that
order; this actor sees to it that an outcome comes at all: an ACCEPT that was lost, an agent that is away, an update that never
came.
"""

from __future__ import annotations

from actors import messages as m
from actors.operations.states import Action, OperationEvent, follow
from actors.records.operations import PHASE_OF_STATE, OperationPhase
from actors.runtime import Actor, Timer, message, receive
from mesos_v1 import events
from mesos_v1.values import AgentId, OperationId

FIRST_WAIT = 10.0
LONGEST_WAIT = 300.0

E = OperationEvent


@message
class OperationOverdue:
    """Nothing was heard of the operation since."""

    asked: int


class OperationActor(Actor):
    """Brings one operation to its outcome; see the head of this module."""

    def __init__(self, operation_id: OperationId, agent_id: AgentId | None) -> None:
        super().__init__()
        self.operation_id = operation_id
        self.agent_id = agent_id
        self.phase = OperationPhase.SENT
        self._asked = 0
        self._waits = 0
        self._timer: Timer | None = None

    def on_start(self) -> None:
        """Expect news."""
        self._wait()

    @receive
    def handle_update_operation_status(self, update: events.UpdateOperationStatus) -> None:
        """News of it."""
        if update.status.agent_id is not None:
            self.agent_id = update.status.agent_id
        self._enter(OperationEvent[PHASE_OF_STATE[update.status.state].name])

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> None:
        """Its ACCEPT came to nothing, or perhaps did."""
        if isinstance(failed.call, m.Accept):
            self._enter(E.UNCERTAIN if failed.uncertain else E.NOT_SENT)

    @receive
    def handle_subscribed(self, _news: m.Subscribed) -> None:
        """What was said meanwhile may be lost."""
        self._enter(E.RESUBSCRIBED)

    @receive
    def handle_operation_overdue(self, due: OperationOverdue) -> None:
        """Ask."""
        if due.asked == self._asked:
            self._enter(E.OVERDUE)

    def _enter(self, event: OperationEvent) -> None:
        transition = follow(self.phase, event)
        if transition is None:
            return
        if transition.phase is not self.phase:
            self._waits = 0
        self.phase = transition.phase
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for action in transition.actions:
            if action is Action.RECONCILE:
                self.tell("connection", m.ReconcileOperations(((self.operation_id, self.agent_id),)))
            elif action is Action.WAIT:
                self._wait()
            else:
                self.tell("scheduler", m.OperationDone(self.operation_id, self.phase.value))

    def _wait(self) -> None:
        self._asked += 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(self._waits, 16))
        self._waits += 1
        self._timer = self.timers.after(wait, OperationOverdue(self._asked))
