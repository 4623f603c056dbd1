"""What reading a message has in common: its texts, labels and ids, and the events that a master and an agent may both send.

proto2 lets any bytes pass as a string, and an executor may well send them; protobuf then hands out `bytes` where everything
else expects `str`. Messages are cleaned where they come in (or, where that must be fast, when their fields are read); bytes
that are not UTF-8 become U+FFFD, so that one odd byte in a status message costs neither the status nor the stream.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mesos_v1 import pb
from mesos_v1.errors import BadEvent, ContentError, ResourceError

Labels = tuple[tuple[str, str | None], ...]
"""Pairs of key and value, in order; Mesos allows a key more than once, and a label without value."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_SKIP, _TEXT, _TEXTS, _MESSAGE, _MESSAGES, _MAP = range(6)
_how: dict[Any, int] = {}  # how each field is cleaned; never more than there are fields


def text(value: Any) -> Any:
    """Return a string of a message as text (and anything else as it is)."""
    return value.decode("utf-8", "replace") if type(value) is bytes else value


def optional_id(proto: Any, field: str) -> Any:
    """Return the text of an id; None if it is not set."""
    return text(getattr(proto, field).value) if proto.HasField(field) else None


def encodable(value: Any) -> Any:
    """Return text for people (or None) as a message can carry it: a surrogate, which UTF-8 does not have, becomes U+FFFD.

    Python makes them of bytes that it could not decode: file names, headers of HTTP, arguments.
    """
    return value if value is None or value.isascii() else _SURROGATES.sub("\ufffd", value)


def labels_of(proto: pb.mesos.Labels) -> Labels:
    """Read labels."""
    return tuple(
        (text(label.key), text(label.value) if label.HasField("value") else None) for label in proto.labels
    )


def labels_proto(labels: Iterable[tuple[str, str | None]]) -> pb.mesos.Labels | None:
    """Return labels as the API writes them; None for none."""
    if not labels:
        return None
    said = [pb.mesos.Label(key=encodable(key), value=encodable(value)) for key, value in labels]
    return pb.mesos.Labels(labels=said)


def clean(message: Message) -> None:
    """Replace what is not UTF-8 in all strings of `message`, in place; raises ContentError if it is the key of a map."""
    for field, value in message.ListFields():
        how = _how.get(field)
        if how is None:
            how = _how[field] = _how_to_clean(field, ())
        if how == _SKIP:
            continue
        if how == _MESSAGE:
            clean(value)
        elif how == _TEXT:
            if type(value) is bytes:
                setattr(message, field.name, text(value))
        elif how == _MESSAGES:
            for item in value:
                clean(item)
        else:
            for key in keys_of(field.name, value) if how == _MAP else range(len(value)):
                if isinstance(value[key], Message):
                    clean(value[key])
                elif type(value[key]) is bytes:
                    value[key] = text(value[key])


def keys_of(name: str, entries: Any) -> list[Any]:
    """Return the keys of a map in order; raises ContentError if one is not UTF-8.

    Protobuf neither gives nor deletes an entry with such a key, so it cannot be replaced.
    """
    keys = list(entries)
    for key in keys:
        if type(key) is bytes:
            raise ContentError(f"a key is not UTF-8: {key[:40]!r}", name)
    return sorted(keys)


def _how_to_clean(field: Any, above: tuple[Any, ...]) -> int:
    """Return how a field is cleaned; messages that hold no string anywhere need not be."""
    inner = field.message_type
    if inner is None:
        return _SKIP if field.type != FieldDescriptor.TYPE_STRING else _TEXTS if field.is_repeated else _TEXT
    if inner not in above and all(_how_to_clean(each, (*above, inner)) == _SKIP for each in inner.fields):
        return _SKIP
    if inner.GetOptions().map_entry:
        return _MAP
    return _MESSAGES if field.is_repeated else _MESSAGE


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


def reader(types: Any, rules: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Make the function that reads an event as a value, by rules for the names of the types.

    A rule makes a value of the event's body, or is the value of events that have none.
    """
    rules = {"ERROR": lambda body: Error(text(body.message)), "HEARTBEAT": Heartbeat(), **rules}
    known = {
        types.Value(name): (name.lower() if callable(rule) else None, rule) for name, rule in rules.items()
    }

    def read(event: Any) -> object:
        kind = event.type
        if kind not in known:
            return Unknown(types.Name(kind))
        field, build = known[kind]
        if field is None:
            return build
        if not event.HasField(field):
            raise BadEvent(f"an event {types.Name(kind)} without '{field}'")
        try:
            return build(getattr(event, field))
        except ResourceError as error:
            raise BadEvent(f"an event {types.Name(kind)} with a resource that cannot be: {error}") from error

    return read
