"""The events of the scheduler API, and the status updates that the master itself makes."""

from collections.abc import Iterable

from mesos_v1 import pb
from playa.master.records import TaskRecord

_Event = pb.scheduler.Event
_Status = pb.mesos.TaskStatus
_States = pb.mesos.TaskState

HEARTBEAT = _Event(type=_Event.HEARTBEAT)


def subscribed(framework_id: str, heartbeat: float, info: pb.mesos.MasterInfo) -> pb.scheduler.Event:
    """SUBSCRIBED."""
    event = _Event(type=_Event.SUBSCRIBED)
    event.subscribed.framework_id.value = framework_id
    event.subscribed.heartbeat_interval_seconds = heartbeat
    event.subscribed.master_info.CopyFrom(info)
    return event


def offers(protos: Iterable[pb.mesos.Offer]) -> pb.scheduler.Event:
    """OFFERS."""
    event = _Event(type=_Event.OFFERS)
    event.offers.offers.extend(protos)
    return event


def inverse_offers(protos: Iterable[pb.mesos.InverseOffer]) -> pb.scheduler.Event:
    """INVERSE_OFFERS."""
    event = _Event(type=_Event.INVERSE_OFFERS)
    event.inverse_offers.inverse_offers.extend(protos)
    return event


def rescind(offer_id: str) -> pb.scheduler.Event:
    """RESCIND."""
    event = _Event(type=_Event.RESCIND)
    event.rescind.offer_id.value = offer_id
    return event


def rescind_inverse_offer(offer_id: str) -> pb.scheduler.Event:
    """RESCIND_INVERSE_OFFER."""
    event = _Event(type=_Event.RESCIND_INVERSE_OFFER)
    event.rescind_inverse_offer.inverse_offer_id.value = offer_id
    return event


def update(status: pb.mesos.TaskStatus) -> pb.scheduler.Event:
    """UPDATE."""
    event = _Event(type=_Event.UPDATE)
    event.update.status.CopyFrom(status)
    return event


def update_operation_status(status: pb.mesos.OperationStatus) -> pb.scheduler.Event:
    """UPDATE_OPERATION_STATUS."""
    event = _Event(type=_Event.UPDATE_OPERATION_STATUS)
    event.update_operation_status.status.CopyFrom(status)
    return event


def message(agent_id: str, executor_id: str, data: bytes) -> pb.scheduler.Event:
    """MESSAGE."""
    event = _Event(type=_Event.MESSAGE)
    event.message.agent_id.value = agent_id
    event.message.executor_id.value = executor_id
    event.message.data = data
    return event


def failure(agent_id: str, executor_id: str | None = None, status: int | None = None) -> pb.scheduler.Event:
    """FAILURE: of an executor, or (without an executor id) of an agent."""
    event = _Event(type=_Event.FAILURE)
    event.failure.agent_id.value = agent_id
    if executor_id is not None:
        event.failure.executor_id.value = executor_id
    if status is not None:
        event.failure.status = status
    return event


def error(text: str) -> pb.scheduler.Event:
    """ERROR; the stream is closed after it."""
    event = _Event(type=_Event.ERROR)
    event.error.message = text
    return event


def task_status(
    *,
    task_id: str,
    state: str,
    now: float,
    text: str,
    reason: str | None,
    agent_id: str | None = None,
    executor_id: str | None = None,
    unreachable_time: float | None = None,
) -> pb.mesos.TaskStatus:
    """A status that the master makes: without a uuid, as nobody has to acknowledge it."""
    status = _Status(state=_States.Value(state), message=text, source=_Status.SOURCE_MASTER, timestamp=now)
    status.task_id.value = task_id
    if reason is not None:
        status.reason = _Status.Reason.Value(reason)
    if agent_id is not None:
        status.agent_id.value = agent_id
    if executor_id is not None:
        status.executor_id.value = executor_id
    if unreachable_time is not None:
        status.unreachable_time.nanoseconds = int(unreachable_time * 1e9)
    return status


def latest_status(task: TaskRecord, *, now: float, text: str, reason: str) -> pb.mesos.TaskStatus:
    """A status that repeats how a task is, with its health, check and container, as reconciliation does."""
    proto = task.proto
    state = proto.status_update_state if proto.HasField("status_update_state") else proto.state
    status = task_status(
        task_id=task.id,
        state=_States.Name(state),
        now=now,
        text=text,
        reason=reason,
        agent_id=task.agent_id,
        executor_id=task.executor_id,
    )
    if proto.statuses:
        last = proto.statuses[-1]
        if last.HasField("healthy"):
            status.healthy = last.healthy
        if last.HasField("check_status"):
            status.check_status.CopyFrom(last.check_status)
        if last.HasField("container_status"):
            status.container_status.CopyFrom(last.container_status)
    return status


def operation_status(
    state: str, operation_id: str | None, text: str | None = None, agent_id: str | None = None
) -> pb.mesos.OperationStatus:
    """A status of an operation that the master makes, without a uuid."""
    status = pb.mesos.OperationStatus(state=pb.mesos.OperationState.Value(state))
    if operation_id is not None:
        status.operation_id.value = operation_id
    if text is not None:
        status.message = text
    if agent_id is not None:
        status.agent_id.value = agent_id
    return status
