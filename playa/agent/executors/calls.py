"""What an agent makes of an executor's call: refusals word for word, and the executor that a command task gets.

The texts are recorded from a Mesos 1.12 agent (`custom_executor`), where they come with status 400.
"""

from typing import Final

from mesos_v1 import pb

Call = pb.executor.Call

COMMAND_EXECUTOR_CPUS: Final = 0.1
COMMAND_EXECUTOR_MEM: Final = 32.0
_SHOWN: Final = 15
_PREFIX: Final = "Failed to validate Executor::Call: "


def refusal(call: pb.executor.Call) -> str | None:
    """Why a call is answered with 400, as the body says it; None for a call that is well formed."""
    why = _why(call)
    return None if why is None else _PREFIX + why


def _why(call: pb.executor.Call) -> str | None:
    if not call.IsInitialized():
        return "Not initialized: a required field is missing"
    if not call.HasField("type") or call.type == Call.UNKNOWN:
        return "Expecting 'type' to be present"
    part = Call.Type.Name(call.type).lower()
    if part in Call.DESCRIPTOR.fields_by_name and not call.HasField(part):  # type: ignore[arg-type]
        return f"Expecting '{part}' to be present"
    return _why_status(call) if call.type == Call.UPDATE else None


def _why_status(call: pb.executor.Call) -> str | None:
    status = call.update.status
    executor, framework = call.executor_id.value, call.framework_id.value
    if not status.HasField("uuid"):
        return "Expecting 'uuid' to be present"
    if len(status.uuid) != 16:
        return "Not a valid UUID"
    if status.HasField("executor_id") and status.executor_id.value != executor:
        theirs = status.executor_id.value
        return f"ExecutorID in Call: {executor} does not match ExecutorID in TaskStatus: {theirs}"
    if status.source != pb.mesos.TaskStatus.SOURCE_EXECUTOR:
        return (
            f"Received Call from executor {executor} of framework {framework} "
            "with invalid source, expecting 'SOURCE_EXECUTOR'"
        )
    if status.state == pb.mesos.TASK_STAGING:
        return f"Received TASK_STAGING from executor {executor} of framework {framework} which is not allowed"
    return None


def command_executor(framework_id: str, task: pb.mesos.TaskInfo) -> pb.mesos.ExecutorInfo:
    """The ExecutorInfo that an agent makes up for a task that brings a command and no executor."""
    task_id, theirs = task.task_id.value, task.command
    info = pb.mesos.ExecutorInfo(
        executor_id=pb.mesos.ExecutorID(value=task_id),
        framework_id=pb.mesos.FrameworkID(value=framework_id),
        name=f"Command Executor (Task: {task_id}) (Command: {_shown(theirs)})",
        source=task_id,
        container=task.container if task.HasField("container") else None,
        labels=task.labels if task.HasField("labels") else None,
        discovery=task.discovery if task.HasField("discovery") else None,
        command=pb.mesos.CommandInfo(
            uris=theirs.uris,
            environment=theirs.environment if theirs.HasField("environment") else None,
            user=theirs.user if theirs.HasField("user") else None,
            shell=False,
            value="/usr/libexec/mesos/mesos-executor",
            arguments=["mesos-executor", "--launcher_dir=/usr/libexec/mesos"],
        ),
    )
    if task.kill_policy.HasField("grace_period"):
        info.shutdown_grace_period.nanoseconds = task.kill_policy.grace_period.nanoseconds + 2_000_000_000
    role = task.resources[0].allocation_info.role if task.resources else "*"
    for name, amount in (("cpus", COMMAND_EXECUTOR_CPUS), ("mem", COMMAND_EXECUTOR_MEM)):
        resource = info.resources.add(name=name, type=pb.mesos.Value.SCALAR)
        resource.scalar.value = amount
        resource.allocation_info.role = role
    return info


def _shown(command: pb.mesos.CommandInfo) -> str:
    if not command.HasField("value"):
        return "NO COMMAND" if command.shell else "NO EXECUTABLE"
    text = command.value if command.shell else ", ".join([command.value, *command.arguments])
    short = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
    return f"sh -c '{short}'" if command.shell else f"[{short}]"


def unsupported(container: pb.mesos.ContainerInfo) -> str | None:
    """Why this agent, which is like one without Docker and without isolators, cannot make a container; None if it can."""
    if container.type != pb.mesos.ContainerInfo.MESOS:
        return ""
    if container.mesos.HasField("image"):
        kind = pb.mesos.Image.Type.Name(container.mesos.image.type)
        return f"Unsupported container image type: {kind}"
    if container.volumes:
        return "Volumes in ContainerInfo is not supported"
    for network in container.network_infos:
        if network.name:
            return f"Unknown CNI network '{network.name}'"
    return None
