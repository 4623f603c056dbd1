"""Operations on resources, of a framework or an operator. Whether the resources are there is for `mesos_v1.operations`."""

import math
from collections.abc import Callable, Iterable

from mesos_v1 import pb
from mesos_v1.operations import resources_of
from mesos_v1.resource import MILLIS, Resource
from mesos_v1.resources import Resources, without_volume
from playa.master.records import Agent, Framework
from playa.master.validation import resources as resource_validation
from playa.master.validation.rules import Rows, as_set, validator, within

Operation = pb.mesos.Offer.Operation
RESIZES = (Operation.GROW_VOLUME, Operation.SHRINK_VOLUME)
_ON_LISTS = (Operation.RESERVE, Operation.UNRESERVE, Operation.CREATE, Operation.DESTROY)


@validator
def unreadable(operation: Operation) -> Rows:
    """What is wrong with an operation before anyone looks at what it is for."""
    name = Operation.Type.Name(operation.type)
    yield operation.type == Operation.UNKNOWN and "Unknown offer operation"
    if not operation.HasField(name.lower()):  # type: ignore[arg-type]
        subject = "GROW_VOLUME operation" if name == "GROW_VOLUME" else f"{name} offer operation"
        end = "" if operation.type in RESIZES else "."
        article = "An" if name.startswith("U") else "A"
        yield f"{article} {subject} must have the Offer.Operation.{name.lower()} field set{end}"
    if name.endswith(("_VOLUME", "_DISK")):
        for resource in resources_of(operation):
            yield resource_validation.of_one(resource)
    else:
        yield resource_validation.of_several(resources_of(operation))


@validator
def problem(operation: Operation, framework: Framework | None, agent: Agent, principal: str | None) -> Rows:
    """What is wrong with an operation (of a framework, or None: an operator) that can be read."""
    if operation.type in _ON_LISTS:
        listed = resources_of(operation)
        yield within("Invalid resources", resource_validation.of_operation(listed))
        if not operation.reserve.source:
            yield within("Invalid resources", resource_validation.of_one_provider(listed))
    body = getattr(operation, Operation.Type.Name(operation.type).lower())
    yield _RULES[operation.type](body, framework, agent, principal)


@validator
def _reserve(call: Operation.Reserve, framework: Framework | None, _a: Agent, principal: str | None) -> Rows:
    if call.source:
        yield _other_source(call)
    for proto in call.resources:
        resource = Resource.from_proto(proto)
        yield _not_dynamic(resource)
        innermost, allocated = resource.facts.reservations[-1], resource.facts.allocated_to
        if principal is not None:
            yield innermost.principal is None and (
                f"A reserve operation was attempted by principal '{principal}', but there is a "
                "reserved resource in the request with no principal set"
            )
            yield innermost.principal != principal and (
                f"A reserve operation was attempted by authenticated principal '{principal}', which does "
                f"not match a reserved resource in the request with principal '{innermost.principal}'"
            )
        if framework is None:
            yield allocated is not None and (
                "A reserve operation was attempted with an allocated resource, but the operator API only "
                "allows reservations to be made to unallocated resources"
            )
            continue
        yield allocated is None and (
            f"A reserve operation was attempted on unallocated resource {resource}, but frameworks can "
            "only perform reservations on allocated resources"
        )
        yield innermost.role != allocated and (
            f"A reserve operation was attempted for a resource with role '{innermost.role}', but the resource "
            f"was allocated to role '{allocated}'"
        )
        yield allocated not in framework.roles and (
            f"A reserve operation was attempted for a resource allocated to role '{allocated}', but the "
            f"framework only has roles '{as_set(sorted(set(framework.roles)))}'"
        )


def _not_dynamic(resource: Resource) -> str | None:
    is_dynamic = any(reservation.dynamic for reservation in resource.facts.reservations[-1:])
    return None if is_dynamic else f"Resource {resource} is not dynamically reserved"


@validator
def _other_source(call: Operation.Reserve) -> Rows:
    """What is wrong with turning one reservation into another."""
    yield within("Invalid source", resource_validation.of_operation(call.source))
    for name, listed in (("source", call.source), ("resources", call.resources)):
        yield not listed and f"Invalid {name}: Resource cannot be empty"
        if any(list(r.reservations) != list(listed[0].reservations) for r in listed):
            text = "; ".join(map(resource_validation.printed, listed))
            yield f"Invalid {name}: Mixed reservations are not supported{{ {text} }}"
    before, after = (Resources.from_proto(r).to_unreserved() for r in (call.source, call.resources))
    yield before != after and (
        f"Source and target resources should refer to identical resource quantities: {before} vs. {after}"
    )


@validator
def _unreserve(call: Operation.Unreserve, *_: object) -> Rows:
    for proto in call.resources:
        resource = Resource.from_proto(proto)
        yield _not_dynamic(resource)
        yield resource.facts.persistence_id is not None and (
            f"A dynamically reserved persistent volume {resource} cannot be unreserved directly. "
            "Please destroy the persistent volume first then unreserve the resource"
        )


@validator
def _create(call: Operation.Create, framework: Framework | None, agent: Agent, principal: str | None) -> Rows:
    yield within("Not a persistent volume", _not_persistent(call.volumes))
    seen = {(e.facts.role, e.facts.persistence_id) for e in agent.total.persistent_volumes()}
    for proto in call.volumes:
        volume = Resource.from_proto(proto)
        key = (volume.facts.role, volume.facts.persistence_id)
        yield key in seen and f"Persistence ID '{volume.facts.persistence_id}' is not unique"
        seen.add(key)
        if volume.facts.shared and framework and "SHARED_RESOURCES" not in framework.capabilities:
            yield (
                f"Create volume operation for '{volume}' has been attempted by framework '{framework.id}' "
                "with no SHARED_RESOURCES capability"
            )
        persistence = proto.disk.persistence
        if principal is not None:
            yield not persistence.HasField("principal") and (
                f"Create volume operation attempted by principal '{principal}', but there is a volume in "
                "the operation with no principal set in 'disk.persistence'"
            )
            yield persistence.principal != principal and (
                f"Create volume operation attempted by authenticated principal '{principal}', which does "
                f"not match a volume in the operation with principal '{persistence.principal}' "
                "set in 'disk.persistence'"
            )


@validator
def _not_persistent(volumes: Iterable[pb.mesos.Resource]) -> Rows:
    for proto in volumes:
        volume = Resource.from_proto(proto)
        yield not proto.HasField("disk") and f"Resource {volume} does not have DiskInfo"
        yield not proto.disk.HasField("persistence") and "'persistence' is not set in DiskInfo"
        yield not proto.disk.HasField("volume") and "Expecting 'volume' to be set for persistent volume"
        if proto.disk.volume.mode == pb.mesos.Volume.RO:
            yield "Read-only persistent volume not supported"


@validator
def _destroy(call: Operation.Destroy, _f: object, agent: Agent, *_: object) -> Rows:
    yield within("Not a persistent volume", _not_persistent(call.volumes))
    wanted = Resources.from_proto(call.volumes).unallocate()
    yield not agent.total.contains(wanted) and "Persistent volumes not found"
    for task in agent.tasks.values():
        used = task.resources.unallocate()
        if not task.is_terminal and any(used.contains(volume) for volume in wanted):
            yield "Persistent volumes in use"


@validator
def _grow(call: Operation.GrowVolume, *_: object) -> Rows:
    if Resource.from_proto(call.addition).millis <= 0:
        yield "The size of 'GrowVolume.addition' field must be greater than zero"
    yield within("Invalid persistent volume in the 'GrowVolume.volume' field", _not_persistent([call.volume]))
    yield call.volume.HasField("shared") and "Growing a shared persistent volume is not supported"
    if without_volume(Resource.from_proto(call.volume)).ident != Resource.from_proto(call.addition).ident:
        yield "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"


@validator
def _shrink(call: Operation.ShrinkVolume, *_: object) -> Rows:
    less = math.floor(call.subtract.value * MILLIS + 0.5)
    volume = Resource.from_proto(call.volume)
    yield less <= 0 and "Value of 'ShrinkVolume.subtract' must be greater than zero"
    if volume.millis <= less:
        yield "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"
    yield volume.facts.source_type == "MOUNT" and "Shrinking a volume on a MOUNT disk is not supported"
    yield within(
        "Invalid persistent volume in the 'ShrinkVolume.volume' field", _not_persistent([call.volume])
    )
    yield volume.facts.shared and "Shrinking a shared persistent volume is not supported"


def _on_provider(call: Operation.CreateDisk | Operation.DestroyDisk, *_: object) -> str:
    """The agents have no resource providers, so there is nothing that this could be done with."""
    if not call.source.HasField("provider_id"):
        return "'source' is not managed by a resource provider"
    return f"Unknown resource provider {call.source.provider_id.value}"


_RULES: dict[int, Callable[..., str | None]] = {
    Operation.RESERVE: _reserve,
    Operation.UNRESERVE: _unreserve,
    Operation.CREATE: _create,
    Operation.DESTROY: _destroy,
    Operation.GROW_VOLUME: _grow,
    Operation.SHRINK_VOLUME: _shrink,
    Operation.CREATE_DISK: _on_provider,
    Operation.DESTROY_DISK: _on_provider,
}
