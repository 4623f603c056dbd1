"""What the actors inside one agent say to each other; protobuf payloads (V1 messages) travel as bytes, as in `playa.messages`."""

from collections.abc import Mapping

from actors.runtime import message


@message
class ExecutorRun:
    """One run of one executor: it may have had another container before."""

    framework_id: str
    executor_id: str
    container_id: str


@message
class ContainerStarted:
    """The executor's process runs. `task_id` is empty but for a task of a built-in executor."""

    run: ExecutorRun
    task_id: str
    pid: int
    started: int


@message
class ContainerLaunchFailed:
    """It could not be started; nothing of it is left. `why` is for people."""

    run: ExecutorRun
    why: str


@message
class ContainerExited:
    """The executor ended. `status` is its wait status, None if nobody could know it."""

    run: ExecutorRun
    status: int | None


@message
class BuiltInSubscribed:
    """A built-in executor is ready for its tasks."""

    run: ExecutorRun


@message
class BuiltInUpdate:
    """A status (`mesos.v1.TaskStatus`) of a task of a built-in executor; `pid` is of the task's process while it has one."""

    run: ExecutorRun
    status: bytes
    pid: int | None


@message
class ExecutorCalled:
    """A well-formed `mesos.v1.executor.Call` that came over HTTP; answered with `CallAnswer`."""

    call: bytes
    stream: int  # under which key the site keeps the stream of a SUBSCRIBE
    claims: Mapping[str, str] | None  # of the bearer token, where the agent asks for one


@message
class CallAnswer:
    """Status and text of the answer; a SUBSCRIBE that is answered 200 gets its stream."""

    status: int
    text: str = ""


@message
class OperatorCalled:
    """A reading call of this `mesos.v1.agent.Call.Type`; answered with the `Response`, None if it is not one of them."""

    kind: int


@message
class QueryState:
    """An operator reads `/state`; answered with its JSON."""


@message
class AgentCannotStart:
    """An agent has no port to listen on, or no folder to work in; `why` is for people."""

    agent: str
    why: str


@message
class DestroyContainer:
    """Kill all of it now."""


@message
class LaunchTasks:
    """Run a command task, or the tasks of a group (`mesos.v1.TaskInfo` each)."""

    tasks: tuple[bytes, ...]


@message
class KillRun:
    """Kill one task. `grace_period` in seconds; None: the task's own, or 3 s."""

    task_id: str
    grace_period: float | None


@message
class UpdateHandled:
    """The agent has taken the update in (ACKNOWLEDGED, for an executor over HTTP)."""

    uuid: bytes


@message
class ShutDown:
    """End all tasks, then yourself. `grace_period`: seconds until they are killed."""

    grace_period: float


@message
class RegistrationDue:
    """Try to (re-)register with the master: `tries` times it was tried since the search (`series`) began."""

    series: int
    tries: int


@message
class PingOverdue:
    """No ping for too long: the master has given this agent up."""


@message
class ResendDue:
    """An update, of a task or of an operation, may have waited long enough for its acknowledgement."""

    operation: bool
    framework_id: str
    task_id: str
    uuid: bytes


@message
class RegistrationOverdue:
    """An executor may have taken too long to subscribe."""

    run: ExecutorRun


@message
class ShutdownOverdue:
    """An executor may have taken too long to end."""

    run: ExecutorRun


@message
class RecoveryOver:
    """Surviving executors had their time to come back."""


@message
class HeartbeatExecutors:
    """HEARTBEAT to every executor."""


@message
class CollectGarbage:
    """A sandbox may go."""

    sandbox: str


@message
class SilenceOver:
    """A fault on demand ends."""


@message
class SimulatedDue:
    """A simulated task has reached its end, if it is still there."""

    number: int


@message
class Escalate:
    """A task that was told to end may still be there."""

    task_id: str


@message
class CompletionOverdue:
    """A task has used up its max_completion_time."""

    task_id: str


@message
class CheckDue:
    """Do a task's check (`health` or not)."""

    task_id: str
    health: bool


@message
class CheckDone:
    """A check's result: `mesos.v1.CheckStatusInfo`, None if it failed to give one."""

    task_id: str
    health: bool
    result: bytes | None
    why: str = ""


@message
class RunPrepared:
    """A task's sandbox is ready (its URIs are there), or why it is not."""

    task_id: str
    why: str | None


@message
class RunEnded:
    """A task's process ended."""

    task_id: str
    status: int | None
