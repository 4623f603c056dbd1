"""Plain msgpack structures back to values, by the shapes of their types; see `packing.py` for how each looks.

Trusts nothing: each value must have the type that the annotation says, nesting is bounded, and an error tells what was found
where. `unpacker_of` compiles a shape once.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.runtime.codec.frozen import FrozenDict
from actors.runtime.codec.secrets import Secret
from actors.runtime.codec.shapes import (
    PLAIN,
    AnyShape,
    DataShape,
    EnumShape,
    Kind,
    LiteralShape,
    MapShape,
    OptionalShape,
    PathShape,
    PlainShape,
    RefShape,
    SecretShape,
    SetShape,
    Shape,
    TupleShape,
    UnionShape,
)
from actors.runtime.messages import registered_enum, registered_message, shapes_of_class

__all__ = ["Mismatch", "data_unpacker", "known_message", "set_ref_finder", "unpacker_of"]

Unpacker = Callable[[Any, int], Any]


class Mismatch(Exception):  # noqa: N818 - becomes a DecodeError at the codec's border
    """Packed data that does not fit its type; collects the path to where while it passes through."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path: list[str] = []

    def within(self, step: str) -> Mismatch:
        """The same, seen from one level further out."""
        self.path.insert(0, step)
        return self


_unpackers: dict[type, Unpacker] = {}
_find_ref: Callable[[str, str], Any] | None = None


def set_ref_finder(find: Callable[[str, str], Any]) -> None:
    """Say what turns `(system, name)` into a ref; called once by the module that knows the systems."""
    global _find_ref
    _find_ref = find


def unpacker_of(shape: Shape) -> Unpacker:
    """The function that unpacks values of a shape. Its second argument is how many levels may follow."""
    match shape:
        case PlainShape(cls):
            return _plain_unpacker(cls)
        case LiteralShape(values):
            return lambda value, _: _literal(value, values)
        case EnumShape(cls):
            return _enum_unpacker(cls)
        case TupleShape(items, rest):
            return _tuple_unpacker(items, rest)
        case SetShape(item):
            unpack = _array_unpacker(item)
            return lambda value, depth: _frozenset(unpack(value, depth))
        case MapShape(item):
            return _map_unpacker(item)
        case OptionalShape(item):
            inner = unpacker_of(item)
            return lambda value, depth: None if value is None else inner(value, depth)
        case UnionShape(options, with_none):
            return _union_unpacker(options, with_none)
        case DataShape(cls):
            return lambda value, depth: data_unpacker(cls)(value, depth)  # noqa: PLW0108 - as above
        case PathShape():
            text = _plain_unpacker(str)
            return lambda value, depth: Path(text(value, depth))
        case RefShape():
            return _unpack_ref
        case SecretShape():
            return _unpack_secret
        case AnyShape():
            return _unpack_any
    raise AssertionError(shape)


def data_unpacker(cls: type) -> Unpacker:
    """The function that makes instances of a dataclass from a map."""
    found = _unpackers.get(cls)
    if found is None:
        found = _unpackers[cls] = _make_data_unpacker(cls)
    return found


def _make_data_unpacker(cls: type) -> Unpacker:
    shapes = shapes_of_class(cls, maps=True)
    fields = [f for f in dataclasses.fields(cls) if f.init]
    unpackers = [(f.name, unpacker_of(shapes[f.name])) for f in fields]
    required = {
        f.name
        for f in fields
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    secrets = {f.name for f in fields if f.metadata.get("secret")}
    title = cls.__qualname__

    def unpack(value: Any, depth: int) -> Any:
        if type(value) is not dict:
            raise Mismatch(f"expected the fields of {title}, found {_named(value)}")
        _descend(depth)
        found = {}
        for name, inner in unpackers:
            if name in value:
                try:
                    found[name] = inner(value[name], depth - 1)
                except Mismatch as error:
                    told = Mismatch("a secret of another type") if name in secrets else error
                    raise told.within(f".{name}") from None
            elif name in required:
                raise Mismatch(f"field {name!r} of {title} is missing")
        try:
            return cls(**found)  # a field that only the sender knows is ignored: it may be the newer one
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise Mismatch(f"{title} refuses these values: {error}") from None

    return unpack


def _plain_unpacker(cls: type) -> Unpacker:
    if cls is float:

        def unpack_float(value: Any, _depth: int) -> Any:
            if type(value) is float:
                return value
            if type(value) is int:
                try:
                    return float(value)
                except OverflowError:
                    raise Mismatch("an integer too large for a float") from None
            raise Mismatch(f"expected a float, found {_named(value)}")

        return unpack_float
    title = PLAIN[cls]

    def unpack(value: Any, _depth: int) -> Any:
        if type(value) is cls:
            return value
        raise Mismatch(f"expected {title}, found {_named(value)}")

    return unpack


def _literal(value: Any, values: tuple[Any, ...]) -> Any:
    for known in values:
        if type(known) is type(value) and known == value:
            return known
    raise Mismatch(f"expected one of {values!r}, found {_named(value)}")


def _enum_unpacker(cls: type[enum.Enum]) -> Unpacker:
    def unpack(value: Any, _depth: int) -> Any:
        value = _thaw_tuple(value)
        try:
            return cls(value)
        except (ValueError, TypeError, KeyError):
            raise Mismatch(f"{_named(value)} is not a member of {cls.__qualname__}") from None

    return unpack


def _thaw_tuple(value: Any) -> Any:
    return tuple(_thaw_tuple(v) for v in value) if type(value) is list else value


def _array_unpacker(item: Shape) -> Unpacker:
    inner = unpacker_of(item)

    def unpack(value: Any, depth: int) -> list[Any]:
        if type(value) is not list:
            raise Mismatch(f"expected an array, found {_named(value)}")
        _descend(depth)
        made = []
        for index, part in enumerate(value):
            try:
                made.append(inner(part, depth - 1))
            except Mismatch as error:
                raise error.within(f"[{index}]") from None
        return made

    return unpack


def _tuple_unpacker(items: tuple[Shape, ...], rest: Shape | None) -> Unpacker:
    if rest is not None:
        array = _array_unpacker(rest)
        return lambda value, depth: tuple(array(value, depth))
    inners = [unpacker_of(item) for item in items]

    def unpack(value: Any, depth: int) -> tuple[Any, ...]:
        if type(value) is not list or len(value) != len(inners):
            raise Mismatch(f"expected an array of {len(inners)}, found {_named(value)}")
        _descend(depth)
        made = []
        for index, (inner, part) in enumerate(zip(inners, value, strict=True)):
            try:
                made.append(inner(part, depth - 1))
            except Mismatch as error:
                raise error.within(f"[{index}]") from None
        return tuple(made)

    return unpack


def _frozenset(values: list[Any]) -> frozenset[Any]:
    try:
        return frozenset(values)
    except TypeError as error:
        raise Mismatch(f"a member of a set cannot be hashed: {error}") from None


def _map_unpacker(item: Shape) -> Unpacker:
    inner = unpacker_of(item)

    def unpack(value: Any, depth: int) -> FrozenDict[Any]:
        if type(value) is not dict:
            raise Mismatch(f"expected a map, found {_named(value)}")
        _descend(depth)
        made = {}
        for key, part in value.items():
            if type(key) is not str:
                raise Mismatch(f"expected text as key, found {_named(key)}")
            try:
                made[key] = inner(part, depth - 1)
            except Mismatch as error:
                raise error.within(f"[{key!r}]") from None
        return FrozenDict(made)

    return unpack


def _union_unpacker(options: tuple[tuple[str, Shape], ...], with_none: bool) -> Unpacker:
    inners = {label: unpacker_of(shape) for label, shape in options}

    def unpack(value: Any, depth: int) -> Any:
        if value is None and with_none:
            return None
        if type(value) is not list or len(value) != 2 or type(value[0]) is not str:
            raise Mismatch(f"expected a labelled value, found {_named(value)}")
        inner = inners.get(value[0])
        if inner is None:
            raise Mismatch(f"expected {' or '.join(inners)}, found a value labelled {value[0]!r:.80}")
        _descend(depth)
        return inner(value[1], depth - 1)

    return unpack


def _unpack_ref(value: Any, _depth: int) -> Any:
    if type(value) is list and len(value) == 2 and type(value[0]) is str and type(value[1]) is str:
        assert _find_ref is not None
        return _find_ref(value[0], value[1])
    raise Mismatch(f"expected an actor's system and name, found {_named(value)}")


def _unpack_secret(value: Any, _depth: int) -> Secret:
    if type(value) is not str:
        raise Mismatch(f"expected a secret, found a {type(value).__name__}")
    return Secret(value)


def _unpack_any(value: Any, depth: int) -> Any:
    if type(value) in PLAIN:
        return value
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Mismatch(f"expected an immutable value with its kind, found {_named(value)}")
    _descend(depth)
    kind, *rest = value
    match kind, rest:
        case _, _ if kind == Kind.TUPLE:
            return tuple(_each_any(rest, depth - 1))
        case _, _ if kind == Kind.SET:
            return _frozenset(_each_any(rest, depth - 1))
        case _, [dict() as items] if kind == Kind.MAP:
            return _map_unpacker(AnyShape())(items, depth - 1)
        case _, [str() as name, fields] if kind == Kind.MESSAGE:
            return data_unpacker(known_message(name))(fields, depth - 1)
        case _, [str() as name, member] if kind == Kind.ENUM:
            cls = registered_enum(name)
            if cls is None:
                raise Mismatch(f"unknown enum {name!r:.200}")
            return _enum_unpacker(cls)(member, depth - 1)
        case _, [ref] if kind == Kind.REF:
            return _unpack_ref(ref, depth - 1)
        case _, [str() as path] if kind == Kind.PATH:
            return Path(path)
        case _, [str() as text] if kind == Kind.SECRET:
            return Secret(text)
    raise Mismatch(f"unknown kind {kind} of an immutable value")


def _each_any(values: list[Any], depth: int) -> list[Any]:
    made = []
    for index, part in enumerate(values):
        try:
            made.append(_unpack_any(part, depth))
        except Mismatch as error:
            raise error.within(f"[{index}]") from None
    return made


def known_message(name: str) -> type:
    """The message class called `name`, or Mismatch with a hint."""
    found = registered_message(name)
    if found is None:
        module = name.partition(":")[0]
        raise Mismatch(f"unknown message type {name!r:.200}; is {module!r:.100} imported?")
    return found


def _descend(depth: int) -> None:
    if depth <= 0:
        raise Mismatch("nested too deeply")


def _named(value: Any) -> str:
    """A value for an error: its type, and a short look at it."""
    kind = {dict: "a map", list: "an array", type(None): "nothing"}.get(type(value))
    if kind is not None:
        return f"{kind} of {len(value)}" if value is not None else kind
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:60] + '…'}"
