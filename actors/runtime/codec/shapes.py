"""What a field of a message may be, read from its annotation.

`shape_of` turns a type annotation into a small tree of shapes, and refuses whatever could change (lists, dicts, sets,
protobuf messages, dataclasses that are not frozen). The codec compiles shapes to packers and unpackers, tests compile them to
generators of examples; nobody else interprets annotations of messages.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import types
import typing
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, NewType

from actors.runtime.codec.frozen import _IMMUTABLE, FrozenDict, hint_for, is_frozen_dataclass
from actors.runtime.codec.secrets import Secret
from actors.runtime.pykka_seam import PykkaRef

__all__ = [
    "AnyShape",
    "DataShape",
    "EnumShape",
    "Kind",
    "LiteralShape",
    "MapShape",
    "OptionalShape",
    "PathShape",
    "PlainShape",
    "RefShape",
    "SecretShape",
    "SetShape",
    "Shape",
    "TupleShape",
    "UnionShape",
    "field_shapes",
    "shape_of",
    "type_name",
]

PLAIN: dict[type, str] = {
    type(None): "None",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
}


@dataclass(frozen=True, slots=True)
class PlainShape:
    """None, bool, int, float, str or bytes."""

    type: type


@dataclass(frozen=True, slots=True)
class LiteralShape:
    """One of a few plain values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class EnumShape:
    """A member of an enum."""

    type: type[enum.Enum]


@dataclass(frozen=True, slots=True)
class TupleShape:
    """A tuple: of fixed items, or of any number of `rest`."""

    items: tuple[Shape, ...]
    rest: Shape | None


@dataclass(frozen=True, slots=True)
class SetShape:
    """A frozenset."""

    item: Shape


@dataclass(frozen=True, slots=True)
class MapShape:
    """A FrozenDict from text."""

    value: Shape


@dataclass(frozen=True, slots=True)
class OptionalShape:
    """A value or None."""

    item: Shape


@dataclass(frozen=True, slots=True)
class UnionShape:
    """One of several, told apart by a label; None may be among them."""

    options: tuple[tuple[str, Shape], ...]
    with_none: bool


@dataclass(frozen=True, slots=True)
class DataShape:
    """A frozen dataclass; its fields' shapes are read when first used, so that types may refer to themselves."""

    type: type


@dataclass(frozen=True, slots=True)
class PathShape:
    """A path of the file system."""


@dataclass(frozen=True, slots=True)
class RefShape:
    """A reference to an actor."""


@dataclass(frozen=True, slots=True)
class SecretShape:
    """A Secret."""


@dataclass(frozen=True, slots=True)
class AnyShape:
    """Any immutable value: carries its own type when packed."""


Shape = (
    PlainShape
    | LiteralShape
    | EnumShape
    | TupleShape
    | SetShape
    | MapShape
    | OptionalShape
    | UnionShape
    | DataShape
    | PathShape
    | RefShape
    | SecretShape
    | AnyShape
)


class Kind(enum.IntEnum):
    """What an immutable value is that is not plain, where its type does not say it; packed in front of it."""

    TUPLE = 0
    SET = 1
    MAP = 2
    MESSAGE = 3
    ENUM = 4
    REF = 5
    PATH = 6
    SECRET = 7


def type_name(cls: type) -> str:
    """The name under which a type travels when it gives itself no other: `module:QualName`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def shape_of(annotation: Any, where: str, *, maps: bool = True) -> Shape:
    """The shape of a field annotated `annotation`.

    Args:
        annotation: a resolved annotation (no strings).
        where: how to call the field in an error.
        maps: whether `Mapping[str, T]` is fine (its owner freezes it), or only `FrozenDict[T]`.

    Raises:
        TypeError: values of this type could change, or cannot be packed.
    """
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        base, *marks = typing.get_args(annotation)
        return AnyShape() if _IMMUTABLE in marks else shape_of(base, where, maps=maps)
    if isinstance(annotation, NewType):
        return shape_of(annotation.__supertype__, where, maps=maps)
    if annotation is None:
        return PlainShape(type(None))
    if origin in {typing.Union, types.UnionType}:
        return _union_shape(typing.get_args(annotation), where, maps)
    if origin is typing.Literal:
        return LiteralShape(typing.get_args(annotation))
    if origin is not None:
        return _generic_shape(origin, typing.get_args(annotation), where, maps)
    if isinstance(annotation, type) and annotation is not Any:
        return _class_shape(annotation, where)
    raise TypeError(
        f"{where}: {annotation!r} says too little about what it holds; use Immutable for any immutable value"
    )


def _class_shape(cls: type, where: str) -> Shape:
    if cls in PLAIN:
        return PlainShape(cls)
    if issubclass(cls, enum.Enum):
        return EnumShape(cls)
    if issubclass(cls, PurePath):
        return PathShape()
    if issubclass(cls, PykkaRef):
        return RefShape()
    if cls is Secret:
        return SecretShape()
    if is_frozen_dataclass(cls):
        return DataShape(cls)
    if cls in {tuple, frozenset, FrozenDict, collections.abc.Mapping, object}:
        raise TypeError(
            f"{where}: {cls.__name__} does not say what it holds; write for example tuple[str, ...]"
        )
    raise TypeError(f"{where}: a {cls.__qualname__} can change, or cannot be packed; {hint_for(cls)}")


def _generic_shape(origin: Any, args: tuple[Any, ...], where: str, maps: bool) -> Shape:
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return TupleShape((), shape_of(args[0], f"{where}[…]", maps=False))
        items = () if args == ((),) else args
        return TupleShape(tuple(shape_of(a, f"{where}[{i}]", maps=False) for i, a in enumerate(items)), None)
    if origin is frozenset:
        return SetShape(shape_of(args[0], f"{where}[…]", maps=False))
    if origin is FrozenDict:
        return MapShape(shape_of(args[0], f"{where}[…]", maps=False))
    if origin is collections.abc.Mapping and maps:
        if args[0] is not str:
            raise TypeError(f"{where}: keys of a mapping in a message must be str")
        return MapShape(shape_of(args[1], f"{where}[…]", maps=False))
    if origin is collections.abc.Mapping:
        raise TypeError(f"{where}: a Mapping within another type can change; write FrozenDict[T]")
    if isinstance(origin, type):
        return _class_shape(origin, where)
    raise TypeError(f"{where}: {origin!r} cannot be part of a message")


def _union_shape(args: tuple[Any, ...], where: str, maps: bool) -> Shape:
    kinds = [a for a in args if a is not type(None)]
    with_none = len(kinds) < len(args)
    if len(kinds) == 1:
        return OptionalShape(shape_of(kinds[0], where, maps=maps))
    options: dict[str, Shape] = {}
    for kind in kinds:
        shape = shape_of(kind, where, maps=False)
        label = shape_label(shape)
        if label in options:
            raise TypeError(f"{where}: two members of the union cannot be told apart ({label})")
        options[label] = shape
    return UnionShape(tuple(options.items()), with_none)


def shape_label(shape: Shape) -> str:
    """What tells this shape apart from others in a union."""
    match shape:
        case PlainShape(cls):
            return PLAIN[cls]
        case EnumShape(cls) | DataShape(cls):
            return wire_name(cls)
        case TupleShape():
            return "tuple"
        case SetShape():
            return "set"
        case MapShape():
            return "map"
        case PathShape():
            return "path"
        case RefShape():
            return "ref"
        case SecretShape():
            return "secret"
        case LiteralShape():
            return "literal"
        case _:
            return "any"


def wire_name(cls: type) -> str:
    """The name of a type in packed bytes: what `@message(name=…)` said, or `module:QualName`."""
    name: str | None = cls.__dict__.get("__wire_name__")
    return name or type_name(cls)


def field_shapes(
    cls: type, namespace: dict[str, Any] | None = None, *, maps: bool = False
) -> dict[str, Shape]:
    """The shapes of a dataclass's fields by name, in order.

    Args:
        cls: a dataclass.
        namespace: more names for annotations given as text (local classes).
        maps: whether a field may be annotated `Mapping[str, T]`: it is, or will be, a FrozenDict.

    Raises:
        TypeError: a field could change, or its annotation cannot be read.
    """
    try:
        hints = typing.get_type_hints(cls, localns=namespace, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{cls.__qualname__}: {error}; the types of a message must be known when it is declared"
        ) from None
    return {
        field.name: shape_of(hints[field.name], f"{cls.__qualname__}.{field.name}", maps=maps)
        for field in dataclasses.fields(cls)
    }
