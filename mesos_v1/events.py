"""The events of the scheduler API, read: protobuf in, one of a closed union of immutable values out.

A type that this version does not know becomes `Unknown`, so that a newer Mesos does not break a stream; an event that lacks
what its type promises raises `BadEvent`. Source: Mesos: Scheduler HTTP API, "Events".
"""

from collections.abc import Callable
from dataclasses import dataclass

from mesos_v1 import _reading, pb
from mesos_v1 import values as v
from mesos_v1._reading import optional_id, text
from mesos_v1.content import ContentType
from mesos_v1.content import parse as _parse

DEFAULT_HEARTBEAT_INTERVAL = 15.0
"""Seconds; assumed of a master that announces none (Mesos's `--heartbeat_interval` is 15 s)."""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The subscription stands; the framework's id is to be kept, and sent again at every later subscription."""

    framework_id: v.FrameworkId
    heartbeat_interval: float  # seconds between heartbeats; when several are missed the connection is dead
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
    """An executor ended (with a status as `wait` gives it), or an agent is gone. Not reliable: updates are."""

    agent_id: v.AgentId | None
    executor_id: v.ExecutorId | None
    status: int | None


Error = _reading.Error
Heartbeat = _reading.Heartbeat
Unknown = _reading.Unknown

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


def parse(data: bytes, content_type: ContentType) -> SchedulerEvent:
    """Return a record of the stream as a value: `content.parse` and `read` in one, and faster than the two."""
    return read(_parse(Event, data, content_type, clean_text=False))


def _subscribed(body: pb.scheduler.Event.Subscribed) -> Subscribed:
    interval = body.heartbeat_interval_seconds if body.HasField("heartbeat_interval_seconds") else 0.0
    return Subscribed(
        text(body.framework_id.value),
        interval if 0 < interval < float("inf") else DEFAULT_HEARTBEAT_INTERVAL,
        v.MasterInfo.from_proto(body.master_info) if body.HasField("master_info") else None,
    )


def _failure(body: pb.scheduler.Event.Failure) -> Failure:
    status = body.status if body.HasField("status") else None
    return Failure(optional_id(body, "agent_id"), optional_id(body, "executor_id"), status)


read: Callable[[pb.scheduler.Event], SchedulerEvent] = _reading.reader(
    Event.Type,
    {
        "SUBSCRIBED": _subscribed,
        "OFFERS": lambda body: Offers(tuple([v.Offer.from_proto(each) for each in body.offers])),
        "INVERSE_OFFERS": lambda body: InverseOffers(
            tuple(map(v.InverseOffer.from_proto, body.inverse_offers))
        ),
        "RESCIND": lambda body: Rescind(text(body.offer_id.value)),
        "RESCIND_INVERSE_OFFER": lambda body: RescindInverseOffer(text(body.inverse_offer_id.value)),
        "UPDATE": lambda body: Update(v.TaskStatus.from_proto(body.status)),
        "UPDATE_OPERATION_STATUS": lambda body: UpdateOperationStatus(
            v.OperationStatus.from_proto(body.status)
        ),
        "MESSAGE": lambda body: Message(text(body.agent_id.value), text(body.executor_id.value), body.data),
        "FAILURE": _failure,
    },
)
"""Return an event of the stream as a value; raises BadEvent if it lacks what its type promises, or holds what cannot be."""
