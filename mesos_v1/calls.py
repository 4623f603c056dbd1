"""Every call of the scheduler API as a plain function that returns a `Call`; nothing else spells them out.

The framework's id is left out and filled in just before sending (`with_framework_id`), since only the connection knows it.
Ids, roles and bytes come in as plain values, infos and resources as protobuf or as this package's own. The order below is
the order of the schema. Source: Mesos: Scheduler HTTP API, "Calls"; operations: `mesos_v1.offer_operations`.
"""

from collections.abc import Iterable, Sequence

from mesos_v1 import pb
from mesos_v1.offer_operations import (
    create,
    create_disk,
    destroy,
    destroy_disk,
    grow_volume,
    launch,
    launch_group,
    reserve,
    shrink_volume,
    unreserve,
)
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS, AgentId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId

__all__ = [
    "accept",
    "accept_inverse_offers",
    "acknowledge",
    "acknowledge_operation_status",
    "create",
    "create_disk",
    "decline",
    "decline_inverse_offers",
    "destroy",
    "destroy_disk",
    "grow_volume",
    "kill",
    "launch",
    "launch_group",
    "message",
    "reconcile",
    "reconcile_operations",
    "request",
    "reserve",
    "revive",
    "shrink_volume",
    "shutdown",
    "subscribe",
    "suppress",
    "teardown",
    "unreserve",
    "update_framework",
    "with_framework_id",
]

Call = pb.scheduler.Call


def with_framework_id(call: pb.scheduler.Call, framework_id: FrameworkId) -> pb.scheduler.Call:
    """Set the framework's id in a call, and in the `FrameworkInfo` that it carries; return the same call.

    A SUBSCRIBE with an id is a re-subscription: the master checks that both places agree.
    """
    call.framework_id.value = framework_id
    if call.type == Call.SUBSCRIBE:
        call.subscribe.framework_info.id.value = framework_id
    elif call.type == Call.UPDATE_FRAMEWORK:
        call.update_framework.framework_info.id.value = framework_id
    return call


def subscribe(
    framework_info: pb.mesos.FrameworkInfo,
    suppressed_roles: Iterable[str] = (),
    offer_constraints: pb.scheduler.OfferConstraints | None = None,
) -> pb.scheduler.Call:
    """Open the stream of events; the only call whose answer is one.

    Args:
        framework_info: With its id when this is not the first subscription; the id of the call is set with it.
        suppressed_roles: Roles that get no offers until they are revived.
        offer_constraints: Which agents the framework wants offers of, by attribute.
    """
    call = Call(type=Call.SUBSCRIBE)
    body = call.subscribe
    body.framework_info.CopyFrom(framework_info)
    body.suppressed_roles.extend(suppressed_roles)
    if offer_constraints is not None:
        body.offer_constraints.CopyFrom(offer_constraints)
    if framework_info.HasField("id"):
        call.framework_id.CopyFrom(framework_info.id)
    return call


def teardown() -> pb.scheduler.Call:
    """End the framework: all its tasks and executors are killed, and its id is never valid again."""
    return Call(type=Call.TEARDOWN)


def accept(
    offer_ids: Iterable[OfferId],
    operations: Iterable[pb.mesos.Offer.Operation] = (),
    refuse_seconds: float | None = None,
) -> pb.scheduler.Call:
    """Use offers of one agent together, by operations in order; what they leave is declined.

    Args:
        offer_ids: All of the same agent (and role), or every task becomes TASK_LOST.
        operations: Each sees what the one before it left.
        refuse_seconds: How long not to offer the rest again; None is Mesos's default of 5 s.
    """
    call = Call(type=Call.ACCEPT)
    body = call.accept
    for offer_id in offer_ids:
        body.offer_ids.add(value=offer_id)
    body.operations.extend(operations)
    if refuse_seconds is not None:
        body.filters.refuse_seconds = refuse_seconds
    return call


def decline(offer_ids: Iterable[OfferId], refuse_seconds: float | None = None) -> pb.scheduler.Call:
    """Give offers back.

    Args:
        offer_ids: Of any agents.
        refuse_seconds: How long not to offer these resources again; None is Mesos's default of 5 s.
    """
    call = Call(type=Call.DECLINE)
    for offer_id in offer_ids:
        call.decline.offer_ids.add(value=offer_id)
    if refuse_seconds is not None:
        call.decline.filters.refuse_seconds = refuse_seconds
    call.decline.SetInParent()
    return call


def accept_inverse_offers(
    inverse_offer_ids: Iterable[OfferId], refuse_seconds: float | None = None
) -> pb.scheduler.Call:
    """Promise to free what is asked back in time (Mesos: Maintenance Primitives)."""
    call = Call(type=Call.ACCEPT_INVERSE_OFFERS)
    _answer_inverse(call.accept_inverse_offers, inverse_offer_ids, refuse_seconds)
    return call


def decline_inverse_offers(
    inverse_offer_ids: Iterable[OfferId], refuse_seconds: float | None = None
) -> pb.scheduler.Call:
    """Say that what is asked back will not be free in time; it will be asked again."""
    call = Call(type=Call.DECLINE_INVERSE_OFFERS)
    _answer_inverse(call.decline_inverse_offers, inverse_offer_ids, refuse_seconds)
    return call


def _answer_inverse(
    body: pb.scheduler.Call.AcceptInverseOffers | pb.scheduler.Call.DeclineInverseOffers,
    inverse_offer_ids: Iterable[OfferId],
    refuse_seconds: float | None,
) -> None:
    for offer_id in inverse_offer_ids:
        body.inverse_offer_ids.add(value=offer_id)
    if refuse_seconds is not None:
        body.filters.refuse_seconds = refuse_seconds
    body.SetInParent()


def revive(roles: Iterable[str] = ()) -> pb.scheduler.Call:
    """Ask for offers again: ends suppression and forgets all filters of these roles, or of all when none is named."""
    call = Call(type=Call.REVIVE)
    if named := list(roles):
        call.revive.roles.extend(named)
    return call


def suppress(roles: Iterable[str] = ()) -> pb.scheduler.Call:
    """Ask for no more offers for these roles, or for all when none is named."""
    call = Call(type=Call.SUPPRESS)
    if named := list(roles):
        call.suppress.roles.extend(named)
    return call


def kill(
    task_id: TaskId,
    agent_id: AgentId | None = None,
    kill_policy: pb.mesos.KillPolicy | float | None = None,
) -> pb.scheduler.Call:
    """Kill a task; an update says when it is done.

    Args:
        agent_id: Helps a master that has just failed over and does not know the task yet.
        kill_policy: A policy, or a grace period in seconds, instead of the task's own.
    """
    call = Call(type=Call.KILL)
    call.kill.task_id.value = task_id
    if agent_id is not None:
        call.kill.agent_id.value = agent_id
    if isinstance(kill_policy, pb.mesos.KillPolicy):
        call.kill.kill_policy.CopyFrom(kill_policy)
    elif kill_policy is not None:
        call.kill.kill_policy.grace_period.nanoseconds = round(kill_policy * NANOS)
    return call


def shutdown(executor_id: ExecutorId, agent_id: AgentId) -> pb.scheduler.Call:
    """End an executor and its tasks; FAILURE says when it has gone."""
    call = Call(type=Call.SHUTDOWN)
    call.shutdown.executor_id.value = executor_id
    call.shutdown.agent_id.value = agent_id
    return call


def acknowledge(agent_id: AgentId, task_id: TaskId, uuid: bytes) -> pb.scheduler.Call:
    """Tell the agent that an update has been received and stored, so that it sends the next one.

    Args:
        uuid: The bytes of the status as they came. Only a status with a uuid may be acknowledged.
    """
    call = Call(type=Call.ACKNOWLEDGE)
    body = call.acknowledge
    body.agent_id.value = agent_id
    body.task_id.value = task_id
    body.uuid = uuid
    return call


def acknowledge_operation_status(
    operation_id: OperationId,
    uuid: bytes,
    agent_id: AgentId | None = None,
    resource_provider_id: str | None = None,
) -> pb.scheduler.Call:
    """Tell the agent (or resource provider) that the status of an operation has been received.

    Args:
        uuid: The raw bytes of the status's uuid (`OperationStatus.uuid`), not the message around them.
        agent_id: As in the status; the master needs it to find the way.
        resource_provider_id: As in the status, when it has one.
    """
    call = Call(type=Call.ACKNOWLEDGE_OPERATION_STATUS)
    body = call.acknowledge_operation_status
    body.operation_id.value = operation_id
    body.uuid = uuid
    if agent_id is not None:
        body.agent_id.value = agent_id
    if resource_provider_id is not None:
        body.resource_provider_id.value = resource_provider_id
    return call


def reconcile(tasks: Iterable[tuple[TaskId, AgentId | None]] = ()) -> pb.scheduler.Call:
    """Ask for the latest state of these tasks (explicit), or of all that the master knows when none is named (implicit).

    Args:
        tasks: Pairs of task and agent; the agent may be unknown (None).
    """
    call = Call(type=Call.RECONCILE)
    call.reconcile.SetInParent()
    for task_id, agent_id in tasks:
        task = call.reconcile.tasks.add()
        task.task_id.value = task_id
        if agent_id is not None:
            task.agent_id.value = agent_id
    return call


def reconcile_operations(
    operations: Iterable[
        tuple[OperationId, AgentId | None] | tuple[OperationId, AgentId | None, str | None]
    ] = (),
) -> pb.scheduler.Call:
    """Ask for the latest state of these operations, or of all that the master knows when none is named.

    Args:
        operations: Operation, agent if known, and resource provider if there is one.
    """
    call = Call(type=Call.RECONCILE_OPERATIONS)
    call.reconcile_operations.SetInParent()
    for operation_id, agent_id, *provider in operations:
        operation = call.reconcile_operations.operations.add()
        operation.operation_id.value = operation_id
        if agent_id is not None:
            operation.agent_id.value = agent_id
        if provider and provider[0] is not None:
            operation.resource_provider_id.value = provider[0]
    return call


def message(agent_id: AgentId, executor_id: ExecutorId, data: bytes) -> pb.scheduler.Call:
    """Send bytes to an executor; best effort, never sent again by Mesos."""
    call = Call(type=Call.MESSAGE)
    body = call.message
    body.agent_id.value = agent_id
    body.executor_id.value = executor_id
    body.data = data
    return call


def request(requests: Sequence[tuple[AgentId | None, Resources]]) -> pb.scheduler.Call:
    """Ask for resources, of an agent or of any; the built-in allocator of Mesos ignores it."""
    call = Call(type=Call.REQUEST)
    call.request.SetInParent()
    for agent_id, resources in requests:
        one = call.request.requests.add()
        if agent_id is not None:
            one.agent_id.value = agent_id
        one.resources.extend(resources.to_proto())
    return call


def update_framework(
    framework_info: pb.mesos.FrameworkInfo,
    suppressed_roles: Iterable[str] = (),
    offer_constraints: pb.scheduler.OfferConstraints | None = None,
) -> pb.scheduler.Call:
    """Change the framework's info, roles, suppression and constraints without a new subscription.

    All of it is replaced: what is left out is gone. Neither `principal`, `user` nor `checkpoint` can change.
    """
    call = Call(type=Call.UPDATE_FRAMEWORK)
    body = call.update_framework
    body.framework_info.CopyFrom(framework_info)
    body.suppressed_roles.extend(suppressed_roles)
    if offer_constraints is not None:
        body.offer_constraints.CopyFrom(offer_constraints)
    if framework_info.HasField("id"):
        call.framework_id.CopyFrom(framework_info.id)
    return call
