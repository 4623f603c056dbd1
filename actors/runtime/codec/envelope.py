"""Messages to bytes and back: msgpack in a versioned envelope `[version, type, id, cause, fields]`.

One vocabulary serves calls inside a process and, through this, between scheduler and executor. Bytes from the other side are
not trusted: type, size and depth are checked, and what is wrong is a `DecodeError` that says what and where. A field that the
receiver does not know is ignored, one that the sender does not know takes its default: both sides need not be of one version.
"""

import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, TypeVar

import msgpack
import msgspec

from actors.runtime.codec.packing import (
    ANY,
    Mismatch,
    Schema,
    encode,
    known_message,
    pack_as,
    ready,
    schema_of,
    schema_of_message,
    unpack_as,
)
from actors.runtime.codec.secrets import masked, masked_bytes
from actors.runtime.codec.shapes import DataShape, Shape, shape_of, wire_name
from actors.runtime.errors import DecodeError, EncodeError
from actors.runtime.pykka_seam import ProxyCall, ProxyGetAttr, ProxySetAttr, PykkaRef

T = TypeVar("T")

VERSION = 1
ENVELOPE = b"\x95\x01"
"""What `pack` begins with: an array of five, and the version."""

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_ELEMENTS = 1024 * 1024
"""Elements of all arrays and maps of one message together: a byte can be an empty array, which takes 56 bytes of memory."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_ELEMENTS = 50_000
"""Limits of what scheduler and executors tell each other unasked: reading it holds up everything else."""

MAX_IDS_BYTES = 4096
"""What the ids in an envelope may add to a message that is no larger than that: its sender does not know them yet."""

MAX_INT_BYTES = 1024

_BIG_INT = 1
_INSTEAD = "put what is large where the other side can fetch it (an upload), and send its name"
_types: dict[type, str] = {}
_PROXIED = {ProxyCall: "call", ProxyGetAttr: "get", ProxySetAttr: "set"}
_value_shape: Callable[[Any], Shape] = lru_cache(500)(partial(shape_of, where="value"))
_head = msgspec.msgpack.Decoder(tuple[int, str, str, str, msgspec.Raw]).decode


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """What `unpack` found: a message (or another immutable value), its id in the sender's trace, and that of its cause, if known."""

    message: Any
    id: str = ""
    cause: str = ""


def pack(message: Any, *, id: str = "", cause: str = "") -> bytes:  # noqa: A002
    """A message (an instance of a registered class, or another immutable value) as bytes; EncodeError if it cannot be packed.

    With its id, for the receiver's trace (`current_message_id()`), and the id of what caused it.
    """
    try:
        known = ready[message.__class__]
        if (checked := known.checked(message)) is not None:
            return encode((VERSION, known.name, id, cause, checked))
    except Exception:  # noqa: S110 - an integer beyond 64 bits, text that is not Unicode: the careful way takes more
        pass
    schema = schema_of_message(type(message))
    name, shape = ("", ANY) if schema is None else (schema.name, DataShape(schema.cls))
    return _to_bytes([VERSION, name, id, cause, _careful(shape, message)])


def unpack_message(data: bytes) -> Envelope:
    """`unpack` for what may come at any time, from whoever: a message beyond the limits for such is a DecodeError, too."""
    return unpack(data, max_bytes=MAX_MESSAGE_BYTES + MAX_IDS_BYTES, max_elements=MAX_MESSAGE_ELEMENTS)


def pack_message(message: Any, *, id: str = "", cause: str = "") -> bytes:  # noqa: A002
    """`pack` for what `unpack_message` has to read: what would be too large there is a ValueError here."""
    data = pack(message, id=id, cause=cause)
    check_size("the message", data, MAX_MESSAGE_BYTES + MAX_IDS_BYTES, MAX_MESSAGE_ELEMENTS)
    return data


def check_size(what: str, data: bytes, max_bytes: int = MAX_BYTES, max_elements: int = MAX_ELEMENTS) -> None:
    """ValueError with size and limit unless the other side will read packed data; elements are counted only if there may be too many."""
    if len(data) > max_bytes:
        raise ValueError(f"{what} has {len(data):,} bytes, and at most {max_bytes:,} are taken: {_INSTEAD}")
    if len(data) <= max_elements:
        return
    counted = _Budget(len(data))
    msgpack.unpackb(
        data, ext_hook=_extension, unicode_errors="surrogatepass", strict_map_key=False, **counted.hooks
    )
    elements = len(data) - counted.left
    if elements > max_elements:
        raise ValueError(
            f"{what} has {elements:,} elements in its arrays and maps, and at most {max_elements:,} are taken: "
            f"{_INSTEAD}"
        )


def unpack(
    data: bytes,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    max_elements: int = MAX_ELEMENTS,
) -> Envelope:
    """The message in `data`: what `pack` made, or whatever the other side sent.

    DecodeError, which says where, if it is not a message of a type known here, or has more bytes (it is not read then), levels of
    nesting, or elements of all arrays and maps together than may be.
    """
    try:
        if max_elements >= len(data) <= max_bytes and max_depth == MAX_DEPTH:
            version, name, id_, cause, fields = _head(data)
            known: Any = ready.get(name) or schema_of_message(name)
            if version == VERSION:
                return Envelope(known.decode(fields), id_, cause)
    except Exception:  # noqa: S110 - the careful way takes it all the same, or says what is wrong where
        pass
    parts = _from_bytes(data, max_bytes, max_elements)
    if type(parts) is not list or len(parts) != 5 or type(parts[0]) is not int:
        raise DecodeError("not a message: no envelope of five parts")
    version, name, id_, cause, fields = parts
    if version != VERSION:
        raise DecodeError(f"an envelope of version {version}; only {VERSION} is known here")
    if type(name) is not str or type(id_) is not str or type(cause) is not str:
        raise DecodeError("not a message: type, id and cause must be text")
    try:
        shape = DataShape(known_message(name)) if name else ANY
        return Envelope(unpack_as(shape, fields, max_depth), id_, cause)
    except Mismatch as error:
        raise DecodeError(error.told(name.rpartition(":")[2])) from None


def pack_value(value: Any, kind: Any = None) -> bytes:
    """A value without envelope, for whoever knows its type: settings, for example. EncodeError if it cannot be packed.

    It is an instance of a frozen dataclass, or of what the annotation `kind` says.
    """
    try:
        shape = _value_shape(type(value) if kind is None else kind)
    except TypeError as error:
        raise EncodeError(str(error)) from None
    data = _written(schema_of(shape.type), value) if isinstance(shape, DataShape) else None
    return _to_bytes(_careful(shape, value)) if data is None else data


def unpack_value(kind: type[T], data: bytes) -> T:
    """The value of type `kind` that `pack_value` packed; DecodeError if it is not one."""
    shape = _value_shape(kind)
    made: T
    try:
        fast = isinstance(shape, DataShape) and len(data) <= MAX_ELEMENTS
        if fast and (decode := schema_of(kind).decode) is not None:
            made = decode(data)
            return made
    except Exception:  # noqa: S110 - as in `unpack`
        pass
    try:
        made = unpack_as(shape, _from_bytes(data, MAX_BYTES), MAX_DEPTH)
    except Mismatch as error:
        raise DecodeError(error.told(getattr(kind, "__qualname__", str(kind)))) from None
    return made


def payload_of(message: Any) -> bytes:
    """A message's content for the trace: without what is marked secret; what cannot be packed is noted as text."""
    kind = type(message)
    schema = ready.get(kind) or schema_of_message(kind)
    shape = ANY if schema is None else schema.shape
    try:
        data = None if schema is None or schema.hides else _written(schema, message)
        if schema is None or data is None or (schema.has_bytes and ENVELOPE in data):
            if kind is ProxyCall:
                message = (message.args, tuple(message.kwargs.items()))
            elif kind is ProxySetAttr:
                message = (message.value,)
            data = _to_bytes(pack_as(shape, message, redacted))
        return masked_bytes(data)
    except Exception as error:  # a trace must never harm what it traces
        if schema is not None and schema.hides:
            return _to_bytes(f"a {kind.__qualname__} that cannot be packed ({type(error).__name__})")
        return _to_bytes(_shown(message))


def redacted(data: bytes) -> bytes:
    """For traces: what `pack` made, without what is secret in it; other bytes as they are."""
    if data[:2] != ENVELOPE:
        return data
    try:
        version, name, id_, cause, _ = _head(data)
        shape: Shape = ANY
        if name:
            schema = schema_of_message(name)
            if schema is None or not (schema.hides or schema.has_bytes):
                return data
            shape = DataShape(schema.cls)
        return _to_bytes([version, name, id_, cause, pack_as(shape, unpack(data).message, redacted)])
    except Exception:  # whatever is wrong with it: what cannot be read is not shown
        return b"(%d bytes)" % len(data)


def unpack_payload(payload: bytes) -> Any:
    """A trace record's payload as plain values (dicts, lists, text…), whose class is not needed; DecodeError if it is not msgpack."""
    return _from_bytes(payload, MAX_BYTES)


def trace_type(message: Any) -> str:
    """What a message is called in the trace."""
    kind = type(message)
    name = _types.get(kind)
    if name is None and kind in _PROXIED:
        return f"{_PROXIED[kind]} {'.'.join(message.attr_path)}"
    if name is None:
        data = hasattr(kind, "__dataclass_fields__") and not isinstance(message, PykkaRef)
        name = _types[kind] = wire_name(kind) if data else kind.__qualname__
    return name


def _shown(message: Any) -> str:
    try:
        return masked(repr(message))[:1000]
    except Exception as error:  # a number too long to be printed, an author's own __repr__
        return f"something of type {type(message).__qualname__} that cannot be shown ({type(error).__name__})"


def _written(schema: Schema, value: Any) -> bytes | None:
    """What msgspec writes for an instance; None leaves it to the careful way."""
    try:
        checked = schema.checked(value)
        return None if checked is None else encode(checked)
    except Exception:  # an integer beyond 64 bits, text that is not Unicode
        return None


def _careful(shape: Shape, value: Any) -> Any:
    """A value as a plain structure that can be unpacked again."""
    title = type(value).__qualname__
    try:
        plain = pack_as(shape, value)
        unpack_as(shape, plain, sys.maxsize)
    except RecursionError:
        raise EncodeError(f"a {title} nested too deeply to be packed") from None
    except (AttributeError, TypeError) as error:
        raise EncodeError(f"{title}: {error}") from None
    except Mismatch as error:
        raise EncodeError(error.told(title)) from None
    return plain


def _to_bytes(parts: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(parts, default=_large_int, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(f"cannot be packed: {error}") from None
    return packed


def _large_int(value: Any) -> Any:
    if type(value) is not int:
        raise EncodeError(f"a {type(value).__qualname__} cannot be packed")
    size = value.bit_length() // 8 + 1
    if size > MAX_INT_BYTES:
        raise EncodeError(f"an integer of {size} bytes; at most {MAX_INT_BYTES} can be packed")
    return msgpack.ExtType(_BIG_INT, value.to_bytes(size, "big", signed=True))


class _Budget:
    """Counts the elements of arrays and maps while they are read."""

    def __init__(self, most: int) -> None:
        self._most = self.left = most
        self.hooks: dict[str, Any] = {"list_hook": self._take, "object_hook": self._take}

    def _take(self, made: Any) -> Any:
        self.left -= len(made)
        if self.left < 0:
            raise DecodeError(f"more than {self._most} elements in arrays and maps")
        return made


def _from_bytes(data: bytes, max_bytes: int, max_elements: int = MAX_ELEMENTS) -> Any:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DecodeError(f"expected bytes, found a {type(data).__qualname__}")
    size = len(data)
    if size > max_bytes:
        raise DecodeError(f"{size} bytes; at most {max_bytes} are taken")
    most = min(size, max_elements)
    limits = {"max_array_len": most, "max_map_len": most}
    hooks = _Budget(max_elements).hooks if size > max_elements else {}
    try:
        return msgpack.unpackb(data, ext_hook=_extension, unicode_errors="surrogatepass", **limits, **hooks)
    except DecodeError:
        raise
    except Exception as error:  # msgpack raises many kinds for garbage
        text = str(error) or type(error).__name__
        raise DecodeError(f"not msgpack: {text[:200]}") from None


def _extension(code: int, data: bytes) -> int:
    if code != _BIG_INT or len(data) > MAX_INT_BYTES:
        raise DecodeError(f"unknown extension {code} of {len(data)} bytes")
    return int.from_bytes(data, "big", signed=True)
