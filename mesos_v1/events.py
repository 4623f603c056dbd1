"""The events of the scheduler API, read: protobuf in, one of a closed union of immutable values out.

A type that this version does not know becomes `Unknown`, so that a newer Mesos does not break a stream; an event that lacks
what its type promises raises `BadEvent`. Source: Mesos: Scheduler HTTP API, "Events".
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesos_v1 import pb
from mesos_v1 import values as v
from mesos_v1._texts import text
from mesos_v1.content import ContentType
from mesos_v1.content import parse as _parse
from mesos_v1.errors import BadEvent, ResourceError

__all__ = [
    "BadEvent",
    "Error",
    "Failure",
    "Heartbeat",
    "InverseOffers",
    "Message",
    "Offers",
    "Rescind",
    "RescindInverseOffer",
    "SchedulerEvent",
    "Subscribed",
    "Unknown",
    "Update",
    "UpdateOperationStatus",
    "parse",
    "read",
]

DEFAULT_HEARTBEAT_INTERVAL = 15.0
"""Seconds; assumed of a master that announces none (Mesos's `--heartbeat_interval` is 15 s)."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription stands.

    Attributes:
        framework_id: To be kept and sent again at every later subscription.
        heartbeat_interval: Seconds between heartbeats; when several are missed the connection is dead.
    """

    framework_id: v.FrameworkId
    heartbeat_interval: float
    master: v.MasterInfo | None


@dataclass(frozen=True, slots=True)
class Offers:
    """New offers; each stays until it is accepted, declined, rescinded, or the subscription ends."""

    offers: tuple[v.Offer, ...]


@dataclass(frozen=True, slots=True)
class InverseOffers:
    """Requests to free resources before a maintenance."""

    offers: tuple[v.InverseOffer, ...]


@dataclass(frozen=True, slots=True)
class Rescind:
    """An offer is gone; using it would make its tasks TASK_LOST."""

    offer_id: v.OfferId


@dataclass(frozen=True, slots=True)
class RescindInverseOffer:
    """An inverse offer is gone."""

    offer_id: v.OfferId


@dataclass(frozen=True, slots=True)
class Update:
    """The status of a task; to be acknowledged when it has a uuid."""

    status: v.TaskStatus


@dataclass(frozen=True, slots=True)
class UpdateOperationStatus:
    """The status of an operation that was given an id; to be acknowledged when it has a uuid."""

    status: v.OperationStatus


@dataclass(frozen=True, slots=True)
class Message:
    """What an executor sent; best effort, so it may never come, but it comes once at most."""

    agent_id: v.AgentId
    executor_id: v.ExecutorId
    data: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """An executor ended (`executor_id` is set), or an agent is gone. Not reliable: updates are.

    Attributes:
        status: The executor's exit status as `wait` gives it.
    """

    agent_id: v.AgentId | None
    executor_id: v.ExecutorId | None
    status: int | None


@dataclass(frozen=True, slots=True)
class Error:
    """The master refuses the framework and closes the connection; subscribing again as it was will not help."""

    message: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The connection lives."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that this version of the schema does not know."""

    type_name: str


SchedulerEvent = (
    Subscribed
    | Offers
    | InverseOffers
    | Rescind
    | RescindInverseOffer
    | Update
    | UpdateOperationStatus
    | Message
    | Failure
    | Error
    | Heartbeat
    | Unknown
)
"""Everything that a master may send to a scheduler."""

Event = pb.scheduler.Event
_HEARTBEAT = Heartbeat()


def read(event: pb.scheduler.Event) -> SchedulerEvent:
    """Return an event of the stream as a value.

    Raises:
        BadEvent: It lacks what its type promises, or holds what cannot be.
    """
    rule = _RULES.get(event.type)
    if rule is None:
        return _HEARTBEAT if event.type == Event.HEARTBEAT else Unknown(_type_name(event))
    field, reader = rule
    if not event.HasField(field):  # type: ignore[arg-type]  # the stub wants a literal
        raise BadEvent(f"an event {_type_name(event)} without '{field}'")
    try:
        return reader(event)
    except ResourceError as error:
        raise BadEvent(f"an event {_type_name(event)} with a resource that cannot be: {error}") from error


def parse(data: bytes, content_type: ContentType) -> SchedulerEvent:
    """Return a record of the stream as a value: `content.parse` and `read` in one, and faster than the two.

    Raises:
        ContentError: The record is not an event.
        BadEvent: As `read`.
    """
    return read(_parse(Event, data, content_type, clean_text=False))


def _type_name(event: pb.scheduler.Event) -> str:
    return Event.Type.Name(event.type)


def _subscribed(event: pb.scheduler.Event) -> Subscribed:
    body = event.subscribed
    interval = body.heartbeat_interval_seconds if body.HasField("heartbeat_interval_seconds") else 0.0
    return Subscribed(
        v.FrameworkId(text(body.framework_id.value)),
        interval if 0 < interval < float("inf") else DEFAULT_HEARTBEAT_INTERVAL,
        v.MasterInfo.from_proto(body.master_info) if body.HasField("master_info") else None,
    )


def _offers(event: pb.scheduler.Event) -> Offers:
    return Offers(tuple([v.Offer.from_proto(each) for each in event.offers.offers]))


def _inverse_offers(event: pb.scheduler.Event) -> InverseOffers:
    return InverseOffers(
        tuple(v.InverseOffer.from_proto(each) for each in event.inverse_offers.inverse_offers)
    )


def _rescind(event: pb.scheduler.Event) -> Rescind:
    return Rescind(v.OfferId(text(event.rescind.offer_id.value)))


def _rescind_inverse_offer(event: pb.scheduler.Event) -> RescindInverseOffer:
    return RescindInverseOffer(v.OfferId(text(event.rescind_inverse_offer.inverse_offer_id.value)))


def _update(event: pb.scheduler.Event) -> Update:
    return Update(v.TaskStatus.from_proto(event.update.status))


def _update_operation_status(event: pb.scheduler.Event) -> UpdateOperationStatus:
    return UpdateOperationStatus(v.OperationStatus.from_proto(event.update_operation_status.status))


def _message(event: pb.scheduler.Event) -> Message:
    body = event.message
    return Message(
        v.AgentId(text(body.agent_id.value)), v.ExecutorId(text(body.executor_id.value)), body.data
    )


def _failure(event: pb.scheduler.Event) -> Failure:
    body = event.failure
    return Failure(
        v.AgentId(text(body.agent_id.value)) if body.HasField("agent_id") else None,
        v.ExecutorId(text(body.executor_id.value)) if body.HasField("executor_id") else None,
        body.status if body.HasField("status") else None,
    )


def _error(event: pb.scheduler.Event) -> Error:
    return Error(text(event.error.message))


_RULES: dict[int, tuple[str, Callable[[pb.scheduler.Event], SchedulerEvent]]] = {
    Event.SUBSCRIBED: ("subscribed", _subscribed),
    Event.OFFERS: ("offers", _offers),
    Event.INVERSE_OFFERS: ("inverse_offers", _inverse_offers),
    Event.RESCIND: ("rescind", _rescind),
    Event.RESCIND_INVERSE_OFFER: ("rescind_inverse_offer", _rescind_inverse_offer),
    Event.UPDATE: ("update", _update),
    Event.UPDATE_OPERATION_STATUS: ("update_operation_status", _update_operation_status),
    Event.MESSAGE: ("message", _message),
    Event.FAILURE: ("failure", _failure),
    Event.ERROR: ("error", _error),
}
