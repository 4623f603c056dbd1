"""What master and agents say to each other: the embedded cluster's own version of Mesos's internal protocol.

In Mesos these are the messages of `messages.proto` (not part of the V1 API); here they are actor messages with the same
names where there is one, and with messages of the V1 API (named beside the field) as bytes. Like those, they are not
answered and may be lost: who needs certainty sends again.

Ids are plain strings here, as on the wire. An executor id that is not there is the empty string.
"""

from actors.runtime import message

# --- Agent → master -------------------------------------------------------------------------------------------


@message
class RegisterAgent:
    """An agent that has no id yet asks for one; asked again until answered."""

    agent: str  # the agent actor's name ("agent:1"), where answers go
    agent_info: bytes  # AgentInfo with hostname, port, resources, attributes, domain; no id
    pid: str  # as Mesos writes it: `slave(1)@127.0.0.1:5051`


@message
class ReregisterAgent:
    """An agent with an id comes back: to a new master, after a restart of its own, or after an interruption.

    Its tasks are as the agent knows them: state is the latest, status_update_state and status_update_uuid are of the update
    that the agent is sending.
    """

    agent: str
    agent_info: bytes
    pid: str
    total_resources: tuple[bytes, ...]  # Resource, with reservations and volumes that the agent checkpointed
    frameworks: tuple[bytes, ...]  # FrameworkInfo of every framework with an executor or a task here
    executors: tuple[bytes, ...]  # ExecutorInfo with framework id; without those of command tasks
    tasks: tuple[bytes, ...]  # Task: terminal ones that are not acknowledged too
    operations: tuple[bytes, ...]  # Operation: not acknowledged yet


@message
class UnregisterAgent:
    """The agent ends in an orderly way and does not come back with this id."""

    agent_id: str


@message
class AgentUpdate:
    """A status update on its way to the scheduler; sent again by the agent until it is acknowledged."""

    agent_id: str
    framework_id: str
    executor_id: str  # empty for a command task or when there is no executor
    status: bytes  # TaskStatus with uuid, as it goes to the scheduler
    latest_state: str  # the task's newest state, which may be further than this update's


@message
class ExitedExecutor:
    """An executor's process ended; becomes FAILURE."""

    agent_id: str
    framework_id: str
    executor_id: str
    status: int  # what wait(2) gave: 1792 for exit code 7


@message
class ExecutorMessage:
    """A framework message from an executor to its scheduler; becomes MESSAGE."""

    agent_id: str
    framework_id: str
    executor_id: str
    data: bytes


@message
class OperationUpdate:
    """The state of an operation; sent again until acknowledged if the operation has an id."""

    agent_id: str
    framework_id: str  # empty for an operator's
    operation_uuid: bytes  # that of `ApplyOperation`
    status: bytes  # OperationStatus with agent id and operation id, with uuid if it wants an acknowledgement
    latest_status: bytes  # the same message in its newest state


@message
class Pong:
    """The agent answers a `Ping`."""

    agent_id: str


# --- Master → agent -------------------------------------------------------------------------------------------


@message
class AgentRegistered:
    """The agent's id. It gives the master up when no `Ping` came for `total_ping_timeout` seconds."""

    agent_id: str
    total_ping_timeout: float


@message
class AgentReregistered:
    """The agent is known again.

    Tasks to reconcile are those that the master has and the agent did not report. For each that it does not have it sends TASK_DROPPED (`REASON_RECONCILIATION`).
    """

    agent_id: str
    total_ping_timeout: float
    reconcile: tuple[tuple[str, str], ...]  # framework and task


@message
class Ping:
    """Answered with `Pong`. When `connected` is False the master takes the agent for lost: it has to re-register."""

    connected: bool


@message
class RunTask:
    """Launch a task. Every resource has its `allocation_info`, and the executor (if there is one) its framework id."""

    framework_info: bytes  # FrameworkInfo with id
    task: bytes  # TaskInfo


@message
class RunTaskGroup:
    """Launch a task group."""

    framework_info: bytes
    executor: bytes  # ExecutorInfo
    task_group: bytes  # TaskGroupInfo


@message
class KillTask:
    """Kill a task."""

    framework_id: str
    task_id: str
    kill_policy: bytes | None  # KillPolicy, if the call had one


@message
class UpdateAcknowledged:
    """The scheduler has seen the update with this uuid (16 bytes)."""

    framework_id: str
    task_id: str
    uuid: bytes


@message
class FrameworkMessage:
    """A framework message from the scheduler to an executor; lost if there is no such executor."""

    framework_id: str
    executor_id: str
    data: bytes


@message
class ShutdownExecutor:
    """End an executor: SHUTDOWN, and kill after the grace period."""

    framework_id: str
    executor_id: str


@message
class ShutdownFramework:
    """End all executors of a framework and forget it; nobody waits for its updates any more."""

    framework_id: str


@message
class UpdateFramework:
    """The framework changed its FrameworkInfo (for instance where it checkpoints)."""

    framework_info: bytes


@message
class ApplyOperation:
    """Apply an operation to the agent's resources and checkpoint them."""

    framework_id: str  # empty for an operator's
    operation: bytes  # Offer.Operation; with an id its outcome has to be reported until it is acknowledged
    operation_uuid: bytes  # 16 bytes by which master and agent know it


@message
class OperationAcknowledged:
    """The scheduler has seen the operation's status with this uuid (`status_uuid`, 16 bytes)."""

    framework_id: str
    operation_uuid: bytes
    status_uuid: bytes


@message
class ReconcileOperations:
    """Operations that the master has and the agent did not report: OPERATION_DROPPED for each the agent lacks."""

    operation_uuids: tuple[bytes, ...]


@message
class DrainAgent:
    """Kill everything that runs; told again when the agent comes back."""

    config: bytes  # DrainConfig


@message
class ShutdownAgent:
    """End the agent: it kills its executors and does not come back with this id. `reason` is for the log."""

    reason: str


# --- Cluster → agent (faults) ---------------------------------------------------------------------------------


@message
class Silence:
    """Fault: the agent neither answers pings nor sends anything for so many seconds (None: until told otherwise)."""

    seconds: float | None
