"""What the master says, as the connection hands it on: subscription, offers, updates, failures."""

from __future__ import annotations

from actors.runtime import message
from mesos_v1.values import (
    AgentId,
    ExecutorId,
    FrameworkId,
    InverseOffer,
    MasterInfo,
    Offer,
    OfferId,
    OperationStatus,
    TaskStatus,
)


@message
class Subscribed:
    """The master has taken the subscription; offers that were held before are void.

    Attributes:
        suppressed_roles: the roles that SUBSCRIBE said want no offers.
    """

    framework_id: FrameworkId
    heartbeat_interval: float
    master: MasterInfo | None
    reregistered: bool
    suppressed_roles: tuple[str, ...] = ()


@message
class StillSubscribed:
    """The subscription that there was before the broker's restart lives on."""


@message
class Disconnected:
    """The subscription is gone; the connection is already coming back by itself."""

    reason: str


@message
class OffersArrived:
    """OFFERS of the present subscription."""

    offers: tuple[Offer, ...]


@message
class OfferRescinded:
    """RESCIND; may come before the offer itself."""

    offer_id: OfferId


@message
class InverseOffersArrived:
    """INVERSE_OFFERS: the operator asks for resources back."""

    offers: tuple[InverseOffer, ...]


@message
class InverseOfferRescinded:
    """RESCIND_INVERSE_OFFER."""

    offer_id: OfferId


@message
class StatusUpdate:
    """UPDATE: news of one task; to be acknowledged when it carries a uuid."""

    status: TaskStatus


@message
class OperationUpdate:
    """UPDATE_OPERATION_STATUS: news of one operation; to be acknowledged when it carries a uuid."""

    status: OperationStatus


@message
class MessageArrived:
    """MESSAGE: what an executor said, best effort."""

    agent_id: AgentId
    executor_id: ExecutorId
    data: bytes


@message
class AgentsSeen:
    """Agents of which an offer says for the first time, or something new, where they answer: (id, host name, URL)."""

    framework_id: FrameworkId
    agents: tuple[tuple[AgentId, str, str], ...]


@message
class AgentLost:
    """FAILURE of an agent: it was removed from the cluster."""

    agent_id: AgentId


@message
class ExecutorLost:
    """FAILURE of an executor; `status` is its wait status, or -1 where none is known."""

    agent_id: AgentId
    executor_id: ExecutorId
    status: int
