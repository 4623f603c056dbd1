"""Whether a scheduler's call and its FrameworkInfo can be right, in the words of a Mesos master.

Each function returns the text of what is wrong, or None. The texts are part of what clients see: they are tested against
recordings of a real master.
"""

from collections.abc import Iterable

from mesos_v1 import pb

_Call = pb.scheduler.Call

# The field that each call has to have.
_PAYLOAD: dict[int, str] = {
    _Call.ACCEPT: "accept",
    _Call.DECLINE: "decline",
    _Call.ACCEPT_INVERSE_OFFERS: "accept_inverse_offers",
    _Call.DECLINE_INVERSE_OFFERS: "decline_inverse_offers",
    _Call.KILL: "kill",
    _Call.SHUTDOWN: "shutdown",
    _Call.ACKNOWLEDGE: "acknowledge",
    _Call.ACKNOWLEDGE_OPERATION_STATUS: "acknowledge_operation_status",
    _Call.RECONCILE: "reconcile",
    _Call.RECONCILE_OPERATIONS: "reconcile_operations",
    _Call.MESSAGE: "message",
    _Call.REQUEST: "request",
    _Call.UPDATE_FRAMEWORK: "update_framework",
}

_LONGEST_DURATION = (2**63 - 1) / 1e9  # seconds that fit into nanoseconds of 64 bits


def scheduler_call(call: pb.scheduler.Call, principal: str | None) -> str | None:
    """What is wrong with a call before anyone looks at its framework."""
    if not call.HasField("type") or call.type == _Call.UNKNOWN:
        return "Expecting 'type' to be present"
    if call.type == _Call.SUBSCRIBE:
        return _subscribe(call, principal)
    if not call.HasField("framework_id"):
        return "Expecting 'framework_id' to be present"
    payload = _PAYLOAD.get(call.type)
    if payload is not None and not call.HasField(payload):  # type: ignore[arg-type]
        return f"Expecting '{payload}' to be present"
    if call.type == _Call.ACKNOWLEDGE and len(call.acknowledge.uuid) != 16:
        return "Not a valid UUID"
    if call.type == _Call.ACKNOWLEDGE_OPERATION_STATUS:
        if len(call.acknowledge_operation_status.uuid) != 16:
            return "Not a valid UUID"
        if not call.acknowledge_operation_status.HasField("agent_id"):
            return "Expecting 'agent_id' to be present"
    if call.type == _Call.UPDATE_FRAMEWORK and (
        call.framework_id.value != call.update_framework.framework_info.id.value
    ):
        return "'framework_id' differs from 'update_framework.framework_info.id'"
    return None


def _subscribe(call: pb.scheduler.Call, principal: str | None) -> str | None:
    if not call.HasField("subscribe"):
        return "Expecting 'subscribe' to be present"
    info = call.subscribe.framework_info
    if info.id.value != call.framework_id.value:
        return "'framework_id' differs from 'subscribe.framework_info.id'"
    if principal is not None and info.HasField("principal") and info.principal != principal:
        return (
            f"Authenticated principal '{principal}' does not match principal "
            f"'{info.principal}' set in `FrameworkInfo`"
        )
    return None


def framework_info(info: pb.mesos.FrameworkInfo, allowed_roles: Iterable[str]) -> str | None:
    """What is wrong with a FrameworkInfo; the answer is an ERROR event on the stream."""
    multi_role = "MULTI_ROLE" in capabilities_of(info)
    if multi_role and info.HasField("role"):
        return "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable"
    if not multi_role and info.roles:
        return "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable"
    duplicates = sorted({role for role in info.roles if list(info.roles).count(role) > 1})
    if duplicates:
        return f"'FrameworkInfo.roles' contains duplicate items: {as_set(duplicates)}"
    for role in info.roles:
        wrong = role_name(role)
        if wrong is not None:
            return f"'FrameworkInfo.roles' contains invalid role: {wrong}"
    if not multi_role:
        wrong = role_name(info.role)
        if wrong is not None:
            return f"'FrameworkInfo.role' is not a valid role: {wrong}"
    wrong = _framework_id(info)
    if wrong is not None:
        return wrong
    if not abs(info.failover_timeout) <= _LONGEST_DURATION:
        return f"The framework failover_timeout ({_number(info.failover_timeout)}) is invalid"
    listed = set(allowed_roles)
    unknown = sorted(role for role in roles_of(info) if role != "*" and role not in listed)
    if listed and unknown:
        return f"Roles {as_set(unknown)} are not present in the master's --roles"
    return None


def _framework_id(info: pb.mesos.FrameworkInfo) -> str | None:
    return identifier(info.id.value) if info.id.value else None


def suppressed_roles(suppressed: Iterable[str], roles: Iterable[str]) -> str | None:
    """What is wrong with the roles that a framework wants suppressed from the start."""
    invalid = sorted(set(suppressed) - set(roles))
    if invalid:
        return f"Suppressed roles {as_set(invalid)} are not contained in the set of roles"
    return None


def framework_update(old: pb.mesos.FrameworkInfo, new: pb.mesos.FrameworkInfo) -> str | None:
    """What a framework must not change about itself."""
    if new.principal != old.principal:
        return "Changing framework's principal is not allowed."
    if new.user != old.user:
        return (
            "Updating 'FrameworkInfo.user' is unsupported; "
            f"attempted to update from '{old.user}' to '{new.user}'"
        )
    if new.checkpoint != old.checkpoint:
        before, after = (str(flag).lower() for flag in (old.checkpoint, new.checkpoint))
        return (
            "Updating 'FrameworkInfo.checkpoint' is unsupported; "
            f"attempted to update from '{before}' to '{after}'"
        )
    return None


def role_name(role: str) -> str | None:
    """What is wrong with a role's name (Mesos documentation, "Roles", "Invalid role names")."""
    if role == "*":
        return None
    if role.startswith("/"):
        return f"Role '{role}' cannot start with a slash"
    if role.endswith("/"):
        return f"Role '{role}' cannot end with a slash"
    if "//" in role:
        return f"Role '{role}' cannot contain two adjacent slashes"
    if not role:
        return "Role names cannot be the empty string"
    for component in role.split("/"):
        if component in {".", "..", "*"}:
            return f"Role '{role}' cannot include '{component}' as a component"
        if component.startswith("-"):
            return f"Role component '{component}' is invalid because it starts with a dash"
        if any(c in "\t\n\v\f\r \x7f" for c in component):
            return f"Role component '{component}' is invalid because it contains backspace or whitespace"
    return None


def identifier(value: str) -> str | None:
    """What is wrong with an id that becomes part of a path."""
    if not value:
        return "ID must not be empty"
    if len(value) > 255:
        return "ID must not be greater than 255 characters"
    if value in {".", ".."}:
        return f"'{value}' is disallowed"
    if any(ord(c) < 32 or ord(c) == 127 or c in "/\\" for c in value):
        return f"'{value}' contains invalid characters"
    return None


def capabilities_of(info: pb.mesos.FrameworkInfo) -> frozenset[str]:
    """The names of a framework's capabilities."""
    name = pb.mesos.FrameworkInfo.Capability.Type.Name
    return frozenset(name(capability.type) for capability in info.capabilities)


def roles_of(info: pb.mesos.FrameworkInfo) -> tuple[str, ...]:
    """The roles that a framework subscribes to."""
    if "MULTI_ROLE" in capabilities_of(info):
        return tuple(info.roles)
    return (info.role,)


def as_set(items: Iterable[str]) -> str:
    """A set as Mesos prints it."""
    return "{ " + ", ".join(items) + " }"


def _number(value: float) -> str:
    return f"{value:.15g}" if abs(value) < 1e15 else f"{value:g}"
