"""What the master is told, by way of the connection: one message per call of the Scheduler HTTP API, and its outcome."""

from __future__ import annotations

from enum import StrEnum

from actors.messages.redaction import without_secrets_in_operations
from actors.runtime import carrier, message
from mesos_v1.errors import classify
from mesos_v1.resources import Resources
from mesos_v1.values import AgentId, ExecutorId, OfferId, OperationId, TaskId


@message
class Accept:
    """ACCEPT: `operations` are serialized `Offer.Operation`s; `attempts` of `tasks` (pairwise) are launched by it."""

    offer_ids: tuple[OfferId, ...]
    operations: tuple[bytes, ...] = carrier(without_secrets_in_operations)
    refuse_seconds: float
    attempts: tuple[TaskId, ...] = ()
    tasks: tuple[TaskId, ...] = ()


@message
class Decline:
    """DECLINE."""

    offer_ids: tuple[OfferId, ...]
    refuse_seconds: float


@message
class AcceptInverseOffers:
    """ACCEPT_INVERSE_OFFERS."""

    offer_ids: tuple[OfferId, ...]


@message
class DeclineInverseOffers:
    """DECLINE_INVERSE_OFFERS."""

    offer_ids: tuple[OfferId, ...]
    refuse_seconds: float


@message
class Revive:
    """REVIVE; no roles means all."""

    roles: tuple[str, ...] = ()


@message
class Suppress:
    """SUPPRESS; no roles means all."""

    roles: tuple[str, ...] = ()


@message
class Kill:
    """KILL; `grace` overrides the task's kill policy, in seconds."""

    task_id: TaskId
    agent_id: AgentId | None = None
    grace: float | None = None


@message
class ShutdownExecutor:
    """SHUTDOWN of one executor."""

    executor_id: ExecutorId
    agent_id: AgentId


@message
class Acknowledge:
    """ACKNOWLEDGE of a stored status update."""

    agent_id: AgentId
    task_id: TaskId
    uuid: bytes


@message
class AcknowledgeOperation:
    """ACKNOWLEDGE_OPERATION_STATUS: with the agent's id and the raw uuid."""

    operation_id: OperationId
    uuid: bytes
    agent_id: AgentId | None = None
    resource_provider_id: str = ""


@message
class Reconcile:
    """RECONCILE; no tasks means implicit: everything that the master knows of the framework."""

    tasks: tuple[tuple[TaskId, AgentId | None], ...] = ()


@message
class ReconcileOperations:
    """RECONCILE_OPERATIONS; no operations means all."""

    operations: tuple[tuple[OperationId, AgentId | None], ...] = ()


@message
class SendMessage:
    """MESSAGE to an executor, best effort."""

    agent_id: AgentId
    executor_id: ExecutorId
    data: bytes


@message
class RequestResources:
    """REQUEST: resources wished for, of an agent or of any."""

    requests: tuple[tuple[AgentId | None, Resources], ...]


@message
class UpdateFramework:
    """UPDATE_FRAMEWORK: a serialized `FrameworkInfo`, and what the call would clear if it were left out of it.

    Attributes:
        suppressed_roles: the roles that get no offers; None leaves them as they are.
        offer_constraints: serialized `OfferConstraints`; None leaves them as they are.
    """

    framework_info: bytes
    suppressed_roles: tuple[str, ...] | None = None
    offer_constraints: bytes | None = None


@message
class Teardown:
    """TEARDOWN: the framework ends and all its tasks with it. Only at the author's request."""


Call = (
    Accept
    | Decline
    | AcceptInverseOffers
    | DeclineInverseOffers
    | Revive
    | Suppress
    | Kill
    | ShutdownExecutor
    | Acknowledge
    | AcknowledgeOperation
    | Reconcile
    | ReconcileOperations
    | SendMessage
    | RequestResources
    | UpdateFramework
)


class CallFate(StrEnum):
    """How a call came to nothing; each sender of a call answers each of these (tests/actors/test_refused_calls.py)."""

    REFUSED = "the master will not take it, now or later"
    BUSY = "the master did not take it now, and may later"
    UNCERTAIN = "the connection broke in between: the master may have acted on it"
    EXPIRED = "it never left: there is no subscription that it could go with"


NOT_BUILT = 400
"""Status of a call that we ourselves could not put into bytes: like one that the master refuses for good."""


@message
class CallFailed:
    """A call came to nothing; goes to the actor that sent it.

    Attributes:
        call: the call, as it was sent.
        reason: one sentence.
        status: HTTP status of the answer; 0 where there was none.
        uncertain: whether the master may have acted on it all the same (the connection broke in between).
    """

    call: Call
    reason: str
    status: int = 0
    uncertain: bool = False

    @property
    def fate(self) -> CallFate:
        """What it means for whoever sent the call."""
        if self.uncertain:
            return CallFate.UNCERTAIN
        if not self.status:
            return CallFate.EXPIRED
        meaning = classify(self.status, self.reason)
        # Credentials are no fault of the call: an operator may mend them.
        return CallFate.BUSY if meaning.retryable or meaning.unauthorized else CallFate.REFUSED
