"""The operator API (`/api/v1`): reading calls, SUBSCRIBE, maintenance, weights, teardown; and the endpoints beside it.

Mesos documentation, "Operator HTTP API". What the embedded cluster cannot do (log levels, files of the master) is answered
501, as an unknown call is.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from actors.runtime import message
from mesos_v1 import content, pb
from mesos_v1.content import ContentType
from playa.master.allocation import offering
from playa.master.operator_api import endpoints, metrics, quota_calls, reading, status_page
from playa.master.operator_api import events as operator_events
from playa.master.operator_api import operations as operator_operations
from playa.master.operator_api import validation as operator_validation
from playa.master.operator_api.flags import flags
from playa.master.registration import draining, maintenance, removing
from playa.master.scheduler_api import subscribing
from playa.master.scheduler_api.streams import Streams
from playa.master.site import GetEndpoint, OperatorRequest, SiteAnswer, StreamOpened
from playa.master.state import VERSION, MasterState
from playa.web import chosen_type, parse_message

_Call = pb.master.Call
_Response = pb.master.Response

# Arrays that Mesos prints although they are empty.
_ALWAYS = {
    "get_tasks": ("tasks", "unreachable_tasks", "completed_tasks"),
    "get_executors": ("executors",),
    "get_frameworks": ("frameworks", "completed_frameworks"),
    "get_agents": ("agents", "recovered_agents"),
}


@message
class OperatorHeartbeatDue:
    """It is time for a HEARTBEAT on an operator's stream."""

    stream_id: str


def handle(
    m: MasterState, streams: Streams, request: OperatorRequest, stream_id: str
) -> SiteAnswer | StreamOpened:
    """Answer a call.

    Raises:
        Refused: It cannot be read.
    """
    call = parse_message(request.body, request.content_type, pb.master.Call)
    wrong = operator_validation.problem(call)
    if wrong is not None:
        return SiteAnswer(400, f"Failed to validate master::Call: {wrong}")
    content_type = chosen_type(request.accept)
    if call.type == _Call.SUBSCRIBE:
        _subscribe(m, streams, stream_id, content_type)
        return StreamOpened(stream_id)
    if call.type in operator_operations.KINDS:
        return operator_operations.carry_out(m, call, request.principal)
    change = _CHANGES.get(call.type)
    if change is not None:
        return change(m, call)
    response = _read(m, streams, call)
    if response is None:
        return SiteAnswer(501)
    return SiteAnswer(200, body=_write(m, response, content_type), content_type=content_type.value)


def _write(m: MasterState, response: pb.master.Response, content_type: ContentType) -> bytes:
    if content_type is ContentType.PROTOBUF:
        return content.serialize(response, content_type)
    value = content.to_json(response)
    _complete(m, value)
    _complete(m, value.get("get_state", {}))
    return json.dumps(value, separators=(",", ":")).encode()


def _complete(m: MasterState, value: dict[str, Any]) -> None:
    """Print what Mesos prints besides the schema: empty arrays, and whether an agent checkpoints."""
    for name, arrays in _ALWAYS.items():
        if name in value:
            for array in arrays:
                value[name].setdefault(array, [])
    for agent in value.get("get_agents", {}).get("agents", ()):
        agent["agent_info"]["checkpoint"] = _checkpoints(m, agent["agent_info"]["id"]["value"])


def _checkpoints(m: MasterState, agent_id: str) -> bool:
    """Whether an agent lets frameworks checkpoint: Mesos knows it from a field that V1's AgentInfo lacks."""
    number = m.agents[agent_id].actor.rpartition(":")[2]
    listed = m.settings.agents
    return listed[int(number) - 1].checkpoint if number.isdigit() and int(number) <= len(listed) else True


# --- SUBSCRIBE ------------------------------------------------------------------------------------------------


def _subscribe(m: MasterState, streams: Streams, stream_id: str, content_type: ContentType) -> None:
    streams.open_operator(stream_id, content_type)
    event = operator_events.subscribed(reading.get_state(m), m.settings.heartbeat_interval)
    stream = streams.get(stream_id)
    if stream is None:
        return
    if content_type is ContentType.JSON:
        value = content.to_json(event)
        _complete(m, value["subscribed"]["get_state"])
        stream.send(json.dumps(value, separators=(",", ":")).encode())
    else:
        stream.send_message(event)
    heartbeat(m, streams, stream_id)


def heartbeat(m: MasterState, streams: Streams, stream_id: str) -> None:
    """HEARTBEAT, now and again after the interval, as long as the stream is open."""
    stream = streams.get(stream_id)
    if stream is not None and not stream.closing:
        stream.send_message(operator_events.HEARTBEAT)
        m.ports.later(m.settings.heartbeat_interval, OperatorHeartbeatDue(stream_id))


# --- reading --------------------------------------------------------------------------------------------------


def _read(m: MasterState, streams: Streams, call: pb.master.Call) -> pb.master.Response | None:
    name = _Call.Type.Name(call.type)
    if name not in _Response.Type.keys():  # noqa: SIM118 - an enum's wrapper is no dictionary
        return None
    response = _Response(type=_Response.Type.Value(name))
    if call.type == _Call.GET_HEALTH:
        response.get_health.healthy = True
    elif call.type == _Call.GET_FLAGS:
        for flag, value in flags(m.settings, m.info.port).items():
            response.get_flags.flags.add(name=flag, value=value)
        response.get_flags.SetInParent()
    elif call.type == _Call.GET_VERSION:
        info = response.get_version.version_info
        build = endpoints.BUILD
        info.version, info.build_user = VERSION, ""
        info.build_date, info.build_time = str(build["build_date"]), float(str(build["build_time"]))
    elif call.type == _Call.GET_METRICS:
        for metric, number in metrics.snapshot(m, streams.operator_count).items():
            response.get_metrics.metrics.add(name=metric, value=number)
    elif call.type == _Call.GET_MASTER:
        response.get_master.master_info.CopyFrom(m.info)
        response.get_master.start_time = response.get_master.elected_time = m.start_time
    elif call.type == _Call.GET_WEIGHTS:
        response.get_weights.SetInParent()
        for role, weight in sorted(m.allocator.weights.items()):
            response.get_weights.weight_infos.add(role=role, weight=weight)
    elif call.type == _Call.GET_QUOTA:
        response.get_quota.status.CopyFrom(quota_calls.status(m))
    elif call.type == _Call.GET_LOGGING_LEVEL:
        response.get_logging_level.level = 0
    elif call.type == _Call.GET_MAINTENANCE_STATUS:
        response.get_maintenance_status.status.CopyFrom(maintenance.status(m))
    elif call.type == _Call.GET_MAINTENANCE_SCHEDULE:
        response.get_maintenance_schedule.schedule.CopyFrom(m.registry.maintenance_schedule())
    elif call.type in _STATES:
        field, read = _STATES[call.type]
        part = getattr(response, field)
        part.SetInParent()
        part.CopyFrom(read(m))
    else:
        return None
    return response


_STATES: dict[int, tuple[str, Callable[[MasterState], Any]]] = {
    _Call.GET_STATE: ("get_state", reading.get_state),
    _Call.GET_TASKS: ("get_tasks", reading.get_tasks),
    _Call.GET_AGENTS: ("get_agents", reading.get_agents),
    _Call.GET_FRAMEWORKS: ("get_frameworks", reading.get_frameworks),
    _Call.GET_EXECUTORS: ("get_executors", reading.get_executors),
    _Call.GET_OPERATIONS: ("get_operations", reading.get_operations),
    _Call.GET_ROLES: ("get_roles", reading.get_roles),
}


# --- changing -------------------------------------------------------------------------------------------------


def _done(wrong: str | None) -> SiteAnswer:
    return SiteAnswer(200) if wrong is None else SiteAnswer(400, wrong)


def _update_weights(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    wrong = operator_validation.weights_problem(call.update_weights)
    if wrong is not None:
        return SiteAnswer(400, wrong)
    for info in call.update_weights.weight_infos:
        m.allocator.weights[info.role] = info.weight
    m.registry = replace(m.registry, weights=tuple(sorted(m.allocator.weights.items())))
    m.ports.save()
    for offer in list(m.offers.values()):  # so that the new weights can take effect
        offering.rescind(m, offer)
    return SiteAnswer(200)


def _teardown(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    return teardown(m, call.teardown.framework_id.value)


def teardown(m: MasterState, framework_id: str) -> SiteAnswer:
    """End a framework for its operator."""
    framework = m.framework(framework_id)
    if framework is None:
        return SiteAnswer(400, "No framework found with specified ID")
    subscribing.remove(m, framework)
    return SiteAnswer(200)


def _mark_gone(m: MasterState, call: pb.master.Call) -> SiteAnswer:
    agent_id = call.mark_agent_gone.agent_id.value
    return SiteAnswer(200) if removing.mark_gone(m, agent_id) else SiteAnswer(404, "404 Not Found.")


_CHANGES: dict[int, Callable[[MasterState, pb.master.Call], SiteAnswer]] = {
    _Call.UPDATE_WEIGHTS: _update_weights,
    _Call.UPDATE_QUOTA: quota_calls.update,
    _Call.SET_QUOTA: quota_calls.set_,
    _Call.REMOVE_QUOTA: quota_calls.remove,
    _Call.TEARDOWN: _teardown,
    _Call.MARK_AGENT_GONE: _mark_gone,
    _Call.DRAIN_AGENT: draining.drain,
    _Call.DEACTIVATE_AGENT: draining.deactivate,
    _Call.REACTIVATE_AGENT: draining.reactivate,
    _Call.UPDATE_MAINTENANCE_SCHEDULE: lambda m, call: _done(
        maintenance.update_schedule(m, call.update_maintenance_schedule.schedule)
    ),
    _Call.START_MAINTENANCE: lambda m, call: _done(maintenance.start(m, call.start_maintenance.machines)),
    _Call.STOP_MAINTENANCE: lambda m, call: _done(maintenance.stop(m, call.stop_maintenance.machines)),
}


# --- endpoints outside the V1 API -----------------------------------------------------------------------------


def endpoint(m: MasterState, streams: Streams, request: GetEndpoint) -> SiteAnswer:
    """Answer `/state` and its kin."""
    query = dict(request.query)
    if request.path == "/health":
        return SiteAnswer(200)
    if request.path == "/redirect":
        location = f"//{m.info.hostname}:{m.info.port}"
        return SiteAnswer(307, headers=(("Location", location),))
    if request.path == "/":
        page = status_page.render(m).encode()
        return SiteAnswer(200, body=page, content_type="text/html; charset=utf-8")
    if request.path == "/teardown":
        return _teardown_by_form(m, request)
    if request.path in {"/maintenance/schedule", "/machine/down", "/machine/up"} and request.method == "POST":
        return _maintenance_by_json(m, request)
    if request.path.startswith("/quota") and request.method != "GET":
        return _quota_by_json(m, request)
    value = _json_of(m, streams, request.path, query)
    if value is None:
        return SiteAnswer(405, "405 Method Not Allowed.")
    return _json(value)


def _json(value: object) -> SiteAnswer:
    text = json.dumps(value, separators=(",", ":"))
    return SiteAnswer(200, body=text.encode(), content_type="application/json")


def _json_of(m: MasterState, streams: Streams, path: str, query: dict[str, str]) -> object | None:
    readers: dict[str, Callable[[], object]] = {
        "/version": endpoints.version,
        "/state": lambda: endpoints.state(m),
        "/state.json": lambda: endpoints.state(m),
        "/state-summary": lambda: endpoints.summary(m),
        "/frameworks": lambda: endpoints.frameworks(m),
        "/slaves": lambda: endpoints.agents(m, query.get("slave_id")),
        "/tasks": lambda: _tasks(m, query),
        "/roles": lambda: endpoints.roles(m),
        "/flags": lambda: {"flags": flags(m.settings, m.info.port)},
        "/weights": lambda: [{"role": r, "weight": w} for r, w in sorted(m.allocator.weights.items())],
        "/quota": lambda: quota_calls.as_json(m),
        "/metrics/snapshot": lambda: metrics.snapshot(m, streams.operator_count),
        "/maintenance/schedule": lambda: maintenance.schedule_as_json(m),
        "/maintenance/status": lambda: content.to_json(maintenance.status(m)),
    }
    reader = readers.get(path)
    return reader() if reader is not None else None


def _tasks(m: MasterState, query: dict[str, str]) -> object:
    framework_id, task_id = query.get("framework_id"), query.get("task_id")
    return endpoints.tasks(
        m,
        limit=_integer(query.get("limit"), 100),
        offset=_integer(query.get("offset"), 0),
        ascending=query.get("order") == "asc",
        wanted=lambda task: framework_id in {None, task.framework_id} and task_id in {None, task.id},
    )


def _integer(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdigit() else default


def _teardown_by_form(m: MasterState, request: GetEndpoint) -> SiteAnswer:
    if request.method != "POST":
        text = f"405 Method Not Allowed. Expecting one of {{ 'POST' }}, but received '{request.method}'."
        return SiteAnswer(405, text, headers=(("Allow", "POST"),))
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    if "frameworkId" not in form:
        return SiteAnswer(400, "Missing 'frameworkId' query parameter in the request body")
    return teardown(m, form["frameworkId"])


def _quota_by_json(m: MasterState, request: GetEndpoint) -> SiteAnswer:
    """What SET_QUOTA and REMOVE_QUOTA do, by POST to `/quota` and DELETE of `/quota/<role>`."""
    role = request.path.removeprefix("/quota").removeprefix("/")
    if request.method == "DELETE" and role:
        return quota_calls.remove_by_path(m, role)
    if request.method == "POST" and not role:
        asked = parse_message(request.body, "application/json", pb.quota.QuotaRequest, "QuotaRequest")
        return quota_calls.set_as_asked(m, asked)
    return SiteAnswer(405, "405 Method Not Allowed.")


def _maintenance_by_json(m: MasterState, request: GetEndpoint) -> SiteAnswer:
    if request.path == "/maintenance/schedule":
        schedule = parse_message(request.body, "application/json", pb.maintenance.Schedule, "Schedule")
        return _done(maintenance.update_schedule(m, schedule))
    wrapped = b'{"machines":' + request.body + b"}"
    listed = parse_message(wrapped, "application/json", pb.master.Call.StartMaintenance, "MachineIDs")
    change = maintenance.start if request.path == "/machine/down" else maintenance.stop
    return _done(change(m, listed.machines))
