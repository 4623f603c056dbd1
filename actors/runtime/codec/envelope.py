"""Messages to bytes and back: msgpack in a versioned envelope `[version, type, id, cause, fields]`.

One vocabulary serves calls inside a process and, through this, between scheduler and executor. Bytes from the other side are
not trusted: type, size and depth are checked, and what is wrong is a `DecodeError` that says what and where. A field that the
receiver does not know is ignored, one that the sender does not know takes its default: both sides need not be of one version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgpack

from actors.runtime.codec.packing import data_packer, packer_of
from actors.runtime.codec.secrets import masked, masked_bytes
from actors.runtime.codec.shapes import AnyShape, shape_of, wire_name
from actors.runtime.codec.unpacking import Mismatch, data_unpacker, known_message, unpacker_of
from actors.runtime.errors import DecodeError, EncodeError
from actors.runtime.messages import registered_message
from actors.runtime.pykka_seam import ProxyCall, ProxyGetAttr, ProxySetAttr

__all__ = [
    "Envelope",
    "check_size",
    "pack",
    "pack_message",
    "pack_value",
    "payload_of",
    "trace_type",
    "unpack",
    "unpack_message",
    "unpack_payload",
    "unpack_value",
]

T = TypeVar("T")

VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_ELEMENTS = 1024 * 1024
"""Elements of all arrays and maps of one message together: a byte can be an empty array, which takes 56 bytes of memory."""

FEW_BYTES = 64 * 1024
"""So few bytes cannot hold too many elements: nothing is counted."""

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_ELEMENTS = 50_000
"""Limits of what scheduler and executors tell each other unasked: reading it holds up everything else."""

MAX_IDS_BYTES = 4096
"""What the ids in an envelope may add to a message that is no larger than that: its sender does not know them yet."""

MAX_INT_BYTES = 1024

_BIG_INT = 1
_INSTEAD = "put what is large where the other side can fetch it (an upload), and send its name"
_any_packer = packer_of(AnyShape())
_any_hider = packer_of(AnyShape(), hide=True)
_any_unpacker = unpacker_of(AnyShape())


@dataclass(frozen=True, slots=True)
class Envelope:
    """What `unpack` found.

    Attributes:
        message: the message, or another immutable value.
        id: its id in the sender's trace; empty if it wrote none.
        cause: the id of the message that caused it; empty if unknown.
    """

    message: Any
    id: str = ""
    cause: str = ""


def pack(message: Any, *, id: str = "", cause: str = "") -> bytes:  # noqa: A002
    """A message (or another immutable value) as bytes.

    Args:
        message: an instance of a registered class, or None, bool, int, float, str, bytes, a tuple, frozenset or FrozenDict.
        id: its id, for the receiver's trace (`current_message_id()`).
        cause: the id of what caused it.

    Raises:
        EncodeError: it, or something in it, cannot be packed.
    """
    kind = type(message)
    name = wire_name(kind)
    if registered_message(name) is kind:
        return _to_bytes([VERSION, name, id, cause, _apply(data_packer(kind), message)])
    return _to_bytes([VERSION, "", id, cause, _apply(_any_packer, message)])


def unpack_message(data: bytes) -> Envelope:
    """`unpack` for what may come at any time, from whoever: within the limits for such messages.

    Raises:
        DecodeError: as `unpack`, and for a message that is too large.
    """
    return unpack(data, max_bytes=MAX_MESSAGE_BYTES + MAX_IDS_BYTES, max_elements=MAX_MESSAGE_ELEMENTS)


def pack_message(message: Any, *, id: str = "", cause: str = "") -> bytes:  # noqa: A002
    """`pack` for what `unpack_message` has to read: what would be refused there is refused here.

    Raises:
        EncodeError: as `pack`.
        ValueError: it is too large.
    """
    data = pack(message, id=id, cause=cause)
    check_size("the message", data, MAX_MESSAGE_BYTES + MAX_IDS_BYTES, MAX_MESSAGE_ELEMENTS)
    return data


def check_size(what: str, data: bytes, max_bytes: int = MAX_BYTES, max_elements: int = MAX_ELEMENTS) -> None:
    """See whether the other side will read packed data; elements are counted only where there may be too many.

    Raises:
        ValueError: it will not; names size and limit.
    """
    if len(data) > max_bytes:
        raise ValueError(f"{what} has {len(data):,} bytes, and at most {max_bytes:,} are taken: {_INSTEAD}")
    if len(data) <= max_elements:
        return
    counted = _Budget(len(data))
    msgpack.unpackb(
        data,
        ext_hook=_extension,
        unicode_errors="surrogatepass",
        strict_map_key=False,
        list_hook=counted.array,
        object_hook=counted.map,
    )
    elements = counted.most - counted.left
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
    """The message in `data`.

    Args:
        data: what `pack` made, or whatever the other side sent.
        max_bytes: larger data is refused unread.
        max_depth: so many levels of nesting are fine.
        max_elements: so many elements of all arrays and maps together are fine.

    Raises:
        DecodeError: it is not a message of a type known here; says what is wrong, and where.
    """
    parts = _from_bytes(data, max_bytes, max_elements)
    if type(parts) is not list or len(parts) != 5 or type(parts[0]) is not int:
        raise DecodeError("not a message: no envelope of five parts")
    version, name, id_, cause, fields = parts
    if version != VERSION:
        raise DecodeError(f"an envelope of version {version}; only {VERSION} is known here")
    if type(name) is not str or type(id_) is not str or type(cause) is not str:
        raise DecodeError("not a message: type, id and cause must be text")
    try:
        if name:
            return Envelope(data_unpacker(known_message(name))(fields, max_depth), id_, cause)
        return Envelope(_any_unpacker(fields, max_depth), id_, cause)
    except Mismatch as error:
        raise _decode_error(error, name.rpartition(":")[2]) from None


def pack_value(value: Any, kind: Any = None) -> bytes:
    """A value without envelope, for whoever knows its type: settings, for example.

    Args:
        value: an instance of a frozen dataclass, or of what `kind` says.
        kind: its annotation; the value's class unless given.

    Raises:
        EncodeError: it cannot be packed.
    """
    try:
        shape = shape_of(type(value) if kind is None else kind, "value")
    except TypeError as error:
        raise EncodeError(str(error)) from None
    return _to_bytes(_apply(packer_of(shape), value))


def unpack_value(kind: type[T], data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> T:
    """The value of type `kind` that `pack_value` packed.

    Raises:
        DecodeError: it is not such a value.
    """
    parts = _from_bytes(data, max_bytes)
    try:
        made: T = unpacker_of(shape_of(kind, "value"))(parts, max_depth)
    except Mismatch as error:
        raise _decode_error(error, getattr(kind, "__qualname__", str(kind))) from None
    return made


def payload_of(message: Any) -> bytes:
    """A message's content for the trace: like `pack`, without envelope, and without what is marked secret.

    What cannot be packed is noted as text.
    """
    kind = type(message)
    try:
        if registered_message(wire_name(kind)) is kind:
            return masked_bytes(_to_bytes(data_packer(kind, hide=True)(message)))
        if kind is ProxyCall:
            message = (message.args, tuple(message.kwargs.items()))
        elif kind is ProxySetAttr:
            message = (message.value,)
        return masked_bytes(_to_bytes(_any_hider(message)))
    except Exception:  # a trace must never harm what it traces
        return _to_bytes(_shown(message))


def _shown(message: Any) -> str:
    try:
        return masked(repr(message))[:1000]
    except Exception as error:  # a number too long to be printed, an author's own __repr__
        return f"something of type {type(message).__qualname__} that cannot be shown ({type(error).__name__})"


def unpack_payload(payload: bytes) -> Any:
    """A trace record's payload as plain values (dicts, lists, text…), without needing the message's class.

    Raises:
        DecodeError: it is not msgpack.
    """
    return _from_bytes(payload, MAX_BYTES)


def trace_type(message: Any) -> str:
    """What a message is called in the trace."""
    kind = type(message)
    if kind is ProxyCall:
        return f"call {'.'.join(message.attr_path)}"
    if kind is ProxyGetAttr:
        return f"get {'.'.join(message.attr_path)}"
    if kind is ProxySetAttr:
        return f"set {'.'.join(message.attr_path)}"
    return wire_name(kind) if hasattr(kind, "__dataclass_fields__") else kind.__qualname__


def _apply(packer: Any, value: Any) -> Any:
    try:
        return packer(value)
    except RecursionError:
        raise EncodeError(f"a {type(value).__qualname__} nested too deeply to be packed") from None
    except AttributeError as error:
        raise EncodeError(f"{type(value).__qualname__}: {error}") from None


def _to_bytes(parts: Any) -> bytes:
    try:
        packed: bytes = msgpack.packb(parts, default=_large_int, unicode_errors="surrogatepass")
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(f"cannot be packed: {error}") from None
    return packed


def _large_int(value: Any) -> Any:
    if type(value) is int:
        size = value.bit_length() // 8 + 1
        if size <= MAX_INT_BYTES:
            return msgpack.ExtType(_BIG_INT, value.to_bytes(size, "big", signed=True))
        raise EncodeError(f"an integer of {size} bytes; at most {MAX_INT_BYTES} can be packed")
    raise EncodeError(f"a {type(value).__qualname__} cannot be packed")


class _Budget:
    """Counts the elements of arrays and maps while they are read."""

    __slots__ = ("left", "most")

    def __init__(self, most: int) -> None:
        self.most = self.left = most

    def array(self, made: list[Any]) -> list[Any]:
        """An array is complete."""
        self._take(len(made))
        return made

    def map(self, made: dict[Any, Any]) -> dict[Any, Any]:
        """A map is complete."""
        self._take(len(made))
        return made

    def _take(self, elements: int) -> None:
        self.left -= elements
        if self.left < 0:
            raise DecodeError(f"more than {self.most} elements in arrays and maps")


def _from_bytes(data: bytes, max_bytes: int, max_elements: int = MAX_ELEMENTS) -> Any:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise DecodeError(f"expected bytes, found a {type(data).__qualname__}")
    if len(data) > max_bytes:
        raise DecodeError(f"{len(data)} bytes; at most {max_bytes} are taken")
    hooks: dict[str, Any] = {}
    if len(data) > min(FEW_BYTES, max_elements):
        budget = _Budget(max_elements)
        hooks = {"list_hook": budget.array, "object_hook": budget.map}
    try:
        return msgpack.unpackb(
            data,
            ext_hook=_extension,
            unicode_errors="surrogatepass",
            max_array_len=min(len(data), max_elements),
            max_map_len=min(len(data), max_elements),
            **hooks,
        )
    except DecodeError:
        raise
    except Exception as error:  # msgpack raises many kinds for garbage
        text = str(error) or type(error).__name__
        raise DecodeError(f"not msgpack: {text[:200]}") from None


def _extension(code: int, data: bytes) -> int:
    if code != _BIG_INT or len(data) > MAX_INT_BYTES:
        raise DecodeError(f"unknown extension {code} of {len(data)} bytes")
    return int.from_bytes(data, "big", signed=True)


def _decode_error(error: Mismatch, root: str) -> DecodeError:
    where = f"{root}{''.join(error.path)}"
    return DecodeError(f"{where}: {error}" if where else str(error))
