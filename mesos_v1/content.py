"""The two content types of the API: protobuf, and JSON as Mesos prints and reads it.

Mesos's JSON is its own dialect, not protobuf's: names in snake_case, enums by name, bytes in base64, 64-bit integers as
numbers, fields in the order of their declaration, and a field with a default is printed even where it is not set (unless it
is deprecated). Reading is lenient where Mesos is: unknown fields are ignored, `null` is no value, and an enum value that
this version does not know leaves its field unset, so that a newer Mesos does not break a stream.

How it works: for each message type a plan of its fields is made once, then messages are walked by plan.
"""

import base64
import binascii
import json
import re
from enum import Enum
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, EncodeError, Message

from mesos_v1._json_plan import Field, Kind, plan_of
from mesos_v1._texts import clean, keys_of, text
from mesos_v1.errors import ContentError

__all__ = ["ContentError", "ContentType", "from_json", "parse", "serialize", "to_json"]

M = TypeVar("M", bound=Message)


class ContentType(Enum):
    """How messages are written on the wire; the value is the media type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def serialize(message: Message, content_type: ContentType) -> bytes:
    """Return the body for `message`.

    Raises:
        ContentError: A required field is missing; names it.
    """
    if content_type is ContentType.PROTOBUF:
        try:
            return message.SerializeToString()
        except EncodeError:
            raise ContentError(_missing_required(message)) from None
    if not message.IsInitialized():
        raise ContentError(_missing_required(message))
    return json.dumps(to_json(message), separators=(",", ":"), ensure_ascii=False).encode()


def parse(cls: type[M], data: bytes, content_type: ContentType, *, clean_text: bool = True) -> M:
    """Read a body or record as a message of type `cls`; text in it that is not UTF-8 is replaced.

    Args:
        clean_text: False leaves such text to whoever reads the fields, which is faster (`events.parse` does so).

    Raises:
        ContentError: The data is not such a message; says what is wrong, and where.
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
    plan = plan_of(type(message))
    if not plan.has_defaults and len(values) == 1:
        ((name, value),) = values.items()
        return {name: _printed(plan.by_name[name], value)}
    out: dict[str, Any] = {}
    for field in plan.in_order:
        if field.name in values:
            out[field.name] = _printed(field, values[field.name])
        elif field.prints_default:
            out[field.name] = [] if field.repeated else field.default
    return out


def from_json(cls: type[M], value: Any) -> M:
    """Build a message of type `cls` from plain values, as Mesos would read them.

    Raises:
        ContentError: A value does not fit its field, or a required field is missing.
    """
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


# -- printing --------------------------------------------------------------------------------------------------------


def _printed(field: Field, value: Any) -> Any:
    kind = field.kind
    if field.repeated:
        if kind is Kind.MESSAGE:
            return [to_json(item) for item in value]
        if kind is Kind.MAP:
            return _printed_map(field, value)
        return [_printed_one(field, item) for item in value]
    if kind is Kind.MESSAGE:
        return to_json(value)
    return _printed_one(field, value)


def _printed_one(field: Field, value: Any) -> Any:
    if field.kind is Kind.ENUM:
        return field.enum_names.get(value, value)
    if field.kind is Kind.BYTES:
        return base64.b64encode(value).decode("ascii")
    return text(value)


def _printed_map(field: Field, value: Any) -> dict[str, Any]:
    item = field.item
    assert item is not None
    keys = keys_of(field.name, value)
    if item.kind is Kind.MESSAGE:
        return {key: to_json(value[key]) for key in keys}
    return {key: _printed_one(item, value[key]) for key in keys}


# -- reading ---------------------------------------------------------------------------------------------------------


def _fill(message: Message, values: dict[str, Any], where: str) -> None:
    fields = plan_of(type(message)).by_name
    for name, value in values.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        if field.repeated:
            if field.kind is Kind.MAP:
                _fill_map(message, field, value, where)
            else:
                _fill_repeated(message, field, value, where)
        elif field.kind is Kind.MESSAGE:
            if not isinstance(value, dict):
                raise _unexpected(field, value, where)
            inner = getattr(message, name)
            inner.SetInParent()
            if value:
                _fill(inner, value, f"{where}{name}.")
        else:
            read = _read_one(field, value, where)
            if read is not None:
                _assign(message, field, read, where)


def _assign(message: Message, field: Field, value: Any, where: str) -> None:
    try:
        setattr(message, field.name, value)
    except (ValueError, TypeError) as error:  # out of the range of the field's type, or a lone surrogate
        raise ContentError(f"{value!r:.80} does not fit ({error})", where + field.name) from None


def _fill_repeated(message: Message, field: Field, value: Any, where: str) -> None:
    if not isinstance(value, list):
        raise _unexpected(field, value, where)
    container = getattr(message, field.name)
    for index, item in enumerate(value):
        if field.kind is Kind.MESSAGE:
            if not isinstance(item, dict):
                raise _unexpected(field, item, where)
            _fill(container.add(), item, f"{where}{field.name}[{index}].")
            continue
        read = _read_one(field, item, where)
        if read is not None:
            try:
                container.append(read)
            except (ValueError, TypeError) as error:
                raise ContentError(
                    f"{item!r:.80} does not fit ({error})", f"{where}{field.name}[{index}]"
                ) from None


def _fill_map(message: Message, field: Field, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise _unexpected(field, value, where)
    item = field.item
    assert item is not None
    container = getattr(message, field.name)
    for key, element in value.items():
        here = f"{where}{field.name}[{key}]"
        try:
            if item.kind is Kind.MESSAGE:
                if not isinstance(element, dict):
                    raise _unexpected(field, element, where)
                _fill(container[key], element, here + ".")
            else:
                container[key] = _read_one(item, element, here + ".")
        except (ValueError, TypeError) as error:
            raise ContentError(f"{element!r:.80} does not fit ({error})", here) from None


def _read_one(field: Field, value: Any, where: str) -> Any:
    """Return the value for a scalar field, or None when it is an enum value nobody here knows."""
    kind = field.kind
    found = type(value)
    if kind is Kind.STRING:
        if found is str:
            return value
    elif kind is Kind.NUMBER:
        if found is float or found is int:
            return value
    elif kind is Kind.INTEGER:
        if found is int:
            return value
        if found is float and value.is_integer():
            return int(value)
        if found is str and _INTEGER.fullmatch(value):
            return int(value)
    elif kind is Kind.BOOLEAN:
        if found is bool:
            return value
    elif kind is Kind.ENUM:
        if found is str:
            return field.enum_numbers.get(value)
        if found is int:
            return value if value in field.enum_names else None
    elif found is str:  # Kind.BYTES
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ContentError("not base64", where + field.name) from None
    raise _unexpected(field, value, where)


_INTEGER = re.compile(r"-?[0-9]{1,20}")


def _unexpected(field: Field, value: Any, where: str) -> ContentError:
    return ContentError(
        f"Not expecting a JSON {_kind_of(value)} for field '{field.name}'", where + field.name
    )


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "null"
