"""The operator API (`/api/v1`): a table of calls, SUBSCRIBE, and operations on resources.

RESERVE_RESOURCES … SHRINK_VOLUME are the same operations as those of a framework's ACCEPT, checked by the same rules and
carried out by the same code; but on what no framework holds (Mesos documentation, "Operator HTTP API"). What the embedded
cluster cannot do (log levels, files of the master) is answered 501, as an unknown call is.
"""

from collections.abc import Callable
from typing import Any

from mesos_v1 import content, pb
from mesos_v1.content import ContentType
from mesos_v1.errors import MesosError, OperationError
from mesos_v1.operations import resources_of
from mesos_v1.resources import Resources, consumed_by
from playa.master.agents import draining, liveness, maintenance
from playa.master.allocation import offers, resource_forms
from playa.master.http_site import ApiRequest, SiteAnswer, StreamOpened
from playa.master.operator_api import metrics, quota_calls, views
from playa.master.records import Agent, new
from playa.master.scheduler_api import frameworks, operations
from playa.master.state import MasterState
from playa.master.validation import calls as validation
from playa.master.validation import operations as operation_validation
from playa.master.validation.rules import within
from playa.web import Refused, chosen_type, json_bytes, parse_message, refuse

Operation = pb.mesos.Offer.Operation

# Arrays that Mesos prints although they are empty.
_ALWAYS = {
    "get_tasks": ("tasks", "unreachable_tasks", "completed_tasks"),
    "get_executors": ("executors",),
    "get_frameworks": ("frameworks", "completed_frameworks"),
    "get_agents": ("agents", "recovered_agents"),
}


def handle(m: MasterState, request: ApiRequest) -> SiteAnswer | StreamOpened:
    """Answer a call."""
    call = parse_message(request.body, request.content_type, pb.master.Call)
    refuse(within("Failed to validate master::Call", validation.operator_call(call)))
    content_type = chosen_type(request.accept)
    name = pb.master.Call.Type.Name(call.type).lower()
    if name == "subscribe":
        return _subscribe(m, content_type)
    if name in _OPERATIONS:
        return carry_out(m, call, request.principal)
    if name in _CHANGING:
        _CHANGING[name](m, getattr(call, name))
        return SiteAnswer(200)
    if name in _READING:
        response = new(pb.master.Response, type=name.upper(), **{name: _READING[name](m)})
        return SiteAnswer(200, body=_write(m, response, content_type), content_type=content_type.value)
    raise Refused(501)


def _write(m: MasterState, message: pb.master.Response | pb.master.Event, content_type: ContentType) -> bytes:
    """A message with what Mesos prints besides the schema: empty arrays, and whether an agent checkpoints."""
    if content_type is ContentType.PROTOBUF:
        return content.serialize(message, content_type)
    value = content.to_json(message)
    for part in (value, value.get("get_state", {}), value.get("subscribed", {}).get("get_state", {})):
        for name in _ALWAYS.keys() & part.keys():
            for array in _ALWAYS[name]:
                part[name].setdefault(array, [])
        for agent in part.get("get_agents", {}).get("agents", ()):
            agent["agent_info"]["checkpoint"] = _checkpoints(m, agent["agent_info"]["id"]["value"])
    return json_bytes(value)


def _checkpoints(m: MasterState, agent_id: str) -> bool:
    """Whether an agent lets frameworks checkpoint: Mesos knows it from a field that V1's AgentInfo lacks."""
    number = m.agents[agent_id].actor.rpartition(":")[2]
    listed = m.settings.agents
    return listed[int(number) - 1].checkpoint if number.isdigit() and int(number) <= len(listed) else True


def _subscribe(m: MasterState, content_type: ContentType) -> StreamOpened:
    stream_id = m.ports.open_stream(content_type, operator=True)
    interval = m.settings.heartbeat_interval
    subscribed = {"get_state": views.state(m), "heartbeat_interval_seconds": interval}
    event = new(pb.master.Event, type="SUBSCRIBED", subscribed=subscribed)
    stream = m.ports.stream(stream_id)
    if stream is not None:
        stream.send(_write(m, event, content_type))
        heartbeat(m, stream_id)
    return StreamOpened(stream_id)


def heartbeat(m: MasterState, stream_id: str) -> None:
    """HEARTBEAT, now and again after the interval, as long as the stream is open."""
    stream = m.ports.stream(stream_id)
    if stream is not None and not stream.closing:
        stream.send_message(new(pb.master.Event, type="HEARTBEAT"))
        m.ports.later(m.settings.heartbeat_interval, "operator heartbeat", stream_id)


def _update_weights(m: MasterState, asked: pb.master.Call.UpdateWeights) -> None:
    refuse(validation.weights(asked))
    m.allocator.roles.weights.update((info.role, info.weight) for info in asked.weight_infos)
    m.registry.weights = dict(sorted(m.allocator.roles.weights.items()))
    m.ports.save()
    for offer in list(m.offers.values()):  # so that the new weights can take effect
        offers.rescind(m, offer)


def teardown(m: MasterState, framework_id: str) -> None:
    """End a framework for its operator."""
    if framework_id not in m.frameworks:
        raise Refused(400, "No framework found with specified ID")
    frameworks.remove(m, m.frameworks[framework_id])


def _mark_gone(m: MasterState, asked: pb.master.Call.MarkAgentGone) -> None:
    if not liveness.mark_gone(m, asked.agent_id.value):
        raise Refused(404, "404 Not Found.")


# Which operation a call asks for; the fields of their messages have the same names.
_OPERATIONS = {
    "reserve_resources": "RESERVE",
    "unreserve_resources": "UNRESERVE",
    "create_volumes": "CREATE",
    "destroy_volumes": "DESTROY",
    "grow_volume": "GROW_VOLUME",
    "shrink_volume": "SHRINK_VOLUME",
}
_NAMES_NO_AGENT = ("UNRESERVE", "DESTROY")  # in what is wrong with it


def carry_out(m: MasterState, call: pb.master.Call, principal: str | None) -> SiteAnswer:
    """Carry an operation out, or refuse it."""
    name = pb.master.Call.Type.Name(call.type).lower()
    kind, asked = _OPERATIONS[name], getattr(call, name)
    body = {field.name: value for field, value in asked.ListFields() if field.name != "agent_id"}
    operation = new(Operation, type=kind, **{kind.lower(): body})
    agent = m.agents.get(asked.agent_id.value)
    if agent is None:
        raise Refused(400, "No agent found with specified ID")
    refuse(operation_validation.unreadable(operation))
    resource_forms.to_new_form(resources_of(operation))
    where = "" if kind in _NAMES_NO_AGENT else f" on agent {agent.printed}"
    wrong = operation_validation.problem(operation, None, agent, principal)
    refuse(within(f"Invalid {kind} operation{where}", wrong))
    try:
        needed = consumed_by(operation)
    except MesosError as error:
        raise Refused(400, str(error)) from None
    _take_offers_back(m, agent, operation, needed)
    try:
        m.allocator.apply(agent, operation)
    except OperationError as error:
        raise Refused(409, str(error)) from None
    operations.start(m, None, agent, operation)
    return SiteAnswer(202)


def _take_offers_back(m: MasterState, agent: Agent, operation: Operation, missing: Resources) -> None:
    """Rescind offers of what the operation needs, until they would suffice."""
    recovered = Resources()
    for offer in list(agent.offers.values()):
        offered = offer.resources.unallocate()
        left = missing - offered
        if left == missing:
            continue
        missing, recovered = left, recovered + offered
        offers.rescind(m, offer, pb.mesos.Filters())  # its framework does not get them right back
        try:
            recovered.apply(operation)
        except OperationError:
            continue
        return


_CHANGING: dict[str, Callable[[MasterState, Any], None]] = {
    "update_weights": _update_weights,
    "update_quota": quota_calls.update,
    "set_quota": lambda m, asked: quota_calls.set_quota(m, asked.quota_request),
    "remove_quota": lambda m, asked: quota_calls.remove(m, asked.role),
    "teardown": lambda m, asked: teardown(m, asked.framework_id.value),
    "mark_agent_gone": _mark_gone,
    "drain_agent": draining.drain,
    "deactivate_agent": draining.deactivate,
    "reactivate_agent": draining.reactivate,
    "update_maintenance_schedule": lambda m, asked: maintenance.update_schedule(m, asked.schedule),
    "start_maintenance": lambda m, asked: maintenance.start(m, asked.machines),
    "stop_maintenance": lambda m, asked: maintenance.stop(m, asked.machines),
}

_READING: dict[str, Callable[[MasterState], Any]] = {
    "get_health": lambda _: {"healthy": True},
    "get_flags": lambda m: {"flags": _pairs(views.flags(m))},
    "get_version": lambda _: {"version_info": views.VERSION_INFO},
    "get_metrics": lambda m: {"metrics": _pairs(metrics.snapshot(m))},
    "get_logging_level": lambda _: {"level": 0},
    **views.OF_STATE,
    "get_state": views.state,
    "get_operations": lambda m: {
        "operations": [each.proto for record in m.agents.values() for each in record.operations.values()]
    },
    "get_roles": lambda m: {"roles": [views.role(m, name) for name in views.known_roles(m)]},
    "get_weights": lambda m: {"weight_infos": views.weights(m)},
    "get_master": lambda m: {"master_info": m.info, "start_time": m.start_time, "elected_time": m.start_time},
    "get_quota": lambda m: {"status": quota_calls.status(m)},
    "get_maintenance_status": lambda m: {"status": maintenance.status(m)},
    "get_maintenance_schedule": lambda m: {"schedule": m.registry.schedule},
}


def _pairs(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value} for name, value in values.items()]
