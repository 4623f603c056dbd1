"""Builders for every offer operation; they go into `calls.accept`, in the order in which they are to happen.

Resources are given as they are to be (RESERVE, CREATE), or else as they are. With an `operation_id` the master reports
what became of an operation (UPDATE_OPERATION_STATUS), which must then be acknowledged; launches cannot have one.
Sources: Mesos: Reservation; Persistent Volumes; Shared Persistent Volumes; CSI; Scheduler HTTP API, "Operation feedback".
"""

from collections.abc import Iterable
from typing import Any

from mesos_v1 import pb
from mesos_v1.resource import MILLIS, Resource, to_millis
from mesos_v1.resources import Resources
from mesos_v1.values import OperationId

Operation = pb.mesos.Offer.Operation
Target = pb.mesos.Resource.DiskInfo.Source


def _operation(kind: str, operation_id: OperationId | None = None, **body: Any) -> pb.mesos.Offer.Operation:
    """Make an operation with that body; what is None in it is left out."""
    named = {} if operation_id is None else {"id": {"value": operation_id}}
    return Operation(type=kind, **named, **{kind.lower(): body})  # type: ignore[arg-type]  # names of types, and bodies


def launch(task_infos: Iterable[pb.mesos.TaskInfo]) -> pb.mesos.Offer.Operation:
    """Start tasks, each on its own command or executor."""
    return Operation(type=Operation.LAUNCH, launch={"task_infos": task_infos})  # type: ignore[arg-type]


def launch_group(
    executor: pb.mesos.ExecutorInfo, tasks: Iterable[pb.mesos.TaskInfo]
) -> pb.mesos.Offer.Operation:
    """Start tasks together on one executor (usually the default executor): all of them or none."""
    return _operation("LAUNCH_GROUP", executor=executor, task_group={"tasks": tasks})


def reserve(
    resources: Resources, source: Resources | None = None, operation_id: OperationId | None = None
) -> pb.mesos.Offer.Operation:
    """Reserve resources (see `Resources.push_reservation`).

    `source` is what they are now; it may be left out when only the innermost reservation is new.
    """
    before = None if source is None else source.to_proto()
    return _operation("RESERVE", operation_id, resources=resources.to_proto(), source=before)


def unreserve(resources: Resources, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Undo the innermost (dynamic) reservation of resources."""
    return _operation("UNRESERVE", operation_id, resources=resources.to_proto())


def create(volumes: Resources, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Make persistent volumes of reserved disk (see `volume`)."""
    return _operation("CREATE", operation_id, volumes=volumes.to_proto())


def destroy(volumes: Resources, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Delete persistent volumes and what is on them."""
    return _operation("DESTROY", operation_id, volumes=volumes.to_proto())


def grow_volume(
    volume: Resource, addition: Resource, operation_id: OperationId | None = None
) -> pb.mesos.Offer.Operation:
    """Make a persistent volume larger by disk that is reserved just as it is."""
    return _operation("GROW_VOLUME", operation_id, volume=volume.to_proto(), addition=addition.to_proto())


def shrink_volume(
    volume: Resource, subtract: float, operation_id: OperationId | None = None
) -> pb.mesos.Offer.Operation:
    """Make a persistent volume smaller, by so many megabytes."""
    return _operation("SHRINK_VOLUME", operation_id, volume=volume.to_proto(), subtract={"value": subtract})


def create_disk(
    source: Resource,
    target: pb.mesos.Resource.DiskInfo.Source.Type.ValueType = Target.MOUNT,
    profile: str | None = None,
    operation_id: OperationId | None = None,
) -> pb.mesos.Offer.Operation:
    """Have a resource provider make a MOUNT or BLOCK disk of a RAW one."""
    disk = source.to_proto()
    return _operation("CREATE_DISK", operation_id, source=disk, target_type=target, target_profile=profile)


def destroy_disk(source: Resource, operation_id: OperationId | None = None) -> pb.mesos.Offer.Operation:
    """Have a resource provider turn a MOUNT or BLOCK disk back into a RAW one; its data is lost."""
    return _operation("DESTROY_DISK", operation_id, source=source.to_proto())


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
    """Describe the persistent volume that `create` makes of reserved disk.

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
        proto.scalar.value = to_millis(megabytes) / MILLIS
    return Resource.from_proto(proto)
