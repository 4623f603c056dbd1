"""Whether an operation on resources can be right, in the words of a Mesos master.

Each rule returns the text of what is wrong, or None. Whether the resources are there is not asked here: that is
`mesos_v1.operations`.
"""

import math
from collections.abc import Callable, Iterable

from mesos_v1 import pb
from mesos_v1.operations import resources_of
from mesos_v1.resource import MILLIS, Resource
from mesos_v1.resources import Resources
from playa.master.operations import resource_validation
from playa.master.records import Agent, Framework
from playa.master.scheduler_api.call_validation import as_set

Operation = pb.mesos.Offer.Operation
RESIZES = (Operation.GROW_VOLUME, Operation.SHRINK_VOLUME)
_ON_LISTS = (Operation.RESERVE, Operation.UNRESERVE, Operation.CREATE, Operation.DESTROY)


def unreadable(operation: pb.mesos.Offer.Operation) -> str | None:
    """What is wrong with an operation before anyone looks at what it is for."""
    name = Operation.Type.Name(operation.type)
    if operation.type == Operation.UNKNOWN:
        return "Unknown offer operation"
    if not operation.HasField(name.lower()):  # type: ignore[arg-type]
        subject = "GROW_VOLUME operation" if name == "GROW_VOLUME" else f"{name} offer operation"
        end = "" if operation.type in RESIZES else "."
        article = "An" if name.startswith("U") else "A"
        return f"{article} {subject} must have the Offer.Operation.{name.lower()} field set{end}"
    return _wrong_resources(operation)


def _wrong_resources(operation: pb.mesos.Offer.Operation) -> str | None:
    singles = {
        Operation.GROW_VOLUME: (operation.grow_volume.volume, operation.grow_volume.addition),
        Operation.SHRINK_VOLUME: (operation.shrink_volume.volume,),
        Operation.CREATE_DISK: (operation.create_disk.source,),
        Operation.DESTROY_DISK: (operation.destroy_disk.source,),
    }.get(operation.type)
    if singles is not None:
        return next(filter(None, map(resource_validation.of_one, singles)), None)
    return resource_validation.of_several(resources_of(operation))


def problem(
    operation: pb.mesos.Offer.Operation, framework: Framework | None, agent: Agent, principal: str | None
) -> str | None:
    """What is wrong with an operation that can be read.

    Args:
        operation: The operation.
        framework: Whose it is; None for an operator's.
        agent: On whose resources.
        principal: Who asks for it, if that is known.
    """
    rule = _RULES.get(operation.type)
    if rule is None:
        return f"Unknown operation {operation.type}"
    if operation.type in _ON_LISTS:
        listed = resources_of(operation)
        wrong = resource_validation.of_operation(listed)
        if wrong is None and not operation.reserve.source:
            wrong = resource_validation.of_one_provider(listed)
        if wrong is not None:
            return f"Invalid resources: {wrong}"
    return rule(operation, framework, agent, principal)


def _reserve(
    operation: pb.mesos.Offer.Operation, framework: Framework | None, _agent: Agent, principal: str | None
) -> str | None:
    call = operation.reserve
    if call.source:
        wrong = _other_source(call)
        if wrong is not None:
            return wrong
    roles = set(framework.roles) if framework is not None else None
    for proto in call.resources:
        resource = Resource.from_proto(proto)
        reservations = resource.facts.reservations
        if not reservations or not reservations[-1].dynamic:
            return f"Resource {resource} is not dynamically reserved"
        innermost = reservations[-1]
        if principal is not None and innermost.principal is None:
            return (
                f"A reserve operation was attempted by principal '{principal}', but there is a "
                "reserved resource in the request with no principal set"
            )
        if principal is not None and innermost.principal != principal:
            return (
                f"A reserve operation was attempted by authenticated principal '{principal}', which does "
                f"not match a reserved resource in the request with principal '{innermost.principal}'"
            )
        if roles is not None:
            wrong = _reserving_role(resource, innermost.role, roles)
            if wrong is not None:
                return wrong
        elif resource.facts.allocated_to is not None:
            return (
                "A reserve operation was attempted with an allocated resource, but the operator API only "
                "allows reservations to be made to unallocated resources"
            )
    return None


def _other_source(call: pb.mesos.Offer.Operation.Reserve) -> str | None:
    """What is wrong with turning one reservation into another."""
    wrong = resource_validation.of_operation(call.source)
    if wrong is not None:
        return f"Invalid source: {wrong}"
    for name, listed in (("source", call.source), ("resources", call.resources)):
        if not listed:
            return f"Invalid {name}: Resource cannot be empty"
        if any(list(r.reservations) != list(listed[0].reservations) for r in listed):
            text = "; ".join(map(resource_validation.printed, listed))
            return f"Invalid {name}: Mixed reservations are not supported{{ {text} }}"
    before, after = (Resources.from_proto(r).to_unreserved() for r in (call.source, call.resources))
    if before != after:
        return (
            f"Source and target resources should refer to identical resource quantities: {before} vs. {after}"
        )
    return None


def _reserving_role(resource: Resource, role: str, roles: set[str]) -> str | None:
    allocated = resource.facts.allocated_to
    if allocated is None:
        return (
            f"A reserve operation was attempted on unallocated resource {resource}, but frameworks can "
            "only perform reservations on allocated resources"
        )
    if role != allocated:
        return (
            f"A reserve operation was attempted for a resource with role '{role}', but the resource was "
            f"allocated to role '{allocated}'"
        )
    if allocated not in roles:
        return (
            f"A reserve operation was attempted for a resource allocated to role '{allocated}', but the "
            f"framework only has roles '{as_set(sorted(roles))}'"
        )
    return None


def _unreserve(
    operation: pb.mesos.Offer.Operation, _f: Framework | None, _a: Agent, _principal: str | None
) -> str | None:
    for proto in operation.unreserve.resources:
        resource = Resource.from_proto(proto)
        reservations = resource.facts.reservations
        if not reservations or not reservations[-1].dynamic:
            return f"Resource {resource} is not dynamically reserved"
        if resource.facts.persistence_id is not None:
            return (
                f"A dynamically reserved persistent volume {resource} cannot be unreserved directly. "
                "Please destroy the persistent volume first then unreserve the resource"
            )
    return None


def _create(
    operation: pb.mesos.Offer.Operation, framework: Framework | None, agent: Agent, principal: str | None
) -> str | None:
    volumes = operation.create.volumes
    wrong = _not_persistent(volumes)
    if wrong is not None:
        return f"Not a persistent volume: {wrong}"
    seen = {(e.facts.role, e.facts.persistence_id) for e in agent.total.persistent_volumes()}
    for proto in volumes:
        volume = Resource.from_proto(proto)
        key = (volume.facts.role, volume.facts.persistence_id)
        if key in seen:
            return f"Persistence ID '{volume.facts.persistence_id}' is not unique"
        seen.add(key)
        if volume.facts.shared and framework and "SHARED_RESOURCES" not in framework.capabilities:
            return (
                f"Create volume operation for '{volume}' has been attempted by framework '{framework.id}' "
                "with no SHARED_RESOURCES capability"
            )
        persistence = proto.disk.persistence
        if principal is not None and not persistence.HasField("principal"):
            return (
                f"Create volume operation attempted by principal '{principal}', but there is a volume in "
                "the operation with no principal set in 'disk.persistence'"
            )
        if principal is not None and persistence.principal != principal:
            return (
                f"Create volume operation attempted by authenticated principal '{principal}', which does "
                f"not match a volume in the operation with principal '{persistence.principal}' "
                "set in 'disk.persistence'"
            )
    return None


def _not_persistent(volumes: Iterable[pb.mesos.Resource]) -> str | None:
    for proto in volumes:
        volume = Resource.from_proto(proto)
        if not proto.HasField("disk"):
            return f"Resource {volume} does not have DiskInfo"
        if not proto.disk.HasField("persistence"):
            return "'persistence' is not set in DiskInfo"
        if not proto.disk.HasField("volume"):
            return "Expecting 'volume' to be set for persistent volume"
        if proto.disk.volume.mode == pb.mesos.Volume.RO:
            return "Read-only persistent volume not supported"
    return None


def _destroy(
    operation: pb.mesos.Offer.Operation, _f: Framework | None, agent: Agent, _principal: str | None
) -> str | None:
    volumes = operation.destroy.volumes
    wrong = _not_persistent(volumes)
    if wrong is not None:
        return f"Not a persistent volume: {wrong}"
    wanted = Resources.from_proto(volumes).unallocate()
    if not agent.total.contains(wanted):
        return "Persistent volumes not found"
    for task in agent.tasks.values():
        used = task.resources.unallocate()
        if not task.is_terminal and any(used.contains(volume) for volume in wanted):
            return "Persistent volumes in use"
    return None


def _grow(
    operation: pb.mesos.Offer.Operation, _f: Framework | None, _a: Agent, _principal: str | None
) -> str | None:
    call = operation.grow_volume
    if Resource.from_proto(call.addition).millis <= 0:
        return "The size of 'GrowVolume.addition' field must be greater than zero"
    wrong = _not_persistent([call.volume])
    if wrong is not None:
        return f"Invalid persistent volume in the 'GrowVolume.volume' field: {wrong}"
    if call.volume.HasField("shared"):
        return "Growing a shared persistent volume is not supported"
    stripped = pb.mesos.Resource()
    stripped.CopyFrom(call.volume)
    stripped.disk.ClearField("persistence")
    stripped.disk.ClearField("volume")
    if not stripped.disk.HasField("source"):
        stripped.ClearField("disk")
    if Resource.from_proto(stripped).ident != Resource.from_proto(call.addition).ident:
        return "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"
    return None


def _shrink(
    operation: pb.mesos.Offer.Operation, _f: Framework | None, _a: Agent, _principal: str | None
) -> str | None:
    call = operation.shrink_volume
    less = math.floor(call.subtract.value * MILLIS + 0.5)
    volume = Resource.from_proto(call.volume)
    if less <= 0:
        return "Value of 'ShrinkVolume.subtract' must be greater than zero"
    if volume.millis <= less:
        return "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"
    if volume.facts.source_type == "MOUNT":
        return "Shrinking a volume on a MOUNT disk is not supported"
    wrong = _not_persistent([call.volume])
    if wrong is not None:
        return f"Invalid persistent volume in the 'ShrinkVolume.volume' field: {wrong}"
    if volume.facts.shared:
        return "Shrinking a shared persistent volume is not supported"
    return None


def _create_disk(
    operation: pb.mesos.Offer.Operation, _f: Framework | None, _a: Agent, _principal: str | None
) -> str | None:
    """The agents have no resource providers, so there is nothing that this could be done with."""
    if not operation.create_disk.source.HasField("provider_id"):
        return "'source' is not managed by a resource provider"
    return f"Unknown resource provider {operation.create_disk.source.provider_id.value}"


def _destroy_disk(
    operation: pb.mesos.Offer.Operation, _f: Framework | None, _a: Agent, _principal: str | None
) -> str | None:
    """As for CREATE_DISK."""
    if not operation.destroy_disk.source.HasField("provider_id"):
        return "'source' is not managed by a resource provider"
    return f"Unknown resource provider {operation.destroy_disk.source.provider_id.value}"


_Rule = Callable[[pb.mesos.Offer.Operation, Framework | None, Agent, str | None], str | None]
_RULES: dict[int, _Rule] = {
    Operation.RESERVE: _reserve,
    Operation.UNRESERVE: _unreserve,
    Operation.CREATE: _create,
    Operation.DESTROY: _destroy,
    Operation.GROW_VOLUME: _grow,
    Operation.SHRINK_VOLUME: _shrink,
    Operation.CREATE_DISK: _create_disk,
    Operation.DESTROY_DISK: _destroy_disk,
}
