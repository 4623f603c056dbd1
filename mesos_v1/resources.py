"""The algebra of resources: what agents have, offers hold and tasks take.

A `Resources` is immutable. Entries that are the same but for their amount (name, reservations, allocation, disk, …) are
one entry; others of the same name stand side by side, and `scalar("cpus")` sums them. `a + b`, `a - b` (never below
zero; ask `b in a` first), `wanted in a`; `take` picks what a task wants out of differently reserved entries.

Sources: Mesos: Attributes and Resources; Reservation; Persistent Volumes; and src/common/resources.cpp for the rules
of what adds up.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesos_v1 import pb
from mesos_v1 import ranges as range_sets
from mesos_v1.errors import OperationError, ResourceError
from mesos_v1.ranges import Ranges
from mesos_v1.resource import MILLIS, Ident, Kind, Resource, to_millis
from mesos_v1.resource_meta import PLAIN, Reservation, parse_meta, print_meta
from mesos_v1.shortfall import Shortfall

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Kind",
    "OperationError",
    "Reservation",
    "Resource",
    "ResourceError",
    "Resources",
    "Shortfall",
]


class _Indexed:
    """Holds the index of a `Resources`, made when first needed; not part of its value."""

    __slots__ = ("_index",)
    _index: dict[Ident, Resource]


@dataclass(frozen=True, slots=True, eq=False)
class Resources(_Indexed):
    """An immutable collection of resources; see the head of this module.

    Attributes:
        entries: At most one for each kind of resource, in the order in which they came, none of them empty.
    """

    entries: tuple[Resource, ...] = ()

    def __post_init__(self) -> None:
        index: dict[Ident, Resource] = {}
        for entry in self.entries:
            _add(index, entry)
        object.__setattr__(self, "_index", index)
        if len(index) != len(self.entries):
            object.__setattr__(self, "entries", tuple(index.values()))

    def __reduce__(self) -> tuple[object, ...]:
        return Resources, (self.entries,)

    # -- making them --

    @classmethod
    def of(
        cls,
        *,
        cpus: float = 0,
        mem: float = 0,
        disk: float = 0,
        gpus: float = 0,
        ports: Iterable[tuple[int, int]] = (),
        role: str = "*",
        **others: float,
    ) -> "Resources":
        """Return plain amounts; with a `role`, statically reserved for it.

        Args:
            cpus: Cores.
            mem: Megabytes.
            disk: Megabytes.
            gpus: Whole devices.
            ports: Ranges with both ends included.
            role: Whom they are reserved for, `*` for anyone.
            others: Any other scalars by name.
        """
        meta = PLAIN if role == "*" else reserved_meta(Reservation(role, dynamic=False))
        scalars = {"cpus": cpus, "mem": mem, "disk": disk, "gpus": gpus, **others}
        entries = [
            Resource(name, millis=to_millis(value), meta=meta) for name, value in scalars.items() if value
        ]
        if found := tuple(ports):
            entries.append(Resource("ports", Kind.RANGES, ranges=found, meta=meta))
        return cls(tuple(entries))

    @classmethod
    def parse(cls, text: str, role: str = "*") -> "Resources":
        """Read Mesos's text form, or its JSON form (a list of resources).

        `cpus:4;mem:1024;ports:[31000-32000];cpus(ads):2;disks:{sda1, sdb1}`: where no role is given, `role` is taken.

        Raises:
            ResourceError: It cannot be read; says where.
        """
        from mesos_v1.resource_text import parse_resources

        return cls(tuple(parse_resources(text, role)))

    @classmethod
    def from_proto(cls, protos: Iterable[pb.mesos.Resource]) -> "Resources":
        """Read resources of the API; same-named ones that are the same are summed.

        Raises:
            ResourceError: One is not valid.
        """
        protos = list(protos)
        wire = tuple([proto.SerializePartialToString() for proto in protos])
        known = _read.get(wire)
        if known is None:
            known = cls(tuple([Resource.from_proto(proto) for proto in protos]))
            if len(_read) >= _KEPT:
                _read.clear()
            _read[wire] = known
        return known

    def to_proto(self) -> list[pb.mesos.Resource]:
        """Return them as the API writes them."""
        return [entry.to_proto() for entry in self.entries for _ in range(entry.count)]

    # -- arithmetic --

    def __add__(self, other: "Resources") -> "Resources":
        if not self.entries:
            return other
        index = dict(self._index)
        for entry in other.entries:
            _add(index, entry)
        return _of(index)

    def __sub__(self, other: "Resources") -> "Resources":
        index = dict(self._index)
        for ident, entry in other._index.items():
            mine = index.get(ident)
            if mine is not None:
                left = mine.minus(entry)
                if left is None:
                    del index[ident]
                else:
                    index[ident] = left
        return _of(index)

    def contains(self, other: "Resources | Resource") -> bool:
        """Whether all of `other` is here, reservations and all (see `covers` for the amounts alone)."""
        if isinstance(other, Resource):
            mine = self._index.get(other.ident)
            return other.empty or (mine is not None and mine.covers(other))
        index = self._index
        for ident, entry in other._index.items():
            mine = index.get(ident)
            if mine is None or not mine.covers(entry):
                return False
        return True

    __contains__ = contains

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Resources):
            return NotImplemented
        return self._index.keys() == other._index.keys() and self.contains(other) and other.contains(self)

    def __hash__(self) -> int:
        return hash(
            frozenset((ident, e.millis, e.ranges, e.items, e.count) for ident, e in self._index.items())
        )

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __iter__(self) -> Iterator[Resource]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __str__(self) -> str:
        return "; ".join(str(entry) for entry in self.entries)

    # -- reading --

    def scalar(self, name: str) -> float:
        """Return how much of a scalar there is, however reserved; a shared one counts once."""
        return self.millis(name) / MILLIS

    def millis(self, name: str) -> int:
        """Return how much of a scalar there is, in thousandths."""
        total = 0
        for entry in self.entries:
            if entry.name == name:
                total += (
                    entry.millis if entry.count == 1 or entry.facts.shared else entry.millis * entry.count
                )
        return total

    def ranges(self, name: str) -> Ranges:
        """Return all the ranges of a resource such as ports, however reserved."""
        return range_sets.coalesce(
            pair for entry in self.entries if entry.name == name for pair in entry.ranges
        )

    def items(self, name: str) -> tuple[str, ...]:
        """Return all that is in a set resource, however reserved."""
        return tuple(sorted({item for entry in self.entries if entry.name == name for item in entry.items}))

    @property
    def cpus(self) -> float:
        """Cores."""
        return self.scalar("cpus")

    @property
    def mem(self) -> float:
        """Megabytes of memory."""
        return self.scalar("mem")

    @property
    def disk(self) -> float:
        """Megabytes of disk, volumes included."""
        return self.scalar("disk")

    @property
    def gpus(self) -> float:
        """Devices."""
        return self.scalar("gpus")

    @property
    def ports(self) -> Ranges:
        """Ranges of ports, both ends included."""
        return self.ranges("ports")

    def names(self) -> tuple[str, ...]:
        """Return the names, each once, in order."""
        return tuple(dict.fromkeys(entry.name for entry in self.entries))

    def scalars(self) -> dict[str, float]:
        """Return the amount of each scalar by its name."""
        return {name: self.scalar(name) for name in self.names() if self._is_scalar(name)}

    def _is_scalar(self, name: str) -> bool:
        return any(entry.kind is Kind.SCALAR for entry in self.entries if entry.name == name)

    # -- parts --

    def where(self, test: "Callable[[Resource], bool]") -> "Resources":
        """Return the entries for which `test` holds."""
        return Resources(tuple(entry for entry in self.entries if test(entry)))

    def reserved(self, role: str | None = None) -> "Resources":
        """Return what is reserved: for `role`, or for anyone in particular."""
        return self.where(lambda e: bool(e.facts.reservations) and role in (None, e.facts.role))

    def unreserved(self) -> "Resources":
        """Return what is reserved for nobody."""
        return self.where(lambda e: not e.facts.reservations)

    def revocable(self) -> "Resources":
        """Return what may be taken away again."""
        return self.where(lambda e: e.facts.revocable)

    def shared(self) -> "Resources":
        """Return what several tasks may use at once."""
        return self.where(lambda e: e.facts.shared)

    def persistent_volumes(self) -> "Resources":
        """Return the persistent volumes."""
        return self.where(lambda e: e.facts.persistence_id is not None)

    def allocated_to(self, role: str) -> "Resources":
        """Return what is allocated to a role."""
        return self.where(lambda e: e.facts.allocated_to == role)

    # -- the same amounts, but … --

    def with_each_meta(self, change: "Callable[[pb.mesos.Resource], None]") -> "Resources":
        """Return the same amounts with `change` applied to a copy of each entry's metadata."""
        changed: dict[bytes, bytes] = {}
        entries = []
        for entry in self.entries:
            if entry.meta not in changed:
                proto = parse_meta(entry.meta)
                change(proto)
                changed[entry.meta] = print_meta(proto)
            entries.append(entry.with_meta(changed[entry.meta]))
        return Resources(tuple(entries))

    def allocate(self, role: str) -> "Resources":
        """Return them allocated to `role`, whatever they were before."""

        def change(proto: pb.mesos.Resource) -> None:
            proto.allocation_info.role = role

        return self.with_each_meta(change)

    def unallocate(self) -> "Resources":
        """Return them without allocation."""
        return self.with_each_meta(lambda proto: proto.ClearField("allocation_info"))

    def push_reservation(self, reservation: Reservation) -> "Resources":
        """Return them reserved, or refined: reserved once more on top of the reservation that they have."""
        from mesos_v1.reserving import push

        return self.with_each_meta(lambda proto: push(proto, reservation))

    def pop_reservation(self) -> "Resources":
        """Return them without their innermost reservation.

        Raises:
            ResourceError: One of them is not reserved.
        """
        from mesos_v1.reserving import pop

        return self.with_each_meta(pop)

    def to_unreserved(self) -> "Resources":
        """Return them without any reservation."""
        from mesos_v1.reserving import clear

        return self.with_each_meta(clear)

    # -- taking --

    def take(self, wanted: "Resources") -> "Resources | None":
        """Pick what `wanted` asks for out of these, or return None when it is not there.

        What is wanted without a reservation may come from any entry of the same name that can be divided, reserved ones
        first (nobody else can use them), and from several if one is not enough. What is wanted with a reservation
        comes from entries reserved just so; volumes and whole disks are taken whole. The allocation does not
        matter. The result carries these entries' metadata, so it can go into a task as it is.
        """
        from mesos_v1.taking import take

        return take(self, wanted)

    def take_ports(self, count: int, name: str = "ports") -> "Resources | None":
        """Pick any `count` ports, reserved ones first, or return None when there are fewer."""
        from mesos_v1.taking import take_any

        return take_any(self, name, count)

    def covers(self, wanted: "Resources") -> bool:
        """Whether `take(wanted)` finds everything."""
        return self.take(wanted) is not None

    def explain_shortfall(self, wanted: "Resources") -> tuple[Shortfall, ...]:
        """Return, for each resource of which `take(wanted)` does not find enough, how much is wanted and there."""
        from mesos_v1.taking import explain

        return explain(self, wanted)

    def apply(self, operation: pb.mesos.Offer.Operation) -> "Resources":
        """Return what is left for the next operation on the same offer (see `mesos_v1.operations`).

        Raises:
            OperationError: The operation does not fit; says why, as Mesos does.
        """
        from mesos_v1.operations import apply

        return apply(self, operation)


_KEPT = 1024
_read: dict[tuple[bytes, ...], Resources] = {}  # agents that are alike offer the same, again and again


def reserved_meta(reservation: Reservation) -> bytes:
    """Return the meta of something with one reservation and nothing else."""
    proto = pb.mesos.Resource()
    proto.reservations.append(reservation.to_proto())
    return print_meta(proto)


def _add(index: dict[Ident, Resource], entry: Resource) -> None:
    mine = index.get(entry.ident)
    if mine is not None:
        index[entry.ident] = mine.plus(entry)
    elif not entry.empty:
        index[entry.ident] = entry


def _of(index: dict[Ident, Resource]) -> Resources:
    """Make a Resources of an index that is in order already."""
    new = object.__new__(Resources)
    object.__setattr__(new, "_index", index)
    object.__setattr__(new, "entries", tuple(index.values()))
    return new
