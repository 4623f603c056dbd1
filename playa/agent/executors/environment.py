"""The environment that an agent gives to executors and tasks.

As recorded from a Mesos 1.12 agent (`MESOS_*`, `LIBPROCESS_*`), and nothing of the cluster's own environment but a PATH:
a real agent's executors do not inherit the agent's environment either (Mesos documentation, "Executor HTTP API",
"Environment Variables").
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mesos_v1 import pb
from mesos_v1.quantities import mesos_duration

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class ExecutorPlace:
    """What an executor is told about where it runs.

    Attributes:
        framework_id: Its framework.
        executor_id: Itself.
        agent_id: Its agent.
        agent_pid: `slave(1)@127.0.0.1:5051`.
        agent_endpoint: `127.0.0.1:5051`, where it subscribes.
        ip: The agent's address.
        sandbox: Its working directory.
        checkpoint: Whether it is to wait for its agent to come back.
        recovery_timeout: For how long, in seconds.
        subscription_backoff_max: The longest pause between its attempts, in seconds.
        shutdown_grace_period: How long it has to end when told to, in seconds.
        domain_socket: Path of a socket to use in place of the endpoint's port, empty if there is none.
        token: Bearer token for its calls, empty if the agent asks for none.
    """

    framework_id: str
    executor_id: str
    agent_id: str
    agent_pid: str
    agent_endpoint: str
    ip: str
    sandbox: str
    checkpoint: bool
    recovery_timeout: float
    subscription_backoff_max: float
    shutdown_grace_period: float
    domain_socket: str = ""
    token: str = ""


def executor_environment(
    place: ExecutorPlace,
    *,
    agent_wide: Iterable[tuple[str, str]] = (),
    command: pb.mesos.Environment | None = None,
) -> dict[str, str]:
    """The variables of an executor's process; those of its command win over the agent-wide ones.

    Args:
        place: What the executor is told of its place.
        agent_wide: Variables that all executors of the agent get.
        command: The environment of the executor's (or command task's) CommandInfo.
    """
    environment = dict(agent_wide)
    environment.update(
        {
            "LIBPROCESS_IP": place.ip,
            "LIBPROCESS_PORT": "0",
            "MESOS_FRAMEWORK_ID": place.framework_id,
            "MESOS_EXECUTOR_ID": place.executor_id,
            "MESOS_DIRECTORY": place.sandbox,
            "MESOS_SANDBOX": place.sandbox,
            "MESOS_SLAVE_ID": place.agent_id,
            "MESOS_SLAVE_PID": place.agent_pid,
            "MESOS_AGENT_ENDPOINT": place.agent_endpoint,
            "MESOS_CHECKPOINT": "1" if place.checkpoint else "0",
            "MESOS_HTTP_COMMAND_EXECUTOR": "0",
            "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": mesos_duration(place.shutdown_grace_period),
        }
    )
    if place.checkpoint:
        environment["MESOS_RECOVERY_TIMEOUT"] = mesos_duration(place.recovery_timeout)
        environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = mesos_duration(place.subscription_backoff_max)
    if place.domain_socket:
        environment["MESOS_DOMAIN_SOCKET"] = place.domain_socket
    if place.token:
        environment["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"] = place.token
    environment.update(variables(command))
    environment.setdefault("PATH", DEFAULT_PATH)
    return environment


def task_environment(executor: Mapping[str, str], task: pb.mesos.TaskInfo) -> dict[str, str]:
    """The variables of a command task: its executor's, its own, and the role it was allocated to."""
    environment = dict(executor)
    environment.update(variables(task.command.environment))
    environment["MESOS_ALLOCATION_ROLE"] = _role(task)
    return environment


def nested_environment(
    task: pb.mesos.TaskInfo, *, sandbox: str, ip: str, agent_wide: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """The variables of a task of a group: a container of its own that inherits nothing from its executor."""
    environment = dict(agent_wide)
    environment["MESOS_SANDBOX"] = sandbox
    environment.update(variables(task.command.environment))
    environment["MESOS_CONTAINER_IP"] = ip
    environment["MESOS_ALLOCATION_ROLE"] = _role(task)
    environment.setdefault("PATH", DEFAULT_PATH)
    return environment


def _role(task: pb.mesos.TaskInfo) -> str:
    return task.resources[0].allocation_info.role if task.resources else "*"


def variables(environment: pb.mesos.Environment | None) -> dict[str, str]:
    """The plain variables of an Environment message; secrets need a secret resolver, which is not here."""
    if environment is None:
        return {}
    secret = pb.mesos.Environment.Variable.SECRET
    return {v.name: v.value for v in environment.variables if v.type != secret}
