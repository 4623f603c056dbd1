"""The two content types of the API: protobuf, and JSON as Mesos prints and reads it.

Mesos's JSON is its own dialect, not protobuf's: names in snake_case, enums by name, bytes in base64, 64-bit integers as
numbers, fields in the order of their declaration, and a field with a default is printed even where it is not set (unless it
is deprecated). Reading is lenient where Mesos is: unknown fields are ignored, `null` is no value, and an enum value that
this version does not know leaves its field unset, so that a newer Mesos does not break a stream.
For each message type a plan of its fields is made once, and messages are walked by plan.
"""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, EncodeError, Message

from mesos_v1._reading import clean, keys_of, text
from mesos_v1.errors import ContentError

__all__ = ["ContentError", "ContentType", "from_json", "parse", "serialize", "to_json"]

M = TypeVar("M", bound=Message)
T = TypeVar("T")


class ContentType(Enum):
    """How messages are written on the wire; the value is the media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def serialize(message: Message, content_type: ContentType) -> bytes:
    """Return the body for `message`; raises ContentError if required fields are missing, and names them."""
    if content_type is ContentType.PROTOBUF:
        try:
            return message.SerializeToString()
        except EncodeError:
            raise ContentError(_missing_required(message)) from None
    if not message.IsInitialized():
        raise ContentError(_missing_required(message))
    return json.dumps(to_json(message), separators=(",", ":"), ensure_ascii=False).encode()


def parse(cls: type[M], data: bytes, content_type: ContentType, *, clean_text: bool = True) -> M:
    """Read a body or record as a message of type `cls`; raises ContentError if it is none, and says what is wrong, and where.

    Text that is not UTF-8 is replaced, unless `clean_text` is False: that leaves it to the code that reads the fields, which is
    faster (`events.parse` does so).
    """
    if content_type is ContentType.PROTOBUF:
        message = cls()
        try:
            message.ParseFromString(data)
        except DecodeError:
            raise ContentError(f"not the protobuf of a {cls.DESCRIPTOR.name} ({len(data)} bytes)") from None
        if not message.IsInitialized():
            raise ContentError(_missing_required(message))
        if clean_text and not data.isascii():
            clean(message)
        return message
    try:
        value = json.loads(data)
    except RecursionError:
        raise ContentError("the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        near = error.doc[error.pos : error.pos + 20]
        raise ContentError(f"syntax error at line {error.lineno} near: {near}") from None
    except ValueError as error:  # not UTF-8, or a number of thousands of digits
        raise ContentError(f"not JSON: {error}") from None
    return from_json(cls, value)


def to_json(message: Message) -> dict[str, Any]:
    """Return `message` as plain values, as Mesos would print it (see the head of this module)."""
    values = {descriptor.name: value for descriptor, value in message.ListFields()}
    plan = _plan_of(type(message))
    if not plan.has_defaults and len(values) == 1:
        ((name, value),) = values.items()
        return {name: _shown(plan.by_name[name], value)}
    out: dict[str, Any] = {}
    for name, field in plan.by_name.items():
        if name in values:
            out[name] = _shown(field, values[name])
        elif field.default is not None:
            out[name] = [] if field.repeated else field.default
    return out


def _shown(field: "_Field", value: Any) -> Any:
    if field.entry is not None:
        return {key: field.entry.show(value[key]) for key in keys_of(field.name, value)}
    return [field.show(item) for item in value] if field.repeated else field.show(value)


def from_json(cls: type[M], value: Any) -> M:
    """Build a message from plain values, as Mesos would read them; raises ContentError if one does not fit its field."""
    message = cls()
    if not isinstance(value, dict):
        raise ContentError(f"expected a JSON object, found {_kind_of(value)}")
    try:
        _fill(message, value, "")
    except RecursionError:
        raise ContentError("the JSON is nested too deeply") from None
    if not message.IsInitialized():
        raise ContentError(_missing_required(message))
    return message


def _missing_required(message: Message) -> str:
    missing: list[str] = message.FindInitializationErrors()  # type: ignore[attr-defined]  # the stubs lack it
    return "Missing required fields: " + ", ".join(missing)


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a message, as JSON sees it."""

    name: str
    show: Callable[[Any], Any]  # makes JSON of one value
    # makes one value of JSON (`_BAD`: it cannot be one; None: a value of an enum, unknown here); None for a message
    read: Callable[[Any], Any] | None
    repeated: bool
    entry: "_Field | None" = None  # for a map, its values
    default: Any = None  # printed when it is not set: as in Mesos, a default that is not deprecated


class _Plan(NamedTuple):
    """The fields of a message type, in the order of their declaration."""

    by_name: dict[str, _Field]
    has_defaults: bool


SNAPSHOTS = frozenset(
    f"mesos.v1.{side}.Response.{name}"
    for side in ("master", "agent")
    for name in ("GetTasks", "GetExecutors", "GetFrameworks", "GetAgents")
)
"""Messages whose lists Mesos prints even when they are empty: it writes their JSON from its state, not from protobuf."""


_plans: dict[type[Message], _Plan] = {}  # never more than there are message types


def _plan_of(cls: type[Message]) -> _Plan:
    plan = _plans.get(cls)
    if plan is not None:
        return plan
    lists = cls.DESCRIPTOR.full_name in SNAPSHOTS
    by_name = {each.name: _field(cast("FieldDescriptor", each), lists) for each in cls.DESCRIPTOR.fields}
    plan = _plans[cls] = _Plan(by_name, any(each.default is not None for each in by_name.values()))
    return plan


def _field(descriptor: FieldDescriptor, lists: bool = False) -> _Field:
    """Make the plan of one field, of a message whose `lists` are printed even when they are empty, or not."""
    repeated, inner = descriptor.is_repeated, descriptor.message_type
    if inner is not None and repeated and inner.GetOptions().map_entry:
        entry = _field(inner.fields_by_name["value"])
        return _Field(descriptor.name, to_json, None, repeated=True, entry=entry)
    default: Any = [] if repeated else descriptor.default_value
    show: Callable[[Any], Any]
    read: Callable[[Any], Any] | None
    if inner is not None:
        show, read = to_json, None
    elif descriptor.enum_type is not None:
        names = {value.number: value.name for value in descriptor.enum_type.values}
        show, read = _enum(names)
        default = default if repeated else names[default]
    else:
        show, read = _SCALARS.get(descriptor.type, (text, _integer))
    prints = lists if repeated else descriptor.has_default_value
    if not prints or descriptor.GetOptions().deprecated:
        default = None
    return _Field(descriptor.name, show, read, repeated, default=default)


_BAD = object()
_INTEGER = re.compile(r"-?[0-9]{1,20}")


def _integer(value: Any) -> Any:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    return int(value) if type(value) is str and _INTEGER.fullmatch(value) else _BAD


def _enum(names: dict[int, str]) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    numbers = {name: number for number, name in names.items()}

    def read(value: Any) -> Any:
        if type(value) is str:
            return numbers.get(value)
        if type(value) is int:
            return value if value in names else None
        return _BAD

    return lambda value: names.get(value, value), read


def _of_type(*kinds: type) -> Callable[[Any], Any]:
    return lambda value: value if type(value) in kinds else _BAD


_NUMBER = (text, _of_type(float, int))
_SCALARS: dict[int, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    FieldDescriptor.TYPE_STRING: (text, _of_type(str)),
    FieldDescriptor.TYPE_BOOL: (text, _of_type(bool)),
    FieldDescriptor.TYPE_DOUBLE: _NUMBER,
    FieldDescriptor.TYPE_FLOAT: _NUMBER,
    FieldDescriptor.TYPE_BYTES: (
        lambda value: base64.b64encode(value).decode("ascii"),
        lambda value: base64.b64decode(value, validate=True) if type(value) is str else _BAD,
    ),
}


def _fill(message: Message, values: dict[str, Any], where: str) -> None:
    fields = _plan_of(type(message)).by_name
    for name, value in values.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        here, item = where + name, value
        try:
            if field.entry is not None:
                entries = getattr(message, name)
                for key, item in _expect(dict, value, field, where).items():
                    here = f"{where}{name}[{key}]"
                    if field.entry.read is None:
                        _fill(entries[key], _expect(dict, item, field, where), here + ".")
                    else:
                        entries[key] = _read_one(field.entry, item, here + ".")
            elif field.repeated:
                items = getattr(message, name)
                for index, item in enumerate(_expect(list, value, field, where)):
                    here = f"{where}{name}[{index}]"
                    if field.read is None:
                        _fill(items.add(), _expect(dict, item, field, where), here + ".")
                    elif (read := _read_one(field, item, where)) is not None:
                        items.append(read)
            elif field.read is None:
                inner = getattr(message, name)
                inner.SetInParent()
                _fill(inner, _expect(dict, value, field, where), here + ".")
            elif (read := _read_one(field, value, where)) is not None:
                setattr(message, name, read)
        except (ValueError, TypeError) as error:  # out of the range of the field's type, or a lone surrogate
            raise ContentError(f"{item!r:.80} does not fit ({error})", here) from None


def _read_one(field: _Field, value: Any, where: str) -> Any:
    assert field.read is not None
    try:
        read = field.read(value)
    except ValueError:
        raise ContentError("not base64", where + field.name) from None
    if read is _BAD:
        raise _unexpected(value, field, where)
    return read


def _expect(kind: type[T], value: Any, field: _Field, where: str) -> T:
    if not isinstance(value, kind):
        raise _unexpected(value, field, where)
    return value


def _unexpected(value: Any, field: _Field, where: str) -> ContentError:
    return ContentError(
        f"Not expecting a JSON {_kind_of(value)} for field '{field.name}'", where + field.name
    )


def _kind_of(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return kinds.get(type(value), "null")
