"""Values to plain msgpack structures and back, by the shapes of their types.

`packer_of` and `unpacker_of` compile a shape once. Unpacking trusts nothing: each value must have the type that the annotation
says, nesting is bounded, and an error tells what was found where. How each shape looks when packed:

* plain values as they are; integers beyond 64 bits as extension 1 (big-endian, signed);
* an enum as its value; a path as text; a ref as `[system, name]`;
* a tuple or frozenset as an array; a FrozenDict as a map; a dataclass as a map from field to value;
* a member of a union as `[label, value]`;
* `Immutable` as itself if plain, else as `[kind, …]` with the kinds of `_ANY`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from actors.runtime.errors import EncodeError
from actors.runtime.frozen import FrozenDict
from actors.runtime.messages import registered_enum, registered_message, shapes_of_class
from actors.runtime.pykka_seam import PykkaRef
from actors.runtime.shapes import (
    PLAIN,
    AnyShape,
    DataShape,
    EnumShape,
    LiteralShape,
    MapShape,
    OptionalShape,
    PathShape,
    PlainShape,
    RefShape,
    SetShape,
    Shape,
    TupleShape,
    UnionShape,
    wire_name,
)

__all__ = ["Mismatch", "data_packer", "data_unpacker", "known_message", "packer_of", "unpacker_of"]

Packer = Callable[[Any], Any]
Unpacker = Callable[[Any, int], Any]

_TUPLE, _SET, _MAP, _MESSAGE, _ENUM, _REF, _PATH = range(7)


class Mismatch(Exception):  # noqa: N818 - becomes a DecodeError at the codec's border
    """Packed data that does not fit its type; collects the path to where while it passes through."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path: list[str] = []

    def within(self, step: str) -> Mismatch:
        """The same, seen from one level further out."""
        self.path.insert(0, step)
        return self


# ------------------------------------------------------------------- packing

HIDDEN = "(secret)"
"""What stands in a trace where a field is marked secret."""

_packers: dict[tuple[type, bool], Packer] = {}


def packer_of(shape: Shape, *, hide: bool = False) -> Packer:
    """The function that packs values of a shape; raises EncodeError for a value of another type.

    With `hide`, fields that are marked secret are replaced: for the trace, never to be unpacked.
    """
    match shape:
        case PlainShape(cls):
            return _plain_packer(cls)
        case LiteralShape() | AnyShape():
            if isinstance(shape, LiteralShape):
                return _same
            return _hide_any if hide else _pack_any
        case EnumShape():
            return lambda value: (
                value.value if isinstance(value, enum.Enum) else _refuse(value, "a member of an enum")
            )
        case TupleShape(items, rest):
            return _tuple_packer(items, rest, hide)
        case SetShape(item):
            pack = packer_of(item, hide=hide)
            return lambda value: (
                sorted((pack(v) for v in value), key=repr)
                if isinstance(value, frozenset)
                else _refuse(value, "a frozenset")
            )
        case MapShape(item):
            pack = packer_of(item, hide=hide)
            return lambda value: {_text(k): pack(v) for k, v in value.items()}
        case OptionalShape(item):
            pack = packer_of(item, hide=hide)
            return lambda value: None if value is None else pack(value)
        case UnionShape(options, _):
            return _union_packer(options, hide)
        case DataShape(cls):
            return lambda value: data_packer(cls, hide=hide)(value)  # noqa: PLW0108 - compiled when first used: types may recur
        case PathShape():
            return str
        case RefShape():
            return pack_ref
    raise AssertionError(shape)


def data_packer(cls: type, *, hide: bool = False) -> Packer:
    """The function that packs instances of a dataclass as a map; see `packer_of`."""
    found = _packers.get((cls, hide))
    if found is None:
        found = _packers[cls, hide] = _make_data_packer(cls, hide)
    return found


def _make_data_packer(cls: type, hide: bool) -> Packer:
    names: dict[str, Any] = {"_cls": cls, "_refuse": _refuse, "_wrong": _wrong_field}
    parts = []
    shapes = shapes_of_class(cls, maps=True)
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        shape = shapes[field.name]
        value = f"v.{field.name}"
        if hide and field.metadata.get("secret"):
            packed = repr(HIDDEN)
        elif isinstance(shape, PlainShape) and shape.type is not type(None):
            kind = f"_t_{field.name}"
            names[kind] = shape.type
            packed = f"{value} if {value}.__class__ is {kind} else _wrong(v, {field.name!r}, {kind})"
        else:
            names[f"_p_{field.name}"] = packer_of(shape, hide=hide)
            packed = f"_p_{field.name}({value})"
        parts.append(f"{field.name!r}: {packed}")
    source = f"lambda v: {{{', '.join(parts)}}} if v.__class__ is _cls else _refuse(v, {cls.__qualname__!r})"
    made: Packer = eval(source, names)  # noqa: S307 - field names are identifiers
    return made


def _wrong_field(value: Any, name: str, kind: type) -> Any:
    try:
        return _plain_packer(kind)(getattr(value, name))
    except EncodeError as error:
        raise EncodeError(f"{type(value).__qualname__}.{name}: {error}") from None


def _plain_packer(cls: type) -> Packer:
    if cls is float:
        return lambda value: (
            float(value)
            if isinstance(value, float | int) and not isinstance(value, bool)
            else _refuse(value, "a float")
        )
    if cls is int:
        return lambda value: int(value) if isinstance(value, int) else _refuse(value, "an int")
    if cls is str:
        return lambda value: value if type(value) is str else _text(value)
    if cls is bytes:
        return lambda value: bytes(value) if isinstance(value, bytes) else _refuse(value, "bytes")
    return lambda value: value if type(value) is cls else _refuse(value, PLAIN[cls])


def _tuple_packer(items: tuple[Shape, ...], rest: Shape | None, hide: bool) -> Packer:
    if rest is not None:
        if isinstance(rest, PlainShape) and rest.type in {int, bytes}:
            plain = rest.type
            return lambda value: (
                list(value)
                if isinstance(value, tuple) and all(type(v) is plain for v in value)
                else _refuse(value, f"a tuple of {plain.__name__}")
            )
        pack = packer_of(rest, hide=hide)
        return lambda value: (
            [pack(v) for v in value] if isinstance(value, tuple) else _refuse(value, "a tuple")
        )
    packs = [packer_of(item, hide=hide) for item in items]
    return lambda value: (
        [pack(v) for pack, v in zip(packs, value, strict=True)]
        if isinstance(value, tuple) and len(value) == len(packs)
        else _refuse(value, f"a tuple of {len(packs)}")
    )


def _union_packer(options: tuple[tuple[str, Shape], ...], hide: bool) -> Packer:
    packers = {label: packer_of(shape, hide=hide) for label, shape in options}
    fallback = "literal" if "literal" in packers else "any" if "any" in packers else None

    def pack(value: Any) -> Any:
        if value is None:
            return None
        label = _label_of(value)
        if label not in packers:
            label = "float" if label == "int" and "float" in packers else fallback or label
        if label not in packers:
            _refuse(value, " or ".join(packers))
        return [label, packers[label](value)]

    return pack


def _label_of(value: Any) -> str:
    kind = type(value)
    if kind in PLAIN:
        return PLAIN[kind]
    if kind is tuple:
        return "tuple"
    if kind is frozenset:
        return "set"
    if kind is FrozenDict:
        return "map"
    if isinstance(value, PykkaRef):
        return "ref"
    if isinstance(value, Path):
        return "path"
    return wire_name(kind)


def pack_ref(ref: Any) -> Any:
    """A ref as `[system, name]`."""
    name = getattr(ref, "name", None)
    if not isinstance(ref, PykkaRef) or name is None:
        return _refuse(ref, "a ref of this runtime")
    system_name = getattr(ref, "system_name", None)
    return [ref.system.name if system_name is None else system_name, name]  # type: ignore[attr-defined]


def _pack_any(value: Any, hide: bool = False) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is tuple:
        return [_TUPLE, *(_pack_any(v, hide) for v in value)]
    if kind is frozenset:
        return [_SET, *sorted((_pack_any(v, hide) for v in value), key=repr)]
    if kind is FrozenDict:
        return [_MAP, {_text(k): _pack_any(v, hide) for k, v in value.items()}]
    if isinstance(value, PykkaRef):
        return [_REF, pack_ref(value)]
    if isinstance(value, Path):
        return [_PATH, str(value)]
    name = wire_name(kind)
    if isinstance(value, enum.Enum):
        if registered_enum(name) is not kind:
            raise EncodeError(
                f"{kind.__qualname__} is not known to the codec; register({kind.__qualname__}) first"
            )
        return [_ENUM, name, value.value]
    if registered_message(name) is not kind:
        raise EncodeError(
            f"{kind.__qualname__} is no message, and no other immutable value that can be packed"
        )
    return [_MESSAGE, name, data_packer(kind, hide=hide)(value)]


def _hide_any(value: Any) -> Any:
    return _pack_any(value, hide=True)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    return _refuse(value, "a str")


def _same(value: Any) -> Any:
    return value


def _refuse(value: Any, wanted: str) -> NoReturn:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:80]}…"
    raise EncodeError(f"{shown} is a {type(value).__qualname__}, not {wanted}")


# ----------------------------------------------------------------- unpacking

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
                    raise error.within(f".{name}") from None
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
            raise Mismatch(f"{_named(value)} is no member of {cls.__qualname__}") from None

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


def _unpack_any(value: Any, depth: int) -> Any:
    if type(value) in PLAIN:
        return value
    if type(value) is not list or not value or type(value[0]) is not int:
        raise Mismatch(f"expected an immutable value with its kind, found {_named(value)}")
    _descend(depth)
    kind, *rest = value
    match kind, rest:
        case _, _ if kind == _TUPLE:
            return tuple(_each_any(rest, depth - 1))
        case _, _ if kind == _SET:
            return _frozenset(_each_any(rest, depth - 1))
        case _, [dict() as items] if kind == _MAP:
            return _map_unpacker(AnyShape())(items, depth - 1)
        case _, [str() as name, fields] if kind == _MESSAGE:
            return data_unpacker(known_message(name))(fields, depth - 1)
        case _, [str() as name, member] if kind == _ENUM:
            cls = registered_enum(name)
            if cls is None:
                raise Mismatch(f"unknown enum {name!r:.200}")
            return _enum_unpacker(cls)(member, depth - 1)
        case _, [ref] if kind == _REF:
            return _unpack_ref(ref, depth - 1)
        case _, [str() as path] if kind == _PATH:
            return Path(path)
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
