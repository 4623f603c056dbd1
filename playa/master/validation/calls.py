"""Calls of the scheduler API with their FrameworkInfo, and calls of the operator API."""

from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1.values import NANOS
from playa.master.validation import resources
from playa.master.validation.rules import Rows, as_set, identifier, role_name, validator, within

_Scheduler = pb.scheduler.Call
_Operator = pb.master.Call

# Calls that say all by their type. The others have a field of the same name.
_BARE = ("TEARDOWN", "REVIVE", "SUPPRESS")
_READING = {name for name in _Operator.Type.keys() if name.startswith("GET_")} - {"GET_METRICS"}  # noqa: SIM118

_LONGEST_DURATION = (2**63 - 1) / NANOS  # seconds that fit into nanoseconds of 64 bits


@validator
def scheduler_call(call: pb.scheduler.Call, principal: str | None) -> Rows:
    """What is wrong with a call before anyone looks at its framework."""
    yield (not call.HasField("type") or call.type == _Scheduler.UNKNOWN) and "Expecting 'type' to be present"
    if call.type == _Scheduler.SUBSCRIBE:
        yield _subscribe(call, principal)
        return
    yield not call.HasField("framework_id") and "Expecting 'framework_id' to be present"
    name = _Scheduler.Type.Name(call.type)
    yield name not in _BARE and _without_payload(call, name)
    if call.type in (_Scheduler.ACKNOWLEDGE, _Scheduler.ACKNOWLEDGE_OPERATION_STATUS):
        part = getattr(call, name.lower())
        yield len(part.uuid) != 16 and "Not a valid UUID"
        yield not part.HasField("agent_id") and "Expecting 'agent_id' to be present"
    updated_id = call.update_framework.framework_info.id.value
    if call.type == _Scheduler.UPDATE_FRAMEWORK and call.framework_id.value != updated_id:
        yield "'framework_id' differs from 'update_framework.framework_info.id'"


def _without_payload(call: pb.scheduler.Call | pb.master.Call, name: str) -> str | None:
    has = call.HasField(name.lower())  # type: ignore[arg-type]
    return None if has else f"Expecting '{name.lower()}' to be present"


@validator
def _subscribe(call: pb.scheduler.Call, principal: str | None) -> Rows:
    yield _without_payload(call, "SUBSCRIBE")
    info = call.subscribe.framework_info
    if info.id.value != call.framework_id.value:
        yield "'framework_id' differs from 'subscribe.framework_info.id'"
    yield info.HasField("principal") and other_principal(principal, info)


def other_principal(principal: str | None, info: pb.mesos.FrameworkInfo) -> str | None:
    """What is wrong if somebody else sends a call than the framework's principal."""
    if principal is None or principal == info.principal:
        return None
    return f"Authenticated principal '{principal}' does not match principal '{info.principal}' set in `FrameworkInfo`"


@validator
def framework_info(info: pb.mesos.FrameworkInfo, allowed_roles: Iterable[str]) -> Rows:
    """What is wrong with a FrameworkInfo; the answer is an ERROR event on the stream."""
    if "MULTI_ROLE" in capabilities_of(info):
        if info.HasField("role"):
            yield "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
        duplicates = sorted({role for role in info.roles if list(info.roles).count(role) > 1})
        yield duplicates and f"'FrameworkInfo.roles' contains duplicate items: {as_set(duplicates)}"
        for role in info.roles:
            yield within("'FrameworkInfo.roles' contains invalid role", role_name(role))
    else:
        if info.roles:
            yield "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
        yield within("'FrameworkInfo.role' is not a valid role", role_name(info.role))
    yield info.id.value and identifier(info.id.value)
    timeout = info.failover_timeout
    printed = f"{timeout:.15g}" if abs(timeout) < 1e15 else f"{timeout:g}"
    yield not abs(timeout) <= _LONGEST_DURATION and f"The framework failover_timeout ({printed}) is invalid"
    listed = set(allowed_roles)
    unknown = sorted(role for role in roles_of(info) if role != "*" and role not in listed)
    yield listed and unknown and f"Roles {as_set(unknown)} are not present in the master's --roles"


def suppressed_roles(suppressed: Iterable[str], roles: Iterable[str]) -> str | None:
    """What is wrong with the roles that a framework wants suppressed from the start."""
    invalid = sorted(set(suppressed) - set(roles))
    return f"Suppressed roles {as_set(invalid)} are not contained in the set of roles" if invalid else None


@validator
def framework_update(old: pb.mesos.FrameworkInfo, new: pb.mesos.FrameworkInfo) -> Rows:
    """What a framework must not change about itself."""
    yield new.principal != old.principal and "Changing framework's principal is not allowed."
    for name, before, after in (
        ("user", old.user, new.user),
        ("checkpoint", str(old.checkpoint).lower(), str(new.checkpoint).lower()),
    ):
        yield before != after and (
            f"Updating 'FrameworkInfo.{name}' is unsupported; attempted to update from '{before}' to '{after}'"
        )


def capabilities_of(info: pb.mesos.FrameworkInfo) -> frozenset[str]:
    """The names of a framework's capabilities."""
    name = pb.mesos.FrameworkInfo.Capability.Type.Name
    return frozenset(name(capability.type) for capability in info.capabilities)


def roles_of(info: pb.mesos.FrameworkInfo) -> tuple[str, ...]:
    """The roles that a framework subscribes to."""
    return tuple(info.roles) if "MULTI_ROLE" in capabilities_of(info) else (info.role,)


@validator
def operator_call(call: pb.master.Call) -> Rows:
    """What is wrong with a call of the operator API."""
    yield (not call.HasField("type") or call.type == _Operator.UNKNOWN) and "Expecting 'type' to be present"
    name = _Operator.Type.Name(call.type)
    yield name != "SUBSCRIBE" and name not in _READING and _without_payload(call, name)
    if name in {"RESERVE_RESOURCES", "UNRESERVE_RESOURCES"}:
        yield resources.of_several(getattr(call, name.lower()).resources)
    resizes = name in {"GROW_VOLUME", "SHRINK_VOLUME"}
    if resizes and not getattr(call, name.lower()).HasField("agent_id"):
        yield "Expecting 'agent_id' to be present; only agent default resources are supported right now"


@validator
def weights(call: pb.master.Call.UpdateWeights) -> Rows:
    """What is wrong with new weights."""
    request = "Failed to validate update weights request JSON"
    for info in call.weight_infos:
        yield within(f"{request}: Invalid role '{info.role}'", role_name(info.role))
        yield not info.weight > 0 and (
            f"{request} for role '{info.role}': Invalid weight '{info.weight:g}': Weights must be positive"
        )
