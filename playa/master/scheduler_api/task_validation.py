"""Whether a task or a task group can be launched, in the words of a Mesos master.

Each function returns the text of what is wrong, or None; the text becomes the message of a TASK_ERROR.
"""

from mesos_v1 import pb
from mesos_v1.errors import ResourceError
from mesos_v1.resources import Resources
from playa.master.records import Agent, Framework
from playa.master.scheduler_api import check_validation
from playa.master.scheduler_api.call_validation import identifier

_ExecutorInfo = pb.mesos.ExecutorInfo
_ContainerInfo = pb.mesos.ContainerInfo
MIN_EXECUTOR_CPUS = 0.01
MIN_EXECUTOR_MEM = 32.0
_RULE = "-" * 60


def task(info: pb.mesos.TaskInfo, framework: Framework, agent: Agent, available: Resources) -> str | None:
    """What is wrong with a task that shall be launched on what is available of an offer."""
    wrong = _common(info, framework, agent)
    if wrong is not None:
        return wrong
    if info.container.linux_info.HasField("share_cgroups") and not info.container.linux_info.share_cgroups:
        return "Only tasks in a task group may have 'share_cgroups' set to 'false'"
    return _with_executor(info, framework, agent, available)


def group(
    executor: pb.mesos.ExecutorInfo,
    tasks: pb.mesos.TaskGroupInfo,
    framework: Framework,
    agent: Agent,
    available: Resources,
) -> str | None:
    """What is wrong with a task group."""
    for info in tasks.tasks:
        wrong = _common(info, framework, agent) or _in_group(info)
        if wrong is not None:
            return f"Task '{info.task_id.value}' is invalid: {wrong}"
    return _group_executor(executor, tasks, framework, agent, available)


def _common(info: pb.mesos.TaskInfo, framework: Framework, agent: Agent) -> str | None:
    wrong = identifier(info.task_id.value)
    if wrong is not None:
        return wrong
    if info.task_id.value in framework.tasks:
        return f"Task has duplicate ID: {info.task_id.value}"
    if info.task_id.value in framework.unreachable_tasks:
        return f"Task reuses the ID of an unreachable task: {info.task_id.value}"
    if info.agent_id.value != agent.id:
        return f"Task uses invalid agent {info.agent_id.value} while agent {agent.id} is expected"
    if info.kill_policy.grace_period.nanoseconds < 0:
        return "Task's 'kill_policy.grace_period' must be non-negative"
    if info.max_completion_time.nanoseconds < 0:
        return "Task's `max_completion_time` must be non-negative"
    if info.HasField("check"):
        wrong = check_validation.check(info.check)
        if wrong is not None:
            return f"Task uses invalid check: {wrong}"
    if info.HasField("health_check"):
        wrong = check_validation.health_check(info.health_check)
        if wrong is not None:
            return f"Task uses invalid health check: {wrong}"
    wrong = _resources(info)
    if wrong is not None:
        return wrong
    if info.HasField("command"):
        wrong = check_validation.command(info.command)
        if wrong is not None:
            return f"Task's `CommandInfo` is invalid: {wrong}"
    if info.HasField("container"):
        wrong = _container(info.container)
        if wrong is not None:
            return f"Task's `ContainerInfo` is invalid: {wrong}"
    return _limits(info)


def _resources(info: pb.mesos.TaskInfo) -> str | None:
    if not info.resources:
        return "Task uses no resources"
    try:
        resources = Resources.from_proto(info.resources)
    except ResourceError as error:
        return f"Task uses invalid resources: Invalid resources: {error}"
    wrong = _gpus(resources)
    if wrong is not None:
        return f"Task uses invalid resources: {wrong}"
    wrong = _one_role(resources)
    return f"Invalid task resources: {wrong}" if wrong is not None else None


def _gpus(resources: Resources) -> str | None:
    if resources.gpus != int(resources.gpus):
        return "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
    return None


def _one_role(resources: Resources) -> str | None:
    roles = list(dict.fromkeys(entry.facts.allocated_to for entry in resources))
    if None in roles:
        return "The resources are not allocated to a role"
    if len(roles) > 1:
        return (
            f"The resources have multiple allocation roles ('{roles[1]}' and '{roles[0]}')"
            " but only one allocation role is allowed"
        )
    return None


def _limits(info: pb.mesos.TaskInfo) -> str | None:
    if not info.limits:
        return None
    if set(info.limits) - {"cpus", "mem"}:
        return "Only cpus and mem may be included in a task's resource limits"
    requested = Resources.from_proto(info.resources)
    words = {"cpus": ("CPU", "cpu"), "mem": ("memory", "memory")}
    for name, limit in info.limits.items():
        long, short = words[name]
        request = requested.scalar(name)
        if not request:
            return f"When a {long} limit is specified, a {long} request must also be specified"
        if limit.value < request:
            return f"The {short} limit must be greater than or equal to the {short} request"
    return None


def _container(info: pb.mesos.ContainerInfo) -> str | None:
    for volume in info.volumes:
        sources = [name for name in ("host_path", "image", "source") if volume.HasField(name)]
        if len(sources) > 1:
            return "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"
    if info.type == _ContainerInfo.DOCKER and not info.HasField("docker"):
        return "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"
    return None


def _with_executor(
    info: pb.mesos.TaskInfo, framework: Framework, agent: Agent, available: Resources
) -> str | None:
    if info.HasField("executor") == info.HasField("command"):
        return "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    total = Resources.from_proto(info.resources)
    if info.HasField("executor"):
        executor = info.executor
        wrong = _executor(executor, framework, agent)
        if wrong is not None:
            return wrong
        if executor.HasField("type") and executor.type != _ExecutorInfo.CUSTOM:
            return "'ExecutorInfo.type' must be 'CUSTOM'"
        if not executor.HasField("command"):
            return "'ExecutorInfo.command' must be set"
        own = Resources.from_proto(executor.resources)
        if own.shared():
            return f"Executor resources {own} should not contain any shared resources"
        linux = executor.container.linux_info
        if linux.HasField("share_cgroups") and linux.share_cgroups:
            return "The 'share_cgroups' field cannot be set to 'true' on executor containers"
        if (framework.id, executor.executor_id.value) not in agent.executors:
            total = total + own
    if not available.contains(total):
        return (
            f"Total resources {total} required by task and its executor is more than available "
            f"{printed(available)}"
        )
    return None


def _executor(info: pb.mesos.ExecutorInfo, framework: Framework, agent: Agent) -> str | None:
    if info.type == _ExecutorInfo.DEFAULT:
        if info.HasField("command"):
            return "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"
        if info.HasField("container") and info.container.type != _ContainerInfo.MESOS:
            return "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"
        if info.container.mesos.HasField("image"):
            return "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
    elif info.type == _ExecutorInfo.CUSTOM and not info.HasField("command"):
        return "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
    wrong = identifier(info.executor_id.value)
    if wrong is not None:
        return wrong
    if info.shutdown_grace_period.nanoseconds < 0:
        return "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
    if info.HasField("command"):
        wrong = check_validation.command(info.command)
        if wrong is not None:
            return f"Executor's `CommandInfo` is invalid: {wrong}"
    if info.HasField("container"):
        wrong = _container(info.container)
        if wrong is not None:
            return f"Executor's `ContainerInfo` is invalid: {wrong}"
    return _executor_here(info, framework, agent)


def _executor_here(info: pb.mesos.ExecutorInfo, framework: Framework, agent: Agent) -> str | None:
    try:
        resources = Resources.from_proto(info.resources)
    except ResourceError as error:
        return f"Executor uses invalid resources: Invalid resources: {error}"
    if resources:
        wrong = _one_role(resources)
        if wrong is not None:
            return f"Invalid executor resources: {wrong}"
    if not info.HasField("framework_id"):
        return "'ExecutorInfo.framework_id' must be set"
    if info.framework_id.value != framework.id:
        return (
            f"ExecutorInfo has an invalid FrameworkID (Actual: {info.framework_id.value} "
            f"vs Expected: {framework.id})"
        )
    existing = agent.executors.get((framework.id, info.executor_id.value))
    if existing is not None and existing.info != info:
        return (
            f"ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n{_RULE}\n"
            f"Existing ExecutorInfo:\n{existing.info}\n{_RULE}\nExecutorInfo:\n{info}\n{_RULE}\n"
        )
    return None


def _in_group(info: pb.mesos.TaskInfo) -> str | None:
    if not info.HasField("executor"):
        return "'TaskInfo.executor' must be set"
    if info.container.type == _ContainerInfo.DOCKER and info.HasField("container"):
        return "Docker ContainerInfo is not supported on the task"
    return None


def _group_executor(
    executor: pb.mesos.ExecutorInfo,
    tasks: pb.mesos.TaskGroupInfo,
    framework: Framework,
    agent: Agent,
    available: Resources,
) -> str | None:
    wrong = _executor(executor, framework, agent)
    if wrong is not None:
        return wrong
    if not executor.HasField("type"):
        return "'ExecutorInfo.type' must be set"
    if executor.type == _ExecutorInfo.UNKNOWN:
        return "Unknown executor type"
    if executor.HasField("container") and executor.container.type == _ContainerInfo.DOCKER:
        return "Docker ContainerInfo is not supported on the executor"
    name = executor.executor_id.value
    for info in tasks.tasks:
        if info.executor != executor:
            return f"The `ExecutorInfo` of task '{info.task_id.value}' is different from executor '{name}'"
    own = Resources.from_proto(executor.resources)
    if own.cpus < MIN_EXECUTOR_CPUS:
        amount = f"{own.cpus:g}" if "cpus" in own.names() else "None"
        return f"Executor '{name}' uses less CPUs ({amount}) than the minimum required (0.01)"
    if own.mem < MIN_EXECUTOR_MEM:
        amount = f"{own.mem:g}MB" if "mem" in own.names() else "None"
        return f"Executor '{name}' uses less memory ({amount}) than the minimum required (32MB)"
    if "disk" not in own.names():
        return f"Executor '{name}' uses no disk"
    total = Resources()
    for info in tasks.tasks:
        total = total + Resources.from_proto(info.resources)
    if (framework.id, name) not in agent.executors:
        total = total + own
    if not available.contains(total):
        return (
            f"Total resources {total} required by task group and its executor are more than available "
            f"{printed(available)}"
        )
    return None


def printed(resources: Resources) -> str:
    """Resources as Mesos prints them, `{}` for none."""
    return str(resources) or "{}"
