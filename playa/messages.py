"""What master and agents say to each other: the embedded cluster's own version of Mesos's internal protocol.

In Mesos these are the messages of `messages.proto` (not part of the V1 API); here they are actor messages with the same
names where there is one, and protobuf payloads of the V1 API as bytes. Like those, they are not answered and may be
lost: who needs certainty sends again.

Ids are plain strings here, as on the wire. An executor id that is not there is the empty string.
"""

from actors.runtime import message

# --- Agent → master -------------------------------------------------------------------------------------------


@message
class RegisterAgent:
    """An agent that has no id yet asks for one; asked again until answered.

    Attributes:
        agent: The agent actor's name ("agent:1"), where answers go.
        agent_info: `mesos.v1.AgentInfo` with hostname, port, resources, attributes, domain; no id.
        pid: As Mesos writes it: `slave(1)@127.0.0.1:5051`.
    """

    agent: str
    agent_info: bytes
    pid: str


@message
class ReregisterAgent:
    """An agent with an id comes back: to a new master, after a restart of its own, or after an interruption.

    Attributes:
        total_resources: `mesos.v1.Resource` each: with the reservations and volumes that the agent checkpointed.
        frameworks: `mesos.v1.FrameworkInfo` each, of every framework with an executor or a task here.
        executors: `mesos.v1.ExecutorInfo` each, with framework id; without those of command tasks.
        tasks: `mesos.v1.Task` each, as the agent knows it: state is the latest, status_update_state and
            status_update_uuid are of the update that the agent is sending. Terminal ones that are not acknowledged too.
        operations: `mesos.v1.Operation` each, not acknowledged yet.
    """

    agent: str
    agent_info: bytes
    pid: str
    total_resources: tuple[bytes, ...]
    frameworks: tuple[bytes, ...]
    executors: tuple[bytes, ...]
    tasks: tuple[bytes, ...]
    operations: tuple[bytes, ...]


@message
class UnregisterAgent:
    """The agent ends in an orderly way and does not come back with this id."""

    agent_id: str


@message
class AgentUpdate:
    """A status update on its way to the scheduler; sent again by the agent until it is acknowledged.

    Attributes:
        executor_id: Whose task it is; empty for a command task or when there is no executor.
        status: `mesos.v1.TaskStatus` with uuid, as it goes to the scheduler.
        latest_state: Name of the task's newest state, which may be further than this update's.
    """

    agent_id: str
    framework_id: str
    executor_id: str
    status: bytes
    latest_state: str


@message
class ExitedExecutor:
    """An executor's process ended; becomes FAILURE. `status` is what wait(2) gave (1792 for exit code 7)."""

    agent_id: str
    framework_id: str
    executor_id: str
    status: int


@message
class ExecutorMessage:
    """A framework message from an executor to its scheduler; becomes MESSAGE."""

    agent_id: str
    framework_id: str
    executor_id: str
    data: bytes


@message
class OperationUpdate:
    """The state of an operation; sent again until acknowledged if the operation has an id.

    Attributes:
        framework_id: For whom it is; empty for an operator's.
        operation_uuid: The 16 bytes that the master gave in `ApplyOperation`.
        status: `mesos.v1.OperationStatus`, with uuid if it wants an acknowledgement, with agent id and operation id.
        latest_status: The same message in its newest state.
    """

    agent_id: str
    framework_id: str
    operation_uuid: bytes
    status: bytes
    latest_status: bytes


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
class TaskToReconcile:
    """A task that the master knows and the agent did not name."""

    framework_id: str
    task_id: str


@message
class AgentReregistered:
    """The agent is known again.

    `reconcile` names tasks that the master has and the agent did not report; for each one that the agent
    does not have, it sends TASK_DROPPED (`REASON_RECONCILIATION`, "Reconciliation: task unknown to agent").
    """

    agent_id: str
    total_ping_timeout: float
    reconcile: tuple[TaskToReconcile, ...]


@message
class Ping:
    """Answered with `Pong`. When `connected` is False the master takes the agent for lost: it has to re-register."""

    connected: bool


@message
class RunTask:
    """Launch a task. `framework_info`: `mesos.v1.FrameworkInfo` with id; `task`: `mesos.v1.TaskInfo`.

    Every resource in them has its `allocation_info`, and the executor (if it has one) its framework id.
    """

    framework_info: bytes
    task: bytes


@message
class RunTaskGroup:
    """Launch a task group. `executor`: `mesos.v1.ExecutorInfo`; `task_group`: `mesos.v1.TaskGroupInfo`."""

    framework_info: bytes
    executor: bytes
    task_group: bytes


@message
class KillTask:
    """Kill a task. `kill_policy`: `mesos.v1.KillPolicy`, None when the call had none."""

    framework_id: str
    task_id: str
    kill_policy: bytes | None


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
    """Apply an operation to the agent's resources and checkpoint them.

    Attributes:
        framework_id: Empty for an operator's.
        operation: `mesos.v1.Offer.Operation`; with its id the agent has to report the outcome until it is acknowledged.
        operation_uuid: 16 bytes by which master and agent know the operation.
    """

    framework_id: str
    operation: bytes
    operation_uuid: bytes


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
    """Kill everything that runs; `config`: `mesos.v1.DrainConfig`. Told again when the agent comes back."""

    config: bytes


@message
class ShutdownAgent:
    """End the agent: it kills its executors and does not come back with this id. `reason` is for the log."""

    reason: str


# --- Cluster → agent (faults) ---------------------------------------------------------------------------------


@message
class Silence:
    """Fault: the agent neither answers pings nor sends anything for so many seconds (None: until told otherwise)."""

    seconds: float | None
