"""What master and agents print alike in the JSON of `/state` and its like: resources, attributes, what an agent can do."""

from typing import Any, Final

from mesos_v1 import pb, ranges
from mesos_v1.resource import Kind
from mesos_v1.resources import Resources
from mesos_v1.values import Attribute

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
            result[entry.name] = ranges.text(resources.ranges(entry.name))
        elif entry.kind is Kind.SET:
            result[entry.name] = "{" + ", ".join(resources.items(entry.name)) + "}"
    return result


def attribute(proto: pb.mesos.Attribute) -> object:
    """An attribute's value: a number, or text."""
    read = Attribute.from_proto(proto)
    return read.scalar if read.type == "SCALAR" else read.value
