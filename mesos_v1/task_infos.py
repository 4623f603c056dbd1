"""Builders for what frameworks describe: the framework itself, commands, executors, tasks, checks; from plain values.

They return protobuf, ready for `calls`; what is left out here can be set on the result.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from mesos_v1 import pb
from mesos_v1._reading import encodable, labels_proto
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS, AgentId, ExecutorId, FrameworkId, TaskId, duration_proto

DEFAULT_CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE", "TASK_KILLING_STATE", "RESERVATION_REFINEMENT")
"""What a framework written today should be able to deal with (Mesos: Framework Capabilities)."""


@dataclass(frozen=True, slots=True)
class Uri:
    """A file that the agent's fetcher puts into the sandbox (Mesos: Fetcher)."""

    value: str  # `http://…`, `file://…`, or a path on the agent
    executable: bool = False
    extract: bool = True  # unpack it if it is an archive
    cache: bool = False
    output_file: str | None = None  # its name in the sandbox; None for the last part of the value

    def to_proto(self) -> pb.mesos.CommandInfo.URI:
        """Return it as the API writes it."""
        return pb.mesos.CommandInfo.URI(**asdict(self) | {"cache": self.cache or None})


def framework_info(
    name: str,
    user: str,
    *,
    roles: Iterable[str] = ("*",),
    framework_id: FrameworkId | None = None,
    failover_timeout: float = 0.0,
    checkpoint: bool = False,
    hostname: str | None = None,
    principal: str | None = None,
    webui_url: str | None = None,
    capabilities: Iterable[str] = DEFAULT_CAPABILITIES,
    labels: Iterable[tuple[str, str | None]] = (),
) -> pb.mesos.FrameworkInfo:
    """Describe a framework.

    Args:
        user: Whom its tasks run as; empty lets the master take the user that it runs as itself.
        roles: Whom resources are offered for; with the capability MULTI_ROLE several are possible.
        failover_timeout: Seconds that tasks live on without a scheduler.
        checkpoint: Tasks survive a restart of their agent.
        capabilities: By name; what the framework can deal with.
    """
    kinds = pb.mesos.FrameworkInfo.Capability
    names = tuple(capabilities)
    info = pb.mesos.FrameworkInfo(
        name=encodable(name),
        user=user,
        labels=labels_proto(labels),
        id=None if framework_id is None else pb.mesos.FrameworkID(value=framework_id),
        failover_timeout=failover_timeout,
        checkpoint=checkpoint,
        hostname=hostname,
        principal=principal,
        webui_url=webui_url,
        capabilities=[kinds(type=kinds.Type.Value(each)) for each in names],
    )
    if "MULTI_ROLE" in names:
        info.roles.extend(roles)
    else:
        info.role = next(iter(roles), "*")
    return info


def command_info(
    value: str | None = None,
    *,
    arguments: Iterable[str] = (),
    shell: bool = True,
    environment: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    uris: Iterable[Uri | str] = (),
    user: str | None = None,
) -> pb.mesos.CommandInfo:
    """Describe a command: a line for the shell, or without `shell` the path of a program and all of its argv.

    A URI in plain text is unpacked if it is an archive; `user` runs it instead of the framework's.
    """
    variable = pb.mesos.Environment.Variable
    pairs = environment.items() if isinstance(environment, Mapping) else environment
    variables = [variable(name=name, value=content, type=variable.VALUE) for name, content in pairs]
    return pb.mesos.CommandInfo(
        shell=shell,
        value=value,
        arguments=arguments,
        user=user,
        uris=[(Uri(uri) if isinstance(uri, str) else uri).to_proto() for uri in uris],
        environment=pb.mesos.Environment(variables=variables) if variables else None,
    )


def executor_info(
    executor_id: ExecutorId,
    command: pb.mesos.CommandInfo | None = None,
    *,
    resources: Resources | None = None,
    name: str | None = None,
    data: bytes | None = None,
    framework_id: FrameworkId | None = None,
    shutdown_grace_period: float | None = None,
    labels: Iterable[tuple[str, str | None]] = (),
) -> pb.mesos.ExecutorInfo:
    """Describe an executor: a custom one with a command, the default executor without; `data` comes to it in SUBSCRIBED.

    `resources` are its own, besides its tasks'; between SHUTDOWN and the kill are `shutdown_grace_period` seconds.
    """
    return pb.mesos.ExecutorInfo(
        type=pb.mesos.ExecutorInfo.DEFAULT if command is None else pb.mesos.ExecutorInfo.CUSTOM,
        executor_id=pb.mesos.ExecutorID(value=executor_id),
        framework_id=None if framework_id is None else pb.mesos.FrameworkID(value=framework_id),
        command=command,
        resources=None if resources is None else resources.to_proto(),
        name=encodable(name),
        data=data,
        shutdown_grace_period=duration_proto(shutdown_grace_period),
        labels=labels_proto(labels),
    )


def task_info(
    task_id: TaskId,
    agent_id: AgentId,
    resources: Resources,
    *,
    name: str | None = None,
    executor: pb.mesos.ExecutorInfo | None = None,
    command: pb.mesos.CommandInfo | None = None,
    container: pb.mesos.ContainerInfo | None = None,
    data: bytes | None = None,
    labels: Iterable[tuple[str, str | None]] = (),
    kill_grace_period: float | None = None,
    max_completion_time: float | None = None,
    health_check: pb.mesos.HealthCheck | None = None,
    check: pb.mesos.CheckInfo | None = None,
) -> pb.mesos.TaskInfo:
    """Describe a task, with either an executor or a command (neither in a task group's default executor).

    Args:
        resources: As taken from the offer (see `Resources.take`).
        name: For people; the id when it is left out.
        data: For the executor.
        kill_grace_period: Seconds between SIGTERM and SIGKILL.
        max_completion_time: Seconds after which it is killed (TASK_FAILED).
    """
    task = pb.mesos.TaskInfo(
        name=task_id if name is None else encodable(name),
        resources=resources.to_proto(),
        executor=executor,
        command=command,
        container=container,
        data=data,
        labels=labels_proto(labels),
    )
    task.task_id.value, task.agent_id.value = task_id, agent_id
    if kill_grace_period is not None:
        task.kill_policy.grace_period.nanoseconds = round(kill_grace_period * NANOS)
    if max_completion_time is not None:
        task.max_completion_time.nanoseconds = round(max_completion_time * NANOS)
    if health_check is not None:
        task.health_check.CopyFrom(health_check)
    if check is not None:
        task.check.CopyFrom(check)
    return task
