"""What is inside of a payload: looked through without the classes that it was made from.

A payload is msgpack with field names. Bytes in it may be an envelope of ours or a serialized protobuf message (a TaskInfo in a
demand, say); both are looked into, so that a URL is found wherever it travels.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgpack

from actors.runtime import TraceRecord, unpack_payload

_MAX_DEPTH = 24
_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}


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


def _texts_in_bytes(data: bytes, depth: int) -> Iterator[str]:
    if len(data) < 2:
        return
    if data[:2] == b"\x95\x01":  # our envelope: five parts, version 1
        try:
            envelope = msgpack.unpackb(data)
        except Exception:
            envelope = None
        if envelope is not None:
            yield from texts_in(envelope[4], depth + 1)
            return
    fields = protobuf_fields(data)
    if fields is not None:
        for field in fields:
            yield from _texts_in_field(field, depth + 1)
        return
    text = _as_text(data)
    if text is not None:
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
    """The length-delimited fields of a serialized message, or None when the bytes are none."""
    fields, at = [], 0
    while at < len(data):
        key, at = _varint(data, at)
        wire_type = key & 7
        if key < 8 or at < 0:
            return None
        if wire_type == _LENGTH_DELIMITED:
            size, at = _varint(data, at)
            if at < 0 or at + size > len(data):
                return None
            fields.append(data[at : at + size])
            at += size
        elif wire_type in _FIXED:
            at += _FIXED[wire_type]
        elif wire_type == 0:
            _, at = _varint(data, at)
            if at < 0:
                return None
        else:
            return None
    return fields if at == len(data) else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it; -1 when there is none."""
    number = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return number, at
        shift += 7
    return 0, -1


def summary(record: TraceRecord) -> str:
    """The payload on one line: `task_id="crawl-1" cpus=0.1 …`."""
    value = contents(record)
    if value is None:
        return ""
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(item)}" for key, item in value.items())
    return _short(value)


def _short(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\n", "\\n") + '"'
    if isinstance(value, bytes):
        return _short_bytes(value)
    if isinstance(value, dict):
        return "{" + " ".join(f"{key}={_short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _short_bytes(value: bytes) -> str:
    texts = list(dict.fromkeys(texts_in(value)))
    inside = ": " + ", ".join(_short(text) for text in texts[:6]) + (", …" if len(texts) > 6 else "")
    return f"<{len(value)} bytes{inside if texts else ''}>"


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
