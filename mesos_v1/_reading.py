"""What the events of both APIs have in common: how they are read, and three that a master and an agent may both send."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mesos_v1._texts import text
from mesos_v1.errors import BadEvent, ResourceError


@dataclass(frozen=True, slots=True)
class Error:
    """The other side refuses us and closes the connection; subscribing again as it was will not help."""

    message: str

    @property
    def framework_gone(self) -> bool:
        """Whether the master says that it has removed the framework, or knows of none such."""
        said = self.message.lower()
        return "removed" in said or "not found" in said


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The connection lives."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that this version of the schema does not know."""

    type_name: str


def reader(
    types: Any, rules: Mapping[str, Callable[[Any], object]], without_body: Mapping[str, object]
) -> Callable[[Any], Any]:
    """Make the function that reads an event as a value.

    Args:
        types: the enum of its types.
        rules: by the name of the type, what makes a value of the event's body.
        without_body: the values of the events that have none.
    """
    bodies: dict[int, tuple[str, Callable[[Any], object]]] = {
        types.Value(name): (name.lower(), rule)
        for name, rule in {**rules, "ERROR": lambda body: Error(text(body.message))}.items()
    }
    plain = {types.Value(name): value for name, value in without_body.items()}

    def read(event: Any) -> object:
        kind = event.type
        rule = bodies.get(kind)
        if rule is None:
            return plain.get(kind) or Unknown(types.Name(kind))
        field, build = rule
        if not event.HasField(field):
            raise BadEvent(f"an event {types.Name(kind)} without '{field}'")
        try:
            return build(getattr(event, field))
        except ResourceError as error:
            raise BadEvent(f"an event {types.Name(kind)} with a resource that cannot be: {error}") from error

    return read
