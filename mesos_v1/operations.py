"""Chains of offer operations, and the resources inside of them; what one operation makes of resources is `Resources.apply`."""

from collections.abc import Collection, Iterable

from mesos_v1 import pb
from mesos_v1.resources import Operation, Resources, consumed_by, executors_of, tasks_of

__all__ = ["apply", "apply_all", "consumed_by", "inject_allocation", "resources_of", "tasks_of"]

apply = Resources.apply


def apply_all(
    resources: Resources,
    operations: Iterable[pb.mesos.Offer.Operation],
    *,
    running_executors: Collection[str] = (),
) -> Resources:
    """Return what is left after several operations, each seeing what the one before it left; raises as `apply`."""
    running = set(running_executors)
    for operation in operations:
        resources = resources.apply(operation, running_executors=running)
        running |= {executor.executor_id.value for executor in executors_of(operation)}
    return resources


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
    found = [resource for task in tasks_of(operation) for resource in task.resources]
    found += [resource for executor in executors_of(operation) for resource in executor.resources]
    for part, body in operation.ListFields():
        for field in part.message_type.fields if part.message_type else ():
            if field.message_type == pb.mesos.Resource.DESCRIPTOR:
                value = getattr(body, field.name)
                found += value if field.is_repeated else [value]
    return found
