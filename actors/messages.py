"""The vocabulary of the scheduler side: every message that its actors exchange.

All are frozen, hold only immutable fields and survive the codec, so that each can be traced and replayed. Grouped by
who speaks: what comes from the master, what goes to it, demands and placements, the life of tasks, the store, the
server, and the framework as a whole. Not here: what an actor tells only itself (timers, answers of its own threads),
which stands beside that actor, and payloads of tasks, which are the author's.
"""

from __future__ import annotations

from actors.runtime import message
from actors.task_states import TaskPhase
from mesos_v1.resources import Resources
from mesos_v1.values import (
    AgentId,
    ExecutorId,
    FrameworkId,
    InverseOffer,
    MasterInfo,
    Offer,
    OfferId,
    OperationId,
    OperationStatus,
    TaskId,
    TaskStatus,
)

# --- from the master, by way of the connection -----------------------------------------------------------------


@message
class Subscribed:
    """The master has taken the subscription; offers that were held before are void."""

    framework_id: FrameworkId
    heartbeat_interval: float
    master: MasterInfo | None
    reregistered: bool


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
class AgentLost:
    """FAILURE of an agent: it was removed from the cluster."""

    agent_id: AgentId


@message
class ExecutorLost:
    """FAILURE of an executor; `status` is its wait status, or -1 where none is known."""

    agent_id: AgentId
    executor_id: ExecutorId
    status: int


# --- to the master, by way of the connection -------------------------------------------------------------------


@message
class Accept:
    """ACCEPT: `operations` are serialized `Offer.Operation`s; `attempts` of `tasks` (pairwise) are launched by it."""

    offer_ids: tuple[OfferId, ...]
    operations: tuple[bytes, ...]
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
    """UPDATE_FRAMEWORK: a serialized `FrameworkInfo` and the roles that stay suppressed."""

    framework_info: bytes
    suppressed_roles: tuple[str, ...] = ()


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


# --- demands and placements ------------------------------------------------------------------------------------


@message
class Demand:
    """A task that waits for an offer.

    Attributes:
        order: first come, first served: the lowest number first.
        info: the serialized `TaskInfo` without agent, resources and executor.
        executor: name of the executor, or "" for a command task.
        hosts: host names to which the task is bound; none means anywhere.
        attributes: agent attributes that must be there with this text, as (name, value).
    """

    task_id: TaskId
    attempt_id: TaskId
    order: int
    role: str
    resources: Resources
    ports: int
    executor: str
    info: bytes
    hosts: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()


@message
class Withdraw:
    """The attempt needs nothing any more; answered by `Withdrawn`, unless its ACCEPT has left."""

    attempt_id: TaskId


@message
class Withdrawn:
    """The broker has dropped the attempt's demand: no ACCEPT of it has left or will leave."""

    attempt_id: TaskId


@message
class Launched:
    """The attempt was matched with offers of this agent, its intent is stored, and the ACCEPT has left."""

    attempt_id: TaskId
    agent_id: AgentId
    executor_id: ExecutorId | None
    hostname: str


@message
class ResourcesFreed:
    """A task has ended: what it used can be offered again."""


@message
class NotLaunched:
    """The ACCEPT came to nothing, and the master knows nothing of the attempt."""

    attempt_id: TaskId
    reason: str


@message
class LaunchUncertain:
    """The ACCEPT left, and it is not known whether it arrived."""

    attempt_id: TaskId
    reason: str


@message
class ExecutorTemplate:
    """An executor as the broker launches it: its own needs, and a serialized `ExecutorInfo` without resources."""

    name: str
    resources: Resources
    info: bytes


@message
class UseExecutors:
    """The executors of the framework, told to the broker before the first demand."""

    executors: tuple[ExecutorTemplate, ...]


@message
class WhyPending:
    """Ask the broker why a task (or, without an id, everything) waits; answered with `PendingReport`."""

    task_id: TaskId | None = None


@message
class Shortfall:
    """What one agent's offers lacked: a resource with numbers, or a constraint in words."""

    resource: str
    wanted: str
    available: str


@message
class OfferVerdict:
    """One agent that was looked at, and everything that spoke against it."""

    agent_id: AgentId
    hostname: str
    offered: str
    shortfalls: tuple[Shortfall, ...]


@message
class PendingGroup:
    """Demands of one shape that wait, and what was said of each agent at the last look."""

    tasks: int
    first_task: TaskId
    role: str
    wanted: str
    executor: str
    agents_looked_at: int
    verdicts: tuple[OfferVerdict, ...]
    remark: str


@message
class PendingReport:
    """The broker's answer to `WhyPending`."""

    waiting: int
    suppressed_roles: tuple[str, ...]
    groups: tuple[PendingGroup, ...]


# --- the life of tasks -----------------------------------------------------------------------------------------


@message
class KillTask:
    """Ask a task actor to end its task."""

    grace: float | None = None


@message
class TaskChanged:
    """A task is in another phase, or there is news of it; what the author's `on_task_update` gets.

    Attributes:
        state: the Mesos state last heard of, or "".
        agent_id: where the present attempt is, if it is anywhere.
    """

    task_id: TaskId
    attempt_id: TaskId
    attempt: int
    phase: TaskPhase
    state: str = ""
    reason: str = ""
    message: str = ""
    agent_id: AgentId | None = None
    executor_id: ExecutorId | None = None
    data: bytes = b""


@message
class TaskDone:
    """The outcome of a task, stored: finished, failed after the last attempt, or killed at the author's request."""

    task_id: TaskId
    name: str
    phase: TaskPhase
    attempts: int
    payload: bytes
    result: bytes = b""
    executor: str = ""
    state: str = ""
    reason: str = ""
    message: str = ""
    agent_id: AgentId | None = None
    executor_id: ExecutorId | None = None


@message
class BrokerRestarted:
    """The broker has started anew and knows no demand: whoever waits demands again."""


# --- reconciliation --------------------------------------------------------------------------------------------


@message
class StartReconciliation:
    """Begin a round now: the subscription is new, or somebody asks for it."""


@message
class StopReconciliation:
    """There is no master to ask; the next subscription starts a round."""


@message
class ListTasks:
    """Ask the scheduler which attempts may exist on the cluster; answered by `TasksOnCluster`."""


@message
class TasksOnCluster:
    """The attempts that are thought to be on the cluster, with their agents where known."""

    tasks: tuple[tuple[TaskId, AgentId | None], ...]


@message
class Suspect:
    """Ask the reconciler for the truth about one attempt, soon."""

    attempt_id: TaskId
    agent_id: AgentId | None


@message
class TaskAnswered:
    """The master has said something about a task; the reconciler stops asking for it."""

    task_id: TaskId


@message
class UnknownTask:
    """The master knows a task of this framework that nobody here knows."""

    status: TaskStatus


# --- the store -------------------------------------------------------------------------------------------------


@message
class Record:
    """One durable record; `kind` and `key` together are unique."""

    kind: str
    key: str
    value: bytes


@message
class Write:
    """Store and delete in one transaction; answered by `Stored(reference)` unless the reference is 0."""

    records: tuple[Record, ...] = ()
    deletes: tuple[tuple[str, str], ...] = ()
    reference: int = 0


@message
class Stored:
    """The write with that reference is durable."""

    reference: int


@message
class Load:
    """Ask the store for everything it has; the reply is `Loaded`."""


@message
class Loaded:
    """All records, in the order in which they were first written."""

    records: tuple[Record, ...]


@message
class ClearStore:
    """The framework has ended: forget everything."""


@message
class StorageTrouble:
    """A transaction failed and is being tried again; nothing in it was acknowledged."""

    reason: str


# --- the server ------------------------------------------------------------------------------------------------


@message
class OpenServer:
    """Ask the server to listen; the reply is `ServerReady`.

    Attributes:
        port: where an earlier run listened, taken again if it is free and no port is set; or 0.
    """

    port: int = 0


@message
class ServerReady:
    """The server listens.

    Attributes:
        url: as agents reach it, without a trailing slash.
        artifacts: (executor name, artifact URL).
    """

    url: str
    upload_dir: str
    artifacts: tuple[tuple[str, str], ...]
    port: int


@message
class Uploaded:
    """An executor has uploaded a file; it is complete and lies at `path`."""

    name: str
    path: str
    size: int
    content_type: str
    url: str
    task_id: TaskId | None = None


# --- the framework as a whole ----------------------------------------------------------------------------------


@message
class Begin:
    """Start working; the root tells the scheduler once everything that the author wants is set up."""


@message
class Connect:
    """Subscribe, as the framework with that id where there is one; offers go to the actor named."""

    framework_id: FrameworkId | None = None
    offers_to: str = "offers"


@message
class ActorStarted:
    """A built-in actor is ready: for the first time, or again after a restart."""

    name: str


@message
class ShutdownRequested:
    """Somebody (a signal) asks the framework to end gracefully."""

    reason: str


@message
class FrameworkError:
    """The master ended the framework's subscription for good, or will never take it: there is no way on."""

    reason: str
    framework_gone: bool = False


@message
class TeardownDone:
    """The master has taken the TEARDOWN, or cannot be told."""

    reason: str = ""


@message
class HookFailed:
    """An author's callback raised; nothing else came of it."""

    hook: str
    error: str
    traceback: str


@message
class Outcome:
    """How the framework ended; `exit_code` is the process's."""

    exit_code: int
    reason: str
