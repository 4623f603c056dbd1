"""One resource: a name, an amount (scalar, ranges or set), and what it is besides: allocation, reservations, disk, ….

Immutable and hashable. Scalars are whole thousandths inside: Mesos keeps three decimals, and sums of floats would
drift (Mesos: Attributes and Resources, "Fixed point").

What it is besides travels as `meta`, the protobuf bytes of a `Resource` with only those fields set, so that nothing is
lost, not even fields of a newer Mesos. `Facts` say what arithmetic and printing need to know of a meta; there are few
different ones in a cluster. The rules of sameness are Mesos's (src/common/resources.cpp): the volume of a disk and the
principal of its persistence say how a disk is used, not which it is, so they do not count; a reservation in the old form
(`role` with `reservation`) is the same as in the new one (`reservations`).
"""

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

from google.protobuf.message import DecodeError, EncodeError

from mesos_v1 import pb
from mesos_v1 import ranges as range_sets
from mesos_v1._reading import Labels, clean, labels_of, labels_proto, text
from mesos_v1.errors import ResourceError
from mesos_v1.ranges import Ranges

MILLIS = 1000
_MAX_MILLIS = 2**53  # what a double can hold exactly
MAX_BOUND = 2**64 - 1  # of ranges, which have 64 bits

_PROTO = pb.mesos.Resource
_SOURCE = _PROTO.DiskInfo.Source
_RESERVATION = _PROTO.ReservationInfo
ANYONE = "*"


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
        labels = labels_proto(self.labels)
        return _RESERVATION(type=kind, role=self.role, principal=self.principal, labels=labels)

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
    """What arithmetic and printing need to know of a `meta`."""

    key: bytes  # canonical bytes: two resources can be added only when these are equal
    unallocated: bytes  # the `key` without the allocation
    bare: bytes  # the `key` without allocation and reservations
    reservations: tuple[Reservation, ...]  # from the outermost to the innermost
    role: str  # whom it is reserved for, `*` for anyone
    allocated_to: str | None
    persistence_id: str | None
    indivisible: bool  # taken whole or not at all: a persistent volume, a mounted or block disk, a shared one
    revocable: bool
    shared: bool
    source_type: str | None
    label: str  # how Mesos prints it, between the name and the colon


def parse_meta(meta: bytes) -> pb.mesos.Resource:
    """Return a meta as a (partial) protobuf message of its own."""
    message = _PROTO()
    try:
        message.ParseFromString(meta)
    except DecodeError:
        raise ResourceError(f"the metadata of a resource is not protobuf: {meta[:40]!r}") from None
    if not meta.isascii():
        clean(message)
    return message


def print_meta(message: pb.mesos.Resource) -> bytes:
    """Return the meta of a resource, from a message of one's own: its name and amount are cleared."""
    for name in ("name", "type", "scalar", "ranges", "set"):
        message.ClearField(name)
    return message.SerializePartialToString(deterministic=True)


def reserved_for(role: str) -> bytes:
    """Return the meta of what is statically reserved for a role, `*` for anyone, and nothing else."""
    levels = [] if role == ANYONE else [Reservation(role, dynamic=False).to_proto()]
    return print_meta(_PROTO(reservations=levels)) if levels else b""


@lru_cache(4096)
def facts_of(meta: bytes) -> Facts:
    """Return the facts of a meta."""
    proto = parse_meta(meta)
    modernise(proto)
    label, disk, shared = label_of(proto), proto.disk, proto.HasField("shared")
    reservations = tuple(map(Reservation.from_proto, proto.reservations))
    persistence_id = disk.persistence.id if disk.HasField("persistence") else None
    source = disk.source if disk.HasField("source") else None
    whole = source is not None and (
        source.type in {_SOURCE.MOUNT, _SOURCE.BLOCK}
        or (source.type == _SOURCE.RAW and source.HasField("id"))
    )
    source_type = None if source is None else _SOURCE.Type.Name(source.type)
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
        role=reservations[-1].role if reservations else ANYONE,
        allocated_to=allocated_to,
        persistence_id=persistence_id,
        indivisible=shared or persistence_id is not None or whole,
        revocable=proto.HasField("revocable"),
        shared=shared,
        source_type=source_type,
        label=label,
    )


def modernise(proto: pb.mesos.Resource) -> None:
    """Turn `role` and `reservation`, the form before reservation refinement, into `reservations`; it may not be both."""
    dynamic = proto.HasField("reservation")
    if dynamic or (proto.HasField("role") and proto.role != ANYONE):
        if proto.reservations:
            raise ResourceError("a resource has 'reservations' together with 'role' or 'reservation'")
        kind = _RESERVATION.DYNAMIC if dynamic else _RESERVATION.STATIC
        proto.reservations.add().MergeFrom(proto.reservation)
        proto.reservations[0].MergeFrom(_RESERVATION(type=kind, role=proto.role))
    proto.ClearField("role")
    proto.ClearField("reservation")


def push_reservation(proto: pb.mesos.Resource, reservation: Reservation) -> None:
    """Add a reservation on top, in a meta of one's own; the role must lie below the one it refines (Mesos: Reservation, "Refinement")."""
    modernise(proto)
    if reservation.role == ANYONE:
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
    has = proto.HasField
    reservations = ",".join(str(Reservation.from_proto(each)) for each in proto.reservations)
    out = f"(allocated: {proto.allocation_info.role})" if has("allocation_info") else ""
    out += f"(reservations: [{reservations}])" if reservations else ""
    out += f"[{_disk_label(proto.disk)}]" if has("disk") else ""
    return out + ("{REV}" if has("revocable") else "") + ("<SHARED>" if has("shared") else "")


def _disk_label(disk: pb.mesos.Resource.DiskInfo) -> str:
    out, source, volume = "", disk.source, disk.volume
    if disk.HasField("source"):
        out = _SOURCE.Type.Name(source.type)
        if source.HasField("id") or source.HasField("profile"):
            out += f"({source.vendor},{source.id},{source.profile})"
        else:
            out += "".join(f":{root}" for root in (source.path.root, source.mount.root) if root)
    if disk.HasField("persistence"):
        out += ("," if out else "") + disk.persistence.id
    if disk.HasField("volume"):
        where = volume.container_path
        if volume.HasField("host_path"):  # Mesos prints the mode only then
            where = f"{volume.host_path}:{where}:{pb.mesos.Volume.Mode.Name(volume.mode).lower()}"
        out += f":{where}"
    return out


Ident = tuple[object, ...]
"""Two resources add up exactly when their idents are equal."""


class Kind(Enum):
    """How an amount is written."""

    SCALAR = "SCALAR"
    RANGES = "RANGES"
    SET = "SET"


_KINDS = {pb.mesos.Value.Type.Value(kind.value): (kind, kind.value.lower()) for kind in Kind}


def to_millis(value: float) -> int:
    """Return `value` in thousandths, rounded half away from zero as Mesos does; ResourceError if no resource has it."""
    if not 0 <= value <= _MAX_MILLIS / MILLIS:
        raise ResourceError(f"{value!r} is not an amount of a resource: it must be zero or more, and finite")
    exact = value * MILLIS
    whole = math.floor(exact)
    return whole + (exact - whole >= 0.5)  # adding a half first would round what is just below it up


def print_millis(millis: int) -> str:
    """Print thousandths as Mesos does: up to three decimals, none for nothing."""
    whole, rest = divmod(millis, MILLIS)
    return f"{whole}.{rest:03}".rstrip("0") if rest else str(whole)


class _Derived:
    """Holds what is computed from a resource once; not part of its value."""

    __slots__ = ("facts", "ident")
    facts: Facts
    ident: Ident


@dataclass(frozen=True, slots=True)
class Resource(_Derived):
    """An amount of one resource."""

    name: str
    kind: Kind = Kind.SCALAR
    millis: int = 0  # the amount of a scalar, in thousandths
    ranges: Ranges = ()  # the amount of a range resource such as ports: sorted, coalesced, both ends included
    items: tuple[str, ...] = ()  # the amount of a set resource, sorted
    meta: bytes = b""  # what it is besides, as protobuf bytes; empty for plain resources
    count: int = 1  # how often it is there: a shared one, or indivisible ones that look the same

    def __post_init__(self) -> None:
        if not self.name:
            raise ResourceError("Empty resource name")
        if self.millis < 0 or self.count < 1:
            raise ResourceError(f"Invalid scalar resource: {self.name} < 0")
        if self.ranges:
            object.__setattr__(self, "ranges", _checked(self.name, self.ranges))
        if self.items:
            object.__setattr__(self, "items", tuple(sorted(set(self.items))))
        facts = facts_of(self.meta)
        object.__setattr__(self, "facts", facts)
        ident: Ident = (self.name, facts.key)
        if self.kind is not Kind.SCALAR:
            ident = (*ident, self.kind._value_)
        if facts.indivisible:
            ident = (*ident, self.millis, self.ranges, self.items)
        object.__setattr__(self, "ident", ident)

    def __reduce__(self) -> tuple[object, ...]:
        return Resource, (self.name, self.kind, self.millis, self.ranges, self.items, self.meta, self.count)

    @property
    def empty(self) -> bool:
        """Whether there is nothing of it."""
        return not (self.millis or self.ranges or self.items)

    @property
    def value(self) -> float:
        """The amount as a number: of a scalar itself, of ranges and sets how many are in it."""
        if self.kind is Kind.SCALAR:
            return self.millis / MILLIS
        return float(range_sets.count(self.ranges) if self.kind is Kind.RANGES else len(self.items))

    def plus(self, other: "Resource") -> "Resource":
        """Return the sum; both must have the same ident."""
        if self.facts.indivisible:
            return replace(self, count=self.count + other.count)
        return self._with(other, operator.add, range_sets.union, operator.or_) or self

    def minus(self, other: "Resource") -> "Resource | None":
        """Return what is left, None for nothing; never below zero. Both must have the same ident."""
        if self.facts.indivisible:
            return replace(self, count=self.count - other.count) if self.count > other.count else None
        return self._with(other, operator.sub, range_sets.subtract, operator.sub)

    def covers(self, other: "Resource") -> bool:
        """Whether `other`, of the same ident, is no more than this."""
        if self.kind is Kind.SCALAR and not self.facts.indivisible:  # most are
            return self.millis >= other.millis
        return other.minus(self) is None

    def common(self, other: "Resource") -> "Resource | None":
        """Return what of this would serve `other` (the same kind, whatever else it is), with this one's meta."""
        return self._with(other, min, range_sets.intersect, operator.and_)

    def _with(
        self,
        other: "Resource",
        of_scalars: Callable[[int, int], int],
        of_ranges: Callable[[Ranges, Ranges], Ranges],
        of_sets: Callable[[set[str], set[str]], set[str]],
    ) -> "Resource | None":
        """Return this one with an amount made of both amounts, None for nothing."""
        if self.kind is Kind.SCALAR:
            millis = of_scalars(self.millis, other.millis)
            return self.with_millis(millis) if millis > 0 else None
        ranges = of_ranges(self.ranges, other.ranges)
        items = of_sets({*self.items}, {*other.items})
        return self.with_millis(ranges=ranges, items=tuple(items)) if ranges or items else None

    def with_meta(self, meta: bytes) -> "Resource":
        """Return the same amount of something else."""
        return Resource(self.name, self.kind, self.millis, self.ranges, self.items, meta, self.count)

    def with_millis(self, millis: int = 0, ranges: Ranges = (), items: tuple[str, ...] = ()) -> "Resource":
        """Return another amount of the same."""
        return Resource(self.name, self.kind, millis, ranges, items, self.meta, self.count)

    def used_as(self, want: "Resource") -> "Resource":
        """Return as much of this as `want` asks for, mounted where `want` says (for volumes and whole disks)."""
        how, proto = parse_meta(want.meta), parse_meta(self.meta)
        if how.disk.HasField("volume"):
            proto.disk.volume.CopyFrom(how.disk.volume)
        return replace(self, meta=print_meta(proto), count=want.count)

    @classmethod
    def from_proto(cls, proto: pb.mesos.Resource) -> "Resource":
        """Read a resource of the API; raises ResourceError if it is not valid, and says why in Mesos's words."""
        try:
            return cls.from_wire(proto.SerializePartialToString())
        except EncodeError:  # what protobuf says of a message that is not there
            raise ResourceError("a resource is missing") from None

    @staticmethod
    @lru_cache(4096)  # agents offer the same few resources again and again
    def from_wire(wire: bytes) -> "Resource":
        """Read a resource of the API from its protobuf bytes."""
        proto = pb.mesos.Resource.FromString(wire)
        name: str = text(proto.name)
        kind, field = _KINDS.get(proto.type, (None, ""))
        if kind is None:
            raise ResourceError(f"Unsupported resource type of {name or 'a resource'}")
        if [each for each in ("scalar", "ranges", "set") if proto.HasField(each)] != [field]:
            raise ResourceError(f"Invalid {field} resource: {name}")
        millis = 0
        ranges: Ranges = ()
        items: tuple[str, ...] = ()
        if kind is Kind.SCALAR:
            millis = to_millis(proto.scalar.value)
        elif kind is Kind.RANGES:
            ranges = tuple([(each.begin, each.end) for each in proto.ranges.range])
        else:
            items = tuple(map(text, proto.set.item))
        return Resource(name, kind, millis, ranges, items, print_meta(proto))

    def to_proto(self) -> pb.mesos.Resource:
        """Return it as the API writes it; once, whatever `count` says."""
        proto = pb.mesos.Resource.FromString(self.meta)
        proto.name = self.name
        if self.kind is Kind.SCALAR:
            proto.type = pb.mesos.Value.SCALAR
            proto.scalar.value = self.millis / MILLIS
        elif self.kind is Kind.RANGES:
            proto.type = pb.mesos.Value.RANGES
            proto.ranges.SetInParent()
            for begin, end in self.ranges:
                proto.ranges.range.add(begin=begin, end=end)
        else:
            proto.type = pb.mesos.Value.SET
            proto.set.SetInParent()
            proto.set.item.extend(self.items)
        return proto

    def amount(self) -> str:
        """Print the amount as Mesos does."""
        if self.kind is Kind.SCALAR:
            return print_millis(self.millis)
        if self.kind is Kind.RANGES:
            return range_sets.text(self.ranges)
        return "{" + ", ".join(self.items) + "}"

    def __str__(self) -> str:
        many = f"<{self.count}>" if self.count > 1 else ""
        return f"{self.name}{self.facts.label}{many}:{self.amount()}"


def _checked(name: str, found: Ranges) -> Ranges:
    last = -2
    normal = True
    for begin, end in found:
        if begin > end:
            raise ResourceError(f"Invalid ranges resource: {name}: begin > end ({begin}-{end})")
        if begin < 0 or end > MAX_BOUND:
            raise ResourceError(f"Invalid ranges resource: {name}: {begin}-{end} is out of bounds")
        normal = normal and begin > last + 1
        last = end
    return found if normal and isinstance(found, tuple) else range_sets.coalesce(found)
