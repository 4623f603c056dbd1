"""Operations of a framework or an operator: launches with their tasks, executors, commands and checks, and those on resources.

What is wrong with a launch becomes the text of a TASK_ERROR. Whether resources are there is for `mesos_v1.operations`.
"""

import math
from collections.abc import Callable, Iterable

from mesos_v1 import pb
from mesos_v1.errors import ResourceError
from mesos_v1.operations import resources_of
from mesos_v1.resource import MILLIS, Resource
from mesos_v1.resources import Resources, without_volume
from playa.master.records import Agent, Framework
from playa.master.validation import resources as resource_validation
from playa.master.validation.rules import Rows, as_set, identifier, validator, within

Operation = pb.mesos.Offer.Operation
RESIZES = (Operation.GROW_VOLUME, Operation.SHRINK_VOLUME)
_ON_LISTS = (Operation.RESERVE, Operation.UNRESERVE, Operation.CREATE, Operation.DESTROY)
_ExecutorInfo = pb.mesos.ExecutorInfo
_ContainerInfo = pb.mesos.ContainerInfo
_Variable = pb.mesos.Environment.Variable
_LEAST = (("cpus", "CPUs", 0.01, ""), ("mem", "memory", 32.0, "MB"))  # that an executor of a group must have
_RULE = "-" * 60


@validator
def unreadable(operation: Operation) -> Rows:
    """What is wrong with an operation before anyone looks at what it is for."""
    name = Operation.Type.Name(operation.type)
    yield operation.type == Operation.UNKNOWN and "Unknown offer operation"
    if not operation.HasField(name.lower()):  # type: ignore[arg-type]
        subject = "GROW_VOLUME operation" if name == "GROW_VOLUME" else f"{name} offer operation"
        end = "" if operation.type in RESIZES else "."
        article = "An" if name.startswith("U") else "A"
        yield f"{article} {subject} must have the Offer.Operation.{name.lower()} field set{end}"
    if name.endswith(("_VOLUME", "_DISK")):
        for resource in resources_of(operation):
            yield resource_validation.of_one(resource)
    else:
        yield resource_validation.of_several(resources_of(operation))


@validator
def problem(operation: Operation, framework: Framework | None, agent: Agent, principal: str | None) -> Rows:
    """What is wrong with an operation (of a framework, or None: an operator) that can be read."""
    if operation.type in _ON_LISTS:
        listed = resources_of(operation)
        yield within("Invalid resources", resource_validation.of_operation(listed))
        if not operation.reserve.source:
            yield within("Invalid resources", resource_validation.of_one_provider(listed))
    body = getattr(operation, Operation.Type.Name(operation.type).lower())
    yield _RULES[operation.type](body, framework, agent, principal)


@validator
def _reserve(call: Operation.Reserve, framework: Framework | None, _a: Agent, principal: str | None) -> Rows:
    if call.source:
        yield _other_source(call)
    for proto in call.resources:
        resource = Resource.from_proto(proto)
        yield _not_dynamic(resource)
        innermost, allocated = resource.facts.reservations[-1], resource.facts.allocated_to
        if principal is not None:
            yield innermost.principal is None and (
                f"A reserve operation was attempted by principal '{principal}', but there is a "
                "reserved resource in the request with no principal set"
            )
            yield innermost.principal != principal and (
                f"A reserve operation was attempted by authenticated principal '{principal}', which does "
                f"not match a reserved resource in the request with principal '{innermost.principal}'"
            )
        if framework is None:
            yield allocated is not None and (
                "A reserve operation was attempted with an allocated resource, but the operator API only "
                "allows reservations to be made to unallocated resources"
            )
            continue
        yield allocated is None and (
            f"A reserve operation was attempted on unallocated resource {resource}, but frameworks can "
            "only perform reservations on allocated resources"
        )
        yield innermost.role != allocated and (
            f"A reserve operation was attempted for a resource with role '{innermost.role}', but the resource "
            f"was allocated to role '{allocated}'"
        )
        yield allocated not in framework.roles and (
            f"A reserve operation was attempted for a resource allocated to role '{allocated}', but the "
            f"framework only has roles '{as_set(sorted(set(framework.roles)))}'"
        )


def _not_dynamic(resource: Resource) -> str | None:
    is_dynamic = any(reservation.dynamic for reservation in resource.facts.reservations[-1:])
    return None if is_dynamic else f"Resource {resource} is not dynamically reserved"


@validator
def _other_source(call: Operation.Reserve) -> Rows:
    """What is wrong with turning one reservation into another."""
    yield within("Invalid source", resource_validation.of_operation(call.source))
    for name, listed in (("source", call.source), ("resources", call.resources)):
        yield not listed and f"Invalid {name}: Resource cannot be empty"
        if any(list(r.reservations) != list(listed[0].reservations) for r in listed):
            text = "; ".join(map(resource_validation.printed, listed))
            yield f"Invalid {name}: Mixed reservations are not supported{{ {text} }}"
    before, after = (Resources.from_proto(r).to_unreserved() for r in (call.source, call.resources))
    yield before != after and (
        f"Source and target resources should refer to identical resource quantities: {before} vs. {after}"
    )


@validator
def _unreserve(call: Operation.Unreserve, *_: object) -> Rows:
    for proto in call.resources:
        resource = Resource.from_proto(proto)
        yield _not_dynamic(resource)
        yield resource.facts.persistence_id is not None and (
            f"A dynamically reserved persistent volume {resource} cannot be unreserved directly. "
            "Please destroy the persistent volume first then unreserve the resource"
        )


@validator
def _create(call: Operation.Create, framework: Framework | None, agent: Agent, principal: str | None) -> Rows:
    yield within("Not a persistent volume", _not_persistent(call.volumes))
    seen = {(e.facts.role, e.facts.persistence_id) for e in agent.total.persistent_volumes()}
    for proto in call.volumes:
        volume = Resource.from_proto(proto)
        key = (volume.facts.role, volume.facts.persistence_id)
        yield key in seen and f"Persistence ID '{volume.facts.persistence_id}' is not unique"
        seen.add(key)
        if volume.facts.shared and framework and "SHARED_RESOURCES" not in framework.capabilities:
            yield (
                f"Create volume operation for '{volume}' has been attempted by framework '{framework.id}' "
                "with no SHARED_RESOURCES capability"
            )
        persistence = proto.disk.persistence
        if principal is not None:
            yield not persistence.HasField("principal") and (
                f"Create volume operation attempted by principal '{principal}', but there is a volume in "
                "the operation with no principal set in 'disk.persistence'"
            )
            yield persistence.principal != principal and (
                f"Create volume operation attempted by authenticated principal '{principal}', which does "
                f"not match a volume in the operation with principal '{persistence.principal}' "
                "set in 'disk.persistence'"
            )


@validator
def _not_persistent(volumes: Iterable[pb.mesos.Resource]) -> Rows:
    for proto in volumes:
        volume = Resource.from_proto(proto)
        yield not proto.HasField("disk") and f"Resource {volume} does not have DiskInfo"
        yield not proto.disk.HasField("persistence") and "'persistence' is not set in DiskInfo"
        yield not proto.disk.HasField("volume") and "Expecting 'volume' to be set for persistent volume"
        if proto.disk.volume.mode == pb.mesos.Volume.RO:
            yield "Read-only persistent volume not supported"


@validator
def _destroy(call: Operation.Destroy, _f: object, agent: Agent, *_: object) -> Rows:
    yield within("Not a persistent volume", _not_persistent(call.volumes))
    wanted = Resources.from_proto(call.volumes).unallocate()
    yield not agent.total.contains(wanted) and "Persistent volumes not found"
    for task in agent.tasks.values():
        used = task.resources.unallocate()
        if not task.is_terminal and any(used.contains(volume) for volume in wanted):
            yield "Persistent volumes in use"


@validator
def _grow(call: Operation.GrowVolume, *_: object) -> Rows:
    if Resource.from_proto(call.addition).millis <= 0:
        yield "The size of 'GrowVolume.addition' field must be greater than zero"
    yield within("Invalid persistent volume in the 'GrowVolume.volume' field", _not_persistent([call.volume]))
    yield call.volume.HasField("shared") and "Growing a shared persistent volume is not supported"
    if without_volume(Resource.from_proto(call.volume)).ident != Resource.from_proto(call.addition).ident:
        yield "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"


@validator
def _shrink(call: Operation.ShrinkVolume, *_: object) -> Rows:
    less = math.floor(call.subtract.value * MILLIS + 0.5)
    volume = Resource.from_proto(call.volume)
    yield less <= 0 and "Value of 'ShrinkVolume.subtract' must be greater than zero"
    if volume.millis <= less:
        yield "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"
    yield volume.facts.source_type == "MOUNT" and "Shrinking a volume on a MOUNT disk is not supported"
    yield within(
        "Invalid persistent volume in the 'ShrinkVolume.volume' field", _not_persistent([call.volume])
    )
    yield volume.facts.shared and "Shrinking a shared persistent volume is not supported"


def _on_provider(call: Operation.CreateDisk | Operation.DestroyDisk, *_: object) -> str:
    """The agents have no resource providers, so there is nothing that this could be done with."""
    if not call.source.HasField("provider_id"):
        return "'source' is not managed by a resource provider"
    return f"Unknown resource provider {call.source.provider_id.value}"


_RULES: dict[int, Callable[..., str | None]] = {
    Operation.RESERVE: _reserve,
    Operation.UNRESERVE: _unreserve,
    Operation.CREATE: _create,
    Operation.DESTROY: _destroy,
    Operation.GROW_VOLUME: _grow,
    Operation.SHRINK_VOLUME: _shrink,
    Operation.CREATE_DISK: _on_provider,
    Operation.DESTROY_DISK: _on_provider,
}


@validator
def task(info: pb.mesos.TaskInfo, framework: Framework, agent: Agent, available: Resources) -> Rows:
    """What is wrong with a task that is to be launched on what is available of an offer."""
    yield _common(info, framework, agent)
    linux = info.container.linux_info
    if linux.HasField("share_cgroups") and not linux.share_cgroups:
        yield "Only tasks in a task group may have 'share_cgroups' set to 'false'"
    if info.HasField("executor") == info.HasField("command"):
        yield "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    total = Resources.from_proto(info.resources)
    if info.HasField("executor"):
        executor = info.executor
        yield _executor(executor, framework, agent)
        if executor.HasField("type") and executor.type != _ExecutorInfo.CUSTOM:
            yield "'ExecutorInfo.type' must be 'CUSTOM'"
        yield not executor.HasField("command") and "'ExecutorInfo.command' must be set"
        own = Resources.from_proto(executor.resources)
        yield own.shared() and f"Executor resources {own} should not contain any shared resources"
        linux = executor.container.linux_info
        if linux.HasField("share_cgroups") and linux.share_cgroups:
            yield "The 'share_cgroups' field cannot be set to 'true' on executor containers"
        if (framework.id, executor.executor_id.value) not in agent.executors:
            total = total + own
    if not available.contains(total):
        required = f"Total resources {total} required by task and its executor"
        yield f"{required} is more than available {str(available) or '{}'}"


@validator
def group(launch: Operation.LaunchGroup, framework: Framework, agent: Agent, available: Resources) -> Rows:
    """What is wrong with a task group."""
    executor, tasks = launch.executor, launch.task_group
    for info in tasks.tasks:
        wrong = _common(info, framework, agent)
        if wrong is None and not info.HasField("executor"):
            wrong = "'TaskInfo.executor' must be set"
        if wrong is None and info.HasField("container") and info.container.type == _ContainerInfo.DOCKER:
            wrong = "Docker ContainerInfo is not supported on the task"
        yield within(f"Task '{info.task_id.value}' is invalid", wrong)
    yield _executor(executor, framework, agent)
    yield not executor.HasField("type") and "'ExecutorInfo.type' must be set"
    yield executor.type == _ExecutorInfo.UNKNOWN and "Unknown executor type"
    if executor.HasField("container") and executor.container.type == _ContainerInfo.DOCKER:
        yield "Docker ContainerInfo is not supported on the executor"
    name = executor.executor_id.value
    for info in tasks.tasks:
        if info.executor != executor:
            yield f"The `ExecutorInfo` of task '{info.task_id.value}' is different from executor '{name}'"
    own = Resources.from_proto(executor.resources)
    for resource, word, least, unit in _LEAST:
        has = own.scalar(resource)
        amount = f"{has:g}{unit}" if resource in own.names() else "None"
        if has < least:
            yield f"Executor '{name}' uses less {word} ({amount}) than the minimum required ({least:g}{unit})"
    yield "disk" not in own.names() and f"Executor '{name}' uses no disk"
    total = Resources.from_proto([resource for info in tasks.tasks for resource in info.resources])
    if (framework.id, name) not in agent.executors:
        total = total + own
    if not available.contains(total):
        required = f"Total resources {total} required by task group and its executor"
        yield f"{required} are more than available {str(available) or '{}'}"


@validator
def _common(info: pb.mesos.TaskInfo, framework: Framework, agent: Agent) -> Rows:
    task_id, agent_id = info.task_id.value, info.agent_id.value
    yield identifier(task_id)
    yield task_id in framework.tasks and f"Task has duplicate ID: {task_id}"
    yield task_id in framework.unreachable_tasks and f"Task reuses the ID of an unreachable task: {task_id}"
    yield agent_id != agent.id and f"Task uses invalid agent {agent_id} while agent {agent.id} is expected"
    if info.kill_policy.grace_period.nanoseconds < 0:
        yield "Task's 'kill_policy.grace_period' must be non-negative"
    yield info.max_completion_time.nanoseconds < 0 and "Task's `max_completion_time` must be non-negative"
    if info.HasField("check"):
        yield within("Task uses invalid check", check(info.check))
    if info.HasField("health_check"):
        yield within("Task uses invalid health check", check(info.health_check))
    yield not info.resources and "Task uses no resources"
    try:
        resources = Resources.from_proto(info.resources)
    except ResourceError as error:
        yield f"Task uses invalid resources: Invalid resources: {error}"
        return
    if not resources.gpus.is_integer():
        yield f"Task uses invalid resources: {resource_validation.NOT_WHOLE_GPUS}"
    yield within("Invalid task resources", _one_role(resources))
    yield _command_and_container("Task", info)
    if info.limits:
        yield _limits(info, resources)


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


@validator
def _limits(info: pb.mesos.TaskInfo, requested: Resources) -> Rows:
    words = {"cpus": ("CPU", "cpu"), "mem": ("memory", "memory")}
    yield set(info.limits) - set(words) and "Only cpus and mem may be included in a task's resource limits"
    for name, limit in info.limits.items():
        long, short = words[name]
        request = requested.scalar(name)
        yield not request and (f"When a {long} limit is specified, a {long} request must also be specified")
        if limit.value < request:
            yield f"The {short} limit must be greater than or equal to the {short} request"


@validator
def _command_and_container(whose: str, info: pb.mesos.TaskInfo | pb.mesos.ExecutorInfo) -> Rows:
    if info.HasField("command"):
        yield within(f"{whose}'s `CommandInfo` is invalid", command(info.command))
    if info.HasField("container"):
        yield within(f"{whose}'s `ContainerInfo` is invalid", _container(info.container))


@validator
def _container(info: pb.mesos.ContainerInfo) -> Rows:
    for volume in info.volumes:
        sources = [volume.HasField("host_path"), volume.HasField("image"), volume.HasField("source")]
        if sum(sources) > 1:
            yield "Invalid volume: Only one of them should be set: 'host_path', 'image' and 'source'"
    if info.type == _ContainerInfo.DOCKER and not info.HasField("docker"):
        yield "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo"


@validator
def _executor(info: pb.mesos.ExecutorInfo, framework: Framework, agent: Agent) -> Rows:
    if info.type == _ExecutorInfo.DEFAULT:
        yield info.HasField("command") and "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"
        if info.HasField("container") and info.container.type != _ContainerInfo.MESOS:
            yield "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"
        if info.container.mesos.HasField("image"):
            yield "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
    elif info.type == _ExecutorInfo.CUSTOM and not info.HasField("command"):
        yield "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
    yield identifier(info.executor_id.value)
    if info.shutdown_grace_period.nanoseconds < 0:
        yield "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
    yield _command_and_container("Executor", info)
    try:
        resources = Resources.from_proto(info.resources)
    except ResourceError as error:
        yield f"Executor uses invalid resources: Invalid resources: {error}"
        return
    yield resources and within("Invalid executor resources", _one_role(resources))
    yield not info.HasField("framework_id") and "'ExecutorInfo.framework_id' must be set"
    yield info.framework_id.value != framework.id and (
        f"ExecutorInfo has an invalid FrameworkID (Actual: {info.framework_id.value} vs Expected: {framework.id})"
    )
    existing = agent.executors.get((framework.id, info.executor_id.value))
    if existing is not None and existing.info != info:
        yield (
            f"ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n{_RULE}\n"
            f"Existing ExecutorInfo:\n{existing.info}\n{_RULE}\nExecutorInfo:\n{info}\n{_RULE}\n"
        )


@validator
def command(info: pb.mesos.CommandInfo) -> Rows:
    """What is wrong with a command: the variables of its environment."""
    for variable in info.environment.variables:
        kind = _Variable.Type.Name(variable.type)
        yield kind == "UNKNOWN" and "Environment variable of type 'UNKNOWN' is not allowed"
        needs, excludes = ("secret", "value") if kind == "SECRET" else ("value", "secret")
        start = f"Environment variable '{variable.name}' of type '{kind}' must"
        yield not variable.HasField(needs) and f"{start} have a {needs} set"  # type: ignore[arg-type]
        yield variable.HasField(excludes) and f"{start} not have a {excludes} set"  # type: ignore[arg-type]


@validator
def check(info: pb.mesos.HealthCheck | pb.mesos.CheckInfo) -> Rows:
    """What is wrong with a check (Mesos documentation, "Task Health Checking and Generalized Checks")."""
    word = "health check" if isinstance(info, pb.mesos.HealthCheck) else "check"
    yield not info.HasField("type") and f"{type(info).__name__} must specify 'type'"
    kind = type(info).Type.Name(info.type)  # type: ignore[arg-type]
    yield kind == "UNKNOWN" and f"'UNKNOWN' is not a valid {word} type"
    has = info.HasField(kind.lower())  # type: ignore[arg-type]
    yield not has and f"Expecting '{kind.lower()}' to be set for {kind} {word}"
    if kind == "COMMAND":
        asked = info.command if isinstance(info, pb.mesos.HealthCheck) else info.command.command
        missing = "shell command" if asked.shell else "executable path"
        yield not asked.HasField("value") and f"Command {word} must contain '{missing}'"
        yield within(f"{word.capitalize()}'s `CommandInfo` is invalid", command(asked))
    elif kind == "HTTP":
        http = info.http
        if isinstance(http, pb.mesos.HealthCheck.HTTPCheckInfo) and http.HasField("scheme"):
            known = http.scheme in {"http", "https"}
            yield not known and f"Unsupported HTTP health check scheme: '{http.scheme}'"
        if http.HasField("path") and not http.path.startswith("/"):
            yield f"The path '{http.path}' of HTTP {word} must start with '/'"
    for name in ("delay_seconds", "grace_period_seconds", "interval_seconds", "timeout_seconds"):
        yield getattr(info, name, 0) < 0 and f"Expecting '{name}' to be non-negative"
