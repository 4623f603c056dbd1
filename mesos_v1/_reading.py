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
_Cleaner = Callable[[Message, str, Any], None]
_cleaners: dict[Any, _Cleaner | None] = {}  # never more than there are fields


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
    said = [pb.mesos.Label(key=encodable(key), value=encodable(value)) for key, value in labels]
    return pb.mesos.Labels(labels=said) if said else None


def clean(message: Message) -> None:
    """Replace what is not UTF-8 in all strings of `message`, in place; raises ContentError if it is the key of a map."""
    for field, value in message.ListFields():
        try:
            cleaner = _cleaners[field]
        except KeyError:
            cleaner = _cleaners[field] = _cleaner_of(field, ())
        if cleaner is not None:
            cleaner(message, field.name, value)


def _clean_text(message: Message, name: str, value: Any) -> None:
    if type(value) is bytes:
        setattr(message, name, text(value))


def _clean_each(entries: Any, keys: Iterable[Any]) -> None:
    for key in keys:
        value = entries[key]
        if isinstance(value, Message):
            clean(value)
        elif type(value) is bytes:
            entries[key] = text(value)


def keys_of(name: str, entries: Any) -> list[Any]:
    """Return the keys of a map in order; raises ContentError if one is not UTF-8.

    Protobuf neither gives nor deletes an entry with such a key, so it cannot be replaced.
    """
    keys = list(entries)
    for key in keys:
        if type(key) is bytes:
            raise ContentError(f"a key is not UTF-8: {key[:40]!r}", name)
    return sorted(keys)


def _cleaner_of(field: Any, above: tuple[Any, ...]) -> _Cleaner | None:
    """Return how a field is cleaned; messages that hold no string anywhere need not be."""
    inner = field.message_type
    if inner is None and field.type != FieldDescriptor.TYPE_STRING:
        return None
    if inner and inner not in above and not any(_cleaner_of(each, (*above, inner)) for each in inner.fields):
        return None
    if inner and inner.GetOptions().map_entry:
        return lambda _message, name, entries: _clean_each(entries, keys_of(name, entries))
    if field.is_repeated:
        return lambda _message, _name, items: _clean_each(items, range(len(items)))
    return (lambda _message, _name, value: clean(value)) if inner else _clean_text


# -- events --


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
