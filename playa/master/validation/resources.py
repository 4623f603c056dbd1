"""Resources in a call. This comes before any arithmetic: a scalar of less than a thousandth makes the whole call invalid."""

from collections.abc import Iterable
from functools import lru_cache

from mesos_v1 import pb
from mesos_v1.resource import MILLIS, label_of, print_millis
from playa.master.validation.rules import Rows, identifier, role_name, validator, within

_Value = pb.mesos.Value
_Source = pb.mesos.Resource.DiskInfo.Source
_Info = pb.mesos.Resource.ReservationInfo
_VALUES = {_Value.SCALAR: "scalar", _Value.RANGES: "ranges", _Value.SET: "set"}
_LARGEST = 2.0**63


@validator
def of_several(resources: Iterable[pb.mesos.Resource]) -> Rows:
    """What is wrong with the first of several resources that is not valid, and which it is."""
    for resource in resources:
        wrong = _wrong_with(resource.SerializePartialToString())
        yield wrong and f"Resource '{printed(resource)}' is invalid: {wrong}"


@lru_cache(4096)  # tasks that are alike ask for the same
def _wrong_with(wire: bytes) -> str | None:
    return of_one(pb.mesos.Resource.FromString(wire))


@validator
def of_one(resource: pb.mesos.Resource) -> Rows:
    """What is wrong with a resource."""
    yield not resource.name and "Empty resource name"
    yield _amount(resource)
    if resource.HasField("disk"):
        yield resource.name != "disk" and f"DiskInfo should not be set for {resource.name} resource"
        source = resource.disk.source
        kind = _Source.Type.Name(source.type)
        for name in ("mount", "path"):
            if kind in {"BLOCK", "RAW"} and source.HasField(name):
                yield f"{name.title()} should not be set for {kind} disk source"
        if resource.disk.HasField("source") and kind == "UNKNOWN":
            yield "Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'"
    yield _reservations(resource) if resource.reservations else _old_reservation(resource)
    if resource.HasField("shared"):
        yield resource.name != "disk" and f"Resource {resource.name} cannot be shared"
        yield not resource.disk.HasField("persistence") and "Only persistent volumes can be shared"


@validator
def of_operation(resources: Iterable[pb.mesos.Resource]) -> Rows:
    """What is wrong with the resources that an operation is about."""
    listed = list(resources)
    yield within("Invalid resources", of_several(listed))
    for resource in listed:
        if resource.name == "gpus" and not resource.scalar.value.is_integer():
            yield NOT_WHOLE_GPUS
        yield within("Invalid DiskInfo", _disk_info(resource))
        if resource.HasField("revocable") and any(r.type == _Info.DYNAMIC for r in resource.reservations):
            yield (
                "Invalid ReservationInfo: Dynamically reserved resource "
                f"{printed(resource)} cannot be created from revocable resources"
            )


NOT_WHOLE_GPUS = "Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer"


def of_one_provider(resources: Iterable[pb.mesos.Resource]) -> str | None:
    """What is wrong with resources that are not all of one provider (or of none); no resources are not either."""
    providers = {r.provider_id.value for r in resources}
    if len(providers) == 1:
        return None
    if "" in providers:
        return "Some resources have a resource provider and some do not"
    return f"The resources have multiple resource providers: {', '.join(sorted(providers))}"


@validator
def _disk_info(resource: pb.mesos.Resource) -> Rows:
    disk = resource.disk
    if disk.HasField("persistence"):
        volumes = "Persistent volumes cannot be created from"
        yield resource.HasField("revocable") and f"{volumes} revocable resources"
        yield not resource.reservations and f"{volumes} unreserved resources"
        yield not disk.HasField("volume") and "Expecting 'volume' to be set for persistent volume"
        if disk.volume.HasField("host_path"):
            yield "Expecting 'host_path' to be unset for persistent volume"
        yield within("Invalid persistence ID for persistent volume", identifier(disk.persistence.id))
    elif disk.HasField("volume"):
        yield "Non-persistent volume not supported"
    elif resource.HasField("disk") and not disk.HasField("source"):
        yield "DiskInfo is set but empty"


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


@validator
def _amount(resource: pb.mesos.Resource) -> Rows:
    kind = _VALUES.get(resource.type, "")
    yield not kind and "Unsupported resource type"
    present = [name for name in _VALUES.values() if resource.HasField(name)]  # type: ignore[arg-type]
    yield present != [kind] and f"Invalid {kind} resource"
    if kind == "scalar":
        value = resource.scalar.value
        is_amount = value == 0 or 0.5 <= value * MILLIS < _LARGEST
        yield not is_amount and "Invalid scalar resource: value <= 0"
    elif kind == "set":
        items = resource.set.item
        yield len(set(items)) != len(items) and "Invalid set resource: duplicated elements"
    last = -1
    for begin, end in sorted((r.begin, r.end) for r in resource.ranges.range):
        yield begin > end and "Invalid ranges resource: begin > end"
        yield begin <= last and "Invalid ranges resource: overlapping ranges"
        last = end


@validator
def _reservations(resource: pb.mesos.Resource) -> Rows:
    for info in resource.reservations:
        for name in ("type", "role"):
            if not info.HasField(name):
                yield f"Invalid reservation: 'Resource.ReservationInfo.{name}' field must be set."
        yield role_name(info.role)
        yield info.role == "*" and 'Invalid reservation: role "*" cannot be reserved'
    above = ""
    for info in resource.reservations:
        if above:
            wrong = "Invalid refined reservation:"
            yield info.type == _Info.STATIC and f"{wrong} A refined reservation cannot be STATIC"
            refines = info.role.startswith(f"{above}/")
            yield not refines and f"{wrong} role '{info.role}' is not a refinement of '{above}'"
        above = info.role
    yield within("Invalid resource format", _both_forms(resource))


@validator
def _old_reservation(resource: pb.mesos.Resource) -> Rows:
    yield role_name(resource.role)
    if resource.HasField("reservation"):
        for name in ("type", "role"):
            if resource.reservation.HasField(name):
                field = f"'Resource.ReservationInfo.{name}'"
                yield f"{field} must not be set for the 'Resource.reservation' field"
        yield resource.role == "*" and 'Invalid reservation: role "*" cannot be dynamically reserved'


@validator
def _both_forms(resource: pb.mesos.Resource) -> Rows:
    """The old form may stand beside the new one, if one reservation can say it and both say the same."""
    only = resource.reservations[0]
    has_role, has_old = resource.HasField("role"), resource.HasField("reservation")
    if len(resource.reservations) > 1:
        for name, is_set in (("role", has_role), ("reservation", has_old)):
            yield is_set and (
                f"'Resource.{name}' must not be set if there is more than one "
                "reservation in 'Resource.reservations'"
            )
        return
    if has_role and resource.role != only.role:
        other = f"'Resource.role' field with '{resource.role}' does not match the role '{only.role}'"
        yield f"{other} in 'Resource.reservations'"
    single = "if the single reservation in 'Resource.reservations' is"
    if only.type == _Info.STATIC and has_old:
        yield f"'Resource.reservation' must not be set {single} STATIC"
    if only.type == _Info.DYNAMIC and has_role != has_old:
        both = "'Resource.role' and 'Resource.reservation' must either be both set or both not set"
        yield f"{both} {single} DYNAMIC"
