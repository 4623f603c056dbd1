"""Builders for what frameworks describe: the framework itself, commands, executors, tasks, checks; from plain values.

They return protobuf, ready for `calls`; what is left out here can be set on the result.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mesos_v1 import pb
from mesos_v1._texts import encodable
from mesos_v1.resources import Resources
from mesos_v1.values import NANOS, AgentId, ExecutorId, FrameworkId, TaskId

DEFAULT_CAPABILITIES = (
    "MULTI_ROLE",
    "PARTITION_AWARE",
    "TASK_KILLING_STATE",
    "RESERVATION_REFINEMENT",
)
"""What a framework written today should be able to deal with (Mesos: Framework Capabilities)."""


@dataclass(frozen=True, slots=True)
class Uri:
    """A file that the agent's fetcher puts into the sandbox (Mesos: Fetcher).

    Attributes:
        value: `http://…`, `file://…`, or a path on the agent.
        extract: Unpack it if it is an archive.
        output_file: Its name in the sandbox; None for the last part of the value.
    """

    value: str
    executable: bool = False
    extract: bool = True
    cache: bool = False
    output_file: str | None = None

    def to_proto(self) -> pb.mesos.CommandInfo.URI:
        """Return it as the API writes it."""
        proto = pb.mesos.CommandInfo.URI(value=self.value, executable=self.executable, extract=self.extract)
        if self.cache:
            proto.cache = True
        if self.output_file is not None:
            proto.output_file = self.output_file
        return proto


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

    Raises:
        ValueError: No such capability.
    """
    info = pb.mesos.FrameworkInfo(
        name=encodable(name), user=user, failover_timeout=failover_timeout, checkpoint=checkpoint
    )
    names = tuple(capabilities)
    if "MULTI_ROLE" in names:
        info.roles.extend(roles)
    else:
        info.role = next(iter(roles), "*")
    for capability in names:
        info.capabilities.add(type=pb.mesos.FrameworkInfo.Capability.Type.Value(capability))
    if framework_id is not None:
        info.id.value = framework_id
    if hostname is not None:
        info.hostname = hostname
    if principal is not None:
        info.principal = principal
    if webui_url is not None:
        info.webui_url = webui_url
    _set_labels(info.labels, labels)
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
    """Describe a command.

    Args:
        value: A line for the shell; without `shell`, the path of a program.
        arguments: Without `shell`, all of argv, the program's name first.
        environment: Variables.
        uris: Files for the sandbox; plain text is a URI that is unpacked if it is an archive.
        user: Whom it runs as, instead of the framework's user.
    """
    command = pb.mesos.CommandInfo(shell=shell, arguments=arguments)
    if value is not None:
        command.value = value
    if user is not None:
        command.user = user
    for uri in uris:
        command.uris.append((Uri(uri) if isinstance(uri, str) else uri).to_proto())
    pairs = environment.items() if isinstance(environment, Mapping) else environment
    for name, content in pairs:
        command.environment.variables.add(name=name, value=content, type=pb.mesos.Environment.Variable.VALUE)
    return command


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
    """Describe an executor: a custom one with a command, the default executor without.

    Args:
        resources: What it takes itself, besides its tasks.
        data: For the executor; it gets them in SUBSCRIBED.
        shutdown_grace_period: Seconds between SHUTDOWN and the kill.
    """
    kind = pb.mesos.ExecutorInfo.DEFAULT if command is None else pb.mesos.ExecutorInfo.CUSTOM
    info = pb.mesos.ExecutorInfo(type=kind)
    info.executor_id.value = executor_id
    if command is not None:
        info.command.CopyFrom(command)
    if resources is not None:
        info.resources.extend(resources.to_proto())
    if name is not None:
        info.name = encodable(name)
    if data is not None:
        info.data = data
    if framework_id is not None:
        info.framework_id.value = framework_id
    if shutdown_grace_period is not None:
        info.shutdown_grace_period.nanoseconds = round(shutdown_grace_period * NANOS)
    _set_labels(info.labels, labels)
    return info


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
    task = pb.mesos.TaskInfo(name=task_id if name is None else encodable(name))
    task.task_id.value = task_id
    task.agent_id.value = agent_id
    task.resources.extend(resources.to_proto())
    if executor is not None:
        task.executor.CopyFrom(executor)
    if command is not None:
        task.command.CopyFrom(command)
    if container is not None:
        task.container.CopyFrom(container)
    if data is not None:
        task.data = data
    if kill_grace_period is not None:
        task.kill_policy.grace_period.nanoseconds = round(kill_grace_period * NANOS)
    if max_completion_time is not None:
        task.max_completion_time.nanoseconds = round(max_completion_time * NANOS)
    if health_check is not None:
        task.health_check.CopyFrom(health_check)
    if check is not None:
        task.check.CopyFrom(check)
    _set_labels(task.labels, labels)
    return task


def _set_labels(target: pb.mesos.Labels, labels: Iterable[tuple[str, str | None]]) -> None:
    for key, value in labels:
        label = target.labels.add(key=encodable(key))
        if value is not None:
            label.value = encodable(value)
