"""For each message type, what the JSON of `content` needs to know of its fields; made once, when first used."""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


class Kind(Enum):
    """How a field looks in JSON."""

    STRING = auto()
    BYTES = auto()
    NUMBER = auto()
    INTEGER = auto()
    BOOLEAN = auto()
    ENUM = auto()
    MESSAGE = auto()
    MAP = auto()


_KINDS = {
    FieldDescriptor.TYPE_STRING: Kind.STRING,
    FieldDescriptor.TYPE_BYTES: Kind.BYTES,
    FieldDescriptor.TYPE_DOUBLE: Kind.NUMBER,
    FieldDescriptor.TYPE_FLOAT: Kind.NUMBER,
    FieldDescriptor.TYPE_BOOL: Kind.BOOLEAN,
    FieldDescriptor.TYPE_ENUM: Kind.ENUM,
    FieldDescriptor.TYPE_MESSAGE: Kind.MESSAGE,
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message, as JSON sees it.

    Attributes:
        prints_default: Printed even when it is not set: it has a default and is not deprecated, as in Mesos.
        default: That default, as printed; of a list that is always printed, an empty one.
        item: For a map, its values.
    """

    name: str
    kind: Kind
    repeated: bool
    prints_default: bool = False
    default: Any = None
    enum_names: dict[int, str] = field(default_factory=dict)
    enum_numbers: dict[str, int] = field(default_factory=dict)
    item: "Field | None" = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The fields of a message type, in the order of their declaration and by name."""

    in_order: tuple[Field, ...]
    by_name: dict[str, Field]
    has_defaults: bool


SNAPSHOTS = frozenset(
    f"mesos.v1.{side}.Response.{name}"
    for side in ("master", "agent")
    for name in ("GetTasks", "GetExecutors", "GetFrameworks", "GetAgents")
)
"""Messages whose lists Mesos prints even when they are empty: it writes their JSON from its state, not from protobuf."""

_plans: dict[type[Message], Plan] = {}  # never more than there are message types


def plan_of(cls: type[Message]) -> Plan:
    """Return the plan of a message type."""
    plan = _plans.get(cls)
    if plan is None:
        lists = cls.DESCRIPTOR.full_name in SNAPSHOTS
        fields = tuple(_field(cast("FieldDescriptor", each), lists) for each in cls.DESCRIPTOR.fields)
        by_name = {each.name: each for each in fields}
        plan = Plan(fields, by_name, any(each.prints_default for each in fields))
        _plans[cls] = plan
    return plan


def _field(descriptor: FieldDescriptor, lists: bool = False) -> Field:
    """Make the plan of one field.

    Args:
        lists: Whether the message is one whose lists are printed even when they are empty.
    """
    kind = _KINDS.get(descriptor.type, Kind.INTEGER)
    repeated = descriptor.is_repeated
    inner = descriptor.message_type
    if inner is not None and repeated and inner.GetOptions().map_entry:
        item = _field(inner.fields_by_name["value"])
        return Field(descriptor.name, Kind.MAP, repeated=True, item=item)
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    default: Any = () if repeated else descriptor.default_value
    if descriptor.enum_type is not None:
        names = {value.number: value.name for value in descriptor.enum_type.values}
        numbers = {value.name: value.number for value in descriptor.enum_type.values}
        if not repeated:
            default = names[default]
    return Field(
        name=descriptor.name,
        kind=kind,
        repeated=repeated,
        prints_default=(lists if repeated else descriptor.has_default_value)
        and not descriptor.GetOptions().deprecated,
        default=default,
        enum_names=names,
        enum_numbers=numbers,
    )
