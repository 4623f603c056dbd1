"""Every call to the master in one table: how its message becomes the call, and whether it is kept while there is no master.

A reader sees here the whole outgoing half of the scheduler API. What a call needs besides (framework id, stream id)
is the connection's to add.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from actors import messages as m
from mesos_v1 import calls, pb


class WhenDisconnected(Enum):
    """What happens to a call that is made while there is no subscription, or that was in flight when it broke."""

    KEEP = "sent with the next subscription"
    EXPIRE = "void with its subscription: reported to its sender, which starts over with the next one"
    REFUSE = "reported to its sender as an error"


class CallRule(NamedTuple):
    """One row: the call's name in Mesos, its builder, and its fate without a subscription."""

    name: str
    build: Callable[[Any], pb.scheduler.Call]
    when_disconnected: WhenDisconnected


def _accept(call: m.Accept) -> pb.scheduler.Call:
    operations = [pb.mesos.Offer.Operation.FromString(operation) for operation in call.operations]
    return calls.accept(call.offer_ids, operations, call.refuse_seconds)


def _kill(call: m.Kill) -> pb.scheduler.Call:
    policy = None
    if call.grace is not None:
        policy = pb.mesos.KillPolicy()
        policy.grace_period.nanoseconds = int(call.grace * 1e9)
    return calls.kill(call.task_id, call.agent_id, policy)


def _acknowledge_operation(call: m.AcknowledgeOperation) -> pb.scheduler.Call:
    return calls.acknowledge_operation_status(
        call.operation_id, call.uuid, call.agent_id, call.resource_provider_id or None
    )


def _update_framework(call: m.UpdateFramework) -> pb.scheduler.Call:
    info = pb.mesos.FrameworkInfo.FromString(call.framework_info)
    constraints = None
    if call.offer_constraints:
        constraints = pb.scheduler.OfferConstraints.FromString(call.offer_constraints)
    return calls.update_framework(info, call.suppressed_roles or (), constraints)


KEEP, EXPIRE, REFUSE = WhenDisconnected.KEEP, WhenDisconnected.EXPIRE, WhenDisconnected.REFUSE

RULES: Mapping[type, CallRule] = {
    # Offers end with their subscription, and with them what was to be done with them.
    m.Accept: CallRule("ACCEPT", _accept, EXPIRE),
    m.Decline: CallRule("DECLINE", lambda c: calls.decline(c.offer_ids, c.refuse_seconds), EXPIRE),
    m.AcceptInverseOffers: CallRule(
        "ACCEPT_INVERSE_OFFERS", lambda c: calls.accept_inverse_offers(c.offer_ids), EXPIRE
    ),
    m.DeclineInverseOffers: CallRule(
        "DECLINE_INVERSE_OFFERS",
        lambda c: calls.decline_inverse_offers(c.offer_ids, c.refuse_seconds),
        EXPIRE,
    ),
    # SUBSCRIBE says which roles are suppressed; the broker says again what it wants.
    m.Revive: CallRule("REVIVE", lambda c: calls.revive(c.roles), EXPIRE),
    m.Suppress: CallRule("SUPPRESS", lambda c: calls.suppress(c.roles), EXPIRE),
    # Every subscription begins with a round of reconciliation.
    m.Reconcile: CallRule("RECONCILE", lambda c: calls.reconcile(c.tasks), EXPIRE),
    m.ReconcileOperations: CallRule(
        "RECONCILE_OPERATIONS", lambda c: calls.reconcile_operations(c.operations), EXPIRE
    ),
    m.RequestResources: CallRule("REQUEST", lambda c: calls.request(c.requests), EXPIRE),
    # What was decided stays decided.
    m.Kill: CallRule("KILL", _kill, KEEP),
    m.ShutdownExecutor: CallRule("SHUTDOWN", lambda c: calls.shutdown(c.executor_id, c.agent_id), KEEP),
    m.Acknowledge: CallRule("ACKNOWLEDGE", lambda c: calls.acknowledge(c.agent_id, c.task_id, c.uuid), KEEP),
    m.AcknowledgeOperation: CallRule("ACKNOWLEDGE_OPERATION_STATUS", _acknowledge_operation, KEEP),
    m.UpdateFramework: CallRule("UPDATE_FRAMEWORK", _update_framework, KEEP),
    m.Teardown: CallRule("TEARDOWN", lambda _: calls.teardown(), KEEP),
    # Best effort by its nature: who sends it must know that it did not go.
    m.SendMessage: CallRule("MESSAGE", lambda c: calls.message(c.agent_id, c.executor_id, c.data), REFUSE),
}
