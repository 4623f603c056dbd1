"""One resource: a name, an amount (scalar, ranges or set), and what it is besides (`meta`).

Immutable and hashable. Scalars are whole thousandths inside: Mesos keeps three decimals, and sums of floats would
drift (Mesos: Attributes and Resources, "Fixed point").
"""

import math
from dataclasses import dataclass
from enum import Enum

from google.protobuf.message import EncodeError

from mesos_v1 import pb
from mesos_v1 import ranges as range_sets
from mesos_v1._texts import text
from mesos_v1.errors import ResourceError
from mesos_v1.ranges import Ranges
from mesos_v1.resource_meta import PLAIN, Facts, facts_of, parse_meta, print_meta

MILLIS = 1000
_MAX_MILLIS = 2**53  # what a double can hold exactly
_MAX_RANGE = 2**64 - 1
_TYPE = pb.mesos.Value
_FIELDS = {_TYPE.SCALAR: "scalar", _TYPE.RANGES: "ranges", _TYPE.SET: "set"}

Ident = tuple[object, ...]
"""Two resources add up exactly when their idents are equal."""


class Kind(Enum):
    """How an amount is written."""

    SCALAR = "SCALAR"
    RANGES = "RANGES"
    SET = "SET"


def to_millis(value: float) -> int:
    """Return `value` in thousandths, rounded half away from zero as Mesos does.

    Raises:
        ResourceError: Not a number that a resource can have.
    """
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

    __slots__ = ("_facts", "_ident")
    _facts: Facts
    _ident: Ident


@dataclass(frozen=True, slots=True)
class Resource(_Derived):
    """An amount of one resource.

    Attributes:
        millis: The amount of a scalar, in thousandths.
        ranges: The amount of a range resource such as ports: sorted, coalesced, both ends included.
        items: The amount of a set resource, sorted.
        meta: Everything else, as protobuf bytes (see `resource_meta`); empty for plain resources.
        count: How often it is there; above 1 only for shared resources, and for indivisible ones that look the same.
    """

    name: str
    kind: Kind = Kind.SCALAR
    millis: int = 0
    ranges: Ranges = ()
    items: tuple[str, ...] = ()
    meta: bytes = PLAIN
    count: int = 1

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
        object.__setattr__(self, "_facts", facts)
        ident: Ident = (self.name, facts.key)
        if self.kind is not Kind.SCALAR:
            ident = (self.name, facts.key, self.kind._value_)
        if facts.indivisible:
            ident = (*ident, self.millis, self.ranges, self.items)
        object.__setattr__(self, "_ident", ident)

    def __reduce__(self) -> tuple[object, ...]:
        fields = (self.name, self.kind, self.millis, self.ranges, self.items, self.meta, self.count)
        return Resource, fields

    # -- what it is --

    @property
    def facts(self) -> Facts:
        return self._facts

    @property
    def ident(self) -> Ident:
        return self._ident

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

    # -- arithmetic between resources of equal ident --

    def plus(self, other: "Resource") -> "Resource":
        """Return the sum; both must have the same ident."""
        if self._facts.indivisible:
            return self._counted(self.count + other.count)
        if self.kind is Kind.SCALAR:
            return self.with_millis(self.millis + other.millis)
        if self.kind is Kind.RANGES:
            return self.with_millis(ranges=range_sets.union(self.ranges, other.ranges))
        return self.with_millis(items=tuple(sorted({*self.items, *other.items})))

    def minus(self, other: "Resource") -> "Resource | None":
        """Return what is left, None for nothing; never below zero. Both must have the same ident."""
        if self._facts.indivisible:
            return self._counted(self.count - other.count) if self.count > other.count else None
        if self.kind is Kind.SCALAR:
            left = self.millis - other.millis
            return self.with_millis(left) if left > 0 else None
        if self.kind is Kind.RANGES:
            remaining = range_sets.subtract(self.ranges, other.ranges)
            return self.with_millis(ranges=remaining) if remaining else None
        items = tuple(item for item in self.items if item not in other.items)
        return self.with_millis(items=items) if items else None

    def covers(self, other: "Resource") -> bool:
        """Whether `other`, of the same ident, is no more than this."""
        if self._facts.indivisible:
            return self.count >= other.count
        if self.kind is Kind.SCALAR:
            return self.millis >= other.millis
        if self.kind is Kind.RANGES:
            return range_sets.contains(self.ranges, other.ranges)
        return set(other.items).issubset(self.items)

    def common(self, other: "Resource") -> "Resource | None":
        """Return what of this would serve `other` (the same kind, whatever else it is), with this one's meta."""
        if self.kind is Kind.SCALAR:
            millis = min(self.millis, other.millis)
            return self.with_millis(millis) if millis else None
        if self.kind is Kind.RANGES:
            shared = range_sets.intersect(self.ranges, other.ranges)
            return self.with_millis(ranges=shared) if shared else None
        items = tuple(item for item in self.items if item in other.items)
        return self.with_millis(items=items) if items else None

    # -- the same amount, but … --

    def with_meta(self, meta: bytes) -> "Resource":
        """Return the same amount of something else."""
        return Resource(self.name, self.kind, self.millis, self.ranges, self.items, meta, self.count)

    def used_as(self, want: "Resource") -> "Resource":
        """Return as much of this as `want` asks for, mounted where `want` says (for volumes and whole disks)."""
        how = parse_meta(want.meta)
        meta = self.meta
        if how.disk.HasField("volume"):
            proto = parse_meta(meta)
            proto.disk.volume.CopyFrom(how.disk.volume)
            meta = print_meta(proto)
        return Resource(self.name, self.kind, self.millis, self.ranges, self.items, meta, want.count)

    def with_millis(self, millis: int = 0, ranges: Ranges = (), items: tuple[str, ...] = ()) -> "Resource":
        """Return another amount of the same."""
        return Resource(self.name, self.kind, millis, ranges, items, self.meta, self.count)

    def _counted(self, count: int) -> "Resource":
        return Resource(self.name, self.kind, self.millis, self.ranges, self.items, self.meta, count)

    # -- protobuf and text --

    @classmethod
    def from_proto(cls, proto: pb.mesos.Resource) -> "Resource":
        """Read a resource of the API.

        Raises:
            ResourceError: It is not valid; says why in Mesos's words.
        """
        try:
            wire = proto.SerializePartialToString()
        except EncodeError:  # what protobuf says of a message that is not there
            raise ResourceError("a resource is missing") from None
        known = _read.get(wire)
        if known is None:
            known = _from_proto(proto)
            if len(_read) >= _KEPT:
                _read.clear()
            _read[wire] = known
        return known

    def to_proto(self) -> pb.mesos.Resource:
        """Return it as the API writes it; once, whatever `count` says."""
        proto = pb.mesos.Resource.FromString(self.meta)
        proto.name = self.name
        if self.kind is Kind.SCALAR:
            proto.type = _TYPE.SCALAR
            proto.scalar.value = self.millis / MILLIS
        elif self.kind is Kind.RANGES:
            proto.type = _TYPE.RANGES
            proto.ranges.SetInParent()
            for begin, end in self.ranges:
                proto.ranges.range.add(begin=begin, end=end)
        else:
            proto.type = _TYPE.SET
            proto.set.item.extend(self.items)
            proto.set.SetInParent()
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
        return f"{self.name}{self._facts.label}{many}:{self.amount()}"


_KEPT = 4096
_read: dict[bytes, Resource] = {}  # agents offer the same few resources again and again


def _checked(name: str, found: Ranges) -> Ranges:
    last = -2
    normal = True
    for begin, end in found:
        if begin > end:
            raise ResourceError(f"Invalid ranges resource: {name}: begin > end ({begin}-{end})")
        if begin < 0 or end > _MAX_RANGE:
            raise ResourceError(f"Invalid ranges resource: {name}: {begin}-{end} is out of bounds")
        normal = normal and begin > last + 1
        last = end
    return found if normal and isinstance(found, tuple) else range_sets.coalesce(found)


def _from_proto(proto: pb.mesos.Resource) -> Resource:
    name: str = text(proto.name)
    field = _FIELDS.get(proto.type)
    if field is None:
        raise ResourceError(f"Unsupported resource type of {name or 'a resource'}")
    if [each for each in ("scalar", "ranges", "set") if proto.HasField(each)] != [field]:
        raise ResourceError(f"Invalid {field} resource: {name}")
    meta = print_meta(proto)
    if field == "scalar":
        return Resource(name, Kind.SCALAR, to_millis(proto.scalar.value), meta=meta)
    if field == "ranges":
        found = tuple((each.begin, each.end) for each in proto.ranges.range)
        return Resource(name, Kind.RANGES, ranges=found, meta=meta)
    return Resource(name, Kind.SET, items=tuple(map(text, proto.set.item)), meta=meta)
