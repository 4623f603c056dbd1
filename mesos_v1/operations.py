"""Offer operations applied to resources, as the master and the agent do it, so that several can be chained on one offer.

One function per operation, in a table. What an operation consumes must be there; the error says so in Mesos's words.
Launches consume what their tasks (and executors that are not running yet) take. Sources: Mesos: Reservation; Persistent
Volumes; Multi-disk; and src/common/resources_utils.cpp, `getResourceConversions`.
"""

from collections.abc import Callable, Collection, Iterable

from mesos_v1 import pb
from mesos_v1.errors import OperationError, ResourceError
from mesos_v1.resource import Kind, Resource, to_millis
from mesos_v1.resource_meta import parse_meta, print_meta
from mesos_v1.resources import Resources

Operation = pb.mesos.Offer.Operation
_SOURCE = pb.mesos.Resource.DiskInfo.Source


def apply(
    resources: Resources, operation: pb.mesos.Offer.Operation, *, running_executors: Collection[str] = ()
) -> Resources:
    """Return what the next operation sees after `operation`.

    Args:
        running_executors: Ids of the executors whose resources are taken already, for launches.

    Raises:
        OperationError: The operation does not fit these resources, or is not one that can be applied.
    """
    name = Operation.Type.Name(operation.type)
    try:
        if operation.type in (Operation.LAUNCH, Operation.LAUNCH_GROUP):
            return _replace(
                resources, consumed_by(operation, running_executors=running_executors), Resources()
            )
        consumed, converted = _conversion(operation)
    except ResourceError as error:
        raise OperationError(f"Invalid {name} operation: {error}") from None
    result = _replace(resources, consumed, converted)
    if operation.type == Operation.DESTROY:
        for volume in operation.destroy.volumes:
            if result.contains(Resource.from_proto(volume)):
                raise OperationError(
                    f"Persistent volume {Resource.from_proto(volume)} cannot be removed "
                    "due to additional shared copies"
                )
    return result


def apply_all(
    resources: Resources,
    operations: Iterable[pb.mesos.Offer.Operation],
    *,
    running_executors: Collection[str] = (),
) -> Resources:
    """Return what is left after several operations, each seeing what the one before it left.

    Raises:
        OperationError: One of them does not fit.
    """
    running = set(running_executors)
    for operation in operations:
        resources = apply(resources, operation, running_executors=running)
        running |= {executor.executor_id.value for executor in _executors_of(operation)}
    return resources


def consumed_by(operation: pb.mesos.Offer.Operation, *, running_executors: Collection[str] = ()) -> Resources:
    """Return what an operation takes out of an offer: for a launch, its tasks and new executors.

    Raises:
        ResourceError: A resource in it is not valid.
        OperationError: There is no such operation.
    """
    if operation.type in (Operation.LAUNCH, Operation.LAUNCH_GROUP):
        _must_have_its_body(operation)
        protos = [resource for task in tasks_of(operation) for resource in task.resources]
        seen = set(running_executors)
        for executor in _executors_of(operation):
            if executor.executor_id.value not in seen:
                seen.add(executor.executor_id.value)
                protos += executor.resources
        return Resources.from_proto(protos)
    return _conversion(operation)[0]


def tasks_of(operation: pb.mesos.Offer.Operation) -> list[pb.mesos.TaskInfo]:
    """Return the tasks that an operation launches; none for one that launches nothing."""
    if operation.type == Operation.LAUNCH:
        return list(operation.launch.task_infos)
    if operation.type == Operation.LAUNCH_GROUP:
        return list(operation.launch_group.task_group.tasks)
    return []


def inject_allocation(operation: pb.mesos.Offer.Operation, role: str) -> pb.mesos.Offer.Operation:
    """Return a copy in which each resource without an allocation is allocated to `role`.

    Frameworks leave the allocation out; the master fills it in from the offer (Mesos: MULTI_ROLE).
    """
    copy = Operation()
    copy.CopyFrom(operation)
    for resource in resources_of(copy):
        if not resource.HasField("allocation_info"):
            resource.allocation_info.role = role
    return copy


def resources_of(operation: pb.mesos.Offer.Operation) -> list[pb.mesos.Resource]:
    """Return every resource in an operation, to be read or changed in place."""
    found: list[pb.mesos.Resource] = []
    for task in tasks_of(operation):
        found += task.resources
    for executor in _executors_of(operation):
        found += executor.resources
    found += [*operation.reserve.source, *operation.reserve.resources, *operation.unreserve.resources]
    found += [*operation.create.volumes, *operation.destroy.volumes]
    if operation.HasField("grow_volume"):
        found += [operation.grow_volume.volume, operation.grow_volume.addition]
    if operation.HasField("shrink_volume"):
        found.append(operation.shrink_volume.volume)
    if operation.HasField("create_disk"):
        found.append(operation.create_disk.source)
    if operation.HasField("destroy_disk"):
        found.append(operation.destroy_disk.source)
    return found


def _executors_of(operation: pb.mesos.Offer.Operation) -> list[pb.mesos.ExecutorInfo]:
    if operation.type == Operation.LAUNCH:
        return [task.executor for task in operation.launch.task_infos if task.HasField("executor")]
    if operation.type == Operation.LAUNCH_GROUP:
        return [operation.launch_group.executor]
    return []


def _replace(resources: Resources, consumed: Resources, converted: Resources) -> Resources:
    if not resources.contains(consumed):
        raise OperationError(f"{resources} does not contain {consumed}")
    return resources - consumed + converted


# -- one rule per operation: (what it consumes, what that becomes) ----------------------------------------------------

Conversion = tuple[Resources, Resources]


def _conversion(operation: pb.mesos.Offer.Operation) -> Conversion:
    rule = _RULES.get(operation.type)
    if rule is None:
        raise OperationError(f"operation {Operation.Type.Name(operation.type)} cannot be applied")
    _must_have_its_body(operation)
    return rule(operation)


def _must_have_its_body(operation: pb.mesos.Offer.Operation) -> None:
    name = Operation.Type.Name(operation.type)
    if not operation.HasField(name.lower()):  # type: ignore[arg-type]  # the stub wants a literal
        raise OperationError(f"Invalid {name} operation: Expecting '{name.lower()}' to be present")


def _reserve(operation: pb.mesos.Offer.Operation) -> Conversion:
    reserved = Resources.from_proto(operation.reserve.resources)
    if not reserved:
        raise OperationError("Invalid RESERVE operation: no resources")
    if operation.reserve.source:
        source = Resources.from_proto(operation.reserve.source)
        if source.to_unreserved() != reserved.to_unreserved():
            raise OperationError(
                f"Invalid RESERVE operation: {source} cannot become {reserved}: not the same amounts"
            )
        return source, reserved
    return reserved.pop_reservation(), reserved


def _unreserve(operation: pb.mesos.Offer.Operation) -> Conversion:
    reserved = Resources.from_proto(operation.unreserve.resources)
    for entry in reserved:
        if not entry.facts.reservations or not entry.facts.reservations[-1].dynamic:
            raise OperationError(f"Invalid UNRESERVE operation: {entry} is not dynamically reserved")
        if entry.facts.persistence_id is not None:
            raise OperationError(
                f"Invalid UNRESERVE operation: a persistent volume must be destroyed first: {entry}"
            )
    return reserved, reserved.pop_reservation()


def _without_volume(volume: Resource) -> Resource:
    """Return the disk that a persistent volume was made of."""
    if volume.facts.persistence_id is None:
        raise OperationError(f"{volume} is not a persistent volume")
    proto = parse_meta(volume.meta)
    proto.disk.ClearField("persistence")
    proto.disk.ClearField("volume")
    if not proto.disk.HasField("source"):
        proto.ClearField("disk")
    proto.ClearField("shared")
    return Resource("disk", Kind.SCALAR, volume.millis, meta=print_meta(proto))


def _create(operation: pb.mesos.Offer.Operation) -> Conversion:
    volumes = Resources.from_proto(operation.create.volumes)
    return Resources(tuple(_without_volume(volume) for volume in volumes)), volumes


def _destroy(operation: pb.mesos.Offer.Operation) -> Conversion:
    volumes = Resources.from_proto(operation.destroy.volumes)
    return volumes, Resources(tuple(_without_volume(volume) for volume in volumes))


def _grow_volume(operation: pb.mesos.Offer.Operation) -> Conversion:
    volume = Resource.from_proto(operation.grow_volume.volume)
    addition = Resource.from_proto(operation.grow_volume.addition)
    if _without_volume(volume).ident != addition.ident:
        raise OperationError(f"Invalid GROW_VOLUME operation: {addition} cannot be added to {volume}")
    _must_be_resizable("GROW_VOLUME", volume)
    return Resources((volume, addition)), Resources((volume.with_millis(volume.millis + addition.millis),))


def _shrink_volume(operation: pb.mesos.Offer.Operation) -> Conversion:
    volume = Resource.from_proto(operation.shrink_volume.volume)
    less = to_millis(operation.shrink_volume.subtract.value)
    if not 0 < less < volume.millis:
        raise OperationError(f"Invalid SHRINK_VOLUME operation: cannot take {less / 1000:g} from {volume}")
    _must_be_resizable("SHRINK_VOLUME", volume)
    freed = _without_volume(volume).with_millis(less)
    return Resources((volume,)), Resources((volume.with_millis(volume.millis - less), freed))


def _must_be_resizable(name: str, volume: Resource) -> None:
    if volume.facts.shared:
        raise OperationError(f"Invalid {name} operation: a shared volume cannot change its size: {volume}")
    if volume.facts.source_type in {"MOUNT", "BLOCK"}:
        raise OperationError(f"Invalid {name} operation: a whole disk cannot change its size: {volume}")


def _create_disk(operation: pb.mesos.Offer.Operation) -> Conversion:
    call = operation.create_disk
    source = Resource.from_proto(call.source)
    if source.facts.source_type != "RAW":
        raise OperationError(f"Invalid CREATE_DISK operation: {source} is not a RAW disk")
    if call.target_type not in (_SOURCE.MOUNT, _SOURCE.BLOCK):
        raise OperationError("Invalid CREATE_DISK operation: the target is neither MOUNT nor BLOCK")
    proto = parse_meta(source.meta)
    proto.disk.source.type = call.target_type
    if call.HasField("target_profile"):
        proto.disk.source.profile = call.target_profile
    return Resources((source,)), Resources((source.with_meta(print_meta(proto)),))


def _destroy_disk(operation: pb.mesos.Offer.Operation) -> Conversion:
    source = Resource.from_proto(operation.destroy_disk.source)
    if source.facts.source_type not in {"MOUNT", "BLOCK"}:
        raise OperationError(f"Invalid DESTROY_DISK operation: {source} is neither a MOUNT nor a BLOCK disk")
    if source.facts.persistence_id is not None:
        raise OperationError(
            f"Invalid DESTROY_DISK operation: a persistent volume must be destroyed first: {source}"
        )
    proto = parse_meta(source.meta)
    proto.disk.source.type = _SOURCE.RAW
    for name in ("id", "mount", "path", "metadata"):
        proto.disk.source.ClearField(name)
    return Resources((source,)), Resources((source.with_meta(print_meta(proto)),))


_RULES: dict[int, Callable[[pb.mesos.Offer.Operation], Conversion]] = {
    Operation.RESERVE: _reserve,
    Operation.UNRESERVE: _unreserve,
    Operation.CREATE: _create,
    Operation.DESTROY: _destroy,
    Operation.GROW_VOLUME: _grow_volume,
    Operation.SHRINK_VOLUME: _shrink_volume,
    Operation.CREATE_DISK: _create_disk,
    Operation.DESTROY_DISK: _destroy_disk,
}
