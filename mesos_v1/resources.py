"""The algebra of resources: what agents have, offers hold and tasks take.

Entries that are the same but for their amount (name, reservations, allocation, disk, …) are one entry; others of the same
name stand side by side, and `scalar("cpus")` sums them. `a + b`, `a - b` (never below zero; ask `b in a` first),
`wanted in a`; `take` picks what a task wants out of differently reserved entries: the deepest reservations first, as nobody
else can use them, then what is not reserved (Mesos: `Resources::find`).

Operations on offers are applied as the master and the agent do it, by one rule each: what it consumes, which must be there,
and what that becomes. Launches consume what their tasks (and executors that are not running yet) take.

Sources: Mesos: Attributes and Resources; Reservation; Persistent Volumes; Multi-disk; src/common/resources.cpp for the rules
of what adds up, and src/common/resources_utils.cpp, `getResourceConversions`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

from mesos_v1 import pb
from mesos_v1 import ranges as range_sets
from mesos_v1.errors import OperationError, ResourceError
from mesos_v1.ranges import Ranges
from mesos_v1.resource import (
    MILLIS,
    Ident,
    Kind,
    Reservation,
    Resource,
    modernise,
    parse_meta,
    print_meta,
    print_millis,
    push_reservation,
    reserved_for,
    to_millis,
)
from mesos_v1.resource_text import parse_resources

__all__ = ["OperationError", "Reservation", "Resource", "ResourceError", "Resources", "Shortfall"]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A resource of which there is less than is wanted (of ports and sets: how many); the detail names the ranges and sets."""

    resource: str
    wanted: float
    available: float
    detail: str = ""

    def __str__(self) -> str:
        wanted, available = print_millis(to_millis(self.wanted)), print_millis(to_millis(self.available))
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.resource}: wanted {wanted}, available {available}{detail}"


Operation = pb.mesos.Offer.Operation
_SOURCE = pb.mesos.Resource.DiskInfo.Source


class _Indexed:
    """Holds the index of a `Resources`, made when first needed; not part of its value."""

    __slots__ = ("_index",)
    _index: dict[Ident, Resource]


@dataclass(frozen=True, slots=True, eq=False)
class Resources(_Indexed):
    """An immutable collection: one entry for each kind of resource, in the order in which they came, none of them empty."""

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

        In cores, megabytes (`mem`, `disk`), whole devices, ranges with both ends included, and any other scalars by name.
        """
        meta = reserved_for(role)
        scalars = {"cpus": cpus, "mem": mem, "disk": disk, "gpus": gpus, **others}
        entries = [
            Resource(name, millis=to_millis(value), meta=meta) for name, value in scalars.items() if value
        ]
        if found := tuple(ports):
            entries.append(Resource("ports", Kind.RANGES, ranges=found, meta=meta))
        return cls(tuple(entries))

    @classmethod
    def parse(cls, text: str, role: str = "*") -> "Resources":
        """Read Mesos's text form, or its JSON form (a list of resources); raises ResourceError if it cannot, and says where.

        `cpus:4;mem:1024;ports:[31000-32000];cpus(ads):2;disks:{sda1, sdb1}`: where no role is given, `role` is taken.
        """
        return cls(tuple(parse_resources(text, role)))

    @classmethod
    def from_proto(cls, protos: Iterable[pb.mesos.Resource]) -> "Resources":
        """Read resources of the API, and sum those that are the same; raises ResourceError if one is not valid."""
        return _read(tuple([proto.SerializePartialToString() for proto in protos]))

    def to_proto(self) -> list[pb.mesos.Resource]:
        """Return them as the API writes them."""
        return [entry.to_proto() for entry in self.entries for _ in range(entry.count)]

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
        entries = {other.ident: other} if isinstance(other, Resource) else other._index
        index = self._index
        for ident, entry in entries.items():
            mine = index.get(ident)
            if mine is None or not mine.covers(entry):
                return entry.empty
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

    def scalar(self, name: str) -> float:
        """Return how much of a scalar there is, however reserved; a shared one counts once."""
        return self.millis(name) / MILLIS

    def millis(self, name: str) -> int:
        """Return how much of a scalar there is, in thousandths."""
        return sum([e.millis * (1 if e.facts.shared else e.count) for e in self.entries if e.name == name])

    def ranges(self, name: str) -> Ranges:
        """Return all the ranges of a resource such as ports, however reserved."""
        return range_sets.coalesce(pair for e in self.entries if e.name == name for pair in e.ranges)

    def items(self, name: str) -> tuple[str, ...]:
        """Return all that is in a set resource, however reserved."""
        return tuple(sorted({item for entry in self.entries if entry.name == name for item in entry.items}))

    @property
    def cpus(self) -> float:
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
        return {entry.name: self.scalar(entry.name) for entry in self.entries if entry.kind is Kind.SCALAR}

    def where(self, test: Callable[[Resource], bool]) -> "Resources":
        """Return the entries for which `test` holds."""
        return Resources(tuple(entry for entry in self.entries if test(entry)))

    def reserved(self, role: str | None = None) -> "Resources":
        """Return what is reserved: for `role`, or for anyone in particular."""
        return self.where(lambda e: bool(e.facts.reservations) and role in (None, e.facts.role))

    def unreserved(self) -> "Resources":
        """Return what is not reserved."""
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

    def with_each_meta(self, change: Callable[[pb.mesos.Resource], None]) -> "Resources":
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
        allocation = pb.mesos.Resource.AllocationInfo(role=role)
        return self.with_each_meta(lambda proto: proto.allocation_info.CopyFrom(allocation))

    def unallocate(self) -> "Resources":
        """Return them without allocation."""
        return self.with_each_meta(lambda proto: proto.ClearField("allocation_info"))

    def push_reservation(self, reservation: Reservation) -> "Resources":
        """Return them reserved, or refined: reserved once more on top of the reservation that they have."""
        return self.with_each_meta(lambda proto: push_reservation(proto, reservation))

    def pop_reservation(self) -> "Resources":
        """Return them without their innermost reservation; raises ResourceError if one is not reserved."""

        def pop(proto: pb.mesos.Resource) -> None:
            modernise(proto)
            if not proto.reservations:
                raise ResourceError("it is not reserved")
            del proto.reservations[-1]

        return self.with_each_meta(pop)

    def to_unreserved(self) -> "Resources":
        """Return them without any reservation."""

        def clear(proto: pb.mesos.Resource) -> None:
            modernise(proto)
            del proto.reservations[:]

        return self.with_each_meta(clear)

    def take(self, wanted: "Resources") -> "Resources | None":
        """Pick what `wanted` asks for out of these, or return None when it is not there.

        What is wanted without a reservation may come from any entry of the same name that can be divided, reserved ones
        first (nobody else can use them), and from several if one is not enough. What is wanted with a reservation
        comes from entries reserved just so; volumes and whole disks are taken whole. The allocation does not
        matter. The result carries these entries' metadata, so it can go into a task as it is.
        """
        picked: list[Resource] = []
        for _, _, found, missing in self._serve_all(wanted):
            if missing is not None:
                return None
            picked += found
        return Resources(tuple(picked))

    def take_ports(self, count: int, name: str = "ports") -> "Resources | None":
        """Pick any `count` ports, reserved ones first, or return None when there are fewer."""
        picked: list[Resource] = []
        for entry in _by_reservation(e for e in self if e.name == name and e.kind is Kind.RANGES):
            if count <= 0:
                break
            some = range_sets.first(entry.ranges, count)
            picked.append(entry.with_millis(ranges=some))
            count -= range_sets.count(some)
        return None if count > 0 else Resources(tuple(picked))

    def covers(self, wanted: "Resources") -> bool:
        """Whether `take(wanted)` finds everything."""
        return self.take(wanted) is not None

    def explain_shortfall(self, wanted: "Resources") -> tuple[Shortfall, ...]:
        """Return, for each resource of which `take(wanted)` does not find enough, how much is wanted and there."""
        short: list[Shortfall] = []
        for want, left, found, missing in self._serve_all(wanted):
            if missing is None:
                continue
            detail = ""
            if want.kind is not Kind.SCALAR or want.facts.label:
                there = "; ".join(str(entry) for entry in left if entry.name == want.name)
                detail = f"wanted {want}; there is {there or 'none'}"
            available = round(sum(entry.value for entry in found), 3)  # sums of floats drift
            short.append(Shortfall(want.name, want.value, available, detail))
        return tuple(short)

    def apply(
        self, operation: pb.mesos.Offer.Operation, *, running_executors: Collection[str] = ()
    ) -> "Resources":
        """Return what the next operation on the same offer sees; a launch pays for executors that are not running yet.

        OperationError says, as Mesos does, why the operation does not fit or cannot be applied.
        """
        consumed, converted = _conversion(operation, running_executors)
        if not self.contains(consumed):
            raise OperationError(f"{self} does not contain {consumed}")
        result = self - consumed + converted
        for volume in map(Resource.from_proto, operation.destroy.volumes):
            if result.contains(volume):
                copies = "cannot be removed due to additional shared copies"
                raise OperationError(f"Persistent volume {volume} {copies}")
        return result

    def _serve_all(
        self, wanted: "Resources"
    ) -> Iterator[tuple[Resource, "Resources", list[Resource], Resource | None]]:
        """Yield each want, what there is for it, what of that serves it, and what of it is missing.

        Wants of the same name compete; those that can be served in fewer ways (a reservation) come first, so that none
        takes what another cannot do without.
        """
        compete = len({want.name for want in wanted}) < len(wanted)
        picked: list[Resource] = []
        for want in _by_reservation(wanted) if compete else wanted:
            left = self - Resources(tuple(picked)) if compete else self
            found, missing = left._serve(want)
            if missing is None:
                picked += found
            yield want, left, found, missing

    def _serve(self, want: Resource) -> tuple[list[Resource], Resource | None]:
        """Return what of these serves `want`, and what of it is missing."""
        found: list[Resource] = []
        missing: Resource | None = want
        for entry in self._candidates(want):
            if want.facts.indivisible:
                if entry.count >= want.count and _amount(entry) == _amount(want):
                    return [entry.used_as(want)], None
                continue
            assert missing is not None
            part = entry.common(missing)
            if part is not None:
                found.append(part)
                missing = missing.minus(part)
                if missing is None:
                    break
        return found, missing

    def _candidates(self, want: Resource) -> list[Resource]:
        """The entries that may serve it: those that are the same but for allocation and, if it has none, reservations."""
        identity = _but_for_allocation if want.facts.reservations else _but_for_reservations
        name, kind, key = want.name, want.kind, identity(want)
        same = [e for e in self.entries if e.name == name and e.kind is kind and identity(e) == key]
        return same if len(same) < 2 else _by_reservation(same)


_but_for_allocation = attrgetter("facts.unallocated")
_but_for_reservations = attrgetter("facts.bare")


@lru_cache(1024)  # agents that are alike offer the same, again and again
def _read(wire: tuple[bytes, ...]) -> Resources:
    return Resources(tuple(map(Resource.from_wire, wire)))


def _amount(entry: Resource) -> tuple[object, ...]:
    return entry.millis, entry.ranges, entry.items


def _by_reservation(entries: Iterable[Resource]) -> list[Resource]:
    return sorted(entries, key=lambda entry: -len(entry.facts.reservations))


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


def consumed_by(operation: pb.mesos.Offer.Operation, *, running_executors: Collection[str] = ()) -> Resources:
    """Return what an operation takes out of an offer: for a launch, its tasks and new executors; raises as `apply`."""
    return _conversion(operation, running_executors)[0]


def tasks_of(operation: pb.mesos.Offer.Operation) -> list[pb.mesos.TaskInfo]:
    """Return the tasks that an operation launches; none for one that launches nothing."""
    if operation.type == Operation.LAUNCH:
        return list(operation.launch.task_infos)
    if operation.type == Operation.LAUNCH_GROUP:
        return list(operation.launch_group.task_group.tasks)
    return []


def executors_of(operation: pb.mesos.Offer.Operation) -> list[pb.mesos.ExecutorInfo]:
    """Return the executors that an operation may start."""
    if operation.type == Operation.LAUNCH:
        return [task.executor for task in operation.launch.task_infos if task.HasField("executor")]
    if operation.type == Operation.LAUNCH_GROUP:
        return [operation.launch_group.executor]
    return []


_LAUNCHES = (Operation.LAUNCH, Operation.LAUNCH_GROUP)
_BODIES = {number: name.lower() for name, number in Operation.Type.items()}
Conversion = tuple[Resources, Resources]
"""What an operation consumes, and what that becomes."""


def _conversion(operation: pb.mesos.Offer.Operation, running_executors: Collection[str]) -> Conversion:
    body, rule = _BODIES[operation.type], _RULES.get(operation.type)
    if rule is None and operation.type not in _LAUNCHES:
        raise OperationError(f"operation {body.upper()} cannot be applied")
    try:
        if not operation.HasField(body):  # type: ignore[arg-type]  # the stub wants a literal
            raise ResourceError(f"Expecting '{body}' to be present")
        return (
            rule(getattr(operation, body)) if rule else (_launched(operation, running_executors), Resources())
        )
    except ResourceError as error:
        raise OperationError(f"Invalid {body.upper()} operation: {error}") from None


def _launched(operation: pb.mesos.Offer.Operation, running_executors: Collection[str]) -> Resources:
    protos = [resource for task in tasks_of(operation) for resource in task.resources]
    seen = set(running_executors)
    for executor in executors_of(operation):
        if executor.executor_id.value not in seen:
            seen.add(executor.executor_id.value)
            protos += executor.resources
    return Resources.from_proto(protos)


def _reserve(body: pb.mesos.Offer.Operation.Reserve) -> Conversion:
    reserved, source = Resources.from_proto(body.resources), Resources.from_proto(body.source)
    if not reserved:
        raise ResourceError("no resources")
    if not body.source:
        return reserved.pop_reservation(), reserved
    if source.to_unreserved() != reserved.to_unreserved():
        raise ResourceError(f"{source} cannot become {reserved}: not the same amounts")
    return source, reserved


def _unreserve(body: pb.mesos.Offer.Operation.Unreserve) -> Conversion:
    reserved = Resources.from_proto(body.resources)
    for entry in reserved:
        if not entry.facts.reservations or not entry.facts.reservations[-1].dynamic:
            raise ResourceError(f"{entry} is not dynamically reserved")
        _must_not_be_a_volume(entry)
    return reserved, reserved.pop_reservation()


def _must_not_be_a_volume(entry: Resource) -> None:
    if entry.facts.persistence_id is not None:
        raise ResourceError(f"a persistent volume must be destroyed first: {entry}")


def without_volume(volume: Resource) -> Resource:
    """Return the disk that a persistent volume was made of."""
    if volume.facts.persistence_id is None:
        raise OperationError(f"{volume} is not a persistent volume")
    proto = parse_meta(volume.meta)
    proto.disk.ClearField("persistence")
    proto.disk.ClearField("volume")
    if not proto.disk.HasField("source"):
        proto.ClearField("disk")
    proto.ClearField("shared")
    return Resource("disk", millis=volume.millis, meta=print_meta(proto))


def _create(body: pb.mesos.Offer.Operation.Create | pb.mesos.Offer.Operation.Destroy) -> Conversion:
    volumes = Resources.from_proto(body.volumes)
    return Resources(tuple(map(without_volume, volumes))), volumes


def _grow_volume(body: pb.mesos.Offer.Operation.GrowVolume) -> Conversion:
    volume, addition = Resource.from_proto(body.volume), Resource.from_proto(body.addition)
    if without_volume(volume).ident != addition.ident:
        raise ResourceError(f"{addition} cannot be added to {volume}")
    _must_be_resizable(volume)
    return Resources((volume, addition)), Resources((volume.with_millis(volume.millis + addition.millis),))


def _shrink_volume(body: pb.mesos.Offer.Operation.ShrinkVolume) -> Conversion:
    volume, less = Resource.from_proto(body.volume), to_millis(body.subtract.value)
    if not 0 < less < volume.millis:
        raise ResourceError(f"cannot take {less / MILLIS:g} from {volume}")
    _must_be_resizable(volume)
    freed = without_volume(volume).with_millis(less)
    return Resources((volume,)), Resources((volume.with_millis(volume.millis - less), freed))


def _must_be_resizable(volume: Resource) -> None:
    if volume.facts.shared:
        raise ResourceError(f"a shared volume cannot change its size: {volume}")
    if volume.facts.source_type in {"MOUNT", "BLOCK"}:
        raise ResourceError(f"a whole disk cannot change its size: {volume}")


def _create_disk(body: pb.mesos.Offer.Operation.CreateDisk) -> Conversion:
    source = Resource.from_proto(body.source)
    if source.facts.source_type != "RAW":
        raise ResourceError(f"{source} is not a RAW disk")
    if body.target_type not in {_SOURCE.MOUNT, _SOURCE.BLOCK}:
        raise ResourceError("the target is neither MOUNT nor BLOCK")
    proto = parse_meta(source.meta)
    proto.disk.source.type = body.target_type
    if body.HasField("target_profile"):
        proto.disk.source.profile = body.target_profile
    return Resources((source,)), Resources((source.with_meta(print_meta(proto)),))


def _destroy_disk(body: pb.mesos.Offer.Operation.DestroyDisk) -> Conversion:
    source = Resource.from_proto(body.source)
    if source.facts.source_type not in {"MOUNT", "BLOCK"}:
        raise ResourceError(f"{source} is neither a MOUNT nor a BLOCK disk")
    _must_not_be_a_volume(source)
    proto = parse_meta(source.meta)
    proto.disk.source.type = _SOURCE.RAW
    for name in ("id", "mount", "path", "metadata"):
        proto.disk.source.ClearField(name)
    return Resources((source,)), Resources((source.with_meta(print_meta(proto)),))


_RULES: dict[int, Callable[[Any], Conversion]] = {
    Operation.RESERVE: _reserve,
    Operation.UNRESERVE: _unreserve,
    Operation.CREATE: _create,
    Operation.DESTROY: lambda body: _create(body)[::-1],
    Operation.GROW_VOLUME: _grow_volume,
    Operation.SHRINK_VOLUME: _shrink_volume,
    Operation.CREATE_DISK: _create_disk,
    Operation.DESTROY_DISK: _destroy_disk,
}
