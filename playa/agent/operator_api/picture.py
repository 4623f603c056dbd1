"""What an agent tells operators: the V1 operator API's reading calls, and `/state`, from one picture of its books.

Pure: a picture in, a response out. The picture is made by the agent actor; the site turns calls into answers with it.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from mesos_v1 import pb
from mesos_v1.resource import Kind
from mesos_v1.resources import Resources
from playa.agent.messages import AgentPicture, ExecutorPicture

Call = pb.agent.Call
Response = pb.agent.Response

VERSION: Final = "1.12.0"
BUILD_TIME: Final = 1724439540.0
BUILD_DATE: Final = "2024-08-23 18:59:00 UTC"
CAPABILITIES: Final = (
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
)
_PHASES: Final = {
    "QUEUED": "queued_tasks",
    "LAUNCHED": "launched_tasks",
    "TERMINATED": "terminated_tasks",
    "COMPLETED": "completed_tasks",
}


def answer(call: pb.agent.Call, picture: AgentPicture, flags: dict[str, str]) -> pb.agent.Response | None:
    """The answer to a reading call; None for a call that is not one of them."""
    build = _ANSWERS.get(call.type)
    if build is None:
        return None
    name = Call.Type.Name(call.type)
    response = Response(type=Response.Type.Value(name))
    if call.type == Call.GET_FLAGS:
        for key, value in sorted(flags.items()):
            response.get_flags.flags.add(name=key, value=value)
    else:
        build(response, picture)
    return response


def _health(response: Response, _picture: AgentPicture) -> None:
    response.get_health.healthy = True


def _version(response: Response, _picture: AgentPicture) -> None:
    info = response.get_version.version_info
    info.version, info.build_date, info.build_time, info.build_user = VERSION, BUILD_DATE, BUILD_TIME, ""


def _logging_level(response: Response, _picture: AgentPicture) -> None:
    response.get_logging_level.level = 0


def _metrics(response: Response, picture: AgentPicture) -> None:
    for name, value in metrics(picture).items():
        response.get_metrics.metrics.add(name=name, value=value)


def _agent(response: Response, picture: AgentPicture) -> None:
    response.get_agent.agent_info.ParseFromString(picture.agent_info)
    if picture.drain is not None:
        response.get_agent.drain_config.ParseFromString(picture.drain)
        started = int(picture.drain_started or 0.0)
        response.get_agent.estimated_drain_start_time.nanoseconds = started * 10**9


def _tasks(response: Response, picture: AgentPicture) -> None:
    _fill_tasks(response.get_tasks, picture)


def _fill_tasks(into: "pb.agent.Response.GetTasks", picture: AgentPicture) -> None:
    into.SetInParent()
    for task in picture.tasks:
        getattr(into, _PHASES[task.phase]).add().ParseFromString(task.task)


def _executors(response: Response, picture: AgentPicture) -> None:
    _fill_executors(response.get_executors, picture)


def _fill_executors(into: "pb.agent.Response.GetExecutors", picture: AgentPicture) -> None:
    into.SetInParent()
    for executor in picture.executors:
        over = executor.state == "COMPLETED"
        entry = into.completed_executors.add() if over else into.executors.add()
        entry.executor_info.ParseFromString(executor.info)


def _frameworks(response: Response, picture: AgentPicture) -> None:
    _fill_frameworks(response.get_frameworks, picture)


def _fill_frameworks(into: "pb.agent.Response.GetFrameworks", picture: AgentPicture) -> None:
    into.SetInParent()
    for info in picture.frameworks:
        into.frameworks.add().framework_info.ParseFromString(info)
    for info in picture.completed_frameworks:
        into.completed_frameworks.add().framework_info.ParseFromString(info)


def _state(response: Response, picture: AgentPicture) -> None:
    _fill_tasks(response.get_state.get_tasks, picture)
    _fill_executors(response.get_state.get_executors, picture)
    _fill_frameworks(response.get_state.get_frameworks, picture)


def _operations(response: Response, picture: AgentPicture) -> None:
    response.get_operations.SetInParent()
    for operation in picture.operations:
        response.get_operations.operations.add().ParseFromString(operation)


def _providers(response: Response, _picture: AgentPicture) -> None:
    response.get_resource_providers.SetInParent()


def _containers(response: Response, picture: AgentPicture) -> None:
    response.get_containers.SetInParent()
    for executor in picture.executors:
        if executor.state not in {"REGISTERING", "RUNNING", "TERMINATING"}:
            continue
        info = pb.mesos.ExecutorInfo.FromString(executor.info)
        entry = response.get_containers.containers.add()
        entry.framework_id.value = executor.framework_id
        entry.executor_id.CopyFrom(info.executor_id)
        entry.executor_name = info.name
        entry.container_id.value = executor.container_id
        entry.container_status.container_id.value = executor.container_id
        if executor.pid:
            entry.container_status.executor_pid = executor.pid
        _statistics(entry.resource_statistics, executor, picture)


def _statistics(into: pb.mesos.ResourceStatistics, executor: ExecutorPicture, picture: AgentPicture) -> None:
    """What is known without measuring: the limits."""
    info = pb.mesos.ExecutorInfo.FromString(executor.info)
    total = Resources.from_proto(info.resources)
    for task in picture.tasks:
        if task.container_id == executor.container_id and task.phase in {"QUEUED", "LAUNCHED"}:
            total += Resources.from_proto(pb.mesos.Task.FromString(task.task).resources)
    into.timestamp = picture.time
    into.cpus_soft_limit = total.cpus
    into.mem_limit_bytes = into.mem_soft_limit_bytes = int(total.mem * 1024 * 1024)


_ANSWERS: Final[dict[int, Callable[[Response, AgentPicture], None]]] = {
    Call.GET_HEALTH: _health,
    Call.GET_FLAGS: _health,
    Call.GET_VERSION: _version,
    Call.GET_METRICS: _metrics,
    Call.GET_LOGGING_LEVEL: _logging_level,
    Call.GET_STATE: _state,
    Call.GET_CONTAINERS: _containers,
    Call.GET_FRAMEWORKS: _frameworks,
    Call.GET_EXECUTORS: _executors,
    Call.GET_OPERATIONS: _operations,
    Call.GET_TASKS: _tasks,
    Call.GET_AGENT: _agent,
    Call.GET_RESOURCE_PROVIDERS: _providers,
}


def metrics(picture: AgentPicture) -> dict[str, float]:
    """The numbers of `/metrics/snapshot` that exist here too, under Mesos's names."""
    tasks = [pb.mesos.Task.FromString(task.task) for task in picture.tasks]
    states = [pb.mesos.TaskState.Name(task.state) for task in tasks]
    total = Resources.from_proto(pb.mesos.Resource.FromString(r) for r in picture.resources)
    used = Resources.from_proto(pb.mesos.Resource.FromString(r) for r in picture.allocated)
    numbers = {
        "slave/registered": 1.0,
        "slave/frameworks_active": float(len(picture.frameworks)),
        "slave/executors_running": float(sum(e.state == "RUNNING" for e in picture.executors)),
        "slave/executors_registering": float(sum(e.state == "REGISTERING" for e in picture.executors)),
        "slave/executors_terminating": float(sum(e.state == "TERMINATING" for e in picture.executors)),
        "slave/uptime_secs": picture.time - picture.start_time,
    }
    for state in ("STAGING", "STARTING", "RUNNING", "KILLING"):
        numbers[f"slave/tasks_{state.lower()}"] = float(states.count(f"TASK_{state}"))
    for name in ("cpus", "mem", "disk", "gpus"):
        have, taken = total.scalar(name), used.scalar(name)
        numbers[f"slave/{name}_total"] = have
        numbers[f"slave/{name}_used"] = taken
        numbers[f"slave/{name}_percent"] = taken / have if have else 0.0
    return numbers


def amounts(resources: Resources) -> dict[str, Any]:
    """Resources as the JSON of `/state` sums them up."""
    out: dict[str, Any] = {name: resources.scalar(name) for name in ("disk", "mem", "gpus", "cpus")}
    for entry in resources:
        if entry.kind is not Kind.SCALAR and entry.name not in out:
            text = ", ".join(f"{a}-{b}" for a, b in resources.ranges(entry.name))
            out[entry.name] = f"[{text}]"
    return out


def protos(data: Iterable[bytes]) -> Resources:
    """Resources from their messages."""
    return Resources.from_proto(pb.mesos.Resource.FromString(r) for r in data)
