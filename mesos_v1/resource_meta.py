"""What a resource is beside its name and amount: allocation, reservations, disk, revocable, shared, provider.

All of it travels as `meta`, the protobuf bytes of a `Resource` with only those fields set, so that nothing is lost,
not even fields of a newer Mesos. `facts_of(meta)` says what arithmetic and printing need to know; there are few different
metas in a cluster, so facts are computed once per meta and kept.

The rules of sameness are Mesos's (src/common/resources.cpp): the volume of a disk and the principal of its persistence say
how a disk is used, not which it is, so they do not count; a reservation in the old form (`role` with `reservation`) is the
same as in the new one (`reservations`).
"""

from dataclasses import dataclass
from functools import lru_cache

from google.protobuf.message import DecodeError

from mesos_v1 import pb
from mesos_v1._texts import Labels, clean, labels_of, set_labels
from mesos_v1.errors import ResourceError

ResourceProto = pb.mesos.Resource
PLAIN = b""
"""The meta of a resource that is not reserved, not allocated, and nothing else either."""

_CACHED = 4096
_SOURCE = ResourceProto.DiskInfo.Source
_RESERVATION = ResourceProto.ReservationInfo
_ANYONE = "*"


@dataclass(frozen=True, slots=True)
class Reservation:
    """One level of a reservation; a refined reservation has several, the outermost first."""

    role: str
    dynamic: bool = True
    principal: str | None = None
    labels: Labels = ()

    def to_proto(self) -> pb.mesos.Resource.ReservationInfo:
        """Return it as the API writes it."""
        kind = _RESERVATION.DYNAMIC if self.dynamic else _RESERVATION.STATIC
        proto = _RESERVATION(type=kind, role=self.role, principal=self.principal)
        set_labels(proto.labels, self.labels)
        return proto

    @classmethod
    def from_proto(cls, proto: pb.mesos.Resource.ReservationInfo) -> "Reservation":
        """Read it from the API's form."""
        return cls(
            role=proto.role,
            dynamic=proto.type != _RESERVATION.STATIC,
            principal=proto.principal if proto.HasField("principal") else None,
            labels=labels_of(proto.labels),
        )

    def __str__(self) -> str:
        parts = ["DYNAMIC" if self.dynamic else "STATIC", self.role]
        if self.principal is not None:
            parts.append(self.principal)
        if self.labels:
            labels = (key if value is None else f"{key}: {value}" for key, value in self.labels)
            parts.append("{" + ", ".join(labels) + "}")
        return "(" + ",".join(parts) + ")"


@dataclass(frozen=True, slots=True)
class Facts:
    """What arithmetic and printing need to know of a `meta`.

    Attributes:
        key: Canonical bytes: two resources can be added only when these are equal.
        unallocated: The `key` without the allocation.
        bare: The `key` without allocation and reservations.
        reservations: From the outermost to the innermost.
        role: Whom it is reserved for, `*` for anyone.
        allocated_to: The role that it is allocated to, if it is.
        persistence_id: Of a persistent volume, else None.
        indivisible: It is taken whole or not at all: a persistent volume, a mounted or block disk, a shared resource.
        label: How Mesos prints it, between the name and the colon.
    """

    key: bytes
    unallocated: bytes
    bare: bytes
    reservations: tuple[Reservation, ...]
    role: str
    allocated_to: str | None
    persistence_id: str | None
    indivisible: bool
    revocable: bool
    shared: bool
    source_type: str | None
    label: str


def parse_meta(meta: bytes) -> pb.mesos.Resource:
    """Return a meta as a (partial) protobuf message of its own."""
    message = ResourceProto()
    try:
        message.ParseFromString(meta)
    except DecodeError:
        raise ResourceError(f"the metadata of a resource is not protobuf: {meta[:40]!r}") from None
    if not meta.isascii():
        clean(message)
    return message


def print_meta(message: pb.mesos.Resource) -> bytes:
    """Return the meta of a resource; its name and amount are left out."""
    stripped = ResourceProto()
    stripped.CopyFrom(message)
    for name in ("name", "type", "scalar", "ranges", "set"):
        stripped.ClearField(name)
    return stripped.SerializePartialToString(deterministic=True)


def reserved_for(role: str) -> bytes:
    """Return the meta of what is statically reserved for a role, `*` for anyone, and nothing else."""
    if role == _ANYONE:
        return PLAIN
    return print_meta(ResourceProto(reservations=[Reservation(role, dynamic=False).to_proto()]))


@lru_cache(_CACHED)
def facts_of(meta: bytes) -> Facts:
    """Return the facts of a meta.

    Raises:
        ResourceError: Both forms of reservation are used at once.
    """
    proto = parse_meta(meta)
    modernise(proto)
    reservations = tuple(Reservation.from_proto(each) for each in proto.reservations)
    label = label_of(proto)
    disk = proto.disk if proto.HasField("disk") else None
    persistence_id = disk.persistence.id if disk is not None and disk.HasField("persistence") else None
    source = disk.source if disk is not None and disk.HasField("source") else None
    indivisible = proto.HasField("shared") or persistence_id is not None
    if source is not None:
        whole = source.type in (_SOURCE.MOUNT, _SOURCE.BLOCK) or (
            source.type == _SOURCE.RAW and source.HasField("id")
        )
        indivisible = indivisible or whole
    allocated_to = proto.allocation_info.role if proto.HasField("allocation_info") else None
    _forget_use(proto)
    key = proto.SerializePartialToString(deterministic=True)
    proto.ClearField("allocation_info")
    unallocated = proto.SerializePartialToString(deterministic=True)
    proto.ClearField("reservations")
    return Facts(
        key=key,
        unallocated=unallocated,
        bare=proto.SerializePartialToString(deterministic=True),
        reservations=reservations,
        role=reservations[-1].role if reservations else _ANYONE,
        allocated_to=allocated_to,
        persistence_id=persistence_id,
        indivisible=indivisible,
        revocable=proto.HasField("revocable"),
        shared=proto.HasField("shared"),
        source_type=None if source is None else _SOURCE.Type.Name(source.type),
        label=label,
    )


def modernise(proto: pb.mesos.Resource) -> None:
    """Turn `role` and `reservation`, the form before reservation refinement, into `reservations`.

    Raises:
        ResourceError: Both forms are used at once.
    """
    if proto.reservations and (
        proto.HasField("reservation") or (proto.HasField("role") and proto.role != _ANYONE)
    ):
        raise ResourceError("a resource has 'reservations' together with 'role' or 'reservation'")
    if not proto.reservations:
        if proto.HasField("reservation"):
            new = proto.reservations.add()
            new.CopyFrom(proto.reservation)
            new.type = _RESERVATION.DYNAMIC
            new.role = proto.role
        elif proto.HasField("role") and proto.role != _ANYONE:
            proto.reservations.add(type=_RESERVATION.STATIC, role=proto.role)
    proto.ClearField("role")
    proto.ClearField("reservation")


def push_reservation(proto: pb.mesos.Resource, reservation: Reservation) -> None:
    """Add a reservation on top, in a meta of one's own; the role must lie below the one it refines (Mesos: Reservation, "Refinement")."""
    modernise(proto)
    if reservation.role == "*":
        raise ResourceError("nothing can be reserved for the role '*'")
    if proto.reservations:
        outer = proto.reservations[-1].role
        if not reservation.role.startswith(outer + "/"):
            raise ResourceError(
                f"the role {reservation.role!r} does not refine {outer!r}: it must begin with {outer}/"
            )
        if not reservation.dynamic:
            raise ResourceError("a reservation that refines another must be dynamic")
    proto.reservations.append(reservation.to_proto())


def pop_reservation(proto: pb.mesos.Resource) -> None:
    """Remove the innermost reservation."""
    modernise(proto)
    if not proto.reservations:
        raise ResourceError("it is not reserved")
    del proto.reservations[-1]


def clear_reservations(proto: pb.mesos.Resource) -> None:
    """Remove all reservations."""
    modernise(proto)
    del proto.reservations[:]


def _forget_use(proto: pb.mesos.Resource) -> None:
    """Drop what says how a resource is used, not which it is; bring what has no order into one."""
    if proto.HasField("disk"):
        proto.disk.ClearField("volume")
        if proto.disk.HasField("persistence"):
            proto.disk.persistence.ClearField("principal")
    for reservation in proto.reservations:
        if len(reservation.labels.labels) > 1:
            reservation.labels.labels.sort(key=lambda label: (label.key, label.value))
        elif not reservation.labels.labels:
            reservation.ClearField("labels")


def label_of(proto: pb.mesos.Resource) -> str:
    """Print what stands between name and colon, as Mesos does."""
    reservations = [Reservation.from_proto(each) for each in proto.reservations]
    out = ""
    if proto.HasField("allocation_info"):
        out += f"(allocated: {proto.allocation_info.role})"
    if reservations:
        out += "(reservations: [" + ",".join(str(each) for each in reservations) + "])"
    if proto.HasField("disk"):
        out += f"[{_disk_label(proto.disk)}]"
    if proto.HasField("revocable"):
        out += "{REV}"
    if proto.HasField("shared"):
        out += "<SHARED>"
    return out


def _disk_label(disk: pb.mesos.Resource.DiskInfo) -> str:
    out = ""
    if disk.HasField("source"):
        source = disk.source
        out += _SOURCE.Type.Name(source.type)
        if source.HasField("id") or source.HasField("profile"):
            out += f"({source.vendor},{source.id},{source.profile})"
        else:
            out += "".join(f":{root}" for root in (source.path.root, source.mount.root) if root)
    if disk.HasField("persistence"):
        out += ("," if out else "") + disk.persistence.id
    if disk.HasField("volume"):
        volume = disk.volume
        where = volume.container_path
        if volume.HasField("host_path"):  # Mesos prints the mode only then
            where = f"{volume.host_path}:{where}:{pb.mesos.Volume.Mode.Name(volume.mode).lower()}"
        out += f":{where}"
    return out
