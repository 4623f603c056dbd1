"""The vocabulary of the scheduler side: every message that its actors exchange.

All are frozen, hold only immutable fields and survive the codec, so that each can be traced and replayed. What the master
says is told as `mesos_v1.events` reads it. Not here: what an actor tells only itself (timers, answers of its own
threads), which stands beside that actor, and payloads of tasks, which are the author's.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from operator import attrgetter
from typing import Any

from actors.runtime import Secret, carrier, message, redacted, register, unpack
from mesos_v1 import events, pb
from mesos_v1.errors import classify
from mesos_v1.hiding import hidden
from mesos_v1.resources import Resources
from mesos_v1.values import (
    AgentId,
    ExecutorId,
    FrameworkId,
    MasterInfo,
    OfferId,
    OperationId,
    TaskId,
    TaskStatus,
)
from wire.reliable import Numbered, Taken


def _without_secrets(kind: type[Any]) -> Callable[[bytes], bytes]:
    """What traces show of a serialized message of Mesos: everything but what is secret."""
    return lambda data: hidden(kind, data, redacted)


_without_secrets_in_operation = _without_secrets(pb.mesos.Offer.Operation)


def size_only(value: bytes) -> bytes:
    """What traces show of bytes that were, or will be, traced in another form."""
    return b"(%d bytes)" % len(value)


TASK_PREFIX, OPERATION_PREFIX = "task:", "operation:"
"""What the names of the actors of tasks and operations begin with."""


# --- what the master says -----------------------------------------------------------------------------------

ROUTES: Mapping[type, str] = {
    events.Offers: "offers",
    events.Rescind: "offers",
    events.InverseOffers: "scheduler",
    events.RescindInverseOffer: "scheduler",
    events.Update: "scheduler",
    events.UpdateOperationStatus: "scheduler",
    events.Message: "scheduler",
}
"""Which actor each event is handed on to, as it is. Only FAILURE is two kinds of news."""
for _event in ROUTES:
    register(_event)


@message
class Subscribed:
    """The master has taken the subscription; offers that were held before are void."""

    framework_id: FrameworkId
    heartbeat_interval: float
    master: MasterInfo | None
    reregistered: bool
    suppressed_roles: tuple[str, ...] = ()  # the roles that SUBSCRIBE said want no offers


@message
class StillSubscribed:
    """The subscription that there was before the broker's restart lives on."""


@message
class Disconnected:
    """The subscription is gone; the connection is already coming back by itself."""

    reason: str


@message
class AgentsSeen:
    """Agents that offers told of for the first time, or at a new address: (id, host name, URL)."""

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


# --- what the master is told: one message per call of the Scheduler HTTP API, and its outcome ---------------


@message
class Accept:
    """ACCEPT: `operations` are serialized `Offer.Operation`s; `attempts` of `askers` (pairwise: actors) leave with it."""

    offer_ids: tuple[OfferId, ...]
    operations: tuple[bytes, ...] = carrier(
        lambda operations: [_without_secrets_in_operation(each) for each in operations]
    )
    refuse_seconds: float
    attempts: tuple[TaskId, ...] = ()
    askers: tuple[str, ...] = ()


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
    resource_provider_id: str | None = None


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
    """UPDATE_FRAMEWORK: a serialized `FrameworkInfo`, and what the call would clear if it were left out of it."""

    framework_info: bytes
    suppressed_roles: tuple[str, ...] | None = None  # None leaves them as they are, also below
    offer_constraints: bytes | None = None  # serialized `OfferConstraints`


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
    EXPIRED = "it never left: there was no subscription to send it with"


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
        # Wrong credentials are not the call's fault: an operator may mend them.
        return CallFate.BUSY if meaning.retryable or meaning.unauthorized else CallFate.REFUSED


# --- what is reserved, and what changes it ------------------------------------------------------------------


class ChangeKind(StrEnum):
    """What an operation does, as the author's commands are called."""

    RESERVE = "reserve"
    UNRESERVE = "unreserve"
    CREATE_VOLUME = "create_volume"  # RESERVE and CREATE in one ACCEPT
    DESTROY_VOLUME = "destroy_volume"  # DESTROY and UNRESERVE
    GROW_VOLUME = "grow_volume"  # RESERVE and GROW_VOLUME
    SHRINK_VOLUME = "shrink_volume"  # UNRESERVE of what it frees follows by itself


@message
class Holding:
    """A reservation or a persistent volume on an agent: it stays, whatever happens to tasks, until it is freed.

    Attributes:
        holding_id: as `reserve` or `create_volume` returned it; a label of each of its reservations, too.
        resources: what it is, reservations and all, as the agent has them.
        path: where a task finds a volume in its sandbox; "" for a reservation.
        task_id: whose volume it is, and with which it ends; None where the author decides.
        replace_after: seconds without its agent after which a task that waits for it gets a new volume; None: never.
    """

    holding_id: str
    role: str
    resources: Resources
    agent_id: AgentId
    hostname: str
    path: str = ""
    task_id: TaskId | None = None
    replace_after: float | None = None

    @property
    def is_volume(self) -> bool:
        """Whether it is a persistent volume."""
        return bool(self.path)

    @property
    def what(self) -> str:
        """What it is, in a few words, without the reservations."""
        if self.is_volume:
            return f"a volume of {self.resources.disk:g} MB"
        return str(self.resources.to_unreserved())


@message
class Change:
    """An operation that waits for an offer: what is to be done to which holding.

    Attributes:
        labels: of the reservations that it makes, by which they are known again.
        less: megabytes by which a volume shrinks.
        room: what must be free on the agent besides, for the task that the volume is for.
    """

    kind: ChangeKind
    holding_id: str
    principal: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    path: str = ""
    less: float = 0.0
    room: Resources = Resources()
    task_id: TaskId | None = None
    replace_after: float | None = None


@message
class KnowHolding:
    """Tell the broker of a holding: as it is (None: there is none, or not yet), and whether an operation changes it."""

    holding_id: str
    holding: Holding | None
    changing: bool = False


@message
class Leaked:
    """Something is offered that bears the framework's label and is no holding of its; `label` says whose it was."""

    holding: Holding
    label: str


@message
class HoldingMissing:
    """A task has waited for its volume for as long as it may, and its agent has offered nothing; what it asked for besides."""

    holding_id: str
    room: Resources
    hosts: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


@message
class CannotLaunch:
    """Tell a task's actor that its task can never be launched: it has failed."""

    reason: str


@message
class CancelOperation:
    """Ask an operation's actor to give up, if its ACCEPT has not left."""


# --- demands, placements, and why something waits -----------------------------------------------------------


@message
class Demand:
    """A task, or an operation, that waits for an offer; `task_id` is the operation's own id, then."""

    task_id: TaskId
    attempt_id: TaskId
    order: int  # first come, first served: the lowest number first
    role: str
    resources: Resources
    ports: int
    executor: str  # name of the executor, or "" for a command task
    # the serialized `TaskInfo` without agent, resources and executor
    info: bytes = carrier(_without_secrets(pb.mesos.TaskInfo))
    hosts: tuple[str, ...] = ()  # host names to which the task is bound; none means anywhere
    # agent attributes that must be there with this text, as (name, value)
    attributes: tuple[tuple[str, str], ...] = ()
    # the broker's own mark: with so many tasks in one ACCEPT at most, since the master has refused one with
    # more; 0 means no such bound
    most_together: int = 0
    agent_id: AgentId | None = None  # the only agent that will do
    holding: str = ""  # the volume that the task is to have
    change: Change | None = None  # what an operation is to do

    @property
    def asker(self) -> str:
        """The name of the actor that demands it."""
        return f"{TASK_PREFIX if self.change is None else OPERATION_PREFIX}{self.task_id}"


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
    holding: Holding | None = None  # what an operation leaves behind if it succeeds


@message
class ResourcesFreed:
    """A task has ended: what it used can be offered again."""


@message
class NotLaunched:
    """The ACCEPT came to nothing, and the master knows nothing of the attempt."""

    attempt_id: TaskId
    reason: str


@message
class LaunchRefused:
    """The master refuses the ACCEPT of this attempt alone, for good: the attempt cannot be launched."""

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
    info: bytes = carrier(_without_secrets(pb.mesos.ExecutorInfo))


@message
class UseExecutors:
    """The executors of the framework, told to the broker before the first demand."""

    executors: tuple[ExecutorTemplate, ...]


@message
class HoldLaunches:
    """Tell the broker to launch nothing for a while, and to give back what it holds. Each who holds lets go for himself.

    Attributes:
        who: holds.
        reason: in words for whoever asks why a task waits; empty: lets go.
    """

    who: str
    reason: str = ""


@message
class StopLaunching:
    """Tell the broker that the framework ends: what waits, and what is tried again now, is launched no more."""


@message
class OpenGate:
    """The master has answered for all tasks of an earlier run, or has had its time: new ones may be launched."""


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
    operation: str = ""  # the kind of the operation that waits; "" for tasks


@message
class PendingReport:
    """The broker's answer to `WhyPending`."""

    waiting: int
    suppressed_roles: tuple[str, ...]
    groups: tuple[PendingGroup, ...]


# --- the life of tasks, and their reconciliation ------------------------------------------------------------

DRAINING = "REASON_AGENT_DRAINING"  # Mesos's reason when the operator drains the agent
MOVED = "moved"  # our own, when an attempt is ended because its agent goes down for maintenance


class TaskPhase(StrEnum):
    """Where a task is, as the scheduler sees it."""

    __hash__ = str.__hash__  # Enum's own is written in Python, and tables are looked into for every update

    WAITING = "waiting"  # its demand is with the broker
    LAUNCHING = "launching"  # the ACCEPT has left; nothing heard of it yet
    STAGING = "staging"  # known to the master or the agent, not started
    RUNNING = "running"  # TASK_STARTING or TASK_RUNNING
    UNREACHABLE = "unreachable"  # its agent is partitioned away
    WITHDRAWING = "withdrawing"  # a kill was asked for; whether the ACCEPT has left, only the broker knows
    KILLING = "killing"  # KILL sent, again and again, until a terminal update
    BACKING_OFF = "backing off"  # the last attempt failed; the next one is due later
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


TERMINAL_PHASES = frozenset({TaskPhase.FINISHED, TaskPhase.FAILED, TaskPhase.KILLED})
ON_CLUSTER = frozenset(
    {TaskPhase.LAUNCHING, TaskPhase.STAGING, TaskPhase.RUNNING, TaskPhase.UNREACHABLE, TaskPhase.KILLING}
)
"""Phases in which an attempt may exist on an agent, so that reconciliation asks about it."""


@message
class KillTask:
    """Ask a task actor to end its task."""

    grace: float | None = None


@message
class MoveTask:
    """Ask a task actor to run its task elsewhere, if it is on that agent; it costs the task no attempt."""

    agent_id: AgentId
    reason: str


@message
class TaskChanged:
    """A task is in another phase, or there is news of it; what the author's `on_task_update` gets.

    Attributes:
        attempt: which one it is, counted from 1.
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
    last_attempt: int = 1  # its number: above `attempts` when a task with this id has ended before


@message
class GivenUp:
    """A task that has failed for good, as it is remembered for a while.

    Attributes:
        attempts: how many were made.
        state: the Mesos state of the last attempt, such as "TASK_FAILED".
        reason: Mesos's reason, such as "REASON_COMMAND_EXECUTOR_FAILED", or "timeout".
        message: one line that says what went wrong.
        executor: name of the executor, or "" for a command.
        agent_id: where the last attempt was, if it was anywhere.
        when: in seconds since 1970.
    """

    task_id: TaskId
    name: str
    attempts: int
    state: str
    reason: str
    message: str
    executor: str
    agent_id: AgentId | None
    when: float


@message
class AskGivenUp:
    """Which tasks have failed for good lately? The reply is `GivenUpTasks`."""


@message
class GivenUpTasks:
    """The tasks that have failed for good and are remembered, oldest first."""

    tasks: tuple[GivenUp, ...]


@message
class BrokerRestarted:
    """The broker has been restarted and knows no demand: each waiting task demands again."""


@message
class StartReconciliation:
    """Begin a round now: the subscription is new, or an actor asks for it."""

    gated: bool = (
        False  # launches wait for what it brings up: `OpenGate` says that they need not wait any more
    )


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
    """The master knows a task of this framework that is unknown here."""

    status: TaskStatus


@message
class OperationDone:
    """The outcome of an operation with an id: "finished", "failed" or "lost".

    Attributes:
        attempts: under so many ids it was sent; 0 for one that the author has sent.
        holding: what there is now, if it has finished.
        state: Mesos's, such as "OPERATION_ERROR", or "" where Mesos said nothing.
    """

    operation_id: OperationId
    phase: str
    attempts: int = 0
    holding: Holding | None = None
    agent_id: AgentId | None = None
    hostname: str = ""
    state: str = ""
    message: str = ""


# --- the store, the server, and the framework as a whole ----------------------------------------------------


@message
class Record:
    """One durable record; `kind` and `key` together are unique."""

    kind: str
    key: str
    value: bytes = carrier(size_only)


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
class WriteRefused:
    """The write with that reference will never be stored: a record of it is too large."""

    reference: int
    reason: str


@message
class Load:
    """Ask the store for what it has of one key; or, part by part, for everything. The reply is `Loaded`."""

    key: str | None = None
    after: int = 0  # where the part ended that was loaded before, if everything is asked for


@message
class Loaded:
    """What was asked for, in the order in which it was first written."""

    records: tuple[Record, ...]
    after: int = 0  # where the next part begins; 0: there is no more


@message
class StorageTrouble:
    """A write was refused, or has failed and is tried until it succeeds, which is said once; nothing in it was acknowledged."""

    reason: str


@message
class StoreAway:
    """The store cannot write, for that reason, and tries again; or, without a reason, it can again."""

    reason: str = ""


@message
class OpenServer:
    """Ask the server to listen; the reply is `ServerReady`."""

    port: int = 0  # where an earlier run listened, taken again if it is free and no port is set; or 0


@message
class ServerReady:
    """The server listens."""

    url: str  # as agents reach it, without a trailing slash
    upload_dir: str
    artifacts: tuple[tuple[str, str], ...]  # (executor name, artifact URL)
    port: int


@message
class Uploaded:
    """An executor has uploaded a file; it is complete and lies at `path`.

    Attributes:
        key: of its record in the store, until the author has been told.
    """

    name: str
    path: str
    size: int
    content_type: str
    url: str
    task_id: TaskId | None = None
    key: str = ""


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
class AskHealth:
    """Is all well? The reply is `Health`."""


@message
class Health:
    """Whether that actor does its job: the scheduler is subscribed, the store can write."""

    well: bool


@message
class ShutdownRequested:
    """Somebody (a signal) asks the framework to end gracefully."""

    reason: str


@message
class FrameworkError:
    """The master ended the framework's subscription for good, or will never take it."""

    reason: str
    framework_gone: bool  # the master says that it has removed the framework
    # it said so when we subscribed again, not to a scheduler that was there: its patience was over
    coming_back: bool


@message
class TeardownDone:
    """The framework is gone from the master; or, with a reason, the master could not be told of its end."""

    answered: bool = True
    reason: str = ""


@message
class HookFailed:
    """An author's callback raised; nothing else came of it."""

    hook: str
    error: str
    traceback: str


@message
class AskProgress:
    """Ask the scheduler how far it is; answered by `Progress`."""


@message
class Progress:
    """How far the framework is, as its user is told."""

    subscribed: bool
    ending: bool
    phases: tuple[tuple[str, int], ...] | None  # how many tasks there are in each; None if not counted
    # whether offers have come since it was subscribed; None where they are not the author's to accept
    offered: bool | None = None


@message
class Outcome:
    """How the framework ended; `exit_code` is the process's."""

    exit_code: int
    reason: str


@message
class ClearStore:
    """The framework has ended: forget everything, and let those that stand by know how, if they are to end too."""

    outcome: Outcome | None = None


# --- who leads, where several processes share a store ---------------------------------------------------------


@message
class Won:
    """The election has made this process the leader: the root starts the framework.

    Attributes:
        epoch: version of the leader's key; whoever leads later has another one, and news of another epoch is void.
        until: as of `Leading`.
        waited: seconds since this process began to stand for election.
        followed: whether another one has led meanwhile.
        token: what executors show when they upload, whoever leads.
    """

    epoch: int
    until: float
    waited: float
    followed: bool
    token: Secret


@message
class Elected:
    """This process leads from now on; what the author's `on_elected` gets.

    Attributes:
        epoch: whoever leads later has another one.
        waited: seconds for which it had stood for election.
        followed: whether another process has led meanwhile.
        resumed: tasks that were taken over from whoever led before.
    """

    epoch: int
    waited: float = 0.0
    followed: bool = False
    resumed: int = 0


@message
class Deposed:
    """This process leads no more, and what it remembers as the leader ends; what the author's `on_deposed` gets."""

    epoch: int
    reason: str


@message
class Fenced:
    """The store has refused a batch, as another process leads or has led since; the store tells the election."""

    epoch: int
    reason: str


@message
class Leading:
    """The lease holds until that time of the clock: until then, and no longer, may anything be sent or acknowledged."""

    epoch: int
    until: float


@message
class Begin:
    """Start working; the root tells the scheduler once everything that the author wants is set up."""

    elected: Elected | None = None  # where there was an election


@message
class AskLeading:
    """Ask the election to renew the lease of that epoch now; answered by `Leading`, or with why it is not."""

    epoch: int


# --- what the hooks of an author's scheduler are given; payloads and results are decoded when they are looked at ---------


@message
class Registered:
    """The framework is subscribed: for the first time, or again.

    Attributes:
        resumed: tasks that were taken over from an earlier run of the scheduler.
    """

    framework_id: FrameworkId
    master: MasterInfo | None
    resumed: int = 0


@message
class MessageSource:
    """Which executor a framework message came from, or is for; `executor` is its name in the configuration, if it is ours."""

    agent_id: AgentId
    executor_id: ExecutorId
    executor: str


@message
class TaskFinished:
    """A task has finished; its outcome is stored and will be told again should the scheduler die in this hook.

    Attributes:
        data: the result as it came, packed; b"" when there is none.
    """

    task_id: TaskId
    name: str
    attempts: int
    payload_data: bytes
    data: bytes
    executor: str
    agent_id: AgentId | None
    executor_id: ExecutorId | None

    @property
    def payload(self) -> Any:
        """The payload that the task was launched with; None when there was none."""
        return unpack(self.payload_data).message if self.payload_data else None

    @property
    def result(self) -> Any:
        """What the executor returned; for a command task the raw bytes; None when there is nothing."""
        if not self.data:
            return None
        return unpack(self.data).message if self.executor else self.data


@message
class TaskFailure:
    """A task has failed for good, or was killed; `attempts` were made.

    Attributes:
        state: the Mesos state of the last attempt, such as "TASK_FAILED".
        reason: Mesos's reason, such as "REASON_COMMAND_EXECUTOR_FAILED", or "timeout".
        message: one line that says what went wrong.
        killed: whether the author asked for it.
    """

    task_id: TaskId
    name: str
    attempts: int
    payload_data: bytes
    executor: str
    state: str
    reason: str
    message: str
    agent_id: AgentId | None
    executor_id: ExecutorId | None
    killed: bool = False

    @property
    def payload(self) -> Any:
        """The payload that the task was launched with; None when there was none."""
        return unpack(self.payload_data).message if self.payload_data else None


@message
class OperationFinished:
    """An operation has been carried out; stored, and told again should the scheduler die in this hook.

    Attributes:
        kind: which command it was: "reserve", "create_volume", ….
        holding_id: what it was about; the id of a `reserve` or a `create_volume` itself.
        holding: the reservation or volume as it is now; None when it was freed.
    """

    operation_id: OperationId
    kind: ChangeKind
    holding_id: str
    holding: Holding | None
    agent_id: AgentId | None
    hostname: str


@message
class OperationFailure:
    """An operation has failed for good, and nothing has changed; see `OperationFinished`.

    Attributes:
        state: Mesos's, such as "OPERATION_ERROR"; "" where the operation was cancelled, or the master refused the call.
        message: one line that says why.
    """

    operation_id: OperationId
    kind: ChangeKind
    holding_id: str
    agent_id: AgentId | None
    hostname: str
    state: str
    message: str


_WHAT, _WHERE = ("task_id", "name", "attempts", "payload"), ("agent_id", "executor_id")
_OF_FINISHED = attrgetter(*_WHAT, "result", "executor", *_WHERE)
_OF_FAILED = attrgetter(*_WHAT, "executor", "state", "reason", "message", *_WHERE)


def finished(done: TaskDone) -> TaskFinished:
    """Return the author's view of a finished task."""
    return TaskFinished(*_OF_FINISHED(done))


def source_of(agent_id: AgentId, executor_id: ExecutorId) -> MessageSource:
    """Return the author's view of an executor; the broker has put its name before a dash."""
    return MessageSource(agent_id, executor_id, executor_id.rpartition("-")[0] or executor_id)


def failed(done: TaskDone, *, killed: bool) -> TaskFailure:
    """Return the author's view of a task that failed or was killed."""
    return TaskFailure(*(*_OF_FAILED(done), killed))


# --- reliable framework messages ----------------------------------------------------------------------------


@message
class SendReliably:
    """Bring a message, which is stored, to an executor, or tell that it could not be; numbers grow, also from run to run."""

    number: int
    agent_id: AgentId
    executor_id: ExecutorId
    data: bytes = carrier(redacted)


@message
class FromExecutor:
    """What an executor says so that messages arrive."""

    source: MessageSource
    said: Numbered | Taken


@message
class ReliableMessage:
    """A message of an executor whose turn it is; answered by `MessageTold` when the author has had it."""

    source: MessageSource
    instance: str
    number: int
    data: bytes = carrier(redacted)


@message
class MessageTold:
    """The author has had that message and all before it, and this is stored; or it cannot be read, and why."""

    source: MessageSource
    instance: str
    number: int
    refusal: str = ""


@message
class Undelivered:
    """A message was not acknowledged and is not repeated any more: it may have arrived or not."""

    number: int
    target: MessageSource
    reason: str
    data: bytes = carrier(redacted)


@message
class ResumeMessages:
    """What the store has of messages, to continue from."""

    records: tuple[Record, ...]
    subscribed: bool


@message
class ExecutorsGone:
    """The framework is another one from now on: none of its executors is left."""

    reason: str


AboutMessages = tuple[SendReliably | MessageTold, ...]
"""What is told to the actor of messages when it is stored."""
