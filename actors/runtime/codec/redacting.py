"""Secrets out of what is packed already: a message that travels as bytes in another one is traced without them, too.

Works on the packed structure, by the shapes of the classes that it was packed from; `packing.py` says how each looks. Only
classes that can hold a secret at all are looked into.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import msgpack

from actors.runtime.codec.secrets import HIDDEN
from actors.runtime.codec.shapes import (
    AnyShape,
    DataShape,
    Kind,
    MapShape,
    OptionalShape,
    PlainShape,
    SecretShape,
    SetShape,
    Shape,
    TupleShape,
    UnionShape,
)
from actors.runtime.messages import registered_message, shapes_of_class

__all__ = ["redacted"]

ENVELOPE = b"\x95\x01"
"""What `pack` begins with: an array of five, and the version."""

BYTES = PlainShape(bytes)
_secretive: dict[type, bool] = {}


def redacted(data: bytes) -> bytes:
    """For traces: what `pack` made, without what is secret in it; other bytes as they are."""
    if data[:2] != ENVELOPE:
        return data
    try:
        parts = msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False)
        cls = registered_message(parts[1])
        if parts[1] and (cls is None or not _may_hold_secrets(cls)):
            return data
        parts[4] = _hidden_any(parts[4]) if cls is None else _hidden_fields(cls, parts[4])
        made: bytes = msgpack.packb(parts, unicode_errors="surrogatepass")
    except Exception:  # whatever is wrong with it: what cannot be read is not shown
        return b"(%d bytes)" % len(data)
    return made


def _may_hold_secrets(cls: type) -> bool:
    """Whether an instance can hold something that is to be hidden, however deep."""
    known = _secretive.get(cls)
    if known is None:
        _secretive[cls] = False  # while we look: a type that holds itself holds nothing more by that
        shapes = shapes_of_class(cls, maps=True)
        known = _secretive[cls] = any(
            field.metadata.keys() & {"secret", "redact"} or _may(shapes[field.name])
            for field in dataclasses.fields(cls)
        )
    return known


def _may(shape: Any) -> bool:
    if isinstance(shape, SecretShape | AnyShape) or shape == BYTES:
        return True
    if isinstance(shape, DataShape):
        return _may_hold_secrets(shape.type)
    if isinstance(shape, tuple):
        return any(_may(part) for part in shape)
    if dataclasses.is_dataclass(shape) and not isinstance(shape, type):
        return any(_may(getattr(shape, part.name)) for part in dataclasses.fields(shape))
    return False


def _hidden(shape: Shape | None, packed: Any) -> Any:
    """A packed value of that shape, without secrets."""
    match shape:
        case SecretShape():
            return HIDDEN
        case PlainShape() if shape == BYTES:
            return redacted(packed)
        case AnyShape():
            return _hidden_any(packed)
        case TupleShape(items, None):
            return [_hidden(item, part) for item, part in zip(items, packed, strict=True)]
        case TupleShape(_, item) | SetShape(item):
            return [_hidden(item, part) for part in packed]
        case MapShape(item):
            return {key: _hidden(item, part) for key, part in packed.items()}
        case OptionalShape(item):
            return None if packed is None else _hidden(item, packed)
        case UnionShape(options, _) if packed is not None:
            return [packed[0], _hidden(dict(options).get(packed[0]), packed[1])]
        case DataShape(cls):
            return _hidden_fields(cls, packed)
        case _:
            return packed


def _hidden_fields(cls: type, packed: dict[str, Any]) -> dict[str, Any]:
    shapes = shapes_of_class(cls, maps=True)
    made = {}
    for field in dataclasses.fields(cls):
        if field.name in packed:
            if field.metadata.get("secret"):
                made[field.name] = HIDDEN
            elif "redact" in field.metadata:
                made[field.name] = field.metadata["redact"](packed[field.name])
            else:
                made[field.name] = _hidden(shapes[field.name], packed[field.name])
    return made


def _hidden_any(packed: Any) -> Any:
    if type(packed) is bytes:
        return redacted(packed)
    if type(packed) is not list or not packed:
        return packed
    kind, *rest = packed
    match kind:
        case Kind.TUPLE | Kind.SET:
            return [kind, *map(_hidden_any, rest)]
        case Kind.MAP:
            return [kind, {key: _hidden_any(part) for key, part in rest[0].items()}]
        case Kind.SECRET:
            return [kind, HIDDEN]
        case Kind.MESSAGE:
            cls = registered_message(rest[0])
            return packed if cls is None else [kind, rest[0], _hidden_fields(cls, rest[1])]
        case _:
            return packed
