"""Offers in hand: the classical callbacks of a Mesos scheduler, for an author who does without the broker.

Nothing is matched, retried or reconciled here: offers are the author's until accepted, declined or rescinded. What is kept is
what a scheduler cannot do wrong: the connection with all its guarantees, the framework's id in the store, acknowledgement of
an update after its callback has returned, and containment of what a callback raises (the agent sends such an update again).
The callbacks are those of Mesos's "Framework Development Guide", the commands the calls of the Scheduler HTTP API one to one.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actors import messages as m
from actors.framework_settings import Composition
from actors.messages import OPERATION_PREFIX, Registered
from actors.operation_actor import OperationActor
from actors.records import (
    ENDED_PHASES,
    OPERATION,
    PHASE_OF_STATE,
    OperationHistory,
    OperationPhase,
    OperationRecord,
)
from actors.runtime import ActorRef, ChildFailed, receive
from actors.scheduler.base_scheduler import BaseScheduler
from actors.scheduler.launching import check_texts
from mesos_v1 import events, pb
from mesos_v1.offer_operations import launch
from mesos_v1.resources import Resources
from mesos_v1.states import TaskState
from mesos_v1.values import (
    AgentId,
    ExecutorId,
    InverseOffer,
    Offer,
    OfferId,
    OperationId,
    OperationStatus,
    TaskId,
    TaskStatus,
)

logger = logging.getLogger("actors.scheduler")

_ACTIVE: Mapping[TaskState, m.TaskPhase] = {
    TaskState.TASK_STAGING: m.TaskPhase.STAGING,
    TaskState.TASK_STARTING: m.TaskPhase.RUNNING,
    TaskState.TASK_RUNNING: m.TaskPhase.RUNNING,
    TaskState.TASK_KILLING: m.TaskPhase.KILLING,
    TaskState.TASK_UNREACHABLE: m.TaskPhase.UNREACHABLE,
}


class LowLevelScheduler(BaseScheduler):
    """Base class of a scheduler with offers in hand; see the head of this module.

    Attributes:
        explicit_acknowledgements: set it in a subclass to acknowledge updates yourself, with `acknowledge`.
    """

    # --- callbacks for authors --------------------------------------------------------------------------------

    def registered(self, event: Registered) -> Any:
        """The framework is subscribed for the first time."""

    def reregistered(self, event: Registered) -> Any:
        """The framework is subscribed again; offers from before are void. Reconcile here."""

    def disconnected(self, event: m.Disconnected) -> Any:
        """The subscription is gone; it comes back by itself."""

    def resource_offers(self, offers: tuple[Offer, ...]) -> Any:
        """Offers: accept or decline each of them soon. The default declines."""
        self.decline([offer.id for offer in offers])

    def offer_rescinded(self, offer_id: OfferId) -> Any:
        """An offer is void."""

    def inverse_offers(self, offers: tuple[InverseOffer, ...]) -> Any:
        """The operator wants resources back: accept only what will be free in time. The default declines."""
        self.decline_inverse_offers([offer.id for offer in offers], 60.0)

    def inverse_offer_rescinded(self, offer_id: OfferId) -> Any:
        """An inverse offer is void."""

    def status_update(self, status: TaskStatus) -> Any:
        """News of a task; acknowledged when this returns, and sent again when it raises."""

    def operation_update(self, status: OperationStatus) -> Any:
        """News of an operation; acknowledged when this returns, and sent again when it raises."""

    def operation_done(self, operation_id: OperationId, phase: str) -> Any:
        """The outcome of an operation with an id, whether an update told it or not: "finished", "failed", "lost"."""

    def framework_message(self, agent_id: AgentId, executor_id: ExecutorId, data: bytes) -> Any:
        """An executor has sent bytes, best effort."""

    def executor_lost(self, lost: m.ExecutorLost) -> Any:
        """An executor has gone."""

    def agent_lost(self, lost: m.AgentLost) -> Any:
        """An agent has gone."""

    def call_failed(self, failed: m.CallFailed) -> Any:
        """A call was not taken; `failed.call` is what it was, `failed.uncertain` whether it may have had its effect."""

    def error(self, message: str) -> Any:
        """The master refuses the framework; it ends after this."""

    def on_error(self, message: str) -> Any:
        """Likewise for what is wrong on our own side; by default the same callback."""
        return self.error(message)

    _hooks = BaseScheduler._hooks | {name for name in locals() if not name.startswith("_")}
    _offers_to = "scheduler"
    explicit_acknowledgements = False

    def __init__(self, composition: Composition, settings: Any = None) -> None:
        super().__init__(composition, settings)
        self._in_handover = False
        self._active: dict[TaskId, m.TaskPhase] = {}
        self._operations: dict[OperationId, tuple[ActorRef[OperationActor], m.Accept | None]] = {}
        self._untold_outcomes: dict[OperationId, m.OperationDone] = {}

    # --- commands for authors: the calls of the API. An id that cannot be sent is a ValueError ------------------

    def accept(
        self,
        offer_ids: Sequence[OfferId],
        operations: Iterable[pb.mesos.Offer.Operation] = (),
        refuse_seconds: float = 5.0,
    ) -> None:
        """Use offers of one agent by operations, applied in this order; each sees what the ones before it left.

        Args:
            operations: see `mesos_v1.offer_operations` for all of them. One with an id is followed to its outcome:
                reconciled when nothing is heard of it, also by a later run of the scheduler if the store is durable, then
                told by `operation_done`.
            refuse_seconds: how long what is left over stays away.
        """
        listed = list(operations)
        packed = tuple(operation.SerializeToString() for operation in listed)
        call = m.Accept(tuple(offer_ids), packed, refuse_seconds)
        check_texts(call)
        followed = [OperationId(operation.id.value) for operation in listed if operation.HasField("id")]
        for operation_id in followed:
            self._follow_operation(operation_id, call=call)
        if followed:  # a scheduler that starts again is to know what it has to ask about
            known = [OperationRecord(operation_id, None, OperationPhase.SENT) for operation_id in followed]
            self._writes.store(*(OPERATION.record(each.operation_id, each) for each in known), then=call)
        else:
            self.tell("connection", call)

    def launch_tasks(
        self, offer_ids: Sequence[OfferId], tasks: Iterable[pb.mesos.TaskInfo], refuse_seconds: float = 5.0
    ) -> None:
        """Launch tasks on offers of one agent."""
        self.accept(offer_ids, [launch(tasks)], refuse_seconds)

    def decline(self, offer_ids: Iterable[OfferId], refuse_seconds: float = 5.0) -> None:
        """Give offers back."""
        self._send_call(m.Decline(tuple(offer_ids), refuse_seconds))

    def accept_inverse_offers(self, offer_ids: Iterable[OfferId]) -> None:
        """Promise to be gone in time."""
        self._send_call(m.AcceptInverseOffers(tuple(offer_ids)))

    def decline_inverse_offers(self, offer_ids: Iterable[OfferId], refuse_seconds: float = 5.0) -> None:
        """Say that it cannot be done in time."""
        self._send_call(m.DeclineInverseOffers(tuple(offer_ids), refuse_seconds))

    def kill(self, task_id: TaskId, agent_id: AgentId | None = None, grace: float | None = None) -> None:
        """Kill a task, within `grace` seconds if given."""
        self._send_call(m.Kill(task_id, agent_id, grace))

    def shutdown_executor(self, executor_id: ExecutorId, agent_id: AgentId) -> None:
        """End an executor and its tasks."""
        self._send_call(m.ShutdownExecutor(executor_id, agent_id))

    def acknowledge(self, status: TaskStatus) -> None:
        """Acknowledge an update, with explicit acknowledgements; one without a uuid needs none."""
        if status.uuid and status.agent_id is not None:
            self._send_call(m.Acknowledge(status.agent_id, status.task_id, status.uuid))

    def acknowledge_operation(self, status: OperationStatus) -> None:
        """Acknowledge an operation's update, with explicit acknowledgements."""
        self._acknowledge_operation(status)

    def reconcile(self, tasks: Iterable[tuple[TaskId, AgentId | None]] = ()) -> None:
        """Ask for the state of these tasks; of all that the master knows when there are none."""
        self._send_call(m.Reconcile(tuple(tasks)))

    def reconcile_operations(self, operations: Iterable[tuple[OperationId, AgentId | None]] = ()) -> None:
        """Ask for the state of these operations; of all that the master knows when there are none."""
        self._send_call(m.ReconcileOperations(tuple(operations)))

    def send_message(self, agent_id: AgentId, executor_id: ExecutorId, data: bytes) -> None:
        """Send bytes to an executor, best effort."""
        self._send_call(m.SendMessage(agent_id, executor_id, data))

    def revive(self, roles: Iterable[str] = ()) -> None:
        """Ask for offers again, and forget refusals."""
        self._send_call(m.Revive(tuple(roles)))

    def suppress(self, roles: Iterable[str] = ()) -> None:
        """Ask for no more offers."""
        self._send_call(m.Suppress(tuple(roles)))

    def request(self, requests: Iterable[tuple[AgentId | None, Resources]]) -> None:
        """Wish for resources; Mesos's own allocator ignores it."""
        self._send_call(m.RequestResources(tuple(requests)))

    def update_framework(
        self,
        info: pb.mesos.FrameworkInfo,
        suppressed_roles: Iterable[str] | None = None,
        offer_constraints: pb.scheduler.OfferConstraints | None = None,
    ) -> None:
        """Change what the master knows of the framework; start from `actors.connection.calls.framework_info`.

        Later subscriptions say the same. Mesos replaces everything that UPDATE_FRAMEWORK may hold, so what is left out here
        is said again as it is.

        Args:
            suppressed_roles: the roles that get no offers; if left out, those that are suppressed.
            offer_constraints: which offers are wanted; if left out, as before. An empty one lifts all.
        """
        roles = None if suppressed_roles is None else tuple(suppressed_roles)
        constraints = None if offer_constraints is None else offer_constraints.SerializeToString()
        self._send_call(m.UpdateFramework(info.SerializeToString(), roles, constraints))

    def _send_call(self, call: m.Call) -> None:
        check_texts(call)
        self.tell("connection", call)

    def _follow_operation(
        self, operation_id: OperationId, agent_id: AgentId | None = None, *, call: m.Accept | None = None
    ) -> None:
        if operation_id in self._operations:
            raise ValueError(f"there is an operation {operation_id} already")
        history = OperationHistory(operation_id, agent_id=agent_id)
        ref = self.spawn(OperationActor, history, name=f"{OPERATION_PREFIX}{operation_id}")
        self._operations[operation_id] = (ref, call)

    def _phases(self) -> tuple[tuple[str, int], ...]:
        return tuple(sorted(Counter(phase.value for phase in self._active.values()).items()))

    async def _take_over(self, facts: Mapping[str, str], records: tuple[m.Record, ...]) -> None:
        self._in_handover = "id" in facts
        for operation in OPERATION.read(records).values():
            if operation.phase in ENDED_PHASES:
                done = m.OperationDone(operation.operation_id, operation.phase.value)
                self._untold_outcomes[operation.operation_id] = done
            else:
                self._follow_operation(operation.operation_id, operation.agent_id)

    def _subscribe_as_new(self) -> None:
        self._in_handover = False
        self._active.clear()
        super()._subscribe_as_new()

    @receive
    def handle_subscribed(self, news: m.Subscribed) -> Any:
        self._subscribed, self._offered = True, False
        if self._only_ends(news):
            return None
        for ref, _ in self._operations.values():
            self.tell(ref, news)
        for done in self._untold_outcomes.values():
            self.tell(self.actor_ref, done)
        again, self._announced = self._announced or self._in_handover, True
        hook = self.reregistered if again else self.registered
        return self._call(hook, Registered(news.framework_id, news.master))

    @receive
    def handle_disconnected(self, news: m.Disconnected) -> Any:
        self._subscribed = False
        return self._call(self.disconnected, news)

    @receive
    def handle_offers(self, arrived: events.Offers) -> Any:
        """Give offers to the author; if the callback raises, they go back, so that none is leaked."""
        self._offered = True
        given = [offer.id for offer in arrived.offers]
        return self._call_then(self.resource_offers, arrived.offers, if_raised=lambda: self.decline(given))

    @receive
    def handle_rescind(self, rescinded: events.Rescind) -> Any:
        return self._call(self.offer_rescinded, rescinded.offer_id)

    @receive
    def handle_inverse_offers(self, arrived: events.InverseOffers) -> Any:
        return self._call(self.inverse_offers, arrived.offers)

    @receive
    def handle_rescind_inverse_offer(self, rescinded: events.RescindInverseOffer) -> Any:
        return self._call(self.inverse_offer_rescinded, rescinded.offer_id)

    @receive
    def handle_update(self, update: events.Update) -> Any:
        phase = _ACTIVE.get(update.status.state)
        if phase is not None:
            self._active[update.status.task_id] = phase
        else:
            self._active.pop(update.status.task_id, None)

        def told() -> None:
            if not self.explicit_acknowledgements:
                self.acknowledge(update.status)

        return self._call_then(self.status_update, update.status, then=told)

    def _operation_stored(self, status: OperationStatus) -> Any:
        known = self._operations.get(status.operation_id) if status.operation_id else None
        if known is not None:
            self.tell(known[0], events.UpdateOperationStatus(status))

        def told() -> None:
            if not self.explicit_acknowledgements:
                self._acknowledge_operation(status)
            if known is None and PHASE_OF_STATE[status.state] in ENDED_PHASES:
                self._forget_operation(status.operation_id)

        return self._call_then(self.operation_update, status, then=told)  # else it comes again

    @receive
    def handle_message(self, arrived: events.Message) -> Any:
        return self._call(self.framework_message, arrived.agent_id, arrived.executor_id, arrived.data)

    @receive
    def handle_executor_lost(self, lost: m.ExecutorLost) -> Any:
        return self._call(self.executor_lost, lost)

    @receive
    def handle_agent_lost(self, lost: m.AgentLost) -> Any:
        return self._call(self.agent_lost, lost)

    @receive
    def handle_call_failed(self, failed: m.CallFailed) -> Any:
        for ref, call in self._operations.values():
            if call == failed.call:
                self.tell(ref, failed)
        return self._call(self.call_failed, failed)

    @receive
    def handle_child_failed(self, failure: ChildFailed) -> Any:
        """The outcome of an operation whose actor failed will never be known: report it as lost."""
        if failure.name.startswith(OPERATION_PREFIX):
            operation_id = OperationId(failure.name.removeprefix(OPERATION_PREFIX))
            self.tell(self.actor_ref, m.OperationDone(operation_id, OperationPhase.LOST.value))
        return super().handle_child_failed(failure)

    @receive
    def handle_operation_done(self, done: m.OperationDone) -> Any:
        """Tell the author the outcome, and forget the operation; if the callback raises, the next run tells it."""
        known = self._operations.pop(done.operation_id, None)
        if known is not None:
            known[0].stop(block=False)
        elif self._untold_outcomes.pop(done.operation_id, None) is None:
            return None
        told, name = self.operation_done, done.operation_id
        return self._call_then(told, name, done.phase, then=lambda: self._forget_operation(name))

    @receive
    async def handle_framework_error(self, error: m.FrameworkError) -> None:
        """Tell the author and end; only after a framework of an earlier run is gone, begin as a new one."""
        await self._called(self.error, error.reason)
        if error.framework_gone and self._in_handover and not self._announced and not self._over:
            logger.warning(
                "framework %s of an earlier run is gone; subscribing as a new one", self.framework_id
            )
            self._subscribe_as_new()
        else:
            self._end(1, f"the master refuses the framework: {error.reason}")
