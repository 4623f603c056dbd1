"""Makes the text of a message be text: proto2 lets any bytes pass as a string, and an executor may well send them.

Protobuf then hands out `bytes` where everything else expects `str`. Messages are cleaned where they come in (or, where that must be fast, when
their fields are read); bytes that are not UTF-8 become U+FFFD, so that one odd byte in a status message costs neither the status nor the stream.
"""

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from mesos_v1 import pb
from mesos_v1.errors import ContentError


class _Walk(Enum):
    SKIP = auto()
    TEXT = auto()
    TEXTS = auto()
    MESSAGE = auto()
    MESSAGES = auto()
    MAP = auto()


_SKIP, _TEXT, _TEXTS, _MESSAGE, _MESSAGES, _MAP = _Walk
Labels = tuple[tuple[str, str | None], ...]
"""Pairs of key and value, in order; Mesos allows a key more than once, and a label without value."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_walks: dict[Any, _Walk] = {}  # never more than there are fields


def text(value: Any) -> Any:
    """Return a string of a message as text (and anything else as it is)."""
    return value.decode("utf-8", "replace") if type(value) is bytes else value


def encodable(value: str) -> str:
    """Return text for people as a message can carry it: a surrogate, which UTF-8 does not have, becomes U+FFFD.

    Python makes them of bytes that it could not decode: file names, headers of HTTP, arguments.
    """
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def labels_of(proto: pb.mesos.Labels) -> Labels:
    """Read labels."""
    return tuple(
        (text(label.key), text(label.value) if label.HasField("value") else None) for label in proto.labels
    )


def set_labels(proto: pb.mesos.Labels, labels: Iterable[tuple[str, str | None]]) -> None:
    """Add labels to a message."""
    for key, value in labels:
        proto.labels.add(key=encodable(key), value=None if value is None else encodable(value))


def clean(message: Message) -> None:
    """Replace what is not UTF-8 in all strings of `message`, in place.

    Raises:
        ContentError: The key of a map is not UTF-8.
    """
    walks = _walks
    for field, value in message.ListFields():
        walk = walks.get(field)
        if walk is None:
            walk = walks[field] = _walk_of(field, ())
        if walk is _SKIP:
            continue
        if walk is _MESSAGE:
            clean(value)
        elif walk is _TEXT:
            if type(value) is bytes:
                setattr(message, field.name, text(value))
        elif walk is _MESSAGES:
            for item in value:
                clean(item)
        elif walk is _TEXTS:
            for index, item in enumerate(value):
                if type(item) is bytes:
                    value[index] = text(item)
        else:
            _clean_map(field.name, value)


def _clean_map(name: str, entries: Any) -> None:
    for key in keys_of(name, entries):
        value = entries[key]
        if isinstance(value, Message):
            clean(value)
        elif type(value) is bytes:
            entries[key] = text(value)


def keys_of(name: str, entries: Any) -> list[Any]:
    """Return the keys of a map in order.

    Raises:
        ContentError: One is not UTF-8. Protobuf neither gives nor deletes an entry with such a key, so it cannot be replaced.
    """
    keys = list(entries)
    for key in keys:
        if type(key) is bytes:
            raise ContentError(f"a key is not UTF-8: {key[:40]!r}", name)
    return sorted(keys)


def _walk_of(field: Any, above: tuple[Any, ...]) -> _Walk:
    """Return how a field is walked; messages that hold no string anywhere are skipped."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _TEXTS if field.is_repeated else _TEXT
    inner = field.message_type
    if inner is None:
        return _SKIP
    if inner not in above and all(_walk_of(each, (*above, inner)) is _SKIP for each in inner.fields):
        return _SKIP
    if inner.GetOptions().map_entry:
        return _MAP
    return _MESSAGES if field.is_repeated else _MESSAGE
