"""Whether resources in a call can be right, in the words of a Mesos master. None if nothing is wrong.

This comes before any arithmetic: a scalar that is less than a thousandth and more than nothing, say, makes the whole call
invalid. Texts are those of a real master.
"""

from collections.abc import Iterable

from mesos_v1 import pb
from mesos_v1.resource import MILLIS, print_millis
from mesos_v1.resource_meta import label_of
from playa.master.scheduler_api.call_validation import identifier, role_name

_Value = pb.mesos.Value
_Source = pb.mesos.Resource.DiskInfo.Source
_Info = pb.mesos.Resource.ReservationInfo
_VALUES = {_Value.SCALAR: "scalar", _Value.RANGES: "ranges", _Value.SET: "set"}
_LARGEST = 2.0**63


def of_several(resources: Iterable[pb.mesos.Resource]) -> str | None:
    """What is wrong with the first of several resources that is not valid, and which it is."""
    for resource in resources:
        wrong = of_one(resource)
        if wrong is not None:
            return f"Resource '{printed(resource)}' is invalid: {wrong}"
    return None


def of_one(resource: pb.mesos.Resource) -> str | None:
    """What is wrong with a resource."""
    if not resource.name:
        return "Empty resource name"
    return _amount(resource) or _disk(resource) or _reservations(resource) or _shared(resource)


def of_operation(resources: Iterable[pb.mesos.Resource]) -> str | None:
    """What is wrong with the resources that an operation is about."""
    listed = list(resources)
    wrong = of_several(listed)
    if wrong is not None:
        return f"Invalid resources: {wrong}"
    for resource in listed:
        if resource.name == "gpus" and not resource.scalar.value.is_integer():
            return "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"
        wrong = _disk_info(resource)
        if wrong is not None:
            return f"Invalid DiskInfo: {wrong}"
        if resource.HasField("revocable") and any(r.type == _Info.DYNAMIC for r in resource.reservations):
            return (
                "Invalid ReservationInfo: Dynamically reserved resource "
                f"{printed(resource)} cannot be created from revocable resources"
            )
    return None


def of_one_provider(resources: Iterable[pb.mesos.Resource]) -> str | None:
    """What is wrong with resources that are not all of one provider (or of none); no resources are not either."""
    providers = {r.provider_id.value for r in resources}
    if len(providers) == 1:
        return None
    if "" in providers:
        return "Some resources have a resource provider and some do not"
    return f"The resources have multiple resource providers: {', '.join(sorted(providers))}"


def _disk_info(resource: pb.mesos.Resource) -> str | None:
    disk = resource.disk
    if disk.HasField("persistence"):
        if resource.HasField("revocable"):
            return "Persistent volumes cannot be created from revocable resources"
        if not resource.reservations:
            return "Persistent volumes cannot be created from unreserved resources"
        if not disk.HasField("volume"):
            return "Expecting 'volume' to be set for persistent volume"
        if disk.volume.HasField("host_path"):
            return "Expecting 'host_path' to be unset for persistent volume"
        wrong = identifier(disk.persistence.id)
        return wrong and f"Invalid persistence ID for persistent volume: {wrong}"
    if disk.HasField("volume"):
        return "Non-persistent volume not supported"
    if resource.HasField("disk") and not disk.HasField("source"):
        return "DiskInfo is set but empty"
    return None


def printed(resource: pb.mesos.Resource) -> str:
    """A resource as Mesos prints it, valid or not."""
    if resource.type == _Value.SCALAR:
        value = resource.scalar.value
        rounded = print_millis(int(abs(value) * MILLIS + 0.5)) if abs(value) < _LARGEST else f"{value:g}"
        amount = f"-{rounded}" if value < 0 and rounded != "0" else rounded
    elif resource.type == _Value.RANGES:
        amount = "[" + ", ".join(f"{r.begin}-{r.end}" for r in resource.ranges.range) + "]"
    else:
        amount = "{" + ", ".join(resource.set.item) + "}"
    return f"{resource.name}{label_of(resource)}:{amount}"


def _amount(resource: pb.mesos.Resource) -> str | None:
    kind = _VALUES.get(resource.type)
    if kind is None:
        return "Unsupported resource type"
    if [name for name in _VALUES.values() if resource.HasField(name)] != [kind]:  # type: ignore[arg-type]
        return f"Invalid {kind} resource"
    if kind == "scalar":
        value = resource.scalar.value
        return (
            None if value == 0 or 0.5 <= value * MILLIS < _LARGEST else "Invalid scalar resource: value <= 0"
        )
    if kind == "set":
        unique = len(set(resource.set.item)) == len(resource.set.item)
        return None if unique else "Invalid set resource: duplicated elements"
    last = -1
    for begin, end in sorted((r.begin, r.end) for r in resource.ranges.range):
        if begin > end:
            return "Invalid ranges resource: begin > end"
        if begin <= last:
            return "Invalid ranges resource: overlapping ranges"
        last = end
    return None


def _disk(resource: pb.mesos.Resource) -> str | None:
    if not resource.HasField("disk"):
        return None
    if resource.name != "disk":
        return f"DiskInfo should not be set for {resource.name} resource"
    source = resource.disk.source
    if source.type in (_Source.BLOCK, _Source.RAW):
        for name in ("mount", "path"):
            if source.HasField(name):
                return f"{name.title()} should not be set for {_Source.Type.Name(source.type)} disk source"
    if resource.disk.HasField("source") and source.type == _Source.UNKNOWN:
        return "Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'"
    return None


def _reservations(resource: pb.mesos.Resource) -> str | None:
    if not resource.reservations:
        return _old_reservation(resource)
    above = ""
    for info in resource.reservations:
        for name in ("type", "role"):
            if not info.HasField(name):
                return f"Invalid reservation: 'Resource.ReservationInfo.{name}' field must be set."
        wrong = role_name(info.role)
        if wrong is not None:
            return wrong
        if info.role == "*":
            return 'Invalid reservation: role "*" cannot be reserved'
    for info in resource.reservations:
        if above and info.type == _Info.STATIC:
            return "Invalid refined reservation: A refined reservation cannot be STATIC"
        if above and not info.role.startswith(f"{above}/"):
            return f"Invalid refined reservation: role '{info.role}' is not a refinement of '{above}'"
        above = info.role
    return _both_forms(resource)


def _old_reservation(resource: pb.mesos.Resource) -> str | None:
    wrong = role_name(resource.role)
    if wrong is not None:
        return wrong
    if resource.HasField("reservation"):
        for name in ("type", "role"):
            if resource.reservation.HasField(name):
                return (
                    f"'Resource.ReservationInfo.{name}' must not be set for the 'Resource.reservation' field"
                )
        if resource.role == "*":
            return 'Invalid reservation: role "*" cannot be dynamically reserved'
    return None


def _both_forms(resource: pb.mesos.Resource) -> str | None:
    """The old form may stand beside the new one, if one reservation can say it and both say the same."""
    only = resource.reservations[0]
    has_role, has_old = resource.HasField("role"), resource.HasField("reservation")
    if len(resource.reservations) > 1:
        for name, is_set in (("role", has_role), ("reservation", has_old)):
            if is_set:
                return (
                    f"Invalid resource format: 'Resource.{name}' must not be set if there is more than one "
                    "reservation in 'Resource.reservations'"
                )
    elif has_role and resource.role != only.role:
        return (
            f"Invalid resource format: 'Resource.role' field with '{resource.role}' does not match the role "
            f"'{only.role}' in 'Resource.reservations'"
        )
    elif only.type == _Info.STATIC and has_old:
        return (
            "Invalid resource format: 'Resource.reservation' must not be set if the single reservation in "
            "'Resource.reservations' is STATIC"
        )
    elif only.type == _Info.DYNAMIC and has_role != has_old:
        return (
            "Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or "
            "both not set if the single reservation in 'Resource.reservations' is DYNAMIC"
        )
    return None


def _shared(resource: pb.mesos.Resource) -> str | None:
    if not resource.HasField("shared"):
        return None
    if resource.name != "disk":
        return f"Resource {resource.name} cannot be shared"
    return None if resource.disk.HasField("persistence") else "Only persistent volumes can be shared"
