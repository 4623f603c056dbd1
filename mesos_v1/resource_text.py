"""Resources and attributes as text: `cpus:4;mem:1024;ports:[31000-32000]`, `rack:r1;zone:eu`.

The grammar is Mesos's (Mesos: Attributes and Resources); resources may also be the JSON of a list of `Resource`.
"""

import json
import re

from mesos_v1 import pb
from mesos_v1.content import from_json
from mesos_v1.errors import ContentError, ResourceError
from mesos_v1.resource import Kind, Resource, to_millis
from mesos_v1.resource_meta import Reservation, reserved_for

_NAME = re.compile(r"(?P<name>[^():\s]+)\s*(?:\(\s*(?P<role>[^()\s,]+)\s*\))?")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_RANGE = re.compile(r"\s*([0-9]{1,20})\s*-\s*([0-9]{1,20})\s*")

Value = pb.mesos.Value


def parse_resources(text: str, role: str = "*") -> list[Resource]:
    """Read resources; see `Resources.parse`."""
    text = text.strip()
    if text.startswith("["):
        return _from_json(text, role)
    out = []
    for part in _parts(text):
        head, value = _split(part)
        match = _NAME.fullmatch(head)
        if match is None:
            raise ResourceError(f"{part!r}: expected name:value or name(role):value")
        amount = parse_value(value)
        if amount.type == Value.TEXT:
            raise ResourceError(
                f"{part!r}: {amount.text.value!r} is not an amount; expected a number, [ranges] or {{set}}"
            )
        out.append(
            Resource(
                match["name"],
                Kind(Value.Type.Name(amount.type)),
                to_millis(amount.scalar.value) if amount.type == Value.SCALAR else 0,
                tuple((each.begin, each.end) for each in amount.ranges.range),
                tuple(amount.set.item),
                reserved_for(match["role"] or role),
            )
        )
    return out


_MAX_BOUND = 2**64 - 1  # Value.Range.begin and end are uint64


def parse_attributes(text: str) -> list[pb.mesos.Attribute]:
    """Read attributes as an agent's `--attributes` gives them.

    Raises:
        ResourceError: It cannot be read; says where.
    """
    out = []
    for part in _parts(text):
        name, written = _split(part)
        value = parse_value(written)
        field = Value.Type.Name(value.type).lower()
        out.append(pb.mesos.Attribute(name=name, type=value.type, **{field: getattr(value, field)}))
    return out


def parse_value(text: str) -> Value:
    """Read one value: a number, `[1-2, 5-6]`, `{a, b}`, or else text.

    Raises:
        ResourceError: It begins like ranges or a set, and is not one.
    """
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
            if max(begin, end) > _MAX_BOUND:
                raise ResourceError(f"{text!r}: {part.strip()} is out of bounds; ranges have 64 bits")
            ranges.range.add(begin=begin, end=end)
        return Value(type=Value.RANGES, ranges=ranges)
    if text.startswith("{"):
        if not text.endswith("}"):
            raise ResourceError(f"{text!r}: a set ends with }}")
        items = [item.strip() for item in text[1:-1].split(",") if item.strip()]
        return Value(type=Value.SET, set=Value.Set(item=items))
    if _NUMBER.fullmatch(text):
        return Value(type=Value.SCALAR, scalar=Value.Scalar(value=float(text)))
    return Value(type=Value.TEXT, text=Value.Text(value=text))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"[;\n]", text) if part.strip()]


def _split(part: str) -> tuple[str, str]:
    name, colon, value = part.partition(":")
    if not colon or not name.strip() or not value.strip():
        raise ResourceError(f"{part!r}: expected name:value")
    return name.strip(), value.strip()


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
        if role != "*" and not proto.reservations and not proto.HasField("role"):
            proto.reservations.append(Reservation(role, dynamic=False).to_proto())
        out.append(Resource.from_proto(proto))
    return out
