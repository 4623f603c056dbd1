"""`/state` of an agent: the JSON that its page and old tools read. Pure."""

from typing import Any

from mesos_v1 import content, pb
from mesos_v1.resources import Resources
from playa.agent.messages import AgentPicture, ExecutorPicture, TaskPicture
from playa.agent.operator_api.picture import BUILD_DATE, BUILD_TIME, CAPABILITIES, VERSION, amounts, protos


def state(picture: AgentPicture, flags: dict[str, str]) -> dict[str, Any]:
    """The whole document."""
    info = pb.mesos.AgentInfo.FromString(picture.agent_info)
    total, used = protos(picture.resources), protos(picture.allocated)
    return {
        "version": VERSION,
        "build_date": BUILD_DATE,
        "build_time": BUILD_TIME,
        "build_user": "",
        "start_time": picture.start_time,
        "id": info.id.value,
        "pid": picture.pid,
        "hostname": info.hostname,
        "capabilities": list(CAPABILITIES),
        **_drain(picture),
        "resources": amounts(total),
        "reserved_resources": _by_role(total),
        "unreserved_resources": amounts(total.unreserved()),
        "reserved_resources_full": _full_by_role(total),
        "unreserved_resources_full": _full(total.unreserved()),
        "reserved_resources_allocated": _by_role(used),
        "unreserved_resources_allocated": amounts(used.unreserved()),
        "resource_providers": [],
        "attributes": {a.name: _attribute(a) for a in info.attributes},
        "master_hostname": "localhost",
        "flags": flags,
        "frameworks": [_framework(picture, data, over=False) for data in picture.frameworks],
        "completed_frameworks": [
            _framework(picture, data, over=True) for data in picture.completed_frameworks
        ],
    }


def _drain(picture: AgentPicture) -> dict[str, Any]:
    if picture.drain is None:
        return {}
    config = content.to_json(pb.mesos.DrainConfig.FromString(picture.drain))
    started = int(picture.drain_started or 0.0)
    return {"drain_config": config, "estimated_drain_start_time_seconds": started}


def _attribute(attribute: pb.mesos.Attribute) -> Any:
    if attribute.type == pb.mesos.Value.TEXT:
        return attribute.text.value
    if attribute.type == pb.mesos.Value.SCALAR:
        return attribute.scalar.value
    ranges = ", ".join(f"{r.begin}-{r.end}" for r in attribute.ranges.range)
    return f"[{ranges}]"


def _roles(resources: Resources) -> list[str]:
    return sorted({r.facts.reservations[-1].role for r in resources if r.facts.reservations})


def _by_role(resources: Resources) -> dict[str, Any]:
    return {role: amounts(resources.reserved(role)) for role in _roles(resources)}


def _full_by_role(resources: Resources) -> dict[str, Any]:
    return {role: _full(resources.reserved(role)) for role in _roles(resources)}


def _full(resources: Resources) -> list[Any]:
    out = []
    for proto in resources.to_proto():
        entry = content.to_json(proto)
        entry.setdefault("role", proto.reservations[-1].role if proto.reservations else "*")
        out.append(entry)
    return out


def _framework(picture: AgentPicture, data: bytes, *, over: bool) -> dict[str, Any]:
    info = pb.mesos.FrameworkInfo.FromString(data)
    mine = [e for e in picture.executors if e.framework_id == info.id.value]
    out: dict[str, Any] = {
        "id": info.id.value,
        "name": info.name,
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "hostname": info.hostname,
        "roles": list(info.roles),
        "executors": [_executor(picture, e) for e in mine if e.state != "COMPLETED" and not over],
        "completed_executors": [_executor(picture, e) for e in mine if e.state == "COMPLETED" or over],
    }
    if info.principal:
        out["principal"] = info.principal
    return out


def _executor(picture: AgentPicture, executor: ExecutorPicture) -> dict[str, Any]:
    info = pb.mesos.ExecutorInfo.FromString(executor.info)
    tasks = [t for t in picture.tasks if t.container_id == executor.container_id]
    used = Resources.from_proto(info.resources)
    for task in tasks:
        if task.phase in {"QUEUED", "LAUNCHED"}:
            used += Resources.from_proto(pb.mesos.Task.FromString(task.task).resources)
    out: dict[str, Any] = {
        "id": info.executor_id.value,
        "name": info.name,
        "source": info.source,
        "container": executor.container_id,
        "directory": executor.sandbox,
        "resources": amounts(used),
        "tasks": [_task(t) for t in tasks if t.phase == "LAUNCHED"],
        "queued_tasks": [_task(t) for t in tasks if t.phase == "QUEUED"],
        "completed_tasks": [_task(t) for t in tasks if t.phase in {"TERMINATED", "COMPLETED"}],
    }
    if info.resources:
        out["role"] = info.resources[0].allocation_info.role
    if info.HasField("type"):
        out["type"] = pb.mesos.ExecutorInfo.Type.Name(info.type)
    return out


def _task(picture: TaskPicture) -> dict[str, Any]:
    task = pb.mesos.Task.FromString(picture.task)
    out = {
        "id": task.task_id.value,
        "name": task.name,
        "framework_id": task.framework_id.value,
        "executor_id": task.executor_id.value,
        "slave_id": task.agent_id.value,
        "state": pb.mesos.TaskState.Name(task.state),
        "resources": amounts(Resources.from_proto(task.resources)),
        "role": task.resources[0].allocation_info.role if task.resources else "*",
        "statuses": [
            {
                "state": pb.mesos.TaskState.Name(status.state),
                "timestamp": status.timestamp,
                "container_status": _container_status(status.container_status),
            }
            for status in task.statuses
        ],
    }
    if task.labels.labels:
        out["labels"] = [content.to_json(label) for label in task.labels.labels]
    return out


def _container_status(status: pb.mesos.ContainerStatus) -> dict[str, Any]:
    out: dict[str, Any] = content.to_json(status)
    out.pop("executor_pid", None)
    return out
