"""Every call of the scheduler API as a plain function that returns a `Call` (Mesos: Scheduler HTTP API, "Calls").

The framework's id is left out and filled in just before sending (`with_framework_id`), since only the connection knows it.
`refuse_seconds` are how long not to offer the same again; None is Mesos's default of 5 s. The `uuid` of an
acknowledgement is the bytes of the status as they came; only a status that has one may be acknowledged.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from mesos_v1 import pb
from mesos_v1.offer_operations import *  # noqa: F403  # an ACCEPT is made of them: to be had here, too
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, FrameworkId, OfferId, OperationId, TaskId, duration_proto

Call = pb.scheduler.Call


def _call(kind: str, **body: Any) -> pb.scheduler.Call:
    """Make a call with that body; what is None in it is left out."""
    return Call(type=kind, **{kind.lower(): body})  # type: ignore[arg-type]  # names of types, and bodies, as they are


def _id(value: str | None) -> dict[str, str] | None:
    return None if value is None else {"value": value}


def _filters(refuse_seconds: float | None) -> dict[str, float] | None:
    return None if refuse_seconds is None else {"refuse_seconds": refuse_seconds}


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


def _about_framework(kind: str, info: pb.mesos.FrameworkInfo, **body: Any) -> pb.scheduler.Call:
    call = _call(kind, framework_info=info, **body)
    if info.HasField("id"):
        call.framework_id.CopyFrom(info.id)
    return call


def subscribe(
    framework_info: pb.mesos.FrameworkInfo,
    suppressed_roles: Iterable[str] = (),
    offer_constraints: pb.scheduler.OfferConstraints | None = None,
) -> pb.scheduler.Call:
    """Open the stream of events; only this call is answered by a stream.

    The framework's info has an id when this is not the first subscription. Suppressed roles get no offers until they are
    revived; the constraints say by attribute which agents the framework wants offers of.
    """
    more = {"suppressed_roles": suppressed_roles, "offer_constraints": offer_constraints}
    return _about_framework("SUBSCRIBE", framework_info, **more)


def update_framework(
    framework_info: pb.mesos.FrameworkInfo,
    suppressed_roles: Iterable[str] = (),
    offer_constraints: pb.scheduler.OfferConstraints | None = None,
) -> pb.scheduler.Call:
    """Change the framework's info, roles, suppression and constraints without a new subscription.

    All of it is replaced: what is left out is gone. Neither `principal`, `user` nor `checkpoint` can change.
    """
    more = {"suppressed_roles": suppressed_roles, "offer_constraints": offer_constraints}
    return _about_framework("UPDATE_FRAMEWORK", framework_info, **more)


def teardown() -> pb.scheduler.Call:
    """End the framework: all its tasks and executors are killed, and its id is never valid again."""
    return Call(type=Call.TEARDOWN)


def accept(
    offer_ids: Iterable[OfferId],
    operations: Iterable[pb.mesos.Offer.Operation] = (),
    refuse_seconds: float | None = None,
) -> pb.scheduler.Call:
    """Use offers of one agent (and role, or every task becomes TASK_LOST), each operation on what the one before it left; decline the rest."""
    call = Call(type=Call.ACCEPT)  # this and ACKNOWLEDGE are the most frequent: made in the fastest way
    body = call.accept
    for offer_id in offer_ids:
        body.offer_ids.add(value=offer_id)
    body.operations.extend(operations)
    if refuse_seconds is not None:
        body.filters.refuse_seconds = refuse_seconds
    return call


def decline(offer_ids: Iterable[OfferId], refuse_seconds: float | None = None) -> pb.scheduler.Call:
    """Give offers back, of any agents."""
    return _call("DECLINE", offer_ids=map(_id, offer_ids), filters=_filters(refuse_seconds))


def accept_inverse_offers(
    inverse_offer_ids: Iterable[OfferId], refuse_seconds: float | None = None
) -> pb.scheduler.Call:
    """Promise to free what is asked back in time (Mesos: Maintenance Primitives)."""
    ids = map(_id, inverse_offer_ids)
    return _call("ACCEPT_INVERSE_OFFERS", inverse_offer_ids=ids, filters=_filters(refuse_seconds))


def decline_inverse_offers(
    inverse_offer_ids: Iterable[OfferId], refuse_seconds: float | None = None
) -> pb.scheduler.Call:
    """Say that what is asked back will not be free in time; it will be asked again."""
    ids = map(_id, inverse_offer_ids)
    return _call("DECLINE_INVERSE_OFFERS", inverse_offer_ids=ids, filters=_filters(refuse_seconds))


def revive(roles: Iterable[str] = ()) -> pb.scheduler.Call:
    """Ask for offers again: ends suppression and forgets all filters of these roles, or of all when none is named."""
    named = list(roles)
    return _call("REVIVE", roles=named) if named else Call(type=Call.REVIVE)


def suppress(roles: Iterable[str] = ()) -> pb.scheduler.Call:
    """Ask for no more offers for these roles, or for all when none is named."""
    named = list(roles)
    return _call("SUPPRESS", roles=named) if named else Call(type=Call.SUPPRESS)


def kill(
    task_id: TaskId,
    agent_id: AgentId | None = None,
    kill_policy: pb.mesos.KillPolicy | float | None = None,
) -> pb.scheduler.Call:
    """Kill a task, by its own kill policy, by another, or within so many seconds; an update says when it is done.

    The agent helps a master that has just failed over and does not know the task yet.
    """
    if isinstance(kill_policy, int | float):
        kill_policy = pb.mesos.KillPolicy(grace_period=duration_proto(kill_policy))
    return _call("KILL", task_id=_id(task_id), agent_id=_id(agent_id), kill_policy=kill_policy)


def shutdown(executor_id: ExecutorId, agent_id: AgentId) -> pb.scheduler.Call:
    """End an executor and its tasks; FAILURE says when it has gone."""
    return _call("SHUTDOWN", executor_id=_id(executor_id), agent_id=_id(agent_id))


def acknowledge(agent_id: AgentId, task_id: TaskId, uuid: bytes) -> pb.scheduler.Call:
    """Tell the agent that an update has been received and stored, so that it sends the next one."""
    call = Call(type=Call.ACKNOWLEDGE)
    body = call.acknowledge
    body.agent_id.value, body.task_id.value, body.uuid = agent_id, task_id, uuid
    return call


def acknowledge_operation_status(
    operation_id: OperationId,
    uuid: bytes,
    agent_id: AgentId | None = None,
    resource_provider_id: str | None = None,
) -> pb.scheduler.Call:
    """Tell the agent or resource provider of a status of an operation that it has been received; the uuid is its raw bytes."""
    return _call(
        "ACKNOWLEDGE_OPERATION_STATUS",
        operation_id=_id(operation_id),
        uuid=uuid,
        agent_id=_id(agent_id),
        resource_provider_id=_id(resource_provider_id),
    )


def reconcile(tasks: Iterable[tuple[TaskId, AgentId | None]] = ()) -> pb.scheduler.Call:
    """Ask for the latest state of these tasks (explicit; agents may be None), or of all that the master knows (implicit)."""
    return _call("RECONCILE", tasks=[{"task_id": _id(task), "agent_id": _id(agent)} for task, agent in tasks])


def reconcile_operations(
    operations: Iterable[
        tuple[OperationId, AgentId | None] | tuple[OperationId, AgentId | None, str | None]
    ] = (),
) -> pb.scheduler.Call:
    """Ask for the latest state of these operations (agent and provider if known), or of all that the master knows."""
    fields = ("operation_id", "agent_id", "resource_provider_id")
    asked = [dict(zip(fields, map(_id, operation), strict=False)) for operation in operations]
    return _call("RECONCILE_OPERATIONS", operations=asked)


def message(agent_id: AgentId, executor_id: ExecutorId, data: bytes) -> pb.scheduler.Call:
    """Send bytes to an executor; best effort, never sent again by Mesos."""
    return _call("MESSAGE", agent_id=_id(agent_id), executor_id=_id(executor_id), data=data)


def request(requests: Sequence[tuple[AgentId | None, Resources]]) -> pb.scheduler.Call:
    """Ask for resources, of an agent or of any; the built-in allocator of Mesos ignores it."""
    asked = [{"agent_id": _id(agent), "resources": wanted.to_proto()} for agent, wanted in requests]
    return _call("REQUEST", requests=asked)
