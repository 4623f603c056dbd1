"""Builders for every offer operation; they go into `calls.accept`, in the order in which they are to happen.

With an `operation_id` the master reports what became of an operation (UPDATE_OPERATION_STATUS), which must then be
acknowledged; launches cannot have one. To see what an operation leaves for the next: `mesos_v1.operations.apply`.
Sources: Mesos: Reservation; Persistent Volumes; Shared Persistent Volumes; CSI; Scheduler HTTP API, "Operation feedback".
"""

from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1.resource import Resource, to_millis
from mesos_v1.resources import Resources
from mesos_v1.values import OperationId

Operation = pb.mesos.Offer.Operation
Target = pb.mesos.Resource.DiskInfo.Source


def launch(task_infos: Iterable[pb.mesos.TaskInfo]) -> pb.mesos.Offer.Operation:
    """Start tasks, each on its own command or executor."""
    operation = Operation(type=Operation.LAUNCH)
    operation.launch.task_infos.extend(task_infos)
    return operation


def launch_group(
    executor: pb.mesos.ExecutorInfo, tasks: Iterable[pb.mesos.TaskInfo]
) -> pb.mesos.Offer.Operation:
    """Start tasks together on one executor (usually the default executor): all of them or none."""
    operation = Operation(type=Operation.LAUNCH_GROUP)
    operation.launch_group.executor.CopyFrom(executor)
    operation.launch_group.task_group.tasks.extend(tasks)
    operation.launch_group.task_group.SetInParent()
    return operation


def reserve(
    resources: Resources, source: Resources | None = None, operation_id: OperationId | None = None
) -> pb.mesos.Offer.Operation:
    """Reserve resources.

    Args:
        resources: As they shall be, reservation included (see `Resources.push_reservation`).
        source: As they are now; may be left out when only the innermost reservation is new.
    """
    operation = _operation(Operation.RESERVE, operation_id)
    operation.reserve.resources.extend(resources.to_proto())
    if source is not None:
        operation.reserve.source.extend(source.to_proto())
    return operation


def unreserve(resources: Resources, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Undo the innermost (dynamic) reservation of resources.

    Args:
        resources: As they are now.
    """
    operation = _operation(Operation.UNRESERVE, operation_id)
    operation.unreserve.resources.extend(resources.to_proto())
    return operation


def create(volumes: Resources, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Make persistent volumes of reserved disk.

    Args:
        volumes: As they shall be, with persistence id and container path (see `volume`).
    """
    operation = _operation(Operation.CREATE, operation_id)
    operation.create.volumes.extend(volumes.to_proto())
    return operation


def destroy(volumes: Resources, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Delete persistent volumes and what is on them.

    Args:
        volumes: As they are now.
    """
    operation = _operation(Operation.DESTROY, operation_id)
    operation.destroy.volumes.extend(volumes.to_proto())
    return operation


def grow_volume(
    volume: Resource, addition: Resource, operation_id: OperationId | None = None
) -> pb.mesos.Offer.Operation:
    """Make a persistent volume larger by disk that is reserved just as it is."""
    operation = _operation(Operation.GROW_VOLUME, operation_id)
    operation.grow_volume.volume.CopyFrom(volume.to_proto())
    operation.grow_volume.addition.CopyFrom(addition.to_proto())
    return operation


def shrink_volume(
    volume: Resource, subtract: float, operation_id: OperationId | None = None
) -> pb.mesos.Offer.Operation:
    """Make a persistent volume smaller.

    Args:
        subtract: By how many megabytes.
    """
    operation = _operation(Operation.SHRINK_VOLUME, operation_id)
    operation.shrink_volume.volume.CopyFrom(volume.to_proto())
    operation.shrink_volume.subtract.value = subtract
    return operation


def create_disk(
    source: Resource,
    target: pb.mesos.Resource.DiskInfo.Source.Type.ValueType = Target.MOUNT,
    profile: str | None = None,
    operation_id: OperationId | None = None,
) -> pb.mesos.Offer.Operation:
    """Have a resource provider make a MOUNT or BLOCK disk of a RAW one."""
    operation = _operation(Operation.CREATE_DISK, operation_id)
    operation.create_disk.source.CopyFrom(source.to_proto())
    operation.create_disk.target_type = target
    if profile is not None:
        operation.create_disk.target_profile = profile
    return operation


def destroy_disk(source: Resource, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Have a resource provider turn a MOUNT or BLOCK disk back into a RAW one; its data is lost."""
    operation = _operation(Operation.DESTROY_DISK, operation_id)
    operation.destroy_disk.source.CopyFrom(source.to_proto())
    return operation


def volume(
    disk: Resource,
    persistence_id: str,
    container_path: str,
    *,
    megabytes: float | None = None,
    principal: str | None = None,
    read_only: bool = False,
    shared: bool = False,
) -> Resource:
    """Describe the persistent volume that `create` shall make of reserved disk.

    Args:
        disk: Reserved disk as it was offered.
        persistence_id: Unique for the role on the agent.
        container_path: Where tasks find it, relative to the sandbox.
        megabytes: How much of the disk; None for all of it.
        principal: Who creates it; the framework's own.
        shared: Several tasks may use it at once (capability SHARED_RESOURCES).
    """
    proto = disk.to_proto()
    proto.disk.persistence.id = persistence_id
    if principal is not None:
        proto.disk.persistence.principal = principal
    proto.disk.volume.container_path = container_path
    proto.disk.volume.mode = pb.mesos.Volume.RO if read_only else pb.mesos.Volume.RW
    if shared:
        proto.shared.SetInParent()
    if megabytes is not None:
        proto.scalar.value = to_millis(megabytes) / 1000
    return Resource.from_proto(proto)


def _operation(
    kind: pb.mesos.Offer.Operation.Type.ValueType, operation_id: OperationId | None
) -> pb.mesos.Offer.Operation:
    operation = Operation(type=kind)
    if operation_id is not None:
        operation.id.value = operation_id
    return operation
