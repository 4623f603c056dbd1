"""The environment that an agent gives to executors and tasks: as recorded from a Mesos 1.12 agent (`MESOS_*`, `LIBPROCESS_*`).

Nothing is inherited from the cluster's own environment (Mesos documentation, "Executor HTTP API", "Environment Variables").
"""

from collections.abc import Mapping
from typing import Final

from mesos_v1 import pb
from mesos_v1.quantities import mesos_duration
from playa.agent.records import ExecutorRecord
from playa.settings import AgentSettings

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _agent_wide(settings: AgentSettings) -> dict[str, str]:
    """The variables that all executors and tasks of an agent get."""
    return dict((*(settings.executor_environment or ()), *settings.environment))


def executor_environment(
    executor: ExecutorRecord, settings: AgentSettings, agent_id: str, port: int, domain_socket: str = ""
) -> dict[str, str]:
    """The variables of an executor's process; those of its command win over the agent-wide ones."""
    endpoint, grace = f"{settings.ip}:{port}", settings.executor_shutdown_grace_period
    environment = {
        "PATH": DEFAULT_PATH,
        **_agent_wide(settings),
        "LIBPROCESS_IP": settings.ip,
        "LIBPROCESS_PORT": "0",
        "MESOS_FRAMEWORK_ID": executor.run.framework_id,
        "MESOS_EXECUTOR_ID": executor.run.executor_id,
        "MESOS_DIRECTORY": executor.sandbox,
        "MESOS_SANDBOX": executor.sandbox,
        "MESOS_SLAVE_ID": agent_id,
        "MESOS_SLAVE_PID": f"slave(1)@{endpoint}",
        "MESOS_AGENT_ENDPOINT": endpoint,
        "MESOS_CHECKPOINT": "1" if executor.checkpoint else "0",
        "MESOS_HTTP_COMMAND_EXECUTOR": "0",
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": mesos_duration(executor.shutdown_grace_period(grace)),
    }
    if executor.checkpoint:
        backoff = settings.executor_reregistration_timeout
        environment["MESOS_RECOVERY_TIMEOUT"] = mesos_duration(settings.recovery_timeout)
        environment["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = mesos_duration(backoff)
    if domain_socket:
        environment["MESOS_DOMAIN_SOCKET"] = domain_socket
    if executor.token:
        environment["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"] = executor.token
    environment.update(_variables(executor.info.command.environment))
    return environment


def task_environment(executor: Mapping[str, str], task: pb.mesos.TaskInfo) -> dict[str, str]:
    """The variables of a command task: its executor's, its own, and the role it was allocated to."""
    own = _variables(task.command.environment)
    return {**executor, **own, "MESOS_ALLOCATION_ROLE": _role(task)}


def nested_environment(task: pb.mesos.TaskInfo, settings: AgentSettings, sandbox: str) -> dict[str, str]:
    """The variables of a task of a group: a container of its own that inherits nothing from its executor."""
    return {
        "PATH": DEFAULT_PATH,
        **_agent_wide(settings),
        "MESOS_SANDBOX": sandbox,
        **_variables(task.command.environment),
        "MESOS_CONTAINER_IP": settings.ip,
        "MESOS_ALLOCATION_ROLE": _role(task),
    }


def _role(task: pb.mesos.TaskInfo) -> str:
    return task.resources[0].allocation_info.role if task.resources else "*"


def _variables(environment: pb.mesos.Environment) -> dict[str, str]:
    """The plain variables of an Environment message; secrets need a secret resolver, which is not here."""
    secret = pb.mesos.Environment.Variable.SECRET
    return {v.name: v.value for v in environment.variables if v.type != secret}
