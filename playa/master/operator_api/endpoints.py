"""The endpoints outside the V1 API as JSON: `/state`, `/slaves`, `/frameworks`, `/tasks`, `/roles`.

Mesos documentation, "HTTP Endpoints". Plain dictionaries, with the names and shapes of a Mesos master.
"""

from collections.abc import Callable, Iterable
from typing import Any

from mesos_v1 import content, pb
from mesos_v1.resource import MILLIS, Kind
from mesos_v1.resources import Resources
from playa.master.allocation import amounts, formats
from playa.master.operator_api import reading
from playa.master.operator_api.flags import flags
from playa.master.records import Agent, Framework, TaskRecord
from playa.master.state import VERSION, MasterState

Json = dict[str, Any]
BUILD = {"build_date": "2026-11-20 00:00:00 UTC", "build_time": 1795132800.0, "build_user": ""}


def version() -> Json:
    """`/version`."""
    return {**BUILD, "version": VERSION}


def state(m: MasterState) -> Json:
    """`/state`."""
    active = sum(agent.active for agent in m.agents.values())
    info = m.info
    return {
        "version": VERSION,
        **BUILD,
        "start_time": m.start_time,
        "elected_time": m.start_time,
        "id": m.id,
        "pid": info.pid,
        "hostname": info.hostname,
        "capabilities": list(reading.MASTER_CAPABILITIES),
        "activated_slaves": float(active),
        "deactivated_slaves": float(len(m.agents) - active),
        "unreachable_slaves": float(len(m.unreachable_agents)),
        "leader": info.pid,
        "leader_info": {"id": m.id, "pid": info.pid, "port": info.port, "hostname": info.hostname},
        "flags": flags(m.settings, info.port),
        "slaves": [_agent(m, agent) for agent in m.agents.values()],
        "recovered_slaves": [content.to_json(agent) for agent in m.recovered_agents.values()],
        **frameworks(m),
        "orphan_tasks": [],
    }


def frameworks(m: MasterState) -> Json:
    """`/frameworks`."""
    return {
        "frameworks": [_framework(record) for record in m.frameworks.values()],
        "completed_frameworks": [_framework(record) for record in m.completed_frameworks.values()],
        "unregistered_frameworks": [],
    }


def agents(m: MasterState, agent_id: str | None = None) -> Json:
    """`/slaves`, all or one (`?slave_id=`)."""
    chosen = (a for a in m.agents.values() if agent_id is None or a.id == agent_id)
    return {
        "slaves": [{**_agent(m, agent), **_full_resources(agent)} for agent in chosen],
        "recovered_slaves": [content.to_json(agent) for agent in m.recovered_agents.values()],
    }


def tasks(
    m: MasterState,
    *,
    limit: int,
    offset: int,
    ascending: bool,
    wanted: Callable[[TaskRecord], bool],
) -> Json:
    """`/tasks`: of all frameworks, the newest first unless ascending order is asked for."""
    found: list[TaskRecord] = []
    for record in (*m.frameworks.values(), *m.completed_frameworks.values()):
        for group in (record.tasks.values(), record.unreachable_tasks.values(), record.completed_tasks):
            found.extend(task for task in group if wanted(task))
    found.sort(key=_first_seen, reverse=not ascending)
    return {"tasks": [_task(task) for task in found[offset : offset + limit]]}


def _first_seen(task: TaskRecord) -> float:
    return task.proto.statuses[0].timestamp if task.proto.statuses else float("inf")


def roles(m: MasterState) -> Json:
    """`/roles`."""
    return {"roles": [_role(m, name) for name in reading.known_roles(m)]}


def _role(m: MasterState, name: str) -> Json:
    has = reading.breakdown(m, name)
    both = dict(has.allocated)
    amounts.add_to(both, has.offered)
    config = m.quotas.get(name, pb.quota.QuotaConfig())
    return {
        "name": name,
        "weight": m.allocator.weights.get(name, 1.0),
        "quota": {
            "role": name,
            "guarantee": {each: scalar.value for each, scalar in sorted(config.guarantees.items())},
            "limit": {each: scalar.value for each, scalar in sorted(config.limits.items())},
            "consumed": _quantities(has.consumed),
        },
        "resources": _quantities(both),
        "allocated": _quantities(has.allocated),
        "offered": _quantities(has.offered),
        "reserved": _quantities(has.reserved),
        "frameworks": [record.id for record in m.frameworks.values() if name in record.roles],
    }


def _quantities(quantities: amounts.Amounts) -> Json:
    return {name: quantities[name] / MILLIS for name in sorted(quantities) if quantities[name]}


def summary(m: MasterState) -> Json:
    """`/state-summary`: how many tasks of each state, by framework and agent."""
    return {
        "hostname": m.info.hostname,
        "cluster": "",
        "slaves": [
            {
                **_agent(m, agent),
                **_counts(agent.tasks.values()),
                "framework_ids": sorted({k[0] for k in agent.tasks}),
            }
            for agent in m.agents.values()
        ],
        "frameworks": [
            {
                "id": record.id,
                "name": record.info.name,
                "used_resources": model(reading.used_by_framework(record)),
                "offered_resources": model(reading.offered_to(record)),
                "active": record.active,
                "connected": record.connected,
                "recovered": record.recovered,
                **_counts((*record.tasks.values(), *record.completed_tasks)),
                "slave_ids": sorted({task.agent_id for task in record.tasks.values()}),
            }
            for record in m.frameworks.values()
        ],
    }


def _counts(tasks_: Iterable[TaskRecord]) -> Json:
    states = [task.proto.state for task in tasks_]
    return {name: states.count(value) for name, value in pb.mesos.TaskState.items()}


# --- parts ----------------------------------------------------------------------------------------------------


def model(resources: Resources) -> Json:
    """Resources by name: scalars as numbers (the four usual ones always), ranges and sets as text."""
    result: Json = {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.0}
    result.update(resources.scalars())
    for entry in resources:
        if entry.kind is Kind.RANGES:
            pairs = resources.ranges(entry.name)
            result[entry.name] = "[" + ", ".join(f"{begin}-{end}" for begin, end in pairs) + "]"
        elif entry.kind is Kind.SET:
            result[entry.name] = "{" + ", ".join(resources.items(entry.name)) + "}"
    return result


def _by_role(resources: Resources) -> dict[str, Resources]:
    return {
        role: resources.reserved(role)
        for role in sorted({entry.facts.role for entry in resources.reserved()})
    }


def _agent(m: MasterState, agent: Agent) -> Json:
    result: Json = {
        "id": agent.id,
        "hostname": agent.info.hostname,
        "port": agent.port,
        "attributes": {attribute.name: _attribute(attribute) for attribute in agent.info.attributes},
        "pid": agent.pid,
        "registered_time": agent.registered_time,
    }
    if agent.reregistered_time is not None:
        result["reregistered_time"] = agent.reregistered_time
    drain_info = m.draining.get(agent.id)
    drain: Json = {} if drain_info is None else {"drain_info": content.to_json(drain_info)}
    if drain_info is not None and agent.drain_started is not None:
        drain["estimated_drain_start_time_seconds"] = agent.drain_started
    return {
        **result,
        "resources": model(agent.total),
        "used_resources": model(reading.used_on(agent)),
        "offered_resources": model(reading.offered_of(agent)),
        "reserved_resources": {role: model(part) for role, part in _by_role(agent.total).items()},
        "unreserved_resources": model(agent.total.unreserved()),
        "active": agent.active,
        "deactivated": agent.id in m.deactivated,
        "version": VERSION,
        "capabilities": list(reading.AGENT_CAPABILITIES),
        **drain,
    }


def _full_resources(agent: Agent) -> Json:
    return {
        "reserved_resources_full": {role: _full(part) for role, part in _by_role(agent.total).items()},
        "unreserved_resources_full": _full(agent.total.unreserved()),
        "used_resources_full": _full(reading.used_on(agent)),
        "offered_resources_full": _full(reading.offered_of(agent)),
    }


def _full(resources: Resources) -> list[Json]:
    return [content.to_json(proto) for proto in formats.both_forms(resources.to_proto())]


def _attribute(attribute: pb.mesos.Attribute) -> object:
    if attribute.type == pb.mesos.Value.SCALAR:
        return attribute.scalar.value
    if attribute.type == pb.mesos.Value.RANGES:
        return "[" + ", ".join(f"{r.begin}-{r.end}" for r in attribute.ranges.range) + "]"
    if attribute.type == pb.mesos.Value.SET:
        return "{" + ", ".join(attribute.set.item) + "}"
    return attribute.text.value


def _framework(record: Framework) -> Json:
    info = record.info
    used, offered = reading.used_by_framework(record), reading.offered_to(record)
    result: Json = {
        "id": record.id,
        "name": info.name,
        "used_resources": model(used),
        "offered_resources": model(offered),
        "capabilities": [
            pb.mesos.FrameworkInfo.Capability.Type.Name(capability.type) for capability in info.capabilities
        ],
        "hostname": info.hostname,
        "webui_url": info.webui_url,
        "active": record.active,
        "connected": record.connected,
        "recovered": record.recovered,
        "user": info.user,
        "failover_timeout": info.failover_timeout,
        "checkpoint": info.checkpoint,
        "registered_time": record.registered_time,
        "unregistered_time": record.unregistered_time,
    }
    if info.HasField("principal"):
        result["principal"] = info.principal
    if record.reregistered_time != record.registered_time:
        result["reregistered_time"] = record.reregistered_time
    if "MULTI_ROLE" in record.capabilities:
        result_roles: Json = {"roles": list(record.roles)}
    else:
        result_roles = {"role": record.roles[0]}
    constraints = record.offer_constraints
    return {
        **result,
        "resources": model(used + offered),
        **result_roles,
        "tasks": [_task(task) for task in record.tasks.values()],
        "unreachable_tasks": [_task(task) for task in record.unreachable_tasks.values()],
        "completed_tasks": [_task(task) for task in record.completed_tasks],
        "offers": [
            {
                "id": offer.id,
                "framework_id": record.id,
                "allocation_info": {"role": offer.role},
                "slave_id": offer.agent_id,
                "resources": model(offer.resources),
            }
            for offer in record.offers.values()
        ],
        "executors": [
            {
                "executor_id": executor.info.executor_id.value,
                "name": executor.info.name,
                "framework_id": record.id,
                "command": content.to_json(executor.info.command),
                "resources": model(executor.resources),
                "slave_id": executor.agent_id,
            }
            for executor in record.executors.values()
        ],
        "offer_constraints": content.to_json(constraints) if constraints is not None else {},
    }


def _task(task: TaskRecord) -> Json:
    proto = task.proto
    result: Json = {
        "id": task.id,
        "name": proto.name,
        "framework_id": task.framework_id,
        "executor_id": task.executor_id or "",
        "slave_id": task.agent_id,
        "state": pb.mesos.TaskState.Name(proto.state),
        "resources": model(task.resources),
        "role": next((entry.facts.allocated_to for entry in task.resources), "*"),
        "statuses": _statuses(proto.statuses),
    }
    for name in ("user",):
        if proto.HasField("user"):
            result[name] = proto.user
    if proto.HasField("labels"):
        result["labels"] = content.to_json(proto.labels).get("labels", [])
    for name in ("discovery", "container", "health_check"):
        if proto.HasField(name):  # type: ignore[arg-type]
            result[name] = content.to_json(getattr(proto, name))
    return result


def _statuses(statuses: Iterable[pb.mesos.TaskStatus]) -> list[Json]:
    result = []
    for status in statuses:
        one: Json = {"state": pb.mesos.TaskState.Name(status.state), "timestamp": status.timestamp}
        if status.HasField("labels"):
            one["labels"] = content.to_json(status.labels).get("labels", [])
        if status.HasField("container_status"):
            container: Json = content.to_json(status.container_status)
            container.pop("executor_pid", None)
            one["container_status"] = container
        if status.HasField("healthy"):
            one["healthy"] = status.healthy
        result.append(one)
    return result
