"""The endpoints outside the V1 API: `/state`, `/slaves`, `/frameworks`, `/tasks`, `/roles`, `/quota`, a page for people, and others.

Mesos documentation, "HTTP Endpoints". Plain dictionaries, with the names and shapes of a Mesos master.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from google.protobuf.message import Message

from mesos_v1 import content, pb
from mesos_v1.resource import MILLIS
from mesos_v1.resources import Resources
from playa.json_forms import AGENT_CAPABILITIES, amounts, attribute
from playa.master.agents import maintenance
from playa.master.allocation.amounts import Amounts
from playa.master.allocation.resource_forms import both_forms
from playa.master.http_site import ApiRequest, SiteAnswer, StreamOpened
from playa.master.operator_api import calls, metrics, quota_calls, views
from playa.master.records import Agent, Framework, TaskRecord
from playa.master.scheduler_api import calls as scheduler_calls
from playa.master.state import VERSION, MasterState
from playa.web import Refused, json_bytes, method_not_allowed, parse_message

Json = dict[str, Any]
M = TypeVar("M", bound=Message)
_CAPABILITY = pb.mesos.FrameworkInfo.Capability.Type


def state(m: MasterState) -> Json:
    """`/state`."""
    active = sum(agent.active for agent in m.agents.values())
    info = m.info
    return {
        **views.VERSION_INFO,
        "start_time": m.start_time,
        "elected_time": m.start_time,
        "id": m.id,
        "pid": info.pid,
        "hostname": info.hostname,
        "capabilities": views.MASTER_CAPABILITIES,
        "activated_slaves": float(active),
        "deactivated_slaves": float(len(m.agents) - active),
        "unreachable_slaves": float(len(m.unreachable_agents)),
        "leader": info.pid,
        "leader_info": {"id": m.id, "pid": info.pid, "port": info.port, "hostname": info.hostname},
        "flags": views.flags(m),
        "slaves": [_agent(m, agent) for agent in m.agents.values()],
        "recovered_slaves": [content.to_json(info) for info in m.recovered_agents.values()],
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
    return {
        "slaves": [
            {**_agent(m, a), **{f"{name}_full": value for name, value in _resources(a, _full).items()}}
            for a in m.agents.values()
            if agent_id in {None, a.id}
        ],
        "recovered_slaves": [content.to_json(info) for info in m.recovered_agents.values()],
    }


def _tasks(m: MasterState, query: Mapping[str, str]) -> Json:
    """`/tasks`: of all frameworks, the newest first unless ascending order is asked for."""
    found = [
        task
        for record in views.all_frameworks(m)
        for task in (*record.tasks.values(), *record.unreachable_tasks.values(), *record.completed_tasks)
        if task.framework_id == query.get("framework_id", task.framework_id)
        and task.id == query.get("task_id", task.id)
    ]
    found.sort(
        key=lambda task: next((status.timestamp for status in task.proto.statuses), math.inf),
        reverse=query.get("order") != "asc",
    )
    limit, offset = _integer(query.get("limit"), 100), _integer(query.get("offset"), 0)
    return {"tasks": [_task(task) for task in found[offset : offset + limit]]}


def _integer(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdigit() else default


def roles(m: MasterState) -> Json:
    """`/roles`."""
    return {"roles": [_role(m, name) for name in views.known_roles(m)]}


def _role(m: MasterState, name: str) -> Json:
    has = views.breakdown(m, name)
    config = m.quotas.get(name, pb.quota.QuotaConfig())
    return {
        "name": name,
        "weight": m.allocator.roles.weights.get(name, 1.0),
        "quota": {
            "role": name,
            "guarantee": {each: scalar.value for each, scalar in sorted(config.guarantees.items())},
            "limit": {each: scalar.value for each, scalar in sorted(config.limits.items())},
            "consumed": _quantities(has.consumed),
        },
        "resources": _quantities(has.allocated + has.offered),
        "allocated": _quantities(has.allocated),
        "offered": _quantities(has.offered),
        "reserved": _quantities(has.reserved),
        "frameworks": [record.id for record in m.frameworks.values() if name in record.roles],
    }


def _quantities(quantities: Amounts) -> Json:
    return {name: quantities[name] / MILLIS for name in sorted(quantities) if quantities[name]}


def _summary(m: MasterState) -> Json:
    """`/state-summary`: how many tasks of each state, by framework and agent."""
    return {
        "hostname": m.info.hostname,
        "cluster": "",
        "slaves": [
            {
                **_agent(m, agent),
                **_counts(agent.tasks.values()),
                "framework_ids": sorted({framework_id for framework_id, _ in agent.tasks}),
            }
            for agent in m.agents.values()
        ],
        "frameworks": [
            {
                **_framework_head(record),
                **_counts((*record.tasks.values(), *record.completed_tasks)),
                "slave_ids": sorted({task.agent_id for task in record.tasks.values()}),
            }
            for record in m.frameworks.values()
        ],
    }


def _counts(tasks: Iterable[TaskRecord]) -> Json:
    states = [task.proto.state for task in tasks]
    return {name: states.count(value) for name, value in pb.mesos.TaskState.items()}


def _full(resources: Resources) -> list[Json]:
    return [content.to_json(proto) for proto in both_forms(resources)]


def _resources(agent: Agent, form: Callable[[Resources], Any]) -> Json:
    """What an agent has, by what is done with it."""
    reserved = sorted({entry.facts.role for entry in agent.total.reserved()})
    return {
        "reserved_resources": {role: form(agent.total.reserved(role)) for role in reserved},
        "unreserved_resources": form(agent.total.unreserved()),
        "used_resources": form(views.used(agent)),
        "offered_resources": form(views.offered(agent)),
    }


def _agent(m: MasterState, agent: Agent) -> Json:
    drain: Json = {}
    if agent.id in m.draining:
        info = content.to_json(m.draining[agent.id])
        drain = {"drain_info": info, **_picked(agent, drain_started="estimated_drain_start_time_seconds")}
    return {
        **_picked(agent, "id", "port", "pid", "registered_time", "reregistered_time", "active"),
        "hostname": agent.info.hostname,
        "attributes": {each.name: attribute(each) for each in agent.info.attributes},
        "resources": amounts(agent.total),
        **_resources(agent, amounts),
        "deactivated": agent.id in m.deactivated,
        "version": VERSION,
        "capabilities": AGENT_CAPABILITIES,
        **drain,
    }


def _picked(record: object, *names: str, **others: str) -> Json:
    """Attributes that are not None, under their own names or others."""
    pairs = [*zip(names, names, strict=True), *others.items()]
    return {shown: value for name, shown in pairs if (value := getattr(record, name)) is not None}


def _framework_head(record: Framework) -> Json:
    return {
        **_picked(record, "id", "active", "connected", "recovered"),
        "name": record.info.name,
        "used_resources": amounts(views.used(record)),
        "offered_resources": amounts(views.offered(record)),
    }


def _framework(record: Framework) -> Json:
    info = record.info
    came_back = ("reregistered_time",) if record.reregistered_time != record.registered_time else ()
    return {
        **_framework_head(record),
        **_picked(info, "hostname", "webui_url", "user", "failover_timeout", "checkpoint"),
        **_present(info, "principal"),
        "resources": amounts(views.used(record) + views.offered(record)),
        "capabilities": [_CAPABILITY.Name(capability.type) for capability in info.capabilities],
        **_picked(record, "registered_time", "unregistered_time", *came_back),
        **({"roles": record.roles} if "MULTI_ROLE" in record.capabilities else {"role": record.roles[0]}),
        "tasks": [_task(task) for task in record.tasks.values()],
        "unreachable_tasks": [_task(task) for task in record.unreachable_tasks.values()],
        "completed_tasks": [_task(task) for task in record.completed_tasks],
        "offers": [
            {
                "id": offer.id,
                "framework_id": record.id,
                "allocation_info": {"role": offer.role},
                "slave_id": offer.agent_id,
                "resources": amounts(offer.resources),
            }
            for offer in record.offers.values()
        ],
        "executors": [
            {
                "executor_id": executor.info.executor_id.value,
                "name": executor.info.name,
                "framework_id": record.id,
                "command": content.to_json(executor.info.command),
                "resources": amounts(executor.resources),
                "slave_id": executor.agent_id,
            }
            for executor in record.executors.values()
        ],
        "offer_constraints": content.to_json(record.offer_constraints or pb.scheduler.OfferConstraints()),
    }


def _present(message: Message, *names: str) -> Json:
    """Fields of a message that it has, as JSON; of labels only the list."""
    result: Json = {}
    for name in names:
        if message.HasField(name):
            value = getattr(message, name)
            result[name] = content.to_json(value) if isinstance(value, Message) else value
    if "labels" in result:
        result["labels"] = result["labels"].get("labels", [])
    return result


def _task(task: TaskRecord) -> Json:
    return {
        "id": task.id,
        "name": task.proto.name,
        "framework_id": task.framework_id,
        "executor_id": task.executor_id or "",
        "slave_id": task.agent_id,
        "state": pb.mesos.TaskState.Name(task.proto.state),
        "resources": amounts(task.resources),
        "role": next((entry.facts.allocated_to for entry in task.resources), "*"),
        "statuses": [_status(status) for status in task.proto.statuses],
        **_present(task.proto, "user", "labels", "discovery", "container", "health_check"),
    }


def _status(status: pb.mesos.TaskStatus) -> Json:
    more = _present(status, "labels", "container_status", "healthy")
    more.get("container_status", {}).pop("executor_pid", None)
    return {"state": pb.mesos.TaskState.Name(status.state), "timestamp": status.timestamp, **more}


def _teardown(m: MasterState, request: ApiRequest) -> None:
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    if "frameworkId" not in form:
        raise Refused(400, "Missing 'frameworkId' query parameter in the request body")
    calls.teardown(m, form["frameworkId"])


def _remove_quota(m: MasterState, request: ApiRequest) -> None:
    role = dict(request.query)["role"]
    quota_calls.remove(m, role, f"/master/quota/{role}")


def _asked(request: ApiRequest, cls: type[M]) -> M:
    return parse_message(request.body, "application/json", cls, cls.__name__)


def _machines(m: MasterState, request: ApiRequest) -> None:
    wrapped = b'{"machines":' + request.body + b"}"
    listed = parse_message(wrapped, "application/json", pb.master.Call.StartMaintenance, "MachineIDs")
    (maintenance.start if request.route == "/machine/down" else maintenance.stop)(m, listed.machines)


_SHOWN_TASKS = 200
_CONNECTED = {True: "connected", False: "disconnected"}
_ACTIVE = {(True, True): "active", (True, False): "deactivated", (False, False): "disconnected"}
_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222;background:#fff}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:2rem}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}
th{font-weight:600;color:#555}code{font-size:.9em}.none{color:#777}
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}th,td{border-color:#333}th{color:#aaa}}
"""


def _page(m: MasterState, _: object) -> SiteAnswer:
    """`/`: frameworks, agents and tasks for a person to see. Plain HTML, nothing is loaded from elsewhere."""
    all_frameworks = [
        (
            f.id,
            f.info.name,
            f.info.user,
            ", ".join(f.roles),
            _CONNECTED[f.connected],
            len(f.tasks),
            *_shares(f),
        )
        for f in m.frameworks.values()
    ]
    all_agents = [
        (a.id, a.pid, _ACTIVE[a.connected, a.active], len(a.tasks), _short(a.total), *_shares(a))
        for a in m.agents.values()
    ]
    running = [task for f in m.frameworks.values() for task in f.tasks.values()]
    ended = [task for f in m.frameworks.values() for task in reversed(f.completed_tasks)]
    page = "".join(
        (
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta http-equiv=refresh content=5>",
            f"<title>Master {escape(m.info.pid)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Mesos {VERSION}, embedded: {escape(m.info.pid)}</h1>",
            f"<p>Master <code>{escape(m.id)}</code>. The same as JSON: <a href=/state>/state</a>.</p>",
            _table("Frameworks", "id name user roles state tasks used offered", all_frameworks),
            _table("Agents", "id address state tasks total used offered", all_agents),
            _table(f"Tasks ({len(running)})", "id name state agent resources", _rows(running)),
            _table(f"Tasks that ended ({len(ended)})", "id name state agent resources", _rows(ended)),
            "</body></html>",
        )
    )
    return SiteAnswer(200, body=page.encode(), content_type="text/html; charset=utf-8")


def _shares(holder: Framework | Agent) -> tuple[str, str]:
    return _short(views.used(holder)), _short(views.offered(holder))


def _rows(tasks: list[TaskRecord]) -> list[tuple[object, ...]]:
    state = pb.mesos.TaskState.Name
    shown = tasks[:_SHOWN_TASKS]
    return [(t.id, t.proto.name, state(t.proto.state), t.agent_id, _short(t.resources)) for t in shown]


def _short(resources: Resources) -> str:
    return ", ".join(f"{name} {amount:g}" for name, amount in resources.scalars().items()) or "none"


def _table(title: str, heads: str, rows: Sequence[tuple[object, ...]]) -> str:
    names = heads.split()
    if not rows:
        return f"<h2>{escape(title)}</h2><p class=none>none</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, names, row))}</tr>" for row in rows)
    return f"<h2>{escape(title)}</h2><table><tr>{head}</tr>{body}</table>"


def _cell(name: str, value: object) -> str:
    text = escape(str(value))
    return f"<td><code>{text}</code></td>" if name in {"id", "agent"} else f"<td>{text}</td>"


class Endpoint(NamedTuple):
    """How requests to a path are answered.

    Credentials are asked for by realm: of schedulers, where something is read, where something is changed. What there is to
    read, as JSON unless it is an answer already, depends on the query. Other methods answer 200 unless they say otherwise.
    """

    realm: str | None
    read: Callable[[MasterState, Mapping[str, str]], object] | None = None
    methods: Mapping[str, Callable[[MasterState, ApiRequest], SiteAnswer | StreamOpened | None]] = {}


# By path without `/master`.
ENDPOINTS = {
    "/api/v1/scheduler": Endpoint("scheduler", methods={"POST": scheduler_calls.handle}),
    "/api/v1": Endpoint("readwrite", methods={"POST": calls.handle}),
    "/health": Endpoint(None, lambda *_: SiteAnswer(200)),
    "/version": Endpoint(None, lambda *_: views.VERSION_INFO),
    "/redirect": Endpoint(
        None, lambda m, _: SiteAnswer(307, headers=(("Location", f"//{m.info.hostname}:{m.info.port}"),))
    ),
    "/": Endpoint("readonly", _page),
    "/state": Endpoint("readonly", lambda m, _: state(m)),
    "/state.json": Endpoint("readonly", lambda m, _: state(m)),
    "/state-summary": Endpoint("readonly", lambda m, _: _summary(m)),
    "/slaves": Endpoint("readonly", lambda m, query: agents(m, query.get("slave_id"))),
    "/frameworks": Endpoint("readonly", lambda m, _: frameworks(m)),
    "/tasks": Endpoint("readonly", _tasks),
    "/roles": Endpoint("readonly", lambda m, _: roles(m)),
    "/flags": Endpoint("readonly", lambda m, _: {"flags": views.flags(m)}),
    "/weights": Endpoint("readonly", lambda m, _: views.weights(m)),
    "/metrics/snapshot": Endpoint("readonly", lambda m, _: metrics.snapshot(m)),
    "/maintenance/schedule": Endpoint(
        "readwrite",
        lambda m, _: content.to_json(m.registry.schedule),
        {"POST": lambda m, asked: maintenance.update_schedule(m, _asked(asked, pb.maintenance.Schedule))},
    ),
    "/maintenance/status": Endpoint("readonly", lambda m, _: content.to_json(maintenance.status(m))),
    "/machine/down": Endpoint("readwrite", methods={"POST": _machines}),
    "/machine/up": Endpoint("readwrite", methods={"POST": _machines}),
    "/quota": Endpoint(
        "readwrite",
        lambda m, _: content.to_json(quota_calls.status(m)),
        {"POST": lambda m, asked: quota_calls.set_quota(m, _asked(asked, pb.quota.QuotaRequest))},
    ),
    "/quota/{role:.+}": Endpoint("readwrite", methods={"DELETE": _remove_quota}),
    "/teardown": Endpoint("readwrite", methods={"POST": _teardown}),
}


def answer(m: MasterState, request: ApiRequest) -> SiteAnswer | StreamOpened:
    """Answer a request to one of these paths."""
    _, read, methods = ENDPOINTS[request.route]
    if request.method in methods:
        return methods[request.method](m, request) or SiteAnswer(200)
    if read is None or (methods and request.method != "GET"):
        raise method_not_allowed(request.method, [*(["GET"] if read else []), *methods])
    value = read(m, dict(request.query))
    if isinstance(value, SiteAnswer):
        return value
    return SiteAnswer(200, body=json_bytes(value), content_type="application/json")
