"""Resources and attributes as text: `cpus:4;mem:1024;ports:[31000-32000]`, `rack:r1;zone:eu`.

The grammar is Mesos's (Mesos: Attributes and Resources); resources may also be the JSON of a list of `Resource`.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from mesos_v1 import pb
from mesos_v1.content import from_json
from mesos_v1.errors import ContentError, ResourceError
from mesos_v1.resource import ANYONE, MAX_BOUND, Reservation, Resource, reserved_for

_NAME = re.compile(r"(?P<name>[^():\s]+)\s*(?:\(\s*(?P<role>[^()\s,]+)\s*\))?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_RANGE = re.compile(r"\s*([0-9]{1,20})\s*-\s*([0-9]{1,20})\s*")

Value = pb.mesos.Value


def parse_resources(text: str, role: str = ANYONE) -> list[Resource]:
    """Read resources; see `Resources.parse`."""
    if text.strip().startswith("["):
        return _from_json(text, role)
    out = []
    for part, head, value in _parts(text):
        match = _NAME.fullmatch(head)
        if match is None:
            raise ResourceError(f"{part!r}: expected name:value or name(role):value")
        if value.type == Value.TEXT:
            raise ResourceError(
                f"{part!r}: {value.text.value!r} is not an amount; expected a number, [ranges] or {{set}}"
            )
        proto = pb.mesos.Resource(name=match["name"], type=value.type, **_amount(value))
        proto.MergeFromString(reserved_for(match["role"] or role))
        out.append(Resource.from_proto(proto))
    return out


def parse_attributes(text: str) -> list[pb.mesos.Attribute]:
    """Read attributes as an agent's `--attributes` gives them; raises ResourceError if they cannot be read, and says where."""
    parts = _parts(text)
    return [pb.mesos.Attribute(name=name, type=value.type, **_amount(value)) for _, name, value in parts]


def _amount(value: pb.mesos.Value) -> dict[str, Any]:
    """The field of a value that is set, as resources and attributes have it, too."""
    return {field.name: amount for field, amount in value.ListFields() if field.name != "type"}


def parse_value(text: str) -> Value:
    """Read a number, `[1-2, 5-6]`, `{a, b}`, or else text; ResourceError if it begins like ranges or a set, and is none."""
    text = text.strip()
    if text.startswith("["):
        if not text.endswith("]"):
            raise ResourceError(f"{text!r}: ranges end with ]")
        ranges = Value.Ranges()
        for part in text[1:-1].split(",") if text[1:-1].strip() else ():
            match = _RANGE.fullmatch(part)
            if match is None:
                raise ResourceError(f"{text!r}: expected ranges such as [31000-32000, 33000-33010]")
            begin, end = int(match[1]), int(match[2])
            if max(begin, end) > MAX_BOUND:
                raise ResourceError(f"{text!r}: {part.strip()} is out of bounds; ranges have 64 bits")
            ranges.range.add(begin=begin, end=end)
        return Value(type=Value.RANGES, ranges=ranges)
    if text.startswith("{"):
        if not text.endswith("}"):
            raise ResourceError(f"{text!r}: a set ends with }}")
        items = filter(None, map(str.strip, text[1:-1].split(",")))
        return Value(type=Value.SET, set=Value.Set(item=items))
    if _NUMBER.fullmatch(text):
        return Value(type=Value.SCALAR, scalar=Value.Scalar(value=float(text)))
    return Value(type=Value.TEXT, text=Value.Text(value=text))


def _parts(text: str) -> Iterator[tuple[str, str, Value]]:
    """Yield each part of a text, its name and its value."""
    for part in filter(None, map(str.strip, re.split(r"[;\n]", text))):
        name, _, value = map(str.strip, part.partition(":"))
        if not name or not value:
            raise ResourceError(f"{part!r}: expected name:value")
        yield part, name, parse_value(value)


def _from_json(text: str, role: str) -> list[Resource]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ResourceError(f"not the JSON of a list of resources: {error}") from None
    out = []
    for index, value in enumerate(values):
        try:
            proto = from_json(pb.mesos.Resource, value)
        except ContentError as error:
            raise ResourceError(f"resource {index}: {error}") from None
        if role != ANYONE and not proto.reservations and not proto.HasField("role"):
            proto.reservations.append(Reservation(role, dynamic=False).to_proto())
        out.append(Resource.from_proto(proto))
    return out
