"""What master and agents print alike in the JSON of `/state` and its like: resources, attributes, what an agent can do."""

from collections.abc import Iterable
from typing import Any, Final

from mesos_v1 import pb
from mesos_v1.resource import Kind
from mesos_v1.resources import Resources

AGENT_CAPABILITIES: Final = (
    "MULTI_ROLE",
    "HIERARCHICAL_ROLE",
    "RESERVATION_REFINEMENT",
    "RESOURCE_PROVIDER",
    "RESIZE_VOLUME",
    "AGENT_OPERATION_FEEDBACK",
    "AGENT_DRAINING",
    "TASK_RESOURCE_LIMITS",
)


def amounts(resources: Resources) -> dict[str, Any]:
    """Resources by name: scalars as numbers (the four usual ones always), ranges and sets as text."""
    result: dict[str, Any] = {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.0, **resources.scalars()}
    for entry in resources:
        if entry.kind is Kind.RANGES:
            result[entry.name] = _ranges(resources.ranges(entry.name))
        elif entry.kind is Kind.SET:
            result[entry.name] = "{" + ", ".join(resources.items(entry.name)) + "}"
    return result


def attribute(proto: pb.mesos.Attribute) -> object:
    """An attribute's value: a number, or text."""
    if proto.type == pb.mesos.Value.SCALAR:
        return proto.scalar.value
    if proto.type == pb.mesos.Value.RANGES:
        return _ranges((r.begin, r.end) for r in proto.ranges.range)
    if proto.type == pb.mesos.Value.SET:
        return "{" + ", ".join(proto.set.item) + "}"
    return proto.text.value


def _ranges(pairs: Iterable[tuple[int, int]]) -> str:
    return "[" + ", ".join(f"{begin}-{end}" for begin, end in pairs) + "]"
