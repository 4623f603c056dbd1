"""What a field may be, read from its annotation: the one schema engine. And the values that it may hold: they cannot change.

`shape_of(annotation, where)` gives a small tree of shapes, one class per kind of value, to be taken apart with `match` (`case
TupleShape(items, rest)`, …). It refuses with a TypeError whatever could change: lists, dicts, sets, protobuf messages, dataclasses
that are not frozen. With `loose=True` nothing is refused, for values that are only read, such as a configuration: a list is a
TupleShape, a set a SetShape, any mapping a MapShape, Any and object an AnyShape, and a class that is not known here an OtherShape.
`field_shapes(cls)` reads the fields of a message or dataclass. `packing` says how values travel.
"""

import dataclasses
import enum
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, NewType, TypeAlias, TypeVar

from actors.runtime.codec.secrets import Secret
from actors.runtime.errors import refuse_change
from actors.runtime.pykka_seam import PykkaRef

T = TypeVar("T")

PLAIN: dict[type, str] = {
    type(None): "None",
    bool: "bool",
    int: "int",
    float: "float",
    str: "str",
    bytes: "bytes",
}

_IMMUTABLE = "any immutable value"

Immutable: TypeAlias = Annotated[Any, _IMMUTABLE]
"""The type of a message's field that holds any immutable value; checked when the message is made."""

MUTABLE = frozenset({list, dict, set, bytearray})
"""What a caller may hand over although it can change: it is copied at the border."""


class FrozenDict(Mapping[str, T]):
    """A mapping from text that cannot change. Equal to any mapping with the same items; hashable if its values are."""

    __slots__ = ("_items",)
    _items: dict[str, T]

    def __init__(self, items: Mapping[str, T] | Iterable[tuple[str, T]] = ()) -> None:
        object.__setattr__(self, "_items", dict(items))

    __setattr__ = __delattr__ = refuse_change

    def __getitem__(self, key: str) -> T:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenDict({self._items!r})"

    def __reduce__(self) -> "tuple[type[FrozenDict[T]], tuple[dict[str, T]]]":
        return FrozenDict, (dict(self._items),)


def is_frozen_dataclass(cls: type) -> bool:
    """Whether `cls` is a dataclass declared frozen."""
    return dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]


def check_immutable(value: object, where: str = "value") -> None:
    """Raise TypeError, saying where, if `value` or anything in it can change."""
    kind = type(value)
    if kind in PLAIN or isinstance(value, enum.Enum | PykkaRef | PurePath | Secret):
        return
    inner: Iterable[tuple[str, object]]
    if kind is tuple or kind is frozenset:
        inner = ((f"[{index}]", item) for index, item in enumerate(value))  # type: ignore[arg-type,var-annotated]
    elif kind is FrozenDict:
        inner = ((f"[{key!r}]", item) for key, item in value.items())  # type: ignore[attr-defined]
    elif is_frozen_dataclass(kind):
        inner = ((f".{field.name}", getattr(value, field.name)) for field in dataclasses.fields(value))  # type: ignore[arg-type]
    else:
        raise TypeError(f"{where} is a {kind.__qualname__}, which can change; {hint_for(kind)}")
    for step, item in inner:
        check_immutable(item, where + step)


def own_copy(value: Any) -> Any:
    """A list, dict, set or bytearray of one's own, with all such things in it; anything else is given back as it is."""
    kind = type(value)
    if kind is dict:
        return {own_copy(key): own_copy(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return kind(own_copy(item) for item in value)
    return kind(value) if kind in MUTABLE else value


_HINTS: tuple[tuple[tuple[type, ...], str], ...] = (
    ((dict, Mapping), "use Mapping[str, T], which is stored as a FrozenDict"),
    ((list,), "use tuple[T, ...]"),
    ((set,), "use frozenset[T]"),
    ((bytearray, memoryview), "use bytes"),
)


def hint_for(kind: type) -> str:
    """What to use in place of a mutable type."""
    for kinds, hint in _HINTS:
        if issubclass(kind, kinds):
            return hint
    if hasattr(kind, "SerializeToString"):
        return "a protobuf message can change: send its bytes, or values read from it"
    return "declare the dataclass frozen" if dataclasses.is_dataclass(kind) else "use an immutable type"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of value."""

    @property
    def parts(self) -> "tuple[Shape, ...]":
        """The shapes of what is in it."""
        return ()

    @property
    def label(self) -> str:
        """What tells values of this shape apart from others in a union."""
        return type(self).__name__.removesuffix("Shape").lower()


@dataclass(frozen=True, slots=True)
class _TypeShape(Shape):
    type: Any

    @property
    def label(self) -> str:
        return PLAIN.get(self.type) or wire_name(self.type)


@dataclass(frozen=True, slots=True)
class _ItemShape(Shape):
    item: Shape

    @property
    def parts(self) -> tuple[Shape, ...]:
        return (self.item,)


class PlainShape(_TypeShape):
    """None, bool, int, float, str or bytes."""


class EnumShape(_TypeShape):
    """A member of an enum."""


class DataShape(_TypeShape):
    """A message or frozen dataclass; its fields are read when first needed, so that types may refer to themselves."""


class OtherShape(_TypeShape):
    """Something that is not known here; only where `shape_of` is asked to be loose."""


class SetShape(_ItemShape):
    """A frozenset."""


class MapShape(_ItemShape):
    """A FrozenDict from text."""


class OptionalShape(_ItemShape):
    """A value or None."""


class PathShape(Shape):
    """A path of the file system."""


class RefShape(Shape):
    """A reference to an actor."""


class SecretShape(Shape):
    """A Secret."""


class AnyShape(Shape):
    """Any immutable value: carries its own type when packed."""


@dataclass(frozen=True, slots=True)
class LiteralShape(Shape):
    """One of a few plain values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class TupleShape(Shape):
    """A tuple: of fixed items, or of any number of `rest`."""

    items: tuple[Shape, ...]
    rest: Shape | None

    @property
    def parts(self) -> tuple[Shape, ...]:
        return self.items if self.rest is None else (self.rest,)

    def each(self, values: Any) -> Iterable[tuple[Shape, Any]]:
        """Each value with its shape."""
        rest = self.rest
        return zip(self.items, values, strict=True) if rest is None else ((rest, value) for value in values)


@dataclass(frozen=True, slots=True)
class UnionShape(Shape):
    """One of several, told apart by a label; None may be among them."""

    options: tuple[tuple[str, Shape], ...]
    with_none: bool

    @property
    def parts(self) -> tuple[Shape, ...]:
        return tuple(shape for _, shape in self.options)


def shape_of(annotation: Any, where: str, *, maps: bool = True, loose: bool = False) -> Shape:
    """The shape of a field with a resolved annotation (no strings), called `where` in the TypeError for one that could change.

    With `maps`, `Mapping[str, T]` is fine (its owner freezes it), and not only `FrozenDict[T]`. `loose`: see the head of this module.
    """
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return AnyShape() if _IMMUTABLE in args else shape_of(args[0], where, maps=maps, loose=loose)
    if isinstance(annotation, NewType):
        return shape_of(annotation.__supertype__, where, maps=maps, loose=loose)
    if annotation is None:
        return PlainShape(type(None))
    if origin in {typing.Union, types.UnionType}:
        return _union_shape(args, where, maps, loose)
    if origin is Literal:
        return LiteralShape(args)
    if origin is not None:
        return _generic_shape(origin, args, where, maps, loose)
    if loose and (annotation is Any or annotation is object):
        return AnyShape()
    if isinstance(annotation, type) and annotation is not Any:
        return _class_shape(annotation, where, loose)
    if loose:
        return OtherShape(annotation)
    raise TypeError(
        f"{where}: {annotation!r} says too little about what it holds; use Immutable for any immutable value"
    )


def _class_shape(cls: type, where: str, loose: bool) -> Shape:
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
    if is_frozen_dataclass(cls) or (loose and dataclasses.is_dataclass(cls)):
        return DataShape(cls)
    if loose:
        return OtherShape(cls)
    if cls in {tuple, frozenset, FrozenDict, Mapping, object}:
        raise TypeError(
            f"{where}: {cls.__name__} does not say what it holds; write for example tuple[str, ...]"
        )
    raise TypeError(f"{where}: a {cls.__qualname__} can change, or cannot be packed; {hint_for(cls)}")


def _generic_shape(origin: Any, args: tuple[Any, ...], where: str, maps: bool, loose: bool) -> Shape:
    def inner(argument: Any, step: str = "…") -> Shape:
        return shape_of(argument, f"{where}[{step}]", maps=False, loose=loose)

    if (origin is tuple and args[1:] == (Ellipsis,)) or (loose and origin is list):
        return TupleShape((), inner(args[0]))
    if origin is tuple:
        items = () if args == ((),) else args
        return TupleShape(tuple(inner(item, str(index)) for index, item in enumerate(items)), None)
    if origin is frozenset or (loose and origin is set):
        return SetShape(inner(args[0]))
    if origin is FrozenDict:
        return MapShape(inner(args[0]))
    if origin is Mapping and not (maps or loose):
        raise TypeError(f"{where}: a Mapping within another type can change; write FrozenDict[T]")
    if origin is Mapping or (loose and issubclass(origin, Mapping)):
        if args[0] is not str:
            raise TypeError(f"{where}: keys of a mapping in a message must be str")
        return MapShape(inner(args[1]))
    if isinstance(origin, type):
        return _class_shape(origin, where, loose)
    raise TypeError(f"{where}: {origin!r} cannot be part of a message")


def _union_shape(args: tuple[Any, ...], where: str, maps: bool, loose: bool) -> Shape:
    kinds = [arg for arg in args if arg is not type(None)]
    if len(kinds) == 1:
        return OptionalShape(shape_of(kinds[0], where, maps=maps, loose=loose))
    shapes = [shape_of(kind, where, maps=False, loose=loose) for kind in kinds]
    labels = [shape.label for shape in shapes]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None and not loose:
        raise TypeError(f"{where}: two members of the union cannot be told apart ({twice})")
    return UnionShape(tuple(zip(labels, shapes, strict=True)), len(kinds) < len(args))


def field_shapes(
    cls: type, namespace: dict[str, Any] | None = None, *, maps: bool = True, loose: bool = False
) -> dict[str, Shape]:
    """The shapes of a dataclass's fields by name, in order; see `shape_of`.

    `namespace` has more names for annotations given as text (local classes). An annotation that cannot be read is a TypeError.
    """
    known: dict[str, Shape] | None = cls.__dict__.get("__field_shapes__")
    if known is not None:
        return known
    try:
        hints = typing.get_type_hints(cls, localns=namespace, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{cls.__qualname__}: {error}; the types of a message must be known when it is declared"
        ) from None
    return {
        field.name: shape_of(hints[field.name], f"{cls.__qualname__}.{field.name}", maps=maps, loose=loose)
        for field in dataclasses.fields(cls)
    }


def reached(
    shapes: Iterable[Shape], seen: dict[type, dict[str, Shape]], *, maps: bool = True
) -> Iterator[Shape]:
    """All shapes in these; notes the fields of each class among them in `seen`, and looks there once."""
    for shape in shapes:
        yield shape
        if not isinstance(shape, DataShape):
            yield from reached(shape.parts, seen, maps=maps)
        elif shape.type not in seen:
            seen[shape.type] = field_shapes(shape.type, maps=maps)
            yield from reached(seen[shape.type].values(), seen, maps=maps)


def wire_name(cls: type) -> str:
    """The name of a type in packed bytes: what `@message(name=…)` said, or `module:QualName`."""
    name: str | None = cls.__dict__.get("__wire_name__")
    return name or f"{cls.__module__}:{cls.__qualname__}"
