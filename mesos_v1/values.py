"""The API's things as immutable values: ids, offers, statuses. What crosses an actor's border is made of these.

An absent optional field is `None` (or empty, for text, bytes and tuples). The larger ones keep the protobuf bytes that
they were read from (`raw`), so that a field that is not here can still be read.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NewType

from mesos_v1 import pb, ranges
from mesos_v1._reading import Labels, labels_of, optional_id, text
from mesos_v1.resources import Resources
from mesos_v1.states import OperationState, TaskState

_AS_SIZE = {"redact": lambda raw: b"(%d bytes)" % len(raw)}
"""What traces show of `raw`: it holds once more what stands beside it, and what is not to be shown with it."""

FrameworkId = NewType("FrameworkId", str)
OfferId = NewType("OfferId", str)
AgentId = NewType("AgentId", str)
TaskId = NewType("TaskId", str)
ExecutorId = NewType("ExecutorId", str)
ContainerId = NewType("ContainerId", str)
OperationId = NewType("OperationId", str)

NANOS = 1_000_000_000
_SOURCES = {number: name for name, number in pb.mesos.TaskStatus.Source.items()}
_REASONS = {number: name for name, number in pb.mesos.TaskStatus.Reason.items()}
_TASK_STATES = {number: TaskState(name) for name, number in pb.mesos.TaskState.items()}
_OPERATION_STATES = {number: OperationState(name) for name, number in pb.mesos.OperationState.items()}
_CAPABILITIES = {number: name for name, number in pb.mesos.MasterInfo.Capability.Type.items()}
_VALUE_TYPES = {number: name for name, number in pb.mesos.Value.Type.items()}


def duration_proto(seconds: float | None) -> pb.mesos.DurationInfo | None:
    """Return a duration as the API writes it; None for none."""
    return None if seconds is None else pb.mesos.DurationInfo(nanoseconds=round(seconds * NANOS))


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of an agent, such as `rack:r1`; its type (TEXT, SCALAR, RANGES, SET) says which field holds the value."""

    name: str
    type: str = "TEXT"
    text: str = ""
    scalar: float = 0.0
    ranges: tuple[tuple[int, int], ...] = ()
    items: tuple[str, ...] = ()

    @classmethod
    def from_proto(cls, proto: pb.mesos.Attribute) -> "Attribute":
        """Read an attribute."""
        return cls._read(proto.SerializePartialToString())

    @staticmethod
    @lru_cache(1024)  # few are different, and each offer has some
    def _read(wire: bytes) -> "Attribute":
        proto = pb.mesos.Attribute.FromString(wire)
        return Attribute(
            name=text(proto.name),
            type=_VALUE_TYPES[proto.type],
            text=text(proto.text.value),
            scalar=proto.scalar.value,
            ranges=tuple((each.begin, each.end) for each in proto.ranges.range),
            items=tuple(map(text, proto.set.item)),
        )

    @property
    def value(self) -> str:
        """The value as text, as Mesos prints it."""
        if self.type == "SCALAR":
            return f"{self.scalar:.3f}".rstrip("0").rstrip(".")
        if self.type == "RANGES":
            return ranges.text(self.ranges)
        if self.type == "SET":
            return "{" + ", ".join(self.items) + "}"
        return self.text

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


@dataclass(frozen=True, slots=True)
class Unavailability:
    """When an agent is to be down: from a Unix time on, for so many seconds, or None for no end that is known."""

    start: float
    duration: float | None = None

    @classmethod
    def from_proto(cls, proto: pb.mesos.Unavailability) -> "Unavailability":
        """Read an unavailability."""
        duration = proto.duration.nanoseconds / NANOS if proto.HasField("duration") else None
        return cls(proto.start.nanoseconds / NANOS, duration)


@dataclass(frozen=True, slots=True)
class Domain:
    """Where an agent or master stands: a region, and a zone in it."""

    region: str
    zone: str

    @classmethod
    def from_proto(cls, proto: pb.mesos.DomainInfo) -> "Domain | None":
        """Read a domain; None when it names no fault domain."""
        if not proto.HasField("fault_domain"):
            return None
        return cls(text(proto.fault_domain.region.name), text(proto.fault_domain.zone.name))


@dataclass(frozen=True, slots=True)
class MasterInfo:
    """The master that a scheduler is subscribed with, and where its HTTP endpoints are; what it does not say is empty."""

    id: str
    hostname: str
    port: int
    version: str
    pid: str
    domain: Domain | None = None
    capabilities: tuple[str, ...] = ()

    @classmethod
    def from_proto(cls, proto: pb.mesos.MasterInfo) -> "MasterInfo":
        """Read what a master says of itself."""
        address = proto.address
        return cls(
            id=text(proto.id),
            hostname=text(proto.hostname or address.hostname or address.ip),
            port=address.port if proto.HasField("address") else proto.port,
            version=text(proto.version),
            pid=text(proto.pid),
            domain=Domain.from_proto(proto.domain) if proto.HasField("domain") else None,
            capabilities=tuple(_CAPABILITIES[each.type] for each in proto.capabilities),
        )


@dataclass(frozen=True, slots=True)
class Offer:
    """Resources of one agent that the framework may use now, or decline."""

    id: OfferId
    framework_id: FrameworkId
    agent_id: AgentId
    hostname: str
    resources: Resources
    role: str = "*"  # the role that the resources are allocated to; `*` for a framework without roles
    attributes: tuple[Attribute, ...] = ()
    executor_ids: tuple[ExecutorId, ...] = ()  # the framework's executors that run on the agent already
    unavailability: Unavailability | None = None  # set when maintenance of the agent is scheduled
    url: str = ""  # where the agent answers, such as `http://10.0.0.7:5051/slave(1)`, if it says so
    domain: Domain | None = None
    raw: bytes = field(default=b"", metadata=_AS_SIZE)

    @classmethod
    def from_proto(cls, proto: pb.mesos.Offer) -> "Offer":
        """Read an offer; raises ResourceError if one of its resources is not valid."""
        has = proto.HasField
        return cls(
            text(proto.id.value),
            text(proto.framework_id.value),
            text(proto.agent_id.value),
            text(proto.hostname),
            Resources.from_proto(proto.resources),
            text(proto.allocation_info.role) if has("allocation_info") else "*",
            tuple([Attribute.from_proto(each) for each in proto.attributes]),
            tuple([text(each.value) for each in proto.executor_ids]),
            Unavailability.from_proto(proto.unavailability) if has("unavailability") else None,
            _print_url(proto.url) if has("url") else "",
            Domain.from_proto(proto.domain) if has("domain") else None,
            proto.SerializePartialToString(),
        )

    def attribute(self, name: str) -> str | None:
        """Return the text of the first attribute of that name, None if there is none."""
        return next((each.value for each in self.attributes if each.name == name), None)


@dataclass(frozen=True, slots=True)
class InverseOffer:
    """A request of the master to free resources (none: all) of an agent (None: of any) before it goes down."""

    id: OfferId
    framework_id: FrameworkId
    agent_id: AgentId | None
    unavailability: Unavailability
    resources: Resources = Resources()  # noqa: RUF009  # immutable
    url: str = ""
    raw: bytes = field(default=b"", metadata=_AS_SIZE)

    @classmethod
    def from_proto(cls, proto: pb.mesos.InverseOffer) -> "InverseOffer":
        """Read an inverse offer."""
        return cls(
            id=text(proto.id.value),
            framework_id=text(proto.framework_id.value),
            agent_id=optional_id(proto, "agent_id"),
            unavailability=Unavailability.from_proto(proto.unavailability),
            resources=Resources.from_proto(proto.resources),
            url=_print_url(proto.url) if proto.HasField("url") else "",
            raw=proto.SerializePartialToString(),
        )


@dataclass(frozen=True, slots=True)
class CheckStatus:
    """What the latest check (COMMAND, HTTP or TCP) of a task found; nothing yet when all fields are None."""

    type: str
    exit_code: int | None = None
    http_status: int | None = None
    tcp_succeeded: bool | None = None

    @classmethod
    def from_proto(cls, proto: pb.mesos.CheckStatusInfo) -> "CheckStatus":
        """Read a check's status."""
        return cls(
            type=pb.mesos.CheckInfo.Type.Name(proto.type),
            exit_code=proto.command.exit_code if proto.command.HasField("exit_code") else None,
            http_status=proto.http.status_code if proto.http.HasField("status_code") else None,
            tcp_succeeded=proto.tcp.succeeded if proto.tcp.HasField("succeeded") else None,
        )


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """What is known of a task at one moment."""

    task_id: TaskId
    state: TaskState
    message: str = ""
    source: str = ""  # SOURCE_MASTER, SOURCE_AGENT, SOURCE_EXECUTOR, or empty
    reason: str = ""  # such as REASON_CONTAINER_LIMITATION_MEMORY, or empty
    data: bytes = b""  # whatever the executor put there
    agent_id: AgentId | None = None
    executor_id: ExecutorId | None = None
    timestamp: float = 0.0  # unix time in seconds; 0 when there is none
    uuid: bytes = b""  # set when the status must be acknowledged, with exactly these bytes
    healthy: bool | None = None  # the latest health check; None when there was none
    labels: Labels = ()
    check_status: CheckStatus | None = None
    unreachable_time: float | None = None  # unix time since when the agent cannot be reached
    limitation: Resources | None = None  # the resources whose limit the task broke
    container_ids: tuple[ContainerId, ...] = ()  # its container, then the containers that one is nested in
    ip_addresses: tuple[str, ...] = ()
    raw: bytes = field(default=b"", metadata=_AS_SIZE)

    @classmethod
    def from_proto(cls, proto: pb.mesos.TaskStatus) -> "TaskStatus":
        """Read a status; raises ResourceError if a resource of its limitation is not valid."""
        has = proto.HasField
        container = proto.container_status if has("container_status") else None
        return cls(
            text(proto.task_id.value),
            # a state from the future is an unknown field to protobuf, and the field itself is not set
            _TASK_STATES[proto.state] if has("state") else TaskState.TASK_UNKNOWN,
            text(proto.message),
            _SOURCES[proto.source] if has("source") else "",
            _REASONS[proto.reason] if has("reason") else "",
            proto.data,
            text(proto.agent_id.value) if has("agent_id") else None,
            text(proto.executor_id.value) if has("executor_id") else None,
            proto.timestamp,
            proto.uuid,
            proto.healthy if has("healthy") else None,
            labels_of(proto.labels) if has("labels") else (),
            CheckStatus.from_proto(proto.check_status) if has("check_status") else None,
            proto.unreachable_time.nanoseconds / NANOS if has("unreachable_time") else None,
            Resources.from_proto(proto.limitation.resources) if has("limitation") else None,
            _containers_of(container) if container else (),
            _addresses_of(container) if container else (),
            proto.SerializePartialToString(),
        )

    @property
    def must_be_acknowledged(self) -> bool:
        """Whether the agent sends it again until it is acknowledged."""
        return bool(self.uuid) and self.agent_id is not None

    def label(self, key: str) -> str | None:
        """Return the value of the first label with that key, None if there is none."""
        return next((value for each, value in self.labels if each == key), None)


@dataclass(frozen=True, slots=True)
class OperationStatus:
    """What is known of an offer operation at one moment."""

    operation_id: OperationId | None  # as the framework chose it, if it did
    state: OperationState
    message: str = ""
    converted_resources: Resources = Resources()  # noqa: RUF009  # immutable; what the operation made
    uuid: bytes = b""  # set when the status must be acknowledged, with exactly these bytes
    agent_id: AgentId | None = None
    resource_provider_id: str | None = None  # set when a resource provider did it, not the agent
    raw: bytes = field(default=b"", metadata=_AS_SIZE)

    @classmethod
    def from_proto(cls, proto: pb.mesos.OperationStatus) -> "OperationStatus":
        """Read an operation's status."""
        return cls(
            operation_id=optional_id(proto, "operation_id"),
            state=_OPERATION_STATES[proto.state]
            if proto.HasField("state")
            else OperationState.OPERATION_UNSUPPORTED,
            message=text(proto.message),
            converted_resources=Resources.from_proto(proto.converted_resources),
            uuid=proto.uuid.value,
            agent_id=optional_id(proto, "agent_id"),
            resource_provider_id=optional_id(proto, "resource_provider_id"),
            raw=proto.SerializePartialToString(),
        )

    @property
    def must_be_acknowledged(self) -> bool:
        """Whether it is sent again until it is acknowledged."""
        return bool(self.uuid)


def _print_url(url: pb.mesos.URL) -> str:
    """Return a URL of the API as text."""
    host = text(url.address.hostname or url.address.ip)
    printed = f"{text(url.scheme)}://{host}:{url.address.port}{text(url.path)}"
    if url.query:
        printed += "?" + "&".join(f"{text(each.key)}={text(each.value)}" for each in url.query)
    return printed + (f"#{text(url.fragment)}" if url.HasField("fragment") else "")


def _containers_of(status: pb.mesos.ContainerStatus) -> tuple[ContainerId, ...]:
    """Return a container's id, then those of the containers it is nested in."""
    ids: list[ContainerId] = []
    holder: Any = status
    field = "container_id"
    while holder.HasField(field):
        holder, field = getattr(holder, field), "parent"
        ids.append(text(holder.value))
    return tuple(ids)


def _addresses_of(status: pb.mesos.ContainerStatus) -> tuple[str, ...]:
    found = [address.ip_address for info in status.network_infos for address in info.ip_addresses]
    return tuple([text(each) for each in found if each])
