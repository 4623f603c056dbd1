"""Whether a call of the operator API can be right, in the words of a Mesos master. None if nothing is wrong."""

from mesos_v1 import pb
from playa.master.operations import resource_validation
from playa.master.scheduler_api.call_validation import role_name

_Call = pb.master.Call
# Calls whose payload is a field of the same name; without it the call says nothing.
_WITH_PAYLOAD = (
    "GET_METRICS",
    "SET_LOGGING_LEVEL",
    "LIST_FILES",
    "READ_FILE",
    "UPDATE_WEIGHTS",
    "RESERVE_RESOURCES",
    "UNRESERVE_RESOURCES",
    "CREATE_VOLUMES",
    "DESTROY_VOLUMES",
    "GROW_VOLUME",
    "SHRINK_VOLUME",
    "UPDATE_MAINTENANCE_SCHEDULE",
    "START_MAINTENANCE",
    "STOP_MAINTENANCE",
    "DRAIN_AGENT",
    "DEACTIVATE_AGENT",
    "REACTIVATE_AGENT",
    "UPDATE_QUOTA",
    "SET_QUOTA",
    "REMOVE_QUOTA",
    "TEARDOWN",
    "MARK_AGENT_GONE",
)
_PAYLOAD = {_Call.Type.Value(name): name.lower() for name in _WITH_PAYLOAD}


def problem(call: pb.master.Call) -> str | None:
    """What is wrong with a call."""
    if not call.HasField("type") or call.type == _Call.UNKNOWN:
        return "Expecting 'type' to be present"
    payload = _PAYLOAD.get(call.type)
    if payload is not None and not call.HasField(payload):  # type: ignore[arg-type]
        return f"Expecting '{payload}' to be present"
    if call.type in (_Call.RESERVE_RESOURCES, _Call.UNRESERVE_RESOURCES):
        return resource_validation.of_several(getattr(call, payload or "").resources)
    resizes = call.type in (_Call.GROW_VOLUME, _Call.SHRINK_VOLUME)
    if resizes and not getattr(call, payload or "").HasField("agent_id"):
        return "Expecting 'agent_id' to be present; only agent default resources are supported right now"
    return None


def weights_problem(call: pb.master.Call.UpdateWeights) -> str | None:
    """What is wrong with new weights."""
    for info in call.weight_infos:
        wrong = role_name(info.role)
        if wrong is not None:
            return f"Failed to validate update weights request JSON: Invalid role '{info.role}': {wrong}"
        if not info.weight > 0:
            return (
                f"Failed to validate update weights request JSON for role '{info.role}': "
                f"Invalid weight '{info.weight:g}': Weights must be positive"
            )
    return None
