"""What is inside of a payload: looked through without the classes that it was made from.

A payload is msgpack with field names. Bytes in it may be one of our envelopes or a serialized protobuf message (a TaskInfo in a
demand, say); both are looked into, so that a URL is found wherever it travels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgpack
from google.protobuf import empty_pb2
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from actors.runtime import TraceRecord, unpack_payload

_MAX_DEPTH = 24
_LENGTH_DELIMITED = 2


@lru_cache(maxsize=4096)
def _decoded(payload: bytes) -> Any:
    try:
        return unpack_payload(payload)
    except Exception:
        return payload


def contents(record: TraceRecord) -> Any:
    """The payload as plain values; None where the trace was written without payloads."""
    return None if record.payload is None else _decoded(record.payload)


def texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Every text inside of a value, those in packed messages and protobuf messages too."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield from _texts_in_bytes(value, depth)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str) and not key.isidentifier():
                yield key
            yield from texts_in(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item, depth + 1)


def mentions(record: TraceRecord, text: str) -> bool:
    """Whether a text with `text` in it is in the payload."""
    if record.payload is None or text.encode() not in record.payload:
        return False
    return any(text in found for found in texts_in(contents(record)))


def packed_message(data: bytes) -> tuple[str, Any] | None:
    """The type and the fields of a message in the envelope that ours travel in (five parts, version 1), if it is one."""
    if data[:2] != b"\x95\x01":
        return None
    try:
        parts = msgpack.unpackb(data)
        return str(parts[1]), parts[4]
    except Exception:
        return None


def _texts_in_bytes(data: bytes, depth: int) -> Iterator[str]:
    if len(data) < 2:
        return
    if (message := packed_message(data)) is not None:
        yield from texts_in(message[1], depth + 1)
    elif (fields := protobuf_fields(data)) is not None:
        for field in fields:
            yield from _texts_in_field(field, depth + 1)
    elif (text := _as_text(data)) is not None:
        yield text


def _texts_in_field(data: bytes, depth: int) -> Iterator[str]:
    """A length-delimited field is text or a message (or both, by accident): both readings count."""
    text = _as_text(data)
    if text is not None:
        yield text
    if depth <= _MAX_DEPTH and (text is None or len(text) != len(text.strip())):
        yield from _texts_in_bytes(data, depth)


def _as_text(data: bytes) -> str | None:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if text and all(char.isprintable() or char in "\n\t\r" for char in text) else None


def protobuf_fields(data: bytes) -> list[bytes] | None:
    """The length-delimited fields of a serialized message of any type, or None when the bytes are not one."""
    try:
        fields = UnknownFieldSet(empty_pb2.Empty.FromString(data))
        return [fields[at].data for at in range(len(fields)) if fields[at].wire_type == _LENGTH_DELIMITED]
    except DecodeError:
        return None


def as_json(value: Any) -> Any:
    """Plain values that `json` takes: bytes become text or hex."""
    if isinstance(value, bytes):
        text = _as_text(value)
        return text if text is not None else value.hex()
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value
